//! Numbers of packets that arrived, kept and told as ranges.

use std::collections::BTreeMap;

/// Ranges of one set. Each hole makes one more; numbers that touch no range are refused when there are so many.
const RANGES_MAX: usize = 100_000;

/// A set of numbers.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// Start and end (exclusive) of ranges that do not touch.
    ranges: BTreeMap<u64, u64>,
}

/// What became of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insert {
    /// It is in the set now.
    New,
    /// It was there before.
    Duplicate,
    /// The set is full.
    Refused,
}

impl Numbers {
    /// Adds a number.
    pub fn insert(&mut self, number: u64) -> Insert {
        let Some(next) = number.checked_add(1) else {
            return Insert::Refused;
        };
        let before = self
            .ranges
            .range(..=number)
            .next_back()
            .map(|(start, end)| (*start, *end));
        let joined = match before {
            Some((_, end)) if number < end => return Insert::Duplicate,
            Some((start, end)) if number == end => Some(start),
            _ => None,
        };
        let after = self.ranges.get(&next).copied();
        if joined.is_none() && after.is_none() && self.ranges.len() >= RANGES_MAX {
            return Insert::Refused;
        }
        if after.is_some() {
            self.ranges.remove(&next);
        }
        self.ranges.insert(joined.unwrap_or(number), after.unwrap_or(next));
        Insert::New
    }

    /// The ranges, in order: start and end (exclusive).
    pub fn ranges(&self) -> Vec<[u64; 2]> {
        self.ranges.iter().map(|(start, end)| [*start, *end]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_join_into_ranges_in_whatever_order_they_come() {
        let mut numbers = Numbers::default();
        for number in [5, 3, 9, 4, 0, 1, 10, 8] {
            assert_eq!(numbers.insert(number), Insert::New, "{number}");
        }
        assert_eq!(numbers.ranges(), [[0, 2], [3, 6], [8, 11]]);
        assert_eq!(numbers.insert(4), Insert::Duplicate);
        assert_eq!(numbers.insert(u64::MAX), Insert::Refused);
        assert_eq!(numbers.insert(2), Insert::New);
        assert_eq!(numbers.ranges(), [[0, 6], [8, 11]]);
    }
}

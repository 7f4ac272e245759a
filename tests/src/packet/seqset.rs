//! A set of sequence numbers, kept and told as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Ranges of one set. Each hole makes one more; a set with so many holes has lost the test
/// already, and further numbers that touch no range are refused.
pub const RANGES_MAX: usize = 100_000;

/// Sequence numbers that arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<[u64; 2]>", into = "Vec<[u64; 2]>")]
pub struct SeqSet {
    /// Start and end (exclusive) of ranges that do not touch.
    ranges: BTreeMap<u64, u64>,
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is in the set now.
    New,
    /// It was there before.
    Duplicate,
    /// The set is full ([`RANGES_MAX`]).
    Refused,
}

impl SeqSet {
    /// Adds a number.
    pub fn insert(&mut self, number: u64) -> Insert {
        let before = self
            .ranges
            .range(..=number)
            .next_back()
            .map(|(start, end)| (*start, *end));
        let Some(next) = number.checked_add(1) else {
            return Insert::Refused;
        };
        let start = match before {
            Some((_, end)) if number < end => return Insert::Duplicate,
            Some((start, end)) if number == end => start,
            _ => number,
        };
        let after = self.ranges.get(&next).copied();
        if start == number && after.is_none() && self.ranges.len() >= RANGES_MAX {
            return Insert::Refused;
        }
        if after.is_some() {
            self.ranges.remove(&next);
        }
        self.ranges.insert(start, after.unwrap_or(next));
        Insert::New
    }

    /// Whether a number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        self.ranges
            .range(..=number)
            .next_back()
            .is_some_and(|(_, end)| number < *end)
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many of `range` are there.
    pub fn count_in(&self, range: Range<u64>) -> u64 {
        let within = |(start, end): (&u64, &u64)| range.end.min(*end).saturating_sub(range.start.max(*start));
        self.ranges.iter().map(within).sum()
    }

    /// The parts of `range` that are not there, in order.
    pub fn missing_in(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut at = range.start;
        for (start, end) in &self.ranges {
            if *start >= range.end {
                break;
            }
            if *start > at {
                missing.push(at..*start);
            }
            at = at.max(*end);
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }

    /// The ranges that are there, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }
}

impl From<Vec<[u64; 2]>> for SeqSet {
    fn from(ranges: Vec<[u64; 2]>) -> SeqSet {
        SeqSet {
            ranges: ranges.into_iter().map(|[start, end]| (start, end)).collect(),
        }
    }
}

impl From<SeqSet> for Vec<[u64; 2]> {
    fn from(set: SeqSet) -> Vec<[u64; 2]> {
        set.ranges.into_iter().map(|(start, end)| [start, end]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_the_set_of_its_numbers(numbers in proptest::collection::vec(0u64..60, 0..120), from in 0u64..70, to in 0u64..70) {
            let mut set = SeqSet::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                let expected = if model.insert(number) { Insert::New } else { Insert::Duplicate };
                prop_assert_eq!(set.insert(number), expected);
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            let range = from.min(to)..from.max(to);
            prop_assert_eq!(set.count_in(range.clone()), model.range(range.clone()).count() as u64);
            let missing: Vec<u64> = set.missing_in(range.clone()).into_iter().flatten().collect();
            let expected: Vec<u64> = range.filter(|number| !model.contains(number)).collect();
            prop_assert_eq!(missing, expected);
            for number in 0..70 {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
            // Ranges never touch: otherwise holes would be counted where there are none.
            let ranges: Vec<_> = set.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }

    #[test]
    fn a_set_full_of_holes_refuses_new_ones_and_still_closes_old_ones() {
        let mut set = SeqSet::default();
        for number in 0..RANGES_MAX as u64 {
            assert_eq!(set.insert(number * 2), Insert::New);
        }
        assert_eq!(set.insert(RANGES_MAX as u64 * 2 + 1), Insert::Refused);
        assert_eq!(set.insert(1), Insert::New);
        assert_eq!(set.insert(RANGES_MAX as u64 * 2 + 1), Insert::New);
        assert_eq!(set.insert(u64::MAX), Insert::Refused);
    }
}

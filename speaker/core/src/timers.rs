//! Deadlines of many things of one kind, so that asking for the next one stays cheap when there are thousands.
//!
//! A thing's deadline still follows from its state: whoever changes the state puts the deadline in here again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// At most one deadline per key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
    of: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Timers {
            by_time: BTreeSet::new(),
            of: BTreeMap::new(),
        }
    }

    /// `key` is due at `at`, or never.
    pub(crate) fn set(&mut self, key: K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(key, at),
            None => self.of.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Take out one key that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.remove(&(at, key));
        self.of.remove(&key);
        Some(key)
    }

    /// Whether `key` has a deadline.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.of.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_earliest_comes_first_and_a_key_has_one_deadline() {
        let t0 = Instant::now();
        let at = |ms| t0 + Duration::from_millis(ms);
        let mut timers = Timers::new();
        timers.set(1, Some(at(30)));
        timers.set(2, Some(at(20)));
        timers.set(1, Some(at(10)));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(25)), Some(1));
        assert_eq!(timers.pop_due(at(25)), Some(2));
        assert_eq!(timers.next(), None);
        timers.set(3, Some(at(1)));
        timers.set(3, None);
        assert!(!timers.has(&3));
        assert_eq!(timers.next(), None);
    }
}

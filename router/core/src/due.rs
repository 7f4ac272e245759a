//! When each of many things wants to be woken: one deadline per key, the earliest first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Due<K> {
    order: BTreeSet<(Instant, K)>,
    of: BTreeMap<K, Instant>,
}

impl<K: Ord + Clone> Due<K> {
    pub(crate) fn new() -> Self {
        Due {
            order: BTreeSet::new(),
            of: BTreeMap::new(),
        }
    }

    /// The key's deadline is this from now on.
    pub(crate) fn set(&mut self, key: K, at: Option<Instant>) {
        if let Some(before) = self.of.remove(&key) {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, key.clone()));
            self.of.insert(key, at);
        }
    }

    /// The earliest.
    pub(crate) fn first(&self) -> Option<(Instant, &K)> {
        self.order.first().map(|(at, key)| (*at, key))
    }

    /// All keys whose time has come. Each is to be set anew by its owner: they are taken out.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<K> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.order.first()
            && *at <= now
            && let Some((_, key)) = self.order.pop_first()
        {
            self.of.remove(&key);
            due.push(key);
        }
        due
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty() && self.of.is_empty()
    }
}

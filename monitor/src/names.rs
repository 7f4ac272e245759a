//! The index from flow names to places in a table, without a second copy of the names.
//!
//! The map holds 32 bits of a keyed hash and the place of one flow; flows whose names share these bits are
//! chained through their rows. The key is random, so nobody can choose names that chain.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The end of a chain.
pub(crate) const NO_FLOW: u32 = u32::MAX;

/// A row that has a name and a place for the chain.
pub(crate) trait Named {
    fn name(&self) -> &str;
    fn next(&self) -> u32;
    fn set_next(&mut self, next: u32);
}

#[derive(Debug, Default)]
pub(crate) struct Names {
    key: RandomState,
    first: HashMap<u32, u32>,
}

impl Names {
    fn bits(&self, name: &str) -> u32 {
        self.key.hash_one(name) as u32
    }

    pub fn find(&self, name: &str, rows: &[impl Named]) -> Option<u32> {
        let mut at = *self.first.get(&self.bits(name))?;
        loop {
            let row = rows.get(at as usize)?;
            if row.name() == name {
                return Some(at);
            }
            at = row.next();
        }
    }

    /// Takes in the row at `index`, whose name must be new.
    pub fn insert(&mut self, index: u32, rows: &mut [impl Named]) {
        let Some(row) = rows.get_mut(index as usize) else {
            return;
        };
        let behind = self.first.insert(self.bits(row.name()), index);
        row.set_next(behind.unwrap_or(NO_FLOW));
    }

    /// Forgets the row at `index`, which must still be there.
    pub fn remove(&mut self, index: u32, rows: &mut [impl Named]) {
        let Some(row) = rows.get(index as usize) else { return };
        let (bits, behind) = (self.bits(row.name()), row.next());
        let Some(&first) = self.first.get(&bits) else { return };
        if first == index {
            if behind == NO_FLOW {
                self.first.remove(&bits);
            } else {
                self.first.insert(bits, behind);
            }
            return;
        }
        let mut at = first;
        while let Some(row) = rows.get_mut(at as usize) {
            if row.next() == index {
                row.set_next(behind);
                return;
            }
            at = row.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(&'static str, u32);

    impl Named for Row {
        fn name(&self) -> &str {
            self.0
        }
        fn next(&self) -> u32 {
            self.1
        }
        fn set_next(&mut self, next: u32) {
            self.1 = next;
        }
    }

    #[test]
    fn names_whose_hashes_are_equal_are_still_told_apart() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut names = Names::default();
            let mut rows = [Row("a", NO_FLOW), Row("b", NO_FLOW), Row("c", NO_FLOW)];
            for index in 0..3 {
                // As if all three had the same bits.
                let behind = names.first.insert(7, index).unwrap_or(NO_FLOW);
                rows[index as usize].1 = behind;
            }
            let bits = |names: &Names, name| names.bits(name);
            let mut left = vec![0, 1, 2];
            for index in order {
                // The chain is reached through the bits of the name, so let each name lead to it.
                let head = names.first.get(&7).copied();
                let wanted = bits(&names, rows[index as usize].0);
                names.first.insert(wanted, head.expect("something is left"));
                assert_eq!(names.find(rows[index as usize].0, &rows), Some(index));
                names.remove(index, &mut rows);
                match names.first.remove(&wanted) {
                    Some(head) => names.first.insert(7, head),
                    None => names.first.remove(&7),
                };
                left.retain(|at| *at != index);
                let mut chain = Vec::new();
                let mut at = names.first.get(&7).copied().unwrap_or(NO_FLOW);
                while at != NO_FLOW {
                    chain.push(at);
                    at = rows[at as usize].1;
                }
                chain.sort_unstable();
                assert_eq!(chain, left);
            }
        }
    }
}

//! Which offset of each command partition may be committed: the lowest unanswered one, because lanes finish out of order.
//!
//! It counts offsets only; it neither reads nor knows commands.

use std::collections::{BTreeMap, BTreeSet};

/// Unanswered records per partition that are kept apart. More are not read in practice, because each lane refuses commands
/// beyond its own limit and refusals are answers; beyond it the commit simply stays where it is until some are answered.
pub const UNANSWERED_MAX: usize = 65_536;

/// Offsets of all partitions that are read.
#[derive(Debug, Default)]
pub struct Offsets {
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Behind the highest offset that was read.
    next: i64,
    /// Committed last: everything below is answered.
    committed: i64,
    open: BTreeSet<i64>,
}

/// What a record is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Not read before: an answer is owed.
    New,
    /// Read before and not answered yet: nothing is to be done for it.
    Open,
    /// Answered before: it may be answered again, and no commit waits for it.
    Answered,
    /// Too many are unanswered.
    Full,
}

impl Offsets {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A record was read.
    pub fn read(&mut self, partition: i32, offset: i64) -> Reading {
        let p = self.partitions.entry(partition).or_insert_with(|| Partition {
            next: offset,
            committed: offset,
            open: BTreeSet::new(),
        });
        if offset < p.next {
            return if p.open.contains(&offset) {
                Reading::Open
            } else {
                Reading::Answered
            };
        }
        if p.open.len() >= UNANSWERED_MAX {
            return Reading::Full;
        }
        p.next = offset + 1;
        p.open.insert(offset);
        Reading::New
    }

    /// The answer to a record is safe. Gives the offset to commit if that moved on.
    pub fn answered(&mut self, partition: i32, offset: i64) -> Option<i64> {
        let p = self.partitions.get_mut(&partition)?;
        p.open.remove(&offset);
        let low = p.open.first().copied().unwrap_or(p.next);
        if low > p.committed {
            p.committed = low;
            Some(low)
        } else {
            None
        }
    }

    /// The partition is read by somebody else, or again from its committed offset.
    pub fn lost(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Records read and not answered.
    pub fn unanswered(&self) -> usize {
        self.partitions.values().map(|p| p.open.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_open_offset_holds_the_commit_back() {
        let mut o = Offsets::new();
        for offset in 10..13 {
            assert_eq!(o.read(0, offset), Reading::New);
        }
        assert_eq!(o.answered(0, 11), None);
        assert_eq!(o.answered(0, 12), None);
        assert_eq!(o.read(0, 10), Reading::Open);
        assert_eq!(o.answered(0, 10), Some(13));
        assert_eq!(o.read(0, 10), Reading::Answered);
        assert_eq!(o.unanswered(), 0);
    }

    proptest! {
        /// Whatever the order of answers: a commit never passes an unanswered record, grows, and ends behind the last.
        #[test]
        fn a_commit_never_passes_an_unanswered_record(
            gaps in prop::collection::vec(1i64..4, 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut o = Offsets::new();
            let mut open = Vec::new();
            let mut offset = 100;
            for gap in &gaps {
                open.push(offset);
                prop_assert_eq!(o.read(3, offset), Reading::New);
                offset += gap;
            }
            let last = *open.last().expect("at least one");
            let mut committed = 100;
            for index in order.iter() {
                if open.is_empty() { break; }
                let answered = open.remove(index.index(open.len()));
                if let Some(commit) = o.answered(3, answered) {
                    prop_assert!(commit > committed);
                    prop_assert!(open.iter().all(|o| *o >= commit));
                    committed = commit;
                }
            }
            prop_assert_eq!(committed, last + 1);
        }
    }
}

//! Commands that were read and are not answered yet, and answers that may be given again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use skerry_bus::{CommandResult, CorrelationId, SwitchId};

use crate::publish::Owed;

/// Answers that are remembered for commands that come again. Commands are repeated after a rebalance or a crash, so by at
/// most what was read since the last commit. They are on disk as well, with those that Kafka has not taken.
pub const DONE_MAX: usize = 4_096;
/// Records that may wait for the answer of one command. More copies than this are not made in practice; further ones are
/// answered by a commit only.
const OWED_MAX: usize = 16;

/// A command under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(pub(crate) u64);

impl JobId {
    /// What the speaker does by itself: nobody is owed an answer.
    pub(crate) const NOBODY: JobId = JobId(0);
}

/// What is remembered of a command under way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) correlation_id: CorrelationId,
    pub(crate) switch: Option<SwitchId>,
    /// Partition of the command; region-wide answers go into the same partition of the events.
    pub(crate) partition: i32,
    pub(crate) owed: Vec<Owed>,
    pub(crate) since: Instant,
}

/// All commands under way, and the answers of those that ended.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    last: u64,
    open: BTreeMap<JobId, Job>,
    by_correlation: BTreeMap<CorrelationId, JobId>,
    done: BTreeMap<CorrelationId, CommandResult>,
    /// Oldest first, each with its number.
    done_order: VecDeque<(u64, CorrelationId)>,
    last_number: u64,
}

impl Jobs {
    /// A new command.
    pub(crate) fn open(&mut self, job: Job) -> JobId {
        self.last += 1;
        let id = JobId(self.last);
        self.by_correlation.insert(job.correlation_id.clone(), id);
        self.open.insert(id, job);
        id
    }

    /// Commands under way.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// The same command came again while it is under way: its record is answered along with it. Gives false if it is not
    /// under way, and the record back if too many wait already.
    pub(crate) fn join(&mut self, correlation_id: &CorrelationId, owed: Owed) -> Joined {
        let Some(job) = self
            .by_correlation
            .get(correlation_id)
            .and_then(|id| self.open.get_mut(id))
        else {
            return Joined::NotOpen;
        };
        if job.owed.len() >= OWED_MAX {
            return Joined::TooMany;
        }
        job.owed.push(owed);
        Joined::Waits
    }

    /// The answer of a command that ended before.
    pub(crate) fn done(&self, correlation_id: &CorrelationId) -> Option<&CommandResult> {
        self.done.get(correlation_id)
    }

    /// A command ended.
    pub(crate) fn close(&mut self, id: JobId) -> Option<Job> {
        let job = self.open.remove(&id)?;
        self.by_correlation.remove(&job.correlation_id);
        Some(job)
    }

    /// Remember an answer. Gives its number, and that of one that is forgotten for it.
    pub(crate) fn remember(&mut self, correlation_id: CorrelationId, result: CommandResult) -> (u64, Option<u64>) {
        let number = self.last_number + 1;
        (number, self.restore(number, correlation_id, result))
    }

    /// An answer that was remembered under this number, larger than all before.
    pub(crate) fn restore(&mut self, number: u64, correlation_id: CorrelationId, result: CommandResult) -> Option<u64> {
        self.last_number = number;
        let again = self.done.insert(correlation_id.clone(), result).is_some();
        let before = if again {
            let at = self.done_order.iter().position(|(_, known)| *known == correlation_id);
            at.and_then(|at| self.done_order.remove(at)).map(|(number, _)| number)
        } else {
            None
        };
        self.done_order.push_back((number, correlation_id));
        if before.is_some() || self.done_order.len() <= DONE_MAX {
            return before;
        }
        let (oldest, correlation_id) = self.done_order.pop_front()?;
        self.done.remove(&correlation_id);
        Some(oldest)
    }
}

/// What [`Jobs::join`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The command is not under way.
    NotOpen,
    /// Its record waits for the same answer.
    Waits,
    /// Too many records wait for it.
    TooMany,
}

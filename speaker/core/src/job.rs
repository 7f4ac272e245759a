//! Commands that were read and are not answered yet, and answers that may be given again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use skerry_bus::{CommandResult, CorrelationId, SwitchId};

use crate::publish::Owed;

/// Answers that are remembered for commands that come again. Commands are repeated after a rebalance or a crash, so by at
/// most what was read since the last commit.
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
    done_order: VecDeque<CorrelationId>,
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

    /// Remember an answer.
    pub(crate) fn remember(&mut self, correlation_id: CorrelationId, result: CommandResult) {
        if self.done.insert(correlation_id.clone(), result).is_none() {
            self.done_order.push_back(correlation_id);
        }
        if self.done_order.len() > DONE_MAX
            && let Some(oldest) = self.done_order.pop_front()
        {
            self.done.remove(&oldest);
        }
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

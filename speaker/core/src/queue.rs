//! The commands of one switch that wait for their turn, in the order of reading.
//!
//! It knows which of them are of no use any more; what is told of them is the lane's to say.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use skerry_bus::{DesiredChange, Generation, Term, Wanted};

use crate::defect::{self, Defect};
use crate::job::JobId;

/// Commands that may wait in one lane. A switch this far behind is helped by waiting: the next is refused as `Busy`.
pub const LANE_COMMANDS_MAX: usize = 64;

/// What a lane is asked to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Make this the desired state.
    Desired {
        term: Term,
        generation: Generation,
        change: DesiredChange,
        /// The command as it was read, which is on disk before anything is sent; empty: it stands there already.
        payload: Bytes,
    },
    /// Read what the switch holds.
    Dump,
    /// Say what would be done to make the switch this.
    Plan(Wanted),
}

/// A command that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) job: JobId,
    /// When its deadline passes; none if the broker's time is not known.
    pub(crate) expires: Option<Instant>,
    pub(crate) work: Work,
}

/// All that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    /// The newest generation read under the newest term.
    newest: Option<(Term, Generation)>,
}

impl Queue {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whose turn it is.
    pub(crate) fn front(&self) -> Option<&Waiting> {
        match defect::is(Defect::LaneOrderBroken) {
            true => self.waiting.back(),
            false => self.waiting.front(),
        }
    }

    /// Take the one whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        match defect::is(Defect::LaneOrderBroken) {
            true => self.waiting.pop_back(),
            false => self.waiting.pop_front(),
        }
    }

    /// A desired state of this generation was read. Gives the newer one that was read before it under the same term.
    pub(crate) fn read(&mut self, term: Term, generation: Generation) -> Option<Generation> {
        match self.newest {
            Some((t, newest)) if t == term && generation < newest => return Some(newest),
            // An older term is refused when its turn comes, like any that is not held.
            Some((t, _)) if term < t => {}
            _ => self.newest = Some((term, generation)),
        }
        None
    }

    /// A command takes its place. Refuses it if there is none.
    pub(crate) fn push(&mut self, waiting: Waiting) -> Result<(), JobId> {
        if self.waiting.len() >= LANE_COMMANDS_MAX {
            return Err(waiting.job);
        }
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// Take out desired states under this term that are older than `newer`.
    pub(crate) fn take_older(&mut self, term: Term, newer: Generation) -> Vec<JobId> {
        self.take(|w| matches!(w.work, Work::Desired { term: t, generation, .. } if t == term && generation < newer))
    }

    /// Take out desired states under this and earlier terms.
    pub(crate) fn take_of_terms_until(&mut self, lost: Term) -> Vec<JobId> {
        self.take(|w| matches!(w.work, Work::Desired { term, .. } if term <= lost))
    }

    /// Take out what is past its deadline.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<JobId> {
        self.take(|w| w.expires.is_some_and(|at| now >= at))
    }

    /// Take out all.
    pub(crate) fn take_all(&mut self) -> Vec<JobId> {
        self.take(|_| true)
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> Vec<JobId> {
        let mut gone = Vec::new();
        self.waiting.retain(|waiting| {
            let goes = which(waiting);
            if goes {
                gone.push(waiting.job);
            }
            !goes
        });
        gone
    }

    /// When the first deadline passes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|w| w.expires).min()
    }
}

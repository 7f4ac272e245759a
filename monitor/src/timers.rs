//! Deadlines of links and flows, at most one each, in the order in which they are due.
//!
//! A deadline that moves later, as it does with every new measurement, is left where it is: the owner
//! looks again when it comes. So a measurement costs nothing here, and the table never
//! holds more entries than there are links and flows.

use std::collections::BTreeSet;

use crate::sla::NEVER;

/// Whose deadline it is: the index in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Link(u32),
    Flow(u32),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(u64, Owner)>,
}

impl Timers {
    /// Wakes `owner` at `at` or before. `armed` is the owner's note of when it is woken, [`NEVER`] if it is not.
    pub fn arm(&mut self, owner: Owner, armed: &mut u64, at: u64) {
        if at < *armed {
            self.due.remove(&(*armed, owner));
            self.due.insert((at, owner));
            *armed = at;
        }
    }

    /// Forgets an owner.
    pub fn disarm(&mut self, owner: Owner, armed: &mut u64) {
        self.due.remove(&(*armed, owner));
        *armed = NEVER;
    }

    /// Takes the first owner that is due at `now`; its note must be set to [`NEVER`] and it armed again.
    pub fn take_due(&mut self, now: u64) -> Option<(u64, Owner)> {
        let &(at, owner) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some((at, owner))
    }

    pub fn first(&self) -> Option<(u64, Owner)> {
        self.due.first().copied()
    }
}

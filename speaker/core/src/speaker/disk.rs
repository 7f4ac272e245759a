//! The composed machine and the disk: what is put there before it is sent, and what is done when the disk answers.

use std::time::Instant;

use bytes::Bytes;
use skerry_bus::{Outcome, SwitchId};

use super::Speaker;
use crate::fact::{Counter, Fact};
use crate::keep::{self, Keep};
use crate::store::Key;

impl Speaker {
    /// The disk works, at the start or again.
    pub(super) fn restored(&mut self, now: Instant, entries: Vec<(Key, Bytes)>) {
        let mut heads = Vec::new();
        for (key, value) in entries {
            match key {
                Key::Head(switch) => heads.push((switch, value)),
                Key::Answer(_) | Key::OpenAnswer(_) | Key::Part(..) => {}
            }
        }
        self.keeper.restored(now, heads, &mut self.outputs);
        // It was given up before: what stands on switches now is put on it again, a switch at a time.
        if std::mem::take(&mut self.store_given_up) {
            self.fact(Fact::StoreBack);
            self.to_keep = self.switches.keys().copied().collect();
        }
    }

    /// Put what stands on one switch on disk, if the disk has something else. Gives whether there was one to look at.
    pub(super) fn keep_again(&mut self, now: Instant) -> bool {
        let Some(switch) = self.to_keep.pop_first() else {
            return false;
        };
        let at_ms = self.at_ms(now);
        let Some(entry) = self.switches.get(&switch) else {
            return true;
        };
        let (Some((generation, objects)), Some(term)) = (entry.lane.held(), entry.role.term()) else {
            return true;
        };
        if self.keeper.head(switch).map(|head| head.generation) == Some(generation) {
            return true;
        }
        let payload = keep::whole(switch, term, generation, objects);
        let keep = Keep {
            job: crate::job::JobId::NOBODY,
            term,
            generation,
            base: None,
            payload: payload.clone(),
        };
        self.keeper.keep(at_ms, switch, keep, || payload, &mut self.outputs);
        true
    }

    /// A command is about to be sent to a switch.
    pub(super) fn keep(&mut self, now: Instant, switch: SwitchId, keep: Keep) {
        let at_ms = self.at_ms(now);
        let Some(entry) = self.switches.get_mut(&switch) else {
            return;
        };
        let (job, term, generation) = (keep.job, keep.term, keep.generation);
        let lane = &entry.lane;
        let whole = || {
            let objects = lane.wanted().cloned().unwrap_or_default();
            keep::whole(switch, term, generation, &objects)
        };
        if self.keeper.keep(at_ms, switch, keep, whole, &mut self.outputs) {
            return;
        }
        // There is no disk to wait for.
        entry.lane.kept(job);
        self.pump(now, switch);
    }

    /// A command that was put on disk ended without being sent: what stood before is what is desired still.
    pub(super) fn keep_ended(&mut self, switch: SwitchId, outcome: Outcome) {
        let not_sent = matches!(outcome, Outcome::Rejected | Outcome::Expired);
        let held = self.switches.get(&switch).and_then(|entry| entry.lane.generation());
        let kept = self.keeper.head(switch).map(|head| head.generation);
        if not_sent && held.is_some() && kept.is_some() && held != kept {
            self.to_keep.insert(switch);
        }
    }

    /// Something is on disk.
    pub(super) fn stored(&mut self, now: Instant, token: u64) {
        if let Some((switch, job)) = self.keeper.stored(token) {
            self.go_on(now, switch, job);
        }
    }

    /// Something is not on disk, and nothing else is.
    pub(super) fn store_failed(&mut self, now: Instant, cause: String) {
        self.count(Counter::StoreFailed);
        if !self.store_given_up {
            self.store_given_up = true;
            self.fact(Fact::StoreGivenUp { cause });
        }
        self.to_keep.clear();
        for (switch, job) in self.keeper.failed(now) {
            // A network that cannot be changed because a disk is full would be the greater harm.
            self.go_on(now, switch, job);
        }
    }

    fn go_on(&mut self, now: Instant, switch: SwitchId, job: crate::job::JobId) {
        if let Some(entry) = self.switches.get_mut(&switch) {
            entry.lane.kept(job);
            self.pump(now, switch);
        }
    }
}

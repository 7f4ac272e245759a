//! The composed machine and the disk: what is put there before it is sent, and what is done when the disk answers.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use skerry_bus::{CommandResult, CorrelationId, Decoded, RegionEvent, RegionEventBody, Seq, SwitchId, decode, encode};

use super::Speaker;
use crate::fact::{Counter, Fact};
use crate::io::Output;
use crate::keep::{self, Keep, Lost};
use crate::orders::Behind;
use crate::store::{Key, Write};

/// Answers that Kafka has taken and the disk does not know of. So many are at most sent twice after a restart, which readers
/// ignore; telling the disk of each would cost as much as the answer itself.
const SETTLED_MAX: usize = 64;

impl Speaker {
    /// The disk works, at the start or again.
    pub(super) fn restored(&mut self, now: Instant, entries: Vec<(Key, Bytes)>) {
        let mut heads = Vec::new();
        let mut answers = Vec::new();
        let mut open = BTreeSet::new();
        for (key, value) in entries {
            match key {
                Key::Head(switch) => heads.push((switch, value)),
                Key::Answer(number) => answers.push((number, value)),
                Key::OpenAnswer(number) => drop(open.insert(number)),
                Key::Part(..) => {}
            }
        }
        self.keeper.restored(now, heads, &mut self.outputs);
        let mut of_no_use = Vec::new();
        for (number, value) in answers {
            of_no_use.extend(self.restore_answer(now, number, &value, open.contains(&number)));
        }
        let keys = of_no_use.into_iter().flat_map(|n| [Key::Answer(n), Key::OpenAnswer(n)]);
        let writes = keys.map(|key| Write::Delete { key }).collect();
        self.keeper.store(now, writes, &mut self.outputs);
        // It was given up before: what stands on switches now is put on it again, a switch at a time.
        if self.store_given_up.take().is_some() {
            self.fact(Fact::StoreBack);
            self.to_keep = self.switches.keys().copied().collect();
        }
    }

    /// Gives the number of an answer that need not be on disk any more.
    fn restore_answer(&mut self, now: Instant, number: u64, value: &[u8], open: bool) -> Option<u64> {
        let Decoded::Message(RegionEvent {
            correlation_id: Some(correlation_id),
            body: RegionEventBody::CommandResult { result },
            ..
        }) = decode::<RegionEvent>(value)
        else {
            self.count(Counter::KeptDamaged);
            return Some(number);
        };
        let oldest = self.jobs.restore(number, correlation_id.clone(), result.clone());
        if open {
            let number = Some(number);
            self.answer(
                now,
                result.switch,
                0,
                correlation_id,
                Vec::new(),
                result,
                Vec::new(),
                number,
            );
        }
        oldest
    }

    /// A command ended: its answer is on disk before long, so that it is not lost with this process while Kafka is away, and
    /// given again when the command comes again. Gives its number there.
    pub(super) fn keep_answer(&mut self, now: Instant, of: &CorrelationId, result: &CommandResult) -> Option<u64> {
        let (number, forgotten) = self.jobs.remember(of.clone(), result.clone());
        if !self.keeper.is_on() {
            return None;
        }
        let event = RegionEvent {
            region: self.config.region.clone(),
            epoch: self.config.epoch,
            seq: Seq(0),
            at_ms: self.at_ms(now),
            correlation_id: Some(of.clone()),
            body: RegionEventBody::CommandResult { result: result.clone() },
        };
        let put = |key, value| Write::Put { key, value };
        let mut writes = vec![
            put(Key::Answer(number), Bytes::from(encode(&event))),
            put(Key::OpenAnswer(number), Bytes::new()),
        ];
        let gone = forgotten.into_iter().flat_map(|n| [Key::Answer(n), Key::OpenAnswer(n)]);
        let settled = std::mem::take(&mut self.settled).into_iter().map(Key::OpenAnswer);
        writes.extend(gone.chain(settled).map(|key| Write::Delete { key }));
        self.keeper.store(now, writes, &mut self.outputs).map(|_| number)
    }

    /// Kafka has taken answers, or never will.
    pub(super) fn answers_settled(&mut self, now: Instant) {
        self.settled.extend(self.publisher.take_settled());
        if self.settled.len() < SETTLED_MAX {
            return;
        }
        let keys = std::mem::take(&mut self.settled).into_iter().map(Key::OpenAnswer);
        let writes = keys.map(|key| Write::Delete { key }).collect();
        self.keeper.store(now, writes, &mut self.outputs);
    }

    /// Whether there is a state to put on disk that nobody waits for, and the disk has time for it.
    pub(super) fn may_keep_again(&self) -> bool {
        !self.to_keep.is_empty() && self.keeper.has_room()
    }

    /// Put what stands on one switch on disk, if the disk has something else. Gives whether there was one to look at.
    pub(super) fn keep_again(&mut self, now: Instant) -> bool {
        if !self.may_keep_again() {
            return false;
        }
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
        // One that is under way is on disk, or about to be; its end brings us here again.
        let under_way = entry.lane.is_applying();
        if under_way || self.keeper.head(switch).map(|head| head.generation) == Some(generation) {
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
        self.keeper
            .keep(now, at_ms, switch, keep, || payload, &mut self.outputs);
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
            let objects = lane.wanted().unwrap_or_default();
            keep::whole(switch, term, generation, &objects)
        };
        let outputs = &mut self.outputs;
        if self.keeper.keep(now, at_ms, switch, keep, whole, outputs) {
            return;
        }
        // There is no disk to wait for.
        entry.lane.kept(job);
        self.pump(now, switch);
    }

    /// A command ended. If it was put on disk and changed nothing, what stood before is what is desired still.
    pub(super) fn keep_ended(&mut self, switch: SwitchId) {
        let held = self.switches.get(&switch).and_then(|entry| entry.lane.generation());
        let kept = self.keeper.head(switch).map(|head| head.generation);
        if held.is_some() && kept.is_some() && held != kept {
            self.to_keep.insert(switch);
        }
    }

    /// Something is on disk.
    pub(super) fn stored(&mut self, now: Instant, token: u64) {
        if let Some((switch, job)) = self.keeper.stored(now, token) {
            self.go_on(now, switch, job);
        }
    }

    /// Something is not on disk, and nothing else is.
    pub(super) fn store_failed(&mut self, now: Instant, token: u64, cause: String) {
        let was_on = self.keeper.is_on();
        let Some(lost) = self.keeper.failed(now, token) else {
            return;
        };
        if was_on {
            self.count(Counter::GivenUpFailed);
        }
        self.give_up_store(now, cause, lost);
    }

    /// The disk may be behind, or something of it due.
    pub(super) fn look_after_disk(&mut self, now: Instant) {
        let Some(behind) = self.keeper.handle_timeout(now, &mut self.outputs) else {
            return;
        };
        self.count(match behind {
            Behind::Hung(..) => Counter::GivenUpHung,
            Behind::Orders(_) => Counter::GivenUpOrders,
            Behind::Bytes(_) => Counter::GivenUpBytes,
        });
        let lost = self.keeper.is_behind(&mut self.outputs);
        self.give_up_store(now, behind.to_string(), lost);
    }

    fn give_up_store(&mut self, now: Instant, cause: String, lost: Lost) {
        let (counter, by) = (Counter::StoreFailed, lost.orders as u64);
        self.outputs.push_back(Output::Count { counter, by });
        // Told once, unless it is another cause by now.
        if self.store_given_up.as_ref() != Some(&cause) {
            self.store_given_up = Some(cause.clone());
            self.fact(Fact::StoreGivenUp { cause });
        }
        self.to_keep.clear();
        self.settled.clear();
        // What shall stand on these only a router can say now.
        for (switch, conn) in std::mem::take(&mut self.loading).into_values() {
            if let Some(entry) = self.switches.get_mut(&switch).filter(|entry| entry.conn == conn) {
                entry.autonomy.rest();
            }
        }
        for (switch, job) in lost.waiting {
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

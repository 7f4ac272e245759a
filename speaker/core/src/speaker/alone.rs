//! The composed machine without a router: switches that are taken with their last term and made whole from disk, and what is
//! given up when Kafka is silent for too long.

use std::time::Instant;

use bytes::Bytes;
use skerry_bus::{BrokerClock, Cause, DesiredChange, Mode, Outcome, SwitchId, Term};

use super::Speaker;
use crate::autonomy::Action;
use crate::fact::{Counter, Fact};
use crate::job::JobId;
use crate::keep;
use crate::lane::Ended;
use crate::queue::Work;

/// Commands that may wait until the broker's time is known, and with it whether they are too late. It takes one acknowledged
/// heartbeat; who sends more in that time is answered `rejected: busy`.
const EARLY_MAX: usize = 1_024;

/// A record of the command topic that was read before the broker's time was known.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) partition: i32,
    offset: i64,
    payload: Bytes,
    broker_ms: u64,
}

impl Speaker {
    /// Whether nobody can say yet if a command's deadline is past.
    pub(super) fn is_early(&self, now: Instant) -> bool {
        !self.was_delivered && self.clock.now_ms(now).is_none()
    }

    /// A record of the command topic.
    pub(super) fn record(&mut self, now: Instant, partition: i32, offset: i64, payload: Bytes, broker_ms: u64) {
        if self.is_early(now) && self.early.len() < EARLY_MAX {
            self.early.push_back(Early {
                partition,
                offset,
                payload,
                broker_ms,
            });
            return;
        }
        // A record that lay in Kafka for long says nothing about now.
        let age = match (broker_ms, self.clock.now_ms(now)) {
            (0, _) | (_, None) => 0,
            (written, Some(now_ms)) => now_ms.saturating_sub(written),
        };
        if let Some(at) = now.checked_sub(std::time::Duration::from_millis(age)) {
            self.lease.router(at);
        }
        self.command(now, partition, offset, payload);
    }

    /// The broker's time may be known now.
    pub(super) fn take_early(&mut self, now: Instant) {
        while !self.is_early(now) {
            let Some(early) = self.early.pop_front() else { return };
            self.record(now, early.partition, early.offset, early.payload, early.broker_ms);
        }
    }

    /// A switch connected: may it be taken without the router?
    pub(super) fn consider(&mut self, now: Instant, switch: SwitchId, shown: Option<Term>) {
        if self.config.mode == Mode::ReadOnly {
            return;
        }
        let Some(last) = self.keeper.head(switch).filter(|head| head.held).map(|head| head.term) else {
            return;
        };
        let heard = self.lease.hears_router(now);
        let Some(entry) = self.switches.get_mut(&switch).filter(|entry| !entry.role.is_equal()) else {
            return;
        };
        let action = entry.autonomy.begin(now, shown, last, heard);
        self.act(now, switch, action);
    }

    /// What [`crate::autonomy`] wants done. The caller lets the switch go on afterwards.
    pub(super) fn act(&mut self, now: Instant, switch: SwitchId, action: Option<Action>) {
        let Some(entry) = self.switches.get_mut(&switch) else {
            return;
        };
        match action {
            None => {}
            Some(Action::Look) => {
                if let Some(connection) = self.connections.get_mut(&entry.conn) {
                    entry.role.look(now, &mut connection.wire);
                }
            }
            Some(Action::Read) => match self.keeper.load(now, switch, &mut self.outputs) {
                Some(token) => drop(self.loading.insert(token, (switch, entry.conn))),
                None => entry.autonomy.rest(),
            },
        }
    }

    /// The disk said what shall stand on a switch, or that it cannot.
    pub(super) fn loaded(&mut self, now: Instant, token: u64, values: Result<Vec<Bytes>, String>) {
        self.keeper.loaded(now, token);
        let Some((switch, conn)) = self.loading.remove(&token) else {
            return;
        };
        let read = values.and_then(|parts| keep::read(switch, &parts));
        let head = self.keeper.head(switch).copied();
        let Some(entry) = self.switches.get_mut(&switch).filter(|entry| entry.conn == conn) else {
            return;
        };
        let (generation, objects) = match (read, head) {
            (Ok((generation, objects)), Some(head)) if head.generation == generation => (generation, objects),
            // Something newer was put on disk meanwhile: then the router is there.
            (Ok(_), _) => return entry.autonomy.rest(),
            (Err(cause), _) => {
                entry.autonomy.rest();
                return self.keeper.damaged(now, switch, cause, &mut self.outputs);
            }
        };
        let Some(term) = entry.autonomy.read(generation, objects) else {
            return;
        };
        if entry.role.term() == Some(term) {
            self.make_whole(now, switch);
        } else if let Some(connection) = self.connections.get_mut(&conn)
            && !entry.role.claim(now, term, &mut connection.wire)
        {
            entry.autonomy.rest();
        }
        self.pump(now, switch);
    }

    /// MASTER is held: if it was taken without the router, what is on disk is made to stand.
    pub(super) fn make_whole(&mut self, now: Instant, switch: SwitchId) {
        let Some(entry) = self.switches.get_mut(&switch) else {
            return;
        };
        let wanted = entry.role.term().and_then(|term| entry.autonomy.taken(term));
        let Some((term, generation, objects)) = wanted else {
            return;
        };
        if entry.lane.held().is_some() {
            return;
        }
        let work = Work::Desired {
            term,
            generation,
            change: DesiredChange::Snapshot { objects },
            payload: Bytes::new(),
        };
        let events = entry.lane.push(JobId::NOBODY, None, work);
        self.count(Counter::TakenAlone);
        self.fact(Fact::TakenAlone {
            switch,
            term,
            generation,
        });
        self.lane_events(now, switch, events);
    }

    /// What was made to stand without the router ended.
    pub(super) fn made_whole(&mut self, now: Instant, switch: SwitchId, ended: Ended) {
        let Some(entry) = self.switches.get_mut(&switch) else {
            return;
        };
        entry.autonomy.ended(now, entry.role.term(), ended.outcome);
        if ended.outcome == Outcome::Applied {
            self.tell_changed(now, switch);
        }
        self.fact(Fact::MadeWhole {
            switch,
            outcome: ended.outcome,
            cause: ended.cause,
            messages: ended.messages,
        });
    }

    /// The router says something of a role: it is there, and knows better.
    pub(super) fn router_speaks(&mut self, switch: SwitchId) {
        if let Some(entry) = self.switches.get_mut(&switch) {
            entry.autonomy.rest();
        }
    }

    /// Switches without roles are written to only while Kafka is heard: there is nobody else to stop us. This comes before
    /// anything else in each turn, so that a process that stood still stops before it writes.
    pub(super) fn check_lease(&mut self, now: Instant) {
        if self.equals.is_empty() || self.lease.hears_kafka(now) {
            return;
        }
        for switch in std::mem::take(&mut self.equals) {
            if let Some(entry) = self.switches.get_mut(&switch) {
                let events = entry.role.lease_over();
                self.role_events(now, switch, events);
                self.pump(now, switch);
            }
        }
    }

    /// When the lease ends for switches without roles.
    pub(super) fn lease_ends(&self) -> Option<Instant> {
        let after = std::time::Duration::from_nanos(1);
        self.lease
            .ends()
            .filter(|_| !self.equals.is_empty())
            .map(|end| end + after)
    }

    /// At a switch without roles the router's word is all there is.
    pub(super) fn settle_equal(
        &mut self,
        now: Instant,
        switch: SwitchId,
        term: Term,
        active: bool,
        job: JobId,
    ) -> Result<(), (Outcome, Cause)> {
        if active && !self.lease.hears_kafka(now) {
            // It was read late: another region may have the switch by now.
            return Err((Outcome::Rejected, Cause::NoRole { held: None }));
        }
        let Some(entry) = self.switches.get_mut(&switch) else {
            return Err((Outcome::Rejected, Cause::UnknownSwitch));
        };
        let events = entry.role.settle_equal(term, active, job);
        match entry.role.term() {
            Some(_) => self.equals.insert(switch),
            None => self.equals.remove(&switch),
        };
        self.role_events(now, switch, events);
        Ok(())
    }

    /// Kafka took a record of ours. The lease counts from when a heartbeat was written: the router counts the region's silence
    /// from when Kafka had it, which is later, so the lease is over before another region is asked to write.
    pub(super) fn heard_kafka(&mut self, now: Instant, token: u64, broker_ms: u64) {
        self.was_delivered = true;
        if let Some(written) = self.publisher.beat_delivered(token) {
            self.lease.kafka(written);
        }
        if broker_ms > 0 {
            self.clock.offer(now, BrokerClock::new(now, broker_ms));
        }
    }
}

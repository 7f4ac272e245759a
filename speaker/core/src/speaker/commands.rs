//! Commands of the composed machine: reading a record, giving it to whom it concerns, answering it once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use skerry_bus::service::DeadLetter;
use skerry_bus::{
    Cause, Command, CommandBody, CommandHead, CommandResult, CorrelationId, Decoded, Generation, Mode, ObjectResults,
    Outcome, RegionEventBody, SwitchId, Term, Topic, decode, encode,
};

use super::Speaker;
use crate::defect::{self, Defect};
use crate::fact::{Counter, Fact};
use crate::io::Output;
use crate::job::{Job, JobId, Joined};
use crate::measure::Histogram;
use crate::offsets::Reading;
use crate::queue::Work;

/// No deadline is further away than this: what is later is as good as none.
const DEADLINE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Snapshots whose names are remembered, so that a request written to every partition is done once.
const SNAPSHOTS_MAX: usize = 64;
/// Characters of a payload that go into a dead letter.
const DEAD_LETTER_MAX: usize = 4_096;

/// How a command ended, and what is told in front of that.
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) cause: Option<Cause>,
    /// The generation that is held now.
    pub(super) generation: Option<Generation>,
    /// Messages written to the switch.
    pub(super) messages: u32,
    pub(super) objects: Option<ObjectResults>,
    /// What was asked for.
    pub(super) told: Vec<RegionEventBody>,
}

impl Answer {
    /// Nothing was written and nothing is told.
    pub(super) fn of(outcome: Outcome, cause: Option<Cause>) -> Self {
        Answer {
            outcome,
            cause,
            generation: None,
            messages: 0,
            objects: None,
            told: Vec::new(),
        }
    }
}

impl Speaker {
    /// A record of the command topic.
    pub(super) fn command(&mut self, now: Instant, partition: i32, offset: i64, payload: Bytes) {
        match self.offsets.read(partition, offset) {
            Reading::New | Reading::Answered => {}
            Reading::Open => return,
            Reading::Full => return self.count(Counter::CommandsFull),
        }
        let command = match decode::<Command>(&payload) {
            Decoded::Message(command) => command,
            Decoded::UnknownKind(kind) => {
                self.count(Counter::CommandUnknownKind);
                let cause = format!("kind: {kind:?} is not known to this version");
                return self.unreadable(now, (partition, offset), &payload, cause);
            }
            Decoded::Malformed(cause) => {
                self.count(Counter::CommandMalformed);
                self.dead_letter(partition, offset, &payload, &cause);
                return self.unreadable(now, (partition, offset), &payload, cause);
            }
        };
        let owed = (partition, offset);
        match self.jobs.join(&command.correlation_id, owed) {
            Joined::Waits => return,
            Joined::TooMany => {
                self.count(Counter::CommandsCopies);
                return self.commit(now, vec![owed]);
            }
            Joined::NotOpen => {}
        }
        let correlation_id = command.correlation_id.clone();
        let switch = command.body.switch();
        if let Some(result) = self.jobs.done(&correlation_id).cloned() {
            self.count(Counter::CommandRepeated);
            return self.answer(
                now,
                switch,
                partition,
                correlation_id,
                Vec::new(),
                result,
                vec![owed],
                None,
            );
        }
        let job = self.jobs.open(Job {
            correlation_id,
            switch,
            partition,
            owed: vec![owed],
            since: now,
        });
        if let Err((outcome, cause)) = self.dispatch(now, partition, job, command, payload) {
            self.finish(now, job, Answer::of(outcome, Some(cause)));
        }
        if let Some(switch) = switch {
            self.pump(now, switch);
        }
    }

    /// Chunks that do not make a command: nobody can be seen who waits for an answer.
    pub(super) fn chunks_unreadable(&mut self, partition: i32, offset: i64, cause: String) {
        self.count(Counter::CommandMalformed);
        self.dead_letter(partition, offset, &[], &cause);
        self.fact(Fact::CommandSkipped {
            partition,
            offset,
            reason: cause,
        });
    }

    /// A command that cannot be read is refused if it can be seen who waits for the answer.
    fn unreadable(&mut self, now: Instant, owed: (i32, i64), payload: &[u8], detail: String) {
        let (partition, offset) = owed;
        self.fact(Fact::CommandSkipped {
            partition,
            offset,
            reason: detail.clone(),
        });
        let head = match decode::<CommandHead>(payload) {
            Decoded::Message(head) if head.region.as_ref().is_none_or(|r| *r == self.config.region) => head,
            Decoded::Message(_) | Decoded::UnknownKind(_) | Decoded::Malformed(_) => {
                return self.commit(now, vec![owed]);
            }
        };
        let cause = Some(Cause::Malformed { detail });
        let result = CommandResult {
            switch: head.switch,
            outcome: Outcome::Rejected,
            cause,
            generation: None,
            messages: 0,
            objects: None,
        };
        let id = head.correlation_id;
        self.answer(now, head.switch, partition, id, Vec::new(), result, vec![owed], None);
    }

    fn dead_letter(&mut self, partition: i32, offset: i64, payload: &[u8], cause: &str) {
        let letter = DeadLetter {
            topic: Topic::RegionCommands(self.config.region.clone()).to_string(),
            partition,
            offset,
            cause: cause.to_owned(),
            payload: String::from_utf8_lossy(payload).chars().take(DEAD_LETTER_MAX).collect(),
        };
        self.outputs.push_back(Output::Publish {
            topic: Topic::DeadLetter,
            partition,
            key: String::new(),
            payload: encode(&letter),
            token: None,
        });
    }

    /// Give a command to whom it concerns, or say why it ends here.
    fn dispatch(
        &mut self,
        now: Instant,
        partition: i32,
        job: JobId,
        command: Command,
        payload: Bytes,
    ) -> Result<(), (Outcome, Cause)> {
        let rejected = |cause| Err((Outcome::Rejected, cause));
        if let Some(epoch) = command.owner_epoch {
            let highest = self.owner_epochs.entry(partition).or_insert(epoch);
            if epoch < *highest && !defect::is(Defect::OwnerEpochIgnored) {
                return rejected(Cause::OldOwner);
            }
            *highest = epoch.max(*highest);
        }
        if let Some(region) = command.region.filter(|region| *region != self.config.region) {
            let detail = format!("region: the command is for {region}, this is {}", self.config.region);
            return rejected(Cause::Malformed { detail });
        }
        if let Some(epoch) = command.epoch.filter(|epoch| *epoch != self.config.epoch) {
            let detail = format!(
                "epoch: the command is for the speaker with epoch {epoch}, this one has {}: either it was sent before this \
                 process began, or two processes speak for region {}",
                self.config.epoch, self.config.region
            );
            return rejected(Cause::Malformed { detail });
        }
        if self.is_early(now) {
            return rejected(Cause::Busy);
        }
        let expires = self.expires(now, command.deadline_ms);
        if expires.is_some_and(|at| now >= at) {
            return Err((Outcome::Expired, Cause::Deadline));
        }
        match command.body {
            CommandBody::Apply { .. } => rejected(Cause::Malformed {
                detail: "kind: apply is for the router; a speaker takes desired".to_owned(),
            }),
            CommandBody::Many { .. } => rejected(Cause::Malformed {
                detail: "kind: many is for the router, which takes it apart".to_owned(),
            }),
            CommandBody::Desired {
                switch,
                term,
                generation,
                change,
            } => {
                let work = Work::Desired {
                    term,
                    generation,
                    change,
                    payload,
                };
                self.enqueue(now, switch, job, expires, work)
            }
            CommandBody::Dump { switch } => self.enqueue(now, switch, job, expires, Work::Dump),
            CommandBody::Plan { switch, wanted } => match wanted {
                Some(wanted) => self.enqueue(now, switch, job, expires, Work::Plan(wanted)),
                None => rejected(Cause::Malformed {
                    detail: "wanted: the router says what the switch shall hold".to_owned(),
                }),
            },
            CommandBody::Activate { switch, term } => self.activate(now, switch, term, job),
            CommandBody::Deactivate { switch, term } => self.deactivate(now, switch, term, job),
            CommandBody::SwitchSnapshot { switch } => {
                let Some(state) = self.state(now, switch) else {
                    return rejected(Cause::UnknownSwitch);
                };
                let generation = state.generation;
                let answer = Answer {
                    generation,
                    told: vec![RegionEventBody::SwitchChanged { state }],
                    ..Answer::of(Outcome::Applied, None)
                };
                self.finish(now, job, answer);
                self.tell_links(now, switch);
                Ok(())
            }
            CommandBody::RegionSnapshot { snapshot } => {
                if self.is_new_snapshot(partition, &snapshot) {
                    self.snapshot(now, &snapshot);
                }
                self.finish(now, job, Answer::of(Outcome::Applied, None));
                Ok(())
            }
        }
    }

    /// A request for a region's snapshot is written to every partition of the commands, and answered in every partition of
    /// the events once. The same partition asking again, by whatever name, asks for another one.
    fn is_new_snapshot(&mut self, partition: i32, name: &CorrelationId) -> bool {
        if let Some((_, asked)) = self.snapshots.iter_mut().find(|(known, _)| known == name) {
            if asked.insert(partition) {
                return false;
            }
            asked.clear();
            asked.insert(partition);
            return true;
        }
        if self.snapshots.len() == SNAPSHOTS_MAX {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back((name.clone(), [partition].into()));
        true
    }

    /// When a deadline of the broker's clock passes; none if that clock is not known.
    fn expires(&self, now: Instant, deadline_ms: u64) -> Option<Instant> {
        let left = deadline_ms.saturating_sub(self.clock.now_ms(now)?);
        Some(now + Duration::from_millis(left).min(DEADLINE_MAX))
    }

    fn enqueue(
        &mut self,
        now: Instant,
        switch: SwitchId,
        job: JobId,
        expires: Option<Instant>,
        work: Work,
    ) -> Result<(), (Outcome, Cause)> {
        let Some(entry) = self.switches.get_mut(&switch) else {
            return Err((Outcome::Rejected, Cause::UnknownSwitch));
        };
        let events = entry.lane.push(job, expires, work);
        self.lane_events(now, switch, events);
        Ok(())
    }

    fn is_equal(&self, switch: SwitchId) -> bool {
        self.switches.get(&switch).is_some_and(|entry| entry.role.is_equal())
    }

    fn activate(&mut self, now: Instant, switch: SwitchId, term: Term, job: JobId) -> Result<(), (Outcome, Cause)> {
        if self.config.mode == Mode::ReadOnly {
            return Err((Outcome::Rejected, Cause::NoRole { held: None }));
        }
        self.router_speaks(switch);
        if self.is_equal(switch) {
            return self.settle_equal(now, switch, term, true, job);
        }
        let Some(entry) = self.switches.get_mut(&switch) else {
            return Err((Outcome::Rejected, Cause::UnknownSwitch));
        };
        let Some(connection) = self.connections.get_mut(&entry.conn) else {
            return Err((Outcome::Rejected, Cause::UnknownSwitch));
        };
        if entry.role.activate(now, term, job, &mut connection.wire) {
            Ok(())
        } else {
            Err((Outcome::Rejected, Cause::Busy))
        }
    }

    fn deactivate(&mut self, now: Instant, switch: SwitchId, term: Term, job: JobId) -> Result<(), (Outcome, Cause)> {
        self.router_speaks(switch);
        if self.is_equal(switch) {
            if let Some(entry) = self.switches.get_mut(&switch) {
                let events = entry.lane.lose_role(term);
                self.lane_events(now, switch, events);
            }
            self.keeper.not_ours(now, switch, &mut self.outputs);
            return self.settle_equal(now, switch, term, false, job);
        }
        let Some(entry) = self.switches.get_mut(&switch) else {
            return Err((Outcome::Rejected, Cause::UnknownSwitch));
        };
        let Some(connection) = self.connections.get_mut(&entry.conn) else {
            return Err((Outcome::Rejected, Cause::UnknownSwitch));
        };
        if !entry.role.deactivate(now, term, job, &mut connection.wire) {
            return Err((Outcome::Rejected, Cause::Busy));
        }
        // Nothing is written from here on, whether or not the switch answers.
        let events = entry.lane.lose_role(term);
        self.become_inactive(switch);
        self.keeper.not_ours(now, switch, &mut self.outputs);
        self.lane_events(now, switch, events);
        Ok(())
    }

    /// A command ended: its one answer, behind what it tells.
    pub(super) fn finish(&mut self, now: Instant, job: JobId, answer: Answer) {
        let Some(job) = self.jobs.close(job) else {
            return;
        };
        let Answer {
            outcome,
            cause,
            generation,
            messages,
            objects,
            told,
        } = answer;
        self.count(Counter::of(outcome));
        let took = now.saturating_duration_since(job.since);
        self.observe(Histogram::Command, took);
        self.fact(Fact::CommandEnded {
            switch: job.switch,
            correlation_id: job.correlation_id.clone(),
            outcome,
            cause: cause.clone(),
            took,
        });
        let result = CommandResult {
            switch: job.switch,
            outcome,
            cause,
            generation,
            messages,
            objects,
        };
        // What was read is read again when it is asked for again: it may be another by then, and large. Copies of a region-wide
        // request have one name in all partitions, and each is to be looked at.
        let number = match told.is_empty() && job.switch.is_some() {
            true => self.keep_answer(now, &job.correlation_id, &result),
            false => None,
        };
        self.answer(
            now,
            job.switch,
            job.partition,
            job.correlation_id,
            told,
            result,
            job.owed,
            number,
        );
    }

    #[allow(clippy::too_many_arguments)] // where it goes, what it says and what it answers
    pub(super) fn answer(
        &mut self,
        now: Instant,
        switch: Option<SwitchId>,
        partition: i32,
        correlation_id: CorrelationId,
        told: Vec<RegionEventBody>,
        result: CommandResult,
        owed: Vec<(i32, i64)>,
        number: Option<u64>,
    ) {
        let (partition, key) = match switch {
            Some(switch) => (self.partition_of_switch(switch), switch.to_string()),
            None => (partition, self.config.region.to_string()),
        };
        let mut parts: Vec<_> = told
            .into_iter()
            .map(|body| (Some(correlation_id.clone()), body))
            .collect();
        parts.push((Some(correlation_id), RegionEventBody::CommandResult { result }));
        let at_ms = self.at_ms(now);
        let dropped = self
            .publisher
            .answer(at_ms, partition, key, parts, owed, number, &mut self.outputs);
        self.commit(now, dropped.unwrap_or_default());
    }
}

//! The lane of one switch: its commands in order, one at a time, each with one honest end.
//!
//! ```text
//!            +--> Dumping --whole--+--> (dump) ended
//! Idle --front of the queue        |
//!            +--delta----------> Applying: windows with barriers --> ended
//! ```
//!
//! It is told what the role allows and never asks for one. A command is `applied` only after the last barrier reply of this
//! very connection without an error; once anything was sent, every other end is `failed`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ofproto::{BundleControl, ErrorMsg, MultipartReply};
use skerry_bus::reply::SwitchDump;
use skerry_bus::{
    Cause, DesiredChange, Generation, ObjectResults, Objects, Outcome, RuleKey, Sending, SwitchPlan, Term, Wanted,
};

use crate::apply::{Apply, End};
use crate::bundle::{BundleUse, Found};
use crate::bundling::Bundling;
use crate::defect::{self, Defect};
use crate::delta::Delta;
use crate::dump::{Dump, Progress};
use crate::job::JobId;
use crate::keep::Keep;
use crate::known::{Known, Ours};
use crate::plan::{self, Plan};
use crate::queue::{Queue, Waiting, Work};
use crate::role::{Authority, switch_error};
use crate::wire::Wire;

/// Characters of a printed plan that go to the log.
const PLAN_TEXT_MAX: usize = 2_000;

/// How a command ended, or what else is to be told.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// A command ended.
    Ended(Box<Ended>),
    /// A plan is about to be sent.
    Planned {
        generation: Generation,
        steps: usize,
        plan: String,
    },
    /// It was found out whether the switch takes bundles; none: it cannot be asked at the moment.
    Bundles {
        taken: Option<bool>,
        /// Why not.
        why: Option<String>,
    },
    /// This is to be put on disk, then [`Lane::kept`] is to be told: nothing is sent before.
    Keep(Keep),
}

/// The end of a command.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) job: JobId,
    pub(crate) outcome: Outcome,
    pub(crate) cause: Option<Cause>,
    pub(crate) generation: Option<Generation>,
    pub(crate) messages: u32,
    pub(crate) objects: Option<ObjectResults>,
    pub(crate) dump: Option<SwitchDump>,
    pub(crate) plan: Option<SwitchPlan>,
}

/// What this speaker applied last.
#[derive(Debug)]
struct Held {
    generation: Generation,
    objects: Objects,
    foreign_keys: BTreeSet<RuleKey>,
}

#[derive(Debug)]
struct Applying {
    job: JobId,
    expires: Option<Instant>,
    term: Term,
    generation: Generation,
    becomes: Becomes,
    /// The disk is waited for.
    keeping: bool,
    apply: Apply,
}

/// What stands when an apply is done.
#[derive(Debug)]
enum Becomes {
    /// These, beside what is not ours.
    Whole(Objects, BTreeSet<RuleKey>),
    /// What is held, after this step.
    Step(Delta),
}

/// What a dump is for.
#[derive(Debug)]
enum Then {
    /// It is the answer itself.
    Tell,
    /// The answer is what would be done to make this of it.
    Plan(Wanted),
    /// This is applied.
    Apply(Aim),
}

#[derive(Debug)]
struct Dumping {
    job: JobId,
    expires: Option<Instant>,
    then: Then,
    dump: Dump,
    until: Instant,
}

/// What a switch is to be made, whole.
#[derive(Debug)]
struct Aim {
    term: Term,
    generation: Generation,
    wanted: Objects,
    payload: Bytes,
}

#[derive(Debug)]
enum State {
    Idle,
    Dumping(Box<Dumping>),
    Applying(Box<Applying>),
}

/// The lane of one connected switch.
#[derive(Debug)]
pub(crate) struct Lane {
    queue: Queue,
    state: State,
    held: Option<Held>,
    settings: Settings,
    bundling: Bundling,
}

/// What a lane is told once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// How long a switch may take for a barrier reply or for a part of a dump.
    pub(crate) barrier_max: Duration,
    /// Which objects are ours.
    pub(crate) ours: Ours,
    /// When bundles are used.
    pub(crate) bundles: BundleUse,
}

impl Lane {
    pub(crate) fn new(settings: Settings) -> Self {
        Lane {
            queue: Queue::default(),
            state: State::Idle,
            held: None,
            settings,
            bundling: Bundling::new(settings.bundles, settings.barrier_max),
        }
    }

    /// The generation that stands on the switch, as far as this speaker knows.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.held.as_ref().map(|held| held.generation)
    }

    /// Commands in it, the one under way included.
    pub(crate) fn depth(&self) -> usize {
        self.queue.len() + usize::from(!matches!(self.state, State::Idle))
    }

    /// Whether the switch takes bundles; none: it was not asked yet.
    pub(crate) fn takes_bundles(&self) -> Option<bool> {
        self.bundling.is_taken()
    }

    /// An answer about a bundle came. Gives whether it was ours.
    pub(crate) fn bundle(&mut self, xid: u32, reply: &BundleControl) -> bool {
        self.bundling.reply(xid, reply)
            || match &mut self.state {
                State::Applying(a) => a.apply.bundle_reply(xid, reply),
                State::Idle | State::Dumping(_) => false,
            }
    }

    fn ended(&self, job: JobId, outcome: Outcome, cause: Option<Cause>, messages: u32) -> Event {
        Event::Ended(Box::new(Ended {
            job,
            outcome,
            cause,
            generation: self.generation(),
            messages,
            objects: None,
            dump: None,
            plan: None,
        }))
    }

    /// A command came. It waits, or ends at once.
    pub(crate) fn push(&mut self, job: JobId, expires: Option<Instant>, work: Work) -> Vec<Event> {
        let mut events = Vec::new();
        if let Work::Desired {
            term,
            generation,
            change,
            ..
        } = &work
        {
            let (term, generation) = (*term, *generation);
            if let Some(generation) = self.queue.read(term, generation) {
                let cause = Cause::Newer { generation };
                return vec![self.ended(job, Outcome::Superseded, Some(cause), 0)];
            }
            if matches!(change, DesiredChange::Snapshot { .. }) {
                events.extend(self.supersede(term, generation));
            }
        }
        if let Err(job) = self.queue.push(Waiting { job, expires, work }) {
            events.push(self.ended(job, Outcome::Rejected, Some(Cause::Busy), 0));
        }
        events
    }

    /// A snapshot of this generation was read: what is older and has sent nothing is not done any more.
    fn supersede(&mut self, term: Term, newer: Generation) -> Vec<Event> {
        let mut jobs = self.queue.take_older(term, newer);
        if let State::Dumping(d) = &self.state
            && let Then::Apply(aim) = &d.then
            && aim.term == term
            && aim.generation < newer
        {
            jobs.insert(0, d.job);
            self.state = State::Idle;
        }
        jobs.into_iter()
            .map(|job| {
                let cause = Cause::Newer { generation: newer };
                self.ended(job, Outcome::Superseded, Some(cause), 0)
            })
            .collect()
    }

    /// Do what can be done now.
    pub(crate) fn advance(&mut self, now: Instant, authority: Authority, wire: &mut Wire) -> Vec<Event> {
        let expired = self.queue.take_expired(now).into_iter();
        let expired = expired.map(|job| self.ended(job, Outcome::Expired, Some(Cause::Deadline), 0));
        let mut events: Vec<Event> = expired.collect();
        self.bundling.ask(now, authority, wire);
        loop {
            match &self.state {
                State::Dumping(_) => return events,
                State::Applying(a) if a.keeping => return events,
                State::Applying(_) => match self.write(now, authority, wire, &mut events) {
                    true => {}
                    false => return events,
                },
                State::Idle => match self.begin(now, authority, wire, &mut events) {
                    true => {}
                    false => return events,
                },
            }
        }
    }

    /// Begin with the front of the queue. Gives false if there is none or it has to wait.
    fn begin(&mut self, now: Instant, authority: Authority, wire: &mut Wire, events: &mut Vec<Event>) -> bool {
        let Some(front) = self.queue.front() else {
            return false;
        };
        let held_term = match (&front.work, authority) {
            (Work::Dump | Work::Plan(_), _) => None,
            // Never before the reply to the role request.
            (Work::Desired { .. }, Authority::Settling) => return false,
            (Work::Desired { .. }, Authority::Master(term)) => Some(term),
            (Work::Desired { .. }, Authority::None) => None,
        };
        let Some(Waiting { job, expires, work }) = self.queue.pop() else {
            return false;
        };
        match work {
            Work::Dump => self.dump(now, job, expires, Then::Tell, wire),
            Work::Plan(wanted) => self.dump(now, job, expires, Then::Plan(wanted), wire),
            Work::Desired { term, .. } if held_term != Some(term) => {
                let cause = Cause::NoRole { held: held_term };
                events.push(self.ended(job, Outcome::Rejected, Some(cause), 0));
            }
            Work::Desired {
                term,
                generation,
                change: DesiredChange::Snapshot { objects: wanted },
                payload,
            } => {
                if let Err(cause) = plan::validate(self.settings.ours, &wanted) {
                    events.push(self.ended(job, Outcome::Rejected, Some(cause), 0));
                    return true;
                }
                let aim = Aim {
                    term,
                    generation,
                    wanted,
                    payload,
                };
                self.dump(now, job, expires, Then::Apply(aim), wire);
            }
            Work::Desired {
                term,
                generation,
                change: DesiredChange::Delta { base, put, remove },
                payload,
            } => {
                let held = self.generation();
                if held == Some(generation) {
                    // It was done before: commands are absolute.
                    events.push(self.ended(job, Outcome::Applied, None, 0));
                    return true;
                }
                let Some(held) = self
                    .held
                    .as_ref()
                    .filter(|h| (h.generation == base || defect::is(Defect::BaseIgnored)) && base < generation)
                else {
                    let cause = Cause::Base { held };
                    events.push(self.ended(job, Outcome::Rejected, Some(cause), 0));
                    return true;
                };
                let delta = Delta { put, remove };
                let plan = delta.plan(self.settings.ours, &held.objects, &held.foreign_keys);
                let keep = Keep {
                    job,
                    term,
                    generation,
                    base: Some(base),
                    payload,
                };
                self.apply(keep, expires, plan, Becomes::Step(delta), events);
            }
        }
        true
    }

    fn dump(&mut self, now: Instant, job: JobId, expires: Option<Instant>, then: Then, wire: &mut Wire) {
        self.state = State::Dumping(Box::new(Dumping {
            job,
            expires,
            then,
            dump: Dump::start(self.settings.ours, wire),
            until: now + self.settings.barrier_max,
        }));
    }

    /// Plan it, have it put on disk, and only then begin.
    fn apply(
        &mut self,
        keep: Keep,
        expires: Option<Instant>,
        plan: Result<Plan, Cause>,
        becomes: Becomes,
        events: &mut Vec<Event>,
    ) {
        let Keep {
            job, term, generation, ..
        } = keep;
        self.state = State::Idle;
        match plan {
            Err(cause) => events.push(self.ended(job, Outcome::Rejected, Some(cause), 0)),
            Ok(plan) => {
                events.push(Event::Planned {
                    generation,
                    steps: plan.len(),
                    plan: plan.to_text(PLAN_TEXT_MAX),
                });
                self.state = State::Applying(Box::new(Applying {
                    job,
                    expires,
                    term,
                    generation,
                    becomes,
                    keeping: !keep.payload.is_empty(),
                    apply: Apply::new(plan, self.settings.barrier_max),
                }));
                if !keep.payload.is_empty() {
                    events.push(Event::Keep(keep));
                }
            }
        }
    }

    /// What this command needs is on disk, or the disk is not to be waited for: [`Lane::advance`] is to follow.
    pub(crate) fn kept(&mut self, job: JobId) {
        if let State::Applying(a) = &mut self.state
            && a.job == job
        {
            a.keeping = false;
        }
    }

    /// Whether something is being applied, or waits for the disk to be.
    pub(crate) fn is_applying(&self) -> bool {
        matches!(self.state, State::Applying(_))
    }

    /// What shall stand when the command at work is done.
    pub(crate) fn wanted(&self) -> Option<Objects> {
        let State::Applying(a) = &self.state else {
            return None;
        };
        Some(match &a.becomes {
            Becomes::Whole(wanted, _) => wanted.clone(),
            Becomes::Step(delta) => {
                let mut objects = self.held.as_ref()?.objects.clone();
                delta.clone().make(&mut objects);
                objects
            }
        })
    }

    /// What stands on the switch, as far as this speaker knows.
    pub(crate) fn held(&self) -> Option<(Generation, &Objects)> {
        self.held.as_ref().map(|held| (held.generation, &held.objects))
    }

    /// Write what may be written. Gives false if it has to wait.
    fn write(&mut self, now: Instant, authority: Authority, wire: &mut Wire, events: &mut Vec<Event>) -> bool {
        let State::Applying(a) = &mut self.state else {
            return false;
        };
        match authority {
            Authority::Settling => return false,
            Authority::Master(term) if term >= a.term => {}
            Authority::Master(_) | Authority::None => {
                let term = a.term;
                events.extend(self.lose_role(term));
                return true;
            }
        }
        if !a.apply.has_begun() && a.expires.is_some_and(|at| now >= at) {
            let job = a.job;
            self.state = State::Idle;
            events.push(self.ended(job, Outcome::Expired, Some(Cause::Deadline), 0));
            return true;
        }
        if !a.apply.has_begun() {
            if self.bundling.is_asked() {
                return false;
            }
            let sending = self.bundling.sending(a.apply.bundled());
            a.apply
                .use_bundles((sending == Sending::Bundles).then_some(self.bundling.next()));
        }
        a.apply.advance(now, wire);
        self.bundling.used(a.apply.next_bundle());
        false
    }

    /// A barrier reply came. Gives whether it was ours.
    pub(crate) fn barrier(&mut self, now: Instant, xid: u32, wire: &mut Wire) -> (bool, Vec<Event>) {
        if let Some(found) = self.bundling.barrier(xid) {
            return (true, vec![found]);
        }
        let State::Applying(a) = &mut self.state else {
            return (false, Vec::new());
        };
        let ours = a.apply.barrier(now, xid, wire);
        let disliked = a.apply.take_disliked();
        let mut events: Vec<Event> = disliked
            .map(|why| self.bundling.found(Found::Refuses(why)))
            .into_iter()
            .collect();
        events.extend(self.end_if_over());
        (ours, events)
    }

    fn end_if_over(&mut self) -> Vec<Event> {
        match &self.state {
            State::Applying(a) if a.apply.is_over() => self.stop(None).into_iter().collect(),
            State::Applying(_) | State::Idle | State::Dumping(_) => Vec::new(),
        }
    }

    /// A multipart reply came. Gives whether it was ours.
    pub(crate) fn reply(&mut self, now: Instant, xid: u32, reply: MultipartReply, len: usize) -> (bool, Vec<Event>) {
        let until = now + self.settings.barrier_max;
        let State::Dumping(d) = &mut self.state else {
            return (false, Vec::new());
        };
        let progress = d.dump.reply(xid, reply, len);
        if !matches!(progress, Progress::NotMine) {
            d.until = until;
        }
        self.progress(progress)
    }

    fn progress(&mut self, progress: Progress) -> (bool, Vec<Event>) {
        let mut events = Vec::new();
        match progress {
            Progress::NotMine => return (false, events),
            Progress::More => {}
            Progress::Whole(known) => {
                let State::Dumping(d) = std::mem::replace(&mut self.state, State::Idle) else {
                    return (true, events);
                };
                let Dumping { job, expires, then, .. } = *d;
                let mut ended = Ended {
                    job,
                    outcome: Outcome::Applied,
                    cause: None,
                    generation: self.generation(),
                    messages: 0,
                    objects: None,
                    dump: None,
                    plan: None,
                };
                match then {
                    Then::Tell => {
                        ended.dump = Some(known.to_dump());
                        events.push(Event::Ended(Box::new(ended)));
                    }
                    Then::Plan(wanted) => {
                        match self.told_plan(&known, wanted) {
                            Ok(plan) => ended.plan = Some(plan),
                            Err(cause) => (ended.outcome, ended.cause) = (Outcome::Rejected, Some(cause)),
                        }
                        events.push(Event::Ended(Box::new(ended)));
                    }
                    Then::Apply(aim) => {
                        let keep = Keep {
                            job,
                            term: aim.term,
                            generation: aim.generation,
                            base: None,
                            payload: aim.payload,
                        };
                        let plan = plan::plan(self.settings.ours, &known, &aim.wanted);
                        let becomes = Becomes::Whole(aim.wanted, known.foreign_keys);
                        self.apply(keep, expires, plan, becomes, &mut events);
                    }
                }
            }
            Progress::Error(error, what) => events.extend(self.no_dump(switch_error(&error, what))),
            Progress::Refused(detail) => events.extend(self.no_dump(Cause::Malformed { detail })),
        }
        (true, events)
    }

    /// What would be done, and how.
    fn told_plan(&self, known: &Known, wanted: Wanted) -> Result<SwitchPlan, Cause> {
        let plan = plan::plan(self.settings.ours, known, &wanted.objects)?;
        Ok(SwitchPlan {
            stages: plan.to_told(),
            sending: self.bundling.sending(plan.bundled().len()),
            steps: u32::try_from(plan.len()).unwrap_or(u32::MAX),
            generation: Some(wanted.generation),
            foreign: known.foreign.clone(),
        })
    }

    /// The dump cannot be had; nothing was changed.
    fn no_dump(&mut self, cause: Cause) -> Option<Event> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Dumping(d) => Some(self.ended(d.job, Outcome::Rejected, Some(cause), 0)),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// An error came. Gives whether it was about one of our messages.
    pub(crate) fn error(&mut self, xid: u32, error: &ErrorMsg) -> (bool, Vec<Event>) {
        if self.bundling.error(xid, error) {
            return (true, Vec::new());
        }
        match &mut self.state {
            State::Idle => (false, Vec::new()),
            State::Dumping(d) => {
                let progress = d.dump.error(xid, error);
                self.progress(progress)
            }
            State::Applying(a) => {
                let ours = a.apply.error(xid, error);
                (ours, self.end_if_over())
            }
        }
    }

    /// End what is being applied. `cause`: why it ends before it is over.
    fn stop(&mut self, cause: Option<Cause>) -> Option<Event> {
        let a = match std::mem::replace(&mut self.state, State::Idle) {
            State::Applying(a) => *a,
            other => {
                self.state = other;
                return None;
            }
        };
        let End {
            cause,
            unchanged,
            messages,
            objects,
        } = a.apply.end(cause);
        let outcome = match (&cause, unchanged) {
            (None, _) => {
                match (a.becomes, &mut self.held) {
                    (Becomes::Whole(objects, foreign_keys), held) => {
                        *held = Some(Held {
                            generation: a.generation,
                            objects,
                            foreign_keys,
                        });
                    }
                    (Becomes::Step(delta), Some(held)) => {
                        delta.make(&mut held.objects);
                        held.generation = a.generation;
                    }
                    // A step from nothing is not begun, and what stands is forgotten only with an end of the step.
                    (Becomes::Step(_), None) => {}
                }
                Outcome::Applied
            }
            // Design section 3: `rejected` is said only where nothing was sent.
            (Some(_), _) if messages == 0 => Outcome::Rejected,
            // A bundle that was not done: what stood stands, and a step from it is taken.
            (Some(_), true) => Outcome::Failed,
            (Some(_), false) => {
                self.held = None;
                Outcome::Failed
            }
        };
        Some(Event::Ended(Box::new(Ended {
            job: a.job,
            outcome,
            cause,
            generation: self.generation(),
            messages,
            objects: Some(objects),
            dump: None,
            plan: None,
        })))
    }

    /// The role under this term is gone, or is being given up: nothing of it is written any more. Commands of a newer term,
    /// which is perhaps being asked for at this moment, keep their place.
    pub(crate) fn lose_role(&mut self, lost: Term) -> Vec<Event> {
        let cause = || Cause::NoRole { held: None };
        let mut events: Vec<Event> = self.stop(Some(cause())).into_iter().collect();
        if matches!(&self.state, State::Dumping(d) if matches!(&d.then, Then::Apply(aim) if aim.term <= lost)) {
            events.extend(self.no_dump(cause()));
        }
        self.held = None;
        for job in self.queue.take_of_terms_until(lost) {
            events.push(self.ended(job, Outcome::Rejected, Some(cause()), 0));
        }
        events
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self) -> Vec<Event> {
        self.held = None;
        let mut events: Vec<Event> = self.stop(Some(Cause::ConnectionLost)).into_iter().collect();
        events.extend(self.no_dump(Cause::ConnectionLost));
        for job in self.queue.take_all() {
            events.push(self.ended(job, Outcome::Rejected, Some(Cause::UnknownSwitch), 0));
        }
        events
    }

    /// When something is late.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Idle => None,
            State::Dumping(d) => Some(d.until),
            State::Applying(a) => a.apply.until(),
        };
        [state, self.queue.deadline(), self.bundling.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// A deadline may have passed; [`Lane::advance`] is to follow.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Event> {
        if let Some(found) = self.bundling.handle_timeout(now) {
            return vec![found];
        }
        match &self.state {
            State::Dumping(d) if now >= d.until => self.no_dump(Cause::NoBarrier).into_iter().collect(),
            State::Applying(a) if a.apply.until().is_some_and(|until| now >= until) => {
                self.stop(Some(Cause::NoBarrier)).into_iter().collect()
            }
            State::Idle | State::Dumping(_) | State::Applying(_) => Vec::new(),
        }
    }
}

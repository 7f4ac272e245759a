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

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ofproto::{BundleControl, ErrorMsg, MultipartReply};
use skerry_bus::reply::SwitchDump;
use skerry_bus::{
    Cause, DesiredChange, Generation, ObjectResults, Objects, Outcome, RuleKey, Sending, SwitchPlan, Term, Wanted,
};

use crate::apply::{Apply, End};
use crate::bundle::{BUNDLE_MAX, BundleUse, Found, Probe};
use crate::dump::{Dump, Progress};
use crate::job::JobId;
use crate::keep::Keep;
use crate::known::{Known, Ours};
use crate::plan;
use crate::role::{Authority, switch_error};
use crate::wire::Wire;

/// Commands that may wait in one lane. A switch this far behind is helped by waiting: the next is refused as `Busy`.
pub const LANE_COMMANDS_MAX: usize = 64;
/// Characters of a printed plan that go to the log.
const PLAN_TEXT_MAX: usize = 2_000;

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

#[derive(Debug)]
struct Waiting {
    job: JobId,
    /// When its deadline passes; none if the broker's time is not known.
    expires: Option<Instant>,
    work: Work,
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
    wanted: Objects,
    foreign_keys: BTreeSet<RuleKey>,
    /// The disk is waited for.
    keeping: bool,
    apply: Apply,
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
    queue: VecDeque<Waiting>,
    state: State,
    held: Option<Held>,
    /// The newest generation read under the newest term.
    newest: Option<(Term, Generation)>,
    settings: Settings,
    bundles: Bundles,
    /// Number of the next bundle of this connection.
    bundle_id: u32,
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

/// Whether the switch takes bundles.
#[derive(Debug)]
enum Bundles {
    /// It was not asked: only a MASTER may.
    Unknown,
    Asking(Probe),
    Taken,
    Refused,
}

impl Lane {
    pub(crate) fn new(settings: Settings) -> Self {
        Lane {
            queue: VecDeque::new(),
            state: State::Idle,
            held: None,
            newest: None,
            settings,
            bundles: Bundles::Unknown,
            bundle_id: 1,
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
        match self.bundles {
            Bundles::Unknown | Bundles::Asking(_) => None,
            Bundles::Taken => Some(true),
            Bundles::Refused => Some(false),
        }
    }

    /// How a plan would go.
    fn sending(&self, messages: usize) -> Sending {
        let fits = match self.settings.bundles {
            BundleUse::Never => false,
            BundleUse::Auto => (1..=BUNDLE_MAX).contains(&messages),
            BundleUse::Always => messages > 0,
        };
        match (&self.bundles, fits) {
            (Bundles::Taken, true) => Sending::Bundles,
            (Bundles::Taken, false) | (Bundles::Unknown | Bundles::Asking(_) | Bundles::Refused, _) => Sending::Stages,
        }
    }

    /// Ask whether the switch takes bundles, as soon as that may be asked.
    fn probe(&mut self, now: Instant, authority: Authority, wire: &mut Wire) {
        let may = matches!(authority, Authority::Master(_)) && self.settings.bundles != BundleUse::Never;
        if may && matches!(self.bundles, Bundles::Unknown) {
            let until = now + self.settings.barrier_max;
            self.bundles = Bundles::Asking(Probe::start(self.bundle_id, until, wire));
            self.bundle_id = self.bundle_id.wrapping_add(1);
        }
    }

    fn found(&mut self, found: Found) -> Event {
        let (bundles, why) = match found {
            Found::Takes => (Bundles::Taken, None),
            Found::Refuses(why) => (Bundles::Refused, Some(why)),
            Found::NotAllowed => (Bundles::Unknown, None),
        };
        self.bundles = bundles;
        Event::Bundles {
            taken: self.takes_bundles(),
            why,
        }
    }

    /// An answer about a bundle came. Gives whether it was ours.
    pub(crate) fn bundle(&mut self, xid: u32, reply: &BundleControl) -> bool {
        if let Bundles::Asking(probe) = &mut self.bundles
            && probe.reply(xid, reply)
        {
            return true;
        }
        match &mut self.state {
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
            match self.newest {
                Some((t, newest)) if t == term && generation < newest => {
                    let cause = Cause::Newer { generation: newest };
                    return vec![self.ended(job, Outcome::Superseded, Some(cause), 0)];
                }
                // An older term is refused when its turn comes, like any that is not held.
                Some((t, _)) if term < t => {}
                _ => self.newest = Some((term, generation)),
            }
            if matches!(change, DesiredChange::Snapshot { .. }) {
                events.extend(self.supersede(term, generation));
            }
        }
        if self.queue.len() >= LANE_COMMANDS_MAX {
            events.push(self.ended(job, Outcome::Rejected, Some(Cause::Busy), 0));
            return events;
        }
        self.queue.push_back(Waiting { job, expires, work });
        events
    }

    /// A snapshot of this generation was read: what is older and has sent nothing is not done any more.
    fn supersede(&mut self, term: Term, newer: Generation) -> Vec<Event> {
        let older = |work: &Work| matches!(work, Work::Desired { term: t, generation, .. } if *t == term && *generation < newer);
        let (gone, kept): (VecDeque<Waiting>, VecDeque<Waiting>) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|w| older(&w.work));
        self.queue = kept;
        let mut jobs: Vec<JobId> = gone.into_iter().map(|w| w.job).collect();
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
        let mut events = Vec::new();
        self.expire(now, &mut events);
        self.probe(now, authority, wire);
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

    fn expire(&mut self, now: Instant, events: &mut Vec<Event>) {
        let late = |w: &Waiting| w.expires.is_some_and(|at| now >= at);
        if !self.queue.iter().any(late) {
            return;
        }
        let (gone, kept): (VecDeque<Waiting>, VecDeque<Waiting>) =
            std::mem::take(&mut self.queue).into_iter().partition(late);
        self.queue = kept;
        for waiting in gone {
            events.push(self.ended(waiting.job, Outcome::Expired, Some(Cause::Deadline), 0));
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
        let Some(Waiting { job, expires, work }) = self.queue.pop_front() else {
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
                let Some(current) = self.held.as_ref().filter(|h| h.generation == base && base < generation) else {
                    let cause = Cause::Base { held };
                    events.push(self.ended(job, Outcome::Rejected, Some(cause), 0));
                    return true;
                };
                let mut wanted = current.objects.clone();
                wanted.remove(&remove);
                wanted.extend(put);
                let known = Known::of(&current.objects, current.foreign_keys.clone());
                let keep = Keep {
                    job,
                    term,
                    generation,
                    base: Some(base),
                    payload,
                };
                self.apply(keep, expires, known, wanted, events);
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
    fn apply(&mut self, keep: Keep, expires: Option<Instant>, known: Known, wanted: Objects, events: &mut Vec<Event>) {
        let Keep {
            job, term, generation, ..
        } = keep;
        self.state = State::Idle;
        match plan::plan(self.settings.ours, &known, &wanted) {
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
                    wanted,
                    foreign_keys: known.foreign_keys,
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

    /// What shall stand when the command at work is done.
    pub(crate) fn wanted(&self) -> Option<&Objects> {
        match &self.state {
            State::Applying(a) => Some(&a.wanted),
            State::Idle | State::Dumping(_) => None,
        }
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
            if matches!(self.bundles, Bundles::Asking(_)) {
                return false;
            }
            let bundled = a.apply.bundled();
            let sending = self.sending(bundled);
            let first = (sending == Sending::Bundles).then_some(self.bundle_id);
            if let State::Applying(a) = &mut self.state {
                a.apply.use_bundles(first);
            }
        }
        if let State::Applying(a) = &mut self.state {
            a.apply.advance(now, wire);
            if a.apply.next_bundle() > 0 {
                self.bundle_id = a.apply.next_bundle();
            }
        }
        false
    }

    /// A barrier reply came. Gives whether it was ours.
    pub(crate) fn barrier(&mut self, now: Instant, xid: u32, wire: &mut Wire) -> (bool, Vec<Event>) {
        if let Bundles::Asking(probe) = &self.bundles
            && let Some(found) = probe.barrier(xid)
        {
            return (true, vec![self.found(found)]);
        }
        let State::Applying(a) = &mut self.state else {
            return (false, Vec::new());
        };
        let ours = a.apply.barrier(now, xid, wire);
        let disliked = a.apply.take_disliked();
        let mut events: Vec<Event> = disliked
            .map(|why| self.found(Found::Refuses(why)))
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
                        self.apply(keep, expires, *known, aim.wanted, &mut events);
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
            sending: self.sending(plan.bundled().len()),
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
        if let Bundles::Asking(probe) = &mut self.bundles
            && probe.error(xid, error)
        {
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
                self.held = Some(Held {
                    generation: a.generation,
                    objects: a.wanted,
                    foreign_keys: a.foreign_keys,
                });
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
        let (gone, kept): (VecDeque<Waiting>, VecDeque<Waiting>) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|w| matches!(w.work, Work::Desired { term, .. } if term <= lost));
        self.queue = kept;
        for waiting in gone {
            events.push(self.ended(waiting.job, Outcome::Rejected, Some(cause()), 0));
        }
        events
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self) -> Vec<Event> {
        self.held = None;
        let mut events: Vec<Event> = self.stop(Some(Cause::ConnectionLost)).into_iter().collect();
        events.extend(self.no_dump(Cause::ConnectionLost));
        for waiting in std::mem::take(&mut self.queue) {
            events.push(self.ended(waiting.job, Outcome::Rejected, Some(Cause::UnknownSwitch), 0));
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
        let waiting = self.queue.iter().filter_map(|w| w.expires).min();
        let asking = match &self.bundles {
            Bundles::Asking(probe) => Some(probe.until),
            Bundles::Unknown | Bundles::Taken | Bundles::Refused => None,
        };
        [state, waiting, asking].into_iter().flatten().min()
    }

    /// A deadline may have passed; [`Lane::advance`] is to follow.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Event> {
        if matches!(&self.bundles, Bundles::Asking(probe) if now >= probe.until) {
            let found = Found::Refuses("it did not answer in time".to_owned());
            return vec![self.found(found)];
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

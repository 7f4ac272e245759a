//! Commands of services: to which region they go, and that each is answered exactly once.
//!
//! Changes (`apply`) do not leave from here: they become edits of the desired state, which is sent again until it
//! stands. What leaves are questions: dumps, plans and snapshots. A dump is asked of a region that only reads, else of one that
//! is not active, else of the active one, so that reading does not load whoever writes; if that region is lost the next one is
//! asked. A command for many switches is taken apart, and each part is routed and answered as if it had come alone.

mod accept;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::reply::{Cause, CommandResult, Outcome, ReplyBody};
use skerry_bus::{
    BrokerClock, Command, CorrelationId, Mode, Region, RegionEvent, RegionEventBody, Reply, SwitchId, Term,
};

use crate::defect::{self, Defect};
use crate::due::Due;

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// All configured regions: those that do not live count as not having answered a region-wide request.
    pub regions: Vec<Region>,
    /// Which owner we are: goes into every command.
    pub owner_epoch: u64,
    /// No command waits longer than this, whatever its deadline.
    pub wait_max: Duration,
}

impl Config {
    /// Defaults.
    pub fn new(regions: Vec<Region>, owner_epoch: u64) -> Self {
        Config {
            regions,
            owner_epoch,
            wait_max: Duration::from_secs(600),
        }
    }
}

/// Commands that wait for an answer. A router this far behind is helped by waiting: the next is refused as busy.
pub const PENDING_MAX: usize = 10_000;
/// Switches of one command. More belong into several, whose answers can be taken one by one.
pub const PARTS_MAX: usize = 1_000;
/// Characters of the name of a command with parts: each part is named after it.
const PARTS_ID_MAX: usize = CorrelationId::LEN_MAX - 6;
/// Answers that are remembered, so that a command that comes again is answered again and not done again.
pub const ANSWERED_MAX: usize = 4_096;

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A command was read from `skerry.v1.commands` (or comes from the router itself).
    Command(Box<Command>),
    /// A message that [`crate::presence`] let pass: answers are picked out of it.
    Event(Box<RegionEvent>),
    /// Where a switch is active.
    Active {
        /// The switch.
        switch: SwitchId,
        /// The region; none: nowhere.
        region: Option<Region>,
        /// Its term.
        term: Term,
    },
    /// Who reaches a switch.
    Reached {
        /// The switch.
        switch: SwitchId,
        /// The regions, with what they may do; none: the switch is forgotten.
        regions: Option<BTreeMap<Region, Mode>>,
        /// Why no region is active, if none is.
        reason: String,
    },
    /// A region lives or not.
    Region {
        /// The region.
        region: Region,
        /// Whether it lives.
        live: bool,
    },
    /// [`crate::tables`] ended an edit.
    Edited {
        /// The command's.
        correlation_id: CorrelationId,
        /// How it ended.
        result: CommandResult,
    },
    /// The broker's clock. Deadlines cannot be judged before it is known: commands wait until then.
    Clock(BrokerClock),
    /// Our owner epoch from now on.
    Owner(u64),
    /// The bus is back: questions that were asked meanwhile never left, and those before may be gone.
    BusBack,
    /// After a restart: an edit of this name was begun before, and its end is not known. It comes again.
    Begun(CorrelationId),
    /// After a restart: this was answered before.
    Answered {
        /// Key of the answer.
        requester: String,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this to the region.
    Send {
        /// The region.
        region: Region,
        /// The command, with region and owner epoch filled in.
        command: Box<Command>,
    },
    /// Hand this to [`crate::tables`] as an edit; the answer comes from there.
    Edit {
        /// The command's.
        correlation_id: CorrelationId,
        /// The switch.
        switch: SwitchId,
        /// Objects that shall stand.
        put: Objects,
        /// Objects that shall not.
        remove: ObjectKeys,
        /// When it has to be answered.
        deadline: Instant,
        /// It was begun before a restart, so something of it may have been sent.
        begun: bool,
    },
    /// The one answer, for this requester.
    Reply {
        /// Key of the answer.
        requester: String,
        /// The answer.
        reply: Box<Reply>,
        /// Whether it has to be the same after a restart.
        lasts: Lasts,
    },
    /// An edit that is a part of a command ended; it is answered under the name of the whole. After a restart this comes back by
    /// [`Input::Answered`].
    PartEnded {
        /// The switch.
        switch: SwitchId,
        /// Key of the answer.
        requester: String,
        /// The answer, with the name of the part.
        reply: Box<Reply>,
    },
    /// An answer that nobody waits for (late, or given twice).
    Dropped {
        /// What it answers.
        correlation_id: CorrelationId,
    },
}

/// How long an answer is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Nothing was changed: after a restart the command may be done anew.
    No,
    /// An edit of this switch was refused: the same record is refused again, and another one of the same name is tried.
    Record(SwitchId),
    /// An edit of this switch ended: whatever has its name has this answer.
    Name(SwitchId),
}

#[derive(Debug)]
struct Pending {
    requester: String,
    until: Instant,
    waits: Waits,
    /// The command of which it is a part.
    part_of: Option<CorrelationId>,
    /// What was asked, to be asked again; none: it is not asked of a region.
    question: Option<Box<Command>>,
}

/// Who reaches a switch, and why it may not be asked for anything else than reading.
#[derive(Debug, Default)]
struct Reached {
    regions: BTreeMap<Region, Mode>,
    reason: String,
}

/// What a command waits for.
#[derive(Debug)]
enum Waits {
    /// The end of its edit.
    Edit { switch: SwitchId },
    /// What a switch holds.
    Dump {
        switch: SwitchId,
        region: Region,
        /// The question, for another region.
        command: Box<Command>,
        /// Regions that did not answer it.
        tried: BTreeSet<Region>,
    },
    /// What would be done to make a switch what it shall be.
    Plan { switch: SwitchId, region: Region },
    /// A switch's state, told again.
    Snapshot { switch: SwitchId, region: Region },
    /// The end of each of its parts.
    Parts { open: u32, applied: u32, not_applied: u32 },
    /// The end of every region's snapshot.
    Regions {
        open: BTreeSet<Region>,
        applied: u32,
        not_applied: u32,
    },
}

/// The machine. Every command ends, once:
///
/// | input | edit | dump | plan | snapshot of a switch | region-wide | many switches |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | the command, nobody can be asked | rejected, with the reason | same | same | same | done, none applied | each part by itself |
/// | the command, deadline past | expired | expired | expired | expired | done, none applied | done, none applied |
/// | the edit ended | as it ended | – | – | – | – | – |
/// | the dump or plan came | – | applied, with it | applied, with it | – | – | – |
/// | the switch's state came | – | – | – | applied | – | – |
/// | result `applied` | – | waits for what was read | same | applied | counts; done with the last | – |
/// | rejected: the region does not have the switch | – | asks the next, else as told | as told | as told | counts | – |
/// | any other result | – | as told | as told | as told | counts; done with the last | – |
/// | the region is lost or leaves the switch | – (tables send again) | asks the next, else failed | failed, region lost | same | counts | – |
/// | another region is active, the one asked reaches it | – | – | – | – | – | – |
/// | the deadline | tables answer; failed a second later | failed | failed | failed | done, the rest not applied | with its last part |
/// | a part ended | – | – | – | – | – | counts; done with the last |
///
/// A command that comes again while it is under way waits for the same answer; one that was answered is answered the
/// same way again, except that what was read is read again.
#[derive(Debug)]
pub struct Routing {
    config: Config,
    clock: Option<BrokerClock>,
    /// Commands that came before it, in their order. A router that starts reads again what the one before it may have done:
    /// whatever it would say at once could contradict that.
    early: VecDeque<Command>,
    active: BTreeMap<SwitchId, Region>,
    reached: BTreeMap<SwitchId, Reached>,
    live: BTreeSet<Region>,
    pending: BTreeMap<CorrelationId, Pending>,
    due: Due<CorrelationId>,
    answered: BTreeMap<CorrelationId, (String, ReplyBody)>,
    answered_order: VecDeque<CorrelationId>,
    /// Edits that were begun before a restart and did not come again yet.
    begun: BTreeSet<CorrelationId>,
    outputs: VecDeque<Output>,
}

/// Tables answer edits at their deadline; this is only for the case that they do not.
const EDIT_GRACE: Duration = Duration::from_secs(1);

impl Routing {
    /// Knows no switch and no live region.
    pub fn new(config: Config, _now: Instant) -> Self {
        Routing {
            config,
            clock: None,
            early: VecDeque::new(),
            active: BTreeMap::new(),
            reached: BTreeMap::new(),
            live: BTreeSet::new(),
            pending: BTreeMap::new(),
            due: Due::new(),
            answered: BTreeMap::new(),
            answered_order: VecDeque::new(),
            begun: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Commands under way.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Command(command) if self.clock.is_none() && self.early.len() < PENDING_MAX => {
                self.early.push_back(*command);
            }
            Input::Command(command) => self.command(now, *command),
            Input::Event(event) => self.event(*event),
            Input::Active { switch, region, .. } => {
                match region {
                    Some(region) => self.active.insert(switch, region),
                    None => self.active.remove(&switch),
                };
            }
            Input::Reached {
                switch,
                regions,
                reason,
            } => {
                let reach = regions.clone().unwrap_or_default();
                match regions {
                    Some(regions) => drop(self.reached.insert(switch, Reached { regions, reason })),
                    None => drop(self.reached.remove(&switch)),
                }
                self.region_left(|of, asked| of == switch && !reach.contains_key(asked));
            }
            Input::Region { region, live: true } => {
                self.live.insert(region);
            }
            Input::Region { region, live: false } => {
                self.live.remove(&region);
                self.region_left(|_, asked| *asked == region);
                let waiting: Vec<_> = self.pending.keys().cloned().collect();
                for id in waiting {
                    self.region_answered(&id, &region, false);
                }
            }
            Input::Edited { correlation_id, result } => {
                let waits = self.pending.get(&correlation_id).map(|p| &p.waits);
                match waits {
                    Some(Waits::Edit { .. }) => self.answer(correlation_id, ended(result)),
                    Some(
                        Waits::Dump { .. }
                        | Waits::Plan { .. }
                        | Waits::Snapshot { .. }
                        | Waits::Regions { .. }
                        | Waits::Parts { .. },
                    )
                    | None => {
                        self.outputs.push_back(Output::Dropped { correlation_id });
                    }
                }
            }
            Input::Clock(clock) => {
                self.clock = Some(clock);
                while let Some(command) = self.early.pop_front() {
                    self.command(now, command);
                }
            }
            Input::Owner(owner_epoch) => self.config.owner_epoch = owner_epoch,
            Input::BusBack => self.ask_again(),
            Input::Begun(id) => {
                self.begun.insert(id);
            }
            Input::Answered { requester, reply } => self.remember(reply.correlation_id, requester, reply.body),
        }
    }

    fn event(&mut self, event: RegionEvent) {
        use RegionEventBody as B;
        let Some(id) = event.correlation_id else { return };
        let Some(pending) = self.pending.get(&id) else {
            // Our own commands are answered elsewhere; of services' commands only late answers come here, and the
            // `applied` behind what was told.
            if let B::CommandResult { result } = &event.body
                && let Some((_, ReplyBody::SwitchResult { result: given, .. })) = self.answered.get(&id)
                && (result.outcome, given.outcome) != (Outcome::Applied, Outcome::Applied)
            {
                self.outputs.push_back(Output::Dropped { correlation_id: id });
            }
            return;
        };
        let asked = |switch: SwitchId, region: &Region, of: SwitchId| switch == of && *region == event.region;
        match (&pending.waits, event.body) {
            (Waits::Regions { .. }, B::CommandResult { result }) => {
                self.region_answered(&id, &event.region, result.outcome == Outcome::Applied);
            }
            (Waits::Dump { switch, region, .. }, B::SwitchDump { switch: of, dump }) if asked(*switch, region, of) => {
                let mut body = applied(of);
                if let ReplyBody::SwitchResult { dump: place, .. } = &mut body {
                    *place = Some(dump);
                }
                self.answer(id, body);
            }
            (Waits::Plan { switch, region }, B::SwitchPlan { switch: of, plan }) if asked(*switch, region, of) => {
                let mut body = applied(of);
                if let ReplyBody::SwitchResult { plan: place, .. } = &mut body {
                    *place = Some(plan);
                }
                self.answer(id, body);
            }
            (Waits::Snapshot { switch, region }, B::SwitchChanged { state })
                if asked(*switch, region, state.switch) =>
            {
                self.answer(id, applied(state.switch));
            }
            (Waits::Snapshot { region, .. }, B::CommandResult { result }) if *region == event.region => {
                self.answer(id, ended(result));
            }
            // It does not have the switch (any more): then another one is asked.
            (Waits::Dump { region, .. }, B::CommandResult { result })
                if *region == event.region && result.outcome == Outcome::Rejected =>
            {
                self.ask_another(&id, ended(result));
            }
            (Waits::Dump { region, .. } | Waits::Plan { region, .. }, B::CommandResult { result })
                if *region == event.region && result.outcome != Outcome::Applied =>
            {
                self.answer(id, ended(result));
            }
            // An applied question waits for what was read; anything else is part of no answer.
            (
                Waits::Dump { .. }
                | Waits::Plan { .. }
                | Waits::Snapshot { .. }
                | Waits::Edit { .. }
                | Waits::Parts { .. }
                | Waits::Regions { .. },
                _,
            ) => {}
        }
    }

    fn region_answered(&mut self, id: &CorrelationId, region: &Region, ok: bool) {
        let Some(pending) = self.pending.get_mut(id) else {
            return;
        };
        match &mut pending.waits {
            Waits::Regions {
                open,
                applied,
                not_applied,
            } => {
                if open.remove(region) {
                    *(if ok { applied } else { not_applied }) += 1;
                }
                self.end_if_all_answered(id.clone());
            }
            Waits::Edit { .. }
            | Waits::Dump { .. }
            | Waits::Plan { .. }
            | Waits::Snapshot { .. }
            | Waits::Parts { .. } => {}
        }
    }

    pub(super) fn end_if_all_answered(&mut self, id: CorrelationId) {
        let (over, applied, not_applied) = match self.pending.get(&id).map(|pending| &pending.waits) {
            Some(Waits::Regions {
                open,
                applied,
                not_applied,
            }) => (open.is_empty(), *applied, *not_applied),
            Some(Waits::Parts {
                open,
                applied,
                not_applied,
            }) => (*open == 0, *applied, *not_applied),
            Some(Waits::Edit { .. } | Waits::Dump { .. } | Waits::Plan { .. } | Waits::Snapshot { .. }) | None => {
                return;
            }
        };
        if over {
            self.answer(id, ReplyBody::Done { applied, not_applied });
        }
    }

    /// Questions to a region that no longer can answer for the switch.
    fn region_left(&mut self, left: impl Fn(SwitchId, &Region) -> bool) {
        let ended: Vec<(CorrelationId, SwitchId)> = self
            .pending
            .iter()
            .filter_map(|(id, pending)| match &pending.waits {
                Waits::Dump { switch, region, .. }
                | Waits::Plan { switch, region }
                | Waits::Snapshot { switch, region } => left(*switch, region).then(|| (id.clone(), *switch)),
                Waits::Edit { .. } | Waits::Regions { .. } | Waits::Parts { .. } => None,
            })
            .collect();
        for (id, switch) in ended {
            self.ask_another(&id, not_applied(Some(switch), Outcome::Failed, Cause::RegionLost));
        }
    }

    /// The region that was asked does not answer. What only reads is asked of another one; if there is none, or it is another
    /// question, this is the answer.
    fn ask_another(&mut self, id: &CorrelationId, otherwise: ReplyBody) {
        let next = match self.pending.get(id).map(|pending| &pending.waits) {
            Some(Waits::Dump {
                switch, region, tried, ..
            }) => {
                let mut tried = tried.clone();
                tried.insert(region.clone());
                self.reader(*switch, &tried).map(|next| (next, tried))
            }
            _ => None,
        };
        if let Some((next, now_tried)) = next
            && let Some(Waits::Dump {
                region, tried, command, ..
            }) = self.pending.get_mut(id).map(|pending| &mut pending.waits)
        {
            *region = next.clone();
            *tried = now_tried;
            let command = (**command).clone();
            return self.send(next, command);
        }
        self.answer(id.clone(), otherwise);
    }

    /// The one answer.
    fn answer(&mut self, id: CorrelationId, body: ReplyBody) {
        let Some(pending) = self.pending.remove(&id) else {
            return;
        };
        self.due.set(id.clone(), None);
        // What was read is read again when it is asked for again: it may be another by then, and large.
        let large = matches!(
            body,
            ReplyBody::SwitchResult { dump: Some(_), .. } | ReplyBody::SwitchResult { plan: Some(_), .. }
        );
        // Of a command for many switches the parts are remembered: they are told again, and then the sum.
        let large = large || matches!(pending.waits, Waits::Parts { .. });
        if !large {
            self.remember(id.clone(), pending.requester.clone(), body.clone());
        }
        let lasts = match pending.waits {
            Waits::Edit { switch } => Lasts::Name(switch),
            Waits::Dump { .. }
            | Waits::Plan { .. }
            | Waits::Snapshot { .. }
            | Waits::Regions { .. }
            | Waits::Parts { .. } => Lasts::No,
        };
        if let Some(whole) = pending.part_of {
            if let Lasts::Name(switch) = lasts {
                self.outputs.push_back(Output::PartEnded {
                    switch,
                    requester: pending.requester,
                    reply: Box::new(Reply {
                        correlation_id: id,
                        body: body.clone(),
                    }),
                });
            }
            self.part_ended(&whole, body);
            return self.end_if_all_answered(whole);
        }
        let reply = Output::Reply {
            requester: pending.requester,
            reply: Box::new(Reply {
                correlation_id: id,
                body,
            }),
            lasts,
        };
        if defect::is(Defect::AnsweredTwice) {
            self.outputs.push_back(reply.clone());
        }
        self.outputs.push_back(reply);
    }

    fn remember(&mut self, id: CorrelationId, requester: String, body: ReplyBody) {
        if self.answered.insert(id.clone(), (requester, body)).is_none() {
            self.answered_order.push_back(id);
        }
        if self.answered_order.len() > ANSWERED_MAX
            && let Some(oldest) = self.answered_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
    }

    /// Ask every question again that is not answered: speakers do one twice, which changes nothing.
    fn ask_again(&mut self) {
        let mut questions = Vec::new();
        for pending in self.pending.values() {
            let Some(question) = &pending.question else { continue };
            let regions: Vec<&Region> = match &pending.waits {
                Waits::Edit { .. } | Waits::Parts { .. } => Vec::new(),
                Waits::Dump { region, .. } | Waits::Plan { region, .. } | Waits::Snapshot { region, .. } => {
                    vec![region]
                }
                Waits::Regions { open, .. } => open.iter().collect(),
            };
            questions.extend(regions.into_iter().map(|region| (region.clone(), (**question).clone())));
        }
        for (region, question) in questions {
            self.send(region, question);
        }
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for id in self.due.take(now) {
            let Some(pending) = self.pending.get(&id) else { continue };
            debug_assert!(pending.until <= now);
            let body = match &pending.waits {
                Waits::Edit { switch }
                | Waits::Dump { switch, .. }
                | Waits::Plan { switch, .. }
                | Waits::Snapshot { switch, .. } => not_applied(Some(*switch), Outcome::Failed, Cause::Deadline),
                // It has no deadline of its own.
                Waits::Parts { .. } => continue,
                Waits::Regions {
                    open,
                    applied,
                    not_applied,
                } => ReplyBody::Done {
                    applied: *applied,
                    not_applied: not_applied + open.len() as u32,
                },
            };
            self.answer(id, body);
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.due.first().map(|(at, _)| (at, "command is not answered"))
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

fn ended(result: CommandResult) -> ReplyBody {
    ReplyBody::SwitchResult {
        result,
        dump: None,
        plan: None,
    }
}

fn applied(switch: SwitchId) -> ReplyBody {
    ended(CommandResult {
        switch: Some(switch),
        outcome: Outcome::Applied,
        cause: None,
        generation: None,
        messages: 0,
        objects: None,
    })
}

pub(super) fn not_applied(switch: Option<SwitchId>, outcome: Outcome, cause: Cause) -> ReplyBody {
    ended(CommandResult {
        switch,
        outcome,
        cause: Some(cause),
        generation: None,
        messages: 0,
        objects: None,
    })
}

#[cfg(test)]
mod tests;

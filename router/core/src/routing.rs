//! Commands of services: to which region they go, and that each is answered exactly once.
//!
//! Changes (`apply`) do not leave from here: they become edits of the desired state, which is sent again until it
//! stands. What leaves are questions: dumps and snapshots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::reply::{Cause, CommandResult, Outcome, ReplyBody};
use skerry_bus::{
    BrokerClock, Command, CommandBody, CorrelationId, Region, RegionEvent, RegionEventBody, Reply, SwitchId, Term,
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
    /// The broker's clock. Deadlines cannot be judged before it is known: commands are refused as busy until then.
    Clock(BrokerClock),
    /// Our owner epoch from now on.
    Owner(u64),
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
    },
    /// The one answer, for this requester.
    Reply {
        /// Key of the answer.
        requester: String,
        /// The answer.
        reply: Box<Reply>,
    },
    /// An answer that nobody waits for (late, or given twice).
    Dropped {
        /// What it answers.
        correlation_id: CorrelationId,
    },
}

#[derive(Debug)]
struct Pending {
    requester: String,
    until: Instant,
    waits: Waits,
}

/// What a command waits for.
#[derive(Debug)]
enum Waits {
    /// The end of its edit.
    Edit { switch: SwitchId },
    /// What a switch holds.
    Dump { switch: SwitchId, region: Region },
    /// What would be done to make a switch what it shall be.
    Plan { switch: SwitchId, region: Region },
    /// A switch's state, told again.
    Snapshot { switch: SwitchId, region: Region },
    /// The end of every region's snapshot.
    Regions {
        open: BTreeSet<Region>,
        applied: u32,
        not_applied: u32,
    },
}

/// The machine. Every command ends, once:
///
/// | input | edit | dump, plan | snapshot of a switch | region-wide |
/// | --- | --- | --- | --- | --- |
/// | the command, no region active | rejected, unknown switch | same | same | done, none applied |
/// | the command, deadline past | expired | expired | expired | done, none applied |
/// | the edit ended | as it ended | – | – | – |
/// | the dump or plan came | – | applied, with it | – | – |
/// | the switch's state came | – | – | applied | – |
/// | result `applied` | – | waits for what was read | applied | counts; done with the last |
/// | any other result | – | as told | as told | counts; done with the last |
/// | the region is lost | – (tables send again) | failed, region lost | same | counts; done with the last |
/// | another region is active | – | failed, region lost | same | – |
/// | the deadline | tables answer; failed a second later | failed | failed | done, the rest not applied |
///
/// A command that comes again while it is under way waits for the same answer; one that was answered is answered the
/// same way again, except that what was read is read again.
#[derive(Debug)]
pub struct Routing {
    config: Config,
    clock: Option<BrokerClock>,
    active: BTreeMap<SwitchId, Region>,
    live: BTreeSet<Region>,
    pending: BTreeMap<CorrelationId, Pending>,
    due: Due<CorrelationId>,
    answered: BTreeMap<CorrelationId, (String, ReplyBody)>,
    answered_order: VecDeque<CorrelationId>,
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
            active: BTreeMap::new(),
            live: BTreeSet::new(),
            pending: BTreeMap::new(),
            due: Due::new(),
            answered: BTreeMap::new(),
            answered_order: VecDeque::new(),
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
            Input::Command(command) => self.command(now, *command),
            Input::Event(event) => self.event(*event),
            Input::Active { switch, region, .. } => {
                match region {
                    Some(region) => self.active.insert(switch, region),
                    None => self.active.remove(&switch),
                };
                let active = self.active.get(&switch).cloned();
                self.region_left(|of, asked| of == switch && Some(asked) != active.as_ref());
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
                    Some(Waits::Dump { .. } | Waits::Plan { .. } | Waits::Snapshot { .. } | Waits::Regions { .. })
                    | None => {
                        self.outputs.push_back(Output::Dropped { correlation_id });
                    }
                }
            }
            Input::Clock(clock) => self.clock = Some(clock),
            Input::Owner(owner_epoch) => self.config.owner_epoch = owner_epoch,
        }
    }

    fn command(&mut self, now: Instant, command: Command) {
        let id = command.correlation_id.clone();
        if let Some((requester, body)) = self.answered.get(&id) {
            self.outputs.push_back(Output::Reply {
                requester: requester.clone(),
                reply: Box::new(Reply {
                    correlation_id: id,
                    body: body.clone(),
                }),
            });
            return;
        }
        if self.pending.contains_key(&id) {
            return;
        }
        if let Err((outcome, cause)) = self.accept(now, command.clone()) {
            // Not remembered as an answer of something done: it was never begun.
            self.refuse(&command, outcome, cause);
        }
    }

    fn accept(&mut self, now: Instant, command: Command) -> Result<(), (Outcome, Cause)> {
        let id = command.correlation_id.clone();
        let only_router = |kind: &str| {
            let detail = format!("kind: only the router sends {kind}");
            Err((Outcome::Rejected, Cause::Malformed { detail }))
        };
        match &command.body {
            CommandBody::Desired { .. } => return only_router("desired"),
            CommandBody::Activate { .. } => return only_router("activate"),
            CommandBody::Deactivate { .. } => return only_router("deactivate"),
            CommandBody::Plan { wanted: Some(_), .. } => {
                let detail = "wanted: only the router says what a switch shall hold".to_owned();
                return Err((Outcome::Rejected, Cause::Malformed { detail }));
            }
            CommandBody::Apply { .. }
            | CommandBody::Dump { .. }
            | CommandBody::Plan { wanted: None, .. }
            | CommandBody::SwitchSnapshot { .. }
            | CommandBody::RegionSnapshot { .. } => {}
        }
        let Some(clock) = self.clock.filter(|_| self.pending.len() < PENDING_MAX) else {
            return Err((Outcome::Rejected, Cause::Busy));
        };
        if clock.at(now) >= command.deadline_ms {
            return Err((Outcome::Expired, Cause::Deadline));
        }
        let until = clock.when(command.deadline_ms).min(now + self.config.wait_max);
        let Some(switch) = command.body.switch() else {
            self.region_wide(until, command);
            return Ok(());
        };
        let Some(region) = self.active.get(&switch).cloned() else {
            return Err((Outcome::Rejected, Cause::UnknownSwitch));
        };
        let requester = command.requester.clone();
        let (waits, until) = match &command.body {
            CommandBody::Apply { put, remove, .. } => {
                self.outputs.push_back(Output::Edit {
                    correlation_id: id.clone(),
                    switch,
                    put: put.clone(),
                    remove: remove.clone(),
                    deadline: until,
                });
                (Waits::Edit { switch }, until + EDIT_GRACE)
            }
            CommandBody::Dump { .. } => (
                Waits::Dump {
                    switch,
                    region: region.clone(),
                },
                until,
            ),
            CommandBody::Plan { .. } => (
                Waits::Plan {
                    switch,
                    region: region.clone(),
                },
                until,
            ),
            CommandBody::SwitchSnapshot { .. }
            | CommandBody::RegionSnapshot { .. }
            | CommandBody::Desired { .. }
            | CommandBody::Activate { .. }
            | CommandBody::Deactivate { .. } => (
                Waits::Snapshot {
                    switch,
                    region: region.clone(),
                },
                until,
            ),
        };
        if !matches!(waits, Waits::Edit { .. }) {
            self.send(region, command);
        }
        self.due.set(id.clone(), Some(until));
        let pending = Pending {
            requester,
            until,
            waits,
        };
        self.pending.insert(id, pending);
        Ok(())
    }

    fn region_wide(&mut self, until: Instant, command: Command) {
        let id = command.correlation_id.clone();
        let open: BTreeSet<Region> = self
            .config
            .regions
            .iter()
            .filter(|r| self.live.contains(*r))
            .cloned()
            .collect();
        let pending = Pending {
            requester: command.requester.clone(),
            until,
            waits: Waits::Regions {
                not_applied: (self.config.regions.len() - open.len()) as u32,
                applied: 0,
                open: open.clone(),
            },
        };
        self.due.set(id.clone(), Some(until));
        self.pending.insert(id.clone(), pending);
        for region in open {
            self.send(region, command.clone());
        }
        self.end_if_all_answered(id);
    }

    fn send(&mut self, region: Region, mut command: Command) {
        command.region = Some(region.clone());
        command.owner_epoch = Some(self.config.owner_epoch);
        self.outputs.push_back(Output::Send {
            region,
            command: Box::new(command),
        });
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
            (Waits::Dump { switch, region }, B::SwitchDump { switch: of, dump }) if asked(*switch, region, of) => {
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
            Waits::Edit { .. } | Waits::Dump { .. } | Waits::Plan { .. } | Waits::Snapshot { .. } => {}
        }
    }

    fn end_if_all_answered(&mut self, id: CorrelationId) {
        if let Some(Pending {
            waits:
                Waits::Regions {
                    open,
                    applied,
                    not_applied,
                },
            ..
        }) = self.pending.get(&id)
            && open.is_empty()
        {
            let (applied, not_applied) = (*applied, *not_applied);
            self.answer(id, ReplyBody::Done { applied, not_applied });
        }
    }

    /// Questions to a region that no longer can answer for the switch.
    fn region_left(&mut self, left: impl Fn(SwitchId, &Region) -> bool) {
        let ended: Vec<(CorrelationId, SwitchId)> = self
            .pending
            .iter()
            .filter_map(|(id, pending)| match &pending.waits {
                Waits::Dump { switch, region }
                | Waits::Plan { switch, region }
                | Waits::Snapshot { switch, region } => left(*switch, region).then(|| (id.clone(), *switch)),
                Waits::Edit { .. } | Waits::Regions { .. } => None,
            })
            .collect();
        for (id, switch) in ended {
            self.answer(id, not_applied(Some(switch), Outcome::Failed, Cause::RegionLost));
        }
    }

    fn refuse(&mut self, command: &Command, outcome: Outcome, cause: Cause) {
        let switch = command.body.switch();
        let body = match switch {
            None if !matches!(cause, Cause::Malformed { .. } | Cause::Busy) => ReplyBody::Done {
                applied: 0,
                not_applied: self.config.regions.len() as u32,
            },
            _ => not_applied(switch, outcome, cause),
        };
        self.outputs.push_back(Output::Reply {
            requester: command.requester.clone(),
            reply: Box::new(Reply {
                correlation_id: command.correlation_id.clone(),
                body,
            }),
        });
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
        if !large
            && self
                .answered
                .insert(id.clone(), (pending.requester.clone(), body.clone()))
                .is_none()
        {
            self.answered_order.push_back(id.clone());
        }
        if self.answered_order.len() > ANSWERED_MAX
            && let Some(oldest) = self.answered_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
        let reply = Output::Reply {
            requester: pending.requester,
            reply: Box::new(Reply {
                correlation_id: id,
                body,
            }),
        };
        if defect::is(Defect::AnsweredTwice) {
            self.outputs.push_back(reply.clone());
        }
        self.outputs.push_back(reply);
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

fn not_applied(switch: Option<SwitchId>, outcome: Outcome, cause: Cause) -> ReplyBody {
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
#[path = "routing_tests.rs"]
mod tests;

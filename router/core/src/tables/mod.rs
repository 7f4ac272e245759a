//! Desired state: what shall stand on each switch, by owner, and whether it does.
//!
//! Each owner's objects are absolute; the switch's desired state is their union. It is sent to the active region with a generation, one
//! message at a time, until the region says it is applied. This machine does not know flows, rules' meaning or roles.

mod object;
mod table;
mod union;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::due::Due;
use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::reply::{Cause, CommandResult};
use skerry_bus::{
    BrokerClock, Command, CorrelationId, Generation, ObjectResults, Region, RegionEvent, RegionEventBody, SwitchId,
    Term,
};
use table::{Edit, Table, World};

/// Who wants objects: `flow:<id>`, `service`, `commands`.
pub type Owner = String;

/// The owner of what services put with `apply` commands.
pub const COMMANDS: &str = "commands";

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which owner of switches we are: goes into every command.
    pub owner_epoch: u64,
    /// A sent state has this long to be applied.
    pub deadline: Duration,
    /// First pause before a state is sent again; doubles.
    pub pause_min: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Config {
    /// Defaults.
    pub fn new(owner_epoch: u64) -> Self {
        Config {
            owner_epoch,
            deadline: Duration::from_secs(10),
            pause_min: Duration::from_millis(200),
            pause_max: Duration::from_secs(30),
        }
    }
}

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// An owner's objects on a switch become these; empty ones end the ownership. After a restart all owners come
    /// before the first `Clock`: until then nothing is sent, and what was set is taken for what stood before, which is
    /// never taken back because a switch refuses something.
    SetOwner {
        /// The switch.
        switch: SwitchId,
        /// Who.
        owner: Owner,
        /// Everything it wants there.
        objects: Objects,
    },
    /// A service's command: an edit of the objects of [`COMMANDS`].
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
    /// After a restart, behind the objects of [`COMMANDS`]: an edit that was begun, with what undoes it.
    Begun {
        /// The command's.
        correlation_id: CorrelationId,
        /// The switch.
        switch: SwitchId,
        /// Objects that stood before.
        put: Objects,
        /// Objects that did not.
        remove: ObjectKeys,
    },
    /// Generation a switch had before we started: the next one is larger.
    Restored {
        /// The switch.
        switch: SwitchId,
        /// Its generation.
        generation: Generation,
    },
    /// Where a switch is active.
    Active {
        /// The switch.
        switch: SwitchId,
        /// The region; none: nowhere.
        region: Option<Region>,
        /// Its term.
        term: Term,
    },
    /// A message that [`crate::presence`] let pass: answers are picked out of it.
    Event(Box<RegionEvent>),
    /// The broker's clock. Nothing is sent before it is known.
    Clock(BrokerClock),
    /// The bus is back: what was sent and not answered may be gone, and is sent again.
    BusBack,
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
        /// A `desired` command, complete.
        command: Box<Command>,
    },
    /// An owner's objects were taken over; they stand when this generation is applied.
    OwnerSet {
        /// The switch.
        switch: SwitchId,
        /// Who.
        owner: Owner,
        /// The generation that has them.
        generation: Generation,
    },
    /// An owner's objects were refused; nothing changed.
    OwnerRefused {
        /// The switch.
        switch: SwitchId,
        /// Who.
        owner: Owner,
        /// Why, naming the other owner.
        reason: String,
    },
    /// The switch's generation grew: store it before the next `Send` leaves.
    Generation {
        /// The switch.
        switch: SwitchId,
        /// Its generation.
        generation: Generation,
    },
    /// The switch has this generation; whatever waited for it or a lower one is done.
    Applied {
        /// The switch.
        switch: SwitchId,
        /// The generation.
        generation: Generation,
    },
    /// The switch does not have this generation, or that is not certain. It is sent again, whole.
    ApplyFailed {
        /// The switch.
        switch: SwitchId,
        /// The generation.
        generation: Generation,
        /// Why.
        cause: Cause,
        /// What became of the objects, if some were sent.
        objects: Option<ObjectResults>,
        /// Whether it is certain that nothing of it was done.
        certain: bool,
        /// Owners whose last changes were taken back because of it, so that they do not block the others.
        withdrawn: Vec<Owner>,
    },
    /// What [`COMMANDS`] has on a switch changed: store it before the next `Send` leaves. After a restart it comes back by
    /// [`Input::SetOwner`].
    Kept {
        /// The switch.
        switch: SwitchId,
        /// Objects that it has now.
        put: Objects,
        /// Objects that it has no more.
        remove: ObjectKeys,
    },
    /// An edit was begun: store it beside what it changed, until it is [`Output::Over`]. After a restart it comes back by
    /// [`Input::Begun`]: it is not done again behind later ones, and can still be taken back if the switch refuses it.
    Begun {
        /// The command's.
        correlation_id: CorrelationId,
        /// The switch.
        switch: SwitchId,
        /// Objects that stood before.
        put: Objects,
        /// Objects that did not.
        remove: ObjectKeys,
    },
    /// Nothing can take an edit back any more, or it was taken back: it need not be stored.
    Over {
        /// The command's.
        correlation_id: CorrelationId,
        /// The switch.
        switch: SwitchId,
    },
    /// An edit ended.
    Edited {
        /// The command's.
        correlation_id: CorrelationId,
        /// How.
        result: CommandResult,
    },
}

/// The machine.
#[derive(Debug)]
pub struct Tables {
    config: Config,
    clock: Option<BrokerClock>,
    tables: BTreeMap<SwitchId, Table>,
    due: Due<SwitchId>,
    sent: u64,
    outputs: VecDeque<Output>,
}

impl Tables {
    /// Nothing is wanted anywhere.
    pub fn new(config: Config, _now: Instant) -> Self {
        Tables {
            config,
            clock: None,
            tables: BTreeMap::new(),
            due: Due::new(),
            sent: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Generation wanted on a switch, and the one that its active region is known to hold.
    pub fn generations(&self, switch: SwitchId) -> (Generation, Option<Generation>) {
        self.tables
            .get(&switch)
            .map_or((Generation(0), None), |t| (t.generation(), t.held()))
    }

    /// Everything that shall stand on a switch.
    pub fn wanted(&self, switch: SwitchId) -> Objects {
        self.tables.get(&switch).map(Table::wanted).unwrap_or_default()
    }

    /// What one owner has on a switch.
    pub fn owned_by(&self, switch: SwitchId, owner: &str) -> Objects {
        self.tables.get(&switch).map(|t| t.owned_by(owner)).unwrap_or_default()
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::SetOwner { switch, owner, objects } => {
                self.touch(now, switch, |t, w| t.set_owner(w, owner, objects));
            }
            Input::Edit {
                correlation_id,
                switch,
                put,
                remove,
                deadline,
                begun,
            } => self.touch(now, switch, |t, w| {
                let edit = Edit {
                    correlation_id,
                    deadline,
                    begun,
                };
                t.edit(w, edit, put, remove);
            }),
            Input::Begun {
                correlation_id,
                switch,
                put,
                remove,
            } => self.touch(now, switch, |t, w| t.begun(w, correlation_id, put, remove)),
            Input::Restored { switch, generation } => self.touch(now, switch, |t, _| t.restored(generation)),
            Input::Active { switch, region, term } => {
                let active = region.map(|region| (region, term));
                self.touch(now, switch, |t, w| t.active(w, active));
            }
            Input::Event(event) => {
                if let (RegionEventBody::CommandResult { result }, Some(id)) = (&event.body, &event.correlation_id)
                    && let Some(switch) = result.switch
                    && self.tables.contains_key(&switch)
                {
                    self.touch(now, switch, |t, w| t.answered(w, &event.region, id, result));
                }
            }
            Input::Clock(clock) => {
                let first = self.clock.replace(clock).is_none();
                if first {
                    for switch in self.tables.keys().copied().collect::<Vec<_>>() {
                        self.touch(now, switch, |t, w| t.handle_timeout(w));
                    }
                }
            }
            Input::BusBack => {
                for switch in self.tables.keys().copied().collect::<Vec<_>>() {
                    self.touch(now, switch, Table::bus_back);
                }
            }
            Input::Owner(owner_epoch) => self.config.owner_epoch = owner_epoch,
        }
    }

    fn touch(&mut self, now: Instant, switch: SwitchId, what: impl FnOnce(&mut Table, &mut World)) {
        let table = self.tables.entry(switch).or_insert_with(|| Table::new(switch));
        let mut world = World {
            now,
            config: &self.config,
            clock: self.clock,
            sent: &mut self.sent,
            out: &mut self.outputs,
        };
        what(table, &mut world);
        self.due.set(switch, table.due());
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for switch in self.due.take(now) {
            self.touch(now, switch, |t, w| t.handle_timeout(w));
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.due.first().map(|(at, _)| (at, "desired state is not applied"))
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
mod tests;

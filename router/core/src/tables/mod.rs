//! Desired state: what shall stand on each switch, by owner, and whether it does.
//!
//! Each owner's objects are absolute; the switch's desired state is their union. It is sent to the active region with a generation, one
//! message at a time, until the region says it is applied. This machine does not know flows, rules' meaning or roles.

use std::time::{Duration, Instant};

use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::reply::{Cause, CommandResult};
use skerry_bus::{BrokerClock, Command, CorrelationId, Generation, Region, RegionEvent, SwitchId, Term};

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

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// An owner's objects on a switch become these; empty ones end the ownership.
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
        /// Whether it is certain that nothing of it was done.
        certain: bool,
        /// Owners whose last changes were taken back because of it, so that they do not block the others.
        withdrawn: Vec<Owner>,
    },
    /// An edit ended.
    Edited {
        /// The command's.
        correlation_id: CorrelationId,
        /// How.
        result: CommandResult,
    },
}

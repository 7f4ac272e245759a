//! Commands of services: to which region they go, and that each is answered exactly once.

use std::time::Duration;

use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::reply::CommandResult;
use skerry_bus::{BrokerClock, Command, CorrelationId, Region, RegionEvent, Reply, SwitchId, Term};

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
    /// The broker's clock. Deadlines cannot be judged before it is known: commands wait for it.
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
        deadline: std::time::Instant,
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

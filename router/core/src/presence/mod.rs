//! Where every switch is: which regions reach it, which one is active, and with what term.
//!
//! The composed machine: [`crate::liveness`] judges regions and messages, one machine per switch decides who is
//! active, and this file keeps snapshots and hands facts to the switches. Everything else a region tells (ports,
//! links, results) passes through it, because only it knows what is stale: feed the others from [`Output::Passed`].

mod config;

pub use config::{Config, Failback, RegionConfig};

use skerry_bus::{
    Availability, BrokerClock, Epoch, PresenceRecord, Region, RegionEvent, SwitchId, Term, VirtualEventBody,
};

use crate::liveness;

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message was read from a region's events topic.
    Event {
        /// Partition it was read from.
        partition: i32,
        /// Its log-append time, milliseconds by the broker's clock.
        record_ms: u64,
        /// Whether the reader knows of nothing after it in this partition.
        caught_up: bool,
        /// The message.
        event: Box<RegionEvent>,
    },
    /// The reader stands at the end of a partition of a region's events.
    CaughtUp {
        /// The region.
        region: Region,
        /// The partition.
        partition: i32,
    },
    /// A record of our own memory, from the compacted topic or the store, read before anything else.
    Restored(Box<PresenceRecord>),
    /// Whether the bus can be heard at all.
    Bus {
        /// It can.
        up: bool,
    },
    /// The broker's clock.
    Clock(BrokerClock),
    /// Our owner epoch from now on.
    Owner(u64),
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Tell the region to become MASTER of the switch with this term.
    Activate {
        /// The region.
        region: Region,
        /// The switch.
        switch: SwitchId,
        /// The term.
        term: Term,
    },
    /// Tell the region that another is active with this term.
    Deactivate {
        /// The region.
        region: Region,
        /// The switch.
        switch: SwitchId,
        /// The term of the active region.
        term: Term,
    },
    /// Where commands go has changed; none: nowhere. Comes right after `Activate`, before the role is confirmed.
    ActiveChanged {
        /// The switch.
        switch: SwitchId,
        /// The active region.
        region: Option<Region>,
        /// Its term, or the last one given.
        term: Term,
    },
    /// Tell everybody, with who reaches the switch now (empty if it is not about a switch).
    Virtual(VirtualEventBody, Availability),
    /// Ask for the state of one switch.
    AskSwitchSnapshot {
        /// The region.
        region: Region,
        /// The switch.
        switch: SwitchId,
    },
    /// Ask for everything.
    AskRegionSnapshot {
        /// The region.
        region: Region,
    },
    /// Remember this.
    Record(PresenceRecord),
    /// Forget this switch: its record goes.
    Forget(SwitchId),
    /// The region lives (again) or does no longer; a region that was never heard is told as not live once.
    RegionChanged {
        /// The region.
        region: Region,
        /// Whether it lives.
        live: bool,
    },
    /// The speaker of the region is another process now.
    NewEpoch {
        /// The region.
        region: Region,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A message that counts, after it had its effect here.
    Passed(Box<RegionEvent>),
    /// A message that does not count.
    Ignored {
        /// The region.
        region: Region,
        /// Why.
        reason: liveness::Ignored,
    },
    /// Somebody speaks for a region that is not configured. Told once in a while.
    UnknownRegion(Region),
}

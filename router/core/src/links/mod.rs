//! Links: which ports see each other, decided from what receiving regions tell.
//!
//! Silence of a direction counts only while its sending region lived and held the sending switch, so a lost region never fails its
//! links (design section 7). It does not know latency, cost or paths.

use std::time::{Duration, Instant};

use skerry_bus::service::LinkStatus;
use skerry_bus::{LinkId, Region, RegionEvent, SwitchId, Term};

/// Whether a new link is used at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Yes.
    #[default]
    Auto,
}

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether a new link is used at once.
    pub policy: Policy,
    /// Consecutive packets that must be missed.
    pub missed: u32,
    /// A sending region not heard for longer than this at a missed packet proves nothing.
    pub heard: Duration,
    /// A link down for this long is forgotten.
    pub forget: Duration,
}

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message that [`crate::presence`] let pass.
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
    /// The speaker of a region is another process now.
    NewEpoch {
        /// The region.
        region: Region,
    },
    /// A link known from the store, with its last state.
    Restored {
        /// The link.
        link: LinkId,
        /// Its last state.
        status: LinkStatus,
    },
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A link changed.
    Changed {
        /// The link.
        link: LinkId,
        /// Before; none if it is new.
        from: Option<LinkStatus>,
        /// Now.
        to: LinkStatus,
        /// Why, for a person.
        reason: String,
    },
    /// A link down for long is no longer known.
    Forgotten(LinkId),
    /// Ask the receiving switch's region to tell all directions it sees: the digest differs from ours.
    AskSwitchSnapshot {
        /// The region.
        region: Region,
        /// The receiving switch.
        switch: SwitchId,
    },
}

/// A link as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// The link.
    pub link: LinkId,
    /// How it is.
    pub status: LinkStatus,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// Changes of state so far.
    pub changes: u64,
}

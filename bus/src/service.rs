//! What everybody else reads, on `skerry.v1.events`: virtual events, in which regions are hidden, and
//! the monitor's requests on `skerry.v1.actions`.

use serde::{Deserialize, Serialize};

use crate::ids::{FlowId, LinkId, PortRef, Region, SwitchId, Term};
use crate::presence::Availability;
use crate::switch::PortState;

/// A virtual event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualEvent {
    /// The event.
    pub event: VirtualEventBody,
    /// Which regions reach the switch now; empty for links and flows.
    pub availability_data: Availability,
    /// When, milliseconds by the broker's clock.
    pub at_ms: u64,
    /// Number of the event among those of this router: gapless per owner epoch, so that a live feed can be resumed.
    pub number: u64,
}

/// State of a link, in virtual events and REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkStatus {
    /// Both directions are seen.
    Up,
    /// Not usable.
    Down,
    /// An end has moved to another port.
    Moved,
}

/// State of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FlowStatus {
    /// An operation has not yet brought it up.
    InProgress,
    /// Its rules stand and its path is as wanted.
    Up,
    /// It carries traffic, but not as wanted.
    Degraded,
    /// It does not carry traffic.
    Down,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum VirtualEventBody {
    /// The switch can be reached, for the first time or again.
    SwitchConnected {
        /// The switch.
        switch: SwitchId,
        /// The region that is active.
        region: Region,
        /// Its term.
        term: Term,
    },
    /// Another region is active now, and the switch never left.
    SwitchConnectedElsewhere {
        /// The switch.
        switch: SwitchId,
        /// The region that is active now.
        region: Region,
        /// Its term.
        term: Term,
        /// Why the other one is not.
        reason: String,
    },
    /// Who reaches the switch changed; the active region did not.
    SwitchAvailability {
        /// The switch.
        switch: SwitchId,
    },
    /// Nobody reaches the switch.
    SwitchDisconnected {
        /// The switch.
        switch: SwitchId,
        /// Whether that is because its region was lost, which says nothing about the switch itself.
        region_lost: bool,
    },
    /// The active region could not take its role or lost it.
    SwitchRoleLost {
        /// The switch.
        switch: SwitchId,
        /// The region.
        region: Region,
    },
    /// A port changed, as the active region tells.
    PortChanged {
        /// The switch.
        switch: SwitchId,
        /// The port, whole.
        port: PortState,
        /// Whether it is gone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        removed: bool,
    },
    /// A link changed.
    LinkChanged {
        /// The link.
        link: LinkId,
        /// Before; none if it is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<LinkStatus>,
        /// Now.
        to: LinkStatus,
        /// Why.
        reason: String,
    },
    /// A flow's status or path changed.
    FlowChanged {
        /// The flow.
        flow: FlowId,
        /// Now.
        status: FlowStatus,
        /// Ports along the path, from source to destination.
        path: Vec<PortRef>,
        /// Why.
        reason: String,
    },
    /// A flow's SLA state changed.
    SlaChanged {
        /// The flow.
        flow: FlowId,
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// A region was lost or is back.
    RegionChanged {
        /// The region.
        region: Region,
        /// Whether it lives.
        live: bool,
    },
    /// A connection was refused somewhere.
    SwitchRefused {
        /// The switch it claimed to be, once known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        switch: Option<SwitchId>,
        /// The region that refused it.
        region: Region,
        /// Where it came from.
        address: String,
        /// Why.
        reason: String,
    },
}

/// What the monitor asks for, on `skerry.v1.actions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRequest {
    /// The flow.
    pub flow: FlowId,
    /// Reroute or sync.
    pub action: ActionKind,
    /// Why, for a person.
    pub reason: String,
    /// When, milliseconds by the broker's clock.
    pub at_ms: u64,
}

/// Kinds of [`ActionRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Find and take a better path.
    Reroute,
    /// Put the rules in place again and recompute the status.
    Sync,
}

/// A message that could not be handled, on `skerry.v1.dead-letter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it was read.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it could not be handled.
    pub cause: String,
    /// The payload as text, cut to 4,096 characters.
    pub payload: String,
}

//! Presence of a switch: which regions reach it, how, and which one is active.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Region, SwitchId, Term};

/// What a region may do with a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// May be made active.
    #[serde(rename = "RW")]
    ReadWrite,
    /// Configured for statistics; never made active.
    #[serde(rename = "RO")]
    ReadOnly,
}

/// The role a region's connection holds at the switch now (OpenFlow 1.3.5 section 6.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May write; others may not.
    Master,
    /// May only read.
    Slave,
    /// May write beside others; only where roles do not exist.
    Equal,
}

/// One region's reach of a switch, as other services see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionPresence {
    /// The region.
    pub region: Region,
    /// Address the switch connects from, as this region sees it.
    pub ip: String,
    /// What the region may do.
    pub mode: Mode,
    /// Milliseconds since the switch connected to this region.
    pub uptime: u64,
    /// Role at the switch.
    pub role: Role,
    /// Whether this is the active region.
    pub active: bool,
}

/// The availability list of a switch, inside virtual events (design section 4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// One entry per region, active first, then by name.
    pub availability: Vec<RegionPresence>,
}

/// The presence of one switch, on `skerry.v1.state.presence` and in the store: the router's own memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceRecord {
    /// The switch.
    pub switch: SwitchId,
    /// Who wrote it: a reader refuses a lower owner epoch.
    pub owner_epoch: u64,
    /// Term of the active region; also the floor for the next.
    pub term: Term,
    /// The active region, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_region: Option<Region>,
    /// Who reached it when this was written, with the epoch of each speaker.
    pub regions: Vec<RecordedRegion>,
}

/// A region in a [`PresenceRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRegion {
    /// As in availability.
    #[serde(flatten)]
    pub presence: RegionPresence,
    /// Epoch of the speaker that reported it.
    pub epoch: Epoch,
    /// Address and port the switch connects from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Address and port of the speaker it connected to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub speaker_address: String,
    /// Since when it is connected, milliseconds by the broker's clock; 0: not known.
    #[serde(default)]
    pub since_ms: u64,
}

/// What an operator decided about a region, on `skerry.v1.state.regions` and in the store. Every router acts upon it for the
/// switches that it owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRecord {
    /// The region.
    pub region: Region,
    /// Whether its switches are to be elsewhere, and it is given nothing new.
    pub drained: bool,
    /// Whether that was asked for although some switches have no other region.
    #[serde(default)]
    pub force: bool,
    /// When it was decided, milliseconds by the broker's clock: the latest counts.
    pub changed_ms: u64,
}

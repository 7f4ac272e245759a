//! The state of a switch as a speaker reports it, whole: level, not edge.

use serde::{Deserialize, Serialize};

use crate::ids::{Generation, PortNo, SwitchId, Term};
use crate::presence::{Mode, Role};

/// A port as the switch describes it (OpenFlow 1.3.5 section 7.2.1), reduced to what is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortState {
    /// Its number.
    pub port: PortNo,
    /// Its name on the switch.
    #[serde(default)]
    pub name: String,
    /// Whether it is up: neither administratively down nor without carrier.
    pub up: bool,
    /// Current speed in kilobits per second; 0 is unknown.
    #[serde(default)]
    pub speed_kbps: u32,
}

/// A connected switch, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchState {
    /// The switch.
    pub switch: SwitchId,
    /// Number of its connection within the speaker's epoch: a new connection has a larger one.
    pub connection: u64,
    /// Address and port the switch connects from, `10.0.0.1:41234`.
    pub address: String,
    /// Address and port of the speaker it connected to.
    pub speaker_address: String,
    /// What this region may do with it.
    pub mode: Mode,
    /// The role held now.
    pub role: Role,
    /// The generation id that the switch showed when the role was settled, or the term taken since; none: it has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_seen: Option<Term>,
    /// Milliseconds since it was announced.
    pub uptime_ms: u64,
    /// Generation of the desired state that this speaker last applied to it; none if it applied none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Manufacturer, hardware, software, serial number and datapath description, as the switch tells them.
    #[serde(default)]
    pub description: SwitchDescription,
    /// Its ports, by number; reserved ones are left out.
    pub ports: Vec<PortState>,
    /// Round trip of the control channel in nanoseconds; none until measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_rtt_ns: Option<u64>,
    /// What was found out about what it can do.
    #[serde(default)]
    pub features: SwitchFeatures,
}

/// What a switch can do, as far as it was found out by trying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchFeatures {
    /// Whether it takes bundles; none: it was not tried, which only a region that is MASTER may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundles: Option<bool>,
}

/// What a switch says of itself (OFPMP_DESC).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchDescription {
    /// Manufacturer.
    pub manufacturer: String,
    /// Hardware.
    pub hardware: String,
    /// Software.
    pub software: String,
    /// Serial number.
    pub serial_number: String,
    /// Description of the datapath.
    pub datapath: String,
    /// OpenFlow version spoken, `1.3`.
    pub openflow: String,
    /// Tables it has.
    pub tables: u8,
}

//! The northbound REST bodies, shared by the router that serves them and the command that reads them.
//!
//! Names on the wire are snake_case; latencies are milliseconds here and nanoseconds inside. Request
//! bodies refuse unknown fields, so that a misspelt option is told and not ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Endpoint, FlowId, LinkId, PointId, PortNo, PortRef, Region, SwitchId, Term};
use crate::latency::LatencySource;
use crate::presence::{Mode, RegionPresence, Role};
use crate::service::{FlowStatus, LinkStatus};
use crate::switch::{PortState, SwitchDescription, SwitchFeatures};

/// A flow's or sink's endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointBody {
    /// The switch.
    pub switch_id: SwitchId,
    /// The port on it.
    pub port_number: PortNo,
    /// Outer VLAN id; 0 or absent is the whole port.
    #[serde(default)]
    pub vlan_id: u16,
    /// Inner VLAN id; 0 or absent is none.
    #[serde(default)]
    pub inner_vlan_id: u16,
}

impl From<EndpointBody> for Endpoint {
    fn from(e: EndpointBody) -> Self {
        Endpoint {
            switch: e.switch_id,
            port: e.port_number,
            vlan: e.vlan_id,
            inner_vlan: e.inner_vlan_id,
        }
    }
}

impl From<Endpoint> for EndpointBody {
    fn from(e: Endpoint) -> Self {
        EndpointBody {
            switch_id: e.switch,
            port_number: e.port,
            vlan_id: e.vlan,
            inner_vlan_id: e.inner_vlan,
        }
    }
}

/// How a path is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathStrategy {
    /// Least cost.
    #[default]
    Cost,
    /// Least latency.
    Latency,
    /// Within the latency limit, with the least cost.
    MaxLatency,
    /// Least cost, then best fit of bandwidth.
    CostAndAvailableBandwidth,
}

impl PathStrategy {
    /// Whether the SLA machine may ask for a reroute of such a flow.
    pub fn is_latency_based(self) -> bool {
        matches!(self, PathStrategy::Latency | PathStrategy::MaxLatency)
    }
}

/// What a client asks of a flow: body of `PUT /v2/flows/{flow_id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowRequest {
    /// Where it begins.
    pub source: EndpointBody,
    /// Where it ends.
    pub destination: EndpointBody,
    /// Kilobits per second; 0 is unlimited and has no meter.
    #[serde(default)]
    pub maximum_bandwidth: u32,
    /// First limit of the round trip, milliseconds; absent or 0: the flow is not monitored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<f64>,
    /// Second limit, milliseconds; absent or 0: infinite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency_tier_2: Option<f64>,
    /// How its path is chosen.
    #[serde(default)]
    pub path_computation_strategy: PathStrategy,
    /// A pinned flow keeps its path whatever happens.
    #[serde(default)]
    pub pinned: bool,
    /// Lower is served first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Free text, at most 512 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Which direction of a flow a mirror point copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From source to destination.
    Forward,
    /// From destination to source.
    Reverse,
}

impl Direction {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Direction::Forward => Direction::Reverse,
            Direction::Reverse => Direction::Forward,
        }
    }
}

/// A mirror point: body of `PUT /v2/flows/{flow_id}/mirror`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorRequest {
    /// The client's name of it; putting the same name again changes it.
    pub mirror_point_id: PointId,
    /// Which direction is copied.
    pub mirror_point_direction: Direction,
    /// At which switch of the flow.
    pub mirror_point_switch_id: SwitchId,
    /// Where the copies go.
    pub sink_endpoint: EndpointBody,
}

/// Where joined traffic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinDelivery {
    /// Towards the far end.
    Network,
    /// Towards the customer at the join switch.
    Local,
    /// To both.
    Both,
}

/// A join point: body of `PUT /v2/flows/{flow_id}/join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The client's name of it; putting the same name again changes it.
    pub join_point_id: PointId,
    /// At which switch of the flow.
    pub join_point_switch_id: SwitchId,
    /// Where the traffic comes from. May be the sink of a mirror of the same flow.
    pub sink_endpoint: EndpointBody,
    /// Where it goes.
    pub delivery: JoinDelivery,
}

/// A flow as it is: `GET /v2/flows/{flow_id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowView {
    /// Its name.
    pub flow_id: FlowId,
    /// What was asked.
    #[serde(flatten)]
    pub request: FlowRequest,
    /// How it is.
    pub status: FlowStatus,
    /// Why it is so, if it is not UP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_info: String,
    /// What its operation does now, such as `draining`; absent when none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    /// Forward path, from source to destination.
    pub path: Vec<PathHop>,
    /// State of its SLA: `healthy`, `tier_1_failed`, `tier_2_failed`, `unstable`, `unknown`, or `not_monitored`.
    pub sla_state: String,
    /// Round trip as monitored, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// How many of the path's links have a valid figure, such as 2 of 3.
    pub latency_coverage: (u32, u32),
    /// Its mirror points.
    pub mirror_points: Vec<PointView<MirrorRequest>>,
    /// Its join points.
    pub join_points: Vec<PointView<JoinRequest>>,
    /// Grows with every change of the intent.
    pub revision: u64,
}

/// A mirror or join point with its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointView<T> {
    /// What was asked.
    #[serde(flatten)]
    pub request: T,
    /// How it is.
    pub status: FlowStatus,
    /// The group it lives in, at its switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u32>,
}

/// A switch on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathHop {
    /// The switch.
    pub switch_id: SwitchId,
    /// Port the flow comes in on.
    pub input_port: PortNo,
    /// Port it leaves by.
    pub output_port: PortNo,
}

/// State of an operation: long work that can be polled and that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Under way.
    Running,
    /// The new rules stand; packets on the old path are still given time.
    Draining,
    /// A step failed; what was done is being undone.
    RollingBack,
    /// Ended as asked.
    Done,
    /// Ended, not as asked; everything done was undone.
    Failed,
}

impl OperationState {
    /// Whether nothing more will happen.
    pub fn is_terminal(self) -> bool {
        matches!(self, OperationState::Done | OperationState::Failed)
    }
}

/// An operation: `GET /v2/operations/{operation_id}`, and the body of 202 answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationView {
    /// Its number.
    pub operation_id: u64,
    /// What it does: `create`, `update`, `reroute`, `delete`, `mirror`, `join`, `sync`.
    pub kind: String,
    /// The flow it is about.
    pub flow_id: FlowId,
    /// How far it is.
    pub state: OperationState,
    /// The step it is at, for a person.
    pub step: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// A switch: `GET /v2/switches`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchView {
    /// The switch.
    pub switch_id: SwitchId,
    /// `connected`, `disconnected` or `region_lost`.
    pub state: String,
    /// The region that is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_region: Option<Region>,
    /// Its term.
    pub term: Term,
    /// What the switch says of itself.
    pub description: SwitchDescription,
    /// What was found out about what it can do.
    #[serde(default)]
    pub features: SwitchFeatures,
    /// Its ports.
    pub ports: Vec<PortState>,
    /// Who reaches it.
    pub availability: Vec<RegionPresence>,
    /// Generation of the desired state and the one that is applied.
    pub generation_wanted: u64,
    /// The one the active region has applied.
    pub generation_applied: u64,
    /// Why the last apply did not succeed, if it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub apply_error: String,
    /// Which region it left last and why, such as a frame that could not be read; empty if it never did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_left: String,
}

/// Who reaches a switch: `GET /v2/switches/{switch_id}/connections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsView {
    /// The switch.
    pub switch_id: SwitchId,
    /// `connected`, `disconnected` or `region_lost`.
    pub state: String,
    /// The region that is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_region: Option<Region>,
    /// The last term that was given.
    pub term: Term,
    /// One per region that reaches it, active first, then by name.
    pub connections: Vec<ConnectionView>,
}

/// One region's connection to a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// The region.
    pub region: Region,
    /// What it may do: `RW` or `RO`.
    pub mode: Mode,
    /// The role it holds at the switch.
    pub role: Role,
    /// Whether it is the active region.
    pub active: bool,
    /// The term that the switch showed this region last; absent: it has none, or was not heard since the router started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Term>,
    /// Address and port the switch connects from, as this region sees it.
    pub switch_address: String,
    /// Address and port of the speaker it connected to.
    pub speaker_address: String,
    /// Since when, milliseconds since 1970 by the broker's clock; 0: not known.
    pub connected_at_ms: u64,
    /// The same as a length of time, milliseconds.
    pub uptime_ms: u64,
    /// Whether the region lives.
    pub live: bool,
    /// Whether the region is drained: it is given nothing new.
    pub drained: bool,
}

/// A refused connection: `GET /v2/switches/refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// The switch it claimed to be, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch_id: Option<SwitchId>,
    /// Region that refused it.
    pub region: Region,
    /// Where it came from.
    pub address: String,
    /// Why.
    pub reason: String,
    /// When, milliseconds by the broker's clock.
    pub at_ms: u64,
    /// How often, since the router started.
    pub times: u64,
}

/// A link: `GET /v2/links`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkView {
    /// The link.
    pub link_id: LinkId,
    /// One end.
    pub a: PortRef,
    /// The other.
    pub b: PortRef,
    /// How it is.
    pub state: LinkStatus,
    /// Why it is so.
    pub reason: String,
    /// Round trip, milliseconds; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Where the figure comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_source: Option<LatencySource>,
    /// Its age, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_age_ms: Option<u64>,
    /// Measurements so far.
    pub latency_samples: u64,
    /// Cost for path computation.
    pub cost: u32,
    /// Changes of state since the router started.
    pub changes: u64,
}

/// A region: `GET /v2/regions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionView {
    /// The region.
    pub region: Region,
    /// `live`, `lost` or `never_seen`.
    pub state: String,
    /// Its speaker's epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Switches it reaches.
    pub switches: u32,
    /// Switches for which it is active.
    pub active_for: u32,
    /// Milliseconds since it was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// What the speaker calls itself: its host and where it listens.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub speaker: String,
    /// A second speaker of this region, which is ignored: one of the two is to be stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<String>,
    /// How far it is drained; absent: it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainView>,
}

/// How far a region is drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainView {
    /// `draining`, or `drained`: nothing is left to do.
    pub state: String,
    /// Whether it was forced: switches that no other region can take may stay.
    pub force: bool,
    /// Switches that are still to leave, those that move or hang included.
    pub left: u32,
    /// Switches that move now.
    pub moving: u32,
    /// Switches that have moved.
    pub moved: u64,
    /// Switches whose next region did not confirm in time; it is tried on.
    pub hanging: Vec<SwitchId>,
    /// Switches that no other region can take.
    pub staying: Vec<SwitchId>,
}

/// What draining a region would do: `PUT /v2/regions/{region}/drain?dry_run=true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainPlan {
    /// The region.
    pub region: Region,
    /// Each switch for which it is active, or that only it could take.
    pub moves: Vec<DrainMove>,
}

/// A switch in a [`DrainPlan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainMove {
    /// The switch.
    pub switch_id: SwitchId,
    /// The region that would be active; absent: there is none, and the drain is refused unless it is forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Region>,
}

/// `GET /v2/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// Version of the router.
    pub version: String,
    /// Whether Kafka can be reached.
    pub kafka: bool,
    /// Regions live and configured.
    pub regions_live: u32,
    /// Regions configured.
    pub regions: u32,
    /// Switches connected.
    pub switches_connected: u32,
    /// Switches known.
    pub switches: u32,
    /// Links up.
    pub links_up: u32,
    /// Links known.
    pub links: u32,
    /// Flows by status.
    pub flows: BTreeMap<String, u32>,
    /// Operations under way.
    pub operations: u32,
}

/// Feature toggles: `GET` and `PATCH /v2/features`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Ask all regions for a full dump at an interval.
    pub network_sync: bool,
    /// Let the SLA machine's requests reroute and sync flows.
    pub sla_reactions: bool,
}

impl Default for Features {
    fn default() -> Self {
        Features {
            network_sync: true,
            sla_reactions: true,
        }
    }
}

/// An error, RFC 9457 `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the kind of problem: `about:blank` or `urn:skerry:problem:<kind>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for a person.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// This case, for a person.
    pub detail: String,
    /// Which fields, as JSON pointers, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One field of a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer, such as `/source/vlan_id`.
    pub pointer: String,
    /// Why.
    pub detail: String,
}

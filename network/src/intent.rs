//! What a customer wants: a flow with its mirror and join points, as the router stores it.
//!
//! Not how it is done: paths and ids are `route` and `resources`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skerry_bus::api::{Direction, FlowRequest, JoinDelivery, JoinRequest, MirrorRequest, PathStrategy};
use skerry_bus::ids::{Endpoint, FlowId, PointId, SwitchId};

/// Nanoseconds in a millisecond.
const NS_PER_MS: f64 = 1e6;

/// A flow as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Its name.
    pub id: FlowId,
    /// Where it begins; a lone inner tag was made the outer one.
    pub source: Endpoint,
    /// Where it ends; likewise.
    pub destination: Endpoint,
    /// Kilobits per second; 0 is unlimited and has no meter.
    pub bandwidth_kbps: u32,
    /// First limit of the round trip; none: not monitored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency_ns: Option<u64>,
    /// Second limit; none: infinite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency_tier_2_ns: Option<u64>,
    /// How its path is chosen.
    pub strategy: PathStrategy,
    /// Keeps its path whatever happens.
    pub pinned: bool,
    /// Lower is served first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its mirror points.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mirrors: BTreeMap<PointId, MirrorPoint>,
    /// Its join points.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub joins: BTreeMap<PointId, JoinPoint>,
}

/// Copies of one direction at one switch go to the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorPoint {
    /// Which direction is copied.
    pub direction: Direction,
    /// Where.
    pub switch: SwitchId,
    /// Where the copies go.
    pub sink: Endpoint,
}

/// Traffic from the sink enters the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinPoint {
    /// Where.
    pub switch: SwitchId,
    /// Where the traffic comes from.
    pub sink: Endpoint,
    /// Where it goes.
    pub delivery: JoinDelivery,
}

/// One direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Which.
    pub direction: Direction,
    /// Where its packets come in.
    pub from: Endpoint,
    /// Where they go out.
    pub to: Endpoint,
}

/// Milliseconds of a request as nanoseconds. 0, absent and what `validate` refuses are none.
fn ns(ms: Option<f64>) -> Option<u64> {
    // A cast of a float saturates; NaN gives 0.
    let ns = (ms? * NS_PER_MS).round() as u64;
    (ns > 0).then_some(ns)
}

impl Flow {
    /// The flow that a request asks for, without mirror and join points. The request should have passed `validate`.
    pub fn from_request(id: FlowId, request: &FlowRequest) -> Flow {
        Flow {
            id,
            source: Endpoint::from(request.source).normalised(),
            destination: Endpoint::from(request.destination).normalised(),
            bandwidth_kbps: request.maximum_bandwidth,
            max_latency_ns: ns(request.max_latency),
            max_latency_tier_2_ns: ns(request.max_latency_tier_2),
            strategy: request.path_computation_strategy,
            pinned: request.pinned,
            priority: request.priority,
            description: request.description.clone(),
            mirrors: BTreeMap::new(),
            joins: BTreeMap::new(),
        }
    }

    /// The flow that `request` makes of this one: its points stay.
    pub fn updated(&self, request: &FlowRequest) -> Flow {
        Flow {
            mirrors: self.mirrors.clone(),
            joins: self.joins.clone(),
            ..Flow::from_request(self.id.clone(), request)
        }
    }

    /// The request that asks for this flow.
    pub fn to_request(&self) -> FlowRequest {
        let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / NS_PER_MS);
        FlowRequest {
            source: self.source.into(),
            destination: self.destination.into(),
            maximum_bandwidth: self.bandwidth_kbps,
            max_latency: ms(self.max_latency_ns),
            max_latency_tier_2: ms(self.max_latency_tier_2_ns),
            path_computation_strategy: self.strategy,
            pinned: self.pinned,
            priority: self.priority,
            description: self.description.clone(),
        }
    }

    /// Whether both ends are on one switch.
    pub fn is_one_switch(&self) -> bool {
        self.source.switch == self.destination.switch
    }

    /// One direction.
    pub fn leg(&self, direction: Direction) -> Leg {
        let (from, to) = match direction {
            Direction::Forward => (self.source, self.destination),
            Direction::Reverse => (self.destination, self.source),
        };
        Leg { direction, from, to }
    }

    /// Both directions.
    pub fn legs(&self) -> [Leg; 2] {
        [self.leg(Direction::Forward), self.leg(Direction::Reverse)]
    }

    /// The direction that begins at `switch`, if it is an end of the flow; the forward one if both ends are there.
    /// What joins a flow at a switch goes `network` along this direction and `local` against it.
    pub fn leg_from(&self, switch: SwitchId) -> Option<Leg> {
        self.legs().into_iter().find(|leg| leg.from.switch == switch)
    }
}

impl From<&MirrorRequest> for MirrorPoint {
    fn from(r: &MirrorRequest) -> Self {
        MirrorPoint {
            direction: r.mirror_point_direction,
            switch: r.mirror_point_switch_id,
            sink: Endpoint::from(r.sink_endpoint).normalised(),
        }
    }
}

impl MirrorPoint {
    /// The request that asks for this point.
    pub fn to_request(&self, id: &PointId) -> MirrorRequest {
        MirrorRequest {
            mirror_point_id: id.clone(),
            mirror_point_direction: self.direction,
            mirror_point_switch_id: self.switch,
            sink_endpoint: self.sink.into(),
        }
    }
}

impl From<&JoinRequest> for JoinPoint {
    fn from(r: &JoinRequest) -> Self {
        JoinPoint {
            switch: r.join_point_switch_id,
            sink: Endpoint::from(r.sink_endpoint).normalised(),
            delivery: r.delivery,
        }
    }
}

impl JoinPoint {
    /// The request that asks for this point.
    pub fn to_request(&self, id: &PointId) -> JoinRequest {
        JoinRequest {
            join_point_id: id.clone(),
            join_point_switch_id: self.switch,
            sink_endpoint: self.sink.into(),
            delivery: self.delivery,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_becomes_a_flow_and_the_flow_is_stored_and_read_back() {
        let json = r#"{"source": {"switch_id": "00:00:00:00:00:00:00:01", "port_number": 1, "inner_vlan_id": 7},
            "destination": {"switch_id": "00:00:00:00:00:00:00:02", "port_number": 2, "vlan_id": 5, "inner_vlan_id": 6},
            "maximum_bandwidth": 1000, "max_latency": 10.5, "max_latency_tier_2": 0,
            "path_computation_strategy": "latency"}"#;
        let request: FlowRequest = serde_json::from_str(json).expect("a request");
        let mut flow = Flow::from_request("f1".parse().expect("a name"), &request);
        assert_eq!((flow.source.vlan, flow.source.inner_vlan), (7, 0));
        assert_eq!(flow.max_latency_ns, Some(10_500_000));
        assert_eq!(flow.max_latency_tier_2_ns, None);
        flow.joins.insert(
            "j".parse().expect("a name"),
            JoinPoint {
                switch: SwitchId(1),
                sink: flow.source,
                delivery: JoinDelivery::Both,
            },
        );
        let text = serde_json::to_string(&flow).expect("JSON");
        assert_eq!(serde_json::from_str::<Flow>(&text).expect("a flow"), flow);
        assert_eq!(flow.updated(&flow.to_request()), flow);
    }
}

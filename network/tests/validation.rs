//! Bad wishes: each gets the field and the cause.

use std::collections::{BTreeMap, BTreeSet};

use skerry_bus::api::{Direction, FieldError, FlowRequest, JoinDelivery, JoinRequest, MirrorRequest};
use skerry_bus::ids::{Endpoint, FlowId, LinkId, PortNo, PortRef, SwitchId};
use skerry_network::{Flow, Surroundings, validate_flow, validate_join, validate_mirror};

mod common;
use common::*;

struct World {
    switches: BTreeMap<SwitchId, BTreeSet<PortNo>>,
    link_ports: BTreeMap<PortRef, LinkId>,
    flows: BTreeMap<FlowId, Flow>,
}

impl World {
    /// The ring with ports 1 to 5 for customers, flow `f1` from 1/1:100 to 3/1:200.300, and flow `f2` with a mirror point and
    /// a join point.
    fn new() -> World {
        let ports: BTreeSet<PortNo> = (1..=5).chain(10..=11).map(PortNo).collect();
        let mut world = World {
            switches: (1..=SWITCHES).map(|s| (SwitchId(s), ports.clone())).collect(),
            link_ports: ring().into_iter().flat_map(|l| [(l.a(), l), (l.b(), l)]).collect(),
            flows: BTreeMap::new(),
        };
        let f1 = flow("f1", endpoint(1, 1, 100, 0), endpoint(3, 1, 200, 300));
        let mut f2 = flow("f2", endpoint(1, 2, 0, 0), endpoint(3, 2, 0, 0));
        f2.mirrors.insert(
            "m".parse().expect("a name"),
            (&mirror("m", 1, endpoint(1, 3, 7, 0))).into(),
        );
        f2.joins.insert(
            "j".parse().expect("a name"),
            (&join("j", 3, endpoint(3, 3, 8, 9))).into(),
        );
        for flow in [f1, f2] {
            world.flows.insert(flow.id.clone(), flow);
        }
        world
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            switches: &self.switches,
            link_ports: &self.link_ports,
            flows: &self.flows,
        }
    }

    fn flow(&self, id: &str, source: Endpoint, destination: Endpoint) -> Vec<FieldError> {
        self.request(id, &request(source, destination, 0))
    }

    fn request(&self, id: &str, request: &FlowRequest) -> Vec<FieldError> {
        validate_flow(&id.parse().expect("a name"), request, &self.around())
    }

    fn mirror(&self, flow: &str, request: &MirrorRequest) -> Vec<FieldError> {
        validate_mirror(
            &self.flows[&flow.parse::<FlowId>().expect("a name")],
            request,
            &self.around(),
        )
    }

    fn join(&self, flow: &str, request: &JoinRequest) -> Vec<FieldError> {
        validate_join(
            &self.flows[&flow.parse::<FlowId>().expect("a name")],
            request,
            &self.around(),
        )
    }
}

fn mirror(id: &str, switch: u64, sink: Endpoint) -> MirrorRequest {
    MirrorRequest {
        mirror_point_id: id.parse().expect("a name"),
        mirror_point_direction: Direction::Forward,
        mirror_point_switch_id: SwitchId(switch),
        sink_endpoint: sink.into(),
    }
}

fn join(id: &str, switch: u64, sink: Endpoint) -> JoinRequest {
    JoinRequest {
        join_point_id: id.parse().expect("a name"),
        join_point_switch_id: SwitchId(switch),
        sink_endpoint: sink.into(),
        delivery: JoinDelivery::Both,
    }
}

#[track_caller]
fn refused(errors: &[FieldError], pointer: &str, part: &str) {
    match errors {
        [one] => {
            assert_eq!(one.pointer, pointer, "{one:?}");
            assert!(one.detail.contains(part), "{one:?} has no {part:?}");
        }
        other => panic!("{other:?}"),
    }
}

const FREE: (u32, u16) = (4, 44);

fn free(switch: u64) -> Endpoint {
    endpoint(switch, FREE.0, FREE.1, 0)
}

#[test]
fn what_is_right_is_not_refused() {
    let w = World::new();
    assert_eq!(w.flow("new", free(1), free(2)), []);
    // The same flow again, and beside others on their ports with other tags.
    assert_eq!(w.flow("f1", endpoint(1, 1, 100, 0), endpoint(3, 1, 200, 300)), []);
    assert_eq!(w.flow("new", endpoint(1, 1, 0, 0), endpoint(3, 1, 200, 0)), []);
    assert_eq!(w.flow("new", endpoint(1, 1, 100, 5), endpoint(3, 1, 200, 301)), []);
    assert_eq!(w.flow("new", endpoint(1, 1, 101, 0), endpoint(1, 1, 102, 0)), []);
    assert_eq!(w.mirror("f1", &mirror("m", 1, free(1))), []);
    assert_eq!(w.join("f1", &join("j", 3, free(3))), []);
    // A point put again under its name; a join at the sink of the flow's own mirror; the other direction to the same sink.
    assert_eq!(w.mirror("f2", &mirror("m", 1, endpoint(1, 3, 7, 0))), []);
    assert_eq!(w.join("f2", &join("back", 1, endpoint(1, 3, 7, 0))), []);
    let other = MirrorRequest {
        mirror_point_direction: Direction::Reverse,
        ..mirror("m2", 1, endpoint(1, 3, 7, 0))
    };
    assert_eq!(w.mirror("f2", &other), []);
}

#[test]
fn an_endpoint_that_cannot_exist_is_refused() {
    let w = World::new();
    refused(&w.flow("n", free(9), free(2)), "/source/switch_id", "is not known");
    refused(
        &w.flow("n", endpoint(1, 77, 0, 0), free(2)),
        "/source/port_number",
        "has no port 77",
    );
    refused(
        &w.flow("n", free(1), endpoint(2, 10, 5, 0)),
        "/destination/port_number",
        "belongs to link",
    );
    refused(
        &w.flow("n", endpoint(1, 4, 4_095, 0), free(2)),
        "/source/vlan_id",
        "0 to 4094",
    );
    refused(
        &w.flow("n", free(1), endpoint(2, 4, 1, 60_000)),
        "/destination/inner_vlan_id",
        "not 60000",
    );
    refused(&w.flow("n", free(1), free(1)), "/destination", "are both");
    // A lone inner tag is the outer one.
    refused(
        &w.flow("n", free(1), endpoint(1, FREE.0, 0, FREE.1)),
        "/destination",
        "are both",
    );
}

#[test]
fn an_endpoint_that_is_taken_is_refused_with_who_has_it() {
    let w = World::new();
    refused(
        &w.flow("n", endpoint(1, 1, 100, 0), free(2)),
        "/source/vlan_id",
        "taken by flow f1",
    );
    refused(
        &w.flow("n", endpoint(1, 1, 0, 100), free(2)),
        "/source/vlan_id",
        "taken by flow f1",
    );
    refused(
        &w.flow("n", free(1), endpoint(3, 1, 200, 300)),
        "/destination/inner_vlan_id",
        "taken by flow f1",
    );
    refused(
        &w.flow("n", endpoint(1, 2, 0, 0), free(2)),
        "/source/port_number",
        "taken by flow f2",
    );
    refused(
        &w.flow("n", endpoint(1, 3, 7, 0), free(2)),
        "/source/vlan_id",
        "mirror point m of flow f2",
    );
    refused(
        &w.flow("n", free(1), endpoint(3, 3, 8, 9)),
        "/destination/inner_vlan_id",
        "join point j of flow f2",
    );
    refused(
        &w.flow("f2", endpoint(1, 3, 7, 0), endpoint(3, 2, 0, 0)),
        "/source/vlan_id",
        "sink of mirror point m",
    );
}

#[test]
fn an_end_with_a_point_may_not_leave_its_switch() {
    let w = World::new();
    let errors = w.flow("f2", free(2), endpoint(3, 2, 0, 0));
    refused(&errors, "/source/switch_id", "mirror point m is at switch");
    let errors = w.flow("f2", endpoint(1, 2, 0, 0), free(2));
    refused(&errors, "/destination/switch_id", "join point j is at switch");
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let w = World::new();
    let with = |first: Option<f64>, second: Option<f64>| {
        let mut wish = request(free(1), free(2), 0);
        (wish.max_latency, wish.max_latency_tier_2) = (first, second);
        w.request("n", &wish)
    };
    assert_eq!(with(Some(10.0), Some(10.0)), []);
    assert_eq!(with(Some(10.0), Some(0.0)), []);
    assert_eq!(with(None, Some(0.0)), []);
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
        refused(&with(Some(bad), None), "/max_latency", "milliseconds are possible");
        refused(
            &with(Some(1.0), Some(bad)),
            "/max_latency_tier_2",
            "milliseconds are possible",
        );
    }
    refused(&with(None, Some(5.0)), "/max_latency_tier_2", "without max_latency");
    refused(&with(Some(10.0), Some(5.0)), "/max_latency_tier_2", "below the first");
    let mut wish = request(free(1), free(2), 0);
    wish.description = "é".repeat(512);
    assert_eq!(w.request("n", &wish), []);
    wish.description.push('é');
    refused(&w.request("n", &wish), "/description", "512 characters");
}

#[test]
fn every_wrong_field_is_told_at_once() {
    let w = World::new();
    let mut wish = request(endpoint(9, 1, 5_000, 0), endpoint(1, 77, 0, 0), 0);
    wish.max_latency = Some(-1.0);
    let pointers: Vec<String> = w.request("n", &wish).into_iter().map(|e| e.pointer).collect();
    assert_eq!(
        pointers,
        [
            "/source/switch_id",
            "/source/vlan_id",
            "/destination/port_number",
            "/max_latency"
        ]
    );
}

#[test]
fn a_sink_that_cannot_be_is_refused() {
    let w = World::new();
    for (pointer, errors) in [
        ("/mirror_point_switch_id", w.mirror("f1", &mirror("m", 2, free(2)))),
        ("/join_point_switch_id", w.join("f1", &join("j", 2, free(2)))),
    ] {
        refused(&errors, pointer, "is not an end of flow f1");
    }
    let cases = [
        (endpoint(2, 4, 0, 0), "switch_id", "not possible yet"),
        (endpoint(1, 77, 0, 0), "port_number", "has no port 77"),
        (endpoint(1, 10, 0, 0), "port_number", "belongs to link"),
        (endpoint(1, 4, 5_000, 0), "vlan_id", "0 to 4094"),
        (endpoint(1, 1, 100, 0), "vlan_id", "endpoint of this flow"),
        (endpoint(1, 2, 0, 0), "port_number", "taken by flow f2"),
        (endpoint(1, 3, 7, 0), "vlan_id", "taken by mirror point m of flow f2"),
    ];
    for (sink, field, part) in cases {
        refused(
            &w.mirror("f1", &mirror("m", 1, sink)),
            &format!("/sink_endpoint/{field}"),
            part,
        );
        refused(
            &w.join("f1", &join("j", 1, sink)),
            &format!("/sink_endpoint/{field}"),
            part,
        );
    }
    let again = mirror("m2", 1, endpoint(1, 3, 7, 0));
    refused(&w.mirror("f2", &again), "/sink_endpoint/vlan_id", "by mirror point m");
    let again = join("j2", 3, endpoint(3, 3, 8, 9));
    refused(&w.join("f2", &again), "/sink_endpoint/inner_vlan_id", "by join point j");
    refused(
        &w.join("f2", &join("m", 1, free(1))),
        "/join_point_id",
        "is a mirror point",
    );
    refused(
        &w.mirror("f2", &mirror("j", 1, free(1))),
        "/mirror_point_id",
        "is a join point",
    );
}

#[test]
fn a_flow_has_a_limited_number_of_points() {
    let mut w = World::new();
    let f1: FlowId = "f1".parse().expect("a name");
    for n in 0..32u16 {
        let request = mirror(&format!("m{n}"), 1, endpoint(1, 5, 1 + n, 0));
        assert_eq!(w.mirror("f1", &request), []);
        let flow = w.flows.get_mut(&f1).expect("f1");
        flow.mirrors.insert(request.mirror_point_id.clone(), (&request).into());
    }
    let one_more = mirror("more", 1, free(1));
    refused(&w.mirror("f1", &one_more), "/mirror_point_id", "at most 32");
    refused(&w.join("f1", &join("more", 1, free(1))), "/join_point_id", "at most 32");
    assert_eq!(w.mirror("f1", &mirror("m3", 1, free(1))), []);
}

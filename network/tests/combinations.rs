//! Every kind of endpoint with every kind of sink: what arrives where, with which tags.

use std::collections::BTreeSet;

use skerry_bus::api::{Direction, JoinDelivery};
use skerry_bus::ids::Endpoint;
use skerry_bus::objects::{Action, GroupKind};
use skerry_network::{Flow, JoinPoint, MirrorPoint, PerSwitch, Placed, Pools, Route};

mod common;
use common::*;

/// The three kinds of an endpoint on a port.
fn kinds(switch: u64, port: u32, vlan: u16, inner: u16) -> [Endpoint; 3] {
    [
        endpoint(switch, port, 0, 0),
        endpoint(switch, port, vlan, 0),
        endpoint(switch, port, vlan, inner),
    ]
}

/// Flows of every shape, with a route: over three switches, over two, on one, and on one port.
fn shapes() -> Vec<(Flow, Route)> {
    let mut shapes = Vec::new();
    for source in kinds(1, 1, 100, 200) {
        for (to, port) in [(3, 2), (2, 2), (1, 2), (1, 1)] {
            for destination in kinds(to, port, 300, 400).into_iter().chain(kinds(to, port, 300, 200)) {
                if source == destination {
                    continue;
                }
                let route = if to == 1 {
                    Route::default()
                } else {
                    routes(1, to)[0].clone()
                };
                shapes.push((flow("f1", source, destination), route));
            }
        }
    }
    shapes
}

/// Sinks of every kind: on a port of their own and on both customers' ports, with tags of their own and with tags that
/// the flow uses elsewhere.
fn sinks(flow: &Flow, switch: u64) -> Vec<Endpoint> {
    let mut sinks = Vec::new();
    for port in [5, 1, 2] {
        sinks.extend(kinds(switch, port, 500, 600));
        sinks.extend([endpoint(switch, port, 500, 200), endpoint(switch, port, 500, 400)]);
        sinks.extend([endpoint(switch, port, 100, 600), endpoint(switch, port, 300, 600)]);
    }
    sinks.retain(|s| *s != flow.source && *s != flow.destination);
    sinks
}

/// What the network holds with this flow in it.
fn network(flow: &Flow, route: &Route) -> (PerSwitch, Placed) {
    let placed = Placed::new(flow.clone(), route.clone(), &mut Pools::new()).expect("numbers");
    let objects = placed.objects().expect("rules");
    for (switch, held) in &objects {
        assert_refers_to_what_is_there(held, &format!("{switch} {flow:?}"));
    }
    (union([&services(), &objects]), placed)
}

/// The customer's own tags below those of the endpoint.
const OWN_TAGS: [&[u16]; 2] = [&[], &[77]];

fn ends(flow: &Flow) -> BTreeSet<u64> {
    BTreeSet::from([flow.source.switch.0, flow.destination.switch.0])
}

#[test]
fn a_flow_carries_each_packet_once_and_gives_it_the_other_ends_tags() {
    for (flow, route) in shapes() {
        let (state, _) = network(&flow, &route);
        for leg in flow.legs() {
            for own in OWN_TAGS {
                let got = send(&state, leg.from, &with_tags(own, leg.from), b"customer");
                assert_eq!(got, [arrival(leg.to, own, b"customer")], "{flow:?}");
            }
        }
    }
}

#[test]
fn frames_that_are_not_the_flows_go_nowhere() {
    for (flow, route) in shapes() {
        let (state, _) = network(&flow, &route);
        for leg in flow.legs() {
            if leg.from.vlan == 0 || leg.from.port == leg.to.port && leg.from.switch == leg.to.switch {
                continue;
            }
            for tags in [vec![], vec![999], vec![200, 999], vec![999, 998]] {
                assert_eq!(send(&state, leg.from, &tags, b"stranger"), [], "{tags:?} {flow:?}");
            }
            if leg.from.inner_vlan != 0 {
                assert_eq!(
                    send(&state, leg.from, &[999, leg.from.vlan], b"stranger"),
                    [],
                    "{flow:?}"
                );
                assert_eq!(send(&state, leg.from, &[leg.from.vlan], b"stranger"), [], "{flow:?}");
            }
        }
    }
}

#[test]
fn a_copy_has_the_sinks_tags_and_the_flow_is_not_touched_by_it() {
    for (flow, route) in shapes() {
        for switch in ends(&flow) {
            for direction in [Direction::Forward, Direction::Reverse] {
                for sink in sinks(&flow, switch) {
                    let mut mirrored = flow.clone();
                    let point = MirrorPoint {
                        direction,
                        switch: sink.switch,
                        sink,
                    };
                    mirrored.mirrors.insert("m1".parse().expect("a name"), point);
                    let (state, _) = network(&mirrored, &route);
                    for leg in flow.legs() {
                        for own in OWN_TAGS {
                            let mut expected = vec![arrival(leg.to, own, b"customer")];
                            if leg.direction == direction {
                                expected.push(arrival(sink, own, b"customer"));
                            }
                            expected.sort();
                            let got = send(&state, leg.from, &with_tags(own, leg.from), b"customer");
                            assert_eq!(got, expected, "{leg:?} {mirrored:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_device_answers_in_the_format_it_receives_and_reaches_whom_it_should() {
    for (flow, route) in shapes() {
        for switch in ends(&flow) {
            for sink in sinks(&flow, switch) {
                for delivery in DELIVERIES {
                    let mut joined = flow.clone();
                    // The device sees both directions, and its answers are not sent back to it.
                    for (name, direction) in [("m1", Direction::Forward), ("m2", Direction::Reverse)] {
                        let switch = sink.switch;
                        let point = MirrorPoint {
                            direction,
                            switch,
                            sink,
                        };
                        joined.mirrors.insert(name.parse().expect("a name"), point);
                    }
                    let point = JoinPoint {
                        switch: sink.switch,
                        sink,
                        delivery,
                    };
                    joined.joins.insert("j1".parse().expect("a name"), point);
                    let (state, _) = network(&joined, &route);
                    // On a flow with both ends here the near end is the source.
                    let near = joined.leg_from(sink.switch).expect("an end");
                    for own in OWN_TAGS {
                        let mut expected = Vec::new();
                        if delivery != JoinDelivery::Local {
                            expected.push(arrival(near.to, own, b"device"));
                        }
                        if delivery != JoinDelivery::Network {
                            expected.push(arrival(near.from, own, b"device"));
                        }
                        expected.sort();
                        let got = send(&state, sink, &with_tags(own, sink), b"device");
                        assert_eq!(got, expected, "{sink} {delivery:?} {flow:?}");
                        for leg in flow.legs() {
                            let mut expected = vec![arrival(leg.to, own, b"customer"), arrival(sink, own, b"customer")];
                            expected.sort();
                            let got = send(&state, leg.from, &with_tags(own, leg.from), b"customer");
                            assert_eq!(got, expected, "{leg:?} {joined:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_tagged_frame_never_falls_into_the_whole_ports_flow_without_its_tag() {
    // Flow w has the whole port; flow v has one tag on it. Whatever of v is there or is not, a frame with v's tag
    // either is v's, or is w's with its tag on, or is lost; it never is w's without the tag.
    let (w_in, w_out) = (endpoint(1, 1, 0, 0), endpoint(3, 1, 0, 0));
    let (v_in, v_out) = (endpoint(1, 1, 100, 0), endpoint(3, 2, 300, 0));
    let route = routes(1, 3)[0].clone();
    let mut pools = Pools::new();
    let w = Placed::new(flow("w", w_in, w_out), route.clone(), &mut pools).expect("numbers");
    let v = Placed::new(flow("v", v_in, v_out), route, &mut pools).expect("numbers");
    let (w, v) = (w.objects().expect("rules"), v.objects().expect("rules"));
    let rules: Vec<_> = v[&v_in.switch].rules.keys().cloned().collect();
    let (mut vs, mut ws, mut lost) = (0, 0, 0);
    for subset in 0..1u32 << rules.len() {
        let mut some = v.clone();
        let held = some.get_mut(&v_in.switch).expect("the switch");
        held.rules.retain(|key, _| {
            let i = rules.iter().position(|k| k == key).expect("one of them");
            subset & 1 << i != 0
        });
        let got = send(&union([&services(), &w, &some]), v_in, &[100], b"frame");
        match got.as_slice() {
            [] => lost += 1,
            [one] if *one == arrival(v_out, &[], b"frame") => vs += 1,
            [one] if *one == arrival(w_out, &[100], b"frame") => ws += 1,
            other => panic!("subset {subset:b}: {other:?}"),
        }
    }
    assert!(vs > 0 && ws > 0 && lost > 0, "{vs} {ws} {lost}");
}

#[test]
fn groups_are_all_with_the_flow_first_and_a_bucket_pushes_at_most_one_tag() {
    for (flow, route) in shapes() {
        for sink in sinks(&flow, 1) {
            let mut full = flow.clone();
            let point = MirrorPoint {
                direction: Direction::Forward,
                switch: sink.switch,
                sink,
            };
            full.mirrors.insert("m1".parse().expect("a name"), point);
            let point = JoinPoint {
                switch: sink.switch,
                sink,
                delivery: JoinDelivery::Both,
            };
            full.joins.insert("j1".parse().expect("a name"), point);
            let (_, placed) = network(&full, &route);
            let objects = placed.objects().expect("rules");
            for group in objects.values().flat_map(|o| o.groups.values()) {
                for bucket in &group.buckets {
                    let count = |want: fn(&Action) -> bool| bucket.actions.iter().filter(|a| want(a)).count();
                    assert!(count(|a| matches!(a, Action::PushVlan(_))) <= 1, "{bucket:?}");
                    assert!(count(|a| matches!(a, Action::SetVlan(_))) <= 1, "{bucket:?}");
                    assert!(count(|a| matches!(a, Action::PopVlan)) <= 1, "{bucket:?}");
                    assert_eq!(
                        count(|a| matches!(a, Action::Output(_) | Action::Group(_))),
                        1,
                        "{bucket:?}"
                    );
                }
            }
            // The ingress rule names an ALL group whose first bucket alone carries the flow.
            let at_source = &objects[&flow.source.switch];
            let alone = {
                let mut alone = objects.clone();
                let held = alone.get_mut(&flow.source.switch).expect("the switch");
                let all = held.groups.values_mut().filter(|g| g.kind == GroupKind::All);
                all.for_each(|g| g.buckets.truncate(1));
                alone
            };
            assert_eq!(
                at_source.groups.values().filter(|g| g.kind == GroupKind::All).count(),
                2
            );
            let state = union([&services(), &alone]);
            let got = send(&state, flow.source, &with_tags(&[], flow.source), b"customer");
            assert_eq!(got, [arrival(flow.destination, &[], b"customer")], "{full:?}");
        }
    }
}

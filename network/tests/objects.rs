//! Many flows in one network: nobody's objects are another's, ids stay in their ranges, and the union of all carries all.

use std::collections::{BTreeMap, BTreeSet};

use skerry_bus::api::Direction;
use skerry_bus::ids::{PortNo, SwitchId};
use skerry_network::layout::{EFFECTIVE_IDS, FLOW_GROUPS, FLOW_METERS, TRANSIT_VLANS, effective_id_of, table};
use skerry_network::resources::{Exhausted, GroupRole};
use skerry_network::{Flow, JoinPoint, MirrorPoint, PerSwitch, Placed, Pools, Route, TranslateError};

mod common;
use common::*;

/// Flows of every kind of endpoint on few ports, with a mirror point and a join point each.
fn many(count: u16) -> (Vec<Placed>, Pools) {
    let mut pools = Pools::new();
    let mut rng = Rng::new(0x5eed_0003);
    let flows = (0..count)
        .map(|n| {
            let (from, to) = (1 + rng.below(SWITCHES), 1 + rng.below(SWITCHES));
            let port = 1 + u32::from(n % 3);
            // Different tags by flow, the same outer tag for several.
            let source = endpoint(from, port, 100 + n / 8, 1 + n);
            let destination = endpoint(to, port + 3, 200 + n, 0);
            let mut flow = flow(&format!("flow-{n}"), source, destination);
            let switch = source.switch;
            let sink = endpoint(switch.0, 7, 300 + n, 1 + n % 2);
            let direction = Direction::Forward;
            flow.mirrors.insert(
                "m".parse().expect("a name"),
                MirrorPoint {
                    direction,
                    switch,
                    sink,
                },
            );
            let delivery = DELIVERIES[usize::from(n) % 3];
            flow.joins
                .insert("j".parse().expect("a name"), JoinPoint { switch, sink, delivery });
            let route = if from == to {
                Route::default()
            } else {
                rng.pick(&routes(from, to)).clone()
            };
            Placed::new(flow, route, &mut pools).expect("numbers")
        })
        .collect();
    (flows, pools)
}

#[test]
fn only_shared_rules_are_in_two_flows_and_those_are_the_same_to_the_byte() {
    let (flows, _) = many(200);
    let mut owners: BTreeMap<(SwitchId, String), (String, String)> = BTreeMap::new();
    let mut shared = 0;
    let services = services();
    for placed in &flows {
        for (switch, objects) in placed.objects().expect("rules") {
            let rules = objects.rules.values().map(|r| {
                let own = effective_id_of(r.cookie).is_some();
                assert_eq!(own, r.key.table >= table::INGRESS, "{r:?}");
                (format!("{:?}", r.key), format!("{r:?}"), own)
            });
            let groups = objects
                .groups
                .values()
                .map(|g| (format!("group {}", g.id), format!("{g:?}"), true));
            let meters = objects
                .meters
                .values()
                .map(|m| (format!("meter {}", m.id), format!("{m:?}"), true));
            for (key, value, own) in rules.chain(groups).chain(meters) {
                let name = placed.flow.id.to_string();
                if let Some((other, theirs)) = owners.insert((switch, key.clone()), (name, value.clone())) {
                    assert!(!own, "{key} on {switch} belongs to {} and {other}", placed.flow.id);
                    assert_eq!(value, theirs);
                    shared += 1;
                }
            }
            let of_service = services[&switch].keys();
            assert!(objects.rules.keys().all(|k| !of_service.rules.contains(k)));
        }
    }
    assert!(shared > 100, "{shared} shared rules: too few to mean anything");
}

#[test]
fn ids_are_in_their_ranges_and_cookies_name_their_flow() {
    let (flows, _) = many(200);
    let mut effective = BTreeMap::new();
    let mut vlans = BTreeSet::new();
    for placed in &flows {
        let ids = &placed.ids;
        for id in [ids.effective_id].into_iter().chain(ids.joins.values().copied()) {
            assert!(EFFECTIVE_IDS.contains(&id));
            assert_eq!(effective.insert(id, placed.flow.id.clone()), None);
        }
        if let Some(vlan) = ids.transit_vlan {
            assert!(TRANSIT_VLANS.contains(&u32::from(vlan)) && vlans.insert(vlan));
        }
        assert_eq!(ids.transit_vlan.is_none(), placed.flow.is_one_switch());
    }
    for placed in &flows {
        for objects in placed.objects().expect("rules").values() {
            assert!(objects.meters.keys().all(|id| FLOW_METERS.contains(id)));
            assert!(objects.groups.keys().all(|id| FLOW_GROUPS.contains(id)));
            for rule in objects.rules.values() {
                let marked = rule.cookie.0 >> 61 != 0 || rule.cookie.0 >> 52 == 0x008;
                assert!(marked, "{:?} would be foreign", rule.cookie);
                if let Some(id) = effective_id_of(rule.cookie) {
                    assert_eq!(effective.get(&id), Some(&placed.flow.id));
                }
            }
        }
    }
}

#[test]
fn all_flows_together_carry_what_each_carries_alone() {
    let (flows, _) = many(60);
    let objects: Vec<PerSwitch> = flows.iter().map(|p| p.objects().expect("rules")).collect();
    let mut held = vec![services()];
    held.extend(objects);
    let state = union(&held);
    for placed in &flows {
        for leg in placed.flow.legs() {
            let mut expected = vec![arrival(leg.to, &[], b"packet")];
            if leg.direction == Direction::Forward {
                expected.extend(placed.flow.mirrors.values().map(|m| arrival(m.sink, &[], b"packet")));
            }
            expected.sort();
            let got = send(&state, leg.from, &with_tags(&[], leg.from), b"packet");
            assert_eq!(got, expected, "{}", placed.flow.id);
        }
    }
}

#[test]
fn the_same_flow_has_the_same_numbers_and_rules_whenever_it_is_made() {
    let (first, _) = many(50);
    let (second, _) = many(50);
    assert_eq!(first, second);
    let alone = Placed::new(first[0].flow.clone(), first[0].route.clone(), &mut Pools::new()).expect("numbers");
    assert_eq!(alone, first[0]);
    let json = |p: &Placed| serde_json::to_string(&p.objects().expect("rules").into_values().collect::<Vec<_>>());
    assert_eq!(json(&alone).expect("JSON"), json(&first[0]).expect("JSON"));
}

#[test]
fn pools_are_built_again_from_what_flows_have() {
    let (flows, pools) = many(80);
    let mut again = Pools::new();
    for placed in flows.iter().rev() {
        again.hold(&placed.ids);
    }
    assert_eq!(again, pools);
    for placed in &flows {
        again.release(&placed.ids, None);
    }
    assert_eq!(again, Pools::new());
}

#[test]
fn when_numbers_run_out_it_is_said_and_nothing_is_taken() {
    let mut pools = Pools::new();
    let route = routes(1, 2)[0].clone();
    let make = |n: u32| flow(&format!("f{n}"), endpoint(1, n, 0, 0), endpoint(2, n, 0, 0));
    let mut last = None;
    let mut made = 0;
    // 2,469 meters a switch are the first to end.
    let failure = loop {
        match Placed::new(make(made), route.clone(), &mut pools) {
            Ok(placed) => last = Some(placed),
            Err(failure) => break failure,
        }
        made += 1;
    };
    assert_eq!((made, failure), (2_469, Exhausted::Meters(SwitchId(1))));
    let before = pools.clone();
    assert!(Placed::new(make(9_999), route.clone(), &mut pools).is_err());
    assert_eq!(pools, before);
    // One that is given back is used again.
    let last = last.expect("some were made");
    pools.release(&last.ids, None);
    let again = Placed::new(make(9_999), route.clone(), &mut pools).expect("one is free");
    assert_eq!(again.ids.meters[0].id, last.ids.meters[0].id);
    // Without meters transit VLANs are the next.
    let failure = loop {
        made += 1;
        let flow = Flow {
            bandwidth_kbps: 0,
            ..make(made)
        };
        if let Err(failure) = Placed::new(flow, route.clone(), &mut pools) {
            break failure;
        }
    };
    assert_eq!(failure, Exhausted::TransitVlans);
    assert_eq!(failure.to_string(), "all transit VLANs (2 to 4,094) are in use");
}

#[test]
fn meters_follow_the_bandwidth_and_joined_traffic_shares_them() {
    let (flows, _) = many(30);
    for placed in &flows {
        let objects = placed.objects().expect("rules");
        for meter in objects.values().flat_map(|o| o.meters.values()) {
            assert_eq!((meter.rate, meter.burst), (1_000, 1_050));
        }
        let at = &objects[&placed.flow.source.switch];
        let rule = |port: PortNo| {
            let found = |k: &&skerry_bus::RuleKey| k.table == table::INGRESS && k.matches.in_port == Some(port);
            at.rules.keys().find(found).and_then(|k| at.rules[k].meter)
        };
        let join = &placed.flow.joins.values().next().expect("a join point");
        let shares = rule(join.sink.port) == rule(placed.flow.source.port);
        let local = join.delivery == skerry_bus::api::JoinDelivery::Local;
        assert_eq!(shares, !local, "{placed:?}");
    }
}

#[test]
fn what_does_not_fit_together_is_an_error_and_no_panic() {
    let (flows, _) = many(8);
    for placed in &flows {
        let wrong_way = Placed {
            route: Route {
                passages: placed.route.along(Direction::Reverse),
            },
            ..placed.clone()
        };
        if !placed.flow.is_one_switch() {
            assert!(matches!(wrong_way.objects(), Err(TranslateError::Route(_))));
        }
        let mut bare = placed.clone();
        bare.ids.groups.retain(|g| !matches!(g.role, GroupRole::Join { .. }));
        assert!(matches!(bare.objects(), Err(TranslateError::Missing { .. })));
        let mut bare = placed.clone();
        bare.ids.groups.retain(|g| !matches!(g.role, GroupRole::Chain(_)));
        assert!(matches!(bare.objects(), Err(TranslateError::Missing { .. })));
        let mut bare = placed.clone();
        bare.ids.meters.clear();
        assert!(matches!(bare.objects(), Err(TranslateError::Missing { .. })));
        let mut bare = placed.clone();
        bare.ids.joins.clear();
        assert!(matches!(bare.objects(), Err(TranslateError::Missing { .. })));
    }
}

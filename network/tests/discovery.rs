//! The turn-back rules: each discovery packet is turned at most once, wherever it is let loose.

use std::collections::BTreeMap;

use skerry_bus::ids::{LinkId, PortNo, PortRef, SwitchId};
use skerry_bus::objects::{Mac, MeterUnit};
use skerry_network::layout::{DISCOVERY_MAC, DISCOVERY_METER, DISCOVERY_UDP, IPV4, TURNED_UDP, UDP, priority};
use skerry_network::packet::Packet;
use skerry_network::walk::{Outcome, walk};
use skerry_network::{PerSwitch, Placed, Pools, service_objects};

mod common;
use common::*;

fn discovery(from: u64, udp_dst: u16) -> Packet {
    Packet {
        eth_src: Mac(SwitchId(from).mac()),
        eth_dst: DISCOVERY_MAC,
        tags: vec![],
        eth_type: IPV4,
        ip_proto: Some(UDP),
        udp: Some((DISCOVERY_UDP, udp_dst)),
        payload: b"signed".to_vec(),
    }
}

/// The packet as it arrives at the far end of the cable of `out`.
fn let_loose(state: &PerSwitch, links: &[LinkId], out: PortRef, packet: Packet) -> Outcome {
    let cables = cables(links);
    let at = cables[&out];
    let outcome = walk(|_, s| state.get(&s), &cables, at, packet, 64);
    assert!(!outcome.cut_off, "it circles");
    outcome
}

#[test]
fn on_a_ring_the_far_switch_keeps_a_copy_and_the_near_one_gets_it_back_and_that_is_all() {
    let state = services();
    for switch in 1..=SWITCHES {
        for out in [10, 11] {
            let near = port(switch, out);
            let far = cables(&ring())[&near];
            let outcome = let_loose(&state, &ring(), near, discovery(switch, DISCOVERY_UDP));
            let expected = vec![
                (far, discovery(switch, DISCOVERY_UDP)),
                (near, discovery(switch, TURNED_UDP)),
            ];
            assert_eq!(outcome.to_controller, expected);
            assert_eq!(outcome.visits, 2);
            assert!(outcome.delivered.is_empty());
        }
    }
}

#[test]
fn on_a_cable_from_a_switch_to_itself_nothing_is_turned() {
    for (a, b) in [(20, 21), (20, 20)] {
        let state = PerSwitch::from([(SwitchId(1), service_objects(SwitchId(1), [PortNo(20), PortNo(21)]))]);
        let links = [LinkId::new(port(1, a), port(1, b))];
        let outcome = let_loose(&state, &links, port(1, a), discovery(1, DISCOVERY_UDP));
        assert_eq!((outcome.visits, outcome.to_controller.len()), (1, 0));
        // What claims to be turned already is only taken in.
        let outcome = let_loose(&state, &links, port(1, a), discovery(1, TURNED_UDP));
        assert_eq!((outcome.visits, outcome.to_controller.len()), (1, 1));
    }
}

#[test]
fn a_turned_packet_of_another_switch_is_dropped_and_a_forged_one_is_turned_once() {
    let state = services();
    for from in 2..=SWITCHES + 5 {
        let outcome = let_loose(&state, &ring(), port(4, 10), discovery(from, TURNED_UDP));
        assert_eq!((outcome.visits, outcome.to_controller.len()), (1, 0), "from {from}");
        let outcome = let_loose(&state, &ring(), port(4, 10), discovery(from, DISCOVERY_UDP));
        assert!(outcome.visits <= 2, "from {from}");
    }
}

#[test]
fn a_customer_who_sends_discovery_packets_into_a_flow_finds_them_dropped_or_caught() {
    let (a, b) = (endpoint(1, 1, 0, 0), endpoint(3, 1, 0, 0));
    let flow = Placed::new(flow("f1", a, b), routes(1, 3)[0].clone(), &mut Pools::new()).expect("numbers");
    let state = union([&services(), &flow.objects().expect("rules")]);
    for from in 1..=SWITCHES + 1 {
        for udp in [DISCOVERY_UDP, TURNED_UDP] {
            let links = cables(&ring());
            let outcome = walk(|_, s| state.get(&s), &links, a.port_ref(), discovery(from, udp), 64);
            let context = format!("from {from} to {udp}");
            assert!(!outcome.cut_off && outcome.visits == 1, "{context}");
            // Only what is turned comes back, to where it came from.
            assert!(
                outcome.delivered.iter().all(|(port, _)| *port == a.port_ref()),
                "{context}"
            );
            let caught = usize::from((udp == DISCOVERY_UDP) != (from == 1));
            assert_eq!(outcome.to_controller.len(), caught, "{context}");
        }
    }
}

#[test]
fn discovery_stands_above_everything_of_customers_and_under_a_meter() {
    let objects = service_objects(SwitchId(7), [PortNo(1)]);
    let priorities: BTreeMap<u16, usize> = objects
        .rules
        .keys()
        .filter(|k| k.matches.eth_dst == Some(DISCOVERY_MAC))
        .fold(BTreeMap::new(), |mut counts, k| {
            assert_eq!(k.table, 0);
            *counts.entry(k.priority).or_default() += 1;
            counts
        });
    assert_eq!(priorities, BTreeMap::from([(31_770, 1), (31_769, 2), (31_768, 1)]));
    const { assert!(priority::CUSTOMER_PORT < priority::DISCOVERY && priority::QINQ < priority::DISCOVERY) };
    assert_eq!(objects.meters[&DISCOVERY_METER].unit, MeterUnit::Pktps);
    assert_refers_to_what_is_there(&objects, "service");
    let defaults = objects.rules.keys().filter(|k| k.priority == 1).count();
    assert_eq!(defaults, 6);
}

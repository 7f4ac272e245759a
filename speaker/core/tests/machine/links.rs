//! Discovery and round trips over cables: seen, silent, forged, replayed, turned, measured.

use std::time::Duration;

use bytes::Bytes;
use skerry_bus::*;
use skerry_speaker_core::Counter;
use skerry_speaker_core::packet::{self, Kind, Probe};

use super::world::*;

/// Switches 1 to n in a ring, port 1 to the next one's port 2, one speaker active for all.
fn ring(n: u64, delay: Duration) -> World {
    let mut world = World::new(&["east"]);
    for switch in 1..=n {
        world.add_switch(switch, 2);
    }
    for switch in 1..=n {
        world.cable((switch, 1), (switch % n + 1, 2), delay);
    }
    for switch in 1..=n {
        world.connect(switch, 0);
    }
    world.run(50 * MS);
    for switch in 1..=n {
        world.activate(0, switch, 1);
    }
    world
}

fn seen(world: &World, speaker: usize, from: usize) -> Vec<(PortRef, PortRef)> {
    world.told(speaker, from, |b| match b {
        RegionEventBody::LinkSeen { from, to, interval_ms } => {
            assert_eq!(*interval_ms, 1_000);
            Some((*from, *to))
        }
        _ => None,
    })
}

fn silent(world: &World, speaker: usize, from: usize) -> Vec<(PortRef, PortRef, u32)> {
    world.told(speaker, from, |b| match b {
        RegionEventBody::LinkSilent { from, to, missed, .. } => Some((*from, *to, *missed)),
        _ => None,
    })
}

fn figures(world: &World, speaker: usize) -> Vec<(PortRef, PortRef, u64)> {
    let pick = |l: &Latency| match &l.body {
        LatencyBody::LinkLatency {
            from, to, latency_ns, ..
        } => Some((*from, *to, *latency_ns)),
        LatencyBody::FlowLatency { .. } => None,
    };
    world.speakers[speaker].latencies.iter().filter_map(pick).collect()
}

#[test]
fn a_ring_is_found_at_once_and_told_once() {
    let mut world = ring(4, 5 * MS);
    world.run(100 * MS);
    let mut found = seen(&world, 0, 0);
    found.sort();
    let mut expected: Vec<_> = (1..=4)
        .flat_map(|s| {
            let (a, b) = (port_ref(s, 1), port_ref(s % 4 + 1, 2));
            [(a, b), (b, a)]
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    let before = world.mark(0);
    world.run(10 * SECOND);
    assert!(seen(&world, 0, before).is_empty(), "unchanged links are a digest");
    let digests = world.told(0, before, |b| match b {
        RegionEventBody::LinkDigest { switch, links, digest } => Some((*switch, *links, *digest)),
        _ => None,
    });
    assert_eq!(digests.len(), 40);
    let into_2: u64 = [(port_ref(1, 1), port_ref(2, 2)), (port_ref(3, 2), port_ref(2, 1))]
        .iter()
        .fold(0, |sum, (from, to)| {
            sum.wrapping_add(event::direction_digest(*from, *to))
        });
    assert!(
        digests
            .iter()
            .all(|(s, links, digest)| *s != SwitchId(2) || (*links, *digest) == (2, into_2))
    );
}

#[test]
fn round_trips_are_those_of_the_cables() {
    let mut world = ring(4, 5 * MS);
    world.cable((1, 1), (2, 2), 8 * MS);
    world.run(10 * SECOND);
    let figures = figures(&world, 0);
    assert!(figures.len() >= 8 * 9, "{}", figures.len());
    for (from, to, ns) in &figures {
        let ends = LinkId::new(*from, *to);
        let delay = if ends == LinkId::new(port_ref(1, 1), port_ref(2, 2)) {
            16_000_000
        } else {
            10_000_000
        };
        assert_eq!(
            *ns, delay,
            "{ends}: exact in virtual time, the control channel taken off"
        );
    }
    let state = world.told(0, 0, |b| match b {
        RegionEventBody::SwitchChanged { state } => state.control_rtt_ns,
        _ => None,
    });
    assert!(state.is_empty() || state.iter().all(|ns| *ns == 2_000_000));
}

#[test]
fn a_cut_cable_is_silent_after_three_missed_packets_and_news_when_it_is_back() {
    let mut world = ring(4, MS);
    world.run(5 * SECOND);
    let before = world.mark(0);
    let cut = world.cables.remove(&(1, 1)).unwrap();
    world.run(2_900 * MS);
    assert!(silent(&world, 0, before).is_empty());
    world.run(1_400 * MS);
    let told = silent(&world, 0, before);
    assert_eq!(told, [(port_ref(1, 1), port_ref(2, 2), 3)], "one direction only");
    world.cables.insert((1, 1), cut);
    let before = world.mark(0);
    world.run(1_100 * MS);
    assert_eq!(seen(&world, 0, before), [(port_ref(1, 1), port_ref(2, 2))]);
}

#[test]
fn a_port_that_goes_down_is_an_event_and_no_silence() {
    let mut world = ring(4, MS);
    world.run(5 * SECOND);
    let before = world.mark(0);
    world.set_port(1, 1, false);
    world.set_port(2, 2, false);
    world.cables.remove(&(1, 1));
    world.cables.remove(&(2, 2));
    world.run(8 * SECOND);
    assert!(silent(&world, 0, before).is_empty());
    world.cable((1, 1), (2, 2), MS);
    let before = world.mark(0);
    world.set_port(1, 1, true);
    world.set_port(2, 2, true);
    world.run(20 * MS);
    assert_eq!(
        seen(&world, 0, before).len(),
        2,
        "a port that is back is probed at once"
    );
}

#[test]
fn a_cable_from_a_switch_to_itself_and_to_the_same_port_loops_nothing() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 3);
    world.cable((1, 1), (1, 2), MS);
    world.cables.insert((1, 3), (1, 3, MS));
    world.connect(1, 0);
    world.run(50 * MS);
    world.activate(0, 1, 1);
    world.run(5 * SECOND);
    assert!(seen(&world, 0, 0).is_empty());
    assert!(figures(&world, 0).is_empty());
}

#[test]
fn links_between_regions_work_like_any_other() {
    let mut world = World::new(&["east", "west"]);
    world.add_switch(1, 1);
    world.add_switch(2, 1);
    world.cable((1, 1), (2, 1), 3 * MS);
    world.connect(1, 0);
    world.connect(2, 1);
    world.run(50 * MS);
    world.activate(0, 1, 1);
    world.activate(1, 2, 1);
    world.run(5 * SECOND);
    assert_eq!(seen(&world, 0, 0), [(port_ref(2, 1), port_ref(1, 1))]);
    assert_eq!(seen(&world, 1, 0), [(port_ref(1, 1), port_ref(2, 1))]);
    for speaker in [0, 1] {
        let figures = figures(&world, speaker);
        assert!(
            figures.len() >= 4 && figures.iter().all(|(_, _, ns)| *ns == 6_000_000),
            "{figures:?}"
        );
    }
}

fn probe(world: &World, from: PortRef, nonce: u64) -> Probe {
    Probe {
        kind: Kind::Link,
        from,
        sent_ns: 0,
        sent_ms: world.broker_ms(),
        nonce,
        epoch: Epoch(99),
        region: region("west"),
    }
}

#[test]
fn forged_stale_replayed_and_misplaced_packets_are_dropped_and_counted() {
    let mut world = active();
    world.run(SECOND);
    let far = port_ref(7, 3);
    let count = |world: &World, counter| world.counted(0, counter);
    let send = |world: &mut World, packet: Vec<u8>| {
        world.inject(1, 2, Bytes::from(packet));
        world.run(5 * MS);
    };
    let good = probe(&world, far, 10);
    send(&mut world, packet::build(&good, &[8; 32]));
    assert_eq!(count(&world, Counter::PacketForged), 1);

    let frame = packet::build(&good, &[9; 32]);
    send(&mut world, frame.clone());
    assert_eq!(seen(&world, 0, 0), [(far, port_ref(1, 2))]);
    send(&mut world, frame);
    assert_eq!(count(&world, Counter::PacketReplayed), 1);

    let mut old = probe(&world, far, 11);
    old.sent_ms -= 2_100;
    send(&mut world, packet::build(&old, &[9; 32]));
    let mut early = probe(&world, far, 12);
    early.sent_ms += 2_100;
    send(&mut world, packet::build(&early, &[9; 32]));
    assert_eq!(count(&world, Counter::PacketStale), 2);

    // A turned packet that claims to be ours and was sent by another epoch.
    let mut turned = probe(&world, port_ref(1, 2), 13);
    turned.region = region("east");
    let mut frame = packet::build(&turned, &[9; 32]);
    frame[36..38].copy_from_slice(&packet::UDP_TURNED.to_be_bytes());
    send(&mut world, frame);
    assert_eq!(count(&world, Counter::PacketMisplaced), 1);

    let mut other = packet::build(&probe(&world, far, 14), &[9; 32]);
    other[42] ^= 1;
    send(&mut world, other);
    assert_eq!(count(&world, Counter::PacketOther), 1);
    assert_eq!(seen(&world, 0, 0).len(), 1);
}

#[test]
fn many_senders_at_one_port_are_bounded() {
    let mut world = active();
    for n in 0..20 {
        let probe = probe(&world, port_ref(100 + n, 1), n + 1);
        world.inject(1, 1, Bytes::from(packet::build(&probe, &[9; 32])));
    }
    world.run(5 * MS);
    assert_eq!(seen(&world, 0, 0).len(), 8);
    assert_eq!(world.counted(0, Counter::PacketFull), 12);
}

#[test]
fn without_its_control_channel_measured_no_figure_is_told() {
    let mut world = World::new(&["east"]);
    for switch in [1, 2] {
        world.add_switch(switch, 1);
        world.model(switch).quirks.no_control = true;
        world.connect(switch, 0);
    }
    world.cable((1, 1), (2, 1), MS);
    world.run(50 * MS);
    world.activate(0, 1, 1);
    world.activate(0, 2, 1);
    world.run(3 * SECOND);
    assert_eq!(seen(&world, 0, 0).len(), 2);
    assert!(figures(&world, 0).is_empty());
    assert!(world.counted(0, Counter::LatencyNoControl) >= 4);
}

#[test]
fn a_region_that_is_not_active_sends_nothing_and_forgets_its_links() {
    let mut world = ring(2, MS);
    world.run(2 * SECOND);
    let sent = |world: &World| world.counted(0, Counter::ProbesSent);
    for switch in [1, 2] {
        let body = CommandBody::Deactivate {
            switch: SwitchId(switch),
            term: Term(2),
        };
        world.command(0, &format!("down-{switch}"), SECOND, body);
    }
    let (before, probes) = (world.mark(0), sent(&world));
    world.run(10 * SECOND);
    assert_eq!(sent(&world), probes);
    assert!(
        silent(&world, 0, before).is_empty(),
        "silence is told by whoever is active"
    );
    for switch in [1, 2] {
        world.activate(0, switch, 3);
    }
    world.run(100 * MS);
    assert_eq!(seen(&world, 0, before).len(), 4);
}

#[test]
fn a_thousand_switches_at_once_are_announced_and_all_their_links_found() {
    let mut world = World::new(&["east"]);
    for switch in 1..=1_000 {
        world.add_switch(switch, 4);
        world.connect(switch, 0);
    }
    for switch in 1..=1_000 {
        for port in 1..=2 {
            world.cable((switch, port), (switch % 1_000 + 1, port + 2), MS);
        }
    }
    world.run(20 * MS);
    let announced = world.told(0, 0, |b| {
        matches!(b, RegionEventBody::SwitchConnected { .. }).then_some(())
    });
    assert_eq!(announced.len(), 1_000);
    for switch in 1..=1_000 {
        world.activate(0, switch, 1);
    }
    world.run(SECOND);
    assert_eq!(seen(&world, 0, 0).len(), 4_000);
}

//! A switch that sends more packets than anybody can use: what is dropped, what is not, and that every packet is counted.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ofproto::*;
use skerry_bus::{DesiredChange, Epoch, Objects, Outcome, PortRef, RegionEventBody};
use skerry_speaker_core::packet::{self, Kind, Probe};
use skerry_speaker_core::{Config, Counter, Rate};

use super::world::*;

/// A packet-in as switches send it.
fn packet_in(in_port: Option<u32>, data: Bytes) -> Bytes {
    let matching = match in_port {
        Some(port) => Match::new().with(Oxm::in_port(PortNo(port))),
        None => Match::new(),
    };
    let packet = PacketIn {
        buffer_id: NO_BUFFER,
        total_len: data.len() as u16,
        reason: PacketInReason::ACTION,
        table_id: TableId(0),
        cookie: 1,
        matching,
        data,
    };
    Message::new(0, Body::PacketIn(packet)).to_bytes().expect("fits")
}

/// A packet of a customer's.
fn other(in_port: u32) -> Bytes {
    packet_in(Some(in_port), Bytes::from(vec![0x11; 100]))
}

/// A discovery packet that says it comes from far away, with its signature.
fn discovery(world: &World, in_port: u32, nonce: u64, key: [u8; 32]) -> Bytes {
    let probe = Probe {
        kind: Kind::Link,
        from: port_ref(77, 1),
        sent_ns: 0,
        sent_ms: world.broker_ms(),
        nonce,
        epoch: Epoch(99),
        region: region("far"),
    };
    packet_in(Some(in_port), Bytes::from(packet::build(&probe, &key)))
}

fn repeated(frame: &Bytes, times: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    for _ in 0..times {
        bytes.extend_from_slice(frame);
    }
    bytes.freeze()
}

fn echo(text: &'static [u8]) -> Bytes {
    let body = Body::EchoRequest(Bytes::from_static(text));
    Message::new(5, body).to_bytes().expect("fits")
}

/// Switches 1 and 2 with a cable between their ports 1, active. Gives the connection of switch 1.
fn pair(change: impl Fn(&mut Config)) -> (World, u64) {
    let mut world = World::with(&["east"], change);
    world.add_switch(1, 2);
    world.add_switch(2, 2);
    world.cable((1, 1), (2, 1), 2 * MS);
    let conn = world.connect(1, 0);
    world.connect(2, 0);
    world.run(50 * MS);
    for switch in [1, 2] {
        world.activate(0, switch, 1);
    }
    world.run(3 * SECOND);
    (world, conn)
}

fn silences(world: &World, from: usize) -> Vec<(PortRef, PortRef)> {
    world.told(0, from, |b| match b {
        RegionEventBody::LinkSilent { from, to, .. } => Some((*from, *to)),
        _ => None,
    })
}

#[test]
fn a_flood_of_other_packets_costs_no_discovery_packet_and_no_port_event() {
    let (mut world, conn) = pair(|_| {});
    let mark = world.mark(0);
    let received = world.counted(0, Counter::ProbesReceived);
    // 100,000 a second for ten seconds, by the port that has the link and by the other one.
    let burst = [repeated(&other(1), 50), repeated(&other(2), 50)].concat();
    for ms in 0..10_000u32 {
        world.bytes(0, conn, burst.clone());
        if ms % 1_000 == 500 {
            world.set_port(1, 2, ms % 2_000 != 500);
            world.bytes(0, conn, echo(b"are you there"));
            world.desired(
                0,
                &format!("d{ms}"),
                1,
                1,
                u64::from(ms),
                snapshot(rules(u64::from(ms) / 100)),
            );
        }
        world.run(MS);
    }
    world.run(SECOND);
    let offered = world.counted(0, Counter::PacketsOffered);
    assert!(offered > 1_000_000, "{offered}");
    // A second's burst and ten seconds of its rate, for each of two ports.
    let looked_at = world.counted(0, Counter::PacketOther);
    assert!((1_000..=2_200).contains(&looked_at), "{looked_at}");
    assert!(world.counted(0, Counter::ShedOtherPort) > 990_000);
    assert_eq!(world.counted(0, Counter::ShedDiscoveryPort), 0);
    assert_eq!(world.counted(0, Counter::ShedDiscoverySwitch), 0);
    assert_eq!(silences(&world, mark), []);
    let rests = world.speakers[0].rests;
    assert!(
        (9_000..=10_000).contains(&rests),
        "each read but the first few: {rests}"
    );
    // Each second two directions, two that were turned around, and two control channels.
    let received = world.counted(0, Counter::ProbesReceived) - received;
    assert!((60..=68).contains(&received), "{received}");
    let ports = world.told(0, mark, |b| {
        matches!(b, RegionEventBody::PortChanged { .. }).then_some(())
    });
    assert_eq!(ports.len(), 10);
    for ms in (500..10_000).step_by(1_000) {
        assert_eq!(world.ended(0, &format!("d{ms}")), (Outcome::Applied, None));
    }
}

#[test]
fn a_switch_that_floods_by_many_ports_meets_the_limit_of_the_switch() {
    let rate = |per_second, burst| Rate { per_second, burst };
    let (mut world, conn) = pair(|config| {
        config.packets.other_port = rate(10, 10);
        config.packets.other_switch = rate(15, 15);
    });
    world.bytes(0, conn, [repeated(&other(1), 12), repeated(&other(2), 12)].concat());
    assert_eq!(world.counted(0, Counter::PacketOther), 15);
    assert_eq!(world.counted(0, Counter::ShedOtherPort), 2);
    assert_eq!(world.counted(0, Counter::ShedOtherSwitch), 7);
    // What the switch's bucket refused took nothing from the port's.
    world.run(400 * MS);
    world.bytes(0, conn, repeated(&other(2), 12));
    assert_eq!(world.counted(0, Counter::PacketOther), 21);
}

#[test]
fn ports_that_a_switch_does_not_have_share_one_bucket() {
    let (mut world, conn) = pair(|_| {});
    for n in 0..20_000u32 {
        world.bytes(0, conn, other(1_000 + n));
    }
    world.bytes(
        0,
        conn,
        repeated(&packet_in(None, Bytes::from_static(b"from nowhere")), 10),
    );
    assert_eq!(world.counted(0, Counter::PacketOther), 100);
    assert_eq!(world.counted(0, Counter::ShedOtherPort), 19_910);
    world.bytes(0, conn, other(1));
    assert_eq!(
        world.counted(0, Counter::PacketOther),
        101,
        "the ports it has are not concerned"
    );
    world.assert_packets_balance();
}

#[test]
fn forged_discovery_by_one_port_is_bounded_and_costs_the_other_ports_nothing() {
    let (mut world, conn) = pair(|_| {});
    let mark = world.mark(0);
    for n in 0..5_000u64 {
        let forged = discovery(&world, 2, n, [1; 32]);
        world.bytes(0, conn, repeated(&forged, 20));
        world.run(MS);
    }
    let checked = world.counted(0, Counter::PacketForged);
    assert!((500..=610).contains(&checked), "{checked} signatures");
    assert!(world.counted(0, Counter::ShedDiscoveryPort) > 99_000);
    assert_eq!(silences(&world, mark), []);
    // An honest neighbour at another port is seen at once.
    let honest = discovery(&world, 1, 1, [9; 32]);
    world.bytes(0, conn, honest);
    let seen = world.told(0, mark, |b| match b {
        RegionEventBody::LinkSeen { from, to, .. } => Some((*from, *to)),
        _ => None,
    });
    assert_eq!(seen, [(port_ref(77, 1), port_ref(1, 1))]);
}

#[test]
fn forged_discovery_by_all_ports_meets_the_limit_of_the_switch_and_others_are_untouched() {
    let rate = |per_second, burst| Rate { per_second, burst };
    let (mut world, conn) = pair(|config| config.packets.discovery_switch = rate(50, 50));
    let mark = world.mark(0);
    for n in 0..8_000u64 {
        let forged = [discovery(&world, 1, n, [1; 32]), discovery(&world, 2, n, [1; 32])].concat();
        world.bytes(0, conn, forged);
        world.run(MS);
    }
    let checked = world.counted(0, Counter::PacketForged);
    assert!((400..=450).contains(&checked), "{checked} signatures");
    assert!(world.counted(0, Counter::ShedDiscoverySwitch) > 10_000);
    // The flooding switch may have lost its own; what it sent still arrives at the other one.
    let lost = silences(&world, mark);
    assert!(lost.iter().all(|(_, to)| to.switch.0 == 1), "{lost:?}");
}

#[test]
fn packets_before_the_announcement_are_dropped_and_counted() {
    let mut world = World::new(&["east"]);
    let conn = world.accept(0);
    world.bytes(0, conn, repeated(&other(1), 100));
    assert_eq!(world.counted(0, Counter::ShedNotAnnounced), 100);
    assert!(!world.speakers[0].closed.contains_key(&conn), "it may still say hello");
    world.assert_packets_balance();
}

#[test]
fn a_malformed_packet_is_counted_and_ends_its_connection() {
    let (mut world, conn) = pair(|_| {});
    let mut bad = BytesMut::from(other(1).as_ref());
    // A match that is longer than the message.
    bad[26] = 0xff;
    world.bytes(0, conn, [&other(1)[..], &bad[..], &other(1)[..]].concat());
    assert_eq!(world.counted(0, Counter::PacketsMalformed), 1);
    assert_eq!(world.counted(0, Counter::PacketOther), 1);
    assert!(world.speakers[0].closed[&conn].contains("malformed frame"));
    world.assert_packets_balance();
}

#[test]
fn answers_to_one_read_are_one_write() {
    let (mut world, conn) = pair(|_| {});
    // Its hello, which was written before it was known to be a switch.
    world.written(0, conn);
    world.conns.remove(&conn);
    world.bytes(0, conn, repeated(&echo(b"1234"), 64));
    assert_eq!(world.writes(0, conn), 1);
    assert_eq!(world.written(0, conn).len(), 64);
}

#[test]
fn what_is_not_used_is_counted_also_before_the_announcement() {
    let mut world = World::new(&["east"]);
    let conn = world.accept(0);
    let frame = |body| Message::new(9, body).to_bytes().expect("fits");
    world.bytes(0, conn, frame(Body::Hello(Hello::with_versions(&[4]))));
    world.bytes(0, conn, frame(Body::BarrierReply));
    world.bytes(0, conn, frame(Body::EchoReply(Bytes::new())));
    assert_eq!(world.counted(0, Counter::Early), 1);
    assert_eq!(world.counted(0, Counter::Unexpected), 1);
}

#[test]
fn ports_beyond_the_limit_are_counted_also_after_the_announcement() {
    let (mut world, conn) = pair(|_| {});
    for number in 10..10 + 4_100 {
        let status = PortStatus {
            reason: PortReason::ADD,
            desc: super::model::port(number),
        };
        let body = Body::PortStatus(status);
        world.bytes(0, conn, Message::new(0, body).to_bytes().expect("fits"));
    }
    // Two it had before.
    assert_eq!(world.counted(0, Counter::PortsFull), 6);
}

/// A small generator (xorshift), so that a seed gives the same run everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

#[test]
fn every_packet_is_counted_once_whatever_comes_however_it_is_cut() {
    for seed in 1..=60u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut world, first) = pair(|_| {});
        let mut conn = first;
        let mut sent = world.counted(0, Counter::PacketsOffered);
        let mut sent_whole = 0;
        for _ in 0..200 {
            let mut bytes = Vec::new();
            let mut whole = 0;
            for _ in 0..random.next(60) {
                let port = random.next(4) as u32;
                let frame = match random.next(20) {
                    0 => echo(b"x"),
                    1 => discovery(&world, port, random.next(50), [9; 32]),
                    2..5 => discovery(&world, port, random.next(50), [8; 32]),
                    5 => packet_in(None, Bytes::new()),
                    _ => other(port),
                };
                whole += u64::from(frame[1] == 10);
                bytes.extend_from_slice(&frame);
            }
            if random.next(60) == 0 {
                // It lies about its match; nothing behind it is looked at.
                let mut bad = BytesMut::from(packet_in(Some(1), Bytes::from_static(b"bad")).as_ref());
                bad[26] = 0xff;
                bytes.extend_from_slice(&bad);
                whole += 1;
            }
            sent_whole += whole;
            let mut rest = Bytes::from(bytes);
            while !rest.is_empty() {
                let cut = 1 + random.next(4_000) as usize;
                let read = rest.split_to(cut.min(rest.len()));
                world.bytes(0, conn, read);
            }
            if world.speakers[0].closed.contains_key(&conn) {
                world.run(10 * MS);
                conn = world.connect(1, 0);
                world.run(50 * MS);
                let term = 2 + random.next(1 << 40);
                world.activate(0, 1, term);
            }
            world.run(Duration::from_millis(random.next(40)));
            let offered = world.counted(0, Counter::PacketsOffered);
            assert!(offered >= sent, "seed {seed}");
            sent = offered;
        }
        let offered = world.counted(0, Counter::PacketsOffered);
        // More than what we sent, because honest packets came too; and none of ours is missing.
        assert!(offered >= sent_whole, "seed {seed}: {offered} of {sent_whole}");
        // Nothing of it keeps the switch from working.
        world.run(2 * SECOND);
        world.activate(0, 1, u64::MAX >> 2);
        world.run(SECOND);
        let objects = DesiredChange::Snapshot {
            objects: Objects::new(),
        };
        world.desired(0, "last", 1, u64::MAX >> 2, 1, objects);
        world.run(SECOND);
        assert_eq!(world.ended(0, "last"), (Outcome::Applied, None), "seed {seed}");
    }
}

//! From the first byte to the announcement, and every way to be refused.

use bytes::Bytes;
use ofproto::{Body, ControllerRole, ErrorType, Hello, HelloFailedCode, Message, MessageType};
use skerry_bus::*;
use skerry_speaker_core::{ConnId, Counter, Fact, Input};

use super::world::*;

fn connected(world: &World, speaker: usize) -> Vec<SwitchState> {
    world.told(speaker, 0, |b| match b {
        RegionEventBody::SwitchConnected { state } => Some(state.clone()),
        _ => None,
    })
}

fn refusals(world: &World, speaker: usize) -> Vec<(Option<SwitchId>, String)> {
    world.told(speaker, 0, |b| match b {
        RegionEventBody::SwitchRefused { switch, reason, .. } => Some((*switch, reason.clone())),
        _ => None,
    })
}

fn hello(version: u8, versions: Option<&[u8]>) -> Bytes {
    let hello = versions.map_or(Hello::default(), Hello::with_versions);
    let message = Message {
        version,
        xid: 5,
        body: Body::Hello(hello),
    };
    message.to_bytes().expect("a hello fits")
}

#[test]
fn a_switch_is_announced_when_its_role_is_settled_and_not_before() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 4);
    let conn = world.connect(1, 0);
    assert!(connected(&world, 0).is_empty());
    world.run(50 * MS);
    let told = connected(&world, 0);
    assert_eq!(told.len(), 1);
    let state = &told[0];
    assert_eq!(state.switch, SwitchId(1));
    assert_eq!((state.role, state.term_seen, state.connection), (Role::Slave, None, 1));
    assert_eq!(state.description.manufacturer, "Model");
    assert_eq!(
        (state.description.openflow.as_str(), state.description.tables),
        ("1.3", 254)
    );
    let ports: Vec<u32> = state.ports.iter().map(|p| p.port.0).collect();
    assert_eq!(ports, [1, 2, 3, 4], "both parts of the list, reserved ports left out");
    assert!(state.ports.iter().all(|p| p.up));
    assert_eq!(world.model(1).role(conn), Some(ControllerRole::SLAVE));
    assert_eq!(world.model(1).generation, Some(0), "terms begin at 1");
    assert!(world.model(1).writes.is_empty(), "nothing that writes was sent");
}

#[test]
fn the_number_a_switch_shows_is_told() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 1);
    world.model(1).generation = Some(41);
    world.connect(1, 0);
    world.run(50 * MS);
    assert_eq!(connected(&world, 0)[0].term_seen, Some(Term(41)));
    assert_eq!(world.model(1).generation, Some(41));
}

#[test]
fn bytes_may_be_cut_anywhere() {
    let mut world = World::new(&["east"]);
    let conn = world.accept(0);
    for byte in hello(6, Some(&[1, 4, 6])) {
        world.bytes(0, conn, vec![byte]);
    }
    let kinds: Vec<MessageType> = world.written(0, conn).iter().map(Message::kind).collect();
    assert_eq!(kinds, [MessageType::HELLO, MessageType::FEATURES_REQUEST]);
}

#[test]
fn higher_versions_come_down_to_1_3_and_1_0_is_refused_with_the_proper_error() {
    for (version, bitmap, accepted) in [
        (4u8, None, true),
        (6, None, true),
        (6, Some(&[4u8, 6][..]), true),
        (1, Some(&[1, 4]), false), // a 1.0 hello has no elements, so its body says nothing
        (1, None, false),
        (6, Some(&[1, 6]), false),
    ] {
        let mut world = World::new(&["east"]);
        let conn = world.accept(0);
        // Elements exist from 1.3 on.
        let bitmap = bitmap.filter(|_| version >= 4);
        world.bytes(0, conn, hello(version, bitmap));
        let last = world.written(0, conn).pop().expect("an answer");
        if accepted {
            assert_eq!(last.body, Body::FeaturesRequest, "{version} {bitmap:?}");
            continue;
        }
        let Body::Error(error) = last.body else {
            panic!("{version} {bitmap:?}: {last:?}");
        };
        assert_eq!(last.version, version.min(4));
        assert_eq!(error.kind, ErrorType::HELLO_FAILED);
        assert_eq!(error.code, HelloFailedCode::INCOMPATIBLE.0);
        assert!(String::from_utf8_lossy(&error.data).contains("1.3"));
        assert!(world.speakers[0].closed[&conn].starts_with("no OpenFlow version in common"));
        assert_eq!(refusals(&world, 0).len(), 1);
        assert_eq!(world.counted(0, Counter::RefusedVersion), 1);
    }
}

#[test]
fn a_malformed_frame_is_answered_closed_and_told_with_its_place() {
    // (bytes, what the reason names, whether an error can be answered)
    let cases: [(&[u8], &str); 4] = [
        (&[4, 0, 0, 4, 0, 0, 0, 1], "ofp_header at offset 0: length 4"),
        (
            &[4, 0, 0, 12, 0, 0, 0, 1, 0, 1, 0, 2],
            "ofp_hello_elem_header at offset 8: length 2",
        ),
        (&[5, 5, 0, 8, 0, 0, 0, 1], "ofp_header at offset"),
        (&[4, 6, 0, 8, 0, 0, 0, 1], "ofp_switch_features at offset 8"),
    ];
    for (bytes, place) in cases {
        let mut world = World::new(&["east"]);
        world.add_switch(1, 2);
        world.connect(1, 0);
        let conn = world.accept(0);
        world.bytes(0, conn, Bytes::copy_from_slice(bytes));
        let reason = world.speakers[0].closed[&conn].clone();
        assert!(
            reason.starts_with("malformed frame: ") && reason.contains(place),
            "{reason}"
        );
        let answer = world.written(0, conn).pop().expect("an answer");
        assert!(matches!(answer.body, Body::Error(_)), "{answer:?}");
        assert_eq!(refusals(&world, 0), [(None, reason)]);
        world.run(50 * MS);
        assert_eq!(connected(&world, 0).len(), 1, "others are untouched");
    }
}

#[test]
fn a_malformed_frame_ends_an_announced_switch_with_the_reason() {
    let mut world = active();
    let conn = *world.conns.keys().next().expect("one connection");
    world.bytes(0, conn, vec![4, 10, 0, 10, 0, 0, 0, 1, 0, 0]);
    let reasons = world.told(0, 0, |b| match b {
        RegionEventBody::SwitchDisconnected { reason, connection, .. } => Some((*connection, reason.clone())),
        _ => None,
    });
    assert_eq!(reasons.len(), 1);
    assert_eq!(reasons[0].0, 1);
    assert!(reasons[0].1.contains("ofp_packet_in at offset 8"), "{}", reasons[0].1);
    assert!(world.speakers[0].closed.contains_key(&conn));
}

#[test]
fn a_frame_behind_a_malformed_one_is_not_looked_at() {
    let mut world = World::new(&["east"]);
    let conn = world.accept(0);
    let mut bytes = vec![4, 6, 0, 8, 0, 0, 0, 1];
    bytes.extend_from_slice(&hello(4, None));
    world.bytes(0, conn, bytes);
    let kinds: Vec<MessageType> = world.written(0, conn).iter().map(Message::kind).collect();
    assert_eq!(kinds, [MessageType::HELLO, MessageType::ERROR]);
}

#[test]
fn a_handshake_that_stands_still_ends_after_five_seconds_and_says_where() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    world.model(1).quirks.no_ports = true;
    let conn = world.connect(1, 0);
    let silent = world.accept(0);
    world.run(4_900 * MS);
    assert!(world.speakers[0].closed.is_empty());
    world.run(200 * MS);
    assert!(world.speakers[0].closed[&conn].contains("OFPMP_PORT_DESC"));
    assert!(world.speakers[0].closed[&silent].contains("OFPT_HELLO"));
    assert_eq!(world.counted(0, Counter::RefusedHandshake), 2);
    assert!(connected(&world, 0).is_empty());
}

#[test]
fn a_switch_that_stops_answering_is_given_up_after_three_echoes() {
    let mut world = active();
    world.model(1).quirks.mute = true;
    world.run(14 * SECOND);
    assert!(
        world.speakers[0].closed.is_empty(),
        "a switch that stands still for seconds is not given up"
    );
    world.run(7 * SECOND);
    let reasons: Vec<&String> = world.speakers[0].closed.values().collect();
    assert_eq!(reasons, ["3 echo requests in a row without an answer"]);
}

#[test]
fn a_second_connection_of_a_living_switch_is_refused_and_the_first_stays() {
    let mut world = active();
    let second = world.connect(1, 0);
    world.run(20 * MS);
    let reason = &world.speakers[0].closed[&second];
    assert!(
        reason.contains("taken by a living connection from 10.0.0.1:40001"),
        "{reason}"
    );
    assert_eq!(refusals(&world, 0), [(Some(SwitchId(1)), reason.clone())]);
    assert_eq!(connected(&world, 0).len(), 1);
    assert!(world.model(1).role(1) == Some(ControllerRole::MASTER));
    // And once more, to see that nothing of the first challenge stays behind.
    let third = world.connect(1, 0);
    world.run(20 * MS);
    assert!(world.speakers[0].closed.contains_key(&third));
}

#[test]
fn a_dead_connection_gives_way_to_the_next_one_after_the_challenge() {
    let mut world = active();
    // The switch came back on a new connection; the old one was cut without a word.
    world.model(1).disconnect(1);
    let second = world.connect(1, 0);
    world.run(1_900 * MS);
    assert_eq!(connected(&world, 0).len(), 1, "the newcomer waits");
    // Whoever comes while one waits is refused at once.
    let third = world.connect(1, 0);
    world.run(5 * MS);
    assert!(world.speakers[0].closed[&third].contains("already being decided"));
    world.run(300 * MS);
    assert_eq!(
        world.speakers[0].closed[&1],
        "did not answer when another connection claimed the same switch id"
    );
    let told = connected(&world, 0);
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].connection, 2);
    assert_eq!(told[1].address, format!("10.0.0.{second}:{}", 40_000 + second));
    let gone = world.told(0, 0, |b| match b {
        RegionEventBody::SwitchDisconnected { connection, .. } => Some(*connection),
        _ => None,
    });
    assert_eq!(gone, [1]);
}

#[test]
fn a_number_that_changes_while_the_role_is_settled_is_asked_again() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 1);
    world.model(1).generation = Some(4);
    world.model(1).quirks.newer_after_nochange = 3;
    world.connect(1, 0);
    world.run(100 * MS);
    let state = &connected(&world, 0)[0];
    assert_eq!((state.role, state.term_seen), (Role::Slave, Some(Term(7))));
    // But not for ever.
    let mut world = World::new(&["east"]);
    world.add_switch(1, 1);
    world.model(1).generation = Some(4);
    world.model(1).quirks.newer_after_nochange = 1_000;
    let conn = world.connect(1, 0);
    world.run(SECOND);
    assert!(world.speakers[0].closed[&conn].contains("OFPRRFC_STALE"));
    assert_eq!(world.counted(0, Counter::RefusedRole), 1);
}

#[test]
fn a_newcomer_goes_on_when_the_challenged_connection_ends_by_itself() {
    let mut world = active();
    world.model(1).disconnect(1);
    world.connect(1, 0);
    world.run(10 * MS);
    world.input(
        0,
        Input::Closed {
            conn: ConnId(1),
            reason: "reset by peer".into(),
        },
    );
    world.run(50 * MS);
    assert_eq!(connected(&world, 0).len(), 2);
}

#[test]
fn more_connections_than_allowed_are_closed_at_once() {
    let mut world = World::with(&["east"], |c| c.connections_max = 2);
    world.accept(0);
    world.accept(0);
    let third = world.accept(0);
    assert!(world.speakers[0].closed[&third].contains("2 connections are open"));
    assert_eq!(world.counted(0, Counter::RefusedFull), 1);
}

#[test]
fn a_port_that_changes_is_told_whatever_the_role() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    world.connect(1, 0);
    world.run(50 * MS);
    let before = world.mark(0);
    world.set_port(1, 2, false);
    world.set_port(1, 2, false);
    world.run(10 * MS);
    let told = world.told(0, before, |b| match b {
        RegionEventBody::PortChanged { port, removed, .. } => Some((port.port.0, port.up, *removed)),
        _ => None,
    });
    assert_eq!(told, [(2, false, false)], "once: the second message says nothing new");
}

#[test]
fn knocking_fast_does_not_fill_the_bus() {
    let mut world = World::new(&["east"]);
    for _ in 0..100 {
        let conn = world.accept(0);
        world.bytes(0, conn, hello(1, None));
    }
    assert_eq!(refusals(&world, 0).len(), 20);
    assert_eq!(world.counted(0, Counter::EventDropped), 80);
    let logged = world.speakers[0]
        .facts
        .iter()
        .filter(|f| matches!(f, Fact::Refused { .. }));
    assert_eq!(logged.count(), 20);
    // What was not told one by one is told as a number with the next one.
    world.run(SECOND);
    let conn = world.accept(0);
    world.bytes(0, conn, hello(1, None));
    let more = world.speakers[0].facts.iter().find_map(|f| match f {
        Fact::RefusedMore { times } => Some(*times),
        _ => None,
    });
    assert_eq!((refusals(&world, 0).len(), more), (21, Some(80)));
}

#[test]
fn a_speaker_that_stops_says_goodbye_for_its_switches() {
    let mut world = active();
    world.input(0, Input::Stop);
    let gone = world.told(0, 0, |b| match b {
        RegionEventBody::SwitchDisconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(gone, ["the speaker stops"]);
    assert_eq!(world.speakers[0].closed.len(), 1);
}

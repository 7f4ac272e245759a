//! Who may connect: certificates and the switch they are for, failed TLS, and how many from where.

use std::sync::Arc;

use ofproto::{Body, Capabilities, FeaturesReply, Hello, Message};
use skerry_bus::*;
use skerry_speaker_core::{
    CertificateTable, Certified, ConnId, Counter, Fingerprint, Identity, Input, TlsFailure, TlsFault,
};

use super::world::*;

/// The holder of a certificate for these switches.
fn certified(uris: &[&str]) -> Identity {
    let uris = uris.iter().copied();
    let certified = Certified::new(
        "CN=s".into(),
        Fingerprint([0xab; 32]),
        uris,
        &CertificateTable::default(),
    );
    Identity::Certified(Arc::new(certified))
}

fn connected(world: &World) -> Vec<SwitchId> {
    world.told(0, 0, |b| match b {
        RegionEventBody::SwitchConnected { state } => Some(state.switch),
        _ => None,
    })
}

fn refusals(world: &World) -> Vec<(Option<SwitchId>, String, String)> {
    world.told(0, 0, |b| match b {
        RegionEventBody::SwitchRefused {
            switch,
            address,
            reason,
        } => Some((*switch, address.clone(), reason.clone())),
        _ => None,
    })
}

#[test]
fn nothing_is_said_to_a_switch_before_it_is_known_who_it_is() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    let conn = world.accept_from(0, 1, true);
    world.bytes(0, conn, vec![4, 2, 0, 8, 0, 0, 0, 1]);
    assert!(world.written(0, conn).is_empty());
    let identity = certified(&["openflow:0x1"]);
    let conn = ConnId(conn);
    world.input(0, Input::Secured { conn, identity });
    assert_eq!(world.written(0, conn.0).len(), 1, "our HELLO");
    // A second word about it changes nothing.
    let identity = Identity::Unproven;
    world.input(0, Input::Secured { conn, identity });
    assert!(world.written(0, conn.0).is_empty());
}

#[test]
fn a_switch_is_announced_when_its_certificate_is_for_it() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    world.connect_as(1, 0, certified(&["openflow:0x2", "openflow:0x1"]));
    world.run(50 * MS);
    assert_eq!(connected(&world), [SwitchId(1)]);
}

#[test]
fn a_switch_with_the_certificate_of_another_is_refused_and_both_are_named() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    let conn = world.connect_as(1, 0, certified(&["openflow:0x2"]));
    world.run(50 * MS);
    let reason = world.speakers[0].closed[&conn].clone();
    for part in [
        "CN=s",
        "sha256 abab",
        "is for 00:00:00:00:00:00:00:02",
        "claims to be 00:00:00:00:00:00:00:01",
    ] {
        assert!(reason.contains(part), "{part} is missing in {reason}");
    }
    let told = refusals(&world);
    assert_eq!((told.len(), told[0].0, &told[0].2), (1, Some(SwitchId(1)), &reason));
    assert_eq!(world.counted(0, Counter::RefusedIdentity), 1);
    assert!(connected(&world).is_empty());
    assert!(
        world.model(1).role(conn) != Some(ofproto::ControllerRole::SLAVE),
        "nothing was asked of it"
    );
}

#[test]
fn a_certificate_of_another_switch_does_not_even_challenge_the_living_one() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    let living = world.connect_as(1, 0, certified(&["openflow:0x1"]));
    world.run(50 * MS);
    // The living one would not answer in time, and is not asked.
    world.model(1).quirks.mute = true;
    let other = world.accept_from(0, 2, true);
    let identity = certified(&["openflow:0x2"]);
    let conn = ConnId(other);
    world.input(0, Input::Secured { conn, identity });
    let hello = Message::new(0, Body::Hello(Hello::with_versions(&[4])));
    world.bytes(0, other, hello.to_bytes().expect("fits"));
    let xid = world.written(0, other).pop().expect("OFPT_FEATURES_REQUEST").xid;
    let features = Body::FeaturesReply(FeaturesReply {
        datapath_id: 1,
        n_buffers: 0,
        n_tables: 254,
        auxiliary_id: 0,
        capabilities: Capabilities::FLOW_STATS,
        reserved: 0,
    });
    world.bytes(0, other, Message::new(xid, features).to_bytes().expect("fits"));
    assert!(world.speakers[0].closed[&other].contains("claims to be"));
    world.run(4 * SECOND);
    assert!(!world.speakers[0].closed.contains_key(&living));
    assert_eq!(connected(&world), [SwitchId(1)]);
}

#[test]
fn a_failed_handshake_is_counted_and_told_by_its_cause() {
    let mut world = World::new(&["east"]);
    let faults = [
        (TlsFault::NoCertificate, Counter::RefusedNoCertificate),
        (TlsFault::Expired, Counter::RefusedExpired),
        (TlsFault::NotYetValid, Counter::RefusedNotYetValid),
        (TlsFault::UnknownIssuer, Counter::RefusedIssuer),
        (TlsFault::Revoked, Counter::RefusedRevoked),
        (TlsFault::OursRefused, Counter::RefusedOurs),
        (TlsFault::NotTls, Counter::RefusedNotTls),
        (TlsFault::Other, Counter::RefusedTls),
    ];
    for (fault, counter) in faults {
        let conn = world.accept_from(0, 7, true);
        let detail = "CN=s".to_owned();
        let failure = TlsFailure { fault, detail };
        let said = failure.to_string();
        let input = Input::NotSecured {
            conn: ConnId(conn),
            failure,
        };
        world.input(0, input.clone());
        assert_eq!(
            world.speakers[0].closed[&conn], said,
            "it is closed after its last words"
        );
        assert_eq!(world.counted(0, counter), 1, "{fault:?}");
        let told = refusals(&world).pop().expect("told");
        assert!(told.1.starts_with("10.0.0.7:"), "{told:?}");
        assert_eq!((told.0, told.2), (None, said));
        // Told again by a driver that was late: nothing more.
        world.input(0, input);
        assert_eq!(world.counted(0, counter), 1);
    }
}

#[test]
fn the_deadline_of_a_handshake_begins_with_the_connection_and_tls_is_part_of_it() {
    let mut world = World::new(&["east"]);
    let silent = world.accept_from(0, 1, true);
    let slow = world.accept_from(0, 1, true);
    world.run(4_900 * MS);
    let identity = certified(&["openflow:0x1"]);
    let conn = ConnId(slow);
    world.input(0, Input::Secured { conn, identity });
    assert!(world.speakers[0].closed.is_empty());
    world.run(200 * MS);
    assert!(world.speakers[0].closed[&silent].contains("waiting for the TLS handshake"));
    assert!(world.speakers[0].closed[&slow].contains("waiting for OFPT_HELLO"));
    assert_eq!(world.counted(0, Counter::RefusedHandshake), 2);
}

#[test]
fn one_address_cannot_take_all_the_room_and_gets_its_share_back() {
    let mut world = World::with(&["east"], |c| {
        c.connections_max = 4;
        c.connections_per_source_max = 2;
    });
    let first = world.accept_from(0, 1, true);
    world.accept_from(0, 1, false);
    let third = world.accept_from(0, 1, true);
    let reason = &world.speakers[0].closed[&third];
    assert_eq!(
        reason,
        "2 connections from 10.0.0.1 are open, which is the limit for one address"
    );
    assert_eq!(refusals(&world).pop().map(|r| r.2).as_ref(), Some(reason));
    // Another address has room, until all of it is taken.
    for _ in 0..2 {
        let other = world.accept_from(0, 2, true);
        assert!(!world.speakers[0].closed.contains_key(&other));
    }
    let full = world.accept_from(0, 3, true);
    assert!(world.speakers[0].closed[&full].contains("4 connections are open"));
    assert_eq!(
        (
            world.counted(0, Counter::RefusedSource),
            world.counted(0, Counter::RefusedFull)
        ),
        (1, 1)
    );
    // Each way to end gives the place back: by the switch, and by the deadline.
    let reason = "reset".to_owned();
    let conn = ConnId(first);
    world.input(0, Input::Closed { conn, reason });
    let again = world.accept_from(0, 1, true);
    assert!(!world.speakers[0].closed.contains_key(&again));
    world.run(6 * SECOND);
    for _ in 0..2 {
        let again = world.accept_from(0, 1, true);
        assert!(!world.speakers[0].closed.contains_key(&again));
    }
}

//! Two regions and one switch: the switch itself refuses the stale writer.

use ofproto::{Body, ControllerRole, ErrorType, Message, RoleReason, RoleStatus};
use skerry_bus::*;
use skerry_speaker_core::BundleUse;

use super::world::*;

/// Both regions connected, the first active under term 1 with a generation applied.
fn two_regions() -> World {
    let mut world = World::with(&["east", "west"], |config| config.bundles = BundleUse::Never);
    world.add_switch(1, 2);
    world.connect(1, 0);
    world.connect(1, 1);
    world.run(50 * MS);
    world.activate(0, 1, 1);
    world.run(20 * MS);
    world.desired(0, "first", 1, 1, 1, snapshot(rules(3)));
    world.run(20 * MS);
    assert_eq!(world.ended(0, "first"), (Outcome::Applied, None));
    world
}

fn lost(world: &World, speaker: usize) -> Vec<(Term, String)> {
    world.told(speaker, 0, |b| match b {
        RegionEventBody::LostRole { term, seen, .. } => Some((*term, seen.clone())),
        _ => None,
    })
}

fn last_state(world: &World, speaker: usize) -> SwitchState {
    let states = world.told(speaker, 0, |b| match b {
        RegionEventBody::SwitchChanged { state } | RegionEventBody::SwitchConnected { state } => Some(state.clone()),
        _ => None,
    });
    states.into_iter().next_back().unwrap()
}

#[test]
fn a_role_is_taken_told_and_given_up() {
    let mut world = two_regions();
    let state = last_state(&world, 0);
    assert_eq!((state.role, state.term_seen), (Role::Master, Some(Term(1))));
    let body = CommandBody::Deactivate {
        switch: SwitchId(1),
        term: Term(2),
    };
    world.command(0, "down", SECOND, body);
    world.run(20 * MS);
    assert_eq!(world.ended(0, "down"), (Outcome::Applied, None));
    let state = last_state(&world, 0);
    assert_eq!(
        (state.role, state.term_seen, state.generation),
        (Role::Slave, Some(Term(2)), None)
    );
    assert!(lost(&world, 0).is_empty(), "what is given up is not lost");
    world.desired(0, "late", 1, 1, 2, snapshot(rules(1)));
    assert_eq!(
        world.ended(0, "late"),
        (Outcome::Rejected, Some(Cause::NoRole { held: None }))
    );
    assert_eq!(world.model(1).flows.len(), 3);
}

#[test]
fn the_switch_refuses_the_stale_writer_and_the_stale_writer_stops_at_once() {
    let mut world = two_regions();
    // East stands still with a command for it under way; west takes over.
    world.speakers[0].stopped = true;
    world.desired(
        0,
        "stale",
        1,
        1,
        2,
        DesiredChange::Delta {
            base: Generation(1),
            put: rules(600),
            remove: Default::default(),
        },
    );
    world.desired(
        0,
        "behind",
        1,
        1,
        3,
        DesiredChange::Delta {
            base: Generation(2),
            put: rules(601),
            remove: Default::default(),
        },
    );
    world.activate(1, 1, 2);
    world.run(100 * MS);
    assert_eq!(world.ended(1, "activate-1-1-2"), (Outcome::Applied, None));
    world.desired(1, "west", 1, 2, 2, snapshot(rules(5)));
    world.run(100 * MS);
    assert_eq!(world.ended(1, "west"), (Outcome::Applied, None));
    let stands = world.model(1).flows.len();
    assert_eq!(stands, 5);
    world.model(1).errors.clear();
    // East wakes up, and writes what it did not know is stale.
    world.speakers[0].stopped = false;
    world.run(200 * MS);
    world.desired(0, "after", 1, 1, 4, snapshot(rules(2)));
    world.run(200 * MS);
    let refused = world
        .model(1)
        .errors
        .iter()
        .filter(|e| e.kind == ErrorType::BAD_REQUEST && e.code == 10)
        .count();
    assert!(refused >= 1, "the switch saw it and refused it");
    assert_eq!(world.model(1).flows.len(), 5, "what west wrote stands");
    assert!(matches!(world.ended(0, "stale").0, Outcome::Failed));
    assert_eq!(lost(&world, 0).len(), 1);
    assert_eq!(lost(&world, 0)[0].0, Term(1));
    assert_eq!(
        world.ended(0, "behind"),
        (Outcome::Rejected, Some(Cause::NoRole { held: None }))
    );
    assert_eq!(
        world.ended(0, "after"),
        (Outcome::Rejected, Some(Cause::NoRole { held: None }))
    );
    let state = last_state(&world, 0);
    assert_eq!(
        (state.role, state.term_seen),
        (Role::Slave, Some(Term(2))),
        "it learned the number"
    );
}

#[test]
fn a_write_that_meets_is_slave_is_failed_with_that_error() {
    let mut world = two_regions();
    world.activate(1, 1, 2);
    // West's request is on its way; east writes at the same moment and comes second.
    world.run(MS / 2);
    world.desired(
        0,
        "stale",
        1,
        1,
        2,
        DesiredChange::Delta {
            base: Generation(1),
            put: rules(10),
            remove: Default::default(),
        },
    );
    world.run(50 * MS);
    let (outcome, cause) = world.ended(0, "stale");
    assert_eq!(outcome, Outcome::Failed);
    let Some(Cause::SwitchError { name, object, .. }) = cause else {
        panic!("{cause:?}");
    };
    assert_eq!(name, "OFPET_BAD_REQUEST/OFPBRC_IS_SLAVE");
    assert!(object.starts_with("rule of table 0"), "{object}");
    assert_eq!(lost(&world, 0).len(), 1);
    assert_eq!(world.model(1).flows.len(), 3);
}

#[test]
fn a_stale_term_is_refused_by_the_switch_and_the_right_number_is_told() {
    let mut world = two_regions();
    world.activate(1, 1, 5);
    world.run(20 * MS);
    world.activate(0, 1, 4);
    world.run(20 * MS);
    let (outcome, cause) = world.ended(0, "activate-0-1-4");
    assert_eq!(outcome, Outcome::Failed);
    assert!(
        matches!(
            cause,
            Some(Cause::SwitchError {
                error_type: 11,
                error_code: 0,
                ..
            })
        ),
        "{cause:?}"
    );
    assert_eq!(lost(&world, 0).len(), 1, "STALE says that somebody else is active");
    assert_eq!(last_state(&world, 0).term_seen, Some(Term(5)));
    assert_eq!(last_state(&world, 1).role, Role::Master);
}

#[test]
fn a_role_status_message_is_believed() {
    let mut world = two_regions();
    let status = RoleStatus {
        role: ControllerRole::SLAVE,
        reason: RoleReason::MASTER_REQUEST,
        generation_id: 9,
    };
    let message = Message::new(0, Body::Experimenter(status.to_experimenter()));
    world.bytes(0, 1, message.to_bytes().unwrap());
    let lost = lost(&world, 0);
    assert_eq!(lost.len(), 1);
    assert!(lost[0].1.contains("OFPCR_ROLE_SLAVE"), "{}", lost[0].1);
    assert_eq!(last_state(&world, 0).term_seen, Some(Term(9)));
    world.desired(0, "late", 1, 1, 2, snapshot(rules(1)));
    assert_eq!(
        world.ended(0, "late"),
        (Outcome::Rejected, Some(Cause::NoRole { held: None }))
    );
}

#[test]
fn a_write_waits_for_the_reply_to_the_role_request() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    world.connect(1, 0);
    world.run(50 * MS);
    world.activate(0, 1, 1);
    world.desired(0, "at-once", 1, 1, 1, snapshot(rules(2)));
    world.run(MS);
    assert!(world.model(1).writes.is_empty());
    world.run(50 * MS);
    assert_eq!(world.ended(0, "at-once"), (Outcome::Applied, None));
}

#[test]
fn another_term_than_the_one_held_is_refused() {
    let mut world = two_regions();
    world.desired(0, "old", 1, 0, 9, snapshot(rules(1)));
    assert_eq!(
        world.ended(0, "old"),
        (Outcome::Rejected, Some(Cause::NoRole { held: Some(Term(1)) }))
    );
    world.desired(0, "new", 1, 2, 9, snapshot(rules(1)));
    assert_eq!(
        world.ended(0, "new"),
        (Outcome::Rejected, Some(Cause::NoRole { held: Some(Term(1)) }))
    );
}

#[test]
fn a_region_for_statistics_is_never_active() {
    let mut world = World::with(&["east"], |c| c.mode = Mode::ReadOnly);
    world.add_switch(1, 2);
    world.connect(1, 0);
    world.run(50 * MS);
    world.activate(0, 1, 1);
    assert_eq!(
        world.ended(0, "activate-0-1-1"),
        (Outcome::Rejected, Some(Cause::NoRole { held: None }))
    );
    assert_eq!(last_state(&world, 0).mode, Mode::ReadOnly);
}

#[test]
fn the_same_region_can_be_given_a_newer_term_without_losing_its_generation() {
    let mut world = two_regions();
    world.activate(0, 1, 3);
    world.run(20 * MS);
    world.desired(
        0,
        "delta",
        1,
        3,
        2,
        DesiredChange::Delta {
            base: Generation(1),
            put: rules(4),
            remove: Default::default(),
        },
    );
    world.run(20 * MS);
    assert_eq!(world.ended(0, "delta"), (Outcome::Applied, None));
    assert!(lost(&world, 0).is_empty());
}

#[test]
fn a_role_request_without_reply_fails_and_what_is_behind_it_goes_on() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    world.connect(1, 0);
    world.run(50 * MS);
    world.model(1).quirks.mute = true;
    world.activate(0, 1, 1);
    world.run(10 * SECOND);
    world.model(1).quirks.mute = false;
    world.activate(0, 1, 2);
    // An echo keeps the connection while the switch is deaf only to this request.
    for _ in 0..5 {
        let echo = Message::new(7, Body::EchoRequest(Default::default()))
            .to_bytes()
            .unwrap();
        world.bytes(0, 1, echo);
        world.run(5 * SECOND);
    }
    assert_eq!(
        world.ended(0, "activate-0-1-1"),
        (Outcome::Failed, Some(Cause::NoBarrier))
    );
    assert_eq!(world.ended(0, "activate-0-1-2"), (Outcome::Applied, None));
}

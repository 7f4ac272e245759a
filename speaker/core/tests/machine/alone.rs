//! A speaker without a router: what it takes by itself, from when on, and what it leaves alone.

use ofproto::ControllerRole;
use skerry_bus::*;
use skerry_speaker_core::{ConnId, Counter, Fact, Input, Roles};

use super::world::*;

/// Time after which everything quick has happened.
const SOON: std::time::Duration = std::time::Duration::from_millis(200);

/// Both regions have disks and are connected; the first is active under term 7 and has applied generation 1, three rules.
fn held() -> World {
    let mut world = World::new(&["east", "west"]);
    for speaker in [0, 1] {
        world.give_disk(speaker, MS);
    }
    world.add_switch(1, 2);
    world.connect(1, 0);
    world.connect(1, 1);
    world.run(SOON);
    world.activate(0, 1, 7);
    world.run(SOON);
    world.desired(0, "g1", 1, 7, 1, snapshot(rules(3)));
    world.run(SOON);
    assert_eq!(world.ended(0, "g1"), (Outcome::Applied, None));
    world
}

/// No Kafka, for long enough that nobody hears a router any more.
fn cut_off(world: &mut World) {
    for speaker in 0..world.speakers.len() {
        world.speakers[speaker].bus = false;
        world.input(speaker, Input::BusDown);
    }
    world.run(2 * SECOND);
}

fn taken(world: &World, speaker: usize) -> u64 {
    world.counted(speaker, Counter::TakenAlone)
}

fn role_of(world: &mut World, speaker: usize) -> Option<ControllerRole> {
    let conn = *world
        .conns
        .iter()
        .filter(|(_, (_, of))| *of == speaker)
        .map(|(conn, _)| conn)
        .max()?;
    world.model(1).role(conn)
}

fn generation(world: &mut World, speaker: usize) -> Option<Generation> {
    // Told when Kafka is back.
    let mark = world.mark(speaker);
    world.speakers[speaker].bus = true;
    world.input(speaker, Input::BusUp);
    let states = world.told(speaker, mark, |b| match b {
        RegionEventBody::SnapshotSwitch { state, .. } => Some(state.generation),
        _ => None,
    });
    states.into_iter().next_back().flatten()
}

#[test]
fn a_killed_speaker_takes_its_switch_again_when_the_number_is_its_own() {
    let mut world = held();
    // Killed in the middle: some of it stands, some does not, and a rule is too much.
    world.desired(0, "g2", 1, 7, 2, snapshot(rules(5)));
    world.run(4 * MS);
    world.restart(0);
    world.speakers[1].bus = false;
    world.input(1, Input::BusDown);
    world.run(2 * SECOND);
    assert_eq!(taken(&world, 0), 0);
    world.model(1).flows.truncate(2);
    world.connect(1, 0);
    world.run(SOON);
    assert_eq!((taken(&world, 0), world.model(1).flows.len()), (1, 5));
    assert_eq!(role_of(&mut world, 0), Some(ControllerRole::MASTER));
    assert_eq!(world.model(1).generation, Some(7), "no new term was made up");
    assert_eq!(
        generation(&mut world, 0),
        Some(Generation(2)),
        "and Kafka is told what stands"
    );
    // A delta finds its base.
    world.desired(
        0,
        "g3",
        1,
        7,
        3,
        DesiredChange::Delta {
            base: Generation(2),
            put: rules(6),
            remove: Default::default(),
        },
    );
    world.run(SOON);
    assert_eq!(world.ended(0, "g3"), (Outcome::Applied, None));
}

#[test]
fn a_connection_that_breaks_while_kafka_is_away_is_taken_again() {
    let mut world = held();
    cut_off(&mut world);
    let conn = *world
        .conns
        .iter()
        .find(|(_, (_, of))| *of == 0)
        .map(|(conn, _)| conn)
        .unwrap();
    world.model(1).disconnect(conn);
    let reason = "reset".to_owned();
    world.input(
        0,
        Input::Closed {
            conn: ConnId(conn),
            reason,
        },
    );
    world.model(1).flows.pop();
    world.connect(1, 0);
    world.run(SOON);
    assert_eq!((taken(&world, 0), world.model(1).flows.len()), (1, 3));
}

#[test]
fn another_region_that_took_over_is_left_alone_and_what_is_on_disk_with_it() {
    let mut world = held();
    world.restart(0);
    world.activate(1, 1, 8);
    world.run(SOON);
    world.desired(1, "west", 1, 8, 2, snapshot(rules(1)));
    world.run(SOON);
    world.connect(1, 0);
    world.run(60 * SECOND);
    assert_eq!((taken(&world, 0), world.model(1).flows.len()), (0, 1));
    // Also when the switch forgets its number afterwards: this region knows that it was not the last.
    world.reboot(1);
    world.connect(1, 0);
    world.run(60 * SECOND);
    assert_eq!((taken(&world, 0), world.model(1).flows.len()), (0, 0));
    assert!(!world.parts(0, 1).is_empty(), "kept all the same");
    // The other one was the last, and is alone with it.
    world.connect(1, 1);
    world.run(60 * SECOND);
    assert_eq!((taken(&world, 1), world.model(1).flows.len()), (1, 1));
}

#[test]
fn a_rebooted_switch_is_whole_after_the_hold_and_not_before() {
    for number in [None, Some(0)] {
        let mut world = held();
        cut_off(&mut world);
        world.reboot(1);
        world.model(1).generation = number;
        world.connect(1, 0);
        world.run(4_900 * MS);
        assert_eq!(
            (taken(&world, 0), world.model(1).flows.len()),
            (0, 0),
            "number {number:?}"
        );
        world.run(SOON);
        assert_eq!(
            (taken(&world, 0), world.model(1).flows.len()),
            (1, 3),
            "number {number:?}"
        );
        assert_eq!(world.model(1).generation, Some(7));
    }
}

#[test]
fn a_rebooted_switch_is_whole_at_once_when_the_router_was_just_heard() {
    for (ago, at_once) in [(900, true), (1_100, false)] {
        let mut world = held();
        world.command(0, "still-there", SECOND, CommandBody::Dump { switch: SwitchId(1) });
        world.speakers[0].bus = false;
        world.input(0, Input::BusDown);
        world.run((ago - 50) * MS);
        world.reboot(1);
        world.run(50 * MS);
        world.connect(1, 0);
        world.run(100 * MS);
        assert_eq!(world.model(1).flows.len() == 3, at_once, "heard {ago} ms ago");
    }
}

#[test]
fn a_record_that_lay_in_kafka_is_no_word_of_the_router_now() {
    let mut world = held();
    cut_off(&mut world);
    world.reboot(1);
    let payload = encode(&Command {
        correlation_id: id("old"),
        requester: "test".into(),
        deadline_ms: world.broker_ms() + 60_000,
        owner_epoch: None,
        region: None,
        epoch: None,
        body: CommandBody::Dump { switch: SwitchId(1) },
    });
    let input = Input::Command {
        partition: 3,
        offset: 77,
        payload,
        broker_ms: world.broker_ms() - 1_500,
    };
    world.input(0, input);
    world.connect(1, 0);
    world.run(SOON);
    assert_eq!(world.model(1).flows.len(), 0);
}

/// The window that docs/autonomy.md names: the switch forgot its number, and nobody can ask the router.
#[test]
fn of_two_regions_that_are_cut_off_the_first_takes_a_rebooted_switch_and_the_other_rests() {
    for first in [0, 1] {
        // East held 7 and does not know that west got 8: it was cut off then, and so is west now.
        let mut world = held();
        cut_off(&mut world);
        world.speakers[1].bus = true;
        world.input(1, Input::BusUp);
        world.speakers[0].stopped = true;
        world.activate(1, 1, 8);
        world.run(SOON);
        world.desired(1, "west", 1, 8, 2, snapshot(rules(1)));
        world.run(SOON);
        world.speakers[1].bus = false;
        world.input(1, Input::BusDown);
        world.run(2 * SECOND);
        world.reboot(1);
        world.speakers[0].stopped = false;
        for speaker in [first, 1 - first] {
            world.connect(1, speaker);
            world.run(3 * SECOND);
        }
        world.run(60 * SECOND);
        let (number, rules_of) = if first == 0 { (7, 3) } else { (8, 1) };
        assert_eq!(role_of(&mut world, first), Some(ControllerRole::MASTER));
        assert_eq!(role_of(&mut world, 1 - first), Some(ControllerRole::SLAVE));
        let model = world.model(1);
        assert_eq!((model.generation, model.flows.len()), (Some(number), rules_of));
        // The router heals it, whoever was first.
        world.speakers[1].bus = true;
        world.input(1, Input::BusUp);
        world.activate(1, 1, 9);
        world.desired(1, "healed", 1, 9, 3, snapshot(rules(2)));
        world.run(SECOND);
        assert_eq!(world.ended(1, "healed"), (Outcome::Applied, None));
    }
}

#[test]
fn the_router_has_the_last_word_while_a_switch_is_being_taken() {
    for wait in [0, 1, 2, 3, 4, 5, 6, 8, 10] {
        let mut world = held();
        world.disk(0).slow = 3 * MS;
        world.restart(0);
        world.speakers[0].bus = true;
        world.input(0, Input::Clock(BrokerClock::new(world.now, world.broker_ms())));
        world.input(0, Input::BusUp);
        world.connect(1, 0);
        world.run(8 * MS + wait * MS);
        world.activate(0, 1, 9);
        world.desired(0, "new", 1, 9, 5, snapshot(rules(4)));
        world.run(SECOND);
        assert_eq!(world.ended(0, "new"), (Outcome::Applied, None), "{wait} ms later");
        assert_eq!((world.model(1).generation, world.model(1).flows.len()), (Some(9), 4));
        world.run(70 * SECOND);
        assert_eq!(world.model(1).flows.len(), 4, "nothing older came after it");
    }
}

#[test]
fn what_was_given_up_or_lost_is_not_taken_again() {
    let mut world = held();
    let body = CommandBody::Deactivate {
        switch: SwitchId(1),
        term: Term(8),
    };
    world.command(0, "down", SECOND, body);
    world.run(SOON);
    world.restart(0);
    world.reboot(1);
    world.connect(1, 0);
    world.run(60 * SECOND);
    assert_eq!((taken(&world, 0), world.model(1).flows.len()), (0, 0));
}

#[test]
fn a_record_that_does_not_hang_together_is_forgotten_and_nothing_is_taken() {
    use skerry_speaker_core::store::Key;
    let spoil: [fn(&mut super::disk::Disk); 3] = [
        |disk| drop(disk.entries.remove(&Key::Part(SwitchId(1), 0))),
        |disk| drop(disk.entries.insert(Key::Part(SwitchId(1), 0), b"{}".as_slice().into())),
        |disk| {
            let mut value = disk.entries[&Key::Part(SwitchId(1), 0)].to_vec();
            value.truncate(value.len() / 2);
            disk.entries.insert(Key::Part(SwitchId(1), 0), value.into());
        },
    ];
    for spoil in spoil {
        let mut world = held();
        spoil(world.disk(0));
        world.restart(0);
        world.connect(1, 0);
        world.run(60 * SECOND);
        assert_eq!(taken(&world, 0), 0);
        assert_eq!(world.counted(0, Counter::KeptDamaged), 1);
        assert!(
            world
                .disk(0)
                .entries
                .keys()
                .all(|key| !matches!(key, Key::Head(_) | Key::Part(..)))
        );
        // What the router sends then is refused for its base, and a snapshot is taken.
        world.speakers[0].bus = true;
        world.input(0, Input::BusUp);
        world.input(0, Input::Clock(BrokerClock::new(world.now, world.broker_ms())));
        world.activate(0, 1, 8);
        world.run(SOON);
        let put = rules(1);
        let remove = Default::default();
        let base = Generation(1);
        world.desired(0, "delta", 1, 8, 2, DesiredChange::Delta { base, put, remove });
        world.run(SOON);
        assert_eq!(
            world.ended(0, "delta"),
            (Outcome::Rejected, Some(Cause::Base { held: None }))
        );
    }
}

#[test]
fn a_switch_that_refuses_something_is_tried_again_and_then_whole() {
    let mut world = held();
    world.restart(0);
    world.model(1).flows.clear();
    world.model(1).quirks.refuse_priority = Some(100);
    world.connect(1, 0);
    world.run(SECOND);
    assert_eq!((taken(&world, 0), world.model(1).flows.len()), (1, 0));
    world.model(1).quirks.refuse_priority = None;
    world.run(5 * SECOND);
    assert_eq!((taken(&world, 0), world.model(1).flows.len()), (2, 3));
    world.run(120 * SECOND);
    assert_eq!(taken(&world, 0), 2);
}

#[test]
fn a_region_that_only_reads_takes_nothing() {
    let mut world = held();
    world.speakers[0].config.mode = Mode::ReadOnly;
    world.restart(0);
    world.reboot(1);
    world.connect(1, 0);
    world.run(60 * SECOND);
    assert_eq!(taken(&world, 0), 0);
}

/// One speaker that takes switches without roles, and one of them.
fn without_roles() -> World {
    let mut world = World::with(&["east"], |config| config.roles = Roles::Equal);
    world.add_switch(1, 2);
    world.model(1).quirks.no_roles = true;
    world.connect(1, 0);
    world.run(SOON);
    world
}

#[test]
fn a_switch_without_roles_is_refused_unless_it_is_allowed() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    world.model(1).quirks.no_roles = true;
    world.connect(1, 0);
    world.run(SOON);
    assert_eq!(world.counted(0, Counter::RefusedRole), 1);

    let mut world = without_roles();
    assert_eq!(world.counted(0, Counter::RefusedRole), 0);
    let roles = |world: &World| {
        let mut roles = world.told(0, 0, |b| match b {
            RegionEventBody::SwitchConnected { state } | RegionEventBody::SwitchChanged { state } => Some(state.role),
            _ => None,
        });
        roles.dedup();
        roles
    };
    assert_eq!(roles(&world), [Role::Equal]);
    world.desired(0, "early", 1, 1, 1, snapshot(rules(1)));
    assert_eq!(
        world.ended(0, "early"),
        (Outcome::Rejected, Some(Cause::NoRole { held: None }))
    );
    world.activate(0, 1, 3);
    world.run(SOON);
    assert_eq!(world.ended(0, "activate-0-1-3"), (Outcome::Applied, None));
    world.desired(0, "g1", 1, 3, 1, snapshot(rules(2)));
    world.run(SOON);
    assert_eq!(world.ended(0, "g1"), (Outcome::Applied, None));
    assert_eq!(roles(&world), [Role::Equal, Role::Master]);
    // An older word of the router counts no more.
    world.activate(0, 1, 2);
    world.run(SOON);
    assert!(matches!(world.ended(0, "activate-0-1-2").0, Outcome::Rejected));
    let body = CommandBody::Deactivate {
        switch: SwitchId(1),
        term: Term(4),
    };
    world.command(0, "down", SECOND, body);
    world.run(SOON);
    assert_eq!(world.ended(0, "down"), (Outcome::Applied, None));
    world.desired(0, "late", 1, 3, 2, snapshot(rules(3)));
    assert_eq!(
        world.ended(0, "late"),
        (Outcome::Rejected, Some(Cause::NoRole { held: None }))
    );
}

#[test]
fn a_speaker_without_kafka_for_longer_than_its_lease_stops_writing_to_a_switch_without_roles() {
    let mut world = without_roles();
    world.activate(0, 1, 3);
    world.run(SOON);
    // A command that the switch takes long for is under way when Kafka goes.
    world.model(1).quirks.no_barrier = true;
    world.desired(0, "long", 1, 3, 1, snapshot(rules(2_000)));
    world.run(20 * MS);
    world.speakers[0].bus = false;
    world.input(0, Input::BusDown);
    // The last heartbeat that Kafka took was written up to a quarter of a second before.
    world.run(700 * MS);
    let lost = |world: &World| {
        let lost = |fact: &&Fact| matches!(fact, Fact::RoleLost { .. });
        world.speakers[0].facts.iter().filter(lost).count()
    };
    assert_eq!(lost(&world), 0);
    world.run(300 * MS);
    assert_eq!(lost(&world), 1, "not later than a router may take the region for lost");
    let written = world.model(1).writes.len();
    let packets = world.counted(0, Counter::ProbesSent);
    world.model(1).quirks.no_barrier = false;
    world.run(60 * SECOND);
    assert_eq!(world.model(1).writes.len(), written, "rules");
    assert_eq!(world.counted(0, Counter::ProbesSent), packets, "and discovery packets");
}

#[test]
fn a_speaker_that_stood_still_does_not_write_to_a_switch_without_roles_when_it_wakes() {
    let mut world = without_roles();
    world.activate(0, 1, 3);
    world.run(SOON);
    world.speakers[0].stopped = true;
    world.desired(0, "unseen", 1, 3, 1, snapshot(rules(1)));
    let written = world.model(1).writes.len();
    world.run(30 * SECOND);
    world.speakers[0].stopped = false;
    world.run(SECOND);
    assert_eq!(world.model(1).writes.len(), written);
    assert!(
        world.speakers[0]
            .facts
            .iter()
            .any(|fact| matches!(fact, Fact::RoleLost { .. }))
    );
}

#[test]
fn a_switch_with_roles_is_kept_however_long_kafka_is_away() {
    let mut world = held();
    cut_off(&mut world);
    world.run(600 * SECOND);
    assert_eq!(role_of(&mut world, 0), Some(ControllerRole::MASTER));
    assert!(
        !world.speakers[0]
            .facts
            .iter()
            .any(|fact| matches!(fact, Fact::RoleLost { .. }))
    );
}

#[test]
fn a_command_read_before_the_time_is_known_waits_and_one_from_long_ago_expires() {
    let mut world = World::new(&["east"]);
    world.add_switch(1, 2);
    world.restart(0);
    world.connect(1, 0);
    world.run(SOON);
    let body = |generation| CommandBody::Desired {
        switch: SwitchId(1),
        term: Term(1),
        generation: Generation(generation),
        change: snapshot(rules(1)),
    };
    let term = Term(1);
    let switch = SwitchId(1);
    world.command(0, "up", 60 * SECOND, CommandBody::Activate { switch, term });
    let long_ago = world.broker_ms() - 900_000;
    world.command_until(0, "old", long_ago, body(1));
    world.command(0, "new", 60 * SECOND, body(2));
    world.run(SOON);
    assert!(world.result(0, "old").is_none() && world.model(1).writes.is_empty());
    // The first acknowledged heartbeat tells the time.
    world.speakers[0].bus = true;
    world.input(0, Input::BusUp);
    world.run(SOON);
    assert_eq!(world.ended(0, "old"), (Outcome::Expired, Some(Cause::Deadline)));
    assert_eq!(world.ended(0, "new"), (Outcome::Applied, None));
}

#[test]
fn ten_minutes_without_kafka_do_not_make_the_speaker_grow_and_all_is_told_on_return() {
    let mut world = held();
    for n in 0..50 {
        let body = CommandBody::Activate {
            switch: SwitchId(1),
            term: Term(7),
        };
        if n == 25 {
            world.speakers[0].bus = false;
            world.input(0, Input::BusDown);
        }
        world.command(0, &format!("c{n}"), 60 * SECOND, body);
        world.run(20 * MS);
    }
    // All that it holds, printed: whatever grows in it shows.
    let mut sizes = Vec::new();
    for second in 0..600 {
        world.set_port(1, 2, second % 3 != 0);
        if second % 7 == 0 {
            let mine = |(conn, (_, of)): (&u64, &(u64, usize))| (*of == 0).then_some(*conn);
            let conn = world.conns.iter().filter_map(mine).max().unwrap();
            world.model(1).disconnect(conn);
            let reason = "reset".to_owned();
            world.input(
                0,
                Input::Closed {
                    conn: ConnId(conn),
                    reason,
                },
            );
            world.connect(1, 0);
        }
        world.run(SECOND);
        if second % 21 == 20 {
            sizes.push(format!("{:?}", world.speakers[0].machine).len());
        }
    }
    let (first, last) = (sizes[1], sizes[sizes.len() - 1]);
    assert!(last * 10 <= first * 11, "{sizes:?}");
    assert!(world.counted(0, Counter::Coalesced) >= 600);
    assert_eq!(world.counted(0, Counter::AnswerDropped), 0);
    let mark = world.mark(0);
    world.speakers[0].bus = true;
    world.input(0, Input::BusUp);
    world.run(SECOND);
    let told = world.told(0, mark, |b| {
        matches!(b, RegionEventBody::SnapshotSwitch { .. }).then_some(())
    });
    assert_eq!(told.len(), 1);
    for n in 0..50 {
        assert_eq!(world.ended(0, &format!("c{n}")), (Outcome::Applied, None));
    }
    // What lay in Kafka meanwhile is too late.
    let long_ago = world.broker_ms() - 500_000;
    world.command_until(0, "late", long_ago, CommandBody::Dump { switch: SwitchId(1) });
    world.run(SECOND);
    assert_eq!(world.ended(0, "late"), (Outcome::Expired, Some(Cause::Deadline)));
}

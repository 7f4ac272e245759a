//! What happens to a switch over time.

use super::*;

/// East holds switch 1 with term 1, west reaches it too.
fn held() -> Rig {
    let mut rig = Rig::new(Failback::Sticky);
    for name in ["east", "west", "north"] {
        rig.start(name);
    }
    rig.run(100);
    rig.connect("east", state(1));
    rig.confirm("east", 1, 1);
    rig.connect("west", slave(state(7), 1));
    assert_eq!(
        rig.told(),
        ["activate east/1", "active east/1", "CONNECTED east/1", "AVAILABILITY"]
    );
    rig
}

#[test]
fn a_lost_region_gives_its_switch_to_another_with_one_event() {
    let mut rig = held();
    rig.beating.remove("east");
    rig.run(1_300);
    assert_eq!(rig.told(), ["activate west/2", "active west/2", "ask west"]);
    rig.confirm("west", 7, 2);
    assert_eq!(rig.told(), ["ELSEWHERE west/2"]);
    let switch = rig.machine.switch(S1).expect("known");
    let list: Vec<_> = switch
        .availability(rig.now())
        .availability
        .iter()
        .map(|p| (p.region.to_string(), p.role, p.active))
        .collect();
    assert_eq!(list, [("west".to_owned(), Role::Master, true)]);

    // The first region returns: it is known again, told to step down if it still thinks it is active, and stays passive.
    rig.beating.insert("east".to_owned());
    rig.snapshot("east", vec![master(state(1), 1)]);
    assert_eq!(rig.told(), ["deactivate east/2", "AVAILABILITY"]);
    rig.run(600_000);
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.standing(), "held west/2");
}

#[test]
fn a_switch_whose_only_region_is_lost_did_not_leave() {
    let mut rig = held();
    rig.disconnect("west", 7);
    rig.told();
    rig.beating.remove("east");
    rig.run(1_300);
    assert_eq!(rig.told(), ["active none/1", "DISCONNECTED region lost"]);
    assert_eq!(rig.standing(), "region_lost");
    rig.beating.insert("east".to_owned());
    rig.snapshot("east", vec![master(state(1), 1)]);
    rig.confirm("east", 1, 2);
    assert_eq!(rig.told(), ["activate east/2", "active east/2", "CONNECTED east/2"]);
}

#[test]
fn both_regions_of_a_switch_are_lost_together() {
    let mut rig = held();
    rig.beating.clear();
    rig.run(3_000);
    let told = rig.told();
    assert_eq!(
        told.last().map(String::as_str),
        Some("DISCONNECTED region lost"),
        "{told:?}"
    );
    assert_eq!(
        told.iter().filter(|t| t.starts_with(char::is_uppercase)).count(),
        1,
        "{told:?}"
    );
}

#[test]
fn the_next_region_is_chosen_by_preference_then_uptime_then_name() {
    // (uptime and connection of north, of west, the one chosen).
    for (north, west, chosen) in [
        ((5_000, 2), (9_000, 2), "west"),
        ((9_000, 2), (5_000, 2), "north"),
        ((5_000, 2), (5_000, 2), "north"),
    ] {
        let mut rig = held();
        rig.disconnect("west", 7);
        for (name, (uptime_ms, connection)) in [("north", north), ("west", west)] {
            rig.connect(
                name,
                SwitchState {
                    uptime_ms,
                    ..state(connection)
                },
            );
        }
        rig.disconnect("east", 1);
        assert_eq!(rig.standing(), format!("claiming {chosen}/2"));
    }
    // Preference comes before uptime: west is active, north has been there longest, east is preferred.
    let mut rig = held();
    rig.disconnect("east", 1);
    rig.confirm("west", 7, 2);
    rig.connect(
        "north",
        SwitchState {
            uptime_ms: 1_000_000,
            ..state(1)
        },
    );
    rig.connect("east", state(2));
    rig.disconnect("west", 7);
    assert_eq!(rig.standing(), "claiming east/3");
}

#[test]
fn a_preferred_region_takes_over_only_after_it_stood_for_the_whole_hold_down() {
    let mut rig = Rig::new(Failback::Preferred {
        hold_down: Duration::from_secs(10),
    });
    for name in ["east", "west"] {
        rig.start(name);
    }
    rig.connect("west", state(1));
    rig.confirm("west", 1, 1);
    // East flaps three times, each time shorter than the hold-down.
    for n in 0..3 {
        rig.connect("east", state(1 + n));
        rig.run(9_000 * (n + 1));
        rig.disconnect("east", 1 + n);
    }
    assert_eq!(rig.standing(), "held west/1");
    rig.told();
    rig.connect("east", state(9));
    rig.run(27_000 + 9_999);
    assert_eq!(rig.told(), ["AVAILABILITY"]);
    rig.run(27_000 + 10_000);
    assert_eq!(rig.told(), ["activate east/2", "active east/2", "ask east"]);
    rig.confirm("east", 9, 2);
    assert_eq!(rig.told(), ["ELSEWHERE east/2", "deactivate west/2"]);
    // West is no better, however long it stands.
    rig.run(300_000);
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn a_region_that_does_not_confirm_is_told_again_and_then_another_is_tried() {
    let mut rig = Rig::new(Failback::Sticky);
    for name in ["east", "west"] {
        rig.start(name);
    }
    rig.connect("east", state(1));
    rig.connect("west", state(1));
    rig.run(9_900);
    assert_eq!(
        rig.told(),
        [
            "activate east/1",
            "active east/1",
            "activate east/1",
            "ROLE LOST east",
            "activate west/2",
            "active west/2",
            "deactivate east/2",
            "ask west",
            "activate west/2",
            // Nobody answers: the one set aside longest ago is as good as any.
            "activate east/3",
            "active east/3",
            "deactivate west/3",
            "ask east",
        ]
    );
    rig.confirm("east", 1, 3);
    assert_eq!(rig.told(), ["CONNECTED east/3"]);
}

#[test]
fn a_role_that_is_taken_again_and_again_is_fought_over_slowly_and_told_once() {
    let mut rig = held();
    rig.disconnect("west", 7);
    rig.told();
    let mut lost = 0;
    while rig.ms < 30_000 {
        // Somebody else takes the role 10 ms after every claim.
        let next = rig.ms + 10;
        rig.run(next);
        if rig.standing().starts_with("claiming") || lost == 0 {
            let term = rig.machine.switch(S1).map_or(0, |s| s.term().0);
            rig.lost_role("east", term);
            lost += 1;
        }
    }
    assert!((5..20).contains(&lost), "{lost} claims in 30 s");
    let told = rig.told();
    assert_eq!(
        told.iter().filter(|t| t.starts_with("ROLE LOST")).count(),
        1,
        "{told:?}"
    );
}

#[test]
fn a_switch_that_connects_again_in_its_region_gets_a_new_term() {
    let mut rig = held();
    rig.connect("east", state(2));
    assert_eq!(rig.told(), ["activate east/2", "active east/2"]);
    rig.confirm("east", 2, 2);
    assert_eq!(rig.told(), ["CONNECTED east/2"]);
    // The end of the old connection, told late, is not the end of the new one.
    rig.disconnect("east", 1);
    assert_eq!(rig.told(), ["ignored Overtaken"]);
}

#[test]
fn a_ghost_goes_with_the_end_of_a_snapshot_and_only_in_its_partition() {
    let mut rig = held();
    rig.snapshot("west", vec![]);
    assert_eq!(rig.told(), ["AVAILABILITY"]);
    // An end without its entries proves nothing.
    rig.say(
        "east",
        RegionEventBody::SnapshotEnd {
            snapshot: "s".parse().expect("an id"),
            switches: 0,
        },
    );
    assert_eq!(rig.told(), [""; 0]);
    // Nor does a snapshot with a gap in it.
    let snapshot: CorrelationId = "t".parse().expect("an id");
    rig.say(
        "east",
        RegionEventBody::SnapshotBegin {
            snapshot: snapshot.clone(),
        },
    );
    *rig.seq.get_mut("east").expect("east speaks") += 1;
    rig.say("east", RegionEventBody::SnapshotEnd { snapshot, switches: 0 });
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.standing(), "held east/1");
    rig.snapshot("east", vec![]);
    assert_eq!(rig.told(), ["active none/1", "DISCONNECTED"]);
}

#[test]
fn a_switch_that_connects_while_a_snapshot_is_told_is_no_ghost() {
    let mut rig = Rig::new(Failback::Sticky);
    rig.start("east");
    let snapshot: CorrelationId = "t".parse().expect("an id");
    rig.say(
        "east",
        RegionEventBody::SnapshotBegin {
            snapshot: snapshot.clone(),
        },
    );
    rig.connect("east", state(1));
    rig.say("east", RegionEventBody::SnapshotEnd { snapshot, switches: 0 });
    assert_eq!(rig.standing(), "claiming east/1");
}

#[test]
fn ports_are_told_as_the_active_region_sees_them() {
    let mut rig = held();
    let say = |rig: &mut Rig, name: &str, port: PortState, removed| {
        rig.say(
            name,
            RegionEventBody::PortChanged {
                switch: S1,
                port,
                removed,
            },
        );
        rig.told()
    };
    assert_eq!(say(&mut rig, "west", port(1, false), false), [""; 0]);
    assert_eq!(say(&mut rig, "east", port(2, true), false), ["PORT 2 up"]);
    assert_eq!(say(&mut rig, "east", port(2, true), false), [""; 0]);
    assert_eq!(say(&mut rig, "east", port(2, true), true), ["PORT 2 gone"]);
    // West has seen another state of port 1: told when it becomes active.
    rig.beating.remove("east");
    rig.run(1_300);
    rig.told();
    let seen = SwitchState {
        ports: vec![port(1, false), port(3, true)],
        ..state(7)
    };
    rig.change("west", master(seen, 2));
    assert_eq!(rig.told(), ["ELSEWHERE west/2", "PORT 1 down", "PORT 3 up"]);
}

#[test]
fn a_restarted_router_remembers_and_tells_only_what_changed() {
    let mut rig = held();
    let record = rig.got.iter().rev().find_map(|(_, o)| match o {
        Output::Record(record) => Some(record.clone()),
        _ => None,
    });
    assert_eq!(record, None, "told() took them");
    rig.connect("north", read_only(state(3)));
    let record = rig
        .got
        .iter()
        .rev()
        .find_map(|(_, o)| match o {
            Output::Record(record) => Some(record.clone()),
            _ => None,
        })
        .expect("a change is recorded");
    assert_eq!(record.active_region, Some(region("east")));
    assert_eq!(record.regions.len(), 3);

    let restart = || {
        let mut rig = Rig::new(Failback::Sticky);
        rig.machine
            .handle_input(rig.now(), Input::Restored(Box::new(record.clone())));
        rig.drain();
        assert_eq!(rig.told(), ["active east/1"]);
        rig
    };
    // Nothing changed: nothing is told.
    let mut rig = restart();
    rig.beating.extend(["east", "west", "north"].map(str::to_owned));
    rig.run(1_000);
    rig.snapshot("east", vec![master(state(1), 1)]);
    rig.snapshot("west", vec![slave(state(7), 1)]);
    rig.snapshot("north", vec![read_only(state(3))]);
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.standing(), "held east/1");
    // East did not survive: its absence is judged after the first time.
    let mut rig = restart();
    rig.beating.insert("west".to_owned());
    rig.run(1_000);
    rig.snapshot("west", vec![slave(state(7), 1)]);
    rig.run(4_900);
    assert_eq!(rig.told(), [""; 0]);
    rig.run(5_100);
    assert_eq!(rig.told(), ["activate west/2", "active west/2", "ask west"]);
    // East's speaker is another process: what the one before held is gone at once.
    let mut rig = restart();
    rig.epoch.insert("east".to_owned(), 2);
    rig.snapshot("west", vec![slave(state(7), 1)]);
    rig.beat("east");
    assert_eq!(rig.told(), ["activate west/2", "active west/2", "ask west"]);
    // A record of an older owner does not replace this one.
    let mut rig = restart();
    let mut older = record.clone();
    older.owner_epoch = 0;
    older.term = Term(50);
    rig.machine.handle_input(rig.now(), Input::Restored(Box::new(older)));
    assert_eq!(rig.machine.switch(S1).map(Switch::term), Some(Term(1)));
}

#[test]
fn a_term_is_larger_than_ours_and_than_the_one_the_switch_showed() {
    let mut rig = Rig::new(Failback::Sticky);
    rig.start("east");
    rig.connect("east", slave(state(1), 41));
    assert_eq!(rig.told(), ["activate east/42", "active east/42"]);
}

#[test]
fn a_switch_nobody_reaches_is_forgotten_after_a_day() {
    let mut rig = Rig::new(Failback::Sticky);
    rig.start("east");
    rig.connect("east", state(1));
    rig.disconnect("east", 1);
    rig.told();
    rig.beating.clear();
    rig.run(24 * 3_600 * 1_000 - 1);
    assert_eq!(rig.told(), [""; 0]);
    rig.run(24 * 3_600 * 1_000);
    assert_eq!(rig.told(), ["forget"]);
    assert_eq!(rig.standing(), "unknown");
}

#[test]
fn more_switches_than_there_may_be_are_ignored() {
    let mut rig = Rig::new(Failback::Sticky);
    rig.start("east");
    for n in 0..SWITCHES_MAX as u64 + 2 {
        rig.connect(
            "east",
            SwitchState {
                switch: SwitchId(n + 1),
                ..state(n)
            },
        );
    }
    assert_eq!(rig.machine.switches().len(), SWITCHES_MAX);
    assert_eq!(rig.told().iter().filter(|t| *t == "ignored TooMany").count(), 2);
}

#[test]
fn a_refused_connection_and_a_region_are_told_to_everybody() {
    let mut rig = Rig::new(Failback::Sticky);
    rig.start("east");
    rig.say(
        "east",
        RegionEventBody::SwitchRefused {
            switch: None,
            address: "10.0.0.1:1".to_owned(),
            reason: "OpenFlow 1.0".to_owned(),
        },
    );
    rig.beating.clear();
    rig.run(1_300);
    let events: Vec<_> = rig
        .got
        .iter()
        .filter_map(|(_, o)| match o {
            Output::Virtual(event, list) if list.availability.is_empty() => Some(event.clone()),
            _ => None,
        })
        .collect();
    assert!(
        matches!(
            &events[..],
            [
                VirtualEventBody::RegionChanged { live: true, .. },
                VirtualEventBody::SwitchRefused { .. },
                VirtualEventBody::RegionChanged { live: false, .. }
            ]
        ),
        "{events:?}"
    );
}

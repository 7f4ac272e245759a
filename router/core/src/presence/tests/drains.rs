//! Drained regions, and regions that come and go.

use super::*;

/// East holds switch 1 with term 1, west reaches it too.
fn held() -> Rig {
    let mut rig = Rig::new(Failback::Sticky);
    for name in ["east", "west"] {
        rig.start(name);
    }
    rig.run(100);
    rig.connect("east", state(1));
    rig.confirm("east", 1, 1);
    rig.connect("west", slave(state(7), 1));
    rig.told();
    rig
}

#[test]
fn a_drained_region_steps_down_when_the_next_one_has_confirmed() {
    let mut rig = held();
    rig.drain_region("east", true);
    assert_eq!(rig.told(), ["activate west/2", "active west/2", "ask west"]);
    // Until then it is MASTER, and may say so.
    rig.confirm("east", 1, 1);
    assert_eq!(rig.told(), [""; 0]);
    rig.confirm("west", 7, 2);
    assert_eq!(rig.told(), ["ELSEWHERE west/2", "deactivate east/2"]);
    let progress = rig.machine.drain(&region("east")).expect("drained");
    assert_eq!((progress.moved, progress.waiting, progress.moving), (1, 0, 0));
    // Nothing comes back by itself, neither while it is drained nor afterwards.
    rig.run(60_000);
    rig.drain_region("east", false);
    rig.run(120_000);
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.standing(), "held west/2");
}

#[test]
fn a_switch_without_roles_has_no_two_regions_that_write() {
    let mut rig = Rig::new(Failback::Sticky);
    let equal = |connection| SwitchState {
        role: Role::Equal,
        ..state(connection)
    };
    for name in ["east", "west"] {
        rig.start(name);
    }
    rig.connect("east", equal(1));
    rig.confirm("east", 1, 1);
    rig.connect("west", equal(7));
    rig.told();
    rig.drain_region("east", true);
    assert_eq!(
        rig.told(),
        ["activate west/2", "active west/2", "deactivate east/2", "ask west"]
    );
}

#[test]
fn a_next_region_that_does_not_confirm_leaves_nobody_with_two_masters() {
    let mut rig = held();
    rig.start("north");
    rig.connect("north", slave(state(3), 1));
    rig.told();
    rig.drain_region("east", true);
    rig.run(6_000);
    assert_eq!(
        rig.told(),
        [
            "activate north/2",
            "active north/2",
            "ask north",
            "activate north/2",
            "ROLE LOST north",
            "activate west/3",
            "active west/3",
            // Both that were told before are told that it is over.
            "deactivate east/3",
            "deactivate north/3",
            "ask west",
        ]
    );
    rig.confirm("west", 7, 3);
    assert_eq!(rig.told(), ["ELSEWHERE west/3"]);
}

#[test]
fn a_drained_region_is_given_nothing_new_whatever_happens() {
    let mut rig = held();
    rig.disconnect("west", 7);
    rig.told();
    rig.drain_region("east", true);
    // Nobody else reaches the switch: it stays.
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.machine.drain(&region("east")).map(|p| p.staying), Some(vec![S1]));
    rig.change(
        "east",
        SwitchState {
            ports: vec![],
            ..master(state(1), 1)
        },
    );
    assert_eq!(rig.told(), ["PORT 1 gone"], "and is served as before");
    // It comes again: that would be something new.
    rig.connect("east", state(2));
    assert_eq!(rig.told(), ["active none/1", "DISCONNECTED"]);
    rig.run(30_000);
    rig.confirm("east", 2, 1);
    assert_eq!(rig.told(), [""; 0]);
    // West is the next as soon as it reaches the switch.
    rig.connect("west", slave(state(8), 1));
    assert_eq!(rig.told(), ["activate west/2", "active west/2"]);
    rig.confirm("west", 8, 2);
    rig.told();
    // West is lost, and still east is given nothing, until it is in use again.
    rig.beating.remove("west");
    rig.run(32_000);
    assert_eq!(rig.told(), ["active none/2", "DISCONNECTED region lost"]);
    rig.drain_region("east", false);
    assert_eq!(rig.told(), ["activate east/3", "active east/3"]);
}

#[test]
fn a_restarted_router_goes_on_draining() {
    let mut rig = held();
    rig.connect("north", read_only(state(3)));
    let record = rig.got.iter().rev().find_map(|(_, o)| match o {
        Output::Record(record) => Some(record.clone()),
        _ => None,
    });
    let mut rig = Rig::new(Failback::Sticky);
    rig.drain_region("east", true);
    rig.restore(record.expect("a change is recorded"));
    assert_eq!(rig.told(), ["active east/1"]);
    rig.beating.extend(["east", "west"].map(str::to_owned));
    rig.run(1_000);
    assert_eq!(rig.told(), ["activate west/2", "active west/2", "ask west"]);
}

#[test]
fn a_preferred_region_that_was_drained_waits_for_the_whole_hold_down() {
    let hold_down = Duration::from_secs(10);
    let mut rig = Rig::new(Failback::Preferred { hold_down });
    for name in ["east", "west"] {
        rig.start(name);
    }
    rig.connect("east", state(1));
    rig.confirm("east", 1, 1);
    rig.connect("west", slave(state(7), 1));
    rig.drain_region("east", true);
    rig.confirm("west", 7, 2);
    rig.told();
    rig.run(60_000);
    assert_eq!(rig.told(), [""; 0], "preferred, and drained");
    rig.drain_region("east", false);
    rig.run(69_999);
    assert_eq!(rig.told(), [""; 0]);
    rig.run(70_000);
    assert_eq!(rig.told(), ["activate east/3", "active east/3", "ask east"]);
}

#[test]
fn a_thousand_switches_move_a_few_at_a_time() {
    let mut rig = Rig::new(Failback::Sticky);
    for name in ["east", "west"] {
        rig.start(name);
    }
    let of = |n: u64, state: SwitchState| SwitchState {
        switch: SwitchId(n),
        ..state
    };
    for n in 1..=1_000 {
        rig.connect("east", of(n, state(n)));
        rig.change("east", master(of(n, state(n)), 1));
        rig.connect("west", of(n, slave(state(n), 1)));
    }
    rig.got.clear();
    rig.drain_region("east", true);
    let mut moves: Vec<u64> = Vec::new();
    let take = |rig: &mut Rig| -> Vec<u64> {
        let got = std::mem::take(&mut rig.got);
        let switch = |(_, output)| match output {
            Output::Activate { switch, .. } => Some(switch.0),
            _ => None,
        };
        got.into_iter().filter_map(switch).collect()
    };
    let mut open = take(&mut rig);
    while let Some(n) = open.pop() {
        assert!(open.len() < 16, "{} at a time", open.len() + 1);
        moves.push(n);
        rig.change("west", master(of(n, state(n)), 2));
        open.extend(take(&mut rig));
    }
    moves.sort_unstable();
    assert_eq!(moves, (1..=1_000).collect::<Vec<_>>(), "each once");
}

/// Two seconds up, two seconds down, for five minutes: how often the switch changes its region.
fn changes_while_east_flaps(failback: Failback) -> usize {
    let mut rig = Rig::new(failback);
    for name in ["east", "west"] {
        rig.start(name);
    }
    rig.connect("east", state(1));
    rig.confirm("east", 1, 1);
    rig.connect("west", slave(state(1), 1));
    rig.got.clear();
    let mut changes = 0;
    for n in 1..=75 {
        for up in [false, true] {
            match up {
                false => drop(rig.beating.remove("east")),
                true => {
                    // The same process, which was cut off for a while.
                    let term = rig.machine.switch(S1).map_or(0, |s| s.term().0);
                    rig.beating.insert("east".to_owned());
                    rig.snapshot("east", vec![slave(state(1), term)]);
                }
            }
            let (end, half) = (rig.ms + 2_000, rig.ms + 1_500);
            for until in [half, end] {
                rig.run(until);
                for (_, output) in std::mem::take(&mut rig.got) {
                    if let Output::Activate { region, term, .. } = output {
                        changes += 1;
                        rig.confirm(region.as_str(), 1, term.0);
                    }
                }
            }
        }
        assert!(rig.standing().starts_with("held"), "{n}: {}", rig.standing());
    }
    changes
}

#[test]
fn a_region_that_flaps_every_two_seconds_does_not_flap_the_network() {
    let hold_down = Duration::from_secs(30);
    assert_eq!(changes_while_east_flaps(Failback::Sticky), 1);
    assert_eq!(changes_while_east_flaps(Failback::Preferred { hold_down }), 1);
    // Without hold-down it would.
    let none = Failback::Preferred {
        hold_down: Duration::ZERO,
    };
    assert!(changes_while_east_flaps(none) > 50);
}

//! Kafka away and back: heartbeats, snapshots, coalescing, answers that are kept.

use skerry_bus::*;
use skerry_speaker_core::{Counter, Input, Output};

use super::world::*;

fn begins(world: &World, from: usize) -> Vec<String> {
    world.told(0, from, |b| match b {
        RegionEventBody::SnapshotBegin { snapshot } => Some(snapshot.to_string()),
        _ => None,
    })
}

/// Names of snapshots with the switches in them, as a reader of all partitions would take them.
fn snapshots(world: &World, from: usize) -> Vec<(String, Vec<SwitchId>)> {
    let mut out: Vec<(String, Vec<SwitchId>)> = Vec::new();
    let mut counted = 0;
    for event in &world.speakers[0].events[from..] {
        match &event.body {
            RegionEventBody::SnapshotBegin { snapshot } => {
                out.push((snapshot.to_string(), Vec::new()));
                counted = 0;
            }
            RegionEventBody::SnapshotSwitch { snapshot, state } => {
                let last = out.last_mut().unwrap();
                assert_eq!(last.0, snapshot.to_string());
                last.1.push(state.switch);
                counted += 1;
            }
            RegionEventBody::SnapshotEnd { switches, .. } => assert_eq!(*switches, counted),
            _ => {}
        }
    }
    out
}

#[test]
fn a_heartbeat_goes_into_every_partition_each_interval() {
    let mut world = World::new(&["east"]);
    let before = world.mark(0);
    world.run(10 * SECOND);
    let beats = world.told(0, before, |b| {
        matches!(b, RegionEventBody::Heartbeat { .. }).then_some(())
    });
    assert_eq!(beats.len(), 4 * 40);
}

#[test]
fn a_speaker_begins_with_an_empty_snapshot_in_every_partition() {
    let world = World::new(&["east"]);
    assert_eq!(begins(&world, 0), ["start"; 4]);
    assert_eq!(world.speakers[0].events[0].seq, Seq(1));
}

#[test]
fn while_the_bus_is_away_only_the_latest_state_is_kept_and_told_whole_on_return() {
    let mut world = active();
    for switch in 2..=5 {
        world.add_switch(switch, 3);
        world.connect(switch, 0);
    }
    world.run(100 * MS);
    let before = world.mark(0);
    world.input(0, Input::BusDown);
    world.run(SECOND);
    for up in [false, true, false, true, false] {
        world.set_port(2, 1, up);
        world.run(10 * MS);
    }
    world.input(
        0,
        Input::Closed {
            conn: skerry_speaker_core::ConnId(3),
            reason: "reset".into(),
        },
    );
    assert_eq!(world.mark(0), before, "nothing is said while nobody hears");
    assert_eq!(world.counted(0, Counter::Coalesced), 6);
    world.input(0, Input::BusUp);
    let told = snapshots(&world, before);
    assert!(told.iter().all(|(name, _)| name == "return"));
    assert_eq!(told.len(), 4);
    let mut all: Vec<u64> = told.iter().flat_map(|(_, s)| s).map(|s| s.0).collect();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 4, 5]);
    let port = world.told(0, before, |b| match b {
        RegionEventBody::SnapshotSwitch { state, .. } if state.switch == SwitchId(2) => Some(state.ports[0].up),
        _ => None,
    });
    assert_eq!(port, [false]);
    let coalesced = world.told(0, before, |b| match b {
        RegionEventBody::Heartbeat { coalesced, .. } => Some(*coalesced),
        _ => None,
    });
    assert_eq!(coalesced, [6; 4]);
}

#[test]
fn an_answer_given_while_the_bus_is_away_is_told_on_return_and_committed_then() {
    let mut world = active();
    let partition = topic::partition_of(&SwitchId(1).to_string(), 4);
    let before = world.speakers[0].commits[&partition];
    world.desired(0, "one", 1, 1, 1, snapshot(rules(1)));
    world.input(0, Input::BusDown);
    world.run(SECOND);
    assert!(world.result(0, "one").is_none());
    assert_eq!(world.model(1).flows.len(), 1, "it was done");
    assert_eq!(world.speakers[0].commits[&partition], before);
    world.input(0, Input::BusUp);
    assert_eq!(world.ended(0, "one"), (Outcome::Applied, None));
    assert_eq!(world.speakers[0].commits[&partition], before);
    world.run(10 * MS);
    assert_eq!(world.speakers[0].commits[&partition], before + 1);
}

#[test]
fn a_lost_answer_is_told_again_and_lost_records_are_followed_by_a_snapshot() {
    let mut world = active();
    world.run(2 * SECOND);
    world.speakers[0].bus = false;
    let before = world.mark(0);
    // The machine is asked by hand, to lose exactly the answer.
    let partition = topic::partition_of(&SwitchId(1).to_string(), 4);
    let commit = world.speakers[0].commits[&partition];
    let payload = encode(&Command {
        correlation_id: id("ask"),
        requester: "test".into(),
        deadline_ms: world.broker_ms() + 1_000,
        owner_epoch: None,
        region: None,
        epoch: None,
        body: CommandBody::SwitchSnapshot { switch: SwitchId(1) },
    });
    let now = world.now;
    let input = Input::Command {
        partition,
        offset: commit,
        payload,
        broker_ms: 0,
    };
    let machine = &mut world.speakers[0].machine;
    machine.handle_input(now, input);
    let mut tokens = Vec::new();
    while let Some(output) = machine.poll_output() {
        if let Output::Publish { token: Some(token), .. } = output {
            tokens.push(token);
        }
    }
    assert_eq!(tokens.len(), 2, "the state and the result");
    for token in &tokens {
        machine.handle_input(now, Input::NotDelivered { token: *token });
    }
    // The next thing that is delivered shows that the bus works: the answer again, and everything.
    machine.handle_input(
        now,
        Input::Delivered {
            token: u64::MAX,
            broker_ms: 0,
        },
    );
    let mut texts = Vec::new();
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Publish { payload, token, .. } => {
                texts.push((String::from_utf8(payload).unwrap(), token));
            }
            Output::Commit { .. } => panic!("nothing is safe yet"),
            _ => {}
        }
    }
    assert!(
        texts[0].0.contains("command_result"),
        "the state comes with the snapshot: {}",
        texts[0].0
    );
    assert_eq!(
        texts
            .iter()
            .filter(|(t, _)| t.contains("\"snapshot\":\"return\""))
            .count(),
        4 + 4 + 1
    );
    if let Some(token) = texts[0].1 {
        machine.handle_input(now, Input::Delivered { token, broker_ms: 0 });
    }
    let mut committed = None;
    while let Some(output) = machine.poll_output() {
        if let Output::Commit { offset, .. } = output {
            committed = Some(offset);
        }
    }
    assert_eq!(committed, Some(commit + 1));
    assert_eq!(before, world.mark(0));
}

#[test]
fn an_answer_that_is_never_taken_is_given_up() {
    let mut world = active();
    world.speakers[0].bus = false;
    let now = world.now;
    let payload = encode(&Command {
        correlation_id: id("ask"),
        requester: "test".into(),
        deadline_ms: u64::MAX,
        owner_epoch: None,
        region: None,
        epoch: None,
        body: CommandBody::Dump { switch: SwitchId(77) },
    });
    let machine = &mut world.speakers[0].machine;
    let input = Input::Command {
        partition: 3,
        offset: 0,
        payload,
        broker_ms: 0,
    };
    machine.handle_input(now, input);
    let (mut tries, mut committed) = (0, false);
    for _ in 0..20 {
        let mut lost = Vec::new();
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Publish { payload, token, .. } if payload.windows(5).any(|w| w == b"\"ask\"") => {
                    tries += 1;
                    lost.extend(token);
                }
                Output::Commit { partition: 3, .. } => committed = true,
                _ => {}
            }
        }
        for token in lost {
            machine.handle_input(now, Input::NotDelivered { token });
        }
        let delivered = Input::Delivered {
            token: u64::MAX,
            broker_ms: 0,
        };
        machine.handle_input(now, delivered);
    }
    assert_eq!((tries, committed), (5, true));
}

#[test]
fn a_region_snapshot_is_told_once_however_many_partitions_ask() {
    let mut world = active();
    let before = world.mark(0);
    for partition in 0..4 {
        let payload = encode(&Command {
            correlation_id: id(format!("ask-{partition}")),
            requester: "router".into(),
            deadline_ms: world.broker_ms() + 1_000,
            owner_epoch: Some(1),
            region: Some(region("east")),
            epoch: None,
            body: CommandBody::RegionSnapshot { snapshot: id("sync-1") },
        });
        world.record(0, partition, payload);
    }
    assert_eq!(begins(&world, before), ["sync-1"; 4]);
    let told = snapshots(&world, before);
    assert_eq!(told.iter().map(|(_, s)| s.len()).sum::<usize>(), 1);
    for partition in 0..4 {
        assert_eq!(world.ended(0, &format!("ask-{partition}")), (Outcome::Applied, None));
    }
    // A router that started again and counts from the beginning is not ignored.
    let before = world.mark(0);
    let payload = encode(&Command {
        correlation_id: id("ask-0"),
        requester: "router".into(),
        deadline_ms: world.broker_ms() + 1_000,
        owner_epoch: Some(2),
        region: Some(region("east")),
        epoch: None,
        body: CommandBody::RegionSnapshot { snapshot: id("sync-1") },
    });
    world.record(0, 0, payload);
    assert_eq!(begins(&world, before), ["sync-1"; 4]);
}

#[test]
fn a_switch_snapshot_tells_the_switch_and_its_links() {
    let mut world = active();
    world.add_switch(2, 1);
    world.cable((1, 1), (2, 1), MS);
    world.connect(2, 0);
    world.run(50 * MS);
    world.activate(0, 2, 1);
    world.run(SECOND);
    let before = world.mark(0);
    world.command(0, "ask", SECOND, CommandBody::SwitchSnapshot { switch: SwitchId(1) });
    let kinds = world.told(0, before, |b| match b {
        RegionEventBody::SwitchChanged { state } => Some(format!("state {:?} {:?}", state.role, state.control_rtt_ns)),
        RegionEventBody::CommandResult { .. } => Some("result".into()),
        RegionEventBody::LinkSeen { from, .. } => Some(format!("seen {from}")),
        _ => None,
    });
    assert_eq!(
        kinds,
        ["state Master Some(2000000)", "result", "seen 00:00:00:00:00:00:00:02/1"]
    );
}

#[test]
fn a_large_dump_travels_in_chunks() {
    let mut world = active();
    world.desired(0, "many", 1, 1, 1, snapshot(rules(6_000)));
    world.run(5 * SECOND);
    assert_eq!(world.ended(0, "many"), (Outcome::Applied, None));
    let now = world.now;
    let partition = topic::partition_of(&SwitchId(1).to_string(), 4);
    let payload = encode(&Command {
        correlation_id: id("dump"),
        requester: "test".into(),
        deadline_ms: u64::MAX,
        owner_epoch: None,
        region: None,
        epoch: None,
        body: CommandBody::Dump { switch: SwitchId(1) },
    });
    let input = Input::Command {
        partition,
        offset: 1_000,
        payload,
        broker_ms: 0,
    };
    world.speakers[0].machine.handle_input(now, input);
    // By hand: the world reads whole messages only.
    let mut assembler = chunk::Assembler::new();
    let mut whole = None;
    let mut pieces = 0;
    for _ in 0..200 {
        while let Some(output) = world.speakers[0].machine.poll_output() {
            match output {
                Output::Write { bytes, .. } => {
                    for effect in world.model(1).read(1, &bytes) {
                        if let super::model::Effect::Reply(conn, bytes) = effect {
                            let conn = skerry_speaker_core::ConnId(conn);
                            let input = Input::Received { conn, bytes };
                            world.speakers[0].machine.handle_input(now, input);
                        }
                    }
                }
                Output::Publish { payload, .. } => {
                    assert!(payload.len() <= chunk::WHOLE_MAX);
                    pieces += 1;
                    if let Some(message) = assembler.push(0, 0, &payload)
                        && message.windows(11).any(|w| w == b"switch_dump")
                    {
                        whole = Some(message);
                    }
                }
                _ => {}
            }
        }
    }
    assert!(pieces > 2, "{pieces}");
    let Decoded::Message(event) = decode::<RegionEvent>(&whole.expect("a dump")) else {
        panic!("it is a message of the contract");
    };
    let RegionEventBody::SwitchDump { dump, .. } = event.body else {
        panic!("{:?}", event.body);
    };
    assert_eq!(dump.ours, rules(6_000));
}

#[test]
fn a_state_that_was_asked_for_while_the_bus_was_away_does_not_come_back_behind_newer_news() {
    let mut world = active();
    let before = world.mark(0);
    world.input(0, Input::BusDown);
    let switch = SwitchId(1);
    world.command(0, "ask", 60 * SECOND, CommandBody::SwitchSnapshot { switch });
    world.run(100 * MS);
    world.input(
        0,
        Input::Closed {
            conn: skerry_speaker_core::ConnId(1),
            reason: "reset".into(),
        },
    );
    world.input(0, Input::BusUp);
    assert!(
        snapshots(&world, before)
            .iter()
            .all(|(name, of)| name == "return" && of.is_empty())
    );
    assert_eq!(world.ended(0, "ask"), (Outcome::Applied, None), "it is answered");
    let revived = world.told(0, before, |b| {
        matches!(b, RegionEventBody::SwitchChanged { .. }).then_some(())
    });
    assert!(revived.is_empty(), "the switch is gone: {} states", revived.len());
}

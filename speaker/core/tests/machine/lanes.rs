//! Every way a command can end, and that each ends once.

use std::time::Duration;

use ofproto::Body;
use skerry_bus::objects::ObjectKeys;
use skerry_bus::*;
use skerry_speaker_core::{BundleUse, ConnId, Counter, Input};

use super::apply::mixed;
use super::world::*;

fn delta(base: u64, put: Objects) -> DesiredChange {
    DesiredChange::Delta {
        base: Generation(base),
        put,
        remove: ObjectKeys::default(),
    }
}

fn kinds(world: &mut World) -> Vec<String> {
    let writes = std::mem::take(&mut world.model(1).writes);
    let name = |body: &Body| match body {
        Body::FlowMod(f) => format!("flow {}", f.command),
        Body::GroupMod(g) => format!("group {} {}", g.group_id.0, g.command),
        Body::MeterMod(m) => format!("meter {}", m.command),
        other => format!("{other:?}"),
    };
    writes.iter().map(|(_, body)| name(body)).collect()
}

#[test]
fn a_snapshot_is_applied_in_order_and_again_changes_nothing() {
    let mut world = active();
    world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "one"), (Outcome::Applied, None));
    let result = world.result(0, "one").unwrap();
    assert_eq!((result.generation, result.messages), (Some(Generation(1)), 6));
    assert_eq!(
        kinds(&mut world),
        [
            "meter OFPMC_ADD",
            "group 2 OFPGC_ADD",
            "group 1 OFPGC_ADD",
            "flow OFPFC_ADD",
            "flow OFPFC_ADD",
            "flow OFPFC_ADD"
        ]
    );
    world.desired(0, "two", 1, 1, 2, snapshot(mixed()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "two"), (Outcome::Applied, None));
    assert_eq!(world.result(0, "two").unwrap().messages, 0);
    assert!(kinds(&mut world).is_empty());
    // And back to nothing, in the reverse order.
    world.desired(0, "three", 1, 1, 3, snapshot(Objects::new()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "three"), (Outcome::Applied, None));
    assert_eq!(
        kinds(&mut world),
        [
            "flow OFPFC_DELETE_STRICT",
            "flow OFPFC_DELETE_STRICT",
            "flow OFPFC_DELETE_STRICT",
            "group 1 OFPGC_DELETE",
            "group 2 OFPGC_DELETE",
            "meter OFPMC_DELETE"
        ]
    );
    let model = world.model(1);
    assert!(model.flows.is_empty() && model.groups.is_empty() && model.meters.is_empty());
}

#[test]
fn a_delta_changes_only_what_it_names_and_needs_its_base() {
    let mut world = active();
    world.desired(0, "no-base", 1, 1, 1, delta(0, rules(1)));
    assert_eq!(
        world.ended(0, "no-base"),
        (Outcome::Rejected, Some(Cause::Base { held: None }))
    );
    world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
    world.run(100 * MS);
    kinds(&mut world);
    let mut put = Objects::new();
    let mut changed = rule(0, 100, 0);
    changed.apply = vec![Action::Output(OutPort::InPort)];
    put.put_rule(changed);
    let change = DesiredChange::Delta {
        base: Generation(1),
        put,
        remove: ObjectKeys {
            rules: vec![rule(0, 100, 1).key],
            ..ObjectKeys::default()
        },
    };
    world.desired(0, "two", 1, 1, 2, change);
    world.run(100 * MS);
    assert_eq!(world.ended(0, "two"), (Outcome::Applied, None));
    assert_eq!(kinds(&mut world), ["flow OFPFC_ADD", "flow OFPFC_DELETE_STRICT"]);
    world.desired(0, "wrong", 1, 1, 5, delta(4, rules(1)));
    assert_eq!(
        world.ended(0, "wrong"),
        (
            Outcome::Rejected,
            Some(Cause::Base {
                held: Some(Generation(2))
            })
        )
    );
    // The same generation again is done already; an older one is never done after a newer one.
    world.desired(0, "again", 1, 1, 5, delta(2, rules(1)));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "again"), (Outcome::Applied, None));
    world.desired(0, "older", 1, 1, 3, snapshot(Objects::new()));
    let newer = Cause::Newer {
        generation: Generation(5),
    };
    assert_eq!(world.ended(0, "older"), (Outcome::Superseded, Some(newer)));
}

#[test]
fn what_is_foreign_is_never_changed_and_named_when_it_is_in_the_way() {
    let mut world = active();
    world.desired(0, "one", 1, 1, 1, snapshot(rules(2)));
    world.run(100 * MS);
    // Somebody else's rule, and somebody else's group.
    let mut foreign = world.model(1).flows[1].clone();
    foreign.cookie = 5;
    foreign.priority = 50;
    world.model(1).flows.push(foreign.clone());
    let group = ofproto::GroupDesc {
        kind: ofproto::GroupType::SELECT,
        group_id: ofproto::GroupId(5_000),
        buckets: vec![],
    };
    world.model(1).groups.insert(5_000, group);
    world.desired(0, "two", 1, 1, 2, snapshot(Objects::new()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "two"), (Outcome::Applied, None));
    assert_eq!(world.model(1).flows, [foreign]);
    assert_eq!(world.model(1).groups.len(), 1);

    let mut wanted = Objects::new();
    wanted.put_rule(rule(0, 50, 0));
    // Also by a delta: what the last dump showed is remembered.
    for (name, change) in [
        ("snapshot", snapshot(wanted.clone())),
        ("delta", delta(2, wanted.clone())),
    ] {
        world.desired(0, name, 1, 1, 3, change);
        world.run(100 * MS);
        let object = "rule of table 0, priority 50, in_port=1".to_owned();
        assert_eq!(
            world.ended(0, name),
            (Outcome::Rejected, Some(Cause::Foreign { object }))
        );
    }
    world.command(0, "dump", SECOND, CommandBody::Dump { switch: SwitchId(1) });
    world.run(100 * MS);
    let dumps = world.told(0, 0, |b| match b {
        RegionEventBody::SwitchDump { dump, .. } => Some(dump.clone()),
        _ => None,
    });
    assert_eq!(dumps.len(), 1);
    assert_eq!(dumps[0].foreign.len(), 2, "{:?}", dumps[0].foreign);
    assert!(dumps[0].ours.is_empty());
    assert_eq!(world.ended(0, "dump"), (Outcome::Applied, None));
}

#[test]
fn an_error_of_the_switch_fails_the_command_and_names_the_object() {
    let mut world = active();
    world.model(1).quirks.refuse_priority = Some(7);
    world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
    world.desired(0, "two", 1, 1, 2, delta(1, rules(3)));
    world.run(100 * MS);
    let (outcome, cause) = world.ended(0, "one");
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(
        cause,
        Some(Cause::SwitchError {
            error_type: 5,
            error_code: 1,
            name: "OFPET_FLOW_MOD_FAILED/OFPFMFC_TABLE_FULL".into(),
            object: "rule of table 1, priority 7, in_port=10".into(),
        })
    );
    // What stands now is not known, so a step from it is refused; a snapshot mends it.
    assert_eq!(
        world.ended(0, "two"),
        (Outcome::Rejected, Some(Cause::Base { held: None }))
    );
    world.model(1).quirks.refuse_priority = None;
    world.desired(0, "three", 1, 1, 3, snapshot(mixed()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "three"), (Outcome::Applied, None));
}

#[test]
fn at_most_two_windows_are_written_before_the_switch_confirms() {
    let mut world = active();
    world.model(1).quirks.no_barrier = true;
    world.desired(0, "big", 1, 1, 1, snapshot(rules(1_200)));
    world.run(SECOND);
    assert_eq!(world.model(1).writes.len(), 512);
    assert!(world.result(0, "big").is_none());
    world.run(30 * SECOND);
    assert_eq!(world.ended(0, "big"), (Outcome::Failed, Some(Cause::NoBarrier)));
    world.model(1).quirks.no_barrier = false;
    world.desired(0, "again", 1, 1, 2, snapshot(rules(1_200)));
    world.run(SECOND);
    assert_eq!(world.ended(0, "again"), (Outcome::Applied, None));
    assert_eq!(
        world.result(0, "again").unwrap().messages,
        688,
        "what stands already is not written again"
    );
}

#[test]
fn a_connection_that_ends_fails_what_was_sent_and_rejects_what_was_not() {
    let mut world = active_with(|config| config.bundles = BundleUse::Never);
    world.desired(0, "one", 1, 1, 1, snapshot(rules(1)));
    world.run(100 * MS);
    world.desired(0, "sent", 1, 1, 2, delta(1, rules(2)));
    world.desired(0, "waits", 1, 1, 3, delta(2, rules(3)));
    world.command(0, "dump", SECOND, CommandBody::Dump { switch: SwitchId(1) });
    let closed = Input::Closed {
        conn: ConnId(1),
        reason: "reset".into(),
    };
    world.input(0, closed);
    assert_eq!(world.ended(0, "sent"), (Outcome::Failed, Some(Cause::ConnectionLost)));
    assert_eq!(world.ended(0, "waits"), (Outcome::Rejected, Some(Cause::UnknownSwitch)));
    assert_eq!(world.ended(0, "dump"), (Outcome::Rejected, Some(Cause::UnknownSwitch)));
    // On a new connection nothing is taken for granted.
    world.model(1).disconnect(1);
    world.connect(1, 0);
    world.run(50 * MS);
    world.activate(0, 1, 2);
    world.run(50 * MS);
    world.desired(0, "delta", 1, 2, 2, delta(1, rules(2)));
    assert_eq!(
        world.ended(0, "delta"),
        (Outcome::Rejected, Some(Cause::Base { held: None }))
    );
}

#[test]
fn a_deadline_binds_only_while_nothing_was_sent() {
    let mut world = active();
    let until = world.broker_ms() - 1;
    let dump = CommandBody::Dump { switch: SwitchId(1) };
    world.command_until(0, "late", until, dump.clone());
    assert_eq!(world.ended(0, "late"), (Outcome::Expired, Some(Cause::Deadline)));

    world.model(1).quirks.no_barrier = true;
    world.desired(0, "first", 1, 1, 1, snapshot(rules(1)));
    world.run(100 * MS);
    let body = CommandBody::Desired {
        switch: SwitchId(1),
        term: Term(1),
        generation: Generation(2),
        change: delta(1, rules(2)),
    };
    world.command(0, "waits", 500 * MS, body);
    world.run(450 * MS);
    assert!(world.result(0, "waits").is_none());
    world.run(100 * MS);
    assert_eq!(world.ended(0, "waits"), (Outcome::Expired, Some(Cause::Deadline)));
    world.run(20 * SECOND);
    assert!(
        world.result(0, "first").is_none(),
        "its deadline is past, but it was sent: only the switch can end it"
    );
}

#[test]
fn a_newer_snapshot_supersedes_what_has_not_begun() {
    let mut world = active();
    world.desired(0, "one", 1, 1, 1, snapshot(rules(1)));
    world.run(100 * MS);
    world.desired(0, "two", 1, 1, 2, delta(1, rules(300)));
    world.desired(0, "three", 1, 1, 3, delta(2, rules(3)));
    world.desired(0, "four", 1, 1, 4, snapshot(rules(4)));
    let newer = |g| {
        Some(Cause::Newer {
            generation: Generation(g),
        })
    };
    assert_eq!(world.ended(0, "three"), (Outcome::Superseded, newer(4)));
    assert!(world.result(0, "two").is_none(), "it has begun");
    // A snapshot that is still reading gives way too.
    world.run(100 * MS);
    world.desired(0, "five", 1, 1, 5, snapshot(rules(5)));
    world.desired(0, "six", 1, 1, 6, snapshot(rules(6)));
    assert_eq!(world.ended(0, "five"), (Outcome::Superseded, newer(6)));
    world.run(100 * MS);
    for name in ["two", "four", "six"] {
        assert_eq!(world.ended(0, name), (Outcome::Applied, None), "{name}");
    }
    assert_eq!(world.model(1).flows.len(), 6);
}

#[test]
fn a_full_lane_refuses_and_other_lanes_go_on() {
    let mut world = active();
    world.add_switch(2, 2);
    world.connect(2, 0);
    world.model(1).quirks.no_barrier = true;
    world.desired(0, "stuck", 1, 1, 1, snapshot(rules(1)));
    for n in 0..64 {
        world.command(
            0,
            &format!("dump-{n}"),
            60 * SECOND,
            CommandBody::Dump { switch: SwitchId(1) },
        );
    }
    world.command(0, "one-more", 60 * SECOND, CommandBody::Dump { switch: SwitchId(1) });
    assert_eq!(world.ended(0, "one-more"), (Outcome::Rejected, Some(Cause::Busy)));
    world.run(100 * MS);
    world.command(0, "other", 60 * SECOND, CommandBody::Dump { switch: SwitchId(2) });
    world.run(100 * MS);
    assert_eq!(world.ended(0, "other"), (Outcome::Applied, None));
    assert!(world.result(0, "dump-0").is_none());
}

#[test]
fn commands_that_are_wrong_are_refused_with_the_field() {
    let mut world = active();
    let switch = SwitchId(1);
    let apply = CommandBody::Apply {
        switch,
        put: Objects::new(),
        remove: ObjectKeys::default(),
    };
    world.command(0, "apply", SECOND, apply);
    assert!(
        matches!(world.ended(0, "apply"), (Outcome::Rejected, Some(Cause::Malformed { detail })) if detail.starts_with("kind"))
    );
    world.command(0, "unknown", SECOND, CommandBody::Dump { switch: SwitchId(99) });
    assert_eq!(
        world.ended(0, "unknown"),
        (Outcome::Rejected, Some(Cause::UnknownSwitch))
    );
    let mut bad = Objects::new();
    let mut theirs = rule(0, 1, 1);
    theirs.cookie = Cookie(3);
    bad.put_rule(theirs);
    world.desired(0, "cookie", 1, 1, 1, snapshot(bad));
    assert!(matches!(
        world.ended(0, "cookie"),
        (Outcome::Rejected, Some(Cause::Malformed { .. }))
    ));

    let command = |owner_epoch, region: Option<&str>, name: &str| {
        encode(&Command {
            correlation_id: id(name),
            requester: "test".into(),
            deadline_ms: BROKER_START_MS + 60_000,
            owner_epoch,
            region: region.map(region_of),
            epoch: None,
            body: CommandBody::SwitchSnapshot { switch },
        })
    };
    fn region_of(name: &str) -> Region {
        region(name)
    }
    let partition = topic::partition_of(&switch.to_string(), 4);
    world.record(0, partition, command(Some(5), Some("east"), "new-owner"));
    world.record(0, partition, command(Some(4), Some("east"), "old-owner"));
    world.record(0, partition, command(None, Some("west"), "elsewhere"));
    assert_eq!(world.ended(0, "new-owner"), (Outcome::Applied, None));
    assert_eq!(world.ended(0, "old-owner"), (Outcome::Rejected, Some(Cause::OldOwner)));
    assert!(
        matches!(world.ended(0, "elsewhere"), (Outcome::Rejected, Some(Cause::Malformed { detail })) if detail.starts_with("region"))
    );
}

#[test]
fn a_command_for_another_process_of_the_same_region_is_refused() {
    let mut world = active();
    let switch = SwitchId(1);
    let partition = topic::partition_of(&switch.to_string(), 4);
    let ours = world.speakers[0].config.epoch;
    for (name, epoch) in [
        ("ours", ours),
        ("before", Epoch(ours.0 - 1)),
        ("behind", Epoch(ours.0 + 1)),
    ] {
        let command = Command {
            correlation_id: id(name),
            requester: "test".into(),
            deadline_ms: BROKER_START_MS + 60_000,
            owner_epoch: None,
            region: None,
            epoch: Some(epoch),
            body: CommandBody::SwitchSnapshot { switch },
        };
        world.record(0, partition, encode(&command));
    }
    assert_eq!(world.ended(0, "ours").0, Outcome::Applied);
    for name in ["before", "behind"] {
        let (outcome, cause) = world.ended(0, name);
        assert_eq!(outcome, Outcome::Rejected);
        assert!(matches!(cause, Some(Cause::Malformed { detail }) if detail.starts_with("epoch")));
    }
}

#[test]
fn chunks_that_make_no_command_are_a_dead_letter_with_their_place() {
    let mut world = active();
    let input = Input::CommandUnreadable {
        partition: 2,
        offset: 17,
        cause: "chunk 1 came first".to_owned(),
    };
    world.input(0, input);
    assert_eq!(world.counted(0, Counter::CommandMalformed), 1);
    let letters = world.speakers[0].other.iter().filter(|(t, _)| *t == Topic::DeadLetter);
    let letters: Vec<&Vec<u8>> = letters.map(|(_, payload)| payload).collect();
    let letter = String::from_utf8_lossy(letters[0]);
    assert!(
        letter.contains("\"offset\":17") && letter.contains("chunk 1 came first"),
        "{letter}"
    );
}

#[test]
fn records_that_are_no_commands_are_counted_and_passed_over() {
    let mut world = active();
    let commits = world.speakers[0].commits.clone();
    world.record(
        0,
        2,
        b"{\"kind\":\"dance\",\"correlation_id\":\"a\",\"requester\":\"r\",\"deadline_ms\":1}".to_vec(),
    );
    world.record(0, 2, b"not json".to_vec());
    // Who can be seen to wait is answered, and the record is done with when Kafka has the answer.
    world.run(Duration::from_millis(100));
    assert!(matches!(
        world.ended(0, "a"),
        (Outcome::Rejected, Some(Cause::Malformed { detail })) if detail.contains("dance")
    ));
    assert_eq!(world.counted(0, Counter::CommandUnknownKind), 1);
    assert_eq!(world.counted(0, Counter::CommandMalformed), 1);
    assert_eq!(world.speakers[0].commits.get(&2), Some(&2), "{commits:?}");
    let letters: Vec<_> = world.speakers[0]
        .other
        .iter()
        .filter(|(t, _)| *t == Topic::DeadLetter)
        .collect();
    assert_eq!(letters.len(), 1);
}

#[test]
fn a_command_that_comes_again_is_answered_again_without_being_done() {
    let mut world = active();
    world.desired(0, "one", 1, 1, 1, snapshot(rules(1)));
    // While it is under way: one answer for both records.
    world.desired(0, "one", 1, 1, 1, snapshot(rules(1)));
    world.run(100 * MS);
    let written = world.model(1).writes.len();
    assert_eq!(written, 1);
    assert_eq!(world.ended(0, "one"), (Outcome::Applied, None));
    let partition = topic::partition_of(&SwitchId(1).to_string(), 4);
    assert_eq!(world.speakers[0].commits[&partition], 3, "activate and both records");
    // After its end: the same answer again.
    world.speakers[0].events.clear();
    world.desired(0, "one", 1, 1, 1, snapshot(rules(2)));
    assert_eq!(world.ended(0, "one"), (Outcome::Applied, None));
    assert_eq!(world.counted(0, Counter::CommandRepeated), 1);
    world.run(100 * MS);
    assert_eq!(world.model(1).writes.len(), written);
    assert_eq!(world.speakers[0].commits[&partition], 4);
}

#[test]
fn an_offset_is_committed_when_the_answer_is_safe_and_not_past_an_open_command() {
    let mut world = active();
    let partition = topic::partition_of(&SwitchId(1).to_string(), 4);
    // A switch in the same partition, whose lane is stuck.
    let other = (2..)
        .find(|n| topic::partition_of(&SwitchId(*n).to_string(), 4) == partition)
        .unwrap();
    world.add_switch(other, 1);
    world.connect(other, 0);
    world.run(50 * MS);
    world.model(other).quirks.mute = true;
    let before = world.speakers[0].commits[&partition];
    world.command(
        0,
        "stuck",
        60 * SECOND,
        CommandBody::Dump {
            switch: SwitchId(other),
        },
    );
    world.desired(0, "quick", 1, 1, 1, snapshot(rules(1)));
    world.run(SECOND);
    assert_eq!(world.ended(0, "quick"), (Outcome::Applied, None));
    assert_eq!(world.speakers[0].commits[&partition], before);
    world.model(other).quirks.mute = false;
    let echo = ofproto::Message::new(7, Body::EchoRequest(Default::default()))
        .to_bytes()
        .unwrap();
    for _ in 0..7 {
        world.bytes(0, 2, echo.clone());
        world.run(5 * SECOND);
    }
    assert_eq!(world.ended(0, "stuck"), (Outcome::Rejected, Some(Cause::NoBarrier)));
    assert_eq!(world.speakers[0].commits[&partition], before + 2);
}

#[test]
fn a_stage_begins_only_when_the_one_before_is_confirmed() {
    let mut world = active();
    world.model(1).quirks.no_barrier = true;
    world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
    world.run(SECOND);
    assert_eq!(kinds(&mut world), ["meter OFPMC_ADD"]);
}

//! One golden file for each kind of message: what is on the wire is a decision, not an accident.
//!
//! `UPDATE_GOLDEN=1 cargo test -p skerry-bus` writes them anew; the difference is then part of the review.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use skerry_bus::objects::{Mac, ObjectKeys};
use skerry_bus::presence::RecordedRegion;
use skerry_bus::service::{ActionKind, ActionRequest, DeadLetter, FlowStatus, LinkStatus};
use skerry_bus::switch::SwitchDescription;
use skerry_bus::*;

fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("an identifier written in this test")
}

const S1: SwitchId = SwitchId(1);
const S2: SwitchId = SwitchId(2);

fn port(switch: SwitchId, port: u32) -> PortRef {
    PortRef {
        switch,
        port: PortNo(port),
    }
}

fn objects() -> Objects {
    let mut o = Objects::new();
    o.put_meter(Meter {
        id: 40,
        unit: MeterUnit::Kbps,
        rate: 10_000,
        burst: 10_500,
    });
    o.put_group(Group {
        id: 2,
        kind: GroupKind::All,
        buckets: vec![
            Bucket {
                actions: vec![Action::SetVlan(2000), Action::Output(OutPort::Port(PortNo(3)))],
            },
            Bucket {
                actions: vec![Action::PopVlan, Action::Output(OutPort::InPort)],
            },
        ],
    });
    o.put_rule(Rule {
        key: RuleKey {
            table: 2,
            priority: 24586,
            matches: Match {
                in_port: Some(PortNo(10)),
                metadata: Some(Masked {
                    value: 0x2000_0648,
                    mask: 0xe000_fff8,
                }),
                vlan: Some(200),
                ..Match::default()
            },
        },
        cookie: Cookie(0x4000_0000_0000_01f4),
        meter: Some(40),
        apply: vec![Action::Group(2)],
        write_metadata: None,
        goto: Some(3),
        reset_counts: true,
    });
    o.put_rule(Rule {
        key: RuleKey {
            table: 0,
            priority: 31768,
            matches: Match {
                eth_dst: Some(Mac([0, 0x26, 0xe1, 0xff, 0xff, 0xff])),
                eth_type: Some(0x800),
                ip_proto: Some(17),
                udp_dst: Some(61231),
                ..Match::default()
            },
        },
        cookie: Cookie(0x8000_0000_0000_0002),
        meter: None,
        apply: vec![Action::SetUdpDst(61232), Action::Output(OutPort::Controller)],
        write_metadata: Some(Masked {
            value: 1,
            mask: u64::MAX,
        }),
        goto: None,
        reset_counts: false,
    });
    o
}

fn state() -> SwitchState {
    SwitchState {
        switch: S1,
        connection: 3,
        address: "10.0.0.1:41234".into(),
        speaker_address: "10.0.0.9:6653".into(),
        mode: Mode::ReadWrite,
        role: Role::Slave,
        term_seen: Some(Term(7)),
        uptime_ms: 1000,
        generation: Some(Generation(4)),
        description: SwitchDescription {
            manufacturer: "Nicira, Inc.".into(),
            hardware: "Open vSwitch".into(),
            software: "3.1.0".into(),
            serial_number: "None".into(),
            datapath: "s1".into(),
            openflow: "1.3".into(),
            tables: 254,
        },
        ports: vec![PortState {
            port: PortNo(1),
            name: "p1".into(),
            up: true,
            speed_kbps: 10_000_000,
        }],
        control_rtt_ns: Some(250_000),
        features: SwitchFeatures { bundles: Some(true) },
    }
}

fn dump() -> SwitchDump {
    SwitchDump {
        ours: objects(),
        foreign: vec!["group 5000, type all, 2 buckets".into()],
    }
}

fn presence(active: bool) -> RegionPresence {
    RegionPresence {
        region: id("east"),
        ip: "10.10.10.10".into(),
        mode: Mode::ReadWrite,
        uptime: 1000,
        role: if active { Role::Master } else { Role::Slave },
        active,
    }
}

/// Compare with the file, and read the file back.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(value).expect("a message is JSON") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).expect("the golden file can be written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(golden, text, "{name} is not what the golden file says");
    match decode::<T>(golden.as_bytes()) {
        Decoded::Message(read) => assert_eq!(&read, value, "{name} does not read back"),
        other => panic!("{name} does not read back: {other:?}"),
    }
    // Unknown fields are ignored.
    let more = golden.replacen('{', "{\"a_field_of_the_future\": [1, {\"x\": null}],", 1);
    assert_eq!(
        decode::<T>(more.as_bytes()),
        Decoded::Message(serde_json::from_str(&golden).expect("read above"))
    );
}

#[test]
fn commands() {
    let command = |body| Command {
        correlation_id: id("c-1"),
        requester: "northbound".into(),
        deadline_ms: 1_700_000_010_000,
        owner_epoch: Some(5),
        region: Some(id("east")),
        epoch: Some(Epoch(1_700_000_000_000)),
        body,
    };
    let remove = ObjectKeys {
        meters: vec![41],
        groups: vec![3],
        rules: objects().keys().rules,
    };
    for (name, body) in [
        (
            "command-apply",
            CommandBody::Apply {
                switch: S1,
                put: objects(),
                remove: remove.clone(),
            },
        ),
        (
            "command-desired-snapshot",
            CommandBody::Desired {
                switch: S1,
                term: Term(7),
                generation: Generation(5),
                change: DesiredChange::Snapshot { objects: objects() },
            },
        ),
        (
            "command-desired-delta",
            CommandBody::Desired {
                switch: S1,
                term: Term(7),
                generation: Generation(5),
                change: DesiredChange::Delta {
                    base: Generation(4),
                    put: objects(),
                    remove: remove.clone(),
                },
            },
        ),
        (
            "command-activate",
            CommandBody::Activate {
                switch: S1,
                term: Term(7),
            },
        ),
        (
            "command-deactivate",
            CommandBody::Deactivate {
                switch: S1,
                term: Term(8),
            },
        ),
        ("command-dump", CommandBody::Dump { switch: S1 }),
        (
            "command-plan",
            CommandBody::Plan {
                switch: S1,
                wanted: None,
            },
        ),
        (
            "command-plan-wanted",
            CommandBody::Plan {
                switch: S1,
                wanted: Some(Wanted {
                    generation: Generation(5),
                    objects: objects(),
                }),
            },
        ),
        ("command-switch-snapshot", CommandBody::SwitchSnapshot { switch: S1 }),
        (
            "command-many",
            CommandBody::Many {
                parts: vec![
                    CommandBody::Dump { switch: S1 },
                    CommandBody::Apply {
                        switch: S2,
                        put: Objects::new(),
                        remove: remove.clone(),
                    },
                ],
            },
        ),
        (
            "command-region-snapshot",
            CommandBody::RegionSnapshot {
                snapshot: id("sync-17"),
            },
        ),
    ] {
        check(name, &command(body));
    }
}

fn rule_name() -> ObjectName {
    ObjectName::Rule(objects().keys().rules[0].clone())
}

fn results() -> ObjectResults {
    let result = |object, change, fate| ObjectResult { object, change, fate };
    let cause = Cause::SwitchError {
        error_type: 1,
        error_code: 10,
        name: "OFPET_BAD_REQUEST/OFPBRC_IS_SLAVE".into(),
        object: String::new(),
    };
    ObjectResults {
        applied: 9,
        failed: 1,
        unconfirmed: 2,
        not_tried: 1,
        not_applied: vec![
            result(ObjectName::Group { id: 2 }, Change::Modify, Fate::Failed { cause }),
            result(rule_name(), Change::Add, Fate::Unconfirmed),
            result(
                ObjectName::StrangeRule {
                    table: 3,
                    priority: 7,
                    cookie: Cookie(0x4000_0000_0000_0001),
                },
                Change::Delete,
                Fate::Unconfirmed,
            ),
            result(ObjectName::Meter { id: 40 }, Change::Delete, Fate::NotTried),
        ],
    }
}

fn plan() -> SwitchPlan {
    let step = |change, object, reason| PlannedStep { change, object, reason };
    SwitchPlan {
        stages: vec![
            PlannedStage {
                name: "groups".into(),
                steps: vec![step(Change::Modify, ObjectName::Group { id: 2 }, StepReason::Differs)],
                count: 1,
            },
            PlannedStage {
                name: "rules".into(),
                steps: vec![step(Change::Add, rule_name(), StepReason::Missing)],
                count: 1_500,
            },
            PlannedStage {
                name: "meters that go".into(),
                steps: vec![step(
                    Change::Delete,
                    ObjectName::Meter { id: 40 },
                    StepReason::NotWanted,
                )],
                count: 1,
            },
        ],
        sending: Sending::Stages,
        steps: 1_502,
        generation: Some(Generation(5)),
        foreign: vec!["group 5000".into()],
    }
}

#[test]
fn region_events() {
    use RegionEventBody as B;
    let result = CommandResult {
        switch: Some(S1),
        outcome: Outcome::Failed,
        cause: Some(Cause::SwitchError {
            error_type: 1,
            error_code: 10,
            name: "OFPET_BAD_REQUEST/OFPBRC_IS_SLAVE".into(),
            object: "group 2".into(),
        }),
        generation: Some(Generation(4)),
        messages: 12,
        objects: Some(results()),
    };
    let applied = CommandResult {
        switch: Some(S1),
        outcome: Outcome::Applied,
        cause: None,
        generation: Some(Generation(5)),
        messages: 3,
        objects: Some(ObjectResults {
            applied: 3,
            ..ObjectResults::default()
        }),
    };
    let port_state = PortState {
        port: PortNo(1),
        name: "p1".into(),
        up: false,
        speed_kbps: 0,
    };
    for (name, body) in [
        (
            "event-heartbeat",
            B::Heartbeat {
                switches: 4,
                coalesced: 0,
                speaker: "edge-1 10.0.0.9:6653".into(),
            },
        ),
        (
            "event-snapshot-begin",
            B::SnapshotBegin {
                snapshot: id("sync-17"),
            },
        ),
        (
            "event-snapshot-switch",
            B::SnapshotSwitch {
                snapshot: id("sync-17"),
                state: state(),
            },
        ),
        (
            "event-snapshot-end",
            B::SnapshotEnd {
                snapshot: id("sync-17"),
                switches: 1,
            },
        ),
        ("event-switch-connected", B::SwitchConnected { state: state() }),
        ("event-switch-changed", B::SwitchChanged { state: state() }),
        (
            "event-switch-disconnected",
            B::SwitchDisconnected {
                switch: S1,
                connection: 3,
                reason: "closed by the switch".into(),
            },
        ),
        (
            "event-switch-refused",
            B::SwitchRefused {
                switch: Some(S1),
                address: "10.0.0.7:999".into(),
                reason: "already connected from 10.0.0.1:41234".into(),
            },
        ),
        (
            "event-lost-role",
            B::LostRole {
                switch: S1,
                term: Term(7),
                seen: "IS_SLAVE".into(),
            },
        ),
        (
            "event-port-changed",
            B::PortChanged {
                switch: S1,
                port: port_state,
                removed: false,
            },
        ),
        (
            "event-link-seen",
            B::LinkSeen {
                from: port(S1, 1),
                to: port(S2, 2),
                interval_ms: 1000,
            },
        ),
        (
            "event-link-digest",
            B::LinkDigest {
                switch: S2,
                links: 2,
                digest: 77,
            },
        ),
        (
            "event-link-silent",
            B::LinkSilent {
                from: port(S1, 1),
                to: port(S2, 2),
                silent_ms: 3200,
                missed: 3,
            },
        ),
        (
            "event-switch-plan",
            B::SwitchPlan {
                switch: S1,
                plan: plan(),
            },
        ),
        ("event-command-failed", B::CommandResult { result }),
        ("event-command-applied", B::CommandResult { result: applied }),
        (
            "event-switch-dump",
            B::SwitchDump {
                switch: S1,
                dump: dump(),
            },
        ),
    ] {
        check(
            name,
            &RegionEvent {
                region: id("east"),
                epoch: Epoch(1_700_000_000_000),
                seq: Seq(42),
                at_ms: 1_700_000_001_000,
                correlation_id: name.contains("command").then(|| id("c-1")),
                body,
            },
        );
    }
}

#[test]
fn every_cause_of_a_refusal() {
    for (name, outcome, cause) in [
        (
            "malformed",
            Outcome::Rejected,
            Cause::Malformed {
                detail: "put.rules[0].table: 300 is above 255".into(),
            },
        ),
        ("unknown-switch", Outcome::Rejected, Cause::UnknownSwitch),
        (
            "unreachable",
            Outcome::Rejected,
            Cause::Unreachable {
                detail: "only regions that may read reach it: north".into(),
            },
        ),
        ("no-role", Outcome::Rejected, Cause::NoRole { held: Some(Term(6)) }),
        ("busy", Outcome::Rejected, Cause::Busy),
        ("base", Outcome::Rejected, Cause::Base { held: None }),
        (
            "foreign",
            Outcome::Rejected,
            Cause::Foreign {
                object: "rule in table 0, priority 31768".into(),
            },
        ),
        ("deadline", Outcome::Expired, Cause::Deadline),
        (
            "newer",
            Outcome::Superseded,
            Cause::Newer {
                generation: Generation(9),
            },
        ),
        ("connection-lost", Outcome::Failed, Cause::ConnectionLost),
        ("no-barrier", Outcome::Failed, Cause::NoBarrier),
        ("region-lost", Outcome::Failed, Cause::RegionLost),
        ("old-owner", Outcome::Rejected, Cause::OldOwner),
    ] {
        let result = CommandResult {
            switch: Some(S1),
            outcome,
            cause: Some(cause),
            generation: None,
            messages: 0,
            objects: None,
        };
        check(
            &format!("reply-{name}"),
            &Reply {
                correlation_id: id("c-1"),
                body: ReplyBody::SwitchResult {
                    result,
                    dump: None,
                    plan: None,
                },
            },
        );
    }
}

#[test]
fn replies_and_what_services_read() {
    let result = CommandResult {
        switch: Some(S1),
        outcome: Outcome::Applied,
        cause: None,
        generation: None,
        messages: 4,
        objects: None,
    };
    let reply = |body| Reply {
        correlation_id: id("c-1"),
        body,
    };
    check(
        "reply-dump",
        &reply(ReplyBody::SwitchResult {
            result,
            dump: Some(dump()),
            plan: None,
        }),
    );
    let result = CommandResult {
        switch: Some(S1),
        outcome: Outcome::Applied,
        cause: None,
        generation: None,
        messages: 0,
        objects: None,
    };
    check(
        "reply-plan",
        &reply(ReplyBody::SwitchResult {
            result,
            dump: None,
            plan: Some(plan()),
        }),
    );
    check(
        "reply-done",
        &reply(ReplyBody::Done {
            applied: 2,
            not_applied: 1,
        }),
    );

    use VirtualEventBody as V;
    let link = LinkId::new(port(S2, 2), port(S1, 1));
    for (name, event) in [
        (
            "virtual-switch-connected",
            V::SwitchConnected {
                switch: S1,
                region: id("east"),
                term: Term(7),
            },
        ),
        (
            "virtual-switch-connected-elsewhere",
            V::SwitchConnectedElsewhere {
                switch: S1,
                region: id("west"),
                term: Term(8),
                reason: "region east was lost".into(),
            },
        ),
        ("virtual-switch-availability", V::SwitchAvailability { switch: S1 }),
        (
            "virtual-switch-disconnected",
            V::SwitchDisconnected {
                switch: S1,
                region_lost: true,
            },
        ),
        (
            "virtual-switch-role-lost",
            V::SwitchRoleLost {
                switch: S1,
                region: id("east"),
            },
        ),
        (
            "virtual-port-changed",
            V::PortChanged {
                switch: S1,
                port: PortState {
                    port: PortNo(2),
                    name: "p2".into(),
                    up: true,
                    speed_kbps: 0,
                },
                removed: false,
            },
        ),
        (
            "virtual-link-changed",
            V::LinkChanged {
                link,
                from: Some(LinkStatus::Up),
                to: LinkStatus::Down,
                reason: "port down".into(),
            },
        ),
        (
            "virtual-flow-changed",
            V::FlowChanged {
                flow: id("flow-1"),
                status: FlowStatus::InProgress,
                path: vec![port(S1, 1), port(S2, 2)],
                reason: "create".into(),
            },
        ),
        (
            "virtual-sla-changed",
            V::SlaChanged {
                flow: id("flow-1"),
                from: "healthy".into(),
                to: "unstable".into(),
            },
        ),
        (
            "virtual-region-changed",
            V::RegionChanged {
                region: id("east"),
                live: false,
            },
        ),
        (
            "virtual-switch-refused",
            V::SwitchRefused {
                switch: None,
                region: id("east"),
                address: "10.0.0.7:999".into(),
                reason: "OpenFlow 1.0 only".into(),
            },
        ),
    ] {
        check(
            name,
            &VirtualEvent {
                event,
                availability_data: Availability {
                    availability: vec![presence(true)],
                },
                at_ms: 1_700_000_001_000,
                number: 12,
            },
        );
    }
    check(
        "presence-record",
        &PresenceRecord {
            switch: S1,
            owner_epoch: 5,
            term: Term(7),
            active_region: Some(id("east")),
            regions: vec![RecordedRegion {
                presence: presence(true),
                epoch: Epoch(9),
                address: "10.10.10.10:41234".into(),
                speaker_address: "10.10.10.1:6653".into(),
                since_ms: 1_700_000_000_000,
            }],
        },
    );
    check(
        "region-record",
        &RegionRecord {
            region: id("east"),
            drained: true,
            force: false,
            changed_ms: 1_700_000_001_000,
        },
    );
    for (name, body) in [
        (
            "latency-link",
            LatencyBody::LinkLatency {
                from: port(S1, 1),
                to: port(S2, 2),
                latency_ns: 4_200_000,
                source: LatencySource::RoundTrip,
                samples: 3,
            },
        ),
        (
            "latency-flow",
            LatencyBody::FlowLatency {
                flow: id("flow-1"),
                latency_ns: 9_000_000,
            },
        ),
    ] {
        check(
            name,
            &Latency {
                region: id("east"),
                epoch: Epoch(9),
                seq: Seq(3),
                at_ms: 1_700_000_001_000,
                body,
            },
        );
    }
    for (name, action) in [
        ("action-reroute", ActionKind::Reroute),
        ("action-sync", ActionKind::Sync),
    ] {
        let reason = "round trip 12.1 ms is above 10 ms".to_owned();
        check(
            name,
            &ActionRequest {
                flow: id("flow-1"),
                action,
                reason,
                at_ms: 1_700_000_001_000,
            },
        );
    }
    check(
        "dead-letter",
        &DeadLetter {
            topic: "skerry.v1.commands".into(),
            partition: 3,
            offset: 17,
            cause: "missing field `deadline_ms` at line 1 column 40".into(),
            payload: "{}".into(),
        },
    );
}

#[test]
fn an_unknown_kind_is_told_apart_from_a_malformed_message() {
    let event = |kind: &str| format!(r#"{{"region":"east","epoch":1,"seq":1,"at_ms":1,"kind":"{kind}"}}"#);
    assert_eq!(
        decode::<RegionEvent>(event("teleported").as_bytes()),
        Decoded::UnknownKind("teleported".into())
    );
    for text in [
        event("heartbeat").as_str(),
        "{}",
        "[]",
        "",
        "{\"kind\":\"heartbeat\"",
        "\u{0}",
    ] {
        match decode::<RegionEvent>(text.as_bytes()) {
            Decoded::Malformed(cause) => assert!(!cause.is_empty()),
            other => panic!("{text:?} gave {other:?}"),
        }
    }
}

#[test]
fn no_golden_file_is_left_over() {
    // Every file belongs to a check above: read the names this source mentions.
    let source = include_str!("golden.rs");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut unknown = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        let stem = name.trim_end_matches(".json").trim_start_matches("reply-").to_owned();
        if !source.contains(&format!("\"{stem}\"")) && !source.contains(&format!("\"reply-{stem}\"")) {
            unknown.insert(name, ());
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

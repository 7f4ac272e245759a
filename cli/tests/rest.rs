//! The commands that ask the router, against a router that answers a script.

mod common;
mod scripted_router;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Ran, skerry};
use scripted_router::Router;
use serde_json::{Value, json};

fn run(router: &Router, arguments: &[&str]) -> Ran {
    let mut all = vec!["--router", &router.url];
    all.extend(arguments);
    skerry(&all, b"")
}

fn operation(state: &str, step: &str, error: &str) -> String {
    json!({"operation_id": 7, "kind": "create", "flow_id": "f1", "state": state, "step": step, "error": error})
        .to_string()
}

const CREATE: &[&str] = &[
    "flow",
    "create",
    "f1",
    "--from",
    "0x1/3:100",
    "--to",
    "0x3/4:200.7",
    "--max-latency",
    "10.5",
    "--strategy",
    "latency",
];

#[test]
fn creating_a_flow_waits_for_the_operation_and_asks_what_was_typed() {
    let router = Router::answering(vec![
        (202, operation("running", "far end", "")),
        (200, operation("draining", "drain", "")),
        (200, operation("done", "", "")),
    ]);
    let ran = run(&router, CREATE);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "flow f1: done\n"), "{ran:?}");
    let seen = router.seen();
    let asked: Vec<&str> = seen.iter().map(|s| s.0.as_str()).collect();
    assert_eq!(
        asked,
        ["PUT /v2/flows/f1", "GET /v2/operations/7", "GET /v2/operations/7"]
    );
    let body: Value = serde_json::from_str(&seen[0].1).expect("JSON");
    assert_eq!(
        body,
        json!({
            "source": {"switch_id": "00:00:00:00:00:00:00:01", "port_number": 3, "vlan_id": 100, "inner_vlan_id": 0},
            "destination": {"switch_id": "00:00:00:00:00:00:00:03", "port_number": 4, "vlan_id": 200, "inner_vlan_id": 7},
            "maximum_bandwidth": 0, "max_latency": 10.5, "path_computation_strategy": "latency", "pinned": false
        })
    );
}

#[test]
fn not_waiting_prints_the_id_of_the_operation() {
    let router = Router::answering(vec![(202, operation("running", "far end", ""))]);
    let ran = run(&router, &[CREATE, &["--no-wait"]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "7\n"), "{ran:?}");
}

#[test]
fn a_dry_run_asks_for_one_and_prints_the_plan() {
    let plan = json!({"stages": [{"name": "far end"}]});
    for (arguments, asked) in [
        (CREATE, "PUT /v2/flows/f1?dry_run=true"),
        (&["flow", "rm", "f1"], "DELETE /v2/flows/f1?dry_run=true"),
        (
            &["flow", "join", "rm", "f1", "j1"],
            "DELETE /v2/flows/f1/join/j1?dry_run=true",
        ),
    ] {
        let router = Router::answering(vec![(200, plan.to_string())]);
        let ran = run(&router, &[arguments, &["--dry-run"]].concat());
        assert_eq!(serde_json::from_str::<Value>(&ran.out).expect("JSON"), plan);
        assert_eq!((ran.code, router.seen()[0].0.as_str()), (Some(0), asked));
    }
}

#[test]
fn an_operation_that_fails_is_one_document_and_exit_code_1_with_its_cause() {
    let router = Router::answering(vec![
        (202, operation("running", "far end", "")),
        (200, operation("failed", "ingress", "switch 0x1: table full")),
    ]);
    let ran = run(&router, &[CREATE, &["--output", "json"]].concat());
    assert_eq!(ran.code, Some(1));
    let document: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!(document["state"], "failed");
    assert_eq!(
        ran.err,
        "skerry: flow f1: operation 7 failed at \"ingress\": switch 0x1: table full\n"
    );
}

#[test]
fn a_write_that_had_nothing_to_do_is_done() {
    let router = Router::answering(vec![(200, json!({"flow_id": "f1"}).to_string())]);
    let ran = run(
        &router,
        &[
            "flow",
            "mirror",
            "add",
            "f1",
            "m1",
            "--at",
            "0x1",
            "--direction",
            "reverse",
            "--sink",
            "0x1/9",
        ],
    );
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "mirror point m1 of flow f1: done, nothing had to be changed\n")
    );
    let seen = router.seen();
    assert_eq!(seen[0].0, "PUT /v2/flows/f1/mirror");
    let body: Value = serde_json::from_str(&seen[0].1).expect("JSON");
    assert_eq!(
        body,
        json!({
            "mirror_point_id": "m1", "mirror_point_direction": "reverse",
            "mirror_point_switch_id": "00:00:00:00:00:00:00:01",
            "sink_endpoint": {"switch_id": "00:00:00:00:00:00:00:01", "port_number": 9, "vlan_id": 0, "inner_vlan_id": 0}
        })
    );
}

#[test]
fn points_and_flows_are_removed_where_they_are() {
    for (arguments, asked) in [
        (&["flow", "rm", "f1"][..], "DELETE /v2/flows/f1"),
        (&["flow", "mirror", "rm", "f1", "m1"], "DELETE /v2/flows/f1/mirror/m1"),
        (&["flow", "join", "rm", "f1", "j1"], "DELETE /v2/flows/f1/join/j1"),
        (&["flow", "reroute", "f1"], "POST /v2/flows/f1/reroute"),
    ] {
        let router = Router::answering(vec![(202, operation("done", "", ""))]);
        let ran = run(&router, arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(router.seen()[0].0, asked);
    }
}

#[test]
fn a_problem_is_told_with_its_fields_and_exit_code_1() {
    let problem = json!({
        "type": "urn:skerry:problem:invalid", "title": "The flow is not valid", "status": 422, "detail": "one field is wrong",
        "errors": [{"pointer": "/source/port_number", "detail": "switch 0x1 has no port 3"}]
    });
    let router = Router::answering(vec![(422, problem.to_string())]);
    let ran = run(&router, CREATE);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_eq!(
        ran.err,
        "skerry: The flow is not valid (422): one field is wrong\n  /source/port_number: switch 0x1 has no port 3\n"
    );
}

#[test]
fn a_router_that_is_not_there_is_exit_code_3_and_wrong_usage_2() {
    // A port that was free a moment ago, and nobody listens on it.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let url = format!("http://{free}");
    for arguments in [&["status"][..], &["tail"], &["flow", "rm", "f1"]] {
        let ran = skerry(&[&["--router", &url][..], arguments].concat(), b"");
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.err.contains(&url) && ran.err.contains("not reachable"), "{ran:?}");
    }
    for arguments in [
        &["flow", "create"][..],
        &["flow", "create", "f 1", "--from", "0x1/1", "--to", "0x2/1"],
        &["flow", "create", "f1", "--from", "0x1/1:4095", "--to", "0x2/1"],
        &["--output", "xml", "status"],
        &["--router", "ftp://x", "status"],
        &["nothing"],
    ] {
        let ran = skerry(arguments, b"");
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
        assert!(!ran.err.is_empty());
    }
}

fn switch() -> Value {
    json!({
        "switch_id": "00:00:00:00:00:00:00:01", "state": "connected", "active_region": "east", "term": 3,
        "description": {"software": "2.17\u{1b}[31m"},
        "ports": [{"port": 1, "name": "p1", "up": true}, {"port": 2, "name": "p2", "up": false}],
        "availability": [{"region": "east", "ip": "10.0.0.1", "mode": "RW", "uptime": 5000, "role": "master", "active": true}],
        "generation_wanted": 4, "generation_applied": 3, "a_key_of_a_newer_router": true
    })
}

#[test]
fn lists_are_a_table_for_a_person_and_what_the_router_said_for_a_program() {
    let router = Router::answering(vec![
        (200, json!([switch()]).to_string()),
        (200, json!([switch()]).to_string()),
    ]);
    let ran = run(&router, &["switch", "ls"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<Vec<&str>> = ran
        .out
        .lines()
        .map(|l| l.split("  ").filter(|c| !c.is_empty()).map(str::trim).collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "SWITCH", "STATE", "ACTIVE", "TERM", "REGIONS", "PORTS", "APPLIED", "SOFTWARE"
        ]
    );
    assert_eq!(
        lines[1],
        [
            "00:00:00:00:00:00:00:01",
            "connected",
            "east",
            "3",
            "east",
            "1 of 2 up",
            "3 of 4",
            "2.17?[31m"
        ]
    );
    let ran = run(&router, &["switch", "ls", "--output", "json"]);
    let document: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!(document, json!([switch()]));
}

#[test]
fn every_view_is_asked_where_it_is_and_printed() {
    let refused =
        json!([{"region": "east", "address": "10.0.0.9:4711", "reason": "version 1.0", "at_ms": 0, "times": 2}]);
    let link = json!([{
        "link_id": "00:00:00:00:00:00:00:01/1-00:00:00:00:00:00:00:02/1", "a": "00:00:00:00:00:00:00:01/1",
        "b": "00:00:00:00:00:00:00:02/1", "state": "up", "reason": "", "latency_ms": 4.2, "latency_source": "round_trip",
        "latency_age_ms": 12, "latency_samples": 40, "cost": 700, "changes": 1
    }]);
    let region =
        json!([{"region": "east", "state": "live", "epoch": 2, "switches": 4, "active_for": 4, "silent_ms": 10}]);
    let status = json!({
        "version": "0.1.0", "kafka": true, "regions_live": 1, "regions": 2, "switches_connected": 4, "switches": 4,
        "links_up": 4, "links": 4, "flows": {"UP": 2}, "operations": 0
    });
    let end = json!({"switch_id": "00:00:00:00:00:00:00:01", "port_number": 3, "vlan_id": 100});
    let flow = json!({
        "flow_id": "f1", "source": end, "destination": end, "max_latency": 10.0, "path_computation_strategy": "max_latency",
        "status": "DEGRADED", "status_info": "too slow", "path": [{"switch_id": "00:00:00:00:00:00:00:01", "input_port": 3, "output_port": 1}],
        "sla_state": "tier_1_failed", "latency_ms": 12.0, "latency_coverage": [1, 1], "revision": 1,
        "mirror_points": [{"mirror_point_id": "m1", "mirror_point_direction": "forward",
            "mirror_point_switch_id": "00:00:00:00:00:00:00:01", "sink_endpoint": end, "status": "UP", "group_id": 5}],
        "join_points": [{"join_point_id": "j1", "join_point_switch_id": "00:00:00:00:00:00:00:01", "sink_endpoint": end,
            "delivery": "both", "status": "UP"}]
    });
    let features = json!({"network_sync": true, "sla_reactions": false});
    let failed: Value = serde_json::from_str(&operation("failed", "ingress", "table full")).expect("JSON");
    let cases: &[(&[&str], Value, &str, &[&str])] = &[
        (
            &["operation", "ls"],
            json!([failed]),
            "GET /v2/operations",
            &["7", "failed", "table full"],
        ),
        (
            &["operation", "show", "7"],
            failed,
            "GET /v2/operations/7",
            &["f1", "ingress"],
        ),
        (
            &["status"],
            status,
            "GET /v2/status",
            &["1 of 2 live", "4 of 4 up", "2 UP"],
        ),
        (
            &["switch", "ls", "--refused"],
            refused,
            "GET /v2/switches/refused",
            &["10.0.0.9:4711", "version 1.0", "1970-01-01"],
        ),
        (
            &["switch", "show", "0x1"],
            switch(),
            "GET /v2/switches/00:00:00:00:00:00:00:01",
            &["master", "p2", "down"],
        ),
        (&["link", "ls"], link, "GET /v2/links", &["4.200", "round_trip", "700"]),
        (&["region", "ls"], region, "GET /v2/regions", &["east", "live"]),
        (
            &["flow", "ls"],
            json!([flow]),
            "GET /v2/flows",
            &["f1", "DEGRADED", "tier_1_failed", "12.000", ":100"],
        ),
        (
            &["flow", "show", "f1"],
            flow.clone(),
            "GET /v2/flows/f1",
            &["too slow", "m1", "j1", "both", "1 of 1"],
        ),
        (
            &["flow", "mirror", "ls", "f1"],
            flow["mirror_points"].clone(),
            "GET /v2/flows/f1/mirror",
            &["forward", "5"],
        ),
        (
            &["flow", "join", "ls", "f1"],
            flow["join_points"].clone(),
            "GET /v2/flows/f1/join",
            &["both"],
        ),
        (
            &["feature", "show"],
            features,
            "GET /v2/features",
            &["sla_reactions", "off"],
        ),
    ];
    for (arguments, document, asked, words) in cases {
        let router = Router::answering(vec![(200, document.to_string()), (200, document.to_string())]);
        let ran = run(&router, arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for word in *words {
            assert!(ran.out.contains(word), "{word}: {}", ran.out);
        }
        let ran = run(&router, &[arguments, &["--output", "json"][..]].concat());
        assert_eq!(
            serde_json::from_str::<Value>(&ran.out).expect("one document"),
            *document
        );
        assert_eq!(router.seen()[0].0, *asked);
    }
}

#[test]
fn a_feature_is_set_and_shown() {
    let features = json!({"network_sync": false, "sla_reactions": true}).to_string();
    let router = Router::answering(vec![(200, features.clone()), (200, features)]);
    let ran = run(&router, &["feature", "set", "network_sync", "off"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        router.seen()[0],
        ("PATCH /v2/features".to_owned(), r#"{"network_sync":false}"#.to_owned())
    );
}

#[test]
fn something_that_is_no_router_is_told_as_such() {
    let router = Router::answering(vec![(200, "<html>".to_owned()), (502, "<html>".to_owned())]);
    let ran = run(&router, &["status"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("is it a router?"), "{ran:?}");
    let ran = run(&router, &["status"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(1), "skerry: HTTP status 502: <html>\n")
    );
}

#[test]
fn tail_prints_events_as_they_come_and_resumes_after_the_last() {
    let event = |number: u64| {
        json!({"event": {"kind": "region_changed", "region": "east", "live": true}, "availability_data": {"availability": []},
            "at_ms": 1, "number": number})
        .to_string()
    };
    let router = Router::answering(vec![
        (200, format!("{}\n\n{}\n{{\"ev", event(41), event(42))),
        (200, format!("{}\n", event(43))),
        (404, String::new()),
    ]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_skerry"))
        .args(["--router", &router.url, "--output", "json", "tail", "--since", "40"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let numbers: Vec<u64> = out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(&line.expect("text")).expect("an object a line")["number"]
                .as_u64()
                .expect("a number")
        })
        .collect();
    assert_eq!(numbers, [41, 42, 43]);
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    let asked: Vec<String> = router.seen().into_iter().map(|s| s.0).collect();
    assert_eq!(
        asked,
        [
            "GET /v2/events?since=40",
            "GET /v2/events?since=42",
            "GET /v2/events?since=43"
        ]
    );
}

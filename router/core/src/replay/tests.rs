use std::time::Instant;

use skerry_bus::recording::{Replay as _, ReplayError};

use super::*;

/// The examples of the operator's page: pairs of blocks, `jsonl NAME in` and `jsonl NAME out`.
fn examples(name: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/replay.md");
    let text = std::fs::read_to_string(path).expect("the page stands beside the code");
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            open = !open && kind.starts_with("jsonl ");
            if open {
                blocks.push((kind.to_owned(), Vec::new()));
            }
        } else if open && let Some((_, lines)) = blocks.last_mut() {
            lines.push(line.to_owned());
        }
    }
    let of = |what: &str| {
        let kind = format!("jsonl {name} {what}");
        blocks
            .iter()
            .filter(|(k, _)| *k == kind)
            .map(|(_, lines)| lines.clone())
            .collect::<Vec<_>>()
    };
    let (given, said) = (of("in"), of("out"));
    assert_eq!(given.len(), said.len());
    given.into_iter().zip(said).collect()
}

type Replay = fn(&[String]) -> (Vec<String>, Result<(), ReplayError>);

fn run_presence(lines: &[String]) -> (Vec<String>, Result<(), ReplayError>) {
    PresenceReplay::new(Instant::now()).all(lines.iter().map(String::as_str))
}

fn run_links(lines: &[String]) -> (Vec<String>, Result<(), ReplayError>) {
    LinksReplay::new(Instant::now()).all(lines.iter().map(String::as_str))
}

#[test]
fn the_examples_of_the_page_are_what_is_said() {
    for (name, least, replay) in [("presence", 3, run_presence as Replay), ("links", 3, run_links)] {
        let examples = examples(name);
        assert!(examples.len() >= least, "{name}: {}", examples.len());
        for (given, expected) in examples {
            let (said, result) = replay(&given);
            assert_eq!(result, Ok(()), "{given:#?}");
            assert_eq!(said, expected, "{name}:\n{}\n#", said.join("\n"));
        }
    }
}

fn error(replay: Replay, lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    match replay(&lines).1 {
        Ok(()) => "no error".to_owned(),
        Err(e) => format!("{} {}", e.line, e.field),
    }
}

#[test]
fn a_wrong_line_is_named_with_its_number_and_field() {
    let config = r#"{"at_ms": 0, "config": {"regions": ["east", {"region": "west", "preference": 2}]}}"#;
    let presence = |line: &str| error(run_presence, &[config, "", line]);
    for (line, expected) in [
        (r#"{"at_ms": 1, "region": "east", "hartbeat": true}"#, "3 hartbeat"),
        (r#"{"at_ms": 1, "region": "EAST", "heartbeat": true}"#, "3 region"),
        (r#"{"at_ms": 1, "region": "east"}"#, "3 ."),
        (r#"{"at_ms": 1, "heartbeat": true}"#, "3 region"),
        (r#"{"at_ms": 1, "region": "east", "heartbeat": false}"#, "3 heartbeat"),
        (r#"{"at_ms": 1, "region": "east", "connected": "xyz"}"#, "3 connected"),
        (
            r#"{"at_ms": 1, "region": "east", "connected": "0x1", "mode": "WR"}"#,
            "3 mode",
        ),
        (
            r#"{"at_ms": 1, "region": "east", "connected": "0x1", "disconnected": "0x1"}"#,
            "3 connected",
        ),
        (r#"{"at_ms": -1, "end": true}"#, "3 at_ms"),
        (r#"{"at_ms": 1.5, "end": true}"#, "3 at_ms"),
        (r#"{"at_ms": 4102444800001, "end": true}"#, "3 at_ms"),
        (r#"{"at_ms": 1, "end": false}"#, "3 end"),
        (r#"{"at_ms": 1, "end": true, "region": "east"}"#, "3 region"),
        (r#"{"at_ms": 1, "config": {"regions": []}}"#, "3 config"),
        (r#"{"at_ms": 1, "end": true} x"#, "3 ."),
        (r#"{"at_ms": 1"#, "3 ."),
        (r#"{"at_ms": 1, "end": true}"#, "no error"),
    ] {
        assert_eq!(presence(line), expected, "{line}");
    }
    for (line, expected) in [
        (r#"{"at_ms": 1, "end": true}"#, "1 config"),
        (r#"{"at_ms": 0, "config": {}}"#, "1 config"),
        (
            r#"{"at_ms": 0, "config": {"regions": ["east", "east"]}}"#,
            "1 config.regions",
        ),
        (
            r#"{"at_ms": 0, "config": {"regions": [{"region": "east", "prefer": 1}]}}"#,
            "1 config.regions[0].prefer",
        ),
        (
            r#"{"at_ms": 0, "config": {"regions": ["east"], "hold_down_ms": 5}}"#,
            "1 config.hold_down_ms",
        ),
        (
            r#"{"at_ms": 0, "config": {"regions": ["east"], "silence_ms": 0}}"#,
            "1 config.silence_ms",
        ),
    ] {
        assert_eq!(error(run_presence, &[line]), expected, "{line}");
    }
    let ports = r#"{"from": "0x1/1", "to": "0x2/1"}"#;
    for (line, expected) in [
        (format!(r#"{{"at_ms": 1, "sean": {ports}}}"#), "1 sean"),
        (
            format!(r#"{{"at_ms": 1, "seen": {ports}, "port_down": "0x1/1"}}"#),
            "1 port_down",
        ),
        (r#"{"at_ms": 1, "seen": {"from": "0x1/1"}}"#.to_owned(), "1 seen"),
        (
            r#"{"at_ms": 1, "seen": {"from": "0x1/1", "to": "0x2"}}"#.to_owned(),
            "1 seen.to",
        ),
        (
            r#"{"at_ms": 1, "active": {"switch": "0x1", "region": "east"}}"#.to_owned(),
            "1 active",
        ),
        (
            r#"{"at_ms": 1, "config": {"interval_ms": 0}}"#.to_owned(),
            "1 config.interval_ms",
        ),
        (r#"{"at_ms": 1}"#.to_owned(), "1 ."),
        (r#"{"at_ms": 1, "end": true}"#.to_owned(), "no error"),
    ] {
        assert_eq!(error(run_links, &[&line]), expected, "{line}");
    }
    assert_eq!(
        error(
            run_links,
            &[r#"{"at_ms": 5, "end": true}"#, r#"{"at_ms": 4, "end": true}"#]
        ),
        "2 at_ms"
    );
}

#[test]
fn what_was_said_before_a_wrong_line_is_kept() {
    let lines: Vec<String> = [
        r#"{"at_ms": 0, "seen": {"from": "0x1/1", "to": "0x2/1"}}"#,
        r#"{"at_ms": 0, "seen": {"to": "0x1/1", "from": "0x2/1"}}"#,
        "nonsense",
    ]
    .map(str::to_owned)
    .into();
    let (said, result) = run_links(&lines);
    assert_eq!((said.len(), result.map_err(|e| e.line)), (1, Err(3)));
}

#[test]
fn wall_clock_times_and_long_pauses_are_read_as_they_are() {
    let lines: Vec<String> = [
        r#"{"at_ms": 1700000000000, "config": {"regions": ["east"]}}"#,
        r#"{"at_ms": 1700000000000, "region": "east", "connected": "0x1"}"#,
        r#"{"at_ms": 4102444800000, "end": true}"#,
    ]
    .map(str::to_owned)
    .into();
    let (said, result) = run_presence(&lines);
    assert_eq!((said.len(), result), (2, Ok(())));
    assert!(said[1].starts_with(r#"{"at_ms":1700000001000,"#), "{}", said[1]);
}

fn events(lines: &[&str]) -> Vec<String> {
    let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    let (said, result) = run_presence(&lines);
    assert_eq!(result, Ok(()));
    said.iter()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            format!(
                "{} {} {} {}",
                line["at_ms"], line["event"], line["active_region"], line["term"]
            )
            .replace('"', "")
        })
        .collect()
}

#[test]
fn a_repeated_connect_is_a_new_connection_and_a_stale_epoch_is_none() {
    assert_eq!(
        events(&[
            r#"{"at_ms": 0, "config": {"regions": ["east"]}}"#,
            r#"{"at_ms": 0, "region": "east", "epoch": 5, "seq": 1, "heartbeat": true}"#,
            r#"{"at_ms": 100, "region": "east", "connected": "0x1", "mode": "RW"}"#,
            r#"{"at_ms": 200, "region": "east", "connected": "0x1", "mode": "RW"}"#,
            r#"{"at_ms": 300, "region": "east", "epoch": 4, "disconnected": "0x1"}"#,
            r#"{"at_ms": 400, "region": "east", "epoch": 5, "seq": 1, "heartbeat": true}"#,
            r#"{"at_ms": 2000, "end": true}"#,
        ]),
        [
            "100 switch_connected east 1",
            "200 switch_connected east 2",
            // Neither the stale message nor the repeated one is evidence of life.
            "1200 switch_disconnected_region_lost null 2"
        ]
    );
}

#[test]
fn a_backlog_does_not_kill_and_an_old_message_does_not_revive() {
    let config = r#"{"at_ms": 0, "config": {"regions": ["east"]}}"#;
    assert_eq!(
        events(&[
            config,
            r#"{"at_ms": 10000, "region": "east", "heartbeat": true, "record_ms": 1000}"#,
            r#"{"at_ms": 10000, "region": "east", "connected": "0x1", "record_ms": 1000}"#,
            r#"{"at_ms": 20000, "end": true}"#,
        ]),
        [""; 0]
    );
    assert_eq!(
        events(&[
            config,
            r#"{"at_ms": 1000, "region": "east", "connected": "0x1", "caught_up": false}"#,
            r#"{"at_ms": 4000, "region": "east", "heartbeat": true, "record_ms": 1250, "caught_up": false}"#,
            r#"{"at_ms": 4100, "region": "east", "heartbeat": true, "record_ms": 4050}"#,
            r#"{"at_ms": 5000, "end": true}"#,
            r#"{"at_ms": 6000, "end": true}"#,
        ]),
        [
            "1000 switch_connected east 1",
            "5050 switch_disconnected_region_lost null 1"
        ]
    );
}

#[test]
fn a_region_that_does_not_confirm_is_followed_by_another() {
    assert_eq!(
        events(&[
            r#"{"at_ms": 0, "config": {"regions": ["east", "west"], "silence_ms": 60000}}"#,
            r#"{"at_ms": 0, "region": "east", "connected": "0x1", "confirms": false}"#,
            r#"{"at_ms": 0, "region": "west", "connected": "0x1"}"#,
            r#"{"at_ms": 5000, "region": "east", "role_of": "0x1", "role": "master", "term": 9}"#,
            r#"{"at_ms": 5000, "end": true}"#,
        ]),
        [
            "4000 switch_role_lost east 1",
            "4000 switch_connected west 2",
            "5000 switch_role_lost west 2",
            "5000 switch_connected west 10"
        ]
    );
}

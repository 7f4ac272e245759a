//! `skerry replay sla`: the examples of `docs/replay.md`, and lines that are wrong.

use std::time::Instant;

use skerry_bus::recording::{Replay, ReplayError};
use skerry_monitor::replay::SlaReplay;

fn run(lines: &[&str]) -> (Vec<String>, Result<(), ReplayError>) {
    SlaReplay::new(Instant::now()).all(lines.iter().copied())
}

const CONFIG: &str = r#"{"at_ms": 0, "config": {"max_latency_ms": 10, "max_latency_tier_2_ms": 15, "threshold": 0.1, "window_ms": 5000, "strategy": "latency"}}"#;

/// Blocks of the page that begin with ```` ```jsonl sla in ```` and the ```` ```jsonl sla out ```` that follows each.
fn examples(page: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut examples: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let input = match line {
            "```jsonl sla in" => true,
            "```jsonl sla out" => false,
            _ => continue,
        };
        let block = lines.by_ref().take_while(|line| *line != "```").collect();
        if input {
            examples.push((block, Vec::new()));
        } else {
            examples.last_mut().expect("an output follows its input").1 = block;
        }
    }
    examples
}

#[test]
fn the_examples_of_the_documentation_say_what_is_said_there() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/replay.md"))
        .expect("the page is in the repository");
    let examples = examples(&page);
    assert!(examples.len() >= 3, "{} examples", examples.len());
    for (input, output) in examples {
        let (said, end) = run(&input);
        assert_eq!(end, Ok(()));
        assert_eq!(said, output);
    }
}

#[test]
fn a_wrong_line_is_told_with_its_number_and_field_and_what_was_said_before_it_is_kept() {
    let latency = r#"{"at_ms": 1000, "latency_ns": 9000000}"#;
    let cases: &[(&[&str], usize, &str, &str)] = &[
        (
            &[CONFIG, r#"{"at_ms": 1, "latency": 3}"#],
            2,
            "latency",
            "unknown field `latency`",
        ),
        (
            &[CONFIG, "", r#"{"at_ms": 1, "latency_ns": 1.5}"#],
            3,
            "latency_ns",
            "floating point",
        ),
        (
            &[CONFIG, r#"{"at_ms": 1, "latency_ns": -1}"#],
            2,
            "latency_ns",
            "integer `-1`",
        ),
        (
            &[CONFIG, r#"{"at_ms": 1.0, "latency_ns": 1}"#],
            2,
            "at_ms",
            "floating point",
        ),
        (&[CONFIG, r#"{"latency_ns": 1}"#], 2, ".", "missing field `at_ms`"),
        (
            &[CONFIG, r#"{"at_ms": 1, "at_ms": 2, "end": true}"#],
            2,
            ".",
            "duplicate field `at_ms`",
        ),
        (
            &[CONFIG, latency, r#"{"at_ms": 999, "end": true}"#],
            3,
            "at_ms",
            "999 is before 1000",
        ),
        (
            &[CONFIG, r#"{"at_ms": 18446744073709551615, "end": true}"#],
            2,
            "at_ms",
            "at most",
        ),
        (&[CONFIG, r#"{"at_ms": 1, "end": false}"#], 2, "end", "true"),
        (&[CONFIG, r#"{"at_ms": 1}"#], 2, "latency_ns", "either"),
        (
            &[CONFIG, r#"{"at_ms": 1, "latency_ns": 1, "end": true}"#],
            2,
            "end",
            "either",
        ),
        (&[CONFIG, CONFIG], 2, "config", "first line"),
        (&[latency], 1, "config", "first line"),
        (&["{"], 1, ".", "EOF"),
        (&[CONFIG, "{\"at_ms\": 1, \"end\": true} x"], 2, ".", "trailing"),
        (
            &[
                r#"{"at_ms": 0, "config": {"max_latency_ms": 10, "threshold": 0.1, "window": 5, "window_ms": 5000, "strategy": "latency"}}"#,
            ],
            1,
            "config.window",
            "unknown field",
        ),
        (
            &[
                r#"{"at_ms": 0, "config": {"max_latency_ms": -10, "threshold": 0.1, "window_ms": 5000, "strategy": "latency"}}"#,
            ],
            1,
            "config.max_latency_ms",
            "0 to",
        ),
        (
            &[r#"{"at_ms": 0, "config": {"threshold": 1, "window_ms": 5000, "strategy": "latency"}}"#],
            1,
            "config.threshold",
            "less than 1",
        ),
        (
            &[r#"{"at_ms": 0, "config": {"threshold": 0, "window_ms": 86400001, "strategy": "latency"}}"#],
            1,
            "config.window_ms",
            "at most",
        ),
        (
            &[r#"{"at_ms": 0, "config": {"threshold": 0, "window_ms": 5, "strategy": "fast"}}"#],
            1,
            "config.strategy",
            "unknown variant",
        ),
    ];
    for (lines, line, field, cause) in cases {
        let (_, end) = run(lines);
        let error = end.expect_err(lines[lines.len() - 1]);
        assert_eq!((error.line, error.field.as_str()), (*line, *field), "{error}");
        assert!(error.cause.contains(cause), "{error}");
    }
    let (said, end) = run(&[CONFIG, latency, "x"]);
    assert_eq!(
        said,
        [r#"{"at_ms":1000,"from":"unknown","to":"unstable","action":null}"#]
    );
    assert!(end.is_err());
}

#[test]
fn a_flow_without_a_first_limit_says_nothing() {
    let config = r#"{"at_ms": 0, "config": {"max_latency_ms": null, "max_latency_tier_2_ms": 15, "threshold": 0.1, "window_ms": 0, "strategy": "latency"}}"#;
    let (said, end) = run(&[
        config,
        r#"{"at_ms": 1, "latency_ns": 99000000000}"#,
        r#"{"at_ms": 100000, "end": true}"#,
    ]);
    assert_eq!((said.len(), end), (0, Ok(())));
}

#[test]
fn a_window_of_no_length_ends_at_once() {
    let config = r#"{"at_ms": 7, "config": {"max_latency_ms": 10, "threshold": 0.1, "window_ms": 0, "strategy": "max_latency"}}"#;
    let (said, _) = run(&[config, r#"{"at_ms": 9, "latency_ns": 10000001}"#]);
    assert_eq!(
        said,
        [
            r#"{"at_ms":9,"from":"unknown","to":"unstable","action":null}"#,
            r#"{"at_ms":9,"from":"unstable","to":"tier_1_failed","action":"reroute"}"#,
        ]
    );
}

//! `skerry replay`: files and standard input, exit codes.

mod common;

use common::skerry;

const CONFIG: &str = r#"{"at_ms": 0, "config": {"max_latency_ms": 10, "max_latency_tier_2_ms": 15, "threshold": 0.1, "window_ms": 5000, "strategy": "latency"}}"#;

#[test]
fn latencies_are_replayed_from_standard_input_and_from_a_file() {
    let text = format!("{CONFIG}\n{{\"at_ms\": 1000, \"latency_ns\": 12000000}}\n{{\"at_ms\": 6000, \"end\": true}}\n");
    let said = concat!(
        r#"{"at_ms":1000,"from":"unknown","to":"unstable","action":null}"#,
        "\n",
        r#"{"at_ms":6000,"from":"unstable","to":"tier_1_failed","action":"reroute"}"#,
        "\n"
    );
    let ran = skerry(&["replay", "sla", "-"], text.as_bytes());
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), said, ""));
    let file = std::env::temp_dir().join(format!("skerry-replay-{}.jsonl", std::process::id()));
    std::fs::write(&file, text).expect("a temporary file");
    let ran = skerry(&["replay", "sla", file.to_str().expect("text")], b"");
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), said));
}

#[test]
fn a_wrong_line_ends_the_replay_with_its_number_and_field_after_what_was_said_before() {
    let text = format!("{CONFIG}\n{{\"at_ms\": 1000, \"latency_ns\": 1}}\n{{\"at_ms\": 2000, \"latency\": 1}}\n");
    let ran = skerry(&["replay", "sla", "-"], text.as_bytes());
    assert_eq!((ran.code, ran.out.lines().count()), (Some(1), 1));
    assert!(ran.err.contains("line 3: latency: unknown field"), "{ran:?}");
}

#[test]
fn a_file_that_is_not_there_is_exit_code_1_and_no_file_at_all_2() {
    let ran = skerry(&["replay", "sla", "no/such/file"], b"");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("no/such/file"), "{ran:?}");
    assert_eq!(skerry(&["replay", "sla"], b"").code, Some(2));
    assert_eq!(skerry(&["replay", "tides", "-"], b"").code, Some(2));
}

/// Examples of the documentation: the machine, what is fed, what is printed.
fn examples(page: &str) -> Vec<(String, String, String)> {
    let mut examples: Vec<(String, String, String)> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```jsonl ") else {
            continue;
        };
        let block: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        match kind.split_once(' ') {
            Some((machine, "in")) => examples.push((machine.to_owned(), block, String::new())),
            Some((_, "out")) => examples.last_mut().expect("an output follows its input").2 = block,
            _ => panic!("a block of an unknown kind: {kind}"),
        }
    }
    examples
}

#[test]
fn the_examples_of_the_documentation_print_what_is_said_there() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/replay.md");
    let page = std::fs::read_to_string(page).expect("the page is in the repository");
    let examples = examples(&page);
    assert!(examples.len() >= 3, "{} examples", examples.len());
    for (machine, input, output) in examples {
        let ran = skerry(&["replay", &machine, "-"], input.as_bytes());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{machine}");
        assert_eq!(ran.out, output, "{machine}");
    }
}

//! `skerry ofp decode` before an independent judge: Open vSwitch's own printer reads the same bytes.
//!
//! Every annotated vector of the codec and 1,000 generated messages that a switch would take go through the built
//! command as lines of hexadecimal. What it prints is compared with what `ovs-ofctl ofp-print` prints of the same
//! line: type, transaction id, match fields, actions and counts. The vectors that differ are those that
//! `ofproto/tests/ovs-differs.md` names with the reason; of the generated messages none differs.

#[path = "../../ofproto/tests/common/mod.rs"]
mod codec;
mod common;

use std::collections::BTreeMap;
use std::process::Command;

use codec::difference::{assert_explained, difference};
use codec::trials::{self, Test};
use codec::{seed, valid_message, vectors};
use common::skerry;
use ofproto::Message;
use ofproto::json::to_json;
use serde_json::Value;

/// Messages that are generated: the number that the project has promised. Each costs one start of `ovs-ofctl`; the
/// codec's own comparison, which needs one for all of them, takes more.
const GENERATED: u64 = 1_000;

const TESTS: [Test; 4] = [
    Test {
        name: "ofp_oracle::every_vector_is_one_line_of_json_and_the_same_bytes_again",
        asks_ovs: false,
        run: every_vector_is_one_line_of_json_and_the_same_bytes_again,
    },
    Test {
        name: "ofp_oracle::every_generated_message_is_one_line_of_json_and_the_same_bytes_again",
        asks_ovs: false,
        run: every_generated_message_is_one_line_of_json_and_the_same_bytes_again,
    },
    Test {
        name: "ofp_oracle::vectors_are_printed_as_open_vswitch_prints_them",
        asks_ovs: true,
        run: vectors_are_printed_as_open_vswitch_prints_them,
    },
    Test {
        name: "ofp_oracle::generated_messages_are_printed_as_open_vswitch_prints_them",
        asks_ovs: true,
        run: generated_messages_are_printed_as_open_vswitch_prints_them,
    },
];

fn main() {
    trials::run(TESTS);
}

/// A frame and what it is called when it fails.
struct Case {
    name: String,
    hex: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_vectors() -> Vec<Case> {
    let case = |vector: vectors::Vector| Case {
        name: vector.name,
        hex: hex(&vector.frame),
    };
    vectors::all().into_iter().map(case).collect()
}

fn generated() -> Vec<Case> {
    let case = |number| {
        let mut frame = bytes::BytesMut::new();
        let message = valid_message(number);
        message.encode(&mut frame).expect("a message that can be written");
        Case {
            name: format!("message {number} of seed {}", seed()),
            hex: hex(&frame),
        }
    };
    (0..GENERATED).map(case).collect()
}

/// What the command prints of each, in order. Between the lines of its input are others that are empty.
fn decoded(cases: &[Case]) -> Vec<Value> {
    let input: String = cases.iter().map(|case| format!("{}\n\n  \n", case.hex)).collect();
    let ran = skerry(&["ofp", "decode", "--reencode"], input.as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", errors(&ran.out));
    let object = |line: &str| serde_json::from_str(line).expect("an object a line");
    let objects: Vec<Value> = ran.out.lines().map(object).collect();
    assert_eq!(objects.len(), cases.len(), "one line for each that is not empty");
    objects
}

/// The lines that say what is malformed.
fn errors(out: &str) -> String {
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("{\"error\"")).collect();
    lines.join("\n")
}

/// The command prints what the codec says, and the bytes it was given; from what it printed it makes them again.
fn assert_same_bytes_again(cases: &[Case]) {
    let objects = decoded(cases);
    for (case, object) in cases.iter().zip(&objects) {
        assert_eq!(object["bytes"], Value::String(case.hex.clone()), "{}", case.name);
        let mut object = object.clone();
        object.as_object_mut().expect("an object a line").remove("bytes");
        let message = Message::decode(&bytes_of(&case.hex)).expect("the command has decoded it");
        assert_eq!(object, to_json(&message), "{}", case.name);
    }
    let input: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let ran = skerry(&["ofp", "encode"], input.as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(ran.out.lines().count(), cases.len());
    for (case, line) in cases.iter().zip(ran.out.lines()) {
        assert_eq!(line, case.hex, "{}", case.name);
    }
}

fn bytes_of(hex: &str) -> bytes::Bytes {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn every_vector_is_one_line_of_json_and_the_same_bytes_again() {
    assert_same_bytes_again(&from_vectors());
}

fn every_generated_message_is_one_line_of_json_and_the_same_bytes_again() {
    assert_same_bytes_again(&generated());
}

/// How those that differ do so, by name.
fn differences(cases: &[Case]) -> BTreeMap<String, String> {
    let differs = |(case, object): (&Case, Value)| {
        let out = Command::new("ovs-ofctl")
            .args(["-O", "OpenFlow13", "ofp-print", &case.hex])
            .output()
            .expect("ovs-ofctl starts");
        assert!(
            out.status.success(),
            "{}: {}",
            case.name,
            String::from_utf8_lossy(&out.stderr)
        );
        let how = difference(&object, &String::from_utf8_lossy(&out.stdout))?;
        Some((case.name.clone(), how))
    };
    cases.iter().zip(decoded(cases)).filter_map(differs).collect()
}

fn vectors_are_printed_as_open_vswitch_prints_them() {
    assert_explained(&differences(&from_vectors()));
}

fn generated_messages_are_printed_as_open_vswitch_prints_them() {
    let differ = differences(&generated());
    let told: Vec<String> = differ.iter().map(|(name, how)| format!("{name}: {how}")).collect();
    assert!(
        told.is_empty(),
        "{} of {GENERATED} differ:\n{}",
        told.len(),
        told.join("\n\n")
    );
}

//! An independent opinion: Open vSwitch's own printer reads the same bytes.
//!
//! For each annotated vector and 5,000 generated messages that a switch would take, what
//! `ovs-ofctl` prints and what our JSON says must be the same: type, transaction id, match
//! fields, actions and counts. The vectors that differ are those that `ovs-differs.md` names,
//! with the reason; the generated messages do not differ.
//!
//! Without `ovs-ofctl` there is nothing to compare with: `common/trials.rs` then skips.

mod common;

use bytes::{Bytes, BytesMut};
use common::difference::{assert_explained, difference};
use common::trials::Test;
use common::{seed, trials, valid_message, vectors};
use ofproto::json::to_json;
use ofproto::{Body, ErrorMsg, ErrorType, Message};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const TESTS: [Test; 3] = [
    Test {
        name: "ovs_oracle::generated_messages_say_the_same_to_open_vswitch",
        asks_ovs: true,
        run: generated_messages_say_the_same_to_open_vswitch,
    },
    Test {
        name: "ovs_oracle::vectors_say_the_same_to_open_vswitch",
        asks_ovs: true,
        run: vectors_say_the_same_to_open_vswitch,
    },
    Test {
        name: "ovs_oracle::every_error_has_the_same_name_to_open_vswitch",
        asks_ovs: true,
        run: every_error_has_the_same_name_to_open_vswitch,
    },
];

fn main() {
    trials::run(TESTS);
}

/// Messages that are generated.
const GENERATED: usize = 5_000;

/// The first transaction id of the barriers that stand between messages to tell them apart.
const BETWEEN: u32 = 0xfeed_0000;

/// What `ovs-ofctl` prints of each message.
fn print(folder: &Path, messages: &[Message]) -> Vec<String> {
    let mut stream = BytesMut::new();
    for (number, message) in (BETWEEN..).zip(messages) {
        Message::new(number, Body::BarrierRequest)
            .encode(&mut stream)
            .expect("a barrier");
        message.encode(&mut stream).expect("a message that can be written");
    }
    let file = folder.join("stream");
    std::fs::write(&file, &stream).expect("a writable folder");
    let out = Command::new("ovs-ofctl")
        .args(["-O", "OpenFlow13", "ofp-parse"])
        .arg(&file)
        .output();
    let out = out.expect("ovs-ofctl starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let barrier = |number: u32| format!("OFPT_BARRIER_REQUEST (OF1.3) (xid={number:#x}):\n");
    let mut rest = text.as_str();
    let mut printed = Vec::new();
    for (number, _) in (BETWEEN..).zip(messages) {
        let (before, after) = rest.split_once(&barrier(number)).expect("every barrier is printed");
        if number != BETWEEN {
            printed.push(before.to_owned());
        }
        rest = after;
    }
    printed.push(rest.to_owned());
    printed
}

/// A folder of this test's own, in the target folder.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

fn generated_messages_say_the_same_to_open_vswitch() {
    let messages: Vec<Message> = (0..GENERATED as u64).map(valid_message).collect();
    let printed = print(&folder("ovs_oracle_generated"), &messages);
    let mut differ = Vec::new();
    for (number, (message, printed)) in messages.iter().zip(&printed).enumerate() {
        if let Some(how) = difference(&to_json(message), printed) {
            differ.push(format!("message {number}, {}: {how}", message.kind()));
        }
    }
    assert!(
        differ.is_empty(),
        "{} of {GENERATED} differ with seed {}:\n{}",
        differ.len(),
        seed(),
        differ.join("\n\n")
    );
}

fn vectors_say_the_same_to_open_vswitch() {
    let vectors = vectors::all();
    let messages: Vec<Message> = vectors
        .iter()
        .map(|vector| Message::decode(&vector.frame).expect("every vector decodes"))
        .collect();
    let printed = print(&folder("ovs_oracle_vectors"), &messages);
    let mut differ = BTreeMap::new();
    for ((vector, message), printed) in vectors.iter().zip(&messages).zip(&printed) {
        if let Some(how) = difference(&to_json(message), printed) {
            differ.insert(vector.name.clone(), how);
        }
    }
    assert_explained(&differ);
}

fn every_error_has_the_same_name_to_open_vswitch() {
    let error = |kind: ErrorType, code| {
        Body::Error(ErrorMsg {
            kind,
            code,
            data: Bytes::new(),
        })
    };
    let named = |kind: &ErrorType, code: &u16| kind.code_name(*code).is_some();
    let all: Vec<(ErrorType, u16)> = ErrorType::NAMES
        .iter()
        .flat_map(|(kind, _)| (0..100).map(|code| (*kind, code)))
        .filter(|(kind, code)| named(kind, code))
        .collect();
    assert_eq!(all.len(), 111, "the codes of section 7.4.4");
    let messages: Vec<Message> = (1..)
        .zip(&all)
        .map(|(xid, (kind, code))| Message::new(xid, error(*kind, *code)))
        .collect();
    let printed = print(&folder("ovs_oracle_errors"), &messages);
    for (message, printed) in messages.iter().zip(&printed) {
        assert_eq!(difference(&to_json(message), printed), None);
    }
}

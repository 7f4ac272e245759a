//! An independent opinion: Open vSwitch's own printer reads the same bytes.
//!
//! For each annotated vector and 5,000 generated messages that a switch would take, what
//! `ovs-ofctl` prints and what our JSON says must be the same: type, transaction id, match
//! fields, actions and counts. The vectors that differ are those that `ovs-differs.md` names,
//! with the reason; the generated messages do not differ.
//!
//! Without `ovs-ofctl` there is nothing to compare with; the test says `SKIP`, and with
//! `SKERRY_REQUIRE_OVS=1` that is a failure.

mod common;

use bytes::{Bytes, BytesMut};
use common::generate::{Draw, Gen, noise};
use common::ovs_printed::theirs;
use common::ovs_text::{Facts, ours};
use common::{seed, vectors};
use ofproto::json::to_json;
use ofproto::{Body, ErrorMsg, ErrorType, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Command;

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

/// How one message differs, if it does: Open vSwitch's error, or the facts that are not equal.
fn difference(message: &Message, printed: &str) -> Option<String> {
    // What an error is about is printed too, and is often cut off: that is not this message.
    let about = matches!(message.body, Body::Error(_)) && printed.starts_with("OFPT_ERROR");
    let own = if about {
        printed.lines().next().unwrap_or_default()
    } else {
        printed
    };
    if let Some((_, error)) = own.split_once("***decode error: ") {
        let error = error.split("***").next().unwrap_or_default();
        return Some(format!("refused with {error}\n{}", to_json(message)));
    }
    let json = to_json(message);
    let ours: Facts = ours(&json);
    let theirs = theirs(printed, &ours);
    let unequal = |(ours, theirs): (&_, &_)| (ours != theirs).then(|| format!("{ours:?} is {theirs:?}"));
    let mut all: Vec<String> = ours.iter().zip(&theirs).filter_map(unequal).collect();
    if ours.len() != theirs.len() {
        all.push(format!(
            "{} facts are {}: {ours:?} {theirs:?}",
            ours.len(),
            theirs.len()
        ));
    }
    (!all.is_empty()).then(|| format!("{}\n{json}\n{printed}", all.join("\n")))
}

/// Whether the other opinion can be had. The line is written past the test program's own
/// capture, so that the runner sees it although the test passes.
fn installed(test: &str) -> bool {
    if Command::new("ovs-ofctl")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success())
    {
        return true;
    }
    let required = std::env::var_os("SKERRY_REQUIRE_OVS").is_some_and(|value| value == "1");
    assert!(
        !required,
        "ovs-ofctl is not installed and SKERRY_REQUIRE_OVS=1 asks for it"
    );
    let line = format!("SKIP ovs_oracle::{test}: ovs-ofctl is not installed\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
    false
}

/// A folder of this test's own, in the target folder.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

#[test]
fn generated_messages_say_the_same_to_open_vswitch() {
    if !installed("generated_messages_say_the_same_to_open_vswitch") {
        return;
    }
    println!("generated_messages_say_the_same_to_open_vswitch: seed {}", seed());
    let messages: Vec<Message> = (0..GENERATED as u64)
        .map(|number| Message::generate(&mut Draw::new(&noise(seed().wrapping_add(number << 32), 3_000), true)))
        .collect();
    let printed = print(&folder("ovs_oracle_generated"), &messages);
    let mut differ = Vec::new();
    for (number, (message, printed)) in messages.iter().zip(&printed).enumerate() {
        if let Some(how) = difference(message, printed) {
            differ.push(format!("message {number}, {}: {how}", message.kind()));
        }
    }
    assert!(
        differ.is_empty(),
        "{} of {GENERATED} differ:\n{}",
        differ.len(),
        differ.join("\n\n")
    );
}

/// The names of the vectors that `ovs-differs.md` speaks of.
fn explained() -> BTreeSet<String> {
    let text = include_str!("ovs-differs.md");
    let name = |line: &str| Some(line.strip_prefix("* `")?.split_once('`')?.0.to_owned());
    text.lines().filter_map(name).collect()
}

#[test]
fn vectors_say_the_same_to_open_vswitch() {
    if !installed("vectors_say_the_same_to_open_vswitch") {
        return;
    }
    let vectors = vectors::all();
    let messages: Vec<Message> = vectors
        .iter()
        .map(|vector| Message::decode(&vector.frame).expect("every vector decodes"))
        .collect();
    let printed = print(&folder("ovs_oracle_vectors"), &messages);
    let mut differ = BTreeMap::new();
    for ((vector, message), printed) in vectors.iter().zip(&messages).zip(&printed) {
        if let Some(how) = difference(message, printed) {
            differ.insert(vector.name.clone(), how);
        }
    }
    let explained = explained();
    let news: Vec<String> = differ
        .iter()
        .filter(|(name, _)| !explained.contains(*name))
        .map(|(name, how)| format!("{name}: {how}"))
        .collect();
    assert!(
        news.is_empty(),
        "not explained in ovs-differs.md:\n{}",
        news.join("\n\n")
    );
    let olds: Vec<&String> = explained.iter().filter(|name| !differ.contains_key(*name)).collect();
    assert!(olds.is_empty(), "explained in ovs-differs.md and equal: {olds:?}");
}

#[test]
fn every_error_has_the_same_name_to_open_vswitch() {
    if !installed("every_error_has_the_same_name_to_open_vswitch") {
        return;
    }
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
        assert_eq!(difference(message, printed), None);
    }
}

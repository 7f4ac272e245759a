//! An independent opinion: Open vSwitch's own printer reads the same bytes.
//!
//! For each annotated vector and 5,000 generated messages that a switch would take, what
//! `ovs-ofctl` prints and what our JSON says must be the same: type, transaction id, match
//! fields, actions and counts. The vectors that differ are those that `ovs-differs.md` names,
//! with the reason; the generated messages do not differ.
//!
//! 40,000 frames with one thing wrong (`common/mutate.rs`) are judged too. Whether a frame is
//! taken, with which error it is refused, and the values of what both take must be the same, or
//! of a kind that `ovs-differs.md` explains and `common/ovs_kinds.rs` recognises. What we say is
//! what `Message::decode` and then `Message::validate` say.
//!
//! Without `ovs-ofctl` there is nothing to compare with: `common/trials.rs` then skips.

mod common;

use bytes::{Bytes, BytesMut};
use common::difference::{assert_explained, difference, explained};
use common::judgement::Case;
use common::mutate::{Mutant, mutant};
use common::ovs_kinds::{KINDS, Kind};
use common::trials::Test;
use common::{seed, trials, valid_message, vectors};
use ofproto::json::to_json;
use ofproto::{Body, BundleFailedCode, ErrorMsg, ErrorType, Message, VERSION_1_3, VERSION_1_4};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const TESTS: [Test; 5] = [
    Test {
        name: "ovs_oracle::every_kind_of_disagreement_is_explained_and_still_there",
        asks_ovs: true,
        run: every_kind_of_disagreement_is_explained_and_still_there,
    },
    Test {
        name: "ovs_oracle::mutated_frames_are_judged_as_open_vswitch_judges_them",
        asks_ovs: true,
        run: mutated_frames_are_judged_as_open_vswitch_judges_them,
    },
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

/// Frames that are mutated.
const MUTANTS: u64 = 40_000;

/// The first transaction id of the barriers that stand between messages to tell them apart.
const BETWEEN: u32 = 0xfeed_0000;

/// What `ovs-ofctl` prints of each message.
fn print(folder: &Path, messages: &[Message]) -> Vec<String> {
    let frame = |message: &Message| message.to_bytes().expect("a message that can be written");
    print_frames(folder, &messages.iter().map(frame).collect::<Vec<_>>())
}

/// What `ovs-ofctl` prints of each frame.
fn print_frames(folder: &Path, frames: &[Bytes]) -> Vec<String> {
    let mut stream = BytesMut::new();
    for (number, frame) in (BETWEEN..).zip(frames) {
        Message::new(number, Body::BarrierRequest)
            .encode(&mut stream)
            .expect("a barrier");
        stream.extend_from_slice(frame);
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
    for (number, _) in (BETWEEN..).zip(frames) {
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
    assert_eq!(all.len(), 111 + 16, "the codes of section 7.4.4 and those of bundles");
    let mut messages: Vec<Message> = (1..)
        .zip(&all)
        .map(|(xid, (kind, code))| Message::new(xid, error(*kind, *code)))
        .collect();
    for message in &mut messages {
        if matches!(&message.body, Body::Error(error) if error.kind == ErrorType::BUNDLE_FAILED) {
            message.version = VERSION_1_4;
        }
    }
    messages.extend((1_000..).zip(BundleFailedCode::NAMES).map(|(xid, (code, _))| {
        let error = ErrorMsg::of_bundle(VERSION_1_3, *code, &[]);
        Message::new(xid, Body::Error(error))
    }));
    let printed = print(&folder("ovs_oracle_errors"), &messages);
    for (message, printed) in messages.iter().zip(&printed) {
        assert_eq!(difference(&to_json(message), printed), None);
    }
}

fn mutated_frames_are_judged_as_open_vswitch_judges_them() {
    let mut vectors = vectors::all();
    let differ = explained();
    vectors.retain(|vector| !differ.contains(&vector.name));
    let mutants: Vec<_> = (0..MUTANTS).map(|number| mutant(number, &vectors)).collect();
    let frames: Vec<Bytes> = mutants.iter().map(|mutant| mutant.frame.clone()).collect();
    let printed = print_frames(&folder("ovs_oracle_mutants"), &frames);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    let mut agreed = 0;
    for (mutant, printed) in mutants.into_iter().zip(&printed) {
        let case = Case::new(mutant, printed);
        if case.agrees() {
            agreed += 1;
            continue;
        }
        let added = case.added();
        let is = |kind: &&Kind| (kind.is)(&case) || added.as_ref().is_some_and(kind.is);
        let mut of = KINDS.iter().filter(is).peekable();
        if of.peek().is_none() {
            unexplained.push(case.words());
        }
        of.for_each(|kind| *seen.entry(kind.name).or_default() += 1);
    }
    println!("{agreed} of {MUTANTS} agree; of each kind of disagreement: {seen:?}");
    assert!(
        unexplained.is_empty(),
        "{} of {MUTANTS} differ in a way that ovs-differs.md does not explain, with seed {}:\n{}",
        unexplained.len(),
        seed(),
        unexplained.join("\n\n")
    );
}

/// The kinds that `ovs-differs.md` explains, and of each a frame on which we differ.
fn witnesses() -> BTreeMap<&'static str, Bytes> {
    let mut all: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut kind = None;
    for line in include_str!("ovs-differs.md").lines() {
        if line.starts_with('#') {
            kind = line.strip_prefix("### ");
        } else if let (Some(kind), Some(hex)) = (kind, line.strip_prefix("    ")) {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
            all.entry(kind).or_default().extend((0..hex.len()).step_by(2).map(byte));
        }
    }
    all.into_iter().map(|(kind, frame)| (kind, frame.into())).collect()
}

fn every_kind_of_disagreement_is_explained_and_still_there() {
    let witnesses = witnesses();
    let known: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(known, witnesses.keys().copied().collect());
    let frames: Vec<Bytes> = witnesses.values().cloned().collect();
    let printed = print_frames(&folder("ovs_oracle_witnesses"), &frames);
    for ((name, frame), printed) in witnesses.into_iter().zip(&printed) {
        let witness = Mutant {
            frame,
            how: format!("the witness of {name}"),
            strange: true,
        };
        let case = Case::new(witness, printed);
        assert!(
            !case.agrees(),
            "{name} is explained in ovs-differs.md and equal: {}",
            case.words()
        );
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == name)
            .expect("a kind of this name");
        assert!((kind.is)(&case), "{name} is not recognised: {}", case.words());
    }
}

//! The hostile corpus through the decoder: nothing panics, nothing is believed that lies,
//! no frame takes much memory, and every refusal says where, what and what to answer.

mod common;

use allocation_counter::measure;
use bytes::Bytes;
use common::corpus::{Harm, harmed};
use common::corpus_full::{full, nested};
use common::laws::{json_law, judge, use_law};
use common::vectors::{self, Vector};
use ofproto::*;
use std::collections::{BTreeMap, BTreeSet};

/// What decoding a frame may take in memory, at its peak, for each byte of the frame. The
/// worst is the id of an instruction or action in table features: 4 bytes there and 40
/// here, in a list that may have room for twice as many and that, while it grows, has its
/// old room as well. What was measured is printed below: 15.
const MEMORY_PER_BYTE: u64 = 32;

/// And for the frame as a whole: boxes and small lists.
const MEMORY_PER_FRAME: u64 = 2_048;

/// Allocations for each 4 bytes of a frame, the least that anything repeated takes. Each
/// step of the decoder that is not one over bytes already counted allocates or ends.
const ALLOCATIONS_PER_WORD: u64 = 1;

/// Decodes with the memory counted, then judges.
fn hold(name: &str, what: &dyn std::fmt::Display, frame: &Bytes) -> Result<Message, DecodeError> {
    let len = frame.len() as u64;
    let used = measure(|| drop(Message::decode(frame)));
    assert!(
        used.bytes_max <= len * MEMORY_PER_BYTE + MEMORY_PER_FRAME,
        "{name}, {what}: {len} bytes: {used:?}"
    );
    assert!(
        used.count_total <= len / 4 * ALLOCATIONS_PER_WORD + 16,
        "{name}, {what}: {len} bytes: {used:?}"
    );
    // What fails in there does not know what it was given.
    let judged = std::panic::catch_unwind(|| judge(frame).inspect(use_law));
    judged.unwrap_or_else(|_| panic!("{name}, {what}: {frame:02x?}"))
}

/// In which way a length lied, and what it said.
fn lie(cause: &DecodeCause) -> Option<(Lie, usize)> {
    match cause {
        DecodeCause::TooShort { said, .. } => Some((Lie::Short, *said)),
        DecodeCause::PastEnd { said, .. } => Some((Lie::Long, *said)),
        DecodeCause::NotMultiple { said, .. } => Some((Lie::Uneven, *said)),
        DecodeCause::WrongLength { said, .. }
        | DecodeCause::OxmLength { said, .. }
        | DecodeCause::OxmMask { said, .. } => Some((Lie::Wrong, *said)),
        _ => None,
    }
}

/// How a length can lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lie {
    /// Less than the structure itself.
    Short,
    /// More than there is.
    Long,
    /// No multiple of 8.
    Uneven,
    /// Not what it must be.
    Wrong,
}

/// A length that says nothing, 1, and more than there is.
const LIES: &[(Lie, usize)] = &[(Lie::Short, 0), (Lie::Short, 1), (Lie::Long, 0xfff8)];

/// Structures with a length of their own, and whether it must be a multiple of 8.
const WITH_LENGTH: &[(&str, bool)] = &[
    ("ofp_header", false),
    ("ofp_hello_elem_header", false),
    ("ofp_match", false),
    ("ofp_instruction", true),
    ("ofp_action_header", true),
    ("ofp_bucket", true),
    ("ofp_meter_band_header", true),
    ("ofp_flow_stats", true),
    ("ofp_group_stats", true),
    ("ofp_group_desc", true),
    ("ofp_meter_stats", true),
    ("ofp_meter_config", true),
    ("ofp_packet_queue", false),
    ("ofp_queue_prop_header", false),
    ("ofp_table_features", true),
    ("ofp_table_feature_prop_header", false),
    ("ofp_bundle_add_msg", false),
    ("ofp_bundle_prop_header", false),
];

/// What can be of a type that nobody defined and is kept then.
const UNKNOWN: &[&str] = &[
    "message",
    "hello element",
    "match field",
    "instruction",
    "action",
    "meter band",
    "queue property",
    "multipart request",
    "multipart reply",
    "table property",
    "bundle property",
];

/// Which of them a message has.
fn unknown_in(message: &Message) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut note = |what, is: bool| {
        if is {
            found.push(what);
        }
    };
    match &message.body {
        Body::Unknown { .. } => note("message", true),
        Body::Hello(hello) => {
            let is = |element: &HelloElement| matches!(element, HelloElement::Unknown { .. });
            note("hello element", hello.elements.iter().any(is));
        }
        Body::FlowMod(rule) => {
            note(
                "match field",
                rule.matching.iter().any(|oxm| oxm.field().name().is_none()),
            );
            for instruction in &rule.instructions {
                note("instruction", matches!(instruction, Instruction::Unknown { .. }));
                if let Instruction::ApplyActions(actions) = instruction {
                    let is = |action: &Action| matches!(action, Action::Unknown { .. });
                    note("action", actions.iter().any(is));
                }
            }
        }
        Body::MeterMod(meter) => {
            let is = |band: &MeterBand| matches!(band, MeterBand::Unknown { .. });
            note("meter band", meter.bands.iter().any(is));
        }
        Body::QueueGetConfigReply(reply) => {
            let is = |property: &QueueProp| matches!(property, QueueProp::Unknown { .. });
            let queues = &reply.queues;
            note(
                "queue property",
                queues.iter().flat_map(|queue| &queue.properties).any(is),
            );
        }
        Body::BundleControl(BundleControl { properties, .. }) | Body::BundleAdd(BundleAdd { properties, .. }) => {
            let is = |property: &BundleProp| matches!(property, BundleProp::Unknown { .. });
            note("bundle property", properties.iter().any(is));
        }
        Body::MultipartRequest(request) => match &request.body {
            MultipartRequestBody::Unknown { .. } => note("multipart request", true),
            MultipartRequestBody::TableFeatures(tables) => {
                let is = |property: &TableFeatureProp| matches!(property.body, TableFeatureBody::Unknown(_));
                note(
                    "table property",
                    tables.iter().flat_map(|table| &table.properties).any(is),
                );
            }
            _ => {}
        },
        Body::MultipartReply(reply) => {
            note(
                "multipart reply",
                matches!(reply.body, MultipartReplyBody::Unknown { .. }),
            );
        }
        _ => {}
    }
    found
}

#[test]
fn no_frame_of_the_hostile_corpus_is_believed_where_it_lies() {
    let (mut tried, mut refused) = (0_u32, 0_u32);
    let mut unknown = BTreeSet::new();
    // Structure to the lies that were refused in it.
    let mut seen: BTreeMap<&'static str, BTreeSet<(Lie, usize)>> = BTreeMap::new();
    let nested = Vector {
        name: "three bundles in one another".into(),
        frame: nested(3).0,
        says: Vec::new(),
    };
    for vector in vectors::all().into_iter().chain([nested]) {
        harmed(&vector, &mut |harm, frame| {
            tried += 1;
            let judged = hold(&vector.name, &harm, &frame);
            if let (Harm::Cut(_) | Harm::Longer { said: false, .. }, Ok(message)) = (harm, &judged) {
                panic!("{}, {harm}: believed as {message:?}", vector.name);
            }
            if let Ok(message) = &judged {
                unknown.extend(unknown_in(message));
            }
            if let Err(error) = judged {
                refused += 1;
                if let (Harm::Word { at, value }, Some((lie, said))) = (harm, lie(&error.cause))
                    && said == usize::from(value)
                    // Too much of it is refused as too much; alone, no multiple of 8 is less.
                    && (lie != Lie::Uneven || vector.frame[at..at + 2] > value.to_be_bytes()[..])
                {
                    seen.entry(error.structure).or_default().insert((lie, said));
                }
            }
        });
    }
    println!("hostile corpus: {tried} frames, {refused} refused");
    assert!(tried >= 20_000, "{tried}");
    for (structure, eights) in WITH_LENGTH {
        let seen = seen.remove(structure).unwrap_or_default();
        let believed: Vec<_> = LIES.iter().filter(|lie| !seen.contains(lie)).collect();
        assert!(
            believed.is_empty(),
            "{structure}: not refused: {believed:?}, only {seen:?}"
        );
        let uneven = seen.iter().any(|(lie, _)| *lie == Lie::Uneven);
        assert_eq!(uneven, *eights, "{structure}: {seen:?}");
    }
    println!("and in: {:?}", seen.keys());
    let missed: Vec<_> = UNKNOWN.iter().filter(|what| !unknown.contains(*what)).collect();
    assert!(missed.is_empty(), "none of unknown type was kept: {missed:?}");
}

#[test]
fn a_frame_full_of_the_smallest_elements_takes_little_memory() {
    let frames = full();
    let most = frames.iter().map(|(name, frame)| {
        let used = measure(|| drop(Message::decode(frame)));
        (used.bytes_max / frame.len() as u64, name)
    });
    println!("most memory for a byte: {:?}", most.max());
    for (name, frame) in &frames {
        let message = hold(name, &"full", frame).unwrap_or_else(|error| panic!("{name}: {error}"));
        json_law(&message);
        // The last element is cut, and one element says that it is the rest of the frame.
        for less in [1, 2, 4, 7, 8, 12] {
            let short = common::corpus::with_true_length(frame[..frame.len() - less].to_vec());
            drop(hold(name, &format!("{less} bytes less"), &short));
        }
    }
}

#[test]
fn a_bundle_in_a_bundle_is_read_one_level_at_a_time_to_the_last_byte() {
    let (frame, depth) = nested(usize::MAX);
    println!("{depth} bundles in one another");
    assert!(depth > 2_000, "{depth}");
    let mut message = hold("nested bundles", &depth, &frame).expect("each is a whole message");
    json_law(&message);
    let mut levels = 0;
    while let Body::BundleAdd(add) = &message.body {
        levels += 1;
        message = add
            .decode_message()
            .unwrap_or_else(|error| panic!("level {levels}: {error}"));
    }
    assert_eq!((levels, message.body), (depth, Body::BarrierRequest));
}

#[test]
fn a_reply_that_never_ends_is_given_up_within_its_limits() {
    const LIMITS: ReassemblyLimits = ReassemblyLimits {
        replies_max: 2,
        parts_max: 500,
        bytes_max: 1 << 18,
    };
    let mut kinds = BTreeSet::new();
    for vector in vectors::all() {
        let Ok(mut message) = Message::decode(&vector.frame) else {
            panic!("{}", vector.name);
        };
        let Body::MultipartReply(reply) = &mut message.body else {
            continue;
        };
        reply.flags = MultipartReplyFlags::MORE;
        kinds.insert(reply.body.kind());
        let part = message.to_bytes().expect("only a flag is different");
        let (mut framer, mut replies) = (Framer::new(), Reassembly::new(LIMITS));
        let mut refused = Vec::new();
        let used = measure(|| {
            for _ in 0..2 * LIMITS.parts_max {
                framer.push(&part);
                let frame = framer.next_frame().expect("a true length").expect("a whole frame");
                let Ok(Message {
                    xid,
                    body: Body::MultipartReply(reply),
                    ..
                }) = Message::decode(&frame)
                else {
                    panic!("{}", vector.name);
                };
                match replies.accept(xid, reply, frame.len()) {
                    Ok(None) => assert!(refused.is_empty(), "{}: begun again", vector.name),
                    Ok(Some(whole)) => panic!("{}: ended as {whole:?}", vector.name),
                    Err(error) => refused.push(error),
                }
                assert!(replies.bytes() <= LIMITS.bytes_max && replies.replies() <= LIMITS.replies_max);
            }
        });
        let first = refused.first().copied();
        assert!(
            matches!(
                first,
                Some(ReassemblyError::Parts | ReassemblyError::Bytes | ReassemblyError::NotAList)
            ),
            "{}: {first:?}",
            vector.name
        );
        let rest = refused.get(1..).unwrap_or_default();
        assert!(
            rest.iter().all(|error| *error == ReassemblyError::GivenUp),
            "{}",
            vector.name
        );
        assert!(
            used.bytes_max < LIMITS.bytes_max as u64 * MEMORY_PER_BYTE,
            "{}: {used:?}",
            vector.name
        );
        assert!(used.bytes_current < 1 << 16, "{}: {used:?}", vector.name);
    }
    let all = MultipartType::NAMES.iter().filter(|(kind, _)| !kinds.contains(kind));
    assert_eq!(all.count(), 0, "only {kinds:?}");
}

/// A decoder that passes over a field would obey the law of bytes if what it writes in its
/// place is zero. The people who wrote the vectors say which bytes mean nothing.
#[test]
fn what_is_passed_over_is_what_the_vectors_call_padding() {
    let mut passed_over = 0;
    for vector in vectors::all() {
        let message = Message::decode(&vector.frame).expect("every vector decodes");
        for (at, says) in vector.says.iter().enumerate() {
            for flip in [0x01, 0x80, 0xff] {
                let mut other = vector.frame.to_vec();
                other[at] ^= flip;
                if Message::decode(&other.into()).as_ref() == Ok(&message) {
                    passed_over += 1;
                    assert!(says.contains("pad"), "{}: byte {at}: {says}", vector.name);
                }
            }
        }
    }
    assert!(passed_over > 100, "{passed_over}");
}

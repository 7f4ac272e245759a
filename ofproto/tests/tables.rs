//! The tables of kinds, held against what is read and written.

mod common;

use bytes::Bytes;
use common::generate::messages::{KINDS, body};
use common::generate::{Draw, Gen, noise};
use ofproto::*;
use std::collections::BTreeSet;

/// Frames of generated bodies of every kind of message.
fn frames() -> impl Iterator<Item = (Message, Bytes)> {
    (0..KINDS * 60).map(|number| {
        let entropy = noise(number as u64, 900);
        let mut message = Message::new(1, body(number % KINDS, &mut Draw::new(&entropy, false)));
        if matches!(message.body, Body::BundleControl(_) | Body::BundleAdd(_)) {
            message.version = VERSION_1_4;
        }
        let frame = message.to_bytes().expect("what is drawn can be written");
        (message, frame)
    })
}

#[test]
fn a_message_has_a_length_that_its_row_allows_and_no_other() {
    for (row, (kind, name)) in MESSAGE_TABLE.iter().zip(MessageType::NAMES) {
        assert_eq!((row.kind, row.name), (*kind, *name));
        assert_eq!(row.section.is_empty(), row.version != VERSION_1_3, "{name}");
        let least = row.length.least();
        // Shorter ones, of zeros and of what is sent.
        for length in 8..least {
            let mut short = vec![row.version, row.kind.0, 0, 0, 0, 0, 0, 1];
            short.resize(usize::from(length), 0);
            short[2..4].copy_from_slice(&length.to_be_bytes());
            assert!(Message::decode(&short.into()).is_err(), "{name} of {length} bytes");
        }
    }
    for (message, frame) in frames() {
        let row = MESSAGE_TABLE
            .iter()
            .find(|row| row.kind == message.kind())
            .expect("every kind has a row");
        let length = frame.len() as u16;
        assert!(row.length.allows(length), "{message:?}");
        let mut cut = frame[..usize::from(row.length.least()) - 1].to_vec();
        let said = (cut.len() as u16).to_be_bytes();
        if cut.len() >= 8 {
            cut[2..4].copy_from_slice(&said);
        }
        assert!(Message::decode(&cut.into()).is_err(), "{message:?} cut below its least");
        if let StructureLength::Exactly(_) = row.length {
            let mut longer = frame.to_vec();
            longer.push(0);
            longer[2..4].copy_from_slice(&(length + 1).to_be_bytes());
            let error = Message::decode(&longer.into()).expect_err("one byte more");
            assert_eq!(error.structure, row.structure);
        }
    }
}

/// What the tables of actions, instructions, bands and properties share: one element of this
/// kind and this many bytes, all zero, stands in a message; the error it makes, if one.
fn check<K: Copy + std::fmt::Debug>(table: &[KindRow<K>], number: impl Fn(K) -> u16, read: impl Fn(&[u8]) -> Bytes) {
    for row in table {
        for length in [0, 8, 16, 24, 32, 40] {
            let mut element = [number(row.kind).to_be_bytes(), u16::to_be_bytes(length)].concat();
            element.resize(usize::from(length).max(8), 0);
            let result = Message::decode(&read(&element));
            if row.length.allows(length) {
                // What it carries may still be wrong, such as a field of no known width.
                if let Err(error) = &result {
                    assert_eq!(row.structure, error.structure, "{row:?} of {length} bytes: {error}");
                    assert_eq!(
                        row.length,
                        StructureLength::AtLeast(8),
                        "{row:?} of {length} bytes: {error}"
                    );
                }
                continue;
            }
            let error = result.expect_err(row.name);
            let exact = matches!(row.length, StructureLength::Exactly(_));
            // A length that no element of the list can have is told of the list's element.
            if exact && length >= 16 {
                assert_eq!(error.structure, row.structure, "{length} bytes");
                let must = usize::from(row.length.least());
                let said = usize::from(length);
                assert_eq!(error.cause, DecodeCause::WrongLength { said, must }, "{row:?}");
            }
        }
    }
}

fn frame(kind: MessageType, parts: &[&[u8]]) -> Bytes {
    let body = parts.concat();
    let length = (8 + body.len()) as u16;
    [&[4, kind.0][..], &length.to_be_bytes(), &[0, 0, 0, 1], &body]
        .concat()
        .into()
}

#[test]
fn an_action_has_the_structure_and_the_length_of_its_row() {
    assert_eq!(ACTION_TABLE.len(), ActionType::NAMES.len());
    check(
        ACTION_TABLE,
        |kind| kind.0,
        |action| {
            let length = (action.len() as u16).to_be_bytes();
            frame(MessageType::PACKET_OUT, &[&[0xff; 8], &length, &[0; 6], action])
        },
    );
}

#[test]
fn an_instruction_has_the_structure_and_the_length_of_its_row() {
    assert_eq!(INSTRUCTION_TABLE.len(), InstructionType::NAMES.len());
    // With a body of zeros they have an action of length 0 in them.
    let lists = [InstructionType::WRITE_ACTIONS, InstructionType::APPLY_ACTIONS];
    let plain: Vec<_> = INSTRUCTION_TABLE
        .iter()
        .filter(|row| !lists.contains(&row.kind))
        .copied()
        .collect();
    check(
        &plain,
        |kind| kind.0,
        |instruction| {
            let matching = [0, 1, 0, 4, 0, 0, 0, 0];
            frame(MessageType::FLOW_MOD, &[&[0; 40], &matching, instruction])
        },
    );
}

#[test]
fn a_band_and_a_property_have_the_structure_and_the_length_of_their_rows() {
    check(
        METER_BAND_TABLE,
        |kind| kind.0,
        |band| frame(MessageType::METER_MOD, &[&[0; 8], band]),
    );
    check(
        QUEUE_PROP_TABLE,
        |kind| kind.0,
        |property| {
            let length = (16 + property.len() as u16).to_be_bytes();
            frame(
                MessageType::QUEUE_GET_CONFIG_REPLY,
                &[&[0; 8], &[0; 8], &length, &[0; 6], property],
            )
        },
    );
}

#[test]
fn what_is_drawn_has_the_length_of_its_row() {
    for number in 0..2_000 {
        let entropy = noise(number, 200);
        let action = Action::generate(&mut Draw::new(&entropy, false));
        let Some(row) = ACTION_TABLE.iter().find(|row| row.kind == action.kind()) else {
            continue;
        };
        let packet = Body::PacketOut(PacketOut::new(vec![action.clone()], Bytes::new()));
        let bytes = Message::new(1, packet)
            .to_bytes()
            .expect("what is drawn can be written");
        assert!(row.length.allows((bytes.len() - 24) as u16), "{action:?}");
    }
}

/// A multipart message of this type that carries this.
fn multipart(message: MessageType, kind: MultipartType, body: &[u8]) -> Bytes {
    frame(message, &[&kind.0.to_be_bytes(), &[0; 6], body])
}

/// Bytes of the message's header and of what every multipart message has.
const MULTIPART: usize = 16;

/// What the body of one side of a row is, held against a body with as little in it as can be
/// (one element, if there are any) and against what is drawn.
fn check_content(content: MultipartContent, message: MessageType, kind: MultipartType, least: &[u8], drawn: &[Bytes]) {
    let read = |body: &[u8]| Message::decode(&multipart(message, kind, body));
    let (structure, length) = match content {
        MultipartContent::Empty => {
            assert!(least.is_empty() && read(least).is_ok(), "{kind}");
            assert!(read(&[0]).is_err(), "{kind}: a byte where nothing is");
            return;
        }
        MultipartContent::One(structure, length) | MultipartContent::Each(structure, length) => (structure, length),
    };
    assert_eq!(least.len(), usize::from(length.least()), "{kind}, {structure}");
    read(least).expect("what was written is read");
    for cut in 1..least.len() {
        let error = read(&least[..cut]).expect_err("cut below its least");
        // One structure reads both requests, and the shortest cut is of nothing inside of it.
        if cut == 1 && structure != "ofp_aggregate_stats_request" {
            assert_eq!(error.structure, structure, "{kind}");
        }
    }
    let each = matches!(content, MultipartContent::Each(..));
    assert_eq!(read(&[]).is_ok(), each, "{kind} without any");
    if let StructureLength::Exactly(_) = length {
        assert!(read(&[least, &[0]].concat()).is_err(), "{kind} with a byte more");
        assert_eq!(read(&least.repeat(2)).is_ok(), each, "{kind} twice");
    } else {
        assert!(
            drawn.iter().any(|body| body.len() > least.len()),
            "{kind} is never longer"
        );
    }
    for body in drawn {
        assert!(length.allows(body.len() as u16), "{kind} of {} bytes", body.len());
    }
}

#[test]
fn a_multipart_message_carries_what_its_row_says() {
    let named: Vec<_> = MULTIPART_TABLE.iter().map(|row| (row.kind, row.name)).collect();
    assert_eq!(named, MultipartType::NAMES);
    let bytes = |body: Body| -> Bytes {
        let frame = Message::new(1, body).to_bytes().expect("what is drawn can be written");
        frame.slice(MULTIPART..)
    };
    let request = |body| bytes(Body::MultipartRequest(MultipartRequest::new(body)));
    let reply = |body| bytes(Body::MultipartReply(MultipartReply::new(body)));
    let (mut requests, mut replies) = (BTreeSet::new(), BTreeSet::new());
    for which in 0..MULTIPART_TABLE.len() as u8 {
        // Which type and one element; then zeros, or anything.
        let entropy = |number| [&[0, which, 0, 1][..], &noise(number, 400)].concat();
        let row = |kind| MULTIPART_TABLE.iter().find(|row| row.kind == kind).expect("a row");
        let least = MultipartRequestBody::generate(&mut Draw::new(&entropy(0)[..4], false));
        let drawn: Vec<_> = (0..200)
            .map(|number| request(Gen::generate(&mut Draw::new(&entropy(number), false))))
            .collect();
        let (kind, row_of) = (least.kind(), row(least.kind()));
        check_content(
            row_of.request,
            MessageType::MULTIPART_REQUEST,
            kind,
            &request(least),
            &drawn,
        );
        requests.insert(kind);
        let least = MultipartReplyBody::generate(&mut Draw::new(&entropy(0)[..4], false));
        let drawn: Vec<_> = (0..200)
            .map(|number| reply(Gen::generate(&mut Draw::new(&entropy(number), false))))
            .collect();
        let (kind, row_of) = (least.kind(), row(least.kind()));
        check_content(row_of.reply, MessageType::MULTIPART_REPLY, kind, &reply(least), &drawn);
        replies.insert(kind);
    }
    let all: BTreeSet<_> = MULTIPART_TABLE.iter().map(|row| row.kind).collect();
    assert_eq!((&requests, &replies), (&all, &all));
}

#[test]
fn a_property_of_a_table_has_the_structure_and_the_length_of_its_row() {
    let named: Vec<_> = TABLE_FEATURE_PROP_TABLE
        .iter()
        .map(|row| (row.kind, row.name))
        .collect();
    assert_eq!(named, TableFeaturePropType::NAMES);
    for row in TABLE_FEATURE_PROP_TABLE {
        let least = row.length.least();
        // The property alone in a table of 64 bytes, of zeros and padded to eight.
        let read = |said: u16, behind: &[u8]| {
            let mut property = [row.kind.0.to_be_bytes(), said.to_be_bytes()].concat();
            property.extend_from_slice(behind);
            property.resize(usize::from(said).max(4).next_multiple_of(8), 0);
            let length = (64 + property.len() as u16).to_be_bytes();
            let table = [&length[..], &[0; 62], &property].concat();
            let frame = multipart(MessageType::MULTIPART_REPLY, MultipartType::TABLE_FEATURES, &table);
            Message::decode(&frame).map(|message| (message, frame))
        };
        for said in 0..least {
            let error = read(said, &[]).expect_err(row.name);
            if said >= 4 {
                assert_eq!(error.structure, row.structure, "{row:?} of {said} bytes");
            }
        }
        let (message, frame) = read(least, &[]).expect(row.name);
        assert_eq!(message.to_bytes().expect("what was read"), frame, "{row:?}");
        let Body::MultipartReply(reply) = &message.body else {
            panic!("{message:?}");
        };
        let MultipartReplyBody::TableFeatures(tables) = &reply.body else {
            panic!("{message:?}");
        };
        let structure = match &tables[0].properties[0].body {
            TableFeatureBody::Instructions(_) => "ofp_table_feature_prop_instructions",
            TableFeatureBody::NextTables(_) => "ofp_table_feature_prop_next_tables",
            TableFeatureBody::Actions(_) => "ofp_table_feature_prop_actions",
            TableFeatureBody::Oxms(_) => "ofp_table_feature_prop_oxm",
            TableFeatureBody::Experimenter { .. } => "ofp_table_feature_prop_experimenter",
            TableFeatureBody::Unknown(_) => "none of the specification's",
        };
        assert_eq!(structure, row.structure, "{row:?}");
        // Four more: an element of each list, as what follows the header of any.
        let element: &[u8] = match row.length.least() {
            4 => &[0, 0, 0, 4],
            _ => &[0; 12],
        };
        assert!(row.length.allows(least + 4));
        read(least + 4, element).expect(row.name);
    }
}

//! The laws of the codec, over generated values and over bytes that were tampered with.

mod common;

use bytes::Bytes;
use common::generate::messages::{KINDS, body};
use common::generate::{Draw, Gen};
use common::laws::{judge, value_law};
use common::{runner, vectors};
use ofproto::{Body, Framer, Message, MessageType, MultipartReplyBody, MultipartRequestBody};
use proptest::prelude::*;

#[test]
fn what_is_encoded_decodes_to_the_same_value() {
    let entropy = proptest::collection::vec(any::<u8>(), 0..2_000);
    let mut runner = runner("what_is_encoded_decodes_to_the_same_value", 4_000);
    runner
        .run(&entropy, |bytes| {
            value_law(&Message::generate(&mut Draw::new(&bytes, false)));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_kind_of_message_obeys_the_laws() {
    let entropy = proptest::collection::vec(any::<u8>(), 0..2_000);
    for kind in 0..=KINDS {
        let mut runner = runner(&format!("every_kind_of_message_obeys_the_laws, type {kind}"), 100);
        runner
            .run(&entropy, |bytes| {
                let message = Message::new(7, body(kind, &mut Draw::new(&bytes, false)));
                assert_eq!(judge(&value_law(&message)).as_ref(), Ok(&message));
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn what_is_accepted_is_written_as_it_came() {
    let entropy = proptest::collection::vec(any::<u8>(), 0..600);
    let tampering = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let mut runner = runner("what_is_accepted_is_written_as_it_came", 6_000);
    runner
        .run(&(entropy, tampering), |(bytes, tampering)| {
            let mut frame = value_law(&Message::generate(&mut Draw::new(&bytes, false))).to_vec();
            for (at, value) in tampering {
                let at = at.index(frame.len());
                // The length of the whole is what the framer cut by; it stays true.
                if !(2..4).contains(&at) {
                    frame[at] = value;
                }
            }
            // Accepted or refused, the laws hold.
            drop(judge(&frame.into()));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_vector_decodes_and_encodes_to_itself() {
    for vector in vectors::all() {
        let message = match Message::decode(&vector.frame) {
            Ok(message) => message,
            Err(error) => panic!("{}: {error}", vector.name),
        };
        assert_eq!(value_law(&message), vector.frame, "{}: {message:?}", vector.name);
    }
}

#[test]
fn every_kind_of_message_has_a_vector() {
    let mut missing: Vec<String> = MessageType::NAMES.iter().map(|(_, name)| (*name).to_owned()).collect();
    let multipart = |way: &'static str| {
        ofproto::MultipartType::NAMES
            .iter()
            .map(move |(_, name)| format!("{way} {name}"))
    };
    missing.extend(multipart("request"));
    missing.extend(multipart("reply"));
    for vector in vectors::all() {
        let message = Message::decode(&vector.frame).expect("every vector decodes");
        let name = match &message.body {
            Body::MultipartRequest(request) => format!("request {}", request.body.kind()),
            Body::MultipartReply(reply) => format!("reply {}", reply.body.kind()),
            _ => String::new(),
        };
        missing.retain(|wanted| *wanted != message.kind().to_string() && *wanted != name);
    }
    assert!(missing.is_empty(), "no vector for {missing:?}");
}

#[test]
fn a_stream_is_cut_into_its_frames_however_it_arrives() {
    let frames: Vec<Bytes> = vectors::all().into_iter().map(|vector| vector.frame).collect();
    let stream: Vec<u8> = frames.concat();
    for step in [1, 7, 64, 1_000, 65_536] {
        let mut framer = Framer::new();
        let mut cut = Vec::new();
        for part in stream.chunks(step) {
            framer.push(part);
            while let Some(frame) = framer.next_frame().expect("every length is true") {
                cut.push(frame);
            }
        }
        assert_eq!(cut, frames, "in steps of {step}");
        assert_eq!(framer.waiting(), 0);
    }
}

#[test]
fn a_header_shorter_than_itself_ends_the_stream() {
    let mut framer = Framer::new();
    framer.push(&[4, 2, 0, 7, 0, 0, 0, 1]);
    let error = framer.next_frame().expect_err("seven is too short");
    assert_eq!(error.to_string(), "ofp_header at offset 0: length 7, at least 8 needed");
    assert_eq!(framer.next_frame(), Err(error), "and stays ended");
}

#[test]
fn payloads_are_slices_of_the_frame() {
    let within = |frame: &Bytes, part: &[u8]| {
        let frame = frame.as_ptr_range();
        part.is_empty() || (frame.contains(&part.as_ptr()) && part.as_ptr_range().end <= frame.end)
    };
    let mut seen = 0;
    for vector in vectors::all() {
        let message = Message::decode(&vector.frame).expect("every vector decodes");
        let parts: Vec<&[u8]> = match &message.body {
            Body::PacketIn(packet) => vec![&packet.data],
            Body::PacketOut(packet) => vec![&packet.data],
            Body::EchoRequest(data) | Body::EchoReply(data) => vec![data],
            // A short match holds its fields itself.
            Body::FlowMod(rule) if rule.matching.as_bytes().len() > 48 => vec![rule.matching.as_bytes()],
            Body::MultipartRequest(request) => match &request.body {
                MultipartRequestBody::Experimenter(body) => vec![&body.data],
                _ => continue,
            },
            Body::MultipartReply(reply) => match &reply.body {
                MultipartReplyBody::Experimenter(body) => vec![&body.data],
                _ => continue,
            },
            _ => continue,
        };
        for part in parts {
            assert!(within(&vector.frame, part), "{}", vector.name);
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

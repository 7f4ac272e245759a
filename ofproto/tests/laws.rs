//! The laws of the codec, over generated values and over bytes that were tampered with.

mod common;

use bytes::{BufMut, Bytes, BytesMut};
use common::generate::{Draw, Gen, KINDS, body};
use common::{runner, vectors};
use ofproto::{Body, Framer, Message, MessageType, MultipartReplyBody, MultipartRequestBody};
use proptest::prelude::*;

/// Bytes that nobody zeroed, so that forgotten padding shows.
const POISON: u8 = 0xa5;

/// Encodes behind something else into a buffer full of poison.
fn encode(message: &Message) -> Bytes {
    let mut out = BytesMut::with_capacity(1 << 16);
    out.put_bytes(POISON, out.capacity());
    out.clear();
    out.extend_from_slice(b"before");
    message
        .encode(&mut out)
        .unwrap_or_else(|error| panic!("{error}: {message:?}"));
    let written = out.split_off(6).freeze();
    assert_eq!(&out[..], b"before");
    written
}

/// decode(encode(v)) == v
fn value_law(message: &Message) -> Bytes {
    let bytes = encode(message);
    match Message::decode(&bytes) {
        Ok(again) => assert_eq!(&again, message),
        Err(error) => panic!("{error}: {message:?} as {bytes:02x?}"),
    }
    bytes
}

/// encode(decode(b)) == b, except that padding is zero in what we write.
fn bytes_law(bytes: &Bytes) -> bool {
    let Ok(message) = Message::decode(bytes) else {
        return false;
    };
    let again = value_law(&message);
    assert_eq!(again.len(), bytes.len(), "{message:?}");
    for (at, (ours, theirs)) in again.iter().zip(bytes.iter()).enumerate() {
        assert!(
            ours == theirs || *ours == 0,
            "byte {at} was {theirs:#04x} and is {ours:#04x}: {message:?}"
        );
    }
    true
}

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
                bytes_law(&value_law(&message));
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
            let mut frame = encode(&Message::generate(&mut Draw::new(&bytes, false))).to_vec();
            for (at, value) in tampering {
                let at = at.index(frame.len());
                // The length of the whole is what the framer cut by; it stays true.
                if !(2..4).contains(&at) {
                    frame[at] = value;
                }
            }
            bytes_law(&frame.into());
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

/// Decodes bytes that may be wrong: no panic, and an error says where and what.
fn try_decode(name: &str, what: &str, frame: Vec<u8>) -> bool {
    let frame = Bytes::from(frame);
    match Message::decode(&frame) {
        Ok(_) => bytes_law(&frame),
        Err(error) => {
            let known = ["ofp_", "nx_action_"]
                .iter()
                .any(|prefix| error.structure.starts_with(prefix));
            assert!(known, "{name}, {what}: {error}");
            assert!(
                error.offset <= frame.len(),
                "{name}, {what}: {error} in {} bytes",
                frame.len()
            );
            let (kind, code) = error.to_answer();
            assert!(
                kind.code_name(code).is_some(),
                "{name}, {what}: {error} answers {kind} {code}"
            );
            false
        }
    }
}

#[test]
fn no_truncation_and_no_lying_length_is_believed() {
    let (mut tried, mut refused) = (0_u32, 0_u32);
    let mut count = |accepted: bool| {
        tried += 1;
        refused += u32::from(!accepted);
    };
    for vector in vectors::all() {
        let (name, whole) = (&vector.name, vector.frame.to_vec());
        for length in 0..whole.len() {
            // Cut, with the header still telling the old length, and with a new one.
            let mut cut = whole[..length].to_vec();
            assert!(!try_decode(name, &format!("cut to {length}"), cut.clone()));
            count(false);
            if length >= 4 {
                cut[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                count(try_decode(name, &format!("shortened to {length}"), cut));
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(!try_decode(name, "one byte more", longer));
        for at in (4..whole.len().saturating_sub(1)).step_by(2) {
            let old = u16::from_be_bytes([whole[at], whole[at + 1]]);
            let values = [
                0,
                1,
                4,
                7,
                8,
                12,
                0x7fff,
                0xffff,
                old.wrapping_add(1),
                old.wrapping_sub(1),
                old.wrapping_add(8),
            ];
            for value in values {
                let mut lying = whole.clone();
                lying[at..at + 2].copy_from_slice(&value.to_be_bytes());
                count(try_decode(name, &format!("{value} at {at}"), lying));
            }
        }
    }
    println!("no_truncation_and_no_lying_length_is_believed: {tried} frames, {refused} refused");
    assert!(tried > 20_000, "{tried}");
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

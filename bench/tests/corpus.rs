//! What is measured is measured right: codec, bytes and definition agree, and every
//! promised figure is there. Nothing here is timed.

use bytes::BytesMut;
use ofproto::Message;
use skerry_bench::codec::figures;
use skerry_bench::corpus::{self, Kind};
use skerry_bench::rounds::{self, Effort};
use skerry_bench::stream::Stream;
use skerry_bench::{checksum, floor, ours, reading};
use std::time::Duration;

#[test]
fn what_the_codec_reads_is_what_the_bytes_say() {
    for kind in Kind::ALL {
        let frame = kind.frame().expect("a frame of the corpus");
        let message = Message::decode(&frame).expect("a frame that decodes");
        let expected = reading::checksum(&frame).expect("a frame whose layout is known");
        assert_eq!(checksum::of(&message), expected, "{}", kind.name());
    }
}

#[test]
fn what_the_codec_writes_is_the_corpus() {
    for kind in Kind::ALL {
        let frame = kind.frame().expect("a frame of the corpus");
        let message = Message::decode(&frame).expect("a frame that decodes");
        let mut out = BytesMut::new();
        message.encode(&mut out).expect("a message that encodes");
        assert_eq!(out, frame, "{}", kind.name());
    }
}

#[test]
fn a_changed_field_changes_the_checksum() {
    // Every byte that is a field, in the message with the most of them. 2 and 3 are
    // the length, without which it would be no message.
    let frame = Kind::FlowMod.frame().expect("a frame of the corpus");
    let before = reading::checksum(&frame).expect("a frame whose layout is known");
    for at in (4..46).chain(56..60) {
        let mut changed = frame.to_vec();
        changed[at] ^= 0x80;
        let message = Message::decode(&changed.into()).expect("a frame that decodes");
        assert_ne!(checksum::of(&message), before, "byte {at}");
    }
}

#[test]
fn touching_finds_every_length_that_lies() {
    for kind in Kind::ALL {
        let frame = kind.frame().expect("a frame of the corpus");
        assert!(floor::touch(&frame).is_some(), "{}", kind.name());
    }
    // Of the header, match, a field, instruction, action, the field in an action.
    let frame = Kind::FlowMod.frame().expect("a frame of the corpus");
    for at in [3, 51, 55, 99, 107, 119] {
        let mut lying = frame.to_vec();
        lying[at] = lying[at].wrapping_add(100);
        assert_eq!(floor::touch(&lying), None, "byte {at}");
    }
}

#[test]
fn the_stream_has_the_promised_mix() {
    let stream = Stream::new().expect("a stream of the corpus");
    assert_eq!(stream.messages, 20_000);
    let shares = [
        (Kind::PacketIn, 60),
        (Kind::Echo, 20),
        (Kind::FlowMod, 10),
        (Kind::PortStatus, 5),
        (Kind::Barrier, 5),
    ];
    let bytes: usize = shares.iter().map(|(kind, share)| kind.length() * share * 200).sum();
    assert_eq!(stream.bytes.len(), bytes);
    let mut from = 0;
    for end in &stream.ends {
        let size = end - from;
        assert!(
            (1_024..=65_536).contains(&size) || *end == bytes,
            "a read of {size} bytes"
        );
        from = *end;
    }
    assert_eq!(from, bytes);
    assert_eq!(ours::frames(&stream).expect("a stream that decodes"), stream.checksum);
}

#[test]
fn every_promised_figure_is_there_also_without_other_codecs() {
    let effort = Effort {
        rounds: 1,
        measurement: Duration::ZERO,
        time_max: Duration::ZERO,
    };
    let measured = rounds::run(effort, &mut [], |_| ()).expect("rounds");
    let all = figures(&measured, &[]);
    for kind in [
        "echo",
        "flow_mod",
        "group_mod",
        "packet_in",
        "packet_out",
        "flow_stats_100",
        "port_status",
        "barrier",
    ] {
        for name in [
            "decode_ns",
            "decode_ns_over_touch",
            "decode_ns_over_openflowj",
            "decode_ns_over_os_ken",
            "decode_openflowj_ns",
            "decode_os_ken_ns",
            "decode_allocs",
            "touch_ns",
            "encode_ns",
            "encode_ns_over_memcpy",
            "encode_ns_over_openflowj",
            "encode_ns_over_os_ken",
            "encode_openflowj_ns",
            "encode_os_ken_ns",
            "encode_allocs",
            "memcpy_ns",
        ] {
            let name = format!("{kind}_{name}");
            let found: Vec<_> = all.iter().filter(|figure| figure.name == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            let of_others = name.contains("openflowj") || name.contains("os_ken");
            assert_eq!(found[0].value.is_some(), !of_others, "{name}");
        }
    }
    assert!(
        all.iter()
            .any(|figure| figure.name == "framer_messages_per_s" && figure.value.is_some())
    );
}

#[test]
fn workers_get_every_kind_in_hexadecimal() {
    let lines = corpus::lines().expect("a corpus");
    let echo = lines.lines().next().expect("a first line");
    assert_eq!(echo, "echo 0402001000001001a0a1a2a3a4a5a6a7");
    assert_eq!(lines.lines().count(), Kind::ALL.len());
}

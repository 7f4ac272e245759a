//! `skerry ofp decode|encode`: lines of hexadecimal and captures in, lines of JSON out, and back.

mod common;

use common::skerry;
use serde_json::{Value, json};

/// Frames with a name: barrier request, echo request with two bytes, role request.
const BARRIER: &str = "0414000800000001";
const ECHO: &str = "0402000a00000002abcd";
const ROLE: &str = "041800180000000300000002000000000000000000000007";

fn objects(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect()
}

fn types(out: &str) -> Vec<String> {
    objects(out)
        .iter()
        .map(|o| o["type"].as_str().unwrap_or("error").to_owned())
        .collect()
}

#[test]
fn each_line_that_is_not_empty_gives_one_line_in_order() {
    let input = format!("{BARRIER}\n\n  {}\r\n{}", ECHO.to_uppercase(), ROLE);
    let ran = skerry(&["ofp", "decode"], input.as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let objects = objects(&ran.out);
    assert_eq!(
        objects[0],
        json!({"version": 4, "type": "OFPT_BARRIER_REQUEST", "xid": 1})
    );
    assert_eq!(
        objects[1],
        json!({"version": 4, "type": "OFPT_ECHO_REQUEST", "xid": 2, "data": "abcd"})
    );
    assert_eq!(
        objects[2],
        json!({"version": 4, "type": "OFPT_ROLE_REQUEST", "xid": 3, "role": "OFPCR_ROLE_MASTER", "generation_id": "0x0000000000000007"})
    );
    assert_eq!(objects.len(), 3);
}

#[test]
fn what_is_malformed_is_told_in_its_line_and_the_exit_code_is_1_at_the_end() {
    let input = format!(
        "04\n{ECHO}ff\n{}\n04zz\n040\n{BARRIER}\n0614000800000001\n0414000700000001\n",
        &ECHO[..18]
    );
    let ran = skerry(&["ofp", "decode"], input.as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let objects = objects(&ran.out);
    assert_eq!(objects.len(), 8);
    for (object, structure, offset) in [
        (&objects[0], "ofp_header", 0),
        (&objects[1], "ofp_header", 10),
        (&objects[2], "ofp_header", 0),
        (&objects[3], "hex", 1),
        (&objects[4], "hex", 1),
        (&objects[6], "ofp_header", 0),
        (&objects[7], "ofp_header", 0),
    ] {
        assert_eq!(
            (object["structure"].as_str(), object["offset"].as_u64()),
            (Some(structure), Some(offset)),
            "{object}"
        );
        assert!(object["error"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(object.as_object().map(|o| o.len()), Some(3));
    }
    assert_eq!(objects[5]["type"], "OFPT_BARRIER_REQUEST");
}

#[test]
fn what_was_decoded_can_be_encoded_again_on_the_spot_and_later() {
    let input = format!("{BARRIER}\n{ECHO}\n{ROLE}\n");
    let ran = skerry(&["ofp", "decode", "--reencode"], input.as_bytes());
    let bytes: Vec<String> = objects(&ran.out)
        .iter()
        .map(|o| o["bytes"].as_str().expect("hexadecimal").to_owned())
        .collect();
    assert_eq!(bytes, [BARRIER, ECHO, ROLE]);
    let back = skerry(&["ofp", "encode"], ran.out.as_bytes());
    assert_eq!((back.code, back.out), (Some(0), input));
}

#[test]
fn as_text_each_message_is_a_line_in_the_words_of_ovs_ofctl() {
    let input = format!("{BARRIER}\n{ECHO}\n040\n{ROLE}\n");
    let ran = skerry(&["ofp", "decode", "--text"], input.as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "OFPT_BARRIER_REQUEST (OF1.3) (xid=0x1):");
    assert_eq!(lines[1], "OFPT_ECHO_REQUEST (OF1.3) (xid=0x2): 2 bytes of payload");
    // What is malformed has no text of its own: it is told as always.
    assert_eq!(objects(lines[2])[0]["structure"], "hex");
    assert_eq!(
        lines[3],
        "OFPT_ROLE_REQUEST (OF1.3) (xid=0x3): role=master generation_id=7"
    );
    let both = skerry(&["ofp", "decode", "--text", "--reencode"], b"");
    assert_eq!(both.code, Some(2), "{}", both.err);
}

#[test]
fn what_cannot_be_encoded_is_told_with_its_line_and_the_others_are_printed() {
    let input = format!(
        "{}\n{}\n{{\n{}\n",
        json!({"version": 4, "type": "OFPT_BARRIER_REQUEST", "xid": 1}),
        json!({"version": 4, "type": "OFPT_BARRIER_REQUEST", "xid": 1, "colour": "red"}),
        json!({"version": 4, "type": "OFPT_BARRIER_REPLY", "xid": 1, "bytes": "ignored"}),
    );
    let ran = skerry(&["ofp", "encode"], input.as_bytes());
    assert_eq!((ran.code, ran.out), (Some(1), format!("{BARRIER}\n0415000800000001\n")));
    let told: Vec<&str> = ran.err.lines().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("line 2") && told[0].contains("colour"), "{told:?}");
    assert!(told[1].contains("line 3"), "{told:?}");
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal"))
        .collect()
}

const SWITCH: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
const SPEAKER: ([u8; 4], u16) = ([10, 0, 0, 2], 6_653);

/// An Ethernet frame with a TCP segment.
fn segment(from: ([u8; 4], u16), to: ([u8; 4], u16), seq: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 12];
    // An 802.1Q tag in front of IPv4.
    packet.extend([0x81, 0x00, 0x00, 0x64, 0x08, 0x00]);
    let total = (40 + payload.len()) as u16;
    packet.extend([0x45, 0x00]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(from.0);
    packet.extend(to.0);
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend(seq.to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x50, if syn { 0x02 } else { 0x18 }, 0, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    // A short frame is padded on the wire.
    packet.resize(packet.len().max(60), 0);
    packet
}

/// A pcap file in the byte order of the magic that `big` chooses.
fn pcap(packets: &[Vec<u8>], big: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut file = Vec::new();
    file.extend(word(0xa1b2_c3d4));
    file.extend(if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
    for field in [0, 0, 65_535, 1] {
        file.extend(word(field));
    }
    for packet in packets {
        for field in [1, 0, packet.len() as u32, packet.len() as u32] {
            file.extend(word(field));
        }
        file.extend(packet);
    }
    file
}

/// The same as pcapng.
fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let mut file = block(
        0x0a0d_0d0a,
        &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat(),
    );
    file.extend(block(1, &[1, 0, 0, 0, 0xff, 0xff, 0, 0]));
    for packet in packets {
        let length = (packet.len() as u32).to_le_bytes();
        file.extend(block(6, &[&[0; 12][..], &length, &length, packet].concat()));
    }
    file
}

#[test]
fn streams_of_a_capture_are_put_together_and_frames_come_in_the_order_of_their_completion() {
    let (barrier, echo, role) = (bytes(BARRIER), bytes(ECHO), bytes(ROLE));
    let both: Vec<u8> = [&echo[..], &role].concat();
    // The numbers of the switch's direction wrap in the middle of it.
    let isn = u32::MAX - 8;
    let at = |n: u32| isn.wrapping_add(1 + n);
    let packets = vec![
        segment(SWITCH, SPEAKER, isn, true, &[]),
        segment(SPEAKER, SWITCH, 99, true, &[]),
        // Out of order, overlapping, repeated: role comes whole only with the last.
        segment(SWITCH, SPEAKER, at(0), false, &both[..4]),
        segment(SWITCH, SPEAKER, at(20), false, &both[20..]),
        segment(SPEAKER, SWITCH, 100, false, &barrier),
        segment(SWITCH, SPEAKER, at(2), false, &both[2..12]),
        segment(SWITCH, SPEAKER, at(0), false, &both[..4]),
        segment(SPEAKER, SWITCH, 100, false, &barrier),
        segment(SWITCH, SPEAKER, at(12), false, &both[12..20]),
        // Something else on another port.
        segment(
            ([10, 0, 0, 3], 50_000),
            ([10, 0, 0, 4], 80),
            1,
            false,
            b"GET / HTTP/1.1\r\n\r\n",
        ),
        // OpenFlow on another port, known by how it begins.
        segment(([10, 0, 0, 3], 50_001), ([10, 0, 0, 4], 7_777), 1, false, &echo),
        // A packet that is none: too short for anything.
        vec![0; 5],
    ];
    let wanted = [
        "OFPT_BARRIER_REQUEST",
        "OFPT_ECHO_REQUEST",
        "OFPT_ROLE_REQUEST",
        "OFPT_ECHO_REQUEST",
    ];
    for file in [pcap(&packets, true), pcap(&packets, false), pcapng(&packets)] {
        let ran = skerry(&["ofp", "decode"], &file);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        assert_eq!(types(&ran.out), wanted);
    }
}

#[test]
fn a_connection_again_between_the_same_ports_is_a_stream_of_its_own() {
    let echo = bytes(ECHO);
    let packets = vec![
        segment(SWITCH, SPEAKER, 10, true, &[]),
        segment(SWITCH, SPEAKER, 11, false, &echo),
        segment(SWITCH, SPEAKER, 900_000_000, true, &[]),
        segment(SWITCH, SPEAKER, 900_000_001, false, &echo),
    ];
    let ran = skerry(&["ofp", "decode"], &pcap(&packets, false));
    assert_eq!((ran.code, types(&ran.out).len()), (Some(0), 2), "{ran:?}");
}

#[test]
fn what_is_missing_or_malformed_in_a_capture_is_told_and_other_streams_go_on() {
    let (barrier, echo) = (bytes(BARRIER), bytes(ECHO));
    let port = |n: u16| ([10, 0, 0, 9], n);
    let packets = vec![
        segment(port(1), SPEAKER, 0, false, &echo),
        // A hole that is never filled.
        segment(port(1), SPEAKER, 20, false, &echo),
        // Half a frame at the end.
        segment(port(2), SPEAKER, 0, false, &echo[..9]),
        // A length that cannot be, after which nothing can be found.
        segment(port(3), SPEAKER, 0, false, &bytes("0402000700000001")),
        segment(port(3), SPEAKER, 8, false, &barrier),
        segment(port(4), SPEAKER, 0, false, &barrier),
    ];
    let mut file = pcap(&packets, false);
    let ran = skerry(&["ofp", "decode"], &file);
    assert_eq!(ran.code, Some(1));
    let told: Vec<String> = objects(&ran.out)
        .iter()
        .map(|o| {
            o.get("error")
                .or(o.get("type"))
                .and_then(Value::as_str)
                .expect("one of them")
                .to_owned()
        })
        .collect();
    assert_eq!(
        told,
        [
            "OFPT_ECHO_REQUEST",
            "length 7, at least 8 needed",
            "OFPT_BARRIER_REQUEST",
            "a segment is missing in the capture",
            "the capture ends within a frame",
        ]
    );
    // The file itself breaks off.
    file.truncate(file.len() - 3);
    let ran = skerry(&["ofp", "decode"], &file);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("the capture cannot be read any further"), "{ran:?}");
}

#[test]
fn bytes_that_the_capture_cut_off_end_their_stream() {
    let echo = bytes(ECHO);
    let mut packet = segment(SWITCH, SPEAKER, 0, false, &[&echo[..], &echo].concat());
    packet.truncate(packet.len() - 4);
    let ran = skerry(&["ofp", "decode"], &pcap(&[packet], false));
    let objects = objects(&ran.out);
    assert_eq!((ran.code, objects.len()), (Some(1), 2));
    assert_eq!(
        objects[1],
        json!({"error": "4 bytes were cut off by the capture", "structure": "tcp", "offset": 6})
    );
}

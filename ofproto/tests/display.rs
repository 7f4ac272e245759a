//! Messages in one line: the golden lines of the vectors, and what holds for any message,
//! whatever a peer put into it.

mod common;

use bytes::Bytes;
use common::generate::messages::{KINDS, body};
use common::generate::{Draw, Gen};
use common::laws::{line_law as line, plain_law};
use common::{runner, vectors};
use ofproto::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One file for each file of vectors: the name of every vector, and its line. Written anew
/// with `UPDATE_GOLDEN=1`; then read what changed.
#[test]
fn every_vector_is_printed_as_its_golden_line_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lines");
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for vector in vectors::all() {
        let message = Message::decode(&vector.frame).expect("every vector decodes");
        let (file, title) = vector.name.split_once(": ").expect("a file and a title");
        let text = files.entry(file.to_owned()).or_default();
        *text += &format!("# {title}\n{}\n\n", line(&message));
    }
    for (name, text) in files {
        let path = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("a writable golden file");
        }
        let golden = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error} (UPDATE_GOLDEN=1 writes it)", path.display()));
        for (golden, text) in golden.lines().zip(text.lines()) {
            assert_eq!(text, golden, "{name} (UPDATE_GOLDEN=1 writes it anew)");
        }
        assert_eq!(text.len(), golden.len(), "{name} (UPDATE_GOLDEN=1 writes it anew)");
    }
}

#[test]
fn any_message_is_one_bounded_line() {
    let entropy = proptest::collection::vec(any::<u8>(), 0..3_000);
    for kind in 0..=KINDS {
        let mut runner = runner(&format!("any_message_is_one_bounded_line, type {kind}"), 100);
        runner
            .run(&entropy, |bytes| {
                line(&Message::new(7, body(kind, &mut Draw::new(&bytes, false))));
                line(&Message::generate(&mut Draw::new(&bytes, false)));
                line(&Message::generate(&mut Draw::new(&bytes, true)));
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Frames whose bytes were tampered with, as far as they still decode.
#[test]
fn what_a_peer_sends_is_one_bounded_line() {
    let vectors = vectors::all();
    let tampered = (
        0..vectors.len(),
        proptest::collection::vec((any::<u16>(), any::<u8>()), 1..60),
    );
    runner("what_a_peer_sends_is_one_bounded_line", 4_000)
        .run(&tampered, |(vector, changes)| {
            let mut frame = vectors[vector].frame.to_vec();
            for (at, byte) in changes {
                // The length stays, or few would decode.
                let at = usize::from(at) % frame.len();
                if !(2..4).contains(&at) {
                    frame[at] = byte;
                }
            }
            if let Ok(message) = Message::decode(&Bytes::from(frame)) {
                line(&message);
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn port(name: &[u8]) -> Port {
    let mut bytes = [0; PORT_NAME_LEN];
    bytes[..name.len()].copy_from_slice(name);
    Port {
        port_no: PortNo(1),
        hw_addr: MacAddr([0; 6]),
        name: FixedText(bytes),
        config: PortConfig::NONE,
        state: PortState::NONE,
        curr: PortFeatures::NONE,
        advertised: PortFeatures::NONE,
        supported: PortFeatures::NONE,
        peer: PortFeatures::NONE,
        curr_speed: 0,
        max_speed: 0,
    }
}

#[test]
fn a_name_cannot_leave_its_quotes() {
    let shown = |name: &[u8]| {
        let line = port(name).to_string();
        plain_law(&line);
        let shown = line.strip_prefix("1(").expect("the number").split("): addr:").next();
        shown.expect("a name").to_owned()
    };
    assert_eq!(shown(b"eth0.5"), "eth0.5");
    assert_eq!(shown(b""), "");
    assert_eq!(shown(b"a b"), r#""a b""#);
    assert_eq!(shown(b"x\"): addr:"), r#""x\""#);
    assert_eq!(shown(b"a\nb\r\t\x1b[2J"), r#""a\nb\r\t\u{1b}[2J""#);
    assert_eq!(shown(b"\\n"), r#""\\n""#);
    assert_eq!(shown("tür".as_bytes()), "\"tür\"");
    assert_eq!(shown("a\u{202e}b\u{2028}".as_bytes()), r#""a\u{202e}b\u{2028}""#);
    assert_eq!(shown(b"\xff\xc3"), r#""\xff\xc3""#);
    assert_eq!(shown(b"behind\0the end"), "behind");
}

fn flow(number: u64) -> FlowStats {
    FlowStats {
        table_id: TableId(0),
        duration_sec: 1,
        duration_nsec: 0,
        priority: 1,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: FlowModFlags::NONE,
        cookie: number,
        packet_count: 0,
        byte_count: 0,
        matching: Match::new(),
        instructions: Vec::new(),
    }
}

#[test]
fn a_long_reply_says_how_many_more_there_are() {
    let all = (0..100).map(flow).collect();
    let reply = MultipartReply::new(MultipartReplyBody::Flow(all));
    let line = line(&Message::new(1, Body::MultipartReply(reply)));
    assert!(line.contains("): 100 flows: cookie=0x0, "), "{line}");
    assert!(line.contains("; cookie=0x7, "), "{line}");
    assert!(line.ends_with("; ... and 92 more"), "{line}");
}

#[test]
fn a_long_list_of_actions_or_fields_says_how_many_more_there_are() {
    let mut rule = FlowMod::new(FlowModCommand::ADD, TableId(0));
    rule.instructions = vec![Instruction::ApplyActions(vec![Action::DecNwTtl; 1_000])];
    assert!(rule.to_string().ends_with(",dec_ttl,... and 936 more"), "{rule}");
    rule.instructions.clear();
    rule.matching = (0..100).map(Oxm::tcp_dst).collect();
    assert!(
        rule.to_string().ends_with(",tcp_dst=63,... and 36 more actions=drop"),
        "{rule}"
    );
}

/// The longest line: parts that are as long as they can be, as many as are printed.
#[test]
fn a_line_that_would_be_too_long_is_cut_and_says_so() {
    let ip = std::net::Ipv6Addr::from([0x11; 16]);
    let mask = std::net::Ipv6Addr::from([0xa5; 16]);
    let matching: Match = (0..100).map(|_| Oxm::ipv6_src_masked(ip, mask)).collect();
    let entry = FlowStats {
        matching,
        ..flow(u64::MAX)
    };
    let reply = MultipartReply::new(MultipartReplyBody::Flow(vec![entry; 10]));
    let message = Message::new(u32::MAX, Body::MultipartReply(reply));
    let line = line(&message);
    assert_eq!(line.len(), LINE_MAX);
    assert!(line.ends_with(" ... (cut)"), "{line}");
    // The body alone is limited too.
    assert!(message.body.to_string().ends_with(" ... (cut)"));
}

#[test]
fn a_character_of_several_bytes_is_not_cut_in_two() {
    let text = "ü".repeat(120);
    let desc = || Desc {
        mfr_desc: FixedText::new(&text),
        hw_desc: FixedText::new(&text),
        sw_desc: FixedText::new(&text),
        serial_num: FixedText::new(&text),
        dp_desc: FixedText::new(&text),
    };
    // Shorter than the limit, but with every character of two bytes.
    let reply = MultipartReply::new(MultipartReplyBody::Desc(Box::new(desc())));
    assert!(line(&Message::new(1, Body::MultipartReply(reply))).contains(&text));
    // A line of names that is cut at every offset.
    for shift in 0..4 {
        let mut ports = vec![port("ü\u{10348}üü".as_bytes()); 8];
        ports[0].name = FixedText::new(&"x".repeat(shift));
        let table = TableFeatures {
            table_id: TableId(0),
            name: FixedText::new("ü"),
            metadata_match: 0,
            metadata_write: 0,
            config: 0,
            max_entries: 0,
            properties: Vec::new(),
        };
        plain_law(&table.to_string());
        let reply = MultipartReply::new(MultipartReplyBody::PortDesc(ports));
        line(&Message::new(1, Body::MultipartReply(reply)));
    }
}

#[test]
fn every_known_field_has_a_word() {
    let mut words = BTreeSet::new();
    for row in OxmRow::all() {
        let value = vec![1; usize::from(row.width)];
        let oxm = Oxm::new(row.field, &value, None).expect("the width of the table");
        let text = oxm.to_string();
        plain_law(&text);
        let (word, _) = text.split_once('=').expect("a word and a value");
        assert!(!word.contains('('), "{word} is not a word");
        // The other classes have some of the same fields.
        let new = words.insert((row.field.class(), row.field.experimenter(), word.to_owned()));
        assert!(new, "{word} is the word of two fields");
    }
    let shown = |field| Oxm::new(field, &[0, 0, 0, 5], None).expect("four bytes").to_string();
    assert_eq!(shown(OxmField::NXM_NX_REG0), "reg0=0x5");
    assert_eq!(shown(OxmField::NXM_NX_TUN_IPV4_SRC), "tun_src=0.0.0.5");
    assert_eq!(shown(OxmField::ONFOXM_ET_ACTSET_OUTPUT), "actset_output=5");
}

/// What a field is called depends on what the match says of the protocol, so it is only
/// called by the protocol's name where the match says so.
#[test]
fn a_protocol_that_the_match_does_not_say_is_not_printed() {
    let shown = |oxms: &[Oxm]| oxms.iter().cloned().collect::<Match>().to_string();
    let (ip, udp, dst) = (Oxm::eth_type(0x0800), Oxm::ip_proto(17), Oxm::udp_dst(53));
    assert_eq!(shown(&[ip.clone(), udp.clone(), dst.clone()]), "udp,tp_dst=53");
    assert_eq!(shown(&[dst.clone(), udp.clone(), ip.clone()]), "udp,tp_dst=53");
    assert_eq!(shown(&[udp.clone(), dst.clone()]), "nw_proto=17,udp_dst=53");
    assert_eq!(shown(&[ip.clone(), dst.clone()]), "ip,udp_dst=53");
    assert_eq!(shown(&[ip.clone(), Oxm::ip_proto(6), dst.clone()]), "tcp,udp_dst=53");
    // Twice the same field: both are there to see.
    let twice = shown(&[ip.clone(), ip.clone(), udp, dst]);
    assert_eq!(twice, "dl_type=0x0800,dl_type=0x0800,nw_proto=17,udp_dst=53");
    assert_eq!(shown(&[]), "any");
}

#[test]
fn masks_are_printed_as_prefixes_where_they_are() {
    let v4 = |mask: [u8; 4]| Oxm::ipv4_src_masked([10, 1, 2, 3].into(), mask.into()).to_string();
    assert_eq!(v4([255, 255, 255, 255]), "ip_src=10.1.2.3/32");
    assert_eq!(v4([255, 255, 128, 0]), "ip_src=10.1.2.3/17");
    assert_eq!(v4([0, 0, 0, 0]), "ip_src=10.1.2.3/0");
    assert_eq!(v4([255, 0, 255, 0]), "ip_src=10.1.2.3/255.0.255.0");
    assert_eq!(v4([0, 255, 255, 255]), "ip_src=10.1.2.3/0.255.255.255");
    let v6 = |mask: u128| Oxm::ipv6_src_masked(1.into(), mask.into()).to_string();
    assert_eq!(v6(u128::MAX), "ipv6_src=::1/128");
    assert_eq!(v6(0), "ipv6_src=::1/0");
    assert_eq!(v6(u128::MAX << 64), "ipv6_src=::1/64");
    assert_eq!(v6(1), "ipv6_src=::1/::1");
}

#[test]
fn instructions_are_printed_in_the_order_in_which_they_are_carried_out() {
    let mut rule = FlowMod::new(FlowModCommand::ADD, TableId(3));
    rule.instructions = vec![
        Instruction::GotoTable(TableId(4)),
        Instruction::WriteMetadata {
            metadata: 1,
            mask: u64::MAX,
        },
        Instruction::WriteActions(Vec::new()),
        Instruction::ApplyActions(vec![Action::PopVlan]),
        Instruction::ApplyActions(vec![Action::PopVlan]),
        Instruction::Meter(MeterId(7)),
    ];
    assert_eq!(
        rule.to_string(),
        "ADD table=3 priority=0 actions=meter:7,pop_vlan,apply_actions(pop_vlan),write_actions(drop),\
         write_metadata:0x1,goto_table:4"
    );
    rule.instructions = vec![Instruction::ApplyActions(Vec::new())];
    assert_eq!(rule.to_string(), "ADD table=3 priority=0 actions=drop");
}

fn packet(data: &[u8]) -> String {
    let data = Bytes::copy_from_slice(data);
    let message = Message::new(1, Body::PacketOut(PacketOut::new(Vec::new(), data)));
    let line = line(&message);
    line.split_once("data_len=").expect("a length").1.to_owned()
}

#[test]
fn a_packet_is_summed_up_as_far_as_it_is_there() {
    const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    const SHOWN: &str = "dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01";
    let udp = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0x12, 0x34, 0, 8, 0, 0,
    ];
    let tagged = [&MACS[..], &[0x81, 0, 0xa0, 7, 8, 0], &udp].concat();
    let told = format!(
        "46 {SHOWN},dl_vlan=7,dl_vlan_pcp=5,ip,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_proto=17,tp_src=53,tp_dst=4660"
    );
    assert_eq!(packet(&tagged), told);
    let mut fragment = tagged.clone();
    fragment[18 + 7] = 1;
    assert!(packet(&fragment).ends_with(",nw_proto=17"), "a fragment has no ports");
    // Cut anywhere it is still a line.
    for end in 0..tagged.len() {
        let told = packet(&tagged[..end]);
        assert!(told.starts_with(&end.to_string()), "{told}");
    }
    assert_eq!(packet(&tagged[..11]), "11 (no Ethernet header)");
    assert_eq!(packet(&tagged[..12]), format!("12 {SHOWN}"));
    assert_eq!(packet(&tagged[..17]), format!("17 {SHOWN},dl_vlan=7,dl_vlan_pcp=5"));
    assert_eq!(
        packet(&tagged[..37]),
        format!("37 {SHOWN},dl_vlan=7,dl_vlan_pcp=5,dl_type=0x0800")
    );
    let v6 = [
        &MACS[..],
        &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 4, 6, 64],
        &[0x20; 32],
        &[0, 80, 0, 81],
    ]
    .concat();
    assert!(
        packet(&v6).ends_with(":2020,nw_proto=6,tp_src=80,tp_dst=81"),
        "{}",
        packet(&v6)
    );
}

#[test]
fn the_data_of_an_error_is_told_by_what_it_is() {
    let shown = |kind, code, data: &[u8]| {
        let data = Bytes::copy_from_slice(data);
        let line = line(&Message::new(1, Body::Error(ErrorMsg { kind, code, data })));
        line.split_once("): ").expect("a head").1.to_owned()
    };
    let request = Message::new(0x2a, Body::BarrierRequest).to_bytes().expect("a barrier");
    assert_eq!(
        shown(ErrorType::BAD_REQUEST, 6, &request),
        "OFPET_BAD_REQUEST OFPBRC_BAD_LEN about OFPT_BARRIER_REQUEST (xid=0x2a), 8 of its 8 bytes"
    );
    assert_eq!(
        shown(ErrorType::BAD_REQUEST, 6, &[1, 2, 3]),
        "OFPET_BAD_REQUEST OFPBRC_BAD_LEN data=3 bytes 010203"
    );
    assert_eq!(
        shown(ErrorType::HELLO_FAILED, 0, b"no\nway"),
        r#"OFPET_HELLO_FAILED OFPHFC_INCOMPATIBLE "no\nway""#
    );
    assert!(shown(ErrorType::HELLO_FAILED, 0, &[b'x'; 100]).ends_with("xxx\"... and 36 more"));
    assert_eq!(shown(ErrorType(99), 7, &[]), "type 99 code 7");
}

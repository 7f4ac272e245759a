//! Helpers of the values: what a match says, hello, role status, names, reassembly.

use bytes::Bytes;
use ofproto::*;
use std::net::Ipv4Addr;

#[test]
fn a_match_is_read_by_field() {
    let all = Match::from([
        Oxm::in_port(PortNo(3)),
        Oxm::metadata_masked(0x1200, 0xff00),
        Oxm::eth_src(MacAddr([1, 2, 3, 4, 5, 6])),
        Oxm::eth_type(0x0800),
        Oxm::vlan_vid(100),
        Oxm::vlan_pcp(5),
        Oxm::ip_proto(17),
        Oxm::ipv4_src_masked(Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(255, 0, 0, 0)),
        Oxm::ipv4_dst(Ipv4Addr::new(10, 1, 2, 3)),
        Oxm::udp_src(1),
        Oxm::udp_dst(2),
        Oxm::tunnel_id(7),
        Oxm::in_port(PortNo(4)),
    ]);
    assert_eq!(all.len(), 13, "a field that occurs twice is kept twice");
    assert_eq!(all.in_port(), Some(PortNo(3)), "the first one counts");
    assert_eq!(all.metadata(), Some((0x1200, Some(0xff00))));
    assert_eq!(all.eth_src(), Some(MacAddr([1, 2, 3, 4, 5, 6])));
    assert_eq!(all.eth_dst(), None);
    assert_eq!(all.eth_type(), Some(0x0800));
    assert_eq!(all.vlan_vid_raw(), Some((100 | VLAN_PRESENT, None)));
    assert_eq!(all.vlan_pcp(), Some(5));
    assert_eq!(all.ip_proto(), Some(17));
    assert_eq!(
        all.ipv4_src(),
        Some((Ipv4Addr::new(10, 0, 0, 0), Some(Ipv4Addr::new(255, 0, 0, 0))))
    );
    assert_eq!(all.ipv4_dst(), Some((Ipv4Addr::new(10, 1, 2, 3), None)));
    assert_eq!((all.udp_src(), all.udp_dst()), (Some(1), Some(2)));
    assert_eq!((all.tcp_src(), all.tcp_dst()), (None, None));
    assert_eq!(all.tunnel_id(), Some((7, None)));
    assert_eq!(all.detached(), all);
    assert_eq!(all.iter().collect::<Match>(), all);
    let pushed = all.iter().fold(Match::new(), Match::with);
    assert_eq!(pushed, all);
}

#[test]
fn every_row_of_the_field_table_stands_at_its_number() {
    for (number, row) in OXM_TABLE.iter().enumerate() {
        assert_eq!(usize::from(row.field.number()), number);
        assert_eq!(row.field.row(), Some(row));
        assert_eq!(OxmField::from_name(row.name), Some(row.field));
        assert!(u32::from(row.bits) <= u32::from(row.width) * 8, "{}", row.name);
    }
    assert_eq!(OXM_TABLE.len(), 40);
}

#[test]
fn the_bits_of_extension_headers_are_all_that_their_field_has() {
    let row = OxmField::IPV6_EXTHDR.row().expect("a row of the table");
    assert_eq!(Ipv6ExtHdrFlags::NAMES.len(), usize::from(row.bits));
    let oxm = Oxm::ipv6_exthdr(Ipv6ExtHdrFlags::NONEXT | Ipv6ExtHdrFlags::UNSEQ);
    assert_eq!(oxm.value(), [1, 1]);
}

#[test]
fn every_field_is_found_by_its_number_and_by_its_name() {
    let mut names: Vec<&str> = Vec::new();
    for row in OxmRow::all() {
        assert_eq!(row.field.row(), Some(row));
        assert_eq!(OxmField::from_name(row.name), Some(row.field));
        assert_eq!(row.width == 0, row.kind == OxmKind::Bytes, "{}", row.name);
        assert!(u32::from(row.bits) <= u32::from(row.width) * 8, "{}", row.name);
        let least = match row.kind {
            OxmKind::Number | OxmKind::Port => 1,
            OxmKind::Wide => 64,
            OxmKind::Huge | OxmKind::Ipv6 => 128,
            OxmKind::Mac => 48,
            OxmKind::Ipv4 => 32,
            OxmKind::Bytes => 0,
        };
        assert!(row.bits >= least, "{}", row.name);
        names.push(row.name);
    }
    assert_eq!(names.len(), 40 + 18 + 122 + 8 + 2 + 7 + 10);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 207, "no name twice");
    for unknown in [
        OxmField::basic(40),
        OxmField::of_class(OxmClass::NXM_0, 18),
        OxmField::of_class(OxmClass::NXM_1, 115),
        OxmField::of_class(OxmClass::PACKET_REGS, 8),
        OxmField::of_class(OxmClass(0x1000), 1),
        OxmField::of_experimenter(ExperimenterId::ONF, 44),
        OxmField::of_experimenter(ExperimenterId(7), 42),
    ] {
        assert_eq!((unknown.row(), unknown.width()), (None, None), "{unknown}");
    }
}

#[test]
fn a_hello_offers_what_its_bitmap_says_or_else_its_header() {
    let both = Hello::with_versions(&[1, 4]);
    assert!(both.offers(4, 1) && both.offers(4, 4) && !both.offers(4, 2) && !both.offers(4, 200));
    let plain = Hello::default();
    assert!(plain.offers(6, 4) && plain.offers(4, 4) && !plain.offers(1, 4));
    let far = Hello {
        elements: vec![HelloElement::VersionBitmap(vec![0, 1])],
    };
    assert!(far.offers(32, 32) && !far.offers(32, 4));
}

#[test]
fn a_role_status_is_found_in_its_experimenter_message() {
    let status = RoleStatus {
        role: ControllerRole::SLAVE,
        reason: RoleReason::MASTER_REQUEST,
        generation_id: 7,
    };
    let message = status.to_experimenter();
    assert_eq!(RoleStatus::from_experimenter(&message), Some(Ok(status)));
    let other = Experimenter {
        exp_type: 2300,
        ..message.clone()
    };
    assert_eq!(RoleStatus::from_experimenter(&other), None);
    let short = Experimenter {
        data: message.data.slice(..15),
        ..message.clone()
    };
    let error = RoleStatus::from_experimenter(&short)
        .and_then(Result::err)
        .expect("too short");
    assert_eq!(
        error.to_string(),
        "ofp_role_status at offset 24: needs 8 more bytes, 7 are left"
    );
    let long = Experimenter {
        data: [&message.data[..], &[0]].concat().into(),
        ..message
    };
    assert!(RoleStatus::from_experimenter(&long).is_some_and(|result| result.is_err()));
}

#[test]
fn numbers_have_their_names_and_unknown_ones_are_themselves() {
    assert_eq!(ActionType::OUTPUT.to_string(), "OFPAT_OUTPUT");
    assert_eq!(ActionType(0x4242).to_string(), "16962");
    assert_eq!(PortNo::CONTROLLER.to_string(), "OFPP_CONTROLLER");
    assert_eq!(PortNo(7).to_string(), "7");
    assert_eq!(
        ControllerRole::from_name("OFPCR_ROLE_MASTER"),
        Some(ControllerRole::MASTER)
    );
    assert_eq!(
        (PortConfig::PORT_DOWN | PortConfig(0x80)).to_string(),
        "OFPPC_PORT_DOWN|0x80"
    );
    assert_eq!(PortFeatures::GB10_FD.to_string(), "OFPPF_10GB_FD");
    assert_eq!(FlowModFlags::NONE.to_string(), "0x0");
    let stale = ErrorMsg {
        kind: ErrorType::ROLE_REQUEST_FAILED,
        code: 0,
        data: Bytes::new(),
    };
    assert_eq!(stale.to_string(), "OFPET_ROLE_REQUEST_FAILED OFPRRFC_STALE");
}

#[test]
fn an_address_is_read_as_it_is_written_and_nothing_else_is() {
    let mac = MacAddr([0, 0x1b, 0xff, 3, 4, 5]);
    assert_eq!(mac.to_string().parse(), Ok(mac));
    for wrong in [
        "",
        "00:1b:ff:03:04",
        "00:1b:ff:03:04:05:06",
        "0:1b:ff:03:04:05",
        "+0:1b:ff:03:04:05",
        "00-1b-ff-03-04-05",
    ] {
        assert_eq!(wrong.parse::<MacAddr>(), Err(NotAMacAddr), "{wrong}");
    }
}

#[test]
fn a_text_is_cut_at_a_character_and_keeps_every_byte() {
    assert_eq!(FixedText::<4>::new("abc").exact(), Some("abc"));
    assert_eq!(FixedText::<4>::new("abcdef").to_text(), "abcd");
    assert_eq!(
        FixedText::<4>::new("ab\u{20ac}").to_text(),
        "ab",
        "the sign takes three bytes"
    );
    assert_eq!(FixedText(*b"a\0b\0").to_text(), "a");
    assert_eq!(FixedText(*b"a\0b\0").exact(), None, "something stands behind the end");
}

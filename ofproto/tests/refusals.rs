//! What is refused, with which words, and what the sender is told.

use bytes::{Bytes, BytesMut};
use ofproto::*;

fn frame(hex: &str) -> Bytes {
    let digits: String = hex.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect::<Vec<u8>>().into()
}

/// A flow_mod with this match and these instructions.
fn flow_mod(rest: &str) -> String {
    let rest: String = rest.split_whitespace().collect();
    format!(
        "040e{:04x}00000001 0000000000000000 0000000000000000 00 00 0000 0000 0000 ffffffff ffffffff ffffffff 0000 0000 {rest}",
        48 + rest.len() / 2
    )
}

/// A flow_mod that matches everything and applies these actions.
fn actions(rest: &str) -> String {
    let rest: String = rest.split_whitespace().collect();
    flow_mod(&format!(
        "0001 0004 00000000 0004 {:04x} 00000000 {rest}",
        8 + rest.len() / 2
    ))
}

#[test]
fn what_lies_is_refused_with_structure_place_and_answer() {
    let cases: Vec<(String, &str, &str)> = vec![
        (
            "0402".into(),
            "ofp_header at offset 0: needs 8 more bytes, 2 are left",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04020007 00000001".into(),
            "ofp_header at offset 0: length 7, at least 8 needed",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04020009 00000001".into(),
            "ofp_header at offset 0: length 9, only 8 bytes there",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04020008 00000001 00".into(),
            "ofp_header at offset 8: 1 bytes left over",
            "OFPBRC_BAD_LEN",
        ),
        (
            "01050008 00000001".into(),
            "ofp_header at offset 0: version 0x01, only 0x04 is known",
            "OFPBRC_BAD_VERSION",
        ),
        (
            "04140009 00000001 00".into(),
            "ofp_header at offset 8: 1 bytes left over",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04180019 00000001 00000001 00000000 0000000000000001 00".into(),
            "ofp_role_request at offset 24: 1 bytes left over",
            "OFPBRC_BAD_LEN",
        ),
        (
            "0418000c 00000001 00000001".into(),
            "ofp_role_request at offset 12: needs 4 more bytes, 0 are left",
            "OFPBRC_BAD_LEN",
        ),
        (
            "0400000e 00000001 0001 0006 0000".into(),
            "ofp_hello_elem_versionbitmap at offset 8: length 6, not a multiple of 4",
            "OFPBRC_BAD_LEN",
        ),
        (
            "0400000c 00000001 0001 0002".into(),
            "ofp_hello_elem_header at offset 8: length 2, at least 4 needed",
            "OFPBRC_BAD_LEN",
        ),
        (
            "0401000c 00000001 ffff 0001".into(),
            "ofp_error_experimenter_msg at offset 12: needs 4 more bytes, 0 are left",
            "OFPBRC_BAD_LEN",
        ),
        (
            flow_mod("0001 000b 80000003 000001 0000000000"),
            "ofp_match at offset 52: field length 3, OXM_OF_IN_PORT has 4",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 000c 80000104 00000001 00000000"),
            "ofp_match at offset 52: field length 4, OXM_OF_IN_PORT has 8",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 000b 0001fd03 000001 0000000000"),
            "ofp_match at offset 52: field length 3, oxm 0x0001:126 is masked and cannot be halved",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 000b ffff0002 000001 0000000000"),
            "ofp_match at offset 52: length 2, at least 4 needed",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 000a 80000004 0000 000000000000"),
            "ofp_match at offset 52: length 8, only 6 bytes there",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0000 0004 00000000"),
            "ofp_match at offset 48: match type 0, only OFPMT_OXM is known",
            "OFPBMC_BAD_TYPE",
        ),
        (
            flow_mod("0001 0003 00000000"),
            "ofp_match at offset 48: length 3, at least 4 needed",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 0009 00000000"),
            "ofp_match at offset 48: length 9, only 8 bytes there",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 0004"),
            "ofp_match at offset 52: needs 4 more bytes, 0 are left",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 0004 00000000 0001 0010 01000000 00000000 00000000"),
            "ofp_instruction_goto_table at offset 56: length 16, must be 8",
            "OFPBIC_BAD_LEN",
        ),
        (
            flow_mod("0001 0004 00000000 004d 000c 00000000 00000000"),
            "ofp_instruction at offset 56: length 12, not a multiple of 8",
            "OFPBIC_BAD_LEN",
        ),
        (
            flow_mod("0001 0004 00000000 0005 0010 00000000 0012 0008 00000000"),
            "ofp_instruction_actions at offset 56: length 16, must be 8",
            "OFPBIC_BAD_LEN",
        ),
        (
            actions("0000 0000 00000000"),
            "ofp_action_header at offset 64: length 0, at least 8 needed",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("0000 0010 00000000"),
            "ofp_action_header at offset 64: length 16, only 8 bytes there",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("0000 0008 00000000"),
            "ofp_action_output at offset 64: length 8, must be 16",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("000001"),
            "ofp_instruction at offset 56: length 11, not a multiple of 8",
            "OFPBIC_BAD_LEN",
        ),
        (
            actions("0019 0010 80000c03 100000 0000000000"),
            "ofp_action_set_field at offset 68: field length 3, OXM_OF_VLAN_VID has 2",
            "OFPBAC_BAD_SET_LEN",
        ),
        (
            actions("0019 0018 80000c02 1000 0000 0000000000000000 00000000"),
            "ofp_action_set_field at offset 74: 14 bytes left over",
            "OFPBAC_BAD_SET_LEN",
        ),
        (
            actions("ffff 0010 00002320 0006 0010 0000 0000"),
            "nx_action_reg_move at offset 80: needs 2 more bytes, 0 are left",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("ffff 0018 00002320 0006 0010 0000 0000 00010004 ffff5408"),
            "nx_action_reg_move at offset 88: needs 4 more bytes, 0 are left",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("ffff 0020 00002320 0006 0010 0000 0000 00010004 00010204 0000000000000000"),
            "nx_action_reg_move at offset 88: 8 bytes left over",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("ffff 0020 00002320 0007 0007 00010404 0000000000000005 0000000000000000"),
            "nx_action_reg_load at offset 64: length 32, must be 24",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("ffff 0018 00002320 0007 0007 ffff5608 4f4e460000000005"),
            "nx_action_reg_load at offset 80: needs 4 more bytes, 0 are left",
            "OFPBAC_BAD_LEN",
        ),
        (
            actions("ffff 0018 4f4e4600 0c80 0000 0010 0000 0000 0000 00010004"),
            "ofp_action_copy_field at offset 88: needs 2 more bytes, 0 are left",
            "OFPBAC_BAD_LEN",
        ),
        (
            flow_mod("0001 000b 00010003 000001 0000000000"),
            "ofp_match at offset 52: field length 3, NXM_NX_REG0 has 4",
            "OFPBMC_BAD_LEN",
        ),
        (
            flow_mod("0001 000c ffff5604 4f4e4600 00000000"),
            "ofp_match at offset 52: field length 0, ONFOXM_ET_ACTSET_OUTPUT has 4",
            "OFPBMC_BAD_LEN",
        ),
        (
            "04040014 00000001 4f4e4600 000008fc 00000001".into(),
            "ofp_bundle_ctrl_msg at offset 20: needs 2 more bytes, 0 are left",
            "OFPBRC_BAD_LEN",
        ),
        (
            "0404001c 00000001 4f4e4600 000008fc 00000001 0000 0000 ffff 0003".into(),
            "ofp_bundle_prop_header at offset 24: length 3, at least 4 needed",
            "OFPBRC_BAD_LEN",
        ),
        (
            "0404001e 00000001 4f4e4600 000008fc 00000001 0000 0000 0009 0006 0102".into(),
            "ofp_bundle_ctrl_msg at offset 30: needs 2 more bytes, 0 are left",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04040020 00000001 4f4e4600 000008fd 00000001 0000 0000 04020007 00000001".into(),
            "ofp_bundle_add_msg at offset 24: length 7, at least 8 needed",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04040020 00000001 4f4e4600 000008fd 00000001 0000 0000 04020009 00000001".into(),
            "ofp_bundle_add_msg at offset 24: length 9, only 8 bytes there",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04040028 00000001 4f4e4600 000008fd 00000001 0000 0000 04020009 00000001 00 00000000000000".into(),
            "ofp_bundle_add_msg at offset 33: 7 bytes left over",
            "OFPBRC_BAD_LEN",
        ),
        (
            "05040018 00000001 4f4e4600 000008fc 00000001 0000 0000".into(),
            "ofp_header at offset 0: version 0x05, only 0x04 is known",
            "OFPBRC_BAD_VERSION",
        ),
        (
            "05210008 00000001".into(),
            "ofp_bundle_ctrl_msg at offset 8: needs 4 more bytes, 0 are left",
            "OFPBRC_BAD_LEN",
        ),
        (
            "040f0020 00000001 0000 00 00 00000001 0008 0000 00000000 00000000 00000000".into(),
            "ofp_bucket at offset 16: length 8, at least 16 needed",
            "OFPGMFC_BAD_BUCKET",
        ),
        (
            "041d0028 00000001 0000 0001 00000001 0001 0018 00000001 00000000 00000000 0000000000000000".into(),
            "ofp_meter_band_drop at offset 16: length 24, must be 16",
            "OFPBRC_BAD_LEN",
        ),
        (
            "040d0020 00000001 ffffffff fffffffd 0010 000000000000 0012 0008 00000000".into(),
            "ofp_packet_out at offset 16: length 16, only 8 bytes there",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04130018 00000001 0001 0000 00000000 0008 0000 00000000".into(),
            "ofp_flow_stats at offset 16: length 8, at least 56 needed",
            "OFPBRC_BAD_LEN",
        ),
        (
            "04120014 00000001 0000 0000 00000000 00000000".into(),
            "ofp_multipart_request at offset 16: 4 bytes left over",
            "OFPBRC_BAD_LEN",
        ),
    ];
    for (hex, words, answer) in cases {
        let error = Message::decode(&frame(&hex)).expect_err(words);
        assert_eq!(error.to_string(), words, "{hex}");
        let (kind, code) = error.to_answer();
        assert_eq!(kind.code_name(code), Some(answer), "{hex}");
    }
}

#[test]
fn hello_and_error_are_read_in_every_version() {
    for version in 0..=255_u8 {
        let hello = Bytes::from(vec![version, 0, 0, 8, 0, 0, 0, 1]);
        assert_eq!(Message::decode(&hello).map(|message| message.version), Ok(version));
        let error = Bytes::from(vec![version, 1, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(Message::decode(&error).map(|message| message.version), Ok(version));
        let echo = Bytes::from(vec![version, 2, 0, 8, 0, 0, 0, 1]);
        assert_eq!(Message::decode(&echo).is_ok(), version == 4);
    }
}

#[test]
fn a_value_that_could_not_be_read_back_is_not_written_and_leaves_nothing_behind() {
    let any = || Bytes::from_static(b"1234");
    let rule = |instructions| {
        Body::FlowMod(FlowMod {
            instructions,
            ..FlowMod::new(FlowModCommand::ADD, TableId(0))
        })
    };
    let action = |action| rule(vec![Instruction::ApplyActions(vec![action])]);
    let long = Bytes::from(vec![0_u8; 65_528]);
    let many = Match::from_iter((0..8_500).map(|_| Oxm::in_port(PortNo(1))));
    let cases = [
        (
            Body::Unknown {
                kind: MessageType::HELLO,
                body: any(),
            },
            "ofp_header: type 0 is known and was given as unknown",
        ),
        (
            Body::EchoRequest(long),
            "ofp_header: 65536 bytes do not fit its length field",
        ),
        (
            Body::Error(ErrorMsg {
                kind: ErrorType::EXPERIMENTER,
                code: 1,
                data: Bytes::from_static(b"abc"),
            }),
            "ofp_error_experimenter_msg: a body of 3 bytes is not possible",
        ),
        (
            action(Action::Unknown {
                kind: ActionType::OUTPUT,
                body: any(),
            }),
            "ofp_action_header: type 0 is known and was given as unknown",
        ),
        (
            action(Action::Unknown {
                kind: ActionType(99),
                body: Bytes::from_static(b"12345678"),
            }),
            "ofp_action_header: a body of 8 bytes is not possible",
        ),
        (
            action(Action::Experimenter {
                experimenter: ExperimenterId(1),
                body: any(),
            }),
            "ofp_action_experimenter_header: a body of 4 bytes is not possible",
        ),
        (
            action(Action::Experimenter {
                experimenter: ExperimenterId::NICIRA,
                body: Bytes::from_static(&[0, 7, 0, 0, 0, 0, 0, 0]),
            }),
            "ofp_action_experimenter_header: type 7 is known and was given as unknown",
        ),
        (
            action(Action::Experimenter {
                experimenter: ExperimenterId::ONF,
                body: Bytes::from_static(&[0x0c, 0x80, 0, 0, 0, 0, 0, 0]),
            }),
            "ofp_action_experimenter_header: type 3200 is known and was given as unknown",
        ),
        (
            action(Action::RegLoad(FieldLoad {
                bits: OfsNBits::new(0, 8).expect("a byte"),
                dst: OxmId::of(OxmField::ONFOXM_ET_ACTSET_OUTPUT).expect("a known field"),
                value: 1,
            })),
            "nx_action_reg_load: type 1330529792 has another body",
        ),
        (
            Body::Experimenter(Experimenter {
                experimenter: ExperimenterId::ONF,
                exp_type: BundleAdd::EXP_TYPE,
                data: any(),
            }),
            "ofp_experimenter_header: type 2301 is known and was given as unknown",
        ),
        (
            Body::BundleAdd(BundleAdd {
                bundle_id: 1,
                flags: BundleFlags::NONE,
                message: Bytes::from_static(&[4, 2, 0, 9, 0, 0, 0, 1]),
                properties: Vec::new(),
            }),
            "ofp_bundle_add_msg: a body of 8 bytes is not possible",
        ),
        (
            Body::BundleControl(BundleControl {
                properties: vec![BundleProp::Unknown {
                    kind: BundlePropType::EXPERIMENTER,
                    body: any(),
                }],
                ..BundleControl::new(1, BundleCtrlType::OPEN_REQUEST, BundleFlags::NONE)
            }),
            "ofp_bundle_prop_header: type 65535 is known and was given as unknown",
        ),
        (
            rule(vec![Instruction::Unknown {
                kind: InstructionType::METER,
                body: any(),
            }]),
            "ofp_instruction: type 6 is known and was given as unknown",
        ),
        (
            rule(vec![Instruction::Experimenter {
                experimenter: ExperimenterId(1),
                body: any(),
            }]),
            "ofp_instruction_experimenter: a body of 4 bytes is not possible",
        ),
        (
            Body::FlowMod(FlowMod {
                matching: many,
                ..FlowMod::new(FlowModCommand::ADD, TableId(0))
            }),
            "ofp_match: 68004 bytes do not fit its length field",
        ),
        (
            Body::Hello(Hello {
                elements: vec![HelloElement::Opaque(any())],
            }),
            "ofp_hello_elem_header: does not exist in version 0x04",
        ),
        (
            Body::Hello(Hello {
                elements: vec![HelloElement::Unknown {
                    kind: HelloElementType::VERSIONBITMAP,
                    body: any(),
                }],
            }),
            "ofp_hello_elem_header: type 1 is known and was given as unknown",
        ),
        (
            Body::MultipartRequest(MultipartRequest::new(MultipartRequestBody::Unknown {
                kind: MultipartType::FLOW,
                body: any(),
            })),
            "ofp_multipart_request: type 1 is known and was given as unknown",
        ),
    ];
    for (body, words) in cases {
        let mut out = BytesMut::from(&b"before"[..]);
        let error = Message::new(1, body).encode(&mut out).expect_err(words);
        assert_eq!(error.to_string(), words);
        assert_eq!(&out[..], b"before");
    }
    let old = Message {
        version: 1,
        ..Message::new(1, Body::BarrierRequest)
    };
    let unknown = Message {
        version: VERSION_1_4,
        ..Message::new(
            1,
            Body::Unknown {
                kind: MessageType::BUNDLE_CONTROL,
                body: any(),
            },
        )
    };
    assert_eq!(
        unknown.to_bytes().expect_err("it is known in 1.4").to_string(),
        "ofp_header: type 33 is known and was given as unknown"
    );
    let error = old.to_bytes().expect_err("1.0 has no such barrier");
    assert_eq!(error.to_string(), "ofp_header: does not exist in version 0x01");
}

#[test]
fn a_field_of_the_wrong_width_cannot_be_made() {
    let error = Oxm::new(OxmField::IN_PORT, &[1, 2, 3], None).expect_err("three bytes");
    assert_eq!(
        error.to_string(),
        "ofp_match: a value of 3 bytes does not fit OXM_OF_IN_PORT"
    );
    assert!(Oxm::new(OxmField::METADATA, &[0; 8], Some(&[0; 7])).is_err());
    let own = OxmField::of_experimenter(ExperimenterId::ONF, 99);
    assert!(Oxm::new(own, &[0; 251], None).is_ok());
    assert!(Oxm::new(own, &[0; 252], None).is_err());
    assert!(Oxm::new(own, &[0; 126], Some(&[0; 126])).is_err());
}

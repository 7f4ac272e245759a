//! What is refused in a rule: its match, its actions and its instructions.

use super::values::*;
use bytes::Bytes;
use ofproto::*;

/// What is wrong with a match.
pub fn matches() -> Vec<Row> {
    let unknown = OxmField::basic(100);
    vec![
        (
            matching([oxm(unknown, &[1], None)]),
            "ofp_match: oxm 0x8000:100 is not known",
            "OFPBMC_BAD_FIELD",
        ),
        (
            matching([Oxm::in_port(PortNo(1)), Oxm::in_port(PortNo(2))]),
            "ofp_match: OXM_OF_IN_PORT stands there before",
            "OFPBMC_DUP_FIELD",
        ),
        (
            matching([oxm(OxmField::IN_PORT, &[0, 0, 0, 1], Some(&[0xff; 4]))]),
            "ofp_match: OXM_OF_IN_PORT cannot be masked",
            "OFPBMC_BAD_MASK",
        ),
        (
            matching([Oxm::metadata_masked(0x1234, 0xff)]),
            "ofp_match: the value of OXM_OF_METADATA has bits outside its mask",
            "OFPBMC_BAD_WILDCARDS",
        ),
        (
            matching([Oxm::vlan_vid(5), Oxm::vlan_pcp(8)]),
            "ofp_match: the value of OXM_OF_VLAN_PCP has more bits than the field",
            "OFPBMC_BAD_VALUE",
        ),
        (
            matching([Oxm::vlan_vid_raw(0x2001)]),
            "ofp_match: the value of OXM_OF_VLAN_VID has more bits than the field",
            "OFPBMC_BAD_VALUE",
        ),
        (
            matching([Oxm::eth_type(0x8847), Oxm::mpls_label(0x10_0000)]),
            "ofp_match: the value of OXM_OF_MPLS_LABEL has more bits than the field",
            "OFPBMC_BAD_VALUE",
        ),
        (
            matching([Oxm::in_port(PortNo::ALL)]),
            "ofp_match: OXM_OF_IN_PORT cannot have this value",
            "OFPBMC_BAD_VALUE",
        ),
        (
            matching([Oxm::in_port(PortNo(0))]),
            "ofp_match: OXM_OF_IN_PORT cannot have this value",
            "OFPBMC_BAD_VALUE",
        ),
        (
            matching([Oxm::tcp_dst(80)]),
            "ofp_match: what OXM_OF_TCP_DST needs is not matched before it",
            "OFPBMC_BAD_PREREQ",
        ),
        (
            matching([Oxm::eth_type(0x0800), Oxm::ip_proto(17), Oxm::tcp_dst(80)]),
            "ofp_match: what OXM_OF_TCP_DST needs is not matched before it",
            "OFPBMC_BAD_PREREQ",
        ),
        (
            matching([Oxm::ip_proto(6), Oxm::eth_type(0x0800)]),
            "ofp_match: what OXM_OF_IP_PROTO needs is not matched before it",
            "OFPBMC_BAD_PREREQ",
        ),
        (
            matching([Oxm::vlan_none(), Oxm::vlan_pcp(1)]),
            "ofp_match: what OXM_OF_VLAN_PCP needs is not matched before it",
            "OFPBMC_BAD_PREREQ",
        ),
        (
            matching([oxm(OxmField::IN_PHY_PORT, &[0, 0, 0, 1], None)]),
            "ofp_match: what OXM_OF_IN_PHY_PORT needs is not matched before it",
            "OFPBMC_BAD_PREREQ",
        ),
        (
            request(MultipartRequestBody::Flow(FlowStatsRequest {
                matching: [Oxm::arp_op(1)].into(),
                ..FlowStatsRequest::all()
            })),
            "ofp_match: what OXM_OF_ARP_OP needs is not matched before it",
            "OFPBMC_BAD_PREREQ",
        ),
    ]
}

/// What is wrong with actions.
pub fn actions() -> Vec<Row> {
    let output = |port| apply(Action::output(port));
    vec![
        (
            output(PortNo::ANY),
            "ofp_action_output: port OFPP_ANY cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
        (
            output(PortNo::TABLE),
            "ofp_action_output: port OFPP_TABLE cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
        (
            output(PortNo(0)),
            "ofp_action_output: port 0 cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
        (
            output(PortNo(0xffff_ff01)),
            "ofp_action_output: port 4294967041 cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
        (
            apply(Action::PushVlan(0x0800)),
            "ofp_action_push: Ethernet type 0x0800 is not one of such a header",
            "OFPBAC_BAD_ARGUMENT",
        ),
        (
            apply(Action::PushMpls(0x8100)),
            "ofp_action_push: Ethernet type 0x8100 is not one of such a header",
            "OFPBAC_BAD_ARGUMENT",
        ),
        (
            apply(Action::PushPbb(0x8847)),
            "ofp_action_push: Ethernet type 0x8847 is not one of such a header",
            "OFPBAC_BAD_ARGUMENT",
        ),
        (
            apply(Action::SetQueue(QueueId::ALL)),
            "ofp_action_set_queue: queue OFPQ_ALL cannot stand here",
            "OFPBAC_BAD_QUEUE",
        ),
        (
            apply(Action::Group(GroupId::ANY)),
            "ofp_action_group: group OFPG_ANY cannot stand here",
            "OFPBAC_BAD_OUT_GROUP",
        ),
        (
            apply(Action::Unknown {
                kind: ActionType(99),
                body: Bytes::from_static(b"1234"),
            }),
            "ofp_action_header: type 99 is not known",
            "OFPBAC_BAD_TYPE",
        ),
        (
            apply(Action::Experimenter {
                experimenter: STRANGER,
                body: Bytes::new(),
            }),
            "ofp_action_experimenter_header: experimenter 0x0000abcd is not known",
            "OFPBAC_BAD_EXPERIMENTER",
        ),
        (
            apply(Action::Experimenter {
                experimenter: ExperimenterId::NICIRA,
                body: Bytes::from_static(&[0, 99, 0, 0, 0, 0, 0, 0]),
            }),
            "ofp_action_experimenter_header: experimenter 0x00002320 has no type 99",
            "OFPBAC_BAD_EXP_TYPE",
        ),
        (
            apply(Action::PopVlan),
            "ofp_action_header: the match does not promise what OFPAT_POP_VLAN works on",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            apply(Action::DecMplsTtl),
            "ofp_action_header: the match does not promise what OFPAT_DEC_MPLS_TTL works on",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            rule([], vec![Instruction::ApplyActions(vec![Action::SetNwTtl(3)])]),
            "ofp_action_nw_ttl: the match does not promise what OFPAT_SET_NW_TTL works on",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            rule([], vec![Instruction::ApplyActions(vec![Action::CopyTtlIn])]),
            "ofp_action_header: the match does not promise what OFPAT_COPY_TTL_IN works on",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            apply(Action::PopPbb),
            "ofp_action_header: the match does not promise what OFPAT_POP_PBB works on",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            rule(
                [Oxm::vlan_vid(1)],
                vec![Instruction::ApplyActions(vec![Action::PopVlan, Action::PopVlan])],
            ),
            "ofp_action_header: the match does not promise what OFPAT_POP_VLAN works on",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            rule(
                [Oxm::eth_type(0x0800), Oxm::ip_proto(6)],
                vec![Instruction::ApplyActions(vec![
                    Action::PushMpls(0x8847),
                    Action::SetField(Oxm::tcp_dst(80)),
                ])],
            ),
            "ofp_action_set_field: the match does not promise what OXM_OF_TCP_DST is set in",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            apply(copied(OxmField::TCP_SRC, OxmField::NXM_NX_REG0, 16)),
            "ofp_action_copy_field: the match does not promise what OXM_OF_TCP_SRC is set in",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            apply(copied(OxmField::NXM_NX_REG0, OxmField::NXM_NX_REG1, 33)),
            "ofp_action_copy_field: NXM_NX_REG0 has no 33 bits from bit 0 on",
            "OFPBAC_BAD_SET_LEN",
        ),
        (
            apply(copied(OxmField::basic(100), OxmField::NXM_NX_REG1, 8)),
            "ofp_action_copy_field: oxm 0x8000:100 is not known",
            "OFPBAC_BAD_SET_TYPE",
        ),
        (
            apply(Action::RegLoad(FieldLoad {
                bits: OfsNBits::new(0, 4).expect("four bits"),
                dst: OxmId {
                    field: OxmField::NXM_NX_REG0,
                    masked: false,
                    length: 4,
                },
                value: 16,
            })),
            "nx_action_reg_load: the value of NXM_NX_REG0 has more bits than the field",
            "OFPBAC_BAD_ARGUMENT",
        ),
        (
            apply(Action::RegLoad(FieldLoad {
                bits: OfsNBits::new(0, 4).expect("four bits"),
                dst: OxmId {
                    field: OxmField::NXM_NX_REG0,
                    masked: false,
                    length: 5,
                },
                value: 1,
            })),
            "nx_action_reg_load: NXM_NX_REG0 is not known",
            "OFPBAC_BAD_SET_TYPE",
        ),
    ]
}

/// What is wrong with fields that are set.
pub fn set_fields() -> Vec<Row> {
    vec![
        (
            set(OxmField::basic(100), &[1], None),
            "ofp_action_set_field: oxm 0x8000:100 is not known",
            "OFPBAC_BAD_SET_TYPE",
        ),
        (
            set(OxmField::METADATA, &[0; 8], None),
            "ofp_action_set_field: OXM_OF_METADATA cannot be set",
            "OFPBAC_BAD_SET_TYPE",
        ),
        (
            set(OxmField::IN_PORT, &[0, 0, 0, 1], None),
            "ofp_action_set_field: OXM_OF_IN_PORT cannot be set",
            "OFPBAC_BAD_SET_TYPE",
        ),
        (
            set(OxmField::ETH_SRC, &[0; 6], Some(&[0xff; 6])),
            "ofp_action_set_field: OXM_OF_ETH_SRC is set with a mask",
            "4250 of the ONF",
        ),
        (
            set(OxmField::IP_DSCP, &[0x40], None),
            "ofp_action_set_field: the value of OXM_OF_IP_DSCP has more bits than the field",
            "OFPBAC_BAD_SET_ARGUMENT",
        ),
        (
            set(OxmField::VLAN_VID, &[0, 5], None),
            "ofp_action_set_field: OXM_OF_VLAN_VID cannot have this value",
            "OFPBAC_BAD_SET_ARGUMENT",
        ),
        (
            set(OxmField::VLAN_VID, &[0x10, 5], None),
            "ofp_action_set_field: the match does not promise what OXM_OF_VLAN_VID is set in",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
    ]
}

/// What is wrong with instructions.
pub fn instructions() -> Vec<Row> {
    let one = |instruction| rule([], vec![instruction]);
    vec![
        (
            one(Instruction::GotoTable(TableId(3))),
            "ofp_instruction_goto_table: table 3 cannot stand here",
            "OFPBIC_BAD_TABLE_ID",
        ),
        (
            one(Instruction::GotoTable(TableId::ALL)),
            "ofp_instruction_goto_table: table OFPTT_ALL cannot stand here",
            "OFPBIC_BAD_TABLE_ID",
        ),
        (
            one(Instruction::Meter(MeterId(0))),
            "ofp_instruction_meter: meter 0 cannot stand here",
            "OFPMMFC_INVALID_METER",
        ),
        (
            one(Instruction::Meter(MeterId::ALL)),
            "ofp_instruction_meter: meter OFPM_ALL cannot stand here",
            "OFPMMFC_INVALID_METER",
        ),
        (
            rule([], vec![Instruction::ClearActions, Instruction::ClearActions]),
            "ofp_instruction: OFPIT_CLEAR_ACTIONS stands there before",
            "2600 of the ONF",
        ),
        (
            one(Instruction::Unknown {
                kind: InstructionType(77),
                body: Bytes::from_static(b"1234"),
            }),
            "ofp_instruction: type 77 is not known",
            "OFPBIC_UNKNOWN_INST",
        ),
        (
            one(Instruction::Experimenter {
                experimenter: STRANGER,
                body: Bytes::new(),
            }),
            "ofp_instruction_experimenter: experimenter 0x0000abcd is not known",
            "OFPBIC_BAD_EXPERIMENTER",
        ),
        (
            one(Instruction::WriteActions(vec![Action::output(PortNo::ANY)])),
            "ofp_action_output: port OFPP_ANY cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
    ]
}

//! What is refused when rules, groups and meters are changed.

use super::values::*;
use bytes::Bytes;
use ofproto::*;

/// What is wrong with what is done to rules, groups and meters.
pub fn modifications() -> Vec<Row> {
    use GroupModCommand as G;
    use MeterModCommand as M;
    let deleted = |out_port, out_group| {
        flow_mod(|rule| {
            rule.command = FlowModCommand::DELETE;
            (rule.out_port, rule.out_group) = (out_port, out_group);
        })
    };
    let own = || bucket(|bucket| bucket.actions = vec![Action::Group(GroupId(7))]);
    let band = |band| meter(M::ADD, 1, 1, vec![band]);
    vec![
        (
            flow_mod(|rule| rule.command = FlowModCommand(5)),
            "ofp_flow_mod: command 5 is not known",
            "OFPFMFC_BAD_COMMAND",
        ),
        (
            flow_mod(|rule| rule.table_id = TableId::ALL),
            "ofp_flow_mod: table OFPTT_ALL cannot stand here",
            "OFPFMFC_BAD_TABLE_ID",
        ),
        (
            flow_mod(|rule| rule.flags = FlowModFlags(0x20)),
            "ofp_flow_mod: flags 0x20 have no meaning",
            "OFPFMFC_BAD_FLAGS",
        ),
        (
            deleted(PortNo(0), GroupId::ANY),
            "ofp_flow_mod: port 0 cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
        (
            deleted(PortNo::ANY, GroupId(0xffff_ff01)),
            "ofp_flow_mod: group 4294967041 cannot stand here",
            "OFPBAC_BAD_OUT_GROUP",
        ),
        (
            group(GroupModCommand(9), GroupType::ALL, 7, Vec::new()),
            "ofp_group_mod: command 9 is not known",
            "OFPGMFC_BAD_COMMAND",
        ),
        (
            group(G::ADD, GroupType(4), 7, Vec::new()),
            "ofp_group_mod: type 4 is not known",
            "OFPGMFC_BAD_TYPE",
        ),
        (
            group(G::ADD, GroupType::ALL, 0xffff_fffc, Vec::new()),
            "ofp_group_mod: group OFPG_ALL cannot stand here",
            "OFPGMFC_INVALID_GROUP",
        ),
        (
            group(G::DELETE, GroupType::ALL, 0xffff_ffff, Vec::new()),
            "ofp_group_mod: group OFPG_ANY cannot stand here",
            "OFPGMFC_INVALID_GROUP",
        ),
        (
            group(G::DELETE, GroupType::ALL, 7, bucket(|_| {})),
            "ofp_group_mod: 1 buckets are not possible here",
            "OFPGMFC_INVALID_GROUP",
        ),
        (
            group(G::ADD, GroupType::INDIRECT, 7, Vec::new()),
            "ofp_group_mod: 0 buckets are not possible here",
            "OFPGMFC_INVALID_GROUP",
        ),
        (
            group(G::ADD, GroupType::ALL, 7, bucket(|bucket| bucket.weight = 2)),
            "ofp_bucket: weight 2 in a group that is not OFPGT_SELECT",
            "OFPGMFC_INVALID_GROUP",
        ),
        (
            group(G::ADD, GroupType::FF, 7, bucket(|_| {})),
            "ofp_bucket: a bucket of OFPGT_FF watches no port and no group",
            "OFPGMFC_INVALID_GROUP",
        ),
        (
            group(G::ADD, GroupType::ALL, 7, own()),
            "ofp_bucket: group 7 hands packets to itself",
            "OFPGMFC_LOOP",
        ),
        (
            group(
                G::ADD,
                GroupType::FF,
                7,
                bucket(|bucket| bucket.watch_port = PortNo::CONTROLLER),
            ),
            "ofp_bucket: port OFPP_CONTROLLER cannot stand here",
            "OFPGMFC_BAD_WATCH",
        ),
        (
            group(
                G::ADD,
                GroupType::FF,
                7,
                bucket(|bucket| bucket.watch_group = GroupId::ALL),
            ),
            "ofp_bucket: group OFPG_ALL cannot stand here",
            "OFPGMFC_BAD_WATCH",
        ),
        (
            meter(MeterModCommand(3), 1, 1, Vec::new()),
            "ofp_meter_mod: command 3 is not known",
            "OFPMMFC_BAD_COMMAND",
        ),
        (
            meter(M::ADD, 3, 1, Vec::new()),
            "ofp_meter_mod: flags 0x3 exclude each other",
            "OFPMMFC_BAD_FLAGS",
        ),
        (
            meter(M::ADD, 0x11, 1, Vec::new()),
            "ofp_meter_mod: flags 0x10 have no meaning",
            "OFPMMFC_BAD_FLAGS",
        ),
        (
            meter(M::ADD, 1, 0, Vec::new()),
            "ofp_meter_mod: meter 0 cannot stand here",
            "OFPMMFC_INVALID_METER",
        ),
        (
            meter(M::MODIFY, 1, 0xffff_ffff, Vec::new()),
            "ofp_meter_mod: meter OFPM_ALL cannot stand here",
            "OFPMMFC_INVALID_METER",
        ),
        (
            band(MeterBand::Unknown {
                kind: MeterBandType(9),
                rate: 1,
                burst_size: 0,
                body: Bytes::from_static(b"1234"),
            }),
            "ofp_meter_band_header: type 9 is not known",
            "OFPMMFC_BAD_BAND",
        ),
        (
            band(MeterBand::Experimenter {
                rate: 1,
                burst_size: 0,
                experimenter: STRANGER,
                body: Bytes::new(),
            }),
            "ofp_meter_band_experimenter: experimenter 0x0000abcd is not known",
            "OFPMMFC_BAD_BAND",
        ),
    ]
}

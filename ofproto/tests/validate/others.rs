//! What is refused of all else that is said to a switch, or told by one.

use super::values::*;
use bytes::Bytes;
use ofproto::*;

/// What is wrong with what is said to a switch or asked of it.
pub fn others() -> Vec<Row> {
    use MultipartRequestBody as R;
    use TableFeatureBody as B;
    use TableFeaturePropType as P;
    let action = ActionId {
        kind: ActionType(99),
        body: Bytes::new(),
    };
    let instruction = InstructionId {
        kind: InstructionType(99),
        body: Bytes::new(),
    };
    let field = OxmId {
        field: OxmField::basic(100),
        masked: false,
        length: 4,
    };
    vec![
        (
            Body::Hello(Hello::with_versions(&[1])),
            "ofp_hello: version 1.3 is not offered",
            "OFPHFC_INCOMPATIBLE",
        ),
        (
            Body::SetConfig(SwitchConfig {
                flags: ConfigFlags(3),
                miss_send_len: 128,
            }),
            "ofp_switch_config: flags 0x3 exclude each other",
            "OFPSCFC_BAD_FLAGS",
        ),
        (
            Body::SetConfig(SwitchConfig {
                flags: ConfigFlags(4),
                miss_send_len: 128,
            }),
            "ofp_switch_config: flags 0x4 have no meaning",
            "OFPSCFC_BAD_FLAGS",
        ),
        (
            Body::RoleRequest(RoleMsg {
                role: ControllerRole(4),
                generation_id: 0,
            }),
            "ofp_role_request: role 4 is not known",
            "OFPRRFC_BAD_ROLE",
        ),
        (
            async_config(|config| config.packet_in_mask = [PacketInReasons::NONE, PacketInReasons(8)]),
            "ofp_async_config: flags 0x8 have no meaning",
            "OFPBRC_EPERM",
        ),
        (
            async_config(|config| config.port_status_mask = [PortReasons(8), PortReasons::NONE]),
            "ofp_async_config: flags 0x8 have no meaning",
            "OFPBRC_EPERM",
        ),
        (
            async_config(|config| config.flow_removed_mask = [FlowRemovedReasons(16); 2]),
            "ofp_async_config: flags 0x10 have no meaning",
            "OFPBRC_EPERM",
        ),
        (
            Body::TableMod(TableMod {
                table_id: TableId(0),
                config: 4,
            }),
            "ofp_table_mod: flags 0x4 have no meaning",
            "OFPTMFC_BAD_CONFIG",
        ),
        (
            port_mod(|port| port.port_no = PortNo::FLOOD),
            "ofp_port_mod: port OFPP_FLOOD cannot stand here",
            "OFPPMFC_BAD_PORT",
        ),
        (
            port_mod(|port| port.mask = PortConfig(2)),
            "ofp_port_mod: flags 0x2 have no meaning",
            "OFPPMFC_BAD_CONFIG",
        ),
        (
            port_mod(|port| port.advertise = PortFeatures(0x1_0000)),
            "ofp_port_mod: flags 0x10000 have no meaning",
            "OFPPMFC_BAD_ADVERTISE",
        ),
        (
            packet_out(PortNo::ANY, Action::output(PortNo(1))),
            "ofp_packet_out: port OFPP_ANY cannot stand here",
            "OFPBRC_BAD_PORT",
        ),
        (
            packet_out(PortNo(1), Action::output(PortNo::ANY)),
            "ofp_action_output: port OFPP_ANY cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
        (
            Body::PacketOut(PacketOut::new(Vec::new(), Bytes::new())),
            "ofp_packet_out: neither a packet nor a buffered one",
            "OFPBRC_BAD_PACKET",
        ),
        (
            Body::QueueGetConfigRequest(QueueGetConfigRequest { port: PortNo::ALL }),
            "ofp_queue_get_config_request: port OFPP_ALL cannot stand here",
            "OFPQOFC_BAD_PORT",
        ),
        (
            Body::MultipartRequest(MultipartRequest {
                flags: MultipartRequestFlags(2),
                body: R::Desc,
            }),
            "ofp_multipart_request: flags 0x2 have no meaning",
            "OFPBRC_BAD_MULTIPART",
        ),
        (
            request(R::Unknown {
                kind: MultipartType(14),
                body: Bytes::new(),
            }),
            "ofp_multipart_request: type 14 is not known",
            "OFPBRC_BAD_MULTIPART",
        ),
        (
            request(R::Experimenter(ExperimenterMultipart {
                experimenter: STRANGER,
                exp_type: 1,
                data: Bytes::new(),
            })),
            "ofp_experimenter_multipart_header: experimenter 0x0000abcd is not known",
            "OFPBRC_BAD_EXPERIMENTER",
        ),
        (
            request(R::Aggregate(FlowStatsRequest {
                out_port: PortNo(0),
                ..FlowStatsRequest::all()
            })),
            "ofp_flow_stats_request: port 0 cannot stand here",
            "OFPBAC_BAD_OUT_PORT",
        ),
        (
            request(R::PortStats(PortStatsRequest {
                port_no: PortNo::CONTROLLER,
            })),
            "ofp_port_stats_request: port OFPP_CONTROLLER cannot stand here",
            "OFPBRC_BAD_PORT",
        ),
        (
            request(R::Queue(QueueStatsRequest {
                port_no: PortNo::CONTROLLER,
                queue_id: QueueId::ALL,
            })),
            "ofp_queue_stats_request: port OFPP_CONTROLLER cannot stand here",
            "OFPQOFC_BAD_PORT",
        ),
        (
            request(R::Group(GroupStatsRequest { group_id: GroupId::ANY })),
            "ofp_group_stats_request: group OFPG_ANY cannot stand here",
            "OFPGMFC_UNKNOWN_GROUP",
        ),
        (
            request(R::MeterConfig(MeterRequest { meter_id: MeterId(0) })),
            "ofp_meter_multipart_request: meter 0 cannot stand here",
            "OFPMMFC_UNKNOWN_METER",
        ),
        (
            table(|table| table.table_id = TableId::ALL),
            "ofp_table_features: table OFPTT_ALL cannot stand here",
            "OFPTFFC_BAD_TABLE",
        ),
        (
            table(|table| {
                let next = || TableFeatureProp {
                    kind: P::NEXT_TABLES,
                    body: B::NextTables(Vec::new()),
                };
                table.properties = vec![next(), next()];
            }),
            "ofp_table_feature_prop_header: OFPTFPT_NEXT_TABLES stands there before",
            "4444 of the ONF",
        ),
        (
            property(P(9), B::Unknown(Bytes::new())),
            "ofp_table_feature_prop_header: type 9 is not known",
            "OFPTFFC_BAD_TYPE",
        ),
        (
            property(
                P::EXPERIMENTER,
                B::Experimenter {
                    experimenter: STRANGER,
                    exp_type: 1,
                    data: Bytes::new(),
                },
            ),
            "ofp_table_feature_prop_experimenter: experimenter 0x0000abcd is not known",
            "OFPTFFC_BAD_TYPE",
        ),
        (
            property(P::APPLY_ACTIONS, B::Actions(vec![action])),
            "ofp_table_feature_prop_actions: type 99 is not known",
            "OFPTFFC_BAD_ARGUMENT",
        ),
        (
            property(P::INSTRUCTIONS, B::Instructions(vec![instruction])),
            "ofp_table_feature_prop_instructions: type 99 is not known",
            "OFPTFFC_BAD_ARGUMENT",
        ),
        (
            property(P::MATCH, B::Oxms(vec![field])),
            "ofp_table_feature_prop_oxm: oxm 0x8000:100 is not known",
            "OFPTFFC_BAD_ARGUMENT",
        ),
        (
            property(P::NEXT_TABLES, B::NextTables(vec![TableId::ALL])),
            "ofp_table_feature_prop_next_tables: table OFPTT_ALL cannot stand here",
            "OFPTFFC_BAD_ARGUMENT",
        ),
        (
            experimenter(STRANGER, 1, b""),
            "ofp_experimenter_header: experimenter 0x0000abcd is not known",
            "OFPBRC_BAD_EXPERIMENTER",
        ),
        (
            experimenter(ExperimenterId::ONF, 1, b""),
            "ofp_experimenter_header: experimenter 0x4f4e4600 has no type 1",
            "OFPBRC_BAD_EXP_TYPE",
        ),
        (
            experimenter(ExperimenterId::ONF, RoleStatus::EXP_TYPE, b"short"),
            "ofp_role_status: a body of 5 bytes is not possible",
            "OFPBRC_BAD_LEN",
        ),
        (
            experimenter(ExperimenterId::ONF, RoleStatus::EXP_TYPE, &[9; 16]),
            "ofp_role_status: role 151587081 is not known",
            "OFPRRFC_BAD_ROLE",
        ),
        (
            Body::Unknown {
                kind: MessageType(99),
                body: Bytes::new(),
            },
            "ofp_header: type 99 is not known",
            "OFPBRC_BAD_TYPE",
        ),
    ]
}

/// What is wrong with bundles: in 1.3 it is said with the ONF's numbers, 2300 and up.
pub fn bundles() -> Vec<Row> {
    let open = |change: fn(&mut BundleControl)| {
        let mut control = BundleControl::new(1, BundleCtrlType::OPEN_REQUEST, BundleFlags::ATOMIC);
        change(&mut control);
        Body::BundleControl(control)
    };
    let add = |xid, body| {
        let message = Message::new(xid, body);
        Body::BundleAdd(BundleAdd::new(1, BundleFlags::ATOMIC, &message).expect("a message that can be written"))
    };
    let raw = |message: &'static [u8]| {
        Body::BundleAdd(BundleAdd {
            bundle_id: 1,
            flags: BundleFlags::NONE,
            message: Bytes::from_static(message),
            properties: Vec::new(),
        })
    };
    vec![
        (
            open(|control| control.kind = BundleCtrlType(8)),
            "ofp_bundle_ctrl_msg: type 8 is not known",
            "2306 of the ONF",
        ),
        (
            open(|control| control.flags = BundleFlags(4)),
            "ofp_bundle_ctrl_msg: flags 0x4 have no meaning",
            "2307 of the ONF",
        ),
        (
            open(|control| {
                control.properties = vec![BundleProp::Experimenter {
                    experimenter: STRANGER,
                    exp_type: 1,
                    data: Bytes::new(),
                }];
            }),
            "ofp_bundle_prop_header: experimenter 0x0000abcd is not known",
            "2300 of the ONF",
        ),
        (
            open(|control| {
                control.properties = vec![BundleProp::Unknown {
                    kind: BundlePropType(9),
                    body: Bytes::new(),
                }];
            }),
            "ofp_bundle_prop_header: type 9 is not known",
            "2300 of the ONF",
        ),
        (
            add(2, flow_mod(|_| {})),
            "ofp_bundle_add_msg: the message in it has transaction id 0x2",
            "2309 of the ONF",
        ),
        (
            add(1, Body::EchoRequest(Bytes::new())),
            "ofp_bundle_add_msg: OFPT_ECHO_REQUEST cannot be in a bundle",
            "2310 of the ONF",
        ),
        (
            add(1, flow_mod(|rule| rule.table_id = TableId::ALL)),
            "ofp_flow_mod: table OFPTT_ALL cannot stand here",
            "OFPFMFC_BAD_TABLE_ID",
        ),
        (
            raw(&[4, 17, 0, 8, 0, 0, 0, 1]),
            "ofp_table_mod: the message in a bundle is malformed",
            "OFPBRC_BAD_LEN",
        ),
    ]
}

/// What is told of what exists, of which only the parts are judged.
pub fn told() -> Vec<Row> {
    let told = |body| Body::MultipartReply(MultipartReply::new(body));
    let stats = |matching: Match, flags, instructions| {
        told(MultipartReplyBody::Flow(vec![FlowStats {
            table_id: TableId(9),
            duration_sec: 0,
            duration_nsec: 0,
            priority: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: FlowModFlags(flags),
            cookie: 0,
            packet_count: 0,
            byte_count: 0,
            matching,
            instructions,
        }]))
    };
    let packet = |matching| {
        Body::PacketIn(PacketIn {
            buffer_id: NO_BUFFER,
            total_len: 0,
            reason: PacketInReason::ACTION,
            table_id: TableId(0),
            cookie: 0,
            matching,
            data: Bytes::new(),
        })
    };
    vec![
        (
            stats([Oxm::tcp_dst(80)].into(), 0, Vec::new()),
            "ofp_match: what OXM_OF_TCP_DST needs is not matched before it",
            "OFPBMC_BAD_PREREQ",
        ),
        (
            stats(Match::new(), 0x20, Vec::new()),
            "ofp_flow_stats: flags 0x20 have no meaning",
            "OFPFMFC_BAD_FLAGS",
        ),
        (
            stats(
                Match::new(),
                0,
                vec![Instruction::ApplyActions(vec![Action::Group(GroupId::ALL)])],
            ),
            "ofp_action_group: group OFPG_ALL cannot stand here",
            "OFPBAC_BAD_OUT_GROUP",
        ),
        (
            told(MultipartReplyBody::GroupDesc(vec![GroupDesc {
                kind: GroupType(77),
                group_id: GroupId::ANY,
                buckets: bucket(|bucket| bucket.watch_port = PortNo(0)),
            }])),
            "ofp_bucket: port 0 cannot stand here",
            "OFPGMFC_BAD_WATCH",
        ),
        (
            told(MultipartReplyBody::MeterConfig(vec![MeterConfig {
                flags: MeterFlags(0xff),
                meter_id: MeterId(0),
                bands: vec![MeterBand::Unknown {
                    kind: MeterBandType(9),
                    rate: 0,
                    burst_size: 0,
                    body: Bytes::from_static(b"1234"),
                }],
            }])),
            "ofp_meter_band_header: type 9 is not known",
            "OFPMMFC_BAD_BAND",
        ),
        (
            told(MultipartReplyBody::Unknown {
                kind: MultipartType(14),
                body: Bytes::new(),
            }),
            "ofp_multipart_reply: type 14 is not known",
            "OFPBRC_BAD_MULTIPART",
        ),
        (
            packet([Oxm::in_port(PortNo(1)), Oxm::in_port(PortNo(1))].into()),
            "ofp_match: OXM_OF_IN_PORT stands there before",
            "OFPBMC_DUP_FIELD",
        ),
    ]
}

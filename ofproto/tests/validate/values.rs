//! Messages of which one thing is said, and the rest is fine.

use bytes::Bytes;
use ofproto::*;

/// A rule of table 3 with this match and these instructions.
pub fn rule<const N: usize>(matching: [Oxm; N], instructions: Vec<Instruction>) -> Body {
    Body::FlowMod(FlowMod {
        matching: matching.into(),
        instructions,
        ..FlowMod::new(FlowModCommand::ADD, TableId(3))
    })
}

pub fn matching<const N: usize>(fields: [Oxm; N]) -> Body {
    rule(fields, Vec::new())
}

/// A rule for IPv4 that applies this.
pub fn apply(action: Action) -> Body {
    rule([Oxm::eth_type(0x0800)], vec![Instruction::ApplyActions(vec![action])])
}

pub fn set(field: OxmField, value: &[u8], mask: Option<&[u8]>) -> Body {
    apply(Action::SetField(oxm(field, value, mask)))
}

pub fn oxm(field: OxmField, value: &[u8], mask: Option<&[u8]>) -> Oxm {
    Oxm::new(field, value, mask).expect("a field of its width")
}

pub fn flow_mod(change: impl FnOnce(&mut FlowMod)) -> Body {
    let mut rule = FlowMod::new(FlowModCommand::ADD, TableId(0));
    change(&mut rule);
    Body::FlowMod(rule)
}

pub fn group(command: GroupModCommand, kind: GroupType, id: u32, buckets: Vec<Bucket>) -> Body {
    Body::GroupMod(GroupMod {
        command,
        kind,
        group_id: GroupId(id),
        buckets,
    })
}

pub fn bucket(change: impl FnOnce(&mut Bucket)) -> Vec<Bucket> {
    let mut bucket = Bucket::new(Vec::new());
    change(&mut bucket);
    vec![bucket]
}

pub fn meter(command: MeterModCommand, flags: u16, id: u32, bands: Vec<MeterBand>) -> Body {
    Body::MeterMod(MeterMod {
        command,
        flags: MeterFlags(flags),
        meter_id: MeterId(id),
        bands,
    })
}

pub fn packet_out(in_port: PortNo, action: Action) -> Body {
    let mut packet = PacketOut::new(vec![action], Bytes::from_static(b"packet"));
    packet.in_port = in_port;
    Body::PacketOut(packet)
}

pub fn request(body: MultipartRequestBody) -> Body {
    Body::MultipartRequest(MultipartRequest::new(body))
}

pub fn table(change: impl FnOnce(&mut TableFeatures)) -> Body {
    let mut table = TableFeatures {
        table_id: TableId(0),
        name: FixedText::new("a table"),
        metadata_match: 0,
        metadata_write: 0,
        config: 0,
        max_entries: 1,
        properties: Vec::new(),
    };
    change(&mut table);
    request(MultipartRequestBody::TableFeatures(vec![table]))
}

pub fn property(kind: TableFeaturePropType, body: TableFeatureBody) -> Body {
    table(|table| table.properties = vec![TableFeatureProp { kind, body }])
}

pub fn port_mod(change: impl FnOnce(&mut PortMod)) -> Body {
    let mut port = PortMod {
        port_no: PortNo(1),
        hw_addr: MacAddr([0; 6]),
        config: PortConfig::NONE,
        mask: PortConfig::NONE,
        advertise: PortFeatures::NONE,
    };
    change(&mut port);
    Body::PortMod(port)
}

pub fn copied(src: OxmField, dst: OxmField, n_bits: u16) -> Action {
    let id = |field: OxmField| OxmId {
        field,
        masked: false,
        length: field
            .width()
            .map_or(0, |width| u8::try_from(width).expect("a short field")),
    };
    Action::CopyField(FieldCopy {
        n_bits,
        src_offset: 0,
        dst_offset: 0,
        src: id(src),
        dst: id(dst),
    })
}

pub fn async_config(change: impl FnOnce(&mut AsyncConfig)) -> Body {
    let mut config = AsyncConfig {
        packet_in_mask: [PacketInReasons::NONE; 2],
        port_status_mask: [PortReasons::NONE; 2],
        flow_removed_mask: [FlowRemovedReasons::NONE; 2],
    };
    change(&mut config);
    Body::SetAsync(config)
}

pub fn experimenter(experimenter: ExperimenterId, exp_type: u32, data: &'static [u8]) -> Body {
    Body::Experimenter(Experimenter {
        experimenter,
        exp_type,
        data: Bytes::from_static(data),
    })
}

/// A message that is refused, with which words, and with which code.
pub type Row = (Body, &'static str, &'static str);

/// An experimenter that nobody knows.
pub const STRANGER: ExperimenterId = ExperimenterId(0xabcd);

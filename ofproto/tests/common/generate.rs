//! Values of every message, made from a string of random bytes.
//!
//! Drawing from bytes keeps every value reachable, lets proptest shrink by zeroing and
//! shortening them, and lets other tests make the same values from a plain seed.

use super::valid::{make_valid, plain_oxm, valid_match};
use bytes::Bytes;
use ofproto::*;

/// Random bytes that are used up; zeros follow when they are gone.
pub struct Draw<'e> {
    bytes: &'e [u8],
    /// Only values that a switch would take: known code points, match fields with
    /// their prerequisites, no extensions.
    pub valid: bool,
}

impl<'e> Draw<'e> {
    pub fn new(bytes: &'e [u8], valid: bool) -> Self {
        Self { bytes, valid }
    }

    pub fn u8(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        [0; N].map(|_| self.u8())
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = usize::from(u16::from_be_bytes(self.array()));
        wide % n
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub fn bytes(&mut self, len: usize) -> Bytes {
        (0..len).map(|_| self.u8()).collect::<Vec<u8>>().into()
    }

    /// Up to `max` bytes.
    pub fn some_bytes(&mut self, max: usize) -> Bytes {
        let len = self.below(max + 1);
        self.bytes(len)
    }

    pub fn list<T: Gen>(&mut self, max: usize) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| T::generate(self)).collect()
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Something that can be drawn.
pub trait Gen {
    fn generate(d: &mut Draw<'_>) -> Self;
}

macro_rules! numbers {
    ($($int:ident),*) => {$(
        impl Gen for $int {
            fn generate(d: &mut Draw<'_>) -> Self {
                match d.u8() % 8 {
                    0 => 0,
                    1 => $int::MAX,
                    2 => 1,
                    _ => $int::from_be_bytes(d.array()),
                }
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64);

macro_rules! code_points {
    ($($name:ident),* $(,)?) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                if !d.valid && d.one_in(3) {
                    return Self(Gen::generate(d));
                }
                d.pick(Self::NAMES).0
            }
        }
    )*};
}
code_points!(
    ErrorType,
    RoleReason,
    ControllerRole,
    PortReason,
    PacketInReason,
    FlowModCommand,
    FlowRemovedReason,
    GroupModCommand,
    GroupType,
    MeterModCommand,
    MessageType,
    ActionType,
    InstructionType,
    MeterBandType,
    QueuePropType,
    MultipartType,
    HelloElementType,
    BundleCtrlType,
);

macro_rules! flag_words {
    ($($name:ident),* $(,)?) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                let any = Self(Gen::generate(d));
                if d.valid { Self(any.0 ^ any.unknown()) } else { any }
            }
        }
    )*};
}
flag_words!(
    BundleFlags,
    Capabilities,
    ConfigFlags,
    PortConfig,
    PortState,
    PortFeatures,
    FlowModFlags,
    GroupCapabilities,
    GroupTypes,
    ActionTypes,
    MeterFlags,
    MeterBandTypes,
    MeterCapabilities,
    MultipartRequestFlags,
    MultipartReplyFlags,
    PacketInReasons,
    PortReasons,
    FlowRemovedReasons,
);

macro_rules! ids {
    ($($name:ident),* $(,)?) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                if d.one_in(4) && !d.valid {
                    return d.pick(Self::NAMES).0;
                }
                let any = Self(Gen::generate(d));
                if d.valid { Self(any.0 % 200 + 1) } else { any }
            }
        }
    )*};
}
ids!(PortNo, GroupId, MeterId, TableId, QueueId, ExperimenterId);

impl Gen for MacAddr {
    fn generate(d: &mut Draw<'_>) -> Self {
        Self(d.array())
    }
}

impl<const N: usize> Gen for FixedText<N> {
    fn generate(d: &mut Draw<'_>) -> Self {
        if d.one_in(4) && !d.valid {
            return Self(d.array());
        }
        let len = d.below(N);
        let text: String = (0..len.min(12)).map(|_| char::from(b'a' + d.u8() % 26)).collect();
        Self::new(&text)
    }
}

impl<T: Gen, const N: usize> Gen for [T; N] {
    fn generate(d: &mut Draw<'_>) -> Self {
        std::array::from_fn(|_| T::generate(d))
    }
}

impl<T: Gen> Gen for Vec<T> {
    fn generate(d: &mut Draw<'_>) -> Self {
        d.list(3)
    }
}

impl<T: Gen> Gen for Box<T> {
    fn generate(d: &mut Draw<'_>) -> Self {
        Box::new(T::generate(d))
    }
}

impl Gen for Bytes {
    fn generate(d: &mut Draw<'_>) -> Self {
        d.some_bytes(40)
    }
}

impl Gen for Oxm {
    fn generate(d: &mut Draw<'_>) -> Self {
        if d.valid {
            return plain_oxm(
                d,
                &[
                    OxmField::VLAN_VID,
                    OxmField::ETH_SRC,
                    OxmField::ETH_DST,
                    OxmField::TUNNEL_ID,
                ],
            );
        }
        let field = match d.below(11) {
            8 => d.pick(NXM_0_TABLE).field,
            9 => d.pick(NXM_1_TABLE).field,
            10 => {
                d.pick(&[PACKET_REGS_TABLE, ONF_OXM_TABLE, NX_OXM_TABLE, NSH_OXM_TABLE].concat())
                    .field
            }
            0 => OxmField::of_experimenter(Gen::generate(d), d.u8()),
            1 => OxmField::of_class(OxmClass(d.pick(&[0, 1, 0x8001, 0x7fff])), d.u8()),
            2 => OxmField::basic(40 + d.u8() % 88),
            _ => d.pick(OXM_TABLE).field,
        };
        let width = field.width().unwrap_or_else(|| d.below(20));
        let value = d.bytes(width);
        let mask = d.one_in(3).then(|| d.bytes(width));
        Oxm::new(field, &value, mask.as_deref()).expect("the width fits")
    }
}

impl Gen for Match {
    fn generate(d: &mut Draw<'_>) -> Self {
        if !d.valid {
            return d.list::<Oxm>(6).into_iter().collect();
        }
        valid_match(d)
    }
}

impl Gen for Action {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(21) {
            0 => Self::Output {
                port: d.pick(&[PortNo(1), PortNo(7), PortNo::IN_PORT]),
                max_len: 0,
            },
            1 => Self::PushVlan(d.pick(&[0x8100, 0x88a8])),
            2 => Self::PopVlan,
            3 => Self::SetQueue(Gen::generate(d)),
            4 => Self::Group(Gen::generate(d)),
            5 => Self::SetNwTtl(Gen::generate(d)),
            6 => Self::DecNwTtl,
            7 => Self::SetField(Gen::generate(d)),
            8 => Self::Output {
                port: PortNo::CONTROLLER,
                max_len: d.pick(&[0, 128, 0xffff]),
            },
            9 => Self::Output {
                port: Gen::generate(d),
                max_len: Gen::generate(d),
            },
            10 => Self::CopyTtlOut,
            11 => Self::CopyTtlIn,
            12 => Self::SetMplsTtl(Gen::generate(d)),
            13 => Self::DecMplsTtl,
            14 => d.pick(&[
                Self::PushMpls(0x8847),
                Self::PopMpls(0x0800),
                Self::PushPbb(0x88e7),
                Self::PopPbb,
            ]),
            15 => {
                let words = d.below(4);
                let (experimenter, body) = (Gen::generate(d), d.bytes(words * 8));
                Self::Experimenter {
                    experimenter,
                    // What a subtype that is known says would not be kept as bytes.
                    body: match body.get(..2) {
                        Some([0, 6 | 7] | [0x0c, 0x80]) => Bytes::new(),
                        _ => body,
                    },
                }
            }
            18 => Self::CopyField(Gen::generate(d)),
            19 => Self::RegMove(Gen::generate(d)),
            20 => Self::RegLoad(Gen::generate(d)),
            16 => {
                let words = d.below(4);
                Self::Unknown {
                    kind: ActionType(100 + d.below(1000) as u16),
                    body: d.bytes(words * 8 + 4),
                }
            }
            _ => Self::SetField(Gen::generate(d)),
        }
    }
}

impl Gen for FieldLoad {
    fn generate(d: &mut Draw<'_>) -> Self {
        let (ofs, n_bits) = (d.below(1024) as u16, 1 + d.below(64) as u16);
        let field = d.pick(OXM_TABLE).field;
        Self {
            bits: OfsNBits::new(ofs, n_bits).expect("bits that there is room for"),
            dst: OxmId {
                field: d.pick(&[field, OxmField::of_class(OxmClass::NXM_1, 7)]),
                masked: d.one_in(8),
                length: d.u8(),
            },
            value: Gen::generate(d),
        }
    }
}

impl Gen for Instruction {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(8) {
            0 => Self::GotoTable(Gen::generate(d)),
            1 => Self::WriteMetadata {
                metadata: Gen::generate(d),
                mask: Gen::generate(d),
            },
            2 => Self::WriteActions(d.list(4)),
            3 => Self::ApplyActions(d.list(4)),
            4 => Self::ClearActions,
            5 => Self::Meter(Gen::generate(d)),
            6 => {
                let words = d.below(4);
                Self::Experimenter {
                    experimenter: Gen::generate(d),
                    body: d.bytes(words * 8),
                }
            }
            _ => {
                let words = d.below(4);
                Self::Unknown {
                    kind: InstructionType(100 + d.below(1000) as u16),
                    body: d.bytes(words * 8 + 4),
                }
            }
        }
    }
}

impl Gen for MeterBand {
    fn generate(d: &mut Draw<'_>) -> Self {
        let (rate, burst_size) = (Gen::generate(d), Gen::generate(d));
        match d.below(if d.valid { 2 } else { 4 }) {
            0 => Self::Drop { rate, burst_size },
            1 => Self::DscpRemark {
                rate,
                burst_size,
                prec_level: Gen::generate(d),
            },
            2 => {
                let words = d.below(3);
                Self::Experimenter {
                    rate,
                    burst_size,
                    experimenter: Gen::generate(d),
                    body: d.bytes(words * 8),
                }
            }
            _ => {
                let (words, kind) = (d.below(3), MeterBandType(3 + d.below(1000) as u16));
                Self::Unknown {
                    kind,
                    rate,
                    burst_size,
                    body: d.bytes(words * 8 + 4),
                }
            }
        }
    }
}

impl Gen for QueueProp {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(if d.valid { 2 } else { 4 }) {
            0 => Self::MinRate(Gen::generate(d)),
            1 => Self::MaxRate(Gen::generate(d)),
            2 => Self::Experimenter {
                experimenter: Gen::generate(d),
                data: d.some_bytes(21),
            },
            _ => Self::Unknown {
                kind: QueuePropType(3 + d.below(1000) as u16),
                body: d.some_bytes(21),
            },
        }
    }
}

impl Gen for HelloElement {
    fn generate(d: &mut Draw<'_>) -> Self {
        if d.valid || d.one_in(2) {
            return Self::VersionBitmap(d.list(3));
        }
        Self::Unknown {
            kind: HelloElementType(2 + d.below(1000) as u16),
            body: d.some_bytes(21),
        }
    }
}

impl Gen for BundleProp {
    fn generate(d: &mut Draw<'_>) -> Self {
        let (experimenter, exp_type, data) = (Gen::generate(d), Gen::generate(d), d.some_bytes(21));
        match d.one_in(2) {
            true => Self::Experimenter {
                experimenter,
                exp_type,
                data,
            },
            false => Self::Unknown {
                kind: BundlePropType(d.below(1000) as u16),
                body: data,
            },
        }
    }
}

/// How many bundles may stand in each other in what is drawn.
const NESTED_MAX: usize = 3;

impl Gen for BundleAdd {
    fn generate(d: &mut Draw<'_>) -> Self {
        let mut message = Message::new(Gen::generate(d), Body::BarrierRequest);
        for _ in 0..=d.below(NESTED_MAX) {
            let kind = d.below(KINDS);
            message.body = match kind {
                BUNDLE_ADD => Body::BundleAdd(Self {
                    bundle_id: Gen::generate(d),
                    flags: Gen::generate(d),
                    message: message.to_bytes().expect("what is drawn can be written"),
                    properties: d.list(2),
                }),
                kind => body(kind, d),
            };
        }
        let mut bytes = message.to_bytes().expect("what is drawn can be written").to_vec();
        // Nothing but the length of what is added is judged.
        if !d.valid && d.one_in(4) {
            let at = d.below(bytes.len());
            if !(2..4).contains(&at) {
                bytes[at] = d.u8();
            }
        }
        Self {
            bundle_id: Gen::generate(d),
            flags: Gen::generate(d),
            message: bytes.into(),
            properties: if d.one_in(2) { d.list(3) } else { Vec::new() },
        }
    }
}

impl Gen for OxmId {
    fn generate(d: &mut Draw<'_>) -> Self {
        let oxm = Oxm::generate(d);
        Self {
            field: oxm.field(),
            masked: oxm.is_masked(),
            length: d.u8(),
        }
    }
}

impl Gen for TableFeatureProp {
    fn generate(d: &mut Draw<'_>) -> Self {
        use TableFeatureBody as B;
        use TableFeaturePropType as T;
        let data = Gen::generate(d);
        let (kinds, body): (&[T], B) = match d.below(6) {
            0 => (
                &[T::INSTRUCTIONS, T::INSTRUCTIONS_MISS],
                B::Instructions(Gen::generate(d)),
            ),
            1 => (&[T::NEXT_TABLES, T::NEXT_TABLES_MISS], B::NextTables(d.list(20))),
            2 => (
                &[T::WRITE_ACTIONS, T::WRITE_ACTIONS_MISS, T::APPLY_ACTIONS],
                B::Actions(Gen::generate(d)),
            ),
            3 => (
                &[T::MATCH, T::WILDCARDS, T::WRITE_SETFIELD, T::APPLY_SETFIELD_MISS],
                B::Oxms(d.list(9)),
            ),
            4 => {
                let (experimenter, exp_type) = (Gen::generate(d), Gen::generate(d));
                (
                    &[T::EXPERIMENTER, T::EXPERIMENTER_MISS],
                    B::Experimenter {
                        experimenter,
                        exp_type,
                        data,
                    },
                )
            }
            _ => (&[T(9), T(11), T(999)], B::Unknown(data)),
        };
        Self {
            kind: d.pick(kinds),
            body,
        }
    }
}

impl Gen for ErrorMsg {
    fn generate(d: &mut Draw<'_>) -> Self {
        let kind = ErrorType::generate(d);
        let (code, extra) = (d.below(16) as u16, d.below(40));
        Self {
            kind,
            code,
            data: d.bytes(4 + extra),
        }
    }
}

macro_rules! structs {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                $(let $field = Gen::generate(d);)*
                Self { $($field),* }
            }
        }
    )*};
}

structs! {
    FieldCopy { n_bits, src_offset, dst_offset, src, dst }
    BundleControl { bundle_id, kind, flags, properties }
    Experimenter { experimenter, exp_type, data }
    RoleStatus { role, reason, generation_id }
    RoleMsg { role, generation_id }
    AsyncConfig { packet_in_mask, port_status_mask, flow_removed_mask }
    FeaturesReply { datapath_id, n_buffers, n_tables, auxiliary_id, capabilities, reserved }
    SwitchConfig { flags, miss_send_len }
    Port { port_no, hw_addr, name, config, state, curr, advertised, supported, peer, curr_speed, max_speed }
    PortStatus { reason, desc }
    PortMod { port_no, hw_addr, config, mask, advertise }
    PortStatsRequest { port_no }
    PortStats {
        port_no, rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, rx_errors, tx_errors,
        rx_frame_err, rx_over_err, rx_crc_err, collisions, duration_sec, duration_nsec,
    }
    PacketIn { buffer_id, total_len, reason, table_id, cookie, matching, data }
    PacketOut { buffer_id, in_port, actions, data }
    FlowMod {
        cookie, cookie_mask, table_id, command, idle_timeout, hard_timeout, priority, buffer_id, out_port,
        out_group, flags, matching, instructions,
    }
    FlowRemoved {
        cookie, priority, reason, table_id, duration_sec, duration_nsec, idle_timeout, hard_timeout,
        packet_count, byte_count, matching,
    }
    FlowStatsRequest { table_id, out_port, out_group, cookie, cookie_mask, matching }
    FlowStats {
        table_id, duration_sec, duration_nsec, priority, idle_timeout, hard_timeout, flags, cookie,
        packet_count, byte_count, matching, instructions,
    }
    AggregateStats { packet_count, byte_count, flow_count }
    Bucket { weight, watch_port, watch_group, actions }
    GroupMod { command, kind, group_id, buckets }
    GroupStatsRequest { group_id }
    BucketCounter { packet_count, byte_count }
    GroupStats { group_id, ref_count, packet_count, byte_count, duration_sec, duration_nsec, bucket_stats }
    GroupDesc { kind, group_id, buckets }
    GroupFeatures { types, capabilities, max_groups, actions }
    MeterMod { command, flags, meter_id, bands }
    MeterRequest { meter_id }
    MeterBandStats { packet_band_count, byte_band_count }
    MeterStats { meter_id, flow_count, packet_in_count, byte_in_count, duration_sec, duration_nsec, band_stats }
    MeterConfig { flags, meter_id, bands }
    MeterFeatures { max_meter, band_types, capabilities, max_bands, max_color }
    TableMod { table_id, config }
    TableStats { table_id, active_count, lookup_count, matched_count }
    InstructionId { kind, body }
    ActionId { kind, body }
    TableFeatures { table_id, name, metadata_match, metadata_write, config, max_entries, properties }
    PacketQueue { queue_id, port, properties }
    QueueGetConfigRequest { port }
    QueueGetConfigReply { port, queues }
    QueueStatsRequest { port_no, queue_id }
    QueueStats { port_no, queue_id, tx_bytes, tx_packets, tx_errors, duration_sec, duration_nsec }
    Desc { mfr_desc, hw_desc, sw_desc, serial_num, dp_desc }
    ExperimenterMultipart { experimenter, exp_type, data }
    MultipartRequest { flags, body }
    MultipartReply { flags, body }
    Hello { elements }
}

impl Gen for MultipartRequestBody {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(if d.valid { 13 } else { 16 }) {
            0 => Self::Desc,
            1 => Self::Flow(Gen::generate(d)),
            2 => Self::Aggregate(Gen::generate(d)),
            3 => Self::Table,
            4 => Self::PortStats(Gen::generate(d)),
            5 => Self::Queue(Gen::generate(d)),
            6 => Self::Group(Gen::generate(d)),
            7 => Self::GroupDesc,
            8 => Self::GroupFeatures,
            9 => Self::Meter(Gen::generate(d)),
            10 => Self::MeterConfig(Gen::generate(d)),
            11 => Self::MeterFeatures,
            12 => Self::PortDesc,
            13 => Self::TableFeatures(Gen::generate(d)),
            14 => Self::Experimenter(Gen::generate(d)),
            _ => Self::Unknown {
                kind: MultipartType(14 + d.below(1000) as u16),
                body: Gen::generate(d),
            },
        }
    }
}

impl Gen for MultipartReplyBody {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(if d.valid { 13 } else { 16 }) {
            0 => Self::Desc(Gen::generate(d)),
            1 => Self::Flow(Gen::generate(d)),
            2 => Self::Aggregate(Gen::generate(d)),
            3 => Self::Table(Gen::generate(d)),
            4 => Self::PortStats(Gen::generate(d)),
            5 => Self::Queue(Gen::generate(d)),
            6 => Self::Group(Gen::generate(d)),
            7 => Self::GroupDesc(Gen::generate(d)),
            8 => Self::GroupFeatures(Gen::generate(d)),
            9 => Self::Meter(Gen::generate(d)),
            10 => Self::MeterConfig(Gen::generate(d)),
            11 => Self::MeterFeatures(Gen::generate(d)),
            12 => Self::PortDesc(Gen::generate(d)),
            13 => Self::TableFeatures(Gen::generate(d)),
            14 => Self::Experimenter(Gen::generate(d)),
            _ => Self::Unknown {
                kind: MultipartType(14 + d.below(1000) as u16),
                body: Gen::generate(d),
            },
        }
    }
}

/// Bodies of a message, without those of unknown type.
pub const KINDS: usize = 32;

/// Those that are types of OpenFlow 1.3.
const KINDS_1_3: usize = 30;

const BUNDLE_CONTROL: usize = 30;
const BUNDLE_ADD: usize = 31;

/// A body of the type with this number, and behind those of OpenFlow 1.3 those of bundles.
pub fn body(kind: usize, d: &mut Draw<'_>) -> Body {
    match kind {
        0 => Body::Hello(Gen::generate(d)),
        1 => Body::Error(Gen::generate(d)),
        2 => Body::EchoRequest(Gen::generate(d)),
        3 => Body::EchoReply(Gen::generate(d)),
        4 => Body::Experimenter(Gen::generate(d)),
        5 => Body::FeaturesRequest,
        6 => Body::FeaturesReply(Gen::generate(d)),
        7 => Body::GetConfigRequest,
        8 => Body::GetConfigReply(Gen::generate(d)),
        9 => Body::SetConfig(Gen::generate(d)),
        10 => Body::PacketIn(Gen::generate(d)),
        11 => Body::FlowRemoved(Gen::generate(d)),
        12 => Body::PortStatus(Gen::generate(d)),
        13 => Body::PacketOut(Gen::generate(d)),
        14 => Body::FlowMod(Gen::generate(d)),
        15 => Body::GroupMod(Gen::generate(d)),
        16 => Body::PortMod(Gen::generate(d)),
        17 => Body::TableMod(Gen::generate(d)),
        18 => Body::MultipartRequest(Gen::generate(d)),
        19 => Body::MultipartReply(Gen::generate(d)),
        20 => Body::BarrierRequest,
        21 => Body::BarrierReply,
        22 => Body::QueueGetConfigRequest(Gen::generate(d)),
        23 => Body::QueueGetConfigReply(Gen::generate(d)),
        24 => Body::RoleRequest(Gen::generate(d)),
        25 => Body::RoleReply(Gen::generate(d)),
        26 => Body::GetAsyncRequest,
        27 => Body::GetAsyncReply(Gen::generate(d)),
        28 => Body::SetAsync(Gen::generate(d)),
        29 => Body::MeterMod(Gen::generate(d)),
        BUNDLE_CONTROL => Body::BundleControl(Gen::generate(d)),
        BUNDLE_ADD => Body::BundleAdd(Gen::generate(d)),
        _ => Body::Unknown {
            kind: MessageType(30 + d.u8() % 200),
            body: Gen::generate(d),
        },
    }
}

impl Gen for Message {
    fn generate(d: &mut Draw<'_>) -> Self {
        let xid = Gen::generate(d);
        // Half of the valid ones are of the kinds with a match, actions or counts.
        let telling = d.valid && d.one_in(2);
        let kind = match (telling, d.valid) {
            (true, _) => d.pick(&[10, 11, 13, 14, 14, 15, 19, 19, 29]),
            (false, true) => d.below(KINDS_1_3),
            (false, false) => d.below(KINDS + 1),
        };
        let mut message = Message::new(xid, body(kind, d));
        if d.valid {
            make_valid(&mut message.body, d);
        }
        if kind < 2 && !d.valid && d.one_in(2) {
            message.version = d.u8();
        }
        if matches!(kind, BUNDLE_CONTROL | BUNDLE_ADD) && d.one_in(2) {
            message.version = VERSION_1_4;
        }
        if let (0..=3, Body::Hello(hello)) = (message.version, &mut message.body) {
            let old = d.some_bytes(20);
            hello.elements = if old.is_empty() {
                Vec::new()
            } else {
                vec![HelloElement::Opaque(old)]
            };
        }
        message
    }
}

/// A deterministic string of `len` random bytes (splitmix64).
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    (0..len.div_ceil(8))
        .flat_map(|_| next().to_be_bytes())
        .take(len)
        .collect()
}

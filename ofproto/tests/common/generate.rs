//! Values of every message, made from a string of random bytes.
//!
//! Drawing from bytes keeps every value reachable, lets proptest shrink by zeroing and
//! shortening them, and lets other tests make the same values from a plain seed.

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
    TableFeaturePropType,
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
        let field = match d.below(8) {
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

/// One of these fields, unmasked, with only the bits set that have a meaning.
fn plain_oxm(d: &mut Draw<'_>, fields: &[OxmField]) -> Oxm {
    let field = d.pick(fields);
    let row = field.row().expect("a field of the table");
    let mut value = d.bytes(usize::from(row.width)).to_vec();
    let unused = usize::from(row.width) * 8 - usize::from(row.bits);
    value[0] &= 0xff_u8.checked_shr(unused as u32).unwrap_or(0);
    if unused >= 8 {
        value[0] = 0;
        value[1] &= 0xff >> (unused - 8);
    }
    if field == OxmField::VLAN_VID {
        value[0] |= 0x10;
    }
    Oxm::new(field, &value, None).expect("the width fits")
}

impl Gen for Match {
    fn generate(d: &mut Draw<'_>) -> Self {
        if !d.valid {
            return d.list::<Oxm>(6).into_iter().collect();
        }
        valid_match(d)
    }
}

/// A match whose fields have their prerequisites and occur once.
fn valid_match(d: &mut Draw<'_>) -> Match {
    let mut oxms = Vec::new();
    if d.one_in(2) {
        oxms.push(Oxm::in_port(PortNo::generate(d)));
    }
    if d.one_in(3) {
        oxms.push(Oxm::metadata_masked(0x1200, 0xff00));
    }
    if d.one_in(3) {
        oxms.push(plain_oxm(d, &[OxmField::ETH_SRC]));
    }
    if d.one_in(3) {
        oxms.push(plain_oxm(d, &[OxmField::ETH_DST]));
    }
    if d.one_in(3) {
        oxms.push(plain_oxm(d, &[OxmField::TUNNEL_ID]));
    }
    match d.below(4) {
        0 => oxms.push(Oxm::vlan_none()),
        1 => {
            oxms.push(plain_oxm(d, &[OxmField::VLAN_VID]));
            if d.one_in(2) {
                oxms.push(plain_oxm(d, &[OxmField::VLAN_PCP]));
            }
        }
        2 => oxms.push(Oxm::vlan_any()),
        _ => {}
    }
    match d.below(6) {
        0 => {
            oxms.push(Oxm::eth_type(0x0800));
            oxms.push(Oxm::ipv4_dst_masked(
                [10, 1, d.u8(), 0].into(),
                [255, 255, 255, 0].into(),
            ));
            ip_payload(d, &mut oxms, 1, &[OxmField::ICMPV4_TYPE, OxmField::ICMPV4_CODE]);
        }
        1 => {
            oxms.push(Oxm::eth_type(0x86dd));
            oxms.push(plain_oxm(
                d,
                &[OxmField::IPV6_SRC, OxmField::IPV6_DST, OxmField::IPV6_FLABEL],
            ));
            ip_payload(d, &mut oxms, 58, &[OxmField::ICMPV6_TYPE, OxmField::ICMPV6_CODE]);
        }
        2 => {
            oxms.push(Oxm::eth_type(0x0806));
            oxms.push(Oxm::arp_op(1));
            oxms.push(plain_oxm(
                d,
                &[
                    OxmField::ARP_SPA,
                    OxmField::ARP_TPA,
                    OxmField::ARP_SHA,
                    OxmField::ARP_THA,
                ],
            ));
        }
        3 => {
            oxms.push(Oxm::eth_type(0x8847));
            oxms.push(plain_oxm(
                d,
                &[OxmField::MPLS_LABEL, OxmField::MPLS_TC, OxmField::MPLS_BOS],
            ));
        }
        4 => oxms.push(Oxm::eth_type(0x88cc)),
        _ => {}
    }
    oxms.into_iter().collect()
}

fn ip_payload(d: &mut Draw<'_>, oxms: &mut Vec<Oxm>, icmp: u8, icmp_fields: &[OxmField]) {
    let (proto, fields): (u8, &[OxmField]) = match d.below(5) {
        0 => (6, &[OxmField::TCP_SRC, OxmField::TCP_DST]),
        1 => (17, &[OxmField::UDP_SRC, OxmField::UDP_DST]),
        2 => (132, &[OxmField::SCTP_SRC, OxmField::SCTP_DST]),
        3 => (icmp, icmp_fields),
        _ => {
            oxms.push(plain_oxm(d, &[OxmField::IP_DSCP, OxmField::IP_ECN]));
            return;
        }
    };
    oxms.push(Oxm::ip_proto(proto));
    oxms.push(plain_oxm(d, fields));
}

impl Gen for Action {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(18) {
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
                Self::Experimenter {
                    experimenter: Gen::generate(d),
                    body: d.bytes(words * 8),
                }
            }
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

/// Actions as a switch takes them: only on headers that the packet has.
pub fn valid_actions(d: &mut Draw<'_>, ip: bool, tags: &mut u8) -> Vec<Action> {
    let mut all = Vec::new();
    for _ in 0..d.below(5) {
        all.push(match d.below(10) {
            // Open vSwitch takes two tags at most.
            0 if *tags < 2 => {
                *tags += 1;
                Action::PushVlan(d.pick(&[0x8100, 0x88a8]))
            }
            1 if *tags > 0 => {
                *tags -= 1;
                Action::PopVlan
            }
            2 => Action::SetQueue(Gen::generate(d)),
            3 => Action::Group(Gen::generate(d)),
            4 if ip => Action::SetNwTtl(d.u8()),
            5 if ip => Action::DecNwTtl,
            6 => {
                let fields = [
                    OxmField::ETH_SRC,
                    OxmField::ETH_DST,
                    OxmField::TUNNEL_ID,
                    OxmField::METADATA,
                ];
                Action::SetField(plain_oxm(d, &fields))
            }
            7 if *tags > 0 => Action::SetField(plain_oxm(d, &[OxmField::VLAN_VID, OxmField::VLAN_PCP])),
            8 => Action::Output {
                port: PortNo::CONTROLLER,
                max_len: d.pick(&[0, 128, 0xffff]),
            },
            _ => Action::Output {
                port: d.pick(&[PortNo(1), PortNo(7), PortNo::IN_PORT]),
                max_len: 0,
            },
        });
    }
    all
}

/// Instructions as a switch takes them: each type once, in the order of their numbers,
/// on headers that the match speaks of, and the next table a later one.
pub fn valid_instructions(d: &mut Draw<'_>, table: TableId, matching: &Match) -> Vec<Instruction> {
    let ip = matches!(matching.eth_type(), Some(0x0800 | 0x86dd));
    let tagged = matching
        .vlan_vid_raw()
        .is_some_and(|(value, _)| value & VLAN_PRESENT != 0);
    let mut tags = u8::from(tagged);
    let mut all = Vec::new();
    if d.one_in(3) {
        all.push(Instruction::Meter(Gen::generate(d)));
    }
    if d.one_in(2) {
        all.push(Instruction::ApplyActions(valid_actions(d, ip, &mut tags)));
    }
    if d.one_in(4) {
        all.push(Instruction::ClearActions);
    }
    if d.one_in(3) {
        all.push(Instruction::WriteActions(valid_actions(d, ip, &mut tags)));
    }
    if d.one_in(3) {
        all.push(Instruction::WriteMetadata {
            metadata: 0x55,
            mask: 0xff,
        });
    }
    if d.one_in(2) {
        all.push(Instruction::GotoTable(TableId(table.0.saturating_add(1 + d.u8() % 4))));
    }
    all
}

/// Makes what was drawn piece by piece fit together, as a switch wants it.
fn make_valid(body: &mut Body, d: &mut Draw<'_>) {
    match body {
        Body::Error(error) => {
            error.kind = d.pick(&ErrorType::NAMES[..14]).0;
            let codes: Vec<u16> = (0..16).filter(|code| error.kind.code_name(*code).is_some()).collect();
            error.code = d.pick(&codes);
        }
        Body::Experimenter(message) => *message = RoleStatus::generate(d).to_experimenter(),
        Body::PacketOut(packet) => {
            packet.actions = valid_actions(d, false, &mut 0);
            if packet.buffer_id != NO_BUFFER {
                packet.data = Bytes::new();
            }
        }
        Body::FlowMod(rule) => {
            rule.table_id = TableId(rule.table_id.0 % 200);
            rule.instructions = valid_instructions(d, rule.table_id, &rule.matching);
        }
        Body::GroupMod(group) => {
            valid_buckets(group.kind, &mut group.buckets, d);
            if group.command == GroupModCommand::DELETE {
                group.buckets.clear();
            }
        }
        Body::FlowRemoved(rule) => lived(&mut rule.duration_sec, &mut rule.duration_nsec),
        Body::MultipartReply(reply) => match &mut reply.body {
            MultipartReplyBody::PortStats(ports) => {
                ports
                    .iter_mut()
                    .for_each(|port| lived(&mut port.duration_sec, &mut port.duration_nsec));
            }
            MultipartReplyBody::Queue(queues) => {
                queues
                    .iter_mut()
                    .for_each(|queue| lived(&mut queue.duration_sec, &mut queue.duration_nsec));
            }
            MultipartReplyBody::Group(groups) => {
                groups
                    .iter_mut()
                    .for_each(|group| lived(&mut group.duration_sec, &mut group.duration_nsec));
            }
            MultipartReplyBody::Meter(meters) => {
                meters
                    .iter_mut()
                    .for_each(|meter| lived(&mut meter.duration_sec, &mut meter.duration_nsec));
            }
            MultipartReplyBody::Flow(rules) => {
                for rule in rules {
                    lived(&mut rule.duration_sec, &mut rule.duration_nsec);
                    rule.instructions = valid_instructions(d, rule.table_id, &rule.matching);
                }
            }
            MultipartReplyBody::GroupDesc(groups) => {
                for group in groups {
                    valid_buckets(group.kind, &mut group.buckets, d);
                }
            }
            _ => {}
        },
        Body::MeterMod(meter) => meter.flags = d.pick(&[MeterFlags(1), MeterFlags(2), MeterFlags(0xd), MeterFlags(6)]),
        _ => {}
    }
}

/// A time that can have passed: less than a second of nanoseconds, and not "unknown".
fn lived(sec: &mut u32, nsec: &mut u32) {
    *sec /= 2;
    *nsec %= 1_000_000_000;
}

/// An indirect group has one bucket; a fast failover group's buckets watch a port; only
/// a select group's have a share.
fn valid_buckets(kind: GroupType, buckets: &mut Vec<Bucket>, d: &mut Draw<'_>) {
    if kind == GroupType::INDIRECT {
        buckets.truncate(1);
        if buckets.is_empty() {
            buckets.push(Bucket::new(Vec::new()));
        }
    }
    for bucket in buckets {
        let actions = valid_actions(d, false, &mut 0);
        let weight = if kind == GroupType::SELECT {
            1 + d.below(100) as u16
        } else {
            0
        };
        let watch_port = if kind == GroupType::FF {
            PortNo(1 + d.below(9) as u32)
        } else {
            PortNo::ANY
        };
        *bucket = Bucket {
            weight,
            watch_port,
            ..Bucket::new(actions)
        };
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
    TableFeatureProp { kind, body }
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
pub const KINDS: usize = 30;

/// A body of the type with this number.
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
            (false, true) => d.below(KINDS),
            (false, false) => d.below(KINDS + 1),
        };
        let mut message = Message::new(xid, body(kind, d));
        if d.valid {
            make_valid(&mut message.body, d);
        }
        if kind < 2 && !d.valid && d.one_in(2) {
            message.version = d.u8();
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

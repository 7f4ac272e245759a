//! The checksum of a decoded message: it makes sure that every field was read, and
//! shows that two codecs read the same.
//!
//! It is a wrapping sum of 64 bits over all fields, each times its weight: the odd
//! number of its place in its structure (1, 3, 5, ..). A sum costs a decoder next to
//! nothing, so what is measured stays the decoding; the weights tell fields of one
//! structure apart. What each field counts as:
//!
//! | field | value |
//! | --- | --- |
//! | number, code point | itself |
//! | Ethernet or IPv4 address | the number its bytes are |
//! | word of flags | how many are set (some codecs keep a set) |
//! | payload | three fields: its length, its first and its last byte (0 if there are none) |
//! | text of fixed width | two fields: length before the first zero, first byte |
//! | match field | three fields: its header of 32 bits, its value, its mask (0 if there is none) |
//! | list | the sum of its elements |
//!
//! Order of the fields: as in the structures of the specification, version, type and
//! transaction id of the header first; an instruction or action begins with its type. Of
//! what the corpus does not contain, only the type counts. `reading` computes the same
//! from the bytes alone, and the workers in `bench/java` and `bench/python` from what
//! their codecs give them.

use ofproto::{
    Action, Body, Bucket, FlowMod, FlowStats, GroupMod, Instruction, Match, Message, MultipartReply,
    MultipartReplyBody, Oxm, PacketIn, PacketOut, PortStatus,
};

/// The checksum of a message.
#[inline]
pub fn of(message: &Message) -> u64 {
    let head = weighed(&[
        u64::from(message.version),
        u64::from(message.kind().0),
        u64::from(message.xid),
    ]);
    head.wrapping_add(match &message.body {
        Body::EchoRequest(data) => payload(data),
        Body::FlowMod(body) => flow_mod(body),
        Body::GroupMod(body) => group_mod(body),
        Body::PacketIn(body) => packet_in(body),
        Body::PacketOut(body) => packet_out(body),
        Body::PortStatus(body) => port_status(body),
        Body::MultipartReply(body) => multipart_reply(body),
        _ => 0,
    })
}

/// Each field times 1, 3, 5, .., added up.
#[inline(always)]
fn weighed<const N: usize>(fields: &[u64; N]) -> u64 {
    fields
        .iter()
        .zip((1_u64..).step_by(2))
        .fold(0, |sum, (field, weight)| sum.wrapping_add(field.wrapping_mul(weight)))
}

#[inline]
fn sum<T>(list: &[T], of: impl Fn(&T) -> u64) -> u64 {
    list.iter().fold(0, |sum, element| sum.wrapping_add(of(element)))
}

#[inline]
fn flags(word: impl Into<u64>) -> u64 {
    u64::from(word.into().count_ones())
}

#[inline]
fn payload(data: &[u8]) -> u64 {
    let byte = |byte: Option<&u8>| u64::from(byte.copied().unwrap_or_default());
    weighed(&[data.len() as u64, byte(data.first()), byte(data.last())])
}

#[inline]
fn flow_mod(body: &FlowMod) -> u64 {
    weighed(&[
        body.cookie,
        body.cookie_mask,
        u64::from(body.table_id.0),
        u64::from(body.command.0),
        u64::from(body.idle_timeout),
        u64::from(body.hard_timeout),
        u64::from(body.priority),
        u64::from(body.buffer_id),
        u64::from(body.out_port.0),
        u64::from(body.out_group.0),
        flags(body.flags.0),
    ])
    .wrapping_add(matching(&body.matching))
    .wrapping_add(sum(&body.instructions, instruction))
}

#[inline]
fn flow_stats(entry: &FlowStats) -> u64 {
    weighed(&[
        u64::from(entry.table_id.0),
        u64::from(entry.duration_sec),
        u64::from(entry.duration_nsec),
        u64::from(entry.priority),
        u64::from(entry.idle_timeout),
        u64::from(entry.hard_timeout),
        flags(entry.flags.0),
        entry.cookie,
        entry.packet_count,
        entry.byte_count,
    ])
    .wrapping_add(matching(&entry.matching))
    .wrapping_add(sum(&entry.instructions, instruction))
}

#[inline]
fn matching(fields: &Match) -> u64 {
    fields.iter().fold(0, |sum, field| sum.wrapping_add(oxm(&field)))
}

/// The bit of a field's header that says that a mask follows the value.
const MASKED: u64 = 0x100;

#[inline]
fn oxm(oxm: &Oxm) -> u64 {
    let field = oxm.field();
    let name = u64::from(field.class().0) << 16 | u64::from(field.number()) << 9;
    let (width, value) = (oxm.value().len() as u64, oxm.value_u64().unwrap_or_default());
    if oxm.is_masked() {
        weighed(&[name + MASKED + 2 * width, value, oxm.mask_u64().unwrap_or_default()])
    } else {
        weighed(&[name + width, value])
    }
}

#[inline]
fn instruction(instruction: &Instruction) -> u64 {
    let rest = match instruction {
        Instruction::ApplyActions(actions) => sum(actions, action),
        _ => 0,
    };
    u64::from(instruction.kind().0).wrapping_add(rest)
}

#[inline]
fn action(action: &Action) -> u64 {
    let kind = u64::from(action.kind().0);
    match action {
        Action::Output { port, max_len } => weighed(&[kind, u64::from(port.0), u64::from(*max_len)]),
        Action::PushVlan(ethertype) => weighed(&[kind, u64::from(*ethertype)]),
        Action::SetField(field) => kind.wrapping_add(oxm(field)),
        _ => kind,
    }
}

#[inline]
fn group_mod(body: &GroupMod) -> u64 {
    weighed(&[
        u64::from(body.command.0),
        u64::from(body.kind.0),
        u64::from(body.group_id.0),
    ])
    .wrapping_add(sum(&body.buckets, bucket))
}

#[inline]
fn bucket(bucket: &Bucket) -> u64 {
    weighed(&[
        u64::from(bucket.weight),
        u64::from(bucket.watch_port.0),
        u64::from(bucket.watch_group.0),
    ])
    .wrapping_add(sum(&bucket.actions, action))
}

#[inline]
fn packet_in(body: &PacketIn) -> u64 {
    weighed(&[
        u64::from(body.buffer_id),
        u64::from(body.total_len),
        u64::from(body.reason.0),
        u64::from(body.table_id.0),
        body.cookie,
    ])
    .wrapping_add(matching(&body.matching))
    .wrapping_add(payload(&body.data))
}

#[inline]
fn packet_out(body: &PacketOut) -> u64 {
    weighed(&[u64::from(body.buffer_id), u64::from(body.in_port.0)])
        .wrapping_add(sum(&body.actions, action))
        .wrapping_add(payload(&body.data))
}

#[inline]
fn port_status(body: &PortStatus) -> u64 {
    let (port, name) = (&body.desc, body.desc.name.as_bytes());
    let [a, b, c, d, e, f] = port.hw_addr.0;
    weighed(&[
        u64::from(body.reason.0),
        u64::from(port.port_no.0),
        u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
        name.len() as u64,
        u64::from(name.first().copied().unwrap_or_default()),
        flags(port.config.0),
        flags(port.state.0),
        flags(port.curr.0),
        flags(port.advertised.0),
        flags(port.supported.0),
        flags(port.peer.0),
        u64::from(port.curr_speed),
        u64::from(port.max_speed),
    ])
}

#[inline]
fn multipart_reply(body: &MultipartReply) -> u64 {
    let head = weighed(&[u64::from(body.body.kind().0), flags(body.flags.0)]);
    head.wrapping_add(match &body.body {
        MultipartReplyBody::Flow(entries) => sum(entries, flow_stats),
        _ => 0,
    })
}

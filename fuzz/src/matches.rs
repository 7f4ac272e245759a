//! A match: the bytes are its fields, in a flow_mod without instructions, and in an
//! OFPAT_SET_FIELD of one.

use super::laws::judge;
use bytes::{BufMut, Bytes};
use ofproto::{Body, Match, Message, Oxm};

/// The longest match that has room in a flow_mod.
const FIELDS_MAX: usize = 65_000;

/// Bytes of a flow_mod before its match.
const FLOW_MOD: usize = 48;

/// Bytes of type and length, of a match and of an action.
const HEADER: usize = 4;

/// Checks the laws for a match of these fields.
pub fn check(data: &[u8]) {
    let data = data.get(..FIELDS_MAX).unwrap_or(data);
    if let Ok(message) = judge(&in_a_match(data))
        && let Body::FlowMod(rule) = &message.body
    {
        fields(&rule.matching, data);
    }
    drop(judge(&in_an_action(data)));
}

/// What holds for a match that was read from these bytes.
fn fields(matching: &Match, data: &[u8]) {
    assert_eq!(matching.as_bytes(), data);
    assert_eq!(matching.is_empty(), data.is_empty());
    let again: Match = matching.iter().collect();
    assert_eq!(&again, matching, "the fields alone make the same match");
    assert_eq!(&matching.detached(), matching);
    let mut count = 0;
    for oxm in matching {
        count += 1;
        let first = matching.get(oxm.field()).expect("it has this field");
        assert_eq!(first.field(), oxm.field());
        let (value, mask) = (oxm.value(), oxm.mask());
        assert!(mask.is_none_or(|mask| mask.len() == value.len()), "{oxm:?}");
        assert!(oxm.field().width().is_none_or(|width| width == value.len()), "{oxm:?}");
        assert_eq!(Oxm::new(oxm.field(), value, mask).as_ref(), Ok(&oxm));
        assert_eq!(oxm.value_u64().is_some(), value.len() <= 8, "{oxm:?}");
    }
    assert_eq!(matching.len(), count);
}

fn short(length: usize) -> u16 {
    u16::try_from(length).expect("the longest match has room in a message")
}

/// A flow_mod with these fields, and zeros for all else.
fn in_a_match(data: &[u8]) -> Bytes {
    let padded = (HEADER + data.len()).next_multiple_of(8);
    let mut out = header(FLOW_MOD + padded);
    out.put_u16(1);
    out.put_u16(short(HEADER + data.len()));
    out.put_slice(data);
    out.put_bytes(0, padded - HEADER - data.len());
    out.into()
}

/// A flow_mod that matches everything and sets the first of these fields.
fn in_an_action(data: &[u8]) -> Bytes {
    const EMPTY_MATCH: [u8; 8] = [0, 1, 0, 4, 0, 0, 0, 0];
    const APPLY_ACTIONS: u16 = 4;
    const SET_FIELD: u16 = 25;
    const INSTRUCTION: usize = 8;
    let padded = (HEADER + data.len()).next_multiple_of(8);
    let mut out = header(FLOW_MOD + EMPTY_MATCH.len() + INSTRUCTION + padded);
    out.put_slice(&EMPTY_MATCH);
    out.put_u16(APPLY_ACTIONS);
    out.put_u16(short(INSTRUCTION + padded));
    out.put_u32(0);
    out.put_u16(SET_FIELD);
    out.put_u16(short(padded));
    out.put_slice(data);
    out.put_bytes(0, padded - HEADER - data.len());
    out.into()
}

/// A flow_mod of this length, up to its match.
fn header(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    out.put_slice(&[4, 14]);
    out.put_u16(short(length));
    out.put_u32(7);
    out.put_bytes(0, FLOW_MOD - out.len());
    out
}

/// The fields of every match of a message, for seeds.
pub fn of(message: &Message) -> Vec<Bytes> {
    use ofproto::{MultipartReplyBody as Reply, MultipartRequestBody as Request};
    let matches: Vec<&Match> = match &message.body {
        Body::FlowMod(rule) => vec![&rule.matching],
        Body::FlowRemoved(rule) => vec![&rule.matching],
        Body::PacketIn(packet) => vec![&packet.matching],
        Body::MultipartRequest(request) => match &request.body {
            Request::Flow(flow) | Request::Aggregate(flow) => vec![&flow.matching],
            _ => Vec::new(),
        },
        Body::MultipartReply(reply) => match &reply.body {
            Reply::Flow(rules) => rules.iter().map(|rule| &rule.matching).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let fields = matches
        .iter()
        .map(|matching| Bytes::copy_from_slice(matching.as_bytes()));
    fields.collect()
}

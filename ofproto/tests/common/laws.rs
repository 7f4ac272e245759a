//! The laws of the codec, as functions that panic where one is broken. The tests, the
//! hostile corpus and the fuzz targets (`fuzz/`) all judge by these.

use bytes::{BufMut, Bytes, BytesMut};
use ofproto::json::{from_json, to_json};
use ofproto::{DecodeError, ErrorType, Header, LINE_MAX, Message, MessageType};

/// Bytes that nobody zeroed, so that forgotten padding shows.
const POISON: u8 = 0xa5;

/// The longest message.
pub const FRAME_MAX: usize = 0xffff;

/// Encodes behind something else into a buffer full of poison with room for `room` bytes.
fn encode(message: &Message, room: usize) -> Bytes {
    const BEFORE: &[u8] = b"before";
    let mut out = BytesMut::with_capacity(BEFORE.len() + room);
    out.put_bytes(POISON, out.capacity());
    out.clear();
    out.extend_from_slice(BEFORE);
    message
        .encode(&mut out)
        .unwrap_or_else(|error| panic!("{error}: {message:?}"));
    let written = out.split_off(BEFORE.len()).freeze();
    assert_eq!(&out[..], BEFORE);
    written
}

fn comes_back(message: &Message, room: usize) -> Bytes {
    let bytes = encode(message, room);
    match Message::decode(&bytes) {
        Ok(again) => assert_eq!(&again, message),
        Err(error) => panic!("{error}: {message:?} as {bytes:02x?}"),
    }
    bytes
}

/// decode(encode(v)) == v, and the bytes of v.
pub fn value_law(message: &Message) -> Bytes {
    comes_back(message, FRAME_MAX)
}

/// encode(decode(b)) == b, except that padding is zero in what we write. For `message`,
/// which is what `bytes` decode to.
pub fn bytes_law(bytes: &Bytes, message: &Message) {
    let again = comes_back(message, bytes.len());
    assert_eq!(again.len(), bytes.len(), "{message:?}");
    for (at, (ours, theirs)) in again.iter().zip(bytes.iter()).enumerate() {
        assert!(
            ours == theirs || *ours == 0,
            "byte {at} was {theirs:#04x} and is {ours:#04x}: {message:?}"
        );
    }
}

/// from_json(to_json(m)) == m
pub fn json_law(message: &Message) {
    let value = to_json(message);
    match from_json(&value) {
        Ok(again) => assert_eq!(&again, message, "{value}"),
        Err(error) => panic!("{error}: {value}"),
    }
}

/// What else is done with a message that was read, by those who log it or judge it: it is
/// one line, and a switch that refuses it has a structure and an answer.
pub fn use_law(message: &Message) {
    assert!(!format!("{message:?}").is_empty());
    line_law(message);
    if let Err(refusal) = message.validate() {
        assert!(is_structure(refusal.structure), "{refusal}: {message:?}");
        let known = refusal.kind == ErrorType::EXPERIMENTER || refusal.kind.code_name(refusal.code).is_some();
        assert!(known, "{refusal} answers {} {}", refusal.kind, refusal.code);
    }
}

fn is_structure(name: &str) -> bool {
    ["ofp_", "onf_", "nx_"].iter().any(|prefix| name.starts_with(prefix))
}

/// What is printed of a message is one line that moves no cursor and does not turn its text
/// around, and is not longer than a line may be.
pub fn line_law(message: &Message) -> String {
    let line = message.to_string();
    plain_law(&line);
    assert!(line.len() <= LINE_MAX, "{} bytes: {line}", line.len());
    line
}

/// One line without characters that do something.
pub fn plain_law(line: &str) {
    let turns = |c: &char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let found = line.chars().find(|c| c.is_control() || turns(c));
    assert_eq!(found, None, "{line:?}");
    assert_eq!(line, line.trim_end());
}

/// A refusal names a structure of the specification, a place in the frame, and an answer
/// that fits what was asked.
pub fn refusal_law(frame: &Bytes, error: &DecodeError) {
    assert!(is_structure(error.structure), "{error}");
    assert!(error.offset <= frame.len(), "{error} in {} bytes", frame.len());
    let (kind, code) = error.to_answer();
    assert!(kind.code_name(code).is_some(), "{error} answers {kind} {code}");
    assert!(
        may_answer(frame).contains(&kind),
        "{error} answers {kind}: {frame:02x?}"
    );
}

/// The types of OFPT_ERROR that can be meant for a frame, by what stands in its header.
fn may_answer(frame: &Bytes) -> &'static [ErrorType] {
    type E = ErrorType;
    match Header::peek(frame).map(|header| header.kind) {
        Some(MessageType::FLOW_MOD) => &[E::BAD_REQUEST, E::BAD_MATCH, E::BAD_INSTRUCTION, E::BAD_ACTION],
        Some(MessageType::PACKET_OUT) => &[E::BAD_REQUEST, E::BAD_ACTION],
        Some(MessageType::GROUP_MOD) => &[E::BAD_REQUEST, E::GROUP_MOD_FAILED, E::BAD_ACTION],
        Some(MessageType::METER_MOD) => &[E::BAD_REQUEST, E::METER_MOD_FAILED],
        Some(MessageType::PACKET_IN | MessageType::FLOW_REMOVED) => &[E::BAD_REQUEST, E::BAD_MATCH],
        Some(MessageType::MULTIPART_REQUEST | MessageType::MULTIPART_REPLY) => &[
            E::BAD_REQUEST,
            E::BAD_MATCH,
            E::BAD_INSTRUCTION,
            E::BAD_ACTION,
            E::GROUP_MOD_FAILED,
            E::METER_MOD_FAILED,
            E::TABLE_FEATURES_FAILED,
        ],
        _ => &[E::BAD_REQUEST],
    }
}

/// Everything that holds for any bytes. Gives what they say, or why they say nothing.
pub fn judge(frame: &Bytes) -> Result<Message, DecodeError> {
    let decoded = Message::decode(frame);
    match &decoded {
        Ok(message) => bytes_law(frame, message),
        Err(error) => {
            refusal_law(frame, error);
            assert!(!error.to_string().is_empty());
        }
    }
    decoded
}

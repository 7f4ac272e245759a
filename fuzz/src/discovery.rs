//! The signed discovery packets: the bytes are an Ethernet frame, and the payload of one.

use skerry_bus::SwitchId;
use skerry_speaker_core::packet::{DISCOVERY_MAC, UDP_OUT, build, parse, verify};

const KEY: [u8; 32] = [7; 32];
const OTHER_KEY: [u8; 32] = [8; 32];

/// Bytes of Ethernet, IPv4 and UDP.
const HEADERS: usize = 14 + 20 + 8;

/// Where a payload says its switch.
const SWITCH: core::ops::Range<usize> = 8..16;

/// Bytes of payload that have room in an IPv4 packet.
const PAYLOAD_MAX: usize = 65_000;

/// Checks the parser with these bytes.
pub fn check(data: &[u8]) {
    laws(data);
    laws(&wrapped(data.get(..PAYLOAD_MAX).unwrap_or(data)));
}

fn laws(frame: &[u8]) {
    let Ok(read) = parse(frame) else {
        return;
    };
    assert!(frame.len() >= HEADERS, "{read:?}");
    // Signed with either key or, most likely, none, but never both.
    assert!(!(verify(&read, &KEY) && verify(&read, &OTHER_KEY)), "{read:?}");
    let built = build(&read.probe, &KEY);
    let again = parse(&built).expect("what is built is read");
    assert_eq!(again.probe, read.probe);
    assert!(verify(&again, &KEY) && !verify(&again, &OTHER_KEY));
    assert!(!again.turned);
    // What was signed with our key is what we would have signed.
    if verify(&read, &KEY) {
        let payload = built.get(HEADERS..).unwrap_or_default();
        assert!(
            frame.get(HEADERS..).is_some_and(|theirs| theirs.starts_with(payload)),
            "{read:?}"
        );
    }
}

/// The frame of a packet with this payload.
fn wrapped(payload: &[u8]) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).expect("a payload has room").to_be_bytes();
    let switch = payload.get(SWITCH).and_then(|at| at.first_chunk::<8>()).copied();
    let mut out = DISCOVERY_MAC.to_vec();
    out.extend_from_slice(&SwitchId(u64::from_be_bytes(switch.unwrap_or_default())).mac());
    out.extend_from_slice(&[8, 0, 0x45, 0]);
    out.extend_from_slice(&short(20 + 8 + payload.len()));
    out.extend_from_slice(&[0, 0, 0, 0, 1, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 255]);
    out.extend_from_slice(&UDP_OUT.to_be_bytes());
    out.extend_from_slice(&UDP_OUT.to_be_bytes());
    out.extend_from_slice(&short(8 + payload.len()));
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    out
}

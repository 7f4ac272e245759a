//! The discovery packet: how it is built, signed, read and verified. Pure functions; who sends it when is elsewhere.
//!
//! Ethernet to 00:26:e1:ff:ff:ff from the low 48 bits of the sending switch's id, IPv4, UDP to port 61231 with checksum 0
//! (a switch that rewrites the port would otherwise have to update it), then this payload, all numbers big-endian:
//!
//! ```text
//!  0  4  "SKRY"
//!  4  1  version, 1
//!  5  1  kind: 1 sent out of a port, 2 for the control channel's own round trip
//!  6  2  length of the region's name
//!  8  8  switch id
//! 16  4  port it leaves by (OFPP_CONTROLLER for kind 2)
//! 20  8  send time in nanoseconds since the sending speaker started
//! 28  8  send time in milliseconds by the broker's clock
//! 36  8  nonce: grows with each packet of the speaker
//! 44  8  epoch of the sending speaker
//! 52  n  region of the sending speaker, 1 to 32 bytes
//!  .. 32  keyed BLAKE3 over everything from "SKRY" to here
//! ```
//!
//! The far switch turns the packet around by rewriting the UDP destination to 61232; the signature does not cover that.

use skerry_bus::{Epoch, PortNo, PortRef, Region, SwitchId};

/// Destination address of discovery packets.
pub const DISCOVERY_MAC: [u8; 6] = [0x00, 0x26, 0xe1, 0xff, 0xff, 0xff];
/// UDP destination of a packet that was not turned around.
pub const UDP_OUT: u16 = 61_231;
/// UDP destination of a packet that the far switch turned around.
pub const UDP_TURNED: u16 = 61_232;

const MAGIC: [u8; 4] = *b"SKRY";
const VERSION: u8 = 1;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;
const FIXED: usize = 52;
const TAG: usize = blake3::OUT_LEN;
/// Documentation addresses (RFC 5737): nothing routes them.
const IP_SRC: [u8; 4] = [192, 0, 2, 1];
const IP_DST: [u8; 4] = [192, 0, 2, 255];

/// What a discovery packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Leaves by a port, to find what is behind it.
    Link,
    /// Comes straight back from the switch, to measure the control channel.
    Control,
}

/// What a packet says. It is to be believed only after [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What for.
    pub kind: Kind,
    /// Port it left by.
    pub from: PortRef,
    /// Nanoseconds since the sending speaker started.
    pub sent_ns: u64,
    /// Broker time when it was sent, milliseconds.
    pub sent_ms: u64,
    /// Grows with each packet of a speaker.
    pub nonce: u64,
    /// Epoch of the sending speaker.
    pub epoch: Epoch,
    /// Region of the sending speaker.
    pub region: Region,
}

/// A packet as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<'a> {
    /// What it says.
    pub probe: Probe,
    /// Whether the far switch turned it around.
    pub turned: bool,
    signed: &'a [u8],
    tag: [u8; TAG],
}

/// Why a packet is not a discovery packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAProbe {
    /// Too short for its headers.
    #[error("too short: {0} bytes")]
    Short(usize),
    /// Another kind of packet.
    #[error("not a discovery packet: {0}")]
    Other(&'static str),
    /// It calls itself one and is malformed.
    #[error("malformed discovery packet: {0}")]
    Malformed(&'static str),
}

/// The whole Ethernet frame of a probe.
pub fn build(probe: &Probe, key: &[u8; 32]) -> Vec<u8> {
    let region = probe.region.as_str().as_bytes();
    let payload = FIXED + region.len() + TAG;
    let mut out = Vec::with_capacity(ETHERNET + IPV4 + UDP + payload);
    out.extend_from_slice(&DISCOVERY_MAC);
    out.extend_from_slice(&probe.from.switch.mac());
    out.extend_from_slice(&[0x08, 0x00]);

    // A region's name has at most 32 bytes, so the lengths fit 16 bits.
    let ip_len = (IPV4 + UDP + payload) as u16;
    let mut ip = [0u8; IPV4];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&ip_len.to_be_bytes());
    // Time to live 1: a router that gets it by mistake does not pass it on.
    ip[8] = 1;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&IP_SRC);
    ip[16..20].copy_from_slice(&IP_DST);
    let sum = ipv4_checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend_from_slice(&ip);

    out.extend_from_slice(&UDP_OUT.to_be_bytes());
    out.extend_from_slice(&UDP_OUT.to_be_bytes());
    out.extend_from_slice(&((UDP + payload) as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0]);

    let signed_from = out.len();
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    out.push(match probe.kind {
        Kind::Link => 1,
        Kind::Control => 2,
    });
    out.extend_from_slice(&(region.len() as u16).to_be_bytes());
    out.extend_from_slice(&probe.from.switch.0.to_be_bytes());
    out.extend_from_slice(&probe.from.port.0.to_be_bytes());
    out.extend_from_slice(&probe.sent_ns.to_be_bytes());
    out.extend_from_slice(&probe.sent_ms.to_be_bytes());
    out.extend_from_slice(&probe.nonce.to_be_bytes());
    out.extend_from_slice(&probe.epoch.0.to_be_bytes());
    out.extend_from_slice(region);
    let tag = blake3::keyed_hash(key, &out[signed_from..]);
    out.extend_from_slice(tag.as_bytes());
    out
}

/// Whether [`parse`] is worth calling: everything else is not a discovery packet. It looks at a few bytes only, for packets
/// that come faster than they could be read.
pub fn looks_like_one(frame: &[u8]) -> bool {
    const FRONT: usize = ETHERNET + IPV4 + UDP;
    frame.first_chunk::<{ FRONT + MAGIC.len() }>().is_some_and(|front| {
        front[12..14] == [0x08, 0x00]
            && front[ETHERNET] == 0x45
            && front[ETHERNET + 9] == 17
            && matches!(u16::from_be_bytes([front[36], front[37]]), UDP_OUT | UDP_TURNED)
            && front[FRONT..] == MAGIC
    })
}

/// Read an Ethernet frame. Bytes behind the IPv4 packet are padding and are passed over.
///
/// # Errors
/// Says why it is not a discovery packet; nothing is verified yet.
pub fn parse(frame: &[u8]) -> Result<Read<'_>, NotAProbe> {
    let short = || NotAProbe::Short(frame.len());
    let ethernet = frame.first_chunk::<ETHERNET>().ok_or_else(short)?;
    if ethernet[12..14] != [0x08, 0x00] {
        return Err(NotAProbe::Other("not IPv4"));
    }
    let rest = &frame[ETHERNET..];
    let ip = rest.first_chunk::<IPV4>().ok_or_else(short)?;
    if ip[0] != 0x45 || ip[9] != 17 {
        return Err(NotAProbe::Other("not plain UDP"));
    }
    let ip_len = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let rest = rest.get(IPV4..ip_len).ok_or_else(short)?;
    let udp = rest.first_chunk::<UDP>().ok_or_else(short)?;
    let turned = match u16::from_be_bytes([udp[2], udp[3]]) {
        UDP_OUT => false,
        UDP_TURNED => true,
        _ => return Err(NotAProbe::Other("another UDP port")),
    };
    let udp_len = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    let payload = rest.get(UDP..udp_len).ok_or_else(short)?;
    let fixed = payload.first_chunk::<FIXED>().ok_or_else(short)?;
    if fixed[0..4] != MAGIC {
        return Err(NotAProbe::Other("another payload"));
    }
    if fixed[4] != VERSION {
        return Err(NotAProbe::Malformed("unknown version"));
    }
    let kind = match fixed[5] {
        1 => Kind::Link,
        2 => Kind::Control,
        _ => return Err(NotAProbe::Malformed("unknown kind")),
    };
    let region_len = usize::from(u16::from_be_bytes([fixed[6], fixed[7]]));
    let signed_len = FIXED + region_len;
    if payload.len() != signed_len + TAG {
        return Err(NotAProbe::Malformed("length"));
    }
    let (signed, tag) = payload.split_at(signed_len);
    let region = std::str::from_utf8(&signed[FIXED..])
        .ok()
        .and_then(|text| text.parse::<Region>().ok())
        .ok_or(NotAProbe::Malformed("region"))?;
    let tag = *tag.first_chunk::<TAG>().ok_or_else(short)?;
    let u64_at = |at: usize| {
        fixed[at..]
            .first_chunk::<8>()
            .map(|b| u64::from_be_bytes(*b))
            .unwrap_or_default()
    };
    let port = u32::from_be_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]);
    let switch = SwitchId(u64_at(8));
    if ethernet[6..12] != switch.mac() {
        return Err(NotAProbe::Malformed("source address is not the switch's"));
    }
    Ok(Read {
        probe: Probe {
            kind,
            from: PortRef {
                switch,
                port: PortNo(port),
            },
            sent_ns: u64_at(20),
            sent_ms: u64_at(28),
            nonce: u64_at(36),
            epoch: Epoch(u64_at(44)),
            region,
        },
        turned,
        signed,
        tag,
    })
}

/// Whether a packet was signed with this key. The comparison takes the same time wherever the difference is.
pub fn verify(read: &Read<'_>, key: &[u8; 32]) -> bool {
    // `blake3::Hash` compares in constant time.
    blake3::keyed_hash(key, read.signed) == blake3::Hash::from_bytes(read.tag)
}

fn ipv4_checksum(header: &[u8; IPV4]) -> u16 {
    let mut sum: u32 = header
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [7; 32];

    fn probe() -> Probe {
        Probe {
            kind: Kind::Link,
            from: PortRef {
                switch: SwitchId(0x0102_0304_0506_0708),
                port: PortNo(3),
            },
            sent_ns: 123_456_789_012,
            sent_ms: 1_790_000_000_000,
            nonce: 42,
            epoch: Epoch(9),
            region: "east".parse().expect("a region"),
        }
    }

    #[test]
    fn what_is_built_is_read_and_verified() {
        let frame = build(&probe(), &KEY);
        let read = parse(&frame).expect("a probe");
        assert_eq!(read.probe, probe());
        assert!(!read.turned);
        assert!(verify(&read, &KEY));
        assert!(!verify(&read, &[8; 32]));
        let ip: [u8; 20] = frame[14..34].try_into().expect("20 bytes");
        assert_eq!(ipv4_checksum(&ip), 0, "a correct header sums to zero");
    }

    #[test]
    fn the_rewritten_port_is_not_covered_and_padding_is_passed_over() {
        let mut frame = build(&probe(), &KEY);
        frame[36..38].copy_from_slice(&UDP_TURNED.to_be_bytes());
        frame.extend_from_slice(&[0; 9]);
        let read = parse(&frame).expect("a probe");
        assert!(read.turned && verify(&read, &KEY));
    }

    #[test]
    fn every_changed_bit_of_the_payload_is_noticed() {
        let frame = build(&probe(), &KEY);
        for byte in 42..frame.len() {
            for bit in 0..8 {
                let mut bad = frame.clone();
                bad[byte] ^= 1 << bit;
                assert!(
                    !parse(&bad).is_ok_and(|read| verify(&read, &KEY)),
                    "bit {bit} of byte {byte}"
                );
            }
        }
    }

    #[test]
    fn every_cut_is_refused() {
        let frame = build(&probe(), &KEY);
        for len in 0..frame.len() {
            assert!(parse(&frame[..len]).is_err(), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_changed_frame_panics_and_what_can_be_read_looks_like_one(
            at in 0usize..150,
            value: u8,
            cut in 0usize..150,
        ) {
            let mut frame = build(&probe(), &KEY);
            let at = at % frame.len();
            frame[at] = value;
            frame.truncate(frame.len() - cut.min(frame.len()));
            match parse(&frame) {
                Ok(read) => {
                    let _ = verify(&read, &KEY);
                    prop_assert!(looks_like_one(&frame));
                }
                Err(NotAProbe::Malformed(_)) => prop_assert!(looks_like_one(&frame)),
                Err(NotAProbe::Short(_)) => {}
                Err(NotAProbe::Other(_)) => prop_assert!(!looks_like_one(&frame)),
            }
        }
    }
}

//! The packet: Ethernet, tags, IPv4, UDP, and a payload that says who it is and proves it.
//!
//! ```text
//! magic 8 | stream 4 | kind 1 | 0 3 | number 8 | sent at, ns 8 | filling .. | digest 8
//! ```
//!
//! Numbers are big endian. The digest covers the payload before it, so that a changed byte
//! shows whatever the switches do to checksums; the UDP checksum is therefore left out (0).

use serde::{Deserialize, Serialize};

use super::Tag;

const MAGIC: [u8; 8] = *b"SKERRY\0\x01";
const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP: usize = 8;
const HEAD: usize = 32;
const DIGEST: usize = 8;

/// Shortest frame without tags.
pub const LENGTH_MIN: usize = ETHERNET + IP + UDP + HEAD + DIGEST;

/// Longest frame without tags: 1,500 bytes of IPv4.
pub const LENGTH_MAX: usize = ETHERNET + 1_500;

/// UDP ports of the packets: nobody listens, and discovery uses others.
const PORT: u16 = 40_000;

/// Tags that are read; what is below more is not ours.
const TAGS_MAX: usize = 4;

/// What a packet is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To be counted.
    #[default]
    Data,
    /// To be counted, and answered by a host that echoes.
    Ask,
    /// The answer of such a host.
    Answer,
}

/// A packet with all that differs between two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Destination and source.
    pub macs: [[u8; 6]; 2],
    /// Tags, outer first.
    pub tags: Vec<Tag>,
    /// IPv4 source and destination.
    pub addresses: [[u8; 4]; 2],
    /// The stream it belongs to.
    pub stream: u32,
    /// What it is for.
    pub kind: Kind,
    /// Its number in the stream.
    pub number: u64,
    /// When it was sent, on the monotonic clock; in an answer, when it was asked.
    pub sent_ns: u64,
    /// Length of the frame without tags.
    pub length: usize,
}

/// What a received frame is.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// One of ours, as it was sent.
    Good(Packet),
    /// One of ours with its payload changed or cut.
    Wrong(Packet),
    /// Somebody else's.
    Other,
}

impl Packet {
    /// The answer to this packet, for the way back: same tags, same time.
    pub fn answer(&self) -> Packet {
        let ([to, from], [source, destination]) = (self.macs, self.addresses);
        // A broadcast is answered by a unicast to its sender; our own address is not known
        // here and does not matter to anybody, but it must not be a group address.
        let from_mac = if to[0] & 1 == 1 { [2, 0, 0, 0, 0, 1] } else { to };
        Packet {
            macs: [from, from_mac],
            addresses: [destination, source],
            kind: Kind::Answer,
            tags: self.tags.clone(),
            ..*self
        }
    }

    /// Writes the frame into `out`, which is cleared before.
    pub fn build(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend(self.macs.as_flattened());
        for tag in &self.tags {
            out.extend(tag.tpid.to_be_bytes());
            out.extend(tag.control().to_be_bytes());
        }
        out.extend([0x08, 0x00]);
        let length = self.length.clamp(LENGTH_MIN, LENGTH_MAX);
        let ip = out.len();
        out.extend([0x45, 0]);
        out.extend(((length - ETHERNET) as u16).to_be_bytes());
        // No fragments, 64 hops, UDP, checksum to come.
        out.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
        out.extend(self.addresses.as_flattened());
        let sum = checksum(&out[ip..]);
        out[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        out.extend(PORT.to_be_bytes());
        out.extend(PORT.to_be_bytes());
        out.extend(((length - ETHERNET - IP) as u16).to_be_bytes());
        out.extend([0, 0]);
        let payload = out.len();
        out.extend(MAGIC);
        out.extend(self.stream.to_be_bytes());
        out.extend([self.kind as u8, 0, 0, 0]);
        out.extend(self.number.to_be_bytes());
        out.extend(self.sent_ns.to_be_bytes());
        // A filling that differs between packets, so that a piece of another one shows.
        let filling = length - LENGTH_MIN;
        out.extend((0..filling).map(|at| (self.number as u8).wrapping_add(at as u8)));
        let digest = digest(&out[payload..]);
        out.extend(digest.to_be_bytes());
    }

    /// Reads a frame.
    pub fn parse(frame: &[u8]) -> Parsed {
        Packet::read(frame).unwrap_or(Parsed::Other)
    }

    fn read(frame: &[u8]) -> Option<Parsed> {
        let mut at = 12;
        let mut tags = Vec::new();
        while tags.len() < TAGS_MAX && matches!(u16::from_be_bytes(array(frame, at)?), 0x8100 | 0x88a8 | 0x9100) {
            tags.push(Tag::from_control(
                u16::from_be_bytes(array(frame, at)?),
                u16::from_be_bytes(array(frame, at + 2)?),
            ));
            at += 4;
        }
        let ip = at + 2;
        if array(frame, at)? != [0x08, 0x00] || *frame.get(ip)? != 0x45 || *frame.get(ip + 9)? != 17 {
            return None;
        }
        let payload = ip + IP + UDP;
        if array(frame, payload)? != MAGIC {
            return None;
        }
        let kind = match *frame.get(payload + 12)? {
            0 => Kind::Data,
            1 => Kind::Ask,
            _ => Kind::Answer,
        };
        let length = ETHERNET + usize::from(u16::from_be_bytes(array(frame, ip + 2)?));
        let packet = Packet {
            macs: [array(frame, 0)?, array(frame, 6)?],
            tags,
            addresses: [array(frame, ip + 12)?, array(frame, ip + 16)?],
            stream: u32::from_be_bytes(array(frame, payload + 8)?),
            kind,
            number: u64::from_be_bytes(array(frame, payload + 16)?),
            sent_ns: u64::from_be_bytes(array(frame, payload + 24)?),
            length,
        };
        // Behind the packet the frame may be padded.
        let proof = (ip + length)
            .checked_sub(ETHERNET + DIGEST)
            .filter(|proof| *proof >= payload + HEAD);
        let good = proof.is_some_and(|proof| {
            array(frame, proof).is_some_and(|have| u64::from_be_bytes(have) == digest(&frame[payload..proof]))
        });
        Some(if good {
            Parsed::Good(packet)
        } else {
            Parsed::Wrong(packet)
        })
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// FNV-1a, 64 bits.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets() -> impl Strategy<Value = Packet> {
        let tag = (prop_oneof![Just(Tag::C_TAG), Just(Tag::S_TAG)], any::<u16>());
        let tags = proptest::collection::vec(tag.prop_map(|(tpid, control)| Tag::from_control(tpid, control)), 0..3);
        let kind = prop_oneof![Just(Kind::Data), Just(Kind::Ask), Just(Kind::Answer)];
        let ids = (any::<u32>(), any::<u64>(), any::<u64>(), LENGTH_MIN..=LENGTH_MAX);
        (any::<[[u8; 6]; 2]>(), tags, any::<[[u8; 4]; 2]>(), kind, ids).prop_map(
            |(macs, tags, addresses, kind, (stream, number, sent_ns, length))| Packet {
                macs,
                tags,
                addresses,
                stream,
                kind,
                number,
                sent_ns,
                length,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(packet in packets(), padding in 0usize..20) {
            let mut frame = vec![0xa5; 7];
            packet.build(&mut frame);
            prop_assert_eq!(frame.len(), packet.length + 4 * packet.tags.len());
            frame.resize(frame.len() + padding, 0);
            prop_assert_eq!(Packet::parse(&frame), Parsed::Good(packet));
        }

        #[test]
        fn a_changed_byte_of_the_payload_shows(packet in packets(), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut frame = Vec::new();
            packet.build(&mut frame);
            let payload = frame.len() - packet.length + ETHERNET + IP + UDP;
            let at = payload + at.index(frame.len() - payload);
            frame[at] ^= flip;
            prop_assert!(!matches!(Packet::parse(&frame), Parsed::Good(_)));
        }

        #[test]
        fn no_bytes_make_it_fall(packet in packets(), cut in any::<prop::sample::Index>(), noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut frame = Vec::new();
            packet.build(&mut frame);
            frame.truncate(cut.index(frame.len()));
            prop_assert!(!matches!(Packet::parse(&frame), Parsed::Good(_)));
            Packet::parse(&noise);
        }
    }

    #[test]
    fn the_header_checksum_is_that_of_a_known_packet() {
        // 45 00 00 73 00 00 40 00 40 11 b8 61 c0 a8 00 01 c0 a8 00 c7: the sum over all is 0.
        let header = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7,
        ];
        assert_eq!(checksum(&header), 0xb861);
    }

    #[test]
    fn an_answer_goes_back_with_the_tags_it_came_with() {
        let asked = Packet {
            macs: [[0xff; 6], [2, 0, 0, 0, 0, 9]],
            tags: vec![Tag::s(7), Tag::c(8)],
            addresses: [[10, 0, 0, 1], [10, 0, 0, 2]],
            stream: 3,
            kind: Kind::Ask,
            number: 4,
            sent_ns: 5,
            length: LENGTH_MIN,
        };
        let answer = asked.answer();
        assert_eq!(answer.macs, [[2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]]);
        assert_eq!(answer.addresses, [[10, 0, 0, 2], [10, 0, 0, 1]]);
        assert_eq!((answer.kind, answer.tags, answer.number), (Kind::Answer, asked.tags, 4));
    }
}

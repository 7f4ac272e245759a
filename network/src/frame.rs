//! Packets from and to bytes, for simulated switches: Ethernet, VLAN tags, and of IPv4 and UDP what rules look at.
//!
//! Everything after the EtherType stays opaque payload; only the UDP ports are put back where they were. A frame that
//! ends early is still a packet, without the fields that are not there.

use skerry_bus::objects::Mac;

use crate::layout::{IPV4, UDP};
use crate::packet::{Packet, Tag};

/// EtherTypes that announce a tag.
const TAG_TYPES: [u16; 2] = [0x8100, 0x88a8];
/// Tags that are read; a deeper one is payload with the tag's EtherType. More than any network uses.
const TAGS_MAX: usize = 8;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn mac_at(bytes: &[u8], at: usize) -> Option<Mac> {
    bytes.get(at..at + 6)?.try_into().ok().map(Mac)
}

/// Where the UDP header begins in an IPv4 packet, if it has one: not in a later fragment (RFC 791).
fn udp_offset(ip: &[u8]) -> Option<usize> {
    let first = *ip.first()?;
    let length = usize::from(first & 0xf) * 4;
    let whole = first >> 4 == 4 && length >= 20 && ip.get(9) == Some(&UDP) && u16_at(ip, 6)? & 0x1fff == 0;
    (whole && ip.len() >= length + 8).then_some(length)
}

impl Packet {
    /// The packet in a frame without its check sequence; none if the frame has no whole Ethernet header.
    pub fn from_bytes(frame: &[u8]) -> Option<Packet> {
        let (eth_dst, eth_src) = (mac_at(frame, 0)?, mac_at(frame, 6)?);
        let mut at = 12;
        let mut eth_type = u16_at(frame, at)?;
        let mut tags = Vec::new();
        while TAG_TYPES.contains(&eth_type)
            && tags.len() < TAGS_MAX
            && let (Some(tci), Some(next)) = (u16_at(frame, at + 2), u16_at(frame, at + 4))
        {
            tags.push(Tag {
                tpid: eth_type,
                pcp_dei: (tci >> 12) as u8,
                vid: tci & 0xfff,
            });
            at += 4;
            eth_type = next;
        }
        tags.reverse();
        let payload = frame[at + 2..].to_vec();
        let is_ip = eth_type == IPV4;
        let ip_proto = payload.get(9).copied().filter(|_| is_ip);
        let udp = udp_offset(&payload)
            .filter(|_| is_ip)
            .and_then(|o| Some((u16_at(&payload, o)?, u16_at(&payload, o + 2)?)));
        Some(Packet {
            eth_src,
            eth_dst,
            tags,
            eth_type,
            ip_proto,
            udp,
            payload,
        })
    }

    /// The frame. The UDP checksum follows changed ports; a packet without one (0) stays without.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(18 + 4 * self.tags.len() + self.payload.len());
        frame.extend(self.eth_dst.0);
        frame.extend(self.eth_src.0);
        for tag in self.tags.iter().rev() {
            frame.extend(tag.tpid.to_be_bytes());
            let tci = u16::from(tag.pcp_dei & 0xf) << 12 | tag.vid & 0xfff;
            frame.extend(tci.to_be_bytes());
        }
        frame.extend(self.eth_type.to_be_bytes());
        let ip = frame.len();
        frame.extend(&self.payload);
        if let (true, Some((src, dst)), Some(udp)) = (self.eth_type == IPV4, self.udp, udp_offset(&frame[ip..])) {
            for (port, at) in [(src, ip + udp), (dst, ip + udp + 2)] {
                replace_word(&mut frame, at, port, ip + udp + 6);
            }
        }
        frame
    }
}

/// Writes a word and corrects the checksum that covers it (RFC 1624, equation 3).
fn replace_word(frame: &mut [u8], at: usize, new: u16, checksum_at: usize) {
    let (Some(old), Some(checksum)) = (u16_at(frame, at), u16_at(frame, checksum_at)) else {
        return;
    };
    if old == new {
        return;
    }
    frame[at..at + 2].copy_from_slice(&new.to_be_bytes());
    if checksum == 0 {
        return;
    }
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Below 2^16 after the folding. A sum of zero is written as all ones (RFC 768).
    let corrected = match !(sum as u16) {
        0 => 0xffff,
        other => other,
    };
    frame[checksum_at..checksum_at + 2].copy_from_slice(&corrected.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use skerry_bus::objects::Action;

    /// A discovery packet under a tag.
    fn frame() -> Vec<u8> {
        let mut f = vec![
            0x00, 0x26, 0xe1, 0xff, 0xff, 0xff, // to the discovery address
            0x00, 0x00, 0x00, 0x00, 0x00, 0x01, // from switch 1
            0x81, 0x00, 0xa0, 0x64, // tag: priority 5, id 100
            0x08, 0x00, // IPv4
            0x45, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00, // 20 bytes, UDP
            0x7f, 0x00, 0x00, 0x01, 0x7f, 0x00, 0x00, 0x02, // addresses
            0xef, 0x2f, 0xef, 0x2f, 0x00, 0x0c, 0x00, 0x00, // ports 61231, length 12, checksum below
            0xde, 0xad, 0xbe, 0xef,
        ];
        let sum = checksum(&f[18..]);
        f[44..46].copy_from_slice(&sum.to_be_bytes());
        f
    }

    /// The UDP checksum from scratch.
    fn checksum(ip: &[u8]) -> u16 {
        let mut words: Vec<u16> = vec![17, 12];
        let mut bytes = ip[12..].to_vec();
        bytes[14..16].copy_from_slice(&[0, 0]);
        words.extend(bytes.chunks(2).map(|c| u16::from_be_bytes([c[0], c[1]])));
        let mut sum: u32 = words.iter().map(|w| u32::from(*w)).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn a_frame_is_read_and_written_back() {
        let packet = Packet::from_bytes(&frame()).expect("a packet");
        assert_eq!(packet.vids(), [100]);
        assert_eq!((packet.tags[0].pcp_dei, packet.eth_type), (0xa, IPV4));
        assert_eq!((packet.ip_proto, packet.udp), (Some(UDP), Some((61_231, 61_231))));
        assert_eq!(packet.to_bytes(), frame());
    }

    #[test]
    fn the_checksum_follows_a_changed_port() {
        use skerry_bus::objects::{Match, Objects, OutPort, Rule, RuleKey};
        let mut objects = Objects::new();
        objects.put_rule(Rule {
            key: RuleKey {
                table: 0,
                priority: 1,
                matches: Match::default(),
            },
            cookie: skerry_bus::Cookie(0),
            meter: None,
            apply: vec![Action::SetUdpDst(61_232), Action::Output(OutPort::InPort)],
            write_metadata: None,
            goto: None,
            reset_counts: false,
        });
        let packet = Packet::from_bytes(&frame()).expect("a packet");
        let port = skerry_bus::PortNo(1);
        let [crate::Emission::Port(_, turned)] = &crate::process(&objects, port, &packet)[..] else {
            panic!("one copy");
        };
        let bytes = turned.to_bytes();
        assert_eq!(bytes[40..42], [0xef, 0x30]);
        assert_eq!(bytes[44..46], checksum(&bytes[18..]).to_be_bytes());
        // Without a checksum it stays without.
        let mut none = frame();
        none[44..46].copy_from_slice(&[0, 0]);
        let mut packet = Packet::from_bytes(&none).expect("a packet");
        packet.udp = Some((1, 2));
        assert_eq!(packet.to_bytes()[38..46], [0, 1, 0, 2, 0, 12, 0, 0]);
    }

    #[test]
    fn whatever_is_cut_off_is_not_there_and_nothing_else_is_lost() {
        for end in 0..frame().len() {
            let cut = &frame()[..end];
            match Packet::from_bytes(cut) {
                None => assert!(end < 14),
                Some(packet) => assert_eq!(packet.to_bytes(), cut, "{end} bytes"),
            }
        }
        let mut fragment = frame();
        fragment[25] = 1;
        assert_eq!(Packet::from_bytes(&fragment).expect("a packet").udp, None);
    }
}

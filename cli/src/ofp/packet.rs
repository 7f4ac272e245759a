//! A captured packet down to its TCP segment: link layer, VLAN tags, IPv4 or IPv6, TCP.
//!
//! Anything else in the packet is none of our business and gives `None`. Every length is checked against
//! what was captured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The part of a TCP segment that carries a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Sequence number of its first byte, or of SYN.
    pub seq: u32,
    /// Whether it opens a connection.
    pub syn: bool,
    /// What it carries, as far as it was captured.
    pub payload: &'a [u8],
    /// Bytes of it that were not captured.
    pub cut: usize,
}

/// Link types of captures (the registry of tcpdump.org): the number, and what stands before the IP packet.
const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: [u32; 5] = [12, 14, 101, 228, 229];
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const LINUX_SLL2: u32 = 276;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Most VLAN tags that are passed over; no capture of ours has more than two.
const TAGS_MAX: usize = 4;

/// Whether packets of this link type can be read.
pub fn is_known(link_type: u32) -> bool {
    matches!(link_type, NULL | ETHERNET | LOOP | LINUX_SLL | LINUX_SLL2) || RAW.contains(&link_type)
}

/// The TCP segment in a packet.
pub fn segment(link_type: u32, packet: &[u8]) -> Option<Segment<'_>> {
    let (ethertype, rest) = match link_type {
        ETHERNET => (u16_at(packet, 12)?, packet.get(14..)?),
        LINUX_SLL => (u16_at(packet, 14)?, packet.get(16..)?),
        LINUX_SLL2 => (u16_at(packet, 0)?, packet.get(20..)?),
        // The family in front is in the byte order and numbering of the capturing host; the version tells the same.
        NULL | LOOP => (by_version(packet.get(4..)?)?, packet.get(4..)?),
        raw if RAW.contains(&raw) => (by_version(packet)?, packet),
        _ => return None,
    };
    let (ethertype, rest) = untagged(ethertype, rest)?;
    match ethertype {
        IPV4 => ipv4(rest),
        IPV6 => ipv6(rest),
        _ => None,
    }
}

fn by_version(packet: &[u8]) -> Option<u16> {
    match packet.first()? >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}

fn untagged(mut ethertype: u16, mut rest: &[u8]) -> Option<(u16, &[u8])> {
    for _ in 0..TAGS_MAX {
        if !VLAN_TAGS.contains(&ethertype) {
            break;
        }
        ethertype = u16_at(rest, 2)?;
        rest = rest.get(4..)?;
    }
    Some((ethertype, rest))
}

fn ipv4(packet: &[u8]) -> Option<Segment<'_>> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    if header < 20 || packet.first()? >> 4 != 4 {
        return None;
    }
    let total = match usize::from(u16_at(packet, 2)?) {
        // Left out by the host when the card cuts large sends into packets.
        0 => packet.len(),
        total => total,
    };
    let fragment = u16_at(packet, 6)? & 0x3fff;
    let tcp_protocol = *packet.get(9)? == 6;
    if fragment != 0 || !tcp_protocol {
        return None;
    }
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(u32_at(packet, at)?)));
    tcp(
        address(12)?,
        address(16)?,
        packet.get(header..)?,
        total.checked_sub(header)?,
    )
}

fn ipv6(packet: &[u8]) -> Option<Segment<'_>> {
    let length = usize::from(u16_at(packet, 4)?);
    if *packet.get(6)? != 6 {
        return None;
    }
    let address = |at: usize| {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    let rest = packet.get(40..)?;
    let length = if length == 0 { rest.len() } else { length };
    tcp(address(8)?, address(24)?, rest, length)
}

fn tcp(from: IpAddr, to: IpAddr, segment: &[u8], length: usize) -> Option<Segment<'_>> {
    let header = usize::from(segment.get(12)? >> 4) * 4;
    if header < 20 {
        return None;
    }
    let payload = length.checked_sub(header)?;
    let captured = segment.get(header..)?;
    // Behind the packet there may be padding of the link.
    let captured = captured.get(..payload).unwrap_or(captured);
    Some(Segment {
        from: SocketAddr::new(from, u16_at(segment, 0)?),
        to: SocketAddr::new(to, u16_at(segment, 2)?),
        seq: u32_at(segment, 4)?,
        syn: segment.get(13)? & 0x02 != 0,
        payload: captured,
        cut: payload - captured.len(),
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

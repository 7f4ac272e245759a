//! Packets to and from the controller, and the addresses of the packet inside.

use super::action::Actions;
use super::oxm::fields;
use super::word::{Lower, Upper};
use crate::number::NO_BUFFER;
use crate::packet::{PacketIn, PacketOut};
use crate::text::MacAddr;
use core::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, Ipv6Addr};

/// VLAN tags that are looked through: more than two are no packet anybody sends.
const TAGS_MAX: usize = 2;

/// The Ethernet addresses, tags and type of a packet, and of IP and ARP the addresses: what
/// stands in the first bytes, read as far as it is there. Nothing is checked.
struct Packet<'p>(&'p [u8]);

/// Takes the first `N` bytes.
fn take<'p, const N: usize>(rest: &mut &'p [u8]) -> Option<&'p [u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(first)
}

fn short(rest: &mut &[u8]) -> Option<u16> {
    take(rest).map(|bytes| u16::from_be_bytes(*bytes))
}

impl Display for Packet<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let (Some(dst), Some(src)) = (take::<6>(&mut rest), take::<6>(&mut rest)) else {
            return f.write_str("(no Ethernet header)");
        };
        write!(f, "dl_src={},dl_dst={}", MacAddr(*src), MacAddr(*dst))?;
        for _ in 0..TAGS_MAX {
            let (tag, behind) = (short(&mut rest), rest);
            match (tag, short(&mut rest)) {
                (Some(0x8100 | 0x88a8), Some(tci)) => {
                    write!(f, ",dl_vlan={},dl_vlan_pcp={}", tci & 0x0fff, tci >> 13)?;
                }
                (Some(kind), _) => return payload(f, kind, behind),
                (None, _) => return Ok(()),
            }
        }
        match short(&mut rest) {
            Some(kind) => payload(f, kind, rest),
            None => Ok(()),
        }
    }
}

fn payload(f: &mut Formatter<'_>, kind: u16, rest: &[u8]) -> fmt::Result {
    let said = match kind {
        0x0800 => ipv4(f, rest),
        0x0806 => arp(f, rest),
        0x86dd => ipv6(f, rest),
        _ => None,
    };
    said.unwrap_or_else(|| write!(f, ",dl_type={kind:#06x}"))
}

fn ipv4(f: &mut Formatter<'_>, rest: &[u8]) -> Option<fmt::Result> {
    let header = rest.first_chunk::<20>()?;
    let [first, .., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let proto = *header.get(9)?;
    let fragment = u16::from_be_bytes([*header.get(6)?, *header.get(7)?]) & 0x1fff;
    let (src, dst) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
    let words = usize::from(first & 0x0f);
    let behind = if fragment == 0 {
        rest.get(words.saturating_mul(4)..)
    } else {
        None
    };
    let said = write!(f, ",ip,nw_src={src},nw_dst={dst},nw_proto={proto}");
    Some(said.and_then(|()| ports(f, proto, behind)))
}

fn ipv6(f: &mut Formatter<'_>, rest: &[u8]) -> Option<fmt::Result> {
    let (header, behind) = rest.split_first_chunk::<40>()?;
    let src = Ipv6Addr::from(*header.get(8..)?.first_chunk::<16>()?);
    let dst = Ipv6Addr::from(*header.get(24..)?.first_chunk::<16>()?);
    let proto = *header.get(6)?;
    let said = write!(f, ",ipv6,ipv6_src={src},ipv6_dst={dst},nw_proto={proto}");
    Some(said.and_then(|()| ports(f, proto, Some(behind))))
}

/// The ports of TCP, UDP and SCTP, which stand first in all three.
fn ports(f: &mut Formatter<'_>, proto: u8, behind: Option<&[u8]>) -> fmt::Result {
    let mut rest = behind.filter(|_| matches!(proto, 6 | 17 | 132)).unwrap_or_default();
    match (short(&mut rest), short(&mut rest)) {
        (Some(src), Some(dst)) => write!(f, ",tp_src={src},tp_dst={dst}"),
        _ => Ok(()),
    }
}

fn arp(f: &mut Formatter<'_>, mut rest: &[u8]) -> Option<fmt::Result> {
    // Only ARP of IPv4 over Ethernet has these addresses at these places.
    if take::<6>(&mut rest)? != &[0, 1, 8, 0, 6, 4] {
        return None;
    }
    let op = short(&mut rest)?;
    take::<6>(&mut rest)?;
    let spa = Ipv4Addr::from(*take::<4>(&mut rest)?);
    take::<6>(&mut rest)?;
    let tpa = Ipv4Addr::from(*take::<4>(&mut rest)?);
    Some(write!(f, ",arp,arp_spa={spa},arp_tpa={tpa},arp_op={op}"))
}

/// The cookie of a packet that no rule sent.
const NO_COOKIE: u64 = u64::MAX;

impl Display for PacketIn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            buffer_id,
            total_len,
            reason,
            table_id,
            cookie,
            matching,
            data,
        } = self;
        write!(f, "table_id={}", table_id.0)?;
        if *cookie != NO_COOKIE {
            write!(f, " cookie={cookie:#x}")?;
        }
        write!(f, " total_len={total_len}")?;
        if !matching.is_empty() {
            f.write_str(" ")?;
            fields(f, matching, true)?;
        }
        write!(f, " (via {}) data_len={}", Lower(*reason), data.len())?;
        match *buffer_id {
            NO_BUFFER => f.write_str(" (unbuffered)")?,
            buffer => write!(f, " buffer={buffer:#010x}")?,
        }
        if usize::from(*total_len) != data.len() {
            f.write_str(" (total_len != data_len)")?;
        }
        if data.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", Packet(data))
        }
    }
}

impl Display for PacketOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            buffer_id,
            in_port,
            actions,
            data,
        } = self;
        write!(f, "in_port={} actions={}", Upper(*in_port), Actions(actions))?;
        if *buffer_id != NO_BUFFER {
            write!(f, " buffer={buffer_id:#010x}")?;
        }
        write!(f, " data_len={}", data.len())?;
        if data.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", Packet(data))
        }
    }
}

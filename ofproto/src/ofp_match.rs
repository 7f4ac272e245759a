//! A match (section 7.2.3.1, `struct ofp_match`): a list of match fields.

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::number::PortNo;
use crate::oxm::{self, Oxm, OxmField, OxmHeader};
use crate::text::MacAddr;
use crate::wire::{Reader, Wire, Writer, padding_of};
use bytes::{Bytes, BytesMut};
use core::fmt;
use std::net::Ipv4Addr;

code_point! {
    /// How a match is written (`enum ofp_match_type`).
    MatchType(u16), "OFPMT_" {
        STANDARD = 0,
        OXM = 1,
    }
}

/// Bytes of type and length.
const HEADER: usize = 4;

const STRUCTURE: &str = "ofp_match";

/// Match fields in wire order, as they came: unknown classes, fields and
/// experimenters are kept, and so are fields that occur twice.
///
/// The fields stand in a slice of the frame they came in, checked when it was read:
/// each has the width the specification gives it. So a match is read without
/// allocating, two matches are equal when their bytes are, and [`Match::iter`] cannot
/// fail. A match that is kept long after its frame should be [`Match::detached`].
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match {
    oxms: Bytes,
}

impl Match {
    /// Matches every packet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same match with one more field at its end.
    #[must_use]
    pub fn with(mut self, oxm: Oxm) -> Self {
        self.push(oxm);
        self
    }

    /// Adds a field at the end.
    pub fn push(&mut self, oxm: Oxm) {
        let mut out = match core::mem::take(&mut self.oxms).try_into_mut() {
            Ok(own) => own,
            Err(shared) => BytesMut::from(shared.as_ref()),
        };
        oxm.put(&mut out);
        self.oxms = out.freeze();
    }

    /// The fields in wire order.
    #[inline]
    pub fn iter(&self) -> MatchIter<'_> {
        MatchIter {
            oxms: &self.oxms,
            at: 0,
        }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether every packet matches.
    pub fn is_empty(&self) -> bool {
        self.oxms.is_empty()
    }

    /// The first occurrence of a field.
    pub fn get(&self, field: OxmField) -> Option<Oxm> {
        self.iter().find(|oxm| oxm.field() == field)
    }

    /// The same match in bytes of its own, so that it does not keep the frame alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            oxms: Bytes::copy_from_slice(&self.oxms),
        }
    }

    /// The TLVs as they stand on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.oxms
    }

    fn number(&self, field: OxmField) -> Option<(u64, Option<u64>)> {
        let oxm = self.get(field)?;
        Some((oxm.value_u64()?, oxm.mask_u64()))
    }

    fn short(&self, field: OxmField) -> Option<u16> {
        self.number(field).and_then(|(value, _)| u16::try_from(value).ok())
    }

    fn octet(&self, field: OxmField) -> Option<u8> {
        self.number(field).and_then(|(value, _)| u8::try_from(value).ok())
    }

    fn mac(&self, field: OxmField) -> Option<MacAddr> {
        self.get(field)?
            .value()
            .first_chunk::<6>()
            .map(|octets| MacAddr(*octets))
    }

    fn ipv4(&self, field: OxmField) -> Option<(Ipv4Addr, Option<Ipv4Addr>)> {
        let address = |bytes: &[u8]| bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets));
        let oxm = self.get(field)?;
        Some((address(oxm.value())?, oxm.mask().and_then(address)))
    }

    /// The port a packet came in by.
    pub fn in_port(&self) -> Option<PortNo> {
        let (port, _) = self.number(OxmField::IN_PORT)?;
        u32::try_from(port).ok().map(PortNo)
    }

    /// Metadata and its mask.
    pub fn metadata(&self) -> Option<(u64, Option<u64>)> {
        self.number(OxmField::METADATA)
    }

    /// The tunnel's number and its mask.
    pub fn tunnel_id(&self) -> Option<(u64, Option<u64>)> {
        self.number(OxmField::TUNNEL_ID)
    }

    /// Ethernet source, without its mask.
    pub fn eth_src(&self) -> Option<MacAddr> {
        self.mac(OxmField::ETH_SRC)
    }

    /// Ethernet destination, without its mask.
    pub fn eth_dst(&self) -> Option<MacAddr> {
        self.mac(OxmField::ETH_DST)
    }

    /// Ethernet type.
    pub fn eth_type(&self) -> Option<u16> {
        self.short(OxmField::ETH_TYPE)
    }

    /// VLAN_VID as it stands on the wire, presence bit included, and its mask.
    pub fn vlan_vid_raw(&self) -> Option<(u16, Option<u16>)> {
        let (value, mask) = self.number(OxmField::VLAN_VID)?;
        Some((
            u16::try_from(value).ok()?,
            mask.and_then(|mask| u16::try_from(mask).ok()),
        ))
    }

    /// The outer tag's priority.
    pub fn vlan_pcp(&self) -> Option<u8> {
        self.octet(OxmField::VLAN_PCP)
    }

    /// IP protocol.
    pub fn ip_proto(&self) -> Option<u8> {
        self.octet(OxmField::IP_PROTO)
    }

    /// IPv4 source and its mask.
    pub fn ipv4_src(&self) -> Option<(Ipv4Addr, Option<Ipv4Addr>)> {
        self.ipv4(OxmField::IPV4_SRC)
    }

    /// IPv4 destination and its mask.
    pub fn ipv4_dst(&self) -> Option<(Ipv4Addr, Option<Ipv4Addr>)> {
        self.ipv4(OxmField::IPV4_DST)
    }

    /// UDP source port.
    pub fn udp_src(&self) -> Option<u16> {
        self.short(OxmField::UDP_SRC)
    }

    /// UDP destination port.
    pub fn udp_dst(&self) -> Option<u16> {
        self.short(OxmField::UDP_DST)
    }

    /// TCP source port.
    pub fn tcp_src(&self) -> Option<u16> {
        self.short(OxmField::TCP_SRC)
    }

    /// TCP destination port.
    pub fn tcp_dst(&self) -> Option<u16> {
        self.short(OxmField::TCP_DST)
    }
}

impl FromIterator<Oxm> for Match {
    fn from_iter<I: IntoIterator<Item = Oxm>>(oxms: I) -> Self {
        let mut out = BytesMut::new();
        oxms.into_iter().for_each(|oxm| oxm.put(&mut out));
        Self { oxms: out.freeze() }
    }
}

impl<const N: usize> From<[Oxm; N]> for Match {
    fn from(oxms: [Oxm; N]) -> Self {
        oxms.into_iter().collect()
    }
}

impl<'m> IntoIterator for &'m Match {
    type Item = Oxm;
    type IntoIter = MatchIter<'m>;

    fn into_iter(self) -> MatchIter<'m> {
        self.iter()
    }
}

/// The fields of a match, first to last.
#[derive(Clone, Debug)]
pub struct MatchIter<'m> {
    oxms: &'m Bytes,
    at: usize,
}

impl Iterator for MatchIter<'_> {
    type Item = Oxm;

    #[inline]
    fn next(&mut self) -> Option<Oxm> {
        let bytes = self.oxms.get(self.at..)?;
        let header = OxmHeader::peek(bytes)?;
        let from = self.at.saturating_add(header.skip);
        let to = from.saturating_add(header.payload);
        // The slice is inside: `from_wire` looks first whether the bytes are there.
        let oxm = Oxm::from_wire(header, bytes, || self.oxms.slice(from..to))?;
        self.at = to;
        Some(oxm)
    }
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Wire for Match {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outer = r.enter(STRUCTURE);
        let start = r.offset();
        let kind = r.u16()?;
        if kind != MatchType::OXM.0 {
            return Err(r.error_at(start, DecodeCause::MatchType(kind)));
        }
        let said = usize::from(r.u16()?);
        let Some(length) = said.checked_sub(HEADER) else {
            return Err(r.error_at(start, DecodeCause::TooShort { said, least: HEADER }));
        };
        if length > r.left() {
            let left = r.left().saturating_add(HEADER);
            return Err(r.error_at(start, DecodeCause::PastEnd { said, left }));
        }
        let mut fields = r.sub(length)?;
        let oxms = fields.rest_of_frame();
        while !fields.is_empty() {
            oxm::check(&mut fields)?;
        }
        r.skip(padding_of(said))?;
        r.leave(outer);
        Ok(Self { oxms })
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let length = self.oxms.len().saturating_add(HEADER);
        let Ok(short) = u16::try_from(length) else {
            return Err(EncodeError {
                structure: STRUCTURE,
                cause: EncodeCause::TooLong(length),
            });
        };
        w.u16(MatchType::OXM.0);
        w.u16(short);
        w.slice(&self.oxms);
        w.pad(padding_of(length));
        Ok(())
    }
}

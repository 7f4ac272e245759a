//! A match (section 7.2.3.1, `struct ofp_match`): a list of match fields.

use crate::error::{DecodeCause, DecodeError, EncodeError};
use crate::number::PortNo;
use crate::oxm::{self, Oxm, OxmField};
use crate::oxm_header::OxmHeader;
use crate::short_bytes::ShortBytes;
use crate::text::MacAddr;
use crate::wire::{Reader, Wire, Writer, padding_of, too_long};
use core::fmt;
use std::net::Ipv4Addr;

code_point! {
    /// How a match is written (section 7.2.3.1, `enum ofp_match_type`).
    MatchType(u16), "OFPMT_" {
        STANDARD = 0,
        OXM = 1,
    }
}

/// Bytes of type and length.
const HEADER: usize = 4;

const STRUCTURE: &str = "ofp_match";

/// Match fields in wire order, as they came: unknown classes, fields and
/// experimenters are kept, and so are fields that occur twice (section 7.2.3.1).
///
/// The fields stand as on the wire, checked when they were read: each has the width
/// the specification gives it. So a match is read without allocating, two matches are
/// equal when their bytes are, and [`Match::iter`] cannot fail. A short match (an IPv4
/// flow by port, addresses and ports is one) holds its bytes itself. A long one is a
/// slice of the frame it came in; kept long after its frame it should be
/// [`Match::detached`].
#[derive(Clone, Default)]
pub struct Match {
    oxms: ShortBytes<SHORT>,
}

/// Bytes of a match that holds its fields itself: IN_PORT and an IPv4 flow take 47.
const SHORT: usize = 48;

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
        let mut out = self.as_bytes().to_vec();
        oxm.put(&mut out);
        self.oxms = ShortBytes::copy_of(&out);
    }

    /// The fields in wire order.
    #[inline]
    pub fn iter(&self) -> MatchIter<'_> {
        MatchIter {
            room: self.oxms.room(),
            left: self.as_bytes().len(),
        }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether every packet matches.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The first occurrence of a field.
    pub fn get(&self, field: OxmField) -> Option<Oxm> {
        self.iter().find(|oxm| oxm.field() == field)
    }

    /// The same match in bytes of its own, so that it does not keep the frame alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            oxms: ShortBytes::copy_of(self.as_bytes()),
        }
    }

    /// The TLVs as they stand on the wire.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.oxms.as_slice()
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
        let mut out = Vec::new();
        oxms.into_iter().for_each(|oxm| oxm.put(&mut out));
        Self {
            oxms: ShortBytes::copy_of(&out),
        }
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

impl PartialEq for Match {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Match {}

impl core::hash::Hash for Match {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for Match {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Match {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

/// The fields of a match, first to last (section 7.2.3.1).
#[derive(Clone)]
pub struct MatchIter<'m> {
    /// The fields that are left and what stands behind them.
    room: &'m [u8],
    /// Bytes of the fields that are left.
    left: usize,
}

impl Iterator for MatchIter<'_> {
    type Item = Oxm;

    #[inline]
    fn next(&mut self) -> Option<Oxm> {
        if self.left == 0 {
            return None;
        }
        let header = OxmHeader::peek(self.room)?;
        let payload = self.room.get(header.skip()..)?;
        let length = usize::from(header.payload());
        self.left = self.left.checked_sub(header.skip().saturating_add(length))?;
        self.room = payload.get(length..)?;
        match Oxm::small(header, payload) {
            None => Some(Oxm::large(header, payload)),
            small => small,
        }
    }
}

impl fmt::Debug for MatchIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Wire for Match {
    const LEAST: usize = 8;

    // Inlined, so that it is made where it stays: it is longer than it takes to read.
    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Some(fields) = fields(r.rest()) else {
            return Err(refused(r));
        };
        let length = fields.len();
        let oxms = match r
            .rest_of_frame()
            .get(HEADER..)
            .and_then(|ahead| ShortBytes::few(ahead, length))
        {
            Some(few) => few,
            None => ShortBytes::Shared(r.frame_slice(r.offset().saturating_add(HEADER), length)),
        };
        let said = length.saturating_add(HEADER);
        if !r.step(said.saturating_add(padding_of(said))) {
            return Err(refused(r));
        }
        r.was(STRUCTURE);
        Ok(Self { oxms })
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let length = self.as_bytes().len().saturating_add(HEADER);
        let Ok(short) = u16::try_from(length) else {
            return Err(too_long(STRUCTURE, length));
        };
        w.u16(MatchType::OXM.0);
        w.u16(short);
        self.oxms.write(w);
        w.pad(padding_of(length));
        Ok(())
    }
}

/// The fields of the match at the front of `bytes`, if that and they are well formed.
#[inline]
fn fields(bytes: &[u8]) -> Option<&[u8]> {
    let [k0, k1, l0, l1] = *bytes.first_chunk::<HEADER>()?;
    let fields = bytes.get(HEADER..usize::from(u16::from_be_bytes([l0, l1])))?;
    (u16::from_be_bytes([k0, k1]) == MatchType::OXM.0 && oxm::are_well_formed(fields)).then_some(fields)
}

/// What is wrong with the match at the reader's place.
#[cold]
fn refused(r: &mut Reader<'_>) -> DecodeError {
    match padding(r) {
        Err(error) => error,
        // Then it is the padding that is not there.
        Ok(padding) => r.missing(padding),
    }
}

/// Reads a match up to its padding; gives how much that is.
fn padding(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
    r.enter(STRUCTURE);
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
    oxm::check_all(&mut r.sub(length)?)?;
    Ok(padding_of(said))
}

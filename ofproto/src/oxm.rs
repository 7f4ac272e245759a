//! One match field: OXM TLV (section 7.2.3.2 to 7.2.3.8).

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::number::{ExperimenterId, PortNo};
use crate::oxm_header::{EXPERIMENTER, HEADER, OxmHeader};
use crate::oxm_table::{OXM_LENGTHS, OXM_TABLE, OxmRow, other_row};
use crate::short_bytes::few;
use crate::text::MacAddr;
use crate::wire::{Reader, Wire, Writer};
use core::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

code_point! {
    /// Who numbers a match field (section 7.2.3.3, `enum ofp_oxm_class`).
    OxmClass(u16), "OFPXMC_" {
        NXM_0 = 0x0000,
        NXM_1 = 0x0001,
        OPENFLOW_BASIC = 0x8000,
        PACKET_REGS = 0x8001,
        EXPERIMENTER = 0xffff,
    }
}

flag_word! {
    /// Which extension headers an IPv6 packet has, and how (section 7.2.3.7,
    /// `enum ofp_ipv6exthdr_flags`): the bits of OFPXMT_OFB_IPV6_EXTHDR.
    Ipv6ExtHdrFlags(u16), "OFPIEH_" {
        NONEXT = 0,
        ESP = 1,
        AUTH = 2,
        DEST = 3,
        FRAG = 4,
        ROUTER = 5,
        HOP = 6,
        UNREP = 7,
        UNSEQ = 8,
    }
}

/// `OFPVID_PRESENT`: the bit of a VLAN_VID that says that there is a tag (section 7.2.3.7).
pub const VLAN_PRESENT: u16 = 0x1000;

/// `OFPVID_NONE`: the VLAN_VID of a packet without a tag (section 7.2.3.7).
pub const VLAN_NONE: u16 = 0x0000;

/// Field numbers have seven bits.
const NUMBER_MASK: u8 = 0x7f;

/// Which field: its class, its number, and whose it is in the experimenter class (section 7.2.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OxmField {
    class: OxmClass,
    experimenter: ExperimenterId,
    number: u8,
}

impl OxmField {
    /// A field of the specification's own class.
    pub const fn basic(number: u8) -> Self {
        Self::of_class(OxmClass::OPENFLOW_BASIC, number)
    }

    /// A field of any class but the experimenters'. Numbers have seven bits, higher
    /// ones are cut.
    pub const fn of_class(class: OxmClass, number: u8) -> Self {
        Self {
            class,
            experimenter: ExperimenterId(0),
            number: number & NUMBER_MASK,
        }
    }

    /// A field of an experimenter.
    pub const fn of_experimenter(experimenter: ExperimenterId, number: u8) -> Self {
        Self {
            class: OxmClass::EXPERIMENTER,
            experimenter,
            number: number & NUMBER_MASK,
        }
    }

    /// A field that is of an experimenter if its class is.
    #[inline]
    pub(crate) const fn of(class: OxmClass, experimenter: ExperimenterId, number: u8) -> Self {
        Self {
            class,
            experimenter,
            number,
        }
    }

    /// Who numbers it.
    pub fn class(self) -> OxmClass {
        self.class
    }

    /// Its number in its class.
    pub const fn number(self) -> u8 {
        self.number
    }

    /// Whose it is, in class OFPXMC_EXPERIMENTER.
    pub fn experimenter(self) -> Option<ExperimenterId> {
        (self.class == OxmClass::EXPERIMENTER).then_some(self.experimenter)
    }

    /// Its row in the table of its class.
    #[inline]
    pub fn row(self) -> Option<&'static OxmRow> {
        if self.class == OxmClass::OPENFLOW_BASIC {
            OXM_TABLE.get(usize::from(self.number))
        } else {
            other_row(self)
        }
    }

    /// `OFPXMT_OFB_..`, or of other classes `NXM_NX_..` and the like, if it is known.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// The field of such a name.
    pub fn from_name(name: &str) -> Option<Self> {
        OxmRow::all().find(|row| row.name == name).map(|row| row.field)
    }

    /// `OXM_OF_..`, or the numbers of a field that is not known.
    pub(crate) fn oxm_name(self) -> String {
        match self.row() {
            Some(row) => row.oxm_name.to_owned(),
            None => self.to_string(),
        }
    }

    /// The number of its value's bytes, if it is known and fixed.
    #[inline]
    pub fn width(self) -> Option<usize> {
        self.row().map(|row| usize::from(row.width)).filter(|width| *width != 0)
    }
}

impl fmt::Display for OxmField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.experimenter()) {
            (Some(name), _) => f.write_str(name),
            (None, Some(id)) => write!(f, "oxm {id}:{}", self.number),
            (None, None) => write!(f, "oxm {:#06x}:{}", self.class.0, self.number),
        }
    }
}

impl fmt::Debug for OxmField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes of value and mask that a field holds itself: every field without a mask and all
/// but the IPv6 addresses with one, so neither reading nor making those allocates.
const SHORT: usize = 16;

/// The most bytes that value and mask can have: the length of a TLV is one byte.
const LONG: usize = 255;

/// A field with its value and, if it is masked, its mask (section 7.2.3.2).
///
/// Its bytes always have the width that the specification gives the field, so it
/// can always be written.
#[derive(Clone)]
pub struct Oxm {
    header: OxmHeader,
    /// Value and mask and zeros behind them, if they are few.
    bytes: [u8; SHORT],
    /// Else those bytes.
    long: Option<Box<[u8; LONG]>>,
}

impl Oxm {
    /// A field from its bytes, most significant first.
    ///
    /// # Errors
    /// `EncodeCause::OxmLength` when value or mask do not have the field's width, or
    /// when an unknown field is longer than a TLV can be.
    pub fn new(field: OxmField, value: &[u8], mask: Option<&[u8]>) -> Result<Self, EncodeError> {
        let wrong = |given: usize| EncodeError {
            structure: "ofp_match",
            cause: EncodeCause::OxmLength { field, given },
        };
        let must = field.width().unwrap_or(value.len());
        if value.len() != must {
            return Err(wrong(value.len()));
        }
        let Some(mask) = mask else {
            return Self::checked(field, false, value).ok_or_else(|| wrong(value.len()));
        };
        if mask.len() != must {
            return Err(wrong(mask.len()));
        }
        let both = [value, mask].concat();
        Self::checked(field, true, &both).ok_or_else(|| wrong(value.len()))
    }

    fn checked(field: OxmField, masked: bool, both: &[u8]) -> Option<Self> {
        Some(Self::large(OxmHeader::new(field, masked, both.len())?, both))
    }

    /// A field of the table from a number, of which the low bytes are taken.
    fn low_bytes<const N: usize>(field: OxmField, value: [u8; N], mask: Option<[u8; N]>) -> Self {
        let width = field.width().unwrap_or(N).min(N);
        let tail = |all: &[u8; N]| -> Vec<u8> { all.get(N.saturating_sub(width)..).unwrap_or(all).to_vec() };
        let mut both = tail(&value);
        if let Some(mask) = mask {
            both.extend_from_slice(&tail(&mask));
        }
        Self::checked(field, mask.is_some(), &both).expect("a value and a mask of at most 16 bytes each")
    }

    /// Which field.
    #[inline]
    pub fn field(&self) -> OxmField {
        self.header.field()
    }

    /// Whether it has a mask.
    #[inline]
    pub fn is_masked(&self) -> bool {
        self.header.masked()
    }

    /// The field that `header` announced, whose bytes `bytes` begin with, if it has at
    /// most eight and eight are there. Most are like this.
    #[inline(always)]
    pub(crate) fn small(header: OxmHeader, bytes: &[u8]) -> Option<Self> {
        let behind = u64::BITS.checked_sub(u32::from(header.payload()).saturating_mul(8))?;
        // What stands behind its bytes is another's.
        let keep = u64::MAX.checked_shr(behind).unwrap_or(0);
        let [a, b, c, d, e, f, g, h] = (u64::from_le_bytes(*bytes.first_chunk()?) & keep).to_le_bytes();
        Some(Self {
            header,
            bytes: [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0],
            long: None,
        })
    }

    /// The TLV and zeros behind it in twelve bytes, if it has one to eight and they are
    /// of no experimenter. Most are like this.
    #[inline]
    pub(crate) fn small_tlv(&self) -> Option<[u8; 12]> {
        let [c0, c1, number, length] = self.header.bytes();
        let [a, b, c, d, e, f, g, h, ..] = self.bytes;
        let small = matches!(length, 1..=8) && self.header.id_bytes().is_none();
        small.then_some([c0, c1, number, length, a, b, c, d, e, f, g, h])
    }

    /// The field that `header` announced, whose bytes `bytes` begin with.
    #[inline(never)]
    pub(crate) fn large(header: OxmHeader, bytes: &[u8]) -> Self {
        let len = usize::from(header.payload());
        let Some(mut few) = few::<SHORT>(bytes, len) else {
            return Self {
                header,
                bytes: [0; SHORT],
                long: Some(long(bytes)),
            };
        };
        few.get_mut(len..).unwrap_or_default().fill(0);
        Self {
            header,
            bytes: few,
            long: None,
        }
    }

    /// Value and mask.
    #[inline]
    fn payload(&self) -> &[u8] {
        let all: &[u8] = match &self.long {
            None => &self.bytes,
            Some(long) => long.as_slice(),
        };
        all.get(..usize::from(self.header.payload())).unwrap_or(all)
    }

    #[inline]
    fn halves(&self) -> (&[u8], &[u8]) {
        let all = self.payload();
        if !self.is_masked() {
            return (all, &[]);
        }
        all.split_at_checked(all.len() / 2).unwrap_or((all, &[]))
    }

    /// The value, most significant byte first.
    #[inline]
    pub fn value(&self) -> &[u8] {
        self.halves().0
    }

    /// The mask, most significant byte first; a bit of 1 is compared.
    #[inline]
    pub fn mask(&self) -> Option<&[u8]> {
        self.is_masked().then(|| self.halves().1)
    }

    /// The value as a number; `None` when it has more than 64 bits.
    #[inline]
    pub fn value_u64(&self) -> Option<u64> {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes;
        number([a, b, c, d, e, f, g, h], self.half())
    }

    /// The mask as a number; `None` when there is none or it has more than 64 bits.
    #[inline]
    pub fn mask_u64(&self) -> Option<u64> {
        if self.is_masked() {
            mask(self.bytes, self.half())
        } else {
            None
        }
    }

    /// Bytes of the value, which are half of all when there is a mask.
    #[inline]
    fn half(&self) -> u8 {
        let len = self.header.payload();
        if self.is_masked() { len / 2 } else { len }
    }

    /// Bytes of the TLV.
    #[inline]
    pub(crate) fn wire_len(&self) -> u16 {
        self.header.whole()
    }

    /// Appends the TLV.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header.bytes());
        out.extend(self.header.id_bytes().iter().flatten());
        out.extend_from_slice(self.payload());
    }
}

/// The number that the first `len` bytes are, the most significant one first; `None` when
/// there are more than eight.
#[inline]
fn number(bytes: [u8; 8], len: u8) -> Option<u64> {
    let behind = u64::BITS.checked_sub(u32::from(len).saturating_mul(8))?;
    // What is behind the number is shifted out. Without any bytes there is nothing to keep.
    Some(u64::from_be_bytes(bytes).checked_shr(behind).unwrap_or(0))
}

/// The number that the `len` bytes behind the first `len` bytes are.
#[inline(never)]
fn mask(bytes: [u8; SHORT], len: u8) -> Option<u64> {
    number(*bytes.get(usize::from(len)..)?.first_chunk()?, len)
}

/// The first bytes of `bytes` for a field that is longer than it holds itself.
#[cold]
fn long(bytes: &[u8]) -> Box<[u8; LONG]> {
    let mut long = Box::new([0; LONG]);
    long.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    long
}

const BASIC: [u8; 2] = OxmClass::OPENFLOW_BASIC.0.to_be_bytes();

/// What is left behind the TLV at the front of `bytes`, if that is well formed.
#[inline]
fn behind(bytes: &[u8]) -> Option<&[u8]> {
    let [c0, c1, field, length] = *bytes.first_chunk::<HEADER>()?;
    let fits = match OXM_LENGTHS.get(usize::from(field)) {
        Some(must) if [c0, c1] == BASIC && *must != 0 => *must == length,
        _ => judge(OxmHeader::peek(bytes)?).is_ok(),
    };
    bytes.get(HEADER.saturating_add(usize::from(length))..).filter(|_| fits)
}

/// The header of the TLV at the front of `bytes` and where its value begins, if it is well
/// formed and at most `left_max` bytes are left behind it.
#[inline(always)]
pub(crate) fn front(bytes: &[u8], left_max: usize) -> Option<(OxmHeader, usize)> {
    let header = OxmHeader::peek(bytes)?;
    let left = behind(bytes)?.len();
    (left <= left_max).then_some((header, header.skip()))
}

/// Whether the length of a TLV is one that its field can have.
#[cold]
fn judge(header: OxmHeader) -> Result<(), DecodeCause> {
    let (field, masked, said) = (header.field(), header.masked(), usize::from(header.payload()));
    match field.width() {
        Some(width) => {
            let must = if masked { width.saturating_mul(2) } else { width };
            if said == must {
                Ok(())
            } else {
                Err(DecodeCause::OxmLength { field, said, must })
            }
        }
        None if masked && said % 2 != 0 => Err(DecodeCause::OxmMask { field, said }),
        None => Ok(()),
    }
}

/// Whether `bytes` are well-formed TLVs one behind the other.
#[inline]
pub(crate) fn are_well_formed(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match behind(bytes) {
            Some(left) => bytes = left,
            None => return false,
        }
    }
    true
}

/// Steps over TLVs until nothing is left or one is not well formed.
#[cold]
pub(crate) fn check_all(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    while !r.is_empty() {
        let bytes = r.rest();
        match behind(bytes) {
            Some(left) => r.skip(bytes.len().saturating_sub(left.len()))?,
            None => return Err(error(r)),
        }
    }
    Ok(())
}

/// What is wrong with the TLV at the reader's place.
#[cold]
fn error(r: &Reader<'_>) -> DecodeError {
    let Some(header) = OxmHeader::peek(r.rest()) else {
        return header_error(r);
    };
    match judge(header) {
        Err(cause) => r.error(cause),
        Ok(()) => r.error(DecodeCause::PastEnd {
            said: usize::from(header.whole()),
            left: r.left(),
        }),
    }
}

/// Why there is no header: too few bytes, or a length without room for the experimenter.
#[cold]
fn header_error(r: &Reader<'_>) -> DecodeError {
    match r.rest().first_chunk::<HEADER>() {
        None => r.error(DecodeCause::Missing {
            needed: HEADER,
            left: r.left(),
        }),
        Some([.., length]) if usize::from(*length) < EXPERIMENTER => r.error(DecodeCause::TooShort {
            said: usize::from(*length),
            least: EXPERIMENTER,
        }),
        Some(_) => r.error(DecodeCause::Missing {
            needed: HEADER + EXPERIMENTER,
            left: r.left(),
        }),
    }
}

impl Wire for Oxm {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (bytes, ahead) = (r.rest(), r.rest_of_frame());
        let Some((header, payload)) = front(bytes, usize::MAX) else {
            return Err(error(r));
        };
        r.skip(payload.saturating_add(usize::from(header.payload())))?;
        Ok(Self::large(header, ahead.get(payload..).unwrap_or_default()))
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.array(self.header.bytes());
        if let Some(id) = self.header.id_bytes() {
            w.array(id);
        }
        match &self.long {
            None => w.front(&self.bytes, usize::from(self.header.payload())),
            Some(_) => w.slice(self.payload()),
        }
        Ok(())
    }
}

impl PartialEq for Oxm {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.payload() == other.payload()
    }
}

impl Eq for Oxm {}

impl core::hash::Hash for Oxm {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.header.hash(state);
        self.payload().hash(state);
    }
}

impl fmt::Debug for Oxm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.field())?;
        self.value().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        if let Some(mask) = self.mask() {
            f.write_str("/")?;
            mask.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

macro_rules! oxm_constructors {
    ($($(#[$doc:meta])* $name:ident($ty:ty) $field:ident = $bytes:expr;)*) => {
        impl Oxm {
            $($(#[$doc])* pub fn $name(value: $ty) -> Self {
                let bytes: fn($ty) -> _ = $bytes;
                Self::low_bytes(OxmField::$field, bytes(value), None)
            })*
        }
    };
}

macro_rules! masked_oxm_constructors {
    ($($(#[$doc:meta])* $name:ident($ty:ty) $field:ident = $bytes:expr;)*) => {
        impl Oxm {
            $($(#[$doc])* pub fn $name(value: $ty, mask: $ty) -> Self {
                let bytes: fn($ty) -> _ = $bytes;
                Self::low_bytes(OxmField::$field, bytes(value), Some(bytes(mask)))
            })*
        }
    };
}

oxm_constructors! {
    /// The port a packet came in by.
    in_port(PortNo) IN_PORT = |port| port.0.to_be_bytes();
    /// The physical port below it.
    in_phy_port(PortNo) IN_PHY_PORT = |port| port.0.to_be_bytes();
    /// What earlier tables wrote down about the packet.
    metadata(u64) METADATA = u64::to_be_bytes;
    /// Ethernet destination.
    eth_dst(MacAddr) ETH_DST = |mac| mac.0;
    /// Ethernet source.
    eth_src(MacAddr) ETH_SRC = |mac| mac.0;
    /// Ethernet type.
    eth_type(u16) ETH_TYPE = u16::to_be_bytes;
    /// The outer tag's VLAN, 0 to 4095; says also that there is a tag.
    vlan_vid(u16) VLAN_VID = |vid| ((vid & 0x0fff) | VLAN_PRESENT).to_be_bytes();
    /// VLAN_VID as it stands on the wire, presence bit included: `VLAN_NONE` for no tag.
    vlan_vid_raw(u16) VLAN_VID = u16::to_be_bytes;
    /// The outer tag's priority.
    vlan_pcp(u8) VLAN_PCP = |pcp| [pcp];
    /// Differentiated services.
    ip_dscp(u8) IP_DSCP = |dscp| [dscp];
    /// Explicit congestion notification.
    ip_ecn(u8) IP_ECN = |ecn| [ecn];
    /// IP protocol.
    ip_proto(u8) IP_PROTO = |proto| [proto];
    /// IPv4 source.
    ipv4_src(Ipv4Addr) IPV4_SRC = |ip| ip.octets();
    /// IPv4 destination.
    ipv4_dst(Ipv4Addr) IPV4_DST = |ip| ip.octets();
    /// TCP source port.
    tcp_src(u16) TCP_SRC = u16::to_be_bytes;
    /// TCP destination port.
    tcp_dst(u16) TCP_DST = u16::to_be_bytes;
    /// UDP source port.
    udp_src(u16) UDP_SRC = u16::to_be_bytes;
    /// UDP destination port.
    udp_dst(u16) UDP_DST = u16::to_be_bytes;
    /// ARP operation.
    arp_op(u16) ARP_OP = u16::to_be_bytes;
    /// ARP sender's IPv4 address.
    arp_spa(Ipv4Addr) ARP_SPA = |ip| ip.octets();
    /// ARP target's IPv4 address.
    arp_tpa(Ipv4Addr) ARP_TPA = |ip| ip.octets();
    /// IPv6 source.
    ipv6_src(Ipv6Addr) IPV6_SRC = |ip| ip.octets();
    /// IPv6 destination.
    ipv6_dst(Ipv6Addr) IPV6_DST = |ip| ip.octets();
    /// MPLS label.
    mpls_label(u32) MPLS_LABEL = u32::to_be_bytes;
    /// Which extension headers an IPv6 packet has.
    ipv6_exthdr(Ipv6ExtHdrFlags) IPV6_EXTHDR = |flags| flags.0.to_be_bytes();
    /// Number of the tunnel a packet came by (a VXLAN's VNI in the low 24 bits).
    tunnel_id(u64) TUNNEL_ID = u64::to_be_bytes;
}

masked_oxm_constructors! {
    /// Some bits of the metadata.
    metadata_masked(u64) METADATA = u64::to_be_bytes;
    /// Some bits of the Ethernet destination.
    eth_dst_masked(MacAddr) ETH_DST = |mac| mac.0;
    /// Some bits of the Ethernet source.
    eth_src_masked(MacAddr) ETH_SRC = |mac| mac.0;
    /// Some bits of VLAN_VID as it stands on the wire, presence bit included.
    vlan_vid_masked(u16) VLAN_VID = u16::to_be_bytes;
    /// An IPv4 source network.
    ipv4_src_masked(Ipv4Addr) IPV4_SRC = |ip| ip.octets();
    /// An IPv4 destination network.
    ipv4_dst_masked(Ipv4Addr) IPV4_DST = |ip| ip.octets();
    /// An IPv6 source network.
    ipv6_src_masked(Ipv6Addr) IPV6_SRC = |ip| ip.octets();
    /// An IPv6 destination network.
    ipv6_dst_masked(Ipv6Addr) IPV6_DST = |ip| ip.octets();
    /// Some bits of the tunnel's number.
    tunnel_id_masked(u64) TUNNEL_ID = u64::to_be_bytes;
}

impl Oxm {
    /// Any VLAN tag, whatever its VLAN.
    pub fn vlan_any() -> Self {
        Self::vlan_vid_masked(VLAN_PRESENT, VLAN_PRESENT)
    }

    /// No VLAN tag.
    pub fn vlan_none() -> Self {
        Self::vlan_vid_raw(VLAN_NONE)
    }
}

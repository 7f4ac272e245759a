//! Match fields: [`Match`] in the words of a rule (`udp,nw_src=10.0.0.0/8,tp_dst=53`), and one
//! [`Oxm`] by its own name, which needs no other (`ip_src=10.0.0.0/8`).

use super::line::{Hex, PARTS_MAX};
use super::word::{Upper, lower};
use crate::number::PortNo;
use crate::ofp_match::Match;
use crate::oxm::{Oxm, OxmClass, OxmField, VLAN_NONE, VLAN_PRESENT};
use crate::oxm_table::{OxmKind, OxmPrerequisite, OxmRow};
use crate::table_features::OxmId;
use crate::text::MacAddr;
use core::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What is in front of the names of the tables, and what takes its place.
const PREFIXES: [(&str, &str); 7] = [
    ("OFPXMT_OFB_", ""),
    ("NXM_OF_", ""),
    ("NXM_NX_", ""),
    ("OXM_OF_PKT_", "x"),
    ("ONFOXM_ET_", ""),
    ("NXOXM_ET_", ""),
    ("NXOXM_", ""),
];

/// Bits of a DSCP; `nw_tos` has two bits of ECN below them.
const DSCP_MAX: u64 = 0x3f;

/// A value and, if it is masked, its mask.
struct Value<'o>(&'o Oxm);

/// Ethernet types and IP protocols that have a word, as far as both are said.
fn protocol(eth_type: u64, ip_proto: Option<u64>) -> Option<(&'static str, bool)> {
    let whole = |word| Some((word, true));
    match (eth_type, ip_proto) {
        (0x0800, Some(1)) => whole("icmp"),
        (0x0800, Some(6)) => whole("tcp"),
        (0x0800, Some(17)) => whole("udp"),
        (0x0800, Some(132)) => whole("sctp"),
        (0x86dd, Some(6)) => whole("tcp6"),
        (0x86dd, Some(17)) => whole("udp6"),
        (0x86dd, Some(58)) => whole("icmp6"),
        (0x86dd, Some(132)) => whole("sctp6"),
        (0x0800, _) => Some(("ip", false)),
        (0x0806, _) => Some(("arp", false)),
        (0x8035, _) => Some(("rarp", false)),
        (0x86dd, _) => Some(("ipv6", false)),
        (0x8847, _) => Some(("mpls", false)),
        (0x8848, _) => Some(("mplsm", false)),
        _ => None,
    }
}

/// The field's own word where it is not the name of its table in small letters.
fn own_word(field: OxmField) -> Option<&'static str> {
    Some(match field {
        OxmField::IP_ECN | OxmField::NXM_NX_IP_ECN => "nw_ecn",
        OxmField::IP_PROTO | OxmField::NXM_OF_IP_PROTO => "nw_proto",
        OxmField::NXM_OF_IP_TOS => "nw_tos",
        OxmField::NXM_NX_IP_TTL => "nw_ttl",
        OxmField::NXM_NX_TUN_IPV4_SRC => "tun_src",
        OxmField::NXM_NX_TUN_IPV4_DST => "tun_dst",
        OxmField::IPV4_SRC => "ip_src",
        OxmField::IPV4_DST => "ip_dst",
        OxmField::ICMPV4_TYPE => "icmp_type",
        OxmField::ICMPV4_CODE => "icmp_code",
        OxmField::IPV6_FLABEL => "ipv6_label",
        OxmField::IPV6_ND_TARGET => "nd_target",
        OxmField::IPV6_ND_SLL => "nd_sll",
        OxmField::IPV6_ND_TLL => "nd_tll",
        OxmField::TUNNEL_ID => "tun_id",
        _ => return None,
    })
}

/// The word in a match where it is not the field's own.
fn match_word(field: OxmField) -> Option<&'static str> {
    Some(match field {
        OxmField::ETH_DST => "dl_dst",
        OxmField::ETH_SRC => "dl_src",
        OxmField::ETH_TYPE => "dl_type",
        OxmField::VLAN_PCP => "dl_vlan_pcp",
        OxmField::IPV4_SRC => "nw_src",
        OxmField::IPV4_DST => "nw_dst",
        _ => return None,
    })
}

/// The word of a field of the next layer, when the match says which protocol that is.
fn payload_word(field: OxmField) -> Option<&'static str> {
    Some(match field {
        OxmField::TCP_SRC | OxmField::UDP_SRC | OxmField::SCTP_SRC => "tp_src",
        OxmField::TCP_DST | OxmField::UDP_DST | OxmField::SCTP_DST => "tp_dst",
        OxmField::ICMPV6_TYPE => "icmp_type",
        OxmField::ICMPV6_CODE => "icmp_code",
        _ => return None,
    })
}

/// The word of a field that stands alone.
pub(crate) struct OwnWord(pub(crate) OxmField);

impl Display for OwnWord {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (own_word(self.0), self.0.row()) {
            (Some(word), _) => f.write_str(word),
            (None, Some(row)) => {
                let strip = |(prefix, before): &(&str, &'static str)| Some((row.name.strip_prefix(prefix)?, *before));
                let (name, before) = PREFIXES.iter().find_map(strip).unwrap_or((row.name, ""));
                f.write_str(before)?;
                lower(f, name)
            }
            (None, None) => match self.0.experimenter() {
                Some(id) => write!(f, "oxm(experimenter={:#x},field={})", id.0, self.0.number()),
                None => write!(f, "oxm(class={:#06x},field={})", self.0.class().0, self.0.number()),
            },
        }
    }
}

/// A mask of leading ones, as their number.
fn prefix_len(mask: u128, bits: u32) -> Option<u32> {
    let ones = mask.count_ones();
    let zeros = bits.checked_sub(ones)?;
    let tail = 1_u128
        .checked_shl(zeros)
        .map_or(u128::MAX, |next| next.saturating_sub(1));
    (mask & tail == 0).then_some(ones)
}

fn wide(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// An address with its mask: a number of bits where that says it.
fn address<T: Display>(f: &mut Formatter<'_>, oxm: &Oxm, bits: u32, form: fn(u128) -> T) -> fmt::Result {
    form(wide(oxm.value())).fmt(f)?;
    let Some(mask) = oxm.mask().map(wide) else {
        return Ok(());
    };
    match prefix_len(mask, bits) {
        Some(len) => write!(f, "/{len}"),
        None => write!(f, "/{}", form(mask)),
    }
}

fn mac(value: u128) -> MacAddr {
    let [.., a, b, c, d, e, g] = value.to_be_bytes();
    MacAddr([a, b, c, d, e, g])
}

fn ipv4(value: u128) -> Ipv4Addr {
    let [.., a, b, c, d] = value.to_be_bytes();
    Ipv4Addr::from([a, b, c, d])
}

fn ipv6(value: u128) -> Ipv6Addr {
    Ipv6Addr::from(value)
}

/// A number without a mask.
fn number(f: &mut Formatter<'_>, row: &OxmRow, value: u128) -> fmt::Result {
    match row.field {
        OxmField::ETH_TYPE | OxmField::NXM_OF_ETH_TYPE | OxmField::NXM_OF_VLAN_TCI => write!(f, "{value:#06x}"),
        OxmField::IPV6_FLABEL => write!(f, "{value:#07x}"),
        OxmField::PBB_ISID | OxmField::IPV6_EXTHDR => write!(f, "{value:#x}"),
        // Registers, marks and the like.
        other if other.class() != OxmClass::OPENFLOW_BASIC && row.width == 4 => write!(f, "{value:#x}"),
        _ => write!(f, "{value}"),
    }
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let oxm = self.0;
        let Some(row) = oxm.field().row().filter(|row| row.kind != OxmKind::Bytes) else {
            write!(f, "0x{}", Hex(oxm.value()))?;
            return match oxm.mask() {
                Some(mask) => write!(f, "/0x{}", Hex(mask)),
                None => Ok(()),
            };
        };
        let value = wide(oxm.value());
        match (row.kind, oxm.mask().map(wide)) {
            (OxmKind::Ipv4, _) => address(f, oxm, 32, ipv4),
            (OxmKind::Ipv6, _) => address(f, oxm, 128, ipv6),
            (OxmKind::Mac, Some(mask)) => write!(f, "{}/{}", mac(value), mac(mask)),
            (OxmKind::Mac, None) => mac(value).fmt(f),
            (OxmKind::Port, None) => match u32::try_from(value) {
                Ok(port) => Upper(PortNo(port)).fmt(f),
                Err(_) => write!(f, "{value}"),
            },
            (OxmKind::Wide | OxmKind::Huge | OxmKind::Bytes, None) => write!(f, "{value:#x}"),
            (OxmKind::Number, None) => number(f, row, value),
            (OxmKind::Port | OxmKind::Wide | OxmKind::Huge | OxmKind::Bytes | OxmKind::Number, Some(mask)) => {
                write!(f, "{value:#x}/{mask:#x}")
            }
        }
    }
}

/// `field=value` with the field's own name, which says all that it means.
impl Display for Oxm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", OwnWord(self.field()), Value(self))
    }
}

/// `value->field`, as set-field has it.
pub(crate) struct Setting<'o>(pub(crate) &'o Oxm);

impl Display for Setting<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", Value(self.0), OwnWord(self.0.field()))
    }
}

/// Some bits of a field by the name of its table: `NXM_NX_REG0[0..15]`, `NXM_NX_REG0[]` for all.
pub(crate) struct Bits {
    pub(crate) field: OxmId,
    pub(crate) offset: u16,
    pub(crate) n_bits: u16,
}

impl Display for Bits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { field, offset, n_bits } = self;
        let row = field.field.row();
        match row {
            Some(row) => f.write_str(row.oxm_name)?,
            None => OwnWord(field.field).fmt(f)?,
        }
        if field.masked {
            f.write_str("_W")?;
        }
        let whole = row.is_some_and(|row| u16::from(row.bits) == *n_bits);
        match (offset, n_bits) {
            (0, _) if whole => f.write_str("[]"),
            (offset, 0) => write!(f, "[{offset}, no bits]"),
            (offset, 1) => write!(f, "[{offset}]"),
            (offset, n_bits) => {
                let last = u32::from(*offset).saturating_add(u32::from(*n_bits)).saturating_sub(1);
                write!(f, "[{offset}..{last}]")
            }
        }
    }
}

/// `dl_vlan=7`, and the masked forms of it.
fn vlan(f: &mut Formatter<'_>, oxm: &Oxm) -> fmt::Result {
    let value = wide(oxm.value());
    let (present, none) = (u128::from(VLAN_PRESENT), u128::from(VLAN_NONE));
    match oxm.mask().map(wide) {
        Some(mask) => write!(f, "vlan_tci={value:#06x}/{mask:#06x}"),
        None if value == none => write!(f, "vlan_tci={value:#06x}/0x1fff"),
        None if value & !0x0fff == present => write!(f, "dl_vlan={}", value & 0x0fff),
        None => write!(f, "vlan_vid={value:#06x}"),
    }
}

/// What a match says about protocols, which decides about the words of the other fields.
struct Context {
    ip_proto: Option<u64>,
    word: Option<&'static str>,
    /// Whether the word says the IP protocol too.
    whole: bool,
}

impl Context {
    fn of(matching: &Match) -> Self {
        let eth_type = single(matching, OxmField::ETH_TYPE);
        let ip_proto = single(matching, OxmField::IP_PROTO);
        let word = eth_type.and_then(|eth_type| protocol(eth_type, ip_proto));
        Self {
            ip_proto,
            word: word.map(|(word, _)| word),
            whole: word.is_some_and(|(_, whole)| whole),
        }
    }

    /// Whether the context's word says this field already.
    fn says(&self, field: OxmField) -> bool {
        match field {
            OxmField::ETH_TYPE => self.word.is_some(),
            OxmField::IP_PROTO => self.whole,
            _ => false,
        }
    }

    /// Whether the field belongs to the protocol that the context's word names.
    fn is_payload(&self, field: OxmField) -> bool {
        let needs = field.row().map(|row| row.needs);
        match needs {
            Some(OxmPrerequisite::IpProto(proto)) => self.whole && self.ip_proto == Some(u64::from(proto)),
            _ => false,
        }
    }

    fn field(&self, f: &mut Formatter<'_>, oxm: &Oxm) -> fmt::Result {
        let field = oxm.field();
        match (field, oxm.value_u64(), oxm.is_masked()) {
            (OxmField::VLAN_VID, ..) => return vlan(f, oxm),
            (OxmField::IP_DSCP, Some(dscp @ ..=DSCP_MAX), false) => return write!(f, "nw_tos={}", dscp << 2),
            _ => {}
        }
        let payload = payload_word(field).filter(|_| self.is_payload(field));
        match payload.or_else(|| match_word(field)) {
            Some(word) => write!(f, "{word}={}", Value(oxm)),
            None => oxm.fmt(f),
        }
    }
}

/// The value of a field that occurs once and is not masked.
fn single(matching: &Match, field: OxmField) -> Option<u64> {
    let mut found = matching.iter().filter(|oxm| oxm.field() == field);
    let oxm = found.next().filter(|oxm| !oxm.is_masked())?;
    if found.next().is_some() { None } else { oxm.value_u64() }
}

/// The fields of a match, each with a comma before it but for the first when `first`.
/// The word for the protocol stands first; the rest is in the order of the match.
pub(crate) fn fields(f: &mut Formatter<'_>, matching: &Match, first: bool) -> fmt::Result {
    let context = Context::of(matching);
    let mut between = if first { "" } else { "," };
    if let Some(word) = context.word {
        write!(f, "{between}{word}")?;
        between = ",";
    }
    let mut rest = matching.iter().filter(|oxm| !context.says(oxm.field()));
    for oxm in rest.by_ref().take(PARTS_MAX) {
        f.write_str(between)?;
        context.field(f, &oxm)?;
        between = ",";
    }
    match rest.count() {
        0 => Ok(()),
        left => write!(f, "{between}... and {left} more"),
    }
}

/// The fields as `ovs-ofctl add-flow` takes them; `any` when every packet matches.
impl Display for Match {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("any");
        }
        fields(f, self, true)
    }
}

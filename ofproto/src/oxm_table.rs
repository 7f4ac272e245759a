//! The match fields of OpenFlow 1.3 (section 7.2.3.7, tables 11 and 12) as a table. Those
//! of other classes are in `nxm_table`.

use crate::nxm_table::{self, TABLES};
use crate::oxm::OxmField;

/// How the value of a field is read and written by people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OxmKind {
    /// A number of at most 32 bits.
    Number,
    /// A number of 64 bits.
    Wide,
    /// A number of 128 bits.
    Huge,
    /// Bytes whose number is not fixed.
    Bytes,
    /// A port.
    Port,
    /// An Ethernet address.
    Mac,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
}

/// What must be matched before a field may be (section 7.2.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OxmPrerequisite {
    /// Nothing.
    None,
    /// IN_PORT is present.
    InPort,
    /// VLAN_VID is present and not "no VLAN".
    Vlan,
    /// ETH_TYPE is one of these.
    EthType(&'static [u16]),
    /// IP_PROTO is this.
    IpProto(u8),
    /// ICMPV6_TYPE is one of these.
    Icmpv6Type(&'static [u8]),
    /// NXM_NX_CT_STATE is present and says that the connection is tracked.
    Tracked,
}

/// One row: a field that is known (section 7.2.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OxmRow {
    /// The field.
    pub field: OxmField,
    /// `OFPXMT_OFB_..`, as in the enumeration; of other classes `NXM_OF_..` and the like, as
    /// Open vSwitch calls them.
    pub name: &'static str,
    /// `OXM_OF_..`, as in the macros; of other classes the same as `name`.
    pub oxm_name: &'static str,
    /// Bytes of the value; 0 when they are not fixed.
    pub width: u8,
    /// Bits of the value that have a meaning; 0 when the width is not fixed.
    pub bits: u8,
    /// Whether the specification lets it be masked (of other classes: Open vSwitch).
    pub maskable: bool,
    /// How it is written.
    pub kind: OxmKind,
    /// What it needs.
    pub needs: OxmPrerequisite,
}

/// The row of a field of another class than OFPXMC_OPENFLOW_BASIC.
pub(crate) use nxm_table::row as other_row;

impl OxmRow {
    /// Every field that is known, of OpenFlow 1.3 and of other classes.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        OXM_TABLE.iter().chain(TABLES.iter().copied().flatten())
    }
}

pub(crate) const IP: OxmPrerequisite = OxmPrerequisite::EthType(&[0x0800, 0x86dd]);
pub(crate) const IPV4: OxmPrerequisite = OxmPrerequisite::EthType(&[0x0800]);
pub(crate) const IPV6: OxmPrerequisite = OxmPrerequisite::EthType(&[0x86dd]);
pub(crate) const ARP: OxmPrerequisite = OxmPrerequisite::EthType(&[0x0806]);
pub(crate) const MPLS: OxmPrerequisite = OxmPrerequisite::EthType(&[0x8847, 0x8848]);
pub(crate) const PBB: OxmPrerequisite = OxmPrerequisite::EthType(&[0x88e7]);
pub(crate) const TCP: OxmPrerequisite = OxmPrerequisite::IpProto(6);
pub(crate) const UDP: OxmPrerequisite = OxmPrerequisite::IpProto(17);
pub(crate) const SCTP: OxmPrerequisite = OxmPrerequisite::IpProto(132);
pub(crate) const ICMPV4: OxmPrerequisite = OxmPrerequisite::IpProto(1);
pub(crate) const ICMPV6: OxmPrerequisite = OxmPrerequisite::IpProto(58);
pub(crate) const ND: OxmPrerequisite = OxmPrerequisite::Icmpv6Type(&[135, 136]);
pub(crate) const ND_SOLICIT: OxmPrerequisite = OxmPrerequisite::Icmpv6Type(&[135]);
pub(crate) const ND_ADVERT: OxmPrerequisite = OxmPrerequisite::Icmpv6Type(&[136]);
pub(crate) const NONE: OxmPrerequisite = OxmPrerequisite::None;
pub(crate) const IN_PORT_PRESENT: OxmPrerequisite = OxmPrerequisite::InPort;
pub(crate) const VLAN: OxmPrerequisite = OxmPrerequisite::Vlan;

macro_rules! oxm_table {
    ($($number:literal $field:ident $width:literal $bits:literal $mask:literal $kind:ident $needs:ident;)*) => {
        impl OxmField {
            $(
                #[doc = concat!("`OFPXMT_OFB_", stringify!($field), "`, ", stringify!($bits), " bits")]
                pub const $field: OxmField = OxmField::basic($number);
            )*
        }

        /// All fields of class OFPXMC_OPENFLOW_BASIC, each at the place of its number.
        pub const OXM_TABLE: &[OxmRow] = &[
            $(OxmRow {
                field: OxmField::$field,
                name: concat!("OFPXMT_OFB_", stringify!($field)),
                oxm_name: concat!("OXM_OF_", stringify!($field)),
                width: $width,
                bits: $bits,
                maskable: $mask,
                kind: OxmKind::$kind,
                needs: $needs,
            },)*
        ];

        /// The length of each of these fields on the wire, by the third byte of its
        /// header, which is its number and whether it has a mask. 0: not in the table.
        pub(crate) const OXM_LENGTHS: [u8; 256] = {
            let mut lengths = [0; 256];
            $(
                lengths[$number << 1] = $width;
                lengths[$number << 1 | 1] = 2 * $width;
            )*
            lengths
        };
    };
}

oxm_table! {
    //  field        bytes bits mask  kind   needs
    0  IN_PORT        4  32  false Port   NONE;
    1  IN_PHY_PORT    4  32  false Port   IN_PORT_PRESENT;
    2  METADATA       8  64  true  Wide   NONE;
    3  ETH_DST        6  48  true  Mac    NONE;
    4  ETH_SRC        6  48  true  Mac    NONE;
    5  ETH_TYPE       2  16  false Number NONE;
    6  VLAN_VID       2  13  true  Number NONE;
    7  VLAN_PCP       1  3   false Number VLAN;
    8  IP_DSCP        1  6   false Number IP;
    9  IP_ECN         1  2   false Number IP;
    10 IP_PROTO       1  8   false Number IP;
    11 IPV4_SRC       4  32  true  Ipv4   IPV4;
    12 IPV4_DST       4  32  true  Ipv4   IPV4;
    13 TCP_SRC        2  16  false Number TCP;
    14 TCP_DST        2  16  false Number TCP;
    15 UDP_SRC        2  16  false Number UDP;
    16 UDP_DST        2  16  false Number UDP;
    17 SCTP_SRC       2  16  false Number SCTP;
    18 SCTP_DST       2  16  false Number SCTP;
    19 ICMPV4_TYPE    1  8   false Number ICMPV4;
    20 ICMPV4_CODE    1  8   false Number ICMPV4;
    21 ARP_OP         2  16  false Number ARP;
    22 ARP_SPA        4  32  true  Ipv4   ARP;
    23 ARP_TPA        4  32  true  Ipv4   ARP;
    24 ARP_SHA        6  48  true  Mac    ARP;
    25 ARP_THA        6  48  true  Mac    ARP;
    26 IPV6_SRC       16 128 true  Ipv6   IPV6;
    27 IPV6_DST       16 128 true  Ipv6   IPV6;
    28 IPV6_FLABEL    4  20  true  Number IPV6;
    29 ICMPV6_TYPE    1  8   false Number ICMPV6;
    30 ICMPV6_CODE    1  8   false Number ICMPV6;
    31 IPV6_ND_TARGET 16 128 false Ipv6   ND;
    32 IPV6_ND_SLL    6  48  false Mac    ND_SOLICIT;
    33 IPV6_ND_TLL    6  48  false Mac    ND_ADVERT;
    34 MPLS_LABEL     4  20  false Number MPLS;
    35 MPLS_TC        1  3   false Number MPLS;
    36 MPLS_BOS       1  1   false Number MPLS;
    37 PBB_ISID       3  24  true  Number PBB;
    38 TUNNEL_ID      8  64  true  Wide   NONE;
    39 IPV6_EXTHDR    2  9   true  Number IPV6;
}

//! Match fields that are not OpenFlow 1.3's own, as tables: those of Nicira's classes, of
//! class OFPXMC_PACKET_REGS, and of experimenters. The names are those of ovs-fields(7),
//! and so is what each field needs and whether it can be masked (Open vSwitch 3.1).
//!
//! The decoder judges their widths; a number that is not here has any width.

use crate::number::ExperimenterId;
use crate::oxm::{OxmClass, OxmField};
use crate::oxm_table::{
    ARP, ICMPV4, ICMPV6, IP, IPV4, IPV6, MPLS, ND, ND_ADVERT, ND_SOLICIT, NONE, OxmKind, OxmPrerequisite, OxmRow, TCP,
    UDP,
};

const TRACKED: OxmPrerequisite = OxmPrerequisite::Tracked;
const NSH: OxmPrerequisite = OxmPrerequisite::EthType(&[0x894f]);

/// Every table of this file.
pub(crate) const TABLES: &[&[OxmRow]] = &[
    NXM_0_TABLE,
    NXM_1_TABLE,
    PACKET_REGS_TABLE,
    ONF_OXM_TABLE,
    NX_OXM_TABLE,
    NSH_OXM_TABLE,
];

/// The row of a field of another class than OFPXMC_OPENFLOW_BASIC.
#[inline]
pub(crate) fn row(field: OxmField) -> Option<&'static OxmRow> {
    let (table, index): (&[OxmRow], &Index) = match field.class() {
        OxmClass::NXM_0 => (NXM_0_TABLE, &NXM_0_INDEX),
        OxmClass::NXM_1 => (NXM_1_TABLE, &NXM_1_INDEX),
        OxmClass::PACKET_REGS => (PACKET_REGS_TABLE, &PACKET_REGS_INDEX),
        _ => match field.experimenter()? {
            ExperimenterId::ONF => (ONF_OXM_TABLE, &ONF_INDEX),
            ExperimenterId::NICIRA => (NX_OXM_TABLE, &NX_INDEX),
            ExperimenterId::NSH => (NSH_OXM_TABLE, &NSH_INDEX),
            _ => return None,
        },
    };
    let place = index.get(usize::from(field.number()))?;
    table.get(usize::from(*place))
}

/// The place of each number in its table; past the end of the table when it has none.
type Index = [u8; 128];

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler only, where what is wrong fails the build"
)]
const fn index(table: &[OxmRow]) -> Index {
    let mut index = [u8::MAX; 128];
    let mut place = 0;
    while place < table.len() {
        index[table[place].field.number() as usize] = place as u8;
        place += 1;
    }
    index
}

const NXM_0_INDEX: Index = index(NXM_0_TABLE);
const NXM_1_INDEX: Index = index(NXM_1_TABLE);
const PACKET_REGS_INDEX: Index = index(PACKET_REGS_TABLE);
const ONF_INDEX: Index = index(ONF_OXM_TABLE);
const NX_INDEX: Index = index(NX_OXM_TABLE);
const NSH_INDEX: Index = index(NSH_OXM_TABLE);

macro_rules! nxm_table {
    (
        $(#[$doc:meta])*
        $table:ident, $of:ident($owner:ident) {
            $($number:literal $field:ident $width:literal $bits:literal $mask:literal $kind:ident $needs:ident;)*
        }
    ) => {
        impl OxmField {
            $(
                #[doc = concat!("`", stringify!($field), "`, ", stringify!($bits), " bits")]
                pub const $field: OxmField = OxmField::$of($owner, $number);
            )*
        }

        $(#[$doc])*
        pub const $table: &[OxmRow] = &[
            $(OxmRow {
                field: OxmField::$field,
                name: stringify!($field),
                oxm_name: stringify!($field),
                width: $width,
                bits: $bits,
                maskable: $mask,
                kind: OxmKind::$kind,
                needs: $needs,
            },)*
        ];
    };
}

const NXM_0: OxmClass = OxmClass::NXM_0;
const NXM_1: OxmClass = OxmClass::NXM_1;
const PACKET_REGS: OxmClass = OxmClass::PACKET_REGS;
const ONF: ExperimenterId = ExperimenterId::ONF;
const NICIRA: ExperimenterId = ExperimenterId::NICIRA;
const NSH_ID: ExperimenterId = ExperimenterId::NSH;

nxm_table! {
    /// Fields of class OFPXMC_NXM_0: those of OpenFlow 1.0.
    NXM_0_TABLE, of_class(NXM_0) {
    //  field     bytes bits mask kind   needs
    0  NXM_OF_IN_PORT    2 16 false Number NONE;
    1  NXM_OF_ETH_DST    6 48 true  Mac    NONE;
    2  NXM_OF_ETH_SRC    6 48 true  Mac    NONE;
    3  NXM_OF_ETH_TYPE   2 16 false Number NONE;
    4  NXM_OF_VLAN_TCI   2 16 true  Number NONE;
    5  NXM_OF_IP_TOS     1 8  false Number IP;
    6  NXM_OF_IP_PROTO   1 8  false Number IP;
    7  NXM_OF_IP_SRC     4 32 true  Ipv4   IPV4;
    8  NXM_OF_IP_DST     4 32 true  Ipv4   IPV4;
    9  NXM_OF_TCP_SRC    2 16 true  Number TCP;
    10 NXM_OF_TCP_DST    2 16 true  Number TCP;
    11 NXM_OF_UDP_SRC    2 16 true  Number UDP;
    12 NXM_OF_UDP_DST    2 16 true  Number UDP;
    13 NXM_OF_ICMP_TYPE  1 8  false Number ICMPV4;
    14 NXM_OF_ICMP_CODE  1 8  false Number ICMPV4;
    15 NXM_OF_ARP_OP     2 16 false Number ARP;
    16 NXM_OF_ARP_SPA    4 32 true  Ipv4   ARP;
    17 NXM_OF_ARP_TPA    4 32 true  Ipv4   ARP;
    }
}

nxm_table! {
    /// Fields of class OFPXMC_NXM_1: Nicira's own. Number 30 is also that of NXM_NX_COOKIE, of
    /// 8 bytes, which no match of OpenFlow 1.3 has: the cookie stands beside the match.
    NXM_1_TABLE, of_class(NXM_1) {
    //   field              bytes bits mask kind   needs
    0   NXM_NX_REG0            4  32  true  Number NONE;
    1   NXM_NX_REG1            4  32  true  Number NONE;
    2   NXM_NX_REG2            4  32  true  Number NONE;
    3   NXM_NX_REG3            4  32  true  Number NONE;
    4   NXM_NX_REG4            4  32  true  Number NONE;
    5   NXM_NX_REG5            4  32  true  Number NONE;
    6   NXM_NX_REG6            4  32  true  Number NONE;
    7   NXM_NX_REG7            4  32  true  Number NONE;
    8   NXM_NX_REG8            4  32  true  Number NONE;
    9   NXM_NX_REG9            4  32  true  Number NONE;
    10  NXM_NX_REG10           4  32  true  Number NONE;
    11  NXM_NX_REG11           4  32  true  Number NONE;
    12  NXM_NX_REG12           4  32  true  Number NONE;
    13  NXM_NX_REG13           4  32  true  Number NONE;
    14  NXM_NX_REG14           4  32  true  Number NONE;
    15  NXM_NX_REG15           4  32  true  Number NONE;
    16  NXM_NX_TUN_ID          8  64  true  Wide   NONE;
    17  NXM_NX_ARP_SHA         6  48  true  Mac    ARP;
    18  NXM_NX_ARP_THA         6  48  true  Mac    ARP;
    19  NXM_NX_IPV6_SRC        16 128 true  Ipv6   IPV6;
    20  NXM_NX_IPV6_DST        16 128 true  Ipv6   IPV6;
    21  NXM_NX_ICMPV6_TYPE     1  8   false Number ICMPV6;
    22  NXM_NX_ICMPV6_CODE     1  8   false Number ICMPV6;
    23  NXM_NX_ND_TARGET       16 128 true  Ipv6   ND;
    24  NXM_NX_ND_SLL          6  48  true  Mac    ND_SOLICIT;
    25  NXM_NX_ND_TLL          6  48  true  Mac    ND_ADVERT;
    26  NXM_NX_IP_FRAG         1  2   true  Number IP;
    27  NXM_NX_IPV6_LABEL      4  20  true  Number IPV6;
    28  NXM_NX_IP_ECN          1  2   false Number IP;
    29  NXM_NX_IP_TTL          1  8   false Number IP;
    30  NXM_NX_MPLS_TTL        1  8   false Number MPLS;
    31  NXM_NX_TUN_IPV4_SRC    4  32  true  Ipv4   NONE;
    32  NXM_NX_TUN_IPV4_DST    4  32  true  Ipv4   NONE;
    33  NXM_NX_PKT_MARK        4  32  true  Number NONE;
    34  NXM_NX_TCP_FLAGS       2  12  true  Number TCP;
    35  NXM_NX_DP_HASH         4  32  true  Number NONE;
    36  NXM_NX_RECIRC_ID       4  32  false Number NONE;
    37  NXM_NX_CONJ_ID         4  32  false Number NONE;
    38  NXM_NX_TUN_GBP_ID      2  16  true  Number NONE;
    39  NXM_NX_TUN_GBP_FLAGS   1  8   true  Number NONE;
    40  NXM_NX_TUN_METADATA0   0  0   true  Bytes  NONE;
    41  NXM_NX_TUN_METADATA1   0  0   true  Bytes  NONE;
    42  NXM_NX_TUN_METADATA2   0  0   true  Bytes  NONE;
    43  NXM_NX_TUN_METADATA3   0  0   true  Bytes  NONE;
    44  NXM_NX_TUN_METADATA4   0  0   true  Bytes  NONE;
    45  NXM_NX_TUN_METADATA5   0  0   true  Bytes  NONE;
    46  NXM_NX_TUN_METADATA6   0  0   true  Bytes  NONE;
    47  NXM_NX_TUN_METADATA7   0  0   true  Bytes  NONE;
    48  NXM_NX_TUN_METADATA8   0  0   true  Bytes  NONE;
    49  NXM_NX_TUN_METADATA9   0  0   true  Bytes  NONE;
    50  NXM_NX_TUN_METADATA10  0  0   true  Bytes  NONE;
    51  NXM_NX_TUN_METADATA11  0  0   true  Bytes  NONE;
    52  NXM_NX_TUN_METADATA12  0  0   true  Bytes  NONE;
    53  NXM_NX_TUN_METADATA13  0  0   true  Bytes  NONE;
    54  NXM_NX_TUN_METADATA14  0  0   true  Bytes  NONE;
    55  NXM_NX_TUN_METADATA15  0  0   true  Bytes  NONE;
    56  NXM_NX_TUN_METADATA16  0  0   true  Bytes  NONE;
    57  NXM_NX_TUN_METADATA17  0  0   true  Bytes  NONE;
    58  NXM_NX_TUN_METADATA18  0  0   true  Bytes  NONE;
    59  NXM_NX_TUN_METADATA19  0  0   true  Bytes  NONE;
    60  NXM_NX_TUN_METADATA20  0  0   true  Bytes  NONE;
    61  NXM_NX_TUN_METADATA21  0  0   true  Bytes  NONE;
    62  NXM_NX_TUN_METADATA22  0  0   true  Bytes  NONE;
    63  NXM_NX_TUN_METADATA23  0  0   true  Bytes  NONE;
    64  NXM_NX_TUN_METADATA24  0  0   true  Bytes  NONE;
    65  NXM_NX_TUN_METADATA25  0  0   true  Bytes  NONE;
    66  NXM_NX_TUN_METADATA26  0  0   true  Bytes  NONE;
    67  NXM_NX_TUN_METADATA27  0  0   true  Bytes  NONE;
    68  NXM_NX_TUN_METADATA28  0  0   true  Bytes  NONE;
    69  NXM_NX_TUN_METADATA29  0  0   true  Bytes  NONE;
    70  NXM_NX_TUN_METADATA30  0  0   true  Bytes  NONE;
    71  NXM_NX_TUN_METADATA31  0  0   true  Bytes  NONE;
    72  NXM_NX_TUN_METADATA32  0  0   true  Bytes  NONE;
    73  NXM_NX_TUN_METADATA33  0  0   true  Bytes  NONE;
    74  NXM_NX_TUN_METADATA34  0  0   true  Bytes  NONE;
    75  NXM_NX_TUN_METADATA35  0  0   true  Bytes  NONE;
    76  NXM_NX_TUN_METADATA36  0  0   true  Bytes  NONE;
    77  NXM_NX_TUN_METADATA37  0  0   true  Bytes  NONE;
    78  NXM_NX_TUN_METADATA38  0  0   true  Bytes  NONE;
    79  NXM_NX_TUN_METADATA39  0  0   true  Bytes  NONE;
    80  NXM_NX_TUN_METADATA40  0  0   true  Bytes  NONE;
    81  NXM_NX_TUN_METADATA41  0  0   true  Bytes  NONE;
    82  NXM_NX_TUN_METADATA42  0  0   true  Bytes  NONE;
    83  NXM_NX_TUN_METADATA43  0  0   true  Bytes  NONE;
    84  NXM_NX_TUN_METADATA44  0  0   true  Bytes  NONE;
    85  NXM_NX_TUN_METADATA45  0  0   true  Bytes  NONE;
    86  NXM_NX_TUN_METADATA46  0  0   true  Bytes  NONE;
    87  NXM_NX_TUN_METADATA47  0  0   true  Bytes  NONE;
    88  NXM_NX_TUN_METADATA48  0  0   true  Bytes  NONE;
    89  NXM_NX_TUN_METADATA49  0  0   true  Bytes  NONE;
    90  NXM_NX_TUN_METADATA50  0  0   true  Bytes  NONE;
    91  NXM_NX_TUN_METADATA51  0  0   true  Bytes  NONE;
    92  NXM_NX_TUN_METADATA52  0  0   true  Bytes  NONE;
    93  NXM_NX_TUN_METADATA53  0  0   true  Bytes  NONE;
    94  NXM_NX_TUN_METADATA54  0  0   true  Bytes  NONE;
    95  NXM_NX_TUN_METADATA55  0  0   true  Bytes  NONE;
    96  NXM_NX_TUN_METADATA56  0  0   true  Bytes  NONE;
    97  NXM_NX_TUN_METADATA57  0  0   true  Bytes  NONE;
    98  NXM_NX_TUN_METADATA58  0  0   true  Bytes  NONE;
    99  NXM_NX_TUN_METADATA59  0  0   true  Bytes  NONE;
    100 NXM_NX_TUN_METADATA60  0  0   true  Bytes  NONE;
    101 NXM_NX_TUN_METADATA61  0  0   true  Bytes  NONE;
    102 NXM_NX_TUN_METADATA62  0  0   true  Bytes  NONE;
    103 NXM_NX_TUN_METADATA63  0  0   true  Bytes  NONE;
    104 NXM_NX_TUN_FLAGS       2  1   true  Number NONE;
    105 NXM_NX_CT_STATE        4  32  true  Number NONE;
    106 NXM_NX_CT_ZONE         2  16  false Number NONE;
    107 NXM_NX_CT_MARK         4  32  true  Number NONE;
    108 NXM_NX_CT_LABEL        16 128 true  Huge   NONE;
    109 NXM_NX_TUN_IPV6_SRC    16 128 true  Ipv6   NONE;
    110 NXM_NX_TUN_IPV6_DST    16 128 true  Ipv6   NONE;
    111 NXM_NX_XXREG0          16 128 true  Huge   NONE;
    112 NXM_NX_XXREG1          16 128 true  Huge   NONE;
    113 NXM_NX_XXREG2          16 128 true  Huge   NONE;
    114 NXM_NX_XXREG3          16 128 true  Huge   NONE;
    119 NXM_NX_CT_NW_PROTO     1  8   false Number TRACKED;
    120 NXM_NX_CT_NW_SRC       4  32  true  Ipv4   TRACKED;
    121 NXM_NX_CT_NW_DST       4  32  true  Ipv4   TRACKED;
    122 NXM_NX_CT_IPV6_SRC     16 128 true  Ipv6   TRACKED;
    123 NXM_NX_CT_IPV6_DST     16 128 true  Ipv6   TRACKED;
    124 NXM_NX_CT_TP_SRC       2  16  true  Number TRACKED;
    125 NXM_NX_CT_TP_DST       2  16  true  Number TRACKED;
    }
}

nxm_table! {
    /// Fields of class OFPXMC_PACKET_REGS: registers of OpenFlow 1.5, each two of Nicira's.
    PACKET_REGS_TABLE, of_class(PACKET_REGS) {
    0 OXM_OF_PKT_REG0 8 64 true Wide NONE;
    1 OXM_OF_PKT_REG1 8 64 true Wide NONE;
    2 OXM_OF_PKT_REG2 8 64 true Wide NONE;
    3 OXM_OF_PKT_REG3 8 64 true Wide NONE;
    4 OXM_OF_PKT_REG4 8 64 true Wide NONE;
    5 OXM_OF_PKT_REG5 8 64 true Wide NONE;
    6 OXM_OF_PKT_REG6 8 64 true Wide NONE;
    7 OXM_OF_PKT_REG7 8 64 true Wide NONE;
    }
}

nxm_table! {
    /// Fields of the ONF as an experimenter: in OpenFlow 1.3, those of the class
    /// OFPXMC_OPENFLOW_BASIC of 1.5.
    ONF_OXM_TABLE, of_experimenter(ONF) {
        42 ONFOXM_ET_TCP_FLAGS     2 12 true  Number TCP;
        43 ONFOXM_ET_ACTSET_OUTPUT 4 32 false Port   NONE;
    }
}

nxm_table! {
    /// Fields of Nicira as an experimenter.
    NX_OXM_TABLE, of_experimenter(NICIRA) {
        0  NXOXM_ET_DP_HASH      4 32 true Number NONE;
        11 NXOXM_ET_ERSPAN_IDX   4 20 true Number NONE;
        12 NXOXM_ET_ERSPAN_VER   1 4  true Number NONE;
        13 NXOXM_ET_ERSPAN_DIR   1 1  true Number NONE;
        14 NXOXM_ET_ERSPAN_HWID  1 6  true Number NONE;
        15 NXOXM_ET_GTPU_FLAGS   1 8  true Number NONE;
        16 NXOXM_ET_GTPU_MSGTYPE 1 8  true Number NONE;
    }
}

nxm_table! {
    /// Fields of a network service header.
    NSH_OXM_TABLE, of_experimenter(NSH_ID) {
        1  NXOXM_NSH_FLAGS  1 8  true  Number NSH;
        2  NXOXM_NSH_MDTYPE 1 8  false Number NSH;
        3  NXOXM_NSH_NP     1 8  false Number NSH;
        4  NXOXM_NSH_SPI    4 24 false Number NSH;
        5  NXOXM_NSH_SI     1 8  false Number NSH;
        6  NXOXM_NSH_C1     4 32 true  Number NSH;
        7  NXOXM_NSH_C2     4 32 true  Number NSH;
        8  NXOXM_NSH_C3     4 32 true  Number NSH;
        9  NXOXM_NSH_C4     4 32 true  Number NSH;
        10 NXOXM_NSH_TTL    1 8  false Number NSH;
    }
}

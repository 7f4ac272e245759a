//! Where everything stands in a switch: tables, priorities, cookies, metadata and id ranges.
//!
//! Only figures and how they are put together; what is written where is decided by `translate` and
//! `service`. Source: the six-table layout of design section 6.

use std::ops::RangeInclusive;

use skerry_bus::ids::{Cookie, PortNo};
use skerry_bus::objects::{Mac, Masked};

use skerry_bus::api::Direction;

/// Tables of the pipeline.
pub mod table {
    /// Tells kinds of ports and control packets apart.
    pub const INPUT: u8 = 0;
    /// Takes the customer's outer tag off and remembers it in the metadata.
    pub const PRE_INGRESS: u8 = 1;
    /// Where a flow begins.
    pub const INGRESS: u8 = 2;
    /// After a flow took the packet; kept for tracking of devices.
    pub const POST_INGRESS: u8 = 3;
    /// Where a flow ends.
    pub const EGRESS: u8 = 4;
    /// Switches in between.
    pub const TRANSIT: u8 = 5;
}

/// Priorities of rules.
pub mod priority {
    /// Defaults of tables.
    pub const DEFAULT: u16 = 1;
    /// Link port to the egress table.
    pub const LINK_PORT: u16 = 24_571;
    /// Customer port to the pre-ingress table.
    pub const CUSTOMER_PORT: u16 = 24_574;
    /// A flow that has the whole port.
    pub const FULL_PORT: u16 = 24_575;
    /// A flow with one tag; pre-ingress, transit and egress.
    pub const FLOW: u16 = 24_576;
    /// A flow with two tags.
    pub const QINQ: u16 = 24_586;
    /// Discovery packets that were not yet turned.
    pub const DISCOVERY: u16 = 31_768;
    /// Discovery packets that must not be turned again.
    pub const DISCOVERY_DROP: u16 = 31_769;
    /// Own discovery packets that came back.
    pub const ROUND_TRIP: u16 = 31_770;
}

/// Effective flow ids: bits 0 to 19 of a cookie.
pub const EFFECTIVE_IDS: RangeInclusive<u32> = 1..=131_072;
/// Transit VLAN ids, network wide. 1 is the default VLAN of too many switches to be used.
pub const TRANSIT_VLANS: RangeInclusive<u32> = 2..=4_094;
/// Meters of flows, per switch; 1 to 31 are service meters.
pub const FLOW_METERS: RangeInclusive<u32> = 32..=2_500;
/// Groups of flows, per switch; 1 is the round-trip group.
pub const FLOW_GROUPS: RangeInclusive<u32> = 2..=4_095;
/// The round-trip group.
pub const ROUND_TRIP_GROUP: u32 = 1;
/// Meter of discovery packets: the tag of their rule.
pub const DISCOVERY_METER: u32 = 2;

/// EtherType of every tag that is pushed, outer ones included.
pub const VLAN_ETHER_TYPE: u16 = 0x8100;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// IP protocol UDP.
pub const UDP: u8 = 17;
/// Destination of discovery packets.
pub const DISCOVERY_MAC: Mac = Mac([0x00, 0x26, 0xe1, 0xff, 0xff, 0xff]);
/// UDP destination of a discovery packet on its way out.
pub const DISCOVERY_UDP: u16 = 61_231;
/// UDP destination of a discovery packet that was turned.
pub const TURNED_UDP: u16 = 61_232;

const SERVICE: u64 = 1 << 63;
const FORWARD: u64 = 1 << 62;
const REVERSE: u64 = 1 << 61;
const TYPE_SHIFT: u32 = 52;
const TYPE_LINK_PORT: u64 = 0x002;
const TYPE_CUSTOMER_PORT: u64 = 0x005;
const TYPE_SHARED: u64 = 0x008;
const JOIN: u64 = 1 << 47;

/// Tags of service rules: bits 0 to 31 of a service cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum ServiceTag {
    /// Table 0 drops what nobody wants.
    Drop = 0x01,
    /// Discovery packets to the group.
    Discovery = 0x02,
    /// Own discovery packet that was not turned.
    DropOwnDiscovery = 0x04,
    /// Own discovery packet that was turned.
    RoundTrip = 0x06,
    /// Table 1 passes on.
    PreIngressPass = 0x08,
    /// Table 2 drops.
    IngressDrop = 0x09,
    /// Table 3 drops.
    PostIngressDrop = 0x0a,
    /// Table 4 passes on.
    EgressPass = 0x0b,
    /// Table 5 drops.
    TransitDrop = 0x0c,
    /// Another switch's discovery packet that was turned already. Not in the predecessor's list.
    DropTurned = 0x20,
}

/// Cookie of a service rule.
pub fn service_cookie(tag: ServiceTag) -> Cookie {
    Cookie(SERVICE | u64::from(tag as u32))
}

/// Cookie of a link port's dispatch rule.
pub fn link_port_cookie(port: PortNo) -> Cookie {
    Cookie(SERVICE | TYPE_LINK_PORT << TYPE_SHIFT | u64::from(port.0))
}

/// Cookie of a customer port's dispatch rule; shared by all flows on the port.
pub fn customer_port_cookie(port: PortNo) -> Cookie {
    Cookie(SERVICE | TYPE_CUSTOMER_PORT << TYPE_SHIFT | u64::from(port.0))
}

/// Cookie of the rule that takes an outer tag off; shared by all flows on the port with that tag.
/// 16 bits are left for the port: a larger number is cut, which is harmless, because the rule's match tells them apart.
pub fn shared_cookie(port: PortNo, vlan: u16) -> Cookie {
    Cookie(TYPE_SHARED << TYPE_SHIFT | u64::from(vlan & 0xfff) << 16 | u64::from(port.0 & 0xffff))
}

/// Cookie of a flow's rules in one direction.
pub fn flow_cookie(direction: Direction, effective_id: u32) -> Cookie {
    let bit = match direction {
        Direction::Forward => FORWARD,
        Direction::Reverse => REVERSE,
    };
    Cookie(bit | u64::from(effective_id & 0xf_ffff))
}

/// Cookie of a join point's rule: its own effective id, and the direction that it joins.
pub fn join_cookie(direction: Direction, effective_id: u32) -> Cookie {
    Cookie(flow_cookie(direction, effective_id).0 | JOIN)
}

/// The effective id in a cookie of a flow or join rule; none for service and shared rules.
pub fn effective_id_of(cookie: Cookie) -> Option<u32> {
    let flow_rule = cookie.0 & SERVICE == 0 && cookie.0 & (FORWARD | REVERSE) != 0;
    flow_rule.then_some((cookie.0 & 0xf_ffff) as u32)
}

const METADATA_ROUTING: u64 = 0x2000_0000;
const METADATA_TYPE: u64 = 0xe000_0000;
const METADATA_OUTER_PRESENT: u64 = 0x8;
const METADATA_OUTER: u64 = 0xfff8;
const METADATA_ONE_SWITCH: u64 = 0x2;

/// Metadata that remembers an outer tag; written by table 1, looked at by table 2.
pub fn outer_vlan_metadata(vlan: u16) -> Masked {
    Masked {
        value: METADATA_ROUTING | METADATA_OUTER_PRESENT | u64::from(vlan & 0xfff) << 4,
        mask: METADATA_TYPE | METADATA_OUTER,
    }
}

/// Metadata of a packet that table 1 left alone. Rules for a whole port look at it, so that a frame whose
/// tag was taken off for a flow that is just coming or going can never enter the whole port's flow without its tag.
pub fn untouched_metadata() -> Masked {
    Masked {
        value: 0,
        mask: METADATA_OUTER_PRESENT,
    }
}

/// Mark of a flow with both ends on one switch.
pub fn one_switch_metadata() -> Masked {
    Masked {
        value: METADATA_ROUTING | METADATA_ONE_SWITCH,
        mask: METADATA_TYPE | METADATA_ONE_SWITCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_laid_out_as_operators_know_them() {
        assert_eq!(flow_cookie(Direction::Forward, 0x1f4).0, 0x4000_0000_0000_01f4);
        assert_eq!(flow_cookie(Direction::Reverse, 0x1f4).0, 0x2000_0000_0000_01f4);
        assert_eq!(join_cookie(Direction::Reverse, 0x1f4).0, 0x2000_8000_0000_01f4);
        assert_eq!(customer_port_cookie(PortNo(10)).0, 0x8050_0000_0000_000a);
        assert_eq!(link_port_cookie(PortNo(10)).0, 0x8020_0000_0000_000a);
        assert_eq!(shared_cookie(PortNo(10), 100).0, 0x0080_0000_0064_000a);
        assert_eq!(service_cookie(ServiceTag::Drop).0, 0x8000_0000_0000_0001);
        assert_eq!(effective_id_of(join_cookie(Direction::Forward, 131_072)), Some(131_072));
        assert_eq!(effective_id_of(shared_cookie(PortNo(1), 1)), None);
        assert_eq!(effective_id_of(customer_port_cookie(PortNo(1))), None);
    }

    #[test]
    fn metadata_is_laid_out_as_operators_know_it() {
        let m = outer_vlan_metadata(100);
        assert_eq!((m.value, m.mask), (0x2000_0648, 0xe000_fff8));
        assert_eq!(m.value & untouched_metadata().mask, METADATA_OUTER_PRESENT);
    }
}

//! A packet as values, for the pipeline simulator.

use skerry_bus::objects::Mac;

/// A VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// EtherType that announces it, 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Priority and drop-eligible bits (the upper four of the tag).
    pub pcp_dei: u8,
    /// VLAN id.
    pub vid: u16,
}

impl Tag {
    /// A plain tag.
    pub fn new(vid: u16) -> Tag {
        Tag {
            tpid: 0x8100,
            pcp_dei: 0,
            vid,
        }
    }
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packet {
    /// Source address.
    pub eth_src: Mac,
    /// Destination address.
    pub eth_dst: Mac,
    /// Tags, innermost first, so that push and pop work at the end.
    pub tags: Vec<Tag>,
    /// EtherType after the tags.
    pub eth_type: u16,
    /// IP protocol, if it is IPv4.
    pub ip_proto: Option<u8>,
    /// UDP source and destination, if it is UDP.
    pub udp: Option<(u16, u16)>,
    /// Everything after the EtherType, opaque.
    pub payload: Vec<u8>,
}

impl Packet {
    /// A packet with tags (bottom first) and a payload that tells it from others.
    pub fn tagged(tags: &[u16], payload: &[u8]) -> Packet {
        Packet {
            eth_src: Mac([2, 0, 0, 0, 0, 1]),
            eth_dst: Mac([2, 0, 0, 0, 0, 2]),
            tags: tags.iter().map(|v| Tag::new(*v)).collect(),
            eth_type: 0x88b5,
            ip_proto: None,
            udp: None,
            payload: payload.to_vec(),
        }
    }

    /// The ids of its tags, bottom first.
    pub fn vids(&self) -> Vec<u16> {
        self.tags.iter().map(|t| t.vid).collect()
    }
}

//! The front of an OFPT_PACKET_IN, looked at where it lies: for whoever has to choose which packets
//! are worth decoding while a switch sends more than anybody can use.

use crate::header::{Header, MessageType, VERSION_1_3};
use crate::number::PortNo;
use crate::ofp_match::MatchType;
use crate::packet::{PacketIn, PacketInReason};

/// What stands in front of the match (section 7.4.1): the header, then fields of fixed length.
const FRONT: usize = 24;
/// Type and length of a match (section 7.2.3.1).
const MATCH_HEADER: usize = 4;
/// Bytes between the padded match and the packet.
const PAD: usize = 2;
/// Class, number and length of the one field that is looked for: OXM_OF_IN_PORT without a mask.
const IN_PORT: [u8; 4] = [0x80, 0x00, 0x00, 0x04];

/// What [`PacketIn::peek`] sees of an OFPT_PACKET_IN (section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInPeek<'a> {
    /// Why it came.
    pub reason: PacketInReason,
    /// The cookie of the rule that sent it.
    pub cookie: u64,
    /// Where it came in, if the match says so.
    pub in_port: Option<PortNo>,
    /// The packet.
    pub data: &'a [u8],
}

impl PacketIn {
    /// Looks at a whole frame without decoding it: nothing is copied, and what is not looked at may be
    /// wrong. Every frame that decodes as an OFPT_PACKET_IN is seen as what it is; `None` is any other
    /// message, or one that does not decode.
    #[inline]
    pub fn peek(frame: &[u8]) -> Option<PacketInPeek<'_>> {
        let header = Header::peek(frame)?;
        if header.kind != MessageType::PACKET_IN || header.version != VERSION_1_3 {
            return None;
        }
        let (front, rest) = frame.split_first_chunk::<FRONT>()?;
        let [.., reason, _table, c0, c1, c2, c3, c4, c5, c6, c7] = *front;
        let [k0, k1, l0, l1] = *rest.first_chunk::<MATCH_HEADER>()?;
        if MatchType(u16::from_be_bytes([k0, k1])) != MatchType::OXM {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let fields = rest.get(MATCH_HEADER..length)?;
        let data = rest.get(length.next_multiple_of(8).checked_add(PAD)?..)?;
        Some(PacketInPeek {
            reason: PacketInReason(reason),
            cookie: u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
            in_port: in_port(fields),
            data,
        })
    }
}

/// The port among the fields of a match. Switches put it first, so this is one step nearly always.
#[inline]
fn in_port(mut fields: &[u8]) -> Option<PortNo> {
    loop {
        let (header, rest) = fields.split_first_chunk::<4>()?;
        if *header == IN_PORT {
            return rest.first_chunk::<4>().map(|b| PortNo(u32::from_be_bytes(*b)));
        }
        let [_, _, _, length] = *header;
        fields = rest.get(usize::from(length)..)?;
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // a test that indexes wrongly fails, which is what it is for
mod tests {
    use super::*;
    use crate::message::{Body, Message};
    use crate::number::{NO_BUFFER, TableId};
    use crate::ofp_match::Match;
    use crate::oxm::Oxm;
    use bytes::Bytes;

    fn packet(fields: &[Oxm], data: &'static [u8]) -> PacketIn {
        PacketIn {
            buffer_id: NO_BUFFER,
            total_len: 60,
            reason: PacketInReason::ACTION,
            table_id: TableId(3),
            cookie: 0x4000_0000_0000_0001,
            matching: fields.iter().cloned().collect(),
            data: Bytes::from_static(data),
        }
    }

    fn frame(packet: &PacketIn) -> Vec<u8> {
        let message = Message::new(0, Body::PacketIn(packet.clone()));
        message.to_bytes().expect("it fits").to_vec()
    }

    fn agrees(frame: &[u8]) -> bool {
        let Ok(Message {
            body: Body::PacketIn(packet),
            ..
        }) = Message::decode(&Bytes::copy_from_slice(frame))
        else {
            return false;
        };
        let peek = PacketIn::peek(frame).expect("what decodes is seen");
        assert_eq!(peek.reason, packet.reason);
        assert_eq!(peek.cookie, packet.cookie);
        assert_eq!(peek.in_port, packet.matching.in_port());
        assert_eq!(peek.data, &packet.data[..]);
        true
    }

    #[test]
    fn what_is_seen_is_what_is_decoded() {
        let in_port = Oxm::in_port(PortNo(7));
        let vlan = Oxm::vlan_vid(5);
        for fields in [vec![], vec![in_port.clone()], vec![vlan.clone()], vec![vlan, in_port]] {
            for data in [&b""[..], b"x", b"a packet of some length"] {
                assert!(agrees(&frame(&packet(&fields, data))));
            }
        }
    }

    #[test]
    fn other_messages_and_other_versions_are_not_seen() {
        let mut bytes = frame(&packet(&[], b"data"));
        assert!(PacketIn::peek(&bytes).is_some());
        bytes[0] = 5;
        assert_eq!(PacketIn::peek(&bytes), None);
        let echo = Message::new(1, Body::EchoRequest(Bytes::from_static(&[0; 60])));
        assert_eq!(PacketIn::peek(&echo.to_bytes().expect("it fits")), None);
        let mut standard = frame(&packet(&[], b"data"));
        standard[25] = 0;
        assert_eq!(PacketIn::peek(&standard), None, "the match of older versions");
    }

    #[test]
    fn no_changed_byte_and_no_cut_makes_them_disagree() {
        let whole = frame(&packet(&[Oxm::in_port(PortNo(7)), Oxm::vlan_vid(5)], b"data"));
        let mut decoded = 0;
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = value;
                decoded += u32::from(agrees(&changed));
            }
            // A frame that ends here, and says so.
            let mut cut = whole[..at].to_vec();
            if let Some(length) = cut.get_mut(2..4) {
                length.copy_from_slice(&u16::try_from(at).expect("short").to_be_bytes());
                decoded += u32::from(agrees(&cut));
            }
        }
        assert!(decoded > 1_000, "{decoded}");
        let none = Match::default();
        assert!(agrees(&frame(&PacketIn {
            matching: none,
            ..packet(&[], b"data")
        })));
    }
}

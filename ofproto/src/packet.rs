//! Packets to and from the controller (sections 7.3.7 and 7.4.1).

use crate::action::Action;
use crate::error::{DecodeCause, DecodeError, EncodeError};
use crate::number::{NO_BUFFER, PortNo, TableId};
use crate::ofp_match::Match;
use crate::wire::{Reader, Wire, Writer};
use bytes::Bytes;

code_point! {
    /// Why a packet came to the controller (section 7.4.1, `enum ofp_packet_in_reason`).
    PacketInReason(u8), "OFPR_" {
        NO_MATCH = 0,
        ACTION = 1,
        INVALID_TTL = 2,
    }
}

wire_struct! {
    /// OFPT_PACKET_IN (section 7.4.1, `struct ofp_packet_in`).
    PacketIn, "ofp_packet_in" {
        /// Where the switch keeps the packet, or [`NO_BUFFER`].
        buffer_id: u32,
        /// Bytes of the whole packet, of which `data` may be the beginning.
        total_len: u16,
        /// Why it came.
        reason: PacketInReason,
        /// The table it came from.
        table_id: TableId,
        /// The cookie of the rule that sent it.
        cookie: u64,
        /// Where it came in, and what else the switch knew about it.
        matching: Match [pad 2],
        /// The packet.
        data: Bytes,
    }
}

/// OFPT_PACKET_OUT (section 7.3.7, `struct ofp_packet_out`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOut {
    /// The buffered packet to send, or [`NO_BUFFER`] when `data` is the packet.
    pub buffer_id: u32,
    /// The port it is taken to have come in by.
    pub in_port: PortNo,
    /// What to do with it.
    pub actions: Vec<Action>,
    /// The packet.
    pub data: Bytes,
}

impl PacketOut {
    /// Sends `data` as if it came from the controller.
    pub fn new(actions: Vec<Action>, data: Bytes) -> Self {
        Self {
            buffer_id: NO_BUFFER,
            in_port: PortNo::CONTROLLER,
            actions,
            data,
        }
    }
}

/// Bytes of padding in front of the actions.
const PAD: usize = 6;

const PACKET_OUT: &str = "ofp_packet_out";

impl Wire for PacketOut {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outer = r.enter(PACKET_OUT);
        let buffer_id = r.u32()?;
        let in_port = PortNo::read(r)?;
        let at = r.offset();
        let said = usize::from(r.u16()?);
        r.skip(PAD)?;
        if said > r.left() {
            return Err(r.error_at(at, DecodeCause::PastEnd { said, left: r.left() }));
        }
        let actions = r.sub(said)?.list()?;
        let data = r.remaining()?;
        r.leave(outer);
        Ok(Self {
            buffer_id,
            in_port,
            actions,
            data,
        })
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.buffer_id);
        self.in_port.write(w)?;
        // The length is that of the actions alone, which begin behind the padding.
        let actions = w.position().saturating_add(2 + PAD);
        let length = w.length_since(actions);
        w.pad(PAD);
        w.list(&self.actions)?;
        w.set_length(PACKET_OUT, length)?;
        w.slice(&self.data);
        Ok(())
    }
}

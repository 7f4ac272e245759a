//! Packets to and from the controller (sections 7.3.7 and 7.4.1).

use super::action::{self, Place};
use super::headers::Headers;
use super::{Refusal, RefusalCause, refuse_if};
use crate::error_msg::BadRequestCode;
use crate::number::NO_BUFFER;
use crate::packet::{PacketIn, PacketOut};

impl PacketOut {
    /// Whether a switch would take it (section 7.3.7): a packet, by a port it can have come
    /// in by, and actions that can be.
    ///
    /// # Errors
    /// What is refused first, with OFPBRC_BAD_PORT, OFPBRC_BAD_PACKET or a code of
    /// OFPET_BAD_ACTION.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_packet_out";
        refuse_if(
            !self.in_port.takes_packets(),
            STRUCTURE,
            BadRequestCode::BAD_PORT,
            RefusalCause::Port(self.in_port),
        )?;
        action::list(&self.actions, Place::PacketOut, &mut Headers::unknown())?;
        refuse_if(
            self.buffer_id == NO_BUFFER && self.data.is_empty(),
            STRUCTURE,
            BadRequestCode::BAD_PACKET,
            RefusalCause::NoPacket,
        )
    }
}

impl PacketIn {
    /// Whether a switch would take what it says of the packet as a match (section 7.4.1).
    ///
    /// # Errors
    /// As [`Match::validate`](crate::Match::validate).
    pub fn validate(&self) -> Result<(), Refusal> {
        self.matching.validate()
    }
}

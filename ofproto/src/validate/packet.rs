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
    /// Whether what it says of the packet can be (section 7.4.1): each field once, with a
    /// value that fits. The fields choose nothing, so they need no others, and one that is
    /// not known is passed over.
    ///
    /// # Errors
    /// The first field that is wrong, with a code of OFPET_BAD_MATCH.
    pub fn validate(&self) -> Result<(), Refusal> {
        Headers::told_by(&self.matching).map(|_| ())
    }
}

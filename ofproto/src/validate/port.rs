//! Ports (sections 4.5, 7.2.1 and 7.3.4.3): which number may stand where, and their
//! modification.

use super::{Refusal, RefusalCause, refuse_if};
use crate::error_msg::{BadRequestCode, PortModFailedCode};
use crate::number::PortNo;
use crate::port::{PortMod, PortStatsRequest};

impl PortNo {
    /// Whether a physical or logical port can have this number: they start at 1 and end at
    /// OFPP_MAX (section 7.2.1).
    pub fn is_standard(self) -> bool {
        self != PortNo(0) && self <= PortNo::MAX
    }

    /// Whether a packet can come in by it: of the reserved ones only the controller and the
    /// switch itself (section 4.5).
    pub(super) fn takes_packets(self) -> bool {
        self.is_standard() || matches!(self, PortNo::CONTROLLER | PortNo::LOCAL)
    }

    /// Whether a packet can go out of it. OFPP_TABLE is only for packets from the controller.
    pub(super) fn gives_packets(self) -> bool {
        self.is_standard() || (self.name().is_some() && !matches!(self, PortNo::ANY | PortNo::TABLE))
    }

    /// Whether it is one port that can be asked about or changed, or OFPP_ANY.
    pub(super) fn can_be_asked(self) -> bool {
        self.is_standard() || matches!(self, PortNo::LOCAL | PortNo::ANY)
    }
}

impl PortMod {
    /// Whether a switch would take it (section 7.3.4.3).
    ///
    /// # Errors
    /// A number that is no port's, or bits without a meaning, with a code of
    /// OFPET_PORT_MOD_FAILED.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_port_mod";
        refuse_if(
            !self.port_no.is_standard() && self.port_no != PortNo::LOCAL,
            STRUCTURE,
            PortModFailedCode::BAD_PORT,
            RefusalCause::Port(self.port_no),
        )?;
        let config = self.config.unknown() | self.mask.unknown();
        refuse_if(
            config != 0,
            STRUCTURE,
            PortModFailedCode::BAD_CONFIG,
            RefusalCause::UnknownFlags(config),
        )?;
        let advertise = self.advertise.unknown();
        refuse_if(
            advertise != 0,
            STRUCTURE,
            PortModFailedCode::BAD_ADVERTISE,
            RefusalCause::UnknownFlags(advertise),
        )
    }
}

impl PortStatsRequest {
    /// Whether a switch would take it (section 7.3.5.6).
    ///
    /// # Errors
    /// A number that is no port's, with OFPBRC_BAD_PORT.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse_if(
            !self.port_no.can_be_asked(),
            "ofp_port_stats_request",
            BadRequestCode::BAD_PORT,
            RefusalCause::Port(self.port_no),
        )
    }
}

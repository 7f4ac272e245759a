//! OFPT_EXPERIMENTER (section 7.5.4, `struct ofp_experimenter_header`) and the ONF's
//! role status, which tells a controller that the switch changed its role.

use crate::error::DecodeError;
use crate::number::ExperimenterId;
use crate::role::ControllerRole;
use crate::wire::{Reader, Wire, write_to};
use bytes::{Bytes, BytesMut};

wire_struct! {
    /// OFPT_EXPERIMENTER: a message that is defined elsewhere (section 7.5.4).
    Experimenter, "ofp_experimenter_header" {
        /// By whom.
        experimenter: ExperimenterId,
        /// Which of the experimenter's messages.
        exp_type: u32,
        /// The rest, kept.
        data: Bytes,
    }
}

code_point! {
    /// Why a role changed (`enum ofp_controller_role_reason` of OpenFlow 1.4).
    RoleReason(u8), "OFPCRR_" {
        MASTER_REQUEST = 0,
        CONFIG = 1,
        EXPERIMENTER = 2,
    }
}

wire_struct! {
    /// What the ONF's role-status message says: the body of OpenFlow 1.4's
    /// OFPT_ROLE_STATUS in an experimenter message of 1.3.
    RoleStatus, "ofp_role_status" {
        /// The role this connection has now.
        role: ControllerRole,
        /// Why.
        reason: RoleReason [pad 3],
        /// The switch's generation id.
        generation_id: u64,
    }
}

impl RoleStatus {
    /// The number of the message among the ONF's.
    pub const EXP_TYPE: u32 = 1911;

    /// Reads it from an experimenter message. `None` when it is another message.
    ///
    /// # Errors
    /// The body is not 16 bytes. The offset counts from the start of the message.
    pub fn from_experimenter(message: &Experimenter) -> Option<Result<Self, DecodeError>> {
        if message.experimenter != ExperimenterId::ONF || message.exp_type != Self::EXP_TYPE {
            return None;
        }
        let mut r = Reader::new(&message.data, "ofp_role_status");
        let status = Self::read(&mut r).and_then(|status| r.finish().map(|()| status));
        Some(status.map_err(|error| error.behind(crate::HEADER_LEN + EXPERIMENTER_HEADER)))
    }

    /// The experimenter message that says this.
    pub fn to_experimenter(&self) -> Experimenter {
        let mut out = BytesMut::new();
        let written = write_to(&mut out, ROLE_STATUS, |w| self.write(w));
        written.expect("a structure of fixed size can always be written");
        Experimenter {
            experimenter: ExperimenterId::ONF,
            exp_type: Self::EXP_TYPE,
            data: out.freeze(),
        }
    }
}

/// Bytes of a role status.
const ROLE_STATUS: usize = 16;

/// Bytes of experimenter and exp_type.
const EXPERIMENTER_HEADER: usize = 8;

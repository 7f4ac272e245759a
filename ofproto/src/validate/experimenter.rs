//! What is defined elsewhere (section 7.5.4): whether this crate knows it.

use super::{Refusal, RefusalCause, refuse, refuse_if};
use crate::error_msg::{BadRequestCode, RoleRequestFailedCode};
use crate::experimenter::{Experimenter, RoleStatus};
use crate::multipart::ExperimenterMultipart;
use crate::number::ExperimenterId;

impl Experimenter {
    /// Whether a switch would take it (section 7.5.4): a message of an experimenter whose
    /// messages this crate knows.
    ///
    /// # Errors
    /// OFPBRC_BAD_EXPERIMENTER or OFPBRC_BAD_EXP_TYPE.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_experimenter_header";
        let (experimenter, exp_type) = (self.experimenter, self.exp_type);
        if experimenter != ExperimenterId::ONF {
            return refuse(
                STRUCTURE,
                BadRequestCode::BAD_EXPERIMENTER,
                RefusalCause::UnknownExperimenter(experimenter),
            );
        }
        match RoleStatus::from_experimenter(self) {
            None => refuse(
                STRUCTURE,
                BadRequestCode::BAD_EXP_TYPE,
                RefusalCause::UnknownExperimenterType { experimenter, exp_type },
            ),
            Some(Err(_)) => refuse(
                "ofp_role_status",
                BadRequestCode::BAD_LEN,
                RefusalCause::BodyLength(self.data.len()),
            ),
            Some(Ok(status)) => refuse_if(
                status.role.name().is_none(),
                "ofp_role_status",
                RoleRequestFailedCode::BAD_ROLE,
                RefusalCause::Role(status.role.0),
            ),
        }
    }
}

impl ExperimenterMultipart {
    /// Whether a switch would take it (section 7.3.5.15). This crate knows none.
    ///
    /// # Errors
    /// OFPBRC_BAD_EXPERIMENTER.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse(
            "ofp_experimenter_multipart_header",
            BadRequestCode::BAD_EXPERIMENTER,
            RefusalCause::UnknownExperimenter(self.experimenter),
        )
    }
}

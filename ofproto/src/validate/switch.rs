//! What a controller says to a whole switch (sections 7.3.2, 7.3.9 and 7.3.10).

use super::{Refusal, RefusalCause, refuse_if};
use crate::error_msg::{BadRequestCode, RoleRequestFailedCode, SwitchConfigFailedCode};
use crate::role::{AsyncConfig, RoleMsg};
use crate::switch::{ConfigFlags, SwitchConfig};

impl SwitchConfig {
    /// Whether a switch would take it (section 7.3.2).
    ///
    /// # Errors
    /// Flags without a meaning, or that fragments are dropped and put together, with
    /// OFPSCFC_BAD_FLAGS.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_switch_config";
        let (unknown, both) = (self.flags.unknown(), ConfigFlags::DROP | ConfigFlags::REASM);
        refuse_if(
            unknown != 0,
            STRUCTURE,
            SwitchConfigFailedCode::BAD_FLAGS,
            RefusalCause::UnknownFlags(u32::from(unknown)),
        )?;
        refuse_if(
            self.flags.contains(both),
            STRUCTURE,
            SwitchConfigFailedCode::BAD_FLAGS,
            RefusalCause::FlagsExclude(u32::from(both.0)),
        )
    }
}

impl RoleMsg {
    /// Whether a switch would take it (section 7.3.9).
    ///
    /// # Errors
    /// A role that nobody defined, with OFPRRFC_BAD_ROLE.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse_if(
            self.role.name().is_none(),
            "ofp_role_request",
            RoleRequestFailedCode::BAD_ROLE,
            RefusalCause::Role(self.role.0),
        )
    }
}

impl AsyncConfig {
    /// Whether a switch would take it (section 7.3.10). 1.3 has no code for what is wrong
    /// here; the answer is that of what cannot be done.
    ///
    /// # Errors
    /// A bit for a reason that nobody defined, with OFPBRC_EPERM.
    pub fn validate(&self) -> Result<(), Refusal> {
        let masks = [
            self.packet_in_mask.map(|mask| mask.unknown()),
            self.port_status_mask.map(|mask| mask.unknown()),
            self.flow_removed_mask.map(|mask| mask.unknown()),
        ];
        masks.iter().flatten().try_for_each(|unknown| {
            refuse_if(
                *unknown != 0,
                "ofp_async_config",
                BadRequestCode::EPERM,
                RefusalCause::UnknownFlags(*unknown),
            )
        })
    }
}

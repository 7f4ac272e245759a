//! Meters (sections 6.6, 7.3.4.4, 7.3.5.12 and 7.3.5.13).

use super::{Refusal, RefusalCause, refuse_if};
use crate::error_msg::MeterModFailedCode;
use crate::meter::{MeterBand, MeterConfig, MeterFlags, MeterMod, MeterModCommand, MeterRequest};
use crate::number::MeterId;

impl MeterId {
    /// Whether a meter that rules name can have this number (section 7.3.4.4): they start at
    /// 1 and end at OFPM_MAX.
    pub fn is_standard(self) -> bool {
        self != MeterId(0) && self <= MeterId::MAX
    }

    /// Or it is one of the switch's own for its slow path and its controller.
    fn can_exist(self) -> bool {
        self.is_standard() || matches!(self, MeterId::SLOWPATH | MeterId::CONTROLLER)
    }
}

impl MeterMod {
    /// Whether a switch would take it (section 6.6): command, number and flags that can be,
    /// and bands that it can have. Of what is deleted only the number counts.
    ///
    /// # Errors
    /// What is refused first, with a code of OFPET_METER_MOD_FAILED.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_meter_mod";
        refuse_if(
            self.command.name().is_none(),
            STRUCTURE,
            MeterModFailedCode::BAD_COMMAND,
            RefusalCause::UnknownCommand(u32::from(self.command.0)),
        )?;
        let deletes = self.command == MeterModCommand::DELETE;
        let all = deletes && self.meter_id == MeterId::ALL;
        refuse_if(
            !(self.meter_id.can_exist() || all),
            STRUCTURE,
            MeterModFailedCode::INVALID_METER,
            RefusalCause::Meter(self.meter_id),
        )?;
        if deletes {
            return Ok(());
        }
        flags(STRUCTURE, self.flags)?;
        self.bands.iter().try_for_each(MeterBand::validate)
    }
}

impl MeterConfig {
    /// Whether its bands can be (section 7.3.5.13).
    ///
    /// # Errors
    /// As [`MeterBand::validate`].
    pub fn validate(&self) -> Result<(), Refusal> {
        self.bands.iter().try_for_each(MeterBand::validate)
    }
}

/// Flags of which the rate's unit can only be one.
fn flags(structure: &'static str, flags: MeterFlags) -> Result<(), Refusal> {
    let (unknown, both) = (flags.unknown(), MeterFlags::KBPS | MeterFlags::PKTPS);
    refuse_if(
        unknown != 0,
        structure,
        MeterModFailedCode::BAD_FLAGS,
        RefusalCause::UnknownFlags(u32::from(unknown)),
    )?;
    refuse_if(
        flags.contains(both),
        structure,
        MeterModFailedCode::BAD_FLAGS,
        RefusalCause::FlagsExclude(u32::from(both.0)),
    )
}

impl MeterBand {
    /// Whether a switch would take it (section 7.3.4.4): a type that it can know.
    ///
    /// # Errors
    /// A type that nobody defined, with OFPMMFC_BAD_BAND.
    pub fn validate(&self) -> Result<(), Refusal> {
        let (structure, cause) = match self {
            Self::Drop { .. } | Self::DscpRemark { .. } => return Ok(()),
            Self::Experimenter { experimenter, .. } => (
                "ofp_meter_band_experimenter",
                RefusalCause::UnknownExperimenter(*experimenter),
            ),
            Self::Unknown { kind, .. } => ("ofp_meter_band_header", RefusalCause::UnknownType(u32::from(kind.0))),
        };
        super::refuse(structure, MeterModFailedCode::BAD_BAND, cause)
    }
}

impl MeterRequest {
    /// Whether a switch would take it (sections 7.3.5.12 and 7.3.5.13).
    ///
    /// # Errors
    /// A number that no meter has, with OFPMMFC_UNKNOWN_METER.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse_if(
            !self.meter_id.can_exist() && self.meter_id != MeterId::ALL,
            "ofp_meter_multipart_request",
            MeterModFailedCode::UNKNOWN_METER,
            RefusalCause::Meter(self.meter_id),
        )
    }
}

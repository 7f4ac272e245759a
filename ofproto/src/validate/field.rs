//! Match fields (sections 7.2.3.4 to 7.2.3.7): one by itself, and the list of a match.

use super::headers::Headers;
use super::{Refusal, RefusalCause, refuse, refuse_if};
use crate::error_msg::BadMatchCode;
use crate::number::PortNo;
use crate::ofp_match::Match;
use crate::oxm::{Oxm, OxmField};

impl Match {
    /// Whether a switch would take it (section 7.2.3): fields it can know, each once, with
    /// a value that fits and behind the fields it needs.
    ///
    /// # Errors
    /// The first field that is refused, with a code of OFPET_BAD_MATCH.
    pub fn validate(&self) -> Result<(), Refusal> {
        Headers::promised_by(self).map(|_| ())
    }
}

impl Oxm {
    /// Whether a switch could match this field by itself: known, masked only if it can be,
    /// and with a value that fits field and mask (sections 7.2.3.5 and 7.2.3.7).
    ///
    /// # Errors
    /// What is refused, with a code of OFPET_BAD_MATCH.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_match";
        let field = self.field();
        let outside = |mask: &[u8]| self.value().iter().zip(mask).any(|(value, mask)| value & !mask != 0);
        refuse_if(
            self.mask().is_some_and(outside),
            STRUCTURE,
            BadMatchCode::BAD_WILDCARDS,
            RefusalCause::OutsideMask(field),
        )?;
        let Some(row) = field.row() else {
            return refuse(STRUCTURE, BadMatchCode::BAD_FIELD, RefusalCause::UnknownField(field));
        };
        refuse_if(
            self.is_masked() && !row.maskable,
            STRUCTURE,
            BadMatchCode::BAD_MASK,
            RefusalCause::NotMaskable(field),
        )?;
        refuse_if(
            !self.fits(),
            STRUCTURE,
            BadMatchCode::BAD_VALUE,
            RefusalCause::TooManyBits(field),
        )?;
        refuse_if(
            !self.can_come(),
            STRUCTURE,
            BadMatchCode::BAD_VALUE,
            RefusalCause::FieldValue(field),
        )
    }

    /// Whether the value has no more bits than the field.
    pub(super) fn fits(&self) -> bool {
        let Some(row) = self.field().row() else {
            return true;
        };
        let unused = u32::from(row.width)
            .saturating_mul(8)
            .saturating_sub(u32::from(row.bits));
        self.value().iter().zip(0_u32..).all(|(byte, at)| {
            let above = unused.saturating_sub(at.saturating_mul(8));
            let must_be_zero = !0xff_u8.checked_shr(above).unwrap_or(0);
            byte & must_be_zero == 0
        })
    }

    /// Whether a packet can have the value: of ports, those by which one can come in.
    fn can_come(&self) -> bool {
        if !matches!(self.field(), OxmField::IN_PORT | OxmField::IN_PHY_PORT) {
            return true;
        }
        let port = self.value_u64().and_then(|port| u32::try_from(port).ok()).map(PortNo);
        port.is_some_and(PortNo::takes_packets)
    }
}

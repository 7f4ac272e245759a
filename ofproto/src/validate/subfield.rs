//! Actions on some bits of a field: the ONF's copy-field, Nicira's reg_move and reg_load.

use super::headers::Headers;
use super::{Refusal, RefusalCause, refuse_if};
use crate::error_msg::BadActionCode;
use crate::subfield::{FieldCopy, FieldLoad};
use crate::table_features::OxmId;

impl FieldCopy {
    /// Whether a switch would take it: at least one bit, from and to fields that have them.
    ///
    /// # Errors
    /// OFPBAC_BAD_SET_LEN or OFPBAC_BAD_SET_TYPE.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_action_copy_field";
        subfield(STRUCTURE, self.src, self.src_offset, self.n_bits)?;
        subfield(STRUCTURE, self.dst, self.dst_offset, self.n_bits)
    }

    /// The fields of which the match has to promise the headers.
    pub(super) fn fields(&self) -> [OxmId; 2] {
        [self.src, self.dst]
    }
}

impl FieldLoad {
    /// Whether a switch would take it: bits that the field has, and a value that fits them.
    ///
    /// # Errors
    /// OFPBAC_BAD_SET_LEN, OFPBAC_BAD_SET_TYPE or OFPBAC_BAD_ARGUMENT.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "nx_action_reg_load";
        let n_bits = self.bits.n_bits();
        subfield(STRUCTURE, self.dst, self.bits.ofs(), n_bits)?;
        let above = self.value.checked_shr(u32::from(n_bits)).unwrap_or(0);
        refuse_if(
            above != 0,
            STRUCTURE,
            BadActionCode::BAD_ARGUMENT,
            RefusalCause::TooManyBits(self.dst.field),
        )
    }
}

/// Some bits of a field.
fn subfield(structure: &'static str, id: OxmId, offset: u16, n_bits: u16) -> Result<(), Refusal> {
    let field = id.field;
    let row = field.row();
    // The header of a field says its length and no mask, or it is no field's.
    let other = OxmId::of(field).is_some_and(|whole| whole.length != id.length);
    refuse_if(
        row.is_none() || id.masked || other,
        structure,
        BadActionCode::BAD_SET_TYPE,
        RefusalCause::UnknownField(field),
    )?;
    // A field whose width is not fixed may have any.
    let fixed = row.filter(|row| row.bits != 0);
    let past_end = fixed.is_some_and(|row| u32::from(offset).saturating_add(u32::from(n_bits)) > u32::from(row.bits));
    refuse_if(
        n_bits == 0 || past_end,
        structure,
        BadActionCode::BAD_SET_LEN,
        RefusalCause::BitRange { field, offset, n_bits },
    )
}

impl Headers {
    /// Whether the headers of these fields are there.
    pub(super) fn hold(&self, structure: &'static str, fields: &[OxmId]) -> Result<(), Refusal> {
        fields.iter().try_for_each(|id| {
            let missing = id.field.row().is_some_and(|row| !self.have(row.needs));
            refuse_if(
                missing,
                structure,
                BadActionCode::MATCH_INCONSISTENT,
                RefusalCause::FieldNotMatched(id.field),
            )
        })
    }
}

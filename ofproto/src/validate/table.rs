//! Tables (sections 7.3.3 and 7.3.5.5): their modification and what they can do.

use super::{OnfCode, Refusal, RefusalCause, refuse, refuse_if};
use crate::error_msg::{TableFeaturesFailedCode, TableModFailedCode};
use crate::number::TableId;
use crate::table::TableMod;
use crate::table_features::{Shape, TableFeatureBody, TableFeatureProp, TableFeaturePropType, TableFeatures};

/// `OFPTC_DEPRECATED_MASK`: the bits of a table's configuration that earlier versions had.
const DEPRECATED: u32 = 3;

impl TableMod {
    /// Whether a switch would take it (section 7.3.3).
    ///
    /// # Errors
    /// Bits without a meaning, with OFPTMFC_BAD_CONFIG.
    pub fn validate(&self) -> Result<(), Refusal> {
        let unknown = self.config & !DEPRECATED;
        refuse_if(
            unknown != 0,
            "ofp_table_mod",
            TableModFailedCode::BAD_CONFIG,
            RefusalCause::UnknownFlags(unknown),
        )
    }
}

impl TableFeatures {
    /// Whether a switch would take it (section 7.3.5.5): a table that can be, and each
    /// property once.
    ///
    /// # Errors
    /// What is refused first, with a code of OFPET_TABLE_FEATURES_FAILED.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse_if(
            self.table_id > TableId::MAX,
            "ofp_table_features",
            TableFeaturesFailedCode::BAD_TABLE,
            RefusalCause::Table(self.table_id),
        )?;
        let mut seen = 0_u16;
        for property in &self.properties {
            property.validate()?;
            // Those of the specification are numbered from 0 to 15.
            let bit = 1_u16.checked_shl(u32::from(property.kind.0)).unwrap_or(0);
            refuse_if(
                seen & bit != 0,
                STRUCTURE,
                OnfCode::DUP_TYPE,
                RefusalCause::DuplicateProperty(property.kind),
            )?;
            seen |= bit;
        }
        Ok(())
    }
}

const STRUCTURE: &str = Shape::Unknown.structure();

impl TableFeatureProp {
    /// Whether a switch would take it (section 7.3.5.5.2): of a known type, about
    /// instructions, actions, fields and tables that can be.
    ///
    /// # Errors
    /// OFPTFFC_BAD_TYPE or OFPTFFC_BAD_ARGUMENT.
    pub fn validate(&self) -> Result<(), Refusal> {
        let structure = self.body.shape().structure();
        let wrong = |wrong: Option<RefusalCause>| match wrong {
            Some(cause) => refuse(structure, TableFeaturesFailedCode::BAD_ARGUMENT, cause),
            None => Ok(()),
        };
        match &self.body {
            TableFeatureBody::Instructions(ids) => wrong(
                ids.iter()
                    .find(|id| id.kind.name().is_none())
                    .map(|id| RefusalCause::UnknownType(u32::from(id.kind.0))),
            ),
            TableFeatureBody::Actions(ids) => wrong(
                ids.iter()
                    .find(|id| id.kind.name().is_none())
                    .map(|id| RefusalCause::UnknownType(u32::from(id.kind.0))),
            ),
            TableFeatureBody::Oxms(ids) => wrong(
                ids.iter()
                    .find(|id| id.field.row().is_none())
                    .map(|id| RefusalCause::UnknownField(id.field)),
            ),
            TableFeatureBody::NextTables(ids) => wrong(
                ids.iter()
                    .find(|id| **id > TableId::MAX)
                    .map(|id| RefusalCause::Table(*id)),
            ),
            TableFeatureBody::Experimenter { experimenter, .. } => refuse(
                structure,
                TableFeaturesFailedCode::BAD_TYPE,
                RefusalCause::UnknownExperimenter(*experimenter),
            ),
            TableFeatureBody::Unknown(_) => unknown(self.kind),
        }
    }
}

fn unknown(kind: TableFeaturePropType) -> Result<(), Refusal> {
    refuse(
        STRUCTURE,
        TableFeaturesFailedCode::BAD_TYPE,
        RefusalCause::UnknownType(u32::from(kind.0)),
    )
}

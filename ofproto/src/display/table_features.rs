//! What a table can do.

use super::line::{Kept, Name, PARTS_MAX, list};
use super::oxm::OwnWord;
use super::word::Lower;
use crate::number::TableId;
use crate::table_features::{ActionId, InstructionId, OxmId, TableFeatureBody, TableFeatureProp, TableFeatures};
use core::fmt::{self, Display, Formatter};

/// The name of an action or instruction, and what an experimenter adds to its number.
macro_rules! type_ids {
    ($($name:ident),*) => {$(
        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                let Self { kind, body } = self;
                Lower(*kind).fmt(f)?;
                if body.is_empty() { Ok(()) } else { write!(f, "({})", Kept(body)) }
            }
        }
    )*};
}

type_ids!(InstructionId, ActionId);

/// The field's own word, with `/mask` where it can be masked.
impl Display for OxmId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // The length follows from field and mask; where it does not, it means nothing.
        let Self {
            field,
            masked,
            length: _,
        } = self;
        OwnWord(*field).fmt(f)?;
        if *masked { f.write_str("/mask") } else { Ok(()) }
    }
}

/// Tables as ranges: `1-3,7`.
fn tables(f: &mut Formatter<'_>, tables: &[TableId]) -> fmt::Result {
    let follows = |a: &TableId, b: &TableId| a.0.checked_add(1) == Some(b.0);
    list(f, tables.chunk_by(follows), PARTS_MAX, ",", |f, range| match range {
        [first, .., last] => write!(f, "{}-{}", first.0, last.0),
        [one] => write!(f, "{}", one.0),
        [] => Ok(()),
    })
}

/// `next_tables=1-3`, `apply_actions=output,set_field`, `match=in_port,metadata/mask`.
impl Display for TableFeatureProp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kind, body } = self;
        match body {
            TableFeatureBody::Unknown(_) => write!(f, "unknown(type={})=", kind.0)?,
            _ => write!(f, "{}=", Lower(*kind))?,
        }
        match body {
            TableFeatureBody::Instructions(all) => list(f, all, PARTS_MAX, ",", |f, one| one.fmt(f)),
            TableFeatureBody::NextTables(all) => tables(f, all),
            TableFeatureBody::Actions(all) => list(f, all, PARTS_MAX, ",", |f, one| one.fmt(f)),
            TableFeatureBody::Oxms(all) => list(f, all, PARTS_MAX, ",", |f, one| one.fmt(f)),
            TableFeatureBody::Experimenter {
                experimenter,
                exp_type,
                data,
            } => write!(f, "{:#x}:{exp_type}({})", experimenter.0, Kept(data)),
            TableFeatureBody::Unknown(body) => write!(f, "({})", Kept(body)),
        }
    }
}

impl Display for TableFeatures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            table_id,
            name,
            metadata_match,
            metadata_write,
            config,
            max_entries,
            properties,
        } = self;
        write!(f, "table {} ({}): ", table_id.0, Name(name.as_bytes()))?;
        write!(f, "metadata: match={metadata_match:#x} write={metadata_write:#x} ")?;
        write!(f, "config={config:#x} max_entries={max_entries}")?;
        for property in properties.iter().take(PARTS_MAX) {
            write!(f, " {property}")?;
        }
        match properties.len().saturating_sub(PARTS_MAX) {
            0 => Ok(()),
            left => write!(f, " ... and {left} more"),
        }
    }
}

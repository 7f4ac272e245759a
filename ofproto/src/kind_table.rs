//! Tables of what comes in kinds: for each number of an enumeration its structure and how
//! long that is. The constants, the names and the printing of the enumeration follow from
//! the same rows.

use crate::error::{DecodeCause, DecodeError};
use crate::wire::Reader;

/// How many bytes a structure of the specification (section 7) has, its header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructureLength {
    /// Always so many.
    Exactly(u16),
    /// So many, and what it carries.
    AtLeast(u16),
}

impl StructureLength {
    /// The least it has.
    pub const fn least(self) -> u16 {
        match self {
            Self::Exactly(length) | Self::AtLeast(length) => length,
        }
    }

    /// Whether it can have this many.
    pub const fn allows(self, length: u16) -> bool {
        match self {
            Self::Exactly(must) => length == must,
            Self::AtLeast(least) => length >= least,
        }
    }
}

/// One kind of an enumeration of the specification (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindRow<K> {
    /// Which.
    pub kind: K,
    /// Its name in openflow.h.
    pub name: &'static str,
    /// Its structure in openflow.h.
    pub structure: &'static str,
    /// How long that is.
    pub length: StructureLength,
}

/// An element of this kind, of which the header was read, begins at `start` and says that it
/// has `said` bytes: names its structure, and refuses a length that it cannot have.
pub(crate) fn enter<K: PartialEq>(
    r: &mut Reader<'_>,
    table: &[KindRow<K>],
    kind: &K,
    (start, said): (usize, usize),
) -> Result<(), DecodeError> {
    let Some(row) = table.iter().find(|row| row.kind == *kind) else {
        return Ok(());
    };
    r.enter(row.structure);
    match row.length {
        StructureLength::Exactly(must) if said != usize::from(must) => {
            let must = usize::from(must);
            Err(r.error_at(start, DecodeCause::WrongLength { said, must }))
        }
        // What is less than the least is missed when it is read.
        StructureLength::Exactly(_) | StructureLength::AtLeast(_) => Ok(()),
    }
}

/// Declares an open enumeration, as `code_point` does, and the table of its kinds.
macro_rules! kind_table {
    (
        $(#[$doc:meta])*
        $name:ident($int:ty), $prefix:literal {
            $($constant:ident = $value:literal: $structure:literal $rule:ident $length:literal,)*
        }
        $(#[$table_doc:meta])*
        $table:ident
    ) => {
        code_point! {
            $(#[$doc])*
            $name($int), $prefix {
                $($constant = $value,)*
            }
        }

        $(#[$table_doc])*
        pub const $table: &[$crate::kind_table::KindRow<$name>] = &[
            $($crate::kind_table::KindRow {
                kind: $name::$constant,
                name: concat!($prefix, stringify!($constant)),
                structure: $structure,
                length: $crate::kind_table::StructureLength::$rule($length),
            },)*
        ];
    };
}

//! What a table can do (section 7.3.5.5).

use crate::action::ActionType;
use crate::error::{DecodeError, EncodeCause, EncodeError};
use crate::instruction::InstructionType;
use crate::kind_table::{KindRow, StructureLength};
use crate::number::{ExperimenterId, TableId};
use crate::oxm::{OxmClass, OxmField};
use crate::text::FixedText;
use crate::wire::{Reader, Wire, Writer, padding_of};
use bytes::Bytes;

/// Declares the shapes of properties, and the types as `kind_table` does: each has the
/// structure and the length of its shape.
macro_rules! property_table {
    (
        $(#[$shape_doc:meta])*
        $shape:ident { $($variant:ident: $structure:literal $rule:ident $length:literal,)* }

        $(#[$doc:meta])*
        $name:ident($int:ty), $prefix:literal {
            $($constant:ident = $value:literal: $kind_shape:ident,)*
        }
        $(#[$table_doc:meta])*
        $table:ident
    ) => {
        $(#[$shape_doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $shape {
            $($variant,)*
        }

        impl $shape {
            pub(crate) const fn structure(self) -> &'static str {
                match self {
                    $(Self::$variant => $structure,)*
                }
            }

            const fn length(self) -> StructureLength {
                match self {
                    $(Self::$variant => StructureLength::$rule($length),)*
                }
            }
        }

        code_point! {
            $(#[$doc])*
            $name($int), $prefix {
                $($constant = $value,)*
            }
        }

        impl $name {
            pub(crate) fn shape(self) -> $shape {
                match self {
                    $(Self::$constant => $shape::$kind_shape,)*
                    _ => $shape::Unknown,
                }
            }
        }

        $(#[$table_doc])*
        pub const $table: &[KindRow<$name>] = &[
            $(KindRow {
                kind: $name::$constant,
                name: concat!($prefix, stringify!($constant)),
                structure: $shape::$kind_shape.structure(),
                length: $shape::$kind_shape.length(),
            },)*
        ];
    };
}

property_table! {
    /// Which structure a property has.
    Shape {
        Instructions: "ofp_table_feature_prop_instructions" AtLeast 4,
        NextTables: "ofp_table_feature_prop_next_tables" AtLeast 4,
        Actions: "ofp_table_feature_prop_actions" AtLeast 4,
        Oxms: "ofp_table_feature_prop_oxm" AtLeast 4,
        Experimenter: "ofp_table_feature_prop_experimenter" AtLeast 12,
        Unknown: "ofp_table_feature_prop_header" AtLeast 4,
    }

    /// What a property of a table is about (section 7.3.5.5, `enum ofp_table_feature_prop_type`). The odd
    /// ones are about the table-miss rule.
    TableFeaturePropType(u16), "OFPTFPT_" {
        INSTRUCTIONS = 0: Instructions,
        INSTRUCTIONS_MISS = 1: Instructions,
        NEXT_TABLES = 2: NextTables,
        NEXT_TABLES_MISS = 3: NextTables,
        WRITE_ACTIONS = 4: Actions,
        WRITE_ACTIONS_MISS = 5: Actions,
        APPLY_ACTIONS = 6: Actions,
        APPLY_ACTIONS_MISS = 7: Actions,
        MATCH = 8: Oxms,
        WILDCARDS = 10: Oxms,
        WRITE_SETFIELD = 12: Oxms,
        WRITE_SETFIELD_MISS = 13: Oxms,
        APPLY_SETFIELD = 14: Oxms,
        APPLY_SETFIELD_MISS = 15: Oxms,
        EXPERIMENTER = 0xfffe: Experimenter,
        EXPERIMENTER_MISS = 0xffff: Experimenter,
    }
    /// The properties of OpenFlow 1.3 (section 7.3.5.5); the length is that without the padding
    /// to a multiple of 8.
    TABLE_FEATURE_PROP_TABLE
}

/// `OFP_MAX_TABLE_NAME_LEN` (section 7.3.5.5).
pub const TABLE_NAME_LEN: usize = 32;

wire_element! {
    /// What a table can do (section 7.3.5.5, `struct ofp_table_features`).
    TableFeatures, "ofp_table_features" {
        [length at 0 least 64 multiple 8]
        /// Which table.
        table_id: TableId [pad 5],
        /// Its name.
        name: FixedText<TABLE_NAME_LEN>,
        /// Bits of metadata it can match.
        metadata_match: u64,
        /// Bits of metadata it can write.
        metadata_write: u64,
        /// `OFPTC_*`.
        config: u32,
        /// Rules it can hold.
        max_entries: u32,
        /// More about it.
        properties: Vec<TableFeatureProp>,
    }
}

/// A property of a table (section 7.3.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFeatureProp {
    /// What it is about.
    pub kind: TableFeaturePropType,
    /// What it says; of the variant that belongs to `kind`.
    pub body: TableFeatureBody,
}

/// What a property of a table says (section 7.3.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableFeatureBody {
    /// Which instructions (`struct ofp_table_feature_prop_instructions`).
    Instructions(Vec<InstructionId>),
    /// Which tables can be next (`struct ofp_table_feature_prop_next_tables`).
    NextTables(Vec<TableId>),
    /// Which actions (`struct ofp_table_feature_prop_actions`).
    Actions(Vec<ActionId>),
    /// Which fields (`struct ofp_table_feature_prop_oxm`).
    Oxms(Vec<OxmId>),
    /// Defined elsewhere; its bytes are kept (`struct ofp_table_feature_prop_experimenter`).
    Experimenter {
        /// By whom.
        experimenter: ExperimenterId,
        /// Which of the experimenter's.
        exp_type: u32,
        /// The rest, of any length.
        data: Bytes,
    },
    /// Not in the specification; its bytes are kept, without padding.
    Unknown(Bytes),
}

impl TableFeatureBody {
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Self::Instructions(_) => Shape::Instructions,
            Self::NextTables(_) => Shape::NextTables,
            Self::Actions(_) => Shape::Actions,
            Self::Oxms(_) => Shape::Oxms,
            Self::Experimenter { .. } => Shape::Experimenter,
            Self::Unknown(_) => Shape::Unknown,
        }
    }
}

/// Bytes of type and length.
const HEADER: usize = 4;

/// Until its type is known, and where that is not.
const STRUCTURE: &str = Shape::Unknown.structure();

impl Wire for TableFeatureProp {
    fn read(outer: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut r = outer.element(STRUCTURE, 2, HEADER, 1)?;
        let said = r.left();
        let kind = TableFeaturePropType::read(&mut r)?;
        r.skip(2)?;
        let shape = kind.shape();
        r.enter(shape.structure());
        let body = match shape {
            Shape::Instructions => TableFeatureBody::Instructions(r.list()?),
            Shape::NextTables => TableFeatureBody::NextTables(r.list()?),
            Shape::Actions => TableFeatureBody::Actions(r.list()?),
            Shape::Oxms => TableFeatureBody::Oxms(r.list()?),
            Shape::Experimenter => TableFeatureBody::Experimenter {
                experimenter: ExperimenterId::read(&mut r)?,
                exp_type: r.u32()?,
                data: r.remaining()?,
            },
            Shape::Unknown => TableFeatureBody::Unknown(r.remaining()?),
        };
        outer.skip(padding_of(said))?;
        Ok(Self { kind, body })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.kind.shape() != self.body.shape() {
            let cause = EncodeCause::WrongBody(u32::from(self.kind.0));
            return Err(EncodeError {
                structure: STRUCTURE,
                cause,
            });
        }
        let start = w.position();
        self.kind.write(w)?;
        let length = w.length_since(start);
        match &self.body {
            TableFeatureBody::Instructions(ids) => w.list(ids)?,
            TableFeatureBody::NextTables(ids) => w.list(ids)?,
            TableFeatureBody::Actions(ids) => w.list(ids)?,
            TableFeatureBody::Oxms(ids) => w.list(ids)?,
            TableFeatureBody::Experimenter {
                experimenter,
                exp_type,
                data,
            } => {
                experimenter.write(w)?;
                w.u32(*exp_type);
                w.slice(data);
            }
            TableFeatureBody::Unknown(body) => w.slice(body),
        }
        w.set_length(STRUCTURE, length)?;
        w.pad_to_8(start);
        Ok(())
    }
}

macro_rules! type_ids {
    ($($(#[$doc:meta])* $name:ident $kind:ident $structure:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// Its type.
            pub kind: $kind,
            /// What follows the length: nothing, or the experimenter's id and what it adds.
            pub body: Bytes,
        }

        impl Wire for $name {
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                // An error in here is one of the property.
                let structure = r.structure();
                let mut r = r.element(structure, 2, HEADER, 1)?;
                let kind = $kind::read(&mut r)?;
                r.skip(2)?;
                Ok(Self { kind, body: r.remaining()? })
            }

            fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                let start = w.position();
                self.kind.write(w)?;
                let length = w.length_since(start);
                w.slice(&self.body);
                w.set_length($structure, length)
            }
        }
    )*};
}

type_ids! {
    /// An instruction that a table can do: its header alone.
    InstructionId InstructionType "ofp_instruction";
    /// An action that a table can do: its header alone.
    ActionId ActionType "ofp_action_header";
}

/// A field without a value, such as one that a table can match or set: the header of its
/// TLV alone (section 7.3.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OxmId {
    /// Which field.
    pub field: OxmField,
    /// Whether it can be masked.
    pub masked: bool,
    /// The length that its header says, which nothing follows.
    pub length: u8,
}

/// Bytes of the experimenter's id, which the length of a field counts.
const EXPERIMENTER: usize = 4;

impl OxmId {
    /// The whole of a field, without a mask; `None` when its width is not known or not fixed.
    pub fn of(field: OxmField) -> Option<Self> {
        let experimenter = if field.experimenter().is_some() {
            EXPERIMENTER
        } else {
            0
        };
        let length = u8::try_from(field.width()?.saturating_add(experimenter)).ok()?;
        Some(Self {
            field,
            masked: false,
            length,
        })
    }
}

impl Wire for OxmId {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let class = OxmClass::read(r)?;
        let (byte, length) = (r.u8()?, r.u8()?);
        let (number, masked) = (byte >> 1, byte & 1 == 1);
        let field = if class == OxmClass::EXPERIMENTER {
            OxmField::of_experimenter(ExperimenterId::read(r)?, number)
        } else {
            OxmField::of_class(class, number)
        };
        Ok(Self { field, masked, length })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.field.class().write(w)?;
        w.u8((self.field.number() << 1) | u8::from(self.masked));
        w.u8(self.length);
        if let Some(id) = self.field.experimenter() {
            id.write(w)?;
        }
        Ok(())
    }
}

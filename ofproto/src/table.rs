//! Flow tables (sections 7.3.3, 7.3.5.4 and 7.3.5.5).

use crate::error::{DecodeError, EncodeError};
use crate::number::TableId;
use crate::text::FixedText;
use crate::wire::{Reader, Wire, Writer, padding_of};
use bytes::Bytes;

wire_struct! {
    /// OFPT_TABLE_MOD (`struct ofp_table_mod`).
    TableMod, "ofp_table_mod" {
        /// Which table, or `TableId::ALL`.
        table_id: TableId [pad 3],
        /// `OFPTC_*`, of which 1.3 keeps only deprecated bits.
        config: u32,
    }
}

wire_struct! {
    /// The counters of a table (`struct ofp_table_stats`).
    TableStats, "ofp_table_stats" {
        /// Which table.
        table_id: TableId [pad 3],
        /// Rules in it.
        active_count: u32,
        /// Packets that came to it.
        lookup_count: u64,
        /// Packets that matched a rule.
        matched_count: u64,
    }
}

code_point! {
    /// What a property of a table is about (`enum ofp_table_feature_prop_type`).
    TableFeaturePropType(u16), "OFPTFPT_" {
        INSTRUCTIONS = 0,
        INSTRUCTIONS_MISS = 1,
        NEXT_TABLES = 2,
        NEXT_TABLES_MISS = 3,
        WRITE_ACTIONS = 4,
        WRITE_ACTIONS_MISS = 5,
        APPLY_ACTIONS = 6,
        APPLY_ACTIONS_MISS = 7,
        MATCH = 8,
        WILDCARDS = 10,
        WRITE_SETFIELD = 12,
        WRITE_SETFIELD_MISS = 13,
        APPLY_SETFIELD = 14,
        APPLY_SETFIELD_MISS = 15,
        EXPERIMENTER = 0xfffe,
        EXPERIMENTER_MISS = 0xffff,
    }
}

/// A property of a table (`struct ofp_table_feature_prop_header`); its bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFeatureProp {
    /// What it is about.
    pub kind: TableFeaturePropType,
    /// What follows the length, without padding.
    pub body: Bytes,
}

/// Bytes of type and length.
const HEADER: usize = 4;

const STRUCTURE: &str = "ofp_table_feature_prop_header";

impl Wire for TableFeatureProp {
    fn read(outer: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut r = outer.element(STRUCTURE, 2, HEADER, 1)?;
        let said = r.left();
        let kind = TableFeaturePropType::read(&mut r)?;
        r.skip(2)?;
        let body = r.remaining()?;
        outer.skip(padding_of(said))?;
        Ok(Self { kind, body })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        self.kind.write(w)?;
        w.u16(0);
        w.slice(&self.body);
        w.set_length(STRUCTURE, start.saturating_add(2), start)?;
        w.pad_to_8(start);
        Ok(())
    }
}

/// `OFP_MAX_TABLE_NAME_LEN`.
pub const TABLE_NAME_LEN: usize = 32;

wire_element! {
    /// What a table can do (`struct ofp_table_features`).
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

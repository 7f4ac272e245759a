//! Flow tables (sections 7.3.3 and 7.3.5.4): modification and counters.

use crate::number::TableId;

/// `OFPTC_DEPRECATED_MASK`: the bits that earlier versions had in a table's configuration
/// (section 7.3.3).
pub const TABLE_CONFIG_DEPRECATED: u32 = 3;

wire_struct! {
    /// OFPT_TABLE_MOD (section 7.3.3, `struct ofp_table_mod`).
    TableMod, "ofp_table_mod" {
        /// Which table, or `TableId::ALL`.
        table_id: TableId [pad 3],
        /// `OFPTC_*`, of which 1.3 keeps only deprecated bits.
        config: u32,
    }
}

wire_struct! {
    /// The counters of a table (section 7.3.5.4, `struct ofp_table_stats`).
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

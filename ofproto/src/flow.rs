//! Rules of a switch (sections 7.3.4.1, 7.3.5.2 and 7.4.2): modification, removal,
//! counters. What the specification calls a flow entry is a *rule* here.

use crate::instruction::Instruction;
use crate::number::{GroupId, NO_BUFFER, PortNo, TableId};
use crate::ofp_match::Match;

code_point! {
    /// What to do with a rule (section 7.3.4.1, `enum ofp_flow_mod_command`).
    FlowModCommand(u8), "OFPFC_" {
        ADD = 0,
        MODIFY = 1,
        MODIFY_STRICT = 2,
        DELETE = 3,
        DELETE_STRICT = 4,
    }
}

flag_word! {
    /// How a rule behaves (section 7.3.4.1, `enum ofp_flow_mod_flags`).
    FlowModFlags(u16), "OFPFF_" {
        SEND_FLOW_REM = 0,
        CHECK_OVERLAP = 1,
        RESET_COUNTS = 2,
        NO_PKT_COUNTS = 3,
        NO_BYT_COUNTS = 4,
    }
}

wire_struct! {
    /// OFPT_FLOW_MOD (section 7.3.4.1, `struct ofp_flow_mod`).
    FlowMod, "ofp_flow_mod" {
        /// Whose rule it is, for the controller.
        cookie: u64,
        /// For modify and delete: which bits of the cookie must be equal.
        cookie_mask: u64,
        /// The table.
        table_id: TableId,
        /// What to do.
        command: FlowModCommand,
        /// Seconds without a packet after which it goes; 0: never.
        idle_timeout: u16,
        /// Seconds after which it goes; 0: never.
        hard_timeout: u16,
        /// The higher one matches first.
        priority: u16,
        /// A buffered packet to send through it, or [`NO_BUFFER`].
        buffer_id: u32,
        /// For delete: only rules that send to this port, or `PortNo::ANY`.
        out_port: PortNo,
        /// For delete: only rules that hand to this group, or `GroupId::ANY`.
        out_group: GroupId,
        /// How it behaves.
        flags: FlowModFlags [pad 2],
        /// Which packets.
        matching: Match,
        /// What is done with them.
        instructions: Vec<Instruction>,
    }
}

impl FlowMod {
    /// A command on every rule of a table: no buffer, no restriction on port, group
    /// or cookie, priority 0, an empty match and no instructions.
    pub fn new(command: FlowModCommand, table_id: TableId) -> Self {
        Self {
            cookie: 0,
            cookie_mask: 0,
            table_id,
            command,
            idle_timeout: 0,
            hard_timeout: 0,
            priority: 0,
            buffer_id: NO_BUFFER,
            out_port: PortNo::ANY,
            out_group: GroupId::ANY,
            flags: FlowModFlags::NONE,
            matching: Match::new(),
            instructions: Vec::new(),
        }
    }
}

code_point! {
    /// Why a rule went (section 7.4.2, `enum ofp_flow_removed_reason`).
    FlowRemovedReason(u8), "OFPRR_" {
        IDLE_TIMEOUT = 0,
        HARD_TIMEOUT = 1,
        DELETE = 2,
        GROUP_DELETE = 3,
    }
}

wire_struct! {
    /// OFPT_FLOW_REMOVED (section 7.4.2, `struct ofp_flow_removed`).
    FlowRemoved, "ofp_flow_removed" {
        /// Whose rule it was.
        cookie: u64,
        /// Its priority.
        priority: u16,
        /// Why it went.
        reason: FlowRemovedReason,
        /// Its table.
        table_id: TableId,
        /// How long it lived, in whole seconds.
        duration_sec: u32,
        /// And the nanoseconds beyond them.
        duration_nsec: u32,
        /// Its idle timeout, in seconds.
        idle_timeout: u16,
        /// Its hard timeout, in seconds.
        hard_timeout: u16,
        /// Packets it matched.
        packet_count: u64,
        /// Bytes of them.
        byte_count: u64,
        /// Which packets.
        matching: Match,
    }
}

wire_struct! {
    /// Asks for rules, or for their sum (sections 7.3.5.2 and 7.3.5.3, `struct ofp_flow_stats_request` and
    /// `struct ofp_aggregate_stats_request`, which are alike).
    FlowStatsRequest, "ofp_flow_stats_request" {
        /// Of this table, or `TableId::ALL`.
        table_id: TableId [pad 3],
        /// That send to this port, or `PortNo::ANY`.
        out_port: PortNo,
        /// That hand to this group, or `GroupId::ANY`.
        out_group: GroupId [pad 4],
        /// With this cookie,
        cookie: u64,
        /// in these bits; 0: any.
        cookie_mask: u64,
        /// Whose match is this or more special.
        matching: Match,
    }
}

impl FlowStatsRequest {
    /// Asks for all rules of all tables.
    pub fn all() -> Self {
        Self {
            table_id: TableId::ALL,
            out_port: PortNo::ANY,
            out_group: GroupId::ANY,
            cookie: 0,
            cookie_mask: 0,
            matching: Match::new(),
        }
    }
}

wire_element! {
    /// A rule and its counters (section 7.3.5.2, `struct ofp_flow_stats`).
    FlowStats, "ofp_flow_stats" {
        [length at 0 least 56 multiple 8]
        /// Its table.
        table_id: TableId [pad 1],
        /// How long it has lived, in whole seconds.
        duration_sec: u32,
        /// And the nanoseconds beyond them.
        duration_nsec: u32,
        /// Its priority.
        priority: u16,
        /// Its idle timeout, in seconds.
        idle_timeout: u16,
        /// Its hard timeout, in seconds.
        hard_timeout: u16,
        /// How it behaves.
        flags: FlowModFlags [pad 4],
        /// Whose rule it is.
        cookie: u64,
        /// Packets it matched.
        packet_count: u64,
        /// Bytes of them.
        byte_count: u64,
        /// Which packets.
        matching: Match,
        /// What is done with them.
        instructions: Vec<Instruction>,
    }
}

wire_struct! {
    /// The sum of rules (section 7.3.5.3, `struct ofp_aggregate_stats_reply`).
    AggregateStats, "ofp_aggregate_stats_reply" {
        /// Packets they matched.
        packet_count: u64,
        /// Bytes of them.
        byte_count: u64,
        /// How many rules.
        flow_count: u32 [pad 4],
    }
}

//! Groups (sections 7.3.4.2 and 7.3.5.9 to 7.3.5.11).

use crate::action::Action;
use crate::number::{GroupId, PortNo};

code_point! {
    /// What to do with a group (section 7.3.4.2, `enum ofp_group_mod_command`).
    GroupModCommand(u16), "OFPGC_" {
        ADD = 0,
        MODIFY = 1,
        DELETE = 2,
    }
}

code_point! {
    /// How a group uses its buckets (section 7.3.4.2, `enum ofp_group_type`).
    GroupType(u8), "OFPGT_" {
        ALL = 0,
        SELECT = 1,
        INDIRECT = 2,
        FF = 3,
    }
}

wire_element! {
    /// One of the things a group does with a packet (section 7.3.4.2, `struct ofp_bucket`).
    Bucket, "ofp_bucket" {
        [length at 0 least 16 multiple 8]
        /// Its share, in a select group.
        weight: u16,
        /// The port it lives and dies with, in a fast failover group.
        watch_port: PortNo,
        /// The group it lives and dies with.
        watch_group: GroupId [pad 4],
        /// What it does.
        actions: Vec<Action>,
    }
}

impl Bucket {
    /// A bucket of an all or indirect group.
    pub fn new(actions: Vec<Action>) -> Self {
        Self {
            weight: 0,
            watch_port: PortNo::ANY,
            watch_group: GroupId::ANY,
            actions,
        }
    }
}

wire_struct! {
    /// OFPT_GROUP_MOD (section 7.3.4.2, `struct ofp_group_mod`).
    GroupMod, "ofp_group_mod" {
        /// What to do.
        command: GroupModCommand,
        /// How it uses its buckets.
        kind: GroupType [pad 1],
        /// Which group.
        group_id: GroupId,
        /// Its buckets.
        buckets: Vec<Bucket>,
    }
}

wire_struct! {
    /// Asks for the counters of a group (section 7.3.5.9, `struct ofp_group_stats_request`).
    GroupStatsRequest, "ofp_group_stats_request" {
        /// Which group; `GroupId::ALL` for all.
        group_id: GroupId [pad 4],
    }
}

wire_struct! {
    /// The counters of a bucket (section 7.3.5.9, `struct ofp_bucket_counter`).
    BucketCounter, "ofp_bucket_counter" {
        /// Packets it handled.
        packet_count: u64,
        /// Bytes of them.
        byte_count: u64,
    }
}

wire_element! {
    /// The counters of a group (section 7.3.5.9, `struct ofp_group_stats`).
    GroupStats, "ofp_group_stats" {
        [length at 0 least 40 multiple 8 pad 2]
        /// Which group.
        group_id: GroupId,
        /// Rules and groups that hand to it.
        ref_count: u32 [pad 4],
        /// Packets it handled.
        packet_count: u64,
        /// Bytes of them.
        byte_count: u64,
        /// How long it has lived, in whole seconds.
        duration_sec: u32,
        /// And the nanoseconds beyond them.
        duration_nsec: u32,
        /// Its buckets' counters.
        bucket_stats: Vec<BucketCounter>,
    }
}

wire_element! {
    /// A group as it is (section 7.3.5.10, `struct ofp_group_desc`).
    GroupDesc, "ofp_group_desc" {
        [length at 0 least 8 multiple 8]
        /// How it uses its buckets.
        kind: GroupType [pad 1],
        /// Which group.
        group_id: GroupId,
        /// Its buckets.
        buckets: Vec<Bucket>,
    }
}

flag_word! {
    /// What groups can do (section 7.3.5.11, `enum ofp_group_capabilities`).
    GroupCapabilities(u32), "OFPGFC_" {
        SELECT_WEIGHT = 0,
        SELECT_LIVENESS = 1,
        CHAINING = 2,
        CHAINING_CHECKS = 3,
    }
}

flag_word! {
    /// Types of groups: bits numbered by `enum ofp_group_type` (section 7.3.5.11).
    GroupTypes(u32), "OFPGT_" {
        ALL = 0,
        SELECT = 1,
        INDIRECT = 2,
        FF = 3,
    }
}

flag_word! {
    /// Types of actions: bits numbered by `enum ofp_action_type` (section 7.3.5.11).
    ActionTypes(u32), "OFPAT_" {
        OUTPUT = 0,
        COPY_TTL_OUT = 11,
        COPY_TTL_IN = 12,
        SET_MPLS_TTL = 15,
        DEC_MPLS_TTL = 16,
        PUSH_VLAN = 17,
        POP_VLAN = 18,
        PUSH_MPLS = 19,
        POP_MPLS = 20,
        SET_QUEUE = 21,
        GROUP = 22,
        SET_NW_TTL = 23,
        DEC_NW_TTL = 24,
        SET_FIELD = 25,
        PUSH_PBB = 26,
        POP_PBB = 27,
    }
}

wire_struct! {
    /// What groups the switch can have (section 7.3.5.11, `struct ofp_group_features`). The four of each
    /// array are for the group types 0 to 3.
    GroupFeatures, "ofp_group_features" {
        /// Their types.
        types: GroupTypes,
        /// What they can do.
        capabilities: GroupCapabilities,
        /// How many there can be of each type.
        max_groups: [u32; 4],
        /// What actions they can have.
        actions: [ActionTypes; 4],
    }
}

//! Role and asynchronous configuration (sections 7.3.9 and 7.3.10).

code_point! {
    /// What a controller may do (section 7.3.9, `enum ofp_controller_role`).
    ControllerRole(u32), "OFPCR_ROLE_" {
        NOCHANGE = 0,
        EQUAL = 1,
        MASTER = 2,
        SLAVE = 3,
    }
}

wire_struct! {
    /// OFPT_ROLE_REQUEST and OFPT_ROLE_REPLY (section 7.3.9, `struct ofp_role_request`).
    RoleMsg, "ofp_role_request" {
        /// The role that is asked for, or that the connection has.
        role: ControllerRole [pad 4],
        /// Which election it comes from; all ones in a reply: there was none yet.
        generation_id: u64,
    }
}

flag_word! {
    /// For which reasons packets are sent to the controller: bits numbered by
    /// `enum ofp_packet_in_reason` (section 7.3.10).
    PacketInReasons(u32), "OFPR_" {
        NO_MATCH = 0,
        ACTION = 1,
        INVALID_TTL = 2,
    }
}

flag_word! {
    /// For which reasons changes of ports are told: bits numbered by `enum ofp_port_reason` (section 7.3.10).
    PortReasons(u32), "OFPPR_" {
        ADD = 0,
        DELETE = 1,
        MODIFY = 2,
    }
}

flag_word! {
    /// For which reasons the end of rules is told: bits numbered by
    /// `enum ofp_flow_removed_reason` (section 7.3.10).
    FlowRemovedReasons(u32), "OFPRR_" {
        IDLE_TIMEOUT = 0,
        HARD_TIMEOUT = 1,
        DELETE = 2,
        GROUP_DELETE = 3,
    }
}

wire_struct! {
    /// OFPT_GET_ASYNC_REPLY and OFPT_SET_ASYNC (section 7.3.10, `struct ofp_async_config`). The first
    /// of each pair is for a master or equal, the second for a slave.
    AsyncConfig, "ofp_async_config" {
        /// Packets to the controller.
        packet_in_mask: [PacketInReasons; 2],
        /// Changes of ports.
        port_status_mask: [PortReasons; 2],
        /// Rules that ended.
        flow_removed_mask: [FlowRemovedReasons; 2],
    }
}

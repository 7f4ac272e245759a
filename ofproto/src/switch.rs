//! What a switch is and how it is configured (sections 7.3.1 and 7.3.2).

flag_word! {
    /// What a switch can do (section 7.3.1, `enum ofp_capabilities`).
    Capabilities(u32), "OFPC_" {
        FLOW_STATS = 0,
        TABLE_STATS = 1,
        PORT_STATS = 2,
        GROUP_STATS = 3,
        IP_REASM = 5,
        QUEUE_STATS = 6,
        PORT_BLOCKED = 8,
    }
}

wire_struct! {
    /// OFPT_FEATURES_REPLY (section 7.3.1, `struct ofp_switch_features`).
    FeaturesReply, "ofp_switch_features" {
        /// Which switch this is.
        datapath_id: u64,
        /// Packets it can buffer.
        n_buffers: u32,
        /// Flow tables it has.
        n_tables: u8,
        /// 0 for the main connection.
        auxiliary_id: u8 [pad 2],
        /// What it can do.
        capabilities: Capabilities,
        /// Reserved, kept.
        reserved: u32,
    }
}

flag_word! {
    /// What a switch does with IP fragments (section 7.3.2, `enum ofp_config_flags`); none set is
    /// OFPC_FRAG_NORMAL.
    ConfigFlags(u16), "OFPC_FRAG_" {
        DROP = 0,
        REASM = 1,
    }
}

wire_struct! {
    /// OFPT_GET_CONFIG_REPLY and OFPT_SET_CONFIG (section 7.3.2, `struct ofp_switch_config`).
    SwitchConfig, "ofp_switch_config" {
        /// IP fragments.
        flags: ConfigFlags,
        /// Bytes of a packet without a matching rule that go to the controller.
        miss_send_len: u16,
    }
}

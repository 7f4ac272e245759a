//! Ports (section 7.2.1): description, status, modification, counters.

use crate::number::PortNo;
use crate::text::{FixedText, MacAddr};

flag_word! {
    /// What the operator set (section 7.2.1, `enum ofp_port_config`).
    PortConfig(u32), "OFPPC_" {
        PORT_DOWN = 0,
        NO_RECV = 2,
        NO_FWD = 5,
        NO_PACKET_IN = 6,
    }
}

flag_word! {
    /// What the switch sees (section 7.2.1, `enum ofp_port_state`).
    PortState(u32), "OFPPS_" {
        LINK_DOWN = 0,
        BLOCKED = 1,
        LIVE = 2,
    }
}

flag_word! {
    /// What a port can do (section 7.2.1, `enum ofp_port_features`).
    PortFeatures(u32), "OFPPF_" {
        MB10_HD = 0 as "OFPPF_10MB_HD",
        MB10_FD = 1 as "OFPPF_10MB_FD",
        MB100_HD = 2 as "OFPPF_100MB_HD",
        MB100_FD = 3 as "OFPPF_100MB_FD",
        GB1_HD = 4 as "OFPPF_1GB_HD",
        GB1_FD = 5 as "OFPPF_1GB_FD",
        GB10_FD = 6 as "OFPPF_10GB_FD",
        GB40_FD = 7 as "OFPPF_40GB_FD",
        GB100_FD = 8 as "OFPPF_100GB_FD",
        TB1_FD = 9 as "OFPPF_1TB_FD",
        OTHER = 10,
        COPPER = 11,
        FIBER = 12,
        AUTONEG = 13,
        PAUSE = 14,
        PAUSE_ASYM = 15,
    }
}

/// `OFP_MAX_PORT_NAME_LEN` (section 7.2.1).
pub const PORT_NAME_LEN: usize = 16;

wire_struct! {
    /// A port (section 7.2.1, `struct ofp_port`).
    Port, "ofp_port" {
        /// Its number.
        port_no: PortNo [pad 4],
        /// Its Ethernet address.
        hw_addr: MacAddr [pad 2],
        /// Its name.
        name: FixedText<PORT_NAME_LEN>,
        /// What the operator set.
        config: PortConfig,
        /// What the switch sees.
        state: PortState,
        /// What it does now.
        curr: PortFeatures,
        /// What it tells the other end.
        advertised: PortFeatures,
        /// What it could do.
        supported: PortFeatures,
        /// What the other end tells.
        peer: PortFeatures,
        /// Speed now, in kbit/s.
        curr_speed: u32,
        /// Speed possible, in kbit/s.
        max_speed: u32,
    }
}

impl Port {
    /// Whether a packet could pass: neither the operator nor the cable says no.
    pub fn is_up(&self) -> bool {
        !self.config.contains(PortConfig::PORT_DOWN) && !self.state.contains(PortState::LINK_DOWN)
    }
}

code_point! {
    /// What happened to a port (section 7.4.3, `enum ofp_port_reason`).
    PortReason(u8), "OFPPR_" {
        ADD = 0,
        DELETE = 1,
        MODIFY = 2,
    }
}

wire_struct! {
    /// OFPT_PORT_STATUS (section 7.4.3, `struct ofp_port_status`).
    PortStatus, "ofp_port_status" {
        /// What happened.
        reason: PortReason [pad 7],
        /// The port as it is now (as it was, when it is gone).
        desc: Port,
    }
}

wire_struct! {
    /// OFPT_PORT_MOD (section 7.3.4.3, `struct ofp_port_mod`).
    PortMod, "ofp_port_mod" {
        /// Which port.
        port_no: PortNo [pad 4],
        /// Its Ethernet address, as a check.
        hw_addr: MacAddr [pad 2],
        /// The new settings.
        config: PortConfig,
        /// Which of them to change.
        mask: PortConfig,
        /// What to tell the other end; none: no change.
        advertise: PortFeatures [pad 4],
    }
}

wire_struct! {
    /// Asks for the counters of a port (section 7.3.5.6, `struct ofp_port_stats_request`).
    PortStatsRequest, "ofp_port_stats_request" {
        /// Which port; `PortNo::ANY` for all.
        port_no: PortNo [pad 4],
    }
}

wire_struct! {
    /// The counters of a port (section 7.3.5.6, `struct ofp_port_stats`). All ones: not counted.
    PortStats, "ofp_port_stats" {
        /// Which port.
        port_no: PortNo [pad 4],
        /// Packets received.
        rx_packets: u64,
        /// Packets sent.
        tx_packets: u64,
        /// Bytes received.
        rx_bytes: u64,
        /// Bytes sent.
        tx_bytes: u64,
        /// Packets dropped when received.
        rx_dropped: u64,
        /// Packets dropped when sent.
        tx_dropped: u64,
        /// Receive errors of all kinds.
        rx_errors: u64,
        /// Send errors of all kinds.
        tx_errors: u64,
        /// Frame alignment errors.
        rx_frame_err: u64,
        /// Packets that overran the receiver.
        rx_over_err: u64,
        /// Checksum errors.
        rx_crc_err: u64,
        /// Collisions.
        collisions: u64,
        /// How long the port has been alive, in whole seconds.
        duration_sec: u32,
        /// And the nanoseconds beyond them.
        duration_nsec: u32,
    }
}

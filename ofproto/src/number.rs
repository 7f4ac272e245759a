//! Numbers of things in a switch: ports, groups, meters, tables.

code_point! {
    /// A port number (section 7.2.1, `enum ofp_port_no`).
    PortNo(u32), "OFPP_" {
        IN_PORT = 0xffff_fff8,
        TABLE = 0xffff_fff9,
        NORMAL = 0xffff_fffa,
        FLOOD = 0xffff_fffb,
        ALL = 0xffff_fffc,
        CONTROLLER = 0xffff_fffd,
        LOCAL = 0xffff_fffe,
        ANY = 0xffff_ffff,
    }
}

impl PortNo {
    /// `OFPP_MAX`: the largest number a physical or logical port can have. A limit
    /// and not a place, so it has no name when printed.
    pub const MAX: PortNo = PortNo(0xffff_ff00);
}

code_point! {
    /// A group (section 7.3.4.2, `enum ofp_group`).
    GroupId(u32), "OFPG_" {
        ALL = 0xffff_fffc,
        ANY = 0xffff_ffff,
    }
}

impl GroupId {
    /// `OFPG_MAX`: the largest number a group can have.
    pub const MAX: GroupId = GroupId(0xffff_ff00);
}

code_point! {
    /// A meter (section 7.3.4.4, `enum ofp_meter`).
    MeterId(u32), "OFPM_" {
        SLOWPATH = 0xffff_fffd,
        CONTROLLER = 0xffff_fffe,
        ALL = 0xffff_ffff,
    }
}

impl MeterId {
    /// `OFPM_MAX`: the largest number a meter can have.
    pub const MAX: MeterId = MeterId(0xffff_0000);
}

code_point! {
    /// A flow table (section 7.3.4.1, `enum ofp_table`).
    TableId(u8), "OFPTT_" {
        ALL = 0xff,
    }
}

impl TableId {
    /// `OFPTT_MAX`: the largest number a table can have.
    pub const MAX: TableId = TableId(0xfe);
}

code_point! {
    /// A queue of a port (section 7.2.2).
    QueueId(u32), "OFPQ_" {
        ALL = 0xffff_ffff,
    }
}

code_point! {
    /// Who defined an extension (section 7.5.4): an OUI, or a number given out by the ONF.
    ExperimenterId(u32), "" {
        ONF = 0x4f4e_4600 as "ONF_EXPERIMENTER_ID",
        NICIRA = 0x0000_2320 as "NX_VENDOR_ID",
        NSH = 0x005a_d650 as "NX_NSH_VENDOR_ID",
    }
}

/// `OFP_NO_BUFFER`: the packet is not buffered in the switch (section 7.4.1).
pub const NO_BUFFER: u32 = 0xffff_ffff;

/// `OFPCML_NO_BUFFER`: send the whole packet to the controller and buffer nothing (section 7.2.5).
pub const CONTROLLER_MAX_LEN_NO_BUFFER: u16 = 0xffff;

/// `OFPCML_MAX`: the most bytes of a packet that can be asked for by number (section 7.2.5).
pub const CONTROLLER_MAX_LEN_MAX: u16 = 0xffe5;

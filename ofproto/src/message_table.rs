//! The types of messages as a table: number, name, who sends it, structure, how long that is,
//! and where the specification has it.

use crate::header::{VERSION_1_3, VERSION_1_4};
use crate::kind_table::StructureLength;

/// Who sends a message (section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The controller.
    ToSwitch,
    /// The switch.
    ToController,
    /// Either.
    Both,
}

/// One type of message (section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Which.
    pub kind: MessageType,
    /// Its name in openflow.h.
    pub name: &'static str,
    /// The version that has it; hello and error are in all.
    pub version: u8,
    /// Who sends it.
    pub direction: Direction,
    /// Its structure in openflow.h.
    pub structure: &'static str,
    /// How long that is, the header included.
    pub length: StructureLength,
    /// Its section in OpenFlow 1.3.5; empty for what is only in 1.4.
    pub section: &'static str,
}

macro_rules! message_table {
    (
        $(#[$doc:meta])*
        $name:ident($int:ty), $prefix:literal {
            $($constant:ident = $value:literal $version:ident $direction:ident
                $structure:literal $rule:ident $length:literal $section:literal;)*
        }
    ) => {
        code_point! {
            $(#[$doc])*
            $name($int), $prefix {
                $($constant = $value,)*
            }
        }

        /// Every type of message that is read (section 7.1.1), in the order of their numbers.
        pub const MESSAGE_TABLE: &[MessageRow] = &[
            $(MessageRow {
                kind: $name::$constant,
                name: concat!($prefix, stringify!($constant)),
                version: $version,
                direction: Direction::$direction,
                structure: $structure,
                length: StructureLength::$rule($length),
                section: $section,
            },)*
        ];
    };
}

message_table! {
    /// What a message is (section 7.1.1, `enum ofp_type`); the last two only in OpenFlow 1.4.
    MessageType(u8), "OFPT_" {
        HELLO = 0 VERSION_1_3 Both "ofp_hello" AtLeast 8 "7.5.1";
        ERROR = 1 VERSION_1_3 Both "ofp_error_msg" AtLeast 12 "7.4.4";
        ECHO_REQUEST = 2 VERSION_1_3 Both "ofp_header" AtLeast 8 "7.5.2";
        ECHO_REPLY = 3 VERSION_1_3 Both "ofp_header" AtLeast 8 "7.5.3";
        EXPERIMENTER = 4 VERSION_1_3 Both "ofp_experimenter_header" AtLeast 16 "7.5.4";
        FEATURES_REQUEST = 5 VERSION_1_3 ToSwitch "ofp_header" Exactly 8 "7.3.1";
        FEATURES_REPLY = 6 VERSION_1_3 ToController "ofp_switch_features" Exactly 32 "7.3.1";
        GET_CONFIG_REQUEST = 7 VERSION_1_3 ToSwitch "ofp_header" Exactly 8 "7.3.2";
        GET_CONFIG_REPLY = 8 VERSION_1_3 ToController "ofp_switch_config" Exactly 12 "7.3.2";
        SET_CONFIG = 9 VERSION_1_3 ToSwitch "ofp_switch_config" Exactly 12 "7.3.2";
        PACKET_IN = 10 VERSION_1_3 ToController "ofp_packet_in" AtLeast 34 "7.4.1";
        FLOW_REMOVED = 11 VERSION_1_3 ToController "ofp_flow_removed" AtLeast 56 "7.4.2";
        PORT_STATUS = 12 VERSION_1_3 ToController "ofp_port_status" Exactly 80 "7.4.3";
        PACKET_OUT = 13 VERSION_1_3 ToSwitch "ofp_packet_out" AtLeast 24 "7.3.7";
        FLOW_MOD = 14 VERSION_1_3 ToSwitch "ofp_flow_mod" AtLeast 56 "7.3.4.1";
        GROUP_MOD = 15 VERSION_1_3 ToSwitch "ofp_group_mod" AtLeast 16 "7.3.4.2";
        PORT_MOD = 16 VERSION_1_3 ToSwitch "ofp_port_mod" Exactly 40 "7.3.4.3";
        TABLE_MOD = 17 VERSION_1_3 ToSwitch "ofp_table_mod" Exactly 16 "7.3.3";
        MULTIPART_REQUEST = 18 VERSION_1_3 ToSwitch "ofp_multipart_request" AtLeast 16 "7.3.5";
        MULTIPART_REPLY = 19 VERSION_1_3 ToController "ofp_multipart_reply" AtLeast 16 "7.3.5";
        BARRIER_REQUEST = 20 VERSION_1_3 ToSwitch "ofp_header" Exactly 8 "7.3.8";
        BARRIER_REPLY = 21 VERSION_1_3 ToController "ofp_header" Exactly 8 "7.3.8";
        QUEUE_GET_CONFIG_REQUEST = 22 VERSION_1_3 ToSwitch "ofp_queue_get_config_request" Exactly 16 "7.3.6";
        QUEUE_GET_CONFIG_REPLY = 23 VERSION_1_3 ToController "ofp_queue_get_config_reply" AtLeast 16 "7.3.6";
        ROLE_REQUEST = 24 VERSION_1_3 ToSwitch "ofp_role_request" Exactly 24 "7.3.9";
        ROLE_REPLY = 25 VERSION_1_3 ToController "ofp_role_request" Exactly 24 "7.3.9";
        GET_ASYNC_REQUEST = 26 VERSION_1_3 ToSwitch "ofp_header" Exactly 8 "7.3.10";
        GET_ASYNC_REPLY = 27 VERSION_1_3 ToController "ofp_async_config" Exactly 32 "7.3.10";
        SET_ASYNC = 28 VERSION_1_3 ToSwitch "ofp_async_config" Exactly 32 "7.3.10";
        METER_MOD = 29 VERSION_1_3 ToSwitch "ofp_meter_mod" AtLeast 16 "7.3.4.4";
        BUNDLE_CONTROL = 33 VERSION_1_4 Both "ofp_bundle_ctrl_msg" AtLeast 16 "";
        BUNDLE_ADD_MESSAGE = 34 VERSION_1_4 ToSwitch "ofp_bundle_add_msg" AtLeast 24 "";
    }
}

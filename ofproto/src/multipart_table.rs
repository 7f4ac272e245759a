//! The types of multipart messages as a table: number, name, what the body of the request and
//! of the reply is, how long that is, and where the specification has it.

use crate::kind_table::StructureLength;

/// What the body of a multipart message is (section 7.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultipartContent {
    /// Nothing.
    Empty,
    /// One structure of openflow.h, so long.
    One(&'static str, StructureLength),
    /// Any number of this structure, each so long.
    Each(&'static str, StructureLength),
}

/// One type of multipart message (section 7.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultipartRow {
    /// Which.
    pub kind: MultipartType,
    /// Its name in openflow.h.
    pub name: &'static str,
    /// What follows the header of the request.
    pub request: MultipartContent,
    /// What follows the header of the reply.
    pub reply: MultipartContent,
    /// Its section in OpenFlow 1.3.5.
    pub section: &'static str,
}

macro_rules! multipart_table {
    (
        $(#[$doc:meta])*
        $name:ident($int:ty), $prefix:literal {
            $($constant:ident = $value:literal $section:literal
                asks $request:ident $(($($request_part:tt)*))?,
                answers $reply:ident $(($($reply_part:tt)*))?;)*
        }
    ) => {
        code_point! {
            $(#[$doc])*
            $name($int), $prefix {
                $($constant = $value,)*
            }
        }

        /// Every type of multipart message (section 7.3.5), in the order of their numbers. The
        /// bodies are read by their types; a test holds them against this table.
        pub const MULTIPART_TABLE: &[MultipartRow] = &[
            $(MultipartRow {
                kind: $name::$constant,
                name: concat!($prefix, stringify!($constant)),
                request: multipart_table!(@content $request $($($request_part)*)?),
                reply: multipart_table!(@content $reply $($($reply_part)*)?),
                section: $section,
            },)*
        ];
    };
    (@content Empty) => { MultipartContent::Empty };
    (@content $count:ident $structure:literal $rule:ident $length:literal) => {
        MultipartContent::$count($structure, StructureLength::$rule($length))
    };
}

multipart_table! {
    /// What is asked and answered (section 7.3.5, `enum ofp_multipart_type`).
    MultipartType(u16), "OFPMP_" {
        DESC = 0 "7.3.5.1"
            asks Empty,
            answers One("ofp_desc" Exactly 1056);
        FLOW = 1 "7.3.5.2"
            asks One("ofp_flow_stats_request" AtLeast 40),
            answers Each("ofp_flow_stats" AtLeast 56);
        AGGREGATE = 2 "7.3.5.3"
            asks One("ofp_aggregate_stats_request" AtLeast 40),
            answers One("ofp_aggregate_stats_reply" Exactly 24);
        TABLE = 3 "7.3.5.4"
            asks Empty,
            answers Each("ofp_table_stats" Exactly 24);
        PORT_STATS = 4 "7.3.5.6"
            asks One("ofp_port_stats_request" Exactly 8),
            answers Each("ofp_port_stats" Exactly 112);
        QUEUE = 5 "7.3.5.8"
            asks One("ofp_queue_stats_request" Exactly 8),
            answers Each("ofp_queue_stats" Exactly 40);
        GROUP = 6 "7.3.5.9"
            asks One("ofp_group_stats_request" Exactly 8),
            answers Each("ofp_group_stats" AtLeast 40);
        GROUP_DESC = 7 "7.3.5.10"
            asks Empty,
            answers Each("ofp_group_desc" AtLeast 8);
        GROUP_FEATURES = 8 "7.3.5.11"
            asks Empty,
            answers One("ofp_group_features" Exactly 40);
        METER = 9 "7.3.5.12"
            asks One("ofp_meter_multipart_request" Exactly 8),
            answers Each("ofp_meter_stats" AtLeast 40);
        METER_CONFIG = 10 "7.3.5.13"
            asks One("ofp_meter_multipart_request" Exactly 8),
            answers Each("ofp_meter_config" AtLeast 8);
        METER_FEATURES = 11 "7.3.5.14"
            asks Empty,
            answers One("ofp_meter_features" Exactly 16);
        TABLE_FEATURES = 12 "7.3.5.5"
            asks Each("ofp_table_features" AtLeast 64),
            answers Each("ofp_table_features" AtLeast 64);
        PORT_DESC = 13 "7.3.5.7"
            asks Empty,
            answers Each("ofp_port" Exactly 64);
        EXPERIMENTER = 0xffff "7.3.5.15"
            asks One("ofp_experimenter_multipart_header" AtLeast 8),
            answers One("ofp_experimenter_multipart_header" AtLeast 8);
    }
}

//! OpenFlow 1.3 wire codec on nom and bytes.
//!
//! [`Framer`] cuts a stream into whole frames, [`Message::decode`] reads one and
//! [`Message::encode`] writes one. Payloads are slices of the frame. Code points are
//! numbers with names, and what is unknown is kept as it came. Two laws hold:
//! decoding what was encoded gives the same value; encoding what was decoded gives
//! the same bytes when padding is zero.
//!
//! The decoder judges structure only: lengths, counts, alignment and the widths of
//! known fields. It does not judge what a switch would refuse (a reserved port, a
//! match without its prerequisite), it knows no time and it opens nothing.
//!
//! ```
//! use bytes::BytesMut;
//! use ofproto::{Body, Framer, Hello, Message};
//!
//! let hello = Message::new(1, Body::Hello(Hello::with_versions(&[4])));
//! let mut wire = BytesMut::new();
//! hello.encode(&mut wire)?;
//!
//! let mut framer = Framer::new();
//! framer.push(&wire);
//! let frame = framer.next_frame()?.expect("the whole message was pushed");
//! assert_eq!(Message::decode(&frame)?, hello);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
// A peer can send anything, so nothing here may panic, wrap or be cut, and clippy sees to
// it. What is guaranteed by ourselves is an `expect` that says how.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::get_unwrap,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::panic_in_result_fn,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_in_result,
    clippy::unwrap_used
)]

#[macro_use]
mod code_point;
#[macro_use]
mod structure;

mod action;
mod display;
mod error;
mod error_msg;
mod experimenter;
mod flow;
mod framer;
mod group;
mod header;
mod hello;
mod instruction;
#[cfg(feature = "json")]
pub mod json;
mod message;
mod meter;
mod multipart;
mod number;
mod nxm_table;
mod ofp_match;
mod oxm;
mod oxm_table;
mod packet;
mod port;
mod queue;
mod reader;
mod reassembly;
mod role;
mod short_bytes;
mod subfield;
mod switch;
mod table;
mod table_features;
mod text;
mod validate;
mod wire;
mod writer;

pub use action::{Action, ActionType};
pub use display::LINE_MAX;
pub use error::{DecodeCause, DecodeError, EncodeCause, EncodeError, Malformed};
pub use error_msg::{
    BadActionCode, BadInstructionCode, BadMatchCode, BadRequestCode, ErrorMsg, ErrorType, FlowModFailedCode,
    GroupModFailedCode, HelloFailedCode, MeterModFailedCode, PortModFailedCode, QueueOpFailedCode,
    RoleRequestFailedCode, SwitchConfigFailedCode, TableFeaturesFailedCode, TableModFailedCode,
};
pub use experimenter::{Experimenter, RoleReason, RoleStatus};
pub use flow::{
    AggregateStats, FlowMod, FlowModCommand, FlowModFlags, FlowRemoved, FlowRemovedReason, FlowStats, FlowStatsRequest,
};
pub use framer::{FrameError, Framer};
pub use group::{
    ActionTypes, Bucket, BucketCounter, GroupCapabilities, GroupDesc, GroupFeatures, GroupMod, GroupModCommand,
    GroupStats, GroupStatsRequest, GroupType, GroupTypes,
};
pub use header::{HEADER_LEN, Header, MessageType, VERSION_1_3};
pub use hello::{Hello, HelloElement, HelloElementType};
pub use instruction::{Instruction, InstructionType};
pub use message::{Body, Message};
pub use meter::{
    MeterBand, MeterBandStats, MeterBandType, MeterBandTypes, MeterCapabilities, MeterConfig, MeterFeatures,
    MeterFlags, MeterMod, MeterModCommand, MeterRequest, MeterStats,
};
pub use multipart::{
    DESC_LEN, Desc, ExperimenterMultipart, MultipartReply, MultipartReplyBody, MultipartReplyFlags, MultipartRequest,
    MultipartRequestBody, MultipartRequestFlags, MultipartType, SERIAL_LEN,
};
pub use number::{CONTROLLER_MAX_LEN_NO_BUFFER, ExperimenterId, GroupId, MeterId, NO_BUFFER, PortNo, QueueId, TableId};
pub use nxm_table::{NSH_OXM_TABLE, NX_OXM_TABLE, NXM_0_TABLE, NXM_1_TABLE, ONF_OXM_TABLE, PACKET_REGS_TABLE};
pub use ofp_match::{Match, MatchIter, MatchType};
pub use oxm::{Oxm, OxmClass, OxmField, VLAN_NONE, VLAN_PRESENT};
pub use oxm_table::{OXM_TABLE, OxmKind, OxmPrerequisite, OxmRow};
pub use packet::{PacketIn, PacketInReason, PacketOut};
pub use port::{
    PORT_NAME_LEN, Port, PortConfig, PortFeatures, PortMod, PortReason, PortState, PortStats, PortStatsRequest,
    PortStatus,
};
pub use queue::{
    PacketQueue, QueueGetConfigReply, QueueGetConfigRequest, QueueProp, QueuePropType, QueueStats, QueueStatsRequest,
};
pub use reassembly::{Reassembly, ReassemblyError, ReassemblyLimits};
pub use role::{AsyncConfig, ControllerRole, FlowRemovedReasons, PacketInReasons, PortReasons, RoleMsg};
pub use subfield::{FieldCopy, FieldLoad, NiciraActionType, ONF_COPY_FIELD, OfsNBits};
pub use switch::{Capabilities, ConfigFlags, FeaturesReply, SwitchConfig};
pub use table::{TableMod, TableStats};
pub use table_features::{
    ActionId, InstructionId, OxmId, TABLE_NAME_LEN, TableFeatureBody, TableFeatureProp, TableFeaturePropType,
    TableFeatures,
};
pub use text::{FixedText, MacAddr, NotAMacAddr};
pub use validate::{Refusal, RefusalCause};

//! OpenFlow 1.3.5 on the wire: bytes to values and values to bytes, on nom and bytes.
//!
//! * [`Framer`] cuts the stream of a connection into whole frames.
//! * [`Message::decode`] reads one frame, [`Message::encode`] writes one message.
//! * [`Reassembly`] joins the parts of a multipart reply.
//! * [`Message`] prints in one line ([`Display`](Message#impl-Display-for-Message)), in the words of
//!   `ovs-ofctl`; module `json` is the form that can be read back.
//! * [`Message::validate`] says what a switch would refuse.
//!
//! It is no switch and no controller: it opens no sockets, starts no tasks, knows no time,
//! keeps no state of a connection and decides nothing. It needs no runtime.
//!
//! # What holds
//!
//! * **Any bytes.** Nothing a peer sends makes it panic, loop or take more memory than the frame
//!   allows. A length that lies is an error with structure and offset, never a guess.
//! * **Two laws.** Decoding what was encoded gives the same value. Encoding what was decoded
//!   gives the same bytes when padding is zero: order, duplicates, unknown types, fields of
//!   experimenters and reserved bits are kept as they came.
//! * **Structure, not sense.** The decoder judges lengths, counts, alignment and the widths of
//!   known fields. A reserved port, a match without its prerequisite or an unknown action
//!   decodes; `validate` reports it with the OFPT_ERROR that a switch would answer.
//! * **Numbers with names.** A code point is a number (`ActionType(0x4242)`) of which some have names
//!   (`ActionType::OUTPUT`), so a value from a later version survives being read and written.
//! * **No copies.** Payloads are slices of the frame they came in. What is kept long after its
//!   frame should be detached ([`Match::detached`]).
//!
//! # A switch's handshake, from bytes
//!
//! The controller's side: a stream comes in pieces that know nothing of messages, each frame is
//! read, and what is to be said next is written. Reading and writing sockets is left to the caller.
//!
//! ```
//! use bytes::BytesMut;
//! use ofproto::{Body, ControllerRole, Framer, Hello, Message, RoleMsg, VERSION_1_3};
//!
//! /// What the controller says next; nothing when the handshake is over.
//! fn next(heard: &Message) -> Option<Message> {
//!     let (xid, body) = match &heard.body {
//!         // Versions 1.0 and 1.3 in the bitmap: both sides speak 1.3.
//!         Body::Hello(hello) if hello.offers(heard.version, VERSION_1_3) => (2, Body::FeaturesRequest),
//!         Body::FeaturesReply(_) => {
//!             let role = ControllerRole::MASTER;
//!             (3, Body::RoleRequest(RoleMsg { role, generation_id: 7 }))
//!         }
//!         Body::RoleReply(granted) if granted.role == ControllerRole::MASTER => (4, Body::BarrierRequest),
//!         _ => return None,
//!     };
//!     Some(Message::new(xid, body))
//! }
//!
//! // What the switch sends, in one piece here; the frames are below.
//! let mut stream: Vec<u8> = Vec::new();
//! # fn bytes(line: &str) -> impl Iterator<Item = u8> + '_ {
//! #     line.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"))
//! # }
//! stream.extend(bytes("04 00 00 10 00 00 00 01  00 01 00 08 00 00 00 12")); // HELLO: element, bitmap
//! stream.extend(bytes("04 06 00 20 00 00 00 02  00 00 11 22 33 44 55 66")); // FEATURES_REPLY: dpid
//! stream.extend(bytes("00 00 01 00 fe 00 00 00  00 00 00 4f 00 00 00 00")); //   buffers, tables, ..
//! stream.extend(bytes("04 19 00 18 00 00 00 03  00 00 00 02 00 00 00 00")); // ROLE_REPLY: master
//! stream.extend(bytes("00 00 00 00 00 00 00 07"));                          //   generation_id
//! stream.extend(bytes("04 15 00 08 00 00 00 04"));                          // BARRIER_REPLY
//!
//! let mut framer = Framer::new();
//! let mut log = Vec::new();
//! let mut out = BytesMut::new();
//! Message::new(1, Body::Hello(Hello::with_versions(&[VERSION_1_3]))).encode(&mut out)?;
//!
//! // The network cuts where it likes: every 7 bytes, in the middle of headers and of fields.
//! for piece in stream.chunks(7) {
//!     framer.push(piece);
//!     while let Some(frame) = framer.next_frame()? {
//!         let heard = Message::decode(&frame)?;
//!         log.push(heard.to_string());
//!         if let Some(message) = next(&heard) {
//!             message.encode(&mut out)?; // behind what `out` holds already
//!         }
//!     }
//! }
//!
//! assert_eq!(log, [
//!     "OFPT_HELLO (OF1.3) (xid=0x1): version bitmap: 0x01, 0x04",
//!     "OFPT_FEATURES_REPLY (OF1.3) (xid=0x2): dpid:0000112233445566 n_tables:254, n_buffers:256 \
//!      capabilities: FLOW_STATS TABLE_STATS PORT_STATS GROUP_STATS QUEUE_STATS",
//!     "OFPT_ROLE_REPLY (OF1.3) (xid=0x3): role=master generation_id=7",
//!     "OFPT_BARRIER_REPLY (OF1.3) (xid=0x4):",
//! ]);
//! assert_eq!(framer.waiting(), 0);
//!
//! // What was written: hello, features request, role request, barrier request.
//! framer.push(&out);
//! let mut said = Vec::new();
//! while let Some(frame) = framer.next_frame()? {
//!     said.push(Message::decode(&frame)?.kind().to_string());
//! }
//! assert_eq!(said, ["OFPT_HELLO", "OFPT_FEATURES_REQUEST", "OFPT_ROLE_REQUEST", "OFPT_BARRIER_REQUEST"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A rule
//!
//! ```
//! use ofproto::{Action, Body, FlowMod, FlowModCommand, Instruction, Match, Message, Oxm, PortNo, TableId};
//!
//! let mut rule = FlowMod::new(FlowModCommand::ADD, TableId(1));
//! rule.priority = 100;
//! rule.matching = Match::from([Oxm::in_port(PortNo(1)), Oxm::vlan_vid(7)]);
//! rule.instructions = vec![
//!     Instruction::ApplyActions(vec![Action::PopVlan, Action::output(PortNo(2))]),
//!     Instruction::GotoTable(TableId(2)),
//! ];
//! let message = Message::new(0x2a, Body::FlowMod(rule));
//!
//! // Behind the command stands what `ovs-ofctl add-flow` takes.
//! assert_eq!(
//!     message.to_string(),
//!     "OFPT_FLOW_MOD (OF1.3) (xid=0x2a): ADD table=1 priority=100,in_port=1,dl_vlan=7 \
//!      actions=pop_vlan,output:2,goto_table:2"
//! );
//! let frame = message.to_bytes()?;
//! assert_eq!(Message::decode(&frame)?, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//!
//! A frame that cannot be read leaves the stream whole: only its length must be believed to find
//! the next one. [`DecodeError::to_answer`] has the OFPT_ERROR to answer, with the first 64 bytes of the
//! frame as its data (section 7.4.4). The stream is lost only with a length below 8
//! ([`FrameError`]): then the connection has to be closed.
//!
//! ```
//! use bytes::Bytes;
//! use ofproto::{Body, ErrorMsg, Header, Message};
//!
//! // FLOW_MOD with a match that claims more bytes than the frame has.
//! let mut frame = vec![4, 14, 0, 56, 0, 0, 0, 9];
//! frame.resize(48, 0);
//! frame.extend([0, 1, 0, 99, 0, 0, 0, 0]);
//! let frame = Bytes::from(frame);
//!
//! let error = Message::decode(&frame).expect_err("the length lies");
//! assert_eq!(error.to_string(), "ofp_match at offset 48: length 99, only 8 bytes there");
//!
//! let (kind, code) = error.to_answer();
//! let xid = Header::peek(&frame).map_or(0, |header| header.xid);
//! let data = frame.slice(..frame.len().min(64));
//! let answer = Message::new(xid, Body::Error(ErrorMsg { kind, code, data }));
//! assert_eq!(
//!     answer.to_string(),
//!     "OFPT_ERROR (OF1.3) (xid=0x9): OFPET_BAD_MATCH OFPBMC_BAD_LEN about OFPT_FLOW_MOD (xid=0x9), 56 of its 56 bytes"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where the specification has it
//!
//! | section | what | here |
//! | --- | --- | --- |
//! | 7.1.1 | header | [`Header`], [`MessageType`], [`Message`] |
//! | 7.2.1 | ports | [`Port`], [`PortNo`] |
//! | 7.2.2 | queues | [`PacketQueue`], [`QueueProp`] |
//! | 7.2.3 | matches and their fields | [`Match`], [`Oxm`], [`OxmField`], [`OXM_TABLE`] |
//! | 7.2.4 | instructions | [`Instruction`] |
//! | 7.2.5 | actions | [`Action`] |
//! | 7.3.1, 7.3.2 | features, configuration | [`FeaturesReply`], [`SwitchConfig`] |
//! | 7.3.3 | tables | [`TableMod`] |
//! | 7.3.4 | changes | [`FlowMod`], [`GroupMod`], [`PortMod`], [`MeterMod`] |
//! | 7.3.5 | multipart | [`MultipartRequest`], [`MultipartReply`], [`MULTIPART_TABLE`], [`Reassembly`] |
//! | 7.3.6 | queue configuration | [`QueueGetConfigRequest`], [`QueueGetConfigReply`] |
//! | 7.3.7 | packets out | [`PacketOut`] |
//! | 7.3.8 | barriers | [`Body::BarrierRequest`], [`Body::BarrierReply`] |
//! | 7.3.9, 7.3.10 | roles, what is told unasked | [`RoleMsg`], [`AsyncConfig`] |
//! | 7.4.1 to 7.4.3 | packets in, rules that ended, ports that changed | [`PacketIn`], [`FlowRemoved`], [`PortStatus`] |
//! | 7.4.4 | errors | [`ErrorMsg`], [`ErrorType`] |
//! | 7.5.1 to 7.5.4 | hello, echo, experimenters | [`Hello`], [`Body::EchoRequest`], [`Experimenter`] |
//! | of the ONF | bundles, role status, copy-field | [`BundleControl`], [`BundleAdd`], [`RoleStatus`], [`Action::CopyField`] |
//! | of Nicira | registers, actions on parts of fields | [`NXM_1_TABLE`], [`Action::RegMove`], [`Action::RegLoad`] |
//!
//! # Features
//!
//! `json` (default): the module of that name, on serde_json. Without it the crate needs nom and
//! bytes.

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
mod kind_table;
#[macro_use]
mod structure;

mod action;
mod bundle;
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
mod message_table;
mod meter;
mod multipart;
mod multipart_table;
mod number;
mod nxm_table;
mod ofp_match;
mod oxm;
mod oxm_header;
mod oxm_table;
mod packet;
mod packet_peek;
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

// The examples of the README are tested as those here are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use action::{ACTION_TABLE, Action, ActionType};
pub use bundle::{BundleAdd, BundleControl, BundleCtrlType, BundleFlags, BundleProp, BundlePropType};
pub use display::LINE_MAX;
pub use error::{DecodeCause, DecodeError, EncodeCause, EncodeError, Malformed};
pub use error_msg::{
    BadActionCode, BadInstructionCode, BadMatchCode, BadRequestCode, BundleFailedCode, ErrorMsg, ErrorType,
    FlowModFailedCode, GroupModFailedCode, HelloFailedCode, MeterModFailedCode, PortModFailedCode, QueueOpFailedCode,
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
pub use header::{HEADER_LEN, Header, MessageType, VERSION_1_3, VERSION_1_4};
pub use hello::{Hello, HelloElement, HelloElementType};
pub use instruction::{INSTRUCTION_TABLE, Instruction, InstructionType};
pub use kind_table::{KindRow, StructureLength};
pub use message::{Body, Message};
pub use message_table::{Direction, MESSAGE_TABLE, MessageRow};
pub use meter::{
    METER_BAND_TABLE, MeterBand, MeterBandStats, MeterBandType, MeterBandTypes, MeterCapabilities, MeterConfig,
    MeterFeatures, MeterFlags, MeterMod, MeterModCommand, MeterRequest, MeterStats,
};
pub use multipart::{
    DESC_LEN, Desc, ExperimenterMultipart, MultipartReply, MultipartReplyBody, MultipartReplyFlags, MultipartRequest,
    MultipartRequestBody, MultipartRequestFlags, MultipartType, SERIAL_LEN,
};
pub use multipart_table::{MULTIPART_TABLE, MultipartContent, MultipartRow};
pub use number::{
    CONTROLLER_MAX_LEN_MAX, CONTROLLER_MAX_LEN_NO_BUFFER, ExperimenterId, GroupId, MeterId, NO_BUFFER, PortNo, QueueId,
    TableId,
};
pub use nxm_table::{NSH_OXM_TABLE, NX_OXM_TABLE, NXM_0_TABLE, NXM_1_TABLE, ONF_OXM_TABLE, PACKET_REGS_TABLE};
pub use ofp_match::{Match, MatchIter, MatchType};
pub use oxm::{Ipv6ExtHdrFlags, Oxm, OxmClass, OxmField, VLAN_NONE, VLAN_PRESENT};
pub use oxm_table::{OXM_TABLE, OxmKind, OxmPrerequisite, OxmRow};
pub use packet::{PacketIn, PacketInReason, PacketOut};
pub use packet_peek::PacketInPeek;
pub use port::{
    PORT_NAME_LEN, Port, PortConfig, PortFeatures, PortMod, PortReason, PortState, PortStats, PortStatsRequest,
    PortStatus,
};
pub use queue::{
    PacketQueue, QUEUE_PROP_TABLE, QueueGetConfigReply, QueueGetConfigRequest, QueueProp, QueuePropType, QueueStats,
    QueueStatsRequest, RATE_NOT_SET,
};
pub use reassembly::{Reassembly, ReassemblyError, ReassemblyLimits};
pub use role::{AsyncConfig, ControllerRole, FlowRemovedReasons, PacketInReasons, PortReasons, RoleMsg};
pub use subfield::{FieldCopy, FieldLoad, NiciraActionType, ONF_COPY_FIELD, OfsNBits};
pub use switch::{Capabilities, ConfigFlags, FeaturesReply, SwitchConfig};
pub use table::{TABLE_CONFIG_DEPRECATED, TableMod, TableStats};
pub use table_features::{
    ActionId, InstructionId, OxmId, TABLE_FEATURE_PROP_TABLE, TABLE_NAME_LEN, TableFeatureBody, TableFeatureProp,
    TableFeaturePropType, TableFeatures,
};
pub use text::{FixedText, MacAddr, NotAMacAddr};
pub use validate::{Refusal, RefusalCause};

//! What a switch would refuse although the structure is fine.
//!
//! [`Message::decode`](crate::Message::decode) judges structure only. `validate` of a message
//! and of its parts judges the values: reserved numbers where they may not stand, match
//! fields without their prerequisites, types nobody defined. It answers with the first
//! [`Refusal`] in the order a switch reads the message. A switch is taken to know everything
//! that OpenFlow 1.3.5 and this crate define, and to have every port, group, meter and table
//! whose number may exist: what only a certain switch lacks is not found here. Nothing here
//! is called by the decoder.
//!
//! The parts that a controller sends and a switch sends back alike (matches, actions,
//! instructions, buckets, bands) are judged in both directions, each by itself: what is told
//! of a rule, a group or a meter that exists was taken once. What only a switch says of
//! itself (counters, reasons, settings) is not judged: nobody refuses it.
//!
//! A `validate` that finds nothing wrong does not allocate, and none panics. Only that of a
//! message in a bundle reads it first.

mod action;
mod bundle;
mod experimenter;
mod field;
mod flow;
mod group;
mod headers;
mod hello;
mod instruction;
mod message;
mod meter;
mod multipart;
mod packet;
mod port;
mod queue;
mod subfield;
mod switch;
mod table;

use crate::action::ActionType;
use crate::error_msg::{
    BadActionCode, BadInstructionCode, BadMatchCode, BadRequestCode, ErrorType, FlowModFailedCode, GroupModFailedCode,
    HelloFailedCode, MeterModFailedCode, PortModFailedCode, QueueOpFailedCode, RoleRequestFailedCode,
    SwitchConfigFailedCode, TableFeaturesFailedCode, TableModFailedCode,
};
use crate::header::MessageType;
use crate::instruction::InstructionType;
use crate::number::{ExperimenterId, GroupId, MeterId, PortNo, QueueId, TableId};
use crate::oxm::OxmField;
use crate::table_features::TableFeaturePropType;
use core::fmt;

/// Why a switch would refuse a well-formed message: which structure, what is wrong with it,
/// and the OFPT_ERROR it would answer (section 7.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The structure of the specification whose value is refused, such as `ofp_action_output`.
    pub structure: &'static str,
    /// The type of the OFPT_ERROR.
    pub kind: ErrorType,
    /// Its code, in the table of its type. For [`ErrorType::EXPERIMENTER`] it is a code of
    /// the ONF's ([`ExperimenterId::ONF`]), with which it made up for what the tables of 1.3 lack.
    pub code: u16,
    /// What is wrong.
    pub cause: RefusalCause,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// A type that nobody defined.
    UnknownType(u32),
    /// A command that nobody defined.
    UnknownCommand(u32),
    /// Bits of a word of flags that have no meaning.
    UnknownFlags(u32),
    /// Flags of which only one may be set.
    FlagsExclude(u32),
    /// An experimenter that is not known.
    UnknownExperimenter(ExperimenterId),
    /// A number that a known experimenter did not give out.
    UnknownExperimenterType {
        /// The experimenter.
        experimenter: ExperimenterId,
        /// The number.
        exp_type: u32,
    },
    /// A match field that nobody defined.
    UnknownField(OxmField),
    /// A match field for the second time.
    DuplicateField(OxmField),
    /// A match field before which another should be matched.
    MissingPrerequisite(OxmField),
    /// A mask on a field that is matched whole or not at all.
    NotMaskable(OxmField),
    /// Bits of a value that the mask leaves out.
    OutsideMask(OxmField),
    /// A value with more bits than the field has.
    TooManyBits(OxmField),
    /// A value of a field that no packet has, or that cannot be written into one.
    FieldValue(OxmField),
    /// A field that cannot be set.
    NotSettable(OxmField),
    /// A mask on a field that is set.
    MaskedSet(OxmField),
    /// Bits of a field that has no such bits.
    BitRange {
        /// The field.
        field: OxmField,
        /// The first of them.
        offset: u16,
        /// How many.
        n_bits: u16,
    },
    /// An action on a header that the match does not promise.
    HeaderNotMatched(ActionType),
    /// A field that is set in a header that the match does not promise.
    FieldNotMatched(OxmField),
    /// An Ethernet type that does not announce what the action puts in front.
    EtherType(u16),
    /// A port that cannot stand here.
    Port(PortNo),
    /// A queue that cannot stand here.
    Queue(QueueId),
    /// A group that cannot stand here.
    Group(GroupId),
    /// A meter that cannot stand here.
    Meter(MeterId),
    /// A table that cannot stand here.
    Table(TableId),
    /// An instruction for the second time.
    DuplicateInstruction(InstructionType),
    /// A property of a table for the second time.
    DuplicateProperty(TableFeaturePropType),
    /// Another number of buckets than the group can have.
    BucketCount(usize),
    /// A share in a group that does not share.
    Weight(u16),
    /// A bucket of a fast failover group that watches nothing.
    NothingWatched,
    /// A group that hands packets to itself.
    Loop(GroupId),
    /// Neither a packet nor the number of a buffered one.
    NoPacket,
    /// A role that nobody defined.
    Role(u32),
    /// A known experimenter's message with a body of another length than it has.
    BodyLength(usize),
    /// A message in a bundle with another transaction id than the one it came in.
    OtherXid(u32),
    /// A message that cannot be in a bundle.
    NotInBundle(MessageType),
    /// A message in a bundle whose structure is wrong.
    MalformedMessage,
    /// A hello that does not offer version 1.3.
    NoCommonVersion,
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |field: &OxmField| field.oxm_name();
        match self {
            Self::UnknownType(kind) => write!(f, "type {kind} is not known"),
            Self::UnknownCommand(command) => write!(f, "command {command} is not known"),
            Self::UnknownFlags(bits) => write!(f, "flags {bits:#x} have no meaning"),
            Self::FlagsExclude(bits) => write!(f, "flags {bits:#x} exclude each other"),
            Self::UnknownExperimenter(id) => write!(f, "experimenter {:#010x} is not known", id.0),
            Self::UnknownExperimenterType { experimenter, exp_type } => {
                write!(f, "experimenter {:#010x} has no type {exp_type}", experimenter.0)
            }
            Self::UnknownField(field) => write!(f, "{} is not known", name(field)),
            Self::DuplicateField(field) => write!(f, "{} stands there before", name(field)),
            Self::MissingPrerequisite(field) => {
                write!(f, "what {} needs is not matched before it", name(field))
            }
            Self::NotMaskable(field) => write!(f, "{} cannot be masked", name(field)),
            Self::OutsideMask(field) => write!(f, "the value of {} has bits outside its mask", name(field)),
            Self::TooManyBits(field) => write!(f, "the value of {} has more bits than the field", name(field)),
            Self::FieldValue(field) => write!(f, "{} cannot have this value", name(field)),
            Self::NotSettable(field) => write!(f, "{} cannot be set", name(field)),
            Self::MaskedSet(field) => write!(f, "{} is set with a mask", name(field)),
            Self::BitRange { field, offset, n_bits } => {
                write!(f, "{} has no {n_bits} bits from bit {offset} on", name(field))
            }
            Self::HeaderNotMatched(action) => write!(f, "the match does not promise what {action} works on"),
            Self::FieldNotMatched(field) => {
                write!(f, "the match does not promise what {} is set in", name(field))
            }
            Self::EtherType(kind) => write!(f, "Ethernet type {kind:#06x} is not one of such a header"),
            Self::Port(port) => write!(f, "port {port} cannot stand here"),
            Self::Queue(queue) => write!(f, "queue {queue} cannot stand here"),
            Self::Group(group) => write!(f, "group {group} cannot stand here"),
            Self::Meter(meter) => write!(f, "meter {meter} cannot stand here"),
            Self::Table(table) => write!(f, "table {table} cannot stand here"),
            Self::DuplicateInstruction(kind) => write!(f, "{kind} stands there before"),
            Self::DuplicateProperty(kind) => write!(f, "{kind} stands there before"),
            Self::BucketCount(count) => write!(f, "{count} buckets are not possible here"),
            Self::Weight(weight) => write!(f, "weight {weight} in a group that is not OFPGT_SELECT"),
            Self::NothingWatched => f.write_str("a bucket of OFPGT_FF watches no port and no group"),
            Self::Loop(group) => write!(f, "group {group} hands packets to itself"),
            Self::NoPacket => f.write_str("neither a packet nor a buffered one"),
            Self::Role(role) => write!(f, "role {role} is not known"),
            Self::BodyLength(length) => write!(f, "a body of {length} bytes is not possible"),
            Self::OtherXid(xid) => write!(f, "the message in it has transaction id {xid:#x}"),
            Self::NotInBundle(kind) => write!(f, "{kind} cannot be in a bundle"),
            Self::MalformedMessage => f.write_str("the message in a bundle is malformed"),
            Self::NoCommonVersion => f.write_str("version 1.3 is not offered"),
        }
    }
}

impl Refusal {
    /// The type and code of the OFPT_ERROR that a switch would answer.
    pub fn to_answer(&self) -> (ErrorType, u16) {
        (self.kind, self.code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.structure, self.cause)
    }
}

impl std::error::Error for Refusal {}

/// A code with the type whose table it is in.
trait Code {
    fn answer(self) -> (ErrorType, u16);
}

macro_rules! codes {
    ($($codes:ident $kind:ident,)*) => {$(
        impl Code for $codes {
            fn answer(self) -> (ErrorType, u16) {
                (ErrorType::$kind, self.0)
            }
        }
    )*};
}

codes! {
    HelloFailedCode HELLO_FAILED,
    BadRequestCode BAD_REQUEST,
    BadActionCode BAD_ACTION,
    BadInstructionCode BAD_INSTRUCTION,
    BadMatchCode BAD_MATCH,
    FlowModFailedCode FLOW_MOD_FAILED,
    GroupModFailedCode GROUP_MOD_FAILED,
    PortModFailedCode PORT_MOD_FAILED,
    TableModFailedCode TABLE_MOD_FAILED,
    QueueOpFailedCode QUEUE_OP_FAILED,
    SwitchConfigFailedCode SWITCH_CONFIG_FAILED,
    RoleRequestFailedCode ROLE_REQUEST_FAILED,
    MeterModFailedCode METER_MOD_FAILED,
    TableFeaturesFailedCode TABLE_FEATURES_FAILED,
}

/// Errors that 1.3 has no code for: the ONF gave them numbers of its own.
#[derive(Clone, Copy)]
struct OnfCode(u16);

impl OnfCode {
    /// An instruction for the second time (OFPBIC_DUP_INST of 1.4).
    const DUP_INST: OnfCode = OnfCode(2600);
    /// A mask on a field that is set (OFPBAC_BAD_SET_MASK of 1.5).
    const BAD_SET_MASK: OnfCode = OnfCode(4250);
    /// A property for the second time (OFPBPC_DUP_TYPE of 1.4).
    const DUP_TYPE: OnfCode = OnfCode(4444);
}

impl Code for OnfCode {
    fn answer(self) -> (ErrorType, u16) {
        (ErrorType::EXPERIMENTER, self.0)
    }
}

/// A refusal as the result it ends.
fn refuse(structure: &'static str, code: impl Code, cause: RefusalCause) -> Result<(), Refusal> {
    let (kind, code) = code.answer();
    Err(Refusal {
        structure,
        kind,
        code,
        cause,
    })
}

/// The refusal when `wrong`.
fn refuse_if(wrong: bool, structure: &'static str, code: impl Code, cause: RefusalCause) -> Result<(), Refusal> {
    if wrong { refuse(structure, code, cause) } else { Ok(()) }
}

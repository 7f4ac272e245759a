//! Answers. Every command has one terminal answer; "could not ask" is never the same as "asked, absent".

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, Generation, SwitchId, Term};
use crate::objects::Objects;
use crate::results::{ObjectResults, SwitchPlan};

/// How a command ended (design section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The barrier reply came, in the same connection, and no error with our xids.
    Applied,
    /// Nothing was sent to the switch.
    Rejected,
    /// Nothing was sent and the deadline is past.
    Expired,
    /// Nothing was sent because a newer generation for the same switch was read first.
    Superseded,
    /// Something was sent and success is not certain; the objects say what became of each.
    Failed,
}

/// Why a command ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The command itself is wrong.
    Malformed {
        /// Which field and why.
        detail: String,
    },
    /// No region reaches the switch, or this region does not.
    UnknownSwitch,
    /// The switch is known, and no region may be asked for it now.
    Unreachable {
        /// Why.
        detail: String,
    },
    /// The region does not hold MASTER with the command's term.
    NoRole {
        /// Term the speaker holds, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<Term>,
    },
    /// The switch's lane is full.
    Busy,
    /// The stored generation is not the command's base.
    Base {
        /// Generation the speaker holds; none if it holds none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<Generation>,
    },
    /// An object collides with one that is not ours.
    Foreign {
        /// The foreign object.
        object: String,
    },
    /// The deadline passed.
    Deadline,
    /// A newer generation was read first.
    Newer {
        /// That generation.
        generation: Generation,
    },
    /// The switch answered with an error.
    SwitchError {
        /// OFPT_ERROR type.
        error_type: u16,
        /// OFPT_ERROR code.
        error_code: u16,
        /// Its names, such as `OFPET_BAD_REQUEST/OFPBRC_IS_SLAVE`.
        name: String,
        /// The object whose message was refused, if it is known.
        #[serde(default)]
        object: String,
    },
    /// The connection ended before the barrier reply.
    ConnectionLost,
    /// No barrier reply in time.
    NoBarrier,
    /// The region was lost while the command was under way.
    RegionLost,
    /// The owner of the switch changed or is older than another that was seen.
    OldOwner,
    /// A cause that this reader does not know yet.
    #[serde(other)]
    Unknown,
}

impl Cause {
    /// Its kind, as on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::Malformed { .. } => "malformed",
            Cause::UnknownSwitch => "unknown_switch",
            Cause::Unreachable { .. } => "unreachable",
            Cause::NoRole { .. } => "no_role",
            Cause::Busy => "busy",
            Cause::Base { .. } => "base",
            Cause::Foreign { .. } => "foreign",
            Cause::Deadline => "deadline",
            Cause::Newer { .. } => "newer",
            Cause::SwitchError { .. } => "switch_error",
            Cause::ConnectionLost => "connection_lost",
            Cause::NoBarrier => "no_barrier",
            Cause::RegionLost => "region_lost",
            Cause::OldOwner => "old_owner",
            Cause::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Malformed { detail } => write!(f, "malformed: {detail}"),
            Cause::UnknownSwitch => f.write_str("the switch is not connected to any region that could be asked"),
            Cause::Unreachable { detail } => write!(f, "no region may be asked: {detail}"),
            Cause::NoRole { held: Some(t) } => {
                write!(f, "this region does not hold MASTER with that term (it holds term {t})")
            }
            Cause::NoRole { held: None } => f.write_str("this region does not hold MASTER"),
            Cause::Busy => f.write_str("too many commands wait for this switch"),
            Cause::Base { held: Some(g) } => write!(f, "the base generation is not the one held ({g})"),
            Cause::Base { held: None } => f.write_str("no generation is held for this switch"),
            Cause::Foreign { object } => write!(f, "collides with {object}, which is not ours"),
            Cause::Deadline => f.write_str("the deadline passed"),
            Cause::Newer { generation } => write!(f, "generation {generation} was read first"),
            Cause::SwitchError {
                error_type,
                error_code,
                name,
                object,
            } => {
                write!(f, "the switch answered {name} (type {error_type}, code {error_code})")?;
                if object.is_empty() {
                    Ok(())
                } else {
                    write!(f, " to {object}")
                }
            }
            Cause::ConnectionLost => f.write_str("the switch's connection ended before it confirmed"),
            Cause::NoBarrier => f.write_str("the switch did not confirm in time"),
            Cause::RegionLost => f.write_str("the region was lost while the command was under way"),
            Cause::Unknown => f.write_str("for a reason that this version does not know"),
            Cause::OldOwner => f.write_str("the command comes from a router that no longer owns the switch"),
        }
    }
}

/// What a speaker tells of one command, on `skerry.v1.events.<region>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// The switch; none for region-wide requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<SwitchId>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The generation now held, for `desired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Messages written to the switch for it.
    #[serde(default)]
    pub messages: u32,
    /// What became of the objects, for a `desired` of which something was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectResults>,
}

/// A message on `skerry.v1.replies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The command's.
    pub correlation_id: CorrelationId,
    /// What is answered.
    #[serde(flatten)]
    pub body: ReplyBody,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // nearly all are the large one, and each lives for one step
pub enum ReplyBody {
    /// One switch's answer.
    SwitchResult {
        /// The answer.
        #[serde(flatten)]
        result: CommandResult,
        /// What was read, for `dump`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dump: Option<SwitchDump>,
        /// What would be done, for `plan`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<SwitchPlan>,
    },
    /// All switches or regions have answered.
    Done {
        /// How many were applied.
        applied: u32,
        /// How many were not.
        not_applied: u32,
    },
}

/// What a switch holds, in our terms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchDump {
    /// What is ours (design section 5) and can be expressed.
    pub ours: Objects,
    /// Everything else, one line each.
    #[serde(default)]
    pub foreign: Vec<String>,
}

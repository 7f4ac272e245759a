//! Commands: what is asked of switches and regions. Always absolute, never relative.

mod read;

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, Epoch, Generation, Region, SwitchId, Term};
use crate::objects::{ObjectKeys, Objects};

/// A command, on `skerry.v1.commands` or, after routing, on `skerry.v1.commands.<region>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    /// Joins the answer to it; also what makes a repeat recognisable.
    pub correlation_id: CorrelationId,
    /// Who asked: the key of the answer on `skerry.v1.replies`.
    pub requester: String,
    /// Broker time in milliseconds after which nothing of it may be started.
    pub deadline_ms: u64,
    /// Set by the router: which owner sent it. A reader refuses a lower one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_epoch: Option<u64>,
    /// Set by the router: the region it is for. A speaker of another region refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Set by the router: the speaker it is for, of those that ever spoke for the region. Another one refuses it, so that two
    /// that live at a time do not both take the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// What is asked.
    #[serde(flatten)]
    pub body: CommandBody,
}

/// As much of a command as is needed to answer one that cannot be read: by a writer of another version, or wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommandHead {
    /// Joins the answer to it.
    pub correlation_id: CorrelationId,
    /// Who asked.
    pub requester: String,
    /// The region it is for.
    #[serde(default)]
    pub region: Option<Region>,
    /// The switch it is about, if that much can be read.
    #[serde(default, deserialize_with = "if_readable")]
    pub switch: Option<SwitchId>,
}

fn if_readable<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<SwitchId>, D::Error> {
    let value = serde_json::Value::deserialize(d)?;
    Ok(SwitchId::deserialize(value).ok())
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommandBody {
    /// From a service: these objects shall stand on the switch, those shall not. The router merges it into
    /// the switch's desired state, counts the generation and sends `desired` to the active region.
    Apply {
        /// The switch.
        switch: SwitchId,
        /// Objects that shall stand.
        #[serde(default)]
        put: Objects,
        /// Objects that shall not.
        #[serde(default)]
        remove: ObjectKeys,
    },
    /// From the router: the switch's desired state, whole or as a step from a known generation.
    Desired {
        /// The switch.
        switch: SwitchId,
        /// Term under which the region is active; a speaker that holds another refuses it.
        term: Term,
        /// The generation this makes.
        generation: Generation,
        /// What changes.
        #[serde(flatten)]
        change: DesiredChange,
    },
    /// From the router: take this role at the switch with this term as generation id.
    Activate {
        /// The switch.
        switch: SwitchId,
        /// The term.
        term: Term,
    },
    /// From the router: another region is active; become SLAVE with its term.
    Deactivate {
        /// The switch.
        switch: SwitchId,
        /// The term of the region that is active now.
        term: Term,
    },
    /// Read what the switch holds.
    Dump {
        /// The switch.
        switch: SwitchId,
    },
    /// Compare what the switch holds with what it shall hold, and tell what would be done. Nothing is changed.
    Plan {
        /// The switch.
        switch: SwitchId,
        /// Set by the router: what the switch shall hold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wanted: Option<Wanted>,
    },
    /// Tell the state of one switch again, whole.
    SwitchSnapshot {
        /// The switch.
        switch: SwitchId,
    },
    /// From a service: the same for many switches at a time, in any regions. Each part is answered by itself under the name of
    /// the whole, and then the sum.
    Many {
        /// What is asked, each of one switch.
        parts: Vec<CommandBody>,
    },
    /// Region-wide: tell all switches again, delimited, into every partition.
    RegionSnapshot {
        /// Names the snapshot in its begin and end.
        snapshot: CorrelationId,
    },
}

/// The desired state of a switch, whole, as it stands in a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its generation.
    pub generation: Generation,
    /// All objects.
    pub objects: Objects,
}

/// How a `desired` command states what it wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum DesiredChange {
    /// Everything of ours that shall stand on the switch. What is ours and not in it goes.
    Snapshot {
        /// All objects.
        objects: Objects,
    },
    /// A step from `base`. A speaker that holds another generation answers `rejected` with cause `base`.
    Delta {
        /// The generation it starts from.
        base: Generation,
        /// Objects to add or change.
        #[serde(default)]
        put: Objects,
        /// Objects to take away.
        #[serde(default)]
        remove: ObjectKeys,
    },
}

impl CommandBody {
    /// The switch it concerns; none for region-wide requests and those for many switches.
    pub fn switch(&self) -> Option<SwitchId> {
        match self {
            CommandBody::Apply { switch, .. }
            | CommandBody::Desired { switch, .. }
            | CommandBody::Activate { switch, .. }
            | CommandBody::Deactivate { switch, .. }
            | CommandBody::Dump { switch }
            | CommandBody::Plan { switch, .. }
            | CommandBody::SwitchSnapshot { switch } => Some(*switch),
            CommandBody::Many { .. } | CommandBody::RegionSnapshot { .. } => None,
        }
    }
}

//! Commands: what is asked of switches and regions. Always absolute, never relative.

mod read;

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, Generation, Region, SwitchId, Term};
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
    /// What is asked.
    #[serde(flatten)]
    pub body: CommandBody,
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
    /// The switch it concerns; none for region-wide requests.
    pub fn switch(&self) -> Option<SwitchId> {
        match self {
            CommandBody::Apply { switch, .. }
            | CommandBody::Desired { switch, .. }
            | CommandBody::Activate { switch, .. }
            | CommandBody::Deactivate { switch, .. }
            | CommandBody::Dump { switch }
            | CommandBody::Plan { switch, .. }
            | CommandBody::SwitchSnapshot { switch } => Some(*switch),
            CommandBody::RegionSnapshot { .. } => None,
        }
    }
}

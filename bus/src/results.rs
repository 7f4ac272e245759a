//! What is to become, or became, of single objects of a switch: plans, and results by object.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{Cookie, Generation};
use crate::objects::RuleKey;
use crate::reply::Cause;

/// An object of a switch, by what identifies it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ObjectName {
    /// A meter.
    Meter {
        /// Its id.
        id: u32,
    },
    /// A group.
    Group {
        /// Its id.
        id: u32,
    },
    /// A rule.
    Rule(RuleKey),
    /// A rule whose match the contract cannot express; it can only be removed.
    StrangeRule {
        /// Its table.
        table: u8,
        /// Its priority.
        priority: u16,
        /// Its cookie.
        cookie: Cookie,
    },
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectName::Meter { id } => write!(f, "meter {id}"),
            ObjectName::Group { id } => write!(f, "group {id}"),
            ObjectName::Rule(key) => key.fmt(f),
            ObjectName::StrangeRule { table, priority, .. } => {
                write!(f, "rule of table {table}, priority {priority}")
            }
        }
    }
}

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is made; a rule of the same key is replaced without a gap.
    Add,
    /// It is changed in place.
    Modify,
    /// It is taken away.
    Delete,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::Add => "add",
            Change::Modify => "modify",
            Change::Delete => "delete",
        })
    }
}

/// What became of the change of an object that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// The switch refused it, or it could not be said to the switch.
    Failed {
        /// Why.
        cause: Cause,
    },
    /// It was sent and the switch did not confirm it: it may be done or not.
    Unconfirmed,
    /// It was not done: not sent, or undone together with the rest of its bundle.
    NotTried,
}

/// An object whose change did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectResult {
    /// The object.
    pub object: ObjectName,
    /// What was to be done with it.
    pub change: Change,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

impl fmt::Display for ObjectResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.change, self.object)?;
        match &self.fate {
            Fate::Failed { cause } => cause.fmt(f),
            Fate::Unconfirmed => f.write_str("not confirmed"),
            Fate::NotTried => f.write_str("not tried"),
        }
    }
}

/// What became of the objects of a `desired` command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectResults {
    /// Changes that the switch confirmed.
    pub applied: u32,
    /// Changes that it refused.
    pub failed: u32,
    /// Changes that may be done or not.
    #[serde(skip_serializing_if = "is_zero")]
    pub unconfirmed: u32,
    /// Changes that were not done.
    pub not_tried: u32,
    /// Those that did not end well, one by one: failed ones first, at most [`ObjectResults::LISTED_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<ObjectResult>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl ObjectResults {
    /// Objects that are listed one by one. Whoever reads them wants the first that failed; the counts tell of the rest.
    pub const LISTED_MAX: usize = 64;
}

impl fmt::Display for ObjectResults {
    /// The counts, as they stand behind a cause: `2 applied, 1 failed, 4 not tried`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} applied, {} failed", self.applied, self.failed)?;
        if self.unconfirmed > 0 {
            write!(f, ", {} not confirmed", self.unconfirmed)?;
        }
        write!(f, ", {} not tried", self.not_tried)
    }
}

/// Why a step is in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepReason {
    /// It shall be there and is not.
    Missing,
    /// It is there and is not as it shall be.
    Differs,
    /// It is there, is ours, and shall not be.
    NotWanted,
}

impl fmt::Display for StepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StepReason::Missing => "it is missing",
            StepReason::Differs => "it is not as wanted",
            StepReason::NotWanted => "it is not wanted",
        })
    }
}

/// A step of a plan: one message to the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// What would be done.
    pub change: Change,
    /// With what.
    pub object: ObjectName,
    /// Why.
    pub reason: StepReason,
}

impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.change, self.object, self.reason)
    }
}

/// Steps whose order among themselves does not matter. The next stage begins when the switch has confirmed this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// What it does.
    pub name: String,
    /// Its steps; of a long plan only the first are told.
    pub steps: Vec<PlannedStep>,
    /// How many it has.
    pub count: u32,
}

/// How the steps of a plan would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sending {
    /// Stage by stage, each confirmed by a barrier.
    Stages,
    /// Rules and groups in bundles, which the switch does as a whole or not at all.
    Bundles,
}

/// What would be done to make a switch what it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchPlan {
    /// The stages in order; none: the switch is what it shall be.
    pub stages: Vec<PlannedStage>,
    /// How it would be sent.
    pub sending: Sending,
    /// Steps of all stages.
    pub steps: u32,
    /// The generation of the desired state that it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Objects that are not ours, one line each: they would be left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<String>,
}

impl SwitchPlan {
    /// Steps that are told one by one. An operator reads the first; the counts tell of the rest.
    pub const LISTED_MAX: usize = 1_000;
}

impl fmt::Display for SwitchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stages.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        for (n, stage) in self.stages.iter().enumerate() {
            writeln!(f, "stage {}: {}", n + 1, stage.name)?;
            for step in &stage.steps {
                writeln!(f, "  {step}")?;
            }
            let left = (stage.count as usize).saturating_sub(stage.steps.len());
            if left > 0 {
                writeln!(f, "  and {left} more")?;
            }
        }
        Ok(())
    }
}

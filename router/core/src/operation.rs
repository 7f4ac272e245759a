//! An operation on a flow: stages of desired state, executed one after the other, or undone. It always ends.
//!
//! It is given what to do as values and does not know what a flow is: the plan's stages say what the operation's owner holds on each
//! switch after the stage.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skerry_bus::api::OperationState;
use skerry_bus::objects::Objects;
use skerry_bus::reply::Cause;
use skerry_bus::{Generation, SwitchId};

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// For a person, such as `new path, far end first`.
    pub name: String,
    /// What the owner holds on these switches afterwards, whole; other switches are left as they are.
    pub objects: BTreeMap<SwitchId, Objects>,
    /// How long packets on their way are given after the stage is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,
}

/// All of it, with the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// What the owner held before, on every switch that a stage names: the state to return to.
    pub rollback: BTreeMap<SwitchId, Objects>,
}

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// A stage has this long to be applied everywhere.
    pub stage: Duration,
    /// The way back has this long; then the operation ends as failed and what stands is left to the tables.
    pub rollback: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            stage: Duration::from_secs(30),
            rollback: Duration::from_secs(30),
        }
    }
}

/// What is stored, so that a restarted router goes on where this one stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How far it is.
    pub state: OperationState,
    /// Index of the stage it is at.
    pub stage: usize,
    /// Its name, for a person.
    pub step: String,
    /// Why it rolls back or failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// Our objects on the switch stand when this generation is applied.
    OwnerSet {
        /// The switch.
        switch: SwitchId,
        /// The generation.
        generation: Generation,
    },
    /// Our objects on the switch were refused.
    OwnerRefused {
        /// The switch.
        switch: SwitchId,
        /// Why.
        reason: String,
    },
    /// The switch has this generation.
    Applied {
        /// The switch.
        switch: SwitchId,
        /// The generation.
        generation: Generation,
    },
    /// The switch does not have it. Only one that took our change back is a failure: anything else is tried again.
    ApplyFailed {
        /// The switch.
        switch: SwitchId,
        /// The generation.
        generation: Generation,
        /// Why.
        cause: Cause,
        /// Whether our change was taken back.
        withdrawn: bool,
    },
    /// The operation is no longer wanted.
    Cancel {
        /// Why.
        reason: String,
    },
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Our objects on the switch become these.
    SetOwner {
        /// The switch.
        switch: SwitchId,
        /// The objects.
        objects: Objects,
    },
    /// Store this; it comes before what it allows.
    Progress(Progress),
    /// It ended, with nothing more to come: `Ok` as asked, `Err` with the cause, undone.
    Done(Result<(), String>),
}

//! An operation on a flow: stages of desired state, executed one after the other, or undone. It always ends.
//!
//! It is given what to do as values and does not know what a flow is: a stage says what the operation's owner holds on
//! each switch after it, and ends when every switch has applied a generation that has it, whoever told so and however often
//! the region changed in between.
//!
//! ```text
//!            all applied          drained
//!  applying(n) ----------> draining(n) ------> applying(n+1) ... -> done
//!      |                       | cancelled
//!      | refused, taken back,  | (before the point of no return)
//!      | late, cancelled       v
//!      +--------------> rolling back(n): applying, draining ... -> failed
//! ```
//!
//! | state | owner set, applied | refused, taken back | deadline | cancel | drained |
//! | --- | --- | --- | --- | --- | --- |
//! | applying, before the point of no return | next, when it was the last switch | roll back | roll back | roll back | – |
//! | applying, after it | likewise | go on with the next stage, and say so at the end | likewise | ignored | – |
//! | draining | ignored | ignored | – | as applying | next stage |
//! | rolling back | likewise | go on with the next stage back | likewise | ignored | next stage back |
//! | ended | ignored | ignored | – | ignored | – |
//!
//! After the point of no return ([`StagePlan::committed_from`]) the flow is as wanted and only leftovers remain: a
//! switch that is away then does not undo what the others have. What it should hold is kept in the tables, which go on.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use skerry_bus::api::OperationState;
use skerry_bus::objects::Objects;
use skerry_bus::reply::Cause;
use skerry_bus::{Generation, ObjectResults, SwitchId};

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// For a person, such as `switch`.
    pub name: String,
    /// What the owner holds on these switches afterwards, whole; other switches are left as they are.
    pub objects: BTreeMap<SwitchId, Objects>,
    /// How long packets on their way are given after the stage is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,
}

/// All of it, with the ways back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// The stages in order. None: nothing changes, and the operation ends at once.
    pub stages: Vec<Stage>,
    /// For each stage, the stages that lead back when it did not succeed, whatever part of it was done.
    pub rollback: Vec<Vec<Stage>>,
    /// From this stage on (an index into `stages`) going on is right even when one does not succeed.
    pub committed_from: usize,
}

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// A stage has this long to be applied everywhere.
    pub stage: Duration,
    /// A stage of the way back has this long; then the next one is begun, and what stands is left to the tables.
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
    /// Index of the stage it is at; while rolling back, of the one that did not succeed.
    pub stage: usize,
    /// While rolling back, index of the stage back.
    #[serde(default)]
    pub back: usize,
    /// Its name, for a person.
    pub step: String,
    /// Why it rolls back or failed, or what is left undone.
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
        /// What became of the objects, if some were sent.
        objects: Option<ObjectResults>,
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

/// Where the operation is going.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// Stage `at` of the plan.
    Forth { at: usize },
    /// Stage `at` of the way back from stage `of`.
    Back { of: usize, at: usize },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Switches that have not applied the stage, with the generation that has it once it is known.
    Applying {
        missing: BTreeMap<SwitchId, Option<Generation>>,
        late: Instant,
    },
    /// Packets are given time.
    Draining { until: Instant },
    /// Nothing more comes.
    Ended,
}

/// An operation under way.
#[derive(Debug)]
pub struct Operation {
    config: Config,
    plan: StagePlan,
    way: Way,
    state: State,
    error: String,
    outputs: VecDeque<Output>,
}

impl Operation {
    /// Begin. The first outputs are there at once.
    pub fn new(config: Config, plan: StagePlan, now: Instant) -> Self {
        let mut operation = Operation {
            config,
            plan,
            way: Way::Forth { at: 0 },
            state: State::Ended,
            error: String::new(),
            outputs: VecDeque::new(),
        };
        operation.begin(now, Way::Forth { at: 0 });
        operation
    }

    /// Go on after a restart. The stage it stopped at is done again, which changes nothing where it was done; a drain is
    /// begun anew.
    pub fn restore(config: Config, plan: StagePlan, progress: &Progress, now: Instant) -> Self {
        let way = match progress.state {
            OperationState::RollingBack => Way::Back {
                of: progress.stage,
                at: progress.back,
            },
            OperationState::Running | OperationState::Draining | OperationState::Done | OperationState::Failed => {
                Way::Forth { at: progress.stage }
            }
        };
        let mut operation = Operation {
            config,
            plan,
            way: way.clone(),
            state: State::Ended,
            error: progress.error.clone(),
            outputs: VecDeque::new(),
        };
        operation.begin(now, way);
        operation
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::OwnerSet { switch, generation } => {
                if let State::Applying { missing, .. } = &mut self.state
                    && let Some(wanted) = missing.get_mut(&switch)
                {
                    *wanted = Some(generation);
                }
            }
            Input::Applied { switch, generation } => {
                let State::Applying { missing, .. } = &mut self.state else {
                    return;
                };
                if missing
                    .get(&switch)
                    .is_some_and(|wanted| wanted.is_some_and(|w| w <= generation))
                {
                    missing.remove(&switch);
                }
                if missing.is_empty() {
                    self.applied(now);
                }
            }
            Input::OwnerRefused { switch, reason } => {
                if self.waits_for(switch) {
                    self.not_applied(now, format!("switch {switch}: {reason}"));
                }
            }
            Input::ApplyFailed {
                switch,
                cause,
                objects,
                withdrawn,
                ..
            } => {
                if withdrawn && self.waits_for(switch) {
                    let why = match objects {
                        Some(objects) => format!("switch {switch}: {cause} ({objects})"),
                        None => format!("switch {switch}: {cause}"),
                    };
                    self.not_applied(now, why);
                }
            }
            Input::Cancel { reason } => match (&self.state, &self.way) {
                (State::Applying { .. } | State::Draining { .. }, Way::Forth { at })
                    if *at < self.plan.committed_from =>
                {
                    self.roll_back(now, *at, format!("cancelled: {reason}"));
                }
                _ => {}
            },
        }
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &self.state {
            State::Applying { missing, late } if *late <= now => {
                let names: Vec<String> = missing.keys().map(SwitchId::to_string).collect();
                let cause = format!("not applied in time by switch {}", names.join(", "));
                self.not_applied(now, cause);
            }
            State::Draining { until } if *until <= now => self.next(now),
            State::Applying { .. } | State::Draining { .. } | State::Ended => {}
        }
    }

    /// When [`Operation::handle_timeout`] is to be called next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match &self.state {
            State::Applying { late, .. } => Some((*late, "stage to be applied")),
            State::Draining { until } => Some((*until, "drain")),
            State::Ended => None,
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn waits_for(&self, switch: SwitchId) -> bool {
        matches!(&self.state, State::Applying { missing, .. } if missing.contains_key(&switch))
    }

    fn stage(&self, way: &Way) -> Option<&Stage> {
        match way {
            Way::Forth { at } => self.plan.stages.get(*at),
            Way::Back { of, at } => self.plan.rollback.get(*of)?.get(*at),
        }
    }

    fn begin(&mut self, now: Instant, way: Way) {
        let Some(stage) = self.stage(&way).cloned() else {
            self.end(way);
            return;
        };
        let patience = match way {
            Way::Forth { .. } => self.config.stage,
            Way::Back { .. } => self.config.rollback,
        };
        self.way = way;
        self.state = State::Applying {
            missing: stage.objects.keys().map(|switch| (*switch, None)).collect(),
            late: now + patience,
        };
        self.progress(stage.name.clone(), false);
        for (switch, objects) in stage.objects {
            self.outputs.push_back(Output::SetOwner { switch, objects });
        }
        if matches!(&self.state, State::Applying { missing, .. } if missing.is_empty()) {
            self.applied(now);
        }
    }

    fn applied(&mut self, now: Instant) {
        let drain = self.stage(&self.way).and_then(|s| s.drain).filter(|d| !d.is_zero());
        match drain {
            Some(drain) => {
                self.state = State::Draining { until: now + drain };
                let name = self.stage(&self.way).map(|s| s.name.clone()).unwrap_or_default();
                self.progress(name, true);
            }
            None => self.next(now),
        }
    }

    fn next(&mut self, now: Instant) {
        let way = match self.way {
            Way::Forth { at } => Way::Forth { at: at + 1 },
            Way::Back { of, at } => Way::Back { of, at: at + 1 },
        };
        self.begin(now, way);
    }

    fn not_applied(&mut self, now: Instant, cause: String) {
        match self.way {
            Way::Forth { at } if at < self.plan.committed_from => self.roll_back(now, at, cause),
            Way::Forth { .. } => {
                self.note(format!("left to the tables: {cause}"));
                // Nothing that may still be used is removed sooner because a switch is late.
                self.applied(now);
            }
            Way::Back { .. } => {
                self.note(format!("while undoing: {cause}"));
                self.applied(now);
            }
        }
    }

    fn roll_back(&mut self, now: Instant, of: usize, cause: String) {
        self.note(cause);
        self.begin(now, Way::Back { of, at: 0 });
    }

    fn note(&mut self, text: String) {
        if !self.error.is_empty() {
            self.error.push_str("; ");
        }
        self.error.push_str(&text);
    }

    fn end(&mut self, way: Way) {
        self.state = State::Ended;
        let result = match way {
            Way::Forth { .. } => Ok(()),
            Way::Back { .. } => Err(self.error.clone()),
        };
        self.way = way;
        self.outputs.push_back(Output::Done(result));
    }

    fn progress(&mut self, step: String, draining: bool) {
        let (state, stage, back) = match self.way {
            Way::Forth { at } if draining => (OperationState::Draining, at, 0),
            Way::Forth { at } => (OperationState::Running, at, 0),
            Way::Back { of, at } => (OperationState::RollingBack, of, at),
        };
        let error = self.error.clone();
        self.outputs.push_back(Output::Progress(Progress {
            state,
            stage,
            back,
            step,
            error,
        }));
    }
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;

//! The SLA machine of one flow: is the latency within the limits, for long enough to say so.
//!
//! It is not told how a latency came about, and it never changes the flow: it asks.
//!
//! ```text
//!                 known                       held for the window
//!   Unknown ---------------->  Unstable  ---------------------------->  Steady
//!      ^                       |  ^   ^                                  |  |
//!      |        no figure      |  |   |          another grade           |  |
//!      +-----------------------+  +---+--------- is seen ----------------+  |
//!      |                       another grade                                |
//!      |                       is seen: the                                 |
//!      |        no figure      window begins anew                           |
//!      +--------------------------------------------------------------------+
//! ```
//!
//! How "the state changes only after the new event held for the whole window" is read (`tests/sla_table.rs`
//! has the whole table):
//!
//! * `healthy`, `tier_1_failed` and `tier_2_failed` are stable states. Each is entered from `unstable`, when one grade was
//!   seen for the whole window; also the first one of a flow, also the one that was left before. A grade held the
//!   whole window if no other was seen before its end: the end comes before a sample of the same moment.
//! * `unstable` and `unknown` claim nothing, so they are entered at once: `unstable` when a known grade is not the stable one
//!   or follows `unknown`, `unknown` when there is no figure. So a flow without a valid figure is never shown healthy.
//! * `unknown` is an event of its own: it ends the window of a grade, and the next figure begins a new one.
//! * The last stable grade is kept through both. So a short gap neither asks for anything nor makes a failed flow forget that
//!   it failed: if it is still failed no second first request is made, and if it is healthy a sync is asked.
//! * A reroute is asked on entering a tier that is not the last stable grade (from the other tier, too), if the strategy is based on
//!   latency. A sync is asked on entering `healthy` if the last stable grade was a tier, whatever the strategy.
//! * A reroute is asked again (`repeat`) while the last stable grade and what is seen now are both failed. A repetition
//!   that falls due while there is no figure, or a healthy one, waits until the latency is seen to be too high again.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use skerry_bus::service::ActionKind;

use crate::limits::{Grade, Limits, Threshold};
use crate::{reason, repeat};

/// State of a flow's SLA, as everybody else sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlaState {
    /// It has no first limit.
    NotMonitored,
    /// It has no valid figure.
    Unknown,
    /// Its latency changed grade less than a window ago.
    Unstable,
    /// Within the limits.
    Healthy,
    /// Above the first limit.
    #[serde(rename = "tier_1_failed")]
    Tier1Failed,
    /// Above the second limit.
    #[serde(rename = "tier_2_failed")]
    Tier2Failed,
}

impl SlaState {
    /// The text form, as in events, replay and REST.
    pub fn as_str(self) -> &'static str {
        match self {
            SlaState::NotMonitored => "not_monitored",
            SlaState::Unknown => "unknown",
            SlaState::Unstable => "unstable",
            SlaState::Healthy => "healthy",
            SlaState::Tier1Failed => "tier_1_failed",
            SlaState::Tier2Failed => "tier_2_failed",
        }
    }
}

impl fmt::Display for SlaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Grade> for SlaState {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Healthy => SlaState::Healthy,
            Grade::Tier1Failed => SlaState::Tier1Failed,
            Grade::Tier2Failed => SlaState::Tier2Failed,
        }
    }
}

/// What a machine is to watch.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The limits.
    pub limits: Limits,
    /// How far beyond them a stable grade changes.
    pub threshold: Threshold,
    /// How long a grade must hold.
    pub window: Duration,
    /// Whether the flow's strategy lets a reroute be asked.
    pub latency_based: bool,
}

/// What a machine is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The flow's latency now, nanoseconds; none: it has no valid figure.
    Latency(Option<u64>),
}

/// What a machine says: a change of state, a request, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// State before.
    pub from: SlaState,
    /// State now; the same as before when a request is repeated.
    pub to: SlaState,
    /// What is asked.
    pub action: Option<ActionKind>,
    /// Why, with figures.
    pub reason: String,
    /// When.
    pub at: Instant,
}

/// The machine of one flow. Without a first limit it stays `not_monitored` and says nothing.
#[derive(Debug)]
pub struct Sla {
    config: Config,
    origin: Instant,
    core: Core,
    latency_ns: Option<u64>,
    outputs: VecDeque<Output>,
}

impl Sla {
    /// A machine that has seen no figure yet.
    pub fn new(config: Config, now: Instant) -> Self {
        Sla {
            config,
            origin: now,
            core: Core::new(),
            latency_ns: None,
            outputs: VecDeque::new(),
        }
    }

    /// A machine as it was when `record` was made.
    pub fn restore(config: Config, record: &SlaRecord, now: Instant) -> Self {
        let mut sla = Sla::new(config, now);
        sla.core = Core::restore(record, 0);
        sla
    }

    /// What to keep, so that the machine survives a restart.
    pub fn record(&self, now: Instant) -> SlaRecord {
        self.core.record(self.ns(now))
    }

    /// State now.
    pub fn state(&self) -> SlaState {
        if self.config.limits.is_monitored() {
            self.core.shown()
        } else {
            SlaState::NotMonitored
        }
    }

    /// Takes an input. What was due before it is done first.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if !self.config.limits.is_monitored() {
            return;
        }
        self.handle_timeout(now);
        let Input::Latency(latency_ns) = input;
        self.latency_ns = latency_ns;
        let rules = self.rules();
        let seen = latency_ns.map(|ns| {
            self.config
                .limits
                .grade(ns, self.config.threshold, self.core.last_stable())
        });
        let step = self.core.observe(seen, self.ns(now), rules);
        self.say(now, step);
        // A window of no length has passed already, and a repetition may have waited for this.
        while let Some(step) = self.core.due(self.ns(now), rules) {
            self.say(now, Some(step));
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let rules = self.rules();
        let end = self.ns(now);
        // Each at its own time, also when the driver comes late.
        while let Some((ns, _)) = self.core.deadline(rules).filter(|&(ns, _)| ns <= end) {
            let step = self.core.due(ns, rules);
            self.say(self.origin + Duration::from_nanos(ns), step);
        }
    }

    /// When to call [`Sla::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let (ns, why) = self.core.deadline(self.rules())?;
        Some((self.origin.checked_add(Duration::from_nanos(ns))?, why))
    }

    /// The next thing to say.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn say(&mut self, at: Instant, step: Option<Step>) {
        if let Some(step) = step {
            self.outputs.push_back(Output {
                from: step.from,
                to: step.to,
                action: step.action,
                reason: reason::of(&step, self.latency_ns, self.config.limits, self.config.window, None),
                at,
            });
        }
    }

    fn rules(&self) -> Rules {
        Rules::new(self.config.window, self.config.latency_based)
    }

    fn ns(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin)
            .as_nanos()
            .min(u128::from(u64::MAX)) as u64
    }
}

/// What is kept of a machine across a restart. The window of a grade that was being seen begins anew, because
/// nobody watched while the process was away; the last stable grade and the wait for the next request stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaRecord {
    /// State shown.
    pub state: SlaState,
    /// The last stable grade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stable: Option<Grade>,
    /// The grade whose window was running, when unstable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Grade>,
    /// Reroutes asked since the flow failed.
    pub asked: u32,
    /// Milliseconds until the next may be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_again_in_ms: Option<u64>,
}

/// What holds for a flow and is not its state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub window_ns: u64,
    pub latency_based: bool,
}

impl Rules {
    pub fn new(window: Duration, latency_based: bool) -> Self {
        Rules {
            window_ns: window.as_nanos().min(u128::from(u64::MAX)) as u64,
            latency_based,
        }
    }
}

/// A change of state, a request, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub from: SlaState,
    pub to: SlaState,
    pub action: Option<ActionKind>,
    /// Reroutes asked since the flow failed, with this one.
    pub asked: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no figure.
    Unknown { last: Option<Grade> },
    /// `seen` is not stable yet; it has been seen since `since`.
    Unstable {
        last: Option<Grade>,
        seen: Grade,
        since: u64,
    },
    /// This grade held for the whole window.
    Steady(Grade),
}

/// The next reroute of a flow whose last stable grade is failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ask {
    /// Asked so far.
    asked: u32,
    /// When the next may be asked; [`NEVER`]: none is.
    next: u64,
}

/// A time that does not come.
pub(crate) const NEVER: u64 = u64::MAX;

const NOTHING_ASKED: Ask = Ask { asked: 0, next: NEVER };

/// The machine without its queue and its clock: times are nanoseconds since whatever its owner counts from, so
/// that the fleet can keep a million of them in one table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core {
    state: State,
    ask: Ask,
}

impl Core {
    pub fn new() -> Self {
        Core {
            state: State::Unknown { last: None },
            ask: NOTHING_ASKED,
        }
    }

    pub fn shown(&self) -> SlaState {
        match self.state {
            State::Unknown { .. } => SlaState::Unknown,
            State::Unstable { .. } => SlaState::Unstable,
            State::Steady(grade) => grade.into(),
        }
    }

    pub fn last_stable(&self) -> Option<Grade> {
        match self.state {
            State::Unknown { last } | State::Unstable { last, .. } => last,
            State::Steady(grade) => Some(grade),
        }
    }

    fn seen(&self) -> Option<Grade> {
        match self.state {
            State::Unknown { .. } => None,
            State::Unstable { seen, .. } => Some(seen),
            State::Steady(grade) => Some(grade),
        }
    }

    /// Whether seeing `seen` changes nothing and nothing can be due: it is stable and asks for nothing.
    pub fn is_settled_at(&self, seen: Grade) -> bool {
        self.state == State::Steady(seen) && !seen.is_failed()
    }

    /// Takes the grade of the latency now; none: there is no figure. What is due before `now` must be done already.
    pub fn observe(&mut self, seen: Option<Grade>, now: u64, rules: Rules) -> Option<Step> {
        let from = self.shown();
        self.state = match (self.state, seen) {
            (State::Unknown { last }, None) => State::Unknown { last },
            (State::Unknown { last }, Some(seen)) => State::Unstable { last, seen, since: now },
            (State::Unstable { last, .. }, None) => State::Unknown { last },
            (State::Unstable { last, seen, since }, Some(same)) if same == seen => {
                State::Unstable { last, seen, since }
            }
            (State::Unstable { last, .. }, Some(seen)) => State::Unstable { last, seen, since: now },
            (State::Steady(grade), None) => State::Unknown { last: Some(grade) },
            (State::Steady(grade), Some(same)) if same == grade => State::Steady(grade),
            (State::Steady(grade), Some(seen)) => State::Unstable {
                last: Some(grade),
                seen,
                since: now,
            },
        };
        self.follow_strategy(now, rules);
        self.step(from, None)
    }

    /// The next thing that is due at `now`. To be called until it says none.
    pub fn due(&mut self, now: u64, rules: Rules) -> Option<Step> {
        let from = self.shown();
        if let State::Unstable { last, seen, since } = self.state
            && since.saturating_add(rules.window_ns) <= now
        {
            self.state = State::Steady(seen);
            let action = if last == Some(seen) {
                None
            } else {
                self.ask = NOTHING_ASKED;
                match seen {
                    Grade::Tier1Failed | Grade::Tier2Failed => self.ask_reroute(now, rules),
                    Grade::Healthy => last.map(|_| ActionKind::Sync),
                }
            };
            return self.step(from, action);
        }
        if self.wants_repetition(rules) && self.ask.next <= now {
            let action = self.ask_reroute(now, rules);
            return self.step(from, action);
        }
        None
    }

    /// When [`Core::due`] has something next, and why.
    pub fn deadline(&self, rules: Rules) -> Option<(u64, &'static str)> {
        let window = match self.state {
            State::Unstable { since, .. } => since.saturating_add(rules.window_ns),
            State::Unknown { .. } | State::Steady(_) => NEVER,
        };
        let repetition = if self.wants_repetition(rules) {
            self.ask.next
        } else {
            NEVER
        };
        match window.min(repetition) {
            NEVER => None,
            at if at == window => Some((at, "the grade held for the window")),
            at => Some((at, "the reroute did not help")),
        }
    }

    /// What was measured until now was another path: a running window begins anew.
    pub fn restart_window(&mut self, now: u64) {
        if let State::Unstable { since, .. } = &mut self.state {
            *since = now;
        }
    }

    pub fn record(&self, now: u64) -> SlaRecord {
        SlaRecord {
            state: self.shown(),
            last_stable: self.last_stable(),
            seen: match self.state {
                State::Unstable { seen, .. } => Some(seen),
                State::Unknown { .. } | State::Steady(_) => None,
            },
            asked: self.ask.asked,
            ask_again_in_ms: (self.ask.next != NEVER).then(|| self.ask.next.saturating_sub(now).div_ceil(1_000_000)),
        }
    }

    pub fn restore(record: &SlaRecord, now: u64) -> Self {
        let last = record.last_stable;
        let state = match (record.state, record.seen) {
            (SlaState::Healthy, _) => State::Steady(Grade::Healthy),
            (SlaState::Tier1Failed, _) => State::Steady(Grade::Tier1Failed),
            (SlaState::Tier2Failed, _) => State::Steady(Grade::Tier2Failed),
            (SlaState::Unstable, Some(seen)) => State::Unstable { last, seen, since: now },
            (SlaState::Unstable, None) | (SlaState::Unknown, _) | (SlaState::NotMonitored, _) => {
                State::Unknown { last }
            }
        };
        let next = match record.ask_again_in_ms {
            // No wait of ours is longer than this; a record that says so was not written by us.
            Some(ms) => now.saturating_add(ms.min(10 * repeat::REPEAT_MAX_MS) * 1_000_000),
            None => NEVER,
        };
        Core {
            state,
            ask: Ask {
                asked: record.asked,
                next,
            },
        }
    }

    /// Whether the last stable grade and what is seen now are both failed.
    fn wants_repetition(&self, rules: Rules) -> bool {
        rules.latency_based
            && self.last_stable().is_some_and(Grade::is_failed)
            && self.seen().is_some_and(Grade::is_failed)
    }

    /// A strategy that changed: a failed flow that may be rerouted now was never asked for, or must not be any more.
    fn follow_strategy(&mut self, now: u64, rules: Rules) {
        if !rules.latency_based {
            self.ask = NOTHING_ASKED;
        } else if self.ask.next == NEVER && self.last_stable().is_some_and(Grade::is_failed) {
            self.ask.next = now;
        }
    }

    fn ask_reroute(&mut self, now: u64, rules: Rules) -> Option<ActionKind> {
        if !rules.latency_based {
            return None;
        }
        let asked = self.ask.asked.saturating_add(1);
        self.ask = Ask {
            asked,
            next: now.saturating_add(repeat::wait_ns(rules.window_ns, asked)),
        };
        Some(ActionKind::Reroute)
    }

    fn step(&self, from: SlaState, action: Option<ActionKind>) -> Option<Step> {
        let to = self.shown();
        (from != to || action.is_some()).then_some(Step {
            from,
            to,
            action,
            asked: self.ask.asked,
        })
    }
}

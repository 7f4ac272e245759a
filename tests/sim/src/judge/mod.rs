//! What must hold after every step. The judge sees what everybody else sees, and what nobody can (what really stands on a
//! switch); it changes nothing, so that a run is the same with and without it.

mod answers;
mod generations;
mod links;
mod order;
mod queues;
mod settled;
pub mod stay;
mod terms;

use std::fmt;

use ofproto::ControllerRole;
use skerry_bus::{Cause, CorrelationId, Decoded, Outcome, PortNo, SwitchId, Topic, decode};
use skerry_speaker_core::Counter;

use crate::client::Who;
use crate::fabric::{Conn, SwitchHost};
use crate::load::Asked;
use crate::log::{Group, Tp};
use crate::scenario::{Failback, Scenario};
use crate::time::{MS, Ns};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which invariant.
    pub invariant: &'static str,
    /// At which event of the run.
    pub step: u64,
    /// When.
    pub at: Ns,
    /// What.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            invariant,
            step,
            at,
            what,
        } = self;
        let ms = at / MS;
        write!(
            f,
            "{invariant}: {what} (step {step}, {}.{:03} s)",
            ms / 1_000,
            ms % 1_000
        )
    }
}

/// All invariants.
pub struct Judge {
    /// The first thing that was not as it must be.
    pub failure: Option<Failure>,
    passed_over: Vec<String>,
    now: Ns,
    step: u64,
    terms: terms::Terms,
    answers: answers::Answers,
    generations: generations::Generations,
    order: order::Order,
    links: links::Links,
    queues: queues::Queues,
}

/// How a command ended at a speaker.
#[derive(Debug)]
pub struct End {
    /// Its switch; none: it was for the region.
    pub switch: Option<SwitchId>,
    /// Its name.
    pub id: CorrelationId,
    /// How.
    pub outcome: Outcome,
    /// Why not otherwise.
    pub cause: Option<Cause>,
}

/// What an invariant says when it does not hold.
pub(crate) type Verdict = Result<(), String>;

impl Judge {
    /// Nothing happened yet.
    pub fn new(scenario: &Scenario) -> Judge {
        Judge {
            failure: None,
            passed_over: scenario.passed_over.clone(),
            now: 0,
            step: 0,
            terms: terms::Terms::new(scenario),
            answers: answers::Answers::default(),
            generations: generations::Generations::new(scenario),
            order: order::Order::default(),
            links: links::Links::new(scenario),
            queues: queues::Queues::new(scenario),
        }
    }

    /// The next step begins.
    pub fn at(&mut self, step: u64, now: Ns) {
        self.step = step;
        self.now = now;
    }

    /// Something is not as it must be; what comes after the first counts no more.
    pub fn fail(&mut self, invariant: &'static str, what: String) {
        if self.passed_over.iter().any(|name| name == invariant) {
            return;
        }
        let (step, at) = (self.step, self.now);
        self.failure.get_or_insert(Failure {
            invariant,
            step,
            at,
            what,
        });
    }

    fn hold(&mut self, invariant: &'static str, verdict: Verdict) {
        if let Err(what) = verdict {
            self.fail(invariant, what);
        }
    }

    // ---- the log ------------------------------------------------------------------------------------------------

    /// A service says a command, which gets this place.
    pub fn asked(&mut self, all: &[Asked], n: usize, tp: Tp, offset: i64) {
        self.answers.asked(self.now, all, n, tp, offset);
        self.queues.asked(&all[n], tp, offset);
    }

    /// A record is in the log; `again`: it is a copy that the log made.
    pub fn appended(&mut self, topic: &Topic, tp: Tp, offset: i64, payload: &[u8], by: Option<Who>, again: bool) {
        let verdict = self.queues.appended(self.now, topic, by);
        self.hold("queues", verdict);
        if again {
            return;
        }
        match topic {
            Topic::RegionCommands(_) => {
                if let Decoded::Message(command) = decode::<skerry_bus::Command>(payload) {
                    self.order.appended(&command, tp, offset);
                    let verdict = self.generations.said(&command);
                    self.hold("generations", verdict);
                }
            }
            Topic::Replies => {
                let verdict = self.answers.replied(self.now, payload);
                self.hold("answers", verdict);
            }
            Topic::Events => {
                let verdict = self.links.told(self.now, payload);
                self.hold("links", verdict);
            }
            Topic::Commands
            | Topic::RegionEvents(_)
            | Topic::Latency(_)
            | Topic::StatePresence
            | Topic::StateRegions
            | Topic::Actions
            | Topic::DeadLetter => {}
        }
    }

    /// Everything below an offset is said to be done with.
    pub fn committed(&mut self, group: Group, tp: Tp, offset: i64) {
        if group == Group::Routers {
            let verdict = self.answers.committed(tp, offset);
            self.hold("commits", verdict);
        }
    }

    // ---- speakers -----------------------------------------------------------------------------------------------

    /// A speaker's process starts.
    pub fn speaker_started(&mut self, n: usize) {
        self.order.started(n);
        self.queues.speaker_started(n);
    }

    /// A speaker reads a record of its commands.
    pub fn speaker_read(&mut self, n: usize, tp: Tp, offset: i64) {
        self.order.read(n, tp, offset);
    }

    /// A command ends at a speaker, which will say so.
    pub fn speaker_ends(&mut self, n: usize, end: &End, switches: &[SwitchHost], conns: &[Conn]) {
        let verdict = self.order.ended(n, end);
        self.hold("order", verdict);
        let verdict = self.generations.ended(n, end, switches, conns);
        self.hold("generations", verdict);
    }

    /// A speaker counts something.
    pub fn speaker_counts(&mut self, n: usize, counter: Counter, by: u64) {
        self.queues.speaker_counts(n, counter, by);
    }

    // ---- routers ------------------------------------------------------------------------------------------------

    /// A router starts.
    pub fn router_started(&mut self) {
        self.queues.router_started();
        self.answers.health(self.now, |health| health.runs = true);
    }

    /// A router is gone.
    pub fn router_ended(&mut self) {
        self.answers.health(self.now, |health| health.runs = false);
    }

    /// A router stands still.
    pub fn router_stopped(&mut self) {
        self.answers.health(self.now, |health| health.stopped = true);
    }

    /// A router goes on.
    pub fn router_goes_on(&mut self) {
        self.answers.health(self.now, |health| health.stopped = false);
    }

    /// A router reaches the log, or does not.
    pub fn router_hears(&mut self, well: bool) {
        self.answers.health(self.now, |health| health.cut = !well);
    }

    /// A router reads late.
    pub fn router_slow(&mut self, by: Ns) {
        self.answers.health(self.now, |health| health.slow = by > 0);
    }

    /// A router's store takes its time.
    pub fn router_store_slow(&mut self, by: Ns) {
        self.answers.health(self.now, |health| health.store_slow = by > 0);
    }

    /// A router reads a command.
    pub fn router_read(&mut self, tp: Tp, offset: i64) {
        self.answers.read(tp, offset);
        self.queues.router_read(tp, offset);
    }

    /// A router is told that an answer was given up: it says it again.
    pub fn answer_not_delivered(&mut self) {
        self.answers.not_delivered();
    }

    /// A router counts something.
    pub fn router_counts(&mut self, name: &'static str, value: &str) {
        self.queues.router_counts(name, value);
    }

    // ---- switches -----------------------------------------------------------------------------------------------

    /// A switch took a write.
    pub fn written(&mut self, switch: usize, region: usize, role: ControllerRole, term: Option<u64>) {
        let verdict = self.terms.written(switch, region, role, term);
        self.hold("terms", verdict);
    }

    /// A switch made a region's connection MASTER. Gives whether another had been it.
    pub fn mastered(&mut self, switch: usize, region: usize, term: u64) -> bool {
        let (takeover, verdict) = self.terms.mastered(switch, region, term);
        self.hold("terms", verdict);
        takeover
    }

    /// A region was deposed while all was calm.
    pub fn deposed(&mut self, failback: Failback, switch: usize, change: stay::Change) {
        let verdict = stay::judge(failback, switch, change);
        self.hold("stay", verdict);
    }

    /// A switch started anew.
    pub fn rebooted(&mut self, switch: usize) {
        self.terms.rebooted(switch);
        self.generations.rebooted(switch);
    }

    /// A packet came through a cable to this port.
    pub fn crossed(&mut self, switch: usize, port: PortNo) {
        self.links.crossed(self.now, switch, port);
    }
}

/// Whether these bytes stand in there.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    // What is looked for stands behind the head of a message, which is short.
    let first = part[0];
    let last = bytes.len().saturating_sub(part.len());
    (0..=last).any(|at| bytes[at] == first && bytes[at..].starts_with(part))
}

//! Draining: the switches of a region that is to be emptied move to their next regions, a few at a time.
//!
//! It is told which regions are drained and how each switch stands, and says which switch is to move now. Which region is
//! the next one is not decided here, nor is a region asked for anything: that is [`crate::presence`], which also gives a
//! drained region nothing new. A switch has moved when another region has confirmed its role.
//!
//! ```text
//!                    a place is free             another confirmed
//!          Waiting --------------------> Moving ------------------> (not ours)
//!           ^   ^                         |  ^                          ^
//!   another |   | the move did not happen |  | time                     |
//!   reaches |   +-------------------------+  v                          |
//!   it      v                              Hanging ---------------------+
//!        Staying
//! ```
//!
//! | how the switch stands | not ours | waiting | staying | moving, hanging |
//! | --- | --- | --- | --- | --- |
//! | active in a drained region, another can take it | waiting | – | waiting | moving: – (until time); hanging: waiting |
//! | active in a drained region, nobody else can | staying | staying | – | staying |
//! | active elsewhere, not confirmed | – | not ours | not ours | – |
//! | active elsewhere, confirmed | – | not ours | not ours | not ours |
//! | active nowhere | – | not ours | not ours | not ours |
//! | the region is drained no more | – | not ours | not ours | not ours |
//! | time | – | – | – | moving: hanging, its place is free; still in the drained region: waiting |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::{Region, SwitchId};

use crate::due::Due;

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Switches that move at a time. Each costs its next region a role request and the comparison of all its rules, so this
    /// many at a time load a region no more than its ordinary work, and a thousand switches have moved within seconds.
    pub at_a_time: usize,
    /// A move that is not confirmed after this hangs: its place is given to the next.
    pub hang: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            at_a_time: 16,
            hang: Duration::from_secs(2),
        }
    }
}

/// How a switch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The region that is active.
    pub active: Option<Region>,
    /// Whether it has confirmed its role.
    pub confirmed: bool,
    /// Whether another region could be made active, that is not drained.
    pub movable: bool,
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The region is to be emptied, or may be used again. How its switches stand is told behind.
    Region {
        /// The region.
        region: Region,
        /// Whether it is drained from now on.
        drained: bool,
    },
    /// How a switch stands now.
    Switch {
        /// The switch.
        switch: SwitchId,
        /// How it stands.
        sight: Sight,
    },
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make the next region of the switch active. How it stands then is told as ever.
    Move {
        /// The switch.
        switch: SwitchId,
        /// The region it is to leave.
        from: Region,
    },
    /// Nothing waits or moves there any more.
    Empty {
        /// The region.
        region: Region,
        /// How many moved.
        moved: u64,
    },
}

/// How far a region is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Switches that wait for their turn.
    pub waiting: u32,
    /// Switches that move now.
    pub moving: u32,
    /// Switches whose next region has not confirmed in time.
    pub hanging: Vec<SwitchId>,
    /// Switches that no other region can take: they stay where they are.
    pub staying: Vec<SwitchId>,
    /// Switches that moved since the draining began.
    pub moved: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Staying,
    Moving,
    Hanging,
}

/// A drained region, in numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    moved: u64,
    /// Switches that wait, move or hang.
    open: usize,
}

#[derive(Debug)]
struct Ours {
    from: Region,
    state: State,
    /// Whether it is still active in the region it is to leave.
    there: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Drain {
    config: Config,
    regions: BTreeMap<Region, Tally>,
    switches: BTreeMap<SwitchId, Ours>,
    waiting: BTreeSet<SwitchId>,
    moving: usize,
    due: Due<SwitchId>,
    outputs: VecDeque<Output>,
}

impl Drain {
    /// No region is drained.
    pub fn new(config: Config, _now: Instant) -> Self {
        Drain {
            config,
            regions: BTreeMap::new(),
            switches: BTreeMap::new(),
            waiting: BTreeSet::new(),
            moving: 0,
            due: Due::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Whether how switches stand is of no interest: no region is drained.
    pub fn is_idle(&self) -> bool {
        self.regions.is_empty()
    }

    /// Whether a region is drained.
    pub fn is_drained(&self, region: &Region) -> bool {
        self.regions.contains_key(region)
    }

    /// How far a region is; none if it is not drained.
    pub fn progress(&self, region: &Region) -> Option<Progress> {
        let mut progress = Progress {
            moved: self.regions.get(region)?.moved,
            ..Progress::default()
        };
        for (switch, ours) in self.switches.iter().filter(|(_, ours)| ours.from == *region) {
            match ours.state {
                State::Waiting => progress.waiting += 1,
                State::Moving => progress.moving += 1,
                State::Hanging => progress.hanging.push(*switch),
                State::Staying => progress.staying.push(*switch),
            }
        }
        Some(progress)
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Region { region, drained: true } => {
                self.regions.entry(region).or_default();
            }
            Input::Region { region, drained: false } => {
                self.regions.remove(&region);
                let all = self.switches.iter().filter(|(_, ours)| ours.from == region);
                for switch in all.map(|(s, _)| *s).collect::<Vec<_>>() {
                    self.leave(switch);
                }
            }
            Input::Switch { switch, sight } => {
                let from = self.switches.get(&switch).map(|ours| ours.from.clone());
                let tally = |drain: &Self, region: &Region| drain.regions.get(region).copied().unwrap_or_default();
                let before = from.as_ref().map_or(0, |from| tally(self, from).open);
                self.sight(switch, sight);
                if let Some(region) = from.filter(|_| before > 0) {
                    let Tally { moved, open } = tally(self, &region);
                    if open == 0 {
                        self.outputs.push_back(Output::Empty { region, moved });
                    }
                }
            }
        }
        self.fill(now);
    }

    fn sight(&mut self, switch: SwitchId, sight: Sight) {
        let drained = sight.active.clone().filter(|region| self.regions.contains_key(region));
        let state = self.switches.get(&switch).map(|ours| ours.state);
        match (state, drained) {
            (Some(State::Waiting | State::Moving | State::Hanging), Some(from)) if !sight.movable => {
                self.enter(switch, from, State::Staying);
            }
            (Some(State::Hanging), Some(from)) => self.enter(switch, from, State::Waiting),
            (Some(State::Moving), Some(_)) => {
                // It is about to be moved; if that does not happen, there is another try when its time is over.
                if let Some(ours) = self.switches.get_mut(&switch) {
                    ours.there = true;
                }
            }
            (None | Some(State::Waiting | State::Staying), Some(from)) => {
                let state = if sight.movable { State::Waiting } else { State::Staying };
                self.enter(switch, from, state);
            }
            (Some(State::Moving | State::Hanging), None) if sight.active.is_some() && !sight.confirmed => {
                if let Some(ours) = self.switches.get_mut(&switch) {
                    ours.there = false;
                }
            }
            (Some(State::Moving | State::Hanging), None) => {
                let from = self.switches.get(&switch).map(|ours| ours.from.clone());
                if sight.active.is_some()
                    && let Some(moved) = from.and_then(|from| self.regions.get_mut(&from))
                {
                    moved.moved += 1;
                }
                self.leave(switch);
            }
            (Some(State::Waiting | State::Staying), None) => self.leave(switch),
            (None, None) => {}
        }
    }

    fn enter(&mut self, switch: SwitchId, from: Region, state: State) {
        self.leave(switch);
        match state {
            State::Waiting => drop(self.waiting.insert(switch)),
            State::Moving => self.moving += 1,
            State::Staying | State::Hanging => {}
        }
        if state != State::Staying
            && let Some(tally) = self.regions.get_mut(&from)
        {
            tally.open += 1;
        }
        let there = true;
        self.switches.insert(switch, Ours { from, state, there });
    }

    fn leave(&mut self, switch: SwitchId) {
        self.due.set(switch, None);
        let ours = self.switches.remove(&switch);
        if let Some(ours) = ours.as_ref().filter(|ours| ours.state != State::Staying)
            && let Some(tally) = self.regions.get_mut(&ours.from)
        {
            tally.open -= 1;
        }
        match ours.map(|ours| ours.state) {
            Some(State::Waiting) => drop(self.waiting.remove(&switch)),
            Some(State::Moving) => self.moving -= 1,
            Some(State::Staying | State::Hanging) | None => {}
        }
    }

    /// Give free places to those that wait, by their id.
    fn fill(&mut self, now: Instant) {
        while self.moving < self.config.at_a_time
            && let Some(switch) = self.waiting.first().copied()
            && let Some(from) = self.switches.get(&switch).map(|ours| ours.from.clone())
        {
            self.enter(switch, from.clone(), State::Moving);
            self.due.set(switch, Some(now + self.config.hang));
            self.outputs.push_back(Output::Move { switch, from });
        }
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for switch in self.due.take(now) {
            let Some(Ours { from, there, .. }) = self.switches.get(&switch) else {
                continue;
            };
            let (from, there) = (from.clone(), *there);
            self.enter(switch, from, if there { State::Waiting } else { State::Hanging });
        }
        self.fill(now);
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.due.first().map(|(at, _)| (at, "move is not confirmed"))
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;

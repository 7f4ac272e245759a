//! The network sync: all regions are asked for everything at an interval, unless the toggle is off.
//!
//! It heals what nobody noticed. With the toggle off nothing depends on it: whoever starts later asks for what it
//! missed ([`crate::liveness`]).
//!
//! | state | toggle on | toggle off | time |
//! | --- | --- | --- | --- |
//! | off | waits a whole interval | – | – |
//! | waiting | – | off | asks every region, waits a whole interval |

use std::time::{Duration, Instant};

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Time between two syncs.
    pub interval: Duration,
    /// Whether it is on at first.
    pub on: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            interval: Duration::from_secs(60),
            on: true,
        }
    }
}

/// What the machine is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The feature toggle.
    Toggle(bool),
}

/// What the machine decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Ask every region for a snapshot.
    AskAllRegions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Off,
    Waiting { until: Instant },
}

/// The machine.
#[derive(Debug)]
pub struct Sync {
    config: Config,
    state: State,
    due: bool,
}

impl Sync {
    /// Waits a whole interval first: every start asks for snapshots by itself.
    pub fn new(config: Config, now: Instant) -> Self {
        let state = match config.on {
            true => State::Waiting {
                until: now + config.interval,
            },
            false => State::Off,
        };
        Sync {
            config,
            state,
            due: false,
        }
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.handle_timeout(now);
        self.state = match (self.state, input) {
            (State::Off, Input::Toggle(true)) => State::Waiting {
                until: now + self.config.interval,
            },
            (State::Off, Input::Toggle(false)) => State::Off,
            (state @ State::Waiting { .. }, Input::Toggle(true)) => state,
            (State::Waiting { .. }, Input::Toggle(false)) => State::Off,
        };
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Waiting { until } = self.state
            && now >= until
        {
            self.due = true;
            // From now and not from `until`: a process that slept asks once, not once for each missed interval.
            self.state = State::Waiting {
                until: now + self.config.interval,
            };
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match self.state {
            State::Off => None,
            State::Waiting { until } => Some((until, "network sync")),
        }
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        std::mem::take(&mut self.due).then_some(Output::AskAllRegions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);

    #[test]
    fn every_pair_of_state_and_input() {
        let t0 = Instant::now();
        let half = t0 + INTERVAL / 2;
        // (on at first, input, wakes at)
        for (on, input, wakes) in [
            (false, Input::Toggle(false), None),
            (false, Input::Toggle(true), Some(half + INTERVAL)),
            (true, Input::Toggle(true), Some(t0 + INTERVAL)),
            (true, Input::Toggle(false), None),
        ] {
            let mut sync = Sync::new(Config { interval: INTERVAL, on }, t0);
            sync.handle_input(half, input);
            assert_eq!(sync.poll_timeout().map(|t| t.0), wakes, "{on} {input:?}");
            assert_eq!(sync.poll_output(), None);
            sync.handle_timeout(t0 + 3 * INTERVAL);
            let asked = sync.poll_output();
            assert_eq!(asked, wakes.map(|_| Output::AskAllRegions), "{on} {input:?}");
            assert_eq!(sync.poll_output(), None, "missed intervals are not made up for");
        }
    }

    #[test]
    fn it_asks_once_an_interval() {
        let t0 = Instant::now();
        let mut sync = Sync::new(Config::default(), t0);
        let mut asked = 0;
        for _ in 0..10 {
            let (at, why) = sync.poll_timeout().expect("it is on");
            assert_eq!(why, "network sync");
            sync.handle_timeout(at);
            asked += i32::from(sync.poll_output().is_some());
        }
        assert_eq!(asked, 10);
        assert_eq!(sync.poll_timeout().map(|t| t.0), Some(t0 + 11 * INTERVAL));
    }
}

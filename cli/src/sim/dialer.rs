//! Reaching controllers: each switch tries each of its controllers until it is there, and again when it is gone.
//!
//! ```text
//! Waiting --time--> Dialing --reached--> Reached --gone--> Waiting
//!    ^                 |
//!    +-- unreachable --+
//! ```
//!
//! A machine without sockets: it says when to try, and is told what came of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::SwitchId;

use super::switch::ConnId;

/// Time between two tries. Short, so that a speaker that was started again is reached at once.
const RETRY: Duration = Duration::from_millis(500);

/// A controller of a switch, by its place in the list of controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The switch.
    pub switch: SwitchId,
    /// The controller.
    pub controller: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is tried again.
    Waiting { until: Instant },
    /// The driver tries.
    Dialing,
    /// It is there.
    Reached(ConnId),
}

/// All lines.
#[derive(Debug)]
pub struct Dialer {
    of: BTreeMap<Line, State>,
    outputs: VecDeque<Line>,
}

impl Dialer {
    /// Every switch tries every controller at once.
    pub fn new(switches: impl IntoIterator<Item = SwitchId>, controllers: usize, now: Instant) -> Dialer {
        let lines = switches
            .into_iter()
            .flat_map(|switch| (0..controllers).map(move |controller| Line { switch, controller }));
        Dialer {
            of: lines.map(|line| (line, State::Waiting { until: now })).collect(),
            outputs: VecDeque::new(),
        }
    }

    /// A controller is there.
    pub fn reached(&mut self, line: Line, conn: ConnId) {
        if let Some(state) = self.of.get_mut(&line) {
            *state = State::Reached(conn);
        }
    }

    /// A controller was not there.
    pub fn unreachable(&mut self, now: Instant, line: Line) {
        match self.of.get_mut(&line) {
            Some(state @ State::Dialing) => *state = State::Waiting { until: now + RETRY },
            Some(State::Waiting { .. } | State::Reached(_)) | None => {}
        }
    }

    /// A connection is gone, whoever ended it.
    pub fn gone(&mut self, now: Instant, conn: ConnId) {
        let of_it = self.of.values_mut().find(|state| **state == State::Reached(conn));
        if let Some(state) = of_it {
            *state = State::Waiting { until: now + RETRY };
        }
    }

    /// A deadline is reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (line, state) in &mut self.of {
            if matches!(state, State::Waiting { until } if *until <= now) {
                *state = State::Dialing;
                self.outputs.push_back(*line);
            }
        }
    }

    /// When to wake it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.of.values().filter_map(|state| match state {
            State::Waiting { until } => Some(*until),
            State::Dialing | State::Reached(_) => None,
        });
        waiting.min()
    }

    /// A line to try.
    pub fn poll_output(&mut self) -> Option<Line> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line = Line {
        switch: SwitchId(1),
        controller: 0,
    };
    const CONN: ConnId = ConnId(4);

    /// In each of the three states.
    fn states(now: Instant) -> [Dialer; 3] {
        let waiting = || Dialer::new([SwitchId(1)], 1, now);
        let dialing = || {
            let mut dialer = waiting();
            dialer.handle_timeout(now);
            assert_eq!((dialer.poll_output(), dialer.poll_output()), (Some(LINE), None));
            dialer
        };
        let mut reached = dialing();
        reached.reached(LINE, CONN);
        [waiting(), dialing(), reached]
    }

    #[test]
    fn the_whole_table_of_states_and_inputs() {
        let now = Instant::now();
        let later = now + Duration::from_secs(9);
        type Input = (&'static str, fn(&mut Dialer, Instant));
        let inputs: [Input; 5] = [
            ("reached", |d, _| d.reached(LINE, ConnId(5))),
            ("unreachable", |d, now| d.unreachable(now, LINE)),
            ("gone", |d, now| d.gone(now, CONN)),
            ("another gone", |d, now| d.gone(now, ConnId(77))),
            ("time", |d, now| d.handle_timeout(now)),
        ];
        let waiting = |until| State::Waiting { until };
        let (new, again) = (State::Reached(ConnId(5)), waiting(later + RETRY));
        // Rows: inputs; columns: Waiting, Dialing, Reached.
        let table = [
            [new, new, new],
            [waiting(now), again, State::Reached(CONN)],
            [waiting(now), State::Dialing, again],
            [waiting(now), State::Dialing, State::Reached(CONN)],
            [State::Dialing, State::Dialing, State::Reached(CONN)],
        ];
        for ((name, input), row) in inputs.iter().zip(table) {
            for (mut dialer, wanted) in states(now).into_iter().zip(row) {
                let before = dialer.of[&LINE];
                input(&mut dialer, later);
                assert_eq!(dialer.of[&LINE], wanted, "{before:?}, {name}");
                let tries = dialer.poll_output().is_some();
                assert_eq!(tries, before == waiting(now) && *name == "time", "{before:?}, {name}");
            }
        }
    }
}

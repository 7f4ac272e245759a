//! Connections: tried, reached, through their handshake, ended.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Dial, Output, Timer, World};
use crate::load::line::{State, back_off};
use crate::load::manner::Manner;
use crate::sim::switch;

/// How long after its handshake a switch begins to misbehave: by then a controller has asked all it wants to know.
const TURNS_AFTER: Duration = Duration::from_secs(1);

impl World {
    pub(super) fn dial(&mut self, now: Instant, line: usize) {
        let at = &mut self.lines[line];
        if !matches!(at.state, State::Waiting { at } if at <= now) {
            return;
        }
        at.forget();
        at.tries += 1;
        at.state = State::Dialing { since: now };
        let source = line
            .checked_rem(self.plan.sources.len())
            .map(|turn| self.plan.sources[turn]);
        self.outputs.push_back(Output::Dial(Dial {
            conn: at.conn(line),
            to: at.to,
            source,
            small: at.manner == Manner::Slow,
            tls: at.manner != Manner::Sink,
        }));
    }

    pub(super) fn unreachable(&mut self, now: Instant, line: usize, reason: &str) {
        self.tally.unreachable.add(reason);
        self.lines[line].failures += 1;
        self.again(now, line);
    }

    /// A line that is not there is tried again, if that is wanted.
    fn again(&mut self, now: Instant, line: usize) {
        let at = &mut self.lines[line];
        let Some(first) = self.plan.reconnect.filter(|_| at.manner != Manner::Sink) else {
            at.state = State::Over;
            return;
        };
        let due = now + back_off(first, at.failures.saturating_sub(1));
        at.state = State::Waiting { at: due };
        self.at(due, Timer::Dial(line));
    }

    pub(super) fn connected(&mut self, now: Instant, line: usize, since: Instant) {
        let at = &mut self.lines[line];
        at.state = State::Up { since: now };
        let (conn, switch) = (at.conn(line), at.switch);
        let manner = at.manner;
        match manner {
            Manner::Good => self.milestones.connected(now - self.start, now - since),
            _ => self.tally.habit(manner).connected += 1,
        }
        if manner.speaks() {
            self.tell(now, switch, switch::Input::Connected(conn));
        } else if manner == Manner::Trickle {
            self.habit_at(now, line);
        }
    }

    /// The controller has the features.
    pub(super) fn handshaken(&mut self, now: Instant, line: usize) {
        let at = &mut self.lines[line];
        let manner = at.manner;
        at.handshaken = true;
        at.failures = 0;
        let State::Up { since } = at.state else { return };
        if manner != Manner::Good {
            self.tally.habit(manner).handshaken += 1;
            if manner == Manner::Churn {
                self.habit_at(now, line);
            } else if manner.turns() {
                self.habit_at(now + TURNS_AFTER, line);
            }
            return;
        }
        if self.milestones.handshaken(now - self.start, now - since) {
            self.outputs.push_back(Output::Say(json!({
                "ready": true,
                "switches": self.plan.switches,
                "first_id": self.plan.first_id,
                "link_ends": self.wiring.ends(),
                "connections": self.milestones.told(),
            })));
            self.let_duplicates_come(now);
        }
        self.start_echo(now, line);
        self.start_packet_ins(now, line);
    }

    /// Duplicates come when those whose ids they have are there.
    fn let_duplicates_come(&mut self, now: Instant) {
        for line in 0..self.lines.len() {
            if self.lines[line].manner == Manner::Duplicate {
                self.at(now, Timer::Dial(line));
            }
        }
    }

    /// The controller gave it the role that it asked for.
    pub(super) fn settled(&mut self, now: Instant, line: usize) {
        let at = &mut self.lines[line];
        at.settled = true;
        if let (State::Up { since }, Manner::Good) = (at.state, at.manner) {
            self.milestones.settled(now - self.start, now - since);
        }
    }

    /// The controller is gone.
    pub(super) fn closed(&mut self, now: Instant, line: usize, reason: &str) {
        let at = &self.lines[line];
        if at.manner.speaks() {
            self.tell(now, at.switch, switch::Input::Closed(at.conn(line)));
        }
        self.ended(now, line, reason);
    }

    /// The switch hangs up; it has forgotten the connection.
    pub(super) fn close(&mut self, now: Instant, line: usize, reason: &str) {
        let at = &mut self.lines[line];
        if !at.is_up() {
            return;
        }
        let last = at.out.split().freeze();
        self.outputs.push_back(Output::Close(at.conn(line), last));
        self.ended(now, line, reason);
    }

    /// The run hangs up, and the switch is told.
    pub(super) fn cut(&mut self, now: Instant, line: usize, reason: &str) {
        let at = &self.lines[line];
        if at.manner.speaks() {
            self.tell(now, at.switch, switch::Input::Closed(at.conn(line)));
        }
        self.close(now, line, reason);
    }

    /// A connection is gone; the switch knows.
    fn ended(&mut self, now: Instant, line: usize, reason: &str) {
        let at = &mut self.lines[line];
        let State::Up { since } = at.state else { return };
        self.tally.echo_lost += at.echo.forget() as u64;
        self.tally.packet_ins.lost += at.asked.forget() as u64;
        match at.manner {
            Manner::Good => {
                self.tally.ends.add(reason);
                self.milestones.ended(at.handshaken, at.settled);
            }
            manner => {
                let habit = self.tally.habit(manner);
                habit.ends.add(reason);
                habit.lasted.add(now - since);
            }
        }
        // A connection that came to something is tried again soon, and then less and less often.
        at.failures = if at.handshaken { 1 } else { at.failures + 1 };
        at.forget();
        self.again(now, line);
    }
}

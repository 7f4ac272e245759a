//! Echo requests of well-behaved switches.

use std::time::{Duration, Instant};

use ofproto::{HEADER_LEN, MessageType, VERSION_1_3};

use super::{Timer, World};
use crate::load::echo::IN_FLIGHT_MAX;
use crate::load::manner::Manner;
use crate::load::plan::Echo;

/// Echo requests of one connection that may be unanswered when they are asked at intervals.
const EVERY_MAX: usize = 64;

impl World {
    /// A connection begins to ask, as the plan says.
    pub(super) fn start_echo(&mut self, now: Instant, line: usize) {
        match self.plan.echo {
            Echo::None => self.lines[line].echo.resize(0),
            Echo::InFlight(count) => {
                self.lines[line].echo.resize(count);
                while self.ask_echo(now, line) {}
            }
            Echo::Every(interval) => {
                self.lines[line].echo.resize(EVERY_MAX);
                // Spread evenly over the interval.
                let part = line as f64 / self.lines.len().max(1) as f64;
                self.echo_at(now + interval.mul_f64(part), line);
            }
        }
    }

    /// Asks once, if there is room.
    fn ask_echo(&mut self, now: Instant, line: usize) -> bool {
        let at = &mut self.lines[line];
        if at.silenced {
            return false;
        }
        let Some(xid) = at.echo.ask(now) else { return false };
        let length = HEADER_LEN + self.plan.echo_bytes;
        let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        at.out
            .extend_from_slice(&[VERSION_1_3, MessageType::ECHO_REQUEST.0, high, low]);
        at.out.extend_from_slice(&xid.to_be_bytes());
        at.out.resize(at.out.len() + self.plan.echo_bytes, 0);
        self.tally.out.add(MessageType::ECHO_REQUEST, 1, length);
        self.written(line);
        true
    }

    /// An answer makes room for the next question.
    pub(super) fn echo_answered(&mut self, now: Instant, line: usize) {
        if matches!(self.plan.echo, Echo::InFlight(_)) {
            self.ask_echo(now, line);
        }
    }

    pub(super) fn echo_due(&mut self, now: Instant, line: usize, due: Instant) {
        let Echo::Every(interval) = self.plan.echo else { return };
        let at = &self.lines[line];
        // It begins again with the next handshake; another timer is of what was before.
        if !at.handshaken || at.silenced || at.echo_at != Some(due) {
            return;
        }
        if !self.ask_echo(now, line) {
            self.tally.echo_held += 1;
        }
        // What was missed is not made up for.
        self.echo_at((due + interval).max(now), line);
    }

    fn echo_at(&mut self, due: Instant, line: usize) {
        self.lines[line].echo_at = Some(due);
        self.at(due, Timer::Echo(line));
    }

    /// Changes how all connections ask.
    pub(super) fn set_echo(&mut self, now: Instant, in_flight: usize, every_ms: u64) -> Result<(), String> {
        self.plan.echo = match (in_flight, every_ms) {
            (0, 0) => Echo::None,
            (count, 0) if count <= IN_FLIGHT_MAX => Echo::InFlight(count),
            (0, every) => Echo::Every(Duration::from_millis(every)),
            (_, 0) => return Err(format!("in_flight: at most {IN_FLIGHT_MAX}")),
            _ => return Err("in_flight or every_ms, not both".to_owned()),
        };
        for line in 0..self.lines.len() {
            self.lines[line].echo_at = None;
            self.tally.echo_lost += self.lines[line].echo.forget() as u64;
            if self.lines[line].handshaken && self.lines[line].manner == Manner::Good {
                self.start_echo(now, line);
            }
        }
        Ok(())
    }
}

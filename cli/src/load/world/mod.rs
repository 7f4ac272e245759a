//! All switches of a run with their connections, links and workloads: one pure machine, told the time.
//!
//! What every controller asks for often (echoes, barriers) is answered here without a look at the switch; all else is the
//! switch's own business (`sim/switch`). Bytes for a connection wait in its line until the driver has written them, so that
//! what a controller does not take is seen here.

mod asked;
mod echoes;
mod frames;
mod habits;
mod late;
mod lines;
mod switches;
#[cfg(test)]
mod tests;
mod traffic;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;
use skerry_bus::{PortNo, SwitchId};
use skerry_network::Packet;

use super::line::{Line, State, index};
use super::manner::Manner;
use super::milestones::Milestones;
use super::plan::Plan;
use super::request::Request;
use super::tally::Tally;
use super::wiring::Wiring;
use crate::sim::switch::{ConnId, Switch};
use habits::Noise;
use late::Late;
use traffic::Traffic;

/// What happens.
#[derive(Debug)]
pub enum Input<'a> {
    /// A controller is reached.
    Connected(ConnId),
    /// It is not there, for this reason.
    Unreachable(ConnId, String),
    /// It says something; any cut of the stream.
    Received(ConnId, &'a [u8]),
    /// It is gone, for this reason.
    Closed(ConnId, String),
    /// Somebody asks.
    Asked(Request),
    /// Nobody will ask any more: standard input is at its end.
    NobodyAsks,
    /// The run is to end.
    End,
}

/// What is done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Try to reach a controller.
    Dial(Dial),
    /// There is something in [`World::unwritten`].
    Write(ConnId),
    /// From now on read no more than so many bytes.
    Read(ConnId, usize),
    /// Write this, then hang up.
    Close(ConnId, Bytes),
    /// A line of output.
    Say(Value),
    /// End, after everything before it; whether all went as it should.
    Quit(bool),
}

/// A try to connect.
#[derive(Debug, PartialEq)]
pub struct Dial {
    /// Number of the connection.
    pub conn: ConnId,
    /// Where to.
    pub to: SocketAddr,
    /// Where from; none: the system chooses.
    pub source: Option<IpAddr>,
    /// Whether what it has not read shall stay small.
    pub small: bool,
    /// Whether TLS is wanted there, if it is wanted at all.
    pub tls: bool,
}

/// What is to be done at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A line is tried.
    Dial(usize),
    /// A switch has something to do.
    Switch(usize),
    /// A connection asks for an echo.
    Echo(usize),
    /// A line that misbehaves does it.
    Habit(usize),
    /// Packet-ins of all switches are due.
    PacketIns,
    /// Packet-ins that nobody answered are given up.
    Unanswered,
    /// A flood goes on.
    Flood(usize),
    /// A cable is taken out or put in.
    Flap,
    /// Figures are told.
    Watch,
    /// The run ends.
    End,
}

impl Timer {
    fn why(self) -> &'static str {
        match self {
            Timer::Dial(_) => "controller tried",
            Timer::Switch(_) => "switch",
            Timer::Echo(_) => "echo",
            Timer::Habit(_) => "misbehaviour",
            Timer::PacketIns => "packet-ins",
            Timer::Unanswered => "unanswered",
            Timer::Flood(_) => "flood",
            Timer::Flap => "cable",
            Timer::Watch => "figures",
            Timer::End => "end",
        }
    }
}

/// A switch of the run.
#[derive(Debug)]
struct Body {
    switch: Switch,
    /// When it is looked at next; there is a timer for it.
    wake: Option<Instant>,
    /// The line whose controller was told last that it is MASTER.
    master: Option<usize>,
}

/// The machine.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    start: Instant,
    wiring: Wiring,
    /// Those that behave, then those that do not.
    bodies: Vec<Body>,
    /// By switch, and of each its controllers; then sinks.
    lines: Vec<Line>,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// All links have the same delay, so packets arrive in the order in which they left.
    under_way: VecDeque<(Instant, usize, PortNo, Packet)>,
    traffic: Traffic,
    noise: Noise,
    milestones: Milestones,
    tally: Tally,
    /// A late write that the switch looks at now.
    late: Option<Late>,
    outputs: VecDeque<Output>,
    /// Lines that the driver is to be told of.
    unwritten: VecDeque<usize>,
}

impl World {
    /// Switches without rules that try their controllers from now on.
    pub fn new(plan: Plan, now: Instant) -> World {
        let good = (0..plan.switches).map(|_| Manner::Good);
        let others = plan
            .misbehave
            .iter()
            .flat_map(|(manner, count)| (0..*count).map(|_| *manner));
        let manners: Vec<Manner> = good.chain(others).collect();
        let ports = || (1..=plan.ports).map(PortNo);
        let id = |index: usize, manner: Manner| match manner {
            Manner::Duplicate => plan.first_id + (index % plan.switches) as u64,
            _ => plan.first_id + index as u64,
        };
        let bodies = manners.iter().enumerate().map(|(index, manner)| Body {
            switch: Switch::lenient(SwitchId(id(index, *manner)), ports()),
            wake: None,
            master: None,
        });
        let bodies: Vec<Body> = bodies.collect();
        let at = |line: usize| match plan.connect_rate {
            Some(rate) => now + Duration::try_from_secs_f64(line as f64 / rate).unwrap_or_default(),
            None => now,
        };
        let of_all = manners.iter().enumerate();
        let of_all = of_all.flat_map(|(switch, manner)| plan.controllers.iter().map(move |to| (switch, *manner, *to)));
        let lines: Vec<Line> = of_all
            .enumerate()
            .map(|(line, (switch, manner, to))| Line::new(switch, manner, to, at(line)))
            .collect();
        let first = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.manner != Manner::Duplicate);
        let mut timers: BinaryHeap<_> = first.map(|(n, _)| Reverse((at(n), Timer::Dial(n)))).collect();
        timers.extend(plan.end.map(|end| Reverse((now + end, Timer::End))));
        if plan.watch {
            timers.push(Reverse((now + Duration::from_secs(1), Timer::Watch)));
        }
        let mut world = World {
            start: now,
            wiring: Wiring::new(plan.shape, plan.switches, plan.ports),
            bodies,
            milestones: Milestones::new(plan.switches * plan.controllers.len()),
            lines,
            timers,
            under_way: VecDeque::new(),
            traffic: Traffic::new(&plan),
            noise: Noise::default(),
            tally: Tally::new(now),
            late: None,
            outputs: VecDeque::new(),
            unwritten: VecDeque::new(),
            plan,
        };
        world.start_traffic(now);
        world
    }

    /// Something happens.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Connected(conn) => {
                let Some(line) = self.of(conn) else { return };
                if let State::Dialing { since } = self.lines[line].state {
                    self.connected(now, line, since);
                }
            }
            Input::Unreachable(conn, reason) => {
                let Some(line) = self.of(conn) else { return };
                if matches!(self.lines[line].state, State::Dialing { .. }) {
                    self.unreachable(now, line, &reason);
                }
            }
            Input::Received(conn, bytes) => {
                if let Some(line) = self.up(conn) {
                    self.received(now, line, bytes);
                }
            }
            Input::Closed(conn, reason) => {
                if let Some(line) = self.up(conn) {
                    self.closed(now, line, &reason);
                }
            }
            Input::Asked(request) => self.asked(now, request),
            // A run that ends by itself needs nobody.
            Input::NobodyAsks if self.plan.end.is_some() => {}
            Input::NobodyAsks | Input::End => self.end(now),
        }
    }

    /// A deadline is reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.arrivals(now);
        while self.timers.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Some(Reverse((due, timer))) = self.timers.pop() else {
                return;
            };
            match timer {
                Timer::Dial(line) => self.dial(now, line),
                Timer::Switch(switch) => self.wake(now, switch),
                Timer::Echo(line) => self.echo_due(now, line, due),
                Timer::Habit(line) => self.habit_due(now, line, due),
                Timer::PacketIns => self.packet_ins_due(now),
                Timer::Unanswered => self.give_up_unanswered(now),
                Timer::Flood(flood) => self.flood_due(now, flood),
                Timer::Flap => self.flap_due(now),
                Timer::Watch => {
                    self.watch(now);
                    self.at(due + Duration::from_secs(1), Timer::Watch);
                }
                Timer::End => self.end(now),
            }
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let arrival = self.under_way.front().map(|(due, ..)| (*due, "packet arrives"));
        let timer = self.timers.peek().map(|Reverse((due, timer))| (*due, timer.why()));
        [arrival, timer].into_iter().flatten().min()
    }

    /// What is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        while let Some(line) = self.unwritten.pop_front() {
            let at = &mut self.lines[line];
            at.told = false;
            if at.is_up() && !at.out.is_empty() {
                return Some(Output::Write(at.conn(line)));
            }
        }
        None
    }

    /// What is to be written to a controller. [`World::wrote`] takes from its front.
    pub fn unwritten(&mut self, conn: ConnId) -> Option<&BytesMut> {
        let line = self.up(conn)?;
        Some(&self.lines[line].out)
    }

    /// So many bytes of a connection were written.
    pub fn wrote(&mut self, conn: ConnId, bytes: usize) {
        if let Some(line) = self.up(conn) {
            let out = &mut self.lines[line].out;
            out.advance(bytes.min(out.len()));
        }
    }

    /// The line of a connection, unless the connection is an older one of it.
    fn of(&self, conn: ConnId) -> Option<usize> {
        let line = index(conn);
        self.lines.get(line).filter(|at| at.conn(line) == conn).map(|_| line)
    }

    /// The same, if it is there.
    fn up(&self, conn: ConnId) -> Option<usize> {
        self.of(conn).filter(|line| self.lines[*line].is_up())
    }

    fn at(&mut self, due: Instant, timer: Timer) {
        self.timers.push(Reverse((due, timer)));
    }

    /// Something was put into a line's bytes.
    fn written(&mut self, line: usize) {
        let at = &mut self.lines[line];
        if !at.told {
            at.told = true;
            self.unwritten.push_back(line);
        }
    }
}

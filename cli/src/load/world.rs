//! All switches of a run with their connections, links and workloads: one pure machine, told the time.
//!
//! What every controller asks for often (echoes, barriers) is answered here without a look at the switch; all else is the
//! switch's own business (`sim/switch`). Bytes for a connection wait in its line until the driver has written them, so that
//! what a controller does not take is seen here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use ofproto::{HEADER_LEN, Header, MessageType, VERSION_1_3};
use serde_json::{Value, json};
use skerry_bus::{PortNo, SwitchId};
use skerry_network::Packet;

use super::line::{Line, State, back_off, index};
use super::milestones::Milestones;
use super::plan::{Echo, Plan};
use super::request::Request;
use super::tally::Tally;
use super::wiring::Wiring;
use crate::sim::switch::{self, ConnId, Switch};

/// Packets on links at a time. More is a storm; further ones are dropped and counted.
const UNDER_WAY_MAX: usize = 200_000;
/// Bytes that wait to be written to one controller. One that reads so slowly is hung up on.
const UNWRITTEN_MAX: usize = 16 << 20;
/// Echo requests of one connection that may be unanswered when they are asked at intervals.
const ECHO_EVERY_MAX: usize = 64;

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
    pub controller: SocketAddr,
    /// Where from; none: the system chooses.
    pub source: Option<IpAddr>,
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
    /// Figures are told.
    Watch,
    /// The run ends.
    End,
}

/// A switch of the run.
#[derive(Debug)]
struct Body {
    switch: Switch,
    /// When it is looked at next; there is a timer for it.
    wake: Option<Instant>,
}

/// The machine.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    start: Instant,
    wiring: Wiring,
    bodies: Vec<Body>,
    /// By switch, and of each its controllers.
    lines: Vec<Line>,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// All links have the same delay, so packets arrive in the order in which they left.
    under_way: VecDeque<(Instant, usize, PortNo, Packet)>,
    milestones: Milestones,
    tally: Tally,
    outputs: VecDeque<Output>,
    /// Lines that the driver is to be told of.
    unwritten: VecDeque<usize>,
}

impl World {
    /// Switches without rules that try their controllers from now on.
    pub fn new(plan: Plan, now: Instant) -> World {
        let ports = || (1..=plan.ports).map(PortNo);
        let switch = |index: usize| Switch::new(SwitchId(plan.first_id + index as u64), ports());
        let bodies = (0..plan.switches).map(|index| Body {
            switch: switch(index),
            wake: None,
        });
        let bodies: Vec<Body> = bodies.collect();
        let at = |line: usize| match plan.connect_rate {
            Some(rate) => now + Duration::try_from_secs_f64(line as f64 / rate).unwrap_or_default(),
            None => now,
        };
        let controllers = plan.controllers.len();
        let lines: Vec<Line> = (0..plan.switches * controllers)
            .map(|line| Line::new(line / controllers, line % controllers, at(line)))
            .collect();
        let mut timers: BinaryHeap<_> = (0..)
            .zip(&lines)
            .map(|(n, _)| Reverse((at(n), Timer::Dial(n))))
            .collect();
        timers.extend(plan.end.map(|end| Reverse((now + end, Timer::End))));
        if plan.watch {
            timers.push(Reverse((now + Duration::from_secs(1), Timer::Watch)));
        }
        World {
            start: now,
            wiring: Wiring::new(plan.shape, plan.switches, plan.ports),
            bodies,
            milestones: Milestones::new(lines.len()),
            lines,
            timers,
            under_way: VecDeque::new(),
            tally: Tally::new(now),
            outputs: VecDeque::new(),
            unwritten: VecDeque::new(),
            plan,
        }
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
                    self.tally.unreachable.add(&reason);
                    self.lines[line].failures += 1;
                    self.again(now, line);
                }
            }
            Input::Received(conn, bytes) => {
                if let Some(line) = self.of(conn).filter(|line| self.lines[*line].is_up()) {
                    self.received(now, line, bytes);
                }
            }
            Input::Closed(conn, reason) => {
                if let Some(line) = self.of(conn).filter(|line| self.lines[*line].is_up()) {
                    self.tell(now, self.lines[line].switch, switch::Input::Closed(conn));
                    self.ended(now, line, &reason);
                }
            }
            Input::Asked(request) => self.asked(now, request),
            Input::End => self.end(now),
        }
    }

    /// A deadline is reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.under_way.front().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, switch, port, packet)) = self.under_way.pop_front() {
                self.tally.packets_carried += 1;
                self.tell(now, switch, switch::Input::Packet(port, packet));
            }
        }
        while self.timers.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Some(Reverse((due, timer))) = self.timers.pop() else {
                return;
            };
            match timer {
                Timer::Dial(line) => self.dial(now, line),
                Timer::Switch(switch) => self.wake(now, switch),
                Timer::Echo(line) => self.echo_due(now, line, due),
                Timer::Watch => {
                    self.watch(now);
                    self.timers.push(Reverse((due + Duration::from_secs(1), Timer::Watch)));
                }
                Timer::End => self.end(now),
            }
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let arrival = self.under_way.front().map(|(due, ..)| (*due, "packet arrives"));
        let timer = self.timers.peek().map(|Reverse((due, timer))| {
            let why = match timer {
                Timer::Dial(_) => "controller tried",
                Timer::Switch(_) => "switch",
                Timer::Echo(_) => "echo",
                Timer::Watch => "figures",
                Timer::End => "end",
            };
            (*due, why)
        });
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

    /// What is to be written to a controller. The driver takes from its front what it has written.
    pub fn unwritten(&mut self, conn: ConnId) -> Option<&mut BytesMut> {
        let line = self.of(conn)?;
        Some(&mut self.lines[line].out)
    }

    /// The line of a connection, unless the connection is an older one of it.
    fn of(&self, conn: ConnId) -> Option<usize> {
        let line = index(conn);
        self.lines.get(line).filter(|at| at.conn(line) == conn).map(|_| line)
    }

    fn dial(&mut self, now: Instant, line: usize) {
        let sources = self.plan.sources.len();
        let at = &mut self.lines[line];
        if !matches!(at.state, State::Waiting { at } if at <= now) {
            return;
        }
        at.forget();
        at.tries += 1;
        at.state = State::Dialing { since: now };
        let conn = at.conn(line);
        let controller = self.plan.controllers[at.controller];
        let source = line.checked_rem(sources).map(|turn| self.plan.sources[turn]);
        self.outputs.push_back(Output::Dial(Dial {
            conn,
            controller,
            source,
        }));
    }

    /// A line that is not there is tried again, if that is wanted.
    fn again(&mut self, now: Instant, line: usize) {
        let at = &mut self.lines[line];
        at.state = match self.plan.reconnect {
            Some(first) => {
                let due = now + back_off(first, at.failures.saturating_sub(1));
                self.timers.push(Reverse((due, Timer::Dial(line))));
                State::Waiting { at: due }
            }
            None => State::Over,
        };
    }

    fn connected(&mut self, now: Instant, line: usize, since: Instant) {
        let at = &mut self.lines[line];
        at.state = State::Up { since: now };
        let (conn, switch) = (at.conn(line), at.switch);
        self.milestones.connected(now - self.start, now - since);
        self.tell(now, switch, switch::Input::Connected(conn));
    }

    /// A connection is gone; the switch knows.
    fn ended(&mut self, now: Instant, line: usize, reason: &str) {
        self.tally.ends.add(reason);
        let at = &mut self.lines[line];
        // A connection that came to something is tried again at once, and then less and less often.
        at.failures = if at.handshaken { 1 } else { at.failures + 1 };
        self.milestones.ended(at.handshaken, at.settled);
        self.tally.echo_lost += at.echo.forget() as u64;
        at.forget();
        self.again(now, line);
    }

    fn received(&mut self, now: Instant, line: usize, bytes: &[u8]) {
        let conn = self.lines[line].conn(line);
        let still = |world: &World| world.lines[line].is_up() && world.lines[line].conn(line) == conn;
        let mut rest = bytes;
        if self.lines[line].framer.waiting() == 0 {
            // Nearly always whole messages, which need no copy.
            while let Some(header) = Header::peek(rest) {
                let length = usize::from(header.length);
                let Some((frame, after)) = rest.split_at_checked(length).filter(|_| length >= HEADER_LEN) else {
                    break;
                };
                self.frame(now, line, frame);
                if !still(self) {
                    return;
                }
                rest = after;
            }
        }
        self.lines[line].framer.push(rest);
        loop {
            match self.lines[line].framer.next_frame() {
                Ok(None) => return,
                Ok(Some(frame)) => self.frame(now, line, &frame),
                // The switch says what it thinks of it, and hangs up.
                Err(error) => {
                    let header = [
                        error.header.version,
                        error.header.kind.0,
                        0,
                        error.header.length as u8,
                        0,
                        0,
                        0,
                        0,
                    ];
                    let bytes = Bytes::copy_from_slice(&header);
                    self.tell(now, self.lines[line].switch, switch::Input::Received(conn, bytes));
                }
            }
            if !still(self) {
                return;
            }
        }
    }

    fn frame(&mut self, now: Instant, line: usize, frame: &[u8]) {
        self.tally.hears(frame);
        let at = &mut self.lines[line];
        let (switch, conn) = (at.switch, at.conn(line));
        let Some(header) = Header::peek(frame) else { return };
        if at.greeted && header.version == VERSION_1_3 {
            match header.kind {
                MessageType::ECHO_REPLY => {
                    if let Some(took) = at.echo.answered(now, header.xid) {
                        self.tally.echo.add(took);
                        self.bodies[switch].switch.heard(now, conn);
                        if matches!(self.plan.echo, Echo::InFlight(_)) {
                            self.ask_echo(now, line);
                        }
                        return;
                    }
                }
                MessageType::ECHO_REQUEST => {
                    self.bodies[switch].switch.heard(now, conn);
                    return self.answer(line, MessageType::ECHO_REPLY, frame);
                }
                MessageType::BARRIER_REQUEST if frame.len() == HEADER_LEN => {
                    // Everything before it is done already.
                    if let Some(since) = at.changing.take() {
                        self.tally.commands.add(now - since);
                    }
                    self.bodies[switch].switch.heard(now, conn);
                    return self.answer(line, MessageType::BARRIER_REPLY, frame);
                }
                MessageType::FLOW_MOD | MessageType::GROUP_MOD | MessageType::METER_MOD => {
                    at.changing.get_or_insert(now);
                }
                MessageType::ROLE_REQUEST => {
                    // Whoever asks with NOCHANGE wants no role yet.
                    at.role_asked = frame.get(HEADER_LEN..HEADER_LEN + 4).is_some_and(|role| role != [0; 4]);
                }
                _ => {}
            }
        }
        let frame = Bytes::copy_from_slice(frame);
        self.tell(now, switch, switch::Input::Frame(conn, frame));
        if !self.lines[line].greeted {
            self.lines[line].greeted = self.bodies[switch].switch.is_open(conn);
        }
    }

    /// The same frame as another type: what an echo reply is to its request.
    fn answer(&mut self, line: usize, kind: MessageType, frame: &[u8]) {
        let [version, _, rest @ ..] = frame else { return };
        let at = &mut self.lines[line];
        at.out.extend_from_slice(&[*version, kind.0]);
        at.out.extend_from_slice(rest);
        self.tally.out.add(kind, 1, frame.len());
        self.written(line);
    }

    /// Something was put into a line's bytes.
    fn written(&mut self, line: usize) {
        let at = &mut self.lines[line];
        if !at.told {
            at.told = true;
            self.unwritten.push_back(line);
        }
    }

    fn tell(&mut self, now: Instant, switch: usize, input: switch::Input) {
        let Some(body) = self.bodies.get_mut(switch) else {
            return;
        };
        body.switch.handle_input(now, input);
        self.drain(now, switch);
    }

    /// Does what a switch wants, and wakes it when it says.
    fn drain(&mut self, now: Instant, switch: usize) {
        while let Some(output) = self.bodies[switch].switch.poll_output() {
            match output {
                switch::Output::Write(conn, frame) => {
                    if let Some(line) = self.of(conn) {
                        self.says(now, line, &frame);
                    }
                }
                switch::Output::Close(conn, reason) => {
                    if let Some(line) = self.of(conn) {
                        self.close(now, line, &reason);
                    }
                }
                switch::Output::Packet(port, packet) => self.enter(now, switch, port, packet),
            }
        }
        let body = &mut self.bodies[switch];
        if let Some((due, _)) = body.switch.poll_timeout()
            && body.wake.is_none_or(|wake| due < wake)
        {
            body.wake = Some(due);
            self.timers.push(Reverse((due, Timer::Switch(switch))));
        }
    }

    fn wake(&mut self, now: Instant, switch: usize) {
        let body = &mut self.bodies[switch];
        // A timer that an earlier one has overtaken.
        if body.wake.is_none_or(|wake| wake > now) {
            return;
        }
        body.wake = None;
        body.switch.handle_timeout(now);
        self.drain(now, switch);
    }

    /// A switch says something to a controller.
    fn says(&mut self, now: Instant, line: usize, frame: &[u8]) {
        self.tally.says(frame);
        let at = &mut self.lines[line];
        at.out.extend_from_slice(frame);
        let waits = at.out.len();
        match Header::peek(frame).map(|header| header.kind) {
            Some(MessageType::FEATURES_REPLY) if !at.handshaken => self.handshaken(now, line),
            Some(MessageType::ROLE_REPLY) if at.role_asked && !at.settled => {
                at.settled = true;
                if let State::Up { since } = at.state {
                    self.milestones.settled(now - self.start, now - since);
                }
            }
            _ => {}
        }
        self.written(line);
        if waits > UNWRITTEN_MAX {
            let conn = self.lines[line].conn(line);
            self.bodies[self.lines[line].switch]
                .switch
                .handle_input(now, switch::Input::Closed(conn));
            self.close(now, line, "the controller does not read");
        }
    }

    fn handshaken(&mut self, now: Instant, line: usize) {
        let at = &mut self.lines[line];
        at.handshaken = true;
        at.failures = 0;
        let State::Up { since } = at.state else { return };
        if self.milestones.handshaken(now - self.start, now - since) {
            self.outputs.push_back(Output::Say(json!({
                "ready": true,
                "switches": self.plan.switches,
                "first_id": self.plan.first_id,
                "connections": self.lines.len(),
                "link_ends": self.wiring.ends(),
                "milestones": self.milestones.told(),
            })));
        }
        self.start_echo(now, line);
    }

    /// The switch hangs up; it has forgotten the connection.
    fn close(&mut self, now: Instant, line: usize, reason: &str) {
        let at = &mut self.lines[line];
        let rest = at.out.split().freeze();
        self.outputs.push_back(Output::Close(at.conn(line), rest));
        self.ended(now, line, reason);
    }

    /// A packet leaves a port.
    fn enter(&mut self, now: Instant, switch: usize, port: PortNo, packet: Packet) {
        let Some((to, at)) = self.wiring.peer(switch, port) else {
            return;
        };
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.tally.packets_dropped += 1;
            return;
        }
        self.under_way.push_back((now + self.plan.link_delay, to, at, packet));
    }

    /// A connection begins to ask for echoes, as the plan says.
    fn start_echo(&mut self, now: Instant, line: usize) {
        match self.plan.echo {
            Echo::None => self.lines[line].echo.resize(0),
            Echo::InFlight(count) => {
                self.lines[line].echo.resize(count);
                self.ask_echo(now, line);
            }
            Echo::Every(interval) => {
                self.lines[line].echo.resize(ECHO_EVERY_MAX);
                // Spread evenly over the interval.
                let part = line as f64 / self.lines.len().max(1) as f64;
                self.timers
                    .push(Reverse((now + interval.mul_f64(part), Timer::Echo(line))));
            }
        }
    }

    /// Asks as often as there is room.
    fn ask_echo(&mut self, now: Instant, line: usize) {
        while self.echo_once(now, line) {}
    }

    fn echo_once(&mut self, now: Instant, line: usize) -> bool {
        let at = &mut self.lines[line];
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

    fn echo_due(&mut self, now: Instant, line: usize, due: Instant) {
        let Echo::Every(interval) = self.plan.echo else { return };
        if !self.lines[line].handshaken {
            // It begins again with the next handshake.
            return;
        }
        if !self.echo_once(now, line) {
            self.tally.echo_held += 1;
        }
        // What was missed is not made up for.
        let next = (due + interval).max(now);
        self.timers.push(Reverse((next, Timer::Echo(line))));
    }

    fn asked(&mut self, now: Instant, request: Request) {
        let name = request.name();
        let answer = match request {
            Request::Status => Ok(self.figures(now)),
            Request::Reset => {
                self.tally = Tally::new(now);
                Ok(json!({}))
            }
            Request::Echo { in_flight, every_ms } => self.set_echo(now, in_flight, every_ms),
            Request::Port { switch, port, up } => self.set_port(now, switch, port, up),
            Request::Quit => Ok(json!({})),
        };
        let line = match answer {
            Ok(answer) => json!({ "answer": name, "result": answer }),
            Err(error) => json!({ "answer": name, "error": error }),
        };
        self.outputs.push_back(Output::Say(line));
        if name == "quit" {
            self.end(now);
        }
    }

    fn set_echo(&mut self, now: Instant, in_flight: usize, every_ms: u64) -> Result<Value, String> {
        let most = super::echo::IN_FLIGHT_MAX;
        self.plan.echo = match (in_flight, every_ms) {
            (0, 0) => Echo::None,
            (count, 0) if count <= most => Echo::InFlight(count),
            (0, every) => Echo::Every(Duration::from_millis(every)),
            (_, 0) => return Err(format!("in_flight: at most {most}")),
            _ => return Err("in_flight or every_ms, not both".to_owned()),
        };
        // Timers of what was before end with it.
        self.timers
            .retain(|Reverse((_, timer))| !matches!(timer, Timer::Echo(_)));
        for line in 0..self.lines.len() {
            self.tally.echo_lost += self.lines[line].echo.forget() as u64;
            if self.lines[line].handshaken {
                self.start_echo(now, line);
            }
        }
        Ok(json!({}))
    }

    /// Both ends of a cable learn it; a port without a cable stands for itself.
    fn set_port(&mut self, now: Instant, switch: u64, port: u32, up: bool) -> Result<Value, String> {
        let index = switch
            .checked_sub(self.plan.first_id)
            .and_then(|index| usize::try_from(index).ok());
        let index = index
            .filter(|index| *index < self.bodies.len())
            .ok_or_else(|| format!("no switch {switch}"))?;
        if !(1..=self.plan.ports).contains(&port) {
            return Err(format!("no port {port}"));
        }
        let ends = [Some((index, PortNo(port))), self.wiring.peer(index, PortNo(port))];
        for (switch, port) in ends.into_iter().flatten() {
            self.tell(now, switch, switch::Input::Carrier(port, up));
        }
        Ok(json!({}))
    }

    /// The figures so far.
    fn figures(&self, now: Instant) -> Value {
        let mut told = self.tally.told(now);
        told.insert("connections".to_owned(), self.milestones.told());
        let rules: usize = self.bodies.iter().map(|body| body.switch.rules()).sum();
        told.insert("rules_held".to_owned(), rules.into());
        Value::Object(told)
    }

    fn watch(&mut self, now: Instant) {
        let second = (now - self.start).as_secs();
        let line = json!({
            "second": second,
            "connections": self.milestones.now(),
            "sent": self.tally.out.total(),
            "received": self.tally.inn.total(),
            "packet_ins": self.tally.out.of(MessageType::PACKET_IN),
            "packet_outs": self.tally.inn.of(MessageType::PACKET_OUT),
            "echoes": self.tally.echo.count(),
        });
        self.outputs.push_back(Output::Say(line));
    }

    fn end(&mut self, now: Instant) {
        let report = self.figures(now);
        self.outputs.push_back(Output::Say(json!({ "report": report })));
        self.outputs
            .push_back(Output::Quit(self.milestones.were_all_handshaken()));
    }

    /// For the driver: so many bytes of a connection were written.
    pub fn wrote(&mut self, conn: ConnId, bytes: usize) {
        if let Some(out) = self.unwritten(conn) {
            out.advance(bytes.min(out.len()));
        }
    }
}

//! Packet-ins that nobody's packet caused: at a rate and measured, or in floods that are not; and cables that flap.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ofproto::{MessageType, PacketInReason};
use skerry_bus::PortNo;

use super::{Timer, World};
use crate::load::line::{Line, State};
use crate::load::manner::Manner;
use crate::load::pacer::Pacer;
use crate::load::packets::{Differs, Template};
use crate::load::plan::{PacketIns, Plan};

/// How long a packet-in is waited for. Then the controller has nothing to say to it, and it is counted as unanswered.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Bytes that a flood lets wait in its line. What would be more is held back, and counted: the controller does not take it.
const FLOOD_UNWRITTEN_MAX: usize = 1 << 20;
/// Packet-ins of one connection that may be unanswered when they are sent at a rate.
const RATE_MAX: usize = 256;
/// Floods of one run at a time, and connections made for floods that go elsewhere.
const FLOODS_MAX: usize = 64;
/// How far one cable that flaps is from the next, so that they are spread over the network; a prime.
const FLAP_STRIDE: usize = 7_919;

/// A flood from one line.
#[derive(Debug)]
struct Flood {
    line: usize,
    pacer: Pacer,
    template: Template,
    turn: u32,
    /// Until this many were sent; none: until stopped.
    left: Option<u64>,
}

/// What is under way.
#[derive(Debug)]
pub struct Traffic {
    template: Template,
    pacer: Option<Pacer>,
    /// The line whose packet-in is next.
    next: usize,
    floods: Vec<Option<Flood>>,
    flap: Option<Pacer>,
    flaps: usize,
}

impl Traffic {
    /// Nothing yet.
    pub fn new(plan: &Plan) -> Traffic {
        Traffic {
            template: Template::new(plan.packets, plan.packet_bytes, plan.hosts, plan.ports),
            pacer: None,
            next: 0,
            floods: Vec::new(),
            flap: None,
            flaps: 0,
        }
    }
}

impl World {
    /// What the plan wants from the start.
    pub(super) fn start_traffic(&mut self, now: Instant) {
        for (switch, rate) in self.plan.floods.clone() {
            // The options were checked.
            let _ = self.flood(now, switch, rate, None, None);
        }
        self.set_packet_ins(now, self.plan.packet_ins);
        self.set_flap(now, self.plan.flap);
    }

    /// Packet-ins of all switches, from now on so.
    pub(super) fn set_packet_ins(&mut self, now: Instant, wanted: PacketIns) {
        self.plan.packet_ins = wanted;
        self.timers
            .retain(|timer| !matches!(timer.0.1, Timer::PacketIns | Timer::Unanswered));
        self.traffic.pacer = match wanted {
            PacketIns::Rate(rate) => Some(Pacer::new(now, rate)),
            PacketIns::None | PacketIns::InFlight(_) => None,
        };
        if wanted != PacketIns::None {
            self.at(now + LOOK, Timer::Unanswered);
        }
        if let Some(pacer) = &self.traffic.pacer {
            let next = pacer.next(now);
            self.at(next, Timer::PacketIns);
        }
        for line in 0..self.lines.len() {
            self.tally.packet_ins.lost += self.lines[line].asked.forget() as u64;
            if self.lines[line].handshaken && self.lines[line].manner == Manner::Good {
                self.start_packet_ins(now, line);
            }
        }
    }

    /// A connection is ready for packet-ins.
    pub(super) fn start_packet_ins(&mut self, now: Instant, line: usize) {
        match self.plan.packet_ins {
            PacketIns::None => self.lines[line].asked.resize(0),
            PacketIns::Rate(_) => self.lines[line].asked.resize(RATE_MAX),
            PacketIns::InFlight(count) => {
                self.lines[line].asked.resize(count);
                while self.packet_in(now, line) {}
            }
        }
    }

    /// The reason with which a controller wants packets: as from a rule, or as from none.
    fn reason(&self, line: usize) -> Option<PacketInReason> {
        let at: &Line = self.lines.get(line)?;
        let switch = &self.bodies.get(at.switch)?.switch;
        let conn = at.conn(line);
        [PacketInReason::NO_MATCH, PacketInReason::ACTION]
            .into_iter()
            .find(|reason| switch.wants(conn, *reason))
    }

    /// One packet-in of a connection, if the controller wants any and there is room.
    fn packet_in(&mut self, now: Instant, line: usize) -> bool {
        if self.lines[line].silenced {
            return false;
        }
        let Some(reason) = self.reason(line) else { return false };
        let at = &mut self.lines[line];
        let Some(number) = at.asked.ask(now) else { return false };
        let template = &self.traffic.template;
        let host = template.host(at.turn) as usize;
        if at.by_host.is_empty() {
            at.by_host = vec![0; template.hosts() as usize];
        }
        if let Some(of_host) = at.by_host.get_mut(host) {
            *of_host = number;
        }
        let differs = Differs {
            switch: at.switch,
            turn: at.turn,
            number,
            reason,
        };
        let length = template.write(&mut at.out, differs);
        at.turn = at.turn.wrapping_add(1);
        self.tally.packet_ins.sent += 1;
        self.tally.out.add(MessageType::PACKET_IN, 1, length);
        self.written(line);
        true
    }

    pub(super) fn packet_ins_due(&mut self, now: Instant) {
        let Some(pacer) = &mut self.traffic.pacer else { return };
        let (due, left_out) = pacer.take(now);
        let next = pacer.next(now);
        self.tally.left_out += left_out;
        let count = self.lines.len();
        for done in 0..due {
            // The next line in turn that can.
            let turns = self.traffic.next..self.traffic.next + count;
            let can = |line: &usize| self.lines[*line].handshaken && self.lines[*line].manner == Manner::Good;
            let Some(line) = turns.map(|turn| turn % count).find(can) else {
                self.tally.packet_ins.held += due - done;
                break;
            };
            self.traffic.next = line + 1;
            let sent = self.packet_in(now, line);
            self.tally.packet_ins.held += u64::from(!sent);
        }
        self.at(next, Timer::PacketIns);
    }

    pub(super) fn give_up_unanswered(&mut self, now: Instant) {
        for line in 0..self.lines.len() {
            let expired = self.lines[line].asked.expire(now, ANSWER_MAX);
            self.tally.packet_ins.unanswered += expired as u64;
            let again = matches!(self.plan.packet_ins, PacketIns::InFlight(_)) && self.lines[line].handshaken;
            while again && self.packet_in(now, line) {}
        }
        self.at(now + LOOK, Timer::Unanswered);
    }

    /// A packet came back in a packet-out.
    pub(super) fn packet_answers(&mut self, now: Instant, line: usize, number: u32) {
        self.tally.packet_ins.packet_outs += 1;
        self.answered(now, line, number);
    }

    /// A rule with a host's address came.
    pub(super) fn host_answered(&mut self, now: Instant, line: usize, host: u32) {
        self.tally.packet_ins.flow_mods += 1;
        let number = self.lines[line].by_host.get(host as usize).copied();
        if let Some(number) = number {
            self.answered(now, line, number);
        }
    }

    /// The first answer to a packet-in counts; others have no question any more.
    fn answered(&mut self, now: Instant, line: usize, number: u32) {
        if let Some(took) = self.lines[line].asked.answered(now, number) {
            self.tally.packet_ins.answers.add(took);
            if matches!(self.plan.packet_ins, PacketIns::InFlight(_)) {
                self.packet_in(now, line);
            }
        }
    }

    /// Begins, changes or ends (rate 0) the flood of a switch, by its id; `to`: over a connection of its own to there.
    pub(super) fn flood(
        &mut self,
        now: Instant,
        switch: u64,
        rate: f64,
        count: Option<u64>,
        to: Option<SocketAddr>,
    ) -> Result<(), String> {
        let switch = self.index(switch)?;
        let is_it = |line: &Line| match to {
            Some(to) => line.manner == Manner::Sink && line.to == to,
            None => line.manner == Manner::Good && line.switch == switch,
        };
        let line = self.lines.iter().position(is_it);
        let has = line.and_then(|line| self.flood_of(line));
        if rate == 0.0 {
            let place = has.ok_or("there is no such flood")?;
            self.traffic.floods[place] = None;
            return Ok(());
        }
        if has.is_none() && self.traffic.floods.iter().flatten().count() >= FLOODS_MAX {
            return Err(format!("at most {FLOODS_MAX} floods"));
        }
        let line = match (line, to) {
            (Some(line), _) => {
                // A connection that goes elsewhere is not tried again but for a flood.
                if self.lines[line].state == State::Over && to.is_some() {
                    self.lines[line].state = State::Waiting { at: now };
                    self.at(now, Timer::Dial(line));
                }
                line
            }
            (None, Some(to)) => {
                self.lines.push(Line::new(switch, Manner::Sink, to, now));
                self.at(now, Timer::Dial(self.lines.len() - 1));
                self.lines.len() - 1
            }
            (None, None) => return Err("that switch has no connection".to_owned()),
        };
        self.flood_line(now, line, rate, count);
        Ok(())
    }

    /// A flood from a line, in place of the one it has.
    pub(super) fn flood_line(&mut self, now: Instant, line: usize, rate: f64, left: Option<u64>) {
        let pacer = Pacer::new(now, rate);
        let next = pacer.next(now);
        let new = Some(Flood {
            line,
            pacer,
            template: self.traffic.template.clone(),
            turn: 0,
            left,
        });
        let free = || self.traffic.floods.iter().position(Option::is_none);
        let place = self.flood_of(line).or_else(free).unwrap_or(self.traffic.floods.len());
        match self.traffic.floods.get_mut(place) {
            Some(old) => *old = new,
            None => self.traffic.floods.push(new),
        }
        // One that was there before may have a timer, at another time.
        self.timers.retain(|timer| timer.0.1 != Timer::Flood(place));
        self.at(next, Timer::Flood(place));
    }

    /// Where the flood of a line is.
    fn flood_of(&self, line: usize) -> Option<usize> {
        let is_it = |flood: &Option<Flood>| flood.as_ref().is_some_and(|flood| flood.line == line);
        self.traffic.floods.iter().position(is_it)
    }

    pub(super) fn flood_due(&mut self, now: Instant, place: usize) {
        let Some(Some(flood)) = self.traffic.floods.get_mut(place) else {
            return;
        };
        let (due, left_out) = flood.pacer.take(now);
        let next = flood.pacer.next(now);
        let at = &mut self.lines[flood.line];
        let ready = at.is_up() && (at.handshaken || at.manner == Manner::Sink) && !at.silenced;
        let wanted = flood.left.map_or(due, |left| left.min(due));
        let (mut sent, mut bytes) = (0, 0);
        while ready && sent < wanted && at.out.len() < FLOOD_UNWRITTEN_MAX {
            let differs = Differs {
                switch: at.switch,
                turn: flood.turn,
                number: 0,
                reason: PacketInReason::ACTION,
            };
            bytes += flood.template.write(&mut at.out, differs);
            flood.turn = flood.turn.wrapping_add(1);
            sent += 1;
        }
        let ended = flood.left.as_mut().is_some_and(|left| {
            *left -= sent;
            *left == 0
        });
        let (line, sink) = (flood.line, at.manner == Manner::Sink);
        if ended {
            self.traffic.floods[place] = None;
        } else {
            self.at(next, Timer::Flood(place));
        }
        self.tally.left_out += if ready { left_out } else { 0 };
        self.tally.flood_held += if ready { wanted - sent } else { 0 };
        if sink {
            self.tally.flood_elsewhere += sent;
        } else {
            self.tally.flood_sent += sent;
            self.tally.out.add(MessageType::PACKET_IN, sent, bytes);
        }
        if sent > 0 {
            self.written(line);
        }
    }

    /// Cables are taken out and put in again, so many a second in all.
    pub(super) fn set_flap(&mut self, now: Instant, rate: Option<f64>) {
        self.timers.retain(|timer| !matches!(timer.0.1, Timer::Flap));
        // What is out goes in again.
        if self.traffic.flaps % 2 == 1 {
            self.flap_once(now);
        }
        self.traffic.flap = rate.map(|rate| Pacer::new(now, rate));
        if let Some(pacer) = &self.traffic.flap {
            let next = pacer.next(now);
            self.at(next, Timer::Flap);
        }
    }

    fn flap_once(&mut self, now: Instant) {
        let (turn, up) = (self.traffic.flaps / 2, self.traffic.flaps % 2 == 1);
        let ports = self.plan.ports as usize;
        let cable = turn.wrapping_mul(FLAP_STRIDE) % (self.plan.switches * ports);
        self.traffic.flaps = self.traffic.flaps.wrapping_add(1);
        self.tally.flaps += 1;
        self.carry(now, cable / ports, PortNo((cable % ports) as u32 + 1), up);
    }

    pub(super) fn flap_due(&mut self, now: Instant) {
        let Some(pacer) = &mut self.traffic.flap else { return };
        let (due, left_out) = pacer.take(now);
        let next = pacer.next(now);
        self.tally.left_out += left_out;
        for _ in 0..due {
            self.flap_once(now);
        }
        self.at(next, Timer::Flap);
    }
}

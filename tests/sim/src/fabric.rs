//! Switches, their connections to speakers, and the cables between them.
//!
//! A connection has two ends that learn of its end at different times; bytes on it keep their order and arrive late.

use bytes::{Bytes, BytesMut};
use ofproto::{ControllerRole, Framer};
use skerry_bus::{PortNo, SwitchId};
use skerry_network::Packet;
use skerry_switch::{ConnId, Input, Output, Switch};

use crate::client::Who;
use crate::event::Event;
use crate::judge::stay;
use crate::scenario::SwitchPlan;
use crate::time::{MS, Ns, US};
use crate::world::World;

/// Message types, as they stand in a header.
mod kind {
    pub const ERROR: u8 = 1;
    pub const PACKET_OUT: u8 = 13;
    pub const FLOW_MOD: u8 = 14;
    pub const GROUP_MOD: u8 = 15;
    pub const PORT_MOD: u8 = 16;
    pub const TABLE_MOD: u8 = 17;
    pub const ROLE_REPLY: u8 = 25;
    pub const METER_MOD: u8 = 29;
}

/// Transaction ids of what deposed regions try: their answers are the world's own business.
const STALE_XID: u32 = 0xdead_0000;

/// A switch and its place in the world.
pub struct SwitchHost {
    /// The machine.
    pub machine: Switch,
    /// Its id.
    pub id: SwitchId,
    /// Its ports.
    pub ports: u32,
    /// Regions it connects to.
    pub homes: Vec<usize>,
    /// Its connection to each region, by the region's place.
    pub conns: Vec<Option<usize>>,
    /// Counts its lives.
    pub boot: u32,
    /// Faults that keep it down.
    pub down: u32,
    /// When it wants to be woken.
    pub due: Ns,
}

impl SwitchHost {
    /// A switch that has just started.
    pub fn new(plan: &SwitchPlan) -> SwitchHost {
        SwitchHost {
            machine: machine(plan.id, plan.ports),
            id: plan.id,
            ports: plan.ports,
            homes: plan.homes.clone(),
            conns: vec![None; plan.homes.iter().max().map_or(0, |most| most + 1)],
            boot: 0,
            down: 0,
            due: Ns::MAX,
        }
    }

    /// The connection that is MASTER.
    pub fn master(&self) -> Option<usize> {
        let of = self.conns.iter().flatten();
        let mut masters = of.filter(|conn| self.machine.role_of(ConnId(**conn as u64)) == ControllerRole::MASTER);
        masters.next().copied()
    }
}

fn machine(id: SwitchId, ports: u32) -> Switch {
    Switch::new(id, (1..=ports).map(PortNo))
}

/// A connection between a switch and a speaker.
#[derive(Debug)]
pub struct Conn {
    /// The switch.
    pub switch: usize,
    /// The region of the speaker.
    pub speaker: usize,
    /// The speaker's process knows it, and it has not ended there.
    pub open_at_speaker: bool,
    /// It has not ended at the switch.
    pub open_at_switch: bool,
    /// When the last bytes arrive at the speaker.
    to_speaker_at: Ns,
    /// When the last bytes arrive at the switch.
    to_switch_at: Ns,
    /// One way, least.
    delay: Ns,
    /// Which term made it MASTER last.
    pub term: Option<u64>,
    /// When.
    mastered_at: Ns,
    /// When it was made.
    opened_at: Ns,
}

impl World {
    /// One way over a control channel.
    fn control(&mut self, conn: usize) -> Ns {
        let long = self.random.percent(2);
        self.conns[conn].delay + self.random.below(if long { 20_000 } else { 300 }) * US
    }

    /// A switch calls all its regions, soon.
    pub(crate) fn dial_all(&mut self, switch: usize) {
        for home in self.switches[switch].homes.clone() {
            self.dial_later(switch, home, 20, 300);
        }
    }

    fn dial_later(&mut self, switch: usize, home: usize, least_ms: u64, most_ms: u64) {
        let at = self.now + self.random.between(least_ms, most_ms) * MS;
        let boot = self.switches[switch].boot;
        self.agenda.put(at, Event::Dial { switch, home, boot });
    }

    /// A switch calls a region.
    pub(crate) fn dial(&mut self, switch: usize, home: usize, boot: u32) {
        let host = &self.switches[switch];
        if host.boot != boot || host.down > 0 || host.conns[home].is_some() || !host.homes.contains(&home) {
            return;
        }
        if self.speakers[home].machine.is_none() {
            // Nobody listens. Open vSwitch tries again after 1, 2, 4, 8 s; here it is quick, so that more happens.
            return self.dial_later(switch, home, 100, 700);
        }
        let conn = self.conns.len();
        let delay = World::CONTROL_MIN + self.random.below(2_000) * US;
        self.conns.push(Conn {
            switch,
            speaker: home,
            open_at_speaker: true,
            open_at_switch: true,
            to_speaker_at: self.now + delay,
            to_switch_at: self.now + delay,
            delay,
            term: None,
            mastered_at: 0,
            opened_at: self.now,
        });
        self.switches[switch].conns[home] = Some(conn);
        self.agenda.put(self.now + delay, Event::Accepted { conn });
        let now = self.now;
        self.trace.line(now, || {
            format!("switch {} calls region {home}: connection {conn}", switch + 1)
        });
        self.tell_switch(switch, Input::Connected(ConnId(conn as u64)));
    }

    // ---- bytes --------------------------------------------------------------------------------------------------

    pub(crate) fn speaker_writes(&mut self, conn: usize, bytes: Bytes) {
        if !self.conns[conn].open_at_speaker {
            return;
        }
        let at = self.conns[conn].to_switch_at.max(self.now + self.control(conn));
        self.conns[conn].to_switch_at = at;
        self.agenda.put(at, Event::ToSwitch { conn, bytes });
    }

    fn switch_writes(&mut self, conn: usize, bytes: Bytes) {
        let at = self.conns[conn].to_speaker_at.max(self.now + self.control(conn));
        self.conns[conn].to_speaker_at = at;
        self.agenda.put(at, Event::ToSpeaker { conn, bytes });
    }

    /// The speaker's end is closed: by itself, or because its process is gone.
    pub(crate) fn hang_up_at_speaker(&mut self, conn: usize) {
        if std::mem::replace(&mut self.conns[conn].open_at_speaker, false) {
            let at = self.conns[conn].to_switch_at.max(self.now + self.control(conn));
            self.agenda.put(at, Event::ClosedToSwitch { conn });
        }
    }

    /// The switch's end is closed: by itself, or because it starts anew.
    pub(crate) fn hang_up_at_switch(&mut self, conn: usize) {
        if std::mem::replace(&mut self.conns[conn].open_at_switch, false) {
            let (switch, home) = (self.conns[conn].switch, self.conns[conn].speaker);
            self.switches[switch].conns[home] = None;
            let at = self.conns[conn].to_speaker_at.max(self.now + self.control(conn));
            self.agenda.put(at, Event::ClosedToSpeaker { conn });
            self.dial_later(switch, home, 100, 900);
        }
    }

    pub(crate) fn closed_to_switch(&mut self, conn: usize) {
        if self.conns[conn].open_at_switch {
            let switch = self.conns[conn].switch;
            self.tell_switch(switch, Input::Closed(ConnId(conn as u64)));
            self.hang_up_at_switch(conn);
        }
    }

    /// Whole messages reach a switch, one after the other: a write is judged by itself.
    pub(crate) fn switch_receives(&mut self, conn: usize, bytes: &Bytes) {
        let mut framer = Framer::new();
        framer.push(bytes);
        let switch = self.conns[conn].switch;
        while let Ok(Some(frame)) = framer.next_frame() {
            if !self.conns[conn].open_at_switch {
                return;
            }
            self.frame_to_switch(switch, conn, frame);
        }
    }

    fn frame_to_switch(&mut self, switch: usize, conn: usize, frame: Bytes) {
        let writes = matches!(
            frame.get(1),
            Some(
                &(kind::FLOW_MOD
                    | kind::GROUP_MOD
                    | kind::METER_MOD
                    | kind::PACKET_OUT
                    | kind::PORT_MOD
                    | kind::TABLE_MOD)
            )
        );
        let xid = word(&frame, 4);
        let role = self.switches[switch].machine.role_of(ConnId(conn as u64));
        let refused = self.tell_switch_asked(switch, Input::Frame(ConnId(conn as u64), frame.clone()), xid);
        if writes && !refused {
            let term = self.conns[conn].term;
            let speaker = self.conns[conn].speaker;
            self.judge.written(switch, speaker, role, term);
        }
    }

    // ---- a switch -----------------------------------------------------------------------------------------------

    pub(crate) fn tell_switch(&mut self, switch: usize, input: Input) {
        self.tell_switch_asked(switch, input, 0);
    }

    pub(crate) fn wake_switch(&mut self, switch: usize) {
        let now = self.clock.at(self.now);
        self.switches[switch].machine.handle_timeout(now);
        self.drain_switch(switch, 0);
    }

    /// Something happens to a switch. Gives whether it answered a request of this number with an error.
    fn tell_switch_asked(&mut self, switch: usize, input: Input, xid: u32) -> bool {
        let now = self.clock.at(self.now);
        self.switches[switch].machine.handle_input(now, input);
        self.drain_switch(switch, xid)
    }

    fn drain_switch(&mut self, switch: usize, xid: u32) -> bool {
        let mut refused = false;
        // What is said to one controller in a row is one write.
        let mut said: Option<(usize, BytesMut)> = None;
        while let Some(output) = self.switches[switch].machine.poll_output() {
            match output {
                Output::Write(ConnId(conn), bytes) => {
                    let conn = conn as usize;
                    let (what, about) = (bytes.get(1).copied(), word(&bytes, 4));
                    refused |= what == Some(kind::ERROR) && about == xid;
                    if what == Some(kind::ROLE_REPLY) {
                        self.role_told(switch, conn, &bytes);
                    }
                    if about & 0xffff_0000 == STALE_XID {
                        continue;
                    }
                    match &mut said {
                        Some((to, all)) if *to == conn => all.extend_from_slice(&bytes),
                        _ => {
                            if let Some((to, all)) = said.replace((conn, BytesMut::from(bytes.as_ref()))) {
                                self.switch_writes(to, all.freeze());
                            }
                        }
                    }
                }
                Output::Close(ConnId(conn), reason) => {
                    if let Some((to, all)) = said.take() {
                        self.switch_writes(to, all.freeze());
                    }
                    let now = self.now;
                    self.trace.line(now, || {
                        format!("switch {} closes connection {conn}: {reason}", switch + 1)
                    });
                    self.hang_up_at_switch(conn as usize);
                }
                Output::Packet(port, packet) => self.leaves_port(switch, port, packet),
            }
        }
        if let Some((to, all)) = said {
            self.switch_writes(to, all.freeze());
        }
        let due = self.switches[switch].machine.poll_timeout();
        self.switches[switch].due = due.map_or(Ns::MAX, |(at, _)| self.clock.ns(at));
        refused
    }

    /// A switch says which role a connection has.
    fn role_told(&mut self, switch: usize, conn: usize, reply: &[u8]) {
        if word(reply, 8) != ControllerRole::MASTER.0 || word(reply, 4) & 0xffff_0000 == STALE_XID {
            return;
        }
        let term = u64::from(word(reply, 16)) << 32 | u64::from(word(reply, 20));
        self.judge_change(switch, conn, term);
        if self.conns[conn].term.replace(term).is_none_or(|before| before != term) {
            self.conns[conn].mastered_at = self.now;
        }
        let (now, region) = (self.now, self.conns[conn].speaker);
        self.trace.line(now, || {
            format!("switch {}: region {region} is MASTER with term {term}", switch + 1)
        });
        if self.judge.mastered(switch, region, term) {
            self.tally.takeovers += 1;
        }
        // Whoever was MASTER tries to write as if nothing had happened.
        let others: Vec<usize> = self.switches[switch].conns.iter().flatten().copied().collect();
        for other in others {
            if other != conn && self.conns[other].term.is_some_and(|old| old < term) {
                let at = self.now + self.random.below(50 * MS);
                self.agenda.put(at, Event::StaleWrite { conn: other });
            }
        }
    }

    /// Whoever was MASTER until now may have been well: then there must be a cause.
    fn judge_change(&mut self, switch: usize, conn: usize, term: u64) {
        let others = self.switches[switch].conns.iter().flatten().copied();
        let before = others
            .filter(|other| *other != conn && self.conns[*other].term.is_some_and(|old| old < term))
            .max_by_key(|other| self.conns[*other].term);
        let Some(before) = before else { return };
        let since = self.now.saturating_sub(stay::CALM);
        let (from, to) = (self.conns[before].speaker, self.conns[conn].speaker);
        let of = &self.conns[before];
        // What was MASTER long ago, and lost it to a third, was not deposed now.
        let held = of.open_at_speaker
            && of.mastered_at < since
            && self.conns[conn].term.is_none_or(|old| old < of.term.unwrap_or(0));
        let all = [Who::Speaker(from), Who::Speaker(to), Who::Router(0)];
        if held
            && all
                .into_iter()
                .all(|who| self.well_since(who).is_some_and(|at| at < since))
        {
            let connected = self.now - self.conns[conn].opened_at;
            let change = stay::Change { from, to, connected };
            self.judge.deposed(self.scenario.failback, switch, change);
        }
    }

    /// A deposed region tries to write, and to become MASTER with its old term: a switch refuses both.
    pub(crate) fn stale_write(&mut self, conn: usize) {
        let of = &self.conns[conn];
        let (switch, Some(term)) = (of.switch, of.term) else {
            return;
        };
        let role = self.switches[switch].machine.role_of(ConnId(conn as u64));
        // It may have become MASTER again, and rightly, or have hung up.
        if !of.open_at_switch || role == ControllerRole::MASTER || self.switches[switch].master().is_none() {
            return;
        }
        for (n, frame) in stale_frames(term).into_iter().enumerate() {
            self.tally.stale_writes += 1;
            let xid = STALE_XID | n as u32;
            let refused = self.tell_switch_asked(switch, Input::Frame(ConnId(conn as u64), frame), xid);
            if !refused {
                let what = if n == 0 { "a write" } else { "a claim" };
                let region = self.conns[conn].speaker;
                let text = format!(
                    "switch {} took {what} of deposed region {region} with term {term}",
                    switch + 1
                );
                return self.fail("terms", text);
            }
        }
    }

    // ---- packets ------------------------------------------------------------------------------------------------

    fn leaves_port(&mut self, switch: usize, port: PortNo, packet: Packet) {
        let Some((cable, to, at_port)) = self.wiring.get(&(switch, port.0)).copied() else {
            return;
        };
        if self.cable_faults[cable] > 0 {
            return;
        }
        let at = self.now + self.scenario.cables[cable].delay;
        self.agenda.put(
            at,
            Event::Packet {
                switch: to,
                port: PortNo(at_port),
                packet: Box::new(packet),
                cable: Some(cable),
            },
        );
    }

    /// A packet reaches a port.
    pub(crate) fn packet(&mut self, switch: usize, port: PortNo, packet: Packet, cable: Option<usize>) {
        if self.switches[switch].down > 0 || cable.is_some_and(|cable| self.cable_faults[cable] > 0) {
            return;
        }
        if cable.is_some() {
            self.judge.crossed(switch, port);
        }
        self.tell_switch(switch, Input::Packet(port, packet));
    }

    /// A switch starts anew.
    pub(crate) fn reboot_begins(&mut self, switch: usize) {
        let conns: Vec<usize> = self.switches[switch].conns.iter().flatten().copied().collect();
        self.switches[switch].down += 1;
        self.switches[switch].boot += 1;
        self.switches[switch].due = Ns::MAX;
        for conn in conns {
            self.hang_up_at_switch(conn);
        }
        let host = &mut self.switches[switch];
        let plan = &self.scenario.switches[switch];
        host.machine = machine(plan.id, plan.ports);
        self.judge.rebooted(switch);
    }

    /// It is there again, with nothing in it.
    pub(crate) fn reboot_ends(&mut self, switch: usize) {
        self.switches[switch].down -= 1;
        if self.switches[switch].down > 0 {
            return;
        }
        // What its ports see has to be found out anew.
        for port in 1..=self.switches[switch].ports {
            let up = self.carries(switch, port);
            if !up {
                self.tell_switch(switch, Input::Carrier(PortNo(port), false));
            }
        }
        self.dial_all(switch);
    }
}

/// What a deposed region tries.
fn stale_frames(term: u64) -> [Bytes; 2] {
    use ofproto::{Body, FlowMod, FlowModCommand, Message, RoleMsg, TableId};
    let write = Body::FlowMod(FlowMod::new(FlowModCommand::ADD, TableId(250)));
    let claim = Body::RoleRequest(RoleMsg {
        role: ControllerRole::MASTER,
        generation_id: term,
    });
    [write, claim]
        .into_iter()
        .enumerate()
        .map(|(n, body)| {
            let message = Message::new(STALE_XID | n as u32, body);
            message.to_bytes().expect("two small messages")
        })
        .collect::<Vec<_>>()
        .try_into()
        .expect("two of two")
}

/// Four bytes at this place of a message, as a number.
fn word(bytes: &[u8], at: usize) -> u32 {
    let part = bytes.get(at..at + 4).and_then(|part| part.try_into().ok());
    part.map_or(0, u32::from_be_bytes)
}

//! All simulated switches with their cables and hosts: one pure machine, told the time.
//!
//! Packets on their way wait here until they are due. An event that is late (the machine was busy) is still done at its
//! own moment, so what is late once does not make everything behind it later.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use skerry_bus::{PortRef, SwitchId};
use skerry_network::Packet;

use super::cable::{Cable, Carriage, DELAY_MAX, DELAY_MIN, Place};
use super::dialer::{Dialer, Line};
use super::host::{Host, LENGTH_MAX, Stream, read_tag};
use super::request::Request;
use super::switch::{self, ConnId, Switch};
use super::topology::Topology;

/// Packets under way at a time. More is a storm; further ones are dropped and counted.
const UNDER_WAY_MAX: usize = 100_000;

/// What happens.
#[derive(Debug, Clone)]
pub enum Input {
    /// A switch reaches a controller.
    Connected(Line, ConnId),
    /// A controller is not there.
    Unreachable(Line),
    /// A controller says something.
    Received(ConnId, Bytes),
    /// A controller is gone.
    Closed(ConnId),
    /// Somebody asks.
    Asked(Request),
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Say this to a controller.
    Write(ConnId, Bytes),
    /// Hang up, for this reason.
    Close(ConnId, String),
    /// Try to reach a controller.
    Dial(Line),
    /// The answer to what was asked last.
    Answer(Value),
    /// End, after everything before it.
    Quit,
}

/// The machine.
#[derive(Debug)]
pub struct Fabric {
    switches: BTreeMap<SwitchId, Switch>,
    dialer: Dialer,
    /// Which switch a connection is of; entries go when it is closed.
    connections: BTreeMap<ConnId, SwitchId>,
    cables: Vec<Cable>,
    /// The cable at a place, and which of its ends that is.
    at: BTreeMap<Place, (usize, usize)>,
    hosts: Vec<(String, Host)>,
    under_way: BTreeMap<(Instant, u64), (Place, Packet)>,
    /// Numbers packets, so that those due at the same instant keep their order.
    number: u64,
    dropped: u64,
    outputs: VecDeque<Output>,
}

impl Fabric {
    /// Switches without rules, everything joined, and so many controllers for each.
    pub fn new(topology: &Topology, controllers: usize, now: Instant) -> Fabric {
        let hosts: Vec<(String, Host)> = (1..)
            .zip(&topology.hosts)
            .map(|(number, host)| (host.name.to_owned(), Host::new(now, number, host.peer)))
            .collect();
        let links = topology
            .links
            .iter()
            .map(|link| Cable::new(&link.name, link.ends.map(Place::Port), link.delays));
        let cables = (0..)
            .zip(&topology.hosts)
            .map(|(index, host)| Cable::new("", [Place::Host(index), Place::Port(host.at)], [DELAY_MIN; 2]));
        let cables: Vec<Cable> = links.chain(cables).collect();
        let at = cables
            .iter()
            .enumerate()
            .flat_map(|(index, cable)| [(cable.ends[0], (index, 0)), (cable.ends[1], (index, 1))]);
        let at: BTreeMap<Place, (usize, usize)> = at.collect();
        let ports = |switch| {
            let ports = at.keys().filter_map(move |place| match place {
                Place::Port(port) if port.switch == switch => Some(port.port),
                _ => None,
            });
            ports.collect::<Vec<_>>()
        };
        Fabric {
            switches: topology.switches().map(|id| (id, Switch::new(id, ports(id)))).collect(),
            dialer: Dialer::new(topology.switches(), controllers, now),
            connections: BTreeMap::new(),
            at,
            cables,
            hosts,
            under_way: BTreeMap::new(),
            number: 0,
            dropped: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Something happens.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.handle_timeout(now);
        match input {
            Input::Connected(line, conn) => {
                self.dialer.reached(line, conn);
                self.connections.insert(conn, line.switch);
                self.tell(now, line.switch, switch::Input::Connected(conn));
            }
            Input::Unreachable(line) => self.dialer.unreachable(now, line),
            Input::Received(conn, bytes) => {
                if let Some(switch) = self.connections.get(&conn).copied() {
                    self.tell(now, switch, switch::Input::Received(conn, bytes));
                }
            }
            Input::Closed(conn) => {
                self.dialer.gone(now, conn);
                if let Some(switch) = self.connections.remove(&conn) {
                    self.tell(now, switch, switch::Input::Closed(conn));
                }
            }
            Input::Asked(request) => {
                let quit = matches!(request, Request::Quit);
                let answer = self.ask(now, request).unwrap_or_else(|error| json!({ "error": error }));
                self.outputs.push_back(Output::Answer(answer));
                if quit {
                    self.outputs.push_back(Output::Quit);
                }
            }
        }
    }

    /// A deadline is reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((due, what)) = self.next().filter(|(due, _)| *due <= now) {
            match what {
                Next::Arrival => {
                    if let Some((_, (place, packet))) = self.under_way.pop_first() {
                        self.arrive(due, place, packet);
                    }
                }
                Next::Host(index) => {
                    let packet = self.hosts.get_mut(index).and_then(|(_, host)| host.next_packet(now));
                    if let Some((at, packet)) = packet {
                        self.enter(Place::Host(index), at, packet);
                    }
                }
                Next::Switch(id) => {
                    if let Some(switch) = self.switches.get_mut(&id) {
                        switch.handle_timeout(now);
                    }
                    self.drain(now, id);
                }
                Next::Dial => {
                    self.dialer.handle_timeout(now);
                    let lines = std::iter::from_fn(|| self.dialer.poll_output());
                    self.outputs.extend(lines.map(Output::Dial));
                }
            }
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let (due, what) = self.next()?;
        let why = match what {
            Next::Arrival => "packet arrives",
            Next::Host(_) => "host sends",
            Next::Switch(_) => "switch",
            Next::Dial => "controller tried",
        };
        Some((due, why))
    }

    /// What is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn next(&self) -> Option<(Instant, Next)> {
        let arrival = self.under_way.keys().next().map(|(due, _)| (*due, Next::Arrival));
        let hosts = self.hosts.iter().enumerate();
        let host = hosts
            .filter_map(|(index, (_, host))| Some((host.due()?, Next::Host(index))))
            .min();
        let switches = self.switches.iter();
        let switch = switches
            .filter_map(|(id, switch)| Some((switch.poll_timeout()?.0, Next::Switch(*id))))
            .min();
        let dial = self.dialer.poll_timeout().map(|due| (due, Next::Dial));
        [arrival, host, switch, dial].into_iter().flatten().min()
    }

    fn tell(&mut self, now: Instant, id: SwitchId, input: switch::Input) {
        if let Some(switch) = self.switches.get_mut(&id) {
            switch.handle_input(now, input);
        }
        self.drain(now, id);
    }

    fn drain(&mut self, now: Instant, id: SwitchId) {
        while let Some(output) = self.switches.get_mut(&id).and_then(Switch::poll_output) {
            match output {
                switch::Output::Write(conn, bytes) => self.outputs.push_back(Output::Write(conn, bytes)),
                switch::Output::Close(conn, reason) => {
                    self.connections.remove(&conn);
                    self.dialer.gone(now, conn);
                    self.outputs.push_back(Output::Close(conn, reason));
                }
                switch::Output::Packet(port, packet) => {
                    self.enter(Place::Port(PortRef { switch: id, port }), now, packet)
                }
            }
        }
    }

    /// A packet enters the cable at a place.
    fn enter(&mut self, from: Place, at: Instant, packet: Packet) {
        let Some((cable, end)) = self.at.get(&from).copied() else {
            return;
        };
        let out = self.cables.get_mut(cable).and_then(|cable| cable.enter(end, at));
        let Some((place, arrives)) = out else { return };
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.dropped += 1;
            return;
        }
        self.number += 1;
        self.under_way.insert((arrives, self.number), (place, packet));
    }

    fn arrive(&mut self, at: Instant, place: Place, packet: Packet) {
        match place {
            Place::Port(PortRef { switch, port }) => self.tell(at, switch, switch::Input::Packet(port, packet)),
            Place::Host(index) => {
                let answer = self.hosts.get_mut(index).and_then(|(_, host)| host.receive(at, packet));
                if let Some(answer) = answer {
                    self.enter(place, at, answer);
                }
            }
        }
    }

    fn host(&mut self, name: &str) -> Result<&mut Host, String> {
        let all: Vec<String> = self.hosts.iter().map(|(name, _)| name.clone()).collect();
        let host = self.hosts.iter_mut().find(|(have, _)| have == name);
        host.map(|(_, host)| host)
            .ok_or_else(|| format!("no host {name:?}; there are {}", all.join(", ")))
    }

    fn link(&mut self, name: &str) -> Result<&mut Cable, String> {
        let link = self
            .cables
            .iter_mut()
            .find(|cable| cable.name == name && !name.is_empty());
        link.ok_or_else(|| format!("no link {name:?}"))
    }

    fn ask(&mut self, now: Instant, request: Request) -> Result<Value, String> {
        match request {
            Request::Send {
                host,
                stream,
                tags,
                rate,
                count,
                ask,
                length,
            } => {
                let mut tags = tags.iter().map(|tag| read_tag(tag)).collect::<Result<Vec<_>, _>>()?;
                tags.reverse();
                let length = length.min(LENGTH_MAX + 1);
                let stream = Stream {
                    number: stream,
                    tags,
                    rate,
                    count,
                    ask,
                    length,
                };
                self.host(&host)?.send(now, stream)
            }
            Request::Mark { host, stream } => self.host(&host)?.mark(stream, false),
            Request::Stop { host, stream } => self.host(&host)?.mark(stream, true),
            Request::Received { host, stream } => Ok(self.host(&host)?.received(stream)),
            Request::Totals { host } => Ok(self.host(&host)?.totals()),
            Request::Echo { host, on } => {
                self.host(&host)?.set_echo(on);
                Ok(json!({}))
            }
            Request::Reset { host } => {
                self.host(&host)?.reset();
                Ok(json!({}))
            }
            Request::Delay {
                link,
                there_us,
                back_us,
            } => {
                let delays = [there_us, back_us].map(Duration::from_micros);
                if delays.iter().any(|delay| !(DELAY_MIN..=DELAY_MAX).contains(delay)) {
                    return Err(format!("a delay is {DELAY_MIN:?} to {DELAY_MAX:?}"));
                }
                self.link(&link)?.delays = delays;
                Ok(json!({}))
            }
            Request::Cut { link, silent } => {
                self.carry(now, &link, if silent { Carriage::Silent } else { Carriage::Cut })
            }
            Request::Join { link } => self.carry(now, &link, Carriage::Joined),
            Request::Dump { switch } => {
                let dump = self.switches.get(&SwitchId(switch)).map(Switch::dump);
                dump.ok_or_else(|| format!("no switch {switch}"))
            }
            Request::Status => Ok(self.status()),
            Request::Quit => Ok(json!({})),
        }
    }

    /// A link begins or ends to carry; its ports learn it, unless that is to be silent.
    fn carry(&mut self, now: Instant, link: &str, carriage: Carriage) -> Result<Value, String> {
        let cable = self.link(link)?;
        cable.carriage = carriage;
        let ends = cable.ends;
        for place in ends {
            if let Place::Port(PortRef { switch, port }) = place {
                self.tell(now, switch, switch::Input::Carrier(port, carriage != Carriage::Cut));
            }
        }
        Ok(json!({}))
    }

    fn status(&self) -> Value {
        let switches: Vec<Value> = self
            .switches
            .iter()
            .map(|(id, switch)| {
                let roles: Vec<&str> = switch.roles().into_iter().map(|(_, role)| role).collect();
                json!({ "switch": id, "controllers": roles, "generation_id": format!("{:#018x}", switch.generation()) })
            })
            .collect();
        let links = self.cables.iter().filter(|cable| !cable.name.is_empty());
        let links: Vec<Value> = links
            .map(|cable| {
                let [there, back] = cable.delays.map(|delay| delay.as_micros() as u64);
                json!({ "link": cable.name, "there_us": there, "back_us": back, "state": cable.carriage.name() })
            })
            .collect();
        json!({
            "switches": switches, "links": links,
            "packets_under_way": self.under_way.len(), "packets_dropped": self.dropped,
        })
    }
}

/// What is due next; at the same instant packets go before hosts, and these before switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Arrival,
    Host(usize),
    Switch(SwitchId),
    Dial,
}

#[cfg(test)]
#[path = "fabric_tests.rs"]
mod tests;

//! Speakers, model switches, cables and a bus in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use skerry_bus::*;
use skerry_speaker_core::{Config, ConnId, Counter, Fact, Gauge, Histogram, Identity, Input, Output, Speaker};

use super::disk::{Disk, Stuck};
use super::model::{Effect, Model};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
/// What the broker's clock shows at the start.
pub const BROKER_START_MS: u64 = 1_790_000_000_000;
/// One way of every control channel, and of every cable unless said otherwise.
pub const CONTROL: Duration = MS;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    ToSpeaker {
        speaker: usize,
        conn: u64,
        bytes: Bytes,
    },
    ToSwitch {
        switch: u64,
        conn: u64,
        bytes: Bytes,
    },
    Packet {
        switch: u64,
        port: u32,
        data: Bytes,
    },
    Delivered {
        speaker: usize,
        life: u64,
        token: u64,
    },
    Disk {
        speaker: usize,
        life: u64,
        token: u64,
        load: bool,
    },
}

/// One speaker and what it did.
pub struct Process {
    pub machine: Speaker,
    pub events: Vec<RegionEvent>,
    pub latencies: Vec<Latency>,
    pub other: Vec<(Topic, Vec<u8>)>,
    pub commits: BTreeMap<i32, i64>,
    pub counts: BTreeMap<Counter, u64>,
    pub facts: Vec<Fact>,
    pub measured: Vec<(Histogram, Duration)>,
    pub gauges: BTreeMap<Gauge, u64>,
    /// How often a connection was not to be read on for a while.
    pub rests: u64,
    pub closed: BTreeMap<u64, String>,
    /// Whether the bus acknowledges what is published.
    pub bus: bool,
    pub config: Config,
    /// Counts the processes that were this speaker.
    life: u64,
    /// What it keeps; none: it has no disk.
    pub disk: Option<Disk>,
    /// It stands still: nothing is given to it and no timer fires.
    pub stopped: bool,
    seqs: BTreeMap<i32, u64>,
    offsets: BTreeMap<i32, i64>,
    held: Vec<(u64, Bytes)>,
}

pub struct World {
    pub now: Instant,
    pub t0: Instant,
    pub speakers: Vec<Process>,
    pub switches: BTreeMap<u64, Model>,
    /// Which switch and speaker a connection joins.
    pub conns: BTreeMap<u64, (u64, usize)>,
    /// Where a port's cable leads, and its one-way delay.
    pub cables: BTreeMap<(u64, u32), (u64, u32, Duration)>,
    queue: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    order: u64,
    next_conn: u64,
}

pub fn region(name: &str) -> Region {
    name.parse().expect("a region's name")
}

pub fn id(text: impl std::fmt::Display) -> CorrelationId {
    text.to_string().parse().expect("a correlation id")
}

pub fn port_ref(switch: u64, port: u32) -> PortRef {
    PortRef {
        switch: SwitchId(switch),
        port: PortNo(port),
    }
}

impl World {
    /// Speakers of these regions with the bus up, and no switches.
    pub fn new(regions: &[&str]) -> Self {
        Self::with(regions, |_| {})
    }

    pub fn with(regions: &[&str], change: impl Fn(&mut Config)) -> Self {
        let t0 = Instant::now();
        let mut world = World {
            now: t0,
            t0,
            speakers: Vec::new(),
            switches: BTreeMap::new(),
            conns: BTreeMap::new(),
            cables: BTreeMap::new(),
            queue: BinaryHeap::new(),
            order: 0,
            next_conn: 1,
        };
        for (n, name) in regions.iter().enumerate() {
            let mut config = Config::new(region(name), Epoch(7 + n as u64), [9; 32]);
            config.partitions = 4;
            change(&mut config);
            world.speakers.push(Process {
                machine: Speaker::new(config.clone(), t0),
                config,
                life: 0,
                events: Vec::new(),
                latencies: Vec::new(),
                other: Vec::new(),
                commits: BTreeMap::new(),
                counts: BTreeMap::new(),
                facts: Vec::new(),
                measured: Vec::new(),
                gauges: BTreeMap::new(),
                rests: 0,
                closed: BTreeMap::new(),
                bus: true,
                disk: None,
                stopped: false,
                seqs: BTreeMap::new(),
                offsets: BTreeMap::new(),
                held: Vec::new(),
            });
            world.input(n, Input::Clock(BrokerClock::new(t0, BROKER_START_MS)));
            world.input(n, Input::BusUp);
        }
        world
    }

    pub fn add_switch(&mut self, dpid: u64, ports: u32) {
        self.switches.insert(dpid, Model::new(dpid, ports));
    }

    pub fn model(&mut self, dpid: u64) -> &mut Model {
        self.switches.get_mut(&dpid).expect("a switch of the world")
    }

    pub fn cable(&mut self, a: (u64, u32), b: (u64, u32), delay: Duration) {
        self.cables.insert(a, (b.0, b.1, delay));
        self.cables.insert(b, (a.0, a.1, delay));
    }

    fn at(&mut self, delay: Duration, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((self.now + delay, self.order, event)));
    }

    /// Accept a connection without a switch behind it.
    pub fn accept(&mut self, speaker: usize) -> u64 {
        let host = self.next_conn % 250;
        self.accept_from(speaker, host, false)
    }

    /// The same from this host, perhaps with TLS to come.
    pub fn accept_from(&mut self, speaker: usize, host: u64, tls: bool) -> u64 {
        let conn = self.next_conn;
        self.next_conn += 1;
        let input = Input::Accepted {
            conn: ConnId(conn),
            peer: format!("10.0.0.{host}:{}", 40_000 + conn % 20_000)
                .parse()
                .expect("an address"),
            local: "10.0.0.254:6653".parse().expect("an address"),
            tls,
        };
        self.input(speaker, input);
        conn
    }

    /// Give a speaker bytes now.
    pub fn bytes(&mut self, speaker: usize, conn: u64, bytes: impl Into<Bytes>) {
        let input = Input::Received {
            conn: ConnId(conn),
            bytes: bytes.into(),
        };
        self.input(speaker, input);
    }

    /// Connect a switch to a speaker.
    pub fn connect(&mut self, dpid: u64, speaker: usize) -> u64 {
        let conn = self.accept(speaker);
        self.conns.insert(conn, (dpid, speaker));
        let hello = self.model(dpid).connect(conn);
        self.bytes(speaker, conn, hello);
        conn
    }

    /// Connect a switch to a speaker over TLS, as the holder of a certificate.
    pub fn connect_as(&mut self, dpid: u64, speaker: usize, identity: Identity) -> u64 {
        let conn = self.accept_from(speaker, 1, true);
        self.conns.insert(conn, (dpid, speaker));
        let secured = Input::Secured {
            conn: ConnId(conn),
            identity,
        };
        self.input(speaker, secured);
        let hello = self.model(dpid).connect(conn);
        self.bytes(speaker, conn, hello);
        conn
    }

    pub fn input(&mut self, speaker: usize, input: Input) {
        let now = self.now;
        self.speakers[speaker].machine.handle_input(now, input);
        self.drain(speaker);
    }

    /// Kill a speaker at this moment and start another on its disk, without Kafka.
    pub fn restart(&mut self, speaker: usize) {
        let now = self.now;
        let lost: Vec<(u64, u64)> = self
            .conns
            .iter()
            .filter(|(_, (_, of))| *of == speaker)
            .map(|(conn, (switch, _))| (*conn, *switch))
            .collect();
        for (conn, switch) in lost {
            self.model(switch).disconnect(conn);
        }
        let process = &mut self.speakers[speaker];
        process.life += 1;
        process.bus = false;
        process.config.epoch = Epoch(process.config.epoch.0 + 100);
        process.machine = Speaker::new(process.config.clone(), now);
        process.seqs.clear();
        if let Some(disk) = &mut process.disk {
            let restored = disk.killed();
            self.input(speaker, restored);
        }
    }

    /// The switch loses its connections and everything it knew.
    pub fn reboot(&mut self, dpid: u64) {
        let conns: Vec<(u64, usize)> = self
            .conns
            .iter()
            .filter(|(conn, (switch, _))| *switch == dpid && self.switches[&dpid].role_of(**conn))
            .map(|(conn, (_, speaker))| (*conn, *speaker))
            .collect();
        for (conn, speaker) in conns {
            self.model(dpid).disconnect(conn);
            let reason = "reset".to_owned();
            let conn = ConnId(conn);
            self.input(speaker, Input::Closed { conn, reason });
        }
        let model = self.model(dpid);
        model.flows.clear();
        model.groups.clear();
        model.meters.clear();
        model.generation = None;
    }

    fn drain(&mut self, speaker: usize) {
        while let Some(output) = self.speakers[speaker].machine.poll_output() {
            let bus = self.speakers[speaker].bus;
            let process = &mut self.speakers[speaker];
            let life = process.life;
            match output {
                Output::Write { conn, bytes } => {
                    assert!(!process.closed.contains_key(&conn.0), "written after closing");
                    match self.conns.get(&conn.0).map(|(switch, _)| *switch) {
                        Some(switch) => self.at(
                            CONTROL,
                            Event::ToSwitch {
                                switch,
                                conn: conn.0,
                                bytes,
                            },
                        ),
                        None => self.speakers[speaker].held.push((conn.0, bytes)),
                    }
                }
                Output::Close { conn, reason } => {
                    process.closed.insert(conn.0, reason);
                    if let Some((switch, _)) = self.conns.get(&conn.0).copied() {
                        self.model(switch).disconnect(conn.0);
                    }
                }
                Output::Publish {
                    topic,
                    partition,
                    payload,
                    token,
                    ..
                } => {
                    assert!(payload.len() <= chunk::WHOLE_MAX);
                    match &topic {
                        Topic::RegionEvents(_) => {
                            let event: RegionEvent = match decode(&payload) {
                                Decoded::Message(event) => event,
                                other => panic!("{other:?}"),
                            };
                            let seq = process.seqs.entry(partition).or_insert(0);
                            assert_eq!(event.seq.0, *seq + 1, "positions have no gap");
                            *seq += 1;
                            if let Some(switch) = event.body.switch() {
                                assert_eq!(partition, topic::partition_of(&switch.to_string(), 4));
                            }
                            if bus {
                                process.events.push(event);
                            }
                        }
                        Topic::Latency(_) => match decode(&payload) {
                            Decoded::Message(latency) => process.latencies.push(latency),
                            other => panic!("{other:?}"),
                        },
                        _ => process.other.push((topic.clone(), payload)),
                    }
                    if let Some(token) = token.filter(|_| bus) {
                        self.at(MS, Event::Delivered { speaker, life, token });
                    }
                }
                Output::Commit { partition, offset } => {
                    let before = process.commits.insert(partition, offset);
                    assert!(before.is_none_or(|b| b < offset), "commits grow");
                }
                Output::Store { token, writes } => {
                    let disk = process.disk.as_mut().expect("it was told of a disk");
                    assert!(!disk.opening, "written to a store that is not there yet");
                    let slow = disk.store(token, writes);
                    let load = false;
                    self.at(
                        slow,
                        Event::Disk {
                            speaker,
                            life,
                            token,
                            load,
                        },
                    );
                }
                Output::Load { token, keys } => {
                    let disk = process.disk.as_mut().expect("it was told of a disk");
                    assert!(!disk.opening, "read from a store that is not there yet");
                    let slow = disk.load(token, keys);
                    let load = true;
                    self.at(
                        slow,
                        Event::Disk {
                            speaker,
                            life,
                            token,
                            load,
                        },
                    );
                }
                Output::OpenStore => {
                    let disk = process.disk.as_mut().expect("it was told of a disk");
                    assert!(!std::mem::replace(&mut disk.opening, true), "asked for twice");
                    if disk.is_answered(Stuck::Open) {
                        let input = disk.open_again();
                        self.input(speaker, input);
                    }
                }
                Output::Count { counter, by } => *process.counts.entry(counter).or_default() += by,
                Output::Rest { until } => {
                    assert!(until > self.now, "a rest that is over");
                    self.speakers[speaker].rests += 1;
                }
                Output::Observe { histogram, took } => process.measured.push((histogram, took)),
                Output::Gauge { gauge, value } => {
                    process.gauges.insert(gauge, value);
                }
                Output::Fact(fact) => process.facts.push(fact),
            }
        }
    }

    /// How often was written to a connection that has no switch behind it.
    pub fn writes(&self, speaker: usize, conn: u64) -> usize {
        self.speakers[speaker].held.iter().filter(|(c, _)| *c == conn).count()
    }

    /// What was written to a connection that has no switch behind it.
    pub fn written(&mut self, speaker: usize, conn: u64) -> Vec<ofproto::Message> {
        let mut framer = ofproto::Framer::new();
        for (c, bytes) in &self.speakers[speaker].held {
            if *c == conn {
                framer.push(bytes);
            }
        }
        self.speakers[speaker].held.retain(|(c, _)| *c != conn);
        let mut messages = Vec::new();
        while let Some(frame) = framer.next_frame().expect("whole frames") {
            messages.push(ofproto::Message::decode(&frame).expect("readable"));
        }
        messages
    }

    fn effects(&mut self, switch: u64, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(conn, bytes) => {
                    let speaker = self.conns[&conn].1;
                    self.at(CONTROL, Event::ToSpeaker { speaker, conn, bytes });
                }
                Effect::Packet(port, data) => {
                    if let Some((switch, port, delay)) = self.cables.get(&(switch, port)).copied() {
                        self.at(delay, Event::Packet { switch, port, data });
                    }
                }
            }
        }
    }

    pub fn set_port(&mut self, switch: u64, port: u32, up: bool) {
        let effects = self.model(switch).set_port(port, up);
        self.effects(switch, effects);
    }

    /// A packet arrives at a switch's port from nowhere.
    pub fn inject(&mut self, switch: u64, port: u32, data: Bytes) {
        self.at(Duration::ZERO, Event::Packet { switch, port, data });
    }

    /// Let time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let (mut spins, mut last) = (0, self.now);
        loop {
            let event_at = self.queue.peek().map(|Reverse((at, _, _))| *at);
            let timer = self
                .speakers
                .iter()
                .enumerate()
                .filter(|(_, p)| !p.stopped)
                .filter_map(|(n, p)| p.machine.poll_timeout().map(|(at, _)| (at.max(self.now), n)))
                .min();
            match (event_at, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(t, _)| at <= t) => {
                    self.now = self.now.max(at);
                    if let Some(Reverse((_, _, event))) = self.queue.pop() {
                        self.happen(event);
                    }
                }
                (_, Some((at, n))) if at <= end => {
                    self.now = at;
                    self.speakers[n].machine.handle_timeout(at);
                    self.drain(n);
                    spins = if at == last { spins + 1 } else { 0 };
                    last = at;
                    assert!(
                        spins < 100_000,
                        "{:?} does not move on",
                        self.speakers[n].machine.poll_timeout()
                    );
                }
                _ => break,
            }
        }
        self.now = end;
        self.assert_packets_balance();
    }

    /// Every packet-in that came is counted once: read, dropped unseen, or malformed. And every one that was read has one end.
    pub fn assert_packets_balance(&self) {
        use Counter::*;
        for (n, process) in self.speakers.iter().enumerate() {
            let sum = |counters: &[Counter]| counters.iter().map(|c| self.counted(n, *c)).sum::<u64>();
            let shed = sum(&[
                ShedNotAnnounced,
                ShedOtherPort,
                ShedOtherSwitch,
                ShedDiscoveryPort,
                ShedDiscoverySwitch,
            ]);
            let (offered, delivered) = (sum(&[PacketsOffered]), sum(&[PacketsDelivered]));
            let counts = &process.counts;
            assert_eq!(offered, delivered + shed + sum(&[PacketsMalformed]), "{counts:?}");
            let dropped = sum(&[
                PacketOther,
                PacketForged,
                PacketStale,
                PacketReplayed,
                PacketMisplaced,
                PacketNoClock,
                PacketFull,
                LatencyNegative,
                LatencyAbsurd,
                LatencyNoControl,
            ]);
            assert_eq!(delivered, sum(&[ProbesReceived]) + dropped, "{counts:?}");
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToSpeaker { speaker, conn, bytes } => {
                if self.speakers[speaker].stopped {
                    let event = Event::ToSpeaker { speaker, conn, bytes };
                    self.at(10 * MS, event);
                } else if self.model(self.conns[&conn].0).role(conn).is_some() || self.conns.contains_key(&conn) {
                    self.bytes(speaker, conn, bytes);
                }
            }
            Event::ToSwitch { switch, conn, bytes } => {
                let effects = self.model(switch).read(conn, &bytes);
                self.effects(switch, effects);
            }
            Event::Packet { switch, port, data } => {
                let effects = self.model(switch).packet(port, &data);
                self.effects(switch, effects);
            }
            // Of a process that was killed.
            Event::Disk { speaker, life, .. } | Event::Delivered { speaker, life, .. }
                if life != self.speakers[speaker].life => {}
            Event::Disk {
                speaker, token, load, ..
            } => {
                let disk = self.speakers[speaker].disk.as_mut().expect("it has a disk");
                let what = if load { Stuck::Load(token) } else { Stuck::Store(token) };
                if disk.is_answered(what) {
                    let input = if load { disk.loaded(token) } else { disk.stored(token) };
                    self.input(speaker, input);
                }
            }
            Event::Delivered { speaker, token, .. } => {
                let broker_ms = BROKER_START_MS + (self.now - self.t0).as_millis() as u64;
                self.input(speaker, Input::Delivered { token, broker_ms });
            }
        }
    }

    /// Broker time.
    pub fn broker_ms(&self) -> u64 {
        BROKER_START_MS + (self.now - self.t0).as_millis() as u64
    }

    /// Put a command on the speaker's topic; gives its place.
    pub fn command(&mut self, speaker: usize, name: &str, deadline: Duration, body: CommandBody) -> (i32, i64) {
        let deadline_ms = self.broker_ms() + deadline.as_millis() as u64;
        self.command_until(speaker, name, deadline_ms, body)
    }

    pub fn command_until(&mut self, speaker: usize, name: &str, deadline_ms: u64, body: CommandBody) -> (i32, i64) {
        let partition = body.switch().map_or(0, |s| topic::partition_of(&s.to_string(), 4));
        let payload = encode(&Command {
            correlation_id: id(name),
            requester: "test".into(),
            deadline_ms,
            owner_epoch: None,
            region: None,
            epoch: None,
            body,
        });
        (partition, self.record(speaker, partition, payload))
    }

    /// Put any record on the speaker's topic.
    pub fn record(&mut self, speaker: usize, partition: i32, payload: Vec<u8>) -> i64 {
        let next = self.speakers[speaker].offsets.entry(partition).or_insert(0);
        let offset = *next;
        *next += 1;
        let broker_ms = self.broker_ms();
        self.input(
            speaker,
            Input::Command {
                partition,
                offset,
                payload,
                broker_ms,
            },
        );
        offset
    }

    pub fn activate(&mut self, speaker: usize, switch: u64, term: u64) {
        let name = format!("activate-{speaker}-{switch}-{term}");
        let body = CommandBody::Activate {
            switch: SwitchId(switch),
            term: Term(term),
        };
        self.command(speaker, &name, 10 * SECOND, body);
    }

    pub fn desired(
        &mut self,
        speaker: usize,
        name: &str,
        switch: u64,
        term: u64,
        generation: u64,
        change: DesiredChange,
    ) {
        let body = CommandBody::Desired {
            switch: SwitchId(switch),
            term: Term(term),
            generation: Generation(generation),
            change,
        };
        self.command(speaker, name, 10 * SECOND, body);
    }

    /// The one answer to a command so far.
    pub fn result(&self, speaker: usize, name: &str) -> Option<&CommandResult> {
        let name = id(name);
        let mut found = self.speakers[speaker].events.iter().filter_map(|e| match &e.body {
            RegionEventBody::CommandResult { result } if e.correlation_id.as_ref() == Some(&name) => Some(result),
            _ => None,
        });
        let first = found.next();
        assert!(found.next().is_none(), "more than one answer to {name}");
        first
    }

    /// How a command ended.
    pub fn ended(&self, speaker: usize, name: &str) -> (Outcome, Option<Cause>) {
        let result = self
            .result(speaker, name)
            .unwrap_or_else(|| panic!("{name} has no answer"));
        (result.outcome, result.cause.clone())
    }

    /// Events since `from` that this picks.
    pub fn told<T>(&self, speaker: usize, from: usize, pick: impl Fn(&RegionEventBody) -> Option<T>) -> Vec<T> {
        self.speakers[speaker].events[from..]
            .iter()
            .filter_map(|e| pick(&e.body))
            .collect()
    }

    pub fn mark(&self, speaker: usize) -> usize {
        self.speakers[speaker].events.len()
    }

    pub fn counted(&self, speaker: usize, counter: Counter) -> u64 {
        self.speakers[speaker].counts.get(&counter).copied().unwrap_or(0)
    }
}

/// A world with one speaker that is active, under term 1, for switch 1 with two ports.
pub fn active() -> World {
    active_with(|_| {})
}

/// The same, with another configuration.
pub fn active_with(change: impl Fn(&mut Config)) -> World {
    let mut world = World::with(&["east"], change);
    world.add_switch(1, 2);
    world.connect(1, 0);
    world.run(50 * MS);
    world.activate(0, 1, 1);
    world.run(50 * MS);
    assert_eq!(world.ended(0, "activate-0-1-1"), (Outcome::Applied, None));
    world
}

pub fn rule(table: u8, priority: u16, number: u64) -> Rule {
    Rule {
        key: RuleKey {
            table,
            priority,
            matches: Match {
                in_port: Some(PortNo(number as u32 + 1)),
                ..Match::default()
            },
        },
        cookie: Cookie(1 << 62 | number),
        meter: None,
        apply: vec![Action::Output(OutPort::Port(PortNo(2)))],
        write_metadata: None,
        goto: None,
        reset_counts: false,
    }
}

pub fn rules(n: u64) -> Objects {
    let mut objects = Objects::new();
    for number in 0..n {
        objects.put_rule(rule(0, 100, number));
    }
    objects
}

pub fn snapshot(objects: Objects) -> DesiredChange {
    DesiredChange::Snapshot { objects }
}

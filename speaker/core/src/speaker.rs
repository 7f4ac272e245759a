//! The composed machine of one speaker process: the five doors, and the way of a message between the parts.

mod alone;
mod commands;
mod disk;
mod measures;
mod probes;
mod sessions;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use ofproto::{Body, Message, RoleStatus};
use skerry_bus::{CorrelationId, SwitchId, Term};

use crate::autonomy::Autonomy;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::discovery::{APART, Schedule};
use crate::fact::{CloseReason, Counter, Fact};
use crate::io::{Config, ConnId, Input, Output};
use crate::job::Jobs;
use crate::keep::Keeper;
use crate::lane::Lane;
use crate::latency::Latencies;
use crate::lease::Lease;
use crate::links::Links;
use crate::offsets::Offsets;
use crate::publish::{Owed, Publisher};
use crate::role::RoleKeeper;
use crate::shed::{REST, Tally};
use crate::sources::{Sources, Telling};
use crate::timers::Timers;

/// One speaker. See the crate's head for the parts it is made of.
#[derive(Debug)]
pub struct Speaker {
    config: Config,
    start: Instant,
    outputs: VecDeque<Output>,
    clock: Clock,
    publisher: Publisher,
    offsets: Offsets,
    jobs: Jobs,
    connections: BTreeMap<ConnId, Connection>,
    /// The living connection of each switch id, from when the id is known.
    owners: BTreeMap<SwitchId, ConnId>,
    challenges: BTreeMap<SwitchId, Challenge>,
    switches: BTreeMap<SwitchId, Switch>,
    connection_timers: Timers<ConnId>,
    switch_timers: Timers<SwitchId>,
    challenge_timers: Timers<SwitchId>,
    digest_timers: Timers<SwitchId>,
    schedule: Schedule,
    /// The same for the packets that measure control channels.
    control_schedule: Schedule,
    links: Links,
    latencies: Latencies,
    nonce: u64,
    announced: u64,
    /// Highest owner epoch seen per partition.
    owner_epochs: BTreeMap<i32, u64>,
    /// Snapshots that were written because they were asked for, newest last, each with the partitions that asked so far.
    snapshots: VecDeque<(CorrelationId, BTreeSet<i32>)>,
    sources: Sources,
    refusals: Telling,
    /// Errors that belong to no request, told in the log.
    strays: Telling,
    gauges: measures::Gauges,
    was_up: bool,
    keeper: Keeper,
    /// The disk was given up, for this cause, and has not come back.
    store_given_up: Option<String>,
    /// Switches whose state on disk may be another than what stands on them: looked at one at a time.
    to_keep: BTreeSet<SwitchId>,
    /// What is read from disk, and for which connection.
    loading: BTreeMap<u64, (SwitchId, ConnId)>,
    lease: Lease,
    /// Switches without roles that this region writes to.
    equals: BTreeSet<SwitchId>,
    /// Kafka took a record of ours: the broker's time is known, or will never be.
    was_delivered: bool,
    early: VecDeque<alone::Early>,
    /// Numbers of answers that need not be sent again, which the disk does not know yet.
    settled: Vec<u64>,
}

/// Another connection claims the id of a living one, which is asked for a sign of life.
#[derive(Debug)]
struct Challenge {
    newcomer: ConnId,
    echo_xid: u32,
}

/// An announced switch. Its ports and description stand with its connection.
#[derive(Debug)]
struct Switch {
    conn: ConnId,
    /// Number of its connection in this epoch.
    number: u64,
    announced: Instant,
    role: RoleKeeper,
    lane: Lane,
    autonomy: Autonomy,
}

fn earliest(times: impl IntoIterator<Item = (Option<Instant>, &'static str)>) -> Option<(Instant, &'static str)> {
    times
        .into_iter()
        .filter_map(|(at, why)| at.map(|at| (at, why)))
        .min_by_key(|(at, _)| *at)
}

/// What a connection wrote, and its deadline.
fn hand_over(conn: ConnId, connection: &mut Connection, outputs: &mut VecDeque<Output>, timers: &mut Timers<ConnId>) {
    if let Some(bytes) = connection.wire.take() {
        outputs.push_back(Output::Write { conn, bytes });
    }
    timers.set(conn, connection.deadline());
}

impl Speaker {
    /// A speaker without connections, with the bus down.
    pub fn new(config: Config, now: Instant) -> Self {
        Speaker {
            start: now,
            outputs: VecDeque::new(),
            clock: Clock::default(),
            publisher: Publisher::new(&config, now),
            offsets: Offsets::new(),
            jobs: Jobs::default(),
            connections: BTreeMap::new(),
            owners: BTreeMap::new(),
            challenges: BTreeMap::new(),
            switches: BTreeMap::new(),
            connection_timers: Timers::new(),
            switch_timers: Timers::new(),
            challenge_timers: Timers::new(),
            digest_timers: Timers::new(),
            schedule: Schedule::new(config.discovery, now),
            control_schedule: Schedule::new(config.control_rtt, now + config.control_rtt / APART),
            links: Links::new(config.discovery),
            latencies: Latencies::new(),
            nonce: 0,
            announced: 0,
            owner_epochs: BTreeMap::new(),
            snapshots: VecDeque::new(),
            sources: Sources::default(),
            refusals: Telling::new(now),
            strays: Telling::new(now),
            gauges: measures::Gauges::new(now),
            was_up: false,
            keeper: Keeper::new(config.epoch, config.kept_bytes_max, now),
            store_given_up: None,
            to_keep: BTreeSet::new(),
            loading: BTreeMap::new(),
            lease: Lease::new(config.lease),
            equals: BTreeSet::new(),
            was_delivered: false,
            early: VecDeque::new(),
            settled: Vec::new(),
            config,
        }
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.check_lease(now);
        match input {
            Input::Accepted { conn, peer, local, tls } => self.accepted(now, conn, (peer, local), tls),
            Input::Secured { conn, identity } => self.secured(conn, identity),
            Input::NotSecured { conn, failure } => self.close(now, conn, CloseReason::Tls(failure), true),
            Input::Received { conn, bytes } => self.received(now, conn, bytes),
            Input::Closed { conn, reason } => self.close(now, conn, CloseReason::ByPeer(reason), false),
            Input::Command {
                partition,
                offset,
                payload,
                broker_ms,
            } => self.record(now, partition, offset, payload.into(), broker_ms),
            Input::Delivered { token, broker_ms } => {
                self.heard_kafka(now, token, broker_ms);
                self.take_early(now);
                let owed = self.publisher.delivered(token);
                self.commit(now, owed);
                if self.publisher.is_up() {
                    self.publisher.resend(self.at_ms(now), &mut self.outputs);
                    if self.publisher.take_lost(now) {
                        self.snapshot_all(now, "return");
                    }
                }
            }
            Input::NotDelivered { token } => {
                let owed = self.publisher.not_delivered(token, &mut self.outputs);
                self.commit(now, owed);
            }
            Input::CommandUnreadable {
                partition,
                offset,
                cause,
            } => self.chunks_unreadable(partition, offset, cause),
            Input::PartitionLost { partition } => {
                self.offsets.lost(partition);
                self.early.retain(|early| early.partition != partition);
            }
            Input::BusDown => {
                if self.publisher.set_up(now, false) {
                    self.outputs.push_back(Output::Fact(Fact::Bus { up: false }));
                }
            }
            Input::BusUp => self.bus_up(now),
            Input::Clock(clock) => {
                self.clock.offer(now, clock);
                self.take_early(now);
            }
            Input::Restored { entries } => self.restored(now, entries),
            Input::Stored { token } => self.stored(now, token),
            Input::StoreFailed { token, cause } => self.store_failed(now, token, cause),
            Input::Loaded { token, values } => self.loaded(now, token, Ok(values)),
            Input::LoadFailed { token, cause } => self.loaded(now, token, Err(cause)),
            Input::Stop => {
                let all: Vec<ConnId> = self.connections.keys().copied().collect();
                for conn in all {
                    self.close(now, conn, CloseReason::Stopping, true);
                }
            }
        }
    }

    fn bus_up(&mut self, now: Instant) {
        if !self.publisher.set_up(now, true) {
            return;
        }
        self.outputs.push_back(Output::Fact(Fact::Bus { up: true }));
        let name = if self.was_up { "return" } else { "start" };
        self.was_up = true;
        self.publisher.snapshot_written(now);
        self.snapshot_all(now, name);
        self.publisher.resend(self.at_ms(now), &mut self.outputs);
        let switches = self.switch_count();
        self.publisher.beat(now, self.at_ms(now), switches, &mut self.outputs);
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.check_lease(now);
        let switches = self.switch_count();
        self.publisher.beat(now, self.at_ms(now), switches, &mut self.outputs);
        while let Some(conn) = self.connection_timers.pop_due(now) {
            let Some(connection) = self.connections.get_mut(&conn) else {
                continue;
            };
            match connection.handle_timeout(now) {
                Ok(()) => self.flush(conn),
                Err(reason) => self.close(now, conn, reason, true),
            }
        }
        while let Some(switch) = self.switch_timers.pop_due(now) {
            self.switch_timeout(now, switch);
        }
        while let Some(switch) = self.challenge_timers.pop_due(now) {
            self.challenge_unanswered(now, switch);
        }
        self.look_after_disk(now);
        self.tell_gauges(now);
        self.tell_silent(now);
        self.tell_latencies(now);
        self.tell_digests(now);
        // One packet per call: the driver writes it and comes back with a new `now`, so that the time in each packet is
        // the time it was written.
        if !self.probe_control(now) && !self.probe_link(now) {
            self.keep_again(now);
        }
    }

    /// When [`Speaker::handle_timeout`] is to be called next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        earliest([
            (self.publisher.heartbeat_at(), "heartbeat"),
            (self.connection_timers.next(), "handshake or echo"),
            (self.switch_timers.next(), "answer of a switch"),
            (self.challenge_timers.next(), "challenge of a living connection"),
            (self.links.next(), "silence of a link"),
            (self.latencies.next(), "latency to publish"),
            (self.digest_timers.next(), "digest of links"),
            (self.control_schedule.next(), "control channel probe"),
            (self.schedule.next(), "discovery packet"),
            (self.lease_ends(), "lease"),
            (self.keeper.deadline(), "look after the disk"),
            (self.may_keep_again().then_some(self.start), "state to put on disk"),
            (Some(self.gauges.next()), "gauges"),
        ])
    }

    /// The next thing to do; call until there is none before the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Switches that are announced.
    fn switch_count(&self) -> u32 {
        u32::try_from(self.switches.len()).unwrap_or(u32::MAX)
    }

    /// Broker time for messages; 0 until it is known.
    fn at_ms(&self, now: Instant) -> u64 {
        self.clock.now_ms(now).unwrap_or(0)
    }

    fn count(&mut self, counter: Counter) {
        self.outputs.push_back(Output::Count { counter, by: 1 });
    }

    fn fact(&mut self, fact: Fact) {
        self.outputs.push_back(Output::Fact(fact));
    }

    /// Hand what a connection wrote to the driver, and put its deadline down.
    fn flush(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            hand_over(conn, connection, &mut self.outputs, &mut self.connection_timers);
        }
    }

    /// The answers to these records are safe.
    fn commit(&mut self, now: Instant, owed: Vec<Owed>) {
        self.answers_settled(now);
        for (partition, offset) in owed {
            if let Some(offset) = self.offsets.answered(partition, offset) {
                self.outputs.push_back(Output::Commit { partition, offset });
            }
        }
    }

    fn received(&mut self, now: Instant, conn: ConnId, bytes: Bytes) {
        match self.connections.get_mut(&conn) {
            Some(connection) => connection.push(bytes),
            None => return,
        }
        while let Some(connection) = self.connections.get_mut(&conn) {
            match connection.next_event(now) {
                Some(Ok(None)) => {}
                Some(Ok(Some(event))) => self.connection_event(now, conn, event),
                Some(Err(reason)) => self.close(now, conn, reason, true),
                // Once for all frames of a read: many small answers are one write, and many packets one count.
                None => {
                    hand_over(conn, connection, &mut self.outputs, &mut self.connection_timers);
                    let tally = connection.take_tally();
                    let ports_dropped = connection.take_ports_dropped();
                    return self.read_through(now, tally, ports_dropped);
                }
            }
        }
    }

    /// What became of a read is told.
    fn read_through(&mut self, now: Instant, tally: Tally, ports_dropped: u64) {
        if tally.is_flood() {
            self.outputs.push_back(Output::Rest { until: now + REST });
        }
        if ports_dropped > 0 {
            let (counter, by) = (Counter::PortsFull, ports_dropped);
            self.outputs.push_back(Output::Count { counter, by });
        }
        self.count_packets(tally);
    }

    /// A message of an announced switch.
    fn message(&mut self, now: Instant, conn: ConnId, switch: SwitchId, message: Message, len: usize) {
        let xid = message.xid;
        let body = match message.body {
            Body::PacketIn(packet) => return self.packet_in(now, conn, switch, &packet),
            Body::PortStatus(status) => return self.port_status(now, switch, &status),
            body => body,
        };
        let (Some(entry), Some(connection)) = (self.switches.get_mut(&switch), self.connections.get_mut(&conn)) else {
            return;
        };
        let wire = &mut connection.wire;
        match body {
            Body::BarrierReply => {
                let (ours, events) = entry.lane.barrier(now, xid, wire);
                self.lane_events(now, switch, events);
                self.count_unless(ours, Counter::Unexpected);
            }
            Body::MultipartReply(reply) => {
                let (ours, events) = entry.lane.reply(now, xid, reply, len);
                self.lane_events(now, switch, events);
                self.count_unless(ours, Counter::Unexpected);
            }
            Body::RoleReply(reply) => {
                let events = entry.role.reply(now, xid, &reply, wire);
                let ours = !events.is_empty();
                self.role_events(now, switch, events);
                self.count_unless(ours, Counter::Unexpected);
            }
            Body::Error(error) => {
                let (ours, lane_events) = entry.lane.error(xid, &error);
                let role_events = entry.role.error(now, xid, &error, wire);
                let known = ours || !role_events.is_empty();
                self.lane_events(now, switch, lane_events);
                self.role_events(now, switch, role_events);
                if !known {
                    self.stray(now, switch, xid, &error);
                }
            }
            Body::BundleControl(control) => {
                let ours = entry.lane.bundle(xid, &control);
                self.count_unless(ours, Counter::Unexpected);
            }
            Body::Experimenter(experimenter) => match RoleStatus::from_experimenter(&experimenter) {
                Some(Ok(status)) => {
                    let events = entry.role.status(&status);
                    self.role_events(now, switch, events);
                }
                Some(Err(error)) => {
                    return self.close(now, conn, CloseReason::Malformed(error.to_string()), true);
                }
                None => self.count(Counter::Unexpected),
            },
            _ => self.count(Counter::Unexpected),
        }
        self.pump(now, switch);
    }

    /// An error that belongs to no request: counted, and told unless there are too many.
    fn stray(&mut self, now: Instant, switch: SwitchId, xid: u32, error: &ofproto::ErrorMsg) {
        self.count(Counter::ForeignError);
        // Those that were not told are in the counter.
        if self.strays.next(now).told {
            let error = error.to_string();
            self.fact(Fact::StrayError { switch, xid, error });
        }
    }

    fn count_unless(&mut self, ours: bool, counter: Counter) {
        if !ours {
            self.count(counter);
        }
    }

    /// Let the lane of a switch go on, hand out what was written, and put its deadlines down.
    fn pump(&mut self, now: Instant, switch: SwitchId) {
        let Some(entry) = self.switches.get_mut(&switch) else {
            return;
        };
        let conn = entry.conn;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let events = entry.lane.advance(now, entry.role.authority(), &mut connection.wire);
        let deadlines = [entry.role.deadline(), entry.lane.deadline(), entry.autonomy.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        self.switch_timers.set(switch, deadline);
        self.flush(conn);
        self.lane_events(now, switch, events);
    }

    fn switch_timeout(&mut self, now: Instant, switch: SwitchId) {
        let Some(entry) = self.switches.get_mut(&switch) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&entry.conn) else {
            return;
        };
        let role_events = entry.role.handle_timeout(now, &mut connection.wire);
        let lane_events = entry.lane.handle_timeout(now);
        let action = entry.autonomy.handle_timeout(now);
        self.act(now, switch, action);
        self.role_events(now, switch, role_events);
        self.lane_events(now, switch, lane_events);
        self.pump(now, switch);
    }

    /// The term under which this region is active for a switch.
    fn term(&self, switch: SwitchId) -> Option<Term> {
        self.switches.get(&switch).and_then(|entry| entry.role.term())
    }
}

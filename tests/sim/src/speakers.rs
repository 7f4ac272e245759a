//! Speakers: the driver of the real core, as `speaker/src/driver.rs` is, with the world in place of sockets, Kafka and disk.

use std::time::Duration;

use skerry_bus::{Epoch, Topic};
use skerry_speaker_core::{Config, ConnId, Fact, Input, Output, Speaker};

use crate::client::{ClientId, Who};
use crate::disk::{Disk, Order};
use crate::event::Event;
use crate::judge::End;
use crate::log::{Group, Record, Tp};
use crate::time::{MS, Ns, US, broker_ms};
use crate::world::World;

/// Signs discovery packets.
const NETWORK_KEY: [u8; 32] = [9; 32];

/// The host of a region's speaker.
#[derive(Default)]
pub struct SpeakerHost {
    /// The process, with its connection to the log; none: it does not run.
    pub machine: Option<(Speaker, ClientId)>,
    /// When it wants to be woken.
    pub due: Ns,
    /// What survives it.
    pub disk: Disk,
    /// When the last order of the disk is done.
    disk_at: Ns,
    /// How much slower the disk is.
    pub disk_slow: Ns,
    /// Faults that keep it down.
    pub down: u32,
    /// Faults that keep it stopped.
    pub stopped: u32,
    /// Since when.
    pub stopped_at: Ns,
    /// What it will see when it is continued.
    pub deferred: Vec<Event>,
    /// Faults that keep it from the log.
    pub cut: u32,
    /// How much later it reads.
    pub slow: Ns,
    /// The epoch of the last process.
    pub epoch: u64,
    /// When the process started.
    pub since: Ns,
}

impl SpeakerHost {
    /// A host on which nothing runs yet.
    pub fn new() -> SpeakerHost {
        SpeakerHost {
            due: Ns::MAX,
            ..SpeakerHost::default()
        }
    }
}

impl World {
    /// A speaker's process starts.
    pub(crate) fn start_speaker(&mut self, n: usize) {
        let wall_ms = broker_ms(self.now).saturating_add_signed(self.scenario.clock_offsets_ms[n]);
        let region = self.scenario.regions[n].clone();
        let host = &mut self.speakers[n];
        // As the store does: the wall clock's, or the next one if that clock went back.
        host.epoch = wall_ms.max(host.epoch + 1);
        host.since = self.now;
        let mut config = Config::new(region.clone(), Epoch(host.epoch), NETWORK_KEY);
        config.partitions = self.scenario.partitions as i32;
        let now = self.clock.at(self.now);
        let machine = Speaker::new(config, now);
        let restored = self.speakers[n].disk.restored();
        let client = self.new_client(Who::Speaker(n), Group::Speaker(n), &[Topic::RegionCommands(region)]);
        self.speakers[n].machine = Some((machine, client));
        self.speakers[n].due = self.now;
        self.judge.speaker_started(n);
        self.tell_speaker(n, restored);
    }

    /// A speaker's process is gone, at this very moment.
    pub(crate) fn end_speaker(&mut self, n: usize, late: bool) {
        let Some((_, client)) = self.speakers[n].machine.take() else {
            return;
        };
        self.end_client(client, late);
        let host = &mut self.speakers[n];
        host.due = Ns::MAX;
        host.disk_at = 0;
        host.deferred.clear();
        host.disk.killed(&mut self.random);
        for conn in 0..self.conns.len() {
            if self.conns[conn].speaker == n {
                self.hang_up_at_speaker(conn);
            }
        }
    }

    /// Something happens to a speaker.
    pub(crate) fn tell_speaker(&mut self, n: usize, input: Input) {
        let now = self.clock.at(self.now);
        if let Some((machine, _)) = &mut self.speakers[n].machine {
            machine.handle_input(now, input);
            self.drain_speaker(n);
        }
    }

    pub(crate) fn wake_speaker(&mut self, n: usize) {
        let now = self.clock.at(self.now);
        if let Some((machine, _)) = &mut self.speakers[n].machine {
            machine.handle_timeout(now);
            self.drain_speaker(n);
        }
    }

    /// Do what it wants, in order, and note when it wants to be woken.
    fn drain_speaker(&mut self, n: usize) {
        loop {
            let Some((machine, client)) = &mut self.speakers[n].machine else {
                return;
            };
            let client = *client;
            let Some(output) = machine.poll_output() else { break };
            self.speaker_wants(n, client, output);
        }
        let host = &mut self.speakers[n];
        let due = host.machine.as_ref().and_then(|(machine, _)| machine.poll_timeout());
        host.due = match due {
            Some((at, _)) if host.stopped == 0 => self.clock.ns(at),
            _ => Ns::MAX,
        };
    }

    fn speaker_wants(&mut self, n: usize, client: ClientId, output: Output) {
        match output {
            Output::Write { conn, bytes } => self.speaker_writes(conn.0 as usize, bytes),
            Output::Close { conn, reason } => {
                let now = self.now;
                self.trace
                    .line(now, || format!("speaker {n} closes connection {}: {reason}", conn.0));
                self.hang_up_at_speaker(conn.0 as usize);
            }
            Output::Publish {
                topic,
                partition,
                key,
                payload,
                token,
            } => {
                let sent = self.send(client, &topic, partition, key, payload, token);
                if let (false, Some(token)) = (sent, token) {
                    self.agenda.put(self.now + 50 * US, Event::NotSent { client, token });
                }
            }
            Output::Commit { partition, offset } => {
                let topic = Topic::RegionCommands(self.scenario.regions[n].clone());
                if let Some(tp) = self.log.tp(&topic, partition) {
                    self.done_with(client, tp, offset);
                }
            }
            Output::Store { token, writes } => self.order(n, client, Order::Store(token, writes)),
            Output::Load { token, keys } => self.order(n, client, Order::Load(token, keys)),
            Output::OpenStore => self.order(n, client, Order::Open),
            Output::Count { counter, by } => self.judge.speaker_counts(n, counter, by),
            Output::Fact(fact) => {
                if let Fact::CommandEnded {
                    switch,
                    correlation_id,
                    outcome,
                    cause,
                    ..
                } = &fact
                {
                    let end = End {
                        switch: *switch,
                        id: correlation_id.clone(),
                        outcome: *outcome,
                        cause: cause.clone(),
                    };
                    self.judge.speaker_ends(n, &end, &self.switches, &self.conns);
                }
                let now = self.now;
                self.trace.line(now, || format!("speaker {n}: {fact:?}"));
            }
            // Reading less, and what is measured, is nobody's business here.
            Output::Rest { .. } | Output::Observe { .. } | Output::Gauge { .. } => {}
        }
    }

    fn order(&mut self, n: usize, client: ClientId, order: Order) {
        let took = self.random.between(200, 3_000) * US + self.speakers[n].disk_slow;
        let host = &mut self.speakers[n];
        host.disk.order(order);
        host.disk_at = host.disk_at.max(self.now) + took;
        self.agenda.put(host.disk_at, Event::Disk { client });
    }

    /// A disk that was slow no longer is: what waits is done soon.
    pub(crate) fn disk_goes_on(&mut self, n: usize) {
        let host = &mut self.speakers[n];
        host.disk_slow = 0;
        host.disk_at = self.now;
        let Some((_, client)) = &host.machine else { return };
        let client = *client;
        for _ in 0..self.speakers[n].disk.waiting() {
            self.speakers[n].disk_at += self.random.between(200, 3_000) * US;
            self.agenda.put(self.speakers[n].disk_at, Event::Disk { client });
        }
    }

    pub(crate) fn disk_done(&mut self, client: ClientId) {
        let Who::Speaker(n) = self.clients[client.0].who else {
            return;
        };
        if self.clients[client.0].alive
            && let Some(input) = self.speakers[n].disk.done()
        {
            self.tell_speaker(n, input);
        }
    }

    // ---- the log ------------------------------------------------------------------------------------------------

    pub(crate) fn speaker_reads(&mut self, n: usize, tp: Tp, offset: i64, record: Record) {
        let partition = self.log.partition(tp);
        self.judge.speaker_read(n, tp, offset);
        self.tell_speaker(
            n,
            Input::Command {
                partition,
                offset,
                payload: record.payload.to_vec(),
                broker_ms: record.ms,
            },
        );
    }

    pub(crate) fn speaker_delivered(&mut self, n: usize, token: u64, broker_ms: u64) {
        self.tell_speaker(n, Input::Delivered { token, broker_ms });
    }

    pub(crate) fn speaker_not_delivered(&mut self, n: usize, token: u64) {
        self.tell_speaker(n, Input::NotDelivered { token });
    }

    pub(crate) fn speaker_bus(&mut self, n: usize, up: bool) {
        self.tell_speaker(n, if up { Input::BusUp } else { Input::BusDown });
    }

    // ---- connections --------------------------------------------------------------------------------------------

    /// A connection reaches its speaker, unless that is another process by now.
    pub(crate) fn accepted(&mut self, conn: usize) {
        let of = &self.conns[conn];
        if !of.open_at_speaker {
            return;
        }
        let (n, switch) = (of.speaker, of.switch);
        let peer = format!("10.0.{}.{}:{}", n, switch + 1, 20_000 + conn % 40_000);
        let input = Input::Accepted {
            conn: ConnId(conn as u64),
            peer: peer.parse().expect("an address of numbers below 256"),
            local: "10.0.0.254:6653".parse().expect("an address"),
            tls: false,
        };
        self.tell_speaker(n, input);
    }

    pub(crate) fn speaker_receives(&mut self, conn: usize, bytes: bytes::Bytes) {
        let of = &self.conns[conn];
        if of.open_at_speaker {
            let input = Input::Received {
                conn: ConnId(conn as u64),
                bytes,
            };
            self.tell_speaker(of.speaker, input);
        }
    }

    pub(crate) fn closed_to_speaker(&mut self, conn: usize) {
        if !std::mem::replace(&mut self.conns[conn].open_at_speaker, false) {
            return;
        }
        let reason = "connection reset by peer".to_owned();
        let input = Input::Closed {
            conn: ConnId(conn as u64),
            reason,
        };
        self.tell_speaker(self.conns[conn].speaker, input);
    }

    /// How long a process must have stood still before its reader says that it does not know where it stands.
    pub(crate) const STALL: Ns = Duration::from_millis(500).as_nanos() as Ns;

    /// How long a packet takes between a switch and its speaker.
    pub(crate) const CONTROL_MIN: Ns = MS / 5;
}

//! The loop around the machine: wait for an input or its deadline, feed it, carry out what it wants, repeat.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use skerry_bus::{Epoch, Region, Topic};
use skerry_io::health::Health;
use skerry_io::kafka::{Begin, Committer, Consumer, ConsumerEvent, Producer, ProducerEvent, ProducerEvents, Reading};
use skerry_io::metrics_http::{MetricsSettings, Recorder};
use skerry_io::notify::Notify;
use skerry_io::shutdown::Shutdown;
use skerry_speaker_core::{ConnId, Input, Output, Speaker};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::config::SpeakerConfig;
use crate::outbox::OutboxLimits;
use crate::sockets::{SocketEvent, SocketLimits, Sockets, SwitchOutbox, Transport};
use crate::store::Store;
use crate::telemetry::{self, Meters};
use crate::tls;

/// How often what waits is added up for the metrics.
const METER: Duration = Duration::from_secs(1);
/// Events of one source that are carried out before the others have their turn.
const TURN_MAX: usize = 64;
/// Deadlines that are served before it is looked what has come: discovery packets are sent one by one, each with its time.
const DUE_MAX: usize = 16;
/// Without Kafka for so long after the start, systemd is told "ready" nevertheless: switches are served without it.
const READY_WITHOUT_KAFKA: Duration = Duration::from_secs(5);
/// How long the last messages may take to be acknowledged when the process ends.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Run until SIGTERM or SIGINT.
///
/// # Errors
/// It could not start, or Kafka's topics do not fit the configuration.
pub fn run(config: &SpeakerConfig) -> anyhow::Result<()> {
    config.log.start()?;
    let region = config.region.clone().context("region must be set")?;
    let span = tracing::info_span!("speaker", %region);
    let _inside = span.enter();
    if let Some(path) = &config.network_key_file
        && crate::key::is_open(path)
    {
        tracing::warn!(path = %path.display(), "everybody on this host can read the network key: chmod 640");
    }
    if let Some(path) = config.tls.key_file.as_ref().filter(|path| crate::key::is_open(path)) {
        tracing::warn!(path = %path.display(), "everybody on this host can read the TLS key: chmod 640");
    }
    let recorder = Recorder::install()?;
    let health = Health::default();
    health.not_ready("kafka has not answered yet");
    serve_metrics(recorder, &config.metrics, health.clone())?;
    let meters = Meters::new(&region);

    // Before anything is listened for: the first switch may need what is on disk.
    let disk = OnDisk::open(config.state_dir(), &region, &meters);
    let epoch = disk.epoch;
    let mut machine = config.machine(epoch)?;

    let tls = config.tls()?;
    let mut listeners = Vec::new();
    for listen in &config.listen {
        let transport = match (&tls, listen.plaintext) {
            (Some(tls), false) => Transport::Tls(tls.clone()),
            (None, false) | (_, true) => Transport::Plain,
        };
        listeners.push((listen.address().map_err(anyhow::Error::msg)?, transport));
    }
    tls::watch::start(tls, &region)?;
    let limits = SocketLimits {
        outbox: OutboxLimits {
            bytes: config.limits.write_queue_bytes,
            stall: Duration::from_millis(config.limits.write_stall_ms),
        },
        handshakes: config.limits.tls_handshakes,
    };
    let (sockets, events) = Sockets::listen(&listeners, limits)?;
    for (address, (_, transport)) in sockets.addresses().iter().zip(&listeners) {
        tracing::info!(%address, tls = matches!(transport, Transport::Tls(_)), "listening for switches");
        if matches!(transport, Transport::Plain) {
            tracing::warn!(%address, "plain TCP: whoever reaches this address can pose as any switch");
        }
    }
    let addresses: Vec<String> = sockets.addresses().iter().map(ToString::to_string).collect();
    machine.name = format!("{} {}", skerry_io::process::host_name(), addresses.join(" "));
    tracing::info!(epoch = epoch.0, version = env!("CARGO_PKG_VERSION"), "speaker starts");

    let client_id = format!("skerry-speaker-{region}");
    let commands = Topic::RegionCommands(region.clone());
    let topics = vec![
        Topic::RegionEvents(region.clone()),
        commands.clone(),
        Topic::Latency(region.clone()),
    ];
    let (producer, fates) = Producer::start(&config.kafka, &client_id, topics)?;
    let reading = Reading {
        client_id: client_id.clone(),
        group: client_id,
        topics: vec![(commands.clone(), Begin::Committed)],
    };
    let consumer = Consumer::start(&config.kafka, reading)?;

    let now = Instant::now();
    let mut machine = Speaker::new(machine, now);
    if let Some(restored) = disk.restored {
        machine.handle_input(now, restored);
    }
    let driver = Driver {
        machine,
        now,
        outboxes: HashMap::new(),
        producer,
        committer: consumer.committer(),
        commands,
        partitions: config.kafka.partitions,
        meters,
        meter_at: now,
        caught_up: BTreeSet::new(),
        store: disk.store,
        not_sent: Vec::new(),
        rest: None,
        resting: VecDeque::new(),
        health,
        notify: Notify::new(now),
        ready_by: Some(now + READY_WITHOUT_KAFKA),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(sockets.serve(stopped));
        let ended = driver.run(events, fates, consumer, disk.told).await;
        // After the driver has closed the connections: they say their last words.
        drop(stop);
        serving
            .await
            .context("the sockets panicked")?
            .context("no connections could be taken")?;
        ended
    })
}

/// Metrics have a thread of their own: a page of them must not hold up a switch.
fn serve_metrics(recorder: Recorder, settings: &MetricsSettings, health: Health) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(address) = runtime.block_on(recorder.serve(settings, health))? {
        tracing::info!(%address, "metrics on /metrics, health on /healthz and /readyz");
    }
    std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(())
}

/// What is on disk, and the thread that writes it.
struct OnDisk {
    epoch: Epoch,
    store: Option<Store>,
    restored: Option<Input>,
    told: mpsc::Receiver<Input>,
}

impl OnDisk {
    /// A speaker without a disk serves its switches all the same: it only knows nothing after a restart.
    fn open(folder: Option<&Path>, region: &Region, meters: &Meters) -> OnDisk {
        let wall_ms = skerry_io::wall_clock_ms();
        let without = || OnDisk {
            epoch: Epoch(wall_ms),
            store: None,
            restored: None,
            // Without a store nobody tells anything: its sending end is dropped here.
            told: mpsc::channel(1).1,
        };
        let Some(folder) = folder else {
            tracing::warn!("state_dir is empty: switches that reboot while Kafka is away stay without their rules");
            return without();
        };
        match Store::start(folder, region, wall_ms) {
            Ok((store, told, found)) => {
                if let Some(cause) = found.set_aside {
                    meters.store_set_aside.increment(1);
                    tracing::warn!(folder = %folder.display(), cause, "what was on disk is of no use and set aside");
                }
                meters.store_up.set(1);
                OnDisk {
                    epoch: found.epoch,
                    store: Some(store),
                    restored: Some(found.restored),
                    told,
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(folder = %folder.display(), error, "state_dir cannot be used: switches that reboot while Kafka is away stay without their rules");
                without()
            }
        }
    }
}

struct Driver {
    machine: Speaker,
    /// The time the machine was told last: it never runs backwards.
    now: Instant,
    outboxes: HashMap<ConnId, Arc<SwitchOutbox>>,
    producer: Producer,
    committer: Committer,
    commands: Topic,
    partitions: i32,
    meters: Meters,
    /// When what waits is added up next.
    meter_at: Instant,
    /// Partitions of the commands that are read to their end.
    caught_up: BTreeSet<i32>,
    store: Option<Store>,
    /// Messages that were not taken, to be told in the next turn: told at once, a machine that tries again at once
    /// would keep us here. Not more than the machine has under way.
    not_sent: Vec<u64>,
    /// The connection whose input is being carried out is not to be read on before then.
    rest: Option<Instant>,
    /// Reads of such connections, not given back yet, earliest first: as many as a connection may have under way, each.
    resting: VecDeque<(Instant, OwnedSemaphorePermit)>,
    health: Health,
    notify: Notify,
    /// When systemd is told "ready" at the latest; none once it was told.
    ready_by: Option<Instant>,
}

impl Driver {
    async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<SocketEvent>,
        mut fates: ProducerEvents,
        mut consumer: Consumer,
        mut disk: mpsc::Receiver<Input>,
    ) -> anyhow::Result<()> {
        let mut shutdown = Shutdown::new()?;
        let ended = loop {
            self.carry_out();
            // Each branch takes one event; what else is there already is taken below without waiting again.
            tokio::select! {
                biased;
                name = shutdown.asked() => {
                    tracing::info!(signal = name, "asked to end");
                    break Ok(());
                }
                Some(event) = events.recv() => self.socket(event),
                Some(input) = disk.recv() => self.input(Instant::now(), input),
                Some(event) = fates.recv() => if let Err(unfit) = self.fate(event) { break Err(unfit) },
                event = consumer.recv() => match event {
                    Some(event) => self.consumed(event),
                    None => break Err(anyhow::anyhow!("commands can no longer be read; the log says why")),
                },
                () = tokio::time::sleep_until(self.wake().into()) => {}
            }
            let began = Instant::now();
            if let Err(unfit) = self.turn(&mut events, &mut fates, &mut consumer, &mut disk) {
                break Err(unfit);
            }
            self.meters.turn.record(began.elapsed());
        };
        self.stop().await;
        ended
    }

    /// All that is there already, each source in its turn, then what is due.
    fn turn(
        &mut self,
        events: &mut mpsc::UnboundedReceiver<SocketEvent>,
        fates: &mut ProducerEvents,
        consumer: &mut Consumer,
        disk: &mut mpsc::Receiver<Input>,
    ) -> anyhow::Result<()> {
        for _ in 0..TURN_MAX {
            let Ok(event) = events.try_recv() else { break };
            self.socket(event);
        }
        for _ in 0..TURN_MAX {
            let Ok(input) = disk.try_recv() else { break };
            self.input(Instant::now(), input);
        }
        for _ in 0..TURN_MAX {
            let Some(event) = fates.try_recv() else { break };
            self.fate(event)?;
        }
        for _ in 0..TURN_MAX {
            let Some(event) = consumer.try_recv() else { break };
            self.consumed(event);
        }
        for token in std::mem::take(&mut self.not_sent) {
            self.input(Instant::now(), Input::NotDelivered { token });
        }
        let mut now = self.tell_time(Instant::now());
        for _ in 0..DUE_MAX {
            if self.machine.poll_timeout().is_none_or(|(due, _)| due > now) {
                break;
            }
            self.machine.handle_timeout(now);
            self.carry_out();
            now = self.tell_time(Instant::now());
        }
        while self.resting.pop_front_if(|(until, _)| *until <= now).is_some() {}
        self.notify.alive(now);
        self.health.alive(now);
        self.meter(now);
        if self.ready_by.is_some_and(|by| by <= now) {
            tracing::warn!("ready without Kafka: switches are served, routers do not know it yet");
            self.say_ready();
        }
        Ok(())
    }

    /// Add up what waits, if it is time.
    fn meter(&mut self, now: Instant) {
        if now < self.meter_at {
            return;
        }
        self.meter_at = now + METER;
        let waiting = self.outboxes.values().map(|outbox| outbox.waiting());
        let (sum, max) = waiting.fold((0, 0), |(sum, max), bytes| (sum + bytes, max.max(bytes)));
        self.meters.outbox.0.set(sum as f64);
        self.meters.outbox.1.set(max as f64);
        self.meters.kafka_in_flight.set(self.producer.in_flight() as f64);
    }

    /// When there is something to do at the latest.
    fn wake(&self) -> Instant {
        if !self.not_sent.is_empty() {
            return self.now;
        }
        let due = self.machine.poll_timeout().map(|(due, _)| due);
        let far = self.now + Duration::from_secs(60);
        let rested = self.resting.front().map(|(until, _)| *until);
        [due, rested, self.notify.wake(), self.health.wake(), self.ready_by]
            .into_iter()
            .flatten()
            .fold(far, Instant::min)
    }

    fn tell_time(&mut self, at: Instant) -> Instant {
        self.now = self.now.max(at);
        self.now
    }

    fn input(&mut self, at: Instant, input: Input) {
        let now = self.tell_time(at);
        self.machine.handle_input(now, input);
        self.carry_out();
    }

    fn socket(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Accepted {
                conn,
                peer,
                local,
                outbox,
                tls,
                room: _room,
            } => {
                self.outboxes.insert(conn, outbox);
                self.meters.connections.set(self.outboxes.len() as f64);
                self.input(
                    Instant::now(),
                    Input::Accepted {
                        conn,
                        peer: plain(peer),
                        local: plain(local),
                        tls,
                    },
                );
            }
            SocketEvent::Received { conn, bytes, at, room } => {
                // What comes after our close is of no interest.
                if self.outboxes.contains_key(&conn) {
                    self.input(at, Input::Received { conn, bytes });
                }
                if let Some(until) = self.rest.take() {
                    self.resting.push_back((until, room));
                }
            }
            SocketEvent::Secured { conn, identity } => self.input(Instant::now(), Input::Secured { conn, identity }),
            SocketEvent::NotSecured { conn, failure } => {
                self.input(Instant::now(), Input::NotSecured { conn, failure });
            }
            SocketEvent::Closed { conn, reason } => self.closed(conn, reason),
        }
    }

    /// A connection that did not end by the machine's word.
    fn closed(&mut self, conn: ConnId, reason: String) {
        let Some(outbox) = self.outboxes.remove(&conn) else {
            return;
        };
        outbox.discard(Instant::now());
        self.meters.connections.set(self.outboxes.len() as f64);
        self.input(Instant::now(), Input::Closed { conn, reason });
    }

    fn fate(&mut self, event: ProducerEvent) -> anyhow::Result<()> {
        let input = match event {
            ProducerEvent::Delivered { token, broker_ms } => Input::Delivered { token, broker_ms },
            ProducerEvent::NotDelivered { token, cause } => {
                tracing::debug!(token, cause, "not delivered");
                Input::NotDelivered { token }
            }
            ProducerEvent::Up => {
                self.meters.kafka_up.set(1);
                self.health.ready();
                if self.ready_by.is_some() {
                    self.say_ready();
                }
                Input::BusUp
            }
            ProducerEvent::Down { reason } => {
                tracing::warn!(reason, "kafka cannot be used");
                self.meters.kafka_up.set(0);
                self.health.not_ready(&format!("kafka cannot be used: {reason}"));
                Input::BusDown
            }
            ProducerEvent::Unfit { reason } => anyhow::bail!("{reason}"),
        };
        self.input(Instant::now(), input);
        Ok(())
    }

    fn consumed(&mut self, event: ConsumerEvent) {
        match event {
            ConsumerEvent::Record(record) => {
                let (partition, offset, payload) = (record.partition, record.offset, record.payload);
                let broker_ms = record.timestamp_ms;
                self.input(
                    Instant::now(),
                    Input::Command {
                        partition,
                        offset,
                        payload,
                        broker_ms,
                    },
                );
            }
            ConsumerEvent::Unreadable {
                partition,
                offset,
                cause,
                ..
            } => {
                let input = Input::CommandUnreadable {
                    partition,
                    offset,
                    cause,
                };
                self.input(Instant::now(), input);
            }
            ConsumerEvent::NewLog => {
                for partition in 0..self.partitions {
                    self.input(Instant::now(), Input::PartitionLost { partition });
                }
            }
            // Commands have deadlines; whether there are more of them behind makes no difference but for who looks.
            ConsumerEvent::CaughtUp { partition, .. } => {
                self.caught_up.insert(partition);
                self.meters.kafka_caught_up.set(self.caught_up.len() as f64);
            }
            ConsumerEvent::Behind { partition, .. } => {
                self.caught_up.remove(&partition);
                self.meters.kafka_caught_up.set(self.caught_up.len() as f64);
            }
        }
    }

    /// Do what the machine wants, in order.
    fn carry_out(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Write { conn, bytes } => {
                    let Some(outbox) = self.outboxes.get(&conn) else {
                        continue;
                    };
                    if let Err(stuck) = outbox.write(self.now, bytes) {
                        self.meters.stuck.increment(1);
                        outbox.discard(self.now);
                        self.outboxes.remove(&conn);
                        self.meters.connections.set(self.outboxes.len() as f64);
                        self.machine.handle_input(
                            self.now,
                            Input::Closed {
                                conn,
                                reason: stuck.to_string(),
                            },
                        );
                    }
                }
                Output::Close { conn, reason } => {
                    if let Some(outbox) = self.outboxes.remove(&conn) {
                        tracing::debug!(conn = conn.0, reason, "connection closed");
                        outbox.close(self.now);
                        self.meters.connections.set(self.outboxes.len() as f64);
                    }
                }
                Output::Publish {
                    topic,
                    partition,
                    key,
                    payload,
                    token,
                } => {
                    if let Err(error) = self.producer.send(&topic, partition, &key, payload, token) {
                        tracing::debug!(%topic, partition, %error, "not sent");
                        self.meters.kafka_refused.increment(1);
                        self.not_sent.extend(token);
                    }
                }
                Output::Commit { partition, offset } => self.committer.commit(&self.commands, partition, offset),
                Output::Store { token, writes } => {
                    if let Some(store) = &self.store {
                        store.store(token, writes);
                    }
                }
                Output::Load { token, keys } => {
                    if let Some(store) = &self.store {
                        store.load(token, keys);
                    }
                }
                Output::OpenStore => {
                    if let Some(store) = &self.store {
                        store.open_again();
                    }
                }
                Output::Rest { until } => self.rest = Some(until),
                Output::Count { counter, by } => self.meters.count(counter, by),
                Output::Observe { histogram, took } => self.meters.observe(histogram, took),
                Output::Gauge { gauge, value } => self.meters.set(gauge, value),
                Output::Fact(fact) => {
                    self.meters.heed(&fact);
                    telemetry::log(&fact);
                }
            }
        }
    }

    fn say_ready(&mut self) {
        self.ready_by = None;
        self.notify.ready();
    }

    /// Tell switches and routers that this is a planned end.
    async fn stop(mut self) {
        self.notify.stopping();
        self.health.not_ready("the process ends");
        self.input(Instant::now(), Input::Stop);
        for outbox in self.outboxes.values() {
            outbox.close(self.now);
        }
        let (producer, store) = (self.producer, self.store);
        // Both wait for others, the one for acknowledgements and the other for the disk, on threads of their own: switches
        // are told their last words meanwhile.
        let published = tokio::task::spawn_blocking(move || producer.close(FLUSH_MAX));
        let written = tokio::task::spawn_blocking(move || drop(store));
        let _ = tokio::join!(published, written);
    }
}

/// An IPv4 switch that came over an IPv6 listener is written as what it is.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

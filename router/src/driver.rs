//! Carries things to the machine and away from it: Kafka, the store, questions, the clock. It decides nothing.
//!
//! One task owns the machine. Each turn it takes what has come (at most [`TURN_MAX`] things) and lets the machine work.
//! What the machine says goes through the [`Outbox`], which holds it until the store, in a task of its own, has written
//! what it hangs on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use skerry_bus::{Region, Topic};
use skerry_io::health::Health;
use skerry_io::kafka::{
    Begin, Committer, Consumer, ConsumerEvent, Lengths, Producer, ProducerEvent, ProducerEvents, Reading, Record,
    SendError,
};
use skerry_io::metrics_http::{Recorder, check_listen};
use skerry_io::notify::Notify;
use skerry_io::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::{info, warn};

use crate::config::{NorthboundSettings, RouterConfig};
use crate::gate::Gate;
use crate::machine::api::ApiResponse;
use crate::machine::clock::ClockKeeper;
use crate::machine::{Input, Output, Router};
use crate::outbox::Outbox;
use crate::rest::{self, LimitedListener, Northbound, QUESTIONS_MAX, Question};
use crate::store::{Database, Instance, StoreError, Write};

/// What the names of the regions' topics of events begin with.
const EVENTS_OF_REGIONS: &str = "skerry.v1.events.";
/// Things taken in one turn before the machine's outputs leave: under load many share a transaction of the store, and the
/// clock and the answers never wait for more than this.
const TURN_MAX: usize = 512;
/// Events a reader of the live feed may be behind before it is told so and disconnected.
const FEED_MAX: usize = 4_096;
/// Marks tokens that are the driver's: on these records nothing hangs.
const OWN_TOKEN: u64 = 1 << 63;
/// How long the store may take for the last writes, and the producer for the last messages, when the router stops.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// Without Kafka the router answers questions; systemd is told that it is ready after this at the latest.
const READY_MAX: Duration = Duration::from_secs(10);

/// Run until told to stop.
///
/// # Errors
/// What keeps a router from running: its store, its addresses, a deployment that does not fit.
pub fn run(config: RouterConfig) -> anyhow::Result<()> {
    config.log.start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: RouterConfig) -> anyhow::Result<()> {
    let mut stop = Shutdown::new()?;
    let health = Health::default();
    if let Some(address) = Recorder::install()?.serve(&config.metrics, health.clone()).await? {
        info!(%address, "metrics and health");
    }

    let northbound = listen(&config.northbound).await?;
    let store = Database::open(&config.store.location(), config.kafka.partitions)
        .await
        .with_context(|| config.store.shown())?;
    let instance = Instance {
        name: name_of_this_process(),
        address: northbound.local_addr()?.to_string(),
    };
    let taken = store.take(&(0..config.kafka.partitions).collect(), &instance).await?;
    // All partitions are taken by one start, so all have the same number, but for a store that several wrote to.
    let owner_epoch = taken.epochs.values().copied().max().unwrap_or(1);
    let machine = Router::new(config.machine(owner_epoch)?, taken.stored, Instant::now())?;
    info!(owner_epoch, store = config.store.shown(), "state restored");

    let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
    let (feed, _) = broadcast::channel(FEED_MAX);
    let routes = rest::routes(Northbound::new(questions, feed.clone()));
    tokio::spawn(async move { axum::serve(LimitedListener::new(northbound), routes).await });

    let regions = config.machine(owner_epoch)?.presence.regions;
    let mut written = vec![
        Topic::Events,
        Topic::Replies,
        Topic::StatePresence,
        Topic::StateRegions,
        Topic::Actions,
        Topic::DeadLetter,
    ];
    let mut read = vec![
        (Topic::Commands, Begin::Committed),
        (Topic::StateRegions, Begin::Earliest),
    ];
    for region in regions.into_iter().map(|r| r.region) {
        written.push(Topic::RegionCommands(region.clone()));
        read.push((Topic::RegionEvents(region.clone()), Begin::Latest));
        read.push((Topic::Latency(region), Begin::Latest));
    }
    let (producer, fates) = Producer::start(&config.kafka, "skerry-router", written)?;
    let producer_lengths = producer.lengths();
    let reading = Reading {
        client_id: "skerry-router".into(),
        group: "skerry-router".into(),
        topics: read,
    };
    let consumer = Consumer::start(&config.kafka, reading)?;

    // One look at a time is asked for, and one transaction is under way at a time.
    let (found, looked) = mpsc::channel(1);
    let (to_store, to_write) = mpsc::channel(1);
    let (done, written) = mpsc::channel(1);
    tokio::spawn(keep(store, to_write, done));
    let mut driver = Driver {
        committer: consumer.committer(),
        machine,
        outbox: Outbox::default(),
        gate: Gate::default(),
        to_store,
        producer,
        feed,
        health,
        notify: Notify::new(Instant::now()),
        answers: HashMap::new(),
        token: 0,
        caught_up: HashSet::new(),
        keeper: ClockKeeper::default(),
        lengths: producer_lengths,
        found,
    };
    let result = driver.turns(consumer, fates, asked, looked, written, &mut stop).await;
    driver.notify.stopping();
    let producer = driver.producer;
    tokio::task::spawn_blocking(move || producer.close(CLOSE_MAX)).await?;
    result
}

/// For people: host and process.
fn name_of_this_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), std::process::id())
}

async fn listen(settings: &NorthboundSettings) -> anyhow::Result<TcpListener> {
    let address = check_listen(&settings.listen, settings.allow_unauthenticated).map_err(anyhow::Error::msg)?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("northbound.listen {address}"))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        warn!(%address, "whoever reaches the REST interface may change the network");
    }
    info!(%address, "northbound listens");
    Ok(listener)
}

/// Write what comes, one transaction after the other.
async fn keep(store: Database, mut to_write: mpsc::Receiver<Vec<Write>>, done: mpsc::Sender<Result<(), StoreError>>) {
    while let Some(writes) = to_write.recv().await {
        let started = Instant::now();
        let result = store.write(writes).await;
        metrics::histogram!("skerry_router_store_seconds").record(started.elapsed());
        if done.send(result).await.is_err() {
            return;
        }
    }
}

struct Driver {
    committer: Committer,
    machine: Router,
    outbox: Outbox,
    gate: Gate,
    to_store: mpsc::Sender<Vec<Write>>,
    producer: Producer,
    feed: broadcast::Sender<Arc<skerry_bus::VirtualEvent>>,
    health: Health,
    notify: Notify,
    answers: HashMap<u64, oneshot::Sender<ApiResponse>>,
    token: u64,
    caught_up: HashSet<(Topic, i32)>,
    keeper: ClockKeeper,
    lengths: Lengths,
    /// Where what was found by looking goes.
    found: mpsc::Sender<BTreeMap<Region, i64>>,
}

impl Driver {
    async fn turns(
        &mut self,
        mut consumer: Consumer,
        mut fates: ProducerEvents,
        mut asked: mpsc::Receiver<Question>,
        mut looked: mpsc::Receiver<BTreeMap<Region, i64>>,
        mut written: mpsc::Receiver<Result<(), StoreError>>,
        stop: &mut Shutdown,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            self.flush()?;
            let now = Instant::now();
            if !self.health.is_ready() && now - started > READY_MAX {
                warn!("Kafka was not reached yet; the router answers questions and goes on trying");
                self.now_ready();
            }
            let wake = [self.machine.poll_timeout().map(|(at, _)| at), self.notify.wake()]
                .into_iter()
                .flatten()
                .min();
            let wake = wake
                .unwrap_or(now + Duration::from_secs(1))
                .min(now + Duration::from_secs(1));
            let takes = !self.outbox.full();
            tokio::select! {
                biased;
                signal = stop.asked() => {
                    info!(signal, "asked to stop");
                    return self.finish(written).await;
                }
                Some(result) = written.recv() => self.written(result)?,
                event = consumer.recv(), if takes => match event {
                    Some(event) => self.consumed(event),
                    None => anyhow::bail!("the Kafka consumer ended"),
                },
                fate = fates.recv() => match fate {
                    Some(fate) => self.fate(fate)?,
                    None => anyhow::bail!("the Kafka producer ended"),
                },
                Some(question) = asked.recv(), if takes => self.question(question),
                Some(regions) = looked.recv() => self.machine.handle_input(Instant::now(), Input::Regions(regions)),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            for _ in 1..TURN_MAX {
                if !takes {
                    break;
                } else if let Some(event) = consumer.try_recv() {
                    self.consumed(event);
                } else if let Some(fate) = fates.try_recv() {
                    self.fate(fate)?;
                } else if let Ok(question) = asked.try_recv() {
                    self.question(question);
                } else {
                    break;
                }
            }
            let now = Instant::now();
            if self.machine.poll_timeout().is_some_and(|(at, _)| at <= now) {
                self.machine.handle_timeout(now);
            }
            self.notify.alive(now);
            self.health.alive(now);
            self.flush()?;
        }
    }

    /// A store that does not take what must be durable is the end of this process: whoever starts it again begins with
    /// what was stored.
    fn written(&mut self, result: Result<(), StoreError>) -> anyhow::Result<()> {
        result?;
        self.outbox.written();
        Ok(())
    }

    /// Let leave what was said already, as far as the store gets in time.
    async fn finish(&mut self, mut written: mpsc::Receiver<Result<(), StoreError>>) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + CLOSE_MAX;
        while !self.outbox.idle() {
            match tokio::time::timeout_at(end, written.recv()).await {
                Ok(Some(result)) => self.written(result)?,
                Ok(None) => anyhow::bail!("the store ended"),
                Err(_) => {
                    warn!(
                        held = self.outbox.held(),
                        "the store was too slow: what waited for it is not said"
                    );
                    return Ok(());
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    /// The reader stands somewhere in a partition.
    fn stands(&mut self, topic: &Topic, partition: i32) {
        if let Topic::RegionEvents(region) = topic {
            for output in self.gate.stands(region, partition) {
                self.leave(output);
            }
        }
    }

    fn consumed(&mut self, event: ConsumerEvent) {
        let now = Instant::now();
        match event {
            ConsumerEvent::Record(Record {
                topic,
                partition,
                offset,
                timestamp_ms,
                key,
                payload,
            }) => {
                self.stands(&topic, partition);
                let caught_up = self.caught_up.contains(&(topic.clone(), partition));
                if caught_up {
                    self.clock(now, timestamp_ms);
                }
                let record_ms = timestamp_ms;
                self.machine.handle_input(
                    now,
                    Input::Record {
                        topic,
                        partition,
                        offset,
                        record_ms,
                        caught_up,
                        key,
                        payload,
                    },
                );
            }
            ConsumerEvent::CaughtUp { topic, partition } => {
                self.stands(&topic, partition);
                self.caught_up.insert((topic.clone(), partition));
                self.machine.handle_input(now, Input::CaughtUp { topic, partition });
            }
            ConsumerEvent::Behind { topic, partition } => {
                self.caught_up.remove(&(topic.clone(), partition));
                self.machine.handle_input(now, Input::Behind { topic, partition });
            }
            ConsumerEvent::Unreadable {
                topic,
                partition,
                offset,
                cause,
            } => {
                let input = Input::Unreadable {
                    topic,
                    partition,
                    offset,
                    cause,
                };
                self.machine.handle_input(now, input);
            }
            ConsumerEvent::NewLog => {
                warn!("the broker has another address: what was read before counts no more");
                self.caught_up.clear();
                self.gate.shut();
            }
        }
    }

    fn fate(&mut self, fate: ProducerEvent) -> anyhow::Result<()> {
        let now = Instant::now();
        match fate {
            ProducerEvent::Up => {
                self.now_ready();
                self.machine.handle_input(now, Input::Bus { up: true });
            }
            ProducerEvent::Down { reason } => {
                warn!(reason, "Kafka is away");
                self.machine.handle_input(now, Input::Bus { up: false });
            }
            ProducerEvent::Delivered { token, broker_ms } => {
                self.clock(now, broker_ms);
                if token & OWN_TOKEN == 0 {
                    self.machine.handle_input(now, Input::Delivered { token });
                }
            }
            ProducerEvent::NotDelivered { token, cause } => {
                if token & OWN_TOKEN == 0 {
                    self.machine.handle_input(now, Input::NotDelivered { token });
                }
                metrics::counter!("skerry_router_records_not_delivered_total").increment(1);
                warn!(cause, "a record was not delivered");
            }
            ProducerEvent::Unfit { reason } => anyhow::bail!("the deployment does not fit the configuration: {reason}"),
        }
        Ok(())
    }

    fn clock(&mut self, now: Instant, broker_ms: u64) {
        if broker_ms != 0
            && let Some(clock) = self.keeper.seen(now, broker_ms)
        {
            self.machine.handle_input(now, Input::Clock(clock));
        }
    }

    fn question(&mut self, question: Question) {
        self.token += 1;
        self.answers.insert(self.token, question.answer);
        self.machine.handle_input(
            Instant::now(),
            Input::Ask {
                token: self.token,
                request: question.request,
            },
        );
    }

    /// Ask the broker, which may take its time, beside the turns.
    fn look(&self) {
        let (lengths, found) = (self.lengths.clone(), self.found.clone());
        tokio::task::spawn_blocking(move || {
            let prefix = EVENTS_OF_REGIONS;
            let region = |topic: &str| topic.strip_prefix(prefix)?.parse().ok();
            let topics = lengths.of(prefix);
            let regions = topics
                .iter()
                .filter_map(|(topic, length)| Some((region(topic)?, *length)));
            // Nobody takes it when the router stops.
            let _ = found.blocking_send(regions.collect());
        });
    }

    fn now_ready(&mut self) {
        if !self.health.is_ready() {
            self.health.ready();
            self.notify.ready();
        }
    }

    /// Give the store what is to be written, and let leave what hangs on nothing more.
    fn flush(&mut self) -> anyhow::Result<()> {
        self.outbox.turn(std::iter::from_fn(|| self.machine.poll_output()));
        if let Some(writes) = self.outbox.take_writes() {
            self.to_store.try_send(writes).context("the store ended")?;
        }
        while let Some(output) = self.outbox.poll() {
            let (output, dropped) = self.gate.pass(output);
            if dropped {
                metrics::counter!("skerry_router_records_not_sent_total", "reason" => "region not read").increment(1);
            }
            if let Some(output) = output {
                self.leave(output);
            }
        }
        metrics::gauge!("skerry_router_outputs_held").set(self.outbox.held() as f64);
        Ok(())
    }

    fn leave(&mut self, output: Output) {
        match output {
            Output::Store(_) => unreachable!("the outbox keeps it"),
            Output::Publish {
                topic,
                partition,
                key,
                payload,
                token,
            } => {
                // Every record has a token, because its acknowledgement teaches the broker's clock.
                self.token += 1;
                let sent_as = token.unwrap_or(self.token | OWN_TOKEN);
                let sent = self.producer.send(&topic, partition, &key, payload, Some(sent_as));
                if let (Err(_), Some(token)) = (&sent, token) {
                    self.machine.handle_input(Instant::now(), Input::NotDelivered { token });
                }
                match sent {
                    Ok(()) => {}
                    // While Kafka is away nothing leaves: commands are sent again by those who wait for their effect.
                    Err(SendError::Away) => {
                        metrics::counter!("skerry_router_records_not_sent_total", "reason" => "kafka away")
                            .increment(1);
                    }
                    Err(error) => {
                        warn!(%topic, %error, "a record was not sent");
                        metrics::counter!("skerry_router_records_not_sent_total", "reason" => "refused").increment(1);
                    }
                }
            }
            Output::Commit { partition, offset } => self.committer.commit(&Topic::Commands, partition, offset),
            Output::LookForRegions => self.look(),
            Output::Answer { token, response } => {
                if let Some(answer) = self.answers.remove(&token) {
                    // A client that is gone needs no answer.
                    let _ = answer.send(*response);
                }
            }
            Output::Event(event) => {
                // Nobody may be listening.
                let _ = self.feed.send(Arc::new(*event));
            }
            Output::Count {
                name,
                label: (label, value),
            } => {
                metrics::counter!(format!("skerry_router_{name}"), label => value).increment(1);
            }
            Output::Fact { warn: true, text } => warn!("{text}"),
            Output::Fact { warn: false, text } => info!("{text}"),
        }
    }
}

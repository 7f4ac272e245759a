//! Sending to Kafka, in order per partition, with the fate of each message told.
//!
//! A supervising thread finds the broker, compares the number of partitions, watches whether somebody answers, and
//! makes a new client when the broker has another address. `send` never waits: the library queues, and beyond
//! [`IN_FLIGHT_MAX`] a message is refused, so that order is never lost to a retry of our own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, Timestamp};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use skerry_bus::Topic;
use skerry_bus::chunk;
use tokio::sync::mpsc;

use super::address::Bootstrap;
use super::context::{Alarm, Client, log, sleep_until};
use super::settings::KafkaSettings;

/// Messages sent whose fate was not yet fetched. Ten seconds of 5,000 a second; one more is refused.
const IN_FLIGHT_MAX: usize = 50_000;
/// Nobody answered for this long: Kafka is away. Longer than a reconnect after a cut (0.25 s), and not longer than
/// a region's silence may be.
const ANSWER_MAX: Duration = Duration::from_millis(1_000);
/// How often it is asked whether somebody answers.
const ASK: Duration = Duration::from_millis(1_000);
/// The same while nobody does.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Times below this (September 2020) are not times. librdkafka's mock broker, which is our trial broker, gives 1234.
const BROKER_MS_MIN: u64 = 1_600_000_000_000;

/// What becomes of what was sent, and of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProducerEvent {
    /// Kafka answers and the topics are as configured.
    Up,
    /// Nobody answers. Comes first if it is so at the start.
    Down {
        /// Why, for the log.
        reason: String,
    },
    /// A message is stored.
    Delivered {
        /// Its token.
        token: u64,
        /// The broker's time of it, milliseconds. The trial broker tells none; it is on this host, so its time is ours.
        broker_ms: u64,
    },
    /// A message was given up. It may be stored nevertheless.
    NotDelivered {
        /// Its token.
        token: u64,
        /// Why, for the log.
        cause: String,
    },
    /// The deployment does not fit the configuration; nothing will be sent. The process should end.
    Unfit {
        /// Topic, what it has and what is configured.
        reason: String,
    },
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Kafka was not reached yet, or nobody answers.
    #[error("kafka cannot be reached")]
    Away,
    /// Too many messages wait for their acknowledgement.
    #[error("{IN_FLIGHT_MAX} messages wait to be acknowledged, which is the limit")]
    Full,
    /// The library refused it.
    #[error("{0}")]
    Refused(String),
}

type Native = ThreadedProducer<Reports>;

/// Sends messages. Dropping it gives up what is under way; [`Producer::close`] does not.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Where the fates come from.
#[derive(Debug)]
pub struct ProducerEvents {
    events: mpsc::UnboundedReceiver<ProducerEvent>,
    shared: Arc<Shared>,
}

struct Shared {
    current: Mutex<Current>,
    in_flight: AtomicUsize,
    stop: AtomicBool,
    /// Names messages that are split.
    split: AtomicU64,
    client_id: String,
}

#[derive(Default)]
struct Current {
    client: Option<Arc<Native>>,
    answers: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Producer {
    /// Begin to look for the broker. The topics are those whose number of partitions is compared before anything
    /// is sent. `client_id` is what the broker's log shows.
    ///
    /// # Errors
    /// The address cannot be one, or there is no thread to be had.
    pub fn start(
        settings: &KafkaSettings,
        client_id: &str,
        topics: Vec<Topic>,
    ) -> anyhow::Result<(Producer, ProducerEvents)> {
        let bootstrap = settings.bootstrap()?;
        let (sender, events) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            current: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            split: AtomicU64::new(0),
            client_id: client_id.to_owned(),
        });
        let supervisor = Supervisor {
            settings: settings.clone(),
            bootstrap,
            topics,
            shared: shared.clone(),
            events: sender,
            said: None,
        };
        let thread = std::thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn(move || supervisor.run())?;
        Ok((
            Producer {
                shared: shared.clone(),
                thread: Some(thread),
            },
            ProducerEvents { events, shared },
        ))
    }

    /// Send a message. With a token its fate comes as an event, and exactly once; payloads over
    /// [`chunk::WHOLE_MAX`] are split, and are delivered when all chunks are.
    ///
    /// # Errors
    /// It was not taken, and no event will come. If the error is `Full` or `Refused` for a split message, a part of
    /// it may be stored; readers drop that.
    pub fn send(
        &self,
        topic: &Topic,
        partition: i32,
        key: &str,
        payload: Vec<u8>,
        token: Option<u64>,
    ) -> Result<(), SendError> {
        let client = {
            let current = self.shared.current();
            match &current.client {
                Some(client) if current.answers => client.clone(),
                _ => return Err(SendError::Away),
            }
        };
        let topic = topic.to_string();
        let name = if payload.len() > chunk::WHOLE_MAX {
            let number = self.shared.split.fetch_add(1, Ordering::Relaxed);
            format!("{}-{}-{number}", self.shared.client_id, std::process::id())
        } else {
            String::new()
        };
        // Each is on its way while the next one is made.
        let parts = chunk::split(&name, payload);
        let count = parts.len();
        if self.shared.in_flight.load(Ordering::Relaxed) + count > IN_FLIGHT_MAX {
            return Err(SendError::Full);
        }
        let told = (count > 1).then(|| Arc::new(AtomicBool::new(false)));
        for (index, part) in parts.enumerate() {
            let fate = Box::new(Fate {
                token,
                told: told.clone(),
                last: index + 1 == count,
            });
            let record = BaseRecord::with_opaque_to(&topic, fate)
                .partition(partition)
                .key(key)
                .payload(part.as_ref());
            self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
            if let Err((error, _)) = client.send(record) {
                self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
                if let Some(told) = &told {
                    // The caller is told by the error, so what becomes of the earlier parts is not told.
                    told.store(true, Ordering::Relaxed);
                }
                return Err(match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::QueueFull) => SendError::Full,
                    _ => SendError::Refused(error.to_string()),
                });
            }
        }
        Ok(())
    }

    /// Messages handed over and not yet acknowledged or given up.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// A handle that asks what there is.
    pub fn lengths(&self) -> Lengths {
        Lengths(self.shared.clone())
    }

    /// Wait until what was sent is acknowledged or given up, at most so long, and end. It blocks.
    pub fn close(mut self, at_most: Duration) {
        let client = self.shared.current().client.clone();
        if let Some(client) = client
            && let Err(error) = client.flush(at_most)
        {
            tracing::warn!(%error, left = client.in_flight_count(), "messages were not acknowledged before the end");
        }
        self.end();
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It looks at `stop` at least each time a question is answered or given up.
            let _ = thread.join();
        }
        *self.shared.current() = Current::default();
    }
}

/// Asks the broker which topics there are, over the producer's connection. Clones mean the same.
#[derive(Debug, Clone)]
pub struct Lengths(Arc<Shared>);

impl Lengths {
    /// Topics whose name begins so, each with the offset that its first partition's next record will have. It blocks, for
    /// about [`ANSWER_MAX`] at most; what is not known by then, such as all of it while nobody answers, is left out.
    pub fn of(&self, prefix: &str) -> BTreeMap<String, i64> {
        let until = Instant::now() + ANSWER_MAX;
        let left = || until.saturating_duration_since(Instant::now());
        let client = {
            let current = self.0.current();
            current.client.clone().filter(|_| current.answers)
        };
        let Some(client) = client else {
            return BTreeMap::new();
        };
        let Ok(metadata) = client.client().fetch_metadata(None, left()) else {
            return BTreeMap::new();
        };
        let names = metadata.topics().iter().map(|topic| topic.name());
        names
            .filter(|name| name.starts_with(prefix))
            .map_while(|name| {
                let (_, end) = client.client().fetch_watermarks(name, 0, left()).ok()?;
                Some((name.to_owned(), end))
            })
            .collect()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.end();
    }
}

impl ProducerEvents {
    /// The next event; none after the producer has ended.
    pub async fn recv(&mut self) -> Option<ProducerEvent> {
        let event = self.events.recv().await;
        self.fetched(event.as_ref());
        event
    }

    /// The next event if there is one already.
    pub fn try_recv(&mut self) -> Option<ProducerEvent> {
        let event = self.events.try_recv().ok();
        self.fetched(event.as_ref());
        event
    }

    /// The next event, for a thread that may wait.
    pub fn blocking_recv(&mut self) -> Option<ProducerEvent> {
        let event = self.events.blocking_recv();
        self.fetched(event.as_ref());
        event
    }

    /// A fate counts as in flight until here: so the channel is bounded by what may be in flight.
    fn fetched(&self, event: Option<&ProducerEvent>) {
        if let Some(ProducerEvent::Delivered { .. } | ProducerEvent::NotDelivered { .. }) = event {
            self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What travels with a message through the library.
struct Fate {
    token: Option<u64>,
    /// For parts of a split message: whether its fate was told.
    told: Option<Arc<AtomicBool>>,
    last: bool,
}

/// The context of the library's producer.
struct Reports {
    client: Client,
    events: mpsc::UnboundedSender<ProducerEvent>,
    shared: Arc<Shared>,
    own_time_said: AtomicBool,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.client.heard(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Fate>;

    fn delivery(&self, result: &DeliveryResult<'_>, fate: Box<Fate>) {
        let event = match (fate.token, result) {
            (None, _) => None,
            (Some(token), Ok(message)) => {
                let failed = fate.told.as_ref().is_some_and(|told| told.load(Ordering::Relaxed));
                (fate.last && !failed).then(|| ProducerEvent::Delivered {
                    token,
                    broker_ms: self.broker_ms(message.timestamp()),
                })
            }
            (Some(token), Err((error, _))) => {
                let told = fate
                    .told
                    .as_ref()
                    .is_some_and(|told| told.swap(true, Ordering::Relaxed));
                (!told).then(|| ProducerEvent::NotDelivered {
                    token,
                    cause: error.to_string(),
                })
            }
        };
        match event {
            // The receiver may be gone: the process ends.
            Some(event) => drop(self.events.send(event)),
            None => drop(self.shared.in_flight.fetch_sub(1, Ordering::Relaxed)),
        }
    }
}

impl Reports {
    fn broker_ms(&self, timestamp: Timestamp) -> u64 {
        match timestamp {
            Timestamp::LogAppendTime(ms) if ms.unsigned_abs() >= BROKER_MS_MIN => return ms.unsigned_abs(),
            Timestamp::LogAppendTime(_) => {}
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => {
                if !self.own_time_said.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "a topic has not message.timestamp.type=LogAppendTime: times are this host's, and hosts may differ"
                    );
                }
            }
        }
        crate::wall_clock_ms()
    }
}

/// What the supervising thread owns.
struct Supervisor {
    settings: KafkaSettings,
    bootstrap: Bootstrap,
    topics: Vec<Topic>,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<ProducerEvent>,
    /// Whether it was last said that Kafka answers.
    said: Option<bool>,
}

/// What asking the broker gave.
enum Answer {
    Fits,
    Unfit(String),
    None(String),
}

impl Supervisor {
    fn run(mut self) {
        let alarm = Arc::new(Alarm::new());
        while !self.stopped() {
            let hosts = match self.bootstrap.read() {
                Ok(hosts) => hosts,
                Err(error) => {
                    self.away(error.to_string());
                    sleep_until(Instant::now() + ASK_AGAIN);
                    continue;
                }
            };
            let context = Reports {
                client: Client::new(alarm.clone()),
                events: self.events.clone(),
                shared: self.shared.clone(),
                own_time_said: AtomicBool::new(false),
            };
            let config = match self.settings.producer(&hosts, &self.shared.client_id) {
                Ok(config) => config,
                // A password that is being changed is there again in a moment.
                Err(reason) => {
                    self.away(reason);
                    sleep_until(Instant::now() + ASK_AGAIN);
                    continue;
                }
            };
            let client: Arc<Native> = match config.create_with_context(context) {
                Ok(client) => Arc::new(client),
                Err(error) => {
                    // Settings were checked at start; what is left is what only the client finds, such as a certificate.
                    drop(self.events.send(ProducerEvent::Unfit {
                        reason: error.to_string(),
                    }));
                    return;
                }
            };
            self.shared.current().client = Some(client.clone());
            let go_on = self.watch(&client, &alarm, &hosts);
            // Whoever is sending right now holds the client a moment longer; then it is dropped, which gives up
            // what was under way and tells so.
            *self.shared.current() = Current::default();
            if !go_on {
                return;
            }
        }
    }

    /// Watch one client until another is needed; `false` at the end of all.
    fn watch(&mut self, client: &Native, alarm: &Alarm, hosts: &str) -> bool {
        while !self.stopped() {
            match self.ask(client) {
                Answer::Fits => {
                    if self.said != Some(true) {
                        self.said = Some(true);
                        self.shared.current().answers = true;
                        drop(self.events.send(ProducerEvent::Up));
                    }
                }
                Answer::Unfit(reason) => {
                    self.shared.current().answers = false;
                    drop(self.events.send(ProducerEvent::Unfit { reason }));
                    return false;
                }
                Answer::None(reason) => {
                    self.away(reason);
                    if self.bootstrap.read().is_ok_and(|now| now != hosts) {
                        tracing::info!(bootstrap = %self.bootstrap, "the broker has another address");
                        return true;
                    }
                }
            }
            if let Some((code, reason)) = client.client().fatal_error() {
                tracing::warn!(%code, reason, "the kafka producer is made anew");
                self.away(reason);
                return true;
            }
            alarm.take_broken();
            sleep_until(Instant::now() + if self.said == Some(true) { ASK } else { ASK_AGAIN });
        }
        true
    }

    /// Ask for the topics, for as long as an answer may take.
    fn ask(&self, client: &Native) -> Answer {
        // While nobody answers it is asked in short, so that another address in the file is seen soon.
        let at_most = if self.said == Some(false) {
            ANSWER_MAX / 4
        } else {
            ANSWER_MAX
        };
        let until = Instant::now() + at_most;
        let mut cause = "no answer".to_owned();
        for topic in &self.topics {
            let name = topic.to_string();
            loop {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() || self.stopped() {
                    return Answer::None(cause);
                }
                match client.client().fetch_metadata(Some(&name), left) {
                    Ok(metadata) => {
                        let found = metadata.topics().iter().find(|t| t.name() == name);
                        let partitions = found.map_or(0, |t| t.partitions().len());
                        // None yet: it is being made, or it is to be made by whoever runs the cluster.
                        if partitions > 0 {
                            let wanted = self.settings.partitions;
                            if i32::try_from(partitions) == Ok(wanted) {
                                break;
                            }
                            return Answer::Unfit(format!(
                                "topic {name} has {partitions} partitions and kafka.partitions is {wanted}: \
                                 keys would land elsewhere"
                            ));
                        }
                        cause = format!("topic {name} does not exist");
                    }
                    Err(error) => cause = error.to_string(),
                }
                sleep_until(until.min(Instant::now() + ASK_AGAIN / 4));
            }
        }
        Answer::Fits
    }

    fn away(&mut self, reason: String) {
        if self.said != Some(false) {
            self.said = Some(false);
            self.shared.current().answers = false;
            drop(self.events.send(ProducerEvent::Down { reason }));
        }
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }
}

//! Reading from Kafka: partitions are assigned, not shared out; records are handed over in order per partition.
//!
//! One thread of its own, because the library is polled and its callbacks come from its threads; a task would be
//! woken one hop later for each record. Each partition has its own queue, so that its end is known by name and a
//! flood in one does not hide another. Hand-over is bounded: a reader that is slow makes the thread wait, the
//! library's queues fill, and fetching pauses.
//!
//! *Caught up* is said per partition, in order with its records: what was in the log has been handed over. It is
//! taken back when a connection broke or this thread stood still, because there may be a backlog then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use skerry_bus::Topic;
use skerry_bus::chunk::{Assembler, Dropped};
use tokio::sync::mpsc;

use super::address::Bootstrap;
use super::context::{Alarm, Client, sleep_until};
use super::settings::KafkaSettings;

/// Events handed over and not yet taken. A burst of a region fits; beyond it the reading thread waits.
const HANDOVER_MAX: usize = 1_024;
/// Records taken from one partition before the others have their turn.
const TURN_MAX: usize = 256;
/// The thread looks after the client, the stop sign and commits at least this often.
const TICK: Duration = Duration::from_millis(50);
/// The thread stood still for longer: the process was stopped or its reader was slow, so there may be a backlog.
const STALL: Duration = Duration::from_millis(500);
/// Offsets are committed at most this often; a later one of the same partition replaces an earlier one.
const COMMIT: Duration = Duration::from_millis(100);
/// How often a partition that is not known to be caught up and stays silent is compared with its end.
const COMPARE: Duration = Duration::from_millis(250);
/// An answer about the end of a partition takes at most this long.
const ANSWER_MAX: Duration = Duration::from_millis(250);
/// An answer about what was committed takes at most this long; then it is asked again.
const COMMITTED_MAX: Duration = Duration::from_secs(1);
/// Nobody answered for so long: look whether the broker has another address.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Where reading of a topic begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With what is written from now on.
    Latest,
    /// With the oldest record that is kept.
    Earliest,
    /// After what was committed; with the oldest if nothing was.
    Committed,
}

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What the broker's log shows.
    pub client_id: String,
    /// The name under which offsets are committed. Needed also if none are.
    pub group: String,
    /// The topics, all partitions of each.
    pub topics: Vec<(Topic, Begin)>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it was read.
    pub topic: Topic,
    /// Its partition.
    pub partition: i32,
    /// Its offset; that of the last chunk if it came in chunks.
    pub offset: i64,
    /// The broker's time of it, milliseconds; 0 if there is none.
    pub timestamp_ms: u64,
    /// Its key; empty if there is none.
    pub key: Vec<u8>,
    /// Its payload, chunks put together; empty if there is none.
    pub payload: Vec<u8>,
}

/// What reading gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerEvent {
    /// A record.
    Record(Record),
    /// All that was in the partition has been handed over.
    CaughtUp {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
    },
    /// It is no longer known whether all has been handed over.
    Behind {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
    },
    /// Chunks that do not make a message. The next record is read.
    Unreadable {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
        /// Where the first of them stands.
        offset: i64,
        /// Why.
        cause: String,
    },
    /// The broker has another address: offsets begin anew, what was read before counts no more. Only with
    /// `bootstrap = "file:..."`.
    NewLog,
}

/// Reads until it is dropped.
#[derive(Debug)]
pub struct Consumer {
    events: mpsc::Receiver<ConsumerEvent>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Commits offsets of a [`Consumer`]; can be cloned.
#[derive(Debug, Clone)]
pub struct Committer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Next offset to read, by topic and partition: what is to be committed.
    commits: Mutex<BTreeMap<(String, i32), i64>>,
}

impl Committer {
    /// Everything of the partition below `offset` is done with. Committed within [`COMMIT`], the last one when the
    /// consumer ends.
    pub fn commit(&self, topic: &Topic, partition: i32, offset: i64) {
        let mut commits = self.0.commits.lock().unwrap_or_else(PoisonError::into_inner);
        commits.insert((topic.to_string(), partition), offset);
    }
}

impl Consumer {
    /// Begin to look for the broker and to read.
    ///
    /// # Errors
    /// The address cannot be one, or there is no thread to be had.
    pub fn start(settings: &KafkaSettings, reading: Reading) -> anyhow::Result<Consumer> {
        let bootstrap = settings.bootstrap()?;
        let (sender, events) = mpsc::channel(HANDOVER_MAX);
        let shared = Arc::new(Shared::default());
        let reader = Reader {
            settings: settings.clone(),
            bootstrap,
            reading,
            shared: shared.clone(),
            events: sender,
        };
        let thread = std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || reader.run())?;
        Ok(Consumer {
            events,
            shared,
            thread: Some(thread),
        })
    }

    /// The next event; none only if the client could not be made, which the log tells.
    pub async fn recv(&mut self) -> Option<ConsumerEvent> {
        self.events.recv().await
    }

    /// The next event, for a thread that may wait.
    pub fn blocking_recv(&mut self) -> Option<ConsumerEvent> {
        self.events.blocking_recv()
    }

    /// The next event if there is one already.
    pub fn try_recv(&mut self) -> Option<ConsumerEvent> {
        self.events.try_recv().ok()
    }

    /// What commits its offsets.
    pub fn committer(&self) -> Committer {
        Committer(self.shared.clone())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // A thread that waits for room sees that nobody is there.
        self.events.close();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

type Native = BaseConsumer<Client>;

/// What the thread owns.
struct Reader {
    settings: KafkaSettings,
    bootstrap: Bootstrap,
    reading: Reading,
    shared: Arc<Shared>,
    events: mpsc::Sender<ConsumerEvent>,
}

/// Why a client is no longer read.
enum End {
    /// The process ends, or nobody takes what is read.
    Over,
    /// The broker has another address.
    Moved,
}

struct Partition {
    topic: Topic,
    name: String,
    partition: i32,
    queue: PartitionQueue<Client>,
    /// Set by the library's threads when the queue is no longer empty.
    ready: Arc<AtomicBool>,
    chunks: Assembler,
    /// The next offset; none before the first record.
    next: Option<i64>,
    caught_up: bool,
    /// Whether its end was reached once, by the library's word.
    ended: bool,
    /// When its end was learned and nothing had come yet.
    silent_since: Option<Instant>,
}

impl Reader {
    fn run(self) {
        let alarm = Arc::new(Alarm::new());
        let mut first = true;
        while !self.stopped() {
            let Ok(hosts) = self.bootstrap.read() else {
                sleep_until(Instant::now() + TICK);
                continue;
            };
            let (id, group) = (&self.reading.client_id, &self.reading.group);
            // The producer says what is wrong with a password that cannot be read.
            let Ok(config) = self.settings.consumer(&hosts, id, group) else {
                sleep_until(Instant::now() + TICK);
                continue;
            };
            let client: Arc<Native> = match config.create_with_context(Client::new(alarm.clone())) {
                Ok(client) => Arc::new(client),
                Err(error) => {
                    tracing::error!(%error, "the kafka consumer cannot be made");
                    return;
                }
            };
            if !first && self.events.blocking_send(ConsumerEvent::NewLog).is_err() {
                return;
            }
            let committed = match self.committed(&client, &hosts) {
                Ok(committed) => committed,
                Err(End::Over) => return,
                Err(End::Moved) => {
                    first = false;
                    continue;
                }
            };
            match self.assign(&client, &alarm, first, &committed) {
                Ok(mut partitions) => match self.serve(&client, &mut partitions, &alarm, &hosts) {
                    End::Over => return,
                    End::Moved => tracing::info!(bootstrap = %self.bootstrap, "the broker has another address"),
                },
                Err(error) => {
                    tracing::error!(%error, "partitions cannot be assigned");
                    return;
                }
            }
            first = false;
        }
    }

    /// What was committed, of the topics that are read from there on. It is asked here and not left to the library: while the
    /// group's coordinator is being made or moves, that one asks a few times, then never again, and reads nothing for ever
    /// (librdkafka 2.12.1, "Failed to fetch committed offsets for 0 partition(s): Not coordinator").
    fn committed(&self, client: &Native, hosts: &str) -> Result<TopicPartitionList, End> {
        let mut list = TopicPartitionList::new();
        for (topic, begin) in &self.reading.topics {
            if *begin == Begin::Committed {
                list.add_partition_range(&topic.to_string(), 0, self.settings.partitions - 1);
            }
        }
        while list.count() > 0 {
            if self.stopped() {
                return Err(End::Over);
            }
            match client.committed_offsets(list.clone(), COMMITTED_MAX) {
                // Of a topic that is not there yet nothing was committed.
                Ok(found)
                    if found
                        .elements()
                        .iter()
                        .all(|at| at.error().is_ok() || unknown(&at.error())) =>
                {
                    return Ok(found);
                }
                Ok(found) => tracing::debug!(?found, "what was committed is not known yet"),
                Err(error) => tracing::debug!(%error, "what was committed is not known yet"),
            }
            if self.bootstrap.read().is_ok_and(|now| now != hosts) {
                return Err(End::Moved);
            }
            sleep_until(Instant::now() + TICK);
        }
        Ok(list)
    }

    fn assign(
        &self,
        client: &Arc<Native>,
        alarm: &Arc<Alarm>,
        first: bool,
        committed: &TopicPartitionList,
    ) -> KafkaResult<Vec<Partition>> {
        let mut list = TopicPartitionList::new();
        for (topic, begin) in &self.reading.topics {
            let offset = |partition| match begin {
                // The log of a broker that came back elsewhere began after we lost the old one: all of it is new.
                Begin::Latest if first => Offset::End,
                Begin::Latest | Begin::Earliest => Offset::Beginning,
                Begin::Committed => {
                    let at = committed.find_partition(&topic.to_string(), partition);
                    match at.map(|at| at.offset()) {
                        Some(Offset::Offset(next)) => Offset::Offset(next),
                        // Nothing was committed.
                        _ => Offset::Beginning,
                    }
                }
            };
            for partition in 0..self.settings.partitions {
                list.add_partition_offset(&topic.to_string(), partition, offset(partition))?;
            }
        }
        client.assign(&list)?;
        let mut partitions = Vec::new();
        for (topic, _) in &self.reading.topics {
            let name = topic.to_string();
            for partition in 0..self.settings.partitions {
                let Some(mut queue) = client.split_partition_queue(&name, partition) else {
                    return Err(KafkaError::Subscription(format!(
                        "{name} has no queue for partition {partition}"
                    )));
                };
                let ready = Arc::new(AtomicBool::new(true));
                queue.set_nonempty_callback({
                    let (ready, alarm) = (ready.clone(), alarm.clone());
                    move || {
                        ready.store(true, Ordering::Release);
                        alarm.wake();
                    }
                });
                partitions.push(Partition {
                    topic: topic.clone(),
                    name: name.clone(),
                    partition,
                    queue,
                    ready,
                    chunks: Assembler::new(),
                    next: None,
                    caught_up: false,
                    ended: false,
                    silent_since: None,
                });
            }
        }
        Ok(partitions)
    }

    fn serve(&self, client: &Native, partitions: &mut [Partition], alarm: &Alarm, hosts: &str) -> End {
        let mut seen = Instant::now();
        let mut commit_at = seen;
        let mut compare_at = seen + COMPARE;
        let mut sweep_at = seen + TICK;
        let mut unanswered_since: Option<Instant> = None;
        loop {
            if self.stopped() {
                // It waits for the answer, which nobody gives while a connection is broken. What is not committed is
                // read again at the next start and answered from what is known then.
                if unanswered_since.is_none() {
                    self.commit(client, partitions, CommitMode::Sync);
                }
                return End::Over;
            }
            let now = Instant::now();
            let broken = alarm.take_broken();
            if broken {
                unanswered_since.get_or_insert(now);
            }
            if broken || now - seen > STALL {
                for p in partitions.iter_mut().filter(|p| p.caught_up) {
                    p.caught_up = false;
                    p.silent_since = None;
                    if self
                        .give(ConsumerEvent::Behind {
                            topic: p.topic.clone(),
                            partition: p.partition,
                        })
                        .is_err()
                    {
                        return End::Over;
                    }
                }
            }
            seen = now;
            // Serves the library's own events. A record that was fetched before its queue was split off comes here.
            while let Some(got) = client.poll(Duration::ZERO) {
                match got {
                    Ok(record) => {
                        let of = partitions
                            .iter_mut()
                            .find(|p| p.partition == record.partition() && p.name == record.topic());
                        if let Some(p) = of
                            && self.record(p, &record).is_err()
                        {
                            return End::Over;
                        }
                    }
                    // The end of which topic is not said here; comparing finds it.
                    Err(KafkaError::PartitionEOF(at)) => {
                        partitions
                            .iter_mut()
                            .filter(|p| p.partition == at)
                            .for_each(|p| p.ended = true);
                    }
                    Err(error) => tracing::debug!(%error, "reading from kafka"),
                }
            }
            let mut more = false;
            for p in partitions.iter_mut() {
                if !p.ready.swap(false, Ordering::AcqRel) {
                    continue;
                }
                let mut turn = 0;
                loop {
                    if turn == TURN_MAX {
                        p.ready.store(true, Ordering::Release);
                        more = true;
                        break;
                    }
                    turn += 1;
                    // The queue is taken out of the borrow of the rest of the partition for the record's sake.
                    let Partition {
                        queue,
                        topic,
                        partition,
                        chunks,
                        next,
                        caught_up,
                        ended,
                        silent_since,
                        ..
                    } = p;
                    let given = match queue.poll(Duration::ZERO) {
                        None => break,
                        Some(Ok(record)) => {
                            unanswered_since = None;
                            *silent_since = None;
                            self.hand_over(topic, chunks, next, &record)
                        }
                        Some(Err(KafkaError::PartitionEOF(_))) => {
                            unanswered_since = None;
                            *ended = true;
                            if std::mem::replace(caught_up, true) {
                                Ok(())
                            } else {
                                self.give(ConsumerEvent::CaughtUp {
                                    topic: topic.clone(),
                                    partition: *partition,
                                })
                            }
                        }
                        Some(Err(error)) => {
                            tracing::debug!(%topic, partition, %error, "reading from kafka");
                            Ok(())
                        }
                    };
                    if given.is_err() {
                        return End::Over;
                    }
                }
            }
            let now = Instant::now();
            if now >= commit_at {
                self.commit(client, partitions, CommitMode::Async);
                commit_at = now + COMMIT;
            }
            if now >= compare_at {
                match self.compare(client, partitions) {
                    Ok(true) => unanswered_since = None,
                    Ok(false) => {}
                    Err(Gone) => return End::Over,
                }
                seen = Instant::now();
                compare_at = seen + COMPARE;
            }
            if unanswered_since.is_some_and(|since| now - since >= LOOK_AGAIN)
                && self.bootstrap.read().is_ok_and(|now| now != hosts)
            {
                return End::Moved;
            }
            // A queue may have been filled just before its callback was set; looking costs next to nothing.
            if now >= sweep_at {
                sweep_at = now + TICK;
                partitions.iter().for_each(|p| p.ready.store(true, Ordering::Release));
            } else if !more {
                sleep_until(sweep_at);
            }
        }
    }

    fn record(&self, p: &mut Partition, record: &BorrowedMessage<'_>) -> Result<(), Gone> {
        p.silent_since = None;
        self.hand_over(&p.topic, &mut p.chunks, &mut p.next, record)
    }

    fn hand_over(
        &self,
        topic: &Topic,
        chunks: &mut Assembler,
        next: &mut Option<i64>,
        record: &BorrowedMessage<'_>,
    ) -> Result<(), Gone> {
        *next = Some(record.offset() + 1);
        let timestamp_ms = record.timestamp().to_millis().map_or(0, |ms| ms.max(0).unsigned_abs());
        let whole = chunks.push(record.offset(), timestamp_ms, record.payload().unwrap_or_default());
        while let Some(Dropped { offset, cause }) = chunks.take_dropped() {
            self.give(ConsumerEvent::Unreadable {
                topic: topic.clone(),
                partition: record.partition(),
                offset,
                cause,
            })?;
        }
        let Some(payload) = whole else {
            return Ok(());
        };
        self.give(ConsumerEvent::Record(Record {
            topic: topic.clone(),
            partition: record.partition(),
            offset: record.offset(),
            timestamp_ms,
            key: record.key().unwrap_or_default().to_vec(),
            payload,
        }))
    }

    /// Ask for the end of partitions that are not known to be caught up: the library tells an end once, not again
    /// after a broken connection. Gives whether somebody answered.
    fn compare(&self, client: &Native, partitions: &mut [Partition]) -> Result<bool, Gone> {
        let mut answered = false;
        for p in partitions
            .iter_mut()
            .filter(|p| !p.caught_up && !p.ready.load(Ordering::Acquire))
        {
            if self.stopped() {
                return Ok(answered);
            }
            // One without an answer is enough: the others would wait for the same broker.
            let Ok((_, end)) = client.fetch_watermarks(&p.name, p.partition, ANSWER_MAX) else {
                return Ok(answered);
            };
            answered = true;
            let since = *p.silent_since.get_or_insert_with(Instant::now);
            let read = match p.next {
                Some(next) => next >= end,
                // Nothing was read yet. Only the library knows where it began, so its word is needed once; after that,
                // nothing in the log or nothing for a while is an end again.
                None => p.ended && (end == 0 || since.elapsed() >= STALL + ANSWER_MAX),
            };
            if read && !p.ready.load(Ordering::Acquire) {
                p.caught_up = true;
                self.give(ConsumerEvent::CaughtUp {
                    topic: p.topic.clone(),
                    partition: p.partition,
                })?;
            }
        }
        Ok(answered)
    }

    fn commit(&self, client: &Native, partitions: &[Partition], mode: CommitMode) {
        let mut commits = std::mem::take(&mut *self.shared.commits.lock().unwrap_or_else(PoisonError::into_inner));
        // What this client did not hand over was done with in the log of a broker that had another address: said to this
        // one, it would pass over records that nobody has read.
        commits.retain(|(topic, partition), offset| {
            let of = partitions
                .iter()
                .find(|p| p.partition == *partition && p.name == *topic);
            of.and_then(|p| p.next).is_some_and(|next| *offset <= next)
        });
        if commits.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in &mut commits {
            // A message of which only some chunks have come is read from its first one after a restart.
            let of = partitions
                .iter()
                .find(|p| p.partition == *partition && p.name == *topic);
            *offset = of
                .and_then(|p| p.chunks.oldest())
                .map_or(*offset, |oldest| oldest.min(*offset));
            if let Err(error) = list.add_partition_offset(topic, *partition, Offset::Offset(*offset)) {
                tracing::warn!(%error, topic, partition, offset, "not an offset");
            }
        }
        if let Err(error) = client.commit(&list, mode) {
            tracing::warn!(%error, "offsets could not be committed");
            // Tried again with the next ones, unless there are newer by then.
            let mut later = self.shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, offset) in commits {
                later.entry(key).or_insert(offset);
            }
        }
    }

    fn give(&self, event: ConsumerEvent) -> Result<(), Gone> {
        self.events.blocking_send(event).map_err(|_| Gone)
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }
}

fn unknown(error: &KafkaResult<()>) -> bool {
    let code = error.as_ref().err().and_then(KafkaError::rdkafka_error_code);
    matches!(
        code,
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
        )
    )
}

/// Nobody takes what is read any more.
struct Gone;

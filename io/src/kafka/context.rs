//! What librdkafka tells besides data: its log, and errors of the client as a whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An error that lasts is said this often.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Wakes a thread of ours from threads of the library, and tells it that a connection broke.
#[derive(Debug)]
pub(super) struct Alarm {
    thread: Thread,
    broken: AtomicBool,
}

impl Alarm {
    /// An alarm for the calling thread.
    pub(super) fn new() -> Self {
        Alarm {
            thread: std::thread::current(),
            broken: AtomicBool::new(false),
        }
    }

    /// Wake the thread.
    pub(super) fn wake(&self) {
        self.thread.unpark();
    }

    /// Whether a connection broke since this was asked last.
    pub(super) fn take_broken(&self) -> bool {
        self.broken.swap(false, Ordering::AcqRel)
    }
}

/// Sleep until woken, but not past `until`. The caller looks again at what it waits for: a wake can come for nothing.
pub(super) fn sleep_until(until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    if left > Duration::ZERO {
        std::thread::park_timeout(left);
    }
}

/// The part of a context that producer and consumer share.
#[derive(Debug)]
pub(super) struct Client {
    alarm: Arc<Alarm>,
    /// Errors that were said, and when: not more than there are codes.
    said: Mutex<Vec<(Option<RDKafkaErrorCode>, Instant)>>,
}

impl Client {
    pub(super) fn new(alarm: Arc<Alarm>) -> Self {
        Client {
            alarm,
            said: Mutex::default(),
        }
    }
}

impl ClientContext for Client {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard(&error, reason);
    }
}

impl Client {
    pub(super) fn heard(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // The end of a partition passes here as well, on its way to who reads it.
            Some(RDKafkaErrorCode::PartitionEOF) => return,
            code => self.say(code, error, reason),
        }
        self.alarm.broken.store(true, Ordering::Release);
        self.alarm.wake();
    }
}

impl Client {
    /// The same error comes with every try, four times a second: it is said once, and again while it lasts.
    fn say(&self, code: Option<RDKafkaErrorCode>, error: &KafkaError, reason: &str) {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(_, at)| now.saturating_duration_since(*at) < SAY_AGAIN);
        if said.iter().any(|(last, _)| *last == code) {
            tracing::debug!(%error, reason, "kafka client");
        } else {
            said.push((code, now));
            tracing::warn!(%error, reason, "kafka client");
        }
    }
}

impl ConsumerContext for Client {
    fn commit_callback(&self, result: rdkafka::error::KafkaResult<()>, offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // The next commit of the partition is for a later offset and repeats what this one wanted.
            tracing::warn!(%error, partitions = offsets.count(), "offsets could not be committed");
        }
    }
}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, text = message, "librdkafka");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(facility, text = message, "librdkafka"),
        // Each failed connection, four times a second while the broker is away; what it means comes as an error of
        // the client as well, and is said by `say`.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, text = message, "librdkafka")
        }
    }
}

//! The client's settings. Those that decide how fast it recovers are set on purpose, each with its reason.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

use super::address::Bootstrap;
use crate::config::join;

/// The `[kafka]` section of both daemons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// `HOST:PORT,HOST:PORT`, or `file:PATH` for the trial broker's address file. Must be set.
    pub bootstrap: String,
    /// Partitions of every keyed topic; part of the deployment, 4 on the trial broker.
    pub partitions: i32,
    /// How long a message may wait to be acknowledged, in milliseconds, before it is given up and said to be.
    pub message_timeout_ms: u32,
    /// How long a broker may hold a fetch without data, in milliseconds. The trial broker does not wake a waiting fetch: 5 there.
    pub fetch_wait_max_ms: u32,
    /// Further properties of the client library, passed through as they are (TLS, SASL, debug).
    pub client: BTreeMap<String, String>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        KafkaSettings {
            bootstrap: String::new(),
            partitions: skerry_bus::topic::PARTITIONS,
            message_timeout_ms: 10_000,
            fetch_wait_max_ms: 100,
            client: BTreeMap::new(),
        }
    }
}

/// A property that is set on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The property.
    pub name: &'static str,
    /// Its value.
    pub value: &'static str,
    /// Why not the library's default.
    pub reason: &'static str,
}

const fn setting(name: &'static str, value: &'static str, reason: &'static str) -> Setting {
    Setting { name, value, reason }
}

/// Set for producer and consumer.
const BOTH: &[Setting] = &[
    setting(
        "reconnect.backoff.ms",
        "20",
        "the first try after a lost connection comes at once",
    ),
    setting(
        "reconnect.backoff.max.ms",
        "250",
        "default 10 s: a broker that is back is not noticed for 10 s",
    ),
    setting(
        "retry.backoff.ms",
        "20",
        "a request cut off is repeated at once; the sequence numbers make that safe",
    ),
    setting("retry.backoff.max.ms", "250", "default 1 s"),
    setting(
        "socket.connection.setup.timeout.ms",
        "2000",
        "default 30 s: a black hole among the brokers must not hold us",
    ),
    setting(
        "socket.timeout.ms",
        "5000",
        "default 60 s: a broker that does not answer is given up",
    ),
    setting(
        "socket.keepalive.enable",
        "true",
        "a peer that vanished without a word is noticed",
    ),
    setting("socket.nagle.disable", "true", "small messages, latency counts"),
    setting(
        "topic.metadata.refresh.fast.interval.ms",
        "50",
        "a new leader is found at once; default 100",
    ),
    setting(
        "topic.metadata.refresh.interval.ms",
        "60000",
        "default 5 min; a changed number of partitions shows in a minute",
    ),
    setting(
        "allow.auto.create.topics",
        "true",
        "the trial broker has no other way to make a topic; a cluster has this switched off",
    ),
    setting("statistics.interval.ms", "0", "our own counters tell what is needed"),
];

/// Set for the producer.
const PRODUCER: &[Setting] = &[
    setting(
        "enable.idempotence",
        "true",
        "a repeated request is stored once, and order per partition holds",
    ),
    setting("acks", "all", "acknowledged means on all in-sync replicas"),
    setting(
        "partitioner",
        "murmur2_random",
        "as Java clients do: the same key lands in the same partition, whoever sends",
    ),
    setting("linger.ms", "0", "no waiting for company"),
    setting(
        "compression.type",
        "lz4",
        "a desired state repeats itself: 3 MB of text go through the broker as a tenth, 7 ms sooner",
    ),
    setting(
        "request.timeout.ms",
        "5000",
        "default 30 s; an acknowledgement that late is asked for again",
    ),
    setting(
        "queue.buffering.max.messages",
        "100000",
        "above what we let into flight, so that ours is the limit that decides",
    ),
    setting(
        "queue.buffering.max.kbytes",
        "65536",
        "default 1 GiB: an edge host without Kafka must not fill its memory",
    ),
    // Not `enable.gapless.guarantee`: a timed-out message would make the producer unusable, and a gap is seen by
    // `seq` and healed by a snapshot anyway.
];

/// Set for the consumer.
const CONSUMER: &[Setting] = &[
    setting(
        "enable.auto.commit",
        "false",
        "offsets are committed when the answer is acknowledged, never at hand-over",
    ),
    setting("enable.auto.offset.store", "false", "as above"),
    setting(
        "enable.partition.eof",
        "true",
        "it tells that a partition was read to its end",
    ),
    setting(
        "auto.offset.reset",
        "earliest",
        "nothing committed, or no longer kept: what there is is read; deadlines sort out the old",
    ),
    setting(
        "fetch.error.backoff.ms",
        "20",
        "default 500: that much later after each broken fetch",
    ),
    setting(
        "fetch.queue.backoff.ms",
        "20",
        "default 1 s: that long a pause after each burst",
    ),
    setting("fetch.min.bytes", "1", "the first record ends the wait"),
    setting(
        "queued.min.messages",
        "1000",
        "default 100,000: fetched ahead per partition",
    ),
    setting(
        "queued.max.messages.kbytes",
        "8192",
        "default 64 MiB, and here it counts per partition",
    ),
    setting(
        "session.timeout.ms",
        "6000",
        "default 45 s: a dead member would hold its partitions that long; brokers allow 6 s",
    ),
    setting(
        "isolation.level",
        "read_committed",
        "default, stated: nobody here uses transactions",
    ),
];

/// Properties that decide what the messages mean; the pass-through may not touch them.
const RESERVED: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "group.id",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "partitioner",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "fetch.wait.max.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "auto.offset.reset",
    "transactional.id",
    "test.mock.num.brokers",
];

impl KafkaSettings {
    /// What is wrong with the section that stands at path `at`.
    pub fn check(&self, at: &str) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, cause: String| faults.push((join(at, key), cause));
        if self.bootstrap.is_empty() {
            fault("bootstrap", "must be set: HOST:PORT,HOST:PORT or file:PATH".to_owned());
        } else if let Err(error) = self.bootstrap.parse::<Bootstrap>() {
            fault("bootstrap", error.to_string());
        }
        if !(1..=1024).contains(&self.partitions) {
            fault("partitions", format!("{} is not in 1 to 1024", self.partitions));
        }
        if !(100..=300_000).contains(&self.message_timeout_ms) {
            fault(
                "message_timeout_ms",
                format!("{} is not in 100 to 300000", self.message_timeout_ms),
            );
        }
        if self.fetch_wait_max_ms > 4_000 {
            // The library refuses a wait that is not below socket.timeout.ms.
            fault(
                "fetch_wait_max_ms",
                format!("{} is not in 0 to 4000", self.fetch_wait_max_ms),
            );
        }
        for (name, value) in &self.client {
            let path = join(&join(at, "client"), name);
            if RESERVED.contains(&name.as_str()) {
                faults.push((path, "is decided by Skerry and cannot be passed through".to_owned()));
                continue;
            }
            let mut one = ClientConfig::new();
            one.set(name, value);
            if let Err(error) = one.create_native_config() {
                faults.push((path, error.to_string()));
            }
        }
        faults
    }

    /// How to find the broker.
    ///
    /// # Errors
    /// As [`KafkaSettings::check`] tells.
    pub fn bootstrap(&self) -> Result<Bootstrap, super::BootstrapError> {
        self.bootstrap.parse()
    }

    /// What is set on purpose and cannot be read off a field of this struct, for documentation and tests.
    pub fn on_purpose() -> impl Iterator<Item = &'static Setting> {
        BOTH.iter().chain(PRODUCER).chain(CONSUMER)
    }

    pub(super) fn producer(&self, hosts: &str, client_id: &str) -> ClientConfig {
        let mut config = self.common(hosts, client_id, PRODUCER);
        config.set("message.timeout.ms", self.message_timeout_ms.to_string());
        config
    }

    pub(super) fn consumer(&self, hosts: &str, client_id: &str, group: &str) -> ClientConfig {
        let mut config = self.common(hosts, client_id, CONSUMER);
        config.set("fetch.wait.max.ms", self.fetch_wait_max_ms.to_string());
        config.set("group.id", group);
        config
    }

    fn common(&self, hosts: &str, client_id: &str, own: &[Setting]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for setting in BOTH.iter().chain(own) {
            config.set(setting.name, setting.value);
        }
        config.set("client.id", client_id);
        for (name, value) in &self.client {
            config.set(name, value);
        }
        config.set("bootstrap.servers", hosts);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(config: &ClientConfig, name: &str) -> String {
        let native = config.create_native_config().expect("the settings are valid");
        native.get(name).expect("the library knows it")
    }

    #[test]
    fn the_effective_values_are_those_set_on_purpose() {
        let settings = KafkaSettings {
            bootstrap: "127.0.0.1:9".into(),
            ..KafkaSettings::default()
        };
        let producer = settings.producer("127.0.0.1:9", "t");
        for s in BOTH.iter().chain(PRODUCER) {
            // The library prints acks=all as -1.
            let value = if s.name == "acks" { "-1" } else { s.value };
            assert_eq!(effective(&producer, s.name), value, "{}", s.name);
        }
        assert_eq!(effective(&producer, "message.timeout.ms"), "10000");
        let consumer = settings.consumer("127.0.0.1:9", "t", "g");
        for s in BOTH.iter().chain(CONSUMER) {
            let value = if s.name == "auto.offset.reset" {
                "smallest"
            } else {
                s.value
            };
            assert_eq!(effective(&consumer, s.name), value, "{}", s.name);
        }
        assert_eq!(effective(&consumer, "fetch.wait.max.ms"), "100");
        assert!(KafkaSettings::on_purpose().all(|s| !s.reason.is_empty()));
    }

    #[test]
    fn passed_through_properties_are_checked_by_name_and_value() {
        let mut settings = KafkaSettings {
            bootstrap: "a:1".into(),
            ..KafkaSettings::default()
        };
        for (name, value) in [
            ("sasl.username", "x"),
            ("no.such", "1"),
            ("acks", "0"),
            ("socket.timeout.ms", "abc"),
        ] {
            settings.client.insert(name.into(), value.into());
        }
        settings.partitions = 0;
        let paths: Vec<String> = settings.check("kafka").into_iter().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "kafka.partitions",
                "kafka.client.\"acks\"".replace('"', "").as_str(),
                "kafka.client.\"no.such\"",
                "kafka.client.\"socket.timeout.ms\""
            ]
        );
    }
}

//! The client's settings. Those that decide how fast it recovers are set on purpose, each with its reason.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use serde::{Deserialize, Serialize};

use super::address::Bootstrap;
use super::admin::AdminError;
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
    /// A file with the password of `sasl.username`; empty: none. Read when a connection is made anew.
    pub sasl_password_file: String,
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
            sasl_password_file: String::new(),
            client: BTreeMap::new(),
        }
    }
}

/// A password is one line; more is not a password.
const PASSWORD_MAX: u64 = 4 * 1024;
/// The library's name of the password.
const PASSWORD: &str = "sasl.password";

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

/// Properties that name a file.
const FILES: &[&str] = &[
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.crl.location",
    "ssl.keystore.location",
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
            } else if FILES.contains(&name.as_str())
                && let Err(error) = std::fs::File::open(value)
            {
                faults.push((path, format!("{value} cannot be read: {error}")));
            }
        }
        if !self.sasl_password_file.is_empty() {
            let mut fault = |cause: String| faults.push((join(at, "sasl_password_file"), cause));
            if let Err(cause) = self.password() {
                fault(cause);
            }
            if self.client.contains_key(PASSWORD) {
                fault(format!("client.\"{PASSWORD}\" is set as well: one of both is to go"));
            }
            if !self.client.contains_key("sasl.username") {
                fault("client.\"sasl.username\" must be set with it".to_owned());
            }
        }
        // What only shows when all is put together: a certificate that is none, a key of another one.
        if faults.is_empty() && !self.client.is_empty() {
            let made = self.common("", "check", CONSUMER).and_then(|mut config| {
                config.set("group.id", "check").remove("bootstrap.servers");
                config
                    .create::<BaseConsumer>()
                    .map(drop)
                    .map_err(|error| error.to_string())
            });
            if let Err(cause) = made {
                faults.push((join(at, "client"), cause));
            }
        }
        faults
    }

    /// The password in the file.
    fn password(&self) -> Result<String, String> {
        let path = &self.sasl_password_file;
        let at = |cause: String| format!("{path}: {cause}");
        let length = std::fs::metadata(path).map_err(|e| at(e.to_string()))?.len();
        if length > PASSWORD_MAX {
            return Err(at(format!("{length} bytes are too many for a password")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| at(e.to_string()))?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(at("it is empty".to_owned())),
            password => Ok(password.to_owned()),
        }
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

    pub(super) fn producer(&self, hosts: &str, client_id: &str) -> Result<ClientConfig, String> {
        let mut config = self.common(hosts, client_id, PRODUCER)?;
        config.set("message.timeout.ms", self.message_timeout_ms.to_string());
        Ok(config)
    }

    pub(super) fn consumer(&self, hosts: &str, client_id: &str, group: &str) -> Result<ClientConfig, String> {
        let mut config = self.common(hosts, client_id, CONSUMER)?;
        config.set("fetch.wait.max.ms", self.fetch_wait_max_ms.to_string());
        config.set("group.id", group);
        Ok(config)
    }

    pub(super) fn admin(&self, hosts: &str, client_id: &str) -> Result<ClientConfig, AdminError> {
        let mut config = self.common(hosts, client_id, &[]).map_err(AdminError::Refused)?;
        // It looks at topics, and looking must not make them.
        config.set("allow.auto.create.topics", "false");
        Ok(config)
    }

    /// Fails if the password is not to be had.
    fn common(&self, hosts: &str, client_id: &str, own: &[Setting]) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        for setting in BOTH.iter().chain(own) {
            config.set(setting.name, setting.value);
        }
        config.set("client.id", client_id);
        for (name, value) in &self.client {
            config.set(name, value);
        }
        if !self.sasl_password_file.is_empty() {
            config.set(PASSWORD, self.password()?);
        }
        config.set("bootstrap.servers", hosts);
        Ok(config)
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
        let producer = settings.producer("127.0.0.1:9", "t").expect("no password");
        for s in BOTH.iter().chain(PRODUCER) {
            // The library prints acks=all as -1.
            let value = if s.name == "acks" { "-1" } else { s.value };
            assert_eq!(effective(&producer, s.name), value, "{}", s.name);
        }
        assert_eq!(effective(&producer, "message.timeout.ms"), "10000");
        let consumer = settings.consumer("127.0.0.1:9", "t", "g").expect("no password");
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
    fn a_password_comes_from_its_file_and_is_missed_where_it_is_not() {
        let path = std::env::temp_dir().join(format!("skerry-kafka-password-{}", std::process::id()));
        let mut settings = KafkaSettings {
            bootstrap: "a:1".into(),
            sasl_password_file: path.display().to_string(),
            ..KafkaSettings::default()
        };
        settings.client.insert("sasl.username".into(), "x".into());
        let faults = |settings: &KafkaSettings| settings.check("kafka");
        assert!(
            matches!(&faults(&settings)[..], [(at, cause)] if at == "kafka.sasl_password_file" && cause.contains("No such file"))
        );
        std::fs::write(&path, "\r\n").expect("a temporary file");
        assert!(matches!(&faults(&settings)[..], [(_, cause)] if cause.ends_with("it is empty")));
        std::fs::write(&path, "secret \n").expect("a temporary file");
        assert_eq!(faults(&settings), []);
        let config = settings.producer("a:1", "t").expect("the password is there");
        assert_eq!(effective(&config, "sasl.password"), "secret ");
        settings.client.insert("sasl.password".into(), "x".into());
        assert!(matches!(&faults(&settings)[..], [(_, cause)] if cause.contains("one of both")));
        settings.client.clear();
        assert!(matches!(&faults(&settings)[..], [(_, cause)] if cause.contains("sasl.username")));
        std::fs::remove_file(&path).expect("it is ours");
    }

    #[test]
    fn tls_and_passwords_are_there_and_what_is_no_certificate_is_named() {
        let path = std::env::temp_dir().join(format!("skerry-kafka-ca-{}", std::process::id()));
        std::fs::write(&path, "not a certificate").expect("a temporary file");
        let mut settings = KafkaSettings {
            bootstrap: "a:1".into(),
            ..KafkaSettings::default()
        };
        for (name, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "x"),
            ("sasl.password", "y"),
        ] {
            settings.client.insert(name.into(), value.into());
        }
        assert_eq!(settings.check("kafka"), []);
        settings
            .client
            .insert("ssl.ca.location".into(), path.display().to_string());
        let faults = settings.check("kafka");
        assert!(
            matches!(&faults[..], [(at, cause)] if at == "kafka.client" && cause.contains("ssl.ca.location")),
            "{faults:?}"
        );
        std::fs::remove_file(&path).expect("it is ours");
        let faults = settings.check("kafka");
        assert!(
            matches!(&faults[..], [(at, cause)] if at == "kafka.client.\"ssl.ca.location\"" && cause.contains("cannot be read")),
            "{faults:?}"
        );
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

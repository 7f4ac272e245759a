//! How the topics of a cluster stand, and making them stand otherwise: for `skerry topics`. What is right is not decided here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use skerry_bus::Topic;
use skerry_bus::layout::{Found, Layout};

use super::settings::KafkaSettings;

/// How long an answer may take. A controller that has just changed answers after a few seconds.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long somebody may take to be reached, and how long one try takes. A cluster that changes its controller is reached.
const REACH_MAX: Duration = Duration::from_secs(5);
const REACH_TRY: Duration = Duration::from_millis(500);
/// Errors of connections that are read after each try, for the last of them: a few for each broker.
const WORDS_MAX: usize = 200;
/// What names of our topics begin with.
const OURS: &str = "skerry.v1.";

/// Why a cluster could not be asked or told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Nobody answers, or not to us.
    #[error("{bootstrap}: {cause}")]
    Away {
        /// Where.
        bootstrap: String,
        /// Why, as far as the library told.
        cause: String,
    },
    /// Who answers has no administration calls.
    #[error(
        "{0} answers, but has no administration calls: it is a trial broker, which makes a topic at its first use. \
         Topics are planned, made and checked on Apache Kafka only"
    )]
    Trial(String),
    /// The cluster refused.
    #[error("{0}")]
    Refused(String),
}

/// How a cluster stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Brokers that are up.
    pub brokers: usize,
    /// The topics that were asked for and exist.
    pub topics: BTreeMap<Topic, Found>,
    /// Topics whose names begin like ours and that were not asked for.
    pub others: Vec<String>,
}

/// A connection to a cluster.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    /// Asks who is there: the other one does not say why nobody is.
    scout: BaseConsumer<Words>,
    bootstrap: String,
    words: Words,
    runtime: tokio::runtime::Runtime,
}

/// The last thing that the library said of a connection that failed: its errors alone say only that it did.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    code: Option<RDKafkaErrorCode>,
    reason: String,
}

impl Words {
    /// Whether trying again would bring nothing else: a certificate or a password was not taken.
    fn refused(&self) -> bool {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(
            said.code,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)
        )
    }
}

impl ClientContext for Words {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down says less than why one is.
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            let reason = reason.to_owned();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Said { code, reason };
        }
    }
}

impl ConsumerContext for Words {}

impl Admin {
    /// Makes a client; nobody is asked yet.
    ///
    /// # Errors
    /// The address file cannot be read, or the library refuses a setting.
    pub fn new(settings: &KafkaSettings, client_id: &str) -> anyhow::Result<Admin> {
        let bootstrap = settings.bootstrap()?.read()?;
        let words = Words::default();
        let config = settings.admin(&bootstrap, client_id)?;
        Ok(Admin {
            client: config.create()?,
            scout: BaseConsumer::from_config_and_context(&config, words.clone())?,
            bootstrap,
            words,
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
        })
    }

    /// Looks at these topics.
    ///
    /// # Errors
    /// Nobody answers, or it is the trial broker.
    pub fn look(&self, topics: &[Topic]) -> Result<Seen, AdminError> {
        let metadata = self.reach()?;
        let mut seen = Seen {
            brokers: metadata.brokers().len(),
            ..Seen::default()
        };
        for found in metadata.topics() {
            let asked = found
                .name()
                .parse::<Topic>()
                .ok()
                .filter(|topic| topics.contains(topic));
            let Some(topic) = asked else {
                if found.name().starts_with(OURS) {
                    seen.others.push(found.name().to_owned());
                }
                continue;
            };
            let replicas = found.partitions().iter().map(|p| p.replicas().len());
            let found = Found {
                partitions: i32::try_from(found.partitions().len()).unwrap_or(i32::MAX),
                replication: replicas.min().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
                properties: BTreeMap::new(),
            };
            seen.topics.insert(topic, found);
        }
        seen.others.sort();
        // A broker is asked also when none of the topics exists: who has no administration calls is found out first.
        let broker = metadata.brokers().first().map(|broker| broker.id());
        let names: Vec<String> = seen.topics.keys().map(Topic::to_string).collect();
        let mut asked: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        if asked.is_empty() {
            asked.extend(broker.map(ResourceSpecifier::Broker));
        }
        let answers = self.runtime.block_on(self.client.describe_configs(&asked, &options()));
        let answers = answers.map_err(|error| self.failure(&error))?;
        for answer in answers {
            let resource = answer.map_err(|code| AdminError::Refused(code.to_string()))?;
            let OwnedResourceSpecifier::Topic(name) = resource.specifier else {
                continue;
            };
            let found = name.parse::<Topic>().ok().and_then(|topic| seen.topics.get_mut(&topic));
            if let Some(found) = found {
                let values = resource.entries.into_iter();
                found.properties = values.filter_map(|entry| Some((entry.name, entry.value?))).collect();
            }
        }
        Ok(seen)
    }

    /// Who is there, as soon as somebody is; at once if who is there will not have us.
    fn reach(&self) -> Result<Metadata, AdminError> {
        let until = Instant::now() + REACH_MAX;
        loop {
            let error = match self.scout.fetch_metadata(None, REACH_TRY) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            // What it has to say of that is said while it is polled; nothing is given for what was said, as if there were no more.
            for _ in 0..WORDS_MAX {
                let _ = self.scout.poll(Duration::ZERO);
            }
            if self.words.refused() || Instant::now() >= until {
                return Err(self.failure(&error));
            }
        }
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// It was refused.
    pub fn create(&self, layout: &Layout) -> Result<(), AdminError> {
        let name = layout.topic.to_string();
        let replication = TopicReplication::Fixed(layout.replication);
        let mut topic = NewTopic::new(&name, layout.partitions, replication);
        for rule in &layout.rules {
            topic = topic.set(rule.name, &rule.made);
        }
        let answers = self.runtime.block_on(self.client.create_topics([&topic], &options()));
        let answers = answers.map_err(|error| self.failure(&error))?;
        for answer in answers {
            match answer {
                // Somebody else was faster: what it is is looked at afterwards.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(AdminError::Refused(format!("{name} was not made: {code}"))),
            }
        }
        Ok(())
    }

    /// Sets properties of a topic and leaves the others as they are.
    ///
    /// # Errors
    /// It was refused.
    pub fn set(&self, topic: &Topic, properties: &[(&str, &str)]) -> Result<(), AdminError> {
        let name = topic.to_string();
        let refused = |code: RDKafkaErrorCode| AdminError::Refused(format!("{name} was not changed: {code}"));
        // What is not told again falls back to the broker's default: so all that was set for this topic is.
        let asked = [ResourceSpecifier::Topic(&name)];
        let answers = self.runtime.block_on(self.client.describe_configs(&asked, &options()));
        let mut kept = Vec::new();
        for answer in answers.map_err(|error| self.failure(&error))? {
            let set = answer.map_err(refused)?.entries.into_iter();
            kept.extend(
                set.filter(|entry| entry.source == ConfigSource::DynamicTopic)
                    .filter_map(|entry| Some((entry.name, entry.value?))),
            );
        }
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(&name));
        for (name, value) in &kept {
            change = change.set(name, value);
        }
        for (name, value) in properties {
            change = change.set(name, value);
        }
        let answers = self.runtime.block_on(self.client.alter_configs([&change], &options()));
        for answer in answers.map_err(|error| self.failure(&error))? {
            answer.map_err(|(_, code)| refused(code))?;
        }
        Ok(())
    }

    fn failure(&self, error: &KafkaError) -> AdminError {
        if *error == KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature) {
            return AdminError::Trial(self.bootstrap.clone());
        }
        let words = self.words.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cause = match words.reason.as_str() {
            "" => error.to_string(),
            said => said.to_owned(),
        };
        AdminError::Away {
            bootstrap: self.bootstrap.clone(),
            cause,
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER_MAX))
        .operation_timeout(Some(ANSWER_MAX))
}

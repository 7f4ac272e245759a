//! What goes into the router's machine and what comes out: values only.

use std::collections::BTreeMap;

use skerry_bus::{BrokerClock, Region, Topic, VirtualEvent};
use skerry_monitor as monitor;
use skerry_router_core::{presence, sync};

use super::api::{ApiRequest, ApiResponse};
use super::flows;
use crate::store::Write;

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Regions, with preference.
    pub presence: presence::Config,
    /// Partitions of keyed topics; part of the deployment.
    pub partitions: i32,
    /// Who we are among the routers that ever were: grows with every start.
    pub owner_epoch: u64,
    /// Network sync.
    pub sync: sync::Config,
    /// The SLA of all flows.
    pub fleet: monitor::fleet::Config,
    /// Flow operations.
    pub flows: flows::Config,
    /// Version, for the status.
    pub version: &'static str,
}

/// What happens to the router.
#[derive(Debug)]
pub enum Input {
    /// A record was read.
    Record {
        /// Where.
        topic: Topic,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Its log-append time, milliseconds by the broker's clock.
        record_ms: u64,
        /// Whether the reader knows of nothing after it in this partition.
        caught_up: bool,
        /// Its key.
        key: Vec<u8>,
        /// Its payload, put together from its chunks.
        payload: Vec<u8>,
    },
    /// Chunks that do not make a message.
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
    /// The reader stands at the end of a partition.
    CaughtUp {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
    },
    /// The reader does not know any more whether it stands there: a connection broke, or it stood still.
    Behind {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
    },
    /// Whether Kafka can be reached.
    Bus {
        /// It can.
        up: bool,
    },
    /// A record with a token is stored by Kafka.
    Delivered {
        /// The token.
        token: u64,
    },
    /// A record with a token was given up.
    NotDelivered {
        /// The token.
        token: u64,
    },
    /// What [`Output::LookForRegions`] found: regions that have a topic of events, with the length of its log ever since.
    Regions(BTreeMap<Region, i64>),
    /// The broker's clock.
    Clock(BrokerClock),
    /// A question of the northbound interface.
    Ask {
        /// Joins the answer to it.
        token: u64,
        /// What is asked.
        request: ApiRequest,
    },
}

/// What the router wants done. What is stored is stored before anything else of the same step leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write this record.
    Publish {
        /// The topic.
        topic: Topic,
        /// The partition, which follows from the key.
        partition: i32,
        /// The key.
        key: String,
        /// The payload; chunked by the driver if it is large.
        payload: Vec<u8>,
        /// Its fate is to be told with this; none: nothing hangs on it.
        token: Option<u64>,
    },
    /// Look which regions have a topic of events, and say so by [`Input::Regions`], be it nothing.
    LookForRegions,
    /// Everything of this partition of the commands below the offset is answered.
    Commit {
        /// The partition.
        partition: i32,
        /// The next offset to read.
        offset: i64,
    },
    /// Keep or forget this.
    Store(Write),
    /// Answer a question.
    Answer {
        /// The question's.
        token: u64,
        /// The answer.
        response: Box<ApiResponse>,
    },
    /// For the live feed.
    Event(Box<VirtualEvent>),
    /// Count something.
    Count {
        /// Metric, without prefix, such as `records_malformed_total`.
        name: &'static str,
        /// The one label it has: its name and value.
        label: (&'static str, String),
    },
    /// Something a person may want to read in the log.
    Fact {
        /// How grave: `true` is a warning.
        warn: bool,
        /// What, and about what.
        text: String,
    },
}

//! The log that stands in for Kafka: topics with partitions, append times, committed offsets. It only keeps; who may reach it,
//! when, and what gets lost on the way is decided by [`crate::client`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use skerry_bus::{Region, Topic};

/// A partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tp(pub usize);

/// Who commits offsets under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// All routers.
    Routers,
    /// The speaker of a region.
    Speaker(usize),
}

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its key.
    pub key: Arc<str>,
    /// What it says.
    pub payload: Bytes,
    /// When it was appended, by the broker's clock.
    pub ms: u64,
}

/// All topics.
#[derive(Debug)]
pub struct Log {
    topics: Vec<Topic>,
    index: BTreeMap<Topic, usize>,
    partitions: usize,
    records: Vec<Vec<Record>>,
    committed: BTreeMap<(Group, Tp), i64>,
}

impl Log {
    /// Empty topics of a deployment with these regions.
    pub fn new(regions: &[Region], partitions: usize) -> Log {
        let mut topics = vec![
            Topic::Commands,
            Topic::Events,
            Topic::Replies,
            Topic::StateRegions,
            Topic::StatePresence,
            Topic::Actions,
            Topic::DeadLetter,
        ];
        for region in regions {
            topics.push(Topic::RegionCommands(region.clone()));
            topics.push(Topic::RegionEvents(region.clone()));
            topics.push(Topic::Latency(region.clone()));
        }
        Log {
            index: topics
                .iter()
                .cloned()
                .enumerate()
                .map(|(at, topic)| (topic, at))
                .collect(),
            records: vec![Vec::new(); topics.len() * partitions],
            topics,
            partitions,
            committed: BTreeMap::new(),
        }
    }

    /// A partition by its name; none: no such topic, or it has fewer.
    pub fn tp(&self, topic: &Topic, partition: i32) -> Option<Tp> {
        let partition = usize::try_from(partition).ok().filter(|p| *p < self.partitions)?;
        Some(Tp(self.index.get(topic)? * self.partitions + partition))
    }

    /// All partitions of a topic.
    pub fn of_topic(&self, topic: &Topic) -> Vec<Tp> {
        let all = 0..self.partitions as i32;
        all.filter_map(|partition| self.tp(topic, partition)).collect()
    }

    /// Its topic.
    pub fn topic(&self, tp: Tp) -> &Topic {
        &self.topics[tp.0 / self.partitions]
    }

    /// Its number in the topic.
    pub fn partition(&self, tp: Tp) -> i32 {
        (tp.0 % self.partitions) as i32
    }

    /// Partitions of all topics.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// There are no topics.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// One more record. Gives its offset.
    pub fn append(&mut self, tp: Tp, record: Record) -> i64 {
        let records = &mut self.records[tp.0];
        records.push(record);
        records.len() as i64 - 1
    }

    /// The offset of the next record to be appended.
    pub fn end(&self, tp: Tp) -> i64 {
        self.records[tp.0].len() as i64
    }

    /// A record.
    pub fn record(&self, tp: Tp, offset: i64) -> Option<&Record> {
        self.records[tp.0].get(usize::try_from(offset).ok()?)
    }

    /// Everything below is done with.
    pub fn commit(&mut self, group: Group, tp: Tp, offset: i64) {
        self.committed.insert((group, tp), offset);
    }

    /// Where a reader that starts begins: at the oldest record if nothing was committed.
    pub fn committed(&self, group: Group, tp: Tp) -> i64 {
        self.committed.get(&(group, tp)).copied().unwrap_or(0)
    }
}

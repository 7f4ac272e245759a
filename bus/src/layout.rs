//! How each topic is to stand on a cluster, why, and what is wrong with one that stands otherwise.
//!
//! It compares what was found with what the contract needs and asks nobody: `skerry topics` does that.

use std::collections::BTreeMap;
use std::fmt;

use crate::chunk::WHOLE_MAX;
use crate::ids::Region;
use crate::topic::Topic;

/// The topic property that says how many replicas must have a message before it is acknowledged.
const INSYNC: &str = "min.insync.replicas";
/// The name under which the number of partitions is told, beside the properties.
pub const PARTITIONS: &str = "partitions";
/// The name under which the number of replicas is told.
pub const REPLICATION: &str = "replication";
/// The name under which it is told that there is no such topic.
pub const EXISTS: &str = "exists";

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// When a property is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fits {
    /// It is what is made.
    Same,
    /// It is so large or larger; -1 is without an end.
    AtLeast(u64),
    /// Whatever it is: what is made is a good choice, not a need.
    Any,
}

/// A property of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The property.
    pub name: &'static str,
    /// What it is made.
    pub made: String,
    fits: Fits,
    /// Why.
    pub reason: &'static str,
}

impl Rule {
    fn fits(&self, value: &str) -> bool {
        match self.fits {
            Fits::Same => value == self.made,
            Fits::AtLeast(_) if value == "-1" => true,
            Fits::AtLeast(least) => value.parse::<u64>().is_ok_and(|value| value >= least),
            Fits::Any => true,
        }
    }

    fn wanted(&self) -> String {
        match self.fits {
            Fits::Same | Fits::Any => self.made.clone(),
            Fits::AtLeast(least) => format!("at least {least}"),
        }
    }
}

/// How one topic is to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The topic.
    pub topic: Topic,
    /// Its partitions.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
    /// Its properties.
    pub rules: Vec<Rule>,
}

/// A topic as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its partitions.
    pub partitions: i32,
    /// Copies of the partition that has the fewest.
    pub replication: i32,
    /// All of its properties, those that the broker decides too.
    pub properties: BTreeMap<String, String>,
}

/// What would put a fault right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Making the topic.
    Create,
    /// Setting the property.
    Set,
    /// Nothing that can be done without harm while messages are in it: what a person has to do.
    ByHand(&'static str),
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The topic.
    pub topic: Topic,
    /// The property; or [`PARTITIONS`], [`REPLICATION`], [`EXISTS`].
    pub what: &'static str,
    /// What it is.
    pub has: String,
    /// What it should be.
    pub wanted: String,
    /// What it would be set to.
    pub made: String,
    /// Why.
    pub reason: &'static str,
    /// What would put it right.
    pub repair: Repair,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            topic,
            what,
            has,
            wanted,
            reason,
            ..
        } = self;
        match self.repair {
            Repair::Create => write!(f, "{topic} does not exist: {reason}"),
            Repair::Set => write!(f, "{topic}: {what} is {has}, {wanted} is needed: {reason}"),
            Repair::ByHand(how) => write!(f, "{topic}: {what} is {has}, {wanted} is needed: {reason}; {how}"),
        }
    }
}

/// Every topic of a deployment.
pub fn topics(regions: &[Region]) -> Vec<Topic> {
    let common = [
        Topic::Commands,
        Topic::Events,
        Topic::Replies,
        Topic::StatePresence,
        Topic::StateRegions,
        Topic::Actions,
        Topic::DeadLetter,
    ];
    let of_region = |region: &Region| {
        [
            Topic::RegionCommands(region.clone()),
            Topic::RegionEvents(region.clone()),
            Topic::Latency(region.clone()),
        ]
    };
    common.into_iter().chain(regions.iter().flat_map(of_region)).collect()
}

/// Replicas that must have a message before it is acknowledged: most of them, so that one may be lost, and none of what was
/// acknowledged with it.
pub fn insync(replication: i32) -> i32 {
    if replication < 3 { 1 } else { replication / 2 + 1 }
}

impl Layout {
    /// How a topic is to stand with so many partitions and replicas.
    pub fn new(topic: Topic, partitions: i32, replication: i32) -> Layout {
        let same = |name, made: &str, reason| Rule {
            name,
            made: made.to_owned(),
            fits: Fits::Same,
            reason,
        };
        let at_least = |name, made: u64, least: u64, reason| Rule {
            name,
            made: made.to_string(),
            fits: Fits::AtLeast(least),
            reason,
        };
        let mut rules = vec![
            same(
                "message.timestamp.type",
                "LogAppendTime",
                "ages and deadlines are told by the broker's clock, because hosts' clocks differ by seconds",
            ),
            same(
                INSYNC,
                &insync(replication).to_string(),
                "what is acknowledged is on so many brokers, and one of three may be away",
            ),
            same(
                "unclean.leader.election.enable",
                "false",
                "a replica that lagged behind must not lead: what was acknowledged would be gone",
            ),
            same(
                "compression.type",
                "producer",
                "messages come compressed and stay so; a broker need not unpack and pack them",
            ),
            // A batch of one message has some framing around it.
            at_least(
                "max.message.bytes",
                1_048_588,
                WHOLE_MAX as u64 + 64 * 1024,
                "messages of up to 512 KiB are sent whole",
            ),
        ];
        let (kept, least, reason) = match &topic {
            Topic::StatePresence | Topic::StateRegions => {
                rules.extend([
                    same(
                        "cleanup.policy",
                        "compact",
                        "the last word on each switch or region is the routers' memory and must never be deleted by age",
                    ),
                    at_least(
                        "delete.retention.ms",
                        DAY_MS,
                        HOUR_MS,
                        "a router that was away for shorter must still read that something was forgotten",
                    ),
                    Rule {
                        name: "segment.ms",
                        made: HOUR_MS.to_string(),
                        fits: Fits::Any,
                        reason: "only closed segments are compacted, and a router that starts reads all there is",
                    },
                    Rule {
                        name: "min.cleanable.dirty.ratio",
                        made: "0.1".to_owned(),
                        fits: Fits::Any,
                        reason: "a router that starts reads all there is",
                    },
                ]);
                return Layout {
                    topic,
                    partitions,
                    replication,
                    rules,
                };
            }
            Topic::Commands | Topic::RegionCommands(_) => (
                DAY_MS,
                HOUR_MS,
                "a speaker or router that was away finds what it has not answered",
            ),
            Topic::RegionEvents(_) => (
                6 * HOUR_MS,
                HOUR_MS,
                "a router that was away goes on where it stopped; heartbeats need room, so not for days",
            ),
            Topic::Events | Topic::Actions => (DAY_MS, HOUR_MS, "whoever reads it may be away for a while"),
            Topic::Latency(_) => (HOUR_MS, 5 * MINUTE_MS, "measurements are not read when they are old"),
            Topic::Replies => (
                DAY_MS,
                HOUR_MS,
                "who asked may be away for a while, and its answer is sent once",
            ),
            Topic::DeadLetter => (14 * DAY_MS, DAY_MS, "a person looks at it, and not on a Sunday"),
        };
        rules.extend([
            same(
                "cleanup.policy",
                "delete",
                "each message counts: compacted, all but the last of a switch would be gone unread",
            ),
            at_least("retention.ms", kept, least, reason),
            Rule {
                name: "segment.ms",
                made: HOUR_MS.to_string(),
                fits: Fits::Any,
                reason: "only closed segments are deleted",
            },
        ]);
        Layout {
            topic,
            partitions,
            replication,
            rules,
        }
    }

    /// What is not as it should be with this topic, as it was found.
    pub fn judge(&self, found: Option<&Found>) -> Vec<Fault> {
        let fault = |what, has: String, wanted: String, made: String, reason, repair| Fault {
            topic: self.topic.clone(),
            what,
            has,
            wanted,
            made,
            reason,
            repair,
        };
        let Some(found) = found else {
            let reason = "whatever is sent there fails, or the broker makes it by itself and otherwise";
            let wanted = format!("{} partitions, {} replicas", self.partitions, self.replication);
            return vec![fault(
                EXISTS,
                "no".to_owned(),
                wanted,
                String::new(),
                reason,
                Repair::Create,
            )];
        };
        let mut faults = Vec::new();
        if found.partitions != self.partitions {
            faults.push(fault(
                PARTITIONS,
                found.partitions.to_string(),
                self.partitions.to_string(),
                self.partitions.to_string(),
                "a switch's id decides its partition, so with another number its messages land elsewhere",
                Repair::ByHand(
                    "stop speakers and routers, delete the topic and apply again, or set kafka.partitions to what is there",
                ),
            ));
        }
        if found.replication < self.replication {
            faults.push(fault(
                REPLICATION,
                found.replication.to_string(),
                format!("at least {}", self.replication),
                self.replication.to_string(),
                "with the last copy of a partition all of it is gone",
                Repair::ByHand("kafka-reassign-partitions of Kafka adds copies"),
            ));
        }
        for rule in &self.rules {
            let has = found.properties.get(rule.name).map(String::as_str).unwrap_or_default();
            // Fewer copies than wanted are told above; what must be in sync follows from those that there are.
            let rule = match rule.name {
                INSYNC => &Rule {
                    made: insync(found.replication).to_string(),
                    ..rule.clone()
                },
                _ => rule,
            };
            if !rule.fits(has) {
                let has = if has.is_empty() { "not known to the broker" } else { has };
                faults.push(fault(
                    rule.name,
                    has.to_owned(),
                    rule.wanted(),
                    rule.made.clone(),
                    rule.reason,
                    Repair::Set,
                ));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions() -> Vec<Region> {
        ["east", "west"].map(|name| name.parse().expect("a region")).into()
    }

    /// A topic exactly as it is made.
    fn made(layout: &Layout) -> Found {
        Found {
            partitions: layout.partitions,
            replication: layout.replication,
            properties: layout
                .rules
                .iter()
                .map(|rule| (rule.name.to_owned(), rule.made.clone()))
                .collect(),
        }
    }

    #[test]
    fn what_is_made_is_right_for_every_topic_and_number_of_replicas() {
        for topic in topics(&regions()) {
            for replication in 1..=5 {
                let layout = Layout::new(topic.clone(), 16, replication);
                assert_eq!(layout.judge(Some(&made(&layout))), [], "{topic} with {replication}");
                assert!(layout.rules.iter().all(|rule| !rule.reason.is_empty()));
            }
        }
    }

    #[test]
    fn there_are_seven_topics_and_three_for_each_region() {
        let all = topics(&regions());
        assert_eq!(all.len(), 7 + 2 * 3);
        assert!(all.contains(&Topic::Latency("west".parse().expect("a region"))));
    }

    #[test]
    fn a_topic_that_is_not_there_is_made() {
        let faults = Layout::new(Topic::Events, 16, 3).judge(None);
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].what, faults[0].repair), (EXISTS, Repair::Create));
    }

    #[test]
    fn each_thing_that_is_otherwise_is_told_with_its_reason() {
        let layout = Layout::new(Topic::Commands, 16, 3);
        let mut found = made(&layout);
        found.partitions = 12;
        found.replication = 1;
        for (name, value) in [
            ("message.timestamp.type", "CreateTime"),
            ("cleanup.policy", "compact"),
            ("retention.ms", "60000"),
            ("max.message.bytes", "100000"),
            ("unclean.leader.election.enable", "true"),
        ] {
            found.properties.insert(name.to_owned(), value.to_owned());
        }
        let faults = layout.judge(Some(&found));
        let told: Vec<(&str, &str, &str)> = faults
            .iter()
            .map(|f| (f.what, f.has.as_str(), f.wanted.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("partitions", "12", "16"),
                ("replication", "1", "at least 3"),
                ("message.timestamp.type", "CreateTime", "LogAppendTime"),
                // One copy can only have one in sync; two would stop everything.
                ("min.insync.replicas", "2", "1"),
                ("unclean.leader.election.enable", "true", "false"),
                ("max.message.bytes", "100000", "at least 589824"),
                ("cleanup.policy", "compact", "delete"),
                ("retention.ms", "60000", "at least 3600000"),
            ]
        );
        assert!(faults.iter().all(|f| f.to_string().contains(f.reason)), "{faults:?}");
        assert!(matches!(faults[0].repair, Repair::ByHand(_)) && matches!(faults[1].repair, Repair::ByHand(_)));
        assert!(faults[2..].iter().all(|f| f.repair == Repair::Set));
    }

    #[test]
    fn more_than_is_needed_is_right() {
        let layout = Layout::new(Topic::Replies, 4, 1);
        let mut found = made(&layout);
        found.replication = 3;
        found.properties.insert(INSYNC.to_owned(), "2".to_owned());
        for value in ["-1", "99999999999"] {
            found.properties.insert("retention.ms".to_owned(), value.to_owned());
            assert_eq!(layout.judge(Some(&found)), []);
        }
    }

    #[test]
    fn state_is_compacted_and_nothing_else_is() {
        for topic in topics(&regions()) {
            let layout = Layout::new(topic.clone(), 16, 3);
            let policy = layout.rules.iter().find(|rule| rule.name == "cleanup.policy");
            let compact = policy.is_some_and(|rule| rule.made == "compact");
            assert_eq!(compact, topic.to_string().starts_with("skerry.v1.state."), "{topic}");
        }
    }
}

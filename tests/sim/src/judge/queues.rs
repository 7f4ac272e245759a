//! Every queue is bounded and every drop is counted: what came is what was taken and what was dropped, with its reason.

use std::collections::BTreeMap;

use skerry_bus::Topic;
use skerry_speaker_core::Counter;

use super::Verdict;
use crate::client::Who;
use crate::load::{Asked, What};
use crate::log::Tp;
use crate::scenario::Scenario;
use crate::time::{Ns, SECOND};

/// Records that one process may write in a second. Heartbeats, snapshots and commands of a few switches are a tenth of it.
const RECORDS_MAX: u32 = 4_000;

/// What is counted.
pub struct Queues {
    /// Since when, and how many records, by process.
    rates: BTreeMap<Who, (Ns, u32)>,
    /// Counters of each speaker's present life.
    counts: Vec<BTreeMap<Counter, u64>>,
    /// Records of the commands that are no messages, and those of no known kind.
    garbage: BTreeMap<(Tp, i64), &'static str>,
    /// How often such were read.
    read: BTreeMap<&'static str, u64>,
    /// How often routers counted such.
    counted: BTreeMap<&'static str, u64>,
    /// Dead letters.
    letters: u64,
}

impl Queues {
    /// Nothing was counted yet.
    pub fn new(scenario: &Scenario) -> Queues {
        Queues {
            rates: BTreeMap::new(),
            counts: vec![BTreeMap::new(); scenario.regions.len()],
            garbage: BTreeMap::new(),
            read: BTreeMap::new(),
            counted: BTreeMap::new(),
            letters: 0,
        }
    }

    /// A record is in the log.
    pub fn appended(&mut self, now: Ns, topic: &Topic, by: Option<Who>) -> Verdict {
        self.letters += u64::from(*topic == Topic::DeadLetter);
        let Some(by) = by else { return Ok(()) };
        let (since, records) = self.rates.entry(by).or_insert((now, 0));
        if now - *since > SECOND {
            (*since, *records) = (now, 0);
        }
        *records += 1;
        if *records > RECORDS_MAX {
            return Err(format!(
                "{by:?} wrote {records} records within a second, the last to {topic}"
            ));
        }
        Ok(())
    }

    /// A service says a command.
    pub fn asked(&mut self, asked: &Asked, tp: Tp, offset: i64) {
        let name = match asked.what {
            What::Garbage => "records_malformed_total",
            What::Strange => "records_unknown_kind_total",
            _ => return,
        };
        self.garbage.insert((tp, offset), name);
    }

    /// A router starts: what the one before counted and did not say is gone with it.
    pub fn router_started(&mut self) {
        self.read.clear();
        self.counted.clear();
    }

    /// A router reads a command.
    pub fn router_read(&mut self, tp: Tp, offset: i64) {
        if let Some(name) = self.garbage.get(&(tp, offset)) {
            *self.read.entry(name).or_default() += 1;
        }
    }

    /// A router counts something.
    pub fn router_counts(&mut self, name: &'static str, _value: &str) {
        *self.counted.entry(name).or_default() += 1;
    }

    /// A speaker's process starts: it counts from nothing.
    pub fn speaker_started(&mut self, n: usize) {
        self.counts[n].clear();
    }

    /// A speaker counts something.
    pub fn speaker_counts(&mut self, n: usize, counter: Counter, by: u64) {
        *self.counts[n].entry(counter).or_default() += by;
    }

    /// What came is what was taken and what was dropped.
    pub fn balance(&self) -> Verdict {
        use Counter as C;
        for (n, counts) in self.counts.iter().enumerate() {
            let sum = |of: &[Counter]| of.iter().filter_map(|counter| counts.get(counter)).sum::<u64>();
            let shed = [
                C::ShedNotAnnounced,
                C::ShedOtherPort,
                C::ShedOtherSwitch,
                C::ShedDiscoveryPort,
                C::ShedDiscoverySwitch,
            ];
            let (offered, delivered) = (sum(&[C::PacketsOffered]), sum(&[C::PacketsDelivered]));
            let dropped = sum(&shed) + sum(&[C::PacketsMalformed]);
            if offered != delivered + dropped {
                return Err(format!(
                    "speaker {n}: {offered} packets came, {delivered} were read, {dropped} dropped"
                ));
            }
            let ends = [
                C::ProbesReceived,
                C::PacketOther,
                C::PacketForged,
                C::PacketStale,
                C::PacketReplayed,
                C::PacketMisplaced,
                C::PacketNoClock,
                C::PacketFull,
                C::LatencyNegative,
                C::LatencyAbsurd,
                C::LatencyNoControl,
            ];
            if delivered != sum(&ends) {
                return Err(format!(
                    "speaker {n}: {delivered} packets were read, {} have an end",
                    sum(&ends)
                ));
            }
        }
        for (name, read) in &self.read {
            let counted = self.counted.get(name).copied().unwrap_or(0);
            if counted < *read {
                return Err(format!(
                    "{read} records were read that {name} counts, and it counted {counted}"
                ));
            }
        }
        let garbage = self
            .garbage
            .values()
            .filter(|name| **name == "records_malformed_total")
            .count() as u64;
        if self.letters < garbage {
            return Err(format!(
                "{garbage} commands were no messages, and there are {} dead letters",
                self.letters
            ));
        }
        Ok(())
    }
}

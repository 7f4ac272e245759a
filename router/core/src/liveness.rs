//! Which regions live, and whether everything they said was heard.
//!
//! Any message is evidence of life. Time is the log-append time of what is read while a partition is behind, and the
//! clock once it is caught up: so a backlog never kills a healthy region, and an old message never revives a dead
//! one. Whoever cannot hear (the bus is away, this process was stopped) judges nobody.
//!
//! It also counts each partition's `seq`: a gap, an unknown beginning, a new epoch or a return from the dead makes it
//! ask for a snapshot, again and again until one was completed. It does not know what a snapshot or a switch is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::{BrokerClock, Epoch, Region, Seq};

/// Names of unconfigured regions that are remembered, so that each is reported once in a while only. Beyond that the
/// quietest is forgotten, and may be reported again.
const UNKNOWN_MAX: usize = 16;

/// A timer that is served later than this says that this process was held up, not that a region is silent.
const LATE: Duration = Duration::from_millis(200);

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The regions there are.
    pub regions: Vec<Region>,
    /// A region silent for longer than this is lost.
    pub silence: Duration,
    /// A region not heard for this long after the start is absent: what was remembered of it no longer counts.
    pub first: Duration,
    /// A snapshot that was asked for and did not complete is asked for again after this.
    pub ask_again: Duration,
    /// A partition that is behind and gives nothing for this long is taken for caught up.
    pub stall: Duration,
    /// An unconfigured region is reported again after this.
    pub report_again: Duration,
}

impl Config {
    /// Defaults for these regions.
    pub fn new(regions: Vec<Region>) -> Self {
        Config {
            regions,
            silence: Duration::from_secs(1),
            first: Duration::from_secs(5),
            ask_again: Duration::from_secs(1),
            stall: Duration::from_secs(5),
            report_again: Duration::from_secs(60),
        }
    }
}

/// A message of a region, as far as this machine looks at it.
#[derive(Debug, Clone)]
pub struct Read {
    /// The region.
    pub region: Region,
    /// Partition it was read from.
    pub partition: i32,
    /// Its speaker's epoch.
    pub epoch: Epoch,
    /// Its position.
    pub seq: Seq,
    /// Its log-append time, milliseconds by the broker's clock.
    pub record_ms: u64,
    /// Whether the reader knows of nothing after it in this partition.
    pub caught_up: bool,
    /// Whether it begins a snapshot.
    pub begins_snapshot: bool,
}

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message was read. Exactly one [`Output::Accepted`] or [`Output::Ignored`] follows, as the last output of it.
    Read(Read),
    /// The reader stands at the end of a partition.
    CaughtUp {
        /// The region.
        region: Region,
        /// The partition.
        partition: i32,
    },
    /// A snapshot was completed in a partition.
    SnapshotDone {
        /// The region.
        region: Region,
        /// The partition.
        partition: i32,
    },
    /// Whether the bus can be heard at all.
    Bus {
        /// It can.
        up: bool,
    },
    /// The broker's clock.
    Clock(BrokerClock),
}

/// Why a message was ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// The region is not configured.
    UnknownRegion,
    /// Of a speaker that was followed by another.
    StaleEpoch,
    /// Read before.
    Duplicate,
    /// Too old to say that the region lives, and it does not.
    Old,
    /// About a connection or snapshot that was followed by another, or a switch beyond the limit.
    Overtaken,
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The region lives, for the first time or again.
    Live(Region),
    /// The region fell silent.
    Lost(Region),
    /// The region was never heard since the start.
    Absent(Region),
    /// Another speaker process speaks for the region: what the one before had is gone.
    NewEpoch(Region, Epoch),
    /// Something is missing in this partition: a snapshot under way there is worth nothing.
    Gap(Region, i32),
    /// Ask the region for a snapshot.
    Ask(Region),
    /// Somebody speaks for a region that is not configured. Told once in a while.
    Unknown(Region),
    /// The message counts.
    Accepted,
    /// The message does not count.
    Ignored(Ignored),
}

/// How a region is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not heard since the start.
    NeverSeen,
    /// Heard lately.
    Live,
    /// Silent.
    Lost,
}

//! Which regions live, and whether everything they said was heard.
//!
//! Any message is evidence of life. Time is the log-append time of what is read while a partition is behind, and the
//! clock once it is caught up: so a backlog never kills a healthy region, and an old message never revives a dead
//! one. Whoever cannot hear (the bus is away, this process was stopped) judges nobody.
//!
//! It also counts each partition's `seq`: a gap, an unknown beginning, a new epoch or a return from the dead makes it
//! ask for a snapshot, again and again until one was completed. It does not know what a snapshot or a switch is.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::{BrokerClock, Epoch, Region, Seq};

use crate::defect::{self, Defect};

/// Names of unconfigured regions that are remembered, so that each is reported once in a while only. Beyond that the
/// quietest is forgotten, and may be reported again.
const UNKNOWN_MAX: usize = 16;

/// A second process that speaks for a region is shown for so long after it was heard last: many heartbeats.
const TWIN_SHOWN: Duration = Duration::from_secs(10);

/// How often the time until a snapshot is asked for again doubles: with the default up to 16 s.
const ASKS_DOUBLE: u32 = 4;

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
    /// A snapshot that was asked for and did not complete is asked for again after this; less and less often, because one
    /// with something in it that cannot be read never does.
    pub ask_again: Duration,
    /// A partition that is behind and gives nothing for this long is taken for caught up.
    pub stall: Duration,
    /// An unconfigured region, or a second speaker for one, is reported again after this.
    pub report_again: Duration,
    /// A speaker that was ignored for the sake of another is followed when that one has been silent for this long. Much longer
    /// than `silence`, so that one that comes and goes does not pull the region to and fro.
    pub adopt: Duration,
    /// A speaker that says something so long after another one with a larger epoch began, lives beside it.
    pub twin: Duration,
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
            twin: Duration::from_secs(2),
            adopt: Duration::from_secs(10),
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
    /// What it is, as far as that matters here.
    pub what: What,
}

/// What a message is, as far as this machine looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It begins a snapshot.
    SnapshotBegin,
    /// It could not be read and may have told a state: the same as if it were missing.
    Lost,
    /// Anything else; also a kind that this version does not know.
    Other,
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
    /// The reader does not know any more whether it stands at the end: a connection broke, or it stood still.
    Behind {
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
    /// About a connection that was followed by another.
    Overtaken,
    /// About one switch more than there may be.
    TooMany,
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
    /// A process of this older epoch still speaks for the region, beside the one that is followed. Told once in a while.
    Twin(Region, Epoch),
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

#[derive(Debug, Clone, Copy)]
enum State {
    /// Not heard; `told` once that was for long enough to count.
    NeverSeen { since: Instant, told: bool },
    /// Last said something at `heard`, by the broker's clock.
    Live { heard: Instant },
    /// Silent.
    Lost { heard: Instant },
}

#[derive(Debug, Clone, Copy)]
struct Partition {
    epoch: Epoch,
    seq: Seq,
    /// Since when it is behind without a further message; none: caught up.
    behind: Option<Instant>,
    /// Nothing was read since the bus came back. Its end says nothing then: the log may be a new one, and the speaker
    /// has to find the broker again as well.
    unheard: bool,
    /// Whether a snapshot must be completed here.
    need: bool,
}

/// An older epoch that still speaks.
#[derive(Debug, Clone, Copy)]
struct Twin {
    epoch: Epoch,
    told: Instant,
    heard: Instant,
}

#[derive(Debug)]
struct RegionState {
    state: State,
    epoch: Option<Epoch>,
    /// When that epoch was first heard, by the broker's clock.
    epoch_ms: u64,
    twin: Option<Twin>,
    partitions: BTreeMap<i32, Partition>,
    /// When a snapshot was last asked for (or seen to begin), while one is needed, and how often since the last whole one.
    asked: Option<Instant>,
    asks: u32,
}

/// The machine.
///
/// States of a region, and what each input does to them:
///
/// | state | fresh message | old message | silent, all caught up | silent, one behind | first time over |
/// | --- | --- | --- | --- | --- | --- |
/// | never seen | live, asks | ignored | – | – | absent, told once |
/// | live | live | accepted | lost | waits: not judged until `stall` | – |
/// | lost | live, asks | ignored | – | – | – |
///
/// Two processes that speak for one region have two epochs: the larger one is followed from when it is first heard, and the
/// other is told and not heard, so that they cannot pull the region to and fro. Only when the one that is followed has been
/// lost for long is the other one followed.
///
/// A message is fresh if its record time is at most `silence` ago by the broker's clock. Whatever the state, a message
/// of a lower epoch or a `seq` read before is ignored and is no evidence; a higher epoch is told before the message
/// counts; while the bus is away no time passes.
#[derive(Debug)]
pub struct Liveness {
    config: Config,
    clock: Option<BrokerClock>,
    bus_up: bool,
    /// Whether there was any sign of the bus yet: before that nobody is absent.
    begun: bool,
    /// Nobody is lost before this: this process was held up, and what it did not read is no silence.
    not_before: Option<Instant>,
    regions: BTreeMap<Region, RegionState>,
    unknown: BTreeMap<Region, Instant>,
    outputs: VecDeque<Output>,
}

impl Liveness {
    /// All regions are unseen. Time begins with the first input.
    pub fn new(config: Config, now: Instant) -> Self {
        let regions = config
            .regions
            .iter()
            .map(|r| {
                (
                    r.clone(),
                    RegionState {
                        state: State::NeverSeen {
                            since: now,
                            told: false,
                        },
                        epoch: None,
                        epoch_ms: 0,
                        twin: None,
                        partitions: BTreeMap::new(),
                        asked: None,
                        asks: 0,
                    },
                )
            })
            .collect();
        Liveness {
            config,
            clock: None,
            bus_up: true,
            begun: false,
            not_before: None,
            regions,
            unknown: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// How a region is; none if it is not configured.
    pub fn status(&self, region: &Region) -> Option<Status> {
        self.regions.get(region).map(|r| match r.state {
            State::NeverSeen { .. } => Status::NeverSeen,
            State::Live { .. } => Status::Live,
            State::Lost { .. } => Status::Lost,
        })
    }

    /// Whether a region lives.
    pub fn is_live(&self, region: &Region) -> bool {
        self.status(region) == Some(Status::Live)
    }

    /// The broker's clock, once known.
    pub fn clock(&self) -> Option<BrokerClock> {
        self.clock
    }

    /// The epoch of a region's speaker, once heard.
    pub fn epoch(&self, region: &Region) -> Option<Epoch> {
        self.regions.get(region).and_then(|r| r.epoch)
    }

    /// The epoch of a second process that speaks for the region, if one was heard lately.
    pub fn twin(&self, region: &Region, now: Instant) -> Option<Epoch> {
        let twin = self.regions.get(region)?.twin?;
        (now.saturating_duration_since(twin.heard) <= TWIN_SHOWN).then_some(twin.epoch)
    }

    /// How long a region has been silent; none if it was never heard.
    pub fn silent(&self, region: &Region, now: Instant) -> Option<Duration> {
        match self.regions.get(region)?.state {
            State::NeverSeen { .. } => None,
            State::Live { heard } | State::Lost { heard } => Some(now.saturating_duration_since(heard)),
        }
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if !self.begun && !matches!(input, Input::Bus { up: false }) {
            self.begun = true;
            self.begin(now);
        }
        match input {
            Input::Read(read) => self.read(now, read),
            Input::CaughtUp { region, partition } => {
                if let Some(p) = self.partition(&region, partition).filter(|p| !p.unheard) {
                    p.behind = None;
                }
            }
            Input::Behind { region, partition } => {
                if let Some(p) = self.partition(&region, partition) {
                    p.behind.get_or_insert(now);
                }
            }
            Input::SnapshotDone { region, partition } => {
                if let Some(p) = self.partition(&region, partition) {
                    p.need = false;
                }
                if let Some(r) = self.regions.get_mut(&region)
                    && !r.partitions.values().any(|p| p.need)
                {
                    r.asked = None;
                    r.asks = 0;
                }
            }
            Input::Bus { up } => {
                if up && !self.bus_up {
                    // What was said meanwhile has yet to be read.
                    for p in self.regions.values_mut().flat_map(|r| r.partitions.values_mut()) {
                        p.behind = Some(now);
                        p.unheard = true;
                    }
                    self.begin(now);
                }
                self.bus_up = up;
            }
            Input::Clock(clock) => self.clock = Some(clock),
        }
    }

    /// The first time begins (again): only now can anybody be heard.
    fn begin(&mut self, now: Instant) {
        for region in self.regions.values_mut() {
            if let State::NeverSeen { since, .. } = &mut region.state {
                *since = now;
            }
        }
    }

    fn partition(&mut self, region: &Region, partition: i32) -> Option<&mut Partition> {
        self.regions.get_mut(region)?.partitions.get_mut(&partition)
    }

    fn read(&mut self, now: Instant, read: Read) {
        let Some(region) = self.regions.get_mut(&read.region) else {
            self.unknown_region(now, read.region);
            return;
        };
        // Whatever the broker stamped lies in its past: a clock that shows less is behind.
        let clock = match self.clock {
            Some(clock) if clock.at(now) >= read.record_ms => clock,
            _ => *self.clock.insert(BrokerClock::new(now, read.record_ms)),
        };
        let said = clock.when(read.record_ms).min(now);
        let fresh = now.saturating_duration_since(said) <= self.config.silence;
        // Whoever was followed instead is gone for good, and this one lives: there is nobody else to follow.
        let left_alone = match region.state {
            State::Lost { heard } => fresh && said >= heard + self.config.adopt,
            State::NeverSeen { .. } | State::Live { .. } => false,
        };
        if region.epoch.is_some_and(|known| read.epoch < known) && !left_alone {
            // What the process before had on its way when this one began is no sign of a second one that lives.
            if read.record_ms >= region.epoch_ms.saturating_add(self.config.twin.as_millis() as u64) {
                let before = region
                    .twin
                    .filter(|twin| twin.epoch == read.epoch)
                    .map(|twin| twin.told);
                let again = before.is_none_or(|told| now >= told + self.config.report_again);
                region.twin = Some(Twin {
                    epoch: read.epoch,
                    told: before.filter(|_| !again).unwrap_or(now),
                    heard: now,
                });
                if again {
                    self.outputs.push_back(Output::Twin(read.region, read.epoch));
                }
            }
            self.outputs.push_back(Output::Ignored(Ignored::StaleEpoch));
            return;
        }
        let at_end = (!read.caught_up).then_some(now);
        let missed = match region.partitions.get_mut(&read.partition) {
            None => {
                region.partitions.insert(
                    read.partition,
                    Partition {
                        epoch: read.epoch,
                        seq: read.seq,
                        behind: at_end,
                        unheard: false,
                        need: true,
                    },
                );
                true
            }
            Some(p) if p.epoch == read.epoch && read.seq <= p.seq => {
                p.behind = at_end;
                p.unheard = false;
                self.outputs.push_back(Output::Ignored(Ignored::Duplicate));
                return;
            }
            Some(p) => {
                let gap = read.seq != p.seq.next() && !defect::is(Defect::GapIgnored);
                let missed = p.epoch != read.epoch || gap || read.what == What::Lost;
                p.epoch = read.epoch;
                p.seq = read.seq;
                p.behind = at_end;
                p.unheard = false;
                p.need |= missed;
                missed
            }
        };
        if region.epoch != Some(read.epoch) {
            region.epoch = Some(read.epoch);
            region.epoch_ms = read.record_ms;
            region.twin = None;
            self.outputs
                .push_back(Output::NewEpoch(read.region.clone(), read.epoch));
        }
        if missed {
            self.outputs.push_back(Output::Gap(read.region.clone(), read.partition));
        }
        let counts = match (&mut region.state, fresh) {
            (State::Live { heard }, true | false) => {
                *heard = said.max(*heard);
                true
            }
            (State::NeverSeen { .. } | State::Lost { .. }, true) => {
                region.state = State::Live { heard: said };
                // What it told before it fell silent no longer counts here.
                for p in region.partitions.values_mut() {
                    p.need = true;
                }
                self.outputs.push_back(Output::Live(read.region.clone()));
                true
            }
            (State::NeverSeen { .. } | State::Lost { .. }, false) => false,
        };
        if counts && region.asked.is_none() && region.partitions.values().any(|p| p.need) {
            region.asked = Some(now);
            // A speaker begins with a snapshot by itself; asking for another would only double it.
            if read.what != What::SnapshotBegin {
                self.outputs.push_back(Output::Ask(read.region));
            }
        }
        self.outputs.push_back(match counts {
            true => Output::Accepted,
            false => Output::Ignored(Ignored::Old),
        });
    }

    fn unknown_region(&mut self, now: Instant, region: Region) {
        let again = self.config.report_again;
        let told = self.unknown.get(&region).is_some_and(|at| now < *at + again);
        if !told {
            if self.unknown.len() >= UNKNOWN_MAX
                && !self.unknown.contains_key(&region)
                && let Some(oldest) = self.unknown.iter().min_by_key(|(_, at)| **at).map(|(r, _)| r.clone())
            {
                self.unknown.remove(&oldest);
            }
            self.unknown.insert(region.clone(), now);
            self.outputs.push_back(Output::Unknown(region));
        }
        self.outputs.push_back(Output::Ignored(Ignored::UnknownRegion));
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.bus_up {
            return;
        }
        if let Some((due, _)) = self.poll_timeout()
            && now > due + LATE
        {
            self.not_before = Some(now + self.config.silence / 2);
        }
        let mut outputs = Vec::new();
        let not_before = self.not_before;
        for (name, region) in &mut self.regions {
            match &mut region.state {
                State::NeverSeen { since, told } => {
                    if self.begun && !*told && now >= *since + self.config.first {
                        *told = true;
                        outputs.push(Output::Absent(name.clone()));
                    }
                }
                State::Live { heard } => {
                    if now >= lost_at(&self.config, not_before, *heard, &region.partitions) {
                        region.state = State::Lost { heard: *heard };
                        region.asked = None;
                        region.asks = 0;
                        outputs.push(Output::Lost(name.clone()));
                    } else if ask_at(&self.config, region).is_some_and(|at| now >= at) {
                        region.asked = Some(now);
                        region.asks += 1;
                        outputs.push(Output::Ask(name.clone()));
                    }
                }
                State::Lost { .. } => {}
            }
        }
        if self.not_before.is_some_and(|t| now >= t) {
            self.not_before = None;
        }
        self.outputs.extend(outputs);
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        if !self.bus_up {
            return None;
        }
        self.regions
            .values()
            .flat_map(|region| {
                let (state, ask) = match region.state {
                    State::NeverSeen { told: true, .. } | State::Lost { .. } => (None, None),
                    State::NeverSeen { .. } if !self.begun => (None, None),
                    State::NeverSeen { since, told: false } => {
                        (Some((since + self.config.first, "region was never heard")), None)
                    }
                    State::Live { heard } => (
                        Some((
                            lost_at(&self.config, self.not_before, heard, &region.partitions),
                            "region is silent",
                        )),
                        ask_at(&self.config, region).map(|at| (at, "snapshot is missing")),
                    ),
                };
                state.into_iter().chain(ask)
            })
            .min()
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

/// When a snapshot that is missing is asked for again.
fn ask_at(config: &Config, region: &RegionState) -> Option<Instant> {
    let pause = config.ask_again * 2_u32.saturating_pow(region.asks.min(ASKS_DOUBLE));
    region.asked.map(|asked| asked + pause)
}

/// When a live region that says nothing more is lost.
fn lost_at(
    config: &Config,
    not_before: Option<Instant>,
    heard: Instant,
    partitions: &BTreeMap<i32, Partition>,
) -> Instant {
    // One nanosecond more: a message exactly `silence` old is still fresh.
    let silent = heard + config.silence + Duration::from_nanos(1);
    let behind = partitions
        .values()
        .filter_map(|p| p.behind)
        .max()
        .map(|since| since + config.stall);
    [Some(silent), behind, not_before]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(silent)
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;

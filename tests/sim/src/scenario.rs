//! What a seed stands for: how many of everything there are, how things are set, how long it all takes.

use skerry_bus::{PortNo, Region, SwitchId};

use crate::random::Random;
use crate::time::{MS, Ns, SECOND};

/// Names of regions, the preferred first.
const REGIONS: [&str; 3] = ["east", "north", "west"];

/// Whether a better region takes a switch back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// Never.
    Sticky,
    /// After this time.
    Preferred(Ns),
}

/// A cable between two ports: switch (by its place) and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cable {
    /// One end.
    pub a: (usize, PortNo),
    /// The other.
    pub b: (usize, PortNo),
    /// One way.
    pub delay: Ns,
}

/// A switch: its id, its ports, the regions it connects to.
#[derive(Debug, Clone)]
pub struct SwitchPlan {
    /// Its id.
    pub id: SwitchId,
    /// Ports, from 1.
    pub ports: u32,
    /// Regions by their place.
    pub homes: Vec<usize>,
}

/// The world of a seed, before anything happens.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// Names, the preferred first.
    pub regions: Vec<Region>,
    /// Partitions of each topic.
    pub partitions: usize,
    /// The switches.
    pub switches: Vec<SwitchPlan>,
    /// The cables.
    pub cables: Vec<Cable>,
    /// See there.
    pub failback: Failback,
    /// Until when services command and faults happen.
    pub busy_until: Ns,
    /// Commands of services.
    pub commands: u64,
    /// Faults.
    pub faults: u64,
    /// After so long without an answer of the broker a message is given up.
    pub message_timeout: Ns,
    /// What each host's wall clock shows more or less than the broker's, in milliseconds: speakers, then routers.
    pub clock_offsets_ms: Vec<i64>,
    /// Records of a hundred that the log has twice.
    pub duplicates_percent: u64,
    /// News of switches, of a hundred, that the log loses though it said that it had them (a leader that was elected uncleanly).
    pub lost_percent: u64,
    /// Interval of the network sync.
    pub sync: Ns,
    /// Whether the network sync is on.
    pub sync_on: bool,
    /// Invariants that are passed over, to look what stands behind a failure that is known.
    pub passed_over: Vec<String>,
}

/// How much there is of everything in a world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Size {
    /// As little as a seed must have: much at a time.
    #[default]
    Small,
    /// More partitions, and half as much time again.
    Large,
}

/// How long nothing happens at the end before everything must be as wanted.
pub const QUIET: Ns = 5 * SECOND;

impl Scenario {
    /// The world of a seed.
    pub fn new(seed: u64) -> Scenario {
        Scenario::of(seed, Size::Small)
    }

    /// The world of a seed, small or large.
    pub fn of(seed: u64, size: Size) -> Scenario {
        let random = &mut Random::new(seed, 1);
        let regions: Vec<Region> = REGIONS[..random.between(2, 3) as usize]
            .iter()
            .map(|name| name.parse().expect("three names of regions"))
            .collect();
        let count = random.between(3, 4) as usize;
        let switches: Vec<SwitchPlan> = (0..count)
            .map(|n| {
                let mut homes: Vec<usize> = (0..regions.len()).collect();
                // Most reach two regions, some all, some one only.
                let keep = match random.below(8) {
                    0 => 1,
                    1 => homes.len(),
                    _ => 2,
                };
                while homes.len() > keep {
                    homes.remove(random.below(homes.len() as u64) as usize);
                }
                SwitchPlan {
                    id: SwitchId(n as u64 + 1),
                    ports: 3,
                    homes,
                }
            })
            .collect();
        // A line or a ring; port 1 to the next one, port 2 from the one before. Port 3 has no cable.
        let ring = random.percent(50);
        let cables = (0..count)
            .filter(|n| ring || n + 1 < count)
            .map(|n| Cable {
                a: (n, PortNo(1)),
                b: ((n + 1) % count, PortNo(2)),
                delay: random.between(100, 5_000) * 1_000,
            })
            .collect();
        let busy = match size {
            Size::Small => random.between(10, 15),
            Size::Large => random.between(14, 20),
        };
        Scenario {
            seed,
            partitions: match size {
                Size::Small => *random.pick(&[1, 2, 2, 2, 3, 4]),
                Size::Large => *random.pick(&[1, 2, 4, 4, 4, 4, 4, 4]),
            },
            switches,
            cables,
            failback: match random.below(3) {
                0 => Failback::Preferred(random.between(2, 5) * SECOND),
                _ => Failback::Sticky,
            },
            busy_until: busy * SECOND,
            commands: random.between(200, 230),
            faults: random.between(20, 26),
            message_timeout: *random.pick(&[10 * SECOND, 10 * SECOND, 3 * SECOND]),
            clock_offsets_ms: (0..regions.len() + 1)
                .map(|_| random.between(0, 10_000) as i64 - 5_000)
                .collect(),
            duplicates_percent: *random.pick(&[0, 0, 1, 3]),
            lost_percent: *random.pick(&[0, 0, 2, 5]),
            sync: random.between(10, 60) * SECOND,
            sync_on: random.percent(70),
            regions,
            passed_over: Vec::new(),
        }
    }

    /// When it is over. Going back to a better region is no quiet.
    pub fn end(&self) -> Ns {
        let goes_back = match self.failback {
            Failback::Sticky => 0,
            Failback::Preferred(hold_down) => hold_down,
        };
        self.busy_until + goes_back + QUIET + 100 * MS
    }
}

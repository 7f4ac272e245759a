//! What an operator sets about presence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use skerry_bus::Region;

use crate::{drain, liveness};

/// A region and how much it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionConfig {
    /// The region.
    pub region: Region,
    /// Lower is chosen first; equal ones are told apart by uptime and name.
    pub preference: u32,
}

/// Whether a better region takes a switch back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// Never: the active region stays until it is lost.
    Sticky,
    /// A region of strictly better preference takes over when it reached the switch without a break for this long.
    Preferred {
        /// So that a flapping region cannot flap the network.
        hold_down: Duration,
    },
}

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The regions, each once.
    pub regions: Vec<RegionConfig>,
    /// Whether a better region takes a switch back.
    pub failback: Failback,
    /// Partitions of the events topics: a restored switch is looked for in its partition's snapshot.
    pub partitions: i32,
    /// Who we are in presence records. [`super::Input::Owner`] changes it.
    pub owner_epoch: u64,
    /// A region told to become active has this long to confirm; then it is told again, then another is tried.
    pub claim: Duration,
    /// A region that failed twice is passed over for this long while there is another.
    pub aside: Duration,
    /// A role held for this long makes earlier failures forgotten.
    pub steady: Duration,
    /// A switch nobody reaches is forgotten after this.
    pub forget: Duration,
    /// Regions that are given nothing new. [`super::Input::Drain`] changes it.
    pub drained: BTreeSet<Region>,
    /// Since when regions that were drained are in use again: a hold-down counts from then. The same changes it.
    pub in_use_since: BTreeMap<Region, Instant>,
    /// How the switches of drained regions move.
    pub drain: drain::Config,
    /// Liveness of regions; its list of regions is taken from `regions`.
    pub liveness: liveness::Config,
}

impl Config {
    /// Defaults for these regions.
    pub fn new(regions: Vec<RegionConfig>, partitions: i32) -> Self {
        let names = regions.iter().map(|r| r.region.clone()).collect();
        Config {
            regions,
            failback: Failback::Sticky,
            partitions,
            owner_epoch: 1,
            claim: Duration::from_secs(2),
            aside: Duration::from_secs(10),
            steady: Duration::from_secs(10),
            forget: Duration::from_secs(24 * 3600),
            drained: BTreeSet::new(),
            in_use_since: BTreeMap::new(),
            drain: drain::Config::default(),
            liveness: liveness::Config::new(names),
        }
    }

    /// Preference of a region; the last if it is not configured.
    pub(crate) fn preference(&self, region: &Region) -> u32 {
        self.regions
            .iter()
            .find(|r| r.region == *region)
            .map_or(u32::MAX, |r| r.preference)
    }
}

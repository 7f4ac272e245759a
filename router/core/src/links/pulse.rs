//! For how long without a break a switch was held by a region that lived.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skerry_bus::{Region, SwitchId};

#[derive(Debug)]
struct Pulse {
    last: Instant,
    /// Since when it was never silent for longer than allowed.
    steady: Instant,
}

#[derive(Debug)]
struct Active {
    region: Region,
    since: Instant,
}

/// Regions and what they hold. Only what was heard counts, and regions are those that presence let pass.
#[derive(Debug)]
pub(super) struct Pulses {
    heard: Duration,
    regions: BTreeMap<Region, Pulse>,
    active: BTreeMap<SwitchId, Active>,
}

impl Pulses {
    pub(super) fn new(heard: Duration) -> Self {
        Pulses {
            heard,
            regions: BTreeMap::new(),
            active: BTreeMap::new(),
        }
    }

    pub(super) fn heard(&mut self, now: Instant, region: &Region) {
        match self.regions.get_mut(region) {
            Some(pulse) => {
                if now.saturating_duration_since(pulse.last) > self.heard {
                    pulse.steady = now;
                }
                pulse.last = now;
            }
            None => self.new_epoch(now, region),
        }
    }

    pub(super) fn new_epoch(&mut self, now: Instant, region: &Region) {
        let pulse = Pulse { last: now, steady: now };
        self.regions.insert(region.clone(), pulse);
    }

    pub(super) fn region(&mut self, now: Instant, region: &Region, live: bool) {
        match live {
            true => self.new_epoch(now, region),
            false => {
                self.regions.remove(region);
            }
        }
    }

    pub(super) fn active(&mut self, now: Instant, switch: SwitchId, region: Option<Region>) {
        match region {
            Some(region) => {
                self.active.insert(switch, Active { region, since: now });
            }
            None => {
                self.active.remove(&switch);
            }
        }
    }

    pub(super) fn active_of(&self, switch: SwitchId) -> Option<&Region> {
        self.active.get(&switch).map(|a| &a.region)
    }

    /// Whether this is the switch, and somebody holds it.
    pub(super) fn is_active(&self, switch: SwitchId, which: SwitchId) -> bool {
        switch == which && self.active.contains_key(&switch)
    }

    /// For how long, up to now, the switch was held by one region that was heard all the time.
    pub(super) fn held(&self, now: Instant, switch: SwitchId) -> Option<Duration> {
        let active = self.active.get(&switch)?;
        let pulse = self.regions.get(&active.region)?;
        if now.saturating_duration_since(pulse.last) > self.heard {
            return None;
        }
        Some(now.saturating_duration_since(active.since.max(pulse.steady)))
    }
}

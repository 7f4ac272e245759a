//! Where connections come from: how many of one address are open, and how often refusals are told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Refusals told, and written to the log, per second. Somebody who knocks faster is counted, not told one by one.
pub(crate) const REFUSALS_MAX: u32 = 20;

/// Open connections by address. As large as there are connections.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<IpAddr, usize>);

impl Sources {
    /// Open connections of an address.
    pub(crate) fn of(&self, source: IpAddr) -> usize {
        self.0.get(&source).copied().unwrap_or(0)
    }

    /// One more is open.
    pub(crate) fn add(&mut self, source: IpAddr) {
        *self.0.entry(source).or_default() += 1;
    }

    /// One is gone.
    pub(crate) fn remove(&mut self, source: IpAddr) {
        if let Some(open) = self.0.get_mut(&source) {
            *open -= 1;
            if *open == 0 {
                self.0.remove(&source);
            }
        }
    }
}

/// What may be told of refusals in the current second.
#[derive(Debug)]
pub(crate) struct Telling {
    since: Instant,
    told: u32,
    untold: u64,
}

/// Whether a refusal is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// It is.
    pub(crate) told: bool,
    /// The seconds that are over had so many that were not.
    pub(crate) untold: u64,
}

impl Telling {
    pub(crate) fn new(now: Instant) -> Self {
        Telling {
            since: now,
            told: 0,
            untold: 0,
        }
    }

    /// One more was refused.
    pub(crate) fn next(&mut self, now: Instant) -> Word {
        let mut untold = 0;
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            untold = std::mem::take(&mut self.untold);
            (self.since, self.told) = (now, 0);
        }
        let told = self.told < REFUSALS_MAX;
        if told {
            self.told += 1;
        } else {
            self.untold += 1;
        }
        Word { told, untold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_forgotten_with_its_last_connection() {
        let [a, b] = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().expect("an address"));
        let mut sources = Sources::default();
        sources.add(a);
        sources.add(a);
        sources.add(b);
        assert_eq!((sources.of(a), sources.of(b)), (2, 1));
        sources.remove(a);
        sources.remove(a);
        sources.remove(a);
        assert_eq!((sources.of(a), sources.of(b), sources.0.len()), (0, 1, 1));
    }

    #[test]
    fn what_is_not_told_is_told_as_a_number() {
        let t = Instant::now();
        let mut telling = Telling::new(t);
        let told = (0..50).filter(|_| telling.next(t).told).count();
        assert_eq!(told, REFUSALS_MAX as usize);
        let later = t + Duration::from_secs(1);
        assert_eq!(telling.next(later), Word { told: true, untold: 30 });
        assert_eq!(telling.next(later), Word { told: true, untold: 0 });
    }
}

//! What this router knows of the broker's clock: the offset with the least delay in it that was seen lately.
//!
//! A record's append time is at the latest now; the delay until it was read or acknowledged only ever makes the broker look
//! earlier than it is. So the largest offset is the best one, and it is dropped after a while because clocks drift.

use std::time::{Duration, Instant};

use skerry_bus::BrokerClock;

/// How long an offset counts. At 100 parts in a million, clocks drift 6 ms apart in this time.
const KEPT: Duration = Duration::from_secs(60);

/// The keeper.
#[derive(Debug, Default)]
pub struct ClockKeeper {
    best: Option<(BrokerClock, Instant)>,
}

impl ClockKeeper {
    /// A record with this append time was read or acknowledged at `now`. Gives the clock if it is better known now.
    pub fn seen(&mut self, now: Instant, broker_ms: u64) -> Option<BrokerClock> {
        let better = match self.best {
            None => true,
            Some((clock, since)) => broker_ms > clock.at(now) || now.saturating_duration_since(since) >= KEPT,
        };
        if !better {
            return None;
        }
        let clock = BrokerClock::new(now, broker_ms);
        self.best = Some((clock, now));
        Some(clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_reading_does_not_set_the_clock_back_but_an_old_one_is_dropped() {
        let t0 = Instant::now();
        let mut keeper = ClockKeeper::default();
        assert!(keeper.seen(t0, 1_000_000).is_some());
        assert!(
            keeper.seen(t0 + Duration::from_millis(500), 1_000_200).is_none(),
            "300 ms late"
        );
        let clock = keeper
            .seen(t0 + Duration::from_millis(500), 1_000_510)
            .expect("10 ms better");
        assert_eq!(clock.at(t0 + Duration::from_millis(600)), 1_000_610);
        assert!(
            keeper.seen(t0 + Duration::from_secs(61), 1_000_000 + 60_000).is_some(),
            "the best was too old"
        );
    }
}

//! What the speaker knows of the broker's clock.
//!
//! A record is stamped when the broker appends it and its delivery is told later, so each report shows a time that is a little
//! early, never late. The report that puts the broker furthest ahead is the best one, for as long as the two clocks run alike.

use std::time::{Duration, Instant};

use skerry_bus::BrokerClock;

/// How long the best report stands against worse ones. Clocks drift by at most some 100 us/s, so by 3 ms in this time.
const STANDS: Duration = Duration::from_secs(30);

/// The broker's clock as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    best: Option<(Instant, BrokerClock)>,
}

impl Clock {
    /// The broker's clock was seen.
    pub(crate) fn offer(&mut self, now: Instant, clock: BrokerClock) {
        let take = match &self.best {
            None => true,
            Some((since, best)) => clock.at(now) > best.at(now) || now.saturating_duration_since(*since) >= STANDS,
        };
        if take {
            self.best = Some((now, clock));
        }
    }
    /// Broker time, if it is known.
    pub(crate) fn now_ms(&self, now: Instant) -> Option<u64> {
        self.best.as_ref().map(|(_, clock)| clock.at(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_report_does_not_set_the_clock_back_until_the_best_one_is_old() {
        let t0 = Instant::now();
        let mut clock = Clock::default();
        assert_eq!(clock.now_ms(t0), None);
        clock.offer(t0, BrokerClock::new(t0, 1_000));
        let t1 = t0 + Duration::from_millis(100);
        clock.offer(t1, BrokerClock::new(t1, 1_050));
        assert_eq!(clock.now_ms(t1), Some(1_100));
        let t2 = t0 + STANDS;
        clock.offer(t2, BrokerClock::new(t2, 5_000));
        assert_eq!(clock.now_ms(t2), Some(5_000));
    }
}

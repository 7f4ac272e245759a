//! Something that is done at a rate: how often it is due by now. What the machine was too busy for is made up at once, up
//! to a limit, so that a rate is kept over time and a pause is no storm.

use std::time::{Duration, Instant};

/// How long a rate may be behind. What was missed longer ago is left out, and counted.
const BEHIND_MAX: Duration = Duration::from_millis(100);
/// The shortest time between two wake-ups: a high rate is done in batches.
const BEAT: Duration = Duration::from_millis(1);

/// A rate.
#[derive(Debug, Clone)]
pub struct Pacer {
    per_second: f64,
    start: Instant,
    /// Counted from the start, left-out ones too.
    done: u64,
}

impl Pacer {
    /// So many a second from now on; the first one after one interval.
    pub fn new(now: Instant, per_second: f64) -> Pacer {
        Pacer {
            per_second,
            start: now,
            done: 0,
        }
    }

    /// How many are due and not done, and how many are left out because the machine was too busy; all count as done from
    /// now on.
    pub fn take(&mut self, now: Instant) -> (u64, u64) {
        let wanted = (now.saturating_duration_since(self.start).as_secs_f64() * self.per_second) as u64;
        let due = wanted.saturating_sub(self.done);
        let most = (BEHIND_MAX.as_secs_f64() * self.per_second).ceil() as u64;
        let taken = due.min(most.max(1));
        self.done += due;
        (taken, due - taken)
    }

    /// When the next one is due, but not before the next beat.
    pub fn next(&self, now: Instant) -> Instant {
        let at = (self.done + 1) as f64 / self.per_second;
        // A rate of one in years is never.
        let after = Duration::try_from_secs_f64(at).unwrap_or(Duration::from_secs(u64::from(u32::MAX)));
        (self.start + after).max(now + BEAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_whatever_the_moments_it_is_asked_at() {
        for rate in [0.5, 3.0, 999.0, 100_000.0] {
            let start = Instant::now();
            let mut pacer = Pacer::new(start, rate);
            let (mut now, mut done) = (start, 0);
            while now < start + Duration::from_secs(20) {
                let next = pacer.next(now);
                assert!(next >= now + BEAT);
                // Late by up to 3 ms.
                now = next + Duration::from_micros(done % 7 * 500);
                let (taken, left_out) = pacer.take(now);
                assert_eq!(left_out, 0);
                done += taken;
            }
            let wanted = (now - start).as_secs_f64() * rate;
            assert!((wanted - done as f64).abs() <= 1.0, "{rate}: {done} of {wanted}");
        }
    }

    #[test]
    fn after_a_pause_a_tenth_of_a_second_is_made_up_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start, 1_000.0);
        assert_eq!(pacer.take(start + Duration::from_secs(1)), (100, 900));
        assert_eq!(pacer.take(start + Duration::from_millis(1_010)), (10, 0));
    }
}

//! A token bucket: so many a second, and so many at once after a pause.

use std::time::{Duration, Instant};

/// How many may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// A second, in the long run.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

impl Rate {
    /// What one costs, as time.
    fn cost(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
    /// What a full bucket holds, as time.
    fn depth(self) -> Duration {
        self.cost() * self.burst.max(1)
    }
}

/// How full a bucket is, as the time at which it is full again: a bucket that nobody took from needs no memory and no timer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Whether one may pass now.
    pub(crate) fn has(&self, now: Instant, rate: Rate) -> bool {
        self.debt(now) + rate.cost() <= rate.depth()
    }

    /// One passes now.
    pub(crate) fn take(&mut self, now: Instant, rate: Rate) {
        self.full_at = Some(now + self.debt(now) + rate.cost());
    }

    /// What is missing, as time.
    fn debt(&self, now: Instant) -> Duration {
        self.full_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_then_the_rate_does() {
        let t0 = Instant::now();
        let rate = Rate {
            per_second: 10,
            burst: 3,
        };
        let mut bucket = Bucket::default();
        let mut passed = Vec::new();
        for ms in 0..1_000 {
            let now = t0 + Duration::from_millis(ms);
            if bucket.has(now, rate) {
                bucket.take(now, rate);
                passed.push(ms);
            }
        }
        assert_eq!(passed, [0, 1, 2, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
        let later = t0 + Duration::from_secs(60);
        for _ in 0..3 {
            assert!(bucket.has(later, rate), "full again, and not fuller");
            bucket.take(later, rate);
        }
        assert!(!bucket.has(later, rate));
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_lets_more_pass_than_its_burst_and_rate(
            per_second in 1u32..2_000,
            burst in 1u32..50,
            pauses in prop::collection::vec(0u64..5_000, 1..300),
        ) {
            let rate = Rate { per_second, burst };
            let t0 = Instant::now();
            let mut now = t0;
            let mut bucket = Bucket::default();
            let mut passed: Vec<Duration> = Vec::new();
            for us in pauses {
                now += Duration::from_micros(us);
                if bucket.has(now, rate) {
                    bucket.take(now, rate);
                    passed.push(now - t0);
                }
            }
            for (n, from) in passed.iter().enumerate() {
                for (m, to) in passed.iter().enumerate().skip(n) {
                    let allowed = f64::from(burst) + (*to - *from).as_secs_f64() * f64::from(per_second);
                    prop_assert!((m - n + 1) as f64 <= allowed + 0.01, "{} in {:?}", m - n + 1, *to - *from);
                }
            }
        }
    }
}

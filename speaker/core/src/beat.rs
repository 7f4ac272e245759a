//! Something that is due once in each interval, at a point of it that differs from switch to switch.
//!
//! A thousand switches that came at once would otherwise be asked at once for ever: whatever else is under way then waits
//! for a thousand questions and their answers.

use std::time::{Duration, Instant};

use skerry_bus::SwitchId;

/// 2^64 divided by the golden ratio. Multiples of it fill a range evenly, however many follow one another.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The next time, and how far the times are apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    interval: Duration,
    at: Instant,
}

impl Beat {
    /// The first time is within one interval from now; where in it follows from the switch.
    pub(crate) fn new(interval: Duration, switch: SwitchId, now: Instant) -> Self {
        let part = (switch.0.wrapping_mul(GOLDEN) >> 32) as f64 / f64::from(u32::MAX);
        Beat {
            interval,
            at: now + interval.mul_f64(part.min(1.0)),
        }
    }

    /// When it is due.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// It was done. The next is an interval later; or half of one to one and a half from now, if now is late, so that the point
    /// in the interval stays and nothing is made up for in a hurry.
    pub(crate) fn done(&mut self, now: Instant) {
        self.at += self.interval;
        if self.at < now + self.interval / 2 {
            let late = now.saturating_duration_since(self.at) + self.interval / 2;
            let missed = late.as_nanos().div_ceil(self.interval.as_nanos().max(1));
            let missed = u32::try_from(missed).unwrap_or(u32::MAX);
            self.at += self.interval.saturating_mul(missed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn switches_that_come_at_once_are_spread_over_the_interval() {
        let now = Instant::now();
        for first in [1, 0x1000_0000, 0xffff_ffff_0000_0000_u64] {
            let mut tenths = [0; 10];
            for id in first..first + 1_000 {
                let at = Beat::new(SECOND, SwitchId(id), now).at();
                tenths[(((at - now).as_millis() / 100) as usize).min(9)] += 1;
            }
            assert!(
                tenths.iter().all(|n| (95..=105).contains(n)),
                "from {first:#x}: {tenths:?}"
            );
        }
    }

    #[test]
    fn the_point_in_the_interval_stays_however_late_it_was_done() {
        let now = Instant::now();
        let mut beat = Beat::new(SECOND, SwitchId(7), now);
        let first = beat.at();
        beat.done(first + SECOND / 100);
        assert_eq!(beat.at(), first + SECOND);
        // Late by less than half an interval: the next comes a little sooner.
        beat.done(beat.at() + SECOND * 4 / 10);
        assert_eq!(beat.at(), first + 2 * SECOND);
        // By more: one is left out.
        beat.done(beat.at() + SECOND * 6 / 10);
        assert_eq!(beat.at(), first + 4 * SECOND);
        // By much.
        beat.done(first + 100 * SECOND);
        assert_eq!(beat.at(), first + 101 * SECOND);
        beat.done(first + 201 * SECOND + SECOND * 7 / 10);
        assert_eq!(beat.at(), first + 203 * SECOND);
    }
}

//! Broker time as a value: clocks of hosts may differ by seconds, so deadlines and ages are counted
//! against the broker's clock plus elapsed monotonic time, never by comparing two wall clocks (design section 3).

use std::time::{Duration, Instant};

/// What this process knows of the broker's clock. It reads no clock: it is told both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerClock {
    anchor: Instant,
    anchor_ms: u64,
}

impl BrokerClock {
    /// At `now` the broker's clock showed `broker_ms`.
    pub fn new(now: Instant, broker_ms: u64) -> Self {
        BrokerClock {
            anchor: now,
            anchor_ms: broker_ms,
        }
    }
    /// The broker's clock at `now`, milliseconds.
    pub fn at(&self, now: Instant) -> u64 {
        match now.checked_duration_since(self.anchor) {
            Some(later) => self.anchor_ms.saturating_add(later.as_millis() as u64),
            None => self
                .anchor_ms
                .saturating_sub(self.anchor.duration_since(now).as_millis() as u64),
        }
    }
    /// When the broker's clock will show `broker_ms` (or showed it, as far as an `Instant` can go back).
    pub fn when(&self, broker_ms: u64) -> Instant {
        if broker_ms >= self.anchor_ms {
            self.anchor + Duration::from_millis(broker_ms - self.anchor_ms)
        } else {
            self.anchor
                .checked_sub(Duration::from_millis(self.anchor_ms - broker_ms))
                .unwrap_or(self.anchor)
        }
    }
}

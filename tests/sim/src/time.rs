//! The one clock. All machines are told instants of it; hosts differ in what their wall clocks show, and in nothing else.

use std::time::{Duration, Instant};

/// Nanoseconds since the world began.
pub type Ns = u64;

/// A microsecond.
pub const US: Ns = 1_000;
/// A millisecond.
pub const MS: Ns = 1_000_000;
/// A second.
pub const SECOND: Ns = 1_000_000_000;
/// What the broker's clock shows when the world begins.
const BROKER_START_MS: u64 = 1_790_000_000_000;

/// Turns nanoseconds into what machines take.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Instant,
}

impl Clock {
    /// A clock. Its base is some instant, which nothing depends on: the type has no zero.
    pub fn new() -> Clock {
        Clock { base: Instant::now() }
    }

    /// The instant of this time.
    pub fn at(self, ns: Ns) -> Instant {
        self.base + Duration::from_nanos(ns)
    }

    /// The time of this instant; one before the beginning is the beginning.
    pub fn ns(self, at: Instant) -> Ns {
        at.saturating_duration_since(self.base).as_nanos() as Ns
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

/// What the broker's clock shows.
pub fn broker_ms(now: Ns) -> u64 {
    BROKER_START_MS + now / MS
}

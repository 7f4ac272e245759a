//! One direction of a link, as its receiving region tells it.

use std::time::{Duration, Instant};

use super::Config;

/// Expected again if nobody told at which interval packets come.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum WayState {
    /// Not seen, or nothing that was seen counts any more.
    #[default]
    Unseen,
    /// Packets arrive.
    Seen,
    /// Packets arrived while another region was active; the new one has not told yet, since then.
    Expected { since: Instant },
    /// Packets are missing.
    Silent,
}

#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) state: WayState,
    /// Interval of its packets, once told.
    pub(super) interval: Option<Duration>,
    /// The receiver told that it is silent; whether that counts is another question.
    pub(super) told_silent: bool,
}

impl Way {
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.state, WayState::Seen | WayState::Expected { .. })
    }

    pub(super) fn seen(&mut self, interval: Duration) {
        self.state = WayState::Seen;
        self.interval = Some(interval).filter(|i| !i.is_zero());
        self.told_silent = false;
    }

    /// Another region tells about it from now on. Gives whether that changed something.
    pub(super) fn expect(&mut self, now: Instant) -> bool {
        let alive = self.is_alive();
        if alive {
            self.state = WayState::Expected { since: now };
            self.told_silent = false;
        }
        alive
    }

    /// When an expected direction is judged.
    pub(super) fn expected_until(&self, config: &Config) -> Option<Instant> {
        match self.state {
            WayState::Expected { since } => {
                let interval = self.interval.unwrap_or(INTERVAL_DEFAULT);
                since.checked_add(interval.saturating_mul(config.missed).saturating_add(config.settle))
            }
            WayState::Unseen | WayState::Seen | WayState::Silent => None,
        }
    }
}

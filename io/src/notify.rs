//! Telling systemd: ready, still alive, stopping. Without systemd every call does nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The main loop's line to systemd. Only the loop that does the work may feed the watchdog: a thread of its own
/// would say "alive" for a loop that hangs.
#[derive(Debug)]
pub struct Notify {
    watchdog: Option<Duration>,
    fed: Instant,
}

impl Notify {
    /// Reads what systemd wants from the environment.
    pub fn new(now: Instant) -> Self {
        Notify {
            // 0 is how systemd says that there is none.
            watchdog: sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()),
            fed: now,
        }
    }

    /// The work is being done.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// A line for `systemctl status`.
    pub fn status(&self, text: &str) {
        tell(&[NotifyState::Status(text)]);
    }

    /// The process ends on purpose.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Call at each turn of the main loop: feeds the watchdog when half of its patience is over.
    pub fn alive(&mut self, now: Instant) {
        if let Some(patience) = self.watchdog
            && now.saturating_duration_since(self.fed) >= patience / 2
        {
            self.fed = now;
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// When [`Notify::alive`] has to be called next, if a watchdog is kept at all.
    pub fn wake(&self) -> Option<Instant> {
        self.watchdog.map(|patience| self.fed + patience / 2)
    }
}

/// The process reads its files again; [`reloaded`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // systemd from 253 on wants to know since when.
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// What [`reloading`] began is over.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

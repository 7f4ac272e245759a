//! What the main loop says of itself to whoever asks: that it turns, and whether it does its work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A main loop that did not turn for so long stands still. It turns every second at least when it has nothing to do.
const STILL: Duration = Duration::from_secs(5);
/// How often the loop has to turn when it has nothing else to do.
const TURN: Duration = Duration::from_secs(1);

/// Shared between the main loop, which says it, and the pages, which show it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// When the loop turned last, in milliseconds since the start, plus one; 0: it has not begun, which nothing is held
    /// against.
    turned: AtomicU64,
    /// Why the work is not done; none: it is.
    missing: Mutex<Option<String>>,
}

impl Default for Health {
    fn default() -> Self {
        Health(Arc::new(Shared {
            start: Instant::now(),
            turned: AtomicU64::new(0),
            missing: Mutex::new(Some("not started yet".to_owned())),
        }))
    }
}

impl Health {
    /// The work is being done.
    pub fn ready(&self) {
        *self.missing() = None;
    }

    /// The work cannot be done, and why.
    pub fn not_ready(&self, why: &str) {
        *self.missing() = Some(why.to_owned());
    }

    /// Whether the work is being done.
    pub fn is_ready(&self) -> bool {
        self.missing().is_none()
    }

    /// Why the work is not done; none: it is.
    pub fn why_not_ready(&self) -> Option<String> {
        self.missing().clone()
    }

    /// Call at each turn of the main loop.
    pub fn alive(&self, now: Instant) {
        self.0.turned.store(self.since_start(now) + 1, Ordering::Release);
    }

    /// When [`Health::alive`] has to be called next.
    pub fn wake(&self) -> Option<Instant> {
        let turned = self.0.turned.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.0.start + Duration::from_millis(turned) + TURN)
    }

    /// For how long the main loop has been standing still, if it does.
    pub fn stands_still(&self, now: Instant) -> Option<Duration> {
        let turned = self.0.turned.load(Ordering::Acquire).checked_sub(1)?;
        let age = Duration::from_millis(self.since_start(now).saturating_sub(turned));
        (age > STILL).then_some(age)
    }

    fn since_start(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.0.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn missing(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_turn_stands_still_after_a_while_and_turns_again() {
        let health = Health::default();
        let t0 = Instant::now();
        assert_eq!(health.stands_still(t0 + 60 * STILL), None, "it has not begun");
        health.alive(t0);
        assert!(health.wake().is_some_and(|at| at <= t0 + TURN));
        assert_eq!(health.stands_still(t0 + STILL), None);
        let late = t0 + STILL + Duration::from_secs(2);
        assert!(health.stands_still(late).is_some_and(|age| age >= STILL));
        health.alive(late);
        assert_eq!(health.stands_still(late), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let health = Health::default();
        assert_eq!(health.why_not_ready().as_deref(), Some("not started yet"));
        health.ready();
        assert!(health.is_ready());
        health.not_ready("kafka cannot be reached");
        assert_eq!(health.why_not_ready().as_deref(), Some("kafka cannot be reached"));
    }
}

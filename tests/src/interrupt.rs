//! SIGINT, SIGTERM and SIGHUP as a wish to end, told to whoever waits.
//!
//! Once installed, none of them kills the program, not the second one either: it takes its
//! lab down and ends by itself. Waits (`wait::until`) fail at once after the first.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static SEEN: Mutex<bool> = Mutex::new(false);
static CHANGED: Condvar = Condvar::new();

/// From now on these signals are only noted.
///
/// # Errors
/// The system refuses.
pub fn install() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            *SEEN.lock().unwrap_or_else(PoisonError::into_inner) = true;
            CHANGED.notify_all();
        }
    });
    Ok(())
}

/// Whether one came.
pub fn seen() -> bool {
    *SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for one; false: none came within `limit`.
pub fn wait(limit: Duration) -> bool {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = CHANGED.wait_timeout_while(seen, limit, |seen| !*seen);
    *waited.unwrap_or_else(PoisonError::into_inner).0
}

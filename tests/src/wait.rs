//! Waiting for a condition, with a deadline and the last thing seen in the error.
//!
//! It is the only way this crate waits for something outside that cannot be
//! waited on directly (a file, a column of a database, another program's answer).

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// How long a condition may take. Far longer than any takes on an idle machine: these
/// worlds share two cores with compilers, and a wait that succeeds costs nothing.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Time between two looks. Short against what is waited for (tens of milliseconds),
/// long against the cost of looking (a few, when a program is started for it).
const BETWEEN_LOOKS: Duration = Duration::from_millis(15);

/// Looks until `probe` gives a value, or fails with what was last seen.
///
/// `probe` answers `Ok(value)` when the condition holds and `Err(what it saw)` while not.
///
/// # Errors
/// The condition did not hold within `deadline`; the error names `what` and the last sight.
/// Or the program was asked to end meanwhile (see `interrupt`).
pub fn until<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<T, String>) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= end => {
                bail!("{what}: not within {deadline:?}; last seen: {seen}")
            }
            Err(seen) if interrupt::seen() => bail!("{what}: interrupted; last seen: {seen}"),
            Err(_) => std::thread::sleep(BETWEEN_LOOKS),
        }
    }
}

/// [`until`] for a condition without a value: `probe` answers `Ok(())` when it holds.
/// An error of looking (a program that failed) counts as "not yet" and is shown at the end.
///
/// # Errors
/// As [`until`].
pub fn until_ok<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    until(what, deadline, || probe().map_err(|error| format!("{error:#}")))
}

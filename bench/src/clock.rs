//! How long something takes.

use anyhow::Result;
use std::time::{Duration, Instant};

/// One measurement takes about this long: long against the clock's own cost, short
/// against what else happens on the machine, so that the measurements that are compared
/// find it alike.
pub const MEASUREMENT: Duration = Duration::from_millis(10);

/// Nanoseconds that `work` takes, and what it gave.
///
/// # Errors
/// Those of `work`.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let value = work()?;
    Ok((start.elapsed().as_secs_f64() * 1e9, value))
}

/// How many times something must be done to take `wanted`; `nanoseconds(times)` does it.
///
/// # Errors
/// Those of `nanoseconds`.
pub fn times_for(wanted: Duration, mut nanoseconds: impl FnMut(u64) -> Result<f64>) -> Result<u64> {
    let wanted = wanted.as_secs_f64() * 1e9;
    let mut times = 1;
    loop {
        let took = nanoseconds(times)?;
        if took >= wanted / 4.0 {
            let exact = wanted / took.max(1.0) * times as f64;
            return Ok((exact as u64).max(1));
        }
        times *= 2;
    }
}

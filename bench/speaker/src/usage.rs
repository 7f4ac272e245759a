//! What a process takes of the machine, as the kernel counts it.

use anyhow::{Context, Result};
use std::fs;

/// Ticks of a second in which the kernel tells processor time to programs; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time that a process took so far, all its threads together.
///
/// # Errors
/// It is gone.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    ticks(&text)
        .map(|ticks| ticks / TICKS_PER_SECOND)
        .with_context(|| format!("{path}: {text}"))
}

/// User and system time. The name of the program, in parentheses, may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let behind = stat.rsplit_once(')')?.1;
    let mut fields = behind.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory of a process in KiB: summed over its mappings, since the quick counters of `status` may be late.
///
/// # Errors
/// It is gone.
pub fn resident_kib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.with_context(|| format!("{path}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_behind_a_name_with_anything_in_it() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 90 0 0 0 25 17 0 0 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(42.0));
        assert_eq!(ticks("7 (x) S 1"), None);
    }

    #[test]
    fn this_process_takes_memory_and_time() {
        let own = std::process::id();
        assert!(resident_kib(own).expect("it lives") > 100.0);
        assert!(cpu_seconds(own).expect("it lives") >= 0.0);
        assert!(resident_kib(u32::MAX).is_err());
    }
}

//! What this process uses of its machine, as Linux tells it under /proc.

/// Processor time and memory. Zero is what could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Seconds of processor time of all threads, in user and kernel, since the start.
    pub cpu_seconds: f64,
    /// Bytes of memory that are resident.
    pub resident_bytes: u64,
    /// Open file descriptors, sockets among them.
    pub open_fds: u64,
}

/// The kernel counts processor time in hundredths of a second, whatever its own clock (`USER_HZ`, the same everywhere).
const TICKS_PER_SECOND: f64 = 100.0;

/// What it uses now.
pub fn usage() -> Usage {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    Usage {
        cpu_seconds: cpu(&read("/proc/self/stat")).unwrap_or_default(),
        resident_bytes: resident(&read("/proc/self/status")).unwrap_or_default(),
        open_fds: std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64),
    }
}

/// What this host calls itself; "?" if it cannot be read.
pub fn host_name() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(name) if !name.trim().is_empty() => name.trim().to_owned(),
        Ok(_) | Err(_) => "?".to_owned(),
    }
}

/// Fields 14 and 15 of /proc/self/stat. The second one is the name, which may hold anything, in parentheses.
fn cpu(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let stat = "17 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(cpu(stat), Some(2.0));
        assert_eq!(resident("Name:\tx\nVmRSS:\t   2048 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!((cpu(""), resident("VmRSS: many")), (None, None));
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.resident_bytes > 100_000 && usage.open_fds >= 3, "{usage:?}");
    }
}

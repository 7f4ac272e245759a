//! Where it was measured.

use std::fs;

/// The machine, and how this process stands on it.
pub fn described() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let value_of = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let cpus = read("/proc/cpuinfo");
    let model = value_of(&cpus, "model name").unwrap_or_else(unknown);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let allowed = value_of(&read("/proc/self/status"), "Cpus_allowed_list").unwrap_or_else(unknown);
    let group = read("/proc/self/autogroup");
    let group = group
        .trim()
        .rsplit_once("nice ")
        .map_or("no autogroup", |(_, nice)| nice);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().take(1).collect::<String>();
    format!(
        "{model}, {cores} cores, Linux {}; allowed cores {allowed}, autogroup nice {group}, load average {load}",
        kernel.trim()
    )
}

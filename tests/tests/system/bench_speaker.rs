//! The measurement of the speaker, small and short: whether everything can be measured, so that it does not rot. What it
//! gives says nothing and is not looked at.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skerry_tests::lab::Lab;
use skerry_tests::tool;

use crate::{Need, Test};

pub const TESTS: &[Test] = &[Test(
    "bench_speaker::every_promised_figure_can_be_measured",
    &[Need::Root, Need::Ovs],
    every_promised_figure_can_be_measured,
)];

/// It takes half a minute on a machine that does nothing else.
const ENDS_WITHIN: Duration = Duration::from_secs(300);

fn every_promised_figure_can_be_measured() -> Result<()> {
    let lab = Lab::new(crate::PREFIX)?;
    let mut command = Command::new(tool::path("bench-speaker")?);
    command.args(["--quick", "--folder"]).arg(lab.folder());
    let process = lab.spawn(None, "bench-speaker", command)?;
    let status = process.wait(ENDS_WITHIN)?;
    let said = process
        .log()
        .map(std::fs::read_to_string)
        .transpose()?
        .unwrap_or_default();
    ensure!(status.is_some_and(|status| status.success()), "{status:?}:\n{said}");
    for figure in [
        "connect_1000_trial_broker_s",
        "idle_switch_kib",
        "idle_1000_cpu_percent",
        "echo_p99_ms",
        "apply_s_trial_broker",
        "flood_p50_ms",
        "flood_p99_ms",
        "flood_rss_mib",
        "flood_discovery_lost",
        "echo_p50_us",
        "echo_rate_s",
        "packet_in_per_core_s",
        "packet_out_jitter_p99_ms",
    ] {
        for suffix in ["", "_tls"] {
            if figure.starts_with("packet_in_") && !suffix.is_empty() {
                continue;
            }
            let name = format!("{figure}{suffix}");
            let line = said.lines().find(|line| line.split_whitespace().next() == Some(&name));
            let line = line.with_context(|| format!("{name} is not told:\n{said}"))?;
            let value = line.split_whitespace().nth(1).unwrap_or("-");
            ensure!(value != "-", "{name} was not measured:\n{said}");
        }
    }
    ensure!(
        !lab.folder().join("speaker.json").exists(),
        "a quick run is not to be taken for a measurement"
    );
    lab.teardown()
}

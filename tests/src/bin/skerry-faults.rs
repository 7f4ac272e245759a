//! Runs faults on real processes and says what they gave: `make faults`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::{Value, json};
use skerry_tests::daemons::{self, BrokerKind};
use skerry_tests::faults::{Done, FAULTS, Fault, Size};
use skerry_tests::interrupt;

/// Faults that befall real speakers, routers and Kafka.
#[derive(Parser)]
struct Arguments {
    /// Only this fault; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Few switches and one time each: whether it works, no figures.
    #[arg(long)]
    smoke: bool,
    /// Through the trial broker; those that befall Kafka cannot be run then.
    #[arg(long)]
    trial: bool,
    /// Of the moments at which faults happen.
    #[arg(long, default_value_t = 20_261_120)]
    seed: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench/faults.json")]
    output: PathBuf,
    /// What was measured.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// List the faults.
    #[arg(long)]
    list: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        for fault in FAULTS {
            println!("{:<20} {}", fault.name, fault.what);
        }
        return Ok(());
    }
    for name in &arguments.only {
        ensure!(
            FAULTS.iter().any(|fault| fault.name == name),
            "there is no fault {name:?}: see --list"
        );
    }
    interrupt::install()?;
    let wanted = |fault: &&Fault| arguments.only.is_empty() || arguments.only.iter().any(|name| name == fault.name);
    let size = if arguments.smoke { Size::SMOKE } else { Size::WHOLE };
    let mut told = BTreeMap::new();
    let mut failed = Vec::new();
    let broker = if arguments.trial {
        BrokerKind::Trial
    } else {
        BrokerKind::Kafka
    };
    for fault in FAULTS.iter().filter(wanted) {
        if arguments.trial && fault.needs_kafka {
            println!("{:<20} left out: the trial broker keeps nothing", fault.name);
            continue;
        }
        let since = Instant::now();
        let result = daemons::with_broker(broker, || (fault.run)(size, arguments.seed));
        let seconds = since.elapsed().as_secs_f64();
        match &result {
            Ok(done) => say(fault, done, seconds),
            Err(error) => {
                println!("{:<20} FAILED after {seconds:.0} s: {error:#}", fault.name);
                failed.push(fault.name);
            }
        }
        told.insert(fault.name, value(&result, seconds));
        if interrupt::seen() {
            bail!("interrupted");
        }
    }
    let whole = json!({ "commit": arguments.commit, "seed": arguments.seed, "smoke": arguments.smoke, "trial": arguments.trial, "faults": told });
    if let Some(folder) = arguments.output.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&whole)? + "\n";
    std::fs::write(&arguments.output, text).with_context(|| arguments.output.display().to_string())?;
    println!("written to {}", arguments.output.display());
    ensure!(failed.is_empty(), "failed: {failed:?}");
    Ok(())
}

fn say(fault: &Fault, done: &Done, seconds: f64) {
    println!(
        "{:<20} {seconds:.0} s; {} commands, none unanswered ({}); {} late writes tried, {} accepted",
        fault.name,
        done.ending.verdict.commands,
        done.ending
            .verdict
            .outcomes
            .iter()
            .map(|(o, n)| format!("{n} {o}"))
            .collect::<Vec<_>>()
            .join(", "),
        done.ending.tried,
        done.ending.accepted,
    );
    for (name, value) in &done.figures {
        println!("  {name:<28} {value:.3}");
    }
}

fn value(result: &Result<Done>, seconds: f64) -> Value {
    match result {
        Ok(done) => json!({
            "passed": true, "seconds": seconds, "figures": done.figures, "outcomes": done.ending.verdict.outcomes,
            "fault_commands": done.ending.verdict.commands, "unanswered_commands": done.ending.verdict.unanswered.len(),
            "stale_attempts": done.ending.tried, "stale_writes": done.ending.accepted,
        }),
        Err(error) => json!({ "passed": false, "seconds": seconds, "error": format!("{error:#}") }),
    }
}

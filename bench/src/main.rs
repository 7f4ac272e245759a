//! `make bench-codec`: measures the codec beside others and beside the machine, prints a
//! table and writes `target/bench/codec.json`. scripts/bench-codec prepares what it needs.

use anyhow::{Context, Result};
use clap::Parser;
use skerry_bench::allocations::Counting;
use skerry_bench::clock::MEASUREMENT;
use skerry_bench::figure::{About, figures};
use skerry_bench::peer::{self, Peer};
use skerry_bench::report::Report;
use skerry_bench::rounds::{self, Effort};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Rounds of a run: three times what a median needs at least, so that a neighbour on the
/// machine spoils few of them.
const ROUNDS: usize = 31;

/// After this no further round is begun. The whole run may take ten minutes; building and
/// warming up take two of them.
const TIME_MAX: Duration = Duration::from_secs(300);

/// Messages of each kind before a Java method counts as compiled: twice what the virtual
/// machine itself waits for before it compiles for good.
const JAVA_WARM_UP: u64 = 20_000;

/// An interpreter has nothing to compile; a few bring its caches and counters up.
const PYTHON_WARM_UP: u64 = 100;

/// Memory of the Java worker, all of it from the start: enough that its garbage is
/// collected rarely, and more than that changes nothing.
const JAVA_HEAP: &str = "512m";

#[derive(Parser)]
struct Args {
    /// The commit that is measured.
    #[arg(long)]
    commit: String,
    /// Where figures and corpus are written.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// The folder with openflowj: `lib/` with its archives, `classes/` with our worker.
    #[arg(long)]
    java: Option<PathBuf>,
    /// The Python that has os-ken.
    #[arg(long)]
    python: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-codec: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let corpus = args.folder.join("corpus.txt");
    peer::write_corpus(&corpus)?;
    let mut peers = Vec::new();
    if let Some(folder) = &args.java {
        let path = format!("{0}/classes:{0}/lib/*", folder.display());
        let mut java = Command::new("java");
        java.args([
            "-XX:+UseSerialGC",
            &format!("-Xms{JAVA_HEAP}"),
            &format!("-Xmx{JAVA_HEAP}"),
        ]);
        java.args(["-cp", &path, "OpenflowjWorker"]);
        peers.push(warm("openflowj", &mut java, &corpus, JAVA_WARM_UP)?);
    }
    if let Some(python) = &args.python {
        let mut command = Command::new(python);
        command.arg("bench/python/os_ken_worker.py");
        peers.push(warm("os_ken", &mut command, &corpus, PYTHON_WARM_UP)?);
    }
    let effort = Effort {
        rounds: ROUNDS,
        measurement: MEASUREMENT,
        time_max: TIME_MAX,
    };
    let measured = rounds::run(effort, &mut peers, |round| {
        eprint!("\rround {} of {ROUNDS} ", round + 1)
    })?;
    eprintln!();
    let about = |peer: &Peer| About {
        version: peer.version.clone(),
        warm_up: peer.warm_up.clone(),
    };
    let about: Vec<(&str, About)> = peers.iter().map(|peer| (peer.name, about(peer))).collect();
    let report = Report {
        commit: args.commit.clone(),
        machine: machine(),
        figures: figures(&measured, &about),
    };
    print!("{}", report.table()?);
    let file = args.folder.join("codec.json");
    report.write(&file)?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn warm(name: &'static str, command: &mut Command, corpus: &Path, least: u64) -> Result<Peer> {
    eprintln!("warming up {name}");
    let mut peer = Peer::start(name, command, corpus)?;
    peer.warm_up(least, MEASUREMENT)
        .with_context(|| format!("warming up {name}"))?;
    Ok(peer)
}

/// The machine, and how this process stands on it.
fn machine() -> String {
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
        "{model}, {cores} cores, Linux {}; pinned to core {allowed}, autogroup nice {group}, load average {load}",
        kernel.trim()
    )
}

//! `make bench-codec`: measures the codec beside others and beside the machine, prints a
//! table and writes `target/bench/codec.json`. scripts/bench-codec prepares what it needs.

use anyhow::{Context, Result};
use clap::Parser;
use skerry_bench::allocations::Counting;
use skerry_bench::clock::MEASUREMENT;
use skerry_bench::codec::{About, figures};
use skerry_bench::peer::{self, Peer, WarmUp};
use skerry_bench::report::Report;
use skerry_bench::rounds::{self, Effort};
use skerry_bench::{machine, table};
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

/// Twice the messages after which the virtual machine compiles for good, and time for its
/// compiler to do it on the same core.
const JAVA_WARM_UP: WarmUp = WarmUp {
    messages: 20_000,
    time: Duration::from_secs(2),
};

/// An interpreter compiles nothing that takes time.
const PYTHON_WARM_UP: WarmUp = WarmUp {
    messages: 20,
    time: Duration::from_millis(100),
};

/// Memory of a Java worker, all of it from the start. Its garbage is never more than one
/// message alive, so more memory changes nothing.
const JAVA_HEAP: &str = "256m";

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
        let java = || {
            let mut java = Command::new("java");
            java.args([
                "-XX:+UseSerialGC",
                &format!("-Xms{JAVA_HEAP}"),
                &format!("-Xmx{JAVA_HEAP}"),
            ]);
            java.args(["-cp", &path, "OpenflowjWorker"]);
            java
        };
        peers.push(warm("openflowj", &corpus, java, JAVA_WARM_UP)?);
    }
    if let Some(python) = &args.python {
        let python = || {
            let mut command = Command::new(python);
            command.arg("bench/python/os_ken_worker.py");
            command
        };
        peers.push(warm("os_ken", &corpus, python, PYTHON_WARM_UP)?);
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
        machine: machine::described(),
        figures: figures(&measured, &about),
    };
    print!("{}", table::table(&report)?);
    let file = args.folder.join("codec.json");
    report.write(&file)?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn warm(name: &'static str, corpus: &Path, command: impl Fn() -> Command, least: WarmUp) -> Result<Peer> {
    eprintln!("warming up {name}");
    let mut peer = Peer::start(name, corpus, command)?;
    peer.warm_up(least, MEASUREMENT)
        .with_context(|| format!("warming up {name}"))?;
    Ok(peer)
}

//! `make bench-speaker`: measures the speaker, prints a table and writes `target/bench/speaker.json`.
//! scripts/bench-speaker prepares what it needs.

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use serde_json::json;
use skerry_bench_speaker::floor::{self, Manner};
use skerry_bench_speaker::{echoes, packet_ins, plan, suite, tls};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    suite: Suite,
}

#[derive(clap::Args)]
struct Suite {
    /// The commit that is measured.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Where speaker.json is written.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Through Apache Kafka (`make kafka`); without it the trial broker is taken, and figures that include Kafka are
    /// named for that.
    #[arg(long)]
    kafka: bool,
    /// Only whether everything can be measured: small and short, and nothing is written.
    #[arg(long)]
    quick: bool,
    /// Only these measurements (crowd, apply, echo, flood, packet-ins), by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Not with TLS as well.
    #[arg(long)]
    no_tls: bool,
}

/// What this program is in a measurement.
#[derive(Subcommand)]
enum Role {
    /// A peer: says its address, and serves until it is ended.
    Peer {
        /// Answer requests of so many bytes each; without it, read and forget.
        #[arg(long)]
        echo: Option<usize>,
    },
    /// The load of the echo figures.
    Echoes {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        in_flight: usize,
        #[arg(long)]
        bytes: usize,
        #[arg(long)]
        warm_up_ms: u64,
        #[arg(long)]
        time_ms: u64,
        /// Folder with certificates: TLS.
        #[arg(long)]
        tls: Option<PathBuf>,
    },
    /// A door that speaks TLS for programs that do not.
    Door {
        #[arg(long)]
        to: SocketAddr,
        /// Folder with certificates.
        #[arg(long)]
        tls: PathBuf,
    },
    /// Packet-ins into the machine.
    PacketIns {
        #[arg(long)]
        switches: u64,
        #[arg(long)]
        ports: u32,
        #[arg(long)]
        runs: usize,
        #[arg(long)]
        time_ms: u64,
    },
    /// Where the time of an apply goes, by hand: rules through the code alone.
    Plan {
        /// Rules of one apply.
        #[arg(long, default_value_t = 10_000)]
        rules: u32,
        #[arg(long, default_value_t = 15)]
        runs: usize,
        /// An empty folder for what is put on disk; without it, nothing is.
        #[arg(long)]
        state: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.role {
        Some(role) => play(role),
        None => measure(args.suite),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-speaker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: Suite) -> Result<()> {
    ensure!(
        args.only.iter().all(|name| suite::PARTS.contains(&name.as_str())),
        "--only: one of {}",
        suite::PARTS.join(", ")
    );
    suite::run(&suite::Options {
        commit: args.commit,
        folder: args.folder,
        kafka: args.kafka,
        quick: args.quick,
        only: args.only,
        tls: !args.no_tls,
    })
}

fn play(role: Role) -> Result<()> {
    match role {
        Role::Peer { echo } => {
            let manner = echo.map_or(Manner::Sink, Manner::Echo);
            floor::serve(manner, |address| {
                println!("{}", json!({ "address": address.to_string() }))
            })
        }
        Role::Echoes {
            to,
            connections,
            in_flight,
            bytes,
            warm_up_ms,
            time_ms,
            tls,
        } => {
            let told = echoes::run(&echoes::Load {
                to,
                connections,
                in_flight,
                bytes,
                warm_up: Duration::from_millis(warm_up_ms),
                time: Duration::from_millis(time_ms),
                tls,
            })?;
            println!("{told}");
            Ok(())
        }
        Role::Door { to, tls } => tls::door(to, &tls, say_address),
        Role::PacketIns {
            switches,
            ports,
            runs,
            time_ms,
        } => {
            let told = packet_ins::run(packet_ins::Load {
                switches,
                ports,
                runs,
                time: Duration::from_millis(time_ms),
            })?;
            println!("{told}");
            Ok(())
        }
        Role::Plan { rules, runs, state } => {
            let load = plan::Load {
                rules,
                runs,
                state: state.as_deref(),
            };
            print!("{}", plan::run(&load)?);
            Ok(())
        }
    }
}

fn say_address(address: SocketAddr) {
    println!("{}", json!({ "address": address.to_string() }));
}

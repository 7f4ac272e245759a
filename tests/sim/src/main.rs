//! `make sim`: many seeds, or one with its log.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use skerry_sim::trace::Lines;
use skerry_sim::{seeds, world};

/// The simulated world.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// One seed alone, with its log
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Threads; as many as there are cores unless said
    #[arg(long)]
    threads: Option<usize>,
    /// An invariant that is passed over, to look what stands behind a failure that is known; may be given several times
    #[arg(long, value_name = "NAME")]
    pass_over: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let began = Instant::now();
    let (first, count, sum) = match args.seed {
        Some(seed) => {
            let outcome = world::run_scenario(seeds::scenario(seed, &args.pass_over), Lines::All);
            for line in &outcome.lines {
                println!("{line}");
            }
            if let Some(failure) = &outcome.failure {
                println!("seed {seed} failed: {failure}");
            }
            let failed = outcome.failure.iter().map(|_| seed).collect();
            (
                seed,
                1,
                seeds::Sum {
                    tally: outcome.tally,
                    failed,
                },
            )
        }
        None => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let threads = args.threads.unwrap_or(cores);
            let sum = seeds::run(args.first, args.seeds, threads, &args.pass_over, |outcome| {
                if let Some(failure) = &outcome.failure {
                    println!("seed {} failed: {failure}", outcome.seed);
                }
            });
            if let Some(seed) = sum.failed.first() {
                println!(
                    "\nthe log of seed {seed} before it failed:\n{}",
                    seeds::explain(seeds::scenario(*seed, &args.pass_over))
                );
            }
            (args.first, args.seeds, sum)
        }
    };
    let seeds::Sum { tally, failed } = &sum;
    println!(
        "sim: {count} seeds ({first}..), {} failed; {} events, {} faults, {} takeovers, {} commands, {} stale writes tried, {:.1} s",
        failed.len(),
        tally.events,
        tally.faults,
        tally.takeovers,
        tally.commands,
        tally.stale_writes,
        began.elapsed().as_secs_f64()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

//! Many seeds: run on all cores, added up, and what failed is run again with its log.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::scenario::Scenario;
use crate::trace::Lines;
use crate::world::{self, Outcome, Tally};

/// Lines of the log that a failure is shown with.
pub const LINES: usize = 60;

/// What many seeds gave.
#[derive(Debug, Default)]
pub struct Sum {
    /// Everything added up.
    pub tally: Tally,
    /// Seeds that failed, in order.
    pub failed: Vec<u64>,
}

/// The world of a seed, with these invariants passed over.
pub fn scenario(seed: u64, passed_over: &[String]) -> Scenario {
    Scenario {
        passed_over: passed_over.to_vec(),
        ..Scenario::new(seed)
    }
}

/// Run these seeds on so many threads; `told` is called for each that failed, as soon as it did.
pub fn run(first: u64, count: u64, threads: usize, passed_over: &[String], told: impl Fn(&Outcome) + Sync) -> Sum {
    let next = AtomicU64::new(0);
    let sum = Mutex::new(Sum::default());
    let work = || {
        let mut mine = Sum::default();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                break;
            }
            let outcome = world::run_scenario(scenario(first + n, passed_over), Lines::None);
            let Tally {
                events,
                faults,
                takeovers,
                commands,
                stale_writes,
            } = outcome.tally;
            mine.tally.events += events;
            mine.tally.faults += faults;
            mine.tally.takeovers += takeovers;
            mine.tally.commands += commands;
            mine.tally.stale_writes += stale_writes;
            if outcome.failure.is_some() {
                mine.failed.push(outcome.seed);
                told(&outcome);
            }
        }
        mine
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mine = work();
                let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                sum.tally.events += mine.tally.events;
                sum.tally.faults += mine.tally.faults;
                sum.tally.takeovers += mine.tally.takeovers;
                sum.tally.commands += mine.tally.commands;
                sum.tally.stale_writes += mine.tally.stale_writes;
                sum.failed.extend(mine.failed);
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    sum.failed.sort_unstable();
    sum
}

/// A seed that failed, again, with the last lines of its log.
pub fn explain(scenario: Scenario) -> String {
    let seed = scenario.seed;
    let outcome = world::run_scenario(scenario, Lines::Last(LINES));
    let mut text = String::new();
    for line in &outcome.lines {
        // A record may be long; who needs all of it runs the seed alone.
        text.extend(line.chars().take(400));
        text.push('\n');
    }
    match outcome.failure {
        Some(failure) => text.push_str(&format!("seed {seed} failed: {failure}\n")),
        None => text.push_str(&format!("seed {seed} did not fail when it was run again\n")),
    }
    text
}

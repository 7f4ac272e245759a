//! How much is measured, and how long all of it may take.

use crate::series::{Triples, Turn};
use anyhow::{Result, ensure};
use skerry_tests::interrupt;
use std::time::{Duration, Instant};

/// The size of every measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Simulated switches.
    pub switches: usize,
    /// How long they are idle before memory is looked at.
    pub idle: Duration,
    /// The last part of that, of which processor time and round trips are taken.
    pub watched: Duration,
    /// Runs of what is no ratio.
    pub runs: usize,
    /// Rounds of what is a ratio.
    pub rounds: usize,
    /// How often ratios that cannot be trusted are measured.
    pub tries: usize,
    /// One measurement of echoes.
    pub echoes: Duration,
    /// One measurement under a flood.
    pub flood: Duration,
    /// Rules of one apply.
    pub rules: u32,
    /// Samples of which a 99th percentile is given.
    pub p99_least: usize,
}

impl Effort {
    /// What is published.
    pub const WHOLE: Effort = Effort {
        switches: 1_000,
        idle: Duration::from_secs(60),
        watched: Duration::from_secs(50),
        runs: 5,
        rounds: 7,
        tries: 3,
        echoes: Duration::from_millis(1_000),
        flood: Duration::from_millis(3_000),
        rules: 10_000,
        p99_least: 1_000,
    };

    /// Only whether everything can be measured: the figures say nothing.
    pub const QUICK: Effort = Effort {
        switches: 40,
        idle: Duration::from_millis(1_200),
        watched: Duration::from_millis(1_000),
        runs: 1,
        rounds: 1,
        tries: 1,
        echoes: Duration::from_millis(100),
        flood: Duration::from_millis(500),
        rules: 200,
        p99_least: 1,
    };
}

/// The time that is left.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    end: Instant,
}

impl Clock {
    /// From now on so long.
    pub fn new(time: Duration) -> Clock {
        Clock {
            end: Instant::now() + time,
        }
    }

    /// Whether something that takes so long still fits.
    pub fn allows(&self, time: Duration) -> bool {
        Instant::now() + time <= self.end
    }

    /// What is left, after `reserve` is taken off.
    pub fn left(&self, reserve: Duration) -> Duration {
        self.end
            .saturating_duration_since(Instant::now())
            .saturating_sub(reserve)
    }
}

/// Waits; for something that has no end that one could wait for.
///
/// # Errors
/// The program was asked to end.
pub fn pass(time: Duration) -> Result<()> {
    ensure!(!interrupt::wait(time), "interrupted");
    Ok(())
}

/// Measures rounds of with, without and without again, each giving several values. What cannot be trusted is measured
/// again, all together, while there is time; the last try stands, trusted or not.
///
/// # Errors
/// Those of `half`.
pub fn interleaved(
    values: usize,
    effort: &Effort,
    clock: &Clock,
    mut half: impl FnMut(Turn) -> Result<Vec<f64>>,
) -> Result<Vec<Triples>> {
    let mut kept: Vec<Triples> = vec![Triples::default(); values];
    for _ in 0..effort.tries {
        let begun = Instant::now();
        let mut now: Vec<Triples> = vec![Triples::default(); values];
        for round in 0..effort.rounds {
            for turn in Turn::of(round) {
                let measured = half(turn)?;
                ensure!(measured.len() == values, "{} values of {values}", measured.len());
                for (triples, value) in now.iter_mut().zip(measured) {
                    triples.push(turn, value);
                }
            }
        }
        for (kept, now) in kept.iter_mut().zip(now) {
            if !kept.can_be_trusted() {
                *kept = now;
            }
        }
        if kept.iter().all(Triples::can_be_trusted) || !clock.allows(begun.elapsed()) {
            break;
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rounds(rounds: usize) -> Effort {
        Effort {
            rounds,
            ..Effort::WHOLE
        }
    }

    #[test]
    fn what_cannot_be_trusted_is_measured_again_and_what_can_is_kept() {
        let clock = Clock::new(Duration::from_secs(60));
        let mut calls = 0;
        let measured = interleaved(2, &rounds(3), &clock, |turn| {
            calls += 1;
            // The second value is bad in the first try: its equal runs differ.
            let off = if calls <= 9 && turn == Turn::Again { 1.5 } else { 1.0 };
            let first = if turn == Turn::With { 3.0 } else { 1.0 };
            Ok(vec![first * if calls > 9 { 7.0 } else { 1.0 }, off])
        });
        let measured = measured.expect("no error");
        assert_eq!(calls, 18);
        assert_eq!(measured[0].without(), [1.0; 3], "of the first try");
        assert!(measured[1].can_be_trusted());
    }

    #[test]
    fn nothing_is_repeated_when_there_is_no_time_nor_more_than_a_few_times() {
        let mut calls = 0;
        let mut half = |turn| {
            calls += 1;
            Ok(vec![if turn == Turn::Again { 2.0 } else { 1.0 }])
        };
        let none = Clock::new(Duration::ZERO);
        let measured = interleaved(1, &rounds(1), &none, &mut half).expect("no error");
        assert!(!measured[0].can_be_trusted());
        interleaved(1, &rounds(1), &Clock::new(Duration::from_secs(60)), &mut half).expect("no error");
        assert_eq!(calls, 3 + 3 * Effort::WHOLE.tries);
    }
}

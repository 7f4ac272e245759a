//! Random series against a second, slower reading of design section 8: one that keeps the whole history and
//! looks back through it, instead of keeping a state.

mod common;

use std::time::{Duration, Instant};

use common::runner;
use proptest::prelude::*;
use skerry_bus::service::ActionKind;
use skerry_monitor::limits::{Grade, Limits, Threshold};
use skerry_monitor::sla::{Config, Input, Output, Sla, SlaState};

#[derive(Debug, Clone)]
struct Series {
    limits: Limits,
    threshold: u32,
    window_ms: u64,
    latency_based: bool,
    /// Time since the one before, and what is seen then.
    samples: Vec<(u64, Option<u64>)>,
}

fn series() -> impl Strategy<Value = Series> {
    let sample = (
        prop_oneof![Just(0u64), 1..400u64, 400..6_000u64, Just(100_000u64)],
        prop_oneof![1 => Just(None), 8 => (0..300u64).prop_map(Some)],
    );
    (
        1..200u64,
        0..100u64,
        0..400_000u32,
        1..2_000u64,
        any::<bool>(),
        prop::collection::vec(sample, 0..60),
    )
        .prop_map(|(tier_1, more, threshold, window_ms, latency_based, samples)| Series {
            limits: Limits {
                tier_1_ns: tier_1,
                tier_2_ns: if more == 0 { 0 } else { tier_1 + more },
            },
            threshold,
            window_ms,
            latency_based,
            samples,
        })
}

impl Series {
    fn config(&self) -> Config {
        Config {
            limits: self.limits,
            threshold: Threshold::from_fraction(f64::from(self.threshold) / 1e6).expect("below 0.4"),
            window: Duration::from_millis(self.window_ms),
            latency_based: self.latency_based,
        }
    }

    /// Samples with their times.
    fn timed(&self) -> Vec<(u64, Option<u64>)> {
        let mut at = 0;
        self.samples
            .iter()
            .map(|&(after, seen)| {
                at += after;
                (at, seen)
            })
            .collect()
    }

    fn run(&self) -> Vec<(u64, Output)> {
        let t0 = Instant::now();
        let mut sla = Sla::new(self.config(), t0);
        for (at, seen) in self.timed() {
            let now = t0 + Duration::from_millis(at);
            while let Some((due, _)) = sla.poll_timeout().filter(|(due, _)| *due <= now) {
                sla.handle_timeout(due);
            }
            sla.handle_input(now, Input::Latency(seen));
        }
        let mut said = Vec::new();
        while let Some(output) = sla.poll_output() {
            said.push(((output.at - t0).as_millis() as u64, output));
        }
        said
    }
}

/// The grade by the table, in whole numbers: bounds times a million.
fn grade(series: &Series, latency: u64, last: Option<Grade>) -> Grade {
    let h = i128::from(series.threshold);
    let (h1, h2) = match last {
        None => (0, 0),
        Some(Grade::Healthy) => (h, 0),
        Some(Grade::Tier1Failed) => (-h, h),
        Some(Grade::Tier2Failed) => (0, -h),
    };
    let above =
        |limit: u64, h: i128| limit > 0 && i128::from(latency) * 1_000_000 > i128::from(limit) * (1_000_000 + h);
    if above(series.limits.tier_2_ns, h2) {
        Grade::Tier2Failed
    } else if above(series.limits.tier_1_ns, h1) {
        Grade::Tier1Failed
    } else {
        Grade::Healthy
    }
}

/// Stable grades and when they are entered: after each sample, whether the window of what is seen ends before the next.
fn stable_grades(series: &Series, until: u64) -> Vec<(u64, Grade)> {
    let samples = series.timed();
    let mut entered: Vec<(u64, Grade)> = Vec::new();
    let mut held: Option<(u64, Grade)> = None;
    for (i, &(at, seen)) in samples.iter().enumerate() {
        let last = entered.last().map(|e| e.1);
        let seen = seen.map(|ns| grade(series, ns, last));
        held = match (held, seen) {
            (_, None) => None,
            (Some((since, grade)), Some(seen)) if grade == seen => Some((since, grade)),
            (_, Some(seen)) => Some((at, seen)),
        };
        let next = samples.get(i + 1).map_or(until, |s| s.0);
        if let Some((since, grade)) = held
            && since + series.window_ms <= next
            && Some(grade) != entered.last().map(|e| e.1)
        {
            entered.push(((since + series.window_ms).max(at), grade));
        }
    }
    entered
}

proptest! {
    #![proptest_config(runner(4_000))]

    #[test]
    fn a_random_series_enters_the_grades_that_held_for_the_window_and_asks_on_each(series in series()) {
        let until = series.timed().last().map_or(0, |s| s.0);
        let wanted = stable_grades(&series, until);
        let said = series.run();
        let mut last = None;
        let mut entered = Vec::new();
        let mut before = SlaState::Unknown;
        let mut bad_since_ask = 0u32;
        for (at, output) in &said {
            prop_assert_eq!(output.from, before);
            before = output.to;
            let grade = match output.to {
                SlaState::Healthy => Some(Grade::Healthy),
                SlaState::Tier1Failed => Some(Grade::Tier1Failed),
                SlaState::Tier2Failed => Some(Grade::Tier2Failed),
                SlaState::Unknown | SlaState::Unstable | SlaState::NotMonitored => None,
            };
            if output.from == output.to {
                // A repetition: never the first request, never while the last stable grade is not failed.
                prop_assert_eq!(output.action, Some(ActionKind::Reroute));
                prop_assert!(last.is_some_and(Grade::is_failed) && bad_since_ask > 0);
                bad_since_ask += 1;
                continue;
            }
            if let Some(grade) = grade && last != Some(grade) {
                entered.push((*at, grade));
                let asked = match grade {
                    Grade::Healthy => last.map(|_| ActionKind::Sync),
                    Grade::Tier1Failed | Grade::Tier2Failed => series.latency_based.then_some(ActionKind::Reroute),
                };
                prop_assert_eq!(output.action, asked);
                bad_since_ask = u32::from(asked == Some(ActionKind::Reroute));
                last = Some(grade);
            } else {
                prop_assert_eq!(output.action, None);
            }
        }
        prop_assert_eq!(entered, wanted);
        prop_assert_eq!(series.run().len(), said.len());
    }

    #[test]
    fn what_is_shown_is_never_a_grade_while_there_is_no_figure(series in series()) {
        let t0 = Instant::now();
        let mut sla = Sla::new(series.config(), t0);
        for (at, seen) in series.timed() {
            sla.handle_input(t0 + Duration::from_millis(at), Input::Latency(seen));
            prop_assert_eq!(sla.state() == SlaState::Unknown, seen.is_none());
            // Nothing overdue is left behind.
            prop_assert!(sla.poll_timeout().is_none_or(|(due, _)| due > t0 + Duration::from_millis(at)));
        }
    }

    #[test]
    fn a_grade_that_became_stable_is_still_the_grade_of_its_latency(series in series(), latency in 0..600u64) {
        for last in [None, Some(Grade::Healthy), Some(Grade::Tier1Failed), Some(Grade::Tier2Failed)] {
            let threshold = series.config().threshold;
            let stable = series.limits.grade(latency, threshold, last);
            prop_assert_eq!(stable, grade(&series, latency, last));
            prop_assert_eq!(series.limits.grade(latency, threshold, Some(stable)), stable);
        }
    }

    #[test]
    fn a_restart_at_any_time_loses_no_stable_grade_and_repeats_no_first_request(series in series(), cut in 0..60usize) {
        let t0 = Instant::now();
        let mut sla = Sla::new(series.config(), t0);
        let samples = series.timed();
        for &(at, seen) in samples.iter().take(cut) {
            sla.handle_input(t0 + Duration::from_millis(at), Input::Latency(seen));
        }
        let now = t0 + Duration::from_millis(samples.iter().take(cut).next_back().map_or(0, |s| s.0));
        let record = sla.record(now);
        let restored = Sla::restore(series.config(), &record, now);
        prop_assert_eq!(restored.record(now), record);
        prop_assert_eq!(restored.state(), sla.state());
    }
}

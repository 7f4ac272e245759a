//! The whole table of the SLA machine: every state with every event, and what is asked.

use std::time::{Duration, Instant};

use skerry_bus::service::ActionKind;
use skerry_monitor::limits::{Grade, Limits, Threshold};
use skerry_monitor::sla::{Config, Input, Output, Sla, SlaState};

const MS: u64 = 1_000_000;
const WINDOW: Duration = Duration::from_secs(5);

// Figures that have the same grade whatever the last stable one is: M1 10 ms, M2 15 ms, h 0.1.
const GOOD: Option<u64> = Some(8 * MS);
const TIER_1: Option<u64> = Some(12 * MS);
const TIER_2: Option<u64> = Some(18 * MS);
const NONE: Option<u64> = None;

fn config(latency_based: bool) -> Config {
    Config {
        limits: Limits {
            tier_1_ns: 10 * MS,
            tier_2_ns: 15 * MS,
        },
        threshold: Threshold::from_fraction(0.1).expect("a fraction"),
        window: WINDOW,
        latency_based,
    }
}

struct Bench {
    sla: Sla,
    t0: Instant,
    now: Instant,
}

impl Bench {
    fn new(latency_based: bool) -> Self {
        let t0 = Instant::now();
        Bench {
            sla: Sla::new(config(latency_based), t0),
            t0,
            now: t0,
        }
    }
    /// After `ms` more, the latency is `latency`.
    fn see(&mut self, ms: u64, latency: Option<u64>) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self.sla.handle_input(self.now, Input::Latency(latency));
        self
    }
    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self.sla.handle_timeout(self.now);
        self
    }
    /// A machine whose last stable grade is `last`.
    fn stable(last: Option<Grade>) -> Self {
        let mut bench = Bench::new(true);
        let figure = match last {
            None => return bench,
            Some(Grade::Healthy) => GOOD,
            Some(Grade::Tier1Failed) => TIER_1,
            Some(Grade::Tier2Failed) => TIER_2,
        };
        bench.see(0, figure).wait(5_000);
        bench.said();
        bench
    }
    fn said(&mut self) -> Vec<(u64, SlaState, SlaState, Option<ActionKind>)> {
        self.outputs()
            .into_iter()
            .map(|o| ((o.at - self.t0).as_millis() as u64, o.from, o.to, o.action))
            .collect()
    }
    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.sla.poll_output()).collect()
    }
}

use SlaState::{Healthy, Tier1Failed, Tier2Failed, Unknown, Unstable};

#[test]
fn every_state_with_every_event_goes_where_the_table_says() {
    // State (how it is reached from the last stable grade), event, state at once, state one window later.
    // `last` is what the state is reached from; `then` is what is seen in it.
    let lasts = [
        None,
        Some(Grade::Healthy),
        Some(Grade::Tier1Failed),
        Some(Grade::Tier2Failed),
    ];
    let events = [NONE, GOOD, TIER_1, TIER_2];
    let grade_of = |event: Option<u64>| match event {
        NONE => None,
        GOOD => Some(Grade::Healthy),
        TIER_1 => Some(Grade::Tier1Failed),
        _ => Some(Grade::Tier2Failed),
    };
    let mut rows = 0;
    for last in lasts {
        // A state is: the stable one itself, unknown, or unstable with each grade seen.
        for before in [None, Some(NONE), Some(GOOD), Some(TIER_1), Some(TIER_2)] {
            for event in events {
                let mut bench = Bench::stable(last);
                if let Some(before) = before {
                    bench.see(1_000, before);
                }
                let state = bench.sla.state();
                bench.said();
                let begun = bench.now;
                bench.see(1_000, event);
                let at_once = match (state, event) {
                    (Unknown, NONE)
                    | (Unstable, NONE)
                    | (Healthy, NONE)
                    | (Tier1Failed, NONE)
                    | (Tier2Failed, NONE) => Unknown,
                    (Unknown | Unstable, _) => Unstable,
                    (stable, _) if grade_of(event).map(SlaState::from) == Some(stable) => stable,
                    (_, _) => Unstable,
                };
                assert_eq!(bench.sla.state(), at_once, "{last:?} {state:?} {event:?}");
                let changed = bench.said();
                assert_eq!(changed.is_empty(), at_once == state, "{last:?} {state:?} {event:?}");
                assert!(
                    changed.iter().all(|c| c.3.is_none()),
                    "nothing is asked at once: {changed:?}"
                );

                // One window after the event was first seen, which is earlier if it was seen before already.
                let seen_before = state == Unstable && before.map(grade_of) == Some(grade_of(event));
                let since = if seen_before { begun } else { bench.now };
                bench.now = since;
                bench.wait(4_999);
                assert_eq!(bench.sla.state(), at_once, "{last:?} {state:?} {event:?}");
                bench.wait(1);
                let later = grade_of(event).map_or(Unknown, SlaState::from);
                assert_eq!(bench.sla.state(), later, "{last:?} {state:?} {event:?}");
                let asked: Vec<_> = bench.said().into_iter().filter_map(|c| c.3).collect();
                let wanted = match (last, grade_of(event)) {
                    (_, None) => None,
                    (last, Some(same)) if last == Some(same) => None,
                    (_, Some(Grade::Tier1Failed | Grade::Tier2Failed)) => Some(ActionKind::Reroute),
                    (Some(Grade::Tier1Failed | Grade::Tier2Failed), Some(Grade::Healthy)) => Some(ActionKind::Sync),
                    (None | Some(Grade::Healthy), Some(Grade::Healthy)) => None,
                };
                assert_eq!(asked, Vec::from_iter(wanted), "{last:?} {state:?} {event:?}");
                rows += 1;
            }
        }
    }
    assert_eq!(rows, 80);
}

#[test]
fn the_bounds_of_every_row_are_strict_and_exact() {
    let limits = config(true).limits;
    let h = Threshold::from_fraction(0.1).expect("a fraction");
    // Last stable grade, where tier 1 starts, where tier 2 starts, in microseconds.
    let rows = [
        (None, 10_000, 15_000),
        (Some(Grade::Healthy), 11_000, 15_000),
        (Some(Grade::Tier1Failed), 9_000, 16_500),
        (Some(Grade::Tier2Failed), 10_000, 13_500),
    ];
    for (last, tier_1, tier_2) in rows {
        let grade = |ns| limits.grade(ns, h, last);
        assert_eq!(grade(0), Grade::Healthy);
        assert_eq!(grade(tier_1 * 1_000), Grade::Healthy, "{last:?}");
        assert_eq!(grade(tier_1 * 1_000 + 1), Grade::Tier1Failed, "{last:?}");
        assert_eq!(grade(tier_2 * 1_000), Grade::Tier1Failed, "{last:?}");
        assert_eq!(grade(tier_2 * 1_000 + 1), Grade::Tier2Failed, "{last:?}");
        assert_eq!(grade(u64::MAX), Grade::Tier2Failed, "{last:?}");
    }
}

#[test]
fn a_bound_between_two_nanoseconds_is_not_rounded() {
    let limits = Limits {
        tier_1_ns: 3,
        tier_2_ns: 0,
    };
    let h = Threshold::from_fraction(0.1).expect("a fraction");
    // 3.3: above it is 4, not 3.
    assert_eq!(limits.grade(3, h, Some(Grade::Healthy)), Grade::Healthy);
    assert_eq!(limits.grade(4, h, Some(Grade::Healthy)), Grade::Tier1Failed);
    // 2.7: above it is 3.
    assert_eq!(limits.grade(2, h, Some(Grade::Tier1Failed)), Grade::Healthy);
    assert_eq!(limits.grade(3, h, Some(Grade::Tier1Failed)), Grade::Tier1Failed);
    let huge = Limits {
        tier_1_ns: u64::MAX,
        tier_2_ns: u64::MAX,
    };
    assert_eq!(huge.grade(u64::MAX, h, None), Grade::Healthy);
}

#[test]
fn where_tier_2_starts_below_tier_1_it_is_looked_at_first() {
    let limits = Limits {
        tier_1_ns: 100,
        tier_2_ns: 100,
    };
    let h = Threshold::from_fraction(0.1).expect("a fraction");
    assert_eq!(limits.grade(105, h, Some(Grade::Healthy)), Grade::Tier2Failed);
    assert_eq!(limits.grade(95, h, Some(Grade::Tier2Failed)), Grade::Tier2Failed);
    assert_eq!(limits.grade(90, h, Some(Grade::Tier2Failed)), Grade::Healthy);
}

#[test]
fn without_a_second_limit_tier_2_is_never_reached_and_without_a_first_nothing_is_watched() {
    let h = Threshold::default();
    let one = Limits::from_ms(Some(10.0), None).expect("limits");
    assert_eq!(one.grade(u64::MAX, h, None), Grade::Tier1Failed);
    assert_eq!(Limits::from_ms(Some(10.0), Some(0.0)).expect("limits"), one);
    let mut unmonitored = config(true);
    unmonitored.limits = Limits::from_ms(None, Some(15.0)).expect("limits");
    let t0 = Instant::now();
    let mut sla = Sla::new(unmonitored, t0);
    sla.handle_input(t0, Input::Latency(TIER_2));
    sla.handle_timeout(t0 + WINDOW);
    assert_eq!(
        (sla.state(), sla.poll_timeout(), sla.poll_output()),
        (SlaState::NotMonitored, None, None)
    );
    for wrong in [f64::NAN, f64::INFINITY, -1.0, 3_600_000.1] {
        assert!(Limits::from_ms(Some(wrong), None).is_err(), "{wrong}");
        assert!(Threshold::from_fraction(wrong).is_err(), "{wrong}");
    }
    assert!(Threshold::from_fraction(1.0).is_err());
    assert_eq!(Threshold::from_fraction(0.999_999_9).expect("below 1").ppm(), 999_999);
}

#[test]
fn a_blip_shorter_than_the_window_asks_nothing_and_never_shows_a_tier() {
    let mut bench = Bench::stable(Some(Grade::Healthy));
    bench.see(1_000, TIER_2).see(4_999, GOOD).wait(60_000);
    assert_eq!(
        bench.said(),
        [(6_000, Healthy, Unstable, None), (15_999, Unstable, Healthy, None)]
    );
}

#[test]
fn a_sample_at_the_very_end_of_the_window_comes_too_late_to_stop_it() {
    let mut bench = Bench::new(true);
    bench.see(0, TIER_1).see(5_000, GOOD);
    assert_eq!(
        bench.said(),
        [
            (0, Unknown, Unstable, None),
            (5_000, Unstable, Tier1Failed, Some(ActionKind::Reroute)),
            (5_000, Tier1Failed, Unstable, None),
        ]
    );
}

#[test]
fn another_grade_restarts_the_window_and_the_same_does_not() {
    let mut bench = Bench::stable(Some(Grade::Healthy));
    bench
        .see(0, TIER_1)
        .see(3_000, TIER_2)
        .see(1_000, TIER_2)
        .see(1_000, TIER_2)
        .wait(3_000);
    assert_eq!(
        bench.said(),
        [
            (5_000, Healthy, Unstable, None),
            (13_000, Unstable, Tier2Failed, Some(ActionKind::Reroute)),
        ]
    );
}

#[test]
fn a_gap_in_the_figures_neither_asks_again_nor_forgets_that_a_sync_is_due() {
    let mut bench = Bench::stable(Some(Grade::Tier1Failed));
    bench.see(1_000, NONE).see(1_000, TIER_1).wait(5_000);
    assert_eq!(
        bench.said(),
        [
            (6_000, Tier1Failed, Unknown, None),
            (7_000, Unknown, Unstable, None),
            (12_000, Unstable, Tier1Failed, None),
        ]
    );
    bench.see(0, NONE).see(60_000, GOOD).wait(5_000);
    assert_eq!(
        bench.said(),
        [
            (12_000, Tier1Failed, Unknown, None),
            (72_000, Unknown, Unstable, None),
            (77_000, Unstable, Healthy, Some(ActionKind::Sync)),
        ]
    );
}

#[test]
fn a_gap_ends_the_window_of_a_failed_grade_and_a_whole_one_follows() {
    let mut bench = Bench::stable(Some(Grade::Healthy));
    bench.see(0, TIER_1).see(4_000, NONE).see(1_000, TIER_1).wait(4_999);
    assert_eq!(bench.sla.state(), Unstable);
    bench.wait(1);
    assert_eq!(
        bench.said().last(),
        Some(&(15_000, Unstable, Tier1Failed, Some(ActionKind::Reroute)))
    );
}

#[test]
fn a_reroute_that_does_not_help_is_asked_again_ever_more_slowly_and_says_so() {
    let mut bench = Bench::new(true);
    bench.see(0, TIER_1).wait(4_000_000);
    let outputs = bench.outputs();
    let asked: Vec<u64> = outputs
        .iter()
        .filter(|o| o.action == Some(ActionKind::Reroute))
        .map(|o| (o.at - bench.t0).as_secs())
        .collect();
    assert_eq!(asked, [5, 40, 110, 250, 530, 1_090, 1_690, 2_290, 2_890, 3_490]);
    assert_eq!(
        outputs.last().map(|o| o.reason.as_str()),
        Some("round trip 12.000 ms, limits 10.000 and 15.000 ms; request 10: those before did not help")
    );
    assert_eq!(
        outputs[1].reason,
        "round trip 12.000 ms, limits 10.000 and 15.000 ms: tier_1_failed for 5 s"
    );
}

#[test]
fn a_repetition_waits_while_the_latency_is_unknown_or_good() {
    let mut bench = Bench::stable(Some(Grade::Tier1Failed));
    bench.see(1_000, NONE).wait(100_000);
    assert_eq!(bench.said(), [(6_000, Tier1Failed, Unknown, None)]);
    bench.see(0, GOOD).wait(4_000);
    assert_eq!(bench.said(), [(106_000, Unknown, Unstable, None)]);
    bench.see(0, TIER_1);
    assert_eq!(bench.said(), [(110_000, Unstable, Unstable, Some(ActionKind::Reroute))]);
    // The flow recovers: nothing is repeated any more.
    bench.see(0, GOOD).wait(4_000_000);
    assert_eq!(bench.said(), [(115_000, Unstable, Healthy, Some(ActionKind::Sync))]);
    assert_eq!(bench.sla.poll_timeout(), None);
}

#[test]
fn a_flow_by_cost_is_never_rerouted_but_synced() {
    let mut bench = Bench::new(false);
    bench.see(0, TIER_2).wait(4_000_000).see(0, GOOD).wait(5_000);
    let asked: Vec<_> = bench.said().into_iter().filter_map(|o| o.3).collect();
    assert_eq!(asked, [ActionKind::Sync]);
}

#[test]
fn a_restart_keeps_the_state_and_the_wait_and_begins_the_window_anew() {
    let mut bench = Bench::new(true);
    bench.see(0, TIER_1).wait(15_000).see(0, TIER_2).wait(3_000);
    let record = bench.sla.record(bench.now);
    let text = serde_json::to_string(&record).expect("a record is JSON");
    assert_eq!(
        text,
        r#"{"state":"unstable","last_stable":"tier_1_failed","seen":"tier_2_failed","asked":1,"ask_again_in_ms":22000}"#
    );
    let record = serde_json::from_str(&text).expect("what was written is read");
    let t1 = bench.now + Duration::from_secs(100);
    let mut sla = Sla::restore(config(true), &record, t1);
    assert_eq!(sla.record(t1), record);
    assert_eq!(sla.poll_timeout().map(|(at, _)| at), Some(t1 + WINDOW));
    sla.handle_input(t1 + Duration::from_secs(1), Input::Latency(TIER_1));
    sla.handle_timeout(t1 + Duration::from_secs(22));
    let said: Vec<_> = std::iter::from_fn(|| sla.poll_output())
        .map(|o| ((o.at - t1).as_secs(), o.to, o.action))
        .collect();
    assert_eq!(
        said,
        [(6, Tier1Failed, None), (22, Tier1Failed, Some(ActionKind::Reroute))]
    );
}

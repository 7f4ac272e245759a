//! The fleet: sums over links, expiry, own probes, and what it says of flows when links, paths and limits change.

use std::time::{Duration, Instant};

use skerry_bus::api::PathStrategy;
use skerry_bus::service::ActionKind;
use skerry_bus::{FlowId, LatencySource, LinkId};
use skerry_monitor::fleet::{Config, Fleet, Input, Output, PATH_LINKS_MAX};
use skerry_monitor::limits::{Limits, Threshold};
use skerry_monitor::sla::SlaState;

const MS: u64 = 1_000_000;

fn link(n: u32) -> LinkId {
    format!("0x{n:x}/2-0x{:x}/1", n + 1).parse().expect("a link id")
}

fn flow(name: &str) -> FlowId {
    name.parse().expect("a flow id")
}

struct Bench {
    fleet: Fleet,
    t0: Instant,
    now: Instant,
}

impl Bench {
    /// Window 5 s, threshold 0.1, expiries 10 s.
    fn new() -> Self {
        let t0 = Instant::now();
        let config = Config {
            threshold: Threshold::from_fraction(0.1).expect("a fraction"),
            window: Duration::from_secs(5),
            ..Config::default()
        };
        Bench {
            fleet: Fleet::new(config, t0),
            t0,
            now: t0,
        }
    }
    fn wait(&mut self, ms: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(ms);
        while let Some((due, _)) = self.fleet.poll_timeout().filter(|(due, _)| *due <= end) {
            assert!(due >= self.now, "a deadline in the past");
            self.now = due;
            self.fleet.handle_timeout(due);
        }
        self.now = end;
        self
    }
    fn give(&mut self, input: Input) -> &mut Self {
        self.fleet.handle_input(self.now, input);
        self
    }
    fn measure(&mut self, n: u32, ms: u64, source: LatencySource) -> &mut Self {
        let measured = self.now;
        self.give(Input::LinkLatency {
            link: link(n),
            latency_ns: ms * MS,
            source,
            samples: 1,
            measured,
        })
    }
    fn round_trip(&mut self, n: u32, ms: u64) -> &mut Self {
        self.measure(n, ms, LatencySource::RoundTrip)
    }
    fn probe(&mut self, name: &str, ms: u64) -> &mut Self {
        let measured = self.now;
        self.give(Input::FlowLatency {
            flow: flow(name),
            latency_ns: ms * MS,
            measured,
        })
    }
    /// Limits 10 and 15 ms, strategy latency.
    fn set(&mut self, name: &str, path: &[u32]) -> &mut Self {
        self.give(set(name, path, Some(10.0)))
    }
    /// Latency in milliseconds, valid links, all links, state.
    fn figure(&self, name: &str) -> (Option<u64>, u32, u32, SlaState) {
        let figure = self
            .fleet
            .latency_of(&flow(name), self.now)
            .expect("a flow that is watched");
        (
            figure.latency_ns.map(|ns| ns / MS),
            figure.coverage.0,
            figure.coverage.1,
            figure.state,
        )
    }
    /// Time, new state or request.
    fn said(&mut self) -> Vec<(u64, String)> {
        let mut said = Vec::new();
        while let Some(output) = self.fleet.poll_output() {
            let (at, text) = match output {
                Output::SlaChanged { flow, from, to, at, .. } => (at, format!("{flow} {from} -> {to}")),
                Output::Request {
                    flow,
                    action: ActionKind::Reroute,
                    at,
                    ..
                } => (at, format!("{flow} reroute")),
                Output::Request {
                    flow,
                    action: ActionKind::Sync,
                    at,
                    ..
                } => (at, format!("{flow} sync")),
                Output::Refused { flow, reason } => (self.now, format!("{flow} refused: {reason}")),
            };
            said.push(((at - self.t0).as_millis() as u64, text));
        }
        said
    }
    fn texts(&mut self) -> Vec<String> {
        self.said().into_iter().map(|s| s.1).collect()
    }
}

fn set(name: &str, path: &[u32], tier_1: Option<f64>) -> Input {
    Input::FlowSet {
        flow: flow(name),
        limits: Limits::from_ms(tier_1, tier_1.map(|ms| ms * 1.5)).expect("limits"),
        strategy: PathStrategy::Latency,
        path: path.iter().map(|&n| link(n)).collect(),
        restored: None,
    }
}

#[test]
fn a_flow_is_unknown_until_every_link_of_its_path_has_a_figure() {
    let mut bench = Bench::new();
    bench.set("f", &[1, 2, 3]).round_trip(1, 2).round_trip(3, 4).wait(6_000);
    assert_eq!(bench.figure("f"), (None, 2, 3, SlaState::Unknown));
    assert_eq!(bench.texts(), [""; 0]);
    bench.round_trip(2, 3);
    assert_eq!(bench.figure("f"), (Some(9), 3, 3, SlaState::Unstable));
    bench.round_trip(1, 2).round_trip(3, 4).wait(5_000);
    assert_eq!(bench.figure("f"), (Some(9), 3, 3, SlaState::Healthy));
    assert_eq!(
        bench.said(),
        [
            (6_000, "f unknown -> unstable".into()),
            (11_000, "f unstable -> healthy".into())
        ]
    );
}

#[test]
fn a_figure_is_valid_for_its_expiry_and_then_the_flow_is_unknown() {
    let mut bench = Bench::new();
    bench.set("f", &[1]).round_trip(1, 2).wait(9_999);
    assert_eq!(bench.figure("f").3, SlaState::Healthy);
    let age = bench.fleet.latency_of_link(link(1), bench.now).and_then(|f| f.age);
    assert_eq!(age, Some(Duration::from_millis(9_999)));
    bench.wait(1);
    assert_eq!(bench.figure("f"), (None, 0, 1, SlaState::Unknown));
    assert_eq!(bench.said().last(), Some(&(10_000, "f healthy -> unknown".into())));
}

#[test]
fn a_round_trip_counts_before_one_way_and_one_way_after_the_round_trip_expired() {
    let mut bench = Bench::new();
    bench
        .set("f", &[1])
        .round_trip(1, 4)
        .wait(1_000)
        .measure(1, 8, LatencySource::OneWay);
    assert_eq!(bench.figure("f").0, Some(4));
    bench.wait(9_000);
    assert_eq!(bench.figure("f").0, Some(8));
    let figure = bench.fleet.latency_of(&flow("f"), bench.now).expect("watched");
    assert_eq!(
        (figure.source, figure.age),
        (Some(LatencySource::OneWay), Some(Duration::from_secs(9)))
    );
    bench.wait(1_000);
    assert_eq!(bench.figure("f").0, None);
}

#[test]
fn both_ends_of_a_link_measure_the_same_figure_and_the_later_counts() {
    let mut bench = Bench::new();
    bench.set("f", &[1]).round_trip(1, 4);
    let turned: LinkId = "0x2/1-0x1/2".parse().expect("a link id");
    let (measured, earlier) = (bench.now, bench.now - Duration::from_secs(1));
    let input = |latency_ns, measured| Input::LinkLatency {
        link: turned,
        latency_ns,
        source: LatencySource::RoundTrip,
        samples: 30,
        measured,
    };
    bench.give(input(5 * MS, measured)).give(input(6 * MS, earlier));
    assert_eq!(bench.figure("f").0, Some(5));
    assert_eq!(bench.fleet.ignored().stale, 1);
    assert_eq!(
        bench.fleet.latency_of_link(link(1), bench.now).map(|f| f.samples),
        Some(31)
    );
}

#[test]
fn the_age_of_a_measurement_counts_from_when_it_was_made() {
    let mut bench = Bench::new();
    let measured = bench.now - Duration::from_secs(8);
    let input = |measured| Input::LinkLatency {
        link: link(1),
        latency_ns: MS,
        source: LatencySource::RoundTrip,
        samples: 1,
        measured,
    };
    bench.set("f", &[1]).give(input(measured)).wait(1_999);
    assert_eq!(bench.figure("f").0, Some(1));
    bench.wait(1);
    assert_eq!(bench.figure("f").0, None);
    let later = bench.now + Duration::from_secs(60);
    bench.give(input(measured)).give(input(later));
    assert_eq!(bench.fleet.ignored().stale, 1);
    assert_eq!(bench.figure("f").0, Some(1));
    bench.wait(10_000);
    assert_eq!(bench.figure("f").0, None, "a time to come is now");
}

#[test]
fn a_figure_larger_than_a_minute_is_not_used() {
    let mut bench = Bench::new();
    bench
        .set("f", &[1])
        .round_trip(1, 60_001)
        .probe("f", 60_001)
        .measure(1, 1, LatencySource::FlowProbe)
        .probe("g", 1);
    let ignored = bench.fleet.ignored();
    assert_eq!(
        (ignored.too_large, ignored.wrong_source, ignored.unknown_flow),
        (2, 1, 1)
    );
    assert_eq!(bench.figure("f").0, None);
}

#[test]
fn the_own_probe_counts_before_the_links_while_it_is_young() {
    let mut bench = Bench::new();
    bench.set("f", &[1, 2]).probe("f", 7).round_trip(1, 3);
    assert_eq!(bench.figure("f"), (Some(7), 1, 2, SlaState::Unstable));
    bench.wait(9_000).round_trip(1, 3).round_trip(2, 2).wait(1_000);
    assert_eq!(bench.figure("f"), (Some(5), 2, 2, SlaState::Healthy));
}

#[test]
fn a_flow_on_one_switch_takes_no_time_and_is_healthy() {
    let mut bench = Bench::new();
    bench.set("f", &[]).wait(5_000);
    assert_eq!(bench.figure("f"), (Some(0), 0, 0, SlaState::Healthy));
}

#[test]
fn a_link_that_becomes_slow_moves_all_its_flows_after_the_window_and_no_other() {
    let mut bench = Bench::new();
    bench.set("a", &[1]).set("b", &[2, 1]).set("c", &[2]);
    for second in 0..30 {
        bench
            .round_trip(1, if second < 10 { 5 } else { 14 })
            .round_trip(2, 2)
            .wait(1_000);
    }
    assert_eq!(
        bench.said()[6..],
        [
            (10_000, "a healthy -> unstable".to_owned()),
            (10_000, "b healthy -> unstable".to_owned()),
            (15_000, "a unstable -> tier_1_failed".to_owned()),
            (15_000, "a reroute".to_owned()),
            (15_000, "b unstable -> tier_2_failed".to_owned()),
            (15_000, "b reroute".to_owned()),
        ]
    );
}

#[test]
fn a_flow_that_was_bad_from_the_start_asks_too_and_says_why() {
    let mut bench = Bench::new();
    bench.set("f", &[1]).round_trip(1, 12).wait(5_000);
    let outputs: Vec<_> = std::iter::from_fn(|| bench.fleet.poll_output()).collect();
    let Some(Output::Request {
        action: ActionKind::Reroute,
        reason,
        ..
    }) = outputs.last()
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(
        reason,
        "round trip 12.000 ms summed over links (1 of 1 links known), limits 10.000 and 15.000 ms: tier_1_failed for 5 s"
    );
}

#[test]
fn a_reroute_keeps_the_state_and_the_flow_is_healthy_one_window_after_the_new_path() {
    let mut bench = Bench::new();
    bench
        .set("f", &[1])
        .round_trip(1, 20)
        .round_trip(2, 4)
        .wait(5_000)
        .probe("f", 21);
    bench.said();
    bench.wait(1_000).set("f", &[2]);
    assert_eq!(
        bench.figure("f"),
        (Some(4), 1, 1, SlaState::Unstable),
        "the old path's probe is dropped"
    );
    bench.round_trip(2, 4).wait(5_000);
    assert_eq!(
        bench.said(),
        [
            (6_000, "f tier_2_failed -> unstable".to_owned()),
            (11_000, "f unstable -> healthy".to_owned()),
            (11_000, "f sync".to_owned()),
        ]
    );
    let late = bench.t0 + Duration::from_millis(5_500);
    bench.give(Input::FlowLatency {
        flow: flow("f"),
        latency_ns: 21 * MS,
        measured: late,
    });
    assert_eq!(bench.figure("f").0, Some(4), "a probe of the old path that comes late");
}

#[test]
fn a_window_that_was_running_begins_anew_on_another_path_and_not_on_the_same() {
    let mut bench = Bench::new();
    bench
        .set("f", &[1])
        .round_trip(1, 20)
        .round_trip(2, 20)
        .wait(3_000)
        .set("f", &[1])
        .wait(1_000)
        .set("f", &[2])
        .wait(4_999);
    assert_eq!(bench.figure("f").3, SlaState::Unstable);
    bench.wait(1);
    assert_eq!(bench.figure("f").3, SlaState::Tier2Failed);
}

#[test]
fn a_link_that_is_down_makes_its_flows_unknown_at_once() {
    let mut bench = Bench::new();
    bench.set("f", &[1, 2]).round_trip(1, 1).round_trip(2, 1).wait(6_000);
    bench.give(Input::LinkRemoved { link: link(2) });
    assert_eq!(bench.figure("f"), (None, 1, 2, SlaState::Unknown));
}

#[test]
fn limits_that_change_judge_anew_and_without_a_first_one_the_flow_is_not_monitored() {
    let mut bench = Bench::new();
    bench.set("f", &[1]).round_trip(1, 8).wait(5_000);
    bench.said();
    bench.give(set("f", &[1], Some(5.0)));
    bench.give(set("f", &[1], None));
    assert_eq!(bench.figure("f"), (Some(8), 1, 1, SlaState::NotMonitored));
    bench.give(set("f", &[1], Some(20.0)));
    assert_eq!(
        bench.texts(),
        [
            "f healthy -> unstable",
            "f unstable -> not_monitored",
            "f not_monitored -> unknown",
            "f unknown -> unstable",
        ]
    );
}

#[test]
fn a_strategy_that_becomes_latency_based_asks_for_a_flow_that_is_failed() {
    let mut bench = Bench::new();
    let with = |strategy| match set("f", &[1], Some(10.0)) {
        Input::FlowSet { flow, limits, path, .. } => Input::FlowSet {
            flow,
            limits,
            strategy,
            path,
            restored: None,
        },
        other => other,
    };
    bench.give(with(PathStrategy::Cost)).round_trip(1, 12).wait(6_000);
    assert_eq!(bench.texts(), ["f unknown -> unstable", "f unstable -> tier_1_failed"]);
    bench.give(with(PathStrategy::MaxLatency));
    assert_eq!(bench.texts(), ["f reroute"]);
}

#[test]
fn flows_and_links_that_are_gone_leave_nothing() {
    let mut bench = Bench::new();
    bench
        .set("f", &[1, 2])
        .set("g", &[2])
        .round_trip(1, 1)
        .round_trip(2, 1)
        .round_trip(3, 1)
        .probe("f", 1);
    assert_eq!(bench.fleet.sizes(), (2, 3));
    bench
        .give(Input::FlowRemoved { flow: flow("f") })
        .give(Input::FlowRemoved { flow: flow("g") });
    assert_eq!(bench.fleet.sizes(), (0, 3));
    bench.give(Input::LinkRemoved { link: link(1) });
    assert_eq!(bench.fleet.sizes(), (0, 2));
    bench.wait(10_000);
    assert_eq!((bench.fleet.sizes(), bench.fleet.poll_timeout()), ((0, 0), None));
    assert_eq!(bench.fleet.latency_of(&flow("f"), bench.now), None);
}

#[test]
fn a_path_that_is_too_long_is_refused_and_the_flow_stays_as_it_was() {
    let mut bench = Bench::new();
    bench.set("f", &[1]).round_trip(1, 2);
    bench.said();
    let long: Vec<u32> = (1..=PATH_LINKS_MAX as u32 + 1).collect();
    bench.set("f", &long);
    assert_eq!(
        bench.texts(),
        ["f refused: its path has 1001 links, at most 1000 are watched"]
    );
    assert_eq!(bench.figure("f").0, Some(2));
    let longest: Vec<u32> = (1..=PATH_LINKS_MAX as u32).collect();
    bench.set("f", &longest);
    assert_eq!(bench.figure("f"), (None, 1, 1_000, SlaState::Unknown));
}

#[test]
fn a_restored_flow_keeps_its_state_until_its_figures_had_time_to_come() {
    let mut bench = Bench::new();
    bench
        .set("f", &[1])
        .set("g", &[2])
        .round_trip(1, 12)
        .round_trip(2, 12)
        .wait(6_000);
    let records: Vec<_> = ["f", "g"].map(|n| bench.fleet.record_of(&flow(n), bench.now)).into();
    let mut bench = Bench::new();
    for (name, path, record) in [("f", 1, records[0]), ("g", 2, records[1])] {
        let Input::FlowSet {
            flow,
            limits,
            strategy,
            path,
            ..
        } = set(name, &[path], Some(10.0))
        else {
            continue;
        };
        bench.give(Input::FlowSet {
            flow,
            limits,
            strategy,
            path,
            restored: record,
        });
    }
    bench.wait(2_000).round_trip(1, 12).wait(7_999);
    assert_eq!(
        (bench.figure("f").3, bench.figure("g").3),
        (SlaState::Tier1Failed, SlaState::Tier1Failed)
    );
    assert_eq!(bench.said(), []);
    bench.wait(1);
    assert_eq!(bench.said(), [(10_000, "g tier_1_failed -> unknown".to_owned())]);
    // The request is repeated when it would have been: 35 s after the first, one of which had passed.
    for _ in 0..30 {
        bench.round_trip(1, 12).wait(1_000);
    }
    assert_eq!(bench.said(), [(34_000, "f reroute".to_owned())]);
}

#[test]
fn a_message_of_a_region_is_a_measurement_of_its_link_at_the_time_it_carries() {
    let mut bench = Bench::new();
    bench.set("f", &[1]);
    let text = r#"{"region":"east","epoch":1,"seq":1,"at_ms":997000,"kind":"link_latency","from":"00:00:00:00:00:00:00:02/1",
        "to":"00:00:00:00:00:00:00:01/2","latency_ns":4000000,"source":"round_trip","samples":30}"#;
    let message = serde_json::from_str(text).expect("a message of the contract");
    let clock = skerry_bus::BrokerClock::new(bench.now, 1_000_000);
    bench.give(Input::measured(&message, &clock));
    let figure = bench.fleet.latency_of(&flow("f"), bench.now).expect("watched");
    assert_eq!(
        (figure.latency_ns, figure.age),
        (Some(4 * MS), Some(Duration::from_secs(3)))
    );
}

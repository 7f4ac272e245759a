//! Random inputs: the fleet's dense, incremental tables against one that adds everything anew each time, and the
//! same inputs twice.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::runner;
use proptest::prelude::*;
use skerry_bus::api::PathStrategy;
use skerry_bus::{FlowId, LatencySource, LinkId};
use skerry_monitor::fleet::{Config, Fleet, Input, Output};
use skerry_monitor::limits::Limits;
use skerry_monitor::sla::SlaState;

const EXPIRY_MS: u64 = 1_000;

#[derive(Debug, Clone)]
enum Step {
    Link {
        link: u8,
        ns: u64,
        one_way: bool,
        age_ms: u64,
    },
    Probe {
        flow: u8,
        ns: u64,
        age_ms: u64,
    },
    Set {
        flow: u8,
        path: Vec<u8>,
        limit_ns: u64,
    },
    RemoveFlow(u8),
    RemoveLink(u8),
    Wait,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let age = prop_oneof![Just(0u64), 0..1_500u64];
    let step = prop_oneof![
        6 => (0..6u8, 0..100u64, any::<bool>(), age.clone()).prop_map(|(link, ns, one_way, age_ms)| Step::Link { link, ns, one_way, age_ms }),
        2 => (0..4u8, 0..300u64, age).prop_map(|(flow, ns, age_ms)| Step::Probe { flow, ns, age_ms }),
        2 => (0..4u8, prop::collection::vec(0..6u8, 0..5), prop_oneof![Just(0u64), 1..300u64])
            .prop_map(|(flow, path, limit_ns)| Step::Set { flow, path, limit_ns }),
        1 => (0..4u8).prop_map(Step::RemoveFlow),
        1 => (0..6u8).prop_map(Step::RemoveLink),
        1 => Just(Step::Wait),
    ];
    (prop_oneof![Just(0u64), 0..300u64, Just(1_000u64)], step)
}

fn link(n: u8) -> LinkId {
    format!("0x{:x}/2-0x{:x}/1", n + 1, n + 2).parse().expect("a link id")
}

fn flow(n: u8) -> FlowId {
    format!("flow-{n}").parse().expect("a flow id")
}

/// What was measured and set, whole; nothing is summed until asked.
#[derive(Default)]
struct Model {
    /// By link and source: value and time.
    links: BTreeMap<(u8, bool), (u64, u64)>,
    flows: BTreeMap<u8, ModelFlow>,
}

struct ModelFlow {
    path: Vec<u8>,
    path_since: u64,
    probe: Option<(u64, u64)>,
}

impl Model {
    /// Times are milliseconds from 10,000 on, so that ages reach back.
    fn take(&mut self, now: u64, step: &Step) {
        let fresh = |at: u64| at + EXPIRY_MS > now;
        match step {
            Step::Link {
                link,
                ns,
                one_way,
                age_ms,
            } => {
                let at = now - age_ms;
                let known = self.links.get(&(*link, *one_way)).copied().filter(|k| fresh(k.1));
                if fresh(at) && known.is_none_or(|k| k.1 <= at) {
                    self.links.insert((*link, *one_way), (*ns, at));
                }
            }
            Step::Probe { flow, ns, age_ms } => {
                let at = now - age_ms;
                if let Some(flow) = self.flows.get_mut(flow) {
                    let known = flow.probe.filter(|k| fresh(k.1));
                    if fresh(at) && at >= flow.path_since && known.is_none_or(|k| k.1 <= at) {
                        flow.probe = Some((*ns, at));
                    }
                }
            }
            Step::Set { flow, path, .. } => {
                if self.flows.get(flow).is_none_or(|known| known.path != *path) {
                    let new = ModelFlow {
                        path: path.clone(),
                        path_since: now,
                        probe: None,
                    };
                    self.flows.insert(*flow, new);
                }
            }
            Step::RemoveFlow(flow) => {
                self.flows.remove(flow);
            }
            Step::RemoveLink(link) => {
                self.links.remove(&(*link, false));
                self.links.remove(&(*link, true));
            }
            Step::Wait => {}
        }
    }

    fn latency(&self, now: u64, flow: u8) -> Option<(Option<u64>, (u32, u32))> {
        let flow = self.flows.get(&flow)?;
        let fresh = |k: &&(u64, u64)| k.1 + EXPIRY_MS > now;
        let values: Vec<Option<u64>> = flow
            .path
            .iter()
            .map(|&link| {
                let of = |one_way| self.links.get(&(link, one_way)).filter(fresh);
                Some(of(false).or_else(|| of(true))?.0)
            })
            .collect();
        let coverage = (values.iter().flatten().count() as u32, values.len() as u32);
        let sum = values.into_iter().sum();
        Some((flow.probe.as_ref().filter(fresh).map(|k| k.0).or(sum), coverage))
    }
}

fn input(now: Instant, step: &Step) -> Option<Input> {
    Some(match step {
        Step::Link {
            link: n,
            ns,
            one_way,
            age_ms,
        } => Input::LinkLatency {
            link: link(*n),
            latency_ns: *ns,
            source: if *one_way {
                LatencySource::OneWay
            } else {
                LatencySource::RoundTrip
            },
            samples: 1,
            measured: now - Duration::from_millis(*age_ms),
        },
        Step::Probe { flow: n, ns, age_ms } => Input::FlowLatency {
            flow: flow(*n),
            latency_ns: *ns,
            measured: now - Duration::from_millis(*age_ms),
        },
        Step::Set {
            flow: n,
            path,
            limit_ns,
        } => Input::FlowSet {
            flow: flow(*n),
            limits: Limits {
                tier_1_ns: *limit_ns,
                tier_2_ns: *limit_ns * 2,
            },
            strategy: PathStrategy::Latency,
            path: path.iter().map(|&n| link(n)).collect(),
            restored: None,
        },
        Step::RemoveFlow(n) => Input::FlowRemoved { flow: flow(*n) },
        Step::RemoveLink(n) => Input::LinkRemoved { link: link(*n) },
        Step::Wait => return None,
    })
}

/// Runs the steps; after each the fleet must agree with the model.
fn run(steps: &[(u64, Step)]) -> Result<Vec<(Duration, String)>, TestCaseError> {
    let t0 = Instant::now();
    let config = Config {
        window: Duration::from_millis(500),
        link_expiry: Duration::from_millis(EXPIRY_MS),
        probe_expiry: Duration::from_millis(EXPIRY_MS),
        ..Config::default()
    };
    let mut fleet = Fleet::new(config, t0);
    let mut model = Model::default();
    let mut at = 0;
    let mut said = Vec::new();
    let mut shown: BTreeMap<FlowId, SlaState> = BTreeMap::new();
    for (after, step) in steps {
        at += after;
        let now = t0 + Duration::from_millis(at);
        match input(now, step) {
            Some(input) => fleet.handle_input(now, input),
            None => fleet.handle_timeout(now),
        }
        model.take(10_000 + at, step);
        while let Some(output) = fleet.poll_output() {
            if let Output::SlaChanged { flow, from, to, at, .. } = &output {
                if let Some(before) = shown.insert(flow.clone(), *to) {
                    prop_assert_eq!(before, *from);
                }
                prop_assert!(*at <= now);
            }
            said.push((
                now - t0,
                format!("{output:?}")
                    .split("at: ")
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ));
        }
        if let Step::RemoveFlow(n) = step {
            shown.remove(&flow(*n));
        }
        for n in 0..4 {
            let figure = fleet.latency_of(&flow(n), now);
            let expected = model.latency(10_000 + at, n);
            prop_assert_eq!(
                figure.map(|f| (f.latency_ns, f.coverage)),
                expected,
                "flow {} at {}",
                n,
                at
            );
            let Some(figure) = figure else { continue };
            prop_assert_eq!(figure.age.is_some(), figure.latency_ns.is_some());
            prop_assert!(figure.age.is_none_or(|age| age < Duration::from_millis(EXPIRY_MS)));
            if figure.state != SlaState::NotMonitored {
                prop_assert_eq!(figure.state == SlaState::Unknown, figure.latency_ns.is_none());
            }
            if let Some(shown) = shown.get(&flow(n)) {
                prop_assert_eq!(*shown, figure.state);
            }
        }
        prop_assert!(
            fleet.poll_timeout().is_none_or(|(due, _)| due > now),
            "nothing overdue is left"
        );
    }
    // When everything is removed and has expired, nothing is left.
    let mut now = t0 + Duration::from_millis(at);
    for n in 0..4 {
        fleet.handle_input(now, Input::FlowRemoved { flow: flow(n) });
    }
    now += Duration::from_millis(EXPIRY_MS);
    fleet.handle_timeout(now);
    prop_assert_eq!((fleet.sizes(), fleet.poll_timeout()), ((0, 0), None));
    Ok(said)
}

proptest! {
    #![proptest_config(runner(2_000))]

    #[test]
    fn random_inputs_leave_what_adding_everything_anew_gives_and_the_same_each_time(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        prop_assert_eq!(run(&steps)?, run(&steps)?);
    }
}

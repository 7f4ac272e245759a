//! Paths against brute force: on small random networks every way can be looked at.

use std::collections::BTreeSet;

use skerry_bus::api::PathStrategy;
use skerry_bus::ids::{LinkId, PortNo, PortRef, SwitchId};
use skerry_network::graph::Graph;
use skerry_network::path::{PATHS_MAX, PathFailure, PathRequest, Reason, best_path, k_best_paths};
use skerry_network::route::Passage;

mod common;
use common::Rng;

const NETWORKS: u64 = 2_000;
const SEED: u64 = 0x5eed_0001;

fn port(switch: u64, port: u32) -> PortRef {
    PortRef {
        switch: SwitchId(switch),
        port: PortNo(port),
    }
}

/// 2 to 6 switches, up to 14 links, parallel ones too; few different figures, so that ties are common.
fn network(rng: &mut Rng) -> (Graph, u64) {
    let switches = 2 + rng.below(5);
    let mut graph = Graph::new();
    for s in 1..=switches {
        graph.add_switch(SwitchId(s));
    }
    for n in 0..rng.below(15) as u32 {
        let (a, b) = (1 + rng.below(switches), 1 + rng.below(switches));
        let link = LinkId::new(port(a, 100 + 2 * n), port(b, 101 + 2 * n));
        let latency = (rng.below(6) != 0).then(|| 1 + rng.below(4));
        graph.add_link(link, rng.below(4) as u32, latency, rng.below(6) != 0);
    }
    (graph, switches)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    passages: Vec<Passage>,
    cost: u64,
    latency: Option<u64>,
}

impl Known {
    fn key(&self, by_latency: bool, unknown: u64) -> (u64, u64, usize, Vec<Passage>) {
        let (a, b) = if by_latency {
            (unknown, self.latency.unwrap_or(0))
        } else {
            (self.cost, 0)
        };
        (a, b, self.passages.len(), self.passages.clone())
    }
}

fn every_way(
    graph: &Graph,
    at: SwitchId,
    to: SwitchId,
    seen: &mut Vec<SwitchId>,
    so_far: &[Passage],
) -> Vec<Vec<Passage>> {
    if at == to {
        return vec![so_far.to_vec()];
    }
    let mut ways = Vec::new();
    seen.push(at);
    for edge in graph.edges_from(at) {
        if edge.usable && !seen.contains(&edge.passage.to.switch) {
            let mut next = so_far.to_vec();
            next.push(edge.passage);
            ways.extend(every_way(graph, edge.passage.to.switch, to, seen, &next));
        }
    }
    seen.pop();
    ways
}

/// All ways, best first by the order that the strategy means.
fn sorted(graph: &Graph, from: SwitchId, to: SwitchId, by_latency: bool) -> Vec<Known> {
    let mut all: Vec<(Known, u64, u64)> = every_way(graph, from, to, &mut Vec::new(), &[])
        .into_iter()
        .map(|passages| {
            let edges: Vec<_> = passages.iter().map(|p| *graph.edge(p).expect("an edge")).collect();
            let unknown = edges.iter().filter(|e| e.latency_ns.is_none()).count() as u64;
            let known: u64 = edges.iter().filter_map(|e| e.latency_ns).sum();
            let way = Known {
                cost: edges.iter().map(|e| u64::from(e.cost)).sum(),
                latency: (unknown == 0).then_some(known),
                passages,
            };
            (way, unknown, known)
        })
        .collect();
    all.sort_by_key(|(w, unknown, known)| {
        let mut key = w.key(by_latency, *unknown);
        if by_latency {
            key.1 = *known;
        }
        key
    });
    all.into_iter().map(|(w, _, _)| w).collect()
}

#[test]
fn the_best_path_and_the_next_ones_are_those_that_brute_force_finds() {
    for n in 0..NETWORKS {
        let seed = SEED + n;
        let mut rng = Rng::new(seed);
        let (graph, switches) = network(&mut rng);
        let (from, to) = (SwitchId(1), SwitchId(1 + rng.below(switches)));
        for strategy in [
            PathStrategy::Cost,
            PathStrategy::Latency,
            PathStrategy::CostAndAvailableBandwidth,
        ] {
            let request = PathRequest {
                from,
                to,
                strategy,
                max_latency_ns: Some(1),
                max_latency_tier_2_ns: None,
            };
            let expected = sorted(&graph, from, to, strategy == PathStrategy::Latency);
            match k_best_paths(&graph, &request, PATHS_MAX) {
                Ok(found) => {
                    let found: Vec<Known> = found
                        .into_iter()
                        .map(|f| Known {
                            passages: f.route.passages,
                            cost: f.cost,
                            latency: f.latency_ns,
                        })
                        .collect();
                    let expected: Vec<Known> = expected.into_iter().take(PATHS_MAX).collect();
                    assert_eq!(found, expected, "seed {seed:#x}, {strategy:?}");
                }
                Err(PathFailure::NoConnection { .. }) => assert!(expected.is_empty(), "seed {seed:#x}, {strategy:?}"),
                Err(other) => panic!("seed {seed:#x}, {strategy:?}: {other}"),
            }
        }
    }
}

#[test]
fn a_latency_limit_is_kept_at_the_least_cost_that_brute_force_finds() {
    let mut outcomes = BTreeSet::new();
    for n in 0..NETWORKS {
        let seed = SEED + n;
        let mut rng = Rng::new(seed);
        let (graph, switches) = network(&mut rng);
        let (from, to) = (SwitchId(1), SwitchId(1 + rng.below(switches)));
        let first = 1 + rng.below(8);
        let second = (rng.below(2) == 0).then(|| first + rng.below(5));
        let request = PathRequest {
            from,
            to,
            strategy: PathStrategy::MaxLatency,
            max_latency_ns: Some(first),
            max_latency_tier_2_ns: second,
        };
        let by_cost = sorted(&graph, from, to, false);
        let within = |limit: u64| by_cost.iter().find(|w| w.latency.is_some_and(|l| l <= limit));
        let expected = within(first)
            .map(|w| (w, false))
            .or_else(|| second.and_then(within).map(|w| (w, true)));
        let context = format!("seed {seed:#x}");
        match (best_path(&graph, &request), expected) {
            (Ok(found), Some((way, backup))) => {
                assert_eq!(found.route.passages, way.passages, "{context}");
                assert_eq!(found.backup, backup, "{context}");
                outcomes.insert(if backup { "backup" } else { "found" });
                for refused in &found.refused {
                    match refused.reason {
                        Reason::TooSlow { latency_ns, limit_ns } => assert!(latency_ns > limit_ns, "{context}"),
                        Reason::LinkDown(link) => assert!(refused.route.crosses(link), "{context}"),
                        Reason::LatencyUnknown(link) => assert!(refused.route.crosses(link), "{context}"),
                    }
                    outcomes.insert("refused");
                }
            }
            (Err(PathFailure::NoConnection { .. }), None) => assert!(by_cost.is_empty(), "{context}"),
            (
                Err(PathFailure::LatencyLimit {
                    limit_ns,
                    best_ns,
                    best,
                }),
                None,
            ) => {
                let fastest = by_cost.iter().filter_map(|w| w.latency).min();
                assert_eq!(Some(best_ns), fastest, "{context}");
                assert_eq!(limit_ns, second.unwrap_or(first), "{context}");
                assert!(best.connects(from, to), "{context}");
                outcomes.insert("too slow");
            }
            (Err(PathFailure::LatencyUnknown(_)), None) => {
                assert!(
                    !by_cost.is_empty() && by_cost.iter().all(|w| w.latency.is_none()),
                    "{context}"
                );
                outcomes.insert("unknown");
            }
            (found, expected) => panic!("{context}: {found:?}, expected {expected:?}"),
        }
    }
    // The networks are random; that every kind of outcome was met makes the test worth something.
    assert_eq!(
        outcomes,
        BTreeSet::from(["backup", "found", "refused", "too slow", "unknown"])
    );
}

#[test]
fn the_next_paths_keep_the_limits_too_and_backups_come_last() {
    let mut backups = 0;
    for n in 0..NETWORKS {
        let seed = SEED + n;
        let mut rng = Rng::new(seed);
        let (graph, switches) = network(&mut rng);
        let (from, to) = (SwitchId(1), SwitchId(1 + rng.below(switches)));
        let (first, more, k) = (1 + rng.below(8), rng.below(5), 1 + rng.below(6) as usize);
        let request = PathRequest {
            from,
            to,
            strategy: PathStrategy::MaxLatency,
            max_latency_ns: Some(first),
            max_latency_tier_2_ns: Some(first + more),
        };
        let by_cost = sorted(&graph, from, to, false);
        let fits = |w: &&Known, limit: u64| w.latency.is_some_and(|l| l <= limit);
        let within = by_cost.iter().filter(|w| fits(w, first)).map(|w| (w, false));
        let beyond = by_cost.iter().filter(|w| !fits(w, first) && fits(w, first + more));
        let expected: Vec<_> = within
            .chain(beyond.map(|w| (w, true)))
            .map(|(w, backup)| (w.passages.clone(), backup))
            .take(k)
            .collect();
        let found: Vec<_> = k_best_paths(&graph, &request, k)
            .unwrap_or_default()
            .into_iter()
            .map(|f| (f.route.passages, f.backup))
            .collect();
        assert_eq!(found, expected, "seed {seed:#x}");
        backups += found.iter().filter(|f| f.1).count();
    }
    assert!(backups > 50, "{backups} backups: too few to mean anything");
}

#[test]
fn a_failure_names_the_links_whose_return_would_help() {
    let mut graph = Graph::new();
    let link = LinkId::new(port(1, 1), port(2, 1));
    graph.add_link(link, 1, Some(1), false);
    let request = PathRequest {
        from: SwitchId(1),
        to: SwitchId(2),
        strategy: PathStrategy::Cost,
        max_latency_ns: None,
        max_latency_tier_2_ns: None,
    };
    let failure = best_path(&graph, &request).expect_err("no path");
    assert_eq!(
        failure.to_string(),
        format!(
            "there is no connection from switch {} to switch {}; not up: {link}",
            SwitchId(1),
            SwitchId(2)
        )
    );
    let elsewhere = PathRequest {
        to: SwitchId(9),
        ..request
    };
    assert_eq!(
        best_path(&graph, &elsewhere),
        Err(PathFailure::UnknownSwitch(SwitchId(9)))
    );
}

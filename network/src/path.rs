//! The path of a flow: the best one that its strategy and limits allow, with the reasons why better ones were refused.
//!
//! | strategy | best is | limits |
//! | --- | --- | --- |
//! | cost | least cost | none: they are watched, not enforced |
//! | latency | least latency; links without a figure only if there is no other way | none, likewise |
//! | max_latency | least cost within the first limit; else within the second, as a *backup*; without limits: as latency | enforced |
//! | cost_and_available_bandwidth | least cost; bandwidth of links is not known yet | none |

use skerry_bus::api::PathStrategy;
use skerry_bus::ids::{LinkId, SwitchId};

use crate::graph::Graph;
use crate::intent::Flow;
use crate::route::{Passage, Route};
use crate::search::{Banned, Metric, Way, Ways, cheapest_within, shortest};

/// Most paths that may be asked for at once: each costs a search for every link of the one before.
pub const PATHS_MAX: usize = 32;
/// Refused paths that are told with their reasons; more would hide the first ones.
pub const REFUSED_MAX: usize = 3;
/// Candidates that are looked at to find paths within a limit beside the best one.
const EXAMINED_MAX: usize = 128;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRequest {
    /// First switch.
    pub from: SwitchId,
    /// Last switch.
    pub to: SwitchId,
    /// What best means.
    pub strategy: PathStrategy,
    /// First limit.
    pub max_latency_ns: Option<u64>,
    /// Second limit.
    pub max_latency_tier_2_ns: Option<u64>,
}

impl PathRequest {
    /// What a flow looks for.
    pub fn of(flow: &Flow) -> PathRequest {
        PathRequest {
            from: flow.source.switch,
            to: flow.destination.switch,
            strategy: flow.strategy,
            max_latency_ns: flow.max_latency_ns,
            max_latency_tier_2_ns: flow.max_latency_tier_2_ns,
        }
    }

    fn metric(&self) -> Metric {
        match (self.strategy, self.max_latency_ns) {
            (PathStrategy::Latency, _) | (PathStrategy::MaxLatency, None) => Metric::Latency,
            (PathStrategy::Cost | PathStrategy::CostAndAvailableBandwidth | PathStrategy::MaxLatency, _) => {
                Metric::Cost
            }
        }
    }

    /// The limits that are enforced, with whether a path within them is a backup.
    fn limits(&self) -> Vec<(u64, bool)> {
        if self.strategy != PathStrategy::MaxLatency {
            return Vec::new();
        }
        let first = self.max_latency_ns.map(|ns| (ns, false));
        let second = first.and(self.max_latency_tier_2_ns).map(|ns| (ns, true));
        first.into_iter().chain(second).collect()
    }
}

/// A path that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPath {
    /// Its links.
    pub route: Route,
    /// Sum of their costs.
    pub cost: u64,
    /// Sum of their round trips; none if one of them is not known.
    pub latency_ns: Option<u64>,
    /// Whether it keeps only the second limit.
    pub backup: bool,
    /// Better ones that could not be taken, best first, at most [`REFUSED_MAX`].
    pub refused: Vec<Refused>,
}

/// A path that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its links.
    pub route: Route,
    /// Why.
    pub reason: Reason,
}

/// Why a path could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A link of it cannot be used.
    #[error("link {0} is not up")]
    LinkDown(LinkId),
    /// It is too slow.
    #[error("its latency of {latency_ns} ns is above the limit of {limit_ns} ns")]
    TooSlow {
        /// The path's.
        latency_ns: u64,
        /// What is allowed.
        limit_ns: u64,
    },
    /// Nobody can say whether it is too slow.
    #[error("the latency of link {0} is not known")]
    LatencyUnknown(LinkId),
}

/// There is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathFailure {
    /// An end is not in the network.
    #[error("switch {0} is not known")]
    UnknownSwitch(SwitchId),
    /// The ends are not connected.
    #[error("there is no connection from switch {from} to switch {to}{}", down_text(.down))]
    NoConnection {
        /// First switch.
        from: SwitchId,
        /// Last switch.
        to: SwitchId,
        /// Links whose return would connect them.
        down: Vec<LinkId>,
    },
    /// Every path is too slow.
    #[error("no path within the latency limit of {limit_ns} ns: the best one has {best_ns} ns")]
    LatencyLimit {
        /// The larger of the limits.
        limit_ns: u64,
        /// What can be had.
        best_ns: u64,
        /// By which path.
        best: Route,
    },
    /// Paths exist, but none whose latency is known.
    #[error("no path whose latency is known; the latency of link {0} is not")]
    LatencyUnknown(LinkId),
}

fn down_text(down: &[LinkId]) -> String {
    match down {
        [] => String::new(),
        links => {
            let names: Vec<String> = links.iter().map(LinkId::to_string).collect();
            format!("; not up: {}", names.join(", "))
        }
    }
}

/// The best path.
pub fn best_path(graph: &Graph, request: &PathRequest) -> Result<FoundPath, PathFailure> {
    let (way, backup) = best_way(graph, request)?;
    let mut found = found(graph, way.passages.clone(), backup);
    found.refused = refused(graph, request, &way);
    Ok(found)
}

/// The `k` best paths (at most [`PATHS_MAX`]), the best first; fewer if there are fewer.
pub fn k_best_paths(graph: &Graph, request: &PathRequest, k: usize) -> Result<Vec<FoundPath>, PathFailure> {
    let first = best_path(graph, request)?;
    let limits = request.limits();
    let mut paths = vec![first];
    for way in Ways::new(graph, request.from, request.to, request.metric()).take(EXAMINED_MAX) {
        // A backup is pushed out by a later path within the first limit.
        if paths.iter().filter(|p| !p.backup).count() >= k.min(PATHS_MAX) {
            break;
        }
        let mut other = found(graph, way.passages, false);
        if other.route == paths[0].route {
            continue;
        }
        if !limits.is_empty() {
            let fits = |(limit, _): &&(u64, bool)| other.latency_ns.is_some_and(|ns| ns <= *limit);
            match limits.iter().find(fits) {
                Some((_, backup)) => other.backup = *backup,
                None => continue,
            }
        }
        paths.push(other);
    }
    // Those that keep only the second limit come after those that keep the first; within each the order stands.
    paths.sort_by_key(|p| p.backup);
    paths.truncate(k.min(PATHS_MAX));
    Ok(paths)
}

fn best_way(graph: &Graph, request: &PathRequest) -> Result<(Way, bool), PathFailure> {
    for switch in [request.from, request.to] {
        if !graph.contains(switch) {
            return Err(PathFailure::UnknownSwitch(switch));
        }
    }
    let (from, to) = (request.from, request.to);
    let free = Banned::default();
    let Some(best) = shortest(graph, from, to, request.metric(), &free) else {
        return Err(no_connection(graph, request));
    };
    let limits = request.limits();
    let Some((largest, _)) = limits.iter().max() else {
        return Ok((best, false));
    };
    let Some(fastest) = shortest(graph, from, to, Metric::Latency, &free) else {
        return Err(no_connection(graph, request));
    };
    let (unknown, best_ns) = fastest.weight;
    if unknown > 0 {
        let link = first_unknown(graph, &fastest.passages);
        return Err(link.map_or_else(|| no_connection(graph, request), PathFailure::LatencyUnknown));
    }
    for (limit, backup) in &limits {
        if best_ns <= *limit {
            let way = cheapest_within(graph, from, to, *limit).unwrap_or_else(|| fastest.clone());
            return Ok((way, *backup));
        }
    }
    Err(PathFailure::LatencyLimit {
        limit_ns: *largest,
        best_ns,
        best: Route {
            passages: fastest.passages,
        },
    })
}

fn no_connection(graph: &Graph, request: &PathRequest) -> PathFailure {
    let everything = Banned {
        unusable_allowed: true,
        ..Banned::default()
    };
    let way = shortest(graph, request.from, request.to, Metric::Cost, &everything);
    let passages = way.map(|w| w.passages).unwrap_or_default();
    PathFailure::NoConnection {
        from: request.from,
        to: request.to,
        down: passages
            .iter()
            .filter(|p| graph.edge(p).is_some_and(|e| !e.usable))
            .map(|p| p.link())
            .collect(),
    }
}

fn first_unknown(graph: &Graph, passages: &[Passage]) -> Option<LinkId> {
    let unknown = |p: &&Passage| graph.edge(p).is_none_or(|e| e.latency_ns.is_none());
    passages.iter().find(unknown).map(|p| p.link())
}

fn found(graph: &Graph, passages: Vec<Passage>, backup: bool) -> FoundPath {
    let mut cost = 0u64;
    let mut latency_ns = Some(0u64);
    for edge in passages.iter().map(|p| graph.edge(p)) {
        cost = cost.saturating_add(edge.map_or(0, |e| u64::from(e.cost)));
        let ns = edge.and_then(|e| e.latency_ns);
        latency_ns = latency_ns.zip(ns).map(|(a, b)| a.saturating_add(b));
    }
    FoundPath {
        route: Route { passages },
        cost,
        latency_ns,
        backup,
        refused: Vec::new(),
    }
}

/// Paths that are better than the chosen one by the request's metric, and what is wrong with them.
fn refused(graph: &Graph, request: &PathRequest, chosen: &Way) -> Vec<Refused> {
    let metric = request.metric();
    let mut refused = Vec::new();
    let everything = Banned {
        unusable_allowed: true,
        ..Banned::default()
    };
    if let Some(way) = shortest(graph, request.from, request.to, metric, &everything)
        && way < *chosen
        && let Some(down) = way.passages.iter().find(|p| graph.edge(p).is_some_and(|e| !e.usable))
    {
        refused.push(Refused {
            reason: Reason::LinkDown(down.link()),
            route: Route { passages: way.passages },
        });
    }
    let limits = request.limits();
    for way in Ways::new(graph, request.from, request.to, metric).take(EXAMINED_MAX) {
        if way >= *chosen || refused.len() >= REFUSED_MAX {
            break;
        }
        let FoundPath { route, latency_ns, .. } = found(graph, way.passages, false);
        let reason = match latency_ns {
            None => first_unknown(graph, &route.passages).map(Reason::LatencyUnknown),
            Some(ns) => limits
                .iter()
                .map(|l| l.0)
                .find(|limit| ns > *limit)
                .map(|limit_ns| Reason::TooSlow {
                    latency_ns: ns,
                    limit_ns,
                }),
        };
        refused.extend(reason.map(|reason| Refused { route, reason }));
    }
    refused
}

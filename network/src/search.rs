//! Shortest ways through a [`Graph`]: by a metric, within a latency limit, and the next best ones.
//!
//! Ways are ordered by their weight, then by the number of links, then by the ports they use, so that there is exactly
//! one best way and the same question always has the same answer. What a customer's wish means is in `path`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use skerry_bus::ids::SwitchId;

use crate::graph::{Edge, Graph};
use crate::route::Passage;

/// Partial ways that one constrained search looks at. Beyond it the search gives up with what it has: a network of
/// hundreds of switches needs thousands.
const CONSTRAINED_LABELS_MAX: usize = 200_000;

/// What is added up along a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Costs.
    Cost,
    /// Latencies; a link without a figure is worse than any number of links with one.
    Latency,
}

/// A weight: compared from left to right, added up member by member.
pub type Weight = (u64, u64);

impl Metric {
    /// The weight of an edge.
    pub fn of(self, edge: &Edge) -> Weight {
        match (self, edge.latency_ns) {
            (Metric::Cost, _) => (u64::from(edge.cost), 0),
            (Metric::Latency, Some(ns)) => (0, ns),
            (Metric::Latency, None) => (1, 0),
        }
    }
}

fn add(a: Weight, b: Weight) -> Weight {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

/// A way and its weight, ordered from best to worst.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Sum of its edges.
    pub weight: Weight,
    /// Number of edges.
    pub hops: usize,
    /// The edges.
    pub passages: Vec<Passage>,
}

impl Way {
    fn start() -> Way {
        Way {
            weight: (0, 0),
            hops: 0,
            passages: Vec::new(),
        }
    }
    fn then(&self, edge: &Edge, metric: Metric) -> Way {
        let mut passages = Vec::with_capacity(self.hops + 1);
        passages.extend_from_slice(&self.passages);
        passages.push(edge.passage);
        Way {
            weight: add(self.weight, metric.of(edge)),
            hops: self.hops + 1,
            passages,
        }
    }
    fn end(&self, from: SwitchId) -> SwitchId {
        self.passages.last().map_or(from, |p| p.to.switch)
    }
}

/// What a search must not use.
#[derive(Debug, Clone, Default)]
pub struct Banned {
    /// Switches.
    pub switches: BTreeSet<SwitchId>,
    /// Edges.
    pub passages: BTreeSet<Passage>,
    /// Whether edges that are not usable may be used all the same, to explain what would be possible.
    pub unusable_allowed: bool,
}

impl Banned {
    fn allows(&self, edge: &Edge) -> bool {
        (edge.usable || self.unusable_allowed)
            && !self.switches.contains(&edge.passage.to.switch)
            && !self.passages.contains(&edge.passage)
    }
}

/// The best way.
pub fn shortest(graph: &Graph, from: SwitchId, to: SwitchId, metric: Metric, banned: &Banned) -> Option<Way> {
    let mut settled: BTreeSet<SwitchId> = BTreeSet::new();
    let mut open = BinaryHeap::from([Reverse(Way::start())]);
    while let Some(Reverse(way)) = open.pop() {
        let at = way.end(from);
        if at == to {
            return Some(way);
        }
        if !settled.insert(at) {
            continue;
        }
        for edge in graph.edges_from(at) {
            if banned.allows(edge) && !settled.contains(&edge.passage.to.switch) {
                open.push(Reverse(way.then(edge, metric)));
            }
        }
    }
    None
}

/// The way of least cost whose latency is known and at most `limit_ns`. None also when the search became too large;
/// a caller who knows that a way exists then falls back to it.
pub fn cheapest_within(graph: &Graph, from: SwitchId, to: SwitchId, limit_ns: u64) -> Option<Way> {
    // Least latency with which each switch was reached so far. Ways come out of the heap from best to worst, so a later one is
    // of use only if it is faster.
    let mut fastest: BTreeMap<SwitchId, u64> = BTreeMap::new();
    let mut open = BinaryHeap::from([Reverse((Way::start(), 0u64))]);
    let banned = Banned::default();
    for _ in 0..CONSTRAINED_LABELS_MAX {
        let Reverse((way, latency)) = open.pop()?;
        let at = way.end(from);
        if at == to {
            return Some(way);
        }
        if fastest.get(&at).is_some_and(|f| *f <= latency) {
            continue;
        }
        fastest.insert(at, latency);
        for edge in graph.edges_from(at).iter().filter(|e| banned.allows(e)) {
            let Some(latency) = edge.latency_ns.map(|ns| latency.saturating_add(ns)) else {
                continue;
            };
            if latency <= limit_ns {
                open.push(Reverse((way.then(edge, Metric::Cost), latency)));
            }
        }
    }
    None
}

/// Ways without loops, one after the other, from best to worst (Yen's algorithm).
pub struct Ways<'a> {
    graph: &'a Graph,
    from: SwitchId,
    to: SwitchId,
    metric: Metric,
    given: Vec<Way>,
    candidates: BTreeSet<Way>,
}

impl<'a> Ways<'a> {
    /// All ways between two switches over usable edges.
    pub fn new(graph: &'a Graph, from: SwitchId, to: SwitchId, metric: Metric) -> Self {
        let candidates = shortest(graph, from, to, metric, &Banned::default());
        Ways {
            graph,
            from,
            to,
            metric,
            given: Vec::new(),
            candidates: candidates.into_iter().collect(),
        }
    }

    /// Every way that leaves `way` somewhere, at its best.
    fn deviate(&mut self, way: &Way) {
        for i in 0..way.passages.len() {
            let root = &way.passages[..i];
            let spur = root.last().map_or(self.from, |p| p.to.switch);
            let mut banned = Banned {
                switches: std::iter::once(self.from)
                    .chain(root.iter().map(|p| p.to.switch))
                    .filter(|s| *s != spur)
                    .collect(),
                ..Banned::default()
            };
            for given in &self.given {
                if given.passages.get(..i) == Some(root) {
                    banned.passages.extend(given.passages.get(i));
                }
            }
            let Some(rest) = shortest(self.graph, spur, self.to, self.metric, &banned) else {
                continue;
            };
            let mut whole = Way::start();
            for passage in root.iter().chain(&rest.passages) {
                if let Some(edge) = self.graph.edge(passage) {
                    whole = whole.then(edge, self.metric);
                }
            }
            self.candidates.insert(whole);
        }
    }
}

impl Iterator for Ways<'_> {
    type Item = Way;

    fn next(&mut self) -> Option<Way> {
        // Deviations of the last one are looked for only when another is asked for.
        if let Some(last) = self.given.last().cloned() {
            self.deviate(&last);
        }
        let best = self.candidates.pop_first()?;
        self.given.push(best.clone());
        Some(best)
    }
}

//! Switches and links as path computation sees them: directed edges, each link being two.

use std::collections::BTreeMap;

use skerry_bus::ids::{LinkId, SwitchId};

use crate::route::Passage;

/// A link in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// From where to where.
    pub passage: Passage,
    /// Its cost.
    pub cost: u32,
    /// Its round trip; none: not known. The same figure that the monitor has.
    pub latency_ns: Option<u64>,
    /// Whether it may be used: the link is up.
    pub usable: bool,
}

/// The network.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    out: BTreeMap<SwitchId, Vec<Edge>>,
}

impl Graph {
    /// No switch, no link.
    pub fn new() -> Self {
        Self::default()
    }

    /// A switch, which may have no link.
    pub fn add_switch(&mut self, switch: SwitchId) {
        self.out.entry(switch).or_default();
    }

    /// A link, in both directions. A link between two ports of one switch leads nowhere and is left out.
    pub fn add_link(&mut self, link: LinkId, cost: u32, latency_ns: Option<u64>, usable: bool) {
        let there = Passage {
            from: link.a(),
            to: link.b(),
        };
        for passage in [there, there.back()] {
            self.add_edge(Edge {
                passage,
                cost,
                latency_ns,
                usable,
            });
        }
    }

    /// One direction.
    pub fn add_edge(&mut self, edge: Edge) {
        self.add_switch(edge.passage.to.switch);
        let out = self.out.entry(edge.passage.from.switch).or_default();
        if edge.passage.from.switch != edge.passage.to.switch {
            out.push(edge);
        }
    }

    /// Whether the switch is known.
    pub fn contains(&self, switch: SwitchId) -> bool {
        self.out.contains_key(&switch)
    }

    /// The edges that leave a switch.
    pub fn edges_from(&self, switch: SwitchId) -> &[Edge] {
        self.out.get(&switch).map_or(&[], Vec::as_slice)
    }

    /// The edge of a passage.
    pub fn edge(&self, passage: &Passage) -> Option<&Edge> {
        self.edges_from(passage.from.switch)
            .iter()
            .find(|e| e.passage == *passage)
    }
}

//! A way through the network: the links that a flow crosses, in order.

use serde::{Deserialize, Serialize};
use skerry_bus::api::{Direction, PathHop};
use skerry_bus::ids::{LinkId, PortNo, PortRef, SwitchId};

use crate::intent::Flow;

/// A link crossed in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Passage {
    /// Port it is left by.
    pub from: PortRef,
    /// Port it is entered by.
    pub to: PortRef,
}

impl Passage {
    /// The same link the other way.
    pub fn back(self) -> Passage {
        Passage {
            from: self.to,
            to: self.from,
        }
    }
    /// Which link it is.
    pub fn link(self) -> LinkId {
        LinkId::new(self.from, self.to)
    }
}

/// The links of a path from a flow's source to its destination; none for a flow with both ends on one switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Route {
    /// In order, from the source's switch.
    pub passages: Vec<Passage>,
}

impl Route {
    /// The links as a direction crosses them.
    pub fn along(&self, direction: Direction) -> Vec<Passage> {
        match direction {
            Direction::Forward => self.passages.clone(),
            Direction::Reverse => self.passages.iter().rev().map(|p| p.back()).collect(),
        }
    }

    /// Whether it leads from one switch to the other without a gap.
    pub fn connects(&self, from: SwitchId, to: SwitchId) -> bool {
        let mut at = from;
        for p in &self.passages {
            if p.from.switch != at {
                return false;
            }
            at = p.to.switch;
        }
        at == to
    }

    /// Whether it crosses a link.
    pub fn crosses(&self, link: LinkId) -> bool {
        self.passages.iter().any(|p| p.link() == link)
    }

    /// The links, in order.
    pub fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.passages.iter().map(|p| p.link())
    }

    /// The switches with the ports that the flow's packets use, from source to destination.
    pub fn hops(&self, flow: &Flow) -> Vec<PathHop> {
        let mut hops = Vec::with_capacity(self.passages.len() + 1);
        let mut at: (SwitchId, PortNo) = (flow.source.switch, flow.source.port);
        for p in &self.passages {
            hops.push(PathHop {
                switch_id: at.0,
                input_port: at.1,
                output_port: p.from.port,
            });
            at = (p.to.switch, p.to.port);
        }
        hops.push(PathHop {
            switch_id: at.0,
            input_port: at.1,
            output_port: flow.destination.port,
        });
        hops
    }
}

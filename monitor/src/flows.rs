//! The table of flows: limits, path as link indices, the running sum over the path, the own probe and the SLA machine's core.
//!
//! A flow is added anew only when its path changes; a link that changes adds its difference.

use std::collections::HashMap;
use std::sync::Arc;

use skerry_bus::{FlowId, LatencySource};

use crate::limits::Limits;
use crate::links::{Figure, Value};
use crate::sla::{Core, NEVER};

/// Sum over a flow's links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    ns: u64,
    /// Links that have a value, and those of them that have only a one-way value.
    pub valid: u16,
    one_way: u16,
}

impl Sum {
    pub fn add(&mut self, value: Option<Value>) {
        if let Some(value) = value {
            self.ns += value.ns;
            self.valid += 1;
            self.one_way += u16::from(value.one_way);
        }
    }

    pub fn subtract(&mut self, value: Option<Value>) {
        if let Some(value) = value {
            self.ns -= value.ns;
            self.valid -= 1;
            self.one_way -= u16::from(value.one_way);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Flow {
    /// Its name, shared with the index.
    pub name: Arc<str>,
    pub limits: Limits,
    pub latency_based: bool,
    /// Indices of the links along the path.
    pub path: Box<[u32]>,
    pub sum: Sum,
    /// Since when it has this path.
    pub path_since: u64,
    /// What its own probe measured on this path.
    pub probe: Option<Figure>,
    pub core: Core,
    /// Until then a flow that was restored keeps its state although it has no figure; [`NEVER`]: the time is over.
    pub grace: u64,
    pub armed: u64,
}

impl Flow {
    pub fn new(name: Arc<str>) -> Self {
        Flow {
            name,
            limits: Limits::default(),
            latency_based: false,
            path: Box::default(),
            sum: Sum::default(),
            path_since: 0,
            probe: None,
            core: Core::new(),
            grace: NEVER,
            armed: NEVER,
        }
    }

    /// The flow's name.
    pub fn id(&self) -> FlowId {
        self.name.parse().expect("the name was made from a FlowId")
    }

    /// Latency and its source: the own probe, else the sum if every link has a value. A flow without links (both ends on one
    /// switch) takes no time between switches: 0, known.
    pub fn latency(&self) -> Option<(u64, LatencySource)> {
        if let Some(probe) = self.probe {
            return Some((probe.ns, LatencySource::FlowProbe));
        }
        if usize::from(self.sum.valid) < self.path.len() {
            return None;
        }
        let source = if self.sum.one_way == 0 {
            LatencySource::RoundTrip
        } else {
            LatencySource::OneWay
        };
        Some((self.sum.ns, source))
    }

    /// Links with a value, of all.
    pub fn coverage(&self) -> (u32, u32) {
        (u32::from(self.sum.valid), self.path.len() as u32)
    }
}

/// Dense: a flow's index stays the same while it exists.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    rows: Vec<Option<Flow>>,
    free: Vec<u32>,
    index: HashMap<Arc<str>, u32>,
}

impl Flows {
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn find(&self, id: &FlowId) -> Option<u32> {
        self.index.get(id.as_str()).copied()
    }

    pub fn insert(&mut self, id: &FlowId) -> u32 {
        let name: Arc<str> = id.as_str().into();
        let flow = Flow::new(name.clone());
        let index = match self.free.pop() {
            Some(index) => {
                self.rows[index as usize] = Some(flow);
                index
            }
            None => {
                self.rows.push(Some(flow));
                (self.rows.len() - 1) as u32
            }
        };
        self.index.insert(name, index);
        index
    }

    pub fn remove(&mut self, index: u32) -> Option<Flow> {
        let flow = self.rows.get_mut(index as usize)?.take()?;
        self.index.remove(&flow.name);
        self.free.push(index);
        Some(flow)
    }

    pub fn get(&self, index: u32) -> Option<&Flow> {
        self.rows.get(index as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Flow> {
        self.rows.get_mut(index as usize)?.as_mut()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.rows.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_of_six_links_takes_at_most_256_bytes() {
        let row = size_of::<Option<Flow>>();
        // Its path with what the allocator adds, and its entries in the lists of its links.
        let path = 6 * size_of::<u32>() + 8;
        let passing = 6 * size_of::<u32>();
        // Its entry in the index. The text of its name, which is as long as the client likes, comes on top.
        let index = size_of::<(Arc<str>, u32)>() + 1;
        let all = row + path + passing + index;
        assert!(all <= 256, "{all} bytes, {row} of them in the row");
    }
}

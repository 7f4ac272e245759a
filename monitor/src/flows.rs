//! The table of flows, in two halves: what a changed link touches ([`Sla`], one cache line a flow), and the rest ([`Flow`]).
//!
//! A flow is added anew only when its path changes; a link that changes adds its difference.

use skerry_bus::{FlowId, LatencySource};

use crate::limits::Limits;
use crate::links::{Figure, Value};
use crate::names::{NO_FLOW, Named, Names};
use crate::sla::{Core, NEVER};

/// The half that every change of a link reads: sum, limits and state.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct Sla {
    sum_ns: u64,
    /// Links that have a value, those of them that have only a one-way value, and all.
    valid: u16,
    one_way: u16,
    total: u16,
    pub latency_based: bool,
    /// Whether the other half has to be looked at too: [`Own`] is something.
    pub own: bool,
    pub limits: Limits,
    pub core: Core,
}

impl Sla {
    fn new() -> Self {
        Sla {
            sum_ns: 0,
            valid: 0,
            one_way: 0,
            total: 0,
            latency_based: false,
            own: false,
            limits: Limits::default(),
            core: Core::new(),
        }
    }

    /// Begins a sum over `total` links.
    pub fn sum_anew(&mut self, total: u16) {
        (self.sum_ns, self.valid, self.one_way, self.total) = (0, 0, 0, total);
    }

    pub fn add(&mut self, value: Option<Value>) {
        if let Some(value) = value {
            self.sum_ns += value.ns;
            self.valid += 1;
            self.one_way += u16::from(value.one_way);
        }
    }

    pub fn subtract(&mut self, value: Option<Value>) {
        if let Some(value) = value {
            self.sum_ns -= value.ns;
            self.valid -= 1;
            self.one_way -= u16::from(value.one_way);
        }
    }

    /// Sum and source, if every link has a value. A flow without links (both ends on one switch) takes no time between
    /// switches: 0, known.
    pub fn sum(&self) -> Option<(u64, LatencySource)> {
        let source = if self.one_way == 0 {
            LatencySource::RoundTrip
        } else {
            LatencySource::OneWay
        };
        (self.valid == self.total).then_some((self.sum_ns, source))
    }

    /// Links with a value, of all.
    pub fn coverage(&self) -> (u32, u32) {
        (u32::from(self.valid), u32::from(self.total))
    }
}

/// What a flow has beside the sum over its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    Nothing,
    /// What its own probe measured on this path.
    Probe(Figure),
    /// It was restored and keeps its state until then although it has no figure yet.
    Grace {
        until: u64,
    },
}

/// Links that fit into a row. Longer paths have their own place in memory.
const SHORT: usize = 7;

/// Indices of the links along a path.
#[derive(Debug, Clone)]
pub(crate) enum Path {
    Short { len: u8, links: [u32; SHORT] },
    Long(Box<[u32]>),
}

impl Path {
    pub fn links(&self) -> &[u32] {
        match self {
            Path::Short { len, links } => &links[..usize::from(*len)],
            Path::Long(links) => links,
        }
    }
}

impl From<Vec<u32>> for Path {
    fn from(path: Vec<u32>) -> Self {
        let mut links = [0; SHORT];
        match links.get_mut(..path.len()) {
            Some(place) => {
                place.copy_from_slice(&path);
                Path::Short {
                    len: path.len() as u8,
                    links,
                }
            }
            None => Path::Long(path.into()),
        }
    }
}

/// The half that is needed when something happens to the flow itself.
#[derive(Debug)]
pub(crate) struct Flow {
    name: Box<str>,
    /// The next flow in the index's chain, or [`NO_FLOW`].
    next: u32,
    pub path: Path,
    /// Since when it has this path.
    pub path_since: u64,
    pub own: Own,
    /// When it is woken, see [`crate::timers::Timers::arm`].
    pub armed: u64,
}

impl Flow {
    /// The flow's name.
    pub fn id(&self) -> FlowId {
        self.name.parse().expect("the name was made from a FlowId")
    }

    /// When what it has of its own expires.
    pub fn own_deadline(&self, probe_expiry: u64) -> u64 {
        match self.own {
            Own::Nothing => NEVER,
            Own::Probe(probe) => probe.at.saturating_add(probe_expiry),
            Own::Grace { until } => until,
        }
    }
}

/// Latency of a flow and its source: the own probe, else the sum over its links.
pub(crate) fn latency(sla: &Sla, flow: &Flow) -> Option<(u64, LatencySource)> {
    match flow.own {
        Own::Probe(probe) => Some((probe.ns, LatencySource::FlowProbe)),
        Own::Nothing | Own::Grace { .. } => sla.sum(),
    }
}

/// Dense: a flow's index stays the same while it exists.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    slas: Vec<Sla>,
    rows: Vec<Option<Flow>>,
    free: Vec<u32>,
    names: Names,
}

impl Flows {
    pub fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    pub fn find(&self, id: &FlowId) -> Option<u32> {
        self.names.find(id.as_str(), &self.rows)
    }

    pub fn insert(&mut self, id: &FlowId) -> u32 {
        let flow = Flow {
            name: id.as_str().into(),
            next: NO_FLOW,
            path: Path::from(Vec::new()),
            path_since: 0,
            own: Own::Nothing,
            armed: NEVER,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.rows[index as usize] = Some(flow);
                self.slas[index as usize] = Sla::new();
                index
            }
            None => {
                self.rows.push(Some(flow));
                self.slas.push(Sla::new());
                (self.rows.len() - 1) as u32
            }
        };
        self.names.insert(index, &mut self.rows);
        index
    }

    pub fn remove(&mut self, index: u32) -> Option<Flow> {
        self.rows.get(index as usize)?.as_ref()?;
        self.names.remove(index, &mut self.rows);
        self.free.push(index);
        self.rows[index as usize].take()
    }

    /// The half that changed links read.
    pub fn sla_mut(&mut self, index: u32) -> Option<&mut Sla> {
        self.slas.get_mut(index as usize)
    }

    pub fn get(&self, index: u32) -> Option<(&Sla, &Flow)> {
        Some((self.slas.get(index as usize)?, self.rows.get(index as usize)?.as_ref()?))
    }

    pub fn get_mut(&mut self, index: u32) -> Option<(&mut Sla, &mut Flow)> {
        Some((
            self.slas.get_mut(index as usize)?,
            self.rows.get_mut(index as usize)?.as_mut()?,
        ))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Sla, &Flow)> {
        let rows = self.slas.iter().zip(&self.rows);
        rows.filter_map(|(sla, flow)| Some((sla, flow.as_ref()?)))
    }
}

impl Named for Option<Flow> {
    fn name(&self) -> &str {
        self.as_ref().map_or("", |flow| &flow.name)
    }

    fn next(&self) -> u32 {
        self.as_ref().map_or(NO_FLOW, |flow| flow.next)
    }

    fn set_next(&mut self, next: u32) {
        if let Some(flow) = self {
            flow.next = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_of_six_links_takes_at_most_256_bytes() {
        assert_eq!(size_of::<Sla>(), 64, "one cache line");
        let row = size_of::<Option<Flow>>();
        assert!(row <= 96, "{row}");
        // What the allocator takes for a name of up to 24 letters, entries in the lists of its links in vectors that are
        // half to all full, the entry in the index in a table that is half full.
        let all = 64 + row + 32 + 6 * size_of::<u32>() * 4 / 3 + 2 * (size_of::<(u32, u32)>() + 1);
        assert!(all <= 256, "{all}");
    }
}

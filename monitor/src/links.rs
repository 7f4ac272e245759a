//! The table of links: what was measured of each, and which flows pass it.
//!
//! A link has one figure for both directions: a round trip is the same from either end, so a measurement
//! from one end replaces that from the other. Two figures are kept, by source; the value is the
//! round trip while it is valid, else the one way (which the speaker has doubled already, so that it stands for a
//! round trip too), else none.

use std::collections::HashMap;

use skerry_bus::{LatencySource, LinkId};

use crate::sla::NEVER;

/// Longest figure that is accepted, nanoseconds: a minute. Nothing that is still seen as a link takes that long, and the
/// sum over the longest path stays far from the end of 64 bits.
pub const LINK_LATENCY_MAX_NS: u64 = 60_000_000_000;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    pub ns: u64,
    /// When it was measured.
    pub at: u64,
}

/// What counts for the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub ns: u64,
    pub one_way: bool,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub id: LinkId,
    pub round_trip: Option<Figure>,
    pub one_way: Option<Figure>,
    /// The value that the flows have added.
    pub added: Option<Value>,
    /// Indices of the flows that pass it, once per passage.
    pub flows: Vec<u32>,
    /// Measurements behind the figures since it is known.
    pub samples: u64,
    pub armed: u64,
}

impl Link {
    pub fn value(&self) -> Option<Value> {
        match (self.round_trip, self.one_way) {
            (Some(figure), _) => Some(Value {
                ns: figure.ns,
                one_way: false,
            }),
            (None, Some(figure)) => Some(Value {
                ns: figure.ns,
                one_way: true,
            }),
            (None, None) => None,
        }
    }

    /// The figure behind the value.
    pub fn figure(&self) -> Option<(Figure, LatencySource)> {
        match (self.round_trip, self.one_way) {
            (Some(figure), _) => Some((figure, LatencySource::RoundTrip)),
            (None, Some(figure)) => Some((figure, LatencySource::OneWay)),
            (None, None) => None,
        }
    }

    /// Drops figures that have reached their expiry at `now`.
    pub fn expire(&mut self, now: u64, expiry: u64) {
        for figure in [&mut self.round_trip, &mut self.one_way] {
            if figure.is_some_and(|figure| figure.at.saturating_add(expiry) <= now) {
                *figure = None;
            }
        }
    }

    /// When the next figure expires.
    pub fn deadline(&self, expiry: u64) -> u64 {
        let of = |figure: Option<Figure>| figure.map_or(NEVER, |figure| figure.at.saturating_add(expiry));
        of(self.round_trip).min(of(self.one_way))
    }

    /// Whether nothing would be lost with it.
    pub fn is_idle(&self) -> bool {
        self.flows.is_empty() && self.round_trip.is_none() && self.one_way.is_none()
    }
}

/// Dense: a link's index stays the same while it is known.
#[derive(Debug, Default)]
pub(crate) struct Links {
    rows: Vec<Option<Link>>,
    free: Vec<u32>,
    index: HashMap<LinkId, u32>,
}

impl Links {
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn find(&self, id: LinkId) -> Option<u32> {
        self.index.get(&id).copied()
    }

    /// The index of a link, which becomes known if it is not.
    pub fn intern(&mut self, id: LinkId) -> u32 {
        if let Some(&index) = self.index.get(&id) {
            return index;
        }
        let link = Link {
            id,
            round_trip: None,
            one_way: None,
            added: None,
            flows: Vec::new(),
            samples: 0,
            armed: NEVER,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.rows[index as usize] = Some(link);
                index
            }
            None => {
                self.rows.push(Some(link));
                (self.rows.len() - 1) as u32
            }
        };
        self.index.insert(id, index);
        index
    }

    pub fn forget(&mut self, index: u32) {
        if let Some(link) = self.rows[index as usize].take() {
            self.index.remove(&link.id);
            self.free.push(index);
        }
    }

    pub fn get(&self, index: u32) -> Option<&Link> {
        self.rows.get(index as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Link> {
        self.rows.get_mut(index as usize)?.as_mut()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.rows.iter().flatten()
    }
}

//! A cable between two ports, or between a host and a port: how long packets take, and whether they get through.

use std::time::{Duration, Instant};

use skerry_bus::PortRef;

/// The shortest delay. Two ends are never at the same instant, so that a packet that goes round takes time.
pub const DELAY_MIN: Duration = Duration::from_micros(10);
/// The longest: beyond it nothing is measured any more.
pub const DELAY_MAX: Duration = Duration::from_secs(5);

/// What is at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A port of a switch.
    Port(PortRef),
    /// A host, by its index.
    Host(usize),
}

/// Whether packets get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// They do.
    Joined,
    /// They do not, and both ends know.
    Cut,
    /// They do not, and nobody knows.
    Silent,
}

impl Carriage {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Carriage::Joined => "joined",
            Carriage::Cut => "cut",
            Carriage::Silent => "silent",
        }
    }
}

/// A cable.
#[derive(Debug)]
pub struct Cable {
    /// Its name, empty for a host's.
    pub name: String,
    /// What it joins.
    pub ends: [Place; 2],
    /// From the first end to the second, and back.
    pub delays: [Duration; 2],
    /// Whether packets get through.
    pub carriage: Carriage,
    /// When the last packet of each direction arrives: packets of a cable never overtake each other.
    last: [Option<Instant>; 2],
}

impl Cable {
    /// A cable that carries.
    pub fn new(name: &str, ends: [Place; 2], delays: [Duration; 2]) -> Cable {
        Cable {
            name: name.to_owned(),
            ends,
            delays: delays.map(|delay| delay.clamp(DELAY_MIN, DELAY_MAX)),
            carriage: Carriage::Joined,
            last: [None; 2],
        }
    }

    /// A packet enters at end `from`: where and when it comes out, if it does.
    pub fn enter(&mut self, from: usize, at: Instant) -> Option<(Place, Instant)> {
        if self.carriage != Carriage::Joined {
            return None;
        }
        let (delay, last) = (self.delays.get(from)?, self.last.get_mut(from)?);
        let arrives = last.map_or(at + *delay, |last| last.max(at + *delay));
        *last = Some(arrives);
        Some((*self.ends.get(1 - from)?, arrives))
    }
}

//! The simulated network's shape: a ring of switches with two hosts and a sink device.
//!
//! ```text
//!          host a                     host b   sink
//!            |10                        |10     |11
//!            s1 1 --- 2 s2 1 --- ... --- s(n/2+1) 1 --- ... --- 2 sn 1 --- 2 s1
//! ```
//!
//! Port 1 leads to the next switch, port 2 to the one before, port 10 to a host, port 11 to the sink device, as in the
//! laboratory's ring of real switches.

use std::time::Duration;

use skerry_bus::{PortNo, PortRef, SwitchId};

/// Switches of a ring: two are the fewest that make one. Each has two threads for each controller, so there is a limit.
pub const RING: std::ops::RangeInclusive<u64> = 2..=32;

const PORT_NEXT: PortNo = PortNo(1);
const PORT_PREVIOUS: PortNo = PortNo(2);
const PORT_HOST: PortNo = PortNo(10);
const PORT_SINK: PortNo = PortNo(11);

/// A link between two switches.
#[derive(Debug, Clone)]
pub struct Link {
    /// `s1-s2` and so on.
    pub name: String,
    /// Port 1 of the first switch and port 2 of the second.
    pub ends: [PortRef; 2],
    /// There and back.
    pub delays: [Duration; 2],
}

/// A host and where it is.
#[derive(Debug, Clone)]
pub struct HostAt {
    /// `a`, `b` or `sink`.
    pub name: &'static str,
    /// Its port.
    pub at: PortRef,
    /// Number of the host it sends to, counted from 1.
    pub peer: u8,
}

/// A ring.
#[derive(Debug, Clone)]
pub struct Topology {
    size: u64,
    /// The links, in order.
    pub links: Vec<Link>,
    /// The hosts.
    pub hosts: Vec<HostAt>,
}

impl Topology {
    /// A ring of `size` switches with ids from 1. `delays` is the one-way delay of each link, or one for all.
    ///
    /// # Errors
    /// Another number of switches than [`RING`] allows, or of delays than there are links.
    pub fn ring(size: u64, delays: &[Duration]) -> Result<Topology, String> {
        if !RING.contains(&size) {
            return Err(format!("a ring has {} to {} switches", RING.start(), RING.end()));
        }
        let delay = |link: u64| match delays {
            [one] => Some(*one),
            all => all.get(usize::try_from(link).ok()?).copied(),
        };
        if delays.len() != 1 && delays.len() as u64 != size {
            return Err(format!(
                "{} delays: one for all links or one for each of {size} is needed",
                delays.len()
            ));
        }
        let port = |switch, port| PortRef {
            switch: SwitchId(switch),
            port,
        };
        let links = (0..size).filter_map(|index| {
            let (from, to) = (index + 1, (index + 1) % size + 1);
            Some(Link {
                name: format!("s{from}-s{to}"),
                ends: [port(from, PORT_NEXT), port(to, PORT_PREVIOUS)],
                delays: [delay(index)?; 2],
            })
        });
        let far = size / 2 + 1;
        let host = |name, at, peer| HostAt { name, at, peer };
        Ok(Topology {
            size,
            links: links.collect(),
            hosts: vec![
                host("a", port(1, PORT_HOST), 2),
                host("b", port(far, PORT_HOST), 1),
                host("sink", port(far, PORT_SINK), 2),
            ],
        })
    }

    /// The ids of its switches.
    pub fn switches(&self) -> impl Iterator<Item = SwitchId> + use<> {
        (1..=self.size).map(SwitchId)
    }
}

//! No link without a fresh signed packet: a link that is told to be up has a cable, and packets came through it both ways.

use std::collections::BTreeMap;

use skerry_bus::service::LinkStatus;
use skerry_bus::{Decoded, PortNo, PortRef, VirtualEvent, VirtualEventBody, decode};

use super::{Verdict, contains};
use crate::scenario::Scenario;
use crate::time::{MS, Ns, SECOND};

/// How old the last packet of a link may be when the link is told to be up. Discovery is each second; word of it waits while
/// the log is away, and a snapshot tells it again after that.
const FRESH: Ns = 12 * SECOND;

/// All cables.
pub struct Links {
    /// Which port is at the other end.
    peers: BTreeMap<PortRef, PortRef>,
    /// Ports by the place of their switch.
    names: Vec<skerry_bus::SwitchId>,
    /// When a packet came in last from the cable.
    crossed: BTreeMap<PortRef, Ns>,
}

impl Links {
    /// Nothing came yet.
    pub fn new(scenario: &Scenario) -> Links {
        let name = |(switch, port): (usize, PortNo)| PortRef {
            switch: scenario.switches[switch].id,
            port,
        };
        let ends = scenario.cables.iter().flat_map(|cable| {
            let (a, b) = (name(cable.a), name(cable.b));
            [(a, b), (b, a)]
        });
        Links {
            peers: ends.collect(),
            names: scenario.switches.iter().map(|plan| plan.id).collect(),
            crossed: BTreeMap::new(),
        }
    }

    /// A packet came through a cable.
    pub fn crossed(&mut self, now: Ns, switch: usize, port: PortNo) {
        let switch = self.names[switch];
        self.crossed.insert(PortRef { switch, port }, now);
    }

    /// A virtual event is told.
    pub fn told(&self, now: Ns, payload: &[u8]) -> Verdict {
        if !contains(payload, b"\"link_changed\"") {
            return Ok(());
        }
        let Decoded::Message(event) = decode::<VirtualEvent>(payload) else {
            return Err("a virtual event that nobody can read".to_owned());
        };
        let VirtualEventBody::LinkChanged {
            link,
            to: LinkStatus::Up,
            ..
        } = event.event
        else {
            return Ok(());
        };
        if self.peers.get(&link.a()) != Some(&link.b()) {
            return Err(format!("{link} is told to be up and there is no such cable"));
        }
        for end in [link.a(), link.b()] {
            let last = self.crossed.get(&end).copied();
            if last.is_none_or(|last| now - last > FRESH) {
                let ms = last.map(|last| (now - last) / MS);
                return Err(format!(
                    "{link} is told to be up; the last packet came in at {end} {ms:?} ms ago"
                ));
            }
        }
        Ok(())
    }
}

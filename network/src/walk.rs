//! A packet's way across the network: every switch's pipeline and the links between them.

use std::collections::{BTreeMap, VecDeque};

use skerry_bus::ids::{PortRef, SwitchId};
use skerry_bus::objects::Objects;

use crate::packet::Packet;
use crate::pipeline::{Emission, process};

/// What becomes of a packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Copies that left the network, in the order they left.
    pub delivered: Vec<(PortRef, Packet)>,
    /// Copies that went to a controller, with the port they had come in on.
    pub to_controller: Vec<(PortRef, Packet)>,
    /// Pipelines passed.
    pub visits: usize,
    /// Whether the limit of visits ended it: packets were still under way.
    pub cut_off: bool,
}

/// Lets a packet loose at `entry`. `objects` tells what the switch of the n-th visit holds (so that a test can
/// change the network under a packet); `links` joins ports both ways; at most `visits_max` pipelines are passed.
pub fn walk<'a>(
    mut objects: impl FnMut(usize, SwitchId) -> Option<&'a Objects>,
    links: &BTreeMap<PortRef, PortRef>,
    entry: PortRef,
    packet: Packet,
    visits_max: usize,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut under_way = VecDeque::from([(0usize, entry, packet)]);
    while let Some((depth, at, packet)) = under_way.pop_front() {
        if outcome.visits == visits_max {
            outcome.cut_off = true;
            break;
        }
        outcome.visits += 1;
        let Some(held) = objects(depth, at.switch) else {
            continue;
        };
        for emission in process(held, at.port, &packet) {
            match emission {
                Emission::Controller(copy) => outcome.to_controller.push((at, copy)),
                Emission::Port(port, copy) => {
                    let out = PortRef {
                        switch: at.switch,
                        port,
                    };
                    match links.get(&out) {
                        Some(far) => under_way.push_back((depth + 1, *far, copy)),
                        None => outcome.delivered.push((out, copy)),
                    }
                }
            }
        }
    }
    outcome
}

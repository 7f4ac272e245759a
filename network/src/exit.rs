//! Exits: the places where a flow's packets leave a rule and copies of them can be made.
//!
//! An exit of a direction is its ingress rule or its egress rule; on a one-switch flow one rule is both. Its
//! group is of type ALL: first bucket the flow, then one for each mirror point. What a group's buckets expect
//! is a function of the exit alone, never of the path or of the points, so that a group changes by MODIFY
//! while the rule stays, and the rule changes while the group stays:
//!
//! * an ingress exit hands over the customer's payload without any tag, and the flow bucket puts the transit
//!   tag on and chooses the link; so a reroute is one MODIFY of one group;
//! * any other exit hands over the packet as the flow's customer gets it, and the flow bucket only sends it.
//!
//! A copy carries the sink's tags and the customer's payload, whatever the flow's tags were. Where that takes
//! more than one action set can do, the bucket hands over to an INDIRECT group (a *chain*), which is named by
//! its content and never changed.

use serde::{Deserialize, Serialize};
use skerry_bus::api::{Direction, JoinDelivery};
use skerry_bus::ids::{Endpoint, PointId, PortNo, SwitchId};
use skerry_bus::objects::{Action, Bucket, OutPort};

use crate::intent::{Flow, JoinPoint, Leg, MirrorPoint};
use crate::tags::{action_sets, rewrite, tags_after_pre_ingress, tags_of};

/// An exit. Two exits that differ in anything a copy depends on are different ones, with different groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exit {
    /// Direction of the packets.
    pub direction: Direction,
    /// The customer's endpoint they came in by, if that is at this switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Endpoint>,
    /// The customer's endpoint they go out by, if that is at this switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Endpoint>,
}

/// Where the flow goes on from an ingress exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uplink {
    /// Link port.
    pub port: PortNo,
    /// Transit tag.
    pub vlan: u16,
}

impl Exit {
    /// The exit of a direction at a switch; none if the switch is not an end of the flow.
    pub fn at(flow: &Flow, direction: Direction, switch: SwitchId) -> Option<Exit> {
        let leg = flow.leg(direction);
        let here = |e: Endpoint| (e.switch == switch).then_some(e);
        let (from, to) = (here(leg.from), here(leg.to));
        (from.is_some() || to.is_some()).then_some(Exit { direction, from, to })
    }

    /// All exits of a flow: two for each direction, or one if both ends are on one switch.
    pub fn all(flow: &Flow) -> Vec<(SwitchId, Exit)> {
        let mut exits = Vec::new();
        for leg in flow.legs() {
            let mut switches = vec![leg.from.switch];
            if leg.to.switch != leg.from.switch {
                switches.push(leg.to.switch);
            }
            for switch in switches {
                exits.extend(Exit::at(flow, leg.direction, switch).map(|e| (switch, e)));
            }
        }
        exits
    }

    /// The tags with which packets are handed to the group, bottom first.
    pub fn handed_over(&self) -> Vec<u16> {
        self.to.map(|e| tags_of(&e)).unwrap_or_default()
    }

    /// How a packet of this exit gets out of `port`.
    pub fn out(&self, port: PortNo) -> OutPort {
        out_port(self.from, port)
    }

    /// The mirror points that copy this exit, by name.
    pub fn mirrors<'a>(&self, flow: &'a Flow, switch: SwitchId) -> impl Iterator<Item = &'a MirrorPoint> + use<'a> {
        let direction = self.direction;
        flow.mirrors
            .values()
            .filter(move |m| m.switch == switch && m.direction == direction)
    }

    /// The buckets after the flow's own.
    pub fn copies(&self, flow: &Flow, switch: SwitchId) -> Vec<Outlet> {
        let tags = self.handed_over();
        self.mirrors(flow, switch)
            .map(|m| Outlet::new(&tags, &tags_of(&m.sink), self.out(m.sink.port)))
            .collect()
    }

    /// The flow's own bucket. `uplink` is looked at by an ingress exit only.
    pub fn flow_copy(&self, uplink: Option<Uplink>) -> Option<Outlet> {
        match (self.to, uplink) {
            (Some(to), _) => Some(Outlet::new(&[], &[], self.out(to.port))),
            (None, Some(up)) => Some(Outlet::new(&[], &[up.vlan], OutPort::Port(up.port))),
            (None, None) => None,
        }
    }
}

/// A plain number would be dropped where a packet goes out of the port it came in by.
pub fn out_port(from: Option<Endpoint>, port: PortNo) -> OutPort {
    if from.is_some_and(|e| e.port == port) {
        OutPort::InPort
    } else {
        OutPort::Port(port)
    }
}

/// A packet's way from one stack of tags to another and out: a bucket, and a chain if one bucket cannot do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlet {
    first: Vec<Action>,
    chain: Option<Bucket>,
}

impl Outlet {
    /// From the stack `current` to `target` and out.
    pub fn new(current: &[u16], target: &[u16], out: OutPort) -> Outlet {
        let mut sets = action_sets(rewrite(current, target));
        let mut last = if sets.len() > 1 { sets.pop() } else { None };
        let mut first = sets.concat();
        match &mut last {
            Some(actions) => actions.push(Action::Output(out)),
            None => first.push(Action::Output(out)),
        }
        Outlet {
            first,
            chain: last.map(|actions| Bucket { actions }),
        }
    }

    /// The one bucket of the INDIRECT group that it needs, if it needs one.
    pub fn chain(&self) -> Option<&Bucket> {
        self.chain.as_ref()
    }

    /// The bucket, with the id of its chain found by `chain_id`; none if there is no such id.
    pub fn bucket(&self, chain_id: impl FnOnce(&Bucket) -> Option<u32>) -> Option<Bucket> {
        let mut actions = self.first.clone();
        if let Some(chain) = &self.chain {
            actions.push(Action::Group(chain_id(chain)?));
        }
        Some(Bucket { actions })
    }
}

/// The ways of what joins a flow: along the direction that begins at the join switch for `network`, against it for
/// `local`. `uplink` is needed for `network` on a flow with its ends on two switches; without it that copy is left out.
pub fn join_copies(leg: &Leg, sink: &Endpoint, delivery: JoinDelivery, uplink: Option<Uplink>) -> Vec<Outlet> {
    let tags = tags_after_pre_ingress(sink);
    let mut copies = Vec::new();
    let to_customer = |e: Endpoint| Outlet::new(&tags, &tags_of(&e), out_port(Some(*sink), e.port));
    if matches!(delivery, JoinDelivery::Network | JoinDelivery::Both) {
        if leg.to.switch == leg.from.switch {
            copies.push(to_customer(leg.to));
        } else if let Some(up) = uplink {
            copies.push(Outlet::new(&tags, &[up.vlan], OutPort::Port(up.port)));
        }
    }
    if matches!(delivery, JoinDelivery::Local | JoinDelivery::Both) {
        copies.push(to_customer(leg.from));
    }
    copies
}

/// What a group of a join point holds: its own copies while `sink` joins the flow by this name, and otherwise,
/// because groups stay, the `network` one alone.
pub fn join_slot_copies(
    flow: &Flow,
    leg: &Leg,
    point: &PointId,
    sink: &Endpoint,
    uplink: Option<Uplink>,
) -> Vec<Outlet> {
    let delivery = match joined(flow, point, sink) {
        Some(join) => join.delivery,
        None => JoinDelivery::Network,
    };
    join_copies(leg, sink, delivery, uplink)
}

/// The join point of this name, if it is the one with this sink.
pub fn joined<'a>(flow: &'a Flow, point: &PointId, sink: &Endpoint) -> Option<&'a JoinPoint> {
    flow.joins.get(point).filter(|j| j.sink == *sink)
}

/// Every INDIRECT group that a flow's groups need, given which of them exist.
pub fn chains(
    flow: &Flow,
    exits: &[(SwitchId, Exit)],
    slots: &[(SwitchId, PointId, Endpoint)],
) -> Vec<(SwitchId, Bucket)> {
    let mut found: Vec<(SwitchId, Bucket)> = Vec::new();
    let mut add = |switch: SwitchId, copies: Vec<Outlet>| {
        for chain in copies.into_iter().filter_map(|c| c.chain) {
            if !found.contains(&(switch, chain.clone())) {
                found.push((switch, chain));
            }
        }
    };
    for (switch, exit) in exits {
        add(*switch, exit.copies(flow, *switch));
    }
    for (switch, point, sink) in slots {
        if let Some(leg) = flow.leg_from(*switch) {
            add(*switch, join_slot_copies(flow, &leg, point, sink, None));
        }
    }
    found
}

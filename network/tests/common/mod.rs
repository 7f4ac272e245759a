//! What the tests of this crate share: a ring of four switches, endpoints, and a generator with a seed.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;

use skerry_bus::api::{EndpointBody, FlowRequest, JoinDelivery, PathStrategy};
use skerry_bus::ids::{Endpoint, LinkId, PortNo, PortRef, SwitchId};
use skerry_bus::objects::Objects;
use skerry_network::graph::Graph;
use skerry_network::packet::Packet;
use skerry_network::walk::{Outcome, walk};
use skerry_network::{Flow, PerSwitch, Route, service_objects};

/// A small generator (xorshift64*) with a seed that every failure prints.
pub struct Rng(u64);

impl Rng {
    /// Any seed.
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.number() >> 16) % n
    }
    /// One of a list.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// Switches of the ring: 1-2-3-4-1. Port 10 leads to the next one, port 11 to the one before.
pub const SWITCHES: u64 = 4;

pub fn port(switch: u64, port: u32) -> PortRef {
    PortRef {
        switch: SwitchId(switch),
        port: PortNo(port),
    }
}

pub fn endpoint(switch: u64, port: u32, vlan: u16, inner_vlan: u16) -> Endpoint {
    Endpoint {
        switch: SwitchId(switch),
        port: PortNo(port),
        vlan,
        inner_vlan,
    }
}

/// The ring's links.
pub fn ring() -> Vec<LinkId> {
    (1..=SWITCHES)
        .map(|s| LinkId::new(port(s, 10), port(s % SWITCHES + 1, 11)))
        .collect()
}

/// Links as the walk wants them.
pub fn cables(links: &[LinkId]) -> BTreeMap<PortRef, PortRef> {
    links.iter().flat_map(|l| [(l.a(), l.b()), (l.b(), l.a())]).collect()
}

/// Two ways round the ring between two switches.
pub fn routes(from: u64, to: u64) -> Vec<Route> {
    use skerry_network::path::{PathRequest, k_best_paths};
    let mut graph = Graph::new();
    for link in ring() {
        graph.add_link(link, 1, None, true);
    }
    let request = PathRequest {
        from: SwitchId(from),
        to: SwitchId(to),
        strategy: PathStrategy::Cost,
        max_latency_ns: None,
        max_latency_tier_2_ns: None,
    };
    let paths = k_best_paths(&graph, &request, 2).expect("the ring is connected");
    paths.into_iter().map(|p| p.route).collect()
}

pub fn request(source: Endpoint, destination: Endpoint, bandwidth: u32) -> FlowRequest {
    FlowRequest {
        source: EndpointBody::from(source),
        destination: EndpointBody::from(destination),
        maximum_bandwidth: bandwidth,
        max_latency: None,
        max_latency_tier_2: None,
        path_computation_strategy: PathStrategy::Cost,
        pinned: false,
        priority: None,
        description: String::new(),
    }
}

pub fn flow(id: &str, source: Endpoint, destination: Endpoint) -> Flow {
    Flow::from_request(id.parse().expect("a name"), &request(source, destination, 1_000))
}

/// What all switches of the ring hold for no flow.
pub fn services() -> PerSwitch {
    (1..=SWITCHES)
        .map(|s| (SwitchId(s), service_objects(SwitchId(s), [PortNo(10), PortNo(11)])))
        .collect()
}

/// The union of what several owners want.
pub fn union<'a>(owners: impl IntoIterator<Item = &'a PerSwitch>) -> PerSwitch {
    let mut all = PerSwitch::new();
    for owner in owners {
        for (switch, objects) in owner {
            all.entry(*switch).or_default().extend(objects.clone());
        }
    }
    all
}

/// Sends a packet with `tags` (bottom first) into `at` and tells where which copies came out, sorted.
pub fn send(state: &PerSwitch, at: Endpoint, tags: &[u16], payload: &[u8]) -> Vec<(PortRef, Packet)> {
    let outcome = send_through(|_, s| state.get(&s), at, tags, payload);
    let mut delivered = outcome.delivered;
    delivered.sort();
    delivered
}

/// The same with a state for each visit.
pub fn send_through<'a>(
    state: impl FnMut(usize, SwitchId) -> Option<&'a Objects>,
    at: Endpoint,
    tags: &[u16],
    payload: &[u8],
) -> Outcome {
    let packet = Packet::tagged(tags, payload);
    let outcome = walk(state, &cables(&ring()), at.port_ref(), packet, 32);
    assert!(!outcome.cut_off, "a packet circles");
    assert!(
        outcome.to_controller.is_empty(),
        "a customer's packet went to a controller"
    );
    outcome
}

/// A customer's own tags with an endpoint's tags above them.
pub fn with_tags(own: &[u16], endpoint: Endpoint) -> Vec<u16> {
    let mut tags = own.to_vec();
    tags.extend(skerry_network::tags::tags_of(&endpoint));
    tags
}

/// What must come out at an endpoint.
pub fn arrival(at: Endpoint, own: &[u16], payload: &[u8]) -> (PortRef, Packet) {
    (at.port_ref(), Packet::tagged(&with_tags(own, at), payload))
}

/// All deliveries.
pub const DELIVERIES: [JoinDelivery; 3] = [JoinDelivery::Network, JoinDelivery::Local, JoinDelivery::Both];

/// Every rule's meter and group, and every bucket's group, must be there.
pub fn assert_refers_to_what_is_there(objects: &Objects, context: &str) {
    use skerry_bus::objects::Action;
    for rule in objects.rules.values() {
        if let Some(meter) = rule.meter {
            assert!(
                objects.meters.contains_key(&meter),
                "{context}: no meter {meter} for {rule:?}"
            );
        }
        for action in &rule.apply {
            if let Action::Group(id) = action {
                assert!(objects.groups.contains_key(id), "{context}: no group {id} for {rule:?}");
            }
        }
    }
    for group in objects.groups.values() {
        assert!(!group.buckets.is_empty(), "{context}: {group:?}");
        for id in group.refers_to() {
            assert!(
                objects.groups.contains_key(&id),
                "{context}: no group {id} for {group:?}"
            );
        }
    }
}

//! What is wrong with a wish, field by field, before anything is done for it.
//!
//! It judges a request against the switches, links and flows that are known now. It does not look for a path.
//!
//! What may share a port: endpoints with different tags, also a whole port beside tagged ones, because the more specific
//! rule wins (two tags, then one, then the whole port) and a frame has exactly one owner. Equal endpoints may not.
//! Sinks that only receive take nothing in, but their frames would be taken for the other's, so they obey the same rule.

use std::collections::{BTreeMap, BTreeSet};

use skerry_bus::api::{Direction, EndpointBody, FieldError, FlowRequest, JoinRequest, MirrorRequest};
use skerry_bus::ids::{Endpoint, FlowId, LinkId, PointId, PortNo, PortRef, SwitchId};

use crate::intent::{Flow, JoinPoint, MirrorPoint};

/// Longest description, in characters.
pub const DESCRIPTION_MAX: usize = 512;
/// Largest VLAN id; 4,095 is reserved (IEEE 802.1Q).
pub const VLAN_MAX: u16 = 4_094;
/// Largest latency limit, milliseconds: an hour. A larger one is a mistake in the unit.
pub const LATENCY_MAX_MS: f64 = 3_600_000.0;
/// Mirror points and join points of a flow, together: their copies are buckets of a few groups, and switches limit those.
pub const POINTS_MAX: usize = 32;

/// What requests are judged against.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Switches with their ports.
    pub switches: &'a BTreeMap<SwitchId, BTreeSet<PortNo>>,
    /// Ports that are ends of links, whether up or down.
    pub link_ports: &'a BTreeMap<PortRef, LinkId>,
    /// Flows, the one that is asked about included.
    pub flows: &'a BTreeMap<FlowId, Flow>,
}

/// Names of an endpoint's fields in a body.
struct At<'a> {
    pointer: &'a str,
    errors: &'a mut Vec<FieldError>,
}

impl At<'_> {
    fn wrong(&mut self, field: &str, detail: impl Into<String>) {
        wrong(self.errors, format!("{}/{field}", self.pointer), detail);
    }
}

fn wrong(errors: &mut Vec<FieldError>, pointer: impl Into<String>, detail: impl Into<String>) {
    errors.push(FieldError {
        pointer: pointer.into(),
        detail: detail.into(),
    });
}

/// What is wrong with creating or updating a flow.
pub fn validate_flow(id: &FlowId, request: &FlowRequest, around: &Surroundings) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let source = Endpoint::from(request.source).normalised();
    let destination = Endpoint::from(request.destination).normalised();
    for (pointer, body, endpoint) in [
        ("/source", &request.source, source),
        ("/destination", &request.destination, destination),
    ] {
        let mut at = At {
            pointer,
            errors: &mut errors,
        };
        if check_endpoint(body, around, &mut at)
            && let Some(owner) = owner_of(&endpoint, around, Some(id))
        {
            at.wrong(taken_field(&endpoint), format!("{endpoint} is taken by {owner}"));
        }
    }
    if source == destination {
        wrong(
            &mut errors,
            "/destination",
            format!("source and destination are both {source}"),
        );
    }
    check_limits(request, &mut errors);
    if request.description.chars().count() > DESCRIPTION_MAX {
        wrong(
            &mut errors,
            "/description",
            format!("at most {DESCRIPTION_MAX} characters are stored"),
        );
    }
    if let Some(flow) = around.flows.get(id) {
        check_own_points(flow, &source, &destination, &mut errors);
    }
    errors
}

/// An update must not pull the ground from under the flow's points.
fn check_own_points(flow: &Flow, source: &Endpoint, destination: &Endpoint, errors: &mut Vec<FieldError>) {
    let mirrors = flow.mirrors.iter().map(|(id, m)| ("mirror", id, m.switch, m.sink));
    let joins = flow.joins.iter().map(|(id, j)| ("join", id, j.switch, j.sink));
    for (kind, id, switch, sink) in mirrors.chain(joins) {
        if switch != source.switch && switch != destination.switch {
            let pointer = if switch == flow.source.switch {
                "/source/switch_id"
            } else {
                "/destination/switch_id"
            };
            wrong(
                errors,
                pointer,
                format!(
                    "{kind} point {id} is at switch {switch}, which would no longer be an end of the flow; remove it first"
                ),
            );
        }
        for (pointer, endpoint) in [("/source", source), ("/destination", destination)] {
            if sink == *endpoint {
                let pointer = format!("{pointer}/{}", taken_field(endpoint));
                wrong(
                    errors,
                    pointer,
                    format!("{sink} is the sink of {kind} point {id} of this flow"),
                );
            }
        }
    }
}

fn check_limits(request: &FlowRequest, errors: &mut Vec<FieldError>) {
    let mut limit = |pointer: &str, value: Option<f64>| {
        let value = value.unwrap_or(0.0);
        if !(0.0..=LATENCY_MAX_MS).contains(&value) {
            let detail = format!("0 to {LATENCY_MAX_MS} milliseconds are possible, not {value}");
            wrong(errors, pointer, detail);
            return None;
        }
        Some(value)
    };
    let first = limit("/max_latency", request.max_latency);
    let second = limit("/max_latency_tier_2", request.max_latency_tier_2);
    let (Some(first), Some(second)) = (first, second) else {
        return;
    };
    if second > 0.0 && first == 0.0 {
        wrong(
            errors,
            "/max_latency_tier_2",
            "the second limit has no meaning without max_latency",
        );
    } else if second > 0.0 && second < first {
        wrong(
            errors,
            "/max_latency_tier_2",
            format!("the second limit ({second} ms) is below the first ({first} ms)"),
        );
    }
}

/// What is wrong with a mirror point of `flow`.
pub fn validate_mirror(flow: &Flow, request: &MirrorRequest, around: &Surroundings) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let id = &request.mirror_point_id;
    let point = MirrorPoint::from(request);
    if flow.joins.contains_key(id) {
        wrong(
            &mut errors,
            "/mirror_point_id",
            format!("{id} is a join point of this flow"),
        );
    }
    check_count(flow, flow.mirrors.contains_key(id), "/mirror_point_id", &mut errors);
    check_switch(flow, point.switch, "/mirror_point_switch_id", &mut errors);
    if check_sink(&request.sink_endpoint, point.switch, around, &mut errors) {
        let mut at = sink_at(&mut errors);
        if let Some(owner) = owner_of(&point.sink, around, Some(&flow.id)) {
            at.wrong(taken_field(&point.sink), format!("{} is taken by {owner}", point.sink));
        }
        check_own_endpoints(flow, &point.sink, &mut at);
        // The other direction, or the other end, may use the same sink: that is how a device sees both.
        let same = |(other, m): &(&PointId, &MirrorPoint)| {
            *other != id && m.sink == point.sink && m.direction == point.direction && m.switch == point.switch
        };
        if let Some((other, m)) = flow.mirrors.iter().find(same) {
            let direction = match m.direction {
                Direction::Forward => "forward",
                Direction::Reverse => "reverse",
            };
            at.wrong(
                taken_field(&point.sink),
                format!(
                    "{} already gets copies of the {direction} direction by mirror point {other}",
                    point.sink
                ),
            );
        }
    }
    errors
}

/// What is wrong with a join point of `flow`.
pub fn validate_join(flow: &Flow, request: &JoinRequest, around: &Surroundings) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let id = &request.join_point_id;
    let point = JoinPoint::from(request);
    if flow.mirrors.contains_key(id) {
        wrong(
            &mut errors,
            "/join_point_id",
            format!("{id} is a mirror point of this flow"),
        );
    }
    check_count(flow, flow.joins.contains_key(id), "/join_point_id", &mut errors);
    check_switch(flow, point.switch, "/join_point_switch_id", &mut errors);
    if check_sink(&request.sink_endpoint, point.switch, around, &mut errors) {
        let mut at = sink_at(&mut errors);
        if let Some(owner) = owner_of(&point.sink, around, Some(&flow.id)) {
            at.wrong(taken_field(&point.sink), format!("{} is taken by {owner}", point.sink));
        }
        check_own_endpoints(flow, &point.sink, &mut at);
        let same = |(other, j): &(&PointId, &JoinPoint)| *other != id && j.sink == point.sink;
        if let Some((other, _)) = flow.joins.iter().find(same) {
            at.wrong(
                taken_field(&point.sink),
                format!("{} already joins the flow by join point {other}", point.sink),
            );
        }
    }
    errors
}

fn sink_at(errors: &mut Vec<FieldError>) -> At<'_> {
    At {
        pointer: "/sink_endpoint",
        errors,
    }
}

fn check_count(flow: &Flow, exists: bool, pointer: &str, errors: &mut Vec<FieldError>) {
    if !exists && flow.mirrors.len() + flow.joins.len() >= POINTS_MAX {
        wrong(
            errors,
            pointer,
            format!("a flow has at most {POINTS_MAX} mirror and join points"),
        );
    }
}

fn check_switch(flow: &Flow, switch: SwitchId, pointer: &str, errors: &mut Vec<FieldError>) {
    let (a, b) = (flow.source.switch, flow.destination.switch);
    if switch != a && switch != b {
        let ends = if a == b { format!("{a}") } else { format!("{a} and {b}") };
        wrong(
            errors,
            pointer,
            format!(
                "switch {switch} is not an end of flow {}; its ends are at {ends}",
                flow.id
            ),
        );
    }
}

fn check_own_endpoints(flow: &Flow, sink: &Endpoint, at: &mut At) {
    if *sink == flow.source || *sink == flow.destination {
        at.wrong(taken_field(sink), format!("{sink} is an endpoint of this flow"));
    }
}

fn check_sink(body: &EndpointBody, switch: SwitchId, around: &Surroundings, errors: &mut Vec<FieldError>) -> bool {
    let mut at = sink_at(errors);
    if body.switch_id != switch {
        at.wrong(
            "switch_id",
            format!(
                "the sink must be on the point's own switch {switch}; sinks on another switch are not possible yet"
            ),
        );
        return false;
    }
    check_endpoint(body, around, &mut at)
}

/// Whether an endpoint can exist at all.
fn check_endpoint(body: &EndpointBody, around: &Surroundings, at: &mut At) -> bool {
    let before = at.errors.len();
    let port = PortRef {
        switch: body.switch_id,
        port: body.port_number,
    };
    match around.switches.get(&body.switch_id) {
        None => at.wrong("switch_id", format!("switch {} is not known", body.switch_id)),
        Some(ports) if !ports.contains(&body.port_number) => at.wrong(
            "port_number",
            format!("switch {} has no port {}", body.switch_id, body.port_number),
        ),
        Some(_) => {}
    }
    if let Some(link) = around.link_ports.get(&port) {
        at.wrong("port_number", format!("port {port} belongs to link {link}"));
    }
    for (field, vlan) in [("vlan_id", body.vlan_id), ("inner_vlan_id", body.inner_vlan_id)] {
        if vlan > VLAN_MAX {
            at.wrong(field, format!("0 to {VLAN_MAX} are possible, not {vlan}"));
        }
    }
    at.errors.len() == before
}

/// The field that makes an endpoint the one it is.
fn taken_field(endpoint: &Endpoint) -> &'static str {
    match (endpoint.vlan, endpoint.inner_vlan) {
        (0, _) => "port_number",
        (_, 0) => "vlan_id",
        _ => "inner_vlan_id",
    }
}

/// Who has exactly this endpoint, apart from one flow.
fn owner_of(endpoint: &Endpoint, around: &Surroundings, apart_from: Option<&FlowId>) -> Option<String> {
    for flow in around.flows.values().filter(|f| Some(&f.id) != apart_from) {
        if flow.source == *endpoint || flow.destination == *endpoint {
            return Some(format!("flow {}", flow.id));
        }
        if let Some((id, _)) = flow.mirrors.iter().find(|(_, m)| m.sink == *endpoint) {
            return Some(format!("mirror point {id} of flow {}", flow.id));
        }
        if let Some((id, _)) = flow.joins.iter().find(|(_, j)| j.sink == *endpoint) {
            return Some(format!("join point {id} of flow {}", flow.id));
        }
    }
    None
}

//! What clients ask of flows, and what the router asks of itself: each becomes an operation, or a refusal that
//! names what is wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use skerry_bus::api::{
    Direction, FlowRequest, FlowView, JoinRequest, MirrorRequest, OperationView, PathHop, PointView,
};
use skerry_bus::service::FlowStatus;
use skerry_bus::{FlowId, LinkId, PointId, PortRef, SwitchId};
use skerry_monitor::Fleet;
use skerry_network::exit::Exit;
use skerry_network::graph::Graph;
use skerry_network::intent::{Flow, JoinPoint, MirrorPoint};
use skerry_network::path::{PathRequest, best_path};
use skerry_network::resources::GroupRole;
use skerry_network::route::Route;
use skerry_network::stages::{self, Plan};
use skerry_network::translate::PerSwitch;
use skerry_network::{Placed, Surroundings};
use skerry_router_core::operation::{Stage, StagePlan};

use super::book::{Entry, Place};
use super::running::{After, Kind};
use super::{FLOWS_MAX, Flows, NetworkView, Output, RUNNING_MAX};
use crate::machine::api::{ApiRequest, ApiResponse};

/// A change that could be started.
struct Change {
    kind: Kind,
    flow: FlowId,
    after: After,
    plan: StagePlan,
}

/// What a wish is compared with, as validation wants it.
struct Around {
    link_ports: BTreeMap<PortRef, LinkId>,
    flows: BTreeMap<FlowId, Flow>,
}

impl Around {
    fn surroundings<'a>(&'a self, network: &'a NetworkView) -> Surroundings<'a> {
        Surroundings {
            switches: &network.ports,
            link_ports: &self.link_ports,
            flows: &self.flows,
        }
    }
}

impl Flows {
    /// Answer a question or start what is wished.
    pub fn ask(&mut self, now: Instant, network: &NetworkView, fleet: &Fleet, request: ApiRequest) -> ApiResponse {
        match request {
            ApiRequest::Flows => {
                let views: Vec<FlowView> = self.entries.values().map(|e| self.view(now, fleet, e)).collect();
                ApiResponse::ok(&views)
            }
            ApiRequest::Flow(id) => self.with(&id, |flows, entry| ApiResponse::ok(&flows.view(now, fleet, entry))),
            ApiRequest::Mirrors(id) => self.with(&id, |flows, entry| {
                ApiResponse::ok(&flows.view(now, fleet, entry).mirror_points)
            }),
            ApiRequest::Joins(id) => self.with(&id, |flows, entry| {
                ApiResponse::ok(&flows.view(now, fleet, entry).join_points)
            }),
            ApiRequest::Operations => {
                let views: Vec<OperationView> = self
                    .running
                    .values()
                    .map(|r| r.view())
                    .chain(self.ended.iter().cloned())
                    .collect();
                ApiResponse::ok(&views)
            }
            ApiRequest::Operation(id) => match self.operation_view(id) {
                Some(view) => ApiResponse::ok(&view),
                None => ApiResponse::not_found(&format!("there is no operation {id}, or it ended long ago")),
            },
            ApiRequest::PutFlow { flow, request, dry_run } => {
                let change = self.put_flow(network, &flow, &request);
                self.carry_out(now, change, dry_run)
            }
            ApiRequest::DeleteFlow { flow, dry_run } => {
                let change = self.change(&flow, Kind::Delete, |_, _| Ok(None));
                self.carry_out(now, change, dry_run)
            }
            ApiRequest::Reroute { flow, dry_run } => {
                let change = self.rerouted(network, &flow);
                self.carry_out(now, change, dry_run)
            }
            ApiRequest::PutMirror { flow, request, dry_run } => {
                let change = self.put_mirror(network, &flow, &request);
                self.carry_out(now, change, dry_run)
            }
            ApiRequest::DeleteMirror { flow, point, dry_run } => {
                let change = self.change_points(&flow, Kind::Mirror, |wanted| {
                    wanted
                        .mirrors
                        .remove(&point)
                        .map(|_| ())
                        .ok_or_else(|| no_point(&flow, "mirror", &point))
                });
                self.carry_out(now, change, dry_run)
            }
            ApiRequest::PutJoin { flow, request, dry_run } => {
                let change = self.put_join(network, &flow, &request);
                self.carry_out(now, change, dry_run)
            }
            ApiRequest::DeleteJoin { flow, point, dry_run } => {
                let change = self.change_points(&flow, Kind::Join, |wanted| {
                    wanted
                        .joins
                        .remove(&point)
                        .map(|_| ())
                        .ok_or_else(|| no_point(&flow, "join", &point))
                });
                self.carry_out(now, change, dry_run)
            }
            other => ApiResponse::not_found(&format!("{other:?} is not about flows")),
        }
    }

    fn with(&self, id: &FlowId, answer: impl FnOnce(&Self, &Entry) -> ApiResponse) -> ApiResponse {
        match self.entries.get(id) {
            Some(entry) => answer(self, entry),
            None => no_flow(id),
        }
    }

    fn carry_out(&mut self, now: Instant, change: Result<Change, ApiResponse>, dry_run: bool) -> ApiResponse {
        let change = match change {
            Ok(change) => change,
            Err(refusal) => return refusal,
        };
        if dry_run {
            // What was allocated to see what would be done is given back.
            let kept = self
                .entries
                .get(&change.flow)
                .filter(|e| e.standing)
                .map(|e| e.place.placed.ids.clone());
            if let Some(place) = &change.after {
                self.pools.release(&place.placed.ids, kept.as_ref());
            }
            self.forget_if_not_started(&change.flow);
            return ApiResponse::ok(&json!({ "dry_run": true, "stages": change.plan.stages }));
        }
        let Change {
            kind,
            flow,
            after,
            plan,
        } = change;
        let id = self.start(now, kind, &flow, after, plan);
        match self.operation_view(id) {
            Some(view) => ApiResponse::accepted(&view),
            None => ApiResponse::problem(
                500,
                "lost-operation",
                &format!("operation {id} is not known"),
                Vec::new(),
            ),
        }
    }

    fn forget_if_not_started(&mut self, flow: &FlowId) {
        if self
            .entries
            .get(flow)
            .is_some_and(|e| !e.standing && e.operation.is_none())
        {
            self.entries.remove(flow);
        }
    }

    // ---- wishes ------------------------------------------------------------------------------------------------

    fn put_flow(&mut self, network: &NetworkView, id: &FlowId, request: &FlowRequest) -> Result<Change, ApiResponse> {
        let around = self.around(network);
        heard(network, [request.source.switch_id, request.destination.switch_id])?;
        let errors = skerry_network::validate_flow(id, request, &around.surroundings(network));
        if !errors.is_empty() {
            return Err(ApiResponse::invalid(errors));
        }
        if let Some(entry) = self.entries.get(id) {
            let before = &entry.place.placed.flow;
            let wanted = before.updated(request);
            let same_way = before.source == wanted.source
                && before.destination == wanted.destination
                && before.strategy == wanted.strategy;
            return self.change(id, Kind::Update, |flows, before| {
                let (route, backup) = if same_way {
                    (before.placed.route.clone(), before.backup)
                } else {
                    find(network, &wanted, Some(&before.placed.route))?
                };
                flows.moved(before, wanted, route, backup)
            });
        }
        if self.entries.len() >= FLOWS_MAX {
            return Err(exhausted(&format!("there are {FLOWS_MAX} flows, which is the limit")));
        }
        self.has_room()?;
        let flow = Flow::from_request(id.clone(), request);
        let (route, backup) = find(network, &flow, None)?;
        reachable(network, route.hops(&flow).iter().map(|h| h.switch_id))?;
        let placed = Placed::new(flow, route, &mut self.pools).map_err(|e| exhausted(&e.to_string()))?;
        let after = placed.objects().map_err(|e| defect(&e.to_string()))?;
        let plan = self.plan(&PerSwitch::new(), &after, None);
        let place = Place { placed, backup };
        let entry = Entry {
            place: place.clone(),
            standing: false,
            status: FlowStatus::InProgress,
            status_info: String::new(),
            revision: 1,
            operation: None,
        };
        self.entries.insert(id.clone(), entry);
        Ok(Change {
            kind: Kind::Create,
            flow: id.clone(),
            after: Some(place),
            plan,
        })
    }

    /// The flow with something else wanted of it, or on another route.
    fn moved(&mut self, before: &Place, wanted: Flow, route: Route, backup: bool) -> Result<After, ApiResponse> {
        let placed = before
            .placed
            .changed(wanted, route, &mut self.pools)
            .map_err(|e| exhausted(&e.to_string()))?;
        Ok(Some(Place { placed, backup }))
    }

    fn put_mirror(
        &mut self,
        network: &NetworkView,
        id: &FlowId,
        request: &MirrorRequest,
    ) -> Result<Change, ApiResponse> {
        let Some(entry) = self.entries.get(id) else {
            return Err(no_flow(id));
        };
        let around = self.around(network);
        heard(network, [request.sink_endpoint.switch_id])?;
        let errors = skerry_network::validate_mirror(&entry.place.placed.flow, request, &around.surroundings(network));
        if !errors.is_empty() {
            return Err(ApiResponse::invalid(errors));
        }
        self.change_points(id, Kind::Mirror, |wanted| {
            wanted
                .mirrors
                .insert(request.mirror_point_id.clone(), MirrorPoint::from(request));
            Ok(())
        })
    }

    fn put_join(&mut self, network: &NetworkView, id: &FlowId, request: &JoinRequest) -> Result<Change, ApiResponse> {
        let Some(entry) = self.entries.get(id) else {
            return Err(no_flow(id));
        };
        let around = self.around(network);
        heard(network, [request.sink_endpoint.switch_id])?;
        let errors = skerry_network::validate_join(&entry.place.placed.flow, request, &around.surroundings(network));
        if !errors.is_empty() {
            return Err(ApiResponse::invalid(errors));
        }
        self.change_points(id, Kind::Join, |wanted| {
            wanted
                .joins
                .insert(request.join_point_id.clone(), JoinPoint::from(request));
            Ok(())
        })
    }

    /// Change mirror or join points: the path and its numbers stay.
    fn change_points(
        &mut self,
        id: &FlowId,
        kind: Kind,
        edit: impl FnOnce(&mut Flow) -> Result<(), ApiResponse>,
    ) -> Result<Change, ApiResponse> {
        self.change(id, kind, |flows, before| {
            let mut wanted = before.placed.flow.clone();
            edit(&mut wanted)?;
            flows.moved(before, wanted, before.placed.route.clone(), before.backup)
        })
    }

    fn has_room(&self) -> Result<(), ApiResponse> {
        if self.running.len() < RUNNING_MAX {
            return Ok(());
        }
        Err(ApiResponse::conflict(&format!(
            "{RUNNING_MAX} operations are under way, which is the limit"
        )))
    }

    /// Any change of a flow that stands.
    fn change(
        &mut self,
        id: &FlowId,
        kind: Kind,
        next: impl FnOnce(&mut Self, &Place) -> Result<After, ApiResponse>,
    ) -> Result<Change, ApiResponse> {
        let Some(entry) = self.entries.get(id).cloned() else {
            return Err(no_flow(id));
        };
        if let Some(operation) = entry.operation {
            return Err(busy(id, &format!("operation {operation} is under way")));
        }
        self.has_room()?;
        let before = entry.objects().map_err(|e| defect(&e))?;
        let after = next(self, &entry.place)?;
        let objects = match &after {
            Some(place) => place.placed.objects().map_err(|e| defect(&e.to_string()))?,
            None => PerSwitch::new(),
        };
        let plan = self.plan(&before, &objects, Some(&entry.place.placed.flow));
        Ok(Change {
            kind,
            flow: id.clone(),
            after,
            plan,
        })
    }

    fn rerouted(&mut self, network: &NetworkView, id: &FlowId) -> Result<Change, ApiResponse> {
        self.change(id, Kind::Reroute, |flows, before| {
            let flow = &before.placed.flow;
            let refused = |kind: &str, detail: String| ApiResponse::problem(422, kind, &detail, Vec::new());
            if flow.pinned {
                return Err(refused("pinned", format!("flow {id} is pinned to its path")));
            }
            let (route, backup) = find(network, flow, Some(&before.placed.route))?;
            if route == before.placed.route {
                return Err(refused(
                    "already-on-best-path",
                    format!("flow {id} is on its best path already"),
                ));
            }
            flows.moved(before, flow.clone(), route, backup)
        })
    }

    /// The router's own wish for a better path.
    pub(super) fn reroute(
        &mut self,
        now: Instant,
        network: &NetworkView,
        id: &FlowId,
        reason: &str,
    ) -> Result<(), String> {
        match self.rerouted(network, id) {
            Ok(change) => {
                self.fact(false, format!("flow {id}: reroute because {reason}"));
                self.start(now, change.kind, &change.flow, change.after, change.plan);
                Ok(())
            }
            Err(refusal) => {
                // Nothing better: say how the flow is now.
                let cause = refusal.body["detail"].as_str().unwrap_or_default().to_owned();
                self.judge(network, id, &format!("{reason}; {cause}"));
                Err(cause)
            }
        }
    }

    /// Put the rules in place again and recompute the status.
    pub(super) fn sync(
        &mut self,
        now: Instant,
        network: &NetworkView,
        id: &FlowId,
        reason: &str,
    ) -> Result<(), String> {
        let _ = now;
        self.judge(network, id, reason);
        let entry = self.entries.get(id).ok_or_else(|| format!("there is no flow {id}"))?;
        // The tables compare with what is applied: what stands already costs nothing.
        for (switch, objects) in entry.objects()? {
            self.outputs.push_back(Output::SetOwner {
                switch,
                owner: super::owner(id),
                objects,
            });
        }
        Ok(())
    }

    /// The status of a flow that stays where it is.
    fn judge(&mut self, network: &NetworkView, id: &FlowId, reason: &str) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let route = &entry.place.placed.route;
        let sight = |link| network.links.iter().find(|l| l.link == link);
        let broken = route.links().find(|l| sight(*l).is_none_or(|s| !s.up));
        let latency: Option<u64> = route.links().map(|l| sight(l).and_then(|s| s.latency_ns)).sum();
        let late = match (latency, entry.place.placed.flow.max_latency_ns) {
            (Some(latency), Some(limit)) => latency > limit,
            _ => false,
        };
        entry.place.backup = late;
        let (status, info) = match (broken, late) {
            (Some(link), _) => (
                FlowStatus::Down,
                format!("link {link} of its path is down, and there is no other path"),
            ),
            (None, true) => (
                FlowStatus::Degraded,
                "its path is above max_latency, and there is no better one".to_owned(),
            ),
            (None, false) => (FlowStatus::Up, String::new()),
        };
        if entry.status != status {
            entry.status = status;
            entry.status_info = info;
            let path = entry.ports();
            let (flow, reason) = (id.clone(), reason.to_owned());
            self.store_entry(id);
            self.outputs.push_back(Output::Changed {
                flow,
                status,
                path,
                reason,
            });
        }
    }

    /// What a wish is compared with.
    fn around(&self, network: &NetworkView) -> Around {
        Around {
            link_ports: network
                .links
                .iter()
                .flat_map(|l| [(l.link.a(), l.link), (l.link.b(), l.link)])
                .collect(),
            flows: self
                .entries
                .iter()
                .map(|(id, e)| (id.clone(), e.place.placed.flow.clone()))
                .collect(),
        }
    }

    // ---- the parts of a change ---------------------------------------------------------------------------------

    fn plan(&self, before: &PerSwitch, after: &PerSwitch, old: Option<&Flow>) -> StagePlan {
        // How long packets may be under way on the path that is left: what the flow may have at the most.
        let old_latency = old.and_then(|f| f.max_latency_tier_2_ns.or(f.max_latency_ns));
        let drain: Duration = stages::drain(old_latency).max(self.config.drain_min);
        let Plan {
            stages,
            rollback,
            committed_from,
        } = Plan::new(before, after, drain);
        let all = |stages: Vec<stages::Stage>| {
            stages
                .into_iter()
                .map(|s| Stage {
                    name: s.name.to_string(),
                    objects: s.objects,
                    drain: s.drain,
                })
                .collect::<Vec<_>>()
        };
        StagePlan {
            stages: all(stages),
            rollback: rollback.into_iter().map(all).collect(),
            committed_from,
        }
    }

    // ---- views -------------------------------------------------------------------------------------------------

    fn view(&self, now: Instant, fleet: &Fleet, entry: &Entry) -> FlowView {
        let (id, placed) = (entry.id(), &entry.place.placed);
        let figure = fleet.latency_of(id, now);
        let path: Vec<PathHop> = placed.route.hops(&placed.flow);
        let group = |switch: SwitchId, direction: Direction| {
            let exit = Exit::at(&placed.flow, direction, switch)?;
            placed.ids.group(switch, &GroupRole::Exit(exit))
        };
        FlowView {
            flow_id: id.clone(),
            request: placed.flow.to_request(),
            status: entry.status,
            status_info: entry.status_info.clone(),
            operation: entry.operation.and_then(|o| self.operation_view(o)),
            path,
            sla_state: figure.as_ref().map_or("not_monitored", |f| f.state.as_str()).to_owned(),
            latency_ms: figure.as_ref().and_then(|f| f.latency_ns).map(|ns| ns as f64 / 1e6),
            latency_coverage: figure.as_ref().map_or((0, 0), |f| f.coverage),
            mirror_points: placed
                .flow
                .mirrors
                .iter()
                .map(|(point, m)| PointView {
                    request: m.to_request(point),
                    status: entry.status,
                    group_id: group(m.switch, m.direction),
                })
                .collect(),
            join_points: placed
                .flow
                .joins
                .iter()
                .map(|(point, j)| PointView {
                    request: j.to_request(point),
                    status: entry.status,
                    group_id: placed.ids.join_group(point, j),
                })
                .collect(),
            revision: entry.revision,
        }
    }
}

/// The best route for a flow now, and whether it is a backup: it does not keep the first latency limit. A link whose
/// switches cannot be commanded is taken only where the flow lies on it already: nothing has to be written there.
fn find(network: &NetworkView, flow: &Flow, current: Option<&Route>) -> Result<(Route, bool), ApiResponse> {
    let mut graph = Graph::new();
    for switch in network.ports.keys() {
        graph.add_switch(*switch);
    }
    for sight in &network.links {
        let commanded = [sight.link.a(), sight.link.b()]
            .iter()
            .all(|end| network.reachable.contains(&end.switch));
        let usable = sight.up && (commanded || current.is_some_and(|route| route.crosses(sight.link)));
        graph.add_link(sight.link, crate::machine::LINK_COST, sight.latency_ns, usable);
    }
    match best_path(&graph, &PathRequest::of(flow)) {
        Ok(found) => {
            let late = found
                .latency_ns
                .zip(flow.max_latency_ns)
                .is_some_and(|(latency, limit)| latency > limit);
            Ok((found.route, found.backup || late))
        }
        Err(failure) => Err(ApiResponse::problem(422, "no-path", &failure.to_string(), Vec::new())),
    }
}

/// Right after a start the ports of a switch are not told yet: then nothing can be said about an endpoint there.
fn heard(network: &NetworkView, switches: impl IntoIterator<Item = SwitchId>) -> Result<(), ApiResponse> {
    match switches.into_iter().find(|s| network.unheard.contains(s)) {
        None => Ok(()),
        Some(switch) => {
            let detail = format!("no region has told of the ports of switch {switch} since the router started");
            Err(ApiResponse::problem(409, "switch-not-reachable", &detail, Vec::new()))
        }
    }
}

fn reachable(network: &NetworkView, mut switches: impl Iterator<Item = SwitchId>) -> Result<(), ApiResponse> {
    match switches.find(|s| !network.reachable.contains(s)) {
        None => Ok(()),
        Some(switch) => {
            let detail = format!("no region reaches switch {switch} now");
            Err(ApiResponse::problem(409, "switch-not-reachable", &detail, Vec::new()))
        }
    }
}

fn no_flow(id: &FlowId) -> ApiResponse {
    ApiResponse::not_found(&format!("there is no flow {id}"))
}

fn no_point(flow: &FlowId, kind: &str, point: &PointId) -> ApiResponse {
    ApiResponse::not_found(&format!("flow {flow} has no {kind} point {point}"))
}

fn busy(id: &FlowId, why: &str) -> ApiResponse {
    ApiResponse::conflict(&format!("flow {id} cannot be changed now: {why}"))
}

fn exhausted(detail: &str) -> ApiResponse {
    ApiResponse::problem(507, "exhausted", detail, Vec::new())
}

fn defect(detail: &str) -> ApiResponse {
    ApiResponse::problem(500, "defect", detail, Vec::new())
}

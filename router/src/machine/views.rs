//! Answers to questions: what the router knows, as the northbound interface shows it.

use std::time::Instant;

use skerry_bus::SwitchId;
use skerry_bus::api::{ConnectionView, ConnectionsView, LinkView, RegionView, StatusView, SwitchView};
use skerry_bus::service::LinkStatus;
use skerry_router_core::liveness::Status;

use super::Router;
use super::api::{ApiRequest, ApiResponse, FeaturesPatch};
use crate::store::Write;

impl Router {
    pub(super) fn ask(&mut self, now: Instant, request: ApiRequest) -> ApiResponse {
        match request {
            ApiRequest::Status => ApiResponse::ok(&self.status(now)),
            ApiRequest::Regions => ApiResponse::ok(&self.regions(now)),
            ApiRequest::Region(region) => self.region_answer(now, &region),
            ApiRequest::Drain { region, force, dry_run } => self.drain_region(now, region, force, dry_run),
            ApiRequest::Undrain { region, dry_run } => self.undrain_region(now, region, dry_run),
            ApiRequest::Links => ApiResponse::ok(&self.link_views(now)),
            ApiRequest::Switches => {
                let views: Vec<SwitchView> = self.known_switches().into_iter().map(|s| self.switch(now, s)).collect();
                ApiResponse::ok(&views)
            }
            ApiRequest::Refused => ApiResponse::ok(&self.refused.newest_first().collect::<Vec<_>>()),
            ApiRequest::Switch(id) if self.known_switches().contains(&id) => ApiResponse::ok(&self.switch(now, id)),
            ApiRequest::Connections(id) if self.known_switches().contains(&id) => {
                ApiResponse::ok(&self.connections(now, id))
            }
            ApiRequest::Switch(id) | ApiRequest::Connections(id) | ApiRequest::Plan(id) => {
                ApiResponse::not_found(&format!("no region ever told of switch {id}"))
            }
            ApiRequest::Features => ApiResponse::ok(&self.features),
            ApiRequest::PatchFeatures(patch) => self.patch_features(now, patch),
            ApiRequest::EventsSince(number) => ApiResponse::ok(&self.events.since(number).collect::<Vec<_>>()),
            other => {
                let network = self.network(now);
                self.flows.ask(now, &network, &self.fleet, other)
            }
        }
    }

    fn known_switches(&self) -> std::collections::BTreeSet<SwitchId> {
        self.presence.switches().keys().copied().collect()
    }

    fn patch_features(&mut self, now: Instant, patch: FeaturesPatch) -> ApiResponse {
        if let Some(on) = patch.network_sync {
            self.features.network_sync = on;
            self.sync.handle_input(now, skerry_router_core::sync::Input::Toggle(on));
        }
        if let Some(on) = patch.sla_reactions {
            self.features.sla_reactions = on;
        }
        let body = serde_json::to_string(&self.features).expect("two booleans");
        self.store(Write::Put {
            kind: "features",
            id: "features".into(),
            body,
        });
        ApiResponse::ok(&self.features)
    }

    fn status(&self, now: Instant) -> StatusView {
        let links = self.link_views(now);
        let regions = self.regions(now);
        let (flows, operations) = self.flows.counts();
        StatusView {
            version: self.config.version.to_owned(),
            kafka: self.bus_up,
            regions_live: regions.iter().filter(|r| r.state == "live").count() as u32,
            regions: regions.len() as u32,
            switches_connected: self.active.values().filter(|(region, _)| region.is_some()).count() as u32,
            switches: self.known_switches().len() as u32,
            links_up: links.iter().filter(|l| l.state == LinkStatus::Up).count() as u32,
            links: links.len() as u32,
            flows,
            operations,
        }
    }

    pub(super) fn regions(&self, now: Instant) -> Vec<RegionView> {
        let mut views = Vec::new();
        for region in self.config.presence.regions.iter().map(|r| &r.region) {
            let liveness = self.presence.liveness();
            let reaches = |switch: &SwitchId| {
                self.availability(now, *switch)
                    .availability
                    .iter()
                    .any(|a| a.region == *region)
            };
            let epoch = liveness.epoch(region);
            let named = |epoch| match self.presence.speaker(region, epoch) {
                "" => format!("epoch {epoch}"),
                name => format!("epoch {epoch} ({name})"),
            };
            views.push(RegionView {
                region: region.clone(),
                state: match liveness.status(region).unwrap_or(Status::NeverSeen) {
                    Status::NeverSeen => "never_seen",
                    Status::Live => "live",
                    Status::Lost => "lost",
                }
                .to_owned(),
                epoch: epoch.map(|e| e.0),
                switches: self.active.keys().filter(|s| reaches(s)).count() as u32,
                active_for: self.active.values().filter(|(r, _)| r.as_ref() == Some(region)).count() as u32,
                silent_ms: liveness.silent(region, now).map(|d| d.as_millis() as u64),
                speaker: epoch.map_or_else(String::new, |e| self.presence.speaker(region, e).to_owned()),
                twin: liveness.twin(region, now).map(named),
                drain: self.drain_view(region),
            });
        }
        views
    }

    fn switch(&self, now: Instant, switch_id: SwitchId) -> SwitchView {
        let (active_region, term) = self.active.get(&switch_id).cloned().unwrap_or_default();
        let availability = self.availability(now, switch_id).availability;
        let sight = self.presence.switch(switch_id);
        let told = sight.and_then(|s| s.state());
        let (generation_wanted, generation_applied) = self.tables.generations(switch_id);
        SwitchView {
            switch_id,
            state: sight.map_or("disconnected", |s| s.status()).to_owned(),
            active_region,
            term,
            description: told.map(|t| t.description.clone()).unwrap_or_default(),
            features: told.map(|t| t.features).unwrap_or_default(),
            ports: told.map(|t| t.ports.clone()).unwrap_or_default(),
            availability,
            generation_wanted: generation_wanted.0,
            generation_applied: generation_applied.map_or(0, |g| g.0),
            apply_error: self.apply_errors.get(&switch_id).cloned().unwrap_or_default(),
            last_left: self.left.get(&switch_id).cloned().unwrap_or_default(),
        }
    }

    fn connections(&self, now: Instant, switch_id: SwitchId) -> ConnectionsView {
        let sight = self.presence.switch(switch_id);
        let active = sight.and_then(|s| s.active());
        let mut connections = Vec::new();
        for (region, reach) in sight.into_iter().flat_map(|s| s.reaches()) {
            connections.push(ConnectionView {
                region: region.clone(),
                mode: reach.mode,
                role: reach.role,
                active: active == Some(region),
                term: reach.state.as_ref().and_then(|s| s.term_seen),
                switch_address: reach.address.clone(),
                speaker_address: reach.speaker_address.clone(),
                connected_at_ms: reach.since_ms,
                uptime_ms: reach.uptime(now).as_millis() as u64,
                live: self.presence.liveness().is_live(region),
                drained: self.presence.drain(region).is_some(),
            });
        }
        connections.sort_by_key(|c| !c.active);
        ConnectionsView {
            switch_id,
            state: sight.map_or("disconnected", |s| s.status()).to_owned(),
            active_region: active.cloned(),
            term: sight.map_or(skerry_bus::Term(0), |s| s.term()),
            connections,
        }
    }

    fn link_views(&self, now: Instant) -> Vec<LinkView> {
        self.links
            .links()
            .map(|l| {
                let figure = self.fleet.latency_of_link(l.link, now);
                LinkView {
                    link_id: l.link,
                    a: l.link.a(),
                    b: l.link.b(),
                    state: l.status,
                    reason: l.reason.clone(),
                    latency_ms: figure.as_ref().and_then(|f| f.latency_ns).map(|ns| ns as f64 / 1e6),
                    latency_source: figure.as_ref().and_then(|f| f.source),
                    latency_age_ms: figure.as_ref().and_then(|f| f.age).map(|age| age.as_millis() as u64),
                    latency_samples: figure.as_ref().map_or(0, |f| f.samples),
                    cost: super::LINK_COST,
                    changes: l.changes,
                }
            })
            .collect()
    }
}

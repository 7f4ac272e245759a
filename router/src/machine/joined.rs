//! What each machine's outputs mean for the others.

use std::time::Instant;

use skerry_bus::api::RefusedView;
use skerry_bus::service::{ActionRequest, LinkStatus};
use skerry_bus::{
    Availability, CommandBody, Region, RegionEvent, RegionEventBody, SwitchId, Term, Topic, VirtualEventBody, Wanted,
    encode,
};
use skerry_monitor as monitor;
use skerry_router_core::liveness::Status;
use skerry_router_core::routing::Lasts;
use skerry_router_core::{links, presence, routing, tables};

use super::{Router, SERVICE, flows, kept};
use crate::store::Write;

impl Router {
    pub(super) fn on_presence(&mut self, now: Instant, output: presence::Output) {
        use presence::Output as P;
        match output {
            P::Activate { region, switch, term } => {
                self.send(now, &region, CommandBody::Activate { switch, term });
            }
            P::Deactivate { region, switch, term } => {
                self.send(now, &region, CommandBody::Deactivate { switch, term });
            }
            P::ActiveChanged { switch, region, term } => self.active_changed(now, switch, region, term),
            P::Virtual(event, availability) => self.tell(now, event, availability),
            P::AskSwitchSnapshot { region, switch } => {
                self.send(now, &region, CommandBody::SwitchSnapshot { switch });
            }
            P::AskRegionSnapshot { region } => self.ask_region(now, &region),
            P::Record(record) => {
                let key = record.switch.to_string();
                let body = encode(&record);
                let text = String::from_utf8_lossy(&body).into_owned();
                self.store(Write::Put {
                    kind: "presence",
                    id: key.clone(),
                    body: text,
                });
                self.publish(Topic::StatePresence, key, body);
                self.tell_routing(now, record.switch);
            }
            P::Forget(switch) => {
                self.store(Write::Delete {
                    kind: "presence",
                    id: switch.to_string(),
                });
                self.publish(Topic::StatePresence, switch.to_string(), Vec::new());
                self.tell_routing(now, switch);
                self.active.remove(&switch);
                self.served.remove(&switch);
                self.unserved.remove(&switch);
                self.apply_errors.remove(&switch);
                self.left.remove(&switch);
            }
            P::RegionChanged { region, live } => {
                self.live.insert(region.clone(), live);
                self.routing.handle_input(
                    now,
                    routing::Input::Region {
                        region: region.clone(),
                        live,
                    },
                );
                self.links.handle_input(
                    now,
                    links::Input::Region {
                        region: region.clone(),
                        live,
                    },
                );
                let how = match (live, self.presence.liveness().status(&region)) {
                    (true, _) => "lives",
                    (false, Some(Status::NeverSeen)) => "was not heard since the start",
                    (false, _) => "is lost",
                };
                self.fact(!live, format!("region {region} {how}"));
            }
            P::NewEpoch { region, .. } => {
                self.links.handle_input(now, links::Input::NewEpoch { region });
            }
            P::Passed(event) => self.on_event(now, event),
            P::Ignored { reason, .. } => self.count("events_ignored_total", "reason", format!("{reason:?}")),
            P::UnknownRegion(region) => self.unknown_region(&region),
            P::Drained { region, moved } => {
                self.fact(
                    false,
                    format!("region {region} is drained: {moved} switches moved, and nothing is left to move"),
                );
            }
            P::Twin {
                region,
                epoch,
                speaker,
                other,
                other_speaker,
            } => {
                self.count("twin_speakers_total", "region", region.to_string());
                let name = |name: String| if name.is_empty() { "no name".to_owned() } else { name };
                let (speaker, other_speaker) = (name(speaker), name(other_speaker));
                self.fact(
                    true,
                    format!(
                        "two speakers speak for region {region}: epoch {epoch} ({speaker}), which is followed, and epoch {other} \
                         ({other_speaker}), which is ignored: stop one, or give it a region of its own"
                    ),
                );
            }
        }
    }

    pub(super) fn unknown_region(&mut self, region: &Region) {
        self.fact(
            true,
            format!("region {region} speaks and is not in the configuration: it is ignored"),
        );
        self.count("events_ignored_total", "reason", "UnknownRegion".into());
    }

    pub(super) fn active_changed(&mut self, now: Instant, switch: SwitchId, region: Option<Region>, term: Term) {
        self.active.insert(switch, (region.clone(), term));
        self.routing.handle_input(
            now,
            routing::Input::Active {
                switch,
                region: region.clone(),
                term,
            },
        );
        self.tell_routing(now, switch);
        self.links.handle_input(
            now,
            links::Input::Active {
                switch,
                region: region.clone(),
                term,
            },
        );
        if region.is_some() && self.served.insert(switch) {
            self.serve(now, switch);
        }
        self.tables.handle_input(
            now,
            tables::Input::Active {
                switch,
                region: region.clone(),
                term,
            },
        );
    }

    pub(super) fn on_event(&mut self, now: Instant, event: Box<RegionEvent>) {
        use RegionEventBody as B;
        if let B::SwitchDisconnected { switch, reason, .. } = &event.body {
            self.left.insert(*switch, format!("region {}: {reason}", event.region));
        }
        if let B::SwitchRefused {
            switch,
            address,
            reason,
        } = &event.body
        {
            // Presence tells everybody; here it is kept for who asks later.
            self.refused.push(RefusedView {
                switch_id: *switch,
                region: event.region.clone(),
                address: address.clone(),
                reason: reason.clone(),
                at_ms: event.at_ms,
                times: 0,
            });
        }
        self.links.handle_input(now, links::Input::Event(event.clone()));
        self.tables.handle_input(now, tables::Input::Event(event.clone()));
        self.routing.handle_input(now, routing::Input::Event(event));
    }

    pub(super) fn on_links(&mut self, now: Instant, output: links::Output) {
        match output {
            links::Output::Changed { link, from, to, reason } => {
                let event = VirtualEventBody::LinkChanged { link, from, to, reason };
                self.tell(now, event, Availability::default());
                for end in [link.a(), link.b()] {
                    if self.served.contains(&end.switch) {
                        self.serve(now, end.switch);
                    }
                }
                if to != LinkStatus::Up {
                    self.fleet
                        .handle_input(now, monitor::fleet::Input::LinkRemoved { link });
                }
                let body = serde_json::json!({ "status": to }).to_string();
                self.store(Write::Put {
                    kind: "link",
                    id: link.to_string(),
                    body,
                });
                let network = self.network(now);
                self.flows.link_changed(now, &network, link, to);
            }
            links::Output::Forgotten(link) => {
                self.store(Write::Delete {
                    kind: "link",
                    id: link.to_string(),
                });
                self.fleet
                    .handle_input(now, monitor::fleet::Input::LinkRemoved { link });
                for end in [link.a(), link.b()] {
                    if self.served.contains(&end.switch) {
                        self.serve(now, end.switch);
                    }
                }
            }
            links::Output::AskSwitchSnapshot { region, switch } => {
                self.send(now, &region, CommandBody::SwitchSnapshot { switch });
            }
        }
    }

    pub(super) fn on_fleet(&mut self, now: Instant, output: monitor::fleet::Output) {
        match output {
            monitor::fleet::Output::SlaChanged { flow, from, to, .. } => {
                let (from, to) = (from.as_str().to_owned(), to.as_str().to_owned());
                if let Some(record) = self.fleet.record_of(&flow, now) {
                    let body = serde_json::to_string(&record).expect("a record has finite numbers only");
                    self.store(Write::Put {
                        kind: "sla",
                        id: flow.to_string(),
                        body,
                    });
                }
                self.tell(
                    now,
                    VirtualEventBody::SlaChanged { flow, from, to },
                    Availability::default(),
                );
            }
            monitor::fleet::Output::Request {
                flow, action, reason, ..
            } => {
                let at_ms = self.now_ms(now);
                let request = ActionRequest {
                    flow: flow.clone(),
                    action,
                    reason: reason.clone(),
                    at_ms,
                };
                self.publish(Topic::Actions, flow.to_string(), encode(&request));
                self.fact(false, format!("flow {flow}: {action:?} asked: {reason}"));
                if self.features.sla_reactions {
                    let network = self.network(now);
                    self.flows.asked(now, &network, &flow, action, &reason);
                }
            }
            monitor::fleet::Output::Refused { flow, reason } => {
                self.fact(true, format!("flow {flow} is not watched: {reason}"));
            }
        }
    }

    pub(super) fn on_flows(&mut self, now: Instant, output: flows::Output) {
        use flows::Output as F;
        match output {
            F::SetOwner { switch, owner, objects } => {
                self.tables
                    .handle_input(now, tables::Input::SetOwner { switch, owner, objects });
            }
            F::Store(write) => self.store(write),
            F::Changed {
                flow,
                status,
                path,
                reason,
            } => {
                let event = VirtualEventBody::FlowChanged {
                    flow,
                    status,
                    path,
                    reason,
                };
                self.tell(now, event, Availability::default());
            }
            F::Watch {
                flow,
                limits,
                strategy,
                links,
                restored,
            } => {
                let input = monitor::fleet::Input::FlowSet {
                    flow,
                    limits,
                    strategy,
                    path: links,
                    restored,
                };
                self.fleet.handle_input(now, input);
            }
            F::Unwatch { flow } => {
                self.store(Write::Delete {
                    kind: "sla",
                    id: flow.to_string(),
                });
                self.fleet
                    .handle_input(now, monitor::fleet::Input::FlowRemoved { flow });
            }
            F::Fact { warn, text } => self.fact(warn, text),
        }
    }

    pub(super) fn on_routing(&mut self, now: Instant, output: routing::Output) {
        match output {
            routing::Output::Send { region, mut command } => {
                if let CommandBody::Plan { switch, wanted } = &mut command.body {
                    *wanted = Some(Wanted {
                        generation: self.tables.generations(*switch).0,
                        objects: self.tables.wanted(*switch),
                    });
                }
                self.send_command(&region, *command);
            }
            routing::Output::Edit {
                correlation_id,
                switch,
                put,
                remove,
                deadline,
                begun,
            } => {
                let input = tables::Input::Edit {
                    correlation_id,
                    switch,
                    put,
                    remove,
                    deadline,
                    begun,
                };
                self.tables.handle_input(now, input);
            }
            routing::Output::Reply {
                requester,
                reply,
                lasts,
            } => {
                self.count_answer(&reply.body);
                if !self.answer_plan(&reply) {
                    self.answer(requester, &reply, lasts);
                }
            }
            routing::Output::PartEnded {
                switch,
                requester,
                reply,
            } => {
                for write in self.edits.answered(&requester, &reply, Lasts::Name(switch), Vec::new()) {
                    self.store(write);
                }
            }
            routing::Output::Dropped { .. } => self.count("answers_dropped_total", "reason", "nobody waits".into()),
        }
    }

    pub(super) fn on_tables(&mut self, now: Instant, output: tables::Output) {
        use tables::Output as T;
        match output {
            T::Send { region, command } => self.send_command(&region, *command),
            T::OwnerSet {
                switch,
                owner,
                generation,
            } => {
                self.flows.owner_set(now, switch, &owner, generation);
                // What stands already is not applied again.
                if self.tables.generations(switch).1.is_some_and(|held| held >= generation) {
                    self.flows.applied(now, switch, generation);
                }
            }
            T::OwnerRefused { switch, owner, reason } => {
                if owner == SERVICE {
                    self.fact(true, format!("{switch}: service objects were refused: {reason}"));
                }
                self.flows.owner_refused(now, switch, &owner, &reason);
            }
            T::Generation { switch, generation } => {
                self.generations.insert(switch, generation);
                let body = generation.to_string();
                self.store(Write::Put {
                    kind: "generation",
                    id: switch.to_string(),
                    body,
                });
            }
            T::Applied { switch, generation } => {
                self.apply_errors.remove(&switch);
                self.flows.applied(now, switch, generation);
            }
            T::ApplyFailed {
                switch,
                generation,
                cause,
                objects,
                withdrawn,
                ..
            } => {
                let mut text = format!("generation {generation} was not applied: {cause}");
                if let Some(objects) = &objects {
                    text.push_str(&format!(" ({objects})"));
                }
                self.fact(true, format!("{switch}: {text}"));
                self.apply_errors.insert(switch, text);
                if withdrawn.iter().any(|owner| owner == SERVICE) {
                    // Without these the switch's links are not seen: tried again with the next network sync.
                    self.unserved.insert(switch);
                }
                self.flows
                    .apply_failed(now, switch, generation, &cause, objects.as_ref(), &withdrawn);
            }
            T::Kept { switch, put, remove } => {
                for write in kept::writes(switch, put, &remove) {
                    self.store(write);
                }
            }
            T::Begun {
                correlation_id,
                switch,
                put,
                remove,
            } => {
                let write = self.edits.begun(switch, &correlation_id, put, remove);
                self.store(write);
            }
            T::Over { correlation_id, switch } => {
                let write = self.edits.over(switch, &correlation_id);
                self.store(write);
            }
            T::Edited { correlation_id, result } => {
                self.routing
                    .handle_input(now, routing::Input::Edited { correlation_id, result });
            }
        }
    }
}

//! The router as one machine: the decisions of `router-core`, `network` and `monitor`, joined.
//!
//! It is told records, questions and the time, and says records, store writes and answers. It opens nothing: the
//! drivers beside this folder do. `tests/tests/arrows.rs` holds these sources to that.
//!
//! ```text
//!  events.<region> -> presence -+-> links -----+-> flows (reroute) -> operations -> tables -> commands.<region>
//!                               +-> tables     |                        ^
//!                               +-> routing    +-> service objects -----+-> tables
//!  latency.<region> -> fleet ------------------> flows (reroute, sync)
//!  commands --------> routing -----------------> tables | commands.<region>
//! ```

mod answers;
pub mod api;
pub mod clock;
mod drains;
mod edits;
mod event_log;
mod flows;
mod io;
mod joined;
mod kept;
mod plans;
mod records;
mod refused;
mod restore;
mod say;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use skerry_bus::api::Features;
use skerry_bus::service::LinkStatus;
use skerry_bus::{Availability, BrokerClock, Generation, PortNo, Region, RegionRecord, SwitchId, Term, Topic};
use skerry_monitor as monitor;
use skerry_router_core::presence::{self, PresenceMachine};
use skerry_router_core::{links, routing, strangers, sync, tables};

use answers::Answers;
use event_log::EventLog;
use flows::Flows;
use records::Read;
use refused::Refused;

pub use flows::Config as FlowsConfig;
pub use io::{Config, Input, Output};
pub use restore::RestoreError;

/// Owner of what every switch needs whatever flows there are.
const SERVICE: &str = "service";
/// Cost of a link until an operator may set one.
const LINK_COST: u32 = 700;

/// The router.
#[derive(Debug)]
pub struct Router {
    config: Config,
    clock: Option<BrokerClock>,
    bus_up: bool,
    presence: PresenceMachine,
    routing: routing::Routing,
    answers: Answers,
    edits: edits::Edits,
    tables: tables::Tables,
    links: links::Links,
    sync: sync::Sync,
    strangers: strangers::Strangers,
    fleet: monitor::fleet::Fleet,
    flows: Flows,
    refused: Refused,
    events: EventLog,
    features: Features,
    /// Switches that were ever activated: they have service objects.
    served: BTreeSet<SwitchId>,
    /// Switches that refused theirs.
    unserved: BTreeSet<SwitchId>,
    /// Generation stored last, per switch.
    generations: BTreeMap<SwitchId, Generation>,
    /// Why the last apply did not succeed, per switch.
    apply_errors: BTreeMap<SwitchId, String>,
    /// Who waits for a plan.
    plans: plans::Plans,
    /// Which region each switch left last, and why.
    left: BTreeMap<SwitchId, String>,
    /// Where each switch is active.
    active: BTreeMap<SwitchId, (Option<Region>, Term)>,
    live: BTreeMap<Region, bool>,
    /// What operators decided about regions.
    drains: BTreeMap<Region, RegionRecord>,
    command_number: u64,
    outputs: VecDeque<Output>,
}

impl Router {
    /// Something happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Record {
                topic,
                partition,
                offset,
                record_ms,
                caught_up,
                key,
                payload,
            } => {
                let read = Read {
                    topic: &topic,
                    partition,
                    offset,
                    record_ms,
                    caught_up,
                    key: &key,
                    payload: &payload,
                };
                self.record(now, read);
            }
            Input::Unreadable {
                topic,
                partition,
                offset,
                cause,
            } => {
                let read = Read {
                    topic: &topic,
                    partition,
                    offset,
                    record_ms: 0,
                    caught_up: false,
                    key: &[],
                    payload: &[],
                };
                self.dead_letter(read, cause);
            }
            Input::CaughtUp {
                topic: Topic::RegionEvents(region),
                partition,
            } => {
                self.presence
                    .handle_input(now, presence::Input::CaughtUp { region, partition });
            }
            Input::Behind {
                topic: Topic::RegionEvents(region),
                partition,
            } => {
                self.presence
                    .handle_input(now, presence::Input::Behind { region, partition });
            }
            Input::CaughtUp { .. } | Input::Behind { .. } => {}
            Input::Bus { up } => {
                if self.bus_up != up {
                    self.bus_up = up;
                    self.fact(
                        !up,
                        if up {
                            "Kafka can be reached"
                        } else {
                            "Kafka cannot be reached"
                        }
                        .to_owned(),
                    );
                    if up {
                        self.tables.handle_input(now, tables::Input::BusBack);
                        self.say_regions();
                        self.routing.handle_input(now, routing::Input::BusBack);
                    }
                }
                self.presence.handle_input(now, presence::Input::Bus { up });
                self.strangers.handle_input(now, strangers::Input::Bus { up });
            }
            Input::Regions(found) => self.strangers.handle_input(now, strangers::Input::Found(found)),
            Input::Clock(clock) => {
                self.clock = Some(clock);
                self.presence.handle_input(now, presence::Input::Clock(clock));
                self.routing.handle_input(now, routing::Input::Clock(clock));
                self.tables.handle_input(now, tables::Input::Clock(clock));
            }
            Input::Delivered { token } => self.answers.delivered(token),
            Input::NotDelivered { token } => self.answers.not_delivered(token),
            Input::Ask {
                token,
                request: api::ApiRequest::Plan(switch),
            } => self.ask_plan(now, token, switch),
            Input::Ask { token, request } => {
                let response = Box::new(self.ask(now, request));
                self.outputs.push_back(Output::Answer { token, response });
            }
        }
        self.pump(now);
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.presence.handle_timeout(now);
        self.routing.handle_timeout(now);
        self.tables.handle_timeout(now);
        self.links.handle_timeout(now);
        self.sync.handle_timeout(now);
        self.strangers.handle_timeout(now);
        self.fleet.handle_timeout(now);
        self.flows.handle_timeout(now);
        self.pump(now);
    }

    /// When [`Router::handle_timeout`] is to be called next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        [
            self.presence.poll_timeout(),
            self.routing.poll_timeout(),
            self.tables.poll_timeout(),
            self.links.poll_timeout(),
            self.sync.poll_timeout(),
            self.strangers.poll_timeout(),
            self.fleet.poll_timeout(),
            self.flows.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do; call until there is none before the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    // ---- the machines, joined ----------------------------------------------------------------------------------

    /// Carry outputs from machine to machine until all are quiet, then say what can be committed.
    fn pump(&mut self, now: Instant) {
        self.carry(now);
        while let Some((token, said)) = self.bus_up.then(|| self.answers.say_again()).flatten() {
            self.say_answer(said, Some(token));
        }
        while let Some((partition, offset)) = self.answers.commit() {
            self.outputs.push_back(Output::Commit { partition, offset });
        }
    }

    fn carry(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.presence.poll_output() {
                self.on_presence(now, output);
            } else if let Some(output) = self.links.poll_output() {
                self.on_links(now, output);
            } else if let Some(output) = self.fleet.poll_output() {
                self.on_fleet(now, output);
            } else if let Some(output) = self.flows.poll_output() {
                self.on_flows(now, output);
            } else if let Some(output) = self.routing.poll_output() {
                self.on_routing(now, output);
            } else if let Some(output) = self.tables.poll_output() {
                self.on_tables(now, output);
            } else if let Some(output) = self.strangers.poll_output() {
                match output {
                    strangers::Output::Look => self.outputs.push_back(Output::LookForRegions),
                    strangers::Output::Speaks(region) => self.unknown_region(&region),
                }
            } else if let Some(sync::Output::AskAllRegions) = self.sync.poll_output() {
                let regions: Vec<Region> = self
                    .live
                    .iter()
                    .filter(|(_, live)| **live)
                    .map(|(r, _)| r.clone())
                    .collect();
                for region in regions {
                    self.ask_region(now, &region);
                }
                for switch in std::mem::take(&mut self.unserved) {
                    self.serve(now, switch);
                }
            } else {
                let ready = self.flows.ready();
                if ready.is_empty() {
                    return;
                }
                let network = self.network(now);
                self.flows.do_waiting(now, &network, ready);
            }
        }
    }

    // ---- what machines are told of each other ------------------------------------------------------------------

    /// What a switch needs whatever flows there are, with the link ports it has now.
    fn serve(&mut self, now: Instant, switch: SwitchId) {
        let ports: BTreeSet<_> = self
            .links
            .links()
            .filter(|l| l.status != LinkStatus::Moved)
            .flat_map(|l| [l.link.a(), l.link.b()])
            .filter(|end| end.switch == switch)
            .map(|end| end.port)
            .collect();
        let objects = skerry_network::service_objects(switch, ports);
        self.tables.handle_input(
            now,
            tables::Input::SetOwner {
                switch,
                owner: SERVICE.into(),
                objects,
            },
        );
    }

    /// Who reaches a switch.
    fn availability(&self, now: Instant, switch: SwitchId) -> Availability {
        self.presence
            .switch(switch)
            .map_or_else(Availability::default, |s| s.availability(now))
    }

    /// The network as flows see it now.
    fn network(&self, now: Instant) -> flows::NetworkView {
        let links = self
            .links
            .links()
            .map(|l| flows::LinkSight {
                link: l.link,
                up: l.status == LinkStatus::Up,
                latency_ns: self
                    .fleet
                    .latency_of_link(l.link, now)
                    .and_then(|figure| figure.latency_ns),
            })
            .collect();
        let ports_of = |s: &presence::Switch| s.state().map(|state| state.ports.iter().map(|p| p.port).collect());
        let ports: BTreeMap<SwitchId, BTreeSet<PortNo>> = self
            .presence
            .switches()
            .iter()
            .filter_map(|(id, s)| Some((*id, ports_of(s)?)))
            .collect();
        let known = self.presence.switches().keys();
        let unheard = known.filter(|id| !ports.contains_key(id)).copied().collect();
        let reachable = self
            .active
            .iter()
            .filter(|(_, (region, _))| region.is_some())
            .map(|(s, _)| *s)
            .collect();
        flows::NetworkView {
            links,
            ports,
            unheard,
            reachable,
        }
    }
}

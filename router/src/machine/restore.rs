//! The router at its start, from what was stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use skerry_bus::api::Features;
use skerry_bus::service::LinkStatus;
use skerry_bus::{Generation, LinkId, PresenceRecord, RegionRecord, SwitchId};
use skerry_monitor::{SlaRecord, fleet};
use skerry_router_core::presence::{self, PresenceMachine};
use skerry_router_core::{links, routing, strangers, sync, tables};

use super::answers::Answers;
use super::event_log::EventLog;
use super::flows::Flows;
use super::refused::Refused;
use super::{Config, Router, edits, kept};
use crate::store::Stored;

/// Something stored cannot be read. Nothing is guessed: an operator decides what to do with it.
#[derive(Debug, thiserror::Error)]
#[error("store: {kind} {id:?} cannot be read: {cause}")]
pub struct RestoreError {
    kind: String,
    id: String,
    cause: String,
}

/// Parse the body, or say which object it was.
fn body<T: serde::de::DeserializeOwned>(stored: &Stored) -> Result<T, RestoreError> {
    serde_json::from_str(&stored.body).map_err(|e| error(stored, &e))
}

fn id<T: std::str::FromStr>(stored: &Stored) -> Result<T, RestoreError>
where
    T::Err: std::fmt::Display,
{
    stored.id.parse().map_err(|e| error(stored, &e))
}

fn error(stored: &Stored, cause: &dyn std::fmt::Display) -> RestoreError {
    RestoreError {
        kind: stored.kind.clone(),
        id: stored.id.clone(),
        cause: cause.to_string(),
    }
}

#[derive(serde::Deserialize)]
struct StoredLink {
    status: LinkStatus,
}

impl Router {
    /// A router that goes on where the stored one stopped; with nothing stored, a new one.
    ///
    /// # Errors
    /// Something stored cannot be read.
    pub fn new(config: Config, stored: Vec<Stored>, now: Instant) -> Result<Self, RestoreError> {
        let names = || config.presence.regions.iter().map(|r| r.region.clone());
        let mut router = Router {
            clock: None,
            bus_up: false,
            presence: PresenceMachine::new(config.presence.clone(), now),
            routing: routing::Routing::new(routing::Config::new(names().collect(), config.owner_epoch), now),
            answers: Answers::default(),
            edits: edits::Edits::default(),
            tables: tables::Tables::new(tables::Config::new(config.owner_epoch), now),
            links: links::Links::new(links::Config::default(), now),
            sync: sync::Sync::new(config.sync.clone(), now),
            strangers: strangers::Strangers::new(strangers::Config::new(names()), now),
            fleet: fleet::Fleet::new(config.fleet, now),
            flows: Flows::new(config.flows),
            refused: Refused::default(),
            events: EventLog::default(),
            features: Features::default(),
            served: BTreeSet::new(),
            unserved: BTreeSet::new(),
            generations: BTreeMap::new(),
            apply_errors: BTreeMap::new(),
            plans: super::plans::Plans::default(),
            left: BTreeMap::new(),
            active: BTreeMap::new(),
            live: BTreeMap::new(),
            drains: BTreeMap::new(),
            command_number: 0,
            outputs: VecDeque::new(),
            config,
        };
        let mut sla: BTreeMap<String, SlaRecord> = BTreeMap::new();
        let mut kept = kept::Kept::default();
        for object in &stored {
            match object.kind.as_str() {
                "presence" => {
                    let record: PresenceRecord = body(object)?;
                    router.served.insert(record.switch);
                    router
                        .presence
                        .handle_input(now, presence::Input::Restored(Box::new(record)));
                }
                "generation" => {
                    let (switch, generation): (SwitchId, Generation) = (id(object)?, body(object)?);
                    router.generations.insert(switch, generation);
                    router
                        .tables
                        .handle_input(now, tables::Input::Restored { switch, generation });
                }
                "link" => {
                    let link: LinkId = id(object)?;
                    let StoredLink { status } = body(object)?;
                    router.links.handle_input(now, links::Input::Restored { link, status });
                }
                "region" => {
                    let record: RegionRecord = body(object)?;
                    router.restore_region(now, record);
                }
                "features" => {
                    router.features = body(object)?;
                    router
                        .sync
                        .handle_input(now, sync::Input::Toggle(router.features.network_sync));
                }
                "sla" => {
                    sla.insert(object.id.clone(), body(object)?);
                }
                edits::BEGUN | edits::ANSWER => router.edits.take(object).map_err(|cause| error(object, &cause))?,
                kept::KIND => kept.take(object).map_err(|cause| error(object, &cause))?,
                // Read below, in their order, or by the driver.
                "flow" | "operation" | "meta" => {}
                other => return Err(error(object, &format!("{other:?} is not a kind this version knows"))),
            }
        }
        router
            .flows
            .restore(now, &stored, sla, |object, cause| error(object, &cause))?;
        for (switch, objects) in kept.0 {
            let owner = tables::COMMANDS.to_owned();
            let wanted = tables::Input::SetOwner { switch, owner, objects };
            router.tables.handle_input(now, wanted);
        }
        router.go_on_with_edits(now);
        for switch in router.served.clone() {
            router.serve(now, switch);
        }
        router.pump(now);
        Ok(router)
    }
}

//! Draining of regions, as operators ask for it. What becomes of the switches is decided in presence.
//!
//! What was decided is one record per region, in the store and on a compacted topic that every router reads: each acts upon it
//! for its own switches.

use std::collections::BTreeMap;
use std::time::Instant;

use skerry_bus::api::{DrainMove, DrainPlan, DrainView, FieldError};
use skerry_bus::{Decoded, Mode, Region, RegionRecord, Topic, decode, encode};
use skerry_router_core::presence;

use super::Router;
use super::api::ApiResponse;
use super::records::Read;
use crate::store::Write;

impl Router {
    /// `PUT /v2/regions/{region}/drain`
    pub(super) fn drain_region(&mut self, now: Instant, region: Region, force: bool, dry_run: bool) -> ApiResponse {
        if !self.is_configured(&region) {
            return self.no_such_region(&region);
        }
        let moves = self.moves_from(now, &region);
        if dry_run {
            return ApiResponse::ok(&DrainPlan { region, moves });
        }
        let stuck: Vec<FieldError> = moves
            .iter()
            .filter(|m| m.to.is_none())
            .map(|m| FieldError {
                pointer: format!("/switches/{}", m.switch_id),
                detail: format!("no other region can take it: {}", self.who_else(now, m, &region)),
            })
            .collect();
        if !stuck.is_empty() && !force {
            let detail = format!(
                "{} of {} switches can only be reached through region {region}",
                stuck.len(),
                moves.len()
            );
            return ApiResponse::problem(409, "no-other-region", &detail, stuck);
        }
        if self.clock.is_none() {
            return ApiResponse::unavailable("Kafka has not been reached yet: other routers could not be told");
        }
        if self.drains.get(&region).is_none_or(|r| !r.drained || r.force != force) {
            self.decide(now, &region, true, force);
            let switches = moves.len() - stuck.len();
            self.fact(
                false,
                format!("region {region} is to be drained: {switches} switches move"),
            );
        }
        self.region_answer(now, &region)
    }

    /// `DELETE /v2/regions/{region}/drain`
    pub(super) fn undrain_region(&mut self, now: Instant, region: Region, dry_run: bool) -> ApiResponse {
        if !self.is_configured(&region) {
            return self.no_such_region(&region);
        }
        if !dry_run && self.drains.get(&region).is_some_and(|r| r.drained) {
            self.decide(now, &region, false, false);
            self.fact(false, format!("region {region} is in use again"));
        }
        self.region_answer(now, &region)
    }

    pub(super) fn region_answer(&mut self, now: Instant, region: &Region) -> ApiResponse {
        match self.regions(now).into_iter().find(|view| view.region == *region) {
            Some(view) => ApiResponse::ok(&view),
            None => self.no_such_region(region),
        }
    }

    fn no_such_region(&self, region: &Region) -> ApiResponse {
        ApiResponse::not_found(&format!("region {region} is not in the configuration"))
    }

    fn is_configured(&self, region: &Region) -> bool {
        self.config.presence.regions.iter().any(|r| r.region == *region)
    }

    /// Where each switch would go that the region has, or that it alone could have.
    fn moves_from(&self, now: Instant, region: &Region) -> Vec<DrainMove> {
        let mut moves = Vec::new();
        for (id, switch) in self.presence.switches() {
            let reach = switch.reaches().get(region);
            if reach.is_none_or(|reach| reach.mode == Mode::ReadOnly) {
                continue;
            }
            let to = self.presence.next(now, *id, region);
            if to.is_none() || switch.active() == Some(region) {
                moves.push(DrainMove { switch_id: *id, to });
            }
        }
        moves
    }

    /// Why none of the others can take a switch.
    fn who_else(&self, now: Instant, stuck: &DrainMove, region: &Region) -> String {
        let list = self.availability(now, stuck.switch_id).availability;
        let others: Vec<String> = list
            .iter()
            .filter(|other| other.region != *region)
            .map(|other| format!("{} {}", other.region, self.why_not(&other.region, other.mode)))
            .collect();
        match others.is_empty() {
            true => "it is connected nowhere else".to_owned(),
            false => others.join(", "),
        }
    }

    /// Why a region that reaches a switch is not made active.
    pub(super) fn why_not(&self, region: &Region, mode: Mode) -> &'static str {
        match mode {
            Mode::ReadOnly => "may only read",
            Mode::ReadWrite if self.presence.drain(region).is_some() => "is drained",
            Mode::ReadWrite => "is not heard",
        }
    }

    fn decide(&mut self, now: Instant, region: &Region, drained: bool, force: bool) {
        let last = self.drains.get(region).map_or(0, |record| record.changed_ms);
        let record = RegionRecord {
            region: region.clone(),
            drained,
            force,
            changed_ms: self.now_ms(now).max(last + 1),
        };
        self.publish(Topic::StateRegions, region.to_string(), encode(&record));
        self.take_region_record(now, record);
    }

    /// What was decided about a region, here or by another router.
    fn take_region_record(&mut self, now: Instant, record: RegionRecord) {
        let body = String::from_utf8_lossy(&encode(&record)).into_owned();
        self.store(Write::Put {
            kind: "region",
            id: record.region.to_string(),
            body,
        });
        self.restore_region(now, record);
    }

    /// What was decided earlier.
    pub(super) fn restore_region(&mut self, now: Instant, record: RegionRecord) {
        let (region, drained) = (record.region.clone(), record.drained);
        self.presence
            .handle_input(now, presence::Input::Drain { region, drained });
        self.drains.insert(record.region.clone(), record);
    }

    /// A record of the topic that every router reads.
    pub(super) fn region_record(&mut self, now: Instant, read: Read) {
        match decode::<RegionRecord>(read.payload) {
            Decoded::Message(record) if !self.is_configured(&record.region) => {
                let cause = format!("region: {} is not in the configuration", record.region);
                self.dead_letter(read, cause);
            }
            Decoded::Message(record) => {
                let known = self.drains.get(&record.region).map_or(0, |known| known.changed_ms);
                if record.changed_ms > known {
                    self.take_region_record(now, record);
                }
            }
            Decoded::UnknownKind(cause) | Decoded::Malformed(cause) => self.dead_letter(read, cause),
        }
    }

    /// Kafka is back, perhaps with nothing in it: what was decided is said again, for the others.
    pub(super) fn say_regions(&mut self) {
        let records: BTreeMap<Region, RegionRecord> = self.drains.clone();
        for (region, record) in records {
            self.publish(Topic::StateRegions, region.to_string(), encode(&record));
        }
    }

    /// How far a region is drained.
    pub(super) fn drain_view(&self, region: &Region) -> Option<DrainView> {
        let force = self.drains.get(region).is_some_and(|record| record.force);
        let progress = self.presence.drain(region)?;
        let hanging = progress.hanging.len() as u32;
        let staying = if force { 0 } else { progress.staying.len() as u32 };
        let left = progress.waiting + progress.moving + hanging + staying;
        Some(DrainView {
            state: if left == 0 { "drained" } else { "draining" }.to_owned(),
            force,
            left,
            moving: progress.moving,
            moved: progress.moved,
            hanging: progress.hanging,
            staying: progress.staying,
        })
    }
}

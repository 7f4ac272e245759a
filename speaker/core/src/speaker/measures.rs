//! How much there is of what, told about once a second: counting it all again costs less than keeping every number right.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skerry_bus::Role;

use super::Speaker;
use crate::io::Output;
use crate::measure::{Gauge, Histogram};

/// How often it is told. Prometheus asks every 15 s or so, a person may look more often.
const EVERY: Duration = Duration::from_secs(1);

/// What was told last, and when it is told next.
#[derive(Debug)]
pub(super) struct Gauges {
    at: Instant,
    told: BTreeMap<Gauge, u64>,
}

impl Gauges {
    pub(super) fn new(now: Instant) -> Self {
        let told = BTreeMap::new();
        Gauges { at: now + EVERY, told }
    }

    pub(super) fn next(&self) -> Instant {
        self.at
    }
}

impl Speaker {
    pub(super) fn observe(&mut self, histogram: Histogram, took: Duration) {
        self.outputs.push_back(Output::Observe { histogram, took });
    }

    /// Tell what changed, if it is time.
    pub(super) fn tell_gauges(&mut self, now: Instant) {
        if now < self.gauges.at {
            return;
        }
        self.gauges.at = now + EVERY;
        let mut values: BTreeMap<Gauge, u64> = Gauge::ALL.iter().map(|gauge| (*gauge, 0)).collect();
        let mut add = |gauge, by| *values.entry(gauge).or_default() += by;
        for connection in self.connections.values() {
            add(connection.gauge(), 1);
        }
        let mut deepest = 0;
        for switch in self.switches.values() {
            let role = match switch.role.role() {
                Role::Master => Gauge::RoleMaster,
                Role::Equal => Gauge::RoleEqual,
                Role::Slave => Gauge::RoleSlave,
            };
            add(role, 1);
            let depth = switch.lane.depth() as u64;
            add(Gauge::LaneCommands, depth);
            deepest = deepest.max(depth);
        }
        add(Gauge::LaneCommandsMax, deepest);
        add(Gauge::CommandsOpen, self.jobs.len() as u64);
        add(Gauge::AnswersWaiting, self.publisher.answers_waiting() as u64);
        add(Gauge::StoreOrders, self.keeper.orders() as u64);
        add(Gauge::ProbedPorts, self.schedule.len() as u64);
        add(Gauge::LinkDirections, self.links.len() as u64);
        for (gauge, value) in values {
            if self.gauges.told.insert(gauge, value) != Some(value) {
                self.outputs.push_back(Output::Gauge { gauge, value });
            }
        }
    }
}

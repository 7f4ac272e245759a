//! What the composed machine says of its switches and links: states, snapshots, silences, digests, figures.

use std::time::Instant;

use skerry_bus::{
    CorrelationId, LatencyBody, LatencySource, Region, RegionEventBody, Role, SwitchFeatures, SwitchId, SwitchState,
};

use super::Speaker;
use crate::fact::Fact;
use crate::links::{Silent, Way};

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Speaker {
    /// A connected switch, whole.
    pub(super) fn state(&self, now: Instant, switch: SwitchId) -> Option<SwitchState> {
        let entry = self.switches.get(&switch)?;
        let connection = self.connections.get(&entry.conn)?;
        Some(SwitchState {
            switch,
            connection: entry.number,
            address: connection.peer.to_string(),
            speaker_address: connection.local.to_string(),
            mode: self.config.mode,
            role: entry.role.role(),
            term_seen: entry.role.seen(),
            uptime_ms: millis(now.saturating_duration_since(entry.announced)),
            generation: entry.lane.generation(),
            description: connection.description.clone(),
            ports: connection.ports.values().cloned().collect(),
            control_rtt_ns: self.latencies.control_of(switch).map(nanos),
            features: SwitchFeatures {
                bundles: entry.lane.takes_bundles(),
            },
        })
    }

    /// Tell an event of a switch's own partition.
    pub(super) fn tell(&mut self, now: Instant, switch: SwitchId, body: RegionEventBody) {
        let at_ms = self.at_ms(now);
        self.publisher
            .event(at_ms, &switch.to_string(), body, &mut self.outputs);
    }

    /// Tell a connected switch again, whole.
    pub(super) fn tell_changed(&mut self, now: Instant, switch: SwitchId) {
        if let Some(state) = self.state(now, switch) {
            self.tell(now, switch, RegionEventBody::SwitchChanged { state });
        }
    }

    /// A snapshot nobody asked for, into every partition.
    pub(super) fn snapshot_all(&mut self, now: Instant, name: &'static str) {
        let name = name
            .parse()
            .expect("the names of our own snapshots are correlation ids");
        self.snapshot(now, &name);
    }

    /// All switches, delimited, into every partition, each with its own begin and end; then what is known of links.
    pub(super) fn snapshot(&mut self, now: Instant, name: &CorrelationId) {
        if !self.publisher.is_up() {
            return;
        }
        let at_ms = self.at_ms(now);
        let region: Region = self.config.region.clone();
        let mut by_partition: Vec<Vec<SwitchId>> = vec![Vec::new(); self.publisher.partitions() as usize];
        for switch in self.switches.keys() {
            let partition = usize::try_from(self.partition_of_switch(*switch)).unwrap_or(0);
            if let Some(list) = by_partition.get_mut(partition) {
                list.push(*switch);
            }
        }
        for (partition, switches) in (0..).zip(&by_partition) {
            let snapshot = name.clone();
            let begin = RegionEventBody::SnapshotBegin { snapshot };
            self.publisher
                .write(at_ms, partition, region.as_str(), None, begin, &mut self.outputs);
            let mut told = 0;
            for switch in switches {
                if let Some(state) = self.state(now, *switch) {
                    told += 1;
                    let snapshot = name.clone();
                    let entry = RegionEventBody::SnapshotSwitch { snapshot, state };
                    self.publisher
                        .write(at_ms, partition, &switch.to_string(), None, entry, &mut self.outputs);
                }
            }
            let end = RegionEventBody::SnapshotEnd {
                snapshot: name.clone(),
                switches: told,
            };
            self.publisher
                .write(at_ms, partition, region.as_str(), None, end, &mut self.outputs);
        }
        for switch in by_partition.into_iter().flatten() {
            self.tell_links(now, switch);
        }
    }

    /// What is known of the links that end in a switch: seen ones, and silent ones.
    pub(super) fn tell_links(&mut self, now: Instant, switch: SwitchId) {
        let (alive, silent) = self.links.at_switch(now, switch);
        for way in alive {
            self.tell_seen(now, way);
        }
        for silent in silent {
            self.tell_one_silent(now, silent);
        }
    }

    pub(super) fn tell_seen(&mut self, now: Instant, Way { from, to }: Way) {
        let interval_ms = millis(self.config.discovery);
        self.tell(now, to.switch, RegionEventBody::LinkSeen { from, to, interval_ms });
    }

    fn tell_one_silent(&mut self, now: Instant, Silent { way, silent, missed }: Silent) {
        let body = RegionEventBody::LinkSilent {
            from: way.from,
            to: way.to,
            silent_ms: millis(silent),
            missed,
        };
        self.tell(now, way.to.switch, body);
    }

    /// Directions that fell silent, or still are.
    pub(super) fn tell_silent(&mut self, now: Instant) {
        while let Some(silent) = self.links.pop_silent(now) {
            self.tell_one_silent(now, silent);
            self.fact(Fact::LinkSilent {
                from: silent.way.from,
                to: silent.way.to,
                silent: silent.silent,
            });
        }
    }

    /// Figures of links that are due.
    pub(super) fn tell_latencies(&mut self, now: Instant) {
        while let Some(port) = self.latencies.pop_due(now) {
            // The far end is who is heard here; the packet that was turned around does not name it.
            let Some(to) = self.links.peer(port) else {
                self.latencies.postpone(now, port);
                continue;
            };
            let Some(figure) = self.latencies.take(now, port) else {
                continue;
            };
            let body = LatencyBody::LinkLatency {
                from: figure.port,
                to,
                latency_ns: nanos(figure.latency),
                source: LatencySource::RoundTrip,
                samples: figure.samples,
            };
            self.publisher.latency(self.at_ms(now), body, &mut self.outputs);
        }
    }

    /// Digests that are due.
    pub(super) fn tell_digests(&mut self, now: Instant) {
        while let Some(switch) = self.digest_timers.pop_due(now) {
            let active = self.switches.get(&switch).map(|entry| entry.role.role()) == Some(Role::Master);
            if !active {
                continue;
            }
            self.digest_timers.set(switch, Some(now + self.config.discovery));
            let (links, digest) = self.links.digest(switch);
            if links > 0 {
                self.tell(now, switch, RegionEventBody::LinkDigest { switch, links, digest });
            }
        }
    }
}

//! Discovery packets of the composed machine: out by a port, straight back, in from a switch.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ofproto::{Action, Body, PacketIn, PacketOut};
use skerry_bus::{PortNo, PortRef, SwitchId};

use super::Speaker;
use crate::fact::{Counter, Fact};
use crate::io::{ConnId, Output};
use crate::latency::Dropped;
use crate::links::{Heard, Way, is_fresh};
use crate::measure::Histogram;
use crate::packet::{self, Kind, Probe};
use crate::shed::Tally;

/// The port that stands in a packet that measures the control channel.
pub(super) const CONTROLLER: PortNo = PortNo(ofproto::PortNo::CONTROLLER.0);

impl Speaker {
    /// Send a packet by a port, or straight back. Gives false if it cannot be sent now.
    fn send_probe(&mut self, now: Instant, kind: Kind, from: PortRef) -> bool {
        // Its age could not be judged by whoever receives it.
        let Some(sent_ms) = self.clock.now_ms(now) else {
            self.count(Counter::ProbesNoClock);
            return false;
        };
        let Some(entry) = self.switches.get(&from.switch).filter(|e| e.role.term().is_some()) else {
            return false;
        };
        let conn = entry.conn;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return false;
        };
        self.nonce += 1;
        let sent = now.saturating_duration_since(self.start).as_nanos();
        let probe = Probe {
            kind,
            from,
            sent_ns: u64::try_from(sent).unwrap_or(u64::MAX),
            sent_ms,
            nonce: self.nonce,
            epoch: self.config.epoch,
            region: self.config.region.clone(),
        };
        let action = match kind {
            Kind::Link => Action::output(ofproto::PortNo(from.port.0)),
            Kind::Control => Action::to_controller(),
        };
        let data = Bytes::from(packet::build(&probe, &self.config.network_key));
        connection
            .wire
            .send_short(Body::PacketOut(PacketOut::new(vec![action], data)));
        self.flush(conn);
        self.count(Counter::ProbesSent);
        true
    }

    /// One packet that measures a control channel, if one is due.
    pub(super) fn probe_control(&mut self, now: Instant) -> bool {
        match self.control_schedule.pop_due(now) {
            Some((port, _)) => self.send_probe(now, Kind::Control, port),
            None => false,
        }
    }

    /// One discovery packet, if one is due.
    pub(super) fn probe_link(&mut self, now: Instant) -> bool {
        match self.schedule.pop_due(now) {
            Some((port, due)) => {
                let sent = self.send_probe(now, Kind::Link, port);
                if sent {
                    self.observe(Histogram::DiscoveryJitter, now.saturating_duration_since(due));
                }
                sent
            }
            None => false,
        }
    }

    /// What became of the packets of a read, each counted once.
    pub(super) fn count_packets(&mut self, tally: Tally) {
        if tally == Tally::default() {
            return;
        }
        let Tally {
            delivered,
            malformed,
            not_announced,
            other_port,
            other_switch,
            discovery_port,
            discovery_switch,
        } = tally;
        let shed = [
            (Counter::ShedNotAnnounced, not_announced),
            (Counter::ShedOtherPort, other_port),
            (Counter::ShedOtherSwitch, other_switch),
            (Counter::ShedDiscoveryPort, discovery_port),
            (Counter::ShedDiscoverySwitch, discovery_switch),
        ];
        let offered = delivered + malformed + shed.iter().map(|(_, by)| by).sum::<u64>();
        let rest = [
            (Counter::PacketsOffered, offered),
            (Counter::PacketsDelivered, delivered),
            (Counter::PacketsMalformed, malformed),
        ];
        for (counter, by) in rest.into_iter().chain(shed).filter(|(_, by)| *by > 0) {
            self.outputs.push_back(Output::Count { counter, by });
        }
    }

    /// A packet came from a switch.
    pub(super) fn packet_in(&mut self, now: Instant, conn: ConnId, switch: SwitchId, packet: &PacketIn) {
        let counter = match self.probe_in(now, conn, switch, packet) {
            Ok(()) => Counter::ProbesReceived,
            Err(dropped) => dropped,
        };
        self.count(counter);
    }

    fn probe_in(&mut self, now: Instant, conn: ConnId, switch: SwitchId, packet: &PacketIn) -> Result<(), Counter> {
        let read = packet::parse(&packet.data).map_err(|_| Counter::PacketOther)?;
        if !packet::verify(&read, &self.config.network_key) {
            return Err(Counter::PacketForged);
        }
        let now_ms = self.clock.now_ms(now).ok_or(Counter::PacketNoClock)?;
        // Discovery is the active region's; a packet that was under way when the role changed says nothing.
        if self.term(switch).is_none() {
            return Err(Counter::PacketMisplaced);
        }
        let probe = &read.probe;
        let port = packet.matching.in_port().map(|p| PortNo(p.0));
        let to = PortRef {
            switch,
            port: port.ok_or(Counter::PacketMisplaced)?,
        };
        let own = probe.epoch == self.config.epoch && probe.region == self.config.region;
        match (probe.kind, read.turned) {
            (Kind::Link, false) if probe.from.switch != switch => self.link_in(now, now_ms, conn, to, probe),
            // Own packets, back at the port they left by.
            (Kind::Link, true) if own && probe.from == to => {
                if !is_fresh(now_ms, probe.sent_ms) {
                    return Err(Counter::PacketStale);
                }
                let way = self.since_sent(now, probe).ok_or(Counter::LatencyNegative)?;
                let sender = (&probe.region, probe.epoch, probe.nonce);
                self.latencies.turned(now, to, sender, way).map_err(dropped)?;
                self.count(Counter::LatencySamples);
                Ok(())
            }
            (Kind::Control, false) if own && probe.from.switch == switch && probe.from.port == CONTROLLER => {
                if !is_fresh(now_ms, probe.sent_ms) {
                    return Err(Counter::PacketStale);
                }
                let round_trip = self.since_sent(now, probe).ok_or(Counter::LatencyNegative)?;
                self.latencies.control(switch, probe.nonce, round_trip).map_err(dropped)
            }
            (Kind::Link | Kind::Control, _) => Err(Counter::PacketMisplaced),
        }
    }

    fn link_in(&mut self, now: Instant, now_ms: u64, conn: ConnId, to: PortRef, probe: &Probe) -> Result<(), Counter> {
        let port_is_up = self
            .connections
            .get(&conn)
            .and_then(|connection| connection.ports.get(&to.port))
            .is_some_and(|port| port.up);
        if !port_is_up {
            return Err(Counter::PacketMisplaced);
        }
        match self.links.heard(now, now_ms, to, probe) {
            Heard::Known => Ok(()),
            Heard::News => {
                let from = probe.from;
                self.tell_seen(now, Way { to, from });
                self.fact(Fact::LinkSeen { from, to });
                Ok(())
            }
            Heard::Stale => Err(Counter::PacketStale),
            Heard::Replayed => Err(Counter::PacketReplayed),
            Heard::Full => Err(Counter::PacketFull),
        }
    }

    /// How long ago one of our own packets was sent, by our own clock.
    fn since_sent(&self, now: Instant, probe: &Probe) -> Option<Duration> {
        let since_start = now.saturating_duration_since(self.start);
        since_start.checked_sub(Duration::from_nanos(probe.sent_ns))
    }
}

fn dropped(dropped: Dropped) -> Counter {
    match dropped {
        Dropped::Negative => Counter::LatencyNegative,
        Dropped::Absurd => Counter::LatencyAbsurd,
        Dropped::NoControl => Counter::LatencyNoControl,
        Dropped::Replayed => Counter::PacketReplayed,
    }
}

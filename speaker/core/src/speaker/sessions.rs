//! Connections of the composed machine: coming, being challenged, being announced, leaving, and what their role says.

use std::net::SocketAddr;
use std::time::Instant;

use skerry_bus::topic::partition_of;
use skerry_bus::{PortRef, RegionEventBody, Role, SwitchId, Term};

use super::commands::Answer;
use super::probes::CONTROLLER;
use super::{Challenge, Speaker, Switch};
use crate::autonomy::Autonomy;
use crate::connection::{Connection, Event, read_port};
use crate::fact::{CloseReason, Counter, Fact};
use crate::identity::Identity;
use crate::io::{ConnId, Output};
use crate::job::JobId;
use crate::lane::{self, Lane};
use crate::measure::Histogram;
use crate::role::{self, RoleKeeper};

impl Speaker {
    pub(super) fn accepted(&mut self, now: Instant, conn: ConnId, (peer, local): (SocketAddr, SocketAddr), tls: bool) {
        self.count(Counter::Connections);
        let (max, max_of_one) = (self.config.connections_max, self.config.connections_per_source_max);
        let source = peer.ip();
        let refusal = if self.connections.len() >= max {
            Some(CloseReason::Full(max))
        } else if self.sources.of(source) >= max_of_one {
            let max = max_of_one;
            Some(CloseReason::SourceFull { source, max })
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.outputs.push_back(Output::Close {
                conn,
                reason: reason.to_string(),
            });
            self.refused(now, conn, None, peer, reason);
            return;
        }
        self.sources.add(source);
        let connection = Connection::new(&self.config, now, peer, local, tls);
        self.connections.insert(conn, connection);
        self.flush(conn);
    }

    pub(super) fn secured(&mut self, conn: ConnId, identity: Identity) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.secured(identity);
        }
        self.flush(conn);
    }

    pub(super) fn connection_event(&mut self, now: Instant, conn: ConnId, event: Event) {
        match event {
            Event::Identified(switch) => self.identified(now, conn, switch),
            Event::Settled => self.announce(now, conn),
            Event::Message(switch, message, len) => self.message(now, conn, switch, message, len),
            Event::Early => self.count(Counter::Early),
            Event::Unasked => self.count(Counter::Unexpected),
            Event::Echoed(xid, took) => {
                if let Some(took) = took {
                    self.observe(Histogram::Echo, took);
                }
                self.echoed(now, conn, xid);
            }
        }
    }

    /// A connection says which switch it is. Its certificate must allow that; a living one of the same id is challenged,
    /// not obeyed.
    fn identified(&mut self, now: Instant, conn: ConnId, switch: SwitchId) {
        let claim = self.connections.get(&conn).map(|c| c.identity.claim(switch));
        if let Some(Err(reason)) = claim {
            self.close(now, conn, reason, true);
            return;
        }
        let living = self.owners.get(&switch).copied().filter(|living| *living != conn);
        let Some(living) = living else {
            self.owners.insert(switch, conn);
            self.proceed(now, conn);
            return;
        };
        if self.challenges.contains_key(&switch) {
            self.close(now, conn, CloseReason::AlreadyWaiting, true);
            return;
        }
        let Some(connection) = self.connections.get_mut(&living) else {
            return;
        };
        let echo_xid = connection.challenge();
        self.flush(living);
        let newcomer = conn;
        self.challenges.insert(switch, Challenge { newcomer, echo_xid });
        self.challenge_timers.set(switch, Some(now + self.config.challenge));
        self.flush(conn);
    }

    fn proceed(&mut self, now: Instant, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.proceed(now);
        }
        self.flush(conn);
    }

    /// The living connection of a challenged switch answered: the newcomer is refused.
    fn echoed(&mut self, now: Instant, conn: ConnId, xid: u32) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let living = connection.peer.to_string();
        let Some(switch) = connection.switch.filter(|s| self.owners.get(s) == Some(&conn)) else {
            return;
        };
        let answered = self.challenges.get(&switch).filter(|c| c.echo_xid == xid);
        if let Some(newcomer) = answered.map(|c| c.newcomer) {
            self.close(now, newcomer, CloseReason::Duplicate { living }, true);
        }
    }

    pub(super) fn challenge_unanswered(&mut self, now: Instant, switch: SwitchId) {
        if self.challenges.contains_key(&switch)
            && let Some(living) = self.owners.get(&switch).copied()
        {
            self.close(now, living, CloseReason::Replaced, true);
        }
    }

    /// Everything is known and the role is settled.
    fn announce(&mut self, now: Instant, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let Some(switch) = connection.switch else {
            return;
        };
        let dropped = std::mem::take(&mut connection.ports_dropped);
        let address = connection.peer.to_string();
        let took = now.saturating_duration_since(connection.since);
        let shown = connection.generation_id.map(Term);
        self.keeper.connected(now, switch, shown, &mut self.outputs);
        self.announced += 1;
        let role = match connection.roleless {
            true => RoleKeeper::equal(self.config.barrier_max),
            false => RoleKeeper::new(shown, self.config.barrier_max),
        };
        self.switches.insert(
            switch,
            Switch {
                conn,
                number: self.announced,
                announced: now,
                lane: Lane::new(lane::Settings {
                    barrier_max: self.config.barrier_max,
                    ours: self.config.ours,
                    bundles: self.config.bundles,
                }),
                role,
                autonomy: Autonomy::new(self.config.autonomy_hold),
            },
        );
        if dropped > 0 {
            let counter = Counter::PortsFull;
            self.outputs.push_back(Output::Count { counter, by: dropped });
        }
        if let Some(state) = self.state(now, switch) {
            self.tell(now, switch, RegionEventBody::SwitchConnected { state });
        }
        self.observe(Histogram::Handshake, took);
        self.fact(Fact::SwitchAnnounced {
            switch,
            conn,
            address,
            took,
        });
        self.consider(now, switch, shown);
        self.pump(now, switch);
    }

    /// End a connection. `ours`: the driver is to close it; otherwise it is closed already.
    pub(super) fn close(&mut self, now: Instant, conn: ConnId, reason: CloseReason, ours: bool) {
        self.flush(conn);
        let Some(mut connection) = self.connections.remove(&conn) else {
            return;
        };
        self.count_packets(connection.take_tally());
        self.connection_timers.set(conn, None);
        self.sources.remove(connection.peer.ip());
        if ours {
            self.outputs.push_back(Output::Close {
                conn,
                reason: reason.to_string(),
            });
        }
        let announced = connection.switch.filter(|_| connection.is_ready());
        match announced {
            Some(switch) => self.leave(now, switch, conn, reason),
            None => self.refused(now, conn, connection.switch, connection.peer, reason),
        }
        let Some(switch) = connection.switch else {
            return;
        };
        if self.owners.get(&switch) == Some(&conn) {
            self.owners.remove(&switch);
            self.challenge_timers.set(switch, None);
            if let Some(challenge) = self.challenges.remove(&switch) {
                self.owners.insert(switch, challenge.newcomer);
                self.proceed(now, challenge.newcomer);
            }
        } else if self.challenges.get(&switch).is_some_and(|c| c.newcomer == conn) {
            self.challenges.remove(&switch);
            self.challenge_timers.set(switch, None);
        }
    }

    /// An announced switch's connection ended.
    fn leave(&mut self, now: Instant, switch: SwitchId, conn: ConnId, reason: CloseReason) {
        self.become_inactive(switch);
        self.switch_timers.set(switch, None);
        let Some(mut entry) = self.switches.remove(&switch) else {
            return;
        };
        self.keeper.left(now, switch);
        self.equals.remove(&switch);
        self.tell(
            now,
            switch,
            RegionEventBody::SwitchDisconnected {
                switch,
                connection: entry.number,
                reason: reason.to_string(),
            },
        );
        let role_events = entry.role.closed();
        let lane_events = entry.lane.closed();
        self.role_events(now, switch, role_events);
        self.lane_events(now, switch, lane_events);
        if matches!(reason, CloseReason::Malformed(_)) {
            self.count(Counter::RefusedMalformed);
        }
        self.fact(Fact::SwitchLeft { switch, conn, reason });
    }

    /// A connection ended before it was announced.
    fn refused(&mut self, now: Instant, conn: ConnId, switch: Option<SwitchId>, peer: SocketAddr, reason: CloseReason) {
        let counter = Counter::of_refusal(&reason);
        let word = self.refusals.next(now);
        if word.untold > 0 {
            self.fact(Fact::RefusedMore { times: word.untold });
        }
        let address = peer.to_string();
        // Who left by himself was not refused.
        if let Some(counter) = counter {
            self.count(counter);
            if word.told {
                self.tell_refused(now, switch, &address, &reason);
            } else {
                self.count(Counter::EventDropped);
            }
        }
        if word.told {
            self.fact(Fact::Refused {
                switch,
                conn,
                address,
                reason,
            });
        }
    }

    fn tell_refused(&mut self, now: Instant, switch: Option<SwitchId>, address: &str, reason: &CloseReason) {
        let key = switch.map_or_else(|| address.to_owned(), |s| s.to_string());
        let body = RegionEventBody::SwitchRefused {
            switch,
            address: address.to_owned(),
            reason: reason.to_string(),
        };
        self.publisher.event(self.at_ms(now), &key, body, &mut self.outputs);
    }

    pub(super) fn port_status(&mut self, now: Instant, switch: SwitchId, status: &ofproto::PortStatus) {
        let Some(port) = read_port(&status.desc) else {
            return;
        };
        let removed = status.reason == ofproto::PortReason::DELETE;
        let at = PortRef {
            switch,
            port: port.port,
        };
        if removed || !port.up {
            self.schedule.remove(at);
            self.links.forget_port(at);
            self.latencies.forget_port(at);
        } else if self.term(switch).is_some() {
            self.schedule.add(now, at);
        }
        self.tell(now, switch, RegionEventBody::PortChanged { switch, port, removed });
    }

    /// What the role machine of a switch says.
    pub(super) fn role_events(&mut self, now: Instant, switch: SwitchId, events: Vec<role::Event>) {
        for event in events {
            match event {
                role::Event::Ended {
                    job,
                    outcome,
                    cause,
                    messages,
                } => self.finish(
                    now,
                    job,
                    Answer {
                        messages,
                        ..Answer::of(outcome, cause)
                    },
                ),
                role::Event::Changed => {
                    let Some((role, term)) = self
                        .switches
                        .get(&switch)
                        .map(|entry| (entry.role.role(), entry.role.seen().unwrap_or_default()))
                    else {
                        continue;
                    };
                    match role {
                        Role::Master => {
                            self.become_active(now, switch);
                            self.make_whole(now, switch);
                        }
                        Role::Slave | Role::Equal => self.become_inactive(switch),
                    }
                    self.fact(Fact::RoleTaken { switch, role, term });
                    self.tell_changed(now, switch);
                }
                role::Event::Shown => {
                    self.tell_changed(now, switch);
                    if let Some(entry) = self.switches.get_mut(&switch) {
                        let action = entry.autonomy.shown(entry.role.seen());
                        self.act(now, switch, action);
                    }
                }
                role::Event::NotGiven => self.router_speaks(switch),
                role::Event::Lost { term, seen } => {
                    self.become_inactive(switch);
                    self.keeper.not_ours(now, switch, &mut self.outputs);
                    self.router_speaks(switch);
                    self.equals.remove(&switch);
                    let ended = self.switches.get_mut(&switch).map(|entry| entry.lane.lose_role(term));
                    let fact = Fact::RoleLost {
                        switch,
                        term,
                        seen: seen.clone(),
                    };
                    self.tell(now, switch, RegionEventBody::LostRole { switch, term, seen });
                    self.lane_events(now, switch, ended.unwrap_or_default());
                    self.fact(fact);
                }
            }
        }
    }

    /// What the lane of a switch says.
    pub(super) fn lane_events(&mut self, now: Instant, switch: SwitchId, events: Vec<lane::Event>) {
        for event in events {
            match event {
                lane::Event::Planned {
                    generation,
                    steps,
                    plan,
                } => self.fact(Fact::Planned {
                    switch,
                    generation,
                    steps,
                    plan,
                }),
                lane::Event::Bundles { taken: None, .. } => {}
                lane::Event::Bundles {
                    taken: Some(taken),
                    why,
                } => {
                    self.fact(Fact::Bundles { switch, taken, why });
                    self.tell_changed(now, switch);
                }
                lane::Event::Keep(keep) => self.keep(now, switch, keep),
                lane::Event::Ended(ended) if ended.job == JobId::NOBODY => self.made_whole(now, switch, *ended),
                lane::Event::Ended(ended) => {
                    self.keep_ended(switch);
                    let dump = ended.dump.map(|dump| RegionEventBody::SwitchDump { switch, dump });
                    let plan = ended.plan.map(|plan| RegionEventBody::SwitchPlan { switch, plan });
                    let answer = Answer {
                        outcome: ended.outcome,
                        cause: ended.cause,
                        generation: ended.generation,
                        messages: ended.messages,
                        objects: ended.objects,
                        told: dump.into_iter().chain(plan).collect(),
                    };
                    self.finish(now, ended.job, answer);
                }
            }
        }
    }

    /// MASTER: probe its ports and its control channel.
    fn become_active(&mut self, now: Instant, switch: SwitchId) {
        let Some(connection) = self
            .switches
            .get(&switch)
            .and_then(|entry| self.connections.get(&entry.conn))
        else {
            return;
        };
        for port in connection.ports.values().filter(|p| p.up) {
            let port = PortRef {
                switch,
                port: port.port,
            };
            self.schedule.add(now, port);
        }
        let port = CONTROLLER;
        if self.control_schedule.add(now, PortRef { switch, port }) {
            self.digest_timers.set(switch, Some(now + self.config.discovery));
        }
    }

    /// Not MASTER: no probes, and what is seen from now on is news again.
    pub(super) fn become_inactive(&mut self, switch: SwitchId) {
        self.schedule.remove_switch(switch);
        self.control_schedule.remove_switch(switch);
        self.digest_timers.set(switch, None);
        self.links.forget_switch(switch);
        self.latencies.forget_switch(switch);
    }

    /// Partition of a switch in every keyed topic.
    pub(super) fn partition_of_switch(&self, switch: SwitchId) -> i32 {
        partition_of(&switch.to_string(), self.publisher.partitions())
    }
}

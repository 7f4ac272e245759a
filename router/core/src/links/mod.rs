//! Links: which ports see each other, decided from what receiving regions tell.
//!
//! Silence of a direction counts only while its sending region lived and held the sending switch, so a lost region never
//! fails its links (design section 7). For the same reason the links of a switch that left stay as they are until a
//! port tells. It does not know latency, cost or paths.

mod pulse;
mod way;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::event::direction_digest;
use skerry_bus::service::LinkStatus;
use skerry_bus::{LinkId, PortNo, PortRef, Region, RegionEvent, RegionEventBody, SwitchId, SwitchState, Term};

use crate::due::Due;
use pulse::Pulses;
use way::{Way, WayState};

/// Links that are known at a time, down ones included. A new one beyond that is ignored and counted.
pub const LINKS_MAX: usize = 65_536;
/// A switch is asked to tell its directions again at most this often.
const ASK_MIN: Duration = Duration::from_secs(2);

/// Whether a new link is used at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Yes.
    #[default]
    Auto,
}

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether a new link is used at once.
    pub policy: Policy,
    /// Consecutive packets that must be missed.
    pub missed: u32,
    /// A sending region not heard for longer than this at a missed packet proves nothing.
    pub heard: Duration,
    /// After a change of the receiving region each direction must be seen by the new one within this and the time of the
    /// packets that count, in which both its regions lived.
    pub settle: Duration,
    /// After a link moved, what is still told of its old place does not count for this long: the far end notices the
    /// silence only after the packets that count.
    pub moved_hold: Duration,
    /// A link that is not up for this long is forgotten.
    pub forget: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            policy: Policy::Auto,
            missed: 3,
            heard: Duration::from_millis(500),
            settle: Duration::from_secs(5),
            moved_hold: Duration::from_secs(5),
            forget: Duration::from_secs(24 * 3600),
        }
    }
}

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message that [`crate::presence`] let pass.
    Event(Box<RegionEvent>),
    /// Where a switch is active.
    Active {
        /// The switch.
        switch: SwitchId,
        /// The region; none: nowhere.
        region: Option<Region>,
        /// Its term.
        term: Term,
    },
    /// A region lives or not.
    Region {
        /// The region.
        region: Region,
        /// Whether it lives.
        live: bool,
    },
    /// The speaker of a region is another process now.
    NewEpoch {
        /// The region.
        region: Region,
    },
    /// A link known from the store, with its last state.
    Restored {
        /// The link.
        link: LinkId,
        /// Its last state.
        status: LinkStatus,
    },
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A link changed.
    Changed {
        /// The link.
        link: LinkId,
        /// Before; none if it is new.
        from: Option<LinkStatus>,
        /// Now.
        to: LinkStatus,
        /// Why, for a person.
        reason: String,
    },
    /// A link down for long is no longer known.
    Forgotten(LinkId),
    /// Ask the receiving switch's region to tell all directions it sees: the digest differs from ours.
    AskSwitchSnapshot {
        /// The region.
        region: Region,
        /// The receiving switch.
        switch: SwitchId,
    },
}

/// A link as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// The link.
    pub link: LinkId,
    /// How it is.
    pub status: LinkStatus,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// Changes of state so far.
    pub changes: u64,
}

#[derive(Debug)]
struct Link {
    /// None until it was up for the first time: half a link is nobody's business.
    status: Option<LinkStatus>,
    reason: String,
    since: Instant,
    changes: u64,
    /// What arrives at the larger end.
    to_b: Way,
    /// What arrives at the smaller end.
    to_a: Way,
}

/// The machine.
///
/// | state | both directions alive, ports up | a direction silent | a port down or gone | an end seen elsewhere |
/// | --- | --- | --- | --- | --- |
/// | none (half seen) | up | – | – | gone |
/// | up | up | down | down, both directions must be seen again | moved |
/// | down | up | down | down | moved |
/// | moved | up (not within `moved_hold`) | moved | moved | moved |
///
/// A direction is *unseen*, *seen*, *expected* (seen by the region that was active for the receiving switch before;
/// still alive, until its time is over) or *silent*. Only the region that is active for the receiving switch is heard.
///
/// | direction | told as seen | told as silent, sender held all the time | told as silent otherwise | receiving region changes | time over |
/// | --- | --- | --- | --- | --- | --- |
/// | unseen | seen | unseen | unseen | unseen | – |
/// | seen | seen | silent | seen, waits for the next report | expected | – |
/// | expected | seen | silent | expected | expected anew | silent, if both regions lived all the time |
/// | silent | seen | silent | silent | silent | – |
#[derive(Debug)]
pub struct Links {
    config: Config,
    pulses: Pulses,
    links: BTreeMap<LinkId, Link>,
    by_port: BTreeMap<PortRef, BTreeSet<LinkId>>,
    /// Ends of links whose port is down or gone.
    ports_down: BTreeSet<PortRef>,
    asked: BTreeMap<SwitchId, Instant>,
    due: Due<LinkId>,
    refused: u64,
    outputs: VecDeque<Output>,
}

impl Links {
    /// Knows no link and no active region.
    pub fn new(config: Config, _now: Instant) -> Self {
        Links {
            pulses: Pulses::new(config.heard),
            config,
            links: BTreeMap::new(),
            by_port: BTreeMap::new(),
            ports_down: BTreeSet::new(),
            asked: BTreeMap::new(),
            due: Due::new(),
            refused: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Links that were up at least once, as they are.
    pub fn links(&self) -> impl Iterator<Item = LinkState> + '_ {
        self.links.iter().filter_map(|(id, link)| link.view(*id))
    }

    /// One of them.
    pub fn link(&self, id: LinkId) -> Option<LinkState> {
        self.links.get(&id).and_then(|link| link.view(id))
    }

    /// The link at a port that is up, if there is one.
    pub fn at_port(&self, port: PortRef) -> Option<LinkId> {
        let up = |id: &&LinkId| self.links.get(id).is_some_and(|l| l.status == Some(LinkStatus::Up));
        self.by_port.get(&port)?.iter().find(up).copied()
    }

    /// New links that were ignored because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Event(event) => {
                self.pulses.heard(now, &event.region);
                self.event(now, *event);
            }
            Input::Active { switch, region, .. } => {
                self.pulses.active(now, switch, region);
                self.expect_again(now, |pulses, to| pulses.is_active(to, switch));
            }
            Input::Region { region, live } => {
                self.pulses.region(now, &region, live);
            }
            Input::NewEpoch { region } => {
                self.pulses.new_epoch(now, &region);
                self.expect_again(now, |pulses, to| pulses.active_of(to) == Some(&region));
            }
            Input::Restored { link, status } => self.restored(now, link, status),
        }
    }

    fn event(&mut self, now: Instant, event: RegionEvent) {
        use RegionEventBody as B;
        let Some(switch) = event.body.switch() else { return };
        if self.pulses.active_of(switch) != Some(&event.region) {
            return;
        }
        match event.body {
            B::LinkSeen { from, to, interval_ms } => self.seen(now, from, to, Duration::from_millis(interval_ms)),
            B::LinkSilent {
                from,
                to,
                silent_ms,
                missed,
            } => self.silent(now, from, to, Duration::from_millis(silent_ms), missed),
            B::LinkDigest { switch, links, digest } => self.digest(now, &event.region, switch, links, digest),
            B::PortChanged { switch, port, removed } => {
                let end = PortRef {
                    switch,
                    port: port.port,
                };
                self.port(now, end, port.up && !removed);
            }
            B::SwitchConnected { state } | B::SwitchChanged { state } | B::SnapshotSwitch { state, .. } => {
                self.ports(now, &state);
            }
            B::Heartbeat { .. }
            | B::SnapshotBegin { .. }
            | B::SnapshotEnd { .. }
            | B::SwitchDisconnected { .. }
            | B::SwitchRefused { .. }
            | B::LostRole { .. }
            | B::CommandResult { .. }
            | B::SwitchDump { .. }
            | B::SwitchPlan { .. } => {}
        }
    }

    fn seen(&mut self, now: Instant, from: PortRef, to: PortRef, interval: Duration) {
        // A port that hears itself is no link.
        if from == to {
            return;
        }
        let id = LinkId::new(from, to);
        let others: BTreeSet<LinkId> = [from, to]
            .iter()
            .filter_map(|end| self.by_port.get(end))
            .flatten()
            .filter(|other| **other != id)
            .copied()
            .collect();
        match self.links.get(&id) {
            None if self.links.len() >= LINKS_MAX => {
                self.refused += 1;
                return;
            }
            None => self.insert(now, id),
            Some(link) => {
                let held_back = link.status == Some(LinkStatus::Moved) && now < link.since + self.config.moved_hold;
                if held_back {
                    return;
                }
            }
        }
        for other in others {
            let reason = format!("{from} is seen at {to}");
            self.moved(now, other, reason);
        }
        self.ports_down.remove(&to);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.way_to(id, to).seen(interval);
        let far = link.way_to(id, from).state;
        let known = link.status.is_some();
        self.judge(now, id, "seen in both directions".to_owned());
        if known && far == WayState::Unseen {
            // The other receiver may have seen no silence, and so has no news to tell.
            self.ask(now, from.switch);
        }
    }

    fn silent(&mut self, now: Instant, from: PortRef, to: PortRef, silent: Duration, missed: u32) {
        let id = LinkId::new(from, to);
        let Some(link) = self.links.get_mut(&id) else { return };
        let needed = self.config.missed.max(1);
        let way = link.way_to(id, to);
        if !way.is_alive() {
            return;
        }
        way.told_silent = true;
        if missed < needed {
            return;
        }
        let interval = way.interval.unwrap_or(silent / missed);
        let Some(held) = self.pulses.held(now, from.switch) else {
            return;
        };
        // The sender was there all the time, or long enough since, with one interval to begin again.
        let whole = held >= silent;
        if whole || held >= interval.saturating_mul(needed + 1) {
            way.state = WayState::Silent;
            self.judge(now, id, format!("{missed} packets from {from} did not arrive at {to}"));
        }
    }

    /// The receiving switch's own count of directions: the same as ours, or something is to be told again.
    fn digest(&mut self, now: Instant, region: &Region, switch: SwitchId, links: u32, digest: u64) {
        let mut ours = (0u32, 0u64);
        let ids: Vec<(PortRef, LinkId)> = self.at_switch(switch).collect();
        for (to, id) in &ids {
            if let (Some(link), Some(from)) = (self.links.get_mut(id), id.other(*to)) {
                let way = link.way_to(*id, *to);
                if way.is_alive() && !way.told_silent {
                    ours = (ours.0 + 1, ours.1.wrapping_add(direction_digest(from, *to)));
                }
            }
        }
        if ours != (links, digest) {
            return self.ask_region(now, region.clone(), switch);
        }
        for (to, id) in ids {
            if let Some(link) = self.links.get_mut(&id) {
                let way = link.way_to(id, to);
                if matches!(way.state, WayState::Expected { .. }) && !way.told_silent {
                    way.state = WayState::Seen;
                }
            }
            self.note_due(id);
        }
    }

    fn ports(&mut self, now: Instant, state: &SwitchState) {
        let up: BTreeSet<PortNo> = state.ports.iter().filter(|p| p.up).map(|p| p.port).collect();
        let ends: BTreeSet<PortRef> = self.at_switch(state.switch).map(|(end, _)| end).collect();
        for end in ends {
            self.port(now, end, up.contains(&end.port));
        }
    }

    fn port(&mut self, now: Instant, end: PortRef, up: bool) {
        let Some(ids) = self.by_port.get(&end).cloned() else {
            return;
        };
        if up {
            self.ports_down.remove(&end);
        } else {
            self.ports_down.insert(end);
        }
        for id in ids {
            if !up && let Some(link) = self.links.get_mut(&id) {
                link.unseen();
            }
            self.judge(now, id, format!("port {end} is down"));
        }
    }

    fn moved(&mut self, now: Instant, id: LinkId, reason: String) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.unseen();
        match link.status {
            None => self.remove(id),
            Some(LinkStatus::Moved) => {}
            Some(LinkStatus::Up | LinkStatus::Down) => self.change(now, id, LinkStatus::Moved, reason),
        }
    }

    fn restored(&mut self, now: Instant, id: LinkId, status: LinkStatus) {
        if self.links.contains_key(&id) || self.links.len() >= LINKS_MAX || id.a() == id.b() {
            return;
        }
        self.insert(now, id);
        if let Some(link) = self.links.get_mut(&id) {
            link.status = Some(status);
            link.reason = "as before the restart".to_owned();
            if status == LinkStatus::Up {
                link.to_a.state = WayState::Expected { since: now };
                link.to_b.state = WayState::Expected { since: now };
            }
        }
        self.note_due(id);
    }

    /// What arrives at these switches must be seen by another region from now on.
    fn expect_again(&mut self, now: Instant, concerns: impl Fn(&Pulses, SwitchId) -> bool) {
        let mut touched = Vec::new();
        for (id, link) in &mut self.links {
            for to in [id.a(), id.b()] {
                if concerns(&self.pulses, to.switch) && link.way_to(*id, to).expect(now) {
                    touched.push(*id);
                }
            }
        }
        for id in touched {
            self.note_due(id);
        }
    }

    /// Make a link's status fit its directions and ports.
    fn judge(&mut self, now: Instant, id: LinkId, reason: String) {
        let Some(link) = self.links.get(&id) else { return };
        let ports = !self.ports_down.contains(&id.a()) && !self.ports_down.contains(&id.b());
        let up = ports && link.to_a.is_alive() && link.to_b.is_alive();
        match (link.status, up) {
            (None | Some(LinkStatus::Down | LinkStatus::Moved), true) => {
                self.change(now, id, LinkStatus::Up, "seen in both directions".to_owned());
            }
            (Some(LinkStatus::Up), false) => self.change(now, id, LinkStatus::Down, reason),
            (None, false) | (Some(LinkStatus::Up), true) | (Some(LinkStatus::Down | LinkStatus::Moved), false) => {
                self.note_due(id);
            }
        }
    }

    fn change(&mut self, now: Instant, id: LinkId, to: LinkStatus, reason: String) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let from = link.status.replace(to);
        link.reason.clone_from(&reason);
        link.since = now;
        link.changes += 1;
        self.outputs.push_back(Output::Changed {
            link: id,
            from,
            to,
            reason,
        });
        self.note_due(id);
    }

    fn ask(&mut self, now: Instant, switch: SwitchId) {
        if let Some(region) = self.pulses.active_of(switch).cloned() {
            self.ask_region(now, region, switch);
        }
    }

    fn ask_region(&mut self, now: Instant, region: Region, switch: SwitchId) {
        if self.asked.get(&switch).is_some_and(|at| now < *at + ASK_MIN) {
            return;
        }
        self.asked.insert(switch, now);
        self.outputs.push_back(Output::AskSwitchSnapshot { region, switch });
    }

    fn insert(&mut self, now: Instant, id: LinkId) {
        self.links.insert(
            id,
            Link {
                status: None,
                reason: String::new(),
                since: now,
                changes: 0,
                to_b: Way::default(),
                to_a: Way::default(),
            },
        );
        for end in [id.a(), id.b()] {
            self.by_port.entry(end).or_default().insert(id);
        }
    }

    fn remove(&mut self, id: LinkId) {
        self.links.remove(&id);
        for end in [id.a(), id.b()] {
            if let Some(ids) = self.by_port.get_mut(&end) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_port.remove(&end);
                    self.ports_down.remove(&end);
                }
            }
        }
        self.due.set(id, None);
    }

    /// Ends of links at a switch, with their links.
    fn at_switch(&self, switch: SwitchId) -> impl Iterator<Item = (PortRef, LinkId)> + '_ {
        let end = |port| PortRef {
            switch,
            port: PortNo(port),
        };
        self.by_port
            .range(end(0)..=end(u32::MAX))
            .flat_map(|(end, ids)| ids.iter().map(|id| (*end, *id)))
    }

    fn note_due(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let forget = (link.status != Some(LinkStatus::Up)).then(|| link.since + self.config.forget);
        let expected = [&link.to_a, &link.to_b]
            .into_iter()
            .filter_map(|way| way.expected_until(&self.config));
        self.due.set(id, forget.into_iter().chain(expected).min());
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for id in self.due.take(now) {
            self.overdue(now, id);
        }
        self.asked.retain(|_, at| now < *at + ASK_MIN);
    }

    fn overdue(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.status != Some(LinkStatus::Up) && now >= link.since + self.config.forget {
            let known = link.status.is_some();
            self.remove(id);
            if known {
                self.outputs.push_back(Output::Forgotten(id));
            }
            return;
        }
        let mut reason = String::new();
        for to in [id.a(), id.b()] {
            let Some(from) = id.other(to) else { continue };
            let way = link.way_to(id, to);
            let Some(until) = way.expected_until(&self.config).filter(|until| *until <= now) else {
                continue;
            };
            let needed = match way.state {
                WayState::Expected { since } => until.saturating_duration_since(since),
                WayState::Unseen | WayState::Seen | WayState::Silent => continue,
            };
            let lived = self.pulses.held(now, from.switch).min(self.pulses.held(now, to.switch));
            if lived.is_some_and(|lived| lived >= needed) {
                way.state = WayState::Silent;
                reason = format!("packets from {from} are not seen at {to} since its active region changed");
            } else {
                // One of its regions was not there all the time: the count begins again.
                way.state = WayState::Expected { since: now };
            }
        }
        self.judge(now, id, reason);
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let (at, id) = self.due.first()?;
        let up = self.links.get(id).is_some_and(|l| l.status == Some(LinkStatus::Up));
        Some((
            at,
            if up {
                "link is not seen again"
            } else {
                "link is forgotten"
            },
        ))
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Link {
    /// The direction that arrives at `to`, which is one of the ends.
    fn way_to(&mut self, id: LinkId, to: PortRef) -> &mut Way {
        if to == id.a() { &mut self.to_a } else { &mut self.to_b }
    }

    fn unseen(&mut self) {
        self.to_a.state = WayState::Unseen;
        self.to_b.state = WayState::Unseen;
    }

    fn view(&self, link: LinkId) -> Option<LinkState> {
        Some(LinkState {
            link,
            status: self.status?,
            reason: self.reason.clone(),
            since: self.since,
            changes: self.changes,
        })
    }
}

#[cfg(test)]
mod tests;

//! Where every switch is: which regions reach it, which one is active, and with what term.
//!
//! The composed machine: [`crate::liveness`] judges regions and messages, one machine per switch decides who is
//! active, and this file keeps snapshots and hands facts to the switches. Everything else a region tells (ports,
//! links, results) passes through it, because only it knows what is stale: feed the others from [`Output::Passed`].

mod claim;
mod config;
mod reach;
mod speakers;
mod switch;
mod tell;

pub use config::{Config, Failback, RegionConfig};
pub use reach::Reach;
pub use switch::Switch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use skerry_bus::topic::partition_of;
use skerry_bus::{
    Availability, BrokerClock, CorrelationId, Epoch, EventHead, PresenceRecord, Region, RegionEvent, RegionEventBody,
    SwitchId, Term, VirtualEventBody,
};

use crate::defect::{self, Defect};
use crate::drain::{self, Drain};
use crate::due::Due;
use crate::liveness::{self, Ignored, Liveness, What};
use speakers::Speakers;
use switch::{Fact, World};

/// Switches that are known at a time. News of one more is ignored and counted: a region that invents switches must
/// not take the memory of the others.
pub const SWITCHES_MAX: usize = 20_000;

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message was read from a region's events topic.
    Event {
        /// Partition it was read from.
        partition: i32,
        /// Its log-append time, milliseconds by the broker's clock.
        record_ms: u64,
        /// Whether the reader knows of nothing after it in this partition.
        caught_up: bool,
        /// The message.
        event: Box<RegionEvent>,
    },
    /// A message was read that means nothing here: of a kind that is not known, or unreadable but for its position.
    Unread {
        /// Partition it was read from.
        partition: i32,
        /// Its log-append time, milliseconds by the broker's clock.
        record_ms: u64,
        /// Whether the reader knows of nothing after it in this partition.
        caught_up: bool,
        /// Its position.
        head: EventHead,
        /// Whether it may have told a state, so that the region has to tell everything again.
        lost: bool,
    },
    /// The reader stands at the end of a partition of a region's events.
    CaughtUp {
        /// The region.
        region: Region,
        /// The partition.
        partition: i32,
    },
    /// The reader does not know any more whether it stands there.
    Behind {
        /// The region.
        region: Region,
        /// The partition.
        partition: i32,
    },
    /// A record of our own memory, from the compacted topic or the store, read before anything else.
    Restored(Box<PresenceRecord>),
    /// A region is given nothing new from now on, and the switches that it has move to others; or it is in use again.
    Drain {
        /// The region.
        region: Region,
        /// Whether it is drained.
        drained: bool,
    },
    /// Whether the bus can be heard at all.
    Bus {
        /// It can.
        up: bool,
    },
    /// The broker's clock.
    Clock(BrokerClock),
    /// Our owner epoch from now on.
    Owner(u64),
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Tell the region to become MASTER of the switch with this term.
    Activate {
        /// The region.
        region: Region,
        /// The switch.
        switch: SwitchId,
        /// The term.
        term: Term,
    },
    /// Tell the region that another is active with this term.
    Deactivate {
        /// The region.
        region: Region,
        /// The switch.
        switch: SwitchId,
        /// The term of the active region.
        term: Term,
    },
    /// Where commands go has changed; none: nowhere. Comes right after `Activate`, before the role is confirmed.
    ActiveChanged {
        /// The switch.
        switch: SwitchId,
        /// The active region.
        region: Option<Region>,
        /// Its term, or the last one given.
        term: Term,
    },
    /// Tell everybody, with who reaches the switch now (empty if it is not about a switch).
    Virtual(VirtualEventBody, Availability),
    /// Ask for the state of one switch.
    AskSwitchSnapshot {
        /// The region.
        region: Region,
        /// The switch.
        switch: SwitchId,
    },
    /// Ask for everything.
    AskRegionSnapshot {
        /// The region.
        region: Region,
    },
    /// Remember this.
    Record(PresenceRecord),
    /// Forget this switch: its record goes.
    Forget(SwitchId),
    /// The region lives (again) or does no longer; a region that was never heard is told as not live once.
    RegionChanged {
        /// The region.
        region: Region,
        /// Whether it lives.
        live: bool,
    },
    /// The speaker of the region is another process now.
    NewEpoch {
        /// The region.
        region: Region,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A message that counts, after it had its effect here.
    Passed(Box<RegionEvent>),
    /// A message that does not count.
    Ignored {
        /// The region.
        region: Region,
        /// Why.
        reason: liveness::Ignored,
    },
    /// Somebody speaks for a region that is not configured. Told once in a while.
    UnknownRegion(Region),
    /// No switch of a drained region waits or moves any more.
    Drained {
        /// The region.
        region: Region,
        /// How many moved.
        moved: u64,
    },
    /// Two processes speak for a region. Told once in a while.
    Twin {
        /// The region.
        region: Region,
        /// The epoch that is followed.
        epoch: Epoch,
        /// What its process calls itself; empty: it did not say.
        speaker: String,
        /// The epoch that is ignored.
        other: Epoch,
        /// What its process calls itself.
        other_speaker: String,
    },
}

/// A snapshot that has begun in a partition.
#[derive(Debug)]
struct OpenSnapshot {
    name: CorrelationId,
    seen: BTreeSet<SwitchId>,
    entries: u32,
}

/// The machine.
#[derive(Debug)]
pub struct PresenceMachine {
    config: Config,
    liveness: Liveness,
    switches: BTreeMap<SwitchId, Switch>,
    /// When each switch wants to be woken.
    due: Due<SwitchId>,
    snapshots: BTreeMap<(Region, i32), OpenSnapshot>,
    speakers: Speakers,
    drain: Drain,
    outputs: VecDeque<Output>,
}

impl PresenceMachine {
    /// Knows no switch and has heard no region.
    pub fn new(mut config: Config, now: Instant) -> Self {
        config.liveness.regions = config.regions.iter().map(|r| r.region.clone()).collect();
        PresenceMachine {
            liveness: Liveness::new(config.liveness.clone(), now),
            drain: Drain::new(config.drain.clone(), now),
            config,
            switches: BTreeMap::new(),
            due: Due::new(),
            snapshots: BTreeMap::new(),
            speakers: Speakers::default(),
            outputs: VecDeque::new(),
        }
    }

    /// All switches that are known.
    pub fn switches(&self) -> &BTreeMap<SwitchId, Switch> {
        &self.switches
    }

    /// One switch.
    pub fn switch(&self, id: SwitchId) -> Option<&Switch> {
        self.switches.get(&id)
    }

    /// Where commands for a switch go, with the term.
    pub fn active(&self, id: SwitchId) -> Option<(&Region, Term)> {
        let switch = self.switches.get(&id)?;
        switch.active().map(|region| (region, switch.term()))
    }

    /// The regions and how they are.
    pub fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// What a region's process with this epoch calls itself; empty: it did not say.
    pub fn speaker(&self, region: &Region, epoch: Epoch) -> &str {
        self.speakers.name(region, epoch).unwrap_or_default()
    }

    /// What was set.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Event {
                partition,
                record_ms,
                caught_up,
                event,
            } => self.event(now, partition, record_ms, caught_up, event),
            Input::Unread {
                partition,
                record_ms,
                caught_up,
                head,
                lost,
            } => {
                let read = liveness::Read {
                    region: head.region.clone(),
                    partition,
                    epoch: head.epoch,
                    seq: head.seq,
                    record_ms,
                    caught_up,
                    what: if lost { What::Lost } else { What::Other },
                };
                self.liveness.handle_input(now, liveness::Input::Read(read));
                if let Err(reason) = self.drain_liveness(now) {
                    let region = head.region;
                    self.outputs.push_back(Output::Ignored { region, reason });
                }
            }
            Input::CaughtUp { region, partition } => {
                self.liveness
                    .handle_input(now, liveness::Input::CaughtUp { region, partition });
            }
            Input::Behind { region, partition } => {
                self.liveness
                    .handle_input(now, liveness::Input::Behind { region, partition });
            }
            Input::Restored(record) => {
                let id = record.switch;
                if self.switches.len() < SWITCHES_MAX || self.switches.contains_key(&id) {
                    self.touch(now, id, |switch, w| switch.restore(w, &record));
                }
            }
            Input::Drain { region, drained } => self.set_drained(now, region, drained),
            Input::Bus { up } => {
                self.liveness.handle_input(now, liveness::Input::Bus { up });
            }
            Input::Clock(clock) => {
                self.liveness.handle_input(now, liveness::Input::Clock(clock));
            }
            Input::Owner(owner_epoch) => self.config.owner_epoch = owner_epoch,
        }
        self.carry_drain(now);
    }

    fn set_drained(&mut self, now: Instant, region: Region, drained: bool) {
        let news = match drained {
            true => self.config.drained.insert(region.clone()),
            false => self.config.drained.remove(&region),
        };
        if !news {
            return;
        }
        match drained {
            true => drop(self.config.in_use_since.remove(&region)),
            false => drop(self.config.in_use_since.insert(region.clone(), now)),
        }
        let input = drain::Input::Region {
            region: region.clone(),
            drained,
        };
        self.drain.handle_input(now, input);
        for id in self.reached_by(&region, |_| true) {
            self.touch(now, id, |switch, w| switch.handle(w, Fact::Look));
        }
    }

    /// Switches whose turn it is move.
    fn carry_drain(&mut self, now: Instant) {
        while let Some(output) = self.drain.poll_output() {
            match output {
                drain::Output::Move { switch, from } => {
                    self.touch(now, switch, |switch, w| switch.handle(w, Fact::Move { from }));
                }
                drain::Output::Empty { region, moved } => self.outputs.push_back(Output::Drained { region, moved }),
            }
        }
    }

    /// How far a region is drained; none if it is not.
    pub fn drain(&self, region: &Region) -> Option<drain::Progress> {
        self.drain.progress(region)
    }

    /// The region that a switch would have next without this one; none: no other can take it.
    pub fn next(&self, now: Instant, id: SwitchId, without: &Region) -> Option<Region> {
        let switch = self.switches.get(&id)?;
        switch.next(now, &self.config, &self.liveness, Some(without))
    }

    fn event(&mut self, now: Instant, partition: i32, record_ms: u64, caught_up: bool, event: Box<RegionEvent>) {
        self.liveness.handle_input(
            now,
            liveness::Input::Read(liveness::Read {
                region: event.region.clone(),
                partition,
                epoch: event.epoch,
                seq: event.seq,
                record_ms,
                caught_up,
                what: match event.body {
                    RegionEventBody::SnapshotBegin { .. } => What::SnapshotBegin,
                    _ => What::Other,
                },
            }),
        );
        if let RegionEventBody::Heartbeat { speaker, .. } = &event.body
            && self.liveness.status(&event.region).is_some()
        {
            self.speakers.heard(&event.region, event.epoch, speaker);
        }
        let verdict = self
            .drain_liveness(now)
            .and_then(|()| self.accepted(now, partition, &event));
        self.outputs.push_back(match verdict {
            Ok(()) => Output::Passed(event),
            Err(reason) => Output::Ignored {
                region: event.region,
                reason,
            },
        });
    }

    /// A message that counts has its effect.
    fn accepted(&mut self, now: Instant, partition: i32, event: &RegionEvent) -> Result<(), Ignored> {
        use RegionEventBody as B;
        let region = event.region.clone();
        let at = (region.clone(), partition);
        let report = |state: &skerry_bus::SwitchState| Fact::Report {
            region: region.clone(),
            epoch: event.epoch,
            partition,
            state: Box::new(state.clone()),
        };
        match &event.body {
            B::SnapshotBegin { snapshot } => {
                self.snapshots.insert(
                    at,
                    OpenSnapshot {
                        name: snapshot.clone(),
                        seen: BTreeSet::new(),
                        entries: 0,
                    },
                );
                Ok(())
            }
            B::SnapshotSwitch { snapshot, state } => {
                if let Some(open) = self.snapshots.get_mut(&at).filter(|o| o.name == *snapshot) {
                    open.seen.insert(state.switch);
                    open.entries += 1;
                }
                self.fact(now, state.switch, report(state))
            }
            B::SnapshotEnd { .. } if defect::is(Defect::SnapshotEndIgnored) => Ok(()),
            B::SnapshotEnd { snapshot, switches } => {
                let whole = self
                    .snapshots
                    .remove(&at)
                    .filter(|open| open.name == *snapshot && open.entries == *switches);
                if let Some(open) = whole {
                    self.snapshot_done(now, region, partition, &open);
                }
                Ok(())
            }
            B::SwitchConnected { state } | B::SwitchChanged { state } => {
                if let Some(open) = self.snapshots.get_mut(&at) {
                    open.seen.insert(state.switch);
                }
                self.fact(now, state.switch, report(state))
            }
            B::SwitchDisconnected { switch, connection, .. } => {
                let fact = Fact::Left {
                    region,
                    connection: Some(*connection),
                };
                self.known_fact(now, *switch, fact)
            }
            B::LostRole { switch, term, .. } => self.known_fact(now, *switch, Fact::LostRole { region, term: *term }),
            B::PortChanged { switch, port, removed } => {
                let fact = Fact::Port {
                    region,
                    port: port.clone(),
                    removed: *removed,
                };
                self.known_fact(now, *switch, fact)
            }
            B::SwitchRefused {
                switch,
                address,
                reason,
            } => {
                let event = VirtualEventBody::SwitchRefused {
                    switch: *switch,
                    region,
                    address: address.clone(),
                    reason: reason.clone(),
                };
                self.outputs.push_back(Output::Virtual(event, Availability::default()));
                Ok(())
            }
            B::Heartbeat { .. }
            | B::LinkSeen { .. }
            | B::LinkDigest { .. }
            | B::LinkSilent { .. }
            | B::CommandResult { .. }
            | B::SwitchDump { .. }
            | B::SwitchPlan { .. } => Ok(()),
        }
    }

    /// Switches of the partition that the region did not name are not there.
    fn snapshot_done(&mut self, now: Instant, region: Region, partition: i32, open: &OpenSnapshot) {
        let partitions = self.config.partitions;
        let ghosts: Vec<SwitchId> = self
            .switches
            .iter()
            .filter(|_| !defect::is(Defect::GhostKept))
            .filter(|(id, switch)| {
                !open.seen.contains(id)
                    && switch.reaches().get(&region).is_some_and(|reach| {
                        reach
                            .partition
                            .unwrap_or_else(|| partition_of(&id.to_string(), partitions))
                            == partition
                    })
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ghosts {
            let fact = Fact::Left {
                region: region.clone(),
                connection: None,
            };
            self.touch(now, id, |switch, w| switch.handle(w, fact));
        }
        self.liveness
            .handle_input(now, liveness::Input::SnapshotDone { region, partition });
    }

    /// A fact about a switch that may be new.
    fn fact(&mut self, now: Instant, id: SwitchId, fact: Fact) -> Result<(), Ignored> {
        if self.switches.len() >= SWITCHES_MAX && !self.switches.contains_key(&id) {
            return Err(Ignored::TooMany);
        }
        match self.touch(now, id, |switch, w| switch.handle(w, fact)) {
            true => Ok(()),
            false => Err(Ignored::Overtaken),
        }
    }

    /// A fact that means nothing about a switch nobody knows.
    fn known_fact(&mut self, now: Instant, id: SwitchId, fact: Fact) -> Result<(), Ignored> {
        match self.switches.contains_key(&id) {
            true => self.fact(now, id, fact),
            false => Err(Ignored::Overtaken),
        }
    }

    /// Let a switch do something, and note when it wants to be woken next.
    fn touch(&mut self, now: Instant, id: SwitchId, what: impl FnOnce(&mut Switch, &mut World) -> bool) -> bool {
        let switch = self.switches.entry(id).or_insert_with(|| Switch::new(id, now));
        let mut world = World {
            now,
            config: &self.config,
            liveness: &self.liveness,
            out: &mut self.outputs,
        };
        let result = what(switch, &mut world);
        let due = switch.due(&self.config, &self.liveness);
        self.due.set(id, due);
        if !self.drain.is_idle() {
            let active = switch.active();
            let sight = drain::Sight {
                confirmed: switch.is_confirmed(),
                movable: switch.next(now, &self.config, &self.liveness, active).is_some(),
                active: active.cloned(),
            };
            self.drain.handle_input(now, drain::Input::Switch { switch: id, sight });
        }
        result
    }

    /// What liveness decided has its effect; the verdict on a message comes last.
    fn drain_liveness(&mut self, now: Instant) -> Result<(), Ignored> {
        use liveness::Output as O;
        let mut verdict = Ok(());
        let mut lost = Vec::new();
        while let Some(output) = self.liveness.poll_output() {
            match output {
                O::Live(region) => {
                    self.region_changed(region.clone(), true);
                    for id in self.reached_by(&region, |_| true) {
                        self.touch(now, id, |switch, w| switch.handle(w, Fact::Look));
                    }
                }
                O::Lost(region) | O::Absent(region) => {
                    self.snapshots.retain(|(r, _), _| *r != region);
                    self.region_changed(region.clone(), false);
                    lost.push(region);
                }
                O::NewEpoch(region, epoch) => {
                    self.snapshots.retain(|(r, _), _| *r != region);
                    self.outputs.push_back(Output::NewEpoch {
                        region: region.clone(),
                        epoch,
                    });
                    // The process that held those connections is gone.
                    for id in self.reached_by(&region, |of| of < epoch) {
                        let fact = Fact::RegionsLost(vec![region.clone()]);
                        self.touch(now, id, |switch, w| switch.handle(w, fact));
                    }
                }
                O::Gap(region, partition) => {
                    self.snapshots.remove(&(region, partition));
                }
                O::Ask(region) => self.outputs.push_back(Output::AskRegionSnapshot { region }),
                O::Twin(region, other) => {
                    let epoch = self.liveness.epoch(&region).unwrap_or(other);
                    let name = |epoch| self.speaker(&region, epoch).to_owned();
                    self.outputs.push_back(Output::Twin {
                        epoch,
                        speaker: name(epoch),
                        other,
                        other_speaker: name(other),
                        region,
                    });
                }
                O::Unknown(region) => self.outputs.push_back(Output::UnknownRegion(region)),
                O::Accepted => verdict = Ok(()),
                O::Ignored(reason) => verdict = Err(reason),
            }
        }
        if !lost.is_empty() {
            // All of them at once, so that a switch that several reached has one event.
            let switches: BTreeSet<SwitchId> = lost.iter().flat_map(|r| self.reached_by(r, |_| true)).collect();
            for id in switches {
                let fact = Fact::RegionsLost(lost.clone());
                self.touch(now, id, |switch, w| switch.handle(w, fact));
            }
        }
        verdict
    }

    fn region_changed(&mut self, region: Region, live: bool) {
        self.outputs.push_back(Output::RegionChanged {
            region: region.clone(),
            live,
        });
        self.outputs.push_back(Output::Virtual(
            VirtualEventBody::RegionChanged { region, live },
            Availability::default(),
        ));
    }

    fn reached_by(&self, region: &Region, epoch: impl Fn(Epoch) -> bool) -> Vec<SwitchId> {
        self.switches
            .iter()
            .filter(|(_, s)| s.reaches().get(region).is_some_and(|r| epoch(r.epoch)))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.liveness.handle_timeout(now);
        // Nothing was read, so there is no verdict.
        let _ = self.drain_liveness(now);
        for id in self.due.take(now) {
            if self.switches.get(&id).is_some_and(|s| s.is_over(now, &self.config)) {
                self.switches.remove(&id);
                self.outputs.push_back(Output::Forget(id));
                continue;
            }
            self.touch(now, id, |switch, w| {
                switch.handle_timeout(w);
                true
            });
        }
        self.drain.handle_timeout(now);
        self.carry_drain(now);
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let switch = self.due.first().map(|(at, id)| {
            let why = match self.switches.get(id).map(Switch::standing) {
                Some(switch::Standing::Vacant { .. }) | None => "switch is forgotten",
                Some(switch::Standing::Claiming { .. }) => "role is not confirmed",
                Some(switch::Standing::Held { .. }) => "fail-back",
                Some(switch::Standing::Pausing { .. }) => "role is claimed again",
            };
            (at, why)
        });
        let others = [self.liveness.poll_timeout(), self.drain.poll_timeout()];
        others.into_iter().flatten().chain(switch).min()
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
mod tests;

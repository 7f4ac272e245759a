//! One switch: who reaches it, who is active, what everybody was told about it.
//!
//! ```text
//!             a candidate                  confirmed
//!   Vacant ----------------> Claiming --------------------> Held
//!     ^                      |  ^  ^                         |
//!     |  no candidate left   |  |  | time                    | role lost: at once the
//!     +----------------------+  |  Pausing <-----------------+ first time, then after
//!                               +----------------------------+ a pause
//!                                 reconnected, lost, better
//! ```
//!
//! What the active region's news does, and everything else that can happen:
//!
//! | input | vacant | claiming R, term t | held by R, term t | pausing R |
//! | --- | --- | --- | --- | --- |
//! | R tells MASTER with t | – | held; everybody is told | – | held |
//! | R tells a larger number | – | failure of R | failure of R | – |
//! | R tells another role or number | – | – (the answer is yet to come) | failure of R | – |
//! | R tells a new connection | – | claim R, t+1 | claim R, t+1 | claim R |
//! | R reports `lost role` of t | – | failure of R | failure of R | – |
//! | R reports `lost role` of an older term | – | – | – | – |
//! | R becomes RO, leaves, is lost | – | claim the next, or vacant | same | same |
//! | another RW region appears | claim the best | availability | availability; fail-back | availability |
//! | another region leaves or is RO | availability | availability | availability | availability |
//! | another tells MASTER with at most t | – | deactivate it | deactivate it | deactivate it |
//! | another tells MASTER with more | claim the best | failure of R | failure of R | – |
//! | R is drained and it is its turn | – | hand over to the best | hand over | hand over |
//! | time | forgotten | repeat, then the next | fail-back: hand over | claim the best |
//!
//! *Claiming* tells whoever was active at once to step down. *Handing over*, from a region that works to another, does that
//! when the other has confirmed. A drained region is never claimed: instead of it the best other one is, and without any the
//! switch is vacant.
//!
//! A *failure* tells everybody once that the role was lost. The first one claims again at once; the second sets the
//! region aside while there is another; alone, it is claimed again after a growing pause.
//!
//! "Everybody is told" compares with what was told before: connected, connected elsewhere, or nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::{
    Availability, Epoch, Mode, PortNo, PortState, PresenceRecord, Region, Role, SwitchId, SwitchState, Term,
    VirtualEventBody,
};

use super::reach::Reach;
use super::tell::essence;
use super::{Config, Output};
use crate::defect::{self, Defect};
use crate::liveness::{Liveness, Status};

/// What a switch looks at besides itself, and where its decisions go.
pub(super) struct World<'a> {
    pub now: Instant,
    pub config: &'a Config,
    pub liveness: &'a Liveness,
    pub out: &'a mut VecDeque<Output>,
}

/// Something that happened to the switch.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// A region told its state, whole.
    Report {
        region: Region,
        epoch: Epoch,
        partition: i32,
        state: Box<SwitchState>,
    },
    /// A region reaches it no longer.
    Left {
        region: Region,
        /// Which connection ended; none: whichever there was.
        connection: Option<u64>,
    },
    /// These regions are lost, all at once.
    RegionsLost(Vec<Region>),
    /// A region may no longer write to it.
    LostRole { region: Region, term: Term },
    /// A region told about a port.
    Port {
        region: Region,
        port: PortState,
        removed: bool,
    },
    /// A region is live, or in use again: it may be chosen now.
    Look,
    /// Its region is drained, and it is its turn.
    Move { from: Region },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// No region that may be active reaches it, since then.
    Vacant { since: Instant, region_lost: bool },
    /// The region was told, `tries` times, and has not confirmed.
    Claiming { region: Region, tries: u32, until: Instant },
    /// The region confirmed.
    Held { region: Region, since: Instant },
    /// The region failed; it, or a better one, is told again then.
    Pausing { region: Region, at: Instant },
}

/// A switch.
#[derive(Debug, Clone)]
pub struct Switch {
    pub(super) id: SwitchId,
    pub(super) reaches: BTreeMap<Region, Reach>,
    pub(super) standing: Standing,
    /// The last term given, and never less than one that was restored.
    pub(super) term: Term,
    /// Where everybody thinks it is.
    pub(super) told: Option<Region>,
    pub(super) role_lost_told: bool,
    /// Who reaches it changed since the last event about it.
    pub(super) news: bool,
    /// Why the region everybody thinks of is not active any more.
    pub(super) reason: String,
    pub(super) ports_told: Option<BTreeMap<PortNo, PortState>>,
    /// The state as it was last seen by an active region.
    pub(super) last: Option<Box<SwitchState>>,
    pub(super) recorded: Option<PresenceRecord>,
    /// A region that works and is to step down when the next one has confirmed: until then it is MASTER.
    pub(super) leaving: Option<Region>,
}

impl Switch {
    pub(super) fn new(id: SwitchId, now: Instant) -> Self {
        Switch {
            id,
            reaches: BTreeMap::new(),
            standing: Standing::Vacant {
                since: now,
                region_lost: false,
            },
            term: Term(0),
            told: None,
            role_lost_told: false,
            news: false,
            reason: String::new(),
            ports_told: None,
            last: None,
            recorded: None,
            leaving: None,
        }
    }

    /// The region that is active: where commands go.
    pub fn active(&self) -> Option<&Region> {
        match &self.standing {
            Standing::Vacant { .. } => None,
            Standing::Claiming { region, .. } | Standing::Held { region, .. } | Standing::Pausing { region, .. } => {
                Some(region)
            }
        }
    }

    /// Whether the active region has confirmed its role.
    pub fn is_confirmed(&self) -> bool {
        matches!(self.standing, Standing::Held { .. })
    }

    /// The last term given.
    pub fn term(&self) -> Term {
        self.term
    }

    /// `connected`, `disconnected` or `region_lost`.
    pub fn status(&self) -> &'static str {
        match self.standing {
            Standing::Vacant { region_lost: true, .. } => "region_lost",
            Standing::Vacant { region_lost: false, .. } => "disconnected",
            Standing::Claiming { .. } | Standing::Held { .. } | Standing::Pausing { .. } => "connected",
        }
    }

    /// Who reaches it.
    pub fn reaches(&self) -> &BTreeMap<Region, Reach> {
        &self.reaches
    }

    /// The switch as the active region sees it, or as it was last seen by one; none: only remembered so far.
    pub fn state(&self) -> Option<&SwitchState> {
        self.active()
            .and_then(|r| self.reaches.get(r))
            .and_then(|r| r.state.as_deref())
            .or(self.last.as_deref())
            .or_else(|| self.reaches.values().find_map(|r| r.state.as_deref()))
    }

    /// The availability list, active first, then by name.
    pub fn availability(&self, now: Instant) -> Availability {
        let active = self.active();
        let mut availability: Vec<_> = self
            .reaches
            .iter()
            .map(|(name, reach)| reach.presence(now, name, active == Some(name)))
            .collect();
        availability.sort_by_key(|p| !p.active);
        Availability { availability }
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// When it wants to be woken.
    pub(super) fn due(&self, config: &Config, liveness: &Liveness) -> Option<Instant> {
        match &self.standing {
            Standing::Vacant { since, .. } => self.reaches.is_empty().then(|| *since + config.forget),
            Standing::Claiming { until, .. } => Some(*until),
            Standing::Pausing { at, .. } => Some(*at),
            Standing::Held { region, .. } => self.better(config, liveness, region).map(|b| b.0).min(),
        }
    }

    /// Whether it is to be forgotten.
    pub(super) fn is_over(&self, now: Instant, config: &Config) -> bool {
        match self.standing {
            Standing::Vacant { since, .. } => self.reaches.is_empty() && now >= since + config.forget,
            _ => false,
        }
    }

    /// What was remembered of it, before anything was heard. Gives whether it counted.
    pub(super) fn restore(&mut self, w: &mut World, record: &PresenceRecord) -> bool {
        let older = self
            .recorded
            .as_ref()
            .is_some_and(|r| r.owner_epoch > record.owner_epoch);
        if older {
            return false;
        }
        if self.reaches.values().any(|r| r.state.is_some()) {
            // Already heard: only its term still matters, as the floor of ours.
            if record.term >= self.term {
                self.term = record.term;
                if let Some(region) = self.active().cloned() {
                    self.claim(w, region);
                }
            }
            return true;
        }
        self.term = self.term.max(record.term);
        self.reaches = record
            .regions
            .iter()
            .filter(|r| {
                let region = &r.presence.region;
                let heard_newer = w.liveness.epoch(region).is_some_and(|known| known > r.epoch);
                !heard_newer && matches!(w.liveness.status(region), Some(Status::NeverSeen | Status::Live))
            })
            .map(|r| (r.presence.region.clone(), Reach::restored(w.now, r)))
            .collect();
        self.told = record.active_region.clone();
        self.recorded = Some(essence(record.clone()));
        self.standing = match record.active_region.clone() {
            Some(region) if self.may_stay(&region) => {
                w.out.push_back(Output::ActiveChanged {
                    switch: self.id,
                    region: Some(region.clone()),
                    term: self.term,
                });
                Standing::Held { region, since: w.now }
            }
            Some(_) | None => Standing::Vacant {
                since: w.now,
                region_lost: false,
            },
        };
        true
    }

    /// Take a fact. Gives whether it counted: news of a connection that was followed by another does not.
    pub(super) fn handle(&mut self, w: &mut World, fact: Fact) -> bool {
        let counted = match fact {
            Fact::Report {
                region,
                epoch,
                partition,
                state,
            } => self.report(w, region, epoch, partition, *state),
            Fact::Left { region, connection } => self.left(&region, connection),
            Fact::RegionsLost(regions) => {
                for region in &regions {
                    self.news |= self.reaches.remove(region).is_some();
                    if self.active() == Some(region) {
                        self.reason = format!("region {region} was lost");
                    }
                }
                self.settle(w, true);
                true
            }
            Fact::LostRole { region, term } => self.lost_role(w, &region, term),
            Fact::Port { region, port, removed } => {
                if let Some(reach) = self.reaches.get_mut(&region) {
                    reach.port(&port, removed);
                }
                true
            }
            Fact::Look => true,
            Fact::Move { from } => {
                if self.active() == Some(&from)
                    && let Some(next) = self.best(w)
                    && next != from
                {
                    self.reason = format!("region {from} is drained");
                    self.hand_over(w, next);
                }
                true
            }
        };
        self.settle(w, false);
        counted
    }

    /// The time has come.
    pub(super) fn handle_timeout(&mut self, w: &mut World) {
        match self.standing.clone() {
            Standing::Vacant { .. } => {}
            Standing::Claiming { region, tries, until } if w.now >= until => self.unanswered(w, region, tries),
            Standing::Pausing { region, at } if w.now >= at => {
                let best = self.best(w).unwrap_or(region);
                self.claim(w, best);
            }
            Standing::Held { region, .. } => {
                let better = self
                    .better(w.config, w.liveness, &region)
                    .filter(|(at, _)| *at <= w.now)
                    .map(|(_, name)| name.clone())
                    .min_by_key(|name| self.rank(w.now, w.config, name));
                if let Some(better) = better {
                    self.reason = format!("region {better} is preferred");
                    self.hand_over(w, better);
                }
            }
            Standing::Claiming { .. } | Standing::Pausing { .. } => {}
        }
        self.settle(w, false);
    }

    fn report(&mut self, w: &mut World, region: Region, epoch: Epoch, partition: i32, state: SwitchState) -> bool {
        let before = self.reaches.get(&region);
        let known = before.and_then(|r| r.connection().map(|c| (r.epoch, c)));
        if known.is_some_and(|known| (epoch, state.connection) < known) {
            return false;
        }
        let again = known.is_some_and(|known| known != (epoch, state.connection));
        let (role, seen) = (state.role, state.term_seen.unwrap_or(Term(0)));
        let now_ms = w.liveness.clock().map_or(0, |clock| clock.at(w.now));
        let mut reach = Reach::reported(w.now, now_ms, epoch, partition, state);
        // A new connection of the active region has an event of its own to come.
        self.news |= match before {
            None => true,
            Some(_) if again => self.active() != Some(&region),
            Some(b) => b.mode != reach.mode || b.ip != reach.ip,
        };
        if let Some(before) = before
            && !again
        {
            reach.goes_on(before);
        }
        self.reaches.insert(region.clone(), reach);

        let master_with_more = role == Role::Master && seen > self.term;
        match (self.active().cloned(), &self.standing) {
            (None, _) => {}
            (Some(active), standing) if active == region => {
                let ours = role == Role::Master && seen == self.term;
                match standing {
                    _ if !self.may_stay(&region) => self.reason = format!("region {region} may only read"),
                    _ if again => {
                        self.reason = format!("the switch connected to region {region} again");
                        self.claim(w, region);
                    }
                    Standing::Claiming { .. } | Standing::Pausing { .. } if ours => self.confirm(w, region),
                    Standing::Claiming { .. } if seen > self.term => self.failure(w, region),
                    Standing::Held { .. } if !ours => self.failure(w, region),
                    Standing::Claiming { .. } | Standing::Pausing { .. } | Standing::Held { .. } => {}
                    Standing::Vacant { .. } => {}
                }
            }
            (Some(active), Standing::Claiming { .. } | Standing::Held { .. }) if master_with_more => {
                self.failure(w, active);
            }
            // It holds the switch until the next one has it.
            (Some(_), _) if self.leaving.as_ref() == Some(&region) => {}
            (Some(_), _) if role == Role::Master && !master_with_more => {
                w.out.push_back(Output::Deactivate {
                    region,
                    switch: self.id,
                    term: self.term,
                });
            }
            (Some(_), _) => {}
        }
        true
    }

    fn left(&mut self, region: &Region, connection: Option<u64>) -> bool {
        let Some(reach) = self.reaches.get(region) else {
            return false;
        };
        if let (Some(ended), Some(known)) = (connection, reach.connection())
            && ended < known
        {
            return false;
        }
        self.reaches.remove(region);
        self.news = true;
        if self.active() == Some(region) {
            self.reason = format!("the switch left region {region}");
        }
        true
    }

    fn lost_role(&mut self, w: &mut World, region: &Region, term: Term) -> bool {
        if let Some(reach) = self.reaches.get_mut(region)
            && reach.role == Role::Master
        {
            reach.role = Role::Slave;
        }
        let ours = term >= self.term && self.active() == Some(region);
        match &self.standing {
            Standing::Claiming { .. } | Standing::Held { .. } if ours => {
                self.term = self.term.max(term);
                self.failure(w, region.clone());
            }
            Standing::Claiming { .. } | Standing::Held { .. } | Standing::Pausing { .. } | Standing::Vacant { .. } => {}
        }
        true
    }

    /// Whether the region may remain active.
    fn may_stay(&self, region: &Region) -> bool {
        self.reaches.get(region).is_some_and(|r| r.mode == Mode::ReadWrite)
    }

    /// Order in which candidates are chosen.
    fn rank(&self, now: Instant, config: &Config, name: &Region) -> (bool, u32, std::cmp::Reverse<Duration>, Region) {
        let reach = self.reaches.get(name);
        (
            reach.is_some_and(|r| r.is_aside(now)),
            config.preference(name),
            std::cmp::Reverse(reach.map_or(Duration::ZERO, |r| r.uptime(now))),
            name.clone(),
        )
    }

    /// The region that should be active, were there none.
    pub(super) fn best(&self, w: &World) -> Option<Region> {
        self.next(w.now, w.config, w.liveness, None)
    }

    /// The same, were there not this one either.
    pub(super) fn next(
        &self,
        now: Instant,
        config: &Config,
        liveness: &Liveness,
        without: Option<&Region>,
    ) -> Option<Region> {
        self.reaches
            .iter()
            .filter(|(name, reach)| is_candidate(name, reach, config, liveness) && Some(*name) != without)
            .map(|(name, _)| name)
            .min_by_key(|name| self.rank(now, config, name))
            .cloned()
    }

    /// Regions of better preference than the active one, and when each may take over.
    fn better<'a>(
        &'a self,
        config: &'a Config,
        liveness: &'a Liveness,
        active: &Region,
    ) -> impl Iterator<Item = (Instant, &'a Region)> {
        let hold_down = match config.failback {
            super::Failback::Sticky => None,
            super::Failback::Preferred { .. } if defect::is(Defect::HoldDownMissing) => Some(Duration::ZERO),
            super::Failback::Preferred { hold_down } => Some(hold_down),
        };
        let mine = config.preference(active);
        self.reaches.iter().filter_map(move |(name, reach)| {
            let since = config
                .in_use_since
                .get(name)
                .map_or(reach.since, |at| reach.since.max(*at));
            let at = since + hold_down?;
            (is_candidate(name, reach, config, liveness) && config.preference(name) < mine).then(|| {
                (
                    // One that failed begins to wait again.
                    reach.aside.zip(hold_down).map_or(at, |(a, h)| at.max(a + h)),
                    name,
                )
            })
        })
    }

    /// Make the standing fit what is reached, and tell what has not been told.
    fn settle(&mut self, w: &mut World, region_lost: bool) {
        match self.active().cloned() {
            Some(active) if self.may_stay(&active) => {}
            active => match self.best(w) {
                Some(next) => self.claim(w, next),
                None if active.is_some() => self.vacate(w, region_lost),
                None => {}
            },
        }
        let announced = match &self.standing {
            Standing::Claiming { region, .. } | Standing::Pausing { region, .. } => self.told.as_ref() == Some(region),
            Standing::Vacant { .. } | Standing::Held { .. } => true,
        };
        // An event that is about to come will carry the list.
        if self.news && announced {
            self.tell(w, VirtualEventBody::SwitchAvailability { switch: self.id });
        }
        self.tell_ports(w);
        self.remember(w);
    }
}

/// Whether the region may be made active.
fn is_candidate(name: &Region, reach: &Reach, config: &Config, liveness: &Liveness) -> bool {
    reach.mode == Mode::ReadWrite && liveness.is_live(name) && !config.drained.contains(name)
}

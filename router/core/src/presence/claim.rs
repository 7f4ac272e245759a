//! A switch gets an active region, another one, or none. When and why is said in [`super::switch`].

use std::collections::BTreeSet;
use std::time::Duration;

use skerry_bus::{Region, Role, Term, VirtualEventBody};

use super::Output;
use super::reach::Reach;
use super::switch::{Standing, Switch, World};
use crate::defect::{self, Defect};

/// First pause after a second failure; doubles.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause: a role that somebody else takes again and again is not fought over faster.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest time between two tries of a claim that nobody answers, in claim times.
const REPEAT_MAX: u32 = 5;

impl Switch {
    pub(super) fn vacate(&mut self, w: &mut World, region_lost: bool) {
        self.leaving = None;
        self.standing = Standing::Vacant {
            since: w.now,
            region_lost,
        };
        w.out.push_back(Output::ActiveChanged {
            switch: self.id,
            region: None,
            term: self.term,
        });
        if self.told.take().is_some() {
            self.tell(
                w,
                VirtualEventBody::SwitchDisconnected {
                    switch: self.id,
                    region_lost,
                },
            );
        }
        self.role_lost_told = false;
    }

    /// Another region becomes active in place of one that works: the one steps down when the other has confirmed, so that
    /// there is always one that applies commands.
    pub(super) fn hand_over(&mut self, w: &mut World, next: Region) {
        let before = self.active().cloned().filter(|b| self.reaches.contains_key(b));
        // A switch without roles does not stop the former one itself, so there it goes first.
        let has_roles = self.reaches.get(&next).is_some_and(|r| r.role != Role::Equal);
        self.claim_beside(w, next, before.filter(|_| has_roles));
    }

    /// The region becomes active, and whoever was is told at once that it is not.
    pub(super) fn claim(&mut self, w: &mut World, region: Region) {
        self.claim_beside(w, region, None);
    }

    fn claim_beside(&mut self, w: &mut World, region: Region, leaving: Option<Region>) {
        let region = match w.config.drained.contains(&region) {
            false => region,
            // Nothing new is given to it, whatever it has lost.
            true => match self.best(w) {
                Some(next) => next,
                None => return self.vacate(w, false),
            },
        };
        let before = self.active().cloned();
        let stopped = [before.clone(), self.leaving.take()].into_iter().flatten();
        let stopped: BTreeSet<Region> = stopped
            .filter(|b| *b != region && Some(b) != leaving.as_ref() && self.reaches.contains_key(b))
            .collect();
        self.leaving = leaving;
        let seen = self.reaches.values().filter_map(Reach::term_seen).max();
        self.term = self.term.max(seen.unwrap_or(Term(0)));
        if !defect::is(Defect::TermNotRaised) {
            self.term = self.term.next();
        }
        self.standing = Standing::Claiming {
            region: region.clone(),
            tries: 1,
            until: w.now + w.config.claim,
        };
        // The term is remembered before anybody can see it.
        self.remember(w);
        w.out.push_back(Output::Activate {
            region: region.clone(),
            switch: self.id,
            term: self.term,
        });
        w.out.push_back(Output::ActiveChanged {
            switch: self.id,
            region: Some(region.clone()),
            term: self.term,
        });
        for region in stopped {
            self.stop(w, region);
        }
        if before.is_some_and(|b| b != region) {
            w.out.push_back(Output::AskSwitchSnapshot {
                region,
                switch: self.id,
            });
        }
    }

    fn stop(&self, w: &mut World, region: Region) {
        w.out.push_back(Output::Deactivate {
            region,
            switch: self.id,
            term: self.term,
        });
    }

    pub(super) fn confirm(&mut self, w: &mut World, region: Region) {
        let event = match self.told.take() {
            Some(told) if told != region => VirtualEventBody::SwitchConnectedElsewhere {
                switch: self.id,
                region: region.clone(),
                term: self.term,
                reason: std::mem::take(&mut self.reason),
            },
            Some(_) | None => VirtualEventBody::SwitchConnected {
                switch: self.id,
                region: region.clone(),
                term: self.term,
            },
        };
        for (name, reach) in &mut self.reaches {
            if *name != region && reach.role == Role::Master {
                // OpenFlow 1.3.5 section 6.3.6: there is one master; the switch made the former one a slave.
                reach.role = Role::Slave;
            }
        }
        self.told = Some(region.clone());
        self.role_lost_told = false;
        let leaving = self.leaving.take().filter(|l| self.reaches.contains_key(l));
        self.standing = Standing::Held { region, since: w.now };
        self.tell(w, event);
        if let Some(leaving) = leaving {
            self.stop(w, leaving);
        }
    }

    /// The region did not take the role, or lost it.
    pub(super) fn failure(&mut self, w: &mut World, region: Region) {
        let steady = match &self.standing {
            Standing::Held { since, .. } => w.now.saturating_duration_since(*since) >= w.config.steady,
            Standing::Vacant { .. } | Standing::Claiming { .. } | Standing::Pausing { .. } => false,
        };
        let failures = match self.reaches.get_mut(&region) {
            Some(reach) => {
                reach.failures = if steady { 1 } else { reach.failures.saturating_add(1) };
                if reach.failures >= 2 {
                    reach.aside = Some(w.now + w.config.aside);
                }
                reach.failures
            }
            None => 1,
        };
        self.role_lost(w, &region);
        let best = self.best(w).unwrap_or_else(|| region.clone());
        let may_pause = !w.config.drained.contains(&region);
        if failures >= 2 && best == region && may_pause {
            let pause = PAUSE_MIN * 2u32.saturating_pow((failures - 2).min(8));
            self.standing = Standing::Pausing {
                region,
                at: w.now + pause.min(PAUSE_MAX),
            };
        } else if failures >= 2 {
            self.claim(w, best);
        } else {
            self.claim(w, region);
        }
    }

    /// The region was told `tries` times and did not answer in time.
    pub(super) fn unanswered(&mut self, w: &mut World, region: Region, tries: u32) {
        if tries >= 2 {
            if let Some(reach) = self.reaches.get_mut(&region) {
                reach.aside = Some(w.now + w.config.aside);
            }
            self.role_lost(w, &region);
            if let Some(other) = self.best(w).filter(|best| *best != region) {
                self.reason = format!("region {region} did not confirm its role");
                return self.claim(w, other);
            }
        }
        if w.config.drained.contains(&region) {
            return self.claim(w, region);
        }
        w.out.push_back(Output::Activate {
            region: region.clone(),
            switch: self.id,
            term: self.term,
        });
        self.standing = Standing::Claiming {
            region,
            tries: tries.saturating_add(1),
            until: w.now + w.config.claim * tries.min(REPEAT_MAX),
        };
    }

    fn role_lost(&mut self, w: &mut World, region: &Region) {
        self.reason = format!("region {region} lost its role");
        if !std::mem::replace(&mut self.role_lost_told, true) {
            self.tell(
                w,
                VirtualEventBody::SwitchRoleLost {
                    switch: self.id,
                    region: region.clone(),
                },
            );
        }
    }
}

//! No write of an older term is accepted by a switch; a term belongs to one region; nobody writes before its role is settled.

use std::collections::BTreeMap;

use ofproto::ControllerRole;

use super::Verdict;
use crate::scenario::Scenario;

/// What each switch said of terms.
pub struct Terms {
    /// The largest that made somebody MASTER since the switch started, and whom.
    highest: Vec<Option<(u64, usize)>>,
    /// Whom each term made MASTER, ever.
    owners: BTreeMap<(usize, u64), usize>,
    /// Who was MASTER last, whatever the switch forgot.
    last: Vec<Option<usize>>,
}

impl Terms {
    /// Nobody was MASTER yet.
    pub fn new(scenario: &Scenario) -> Terms {
        Terms {
            highest: vec![None; scenario.switches.len()],
            owners: BTreeMap::new(),
            last: vec![None; scenario.switches.len()],
        }
    }

    /// A switch made a region MASTER. Gives whether another had been it.
    pub fn mastered(&mut self, switch: usize, region: usize, term: u64) -> (bool, Verdict) {
        let takeover = self.last[switch].replace(region).is_some_and(|before| before != region);
        let owner = *self.owners.entry((switch, term)).or_insert(region);
        if owner != region {
            let what = format!(
                "switch {}: term {term} made region {owner} MASTER, and region {region} too",
                switch + 1
            );
            return (takeover, Err(what));
        }
        if let Some((highest, of)) = self.highest[switch]
            && highest > term
        {
            let what = format!(
                "switch {}: region {region} became MASTER with {term} after region {of} with {highest}",
                switch + 1
            );
            return (takeover, Err(what));
        }
        self.highest[switch] = Some((term, region));
        (takeover, Ok(()))
    }

    /// A switch forgot its number.
    pub fn rebooted(&mut self, switch: usize) {
        self.highest[switch] = None;
    }

    /// A switch took a write of a connection that has this role, by this term.
    pub fn written(&self, switch: usize, region: usize, role: ControllerRole, term: Option<u64>) -> Verdict {
        let name = switch + 1;
        if role != ControllerRole::MASTER {
            return Err(format!(
                "switch {name} took a write of region {region}, which is {role}"
            ));
        }
        match (term, self.highest[switch]) {
            (Some(term), Some((highest, _))) if term == highest => Ok(()),
            (term, highest) => Err(format!(
                "switch {name} took a write of region {region} with term {term:?}; the newest is {highest:?}"
            )),
        }
    }
}

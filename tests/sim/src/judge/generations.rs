//! A generation is one content. What a speaker says is applied stands on the switch at that moment, and no older generation is
//! applied after a newer one.

use std::collections::BTreeMap;
use std::rc::Rc;

use skerry_bus::objects::Objects;
use skerry_bus::{Command, CommandBody, CorrelationId, DesiredChange, Generation, Outcome, SwitchId};

use super::{End, Verdict};
use crate::fabric::{Conn, SwitchHost};
use crate::scenario::Scenario;

/// Generations of a switch whose content is remembered: more than are ever under way.
const REMEMBERED: usize = 64;

/// What was said of a switch's desired state.
#[derive(Default)]
struct Known {
    contents: BTreeMap<Generation, Rc<Objects>>,
    /// The largest that was applied since the switch started.
    applied: Generation,
}

/// All switches.
pub struct Generations {
    switches: Vec<Known>,
    places: BTreeMap<SwitchId, usize>,
    /// Which generation a command wants.
    wanted: BTreeMap<CorrelationId, Generation>,
}

impl Generations {
    /// Nothing was said yet.
    pub fn new(scenario: &Scenario) -> Generations {
        Generations {
            switches: scenario.switches.iter().map(|_| Known::default()).collect(),
            places: scenario
                .switches
                .iter()
                .enumerate()
                .map(|(n, plan)| (plan.id, n))
                .collect(),
            wanted: BTreeMap::new(),
        }
    }

    /// A router's command is in the log.
    pub fn said(&mut self, command: &Command) -> Verdict {
        let CommandBody::Desired {
            switch,
            generation,
            change,
            ..
        } = &command.body
        else {
            return Ok(());
        };
        let Some(place) = self.places.get(switch) else {
            return Ok(());
        };
        let known = &mut self.switches[*place];
        self.wanted.insert(command.correlation_id.clone(), *generation);
        let content = match change {
            DesiredChange::Snapshot { objects } => Rc::new(objects.clone()),
            DesiredChange::Delta { base, put, remove } => {
                // A base nobody said is refused by its speaker; there is nothing to compare then.
                let Some(base) = known.contents.get(base) else {
                    return Ok(());
                };
                let mut objects = base.as_ref().clone();
                objects.remove(remove);
                objects.extend(put.clone());
                Rc::new(objects)
            }
        };
        if let Some(before) = known.contents.get(generation)
            && (before.rules != content.rules || before.groups != content.groups)
        {
            return Err(format!(
                "{switch}: generation {generation} has two contents; {} says the second",
                command.correlation_id
            ));
        }
        known.contents.insert(*generation, content);
        if known.contents.len() > REMEMBERED {
            known.contents.pop_first();
        }
        Ok(())
    }

    /// A switch forgot everything.
    pub fn rebooted(&mut self, switch: usize) {
        self.switches[switch].applied = Generation(0);
    }

    /// A command ends at a speaker.
    pub fn ended(&mut self, region: usize, end: &End, switches: &[SwitchHost], conns: &[Conn]) -> Verdict {
        let (Some(switch), Some(generation)) = (end.switch, self.wanted.get(&end.id)) else {
            return Ok(());
        };
        let id = &end.id;
        let Some(place) = self.places.get(&switch).copied() else {
            return Ok(());
        };
        if end.outcome != Outcome::Applied {
            return Ok(());
        }
        let known = &mut self.switches[place];
        let host = &switches[place];
        // Word of what stood before another took over may come late; only the master's word is compared.
        if host.master().is_none_or(|conn| conns[conn].speaker != region) {
            return Ok(());
        }
        let Some(content) = known.contents.get(generation) else {
            return Ok(());
        };
        let stands = host.machine.objects();
        if stands.rules != content.rules || stands.groups != content.groups {
            let difference = difference(content, stands);
            return Err(format!(
                "{switch}: {id} (generation {generation}) is said to be applied, and {difference}"
            ));
        }
        if *generation < known.applied {
            let applied = known.applied;
            return Err(format!("{switch}: generation {generation} is applied after {applied}"));
        }
        known.applied = *generation;
        Ok(())
    }
}

/// In words: what is not as wanted.
pub fn difference(wanted: &Objects, stands: &Objects) -> String {
    let mut words = Vec::new();
    for (key, rule) in &wanted.rules {
        match stands.rules.get(key) {
            None => words.push(format!("rule {key} is missing")),
            Some(other) if other != rule => words.push(format!("rule {key} is {other:?}, not {rule:?}")),
            Some(_) => {}
        }
    }
    for key in stands.rules.keys().filter(|key| !wanted.rules.contains_key(key)) {
        words.push(format!("rule {key} is too much"));
    }
    for (id, group) in &wanted.groups {
        if stands.groups.get(id) != Some(group) {
            words.push(format!("group {id} is missing or another"));
        }
    }
    for id in stands.groups.keys().filter(|id| !wanted.groups.contains_key(id)) {
        words.push(format!("group {id} is too much"));
    }
    words.truncate(6);
    words.join(", ")
}

//! A step from what stands: which objects it adds or changes and which it takes away.
//!
//! A switch may hold many thousand objects and a step names a few, so only those are looked at, with what refers to them. The
//! plan is the one that comparing everything would give; the tests hold both against each other.

use std::collections::BTreeSet;

use skerry_bus::objects::ObjectKeys;
use skerry_bus::{Cause, Objects, RuleKey};

use crate::known::{Known, Ours};
use crate::plan::{Among, Plan, changes, group_levels, refuse_foreign};

/// A step.
#[derive(Debug, Clone)]
pub(crate) struct Delta {
    /// Objects to add or change; what it takes away as well stays.
    pub(crate) put: Objects,
    /// Objects to take away.
    pub(crate) remove: ObjectKeys,
}

impl Delta {
    /// What stands after it.
    pub(crate) fn make(self, objects: &mut Objects) {
        objects.remove(&self.remove);
        objects.extend(self.put);
    }

    /// The plan that makes it of what stands.
    ///
    /// # Errors
    /// As [`crate::plan()`] of all that would stand.
    pub(crate) fn plan(&self, ours: Ours, held: &Objects, foreign: &BTreeSet<RuleKey>) -> Result<Plan, Cause> {
        let put = &self.put;
        let gone = |keys: &[u32], put: &dyn Fn(&u32) -> bool, held: &dyn Fn(&u32) -> bool| {
            let gone = keys.iter().filter(|id| held(id) && !put(id));
            gone.copied().collect::<BTreeSet<u32>>()
        };
        let meters = gone(&self.remove.meters, &|id| put.meters.contains_key(id), &|id| {
            held.meters.contains_key(id)
        });
        let groups = gone(&self.remove.groups, &|id| put.groups.contains_key(id), &|id| {
            held.groups.contains_key(id)
        });
        let rules: BTreeSet<&RuleKey> = self.remove.rules.iter().collect();
        let among = Among {
            ours,
            has_meter: |id| put.meters.contains_key(&id) || held.meters.contains_key(&id) && !meters.contains(&id),
            has_group: |id| put.groups.contains_key(&id) || held.groups.contains_key(&id) && !groups.contains(&id),
        };
        // What stands before and after it as it is.
        let staying_groups = || {
            let all = held.groups.values();
            all.filter(|group| !groups.contains(&group.id) && !put.groups.contains_key(&group.id))
        };
        let staying_rules = || {
            let all = held.rules.values();
            all.filter(|rule| !rules.contains(&rule.key) && !put.rules.contains_key(&rule.key))
        };
        put.meters.values().try_for_each(|meter| among.meter(meter))?;
        put.groups.values().try_for_each(|group| among.group(group))?;
        put.rules.values().try_for_each(|rule| among.rule(rule))?;
        if !groups.is_empty() {
            staying_groups().try_for_each(|group| among.group(group))?;
        }
        if !groups.is_empty() || !meters.is_empty() {
            staying_rules().try_for_each(|rule| among.rule(rule))?;
        }
        let levels = match put.groups.is_empty() {
            true => Vec::new(),
            false => group_levels(put.groups.values().chain(staying_groups()))?,
        };
        refuse_foreign(foreign, put)?;
        let there = Known::of(&self.named(held), BTreeSet::new());
        Ok(changes(&there, put, &levels))
    }

    /// Those of these objects that it names.
    fn named(&self, held: &Objects) -> Objects {
        let mut named = Objects::new();
        for id in self.put.meters.keys().chain(&self.remove.meters) {
            named.meters.extend(held.meters.get_key_value(id));
        }
        for id in self.put.groups.keys().chain(&self.remove.groups) {
            if let Some(group) = held.groups.get(id) {
                named.put_group(group.clone());
            }
        }
        for key in self.put.rules.keys().chain(&self.remove.rules) {
            if let Some(rule) = held.rules.get(key) {
                named.put_rule(rule.clone());
            }
        }
        named
    }
}

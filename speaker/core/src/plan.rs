//! The planner: from what a switch holds and what it shall hold to an ordered list of steps. Pure, printable, never sends.
//!
//! Order (design section 5): meters, then groups (those that others name first), then rules; then rules go, then groups
//! (those that name others first), then meters, because a switch silently deletes the rules of a deleted group or meter.
//! A rule is changed by ADD over it, which leaves no gap; groups and meters that exist are changed by MODIFY.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::ops::Range;

use skerry_bus::{
    Action, Cause, Change, Cookie, Group, Meter, ObjectName, Objects, PlannedStage, PlannedStep, Rule, RuleKey,
    SwitchPlan,
};

pub use skerry_bus::StepReason as Reason;

use crate::known::{Known, Ours, StrangeRule, is_our_cookie};

/// Tables of an OpenFlow 1.3 switch; 255 means all of them and cannot be written to.
const TABLE_MAX: u8 = 254;

/// One change of a switch: one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a meter.
    AddMeter(Meter),
    /// Change a meter in place.
    ModifyMeter(Meter),
    /// Make a group.
    AddGroup(Group),
    /// Change a group in place.
    ModifyGroup(Group),
    /// Make a rule, or replace the one of the same key without a gap.
    AddRule(Rule),
    /// Take away exactly this rule.
    DeleteRule {
        /// Which.
        key: RuleKey,
        /// Only if it still has this cookie.
        cookie: Cookie,
    },
    /// Take away a rule whose match the contract cannot express.
    DeleteStrange(StrangeRule),
    /// Take away a group that nothing names any more.
    DeleteGroup(u32),
    /// Take away a meter that nothing names any more.
    DeleteMeter(u32),
}

/// Steps whose order among themselves does not matter. The next stage begins when the switch has confirmed this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What it does.
    pub name: &'static str,
    /// Its steps with their reasons.
    pub steps: Vec<(Step, Reason)>,
}

/// Stages in order; none is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The stages.
    pub stages: Vec<Stage>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }
    /// How many messages it takes, barriers not counted.
    pub fn len(&self) -> usize {
        self.stages.iter().map(|s| s.steps.len()).sum()
    }
    /// The steps for rules and groups, which a bundle can carry: one after the other, between those for meters.
    pub fn bundled(&self) -> Range<usize> {
        let is_meter = |stage: &&Stage| stage.name.starts_with("meters");
        let len = |stage: &Stage| stage.steps.len();
        let first = self.stages.first().filter(is_meter).map_or(0, len);
        let last = match self.stages.len() {
            0 | 1 if first > 0 => 0,
            _ => self.stages.last().filter(is_meter).map_or(0, len),
        };
        first..self.len() - last
    }
    /// The plan as text, cut to its first lines.
    pub fn to_text(&self, max: usize) -> String {
        let mut cut = Cut {
            text: String::new(),
            left: max,
        };
        // An error means that the rest is left out.
        let _ = write!(cut, "{self}");
        cut.text
    }
    /// The plan in the contract's terms, its first steps one by one.
    pub fn to_told(&self) -> Vec<PlannedStage> {
        let mut left = SwitchPlan::LISTED_MAX;
        let told = |stage: &Stage| {
            let steps = stage.steps.iter().take(left).map(|(step, reason)| PlannedStep {
                change: step.change(),
                object: step.object(),
                reason: *reason,
            });
            let steps: Vec<_> = steps.collect();
            left -= steps.len();
            PlannedStage {
                name: stage.name.to_owned(),
                steps,
                count: u32::try_from(stage.steps.len()).unwrap_or(u32::MAX),
            }
        };
        self.stages.iter().map(told).collect()
    }
    fn stage(&mut self, name: &'static str, steps: Vec<(Step, Reason)>) {
        if !steps.is_empty() {
            self.stages.push(Stage { name, steps });
        }
    }
}

/// Takes text until it is full, so that a long plan costs no more than what is shown of it.
struct Cut {
    text: String,
    left: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = s.char_indices().nth(self.left).map(|(at, _)| at);
        let taken = end.map_or(s, |end| &s[..end]);
        self.text.push_str(taken);
        self.left -= taken.chars().count();
        match end {
            Some(_) => Err(fmt::Error),
            None => Ok(()),
        }
    }
}

impl Step {
    /// The object it is about.
    pub fn object(&self) -> ObjectName {
        match self {
            Step::AddMeter(Meter { id, .. }) | Step::ModifyMeter(Meter { id, .. }) | Step::DeleteMeter(id) => {
                ObjectName::Meter { id: *id }
            }
            Step::AddGroup(Group { id, .. }) | Step::ModifyGroup(Group { id, .. }) | Step::DeleteGroup(id) => {
                ObjectName::Group { id: *id }
            }
            Step::AddRule(Rule { key, .. }) | Step::DeleteRule { key, .. } => ObjectName::Rule(key.clone()),
            Step::DeleteStrange(rule) => ObjectName::StrangeRule {
                table: rule.table,
                priority: rule.priority,
                cookie: rule.cookie,
            },
        }
    }

    /// What is done with it.
    pub fn change(&self) -> Change {
        match self {
            Step::AddMeter(_) | Step::AddGroup(_) | Step::AddRule(_) => Change::Add,
            Step::ModifyMeter(_) | Step::ModifyGroup(_) => Change::Modify,
            Step::DeleteRule { .. } | Step::DeleteStrange(_) | Step::DeleteGroup(_) | Step::DeleteMeter(_) => {
                Change::Delete
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.change(), self.object())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to do");
        }
        for (n, stage) in self.stages.iter().enumerate() {
            writeln!(f, "stage {}: {}", n + 1, stage.name)?;
            for (step, reason) in &stage.steps {
                writeln!(f, "  {step}: {reason}")?;
            }
        }
        Ok(())
    }
}

/// Whether what is wanted can stand on a switch at all.
///
/// # Errors
/// `Malformed`, naming the object: a number or cookie that is not ours, something named that is not wanted, groups in a circle.
pub fn validate(ours: Ours, wanted: &Objects) -> Result<(), Cause> {
    let wrong = |detail: String| Err(Cause::Malformed { detail });
    for id in wanted.meters.keys() {
        if !ours.has_meter(*id) {
            return wrong(format!("meter {id} is not in our range"));
        }
    }
    for (id, group) in &wanted.groups {
        if !ours.has_group(*id) {
            return wrong(format!("group {id} is not in our range"));
        }
        if let Some(missing) = group.refers_to().find(|other| !wanted.groups.contains_key(other)) {
            return wrong(format!("group {id} names group {missing}, which is not wanted"));
        }
    }
    for (key, rule) in &wanted.rules {
        let name = || key.to_string();
        if key.table > TABLE_MAX {
            return wrong(format!("{}: there is no such table", name()));
        }
        if !is_our_cookie(rule.cookie) {
            return wrong(format!("{}: cookie {} is not ours", name(), rule.cookie));
        }
        if rule.goto.is_some_and(|goto| goto <= key.table || goto > TABLE_MAX) {
            return wrong(format!("{}: goto must name a later table", name()));
        }
        if let Some(meter) = rule.meter.filter(|id| !wanted.meters.contains_key(id)) {
            return wrong(format!("{} names meter {meter}, which is not wanted", name()));
        }
        let group = rule.apply.iter().find_map(|action| match action {
            Action::Group(id) if !wanted.groups.contains_key(id) => Some(*id),
            _ => None,
        });
        if let Some(group) = group {
            return wrong(format!("{} names group {group}, which is not wanted", name()));
        }
    }
    let refers = wanted.groups.iter().map(|(id, g)| (*id, g.refers_to().collect()));
    match levels(refers.collect()) {
        Ok(_) => Ok(()),
        Err(circle) => wrong(format!("groups name each other in a circle: {circle:?}")),
    }
}

/// The plan that makes `wanted` of `known`. Foreign objects are never touched.
///
/// # Errors
/// `Malformed` as [`validate`] says; `Foreign` when a rule is wanted where a foreign one stands.
pub fn plan(ours: Ours, known: &Known, wanted: &Objects) -> Result<Plan, Cause> {
    validate(ours, wanted)?;
    if let Some(key) = wanted.rules.keys().find(|key| known.foreign_keys.contains(key)) {
        return Err(Cause::Foreign {
            object: key.to_string(),
        });
    }
    let mut plan = Plan::default();
    plan.stage("meters", put_meters(known, wanted));
    for level in put_groups(known, wanted)? {
        plan.stage("groups", level);
    }
    plan.stage("rules", put_rules(known, wanted));
    plan.stage("rules that go", delete_rules(known, wanted));
    for level in delete_groups(known, wanted) {
        plan.stage("groups that go", level);
    }
    let meters = known.meters.keys().filter(|id| !wanted.meters.contains_key(id));
    plan.stage(
        "meters that go",
        meters.map(|id| (Step::DeleteMeter(*id), Reason::NotWanted)).collect(),
    );
    Ok(plan)
}

fn put_meters(known: &Known, wanted: &Objects) -> Vec<(Step, Reason)> {
    let mut steps = Vec::new();
    for (id, meter) in &wanted.meters {
        match known.meters.get(id) {
            None => steps.push((Step::AddMeter(*meter), Reason::Missing)),
            Some(Some(there)) if there == meter => {}
            Some(_) => steps.push((Step::ModifyMeter(*meter), Reason::Differs)),
        }
    }
    steps
}

fn put_groups(known: &Known, wanted: &Objects) -> Result<Vec<Vec<(Step, Reason)>>, Cause> {
    let refers = wanted.groups.iter().map(|(id, g)| (*id, g.refers_to().collect()));
    let levels = levels(refers.collect()).map_err(|circle| Cause::Malformed {
        detail: format!("groups name each other in a circle: {circle:?}"),
    })?;
    let step = |id: &u32| {
        let group = wanted.groups.get(id)?;
        match known.groups.get(id) {
            None => Some((Step::AddGroup(group.clone()), Reason::Missing)),
            Some(there) if there.group.as_ref() == Some(group) => None,
            Some(_) => Some((Step::ModifyGroup(group.clone()), Reason::Differs)),
        }
    };
    Ok(levels
        .iter()
        .map(|level| level.iter().filter_map(step).collect())
        .collect())
}

fn put_rules(known: &Known, wanted: &Objects) -> Vec<(Step, Reason)> {
    let mut steps = Vec::new();
    // Later tables first, so that a packet that is sent on finds the rule for it.
    for (key, rule) in wanted.rules.iter().rev() {
        match known.rules.get(key) {
            None => steps.push((Step::AddRule(rule.clone()), Reason::Missing)),
            Some(there) if there.rule.as_ref().is_some_and(|there| same_rule(there, rule)) => {}
            Some(_) => steps.push((Step::AddRule(rule.clone()), Reason::Differs)),
        }
    }
    steps
}

/// Whether two rules do the same. Whether counters are reset is a wish for the moment of replacing, not a state of the rule.
fn same_rule(a: &Rule, b: &Rule) -> bool {
    a.cookie == b.cookie
        && a.meter == b.meter
        && a.apply == b.apply
        && a.write_metadata == b.write_metadata
        && a.goto == b.goto
}

fn delete_rules(known: &Known, wanted: &Objects) -> Vec<(Step, Reason)> {
    // Earlier tables first, so that nothing is sent on to a rule that is gone. Keys are ordered by table.
    let strange = known.strange.iter().map(|rule| Step::DeleteStrange(rule.clone()));
    let rules = known
        .rules
        .iter()
        .filter(|(key, _)| !wanted.rules.contains_key(key))
        .map(|(key, there)| Step::DeleteRule {
            key: key.clone(),
            cookie: there.cookie,
        });
    strange.chain(rules).map(|step| (step, Reason::NotWanted)).collect()
}

fn delete_groups(known: &Known, wanted: &Objects) -> Vec<Vec<(Step, Reason)>> {
    let going: BTreeMap<u32, Vec<u32>> = known
        .groups
        .iter()
        .filter(|(id, _)| !wanted.groups.contains_key(id))
        .map(|(id, there)| (*id, there.refers_to.clone()))
        .collect();
    // A switch refuses circles, so there are none; if it tells one, its members go last, in one stage.
    let mut levels = match levels(going) {
        Ok(levels) => levels,
        Err(circle) => vec![circle],
    };
    levels.reverse();
    levels
        .into_iter()
        .map(|level| {
            level
                .into_iter()
                .map(|id| (Step::DeleteGroup(id), Reason::NotWanted))
                .collect()
        })
        .collect()
}

/// Sort into levels: what is named by something stands in an earlier level than what names it. References to what is not in
/// the map do not count.
///
/// # Errors
/// What stands in a circle, or names something that does.
fn levels(mut left: BTreeMap<u32, Vec<u32>>) -> Result<Vec<Vec<u32>>, Vec<u32>> {
    let mut levels = Vec::new();
    let mut placed: BTreeSet<u32> = BTreeSet::new();
    while !left.is_empty() {
        let level: Vec<u32> = left
            .iter()
            .filter(|(_, refers)| refers.iter().all(|r| placed.contains(r) || !left.contains_key(r)))
            .map(|(id, _)| *id)
            .collect();
        if level.is_empty() {
            return Err(left.into_keys().collect());
        }
        for id in &level {
            left.remove(id);
        }
        placed.extend(&level);
        levels.push(level);
    }
    Ok(levels)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

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
    validate_whole(ours, wanted).map(drop)
}

fn validate_whole(ours: Ours, wanted: &Objects) -> Result<Levels, Cause> {
    let among = Among {
        ours,
        has_meter: |id| wanted.meters.contains_key(&id),
        has_group: |id| wanted.groups.contains_key(&id),
    };
    wanted.meters.values().try_for_each(|meter| among.meter(meter))?;
    wanted.groups.values().try_for_each(|group| among.group(group))?;
    wanted.rules.values().try_for_each(|rule| among.rule(rule))?;
    group_levels(wanted.groups.values())
}

/// Says of single objects whether they can stand among others.
pub(crate) struct Among<M, G> {
    pub(crate) ours: Ours,
    /// Whether a meter of this number stands then.
    pub(crate) has_meter: M,
    /// The same of groups.
    pub(crate) has_group: G,
}

impl<M: Fn(u32) -> bool, G: Fn(u32) -> bool> Among<M, G> {
    pub(crate) fn meter(&self, meter: &Meter) -> Result<(), Cause> {
        match self.ours.has_meter(meter.id) {
            true => Ok(()),
            false => wrong(format!("meter {} is not in our range", meter.id)),
        }
    }

    pub(crate) fn group(&self, group: &Group) -> Result<(), Cause> {
        let id = group.id;
        if !self.ours.has_group(id) {
            return wrong(format!("group {id} is not in our range"));
        }
        match group.refers_to().find(|other| !(self.has_group)(*other)) {
            Some(missing) => wrong(format!("group {id} names group {missing}, which is not wanted")),
            None => Ok(()),
        }
    }

    pub(crate) fn rule(&self, rule: &Rule) -> Result<(), Cause> {
        let key = &rule.key;
        if key.table > TABLE_MAX {
            return wrong(format!("{key}: there is no such table"));
        }
        if !is_our_cookie(rule.cookie) {
            return wrong(format!("{key}: cookie {} is not ours", rule.cookie));
        }
        if rule.goto.is_some_and(|goto| goto <= key.table || goto > TABLE_MAX) {
            return wrong(format!("{key}: goto must name a later table"));
        }
        if let Some(meter) = rule.meter.filter(|id| !(self.has_meter)(*id)) {
            return wrong(format!("{key} names meter {meter}, which is not wanted"));
        }
        let group = rule.apply.iter().find_map(|action| match action {
            Action::Group(id) if !(self.has_group)(*id) => Some(*id),
            _ => None,
        });
        match group {
            Some(group) => wrong(format!("{key} names group {group}, which is not wanted")),
            None => Ok(()),
        }
    }
}

fn wrong(detail: String) -> Result<(), Cause> {
    Err(Cause::Malformed { detail })
}

/// Numbers of groups: what is named by something stands in an earlier level than what names it.
pub(crate) type Levels = Vec<Vec<u32>>;

/// The levels of all groups that shall stand.
pub(crate) fn group_levels<'a>(groups: impl Iterator<Item = &'a Group>) -> Result<Levels, Cause> {
    let refers = groups.map(|group| (group.id, group.refers_to().collect()));
    levels(refers.collect()).map_err(|circle| Cause::Malformed {
        detail: format!("groups name each other in a circle: {circle:?}"),
    })
}

/// The plan that makes `wanted` of `known`. Foreign objects are never touched.
///
/// # Errors
/// `Malformed` as [`validate`] says; `Foreign` when a rule is wanted where a foreign one stands.
pub fn plan(ours: Ours, known: &Known, wanted: &Objects) -> Result<Plan, Cause> {
    let levels = validate_whole(ours, wanted)?;
    refuse_foreign(&known.foreign_keys, wanted)?;
    Ok(changes(known, wanted, &levels))
}

/// A foreign rule is never replaced.
pub(crate) fn refuse_foreign(foreign: &BTreeSet<RuleKey>, wanted: &Objects) -> Result<(), Cause> {
    // Mostly there are none.
    let stands_there = foreign.iter().find(|key| wanted.rules.contains_key(key));
    match stands_there {
        Some(key) => Err(Cause::Foreign {
            object: key.to_string(),
        }),
        None => Ok(()),
    }
}

/// The plan that makes `wanted`, which can stand, of `known`. `levels` are those of all groups that shall stand, if not only
/// those in `wanted` do.
pub(crate) fn changes(known: &Known, wanted: &Objects, levels: &[Vec<u32>]) -> Plan {
    let mut plan = Plan::default();
    plan.stage("meters", put_meters(known, wanted));
    for level in levels {
        plan.stage("groups", put_groups(known, wanted, level));
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
    plan
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

fn put_groups(known: &Known, wanted: &Objects, level: &[u32]) -> Vec<(Step, Reason)> {
    let step = |id: &u32| {
        let group = wanted.groups.get(id)?;
        match known.groups.get(id) {
            None => Some((Step::AddGroup(group.clone()), Reason::Missing)),
            Some(there) if there.group.as_ref() == Some(group) => None,
            Some(_) => Some((Step::ModifyGroup(group.clone()), Reason::Differs)),
        }
    };
    level.iter().filter_map(step).collect()
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
fn levels(mut left: BTreeMap<u32, Vec<u32>>) -> Result<Levels, Vec<u32>> {
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

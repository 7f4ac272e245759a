//! In which order the network gets from what it holds for a flow to what it shall hold: make before break.
//!
//! One function for every kind of operation, because the kinds differ only in what stands before and after:
//!
//! | stage | what happens | why there |
//! | --- | --- | --- |
//! | prepare | new meters, groups, egress and transit rules | nothing sends there yet |
//! | retire | rules of joined traffic that go and whose group is about to do something else | or the traffic would go there |
//! | switch | ingress rules are replaced in place or added, groups and meters that exist are changed | each change is one message and atomic; old and new way both stand |
//! | open | new rules of tables 0 and 1 let packets in | only now, so that a tag is never taken off without a rule that wants it |
//! | close | ingress and entrance rules that go | the old way still stands for what is under way; then the drain |
//! | clean | everything else that goes | nothing uses it any more |
//!
//! Stages in which nothing happens are left out. Within a stage each switch is on its own, in any order among them; on
//! one switch adds come before deletes, and meters and groups before the rules that name them (design section 5).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skerry_bus::ids::SwitchId;
use skerry_bus::objects::{Action, Objects, Rule};

use crate::layout::table;
use crate::translate::PerSwitch;

/// Least time between the last packet that may take the old way and its removal: a barrier does not say that the
/// data path follows.
pub const DRAIN_MIN: Duration = Duration::from_secs(2);
/// What is added to twice the old path's round trip.
pub const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// The drain of a change, given the round trip of the path that is left, if it is known.
pub fn drain(old_latency_ns: Option<u64>) -> Duration {
    let twice = Duration::from_nanos(old_latency_ns.unwrap_or(0)).saturating_mul(2);
    DRAIN_MIN.max(twice.saturating_add(DRAIN_MARGIN))
}

/// A stage's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// New things that nothing uses yet.
    Prepare,
    /// What must not meet the changed groups goes.
    Retire,
    /// The flow changes over.
    Switch,
    /// Packets are let in.
    Open,
    /// Packets are kept out.
    Close,
    /// What nothing uses any more goes.
    Clean,
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StageName::Prepare => "prepare",
            StageName::Retire => "retire",
            StageName::Switch => "switch",
            StageName::Open => "open",
            StageName::Close => "close",
            StageName::Clean => "clean",
        })
    }
}

/// One step of a plan. It ends when every switch in it has applied its objects, and the drain is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which.
    pub name: StageName,
    /// All that the flow has on these switches after the stage, empty for nothing; other switches stay as they are.
    pub objects: PerSwitch,
    /// How long to wait after it was applied and before the next stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,
}

/// How a change is done, and how it is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In order. None: nothing changes.
    pub stages: Vec<Stage>,
    /// For each stage, the stages that lead back when it failed half-way: whatever part of it was done.
    pub rollback: Vec<Vec<Stage>>,
    /// From this stage on (an index into `stages`) going on is right even when it fails, because the flow is carried as
    /// wanted and only leftovers remain.
    pub committed_from: usize,
}

impl Plan {
    /// From what the switches hold for a flow to what they shall hold. `drain` is the wait before anything is removed that
    /// packets may still use; see [`drain`].
    pub fn new(before: &PerSwitch, after: &PerSwitch, drain: Duration) -> Plan {
        let stages = stages(before, after, drain);
        let mut state = before.clone();
        let mut rollback = Vec::with_capacity(stages.len());
        for stage in &stages {
            state.extend(stage.objects.clone());
            rollback.push(self::stages(&state, before, drain));
        }
        let committed_from = stages
            .iter()
            .position(|s| s.name >= StageName::Close)
            .unwrap_or(stages.len());
        Plan {
            stages,
            rollback,
            committed_from,
        }
    }
}

fn is_ingress(rule: &Rule) -> bool {
    matches!(rule.key.table, table::INGRESS | table::POST_INGRESS)
}

fn is_entrance(rule: &Rule) -> bool {
    rule.key.table < table::INGRESS
}

/// One switch's objects after each stage, up to the last but one; the last is `after` itself.
fn states(before: &Objects, after: &Objects) -> [(StageName, Objects); 6] {
    let mut prepared = before.clone();
    for (id, meter) in &after.meters {
        prepared.meters.entry(*id).or_insert(*meter);
    }
    for (id, group) in &after.groups {
        prepared.groups.entry(*id).or_insert_with(|| group.clone());
    }
    for (key, rule) in &after.rules {
        if !is_ingress(rule) && !is_entrance(rule) {
            prepared.rules.entry(key.clone()).or_insert_with(|| rule.clone());
        }
    }
    let changes = |action: &Action| match action {
        Action::Group(id) => after.groups.get(id).is_some_and(|g| before.groups.get(id) != Some(g)),
        _ => false,
    };
    let mut retired = prepared.clone();
    retired
        .rules
        .retain(|key, rule| after.rules.contains_key(key) || !is_ingress(rule) || !rule.apply.iter().any(changes));
    let mut switched = retired.clone();
    switched.meters.extend(&after.meters);
    switched
        .groups
        .extend(after.groups.iter().map(|(id, g)| (*id, g.clone())));
    for (key, rule) in &after.rules {
        if before.rules.contains_key(key) || !is_entrance(rule) {
            switched.rules.insert(key.clone(), rule.clone());
        }
    }
    let mut opened = switched.clone();
    opened
        .rules
        .extend(after.rules.iter().map(|(k, r)| (k.clone(), r.clone())));
    let mut closed = opened.clone();
    closed
        .rules
        .retain(|key, rule| after.rules.contains_key(key) || !(is_ingress(rule) || is_entrance(rule)));
    [
        (StageName::Prepare, prepared),
        (StageName::Retire, retired),
        (StageName::Switch, switched),
        (StageName::Open, opened),
        (StageName::Close, closed),
        (StageName::Clean, after.clone()),
    ]
}

fn stages(before: &PerSwitch, after: &PerSwitch, drain: Duration) -> Vec<Stage> {
    let nothing = Objects::new();
    let mut by_name: BTreeMap<StageName, PerSwitch> = BTreeMap::new();
    let mut switches: Vec<SwitchId> = before.keys().chain(after.keys()).copied().collect();
    switches.sort_unstable();
    switches.dedup();
    for switch in switches {
        let from = before.get(&switch).unwrap_or(&nothing);
        let to = after.get(&switch).unwrap_or(&nothing);
        let mut last = from.clone();
        for (name, state) in states(from, to) {
            if state != last {
                by_name.entry(name).or_default().insert(switch, state.clone());
                last = state;
            }
        }
    }
    let mut stages: Vec<Stage> = by_name
        .into_iter()
        .map(|(name, objects)| Stage {
            name,
            objects,
            drain: None,
        })
        .collect();
    // What is removed last was in use until the stage before it; if there is none, it never was.
    if let [.., last_but_one, last] = stages.as_mut_slice()
        && last.name == StageName::Clean
    {
        last_but_one.drain = Some(drain);
    }
    stages
}

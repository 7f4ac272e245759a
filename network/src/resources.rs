//! The numbers that flows need on switches, and who has which.
//!
//! A number is derived from what it is for (a hash of the flow's name and the role, then the next free one), so that
//! it does not depend on the order of arrival more than it must. [`FlowIds`] is what the router stores with each
//! flow; [`Pools`] is only the sum of those and is built again from them after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use skerry_bus::api::Direction;
use skerry_bus::ids::{Endpoint, FlowId, PointId, SwitchId};
use skerry_bus::objects::Bucket;

use crate::exit::{Exit, chains, joined};
use crate::intent::{Flow, JoinPoint, Leg};
use crate::layout::{EFFECTIVE_IDS, FLOW_GROUPS, FLOW_METERS, TRANSIT_VLANS};

/// All numbers that a flow's rules use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowIds {
    /// Counts the flow's paths; a new path has new ids beside the old one's.
    pub path_number: u32,
    /// In the cookies of its rules.
    pub effective_id: u32,
    /// The tag between switches; none if both ends are on one switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit_vlan: Option<u16>,
    /// Meters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterId>,
    /// Groups. That an exit has a group here is the mark that its rule outputs to it: it stays until the exit goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupId>,
    /// Effective ids of join points.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub joins: BTreeMap<PointId, u32>,
}

/// A meter of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterId {
    /// Where.
    pub switch: SwitchId,
    /// What for.
    pub role: MeterRole,
    /// Its number.
    pub id: u32,
}

/// What a meter limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterRole {
    /// What enters a direction at this switch: the customer and what joins.
    Ingress(Direction),
    /// What joins for local delivery where no meter of that direction is on the switch.
    Join(PointId),
}

/// A group of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupId {
    /// Where.
    pub switch: SwitchId,
    /// What for.
    pub role: GroupRole,
    /// Its number.
    pub id: u32,
}

/// What a group does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupRole {
    /// Sends the flow and its copies: type ALL.
    Exit(Exit),
    /// Sends what joins: type ALL. It stays when the point goes and is taken over by a later one.
    Join {
        /// The point that has or had it.
        point: PointId,
        /// Its sink.
        sink: Endpoint,
    },
    /// Finishes a bucket of another group: type INDIRECT, named by its content.
    Chain(Bucket),
}

impl FlowIds {
    /// The meter of a role on a switch.
    pub fn meter(&self, switch: SwitchId, role: &MeterRole) -> Option<u32> {
        let found = self.meters.iter().find(|m| m.switch == switch && m.role == *role);
        found.map(|m| m.id)
    }
    /// The group of a role on a switch.
    pub fn group(&self, switch: SwitchId, role: &GroupRole) -> Option<u32> {
        let found = self.groups.iter().find(|g| g.switch == switch && g.role == *role);
        found.map(|g| g.id)
    }
    /// The group that a join point's rule outputs to.
    pub fn join_group(&self, point: &PointId, join: &JoinPoint) -> Option<u32> {
        let role = GroupRole::Join {
            point: point.clone(),
            sink: join.sink,
        };
        self.group(join.switch, &role)
    }
}

/// The meter of what joins: that of the direction it joins, where it enters at this switch, so that the flow's
/// bandwidth holds for both together; a local delivery on a flow of two switches has its own.
pub fn join_meter(point: &PointId, join: &JoinPoint, leg: &Leg) -> MeterRole {
    use skerry_bus::api::JoinDelivery::{Both, Local, Network};
    match join.delivery {
        Network | Both => MeterRole::Ingress(leg.direction),
        Local if leg.to.switch == leg.from.switch => MeterRole::Ingress(leg.direction.opposite()),
        Local => MeterRole::Join(point.clone()),
    }
}

/// No number is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// More flow paths and join points than cookies can tell apart.
    #[error("all effective flow ids (1 to 131,072) are in use")]
    EffectiveIds,
    /// More paths than there are tags.
    #[error("all transit VLANs (2 to 4,094) are in use")]
    TransitVlans,
    /// A switch is full.
    #[error("all flow meters (32 to 2,500) of switch {0} are in use")]
    Meters(SwitchId),
    /// A switch is full.
    #[error("all flow groups (2 to 4,095) of switch {0} are in use")]
    Groups(SwitchId),
}

/// Numbers in use. They are bounded by their ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools {
    effective_ids: BTreeSet<u32>,
    transit_vlans: BTreeSet<u32>,
    meters: BTreeMap<SwitchId, BTreeSet<u32>>,
    groups: BTreeMap<SwitchId, BTreeSet<u32>>,
}

/// FNV-1a, 64 bit, with a final mix: fixed here for good, because stored numbers are derived with it.
fn hash(flow: &FlowId, role: &str) -> u64 {
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in flow.as_str().bytes().chain([0]).chain(role.bytes()) {
        h = (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^ h >> 33
}

/// The first free number at or after the one that the hash points at, round the range.
fn take(used: &mut BTreeSet<u32>, range: RangeInclusive<u32>, hash: u64) -> Option<u32> {
    let (low, high) = (*range.start(), *range.end());
    let size = u64::from(high - low) + 1;
    // Below the size of a u32 range.
    let wanted = low + (hash % size) as u32;
    let free = first_free(used, wanted, high).or_else(|| first_free(used, low, wanted))?;
    used.insert(free);
    Some(free)
}

/// The first number in `from..=to` that is not in `used`, in steps of the used ones only.
fn first_free(used: &BTreeSet<u32>, from: u32, to: u32) -> Option<u32> {
    let mut next = from;
    for n in used.range(from..=to) {
        if *n != next {
            break;
        }
        next += 1;
    }
    (next <= to).then_some(next)
}

impl Pools {
    /// Nothing in use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `ids` are in use. Twice is as good as once.
    pub fn hold(&mut self, ids: &FlowIds) {
        self.effective_ids.insert(ids.effective_id);
        self.effective_ids.extend(ids.joins.values());
        self.transit_vlans.extend(ids.transit_vlan.map(u32::from));
        for m in &ids.meters {
            self.meters.entry(m.switch).or_default().insert(m.id);
        }
        for g in &ids.groups {
            self.groups.entry(g.switch).or_default().insert(g.id);
        }
    }

    /// Gives back what `ids` have and `kept` have not. To be called when the switches no longer hold the objects.
    pub fn release(&mut self, ids: &FlowIds, kept: Option<&FlowIds>) {
        let of_kept = |ids: &FlowIds| {
            let mut own = Pools::new();
            own.hold(ids);
            own
        };
        let gone = of_kept(ids);
        let kept = kept.map(of_kept).unwrap_or_default();
        let without = |from: &mut BTreeSet<u32>, gone: &BTreeSet<u32>, kept: Option<&BTreeSet<u32>>| {
            for id in gone.iter().filter(|id| !kept.is_some_and(|k| k.contains(id))) {
                from.remove(id);
            }
        };
        without(&mut self.effective_ids, &gone.effective_ids, Some(&kept.effective_ids));
        without(&mut self.transit_vlans, &gone.transit_vlans, Some(&kept.transit_vlans));
        for (per_switch, gone, kept) in [
            (&mut self.meters, &gone.meters, &kept.meters),
            (&mut self.groups, &gone.groups, &kept.groups),
        ] {
            for (switch, ids) in gone {
                if let Some(used) = per_switch.get_mut(switch) {
                    without(used, ids, kept.get(switch));
                    if used.is_empty() {
                        per_switch.remove(switch);
                    }
                }
            }
        }
    }

    /// Numbers for a flow. Without `old` all are new; with it (what the flow has) they stay as far as they fit,
    /// and only the path's own are new if `new_path`. What `old` has stays held until it is released. On error
    /// nothing is taken.
    pub fn allocate(&mut self, flow: &Flow, old: Option<&FlowIds>, new_path: bool) -> Result<FlowIds, Exhausted> {
        let mut ids = FlowIds {
            path_number: 0,
            // No id at all until one is taken: the range begins at 1.
            effective_id: 0,
            transit_vlan: None,
            meters: Vec::new(),
            groups: Vec::new(),
            joins: BTreeMap::new(),
        };
        match self.allocate_into(&mut ids, flow, old, new_path) {
            Ok(()) => Ok(ids),
            Err(exhausted) => {
                self.release(&ids, old);
                Err(exhausted)
            }
        }
    }

    fn allocate_into(
        &mut self,
        ids: &mut FlowIds,
        flow: &Flow,
        old: Option<&FlowIds>,
        new_path: bool,
    ) -> Result<(), Exhausted> {
        self.path_ids(ids, flow, old, new_path)?;
        for point in flow.joins.keys() {
            let id = match old.and_then(|o| o.joins.get(point)) {
                Some(id) => *id,
                None => self.effective_id(flow, &format!("join {point}"))?,
            };
            ids.joins.insert(point.clone(), id);
        }
        self.meter_ids(ids, flow, old)?;
        self.group_ids(ids, flow, old)
    }

    fn effective_id(&mut self, flow: &Flow, role: &str) -> Result<u32, Exhausted> {
        take(&mut self.effective_ids, EFFECTIVE_IDS, hash(&flow.id, role)).ok_or(Exhausted::EffectiveIds)
    }

    fn path_ids(
        &mut self,
        ids: &mut FlowIds,
        flow: &Flow,
        old: Option<&FlowIds>,
        new_path: bool,
    ) -> Result<(), Exhausted> {
        let wants_vlan = !flow.is_one_switch();
        if let Some(o) = old.filter(|o| !new_path && o.transit_vlan.is_some() == wants_vlan) {
            (ids.path_number, ids.effective_id, ids.transit_vlan) = (o.path_number, o.effective_id, o.transit_vlan);
            return Ok(());
        }
        let number = old.map_or(0, |o| o.path_number.wrapping_add(1));
        ids.path_number = number;
        ids.effective_id = self.effective_id(flow, &format!("path {number}"))?;
        if wants_vlan {
            let hash = hash(&flow.id, &format!("vlan {number}"));
            let vlan = take(&mut self.transit_vlans, TRANSIT_VLANS, hash).ok_or(Exhausted::TransitVlans)?;
            // Its range ends at 4,094.
            ids.transit_vlan = Some(vlan as u16);
        }
        Ok(())
    }

    fn meter_ids(&mut self, ids: &mut FlowIds, flow: &Flow, old: Option<&FlowIds>) -> Result<(), Exhausted> {
        if flow.bandwidth_kbps == 0 {
            return Ok(());
        }
        let ends = flow
            .legs()
            .map(|leg| (leg.from.switch, MeterRole::Ingress(leg.direction)));
        let joins = flow.joins.iter().filter_map(|(point, join)| {
            let leg = flow.leg_from(join.switch)?;
            Some((join.switch, join_meter(point, join, &leg)))
        });
        for (switch, role) in ends.into_iter().chain(joins) {
            if ids.meter(switch, &role).is_some() {
                continue;
            }
            let id = match old.and_then(|o| o.meter(switch, &role)) {
                Some(id) => id,
                None => {
                    let used = self.meters.entry(switch).or_default();
                    take(used, FLOW_METERS, hash(&flow.id, &format!("meter {role:?}")))
                        .ok_or(Exhausted::Meters(switch))?
                }
            };
            ids.meters.push(MeterId { switch, role, id });
        }
        Ok(())
    }

    fn group_id(&mut self, flow: &Flow, switch: SwitchId, role: &str) -> Result<u32, Exhausted> {
        let used = self.groups.entry(switch).or_default();
        take(used, FLOW_GROUPS, hash(&flow.id, role)).ok_or(Exhausted::Groups(switch))
    }

    fn group_ids(&mut self, ids: &mut FlowIds, flow: &Flow, old: Option<&FlowIds>) -> Result<(), Exhausted> {
        let mut exits = Vec::new();
        for (switch, exit) in Exit::all(flow) {
            let role = GroupRole::Exit(exit);
            let had = old.and_then(|o| o.group(switch, &role));
            let wanted = exit.mirrors(flow, switch).next().is_some();
            let id = match had {
                Some(id) => id,
                None if wanted => self.group_id(flow, switch, &format!("exit {exit:?}"))?,
                None => continue,
            };
            exits.push((switch, exit));
            ids.groups.push(GroupId { switch, role, id });
        }
        let slots = self.join_slots(ids, flow, old)?;
        for (switch, bucket) in chains(flow, &exits, &slots) {
            let role = GroupRole::Chain(bucket);
            let id = match old.and_then(|o| o.group(switch, &role)) {
                Some(id) => id,
                None => self.group_id(flow, switch, &format!("chain {role:?}"))?,
            };
            ids.groups.push(GroupId { switch, role, id });
        }
        Ok(())
    }

    /// Groups of join points: one for each point, and those that points left behind, at the flow's present ends.
    /// A new point takes over a group that was left behind, so that their number never exceeds the number of points that
    /// once stood together.
    fn join_slots(
        &mut self,
        ids: &mut FlowIds,
        flow: &Flow,
        old: Option<&FlowIds>,
    ) -> Result<Vec<(SwitchId, PointId, Endpoint)>, Exhausted> {
        let first = ids.groups.len();
        let kept = old.iter().flat_map(|had| &had.groups).filter(|g| {
            // Where the flow has no end any more nothing can join it.
            matches!(g.role, GroupRole::Join { .. }) && flow.leg_from(g.switch).is_some()
        });
        ids.groups.extend(kept.cloned());
        for (point, join) in &flow.joins {
            if ids.join_group(point, join).is_some() {
                continue;
            }
            let role = GroupRole::Join {
                point: point.clone(),
                sink: join.sink,
            };
            let left_behind = ids.groups[first..].iter_mut().find(|g| match &g.role {
                GroupRole::Join { point, sink } => g.switch == join.switch && joined(flow, point, sink).is_none(),
                GroupRole::Exit(_) | GroupRole::Chain(_) => false,
            });
            match left_behind {
                Some(group) => group.role = role,
                None => {
                    let id = self.group_id(flow, join.switch, &format!("join {point}"))?;
                    ids.groups.push(GroupId {
                        switch: join.switch,
                        role,
                        id,
                    });
                }
            }
        }
        let slots = ids.groups[first..].iter().filter_map(|g| match &g.role {
            GroupRole::Join { point, sink } => Some((g.switch, point.clone(), *sink)),
            GroupRole::Exit(_) | GroupRole::Chain(_) => None,
        });
        Ok(slots.collect())
    }
}

//! What a switch holds: rules, groups and meters, and what flow-mods, group-mods and meter-mods do to them.
//!
//! Sections 6.4, 6.5 and 6.6 of OpenFlow 1.3.5. No connections, no roles. A request is done whole or refused with nothing
//! changed.
//!
//! The pipeline simulator knows part of OpenFlow. Strict tables refuse the rest, so that nothing is ever held that would not be
//! done; lenient ones hold it as any switch does, but no packet takes a rule that the simulator cannot do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ofproto::{
    Action as OfAction, BadActionCode, BadRequestCode, Bucket as OfBucket, FlowMod, FlowModCommand, FlowModFailedCode,
    FlowModFlags, FlowRemoved, FlowRemovedReason, FlowStats, FlowStatsRequest, GroupDesc, GroupId, GroupMod,
    GroupModCommand, GroupModFailedCode, GroupType, Instruction, Match as OfMatch, MeterBand, MeterConfig, MeterFlags,
    MeterId, MeterMod, MeterModCommand, MeterModFailedCode, NO_BUFFER, PortNo as OfPort, TableId,
};
use skerry_bus::objects::{Bucket, Group, GroupKind, Match, Objects, Rule};
use skerry_bus::{PortNo, RuleKey};

use super::convert::{self, Known, read_actions, read_match};
use super::terms::Terms;
use super::{Refusal, TABLES, check};

/// Rules of one switch. A backbone switch has some ten thousand; more is refused as TABLE_FULL.
pub const RULES_MAX: usize = 100_000;
/// Groups of one switch, as many ids as Skerry uses; more is refused as OUT_OF_GROUPS.
pub const GROUPS_MAX: usize = 4_096;
/// Meters of one switch; more is refused as OUT_OF_METERS.
pub const METERS_MAX: usize = 4_096;
/// Buckets of one group; a mirror or join point takes one, and a group must fit one message of a dump.
pub const BUCKETS_MAX: usize = 64;
/// Actions of one bucket, for the same reason.
pub const BUCKET_ACTIONS_MAX: usize = 16;

/// A rule, by what tells it from others of its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    table: u8,
    priority: u16,
    terms: Terms,
}

/// A rule that stands.
#[derive(Debug, Clone)]
pub struct Held {
    /// As it was asked for, so that a dump gives it back so.
    told: FlowStats,
    /// Since when.
    since: Instant,
    /// The same for the pipeline simulator, if that can do it.
    rule: Option<RuleKey>,
}

impl Held {
    /// As a dump tells it. Packets are not counted.
    pub fn stats(&self, now: Instant) -> FlowStats {
        let age = now.saturating_duration_since(self.since);
        FlowStats {
            duration_sec: u32::try_from(age.as_secs()).unwrap_or(u32::MAX),
            duration_nsec: age.subsec_nanos(),
            ..self.told.clone()
        }
    }

    /// Whether packets can take it.
    pub fn is_simulated(&self) -> bool {
        self.rule.is_some()
    }

    /// Its table.
    pub fn table(&self) -> u8 {
        self.told.table_id.0
    }

    /// Its meter, if it has one.
    pub fn meter(&self) -> Option<MeterId> {
        self.told.instructions.iter().find_map(|instruction| match instruction {
            Instruction::Meter(id) => Some(*id),
            _ => None,
        })
    }

    fn actions(&self) -> impl Iterator<Item = &OfAction> {
        self.told.instructions.iter().flat_map(|instruction| match instruction {
            Instruction::ApplyActions(actions) | Instruction::WriteActions(actions) => actions.as_slice(),
            _ => &[],
        })
    }

    /// Whether it hands packets to a group; GroupId::ALL stands for any.
    pub fn names_group(&self, id: GroupId) -> bool {
        self.actions().any(|action| match action {
            OfAction::Group(named) => id == GroupId::ALL || *named == id,
            _ => false,
        })
    }

    fn goes_out_of(&self, port: OfPort) -> bool {
        self.actions()
            .any(|action| matches!(action, OfAction::Output { port: out, .. } if *out == port))
    }

    /// When it goes by itself, and why. Packets are not counted, so it is idle from the start.
    fn ends(&self) -> Option<(Instant, FlowRemovedReason)> {
        let after = |seconds: u16, reason| {
            (seconds != 0).then(|| (self.since + Duration::from_secs(u64::from(seconds)), reason))
        };
        let idle = after(self.told.idle_timeout, FlowRemovedReason::IDLE_TIMEOUT);
        let hard = after(self.told.hard_timeout, FlowRemovedReason::HARD_TIMEOUT);
        [idle, hard].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.told.fmt(f)
    }
}

/// All that one switch holds.
#[derive(Debug, Default)]
pub struct Tables {
    rules: BTreeMap<Key, Held>,
    /// Groups as they were asked for.
    groups: BTreeMap<u32, GroupDesc>,
    /// Those rules and groups that the pipeline simulator can do, as it takes them. Its meters stay empty: they let
    /// everything through.
    objects: Objects,
    meters: BTreeMap<u32, MeterConfig>,
    /// What the simulator cannot do is held all the same, if these are given: the ports that FLOOD and ALL mean.
    lenient: Option<Vec<OfPort>>,
    /// When a rule goes by itself next, or earlier.
    next_end: Option<Instant>,
    /// Rules that went and are to be told.
    removed: Vec<FlowRemoved>,
}

impl Known for Tables {
    fn has_group(&self, id: u32) -> bool {
        self.groups.contains_key(&id)
    }
    fn has_meter(&self, id: u32) -> bool {
        self.meters.contains_key(&id)
    }
}

/// Which rules a delete, a modification or a dump means.
#[derive(Debug)]
pub struct Filter {
    table: TableId,
    /// For the strict forms: exactly this priority and match.
    priority: Option<u16>,
    terms: Terms,
    cookie: u64,
    cookie_mask: u64,
    out_port: OfPort,
    out_group: GroupId,
}

impl Filter {
    fn new(table: TableId, priority: Option<u16>, matching: &OfMatch) -> Result<Filter, Refusal> {
        if table != TableId::ALL && table.0 >= TABLES {
            return Err(Refusal::rule(FlowModFailedCode::BAD_TABLE_ID));
        }
        Ok(Filter {
            table,
            priority,
            terms: Terms::read(matching)?,
            cookie: 0,
            cookie_mask: 0,
            out_port: OfPort::ANY,
            out_group: GroupId::ANY,
        })
    }

    /// The rules that a statistics request means.
    ///
    /// # Errors
    /// A table or match that does not exist.
    pub fn of_request(request: &FlowStatsRequest) -> Result<Filter, Refusal> {
        Ok(Filter {
            cookie: request.cookie,
            cookie_mask: request.cookie_mask,
            out_port: request.out_port,
            out_group: request.out_group,
            ..Filter::new(request.table_id, None, &request.matching)?
        })
    }

    fn of_change(change: &FlowMod) -> Result<Filter, Refusal> {
        let delete = matches!(change.command, FlowModCommand::DELETE | FlowModCommand::DELETE_STRICT);
        let strict = matches!(
            change.command,
            FlowModCommand::MODIFY_STRICT | FlowModCommand::DELETE_STRICT
        );
        // Section 6.4: out_port and out_group count for deletes only, OFPTT_ALL too.
        if !delete && change.table_id == TableId::ALL {
            return Err(Refusal::rule(FlowModFailedCode::BAD_TABLE_ID));
        }
        Ok(Filter {
            cookie: change.cookie,
            cookie_mask: change.cookie_mask,
            out_port: if delete { change.out_port } else { OfPort::ANY },
            out_group: if delete { change.out_group } else { GroupId::ANY },
            ..Filter::new(change.table_id, strict.then_some(change.priority), &change.matching)?
        })
    }

    fn takes(&self, key: &Key, held: &Held) -> bool {
        let named = match self.priority {
            Some(priority) => key.priority == priority && key.terms == self.terms,
            None => self.terms.covers(&key.terms),
        };
        named
            && (self.table == TableId::ALL || self.table.0 == key.table)
            && (held.told.cookie ^ self.cookie) & self.cookie_mask == 0
            && (self.out_port == OfPort::ANY || held.goes_out_of(self.out_port))
            && (self.out_group == GroupId::ANY || held.names_group(self.out_group))
    }
}

impl Tables {
    /// Tables that hold what the simulator cannot do too. FLOOD and ALL are these ports.
    pub fn lenient(ports: impl IntoIterator<Item = PortNo>) -> Tables {
        Tables {
            lenient: Some(ports.into_iter().map(|port| OfPort(port.0)).collect()),
            ..Tables::default()
        }
    }

    /// Rules and groups, for the pipeline.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Groups by id, as they were asked for.
    pub fn groups(&self) -> &BTreeMap<u32, GroupDesc> {
        &self.groups
    }

    /// Meters by id.
    pub fn meters(&self) -> &BTreeMap<u32, MeterConfig> {
        &self.meters
    }

    /// All rules, in order.
    pub fn all_rules(&self) -> impl Iterator<Item = &Held> {
        self.rules.values()
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The rules that a filter means.
    pub fn rules<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Held> {
        let taken = self.rules.iter().filter(|(key, held)| filter.takes(key, held));
        taken.map(|(_, held)| held)
    }

    /// Rules that went and whose controllers want to know.
    pub fn removed(&mut self) -> Vec<FlowRemoved> {
        std::mem::take(&mut self.removed)
    }

    /// When rules go by themselves.
    pub fn next_end(&self) -> Option<Instant> {
        self.next_end
    }

    /// Rules whose time is over go.
    pub fn expire(&mut self, now: Instant) {
        if self.next_end.is_none_or(|end| end > now) {
            return;
        }
        let over = |held: &Held| held.ends().filter(|(at, _)| *at <= now).map(|(_, reason)| reason);
        self.remove(now, |_, held| over(held));
        self.next_end = self.rules.values().filter_map(Held::ends).map(|(at, _)| at).min();
    }

    /// Removes the rules for which there is a reason.
    fn remove(&mut self, now: Instant, reason: impl Fn(&Key, &Held) -> Option<FlowRemovedReason>) {
        let (objects, removed) = (&mut self.objects, &mut self.removed);
        self.rules.retain(|key, held| {
            let Some(reason) = reason(key, held) else { return true };
            if let Some(rule) = &held.rule {
                objects.rules.remove(rule);
            }
            if held.told.flags.contains(FlowModFlags::SEND_FLOW_REM) {
                let stats = held.stats(now);
                removed.push(FlowRemoved {
                    cookie: stats.cookie,
                    priority: stats.priority,
                    reason,
                    table_id: stats.table_id,
                    duration_sec: stats.duration_sec,
                    duration_nsec: stats.duration_nsec,
                    idle_timeout: stats.idle_timeout,
                    hard_timeout: stats.hard_timeout,
                    packet_count: 0,
                    byte_count: 0,
                    matching: stats.matching,
                });
            }
            false
        });
    }

    /// The actions that the simulator knows, in place of those that mean the same here: FLOOD and ALL are all ports but the
    /// packet's own, which the simulator leaves out; packets for the controller are never cut.
    pub fn plain(&self, actions: &[OfAction]) -> Vec<OfAction> {
        let Some(ports) = &self.lenient else {
            return actions.to_vec();
        };
        let plain = actions.iter().flat_map(|action| match action {
            OfAction::Output {
                port: OfPort::FLOOD | OfPort::ALL,
                ..
            } => ports.iter().map(|port| OfAction::output(*port)).collect(),
            OfAction::Output {
                port: OfPort::CONTROLLER,
                ..
            } => vec![OfAction::to_controller()],
            other => vec![other.clone()],
        });
        plain.collect()
    }

    /// The rule for the simulator; none if it cannot do it and need not.
    fn simulated(&self, told: &FlowStats) -> Result<Option<Rule>, Refusal> {
        let read = || {
            let key = RuleKey {
                table: told.table_id.0,
                priority: told.priority,
                matches: read_match(&told.matching)?,
            };
            let instructions = told.instructions.iter().map(|instruction| match instruction {
                Instruction::ApplyActions(actions) => Instruction::ApplyActions(self.plain(actions)),
                other => other.clone(),
            });
            let instructions: Vec<Instruction> = instructions.collect();
            convert::read_rule(key, told.cookie, &instructions, self)
        };
        match read() {
            Ok(rule) => Ok(Some(rule)),
            Err(_) if self.lenient.is_some() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// OFPT_FLOW_MOD.
    ///
    /// # Errors
    /// What cannot be done; nothing is changed then.
    pub fn flow_mod(&mut self, now: Instant, change: &FlowMod) -> Result<(), Refusal> {
        if change.buffer_id != NO_BUFFER {
            return Err(Refusal::request(BadRequestCode::BUFFER_UNKNOWN));
        }
        match change.command {
            FlowModCommand::ADD => self.add_rule(now, change),
            FlowModCommand::MODIFY | FlowModCommand::MODIFY_STRICT => self.modify_rules(change),
            FlowModCommand::DELETE | FlowModCommand::DELETE_STRICT => {
                let filter = Filter::of_change(change)?;
                self.remove(now, |key, held| {
                    filter.takes(key, held).then_some(FlowRemovedReason::DELETE)
                });
                Ok(())
            }
            _ => Err(Refusal::rule(FlowModFailedCode::BAD_COMMAND)),
        }
    }

    fn add_rule(&mut self, now: Instant, change: &FlowMod) -> Result<(), Refusal> {
        use FlowModFailedCode as Bad;
        if change.table_id.0 >= TABLES {
            return Err(Refusal::rule(Bad::BAD_TABLE_ID));
        }
        if self.lenient.is_none() {
            if change.idle_timeout != 0 || change.hard_timeout != 0 {
                return Err(Refusal::rule(Bad::BAD_TIMEOUT));
            }
            // Resetting counters that are not kept is done; the rest would be a promise.
            if change.flags.0 & !FlowModFlags::RESET_COUNTS.0 != 0 {
                return Err(Refusal::rule(Bad::BAD_FLAGS));
            }
        } else if change.flags.unknown() != 0 {
            return Err(Refusal::rule(Bad::BAD_FLAGS));
        }
        let told = FlowStats {
            table_id: change.table_id,
            duration_sec: 0,
            duration_nsec: 0,
            priority: change.priority,
            idle_timeout: change.idle_timeout,
            hard_timeout: change.hard_timeout,
            flags: FlowModFlags(change.flags.0 & !(FlowModFlags::RESET_COUNTS.0 | FlowModFlags::CHECK_OVERLAP.0)),
            cookie: change.cookie,
            packet_count: 0,
            byte_count: 0,
            matching: change.matching.detached(),
            instructions: as_kept(&change.instructions),
        };
        let rule = self.simulated(&told)?;
        let key = Key {
            table: change.table_id.0,
            priority: change.priority,
            terms: Terms::read(&change.matching)?,
        };
        check::instructions(key.table, &change.instructions, self)?;
        let stands = self.rules.contains_key(&key);
        if change.flags.contains(FlowModFlags::CHECK_OVERLAP) && !stands && self.meets_another(&key) {
            return Err(Refusal::rule(Bad::OVERLAP));
        }
        if self.rules.len() >= RULES_MAX && !stands {
            return Err(Refusal::rule(Bad::TABLE_FULL));
        }
        let held = Held {
            told,
            since: now,
            rule: rule.as_ref().map(|rule| rule.key.clone()),
        };
        if let Some((at, _)) = held.ends() {
            self.next_end = Some(self.next_end.map_or(at, |next| next.min(at)));
        }
        if let Some(old) = self.rules.insert(key, held).and_then(|old| old.rule) {
            self.objects.rules.remove(&old);
        }
        if let Some(rule) = rule {
            self.objects.put_rule(rule);
        }
        Ok(())
    }

    /// OFPFF_CHECK_OVERLAP: whether a packet could be one of this rule and of another of the same priority. The same rule, which
    /// is replaced, is none, as in Open vSwitch.
    fn meets_another(&self, key: &Key) -> bool {
        let alike = self
            .rules
            .keys()
            .filter(|other| other.table == key.table && other.priority == key.priority);
        alike.into_iter().any(|other| other.terms.overlaps(&key.terms))
    }

    /// Section 6.4: only the instructions change; cookie, time-outs and flags stay. No such rule is no error.
    fn modify_rules(&mut self, change: &FlowMod) -> Result<(), Refusal> {
        let filter = Filter::of_change(change)?;
        let taken = self.rules.iter().filter(|(key, held)| filter.takes(key, held));
        let taken: Vec<(Key, FlowStats)> = taken
            .map(|(key, held)| {
                let instructions = as_kept(&change.instructions);
                (
                    key.clone(),
                    FlowStats {
                        instructions,
                        ..held.told.clone()
                    },
                )
            })
            .collect();
        check::instructions(change.table_id.0, &change.instructions, self)?;
        if self.lenient.is_none() {
            // Refused whether there is such a rule or not.
            let blank = RuleKey {
                table: change.table_id.0,
                priority: 0,
                matches: Match::default(),
            };
            convert::read_rule(blank, 0, &change.instructions, self)?;
        }
        for (key, told) in taken {
            let rule = self.simulated(&told)?;
            let Some(held) = self.rules.get_mut(&key) else { continue };
            held.told = told;
            let old = std::mem::replace(&mut held.rule, rule.as_ref().map(|rule| rule.key.clone()));
            if let Some(old) = old {
                self.objects.rules.remove(&old);
            }
            if let Some(rule) = rule {
                self.objects.put_rule(rule);
            }
        }
        Ok(())
    }

    /// OFPT_GROUP_MOD.
    ///
    /// # Errors
    /// What cannot be done; nothing is changed then.
    pub fn group_mod(&mut self, now: Instant, change: &GroupMod) -> Result<(), Refusal> {
        use GroupModFailedCode as Bad;
        let id = change.group_id.0;
        match change.command {
            GroupModCommand::ADD | GroupModCommand::MODIFY => {
                if change.group_id > GroupId::MAX {
                    return Err(Refusal::group(Bad::INVALID_GROUP));
                }
                match (change.command, self.has_group(id)) {
                    (GroupModCommand::ADD, true) => return Err(Refusal::group(Bad::GROUP_EXISTS)),
                    (GroupModCommand::MODIFY, false) => return Err(Refusal::group(Bad::UNKNOWN_GROUP)),
                    _ => {}
                }
                if self.groups.len() >= GROUPS_MAX && !self.has_group(id) {
                    return Err(Refusal::group(Bad::OUT_OF_GROUPS));
                }
                let group = self.read_group(change)?;
                if self.leads_to(change, id) {
                    return Err(Refusal::group(Bad::LOOP));
                }
                self.objects.put_group(group);
                let told = GroupDesc {
                    kind: change.kind,
                    group_id: change.group_id,
                    buckets: change.buckets.clone(),
                };
                self.groups.insert(id, told);
                Ok(())
            }
            GroupModCommand::DELETE if change.group_id == GroupId::ALL => {
                self.groups.clear();
                self.objects.groups.clear();
                self.remove_group_rules(now, GroupId::ALL);
                Ok(())
            }
            GroupModCommand::DELETE => {
                // OFPGMFC_CHAINED_GROUP: "Group not deleted because another group is forwarding to it."
                let mut others = self.groups.values().filter(|group| group.group_id.0 != id);
                if others.any(|group| named_groups(group).any(|named| named == id)) {
                    return Err(Refusal::group(Bad::CHAINED_GROUP));
                }
                self.groups.remove(&id);
                self.objects.groups.remove(&id);
                self.remove_group_rules(now, change.group_id);
                Ok(())
            }
            _ => Err(Refusal::group(Bad::BAD_COMMAND)),
        }
    }

    /// Section 6.5: rules that name a deleted group are removed; only who asked to be told of them is.
    fn remove_group_rules(&mut self, now: Instant, id: GroupId) {
        self.remove(now, |_, held| {
            held.names_group(id).then_some(FlowRemovedReason::GROUP_DELETE)
        });
    }

    fn read_group(&self, change: &GroupMod) -> Result<Group, Refusal> {
        use GroupModFailedCode as Bad;
        let lenient = self.lenient.is_some();
        let kind = match change.kind {
            GroupType::ALL => GroupKind::All,
            GroupType::INDIRECT if change.buckets.len() == 1 => GroupKind::Indirect,
            GroupType::INDIRECT => return Err(Refusal::group(Bad::INVALID_GROUP)),
            // Any bucket may be selected (section 6.5.1), and all are live.
            GroupType::SELECT | GroupType::FF if lenient => GroupKind::Indirect,
            _ => return Err(Refusal::group(Bad::BAD_TYPE)),
        };
        if change.buckets.len() > BUCKETS_MAX {
            return Err(Refusal::group(Bad::OUT_OF_BUCKETS));
        }
        let mut buckets = Vec::new();
        for bucket in &change.buckets {
            if bucket.weight != 0 && !lenient {
                return Err(Refusal::group(Bad::WEIGHT_UNSUPPORTED));
            }
            if (bucket.watch_port != OfPort::ANY || bucket.watch_group != GroupId::ANY) && !lenient {
                return Err(Refusal::group(Bad::WATCH_UNSUPPORTED));
            }
            if bucket.actions.len() > BUCKET_ACTIONS_MAX {
                return Err(Refusal::action(BadActionCode::TOO_MANY));
            }
            check::actions(&bucket.actions, self)?;
            match read_actions(&self.plain(&bucket.actions), self) {
                Ok(actions) => buckets.push(Bucket { actions }),
                // No packet goes there.
                Err(_) if lenient => buckets.push(Bucket { actions: Vec::new() }),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(Group {
            id: change.group_id.0,
            kind,
            buckets,
        })
    }

    /// Whether packets of a group would come back to group `id`.
    fn leads_to(&self, change: &GroupMod, id: u32) -> bool {
        let mut seen = BTreeSet::new();
        let mut next: Vec<u32> = change.buckets.iter().flat_map(groups_of).collect();
        while let Some(at) = next.pop() {
            if at == id {
                return true;
            }
            if seen.insert(at) {
                next.extend(self.groups.get(&at).into_iter().flat_map(named_groups));
            }
        }
        false
    }

    /// OFPT_METER_MOD.
    ///
    /// # Errors
    /// What cannot be done; nothing is changed then.
    pub fn meter_mod(&mut self, now: Instant, change: &MeterMod) -> Result<(), Refusal> {
        use MeterModFailedCode as Bad;
        let id = change.meter_id.0;
        match change.command {
            MeterModCommand::ADD | MeterModCommand::MODIFY => {
                if id == 0 || change.meter_id > MeterId::MAX {
                    return Err(Refusal::meter(Bad::INVALID_METER));
                }
                match (change.command, self.has_meter(id)) {
                    (MeterModCommand::ADD, true) => return Err(Refusal::meter(Bad::METER_EXISTS)),
                    (MeterModCommand::MODIFY, false) => return Err(Refusal::meter(Bad::UNKNOWN_METER)),
                    _ => {}
                }
                if self.meters.len() >= METERS_MAX && !self.has_meter(id) {
                    return Err(Refusal::meter(Bad::OUT_OF_METERS));
                }
                // Section 7.3.4.4: kilobits or packets, not both.
                if change.flags.contains(MeterFlags::KBPS) == change.flags.contains(MeterFlags::PKTPS)
                    || change.flags.unknown() != 0
                {
                    return Err(Refusal::meter(Bad::BAD_FLAGS));
                }
                match change.bands.as_slice() {
                    [MeterBand::Drop { rate: 0, .. }] => return Err(Refusal::meter(Bad::BAD_RATE)),
                    [MeterBand::Drop { .. }] => {}
                    [] | [_] => return Err(Refusal::meter(Bad::BAD_BAND)),
                    _ => return Err(Refusal::meter(Bad::OUT_OF_BANDS)),
                }
                let meter = MeterConfig {
                    flags: change.flags,
                    meter_id: change.meter_id,
                    bands: change.bands.clone(),
                };
                self.meters.insert(id, meter);
                Ok(())
            }
            MeterModCommand::DELETE => {
                let all = change.meter_id == MeterId::ALL;
                self.meters.retain(|meter, _| !all && *meter != id);
                // Section 6.6: rules that name a deleted meter are removed; only who asked to be told of them is. There is no
                // reason of their own in this version.
                let gone = |held: &Held| held.meter().is_some_and(|meter| all || meter.0 == id);
                self.remove(now, |_, held| gone(held).then_some(FlowRemovedReason::DELETE));
                Ok(())
            }
            _ => Err(Refusal::meter(Bad::BAD_COMMAND)),
        }
    }
}

/// The groups that a bucket hands packets to.
fn groups_of(bucket: &OfBucket) -> impl Iterator<Item = u32> {
    bucket.actions.iter().filter_map(|action| match action {
        OfAction::Group(GroupId(id)) => Some(*id),
        _ => None,
    })
}

/// The groups that a group names.
pub fn named_groups(group: &GroupDesc) -> impl Iterator<Item = u32> {
    group.buckets.iter().flat_map(groups_of)
}

/// Instructions as a switch tells them: in the order in which they are done (section 5.9), and without those that say nothing.
fn as_kept(instructions: &[Instruction]) -> Vec<Instruction> {
    let order = |instruction: &Instruction| match instruction {
        Instruction::Meter(_) => 0,
        Instruction::ApplyActions(_) => 1,
        Instruction::ClearActions => 2,
        Instruction::WriteActions(_) => 3,
        Instruction::WriteMetadata { .. } => 4,
        Instruction::GotoTable(_) => 5,
        _ => 6,
    };
    let empty = |instruction: &Instruction| matches!(instruction, Instruction::ApplyActions(list) | Instruction::WriteActions(list) if list.is_empty());
    let mut kept: Vec<Instruction> = instructions.iter().filter(|one| !empty(one)).cloned().collect();
    kept.sort_by_key(order);
    kept
}

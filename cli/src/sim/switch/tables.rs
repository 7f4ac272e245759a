//! What a switch holds: rules, groups and meters, and what flow-mods, group-mods and meter-mods do to them.
//!
//! Sections 6.4, 6.5 and 6.6 of OpenFlow 1.3.5. No connections, no roles, no time: rules with time-outs are refused.
//! A request is done whole or refused with nothing changed.

use std::collections::{BTreeMap, BTreeSet};

use ofproto::{
    BadActionCode, BadRequestCode, FlowMod, FlowModCommand, FlowModFailedCode, FlowModFlags, FlowStatsRequest, GroupId,
    GroupMod, GroupModCommand, GroupModFailedCode, GroupType, Match as OfMatch, MeterBand, MeterConfig, MeterFlags,
    MeterId, MeterMod, MeterModCommand, MeterModFailedCode, NO_BUFFER, PortNo as OfPort, TableId,
};
use skerry_bus::objects::{Action, Bucket, Group, GroupKind, Match, Objects, OutPort, Rule};
use skerry_bus::{PortNo, RuleKey};

use super::convert::{self, Known, read_actions, read_match};
use super::{Refusal, TABLES};

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

/// All that one switch holds.
#[derive(Debug, Default)]
pub struct Tables {
    /// Rules and groups, as the pipeline simulator takes them. Its meters stay empty: they let everything through.
    objects: Objects,
    meters: BTreeMap<u32, MeterConfig>,
}

impl Known for Tables {
    fn has_group(&self, id: u32) -> bool {
        self.objects.groups.contains_key(&id)
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
    matches: Match,
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
            matches: read_match(matching)?,
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

    fn takes(&self, rule: &Rule) -> bool {
        let key = &rule.key;
        let named = match self.priority {
            Some(priority) => key.priority == priority && key.matches == self.matches,
            None => covers(&self.matches, &key.matches),
        };
        let out_port = self.out_port == OfPort::ANY || rule.apply.iter().any(|a| goes_to(a, self.out_port));
        let out_group = self.out_group == GroupId::ANY || rule.apply.contains(&Action::Group(self.out_group.0));
        named
            && (self.table == TableId::ALL || self.table.0 == key.table)
            && (rule.cookie.0 ^ self.cookie) & self.cookie_mask == 0
            && out_port
            && out_group
    }
}

fn goes_to(action: &Action, port: OfPort) -> bool {
    *action
        == Action::Output(match port {
            OfPort::IN_PORT => OutPort::InPort,
            OfPort::CONTROLLER => OutPort::Controller,
            port => OutPort::Port(PortNo(port.0)),
        })
}

/// Whether everything that `narrow` matches is matched by `wide` too (section 6.4, non-strict).
fn covers(wide: &Match, narrow: &Match) -> bool {
    fn same<T: PartialEq>(wide: &Option<T>, narrow: &Option<T>) -> bool {
        wide.is_none() || wide == narrow
    }
    let metadata = match (wide.metadata, narrow.metadata) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(w), Some(n)) => w.mask & !n.mask == 0 && (w.value ^ n.value) & w.mask == 0,
    };
    metadata
        && same(&wide.in_port, &narrow.in_port)
        && same(&wide.eth_src, &narrow.eth_src)
        && same(&wide.eth_dst, &narrow.eth_dst)
        && same(&wide.eth_type, &narrow.eth_type)
        && same(&wide.vlan, &narrow.vlan)
        && same(&wide.ip_proto, &narrow.ip_proto)
        && same(&wide.udp_src, &narrow.udp_src)
        && same(&wide.udp_dst, &narrow.udp_dst)
}

impl Tables {
    /// Rules and groups, for the pipeline.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Meters by id.
    pub fn meters(&self) -> &BTreeMap<u32, MeterConfig> {
        &self.meters
    }

    /// The rules that a filter means.
    pub fn rules<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Rule> {
        self.objects.rules.values().filter(|rule| filter.takes(rule))
    }

    /// OFPT_FLOW_MOD.
    ///
    /// # Errors
    /// What cannot be done; nothing is changed then.
    pub fn flow_mod(&mut self, change: &FlowMod) -> Result<(), Refusal> {
        if change.buffer_id != NO_BUFFER {
            return Err(Refusal::request(BadRequestCode::BUFFER_UNKNOWN));
        }
        match change.command {
            FlowModCommand::ADD => self.add_rule(change),
            FlowModCommand::MODIFY | FlowModCommand::MODIFY_STRICT => self.modify_rules(change),
            FlowModCommand::DELETE | FlowModCommand::DELETE_STRICT => {
                let filter = Filter::of_change(change)?;
                self.objects.rules.retain(|_, rule| !filter.takes(rule));
                Ok(())
            }
            _ => Err(Refusal::rule(FlowModFailedCode::BAD_COMMAND)),
        }
    }

    fn add_rule(&mut self, change: &FlowMod) -> Result<(), Refusal> {
        use FlowModFailedCode as Bad;
        if change.table_id.0 >= TABLES {
            return Err(Refusal::rule(Bad::BAD_TABLE_ID));
        }
        if change.idle_timeout != 0 || change.hard_timeout != 0 {
            return Err(Refusal::rule(Bad::BAD_TIMEOUT));
        }
        // Resetting counters that are not kept is done; the rest would be a promise.
        if change.flags.0 & !FlowModFlags::RESET_COUNTS.0 != 0 {
            return Err(Refusal::rule(Bad::BAD_FLAGS));
        }
        let key = RuleKey {
            table: change.table_id.0,
            priority: change.priority,
            matches: read_match(&change.matching)?,
        };
        let rule = convert::read_rule(key, change.cookie, &change.instructions, self)?;
        if self.objects.rules.len() >= RULES_MAX && !self.objects.rules.contains_key(&rule.key) {
            return Err(Refusal::rule(Bad::TABLE_FULL));
        }
        self.objects.put_rule(rule);
        Ok(())
    }

    /// Section 6.4: only the instructions change; cookie, time-outs and flags stay. No such rule is no error.
    fn modify_rules(&mut self, change: &FlowMod) -> Result<(), Refusal> {
        let filter = Filter::of_change(change)?;
        let blank = RuleKey {
            table: change.table_id.0,
            priority: 0,
            matches: Match::default(),
        };
        let model = convert::read_rule(blank, 0, &change.instructions, self)?;
        for rule in self.objects.rules.values_mut().filter(|rule| filter.takes(rule)) {
            rule.meter = model.meter;
            rule.apply.clone_from(&model.apply);
            rule.write_metadata = model.write_metadata;
            rule.goto = model.goto;
        }
        Ok(())
    }

    /// OFPT_GROUP_MOD.
    ///
    /// # Errors
    /// What cannot be done; nothing is changed then.
    pub fn group_mod(&mut self, change: &GroupMod) -> Result<(), Refusal> {
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
                if self.objects.groups.len() >= GROUPS_MAX && !self.has_group(id) {
                    return Err(Refusal::group(Bad::OUT_OF_GROUPS));
                }
                let group = self.read_group(change)?;
                if self.leads_to(&group, id) {
                    return Err(Refusal::group(Bad::LOOP));
                }
                self.objects.put_group(group);
                Ok(())
            }
            GroupModCommand::DELETE if change.group_id == GroupId::ALL => {
                self.objects.groups.clear();
                let names_group = |rule: &Rule| rule.apply.iter().any(|a| matches!(a, Action::Group(_)));
                self.objects.rules.retain(|_, rule| !names_group(rule));
                Ok(())
            }
            GroupModCommand::DELETE => {
                // OFPGMFC_CHAINED_GROUP: "Group not deleted because another group is forwarding to it."
                let mut others = self.objects.groups.values().filter(|group| group.id != id);
                if others.any(|group| group.refers_to().any(|named| named == id)) {
                    return Err(Refusal::group(Bad::CHAINED_GROUP));
                }
                self.objects.groups.remove(&id);
                // Section 6.5: rules that name a deleted group are removed, and nobody is told.
                self.objects
                    .rules
                    .retain(|_, rule| !rule.apply.contains(&Action::Group(id)));
                Ok(())
            }
            _ => Err(Refusal::group(Bad::BAD_COMMAND)),
        }
    }

    fn read_group(&self, change: &GroupMod) -> Result<Group, Refusal> {
        use GroupModFailedCode as Bad;
        let kind = match change.kind {
            GroupType::ALL => GroupKind::All,
            GroupType::INDIRECT if change.buckets.len() == 1 => GroupKind::Indirect,
            GroupType::INDIRECT => return Err(Refusal::group(Bad::INVALID_GROUP)),
            _ => return Err(Refusal::group(Bad::BAD_TYPE)),
        };
        if change.buckets.len() > BUCKETS_MAX {
            return Err(Refusal::group(Bad::OUT_OF_BUCKETS));
        }
        let mut buckets = Vec::new();
        for bucket in &change.buckets {
            if bucket.weight != 0 {
                return Err(Refusal::group(Bad::WEIGHT_UNSUPPORTED));
            }
            if bucket.watch_port != OfPort::ANY || bucket.watch_group != GroupId::ANY {
                return Err(Refusal::group(Bad::WATCH_UNSUPPORTED));
            }
            if bucket.actions.len() > BUCKET_ACTIONS_MAX {
                return Err(Refusal::action(BadActionCode::TOO_MANY));
            }
            let actions = read_actions(&bucket.actions, self)?;
            buckets.push(Bucket { actions });
        }
        Ok(Group {
            id: change.group_id.0,
            kind,
            buckets,
        })
    }

    /// Whether packets of a group would come back to group `id`.
    fn leads_to(&self, group: &Group, id: u32) -> bool {
        let mut seen = BTreeSet::new();
        let mut next: Vec<u32> = group.refers_to().collect();
        while let Some(at) = next.pop() {
            if at == id {
                return true;
            }
            if seen.insert(at) {
                next.extend(self.objects.groups.get(&at).into_iter().flat_map(Group::refers_to));
            }
        }
        false
    }

    /// OFPT_METER_MOD.
    ///
    /// # Errors
    /// What cannot be done; nothing is changed then.
    pub fn meter_mod(&mut self, change: &MeterMod) -> Result<(), Refusal> {
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
                // Section 6.6: rules that name a deleted meter are removed, and nobody is told.
                let gone = |rule: &Rule| rule.meter.is_some_and(|meter| all || meter == id);
                self.objects.rules.retain(|_, rule| !gone(rule));
                Ok(())
            }
            _ => Err(Refusal::meter(Bad::BAD_COMMAND)),
        }
    }
}

//! The contract's objects as OpenFlow messages, and back from what a switch tells.
//!
//! Back is partial on purpose: what the contract cannot express gives `None`, and the caller decides what that means.

use ofproto::{
    Action as OfAction, Bucket as OfBucket, FlowMod, FlowModCommand, FlowModFlags, FlowStats, GroupDesc, GroupId,
    GroupMod, GroupModCommand, GroupType, Instruction, MacAddr, Match as OfMatch, MeterBand, MeterConfig, MeterFlags,
    MeterId, MeterMod, MeterModCommand, Oxm, OxmField, PortNo as OfPort, TableId, VLAN_PRESENT,
};
use skerry_bus::objects::Mac;
use skerry_bus::{
    Action, Bucket, Cookie, Group, GroupKind, Masked, Match, Meter, MeterUnit, OutPort, PortNo, Rule, RuleKey,
};

use crate::known::StrangeRule;
use crate::plan::Step;

/// Largest VLAN id there is.
const VLAN_MASK: u16 = 0x0fff;

/// The message of a step.
pub(crate) fn message(step: &Step) -> ofproto::Body {
    use ofproto::Body;
    match step {
        Step::AddMeter(meter) => Body::MeterMod(meter_mod(MeterModCommand::ADD, meter)),
        Step::ModifyMeter(meter) => Body::MeterMod(meter_mod(MeterModCommand::MODIFY, meter)),
        Step::DeleteMeter(id) => Body::MeterMod(MeterMod {
            command: MeterModCommand::DELETE,
            flags: MeterFlags::NONE,
            meter_id: MeterId(*id),
            bands: Vec::new(),
        }),
        Step::AddGroup(group) => Body::GroupMod(group_mod(GroupModCommand::ADD, group)),
        Step::ModifyGroup(group) => Body::GroupMod(group_mod(GroupModCommand::MODIFY, group)),
        Step::DeleteGroup(id) => Body::GroupMod(GroupMod {
            command: GroupModCommand::DELETE,
            kind: GroupType::ALL,
            group_id: GroupId(*id),
            buckets: Vec::new(),
        }),
        Step::AddRule(rule) => Body::FlowMod(rule_add(rule)),
        Step::DeleteRule { key, cookie } => {
            Body::FlowMod(rule_delete(key.table, key.priority, write_match(&key.matches), *cookie))
        }
        Step::DeleteStrange(StrangeRule {
            table,
            priority,
            cookie,
            matches,
        }) => Body::FlowMod(rule_delete(*table, *priority, matches.clone(), *cookie)),
    }
}

fn rule_add(rule: &Rule) -> FlowMod {
    let mut out = FlowMod::new(FlowModCommand::ADD, TableId(rule.key.table));
    out.cookie = rule.cookie.0;
    out.priority = rule.key.priority;
    out.matching = write_match(&rule.key.matches);
    if rule.reset_counts {
        out.flags = FlowModFlags::RESET_COUNTS;
    }
    // In the order in which OpenFlow 1.3.5 section 5.9 executes them.
    if let Some(meter) = rule.meter {
        out.instructions.push(Instruction::Meter(MeterId(meter)));
    }
    if !rule.apply.is_empty() {
        let actions = rule.apply.iter().map(write_action).collect();
        out.instructions.push(Instruction::ApplyActions(actions));
    }
    if let Some(Masked { value, mask }) = rule.write_metadata {
        out.instructions
            .push(Instruction::WriteMetadata { metadata: value, mask });
    }
    if let Some(table) = rule.goto {
        out.instructions.push(Instruction::GotoTable(TableId(table)));
    }
    out
}

fn rule_delete(table: u8, priority: u16, matching: OfMatch, cookie: Cookie) -> FlowMod {
    let mut out = FlowMod::new(FlowModCommand::DELETE_STRICT, TableId(table));
    // With the cookie, so that a rule that replaced this one in the meantime is not deleted in its stead.
    out.cookie = cookie.0;
    out.cookie_mask = u64::MAX;
    out.priority = priority;
    out.matching = matching;
    out
}

fn group_mod(command: GroupModCommand, group: &Group) -> GroupMod {
    GroupMod {
        command,
        kind: match group.kind {
            GroupKind::All => GroupType::ALL,
            GroupKind::Indirect => GroupType::INDIRECT,
        },
        group_id: GroupId(group.id),
        buckets: group
            .buckets
            .iter()
            .map(|bucket| OfBucket::new(bucket.actions.iter().map(write_action).collect()))
            .collect(),
    }
}

fn meter_mod(command: MeterModCommand, meter: &Meter) -> MeterMod {
    let unit = match meter.unit {
        MeterUnit::Kbps => MeterFlags::KBPS,
        MeterUnit::Pktps => MeterFlags::PKTPS,
    };
    MeterMod {
        command,
        flags: unit | MeterFlags::BURST | MeterFlags::STATS,
        meter_id: MeterId(meter.id),
        bands: vec![MeterBand::Drop {
            rate: meter.rate,
            burst_size: meter.burst,
        }],
    }
}

fn write_match(m: &Match) -> OfMatch {
    // Prerequisites stand before what needs them: eth_type, ip_proto, then ports (section 7.2.3.8).
    let fields = [
        m.in_port.map(|p| Oxm::in_port(OfPort(p.0))),
        m.metadata.map(|v| match v.mask {
            u64::MAX => Oxm::metadata(v.value),
            mask => Oxm::metadata_masked(v.value, mask),
        }),
        m.eth_dst.map(|mac| Oxm::eth_dst(MacAddr(mac.0))),
        m.eth_src.map(|mac| Oxm::eth_src(MacAddr(mac.0))),
        m.eth_type.map(Oxm::eth_type),
        m.vlan.map(Oxm::vlan_vid),
        m.ip_proto.map(Oxm::ip_proto),
        m.udp_src.map(Oxm::udp_src),
        m.udp_dst.map(Oxm::udp_dst),
    ];
    fields.into_iter().flatten().collect()
}

fn write_action(action: &Action) -> OfAction {
    match *action {
        Action::Output(OutPort::Port(port)) => OfAction::output(OfPort(port.0)),
        Action::Output(OutPort::InPort) => OfAction::output(OfPort::IN_PORT),
        Action::Output(OutPort::Controller) => OfAction::to_controller(),
        Action::Group(id) => OfAction::Group(GroupId(id)),
        Action::PushVlan(ethertype) => OfAction::PushVlan(ethertype),
        Action::PopVlan => OfAction::PopVlan,
        Action::SetVlan(vid) => OfAction::SetField(Oxm::vlan_vid(vid)),
        Action::SetEthSrc(mac) => OfAction::SetField(Oxm::eth_src(MacAddr(mac.0))),
        Action::SetEthDst(mac) => OfAction::SetField(Oxm::eth_dst(MacAddr(mac.0))),
        Action::SetUdpSrc(port) => OfAction::SetField(Oxm::udp_src(port)),
        Action::SetUdpDst(port) => OfAction::SetField(Oxm::udp_dst(port)),
    }
}

fn u16_of(oxm: &Oxm) -> Option<u16> {
    oxm.value_u64().and_then(|v| u16::try_from(v).ok())
}

fn mac_of(oxm: &Oxm) -> Option<Mac> {
    oxm.value().first_chunk::<6>().map(|octets| Mac(*octets))
}

/// A tag's id when it is a plain "tagged with this id".
fn vlan_of(oxm: &Oxm) -> Option<u16> {
    let raw = u16_of(oxm)?;
    (raw & VLAN_PRESENT != 0).then_some(raw & VLAN_MASK)
}

/// A match in the contract's terms, if it can be said in them.
pub(crate) fn read_match(matching: &OfMatch) -> Option<Match> {
    let mut out = Match::default();
    for oxm in matching {
        let field = oxm.field();
        let value = oxm.value_u64();
        if field == OxmField::METADATA {
            let mask = if oxm.is_masked() { oxm.mask_u64()? } else { u64::MAX };
            put(&mut out.metadata, Some(Masked { value: value?, mask }))?;
            continue;
        }
        if oxm.is_masked() {
            return None;
        }
        match field {
            OxmField::IN_PORT => put(&mut out.in_port, u32::try_from(value?).ok().map(PortNo))?,
            OxmField::ETH_DST => put(&mut out.eth_dst, mac_of(&oxm))?,
            OxmField::ETH_SRC => put(&mut out.eth_src, mac_of(&oxm))?,
            OxmField::ETH_TYPE => put(&mut out.eth_type, u16_of(&oxm))?,
            OxmField::VLAN_VID => put(&mut out.vlan, vlan_of(&oxm))?,
            OxmField::IP_PROTO => put(&mut out.ip_proto, u8::try_from(value?).ok())?,
            OxmField::UDP_SRC => put(&mut out.udp_src, u16_of(&oxm))?,
            OxmField::UDP_DST => put(&mut out.udp_dst, u16_of(&oxm))?,
            _ => return None,
        }
    }
    Some(out)
}

/// Set a field that may stand only once and must be readable.
fn put<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}

/// A rule in the contract's terms, if it can be said in them.
pub(crate) fn read_rule(key: RuleKey, flow: &FlowStats) -> Option<Rule> {
    if flow.idle_timeout != 0 || flow.hard_timeout != 0 || flow.flags.contains(FlowModFlags::SEND_FLOW_REM) {
        return None;
    }
    let mut rule = Rule {
        key,
        cookie: Cookie(flow.cookie),
        meter: None,
        apply: Vec::new(),
        write_metadata: None,
        goto: None,
        reset_counts: flow.flags.contains(FlowModFlags::RESET_COUNTS),
    };
    for instruction in &flow.instructions {
        match instruction {
            Instruction::Meter(MeterId(id)) => put(&mut rule.meter, Some(*id))?,
            Instruction::ApplyActions(actions) if rule.apply.is_empty() => {
                rule.apply = actions.iter().map(read_action).collect::<Option<_>>()?;
            }
            Instruction::WriteMetadata { metadata, mask } => put(
                &mut rule.write_metadata,
                Some(Masked {
                    value: *metadata,
                    mask: *mask,
                }),
            )?,
            Instruction::GotoTable(TableId(table)) => put(&mut rule.goto, Some(*table))?,
            _ => return None,
        }
    }
    Some(rule)
}

fn read_action(action: &OfAction) -> Option<Action> {
    Some(match action {
        OfAction::Output { port, max_len } => Action::Output(match *port {
            OfPort::IN_PORT => OutPort::InPort,
            OfPort::CONTROLLER if *max_len == ofproto::CONTROLLER_MAX_LEN_NO_BUFFER => OutPort::Controller,
            port if port <= OfPort::MAX => OutPort::Port(PortNo(port.0)),
            _ => return None,
        }),
        OfAction::Group(GroupId(id)) => Action::Group(*id),
        OfAction::PushVlan(ethertype) => Action::PushVlan(*ethertype),
        OfAction::PopVlan => Action::PopVlan,
        OfAction::SetField(oxm) if !oxm.is_masked() => match oxm.field() {
            OxmField::VLAN_VID => Action::SetVlan(vlan_of(oxm)?),
            OxmField::ETH_SRC => Action::SetEthSrc(mac_of(oxm)?),
            OxmField::ETH_DST => Action::SetEthDst(mac_of(oxm)?),
            OxmField::UDP_SRC => Action::SetUdpSrc(u16_of(oxm)?),
            OxmField::UDP_DST => Action::SetUdpDst(u16_of(oxm)?),
            _ => return None,
        },
        _ => return None,
    })
}

/// The groups that a switch's group names.
pub(crate) fn group_refers_to(group: &GroupDesc) -> Vec<u32> {
    let actions = group.buckets.iter().flat_map(|bucket| &bucket.actions);
    actions
        .filter_map(|action| match action {
            OfAction::Group(GroupId(id)) => Some(*id),
            _ => None,
        })
        .collect()
}

/// A group in the contract's terms, if it can be said in them.
pub(crate) fn read_group(group: &GroupDesc) -> Option<Group> {
    let kind = match group.kind {
        GroupType::ALL => GroupKind::All,
        GroupType::INDIRECT => GroupKind::Indirect,
        _ => return None,
    };
    let buckets = group
        .buckets
        .iter()
        .map(|bucket| {
            let actions = bucket.actions.iter().map(read_action).collect::<Option<_>>()?;
            Some(Bucket { actions })
        })
        .collect::<Option<_>>()?;
    Some(Group {
        id: group.group_id.0,
        kind,
        buckets,
    })
}

/// A meter in the contract's terms, if it can be said in them.
pub(crate) fn read_meter(meter: &MeterConfig) -> Option<Meter> {
    let unit = if meter.flags == MeterFlags::KBPS | MeterFlags::BURST | MeterFlags::STATS {
        MeterUnit::Kbps
    } else if meter.flags == MeterFlags::PKTPS | MeterFlags::BURST | MeterFlags::STATS {
        MeterUnit::Pktps
    } else {
        return None;
    };
    match meter.bands.as_slice() {
        [MeterBand::Drop { rate, burst_size }] => Some(Meter {
            id: meter.meter_id.0,
            unit,
            rate: *rate,
            burst: *burst_size,
        }),
        _ => None,
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

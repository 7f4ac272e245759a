//! OpenFlow's matches, actions and instructions as the values that the pipeline simulator understands.
//!
//! The simulator knows what `skerry_bus::objects` can say. What it cannot say is refused with the error that a switch
//! without that feature gives, so nothing is ever taken that would then not be done.

use ofproto::{
    Action as OfAction, BadActionCode, BadInstructionCode, BadMatchCode, GroupId, Instruction, Match as OfMatch,
    MeterId, MeterModFailedCode, Oxm, OxmField, OxmPrerequisite, PortNo as OfPort, TableId, VLAN_PRESENT,
};
use skerry_bus::objects::{Action, Mac, Masked, Match, OutPort, Rule};
use skerry_bus::{Cookie, PortNo, RuleKey};

use super::{Refusal, TABLES};

const VLAN_MASK: u16 = 0x0fff;

/// Actions in one list. No rule of a network has so many; it bounds what one rule costs in a dump.
pub const ACTIONS_MAX: usize = 256;

/// What an action list may refer to.
pub trait Known {
    /// Whether this group stands.
    fn has_group(&self, id: u32) -> bool;
    /// Whether this meter stands.
    fn has_meter(&self, id: u32) -> bool;
}

fn put<T>(place: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if place.is_some() {
        return Err(Refusal::matching(BadMatchCode::DUP_FIELD));
    }
    *place = Some(value);
    Ok(())
}

/// The value of a field that has at most 64 bits.
fn number<T: TryFrom<u64>>(oxm: &Oxm, code: BadMatchCode) -> Result<T, Refusal> {
    let value = oxm.value_u64().and_then(|value| T::try_from(value).ok());
    value.ok_or(Refusal::matching(code))
}

fn mac(oxm: &Oxm) -> Option<Mac> {
    oxm.value().first_chunk::<6>().map(|octets| Mac(*octets))
}

/// Reads a match.
///
/// # Errors
/// Fields that are unknown or masked where the simulator has no mask, twice there, or without what they need.
pub fn read_match(matching: &OfMatch) -> Result<Match, Refusal> {
    use BadMatchCode as Bad;
    let mut out = Match::default();
    for oxm in matching {
        let field = oxm.field();
        if field == OxmField::METADATA {
            let value = number(&oxm, Bad::BAD_VALUE)?;
            let mask = if oxm.is_masked() {
                oxm.mask_u64().unwrap_or(u64::MAX)
            } else {
                u64::MAX
            };
            if value & !mask != 0 {
                return Err(Refusal::matching(Bad::BAD_WILDCARDS));
            }
            // A mask of nothing looks at nothing.
            if mask != 0 {
                put(&mut out.metadata, Masked { value, mask })?;
            }
            continue;
        }
        if oxm.is_masked() {
            return Err(Refusal::matching(Bad::BAD_MASK));
        }
        let mac = || mac(&oxm).ok_or(Refusal::matching(Bad::BAD_LEN));
        match field {
            OxmField::IN_PORT => put(&mut out.in_port, PortNo(number(&oxm, Bad::BAD_VALUE)?))?,
            OxmField::ETH_DST => put(&mut out.eth_dst, mac()?)?,
            OxmField::ETH_SRC => put(&mut out.eth_src, mac()?)?,
            OxmField::ETH_TYPE => put(&mut out.eth_type, number(&oxm, Bad::BAD_VALUE)?)?,
            OxmField::VLAN_VID => {
                let raw: u16 = number(&oxm, Bad::BAD_VALUE)?;
                // "No tag" and "any tag" cannot be said to the simulator.
                if raw & VLAN_PRESENT == 0 || raw & !(VLAN_PRESENT | VLAN_MASK) != 0 {
                    return Err(Refusal::matching(Bad::BAD_VALUE));
                }
                put(&mut out.vlan, raw & VLAN_MASK)?;
            }
            OxmField::IP_PROTO => put(&mut out.ip_proto, number(&oxm, Bad::BAD_VALUE)?)?,
            OxmField::UDP_SRC => put(&mut out.udp_src, number(&oxm, Bad::BAD_VALUE)?)?,
            OxmField::UDP_DST => put(&mut out.udp_dst, number(&oxm, Bad::BAD_VALUE)?)?,
            _ => return Err(Refusal::matching(Bad::BAD_FIELD)),
        }
    }
    for oxm in matching {
        let met = match oxm.field().row().map(|row| row.needs) {
            Some(OxmPrerequisite::EthType(any)) => out.eth_type.is_some_and(|kind| any.contains(&kind)),
            Some(OxmPrerequisite::IpProto(kind)) => out.ip_proto == Some(kind),
            _ => true,
        };
        if !met {
            return Err(Refusal::matching(Bad::BAD_PREREQ));
        }
    }
    Ok(out)
}

/// Reads a list of actions.
///
/// # Errors
/// Actions, ports and fields that the simulator does not have, and groups that do not stand.
pub fn read_actions(actions: &[OfAction], known: &impl Known) -> Result<Vec<Action>, Refusal> {
    if actions.len() > ACTIONS_MAX {
        return Err(Refusal::action(BadActionCode::TOO_MANY));
    }
    actions.iter().map(|action| read_action(action, known)).collect()
}

fn read_action(action: &OfAction, known: &impl Known) -> Result<Action, Refusal> {
    use BadActionCode as Bad;
    Ok(match action {
        OfAction::Output { port, max_len } => Action::Output(match *port {
            OfPort::IN_PORT => OutPort::InPort,
            // Packets are never cut and never kept.
            OfPort::CONTROLLER if *max_len == ofproto::CONTROLLER_MAX_LEN_NO_BUFFER => OutPort::Controller,
            OfPort::CONTROLLER => return Err(Refusal::action(Bad::BAD_ARGUMENT)),
            port if port.0 != 0 && port <= OfPort::MAX => OutPort::Port(PortNo(port.0)),
            _ => return Err(Refusal::action(Bad::BAD_OUT_PORT)),
        }),
        OfAction::Group(GroupId(id)) if known.has_group(*id) => Action::Group(*id),
        OfAction::Group(_) => return Err(Refusal::action(Bad::BAD_OUT_GROUP)),
        OfAction::PushVlan(kind @ (0x8100 | 0x88a8)) => Action::PushVlan(*kind),
        OfAction::PushVlan(_) => return Err(Refusal::action(Bad::BAD_ARGUMENT)),
        OfAction::PopVlan => Action::PopVlan,
        OfAction::SetField(oxm) if !oxm.is_masked() => set_field(oxm)?,
        OfAction::SetField(_) => return Err(Refusal::action(Bad::BAD_SET_TYPE)),
        OfAction::CopyField(_) | OfAction::RegMove(_) | OfAction::RegLoad(_) | OfAction::Experimenter { .. } => {
            return Err(Refusal::action(Bad::BAD_EXPERIMENTER));
        }
        _ => return Err(Refusal::action(Bad::BAD_TYPE)),
    })
}

fn set_field(oxm: &Oxm) -> Result<Action, Refusal> {
    let wrong = Refusal::action(BadActionCode::BAD_SET_ARGUMENT);
    let short = || oxm.value_u64().and_then(|v| u16::try_from(v).ok()).ok_or(wrong);
    let mac = || mac(oxm).ok_or(wrong);
    Ok(match oxm.field() {
        OxmField::VLAN_VID => match short()? {
            raw if raw & VLAN_PRESENT != 0 && raw & !(VLAN_PRESENT | VLAN_MASK) == 0 => {
                Action::SetVlan(raw & VLAN_MASK)
            }
            _ => return Err(wrong),
        },
        OxmField::ETH_SRC => Action::SetEthSrc(mac()?),
        OxmField::ETH_DST => Action::SetEthDst(mac()?),
        OxmField::UDP_SRC => Action::SetUdpSrc(short()?),
        OxmField::UDP_DST => Action::SetUdpDst(short()?),
        _ => return Err(Refusal::action(BadActionCode::BAD_SET_TYPE)),
    })
}

/// Reads the instructions of a rule.
///
/// # Errors
/// Instructions that the simulator does not have, twice there, or that name what does not stand.
pub fn read_rule(key: RuleKey, cookie: u64, instructions: &[Instruction], known: &impl Known) -> Result<Rule, Refusal> {
    use BadInstructionCode as Bad;
    let mut seen = Vec::new();
    let mut rule = Rule {
        key,
        cookie: Cookie(cookie),
        meter: None,
        apply: Vec::new(),
        write_metadata: None,
        goto: None,
        reset_counts: false,
    };
    for instruction in instructions {
        // Section 5.9: "a maximum of one instruction of each type".
        if seen.contains(&instruction.kind()) {
            return Err(Refusal::instruction(Bad::UNSUP_INST));
        }
        seen.push(instruction.kind());
        match instruction {
            Instruction::Meter(MeterId(id)) if known.has_meter(*id) => rule.meter = Some(*id),
            Instruction::Meter(_) => return Err(Refusal::meter(MeterModFailedCode::INVALID_METER)),
            Instruction::ApplyActions(actions) => rule.apply = read_actions(actions, known)?,
            Instruction::WriteMetadata { metadata, mask } => {
                rule.write_metadata = Some(Masked {
                    value: *metadata & *mask,
                    mask: *mask,
                });
            }
            Instruction::GotoTable(TableId(table)) => {
                // Section 5.9: the next table "must be greater than the current table-id".
                if *table <= rule.key.table || *table >= TABLES {
                    return Err(Refusal::instruction(Bad::BAD_TABLE_ID));
                }
                rule.goto = Some(*table);
            }
            Instruction::WriteActions(_) | Instruction::ClearActions => {
                return Err(Refusal::instruction(Bad::UNSUP_INST));
            }
            Instruction::Experimenter { .. } => return Err(Refusal::instruction(Bad::BAD_EXPERIMENTER)),
            Instruction::Unknown { .. } => return Err(Refusal::instruction(Bad::UNKNOWN_INST)),
        }
    }
    Ok(rule)
}

//! Whether actions and instructions are OpenFlow 1.3 of a switch without MPLS, PBB and queues, whatever the pipeline simulator
//! can do with them.

use ofproto::{
    Action, BadActionCode as Bad, BadInstructionCode, GroupId, Instruction, MeterId, MeterModFailedCode, OxmField,
    PortNo, TableId,
};

use super::convert::{ACTIONS_MAX, Known};
use super::{Refusal, TABLES};

/// The instructions of a rule of a table.
///
/// # Errors
/// The first thing that is wrong.
pub fn instructions(table: u8, list: &[Instruction], known: &impl Known) -> Result<(), Refusal> {
    use BadInstructionCode as Bad;
    let mut seen = Vec::new();
    for instruction in list {
        // Section 5.9: "a maximum of one instruction of each type".
        if seen.contains(&instruction.kind()) {
            return Err(Refusal::instruction(Bad::UNSUP_INST));
        }
        seen.push(instruction.kind());
        match instruction {
            Instruction::Meter(MeterId(id)) if known.has_meter(*id) => {}
            Instruction::Meter(_) => return Err(Refusal::meter(MeterModFailedCode::INVALID_METER)),
            Instruction::ApplyActions(list) | Instruction::WriteActions(list) => actions(list, known)?,
            Instruction::WriteMetadata { .. } | Instruction::ClearActions => {}
            // Section 5.9: the next table "must be greater than the current table-id".
            Instruction::GotoTable(TableId(next)) if *next > table && *next < TABLES => {}
            Instruction::GotoTable(_) => return Err(Refusal::instruction(Bad::BAD_TABLE_ID)),
            Instruction::Experimenter { .. } => return Err(Refusal::instruction(Bad::BAD_EXPERIMENTER)),
            Instruction::Unknown { .. } => return Err(Refusal::instruction(Bad::UNKNOWN_INST)),
        }
    }
    Ok(())
}

/// A list of actions.
///
/// # Errors
/// The first thing that is wrong.
pub fn actions(list: &[Action], known: &impl Known) -> Result<(), Refusal> {
    if list.len() > ACTIONS_MAX {
        return Err(Refusal::action(Bad::TOO_MANY));
    }
    list.iter().try_for_each(|action| check(action, known))
}

fn check(action: &Action, known: &impl Known) -> Result<(), Refusal> {
    let refuse = |code| Err(Refusal::action(code));
    match action {
        Action::Output { port, .. } => match *port {
            PortNo::IN_PORT | PortNo::CONTROLLER | PortNo::ALL | PortNo::FLOOD => Ok(()),
            port if port.0 != 0 && port <= PortNo::MAX => Ok(()),
            // OFPP_TABLE is for packet-outs; there is no local port and no other pipeline.
            _ => refuse(Bad::BAD_OUT_PORT),
        },
        Action::Group(GroupId(id)) if known.has_group(*id) => Ok(()),
        Action::Group(_) => refuse(Bad::BAD_OUT_GROUP),
        Action::PushVlan(0x8100 | 0x88a8) => Ok(()),
        Action::PushVlan(_) => refuse(Bad::BAD_ARGUMENT),
        Action::PopVlan | Action::SetNwTtl(_) | Action::DecNwTtl => Ok(()),
        Action::SetField(oxm) => {
            let row = oxm.field().row().filter(|row| ofproto::OXM_TABLE.contains(row));
            match oxm.field() {
                OxmField::IN_PORT | OxmField::IN_PHY_PORT | OxmField::METADATA => refuse(Bad::BAD_SET_TYPE),
                _ if row.is_none() => refuse(Bad::BAD_SET_TYPE),
                // Section 7.2.5: set-field has no mask in this version.
                _ if oxm.is_masked() => refuse(Bad::BAD_SET_TYPE),
                _ => Ok(()),
            }
        }
        Action::SetQueue { .. } => refuse(Bad::BAD_QUEUE),
        Action::CopyField(_) | Action::RegMove(_) | Action::RegLoad(_) | Action::Experimenter { .. } => {
            refuse(Bad::BAD_EXPERIMENTER)
        }
        _ => refuse(Bad::BAD_TYPE),
    }
}

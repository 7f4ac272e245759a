//! Instructions of a rule (section 7.2.4).

use super::action::{self, Place};
use super::headers::Headers;
use super::{OnfCode, Refusal, RefusalCause, refuse, refuse_if};
use crate::error_msg::{BadInstructionCode, MeterModFailedCode};
use crate::instruction::{Instruction, InstructionType};
use crate::number::TableId;

impl Instruction {
    /// Whether a switch would take it in some rule. Whether a rule's match and table allow
    /// it is for [`FlowMod::validate`](crate::FlowMod::validate) to say.
    ///
    /// # Errors
    /// What is refused, with a code of OFPET_BAD_INSTRUCTION, or of OFPET_BAD_ACTION for
    /// its actions.
    pub fn validate(&self) -> Result<(), Refusal> {
        self.judge(None, &mut Headers::unknown())
    }

    /// In a rule of this table, on packets with these headers.
    fn judge(&self, table: Option<TableId>, headers: &mut Headers) -> Result<(), Refusal> {
        match self {
            Self::GotoTable(next) => {
                let back = table.is_some_and(|table| *next <= table);
                refuse_if(
                    back || *next > TableId::MAX,
                    "ofp_instruction_goto_table",
                    BadInstructionCode::BAD_TABLE_ID,
                    RefusalCause::Table(*next),
                )
            }
            Self::WriteActions(actions) => action::set(actions),
            Self::ApplyActions(actions) => action::list(actions, Place::Entry, headers),
            Self::Meter(meter) => refuse_if(
                !meter.is_standard(),
                "ofp_instruction_meter",
                MeterModFailedCode::INVALID_METER,
                RefusalCause::Meter(*meter),
            ),
            Self::WriteMetadata { .. } | Self::ClearActions => Ok(()),
            Self::Experimenter { experimenter, .. } => refuse(
                "ofp_instruction_experimenter",
                BadInstructionCode::BAD_EXPERIMENTER,
                RefusalCause::UnknownExperimenter(*experimenter),
            ),
            Self::Unknown { kind, .. } => refuse(
                "ofp_instruction",
                BadInstructionCode::UNKNOWN_INST,
                RefusalCause::UnknownType(u32::from(kind.0)),
            ),
        }
    }
}

/// The instructions of a rule of this table, if it is known, on packets with these headers: each type once,
/// done in the order of section 5.9 whatever the order of the list.
pub(super) fn list(instructions: &[Instruction], table: Option<TableId>, mut headers: Headers) -> Result<(), Refusal> {
    let mut seen = 0_u8;
    for instruction in instructions {
        let kind = instruction.kind();
        let bit = match kind {
            InstructionType::GOTO_TABLE => 1,
            InstructionType::WRITE_METADATA => 2,
            InstructionType::WRITE_ACTIONS => 4,
            InstructionType::APPLY_ACTIONS => 8,
            InstructionType::CLEAR_ACTIONS => 16,
            InstructionType::METER => 32,
            // None of these is taken even once.
            _ => 0,
        };
        refuse_if(
            seen & bit != 0,
            "ofp_instruction",
            OnfCode::DUP_INST,
            RefusalCause::DuplicateInstruction(kind),
        )?;
        seen |= bit;
    }
    let applies = |instruction: &&Instruction| instruction.kind() == InstructionType::APPLY_ACTIONS;
    let mut all = instructions.iter();
    all.clone()
        .filter(applies)
        .try_for_each(|instruction| instruction.judge(table, &mut headers))?;
    all.try_for_each(|instruction| match instruction {
        Instruction::ApplyActions(_) => Ok(()),
        other => other.judge(table, &mut headers),
    })
}

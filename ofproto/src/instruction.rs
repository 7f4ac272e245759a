//! Instructions of a rule (section 7.2.4).

use crate::action::{Action, check_body};
use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::number::{ExperimenterId, MeterId, TableId};
use crate::wire::{Reader, Wire, Writer};
use bytes::Bytes;

code_point! {
    /// What an instruction does (`enum ofp_instruction_type`).
    InstructionType(u16), "OFPIT_" {
        GOTO_TABLE = 1,
        WRITE_METADATA = 2,
        WRITE_ACTIONS = 3,
        APPLY_ACTIONS = 4,
        CLEAR_ACTIONS = 5,
        METER = 6,
        EXPERIMENTER = 0xffff,
    }
}

/// What a rule does with the packets it matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// Go on in a later table.
    GotoTable(TableId),
    /// Write some bits of the metadata.
    WriteMetadata {
        /// The bits.
        metadata: u64,
        /// Which of them are written.
        mask: u64,
    },
    /// Merge these into the packet's action set.
    WriteActions(Vec<Action>),
    /// Do these now, in order.
    ApplyActions(Vec<Action>),
    /// Empty the packet's action set.
    ClearActions,
    /// Measure it, and perhaps drop it.
    Meter(MeterId),
    /// Defined elsewhere; its bytes are kept.
    Experimenter {
        /// By whom.
        experimenter: ExperimenterId,
        /// What follows the experimenter's id, a multiple of 8 bytes.
        body: Bytes,
    },
    /// Not in the specification; its bytes are kept.
    Unknown {
        /// Its number.
        kind: InstructionType,
        /// What follows the length, 4 bytes more than a multiple of 8.
        body: Bytes,
    },
}

/// Bytes of the smallest instruction.
const LEAST: usize = 8;

/// Bytes of OFPIT_WRITE_METADATA.
const WRITE_METADATA: usize = 24;

const STRUCTURE: &str = "ofp_instruction";

impl Instruction {
    /// What the instruction is.
    pub fn kind(&self) -> InstructionType {
        match self {
            Self::GotoTable(_) => InstructionType::GOTO_TABLE,
            Self::WriteMetadata { .. } => InstructionType::WRITE_METADATA,
            Self::WriteActions(_) => InstructionType::WRITE_ACTIONS,
            Self::ApplyActions(_) => InstructionType::APPLY_ACTIONS,
            Self::ClearActions => InstructionType::CLEAR_ACTIONS,
            Self::Meter(_) => InstructionType::METER,
            Self::Experimenter { .. } => InstructionType::EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

/// The structure of a known instruction, and its length if that is fixed.
fn shape(kind: InstructionType) -> (&'static str, Option<usize>) {
    match kind {
        InstructionType::GOTO_TABLE => ("ofp_instruction_goto_table", Some(LEAST)),
        InstructionType::WRITE_METADATA => ("ofp_instruction_write_metadata", Some(WRITE_METADATA)),
        InstructionType::WRITE_ACTIONS | InstructionType::APPLY_ACTIONS => ("ofp_instruction_actions", None),
        // Section 7.2.4: "For the Clear-Actions instruction, the structure does not
        // contain any actions."
        InstructionType::CLEAR_ACTIONS => ("ofp_instruction_actions", Some(LEAST)),
        InstructionType::METER => ("ofp_instruction_meter", Some(LEAST)),
        InstructionType::EXPERIMENTER => ("ofp_instruction_experimenter", None),
        _ => (STRUCTURE, None),
    }
}

impl Wire for Instruction {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.offset();
        let mut r = r.element(STRUCTURE, 2, LEAST, 8)?;
        let said = r.left();
        let kind = InstructionType::read(&mut r)?;
        r.skip(2)?;
        let (structure, fixed) = shape(kind);
        r.enter(structure);
        if let Some(must) = fixed.filter(|must| *must != said) {
            return Err(r.error_at(start, DecodeCause::WrongLength { said, must }));
        }
        Ok(match kind {
            InstructionType::GOTO_TABLE => Self::GotoTable(TableId::read(&mut r)?),
            InstructionType::WRITE_METADATA => {
                r.skip(4)?;
                Self::WriteMetadata {
                    metadata: r.u64()?,
                    mask: r.u64()?,
                }
            }
            InstructionType::WRITE_ACTIONS => {
                r.skip(4)?;
                Self::WriteActions(r.list()?)
            }
            InstructionType::APPLY_ACTIONS => {
                r.skip(4)?;
                Self::ApplyActions(r.list()?)
            }
            InstructionType::CLEAR_ACTIONS => Self::ClearActions,
            InstructionType::METER => Self::Meter(MeterId::read(&mut r)?),
            InstructionType::EXPERIMENTER => {
                let experimenter = ExperimenterId::read(&mut r)?;
                Self::Experimenter {
                    experimenter,
                    body: r.remaining()?,
                }
            }
            _ => Self::Unknown {
                kind,
                body: r.remaining()?,
            },
        })
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        self.kind().write(w)?;
        w.u16(0);
        match self {
            Self::GotoTable(table) => {
                table.write(w)?;
                w.pad(3);
            }
            Self::WriteMetadata { metadata, mask } => {
                w.pad(4);
                w.u64(*metadata);
                w.u64(*mask);
            }
            Self::WriteActions(actions) | Self::ApplyActions(actions) => {
                w.pad(4);
                w.list(actions)?;
            }
            Self::ClearActions => w.pad(4),
            Self::Meter(meter) => meter.write(w)?,
            Self::Experimenter { experimenter, body } => {
                check_body("ofp_instruction_experimenter", body, 8)?;
                experimenter.write(w)?;
                w.slice(body);
            }
            Self::Unknown { kind, body } => {
                if kind.name().is_some() {
                    let cause = EncodeCause::KnownKind(u32::from(kind.0));
                    return Err(EncodeError {
                        structure: STRUCTURE,
                        cause,
                    });
                }
                check_body(STRUCTURE, body, 4)?;
                w.slice(body);
            }
        }
        w.set_length(STRUCTURE, start.saturating_add(2), start)
    }
}

//! Instructions of a rule (section 7.2.4).

use crate::action::{Action, check_body};
use crate::error::{DecodeError, EncodeCause, EncodeError};
use crate::number::{ExperimenterId, MeterId, TableId};
use crate::wire::{Reader, Wire, Writer, count_elements};
use bytes::Bytes;

kind_table! {
    /// What an instruction does (section 7.2.4, `enum ofp_instruction_type`).
    InstructionType(u16), "OFPIT_" {
        GOTO_TABLE = 1: "ofp_instruction_goto_table" Exactly 8,
        WRITE_METADATA = 2: "ofp_instruction_write_metadata" Exactly 24,
        WRITE_ACTIONS = 3: "ofp_instruction_actions" AtLeast 8,
        APPLY_ACTIONS = 4: "ofp_instruction_actions" AtLeast 8,
        CLEAR_ACTIONS = 5: "ofp_instruction_actions" Exactly 8,
        METER = 6: "ofp_instruction_meter" Exactly 8,
        EXPERIMENTER = 0xffff: "ofp_instruction_experimenter" AtLeast 8,
    }
    /// The instructions of OpenFlow 1.3 (section 7.2.4). Reading them is written out, because it
    /// is done often; a test holds it against this table.
    INSTRUCTION_TABLE
}

/// What a rule does with the packets it matches (section 7.2.4).
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

impl Instruction {
    /// Reads an instruction in place of this one.
    #[inline(always)]
    fn read_here(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let instruction = r.element_bytes(STRUCTURE, 2, LEAST, 8)?;
        let kind = InstructionType(u16::from_be_bytes(*r.front(instruction)?));
        // What follows type and length.
        let within = |structure| {
            let mut r = r.within(instruction, structure);
            r.skip(4).map(|()| r)
        };
        let actions = || {
            let mut r = within("ofp_instruction_actions")?;
            r.skip(4)?;
            r.list()
        };
        match kind {
            InstructionType::APPLY_ACTIONS => *self = Self::ApplyActions(actions()?),
            InstructionType::WRITE_ACTIONS => *self = Self::WriteActions(actions()?),
            InstructionType::CLEAR_ACTIONS => {
                // Section 7.2.4: "For the Clear-Actions instruction, the structure does
                // not contain any actions."
                r.exactly::<LEAST>("ofp_instruction_actions", instruction)?;
                *self = Self::ClearActions;
            }
            InstructionType::GOTO_TABLE => {
                let [_, _, _, _, table, ..] = *r.exactly::<LEAST>("ofp_instruction_goto_table", instruction)?;
                *self = Self::GotoTable(TableId(table));
            }
            InstructionType::METER => {
                let [_, _, _, _, meter @ ..] = *r.exactly::<LEAST>("ofp_instruction_meter", instruction)?;
                *self = Self::Meter(MeterId(u32::from_be_bytes(meter)));
            }
            InstructionType::WRITE_METADATA => {
                let structure = "ofp_instruction_write_metadata";
                r.exactly::<WRITE_METADATA>(structure, instruction)?;
                let mut r = within(structure)?;
                r.skip(4)?;
                *self = Self::WriteMetadata {
                    metadata: r.u64()?,
                    mask: r.u64()?,
                };
            }
            InstructionType::EXPERIMENTER => {
                let mut r = within("ofp_instruction_experimenter")?;
                *self = Self::Experimenter {
                    experimenter: ExperimenterId::read(&mut r)?,
                    body: r.remaining()?,
                };
            }
            _ => {
                let body = within(STRUCTURE)?.remaining()?;
                *self = Self::Unknown { kind, body };
            }
        }
        Ok(())
    }
}

impl Wire for Instruction {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut instruction = Self::ClearActions;
        instruction.read_here(r)?;
        Ok(instruction)
    }

    /// As those of actions are, their places are made first.
    fn read_list(r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        let count = Self::count(r.rest());
        let mut list: Vec<Self> = core::iter::repeat_with(|| Self::ClearActions).take(count).collect();
        for place in &mut list {
            place.read_here(r)?;
        }
        // What is left has a length that lies.
        r.list_onto(list)
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        self.kind().write(w)?;
        let length = w.length_since(start);
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
        w.set_length(STRUCTURE, length)
    }

    #[inline]
    fn count(bytes: &[u8]) -> usize {
        count_elements(bytes, 2, LEAST)
    }
}

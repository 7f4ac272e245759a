//! Actions of experimenters that work on some bits of a field: the ONF's copy-field
//! (EXT-320) and Nicira's reg_move and reg_load. All other actions of experimenters stay
//! bytes in [`Action::Experimenter`].

use crate::action::Action;
use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::number::ExperimenterId;
use crate::table_features::OxmId;
use crate::wire::{Reader, Wire, Writer};
use bytes::Bytes;

code_point! {
    /// Which of Nicira's actions (`enum nx_action_subtype`): those that are read here.
    NiciraActionType(u16), "NXAST_" {
        REG_MOVE = 6,
        REG_LOAD = 7,
    }
}

/// `exp_type` of the ONF's copy-field action.
pub const ONF_COPY_FIELD: u16 = 3200;

/// Copies some bits of one field to another (`struct ofp_action_copy_field`,
/// `struct nx_action_reg_move`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldCopy {
    /// How many bits.
    pub n_bits: u16,
    /// The first bit of the source, counted from its least significant one.
    pub src_offset: u16,
    /// The first bit of the destination.
    pub dst_offset: u16,
    /// The source.
    pub src: OxmId,
    /// The destination.
    pub dst: OxmId,
}

/// Sets some bits of a field (`struct nx_action_reg_load`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldLoad {
    /// Which bits.
    pub bits: OfsNBits,
    /// Of which field; its header has four bytes, so it is of no experimenter.
    pub dst: OxmId,
    /// What they become.
    pub value: u64,
}

/// A range of 1 to 64 bits that begins at bit 0 to 1023, in the 16 bits that Nicira's
/// actions have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OfsNBits(u16);

/// Bits of `ofs_nbits` that say how many bits there are, less one.
const COUNT: u16 = 0x3f;

/// The largest offset that the other bits can say.
const OFS_MAX: u16 = 0x3ff;

impl OfsNBits {
    /// `n_bits` bits from bit `ofs` on; `None` when the form has no room for them.
    pub fn new(ofs: u16, n_bits: u16) -> Option<Self> {
        let count = n_bits.checked_sub(1).filter(|count| *count <= COUNT)?;
        (ofs <= OFS_MAX).then_some(Self((ofs << 6) | count))
    }

    /// The first bit, counted from the least significant one.
    pub fn ofs(self) -> u16 {
        self.0 >> 6
    }

    /// How many.
    pub fn n_bits(self) -> u16 {
        (self.0 & COUNT).saturating_add(1)
    }
}

/// Bytes of NXAST_REG_LOAD.
const REG_LOAD: usize = 24;

/// Bytes of the header of a field that is of no experimenter.
const OXM_HEADER: usize = 4;

const EXPERIMENTER: &str = "ofp_action_experimenter_header";
const COPY: &str = "ofp_action_copy_field";
const MOVE: &str = "nx_action_reg_move";
const LOAD: &str = "nx_action_reg_load";

/// What an experimenter's action is, by the first bytes of its body.
fn kind(experimenter: ExperimenterId, body: &[u8]) -> Option<u16> {
    let subtype = body.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))?;
    match (experimenter, subtype) {
        (ExperimenterId::ONF, ONF_COPY_FIELD) => Some(subtype),
        (ExperimenterId::NICIRA, _) if NiciraActionType(subtype).name().is_some() => Some(subtype),
        _ => None,
    }
}

/// Reads an experimenter's action behind its type and length. `start` is where it begins.
#[cold]
pub(crate) fn read(r: &mut Reader<'_>, start: usize) -> Result<Action, DecodeError> {
    let said = r.left().saturating_add(OXM_HEADER);
    let experimenter = ExperimenterId::read(r)?;
    let Some(kind) = kind(experimenter, r.rest()) else {
        let body = r.remaining()?;
        return Ok(Action::Experimenter { experimenter, body });
    };
    if experimenter == ExperimenterId::ONF {
        r.enter(COPY);
        r.skip(4)?;
        return read_copy(r, 2).map(Action::CopyField);
    }
    if NiciraActionType(kind) == NiciraActionType::REG_MOVE {
        r.enter(MOVE);
        r.skip(2)?;
        return read_copy(r, 0).map(Action::RegMove);
    }
    r.enter(LOAD);
    if said != REG_LOAD {
        return Err(r.error_at(start, DecodeCause::WrongLength { said, must: REG_LOAD }));
    }
    r.skip(2)?;
    let bits = OfsNBits(r.u16()?);
    // Four bytes: an experimenter's field, whose header has eight, does not fit.
    let dst = OxmId::read(&mut r.sub(OXM_HEADER)?)?;
    let value = r.u64()?;
    Ok(Action::RegLoad(FieldLoad { bits, dst, value }))
}

fn read_copy(r: &mut Reader<'_>, pad: usize) -> Result<FieldCopy, DecodeError> {
    let (n_bits, src_offset, dst_offset) = (r.u16()?, r.u16()?, r.u16()?);
    r.skip(pad)?;
    let (src, dst) = (OxmId::read(r)?, OxmId::read(r)?);
    // The two headers and at most seven bytes that fill up to a multiple of 8.
    match r.left() {
        left @ 8.. => Err(r.error(DecodeCause::Trailing { left })),
        _ => Ok(FieldCopy {
            n_bits,
            src_offset,
            dst_offset,
            src,
            dst,
        }),
    }
}

/// Writes what follows type and length. `start` is where the action begins.
pub(crate) fn write_copy_field(copy: &FieldCopy, w: &mut Writer<'_>, start: usize) -> Result<(), EncodeError> {
    ExperimenterId::ONF.write(w)?;
    w.u16(ONF_COPY_FIELD);
    w.pad(2);
    write_copy(copy, w, 2)?;
    w.pad_to_8(start);
    Ok(())
}

/// As [`write_copy_field`].
pub(crate) fn write_reg_move(copy: &FieldCopy, w: &mut Writer<'_>, start: usize) -> Result<(), EncodeError> {
    ExperimenterId::NICIRA.write(w)?;
    NiciraActionType::REG_MOVE.write(w)?;
    write_copy(copy, w, 0)?;
    w.pad_to_8(start);
    Ok(())
}

fn write_copy(copy: &FieldCopy, w: &mut Writer<'_>, pad: usize) -> Result<(), EncodeError> {
    w.u16(copy.n_bits);
    w.u16(copy.src_offset);
    w.u16(copy.dst_offset);
    w.pad(pad);
    copy.src.write(w)?;
    copy.dst.write(w)
}

/// As [`write_copy_field`].
pub(crate) fn write_reg_load(load: &FieldLoad, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    if let Some(id) = load.dst.field.experimenter() {
        let cause = EncodeCause::WrongBody(id.0);
        return Err(EncodeError { structure: LOAD, cause });
    }
    ExperimenterId::NICIRA.write(w)?;
    NiciraActionType::REG_LOAD.write(w)?;
    w.u16(load.bits.0);
    load.dst.write(w)?;
    w.u64(load.value);
    Ok(())
}

/// Bytes kept for an experimenter's action must not be those of one that is read here.
pub(crate) fn check_kept(experimenter: ExperimenterId, body: &Bytes) -> Result<(), EncodeError> {
    match kind(experimenter, body) {
        Some(kind) => Err(EncodeError {
            structure: EXPERIMENTER,
            cause: EncodeCause::KnownKind(u32::from(kind)),
        }),
        None => Ok(()),
    }
}

//! Actions (section 7.2.5).

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::number::{ExperimenterId, GroupId, PortNo, QueueId};
use crate::oxm::{self, Oxm};
use crate::subfield::{self, FieldCopy, FieldLoad};
use crate::wire::{Reader, Wire, Writer, count_elements};
use bytes::Bytes;

kind_table! {
    /// What an action does (section 7.2.5, `enum ofp_action_type`).
    ActionType(u16), "OFPAT_" {
        OUTPUT = 0: "ofp_action_output" Exactly 16,
        COPY_TTL_OUT = 11: "ofp_action_header" Exactly 8,
        COPY_TTL_IN = 12: "ofp_action_header" Exactly 8,
        SET_MPLS_TTL = 15: "ofp_action_mpls_ttl" Exactly 8,
        DEC_MPLS_TTL = 16: "ofp_action_header" Exactly 8,
        PUSH_VLAN = 17: "ofp_action_push" Exactly 8,
        POP_VLAN = 18: "ofp_action_header" Exactly 8,
        PUSH_MPLS = 19: "ofp_action_push" Exactly 8,
        POP_MPLS = 20: "ofp_action_pop_mpls" Exactly 8,
        SET_QUEUE = 21: "ofp_action_set_queue" Exactly 8,
        GROUP = 22: "ofp_action_group" Exactly 8,
        SET_NW_TTL = 23: "ofp_action_nw_ttl" Exactly 8,
        DEC_NW_TTL = 24: "ofp_action_header" Exactly 8,
        SET_FIELD = 25: "ofp_action_set_field" AtLeast 8,
        PUSH_PBB = 26: "ofp_action_push" Exactly 8,
        POP_PBB = 27: "ofp_action_header" Exactly 8,
        EXPERIMENTER = 0xffff: "ofp_action_experimenter_header" AtLeast 8,
    }
    /// The actions of OpenFlow 1.3 (section 7.2.5). Reading them is written out, because it is
    /// done often; a test holds it against this table.
    ACTION_TABLE
}

/// What is done with a packet (section 7.2.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send it out of a port.
    Output {
        /// Where to.
        port: PortNo,
        /// How many bytes go to the controller, when that is the port.
        max_len: u16,
    },
    /// Copy the TTL outwards.
    CopyTtlOut,
    /// Copy the TTL inwards.
    CopyTtlIn,
    /// Set the MPLS TTL.
    SetMplsTtl(u8),
    /// Count the MPLS TTL down.
    DecMplsTtl,
    /// Put a VLAN tag of this Ethernet type in front.
    PushVlan(u16),
    /// Take the outer VLAN tag off.
    PopVlan,
    /// Put an MPLS label of this Ethernet type in front.
    PushMpls(u16),
    /// Take the outer MPLS label off; what is below has this Ethernet type.
    PopMpls(u16),
    /// Use this queue when sending it.
    SetQueue(QueueId),
    /// Hand it to a group.
    Group(GroupId),
    /// Set the IP TTL.
    SetNwTtl(u8),
    /// Count the IP TTL down.
    DecNwTtl,
    /// Set one field.
    SetField(Oxm),
    /// Put a provider backbone tag of this Ethernet type in front.
    PushPbb(u16),
    /// Take the provider backbone tag off.
    PopPbb,
    /// Copy bits of one field to another, as the ONF defined it for 1.3 (EXT-320).
    CopyField(FieldCopy),
    /// Copy bits of one field to another, as Nicira defined it (NXAST_REG_MOVE).
    RegMove(FieldCopy),
    /// Set bits of a field, as Nicira defined it (NXAST_REG_LOAD).
    RegLoad(FieldLoad),
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
        kind: ActionType,
        /// What follows the length, 4 bytes more than a multiple of 8.
        body: Bytes,
    },
}

/// Bytes of type and length.
const HEADER: usize = 4;

/// Bytes of the smallest action: type, length and four more.
const LEAST: usize = 8;

/// Bytes of OFPAT_OUTPUT.
const OUTPUT: usize = 16;

/// Both, as they are written; an OFPAT_SET_FIELD of a small field is as long as the second.
const LEAST_LEN: u8 = 8;
const OUTPUT_LEN: u8 = 16;

const STRUCTURE: &str = "ofp_action_header";

impl Action {
    /// Sends the whole packet to the controller.
    pub fn to_controller() -> Self {
        Self::Output {
            port: PortNo::CONTROLLER,
            max_len: crate::CONTROLLER_MAX_LEN_NO_BUFFER,
        }
    }

    /// Sends it out of a port.
    pub fn output(port: PortNo) -> Self {
        Self::Output { port, max_len: 0 }
    }

    /// What the action is.
    pub fn kind(&self) -> ActionType {
        match self {
            Self::Output { .. } => ActionType::OUTPUT,
            Self::CopyTtlOut => ActionType::COPY_TTL_OUT,
            Self::CopyTtlIn => ActionType::COPY_TTL_IN,
            Self::SetMplsTtl(_) => ActionType::SET_MPLS_TTL,
            Self::DecMplsTtl => ActionType::DEC_MPLS_TTL,
            Self::PushVlan(_) => ActionType::PUSH_VLAN,
            Self::PopVlan => ActionType::POP_VLAN,
            Self::PushMpls(_) => ActionType::PUSH_MPLS,
            Self::PopMpls(_) => ActionType::POP_MPLS,
            Self::SetQueue(_) => ActionType::SET_QUEUE,
            Self::Group(_) => ActionType::GROUP,
            Self::SetNwTtl(_) => ActionType::SET_NW_TTL,
            Self::DecNwTtl => ActionType::DEC_NW_TTL,
            Self::SetField(_) => ActionType::SET_FIELD,
            Self::PushPbb(_) => ActionType::PUSH_PBB,
            Self::PopPbb => ActionType::POP_PBB,
            Self::CopyField(_) | Self::RegMove(_) | Self::RegLoad(_) | Self::Experimenter { .. } => {
                ActionType::EXPERIMENTER
            }
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

impl Wire for Action {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut action = Self::PopPbb;
        action.read_here(r)?;
        Ok(action)
    }

    /// Their places are made first: a variant is written in pieces, and moving it to its
    /// place would wait until all of them are in memory.
    fn read_list(r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        let count = Self::count(r.rest());
        let mut list: Vec<Self> = core::iter::repeat_with(|| Self::PopPbb).take(count).collect();
        for place in &mut list {
            place.read_here(r)?;
        }
        // What is left has a length that lies.
        r.list_onto(list)
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let kind = self.kind();
        let [k0, k1] = kind.0.to_be_bytes();
        match self {
            Self::Output { port, max_len } => {
                let [a, b, c, d] = port.0.to_be_bytes();
                let [high, low] = max_len.to_be_bytes();
                w.array([k0, k1, 0, OUTPUT_LEN, a, b, c, d, high, low, 0, 0, 0, 0, 0, 0]);
            }
            Self::SetField(oxm) => {
                // Type and length, the field, and what fills up to a multiple of 8.
                if let Some([a, b, c, d, e, f, g, h, i, j, k, l]) = oxm.small_tlv() {
                    w.array([k0, k1, 0, OUTPUT_LEN, a, b, c, d, e, f, g, h, i, j, k, l]);
                    return Ok(());
                }
                let (filled, padding) = filled(oxm.wire_len().saturating_add(4));
                let [l0, l1] = filled.to_be_bytes();
                w.array([k0, k1, l0, l1]);
                oxm.write(w)?;
                w.pad(padding);
            }
            Self::SetMplsTtl(ttl) | Self::SetNwTtl(ttl) => w.array([k0, k1, 0, LEAST_LEN, *ttl, 0, 0, 0]),
            Self::PushVlan(ethertype)
            | Self::PushMpls(ethertype)
            | Self::PopMpls(ethertype)
            | Self::PushPbb(ethertype) => {
                let [high, low] = ethertype.to_be_bytes();
                w.array([k0, k1, 0, LEAST_LEN, high, low, 0, 0]);
            }
            Self::SetQueue(QueueId(id)) | Self::Group(GroupId(id)) => {
                let [a, b, c, d] = id.to_be_bytes();
                w.array([k0, k1, 0, LEAST_LEN, a, b, c, d]);
            }
            Self::CopyTtlOut | Self::CopyTtlIn | Self::DecMplsTtl | Self::PopVlan | Self::DecNwTtl | Self::PopPbb => {
                w.array([k0, k1, 0, LEAST_LEN, 0, 0, 0, 0]);
            }
            Self::CopyField(_)
            | Self::RegMove(_)
            | Self::RegLoad(_)
            | Self::Experimenter { .. }
            | Self::Unknown { .. } => return self.write_foreign(w),
        }
        Ok(())
    }

    #[inline]
    fn count(bytes: &[u8]) -> usize {
        count_elements(bytes, 2, LEAST)
    }
}

impl Action {
    /// Reads an action in place of this one.
    #[inline(always)]
    fn read_here(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (start, ahead) = (r.offset(), r.rest_of_frame());
        let action = r.element_bytes(STRUCTURE, 2, LEAST, 8)?;
        let kind = ActionType(u16::from_be_bytes(*r.front(action)?));
        // The four bytes behind type and length, which are all that most actions have.
        let word = |structure| {
            let [_, _, _, _, word @ ..] = *r.exactly::<LEAST>(structure, action)?;
            Ok::<[u8; 4], DecodeError>(word)
        };
        let number = |structure| word(structure).map(u32::from_be_bytes);
        // What a shorter value leaves of them is padding.
        let ethertype = |structure| word(structure).map(|[high, low, ..]| u16::from_be_bytes([high, low]));
        let octet = |structure| word(structure).map(|[octet, ..]| octet);
        match kind {
            ActionType::OUTPUT => {
                let [_, _, _, _, a, b, c, d, high, low, ..] = *r.exactly::<OUTPUT>("ofp_action_output", action)?;
                *self = Self::Output {
                    port: PortNo(u32::from_be_bytes([a, b, c, d])),
                    max_len: u16::from_be_bytes([high, low]),
                };
            }
            ActionType::SET_FIELD => {
                // The field and at most seven bytes that fill up to a multiple of 8.
                let Some((field, skip)) = oxm::front(action.get(HEADER..).unwrap_or_default(), 7) else {
                    return Err(set_field_error(r.within(action, "ofp_action_set_field")));
                };
                let bytes = ahead.get(skip.saturating_add(HEADER)..).unwrap_or_default();
                match Oxm::small(field, bytes) {
                    Some(oxm) => *self = Self::SetField(oxm),
                    None => *self = Self::SetField(Oxm::large(field, bytes)),
                }
            }
            ActionType::GROUP => *self = Self::Group(GroupId(number("ofp_action_group")?)),
            ActionType::SET_QUEUE => *self = Self::SetQueue(QueueId(number("ofp_action_set_queue")?)),
            ActionType::PUSH_VLAN => *self = Self::PushVlan(ethertype("ofp_action_push")?),
            ActionType::PUSH_MPLS => *self = Self::PushMpls(ethertype("ofp_action_push")?),
            ActionType::PUSH_PBB => *self = Self::PushPbb(ethertype("ofp_action_push")?),
            ActionType::POP_MPLS => *self = Self::PopMpls(ethertype("ofp_action_pop_mpls")?),
            ActionType::SET_MPLS_TTL => *self = Self::SetMplsTtl(octet("ofp_action_mpls_ttl")?),
            ActionType::SET_NW_TTL => *self = Self::SetNwTtl(octet("ofp_action_nw_ttl")?),
            ActionType::COPY_TTL_OUT => *self = word(STRUCTURE).map(|_| Self::CopyTtlOut)?,
            ActionType::COPY_TTL_IN => *self = word(STRUCTURE).map(|_| Self::CopyTtlIn)?,
            ActionType::DEC_MPLS_TTL => *self = word(STRUCTURE).map(|_| Self::DecMplsTtl)?,
            ActionType::POP_VLAN => *self = word(STRUCTURE).map(|_| Self::PopVlan)?,
            ActionType::DEC_NW_TTL => *self = word(STRUCTURE).map(|_| Self::DecNwTtl)?,
            ActionType::POP_PBB => *self = word(STRUCTURE).map(|_| Self::PopPbb)?,
            _ => *self = Self::read_foreign(kind, r, action, start)?,
        }
        Ok(())
    }

    /// Reads an action that the specification does not have.
    #[cold]
    fn read_foreign<'f>(kind: ActionType, r: &Reader<'f>, action: &'f [u8], start: usize) -> Result<Self, DecodeError> {
        if kind == ActionType::EXPERIMENTER {
            let mut r = r.within(action, "ofp_action_experimenter_header");
            r.skip(4)?;
            return subfield::read(&mut r, start);
        }
        let mut r = r.within(action, STRUCTURE);
        r.skip(4)?;
        let body = r.remaining()?;
        Ok(Self::Unknown { kind, body })
    }

    /// Writes an action that the specification does not have.
    #[cold]
    fn write_foreign(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        let kind = self.kind();
        kind.write(w)?;
        let length = w.length_since(start);
        match self {
            Self::CopyField(copy) => subfield::write_copy_field(copy, w, start)?,
            Self::RegMove(copy) => subfield::write_reg_move(copy, w, start)?,
            Self::RegLoad(load) => subfield::write_reg_load(load, w)?,
            Self::Experimenter { experimenter, body } => {
                check_body("ofp_action_experimenter_header", body, 8)?;
                subfield::check_kept(*experimenter, body)?;
                experimenter.write(w)?;
                w.slice(body);
            }
            Self::Unknown { body, .. } if kind.name().is_none() => {
                check_body(STRUCTURE, body, 4)?;
                w.slice(body);
            }
            _ => return Err(known(kind)),
        }
        w.set_length(STRUCTURE, length)
    }
}

/// Why an action is not written as one that the specification does not have.
fn known(kind: ActionType) -> EncodeError {
    EncodeError {
        structure: STRUCTURE,
        cause: EncodeCause::KnownKind(u32::from(kind.0)),
    }
}

/// Why an action sets no field.
#[cold]
fn set_field_error(mut r: Reader<'_>) -> DecodeError {
    match r.skip(4).and_then(|()| Oxm::read(&mut r)) {
        Err(error) => error,
        Ok(_) => r.error(DecodeCause::Trailing { left: r.left() }),
    }
}

/// A length filled up to a multiple of 8, and with how much.
#[inline]
fn filled(length: u16) -> (u16, usize) {
    let padding = length.wrapping_neg() & 7;
    (length.saturating_add(padding), usize::from(padding))
}

/// The bytes kept for a structure, behind `before` bytes that we write, must fill it
/// to a multiple of 8 that is not less than 8.
pub(crate) fn check_body(structure: &'static str, body: &Bytes, before: usize) -> Result<(), EncodeError> {
    let length = body.len().saturating_add(before);
    if length < LEAST || !length.is_multiple_of(8) {
        return Err(EncodeError {
            structure,
            cause: EncodeCause::BodyLength(body.len()),
        });
    }
    Ok(())
}

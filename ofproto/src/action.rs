//! Actions (section 7.2.5).

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::number::{ExperimenterId, GroupId, PortNo, QueueId};
use crate::oxm::Oxm;
use crate::subfield::{self, FieldCopy, FieldLoad};
use crate::wire::{Reader, Wire, Writer, count_elements};
use bytes::Bytes;

code_point! {
    /// What an action does (`enum ofp_action_type`).
    ActionType(u16), "OFPAT_" {
        OUTPUT = 0,
        COPY_TTL_OUT = 11,
        COPY_TTL_IN = 12,
        SET_MPLS_TTL = 15,
        DEC_MPLS_TTL = 16,
        PUSH_VLAN = 17,
        POP_VLAN = 18,
        PUSH_MPLS = 19,
        POP_MPLS = 20,
        SET_QUEUE = 21,
        GROUP = 22,
        SET_NW_TTL = 23,
        DEC_NW_TTL = 24,
        SET_FIELD = 25,
        PUSH_PBB = 26,
        POP_PBB = 27,
        EXPERIMENTER = 0xffff,
    }
}

/// What is done with a packet.
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

/// Bytes of the smallest action: type, length and four more.
const LEAST: usize = 8;

/// The same, as it is written.
const SHORT_LEN: u8 = 8;

/// Bytes of OFPAT_OUTPUT.
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
    fn read(outer: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = outer.offset();
        let mut r = outer.element(STRUCTURE, 2, LEAST, 8)?;
        let kind = ActionType::read(&mut r)?;
        r.skip(2)?;
        match kind {
            ActionType::OUTPUT => {
                r.exactly("ofp_action_output", usize::from(OUTPUT_LEN))?;
                Ok(Self::Output {
                    port: PortNo::read(&mut r)?,
                    max_len: r.u16()?,
                })
            }
            ActionType::SET_FIELD => {
                r.enter("ofp_action_set_field");
                let oxm = Oxm::read(&mut r)?;
                // The field and at most seven bytes that fill up to a multiple of 8.
                match r.left() {
                    left @ 8.. => Err(r.error(DecodeCause::Trailing { left })),
                    _ => Ok(Self::SetField(oxm)),
                }
            }
            ActionType::EXPERIMENTER => {
                r.enter("ofp_action_experimenter_header");
                subfield::read(&mut r, start)
            }
            _ => Self::read_short(kind, &mut r),
        }
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        match self {
            Self::Output { port, max_len } => {
                w.array(header(ActionType::OUTPUT, OUTPUT_LEN));
                w.u32(port.0);
                w.u16(*max_len);
                w.pad(6);
                return Ok(());
            }
            Self::SetMplsTtl(ttl) | Self::SetNwTtl(ttl) => return short(self.kind(), [*ttl, 0, 0, 0], w),
            Self::PushVlan(ethertype)
            | Self::PushMpls(ethertype)
            | Self::PopMpls(ethertype)
            | Self::PushPbb(ethertype) => {
                let [high, low] = ethertype.to_be_bytes();
                return short(self.kind(), [high, low, 0, 0], w);
            }
            Self::SetQueue(QueueId(id)) | Self::Group(GroupId(id)) => return short(self.kind(), id.to_be_bytes(), w),
            Self::CopyTtlOut | Self::CopyTtlIn | Self::DecMplsTtl | Self::PopVlan | Self::DecNwTtl | Self::PopPbb => {
                return short(self.kind(), [0; 4], w);
            }
            Self::SetField(oxm) => {
                w.array(header(ActionType::SET_FIELD, 0));
                oxm.write(w)?;
                w.pad_to_8(start);
            }
            Self::CopyField(copy) => {
                w.array(header(ActionType::EXPERIMENTER, 0));
                subfield::write_copy_field(copy, w, start)?;
            }
            Self::RegMove(copy) => {
                w.array(header(ActionType::EXPERIMENTER, 0));
                subfield::write_reg_move(copy, w, start)?;
            }
            Self::RegLoad(load) => {
                w.array(header(ActionType::EXPERIMENTER, 0));
                subfield::write_reg_load(load, w)?;
            }
            Self::Experimenter { experimenter, body } => {
                check_body("ofp_action_experimenter_header", body, 8)?;
                subfield::check_kept(*experimenter, body)?;
                w.array(header(ActionType::EXPERIMENTER, 0));
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
                w.array(header(*kind, 0));
                w.slice(body);
            }
        }
        w.set_length(STRUCTURE, start.saturating_add(2), start)
    }

    #[inline]
    fn count(bytes: &[u8]) -> usize {
        count_elements(bytes, 2, LEAST)
    }
}

impl Action {
    /// Reads an action that says all it says in four bytes behind type and length.
    #[inline]
    fn read_short(kind: ActionType, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let structure = match kind {
            ActionType::SET_MPLS_TTL => "ofp_action_mpls_ttl",
            ActionType::PUSH_VLAN | ActionType::PUSH_MPLS | ActionType::PUSH_PBB => "ofp_action_push",
            ActionType::POP_MPLS => "ofp_action_pop_mpls",
            ActionType::SET_QUEUE => "ofp_action_set_queue",
            ActionType::GROUP => "ofp_action_group",
            ActionType::SET_NW_TTL => "ofp_action_nw_ttl",
            ActionType::COPY_TTL_OUT
            | ActionType::COPY_TTL_IN
            | ActionType::DEC_MPLS_TTL
            | ActionType::POP_VLAN
            | ActionType::DEC_NW_TTL
            | ActionType::POP_PBB => STRUCTURE,
            _ => {
                return Ok(Self::Unknown {
                    kind,
                    body: r.remaining()?,
                });
            }
        };
        r.exactly(structure, LEAST)?;
        let word = r.array::<4>()?;
        let [octet, low, _, _] = word;
        // What a shorter value leaves of the four bytes is padding.
        let (number, ethertype) = (u32::from_be_bytes(word), u16::from_be_bytes([octet, low]));
        Ok(match kind {
            ActionType::PUSH_VLAN => Self::PushVlan(ethertype),
            ActionType::PUSH_MPLS => Self::PushMpls(ethertype),
            ActionType::PUSH_PBB => Self::PushPbb(ethertype),
            ActionType::POP_MPLS => Self::PopMpls(ethertype),
            ActionType::GROUP => Self::Group(GroupId(number)),
            ActionType::SET_QUEUE => Self::SetQueue(QueueId(number)),
            ActionType::SET_MPLS_TTL => Self::SetMplsTtl(octet),
            ActionType::SET_NW_TTL => Self::SetNwTtl(octet),
            ActionType::COPY_TTL_OUT => Self::CopyTtlOut,
            ActionType::COPY_TTL_IN => Self::CopyTtlIn,
            ActionType::DEC_MPLS_TTL => Self::DecMplsTtl,
            ActionType::POP_VLAN => Self::PopVlan,
            ActionType::DEC_NW_TTL => Self::DecNwTtl,
            _ => Self::PopPbb,
        })
    }
}

/// Type and length. A length that is known only later is filled in then.
#[inline]
fn header(kind: ActionType, length: u8) -> [u8; 4] {
    let [high, low] = kind.0.to_be_bytes();
    [high, low, 0, length]
}

/// Writes the whole of an action that says all it says in four bytes.
#[inline]
fn short(kind: ActionType, [a, b, c, d]: [u8; 4], w: &mut Writer<'_>) -> Result<(), EncodeError> {
    let [high, low, _, length] = header(kind, SHORT_LEN);
    w.array([high, low, 0, length, a, b, c, d]);
    Ok(())
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

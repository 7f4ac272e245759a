//! Actions and instructions, as `actions=` of `ovs-ofctl add-flow` takes them.

use super::line::{Kept, PARTS_MAX, list};
use super::oxm::{Bits, Setting};
use super::word::Upper;
use crate::action::Action;
use crate::instruction::Instruction;
use crate::number::PortNo;
use crate::subfield::{FieldCopy, FieldLoad};
use core::fmt::{self, Display, Formatter};

/// Where a packet goes. Only the controller has a length: for other ports it means nothing
/// and is left out.
fn output(f: &mut Formatter<'_>, port: PortNo, max_len: u16) -> fmt::Result {
    match port {
        PortNo::CONTROLLER => write!(f, "CONTROLLER:{max_len}"),
        PortNo::ANY => f.write_str("output:ANY"),
        named if named.name().is_some() => Upper(named).fmt(f),
        number => write!(f, "output:{}", number.0),
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { port, max_len } => output(f, *port, *max_len),
            Self::CopyTtlOut => f.write_str("copy_ttl_out"),
            Self::CopyTtlIn => f.write_str("copy_ttl_in"),
            Self::SetMplsTtl(ttl) => write!(f, "set_mpls_ttl({ttl})"),
            Self::DecMplsTtl => f.write_str("dec_mpls_ttl"),
            Self::PushVlan(ethertype) => write!(f, "push_vlan:{ethertype:#06x}"),
            Self::PopVlan => f.write_str("pop_vlan"),
            Self::PushMpls(ethertype) => write!(f, "push_mpls:{ethertype:#06x}"),
            Self::PopMpls(ethertype) => write!(f, "pop_mpls:{ethertype:#06x}"),
            Self::SetQueue(queue) => write!(f, "set_queue:{}", queue.0),
            Self::Group(group) => write!(f, "group:{}", Upper(*group)),
            Self::SetNwTtl(ttl) => write!(f, "mod_nw_ttl:{ttl}"),
            Self::DecNwTtl => f.write_str("dec_ttl"),
            Self::SetField(oxm) => write!(f, "set_field:{}", Setting(oxm)),
            Self::PushPbb(ethertype) => write!(f, "push_pbb:{ethertype:#06x}"),
            Self::PopPbb => f.write_str("pop_pbb"),
            Self::CopyField(copy) => write!(f, "copy_field:{copy}"),
            Self::RegMove(copy) => write!(f, "move:{copy}"),
            Self::RegLoad(load) => write!(f, "load:{load}"),
            Self::Experimenter { experimenter, body } => {
                write!(f, "experimenter({:#x},{})", experimenter.0, Kept(body))
            }
            Self::Unknown { kind, body } => write!(f, "unknown(type={},{})", kind.0, Kept(body)),
        }
    }
}

/// `NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31]`.
impl Display for FieldCopy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            n_bits,
            src_offset,
            dst_offset,
            src,
            dst,
        } = *self;
        let bits = |field, offset| Bits { field, offset, n_bits };
        write!(f, "{}->{}", bits(src, src_offset), bits(dst, dst_offset))
    }
}

/// `0x5->NXM_NX_REG0[]`.
impl Display for FieldLoad {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { bits, dst, value } = *self;
        let dst = Bits {
            field: dst,
            offset: bits.ofs(),
            n_bits: bits.n_bits(),
        };
        write!(f, "{value:#x}->{dst}")
    }
}

/// A list of actions; `drop` when there are none.
pub(crate) struct Actions<'a>(pub(crate) &'a [Action]);

impl Display for Actions<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("drop");
        }
        list(f, self.0, PARTS_MAX, ",", |f, action| action.fmt(f))
    }
}

impl Display for Instruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::GotoTable(table) => write!(f, "goto_table:{}", table.0),
            Self::WriteMetadata { metadata, mask } if *mask == u64::MAX => write!(f, "write_metadata:{metadata:#x}"),
            Self::WriteMetadata { metadata, mask } => write!(f, "write_metadata:{metadata:#x}/{mask:#x}"),
            Self::WriteActions(actions) => write!(f, "write_actions({})", Actions(actions)),
            Self::ApplyActions(actions) => write!(f, "apply_actions({})", Actions(actions)),
            Self::ClearActions => f.write_str("clear_actions"),
            Self::Meter(meter) => write!(f, "meter:{}", meter.0),
            Self::Experimenter { experimenter, body } => {
                write!(f, "experimenter_instruction({:#x},{})", experimenter.0, Kept(body))
            }
            Self::Unknown { kind, body } => write!(f, "unknown_instruction(type={},{})", kind.0, Kept(body)),
        }
    }
}

/// The place of an instruction in the order in which a switch carries them out (section
/// 5.9), which is the order that `ovs-ofctl` prints and wants.
fn place(instruction: &Instruction) -> u8 {
    match instruction {
        Instruction::Meter(_) => 0,
        Instruction::ApplyActions(_) => 1,
        Instruction::ClearActions => 2,
        Instruction::WriteActions(_) => 3,
        Instruction::WriteMetadata { .. } => 4,
        Instruction::GotoTable(_) => 5,
        Instruction::Experimenter { .. } | Instruction::Unknown { .. } => PLACES,
    }
}

/// The last place.
const PLACES: u8 = 6;

/// The instructions of a rule, in the order in which they are carried out. The actions to
/// apply stand there as they are; a second list of them, which no switch takes, in brackets.
pub(crate) struct Instructions<'i>(pub(crate) &'i [Instruction]);

impl Display for Instructions<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ordered = (0..=PLACES).flat_map(|at| self.0.iter().filter(move |one| place(one) == at));
        let empty = |one: &&Instruction| matches!(one, Instruction::ApplyActions(actions) if actions.is_empty());
        let mut ordered = ordered.filter(|one| !empty(one)).peekable();
        if ordered.peek().is_none() {
            return f.write_str("drop");
        }
        let mut bare = true;
        list(f, ordered, PARTS_MAX, ",", |f, one| match one {
            Instruction::ApplyActions(actions) if bare => {
                bare = false;
                Actions(actions).fmt(f)
            }
            other => other.fmt(f),
        })
    }
}

//! The switch itself: hello, features, configuration, role, what it tells unasked, its tables
//! as a whole, and what it refuses.

use super::line::{Beginning, Count, Kept, PARTS_MAX, Quoted, list};
use super::word::{Lower, lower_flags, upper_flags};
use crate::error_msg::{ErrorMsg, ErrorType};
use crate::experimenter::{Experimenter, RoleStatus};
use crate::header::{HEADER_LEN, Header};
use crate::hello::{Hello, HelloElement};
use crate::multipart::{Desc, ExperimenterMultipart};
use crate::number::{ExperimenterId, TableId};
use crate::role::{AsyncConfig, RoleMsg};
use crate::switch::{ConfigFlags, FeaturesReply, SwitchConfig};
use crate::table::{TableMod, TableStats};
use bytes::Bytes;
use core::fmt::{self, Display, Formatter};

/// Bits of a word of a version bitmap.
const WORD_BITS: usize = 32;

/// The versions of a bitmap.
fn versions(words: &[u32]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let set = move |bit: &usize| (word >> bit) & 1 == 1;
        (0..WORD_BITS)
            .filter(set)
            .map(move |bit| at.saturating_mul(WORD_BITS).saturating_add(bit))
    })
}

impl Display for HelloElement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::VersionBitmap(words) if versions(words).next().is_none() => f.write_str("version bitmap: (none)"),
            Self::VersionBitmap(words) => {
                f.write_str("version bitmap: ")?;
                list(f, versions(words), PARTS_MAX, ", ", |f, version| {
                    write!(f, "{version:#04x}")
                })
            }
            Self::Unknown { kind, body } => write!(f, "unknown element: type={} {}", kind.0, Kept(body)),
            Self::Opaque(body) => write!(f, "unknown data in hello: {}", Kept(body)),
        }
    }
}

impl Display for Hello {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { elements } = self;
        if elements.is_empty() {
            return f.write_str("no version bitmap");
        }
        list(f, elements, PARTS_MAX, "; ", |f, element| element.fmt(f))
    }
}

/// What the data of an error says: a text, an experimenter's bytes, or the message that was
/// refused, of which the header is enough to find it.
pub(crate) fn error(f: &mut Formatter<'_>, error: &ErrorMsg) -> fmt::Result {
    if error.kind.name().is_none() {
        f.write_str("type ")?;
    }
    error.fmt(f)?;
    let ErrorMsg { kind, code: _, data } = error;
    if data.is_empty() {
        return Ok(());
    }
    match (*kind, Header::peek(data)) {
        (ErrorType::HELLO_FAILED, _) => write!(f, " {}", Beginning(data)),
        (ErrorType::EXPERIMENTER, _) => match (error.experimenter(), data.get(4..)) {
            (Some(id), Some(rest)) => write!(f, " experimenter={:#x} data={}", id.0, Kept(rest)),
            _ => write!(f, " data={}", Kept(data)),
        },
        (_, Some(header)) if usize::from(header.length) >= HEADER_LEN && header.kind.name().is_some() => {
            write!(f, " about {} (xid={:#x}), ", header.kind, header.xid)?;
            write!(f, "{} of its {} bytes", data.len(), header.length)
        }
        _ => write!(f, " data={}", Kept(data)),
    }
}

/// What is asked to be sent back.
pub(crate) fn echo(f: &mut Formatter<'_>, data: &Bytes) -> fmt::Result {
    write!(f, "{} bytes of payload", data.len())
}

impl Display for RoleStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            reason,
            generation_id,
        } = self;
        write!(
            f,
            "role={} generation_id={generation_id} reason={}",
            Lower(*role),
            Lower(*reason)
        )
    }
}

/// What is not known of an experimenter: whose it is, which of theirs, and what it carries.
fn defined_elsewhere(f: &mut Formatter<'_>, id: ExperimenterId, exp_type: u32, data: &Bytes) -> fmt::Result {
    write!(f, "experimenter={:#x} exp_type={exp_type} data={}", id.0, Kept(data))
}

/// What an experimenter says, when it is one that is known.
impl Display for Experimenter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(Ok(status)) = RoleStatus::from_experimenter(self) {
            return write!(f, "ONFT_ROLE_STATUS {status}");
        }
        let Self {
            experimenter,
            exp_type,
            data,
        } = self;
        defined_elsewhere(f, *experimenter, *exp_type, data)
    }
}

impl Display for ExperimenterMultipart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            experimenter,
            exp_type,
            data,
        } = self;
        defined_elsewhere(f, *experimenter, *exp_type, data)
    }
}

impl Display for FeaturesReply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            datapath_id,
            n_buffers,
            n_tables,
            auxiliary_id,
            capabilities,
            reserved,
        } = self;
        write!(f, "dpid:{datapath_id:016x} n_tables:{n_tables}, n_buffers:{n_buffers}")?;
        if *auxiliary_id != 0 {
            write!(f, ", auxiliary_id:{auxiliary_id}")?;
        }
        write!(f, " capabilities: {}", upper_flags(*capabilities, "0"))?;
        if *reserved != 0 {
            write!(f, " reserved: {reserved:#x}")?;
        }
        Ok(())
    }
}

impl Display for SwitchConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { flags, miss_send_len } = self;
        f.write_str("frags=")?;
        match *flags {
            ConfigFlags::DROP => f.write_str("drop")?,
            ConfigFlags::REASM => f.write_str("reassemble")?,
            other => lower_flags(other, "normal").fmt(f)?,
        }
        write!(f, " miss_send_len={miss_send_len}")
    }
}

impl Display for RoleMsg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { role, generation_id } = self;
        write!(f, "role={} generation_id={generation_id}", Lower(*role))
    }
}

impl Display for AsyncConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            packet_in_mask,
            port_status_mask,
            flow_removed_mask,
        } = self;
        let masks = packet_in_mask.iter().zip(port_status_mask).zip(flow_removed_mask);
        let roles = ["master", "; slave"];
        for (role, ((packet_in, port_status), flow_removed)) in roles.iter().zip(masks) {
            write!(
                f,
                "{role}: PACKET_IN: {} PORT_STATUS: {} FLOW_REMOVED: {}",
                lower_flags(*packet_in, "(off)"),
                lower_flags(*port_status, "(off)"),
                lower_flags(*flow_removed, "(off)")
            )?;
        }
        Ok(())
    }
}

/// A table's number, or all of them.
fn table(f: &mut Formatter<'_>, id: TableId) -> fmt::Result {
    match id {
        TableId::ALL => f.write_str("ALL"),
        TableId(number) => write!(f, "{number}"),
    }
}

impl Display for TableMod {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { table_id, config } = self;
        f.write_str("table_id=")?;
        table(f, *table_id)?;
        write!(f, " config={config:#x}")
    }
}

impl Display for TableStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            table_id,
            active_count,
            lookup_count,
            matched_count,
        } = self;
        f.write_str("table ")?;
        table(f, *table_id)?;
        write!(
            f,
            ": active={active_count}, lookup={}, matched={}",
            Count(*lookup_count),
            Count(*matched_count)
        )
    }
}

/// The texts are in quotes, because they have spaces.
impl Display for Desc {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            mfr_desc,
            hw_desc,
            sw_desc,
            serial_num,
            dp_desc,
        } = self;
        let all = [
            ("Manufacturer: ", mfr_desc.as_bytes()),
            (" Hardware: ", hw_desc.as_bytes()),
            (" Software: ", sw_desc.as_bytes()),
            (" Serial Num: ", serial_num.as_bytes()),
            (" DP Description: ", dp_desc.as_bytes()),
        ];
        all.iter()
            .try_for_each(|(what, text)| write!(f, "{what}{}", Quoted(text)))
    }
}

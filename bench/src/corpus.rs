//! The messages that are measured: one of each kind, from annotated bytes.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use ofproto::Framer;
use std::fmt::Write as _;

/// A message that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An echo request with eight bytes.
    Echo,
    /// A rule with six match fields and four actions.
    FlowMod,
    /// A group with four buckets of two actions.
    GroupMod,
    /// A packet of 128 bytes to the controller.
    PacketIn,
    /// A packet of 128 bytes from the controller.
    PacketOut,
    /// A multipart reply with a hundred rules like that of the flow_mod.
    FlowStats100,
    /// A port that changed.
    PortStatus,
    /// A barrier reply: a header alone.
    Barrier,
}

/// Entries of the multipart reply.
const ENTRIES: u16 = 100;

/// Where an entry has the low two bytes of its cookie.
const COOKIE_END: std::ops::Range<usize> = 30..32;

impl Kind {
    /// Every kind, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Echo,
        Self::FlowMod,
        Self::GroupMod,
        Self::PacketIn,
        Self::PacketOut,
        Self::FlowStats100,
        Self::PortStatus,
        Self::Barrier,
    ];

    /// What its figures begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::FlowMod => "flow_mod",
            Self::GroupMod => "group_mod",
            Self::PacketIn => "packet_in",
            Self::PacketOut => "packet_out",
            Self::FlowStats100 => "flow_stats_100",
            Self::PortStatus => "port_status",
            Self::Barrier => "barrier",
        }
    }

    /// The bytes its frame has. What is measured is compared by size with other
    /// measurements, so a changed corpus must not go unnoticed.
    pub fn length(self) -> usize {
        match self {
            Self::Echo => 16,
            Self::FlowMod => 160,
            Self::GroupMod => 208,
            Self::PacketIn => 170,
            Self::PacketOut => 168,
            Self::FlowStats100 => 16_016,
            Self::PortStatus => 80,
            Self::Barrier => 8,
        }
    }

    /// Its frame, as it leaves a framer.
    ///
    /// # Errors
    /// The files in `bench/corpus` do not give a frame of the right length.
    pub fn frame(self) -> Result<Bytes> {
        let bytes = match self {
            Self::Echo => hex(include_str!("../corpus/echo.txt"))?,
            Self::FlowMod => hex(include_str!("../corpus/flow_mod.txt"))?,
            Self::GroupMod => hex(include_str!("../corpus/group_mod.txt"))?,
            Self::PacketIn => hex(include_str!("../corpus/packet_in.txt"))?,
            Self::PacketOut => hex(include_str!("../corpus/packet_out.txt"))?,
            Self::FlowStats100 => flow_stats()?,
            Self::PortStatus => hex(include_str!("../corpus/port_status.txt"))?,
            Self::Barrier => hex(include_str!("../corpus/barrier.txt"))?,
        };
        let (name, must) = (self.name(), self.length());
        ensure!(bytes.len() == must, "{name}: {} bytes, not {must}", bytes.len());
        let mut framer = Framer::new();
        framer.push(&bytes);
        let Some(frame) = framer.next_frame().context(name)? else {
            bail!("{name}: no whole frame");
        };
        ensure!(
            frame.len() == must,
            "{name}: its header says another length than {must}"
        );
        Ok(frame)
    }
}

/// A line for each kind, its name and its bytes: what the workers read.
///
/// # Errors
/// As [`Kind::frame`].
pub fn lines() -> Result<String> {
    let mut text = String::new();
    for kind in Kind::ALL {
        write!(text, "{} ", kind.name())?;
        for byte in kind.frame()? {
            write!(text, "{byte:02x}")?;
        }
        text.push('\n');
    }
    Ok(text)
}

/// The reply: its head and a hundred entries that differ in their cookies.
fn flow_stats() -> Result<Vec<u8>> {
    let mut reply = hex(include_str!("../corpus/flow_stats.txt"))?;
    let mut entry = hex(include_str!("../corpus/flow_stats_entry.txt"))?;
    for number in 0..ENTRIES {
        entry
            .get_mut(COOKIE_END)
            .context("an entry has a cookie")?
            .copy_from_slice(&number.to_be_bytes());
        reply.extend_from_slice(&entry);
    }
    Ok(reply)
}

/// Hexadecimal bytes; `#` begins a comment.
fn hex(text: &str) -> Result<Vec<u8>> {
    text.lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace())
        .map(|word| u8::from_str_radix(word, 16).with_context(|| format!("{word:?} is not a byte")))
        .collect()
}

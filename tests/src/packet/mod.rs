//! The hosts' packet tool: numbered, tagged packets sent, counted and echoed.
//!
//! The test machine's kernel has no VLAN devices, so a host's tags are made and read here.
//! This module is the language: tags, the conversation with the program `skerry-packets`
//! and what it counts. `frame` is the packet, `seqset` the counting, `engine` the program.
//! The handle of a host is in `host`.

pub mod engine;
pub mod frame;
pub mod sender;
pub mod seqset;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use frame::Kind;
pub use seqset::SeqSet;

/// One VLAN tag of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag {
    /// The type in front of it: [`Tag::C_TAG`] or [`Tag::S_TAG`].
    pub tpid: u16,
    /// VLAN id, 0 to 4,095.
    pub vid: u16,
    /// Priority bits and drop bit, as they are in the tag's upper four bits.
    pub priority: u8,
}

impl Tag {
    /// Type of a customer's tag (IEEE 802.1Q).
    pub const C_TAG: u16 = 0x8100;
    /// Type of a provider's tag (IEEE 802.1ad).
    pub const S_TAG: u16 = 0x88a8;

    /// A customer's tag.
    pub fn c(vid: u16) -> Tag {
        Tag {
            tpid: Tag::C_TAG,
            vid,
            priority: 0,
        }
    }

    /// A provider's tag.
    pub fn s(vid: u16) -> Tag {
        Tag {
            tpid: Tag::S_TAG,
            vid,
            priority: 0,
        }
    }

    /// A tag from its two halves on the wire.
    pub fn from_control(tpid: u16, control: u16) -> Tag {
        Tag {
            tpid,
            vid: control & 0x0fff,
            priority: (control >> 12) as u8,
        }
    }

    /// The second half on the wire: priority, drop bit and id.
    pub fn control(&self) -> u16 {
        u16::from(self.priority) << 12 | self.vid & 0x0fff
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{}", self.tpid, self.vid)?;
        if self.priority == 0 {
            Ok(())
        } else {
            write!(f, "/{}", self.priority)
        }
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> String {
        tag.to_string()
    }
}

impl FromStr for Tag {
    type Err = String;

    /// `8100:100`, or `100` for a customer's tag, with `/priority` behind it or not.
    fn from_str(text: &str) -> Result<Tag, String> {
        let (tag, priority) = text.split_once('/').unwrap_or((text, "0"));
        let (tpid, vid) = tag.split_once(':').unwrap_or(("8100", tag));
        let parsed = (u16::from_str_radix(tpid, 16), vid.parse(), priority.parse());
        match parsed {
            (Ok(tpid), Ok(vid @ 0..=4_095), Ok(priority @ 0..=15)) => Ok(Tag { tpid, vid, priority }),
            _ => Err(format!("tag {text:?}: not like 8100:100")),
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = String;

    fn try_from(text: String) -> Result<Tag, String> {
        text.parse()
    }
}

/// A stream to send: packets numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its number, new for each stream of a host, and by convention for each of a test.
    pub stream: u32,
    /// Tags, outer first.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// Packets per second, at most [`RATE_MAX`].
    pub rate: u32,
    /// Packets to send; none: until stopped.
    #[serde(default)]
    pub count: Option<u64>,
    /// Whether a host that echoes shall answer them.
    #[serde(default)]
    pub ask: bool,
    /// Length of the frame without tags, in bytes.
    #[serde(default = "frame_length")]
    pub length: usize,
}

fn frame_length() -> usize {
    frame::LENGTH_MIN
}

impl Stream {
    /// A stream without end of short packets that nobody answers.
    pub fn new(stream: u32, tags: &[Tag], rate: u32) -> Stream {
        Stream {
            stream,
            tags: tags.to_vec(),
            rate,
            count: None,
            ask: false,
            length: frame_length(),
        }
    }

    /// The same, ending after `count` packets.
    pub fn count(self, count: u64) -> Stream {
        Stream {
            count: Some(count),
            ..self
        }
    }
}

/// Packets per second of one stream: what this tool was tried with, several times over
/// what the scenarios need.
pub const RATE_MAX: u32 = 50_000;

/// What the program is asked, one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Starts a stream. Answer: `Sent`.
    Send(Stream),
    /// How far is a stream? Answer: `Sent`.
    Mark {
        /// The stream.
        stream: u32,
    },
    /// Ends a stream. Answer: `Sent`, with the final number.
    Stop {
        /// The stream.
        stream: u32,
    },
    /// What arrived of a stream? Answer: a list of `Arrived`, one for each kind and tags.
    Received {
        /// The stream.
        stream: u32,
    },
    /// What arrived at all? Answer: `Totals`.
    Totals,
    /// Answers packets that ask for it, or stops doing so.
    Echo {
        /// Whether to answer.
        on: bool,
    },
    /// Forgets what arrived.
    Reset,
    /// Ends the program.
    Quit,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// All packets with lower numbers were handed to the interface before this was answered.
    pub next: u64,
    /// All packets with this number or a higher one are handed over after this was asked.
    /// It differs from `next` by the one packet that may be under way just now.
    pub begun: u64,
    /// Whether the stream is at its end (by count or stop).
    pub ended: bool,
}

/// What arrived of one stream, of one kind, with the same tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Whether these were sent, or are the answers of an echoing host.
    pub kind: Kind,
    /// Tags as they arrived, outer first.
    pub tags: Vec<Tag>,
    /// Packets, duplicates counted.
    pub received: u64,
    /// Packets whose number was there already.
    pub duplicates: u64,
    /// Packets whose payload is not what was sent.
    pub wrong_payload: u64,
    /// Packets that came after one with a higher number.
    pub reordered: u64,
    /// The numbers that came with the right payload.
    pub numbers: SeqSet,
    /// From sending to receiving (for answers: and back), shortest, in nanoseconds.
    pub min_ns: u64,
    /// Median of the first packets (`engine::TIMES_MAX`).
    pub median_ns: u64,
    /// Longest.
    pub max_ns: u64,
}

/// What arrived at an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Packets of this tool.
    pub ours: u64,
    /// All others.
    pub others: u64,
    /// Packets of this tool that were not kept, because there were too many streams or numbers.
    pub not_kept: u64,
    /// Echoes sent.
    pub echoed: u64,
    /// Echoes that the interface did not take.
    pub echo_failed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_reads_as_it_is_written() {
        for tag in [
            Tag::c(100),
            Tag::s(4_095),
            Tag {
                tpid: 0x9100,
                vid: 0,
                priority: 15,
            },
        ] {
            assert_eq!(tag.to_string().parse(), Ok(tag));
            assert_eq!(Tag::from_control(tag.tpid, tag.control()), tag);
        }
        assert_eq!("7".parse(), Ok(Tag::c(7)));
        for bad in ["", "8100:", "8100:4096", "x:1", "8100:1/16", "1:2:3"] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }
}

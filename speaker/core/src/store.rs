//! What stands on the speaker's disk, as keys and values: what a driver puts away and gives back without reading it.
//!
//! ```text
//! head of a switch   term, generation, epoch of the writer, whether this region holds the switch, how many parts follow
//! parts of a switch  0: a snapshot of its desired state, 1..: deltas, each the bytes of the command that brought it
//! answer             the end of a command, to be given again when the command comes again
//! open answer        Kafka has not acknowledged that answer yet
//! ```
//!
//! It neither decides what is kept ([`crate::keep`]) nor touches a file.

use bytes::Bytes;
use skerry_bus::{Epoch, Generation, SwitchId, Term};

/// Stands for [`crate::Output::OpenStore`] where a failure names its order by a token.
pub const OPEN_TOKEN: u64 = 0;

/// The name of one thing on disk. The order of the bytes is that of the variants, so that everything that is read at the
/// start stands before what is read when it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The answer with this number.
    Answer(u64),
    /// The same answer is not acknowledged by Kafka.
    OpenAnswer(u64),
    /// What is known of a switch's desired state.
    Head(SwitchId),
    /// A part of a switch's desired state: its snapshot, or one of the deltas behind it.
    Part(SwitchId, u32),
}

impl Key {
    /// Keys below this one are given to the speaker at its start ([`crate::Input::Restored`]).
    pub const RESTORED_BELOW: &'static [u8] = b"p";

    /// Its bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let (tag, number, part) = match self {
            Key::Answer(number) => (b'a', number, None),
            Key::OpenAnswer(number) => (b'b', number, None),
            Key::Head(switch) => (b'h', switch.0, None),
            Key::Part(switch, part) => (b'p', switch.0, Some(part)),
        };
        let mut bytes = vec![tag];
        bytes.extend(number.to_be_bytes());
        bytes.extend(part.into_iter().flat_map(u32::to_be_bytes));
        bytes
    }

    /// The key of these bytes, if they are one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let (tag, rest) = bytes.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let number = u64::from_be_bytes(*number);
        match (tag, rest.len()) {
            (b'a', 0) => Some(Key::Answer(number)),
            (b'b', 0) => Some(Key::OpenAnswer(number)),
            (b'h', 0) => Some(Key::Head(SwitchId(number))),
            (b'p', 4) => Some(Key::Part(SwitchId(number), u32::from_be_bytes(rest.try_into().ok()?))),
            _ => None,
        }
    }
}

/// One change of what is on disk. All changes of one [`crate::Output::Store`] are done, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// This stands there from now on.
    Put {
        /// Its name.
        key: Key,
        /// What stands there.
        value: Bytes,
    },
    /// Nothing stands there any more.
    Delete {
        /// Its name.
        key: Key,
    },
}

/// What is known of a switch's desired state without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Term under which it was told.
    pub(crate) term: Term,
    /// The generation that all parts together make.
    pub(crate) generation: Generation,
    /// The speaker process that wrote it.
    pub(crate) epoch: Epoch,
    /// Whether this region held the switch when this was written, and nobody said otherwise since.
    pub(crate) held: bool,
    /// Broker time of the writing in milliseconds; 0 if it was not known.
    pub(crate) at_ms: u64,
    /// Parts, the snapshot included.
    pub(crate) parts: u32,
    /// Bytes of all parts.
    pub(crate) bytes: u64,
    /// Bytes of the snapshot.
    pub(crate) snapshot_bytes: u64,
}

/// First byte of a head: another form gets another number.
const HEAD_FORM: u8 = 1;
const HEAD_LEN: usize = 2 + 6 * 8 + 4;

impl Head {
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut bytes = Vec::with_capacity(HEAD_LEN);
        bytes.extend([HEAD_FORM, u8::from(self.held)]);
        for number in [
            self.term.0,
            self.generation.0,
            self.epoch.0,
            self.at_ms,
            self.bytes,
            self.snapshot_bytes,
        ] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.parts.to_be_bytes());
        bytes.into()
    }

    /// None: these are not the bytes of a head.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Head> {
        let bytes: &[u8; HEAD_LEN] = bytes.try_into().ok()?;
        if bytes[0] != HEAD_FORM || bytes[1] > 1 {
            return None;
        }
        let number = |at: usize| {
            let place = &bytes[2 + at * 8..][..8];
            u64::from_be_bytes(place.try_into().expect("a slice of eight bytes"))
        };
        Some(Head {
            held: bytes[1] == 1,
            term: Term(number(0)),
            generation: Generation(number(1)),
            epoch: Epoch(number(2)),
            at_ms: number(3),
            bytes: number(4),
            snapshot_bytes: number(5),
            parts: u32::from_be_bytes(bytes[HEAD_LEN - 4..].try_into().expect("the last four bytes")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_stands_where_it_belongs() {
        let switch = SwitchId(0x0102_0304_0506_0708);
        for (key, at_start) in [
            (Key::Answer(7), true),
            (Key::OpenAnswer(u64::MAX), true),
            (Key::Head(switch), true),
            (Key::Part(switch, 0), false),
            (Key::Part(SwitchId(0), u32::MAX), false),
        ] {
            let bytes = key.to_bytes();
            assert_eq!(Key::from_bytes(&bytes), Some(key));
            assert_eq!(bytes.as_slice() < Key::RESTORED_BELOW, at_start, "{key:?}");
            assert_eq!(Key::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Key::from_bytes(b""), None);
        assert_eq!(Key::from_bytes(b"x12345678"), None);
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = Head {
            term: Term(3),
            generation: Generation(44),
            epoch: Epoch(1_790_000_000_000),
            held: true,
            at_ms: 17,
            parts: 5,
            bytes: 1 << 40,
            snapshot_bytes: 12,
        };
        let bytes = head.to_bytes();
        assert_eq!(Head::from_bytes(&bytes), Some(head));
        assert_eq!(Head::from_bytes(&bytes[1..]), None);
        let mut other = bytes.to_vec();
        other[0] = HEAD_FORM + 1;
        assert_eq!(Head::from_bytes(&other), None);
    }
}

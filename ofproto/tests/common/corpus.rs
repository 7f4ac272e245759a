//! The hostile corpus: what a peer could send to break us, made by a program and the same
//! frames each time.
//!
//! It knows no offsets. Every place of every vector is tampered with in every way, so each
//! length, count and type is, whichever it is and whatever structure is added later; the
//! test then asks the refusals in which structures a lie was noticed. What cannot be had
//! by tampering, frames with as many elements as fit, stands in `corpus_full`.

use super::vectors::Vector;
use bytes::Bytes;
use core::fmt;
use ofproto::HEADER_LEN;

/// What was done to a vector.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    /// Only so many bytes of it; the header says how many it had.
    Cut(usize),
    /// Only so many bytes of it, and the header says so.
    Shortened(usize),
    /// Bytes more than there were, which the header counts if `said`.
    Longer { by: usize, said: bool },
    /// Eight bytes at a place are missing, and the header says so.
    Without(usize),
    /// Eight zero bytes more at a place, and the header says so.
    With(usize),
    /// Another 16-bit number at a place.
    Word { at: usize, value: u16 },
    /// Another byte at a place.
    Byte { at: usize, value: u8 },
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(to) => write!(f, "cut to {to}"),
            Self::Shortened(to) => write!(f, "shortened to {to}"),
            Self::Longer { by, said: true } => write!(f, "{by} zeros more"),
            Self::Longer { by, said: false } => write!(f, "{by} zeros behind it"),
            Self::Without(at) => write!(f, "without the 8 bytes at {at}"),
            Self::With(at) => write!(f, "8 zeros at {at}"),
            Self::Word { at, value } => write!(f, "{value:#06x} at {at}"),
            Self::Byte { at, value } => write!(f, "{value:#04x} at {at}"),
        }
    }
}

/// Where the length stands in the header of a message.
const LENGTH: core::ops::Range<usize> = 2..4;

/// What a 16-bit place is made to say, apart from what depends on what it said: nothing,
/// less than any header, less than any structure, no multiple of 8, and far too much.
const LIES: [u16; 12] = [0, 1, 2, 3, 4, 7, 8, 12, 16, 0x7fff, 0xfff8, 0xffff];

/// What is added to what a 16-bit place said.
const SHIFTS: [u16; 6] = [
    1,
    4,
    8,
    0_u16.wrapping_sub(1),
    0_u16.wrapping_sub(4),
    0_u16.wrapping_sub(8),
];

/// What a byte is made to say: lengths of match fields and types of one byte, and half a
/// type of two.
const BYTES: [u8; 8] = [0, 1, 2, 4, 0x7f, 0x80, 0xfe, 0xff];

/// Everything that is done to one vector, whole frames as a framer might hand them out
/// and others. `each` gets every one.
pub fn harmed(vector: &Vector, each: &mut impl FnMut(Harm, Bytes)) {
    let whole = vector.frame.as_ref();
    for to in 0..whole.len() {
        each(Harm::Cut(to), Bytes::copy_from_slice(&whole[..to]));
        if to >= LENGTH.end {
            each(Harm::Shortened(to), with_true_length(whole[..to].to_vec()));
        }
    }
    for by in [1, 4, 7, 8, 16] {
        let longer = [whole, &[0; 16][..by]].concat();
        each(Harm::Longer { by, said: false }, longer.clone().into());
        each(Harm::Longer { by, said: true }, with_true_length(longer));
    }
    for at in (HEADER_LEN..whole.len()).step_by(4) {
        let (before, behind) = whole.split_at(at);
        each(Harm::With(at), with_true_length([before, &[0; 8], behind].concat()));
        if let Some(behind) = behind.get(8..) {
            each(Harm::Without(at), with_true_length([before, behind].concat()));
        }
    }
    for at in (LENGTH.start..whole.len().saturating_sub(1)).step_by(2) {
        let old = u16::from_be_bytes([whole[at], whole[at + 1]]);
        let shifted = SHIFTS.map(|shift| old.wrapping_add(shift));
        for value in LIES.into_iter().chain(shifted).filter(|value| *value != old) {
            let mut lying = whole.to_vec();
            lying[at..at + 2].copy_from_slice(&value.to_be_bytes());
            each(Harm::Word { at, value }, lying.into());
        }
    }
    for at in (0..whole.len()).filter(|at| !LENGTH.contains(at)) {
        let old = whole[at];
        for value in BYTES.into_iter().chain([old ^ 1]).filter(|value| *value != old) {
            let mut other = whole.to_vec();
            other[at] = value;
            each(Harm::Byte { at, value }, other.into());
        }
    }
}

/// The frame with a header that says its length.
pub fn with_true_length(mut frame: Vec<u8>) -> Bytes {
    let length = u16::try_from(frame.len()).expect("a frame fits its length");
    frame[LENGTH].copy_from_slice(&length.to_be_bytes());
    frame.into()
}

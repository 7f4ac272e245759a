//! Bytes that stand in the value itself when there are few.

use crate::wire::Writer;
use bytes::Bytes;

/// At most `N` bytes, or a slice of the frame when there are more.
///
/// A slice counts who has it, with an atomic number; few bytes are copied sooner than
/// that, and they do not keep the frame alive. For payloads, which are never copied,
/// this is not.
#[derive(Clone)]
pub(crate) enum ShortBytes<const N: usize> {
    /// The bytes behind the first `len` are zero.
    Own { len: u8, bytes: [u8; N] },
    /// A part of a frame, or of what was made for it.
    Shared(Bytes),
}

/// The most that is copied. What is longer is better shared.
const MOST: usize = 48;

/// From the place `MOST - n` on it is a mask that keeps `n` bytes.
const KEEP: &[u8] = [[0xff; MOST], [0; MOST]].as_flattened();

impl<const N: usize> ShortBytes<N> {
    /// The first `len` bytes of `bytes`, which are there, or else `shared`.
    #[inline]
    pub(crate) fn front(bytes: &[u8], len: usize, shared: impl FnOnce() -> Bytes) -> Self {
        match (u8::try_from(len), front(bytes, len)) {
            (Ok(len), Some(bytes)) => Self::Own { len, bytes },
            _ => Self::Shared(shared()),
        }
    }

    /// A copy of these bytes.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self::front(bytes, bytes.len(), || Bytes::copy_from_slice(bytes))
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Self::Shared(bytes) => bytes,
        }
    }

    /// A part of them, which is there: shared if they are.
    #[cold]
    pub(crate) fn slice(&self, from: usize, len: usize) -> Bytes {
        let range = from..from.saturating_add(len);
        match self {
            Self::Shared(bytes) if range.end <= bytes.len() => bytes.slice(range),
            few => Bytes::copy_from_slice(few.as_slice().get(range).unwrap_or_default()),
        }
    }

    #[inline]
    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Own { len, bytes } => w.padded(bytes, usize::from(*len)),
            Self::Shared(bytes) => w.slice(bytes),
        }
    }
}

impl<const N: usize> Default for ShortBytes<N> {
    #[inline]
    fn default() -> Self {
        Self::Own { len: 0, bytes: [0; N] }
    }
}

/// The first `len` bytes of `bytes` and zeros behind them, if they are at most `N`.
///
/// Mostly `N` bytes are there: then it is a copy and a mask of fixed size.
#[inline]
fn front<const N: usize>(bytes: &[u8], len: usize) -> Option<[u8; N]> {
    let mut front = [0; N];
    let own = front.get_mut(..len)?;
    match bytes.first_chunk::<N>() {
        Some(chunk) => {
            let keep = KEEP.get(MOST.checked_sub(len)?..)?.first_chunk::<N>()?;
            front = *chunk;
            front.iter_mut().zip(keep).for_each(|(byte, keep)| *byte &= keep);
        }
        None => own.copy_from_slice(bytes.get(..len)?),
    }
    Some(front)
}

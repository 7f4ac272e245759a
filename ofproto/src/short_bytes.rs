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
    /// What stands behind the first `len` means nothing.
    Own { len: u8, bytes: Aligned<N> },
    /// A part of a frame, or of what was made for it.
    Shared(Bytes),
}

/// Bytes that begin where a word does: copied word by word they are copied whole.
#[derive(Clone)]
#[repr(align(8))]
pub(crate) struct Aligned<const N: usize>([u8; N]);

impl<const N: usize> ShortBytes<N> {
    /// The first `len` bytes of `bytes`, if they are there and at most `N`.
    #[inline(always)]
    pub(crate) fn few(bytes: &[u8], len: usize) -> Option<Self> {
        Some(Self::Own {
            bytes: Aligned(few(bytes, len)?),
            len: u8::try_from(len).ok()?,
        })
    }

    /// A copy of these bytes.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self::few(bytes, bytes.len()).unwrap_or_else(|| Self::Shared(Bytes::copy_from_slice(bytes)))
    }

    /// All the room there is for few bytes, or the many.
    #[inline]
    pub(crate) fn room(&self) -> &[u8] {
        match self {
            Self::Own { bytes, .. } => &bytes.0,
            Self::Shared(bytes) => bytes,
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own { len, bytes } => bytes.0.get(..usize::from(*len)).unwrap_or(&bytes.0),
            Self::Shared(bytes) => bytes,
        }
    }

    #[inline]
    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Own { len, bytes } => w.front(&bytes.0, usize::from(*len)),
            Self::Shared(bytes) => w.slice(bytes),
        }
    }
}

impl<const N: usize> Default for ShortBytes<N> {
    #[inline]
    fn default() -> Self {
        Self::Own {
            len: 0,
            bytes: Aligned([0; N]),
        }
    }
}

/// The first `len` bytes of `bytes` and anything behind them, if they are at most `N`.
///
/// Mostly `N` bytes are there: then it is a copy of fixed size, which is what this is for.
#[inline(always)]
pub(crate) fn few<const N: usize>(bytes: &[u8], len: usize) -> Option<[u8; N]> {
    if len > N {
        return None;
    }
    if let Some(chunk) = bytes.first_chunk() {
        return Some(*chunk);
    }
    at_the_end(bytes, len)
}

/// The same where fewer than `N` bytes are there.
#[cold]
fn at_the_end<const N: usize>(bytes: &[u8], len: usize) -> Option<[u8; N]> {
    let mut few = [0; N];
    copy(few.get_mut(..len)?, bytes.get(..len)?);
    Some(few)
}

/// Copies few bytes to as many: a call for them would take longer than they do.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    let (mut to, mut from) = (to, from);
    while pieces::<16>(&mut to, &mut from) {}
    pieces::<8>(&mut to, &mut from);
    pieces::<4>(&mut to, &mut from);
    pieces::<2>(&mut to, &mut from);
    pieces::<1>(&mut to, &mut from);
}

/// Copies a piece of `M` bytes, if there are so many, and steps over it.
#[inline]
fn pieces<const M: usize>(to: &mut &mut [u8], from: &mut &[u8]) -> bool {
    let Some((piece, behind)) = from.split_first_chunk::<M>() else {
        return false;
    };
    let Some((place, left)) = core::mem::take(to).split_first_chunk_mut::<M>() else {
        return false;
    };
    *place = *piece;
    (*to, *from) = (left, behind);
    true
}

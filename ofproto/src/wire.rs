//! The forms that values have on the wire: the trait and those of plain numbers.

use crate::error::{DecodeError, EncodeError};
use bytes::Bytes;

pub(crate) use crate::reader::{Reader, count_elements, guess_elements};
pub(crate) use crate::writer::{Writer, too_long, write_to};

/// Something with one form on the wire.
pub(crate) trait Wire: Sized {
    /// The fewest bytes it takes, as far as its fields of fixed size tell. Only the time
    /// depends on it: when so many are there, they are not counted field by field.
    const LEAST: usize = 0;

    /// Reads it from the front of what is left.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads it, checks what stands behind it, and puts it where `put` does.
    ///
    /// A large value is written in several pieces; to move it then waits until all of
    /// them are in memory. Here it is made where it stays.
    #[inline(always)]
    fn read_and<T>(
        r: &mut Reader<'_>,
        check: impl FnOnce(&Reader<'_>) -> Result<(), DecodeError>,
        put: impl FnOnce(Self) -> T,
    ) -> Result<T, DecodeError> {
        let value = Self::read(r)?;
        check(r)?;
        Ok(put(value))
    }

    /// Reads values until nothing is left.
    #[inline]
    fn read_list(r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        // No more than there are bytes: a lying length makes no room.
        let count = Self::count(r.rest()).min(r.left());
        r.list_onto(Vec::with_capacity(count))
    }

    /// Writes it, with zero padding.
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError>;

    /// How many of them probably stand in `bytes`: a list makes room for so many before
    /// it reads them. Only the room depends on it.
    #[inline]
    fn count(bytes: &[u8]) -> usize {
        let _ = bytes;
        0
    }
}

/// How many bytes bring `length` to a multiple of 8.
#[inline]
pub(crate) fn padding_of(length: usize) -> usize {
    length.wrapping_neg() & 7
}

macro_rules! wire_number {
    ($($int:ident),*) => {$(
        impl Wire for $int {
            const LEAST: usize = size_of::<$int>();

            #[inline(always)]
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.$int()
            }
            #[inline]
            fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                w.$int(*self);
                Ok(())
            }
            #[inline]
            fn count(bytes: &[u8]) -> usize {
                bytes.len().checked_div(size_of::<$int>()).unwrap_or(0)
            }
        }
    )*};
}

wire_number!(u8, u16, u32, u64);

/// The rest of the structure, kept as a slice of the frame.
impl Wire for Bytes {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.remaining()
    }
    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.slice(self);
        Ok(())
    }
}

/// As many as fill the rest of the structure.
impl<T: Wire> Wire for Vec<T> {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.list()
    }
    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.list(self)
    }
}

/// A fixed number of them.
impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    const LEAST: usize = T::LEAST.saturating_mul(N);

    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut all = [T::default(); N];
        for value in &mut all {
            *value = T::read(r)?;
        }
        Ok(all)
    }
    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.list(self)
    }
}

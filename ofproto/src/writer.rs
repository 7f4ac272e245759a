//! Writing one frame: a cursor over room that was made for it.
//!
//! The room is zero and as long as the frame is likely to be, so that a number is one
//! comparison and one store, and padding is left as it is. A frame that turns out
//! longer is measured to its end and written again into room of its length.

use crate::error::{EncodeCause, EncodeError};
use crate::wire::{Wire, padding_of};
use bytes::BytesMut;

/// The frame that is being written.
pub(crate) struct Writer<'b> {
    /// The room there is; zero where nothing was written.
    frame: &'b mut [u8],
    /// Bytes written so far. Beyond the room they are only counted.
    at: usize,
}

/// Appends to `out` what `write` writes, which is probably at most `room` bytes.
///
/// # Errors
/// As `write`. `out` is then as it was before.
#[inline]
pub(crate) fn write_to(
    out: &mut BytesMut,
    room: usize,
    write: impl Fn(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let before = out.len();
    let mut room = room;
    loop {
        out.resize(before.saturating_add(room), 0);
        let mut w = Writer {
            frame: out.get_mut(before..).unwrap_or_default(),
            at: 0,
        };
        let written = write(&mut w);
        let length = w.at;
        if written.is_err() {
            out.truncate(before);
            return written;
        }
        if length <= room {
            out.truncate(before.saturating_add(length));
            return Ok(());
        }
        // What was written goes, so that there are zeros below the next try.
        out.truncate(before);
        room = length;
    }
}

impl Writer<'_> {
    /// Bytes written so far, counted from the start of the frame.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Writes bytes whose number is known when this is compiled.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(place) = self.place(self.at) {
            *place = bytes;
        }
        self.at = self.at.saturating_add(N);
    }

    #[inline]
    fn place<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]> {
        self.frame.get_mut(at..)?.first_chunk_mut::<N>()
    }

    #[inline]
    pub(crate) fn u8(&mut self, value: u8) {
        self.array([value]);
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) {
        self.array(value.to_be_bytes());
    }

    #[inline]
    pub(crate) fn u32(&mut self, value: u32) {
        self.array(value.to_be_bytes());
    }

    #[inline]
    pub(crate) fn u64(&mut self, value: u64) {
        self.array(value.to_be_bytes());
    }

    #[inline]
    pub(crate) fn slice(&mut self, bytes: &[u8]) {
        let to = self.at.saturating_add(bytes.len());
        if let Some(place) = self.frame.get_mut(self.at..to) {
            place.copy_from_slice(bytes);
        }
        self.at = to;
    }

    /// The first `length` bytes of `bytes`.
    ///
    /// Where there is room all are written and what is too much is made zero again: two
    /// stores of fixed size.
    #[inline]
    pub(crate) fn front<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        let Some(place) = self.place::<N>(self.at) else {
            return self.slice(bytes.get(..length).unwrap_or(bytes));
        };
        *place = *bytes;
        self.at = self.at.saturating_add(length);
        match self.place::<N>(self.at) {
            Some(behind) => *behind = [0; N],
            None => self.frame.get_mut(self.at..).unwrap_or_default().fill(0),
        }
    }

    /// `n` bytes of zero padding.
    #[inline]
    pub(crate) fn pad(&mut self, n: usize) {
        // The room is zero.
        self.at = self.at.saturating_add(n);
    }

    /// Zero padding until what was written since `start` is a multiple of 8.
    #[inline]
    pub(crate) fn pad_to_8(&mut self, start: usize) {
        self.pad(padding_of(self.position().saturating_sub(start)));
    }

    /// Fills the 16-bit length at `at` with what was written since `start`.
    #[inline]
    pub(crate) fn set_length(&mut self, structure: &'static str, at: usize, start: usize) -> Result<(), EncodeError> {
        let length = self.position().saturating_sub(start);
        let Ok(short) = u16::try_from(length) else {
            return Err(too_long(structure, length));
        };
        self.set_u16(at, short);
        Ok(())
    }

    /// Overwrites the 16-bit number at `at`.
    #[inline]
    pub(crate) fn set_u16(&mut self, at: usize, value: u16) {
        if let Some(place) = self.place(at) {
            *place = value.to_be_bytes();
        }
    }

    /// Values one behind the other.
    #[inline]
    pub(crate) fn list<T: Wire>(&mut self, list: &[T]) -> Result<(), EncodeError> {
        for value in list {
            value.write(self)?;
        }
        Ok(())
    }
}

#[cold]
pub(crate) fn too_long(structure: &'static str, length: usize) -> EncodeError {
    EncodeError {
        structure,
        cause: EncodeCause::TooLong(length),
    }
}

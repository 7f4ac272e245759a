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
    /// The room there was, in bytes.
    room: usize,
    /// What is left of it; zero.
    left: &'b mut [u8],
    /// Bytes for which there was no room; they are only counted.
    beyond: usize,
}

/// The place of a 16-bit length that is not known yet.
pub(crate) struct Length<'b> {
    /// None: there was no room.
    place: Option<&'b mut [u8; 2]>,
    /// Where the bytes that it counts begin.
    start: usize,
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
            room,
            left: out.get_mut(before..).unwrap_or_default(),
            beyond: 0,
        };
        let written = write(&mut w);
        let length = w.position();
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

impl<'b> Writer<'b> {
    /// Bytes written so far, counted from the start of the frame.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.room.saturating_sub(self.left.len()).saturating_add(self.beyond)
    }

    /// Bytes there is room for.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.left.len()
    }

    /// Steps over `N` bytes and hands them out to be written.
    #[inline]
    fn step<const N: usize>(&mut self) -> Option<&'b mut [u8; N]> {
        if self.left.len() < N {
            self.count(N);
            return None;
        }
        let (place, left) = core::mem::take(&mut self.left).split_first_chunk_mut()?;
        self.left = left;
        Some(place)
    }

    /// Steps over `n` bytes for which there is no room.
    #[cold]
    fn count(&mut self, n: usize) {
        let missing = n.saturating_sub(self.left.len());
        self.beyond = self.beyond.saturating_add(missing);
        // Later and smaller things must not be written where these would have been.
        self.left = &mut [];
    }

    /// Writes bytes whose number is known when this is compiled.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(place) = self.step() {
            *place = bytes;
        }
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
        if let Some(place) = self.left.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.pad(bytes.len());
    }

    /// The first `length` bytes of `bytes`.
    ///
    /// Where there is room all are written and what is too much is made zero again: two
    /// stores of fixed size.
    #[inline]
    pub(crate) fn front<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        let Some(place) = self.left.first_chunk_mut::<N>() else {
            return self.slice(bytes.get(..length).unwrap_or(bytes));
        };
        *place = *bytes;
        self.pad(length);
        match self.left.first_chunk_mut::<N>() {
            Some(behind) => *behind = [0; N],
            None => self.left.fill(0),
        }
    }

    /// `n` bytes of zero padding.
    #[inline]
    pub(crate) fn pad(&mut self, n: usize) {
        // The room is zero.
        if n > self.left.len() {
            return self.count(n);
        }
        self.left = core::mem::take(&mut self.left).get_mut(n..).unwrap_or_default();
    }

    /// Zero padding until what was written since `start` is a multiple of 8.
    #[inline]
    pub(crate) fn pad_to_8(&mut self, start: usize) {
        self.pad(padding_of(self.position().saturating_sub(start)));
    }

    /// Steps over a 16-bit length that counts what is written since `start`.
    #[inline]
    pub(crate) fn length_since(&mut self, start: usize) -> Length<'b> {
        Length {
            place: self.step(),
            start,
        }
    }

    /// Fills in a length: what it counts ends here.
    #[inline]
    pub(crate) fn set_length(&mut self, structure: &'static str, length: Length<'b>) -> Result<(), EncodeError> {
        let counted = self.position().saturating_sub(length.start);
        let Ok(short) = u16::try_from(counted) else {
            return Err(too_long(structure, counted));
        };
        if let Some(place) = length.place {
            *place = short.to_be_bytes();
        }
        Ok(())
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

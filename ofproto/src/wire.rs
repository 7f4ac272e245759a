//! Reading and writing inside one frame: the primitives everything else uses.
//!
//! The numbers are parsed with nom on the bytes that are left; the reader adds
//! what nom does not know: where in the frame it is, which structure it is in,
//! and how to hand out a part of the frame without copying it.

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use bytes::{BufMut, Bytes, BytesMut};
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::{IResult, Parser};

/// Something with one form on the wire.
pub(crate) trait Wire: Sized {
    /// Reads it from the front of what is left.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
    /// Writes it, with zero padding.
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError>;
}

type Nom<'a, O> = IResult<&'a [u8], O, ()>;

/// A cursor over a part of a frame.
pub(crate) struct Reader<'f> {
    frame: &'f Bytes,
    left: &'f [u8],
    at: usize,
    structure: &'static str,
    /// The structure that was read last: what is left over is left over behind it.
    read: &'static str,
}

impl<'f> Reader<'f> {
    /// A reader over the whole of `frame`.
    #[inline]
    pub(crate) fn new(frame: &'f Bytes, structure: &'static str) -> Self {
        Self {
            frame,
            left: frame,
            at: 0,
            structure,
            read: structure,
        }
    }

    /// Names the structure that is read from here on; returns the outer one.
    #[inline]
    pub(crate) fn enter(&mut self, structure: &'static str) -> &'static str {
        core::mem::replace(&mut self.structure, structure)
    }

    /// The structure that is being read.
    #[inline]
    pub(crate) fn structure(&self) -> &'static str {
        self.structure
    }

    /// Back to the outer structure.
    #[inline]
    pub(crate) fn leave(&mut self, outer: &'static str) {
        self.read = core::mem::replace(&mut self.structure, outer);
    }

    /// Bytes from the start of the frame.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.left.len()
    }

    /// Whether nothing is left.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// What is left, without moving on.
    #[inline]
    pub(crate) fn rest(&self) -> &'f [u8] {
        self.left
    }

    /// An error at the current place.
    #[cold]
    pub(crate) fn error(&self, cause: DecodeCause) -> DecodeError {
        self.error_at(self.at, cause)
    }

    /// An error in the current structure at another place.
    #[cold]
    pub(crate) fn error_at(&self, offset: usize, cause: DecodeCause) -> DecodeError {
        DecodeError {
            structure: self.structure,
            offset,
            cause,
        }
    }

    /// Runs a nom parser on what is left.
    #[inline]
    fn parse<O>(
        &mut self,
        needed: usize,
        mut parser: impl Parser<&'f [u8], Output = O, Error = ()>,
    ) -> Result<O, DecodeError> {
        let before = self.left.len();
        let result: Nom<'f, O> = parser.parse(self.left);
        match result {
            Ok((left, value)) => {
                // `left` is a tail of what was there, so this cannot wrap.
                self.at = self.at.saturating_add(before.saturating_sub(left.len()));
                self.left = left;
                Ok(value)
            }
            Err(_) => Err(self.error(DecodeCause::Missing { needed, left: before })),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.parse(1, be_u8)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.parse(2, be_u16)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.parse(4, be_u32)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.parse(8, be_u64)
    }

    /// The next `n` bytes, borrowed.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'f [u8], DecodeError> {
        self.parse(n, take(n))
    }

    /// Skips `n` bytes of padding.
    #[inline]
    pub(crate) fn skip(&mut self, n: usize) -> Result<(), DecodeError> {
        self.take(n).map(|_| ())
    }

    /// The next `n` bytes as a slice of the frame.
    #[inline]
    pub(crate) fn bytes(&mut self, n: usize) -> Result<Bytes, DecodeError> {
        let at = self.at;
        self.take(n)?;
        // `take` proved that the frame has these bytes.
        Ok(if n == 0 {
            Bytes::new()
        } else {
            self.frame.slice(at..self.at)
        })
    }

    /// `n` bytes at a place that was already read, as a slice of the frame.
    #[inline]
    pub(crate) fn frame_slice(&self, from: usize, n: usize) -> Bytes {
        let to = from.saturating_add(n).min(self.frame.len());
        if from < to {
            self.frame.slice(from..to)
        } else {
            Bytes::new()
        }
    }

    /// What is left as a slice of the frame, without moving on.
    #[inline]
    pub(crate) fn rest_of_frame(&self) -> Bytes {
        self.frame_slice(self.at, self.left())
    }

    /// All that is left, as a slice of the frame.
    #[inline]
    pub(crate) fn remaining(&mut self) -> Result<Bytes, DecodeError> {
        self.bytes(self.left())
    }

    /// A reader over the next `n` bytes, which this one then has behind it.
    #[inline]
    pub(crate) fn sub(&mut self, n: usize) -> Result<Reader<'f>, DecodeError> {
        let at = self.at;
        let left = self.take(n)?;
        Ok(Reader {
            frame: self.frame,
            left,
            at,
            structure: self.structure,
            read: self.structure,
        })
    }

    /// Everything must have been read; else the structure that was read last is too
    /// long.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.left.len() {
            0 => Ok(()),
            left => Err(DecodeError {
                structure: self.read,
                offset: self.at,
                cause: DecodeCause::Trailing { left },
            }),
        }
    }

    /// A reader over the next element, whose 16-bit length stands `length_at` bytes
    /// behind its start and counts the whole element. The length must be at least
    /// `least`, a multiple of `multiple`, and within what is left.
    #[inline]
    pub(crate) fn element(
        &mut self,
        structure: &'static str,
        length_at: usize,
        least: usize,
        multiple: usize,
    ) -> Result<Reader<'f>, DecodeError> {
        let outer = self.enter(structure);
        let said = self.peek_u16(length_at)?;
        if said < least {
            return Err(self.error(DecodeCause::TooShort { said, least }));
        }
        if !said.is_multiple_of(multiple) {
            return Err(self.error(DecodeCause::NotMultiple { said, of: multiple }));
        }
        if said > self.left() {
            return Err(self.error(DecodeCause::PastEnd {
                said,
                left: self.left(),
            }));
        }
        let sub = self.sub(said)?;
        self.leave(outer);
        Ok(sub)
    }

    /// The 16-bit number `at` bytes ahead, without moving on.
    #[inline]
    pub(crate) fn peek_u16(&self, at: usize) -> Result<usize, DecodeError> {
        match self.left.get(at..).and_then(|tail| tail.first_chunk::<2>()) {
            Some(bytes) => Ok(usize::from(u16::from_be_bytes(*bytes))),
            None => Err(self.error(DecodeCause::Missing {
                needed: at.saturating_add(2),
                left: self.left(),
            })),
        }
    }

    /// Values until nothing is left.
    ///
    /// Every value takes at least one byte, so this ends. This and the loop over the
    /// fields of a match are the only ones whose end depends on what is read.
    #[inline]
    pub(crate) fn list<T: Wire>(&mut self) -> Result<Vec<T>, DecodeError> {
        let mut list = Vec::new();
        while !self.is_empty() {
            let before = self.left();
            list.push(T::read(self)?);
            debug_assert!(self.left() < before, "{} without a byte", self.read);
        }
        Ok(list)
    }
}

/// The end of a frame that is being written.
pub(crate) struct Writer<'b> {
    out: &'b mut BytesMut,
    start: usize,
}

impl<'b> Writer<'b> {
    /// Writes behind what `out` already holds.
    #[inline]
    pub(crate) fn new(out: &'b mut BytesMut) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Bytes written so far, counted from the start of the frame.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }

    #[inline]
    pub(crate) fn u8(&mut self, value: u8) {
        self.out.put_u8(value);
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    #[inline]
    pub(crate) fn u32(&mut self, value: u32) {
        self.out.put_u32(value);
    }

    #[inline]
    pub(crate) fn u64(&mut self, value: u64) {
        self.out.put_u64(value);
    }

    /// The buffer itself, to append to.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        self.out
    }

    #[inline]
    pub(crate) fn slice(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `n` bytes of zero padding.
    #[inline]
    pub(crate) fn pad(&mut self, n: usize) {
        self.out.put_bytes(0, n);
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
            return Err(EncodeError {
                structure,
                cause: EncodeCause::TooLong(length),
            });
        };
        self.set_u16(at, short);
        Ok(())
    }

    /// Overwrites the 16-bit number at `at`.
    #[inline]
    pub(crate) fn set_u16(&mut self, at: usize, value: u16) {
        let from = self.start.saturating_add(at);
        let place = self
            .out
            .get_mut(from..)
            .and_then(|tail| tail.first_chunk_mut::<2>())
            .expect("the encoder wrote a placeholder at this place before");
        *place = value.to_be_bytes();
    }

    /// Values one behind the other.
    #[inline]
    pub(crate) fn list<T: Wire>(&mut self, list: &[T]) -> Result<(), EncodeError> {
        list.iter().try_for_each(|value| value.write(self))
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
            #[inline]
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.$int()
            }
            #[inline]
            fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                w.$int(*self);
                Ok(())
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

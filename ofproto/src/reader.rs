//! Reading inside one frame: a cursor over a part of it.
//!
//! The parsers are nom's kind, over the bytes that are left; the reader adds what nom
//! does not know: where in the frame it is, which structure it is in, and how to hand
//! out a part of the frame without copying it.

use crate::error::{DecodeCause, DecodeError};
use crate::wire::Wire;
use bytes::Bytes;
use nom::{IResult, Parser};

/// What a parser here gives. Why it failed is said by the reader, who knows where.
type Parsed<'f, O> = IResult<&'f [u8], O, ()>;

/// A parser of bytes whose number is known when this is compiled. (nom's own take a
/// number at run time; one comparison and one load matter here.)
#[inline(always)]
fn array<const N: usize>(input: &[u8]) -> Parsed<'_, [u8; N]> {
    match input.split_first_chunk::<N>() {
        Some((bytes, left)) => Ok((left, *bytes)),
        None => Err(nom::Err::Error(())),
    }
}

/// A parser of the next `n` bytes, as they stand.
#[inline(always)]
fn slice<'f>(n: usize) -> impl Fn(&'f [u8]) -> Parsed<'f, &'f [u8]> {
    move |input| match input.split_at_checked(n) {
        Some((bytes, left)) => Ok((left, bytes)),
        None => Err(nom::Err::Error(())),
    }
}

/// A cursor over a part of a frame.
pub(crate) struct Reader<'f> {
    frame: &'f Bytes,
    left: &'f [u8],
    /// Where in the frame the part ends.
    end: usize,
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
            end: frame.len(),
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
        // What is left is a tail of what ends at `end`, so this cannot wrap.
        self.end.saturating_sub(self.left.len())
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

    /// What is left of the frame, also behind the part that is read.
    #[inline]
    pub(crate) fn rest_of_frame(&self) -> &'f [u8] {
        self.frame.get(self.offset()..).unwrap_or_default()
    }

    /// What is left, without moving on.
    #[inline]
    pub(crate) fn rest(&self) -> &'f [u8] {
        self.left
    }

    /// An error at the current place.
    #[cold]
    pub(crate) fn error(&self, cause: DecodeCause) -> DecodeError {
        self.error_at(self.offset(), cause)
    }

    /// An error in the current structure at another place.
    #[cold]
    pub(crate) fn error_at(&self, offset: usize, cause: DecodeCause) -> DecodeError {
        DecodeError::new(self.structure, offset, cause)
    }

    /// An error at the current place, where `needed` bytes are not.
    #[cold]
    pub(crate) fn missing(&self, needed: usize) -> DecodeError {
        let left = self.left();
        self.error(DecodeCause::Missing { needed, left })
    }

    /// Runs a parser on what is left.
    #[inline(always)]
    fn parse<O>(
        &mut self,
        needed: usize,
        mut parser: impl Parser<&'f [u8], Output = O, Error = ()>,
    ) -> Result<O, DecodeError> {
        match parser.parse(self.left) {
            Ok((left, value)) => {
                self.left = left;
                Ok(value)
            }
            Err(_) => Err(self.missing(needed)),
        }
    }

    /// The next bytes, whose number is known when this is compiled.
    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.parse(N, array::<N>)
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.parse(1, array.map(u8::from_be_bytes))
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.parse(2, array.map(u16::from_be_bytes))
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.parse(4, array.map(u32::from_be_bytes))
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.parse(8, array.map(u64::from_be_bytes))
    }

    /// The next `n` bytes, borrowed.
    #[inline(always)]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'f [u8], DecodeError> {
        self.parse(n, slice(n))
    }

    /// Skips `n` bytes of padding.
    #[inline(always)]
    pub(crate) fn skip(&mut self, n: usize) -> Result<(), DecodeError> {
        self.take(n).map(|_| ())
    }

    /// Skips `n` bytes, if so many are there.
    #[inline]
    pub(crate) fn step(&mut self, n: usize) -> bool {
        match self.left.get(n..) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Names the structure that was read last, where it was not entered.
    #[inline]
    pub(crate) fn was(&mut self, structure: &'static str) {
        self.read = structure;
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

    /// All that is left, as a slice of the frame.
    #[inline]
    pub(crate) fn remaining(&mut self) -> Result<Bytes, DecodeError> {
        let rest = core::mem::take(&mut self.left);
        // What is left is a part of the frame, which is what `slice_ref` asks for.
        Ok(self.frame.slice_ref(rest))
    }

    /// A reader over the next `n` bytes, which this one then has behind it.
    #[inline]
    pub(crate) fn sub(&mut self, n: usize) -> Result<Reader<'f>, DecodeError> {
        let left = self.take(n)?;
        Ok(Reader {
            frame: self.frame,
            left,
            end: self.offset(),
            structure: self.structure,
            read: self.structure,
        })
    }

    /// Everything must have been read; else the structure that was read last is too
    /// long.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(self.left_over()) }
    }

    #[cold]
    fn left_over(&self) -> DecodeError {
        let left = self.left();
        DecodeError::new(self.read, self.offset(), DecodeCause::Trailing { left })
    }

    /// The next element, whose 16-bit length stands `length_at` bytes behind its start
    /// and counts the whole element. The length must be at least `least`, a multiple of
    /// `multiple`, and within what is left.
    #[inline(always)]
    pub(crate) fn element_bytes(
        &mut self,
        structure: &'static str,
        length_at: usize,
        least: usize,
        multiple: usize,
    ) -> Result<&'f [u8], DecodeError> {
        let said = peek_u16(self.left, length_at);
        let whole = said
            .filter(|said| *said >= least && said.is_multiple_of(multiple))
            .and_then(|said| self.left.split_at_checked(said));
        let Some((element, behind)) = whole else {
            return Err(self.bad_element(structure, length_at, least, multiple));
        };
        self.left = behind;
        self.read = structure;
        Ok(element)
    }

    /// A reader over an element that was just stepped over.
    #[inline(always)]
    pub(crate) fn within(&self, element: &'f [u8], structure: &'static str) -> Reader<'f> {
        Reader {
            frame: self.frame,
            left: element,
            end: self.offset(),
            structure,
            read: structure,
        }
    }

    /// A reader over the next element, which is as in [`Reader::element_bytes`].
    #[inline]
    pub(crate) fn element(
        &mut self,
        structure: &'static str,
        length_at: usize,
        least: usize,
        multiple: usize,
    ) -> Result<Reader<'f>, DecodeError> {
        let element = self.element_bytes(structure, length_at, least, multiple)?;
        Ok(self.within(element, structure))
    }

    /// The first bytes of an element that was just stepped over.
    #[inline]
    pub(crate) fn front<const N: usize>(&self, element: &'f [u8]) -> Result<&'f [u8; N], DecodeError> {
        match element.first_chunk() {
            Some(bytes) => Ok(bytes),
            None => Err(self.missing(N)),
        }
    }

    /// An element that was just stepped over and turned out to be a structure of `N`
    /// bytes.
    #[inline]
    pub(crate) fn exactly<const N: usize>(
        &self,
        structure: &'static str,
        element: &'f [u8],
    ) -> Result<&'f [u8; N], DecodeError> {
        match element.try_into() {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(self.wrong_length(structure, element.len(), N)),
        }
    }

    #[cold]
    fn wrong_length(&self, structure: &'static str, said: usize, must: usize) -> DecodeError {
        let start = self.offset().saturating_sub(said);
        DecodeError::new(structure, start, DecodeCause::WrongLength { said, must })
    }

    /// Why there is no such element.
    #[cold]
    fn bad_element(&mut self, structure: &'static str, length_at: usize, least: usize, multiple: usize) -> DecodeError {
        self.enter(structure);
        let left = self.left();
        match peek_u16(self.left, length_at) {
            None => self.missing(length_at.saturating_add(2)),
            Some(said) if said < least => self.error(DecodeCause::TooShort { said, least }),
            Some(said) if !said.is_multiple_of(multiple) => self.error(DecodeCause::NotMultiple { said, of: multiple }),
            Some(said) => self.error(DecodeCause::PastEnd { said, left }),
        }
    }

    /// Values until nothing is left.
    #[inline]
    pub(crate) fn list<T: Wire>(&mut self) -> Result<Vec<T>, DecodeError> {
        T::read_list(self)
    }

    /// Values until nothing is left, behind those that are in the list.
    ///
    /// Every value takes at least one byte, so this ends. This and the loop over the
    /// fields of a match are the only ones whose end depends on what is read.
    #[inline]
    pub(crate) fn list_onto<T: Wire>(&mut self, mut list: Vec<T>) -> Result<Vec<T>, DecodeError> {
        while !self.is_empty() {
            let before = self.left();
            list.reserve(1);
            T::read_and(self, |_| Ok(()), |value| push_within_capacity(&mut list, value))?;
            debug_assert!(self.left() < before, "{} without a byte", self.read);
        }
        Ok(list)
    }
}

/// `Vec::push_within_capacity`, which is not stable yet: there is room. A push that may
/// make room would first write the value elsewhere and then move it.
#[inline(always)]
fn push_within_capacity<T>(list: &mut Vec<T>, value: T) {
    debug_assert!(list.len() < list.capacity(), "room was made before");
    if list.len() < list.capacity() {
        list.push(value);
    } else {
        core::mem::forget(value);
    }
}

/// The 16-bit number `at` bytes behind the start of `bytes`.
#[inline]
fn peek_u16(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_be_bytes(*number)))
}

/// How many elements there are in `bytes` if all are as long as the first.
#[inline]
pub(crate) fn guess_elements(bytes: &[u8], length_at: usize, least: usize) -> usize {
    let first = peek_u16(bytes, length_at).filter(|said| *said >= least);
    first.and_then(|said| bytes.len().checked_div(said)).unwrap_or(0)
}

/// How many elements stand one behind the other in `bytes`, up to the first whose
/// length is shorter than `least` or goes past the end. They are as in
/// [`Reader::element`].
#[inline]
pub(crate) fn count_elements(mut bytes: &[u8], length_at: usize, least: usize) -> usize {
    let mut count: usize = 0;
    while let Some(said) = peek_u16(bytes, length_at).filter(|said| *said >= least) {
        let Some(behind) = bytes.get(said..) else { break };
        count = count.saturating_add(1);
        bytes = behind;
    }
    count
}

//! What the machine itself needs for the same bytes: the least that anybody who reads
//! or writes a message must do.

use std::hint::black_box;

/// Bytes of `struct ofp_header`.
const HEADER: usize = 8;

/// Checks every length of a frame and reads every byte: the sum of its bytes, taken in
/// words of eight. `None` when a length lies.
///
/// The lengths are those of the message, of its match and the fields in it, and of
/// instructions, actions, buckets and entries: each must be inside of what contains it
/// and, where the specification says so, a multiple of eight.
#[inline(never)]
pub fn touch(frame: &[u8]) -> Option<u64> {
    lengths(frame)?;
    Some(bytes(frame))
}

/// One summing pass that the compiler may vectorise.
#[inline]
fn bytes(frame: &[u8]) -> u64 {
    let (words, rest) = frame.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(0_u64, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

#[inline]
fn lengths(frame: &[u8]) -> Option<()> {
    let kind = *frame.get(1)?;
    let body = (u16_at(frame, 2)? == frame.len()).then(|| frame.get(HEADER..))??;
    match kind {
        10 => {
            let tail = matching(body.get(16..)?)?;
            (tail.len() >= 2).then_some(())
        }
        12 => (body.len() == 72).then_some(()),
        13 => {
            let length = u16_at(body, 8)?;
            actions(body.get(16..)?.get(..length)?)
        }
        14 => instructions(matching(body.get(40..)?)?),
        15 => elements(body.get(8..)?, 0, 16, |bucket| actions(bucket.get(16..)?)),
        19 => elements(body.get(8..)?, 0, 56, |entry| instructions(matching(entry.get(48..)?)?)),
        _ => Some(()),
    }
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_be_bytes(*two)))
}

/// A list of elements, each with its length `at` bytes behind its start.
#[inline]
fn elements(mut list: &[u8], at: usize, least: usize, check: impl Fn(&[u8]) -> Option<()>) -> Option<()> {
    while !list.is_empty() {
        let length = u16_at(list, at)?;
        if length < least || !length.is_multiple_of(8) {
            return None;
        }
        let (element, rest) = list.split_at_checked(length)?;
        check(element)?;
        list = rest;
    }
    Some(())
}

#[inline]
fn instructions(list: &[u8]) -> Option<()> {
    elements(list, 2, 8, |instruction| match u16_at(instruction, 0)? {
        3 | 4 => actions(instruction.get(8..)?),
        _ => Some(()),
    })
}

#[inline]
fn actions(list: &[u8]) -> Option<()> {
    elements(list, 2, 8, |action| match u16_at(action, 0)? {
        25 => {
            let width = usize::from(*action.get(7)?);
            action.get(8..)?.get(..width).map(|_| ())
        }
        _ => Some(()),
    })
}

/// A match; what stands behind it.
#[inline]
fn matching(bytes: &[u8]) -> Option<&[u8]> {
    let length = u16_at(bytes, 2)?;
    let mut fields = bytes.get(4..length)?;
    while !fields.is_empty() {
        let width = usize::from(*fields.get(3)?);
        fields = fields.get(4..)?.get(width..)?;
    }
    bytes.get(length.next_multiple_of(8)..)
}

/// Copies a frame into a buffer that has room for it.
#[inline(never)]
pub fn copy(frame: &[u8], out: &mut [u8]) -> bool {
    let Some(room) = out.get_mut(..frame.len()) else {
        return false;
    };
    room.copy_from_slice(frame);
    black_box(room);
    true
}

//! What is measured of `ofproto`: loops over one message, and over a stream.

use crate::checksum;
use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use ofproto::{DecodeError, Framer, Message};
use std::hint::black_box;

/// Decodes a frame `times` times, each into a value of its own of which every field is
/// read; the sum of the checksums.
///
/// # Errors
/// The frame cannot be decoded.
pub fn decode(frame: &Bytes, times: u64) -> Result<u64, DecodeError> {
    let mut sum = 0_u64;
    for _ in 0..times {
        sum = sum.wrapping_add(read(black_box(frame))?);
    }
    Ok(sum)
}

/// Decodes a frame and reads every field of the value where it is: unpacking the result
/// could move it, which is no part of decoding.
#[inline]
fn read(frame: &Bytes) -> Result<u64, DecodeError> {
    let message = owned(frame);
    match black_box(&message) {
        Ok(message) => Ok(checksum::of(message)),
        Err(error) => Err(error.clone()),
    }
}

/// A call, so that the value is really made and not only the sum of its fields.
#[inline(never)]
fn owned(frame: &Bytes) -> Result<Message, DecodeError> {
    Message::decode(frame)
}

/// Encodes a message `times` times into the same buffer; how many bytes were written.
///
/// # Errors
/// The message cannot be encoded.
pub fn encode(message: &Message, out: &mut BytesMut, times: u64) -> Result<u64> {
    let mut written = 0;
    for _ in 0..times {
        out.clear();
        into(black_box(message), out)?;
        written += black_box(&*out).len() as u64;
    }
    Ok(written)
}

/// A call, for the same reason.
#[inline(never)]
fn into(message: &Message, out: &mut BytesMut) -> Result<(), ofproto::EncodeError> {
    message.encode(out)
}

/// The whole stream through a framer, read by read, each message decoded and read; the
/// sum of the checksums.
///
/// # Errors
/// The stream cannot be cut or a frame not decoded, or something is left over.
pub fn frames(stream: &Stream) -> Result<u64> {
    let mut framer = Framer::new();
    let (mut sum, mut from) = (0_u64, 0);
    for end in &stream.ends {
        // What a connection does: the kernel copies what came behind what waits.
        framer.push(stream.bytes.get(from..*end).context("a read inside of the stream")?);
        from = *end;
        while let Some(frame) = framer.next_frame()? {
            sum = sum.wrapping_add(read(&frame)?);
        }
    }
    ensure!(framer.waiting() == 0, "bytes are left behind the last frame");
    Ok(sum)
}

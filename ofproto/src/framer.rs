//! Cuts the stream of a connection into whole frames.

use crate::header::{HEADER_LEN, Header};
use bytes::{Bytes, BytesMut};
use core::fmt;

/// The stream cannot be cut any further: where the next message starts is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// The header whose length is smaller than the header itself.
    pub header: Header,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ofp_header at offset 0: length {}, at least {HEADER_LEN} needed",
            self.header.length
        )
    }
}

impl std::error::Error for FrameError {}

/// Bytes in, whole frames out.
///
/// A frame is at most 65,535 bytes because its length field has 16 bits. So who
/// takes all frames before adding more bytes never has more than one frame and
/// one read waiting here. Frames are slices of the buffer they were read into,
/// not copies.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
}

impl Framer {
    /// An empty framer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer itself, to read into its end without copying. Only append to it.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that wait for the rest of their frame.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame, or `None` until more bytes have come.
    ///
    /// # Errors
    /// A length below eight. The stream is lost then: every further call says so again.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(header) = Header::peek(&self.buffer) else {
            return Ok(None);
        };
        let length = usize::from(header.length);
        if length < HEADER_LEN {
            return Err(FrameError { header });
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

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

/// The most bytes that wait in the buffer that frames are cut from. A frame is a slice of
/// it, and who keeps one frame keeps the buffer: so it is no larger than two of the
/// longest frames, however many bytes were pushed at once. What is more waits beside it.
const BUFFER_MAX: usize = 2 << 16;

/// Bytes in, whole frames out.
///
/// A frame is at most 65,535 bytes because its length field has 16 bits. So who
/// takes all frames before adding more bytes never has more than one frame and
/// one read waiting here. Frames are slices of the buffer they were read into,
/// not copies; a frame that is kept for long keeps about twice 128 KiB at most.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// What did not fit into the buffer.
    beyond: BytesMut,
}

impl Framer {
    /// An empty framer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = if self.beyond.is_empty() {
            BUFFER_MAX.saturating_sub(self.buffer.len())
        } else {
            0
        };
        match bytes.split_at_checked(room) {
            None => self.buffer.extend_from_slice(bytes),
            Some((first, beyond)) => {
                self.buffer.extend_from_slice(first);
                self.beyond.extend_from_slice(beyond);
            }
        }
    }

    /// The buffer itself, to read into its end without copying. Only append to it, and
    /// only what one read gives: what was pushed before and does not fit is not in it.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        if !self.beyond.is_empty() {
            // In order before all else: what waits beside the buffer is older.
            self.buffer.unsplit(core::mem::take(&mut self.beyond));
        }
        &mut self.buffer
    }

    /// Bytes that wait for the rest of their frame.
    pub fn waiting(&self) -> usize {
        self.buffer.len().saturating_add(self.beyond.len())
    }

    /// The next whole frame, or `None` until more bytes have come.
    ///
    /// # Errors
    /// A length below eight. The stream is lost then: every further call says so again.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        match self.cut()? {
            None if !self.beyond.is_empty() => {
                self.refill();
                self.cut()
            }
            frame => Ok(frame),
        }
    }

    /// Moves what waits beside the buffer into it, as much as there is room for: more
    /// than the longest frame, when there is no whole frame in it.
    #[cold]
    fn refill(&mut self) {
        let room = BUFFER_MAX.saturating_sub(self.buffer.len());
        let next = self.beyond.split_to(room.min(self.beyond.len()));
        self.buffer.extend_from_slice(&next);
    }

    /// The next whole frame of those in the buffer.
    #[inline]
    fn cut(&mut self) -> Result<Option<Bytes>, FrameError> {
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

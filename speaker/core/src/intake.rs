//! The reading side of one connection: whole frames out of reads that are cut anywhere, without copying what lies whole in a
//! read, and without a trace of what nobody wants.
//!
//! It knows lengths and nothing else of OpenFlow.

use bytes::{Buf, Bytes, BytesMut};
use ofproto::{FrameError, HEADER_LEN, Header};

/// What was read and not looked at yet. Between two reads only the beginning of one frame is kept, in a buffer of its own
/// that is given back with the frame, so a connection that says nothing holds nothing.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// The beginning of a frame whose end has not come.
    begun: BytesMut,
    /// What came behind it.
    read: Bytes,
}

/// The length of the frame at the front, if its header is there.
fn length(front: &[u8]) -> Result<Option<usize>, FrameError> {
    match Header::peek(front) {
        Some(header) if usize::from(header.length) < HEADER_LEN => Err(FrameError { header }),
        Some(header) => Ok(Some(usize::from(header.length))),
        None => Ok(None),
    }
}

impl Intake {
    /// Bytes came. What came before has been taken, but for the beginning of a frame.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.read.is_empty() {
            self.read = bytes;
        } else {
            // Nobody pushes twice without taking frames in between; if he does, nothing is lost.
            let mut both = BytesMut::from(&self.read[..]);
            both.extend_from_slice(&bytes);
            self.read = both.freeze();
        }
    }

    /// The next whole frame that `unwanted` does not take. `None`: more bytes have to come.
    pub(crate) fn next_frame(&mut self, mut unwanted: impl FnMut(&[u8]) -> bool) -> Result<Option<Bytes>, FrameError> {
        loop {
            if !self.begun.is_empty() {
                if !self.complete()? {
                    return Ok(None);
                }
                let frame = std::mem::take(&mut self.begun);
                if !unwanted(&frame) {
                    return Ok(Some(frame.freeze()));
                }
                continue;
            }
            let Some(length) = length(&self.read)?.filter(|length| *length <= self.read.len()) else {
                self.begun.extend_from_slice(&self.read);
                // The read's buffer is free from here on.
                self.read = Bytes::new();
                return Ok(None);
            };
            if !unwanted(&self.read[..length]) {
                return Ok(Some(self.read.split_to(length)));
            }
            self.read.advance(length);
        }
    }

    /// Bring the begun frame to its end, if the read has it.
    fn complete(&mut self) -> Result<bool, FrameError> {
        let header = HEADER_LEN.saturating_sub(self.begun.len());
        self.begin(header);
        let Some(length) = length(&self.begun)? else {
            return Ok(false);
        };
        self.begin(length.saturating_sub(self.begun.len()));
        Ok(self.begun.len() == length)
    }

    /// Move so many bytes of the read to the begun frame, or as many as there are.
    fn begin(&mut self, bytes: usize) {
        let moved = self.read.split_to(bytes.min(self.read.len()));
        self.begun.extend_from_slice(&moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofproto::Framer;
    use proptest::prelude::*;

    fn frame(kind: u8, length: u16) -> Vec<u8> {
        let mut frame = vec![4, kind];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.resize(usize::from(length).max(HEADER_LEN), kind);
        frame
    }

    /// All frames of these reads, and whether the stream is lost.
    fn frames(reads: &[Vec<u8>]) -> (Vec<Bytes>, bool) {
        let mut intake = Intake::default();
        let mut found = Vec::new();
        for read in reads {
            intake.push(Bytes::copy_from_slice(read));
            loop {
                match intake.next_frame(|_| false) {
                    Ok(Some(frame)) => found.push(frame),
                    Ok(None) => break,
                    Err(_) => return (found, true),
                }
            }
        }
        (found, false)
    }

    fn by_framer(reads: &[Vec<u8>]) -> (Vec<Bytes>, bool) {
        let mut framer = Framer::new();
        let mut found = Vec::new();
        for read in reads {
            framer.push(read);
            loop {
                match framer.next_frame() {
                    Ok(Some(frame)) => found.push(frame),
                    Ok(None) => break,
                    Err(_) => return (found, true),
                }
            }
        }
        (found, false)
    }

    #[test]
    fn nothing_is_held_between_whole_frames() {
        let mut intake = Intake::default();
        let mut read = frame(2, 8);
        read.extend(frame(10, 60_000));
        intake.push(Bytes::from(read));
        assert!(intake.next_frame(|_| false).expect("whole").is_some());
        assert!(intake.next_frame(|_| false).expect("whole").is_some());
        assert!(intake.next_frame(|_| false).expect("nothing").is_none());
        assert_eq!((intake.begun.capacity(), intake.read.len()), (0, 0));
    }

    #[test]
    fn what_is_unwanted_is_passed_over_wherever_a_read_cuts_it() {
        let stream: Vec<u8> = [frame(10, 50), frame(3, 9), frame(10, 3_000), frame(10, 8), frame(3, 10)].concat();
        for cut in 0..=stream.len() {
            let mut intake = Intake::default();
            let mut found = Vec::new();
            for read in [&stream[..cut], &stream[cut..]] {
                intake.push(Bytes::copy_from_slice(read));
                while let Some(frame) = intake.next_frame(|f| f[1] == 10).expect("readable") {
                    found.push(frame.len());
                }
            }
            assert_eq!(found, [9, 10], "cut at {cut}");
        }
    }

    #[test]
    fn a_length_below_eight_is_the_end_however_it_comes() {
        let mut bytes = frame(2, 8);
        bytes.extend([4, 2, 0, 7, 0, 0, 0, 1, 9]);
        for cut in 0..=bytes.len() {
            let (found, lost) = frames(&[bytes[..cut].to_vec(), bytes[cut..].to_vec()]);
            assert_eq!((found.len(), lost), (1, true), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn it_cuts_as_the_framer_of_the_codec_does(
            lengths in prop::collection::vec(prop_oneof![8u16..40, 8u16..5_000, 0u16..9], 0..20),
            cuts in prop::collection::vec(1usize..3_000, 0..40),
        ) {
            let mut stream: Vec<u8> = lengths.iter().flat_map(|l| frame((*l % 30) as u8, *l)).collect();
            let mut reads = Vec::new();
            for cut in cuts {
                let rest = stream.split_off(cut.min(stream.len()));
                reads.push(std::mem::replace(&mut stream, rest));
            }
            reads.push(stream);
            prop_assert_eq!(frames(&reads), by_framer(&reads));
        }
    }
}

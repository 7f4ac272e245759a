//! The framer: the same frames come out wherever the stream is cut into reads.
//!
//! The first byte says how many of the next say where it is cut, and how it comes; the
//! rest is the stream.

use bytes::Bytes;
use ofproto::{FrameError, Framer, HEADER_LEN};

/// Lengths of reads that the input chooses from, apart from the small ones.
const READS: [usize; 4] = [64, 1_024, 4_096, 65_536];

/// Bits of the first byte: how many bytes say where it is cut, whether it is read into the
/// framer's own buffer, and whether the stream comes again and again until it is longer
/// than what the framer keeps in one piece.
const CUTS: u8 = 0x0f;
const INTO_BUFFER: u8 = 0x40;
const AGAIN: u8 = 0x80;

/// The longest stream, if it comes again and again.
const STREAM_MAX: usize = 400_000;

/// Checks the framer with these bytes.
pub fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let (cuts, once) = rest.split_at(usize::from(first & CUTS).min(rest.len()));
    // So long a stream byte by byte would be all that the target has time for.
    let (times, least) = match STREAM_MAX.checked_div(once.len()) {
        Some(times) if first & AGAIN != 0 => (times.max(1), 4_096),
        _ => (1, 1),
    };
    let stream = &once.repeat(times);
    let (wanted, left, broken) = walk(stream);
    let reads = |cut: &u8| match cut {
        250.. => READS[usize::from(cut % 4)],
        _ => usize::from(*cut) + 1,
    };
    let sizes: Vec<usize> = cuts.iter().map(reads).map(|size| size.max(least)).collect();
    let into_buffer = first & INTO_BUFFER != 0;
    let at_once = run(stream, &[stream.len().max(1)], into_buffer);
    let cut = run(
        stream,
        if sizes.is_empty() {
            std::slice::from_ref(&least)
        } else {
            &sizes
        },
        into_buffer,
    );
    for (framer, frames, error) in [at_once, cut] {
        assert_eq!(frames, wanted);
        assert_eq!(error.is_some(), broken);
        // After a length that is impossible what is read is no longer cut.
        assert!(broken || framer.waiting() == left);
    }
}

/// The frames of a stream by walking from length to length, how many bytes are left
/// behind them, and whether the walk ended at a length that is impossible.
fn walk(mut stream: &[u8]) -> (Vec<&[u8]>, usize, bool) {
    let mut frames = Vec::new();
    loop {
        let length = match stream {
            [_, _, high, low, _, _, _, _, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => return (frames, stream.len(), false),
        };
        if length < HEADER_LEN {
            return (frames, stream.len(), true);
        }
        match stream.split_at_checked(length) {
            Some((frame, rest)) => {
                frames.push(frame);
                stream = rest;
            }
            None => return (frames, stream.len(), false),
        }
    }
}

/// What a framer makes of a stream that comes in reads of these sizes, over and over.
fn run(mut stream: &[u8], sizes: &[usize], into_buffer: bool) -> (Framer, Vec<Bytes>, Option<FrameError>) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for size in sizes.iter().cycle() {
        let (read, rest) = stream.split_at((*size).min(stream.len()));
        stream = rest;
        if into_buffer {
            framer.buffer_mut().extend_from_slice(read);
        } else {
            framer.push(read);
        }
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framer.next_frame(), Err(error), "a lost stream stays lost");
                    return (framer, frames, Some(error));
                }
            }
        }
        assert!(framer.waiting() < usize::from(u16::MAX), "a whole frame waits");
        if stream.is_empty() {
            break;
        }
    }
    (framer, frames, None)
}

//! The framer: the same frames come out wherever the stream is cut into reads.
//!
//! The first byte says how many of the next say where it is cut; the rest is the stream.

use bytes::Bytes;
use ofproto::{FrameError, Framer, HEADER_LEN};

/// Lengths of reads that the input chooses from, apart from the small ones.
const READS: [usize; 4] = [64, 1_024, 4_096, 65_536];

/// Checks the framer with these bytes.
pub fn check(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else {
        return;
    };
    let (cuts, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let (wanted, left, broken) = walk(stream);
    let reads = |cut: &u8| match cut {
        250.. => READS[usize::from(cut % 4)],
        _ => usize::from(*cut) + 1,
    };
    let sizes: Vec<usize> = cuts.iter().map(reads).collect();
    let at_once = run(stream, &[stream.len().max(1)]);
    let cut = run(stream, if sizes.is_empty() { &[1] } else { &sizes });
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
fn run(mut stream: &[u8], sizes: &[usize]) -> (Framer, Vec<Bytes>, Option<FrameError>) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for size in sizes.iter().cycle() {
        let (read, rest) = stream.split_at((*size).min(stream.len()));
        stream = rest;
        framer.push(read);
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

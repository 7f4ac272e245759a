//! Frames out of captured TCP segments: one stream for each connection and direction.
//!
//! Segments may come twice, overlap, or come in any order; a stream goes on where its next byte is. Frames are
//! told as each becomes whole. A stream is OpenFlow when one of its ports is, or when it begins like OpenFlow.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use bytes::Bytes;
use ofproto::Framer;

use super::codec::Malformed;
use super::packet::Segment;

/// OpenFlow's registered port, and the one that was used before it.
const PORTS: [u16; 2] = [6653, 6633];

/// Bytes of a stream that may wait for a missing segment. A sender's window is rarely larger; beyond it the
/// segment was lost by the capture, and the stream is given up with an error.
const WAITING_MAX: usize = 4 * 1024 * 1024;

/// Segments that may wait, each of which costs more than its bytes.
const WAITING_SEGMENTS_MAX: usize = 16_384;

/// Streams at a time. A capture with more is not one of a controller's port; segments of further ones are passed over.
const STREAMS_MAX: usize = 100_000;

/// What is found in a stream.
pub type Found = Result<Bytes, Malformed>;

/// All streams of a capture.
#[derive(Debug, Default)]
pub struct Streams {
    index: HashMap<(SocketAddr, SocketAddr), usize>,
    streams: Vec<Stream>,
}

impl Streams {
    /// Takes a segment; frames that become whole by it are put into `found`.
    pub fn take(&mut self, segment: &Segment<'_>, found: &mut Vec<Found>) {
        let key = (segment.from, segment.to);
        let index = match self.index.get(&key) {
            Some(&index) => index,
            None if self.streams.len() >= STREAMS_MAX || (segment.payload.is_empty() && !segment.syn) => return,
            None => {
                let certain = PORTS.contains(&segment.from.port()) || PORTS.contains(&segment.to.port());
                self.streams.push(Stream::new(segment, certain));
                self.index.insert(key, self.streams.len() - 1);
                self.streams.len() - 1
            }
        };
        self.streams[index].take(segment, found);
    }

    /// The capture is over: what is left of unfinished frames is told, streams in the order in which they began.
    pub fn finish(&mut self, found: &mut Vec<Found>) {
        for stream in &mut self.streams {
            stream.finish(found);
        }
    }
}

#[derive(Debug)]
enum Kind {
    /// Too little was seen to know.
    Undecided(Vec<u8>),
    OpenFlow(Framer),
    /// Something else, or cannot be followed any further.
    Ignored,
}

#[derive(Debug)]
struct Stream {
    /// Sequence number of the next byte.
    next: u32,
    /// Whether its port says that it is OpenFlow.
    certain: bool,
    kind: Kind,
    /// Segments ahead of `next`, by sequence number.
    waiting: BTreeMap<u32, Vec<u8>>,
    waiting_bytes: usize,
}

impl Stream {
    fn new(segment: &Segment<'_>, certain: bool) -> Self {
        Stream {
            next: segment.seq.wrapping_add(u32::from(segment.syn)),
            certain,
            kind: if certain {
                Kind::OpenFlow(Framer::new())
            } else {
                Kind::Undecided(Vec::new())
            },
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
        }
    }

    fn take(&mut self, segment: &Segment<'_>, found: &mut Vec<Found>) {
        let first = segment.seq.wrapping_add(u32::from(segment.syn));
        if segment.syn && first != self.next && !self.is_ahead_or_seen(first) {
            // Another connection between the same two ports.
            self.finish(found);
            *self = Stream::new(segment, self.certain);
        }
        self.add(first, segment.payload, found);
        while let Some((seq, payload)) = self.next_waiting() {
            self.add(seq, &payload, found);
        }
        let end = first.wrapping_add(segment.payload.len() as u32);
        if segment.cut > 0 && end == self.next {
            self.give_up(format!("{} bytes were cut off by the capture", segment.cut), found);
        }
        if self.waiting_bytes > WAITING_MAX || self.waiting.len() > WAITING_SEGMENTS_MAX {
            self.give_up("a segment is missing in the capture".to_owned(), found);
        }
    }

    /// Whether a sequence number is near where the stream is: within a window before or after it.
    fn is_ahead_or_seen(&self, seq: u32) -> bool {
        (seq.wrapping_sub(self.next) as i32).unsigned_abs() as usize <= WAITING_MAX
    }

    fn add(&mut self, seq: u32, payload: &[u8], found: &mut Vec<Found>) {
        if payload.is_empty() || matches!(self.kind, Kind::Ignored) {
            return;
        }
        let ahead = seq.wrapping_sub(self.next) as i32;
        if ahead > 0 {
            let known = self.waiting.entry(seq).or_default();
            // Of two segments that begin at the same byte the longer one says more.
            if payload.len() > known.len() {
                self.waiting_bytes += payload.len() - known.len();
                *known = payload.to_vec();
            }
            return;
        }
        let Some(new) = payload.get(ahead.unsigned_abs() as usize..) else {
            return;
        };
        self.next = self.next.wrapping_add(new.len() as u32);
        self.push(new, found);
    }

    /// A waiting segment that is not ahead any more.
    fn next_waiting(&mut self) -> Option<(u32, Vec<u8>)> {
        let next = self.next;
        // Few wait at a time; numbers may have wrapped, so that the first by number need not be the next.
        let seq = *self.waiting.keys().find(|seq| (seq.wrapping_sub(next) as i32) <= 0)?;
        let payload = self.waiting.remove(&seq)?;
        self.waiting_bytes -= payload.len();
        Some((seq, payload))
    }

    fn push(&mut self, new: &[u8], found: &mut Vec<Found>) {
        if let Kind::Undecided(seen) = &mut self.kind {
            seen.extend_from_slice(new);
            let Some(like) = begins_like_openflow(seen) else { return };
            let seen = std::mem::take(seen);
            if !like {
                self.kind = Kind::Ignored;
                return;
            }
            let mut framer = Framer::new();
            framer.push(&seen);
            self.kind = Kind::OpenFlow(framer);
        } else if let Kind::OpenFlow(framer) = &mut self.kind {
            framer.push(new);
        }
        let Kind::OpenFlow(framer) = &mut self.kind else { return };
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => found.push(Ok(frame)),
                Ok(None) => return,
                Err(error) => {
                    found.push(Err(Malformed {
                        error: format!(
                            "length {}, at least {} needed",
                            error.header.length,
                            ofproto::HEADER_LEN
                        ),
                        structure: "ofp_header".into(),
                        offset: 0,
                    }));
                    self.ignore();
                    return;
                }
            }
        }
    }

    fn give_up(&mut self, error: String, found: &mut Vec<Found>) {
        if let Kind::OpenFlow(framer) = &self.kind {
            found.push(Err(Malformed {
                error,
                structure: "tcp".into(),
                offset: framer.waiting(),
            }));
        }
        self.ignore();
    }

    fn ignore(&mut self) {
        self.kind = Kind::Ignored;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    fn finish(&mut self, found: &mut Vec<Found>) {
        if !self.waiting.is_empty() {
            self.give_up("a segment is missing in the capture".to_owned(), found);
        } else if let Kind::OpenFlow(framer) = &self.kind
            && framer.waiting() > 0
        {
            self.give_up("the capture ends within a frame".to_owned(), found);
        }
        self.ignore();
    }
}

/// Whether the first bytes of a stream are a header that OpenFlow can begin with; `None`: too few to know.
fn begins_like_openflow(bytes: &[u8]) -> Option<bool> {
    let [version, kind, high, low] = *bytes.first_chunk()?;
    // Versions 1.0 to 1.5, and the types that the largest of them has.
    Some((1..=6).contains(&version) && kind <= 35 && u16::from_be_bytes([high, low]) >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed unless the runner of the tests gives another; printed with each failure.
    const SEED: u64 = 0x7c9;

    #[test]
    fn however_a_stream_is_cut_repeated_and_shuffled_the_same_frames_come_out() {
        let given = std::env::var("PROPTEST_RNG_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed: u64 = given.unwrap_or(SEED);
        println!("seed {seed}");
        // Nothing comes of zero.
        let mut state = seed | 1;
        let mut random = |below: usize| {
            // xorshift64, which needs no crate.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let from = SocketAddr::from(([10, 0, 0, 1], 40_000));
        let to = SocketAddr::from(([10, 0, 0, 2], 6_653));
        for _ in 0..2_000 {
            let frames: Vec<Bytes> = (0..1 + random(6))
                .map(|number| {
                    let length = 8 + random(40);
                    let mut frame = vec![4, 2, 0, length as u8, 0, 0, 0, number as u8];
                    frame.resize_with(length, || random(256) as u8);
                    frame.into()
                })
                .collect();
            let stream = frames.concat();
            // Near the end of the numbers in half of the cases, so that they wrap.
            let isn = if random(2) == 0 {
                u32::MAX - random(100) as u32
            } else {
                random(1 << 30) as u32
            };
            // Pieces that cover the stream, some pieces of it again, and a random order.
            let mut pieces = Vec::new();
            let mut at = 0;
            while at < stream.len() {
                let end = (at + 1 + random(30)).min(stream.len());
                pieces.push((at, end));
                at = end;
            }
            for _ in 0..random(6) {
                let first = random(stream.len());
                pieces.push((first, (first + random(50)).min(stream.len())));
            }
            for last in (1..pieces.len()).rev() {
                pieces.swap(last, random(last + 1));
            }
            let mut streams = Streams::default();
            let mut found = Vec::new();
            let syn = Segment {
                from,
                to,
                seq: isn,
                syn: true,
                payload: &[],
                cut: 0,
            };
            streams.take(&syn, &mut found);
            for (first, end) in pieces {
                let segment = Segment {
                    seq: isn.wrapping_add(1 + first as u32),
                    syn: false,
                    payload: &stream[first..end],
                    ..syn
                };
                streams.take(&segment, &mut found);
                if random(10) == 0 {
                    // The opening again, which must not begin anew.
                    streams.take(&syn, &mut found);
                }
            }
            streams.finish(&mut found);
            let expected: Vec<Found> = frames.into_iter().map(Ok).collect();
            assert_eq!(found, expected);
        }
    }
}

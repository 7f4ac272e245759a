//! The measurements: rounds in which everything that is compared takes its turn.

use crate::clock;
use crate::corpus::Kind;
use crate::peer::{Mode, Peer};
use crate::stream::Stream;
use crate::{allocations, floor, ours, reading};
use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use ofproto::Message;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds to measure.
    pub rounds: usize,
    /// About how long one measurement takes.
    pub measurement: Duration,
    /// When this is over, no further round is begun, once there are `ROUNDS_MIN`.
    pub time_max: Duration,
}

/// The fewest rounds of which a median is given.
pub const ROUNDS_MIN: usize = 7;

/// Messages of which the allocations are counted; each must allocate as often as every
/// other, so the figure is exact.
const COUNTED: u64 = 100;

/// The values of one figure, one for each round.
#[derive(Clone, Debug)]
pub struct Series {
    /// The figure's name.
    pub name: String,
    /// One value for each round; empty when it cannot be measured.
    pub values: Vec<f64>,
}

/// Everything that was measured, in the order in which it was.
#[derive(Clone, Debug, Default)]
pub struct Measured(pub Vec<Series>);

impl Measured {
    fn push(&mut self, name: String, value: Option<f64>) {
        let at = self.0.iter().position(|series| series.name == name).unwrap_or_else(|| {
            self.0.push(Series {
                name,
                values: Vec::new(),
            });
            self.0.len() - 1
        });
        if let Some(series) = self.0.get_mut(at) {
            series.values.extend(value);
        }
    }

    /// The values of a figure; none if it was not measured.
    pub fn values(&self, name: &str) -> &[f64] {
        let series = self.0.iter().find(|series| series.name == name);
        series.map(|series| series.values.as_slice()).unwrap_or_default()
    }
}

/// Room of the buffer that is encoded into: a whole message always fits.
const ROOM: usize = 65_536;

/// Bytes within which a processor compares addresses first.
const PAGE: usize = 4_096;

/// Buffers that are tried for one at a good place; each stands at another.
const TRIES: usize = 64;

/// A buffer that stands apart from a frame, counted within pages: a processor takes a write
/// for one to what it reads when both stand at the same place of their pages, and waits.
/// Where a buffer comes to stand is luck, and would be measured.
fn apart_from<T: AsRef<[u8]>>(frame: &[u8], make: impl Fn() -> T) -> T {
    let mut rejected = Vec::new();
    loop {
        let buffer = make();
        let behind = (buffer.as_ref().as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize) % PAGE;
        if rejected.len() == TRIES || (PAGE / 4..PAGE / 4 * 3).contains(&behind) {
            return buffer;
        }
        rejected.push((buffer, vec![0_u8; PAGE / 8]));
    }
}

/// One kind of message, with what its measurements need.
struct Case {
    kind: Kind,
    frame: Bytes,
    message: Message,
    checksum: u64,
    out: BytesMut,
    copy: Vec<u8>,
    decodes: u64,
    encodes: u64,
    touches: u64,
    copies: u64,
}

impl Case {
    fn new(kind: Kind) -> Result<Self> {
        let frame = kind.frame()?;
        let message = Message::decode(&frame).with_context(|| kind.name())?;
        let case = Self {
            kind,
            checksum: reading::checksum(&frame)?,
            message,
            out: apart_from(&frame, || BytesMut::with_capacity(ROOM)),
            copy: apart_from(&frame, || vec![0; frame.len()]),
            frame,
            decodes: 1,
            encodes: 1,
            touches: 1,
            copies: 1,
        };
        Ok(case)
    }

    /// Finds out how many times make one measurement; warms up as well.
    fn calibrate(&mut self, wanted: Duration) -> Result<()> {
        self.decodes = clock::times_for(wanted, |times| self.decode(times))?;
        self.encodes = clock::times_for(wanted, |times| self.encode(times))?;
        self.touches = clock::times_for(wanted, |times| self.touch(times))?;
        self.copies = clock::times_for(wanted, |times| self.copy(times))?;
        Ok(())
    }

    fn decode(&self, times: u64) -> Result<f64> {
        let (took, sum) = clock::timed(|| Ok(ours::decode(&self.frame, times)?))?;
        let must = self.checksum.wrapping_mul(times);
        ensure!(
            sum == must,
            "{} decode: checksum {sum}, the bytes say {must}",
            self.kind.name()
        );
        Ok(took)
    }

    fn encode(&mut self, times: u64) -> Result<f64> {
        let (took, written) = clock::timed(|| ours::encode(&self.message, &mut self.out, times))?;
        ensure!(
            written == times.wrapping_mul(self.frame.len() as u64) && self.out == self.frame,
            "{} encode: not the bytes of the corpus",
            self.kind.name()
        );
        Ok(took)
    }

    fn touch(&self, times: u64) -> Result<f64> {
        let (took, lie) = clock::timed(|| {
            Ok((0..times).any(|_| match floor::touch(black_box(&self.frame)) {
                Some(sum) => {
                    black_box(sum);
                    false
                }
                None => true,
            }))
        })?;
        ensure!(!lie, "{} touch: a length lies", self.kind.name());
        Ok(took)
    }

    fn copy(&mut self, times: u64) -> Result<f64> {
        let (took, whole) = clock::timed(|| {
            let copy = |_| floor::copy(black_box(&self.frame), black_box(&mut self.copy));
            Ok((0..times).all(copy))
        })?;
        ensure!(
            whole && self.copy == self.frame,
            "{} memcpy: not the bytes of the corpus",
            self.kind.name()
        );
        Ok(took)
    }

    /// One round of everything about this kind: what is compared stands side by side.
    fn round(&mut self, peers: &mut [Peer], measured: &mut Measured) -> Result<()> {
        let name = self.kind.name();
        let each = |took: f64, times: u64| Some(took / times as f64);
        measured.push(
            format!("{name}_touch_ns"),
            each(self.touch(self.touches)?, self.touches),
        );
        measured.push(
            format!("{name}_decode_ns"),
            each(self.decode(self.decodes)?, self.decodes),
        );
        for peer in &mut *peers {
            let took = peer.measure(self.kind, Mode::Decode)?;
            measured.push(format!("{name}_decode_{}_ns", peer.name), took);
        }
        measured.push(format!("{name}_memcpy_ns"), each(self.copy(self.copies)?, self.copies));
        measured.push(
            format!("{name}_encode_ns"),
            each(self.encode(self.encodes)?, self.encodes),
        );
        for peer in peers {
            let took = peer.measure(self.kind, Mode::Encode)?;
            measured.push(format!("{name}_encode_{}_ns", peer.name), took);
        }
        let (decoding, encoding) = self.allocations()?;
        measured.push(format!("{name}_decode_allocs"), Some(decoding));
        measured.push(format!("{name}_encode_allocs"), Some(encoding));
        Ok(())
    }

    /// Allocations to decode and to encode one message.
    fn allocations(&mut self) -> Result<(f64, f64)> {
        let before = allocations::so_far();
        self.decode(COUNTED)?;
        let between = allocations::so_far();
        self.encode(COUNTED)?;
        let after = allocations::so_far();
        let each = |count: u64| count as f64 / COUNTED as f64;
        Ok((each(between - before), each(after - between)))
    }
}

/// Measures everything, round by round.
///
/// # Errors
/// A codec read or wrote something else than the corpus says, or a worker failed.
pub fn run(effort: Effort, peers: &mut [Peer], mut progress: impl FnMut(usize)) -> Result<Measured> {
    let start = Instant::now();
    let mut cases: Vec<Case> = Kind::ALL.into_iter().map(Case::new).collect::<Result<_>>()?;
    for case in &mut cases {
        case.calibrate(effort.measurement)?;
    }
    let stream = Stream::new()?;
    let mut passes = |times: u64| -> Result<f64> {
        let (took, sum) = clock::timed(|| (0..times).try_fold(0, |_, _| ours::frames(&stream)))?;
        ensure!(
            sum == stream.checksum,
            "framer: checksum {sum}, the bytes say {}",
            stream.checksum
        );
        Ok(took)
    };
    let times = clock::times_for(effort.measurement, &mut passes)?;

    let mut measured = Measured::default();
    for round in 0..effort.rounds {
        if round >= ROUNDS_MIN && start.elapsed() > effort.time_max {
            break;
        }
        progress(round);
        for case in &mut cases {
            case.round(peers, &mut measured)?;
        }
        let messages = (times * stream.messages) as f64;
        measured.push(
            "framer_messages_per_s".to_owned(),
            Some(messages * 1e9 / passes(times)?),
        );
        let before = allocations::so_far();
        passes(1)?;
        let allocated = (allocations::so_far() - before) as f64 / stream.messages as f64;
        measured.push("framer_message_allocs".to_owned(), Some(allocated));
    }
    Ok(measured)
}

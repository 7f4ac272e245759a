//! The stream that is cut by the framer: which messages, in which order, in which reads.

use crate::corpus::Kind;
use anyhow::Result;
use std::ops::Range;

/// Messages in the stream: some 2.5 MB, more than the second-level cache has.
const MESSAGES: usize = 20_000;

/// How many of a hundred messages are of a kind.
const MIX: [(Kind, usize); 5] = [
    (Kind::PacketIn, 60),
    (Kind::Echo, 20),
    (Kind::FlowMod, 10),
    (Kind::PortStatus, 5),
    (Kind::Barrier, 5),
];

/// Bytes of one read from the connection.
const READ: Range<u64> = 1_024..65_537;

/// Any number does; a fixed one makes the order of every run the same.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What comes over one connection.
pub struct Stream {
    /// The messages one behind the other.
    pub bytes: Vec<u8>,
    /// Where each read ends; the last is the end of the stream.
    pub ends: Vec<usize>,
    /// How many messages there are.
    pub messages: u64,
    /// The sum of their checksums.
    pub checksum: u64,
}

impl Stream {
    /// The mix in its fixed order, cut into its fixed reads.
    ///
    /// # Errors
    /// A frame of the corpus is not right.
    pub fn new() -> Result<Self> {
        let mut order: Vec<Kind> = MIX
            .iter()
            .flat_map(|(kind, share)| std::iter::repeat_n(*kind, MESSAGES / 100 * share))
            .collect();
        let mut random = Random(SEED);
        // Fisher and Yates: every order is as likely as every other.
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last as u64 + 1) as usize);
        }
        let mut stream = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            messages: order.len() as u64,
            checksum: 0,
        };
        for kind in order {
            let frame = kind.frame()?;
            stream.checksum = stream.checksum.wrapping_add(crate::reading::checksum(&frame)?);
            stream.bytes.extend_from_slice(&frame);
        }
        let mut at = 0;
        while at < stream.bytes.len() {
            let size = READ.start + random.below(READ.end - READ.start);
            at = (at + size as usize).min(stream.bytes.len());
            stream.ends.push(at);
        }
        Ok(stream)
    }
}

/// xorshift64*: enough for an order.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

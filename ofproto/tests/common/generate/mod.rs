//! Values of every message, made from a string of random bytes.
//!
//! Drawing from bytes keeps every value reachable, lets proptest shrink by zeroing and
//! shortening them, and lets other tests make the same values from a plain seed.

mod actions;
mod matches;
pub mod messages;
mod multipart;
mod numbers;
mod properties;
mod structures;

use bytes::Bytes;

/// Random bytes that are used up; zeros follow when they are gone.
pub struct Draw<'e> {
    bytes: &'e [u8],
    /// Only values that a switch would take: known code points, match fields with
    /// their prerequisites, no extensions.
    pub valid: bool,
}

impl<'e> Draw<'e> {
    pub fn new(bytes: &'e [u8], valid: bool) -> Self {
        Self { bytes, valid }
    }

    pub fn u8(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        [0; N].map(|_| self.u8())
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = usize::from(u16::from_be_bytes(self.array()));
        wide % n
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub fn bytes(&mut self, len: usize) -> Bytes {
        (0..len).map(|_| self.u8()).collect::<Vec<u8>>().into()
    }

    /// Up to `max` bytes.
    pub fn some_bytes(&mut self, max: usize) -> Bytes {
        let len = self.below(max + 1);
        self.bytes(len)
    }

    pub fn list<T: Gen>(&mut self, max: usize) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| T::generate(self)).collect()
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Something that can be drawn.
pub trait Gen {
    fn generate(d: &mut Draw<'_>) -> Self;
}

/// A deterministic string of `len` random bytes (splitmix64).
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    (0..len.div_ceil(8))
        .flat_map(|_| next().to_be_bytes())
        .take(len)
        .collect()
}

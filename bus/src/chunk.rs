//! Messages over 512 KiB travel as numbered chunks; no message relies on a larger broker limit.
//!
//! A chunk is itself a JSON message of kind `chunk`. All chunks of a message have its key, so they arrive in order
//! in one partition. A gap, a new beginning or too large a sum drops what was gathered, with a count.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Largest payload that is sent whole, in bytes.
pub const WHOLE_MAX: usize = 512 * 1024;
/// Payload text per chunk, in bytes of the original: quoting can double it and must stay below [`WHOLE_MAX`].
pub const PART_MAX: usize = 200 * 1024;
/// Largest message that is put together again. A desired state of some 100,000 rules fits.
pub const JOINED_MAX: usize = 64 * 1024 * 1024;
/// Messages that may be incomplete at a time for one reader; the oldest is dropped beyond that.
pub const OPEN_MAX: usize = 64;

/// A numbered part of a message, as it is written.
#[derive(Debug, Clone, Serialize)]
struct ChunkRef<'p> {
    kind: ChunkKind,
    /// Names the whole message.
    chunk_of: &'p str,
    /// From 0.
    index: u32,
    /// How many there are: `index + 1 == of` is the end.
    of: u32,
    /// The part, as text.
    part: &'p str,
}

/// The same, as it is read.
#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(rename = "kind")]
    _kind: ChunkKind,
    chunk_of: String,
    index: u32,
    of: u32,
    part: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChunkKind {
    Chunk,
}

/// What is to be sent for a payload, in order. A part is made when it is taken, so that it can be on its way while the next one
/// is made.
#[derive(Debug)]
pub struct Parts<'p> {
    name: &'p str,
    payload: Cow<'p, [u8]>,
    /// Where each part ends; none: it is small enough and goes as it is.
    ends: Vec<usize>,
    next: usize,
}

/// Split a payload into what is to be sent: itself if it is small enough.
pub fn split<'p>(name: &'p str, payload: impl Into<Cow<'p, [u8]>>) -> Parts<'p> {
    let payload = payload.into();
    let mut ends = Vec::new();
    // Payloads are JSON, which is UTF-8; what is not could not be read by anybody, and goes as it is.
    if payload.len() > WHOLE_MAX
        && let Ok(text) = std::str::from_utf8(&payload)
    {
        let mut begin = 0;
        while begin < text.len() {
            let mut end = text.len().min(begin + PART_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            ends.push(end);
            begin = end;
        }
    }
    Parts {
        name,
        payload,
        ends,
        next: 0,
    }
}

impl<'p> Iterator for Parts<'p> {
    type Item = Cow<'p, [u8]>;

    fn next(&mut self) -> Option<Cow<'p, [u8]>> {
        let index = self.next;
        let begin = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None if self.ends.is_empty() => {
                self.next = usize::MAX;
                return Some(std::mem::take(&mut self.payload));
            }
            None => 0,
        };
        let end = *self.ends.get(index)?;
        self.next += 1;
        let part = std::str::from_utf8(self.payload.get(begin..end)?).ok()?;
        Some(Cow::Owned(crate::encode(&ChunkRef {
            kind: ChunkKind::Chunk,
            chunk_of: self.name,
            index: index as u32,
            of: self.ends.len() as u32,
            part,
        })))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ends.len().max(1).saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Parts<'_> {}

/// Puts chunks together again. One per partition that is read.
#[derive(Debug, Default)]
pub struct Assembler {
    open: Vec<(String, u32, u32, String)>,
    dropped: u64,
}

impl Assembler {
    /// Nothing gathered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Incomplete messages that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Take a payload as it was read; gives the whole message when there is one.
    pub fn push(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        // A chunk begins with its kind, because that is how it is written; anything else is whole.
        if !payload.starts_with(b"{\"kind\":\"chunk\"") {
            return Some(payload.to_vec());
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk>(payload) else {
            return Some(payload.to_vec());
        };
        if chunk.index == 0 {
            if let Some(at) = self.open.iter().position(|o| o.0 == chunk.chunk_of) {
                self.open.remove(at);
                self.dropped += 1;
            }
            if self.open.len() == OPEN_MAX {
                self.open.remove(0);
                self.dropped += 1;
            }
            self.open.push((chunk.chunk_of.clone(), 0, chunk.of, String::new()));
        }
        let at = self.open.iter().position(|o| o.0 == chunk.chunk_of)?;
        let entry = &mut self.open[at];
        if entry.1 != chunk.index || entry.2 != chunk.of || entry.3.len() + chunk.part.len() > JOINED_MAX {
            self.open.remove(at);
            self.dropped += 1;
            return None;
        }
        entry.3.push_str(&chunk.part);
        entry.1 += 1;
        if entry.1 == entry.2 {
            Some(self.open.remove(at).3.into_bytes())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_message_survives_the_way_and_a_lost_chunk_drops_it_whole() {
        let payload = format!("{{\"x\":\"{}\"}}", "äb\"\\".repeat(200_000)).into_bytes();
        let parts: Vec<Cow<'_, [u8]>> = split("m1", payload.as_slice()).collect();
        assert_eq!(parts.len(), split("m1", payload.as_slice()).len());
        assert!(
            parts.len() > 2 && parts.iter().all(|p| p.len() <= WHOLE_MAX),
            "{} parts",
            parts.len()
        );
        let mut assembler = Assembler::new();
        let got: Vec<_> = parts.iter().filter_map(|p| assembler.push(p)).collect();
        assert_eq!(got, vec![payload.clone()]);

        let got: Vec<_> = parts.iter().skip(1).filter_map(|p| assembler.push(p)).collect();
        assert!(got.is_empty());
        let got: Vec<_> = parts
            .iter()
            .take(1)
            .chain(parts.iter().skip(2))
            .filter_map(|p| assembler.push(p))
            .collect();
        assert!(got.is_empty());
        assert_eq!(assembler.dropped(), 1);
    }

    #[test]
    fn a_small_message_is_sent_as_it_is() {
        for whole in [&b"{}"[..], b""] {
            let parts = split("m", whole);
            assert_eq!(
                (parts.len(), parts.collect::<Vec<_>>()),
                (1, vec![Cow::Borrowed(whole)])
            );
        }
        assert_eq!(Assembler::new().push(b"{}"), Some(b"{}".to_vec()));
    }
}

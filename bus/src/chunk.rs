//! Messages over 512 KiB travel as numbered chunks; no message relies on a larger broker limit.
//!
//! A chunk is itself a JSON message of kind `chunk`. All chunks of a message have its key, so they arrive in order
//! in one partition. A gap, a new beginning or too large a sum drops what was gathered, with a count.

use serde::{Deserialize, Serialize};

/// Largest payload that is sent whole, in bytes.
pub const WHOLE_MAX: usize = 512 * 1024;
/// Payload text per chunk, in bytes of the original: quoting can double it and must stay below [`WHOLE_MAX`].
pub const PART_MAX: usize = 200 * 1024;
/// Largest message that is put together again. A desired state of some 100,000 rules fits.
pub const JOINED_MAX: usize = 64 * 1024 * 1024;
/// Messages that may be incomplete at a time for one reader; the oldest is dropped beyond that.
pub const OPEN_MAX: usize = 64;

/// A numbered part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    kind: ChunkKind,
    /// Names the whole message.
    pub chunk_of: String,
    /// From 0.
    pub index: u32,
    /// How many there are: `index + 1 == of` is the end.
    pub of: u32,
    /// The part, as text.
    pub part: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChunkKind {
    Chunk,
}

/// Split a payload into what is to be sent: itself if it is small enough.
pub fn split(name: &str, payload: Vec<u8>) -> Vec<Vec<u8>> {
    if payload.len() <= WHOLE_MAX {
        return vec![payload];
    }
    let text = match String::from_utf8(payload) {
        Ok(text) => text,
        // Payloads are JSON, which is UTF-8; what is not could not be read by anybody.
        Err(error) => return vec![error.into_bytes()],
    };
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let mut end = rest.len().min(PART_MAX);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, tail) = rest.split_at(end);
        parts.push(part);
        rest = tail;
    }
    let of = parts.len() as u32;
    parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| {
            crate::encode(&Chunk {
                kind: ChunkKind::Chunk,
                chunk_of: name.to_owned(),
                index: index as u32,
                of,
                part: part.to_owned(),
            })
        })
        .collect()
}

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
        let parts = split("m1", payload.clone());
        assert!(
            parts.len() > 2 && parts.iter().all(|p| p.len() <= WHOLE_MAX),
            "{} parts",
            parts.len()
        );
        let mut assembler = Assembler::new();
        let got: Vec<_> = parts.iter().filter_map(|p| assembler.push(p)).collect();
        assert_eq!(got, vec![payload]);

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
        assert_eq!(split("m", b"{}".to_vec()), vec![b"{}".to_vec()]);
        assert_eq!(Assembler::new().push(b"{}"), Some(b"{}".to_vec()));
    }
}

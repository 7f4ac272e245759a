//! Messages over 512 KiB travel as numbered chunks; no message relies on a larger broker limit.
//!
//! A chunk is itself a JSON message of kind `chunk`. All chunks of a message have its key, so they arrive in order
//! in one partition. A gap, a new beginning, an end that does not come or too large a sum drops what was gathered, with its
//! cause and a count.

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
/// Bytes of all of them: who writes large beginnings without an end must not take the memory of a reader.
pub const OPEN_BYTES_MAX: usize = 2 * JOINED_MAX;
/// A message whose chunks do not all come within this, by the broker's clock, is dropped: its writer died.
pub const OPEN_MS_MAX: u64 = 60_000;
/// Characters of a message's name that are told.
const NAME_SHOWN: usize = 128;

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

/// A message that came in chunks and was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Where its first chunk stands, as far as it was read.
    pub offset: i64,
    /// Why, with its name.
    pub cause: String,
}

/// A message whose chunks are gathered.
#[derive(Debug)]
struct Open {
    name: String,
    /// Where it began, and the broker's time of that.
    offset: i64,
    at_ms: u64,
    /// The chunk that is expected, and how many there are.
    next: u32,
    of: u32,
    text: String,
}

/// Puts chunks together again. One per partition that is read.
#[derive(Debug, Default)]
pub struct Assembler {
    open: Vec<Open>,
    /// What was given up and not taken yet.
    given_up: Vec<Dropped>,
    /// The message without a beginning that was told last: each of its chunks says the same.
    headless: String,
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

    /// A message that was given up; call until there is none.
    pub fn take_dropped(&mut self) -> Option<Dropped> {
        self.given_up.pop()
    }

    /// Where the oldest message begins that is not whole: from there it has to be read again after a restart.
    pub fn oldest(&self) -> Option<i64> {
        self.open.iter().map(|open| open.offset).min()
    }

    fn give_up(&mut self, at: usize, cause: &str) {
        let Open {
            name, offset, next, of, ..
        } = self.open.remove(at);
        self.drop_message(offset, &name, &format!("{next} of {of} chunks came: {cause}"));
    }

    fn drop_message(&mut self, offset: i64, name: &str, cause: &str) {
        self.dropped += 1;
        let name: String = name.chars().take(NAME_SHOWN).collect();
        if self.given_up.len() < OPEN_MAX {
            let cause = format!("chunked message {name:?}: {cause}");
            self.given_up.push(Dropped { offset, cause });
        }
    }

    /// Take a payload as it was read, at this offset and with this time of the broker; gives the whole message when there is
    /// one.
    pub fn push(&mut self, offset: i64, at_ms: u64, payload: &[u8]) -> Option<Vec<u8>> {
        while let Some(at) = self
            .open
            .iter()
            .position(|o| at_ms.saturating_sub(o.at_ms) > OPEN_MS_MAX)
        {
            self.give_up(at, "the others did not come in time");
        }
        // A chunk begins with its kind, because that is how it is written; anything else is whole.
        if !payload.starts_with(b"{\"kind\":\"chunk\"") {
            return Some(payload.to_vec());
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk>(payload) else {
            return Some(payload.to_vec());
        };
        let known = self.open.iter().position(|o| o.name == chunk.chunk_of);
        if chunk.index == 0 {
            if let Some(at) = known {
                self.give_up(at, "it begins anew");
            }
            if self.open.len() == OPEN_MAX {
                self.give_up(0, "too many others have begun");
            }
            self.open.push(Open {
                name: chunk.chunk_of.clone(),
                offset,
                at_ms,
                next: 0,
                of: chunk.of,
                text: String::new(),
            });
        }
        let Some(at) = self.open.iter().position(|o| o.name == chunk.chunk_of) else {
            if self.headless != chunk.chunk_of {
                self.drop_message(offset, &chunk.chunk_of, &format!("chunk {} came first", chunk.index));
                self.headless = chunk.chunk_of;
            }
            return None;
        };
        self.headless.clear();
        let gathered: usize = self.open.iter().map(|o| o.text.len()).sum();
        let entry = &mut self.open[at];
        let wrong = if entry.next != chunk.index {
            Some(format!("chunk {} came instead of {}", chunk.index, entry.next))
        } else if entry.of != chunk.of || chunk.of == 0 {
            Some(format!("there are {} of them, says chunk {}", chunk.of, chunk.index))
        } else if chunk.part.len() > WHOLE_MAX {
            Some(format!("chunk {} is larger than {WHOLE_MAX} bytes", chunk.index))
        } else if entry.text.len() + chunk.part.len() > JOINED_MAX {
            Some(format!("it is larger than {JOINED_MAX} bytes"))
        } else if gathered + chunk.part.len() > OPEN_BYTES_MAX {
            Some(format!(
                "it and others under way are larger than {OPEN_BYTES_MAX} bytes"
            ))
        } else {
            None
        };
        if let Some(cause) = wrong {
            self.headless = chunk.chunk_of;
            self.give_up(at, &cause);
            return None;
        }
        entry.text.push_str(&chunk.part);
        entry.next += 1;
        if entry.next == entry.of {
            Some(self.open.remove(at).text.into_bytes())
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
        let got: Vec<_> = parts.iter().filter_map(|p| assembler.push(0, 0, p)).collect();
        assert_eq!(got, vec![payload.clone()]);

        let got: Vec<_> = parts.iter().skip(1).filter_map(|p| assembler.push(0, 0, p)).collect();
        assert!(got.is_empty());
        let got: Vec<_> = parts
            .iter()
            .take(1)
            .chain(parts.iter().skip(2))
            .filter_map(|p| assembler.push(0, 0, p))
            .collect();
        assert!(got.is_empty());
        assert_eq!(assembler.dropped(), 2);
    }

    /// A chunk as anybody may write it.
    fn chunk(name: &str, index: u32, of: u32, part: &str) -> Vec<u8> {
        let kind = ChunkKind::Chunk;
        crate::encode(&ChunkRef {
            kind,
            chunk_of: name,
            index,
            of,
            part,
        })
    }

    fn causes(assembler: &mut Assembler) -> Vec<(i64, String)> {
        let next = |a: &mut Assembler| a.take_dropped().map(|d| (d.offset, d.cause));
        std::iter::from_fn(|| next(assembler)).collect()
    }

    #[test]
    fn what_is_given_up_is_told_once_with_its_place_and_cause() {
        let huge = "x".repeat(WHOLE_MAX + 1);
        type Given<'a> = &'a [(&'a str, u32, u32, &'a str)];
        let cases: [(Given, i64, &str); 6] = [
            (
                &[("m", 0, 3, "a"), ("m", 2, 3, "c")],
                10,
                "1 of 3 chunks came: chunk 2 came instead of 1",
            ),
            (
                &[("m", 0, 3, "a"), ("m", 1, 4, "b")],
                10,
                "1 of 3 chunks came: there are 4 of them, says chunk 1",
            ),
            (
                &[("m", 0, 2, &huge), ("m", 1, 2, "b")],
                10,
                "0 of 2 chunks came: chunk 0 is larger than 524288 bytes",
            ),
            (
                &[("m", 0, 0, "a"), ("m", 1, 0, "a")],
                10,
                "0 of 0 chunks came: there are 0 of them, says chunk 0",
            ),
            (&[("m", 1, 3, "b"), ("m", 2, 3, "c")], 10, "chunk 1 came first"),
            (
                &[("m", 0, 3, "a"), ("m", 0, 2, "b"), ("m", 1, 2, "c")],
                10,
                "1 of 3 chunks came: it begins anew",
            ),
        ];
        for (given, offset, cause) in cases {
            let mut assembler = Assembler::new();
            for ((name, index, of, part), at) in given.iter().zip(10..) {
                assembler.push(at, 0, &chunk(name, *index, *of, part));
            }
            let told = causes(&mut assembler);
            assert_eq!(told, [(offset, format!("chunked message \"m\": {cause}"))]);
            assert_eq!(assembler.oldest(), None);
            // What comes behind is read.
            assert_eq!(assembler.push(20, 0, b"{}"), Some(b"{}".to_vec()));
        }
    }

    #[test]
    fn a_message_whose_writer_died_is_given_up_when_its_time_is_over() {
        let mut assembler = Assembler::new();
        assembler.push(5, 1_000, &chunk("m", 0, 2, "a"));
        assert_eq!(assembler.push(6, 1_000 + OPEN_MS_MAX, b"{}"), Some(b"{}".to_vec()));
        assert_eq!((assembler.oldest(), causes(&mut assembler).len()), (Some(5), 0));
        assembler.push(7, 1_001 + OPEN_MS_MAX, b"{}");
        let cause = "chunked message \"m\": 1 of 2 chunks came: the others did not come in time".to_owned();
        assert_eq!((assembler.oldest(), causes(&mut assembler)), (None, vec![(5, cause)]));
    }

    #[test]
    fn beginnings_without_an_end_take_no_more_than_the_limits() {
        let mut assembler = Assembler::new();
        for n in 0..2 * OPEN_MAX {
            assembler.push(n as i64, 0, &chunk(&format!("m{n}"), 0, 2, "a"));
            assert!(assembler.open.len() <= OPEN_MAX);
        }
        assert_eq!(causes(&mut assembler).len(), OPEN_MAX);
        assert_eq!(assembler.oldest(), Some(OPEN_MAX as i64));
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
        assert_eq!(Assembler::new().push(0, 0, b"{}"), Some(b"{}".to_vec()));
    }
}

//! Joins the parts of multipart replies (section 7.3.5, "Multipart Messages").
//!
//! Pure bookkeeping: it knows no time. Who asked decides how long to wait and calls
//! [`Reassembly::forget`] when it no longer does.
//!
//! A reply that was given up stays so until its last part has come: what remains of it
//! never looks like the beginning of a new reply. What is kept are bytes of its own, so
//! a small part does not hold on to the large buffer that it was read into.

use crate::multipart::{MultipartReply, MultipartReplyBody};
use crate::wire::{Reader, Wire, write_to};
use bytes::BytesMut;
use core::fmt;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// How much a switch may make us keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// Replies that may be under way at a time. Each was asked for by us, so this is
    /// the number of questions we ask at a time; parts of further ones are refused.
    pub replies_max: usize,
    /// Parts of one reply. A reply that never ends is cut off here even when its
    /// parts are empty.
    pub parts_max: usize,
    /// Bytes of all replies under way, as counted on the wire. What they take in
    /// memory is a small multiple of that.
    pub bytes_max: usize,
}

impl Default for ReassemblyLimits {
    /// 16 replies, 65,536 parts, 64 MiB: a million rules of 60 bytes, which no switch
    /// we know has.
    fn default() -> Self {
        Self {
            replies_max: 16,
            parts_max: 65_536,
            bytes_max: 64 << 20,
        }
    }
}

/// Transaction ids of given-up replies that are remembered until their last part. Whoever
/// gives up this many without once seeing an end talks to a switch that is broken or
/// hostile: from then on everything is refused as `Lost`.
const GIVEN_UP_MAX: usize = 1_024;

/// Why a reply was given up. All its parts are forgotten, and those that still come are
/// refused as `GivenUp` up to and including the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReassemblyError {
    /// More replies under way than `replies_max`.
    Replies,
    /// More parts than `parts_max`.
    Parts,
    /// More bytes than `bytes_max`.
    Bytes,
    /// A part is of another type than the one before.
    Type,
    /// A second part of a reply that has only one (such as a description).
    NotAList,
    /// A further part of a reply that was given up before.
    GivenUp,
    /// So many replies were given up before their end that they can no longer be told
    /// from new ones. Nothing is accepted any more: the connection should end.
    Lost,
}

impl fmt::Display for ReassemblyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replies => "more multipart replies under way than replies_max",
            Self::Parts => "more parts of a multipart reply than parts_max",
            Self::Bytes => "more bytes in multipart replies than bytes_max",
            Self::Type => "a part of a multipart reply has another type than the part before",
            Self::NotAList => "a second part of a multipart reply that can have only one",
            Self::GivenUp => "a further part of a multipart reply that was given up",
            Self::Lost => "too many multipart replies were given up before their last part",
        })
    }
}

impl std::error::Error for ReassemblyError {}

#[derive(Debug)]
struct Partial {
    body: MultipartReplyBody,
    parts: usize,
    bytes: usize,
}

/// The multipart replies of one connection that are under way (section 7.3.5).
#[derive(Debug, Default)]
pub struct Reassembly {
    limits: ReassemblyLimits,
    partial: HashMap<u32, Partial>,
    /// Replies whose last part is still to come and will be refused.
    given_up: HashSet<u32>,
    lost: bool,
    bytes: usize,
}

impl Reassembly {
    /// Nothing under way.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes one part, whose frame had `frame_len` bytes; gives the whole reply when
    /// it was the last.
    ///
    /// # Errors
    /// A limit is reached or the parts do not fit together; the reply is given up.
    pub fn accept(
        &mut self,
        xid: u32,
        reply: MultipartReply,
        frame_len: usize,
    ) -> Result<Option<MultipartReplyBody>, ReassemblyError> {
        let more = reply.more();
        if self.lost {
            return Err(ReassemblyError::Lost);
        }
        if self.given_up.contains(&xid) {
            if !more {
                self.given_up.remove(&xid);
            }
            return Err(ReassemblyError::GivenUp);
        }
        if !more && !self.partial.contains_key(&xid) {
            return Ok(Some(reply.body));
        }
        match self.join(xid, reply.body, frame_len) {
            Ok(()) if more => Ok(None),
            Ok(()) => Ok(self.take(xid)),
            Err(error) => {
                self.take(xid);
                if more {
                    self.give_up(xid);
                }
                Err(error)
            }
        }
    }

    /// Refuses what is still to come of a reply.
    fn give_up(&mut self, xid: u32) {
        if self.given_up.len() < GIVEN_UP_MAX {
            self.given_up.insert(xid);
            return;
        }
        *self = Self {
            lost: true,
            ..Self::new(self.limits)
        };
    }

    fn join(&mut self, xid: u32, body: MultipartReplyBody, frame_len: usize) -> Result<(), ReassemblyError> {
        let bytes = self.bytes.saturating_add(frame_len);
        if bytes > self.limits.bytes_max {
            return Err(ReassemblyError::Bytes);
        }
        let replies = self.partial.len();
        match self.partial.entry(xid) {
            Entry::Vacant(_) if replies >= self.limits.replies_max => return Err(ReassemblyError::Replies),
            Entry::Vacant(_) if self.limits.parts_max == 0 => return Err(ReassemblyError::Parts),
            Entry::Vacant(vacant) => {
                vacant.insert(Partial {
                    body: detached(body, frame_len),
                    parts: 1,
                    bytes: frame_len,
                });
            }
            Entry::Occupied(mut entry) => {
                let partial = entry.get_mut();
                if partial.parts >= self.limits.parts_max {
                    return Err(ReassemblyError::Parts);
                }
                append(&mut partial.body, detached(body, frame_len))?;
                partial.parts = partial.parts.saturating_add(1);
                partial.bytes = partial.bytes.saturating_add(frame_len);
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    fn take(&mut self, xid: u32) -> Option<MultipartReplyBody> {
        let partial = self.partial.remove(&xid)?;
        self.bytes = self.bytes.saturating_sub(partial.bytes);
        Some(partial.body)
    }

    /// Drops what came of a reply that nobody waits for any more, and refuses the rest.
    pub fn forget(&mut self, xid: u32) {
        if self.take(xid).is_some() {
            self.give_up(xid);
        }
    }

    /// Replies under way.
    pub fn replies(&self) -> usize {
        self.partial.len()
    }

    /// Bytes of the replies under way, as counted on the wire.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The same body in bytes of its own, if it has slices of the frame it came in.
///
/// Such a slice keeps alive what the frame was cut from. A switch that sends one rule in
/// each read would otherwise make us keep every buffer we ever read into, and a limit on
/// the bytes of the parts would limit nothing.
fn detached(body: MultipartReplyBody, frame_len: usize) -> MultipartReplyBody {
    use MultipartReplyBody as B;
    if !matches!(
        body,
        B::Flow(_) | B::GroupDesc(_) | B::MeterConfig(_) | B::TableFeatures(_) | B::Experimenter(_) | B::Unknown { .. }
    ) {
        return body;
    }
    let reply = MultipartReply::new(body);
    let mut own = BytesMut::new();
    let written = write_to(&mut own, frame_len.min(usize::from(u16::MAX)), |w| reply.write(w)).ok();
    let own = own.freeze();
    let again = written.and_then(|()| MultipartReply::read(&mut Reader::new(&own, "ofp_multipart_reply")).ok());
    // What was decoded can be written and read again. A body that somebody made up and
    // that has no form on the wire holds no frame of a switch and stays as it is.
    again.unwrap_or(reply).body
}

/// Adds a later part to the earlier ones.
fn append(all: &mut MultipartReplyBody, part: MultipartReplyBody) -> Result<(), ReassemblyError> {
    use MultipartReplyBody as B;
    match (all, part) {
        (B::Flow(all), B::Flow(part)) => all.extend(part),
        (B::Table(all), B::Table(part)) => all.extend(part),
        (B::PortStats(all), B::PortStats(part)) => all.extend(part),
        (B::Queue(all), B::Queue(part)) => all.extend(part),
        (B::Group(all), B::Group(part)) => all.extend(part),
        (B::GroupDesc(all), B::GroupDesc(part)) => all.extend(part),
        (B::Meter(all), B::Meter(part)) => all.extend(part),
        (B::MeterConfig(all), B::MeterConfig(part)) => all.extend(part),
        (B::TableFeatures(all), B::TableFeatures(part)) => all.extend(part),
        (B::PortDesc(all), B::PortDesc(part)) => all.extend(part),
        (all, part) if all.kind() == part.kind() => return Err(ReassemblyError::NotAList),
        _ => return Err(ReassemblyError::Type),
    }
    Ok(())
}

//! Reassembly of multipart replies, against a simple model of it.
//!
//! The bytes are limits and then parts:
//!
//! ```text
//! 1  replies_max, of which the low 3 bits count
//! 1  parts_max, of which the low 5 bits count
//! 1  bytes_max in units of 64
//! ..  parts:
//!     1  bit 0: more follow, bit 1: forget the reply before this part, the rest: transaction id
//!     1  type, as its low byte; 0xff is OFPMP_EXPERIMENTER
//!     1  length of the body in units of 8
//!     n  the body
//! ```

use super::laws::judge;
use bytes::{BufMut, Bytes};
use ofproto::{
    Body, Message, MultipartReply, MultipartReplyBody, MultipartType, Reassembly, ReassemblyError, ReassemblyLimits,
};
use std::collections::{HashMap, HashSet};

/// Bytes of a multipart reply before its body.
const HEADER: usize = 16;

/// A part that the bytes say.
struct Part {
    xid: u32,
    more: bool,
    forget: bool,
    frame: Bytes,
}

/// The model: what came of each reply under way, and which are refused to their end.
#[derive(Default)]
struct Model {
    under_way: HashMap<u32, Vec<Bytes>>,
    given_up: HashSet<u32>,
}

/// Checks reassembly with these bytes.
pub fn check(data: &[u8]) {
    let [replies, parts, bytes, rest @ ..] = data else {
        return;
    };
    let limits = ReassemblyLimits {
        replies_max: usize::from(replies % 8),
        parts_max: usize::from(parts % 32),
        bytes_max: usize::from(*bytes) * 64,
    };
    let (mut replies, mut model, mut rest) = (Reassembly::new(limits), Model::default(), rest);
    while let Some((part, behind)) = next_part(rest) {
        rest = behind;
        if part.forget {
            replies.forget(part.xid);
            if model.under_way.remove(&part.xid).is_some() {
                model.given_up.insert(part.xid);
            }
        }
        let Ok(Message {
            body: Body::MultipartReply(reply),
            ..
        }) = judge(&part.frame)
        else {
            continue;
        };
        step(&mut replies, &mut model, limits, &part, reply);
        assert_eq!(replies.replies(), model.under_way.len());
        assert_eq!(replies.bytes(), model.bytes());
        assert!(replies.replies() <= limits.replies_max && replies.bytes() <= limits.bytes_max);
    }
}

/// One part goes to both.
fn step(replies: &mut Reassembly, model: &mut Model, limits: ReassemblyLimits, part: &Part, reply: MultipartReply) {
    let kind = reply.body.kind();
    let refusal = model.refusal(limits, part, kind);
    let result = replies.accept(part.xid, reply, part.frame.len());
    if let Some(refusal) = refusal {
        assert_eq!(result, Err(refusal));
        model.under_way.remove(&part.xid);
        if part.more {
            model.given_up.insert(part.xid);
        } else {
            model.given_up.remove(&part.xid);
        }
        return;
    }
    model.under_way.entry(part.xid).or_default().push(part.frame.clone());
    if part.more {
        assert_eq!(result, Ok(None));
        return;
    }
    let frames = model.under_way.remove(&part.xid).expect("it was put there");
    match result {
        Ok(Some(whole)) => joined(&frames, whole),
        other => panic!("{} parts gave {other:?}", frames.len()),
    }
}

/// The whole is all parts one behind the other.
fn joined(frames: &[Bytes], whole: MultipartReplyBody) {
    let message = Message::new(0, Body::MultipartReply(MultipartReply::new(whole)));
    // Longer than a message: no frame to compare with.
    let Ok(ours) = message.to_bytes() else {
        return;
    };
    let theirs: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.iter().skip(HEADER).copied())
        .collect();
    let ours = ours.get(HEADER..).unwrap_or_default();
    assert_eq!(ours.len(), theirs.len(), "{message:?}");
    // What is padding is zero in ours.
    let same = ours
        .iter()
        .zip(&theirs)
        .all(|(ours, theirs)| ours == theirs || *ours == 0);
    assert!(same, "{message:?}");
}

impl Model {
    fn bytes(&self) -> usize {
        self.under_way.values().flatten().map(Bytes::len).sum()
    }

    /// Why a part is refused, if it is.
    fn refusal(&self, limits: ReassemblyLimits, part: &Part, kind: MultipartType) -> Option<ReassemblyError> {
        if self.given_up.contains(&part.xid) {
            return Some(ReassemblyError::GivenUp);
        }
        let before = self.under_way.get(&part.xid);
        if before.is_none() && !part.more {
            return None;
        }
        if self.bytes() + part.frame.len() > limits.bytes_max {
            return Some(ReassemblyError::Bytes);
        }
        let Some(before) = before else {
            return if self.under_way.len() >= limits.replies_max {
                Some(ReassemblyError::Replies)
            } else if limits.parts_max == 0 {
                Some(ReassemblyError::Parts)
            } else {
                None
            };
        };
        if before.len() >= limits.parts_max {
            return Some(ReassemblyError::Parts);
        }
        let first = before.first().and_then(|frame| frame.get(8..)?.first_chunk::<2>());
        let list = [
            MultipartType::FLOW,
            MultipartType::TABLE,
            MultipartType::PORT_STATS,
            MultipartType::QUEUE,
            MultipartType::GROUP,
            MultipartType::GROUP_DESC,
            MultipartType::METER,
            MultipartType::METER_CONFIG,
            MultipartType::TABLE_FEATURES,
            MultipartType::PORT_DESC,
        ];
        if first.map(|kind| u16::from_be_bytes(*kind)) != Some(kind.0) {
            Some(ReassemblyError::Type)
        } else if !list.contains(&kind) {
            Some(ReassemblyError::NotAList)
        } else {
            None
        }
    }
}

/// The first part that these bytes say, and what is behind it.
fn next_part(data: &[u8]) -> Option<(Part, &[u8])> {
    let [control, kind, length, rest @ ..] = data else {
        return None;
    };
    let (body, behind) = rest.split_at((usize::from(*length) * 8).min(rest.len()));
    let (more, xid) = (control & 1, u32::from(control >> 2));
    let kind = match kind {
        0xff => MultipartType::EXPERIMENTER.0,
        _ => u16::from(*kind),
    };
    let mut frame = vec![4, 19];
    frame.put_u16(u16::try_from(HEADER + body.len()).ok()?);
    frame.put_u32(xid);
    frame.put_u16(kind);
    frame.put_u16(u16::from(more));
    frame.put_u32(0);
    frame.put_slice(body);
    let part = Part {
        xid,
        more: more == 1,
        forget: control & 2 == 2,
        frame: frame.into(),
    };
    Some((part, behind))
}

/// One part as bytes, for seeds: of a frame, if it is short enough and of a known type.
pub fn part(xid: u8, more: bool, frame: &[u8]) -> Option<Vec<u8>> {
    let body = frame.get(HEADER..)?;
    let [high, low] = *frame.get(8..)?.first_chunk::<2>()?;
    let kind = if (high, low) == (0xff, 0xff) { 0xff } else { low };
    let length = u8::try_from(body.len().div_ceil(8)).ok()?;
    let mut out = vec![xid << 2 | u8::from(more), kind, length];
    out.put_slice(body);
    out.put_bytes(0, usize::from(length) * 8 - body.len());
    Some(out)
}

//! Frames that are almost what a switch would take: a valid message or an annotated vector
//! with one thing wrong. What may be wrong: a byte, a length, the end, or an element of a
//! list that is there twice, missing, in another place or a stranger.

use super::generate::{Draw, Gen, noise};
use super::vectors::Vector;
use super::{seed, valid_message};
use bytes::Bytes;
use ofproto::*;

/// A frame and what was done to it.
pub struct Mutant {
    pub frame: Bytes,
    pub how: String,
    /// Whether a part of it was made of any bytes.
    pub strange: bool,
}

/// Bytes of the header of a message.
const HEADER: usize = 8;

/// The mutant with this number, of this run's seed: always the same.
pub fn mutant(number: u64, vectors: &[Vector]) -> Mutant {
    let entropy = noise(seed().wrapping_add(number << 32).wrapping_add(1), 512);
    let d = &mut Draw::new(&entropy, false);
    let (base, from) = if d.one_in(4) {
        let vector = &vectors[d.below(vectors.len())];
        (vector.frame.clone(), vector.name.clone())
    } else {
        let message = valid_message(number);
        let frame = message.to_bytes().expect("a generated message can be written");
        (frame, format!("{} {number}", message.kind()))
    };
    let way = d.below(8);
    let shaken = match way {
        0..=3 => None,
        _ => {
            let mut message = Message::decode(&base).expect("what is mutated decodes");
            let how = shake(&mut message.body, WAYS[way - 4], d);
            how.and_then(|how| Some((message.to_bytes().ok()?, how)))
        }
    };
    let (frame, how) = shaken.unwrap_or_else(|| {
        let mut bytes = base.to_vec();
        let how = match way {
            1 => length(&mut bytes, d),
            2 => cut(&mut bytes, d),
            3 => longer(&mut bytes, d),
            _ => byte(&mut bytes, d),
        };
        (bytes.into(), how)
    });
    Mutant {
        frame,
        strange: how.ends_with("Stranger"),
        how: format!("{from}: {how}"),
    }
}

/// Changes one byte that is not the version or the length of the header.
fn byte(bytes: &mut [u8], d: &mut Draw<'_>) -> String {
    let places = bytes.len() - 3;
    let at = match d.below(places) {
        0 => 1,
        place => place + 3,
    };
    let old = bytes[at];
    bytes[at] = match d.below(4) {
        0 => old ^ (1 << d.below(8)),
        1 => old.wrapping_add(1),
        2 => 0xff,
        _ => d.u8(),
    };
    format!("byte {at} from {old:#04x} to {:#04x}", bytes[at])
}

/// Changes one number that may be a length: of 16 bits, at an even place, not more than the
/// bytes that are left.
fn length(bytes: &mut [u8], d: &mut Draw<'_>) -> String {
    let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let may_be = |at: &usize| (4..=bytes.len() - at).contains(&usize::from(number(*at)));
    let places: Vec<usize> = (HEADER..bytes.len().saturating_sub(1))
        .step_by(2)
        .filter(may_be)
        .collect();
    if places.is_empty() {
        return longer_by(bytes.len(), 0);
    }
    let at = d.pick(&places);
    let old = number(at);
    let new = old.wrapping_add_signed(d.pick(&[1, -1, 8, -8]));
    bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
    format!("length at {at} from {old} to {new}")
}

fn set_length(bytes: &mut [u8]) {
    let length = u16::try_from(bytes.len()).expect("a short message");
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

/// Cuts the end off; the header's length says so.
fn cut(bytes: &mut Vec<u8>, d: &mut Draw<'_>) -> String {
    let left = HEADER + d.below(bytes.len() - HEADER + 1);
    bytes.truncate(left);
    set_length(bytes);
    format!("cut to {left}")
}

/// Adds bytes at the end; the header's length says so.
fn longer(bytes: &mut Vec<u8>, d: &mut Draw<'_>) -> String {
    let more = d.pick(&[1, 2, 4, 8, 16]);
    let fill = d.pick(&[0, 0, 0xff]);
    bytes.extend(std::iter::repeat_n(fill, more));
    set_length(bytes);
    longer_by(bytes.len(), more)
}

fn longer_by(length: usize, more: usize) -> String {
    format!("{more} more, {length} now")
}

/// What can be done to a list.
#[derive(Clone, Copy, Debug)]
enum Way {
    Twice,
    Missing,
    Moved,
    Stranger,
}

const WAYS: [Way; 4] = [Way::Twice, Way::Missing, Way::Moved, Way::Stranger];

/// Does something to one list of the body; `None` if it has none that this can be done to.
fn shake(body: &mut Body, way: Way, d: &mut Draw<'_>) -> Option<String> {
    match body {
        Body::Hello(hello) => list(&mut hello.elements, way, d),
        Body::PacketIn(packet) => fields(&mut packet.matching, way, d),
        Body::PacketOut(packet) => list(&mut packet.actions, way, d),
        Body::FlowRemoved(rule) => fields(&mut rule.matching, way, d),
        Body::FlowMod(rule) => rule_of(&mut rule.matching, &mut rule.instructions, way, d),
        Body::GroupMod(group) => buckets(&mut group.buckets, way, d),
        Body::MeterMod(meter) => list(&mut meter.bands, way, d),
        Body::QueueGetConfigReply(reply) => list(&mut reply.queues, way, d),
        Body::MultipartRequest(request) => match &mut request.body {
            MultipartRequestBody::Flow(rules) | MultipartRequestBody::Aggregate(rules) => {
                fields(&mut rules.matching, way, d)
            }
            MultipartRequestBody::TableFeatures(tables) => list(&mut tables.first_mut()?.properties, way, d),
            _ => None,
        },
        Body::MultipartReply(reply) => match &mut reply.body {
            MultipartReplyBody::Flow(rules) => {
                let rule = rules.first_mut()?;
                rule_of(&mut rule.matching, &mut rule.instructions, way, d)
            }
            MultipartReplyBody::GroupDesc(groups) => buckets(&mut groups.first_mut()?.buckets, way, d),
            MultipartReplyBody::MeterConfig(meters) => list(&mut meters.first_mut()?.bands, way, d),
            MultipartReplyBody::TableFeatures(tables) => list(&mut tables.first_mut()?.properties, way, d),
            // These have no types that could be strange.
            MultipartReplyBody::PortDesc(ports) if !matches!(way, Way::Stranger) => list(ports, way, d),
            MultipartReplyBody::PortStats(ports) if !matches!(way, Way::Stranger) => list(ports, way, d),
            MultipartReplyBody::Queue(queues) if !matches!(way, Way::Stranger) => list(queues, way, d),
            _ => None,
        },
        _ => None,
    }
}

fn list<T: Clone + Gen>(all: &mut Vec<T>, way: Way, d: &mut Draw<'_>) -> Option<String> {
    let at = d.below(all.len() + 1);
    match way {
        Way::Stranger => all.insert(at, T::generate(d)),
        Way::Twice => all.insert(at, all.get(d.below(all.len().max(1)))?.clone()),
        Way::Missing => drop((at < all.len()).then(|| all.remove(at))?),
        Way::Moved => {
            let other = d.below(all.len().max(1));
            if at >= all.len() || at == other {
                return None;
            }
            all.swap(at, other);
        }
    }
    Some(format!("{} {at} {way:?}", std::any::type_name::<T>()))
}

fn fields(matching: &mut Match, way: Way, d: &mut Draw<'_>) -> Option<String> {
    let mut all: Vec<Oxm> = matching.iter().collect();
    let how = list(&mut all, way, d)?;
    *matching = all.into_iter().collect();
    Some(how)
}

fn rule_of(matching: &mut Match, instructions: &mut Vec<Instruction>, way: Way, d: &mut Draw<'_>) -> Option<String> {
    let actions = instructions.iter_mut().find_map(|instruction| match instruction {
        Instruction::ApplyActions(actions) | Instruction::WriteActions(actions) => Some(actions),
        _ => None,
    });
    match (d.below(3), actions) {
        (0, _) => fields(matching, way, d),
        (1, Some(actions)) => list(actions, way, d),
        _ => list(instructions, way, d),
    }
}

fn buckets(buckets: &mut Vec<Bucket>, way: Way, d: &mut Draw<'_>) -> Option<String> {
    match (d.below(3), buckets.first_mut()) {
        (0, Some(bucket)) => list(&mut bucket.actions, way, d),
        (_, Some(bucket)) if matches!(way, Way::Stranger) => {
            match d.below(3) {
                0 => bucket.weight = u16::generate(d),
                1 => bucket.watch_port = PortNo::generate(d),
                _ => bucket.watch_group = GroupId::generate(d),
            }
            Some("a bucket's number".to_owned())
        }
        _ => list(buckets, way, d),
    }
}

//! A simulated host on a switch's port: streams of numbered, tagged packets out, and a count of what comes in.
//!
//! ```text
//! payload: magic 8 | stream 4 | kind 1 | number 8 | sent at, ns 8 | filling ..
//! ```
//!
//! Numbers are big endian; the filling follows from the number, so that a packet that was mixed up shows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skerry_bus::objects::Mac;
use skerry_network::{Packet, Tag};

use super::numbers::{Insert, Numbers};

/// Streams a host may send in its life; each is remembered.
const STREAMS_MAX: usize = 1_000;
/// Combinations of stream, kind and tags that are counted; packets of further ones are counted as not kept.
const COUNTED_MAX: usize = 4_096;
/// Times kept for the median of each.
const TIMES_MAX: usize = 20_000;
/// Packets per second of one stream: several times over what scenarios need.
pub const RATE_MAX: u32 = 20_000;
/// Bytes of a payload.
pub const LENGTH_MAX: usize = 1_500;
/// Tags of a packet that a host sends.
pub const TAGS_MAX: usize = 4;
/// A stream that is later than this (the machine slept) goes on from now instead of catching up in a burst.
const LATE_MAX: Duration = Duration::from_secs(1);

const MAGIC: [u8; 8] = *b"SKERRYSM";
const HEAD: usize = 8 + 4 + 1 + 8 + 8;
/// EtherType for local experiments (IEEE 802).
const ETHER_TYPE: u16 = 0x88b5;

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// To be counted.
    Data,
    /// To be counted, and answered by a host that echoes.
    Ask,
    /// The answer.
    Answer,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Data, Kind::Ask, Kind::Answer]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Data => "data",
            Kind::Ask => "ask",
            Kind::Answer => "answer",
        }
    }
}

/// A tag as people write it: `8100:100`, with `/priority` behind it unless that is 0.
pub fn tag_text(tag: &Tag) -> String {
    match tag.pcp_dei {
        0 => format!("{:04x}:{}", tag.tpid, tag.vid),
        priority => format!("{:04x}:{}/{priority}", tag.tpid, tag.vid),
    }
}

/// Reads a tag; `100` is a customer's.
///
/// # Errors
/// Says what it should look like.
pub fn read_tag(text: &str) -> Result<Tag, String> {
    let (tag, priority) = text.split_once('/').unwrap_or((text, "0"));
    let (tpid, vid) = tag.split_once(':').unwrap_or(("8100", tag));
    match (u16::from_str_radix(tpid, 16), vid.parse(), priority.parse()) {
        (Ok(tpid @ (0x8100 | 0x88a8)), Ok(vid @ 0..=4_095), Ok(pcp_dei @ 0..=15)) => Ok(Tag { tpid, pcp_dei, vid }),
        _ => Err(format!("tag {text:?} is not like 8100:100, 88a8:100 or 8100:100/5")),
    }
}

/// A stream to send.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its number, new for each stream of a host.
    pub number: u32,
    /// Tags, innermost first.
    pub tags: Vec<Tag>,
    /// Packets per second.
    pub rate: u32,
    /// Packets to send; none: until it is stopped.
    pub count: Option<u64>,
    /// Whether a host that echoes shall answer.
    pub ask: bool,
    /// Bytes of the payload at least.
    pub length: usize,
}

#[derive(Debug)]
struct Sending {
    stream: Stream,
    /// When packet `from` was due; later ones follow from the rate.
    since: Instant,
    from: u64,
    next: u64,
    ended: bool,
}

impl Sending {
    fn due(&self) -> Option<Instant> {
        let behind =
            Duration::from_nanos((self.next - self.from).saturating_mul(1_000_000_000) / u64::from(self.stream.rate));
        (!self.ended).then(|| self.since + behind)
    }

    fn told(&self) -> Value {
        // Nothing is ever half sent here, so both are the same.
        json!({ "next": self.next, "begun": self.next, "ended": self.ended })
    }
}

#[derive(Debug, Default)]
struct Counted {
    received: u64,
    duplicates: u64,
    wrong: u64,
    reordered: u64,
    highest: u64,
    numbers: Numbers,
    min_ns: u64,
    max_ns: u64,
    times_ns: Vec<u64>,
}

#[derive(Debug, Default)]
struct Totals {
    ours: u64,
    others: u64,
    not_kept: u64,
    echoed: u64,
}

type Key = (u32, Kind, Vec<Tag>);

/// A host.
#[derive(Debug)]
pub struct Host {
    mac: Mac,
    peer: Mac,
    start: Instant,
    echo: bool,
    sending: BTreeMap<u32, Sending>,
    counted: BTreeMap<Key, Counted>,
    totals: Totals,
}

impl Host {
    /// Host number `number`, which sends to host `peer`.
    pub fn new(now: Instant, number: u8, peer: u8) -> Host {
        let mac = |number| Mac([2, 0x5e, 0, 0, 0, number]);
        Host {
            mac: mac(number),
            peer: mac(peer),
            start: now,
            echo: false,
            sending: BTreeMap::new(),
            counted: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    /// Starts a stream.
    ///
    /// # Errors
    /// Its number was used, or a figure is beyond its limit.
    pub fn send(&mut self, now: Instant, stream: Stream) -> Result<Value, String> {
        if self.sending.contains_key(&stream.number) {
            return Err(format!("stream {} was sent already", stream.number));
        }
        if self.sending.len() >= STREAMS_MAX {
            return Err(format!("a host sends at most {STREAMS_MAX} streams"));
        }
        if !(1..=RATE_MAX).contains(&stream.rate) {
            return Err(format!("rate {} is not 1 to {RATE_MAX}", stream.rate));
        }
        if stream.length > LENGTH_MAX {
            return Err(format!("length {} is above {LENGTH_MAX}", stream.length));
        }
        if stream.tags.len() > TAGS_MAX {
            return Err(format!("{} tags are more than {TAGS_MAX}", stream.tags.len()));
        }
        let sending = Sending {
            ended: stream.count == Some(0),
            since: now,
            from: 0,
            next: 0,
            stream,
        };
        let told = sending.told();
        self.sending.insert(sending.stream.number, sending);
        Ok(told)
    }

    /// How far a stream is; `stop` ends it.
    ///
    /// # Errors
    /// There is no such stream.
    pub fn mark(&mut self, stream: u32, stop: bool) -> Result<Value, String> {
        let sending = self
            .sending
            .get_mut(&stream)
            .ok_or_else(|| format!("no stream {stream}"))?;
        sending.ended |= stop;
        Ok(sending.told())
    }

    /// When the next packet is due.
    pub fn due(&self) -> Option<Instant> {
        self.sending.values().filter_map(Sending::due).min()
    }

    /// A packet that is due at `now`, with the moment it was due.
    pub fn next_packet(&mut self, now: Instant) -> Option<(Instant, Packet)> {
        let due = |sending: &Sending| sending.due().filter(|due| *due <= now);
        let (due, number) = self
            .sending
            .values()
            .filter_map(|s| Some((due(s)?, s.stream.number)))
            .min()?;
        let sending = self.sending.get_mut(&number)?;
        let at = if now - due > LATE_MAX {
            (sending.since, sending.from) = (now, sending.next);
            now
        } else {
            due
        };
        let kind = if sending.stream.ask { Kind::Ask } else { Kind::Data };
        let sent_ns = at.saturating_duration_since(self.start).as_nanos() as u64;
        let packet = Packet {
            eth_src: self.mac,
            eth_dst: self.peer,
            tags: sending.stream.tags.clone(),
            eth_type: ETHER_TYPE,
            ip_proto: None,
            udp: None,
            payload: payload(number, kind, sending.next, sent_ns, sending.stream.length),
        };
        sending.next += 1;
        sending.ended |= sending.stream.count == Some(sending.next);
        Some((at, packet))
    }

    /// A packet arrives. Gives the answer, if it asks for one and the host echoes.
    pub fn receive(&mut self, at: Instant, packet: Packet) -> Option<Packet> {
        let Some((stream, kind, number, sent_ns, good)) = read_payload(&packet) else {
            self.totals.others += 1;
            return None;
        };
        self.count((stream, kind, packet.tags.clone()), number, at, sent_ns, good);
        if !(self.echo && kind == Kind::Ask && good) {
            return None;
        }
        self.totals.echoed += 1;
        Some(Packet {
            eth_src: self.mac,
            eth_dst: packet.eth_src,
            payload: payload(stream, Kind::Answer, number, sent_ns, packet.payload.len()),
            ..packet
        })
    }

    fn count(&mut self, key: Key, number: u64, at: Instant, sent_ns: u64, good: bool) {
        if !self.counted.contains_key(&key) && self.counted.len() >= COUNTED_MAX {
            self.totals.not_kept += 1;
            return;
        }
        self.totals.ours += 1;
        let counted = self.counted.entry(key).or_default();
        counted.received += 1;
        if !good {
            counted.wrong += 1;
            return;
        }
        match counted.numbers.insert(number) {
            Insert::New => {}
            Insert::Duplicate => counted.duplicates += 1,
            Insert::Refused => self.totals.not_kept += 1,
        }
        counted.reordered += u64::from(number < counted.highest);
        counted.highest = counted.highest.max(number);
        let took = (at.saturating_duration_since(self.start).as_nanos() as u64).saturating_sub(sent_ns);
        counted.min_ns = if counted.times_ns.is_empty() {
            took
        } else {
            counted.min_ns.min(took)
        };
        counted.max_ns = counted.max_ns.max(took);
        if counted.times_ns.len() < TIMES_MAX {
            counted.times_ns.push(took);
        }
    }

    /// What arrived of a stream: one entry for each kind and tags.
    pub fn received(&self, stream: u32) -> Value {
        let of = self.counted.iter().filter(|((number, ..), _)| *number == stream);
        let arrived = of.map(|((_, kind, tags), counted)| {
            let mut times = counted.times_ns.clone();
            times.sort_unstable();
            json!({
                "kind": kind.name(),
                "tags": tags.iter().rev().map(tag_text).collect::<Vec<_>>(),
                "received": counted.received,
                "duplicates": counted.duplicates,
                "wrong_payload": counted.wrong,
                "reordered": counted.reordered,
                "numbers": counted.numbers.ranges(),
                "min_ns": counted.min_ns,
                "median_ns": times.get(times.len() / 2).copied().unwrap_or(0),
                "max_ns": counted.max_ns,
            })
        });
        json!({ "arrived": arrived.collect::<Vec<_>>() })
    }

    /// What arrived at all.
    pub fn totals(&self) -> Value {
        let Totals {
            ours,
            others,
            not_kept,
            echoed,
        } = self.totals;
        json!({ "ours": ours, "others": others, "not_kept": not_kept, "echoed": echoed, "echo_failed": 0 })
    }

    /// Answers packets that ask for it, or stops doing so.
    pub fn set_echo(&mut self, on: bool) {
        self.echo = on;
    }

    /// Forgets what arrived.
    pub fn reset(&mut self) {
        self.counted.clear();
        self.totals = Totals::default();
    }
}

fn filling(stream: u32, number: u64, at: usize) -> u8 {
    number.wrapping_add(u64::from(stream)).wrapping_add(at as u64) as u8
}

fn payload(stream: u32, kind: Kind, number: u64, sent_ns: u64, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length.max(HEAD));
    out.extend(MAGIC);
    out.extend(stream.to_be_bytes());
    out.push(kind as u8);
    out.extend(number.to_be_bytes());
    out.extend(sent_ns.to_be_bytes());
    out.extend((HEAD..length).map(|at| filling(stream, number, at)));
    out
}

/// Stream, kind, number, time of sending, and whether the rest is as it was sent.
fn read_payload(packet: &Packet) -> Option<(u32, Kind, u64, u64, bool)> {
    let bytes = packet
        .payload
        .strip_prefix(&MAGIC)
        .filter(|_| packet.eth_type == ETHER_TYPE)?;
    let (stream, bytes) = bytes.split_first_chunk()?;
    let (kind, bytes) = bytes.split_first()?;
    let (number, bytes) = bytes.split_first_chunk()?;
    let (sent_ns, rest) = bytes.split_first_chunk()?;
    let (stream, number) = (u32::from_be_bytes(*stream), u64::from_be_bytes(*number));
    let good = rest
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte == filling(stream, number, HEAD + at));
    Some((
        stream,
        Kind::from_byte(*kind)?,
        number,
        u64::from_be_bytes(*sent_ns),
        good,
    ))
}

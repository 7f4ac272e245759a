//! What is counted, and how it is told. Reset together, so that a report is about one stretch of time.

use std::collections::BTreeMap;
use std::time::Instant;

use ofproto::{Body, ErrorMsg, Header, Message, MessageType};
use serde_json::{Map, Value, json};

use super::histogram::Histogram;
use super::manner::Manner;

/// Kinds of messages that are counted apart; what has a higher number counts as the last.
const KINDS: usize = 64;
/// Different reasons that are kept; others count as `other`.
const REASONS_MAX: usize = 64;

/// Messages of one direction.
#[derive(Debug, Clone)]
pub struct Messages {
    of: [u64; KINDS],
    bytes: u64,
}

impl Default for Messages {
    fn default() -> Self {
        Messages {
            of: [0; KINDS],
            bytes: 0,
        }
    }
}

impl Messages {
    /// So many messages of a kind.
    pub fn add(&mut self, kind: MessageType, count: u64, bytes: usize) {
        if let Some(of) = self.of.get_mut(usize::from(kind.0).min(KINDS - 1)) {
            *of += count;
        }
        self.bytes += bytes as u64;
    }

    /// How many of a kind.
    pub fn of(&self, kind: MessageType) -> u64 {
        self.of.get(usize::from(kind.0)).copied().unwrap_or(0)
    }

    /// How many at all.
    pub fn total(&self) -> u64 {
        self.of.iter().sum()
    }

    fn told(&self) -> Value {
        let mut by_type = Map::new();
        for (kind, count) in (0u8..).zip(self.of).filter(|(_, count)| *count > 0) {
            by_type.insert(MessageType(kind).to_string(), count.into());
        }
        json!({ "messages": self.total(), "bytes": self.bytes, "by_type": by_type })
    }
}

/// Counts by reason, bounded.
#[derive(Debug, Clone, Default)]
pub struct Reasons {
    of: BTreeMap<String, u64>,
}

impl Reasons {
    /// One more.
    pub fn add(&mut self, reason: &str) {
        let known = self.of.contains_key(reason) || self.of.len() < REASONS_MAX;
        let reason = if known { reason } else { "other" };
        *self.of.entry(reason.to_owned()).or_default() += 1;
    }

    /// All, by their names.
    pub fn told(&self) -> Value {
        json!(self.of)
    }
}

/// Packet-ins that no packet caused.
#[derive(Debug, Clone, Default)]
pub struct PacketIns {
    /// How many.
    pub sent: u64,
    /// How many were due and not sent: nobody wanted them, or too many were unanswered.
    pub held: u64,
    /// From the packet-in to the first answer.
    pub answers: Histogram,
    /// Not answered within a second.
    pub unanswered: u64,
    /// Not answered when the connection ended.
    pub lost: u64,
    /// Packet-outs with a packet that was made here, whether they were the first answer or not.
    pub packet_outs: u64,
    /// Rules for a host that is made up here.
    pub flow_mods: u64,
}

/// Switches that misbehave in one way.
#[derive(Debug, Clone, Default)]
pub struct Habit {
    /// Connections made.
    pub connected: u64,
    /// Those that got through their handshake.
    pub handshaken: u64,
    /// How they ended.
    pub ends: Reasons,
    /// How long those that ended had lasted.
    pub lasted: Histogram,
    /// Errors that controllers sent them.
    pub errors: Reasons,
}

impl Habit {
    fn told(&self) -> Value {
        json!({
            "connected": self.connected,
            "handshaken": self.handshaken,
            "disconnects": self.ends.told(),
            "lasted": self.lasted.figures(),
            "errors_received": self.errors.told(),
        })
    }
}

/// All figures of a stretch of time.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Since when.
    pub since: Instant,
    /// What switches said.
    pub out: Messages,
    /// What controllers said.
    pub inn: Messages,
    /// Errors that switches sent, by type and code.
    pub errors_out: Reasons,
    /// Errors that controllers sent.
    pub errors_in: Reasons,
    /// How connections of well-behaved switches ended.
    pub ends: Reasons,
    /// Tries to connect that failed.
    pub unreachable: Reasons,
    /// Round trips of echo requests.
    pub echo: Histogram,
    /// Echo requests that were due and not sent, because as many as allowed were unanswered.
    pub echo_held: u64,
    /// Echo requests whose connection ended.
    pub echo_lost: u64,
    /// From the first change since the last barrier to the barrier after it.
    pub commands: Histogram,
    /// Packet-ins and what they were answered.
    pub packet_ins: PacketIns,
    /// Packet-ins of floods.
    pub flood_sent: u64,
    /// Those that went elsewhere.
    pub flood_elsewhere: u64,
    /// Those that were due and not sent, because the other side did not take what was sent.
    pub flood_held: u64,
    /// What was due in a rate and left out, because the machine was too busy.
    pub left_out: u64,
    /// Writes of controllers after another one was told that it is MASTER.
    pub late_tried: u64,
    /// Those of them that the switch did not answer with an error.
    pub late_accepted: u64,
    /// Cables taken out or put in.
    pub flaps: u64,
    /// Switches that do not behave.
    pub habits: BTreeMap<Manner, Habit>,
    /// Packets lost on links because too many were under way.
    pub packets_dropped: u64,
    /// Packets that went over links.
    pub packets_carried: u64,
}

impl Tally {
    /// Nothing yet.
    pub fn new(now: Instant) -> Tally {
        Tally {
            since: now,
            out: Messages::default(),
            inn: Messages::default(),
            errors_out: Reasons::default(),
            errors_in: Reasons::default(),
            ends: Reasons::default(),
            unreachable: Reasons::default(),
            echo: Histogram::default(),
            echo_held: 0,
            echo_lost: 0,
            commands: Histogram::default(),
            packet_ins: PacketIns::default(),
            flood_sent: 0,
            flood_elsewhere: 0,
            flood_held: 0,
            left_out: 0,
            late_tried: 0,
            late_accepted: 0,
            flaps: 0,
            habits: BTreeMap::new(),
            packets_dropped: 0,
            packets_carried: 0,
        }
    }

    /// A frame that a switch says.
    pub fn says(&mut self, frame: &[u8]) {
        let kind = Header::peek(frame).map_or(MessageType(u8::MAX), |header| header.kind);
        self.out.add(kind, 1, frame.len());
        if kind == MessageType::ERROR {
            self.errors_out.add(&error(frame));
        }
    }

    /// A frame that a controller says.
    pub fn hears(&mut self, frame: &[u8]) {
        let kind = Header::peek(frame).map_or(MessageType(u8::MAX), |header| header.kind);
        self.inn.add(kind, 1, frame.len());
        if kind == MessageType::ERROR {
            self.errors_in.add(&error(frame));
        }
    }

    /// The figures of a manner.
    pub fn habit(&mut self, manner: Manner) -> &mut Habit {
        self.habits.entry(manner).or_default()
    }

    /// An error that a controller sends to one that misbehaves.
    pub fn habit_error(&mut self, manner: Manner, frame: &[u8]) {
        self.habit(manner).errors.add(&error(frame));
    }

    /// The figures.
    pub fn told(&self, now: Instant) -> Map<String, Value> {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        let mut echo = self.echo.figures();
        if let Some(echo) = echo.as_object_mut() {
            let rate = self.echo.count() as f64 / seconds.max(1e-9);
            echo.insert("per_second".to_owned(), rate.round().into());
            echo.insert("held_back".to_owned(), self.echo_held.into());
            echo.insert("lost".to_owned(), self.echo_lost.into());
        }
        let mut answers = self.packet_ins.answers.figures();
        if let Some(answers) = answers.as_object_mut() {
            let rate = self.packet_ins.answers.count() as f64 / seconds.max(1e-9);
            answers.insert("per_second".to_owned(), rate.round().into());
        }
        let habits = self
            .habits
            .iter()
            .map(|(manner, habit)| (manner.name().to_owned(), habit.told()));
        let habits: Map<String, Value> = habits.collect();
        let told = json!({
            "seconds": (seconds * 1e3).round() / 1e3,
            "sent": self.out.told(),
            "received": self.inn.told(),
            "errors_sent": self.errors_out.told(),
            "errors_received": self.errors_in.told(),
            "disconnects": self.ends.told(),
            "unreachable": self.unreachable.told(),
            "echo": echo,
            "commands": self.commands.figures(),
            "packet_ins": {
                "sent": self.packet_ins.sent,
                "held_back": self.packet_ins.held,
                "answers": answers,
                "unanswered": self.packet_ins.unanswered,
                "lost": self.packet_ins.lost,
                "packet_outs": self.packet_ins.packet_outs,
                "flow_mods": self.packet_ins.flow_mods,
            },
            "floods": { "sent": self.flood_sent, "elsewhere": self.flood_elsewhere, "held_back": self.flood_held },
            "late_writes": { "tried": self.late_tried, "accepted": self.late_accepted },
            "flaps": self.flaps,
            "left_out": self.left_out,
            "misbehaving": habits,
            "links": { "packets_carried": self.packets_carried, "packets_dropped": self.packets_dropped },
        });
        match told {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// The name of an error message, such as `OFPET_BAD_REQUEST OFPBRC_IS_SLAVE`.
fn error(frame: &[u8]) -> String {
    let frame = bytes::Bytes::copy_from_slice(frame);
    let named = |error: &ErrorMsg| error.to_string();
    match Message::decode(&frame) {
        Ok(Message {
            body: Body::Error(error),
            ..
        }) => named(&error),
        _ => "unreadable".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_names() {
        let mut tally = Tally::new(Instant::now());
        let error = ErrorMsg {
            kind: ofproto::ErrorType::BAD_REQUEST,
            code: ofproto::BadRequestCode::IS_SLAVE.0,
            data: bytes::Bytes::new(),
        };
        let frame = Message::new(1, Body::Error(error)).to_bytes().expect("fits");
        tally.says(&frame);
        tally.says(&frame);
        tally.hears(&[4, 1, 0, 8, 0, 0, 0, 0]);
        let told = tally.told(Instant::now());
        assert_eq!(told["errors_sent"], json!({ "OFPET_BAD_REQUEST OFPBRC_IS_SLAVE": 2 }));
        assert_eq!(told["errors_received"], json!({ "unreadable": 1 }));
        assert_eq!(told["sent"]["by_type"], json!({ "OFPT_ERROR": 2 }));
        assert_eq!(told["received"]["bytes"], 8);
    }

    #[test]
    fn reasons_are_bounded() {
        let mut reasons = Reasons::default();
        for n in 0..REASONS_MAX + 10 {
            reasons.add(&n.to_string());
        }
        let told = reasons.told();
        assert_eq!(told.as_object().map(Map::len), Some(REASONS_MAX + 1));
        assert_eq!(told["other"], 10);
    }
}

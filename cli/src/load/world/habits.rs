//! What switches do that misbehave.

use std::time::{Duration, Instant};

use ofproto::{Body, HEADER_LEN, Hello, Message, MessageType, VERSION_1_3};

use super::{Output, Timer, World};
use crate::load::manner::Manner;
use crate::sim::switch;

/// How often a habit is done again.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes that a slow reader reads each time.
const SLOW_BYTES: usize = 64;
/// Bytes of garbage each time, and messages of nonsense.
const GARBAGE_BYTES: usize = 1_024;
const MALFORMED: usize = 16;
/// Bytes of the body of a message of nonsense at the most.
const MALFORMED_BYTES: u64 = 128;
/// Packet-ins in a second of a switch that floods.
const FLOOD_RATE: f64 = 10_000.0;

/// Numbers without sense, the same in each run (xorshift64).
#[derive(Debug)]
pub struct Noise(u64);

impl Default for Noise {
    fn default() -> Self {
        Noise(0x5eed_5eed_5eed_5eed)
    }
}

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }
}

impl World {
    /// A line does what it always does.
    pub(super) fn habit_due(&mut self, now: Instant, line: usize, due: Instant) {
        // Another timer is of a connection before.
        if !self.lines[line].is_up() || self.lines[line].habit_at != Some(due) {
            return;
        }
        let conn = self.lines[line].conn(line);
        match self.lines[line].manner {
            Manner::Good | Manner::Sink | Manner::HalfOpen | Manner::Silent | Manner::Duplicate => return,
            Manner::Trickle => {
                let hello = Message::new(0, Body::Hello(Hello::with_versions(&[VERSION_1_3])));
                let hello = hello.to_bytes().expect("a hello fits a message");
                let at = &mut self.lines[line];
                let Some(byte) = hello.get(at.turn as usize) else {
                    return;
                };
                at.turn += 1;
                at.out.extend_from_slice(&[*byte]);
                self.written(line);
            }
            Manner::Churn => return self.cut(now, line, "it hangs up"),
            Manner::Mute => return self.silence(now, line),
            Manner::Slow => self.outputs.push_back(Output::Read(conn, SLOW_BYTES)),
            Manner::Garbage => {
                for at in 0..GARBAGE_BYTES {
                    let byte = self.noise.byte();
                    // A length of nothing where a message has its length, so that nobody waits for the rest of it.
                    let byte = if (2..4).contains(&at) { 0 } else { byte };
                    self.lines[line].out.extend_from_slice(&[byte]);
                }
                self.written(line);
            }
            Manner::Malformed => {
                for _ in 0..MALFORMED {
                    self.malformed(line);
                }
                self.written(line);
            }
            Manner::Flood => return self.flood_line(now, line, FLOOD_RATE, None),
        }
        self.habit_at(now + AGAIN, line);
    }

    /// It does it, or again, at a moment.
    pub(super) fn habit_at(&mut self, due: Instant, line: usize) {
        self.lines[line].habit_at = Some(due);
        self.at(due, Timer::Habit(line));
    }

    /// A line says and hears nothing any more. The switch forgets it, and does not hang up for that.
    pub(super) fn silence(&mut self, now: Instant, line: usize) {
        let at = &mut self.lines[line];
        at.silenced = true;
        let (switch, conn) = (at.switch, at.conn(line));
        self.tell(now, switch, switch::Input::Closed(conn));
    }

    /// A message of a kind that a switch may say, with a body that says nothing.
    fn malformed(&mut self, line: usize) {
        const KINDS: [MessageType; 6] = [
            MessageType::PACKET_IN,
            MessageType::PORT_STATUS,
            MessageType::MULTIPART_REPLY,
            MessageType::ERROR,
            MessageType::FLOW_REMOVED,
            MessageType::FEATURES_REPLY,
        ];
        let kind = KINDS[(self.noise.next() % KINDS.len() as u64) as usize];
        let body = (self.noise.next() % MALFORMED_BYTES) as usize;
        let [high, low] = u16::try_from(HEADER_LEN + body).unwrap_or(u16::MAX).to_be_bytes();
        let mut frame = vec![VERSION_1_3, kind.0, high, low, 0, 0, 0, 0];
        for _ in 0..body {
            frame.push(self.noise.byte());
        }
        self.tally.says(&frame);
        self.lines[line].out.extend_from_slice(&frame);
    }
}

//! What controllers say, and what switches say to them.

use std::time::Instant;

use bytes::Bytes;
use ofproto::{Body, HEADER_LEN, Header, Message, MessageType, OxmField, VERSION_1_3};

use super::World;
use crate::load::manner::Manner;
use crate::load::packets;
use crate::sim::switch;

/// Bytes that wait to be written to one controller. One that reads so slowly is hung up on.
const UNWRITTEN_MAX: usize = 16 << 20;
/// Where the length of the actions is in a packet-out, and where these begin.
const ACTIONS_LENGTH_AT: usize = 16;
const ACTIONS_AT: usize = 24;

impl World {
    pub(super) fn received(&mut self, now: Instant, line: usize, bytes: &[u8]) {
        let at = &self.lines[line];
        if !at.manner.speaks() {
            return;
        }
        let conn = at.conn(line);
        let mut rest = bytes;
        if at.framer.waiting() == 0 {
            // Nearly always whole messages, which need no copy.
            while let Some(header) = Header::peek(rest) {
                let length = usize::from(header.length);
                let Some((frame, after)) = rest.split_at_checked(length).filter(|_| length >= HEADER_LEN) else {
                    break;
                };
                self.frame(now, line, header, frame);
                if self.up(conn).is_none() {
                    return;
                }
                rest = after;
            }
        }
        self.lines[line].framer.push(rest);
        loop {
            match self.lines[line].framer.next_frame() {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    let Some(header) = Header::peek(&frame) else { return };
                    self.frame(now, line, header, &frame);
                }
                // The switch says what it thinks of it, and hangs up.
                Err(error) => {
                    let header = error.header;
                    let [x0, x1, x2, x3] = header.xid.to_be_bytes();
                    let [l0, l1] = header.length.to_be_bytes();
                    let bytes = Bytes::copy_from_slice(&[header.version, header.kind.0, l0, l1, x0, x1, x2, x3]);
                    self.tell(now, self.lines[line].switch, switch::Input::Received(conn, bytes));
                }
            }
            if self.up(conn).is_none() {
                return;
            }
        }
    }

    fn frame(&mut self, now: Instant, line: usize, header: Header, frame: &[u8]) {
        self.tally.hears(frame);
        let at = &mut self.lines[line];
        if at.manner != Manner::Good && header.kind == MessageType::ERROR {
            let manner = at.manner;
            self.tally.habit_error(manner, frame);
        }
        let at = &mut self.lines[line];
        // What is said to it is lost on it.
        if at.silenced {
            return;
        }
        let (switch, conn) = (at.switch, at.conn(line));
        if at.greeted && header.version == VERSION_1_3 {
            match header.kind {
                MessageType::ECHO_REPLY => {
                    if let Some(took) = at.echo.answered(now, header.xid) {
                        self.tally.echo.add(took);
                        self.heard(now, line);
                        return self.echo_answered(now, line);
                    }
                }
                MessageType::ECHO_REQUEST => {
                    self.heard(now, line);
                    return self.answer(line, MessageType::ECHO_REPLY, frame);
                }
                MessageType::BARRIER_REQUEST if frame.len() == HEADER_LEN => {
                    // Everything before it is done already.
                    if let Some(since) = at.changing.take() {
                        self.tally.commands.add(now - since);
                    }
                    self.heard(now, line);
                    return self.answer(line, MessageType::BARRIER_REPLY, frame);
                }
                MessageType::FLOW_MOD | MessageType::GROUP_MOD | MessageType::METER_MOD => {
                    at.changing.get_or_insert(now);
                    if header.kind == MessageType::FLOW_MOD && at.asked.outstanding() > 0 {
                        self.rule_answers(now, line, frame);
                    }
                }
                MessageType::PACKET_OUT => {
                    if let Some(number) = number_of(frame) {
                        // One of our own, which goes nowhere: what is measured is the controller, not a network of floods.
                        self.heard(now, line);
                        return self.packet_answers(now, line, number);
                    }
                }
                MessageType::ROLE_REQUEST => {
                    // Whoever asks with NOCHANGE wants no role yet.
                    at.role_asked = frame.get(HEADER_LEN..HEADER_LEN + 4).is_some_and(|role| role != [0; 4]);
                }
                _ => {}
            }
        }
        self.before(line, header, frame);
        let frame = Bytes::copy_from_slice(frame);
        self.tell(now, switch, switch::Input::Frame(conn, frame));
        self.after();
        if !self.lines[line].greeted {
            self.lines[line].greeted = self.bodies[switch].switch.is_open(conn);
            if self.lines[line].greeted && self.lines[line].manner == Manner::Silent {
                self.silence(now, line);
            }
        }
    }

    /// A switch learns that its controller is there.
    fn heard(&mut self, now: Instant, line: usize) {
        let at = &self.lines[line];
        if let Some(body) = self.bodies.get_mut(at.switch) {
            body.switch.heard(now, at.conn(line));
        }
    }

    /// A rule may be the answer to a packet-in: it names the addresses.
    fn rule_answers(&mut self, now: Instant, line: usize, frame: &[u8]) {
        let decoded = Message::decode(&Bytes::copy_from_slice(frame));
        let Ok(Message {
            body: Body::FlowMod(change),
            ..
        }) = decoded
        else {
            return;
        };
        let switch = self.lines[line].switch;
        let host = |field| {
            let address = change.matching.iter().find(|oxm| oxm.field() == field)?;
            packets::host_of(switch, address.value())
        };
        if let Some(host) = host(OxmField::ETH_SRC) {
            self.host_answered(now, line, host);
        }
    }

    /// The same frame as another type: what an echo reply is to its request.
    fn answer(&mut self, line: usize, kind: MessageType, frame: &[u8]) {
        let [version, _, rest @ ..] = frame else { return };
        let at = &mut self.lines[line];
        at.out.extend_from_slice(&[*version, kind.0]);
        at.out.extend_from_slice(rest);
        self.tally.out.add(kind, 1, frame.len());
        self.written(line);
    }

    /// A switch says something to a controller.
    pub(super) fn says(&mut self, now: Instant, line: usize, frame: &[u8]) {
        self.tally.says(frame);
        let at = &mut self.lines[line];
        at.out.extend_from_slice(frame);
        let waits = at.out.len();
        if let Some(header) = Header::peek(frame) {
            match header.kind {
                MessageType::FEATURES_REPLY if !at.handshaken => self.handshaken(now, line),
                MessageType::ROLE_REPLY if at.role_asked && !at.settled => self.settled(now, line),
                _ => {}
            }
            self.said(line, header, frame);
        }
        self.written(line);
        if waits > UNWRITTEN_MAX {
            self.cut(now, line, "the controller does not read");
        }
    }
}

/// The number of a packet that was made here and comes back in a packet-out.
fn number_of(frame: &[u8]) -> Option<u32> {
    let actions = frame.get(ACTIONS_LENGTH_AT..)?.first_chunk::<2>()?;
    packets::number_of(frame.get(ACTIONS_AT + usize::from(u16::from_be_bytes(*actions))..)?)
}

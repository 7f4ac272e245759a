//! Connections and frames of a capture, in the order in which they were seen, and the answers among them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use ofproto::Framer;

use super::Moment;
use super::frame::{Answer, Frame, GroupMod, kind};
use super::tcp::{self, Direction, Segment};

/// Bytes of frames that are kept: a scenario of minutes has a few megabytes. A capture
/// with more is of something else, and reading it fails.
const BYTES_MAX: usize = 256 << 20;

/// Connections of one capture. Bridges that try in vain come back once a second.
const CONNECTIONS_MAX: usize = 10_000;

/// A TCP connection of a switch to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The switch's end.
    pub switch: SocketAddr,
    /// The controller's end; its port says which controller.
    pub controller: SocketAddr,
    /// First packet seen.
    pub since: Moment,
    /// The switch's id, once it told its features.
    pub dpid: Option<u64>,
    /// Whether it ended (FIN or RST seen, or a new one took its place).
    pub ended: bool,
    /// Why a direction cannot be read any further, if so.
    pub unreadable: Option<String>,
}

/// Connections and frames, in the order in which they were seen.
#[derive(Default)]
pub struct Conversations {
    ports: Vec<u16>,
    connections: Vec<Connection>,
    /// From the switch, from the controller.
    streams: Vec<[Stream; 2]>,
    frames: Vec<Frame>,
    bytes: usize,
}

#[derive(Default)]
struct Stream {
    direction: Direction,
    framer: Framer,
}

impl Conversations {
    /// Nothing yet, of connections to these ports.
    pub(super) fn of(ports: &[u16]) -> Conversations {
        let ports = ports.to_vec();
        Conversations {
            ports,
            ..Conversations::default()
        }
    }

    /// All connections.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// All frames, in order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Segments that wait for bytes before them: lost by the capture, if they wait for long.
    pub(super) fn waiting(&self) -> usize {
        self.streams.iter().flatten().map(|one| one.direction.waiting()).sum()
    }

    /// The connection of a frame.
    pub fn connection(&self, frame: &Frame) -> &Connection {
        &self.connections[frame.connection]
    }

    /// Frames at or after a moment, between any switch or one and any controller or one
    /// (by its port).
    pub fn between(&self, after: Moment, dpid: Option<u64>, controller: Option<u16>) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(move |frame| {
            let connection = self.connection(frame);
            frame.at >= after
                && (dpid.is_none() || connection.dpid == dpid)
                && controller.is_none_or(|port| connection.controller.port() == port)
        })
    }

    /// Error messages of a type and code (see [`IS_SLAVE`], [`STALE`]) at or after a moment.
    pub fn errors(&self, after: Moment, error: (u16, u16)) -> Vec<&Frame> {
        self.between(after, None, None)
            .filter(|frame| frame.error() == Some(error))
            .collect()
    }

    /// What the switch answered to a frame with an error, if it did.
    pub fn error_for(&self, frame: &Frame) -> Option<(u16, u16)> {
        self.after(frame)
            .find(|answer| answer.xid() == frame.xid() && answer.error().is_some())?
            .error()
    }

    /// What is known of the answer to a frame of a controller.
    pub fn answer_to(&self, frame: &Frame) -> Answer {
        // A switch answers in the order in which it was asked.
        let mut asked_later = BTreeSet::new();
        for later in self.after(frame) {
            match later.error() {
                Some(error) if later.xid() == frame.xid() => return Answer::Error(error),
                _ if !later.from_switch => {
                    asked_later.insert(later.xid());
                }
                _ if later.is_answer() && asked_later.contains(&later.xid()) => return Answer::NoError,
                _ => {}
            }
        }
        if self.connection(frame).ended {
            Answer::NoError
        } else {
            Answer::Open
        }
    }

    /// Group mods to a switch (and group) at or after a moment, in order.
    pub fn group_mods(&self, after: Moment, dpid: u64, group_id: Option<u32>) -> Vec<GroupMod> {
        let sent = self.between(after, Some(dpid), None).filter(|frame| !frame.from_switch);
        let mods = sent.filter_map(Frame::group_mod);
        mods.filter(|sent| group_id.is_none_or(|group_id| sent.group_id == group_id))
            .collect()
    }

    /// The reply to the first barrier behind a frame of a controller, or behind the commit of the bundle that it is in: then
    /// the switch has done what the frame says.
    pub fn barrier_reply(&self, frame: &Frame) -> Option<&Frame> {
        let sent = match frame.bundle {
            Some(bundle) => self.after(frame).find(|later| later.commits() == Some(bundle))?,
            None => frame,
        };
        let mut later = self.after(sent);
        let request = later.find(|later| later.kind() == kind::BARRIER_REQUEST && !later.from_switch)?;
        self.after(request)
            .find(|reply| reply.kind() == kind::BARRIER_REPLY && reply.xid() == request.xid())
    }

    /// Frames of the same connection behind a frame.
    fn after<'a>(&'a self, frame: &Frame) -> impl Iterator<Item = &'a Frame> + use<'a> {
        let connection = frame.connection;
        let at = self
            .frames
            .iter()
            .position(|other| other.connection == connection && other == frame);
        let later = at.map_or(&self.frames[..0], |at| &self.frames[at + 1..]);
        later.iter().filter(move |later| later.connection == connection)
    }

    pub(super) fn packet(&mut self, at: Moment, packet: &[u8]) -> Result<()> {
        let Some(segment) = tcp::parse(packet) else {
            return Ok(());
        };
        let Some(connection) = self.find(at, &segment)? else {
            return Ok(());
        };
        let from_switch = segment.from == self.connections[connection].switch;
        let stream = &mut self.streams[connection][usize::from(!from_switch)];
        if segment.fin || segment.rst {
            self.connections[connection].ended = true;
        }
        if let Err(gap) = stream.direction.take(&segment) {
            self.connections[connection].unreadable.get_or_insert(gap.to_owned());
            return Ok(());
        }
        while let Some(bytes) = stream.direction.next() {
            stream.framer.push(&bytes);
        }
        loop {
            match stream.framer.next_frame() {
                Ok(Some(bytes)) => {
                    self.bytes += bytes.len();
                    ensure!(self.bytes <= BYTES_MAX, "more than {BYTES_MAX} bytes of OpenFlow");
                    let frame = Frame {
                        at,
                        connection,
                        from_switch,
                        bytes,
                        bundle: None,
                    };
                    if frame.kind() == kind::FEATURES_REPLY
                        && from_switch
                        && let Some(Ok(dpid)) = frame.bytes.get(8..16).map(<[u8; 8]>::try_from)
                    {
                        self.connections[connection].dpid = Some(u64::from_be_bytes(dpid));
                    }
                    let bundled = frame.bundled();
                    self.frames.push(frame);
                    self.frames.extend(bundled);
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.connections[connection].unreadable.get_or_insert(error.to_string());
                    return Ok(());
                }
            }
        }
    }

    /// The connection of a segment, a new one when it opens one.
    fn find(&mut self, at: Moment, segment: &Segment<'_>) -> Result<Option<usize>> {
        let Segment { from, to, .. } = *segment;
        let (switch, controller) = if self.ports.contains(&to.port()) {
            (from, to)
        } else {
            (to, from)
        };
        let same = |connection: &Connection| (connection.switch, connection.controller) == (switch, controller);
        let known = self.connections.iter().rposition(same);
        let opens = segment.syn && from == switch;
        match known {
            // A repeated SYN is no second connection.
            Some(known) if !opens || self.streams[known][0].direction.starts_at(segment) => return Ok(Some(known)),
            Some(known) => self.connections[known].ended = true,
            // One that was there before the capture: where its frames begin is not known.
            None if !opens => return Ok(None),
            None => {}
        }
        ensure!(
            self.connections.len() < CONNECTIONS_MAX,
            "more than {CONNECTIONS_MAX} connections"
        );
        self.connections.push(Connection {
            switch,
            controller,
            since: at,
            dpid: None,
            ended: false,
            unreadable: None,
        });
        self.streams.push(Default::default());
        Ok(Some(self.connections.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bundle;
    use super::super::frame::{GroupCommand, IS_SLAVE, STALE};
    use super::super::tcp::tests::Talk;
    use super::*;
    use std::time::Duration;

    fn frame(kind: u8, xid: u32, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![4, kind];
        frame.extend((8 + body.len() as u16).to_be_bytes());
        frame.extend(xid.to_be_bytes());
        frame.extend(body);
        frame
    }

    /// A switch with id 7 and a controller at port 6653, and what they said.
    fn heard(packets: &[Vec<u8>]) -> Conversations {
        let mut heard = Conversations::of(&[6653]);
        for (second, packet) in packets.iter().enumerate() {
            heard
                .packet(Duration::from_secs(second as u64), packet)
                .expect("within the limits");
        }
        heard
    }

    #[test]
    fn answers_are_found_and_belong_to_the_switch_that_gave_them() {
        let mut talk = Talk::open();
        let features = frame(
            kind::FEATURES_REPLY,
            1,
            &[0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        talk.switch_says(&features);
        // ADD, type ALL, group 9.
        let group_mod = frame(kind::GROUP_MOD, 2, &[0, 0, 0, 0, 0, 0, 0, 9]);
        talk.controller_says(&group_mod);
        talk.controller_says(&frame(kind::GROUP_MOD, 3, &[0, 1, 0, 0, 0, 0, 0, 9]));
        talk.switch_says(&frame(kind::ERROR, 2, &[0, 1, 0, 10]));
        talk.controller_says(&frame(kind::BARRIER_REQUEST, 4, &[]));
        talk.switch_says(&frame(kind::BARRIER_REPLY, 4, &[]));
        let heard = heard(&talk.packets);
        assert_eq!(heard.connections().len(), 1);
        assert_eq!(heard.connections()[0].dpid, Some(7));
        let errors = heard.errors(Duration::ZERO, IS_SLAVE);
        assert_eq!(
            (errors.len(), errors[0].xid(), heard.errors(Duration::ZERO, STALE).len()),
            (1, 2, 0)
        );
        let mods = heard.group_mods(Duration::ZERO, 7, Some(9));
        let commands: Vec<GroupCommand> = mods.iter().map(|sent| sent.command).collect();
        assert_eq!(commands, [GroupCommand::Add, GroupCommand::Modify]);
        assert!(heard.group_mods(Duration::ZERO, 8, None).is_empty());
        let writes: Vec<&Frame> = heard.frames().iter().filter(|frame| frame.is_write()).collect();
        assert_eq!(heard.error_for(writes[0]), Some(IS_SLAVE));
        assert_eq!(heard.error_for(writes[1]), None);
        assert_eq!(heard.barrier_reply(writes[0]).map(Frame::xid), Some(4));
        assert!(heard.barrier_reply(&heard.frames()[5]).is_none());
    }

    #[test]
    fn silence_about_a_frame_is_an_answer_only_when_a_later_one_was_answered() {
        let mut talk = Talk::open();
        let rule = frame(kind::FLOW_MOD, 1, &[]);
        talk.controller_says(&rule);
        talk.controller_says(&frame(kind::FLOW_MOD, 2, &[]));
        talk.controller_says(&frame(kind::BARRIER_REQUEST, 3, &[]));
        // Its own request happens to have the number of one of ours.
        talk.switch_says(&frame(2, 3, &[]));
        let answers = |talk: &Talk| {
            let heard = heard(&talk.packets);
            let writes = heard.frames().iter().filter(|frame| frame.is_write());
            writes.map(|write| heard.answer_to(write)).collect::<Vec<_>>()
        };
        assert_eq!(answers(&talk), [Answer::Open; 2]);
        talk.switch_says(&frame(kind::ERROR, 2, &[0, 1, 0, 10]));
        assert_eq!(answers(&talk), [Answer::NoError, Answer::Error(IS_SLAVE)]);
        talk.switch_says(&frame(kind::BARRIER_REPLY, 3, &[]));
        assert_eq!(answers(&talk), [Answer::NoError, Answer::Error(IS_SLAVE)]);
    }

    #[test]
    fn what_is_in_a_bundle_is_seen_and_done_when_its_commit_is_confirmed() {
        let onf = |subtype: u16, rest: &[u8]| {
            [
                &[0x4f, 0x4e, 0x46, 0, 0, 0][..],
                &subtype.to_be_bytes(),
                &[0, 0, 0, 5],
                rest,
            ]
            .concat()
        };
        let mut talk = Talk::open();
        let group_mod = frame(kind::GROUP_MOD, 2, &[0, 1, 0, 0, 0, 0, 0, 9]);
        let add = onf(bundle::ADD_MESSAGE, &[&[0, 0, 0, 3][..], &group_mod].concat());
        talk.controller_says(&frame(kind::EXPERIMENTER, 2, &add));
        talk.controller_says(&frame(kind::BARRIER_REQUEST, 3, &[]));
        talk.switch_says(&frame(kind::BARRIER_REPLY, 3, &[]));
        let seen = |talk: &Talk| {
            let heard = heard(&talk.packets);
            let write = heard.frames().iter().find(|frame| frame.is_write()).cloned();
            let write = write.expect("the group mod in the bundle");
            assert_eq!((write.bundle, &write.bytes[..]), (Some(5), &group_mod[..]));
            heard.barrier_reply(&write).map(Frame::xid)
        };
        assert_eq!(seen(&talk), None);
        talk.controller_says(&frame(kind::EXPERIMENTER, 4, &onf(bundle::CONTROL, &[0, 4, 0, 3])));
        talk.controller_says(&frame(kind::BARRIER_REQUEST, 6, &[]));
        talk.switch_says(&frame(kind::BARRIER_REPLY, 6, &[]));
        assert_eq!(seen(&talk), Some(6));
    }

    #[test]
    fn a_second_connection_from_the_same_port_is_another_one() {
        let mut talk = Talk::open();
        // Half a frame, then the switch crashes and comes back.
        talk.switch_says(&frame(kind::BARRIER_REPLY, 1, &[])[..5]);
        let mut again = Talk::open_at(50_000);
        again.switch_says(&frame(kind::BARRIER_REPLY, 2, &[]));
        let packets = [talk.packets, again.packets].concat();
        let heard = heard(&packets);
        assert_eq!(
            heard.connections().iter().map(|one| one.ended).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(
            heard
                .frames()
                .iter()
                .map(|frame| (frame.connection, frame.xid()))
                .collect::<Vec<_>>(),
            [(1, 2)]
        );
    }

    #[test]
    fn a_stream_that_is_no_openflow_is_marked_and_does_no_harm() {
        let mut talk = Talk::open();
        talk.switch_says(&[4, 0, 0, 3, 0, 0, 0, 0]);
        talk.switch_says(b"HTTP/1.1 400 Bad Request");
        let heard = heard(&talk.packets);
        assert!(heard.frames().is_empty());
        let cause = heard.connections()[0].unreadable.as_deref();
        assert!(cause.is_some_and(|cause| cause.contains("length 3")), "{cause:?}");
    }
}

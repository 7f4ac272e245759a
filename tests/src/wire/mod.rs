//! OpenFlow as it was on the wire: what the switches and their controllers really said.
//!
//! A capture (tcpdump's or that of `skerry sim`, so that the file can be looked at with other
//! tools too) of TCP connections, put together per direction and cut into frames.
//! It judges nothing; it finds frames and the answers to them. Times are those of the
//! capture, on the machine's wall clock.

mod bundle;
mod tcp;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use ofproto::{Framer, Message};
use pcap_file::PcapError;
use pcap_file::pcap::PcapParser;

use crate::lab::Lab;
use crate::process::Process;
use crate::wait::{self, DEADLINE};
use tcp::{Direction, Segment};

/// Bytes of frames that are kept: a scenario of minutes has a few megabytes. A capture
/// with more is of something else, and reading it fails.
const BYTES_MAX: usize = 256 << 20;

/// Connections of one capture. Bridges that try in vain come back once a second.
const CONNECTIONS_MAX: usize = 10_000;

/// Bytes of a packet that are captured. A lab's cables have no offloads, so none is longer.
const PACKET_BYTES: &str = "2048";

/// KiB for packets that tcpdump has not read yet: some 30,000.
const BUFFER_KIB: &str = "65536";

/// Types of OpenFlow 1.3 messages that are looked for here (`enum ofp_type`).
pub mod kind {
    /// OFPT_ERROR.
    pub const ERROR: u8 = 1;
    /// OFPT_ECHO_REPLY.
    pub const ECHO_REPLY: u8 = 3;
    /// OFPT_EXPERIMENTER.
    pub const EXPERIMENTER: u8 = 4;
    /// OFPT_FEATURES_REPLY.
    pub const FEATURES_REPLY: u8 = 6;
    /// OFPT_PACKET_OUT.
    pub const PACKET_OUT: u8 = 13;
    /// OFPT_FLOW_MOD.
    pub const FLOW_MOD: u8 = 14;
    /// OFPT_GROUP_MOD.
    pub const GROUP_MOD: u8 = 15;
    /// OFPT_MULTIPART_REPLY.
    pub const MULTIPART_REPLY: u8 = 19;
    /// OFPT_BARRIER_REQUEST.
    pub const BARRIER_REQUEST: u8 = 20;
    /// OFPT_BARRIER_REPLY.
    pub const BARRIER_REPLY: u8 = 21;
    /// OFPT_ROLE_REQUEST.
    pub const ROLE_REQUEST: u8 = 24;
    /// OFPT_ROLE_REPLY.
    pub const ROLE_REPLY: u8 = 25;
    /// OFPT_METER_MOD.
    pub const METER_MOD: u8 = 29;
}

/// OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE: a slave tried to write.
pub const IS_SLAVE: (u16, u16) = (1, 10);

/// OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE: the generation id is an old one.
pub const STALE: (u16, u16) = (11, 0);

/// A point in time of a capture: since 1970, on the machine's wall clock.
pub type Moment = Duration;

/// Now, to compare with the times of frames.
pub fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

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

/// One OpenFlow message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When its last byte was seen.
    pub at: Moment,
    /// Index in [`Wire::connections`].
    pub connection: usize,
    /// Who sent it.
    pub from_switch: bool,
    /// All of it, with the header.
    pub bytes: Bytes,
    /// The bundle that it was put into, if it came so; the message that put it there is a frame of its own, before it.
    pub bundle: Option<u32>,
}

impl Frame {
    /// Its type, see [`kind`].
    pub fn kind(&self) -> u8 {
        self.bytes[1]
    }

    /// Its transaction id.
    pub fn xid(&self) -> u32 {
        u32::from_be_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }

    /// Its decoded form.
    ///
    /// # Errors
    /// It is malformed; the error says where.
    pub fn message(&self) -> Result<Message> {
        Message::decode(&self.bytes).map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Type and code, if it is an error message.
    pub fn error(&self) -> Option<(u16, u16)> {
        let is_error = self.kind() == kind::ERROR && self.from_switch;
        is_error.then(|| Some((self.u16_at(8)?, self.u16_at(10)?))).flatten()
    }

    /// What it does to which group, if it is a group mod.
    pub fn group_mod(&self) -> Option<GroupMod> {
        if self.kind() != kind::GROUP_MOD {
            return None;
        }
        let group_id = u32::from(self.u16_at(12)?) << 16 | u32::from(self.u16_at(14)?);
        let command = match self.u16_at(8)? {
            0 => GroupCommand::Add,
            1 => GroupCommand::Modify,
            2 => GroupCommand::Delete,
            other => GroupCommand::Other(other),
        };
        Some(GroupMod {
            at: self.at,
            connection: self.connection,
            command,
            group_type: self.bytes[10],
            group_id,
        })
    }

    /// Whether it changes the switch: rules, groups, meters, or a packet sent.
    pub fn is_write(&self) -> bool {
        let writes = [kind::FLOW_MOD, kind::GROUP_MOD, kind::METER_MOD, kind::PACKET_OUT];
        !self.from_switch && writes.contains(&self.kind())
    }

    /// Whether it answers a request, so that its xid is that of the request.
    fn is_answer(&self) -> bool {
        let answers = [
            kind::ERROR,
            kind::ECHO_REPLY,
            kind::MULTIPART_REPLY,
            kind::BARRIER_REPLY,
            kind::ROLE_REPLY,
        ];
        self.from_switch && answers.contains(&self.kind())
    }

    /// The generation id, if it is a switch's word that the controller is MASTER now.
    pub fn master_reply(&self) -> Option<u64> {
        // ofp_role_request: header 8, role 4 (2 is OFPCR_ROLE_MASTER), padding 4, generation id 8.
        let is_master =
            self.from_switch && self.kind() == kind::ROLE_REPLY && self.bytes.get(8..12) == Some(&[0, 0, 0, 2]);
        let generation = self.bytes.get(16..24).filter(|_| is_master)?;
        Some(generation.iter().fold(0, |id, byte| id << 8 | u64::from(*byte)))
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes([*self.bytes.get(at)?, *self.bytes.get(at + 1)?]))
    }
}

/// What a switch said to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet, to this frame or a later one.
    Open,
    /// An error, of this type and code.
    Error((u16, u16)),
    /// A later frame was answered, this one was not: the switch had nothing against it. Also when the connection ended.
    NoError,
}

/// A group mod that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMod {
    /// When.
    pub at: Moment,
    /// Index in [`Wire::connections`].
    pub connection: usize,
    /// What it does.
    pub command: GroupCommand,
    /// 0 is ALL (`enum ofp_group_type`).
    pub group_type: u8,
    /// The group; 0xfffffffc in a DELETE means all.
    pub group_id: u32,
}

/// `enum ofp_group_mod_command`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    /// OFPGC_ADD.
    Add,
    /// OFPGC_MODIFY.
    Modify,
    /// OFPGC_DELETE.
    Delete,
    /// None of the protocol's.
    Other(u16),
}

/// A running capture and all that was read from it so far.
pub struct Wire {
    /// Writes the file.
    writer: Process,
    file: PathBuf,
    reader: File,
    unread: Vec<u8>,
    parser: Option<PcapParser>,
    conversations: Conversations,
}

impl Wire {
    /// Captures the TCP connections to `controller_ports` on an interface; what is sent
    /// after this returns is seen.
    ///
    /// # Errors
    /// tcpdump is not installed or does not start.
    pub fn start(lab: &Lab, netns: &str, interface: &str, controller_ports: &[u16]) -> Result<Wire> {
        ensure!(!controller_ports.is_empty(), "a capture without ports");
        let file = lab.folder().join(format!("openflow-{netns}-{interface}.pcap"));
        let ports: Vec<String> = controller_ports.iter().map(|port| format!("tcp port {port}")).collect();
        let mut command = Command::new("tcpdump");
        // In immediate mode the kernel's buffer is cut into slots for the longest packet that is captured whole: with
        // the usual 256 KiB, 256 packets fill it, which a machine that is busy for a moment does not read in time.
        command.args(["-i", interface, "-n", "-s", PACKET_BYTES, "-U", "--immediate-mode"]);
        command.args(["-B", BUFFER_KIB, "-Z", "root", "-w"]);
        command.arg(&file).arg(ports.join(" or "));
        let tcpdump = lab.spawn(Some(netns), &format!("tcpdump-{netns}-{interface}"), command)?;
        wait::until("start of tcpdump", DEADLINE, || match tcpdump.last_words() {
            words if words.contains("listening on") && file.exists() => Ok(()),
            words => Err(words),
        })?;
        Wire::written_by(tcpdump, file, controller_ports)
    }

    /// Reads the capture that a program writes to `file`.
    ///
    /// # Errors
    /// There is no such file.
    pub fn written_by(writer: Process, file: PathBuf, controller_ports: &[u16]) -> Result<Wire> {
        let reader = File::open(&file)?;
        let conversations = Conversations {
            ports: controller_ports.to_vec(),
            ..Conversations::default()
        };
        Ok(Wire {
            writer,
            file,
            reader,
            unread: Vec::new(),
            parser: None,
            conversations,
        })
    }

    /// The pcap file, in the lab's folder.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads what was captured since the last time.
    ///
    /// # Errors
    /// What writes the file ended, the file is not what it should be, or packets are missing in it.
    pub fn update(&mut self) -> Result<()> {
        // Asked before reading: what it wrote last is then read all the same.
        let ended = !self.writer.is_running();
        self.advance()?;
        ensure!(!ended, "{:?} ended: {}", self.writer, self.writer.last_words());
        // What is judged by the capture would be judged wrong, whatever it is.
        let gap = self
            .conversations
            .connections
            .iter()
            .find(|one| one.unreadable.as_deref() == Some(tcp::BYTES_MISSING));
        ensure!(gap.is_none(), "the capture is not whole: {gap:?}");
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.reader.read_to_end(&mut self.unread)?;
        let mut rest = &self.unread[..];
        if self.parser.is_none() {
            match PcapParser::new(rest) {
                Ok((after, parser)) => (rest, self.parser) = (after, Some(parser)),
                Err(PcapError::IncompleteBuffer) => return Ok(()),
                Err(error) => bail!("{}: {error}", self.file.display()),
            }
        }
        while let Some(parser) = &self.parser {
            match parser.next_packet(rest) {
                Ok((after, packet)) => {
                    rest = after;
                    ensure!(
                        packet.data.len() == packet.orig_len as usize,
                        "a packet of {} bytes was cut to {}",
                        packet.orig_len,
                        packet.data.len()
                    );
                    self.conversations.packet(packet.timestamp, &packet.data)?;
                }
                Err(PcapError::IncompleteBuffer) => break,
                Err(error) => bail!("{}: {error}", self.file.display()),
            }
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    /// Reads on until `probe` finds what it looks for; it answers with what it saw instead.
    ///
    /// # Errors
    /// Not found within [`DEADLINE`], or reading failed.
    pub fn wait_for<T>(&mut self, what: &str, mut probe: impl FnMut(&Conversations) -> Result<T, String>) -> Result<T> {
        wait::until(what, DEADLINE, || {
            self.update().map_err(|error| format!("{error:#}"))?;
            probe(&self.conversations).map_err(|seen| match self.conversations.waiting() {
                0 => seen,
                waiting => format!("{seen} ({waiting} captured segments wait for one before them)"),
            })
        })
    }

    /// What was read so far, after reading what is there.
    ///
    /// # Errors
    /// As [`Wire::update`].
    pub fn read(&mut self) -> Result<&Conversations> {
        self.update()?;
        Ok(&self.conversations)
    }

    /// Ends tcpdump and reads the rest.
    ///
    /// # Errors
    /// The file is not what it should be, or the kernel dropped packets.
    pub fn stop(&mut self) -> Result<&Conversations> {
        self.writer.end(DEADLINE)?;
        let words = self.writer.last_words();
        self.advance()?;
        ensure!(words.contains("\n0 packets dropped by kernel"), "tcpdump: {words}");
        Ok(&self.conversations)
    }
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
    /// All connections.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// All frames, in order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Segments that wait for bytes before them: lost by the capture, if they wait for long.
    fn waiting(&self) -> usize {
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

    fn packet(&mut self, at: Moment, packet: &[u8]) -> Result<()> {
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
    use super::tcp::tests::Talk;
    use super::*;

    fn frame(kind: u8, xid: u32, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![4, kind];
        frame.extend((8 + body.len() as u16).to_be_bytes());
        frame.extend(xid.to_be_bytes());
        frame.extend(body);
        frame
    }

    /// A switch with id 7 and a controller at port 6653, and what they said.
    fn heard(packets: &[Vec<u8>]) -> Conversations {
        let mut heard = Conversations {
            ports: vec![6653],
            ..Conversations::default()
        };
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

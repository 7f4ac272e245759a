//! One OpenFlow connection, from its hello to its end: framing, version, handshake with the role settled, echo.
//!
//! ```text
//! Securing --TLS--> Hello --HELLO--> Features --FEATURES_REPLY--> Identified --proceed--> Describing --all answers--> Settling --SLAVE--> Ready
//!                                                  |                                                 |  ^
//!                                     (decided by the composed machine)                   STALE: NOCHANGE again
//! ```
//!
//! It knows nothing of other connections, commands or Kafka. Until `Ready` it sends nothing that writes (design section 4).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ofproto::{
    AsyncConfig, BadRequestCode, Body, ControllerRole, ErrorMsg, ErrorType, FeaturesReply, FlowRemovedReasons, Hello,
    HelloFailedCode, Message, MessageType, MultipartReplyBody, MultipartRequest, MultipartRequestBody, PacketInReasons,
    PortReason, PortReasons, Reassembly, ReassemblyLimits, RoleMsg, RoleRequestFailedCode, VERSION_1_3,
};
use skerry_bus::switch::SwitchDescription;
use skerry_bus::{PortNo, PortState, SwitchId};

use crate::beat::Beat;
use crate::fact::CloseReason;
use crate::identity::Identity;
use crate::intake::Intake;
use crate::io::{Config, Roles};
use crate::measure::Gauge;
use crate::shed::{Shed, Shedder, Tally};
use crate::wire::{KIND_AT, Wire};

/// Ports kept of one switch. A larger chassis does not exist; more are dropped with a count.
pub const PORTS_MAX: usize = 4_096;
/// How often the role is asked again when another region changed it in between.
const SETTLE_TRIES_MAX: u32 = 8;
/// Bytes of the frame that an OFPT_ERROR carries back (OpenFlow 1.3.5 section 7.4.4: "at least 64 bytes").
const ERROR_DATA: usize = 64;
/// Bytes of a text from a switch that is repeated in reasons.
const TEXT_MAX: usize = 200;
/// Parts and bytes of the description and port list. 4,096 ports take 262,144 bytes.
const DESCRIBE_LIMITS: ReassemblyLimits = ReassemblyLimits {
    replies_max: 2,
    parts_max: 1_024,
    bytes_max: 1 << 20,
};

/// What a connection tells the composed machine about one frame.
#[derive(Debug)]
pub(crate) enum Event {
    /// The switch id is known: [`Connection::proceed`] or closing must follow.
    Identified(SwitchId),
    /// Everything is known and the role is settled.
    Settled,
    /// A message that is not the connection's own business, and its length. Only after `Settled`.
    Message(SwitchId, Message, usize),
    /// A message that the handshake has no use for.
    Early,
    /// A message that answers nothing.
    Unasked,
    /// An echo request of ours was answered; how long that took, if it was the last regular one.
    Echoed(u32, Option<Duration>),
}

#[derive(Debug)]
enum State {
    /// The driver and the switch agree on keys, and the switch proves who it is.
    Securing,
    /// Our HELLO is out; theirs is awaited.
    Hello,
    /// Who is it?
    Features { xid: u32 },
    /// The composed machine decides whether this switch id is free.
    Identified,
    /// Description, ports and generation id are asked.
    Describing(Box<Describing>),
    /// SLAVE is asked with the number the switch showed.
    Settling { xid: u32, shown: Option<u64>, tries: u32 },
    /// Another region changed the number in between: it is asked again.
    Asking { xid: u32, tries: u32 },
    /// Announced.
    Ready,
}

#[derive(Debug)]
struct Describing {
    desc_xid: u32,
    ports_xid: u32,
    role_xid: u32,
    described: bool,
    ported: bool,
    /// The generation id the switch showed: all ones is none.
    shown: Option<Option<u64>>,
    reassembly: Reassembly,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) wire: Wire,
    /// What its certificate lets it be.
    pub(crate) identity: Identity,
    /// Known from `Identified` on.
    pub(crate) switch: Option<SwitchId>,
    pub(crate) description: SwitchDescription,
    pub(crate) ports: BTreeMap<PortNo, PortState>,
    /// Ports that were left out because of [`PORTS_MAX`].
    pub(crate) ports_dropped: u64,
    /// The generation id shown when the role was settled.
    pub(crate) generation_id: Option<u64>,
    /// The switch has no roles.
    pub(crate) roleless: bool,
    roleless_allowed: bool,
    intake: Intake,
    shedder: Shedder,
    tally: Tally,
    state: State,
    handshake_max: Duration,
    handshake_until: Instant,
    echo_interval: Duration,
    echo_missed_max: u32,
    /// From `Ready` on.
    echo_beat: Option<Beat>,
    echo_missed: u32,
    echo_xids: (u32, u32),
    /// When the last regular one left, until it is answered.
    echo_sent: Option<Instant>,
}

/// A port as the contract has it; none for OpenFlow's reserved numbers.
pub(crate) fn read_port(port: &ofproto::Port) -> Option<PortState> {
    (port.port_no.0 != 0 && port.port_no <= ofproto::PortNo::MAX).then(|| PortState {
        port: PortNo(port.port_no.0),
        name: port.name.to_text().into_owned(),
        up: port.is_up(),
        speed_kbps: port.curr_speed,
    })
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn multipart(body: MultipartRequestBody) -> Body {
    Body::MultipartRequest(MultipartRequest::new(body))
}

fn role(role: ControllerRole, generation_id: u64) -> Body {
    Body::RoleRequest(RoleMsg { role, generation_id })
}

/// What a MASTER and a SLAVE are sent unasked: index 0 is for MASTER and EQUAL, 1 for SLAVE (section 7.3.10). A rule's own
/// output to the controller counts as ACTION; misses and flow-removed messages are not used.
fn async_config() -> AsyncConfig {
    let ports = PortReasons::ADD | PortReasons::DELETE | PortReasons::MODIFY;
    AsyncConfig {
        packet_in_mask: [PacketInReasons::ACTION, PacketInReasons::NONE],
        port_status_mask: [ports, ports],
        flow_removed_mask: [FlowRemovedReasons::NONE, FlowRemovedReasons::NONE],
    }
}

impl Connection {
    /// `tls`: nothing is said before [`Connection::secured`].
    pub(crate) fn new(config: &Config, now: Instant, peer: SocketAddr, local: SocketAddr, tls: bool) -> Self {
        let mut connection = Connection {
            peer,
            local,
            since: now,
            wire: Wire::default(),
            identity: Identity::Unproven,
            switch: None,
            description: SwitchDescription::default(),
            ports: BTreeMap::new(),
            ports_dropped: 0,
            generation_id: None,
            roleless: false,
            roleless_allowed: config.roles == Roles::Equal,
            intake: Intake::default(),
            shedder: Shedder::new(config.packets),
            tally: Tally::default(),
            state: State::Securing,
            handshake_max: config.handshake_max,
            handshake_until: now + config.handshake_max,
            echo_interval: config.echo,
            echo_missed_max: config.echo_missed_max,
            echo_beat: None,
            echo_missed: 0,
            echo_xids: (0, 0),
            echo_sent: None,
        };
        if !tls {
            connection.secured(Identity::Unproven);
        }
        connection
    }

    /// It is known who is at the other end: our HELLO goes out. The time for the handshake goes on.
    pub(crate) fn secured(&mut self, identity: Identity) {
        if !matches!(self.state, State::Securing) {
            return;
        }
        self.identity = identity;
        self.wire.send_short(Body::Hello(Hello::with_versions(&[VERSION_1_3])));
        self.state = State::Hello;
    }

    /// Under which state it is counted.
    pub(crate) fn gauge(&self) -> Gauge {
        match self.state {
            State::Securing => Gauge::StateSecuring,
            State::Hello => Gauge::StateHello,
            State::Features { .. } => Gauge::StateFeatures,
            State::Identified => Gauge::StateWaiting,
            State::Describing(_) | State::Settling { .. } | State::Asking { .. } => Gauge::StateDescribing,
            State::Ready => Gauge::StateReady,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Bytes came. The driver gives none before TLS is settled.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !matches!(self.state, State::Securing) {
            self.intake.push(bytes);
        }
    }

    /// The fates of packets since the last call.
    pub(crate) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Ports that were left out since the last call. Before it is announced that is told with the announcement.
    pub(crate) fn take_ports_dropped(&mut self) -> u64 {
        if self.is_ready() {
            std::mem::take(&mut self.ports_dropped)
        } else {
            0
        }
    }

    /// Look at one frame that is worth it. `None`: there is no whole one.
    pub(crate) fn next_event(&mut self, now: Instant) -> Option<Result<Option<Event>, CloseReason>> {
        let Connection {
            intake,
            shedder,
            tally,
            state,
            ports,
            echo_missed,
            wire,
            ..
        } = self;
        let cut = intake.next_frame(|frame| {
            // Whatever it is, the switch lives.
            *echo_missed = 0;
            match frame.get(KIND_AT).copied().map(MessageType) {
                Some(MessageType::PACKET_IN) => {}
                // Answered in every state: it is the peer's own clock that runs.
                Some(MessageType::ECHO_REQUEST) if frame.first() == Some(&VERSION_1_3) => {
                    wire.echo(frame);
                    return true;
                }
                _ => return false,
            }
            let shed = if matches!(state, State::Ready) {
                shedder.judge(now, frame, |port| ports.contains_key(&PortNo(port)))
            } else {
                Some(Shed::NotAnnounced)
            };
            shed.inspect(|why| tally.shed(*why)).is_some()
        });
        let frame = match cut {
            Ok(None) => return None,
            Ok(Some(frame)) => frame,
            Err(error) => {
                self.refuse(
                    error.header.xid,
                    ErrorType::BAD_REQUEST,
                    BadRequestCode::BAD_LEN.0,
                    &Bytes::new(),
                );
                return Some(Err(CloseReason::Malformed(error.to_string())));
            }
        };
        let is_packet = frame.get(KIND_AT) == Some(&MessageType::PACKET_IN.0);
        let message = match Message::decode(&frame) {
            Ok(message) => message,
            Err(error) => {
                self.tally.malformed += u64::from(is_packet);
                let (kind, code) = error.to_answer();
                let xid = ofproto::Header::peek(&frame).map_or(0, |h| h.xid);
                self.refuse(xid, kind, code, &frame);
                return Some(Err(CloseReason::Malformed(error.to_string())));
            }
        };
        self.tally.delivered += u64::from(is_packet);
        Some(self.handle(now, message, frame.len()))
    }

    fn refuse(&mut self, xid: u32, kind: ErrorType, code: u16, frame: &Bytes) {
        let data = frame.slice(..frame.len().min(ERROR_DATA));
        let error = Body::Error(ErrorMsg { kind, code, data });
        self.wire
            .write(Message::new(xid, error))
            .expect("an error with at most 64 bytes of data fits");
    }

    fn handle(&mut self, now: Instant, message: Message, len: usize) -> Result<Option<Event>, CloseReason> {
        if let Body::EchoReply(_) = message.body {
            let ours = message.xid == self.echo_xids.0 || message.xid == self.echo_xids.1;
            let sent = self.echo_sent.take_if(|_| message.xid == self.echo_xids.0);
            let took = sent.map(|sent| now.saturating_duration_since(sent));
            return Ok(Some(if ours {
                Event::Echoed(message.xid, took)
            } else {
                Event::Unasked
            }));
        }
        match &mut self.state {
            State::Hello => self.hello(message),
            State::Features { xid } => {
                let xid = *xid;
                self.features(xid, message)
            }
            State::Securing | State::Identified => Ok(Some(Event::Early)),
            State::Describing(_) => self.describing(now, message, len),
            State::Settling { .. } | State::Asking { .. } => self.settling(now, message),
            State::Ready => {
                let Some(switch) = self.switch else {
                    return Ok(Some(Event::Early));
                };
                if let Body::PortStatus(status) = &message.body
                    && !self.port_status(status)
                {
                    return Ok(None);
                }
                Ok(Some(Event::Message(switch, message, len)))
            }
        }
    }

    fn hello(&mut self, message: Message) -> Result<Option<Event>, CloseReason> {
        match message.body {
            Body::Hello(hello) if hello.offers(message.version, VERSION_1_3) => {
                let xid = self.wire.send_short(Body::FeaturesRequest);
                self.state = State::Features { xid };
                Ok(None)
            }
            Body::Hello(hello) => {
                let offered = match hello.version_bitmap() {
                    Some(words) => format!("the switch offers the versions {words:#x?}, 1.3 is needed"),
                    None => format!(
                        "the switch offers up to version {:#04x}, 0x04 is needed",
                        message.version
                    ),
                };
                let text = "Skerry speaks OpenFlow 1.3 only";
                let error = Message {
                    // In a version that the other side can read.
                    version: message.version.min(VERSION_1_3),
                    xid: message.xid,
                    body: Body::Error(ErrorMsg {
                        kind: ErrorType::HELLO_FAILED,
                        code: HelloFailedCode::INCOMPATIBLE.0,
                        data: Bytes::from_static(text.as_bytes()),
                    }),
                };
                self.wire.write(error).expect("a short text fits");
                Err(CloseReason::Incompatible(cut(&offered)))
            }
            Body::Error(error) => Err(refused_by_peer(&error)),
            body => Err(CloseReason::Malformed(format!(
                "ofp_header at offset 1: {} before OFPT_HELLO",
                body.kind()
            ))),
        }
    }

    fn features(&mut self, xid: u32, message: Message) -> Result<Option<Event>, CloseReason> {
        match message.body {
            Body::FeaturesReply(FeaturesReply {
                datapath_id,
                n_tables,
                auxiliary_id,
                ..
            }) if message.xid == xid => {
                if auxiliary_id != 0 {
                    return Err(CloseReason::Auxiliary(auxiliary_id));
                }
                let switch = SwitchId(datapath_id);
                self.switch = Some(switch);
                self.description.openflow = "1.3".to_owned();
                self.description.tables = n_tables;
                self.state = State::Identified;
                Ok(Some(Event::Identified(switch)))
            }
            Body::Error(error) if error.kind == ErrorType::HELLO_FAILED => Err(refused_by_peer(&error)),
            Body::Error(error) if message.xid == xid => Err(CloseReason::HandshakeError {
                step: MessageType::FEATURES_REQUEST.name().unwrap_or_default(),
                error: error.to_string(),
            }),
            _ => Ok(Some(Event::Early)),
        }
    }

    /// The switch id is free: go on. The handshake's time begins again, because waiting was not the switch's doing.
    pub(crate) fn proceed(&mut self, now: Instant) {
        if !matches!(self.state, State::Identified) {
            return;
        }
        self.handshake_until = now + self.handshake_max;
        let desc_xid = self.wire.send_short(multipart(MultipartRequestBody::Desc));
        let ports_xid = self.wire.send_short(multipart(MultipartRequestBody::PortDesc));
        self.wire.send_short(Body::SetAsync(async_config()));
        let role_xid = self.wire.send_short(role(ControllerRole::NOCHANGE, 0));
        self.state = State::Describing(Box::new(Describing {
            desc_xid,
            ports_xid,
            role_xid,
            described: false,
            ported: false,
            shown: None,
            reassembly: Reassembly::new(DESCRIBE_LIMITS),
        }));
    }

    fn describing(&mut self, now: Instant, message: Message, len: usize) -> Result<Option<Event>, CloseReason> {
        let State::Describing(d) = &mut self.state else {
            return Ok(None);
        };
        let xid = message.xid;
        match message.body {
            Body::MultipartReply(reply) if xid == d.desc_xid || xid == d.ports_xid => {
                match d.reassembly.accept(xid, reply, len) {
                    Ok(None) => {}
                    Ok(Some(MultipartReplyBody::Desc(desc))) if xid == d.desc_xid => {
                        d.described = true;
                        self.description.manufacturer = desc.mfr_desc.to_text().into_owned();
                        self.description.hardware = desc.hw_desc.to_text().into_owned();
                        self.description.software = desc.sw_desc.to_text().into_owned();
                        self.description.serial_number = desc.serial_num.to_text().into_owned();
                        self.description.datapath = desc.dp_desc.to_text().into_owned();
                    }
                    Ok(Some(MultipartReplyBody::PortDesc(ports))) if xid == d.ports_xid => {
                        d.ported = true;
                        self.ports.clear();
                        for port in ports.iter().filter_map(read_port) {
                            self.put_port(port);
                        }
                    }
                    Ok(Some(other)) => {
                        return Err(CloseReason::Malformed(format!(
                            "ofp_multipart_reply at offset 8: {} does not answer what was asked",
                            other.kind()
                        )));
                    }
                    Err(error) => {
                        return Err(CloseReason::Malformed(format!(
                            "ofp_multipart_reply at offset 8: {error}"
                        )));
                    }
                }
            }
            Body::RoleReply(reply) if xid == d.role_xid => d.shown = Some(shown(reply.generation_id)),
            Body::PortStatus(status) => {
                self.port_status(&status);
            }
            Body::Error(_) if xid == d.role_xid && self.roleless_allowed => {
                self.roleless = true;
                d.shown = Some(None);
            }
            Body::Error(error) => {
                let step = match xid {
                    x if x == d.desc_xid => "OFPMP_DESC",
                    x if x == d.ports_xid => "OFPMP_PORT_DESC",
                    x if x == d.role_xid => "OFPT_ROLE_REQUEST",
                    _ => return Ok(Some(Event::Early)),
                };
                let error = error.to_string();
                return Err(CloseReason::HandshakeError { step, error });
            }
            _ => return Ok(Some(Event::Early)),
        }
        let State::Describing(d) = &self.state else {
            return Ok(None);
        };
        if let (true, true, Some(shown)) = (d.described, d.ported, d.shown) {
            if self.roleless {
                return Ok(Some(self.ready(now)));
            }
            self.settle(shown, 1);
        }
        Ok(None)
    }

    /// Ask for SLAVE with the number the switch shows; 0 if it shows none, so terms begin at 1.
    fn settle(&mut self, shown: Option<u64>, tries: u32) {
        let xid = self.wire.send_short(role(ControllerRole::SLAVE, shown.unwrap_or(0)));
        self.state = State::Settling { xid, shown, tries };
    }

    fn settling(&mut self, now: Instant, message: Message) -> Result<Option<Event>, CloseReason> {
        if let Body::PortStatus(status) = &message.body {
            self.port_status(status);
            return Ok(None);
        }
        match (&self.state, message.body) {
            (State::Settling { xid, shown, .. }, Body::RoleReply(_)) if message.xid == *xid => {
                self.generation_id = *shown;
                Ok(Some(self.ready(now)))
            }
            (State::Asking { xid, tries }, Body::RoleReply(reply)) if message.xid == *xid => {
                let tries = *tries;
                self.settle(shown(reply.generation_id), tries + 1);
                Ok(None)
            }
            (State::Settling { xid, tries, .. }, Body::Error(error)) if message.xid == *xid => {
                let stale =
                    error.kind == ErrorType::ROLE_REQUEST_FAILED && error.code == RoleRequestFailedCode::STALE.0;
                if stale && *tries < SETTLE_TRIES_MAX {
                    // Another region took a newer number between our question and our request.
                    let tries = *tries;
                    let xid = self.wire.send_short(role(ControllerRole::NOCHANGE, 0));
                    self.state = State::Asking { xid, tries };
                    return Ok(None);
                }
                Err(role_error(&error))
            }
            (State::Asking { xid, .. }, Body::Error(error)) if message.xid == *xid => Err(role_error(&error)),
            _ => Ok(Some(Event::Early)),
        }
    }

    fn ready(&mut self, now: Instant) -> Event {
        self.state = State::Ready;
        self.echo_beat = self.switch.map(|switch| Beat::new(self.echo_interval, switch, now));
        self.echo_missed = 0;
        Event::Settled
    }

    fn put_port(&mut self, port: PortState) -> bool {
        if self.ports.len() >= PORTS_MAX && !self.ports.contains_key(&port.port) {
            self.ports_dropped += 1;
            return false;
        }
        self.ports.insert(port.port, port.clone()).as_ref() != Some(&port)
    }

    /// Take a port's change over. Gives whether something changed.
    fn port_status(&mut self, status: &ofproto::PortStatus) -> bool {
        let Some(port) = read_port(&status.desc) else {
            return false;
        };
        if status.reason == PortReason::DELETE {
            self.shedder.forget_port(port.port.0);
            self.ports.remove(&port.port).is_some()
        } else {
            self.put_port(port)
        }
    }

    /// Ask for a sign of life now. Gives the transaction id that [`Event::Echoed`] will name.
    pub(crate) fn challenge(&mut self) -> u32 {
        let xid = self.wire.send_short(Body::EchoRequest(Bytes::new()));
        self.echo_xids.1 = xid;
        xid
    }

    /// When [`Connection::handle_timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            // Waiting for the composed machine has a deadline there.
            State::Identified => None,
            State::Ready => self.echo_beat.map(|beat| beat.at()),
            State::Securing
            | State::Hello
            | State::Features { .. }
            | State::Describing(_)
            | State::Settling { .. }
            | State::Asking { .. } => Some(self.handshake_until),
        }
    }

    /// A deadline may have passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), CloseReason> {
        if self.deadline().is_none_or(|at| now < at) {
            return Ok(());
        }
        let step = match self.state {
            State::Ready => {
                if self.echo_missed >= self.echo_missed_max {
                    return Err(CloseReason::EchoUnanswered(self.echo_missed));
                }
                self.echo_missed += 1;
                if let Some(beat) = &mut self.echo_beat {
                    beat.done(now);
                }
                self.echo_xids.0 = self.wire.send_short(Body::EchoRequest(Bytes::new()));
                self.echo_sent = Some(now);
                return Ok(());
            }
            State::Securing => "the TLS handshake",
            State::Hello => "OFPT_HELLO",
            State::Features { .. } => "OFPT_FEATURES_REPLY",
            State::Identified => return Ok(()),
            State::Describing(ref d) if !d.described => "OFPMP_DESC",
            State::Describing(ref d) if !d.ported => "OFPMP_PORT_DESC",
            State::Describing(_) | State::Settling { .. } | State::Asking { .. } => "OFPT_ROLE_REPLY",
        };
        Err(CloseReason::HandshakeLate(step))
    }
}

/// The generation id of a reply: all ones means that the switch has none yet.
pub(crate) fn shown(generation_id: u64) -> Option<u64> {
    (generation_id != u64::MAX).then_some(generation_id)
}

fn refused_by_peer(error: &ErrorMsg) -> CloseReason {
    let text = String::from_utf8_lossy(&error.data);
    CloseReason::RefusedByPeer(cut(&format!("{error} {text:?}")))
}

fn role_error(error: &ErrorMsg) -> CloseReason {
    CloseReason::HandshakeError {
        step: "OFPT_ROLE_REQUEST",
        error: error.to_string(),
    }
}

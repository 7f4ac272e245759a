//! One simulated switch: what it says to its controllers and does with packets.
//!
//! A pure machine with the usual five doors. It speaks OpenFlow 1.3 to as many controllers as connect, keeps their roles
//! apart as a real switch does, and sends packets through `skerry_network`'s pipeline simulator. It is no Open vSwitch:
//! meters let everything through, counters are kept of ports only, and what the simulator cannot do is refused with the error
//! that says so (docs/sim.md has the list), unless it is lenient (docs/load.md).

mod check;
mod convert;
mod multipart;
mod ports;
mod refusal;
mod roles;
mod session;
mod tables;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ofproto::{
    BadRequestCode, Body, ControllerRole, ErrorMsg, ErrorType, Header, HelloFailedCode, Match, Message, NO_BUFFER, Oxm,
    PacketIn, PacketInReason, PacketInReasons, PacketOut, Port, PortNo as OfPort, PortReason, PortReasons, PortStatus,
    RoleReason, RoleStatus, TableId, VERSION_1_3,
};
use serde_json::{Value, json};
use skerry_bus::objects::{Action, Objects, OutPort, Rule};
use skerry_bus::{Cookie, PortNo, RuleKey, SwitchId};
use skerry_network::{Emission, Packet, process};

use ports::Ports;
pub use refusal::Refusal;
use roles::Roles;
use session::{Session, State};
use tables::Tables;

/// Tables of a switch, as many as Open vSwitch has.
pub const TABLES: u8 = 254;
/// Bytes of a request that come back with an error (OpenFlow 1.3.5 section 7.4.4: "at least 64 bytes").
const ERROR_DATA: usize = 64;
/// How long a controller may take to say hello.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// After this silence the switch asks whether the controller is there; after the same time again it hangs up. As Open
/// vSwitch does by default.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Cookie of a packet-in whose rule is not told, as in Open vSwitch for a packet-out's.
const NO_COOKIE: u64 = u64::MAX;

/// A connection to a controller. Each new one has a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What happens to a switch.
#[derive(Debug, Clone)]
pub enum Input {
    /// A controller is reached.
    Connected(ConnId),
    /// It says something; any cut of the stream.
    Received(ConnId, Bytes),
    /// It says one whole message, which somebody else has cut from the stream.
    Frame(ConnId, Bytes),
    /// It is gone.
    Closed(ConnId),
    /// A packet comes in on a port.
    Packet(PortNo, Packet),
    /// A port's cable begins or ends to carry.
    Carrier(PortNo, bool),
}

/// What a switch does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Say this to a controller.
    Write(ConnId, Bytes),
    /// Hang up, for this reason. The switch has forgotten the connection.
    Close(ConnId, String),
    /// A packet goes out of a port.
    Packet(PortNo, Packet),
}

/// The machine.
#[derive(Debug)]
pub struct Switch {
    id: SwitchId,
    sessions: BTreeMap<ConnId, Session>,
    roles: Roles,
    tables: Tables,
    ports: Ports,
    /// Drained by the driver after each input.
    outputs: VecDeque<Output>,
}

impl Switch {
    /// A switch without rules, all its ports up.
    pub fn new(id: SwitchId, ports: impl IntoIterator<Item = PortNo>) -> Switch {
        Switch {
            id,
            sessions: BTreeMap::new(),
            roles: Roles::default(),
            tables: Tables::default(),
            ports: Ports::new(id, ports),
            outputs: VecDeque::new(),
        }
    }

    /// The same, but it holds rules and groups too that the pipeline simulator cannot do: no packet takes those.
    pub fn lenient(id: SwitchId, ports: impl IntoIterator<Item = PortNo>) -> Switch {
        let ports: Vec<PortNo> = ports.into_iter().collect();
        Switch {
            tables: Tables::lenient(ports.iter().copied()),
            ..Switch::new(id, ports)
        }
    }

    /// Something happens.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Connected(conn) => {
                self.sessions.insert(conn, Session::new(now));
                self.roles.connected(conn);
                self.send(conn, 0, Body::Hello(ofproto::Hello::with_versions(&[VERSION_1_3])));
            }
            Input::Received(conn, bytes) => self.received(now, conn, &bytes),
            Input::Frame(conn, frame) => {
                if self.heard(now, conn) {
                    self.frame(now, conn, &frame);
                }
            }
            Input::Closed(conn) => self.forget(conn),
            Input::Packet(port, packet) => {
                if self.ports.received(port, packet.payload.len()) {
                    let emissions = process(self.tables.objects(), port, &packet);
                    self.emit(port, emissions);
                }
            }
            Input::Carrier(port, up) => {
                if let Some(port) = self.ports.carrier(port, up) {
                    self.tell_port(&port);
                }
            }
        }
    }

    /// A deadline is reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tables.expire(now);
        self.tell_removed();
        let due: Vec<ConnId> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.state.deadline().0 <= now)
            .map(|(c, _)| *c)
            .collect();
        for conn in due {
            let Some(session) = self.sessions.get_mut(&conn) else {
                continue;
            };
            match session.state {
                State::Greeting { .. } => self.close(conn, "no hello in time"),
                State::Open { .. } => {
                    session.state = State::Asked { since: now };
                    self.send(conn, 0, Body::EchoRequest(Bytes::new()));
                }
                State::Asked { .. } => self.close(conn, "the controller does not answer"),
            }
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let sessions = self.sessions.values().map(|session| session.state.deadline());
        let rules = self.tables.next_end().map(|end| (end, "rule ends"));
        sessions.chain(rules).min()
    }

    /// What it does.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A controller said something that needs no answer of the switch. False: there is no such connection.
    pub fn heard(&mut self, now: Instant, conn: ConnId) -> bool {
        let session = self.sessions.get_mut(&conn);
        session.map(|session| session.heard(now)).is_some()
    }

    /// Whether both sides of a connection have said hello.
    pub fn is_open(&self, conn: ConnId) -> bool {
        let session = self.sessions.get(&conn);
        session.is_some_and(|session| !matches!(session.state, State::Greeting { .. }))
    }

    /// All it holds, for a dump.
    pub fn dump(&self) -> Value {
        let meter = |meter: &ofproto::MeterConfig| {
            let bands = meter
                .bands
                .iter()
                .map(|band| json!({ "rate": band.rate(), "burst": band.burst_size() }));
            json!({ "id": meter.meter_id.0, "flags": meter.flags.to_string(), "bands": bands.collect::<Vec<_>>() })
        };
        let meters: Vec<Value> = self.tables.meters().values().map(meter).collect();
        let objects: &Objects = self.tables.objects();
        let others = self.tables.all_rules().filter(|held| !held.is_simulated());
        json!({
            "switch": self.id,
            "not_simulated": others.map(|held| held.to_string()).collect::<Vec<_>>(),
            "rules": objects.rules.values().collect::<Vec<_>>(),
            "groups": objects.groups.values().collect::<Vec<_>>(),
            "meters": meters,
        })
    }

    /// Whether a controller wants packets that come for this reason.
    pub fn wants(&self, conn: ConnId, reason: PacketInReason) -> bool {
        let slave = usize::from(self.roles.of(conn) == ControllerRole::SLAVE);
        let bit = 1u32.checked_shl(u32::from(reason.0)).unwrap_or(0);
        let session = self.sessions.get(&conn);
        session.is_some_and(|session| session.unasked.packet_in_mask[slave].0 & bit != 0)
    }

    /// How many rules it holds.
    pub fn rules(&self) -> usize {
        self.tables.len()
    }

    /// Its controllers by the names of their roles.
    pub fn roles(&self) -> Vec<(ConnId, &'static str)> {
        let open = self
            .sessions
            .iter()
            .filter(|(_, s)| !matches!(s.state, State::Greeting { .. }));
        open.map(|(conn, _)| {
            let role = match self.roles.of(*conn) {
                ControllerRole::MASTER => "master",
                ControllerRole::SLAVE => "slave",
                _ => "equal",
            };
            (*conn, role)
        })
        .collect()
    }

    /// The role of a connection; one that is not known may do nothing, as a slave.
    pub fn role_of(&self, conn: ConnId) -> ControllerRole {
        self.roles.of(conn)
    }

    /// Rules and groups that it holds, as values.
    pub fn objects(&self) -> &Objects {
        self.tables.objects()
    }

    /// Its ports, and whether each is up.
    pub fn ports(&self) -> impl Iterator<Item = (PortNo, bool)> {
        self.ports.up()
    }

    /// The generation id it knows; none yet is all ones.
    pub fn generation(&self) -> u64 {
        self.roles.generation()
    }

    fn forget(&mut self, conn: ConnId) {
        self.sessions.remove(&conn);
        self.roles.closed(conn);
    }

    fn close(&mut self, conn: ConnId, reason: &str) {
        self.forget(conn);
        self.outputs.push_back(Output::Close(conn, reason.to_owned()));
    }

    fn send(&mut self, conn: ConnId, xid: u32, body: Body) {
        self.write(conn, &Message::new(xid, body));
    }

    fn write(&mut self, conn: ConnId, message: &Message) {
        match message.to_bytes() {
            Ok(bytes) => self.outputs.push_back(Output::Write(conn, bytes)),
            // Parts are cut so that this does not happen; a controller that waits for an answer is not left waiting.
            Err(error) => self.close(conn, &format!("an answer cannot be written: {error}")),
        }
    }

    fn refuse(&mut self, conn: ConnId, xid: u32, refusal: Refusal, frame: &Bytes) {
        let data = frame.slice(..frame.len().min(ERROR_DATA));
        let Refusal { kind, code } = refusal;
        self.send(conn, xid, Body::Error(ErrorMsg { kind, code, data }));
    }

    fn received(&mut self, now: Instant, conn: ConnId, bytes: &Bytes) {
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        session.framer.push(bytes);
        // A frame may end the session.
        while let Some(session) = self.sessions.get_mut(&conn) {
            match session.framer.next_frame() {
                Ok(Some(frame)) => {
                    session.heard(now);
                    self.frame(now, conn, &frame);
                }
                Ok(None) => return,
                Err(error) => {
                    let refusal = Refusal::request(BadRequestCode::BAD_LEN);
                    self.refuse(conn, error.header.xid, refusal, &Bytes::new());
                    self.close(conn, &error.to_string());
                }
            }
        }
    }

    fn frame(&mut self, now: Instant, conn: ConnId, frame: &Bytes) {
        match Message::decode(frame) {
            Ok(message) => self.message(now, conn, message, frame),
            Err(error) => {
                let xid = Header::peek(frame).map_or(0, |header| header.xid);
                let (kind, code) = error.to_answer();
                self.refuse(conn, xid, Refusal { kind, code }, frame);
            }
        }
    }

    fn message(&mut self, now: Instant, conn: ConnId, message: Message, frame: &Bytes) {
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        let (xid, version) = (message.xid, message.version);
        if let State::Greeting { .. } = session.state {
            match message.body {
                Body::Hello(hello) if hello.offers(version, VERSION_1_3) => session.state = State::Open { heard: now },
                Body::Hello(_) => {
                    let data = Bytes::from_static(b"OpenFlow 1.3 is needed");
                    let (kind, code) = (ErrorType::HELLO_FAILED, HelloFailedCode::INCOMPATIBLE.0);
                    let body = Body::Error(ErrorMsg { kind, code, data });
                    // In a version that the other side can read.
                    let version = version.min(VERSION_1_3);
                    self.write(conn, &Message { version, xid, body });
                    self.close(conn, "the controller does not offer OpenFlow 1.3");
                }
                body => self.close(conn, &format!("{} before OFPT_HELLO", body.kind())),
            }
            return;
        }
        // Of OpenFlow 1.4 only bundles can be read, and 1.3 was agreed on.
        let of_1_4 = version != VERSION_1_3 && matches!(message.body, Body::BundleControl(_) | Body::BundleAdd(_));
        let done = if of_1_4 {
            Err(Refusal::request(BadRequestCode::BAD_VERSION))
        } else {
            self.request(now, conn, xid, message.body)
        };
        self.tell_removed();
        if let Err(refusal) = done {
            self.refuse(conn, xid, refusal, frame);
        }
    }

    /// Section 6.3.6: what a slave "must not" do.
    fn may_write(&self, conn: ConnId) -> Result<(), Refusal> {
        match self.roles.of(conn) {
            ControllerRole::SLAVE => Err(Refusal::request(BadRequestCode::IS_SLAVE)),
            _ => Ok(()),
        }
    }

    fn request(&mut self, now: Instant, conn: ConnId, xid: u32, body: Body) -> Result<(), Refusal> {
        let bad = |code| Err(Refusal::request(code));
        match body {
            // A second hello says nothing new; errors of a controller are its own business.
            Body::Hello(_) | Body::Error(_) | Body::EchoReply(_) => {}
            Body::EchoRequest(data) => self.send(conn, xid, Body::EchoReply(data)),
            Body::Experimenter(_) | Body::BundleControl(_) | Body::BundleAdd(_) => {
                return bad(BadRequestCode::BAD_EXPERIMENTER);
            }
            Body::FeaturesRequest => self.send(conn, xid, Body::FeaturesReply(self.features())),
            Body::GetConfigRequest => {
                if let Some(config) = self.sessions.get(&conn).map(|session| session.config.clone()) {
                    self.send(conn, xid, Body::GetConfigReply(config));
                }
            }
            Body::SetConfig(config) => {
                self.may_write(conn)?;
                if let Some(session) = self.sessions.get_mut(&conn) {
                    session.config = config;
                }
            }
            Body::PacketOut(packet) => {
                self.may_write(conn)?;
                self.packet_out(&packet)?;
            }
            Body::FlowMod(change) => {
                self.may_write(conn)?;
                self.tables.flow_mod(now, &change)?;
            }
            Body::GroupMod(change) => {
                self.may_write(conn)?;
                self.tables.group_mod(now, &change)?;
            }
            Body::MeterMod(change) => {
                self.may_write(conn)?;
                self.tables.meter_mod(now, &change)?;
            }
            Body::PortMod(change) => {
                self.may_write(conn)?;
                if let Some(port) = self.ports.port_mod(&change)? {
                    self.tell_port(&port);
                }
            }
            Body::TableMod(change) => {
                self.may_write(conn)?;
                // Section 7.3.3: the configuration has no bits any more.
                if change.config != 0 {
                    let (kind, code) = (ErrorType::TABLE_MOD_FAILED, ofproto::TableModFailedCode::BAD_CONFIG.0);
                    return Err(Refusal { kind, code });
                }
            }
            Body::MultipartRequest(request) => {
                for part in self.multipart(now, &request)? {
                    self.send(conn, xid, Body::MultipartReply(part));
                }
            }
            // Everything before it is done already.
            Body::BarrierRequest => self.send(conn, xid, Body::BarrierReply),
            Body::QueueGetConfigRequest(_) => {
                let (kind, code) = (ErrorType::QUEUE_OP_FAILED, ofproto::QueueOpFailedCode::BAD_PORT.0);
                return Err(Refusal { kind, code });
            }
            Body::RoleRequest(asked) => {
                let (answer, demoted) = self.roles.request(conn, &asked)?;
                if let Some(other) = demoted {
                    let status = RoleStatus {
                        role: ControllerRole::SLAVE,
                        reason: RoleReason::MASTER_REQUEST,
                        generation_id: self.roles.generation(),
                    };
                    self.send(other, 0, Body::Experimenter(status.to_experimenter()));
                }
                self.send(conn, xid, Body::RoleReply(answer));
            }
            Body::GetAsyncRequest => {
                if let Some(config) = self.sessions.get(&conn).map(|session| session.unasked.clone()) {
                    self.send(conn, xid, Body::GetAsyncReply(config));
                }
            }
            Body::SetAsync(config) => {
                if let Some(session) = self.sessions.get_mut(&conn) {
                    session.unasked = config;
                }
            }
            // What only a switch says, and what nobody does.
            Body::FeaturesReply(_)
            | Body::GetConfigReply(_)
            | Body::PacketIn(_)
            | Body::FlowRemoved(_)
            | Body::PortStatus(_)
            | Body::MultipartReply(_)
            | Body::BarrierReply
            | Body::QueueGetConfigReply(_)
            | Body::RoleReply(_)
            | Body::GetAsyncReply(_)
            | Body::Unknown { .. } => return bad(BadRequestCode::BAD_TYPE),
        }
        Ok(())
    }

    /// OFPT_PACKET_OUT: its actions are done as those of a rule would be.
    fn packet_out(&mut self, packet: &PacketOut) -> Result<(), Refusal> {
        let bad = |code| Refusal::request(code);
        if packet.buffer_id != NO_BUFFER {
            return Err(bad(BadRequestCode::BUFFER_UNKNOWN));
        }
        let in_port = packet.in_port;
        if in_port != OfPort::CONTROLLER && in_port != OfPort::LOCAL && (in_port.0 == 0 || in_port > OfPort::MAX) {
            return Err(bad(BadRequestCode::BAD_PORT));
        }
        // OFPP_TABLE may be named here only (section 7.2.1): the packet then enters the pipeline.
        let enters = |action: &ofproto::Action| {
            matches!(
                action,
                ofproto::Action::Output {
                    port: OfPort::TABLE,
                    ..
                }
            )
        };
        let mut apply = Vec::new();
        for action in &packet.actions {
            if enters(action) {
                apply.push(Action::Output(OutPort::Port(PortNo(OfPort::TABLE.0))));
            } else {
                let plain = self.tables.plain(std::slice::from_ref(action));
                apply.extend(convert::read_actions(&plain, &self.tables)?);
            }
        }
        let data = Packet::from_bytes(&packet.data).ok_or(bad(BadRequestCode::BAD_PACKET))?;
        let mut only = Objects::new();
        if apply.iter().any(|action| matches!(action, Action::Group(_))) {
            only.groups.clone_from(&self.tables.objects().groups);
        }
        only.put_rule(Rule {
            key: RuleKey {
                table: 0,
                priority: 0,
                matches: skerry_bus::Match::default(),
            },
            cookie: Cookie(NO_COOKIE),
            meter: None,
            apply,
            write_metadata: None,
            goto: None,
            reset_counts: false,
        });
        let in_port = PortNo(in_port.0);
        for emission in process(&only, in_port, &data) {
            match emission {
                Emission::Port(PortNo(port), packet) if port == OfPort::TABLE.0 => {
                    let emissions = process(self.tables.objects(), in_port, &packet);
                    self.emit(in_port, emissions);
                }
                other => self.emit(in_port, vec![other]),
            }
        }
        Ok(())
    }

    fn emit(&mut self, in_port: PortNo, emissions: Vec<Emission>) {
        for emission in emissions {
            match emission {
                Emission::Port(port, packet) => {
                    if self.ports.sent(port, packet.payload.len()) {
                        self.outputs.push_back(Output::Packet(port, packet));
                    }
                }
                Emission::Controller(packet) => self.packet_in(in_port, &packet),
            }
        }
    }

    fn packet_in(&mut self, in_port: PortNo, packet: &Packet) {
        let data = Bytes::from(packet.to_bytes());
        let body = PacketIn {
            buffer_id: NO_BUFFER,
            total_len: u16::try_from(data.len()).unwrap_or(u16::MAX),
            reason: PacketInReason::ACTION,
            table_id: TableId(0),
            cookie: NO_COOKIE,
            matching: Match::new().with(Oxm::in_port(OfPort(in_port.0))),
            data,
        };
        self.unasked(&Body::PacketIn(body), |session, slave| {
            session.unasked.packet_in_mask[slave].contains(PacketInReasons::ACTION)
        });
    }

    /// Rules that went are told to who wants to know.
    fn tell_removed(&mut self) {
        for removed in self.tables.removed() {
            let bit = 1u32.checked_shl(u32::from(removed.reason.0)).unwrap_or(0);
            self.unasked(&Body::FlowRemoved(removed), |session, slave| {
                session.unasked.flow_removed_mask[slave].0 & bit != 0
            });
        }
    }

    fn tell_port(&mut self, port: &Port) {
        let status = PortStatus {
            reason: PortReason::MODIFY,
            desc: port.clone(),
        };
        self.unasked(&Body::PortStatus(status), |session, slave| {
            session.unasked.port_status_mask[slave].contains(PortReasons::MODIFY)
        });
    }

    /// Says something to all who want to hear it. `wants` is given the index of the mask: 0 for master and equal, 1 for
    /// slave (section 7.3.10).
    fn unasked(&mut self, body: &Body, wants: impl Fn(&Session, usize) -> bool) {
        let open = self.sessions.iter().filter(|(conn, session)| {
            let slave = usize::from(self.roles.of(**conn) == ControllerRole::SLAVE);
            !matches!(session.state, State::Greeting { .. }) && wants(session, slave)
        });
        let hearers: Vec<ConnId> = open.map(|(conn, _)| *conn).collect();
        for conn in hearers {
            self.send(conn, 0, body.clone());
        }
    }
}

//! A model switch: enough of OpenFlow 1.3 to be refused by, and the discovery part of the pipeline, hard-wired.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use ofproto::*;

/// What a controller's connection is to the switch.
#[derive(Debug, Default)]
struct Controller {
    framer: Framer,
    role: Option<ControllerRole>,
}

/// What the switch does that matters to others.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Bytes to a controller.
    Reply(u64, Bytes),
    /// A packet leaves by a port.
    Packet(u32, Bytes),
}

/// How the switch misbehaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks {
    /// It reads and says nothing.
    pub mute: bool,
    /// It answers no barrier.
    pub no_barrier: bool,
    /// It refuses rules of this priority.
    pub refuse_priority: Option<u16>,
    /// It does not answer the port description.
    pub no_ports: bool,
    /// Another controller takes a newer number after each question for it, so often.
    pub newer_after_nochange: u32,
    /// It answers no packet-out to the controller.
    pub no_control: bool,
    /// It has no roles.
    pub no_roles: bool,
    /// What it does with bundles.
    pub bundles: BundleQuirk,
}

/// What a switch does with bundles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BundleQuirk {
    /// It does them.
    #[default]
    Good,
    /// It knows no such message.
    Unknown,
    /// It has no room for one.
    Full,
    /// It says nothing to them.
    Silent,
    /// It takes no message into one.
    NoMessages,
    /// It refuses the message at this place when it is added.
    RefuseAdd(usize),
    /// It does not do them when they are to be done, and names no message.
    RefuseCommit,
    /// It forgot the bundle when it is to be done.
    TimedOut,
    /// It does them and does not say so.
    DoneSilently,
}

/// The switch.
#[derive(Debug)]
pub struct Model {
    pub dpid: u64,
    pub ports: BTreeMap<u32, Port>,
    pub flows: Vec<FlowStats>,
    pub groups: BTreeMap<u32, GroupDesc>,
    pub meters: BTreeMap<u32, MeterConfig>,
    pub generation: Option<u64>,
    pub quirks: Quirks,
    /// Messages that change something, as they came, refused ones too.
    pub writes: Vec<(u64, Body)>,
    /// Errors it answered.
    pub errors: Vec<ErrorMsg>,
    /// Bundles that were done.
    pub committed: usize,
    controllers: BTreeMap<u64, Controller>,
    /// Open bundles: connection and number, whether it is closed, and the messages.
    bundles: BTreeMap<(u64, u32), (bool, Vec<Message>)>,
}

pub fn port(number: u32) -> Port {
    Port {
        port_no: PortNo(number),
        hw_addr: MacAddr([2, 0, 0, 0, 0, number as u8]),
        name: FixedText::new(&format!("p{number}")),
        config: PortConfig::NONE,
        state: PortState::LIVE,
        curr: PortFeatures::NONE,
        advertised: PortFeatures::NONE,
        supported: PortFeatures::NONE,
        peer: PortFeatures::NONE,
        curr_speed: 10_000_000,
        max_speed: 10_000_000,
    }
}

fn error(kind: ErrorType, code: u16) -> Body {
    Body::Error(ErrorMsg {
        kind,
        code,
        data: Bytes::new(),
    })
}

impl Model {
    pub fn new(dpid: u64, ports: u32) -> Self {
        Model {
            dpid,
            ports: (1..=ports).map(|n| (n, port(n))).collect(),
            flows: Vec::new(),
            groups: BTreeMap::new(),
            meters: BTreeMap::new(),
            generation: None,
            quirks: Quirks::default(),
            writes: Vec::new(),
            errors: Vec::new(),
            committed: 0,
            controllers: BTreeMap::new(),
            bundles: BTreeMap::new(),
        }
    }

    /// Connect to a controller: what is said first.
    pub fn connect(&mut self, conn: u64) -> Bytes {
        self.controllers.insert(conn, Controller::default());
        let hello = Body::Hello(Hello::with_versions(&[1, 4, 6]));
        // A switch that speaks 1.5 says so in the header; the bitmap decides.
        let message = Message {
            version: 6,
            xid: 1,
            body: hello,
        };
        message.to_bytes().expect("a hello fits")
    }

    pub fn disconnect(&mut self, conn: u64) {
        self.controllers.remove(&conn);
        self.bundles.retain(|(of, _), _| *of != conn);
    }

    /// Whether this is a connection of it.
    pub fn role_of(&self, conn: u64) -> bool {
        self.controllers.contains_key(&conn)
    }

    pub fn role(&self, conn: u64) -> Option<ControllerRole> {
        self.controllers.get(&conn).and_then(|c| c.role)
    }

    /// Bytes of a controller.
    pub fn read(&mut self, conn: u64, bytes: &[u8]) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(controller) = self.controllers.get_mut(&conn) else {
            return effects;
        };
        controller.framer.push(bytes);
        while let Some(frame) = self
            .controllers
            .get_mut(&conn)
            .and_then(|c| c.framer.next_frame().expect("the speaker sends whole frames"))
        {
            let message = Message::decode(&frame).expect("the speaker sends what can be read");
            if self.quirks.mute {
                continue;
            }
            self.handle(conn, message, &mut effects);
        }
        effects
    }

    fn handle(&mut self, conn: u64, message: Message, effects: &mut Vec<Effect>) {
        let xid = message.xid;
        let mut replies = Vec::new();
        let is_write = matches!(
            message.body,
            Body::FlowMod(_)
                | Body::GroupMod(_)
                | Body::MeterMod(_)
                | Body::PacketOut(_)
                | Body::BundleControl(_)
                | Body::BundleAdd(_)
        );
        let is_change = matches!(message.body, Body::FlowMod(_) | Body::GroupMod(_) | Body::MeterMod(_));
        if is_change {
            self.writes.push((conn, message.body.clone()));
        }
        if is_write && self.role(conn) == Some(ControllerRole::SLAVE) {
            replies.push(error(ErrorType::BAD_REQUEST, BadRequestCode::IS_SLAVE.0));
        } else {
            match message.body {
                Body::Hello(_) | Body::SetAsync(_) | Body::EchoReply(_) => {}
                Body::EchoRequest(data) => replies.push(Body::EchoReply(data)),
                Body::FeaturesRequest => replies.push(Body::FeaturesReply(FeaturesReply {
                    datapath_id: self.dpid,
                    n_buffers: 0,
                    n_tables: 254,
                    auxiliary_id: 0,
                    capabilities: Capabilities::FLOW_STATS,
                    reserved: 0,
                })),
                Body::MultipartRequest(request) => replies.extend(self.multipart(request.body)),
                Body::RoleRequest(_) if self.quirks.no_roles => {
                    replies.push(error(ErrorType::BAD_REQUEST, BadRequestCode::BAD_TYPE.0));
                }
                Body::RoleRequest(role) => replies.push(self.role_request(conn, &role)),
                Body::BarrierRequest if self.quirks.no_barrier => {}
                Body::BarrierRequest => replies.push(Body::BarrierReply),
                Body::FlowMod(flow) => replies.extend(self.flow_mod(flow)),
                Body::GroupMod(group) => replies.extend(self.group_mod(group)),
                Body::MeterMod(meter) => replies.extend(self.meter_mod(meter)),
                Body::PacketOut(packet) => {
                    for action in &packet.actions {
                        match action {
                            Action::Output {
                                port: PortNo::CONTROLLER,
                                ..
                            } if !self.quirks.no_control => {
                                effects.push(self.to_controller(conn, PortNo::CONTROLLER.0, packet.data.clone()));
                            }
                            Action::Output { port, .. } if *port <= PortNo::MAX => {
                                effects.push(Effect::Packet(port.0, packet.data.clone()));
                            }
                            _ => {}
                        }
                    }
                }
                Body::BundleControl(control) => {
                    for (xid, body) in self.bundle_control(conn, xid, &control) {
                        if let Body::Error(error) = &body {
                            self.errors.push(error.clone());
                        }
                        effects.push(reply(conn, Message::new(xid, body)));
                    }
                }
                Body::BundleAdd(add) => replies.extend(self.bundle_add(conn, xid, &add)),
                Body::Error(error) => panic!("the speaker sent {error}"),
                body => panic!("the speaker sent {body:?}"),
            }
        }
        for body in replies {
            if let Body::Error(error) = &body {
                self.errors.push(error.clone());
            }
            effects.push(reply(conn, Message::new(xid, body)));
        }
    }

    fn bundle_control(&mut self, conn: u64, xid: u32, control: &BundleControl) -> Vec<(u32, Body)> {
        use BundleCtrlType as T;
        let key = (conn, control.bundle_id);
        let failed = |code: BundleFailedCode| Body::Error(ErrorMsg::of_bundle(VERSION_1_3, code, &[]));
        let done = |kind| Body::BundleControl(BundleControl::new(control.bundle_id, kind, control.flags));
        assert_eq!(control.flags, BundleFlags::ATOMIC | BundleFlags::ORDERED);
        let answer = match (self.quirks.bundles, control.kind) {
            (BundleQuirk::Unknown, _) => error(ErrorType::BAD_REQUEST, BadRequestCode::BAD_EXPERIMENTER.0),
            (BundleQuirk::Silent, _) => return Vec::new(),
            (BundleQuirk::Full, T::OPEN_REQUEST) => failed(BundleFailedCode::OUT_OF_BUNDLES),
            (_, T::OPEN_REQUEST) => match self.bundles.insert(key, (false, Vec::new())) {
                Some(_) => panic!("bundle {} is open already", control.bundle_id),
                None => done(T::OPEN_REPLY),
            },
            (_, T::CLOSE_REQUEST) => match self.bundles.get_mut(&key) {
                Some((closed, _)) => {
                    *closed = true;
                    done(T::CLOSE_REPLY)
                }
                None => failed(BundleFailedCode::BAD_ID),
            },
            (_, T::DISCARD_REQUEST) => match self.bundles.remove(&key) {
                Some(_) => done(T::DISCARD_REPLY),
                None => failed(BundleFailedCode::BAD_ID),
            },
            (quirk, T::COMMIT_REQUEST) => match (self.bundles.remove(&key), quirk) {
                (None, _) => failed(BundleFailedCode::BAD_ID),
                (Some(_), BundleQuirk::RefuseCommit) => failed(BundleFailedCode::MSG_FAILED),
                (Some(_), BundleQuirk::TimedOut) => failed(BundleFailedCode::TIMEOUT),
                (Some((closed, messages)), _) => {
                    assert!(closed, "a bundle is closed before it is done");
                    match self.commit(conn, messages) {
                        Some((of, error)) => {
                            return vec![(of, error), (xid, failed(BundleFailedCode::MSG_FAILED))];
                        }
                        None if quirk == BundleQuirk::DoneSilently => return Vec::new(),
                        None => done(T::COMMIT_REPLY),
                    }
                }
            },
            (_, other) => panic!("the speaker sent {other}"),
        };
        vec![(xid, answer)]
    }

    fn bundle_add(&mut self, conn: u64, xid: u32, add: &BundleAdd) -> Option<Body> {
        let message = add.decode_message().expect("the speaker sends what can be read");
        assert_eq!(message.xid, xid, "EXT-230: the xids are the same");
        match &message.body {
            Body::FlowMod(_) | Body::GroupMod(_) => {}
            other => panic!("a bundle with {other:?}"),
        }
        match self.quirks.bundles {
            BundleQuirk::Unknown => return Some(error(ErrorType::BAD_REQUEST, BadRequestCode::BAD_EXPERIMENTER.0)),
            BundleQuirk::Silent => return None,
            BundleQuirk::NoMessages => {
                let unsupported = BundleFailedCode::MSG_UNSUP;
                return Some(Body::Error(ErrorMsg::of_bundle(VERSION_1_3, unsupported, &[])));
            }
            _ => {}
        }
        let Some((_, messages)) = self.bundles.get_mut(&(conn, add.bundle_id)) else {
            return Some(Body::Error(ErrorMsg::of_bundle(
                VERSION_1_3,
                BundleFailedCode::BAD_ID,
                &[],
            )));
        };
        if self.quirks.bundles == BundleQuirk::RefuseAdd(messages.len()) {
            self.quirks.bundles = BundleQuirk::Good;
            return Some(error(ErrorType::BAD_ACTION, BadActionCode::BAD_OUT_PORT.0));
        }
        messages.push(message);
        None
    }

    /// Do all of it or nothing. Gives the message that cannot be done.
    fn commit(&mut self, conn: u64, messages: Vec<Message>) -> Option<(u32, Body)> {
        let before = (self.flows.clone(), self.groups.clone());
        for message in &messages {
            let failed = match message.body.clone() {
                Body::FlowMod(flow) => self.flow_mod(flow),
                Body::GroupMod(group) => self.group_mod(group),
                other => panic!("a bundle with {other:?}"),
            };
            if let Some(error) = failed {
                (self.flows, self.groups) = before;
                return Some((message.xid, error));
            }
        }
        self.committed += 1;
        self.writes
            .extend(messages.into_iter().map(|message| (conn, message.body)));
        None
    }

    fn multipart(&self, request: MultipartRequestBody) -> Vec<Body> {
        use MultipartReplyBody as R;
        let text = |t: &str| FixedText::new(t);
        let bodies = match request {
            MultipartRequestBody::Desc => vec![R::Desc(Box::new(Desc {
                mfr_desc: FixedText::new("Model"),
                hw_desc: FixedText::new("in memory"),
                sw_desc: FixedText::new("1"),
                serial_num: text("7"),
                dp_desc: FixedText::new(&format!("switch {}", self.dpid)),
            }))],
            MultipartRequestBody::PortDesc if self.quirks.no_ports => return Vec::new(),
            MultipartRequestBody::PortDesc => {
                // The reserved port of a real switch, and the list in two parts.
                let mut local = port(1);
                local.port_no = PortNo::LOCAL;
                let mut all: Vec<Port> = self.ports.values().cloned().collect();
                let second = all.split_off(all.len() / 2);
                all.push(local);
                vec![R::PortDesc(all), R::PortDesc(second)]
            }
            MultipartRequestBody::Flow(_) => {
                let mut parts: Vec<_> = self.flows.chunks(100).map(|c| R::Flow(c.to_vec())).collect();
                if parts.is_empty() {
                    parts.push(R::Flow(Vec::new()));
                }
                parts
            }
            MultipartRequestBody::GroupDesc => vec![R::GroupDesc(self.groups.values().cloned().collect())],
            MultipartRequestBody::MeterConfig(_) => vec![R::MeterConfig(self.meters.values().cloned().collect())],
            other => panic!("the speaker asked {other:?}"),
        };
        let last = bodies.len() - 1;
        let part = |(n, body)| {
            let flags = if n == last {
                MultipartReplyFlags::NONE
            } else {
                MultipartReplyFlags::MORE
            };
            Body::MultipartReply(MultipartReply { flags, body })
        };
        bodies.into_iter().enumerate().map(part).collect()
    }

    fn role_request(&mut self, conn: u64, request: &RoleMsg) -> Body {
        if matches!(request.role, ControllerRole::MASTER | ControllerRole::SLAVE) {
            let given = request.generation_id;
            // Section 6.3.6: the difference as a signed number decides.
            if self
                .generation
                .is_some_and(|known| (given.wrapping_sub(known) as i64) < 0)
            {
                return error(ErrorType::ROLE_REQUEST_FAILED, RoleRequestFailedCode::STALE.0);
            }
            self.generation = Some(given);
        }
        if request.role == ControllerRole::MASTER {
            for (id, other) in &mut self.controllers {
                if *id != conn && other.role == Some(ControllerRole::MASTER) {
                    other.role = Some(ControllerRole::SLAVE);
                }
            }
        }
        let controller = self.controllers.get_mut(&conn).expect("it asked");
        if request.role != ControllerRole::NOCHANGE {
            controller.role = Some(request.role);
        }
        let reply = Body::RoleReply(RoleMsg {
            role: controller.role.unwrap_or(ControllerRole::EQUAL),
            generation_id: self.generation.unwrap_or(u64::MAX),
        });
        if request.role == ControllerRole::NOCHANGE && self.quirks.newer_after_nochange > 0 {
            self.quirks.newer_after_nochange -= 1;
            self.generation = self.generation.map(|number| number + 1);
        }
        reply
    }

    fn names_group(&self, id: u32) -> bool {
        id == 0 || self.groups.contains_key(&id)
    }

    fn flow_mod(&mut self, flow: FlowMod) -> Option<Body> {
        let same =
            |f: &FlowStats| f.table_id == flow.table_id && f.priority == flow.priority && f.matching == flow.matching;
        if self.quirks.refuse_priority == Some(flow.priority) {
            return Some(error(ErrorType::FLOW_MOD_FAILED, FlowModFailedCode::TABLE_FULL.0));
        }
        match flow.command {
            FlowModCommand::ADD => {
                for instruction in &flow.instructions {
                    match instruction {
                        Instruction::Meter(MeterId(id)) if !self.meters.contains_key(id) => {
                            return Some(error(ErrorType::METER_MOD_FAILED, MeterModFailedCode::UNKNOWN_METER.0));
                        }
                        Instruction::ApplyActions(actions) => {
                            let absent = |a: &Action| matches!(a, Action::Group(g) if !self.names_group(g.0));
                            if actions.iter().any(absent) {
                                return Some(error(ErrorType::BAD_ACTION, BadActionCode::BAD_OUT_GROUP.0));
                            }
                        }
                        _ => {}
                    }
                }
                self.flows.retain(|f| !same(f));
                self.flows.push(FlowStats {
                    table_id: flow.table_id,
                    duration_sec: 0,
                    duration_nsec: 0,
                    priority: flow.priority,
                    idle_timeout: flow.idle_timeout,
                    hard_timeout: flow.hard_timeout,
                    flags: flow.flags,
                    cookie: flow.cookie,
                    packet_count: 0,
                    byte_count: 0,
                    matching: flow.matching.detached(),
                    instructions: flow.instructions,
                });
            }
            FlowModCommand::DELETE_STRICT => {
                self.flows
                    .retain(|f| !(same(f) && (f.cookie ^ flow.cookie) & flow.cookie_mask == 0));
            }
            other => panic!("the speaker sent {other}"),
        }
        None
    }

    fn group_mod(&mut self, group: GroupMod) -> Option<Body> {
        let id = group.group_id.0;
        let failed = |code: GroupModFailedCode| Some(error(ErrorType::GROUP_MOD_FAILED, code.0));
        let names = |g: &GroupMod| -> Vec<u32> {
            g.buckets
                .iter()
                .flat_map(|b| &b.actions)
                .filter_map(|a| match a {
                    Action::Group(g) => Some(g.0),
                    _ => None,
                })
                .collect()
        };
        match group.command {
            GroupModCommand::ADD if self.groups.contains_key(&id) => return failed(GroupModFailedCode::GROUP_EXISTS),
            GroupModCommand::MODIFY if !self.groups.contains_key(&id) => {
                return failed(GroupModFailedCode::UNKNOWN_GROUP);
            }
            GroupModCommand::ADD | GroupModCommand::MODIFY => {
                if names(&group).iter().any(|g| !self.names_group(*g)) {
                    return failed(GroupModFailedCode::INVALID_GROUP);
                }
                self.groups.insert(
                    id,
                    GroupDesc {
                        kind: group.kind,
                        group_id: group.group_id,
                        buckets: group.buckets,
                    },
                );
            }
            GroupModCommand::DELETE => {
                self.groups.remove(&id);
                // Section 6.5: rules that name the group go with it, silently.
                self.flows.retain(|f| {
                    !f.instructions
                        .iter()
                        .any(|i| matches!(i, Instruction::ApplyActions(a) if a.contains(&Action::Group(GroupId(id)))))
                });
            }
            other => panic!("the speaker sent {other}"),
        }
        None
    }

    fn meter_mod(&mut self, meter: MeterMod) -> Option<Body> {
        let id = meter.meter_id.0;
        let failed = |code: MeterModFailedCode| Some(error(ErrorType::METER_MOD_FAILED, code.0));
        match meter.command {
            MeterModCommand::ADD if self.meters.contains_key(&id) => return failed(MeterModFailedCode::METER_EXISTS),
            MeterModCommand::MODIFY if !self.meters.contains_key(&id) => {
                return failed(MeterModFailedCode::UNKNOWN_METER);
            }
            MeterModCommand::ADD | MeterModCommand::MODIFY => {
                self.meters.insert(
                    id,
                    MeterConfig {
                        flags: meter.flags,
                        meter_id: meter.meter_id,
                        bands: meter.bands,
                    },
                );
            }
            MeterModCommand::DELETE => {
                self.meters.remove(&id);
                self.flows
                    .retain(|f| !f.instructions.contains(&Instruction::Meter(MeterId(id))));
            }
            other => panic!("the speaker sent {other}"),
        }
        None
    }

    fn to_controller(&self, conn: u64, in_port: u32, data: Bytes) -> Effect {
        let packet = PacketIn {
            buffer_id: NO_BUFFER,
            total_len: data.len() as u16,
            reason: PacketInReason::ACTION,
            table_id: TableId(0),
            cookie: 0,
            matching: Match::new().with(Oxm::in_port(PortNo(in_port))),
            data,
        };
        reply(conn, Message::new(0, Body::PacketIn(packet)))
    }

    /// A packet comes in by a port: what the discovery rules of design section 8 do with it.
    pub fn packet(&self, in_port: u32, data: &Bytes) -> Vec<Effect> {
        let own = data[6..12] == self.dpid.to_be_bytes()[2..];
        let turned = data[36..38] == 61_232u16.to_be_bytes();
        if turned != own || self.quirks.mute {
            return Vec::new();
        }
        let master = self
            .controllers
            .iter()
            .find(|(_, c)| c.role == Some(ControllerRole::MASTER))
            .map(|(id, _)| *id);
        let mut effects: Vec<Effect> = master
            .map(|conn| self.to_controller(conn, in_port, data.clone()))
            .into_iter()
            .collect();
        if !turned {
            let mut back = BytesMut::from(data.as_ref());
            back[36..38].copy_from_slice(&61_232u16.to_be_bytes());
            effects.push(Effect::Packet(in_port, back.freeze()));
        }
        effects
    }

    /// A port changes: what every controller is told.
    pub fn set_port(&mut self, number: u32, up: bool) -> Vec<Effect> {
        let Some(port) = self.ports.get_mut(&number) else {
            return Vec::new();
        };
        port.state = if up { PortState::LIVE } else { PortState::LINK_DOWN };
        let status = PortStatus {
            reason: PortReason::MODIFY,
            desc: port.clone(),
        };
        let body = Body::PortStatus(status);
        self.controllers
            .keys()
            .map(|conn| reply(*conn, Message::new(0, body.clone())))
            .collect()
    }
}

pub fn reply(conn: u64, message: Message) -> Effect {
    Effect::Reply(conn, message.to_bytes().expect("the model's messages fit"))
}

//! A simulated switch, asked as controllers ask, in virtual time.

mod laws;
mod lenient;

use std::time::{Duration, Instant};

use bytes::Bytes;
use ofproto::*;
use skerry_bus::objects::Mac;
use skerry_network::Packet;

use super::{ConnId, HELLO_MAX, Input, Output, SILENCE_MAX, Switch};
use skerry_bus::{PortNo as Port, SwitchId};

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);

struct World {
    now: Instant,
    switch: Switch,
    xid: u32,
}

impl World {
    /// Switch 7 with ports 1 to 3, and two controllers that said hello.
    fn new() -> World {
        let now = Instant::now();
        let mut world = World {
            now,
            switch: Switch::new(SwitchId(7), (1..=3).map(Port)),
            xid: 100,
        };
        for conn in [A, B] {
            world.switch.handle_input(now, Input::Connected(conn));
            world.ask(conn, Body::Hello(Hello::with_versions(&[1, 4])));
        }
        world.outputs();
        world
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.switch.poll_output()).collect()
    }

    /// What was said, as messages.
    fn said(&mut self) -> Vec<(ConnId, Message)> {
        let messages = self.outputs().into_iter().filter_map(|output| match output {
            Output::Write(conn, bytes) => {
                Some((conn, Message::decode(&bytes).expect("what a switch says can be read")))
            }
            _ => None,
        });
        messages.collect()
    }

    fn ask(&mut self, conn: ConnId, body: Body) -> u32 {
        self.xid += 1;
        let bytes = Message::new(self.xid, body).to_bytes().expect("fits");
        self.switch.handle_input(self.now, Input::Received(conn, bytes));
        self.xid
    }

    /// The bodies of the answers to one message, each with its xid.
    fn answers(&mut self, conn: ConnId, body: Body) -> Vec<Body> {
        let xid = self.ask(conn, body);
        let said = self
            .said()
            .into_iter()
            .filter(|(to, message)| *to == conn && message.xid == xid);
        said.map(|(_, message)| message.body).collect()
    }

    /// Done without a word.
    fn done(&mut self, conn: ConnId, body: Body) {
        let answers = self.answers(conn, body.clone());
        assert_eq!(answers, [], "{body:?}");
    }

    /// Refused with type and code.
    fn refused(&mut self, conn: ConnId, body: Body) -> (ErrorType, u16) {
        match self.answers(conn, body.clone()).as_slice() {
            [Body::Error(error)] => (error.kind, error.code),
            other => panic!("{body:?} gave {other:?}"),
        }
    }

    fn role(&mut self, conn: ConnId, role: ControllerRole, generation_id: u64) -> Body {
        let mut answers = self.answers(conn, Body::RoleRequest(RoleMsg { role, generation_id }));
        answers.pop().expect("a role is always answered")
    }

    fn rules(&mut self) -> Vec<FlowStats> {
        let body = MultipartRequestBody::Flow(FlowStatsRequest::all());
        let mut rules = Vec::new();
        for answer in self.answers(A, Body::MultipartRequest(MultipartRequest::new(body))) {
            match answer {
                Body::MultipartReply(MultipartReply {
                    body: MultipartReplyBody::Flow(part),
                    ..
                }) => rules.extend(part),
                other => panic!("{other:?}"),
            }
        }
        rules
    }

    fn packet(&mut self, port: u32, tags: &[u16]) -> Vec<Output> {
        let packet = Packet::tagged(tags, b"x");
        self.switch.handle_input(self.now, Input::Packet(Port(port), packet));
        self.outputs()
    }
}

fn add(priority: u16, matching: Match, actions: Vec<Action>) -> FlowMod {
    FlowMod {
        priority,
        matching,
        instructions: vec![Instruction::ApplyActions(actions)],
        ..FlowMod::new(FlowModCommand::ADD, TableId(0))
    }
}

fn group(command: GroupModCommand, id: u32, outputs: &[Action]) -> Body {
    Body::GroupMod(GroupMod {
        command,
        kind: GroupType::ALL,
        group_id: GroupId(id),
        buckets: outputs.iter().map(|action| Bucket::new(vec![action.clone()])).collect(),
    })
}

fn meter(command: MeterModCommand, id: u32) -> Body {
    Body::MeterMod(MeterMod {
        command,
        flags: MeterFlags::PKTPS | MeterFlags::BURST,
        meter_id: MeterId(id),
        bands: vec![MeterBand::Drop {
            rate: 10,
            burst_size: 10,
        }],
    })
}

fn in_port(port: u32) -> Match {
    Match::new().with(Oxm::in_port(PortNo(port)))
}

#[test]
fn a_controller_learns_who_the_switch_is_and_what_ports_it_has() {
    let mut world = World::new();
    let [Body::FeaturesReply(features)] = &world.answers(A, Body::FeaturesRequest)[..] else {
        panic!("one reply");
    };
    assert_eq!((features.datapath_id, features.auxiliary_id), (7, 0));
    let asked = MultipartRequest::new(MultipartRequestBody::PortDesc);
    let [Body::MultipartReply(reply)] = &world.answers(A, Body::MultipartRequest(asked))[..] else {
        panic!("one reply");
    };
    let MultipartReplyBody::PortDesc(ports) = &reply.body else {
        panic!("{reply:?}")
    };
    assert_eq!(ports.iter().map(|port| port.port_no.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(ports.iter().all(ofproto::Port::is_up));
    let echo = Bytes::from_static(b"hello?");
    assert_eq!(
        world.answers(A, Body::EchoRequest(echo.clone())),
        [Body::EchoReply(echo)]
    );
    assert_eq!(world.answers(A, Body::BarrierRequest), [Body::BarrierReply]);
}

#[test]
fn a_new_master_demotes_the_old_one_which_is_told_and_refused() {
    let mut world = World::new();
    world.role(A, ControllerRole::MASTER, 1);
    let xid = world.ask(
        B,
        Body::RoleRequest(RoleMsg {
            role: ControllerRole::MASTER,
            generation_id: 2,
        }),
    );
    let said = world.said();
    let [(to_a, status), (to_b, reply)] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!((*to_a, *to_b, reply.xid), (A, B, xid));
    let Body::Experimenter(status) = &status.body else {
        panic!("{status:?}")
    };
    let status = RoleStatus::from_experimenter(status)
        .expect("a role status")
        .expect("well formed");
    assert_eq!((status.role, status.generation_id), (ControllerRole::SLAVE, 2));

    let slave = (ErrorType::BAD_REQUEST, BadRequestCode::IS_SLAVE.0);
    let output = || vec![Action::output(PortNo(2))];
    let writes = [
        Body::FlowMod(add(1, Match::new(), output())),
        group(GroupModCommand::ADD, 1, &output()),
        meter(MeterModCommand::ADD, 1),
        Body::PacketOut(PacketOut::new(output(), Bytes::from_static(&[0; 60]))),
        Body::SetConfig(SwitchConfig {
            flags: ConfigFlags::NONE,
            miss_send_len: 0,
        }),
    ];
    for write in writes {
        assert_eq!(world.refused(A, write.clone()), slave);
        world.ask(B, write);
    }
    let stale = (ErrorType::ROLE_REQUEST_FAILED, RoleRequestFailedCode::STALE.0);
    let late = RoleMsg {
        role: ControllerRole::MASTER,
        generation_id: 1,
    };
    assert_eq!(world.refused(A, Body::RoleRequest(late)), stale);
    assert_eq!(
        world.rules().len(),
        1,
        "a slave may read, and only the master's rule stands"
    );
}

#[test]
fn rules_of_a_deleted_group_or_meter_go_silently() {
    let mut world = World::new();
    world.done(A, group(GroupModCommand::ADD, 5, &[Action::output(PortNo(2))]));
    world.done(A, meter(MeterModCommand::ADD, 9));
    let by_group = add(10, in_port(1), vec![Action::Group(GroupId(5))]);
    let mut by_meter = add(10, in_port(2), vec![Action::output(PortNo(3))]);
    by_meter.instructions.insert(0, Instruction::Meter(MeterId(9)));
    let other = add(10, in_port(3), vec![Action::output(PortNo(1))]);
    for rule in [&by_group, &by_meter, &other] {
        world.done(A, Body::FlowMod(rule.clone()));
    }
    assert_eq!(world.rules().len(), 3);
    world.done(A, group(GroupModCommand::DELETE, 5, &[]));
    assert_eq!(world.rules().len(), 2);
    world.done(A, meter(MeterModCommand::DELETE, 9));
    assert_eq!(
        world
            .rules()
            .iter()
            .map(|rule| rule.matching.in_port())
            .collect::<Vec<_>>(),
        [Some(PortNo(3))]
    );
    // Deleting what is not there is no error.
    world.done(A, group(GroupModCommand::DELETE, 5, &[]));
    world.done(A, meter(MeterModCommand::DELETE, 9));
}

#[test]
fn what_a_rule_or_group_names_must_stand_first() {
    let mut world = World::new();
    let to_group = add(1, Match::new(), vec![Action::Group(GroupId(5))]);
    let absent = (ErrorType::BAD_ACTION, BadActionCode::BAD_OUT_GROUP.0);
    assert_eq!(world.refused(A, Body::FlowMod(to_group)), absent);
    assert_eq!(
        world.refused(A, group(GroupModCommand::ADD, 6, &[Action::Group(GroupId(5))])),
        absent
    );
    let mut by_meter = add(1, Match::new(), vec![]);
    by_meter.instructions = vec![Instruction::Meter(MeterId(3))];
    let refused = world.refused(A, Body::FlowMod(by_meter));
    assert_eq!(
        refused,
        (ErrorType::METER_MOD_FAILED, MeterModFailedCode::INVALID_METER.0)
    );

    let failed = |code: GroupModFailedCode| (ErrorType::GROUP_MOD_FAILED, code.0);
    world.done(A, group(GroupModCommand::ADD, 5, &[Action::output(PortNo(1))]));
    world.done(A, group(GroupModCommand::ADD, 6, &[Action::Group(GroupId(5))]));
    let again = group(GroupModCommand::ADD, 5, &[]);
    assert_eq!(world.refused(A, again), failed(GroupModFailedCode::GROUP_EXISTS));
    let unknown = group(GroupModCommand::MODIFY, 8, &[]);
    assert_eq!(world.refused(A, unknown), failed(GroupModFailedCode::UNKNOWN_GROUP));
    let round = group(GroupModCommand::MODIFY, 5, &[Action::Group(GroupId(6))]);
    assert_eq!(world.refused(A, round), failed(GroupModFailedCode::LOOP));
    let named = group(GroupModCommand::DELETE, 5, &[]);
    assert_eq!(world.refused(A, named), failed(GroupModFailedCode::CHAINED_GROUP));
    world.done(A, group(GroupModCommand::DELETE, 6, &[]));
    world.done(A, group(GroupModCommand::DELETE, 5, &[]));
}

#[test]
fn an_add_replaces_and_a_strict_delete_takes_one_with_its_cookie() {
    let mut world = World::new();
    let rule = |cookie, port| FlowMod {
        cookie,
        ..add(5, in_port(1), vec![Action::output(PortNo(port))])
    };
    world.done(A, Body::FlowMod(rule(1, 2)));
    world.done(A, Body::FlowMod(rule(2, 3)));
    world.done(
        A,
        Body::FlowMod(FlowMod {
            priority: 6,
            ..rule(3, 2)
        }),
    );
    assert_eq!(world.rules().iter().map(|rule| rule.cookie).collect::<Vec<_>>(), [2, 3]);
    assert!(
        matches!(&world.packet(1, &[])[..], [Output::Packet(Port(2), _)]),
        "the higher priority wins"
    );
    let delete = |cookie, priority| FlowMod {
        cookie,
        cookie_mask: u64::MAX,
        priority,
        matching: in_port(1),
        ..FlowMod::new(FlowModCommand::DELETE_STRICT, TableId(0))
    };
    world.done(A, Body::FlowMod(delete(1, 5)));
    assert_eq!(world.rules().len(), 2, "the rule that replaced it has another cookie");
    world.done(A, Body::FlowMod(delete(3, 6)));
    assert_eq!(world.rules().len(), 1);
    assert!(matches!(&world.packet(1, &[])[..], [Output::Packet(Port(3), _)]));

    // A modification keeps the cookie; one that means nothing is no error.
    let modify = FlowMod {
        command: FlowModCommand::MODIFY_STRICT,
        ..rule(9, 2)
    };
    world.done(A, Body::FlowMod(modify.clone()));
    world.done(A, Body::FlowMod(FlowMod { priority: 77, ..modify }));
    assert_eq!(world.rules().iter().map(|rule| rule.cookie).collect::<Vec<_>>(), [2]);
    assert!(matches!(&world.packet(1, &[])[..], [Output::Packet(Port(2), _)]));
    world.done(A, Body::FlowMod(FlowMod::new(FlowModCommand::DELETE, TableId::ALL)));
    assert_eq!(world.rules(), []);
    assert_eq!(world.packet(1, &[]), [], "no rule, no packet");
}

#[test]
fn a_delete_that_is_not_strict_takes_what_it_covers() {
    let mut world = World::new();
    let vlan = |port, vid| in_port(port).with(Oxm::vlan_vid(vid));
    let rules = [in_port(1), vlan(1, 5), vlan(1, 6), vlan(2, 5)];
    for matching in rules.clone() {
        world.done(A, Body::FlowMod(add(1, matching, vec![Action::output(PortNo(3))])));
    }
    let delete = FlowMod {
        matching: vlan(1, 5),
        ..FlowMod::new(FlowModCommand::DELETE, TableId(0))
    };
    let elsewhere = FlowMod {
        out_port: PortNo(2),
        ..delete.clone()
    };
    world.done(A, Body::FlowMod(elsewhere));
    assert_eq!(world.rules().len(), 4, "none of them goes out of port 2");
    world.done(A, Body::FlowMod(delete));
    assert_eq!(world.rules().len(), 3, "a wider rule stays");
    world.done(
        A,
        Body::FlowMod(FlowMod {
            matching: in_port(1),
            ..FlowMod::new(FlowModCommand::DELETE, TableId(0))
        }),
    );
    assert_eq!(
        world
            .rules()
            .iter()
            .map(|rule| rule.matching.in_port())
            .collect::<Vec<_>>(),
        [Some(PortNo(2))]
    );
}

#[test]
fn what_the_simulator_cannot_do_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let rule = || add(1, Match::new(), vec![Action::output(PortNo(2))]);
    let with = |change: fn(&mut FlowMod)| {
        let mut rule = rule();
        change(&mut rule);
        Body::FlowMod(rule)
    };
    let rule_failed = |code: FlowModFailedCode| (ErrorType::FLOW_MOD_FAILED, code.0);
    let bad_match = |code: BadMatchCode| (ErrorType::BAD_MATCH, code.0);
    let bad_action = |code: BadActionCode| (ErrorType::BAD_ACTION, code.0);
    let bad_instruction = |code: BadInstructionCode| (ErrorType::BAD_INSTRUCTION, code.0);
    let apply = |action: Action| Body::FlowMod(add(1, Match::new(), vec![action]));
    let matching = |matching: Match| Body::FlowMod(add(1, matching, vec![]));
    let cut = Action::Output {
        port: PortNo::CONTROLLER,
        max_len: 64,
    };
    let masked = Match::new().with(Oxm::vlan_any());
    let twice = in_port(1).with(Oxm::in_port(PortNo(2)));
    let cases = [
        (
            with(|r| r.idle_timeout = 5),
            rule_failed(FlowModFailedCode::BAD_TIMEOUT),
        ),
        (
            with(|r| r.flags = FlowModFlags::SEND_FLOW_REM),
            rule_failed(FlowModFailedCode::BAD_FLAGS),
        ),
        (
            with(|r| r.table_id = TableId(254)),
            rule_failed(FlowModFailedCode::BAD_TABLE_ID),
        ),
        (
            with(|r| r.command = FlowModCommand(9)),
            rule_failed(FlowModFailedCode::BAD_COMMAND),
        ),
        (
            with(|r| r.buffer_id = 4),
            (ErrorType::BAD_REQUEST, BadRequestCode::BUFFER_UNKNOWN.0),
        ),
        (
            with(|r| r.instructions = vec![Instruction::ClearActions]),
            bad_instruction(BadInstructionCode::UNSUP_INST),
        ),
        (
            with(|r| r.instructions = vec![Instruction::GotoTable(TableId(0))]),
            bad_instruction(BadInstructionCode::BAD_TABLE_ID),
        ),
        (
            matching(Match::new().with(Oxm::udp_dst(1))),
            bad_match(BadMatchCode::BAD_PREREQ),
        ),
        (
            matching(Match::new().with(Oxm::vlan_pcp(1))),
            bad_match(BadMatchCode::BAD_FIELD),
        ),
        (matching(masked), bad_match(BadMatchCode::BAD_MASK)),
        (matching(twice), bad_match(BadMatchCode::DUP_FIELD)),
        (
            matching(Match::new().with(Oxm::vlan_none())),
            bad_match(BadMatchCode::BAD_VALUE),
        ),
        (
            matching(Match::new().with(Oxm::metadata_masked(3, 1))),
            bad_match(BadMatchCode::BAD_WILDCARDS),
        ),
        (
            apply(Action::output(PortNo::FLOOD)),
            bad_action(BadActionCode::BAD_OUT_PORT),
        ),
        (
            apply(Action::output(PortNo::TABLE)),
            bad_action(BadActionCode::BAD_OUT_PORT),
        ),
        (apply(cut), bad_action(BadActionCode::BAD_ARGUMENT)),
        (apply(Action::PushVlan(0x9100)), bad_action(BadActionCode::BAD_ARGUMENT)),
        (apply(Action::DecNwTtl), bad_action(BadActionCode::BAD_TYPE)),
        (
            apply(Action::SetField(Oxm::vlan_none())),
            bad_action(BadActionCode::BAD_SET_ARGUMENT),
        ),
        (
            apply(Action::SetField(Oxm::ip_proto(1))),
            bad_action(BadActionCode::BAD_SET_TYPE),
        ),
        (
            Body::Experimenter(Experimenter {
                experimenter: ExperimenterId::ONF,
                exp_type: 2302,
                data: Bytes::new(),
            }),
            (ErrorType::BAD_REQUEST, BadRequestCode::BAD_EXPERIMENTER.0),
        ),
        (
            Body::BundleControl(BundleControl::new(1, BundleCtrlType::OPEN_REQUEST, BundleFlags::NONE)),
            (ErrorType::BAD_REQUEST, BadRequestCode::BAD_EXPERIMENTER.0),
        ),
    ];
    for (body, wanted) in cases {
        assert_eq!(world.refused(A, body.clone()), wanted, "{body:?}");
    }
    assert_eq!(world.rules(), []);
}

#[test]
fn a_barrier_is_answered_after_the_errors_of_what_stood_before_it() {
    let mut world = World::new();
    let mut bytes = Vec::new();
    let bodies = [
        Body::FlowMod(add(1, in_port(1), vec![Action::output(PortNo(2))])),
        Body::FlowMod(add(1, in_port(2), vec![Action::Group(GroupId(4))])),
        Body::BarrierRequest,
        Body::FlowMod(add(1, in_port(3), vec![Action::Group(GroupId(4))])),
        Body::BarrierRequest,
    ];
    for (xid, body) in (1..).zip(bodies) {
        bytes.extend(Message::new(xid, body).to_bytes().expect("fits"));
    }
    // However the stream is cut.
    for part in bytes.chunks(7) {
        let part = Bytes::copy_from_slice(part);
        world.switch.handle_input(world.now, Input::Received(A, part));
    }
    let order: Vec<(u32, MessageType)> = world.said().into_iter().map(|(_, m)| (m.xid, m.kind())).collect();
    let (error, barrier) = (MessageType::ERROR, MessageType::BARRIER_REPLY);
    assert_eq!(order, [(2, error), (3, barrier), (4, error), (5, barrier)]);
}

#[test]
fn a_packet_out_does_its_actions_and_may_enter_the_pipeline() {
    let mut world = World::new();
    world.role(A, ControllerRole::MASTER, 1);
    world.role(B, ControllerRole::SLAVE, 1);
    world.done(A, Body::FlowMod(add(1, in_port(1), vec![Action::output(PortNo(3))])));
    let data = Bytes::from(Packet::tagged(&[5], b"payload").to_bytes());
    let actions = vec![
        Action::output(PortNo(2)),
        Action::SetField(Oxm::vlan_vid(9)),
        Action::to_controller(),
        Action::PopVlan,
        Action::output(PortNo::TABLE),
    ];
    let packet = PacketOut {
        in_port: PortNo(1),
        ..PacketOut::new(actions, data)
    };
    world.ask(A, Body::PacketOut(packet));
    let outputs = world.outputs();
    let [
        Output::Packet(Port(2), plain),
        Output::Write(to, told),
        Output::Packet(Port(3), popped),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((plain.vids(), popped.vids(), *to), (vec![5], vec![], A));
    let Body::PacketIn(told) = Message::decode(told).expect("reads").body else {
        panic!("a packet-in")
    };
    assert_eq!(told.matching.in_port(), Some(PortNo(1)));
    assert_eq!(Packet::from_bytes(&told.data).expect("a packet").vids(), [9]);
}

#[test]
fn a_port_that_goes_down_is_told_to_all_who_listen_and_takes_no_packets() {
    let mut world = World::new();
    world.role(A, ControllerRole::MASTER, 1);
    world.role(B, ControllerRole::SLAVE, 1);
    world.done(
        A,
        Body::FlowMod(add(
            1,
            in_port(1),
            vec![Action::output(PortNo(3)), Action::to_controller()],
        )),
    );
    world.switch.handle_input(world.now, Input::Carrier(Port(3), false));
    let said = world.said();
    let told: Vec<ConnId> = said.iter().map(|(conn, _)| *conn).collect();
    assert_eq!(told, [A, B]);
    let down = |message: &Message| matches!(&message.body, Body::PortStatus(status) if !status.desc.is_up());
    assert!(said.iter().all(|(_, message)| down(message)));
    // Only the master gets the packet, and port 3 nothing.
    assert!(matches!(&world.packet(1, &[])[..], [Output::Write(A, _)]));
    assert_eq!(world.packet(3, &[]), []);
    let none = AsyncConfig {
        packet_in_mask: [PacketInReasons::NONE; 2],
        port_status_mask: [PortReasons::NONE; 2],
        flow_removed_mask: [FlowRemovedReasons::NONE; 2],
    };
    world.done(A, Body::SetAsync(none));
    world.switch.handle_input(world.now, Input::Carrier(Port(3), true));
    assert_eq!(world.said().iter().map(|(conn, _)| *conn).collect::<Vec<_>>(), [B]);
}

#[test]
fn a_silent_controller_is_asked_once_and_then_hung_up_on() {
    let mut world = World::new();
    world.switch.handle_input(world.now, Input::Closed(B));
    let start = world.now;
    assert_eq!(
        world.switch.poll_timeout(),
        Some((start + SILENCE_MAX, "controller silent"))
    );
    world.switch.handle_timeout(start + SILENCE_MAX);
    assert!(matches!(
        &world.said()[..],
        [(
            A,
            Message {
                body: Body::EchoRequest(_),
                ..
            }
        )]
    ));
    // An answer, or anything else, is enough.
    world.now = start + SILENCE_MAX + Duration::from_secs(1);
    world.done(A, Body::EchoReply(Bytes::new()));
    assert_eq!(
        world.switch.poll_timeout(),
        Some((world.now + SILENCE_MAX, "controller silent"))
    );
    let asked = world.now + SILENCE_MAX;
    world.switch.handle_timeout(asked);
    world.outputs();
    world
        .switch
        .handle_timeout(asked + SILENCE_MAX - Duration::from_nanos(1));
    assert_eq!(world.outputs(), []);
    world.switch.handle_timeout(asked + SILENCE_MAX);
    assert!(matches!(&world.outputs()[..], [Output::Close(A, _)]));
    assert_eq!(world.switch.poll_timeout(), None);
}

#[test]
fn only_a_controller_that_offers_1_3_gets_in() {
    let now = Instant::now();
    let first = [
        Body::Hello(Hello::with_versions(&[1, 6])),
        Body::FeaturesRequest,
        Body::RoleRequest(RoleMsg {
            role: ControllerRole::MASTER,
            generation_id: 0,
        }),
    ];
    for body in first {
        let mut switch = Switch::new(SwitchId(1), [Port(1)]);
        switch.handle_input(now, Input::Connected(A));
        let bytes = Message::new(1, body).to_bytes().expect("fits");
        switch.handle_input(now, Input::Received(A, bytes));
        let outputs: Vec<Output> = std::iter::from_fn(|| switch.poll_output()).collect();
        assert!(matches!(outputs.last(), Some(Output::Close(A, _))), "{outputs:?}");
        assert!(switch.roles().is_empty());
    }
    let mut switch = Switch::new(SwitchId(1), [Port(1)]);
    switch.handle_input(now, Input::Connected(A));
    switch.handle_timeout(now + HELLO_MAX);
    let outputs: Vec<Output> = std::iter::from_fn(|| switch.poll_output()).collect();
    assert!(matches!(outputs.last(), Some(Output::Close(A, _))));
}

#[test]
fn a_large_dump_comes_in_parts_that_are_whole_messages() {
    let mut world = World::new();
    for vid in 1..=2_000 {
        let matching = in_port(1).with(Oxm::vlan_vid(vid));
        world.done(A, Body::FlowMod(add(vid, matching, vec![Action::output(PortNo(2)); 3])));
    }
    let asked = MultipartRequest::new(MultipartRequestBody::Flow(FlowStatsRequest::all()));
    let answers = world.answers(A, Body::MultipartRequest(asked));
    let more: Vec<bool> = answers
        .iter()
        .map(|body| matches!(body, Body::MultipartReply(reply) if reply.more()))
        .collect();
    assert!(
        more.len() > 2 && more.iter().rev().skip(1).all(|more| *more) && more.last() == Some(&false),
        "{more:?}"
    );
    assert_eq!(world.rules().len(), 2_000);
}

#[test]
fn the_discovery_rules_of_a_real_speaker_turn_a_packet_once() {
    let mut world = World::new();
    world.role(A, ControllerRole::MASTER, 1);
    world.role(B, ControllerRole::SLAVE, 1);
    let to_controller = Action::to_controller();
    let turn = vec![Action::SetField(Oxm::udp_dst(61_232)), Action::output(PortNo::IN_PORT)];
    let group = GroupMod {
        command: GroupModCommand::ADD,
        kind: GroupType::ALL,
        group_id: GroupId(1),
        buckets: vec![Bucket::new(vec![to_controller]), Bucket::new(turn)],
    };
    world.done(A, Body::GroupMod(group));
    let matching = Match::new()
        .with(Oxm::eth_dst(MacAddr([0, 0x26, 0xe1, 0xff, 0xff, 0xff])))
        .with(Oxm::eth_type(0x0800))
        .with(Oxm::ip_proto(17))
        .with(Oxm::udp_dst(61_231));
    world.done(A, Body::FlowMod(add(31_768, matching, vec![Action::Group(GroupId(1))])));
    let mut packet = Packet::tagged(&[], &[]);
    packet.eth_dst = Mac([0, 0x26, 0xe1, 0xff, 0xff, 0xff]);
    packet.eth_type = 0x0800;
    packet.payload = [
        &[0x45, 0, 0, 32, 0, 0, 0, 0, 1, 17, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2][..],
        &[0xef, 0x2f, 0xef, 0x2f, 0, 12, 0, 0, 1, 2, 3, 4],
    ]
    .concat();
    let packet = Packet::from_bytes(&packet.to_bytes()).expect("a packet");
    world.switch.handle_input(world.now, Input::Packet(Port(2), packet));
    let outputs = world.outputs();
    let [Output::Write(A, told), Output::Packet(Port(2), turned)] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(turned.udp, Some((61_231, 61_232)));
    let Body::PacketIn(told) = Message::decode(told).expect("reads").body else {
        panic!("a packet-in")
    };
    assert_eq!(
        told.data.get(36..38),
        Some(&[0xef, 0x2f][..]),
        "the controller's copy is as it came"
    );
    world
        .switch
        .handle_input(world.now, Input::Packet(Port(2), turned.clone()));
    assert_eq!(world.outputs(), [], "turned once");
}

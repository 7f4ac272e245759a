//! A lenient switch: it holds what any controller may ask for, and does as much of it as the simulator can.

use super::*;

fn lenient() -> World {
    let now = Instant::now();
    let mut world = World {
        now,
        switch: Switch::lenient(SwitchId(7), (1..=3).map(Port)),
        xid: 100,
    };
    world.switch.handle_input(now, Input::Connected(A));
    world.ask(A, Body::Hello(Hello::with_versions(&[4])));
    world.outputs();
    world
}

fn ipv4(field: OxmField, address: u32, mask: u32) -> Oxm {
    Oxm::new(field, &address.to_be_bytes(), Some(&mask.to_be_bytes())).expect("four bytes")
}

/// To a network of addresses, by priority.
fn to_net(priority: u16, mask: u32) -> FlowMod {
    let matching = Match::new().with(Oxm::eth_type(0x0800));
    let matching = matching.with(ipv4(OxmField::IPV4_DST, 0x0a00_0000, mask));
    add(priority, matching, vec![Action::output(PortNo(2))])
}

fn removed(world: &mut World) -> Vec<(u16, FlowRemovedReason)> {
    let said = world.said().into_iter();
    let removed = said.filter_map(|(_, message)| match message.body {
        Body::FlowRemoved(removed) => Some((removed.priority, removed.reason)),
        _ => None,
    });
    removed.collect()
}

#[test]
fn rules_that_the_simulator_cannot_do_are_held_and_told_as_they_were_asked_for() {
    let mut world = lenient();
    let exact = Match::new()
        .with(Oxm::in_port(PortNo(1)))
        .with(Oxm::vlan_none())
        .with(Oxm::eth_type(0x0800))
        .with(Oxm::ip_proto(6))
        .with(Oxm::new(OxmField::TCP_DST, &[0, 80], None).expect("two bytes"));
    let learned = FlowMod {
        idle_timeout: 60,
        instructions: vec![
            Instruction::ClearActions,
            Instruction::WriteActions(vec![Action::DecNwTtl, Action::output(PortNo::FLOOD)]),
        ],
        ..add(5, exact, vec![])
    };
    let cut = Action::Output {
        port: PortNo::CONTROLLER,
        max_len: 128,
    };
    let miss = add(0, Match::new(), vec![cut]);
    for rule in [&learned, &miss] {
        world.done(A, Body::FlowMod(rule.clone()));
    }
    let told: Vec<_> = world
        .rules()
        .into_iter()
        .map(|r| (r.matching, r.instructions, r.idle_timeout))
        .collect();
    let of = |rule: FlowMod| (rule.matching, rule.instructions, rule.idle_timeout);
    assert_eq!(told, [of(miss), of(learned)]);
    // A packet takes the rule that the simulator can do, and comes whole.
    let outputs = world.packet(1, &[]);
    assert!(matches!(&outputs[..], [Output::Write(A, _)]), "{outputs:?}");
    assert_eq!(world.switch.dump()["not_simulated"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_wrong_is_refused_all_the_same() {
    let mut world = lenient();
    let apply = |action: Action| Body::FlowMod(add(1, Match::new(), vec![action]));
    let goto = FlowMod {
        instructions: vec![Instruction::GotoTable(TableId(0))],
        ..add(1, Match::new(), vec![])
    };
    let cases = [
        (
            apply(Action::Group(GroupId(5))),
            (ErrorType::BAD_ACTION, BadActionCode::BAD_OUT_GROUP.0),
        ),
        (
            apply(Action::output(PortNo::TABLE)),
            (ErrorType::BAD_ACTION, BadActionCode::BAD_OUT_PORT.0),
        ),
        (
            apply(Action::SetField(Oxm::in_port(PortNo(1)))),
            (ErrorType::BAD_ACTION, BadActionCode::BAD_SET_TYPE.0),
        ),
        (
            Body::FlowMod(goto),
            (ErrorType::BAD_INSTRUCTION, BadInstructionCode::BAD_TABLE_ID.0),
        ),
        (
            Body::FlowMod(add(1, Match::new().with(Oxm::udp_dst(1)), vec![])),
            (ErrorType::BAD_MATCH, BadMatchCode::BAD_PREREQ.0),
        ),
    ];
    for (body, wanted) in cases {
        assert_eq!(world.refused(A, body.clone()), wanted, "{body:?}");
    }
    assert_eq!(world.rules(), []);
}

#[test]
fn a_delete_takes_the_narrower_networks_and_who_asked_is_told() {
    let mut world = lenient();
    for (priority, mask) in [(1, 0xff00_0000), (2, 0xffff_0000), (3, 0xffff_ff00)] {
        let flags = if priority == 2 {
            FlowModFlags::NONE
        } else {
            FlowModFlags::SEND_FLOW_REM
        };
        world.done(
            A,
            Body::FlowMod(FlowMod {
                flags,
                ..to_net(priority, mask)
            }),
        );
    }
    let delete = FlowMod {
        command: FlowModCommand::DELETE,
        ..to_net(0, 0xffff_0000)
    };
    world.ask(A, Body::FlowMod(delete));
    assert_eq!(removed(&mut world), [(3, FlowRemovedReason::DELETE)]);
    let left: Vec<u16> = world.rules().iter().map(|rule| rule.priority).collect();
    assert_eq!(left, [1]);
}

#[test]
fn rules_end_by_their_time_outs() {
    let mut world = lenient();
    let start = world.now;
    for (priority, idle_timeout, hard_timeout) in [(1, 0, 9), (2, 3, 9), (3, 0, 0)] {
        let rule = FlowMod {
            idle_timeout,
            hard_timeout,
            flags: FlowModFlags::SEND_FLOW_REM,
            ..to_net(priority, 0xff00_0000)
        };
        world.done(A, Body::FlowMod(rule));
    }
    for (at, gone) in [
        (2, vec![]),
        (3, vec![(2, FlowRemovedReason::IDLE_TIMEOUT)]),
        (9, vec![(1, FlowRemovedReason::HARD_TIMEOUT)]),
        (100, vec![]),
    ] {
        world.now = start + Duration::from_secs(at);
        // It is heard of, so that it does not hang up.
        world.done(A, Body::EchoReply(Bytes::new()));
        world.switch.handle_timeout(world.now);
        assert_eq!(removed(&mut world), gone, "after {at} s");
    }
    assert_eq!(world.rules().len(), 1);
    assert_eq!(
        world.switch.poll_timeout().map(|(_, why)| why),
        Some("controller silent")
    );
}

#[test]
fn an_overlap_is_refused_where_that_is_asked_for() {
    let mut world = lenient();
    world.done(A, Body::FlowMod(to_net(5, 0xff00_0000)));
    let checked = |rule: FlowMod| {
        Body::FlowMod(FlowMod {
            flags: FlowModFlags::CHECK_OVERLAP,
            ..rule
        })
    };
    let overlap = (ErrorType::FLOW_MOD_FAILED, FlowModFailedCode::OVERLAP.0);
    assert_eq!(world.refused(A, checked(to_net(5, 0xffff_0000))), overlap);
    assert_eq!(world.refused(A, checked(add(5, in_port(1), vec![]))), overlap);
    // Of another priority, the same rule, and one that no packet of the first can be.
    world.done(A, checked(to_net(6, 0xffff_0000)));
    world.done(A, checked(to_net(5, 0xff00_0000)));
    world.done(A, checked(add(5, Match::new().with(Oxm::eth_type(0x0806)), vec![])));
    assert_eq!(world.rules().len(), 3);
}

#[test]
fn a_flood_goes_out_of_all_ports_but_the_packets_own() {
    let mut world = lenient();
    let ports = |outputs: Vec<Output>| {
        let ports = outputs.into_iter().map(|output| match output {
            Output::Packet(port, _) => port.0,
            other => panic!("{other:?}"),
        });
        ports.collect::<Vec<_>>()
    };
    let data = Bytes::from(Packet::tagged(&[], b"x").to_bytes());
    for (in_port, wanted) in [(PortNo::CONTROLLER, vec![1, 2, 3]), (PortNo(2), vec![1, 3])] {
        let out = PacketOut {
            in_port,
            ..PacketOut::new(vec![Action::output(PortNo::FLOOD)], data.clone())
        };
        world.ask(A, Body::PacketOut(out));
        assert_eq!(ports(world.outputs()), wanted);
    }
    world.done(
        A,
        Body::FlowMod(add(1, Match::new(), vec![Action::output(PortNo::ALL)])),
    );
    assert_eq!(ports(world.packet(3, &[])), [1, 2]);
}

#[test]
fn a_group_of_any_type_is_held_and_its_first_bucket_taken() {
    let mut world = lenient();
    let bucket = |port| Bucket {
        weight: 1,
        watch_port: PortNo(port),
        ..Bucket::new(vec![Action::output(PortNo(port))])
    };
    for (id, kind) in [(1, GroupType::SELECT), (2, GroupType::FF)] {
        let group = GroupMod {
            command: GroupModCommand::ADD,
            kind,
            group_id: GroupId(id),
            buckets: vec![bucket(2), bucket(3)],
        };
        world.done(A, Body::GroupMod(group));
    }
    world.done(A, Body::FlowMod(add(1, in_port(1), vec![Action::Group(GroupId(2))])));
    assert!(matches!(&world.packet(1, &[])[..], [Output::Packet(Port(2), _)]));
    let asked = Body::MultipartRequest(MultipartRequest::new(MultipartRequestBody::GroupDesc));
    let [Body::MultipartReply(reply)] = &world.answers(A, asked)[..] else {
        panic!("one part")
    };
    let MultipartReplyBody::GroupDesc(groups) = &reply.body else {
        panic!("{reply:?}")
    };
    let kinds: Vec<_> = groups.iter().map(|group| (group.kind, group.buckets.clone())).collect();
    let buckets = || vec![bucket(2), bucket(3)];
    assert_eq!(kinds, [(GroupType::SELECT, buckets()), (GroupType::FF, buckets())]);
}

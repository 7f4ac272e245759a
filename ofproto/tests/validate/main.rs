//! What `validate()` refuses: one row for each rule, with the words and the OFPT_ERROR.

#[path = "../common/mod.rs"]
mod common;
mod modifications;
mod others;
mod rules;
mod values;

use bytes::Bytes;
use common::generate::{Draw, Gen, noise};
use common::{seed, valid_message};
use ofproto::*;
use values::*;

#[test]
fn what_a_switch_would_refuse_is_reported_with_the_error_it_would_answer() {
    let tables = [
        rules::matches(),
        rules::actions(),
        rules::set_fields(),
        rules::instructions(),
        modifications::modifications(),
        others::others(),
        others::bundles(),
        others::told(),
    ];
    for (body, words, answer) in tables.into_iter().flatten() {
        let message = Message::new(1, body);
        let refusal = message.validate().expect_err(words);
        assert_eq!(refusal.to_string(), words);
        let code = match refusal.to_answer() {
            (ErrorType::EXPERIMENTER, code) => format!("{code} of the ONF"),
            (kind, code) => kind.code_name(code).expect("a code of its type").to_owned(),
        };
        assert_eq!(code, answer, "{words}");
        // It is judged by its values: the structure is fine.
        let bytes = message.to_bytes().expect("what is refused can be written");
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message), "{words}");
    }
}

#[test]
fn what_is_near_a_refusal_and_right_is_taken() {
    let all = [
        matching([
            Oxm::in_port(PortNo::LOCAL),
            oxm(OxmField::IN_PHY_PORT, &[0, 0, 0, 1], None),
        ]),
        matching([Oxm::vlan_any(), Oxm::vlan_pcp(7)]),
        matching([Oxm::eth_type(0x86dd), Oxm::ip_proto(6), Oxm::tcp_dst(80)]),
        packet_out(PortNo::CONTROLLER, Action::output(PortNo::TABLE)),
        rule(
            [Oxm::vlan_none()],
            vec![Instruction::ApplyActions(vec![
                Action::PushVlan(0x8100),
                Action::SetField(Oxm::vlan_vid(5)),
                Action::PopVlan,
            ])],
        ),
        rule(
            [Oxm::eth_type(0x8847)],
            vec![Instruction::ApplyActions(vec![
                Action::PopMpls(0x0800),
                Action::DecNwTtl,
            ])],
        ),
        // A set is done behind the last table, on headers that nobody knows here.
        rule(
            [],
            vec![Instruction::WriteActions(vec![Action::PopVlan, Action::DecNwTtl])],
        ),
        // Applied first, whatever the order of the list.
        rule(
            [],
            vec![
                Instruction::GotoTable(TableId(4)),
                Instruction::ApplyActions(Vec::new()),
            ],
        ),
        flow_mod(|rule| {
            rule.command = FlowModCommand::DELETE;
            rule.table_id = TableId::ALL;
        }),
        // They mean nothing here.
        flow_mod(|rule| (rule.out_port, rule.out_group) = (PortNo(0), GroupId(0xffff_ff01))),
        group(GroupModCommand::DELETE, GroupType::INDIRECT, GroupId::ALL.0, Vec::new()),
        group(
            GroupModCommand::ADD,
            GroupType::FF,
            7,
            bucket(|bucket| bucket.watch_group = GroupId(8)),
        ),
        meter(MeterModCommand::DELETE, 0xff, MeterId::ALL.0, Vec::new()),
        meter(MeterModCommand::ADD, 0xd, MeterId::CONTROLLER.0, Vec::new()),
        Body::Hello(Hello { elements: Vec::new() }),
        Body::BundleAdd(
            BundleAdd::new(1, BundleFlags::ORDERED, &Message::new(1, flow_mod(|_| {}))).expect("a rule can be written"),
        ),
    ];
    for body in all {
        assert_eq!(Message::new(1, body.clone()).validate(), Ok(()), "{body:?}");
    }
    let old = |version| Message {
        version,
        ..Message::new(1, Body::Hello(Hello::default()))
    };
    assert!(old(3).validate().is_err());
    assert!(old(6).validate().is_ok());
}

#[test]
fn what_is_wrong_with_a_bundle_is_said_in_the_words_of_its_version() {
    let control = BundleControl::new(1, BundleCtrlType(8), BundleFlags::NONE);
    let newer = Message {
        version: VERSION_1_4,
        ..Message::new(1, Body::BundleControl(control))
    };
    let refusal = newer.validate().expect_err("a type that nobody defined");
    let answer = (ErrorType::BUNDLE_FAILED, BundleFailedCode::BAD_TYPE.0);
    assert_eq!(refusal.to_answer(), answer);
}

#[test]
fn a_packet_in_tells_fields_without_the_ones_they_need() {
    let told = Message::new(
        1,
        Body::PacketIn(PacketIn {
            buffer_id: NO_BUFFER,
            total_len: 0,
            reason: PacketInReason::ACTION,
            table_id: TableId(0),
            cookie: 0,
            matching: [Oxm::tcp_dst(80), oxm(OxmField::basic(100), &[1], None)].into(),
            data: Bytes::new(),
        }),
    );
    assert_eq!(told.validate(), Ok(()));
}

#[test]
fn messages_that_a_switch_takes_are_taken_without_allocating() {
    println!("seed {}", seed());
    for number in 0..2_000 {
        let message = valid_message(number);
        let mut result = Ok(());
        let allocated = allocation_counter::measure(|| result = message.validate());
        assert_eq!(result, Ok(()), "message {number}: {message:?}");
        assert_eq!(allocated.count_total, 0, "message {number}: {message:?}");
    }
}

#[test]
fn any_message_is_judged_without_a_panic() {
    println!("seed {}", seed());
    let judged = (0..20_000_u64).filter(|number| {
        let entropy = noise(seed().wrapping_add(number << 32), 600);
        Message::generate(&mut Draw::new(&entropy, false)).validate().is_err()
    });
    assert!(judged.count() > 5_000, "most are wrong somewhere");
}

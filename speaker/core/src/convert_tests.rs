//! There and back: what is written to a switch and told by it is what was wanted.

use ofproto::Body;
use proptest::prelude::*;

use super::*;

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn matches() -> impl Strategy<Value = Match> {
    use prop::option::of;
    (
        of((1u32..0xffff_ff00).prop_map(PortNo)),
        of((any::<u64>(), prop_oneof![Just(u64::MAX), 1u64..u64::MAX])),
        of(mac()),
        of(mac()),
        of(any::<u16>()),
        of(1u16..4_095),
        of(any::<u8>()),
        of(any::<u16>()),
        of(any::<u16>()),
    )
        .prop_map(
            |(in_port, metadata, eth_src, eth_dst, eth_type, vlan, ip_proto, udp_src, udp_dst)| Match {
                in_port,
                metadata: metadata.map(|(value, mask)| Masked {
                    value: value & mask,
                    mask,
                }),
                eth_src,
                eth_dst,
                eth_type,
                vlan,
                ip_proto,
                udp_src,
                udp_dst,
            },
        )
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (1u32..0xffff_ff00).prop_map(|p| Action::Output(OutPort::Port(PortNo(p)))),
        Just(Action::Output(OutPort::InPort)),
        Just(Action::Output(OutPort::Controller)),
        (1u32..4_096).prop_map(Action::Group),
        prop_oneof![Just(0x8100u16), Just(0x88a8)].prop_map(Action::PushVlan),
        Just(Action::PopVlan),
        (1u16..4_095).prop_map(Action::SetVlan),
        mac().prop_map(Action::SetEthSrc),
        mac().prop_map(Action::SetEthDst),
        any::<u16>().prop_map(Action::SetUdpSrc),
        any::<u16>().prop_map(Action::SetUdpDst),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    use prop::option::of;
    (
        (0u8..6, any::<u16>(), matches()),
        any::<u64>(),
        of(1u32..2_501),
        prop::collection::vec(action(), 0..6),
        of((any::<u64>(), any::<u64>())),
        of(6u8..254),
        any::<bool>(),
    )
        .prop_map(
            |((table, priority, matches), cookie, meter, apply, metadata, goto, reset_counts)| Rule {
                key: RuleKey {
                    table,
                    priority,
                    matches,
                },
                cookie: Cookie(cookie),
                meter,
                apply,
                write_metadata: metadata.map(|(value, mask)| Masked { value, mask }),
                goto,
                reset_counts,
            },
        )
}

/// What a switch tells of a rule that was added.
fn told(flow: &FlowMod) -> FlowStats {
    FlowStats {
        table_id: flow.table_id,
        duration_sec: 1,
        duration_nsec: 2,
        priority: flow.priority,
        idle_timeout: flow.idle_timeout,
        hard_timeout: flow.hard_timeout,
        flags: flow.flags,
        cookie: flow.cookie,
        packet_count: 3,
        byte_count: 4,
        matching: flow.matching.clone(),
        instructions: flow.instructions.clone(),
    }
}

proptest! {
    #[test]
    fn a_rule_is_read_back_as_it_was_written(rule in rule()) {
        let flow = rule_add(&rule);
        let message = ofproto::Message::new(1, Body::FlowMod(flow.clone()));
        let bytes = message.to_bytes().expect("fits");
        prop_assert_eq!(ofproto::Message::decode(&bytes), Ok(message));
        prop_assert_eq!(read_match(&flow.matching), Some(rule.key.matches.clone()));
        prop_assert_eq!(read_rule(rule.key.clone(), &told(&flow)), Some(rule));
    }

    #[test]
    fn a_group_is_read_back_as_it_was_written(
        id in 1u32..4_096,
        all: bool,
        buckets in prop::collection::vec(prop::collection::vec(action(), 0..4), 0..5),
    ) {
        let kind = if all { GroupKind::All } else { GroupKind::Indirect };
        let buckets = buckets.into_iter().map(|actions| Bucket { actions }).collect();
        let group = Group { id, kind, buckets };
        let GroupMod { kind, group_id, buckets, .. } = group_mod(GroupModCommand::ADD, &group);
        prop_assert!(buckets.iter().all(|b| b.watch_port == OfPort::ANY && b.watch_group == GroupId::ANY));
        let told = GroupDesc { kind, group_id, buckets };
        prop_assert_eq!(group_refers_to(&told), group.refers_to().collect::<Vec<_>>());
        prop_assert_eq!(read_group(&told), Some(group));
    }

    #[test]
    fn a_meter_is_read_back_as_it_was_written(id in 1u32..2_501, packets: bool, rate: u32, burst: u32) {
        let unit = if packets { MeterUnit::Pktps } else { MeterUnit::Kbps };
        let meter = Meter { id, unit, rate, burst };
        let MeterMod { flags, meter_id, bands, .. } = meter_mod(MeterModCommand::ADD, &meter);
        prop_assert_eq!(read_meter(&MeterConfig { flags, meter_id, bands }), Some(meter));
    }
}

#[test]
fn what_the_contract_cannot_say_is_not_guessed() {
    let masked = OfMatch::new().with(Oxm::vlan_any());
    assert_eq!(read_match(&masked), None);
    assert_eq!(read_match(&OfMatch::new().with(Oxm::vlan_none())), None);
    assert_eq!(read_match(&OfMatch::new().with(Oxm::vlan_pcp(1))), None);
    let twice = OfMatch::new().with(Oxm::eth_type(1)).with(Oxm::eth_type(2));
    assert_eq!(read_match(&twice), None);

    let mut rule = FlowMod::new(FlowModCommand::ADD, TableId(0));
    let key = || RuleKey {
        table: 0,
        priority: 0,
        matches: Match::default(),
    };
    rule.idle_timeout = 5;
    assert_eq!(read_rule(key(), &told(&rule)), None);
    rule.idle_timeout = 0;
    rule.instructions = vec![Instruction::WriteActions(vec![])];
    assert_eq!(read_rule(key(), &told(&rule)), None);
    // A packet cut to a length is not what the contract's controller output means.
    let cut = OfAction::Output {
        port: OfPort::CONTROLLER,
        max_len: 64,
    };
    rule.instructions = vec![Instruction::ApplyActions(vec![cut])];
    assert_eq!(read_rule(key(), &told(&rule)), None);
}

#[test]
fn a_delete_is_strict_and_names_the_cookie() {
    let key = RuleKey {
        table: 3,
        priority: 7,
        matches: Match::default(),
    };
    let cookie = Cookie(1 << 62 | 5);
    let Body::FlowMod(flow) = message(&Step::DeleteRule { key, cookie }) else {
        panic!("a rule is deleted with a flow-mod");
    };
    assert_eq!(flow.command, FlowModCommand::DELETE_STRICT);
    assert_eq!((flow.cookie, flow.cookie_mask), (cookie.0, u64::MAX));
    assert_eq!((flow.table_id, flow.priority), (TableId(3), 7));
    assert_eq!((flow.out_port, flow.out_group), (OfPort::ANY, GroupId::ANY));
}

//! What we print of a rule or a group is what `ovs-ofctl` takes: the line, without its head and
//! command, is given to its parser, and the message that it makes of that must be the one we
//! printed (both as Open vSwitch prints them, which puts fields in an order of its own).
//!
//! Without `ovs-ofctl` there is nobody to ask: `common/trials.rs` then skips.

mod common;

use bytes::{Bytes, BytesMut};
use common::trials::Test;
use common::{seed, trials, valid_message, vectors};
use ofproto::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TESTS: [Test; 3] = [
    Test {
        name: "ovs_lines::a_printed_rule_is_taken_by_ovs_ofctl_as_the_same_rule",
        asks_ovs: true,
        run: a_printed_rule_is_taken_by_ovs_ofctl_as_the_same_rule,
    },
    Test {
        name: "ovs_lines::every_field_is_taken_by_ovs_ofctl_as_the_same_field",
        asks_ovs: true,
        run: every_field_is_taken_by_ovs_ofctl_as_the_same_field,
    },
    Test {
        name: "ovs_lines::a_printed_group_is_taken_by_ovs_ofctl_as_the_same_group",
        asks_ovs: true,
        run: a_printed_group_is_taken_by_ovs_ofctl_as_the_same_group,
    },
];

fn main() {
    trials::run(TESTS);
}

/// Rules that are generated.
const RULES: usize = 1_000;

/// Groups that are generated: each takes a process of its own.
const GROUPS: usize = 60;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

fn ovs_ofctl(arguments: &[&str]) -> Output {
    let out = Command::new("ovs-ofctl")
        .args(["-O", "OpenFlow13"])
        .args(arguments)
        .output();
    let out = out.expect("ovs-ofctl starts");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{arguments:?} with seed {}: {said}", seed());
    out
}

/// What stands behind the head of each message, without line breaks inside.
fn bodies(out: &Output, head: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&out.stdout);
    let behind = |message: &str| {
        message
            .split_once("): ")
            .or(message.split_once("):\n "))
            .map(|(_, said)| said.trim().to_owned())
    };
    text.split(head).skip(1).filter_map(behind).collect()
}

fn path(file: &Path) -> &str {
    file.to_str().expect("the target folder's path is UTF-8")
}

/// Fails unless each rule is the same after it was printed and parsed.
fn assert_taken(name: &str, rules: &[FlowMod]) {
    let folder = folder(name);
    let (stream, file) = (folder.join("stream"), folder.join("rules"));
    let mut frames = BytesMut::new();
    let mut lines = String::new();
    for rule in rules {
        let message = Message::new(1, Body::FlowMod(rule.clone()));
        message.encode(&mut frames).expect("a rule that can be written");
        let line = rule.to_string();
        lines += line.strip_prefix("ADD ").expect("the command");
        lines += "\n";
    }
    std::fs::write(&stream, &frames).expect("a writable folder");
    std::fs::write(&file, &lines).expect("a writable folder");
    let head = "OFPT_FLOW_MOD (OF1.3) (xid=";
    let ours = bodies(&ovs_ofctl(&["ofp-parse", path(&stream)]), head);
    let theirs = bodies(&ovs_ofctl(&["parse-flows", path(&file)]), head);
    assert_eq!(ours.len(), rules.len());
    assert_eq!(theirs.len(), rules.len());
    for ((line, ours), theirs) in lines.lines().zip(&ours).zip(&theirs) {
        assert!(!ours.contains("***"), "{line}: {ours}");
        assert_eq!(theirs, ours, "printed as {line}, seed {}", seed());
    }
}

/// The same rule as one that is added: `add-flow` has no condition on what there is already.
/// An empty list of actions to write, which `ovs-ofctl` prints as we do, it leaves out when
/// it reads it.
fn added(mut rule: FlowMod) -> FlowMod {
    let empty = Instruction::WriteActions(Vec::new());
    rule.instructions.retain(|instruction| *instruction != empty);
    FlowMod {
        command: FlowModCommand::ADD,
        cookie_mask: 0,
        buffer_id: NO_BUFFER,
        out_port: PortNo::ANY,
        out_group: GroupId::ANY,
        ..rule
    }
}

fn a_printed_rule_is_taken_by_ovs_ofctl_as_the_same_rule() {
    let rule = |number| match valid_message(number).body {
        Body::FlowMod(rule) => Some(added(rule)),
        _ => None,
    };
    let rules: Vec<FlowMod> = (0..).filter_map(rule).take(RULES).collect();
    assert_taken("ovs_lines_rules", &rules);
}

/// The fields that a match must have beside this one.
fn prerequisites(needs: OxmPrerequisite) -> Vec<Oxm> {
    let ip = |proto| {
        vec![
            Oxm::eth_type(if proto == 58 { 0x86dd } else { 0x0800 }),
            Oxm::ip_proto(proto),
        ]
    };
    match needs {
        OxmPrerequisite::EthType(types) => vec![Oxm::eth_type(types[0])],
        OxmPrerequisite::IpProto(proto) => ip(proto),
        OxmPrerequisite::Vlan => vec![Oxm::vlan_vid(7)],
        OxmPrerequisite::Icmpv6Type(types) => {
            let kind = Oxm::new(OxmField::ICMPV6_TYPE, &types[..1], None).expect("one byte");
            [ip(58), vec![kind]].concat()
        }
        _ => Vec::new(),
    }
}

/// A value of each field that a match may have and Open vSwitch knows, plain and masked, and
/// each of them set where it can be.
fn every_field_is_taken_by_ovs_ofctl_as_the_same_field() {
    // Open vSwitch has no such field, or no such bits of it.
    let unknown = [OxmField::IN_PHY_PORT, OxmField::PBB_ISID, OxmField::IPV6_EXTHDR];
    let mut rules = Vec::new();
    for row in OXM_TABLE.iter().filter(|row| !unknown.contains(&row.field)) {
        let (field, width) = (row.field, usize::from(row.width));
        let mut value = vec![0; width];
        value[width - 1] = if row.bits == 1 { 1 } else { 3 };
        if field == OxmField::ICMPV6_TYPE {
            value[0] = 135;
        }
        if field == OxmField::VLAN_VID {
            value[0] = 0x10;
        }
        let oxm = |mask: Option<&[u8]>| Oxm::new(field, &value, mask).expect("the width of the table");
        let before = prerequisites(row.needs);
        let rule = |oxm: Option<Oxm>, actions| FlowMod {
            priority: 5,
            matching: before.iter().cloned().chain(oxm).collect(),
            instructions: vec![Instruction::ApplyActions(actions)],
            ..FlowMod::new(FlowModCommand::ADD, TableId(0))
        };
        rules.push(rule(Some(oxm(None)), Vec::new()));
        if row.maskable {
            let mut mask = vec![0xff; width];
            (mask[0], mask[width - 1]) = (value[0], 0x3f);
            rules.push(rule(Some(oxm(Some(&mask))), Vec::new()));
            let mut prefix = vec![0; width];
            prefix[0] = 0xf0;
            let prefixed = Oxm::new(field, &vec![0; width], Some(&prefix)).expect("the width of the table");
            // A mask without any bit that VLAN_VID has would match everything.
            rules.extend(
                (field != OxmField::VLAN_VID && field != OxmField::IPV6_FLABEL)
                    .then(|| rule(Some(prefixed), Vec::new())),
            );
        }
        let fixed = [
            OxmField::IN_PORT,
            OxmField::ETH_TYPE,
            OxmField::IP_PROTO,
            OxmField::MPLS_BOS,
        ];
        if field == OxmField::VLAN_VID {
            rules.push(rule(Some(Oxm::vlan_vid(9)), vec![Action::SetField(oxm(None))]));
        } else if !fixed.contains(&field) {
            rules.push(rule(None, vec![Action::SetField(oxm(None))]));
        }
    }
    assert!(rules.len() > 80, "{} rules", rules.len());
    rules.extend(nicira());
    assert_taken("ovs_lines_fields", &rules);
}

/// Nicira's fields without prerequisites, and its actions on parts of fields.
fn nicira() -> Vec<FlowMod> {
    let rule = |oxm: Option<Oxm>, actions| FlowMod {
        priority: 6,
        matching: oxm.into_iter().collect(),
        instructions: vec![Instruction::ApplyActions(actions)],
        ..FlowMod::new(FlowModCommand::ADD, TableId(0))
    };
    // Whose values Open vSwitch prints in other words than numbers, or not in a match.
    let other = [
        OxmField::NXM_NX_CT_STATE,
        OxmField::NXM_NX_TUN_FLAGS,
        OxmField::NXM_NX_TUN_GBP_FLAGS,
    ];
    let plain = |row: &&OxmRow| row.needs == OxmPrerequisite::None && row.kind != OxmKind::Bytes;
    let mut rules = Vec::new();
    for row in NXM_1_TABLE.iter().chain(PACKET_REGS_TABLE).filter(plain) {
        if other.contains(&row.field) {
            continue;
        }
        let mut value = vec![0; usize::from(row.width)];
        value[usize::from(row.width) - 1] = 5;
        let oxm = Oxm::new(row.field, &value, None).expect("the width of the table");
        rules.push(rule(Some(oxm), Vec::new()));
    }
    let whole = |field: OxmField| OxmId {
        field,
        masked: false,
        length: u8::try_from(field.width().expect("a field of the table")).expect("a width"),
    };
    let (reg0, reg1) = (whole(OxmField::NXM_NX_REG0), whole(OxmField::NXM_NX_REG1));
    for (offset, n_bits) in [(0, 32), (3, 1), (16, 8)] {
        let bits = OfsNBits::new(offset, n_bits).expect("bits of a register");
        let load = FieldLoad {
            bits,
            dst: reg0,
            value: 1,
        };
        let copy = FieldCopy {
            n_bits,
            src_offset: 0,
            dst_offset: offset,
            src: reg0,
            dst: reg1,
        };
        rules.push(rule(None, vec![Action::RegLoad(load), Action::RegMove(copy)]));
    }
    rules
}

fn a_printed_group_is_taken_by_ovs_ofctl_as_the_same_group() {
    let add = |group: GroupMod| GroupMod {
        command: GroupModCommand::ADD,
        ..group
    };
    let known = |group: &GroupMod| group.group_id.0 <= GroupId::MAX.0 && !group.buckets.is_empty();
    let generated = (0..).filter_map(|number| match valid_message(number).body {
        Body::GroupMod(group) => Some(add(group)).filter(known),
        _ => None,
    });
    let read = vectors::all()
        .into_iter()
        .filter_map(|vector| match Message::decode(&vector.frame).ok()?.body {
            Body::GroupMod(group) if group.command != GroupModCommand::DELETE => Some(add(group)),
            _ => None,
        });
    let groups: Vec<GroupMod> = read.chain(generated.take(GROUPS)).collect();
    assert!(groups.len() > GROUPS, "{} groups", groups.len());
    let file = folder("ovs_lines_groups").join("stream");
    for group in groups {
        let line = group.to_string();
        let frame: Bytes = Message::new(1, Body::GroupMod(group)).to_bytes().expect("a group");
        std::fs::write(&file, &frame).expect("a writable folder");
        let head = "OFPT_GROUP_MOD (OF1.3) (xid=";
        let ours = bodies(&ovs_ofctl(&["ofp-parse", path(&file)]), head);
        let theirs = bodies(
            &ovs_ofctl(&["parse-group", line.strip_prefix("ADD ").expect("the command")]),
            head,
        );
        assert_eq!(theirs, ours, "printed as {line}, seed {}", seed());
    }
}

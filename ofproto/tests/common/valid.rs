//! Values as a switch takes them: known code points, match fields once and with their
//! prerequisites, actions on headers that the packet has.

use super::generate::{Draw, Gen};
use bytes::Bytes;
use ofproto::*;

/// One of these fields, unmasked, with only the bits set that have a meaning.
pub fn plain_oxm(d: &mut Draw<'_>, fields: &[OxmField]) -> Oxm {
    let field = d.pick(fields);
    let row = field.row().expect("a field of the table");
    let mut value = d.bytes(usize::from(row.width)).to_vec();
    let unused = usize::from(row.width) * 8 - usize::from(row.bits);
    value[0] &= 0xff_u8.checked_shr(unused as u32).unwrap_or(0);
    if unused >= 8 {
        value[0] = 0;
        value[1] &= 0xff >> (unused - 8);
    }
    if field == OxmField::VLAN_VID {
        value[0] |= 0x10;
    }
    Oxm::new(field, &value, None).expect("the width fits")
}

/// A match whose fields have their prerequisites and occur once.
pub fn valid_match(d: &mut Draw<'_>) -> Match {
    let mut oxms = Vec::new();
    if d.one_in(2) {
        oxms.push(Oxm::in_port(PortNo::generate(d)));
    }
    if d.one_in(3) {
        oxms.push(Oxm::metadata_masked(0x1200, 0xff00));
    }
    if d.one_in(3) {
        oxms.push(plain_oxm(d, &[OxmField::ETH_SRC]));
    }
    if d.one_in(3) {
        oxms.push(plain_oxm(d, &[OxmField::ETH_DST]));
    }
    if d.one_in(3) {
        oxms.push(plain_oxm(d, &[OxmField::TUNNEL_ID]));
    }
    match d.below(4) {
        0 => oxms.push(Oxm::vlan_none()),
        1 => {
            oxms.push(plain_oxm(d, &[OxmField::VLAN_VID]));
            if d.one_in(2) {
                oxms.push(plain_oxm(d, &[OxmField::VLAN_PCP]));
            }
        }
        2 => oxms.push(Oxm::vlan_any()),
        _ => {}
    }
    match d.below(6) {
        0 => {
            oxms.push(Oxm::eth_type(0x0800));
            oxms.push(Oxm::ipv4_dst_masked(
                [10, 1, d.u8(), 0].into(),
                [255, 255, 255, 0].into(),
            ));
            ip_payload(d, &mut oxms, 1, &[OxmField::ICMPV4_TYPE, OxmField::ICMPV4_CODE]);
        }
        1 => {
            oxms.push(Oxm::eth_type(0x86dd));
            oxms.push(plain_oxm(
                d,
                &[OxmField::IPV6_SRC, OxmField::IPV6_DST, OxmField::IPV6_FLABEL],
            ));
            ip_payload(d, &mut oxms, 58, &[OxmField::ICMPV6_TYPE, OxmField::ICMPV6_CODE]);
        }
        2 => {
            oxms.push(Oxm::eth_type(0x0806));
            oxms.push(Oxm::arp_op(1));
            oxms.push(plain_oxm(
                d,
                &[
                    OxmField::ARP_SPA,
                    OxmField::ARP_TPA,
                    OxmField::ARP_SHA,
                    OxmField::ARP_THA,
                ],
            ));
        }
        3 => {
            oxms.push(Oxm::eth_type(0x8847));
            oxms.push(plain_oxm(
                d,
                &[OxmField::MPLS_LABEL, OxmField::MPLS_TC, OxmField::MPLS_BOS],
            ));
        }
        4 => oxms.push(Oxm::eth_type(0x88cc)),
        _ => {}
    }
    oxms.into_iter().collect()
}

fn ip_payload(d: &mut Draw<'_>, oxms: &mut Vec<Oxm>, icmp: u8, icmp_fields: &[OxmField]) {
    let (proto, fields): (u8, &[OxmField]) = match d.below(5) {
        0 => (6, &[OxmField::TCP_SRC, OxmField::TCP_DST]),
        1 => (17, &[OxmField::UDP_SRC, OxmField::UDP_DST]),
        2 => (132, &[OxmField::SCTP_SRC, OxmField::SCTP_DST]),
        3 => (icmp, icmp_fields),
        _ => {
            oxms.push(plain_oxm(d, &[OxmField::IP_DSCP, OxmField::IP_ECN]));
            return;
        }
    };
    oxms.push(Oxm::ip_proto(proto));
    oxms.push(plain_oxm(d, fields));
}

/// Actions as a switch takes them: only on headers that the packet has.
pub fn valid_actions(d: &mut Draw<'_>, ip: bool, tags: &mut u8) -> Vec<Action> {
    let mut all = Vec::new();
    for _ in 0..d.below(5) {
        all.push(match d.below(10) {
            // Open vSwitch takes two tags at most.
            0 if *tags < 2 => {
                *tags += 1;
                Action::PushVlan(d.pick(&[0x8100, 0x88a8]))
            }
            1 if *tags > 0 => {
                *tags -= 1;
                Action::PopVlan
            }
            2 => Action::SetQueue(Gen::generate(d)),
            3 => Action::Group(Gen::generate(d)),
            4 if ip => Action::SetNwTtl(d.u8()),
            5 if ip => Action::DecNwTtl,
            6 => {
                let fields = [OxmField::ETH_SRC, OxmField::ETH_DST, OxmField::TUNNEL_ID];
                Action::SetField(plain_oxm(d, &fields))
            }
            7 if *tags > 0 => Action::SetField(plain_oxm(d, &[OxmField::VLAN_VID, OxmField::VLAN_PCP])),
            8 => Action::Output {
                port: PortNo::CONTROLLER,
                max_len: d.pick(&[0, 128, 0xffff]),
            },
            _ => Action::Output {
                port: d.pick(&[PortNo(1), PortNo(7), PortNo::IN_PORT]),
                max_len: 0,
            },
        });
    }
    all
}

/// Instructions as a switch takes them: each type once, in the order of their numbers,
/// on headers that the match speaks of, and the next table a later one.
pub fn valid_instructions(d: &mut Draw<'_>, table: TableId, matching: &Match) -> Vec<Instruction> {
    let ip = matches!(matching.eth_type(), Some(0x0800 | 0x86dd));
    let tagged = matching
        .vlan_vid_raw()
        .is_some_and(|(value, _)| value & VLAN_PRESENT != 0);
    let mut tags = u8::from(tagged);
    let mut all = Vec::new();
    if d.one_in(3) {
        all.push(Instruction::Meter(Gen::generate(d)));
    }
    if d.one_in(2) {
        all.push(Instruction::ApplyActions(valid_actions(d, ip, &mut tags)));
    }
    if d.one_in(4) {
        all.push(Instruction::ClearActions);
    }
    if d.one_in(3) {
        all.push(Instruction::WriteActions(valid_actions(d, ip, &mut tags)));
    }
    if d.one_in(3) {
        all.push(Instruction::WriteMetadata {
            metadata: 0x55,
            mask: 0xff,
        });
    }
    if d.one_in(2) {
        all.push(Instruction::GotoTable(TableId(table.0.saturating_add(1 + d.u8() % 4))));
    }
    all
}

/// Makes what was drawn piece by piece fit together, as a switch wants it.
pub fn make_valid(body: &mut Body, d: &mut Draw<'_>) {
    match body {
        Body::Error(error) => {
            error.kind = d.pick(&ErrorType::NAMES[..14]).0;
            let codes: Vec<u16> = (0..16).filter(|code| error.kind.code_name(*code).is_some()).collect();
            error.code = d.pick(&codes);
        }
        Body::Experimenter(message) => *message = RoleStatus::generate(d).to_experimenter(),
        Body::PacketOut(packet) => {
            packet.actions = valid_actions(d, false, &mut 0);
            if packet.buffer_id != NO_BUFFER {
                packet.data = Bytes::new();
            } else if packet.data.is_empty() {
                packet.data = Bytes::from_static(b"a packet");
            }
        }
        Body::Hello(hello) if !hello.offers(VERSION_1_3, VERSION_1_3) => {
            hello
                .elements
                .insert(0, HelloElement::VersionBitmap(vec![1 << VERSION_1_3]));
        }
        Body::TableMod(table) => table.config %= 4,
        Body::SetConfig(config) => config.flags = d.pick(&[ConfigFlags::NONE, ConfigFlags::DROP, ConfigFlags::REASM]),
        Body::FlowMod(rule) => {
            rule.table_id = TableId(rule.table_id.0 % 200);
            rule.instructions = valid_instructions(d, rule.table_id, &rule.matching);
        }
        Body::GroupMod(group) => {
            valid_buckets(group.kind, &mut group.buckets, d);
            // No bucket hands packets to the group itself.
            group.group_id.0 += 1_000;
            if group.command == GroupModCommand::DELETE {
                group.buckets.clear();
            }
        }
        Body::FlowRemoved(rule) => lived(&mut rule.duration_sec, &mut rule.duration_nsec),
        Body::MultipartReply(reply) => match &mut reply.body {
            MultipartReplyBody::PortStats(ports) => {
                ports
                    .iter_mut()
                    .for_each(|port| lived(&mut port.duration_sec, &mut port.duration_nsec));
            }
            MultipartReplyBody::Queue(queues) => {
                queues
                    .iter_mut()
                    .for_each(|queue| lived(&mut queue.duration_sec, &mut queue.duration_nsec));
            }
            MultipartReplyBody::Group(groups) => {
                groups
                    .iter_mut()
                    .for_each(|group| lived(&mut group.duration_sec, &mut group.duration_nsec));
            }
            MultipartReplyBody::Meter(meters) => {
                meters
                    .iter_mut()
                    .for_each(|meter| lived(&mut meter.duration_sec, &mut meter.duration_nsec));
            }
            MultipartReplyBody::Flow(rules) => {
                for rule in rules {
                    lived(&mut rule.duration_sec, &mut rule.duration_nsec);
                    rule.instructions = valid_instructions(d, rule.table_id, &rule.matching);
                }
            }
            MultipartReplyBody::GroupDesc(groups) => {
                for group in groups {
                    valid_buckets(group.kind, &mut group.buckets, d);
                }
            }
            _ => {}
        },
        Body::MeterMod(meter) => meter.flags = d.pick(&[MeterFlags(1), MeterFlags(2), MeterFlags(0xd), MeterFlags(6)]),
        _ => {}
    }
}

/// A time that can have passed: less than a second of nanoseconds, and not "unknown".
fn lived(sec: &mut u32, nsec: &mut u32) {
    *sec /= 2;
    *nsec %= 1_000_000_000;
}

/// An indirect group has one bucket; a fast failover group's buckets watch a port; only
/// a select group's have a share.
fn valid_buckets(kind: GroupType, buckets: &mut Vec<Bucket>, d: &mut Draw<'_>) {
    if kind == GroupType::INDIRECT {
        buckets.truncate(1);
        if buckets.is_empty() {
            buckets.push(Bucket::new(Vec::new()));
        }
    }
    for bucket in buckets {
        let actions = valid_actions(d, false, &mut 0);
        let weight = if kind == GroupType::SELECT {
            1 + d.below(100) as u16
        } else {
            0
        };
        let watch_port = if kind == GroupType::FF {
            PortNo(1 + d.below(9) as u32)
        } else {
            PortNo::ANY
        };
        *bucket = Bucket {
            weight,
            watch_port,
            ..Bucket::new(actions)
        };
    }
}

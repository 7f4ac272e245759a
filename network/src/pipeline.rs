//! What a switch does with a packet, given its objects: the simulator that tests and simulated switches use.
//!
//! It knows what `Objects` can say: tables, priorities, metadata, apply actions, groups ALL and INDIRECT with
//! their buckets as action sets. Meters let everything through, counters are not kept.

use skerry_bus::ids::PortNo;
use skerry_bus::objects::{Action, Bucket, GroupKind, Match, Objects, OutPort, Rule};

use crate::layout::{IPV4, UDP};
use crate::packet::{Packet, Tag};

/// Groups inside groups that are followed; Open vSwitch stops at a depth too. Deeper ones get no packet.
const GROUP_DEPTH_MAX: usize = 8;

/// A packet that leaves a switch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Emission {
    /// Out of a port.
    Port(PortNo, Packet),
    /// To the controller.
    Controller(Packet),
}

/// What a switch with `objects` does with a packet that comes in on `in_port`.
pub fn process(objects: &Objects, in_port: PortNo, packet: &Packet) -> Vec<Emission> {
    let mut run = Run {
        objects,
        in_port,
        out: Vec::new(),
    };
    let mut packet = packet.clone();
    let mut metadata = 0u64;
    let mut table = 0u8;
    while let Some(rule) = lookup(objects, table, in_port, metadata, &packet) {
        for action in &rule.apply {
            run.act(*action, &mut packet, 0);
        }
        if let Some(m) = rule.write_metadata {
            metadata = metadata & !m.mask | m.value & m.mask;
        }
        match rule.goto {
            // OpenFlow 1.3.5 section 5.9: the next table's id "must be greater than the current table-id".
            Some(next) if next > table => table = next,
            _ => break,
        }
    }
    run.out
}

/// The rule of a table that a packet hits: the one with the highest priority, the first by key among equals.
pub fn lookup<'a>(
    objects: &'a Objects,
    table: u8,
    in_port: PortNo,
    metadata: u64,
    packet: &Packet,
) -> Option<&'a Rule> {
    let mut best: Option<&Rule> = None;
    for rule in objects.rules.values() {
        let better = best.is_none_or(|b| rule.key.priority > b.key.priority);
        if rule.key.table == table && better && matches(&rule.key.matches, in_port, metadata, packet) {
            best = Some(rule);
        }
    }
    best
}

/// Whether a packet is what a match looks for.
pub fn matches(m: &Match, in_port: PortNo, metadata: u64, packet: &Packet) -> bool {
    fn is<T: PartialEq>(wanted: &Option<T>, found: Option<T>) -> bool {
        match wanted {
            None => true,
            Some(w) => found.as_ref() == Some(w),
        }
    }
    let is_ip = packet.eth_type == IPV4;
    let udp = packet.udp.filter(|_| is_ip && packet.ip_proto == Some(UDP));
    is(&m.in_port, Some(in_port))
        && m.metadata.is_none_or(|w| metadata & w.mask == w.value & w.mask)
        && is(&m.eth_src, Some(packet.eth_src))
        && is(&m.eth_dst, Some(packet.eth_dst))
        && is(&m.eth_type, Some(packet.eth_type))
        && is(&m.vlan, packet.tags.last().map(|t| t.vid))
        && is(&m.ip_proto, packet.ip_proto.filter(|_| is_ip))
        && is(&m.udp_src, udp.map(|u| u.0))
        && is(&m.udp_dst, udp.map(|u| u.1))
}

struct Run<'a> {
    objects: &'a Objects,
    in_port: PortNo,
    out: Vec<Emission>,
}

impl Run<'_> {
    fn act(&mut self, action: Action, packet: &mut Packet, depth: usize) {
        match action {
            Action::Output(out) => self.output(out, packet),
            Action::Group(id) => self.group(id, packet, depth),
            other => change(other, packet),
        }
    }

    fn output(&mut self, out: OutPort, packet: &Packet) {
        match out {
            // OpenFlow 1.3.5 section 4.5: a packet goes out of its input port only when IN_PORT is named.
            OutPort::Port(port) if port == self.in_port => {}
            OutPort::Port(port) => self.out.push(Emission::Port(port, packet.clone())),
            OutPort::InPort => self.out.push(Emission::Port(self.in_port, packet.clone())),
            OutPort::Controller => self.out.push(Emission::Controller(packet.clone())),
        }
    }

    fn group(&mut self, id: u32, packet: &Packet, depth: usize) {
        let Some(group) = self.objects.groups.get(&id).filter(|_| depth < GROUP_DEPTH_MAX) else {
            return;
        };
        let buckets = match group.kind {
            GroupKind::All => group.buckets.as_slice(),
            GroupKind::Indirect => group.buckets.get(..1).unwrap_or_default(),
        };
        for bucket in buckets {
            if let Some(action) = last_of_set(bucket) {
                self.act(action, &mut apply_set(bucket, packet), depth + 1);
            }
        }
    }
}

/// The last action of a bucket's set: a group if there is one, else an output (OpenFlow 1.3.5 section 5.10).
fn last_of_set(bucket: &Bucket) -> Option<Action> {
    let last = |want: fn(&Action) -> bool| bucket.actions.iter().rev().copied().find(want);
    last(|a| matches!(a, Action::Group(_))).or_else(|| last(|a| matches!(a, Action::Output(_))))
}

/// The packet after a bucket's other actions: one of each kind, the last one written, in the order of the set.
fn apply_set(bucket: &Bucket, packet: &Packet) -> Packet {
    let kinds: [fn(&Action) -> bool; 7] = [
        |a| matches!(a, Action::PopVlan),
        |a| matches!(a, Action::PushVlan(_)),
        |a| matches!(a, Action::SetVlan(_)),
        |a| matches!(a, Action::SetEthSrc(_)),
        |a| matches!(a, Action::SetEthDst(_)),
        |a| matches!(a, Action::SetUdpSrc(_)),
        |a| matches!(a, Action::SetUdpDst(_)),
    ];
    let mut packet = packet.clone();
    for kind in kinds {
        if let Some(action) = bucket.actions.iter().rev().find(|a| kind(a)) {
            change(*action, &mut packet);
        }
    }
    packet
}

/// An action that changes the packet; outputs and groups do not.
fn change(action: Action, packet: &mut Packet) {
    match action {
        Action::PushVlan(tpid) => {
            // OpenFlow 1.3.5 section 5.12.1: a pushed tag begins with the values of the one below it, if there is one.
            let below = packet.tags.last().copied().unwrap_or(Tag::new(0));
            packet.tags.push(Tag { tpid, ..below });
        }
        Action::PopVlan => {
            packet.tags.pop();
        }
        Action::SetVlan(vid) => {
            if let Some(tag) = packet.tags.last_mut() {
                tag.vid = vid;
            }
        }
        Action::SetEthSrc(mac) => packet.eth_src = mac,
        Action::SetEthDst(mac) => packet.eth_dst = mac,
        Action::SetUdpSrc(port) => {
            if let Some(udp) = packet.udp.as_mut() {
                udp.0 = port;
            }
        }
        Action::SetUdpDst(port) => {
            if let Some(udp) = packet.udp.as_mut() {
                udp.1 = port;
            }
        }
        Action::Output(_) | Action::Group(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skerry_bus::ids::Cookie;
    use skerry_bus::objects::{Group, Masked, RuleKey};

    fn rule(table: u8, priority: u16, matches: Match, apply: Vec<Action>) -> Rule {
        Rule {
            key: RuleKey {
                table,
                priority,
                matches,
            },
            cookie: Cookie(0),
            meter: None,
            apply,
            write_metadata: None,
            goto: None,
            reset_counts: false,
        }
    }

    fn port(n: u32) -> Action {
        Action::Output(OutPort::Port(PortNo(n)))
    }

    /// Ports and tags of what a switch with these rules and groups sends for a packet with `tags` on port 1.
    fn sent(rules: Vec<Rule>, groups: Vec<Group>, tags: &[u16]) -> Vec<(u32, Vec<u16>)> {
        let mut objects = Objects::new();
        rules.into_iter().for_each(|r| objects.put_rule(r));
        groups.into_iter().for_each(|g| objects.put_group(g));
        let out = process(&objects, PortNo(1), &Packet::tagged(tags, b""));
        out.into_iter()
            .map(|e| match e {
                Emission::Port(port, packet) => (port.0, packet.vids()),
                Emission::Controller(packet) => (0, packet.vids()),
            })
            .collect()
    }

    fn all(actions: Vec<Action>) -> Vec<Rule> {
        vec![rule(0, 1, Match::default(), actions)]
    }

    fn group(id: u32, kind: GroupKind, buckets: Vec<Vec<Action>>) -> Group {
        let buckets = buckets.into_iter().map(|actions| Bucket { actions }).collect();
        Group { id, kind, buckets }
    }

    #[test]
    fn a_packet_leaves_by_its_own_port_only_if_that_is_said() {
        let out = sent(
            all(vec![port(1), port(2), Action::Output(OutPort::InPort)]),
            vec![],
            &[],
        );
        assert_eq!(out, [(2, vec![]), (1, vec![])]);
        let out = sent(all(vec![Action::Output(OutPort::Controller)]), vec![], &[7]);
        assert_eq!(out, [(0, vec![7])]);
    }

    #[test]
    fn each_output_sends_the_packet_as_it_is_then() {
        let actions = vec![
            port(2),
            Action::PushVlan(0x8100),
            Action::SetVlan(9),
            port(3),
            Action::PopVlan,
            port(4),
        ];
        let out = sent(all(actions), vec![], &[7]);
        assert_eq!(out, [(2, vec![7]), (3, vec![7, 9]), (4, vec![7])]);
    }

    #[test]
    fn a_bucket_is_a_set_and_does_not_touch_the_packet_of_the_next_one() {
        // Written in the wrong order and with two pushes: it pops, pushes once, sets, and outputs last.
        let odd = vec![
            port(2),
            Action::SetVlan(9),
            Action::PushVlan(0x8100),
            Action::PushVlan(0x8100),
            Action::PopVlan,
        ];
        let groups = vec![
            group(1, GroupKind::All, vec![odd, vec![port(3)], vec![Action::Group(2)]]),
            group(
                2,
                GroupKind::Indirect,
                vec![vec![Action::PopVlan, port(4)], vec![port(5)]],
            ),
        ];
        let out = sent(all(vec![Action::Group(1), port(6)]), groups, &[7]);
        assert_eq!(out, [(2, vec![9]), (3, vec![7]), (4, vec![]), (6, vec![7])]);
    }

    #[test]
    fn a_group_in_a_bucket_hides_the_output_and_circles_end() {
        let groups = vec![group(
            1,
            GroupKind::All,
            vec![vec![port(2), Action::Group(1)], vec![port(3)]],
        )];
        let out = sent(all(vec![Action::Group(1)]), groups, &[]);
        assert_eq!(out, vec![(3, vec![]); GROUP_DEPTH_MAX]);
        assert_eq!(sent(all(vec![Action::Group(9), port(2)]), vec![], &[]), [(2, vec![])]);
    }

    #[test]
    fn tables_go_forward_and_metadata_goes_with_them() {
        let bits = |value, mask| Some(Masked { value, mask });
        let with = |value, mask| Match {
            metadata: bits(value, mask),
            ..Match::default()
        };
        let first = Rule {
            write_metadata: bits(0xff, 0x0f),
            goto: Some(2),
            ..rule(0, 1, Match::default(), vec![])
        };
        let back = Rule {
            goto: Some(0),
            ..rule(2, 5, with(0x0f, 0xff), vec![port(2)])
        };
        let worse = rule(2, 4, Match::default(), vec![port(3)]);
        assert_eq!(
            sent(vec![first.clone(), back, worse.clone()], vec![], &[]),
            [(2, vec![])]
        );
        let other = rule(2, 5, with(0xff, 0xff), vec![port(2)]);
        assert_eq!(sent(vec![first, other, worse], vec![], &[]), [(3, vec![])]);
        // No rule, no packet.
        assert_eq!(sent(vec![], vec![], &[]), []);
    }
}

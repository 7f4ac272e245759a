//! What a switch holds without any flow: defaults of its tables, discovery with the turn-back group, and the
//! dispatch of its link ports. Design section 8 decides the discovery rules.
//!
//! The dispatch of customer ports is not here: it comes with the flows that need it.

use skerry_bus::ids::{Cookie, PortNo, SwitchId};
use skerry_bus::objects::{
    Action, Bucket, Group, GroupKind, Mac, Match, Meter, MeterUnit, Objects, OutPort, Rule, RuleKey,
};

use crate::layout::{
    DISCOVERY_MAC, DISCOVERY_METER, DISCOVERY_UDP, IPV4, ROUND_TRIP_GROUP, ServiceTag, TURNED_UDP, UDP,
    link_port_cookie, priority, service_cookie, table,
};

/// Discovery packets that a switch may turn in a second: 256 link ports at the shortest interval (300 ms) need
/// 854. Above it they are dropped, so that a flood of forged ones reaches neither the speaker nor other switches.
pub const DISCOVERY_RATE_PPS: u32 = 1_000;
/// Discovery packets that may come at once: every port of a large switch, several times.
pub const DISCOVERY_BURST_PACKETS: u32 = 4_096;

/// Everything a switch holds without any flow, given its link ports.
pub fn service_objects(switch: SwitchId, link_ports: impl IntoIterator<Item = PortNo>) -> Objects {
    let mut objects = Objects::new();
    for (table, tag, goto) in [
        (table::INPUT, ServiceTag::Drop, None),
        (table::PRE_INGRESS, ServiceTag::PreIngressPass, Some(table::INGRESS)),
        (table::INGRESS, ServiceTag::IngressDrop, None),
        (table::POST_INGRESS, ServiceTag::PostIngressDrop, None),
        (table::EGRESS, ServiceTag::EgressPass, Some(table::TRANSIT)),
        (table::TRANSIT, ServiceTag::TransitDrop, None),
    ] {
        let cookie = service_cookie(tag);
        objects.put_rule(Rule {
            goto,
            ..rule(cookie, table, priority::DEFAULT, Match::default())
        });
    }
    discovery(switch, &mut objects);
    for port in link_ports {
        let matches = Match {
            in_port: Some(port),
            ..Match::default()
        };
        objects.put_rule(Rule {
            goto: Some(table::EGRESS),
            ..rule(link_port_cookie(port), table::INPUT, priority::LINK_PORT, matches)
        });
    }
    objects
}

/// A discovery packet is turned at most once: the far switch rewrites its UDP destination, and what is rewritten,
/// or comes from this very switch, never enters the group.
fn discovery(switch: SwitchId, objects: &mut Objects) {
    let own = Mac(switch.mac());
    let to_controller = Action::Output(OutPort::Controller);
    let matches = |eth_src: Option<Mac>, udp_dst: u16| Match {
        eth_src,
        eth_dst: Some(DISCOVERY_MAC),
        eth_type: Some(IPV4),
        ip_proto: Some(UDP),
        udp_dst: Some(udp_dst),
        ..Match::default()
    };
    let mut put = |tag, priority, matches, meter, apply| {
        objects.put_rule(Rule {
            meter,
            apply,
            ..rule(service_cookie(tag), table::INPUT, priority, matches)
        });
    };
    put(
        ServiceTag::RoundTrip,
        priority::ROUND_TRIP,
        matches(Some(own), TURNED_UDP),
        None,
        vec![to_controller],
    );
    put(
        ServiceTag::DropTurned,
        priority::DISCOVERY_DROP,
        matches(None, TURNED_UDP),
        None,
        vec![],
    );
    put(
        ServiceTag::DropOwnDiscovery,
        priority::DISCOVERY_DROP,
        matches(Some(own), DISCOVERY_UDP),
        None,
        vec![],
    );
    put(
        ServiceTag::Discovery,
        priority::DISCOVERY,
        matches(None, DISCOVERY_UDP),
        Some(DISCOVERY_METER),
        vec![Action::Group(ROUND_TRIP_GROUP)],
    );
    objects.put_meter(Meter {
        id: DISCOVERY_METER,
        unit: MeterUnit::Pktps,
        rate: DISCOVERY_RATE_PPS,
        burst: DISCOVERY_BURST_PACKETS,
    });
    objects.put_group(Group {
        id: ROUND_TRIP_GROUP,
        kind: GroupKind::All,
        buckets: vec![
            Bucket {
                actions: vec![to_controller],
            },
            Bucket {
                actions: vec![Action::SetUdpDst(TURNED_UDP), Action::Output(OutPort::InPort)],
            },
        ],
    });
}

fn rule(cookie: Cookie, table: u8, priority: u16, matches: Match) -> Rule {
    Rule {
        key: RuleKey {
            table,
            priority,
            matches,
        },
        cookie,
        meter: None,
        apply: Vec::new(),
        write_metadata: None,
        goto: None,
        reset_counts: false,
    }
}

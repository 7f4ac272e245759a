//! Step "flow": a customer's flow with different tags at its two ends, and one with QinQ endpoints; echo both ways.

use anyhow::{Result, ensure};
use serde_json::json;

use super::world::{link_name, switch_id};
use super::{Summary, World, say};
use crate::host::Host;
use crate::packet::{Kind, Tag};
use crate::ring::PORT_HOST;

/// The flow with one tag at each end.
pub const FLOW: &str = "acme-a-b";
/// The flow with two.
pub const FLOW_QINQ: &str = "acme-qinq";
/// Tag at host a.
pub const VLAN_A: u16 = 100;
/// Tag at host b.
pub const VLAN_B: u16 = 200;
/// Outer and inner tag at host a, then at host b.
const QINQ: [[u16; 2]; 2] = [[300, 30], [400, 40]];
/// Packets each way.
const PINGS: u64 = 100;
const RATE: u32 = 200;

/// The limit that the flow gets: well above what either way round the ring takes, so that it is healthy on both.
pub fn max_latency_ms(world: &World) -> f64 {
    let all: f64 = world.delays.values().flatten().map(|d| d.as_secs_f64() * 1e3).sum();
    (all + 10.0).round()
}

/// Who sends to whom, in which stream, with which tags here and there.
type Way<'a> = (&'a Host, &'a Host, u32, &'a [Tag], &'a [Tag]);

/// See the module.
pub fn step(world: &mut World, summary: &mut Summary) -> Result<()> {
    let ends = [switch_id(1), switch_id(3)];
    let end = |at: usize, vlan: u16, inner: u16| json!({ "switch_id": ends[at], "port_number": PORT_HOST, "vlan_id": vlan, "inner_vlan_id": inner });
    let limit = max_latency_ms(world);
    let body = json!({
        "source": end(0, VLAN_A, 0), "destination": end(1, VLAN_B, 0), "maximum_bandwidth": 100_000,
        "max_latency": limit, "max_latency_tier_2": limit * 3.0, "path_computation_strategy": "latency",
        "description": "the demo's flow",
    });
    let ended = world.rest.done("PUT", &format!("/v2/flows/{FLOW}"), Some(&body))?;
    let flow = world.flow(FLOW)?;
    let path: Vec<_> = flow.path.iter().map(|hop| hop.switch_id).collect();
    let names: Vec<_> = path.windows(2).filter_map(|w| link_name(w[0], w[1])).collect();
    say(&format!(
        "flow {FLOW} stands (operation {}), over {}; max_latency {limit} ms",
        ended.operation_id,
        names.join(", ")
    ));
    let body = json!({
        "source": end(0, QINQ[0][0], QINQ[0][1]), "destination": end(1, QINQ[1][0], QINQ[1][1]),
    });
    world.rest.done("PUT", &format!("/v2/flows/{FLOW_QINQ}"), Some(&body))?;
    say(&format!("flow {FLOW_QINQ} stands"));

    for host in [&world.ring.a, &world.ring.b] {
        host.echo(true)?;
    }
    let (a, b) = (&world.ring.a, &world.ring.b);
    let (tags_a, tags_b) = ([Tag::c(VLAN_A)], [Tag::c(VLAN_B)]);
    let double = |tags: [u16; 2]| [Tag::c(tags[0]), Tag::c(tags[1])];
    let (qinq_a, qinq_b) = (double(QINQ[0]), double(QINQ[1]));
    let mut sent = 0;
    let mut lost = 0;
    let mut wrong = Vec::new();
    let ways: [Way; 4] = [
        (a, b, 1, &tags_a, &tags_b),
        (b, a, 2, &tags_b, &tags_a),
        (a, b, 3, &qinq_a, &qinq_b),
        (b, a, 4, &qinq_b, &qinq_a),
    ];
    for (from, to, stream, tags, far_tags) in ways {
        let ping = from.ping(stream, tags, PINGS, RATE)?;
        let there = to.received(stream, Kind::Ask, far_tags)?;
        let others = to
            .arrivals(stream)?
            .into_iter()
            .filter(|arrived| arrived.tags != far_tags)
            .count();
        say(&format!(
            "{} -> {}: {} of {} answered; {} arrived with tags {:?}; round trip {:.2} ms",
            from.name(),
            to.name(),
            ping.sent - ping.lost,
            ping.sent,
            there.received,
            far_tags.iter().map(|t| t.vid).collect::<Vec<_>>(),
            ping.answers.median_ns as f64 / 1e6
        ));
        sent += ping.sent;
        lost += ping.lost;
        if there.numbers.len() != ping.sent || there.duplicates + there.wrong_payload > 0 || others > 0 {
            wrong.push(format!(
                "stream {stream}: {there:?}, and {others} kinds with other tags"
            ));
        }
    }
    summary.set(
        "flow",
        json!({
            "path": path, "ping_sent": sent, "ping_lost": lost, "vlan_a": VLAN_A, "vlan_b": VLAN_B,
            "qinq_a": QINQ[0], "qinq_b": QINQ[1],
        }),
    );
    ensure!(
        wrong.is_empty(),
        "the far host did not get what was sent: {}",
        wrong.join("; ")
    );
    ensure!(lost == 0, "{lost} of {sent} pings were not answered");
    Ok(())
}

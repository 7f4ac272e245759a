//! Step "join": what the sink device sends enters the flow and arrives at the far host, while the flow loses nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::flow::{FLOW, VLAN_A, VLAN_B};
use super::mirror::{SINK_VLANS, mirror_body};
use super::network::ShownGroup;
use super::world::switch_id;
use super::{Summary, World, say};
use crate::packet::{Kind, Stream, Tag};
use crate::ring::PORT_SINK;
use crate::wire::Moment;

const FLOW_STREAMS: [u32; 2] = [20, 21];
const JOIN_STREAM: u32 = 22;
const RATE: u32 = 1_000;
const JOINED: u64 = 2_000;
const QUIET: Duration = Duration::from_secs(2);

/// See the module.
pub fn step(world: &mut World, summary: &mut Summary) -> Result<()> {
    let (a, b, sink) = (&world.ring.a, &world.ring.b, &world.ring.sink);
    a.send_stream(Stream::new(FLOW_STREAMS[0], &[Tag::c(VLAN_A)], RATE))?;
    b.send_stream(Stream::new(FLOW_STREAMS[1], &[Tag::c(VLAN_B)], RATE))?;
    let mirror = format!("/v2/flows/{FLOW}/mirror");
    let join = format!("/v2/flows/{FLOW}/join");
    world.rest.done("PUT", &mirror, Some(&mirror_body(SINK_VLANS[0])))?;
    let body = json!({
        "join_point_id": "device", "join_point_switch_id": switch_id(3), "delivery": "both",
        "sink_endpoint": { "switch_id": switch_id(3), "port_number": PORT_SINK, "vlan_id": SINK_VLANS[0] },
    });
    world.rest.done("PUT", &join, Some(&body))?;
    say("mirror and join point stand: the sink device shares the segment with host b");
    sink.send_stream(Stream::new(JOIN_STREAM, &[Tag::c(SINK_VLANS[0])], RATE).count(JOINED))?;
    let sent = sink.finish(JOIN_STREAM, Duration::from_secs(30))?;
    let far = a.settled(JOIN_STREAM, Kind::Data, &[Tag::c(VLAN_A)], sent, QUIET)?;
    let local = b.settled(JOIN_STREAM, Kind::Data, &[Tag::c(VLAN_B)], sent, QUIET)?;
    // As read back from the switches, while both points stand.
    let groups = world.ring.groups()?;
    world.rest.done("DELETE", &format!("{join}/device"), None)?;
    world.rest.done("DELETE", &format!("{mirror}/copy"), None)?;
    let flow_sent = [a.stop(FLOW_STREAMS[0])?, b.stop(FLOW_STREAMS[1])?];
    let there = b.settled(FLOW_STREAMS[0], Kind::Data, &[Tag::c(VLAN_B)], flow_sent[0], QUIET)?;
    let back = a.settled(FLOW_STREAMS[1], Kind::Data, &[Tag::c(VLAN_A)], flow_sent[1], QUIET)?;
    let lost =
        flow_sent[0] - there.numbers.count_in(0..flow_sent[0]) + flow_sent[1] - back.numbers.count_in(0..flow_sent[1]);
    let received = far.numbers.count_in(0..sent);
    say(&format!(
        "the sink sent {sent}: {received} arrived at host a, {} at host b; the flow's own {} packets lost {lost}",
        local.numbers.len(),
        flow_sent[0] + flow_sent[1]
    ));
    let with_mods = group_mods(world, groups)?;
    for group in &with_mods {
        say(&format!("group {group}"));
    }
    summary.set(
        "join",
        json!({
            "sent": sent, "received": received, "received_locally": local.numbers.len(),
            "flow_sent": flow_sent[0] + flow_sent[1], "flow_lost": lost, "groups": with_mods,
        }),
    );
    ensure!(received == sent, "host a misses {:?}", far.numbers.missing_in(0..sent));
    ensure!(far.duplicates + far.wrong_payload == 0, "{far:?}");
    ensure!(
        local.numbers.len() == sent && local.duplicates == 0,
        "host b: {local:?}"
    );
    ensure!(
        lost == 0,
        "host b misses {:?}, host a {:?}",
        there.numbers.missing_in(0..flow_sent[0]),
        back.numbers.missing_in(0..flow_sent[1])
    );
    ensure!(
        there.duplicates + back.duplicates == 0,
        "{} + {} duplicates",
        there.duplicates,
        back.duplicates
    );
    ensure!(!with_mods.is_empty(), "no switch has a group of the flow");
    for group in &with_mods {
        let mods = group["group_mods"].as_array().map_or(&[][..], Vec::as_slice);
        ensure!(group["type"] == "all", "{group} is not of type all");
        ensure!(
            mods.iter().all(|m| m != "DELETE"),
            "{group} was deleted while the flow lives"
        );
        ensure!(mods.first().is_some_and(|m| m == "ADD"), "{group} was not added first");
    }
    Ok(())
}

/// Groups with what was sent to change them, since the switches connected.
fn group_mods(world: &mut World, groups: Vec<ShownGroup>) -> Result<Vec<Value>> {
    let wire = world.wire.read()?;
    Ok(groups
        .into_iter()
        .map(
            |ShownGroup {
                 switch,
                 id,
                 kind,
                 buckets,
             }| {
                let mods: Vec<String> = wire
                    .group_mods(Moment::ZERO, switch, Some(id))
                    .into_iter()
                    .map(|sent| format!("{:?}", sent.command).to_uppercase())
                    .collect();
                json!({
                    "switch": switch_id(switch), "group_id": id, "type": kind, "buckets": buckets, "group_mods": mods,
                })
            },
        )
        .collect())
}

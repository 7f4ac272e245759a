//! Step "mirror": a mirror point is added, changed and removed while numbered packets pass.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::flow::{FLOW, VLAN_A, VLAN_B};
use super::world::switch_id;
use super::{Summary, World, say};
use crate::packet::{Kind, SeqSet, Stream, Tag};
use crate::ring::PORT_SINK;
use crate::wait;

/// The sink's tag, and the one it is changed to.
pub const SINK_VLANS: [u16; 2] = [500, 501];
const STREAM: u32 = 10;
const RATE: u32 = 2_000;
/// Packets at the least.
const PACKETS_MIN: u64 = 10_000;
/// Nothing more comes after this: several times the longest way.
const QUIET: Duration = Duration::from_secs(2);

/// The body of a mirror point with the sink at switch 3.
pub fn mirror_body(vlan: u16) -> Value {
    json!({
        "mirror_point_id": "copy", "mirror_point_direction": "forward", "mirror_point_switch_id": switch_id(3),
        "sink_endpoint": { "switch_id": switch_id(3), "port_number": PORT_SINK, "vlan_id": vlan },
    })
}

/// What arrived at the sink, whichever of its tags it had: numbers, and how many came more than once.
fn at_sink(world: &World) -> Result<(SeqSet, u64)> {
    let mut all = SeqSet::default();
    let (mut received, mut distinct) = (0, 0);
    for arrived in world.ring.sink.arrivals(STREAM)? {
        received += arrived.received;
        for range in arrived.numbers.ranges() {
            for number in range {
                all.insert(number);
            }
        }
        distinct = all.len();
    }
    Ok((all, received - distinct))
}

/// See the module.
pub fn step(world: &mut World, summary: &mut Summary) -> Result<()> {
    let path = format!("/v2/flows/{FLOW}/mirror");
    let a = &world.ring.a;
    a.send_stream(Stream::new(STREAM, &[Tag::c(VLAN_A)], RATE))?;
    let sent_at_least = |count: u64| {
        wait::until(&format!("{count} packets to be sent"), 2 * wait::DEADLINE, || {
            let next = a.mark(STREAM).map_err(|e| format!("{e:#}"))?.next;
            if next >= count { Ok(next) } else { Err(next.to_string()) }
        })
    };
    sent_at_least(1_000)?;
    world.rest.done("PUT", &path, Some(&mirror_body(SINK_VLANS[0])))?;
    let from = a.mark(STREAM)?.next;
    say(&format!(
        "mirror point added at packet {from}: copies go to the sink with tag {}",
        SINK_VLANS[0]
    ));
    sent_at_least(from + 3_000)?;
    world.rest.done("PUT", &path, Some(&mirror_body(SINK_VLANS[1])))?;
    let changed = a.mark(STREAM)?.next;
    say(&format!(
        "mirror point changed at packet {changed}: tag {}",
        SINK_VLANS[1]
    ));
    let until = sent_at_least(changed + 3_000)?;
    // A packet sent while the mirror stands is copied when it has come to switch 3: let the last of them get there.
    wait::until("the last mirrored packets at the sink", wait::DEADLINE, || {
        let (numbers, _) = at_sink(world).map_err(|e| format!("{e:#}"))?;
        if numbers.contains(until - 1) {
            Ok(())
        } else {
            Err(format!("{} numbers", numbers.len()))
        }
    })?;
    world.rest.done("DELETE", &format!("{path}/copy"), None)?;
    let removed = a.mark(STREAM)?.next;
    say(&format!("mirror point removed at packet {removed}"));
    sent_at_least(PACKETS_MIN.max(removed + 1_000))?;
    let sent = a.stop(STREAM)?;

    let far = world
        .ring
        .b
        .settled(STREAM, Kind::Data, &[Tag::c(VLAN_B)], sent, QUIET)?;
    let (numbers, sink_duplicates) = at_sink(world)?;
    let at_sink = numbers.count_in(from..until);
    let late = numbers.count_in(removed..sent);
    say(&format!(
        "{sent} packets sent, {} arrived at host b; {} sent while the mirror stood, {at_sink} of them at the sink",
        far.numbers.len(),
        until - from
    ));
    let duplicates = far.duplicates + sink_duplicates;
    summary.set(
        "mirror",
        json!({
            "sent": sent, "at_far_host": far.numbers.len(), "sent_while_mirrored": until - from, "at_sink": at_sink,
            "duplicates": duplicates, "rate": RATE,
        }),
    );
    ensure!(
        far.numbers.count_in(0..sent) == sent,
        "host b misses {:?}",
        far.numbers.missing_in(0..sent)
    );
    ensure!(
        far.wrong_payload == 0,
        "{} packets arrived at host b with another payload",
        far.wrong_payload
    );
    ensure!(
        at_sink == until - from,
        "the sink misses {:?}",
        numbers.missing_in(from..until)
    );
    ensure!(
        duplicates == 0,
        "{} duplicates at host b, {sink_duplicates} at the sink",
        far.duplicates
    );
    ensure!(
        late == 0,
        "{late} copies of packets that were sent after the mirror point was removed"
    );
    Ok(())
}

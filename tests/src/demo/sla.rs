//! Step "sla": the delay of a link of the path is raised above the flow's limit; after the window the flow goes the
//! other way round the ring without losing a packet.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use skerry_bus::{FlowId, VirtualEventBody};

use super::failover::events_since;
use super::flow::{FLOW, VLAN_A, VLAN_B, max_latency_ms};
use super::world::{WINDOW, link_name};
use super::{Summary, World, say};
use crate::packet::{Kind, Stream, Tag};
use crate::wait;
use crate::wire::{Moment, kind};

const STREAM: u32 = 40;
const RATE: u32 = 500;
const QUIET: Duration = Duration::from_secs(2);
/// From the end of the window to the barrier of the new ingress rule.
const AFTER_WINDOW_MAX: Duration = Duration::from_millis(2_000);

fn path_links(world: &World) -> Result<Vec<&'static str>> {
    let path: Vec<_> = world.flow(FLOW)?.path.iter().map(|hop| hop.switch_id).collect();
    Ok(path.windows(2).filter_map(|w| link_name(w[0], w[1])).collect())
}

/// See the module.
pub fn step(world: &mut World, summary: &mut Summary) -> Result<()> {
    let wait_for_state = |world: &World, state: &str| {
        wait::until(&format!("the flow to be {state}"), 2 * wait::DEADLINE, || {
            let flow = world.flow(FLOW).map_err(|e| format!("{e:#}"))?;
            if flow.sla_state == state {
                Ok(())
            } else {
                Err(format!("{} ({:?} ms)", flow.sla_state, flow.latency_ms))
            }
        })
    };
    wait_for_state(world, "healthy")?;
    let before = events_since(world, 0)?.last().map_or(0, |e| e.number);
    let old_path = path_links(world)?;
    let slow = *old_path.first().context("the flow has no link on its path")?;
    let limit = max_latency_ms(world);
    world.ring.a.send_stream(Stream::new(STREAM, &[Tag::c(VLAN_A)], RATE))?;
    // Each way gets the whole limit, so that the round trip is well above it whatever the rest of the path takes.
    let raised = Duration::from_secs_f64(limit / 1e3 * 0.75);
    world.ring.set_delay(slow, [raised; 2])?;
    let from = crate::wire::now();
    say(&format!(
        "link {slow} now takes {:.0} ms there and back; the flow may have {limit} ms",
        1.5 * limit
    ));

    let flow_id: FlowId = FLOW.parse()?;
    let (unstable_ms, state_before, state_after) = wait::until("the SLA to fail", 2 * wait::DEADLINE, || {
        let events = events_since(world, before).map_err(|e| format!("{e:#}"))?;
        let changes: Vec<_> = events
            .into_iter()
            .filter_map(|e| match e.event {
                VirtualEventBody::SlaChanged { flow, from, to } if flow == flow_id => Some((e.at_ms, from, to)),
                _ => None,
            })
            .collect();
        let failed = changes
            .iter()
            .position(|(_, _, to)| to == "tier_1_failed" || to == "tier_2_failed");
        match failed {
            // The change right before it began the window.
            Some(at) if at > 0 => Ok((changes[at - 1].0, changes[at - 1].1.clone(), changes[at].2.clone())),
            _ => Err(format!("{changes:?}")),
        }
    })?;
    say(&format!(
        "after the window the flow is {state_after}, and a reroute is asked"
    ));
    let new_path = wait::until("the flow to go another way", wait::DEADLINE, || {
        let links = path_links(world).map_err(|e| format!("{e:#}"))?;
        let running = world.flow(FLOW).map_err(|e| format!("{e:#}"))?.operation;
        if links != old_path && running.is_none() {
            Ok(links)
        } else {
            Err(format!("{links:?} {running:?}"))
        }
    })?;
    let window_end = Moment::from_millis(unstable_ms) + WINDOW;
    let switched = ingress_barrier(world, from)?;
    let ms_after_window = switched.saturating_sub(window_end).as_millis() as u64;
    say(&format!(
        "new ingress rule confirmed {ms_after_window} ms after the end of the window; path {}",
        new_path.join(", ")
    ));
    wait_for_state(world, "healthy")?;
    let sent = world.ring.a.stop(STREAM)?;
    let far = world
        .ring
        .b
        .settled(STREAM, Kind::Data, &[Tag::c(VLAN_B)], sent, QUIET)?;
    let lost = sent - far.numbers.count_in(0..sent);
    let state_end = world.flow(FLOW)?.sla_state;
    say(&format!(
        "{sent} packets sent meanwhile, {lost} lost; the flow is {state_end}"
    ));
    summary.set(
        "sla",
        json!({
            "window_ms": WINDOW.as_millis() as u64, "ms_after_window": ms_after_window, "state_before": state_before,
            "state_after": state_after, "state_end": state_end, "old_path": old_path, "new_path": new_path,
            "packets_sent": sent, "packets_lost": lost,
        }),
    );
    world.ring.set_delay(slow, world.delays[slow])?;
    ensure!(state_before == "healthy", "the flow was {state_before} before");
    ensure!(
        Duration::from_millis(ms_after_window) <= AFTER_WINDOW_MAX,
        "{ms_after_window} ms after the window"
    );
    ensure!(!new_path.contains(&slow), "the new path still has link {slow}");
    ensure!(lost == 0, "host b misses {:?}", far.numbers.missing_in(0..sent));
    ensure!(far.duplicates == 0, "{} duplicates", far.duplicates);
    ensure!(sent >= 1_000, "only {sent} packets were sent");
    Ok(())
}

/// When the switch at the flow's source confirmed the last change of what sends the flow into the network.
fn ingress_barrier(world: &mut World, after: Moment) -> Result<Moment> {
    const INGRESS: u8 = 2;
    const TABLE_OFFSET: usize = 24;
    // What writes the capture may be behind: the operation is over, so the confirmation is on its way into it.
    world.wire.wait_for("the confirmed change of the ingress rule", |wire| {
        let changes = wire.between(after, Some(1), None).filter(|f| {
            !f.from_switch
                && match f.kind() {
                    // ofp_flow_mod: header 8, cookie 8, cookie mask 8, then the table and the command (0 is ADD).
                    kind::FLOW_MOD => {
                        f.bytes.get(TABLE_OFFSET) == Some(&INGRESS) && f.bytes.get(TABLE_OFFSET + 1) == Some(&0)
                    }
                    kind::GROUP_MOD => true,
                    _ => false,
                }
        });
        let last = changes.last().ok_or("no ingress rule was changed at switch 1")?;
        let reply = wire.barrier_reply(last).ok_or("it was not confirmed")?;
        Ok(reply.at)
    })
}

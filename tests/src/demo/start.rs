//! Step "start": every switch is connected to both regions, every link is up, and its round trip is measured right.

use anyhow::{Result, ensure};
use serde_json::json;
use skerry_bus::LinkId;
use skerry_bus::service::LinkStatus;

use super::bus::median_ms;
use super::world::{REGIONS, link_name};
use super::{Summary, World, say};
use crate::ring::{LINKS, SWITCHES};
use crate::wait;

/// Round trips that are measured of each link.
const SAMPLES_MIN: u32 = 30;

/// See the module.
pub fn step(world: &mut World, summary: &mut Summary) -> Result<()> {
    wait::until("four switches, each reached by both regions", wait::DEADLINE, || {
        let switches = world.switches().map_err(|e| format!("{e:#}"))?;
        let whole = switches
            .iter()
            .filter(|s| s.availability.len() == REGIONS.len() && s.active_region.is_some())
            .count();
        let seen: Vec<_> = switches
            .iter()
            .map(|s| {
                format!(
                    "{}: {} in {} regions; {}",
                    s.switch_id,
                    s.state,
                    s.availability.len(),
                    s.apply_error
                )
            })
            .collect();
        if whole == SWITCHES as usize {
            Ok(())
        } else {
            Err(seen.join(", "))
        }
    })?;
    let active = world.active_region(None)?;
    say(&format!(
        "4 switches connected, each to both regions; {active} is active"
    ));
    let links = wait::until("four links up", wait::DEADLINE, || {
        let links = world.links().map_err(|e| format!("{e:#}"))?;
        let up = links.iter().filter(|l| l.state == LinkStatus::Up).count();
        let seen: Vec<_> = links
            .iter()
            .map(|l| format!("{} {:?} ({})", l.link_id, l.state, l.reason))
            .collect();
        if up == LINKS.len() && links.len() == up {
            Ok(links)
        } else {
            Err(format!("{up} up: {}", seen.join(", ")))
        }
    })?;
    // What was measured while the links came up is not of interest.
    world.bus.forget_latencies();
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    for link in links {
        let id: LinkId = link.link_id;
        let measured = wait::until(
            &format!("{SAMPLES_MIN} round trips of link {id}"),
            2 * wait::DEADLINE,
            || {
                let measured = world.bus.latencies(id);
                let samples: u32 = measured.iter().map(|(_, samples)| samples).sum();
                if samples >= SAMPLES_MIN {
                    Ok(measured)
                } else {
                    Err(format!("{samples}"))
                }
            },
        )?;
        let (measured_ms, samples) = median_ms(&measured)?;
        let name = link_name(id.a().switch, id.b().switch);
        let injected_ms = name.map_or(0.0, |name| {
            world.delays[name].iter().map(|d| d.as_secs_f64() * 1e3).sum::<f64>()
        });
        say(&format!(
            "link {id}: {injected_ms:.2} ms injected, {measured_ms:.2} ms measured ({samples} samples)"
        ));
        if (measured_ms - injected_ms).abs() > injected_ms * 0.1 + 0.3 {
            wrong.push(format!(
                "{id}: {measured_ms:.3} ms measured, {injected_ms:.3} ms injected"
            ));
        }
        let round = |ms: f64| (ms * 1e3).round() / 1e3;
        rows.push(json!({
            "id": id, "injected_ms": round(injected_ms), "measured_ms": round(measured_ms), "samples": samples,
        }));
    }
    summary.set("links", json!(rows));
    ensure!(
        wrong.is_empty(),
        "round trips are off by more than 10 % + 0.3 ms: {}",
        wrong.join("; ")
    );
    wait::until("the switches to have what they need", wait::DEADLINE, || {
        let switches = world.switches().map_err(|e| format!("{e:#}"))?;
        let behind: Vec<_> = switches
            .iter()
            .filter(|s| s.generation_applied != s.generation_wanted)
            .map(|s| {
                format!(
                    "{}: {} of {} {}",
                    s.switch_id, s.generation_applied, s.generation_wanted, s.apply_error
                )
            })
            .collect();
        if behind.is_empty() {
            Ok(())
        } else {
            Err(behind.join(", "))
        }
    })?;
    world.before = world.ring.dump()?;
    Ok(())
}

//! Step "start": every switch is connected to both regions, every link is up, and its round trip is measured right.

use std::fmt;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use skerry_bus::LinkId;
use skerry_bus::service::LinkStatus;

use super::bus::median_ms;
use super::world::{REGIONS, link_name};
use super::{Summary, World, say};
use crate::ring::{LINKS, SWITCHES};
use crate::{interrupt, wait};

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
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for link in links {
        let row = round_trip(world, link.link_id)?;
        say(&format!(
            "link {}: {:.2} ms injected, {:.2} ms measured ({} samples)",
            row.id, row.injected_ms, row.measured_ms, row.samples
        ));
        if !row.right() {
            wrong.push(row.to_string());
        }
        rows.push(row.to_json());
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

/// A link's round trip as it was set and as Skerry measured it.
struct RoundTrip {
    id: LinkId,
    injected_ms: f64,
    measured_ms: f64,
    samples: u32,
}

/// Measures until the newest [`SAMPLES_MIN`] round trips are right, or tells the newest there are at the deadline: a machine
/// that has other work for some seconds delays packets really, a measurement that is wrong stays wrong.
fn round_trip(world: &World, id: LinkId) -> Result<RoundTrip> {
    let injected = link_name(id.a().switch, id.b().switch).map(|name| &world.delays[name]);
    let injected_ms = injected.map_or(0.0, |both| both.iter().map(|d| d.as_secs_f64() * 1e3).sum());
    let mut last = None;
    let what = format!("{SAMPLES_MIN} round trips of link {id}");
    let waited = wait::until(&what, 2 * wait::DEADLINE, || {
        let measured = world.bus.latencies(id);
        let newest = newest(&measured, SAMPLES_MIN).ok_or_else(|| format!("{measured:?}"))?;
        let (measured_ms, samples) = median_ms(newest).map_err(|e| format!("{e:#}"))?;
        let row = last.insert(RoundTrip {
            id,
            injected_ms,
            measured_ms,
            samples,
        });
        if row.right() { Ok(()) } else { Err(row.to_string()) }
    });
    match last {
        Some(row) if !interrupt::seen() => Ok(row),
        _ => Err(waited.err().unwrap_or_else(|| anyhow!("{what}: nothing was measured"))),
    }
}

/// The newest measurements that make up at least so many samples.
fn newest(measured: &[(u64, u32)], least: u32) -> Option<&[(u64, u32)]> {
    let mut samples = 0;
    let from = measured.iter().rposition(|(_, more)| {
        samples += more;
        samples >= least
    })?;
    measured.get(from..)
}

impl RoundTrip {
    fn right(&self) -> bool {
        (self.measured_ms - self.injected_ms).abs() <= self.injected_ms * 0.1 + 0.3
    }

    fn to_json(&self) -> Value {
        let round = |ms: f64| (ms * 1e3).round() / 1e3;
        json!({
            "id": self.id, "injected_ms": round(self.injected_ms), "measured_ms": round(self.measured_ms),
            "samples": self.samples,
        })
    }
}

impl fmt::Display for RoundTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RoundTrip {
            id,
            injected_ms,
            measured_ms,
            ..
        } = self;
        write!(f, "{id}: {measured_ms:.3} ms measured, {injected_ms:.3} ms injected")
    }
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_measurements_are_those_that_make_up_enough_samples() {
        let measured = [(1, 10), (2, 10), (3, 15), (4, 10)];
        assert_eq!(newest(&measured, 46), None, "there are 45");
        assert_eq!(newest(&measured, 45), Some(&measured[..]));
        assert_eq!(newest(&measured, 25), Some(&measured[2..]));
        assert_eq!(newest(&measured, 26), Some(&measured[1..]));
    }
}

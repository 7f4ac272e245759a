//! What befalls a region: its speaker is killed, stopped, flaps; and all switches at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skerry_bus::{SwitchId, VirtualEvent, VirtualEventBody};

use super::world::{REGIONS, Setup, pass, since};
use super::{Done, Figures, Size, World};
use crate::wait;

/// Each probed switch has a command so often: that is how exactly its failover is seen.
const COMMAND_EVERY: Duration = Duration::from_millis(50);
/// Commands go on for so long before a fault.
const BEFORE: Duration = Duration::from_secs(1);
/// A speaker's heartbeats are so far apart; a fault falls anywhere in between.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// Rules of a command that is under way when its region is stopped: many windows of unanswered messages.
const MANY: u32 = 2_000;
/// Switches with such a command.
const BUSY: usize = 8;
/// What a continued region still has to say is said by then.
const AFTER: Duration = Duration::from_secs(3);
/// A region that flaps is away, and there, for so long.
const FLAP: Duration = Duration::from_secs(2);

/// Evenly spread and the same for a seed (SplitMix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A point of a heartbeat's interval.
fn phase(seed: &mut u64) -> Duration {
    HEARTBEAT.mul_f64((random(seed) >> 11) as f64 / (1_u64 << 53) as f64)
}

/// The value below which so many of a hundred are, in milliseconds.
pub fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
}

/// From `then` to the first command sent after it that was applied, for each of these switches.
pub fn first_applied(world: &World, switches: &[SwitchId], then: Instant) -> Result<Vec<Duration>> {
    let firsts = || {
        let mut first: BTreeMap<SwitchId, Instant> = BTreeMap::new();
        for sent in world.service.sent().iter().filter(|sent| sent.at >= then) {
            if let Some(at) = sent.applied() {
                let known = first.entry(sent.switch).or_insert(at);
                *known = at.min(*known);
            }
        }
        first
    };
    wait::until(
        "every probed switch to take a command again",
        super::world::SETTLE,
        || {
            let first = firsts();
            match switches.iter().all(|switch| first.contains_key(switch)) {
                true => Ok(()),
                false => Err(format!("{} of {} have", first.len(), switches.len())),
            }
        },
    )?;
    Ok(firsts().into_values().map(|at| at - then).collect())
}

/// The active region is killed, again and again; each time commands go on in the other one.
pub fn killed(size: Size, mut seed: u64) -> Result<Done> {
    let mut world = World::new(size)?;
    let probed = world.probed.clone();
    let mut took = Vec::new();
    for time in 0..size.times {
        let (active, other) = (REGIONS[time % 2], REGIONS[(time + 1) % 2]);
        let load = world.service.load(probed.clone(), COMMAND_EVERY / probed.len() as u32);
        pass(BEFORE + phase(&mut seed))?;
        let then = Instant::now();
        world.speaker(active).process.kill()?;
        took.extend(first_applied(&world, &probed, then)?);
        drop(load);
        world.until_active(other)?;
        world.start_speaker(active)?;
        world.both_reach()?;
    }
    took.sort_unstable();
    let figures = Figures::from([
        ("failover_p50_ms".into(), percentile_ms(&took, 50)),
        ("failover_p99_ms".into(), percentile_ms(&took, 99)),
        ("failover_max_ms".into(), percentile_ms(&took, 100)),
        ("failovers".into(), took.len() as f64),
    ]);
    let ending = world.ends_well()?;
    Ok(Done { figures, ending })
}

/// The active region is stopped in the middle of large commands, and goes on when the other one is MASTER.
pub fn stopped(size: Size, _seed: u64) -> Result<Done> {
    let mut world = World::new(size)?;
    let probed = world.probed.clone();
    for time in 0..size.times {
        let (active, other) = (REGIONS[time % 2], REGIONS[(time + 1) % 2]);
        let before = rules_written(&mut world)?;
        for switch in probed.iter().take(BUSY) {
            world.service.send_many(*switch, MANY + time as u32)?;
        }
        wait::until(
            "the large commands to be under way",
            wait::DEADLINE,
            || match rules_written(&mut world) {
                Ok(now) if now > before + u64::from(MANY) / 2 => Ok(()),
                other => Err(format!("{other:?}, and {before} before")),
            },
        )?;
        world.speaker(active).process.signal(libc::SIGSTOP)?;
        let load = world.service.load(probed.clone(), COMMAND_EVERY / probed.len() as u32);
        world.until_active(other)?;
        world.speaker(active).process.signal(libc::SIGCONT)?;
        pass(AFTER)?;
        drop(load);
        world.both_reach()?;
    }
    let ending = world.ends_well()?;
    let figures = Figures::from([
        ("late_writes_tried".into(), ending.tried as f64),
        ("late_writes_accepted".into(), ending.accepted as f64),
    ]);
    Ok(Done { figures, ending })
}

/// Messages that write rules which the switches got so far.
fn rules_written(world: &mut World) -> Result<u64> {
    let status = world.status()?;
    let count = status
        .pointer("/received/by_type/OFPT_FLOW_MOD")
        .and_then(Value::as_u64);
    Ok(count.unwrap_or(0))
}

/// The preferred region comes and goes, and switches are to come back to it: they must not follow each time.
pub fn flapping(size: Size, _seed: u64) -> Result<Done> {
    let mut world = World::with(
        size,
        Setup {
            router: "[presence]\nfailback = \"preferred\"\n".to_owned(),
            ..Setup::default()
        },
    )?;
    let probed = world.probed.clone();
    let last = events(&world, 0)?.last().map_or(0, |event| event.number);
    let load = world.service.load(probed.clone(), COMMAND_EVERY);
    let then = Instant::now();
    let rounds = (size.long.as_secs() / (2 * FLAP.as_secs())).clamp(2, 15);
    for _ in 0..rounds {
        world.speaker(REGIONS[0]).process.signal(libc::SIGSTOP)?;
        pass(FLAP)?;
        world.speaker(REGIONS[0]).process.signal(libc::SIGCONT)?;
        pass(FLAP)?;
    }
    let took = since(then);
    drop(load);
    let mut moves: BTreeMap<SwitchId, usize> = BTreeMap::new();
    for event in events(&world, last)? {
        if let VirtualEventBody::SwitchConnectedElsewhere { switch, .. } = event.event {
            *moves.entry(switch).or_default() += 1;
        }
    }
    let most = moves.values().copied().max().unwrap_or(0);
    // Away once; back only when it stayed for the hold-down, which it never did.
    ensure!(most <= 1, "a switch was moved {most} times in {took:.0} s of flapping");
    world.settled_in(REGIONS[0])?;
    let ending = world.ends_well()?;
    let figures = Figures::from([
        ("flaps".into(), rounds as f64),
        ("moves_of_a_switch_max".into(), most as f64),
        ("moved_switches".into(), moves.len() as f64),
    ]);
    Ok(Done { figures, ending })
}

fn events(world: &World, since: u64) -> Result<Vec<VirtualEvent>> {
    world.rest.get(&format!("/v2/events/kept?since={since}"))
}

/// All switches hang up on both regions at the same moment.
pub fn crowd(size: Size, _seed: u64) -> Result<Done> {
    let mut world = World::new(size)?;
    let mut took = Vec::new();
    for _ in 0..size.times.min(3) {
        let then = Instant::now();
        for switch in 1..=size.switches {
            world.switches.ask(&json!({ "do": "close", "switch": switch }))?;
        }
        let closed = since(then);
        wait::until("all connections to be settled again", super::world::SETTLE, || {
            let status = world.status().map_err(|error| format!("{error:#}"))?;
            let settled = status.pointer("/connections/settled/now").and_then(Value::as_u64);
            match settled {
                Some(all) if all == size.switches * REGIONS.len() as u64 => Ok(()),
                seen => Err(format!("{seen:?} settled")),
            }
        })?;
        let settled = since(then);
        world.both_reach().context("after all came back")?;
        world.service.all_apply(&world.probed.clone())?;
        took.push((closed, settled, since(then)));
    }
    let most = |of: fn(&(f64, f64, f64)) -> f64| took.iter().map(of).fold(0.0, f64::max);
    let figures = Figures::from([
        ("closed_s".into(), most(|t| t.0)),
        ("settled_s".into(), most(|t| t.1)),
        ("all_apply_s".into(), most(|t| t.2)),
    ]);
    let ending = world.ends_well()?;
    Ok(Done { figures, ending })
}

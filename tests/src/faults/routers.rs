//! What befalls the router: it is killed, and it is asked for more than usual.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::regions::{first_applied, percentile_ms};
use super::world::{pass, since};
use super::{Done, Figures, Size, World};

/// One command in this time, over all probed switches.
const COMMAND_EVERY: Duration = Duration::from_millis(5);
/// Commands go on for so long before a fault.
const BEFORE: Duration = Duration::from_secs(1);
/// The storm: 10,000 commands a second.
const STORM_EVERY: Duration = Duration::from_micros(100);
/// How long it lasts.
const STORM: Duration = Duration::from_secs(10);

/// The router is killed with commands under way, and started again at once.
pub fn killed(size: Size, _seed: u64) -> Result<Done> {
    let mut world = World::new(size)?;
    let probed = world.probed.clone();
    let mut took = Vec::new();
    for _ in 0..size.times {
        let load = world.service.load(probed.clone(), COMMAND_EVERY);
        pass(BEFORE)?;
        let then = Instant::now();
        world.router.process.kill()?;
        world.start_router()?;
        took.extend(first_applied(&world, &probed, then)?);
        drop(load);
        world.both_reach()?;
    }
    took.sort_unstable();
    let figures = Figures::from([
        ("applied_again_p50_ms".into(), percentile_ms(&took, 50)),
        ("applied_again_p99_ms".into(), percentile_ms(&took, 99)),
    ]);
    let ending = world.ends_well()?;
    Ok(Done { figures, ending })
}

/// As many commands as are sent in a second of a bad day, for a while.
pub fn storm(size: Size, _seed: u64) -> Result<Done> {
    let mut world = World::new(size)?;
    let before = world.service.sent().len();
    let then = Instant::now();
    let load = world.service.load(world.probed.clone(), STORM_EVERY);
    pass(STORM.min(size.long))?;
    drop(load);
    let took = since(then);
    let verdict = world.service.verdict()?;
    let sent = verdict.commands - before;
    let mut answered: Vec<Duration> = world
        .service
        .sent()
        .iter()
        .filter(|sent| sent.at >= then)
        .filter_map(|sent| Some(sent.applied()? - sent.at))
        .collect();
    answered.sort_unstable();
    ensure!(!answered.is_empty(), "none of {sent} commands was applied: {verdict:?}");
    let figures = Figures::from([
        ("commands_per_s".into(), sent as f64 / took),
        ("applied_share".into(), answered.len() as f64 / sent as f64),
        ("applied_p50_ms".into(), percentile_ms(&answered, 50)),
        ("applied_p99_ms".into(), percentile_ms(&answered, 99)),
    ]);
    let ending = world.ends_well()?;
    Ok(Done { figures, ending })
}

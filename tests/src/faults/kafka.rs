//! What befalls Kafka: all of it is away.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::regions::{first_applied, percentile_ms};
use super::world::{REGIONS, pass};
use super::{Done, Figures, Size, World};

/// One command in this time, over all probed switches.
const COMMAND_EVERY: Duration = Duration::from_millis(5);

/// All of Kafka is away for a while, and comes back as it was. Switches stay where they are meanwhile.
pub fn away(size: Size, _seed: u64) -> Result<Done> {
    let mut world = World::new(size)?;
    let probed = world.probed.clone();
    let load = world.service.load(probed.clone(), COMMAND_EVERY);
    pass(Duration::from_secs(1))?;
    world.broker.kill()?;
    pass(size.long)?;
    world.broker = world.daemons.broker()?;
    let then = Instant::now();
    let mut took = first_applied(&world, &probed, then)?;
    drop(load);
    took.sort_unstable();
    world.settled_in(REGIONS[0])?;
    let figures = Figures::from([
        ("away_s".into(), size.long.as_secs_f64()),
        ("applied_again_p50_ms".into(), percentile_ms(&took, 50)),
        ("applied_again_p99_ms".into(), percentile_ms(&took, 99)),
    ]);
    let ending = world.ends_well()?;
    Ok(Done { figures, ending })
}

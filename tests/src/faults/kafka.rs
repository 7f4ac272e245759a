//! What befalls Kafka, or the way to it: all of it is away, a leader dies, a region is cut off.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use skerry_bus::Topic;

use super::regions::{first_applied, percentile_ms};
use super::world::{REGIONS, Setup, pass};
use super::{Done, Figures, PREFIX, Size, World};
use crate::daemons::PARTITIONS;
use crate::door::Door;
use crate::kafka::{Cluster, Options};
use crate::lab::Lab;

/// One command in this time, over all probed switches.
const COMMAND_EVERY: Duration = Duration::from_millis(5);
/// Commands go on for so long before a fault.
const BEFORE: Duration = Duration::from_secs(1);
/// A region that is cut off stays so.
const CUT: Duration = Duration::from_secs(8);

/// Topics are made as in a deployment, not by using them.
const MADE: &str = "auto.create.topics.enable=false\n";

/// All of Kafka is away for a while, and comes back as it was. Switches stay where they are meanwhile.
pub fn away(size: Size, _seed: u64) -> Result<Done> {
    let mut world = World::new(size)?;
    let probed = world.probed.clone();
    let load = world.service.load(probed.clone(), COMMAND_EVERY);
    pass(BEFORE)?;
    world.daemons.cluster()?.kill()?;
    pass(size.long)?;
    world.daemons.cluster()?.start()?;
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

/// Of three nodes the one that leads a partition of the commands is killed, and comes back.
pub fn leader(size: Size, _seed: u64) -> Result<Done> {
    let lab = Lab::new(PREFIX)?;
    let mut options = Options::three();
    options.more.push_str(MADE);
    let cluster = Cluster::new(&lab, None, options)?;
    let setup = Setup {
        cluster: Some((lab, cluster)),
        ..Setup::default()
    };
    let mut world = World::with(size, setup)?;
    let probed = world.probed.clone();
    let mut took = Vec::new();
    for time in 0..size.times.min(5) {
        let load = world.service.load(probed.clone(), COMMAND_EVERY);
        pass(BEFORE)?;
        let cluster = world.daemons.cluster()?;
        let partition = i32::try_from(time)? % PARTITIONS;
        let leader = cluster.leader(&Topic::Commands.to_string(), partition)?;
        let then = Instant::now();
        cluster.kill_node(leader)?;
        took.extend(first_applied(&world, &probed, then)?);
        drop(load);
        world.daemons.cluster()?.start_node(leader)?;
        world.settled_in(REGIONS[0])?;
    }
    took.sort_unstable();
    let figures = Figures::from([
        ("applied_again_p50_ms".into(), percentile_ms(&took, 50)),
        ("applied_again_p99_ms".into(), percentile_ms(&took, 99)),
    ]);
    let ending = world.ends_well()?;
    Ok(Done { figures, ending })
}

/// The active region is cut from Kafka while it holds its switches: nothing is closed, nothing passes. The other one takes over, and what
/// the first still tries is refused by the switches. When the cable is in again it says what it has.
pub fn cut(size: Size, _seed: u64) -> Result<Done> {
    let lab = Lab::new(PREFIX)?;
    let door = Door::new()?;
    let options = Options {
        door: Some(door.address()),
        more: MADE.to_owned(),
        ..Options::one()
    };
    let cluster = Cluster::new(&lab, None, options)?;
    door.lead(cluster.second());
    let through = (
        "SKERRY_SPEAKER__KAFKA__BOOTSTRAP".to_owned(),
        door.address().to_string(),
    );
    let setup = Setup {
        cluster: Some((lab, cluster)),
        environment: BTreeMap::from([(REGIONS[0], vec![through])]),
        ..Setup::default()
    };
    let mut world = World::with(size, setup)?;
    let probed = world.probed.clone();
    let load = world.service.load(probed.clone(), COMMAND_EVERY);
    pass(BEFORE)?;
    let then = Instant::now();
    door.shut();
    let mut took = first_applied(&world, &probed, then)?;
    world.until_active(REGIONS[1])?;
    pass(CUT.min(size.long))?;
    door.open();
    world.both_reach()?;
    drop(load);
    let active = world.active()?;
    ensure!(
        active.contains_key(REGIONS[1]),
        "where switches went they stay: {active:?}"
    );
    took.sort_unstable();
    let figures = Figures::from([
        ("failover_p50_ms".into(), percentile_ms(&took, 50)),
        ("failover_p99_ms".into(), percentile_ms(&took, 99)),
    ]);
    let ending = world.ends_well()?;
    Ok(Done { figures, ending })
}

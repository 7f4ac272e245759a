//! The smoke form of `make faults`: few switches, each fault once. What has to hold after any fault is checked as there.

use anyhow::{Result, ensure};
use skerry_tests::daemons::{self, BrokerKind};
use skerry_tests::faults::{Done, FAULTS, Size};

use crate::{Need, Test};

pub const TESTS: &[Test] = &[
    Test("faults::a_killed_speaker_is_followed_by_the_other_region", &[], killed),
    Test("faults::a_stopped_speaker_that_goes_on_writes_nothing", &[], stopped),
    Test(
        "faults::a_killed_router_leaves_no_command_without_its_one_answer",
        &[],
        router,
    ),
    Test(
        "faults::kafka_that_is_away_for_a_while_loses_nothing",
        &[Need::Kafka],
        kafka,
    ),
];

const SEED: u64 = 20_261_120;

fn run(name: &str) -> Result<Done> {
    let fault = FAULTS.iter().find(|fault| fault.name == name).expect("a fault's name");
    let run = || (fault.run)(Size::SMOKE, SEED);
    match fault.needs_kafka {
        true => daemons::with_broker(BrokerKind::Kafka, run),
        false => run(),
    }
}

fn killed() -> Result<()> {
    let done = run("speaker_killed")?;
    ensure!(done.figures["failovers"] >= 10.0, "{done:?}");
    Ok(())
}

fn stopped() -> Result<()> {
    let done = run("speaker_stopped")?;
    ensure!(done.ending.tried >= 10, "it never tried a late write: {done:?}");
    Ok(())
}

fn router() -> Result<()> {
    let done = run("router_killed")?;
    ensure!(done.ending.verdict.commands >= 100, "{done:?}");
    Ok(())
}

fn kafka() -> Result<()> {
    let done = run("kafka_away")?;
    ensure!(done.figures["away_s"] >= 5.0, "{done:?}");
    Ok(())
}

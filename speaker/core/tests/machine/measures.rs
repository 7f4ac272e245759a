//! What is measured on the way: handshakes, commands, echoes, the discovery schedule, and how much there is of what.

use std::time::Duration;

use skerry_bus::Outcome;
use skerry_speaker_core::{Counter, Gauge, Histogram};

use super::world::*;

fn measured(world: &World, histogram: Histogram) -> Vec<Duration> {
    let all = world.speakers[0].measured.iter();
    all.filter(|(h, _)| *h == histogram).map(|(_, took)| *took).collect()
}

fn gauge(world: &World, gauge: Gauge) -> u64 {
    world.speakers[0].gauges[&gauge]
}

#[test]
fn a_handshake_a_command_and_an_echo_are_measured_as_long_as_they_took() {
    let mut world = active();
    // Hello, features, description and role: three round trips of two milliseconds.
    assert_eq!(measured(&world, Histogram::Handshake), [6 * MS]);
    let before = measured(&world, Histogram::Command).len();
    world.desired(0, "d", 1, 1, 1, snapshot(rules(300)));
    world.run(SECOND);
    assert_eq!(world.ended(0, "d"), (Outcome::Applied, None));
    let commands = measured(&world, Histogram::Command);
    assert_eq!(commands.len(), before + 1);
    assert!(commands[before] >= 4 * MS, "a dump and a barrier: {commands:?}");
    world.run(20 * SECOND);
    let echoes = measured(&world, Histogram::Echo);
    assert!(echoes.len() >= 3 && echoes.iter().all(|e| *e == 2 * MS), "{echoes:?}");
}

#[test]
fn a_late_discovery_packet_is_measured_as_late() {
    let mut world = active();
    world.run(5 * SECOND);
    assert!(
        measured(&world, Histogram::DiscoveryJitter)
            .iter()
            .all(Duration::is_zero)
    );
    assert_eq!(
        measured(&world, Histogram::DiscoveryJitter).len() as u64,
        world.counted(0, Counter::ProbesSent) - 5,
        "all but those of the control channel"
    );
    world.speakers[0].stopped = true;
    world.run(SECOND);
    world.speakers[0].stopped = false;
    world.run(SECOND);
    let latest = measured(&world, Histogram::DiscoveryJitter).into_iter().max();
    assert!(latest > Some(400 * MS), "{latest:?}");
}

#[test]
fn how_much_there_is_is_told_within_a_second() {
    let mut world = active();
    world.accept(0);
    world.run(2 * SECOND);
    assert_eq!(gauge(&world, Gauge::StateReady), 1);
    assert_eq!(gauge(&world, Gauge::StateHello), 1);
    assert_eq!(gauge(&world, Gauge::RoleMaster), 1);
    assert_eq!(gauge(&world, Gauge::ProbedPorts), 2);
    assert_eq!(gauge(&world, Gauge::CommandsOpen), 0);
    world.model(1).quirks.no_barrier = true;
    for n in 1..=5 {
        world.desired(0, &format!("d{n}"), 1, 1, n, snapshot(rules(n)));
        world.run(100 * MS);
    }
    world.run(2 * SECOND);
    // The first is under way; of those behind it only the newest is not superseded.
    assert_eq!(gauge(&world, Gauge::LaneCommands), 2);
    assert_eq!(gauge(&world, Gauge::LaneCommandsMax), 2);
    assert_eq!(gauge(&world, Gauge::CommandsOpen), 2);
    world.speakers[0].bus = false;
    world.run(60 * SECOND);
    assert_eq!(gauge(&world, Gauge::CommandsOpen), 0);
    assert_eq!(gauge(&world, Gauge::AnswersWaiting), 2, "nobody acknowledges them");
}

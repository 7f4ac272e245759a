//! The demo's ring, without controllers.

use std::time::Duration;

use anyhow::{Result, ensure};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::Controllers;
use skerry_tests::packet::{Kind, Stream, Tag};
use skerry_tests::ring::{self, LINKS, Options, PORT_HOST, PORT_NEXT, PORT_PREVIOUS, PORT_SINK, Ring};
use skerry_tests::wait::DEADLINE;

use crate::Need::{Ovs, Root, Tap};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "ring::both_ways_round_and_the_sink_are_wired_as_drawn",
        &[Root, Ovs, Tap],
        wired_as_drawn,
    ),
    Test(
        "ring::two_rings_stand_side_by_side",
        &[Root, Ovs, Tap],
        two_rings_stand_side_by_side,
    ),
];

pub fn options() -> Options {
    let delays = [1, 2, 3, 4].map(|ms| [Duration::from_millis(ms); 2]);
    Options {
        delays,
        sink_at: 3,
        controllers: Controllers::new::<String>([]),
    }
}

/// Rules that carry frames along ports: (switch, from, to), and back.
fn lay(ring: &Ring, path: &[(u64, u32, u32)]) -> Result<()> {
    for (switch, from, to) in path {
        for (from, to) in [(from, to), (to, from)] {
            let rule = format!("in_port={from},actions=output:{to}");
            ring.ovs.ofctl(&["add-flow", &ring::bridge(*switch), &rule])?;
        }
    }
    Ok(())
}

fn wired_as_drawn() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let ring = Ring::build(&lab, &options())?;
    let empty = ring.dump()?;
    ensure!(empty.is_empty(), "{empty:?}");
    let tags = [Tag::c(100)];
    ring.b.echo(true)?;
    // By s2: 1 + 2 ms each way; by s4: 4 + 3.
    let by_s2 = [
        (1, PORT_HOST, PORT_NEXT),
        (2, PORT_PREVIOUS, PORT_NEXT),
        (3, PORT_PREVIOUS, PORT_HOST),
    ];
    lay(&ring, &by_s2)?;
    let ping = ring.a.ping(1, &tags, 50, 200)?;
    ensure!(ping.lost == 0 && ping.answers.min_ns >= 6_000_000, "{ping:?}");
    let by_s4 = [
        (1, PORT_HOST, PORT_PREVIOUS),
        (4, PORT_NEXT, PORT_PREVIOUS),
        (3, PORT_NEXT, PORT_HOST),
    ];
    lay(&ring, &by_s4)?;
    let ping = ring.a.ping(2, &tags, 50, 200)?;
    ensure!(ping.lost == 0 && ping.answers.min_ns >= 14_000_000, "{ping:?}");
    // Each link carried what went over it, and nothing else.
    let mut frames = Vec::new();
    for link in LINKS {
        let stats = ring.delay.stats(link)?;
        frames.push((stats.a_to_b.frames, stats.b_to_a.frames));
    }
    ensure!(frames == [(50, 50); 4], "{frames:?}");
    // The sink is heard at the far host.
    let joined = format!("in_port={PORT_SINK},actions=output:{PORT_HOST}");
    ring.ovs.ofctl(&["add-flow", "s3", &joined])?;
    ring.sink.send_stream(Stream::new(3, &tags, 1_000).count(20))?;
    let arrived = ring.b.settled(3, Kind::Data, &tags, 20, DEADLINE)?;
    ensure!(arrived.numbers.len() == 20, "{arrived:?}");
    ensure!(!ring.dump()?.is_empty());
    lab.teardown()
}

fn two_rings_stand_side_by_side() -> Result<()> {
    let labs = [Lab::new(PREFIX)?, Lab::new(PREFIX)?];
    let first = Ring::build(&labs[0], &options())?;
    let second = Ring::build(&labs[1], &options())?;
    for ring in [&first, &second] {
        ensure!(ring.ovs.vsctl(&["list-br"])?.lines().eq(["s1", "s2", "s3", "s4"]));
    }
    labs[0].teardown()?;
    ensure!(second.dump()?.is_empty());
    Ok(())
}

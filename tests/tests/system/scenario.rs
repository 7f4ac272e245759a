//! The scenario's parts against a real Open vSwitch: what the demo shows, judged here as well.
//!
//! Each test builds the demo's world and goes through steps of it (`tests/src/demo`, one file a step); what a step must see is
//! written there.

use anyhow::Result;
use skerry_tests::demo;
use skerry_tests::lab::Lab;

use crate::Need::{Capture, Ovs, Root, Tap};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "scenario::flows_mirror_and_join_lose_nothing_and_go_without_a_trace",
        &[Root, Ovs, Tap, Capture],
        flows_mirror_and_join_lose_nothing_and_go_without_a_trace,
    ),
    Test(
        "scenario::a_region_that_stops_and_one_that_dies_lose_no_packet_and_write_nothing_late",
        &[Root, Ovs, Tap, Capture],
        a_region_that_stops_and_one_that_dies_lose_no_packet_and_write_nothing_late,
    ),
    Test(
        "scenario::a_link_that_becomes_slow_moves_the_flow",
        &[Root, Ovs, Tap, Capture],
        a_link_that_becomes_slow_moves_the_flow,
    ),
];

fn steps(names: &[&str]) -> Result<()> {
    // The summary is the demo's; here it only needs a place that goes with the test.
    let lab = Lab::new(PREFIX)?;
    demo::steps(names, &lab.folder().join("summary.json"))
}

fn flows_mirror_and_join_lose_nothing_and_go_without_a_trace() -> Result<()> {
    steps(&["start", "flow", "mirror", "join", "clean"])
}

fn a_region_that_stops_and_one_that_dies_lose_no_packet_and_write_nothing_late() -> Result<()> {
    steps(&["start", "flow", "failover", "return"])
}

fn a_link_that_becomes_slow_moves_the_flow() -> Result<()> {
    steps(&["start", "flow", "sla"])
}

//! The harness proves itself: each planted defect is found, one at a time, within 500 seeds.
//!
//! Only with `--features defects`, which `make test` turns on for this test alone.

use skerry_router::defect as router;
use skerry_router_core::defect as core;
use skerry_sim::trace::Lines;
use skerry_sim::world;
use skerry_speaker_core::defect as speaker;

/// Seeds within which a defect has to be found.
const SEEDS: u64 = 500;

/// Where a defect is planted.
#[derive(Debug, Clone, Copy)]
enum Planted {
    Core(core::Defect),
    Speaker(speaker::Defect),
    Router(router::Defect),
}

fn plant(defect: Option<Planted>) {
    core::plant(None);
    speaker::plant(None);
    router::plant(None);
    match defect {
        None => {}
        Some(Planted::Core(defect)) => core::plant(Some(defect)),
        Some(Planted::Speaker(defect)) => speaker::plant(Some(defect)),
        Some(Planted::Router(defect)) => router::plant(Some(defect)),
    }
}

/// A defect is found by one of these invariants.
fn is_found(defect: Planted, by: &[&str]) {
    plant(Some(defect));
    let found = (1..=SEEDS).find_map(|seed| Some((seed, world::run(seed, Lines::None).failure?)));
    plant(None);
    let (seed, failure) = found.unwrap_or_else(|| panic!("{defect:?} was not found within {SEEDS} seeds"));
    println!("{defect:?}: seed {seed}, {failure}");
    assert!(
        by.contains(&failure.invariant),
        "{defect:?} was found by another invariant: {failure}"
    );
    // It is the defect that was found, and nothing else.
    let without = world::run(seed, Lines::None);
    assert_eq!(without.failure, None, "seed {seed} fails without it too");
}

#[test]
fn a_term_that_is_not_raised_is_found() {
    is_found(Planted::Core(core::Defect::TermNotRaised), &["terms"]);
}

#[test]
fn a_command_answered_twice_is_found() {
    is_found(Planted::Core(core::Defect::AnsweredTwice), &["answers"]);
}

#[test]
fn an_ignored_end_of_a_snapshot_is_found() {
    is_found(Planted::Core(core::Defect::SnapshotEndIgnored), &["picture"]);
}

#[test]
fn a_missing_hold_down_is_found() {
    is_found(Planted::Core(core::Defect::HoldDownMissing), &["stay"]);
}

#[test]
fn a_ghost_that_is_kept_is_found() {
    is_found(Planted::Core(core::Defect::GhostKept), &["picture"]);
}

#[test]
fn an_ignored_gap_is_found() {
    is_found(Planted::Core(core::Defect::GapIgnored), &["picture", "tables"]);
}

#[test]
fn a_barrier_that_is_not_awaited_is_found() {
    is_found(Planted::Speaker(speaker::Defect::BarrierNotAwaited), &["generations"]);
}

#[test]
fn a_broken_order_of_a_lane_is_found() {
    is_found(
        Planted::Speaker(speaker::Defect::LaneOrderBroken),
        &["order", "generations"],
    );
}

#[test]
fn an_ignored_owner_epoch_is_found() {
    is_found(Planted::Speaker(speaker::Defect::OwnerEpochIgnored), &["order"]);
}

#[test]
fn an_ignored_base_is_found() {
    is_found(
        Planted::Speaker(speaker::Defect::BaseIgnored),
        &["generations", "tables"],
    );
}

#[test]
fn an_offset_committed_early_is_found() {
    is_found(Planted::Router(router::Defect::CommittedEarly), &["commits"]);
}

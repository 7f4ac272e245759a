//! The simulated world, for `make test`: a seed is a run.

use skerry_sim::trace::Lines;
use skerry_sim::world;

#[test]
fn a_seed_gives_the_same_run_to_the_byte() {
    for seed in [3, 71, 2_026] {
        let first = world::run(seed, Lines::All);
        let second = world::run(seed, Lines::All);
        let differs = first.lines.iter().zip(&second.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}: what is in no line differs");
        assert_eq!(first.tally, second.tally, "seed {seed}");
        assert_eq!(
            world::run(seed, Lines::None).hash,
            first.hash,
            "seed {seed}: reading the log changes the run"
        );
    }
}

#[test]
fn every_seed_has_what_a_seed_must_have() {
    for seed in 1..500 {
        let scenario = skerry_sim::scenario::Scenario::new(seed);
        assert!(
            scenario.switches.len() >= 3 && scenario.regions.len() >= 2,
            "seed {seed}"
        );
        assert!(scenario.commands >= 200 && scenario.faults >= 20, "seed {seed}");
    }
}

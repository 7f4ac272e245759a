//! The simulated world, for `make test`: many seeds, the cases that once failed, and that a seed is a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use skerry_sim::scenario::{Scenario, Size};
use skerry_sim::seeds;
use skerry_sim::trace::Lines;
use skerry_sim::world::{self, Tally};

/// Seeds of every `make test`: as many as run through. What fails behind them stands in docs/simulation.md.
const SEEDS: u64 = 240;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn the_first_seeds_keep_every_invariant() {
    let sum = seeds::run(1, SEEDS, threads(), &[], |_| {});
    let text = sum
        .failed
        .first()
        .map(|seed| seeds::explain(Scenario::new(*seed)))
        .unwrap_or_default();
    assert!(
        sum.failed.is_empty(),
        "{text}\nfailed: {:?} (again with: make sim SEED=..)",
        sum.failed
    );
    let Tally {
        faults,
        takeovers,
        commands,
        stale_writes,
        ..
    } = sum.tally;
    assert!(faults >= 20 * SEEDS && commands >= 200 * SEEDS, "{:?}", sum.tally);
    assert!(takeovers >= SEEDS && stale_writes >= SEEDS / 2, "{:?}", sum.tally);
}

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
        let scenario = Scenario::new(seed);
        assert!(
            scenario.switches.len() >= 3 && scenario.regions.len() >= 2,
            "seed {seed}"
        );
        assert!(scenario.commands >= 200 && scenario.faults >= 20, "seed {seed}");
    }
}

/// What a file in `tests/cases/` says: `key = value` lines, comments behind `#`.
fn case(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (key, value) = line
                .split_once('=')
                .unwrap_or_else(|| panic!("{}: {line:?}", path.display()));
            (key.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}

#[test]
fn what_failed_once_does_not_fail_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("tests/cases is in the checkout")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no cases");
    for path in paths {
        let case = case(&path);
        let name = path.display();
        let seed: u64 = case
            .get("seed")
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| panic!("{name}: no seed"));
        assert!(case.contains_key("found"), "{name}: what did it find?");
        let size = match case.get("size").map(String::as_str) {
            None | Some("small") => Size::Small,
            Some("large") => Size::Large,
            Some(other) => panic!("{name}: size {other:?}"),
        };
        let scenario = Scenario::of(seed, size);
        let outcome = world::run_scenario(scenario.clone(), Lines::None);
        assert_eq!(outcome.failure, None, "{name}\n{}", seeds::explain(scenario));
    }
}

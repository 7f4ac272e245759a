//! What the property tests share: where their seed comes from.

use proptest::test_runner::{Config, RngSeed};

/// The seed unless `PROPTEST_RNG_SEED` says another (the runner's `SEED=N`).
const SEED: u64 = 0x5ca1_ab1e;

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Proptest with that seed, which is printed and so stands beside every failure. `cases` is how many are tried
/// unless `PROPTEST_CASES` says another number.
pub fn runner(cases: u32) -> Config {
    let seed = from_environment("PROPTEST_RNG_SEED").unwrap_or(SEED);
    let cases = from_environment("PROPTEST_CASES").unwrap_or(cases);
    println!("seed {seed}, {cases} cases");
    Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    }
}

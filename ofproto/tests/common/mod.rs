//! What the tests share: the generator of messages, the loader of vectors, and the comparison
//! with what Open vSwitch prints. The tests of `skerry ofp` include this folder by its path.

// Each test program uses a part of this.
#![allow(dead_code)]

pub mod corpus;
pub mod corpus_full;
pub mod difference;
pub mod generate;
pub mod judgement;
pub mod laws;
pub mod mutate;
pub mod ovs_kinds;
pub mod ovs_printed;
pub mod ovs_text;
pub mod parts;
pub mod trials;
pub mod valid;
pub mod vectors;

/// The seed of every generated test unless `PROPTEST_RNG_SEED` says another (the runner's
/// `SEED=N`). Each test prints it, so that a failure names it.
const SEED: u64 = 0x5eed_0f13;

/// The seed of this run.
pub fn seed() -> u64 {
    from_environment("PROPTEST_RNG_SEED").unwrap_or(SEED)
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// A message that a switch would take, of this run's seed: always the same for a number.
pub fn valid_message(number: u64) -> ofproto::Message {
    use generate::{Draw, Gen, noise};
    let entropy = noise(seed().wrapping_add(number << 32), 3_000);
    ofproto::Message::generate(&mut Draw::new(&entropy, true))
}

/// Proptest with that seed, and with failing cases kept beside the tests. `cases` is how
/// many are tried unless `PROPTEST_CASES` says another number.
pub fn runner(test: &str, cases: u32) -> proptest::test_runner::TestRunner {
    use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};
    let cases = from_environment("PROPTEST_CASES").unwrap_or(cases);
    println!("{test}: seed {}, {cases} cases", seed());
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed().to_be_bytes());
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/laws.txt",
        ))),
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

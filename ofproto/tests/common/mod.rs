//! What the tests share: the generator of messages and the loader of vectors.

// Each test program uses a part of this.
#![allow(dead_code)]

pub mod generate;
pub mod ovs_text;
pub mod vectors;

/// The fixed seed of every generated test, printed by each so that a failure names it.
pub const SEED: u64 = 0x5eed_0f13;

/// Proptest with that seed, and with failing cases kept beside the tests.
pub fn runner(test: &str, cases: u32) -> proptest::test_runner::TestRunner {
    use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};
    println!("{test}: seed {SEED:#x}, {cases} cases");
    let mut seed = [0_u8; 32];
    seed[..8].copy_from_slice(&SEED.to_be_bytes());
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/laws.txt",
        ))),
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

//! The runner of the test programs that ask Open vSwitch for its opinion.
//!
//! Whether `ovs-ofctl` is there is found out once, before the first test: without it the
//! tests that need it are listed as ignored and named with the reason, never passed by
//! returning early. With `SKERRY_REQUIRE_OVS=1` they run all the same, and so fail.

use libtest_mimic::{Arguments, Trial};
use std::process::Command;

/// A test that fails by panicking.
pub struct Test {
    /// `suite::test`.
    pub name: &'static str,
    /// Whether it runs `ovs-ofctl`.
    pub asks_ovs: bool,
    pub run: fn(),
}

/// Why `ovs-ofctl` cannot be asked, if so.
fn lacking() -> Option<&'static str> {
    match Command::new("ovs-ofctl").arg("--version").output() {
        Ok(out) if out.status.success() => None,
        Ok(_) => Some("ovs-ofctl does not run"),
        Err(_) => Some("ovs-ofctl is not installed"),
    }
}

/// Runs what the command line asks for, and ends the program.
pub fn run(tests: impl IntoIterator<Item = Test>) -> ! {
    let arguments = Arguments::from_args();
    let required = std::env::var_os("SKERRY_REQUIRE_OVS").is_some_and(|value| value == "1");
    let lacking = lacking().filter(|_| !required);
    if !arguments.list {
        // Before the tests, because they run side by side and their lines would mix.
        println!("seed {} (PROPTEST_RNG_SEED gives another)", super::seed());
    }
    let trial = |test: Test| {
        let reason = lacking.filter(|_| test.asks_ovs);
        let trial = Trial::test(test.name, move || {
            (test.run)();
            Ok(())
        });
        if let Some(reason) = reason
            && !arguments.list
            && !arguments.is_filtered_out(&trial)
        {
            println!("SKIP {}: {reason}", test.name);
        }
        trial.with_ignored_flag(reason.is_some())
    };
    let trials = tests.into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit()
}

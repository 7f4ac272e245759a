//! The demo: a small world of real switches (or, without root, of simulated ones) in which every step of the main job
//! is shown and measured.
//!
//! It is a client like any other: it knows the parts of Skerry as programs, REST and messages. What a step saw goes into
//! the [`summary`]; a step that is not as it should be is named there with what was seen instead, and those
//! behind it are not tried.

mod bus;
mod clean;
mod failover;
mod flow;
mod join;
mod mirror;
mod network;
mod sla;
mod start;
mod summary;
mod world;

use std::path::Path;

use anyhow::{Context, Result};

pub use summary::Summary;
pub use world::{PREFIX, World};

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step was as it should be.
    Good,
    /// A step was not.
    StepFailed,
    /// A signal asked to end.
    Interrupted,
}

/// A line for the person who watches. When the terminal is gone nobody does, and the demo cleans up all the same.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

type Step = (&'static str, &'static str, fn(&mut World, &mut Summary) -> Result<()>);

/// The scenario, in order.
const STEPS: &[Step] = &[
    ("start", "switches, links and their round trips", start::step),
    (
        "flow",
        "a customer's flow with different tags at its ends, and one with QinQ",
        flow::step,
    ),
    (
        "mirror",
        "a mirror point added, changed and removed under traffic",
        mirror::step,
    ),
    (
        "join",
        "a join point, and its groups as the switch has them",
        join::step,
    ),
    (
        "failover",
        "the active region stopped, continued and killed under traffic",
        failover::step,
    ),
    ("return", "the killed region comes back", failover::return_step),
    ("sla", "a link becomes slow: the flow goes another way", sla::step),
    ("clean", "the flows go, and nothing of them stays", clean::step),
];

/// Go through some steps of the scenario (by name, in the scenario's order) in a world of real switches.
///
/// # Errors
/// The world could not be built, or a step was not as it should be.
pub fn steps(names: &[&str], summary_path: &Path) -> Result<()> {
    let mut summary = Summary::new(summary_path)?;
    let mut world = World::build()?;
    for (name, _, step) in STEPS.iter().filter(|(name, ..)| names.contains(name)) {
        if let Err(error) = step(&mut world, &mut summary) {
            world.last_words();
            return Err(error).with_context(|| format!("step {name}"));
        }
    }
    Ok(())
}

/// Build the world (of simulated switches, if that is asked), go through the scenario, write the summary. `stay` is
/// called with the world when all was good.
///
/// # Errors
/// The summary cannot be written.
pub fn run(summary_path: &Path, simulated: bool, stay: impl FnOnce(&World)) -> Result<Ending> {
    let mut summary = Summary::new(summary_path)?;
    if simulated {
        summary.set("simulated", true.into());
    }
    let ending = scenario(&mut summary, simulated, stay);
    summary.write()?;
    say(&format!("\nsummary: {}", summary_path.display()));
    Ok(ending)
}

fn scenario(summary: &mut Summary, simulated: bool, stay: impl FnOnce(&World)) -> Ending {
    say(if simulated {
        "THE SWITCHES ARE SIMULATED, and so are links and hosts: the figures below are not those of real ones.\n\
         Broker, speakers and router are the real programs.\n\n\
         building a world: a broker, two speakers, a router; four switches in a ring and three hosts in one process"
    } else {
        "building a world: namespaces, four bridges in a ring, delay lines, hosts, a broker, two speakers, a router"
    });
    let built = if simulated {
        World::build_simulated()
    } else {
        World::build()
    };
    let mut world = match built {
        Ok(world) => world,
        Err(error) => return failed(summary, "start", &error, None),
    };
    for (name, what, step) in STEPS {
        say(&format!("\n== {name}: {what}"));
        if let Err(error) = step(&mut world, summary) {
            return failed(summary, name, &error, Some(&world));
        }
    }
    // Written before it stays up, so that a reader need not wait for the end.
    if let Err(error) = summary.write() {
        say(&format!("the summary could not be written: {error:#}"));
    }
    stay(&world);
    Ending::Good
}

fn failed(summary: &mut Summary, step: &str, error: &anyhow::Error, world: Option<&World>) -> Ending {
    if crate::interrupt::seen() {
        summary.fail(step, "interrupted");
        return Ending::Interrupted;
    }
    say(&format!("\nFAILED {step}: {error:#}"));
    summary.fail(step, &format!("{error:#}"));
    if let Some(world) = world {
        world.last_words();
    }
    Ending::StepFailed
}

//! Faults that befall real processes: speakers, a router, Kafka and a thousand simulated switches. Each fault has a file's function of
//! its own, ends with what has to hold after any fault ([`World::ends_well`]), and gives figures.

mod kafka;
mod regions;
mod routers;
mod service;
mod world;

use std::collections::BTreeMap;

use anyhow::Result;

pub use service::{Service, Verdict};
pub use world::{Ending, Size, World};

/// All names of labs made here begin with it.
pub const PREFIX: &str = "skerry-faults";

/// Figures of a fault, by name; the unit is the end of the name.
pub type Figures = BTreeMap<String, f64>;

/// What a fault gave.
#[derive(Debug)]
pub struct Done {
    /// Its own figures.
    pub figures: Figures,
    /// What became of the commands that went on meanwhile, and of late writes.
    pub ending: Ending,
}

/// A fault.
pub struct Fault {
    /// Its name, for `ONLY=`.
    pub name: &'static str,
    /// What happens, in one line.
    pub what: &'static str,
    /// Whether it befalls Kafka, so that the trial broker will not do.
    pub needs_kafka: bool,
    /// Does it.
    pub run: fn(Size, u64) -> Result<Done>,
}

/// All of them, in the order in which they are run.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "speaker_killed",
        what: "the active region's speaker is killed at a random moment, and comes back",
        needs_kafka: false,
        run: regions::killed,
    },
    Fault {
        name: "speaker_stopped",
        what: "the active region's speaker is stopped with commands under way, and goes on after another took over",
        needs_kafka: false,
        run: regions::stopped,
    },
    Fault {
        name: "speaker_cut",
        what: "the active region is cut from Kafka while it holds its switches",
        needs_kafka: true,
        run: kafka::cut,
    },
    Fault {
        name: "region_flapping",
        what: "the preferred region is stopped and goes on every 2 s",
        needs_kafka: false,
        run: regions::flapping,
    },
    Fault {
        name: "crowd_reconnects",
        what: "all switches lose both connections at once and come back",
        needs_kafka: false,
        run: regions::crowd,
    },
    Fault {
        name: "command_storm",
        what: "10,000 commands a second",
        needs_kafka: false,
        run: routers::storm,
    },
    Fault {
        name: "router_killed",
        what: "the router is killed with commands under way, and comes back",
        needs_kafka: false,
        run: routers::killed,
    },
    Fault {
        name: "kafka_leader_killed",
        what: "of three nodes of Kafka the one that leads is killed",
        needs_kafka: true,
        run: kafka::leader,
    },
    Fault {
        name: "kafka_away",
        what: "all of Kafka is away for two minutes",
        needs_kafka: true,
        run: kafka::away,
    },
];

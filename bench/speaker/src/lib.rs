//! Measures the speaker: with a thousand simulated switches, with a real one, under a flood, and beside a bare loop.
//! `make bench-speaker` runs it; docs/performance.md says how to read what it prints.

pub mod apply;
pub mod bare;
pub mod broker;
pub mod cores;
pub mod crowd;
pub mod echo;
pub mod echoes;
pub mod effort;
pub mod flood;
pub mod floor;
pub mod goals;
pub mod histogram;
pub mod packet_ins;
pub mod plan;
pub mod router;
pub mod series;
pub mod suite;
pub mod tls;
pub mod usage;
pub mod world;

/// What the names of everything it makes begin with.
pub const PREFIX: &str = "skerry-bench";
/// This program, started once more as a peer or as a load.
pub const PROGRAM: &str = "bench-speaker";

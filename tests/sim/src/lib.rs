//! The simulated world: speakers and routers as they are, with a log in place of Kafka, simulated switches and cables, faults,
//! one clock and one seed. Nothing in it reads a real clock or draws from anything but the seed, so a seed is a run, to
//! the byte. `docs/simulation.md` says how to use it and what it found.

pub mod bus;
pub mod client;
pub mod disk;
pub mod event;
pub mod fabric;
pub mod fault;
pub mod harm;
pub mod judge;
pub mod load;
pub mod log;
pub mod random;
pub mod routers;
pub mod scenario;
pub mod seeds;
pub mod speakers;
pub mod store;
pub mod time;
pub mod trace;
pub mod world;

//! The router: Kafka, store, REST and metrics around its machines.
//!
//! [`machine`] decides; everything else here carries things to it and away from it.

pub mod config;
pub mod defect;
pub mod driver;
pub mod gate;
pub mod machine;
pub mod outbox;
pub mod rest;
pub mod store;

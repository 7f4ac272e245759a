//! The speaker: sockets, Kafka, configuration, metrics, systemd around its machine.
//!
//! [`driver`] is the loop around [`skerry_speaker_core::Speaker`]; it decides nothing about switches. A thread of its own
//! reads the connections ([`sockets`]), so that the time at which bytes came is right also while the machine works:
//! link round trips are counted from it. Another one writes the disk ([`store`]), so that no switch waits for another's
//! flush. [`tls`] is what both sides of a connection prove to each other.

pub mod config;
pub mod driver;
pub mod key;
pub mod outbox;
pub mod socket;
pub mod sockets;
pub mod store;
pub mod telemetry;
pub mod tls;

//! The composed speaker against model switches, in virtual time: whole exchanges from bytes to messages of the contract.
#![allow(clippy::unwrap_used)] // a test that meets `None` has failed

mod alone;
mod apply;
mod bus;
mod chaos;
mod disk;
mod flood;
mod handshake;
mod identity;
mod lanes;
mod links;
mod measures;
mod model;
mod roles;
mod world;

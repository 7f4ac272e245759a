//! The laboratory of Skerry: what the system tests and the demo build their worlds from.
//!
//! Namespaces and children that leave nothing behind (`lab`), a private Open vSwitch
//! (`ovs`), links with a delay (`delay`), hosts that send and check numbered, tagged
//! packets (`packet`, `host`), a reader of OpenFlow on the wire (`wire`), broker, speakers
//! and routers as programs (`daemons`, `rest`), Apache Kafka (`kafka`) and the demo's ring of four switches (`ring`). It knows the parts of Skerry only from
//! outside, as programs and messages; `README.md` shows how to use it.

pub mod daemons;
pub mod delay;
pub mod demo;
pub mod door;
pub mod faults;
pub mod helper;
pub mod host;
pub mod interrupt;
pub mod janitor;
pub mod kafka;
pub mod lab;
pub mod ovs;
pub mod packet;
pub mod postgres;
pub mod process;
pub mod relay;
pub mod rest;
pub mod ring;
pub mod sys;
pub mod tool;
pub mod wait;
pub mod wire;

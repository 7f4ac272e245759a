//! The speaker's decisions, as machines that are told the time: they own no socket, no clock and no task.
//!
//! [`Speaker`] is the composed machine. Its parts stand in files of their own:
//!
//! ```text
//! connection  one TCP connection: framing, handshake, echo      role       MASTER and SLAVE at one switch
//! lane        commands of one switch, in order                  plan       from what is to what shall be (pure)
//! queue       commands that wait for their turn                  bundling   whether a switch takes bundles
//! apply       a plan on its way to a switch                     bundle      changes done together or not at all
//! dump        what a switch holds                                known      sorted into ours and not ours
//! delta       a step from what stands, planned (pure)            convert    the contract's objects <-> OpenFlow
//! packet      the signed discovery packet (pure)                 discovery  when a packet leaves by which port
//! links       which directions are seen or silent                latency    round trips
//! publish     positions, heartbeats, answers kept                offsets    what may be committed
//! job         commands under way and their answers               clock      the broker's time
//! intake      frames out of reads                               shed       packets that are dropped unseen
//! keep        what of desired states is on disk                  store      names and values on disk (pure)
//! orders      whether the disk follows
//! identity    which switch a certificate may be                  sources    connections by address, refusals told
//! autonomy    taking a switch without a router                   lease      how long ago Kafka and the router were heard
//! ```

mod apply;
mod autonomy;
mod beat;
pub mod bucket;
pub mod bundle;
mod bundling;
mod clock;
pub mod connection;
mod convert;
pub mod defect;
mod delta;
mod discovery;
mod dump;
pub mod fact;
pub mod identity;
mod intake;
pub mod io;
mod job;
mod keep;
pub mod known;
pub mod lane;
mod latency;
mod lease;
pub mod links;
pub mod measure;
pub mod offsets;
pub mod orders;
pub mod packet;
pub mod plan;
pub mod publish;
mod queue;
pub mod role;
pub mod shed;
mod sources;
pub mod speaker;
pub mod store;
mod timers;
mod wire;

pub use bucket::Rate;
pub use bundle::BundleUse;
pub use fact::{CloseReason, Counter, Fact};
pub use identity::{CertificateTable, Certified, Fingerprint, Identity, TlsFailure, TlsFault};
pub use io::{Config, ConnId, Input, Output, Roles};
pub use known::Ours;
pub use measure::{Gauge, Histogram};
pub use plan::{Plan, Step, plan};
pub use shed::PacketRates;
pub use speaker::Speaker;

//! Link and flow latency, the SLA machine and the fleet of all flows.
//!
//! Decides what the latency of a flow is, whether that keeps the flow's SLA, and when to ask for a
//! reroute or a sync. It is told the time and what was measured; it measures nothing, sends nothing
//! and changes no flow. Design section 8 is the source; all latencies are round trips in nanoseconds.
//!
//! * [`limits`]: which grade a latency has (the table of design section 8);
//! * [`sla`]: the machine of one flow;
//! * [`fleet`]: the machine of all flows, over the dense tables of links and flows;
//! * [`replay`]: recorded latencies in, changes of state out, as `skerry replay sla` prints them.

pub mod fleet;
mod flows;
pub mod limits;
mod links;
mod names;
mod reason;
mod repeat;
pub mod replay;
pub mod sla;
mod timers;

pub use fleet::{Fleet, FlowFigure, LinkFigure};
pub use limits::{Grade, Limits, Threshold};
pub use sla::{Sla, SlaRecord, SlaState};

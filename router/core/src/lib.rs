//! The router's decisions as machines that are told the time.
//!
//! Every machine has the same five doors: `new`, `handle_input`, `handle_timeout`, `poll_timeout`, `poll_output`. None
//! of them reads a clock, opens a socket or knows another machine: the router's composition passes the output of one
//! to the other. Order matters there in one place only: what [`presence`] lets pass is news, what it ignores is not,
//! so links, routing and tables are fed from its outputs and never from the topic itself.

pub mod defect;
pub mod drain;
mod due;
pub mod links;
pub mod liveness;
pub mod operation;
pub mod presence;
pub mod replay;
pub mod routing;
pub mod strangers;
pub mod sync;
pub mod tables;

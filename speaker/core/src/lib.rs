//! The speaker's decisions, as machines that are told the time: they own no socket, no clock and no task.
//!
//! [`Speaker`] is the composed machine. Its parts each stand in a file of their own.

pub mod fact;
pub mod io;
pub mod speaker;

pub use fact::{CloseReason, Counter, Fact};
pub use io::{Config, ConnId, Input, Output};
pub use speaker::Speaker;

//! The commands that ask the router, one file for each kind of object; and `topics`, which asks Kafka.

pub mod feature;
pub mod flow;
pub mod link;
pub mod operation;
pub mod point;
pub mod region;
pub mod status;
pub mod switch;
pub mod tail;
pub mod topics;

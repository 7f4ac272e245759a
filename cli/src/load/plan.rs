//! What a run is to do: the options, checked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::wiring::Shape;

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Controllers of every switch.
    pub controllers: Vec<SocketAddr>,
    /// Addresses that switches come from, in turn; none: the system chooses.
    pub sources: Vec<IpAddr>,
    /// How many switches.
    pub switches: usize,
    /// Id of the first; the others follow.
    pub first_id: u64,
    /// Ports of each, numbered from 1.
    pub ports: u32,
    /// How they are joined.
    pub shape: Shape,
    /// One-way delay of each link.
    pub link_delay: Duration,
    /// Connections tried in a second; none: all at once.
    pub connect_rate: Option<f64>,
    /// How long to wait before the first new try; none: a connection that ended is not tried again.
    pub reconnect: Option<Duration>,
    /// Echo requests.
    pub echo: Echo,
    /// Bytes in an echo request, behind its header.
    pub echo_bytes: usize,
    /// When to end, counted from the start.
    pub end: Option<Duration>,
    /// Whether to tell figures each second.
    pub watch: bool,
}

/// How switches ask whether the controller is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Echo {
    /// Only as any switch does, when the controller is silent.
    None,
    /// So many unanswered at a time on each connection; each answer is followed by the next question.
    InFlight(usize),
    /// One on each connection in each interval.
    Every(Duration),
}

//! What a run is to do: the options, checked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::manner::Manner;
use super::packets::Kind;
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
    /// Packet-ins of all well-behaved switches.
    pub packet_ins: PacketIns,
    /// What packets are like, of floods too.
    pub packets: Kind,
    /// Bytes of a packet.
    pub packet_bytes: usize,
    /// Hosts behind each switch.
    pub hosts: u32,
    /// Floods from the start: ids of switches, and packet-ins a second.
    pub floods: Vec<(u64, f64)>,
    /// Cables taken out or put in, a second.
    pub flap: Option<f64>,
    /// Further switches that do not behave.
    pub misbehave: Vec<(Manner, usize)>,
    /// When to end, counted from the start.
    pub end: Option<Duration>,
    /// Whether to tell figures each second.
    pub watch: bool,
}

/// Packet-ins that no packet caused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PacketIns {
    /// None.
    None,
    /// So many a second, from the switches in turn.
    Rate(f64),
    /// So many unanswered at a time from each; each answer is followed by the next.
    InFlight(usize),
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

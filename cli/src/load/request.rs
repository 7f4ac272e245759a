//! What a run is asked on standard input: one JSON object a line (docs/load.md).

use std::net::SocketAddr;

use serde::Deserialize;

/// A question or an order.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The figures so far.
    Status,
    /// Counts from zero again. Connections stay.
    Reset,
    /// Changes how switches ask for echoes.
    Echo {
        /// So many unanswered at a time on each connection; 0: none.
        #[serde(default)]
        in_flight: usize,
        /// One on each connection in each interval; 0: none.
        #[serde(default)]
        every_ms: u64,
    },
    /// Changes the packet-ins of all switches.
    PacketIn {
        /// So many a second, from the switches in turn; 0: none.
        #[serde(default)]
        rate: f64,
        /// So many unanswered at a time from each; 0: none.
        #[serde(default)]
        in_flight: usize,
    },
    /// Begins, changes or ends a flood of packet-ins.
    Flood {
        /// Id of the switch.
        switch: u64,
        /// Packet-ins a second; 0 ends it.
        rate: f64,
        /// How many; none: until it is ended.
        #[serde(default)]
        count: Option<u64>,
        /// Over a connection of its own to there, in place of the controller.
        #[serde(default)]
        to: Option<SocketAddr>,
    },
    /// Takes cables out and puts them in again.
    Flap {
        /// Changes a second in all; 0: none.
        rate: f64,
    },
    /// From now on a switch says nothing and hears nothing, until its connections end.
    Silence {
        /// Id of the switch.
        switch: u64,
    },
    /// A switch hangs up.
    Close {
        /// Id of the switch.
        switch: u64,
    },
    /// All that a switch holds.
    Dump {
        /// Id of the switch.
        switch: u64,
    },
    /// Takes the cable out of a port, or puts it in.
    Port {
        /// Id of the switch.
        switch: u64,
        /// Which.
        port: u32,
        /// Whether it carries.
        up: bool,
    },
    /// Ends the run, with the report.
    Quit,
}

impl Request {
    /// The name of what is asked, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Status => "status",
            Request::Reset => "reset",
            Request::Echo { .. } => "echo",
            Request::PacketIn { .. } => "packet_in",
            Request::Flood { .. } => "flood",
            Request::Flap { .. } => "flap",
            Request::Silence { .. } => "silence",
            Request::Close { .. } => "close",
            Request::Dump { .. } => "dump",
            Request::Port { .. } => "port",
            Request::Quit => "quit",
        }
    }
}

//! What a run is asked on standard input: one JSON object a line (docs/load.md).

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
            Request::Port { .. } => "port",
            Request::Quit => "quit",
        }
    }
}

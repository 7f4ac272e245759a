//! What the simulator is asked on standard input: one JSON object a line (docs/sim.md).

use serde::Deserialize;

/// A question or an order.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Starts a stream of numbered packets.
    Send {
        /// Who sends.
        host: String,
        /// Number of the stream, new for the host.
        stream: u32,
        /// Tags, outer first.
        #[serde(default)]
        tags: Vec<String>,
        /// Packets per second.
        rate: u32,
        /// Packets to send; none: until stopped.
        #[serde(default)]
        count: Option<u64>,
        /// Whether a host that echoes shall answer.
        #[serde(default)]
        ask: bool,
        /// Bytes of the payload at least.
        #[serde(default)]
        length: usize,
    },
    /// How far is a stream?
    Mark {
        /// Who sends it.
        host: String,
        /// Which.
        stream: u32,
    },
    /// Ends a stream.
    Stop {
        /// Who sends it.
        host: String,
        /// Which.
        stream: u32,
    },
    /// What arrived of a stream?
    Received {
        /// At whom.
        host: String,
        /// Which.
        stream: u32,
    },
    /// What arrived at all?
    Totals {
        /// At whom.
        host: String,
    },
    /// Answers packets that ask for it, or stops doing so.
    Echo {
        /// Who.
        host: String,
        /// Whether to answer.
        on: bool,
    },
    /// Forgets what arrived.
    Reset {
        /// Who.
        host: String,
    },
    /// Sets the delays of a link.
    Delay {
        /// Which, such as `s1-s2`.
        link: String,
        /// From the first switch to the second, microseconds.
        there_us: u64,
        /// And back.
        back_us: u64,
    },
    /// Cuts a link: both ports go down, or, silently, packets are lost and nobody is told.
    Cut {
        /// Which.
        link: String,
        /// Whether the ports stay up.
        #[serde(default)]
        silent: bool,
    },
    /// Joins a link that was cut.
    Join {
        /// Which.
        link: String,
    },
    /// All that a switch holds.
    Dump {
        /// Its number in the ring.
        switch: u64,
    },
    /// Switches with their controllers' roles, links, counters.
    Status,
    /// Ends the program.
    Quit,
}

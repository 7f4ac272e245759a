//! `skerry sim`: simulated switches, cables and hosts in one process, for trying Skerry without root or Open vSwitch.
//!
//! [`switch`] is one switch (a package of its own) and [`fabric`] all of them with cables and hosts: pure machines. [`driver`] gives them sockets,
//! a clock, and the conversation on standard input and output that docs/sim.md describes.

mod cable;
mod capture;
mod dialer;
mod driver;
mod fabric;
mod host;
mod numbers;
mod request;
mod topology;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
pub use skerry_switch as switch;
use topology::Topology;

/// Controllers of a switch: more regions than reach one switch anywhere.
const CONTROLLERS_MAX: usize = 8;

/// Options of `skerry sim`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimArgs {
    /// Number of switches, in a ring
    #[arg(long, value_name = "N", default_value_t = 4)]
    ring: u64,
    /// A controller of every switch; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", required = true)]
    controller: Vec<SocketAddr>,
    /// One-way delay of each link in milliseconds, decimals allowed: one for all, or one for each with commas
    #[arg(long, value_name = "MS", value_delimiter = ',', default_value = "1")]
    delay_ms: Vec<f64>,
    /// Write what switches and controllers say to this file, as a packet capture
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
}

/// Run until `quit` is asked or standard input closes.
///
/// # Errors
/// Figures that make no network, or a capture that cannot be written.
pub fn run(args: &SimArgs) -> Result<(), Failure> {
    let delay = |ms: &f64| {
        Duration::try_from_secs_f64(ms / 1e3)
            .ok()
            .filter(|delay| *delay <= cable::DELAY_MAX)
    };
    let delays: Option<Vec<Duration>> = args.delay_ms.iter().map(delay).collect();
    let delays = delays.ok_or_else(|| Failure::Usage(format!("--delay-ms: a delay is 0 to {:?}", cable::DELAY_MAX)))?;
    let topology = Topology::ring(args.ring, &delays).map_err(Failure::Usage)?;
    if args.controller.len() > CONTROLLERS_MAX {
        return Err(Failure::Usage(format!("--controller: at most {CONTROLLERS_MAX}")));
    }
    driver::run(&topology, &args.controller, args.capture.as_deref())
}

//! `skerry load`: so many simulated switches that a controller feels them, in one process and one thread.
//!
//! [`world`] is all of them, a pure machine on the switches of `sim/switch`; [`driver`] gives it sockets, a clock and the
//! conversation on standard input and output that docs/load.md describes. It knows nothing of the controller but OpenFlow
//! 1.3, so that it loads any.

mod driver;
mod echo;
mod histogram;
mod line;
mod manner;
mod milestones;
mod options;
mod pacer;
mod packets;
mod plan;
mod request;
mod tally;
mod tls;
mod wiring;
mod world;

pub use options::LoadArgs;

use crate::failure::Failure;

/// Run until the end that is asked for, `quit`, a signal, or the end of standard input.
///
/// # Errors
/// Options that make no run; not every switch got through its handshake.
pub fn run(args: &LoadArgs) -> Result<(), Failure> {
    let plan = options::plan(args).map_err(Failure::Usage)?;
    driver::run(plan, options::tls(args).map_err(Failure::Usage)?)
}

//! Echoes through the speaker beside a bare loop that answers without looking.

use crate::effort::{Clock, Effort, interleaved};
use crate::floor::Manner;
use crate::series::{Triples, Turn};
use crate::tls::Certificates;
use crate::world::{Setup, World};
use anyhow::{Context, Result};
use serde_json::Value;
use skerry_tests::helper::Helper;
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes of an echo request, its header included.
pub const BYTES: usize = 128;
/// Connections, and requests in flight on each, where the rate is measured.
const MANY: (usize, usize) = (16, 64);
/// Before it counts: until both sides run from their caches.
const WARM_UP: Duration = Duration::from_millis(150);
/// How long a measurement may be late.
const LATE_MAX: Duration = Duration::from_secs(60);
/// No probes and no questions of the speaker's own while its answers are timed; it does not take half-done
/// handshakes for anything else than they are.
const QUIET: &str = "[intervals]\necho_ms = 60000\n";

/// A peer of ours, running, and where it listens.
pub struct Peer {
    helper: Helper,
    /// Its address.
    pub address: SocketAddr,
}

impl Peer {
    /// Starts this program once more, as the peer.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(world: &World, manner: Manner, core: usize) -> Result<Peer> {
        let args: Vec<String> = match manner {
            Manner::Echo(length) => vec!["peer".to_owned(), "--echo".to_owned(), length.to_string()],
            Manner::Sink => vec!["peer".to_owned()],
        };
        let command = world.program(crate::PROGRAM, Some(core), &args)?;
        let helper = Helper::start(&world.lab, "peer", command)?;
        let address = helper.line(LATE_MAX, |line| line.get("address")?.as_str()?.parse().ok())?;
        Ok(Peer { helper, address })
    }

    /// Ends it.
    ///
    /// # Errors
    /// It does not end.
    pub fn end(self) -> Result<()> {
        self.helper.end()
    }
}

/// The figures of one run of the load.
fn ask(
    world: &World,
    (to, tls): (SocketAddr, Option<&Certificates>),
    core: usize,
    (connections, in_flight): (usize, usize),
    effort: &Effort,
) -> Result<Value> {
    let mut args: Vec<String> = ["echoes", "--to"].map(str::to_owned).into();
    args.push(to.to_string());
    for (name, value) in [
        ("--connections", connections as u128),
        ("--in-flight", in_flight as u128),
        ("--bytes", BYTES as u128),
        ("--warm-up-ms", WARM_UP.as_millis()),
        ("--time-ms", effort.echoes.as_millis()),
    ] {
        args.extend([name.to_owned(), value.to_string()]);
    }
    if let Some(certificates) = tls {
        args.extend(["--tls".to_owned(), certificates.folder().display().to_string()]);
    }
    let command = world.program(crate::PROGRAM, Some(core), &args)?;
    let helper = Helper::start(&world.lab, "echoes", command)?;
    let told = helper.line(effort.echoes + LATE_MAX, |line| {
        line.get("per_second").map(|_| line.clone())
    })?;
    helper.end()?;
    Ok(told)
}

/// Measures it: microseconds of one request at a time, and requests answered in a second with many.
///
/// # Errors
/// Something did not start, or a reply was wrong.
pub fn run(world: &World, effort: &Effort, setup: &Setup, clock: &Clock) -> Result<[Triples; 2]> {
    let cores = world.cores;
    let setup = setup.with(QUIET).on(cores.measured);
    let speaker = world.speaker(&setup)?;
    let peer = Peer::start(world, Manner::Echo(BYTES), cores.measured)?;
    let half = |turn: Turn, many: bool| -> Result<Value> {
        let to = match turn {
            Turn::With => (speaker.address, setup.tls.as_ref()),
            Turn::Without | Turn::Again => (peer.address, None),
        };
        // One at a time: on the same core, where no core has to be woken. Many: each side has a core.
        let (core, shape) = if many {
            (cores.load, MANY)
        } else {
            (cores.measured, (1, 1))
        };
        ask(world, to, core, shape, effort)
    };
    let value = |told: &Value, key: &str| {
        told.get(key)
            .and_then(Value::as_f64)
            .with_context(|| format!("{key}: {told}"))
    };
    let latency = interleaved(1, effort, clock, |turn| Ok(vec![value(&half(turn, false)?, "p50_us")?]))?;
    let rate = interleaved(1, effort, clock, |turn| {
        Ok(vec![value(&half(turn, true)?, "per_second")?])
    })?;
    peer.end()?;
    world.end(&speaker)?;
    let first = |mut triples: Vec<Triples>| triples.pop().context("one value");
    Ok([first(latency)?, first(rate)?])
}

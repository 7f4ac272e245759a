//! Links with a delay: the program `skerry-delay-line` and its handle.
//!
//! The kernel of a test machine may have no netem. Instead a link between two bridges
//! is a pair of TAP devices, one a port of each, and this program between them.
//! It delays, cuts and measures; it does not lose or reorder frames on purpose.

pub mod discovery;
pub mod line;
pub mod queue;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::lab::Lab;
use crate::process::Process;
use crate::tool::Tool;

/// A pair of TAP devices to make, and what a frame takes between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Name of the link in commands.
    pub name: String,
    /// The TAP device at one end.
    pub a: String,
    /// The TAP device at the other end.
    pub b: String,
    /// Delay of frames that the switch at `a` sends.
    pub a_to_b_us: u64,
    /// Delay of frames that the switch at `b` sends.
    pub b_to_a_us: u64,
}

impl Pair {
    /// A pair with the same delay both ways.
    pub fn new(name: &str, a: &str, b: &str, one_way: Duration) -> Pair {
        let one_way_us = one_way.as_micros() as u64;
        Pair {
            name: name.into(),
            a: a.into(),
            b: b.into(),
            a_to_b_us: one_way_us,
            b_to_a_us: one_way_us,
        }
    }
}

/// What one direction of a pair did since it was made or reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectionStats {
    /// Frames forwarded.
    pub frames: u64,
    /// Frames dropped because the queue was full.
    pub dropped_full: u64,
    /// Frames dropped because the link was cut.
    pub dropped_cut: u64,
    /// Frames that the device at the far end did not take (it is down).
    pub dropped_refused: u64,
    /// Discovery packets forwarded but not logged, because the log could not keep up.
    pub unlogged: u64,
    /// Shortest time from leaving the switch to written.
    pub min_ns: u64,
    /// Median of the latest frames (`line::RECORDED_MAX`).
    pub median_ns: u64,
    /// Longest time from leaving the switch to written.
    pub max_ns: u64,
}

/// Both directions of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairStats {
    /// Frames from `a` to `b`.
    pub a_to_b: DirectionStats,
    /// Frames from `b` to `a`.
    pub b_to_a: DirectionStats,
}

/// One line of the log: a discovery packet that crossed a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// Name of the pair.
    pub pair: String,
    /// True from `a` to `b`.
    pub a_to_b: bool,
    /// UDP destination: 61231 on its way out, 61232 turned back.
    pub udp_port: u16,
    /// When it left the near switch, nanoseconds of the monotonic clock.
    pub received_ns: u64,
    /// Written to the far device, on the same clock.
    pub written_ns: u64,
    /// The UDP payload in hex: by it a test finds the very packet.
    pub payload: String,
}

/// A running `skerry-delay-line`. Dropping it ends it, and its devices with it.
pub struct DelayLine {
    tool: Tool,
    realtime: bool,
}

impl DelayLine {
    /// Makes the pairs in `netns`; their devices are up when this returns.
    ///
    /// # Errors
    /// A device cannot be made, or the program did not start.
    pub fn start(lab: &Lab, netns: &str, pairs: &[Pair]) -> Result<DelayLine> {
        ensure!(!pairs.is_empty(), "a delay line without pairs");
        let pairs: Vec<String> = pairs.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let (tool, ready) = Tool::start(lab, netns, "skerry-delay-line", &format!("delay-line-{netns}"), &pairs)?;
        let realtime = ready["realtime"].as_bool().context("first line without \"realtime\"")?;
        Ok(DelayLine { tool, realtime })
    }

    /// Whether it runs under SCHED_FIFO; if not, delays are as exact as the machine is idle.
    pub fn realtime(&self) -> bool {
        self.realtime
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.tool.process()
    }

    /// Changes the delays of a pair. Frames already under way keep theirs, and
    /// frames never overtake each other.
    ///
    /// # Errors
    /// No such pair.
    pub fn set(&self, pair: &str, a_to_b: Duration, b_to_a: Duration) -> Result<()> {
        self.tool
            .ask(&format!("set {pair} {} {}", a_to_b.as_micros(), b_to_a.as_micros()))
            .map(drop)
    }

    /// From now on loses all frames of a pair, without any sign of it at the ports.
    ///
    /// # Errors
    /// No such pair.
    pub fn cut(&self, pair: &str) -> Result<()> {
        self.tool.ask(&format!("cut {pair}")).map(drop)
    }

    /// Ends [`DelayLine::cut`].
    ///
    /// # Errors
    /// No such pair.
    pub fn join(&self, pair: &str) -> Result<()> {
        self.tool.ask(&format!("join {pair}")).map(drop)
    }

    /// Pulls the cable of a pair out of both ports, or plugs it in: the ports see it.
    ///
    /// # Errors
    /// No such pair.
    pub fn carrier(&self, pair: &str, up: bool) -> Result<()> {
        self.tool
            .ask(&format!("carrier {pair} {}", if up { "up" } else { "down" }))
            .map(drop)
    }

    /// What a pair did since it was made or reset.
    ///
    /// # Errors
    /// No such pair.
    pub fn stats(&self, pair: &str) -> Result<PairStats> {
        let answer = self.tool.ask(&format!("stats {pair}"))?;
        Ok(serde_json::from_value(answer)?)
    }

    /// Forgets what a pair did so far.
    ///
    /// # Errors
    /// No such pair.
    pub fn reset(&self, pair: &str) -> Result<()> {
        self.tool.ask(&format!("reset {pair}")).map(drop)
    }

    /// Writes a [`Crossing`] for every discovery packet to a file from now on, one JSON
    /// object a line. At most once.
    ///
    /// # Errors
    /// The file cannot be made, or there is a log already.
    pub fn log_to(&self, file: &Path) -> Result<()> {
        self.tool.ask(&format!("log {}", file.display())).map(drop)
    }

    /// Reads what [`DelayLine::log_to`] wrote so far.
    ///
    /// # Errors
    /// No such file, or not one of ours.
    pub fn read_log(file: &Path) -> Result<Vec<Crossing>> {
        let text = std::fs::read_to_string(file)?;
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

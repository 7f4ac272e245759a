//! Another codec, which runs in a process of its own and measures itself.
//!
//! A worker is started with the file that `corpus::lines` makes, says one line about
//! itself, and then answers a line for each line it gets:
//!
//! ```text
//! > flow_mod decode 20000
//! < 4312345 18041204      nanoseconds for all of them, and the checksum
//! > group_mod decode 1
//! < none                  this codec has no decoder for it
//! ```
//!
//! The checksum of decoding is that of the message (`checksum`) times how many there
//! were. That of encoding is the number of bytes written, plus the FNV-1a hash of what
//! was written last. Both are compared with what the bytes of the corpus say.

use crate::clock;
use crate::corpus::{self, Kind};
use crate::reading;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Decoding or encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bytes to value.
    Decode,
    /// Value to bytes.
    Encode,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Decode, Self::Encode];

    /// How it is written in names and to workers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Encode => "encode",
        }
    }
}

/// A worker that has not answered for so long never will: the longest it is asked for
/// takes some seconds.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// Warming up one kind and mode ends after this long, steady or not; the rounds show
/// whether it was.
const WARM_UP_MAX: Duration = Duration::from_secs(8);

/// How much the last measurements may differ when a codec counts as steady.
const STEADY: f64 = 0.05;

/// How many measurements in a row must be that near to each other.
const STEADY_RUNS: usize = 3;

/// Rounds of warming up over everything: what is compiled for one kind of message is
/// compiled again when the next one comes by the same way.
const WARM_UP_PASSES: u64 = 2;

/// A running worker.
pub struct Peer {
    /// What its figures are called.
    pub name: &'static str,
    /// What it said about itself.
    pub version: String,
    /// How it was warmed up.
    pub warm_up: String,
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    /// For each kind and mode: how many times for one measurement; none if it cannot.
    times: Vec<(Kind, Mode, Option<u64>)>,
}

impl Peer {
    /// Starts a worker.
    ///
    /// # Errors
    /// It does not start, or does not say what it is.
    pub fn start(name: &'static str, command: &mut Command, corpus: &Path) -> Result<Self> {
        let mut child = command
            .arg(corpus)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let output = child.stdout.take().context("the worker's output is a pipe")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut peer = Self {
            name,
            version: String::new(),
            warm_up: String::new(),
            requests: child.stdin.take(),
            child,
            answers,
            times: Vec::new(),
        };
        peer.version = peer.answer()?;
        Ok(peer)
    }

    /// Runs every kind and mode until it is steady, each at least `least` times, and
    /// finds out how many times make one measurement.
    ///
    /// # Errors
    /// As [`Peer::measure`].
    pub fn warm_up(&mut self, least: u64, wanted: Duration) -> Result<()> {
        for pass in 1..=WARM_UP_PASSES {
            for kind in Kind::ALL {
                for mode in Mode::ALL {
                    self.warm_up_one(kind, mode, least, wanted, pass == WARM_UP_PASSES)?;
                }
            }
        }
        self.warm_up = format!(
            "{WARM_UP_PASSES} passes over all kinds, in each at least {least} messages and until {STEADY_RUNS} \
             measurements in a row differ by less than {} % or {} s are over",
            STEADY * 100.0,
            WARM_UP_MAX.as_secs(),
        );
        Ok(())
    }

    fn warm_up_one(&mut self, kind: Kind, mode: Mode, least: u64, wanted: Duration, last: bool) -> Result<()> {
        if self.run(kind, mode, 1)?.is_none() {
            self.times.push((kind, mode, None));
            return Ok(());
        }
        let start = Instant::now();
        let mut done = 0;
        let mut recent: Vec<f64> = Vec::new();
        loop {
            let times = clock::times_for(wanted, |times| Ok(self.run(kind, mode, times)?.unwrap_or(f64::MAX)))?;
            let took = self.run(kind, mode, times)?.unwrap_or(f64::MAX) / times as f64;
            done += times;
            recent.push(took);
            let tail = recent
                .get(recent.len().saturating_sub(STEADY_RUNS)..)
                .unwrap_or_default();
            let (min, max) = tail
                .iter()
                .fold((f64::MAX, 0.0), |(min, max), took| (took.min(min), took.max(max)));
            let steady = tail.len() == STEADY_RUNS && max <= min * (1.0 + STEADY);
            if done >= least && steady || start.elapsed() > WARM_UP_MAX {
                if last {
                    self.times.push((kind, mode, Some(times)));
                }
                return Ok(());
            }
        }
    }

    /// Nanoseconds for one message; none if this codec cannot do that.
    ///
    /// # Errors
    /// The worker failed, or what it read or wrote is not what the corpus says.
    pub fn measure(&mut self, kind: Kind, mode: Mode) -> Result<Option<f64>> {
        let times = self.times.iter().find(|(k, m, _)| (*k, *m) == (kind, mode));
        let Some((.., Some(times))) = times else {
            return Ok(None);
        };
        let times = *times;
        Ok(self.run(kind, mode, times)?.map(|took| took / times as f64))
    }

    fn run(&mut self, kind: Kind, mode: Mode, times: u64) -> Result<Option<f64>> {
        let request = format!("{} {} {times}\n", kind.name(), mode.name());
        let requests = self.requests.as_mut().context("the worker takes requests")?;
        requests.write_all(request.as_bytes())?;
        requests.flush()?;
        let answer = self.answer()?;
        if answer == "none" {
            return Ok(None);
        }
        let what = || format!("{} {} {}: {answer:?}", self.name, kind.name(), mode.name());
        let (took, sum) = answer.split_once(' ').with_context(what)?;
        let (took, sum): (u64, u64) = (took.parse().with_context(what)?, sum.parse().with_context(what)?);
        let frame = kind.frame()?;
        let must = match mode {
            Mode::Decode => reading::checksum(&frame)?.wrapping_mul(times),
            Mode::Encode => (frame.len() as u64).wrapping_mul(times).wrapping_add(fnv(&frame)),
        };
        ensure!(
            sum == must,
            "{} {} {}: checksum {sum}, the bytes say {must}",
            self.name,
            kind.name(),
            mode.name()
        );
        Ok(Some(took as f64))
    }

    fn answer(&mut self) -> Result<String> {
        match self.answers.recv_timeout(ANSWER_MAX) {
            Ok(line) => Ok(line),
            Err(_) => match self.child.try_wait()? {
                Some(status) => bail!("{} ended ({status}); what it said stands above", self.name),
                None => bail!("{} does not answer", self.name),
            },
        }
    }
}

/// Ends with the end of its requests; one that does not is killed.
impl Drop for Peer {
    fn drop(&mut self) {
        self.requests = None;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes what workers read.
///
/// # Errors
/// The file cannot be written.
pub fn write_corpus(file: &Path) -> Result<()> {
    std::fs::write(file, corpus::lines()?).with_context(|| format!("{} cannot be written", file.display()))
}

/// FNV-1a of 64 bits: a hash that every language writes in three lines.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

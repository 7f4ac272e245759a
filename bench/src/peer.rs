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

/// When a worker is taken for warm: not before so many messages and so much time, and
/// then as soon as it is steady.
#[derive(Clone, Copy, Debug)]
pub struct WarmUp {
    /// Messages of each kind, for each mode.
    pub messages: u64,
    /// Time for each kind and mode. A compiler that works beside on the same core needs
    /// some, during which the codec seems steady and is not yet compiled.
    pub time: Duration,
}

/// Another codec: a worker for each kind of message.
///
/// One process for all of them would be slower, because a compiler at run time makes the
/// better code the fewer kinds it has seen. So each has its own, and the other codec is
/// measured at its best.
pub struct Peer {
    /// What its figures are called.
    pub name: &'static str,
    /// What it said about itself.
    pub version: String,
    /// How it was warmed up.
    pub warm_up: String,
    workers: Vec<Worker>,
}

impl Peer {
    /// Starts the workers of a codec; `command` makes the command of one.
    ///
    /// # Errors
    /// One does not start, or does not say what it is.
    pub fn start(name: &'static str, corpus: &Path, command: impl Fn() -> Command) -> Result<Self> {
        let mut workers = Vec::new();
        let mut version = String::new();
        for kind in Kind::ALL {
            let mut worker = Worker::start(name, kind, command().arg(corpus))?;
            version = worker.answer()?;
            workers.push(worker);
        }
        Ok(Self {
            name,
            version,
            warm_up: String::new(),
            workers,
        })
    }

    /// Runs every kind and mode until it is warm, and finds out how many times make one
    /// measurement.
    ///
    /// # Errors
    /// As [`Peer::measure`].
    pub fn warm_up(&mut self, least: WarmUp, wanted: Duration) -> Result<()> {
        for worker in &mut self.workers {
            for mode in Mode::ALL {
                let times = worker.warm_up(mode, least, wanted)?;
                worker.times.push((mode, times));
            }
        }
        self.warm_up = format!(
            "a process for each kind; each kind and mode at least {} messages and {} s, then until {STEADY_RUNS} \
             measurements in a row differ by less than {} % or {} s are over",
            least.messages,
            least.time.as_secs_f64(),
            STEADY * 100.0,
            WARM_UP_MAX.as_secs(),
        );
        Ok(())
    }

    /// Nanoseconds for one message; none if this codec cannot do that.
    ///
    /// # Errors
    /// The worker failed, or what it read or wrote is not what the corpus says.
    pub fn measure(&mut self, kind: Kind, mode: Mode) -> Result<Option<f64>> {
        let name = self.name;
        let worker = self.workers.iter_mut().find(|worker| worker.kind == kind);
        worker
            .with_context(|| format!("{name} has a worker for each kind"))?
            .measure(mode)
    }
}

/// A process that measures one kind of message.
struct Worker {
    name: &'static str,
    kind: Kind,
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    /// For each mode: how many times for one measurement; none if it cannot.
    times: Vec<(Mode, Option<u64>)>,
}

impl Worker {
    fn start(name: &'static str, kind: Kind, command: &mut Command) -> Result<Self> {
        let mut child = command
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
        Ok(Self {
            name,
            kind,
            requests: child.stdin.take(),
            child,
            answers,
            times: Vec::new(),
        })
    }

    fn warm_up(&mut self, mode: Mode, least: WarmUp, wanted: Duration) -> Result<Option<u64>> {
        if self.run(mode, 1)?.is_none() {
            return Ok(None);
        }
        let start = Instant::now();
        let mut done = 0;
        let mut recent: Vec<f64> = Vec::new();
        loop {
            let times = clock::times_for(wanted, |times| Ok(self.run(mode, times)?.unwrap_or(f64::MAX)))?;
            recent.push(self.run(mode, times)?.unwrap_or(f64::MAX) / times as f64);
            done += times;
            let tail = recent
                .get(recent.len().saturating_sub(STEADY_RUNS)..)
                .unwrap_or_default();
            let (min, max) = tail
                .iter()
                .fold((f64::MAX, 0.0), |(min, max), took| (took.min(min), took.max(max)));
            let steady = tail.len() == STEADY_RUNS && max <= min * (1.0 + STEADY);
            let long_enough = done >= least.messages && start.elapsed() >= least.time;
            if steady && long_enough || start.elapsed() > WARM_UP_MAX {
                return Ok(Some(times));
            }
        }
    }

    fn measure(&mut self, mode: Mode) -> Result<Option<f64>> {
        let Some((_, Some(times))) = self.times.iter().find(|(of, _)| *of == mode) else {
            return Ok(None);
        };
        let times = *times;
        Ok(self.run(mode, times)?.map(|took| took / times as f64))
    }

    /// Nanoseconds for so many messages; none if the codec cannot do that.
    fn run(&mut self, mode: Mode, times: u64) -> Result<Option<f64>> {
        let what = format!("{} {} {}", self.name, self.kind.name(), mode.name());
        let request = format!("{} {} {times}\n", self.kind.name(), mode.name());
        let requests = self.requests.as_mut().context("the worker takes requests")?;
        requests
            .write_all(request.as_bytes())
            .and_then(|()| requests.flush())
            .with_context(|| format!("{what}: the worker takes no request"))?;
        let answer = self.answer()?;
        if answer == "none" {
            return Ok(None);
        }
        let not_two = || format!("{what}: {answer:?} is not an answer");
        let (took, sum) = answer.split_once(' ').with_context(not_two)?;
        let took: u64 = took.parse().with_context(not_two)?;
        let sum: u64 = sum.parse().with_context(not_two)?;
        let frame = self.kind.frame()?;
        let must = match mode {
            Mode::Decode => reading::checksum(&frame)?.wrapping_mul(times),
            Mode::Encode => (frame.len() as u64).wrapping_mul(times).wrapping_add(fnv(&frame)),
        };
        ensure!(sum == must, "{what}: checksum {sum}, the bytes say {must}");
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

/// A worker has nothing to clean up.
impl Drop for Worker {
    fn drop(&mut self) {
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

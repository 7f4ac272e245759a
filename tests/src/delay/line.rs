//! The delay line itself: two threads for each pair of TAP devices, one each way.
//!
//! A thread waits for a frame or for the first one to be due, whichever comes first, so
//! that nothing has to be locked between receiving and sending.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::queue::Queue;
use super::{Crossing, DirectionStats, Pair, PairStats, discovery};
use crate::lab::LINK_MTU;
use crate::sys;

/// Delays that are kept for the median: the latest, because a test resets before it measures.
pub const RECORDED_MAX: usize = 65_536;

/// Longest delay that can be set: more would only fill the queue.
const DELAY_MAX_US: u64 = 10_000_000;

/// Crossings that may wait to be written; more are counted as `unlogged`.
const CROSSINGS_WAITING_MAX: usize = 4_096;

/// Frames read before looking at the clock again, so that a flood cannot hold frames that are due.
const READ_IN_A_ROW_MAX: usize = 32;

/// Frames the kernel may hold for one device while this program is kept from running.
const DEVICE_QUEUE: &str = "4096";

/// A timed wait ends this much early, and the rest is spent looking at the clock: waking up takes as long.
const SPIN_NS: u64 = 80_000;

/// Frames under way up to which the clock is looked at like this. More of them come closer together than the early end is
/// long, and the thread would never sleep.
const SPIN_FRAMES_MAX: usize = 2;

/// Above everything that is not real time, below the kernel's own threads.
const PRIORITY: i32 = 20;

/// All pairs, and the commands.
pub struct Line {
    pairs: Vec<(Pair, Arc<Device>, Arc<Device>)>,
    realtime: bool,
    log: Arc<OnceLock<SyncSender<Crossing>>>,
}

/// Room for the kernel's stamps of frames, as much as for the frames themselves.
const STAMPS_BUFFER: i32 = 8 << 20;

/// A stamp older than this is not believed: no thread under SCHED_FIFO sleeps longer, and the clock may have been set.
const STAMP_AGE_MAX_NS: u64 = 20_000_000;

/// When frames left the switch, by the kernel's stamps: its thread gets them some ten microseconds later.
struct Departures(Option<OwnedFd>);

impl Departures {
    /// When this frame, just read, left; `now_ns` if nothing better is known.
    fn of(&self, frame: &[u8], now_ns: u64) -> u64 {
        let Some(socket) = &self.0 else { return now_ns };
        let mut seen = [0; sys::DEPARTURE_MAX];
        // The stamps are in the order of the frames; those of frames that the device dropped are passed over.
        while let Ok(Some((length, age_ns))) = sys::departure(socket, &mut seen) {
            if frame.starts_with(&seen[..length]) && age_ns <= STAMP_AGE_MAX_NS {
                return sys::monotonic_ns() - age_ns;
            }
        }
        now_ns
    }
}

/// One TAP device and the direction that begins at it.
struct Device {
    tap: File,
    departures: Departures,
    delay_us: AtomicU64,
    cut: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    stats: DirectionStats,
    recorded_ns: Vec<u64>,
}

impl Record {
    fn forwarded(&mut self, delay_ns: u64) {
        let stats = &mut self.stats;
        stats.min_ns = if stats.frames == 0 {
            delay_ns
        } else {
            stats.min_ns.min(delay_ns)
        };
        stats.max_ns = stats.max_ns.max(delay_ns);
        let slot = stats.frames as usize % RECORDED_MAX;
        stats.frames += 1;
        match self.recorded_ns.get_mut(slot) {
            Some(oldest) => *oldest = delay_ns,
            None => self.recorded_ns.push(delay_ns),
        }
    }

    fn stats(&self) -> DirectionStats {
        let mut sorted = self.recorded_ns.clone();
        sorted.sort_unstable();
        let median_ns = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        DirectionStats {
            median_ns,
            ..self.stats.clone()
        }
    }
}

impl Device {
    fn new(name: &str, delay_us: u64) -> Result<Device> {
        let tap = sys::tap(name).with_context(|| format!("TAP device {name}"))?;
        let mtu = LINK_MTU.to_string();
        let set = [
            "link",
            "set",
            "dev",
            name,
            "mtu",
            &mtu,
            "txqueuelen",
            DEVICE_QUEUE,
            "up",
        ];
        let output = Command::new("ip").args(set).output().context("running ip")?;
        ensure!(
            output.status.success(),
            "ip {set:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Device {
            tap,
            // Where the kernel gives no stamps, a frame is late by as long as its thread takes to wake up.
            departures: Departures(sys::departures_socket(name, STAMPS_BUFFER).ok()),
            delay_us: AtomicU64::new(delay_us),
            cut: AtomicBool::new(false),
            record: Mutex::default(),
        })
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Makes the devices and starts forwarding.
    ///
    /// # Errors
    /// A device cannot be made.
    pub fn start(pairs: Vec<Pair>) -> Result<Line> {
        let log = Arc::new(OnceLock::new());
        let (ready, started) = sync_channel(1);
        let mut line = Line {
            pairs: Vec::new(),
            realtime: true,
            log,
        };
        for pair in pairs {
            ensure!(
                pair.name.split_whitespace().eq([&pair.name]),
                "pair name {:?}",
                pair.name
            );
            let a = Arc::new(Device::new(&pair.a, pair.a_to_b_us)?);
            let b = Arc::new(Device::new(&pair.b, pair.b_to_a_us)?);
            for a_to_b in [true, false] {
                let (from, to) = if a_to_b {
                    (a.clone(), b.clone())
                } else {
                    (b.clone(), a.clone())
                };
                let (name, log, ready) = (pair.name.clone(), line.log.clone(), ready.clone());
                std::thread::spawn(move || {
                    let realtime = sys::realtime(0, PRIORITY);
                    sys::exact_timers();
                    // The starter is gone only when the program ends.
                    let _ = ready.send(realtime);
                    if let Err(error) = forward(&name, a_to_b, &from, &to, &log) {
                        eprintln!("pair {name}: {error}");
                        std::process::exit(1);
                    }
                });
                line.realtime &= started.recv()?;
            }
            line.pairs.push((pair, a, b));
        }
        Ok(line)
    }

    /// Whether all threads run under SCHED_FIFO.
    pub fn realtime(&self) -> bool {
        self.realtime
    }

    /// Does what a line says; `None` asks the program to end.
    ///
    /// # Errors
    /// The line is no command, or names no pair.
    pub fn command(&self, line: &str) -> Result<Option<Value>> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = Some(json!({"ok": true}));
        match words[..] {
            ["set", pair, a_to_b_us, b_to_a_us] => {
                let (_, a, b) = self.pair(pair)?;
                let (a_to_b_us, b_to_a_us) = (delay(a_to_b_us)?, delay(b_to_a_us)?);
                a.delay_us.store(a_to_b_us, Relaxed);
                b.delay_us.store(b_to_a_us, Relaxed);
                Ok(done)
            }
            ["cut" | "join", pair] => {
                let (_, a, b) = self.pair(pair)?;
                for device in [a, b] {
                    device.cut.store(words[0] == "cut", Relaxed);
                }
                Ok(done)
            }
            ["carrier", pair, state @ ("up" | "down")] => {
                let (_, a, b) = self.pair(pair)?;
                [a, b]
                    .into_iter()
                    .try_for_each(|device| sys::tap_carrier(&device.tap, state == "up"))?;
                Ok(done)
            }
            ["stats", pair] => {
                let (_, a, b) = self.pair(pair)?;
                let stats = PairStats {
                    a_to_b: a.record().stats(),
                    b_to_a: b.record().stats(),
                };
                Ok(Some(serde_json::to_value(stats)?))
            }
            ["stats"] => {
                let all = self.pairs.iter().map(|(pair, a, b)| {
                    let stats = PairStats {
                        a_to_b: a.record().stats(),
                        b_to_a: b.record().stats(),
                    };
                    Ok((pair.name.clone(), serde_json::to_value(stats)?))
                });
                Ok(Some(Value::Object(all.collect::<Result<_>>()?)))
            }
            ["reset", pair] => {
                let (_, a, b) = self.pair(pair)?;
                for device in [a, b] {
                    *device.record() = Record::default();
                }
                Ok(done)
            }
            ["log", path] => {
                let file = File::create(path).context("log")?;
                let (sender, receiver) = sync_channel(CROSSINGS_WAITING_MAX);
                ensure!(self.log.set(sender).is_ok(), "there is a log already");
                std::thread::spawn(move || write_log(file, &receiver));
                Ok(done)
            }
            ["quit"] => Ok(None),
            _ => bail!("unknown command {line:?}"),
        }
    }

    fn pair(&self, name: &str) -> Result<&(Pair, Arc<Device>, Arc<Device>)> {
        self.pairs
            .iter()
            .find(|(pair, ..)| pair.name == name)
            .with_context(|| format!("no pair {name:?}"))
    }
}

fn delay(word: &str) -> Result<u64> {
    let delay_us: u64 = word.parse().with_context(|| format!("delay {word:?}"))?;
    ensure!(delay_us <= DELAY_MAX_US, "delay {delay_us} us: at most {DELAY_MAX_US}");
    Ok(delay_us)
}

fn write_log(mut file: File, crossings: &Receiver<Crossing>) {
    for crossing in crossings {
        let written = serde_json::to_string(&crossing)
            .map_err(io::Error::other)
            .and_then(|mut line| {
                line.push('\n');
                file.write_all(line.as_bytes())
            });
        if let Err(error) = written {
            eprintln!("log: {error}");
            return;
        }
    }
}

/// Forwards the frames that come out of `from` into `to`, for ever.
fn forward(
    pair: &str,
    a_to_b: bool,
    from: &Device,
    to: &Device,
    log: &OnceLock<SyncSender<Crossing>>,
) -> io::Result<()> {
    let mut queue = Queue::default();
    let mut buffer = vec![0; LINK_MTU as usize + 64];
    loop {
        while let Some(frame) = queue.pop(sys::monotonic_ns()) {
            if from.cut.load(Relaxed) {
                from.record().stats.dropped_cut += 1;
                continue;
            }
            // Taken before the write, which wakes the far switch and may let it run first.
            let written_ns = sys::monotonic_ns();
            if (&to.tap).write(&frame.bytes).is_err() {
                from.record().stats.dropped_refused += 1;
                continue;
            }
            from.record().forwarded(written_ns - frame.received_ns);
            if let Some(log) = log.get()
                && let Some((udp_port, payload)) = discovery::find(&frame.bytes)
            {
                let payload = payload.iter().map(|byte| format!("{byte:02x}")).collect();
                let (pair, received_ns) = (pair.to_owned(), frame.received_ns);
                // A log that cannot keep up must not delay frames.
                let crossing = Crossing {
                    pair,
                    a_to_b,
                    udp_port,
                    received_ns,
                    written_ns,
                    payload,
                };
                if log.try_send(crossing).is_err() {
                    from.record().stats.unlogged += 1;
                }
            }
        }
        let early_ns = if queue.len() <= SPIN_FRAMES_MAX { SPIN_NS } else { 0 };
        let wait = queue
            .next_due_ns()
            .map(|due_ns| Duration::from_nanos(due_ns.saturating_sub(sys::monotonic_ns() + early_ns)));
        if !sys::wait_readable(from.tap.as_raw_fd(), wait)? {
            std::hint::spin_loop();
            continue;
        }
        for _ in 0..READ_IN_A_ROW_MAX {
            let length = match (&from.tap).read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if from.cut.load(Relaxed) {
                from.record().stats.dropped_cut += 1;
                continue;
            }
            let delay_ns = from.delay_us.load(Relaxed) * 1_000;
            let left_ns = from.departures.of(&buffer[..length], sys::monotonic_ns());
            if !queue.push(left_ns, delay_ns, buffer[..length].to_vec()) {
                from.record().stats.dropped_full += 1;
            }
        }
    }
}

/// The program: pairs as JSON arguments, commands on standard input, answers on standard output.
///
/// # Errors
/// A pair is malformed or cannot be made, or standard output is closed.
pub fn serve(arguments: impl Iterator<Item = String>) -> Result<()> {
    let pairs = arguments.map(|text| serde_json::from_str(&text).with_context(|| format!("pair {text}")));
    let line = Line::start(pairs.collect::<Result<_>>()?)?;
    let mut output = io::stdout();
    writeln!(output, "{}", json!({"ready": true, "realtime": line.realtime()}))?;
    for command in io::stdin().lines() {
        let answer = match line.command(&command?) {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            Err(error) => json!({"error": format!("{error:#}")}),
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

/// Whether TAP devices can be made on this machine (by root).
pub fn possible() -> bool {
    Path::new("/dev/net/tun").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_the_latest_frames() {
        let mut record = Record::default();
        for delay_ns in 0..RECORDED_MAX as u64 {
            record.forwarded(delay_ns);
        }
        for _ in 0..RECORDED_MAX {
            record.forwarded(7);
        }
        let stats = record.stats();
        assert_eq!((stats.frames, stats.median_ns), (2 * RECORDED_MAX as u64, 7));
        assert_eq!((stats.min_ns, stats.max_ns), (0, RECORDED_MAX as u64 - 1));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        let line = Line::start(Vec::new()).expect("no devices to make");
        for (text, cause) in [
            ("set x 1 2", "no pair"),
            ("hello", "unknown command"),
            ("stats y", "no pair"),
            ("", "unknown"),
        ] {
            let error = line.command(text).expect_err(text).to_string();
            assert!(error.contains(cause), "{text}: {error}");
        }
        assert!(line.command("quit").expect("a command").is_none());
    }
}

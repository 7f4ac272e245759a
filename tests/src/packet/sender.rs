//! One stream being sent: a thread that keeps the pace.
//!
//! It wakes at most once a millisecond and sends what is due, so that thousands of
//! packets a second cost little. What it could not send in time it does not send in
//! one burst later: that would fill buffers no real host fills.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::frame::{Kind, LENGTH_MAX, LENGTH_MIN, Packet};
use super::{RATE_MAX, Sent, Stream};
use crate::sys;

/// Packets sent at once after a pause; what else was due then is forgiven.
const BURST_MAX: u64 = 64;

/// Time between two wake-ups of a fast stream.
const TICK: Duration = Duration::from_millis(1);

/// Most tags of a stream: one more than the two of a QinQ service.
const TAGS_MAX: usize = 3;

/// A stream that was started.
pub struct Sender {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

struct Shared {
    next: AtomicU64,
    begun: AtomicU64,
    stop: AtomicBool,
    ended: AtomicBool,
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Destination and source.
    pub macs: [[u8; 6]; 2],
    /// Source and destination.
    pub addresses: [[u8; 4]; 2],
}

impl Sender {
    /// Starts sending on an interface.
    ///
    /// # Errors
    /// The stream is not one that can be sent, or the interface is gone.
    pub fn start(interface: &str, addresses: Addresses, stream: Stream) -> Result<Sender> {
        ensure!(
            (1..=RATE_MAX).contains(&stream.rate),
            "rate {}: 1 to {RATE_MAX}",
            stream.rate
        );
        ensure!(
            stream.tags.len() <= TAGS_MAX,
            "{} tags: at most {TAGS_MAX}",
            stream.tags.len()
        );
        let lengths = LENGTH_MIN..=LENGTH_MAX;
        ensure!(
            lengths.contains(&stream.length),
            "length {}: {lengths:?}",
            stream.length
        );
        let socket = sys::sending_socket(interface)?;
        let shared = Arc::new(Shared {
            next: 0.into(),
            begun: 0.into(),
            stop: false.into(),
            ended: false.into(),
        });
        let ours = shared.clone();
        let thread = std::thread::spawn(move || {
            let result = send(&socket, addresses, &stream, &ours);
            ours.ended.store(true, SeqCst);
            result
        });
        Ok(Sender {
            shared,
            thread: Some(thread),
        })
    }

    /// How far it is.
    pub fn sent(&self) -> Sent {
        // In this order: an ended stream's number is final.
        let ended = self.shared.ended.load(SeqCst);
        Sent {
            next: self.shared.next.load(SeqCst),
            begun: self.shared.begun.load(SeqCst),
            ended,
        }
    }

    /// Ends it and waits until the last packet is out.
    ///
    /// # Errors
    /// It had ended by itself, because the interface refused a packet.
    pub fn stop(&mut self) -> Result<Sent> {
        self.shared.stop.store(true, SeqCst);
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(self.sent()),
            Some(Ok(Err(error))) => bail!("packet {}: {error}", self.sent().next),
            Some(Err(_)) => bail!("the sending thread panicked"),
        }
    }
}

fn send(mut socket: &File, addresses: Addresses, stream: &Stream, shared: &Shared) -> io::Result<()> {
    sys::exact_timers();
    let Addresses { macs, addresses } = addresses;
    let kind = if stream.ask { Kind::Ask } else { Kind::Data };
    let mut packet = Packet {
        macs,
        tags: stream.tags.clone(),
        addresses,
        stream: stream.stream,
        kind,
        number: 0,
        sent_ns: 0,
        length: stream.length,
    };
    let mut frame = Vec::new();
    let interval = Duration::from_secs(1) / stream.rate;
    let mut due_at = Instant::now();
    let end = stream.count.unwrap_or(u64::MAX);
    while packet.number < end && !shared.stop.load(SeqCst) {
        let mut burst = 0;
        while packet.number < end && due_at <= Instant::now() && burst < BURST_MAX {
            packet.sent_ns = sys::monotonic_ns();
            packet.build(&mut frame);
            shared.begun.store(packet.number + 1, SeqCst);
            match socket.write(&frame) {
                Ok(_) => packet.number += 1,
                // The same number again at the next tick.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => break,
                Err(error) => return Err(error),
            }
            shared.next.store(packet.number, SeqCst);
            due_at += interval;
            burst += 1;
        }
        let now = Instant::now();
        if burst == BURST_MAX {
            due_at = due_at.max(now);
        }
        if packet.number < end {
            std::thread::sleep(due_at.saturating_duration_since(now).max(interval.min(TICK)));
        }
    }
    Ok(())
}

//! The load of the echo figures: connections with a number of echo requests unanswered at a time, from one thread.
//!
//! It does as little as it can for each (a header is looked at, a number written), because what it takes is in both
//! sides of a ratio. Every reply is held against its request.

use crate::bare::Bare;
use crate::series::percentile;
use crate::tls::{self, Wire, not_now};
use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use mio::{Events, Poll, Token};
use ofproto::{Framer, HEADER_LEN, Header, Message, MessageType, VERSION_1_3};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is asked of whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// Whom.
    pub to: SocketAddr,
    /// Connections, each a switch of its own.
    pub connections: usize,
    /// Requests unanswered at a time on each.
    pub in_flight: usize,
    /// Bytes of a request, its header included.
    pub bytes: usize,
    /// How long to ask before it counts.
    pub warm_up: Duration,
    /// How long it counts.
    pub time: Duration,
    /// Folder with certificates; none: plain TCP.
    pub tls: Option<PathBuf>,
}

/// Bytes read at once; more than a connection ever has under way.
const READ_BYTES: usize = 64 * 1024;
/// How long handshakes may take. A speaker under test is alone with them.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// Latencies are kept one by one only where one is in flight; a minute of them.
const SAMPLES_MAX: usize = 8 << 20;

struct Connection {
    wire: Wire,
    bare: Bare,
    framer: Framer,
    settled: bool,
    /// Number of the next request, and of the request whose reply is next.
    next: u32,
    awaited: u32,
    asked: Instant,
    /// What the socket did not take.
    unwritten: Vec<u8>,
}

struct Run<'l> {
    load: &'l Load,
    /// One request, without its number.
    request: Vec<u8>,
    out: Vec<u8>,
    samples: Vec<u32>,
    answered: u64,
    counts: bool,
}

/// Runs the load: requests answered in a second and, with one in flight, how long each took.
///
/// # Errors
/// A reply was not what was asked for, or a connection ended.
pub fn run(load: &Load) -> Result<Value> {
    ensure!(
        (HEADER_LEN..=0xffff).contains(&load.bytes),
        "{} bytes are no message",
        load.bytes
    );
    let mut poll = Poll::new()?;
    let config = load.tls.as_deref().map(tls::client).transpose()?;
    let mut connections = Vec::new();
    for number in 0..load.connections {
        let mut wire = Wire::connect(load.to, config.as_ref())?;
        wire.register(poll.registry(), Token(number))?;
        connections.push(Connection {
            wire,
            bare: Bare::new(1 + number as u64, 1),
            framer: Framer::new(),
            settled: false,
            next: 0,
            awaited: 0,
            asked: Instant::now(),
            unwritten: Bare::hello().to_vec(),
        });
    }
    let mut request = vec![0; load.bytes];
    let length = u16::try_from(load.bytes)?.to_be_bytes();
    request[..4].copy_from_slice(&[VERSION_1_3, MessageType::ECHO_REQUEST.0, length[0], length[1]]);
    let mut run = Run {
        load,
        request,
        out: Vec::new(),
        samples: Vec::with_capacity(if load.in_flight == 1 && load.connections == 1 {
            SAMPLES_MAX
        } else {
            0
        }),
        answered: 0,
        counts: false,
    };
    let mut events = Events::with_capacity(1_024);
    let mut buffer = vec![0; READ_BYTES];
    let begun = Instant::now();
    while connections.iter().any(|connection| !connection.settled) {
        ensure!(
            begun.elapsed() < HANDSHAKE_MAX,
            "not all connections got through their handshake"
        );
        run.turn(
            &mut poll,
            &mut events,
            &mut connections,
            &mut buffer,
            Some(Duration::from_millis(100)),
        )?;
    }
    for connection in &mut connections {
        run.ask(connection, load.in_flight)?;
    }
    run.until(
        Instant::now() + load.warm_up,
        &mut poll,
        &mut events,
        &mut connections,
        &mut buffer,
    )?;
    run.answered = 0;
    run.counts = true;
    let since = Instant::now();
    run.until(since + load.time, &mut poll, &mut events, &mut connections, &mut buffer)?;
    let seconds = since.elapsed().as_secs_f64();
    Ok(run.told(seconds))
}

impl Run<'_> {
    fn until(
        &mut self,
        end: Instant,
        poll: &mut Poll,
        events: &mut Events,
        connections: &mut [Connection],
        buffer: &mut [u8],
    ) -> Result<()> {
        loop {
            // The clock is asked once for some turns: a turn is short against the time that is measured.
            for _ in 0..16 {
                self.turn(poll, events, connections, buffer, Some(Duration::from_millis(100)))?;
            }
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    fn turn(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        connections: &mut [Connection],
        buffer: &mut [u8],
        wait: Option<Duration>,
    ) -> Result<()> {
        match poll.poll(events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &*events {
            let Some(connection) = connections.get_mut(event.token().0) else {
                continue;
            };
            if event.is_writable() {
                let bytes = std::mem::take(&mut connection.unwritten);
                write(connection, &bytes)?;
            }
            if event.is_readable() || event.is_read_closed() {
                self.read(connection, buffer)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Result<()> {
        loop {
            let count = match connection.wire.read(buffer) {
                Ok(0) => bail!("the other side closed a connection"),
                Ok(count) => count,
                Err(error) if not_now(&error) => return Ok(()),
                Err(error) => return Err(error).context("reading"),
            };
            self.received(connection, buffer.get(..count).unwrap_or_default())?;
            if count < buffer.len() && connection.wire.short_is_all() {
                return Ok(());
            }
        }
    }

    fn received(&mut self, connection: &mut Connection, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        let mut replies = 0;
        if connection.framer.waiting() == 0 {
            // Nearly always whole replies, which are looked at where they lie.
            while let Some((reply, behind)) = rest.split_at_checked(self.load.bytes) {
                if !self.is_reply(connection, reply) {
                    break;
                }
                replies += 1;
                rest = behind;
            }
        }
        connection.framer.push(rest);
        let mut out = BytesMut::new();
        while let Some(frame) = connection.framer.next_frame()? {
            if self.is_reply(connection, &frame) {
                replies += 1;
            } else {
                let message = Message::decode(&frame)?;
                ensure!(
                    !matches!(message.body, ofproto::Body::EchoReply(_)),
                    "a reply to another request: {message}"
                );
                connection.bare.answer(message, &mut out)?;
            }
        }
        connection.settled |= connection.bare.is_settled();
        write(connection, &out)?;
        if replies > 0 {
            self.answered += replies;
            if self.counts && self.samples.len() < self.samples.capacity() {
                let took = connection.asked.elapsed().as_nanos();
                self.samples.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
            self.ask(connection, usize::try_from(replies)?)?;
        }
        Ok(())
    }

    /// Whether this is the reply that is next.
    fn is_reply(&self, connection: &mut Connection, frame: &[u8]) -> bool {
        let is = Header::peek(frame).is_some_and(|header| {
            header.kind == MessageType::ECHO_REPLY
                && usize::from(header.length) == self.load.bytes
                && header.xid == connection.awaited
                && connection.awaited != connection.next
        });
        connection.awaited = connection.awaited.wrapping_add(u32::from(is));
        is
    }

    fn ask(&mut self, connection: &mut Connection, count: usize) -> Result<()> {
        self.out.clear();
        for _ in 0..count {
            if let Some(xid) = self.request.get_mut(4..HEADER_LEN) {
                xid.copy_from_slice(&connection.next.to_be_bytes());
            }
            connection.next = connection.next.wrapping_add(1);
            self.out.extend_from_slice(&self.request);
        }
        if self.samples.capacity() > 0 {
            connection.asked = Instant::now();
        }
        write(connection, &self.out)
    }

    fn told(&self, seconds: f64) -> Value {
        let mut micros: Vec<f64> = self.samples.iter().map(|nanos| f64::from(*nanos) / 1e3).collect();
        json!({
            "per_second": self.answered as f64 / seconds,
            "answered": self.answered,
            "p50_us": percentile(&mut micros, 0.5, 1),
            "p99_us": percentile(&mut micros, 0.99, 1_000),
        })
    }
}

fn write(connection: &mut Connection, bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    while connection.unwritten.is_empty() && !rest.is_empty() {
        match connection.wire.write(rest) {
            Ok(0) => break,
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if not_now(&error) => break,
            Err(error) => return Err(error).context("writing"),
        }
    }
    connection.unwritten.extend_from_slice(rest);
    // What a TLS session took is not with the socket yet.
    match connection.wire.flush() {
        Err(error) if !not_now(&error) => Err(error).context("writing"),
        _ => Ok(()),
    }
}

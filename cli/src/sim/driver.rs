//! The loop around the simulated network: sockets, standard input and output, the clock. It decides nothing.
//!
//! One thread owns the machine. Each try to connect has a thread, which then reads; each connection has one that writes. All
//! queues between them are bounded.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::capture::Capture;
use super::dialer::Line;
use super::fabric::{Fabric, Input, Output};
use super::request::Request;
use super::switch::ConnId;
use super::topology::Topology;
use crate::failure::Failure;
use crate::{lines, output};

/// Things that happened and wait for the machine. Then readers wait, and so do the controllers behind them.
const EVENTS_MAX: usize = 1_024;
/// Messages that wait to be written to one controller. One that reads so slowly is hung up on.
const UNWRITTEN_MAX: usize = 16_384;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// How long one try may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Bytes of a line on standard input.
const LINE_MAX: u64 = 64 * 1024;
/// How often the machine is looked after when it waits for nothing.
const IDLE: Duration = Duration::from_secs(60);

enum Event {
    Connected(Line, ConnId, TcpStream),
    Unreachable(Line),
    Received(ConnId, Bytes),
    Closed(ConnId),
    Line(Vec<u8>),
    /// Standard input is at its end, or cannot be read.
    InputEnded(Option<io::Error>),
}

/// A connection's way out.
struct Writer {
    queue: SyncSender<Bytes>,
    socket: TcpStream,
}

struct Driver {
    fabric: Fabric,
    controllers: Vec<SocketAddr>,
    events: SyncSender<Event>,
    /// Number of the next connection, shared with the threads that make them.
    next_conn: Arc<AtomicU64>,
    writers: BTreeMap<ConnId, Writer>,
    capture: Option<Capture>,
}

/// Runs the network until `quit` is asked or standard input closes.
///
/// # Errors
/// The capture cannot be written, threads cannot be started, or standard input or output fail.
pub fn run(topology: &Topology, controllers: &[SocketAddr], capture: Option<&Path>) -> Result<(), Failure> {
    let capture = capture.map(|path| {
        Capture::create(path).map_err(|error| Failure::Failed(format!("--capture {}: {error}", path.display())))
    });
    let (events, inbox) = sync_channel(EVENTS_MAX);
    let mut driver = Driver {
        fabric: Fabric::new(topology, controllers.len(), Instant::now()),
        controllers: controllers.to_vec(),
        events: events.clone(),
        next_conn: Arc::new(AtomicU64::new(1)),
        writers: BTreeMap::new(),
        capture: capture.transpose()?,
    };
    let started = read_stdin(events);
    started.map_err(|error| Failure::Failed(format!("a thread cannot be started: {error}")))?;
    output::line(&ready(topology).to_string())?;
    driver.run(&inbox)
}

/// The first line: that it runs, and what there is.
fn ready(topology: &Topology) -> Value {
    json!({
        "ready": true,
        "simulated": true,
        "switches": topology.switches().collect::<Vec<_>>(),
        "links": topology.links.iter().map(|link| &link.name).collect::<Vec<_>>(),
        "hosts": topology.hosts.iter().map(|host| host.name).collect::<Vec<_>>(),
    })
}

fn read_stdin(events: SyncSender<Event>) -> io::Result<()> {
    let read = move || {
        let mut stdin = io::stdin().lock();
        let ended = loop {
            match lines::next(&mut stdin, LINE_MAX) {
                Ok(Some(line)) => {
                    if events.send(Event::Line(line)).is_err() {
                        return;
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let _ = events.send(Event::InputEnded(ended));
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read)
        .map(drop)
}

/// Tries to reach a controller, and reads what it says until it is gone. Ends with the machine.
fn dial(line: Line, controller: SocketAddr, next_conn: &AtomicU64, events: &SyncSender<Event>) {
    let reached = TcpStream::connect_timeout(&controller, CONNECT_MAX);
    let both = reached.and_then(|socket| {
        socket.set_nodelay(true)?;
        Ok((socket.try_clone()?, socket))
    });
    let Ok((ours, mut socket)) = both else {
        let _ = events.send(Event::Unreachable(line));
        return;
    };
    let conn = ConnId(next_conn.fetch_add(1, Ordering::Relaxed));
    if events.send(Event::Connected(line, conn, ours)).is_err() {
        return;
    }
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
        if events.send(Event::Received(conn, bytes)).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Closed(conn));
}

impl Driver {
    fn run(&mut self, inbox: &Receiver<Event>) -> Result<(), Failure> {
        loop {
            while let Some(output) = self.fabric.poll_output() {
                match output {
                    Output::Write(conn, bytes) => self.write(conn, bytes),
                    Output::Close(conn, reason) => self.close(conn, &reason),
                    Output::Dial(line) => self.dial(line),
                    Output::Answer(answer) => output::line(&answer.to_string())?,
                    Output::Quit => return Ok(()),
                }
            }
            self.keep(|capture| capture.flush());
            let now = Instant::now();
            let wait = self
                .fabric
                .poll_timeout()
                .map_or(IDLE, |(due, _)| due.saturating_duration_since(now));
            match inbox.recv_timeout(wait) {
                Ok(event) => {
                    if self.event(event)? {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.fabric.handle_timeout(Instant::now()),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Gives true when that was the end.
    fn event(&mut self, event: Event) -> Result<bool, Failure> {
        let now = Instant::now();
        match event {
            Event::Connected(line, conn, socket) => self.connected(now, line, conn, socket),
            Event::Unreachable(line) => self.fabric.handle_input(now, Input::Unreachable(line)),
            Event::Received(conn, bytes) => {
                // What comes after hanging up belongs to nobody.
                if self.writers.contains_key(&conn) {
                    self.keep(|capture| capture.said(conn, false, &bytes));
                    self.fabric.handle_input(now, Input::Received(conn, bytes));
                }
            }
            Event::Closed(conn) => {
                self.fabric.handle_input(now, Input::Closed(conn));
                if self.writers.remove(&conn).is_some() {
                    self.keep(|capture| capture.closed(conn));
                }
            }
            Event::Line(line) if line.iter().all(u8::is_ascii_whitespace) => {}
            Event::Line(line) => match serde_json::from_slice::<Request>(&line) {
                Ok(request) => self.fabric.handle_input(now, Input::Asked(request)),
                Err(error) => output::line(&json!({ "error": error.to_string() }).to_string())?,
            },
            Event::InputEnded(None) => return Ok(true),
            Event::InputEnded(Some(error)) => return Err(Failure::Failed(format!("standard input: {error}"))),
        }
        Ok(false)
    }

    fn dial(&mut self, line: Line) {
        let (events, next_conn) = (self.events.clone(), self.next_conn.clone());
        let Some(controller) = self.controllers.get(line.controller).copied() else {
            return;
        };
        let name = format!("s{}-{controller}", line.switch.0);
        let work = move || dial(line, controller, &next_conn, &events);
        if std::thread::Builder::new().name(name).spawn(work).is_err() {
            self.fabric.handle_input(Instant::now(), Input::Unreachable(line));
        }
    }

    fn connected(&mut self, now: Instant, line: Line, conn: ConnId, socket: TcpStream) {
        let (queue, unwritten) = sync_channel::<Bytes>(UNWRITTEN_MAX);
        let ends = (socket.local_addr(), socket.peer_addr(), socket.try_clone());
        let (Ok(local), Ok(peer), Ok(mut out)) = ends else {
            // It ended before it began.
            return self.fabric.handle_input(now, Input::Unreachable(line));
        };
        let write = move || {
            for bytes in unwritten {
                if out.write_all(&bytes).is_err() {
                    // Wakes its reader, which tells the end.
                    let _ = out.shutdown(Shutdown::Both);
                    return;
                }
            }
            // All is said that is to be said before hanging up.
            let _ = out.shutdown(Shutdown::Both);
        };
        if std::thread::Builder::new()
            .name(format!("write-{}", conn.0))
            .spawn(write)
            .is_err()
        {
            let _ = socket.shutdown(Shutdown::Both);
            return self.fabric.handle_input(now, Input::Unreachable(line));
        }
        self.keep(|capture| capture.opened(conn, local, peer));
        self.writers.insert(conn, Writer { queue, socket });
        self.fabric.handle_input(now, Input::Connected(line, conn));
    }

    fn write(&mut self, conn: ConnId, bytes: Bytes) {
        let Some(writer) = self.writers.get(&conn) else { return };
        match writer.queue.try_send(bytes.clone()) {
            Ok(()) => self.keep(|capture| capture.said(conn, true, &bytes)),
            Err(TrySendError::Full(_)) => {
                eprintln!("connection {}: the controller does not read", conn.0);
                let _ = writer.socket.shutdown(Shutdown::Both);
            }
            // Its reader tells the end.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// The switch hangs up: its writer ends when everything is written.
    fn close(&mut self, conn: ConnId, reason: &str) {
        eprintln!("connection {}: {reason}", conn.0);
        if self.writers.remove(&conn).is_some() {
            self.keep(|capture| capture.closed(conn));
        }
    }

    /// Writes to the capture, if there is one; when that fails there is none any more.
    fn keep(&mut self, write: impl FnOnce(&mut Capture) -> io::Result<()>) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = write(capture)
        {
            eprintln!("capture: {error}");
            self.capture = None;
        }
    }
}

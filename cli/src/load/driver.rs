//! The loop around the machine: sockets, standard input and output, the clock. It decides nothing.
//!
//! One thread. Each connection has a task that reads; what is to be written is written at once, by whoever gave the machine
//! its input, and only what the socket does not take waits for the connection's task.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use skerry_io::shutdown::Shutdown;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::plan::Plan;
use super::request::Request;
use super::tls::{Session, Tls};
use super::world::{Dial, Input, Output, World};
use crate::failure::Failure;
use crate::sim::switch::ConnId;
use crate::{lines, output};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// What the system keeps for a connection that reads slowly: as little as it lets one ask for.
const SMALL_BUFFER: u32 = 2_048;
/// Bytes read at once in a TLS handshake.
const HANDSHAKE_BYTES: usize = 4 * 1024;
/// How long one try may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the last words may take before hanging up.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
/// Bytes of a line on standard input.
const LINE_MAX: u64 = 64 * 1024;
/// Lines that wait for the machine; then standard input waits.
const LINES_MAX: usize = 64;
/// How often the machine is looked after when it waits for nothing.
const IDLE: Duration = Duration::from_secs(60);

/// A connection as the machine's outputs see it.
struct Socket {
    write: OwnedWriteHalf,
    /// What goes through it is sealed.
    tls: Option<RefCell<Session>>,
    /// The socket took less than there was; its task waits until it takes more.
    blocked: Cell<bool>,
    /// Bytes that may still be read.
    may_read: Cell<usize>,
    /// What is to be written before hanging up, once that is wanted.
    last: RefCell<Option<Bytes>>,
    /// One of those above is new.
    poked: Notify,
}

/// What all tasks share. One thread, so a borrow lasts until the next await and no longer.
struct Shared {
    world: RefCell<World>,
    tls: Option<Tls>,
    sockets: RefCell<HashMap<ConnId, Rc<Socket>>>,
    buffer: RefCell<Vec<u8>>,
    /// The machine has another deadline than the clock's task waits for.
    earlier: Notify,
    waits_until: Cell<Option<Instant>>,
    /// How the run ended.
    ended: Cell<Option<bool>>,
    failed: RefCell<Option<Failure>>,
    end: Notify,
}

/// Runs until the machine says the end.
///
/// # Errors
/// Standard input or output fail; not every switch got through its handshake.
pub fn run(plan: Plan, tls: Option<Tls>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("the run cannot be started: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed)?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async move {
        let mut signals = Shutdown::new().map_err(failed)?;
        let (sender, mut asked) = mpsc::channel(LINES_MAX);
        read_stdin(sender).map_err(failed)?;
        let shared = Rc::new(Shared {
            world: RefCell::new(World::new(plan, Instant::now())),
            tls,
            sockets: RefCell::default(),
            buffer: RefCell::new(vec![0; READ_BYTES]),
            earlier: Notify::new(),
            waits_until: Cell::new(None),
            ended: Cell::new(None),
            failed: RefCell::new(None),
            end: Notify::new(),
        });
        tokio::task::spawn_local(keep_time(shared.clone()));
        let mut listens = true;
        while shared.ended.get().is_none() && shared.failed.borrow().is_none() {
            tokio::select! {
                line = asked.recv(), if listens => match line {
                    Some(Line::Text(line)) => shared.line(&line),
                    Some(Line::End) => shared.input(Input::NobodyAsks),
                    // The thread has said its last line.
                    None => listens = false,
                },
                _ = signals.asked() => shared.input(Input::End),
                () = shared.end.notified() => {}
            }
        }
        if let Some(failure) = shared.failed.borrow_mut().take() {
            return Err(failure);
        }
        match shared.ended.get() {
            Some(true) => Ok(()),
            _ => Err(Failure::Failed("not every switch got through its handshake".to_owned())),
        }
    })
}

/// What standard input says.
enum Line {
    Text(Vec<u8>),
    End,
}

fn read_stdin(sender: mpsc::Sender<Line>) -> io::Result<()> {
    let read = move || {
        let mut stdin = io::stdin().lock();
        while let Ok(Some(line)) = lines::next(&mut stdin, LINE_MAX) {
            if sender.blocking_send(Line::Text(line)).is_err() {
                return;
            }
        }
        let _ = sender.blocking_send(Line::End);
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read)
        .map(drop)
}

/// Wakes the machine when it wants to be woken.
async fn keep_time(shared: Rc<Shared>) {
    loop {
        shared.world.borrow_mut().handle_timeout(Instant::now());
        shared.drain();
        let due = shared.world.borrow().poll_timeout().map(|(due, _)| due);
        shared.waits_until.set(due);
        let due = due.unwrap_or_else(|| Instant::now() + IDLE);
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = shared.earlier.notified() => {}
        }
    }
}

impl Shared {
    fn input(self: &Rc<Self>, input: Input<'_>) {
        self.world.borrow_mut().handle_input(Instant::now(), input);
        self.drain();
    }

    fn line(self: &Rc<Self>, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match serde_json::from_slice::<Request>(line) {
            Ok(request) => self.input(Input::Asked(request)),
            Err(error) => self.say(&serde_json::json!({ "error": error.to_string() })),
        }
    }

    fn say(&self, line: &serde_json::Value) {
        if let Err(failure) = output::line(&line.to_string()) {
            *self.failed.borrow_mut() = Some(failure);
            self.end.notify_one();
        }
    }

    /// Does what the machine wants.
    fn drain(self: &Rc<Self>) {
        loop {
            let Some(output) = self.world.borrow_mut().poll_output() else {
                break;
            };
            match output {
                Output::Dial(dial) => {
                    tokio::task::spawn_local(self.clone().connect(dial));
                }
                Output::Write(conn) => {
                    let socket = self.sockets.borrow().get(&conn).cloned();
                    if let Some(socket) = socket.filter(|socket| !socket.blocked.get()) {
                        self.write(conn, &socket);
                    }
                }
                Output::Read(conn, bytes) => {
                    if let Some(socket) = self.sockets.borrow().get(&conn) {
                        socket.may_read.set(bytes);
                        socket.poked.notify_one();
                    }
                }
                Output::Close(conn, last) => {
                    if let Some(socket) = self.sockets.borrow_mut().remove(&conn) {
                        *socket.last.borrow_mut() = Some(last);
                        socket.poked.notify_one();
                    }
                }
                Output::Say(line) => self.say(&line),
                Output::Quit(well) => {
                    self.ended.set(Some(well));
                    self.end.notify_one();
                }
            }
        }
        let due = self.world.borrow().poll_timeout().map(|(due, _)| due);
        if let (Some(due), waits) = (due, self.waits_until.get())
            && waits.is_none_or(|waits| due < waits)
        {
            self.waits_until.set(Some(due));
            self.earlier.notify_one();
        }
    }

    /// Writes as much as the socket takes now.
    fn write(&self, conn: ConnId, socket: &Socket) {
        let written = match &socket.tls {
            None => self.write_plain(conn, socket),
            Some(session) => self.write_sealed(conn, socket, &mut session.borrow_mut()),
        };
        // Full; or gone, which the reading side sees and tells.
        let full = written.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        socket.blocked.set(full);
        if full {
            socket.poked.notify_one();
        }
    }

    fn write_plain(&self, conn: ConnId, socket: &Socket) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        while let Some(out) = world.unwritten(conn).filter(|out| !out.is_empty()) {
            let written = socket.write.try_write(out)?;
            world.wrote(conn, written);
        }
        Ok(())
    }

    fn write_sealed(&self, conn: ConnId, socket: &Socket, session: &mut Session) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        loop {
            let sealed = session.sealed()?;
            while !sealed.is_empty() {
                let written = socket.write.try_write(sealed)?;
                sealed.advance(written);
            }
            let Some(out) = world.unwritten(conn).filter(|out| !out.is_empty()) else {
                return Ok(());
            };
            let taken = session.seal(out)?;
            world.wrote(conn, taken);
        }
    }

    async fn connect(self: Rc<Self>, dial: Dial) {
        let reached = tokio::time::timeout(CONNECT_MAX, open(&dial, self.tls.as_ref())).await;
        let Reached { stream, session, early } = match reached {
            Ok(Ok(reached)) => reached,
            Ok(Err(error)) => return self.input(Input::Unreachable(dial.conn, error.to_string())),
            Err(_) => return self.input(Input::Unreachable(dial.conn, "no answer in time".to_owned())),
        };
        let (read, write) = stream.into_split();
        let socket = Rc::new(Socket {
            write,
            tls: session.map(RefCell::new),
            blocked: Cell::new(false),
            may_read: Cell::new(usize::MAX),
            last: RefCell::new(None),
            poked: Notify::new(),
        });
        self.sockets.borrow_mut().insert(dial.conn, socket.clone());
        self.input(Input::Connected(dial.conn));
        self.input(Input::Received(dial.conn, &early));
        self.serve(dial.conn, read, &socket).await;
    }

    /// Reads what a controller says, until it or the switch hangs up.
    async fn serve(self: &Rc<Self>, conn: ConnId, mut read: OwnedReadHalf, socket: &Socket) {
        loop {
            let (blocked, may_read) = (socket.blocked.get(), socket.may_read.get());
            tokio::select! {
                end = self.read(conn, &mut read, socket), if may_read > 0 => {
                    if let Some(reason) = end {
                        self.sockets.borrow_mut().remove(&conn);
                        self.input(Input::Closed(conn, reason));
                        return;
                    }
                }
                _ = socket.write.writable(), if blocked => self.write(conn, socket),
                () = socket.poked.notified() => {}
            }
            let last = socket.last.borrow_mut().take();
            if let Some(last) = last {
                hang_up(socket, last).await;
                return;
            }
        }
    }

    /// Reads once and tells the machine; gives the reason when there is no more to read.
    async fn read(self: &Rc<Self>, conn: ConnId, read: &mut OwnedReadHalf, socket: &Socket) -> Option<String> {
        let end = poll_fn(|context| {
            let mut buffer = self.buffer.borrow_mut();
            let most = socket.may_read.get().min(buffer.len());
            let mut into = ReadBuf::new(buffer.get_mut(..most).unwrap_or_default());
            Poll::Ready(match Pin::new(&mut *read).poll_read(context, &mut into) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => Some(error.kind().to_string()),
                Poll::Ready(Ok(())) if into.filled().is_empty() => Some("closed by the controller".to_owned()),
                Poll::Ready(Ok(())) => {
                    let may_read = socket.may_read.get();
                    if may_read != usize::MAX {
                        socket.may_read.set(may_read.saturating_sub(into.filled().len()));
                    }
                    let mut world = self.world.borrow_mut();
                    let mut received = |bytes: &[u8]| world.handle_input(Instant::now(), Input::Received(conn, bytes));
                    match &socket.tls {
                        None => {
                            received(into.filled());
                            None
                        }
                        Some(session) => match session.borrow_mut().open(into.filled(), received) {
                            Ok(true) => None,
                            Ok(false) => Some("closed by the controller".to_owned()),
                            Err(error) => Some(format!("TLS: {error}")),
                        },
                    }
                }
            })
        });
        let end = end.await;
        self.drain();
        end
    }
}

/// A controller that is reached.
struct Reached {
    stream: TcpStream,
    session: Option<Session>,
    /// What it said with its last words of the TLS handshake.
    early: Vec<u8>,
}

/// Reaches a controller, and its TLS if there is one.
async fn open(dial: &Dial, tls: Option<&Tls>) -> io::Result<Reached> {
    let socket = if dial.to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    if let Some(source) = dial.source {
        socket.bind((source, 0).into())?;
    }
    if dial.small {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    let stream = socket.connect(dial.to).await?;
    let Some(tls) = tls.filter(|_| dial.tls) else {
        return Ok(Reached {
            stream,
            session: None,
            early: Vec::new(),
        });
    };
    let mut session = tls.session(dial.to.ip())?;
    let mut buffer = vec![0; HANDSHAKE_BYTES];
    let mut early = Vec::new();
    loop {
        write_all(|| stream.writable(), |bytes| stream.try_write(bytes), session.sealed()?).await?;
        if !session.is_handshaking() {
            return Ok(Reached {
                stream,
                session: Some(session),
                early,
            });
        }
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                let records = buffer.get(..count).unwrap_or_default();
                session.open(records, |plain| early.extend_from_slice(plain))?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes all, and waits for it.
async fn write_all<W: Future<Output = io::Result<()>>>(
    writable: impl Fn() -> W,
    try_write: impl Fn(&[u8]) -> io::Result<usize>,
    rest: &mut BytesMut,
) -> io::Result<()> {
    while !rest.is_empty() {
        writable().await?;
        match try_write(rest) {
            Ok(written) => rest.advance(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes the last words, if they are taken, and hangs up.
async fn hang_up(socket: &Socket, last: Bytes) {
    let mut rest = match &socket.tls {
        None => BytesMut::from(last),
        Some(session) => last_records(&mut session.borrow_mut(), &last),
    };
    let write = write_all(
        || socket.write.writable(),
        |bytes| socket.write.try_write(bytes),
        &mut rest,
    );
    // A controller that takes no more is hung up on all the same.
    let _ = tokio::time::timeout(LAST_WORDS_MAX, write).await;
}

/// The last words, sealed, and the end of TLS.
fn last_records(session: &mut Session, mut last: &[u8]) -> BytesMut {
    while !last.is_empty() {
        let Ok(taken @ 1..) = session.seal(last) else { break };
        last = last.get(taken..).unwrap_or_default();
        if session.sealed().is_err() {
            break;
        }
    }
    session.say_end();
    session.sealed().map(|sealed| sealed.split()).unwrap_or_default()
}

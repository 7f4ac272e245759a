//! The connections of switches: accepting, reading, and writing what could not be written at once.
//!
//! All of it runs on one thread of its own. Bytes are stamped with the time when they were read, and handed to the
//! machine's thread in the order of reading. Each connection may have a few reads under way, so that a switch that
//! floods waits for itself, not others for it. Nothing here knows OpenFlow.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use skerry_speaker_core::ConnId;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::outbox::{LINGER_MAX, Next, Outbox, OutboxLimits};

/// Connections the kernel completes before we take them: a thousand switches come at once after a restart, some of
/// them twice. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;
/// Connections taken and not yet seen by the machine; more wait in the backlog.
const ACCEPTED_MAX: usize = 256;
/// Reads of one connection that the machine has not seen yet; beyond it the connection is not read, and TCP makes
/// the switch wait.
const READS_MAX: usize = 4;
/// Bytes of one read at most.
const READ_BYTES: usize = 16 * 1024;
/// A buffer with less room than this is replaced.
const READ_ROOM_MIN: usize = 2 * 1024;
/// Unacknowledged bytes, or unanswered keepalives, end a connection after this: a switch that lost power is
/// noticed also while nobody sends an echo.
const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence before the first keepalive, and time between two.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));
/// Pause after a failed accept: out of file descriptors, say, which trying again at once does not mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How switches speak on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Plain,
    // TLS becomes a second variant: its handshake stands between accept and `serve`, in the connection's own task.
}

/// What happens on the sockets.
#[derive(Debug)]
pub enum SocketEvent {
    /// A switch connected.
    Accepted {
        /// Its connection; numbers grow.
        conn: ConnId,
        /// Where it comes from.
        peer: SocketAddr,
        /// Where it came to.
        local: SocketAddr,
        /// How to write to it.
        outbox: Arc<Outbox<OwnedWriteHalf>>,
        /// Given back when this is dropped.
        room: OwnedSemaphorePermit,
    },
    /// Bytes came.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Bytes,
        /// When they were read.
        at: Instant,
        /// Given back when this is dropped.
        room: OwnedSemaphorePermit,
    },
    /// A connection ended by itself.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: String,
    },
}

/// The thread and its listeners. Dropping it ends all connections.
#[derive(Debug)]
pub struct Sockets {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sockets {
    /// Listen.
    ///
    /// # Errors
    /// An address is taken or not ours; there is no thread to be had.
    pub fn listen(
        listeners: &[(SocketAddr, Transport)],
        limits: OutboxLimits,
    ) -> anyhow::Result<(Sockets, mpsc::UnboundedReceiver<SocketEvent>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut bound = Vec::new();
        {
            let _inside = runtime.enter();
            for (address, transport) in listeners {
                let listener = bind(*address).with_context(|| format!("cannot listen on {address}"))?;
                bound.push((listener, *transport));
            }
        }
        let addresses = bound.iter().map(|(l, _)| l.local_addr()).collect::<io::Result<_>>()?;
        // Not bounded by itself: each event but the last of a connection holds a permit of a bounded number.
        let (events, received) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared {
            events,
            limits,
            last: AtomicU64::new(0),
            accepted: Arc::new(Semaphore::new(ACCEPTED_MAX)),
        });
        let thread = std::thread::Builder::new()
            .name("switch-sockets".to_owned())
            .spawn(move || run(&runtime, bound, &shared, stopped))?;
        Ok((
            Sockets {
                addresses,
                stop: Some(stop),
                thread: Some(thread),
            },
            received,
        ))
    }

    /// Where it listens, ports of its own choice filled in.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Sockets {
    /// Takes no more connections and gives those that were closed time to say their last words.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Shared {
    events: mpsc::UnboundedSender<SocketEvent>,
    limits: OutboxLimits,
    last: AtomicU64,
    accepted: Arc<Semaphore>,
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted speaker must not wait for its old connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn run(
    runtime: &Runtime,
    listeners: Vec<(TcpListener, Transport)>,
    shared: &Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    // Each writing task holds one end: when all are gone, all last words are out.
    let (writing, mut written) = mpsc::channel::<()>(1);
    runtime.block_on(async {
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|(listener, transport)| tokio::spawn(accept(listener, transport, shared.clone(), writing.clone())))
            .collect();
        let _ = stopped.await;
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        drop(writing);
        let _ = tokio::time::timeout(2 * LINGER_MAX, written.recv()).await;
    });
}

async fn accept(listener: TcpListener, transport: Transport, shared: Arc<Shared>, writing: mpsc::Sender<()>) {
    let mut failed = 0_u64;
    loop {
        let Ok(room) = shared.accepted.clone().acquire_owned().await else {
            return;
        };
        let accepted = listener.accept().await.and_then(|(stream, peer)| {
            let local = stream.local_addr()?;
            tune(&stream)?;
            Ok((stream, peer, local))
        });
        match accepted {
            Ok((stream, peer, local)) => {
                failed = 0;
                let conn = ConnId(shared.last.fetch_add(1, Ordering::Relaxed) + 1);
                match transport {
                    Transport::Plain => serve(conn, stream, (peer, local), &shared, room, writing.clone()),
                }
            }
            Err(error) => {
                // Ten a second while it lasts would fill the log.
                if failed.is_multiple_of(100) {
                    tracing::warn!(%error, failed, "a connection could not be taken");
                }
                failed += 1;
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE.0).with_interval(KEEPALIVE.1))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

fn serve(
    conn: ConnId,
    stream: TcpStream,
    (peer, local): (SocketAddr, SocketAddr),
    shared: &Arc<Shared>,
    room: OwnedSemaphorePermit,
    writing: mpsc::Sender<()>,
) {
    let (reading, socket) = stream.into_split();
    let outbox = Arc::new(Outbox::new(socket, shared.limits));
    if shared
        .events
        .send(SocketEvent::Accepted {
            conn,
            peer,
            local,
            outbox: outbox.clone(),
            room,
        })
        .is_err()
    {
        return;
    }
    let reader = tokio::spawn(read(conn, reading, shared.events.clone()));
    tokio::spawn(write(conn, outbox, shared.events.clone(), reader, writing));
}

async fn read(conn: ConnId, stream: OwnedReadHalf, events: mpsc::UnboundedSender<SocketEvent>) {
    let rooms = Arc::new(Semaphore::new(READS_MAX));
    let mut buffer = BytesMut::new();
    let reason = loop {
        let Ok(room) = rooms.clone().acquire_owned().await else {
            return;
        };
        if let Err(error) = stream.readable().await {
            break error.to_string();
        }
        // Only now: a switch that says nothing needs no buffer.
        if buffer.capacity() < READ_ROOM_MIN {
            buffer.reserve(READ_BYTES);
        }
        match stream.try_read_buf(&mut buffer) {
            Ok(0) => break "the switch closed the connection".to_owned(),
            Ok(_) => {
                let at = Instant::now();
                let bytes = buffer.split().freeze();
                if events.send(SocketEvent::Received { conn, bytes, at, room }).is_err() {
                    return;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => break error.to_string(),
        }
    };
    let _ = events.send(SocketEvent::Closed { conn, reason });
}

async fn write(
    conn: ConnId,
    outbox: Arc<Outbox<OwnedWriteHalf>>,
    events: mpsc::UnboundedSender<SocketEvent>,
    mut reader: tokio::task::JoinHandle<()>,
    _writing: mpsc::Sender<()>,
) {
    loop {
        match outbox.advance(Instant::now()) {
            Ok(Next::Changed) => outbox.changed().await,
            Ok(Next::Writable(until)) => {
                tokio::select! {
                    // What came of it the next `advance` tells.
                    _ = outbox.socket().writable() => {}
                    () = outbox.changed() => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                }
            }
            Ok(Next::Done) => break,
            Err(stuck) => {
                let _ = events.send(SocketEvent::Closed {
                    conn,
                    reason: stuck.to_string(),
                });
                break;
            }
        }
    }
    // A socket closed with unread bytes is reset, and the last words, which say why, are lost on the way. So what
    // still comes is read until the other side has closed too.
    let socket = SockRef::from(outbox.socket().as_ref());
    if socket.shutdown(std::net::Shutdown::Write).is_ok() {
        let _ = tokio::time::timeout(LINGER_MAX, &mut reader).await;
    }
    reader.abort();
    let _ = socket.shutdown(std::net::Shutdown::Both);
}

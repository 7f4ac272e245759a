//! The connections of switches: accepting, reading, and writing what could not be written at once.
//!
//! All of it runs as tasks beside the machine, on the same thread: what was read is looked at without another thread having
//! to wake up, which would take longer than everything else. Bytes are stamped with the time when they were read, and handed
//! to the machine in the order of reading. Each connection may have a few reads under way, so that a switch that floods waits
//! for itself, not others for it. Nothing here knows OpenFlow.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use skerry_speaker_core::{ConnId, Identity, TlsFailure};
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::outbox::{LINGER_MAX, Next, Outbox, OutboxLimits};
use crate::socket::Socket;
use crate::tls::session::{Broken, Got, Handshake};
use crate::tls::slots::Slots;
use crate::tls::{Connected, Tls};

/// Connections the kernel completes before we take them: a thousand switches come at once after a restart, some of
/// them twice. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;
/// Connections taken and not yet seen by the machine; more wait in the backlog.
const ACCEPTED_MAX: usize = 256;
/// Reads of one connection that the machine has not seen yet; beyond it the connection is not read, and TCP makes
/// the switch wait.
const READS_MAX: usize = 4;
/// Unacknowledged bytes, or unanswered keepalives, end a connection after this: a switch that lost power is
/// noticed also while nobody sends an echo.
pub const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence before the first keepalive, and time between two.
pub const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));
/// Pause after a failed accept: out of file descriptors, say, which trying again at once does not mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How switches speak on a listener.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Plain TCP.
    Plain,
    /// TLS; both ends prove who they are.
    Tls(Arc<Tls>),
}

/// Bounds of what happens on the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketLimits {
    /// Of what waits to be written to each.
    pub outbox: OutboxLimits,
    /// TLS handshakes at a time. Those without a place wait unread.
    pub handshakes: usize,
}

/// How the machine's thread writes to a switch.
pub type SwitchOutbox = Outbox<Socket>;

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
        outbox: Arc<SwitchOutbox>,
        /// Whether a TLS handshake comes first; how it ends is told.
        tls: bool,
        /// Given back when this is dropped.
        room: OwnedSemaphorePermit,
    },
    /// The TLS handshake is over.
    Secured {
        /// The connection.
        conn: ConnId,
        /// Who is at its other end.
        identity: Identity,
    },
    /// The TLS handshake failed. The connection is to be closed, so that the switch hears why.
    NotSecured {
        /// The connection.
        conn: ConnId,
        /// Why.
        failure: TlsFailure,
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

/// The listeners, and what their connections share.
#[derive(Debug)]
pub struct Sockets {
    addresses: Vec<SocketAddr>,
    listeners: Vec<(std::net::TcpListener, Transport)>,
    shared: Arc<Shared>,
}

impl Sockets {
    /// Listen. Nothing is taken before [`Sockets::serve`].
    ///
    /// # Errors
    /// An address is taken or not ours.
    pub fn listen(
        listeners: &[(SocketAddr, Transport)],
        limits: SocketLimits,
    ) -> anyhow::Result<(Sockets, mpsc::UnboundedReceiver<SocketEvent>)> {
        let mut bound = Vec::new();
        for (address, transport) in listeners {
            let listener = bind(*address).with_context(|| format!("cannot listen on {address}"))?;
            bound.push((listener, transport.clone()));
        }
        let addresses = bound.iter().map(|(l, _)| l.local_addr()).collect::<io::Result<_>>()?;
        // Not bounded by itself: each event but the last of a connection holds a permit of a bounded number.
        let (events, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            events,
            limits: limits.outbox,
            slots: Arc::new(Slots::new(limits.handshakes)),
            last: AtomicU64::new(0),
            accepted: Arc::new(Semaphore::new(ACCEPTED_MAX)),
        });
        let sockets = Sockets {
            addresses,
            listeners: bound,
            shared,
        };
        Ok((sockets, received))
    }

    /// Where it listens, ports of its own choice filled in.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Take connections until `stopped` says so or its other end is gone, then give those that were closed time to say their
    /// last words.
    ///
    /// # Errors
    /// The runtime cannot wait for a listener.
    pub async fn serve(self, stopped: oneshot::Receiver<()>) -> io::Result<()> {
        // Each writing task holds one end: when all are gone, all last words are out.
        let (writing, mut written) = mpsc::channel::<()>(1);
        let mut accepting = Vec::new();
        for (listener, transport) in self.listeners {
            let listener = TcpListener::from_std(listener)?;
            let taking = accept(listener, transport, self.shared.clone(), writing.clone());
            accepting.push(tokio::spawn(taking));
        }
        let _ = stopped.await;
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        drop(writing);
        let _ = tokio::time::timeout(2 * LINGER_MAX, written.recv()).await;
        Ok(())
    }
}

#[derive(Debug)]
struct Shared {
    events: mpsc::UnboundedSender<SocketEvent>,
    limits: OutboxLimits,
    slots: Arc<Slots>,
    last: AtomicU64,
    accepted: Arc<Semaphore>,
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted speaker must not wait for its old connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
                let tls = match &transport {
                    Transport::Plain => None,
                    Transport::Tls(tls) => Some(tls.clone()),
                };
                serve(conn, stream, (peer, local), tls, &shared, room, writing.clone());
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
    tls: Option<Arc<Tls>>,
    shared: &Arc<Shared>,
    room: OwnedSemaphorePermit,
    writing: mpsc::Sender<()>,
) {
    let socket = Socket::new(stream, tls.is_some());
    let outbox = Arc::new(Outbox::new(socket, shared.limits));
    if shared
        .events
        .send(SocketEvent::Accepted {
            conn,
            peer,
            local,
            outbox: outbox.clone(),
            tls: tls.is_some(),
            room,
        })
        .is_err()
    {
        return;
    }
    let reader = tokio::spawn(receive(conn, peer, outbox.clone(), tls, shared.clone()));
    tokio::spawn(write(conn, outbox, shared.events.clone(), reader, writing));
}

/// From the first byte to the last.
async fn receive(
    conn: ConnId,
    peer: SocketAddr,
    outbox: Arc<SwitchOutbox>,
    tls: Option<Arc<Tls>>,
    shared: Arc<Shared>,
) {
    // Counts the certificate for as long as the switch is connected.
    let connected = match tls {
        None => None,
        Some(tls) => match secure(conn, peer, &outbox, &tls, &shared).await {
            Some(connected) => Some(connected),
            None => return,
        },
    };
    read(conn, &outbox, connected.is_some(), &shared.events).await;
}

/// Do the TLS handshake. None: it ended otherwise, and that was told.
async fn secure(
    conn: ConnId,
    peer: SocketAddr,
    outbox: &SwitchOutbox,
    tls: &Arc<Tls>,
    shared: &Shared,
) -> Option<Connected> {
    let socket = outbox.socket();
    let event = match shake_hands(peer, outbox, tls, shared).await {
        Ok((identity, connected)) => {
            let _ = shared.events.send(SocketEvent::Secured { conn, identity });
            return Some(connected);
        }
        Err(Broken::Failed(failure)) => SocketEvent::NotSecured { conn, failure },
        Err(Broken::Ended(error)) => {
            let reason = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the switch closed the connection during the TLS handshake".to_owned(),
                _ => error.to_string(),
            };
            SocketEvent::Closed { conn, reason }
        }
    };
    let _ = shared.events.send(event);
    // As long as it reads, our last words are not lost; the writing task ends it.
    socket.drain().await;
    None
}

async fn shake_hands(
    peer: SocketAddr,
    outbox: &SwitchOutbox,
    tls: &Arc<Tls>,
    shared: &Shared,
) -> Result<(Identity, Connected), Broken> {
    let socket = outbox.socket();
    socket.first_byte().await?;
    let _slot = shared.slots.take(peer.ip().to_canonical()).await;
    socket.begin(tls.loaded())?;
    loop {
        socket.stream().readable().await.map_err(Broken::Ended)?;
        let step = socket.handshake();
        // What is to be answered is in the session, also after a failure.
        outbox.stir();
        match step? {
            Handshake::Pending => {}
            Handshake::Done(identity, holder) => return Ok((identity, tls.connected(&holder))),
        }
    }
}

/// Read until the connection ends. `there`: bytes may have been read from the socket already.
async fn read(conn: ConnId, outbox: &SwitchOutbox, mut there: bool, events: &mpsc::UnboundedSender<SocketEvent>) {
    let rooms = Arc::new(Semaphore::new(READS_MAX));
    let socket = outbox.socket();
    let mut buffer = BytesMut::new();
    let reason = loop {
        let Ok(room) = rooms.clone().acquire_owned().await else {
            return;
        };
        // A switch that says nothing needs no buffer, so it gets one only when it does.
        if !std::mem::take(&mut there)
            && let Err(error) = socket.stream().readable().await
        {
            break error.to_string();
        }
        match socket.try_read(&mut buffer) {
            Ok(Got::End) => break "the switch closed the connection".to_owned(),
            Ok(Got::Bytes) => {
                let at = Instant::now();
                let bytes = buffer.split().freeze();
                if events.send(SocketEvent::Received { conn, bytes, at, room }).is_err() {
                    return;
                }
            }
            Ok(Got::Nothing) => {}
            Err(error) => break error.to_string(),
        }
    };
    let _ = events.send(SocketEvent::Closed { conn, reason });
}

async fn write(
    conn: ConnId,
    outbox: Arc<SwitchOutbox>,
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
                    _ = outbox.socket().stream().writable() => {}
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
    let socket = SockRef::from(outbox.socket().stream());
    if socket.shutdown(std::net::Shutdown::Write).is_ok() {
        let _ = tokio::time::timeout(LINGER_MAX, &mut reader).await;
    }
    reader.abort();
    let _ = socket.shutdown(std::net::Shutdown::Both);
}

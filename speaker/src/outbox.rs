//! What waits to be written to one switch.
//!
//! The machine's thread writes at once what the socket takes, so that no thread has to wake for a packet whose way
//! is measured. What is left waits here, in order, for the writing task. The queue has a limit in bytes and in time; what
//! a socket with TLS took already (64 KiB at most) is not counted in the bytes, but in the time.
//!
//! It needs no lanes of its own: of an apply at most the windows under way stand in front of a discovery packet or an echo.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

/// How long what was written before a close may take to go out.
pub const LINGER_MAX: Duration = Duration::from_secs(1);

/// Limits of an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Bytes that may wait. A switch that far behind does not read, or reads slower than its own barriers say; it
    /// is disconnected, which makes its state known again.
    pub bytes: usize,
    /// How long a switch may take no byte while some wait.
    pub stall: Duration,
}

/// Why a connection must be closed: it does not take what is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// Too much waits.
    #[error("{waiting} bytes wait to be written, more than {max}")]
    Full {
        /// Bytes that would wait.
        waiting: usize,
        /// The limit.
        max: usize,
    },
    /// Nothing was taken for too long.
    #[error("took no byte for {0:?} while some waited")]
    Stalled(Duration),
    /// The socket failed.
    #[error("{0}")]
    Failed(String),
}

/// The queue and its socket.
#[derive(Debug)]
pub struct Outbox<W> {
    socket: W,
    limits: OutboxLimits,
    state: Mutex<State>,
    /// There is something to write, or the end has come.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    waiting: usize,
    /// When the socket took something last, or something began to wait.
    taken: Option<Instant>,
    /// No more will come; by then all must be out.
    closing: Option<Instant>,
    /// The transport's own last words were put behind all else.
    finished: bool,
}

/// A socket that takes what it can without waiting.
pub trait TryWrite {
    /// As [`tokio::net::TcpStream::try_write`].
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing now; anything else ends the connection.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Put out what was taken and is not out yet, such as the rest of a TLS record; it is bounded by the socket itself.
    ///
    /// # Errors
    /// The connection has ended.
    fn try_flush(&self) -> io::Result<Held> {
        Ok(Held::Nothing)
    }

    /// No more will be written: last words of the transport are put behind what was taken.
    fn finish(&self) {}
}

/// What a socket took and has not put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// Some, and some of it went out just now.
    Less,
    /// Some, and nothing went out.
    Same,
}

/// What the writing task does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait until the socket takes bytes, at most until then.
    Writable(Instant),
    /// Wait for [`Outbox::changed`].
    Changed,
    /// All is out and no more will come.
    Done,
}

impl<W: TryWrite> Outbox<W> {
    /// Nothing waits.
    pub fn new(socket: W, limits: OutboxLimits) -> Self {
        Outbox {
            socket,
            limits,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The socket.
    pub fn socket(&self) -> &W {
        &self.socket
    }

    /// Write now, or as soon as it goes.
    ///
    /// # Errors
    /// The connection has to be closed.
    pub fn write(&self, now: Instant, mut bytes: Bytes) -> Result<(), Stuck> {
        let mut state = self.state();
        if state.closing.is_some() {
            return Ok(());
        }
        if state.queue.is_empty() {
            let taken = self.take(&bytes)?;
            bytes.advance(taken);
            if bytes.is_empty() && self.flush()? == Held::Nothing {
                return Ok(());
            }
            if taken > 0 || state.taken.is_none() {
                state.taken = Some(now);
            }
            if bytes.is_empty() {
                self.changed.notify_one();
                return Ok(());
            }
        }
        let waiting = state.waiting + bytes.len();
        if waiting > self.limits.bytes {
            return Err(Stuck::Full {
                waiting,
                max: self.limits.bytes,
            });
        }
        state.waiting = waiting;
        state.queue.push_back(bytes);
        self.changed.notify_one();
        Ok(())
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// No more will come: what waits goes out, if it does so within [`LINGER_MAX`].
    pub fn close(&self, now: Instant) {
        self.state().closing.get_or_insert(now + LINGER_MAX);
        self.changed.notify_one();
    }

    /// No more will come, and what waits is given up.
    pub fn discard(&self, now: Instant) {
        let mut state = self.state();
        state.queue.clear();
        state.waiting = 0;
        state.closing.get_or_insert(now);
        self.changed.notify_one();
    }

    /// Let the writing task look, because the transport has something to say.
    pub fn stir(&self) {
        self.changed.notify_one();
    }

    /// Woken when there is something to write or the end has come.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Write what the socket takes now, and say what to wait for.
    ///
    /// # Errors
    /// The connection has to be closed.
    pub fn advance(&self, now: Instant) -> Result<Next, Stuck> {
        let mut state = self.state();
        loop {
            match self.flush()? {
                Held::Nothing => {}
                Held::Less => {
                    state.taken = Some(now);
                    return self.wait(&mut state, now);
                }
                Held::Same => return self.wait(&mut state, now),
            }
            let Some(front) = state.queue.front_mut() else {
                if state.closing.is_none() || state.finished {
                    break;
                }
                self.socket.finish();
                state.finished = true;
                continue;
            };
            let taken = self.take(front)?;
            if taken == 0 {
                return self.wait(&mut state, now);
            }
            front.advance(taken);
            let out = front.is_empty();
            state.waiting -= taken;
            state.taken = Some(now);
            if out {
                state.queue.pop_front();
            }
        }
        // Nothing waits, so nothing has waited since any time.
        state.taken = None;
        Ok(if state.closing.is_some() {
            Next::Done
        } else {
            Next::Changed
        })
    }

    /// Something waits: until when it may.
    fn wait(&self, state: &mut State, now: Instant) -> Result<Next, Stuck> {
        let since = *state.taken.get_or_insert(now);
        let until = since + self.limits.stall;
        let until = state.closing.map_or(until, |closing| closing.min(until));
        if now >= until {
            Err(Stuck::Stalled(now - since))
        } else {
            Ok(Next::Writable(until))
        }
    }

    fn flush(&self) -> Result<Held, Stuck> {
        self.socket
            .try_flush()
            .map_err(|error| Stuck::Failed(error.to_string()))
    }

    /// What the socket takes now; 0 is nothing.
    fn take(&self, bytes: &[u8]) -> Result<usize, Stuck> {
        loop {
            match self.socket.try_write(bytes) {
                Ok(0) => return Err(Stuck::Failed("the socket takes no bytes any more".to_owned())),
                Ok(taken) => return Ok(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stuck::Failed(error.to_string())),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Takes as much as there is room.
    #[derive(Default)]
    struct Socket {
        room: Cell<usize>,
        got: RefCell<Vec<u8>>,
        broken: Cell<bool>,
    }

    impl TryWrite for Socket {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            if self.broken.get() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let n = bytes.len().min(self.room.get());
            if n == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room.set(self.room.get() - n);
            self.got.borrow_mut().extend_from_slice(&bytes[..n]);
            Ok(n)
        }
    }

    const LIMITS: OutboxLimits = OutboxLimits {
        bytes: 10,
        stall: Duration::from_secs(10),
    };

    fn outbox(room: usize) -> Outbox<Socket> {
        let outbox = Outbox::new(Socket::default(), LIMITS);
        outbox.socket.room.set(room);
        outbox
    }

    #[test]
    fn bytes_go_out_in_order_however_the_socket_cuts_them() {
        let t = Instant::now();
        let outbox = outbox(3);
        outbox.write(t, Bytes::from_static(b"abcde")).expect("fits");
        outbox.write(t, Bytes::from_static(b"fg")).expect("fits");
        assert_eq!(outbox.advance(t), Ok(Next::Writable(t + LIMITS.stall)));
        for _ in 0..4 {
            outbox.socket.room.set(1);
            assert!(outbox.advance(t).is_ok());
        }
        assert_eq!(outbox.advance(t), Ok(Next::Changed));
        outbox.socket.room.set(9);
        outbox.write(t, Bytes::from_static(b"h")).expect("fits");
        assert_eq!(*outbox.socket.got.borrow(), b"abcdefgh");
    }

    #[test]
    fn a_switch_that_takes_nothing_is_given_up_at_its_limits() {
        let t = Instant::now();
        let outbox = outbox(0);
        outbox
            .write(t, Bytes::from_static(b"0123456789"))
            .expect("fits exactly");
        assert_eq!(
            outbox.write(t, Bytes::from_static(b"x")),
            Err(Stuck::Full { waiting: 11, max: 10 })
        );
        let later = t + LIMITS.stall;
        assert_eq!(
            outbox.advance(later - Duration::from_millis(1)),
            Ok(Next::Writable(later))
        );
        outbox.socket.room.set(1);
        assert_eq!(
            outbox.advance(later),
            Ok(Next::Writable(later + LIMITS.stall)),
            "a byte is a sign of life"
        );
        assert_eq!(outbox.advance(later + LIMITS.stall), Err(Stuck::Stalled(LIMITS.stall)));
    }

    #[test]
    fn what_was_written_before_a_close_still_goes_out_but_not_for_ever() {
        let t = Instant::now();
        let outbox = outbox(0);
        outbox.write(t, Bytes::from_static(b"bye")).expect("fits");
        outbox.close(t);
        outbox.write(t, Bytes::from_static(b"no")).expect("is ignored");
        assert_eq!(outbox.advance(t), Ok(Next::Writable(t + LINGER_MAX)));
        assert!(matches!(outbox.advance(t + LINGER_MAX), Err(Stuck::Stalled(_))));
        outbox.socket.room.set(9);
        assert_eq!(outbox.advance(t), Ok(Next::Done));
        assert_eq!(*outbox.socket.got.borrow(), b"bye");
    }

    /// Takes all it is given at once and puts it out as there is room, with a full stop at the end, as TLS does.
    #[derive(Default)]
    struct Records {
        below: Socket,
        held: RefCell<Vec<u8>>,
    }

    impl TryWrite for Records {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            if self.try_flush()? != Held::Nothing {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.held.borrow_mut().extend_from_slice(bytes);
            self.try_flush()?;
            Ok(bytes.len())
        }

        fn try_flush(&self) -> io::Result<Held> {
            let mut held = self.held.borrow_mut();
            let before = held.len();
            while !held.is_empty() {
                match self.below.try_write(&held) {
                    Ok(out) => drop(held.drain(..out)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(if held.len() < before { Held::Less } else { Held::Same });
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(Held::Nothing)
        }

        fn finish(&self) {
            self.held.borrow_mut().push(b'.');
        }
    }

    #[test]
    fn what_a_transport_holds_has_the_same_limits_and_its_last_words_come_last() {
        let t = Instant::now();
        let second = Duration::from_secs(1);
        let outbox = Outbox::new(Records::default(), LIMITS);
        outbox.socket.below.room.set(1);
        outbox
            .write(t, Bytes::from_static(b"abc"))
            .expect("the transport took it");
        outbox.write(t + second, Bytes::from_static(b"de")).expect("fits");
        // Each byte that goes out is a sign of life, also of those the transport holds.
        outbox.socket.below.room.set(1);
        let at = t + 9 * second;
        assert_eq!(outbox.advance(at), Ok(Next::Writable(at + LIMITS.stall)));
        assert_eq!(outbox.advance(at + second), Ok(Next::Writable(at + LIMITS.stall)));
        assert_eq!(outbox.advance(at + LIMITS.stall), Err(Stuck::Stalled(LIMITS.stall)));
        outbox.socket.below.room.set(100);
        assert_eq!(outbox.advance(at), Ok(Next::Changed));
        // Nothing waited for long: the time of what waits next begins with it.
        outbox.socket.below.room.set(0);
        let later = at + 100 * second;
        outbox
            .write(later, Bytes::from_static(b"f"))
            .expect("the transport took it");
        assert_eq!(outbox.advance(later), Ok(Next::Writable(later + LIMITS.stall)));
        outbox.close(later);
        assert_eq!(outbox.advance(later), Ok(Next::Writable(later + LINGER_MAX)));
        outbox.socket.below.room.set(100);
        assert_eq!(outbox.advance(later), Ok(Next::Done));
        assert_eq!(outbox.advance(later), Ok(Next::Done));
        assert_eq!(*outbox.socket.below.got.borrow(), b"abcdef.");
    }

    #[test]
    fn a_broken_socket_is_told_with_its_cause() {
        let outbox = outbox(9);
        outbox.socket.broken.set(true);
        assert_eq!(
            outbox.write(Instant::now(), Bytes::from_static(b"x")),
            Err(Stuck::Failed("broken pipe".into()))
        );
    }
}

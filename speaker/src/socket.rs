//! One switch's socket, plain or with TLS: what tokio's has, in plaintext.
//!
//! The machine writes and a task of the connection reads; with TLS both go through the session, which is locked for as long as
//! a few records take.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::net::TcpStream;

use crate::outbox::{Held, TryWrite};
use crate::tls::Loaded;
use crate::tls::refuse;
use crate::tls::session::{Broken, Got, Handshake, Session};

/// Bytes of one read at most.
const READ_BYTES: usize = 16 * 1024;
/// A buffer with less room than this is replaced.
const READ_ROOM_MIN: usize = 2 * 1024;

/// The socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// None: plain. Empty until the first byte came, so that a silent switch costs little; boxed, because most of what a
    /// connection needs is in it.
    tls: Option<Mutex<Option<Box<Session>>>>,
}

/// The stream as the TLS library wants it; it counts what went through.
struct Through<'a> {
    stream: &'a TcpStream,
    moved: usize,
}

impl Read for Through<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let moved = self.stream.try_read(buffer)?;
        self.moved += moved;
        Ok(moved)
    }
}

impl Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let moved = self.stream.try_write(bytes)?;
        self.moved += moved;
        Ok(moved)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let moved = self.stream.try_write_vectored(bytes)?;
        self.moved += moved;
        Ok(moved)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// A connection that was taken; with `tls`, [`Socket::begin`] comes before all else.
    pub fn new(stream: TcpStream, tls: bool) -> Socket {
        let tls = tls.then(Mutex::default);
        Socket { stream, tls }
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn through(&self) -> Through<'_> {
        Through {
            stream: &self.stream,
            moved: 0,
        }
    }

    fn session<'a>(tls: &'a Mutex<Option<Box<Session>>>) -> MutexGuard<'a, Option<Box<Session>>> {
        tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait for the first byte and see whether it can be TLS.
    ///
    /// # Errors
    /// It cannot, or the connection ended.
    pub async fn first_byte(&self) -> Result<(), Broken> {
        let mut first = [0];
        match self.stream.peek(&mut first).await {
            Ok(0) => Err(Broken::Ended(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => refuse::not_tls(first[0]).map_or(Ok(()), |failure| Err(Broken::Failed(failure))),
            Err(error) => Err(Broken::Ended(error)),
        }
    }

    /// Begin the TLS handshake with what is configured now.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn begin(&self, loaded: Arc<Loaded>) -> Result<(), Broken> {
        if let Some(tls) = &self.tls {
            let session = Session::new(loaded).map_err(Broken::Failed)?;
            *Self::session(tls) = Some(Box::new(session));
        }
        Ok(())
    }

    /// Go on with the TLS handshake. The writing task is to be stirred afterwards, also after a failure.
    ///
    /// # Errors
    /// As [`Session::handshake`].
    pub fn handshake(&self) -> Result<Handshake, Broken> {
        let mut session = self.tls.as_ref().map(Self::session);
        match session.as_deref_mut() {
            Some(Some(session)) => session.handshake(&mut self.through()),
            Some(None) | None => Ok(Handshake::Pending),
        }
    }

    /// Read what has come and put it behind what is in the buffer, which gets room first.
    ///
    /// # Errors
    /// The connection ended.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<Got> {
        if let Some(tls) = &self.tls {
            return match Self::session(tls).as_mut() {
                Some(session) => session.read(&mut self.through(), buffer),
                None => Ok(Got::Nothing),
            };
        }
        if buffer.capacity() < READ_ROOM_MIN {
            buffer.reserve(READ_BYTES);
        }
        match self.stream.try_read_buf(buffer) {
            Ok(0) => Ok(Got::End),
            Ok(_) => Ok(Got::Bytes),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Got::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Read and forget what still comes, until the other side has closed.
    pub async fn drain(&self) {
        let mut nowhere = [0; 1024];
        while self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut nowhere) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return,
            }
        }
    }
}

impl TryWrite for Socket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.stream.try_write(bytes),
            Some(tls) => match Self::session(tls).as_mut() {
                Some(session) => session.write(bytes, &mut self.through()),
                None => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    fn try_flush(&self) -> io::Result<Held> {
        let mut session = self.tls.as_ref().map(Self::session);
        let Some(Some(session)) = session.as_deref_mut() else {
            return Ok(Held::Nothing);
        };
        let mut through = self.through();
        Ok(match (session.flush(&mut through)?, through.moved) {
            (false, _) => Held::Nothing,
            (true, 0) => Held::Same,
            (true, _) => Held::Less,
        })
    }

    fn finish(&self) {
        let mut session = self.tls.as_ref().map(Self::session);
        if let Some(Some(session)) = session.as_deref_mut() {
            session.finish();
        }
    }
}

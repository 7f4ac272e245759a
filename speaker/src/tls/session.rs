//! One connection's TLS: records in, plaintext out, and the other way. It reads and writes what it is given; sockets and
//! waiting are not its business.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConnection;
use skerry_speaker_core::{Identity, TlsFailure, TlsFault};

use super::files::Loaded;
use super::holder::Holder;
use super::refuse;

/// Bytes of records that one connection holds because its socket takes no more now: a few of the largest records. What is
/// behind them waits as plaintext, under the limits of the outbox.
const HELD_MAX: usize = 64 * 1024;
/// Plaintext that is read at a time, as of a plain connection.
const READ_BYTES: usize = 16 * 1024;
/// Reads of the socket at a time, of 4 KiB each: records without plaintext must not keep others waiting for long.
const READS_MAX: usize = 8;

/// A connection's keys and what is not out yet.
#[derive(Debug)]
pub struct Session {
    tls: ServerConnection,
    loaded: Arc<Loaded>,
}

/// How far a handshake is.
#[derive(Debug)]
pub enum Handshake {
    /// More has to come from the switch.
    Pending,
    /// It is over.
    Done(Identity, Holder),
}

/// Why a handshake is over without success.
#[derive(Debug)]
pub enum Broken {
    /// It failed.
    Failed(TlsFailure),
    /// The connection ended.
    Ended(io::Error),
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// Bytes, put behind those that were there.
    Bytes,
    /// None now.
    Nothing,
    /// The switch will send no more.
    End,
}

impl Session {
    /// At the beginning of its handshake.
    ///
    /// # Errors
    /// The configuration cannot be used after all.
    pub fn new(loaded: Arc<Loaded>) -> Result<Session, TlsFailure> {
        let mut tls = ServerConnection::new(loaded.config.clone()).map_err(|error| TlsFailure {
            fault: TlsFault::Other,
            detail: error.to_string(),
        })?;
        tls.set_buffer_limit(Some(HELD_MAX));
        Ok(Session { tls, loaded })
    }

    /// Go on with the handshake with some of what has come; to be called again while there is more. What is to be answered
    /// is [`Session::flush`]ed, also after a failure.
    ///
    /// # Errors
    /// It failed, or the connection ended.
    pub fn handshake(&mut self, from: &mut dyn Read) -> Result<Handshake, Broken> {
        match self.tls.read_tls(from) {
            Ok(0) => return Err(Broken::Ended(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(Handshake::Pending);
            }
            Err(error) => return Err(Broken::Ended(error)),
        }
        if let Err(error) = self.tls.process_new_packets() {
            return Err(Broken::Failed(refuse::failure(&error, &self.loaded)));
        }
        if self.tls.is_handshaking() {
            Ok(Handshake::Pending)
        } else {
            self.holder().map_err(Broken::Failed)
        }
    }

    fn holder(&self) -> Result<Handshake, TlsFailure> {
        let shown = self.tls.peer_certificates().and_then(<[_]>::first);
        let Some(shown) = shown else {
            let (fault, detail) = (TlsFault::NoCertificate, String::new());
            return Err(TlsFailure { fault, detail });
        };
        let holder = Holder::read(shown).map_err(|detail| TlsFailure {
            fault: TlsFault::Other,
            detail,
        })?;
        let certified = holder.certified(&self.loaded.table);
        Ok(Handshake::Done(Identity::Certified(Arc::new(certified)), holder))
    }

    /// Read what has come, after the handshake.
    ///
    /// # Errors
    /// The connection ended; records that cannot be read are such an end.
    pub fn read(&mut self, from: &mut dyn Read, to: &mut BytesMut) -> io::Result<Got> {
        let before = to.len();
        // What came with the end of the handshake is there already.
        let mut ended = self.take(to)?;
        for _ in 0..READS_MAX {
            if ended || to.len() - before >= READ_BYTES {
                break;
            }
            match self.tls.read_tls(from) {
                Ok(0) => ended = true,
                Ok(_) => ended = self.take(to)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(if to.len() > before {
            Got::Bytes
        } else if ended {
            Got::End
        } else {
            Got::Nothing
        })
    }

    /// Take the plaintext out. Gives whether the switch said that no more follows.
    fn take(&mut self, to: &mut BytesMut) -> io::Result<bool> {
        let state = self
            .tls
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}")))?;
        let (at, more) = (to.len(), state.plaintext_bytes_to_read());
        if more > 0 {
            to.resize(at + more, 0);
            self.tls.reader().read_exact(&mut to[at..])?;
        }
        Ok(state.peer_has_closed())
    }

    /// Take plaintext to be written; gives how much. All records of it that the socket takes are out afterwards.
    ///
    /// # Errors
    /// `WouldBlock`: none now, because the socket has not taken what it was given before. Anything else ends the connection.
    pub fn write(&mut self, bytes: &[u8], to: &mut dyn Write) -> io::Result<usize> {
        if self.tls.is_handshaking() || self.flush(to)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.tls.writer().write(bytes)?;
        self.flush(to)?;
        Ok(taken)
    }

    /// Write records until none is left or the socket takes no more. Gives whether some are left.
    ///
    /// # Errors
    /// The connection ended.
    pub fn flush(&mut self, to: &mut dyn Write) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(to) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Say that no more follows.
    pub fn finish(&mut self) {
        self.tls.send_close_notify();
    }
}

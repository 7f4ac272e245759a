//! Limits of the northbound interface: connections, and writes a second.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that may be open at a time. The next one waits in the listen queue until one ends.
pub const CONNECTIONS_MAX: usize = 512;
/// Writes accepted a second, with a burst of as many. An operator's script stays far below; a runaway one is told 429.
pub const WRITES_PER_S: u32 = 200;

/// A listener that accepts only while there is room.
#[derive(Debug)]
pub struct LimitedListener {
    inner: TcpListener,
    room: Arc<Semaphore>,
}

impl LimitedListener {
    /// Around a bound listener.
    pub fn new(inner: TcpListener) -> Self {
        LimitedListener {
            inner,
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl axum::serve::Listener for LimitedListener {
    type Io = Limited;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Limited, SocketAddr) {
        let permit = self
            .room
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, address) = axum::serve::Listener::accept(&mut self.inner).await;
        (
            Limited {
                stream,
                _permit: permit,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that gives its place back when it ends.
#[derive(Debug)]
pub struct Limited {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Limited {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Limited {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A token bucket over all writers.
#[derive(Debug)]
pub struct WriteRate {
    bucket: Mutex<(f64, Option<Instant>)>,
}

impl Default for WriteRate {
    fn default() -> Self {
        WriteRate {
            bucket: Mutex::new((f64::from(WRITES_PER_S), None)),
        }
    }
}

impl WriteRate {
    /// Whether one more write may be done at `now`.
    pub fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (tokens, last) = *bucket;
        let gained = last.map_or(0.0, |l| {
            now.saturating_duration_since(l).as_secs_f64() * f64::from(WRITES_PER_S)
        });
        let tokens = (tokens + gained).min(f64::from(WRITES_PER_S));
        let allowed = tokens >= 1.0;
        *bucket = (if allowed { tokens - 1.0 } else { tokens }, Some(now));
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_beyond_the_rate_are_refused_and_come_back_with_time() {
        let rate = WriteRate::default();
        let t0 = Instant::now();
        assert_eq!((0..1000).filter(|_| rate.take(t0)).count(), WRITES_PER_S as usize);
        assert!(!rate.take(t0));
        let later = t0 + Duration::from_millis(50);
        assert_eq!(
            (0..1000).filter(|_| rate.take(later)).count(),
            WRITES_PER_S as usize / 20
        );
    }
}

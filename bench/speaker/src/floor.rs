//! What the machine itself allows: a bare epoll loop that answers echo requests without looking at them, and a sink that
//! reads and forgets. Neither knows OpenFlow but for the greeting, which makes the other side begin.
//!
//! `mio` is the thinnest layer over epoll that needs no unsafe code of our own (tokio stands on it); a wake costs
//! epoll_wait, read and write, as it does by hand.

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use ofproto::{Body, ControllerRole, Framer, Message, MessageType, RoleMsg};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// Bytes read at once, as the load writes at most at once.
const READ_BYTES: usize = 64 * 1024;
/// Where a message says what it is.
const TYPE_AT: usize = 1;

const LISTENER: Token = Token(usize::MAX);

/// What is done with what comes after the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Every message has this length and is an echo request: it goes back as a reply.
    Echo(usize),
    /// Forget it, from the first byte on.
    Sink,
}

#[derive(Debug)]
enum State {
    /// The other side has not said that it took its role.
    Greeting(Framer),
    /// Bytes of the stream so far, from the first echo request on.
    Blind(usize),
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    state: State,
    /// What the socket did not take.
    unwritten: BytesMut,
}

/// Serves until the process is ended. `ready` is told the address.
///
/// # Errors
/// There is no socket to be had, or no epoll.
pub fn serve(manner: Manner, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ready(listener.local_addr()?);
    let mut events = Events::with_capacity(1_024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, manner, &mut connections)?;
                continue;
            }
            let Some(slot) = connections.get_mut(event.token().0) else {
                continue;
            };
            let ended = slot.as_mut().is_some_and(|connection| {
                let written = !event.is_writable() || connection.flush().is_ok();
                !written || !connection.turn(manner, &mut buffer).unwrap_or(false)
            });
            if ended {
                *slot = None;
            }
        }
    }
}

fn accept(
    poll: &Poll,
    listener: &TcpListener,
    manner: Manner,
    connections: &mut Vec<Option<Connection>>,
) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accept"),
        };
        stream.set_nodelay(true)?;
        let token = Token(connections.len());
        poll.registry()
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let mut connection = Connection {
            stream,
            state: State::Blind(0),
            unwritten: BytesMut::new(),
        };
        if manner != Manner::Sink {
            connection.state = State::Greeting(Framer::new());
            connection.write(&greeting()?)?;
        }
        connections.push(Some(connection));
    }
}

/// Enough for a switch to say who it is and to take a role.
fn greeting() -> Result<BytesMut> {
    let mut out = BytesMut::from(&crate::bare::Bare::hello()[..]);
    Message::new(1, Body::FeaturesRequest).encode(&mut out)?;
    let slave = RoleMsg {
        role: ControllerRole::SLAVE,
        generation_id: 0,
    };
    Message::new(2, Body::RoleRequest(slave)).encode(&mut out)?;
    Ok(out)
}

impl Connection {
    /// Reads what is there. False: it ended.
    fn turn(&mut self, manner: Manner, buffer: &mut [u8]) -> Result<bool> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            let Some(bytes) = buffer.get_mut(..count) else {
                bail!("read more than there is room for");
            };
            match (&mut self.state, manner) {
                (State::Greeting(framer), _) => {
                    framer.push(bytes);
                    if let Some(rest) = greeted(framer)? {
                        self.state = State::Blind(0);
                        // Whoever asks at once after its role is answered, too.
                        if let (Manner::Echo(length), false) = (manner, rest.is_empty()) {
                            let mut rest = rest;
                            answer(&mut rest, 0, length);
                            self.state = State::Blind(rest.len());
                            self.write(&rest)?;
                        }
                    }
                }
                (State::Blind(_), Manner::Sink) => {}
                (State::Blind(so_far), Manner::Echo(length)) => {
                    answer(bytes, *so_far, length);
                    *so_far += count;
                    self.write(bytes)?;
                }
            }
            // The kernel tells again when more comes: a read that did not fill the buffer took all there was.
            if count < buffer.len() {
                return Ok(true);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while self.unwritten.is_empty() && !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unwritten.extend_from_slice(rest);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = self.unwritten.split();
        self.write(&bytes)
    }
}

/// Passes over what is said before the role is taken; what came behind that, once it was said.
fn greeted(framer: &mut Framer) -> Result<Option<Vec<u8>>> {
    while let Some(frame) = framer.next_frame()? {
        if frame.get(TYPE_AT) == Some(&MessageType::ROLE_REPLY.0) {
            let mut rest = Vec::new();
            while let Some(frame) = framer.next_frame()? {
                rest.extend_from_slice(&frame);
            }
            return Ok(Some(rest));
        }
    }
    Ok(None)
}

/// Makes replies of requests of `length` bytes each, in a piece of a stream that begins after `so_far` bytes of it.
fn answer(bytes: &mut [u8], so_far: usize, length: usize) {
    let first = (TYPE_AT + length - so_far % length) % length;
    for kind in bytes.iter_mut().skip(first).step_by(length) {
        *kind = MessageType::ECHO_REPLY.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_becomes_a_reply_however_the_stream_is_cut() {
        let request = |xid: u8| [4, 2, 0, 10, 0, 0, 0, xid, 2, 2];
        let stream: Vec<u8> = (0..5).flat_map(request).collect();
        let reply = |xid: u8| [4, 3, 0, 10, 0, 0, 0, xid, 2, 2];
        let wanted: Vec<u8> = (0..5).flat_map(reply).collect();
        for cut in 0..stream.len() {
            let mut bytes = stream.clone();
            let (first, second) = bytes.split_at_mut(cut);
            answer(first, 0, 10);
            answer(second, cut, 10);
            assert_eq!(bytes, wanted, "cut after {cut}");
        }
    }

    #[test]
    fn what_comes_behind_the_role_reply_is_kept() {
        let mut framer = Framer::new();
        framer.push(&[4, 25, 0, 8, 0, 0, 0, 1, 4, 2, 0, 9, 0, 0, 0, 1, 7]);
        assert_eq!(
            greeted(&mut framer).expect("whole"),
            Some(vec![4, 2, 0, 9, 0, 0, 0, 1, 7])
        );
        framer.push(&[4, 0, 0, 8, 0, 0, 0, 1]);
        assert_eq!(greeted(&mut framer).expect("whole"), None);
    }
}

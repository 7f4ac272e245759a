//! The sockets by themselves: what comes, goes and is bounded.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use skerry_speaker::outbox::{OutboxLimits, Stuck};
use skerry_speaker::sockets::{KEEPALIVE, SocketEvent, SocketLimits, Sockets, Transport, USER_TIMEOUT};
use tokio::sync::mpsc::UnboundedReceiver;

#[path = "support/serving.rs"]
mod serving;

use serving::{Serving, next};

const LIMITS: SocketLimits = SocketLimits {
    outbox: OutboxLimits {
        bytes: 64 * 1024 * 1024,
        stall: Duration::from_millis(300),
    },
    handshakes: 4,
};

fn listen() -> (Serving, UnboundedReceiver<SocketEvent>, SocketAddr) {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let (sockets, events) = Sockets::listen(&[(any, Transport::Plain)], LIMITS).expect("a free port");
    let address = sockets.addresses()[0];
    (Serving::start(sockets), events, address)
}

#[test]
fn bytes_come_stamped_and_go_and_both_ends_of_a_connection_are_told() {
    let (_sockets, mut events, address) = listen();
    let before = Instant::now();
    let mut switch = TcpStream::connect(address).expect("it listens");
    switch.write_all(b"hello").expect("it reads");
    let SocketEvent::Accepted {
        conn,
        peer,
        local,
        outbox,
        ..
    } = next(&mut events)
    else {
        panic!("not accepted")
    };
    assert_eq!((peer, local), (switch.local_addr().expect("connected"), address));
    let SocketEvent::Received {
        conn: of, bytes, at, ..
    } = next(&mut events)
    else {
        panic!("nothing received")
    };
    assert_eq!((of, bytes), (conn, Bytes::from_static(b"hello")));
    assert!(at >= before && at <= Instant::now());

    // More than a socket takes at once, then the end: all of it arrives.
    let much = vec![7; 8 * 1024 * 1024];
    outbox.write(Instant::now(), Bytes::from(much.clone())).expect("fits");
    outbox
        .write(Instant::now(), Bytes::from_static(b"last words"))
        .expect("fits");
    outbox.close(Instant::now());
    let mut got = Vec::new();
    switch.read_to_end(&mut got).expect("it ends in order");
    assert_eq!(got.len(), much.len() + 10);
    assert!(got.ends_with(b"last words"));

    let other = TcpStream::connect(address).expect("it listens");
    drop(other);
    let mut closed = None;
    while closed.is_none() {
        if let SocketEvent::Closed { conn: of, reason } = next(&mut events)
            && of > conn
        {
            closed = Some(reason);
        }
    }
    assert_eq!(closed.as_deref(), Some("the switch closed the connection"));
}

#[test]
fn a_switch_that_floods_waits_for_itself_and_not_others_for_it() {
    let (_sockets, mut events, address) = listen();
    let mut flood = TcpStream::connect(address).expect("it listens");
    flood.set_nonblocking(true).expect("it can be");
    let chunk = vec![1; 64 * 1024];
    while flood.write(&chunk).is_ok() {}
    let mut other = TcpStream::connect(address).expect("it listens");
    other.write_all(b"x").expect("it reads");

    // Nothing is given back, so the flood gets no more than its share, and the other one comes through.
    let mut kept = Vec::new();
    let mut accepted = Vec::new();
    loop {
        match next(&mut events) {
            SocketEvent::Accepted { conn, outbox, room, .. } => accepted.push((conn, outbox, room)),
            event @ SocketEvent::Received { .. } => {
                let SocketEvent::Received { conn, bytes, .. } = &event else {
                    continue;
                };
                let is_other = *conn == accepted.last().expect("accepted first").0 && accepted.len() == 2;
                if is_other {
                    assert_eq!(&bytes[..], b"x");
                    break;
                }
                kept.push(event);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(kept.len() <= 4, "{} reads of the flood are under way", kept.len());
}

#[test]
fn a_switch_that_does_not_read_is_given_up() {
    let (_sockets, mut events, address) = listen();
    let _switch = TcpStream::connect(address).expect("it listens");
    let SocketEvent::Accepted { conn, outbox, .. } = next(&mut events) else {
        panic!("not accepted")
    };
    let much = Bytes::from(vec![0; 48 * 1024 * 1024]);
    outbox.write(Instant::now(), much.clone()).expect("fits");
    assert!(matches!(outbox.write(Instant::now(), much), Err(Stuck::Full { .. })));
    let SocketEvent::Closed { conn: of, reason } = next(&mut events) else {
        panic!("not closed")
    };
    assert_eq!(of, conn);
    assert!(reason.starts_with("took no byte for"), "{reason}");
}

#[test]
fn a_dead_switch_is_noticed_by_the_kernel_and_small_messages_do_not_wait() {
    let (_sockets, mut events, address) = listen();
    let _switch = TcpStream::connect(address).expect("it listens");
    let SocketEvent::Accepted { outbox, .. } = next(&mut events) else {
        panic!("not accepted")
    };
    // What the kernel holds, not what was asked for.
    let socket = socket2::SockRef::from(outbox.socket().stream());
    assert!(socket.tcp_nodelay().expect("readable"));
    assert!(socket.keepalive().expect("readable"));
    assert_eq!(socket.tcp_keepalive_time().expect("readable"), KEEPALIVE.0);
    assert_eq!(socket.tcp_keepalive_interval().expect("readable"), KEEPALIVE.1);
    assert_eq!(socket.tcp_user_timeout().expect("readable"), Some(USER_TIMEOUT));
    assert_eq!(USER_TIMEOUT, Duration::from_secs(15));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (_sockets, _events, address) = listen();
    let error = Sockets::listen(&[(address, Transport::Plain)], LIMITS).expect_err("it is taken");
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

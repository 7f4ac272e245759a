//! A door from the host into a namespace: a free port of the host's loopback whose
//! connections go on to an address inside. For people: programs use `Lab::within`.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

use anyhow::Result;

use crate::lab::Lab;
use crate::sys;

/// Connections at a time. A browser opens six; further ones are closed at once.
const CONNECTIONS_MAX: usize = 64;

/// An open door. Dropping it closes it; connections that stand go on.
pub struct Relay {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Opens a door to `to` inside `netns`, where nobody needs to listen yet.
    ///
    /// # Errors
    /// No such namespace, or no free port.
    pub fn open(lab: &Lab, netns: &str, to: SocketAddr) -> Result<Relay> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let netns = lab.open_netns(netns)?;
        let closed = Arc::new(AtomicBool::new(false));
        let seen = closed.clone();
        let thread = std::thread::spawn(move || {
            // The listener stays where it was made; what this thread opens is inside.
            if let Err(error) = sys::enter_netns(&netns) {
                eprintln!("relay to {to}: {error}");
                return;
            }
            drop(netns);
            let open = Arc::new(AtomicUsize::new(0));
            for outside in listener.incoming() {
                if seen.load(SeqCst) {
                    return;
                }
                let Ok(outside) = outside else { continue };
                if open.load(SeqCst) >= CONNECTIONS_MAX {
                    continue;
                }
                // Nobody listens: the caller sees its connection closed.
                let Ok(inside) = TcpStream::connect(to) else { continue };
                open.fetch_add(1, SeqCst);
                let open = open.clone();
                std::thread::spawn(move || {
                    // An error of copying is the end of the connection, no more.
                    let _ = join(&outside, &inside);
                    open.fetch_sub(1, SeqCst);
                });
            }
        });
        Ok(Relay {
            address,
            closed,
            thread: Some(thread),
        })
    }

    /// The address on the host.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.closed.store(true, SeqCst);
        // Wakes the thread. If that fails, its listener is broken and it has ended.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Copies both ways until both sides have ended.
fn join(outside: &TcpStream, inside: &TcpStream) -> io::Result<()> {
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        let copied = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write).and(copied.map(drop))
    };
    std::thread::scope(|scope| {
        let there = scope.spawn(|| copy(outside, inside));
        let back = copy(inside, outside);
        there.join().unwrap_or(Ok(())).and(back)
    })
}

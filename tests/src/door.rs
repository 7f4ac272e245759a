//! A door on loopback through which connections go to somewhere else, and that can be shut: then nothing passes any more, and nobody
//! is told, as when a cable is cut. When it is opened again, what waited goes on, as TCP does after a cable was put in.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// Connections at a time. A Kafka client has a few; further ones are closed at once.
const CONNECTIONS_MAX: usize = 256;
/// A connection that is silent looks so often whether the door is shut or gone.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes that are taken at a time.
const TAKEN_MAX: usize = 64 << 10;

/// See the module. Dropping it ends its connections.
pub struct Door {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    to: Option<SocketAddr>,
    shut: bool,
    gone: bool,
    connections: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while it is shut. False: it is gone.
    fn pass(&self) -> bool {
        let state = self.changed.wait_while(self.state(), |state| state.shut && !state.gone);
        !state.unwrap_or_else(PoisonError::into_inner).gone
    }
}

impl Door {
    /// A door that leads nowhere yet.
    ///
    /// # Errors
    /// There is no free port.
    pub fn new() -> Result<Door> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let within = shared.clone();
        std::thread::Builder::new()
            .name("door".to_owned())
            .spawn(move || {
                for near in listener.incoming() {
                    if within.state().gone {
                        return;
                    }
                    // Whoever comes while nobody is there sees its connection closed.
                    if let Ok(near) = near {
                        let _ = enter(&within, near);
                    }
                }
            })
            .context("a thread")?;
        Ok(Door { address, shared })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it leads there.
    pub fn lead(&self, to: SocketAddr) {
        self.shared.state().to = Some(to);
    }

    /// Nothing passes any more.
    pub fn shut(&self) {
        self.set(|state| state.shut = true);
    }

    /// What waited goes on.
    pub fn open(&self) {
        self.set(|state| state.shut = false);
    }

    fn set(&self, what: impl FnOnce(&mut State)) {
        what(&mut self.shared.state());
        self.shared.changed.notify_all();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.set(|state| state.gone = true);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

/// Somebody comes.
fn enter(shared: &Arc<Shared>, near: TcpStream) -> Result<()> {
    let to = {
        let mut state = shared.state();
        if state.connections >= CONNECTIONS_MAX {
            return Ok(());
        }
        state.connections += 1;
        state.to
    };
    let shared = shared.clone();
    std::thread::Builder::new()
        .name("door-connection".to_owned())
        .spawn(move || {
            // An error of copying is the end of the connection, no more.
            if let Some(to) = to.filter(|_| shared.pass())
                && let Ok(far) = TcpStream::connect(to)
            {
                std::thread::scope(|scope| {
                    scope.spawn(|| copy(&shared, &near, &far));
                    copy(&shared, &far, &near);
                });
            }
            shared.state().connections -= 1;
        })?;
    Ok(())
}

/// One way, until one side ends or the door is gone.
fn copy(shared: &Shared, mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = vec![0; TAKEN_MAX];
    let looks = from.set_read_timeout(Some(LOOK)).and_then(|()| to.set_nodelay(true));
    while looks.is_ok() && shared.pass() {
        match from.read(&mut bytes) {
            Ok(0) => break,
            // What was taken just when it was shut waits here.
            Ok(count) if shared.pass() => {
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_while_it_is_shut_arrives_when_it_is_open() {
        let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let door = Door::new().expect("a door");
        door.lead(far.local_addr().expect("bound"));
        let mut near = TcpStream::connect(door.address()).expect("listens");
        let (mut inside, _) = far.accept().expect("comes through");
        near.write_all(b"one").expect("is taken");
        let mut heard = [0; 3];
        inside.read_exact(&mut heard).expect("arrives");
        assert_eq!(&heard, b"one");

        door.shut();
        near.write_all(b"two").expect("is taken");
        inside
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("is set");
        let kind = inside.read(&mut heard).expect_err("nothing passes").kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind}");
        door.open();
        inside.set_read_timeout(None).expect("is set");
        inside.read_exact(&mut heard).expect("arrives");
        assert_eq!(&heard, b"two");
        drop(door);
        assert_eq!(inside.read(&mut heard).expect("ends"), 0);
        assert_eq!(near.read(&mut heard).expect("ends"), 0);
    }
}

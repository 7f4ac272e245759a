//! One connection of a switch to a controller: how far it is, what was read and not understood yet, what is to be written.
//!
//! ```text
//! Waiting --time--> Dialing --connected--> Up --ended--> Waiting or Over
//!    ^                 |
//!    +-- unreachable --+
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ofproto::Framer;

use super::echo::Window;
use super::manner::Manner;
use crate::sim::switch::ConnId;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is tried at this moment.
    Waiting {
        /// When.
        at: Instant,
    },
    /// It is being tried.
    Dialing {
        /// Since when.
        since: Instant,
    },
    /// It is there.
    Up {
        /// Since when.
        since: Instant,
    },
    /// It is gone and not tried again.
    Over,
}

/// A connection.
#[derive(Debug)]
pub struct Line {
    /// Index of its switch.
    pub switch: usize,
    /// How it behaves.
    pub manner: Manner,
    /// Its controller.
    pub to: SocketAddr,
    /// How far it is.
    pub state: State,
    /// How often it was tried; part of the number of its connection.
    pub tries: u32,
    /// Tries in a row that came to nothing.
    pub failures: u32,
    /// What was read and is no whole message yet.
    pub framer: Framer,
    /// What is to be written.
    pub out: BytesMut,
    /// Whether the driver knows that there is something to write.
    pub told: bool,
    /// Both sides have said hello.
    pub greeted: bool,
    /// The controller knows the features.
    pub handshaken: bool,
    /// The controller asked for a role and has not been answered.
    pub role_asked: bool,
    /// The controller has asked for a role and got it.
    pub settled: bool,
    /// When the first change since the last barrier came.
    pub changing: Option<Instant>,
    /// It says nothing any more and hears nothing; the switch has forgotten it.
    pub silenced: bool,
    /// Our echo requests.
    pub echo: Window,
    /// When the next one is due, if they are asked at intervals.
    pub echo_at: Option<Instant>,
    /// Our packet-ins.
    pub asked: Window,
    /// The last packet-in of each host; made with the first one.
    pub by_host: Vec<u32>,
    /// How many packet-ins were sent, or bytes of a hello that trickles.
    pub turn: u32,
    /// When it does again what it always does.
    pub habit_at: Option<Instant>,
}

impl Line {
    /// A connection that is tried at a moment.
    pub fn new(switch: usize, manner: Manner, to: SocketAddr, at: Instant) -> Line {
        Line {
            switch,
            manner,
            to,
            state: State::Waiting { at },
            tries: 0,
            failures: 0,
            framer: Framer::new(),
            out: BytesMut::new(),
            told: false,
            greeted: false,
            handshaken: false,
            role_asked: false,
            settled: false,
            changing: None,
            silenced: false,
            echo: Window::default(),
            echo_at: None,
            asked: Window::default(),
            by_host: Vec::new(),
            turn: 0,
            habit_at: None,
        }
    }

    /// The number of its present or last connection, given its index.
    pub fn conn(&self, index: usize) -> ConnId {
        ConnId(u64::from(self.tries) << 32 | index as u64)
    }

    /// Whether it is there.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Nothing of the last connection is left.
    pub fn forget(&mut self) {
        self.framer = Framer::new();
        self.out = BytesMut::new();
        self.greeted = false;
        self.handshaken = false;
        self.role_asked = false;
        self.settled = false;
        self.changing = None;
        self.silenced = false;
        self.echo_at = None;
        self.by_host = Vec::new();
        self.turn = 0;
        self.habit_at = None;
    }
}

/// The index of the line that a connection is of.
pub fn index(conn: ConnId) -> usize {
    (conn.0 & u64::from(u32::MAX)) as usize
}

/// How long to wait after so many tries in a row that came to nothing: twice as long each time, up to eight seconds, as
/// Open vSwitch does.
pub fn back_off(first: Duration, failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(8);
    first.saturating_mul(1 << failures.min(16)).min(LONGEST.max(first))
}

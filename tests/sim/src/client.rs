//! A process's connection to the log: what it sends, what it reads, and whether it can reach the log at all. One client lives
//! as long as its process; a process that starts again has a new one, while records of the old one may still be on their way.
//!
//! ```text
//! sent --way--> stored --way back--> told delivered        cut off: waits where it is; after the message time-out it is
//!    \             \                                       told not delivered, whether it was stored or not
//!     killed: a prefix of what was under way is stored, perhaps late
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::log::{Group, Tp};
use crate::time::Ns;

/// A client: one of a process's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub usize);

/// Whose client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The speaker of a region.
    Speaker(usize),
    /// A router.
    Router(usize),
}

/// A record on its way.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its key.
    pub key: Arc<str>,
    /// What it says.
    pub payload: Bytes,
    /// Its fate is told with this.
    pub token: Option<u64>,
    /// When it was sent.
    pub since: Ns,
}

/// What was sent to one partition: order is never changed.
#[derive(Debug, Default)]
pub struct Queue {
    /// Not stored yet.
    pub waiting: VecDeque<Message>,
    /// Stored, and not told yet: the token, the append time, when it was sent.
    pub stored: VecDeque<(Option<u64>, u64, Ns)>,
    /// When the last one arrives.
    pub last_arrival: Ns,
    /// When the last one is told.
    pub last_ack: Ns,
}

/// A partition that is read.
#[derive(Debug)]
pub struct Reading {
    /// Which.
    pub tp: Tp,
    /// The next offset to hand over; none: it is not known yet where reading begins.
    pub next: Option<i64>,
    /// Whether the process was told that it stands at the end.
    pub caught_up: bool,
    /// Records are on their way.
    pub fetching: bool,
    /// When the last batch arrives: a later one does not overtake it.
    pub last_fetch: Ns,
}

/// The connection of one life of a process.
#[derive(Debug)]
pub struct Client {
    /// Whose.
    pub who: Who,
    /// Under which name it commits.
    pub group: Group,
    /// The process lives.
    pub alive: bool,
    /// What its process was told; none: nothing yet.
    pub up: Option<bool>,
    /// What was sent, by partition.
    pub queues: BTreeMap<Tp, Queue>,
    /// What is read.
    pub reads: Vec<Reading>,
    /// Offsets that are to be committed.
    pub commits: BTreeMap<Tp, i64>,
    /// A commit is on its way.
    pub committing: bool,
    /// The process is gone, and what it sent does not arrive before then.
    pub held_until: Ns,
}

impl Client {
    /// A client that has said and read nothing.
    pub fn new(who: Who, group: Group) -> Client {
        Client {
            who,
            group,
            alive: true,
            up: None,
            queues: BTreeMap::new(),
            reads: Vec::new(),
            commits: BTreeMap::new(),
            committing: false,
            held_until: 0,
        }
    }

    /// Messages whose fate is open.
    pub fn in_flight(&self) -> usize {
        self.queues.values().map(|q| q.waiting.len() + q.stored.len()).sum()
    }
}

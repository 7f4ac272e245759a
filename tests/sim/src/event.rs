//! What is going to happen, in the order in which it does.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::Bytes;
use skerry_bus::{PortNo, Region};
use skerry_network::Packet;

use crate::client::{ClientId, Who};
use crate::log::Tp;
use crate::time::Ns;

/// Something that is going to happen.
#[derive(Debug)]
pub enum Event {
    /// A process starts, unless it runs already.
    Start(Who),
    /// A switch calls a region, for the life of its `boot`.
    Dial {
        /// The switch.
        switch: usize,
        /// The region.
        home: usize,
        /// Which life of the switch.
        boot: u32,
    },
    /// A connection reaches its speaker.
    Accepted {
        /// The connection.
        conn: usize,
    },
    /// Bytes reach a speaker.
    ToSpeaker {
        /// The connection.
        conn: usize,
        /// The bytes.
        bytes: Bytes,
    },
    /// The end of a connection reaches its speaker.
    ClosedToSpeaker {
        /// The connection.
        conn: usize,
    },
    /// Bytes reach a switch.
    ToSwitch {
        /// The connection.
        conn: usize,
        /// Whole messages.
        bytes: Bytes,
    },
    /// The end of a connection reaches its switch.
    ClosedToSwitch {
        /// The connection.
        conn: usize,
    },
    /// A packet reaches a port.
    Packet {
        /// The switch.
        switch: usize,
        /// Its port.
        port: PortNo,
        /// The packet.
        packet: Box<Packet>,
        /// The cable it came by; none: from nowhere.
        cable: Option<usize>,
    },
    /// A sent record reaches the log.
    Arrive {
        /// Whose.
        client: ClientId,
        /// For which partition.
        tp: Tp,
    },
    /// Word of a stored record reaches its sender.
    Ack {
        /// Whose.
        client: ClientId,
        /// In which partition.
        tp: Tp,
    },
    /// A record was not taken at all.
    NotSent {
        /// Whose.
        client: ClientId,
        /// Its token.
        token: u64,
    },
    /// Records that waited too long are given up.
    Expire {
        /// Whose.
        client: ClientId,
    },
    /// It is found out where reading begins.
    Begin {
        /// Whose.
        client: ClientId,
    },
    /// Records reach their reader.
    Fetch {
        /// Whose.
        client: ClientId,
        /// Which of its partitions, by place.
        read: usize,
    },
    /// A connection to the log broke: the reader does not know any more where it stands.
    Broke {
        /// Whose.
        client: ClientId,
    },
    /// It is looked whether the log answers.
    Health {
        /// Whose.
        client: ClientId,
    },
    /// Commits reach the log.
    Commit {
        /// Whose.
        client: ClientId,
    },
    /// The oldest order of a speaker's disk is done.
    Disk {
        /// Of this life.
        client: ClientId,
    },
    /// The router's transaction is done.
    Stored {
        /// Of this life.
        client: ClientId,
    },
    /// What a router found by looking for regions.
    Regions {
        /// Of this life.
        client: ClientId,
        /// The regions.
        found: Vec<(Region, i64)>,
    },
    /// A service says its next command.
    Command(usize),
    /// A fault begins.
    Fault(usize),
    /// A fault ends.
    Heal(usize),
    /// A deposed region tries to write.
    StaleWrite {
        /// By this connection.
        conn: usize,
    },
    /// Everything must be as wanted.
    Look,
}

#[derive(Debug)]
struct Timed {
    at: Ns,
    order: u64,
    event: Event,
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Timed {}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timed {
    // The heap gives the greatest: the earliest, and of several the one that was planned first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Timed>,
    order: u64,
}

impl Agenda {
    /// Plan something.
    pub fn put(&mut self, at: Ns, event: Event) {
        self.order += 1;
        let order = self.order;
        self.heap.push(Timed { at, order, event });
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Ns> {
        self.heap.peek().map(|timed| timed.at)
    }

    /// The next thing.
    pub fn take(&mut self) -> Option<(Ns, Event)> {
        self.heap.pop().map(|timed| (timed.at, timed.event))
    }
}

//! Which packets of a switch are looked at: the rest is dropped where it was read, before anything is decoded or copied.
//!
//! Each switch and each of its ports has a bucket for discovery packets and one for all others, so that a flood of one kind or
//! by one port costs the other kind and the other ports nothing. What calls itself a discovery packet is believed to be one
//! here: its signature is checked behind the bucket, because that is what a forger would have us do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ofproto::PacketIn;

use crate::bucket::{Bucket, Rate};
use crate::packet;

/// How many packets of one switch are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRates {
    /// Packets that are not discovery packets, of one port.
    pub other_port: Rate,
    /// The same, of a whole switch.
    pub other_switch: Rate,
    /// Discovery packets of one port, forged ones included.
    pub discovery_port: Rate,
    /// The same, of a whole switch.
    pub discovery_switch: Rate,
}

impl Default for PacketRates {
    fn default() -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        PacketRates {
            other_port: rate(100, 100),
            other_switch: rate(500, 500),
            discovery_port: rate(100, 100),
            discovery_switch: rate(20_000, 20_000),
        }
    }
}

/// What kind of packet it is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Discovery,
}

/// Why a packet was dropped unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// The switch is not announced: nothing can be done with its packets yet.
    NotAnnounced,
    /// Too many others of its port.
    OtherPort,
    /// Too many others of its switch.
    OtherSwitch,
    /// Too many discovery packets of its port.
    DiscoveryPort,
    /// Too many discovery packets of its switch.
    DiscoverySwitch,
}

/// The fates of packets since they were told last. Offered is the sum of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) malformed: u64,
    pub(crate) not_announced: u64,
    pub(crate) other_port: u64,
    pub(crate) other_switch: u64,
    pub(crate) discovery_port: u64,
    pub(crate) discovery_switch: u64,
}

/// How long a connection from which packets were shed is not read: what it sends then comes in large pieces, and waking up
/// for each packet, which costs more than dropping it, costs the others nothing. With 64 KiB read at a time this lets some
/// 300,000 packets a second pass; who sends more waits in TCP, with all that it has to say.
pub(crate) const REST: Duration = Duration::from_millis(1);

impl Tally {
    /// Whether packets were dropped because there are too many.
    pub(crate) fn is_flood(&self) -> bool {
        self.other_port + self.other_switch + self.discovery_port + self.discovery_switch > 0
    }

    pub(crate) fn shed(&mut self, why: Shed) {
        let count = match why {
            Shed::NotAnnounced => &mut self.not_announced,
            Shed::OtherPort => &mut self.other_port,
            Shed::OtherSwitch => &mut self.other_switch,
            Shed::DiscoveryPort => &mut self.discovery_port,
            Shed::DiscoverySwitch => &mut self.discovery_switch,
        };
        *count += 1;
    }
}

#[derive(Debug, Default)]
struct Buckets {
    other: Bucket,
    discovery: Bucket,
}

impl Buckets {
    fn of(&mut self, kind: Kind) -> &mut Bucket {
        match kind {
            Kind::Other => &mut self.other,
            Kind::Discovery => &mut self.discovery,
        }
    }
}

/// The buckets of one switch.
#[derive(Debug)]
pub(crate) struct Shedder {
    rates: PacketRates,
    switch: Buckets,
    /// Only of ports that the switch has, so that made-up numbers take no memory.
    ports: BTreeMap<u32, Buckets>,
    /// All packets that came by none of its ports share this one.
    elsewhere: Buckets,
}

impl Shedder {
    pub(crate) fn new(rates: PacketRates) -> Self {
        Shedder {
            rates,
            switch: Buckets::default(),
            ports: BTreeMap::new(),
            elsewhere: Buckets::default(),
        }
    }

    /// Whether this packet is to be dropped. `has_port` says whether the switch has a port of this number.
    pub(crate) fn judge(&mut self, now: Instant, frame: &[u8], has_port: impl FnOnce(u32) -> bool) -> Option<Shed> {
        // What cannot be seen is not a well-formed packet-in: the decoder says what is wrong with it, and that ends the
        // connection, so there is never a second one.
        let seen = PacketIn::peek(frame)?;
        let kind = if packet::looks_like_one(seen.data) {
            Kind::Discovery
        } else {
            Kind::Other
        };
        let (port_rate, switch_rate, port_full, switch_full) = match kind {
            Kind::Other => (
                self.rates.other_port,
                self.rates.other_switch,
                Shed::OtherPort,
                Shed::OtherSwitch,
            ),
            Kind::Discovery => (
                self.rates.discovery_port,
                self.rates.discovery_switch,
                Shed::DiscoveryPort,
                Shed::DiscoverySwitch,
            ),
        };
        let port = match seen.in_port {
            // A switch says CONTROLLER of the packets that measure its control channel.
            Some(port) if port == ofproto::PortNo::CONTROLLER || has_port(port.0) => {
                self.ports.entry(port.0).or_default().of(kind)
            }
            _ => self.elsewhere.of(kind),
        };
        // A packet that one bucket refuses takes nothing from the other.
        if !port.has(now, port_rate) {
            return Some(port_full);
        }
        let switch = self.switch.of(kind);
        if !switch.has(now, switch_rate) {
            return Some(switch_full);
        }
        port.take(now, port_rate);
        switch.take(now, switch_rate);
        None
    }

    /// The switch has this port no more.
    pub(crate) fn forget_port(&mut self, port: u32) {
        self.ports.remove(&port);
    }
}

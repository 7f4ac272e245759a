//! What goes into the speaker's machine and what comes out: values only, no sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use skerry_bus::{BrokerClock, Epoch, Mode, Region, Topic};

use crate::bundle::BundleUse;
use crate::fact::{Counter, Fact};
use crate::identity::{Identity, TlsFailure};
use crate::known::Ours;
use crate::measure::{Gauge, Histogram};
use crate::shed::PacketRates;
use crate::store::{Key, Write};

/// A connection of the driver. The driver never uses a number twice within one run, and later connections
/// have larger ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What is done with a switch that answers OFPT_ROLE_REQUEST with an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Roles {
    /// It is refused: nothing would keep two regions from writing to it.
    #[default]
    Master,
    /// It is taken as EQUAL. The router's word decides who writes, and a speaker that is without Kafka for longer than its
    /// lease stops writing.
    Equal,
}

/// What the speaker is told once, at its start.
#[derive(Clone)]
pub struct Config {
    /// The region it speaks for.
    pub region: Region,
    /// Larger than at every earlier start.
    pub epoch: Epoch,
    /// Which process this is, for a person: its host and where it listens.
    pub name: String,
    /// What this region may do with its switches.
    pub mode: Mode,
    /// Partitions of the keyed topics; part of the deployment.
    pub partitions: i32,
    /// Signs discovery packets; the same in the whole network.
    pub network_key: [u8; 32],
    /// Interval of heartbeats into every partition.
    pub heartbeat: Duration,
    /// Interval of discovery packets per port.
    pub discovery: Duration,
    /// Interval of echo requests to a switch.
    pub echo: Duration,
    /// Echo requests that may stay unanswered in a row before the switch counts as gone. Open vSwitch stands still for
    /// seconds while it makes bridges, so this times `echo` must be well above that.
    pub echo_missed_max: u32,
    /// From the TCP connection to the settled role, TLS included.
    pub handshake_max: Duration,
    /// How long a switch may take for a barrier reply or for a part of a dump.
    pub barrier_max: Duration,
    /// How long the living session of a switch has to answer when a second one claims the same id. Open vSwitch stands
    /// still for a second and more while it makes bridges, and a living session must not be lost for that.
    pub challenge: Duration,
    /// Interval of the packets that measure the control channel's own round trip.
    pub control_rtt: Duration,
    /// When bundles are used, for switches that take them.
    pub bundles: BundleUse,
    /// Which groups and meters are ours, the same in the whole network.
    pub ours: Ours,
    /// Connections at a time, those still in handshake included. One more is closed at once.
    pub connections_max: usize,
    /// How many packets of one switch are looked at.
    pub packets: PacketRates,
    /// Bytes of desired states on disk. A state beyond it is not kept.
    pub kept_bytes_max: u64,
    /// The same for connections from one address, so that no single host can take all the room.
    pub connections_per_source_max: usize,
    /// What is done with a switch that has no roles.
    pub roles: Roles,
    /// For how long silence of Kafka, or of the router, means nothing.
    pub lease: Duration,
    /// How long a rebooted switch that this region held must show no number before it is taken without the router.
    pub autonomy_hold: Duration,
}

impl Config {
    /// The defaults for a region; everything else can be changed afterwards.
    pub fn new(region: Region, epoch: Epoch, network_key: [u8; 32]) -> Self {
        Config {
            region,
            epoch,
            name: String::new(),
            mode: Mode::ReadWrite,
            partitions: skerry_bus::topic::PARTITIONS,
            network_key,
            heartbeat: Duration::from_millis(250),
            discovery: Duration::from_secs(1),
            echo: Duration::from_secs(5),
            echo_missed_max: 3,
            handshake_max: Duration::from_secs(5),
            barrier_max: Duration::from_secs(30),
            challenge: Duration::from_secs(2),
            control_rtt: Duration::from_secs(1),
            bundles: BundleUse::default(),
            ours: Ours::default(),
            connections_max: 4096,
            packets: PacketRates::default(),
            kept_bytes_max: 256 * 1024 * 1024,
            connections_per_source_max: 2048,
            roles: Roles::Master,
            lease: Duration::from_secs(1),
            autonomy_hold: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is a secret and stays out of logs.
        f.debug_struct("Config")
            .field("region", &self.region)
            .field("epoch", &self.epoch)
            .field("mode", &self.mode)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

/// What happens to the speaker.
#[derive(Debug, Clone)]
pub enum Input {
    /// A switch connected.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Where it comes from.
        peer: SocketAddr,
        /// Where it came to.
        local: SocketAddr,
        /// TLS comes first: [`Input::Secured`] or [`Input::NotSecured`] follows, and nothing is written until then.
        tls: bool,
    },
    /// The TLS handshake of a connection is over.
    Secured {
        /// The connection.
        conn: ConnId,
        /// Who it is.
        identity: Identity,
    },
    /// The TLS handshake of a connection failed. The machine closes the connection.
    NotSecured {
        /// The connection.
        conn: ConnId,
        /// Why.
        failure: TlsFailure,
    },
    /// Bytes of a connection, cut anywhere. `now` of this input is when they were read: latencies are counted from it.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Bytes,
    },
    /// A connection ended by itself. Nothing comes for it after [`Output::Close`] either; telling it then does no harm.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why, as the operating system says it.
        reason: String,
    },
    /// A record of `skerry.v1.commands.<region>`, put together from its chunks, not decoded.
    Command {
        /// Where it was read.
        partition: i32,
        /// Its offset (that of the last chunk).
        offset: i64,
        /// Its payload.
        payload: Vec<u8>,
        /// The broker's time of the record in milliseconds; 0 if it is not known.
        broker_ms: u64,
    },
    /// A publish with this token was acknowledged.
    Delivered {
        /// The token of [`Output::Publish`].
        token: u64,
        /// The broker's time of the record in milliseconds; 0 if it is not known. It teaches the broker's clock.
        broker_ms: u64,
    },
    /// A publish with this token was given up.
    NotDelivered {
        /// The token of [`Output::Publish`].
        token: u64,
    },
    /// Chunks of the command topic that do not make a command.
    CommandUnreadable {
        /// Where the first of them stands.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Why.
        cause: String,
    },
    /// A partition of the command topic is no longer ours or is read again from the committed offset: what was
    /// read from it and not answered is forgotten, as far as commits go.
    PartitionLost {
        /// The partition.
        partition: i32,
    },
    /// Kafka cannot be reached: until [`Input::BusUp`] only the latest state is kept.
    BusDown,
    /// Kafka can be reached again, or for the first time. The machine starts with the bus down.
    BusUp,
    /// The broker's clock, learned elsewhere (such as from the time of a command's record).
    Clock(BrokerClock),
    /// The disk works, and this stands on it below [`Key::RESTORED_BELOW`]. Without this input nothing is kept. It comes
    /// before all other inputs, and again (with nothing) when [`Output::OpenStore`] had success. A disk that is there and
    /// cannot be used yet is told as [`Input::StoreFailed`] in its place.
    Restored {
        /// Names and values.
        entries: Vec<(Key, Bytes)>,
    },
    /// What [`Output::Store`] asked for is on disk, whatever happens to this process.
    Stored {
        /// Its token.
        token: u64,
    },
    /// It is not on disk, and the store was given up: nothing of what stood on it will be restored, and nothing that was
    /// ordered is done any more until [`Input::Restored`] comes again.
    StoreFailed {
        /// The token of [`Output::Store`] or, if it could not even be asked, [`Output::Load`];
        /// [`OPEN_TOKEN`](crate::store::OPEN_TOKEN) for [`Output::OpenStore`].
        token: u64,
        /// Why.
        cause: String,
    },
    /// What [`Output::Load`] asked for.
    Loaded {
        /// Its token.
        token: u64,
        /// One value for each key, in order.
        values: Vec<Bytes>,
    },
    /// It cannot be read, or something of it is not there.
    LoadFailed {
        /// The token of [`Output::Load`].
        token: u64,
        /// Why.
        cause: String,
    },
    /// The process ends: switches are left as they are, their disconnection is told.
    Stop,
}

/// What the speaker wants done. Outputs are to be carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write these bytes to the connection.
    Write {
        /// The connection.
        conn: ConnId,
        /// Whole OpenFlow messages.
        bytes: Bytes,
    },
    /// Close the connection after what was written to it. No [`Input::Closed`] is needed for it.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why, for the log.
        reason: String,
    },
    /// Send a record to Kafka. Order within a partition is the order of these outputs.
    Publish {
        /// Where to.
        topic: Topic,
        /// To which partition of it.
        partition: i32,
        /// The record's key.
        key: String,
        /// The record, at most [`skerry_bus::chunk::WHOLE_MAX`] bytes.
        payload: Vec<u8>,
        /// If there is one, the fate of the record is to be told with [`Input::Delivered`] or [`Input::NotDelivered`].
        token: Option<u64>,
    },
    /// Everything of this partition below `offset` is answered: commit it.
    Commit {
        /// The partition of `skerry.v1.commands.<region>`.
        partition: i32,
        /// The next offset to read.
        offset: i64,
    },
    /// Put this on disk, all of it or nothing, after everything that was asked for before. Its end is told with
    /// [`Input::Stored`] or [`Input::StoreFailed`]. Only after [`Input::Restored`].
    Store {
        /// Names this request.
        token: u64,
        /// What changes.
        writes: Vec<Write>,
    },
    /// Read these from disk, as they are after everything that was asked for before. Told with [`Input::Loaded`] or
    /// [`Input::LoadFailed`].
    Load {
        /// Names this request.
        token: u64,
        /// What to read.
        keys: Vec<Key>,
    },
    /// Begin with an empty store, where the last one was given up. Whatever was ordered before and is not done is void: it
    /// must not be done any more, and needs no answer. Told with [`Input::Restored`] or [`Input::StoreFailed`], whenever that
    /// may be; there are no other orders until then.
    OpenStore,
    /// Add to a counter.
    Count {
        /// Which.
        counter: Counter,
        /// How much.
        by: u64,
    },
    /// The connection whose bytes are being looked at sends more than is of use: it need not be read on before then.
    Rest {
        /// When it is to be read again.
        until: Instant,
    },
    /// Collect a duration.
    Observe {
        /// Which.
        histogram: Histogram,
        /// How long.
        took: Duration,
    },
    /// How much there is of something now. Told when it changed, about once a second.
    Gauge {
        /// Of what.
        gauge: Gauge,
        /// How much.
        value: u64,
    },
    /// Something worth a line in the log.
    Fact(Fact),
}

//! What the speaker counts and what it tells the log, as values: the driver turns them into metrics and lines.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use skerry_bus::{Cause, CorrelationId, Generation, Outcome, PortRef, Role, SwitchId, Term};

use crate::identity::{Certified, TlsFailure, TlsFault};
use crate::io::ConnId;

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $reason:literal;)*) => {
        /// Something that is counted. Each is a metric name with a `reason` label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }
        impl Counter {
            /// All of them, so that a driver can show zeros.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];
            /// The metric.
            pub fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }
            /// Its `reason` label; empty if the metric has none.
            pub fn reason(self) -> &'static str {
                match self { $(Counter::$variant => $reason,)* }
            }
        }
    };
}

counters! {
    /// A connection was accepted.
    Connections => "speaker_connections", "";
    /// A connection beyond the limit was closed at once.
    RefusedFull => "speaker_refused", "connections_full";
    /// A connection beyond what one address may have was closed at once.
    RefusedSource => "speaker_refused", "source_full";
    /// A certificate that is for another switch.
    RefusedIdentity => "speaker_refused", "identity";
    /// A switch without a certificate.
    RefusedNoCertificate => "speaker_refused", "no_certificate";
    /// A certificate past its time.
    RefusedExpired => "speaker_refused", "certificate_expired";
    /// A certificate before its time.
    RefusedNotYetValid => "speaker_refused", "certificate_not_yet_valid";
    /// A certificate of another CA.
    RefusedIssuer => "speaker_refused", "certificate_unknown_issuer";
    /// A certificate that its CA took back.
    RefusedRevoked => "speaker_refused", "certificate_revoked";
    /// A switch that does not take our certificate.
    RefusedOurs => "speaker_refused", "our_certificate_refused";
    /// Something else than TLS where TLS is spoken.
    RefusedNotTls => "speaker_refused", "not_tls";
    /// Any other failure of a TLS handshake.
    RefusedTls => "speaker_refused", "tls_other";
    /// A frame could not be read.
    RefusedMalformed => "speaker_refused", "malformed";
    /// No version in common.
    RefusedVersion => "speaker_refused", "version";
    /// The handshake took too long.
    RefusedHandshake => "speaker_refused", "handshake";
    /// Another connection of the same switch lives.
    RefusedDuplicate => "speaker_refused", "duplicate";
    /// The switch would not take the role.
    RefusedRole => "speaker_refused", "role";
    /// A message from a switch that nobody waits for.
    Unexpected => "speaker_messages_ignored", "unexpected";
    /// A message from a switch that is not announced and that the handshake has no use for.
    Early => "speaker_messages_ignored", "not_announced";
    /// An error from a switch that belongs to no request.
    ForeignError => "speaker_messages_ignored", "error_without_request";
    /// A packet-in came; it is delivered, shed or malformed.
    PacketsOffered => "speaker_packet_ins_offered", "";
    /// A packet-in was read; what became of it the dropped ones say.
    PacketsDelivered => "speaker_packet_ins_delivered", "";
    /// A packet-in could not be read, which ended its connection.
    PacketsMalformed => "speaker_packet_ins_malformed", "";
    /// A packet-in of a switch that is not announced.
    ShedNotAnnounced => "speaker_packet_ins_shed", "not_announced";
    /// A packet-in beyond the rate of its port.
    ShedOtherPort => "speaker_packet_ins_shed", "port";
    /// A packet-in beyond the rate of its switch.
    ShedOtherSwitch => "speaker_packet_ins_shed", "switch";
    /// A discovery packet, or what looks like one, beyond the rate of its port.
    ShedDiscoveryPort => "speaker_packet_ins_shed", "discovery_port";
    /// A discovery packet, or what looks like one, beyond the rate of its switch.
    ShedDiscoverySwitch => "speaker_packet_ins_shed", "discovery_switch";
    /// A packet-in that is not a discovery packet.
    PacketOther => "speaker_packets_dropped", "not_discovery";
    /// A discovery packet whose signature does not fit.
    PacketForged => "speaker_packets_dropped", "signature";
    /// A discovery packet that is too old, or from the future.
    PacketStale => "speaker_packets_dropped", "stale";
    /// A discovery packet that was seen before.
    PacketReplayed => "speaker_packets_dropped", "replayed";
    /// A discovery packet that came where it cannot belong (such as a turned one of another switch or epoch).
    PacketMisplaced => "speaker_packets_dropped", "misplaced";
    /// A discovery packet before the broker's time is known: its age cannot be judged.
    PacketNoClock => "speaker_packets_dropped", "no_clock";
    /// A new link direction beyond the limit.
    PacketFull => "speaker_packets_dropped", "links_full";
    /// A discovery packet was sent.
    ProbesSent => "speaker_probes_sent", "";
    /// A discovery packet was due before the broker's time is known: whoever gets it could not judge its age.
    ProbesNoClock => "speaker_probes_skipped", "no_clock";
    /// A discovery packet came and was believed.
    ProbesReceived => "speaker_probes_received", "";
    /// A round trip was measured.
    LatencySamples => "speaker_latency_samples", "";
    /// A round trip below zero.
    LatencyNegative => "speaker_latency_dropped", "negative";
    /// A round trip above what a network can have.
    LatencyAbsurd => "speaker_latency_dropped", "absurd";
    /// A round trip whose control channel is not measured yet.
    LatencyNoControl => "speaker_latency_dropped", "no_control_round_trip";
    /// A measurement while Kafka is away.
    LatencyBusDown => "speaker_latency_dropped", "bus_down";
    /// A record of the command topic that is not a command.
    CommandMalformed => "speaker_commands_skipped", "malformed";
    /// A command of a kind we do not know.
    CommandUnknownKind => "speaker_commands_skipped", "unknown_kind";
    /// A command was not taken because too many wait for their answer; it is read again later.
    CommandsFull => "speaker_commands_skipped", "full";
    /// A copy of a command that is under way was not answered by itself, because too many copies wait already.
    CommandsCopies => "speaker_commands_skipped", "copies";
    /// A command was answered again from memory.
    CommandRepeated => "speaker_commands_repeated", "";
    /// A command ended `applied`.
    Applied => "speaker_commands", "applied";
    /// A command ended `rejected`.
    Rejected => "speaker_commands", "rejected";
    /// A command ended `expired`.
    Expired => "speaker_commands", "expired";
    /// A command ended `superseded`.
    Superseded => "speaker_commands", "superseded";
    /// A command ended `failed`.
    Failed => "speaker_commands", "failed";
    /// A state change replaced one that Kafka had not taken yet.
    Coalesced => "speaker_events_coalesced", "";
    /// An event was given up because Kafka is away and it says nothing about state.
    EventDropped => "speaker_events_dropped", "bus_down";
    /// An answer was forgotten because too many waited for Kafka.
    AnswerDropped => "speaker_events_dropped", "answers_full";
    /// A record was not taken by Kafka.
    NotDelivered => "speaker_not_delivered", "";
    /// A desired state was not put on disk because the limit of bytes is reached.
    KeptFull => "speaker_kept_dropped", "full";
    /// A desired state on disk could not be read.
    KeptDamaged => "speaker_kept_dropped", "damaged";
    /// The desired state of a switch that is long gone, or had to make room, was forgotten.
    KeptForgotten => "speaker_kept_dropped", "forgotten";
    /// A switch was taken without the router.
    TakenAlone => "speaker_taken_alone", "";
    /// An order to the disk failed, or was given up without an answer.
    StoreFailed => "speaker_store_failed", "";
    /// The store was given up because a write failed.
    GivenUpFailed => "speaker_store_given_up", "failed";
    /// The store was given up because the disk did not answer in time.
    GivenUpHung => "speaker_store_given_up", "hung";
    /// The store was given up because too many orders waited.
    GivenUpOrders => "speaker_store_given_up", "orders";
    /// The store was given up because too many bytes waited.
    GivenUpBytes => "speaker_store_given_up", "bytes";
    /// A port beyond the limit per switch.
    PortsFull => "speaker_state_dropped", "ports_full";
}

impl Counter {
    /// The counter of a connection that ended before it was announced; none if it was not refused, but left.
    pub fn of_refusal(reason: &CloseReason) -> Option<Counter> {
        match reason {
            CloseReason::ByPeer(_) | CloseReason::Stopping | CloseReason::Replaced | CloseReason::EchoUnanswered(_) => {
                None
            }
            CloseReason::Full(_) => Some(Counter::RefusedFull),
            CloseReason::SourceFull { .. } => Some(Counter::RefusedSource),
            CloseReason::Tls(failure) => Some(match failure.fault {
                TlsFault::NoCertificate => Counter::RefusedNoCertificate,
                TlsFault::Expired => Counter::RefusedExpired,
                TlsFault::NotYetValid => Counter::RefusedNotYetValid,
                TlsFault::UnknownIssuer => Counter::RefusedIssuer,
                TlsFault::Revoked => Counter::RefusedRevoked,
                TlsFault::OursRefused => Counter::RefusedOurs,
                TlsFault::NotTls => Counter::RefusedNotTls,
                TlsFault::Other => Counter::RefusedTls,
            }),
            CloseReason::OtherIdentity { .. } => Some(Counter::RefusedIdentity),
            CloseReason::Malformed(_) => Some(Counter::RefusedMalformed),
            CloseReason::Incompatible(_) | CloseReason::RefusedByPeer(_) => Some(Counter::RefusedVersion),
            CloseReason::HandshakeLate(_) => Some(Counter::RefusedHandshake),
            CloseReason::HandshakeError { .. } => Some(Counter::RefusedRole),
            CloseReason::Duplicate { .. } | CloseReason::Auxiliary(_) | CloseReason::AlreadyWaiting => {
                Some(Counter::RefusedDuplicate)
            }
        }
    }

    /// The counter of a command's end.
    pub fn of(outcome: Outcome) -> Counter {
        match outcome {
            Outcome::Applied => Counter::Applied,
            Outcome::Rejected => Counter::Rejected,
            Outcome::Expired => Counter::Expired,
            Outcome::Superseded => Counter::Superseded,
            Outcome::Failed => Counter::Failed,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The switch, or the network, ended it.
    ByPeer(String),
    /// A frame could not be read: structure, offset and cause.
    Malformed(String),
    /// The switch speaks no version that we speak; what it offered.
    Incompatible(String),
    /// The switch refused ours: its HELLO_FAILED text.
    RefusedByPeer(String),
    /// The handshake was not over in time; at which step it stood.
    HandshakeLate(&'static str),
    /// The switch answered a step of the handshake with an error.
    HandshakeError {
        /// The step.
        step: &'static str,
        /// The error's names.
        error: String,
    },
    /// It did not answer this many echo requests in a row.
    EchoUnanswered(u32),
    /// Another connection of the same switch id lives and answers.
    Duplicate {
        /// Where the living one comes from.
        living: String,
    },
    /// This connection was challenged for a newer one of the same switch and did not answer.
    Replaced,
    /// Too many connections.
    Full(usize),
    /// Too many connections from one address.
    SourceFull {
        /// The address.
        source: IpAddr,
        /// What it may have.
        max: usize,
    },
    /// The TLS handshake failed.
    Tls(TlsFailure),
    /// The certificate is for another switch than the one that was claimed.
    OtherIdentity {
        /// The certificate and what it may be.
        certified: Arc<Certified>,
        /// The claim.
        claimed: SwitchId,
    },
    /// An auxiliary connection, which we do not use.
    Auxiliary(u8),
    /// The handshake of a second connection of the same switch stands already.
    AlreadyWaiting,
    /// The speaker ends.
    Stopping,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::ByPeer(text) => write!(f, "connection ended: {text}"),
            CloseReason::Malformed(text) => write!(f, "malformed frame: {text}"),
            CloseReason::Incompatible(text) => write!(f, "no OpenFlow version in common: {text}"),
            CloseReason::RefusedByPeer(text) => write!(f, "the switch refused the hello: {text}"),
            CloseReason::HandshakeLate(step) => write!(f, "the handshake was not over in time, waiting for {step}"),
            CloseReason::HandshakeError { step, error } => write!(f, "the switch answered {step} with {error}"),
            CloseReason::EchoUnanswered(n) => write!(f, "{n} echo requests in a row without an answer"),
            CloseReason::Duplicate { living } => {
                write!(f, "the switch id is taken by a living connection from {living}")
            }
            CloseReason::Replaced => f.write_str("did not answer when another connection claimed the same switch id"),
            CloseReason::Full(max) => write!(f, "{max} connections are open, which is the limit"),
            CloseReason::SourceFull { source, max } => {
                write!(
                    f,
                    "{max} connections from {source} are open, which is the limit for one address"
                )
            }
            CloseReason::Tls(failure) => failure.fmt(f),
            CloseReason::OtherIdentity { certified, claimed } => {
                write!(f, "certificate {certified} is for {}", certified.may)?;
                if let Some(uri) = &certified.unreadable {
                    write!(f, " ({uri:?} names no switch id)")?;
                }
                write!(f, ", the switch claims to be {claimed}")
            }
            CloseReason::Auxiliary(id) => write!(f, "auxiliary connection {id}; only the main connection is used"),
            CloseReason::AlreadyWaiting => {
                f.write_str("another connection of the same switch id is already being decided on")
            }
            CloseReason::Stopping => f.write_str("the speaker stops"),
        }
    }
}

/// Something worth a line in the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A switch is connected and its role settled.
    SwitchAnnounced {
        /// The switch.
        switch: SwitchId,
        /// Its connection.
        conn: ConnId,
        /// Where it comes from.
        address: String,
        /// How long the handshake took.
        took: Duration,
    },
    /// An announced switch left.
    SwitchLeft {
        /// The switch.
        switch: SwitchId,
        /// Its connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// A connection ended before it was announced.
    Refused {
        /// The switch it claimed to be, once known.
        switch: Option<SwitchId>,
        /// Its connection.
        conn: ConnId,
        /// Where it came from.
        address: String,
        /// Why.
        reason: CloseReason,
    },
    /// More connections ended before they were announced than are told one by one.
    RefusedMore {
        /// How many.
        times: u64,
    },
    /// The role at a switch changed as asked.
    RoleTaken {
        /// The switch.
        switch: SwitchId,
        /// The role.
        role: Role,
        /// Its term.
        term: Term,
    },
    /// The role at a switch was lost.
    RoleLost {
        /// The switch.
        switch: SwitchId,
        /// The term that was held.
        term: Term,
        /// What told so.
        seen: String,
    },
    /// It was found out whether a switch takes bundles.
    Bundles {
        /// The switch.
        switch: SwitchId,
        /// Whether it does.
        taken: bool,
        /// Why not: everything goes in stages for the rest of the connection.
        why: Option<String>,
    },
    /// A plan is about to be sent to a switch.
    Planned {
        /// The switch.
        switch: SwitchId,
        /// The generation it makes.
        generation: Generation,
        /// How many steps it has.
        steps: usize,
        /// The plan, cut to its first lines.
        plan: String,
    },
    /// A command ended.
    CommandEnded {
        /// The switch, if it is for one.
        switch: Option<SwitchId>,
        /// The command.
        correlation_id: CorrelationId,
        /// How.
        outcome: Outcome,
        /// Why, unless applied.
        cause: Option<Cause>,
        /// From reading it to its end.
        took: Duration,
    },
    /// A record of the command topic was skipped.
    CommandSkipped {
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Why.
        reason: String,
    },
    /// A link direction is seen, for the first time or again.
    LinkSeen {
        /// Sending port.
        from: PortRef,
        /// Receiving port.
        to: PortRef,
    },
    /// A link direction is silent.
    LinkSilent {
        /// Sending port.
        from: PortRef,
        /// Receiving port.
        to: PortRef,
        /// For how long.
        silent: Duration,
    },
    /// An error of a switch that belongs to no request of ours.
    StrayError {
        /// The switch.
        switch: SwitchId,
        /// What it answers, as far as the switch says.
        xid: u32,
        /// Its names.
        error: String,
    },
    /// A switch was taken without the router; what is on disk is made to stand.
    TakenAlone {
        /// The switch.
        switch: SwitchId,
        /// The term that was held before.
        term: Term,
        /// What shall stand.
        generation: Generation,
    },
    /// That ended.
    MadeWhole {
        /// The switch.
        switch: SwitchId,
        /// How.
        outcome: Outcome,
        /// Why, unless applied.
        cause: Option<Cause>,
        /// Messages that were written.
        messages: u32,
    },
    /// The desired state of a switch on disk is of no use.
    KeptDamaged {
        /// The switch.
        switch: SwitchId,
        /// Why.
        cause: String,
    },
    /// The disk cannot be written, or hangs: until it works again, a restart finds nothing, or what stood there before.
    StoreGivenUp {
        /// Why.
        cause: String,
    },
    /// The disk is written again.
    StoreBack,
    /// Kafka can or cannot be reached.
    Bus {
        /// Whether it can.
        up: bool,
    },
}

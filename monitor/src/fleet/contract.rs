//! What the fleet is configured with, told, and says.

use std::time::{Duration, Instant};

use skerry_bus::api::PathStrategy;
use skerry_bus::service::ActionKind;
use skerry_bus::{BrokerClock, FlowId, Latency, LatencyBody, LatencySource, LinkId};

use crate::limits::{Limits, Threshold};
use crate::sla::{SlaRecord, SlaState};

/// Flows that are watched. Twice the largest network this is built for; at 256 bytes each, half a gigabyte. A
/// flow beyond it is refused by [`Output::Refused`] and stays unwatched.
pub const FLOWS_MAX: usize = 2_000_000;

/// Links that are known. A flow over more is refused, a measurement of more is ignored and counted.
pub const LINKS_MAX: usize = 200_000;

/// Links on one path. Longer paths than this do not exist outside of mistakes; such a flow is refused.
pub const PATH_LINKS_MAX: usize = 1_000;

/// What holds for all flows.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How far beyond a limit a stable grade changes.
    pub threshold: Threshold,
    /// How long a grade must hold.
    pub window: Duration,
    /// Age at which a link's figure is not valid any more.
    pub link_expiry: Duration,
    /// Age at which the figure of a flow's own probe is not valid any more.
    pub probe_expiry: Duration,
}

impl Default for Config {
    /// 5 %, 30 s, 10 s and 10 s.
    fn default() -> Self {
        Config {
            threshold: Threshold::DEFAULT,
            window: Duration::from_secs(30),
            link_expiry: Duration::from_secs(10),
            probe_expiry: Duration::from_secs(10),
        }
    }
}

/// What the fleet is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A link was measured, from either end.
    LinkLatency {
        /// The link.
        link: LinkId,
        /// Round trip (a one-way figure comes doubled), nanoseconds.
        latency_ns: u64,
        /// Round trip or one way.
        source: LatencySource,
        /// Measurements behind the figure.
        samples: u32,
        /// When it was measured. Its age counts from then, not from now.
        measured: Instant,
    },
    /// A flow's own probe measured it.
    FlowLatency {
        /// The flow.
        flow: FlowId,
        /// Round trip, nanoseconds.
        latency_ns: u64,
        /// When it was measured.
        measured: Instant,
    },
    /// A flow as it is now: new, or changed, or on another path.
    FlowSet {
        /// The flow.
        flow: FlowId,
        /// Its limits.
        limits: Limits,
        /// Its strategy.
        strategy: PathStrategy,
        /// The links along its path; none for a flow on one switch.
        path: Vec<LinkId>,
        /// What was kept of its SLA state before a restart; looked at only if the flow is new here.
        restored: Option<SlaRecord>,
    },
    /// A flow is gone.
    FlowRemoved {
        /// The flow.
        flow: FlowId,
    },
    /// A link is down or gone: its figures are not valid any more, whatever their age.
    LinkRemoved {
        /// The link.
        link: LinkId,
    },
}

impl Input {
    /// The input for a message on a latency topic; its time is the broker's, so its age counts by that clock.
    pub fn measured(latency: &Latency, clock: &BrokerClock) -> Self {
        let measured = clock.when(latency.at_ms);
        match &latency.body {
            LatencyBody::LinkLatency {
                from,
                to,
                latency_ns,
                source,
                samples,
            } => Input::LinkLatency {
                link: LinkId::new(*from, *to),
                latency_ns: *latency_ns,
                source: *source,
                samples: *samples,
                measured,
            },
            LatencyBody::FlowLatency { flow, latency_ns } => Input::FlowLatency {
                flow: flow.clone(),
                latency_ns: *latency_ns,
                measured,
            },
        }
    }
}

/// What the fleet says.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A flow's SLA state changed; its record should be stored.
    SlaChanged {
        /// The flow.
        flow: FlowId,
        /// Before.
        from: SlaState,
        /// Now.
        to: SlaState,
        /// Latency that decided, nanoseconds; none: no valid figure.
        latency_ns: Option<u64>,
        /// Links of its path with a valid figure, of all.
        coverage: (u32, u32),
        /// Why, with figures.
        reason: String,
        /// When.
        at: Instant,
    },
    /// Something is asked for a flow. When both concern the same change, this follows the change.
    Request {
        /// The flow.
        flow: FlowId,
        /// What is asked.
        action: ActionKind,
        /// Why, with figures.
        reason: String,
        /// When.
        at: Instant,
    },
    /// A flow is not watched, because a limit of this machine is reached. A flow that was watched before stays as it was.
    Refused {
        /// The flow.
        flow: FlowId,
        /// Which limit.
        reason: String,
    },
}

/// Measurements that were not used, by cause, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Older than its expiry, than the figure there is, or than the flow's path.
    pub stale: u64,
    /// Larger than a minute.
    pub too_large: u64,
    /// Of a flow that is not watched.
    pub unknown_flow: u64,
    /// Of a new link when [`LINKS_MAX`] were known.
    pub too_many_links: u64,
    /// A flow probe's figure for a link.
    pub wrong_source: u64,
}

/// Latency of a flow now, for views and time series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowFigure {
    /// Round trip, nanoseconds; none: not known.
    pub latency_ns: Option<u64>,
    /// Where it comes from: the own probe, or the worse of its links' sources.
    pub source: Option<LatencySource>,
    /// Age of the oldest measurement in it.
    pub age: Option<Duration>,
    /// Links of the path with a valid figure, of all.
    pub coverage: (u32, u32),
    /// SLA state.
    pub state: SlaState,
}

/// Latency of a link now, for views, time series and path computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFigure {
    /// Round trip, nanoseconds; none: not known.
    pub latency_ns: Option<u64>,
    /// Where it comes from.
    pub source: Option<LatencySource>,
    /// Its age.
    pub age: Option<Duration>,
    /// Measurements since the link is known here.
    pub samples: u64,
    /// Flows that pass it.
    pub flows: u32,
}

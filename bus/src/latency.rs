//! Measurements: lossy on purpose, never replayed when stale. All values are round trips in nanoseconds.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, FlowId, PortRef, Region, Seq};

/// Where a figure comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencySource {
    /// One way, doubled: the fallback.
    OneWay,
    /// There and back between two switches, one clock.
    RoundTrip,
    /// The flow's own probe.
    FlowProbe,
}

/// A message on `skerry.v1.latency.<region>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Region that measured.
    pub region: Region,
    /// Its speaker's epoch.
    pub epoch: Epoch,
    /// Position, own count of this topic and partition.
    pub seq: Seq,
    /// When it was measured, milliseconds by the broker's clock as the speaker knows it.
    pub at_ms: u64,
    /// What was measured.
    #[serde(flatten)]
    pub body: LatencyBody,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LatencyBody {
    /// A link, from the end that measured.
    LinkLatency {
        /// The measuring end.
        from: PortRef,
        /// The far end.
        to: PortRef,
        /// Round trip without the control channel's part, nanoseconds.
        latency_ns: u64,
        /// How it was got.
        source: LatencySource,
        /// Measurements behind the figure (the figure is their median).
        samples: u32,
    },
    /// A flow, by its own probe.
    FlowLatency {
        /// The flow.
        flow: FlowId,
        /// Round trip, nanoseconds.
        latency_ns: u64,
    },
}

impl LatencyBody {
    /// The Kafka key: the measuring port or the flow.
    pub fn key(&self) -> String {
        match self {
            LatencyBody::LinkLatency { from, .. } => from.to_string(),
            LatencyBody::FlowLatency { flow, .. } => flow.to_string(),
        }
    }
}

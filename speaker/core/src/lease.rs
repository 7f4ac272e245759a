//! How long ago Kafka and the router were heard of.
//!
//! A lease is the time for which silence means nothing. It decides how soon a rebooted switch may be taken, and how long
//! a switch without roles is written to; everywhere else the switch itself refuses who is too late.

use std::time::{Duration, Instant};

/// What was heard last.
#[derive(Debug)]
pub(crate) struct Lease {
    lease: Duration,
    kafka: Option<Instant>,
    router: Option<Instant>,
}

impl Lease {
    pub(crate) fn new(lease: Duration) -> Self {
        Lease {
            lease,
            kafka: None,
            router: None,
        }
    }

    /// A record that Kafka took was written at that time.
    pub(crate) fn kafka(&mut self, at: Instant) {
        self.kafka = self.kafka.max(Some(at));
    }

    /// A router wrote a record for us at that time.
    pub(crate) fn router(&mut self, at: Instant) {
        self.router = self.router.max(Some(at));
    }

    /// Whether a router was heard within the lease.
    pub(crate) fn hears_router(&self, now: Instant) -> bool {
        self.router
            .is_some_and(|at| now.saturating_duration_since(at) <= self.lease)
    }

    /// When the lease ends, if Kafka says nothing more; none: it never said anything.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.kafka.map(|at| at + self.lease)
    }

    /// Whether Kafka was heard within the lease.
    pub(crate) fn hears_kafka(&self, now: Instant) -> bool {
        self.ends().is_some_and(|end| now <= end)
    }
}

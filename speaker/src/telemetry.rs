//! What the speaker counts and measures as metrics, and the machine's facts as log lines. `docs/metrics.md` lists all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use skerry_bus::{Region, SwitchId};
use skerry_speaker_core::{Counter, Fact, Gauge, Histogram};

/// All metrics, registered once so that they show from the start, with zero.
pub struct Meters {
    counters: BTreeMap<Counter, metrics::Counter>,
    gauges: BTreeMap<Gauge, metrics::Gauge>,
    histograms: BTreeMap<Histogram, metrics::Histogram>,
    /// Connections that the driver holds.
    pub connections: metrics::Gauge,
    /// Connections closed because they did not take what was written.
    pub stuck: metrics::Counter,
    /// Bytes that wait to be written, to all switches and to the one that has most.
    pub outbox: (metrics::Gauge, metrics::Gauge),
    /// Whether Kafka answers.
    pub kafka_up: metrics::Gauge,
    /// Records that were not even handed to the Kafka client.
    pub kafka_refused: metrics::Counter,
    /// Records handed over and not acknowledged.
    pub kafka_in_flight: metrics::Gauge,
    /// Partitions of the commands that are read to their end.
    pub kafka_caught_up: metrics::Gauge,
    /// Whether the disk is written.
    pub store_up: metrics::Gauge,
    /// Files of the store that were damaged and set aside.
    pub store_set_aside: metrics::Counter,
    /// Turns of the main loop, in seconds of work.
    pub turn: metrics::Histogram,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

impl Meters {
    /// Register all, with the region as a label.
    pub fn new(region: &Region) -> Self {
        let region = region.to_string();
        let label = || region.clone();
        metrics::gauge!("skerry_speaker_info", "region" => label(), "version" => env!("CARGO_PKG_VERSION")).set(1);
        let counters = Counter::ALL.iter().map(|counter| {
            let name = format!("skerry_{}_total", counter.name());
            let handle = match counter.reason() {
                "" => metrics::counter!(name, "region" => label()),
                reason => metrics::counter!(name, "region" => label(), "reason" => reason),
            };
            handle.increment(0);
            (*counter, handle)
        });
        let gauges = Gauge::ALL.iter().map(|gauge| {
            let name = format!("skerry_{}", gauge.name());
            let handle = match gauge.label() {
                None => metrics::gauge!(name, "region" => label()),
                Some((key, value)) => metrics::gauge!(name, "region" => label(), key => value),
            };
            handle.set(0);
            (*gauge, handle)
        });
        let histograms = Histogram::ALL.iter().map(|histogram| {
            let name = format!("skerry_{}", histogram.name());
            (*histogram, metrics::histogram!(name, "region" => label()))
        });
        Meters {
            counters: counters.collect(),
            gauges: gauges.collect(),
            histograms: histograms.collect(),
            connections: metrics::gauge!("skerry_speaker_connections_open", "region" => label()),
            stuck: metrics::counter!("skerry_speaker_connections_stuck_total", "region" => label()),
            outbox: (
                metrics::gauge!("skerry_speaker_outbox_bytes", "region" => label()),
                metrics::gauge!("skerry_speaker_outbox_bytes_max", "region" => label()),
            ),
            kafka_up: metrics::gauge!("skerry_speaker_kafka_up", "region" => label()),
            kafka_refused: metrics::counter!("skerry_speaker_kafka_refused_total", "region" => label()),
            kafka_in_flight: metrics::gauge!("skerry_speaker_kafka_in_flight", "region" => label()),
            kafka_caught_up: metrics::gauge!("skerry_speaker_kafka_partitions_caught_up", "region" => label()),
            store_up: metrics::gauge!("skerry_speaker_store_up", "region" => label()),
            store_set_aside: metrics::counter!("skerry_speaker_store_set_aside_total", "region" => label()),
            turn: metrics::histogram!("skerry_speaker_turn_seconds", "region" => label()),
        }
    }

    /// Count.
    pub fn count(&self, counter: Counter, by: u64) {
        if let Some(handle) = self.counters.get(&counter) {
            handle.increment(by);
        }
    }

    /// Set.
    pub fn set(&self, gauge: Gauge, value: u64) {
        if let Some(handle) = self.gauges.get(&gauge) {
            handle.set(value as f64);
        }
    }

    /// What is shown follows from some facts.
    pub fn heed(&self, fact: &Fact) {
        match fact {
            Fact::StoreGivenUp { .. } => self.store_up.set(0),
            Fact::StoreBack => self.store_up.set(1),
            _ => {}
        }
    }

    /// Collect.
    pub fn observe(&self, histogram: Histogram, took: Duration) {
        if let Some(handle) = self.histograms.get(&histogram) {
            handle.record(took);
        }
    }
}

/// Write a line. The region stands in the span around it; who it is about in a span of its own.
pub fn log(fact: &Fact) {
    let span = match fact {
        Fact::SwitchAnnounced { switch, .. }
        | Fact::SwitchLeft { switch, .. }
        | Fact::RoleTaken { switch, .. }
        | Fact::RoleLost { switch, .. }
        | Fact::Bundles { switch, .. }
        | Fact::Planned { switch, .. }
        | Fact::TakenAlone { switch, .. }
        | Fact::MadeWhole { switch, .. }
        | Fact::KeptDamaged { switch, .. } => about(Some(*switch), None),
        Fact::Refused { switch, .. } => about(*switch, None),
        Fact::StrayError { switch, xid, .. } => about(Some(*switch), Some(*xid)),
        Fact::CommandEnded {
            switch, correlation_id, ..
        } => tracing::info_span!("command", dpid = switch.map(tracing::field::display), %correlation_id),
        Fact::CommandSkipped { .. }
        | Fact::RefusedMore { .. }
        | Fact::LinkSeen { .. }
        | Fact::LinkSilent { .. }
        | Fact::StoreGivenUp { .. }
        | Fact::StoreBack
        | Fact::Bus { .. } => tracing::Span::none(),
    };
    span.in_scope(|| line(fact));
}

fn about(switch: Option<SwitchId>, xid: Option<u32>) -> tracing::Span {
    tracing::info_span!("switch", dpid = switch.map(tracing::field::display), xid)
}

fn line(fact: &Fact) {
    match fact {
        Fact::SwitchAnnounced {
            conn, address, took, ..
        } => tracing::info!(conn = conn.0, address, took_ms = ms(*took), "switch announced"),
        Fact::SwitchLeft { conn, reason, .. } => tracing::info!(conn = conn.0, %reason, "switch left"),
        Fact::Refused {
            conn, address, reason, ..
        } => tracing::warn!(conn = conn.0, address, %reason, "connection refused"),
        Fact::RefusedMore { times } => {
            tracing::warn!(times, "connections refused that were not told one by one");
        }
        Fact::RoleTaken { role, term, .. } => tracing::info!(?role, term = term.0, "role taken"),
        Fact::RoleLost { term, seen, .. } => tracing::warn!(term = term.0, seen, "role lost"),
        Fact::Bundles { taken: true, .. } => tracing::debug!("takes bundles"),
        Fact::Bundles { why, .. } => {
            let why = why.as_deref().unwrap_or_default();
            tracing::info!(why, "takes no bundles: changes go in stages");
        }
        Fact::Planned {
            generation,
            steps,
            plan,
            ..
        } => tracing::debug!(generation = generation.0, steps, plan, "plan"),
        Fact::CommandEnded {
            outcome, cause, took, ..
        } => {
            let cause = cause.as_ref().map(tracing::field::display);
            tracing::info!(?outcome, cause, took_ms = ms(*took), "command ended");
        }
        Fact::CommandSkipped {
            partition,
            offset,
            reason,
        } => tracing::warn!(partition, offset, reason, "record of the command topic skipped"),
        Fact::LinkSeen { from, to } => tracing::info!(%from, %to, "link direction seen"),
        Fact::LinkSilent { from, to, silent } => {
            tracing::warn!(%from, %to, silent_ms = ms(*silent), "link direction silent");
        }
        Fact::StrayError { error, .. } => {
            tracing::warn!(error, "error of the switch that belongs to no request");
        }
        Fact::TakenAlone { term, generation, .. } => {
            tracing::warn!(
                term = term.0,
                generation = generation.0,
                "switch taken without the router"
            );
        }
        Fact::MadeWhole {
            outcome,
            cause,
            messages,
            ..
        } => {
            let cause = cause.as_ref().map(tracing::field::display);
            tracing::info!(?outcome, cause, messages, "switch made whole from disk");
        }
        Fact::KeptDamaged { cause, .. } => {
            tracing::warn!(cause, "desired state on disk is of no use: its router is asked for it");
        }
        Fact::StoreGivenUp { cause } => {
            tracing::error!(
                cause,
                "the disk is given up: commands are applied, a restart would know nothing of them"
            );
        }
        Fact::StoreBack => tracing::warn!("the disk is written again"),
        Fact::Bus { up: true } => tracing::info!("kafka answers: publishing"),
        Fact::Bus { up: false } => tracing::warn!("kafka does not answer: the latest state is kept"),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! The machine's counters as metrics and its facts as log lines.

use std::collections::BTreeMap;

use skerry_speaker_core::{Counter, Fact};

/// Counters of the machine, registered once so that all show from the start, with zero.
pub struct Counters(BTreeMap<Counter, metrics::Counter>);

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counters").field(&self.0.len()).finish()
    }
}

impl Counters {
    /// Register all, with the region as a label.
    pub fn new(region: &str) -> Self {
        let counters = Counter::ALL.iter().map(|counter| {
            let name = format!("skerry_{}_total", counter.name());
            let handle = if counter.reason().is_empty() {
                metrics::counter!(name, "region" => region.to_owned())
            } else {
                metrics::counter!(name, "region" => region.to_owned(), "reason" => counter.reason())
            };
            handle.increment(0);
            (*counter, handle)
        });
        Counters(counters.collect())
    }

    /// Count.
    pub fn count(&self, counter: Counter, by: u64) {
        if let Some(handle) = self.0.get(&counter) {
            handle.increment(by);
        }
    }
}

/// Write a line. The region stands in the span around it.
pub fn log(fact: &Fact) {
    match fact {
        Fact::SwitchAnnounced {
            switch,
            conn,
            address,
            took,
        } => {
            tracing::info!(dpid = %switch, conn = conn.0, address, took_ms = ms(*took), "switch announced");
        }
        Fact::SwitchLeft { switch, conn, reason } => {
            tracing::info!(dpid = %switch, conn = conn.0, %reason, "switch left");
        }
        Fact::Refused {
            switch,
            conn,
            address,
            reason,
        } => {
            let dpid = switch.map(tracing::field::display);
            tracing::warn!(dpid, conn = conn.0, address, %reason, "connection refused");
        }
        Fact::RefusedMore { times } => {
            tracing::warn!(times, "connections refused that were not told one by one");
        }
        Fact::RoleTaken { switch, role, term } => {
            tracing::info!(dpid = %switch, ?role, term = term.0, "role taken");
        }
        Fact::RoleLost { switch, term, seen } => {
            tracing::warn!(dpid = %switch, term = term.0, seen, "role lost");
        }
        Fact::Planned {
            switch,
            generation,
            steps,
            plan,
        } => {
            tracing::debug!(dpid = %switch, generation = generation.0, steps, plan, "plan");
        }
        Fact::CommandEnded {
            switch,
            correlation_id,
            outcome,
            cause,
            took,
        } => {
            let dpid = switch.map(tracing::field::display);
            let cause = cause.as_ref().map(tracing::field::display);
            tracing::info!(dpid, %correlation_id, ?outcome, cause, took_ms = ms(*took), "command ended");
        }
        Fact::CommandSkipped {
            partition,
            offset,
            reason,
        } => {
            tracing::warn!(partition, offset, reason, "record of the command topic skipped");
        }
        Fact::LinkSeen { from, to } => tracing::info!(%from, %to, "link direction seen"),
        Fact::LinkSilent { from, to, silent } => {
            tracing::warn!(%from, %to, silent_ms = ms(*silent), "link direction silent");
        }
        Fact::StrayError { switch, error } => {
            tracing::warn!(dpid = %switch, error, "error of the switch that belongs to no request");
        }
        Fact::KeptDamaged { switch, cause } => {
            tracing::warn!(dpid = %switch, cause, "desired state on disk is of no use: its router is asked for it");
        }
        Fact::StoreGivenUp { cause } => {
            tracing::error!(
                cause,
                "the disk cannot be written: commands are applied, a restart would know nothing of them"
            );
        }
        Fact::StoreBack => tracing::warn!("the disk is written again"),
        Fact::Bus { up: true } => tracing::info!("kafka answers: publishing"),
        Fact::Bus { up: false } => tracing::warn!("kafka does not answer: the latest state is kept"),
    }
}

fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

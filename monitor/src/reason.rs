//! Why a state changed or something is asked, for a person: one sentence with figures.

use std::fmt::Write;
use std::time::Duration;

use skerry_bus::LatencySource;
use skerry_bus::service::ActionKind;

use crate::limits::Limits;
use crate::sla::{SlaState, Step};

/// What the figure rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Basis {
    pub source: Option<LatencySource>,
    pub valid: u32,
    pub total: u32,
}

pub(crate) fn of(
    step: &Step,
    latency_ns: Option<u64>,
    limits: Limits,
    window: Duration,
    basis: Option<Basis>,
) -> String {
    let mut text = match latency_ns {
        Some(ns) => format!("round trip {} ms", Ms(ns)),
        None => "no valid latency".to_owned(),
    };
    if let Some(basis) = basis {
        let source = match basis.source {
            Some(LatencySource::FlowProbe) => " by its own probe",
            Some(LatencySource::RoundTrip) => " summed over links",
            Some(LatencySource::OneWay) => " summed over links, some of them one way doubled",
            None => "",
        };
        text.push_str(source);
        add(
            &mut text,
            format_args!(" ({} of {} links known)", basis.valid, basis.total),
        );
    }
    add(&mut text, format_args!(", limits {}", Ms(limits.tier_1_ns)));
    if limits.tier_2_ns != 0 {
        add(&mut text, format_args!(" and {}", Ms(limits.tier_2_ns)));
    }
    text.push_str(" ms");
    match step.to {
        SlaState::Healthy | SlaState::Tier1Failed | SlaState::Tier2Failed if step.from != step.to => {
            add(&mut text, format_args!(": {} for {} s", step.to, window.as_secs_f64()));
        }
        SlaState::Healthy
        | SlaState::Tier1Failed
        | SlaState::Tier2Failed
        | SlaState::Unstable
        | SlaState::Unknown
        | SlaState::NotMonitored => {}
    }
    if step.action == Some(ActionKind::Reroute) && step.asked > 1 {
        add(
            &mut text,
            format_args!("; request {}: those before did not help", step.asked),
        );
    }
    text
}

fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a String does not fail.
    let _ = text.write_fmt(what);
}

/// Nanoseconds shown as milliseconds with three decimals.
struct Ms(u64);

impl std::fmt::Display for Ms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

//! `skerry feature show|set`.

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use skerry_bus::api::Features;
use ureq::http::Method;

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::rest::Router;

/// Commands about feature toggles.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Which toggles are on
    Show,
    /// Turns one on or off
    Set {
        /// Which
        #[arg(value_enum)]
        feature: Feature,
        /// On or off
        #[arg(value_enum)]
        state: Switched,
    },
}

/// Toggles.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Feature {
    /// Ask all regions for a full dump at an interval
    NetworkSync,
    /// Let the SLA machine's requests reroute and sync flows
    SlaReactions,
}

/// Where a toggle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switched {
    /// It acts
    On,
    /// It does not
    Off,
}

/// Runs one.
pub fn run(command: Command, router: &Router, out: &Output) -> Result<(), Failure> {
    if let Command::Set { feature, state } = command {
        let on = state == Switched::On;
        let change = match feature {
            Feature::NetworkSync => json!({ "network_sync": on }),
            Feature::SlaReactions => json!({ "sla_reactions": on }),
        };
        router.write(Method::PATCH, "/v2/features", Some(&change))?;
    }
    let (document, features) = router.get::<Features>("/v2/features")?;
    let text = |on: bool| if on { "on" } else { "off" }.to_owned();
    out.print(&document, || {
        pairs([
            ("network_sync", text(features.network_sync)),
            ("sla_reactions", text(features.sla_reactions)),
        ])
    })
}

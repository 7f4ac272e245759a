//! `skerry link ls`.

use clap::Subcommand;
use skerry_bus::api::LinkView;

use crate::failure::Failure;
use crate::output::{Output, ms, name, table};
use crate::rest::Router;

/// Commands about links.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Links with their state and latency
    Ls,
}

/// Runs one.
pub fn run(command: Command, router: &Router, out: &Output) -> Result<(), Failure> {
    let Command::Ls = command;
    let (document, links) = router.get::<Vec<LinkView>>("/v2/links")?;
    out.print(&document, || {
        table(
            &[
                "A",
                "B",
                "STATE",
                "ROUND TRIP MS",
                "SOURCE",
                "AGE MS",
                "COST",
                "CHANGES",
                "REASON",
            ],
            links.iter().map(|l| {
                vec![
                    l.a.to_string(),
                    l.b.to_string(),
                    name(&l.state),
                    ms(l.latency_ms),
                    l.latency_source.map(|s| name(&s)).unwrap_or_default(),
                    l.latency_age_ms.map(|n| n.to_string()).unwrap_or_default(),
                    l.cost.to_string(),
                    l.changes.to_string(),
                    l.reason.clone(),
                ]
            }),
        )
    })
}

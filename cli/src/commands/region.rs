//! `skerry region ls`.

use clap::Subcommand;
use skerry_bus::api::RegionView;

use crate::failure::Failure;
use crate::output::{Output, table};
use crate::rest::Router;

/// Commands about regions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Regions and whether they live
    Ls,
}

/// Runs one.
pub fn run(command: Command, router: &Router, out: &Output) -> Result<(), Failure> {
    let Command::Ls = command;
    let (document, regions) = router.get::<Vec<RegionView>>("/v2/regions")?;
    out.print(&document, || {
        table(
            &["REGION", "STATE", "EPOCH", "SWITCHES", "ACTIVE FOR", "SILENT MS"],
            regions.iter().map(|r| {
                vec![
                    r.region.to_string(),
                    r.state.clone(),
                    r.epoch.map(|n| n.to_string()).unwrap_or_default(),
                    r.switches.to_string(),
                    r.active_for.to_string(),
                    r.silent_ms.map(|n| n.to_string()).unwrap_or_default(),
                ]
            }),
        )
    })
}

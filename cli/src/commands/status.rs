//! `skerry status`.

use skerry_bus::api::StatusView;

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::rest::Router;

/// Prints what the router knows, in numbers.
pub fn run(router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, status) = router.get::<StatusView>("/v2/status")?;
    out.print(&document, || {
        let flows: Vec<String> = status.flows.iter().map(|(state, n)| format!("{n} {state}")).collect();
        pairs([
            ("router", status.version.clone()),
            (
                "kafka",
                if status.kafka { "connected" } else { "not connected" }.to_owned(),
            ),
            ("regions", format!("{} of {} live", status.regions_live, status.regions)),
            (
                "switches",
                format!("{} of {} connected", status.switches_connected, status.switches),
            ),
            ("links", format!("{} of {} up", status.links_up, status.links)),
            (
                "flows",
                if flows.is_empty() {
                    "none".to_owned()
                } else {
                    flows.join(", ")
                },
            ),
            ("operations", format!("{} under way", status.operations)),
        ])
    })
}

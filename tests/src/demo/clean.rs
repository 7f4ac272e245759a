//! Step "clean": the flows are deleted, and the switches' own dumps show what they showed before.

use anyhow::{Result, ensure};
use serde_json::json;

use super::flow::{FLOW, FLOW_QINQ};
use super::{Summary, World, say};

/// See the module.
pub fn step(world: &mut World, summary: &mut Summary) -> Result<()> {
    for flow in [FLOW, FLOW_QINQ] {
        world.rest.done("DELETE", &format!("/v2/flows/{flow}"), None)?;
    }
    let after = world.ring.dump()?;
    let left_over: Vec<&String> = after.iter().filter(|line| !world.before.contains(line)).collect();
    let missing: Vec<&String> = world.before.iter().filter(|line| !after.contains(line)).collect();
    say(&format!(
        "{} objects on the switches, {} of them left over, {} missing",
        after.len(),
        left_over.len(),
        missing.len()
    ));
    summary.set("clean", json!({ "left_over": left_over, "missing": missing }));
    ensure!(left_over.is_empty(), "left over: {left_over:?}");
    ensure!(missing.is_empty(), "missing: {missing:?}");
    Ok(())
}

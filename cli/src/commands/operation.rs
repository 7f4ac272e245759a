//! What follows a request that changes something: the operation is waited for, unless told otherwise.

use clap::Args;
use serde_json::Value;
use skerry_bus::api::{OperationState, OperationView};

use crate::failure::Failure;
use crate::output::{Format, Output, line, name};
use crate::rest::{Router, Written};

/// Whether to wait.
#[derive(Debug, Clone, Copy, Args)]
pub struct Waiting {
    /// Print the operation's id at once instead of waiting for its end
    #[arg(long)]
    no_wait: bool,
}

/// Finishes a write: waits for its operation and prints how it ended.
pub fn finish(written: Written, waiting: Waiting, what: &str, router: &Router, out: &Output) -> Result<(), Failure> {
    let operation = match written {
        Written::Done(document) => return done(&document, what, out),
        Written::Operation(operation) => operation,
    };
    if waiting.no_wait {
        return out.print(&operation, || operation.operation_id.to_string());
    }
    let ended = router.wait(operation, |now| {
        // On the way it is only told to a person; standard output has the end.
        if out.format() == Format::Table {
            eprintln!("skerry: {what}: {} ({})", name(&now.state), now.step);
        }
    })?;
    out.print(&ended, || match ended.state {
        OperationState::Done => format!("{what}: done"),
        OperationState::Failed | OperationState::Running | OperationState::Draining | OperationState::RollingBack => {
            format!("{what}: {}", name(&ended.state))
        }
    })?;
    verdict(&ended, what)
}

fn done(document: &Value, what: &str, out: &Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.print(document, String::new),
        Format::Table => line(&format!("{what}: done, nothing had to be changed")),
    }
}

fn verdict(ended: &OperationView, what: &str) -> Result<(), Failure> {
    if ended.state == OperationState::Done {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{what}: operation {} failed at {:?}: {}",
        ended.operation_id,
        ended.step,
        if ended.error.is_empty() {
            "no cause was given"
        } else {
            &ended.error
        }
    )))
}

//! What follows a request that changes something: the operation is waited for, unless told otherwise. And
//! `skerry operation ls|show`, for those that were not.

use clap::{Args, Subcommand};
use serde_json::Value;
use skerry_bus::api::{OperationState, OperationView};

use crate::failure::Failure;
use crate::output::{Format, Output, line, name, pairs, table};
use crate::rest::{Router, Written, path};

/// Commands about operations.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Operations, those under way and the latest that ended
    Ls,
    /// One operation: how far it is, and why it failed
    Show {
        /// Its number
        operation: u64,
    },
}

/// Runs one.
pub fn run(command: Command, router: &Router, out: &Output) -> Result<(), Failure> {
    match command {
        Command::Ls => {
            let (document, operations) = router.get::<Vec<OperationView>>("/v2/operations")?;
            out.print(&document, || {
                table(
                    &["OPERATION", "KIND", "FLOW", "STATE", "STEP", "ERROR"],
                    operations.iter().map(|o| {
                        vec![
                            o.operation_id.to_string(),
                            o.kind.clone(),
                            o.flow_id.to_string(),
                            name(&o.state),
                            o.step.clone(),
                            o.error.clone(),
                        ]
                    }),
                )
            })
        }
        Command::Show { operation } => {
            let path = path(&["v2", "operations", &operation.to_string()]);
            let (document, o) = router.get::<OperationView>(&path)?;
            out.print(&document, || {
                pairs([
                    ("operation", o.operation_id.to_string()),
                    ("kind", o.kind.clone()),
                    ("flow", o.flow_id.to_string()),
                    ("state", name(&o.state)),
                    ("step", o.step.clone()),
                    ("error", o.error.clone()),
                ])
            })
        }
    }
}

/// Whether to wait.
#[derive(Debug, Clone, Copy, Args)]
pub struct Waiting {
    /// Print the operation's id at once instead of waiting for its end
    #[arg(long)]
    no_wait: bool,
    /// Print what would be done at each switch, as JSON, and do nothing
    #[arg(long, conflicts_with = "no_wait")]
    dry_run: bool,
}

impl Waiting {
    /// The path of a write, told to do nothing if that is asked for.
    pub fn path(self, segments: &[&str]) -> String {
        let path = path(segments);
        if self.dry_run {
            format!("{path}?dry_run=true")
        } else {
            path
        }
    }
}

/// Finishes a write: waits for its operation and prints how it ended.
pub fn finish(written: Written, waiting: Waiting, what: &str, router: &Router, out: &Output) -> Result<(), Failure> {
    let operation = match written {
        Written::Done(document) => return done(&document, waiting.dry_run, what, out),
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

fn done(document: &Value, dry_run: bool, what: &str, out: &Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.print(document, String::new),
        // A plan is nested deeper than a table can show.
        Format::Table if dry_run => out.print(document, || format!("{document:#}")),
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

//! `skerry replay`: recorded inputs to a pure machine, its outputs as JSON lines.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Subcommand;
use skerry_bus::recording::Replay;
use skerry_monitor::replay::SlaReplay;
use skerry_router_core::replay::{LinksReplay, PresenceReplay};

use crate::failure::Failure;
use crate::lines;
use crate::output::line;

/// Longest line that is read. Recorded inputs are small and flat; a longer line is another kind of file.
const LINE_MAX: u64 = 1024 * 1024;

/// Which machine.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The presence of switches: regions, terms, availability
    Presence {
        /// Recorded inputs, a JSON object a line; - is standard input
        file: PathBuf,
    },
    /// Links between switches
    Links {
        /// Recorded inputs, a JSON object a line; - is standard input
        file: PathBuf,
    },
    /// The SLA machine of one flow
    Sla {
        /// Recorded inputs, a JSON object a line; - is standard input
        file: PathBuf,
    },
}

/// Runs one.
pub fn run(command: &Command) -> Result<(), Failure> {
    // Recorded times count from any instant.
    let origin = Instant::now();
    match command {
        Command::Presence { file } => feed(file, PresenceReplay::new(origin)),
        Command::Links { file } => feed(file, LinksReplay::new(origin)),
        Command::Sla { file } => feed(file, SlaReplay::new(origin)),
    }
}

/// Gives each line to the machine and prints what it says, as it says it.
fn feed(file: &Path, mut machine: impl Replay) -> Result<(), Failure> {
    let failed = |cause: &dyn std::fmt::Display| Failure::Failed(format!("{}: {cause}", file.display()));
    let mut reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(|e| failed(&e))?))
    };
    while let Some(text) = lines::next(&mut reader, LINE_MAX).map_err(|e| failed(&e))? {
        let text = String::from_utf8(text).map_err(|e| failed(&e))?;
        for said in machine.line(&text).map_err(|e| failed(&e))? {
            line(&said)?;
        }
    }
    Ok(())
}

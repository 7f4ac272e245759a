//! How a command fails, and the exit code that says so.

use std::io;
use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// Refused or failed: exit 1, with the cause.
    Failed(String),
    /// As above, and everything there is to say has been printed already.
    Told,
    /// Asked in a way that cannot be: exit 2.
    Usage(String),
    /// The router does not answer: exit 3.
    Unreachable(String),
    /// Whoever read our output has gone, which is their right: exit 0.
    OutputClosed,
}

impl Failure {
    /// What to print on standard error.
    pub fn text(&self) -> Option<&str> {
        match self {
            Failure::Failed(text) | Failure::Usage(text) | Failure::Unreachable(text) => Some(text),
            Failure::Told | Failure::OutputClosed => None,
        }
    }

    /// What to exit with.
    pub fn code(&self) -> ExitCode {
        match self {
            Failure::Failed(_) | Failure::Told => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Unreachable(_) => ExitCode::from(3),
            Failure::OutputClosed => ExitCode::SUCCESS,
        }
    }

    /// A failure to write standard output.
    pub fn writing(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::OutputClosed
        } else {
            Failure::Failed(format!("standard output: {error}"))
        }
    }
}

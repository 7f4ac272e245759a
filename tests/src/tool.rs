//! Talking with the laboratory's own programs: a line in, a line of JSON out.
//!
//! Only the conversation; what is said belongs to `delay` and `host`.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::lab::Lab;
use crate::process::Process;
use crate::wait::DEADLINE;

/// A running program of ours. Dropping it ends the program: its standard input closes.
pub struct Tool {
    process: Process,
    pipes: Mutex<Pipes>,
}

struct Pipes {
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Tool {
    /// Starts one of our programs (in a namespace, or `None`: where this program is) and waits for its first line, which
    /// says that it is ready.
    ///
    /// # Errors
    /// It is not built, or ended, or did not become ready in time.
    pub fn start<'a>(
        lab: &Lab,
        netns: impl Into<Option<&'a str>>,
        program: &str,
        label: &str,
        args: &[String],
    ) -> Result<(Tool, Value)> {
        let mut command = Command::new(path(program)?);
        command.args(args);
        let process = lab.spawn_piped(netns.into(), label, command)?;
        let input = process.take_stdin().context("no standard input")?;
        let output = process.take_stdout().context("no standard output")?;
        // One answer for each question, and a first line.
        let (lines, answers) = sync_channel(2);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let tool = Tool {
            process,
            pipes: Mutex::new(Pipes { input, answers }),
        };
        let ready = {
            let pipes = tool.pipes.lock().unwrap_or_else(PoisonError::into_inner);
            tool.answer(&pipes, "start")?
        };
        Ok((tool, ready))
    }

    /// Its process, to be looked at or stopped.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Says a line and gives the answer.
    ///
    /// # Errors
    /// The program refused, ended, or did not answer in time.
    pub fn ask(&self, line: &str) -> Result<Value> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.input, "{line}")
            .and_then(|()| pipes.input.flush())
            .with_context(|| self.failure(line))?;
        self.answer(&pipes, line)
    }

    fn answer(&self, pipes: &Pipes, question: &str) -> Result<Value> {
        let line = match pipes.answers.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => bail!("{}: no answer within {DEADLINE:?}", self.failure(question)),
            Err(RecvTimeoutError::Disconnected) => bail!("{}: ended", self.failure(question)),
        };
        let answer: Value =
            serde_json::from_str(&line).with_context(|| format!("{}: {line}", self.failure(question)))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => bail!("{:?}: {question}: {error}", self.process),
        }
    }

    fn failure(&self, question: &str) -> String {
        let words = self.process.last_words();
        format!(
            "{:?}: {question}{}{words}",
            self.process,
            if words.is_empty() { "" } else { "\n" }
        )
    }
}

/// The file of one of this workspace's programs, built beside the running one.
///
/// # Errors
/// It is not there; the error says how to build it.
pub fn path(program: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("own path")?;
    // Tests run from the folder `deps` below the one with the programs.
    let beside = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    beside.with_context(|| format!("program {program} is not built (cargo build --workspace --bins)"))
}

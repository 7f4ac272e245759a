//! A program of ours that is a load or a peer: it says lines of JSON, and hears lines.

use crate::lab::Lab;
use crate::process::Process;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Lines that may wait to be read here; then the program waits.
const LINES_MAX: usize = 1_024;
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// A running program.
pub struct Helper {
    process: Process,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Helper {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(lab: &Lab, label: &str, command: Command) -> Result<Helper> {
        let process = lab.spawn_piped(None, label, command)?;
        let input = process.take_stdin();
        let output = process.take_stdout().context("no standard output")?;
        let (sender, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Ok(Helper { process, input, lines })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The next line it says for which `wanted` gives something.
    ///
    /// # Errors
    /// It ended, or says no such line in time.
    pub fn line<T>(&self, within: Duration, mut wanted: impl FnMut(&Value) -> Option<T>) -> Result<T> {
        let end = Instant::now() + within;
        let mut last = Value::Null;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => match wanted(&line) {
                    Some(found) => return Ok(found),
                    None => last = line,
                },
                Err(cause) => {
                    let how = match cause {
                        RecvTimeoutError::Timeout => format!("said nothing that is waited for within {within:?}"),
                        RecvTimeoutError::Disconnected => "ended".to_owned(),
                    };
                    bail!(
                        "{:?} {how}; its last line: {last}\n{}",
                        self.process,
                        self.process.last_words()
                    );
                }
            }
        }
    }

    /// Asks it something in one line; its answer is the line with `"answer"` of the same name.
    ///
    /// # Errors
    /// It refused, ended, or did not answer in time.
    pub fn ask(&mut self, question: &Value) -> Result<Value> {
        let input = self.input.as_mut().context("its standard input is closed")?;
        writeln!(input, "{question}")
            .and_then(|()| input.flush())
            .with_context(|| format!("{:?}", self.process))?;
        let name = question.get("do").cloned().unwrap_or(Value::Null);
        let answer = self.line(ANSWER_MAX, |line| {
            (line.get("answer") == Some(&name) || line.get("error").is_some()).then(|| line.clone())
        })?;
        match answer.get("error") {
            Some(error) => bail!("{:?}: {question}: {error}", self.process),
            None => Ok(answer.get("result").cloned().unwrap_or(Value::Null)),
        }
    }

    /// Ends it and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn end(mut self) -> Result<()> {
        drop(self.input.take());
        self.process.end(GRACE).map(drop)
    }
}

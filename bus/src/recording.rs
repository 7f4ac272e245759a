//! A recording: lines of JSON with the time each was made, read one by one for a machine that is told the time.
//!
//! Pure: it reads no file and waits for nothing. `docs/replay.md` describes for a person what stands in the lines.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

/// Latest time that is read: the year 2100 in milliseconds since 1970, so that recorded wall-clock times can be used
/// as they are. A later one is refused; it would only be a mistake of units.
pub const AT_MS_MAX: u64 = 4_102_444_800_000;

/// A line that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {cause}")]
pub struct ReplayError {
    /// Its number, from 1.
    pub line: usize,
    /// The field, such as `config.regions`; `.` is the whole line.
    pub field: String,
    /// What is wrong with it.
    pub cause: String,
}

/// A field and what is wrong with it.
pub type Wrong = (&'static str, String);

/// Counts lines and time.
#[derive(Debug)]
pub struct Recording {
    origin: Instant,
    lines: usize,
    at_ms: u64,
}

impl Recording {
    /// A recording whose time 0 is `origin`; any instant does.
    pub fn new(origin: Instant) -> Self {
        Recording {
            origin,
            lines: 0,
            at_ms: 0,
        }
    }

    /// The next line as a value; none if it is empty. `at_ms` says where its time stands.
    ///
    /// # Errors
    /// The line is not such a value, or its time is before an earlier line's or beyond [`AT_MS_MAX`].
    pub fn read<T: DeserializeOwned>(
        &mut self,
        text: &str,
        at_ms: impl Fn(&T) -> u64,
    ) -> Result<Option<T>, ReplayError> {
        self.lines += 1;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let line: T = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            let path = match e.path().to_string() {
                // The text broke off before any field.
                path if path == "?" => ".".to_owned(),
                path => path,
            };
            self.error(&path, e.inner().to_string())
        })?;
        json.end().map_err(|e| self.error(".", e.to_string()))?;
        let at = at_ms(&line);
        if at < self.at_ms {
            let cause = format!("{at} is before {}, the time of an earlier line", self.at_ms);
            return Err(self.error("at_ms", cause));
        }
        if at > AT_MS_MAX {
            return Err(self.error("at_ms", format!("at most {AT_MS_MAX} is expected")));
        }
        self.at_ms = at;
        Ok(Some(line))
    }

    /// What is wrong with a field of the line that was read last.
    pub fn error(&self, field: &str, cause: String) -> ReplayError {
        ReplayError {
            line: self.lines,
            field: field.to_owned(),
            cause,
        }
    }

    /// The time of the line that was read last.
    pub fn now(&self) -> Instant {
        self.origin + Duration::from_millis(self.at_ms)
    }

    /// Time 0.
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// An instant as the lines count it, whole milliseconds.
    pub fn ms(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_millis() as u64
    }
}

/// A machine that takes a recording.
pub trait Replay {
    /// Takes the next line and returns what the machine says until then, a JSON line each. An empty line is
    /// counted and says nothing.
    ///
    /// # Errors
    /// The line cannot be replayed.
    fn line(&mut self, text: &str) -> Result<Vec<String>, ReplayError>;

    /// Takes many lines. What was said before a wrong line is returned with its error.
    fn all<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) -> (Vec<String>, Result<(), ReplayError>) {
        let mut said = Vec::new();
        for line in lines {
            match self.line(line) {
                Ok(more) => said.extend(more),
                Err(e) => return (said, Err(e)),
            }
        }
        (said, Ok(()))
    }
}

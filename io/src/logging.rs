//! Log lines: for a person on a terminal, one JSON object a line otherwise.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// The `[log]` section of both daemons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module, such as
    /// `info,skerry_speaker=debug`. `RUST_LOG` overrides it.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `text` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// For a person.
    Text,
    /// One object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings {
            filter: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}

impl LogSettings {
    /// What is wrong with the section that stands at path `at`.
    pub fn check(&self, at: &str) -> Vec<(String, String)> {
        match EnvFilter::try_new(&self.filter) {
            Ok(_) => Vec::new(),
            Err(error) => vec![(crate::config::join(at, "filter"), error.to_string())],
        }
    }

    /// Begin to log, to standard error. A second call in one process changes nothing.
    ///
    /// # Errors
    /// The filter cannot be read.
    pub fn start(&self) -> anyhow::Result<()> {
        let filter = match std::env::var("RUST_LOG") {
            Ok(filter) if !filter.is_empty() => EnvFilter::try_new(filter)?,
            _ => EnvFilter::try_new(&self.filter)?,
        };
        let terminal = std::io::stderr().is_terminal();
        let json = match self.format {
            LogFormat::Auto => !terminal,
            LogFormat::Text => false,
            LogFormat::Json => true,
        };
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_target(false);
        // An error says only that somebody else, such as a test, was first.
        if json {
            let _ = lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(true)
                .try_init();
        } else {
            let _ = lines.with_ansi(terminal).try_init();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        assert_eq!(LogSettings::default().check("log"), []);
        let wrong = LogSettings {
            filter: "info,skerry=loud".into(),
            ..LogSettings::default()
        };
        assert_eq!(wrong.check("log")[0].0, "log.filter");
    }
}

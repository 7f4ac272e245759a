//! The file that every measurement writes, and how numbers are printed.

use crate::figure::Figure;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;

/// What a file in `target/bench` holds.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The commit that was measured; `-dirty` if there was more.
    pub commit: String,
    /// Which machine, and what was done that it measures well.
    pub machine: String,
    /// Every figure.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Writes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text + "\n").with_context(|| format!("{} cannot be written", file.display()))
    }

    /// The value of a figure, if it was measured.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name)?.value
    }

    /// A line for each figure with a goal.
    pub fn verdicts(&self) -> String {
        let line = |figure: &Figure| {
            let verdict = match figure.met {
                Some(true) => "met",
                Some(false) => "missed",
                None => "not measured",
            };
            let goal = figure.goal.as_deref().unwrap_or_default();
            format!(
                "{verdict:<12} {:<40} {:>10}   goal {goal}\n",
                figure.name,
                shown(figure.value)
            )
        };
        self.figures
            .iter()
            .filter(|figure| figure.goal.is_some())
            .map(line)
            .collect()
    }
}

/// A number with as many digits as say something.
pub fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 0.1 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

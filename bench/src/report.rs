//! The table that is printed, and the file.

use crate::corpus::Kind;
use crate::figure::{Figure, PEERS, machine};
use crate::peer::Mode;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// What `target/bench/codec.json` holds.
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

    fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name)?.value
    }

    /// Everything for a person to read.
    ///
    /// # Errors
    /// None: it writes into memory.
    pub fn table(&self) -> Result<String> {
        let mut text = String::new();
        writeln!(text, "codec at {}", self.commit)?;
        writeln!(text, "{}", self.machine)?;
        for peer in PEERS {
            let about = self.figures.iter().find_map(|figure| {
                let theirs = figure.name.ends_with(&format!("_{peer}_ns"));
                figure.version.as_ref().filter(|_| theirs)
            });
            match about {
                Some(version) => writeln!(text, "{peer}: {version}")?,
                None => writeln!(text, "{peer}: not measured")?,
            }
        }
        for mode in Mode::ALL {
            self.mode(&mut text, mode)?;
        }
        let framer = shown(self.value("framer_messages_per_s"));
        let allocs = shown(self.value("framer_message_allocs"));
        writeln!(
            text,
            "\nframer: {framer} messages/s on one core, {allocs} allocations a message"
        )?;
        writeln!(text)?;
        for figure in self.figures.iter().filter(|figure| figure.goal.is_some()) {
            let verdict = match figure.met {
                Some(true) => "met",
                Some(false) => "missed",
                None => "not measured",
            };
            let goal = figure.goal.as_deref().unwrap_or_default();
            writeln!(
                text,
                "{verdict:<12} {:<40} {:>10}   goal {goal}",
                figure.name,
                shown(figure.value)
            )?;
        }
        Ok(text)
    }

    fn mode(&self, text: &mut String, mode: Mode) -> Result<()> {
        let (mode_name, machine) = (mode.name(), machine(mode));
        write!(
            text,
            "\n{:<16}{:>10}{:>9}{machine:>10}{:>8}",
            format!("{mode_name}, ns"),
            "skerry",
            "allocs",
            "over"
        )?;
        for peer in PEERS {
            write!(text, "{peer:>12}{:>8}", "over")?;
        }
        writeln!(text)?;
        for kind in Kind::ALL {
            let name = kind.name();
            let cell = |rest: &str| shown(self.value(&format!("{name}_{rest}")));
            write!(
                text,
                "{name:<16}{:>10}{:>9}{:>10}{:>8}",
                cell(&format!("{mode_name}_ns")),
                cell(&format!("{mode_name}_allocs")),
                cell(&format!("{machine}_ns")),
                cell(&format!("{mode_name}_ns_over_{machine}")),
            )?;
            for peer in PEERS {
                let theirs = cell(&format!("{mode_name}_{peer}_ns"));
                let over = cell(&format!("{mode_name}_ns_over_{peer}"));
                write!(text, "{theirs:>12}{over:>8}")?;
            }
            writeln!(text)?;
        }
        Ok(())
    }
}

/// A number with as many digits as say something.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 0.1 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

//! Answers on standard output: a table for a person, one JSON document for a program.

use std::io::Write;

use clap::ValueEnum;
use comfy_table::Table;
use serde::Serialize;

use crate::failure::Failure;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns of text.
    Table,
    /// One document; `tail` prints one object a line.
    Json,
}

/// Standard output in one of the formats.
#[derive(Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Output in `format`.
    pub fn new(format: Format) -> Self {
        Output { format }
    }

    /// Which format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints `document` as JSON, or `text` made from it.
    pub fn print<T: Serialize>(&self, document: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let json = serde_json::to_string_pretty(document)
                    .map_err(|e| Failure::Failed(format!("the answer cannot be written as JSON: {e}")))?;
                line(&json)
            }
            Format::Table => line(text().trim_end()),
        }
    }
}

/// Prints one line and hands it over at once, so that whoever reads a pipe sees it when it is said.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|e| Failure::writing(&e))
}

/// A table of text columns without lines, which `awk` can read as well.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.into_iter().map(printable));
    }
    trimmed(&table)
}

/// Names and values, one pair a line.
pub fn pairs(rows: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    for (name, value) in rows {
        table.add_row(vec![name.to_owned(), printable(value)]);
    }
    trimmed(&table)
}

fn trimmed(table: &Table) -> String {
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        text.push('\n');
    }
    text
}

/// Text that comes from switches and other people: control characters would act on the terminal.
pub fn printable(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    } else if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

/// Milliseconds of a figure that may be unknown.
pub fn ms(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.3}"))
}

/// The text form that a value has in JSON, such as `tier_1_failed` or `UP`.
pub fn name<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => "?".to_owned(),
    }
}

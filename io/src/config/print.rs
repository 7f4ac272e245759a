//! The effective configuration as TOML, each value with its origin.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::origin::{join, quoted};
use super::{HIDDEN, Loaded, Settings};

impl<C: Settings> Loaded<C> {
    /// What `--print-config` prints: a file that, but for secrets, would give this configuration again.
    pub fn print(&self) -> String {
        let mut out = format!(
            "# Effective configuration of {}, each value with its origin.\n",
            C::DAEMON
        );
        match Table::try_from(&self.config) {
            Ok(table) => self.table(&mut out, "", &table),
            // Our own structs have text keys only; a new one that has not shows here and in its test.
            Err(error) => {
                let _ = writeln!(out, "# cannot be printed: {error}");
            }
        }
        out
    }

    fn table(&self, out: &mut String, at: &str, table: &Table) {
        // In TOML all plain values of a table come before its sub-tables.
        for (key, value) in table {
            if is_section(value) {
                continue;
            }
            let path = join(at, key);
            let shown = if is_secret::<C>(&path, key) {
                Value::String(HIDDEN.to_owned())
            } else {
                value.clone()
            };
            let line = format!("{} = {shown}", quoted(key));
            let _ = writeln!(out, "{line:<48} # {}", self.origins.of(&path));
        }
        for (key, value) in table {
            let path = join(at, key);
            match value {
                Value::Table(inner) => {
                    let _ = writeln!(out, "\n[{path}]");
                    self.table(out, &path, inner);
                }
                Value::Array(items) if is_section(value) => {
                    for (index, item) in items.iter().enumerate() {
                        if let Value::Table(inner) = item {
                            let _ = writeln!(out, "\n[[{path}]]");
                            self.table(out, &format!("{path}[{index}]"), inner);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    }
}

/// Client properties are passed through, so their names decide as well.
fn is_secret<C: Settings>(path: &str, key: &str) -> bool {
    // Where a secret is kept is none.
    let named = !key.ends_with("_file") && ["password", "secret", "pem"].iter().any(|word| key.contains(word));
    C::SECRETS.contains(&path) || named
}

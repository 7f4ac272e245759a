//! Where each value comes from.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file.
    File {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { file, line } => write!(f, "{file}:{line}"),
            Origin::Environment { name } => write!(f, "environment {name}"),
        }
    }
}

/// Origins by path, for tables and lists as well as for single values.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Where the value at this path comes from; a value nobody set is [`Origin::Default`].
    pub fn of(&self, path: &str) -> Origin {
        self.0.get(path).cloned().unwrap_or(Origin::Default)
    }

    /// Where the value, or what it would stand in, was set; none if nothing around it was.
    pub(super) fn nearest(&self, path: &str) -> Option<&Origin> {
        let mut path = path;
        loop {
            if let Some(origin) = self.0.get(path) {
                return Some(origin);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    pub(super) fn set(&mut self, path: String, origin: Origin) {
        self.0.insert(path, origin);
    }

    /// Forget what was known at and below a path, because all of it is replaced.
    pub(super) fn forget(&mut self, path: &str) {
        self.0.retain(|known, _| match known.strip_prefix(path) {
            Some(rest) => !(rest.is_empty() || rest.starts_with(['.', '['])),
            None => true,
        });
    }

    /// Note the lines of everything in a file.
    pub(super) fn read(&mut self, file: &str, text: &str, table: &DeTable<'_>) {
        self.table("", file, text, table);
    }

    fn table(&mut self, at: &str, file: &str, text: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = join(at, key.get_ref());
            let line = line_of(text, key.span().start);
            self.set(
                path.clone(),
                Origin::File {
                    file: file.to_owned(),
                    line,
                },
            );
            self.value(&path, file, text, value);
        }
    }

    fn value(&mut self, path: &str, file: &str, text: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, file, text, table),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    let line = line_of(text, item.span().start);
                    self.set(
                        path.clone(),
                        Origin::File {
                            file: file.to_owned(),
                            line,
                        },
                    );
                    self.value(&path, file, text, item);
                }
            }
            _ => {}
        }
    }
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    let end = byte.min(text.len());
    text.as_bytes()[..end].iter().filter(|b| **b == b'\n').count() + 1
}

/// A path with one more key, as it is written in faults and asked for in [`Origins::of`].
pub fn join(at: &str, key: &str) -> String {
    let key = quoted(key);
    if at.is_empty() { key } else { format!("{at}.{key}") }
}

/// A key as TOML writes it: bare where that is possible.
pub(super) fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}

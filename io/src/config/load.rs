//! Reading a configuration and naming everything that is wrong with it.

use std::fmt;
use std::path::Path;

use serde_path_to_error::Segment;
use toml::de::DeTable;
use toml::{Table, Value};

use super::Settings;
use super::origin::{Origin, Origins, join, line_of};

/// Wrong values that are named at most. Whoever has more reads the first ones first.
const FAULTS_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where in the configuration, such as `kafka.partitions` or `listen[0].address`; empty for the file as a whole.
    pub path: String,
    /// Where it was written, if it was.
    pub origin: Option<Origin>,
    /// Why it is wrong.
    pub cause: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.cause)
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// A configuration in which nothing is wrong.
#[derive(Debug, Clone)]
pub struct Loaded<C> {
    /// The values.
    pub config: C,
    /// Where they come from.
    pub origins: Origins,
}

/// Read a configuration: defaults, then the file if one is named, then the environment.
///
/// # Errors
/// Every wrong value, in the order in which they were found.
pub fn load<C: Settings>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded<C>, ConfigError> {
    let mut reading = Reading::default();
    if let Some(file) = file {
        reading.read_file(file)?;
    }
    reading.read_environment(C::ENVIRONMENT, environment);
    let config: C = reading.deserialise();
    for (path, cause) in config.check() {
        // What stands at a repaired place is the default, about which nothing needs to be said.
        if !reading.faults.iter().any(|fault| fault.path == path) {
            let origin = reading.origins.nearest(&path).cloned();
            reading.faults.push(Fault { path, origin, cause });
        }
    }
    if reading.faults.is_empty() {
        Ok(Loaded {
            config,
            origins: reading.origins,
        })
    } else {
        reading.faults.truncate(FAULTS_MAX);
        Err(ConfigError { faults: reading.faults })
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    table: Table,
    origins: Origins,
    /// Values from the environment that were read as TOML, with their text: some keys want the text.
    as_text: Vec<AsText>,
    faults: Vec<Fault>,
}

struct AsText {
    path: String,
    text: String,
    /// Why the TOML value was not taken, once it was tried.
    refused: Option<String>,
}

impl Reading {
    fn read_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError {
            faults: vec![Fault {
                path: String::new(),
                origin: None,
                cause: format!("{name} cannot be read: {error}"),
            }],
        })?;
        let fault = |error: &toml::de::Error| Fault {
            path: String::new(),
            origin: error.span().map(|span| Origin::File {
                file: name.clone(),
                line: line_of(&text, span.start),
            }),
            cause: error.message().to_owned(),
        };
        // A file that is not TOML cannot be judged further: what is a key in it is a guess.
        let (document, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            return Err(ConfigError {
                faults: errors.iter().take(FAULTS_MAX).map(fault).collect(),
            });
        }
        self.table = toml::from_str(&text).map_err(|error| ConfigError {
            faults: vec![fault(&error)],
        })?;
        self.origins.read(&name, &text, document.get_ref());
        Ok(())
    }

    fn read_environment(&mut self, prefix: &str, environment: impl IntoIterator<Item = (String, String)>) {
        let prefix = format!("{prefix}__");
        let mut named: Vec<(String, String)> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .collect();
        named.sort();
        for (name, text) in named {
            let keys: Vec<String> = name[prefix.len()..].split("__").map(str::to_ascii_lowercase).collect();
            let path = keys.iter().fold(String::new(), |at, key| join(&at, key));
            let origin = Origin::Environment { name };
            let Some((last, tables)) = keys.split_last() else {
                continue;
            };
            let Some(table) = section(&mut self.table, tables) else {
                let cause = "a value stands where this name expects a section".to_owned();
                self.faults.push(Fault {
                    path,
                    origin: Some(origin),
                    cause,
                });
                continue;
            };
            // Text that is no TOML value, such as an unquoted name, is itself.
            let value = match toml::from_str::<Table>(&format!("v = {text}")) {
                Ok(mut parsed) if parsed.len() == 1 => parsed.remove("v"),
                _ => None,
            };
            let value = value.unwrap_or_else(|| Value::String(text.clone()));
            if !value.is_str() {
                self.as_text.push(AsText {
                    path: path.clone(),
                    text,
                    refused: None,
                });
            }
            table.insert(last.clone(), value);
            self.origins.forget(&path);
            self.origins.set(path, origin);
        }
    }

    /// Take out what is wrong, one by one, until the rest can be read.
    fn deserialise<C: Settings>(&mut self) -> C {
        loop {
            let error = match serde_path_to_error::deserialize::<_, C>(Value::Table(self.table.clone())) {
                Ok(config) => return config,
                Err(error) => error,
            };
            let cause = error.inner().message().to_owned();
            let mut steps: Vec<Step> = Vec::new();
            for segment in error.path() {
                match segment {
                    Segment::Seq { index } => steps.push(Step::Index(*index)),
                    Segment::Map { key } => steps.push(Step::Key(key.clone())),
                    Segment::Enum { .. } | Segment::Unknown => {}
                }
            }
            // serde names an unknown key only in its text.
            let unknown = cause
                .strip_prefix("unknown field `")
                .and_then(|rest| rest.split_once('`'))
                .map(|(key, _)| key);
            if let Some(key) = unknown
                && !matches!(steps.last(), Some(Step::Key(last)) if last == key)
            {
                steps.push(Step::Key(key.to_owned()));
            }
            let path = path_of(&steps);
            let known = self.as_text.iter_mut().find(|known| known.path == path);
            let cause = match known {
                Some(known) => match (known.refused.take(), find(&mut self.table, &steps)) {
                    // Refused as TOML and as text: the first cause tells more.
                    (Some(first), _) => first,
                    (None, Some(value)) => {
                        *value = Value::String(known.text.clone());
                        known.refused = Some(cause);
                        continue;
                    }
                    (None, None) => cause,
                },
                None => cause,
            };
            let origin = self.origins.nearest(&path).cloned();
            self.faults.push(Fault { path, origin, cause });
            if self.faults.len() >= FAULTS_MAX || !remove(&mut self.table, &steps) {
                return C::default();
            }
        }
    }
}

/// The table at these keys, made if there is nothing yet; none if something else stands there.
fn section<'t>(table: &'t mut Table, keys: &[String]) -> Option<&'t mut Table> {
    let Some((first, rest)) = keys.split_first() else {
        return Some(table);
    };
    match table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => section(inner, rest),
        _ => None,
    }
}

enum Step {
    Key(String),
    Index(usize),
}

fn path_of(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |at, step| match step {
        Step::Key(key) => join(&at, key),
        Step::Index(index) => format!("{at}[{index}]"),
    })
}

fn find<'t>(table: &'t mut Table, steps: &[Step]) -> Option<&'t mut Value> {
    let (first, rest) = steps.split_first()?;
    let Step::Key(key) = first else { return None };
    let mut value = table.get_mut(key)?;
    for step in rest {
        value = match step {
            Step::Key(key) => value.get_mut(key.as_str())?,
            Step::Index(index) => value.get_mut(*index)?,
        };
    }
    Some(value)
}

/// Take a value out. An item of a list that is not a table takes its whole list along, because taking out the item alone would
/// number the others anew.
fn remove(table: &mut Table, steps: &[Step]) -> bool {
    let Some((last, before)) = steps.split_last() else {
        return false;
    };
    match last {
        Step::Key(key) if before.is_empty() => table.remove(key).is_some(),
        Step::Key(key) => match find(table, before) {
            Some(Value::Table(inner)) => inner.remove(key).is_some(),
            _ => false,
        },
        Step::Index(_) => remove(table, before),
    }
}

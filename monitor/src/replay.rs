//! Recorded latencies of one flow in, its changes of state out: `skerry replay sla`.
//!
//! Pure: lines of text to lines of text. `docs/replay.md` describes both for a person.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize};
use skerry_bus::api::PathStrategy;
use skerry_bus::service::ActionKind;

use crate::limits::{Limits, Threshold};
use crate::sla::{Config, Input, Sla, SlaState};

/// Latest time that is read: the year 2100 in milliseconds since 1970, so that recorded wall-clock times can be used
/// as they are. A later one is refused; it would only be a mistake of units.
pub const AT_MS_MAX: u64 = 4_102_444_800_000;

/// Longest window that is read, milliseconds: a day.
pub const WINDOW_MAX_MS: u64 = 86_400_000;

/// A line that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {cause}")]
pub struct ReplayError {
    /// Its number, from 1.
    pub line: usize,
    /// The field, such as `config.threshold`; `.` is the whole line.
    pub field: String,
    /// What is wrong with it.
    pub cause: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at_ms: u64,
    config: Option<ConfigLine>,
    #[serde(default, deserialize_with = "given")]
    latency_ns: Option<Option<u64>>,
    end: Option<bool>,
}

/// A `null` that is given is not the same as an absent key.
fn given<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(d).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigLine {
    max_latency_ms: Option<f64>,
    max_latency_tier_2_ms: Option<f64>,
    threshold: f64,
    window_ms: u64,
    strategy: PathStrategy,
}

#[derive(Debug, Serialize)]
struct OutLine {
    at_ms: u64,
    from: SlaState,
    to: SlaState,
    action: Option<ActionKind>,
}

/// A replay under way.
#[derive(Debug)]
pub struct SlaReplay {
    origin: Instant,
    lines: usize,
    at_ms: u64,
    sla: Option<Sla>,
}

impl SlaReplay {
    /// A replay whose time 0 is `origin`; any instant does.
    pub fn new(origin: Instant) -> Self {
        SlaReplay {
            origin,
            lines: 0,
            at_ms: 0,
            sla: None,
        }
    }

    /// Takes the next line and returns what the machine says until then, a JSON line each. An empty line is
    /// counted and says nothing.
    pub fn line(&mut self, text: &str) -> Result<Vec<String>, ReplayError> {
        self.lines += 1;
        let number = self.lines;
        let wrong = |field: &str, cause: String| ReplayError {
            line: number,
            field: field.to_owned(),
            cause,
        };
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let line: Line =
            serde_path_to_error::deserialize(&mut json).map_err(|e| match e.path().to_string().as_str() {
                // The text broke off before any field.
                "?" => wrong(".", e.inner().to_string()),
                field => wrong(field, e.inner().to_string()),
            })?;
        json.end().map_err(|e| wrong(".", e.to_string()))?;
        if line.at_ms < self.at_ms {
            return Err(wrong(
                "at_ms",
                format!("{} is before {}, the time of an earlier line", line.at_ms, self.at_ms),
            ));
        }
        if line.at_ms > AT_MS_MAX {
            return Err(wrong("at_ms", format!("at most {AT_MS_MAX} is expected")));
        }
        self.at_ms = line.at_ms;
        let now = self.origin + Duration::from_millis(line.at_ms);
        match (&mut self.sla, line.config, line.latency_ns, line.end) {
            (None, Some(config), None, None) => {
                self.sla = Some(Sla::new(
                    config.check().map_err(|(field, cause)| wrong(field, cause))?,
                    now,
                ));
                Ok(Vec::new())
            }
            (None, _, _, _) => Err(wrong(
                "config",
                "the first line has it, and nothing but at_ms beside it".to_owned(),
            )),
            (Some(_), Some(_), _, _) => Err(wrong("config", "only the first line has it".to_owned())),
            (Some(sla), None, Some(latency), None) => {
                let mut said = Self::advance(sla, self.origin, now);
                sla.handle_input(now, Input::Latency(latency));
                said.extend(Self::drain(sla, self.origin));
                Ok(said)
            }
            (Some(sla), None, None, Some(true)) => Ok(Self::advance(sla, self.origin, now)),
            (Some(_), None, None, Some(false)) => Err(wrong("end", "true is expected".to_owned())),
            (Some(_), None, Some(_), Some(_)) => Err(wrong("end", "a line has either latency_ns or end".to_owned())),
            (Some(_), None, None, None) => Err(wrong("latency_ns", "a line has either latency_ns or end".to_owned())),
        }
    }

    /// Fires timers up to `now`, each at its own time.
    fn advance(sla: &mut Sla, origin: Instant, now: Instant) -> Vec<String> {
        sla.handle_timeout(now);
        Self::drain(sla, origin)
    }

    fn drain(sla: &mut Sla, origin: Instant) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(output) = sla.poll_output() {
            let line = OutLine {
                at_ms: output.at.saturating_duration_since(origin).as_millis() as u64,
                from: output.from,
                to: output.to,
                action: output.action,
            };
            said.push(serde_json::to_string(&line).expect("a flat struct of numbers and names is always JSON"));
        }
        said
    }
}

impl ConfigLine {
    fn check(self) -> Result<Config, (&'static str, String)> {
        let limit = |field, ms| match Limits::from_ms(ms, None) {
            Ok(limits) => Ok(limits.tier_1_ns),
            Err(e) => Err((field, e.to_string())),
        };
        if self.window_ms > WINDOW_MAX_MS {
            return Err(("config.window_ms", format!("at most {WINDOW_MAX_MS} is expected")));
        }
        Ok(Config {
            limits: Limits {
                tier_1_ns: limit("config.max_latency_ms", self.max_latency_ms)?,
                tier_2_ns: limit("config.max_latency_tier_2_ms", self.max_latency_tier_2_ms)?,
            },
            threshold: Threshold::from_fraction(self.threshold).map_err(|e| ("config.threshold", e.to_string()))?,
            window: Duration::from_millis(self.window_ms),
            latency_based: self.strategy.is_latency_based(),
        })
    }
}

/// Replays whole lines. What was said before a wrong line is returned with the error.
pub fn sla<'a>(lines: impl IntoIterator<Item = &'a str>, origin: Instant) -> (Vec<String>, Result<(), ReplayError>) {
    let mut replay = SlaReplay::new(origin);
    let mut said = Vec::new();
    for line in lines {
        match replay.line(line) {
            Ok(more) => said.extend(more),
            Err(e) => return (said, Err(e)),
        }
    }
    (said, Ok(()))
}

//! Recorded latencies of one flow in, its changes of state out: `skerry replay sla`.
//!
//! Pure: lines of text to lines of text. `docs/replay.md` describes both for a person.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize};
use skerry_bus::api::PathStrategy;
use skerry_bus::recording::{Recording, Replay, ReplayError, Wrong};
use skerry_bus::service::ActionKind;

use crate::limits::{Limits, Threshold};
use crate::sla::{Config, Input, Sla, SlaState};

/// Longest window that is read, milliseconds: a day.
pub const WINDOW_MAX_MS: u64 = 86_400_000;

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
    recording: Recording,
    sla: Option<Sla>,
}

impl SlaReplay {
    /// A replay whose time 0 is `origin`; any instant does.
    pub fn new(origin: Instant) -> Self {
        SlaReplay {
            recording: Recording::new(origin),
            sla: None,
        }
    }

    fn take(&mut self, line: Line) -> Result<Vec<String>, Wrong> {
        let now = self.recording.now();
        match (&mut self.sla, line.config, line.latency_ns, line.end) {
            (None, Some(config), None, None) => {
                self.sla = Some(Sla::new(config.check()?, now));
                Ok(Vec::new())
            }
            (None, _, _, _) => Err((
                "config",
                "the first line has it, and nothing but at_ms beside it".to_owned(),
            )),
            (Some(_), Some(_), _, _) => Err(("config", "only the first line has it".to_owned())),
            (Some(sla), None, Some(latency), None) => {
                sla.handle_timeout(now);
                sla.handle_input(now, Input::Latency(latency));
                Ok(drain(sla, &self.recording))
            }
            (Some(sla), None, None, Some(true)) => {
                sla.handle_timeout(now);
                Ok(drain(sla, &self.recording))
            }
            (Some(_), None, None, Some(false)) => Err(("end", "true is expected".to_owned())),
            (Some(_), None, Some(_), Some(_)) => Err(("end", "a line has either latency_ns or end".to_owned())),
            (Some(_), None, None, None) => Err(("latency_ns", "a line has either latency_ns or end".to_owned())),
        }
    }
}

impl Replay for SlaReplay {
    fn line(&mut self, text: &str) -> Result<Vec<String>, ReplayError> {
        let Some(line) = self.recording.read(text, |line: &Line| line.at_ms)? else {
            return Ok(Vec::new());
        };
        self.take(line)
            .map_err(|(field, cause)| self.recording.error(field, cause))
    }
}

/// What the machine says, each at its own time.
fn drain(sla: &mut Sla, recording: &Recording) -> Vec<String> {
    std::iter::from_fn(|| sla.poll_output())
        .map(|output| {
            let line = OutLine {
                at_ms: recording.ms(output.at),
                from: output.from,
                to: output.to,
                action: output.action,
            };
            serde_json::to_string(&line).expect("a flat struct of numbers and names is always JSON")
        })
        .collect()
}

impl ConfigLine {
    fn check(self) -> Result<Config, Wrong> {
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

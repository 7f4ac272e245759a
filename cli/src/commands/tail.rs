//! `skerry tail`: events as they come.

use std::io::{BufRead, ErrorKind};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::failure::Failure;
use crate::lines;
use crate::output::{Format, Output, line, printable};
use crate::rest::Router;
use crate::utc;

/// Longest event that is read. The router splits what it sends to Kafka at half a megabyte; an event is far smaller.
const EVENT_MAX: u64 = 1024 * 1024;

/// How long a feed that broke off is asked for again, and how often.
const ABSENCE_MAX: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(500);

/// What to follow.
#[derive(Debug, Args)]
pub struct Tail {
    /// Begin after the event of this number instead of with the next one
    #[arg(long, value_name = "NUMBER")]
    since: Option<u64>,
}

/// Prints events until interrupted. A feed that breaks off is resumed after the last event that came.
pub fn run(tail: &Tail, router: &Router, out: &Output) -> Result<(), Failure> {
    let mut last = tail.since;
    let mut heard: Option<Instant> = None;
    loop {
        let path = match last {
            Some(number) => format!("/v2/events?since={number}"),
            None => "/v2/events".to_owned(),
        };
        let cause = match router.open(&path) {
            Ok(feed) => {
                heard = Some(Instant::now());
                let cause = follow(feed, &mut last, out)?;
                heard = heard.map(|_| Instant::now());
                router.lost(&cause)
            }
            Err(failure @ Failure::Unreachable(_)) => failure,
            Err(other) => return Err(other),
        };
        // A router that was never reached is not waited for.
        match heard {
            Some(heard) if heard.elapsed() < ABSENCE_MAX => std::thread::sleep(RETRY),
            Some(_) | None => return Err(cause),
        }
    }
}

/// Prints events until the feed breaks off, and says why it did.
fn follow(mut feed: impl BufRead, last: &mut Option<u64>, out: &Output) -> Result<String, Failure> {
    loop {
        let text = match lines::next(&mut feed, EVENT_MAX) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok("the feed ended".to_owned()),
            Err(e) if e.kind() == ErrorKind::InvalidData => return Err(Failure::Failed(e.to_string())),
            Err(e) => return Ok(e.to_string()),
        };
        let text = String::from_utf8_lossy(&text);
        let text = text.trim();
        // Empty lines keep the connection alive.
        if text.is_empty() {
            continue;
        }
        let event: Value = match serde_json::from_str(text) {
            Ok(event) => event,
            // Half an event, because the feed broke off in it. It comes again when the feed is resumed.
            Err(e) if e.is_eof() => return Ok("the feed broke off".to_owned()),
            Err(e) => return Err(Failure::Failed(format!("an event is not JSON: {e}"))),
        };
        if let Some(number) = event.get("number").and_then(Value::as_u64) {
            *last = Some(number);
        }
        match out.format() {
            Format::Json => line(&event.to_string())?,
            Format::Table => line(&sentence(&event))?,
        }
    }
}

/// Time, kind, then the event's fields as they are called. Kinds of a newer router are printed all the same.
fn sentence(event: &Value) -> String {
    let at = event
        .get("at_ms")
        .and_then(Value::as_u64)
        .map(utc::text)
        .unwrap_or_default();
    let mut text = at;
    let Some(Value::Object(fields)) = event.get("event") else {
        return text;
    };
    if let Some(kind) = fields.get("kind").and_then(Value::as_str) {
        text.push_str("  ");
        text.push_str(kind);
    }
    for (name, value) in fields.iter().filter(|(name, _)| *name != "kind") {
        text.push(' ');
        text.push_str(name);
        text.push('=');
        match value {
            Value::String(value) if value.contains(' ') || value.is_empty() => text.push_str(&format!("{value:?}")),
            Value::String(value) => text.push_str(value),
            value => text.push_str(&value.to_string()),
        }
    }
    printable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_sentence_whatever_its_kind() {
        let event = serde_json::json!({
            "event": {"kind": "link_changed", "link": "a-b", "to": "down", "reason": "port down"},
            "availability_data": {"availability": []}, "at_ms": 1, "number": 7
        });
        assert_eq!(
            sentence(&event),
            "1970-01-01 00:00:00.001  link_changed link=a-b to=down reason=\"port down\""
        );
        assert_eq!(
            sentence(&serde_json::json!({"event": {"kind": "new", "x": [1]}})),
            "  new x=[1]"
        );
    }
}

//! `GET /v2/events`: virtual events as they come, one JSON object a line.
//!
//! `since=N` begins after event number N as far as it is still kept; without it the stream begins now. A reader that
//! falls too far behind is told so in a last line and disconnected, never silently skipped.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use skerry_bus::VirtualEvent;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::Northbound;
use super::problem::problem;
use crate::machine::api::ApiRequest;

/// Lines that may wait for one slow reader beyond what is broadcast.
const LINES_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    since: Option<u64>,
}

pub(super) async fn stream(
    State(northbound): State<Northbound>,
    query: Result<Query<EventsQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let since = match query {
        Ok(Query(q)) => q.since,
        Err(e) => return problem(StatusCode::BAD_REQUEST, "bad-query", &e.body_text()),
    };
    // Subscribe first, then ask for what was: nothing falls between, and numbers tell what came twice.
    let live = northbound.events.subscribe();
    let mut kept = Vec::new();
    if let Some(since) = since {
        match northbound.ask_raw(ApiRequest::EventsSince(since)).await {
            Ok(answer) if answer.status == 200 => {
                if let serde_json::Value::Array(events) = answer.body {
                    kept = events;
                }
            }
            Ok(answer) => return super::respond(answer),
            Err(response) => return *response,
        }
    }
    let (lines, from_lines) = mpsc::channel::<Result<Bytes, Infallible>>(LINES_MAX);
    tokio::spawn(feed(live, kept, lines));
    let body = Body::from_stream(ReceiverStream::new(from_lines));
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// `GET /v2/events/kept?since=N`: the same as one document, without waiting for more.
pub(super) async fn kept(
    State(northbound): State<Northbound>,
    query: Result<Query<EventsQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    match query {
        Ok(Query(q)) => northbound.ask(ApiRequest::EventsSince(q.since.unwrap_or(0))).await,
        Err(e) => problem(StatusCode::BAD_REQUEST, "bad-query", &e.body_text()),
    }
}

async fn feed(
    mut live: broadcast::Receiver<Arc<VirtualEvent>>,
    kept: Vec<serde_json::Value>,
    lines: mpsc::Sender<Result<Bytes, Infallible>>,
) {
    let mut last = 0;
    for event in kept {
        last = event.get("number").and_then(serde_json::Value::as_u64).unwrap_or(last);
        if lines.send(Ok(line(&event))).await.is_err() {
            return;
        }
    }
    loop {
        let text = tokio::select! {
            event = live.recv() => match event {
                Ok(event) if event.number <= last => continue,
                Ok(event) => {
                    last = event.number;
                    line(&*event)
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    let told = serde_json::json!({"error": "the reader fell behind", "missed": missed, "last": last});
                    let _ = lines.send(Ok(line(&told))).await;
                    return;
                }
                Err(broadcast::error::RecvError::Closed) => return,
            },
            () = lines.closed() => return,
        };
        if lines.send(Ok(text)).await.is_err() {
            return;
        }
    }
}

fn line<T: serde::Serialize>(value: &T) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    Bytes::from(text)
}

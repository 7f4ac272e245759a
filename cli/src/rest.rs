//! The router's REST API: one request, one answer, and operations that are waited for.

use std::io::{BufReader, Read};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use skerry_bus::api::{OperationView, Problem};
use ureq::http::{Method, Request};

use crate::failure::Failure;

/// Longest answer that is read. A hundred thousand flows take about 60 MB; more than this is not one document for a person or a script.
const ANSWER_MAX: u64 = 256 * 1024 * 1024;

/// Time for a connection to the router, which is on the same machine or in the same network.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Time for a whole answer: the router answers from memory and gives long work an operation.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// First and longest pause between two questions about an operation.
const POLL_FIRST: Duration = Duration::from_millis(50);
const POLL_LONGEST: Duration = Duration::from_millis(500);

/// How long a router that went away while an operation runs is asked again: its restart takes seconds and
/// the operation survives it.
const ABSENCE_MAX: Duration = Duration::from_secs(30);

/// The answer to a request that changes something.
#[derive(Debug)]
pub enum Written {
    /// Nothing had to be done, or it is done already; the body, if there is one.
    Done(Value),
    /// An operation does it.
    Operation(OperationView),
}

/// The router.
#[derive(Debug)]
pub struct Router {
    base: String,
    agent: ureq::Agent,
    live: ureq::Agent,
}

impl Router {
    /// A client of the router at `url`, such as `http://127.0.0.1:8080`. Nothing is connected to yet.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            return Err(Failure::Usage(format!(
                "--router {url:?}: an address that begins with http:// is expected"
            )));
        }
        let config = || {
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                // A proxy of the environment is for the Internet, not for the router.
                .proxy(None)
                .user_agent(concat!("skerry/", env!("CARGO_PKG_VERSION")))
                .timeout_connect(Some(CONNECT_TIME))
        };
        Ok(Router {
            base,
            agent: config().timeout_global(Some(ANSWER_TIME)).build().new_agent(),
            live: config().timeout_recv_response(Some(ANSWER_TIME)).build().new_agent(),
        })
    }

    /// Reads a document: as it came, for JSON, and as what it is, for tables.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<(Value, T), Failure> {
        let (_, document) = self.ask(Method::GET, path, None::<&()>)?;
        let typed = self.read(path, document.clone())?;
        Ok((document, typed))
    }

    /// Writes something.
    pub fn write<T: Serialize>(&self, method: Method, path: &str, body: Option<&T>) -> Result<Written, Failure> {
        let (status, document) = self.ask(method, path, body)?;
        if status == 202 {
            Ok(Written::Operation(self.read(path, document)?))
        } else {
            Ok(Written::Done(document))
        }
    }

    /// Asks until the operation has ended. `seen` is told each new state.
    pub fn wait(
        &self,
        mut operation: OperationView,
        mut seen: impl FnMut(&OperationView),
    ) -> Result<OperationView, Failure> {
        let path = format!("/v2/operations/{}", operation.operation_id);
        let mut pause = POLL_FIRST;
        let mut answered = Instant::now();
        while !operation.state.is_terminal() {
            std::thread::sleep(pause);
            pause = (pause * 2).min(POLL_LONGEST);
            match self.get::<OperationView>(&path) {
                Ok((_, now)) => {
                    answered = Instant::now();
                    if (now.state, &now.step) != (operation.state, &operation.step) {
                        seen(&now);
                    }
                    operation = now;
                }
                Err(Failure::Unreachable(_)) if answered.elapsed() < ABSENCE_MAX => {}
                Err(Failure::Unreachable(cause)) => {
                    return Err(Failure::Unreachable(format!(
                        "{cause}; operation {} was {} when the router was last heard",
                        operation.operation_id,
                        crate::output::name(&operation.state)
                    )));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(operation)
    }

    /// Opens an answer that does not end.
    pub fn open(&self, path: &str) -> Result<BufReader<impl Read + use<>>, Failure> {
        let request = Request::get(format!("{}{path}", self.base))
            .header("accept", "application/x-ndjson")
            .body(())
            .map_err(|e| self.malformed(&e))?;
        let mut answer = self.live.run(request).map_err(|e| self.unreachable(&e))?;
        let status = answer.status().as_u16();
        if status >= 300 {
            let text = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_string();
            return Err(refused(status, &text.map_err(|e| self.unreachable(&e))?));
        }
        Ok(BufReader::new(
            answer.into_body().into_with_config().limit(u64::MAX).reader(),
        ))
    }

    /// The failure of a connection that was open.
    pub fn lost(&self, cause: &dyn std::fmt::Display) -> Failure {
        Failure::Unreachable(format!("the router at {} went away: {cause}", self.base))
    }

    fn ask<T: Serialize>(&self, method: Method, path: &str, body: Option<&T>) -> Result<(u16, Value), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("accept", "application/json, application/problem+json");
        let answer = match body {
            None => {
                let request = request.body(()).map_err(|e| self.malformed(&e))?;
                self.agent.run(request)
            }
            Some(body) => {
                let json = serde_json::to_vec(body).map_err(|e| Failure::Failed(format!("the request: {e}")))?;
                let request = request
                    .header("content-type", "application/json")
                    .body(json)
                    .map_err(|e| self.malformed(&e))?;
                self.agent.run(request)
            }
        };
        let mut answer = answer.map_err(|e| self.unreachable(&e))?;
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_string()
            .map_err(|e| self.unreachable(&e))?;
        if status >= 300 {
            return Err(refused(status, &text));
        }
        if text.trim().is_empty() {
            return Ok((status, Value::Null));
        }
        match serde_json::from_str(&text) {
            Ok(document) => Ok((status, document)),
            Err(e) => Err(Failure::Failed(format!(
                "{}{path} did not answer with JSON, is it a router? {e}",
                self.base
            ))),
        }
    }

    fn read<T: DeserializeOwned>(&self, path: &str, document: Value) -> Result<T, Failure> {
        serde_json::from_value(document).map_err(|e| {
            Failure::Failed(format!(
                "{}{path} answered something else than expected: {e}",
                self.base
            ))
        })
    }

    fn malformed(&self, error: &ureq::http::Error) -> Failure {
        Failure::Usage(format!("--router {:?}: {error}", self.base))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                Failure::Usage(format!("--router {:?}: {error}", self.base))
            }
            ureq::Error::BodyExceedsLimit(limit) => Failure::Failed(format!("the answer is longer than {limit} bytes")),
            error => Failure::Unreachable(format!("the router at {} is not reachable: {error}", self.base)),
        }
    }
}

/// An error answer: problem+json with its fields, or whatever else it says.
fn refused(status: u16, text: &str) -> Failure {
    let Ok(problem) = serde_json::from_str::<Problem>(text) else {
        let cut: String = text.chars().take(500).collect();
        return Failure::Failed(format!("HTTP status {status}: {}", crate::output::printable(cut)));
    };
    let mut said = format!("{} ({})", problem.title, problem.status);
    if !problem.detail.is_empty() {
        said.push_str(": ");
        said.push_str(&problem.detail);
    }
    for field in &problem.errors {
        said.push_str(&format!("\n  {}: {}", field.pointer, field.detail));
    }
    Failure::Failed(said)
}

/// A path of segments, each escaped as RFC 3986 wants it.
pub fn path(segments: &[&str]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                    path.push(char::from(byte))
                }
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_its_fields() {
        let text = r#"{"type":"about:blank","title":"Unprocessable","status":422,"detail":"the flow cannot be made",
            "errors":[{"pointer":"/source/vlan_id","detail":"4095 is reserved"}]}"#;
        let failure = refused(422, text);
        assert_eq!(
            failure.text(),
            Some("Unprocessable (422): the flow cannot be made\n  /source/vlan_id: 4095 is reserved")
        );
        assert_eq!(refused(502, "<html>\u{1b}").text(), Some("HTTP status 502: <html>?"));
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(path(&["v2", "flows", "a/../b c"]), "/v2/flows/a%2F..%2Fb%20c");
    }
}

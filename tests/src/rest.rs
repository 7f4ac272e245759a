//! The router's REST interface, asked from inside its namespace if it has one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use skerry_bus::api::{OperationState, OperationView};

use crate::lab::Lab;
use crate::wait;

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A client of one router. When the router listens on the loopback interface of a namespace, each question is asked by a
/// thread that enters it.
#[derive(Clone)]
pub struct Rest {
    lab: Lab,
    netns: Option<String>,
    base: String,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its content type.
    pub content_type: String,
    /// Where to look next.
    pub location: Option<String>,
    /// The body; null when it is not JSON.
    pub body: Value,
}

impl Rest {
    /// A client for the router at `address` (`127.0.0.1:8080`) of `netns` (none: the namespace of this process).
    pub fn new(lab: &Lab, netns: Option<&str>, address: impl std::fmt::Display) -> Rest {
        Rest {
            lab: lab.clone(),
            netns: netns.map(str::to_owned),
            base: format!("http://{address}"),
        }
    }

    /// Any request, with a body of any bytes, and its answer, whatever it is.
    ///
    /// # Errors
    /// Not reachable.
    pub fn ask(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        let work = || {
            self.ask_here(method, path, body)
                .with_context(|| format!("{method} {path}"))
        };
        match &self.netns {
            Some(netns) => self.lab.within(netns, work)?,
            None => work(),
        }
    }

    fn ask_here(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_MAX))
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        let mut response = match body {
            Some(body) => agent.run(request.header("content-type", "application/json").body(body)?)?,
            None => agent.run(request.body(())?)?,
        };
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (content_type, location) = (header("content-type").unwrap_or_default(), header("location"));
        Ok(Answer {
            status: response.status().as_u16(),
            content_type,
            location,
            body: response.body_mut().read_json().unwrap_or(Value::Null),
        })
    }

    fn ask_json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let body = body.map(Value::to_string);
        let answer = self.ask(method, path, body.as_deref().map(str::as_bytes))?;
        Ok((answer.status, answer.body))
    }

    /// `GET`, read as `T`.
    ///
    /// # Errors
    /// Not reachable, another status than 200, or another shape than `T`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        match self.ask_json("GET", path, None)? {
            (200, body) => serde_json::from_value(body).with_context(|| format!("GET {path}")),
            (status, body) => bail!("GET {path}: {status} {body}"),
        }
    }

    /// A write, giving status and body as they are.
    ///
    /// # Errors
    /// Not reachable.
    pub fn write(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        self.ask_json(method, path, body)
    }

    /// A write that is to succeed; waits for the operation it starts and gives how that ended.
    ///
    /// # Errors
    /// It was refused, or its operation failed or did not end.
    pub fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Result<OperationView> {
        let (status, answer) = self.ask_json(method, path, body)?;
        if status != 202 {
            bail!("{method} {path}: {status} {answer}");
        }
        let started: OperationView = serde_json::from_value(answer)?;
        let ended = self.operation(started.operation_id)?;
        if ended.state != OperationState::Done {
            bail!(
                "{method} {path}: operation {} ended {:?}: {}",
                ended.operation_id,
                ended.state,
                ended.error
            );
        }
        Ok(ended)
    }

    /// Waits for an operation to end.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn operation(&self, id: u64) -> Result<OperationView> {
        wait::until(&format!("operation {id} to end"), Duration::from_secs(60), || {
            let view: OperationView = self
                .get(&format!("/v2/operations/{id}"))
                .map_err(|error| format!("{error:#}"))?;
            if view.state.is_terminal() {
                Ok(view)
            } else {
                Err(format!("{view:?}"))
            }
        })
    }
}

//! The router's REST interface, asked from inside its namespace.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use skerry_bus::api::{OperationState, OperationView};

use crate::lab::Lab;
use crate::wait;

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A client of one router. The router listens on the loopback interface of a namespace, so each question is asked by a
/// thread that enters it.
#[derive(Clone)]
pub struct Rest {
    lab: Lab,
    netns: String,
    base: String,
}

impl Rest {
    /// A client for the router at `address` (`127.0.0.1:8080`) of `netns`.
    pub fn new(lab: &Lab, netns: &str, address: &str) -> Rest {
        Rest { lab: lab.clone(), netns: netns.to_owned(), base: format!("http://{address}") }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.base);
        self.lab.within(&self.netns, || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(ANSWER_MAX))
                .build()
                .into();
            let mut response = match (method, body) {
                ("GET", _) => agent.get(&url).call(),
                ("DELETE", _) => agent.delete(&url).call(),
                ("PUT", Some(body)) => agent.put(&url).send_json(body),
                ("POST", Some(body)) => agent.post(&url).send_json(body),
                ("POST", None) => agent.post(&url).send_empty(),
                _ => bail!("{method} {path}: not asked like this"),
            }
            .with_context(|| format!("{method} {path}"))?;
            let status = response.status().as_u16();
            let body = response.body_mut().read_json().unwrap_or(Value::Null);
            Ok((status, body))
        })?
    }

    /// `GET`, read as `T`.
    ///
    /// # Errors
    /// Not reachable, another status than 200, or another shape than `T`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        match self.ask("GET", path, None)? {
            (200, body) => serde_json::from_value(body).with_context(|| format!("GET {path}")),
            (status, body) => bail!("GET {path}: {status} {body}"),
        }
    }

    /// A write, giving status and body as they are.
    ///
    /// # Errors
    /// Not reachable.
    pub fn write(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        self.ask(method, path, body)
    }

    /// A write that is to succeed; waits for the operation it starts and gives how that ended.
    ///
    /// # Errors
    /// It was refused, or its operation failed or did not end.
    pub fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Result<OperationView> {
        let (status, answer) = self.ask(method, path, body)?;
        if status != 202 {
            bail!("{method} {path}: {status} {answer}");
        }
        let started: OperationView = serde_json::from_value(answer)?;
        let ended = self.operation(started.operation_id)?;
        if ended.state != OperationState::Done {
            bail!("{method} {path}: operation {} ended {:?}: {}", ended.operation_id, ended.state, ended.error);
        }
        Ok(ended)
    }

    /// Waits for an operation to end.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn operation(&self, id: u64) -> Result<OperationView> {
        wait::until(&format!("operation {id} to end"), Duration::from_secs(60), || {
            let view: OperationView =
                self.get(&format!("/v2/operations/{id}")).map_err(|error| format!("{error:#}"))?;
            if view.state.is_terminal() { Ok(view) } else { Err(format!("{view:?}")) }
        })
    }
}

//! Questions of the northbound interface that a switch has to be asked for: what would be done to make it what it shall be.
//!
//! They go the way of every service's command, through [`skerry_router_core::routing`], which answers each once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skerry_bus::reply::Cause;
use skerry_bus::{Command, CommandBody, CorrelationId, Outcome, Reply, ReplyBody, SwitchId};
use skerry_router_core::routing;

use super::Router;
use super::api::{ApiRequest, ApiResponse};
use super::io::Output;

/// How long a switch may take to tell what it holds. A client waits longer than this.
const DEADLINE: Duration = Duration::from_secs(20);

/// Open questions: the name of each command, and who asked. Routing ends every one of them, and takes no more than its own limit.
#[derive(Debug, Default)]
pub(super) struct Plans {
    open: BTreeMap<CorrelationId, u64>,
}

impl Router {
    /// Ask a switch's region for its plan.
    pub(super) fn ask_plan(&mut self, now: Instant, token: u64, switch: SwitchId) {
        if !self.presence.switches().contains_key(&switch) {
            let response = Box::new(self.ask(now, ApiRequest::Switch(switch)));
            self.outputs.push_back(Output::Answer { token, response });
            return;
        }
        self.command_number += 1;
        let name = format!("plan-{}-{}", self.config.owner_epoch, self.command_number);
        let id: CorrelationId = name.parse().expect("letters, digits and hyphens");
        self.plans.open.insert(id.clone(), token);
        let command = Command {
            correlation_id: id,
            requester: "router".to_owned(),
            deadline_ms: self.now_ms(now) + DEADLINE.as_millis() as u64,
            owner_epoch: None,
            region: None,
            epoch: None,
            body: CommandBody::Plan { switch, wanted: None },
        };
        self.routing
            .handle_input(now, routing::Input::Command(Box::new(command)));
    }

    /// Whether an answer is for the northbound interface; then it is given.
    pub(super) fn answer_plan(&mut self, reply: &Reply) -> bool {
        let Some(token) = self.plans.open.remove(&reply.correlation_id) else {
            return false;
        };
        let response = Box::new(response(&reply.body));
        self.outputs.push_back(Output::Answer { token, response });
        true
    }
}

fn response(body: &ReplyBody) -> ApiResponse {
    let (result, plan) = match body {
        ReplyBody::SwitchResult { result, plan, .. } => (result, plan),
        ReplyBody::Done { .. } => return ApiResponse::unavailable("the switch was not asked"),
    };
    let why = match &result.cause {
        Some(cause) => cause.to_string(),
        None => "the switch was read, and no plan came".to_owned(),
    };
    match (plan, result.outcome, &result.cause) {
        (Some(plan), Outcome::Applied, _) => ApiResponse::ok(plan),
        // What is wanted cannot stand there: asking again does not help.
        (_, Outcome::Rejected, Some(Cause::Foreign { .. } | Cause::Malformed { .. })) => ApiResponse::conflict(&why),
        _ => ApiResponse::unavailable(&why),
    }
}

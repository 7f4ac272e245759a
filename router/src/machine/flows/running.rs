//! Operations under way: what they become when they end, and how they are stored.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use skerry_bus::FlowId;
use skerry_bus::api::{OperationState, OperationView};
use skerry_bus::service::FlowStatus;
use skerry_monitor::Limits;
use skerry_router_core::operation::{self, Operation, Progress, StagePlan};

use super::book::{Entry, Place};
use super::{Flows, Output, owner, state_of};
use crate::store::Write;

/// What an operation does to its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The flow is new.
    Create,
    /// Endpoints, limits or bandwidth change.
    Update,
    /// Another path.
    Reroute,
    /// A mirror point is added, changed or removed.
    Mirror,
    /// A join point is added, changed or removed.
    Join,
    /// The rules are put in place again.
    Sync,
    /// The flow goes.
    Delete,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Create => "create",
            Kind::Update => "update",
            Kind::Reroute => "reroute",
            Kind::Mirror => "mirror",
            Kind::Join => "join",
            Kind::Sync => "sync",
            Kind::Delete => "delete",
        }
    }
}

/// What the flow is when the operation ended well; nothing: it is gone.
pub(super) type After = Option<Place>;

/// An operation under way.
#[derive(Debug)]
pub(super) struct Running {
    pub id: u64,
    pub kind: Kind,
    pub flow: FlowId,
    pub after: After,
    pub plan: StagePlan,
    pub progress: Progress,
    pub machine: Operation,
}

/// What is stored of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredOperation {
    pub id: u64,
    pub kind: Kind,
    pub flow: FlowId,
    pub after: After,
    pub plan: StagePlan,
    pub progress: Progress,
}

impl Running {
    pub fn view(&self) -> OperationView {
        OperationView {
            operation_id: self.id,
            kind: self.kind.as_str().to_owned(),
            flow_id: self.flow.clone(),
            state: self.progress.state,
            step: self.progress.step.clone(),
            error: self.progress.error.clone(),
        }
    }

    fn stored(&self) -> Write {
        let stored = StoredOperation {
            id: self.id,
            kind: self.kind,
            flow: self.flow.clone(),
            after: self.after.clone(),
            plan: self.plan.clone(),
            progress: self.progress.clone(),
        };
        let body = serde_json::to_string(&stored).expect("an operation is strings and numbers");
        Write::Put {
            kind: "operation",
            id: self.id.to_string(),
            body,
        }
    }
}

impl Flows {
    /// Start an operation. The entry exists.
    pub(super) fn start(&mut self, now: Instant, kind: Kind, flow: &FlowId, after: After, plan: StagePlan) -> u64 {
        let id = self.next_operation;
        self.next_operation += 1;
        let config = operation::Config {
            stage: self.config.stage,
            rollback: self.config.stage,
        };
        let machine = Operation::new(config, plan.clone(), now);
        let progress = Progress {
            state: OperationState::Running,
            stage: 0,
            back: 0,
            step: plan.stages.first().map(|s| s.name.clone()).unwrap_or_default(),
            error: String::new(),
        };
        let running = Running {
            id,
            kind,
            flow: flow.clone(),
            after,
            plan,
            progress,
            machine,
        };
        self.outputs.push_back(Output::Store(running.stored()));
        self.outputs.push_back(Output::Store(Write::Put {
            kind: "meta",
            id: "next_operation".into(),
            body: self.next_operation.to_string(),
        }));
        if let Some(entry) = self.entries.get_mut(flow) {
            entry.operation = Some(id);
        }
        self.running.insert(id, running);
        self.store_entry(flow);
        self.advance(now, id);
        id
    }

    /// Go on with an operation of before a restart.
    pub(super) fn resume(&mut self, now: Instant, stored: StoredOperation) {
        let StoredOperation {
            id,
            kind,
            flow,
            after,
            plan,
            progress,
        } = stored;
        let config = operation::Config {
            stage: self.config.stage,
            rollback: self.config.stage,
        };
        let machine = Operation::restore(config, plan.clone(), &progress, now);
        if let Some(place) = &after {
            self.pools.hold(&place.placed.ids);
        }
        if let Some(entry) = self.entries.get_mut(&flow) {
            entry.operation = Some(id);
        }
        self.running.insert(
            id,
            Running {
                id,
                kind,
                flow,
                after,
                plan,
                progress,
                machine,
            },
        );
        self.advance(now, id);
    }

    pub(super) fn store_entry(&mut self, flow: &FlowId) {
        if let Some(entry) = self.entries.get(flow) {
            let body = serde_json::to_string(entry).expect("a flow is strings and numbers");
            self.outputs.push_back(Output::Store(Write::Put {
                kind: "flow",
                id: flow.to_string(),
                body,
            }));
        }
    }

    /// Carry out what the operation's machine wants.
    pub(super) fn advance(&mut self, now: Instant, id: u64) {
        loop {
            let Some(running) = self.running.get_mut(&id) else {
                return;
            };
            match running.machine.poll_output() {
                Some(operation::Output::SetOwner { switch, objects }) => {
                    let owner = owner(&running.flow);
                    self.outputs.push_back(Output::SetOwner { switch, owner, objects });
                }
                Some(operation::Output::Progress(progress)) => {
                    running.progress = progress;
                    let write = running.stored();
                    self.outputs.push_back(Output::Store(write));
                }
                Some(operation::Output::Done(result)) => {
                    let running = self.running.remove(&id).expect("found above");
                    self.finish(now, running, result);
                    return;
                }
                None => return,
            }
        }
    }

    fn finish(&mut self, now: Instant, running: Running, result: Result<(), String>) {
        let mut view = running.view();
        view.state = state_of(&result);
        view.error = result.as_ref().err().cloned().unwrap_or_default();
        view.step = "ended".to_owned();
        let Running {
            id, kind, flow, after, ..
        } = running;
        self.outputs.push_back(Output::Store(Write::Delete {
            kind: "operation",
            id: id.to_string(),
        }));
        self.end(view);
        let reason = match &result {
            Ok(()) => format!("{} done", kind.as_str()),
            Err(cause) => format!("{} failed: {cause}", kind.as_str()),
        };
        self.fact(result.is_err(), format!("flow {flow}: {reason}"));

        let Some(entry) = self.entries.get_mut(&flow) else {
            return;
        };
        entry.operation = None;
        let before = entry.standing.then(|| entry.place.clone());
        // Who keeps its numbers, who gives them back.
        let (kept, gone) = if result.is_ok() {
            (after, before)
        } else {
            (before, after)
        };
        if let Some(gone) = gone {
            self.pools
                .release(&gone.placed.ids, kept.as_ref().map(|p| &p.placed.ids));
        }
        match kept {
            None => {
                // Deleted, or never came to be.
                self.entries.remove(&flow);
                self.outputs.push_back(Output::Store(Write::Delete {
                    kind: "flow",
                    id: flow.to_string(),
                }));
                self.outputs.push_back(Output::Unwatch { flow: flow.clone() });
                let status = FlowStatus::Down;
                self.outputs.push_back(Output::Changed {
                    flow,
                    status,
                    path: Vec::new(),
                    reason,
                });
            }
            Some(place) => {
                if result.is_ok() {
                    if entry.place.placed.flow != place.placed.flow {
                        entry.revision += 1;
                    }
                    entry.status = if place.backup {
                        FlowStatus::Degraded
                    } else {
                        FlowStatus::Up
                    };
                    entry.status_info = if place.backup {
                        "its path is above max_latency, and there was no better one".to_owned()
                    } else {
                        String::new()
                    };
                    entry.place = place;
                    entry.standing = true;
                } else {
                    entry.status_info = reason.clone();
                }
                let (status, path) = (entry.status, entry.ports());
                self.watch(&flow, None);
                self.store_entry(&flow);
                self.outputs.push_back(Output::Changed {
                    flow,
                    status,
                    path,
                    reason,
                });
            }
        }
        let _ = now;
    }

    /// Tell the monitor of a flow as it lies now.
    pub(super) fn watch(&mut self, flow: &FlowId, restored: Option<skerry_monitor::SlaRecord>) {
        let Some(Entry {
            place, standing: true, ..
        }) = self.entries.get(flow)
        else {
            return;
        };
        let (wanted, route) = (&place.placed.flow, &place.placed.route);
        let limits = Limits {
            tier_1_ns: wanted.max_latency_ns.unwrap_or(0),
            tier_2_ns: wanted.max_latency_tier_2_ns.unwrap_or(0),
        };
        let (flow, strategy, links) = (wanted.id.clone(), wanted.strategy, route.links().collect());
        self.outputs.push_back(Output::Watch {
            flow,
            limits,
            strategy,
            links,
            restored,
        });
    }
}

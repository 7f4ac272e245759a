//! The customers' flows: what is wanted, what stands, and the operations in between.
//!
//! It joins `network` (what a flow means on switches) with operations of `router-core` (how a change is carried out).
//! A flow has at most one operation at a time: a client's second wish is told to wait, a wish of our own
//! (a link went down, the SLA asks) is remembered and done next.
//!
//! ```text
//!          put            operation done                put, mirror, join, reroute, sync
//!  (none) -----> creating ---------------> standing <-----------------------------------> changing
//!                   | failed: undone          | delete
//!                   v                         v
//!                (none) <----------------- deleting
//! ```

mod asked;
mod book;
mod restored;
mod running;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::api::{OperationState, OperationView, PathStrategy};
use skerry_bus::objects::Objects;
use skerry_bus::reply::Cause;
use skerry_bus::service::{ActionKind, FlowStatus, LinkStatus};
use skerry_bus::{FlowId, Generation, LinkId, ObjectResults, PortNo, PortRef, SwitchId};
use skerry_monitor::{Limits, SlaRecord};
use skerry_network::resources::Pools;
use skerry_router_core::operation;

use crate::store::Write;
use book::Entry;
use running::Running;

/// Operations under way at a time, over all flows. One more is told to wait: the switches are the limit, not we.
pub const RUNNING_MAX: usize = 256;
/// Ended operations that can still be asked for; the oldest is forgotten first.
pub const ENDED_MAX: usize = 4_096;
/// Flows there may be. Transit VLANs end at 4,093 paths long before; this bounds one-switch flows.
pub const FLOWS_MAX: usize = 100_000;

/// What is set from outside.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How long the switches may take for one stage.
    pub stage: Duration,
    /// Least drain.
    pub drain_min: Duration,
}

/// A link as flows see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSight {
    /// The link.
    pub link: LinkId,
    /// Whether it carries packets.
    pub up: bool,
    /// Its round trip, if it is known: the same figure that the monitor judges by.
    pub latency_ns: Option<u64>,
}

/// The network as flows see it.
#[derive(Debug, Clone, Default)]
pub struct NetworkView {
    /// All links.
    pub links: Vec<LinkSight>,
    /// Ports of all switches that are known.
    pub ports: BTreeMap<SwitchId, BTreeSet<PortNo>>,
    /// Switches that are remembered, and of which no region has told since this start.
    pub unheard: BTreeSet<SwitchId>,
    /// Switches that can be commanded now.
    pub reachable: BTreeSet<SwitchId>,
}

/// What flows want done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A flow's objects on a switch become these.
    SetOwner {
        /// The switch.
        switch: SwitchId,
        /// `flow:<id>`.
        owner: String,
        /// The objects.
        objects: Objects,
    },
    /// Keep or forget this.
    Store(Write),
    /// A flow changed.
    Changed {
        /// The flow.
        flow: FlowId,
        /// Now.
        status: FlowStatus,
        /// Ports along its path.
        path: Vec<PortRef>,
        /// Why.
        reason: String,
    },
    /// Watch the flow's latency, on this path.
    Watch {
        /// The flow.
        flow: FlowId,
        /// Its limits.
        limits: Limits,
        /// Its strategy.
        strategy: PathStrategy,
        /// Links of its path.
        links: Vec<LinkId>,
        /// What was kept of its SLA state, after a restart.
        restored: Option<SlaRecord>,
    },
    /// No longer watch it.
    Unwatch {
        /// The flow.
        flow: FlowId,
    },
    /// For the log.
    Fact {
        /// Whether it is a warning.
        warn: bool,
        /// What.
        text: String,
    },
}

/// All flows.
#[derive(Debug)]
pub struct Flows {
    config: Config,
    entries: BTreeMap<FlowId, Entry>,
    pools: Pools,
    running: BTreeMap<u64, Running>,
    ended: VecDeque<OperationView>,
    next_operation: u64,
    /// What is to be done when a flow's operation has ended; at most one wish a flow.
    waiting: BTreeMap<FlowId, (ActionKind, String)>,
    outputs: VecDeque<Output>,
}

/// The owner name of a flow's objects.
fn owner(flow: &FlowId) -> String {
    format!("flow:{flow}")
}

/// The flow of an owner name.
fn flow_of(owner: &str) -> Option<FlowId> {
    owner.strip_prefix("flow:")?.parse().ok()
}

impl Flows {
    /// No flows yet.
    pub fn new(config: Config) -> Self {
        Flows {
            config,
            entries: BTreeMap::new(),
            pools: Pools::new(),
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            next_operation: 1,
            waiting: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<u64> = self
            .running
            .iter()
            .filter(|(_, r)| r.machine.poll_timeout().is_some_and(|(at, _)| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if let Some(running) = self.running.get_mut(&id) {
                running.machine.handle_timeout(now);
            }
            self.advance(now, id);
        }
    }

    /// When [`Flows::handle_timeout`] is to be called next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.running.values().filter_map(|r| r.machine.poll_timeout()).min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Flows by status, and operations under way.
    pub fn counts(&self) -> (BTreeMap<String, u32>, u32) {
        let mut by_status: BTreeMap<String, u32> = BTreeMap::new();
        for entry in self.entries.values() {
            let name = serde_json::to_value(entry.status)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned));
            *by_status.entry(name.unwrap_or_default()).or_default() += 1;
        }
        (by_status, self.running.len() as u32)
    }

    // ---- what happens to operations ----------------------------------------------------------------------------

    fn feed(&mut self, now: Instant, id: u64, input: operation::Input) {
        if let Some(running) = self.running.get_mut(&id) {
            running.machine.handle_input(now, input);
        }
        self.advance(now, id);
    }

    fn running_of(&self, flow: &FlowId) -> Option<u64> {
        self.entries.get(flow)?.operation
    }

    /// The tables took a flow's objects over.
    pub fn owner_set(&mut self, now: Instant, switch: SwitchId, owner: &str, generation: Generation) {
        if let Some(id) = flow_of(owner).and_then(|f| self.running_of(&f)) {
            self.feed(now, id, operation::Input::OwnerSet { switch, generation });
        }
    }

    /// The tables refused them.
    pub fn owner_refused(&mut self, now: Instant, switch: SwitchId, owner: &str, reason: &str) {
        if let Some(id) = flow_of(owner).and_then(|f| self.running_of(&f)) {
            self.feed(
                now,
                id,
                operation::Input::OwnerRefused {
                    switch,
                    reason: reason.to_owned(),
                },
            );
        }
    }

    /// A switch has a generation.
    pub fn applied(&mut self, now: Instant, switch: SwitchId, generation: Generation) {
        for id in self.running.keys().copied().collect::<Vec<_>>() {
            self.feed(now, id, operation::Input::Applied { switch, generation });
        }
    }

    /// A switch does not have it.
    pub fn apply_failed(
        &mut self,
        now: Instant,
        switch: SwitchId,
        generation: Generation,
        cause: &Cause,
        objects: Option<&ObjectResults>,
        withdrawn: &[String],
    ) {
        for id in self.running.keys().copied().collect::<Vec<_>>() {
            let ours = self
                .running
                .get(&id)
                .is_some_and(|r| withdrawn.contains(&owner(&r.flow)));
            let input = operation::Input::ApplyFailed {
                switch,
                generation,
                cause: cause.clone(),
                objects: objects.cloned(),
                withdrawn: ours,
            };
            self.feed(now, id, input);
        }
    }

    // ---- what happens to the network ---------------------------------------------------------------------------

    /// A link changed: flows on one that is down go another way, flows that are down may come up.
    pub fn link_changed(&mut self, now: Instant, network: &NetworkView, link: LinkId, to: LinkStatus) {
        let concerned: Vec<FlowId> = self
            .entries
            .values()
            .filter(|e| match to {
                LinkStatus::Up => matches!(e.status, FlowStatus::Down | FlowStatus::Degraded),
                LinkStatus::Down | LinkStatus::Moved => e.place.placed.route.crosses(link),
            })
            .map(|e| e.id().clone())
            .collect();
        for flow in concerned {
            let reason = format!("link {link} is {}", if to == LinkStatus::Up { "up" } else { "down" });
            self.asked(now, network, &flow, ActionKind::Reroute, &reason);
        }
    }

    /// The monitor, or a link, asks for a reroute or a sync.
    pub fn asked(&mut self, now: Instant, network: &NetworkView, flow: &FlowId, action: ActionKind, reason: &str) {
        let Some(entry) = self.entries.get(flow) else { return };
        if entry.operation.is_some() {
            // Done when the operation has ended. A reroute includes what a sync does.
            if self
                .waiting
                .get(flow)
                .is_none_or(|(waiting, _)| *waiting == ActionKind::Sync)
            {
                self.waiting.insert(flow.clone(), (action, reason.to_owned()));
            }
            return;
        }
        let refused = match action {
            ActionKind::Reroute => self.reroute(now, network, flow, reason).err(),
            ActionKind::Sync => self.sync(now, network, flow, reason).err(),
        };
        if let Some(cause) = refused {
            self.fact(true, format!("flow {flow}: {action:?} because {reason}: {cause}"));
        }
    }

    /// Flows whose operation has ended while something waited for that.
    pub fn ready(&self) -> Vec<FlowId> {
        let ended = |flow: &&FlowId| self.entries.get(*flow).is_none_or(|e| e.operation.is_none());
        self.waiting.keys().filter(ended).cloned().collect()
    }

    /// Do what was waiting for these flows.
    pub fn do_waiting(&mut self, now: Instant, network: &NetworkView, ready: Vec<FlowId>) {
        for flow in ready {
            if let Some((action, reason)) = self.waiting.remove(&flow) {
                self.asked(now, network, &flow, action, &reason);
            }
        }
    }

    fn fact(&mut self, warn: bool, text: String) {
        self.outputs.push_back(Output::Fact { warn, text });
    }

    fn end(&mut self, view: OperationView) {
        debug_assert!(view.state.is_terminal());
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(view);
    }

    fn operation_view(&self, id: u64) -> Option<OperationView> {
        match self.running.get(&id) {
            Some(running) => Some(running.view()),
            None => self.ended.iter().find(|v| v.operation_id == id).cloned(),
        }
    }
}

/// How an operation ended, for its flow.
pub(super) fn state_of(result: &Result<(), String>) -> OperationState {
    if result.is_ok() {
        OperationState::Done
    } else {
        OperationState::Failed
    }
}

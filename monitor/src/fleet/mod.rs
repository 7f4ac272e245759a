//! All flows: one machine over the tables of links and flows, with an SLA core per flow.
//!
//! A measurement of a link changes the sums of the flows that pass it and judges them; a deadline (a figure
//! expires, a window ends, a request is due again) wakes one link or one flow. Nothing ever looks at all flows.
//!
//! What it decides beyond [`crate::sla`]:
//!
//! * **A new path** (a reroute was done) keeps the SLA state and the wait for the next request. The latency is that of the new path at once,
//!   the figure of the flow's own probe is dropped, and a window that was running begins anew, because what held on the
//!   old path says nothing of the new one. So a failed flow is healthy one window after a path that is fast enough, and
//!   its sync is asked then.
//! * **New limits** judge the latency anew. Without a first limit the flow becomes `not_monitored` and its state is forgotten.
//! * **A restored flow** keeps its state until its figures had time to come in, which is the expiry of a link's figure; nothing is
//!   asked and no window runs until then.
//!
//! Outputs wait in a queue that is as long as the flows that one input concerns; the driver drains it after each.

mod contract;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use contract::{Config, FLOWS_MAX, FlowFigure, Ignored, Input, LINKS_MAX, LinkFigure, Output, PATH_LINKS_MAX};
use skerry_bus::api::PathStrategy;
use skerry_bus::{FlowId, LatencySource, LinkId};

use crate::flows::{Flow, Flows, Own, Path, Sla, latency};
use crate::limits::{Grade, Limits, Threshold};
use crate::links::{Figure, LINK_LATENCY_MAX_NS, Link, Links};
use crate::reason::{self, Basis};
use crate::sla::{Core, NEVER, Rules, SlaRecord, SlaState, Step};
use crate::timers::{Owner, Timers};

/// All flows.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    link_expiry: u64,
    probe_expiry: u64,
    origin: Instant,
    links: Links,
    flows: Flows,
    timers: Timers,
    ignored: Ignored,
    outputs: VecDeque<Output>,
}

/// What the start counts as on the inner clock, so that measurements made before it have a time of their own.
const ORIGIN_NS: u64 = 86_400_000_000_000;

impl Fleet {
    /// A fleet that knows nothing yet.
    pub fn new(config: Config, now: Instant) -> Self {
        let ns = |d: Duration| d.as_nanos().min(u128::from(u64::MAX)) as u64;
        Fleet {
            config,
            link_expiry: ns(config.link_expiry),
            probe_expiry: ns(config.probe_expiry),
            origin: now,
            links: Links::default(),
            flows: Flows::default(),
            timers: Timers::default(),
            ignored: Ignored::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. What was due before it is done first.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.handle_timeout(now);
        let now = self.ns(now);
        match input {
            Input::LinkLatency {
                link,
                latency_ns,
                source,
                samples,
                measured,
            } => {
                let at = self.ns(measured).min(now);
                let figure = Figure { ns: latency_ns, at };
                self.link_measured(link, figure, source, samples, now);
            }
            Input::FlowLatency {
                flow,
                latency_ns,
                measured,
            } => {
                let at = self.ns(measured).min(now);
                self.flow_measured(&flow, Figure { ns: latency_ns, at }, now);
            }
            Input::FlowSet {
                flow,
                limits,
                strategy,
                path,
                restored,
            } => self.flow_set(&flow, limits, strategy, &path, restored, now),
            Input::FlowRemoved { flow } => self.flow_removed(&flow),
            Input::LinkRemoved { link } => self.link_removed(link, now),
        }
    }

    /// Does what is due, each at its own time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let end = self.ns(now);
        while let Some((at, owner)) = self.timers.take_due(end) {
            match owner {
                Owner::Link(index) => self.link_due(index, at),
                Owner::Flow(index) => self.flow_due(index, at),
            }
        }
    }

    /// When to call [`Fleet::handle_timeout`], and why. It may find that nothing is to be done yet.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let (at, owner) = self.timers.first()?;
        let why = match owner {
            Owner::Link(_) => "a link's figure expires",
            Owner::Flow(_) => "a flow's window, request or figure is due",
        };
        Some((self.instant(at), why))
    }

    /// The next thing to say.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A flow's latency at `now`; none: it is not watched.
    pub fn latency_of(&self, flow: &FlowId, now: Instant) -> Option<FlowFigure> {
        let (sla, flow) = self.flows.get(self.flows.find(flow)?)?;
        Some(self.flow_figure(sla, flow, self.ns(now)))
    }

    /// A link's latency at `now`; none: it is not known here.
    pub fn latency_of_link(&self, link: LinkId, now: Instant) -> Option<LinkFigure> {
        let link = self.links.get(self.links.find(link)?)?;
        Some(link_figure(link, self.ns(now)))
    }

    /// All flows with their latency, in a fixed order.
    pub fn flow_figures(&self, now: Instant) -> impl Iterator<Item = (FlowId, FlowFigure)> {
        let now = self.ns(now);
        let flows = self.flows.iter();
        flows.map(move |(sla, flow)| (flow.id(), self.flow_figure(sla, flow, now)))
    }

    /// All links with their latency, in a fixed order.
    pub fn link_figures(&self, now: Instant) -> impl Iterator<Item = (LinkId, LinkFigure)> {
        let now = self.ns(now);
        self.links.iter().map(move |link| (link.id, link_figure(link, now)))
    }

    /// What to keep of a flow's SLA state, so that it survives a restart; none: it is not watched.
    pub fn record_of(&self, flow: &FlowId, now: Instant) -> Option<SlaRecord> {
        let (sla, _) = self.flows.get(self.flows.find(flow)?)?;
        sla.limits.is_monitored().then(|| sla.core.record(self.ns(now)))
    }

    /// Flows that are watched, and links that are known.
    pub fn sizes(&self) -> (usize, usize) {
        (self.flows.len(), self.links.len())
    }

    /// Measurements that were not used.
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    fn link_measured(&mut self, id: LinkId, figure: Figure, source: LatencySource, samples: u32, now: u64) {
        if figure.ns > LINK_LATENCY_MAX_NS {
            self.ignored.too_large += 1;
            return;
        }
        if figure.at.saturating_add(self.link_expiry) <= now {
            self.ignored.stale += 1;
            return;
        }
        if source == LatencySource::FlowProbe {
            self.ignored.wrong_source += 1;
            return;
        }
        if self.links.find(id).is_none() && self.links.len() >= LINKS_MAX {
            self.ignored.too_many_links += 1;
            return;
        }
        let index = self.links.intern(id);
        let Some(link) = self.links.get_mut(index) else { return };
        let place = match source {
            LatencySource::OneWay => &mut link.one_way,
            LatencySource::RoundTrip | LatencySource::FlowProbe => &mut link.round_trip,
        };
        if place.is_some_and(|known| known.at > figure.at) {
            self.ignored.stale += 1;
            return;
        }
        *place = Some(figure);
        link.samples = link.samples.saturating_add(u64::from(samples));
        self.link_changed(index, now);
    }

    fn flow_measured(&mut self, id: &FlowId, figure: Figure, now: u64) {
        let Some(index) = self.flows.find(id) else {
            self.ignored.unknown_flow += 1;
            return;
        };
        if figure.ns > LINK_LATENCY_MAX_NS {
            self.ignored.too_large += 1;
            return;
        }
        let Some((sla, flow)) = self.flows.get_mut(index) else {
            return;
        };
        let older = |known| matches!(known, Own::Probe(known) if known.at > figure.at);
        let expired = figure.at.saturating_add(self.probe_expiry) <= now;
        if expired || figure.at < flow.path_since || older(flow.own) {
            self.ignored.stale += 1;
            return;
        }
        end_grace(sla, flow, now);
        (flow.own, sla.own) = (Own::Probe(figure), true);
        self.judge(index, now);
    }

    fn flow_set(
        &mut self,
        id: &FlowId,
        limits: Limits,
        strategy: PathStrategy,
        path: &[LinkId],
        restored: Option<SlaRecord>,
        now: u64,
    ) {
        if let Some(reason) = self.refusal(id, path) {
            self.outputs.push_back(Output::Refused {
                flow: id.clone(),
                reason,
            });
            return;
        }
        let known = self.flows.find(id);
        let index = known.unwrap_or_else(|| self.flows.insert(id));
        let path: Vec<u32> = path.iter().map(|&link| self.links.intern(link)).collect();
        let Some((sla, flow)) = self.flows.get_mut(index) else {
            return;
        };
        let was_monitored = sla.limits.is_monitored();
        let shown = sla.core.shown();
        sla.limits = limits;
        sla.latency_based = strategy.is_latency_based();
        if known.is_none() {
            if let Some(record) = restored.filter(|_| limits.is_monitored()) {
                sla.core = Core::restore(&record, now);
                let until = now.saturating_add(self.link_expiry);
                (flow.own, sla.own) = (Own::Grace { until }, true);
            }
        } else if !limits.is_monitored() {
            end_grace(sla, flow, now);
            sla.core = Core::new();
        }
        if known.is_none() || flow.path.links() != path {
            self.path_set(index, path, now);
        }
        if known.is_some() && was_monitored != limits.is_monitored() {
            let (from, to) = if was_monitored {
                (shown, SlaState::NotMonitored)
            } else {
                (SlaState::NotMonitored, SlaState::Unknown)
            };
            let step = Step {
                from,
                to,
                action: None,
                asked: 0,
            };
            self.say(index, step, now);
        }
        self.judge(index, now);
    }

    /// Which limit of this machine forbids the flow.
    fn refusal(&self, id: &FlowId, path: &[LinkId]) -> Option<String> {
        if path.len() > PATH_LINKS_MAX {
            return Some(format!(
                "its path has {} links, at most {PATH_LINKS_MAX} are watched",
                path.len()
            ));
        }
        if self.flows.find(id).is_none() && self.flows.len() >= FLOWS_MAX {
            return Some(format!("{FLOWS_MAX} flows are watched already"));
        }
        let new = path.iter().filter(|&&link| self.links.find(link).is_none()).count();
        (self.links.len() + new > LINKS_MAX).then(|| format!("{LINKS_MAX} links are known already"))
    }

    fn path_set(&mut self, index: u32, path: Vec<u32>, now: u64) {
        // The new links first, so that a link on both paths is not forgotten in between.
        for &link in &path {
            if let Some(link) = self.links.get_mut(link) {
                link.flows.push(index);
            }
        }
        let Some((sla, flow)) = self.flows.get_mut(index) else {
            return;
        };
        sla.sum_anew(path.len() as u16);
        for &link in &path {
            sla.add(self.links.get(link).and_then(|link| link.added));
        }
        if let Own::Probe(_) = flow.own {
            (flow.own, sla.own) = (Own::Nothing, false);
        }
        flow.path_since = now;
        sla.core.restart_window(now);
        let old = std::mem::replace(&mut flow.path, Path::from(path));
        self.leave(index, old.links());
    }

    fn leave(&mut self, flow: u32, path: &[u32]) {
        for &index in path {
            let Some(link) = self.links.get_mut(index) else {
                continue;
            };
            if let Some(place) = link.flows.iter().position(|&of| of == flow) {
                link.flows.swap_remove(place);
            }
            self.forget_idle(index);
        }
    }

    fn forget_idle(&mut self, index: u32) {
        if let Some(link) = self.links.get_mut(index)
            && link.is_idle()
        {
            self.timers.disarm(Owner::Link(index), &mut link.armed);
            self.links.forget(index);
        }
    }

    fn flow_removed(&mut self, id: &FlowId) {
        let Some(index) = self.flows.find(id) else { return };
        if let Some(mut flow) = self.flows.remove(index) {
            self.timers.disarm(Owner::Flow(index), &mut flow.armed);
            self.leave(index, flow.path.links());
        }
    }

    fn link_removed(&mut self, id: LinkId, now: u64) {
        let Some(index) = self.links.find(id) else { return };
        if let Some(link) = self.links.get_mut(index) {
            link.round_trip = None;
            link.one_way = None;
        }
        self.link_changed(index, now);
    }

    fn link_due(&mut self, index: u32, at: u64) {
        let expiry = self.link_expiry;
        if let Some(link) = self.links.get_mut(index) {
            link.armed = NEVER;
            link.expire(at, expiry);
        }
        self.link_changed(index, at);
    }

    /// Carries a link's figures to the flows that pass it, and arms its deadline.
    fn link_changed(&mut self, index: u32, now: u64) {
        let Some(link) = self.links.get_mut(index) else { return };
        let deadline = link.deadline(self.link_expiry);
        self.timers.arm(Owner::Link(index), &mut link.armed, deadline);
        let value = link.value();
        let old = std::mem::replace(&mut link.added, value);
        if old != value {
            let passing = std::mem::take(&mut link.flows);
            // All sums first: a flow that passes the link twice is judged by its whole sum.
            for &flow in &passing {
                if let Some(sla) = self.flows.sla_mut(flow) {
                    sla.subtract(old);
                    sla.add(value);
                }
            }
            let threshold = self.config.threshold;
            for &flow in &passing {
                // Nearly all flows are healthy and stay so: only their line of the table is looked at.
                if self.flows.sla_mut(flow).is_some_and(|sla| !is_settled(sla, threshold)) {
                    self.judge(flow, now);
                }
            }
            if let Some(link) = self.links.get_mut(index) {
                link.flows = passing;
            }
        }
        self.forget_idle(index);
    }

    fn flow_due(&mut self, index: u32, at: u64) {
        let Some((_, flow)) = self.flows.get_mut(index) else {
            return;
        };
        flow.armed = NEVER;
        // Before a figure expires at the same moment: what held until now held for the whole window.
        self.do_due(index, at);
        let Some((sla, flow)) = self.flows.get_mut(index) else {
            return;
        };
        if flow.own_deadline(self.probe_expiry) <= at {
            (flow.own, sla.own) = (Own::Nothing, false);
        }
        self.judge(index, at);
    }

    /// Says what a flow's core has due. Nothing is while it has its grace.
    fn do_due(&mut self, index: u32, now: u64) {
        loop {
            let Some((sla, flow)) = self.flows.get_mut(index) else {
                return;
            };
            if !runs(sla, flow) {
                return;
            }
            let rules = Rules::new(self.config.window, sla.latency_based);
            let Some(step) = sla.core.due(now, rules) else { return };
            self.say(index, step, now);
        }
    }

    /// Tells a flow's core the grade of its latency, says what follows, and arms its deadline.
    fn judge(&mut self, index: u32, now: u64) {
        let threshold = self.config.threshold;
        let Some((sla, flow)) = self.flows.get_mut(index) else {
            return;
        };
        let rules = Rules::new(self.config.window, sla.latency_based);
        let latency = latency(sla, flow);
        if latency.is_some() {
            end_grace(sla, flow, now);
        }
        if runs(sla, flow) {
            let last = sla.core.last_stable();
            let seen: Option<Grade> = latency.map(|(ns, _)| sla.limits.grade(ns, threshold, last));
            if let Some(step) = sla.core.observe(seen, now, rules) {
                self.say(index, step, now);
            }
            // A window of no length has passed already, and a repetition may have waited for this.
            self.do_due(index, now);
        }
        let Some((sla, flow)) = self.flows.get_mut(index) else {
            return;
        };
        let core = match sla.core.deadline(rules) {
            Some((at, _)) if runs(sla, flow) => at,
            Some(_) | None => NEVER,
        };
        let deadline = core.min(flow.own_deadline(self.probe_expiry));
        self.timers.arm(Owner::Flow(index), &mut flow.armed, deadline);
    }

    fn say(&mut self, index: u32, step: Step, at: u64) {
        let at = self.instant(at);
        let Some((sla, flow)) = self.flows.get(index) else {
            return;
        };
        let id = flow.id();
        let latency = latency(sla, flow);
        let (valid, total) = sla.coverage();
        let basis = Basis {
            source: latency.map(|(_, source)| source),
            valid,
            total,
        };
        let latency_ns = latency.map(|(ns, _)| ns);
        let reason = reason::of(&step, latency_ns, sla.limits, self.config.window, Some(basis));
        if step.from != step.to {
            self.outputs.push_back(Output::SlaChanged {
                flow: id.clone(),
                from: step.from,
                to: step.to,
                latency_ns,
                coverage: (valid, total),
                reason: reason.clone(),
                at,
            });
        }
        if let Some(action) = step.action {
            self.outputs.push_back(Output::Request {
                flow: id,
                action,
                reason,
                at,
            });
        }
    }

    fn flow_figure(&self, sla: &Sla, flow: &Flow, now: u64) -> FlowFigure {
        let latency = latency(sla, flow);
        let measured = || match flow.own {
            Own::Probe(probe) => probe.at,
            Own::Nothing | Own::Grace { .. } => {
                let of = |&link: &u32| Some(self.links.get(link)?.figure()?.0.at);
                flow.path.links().iter().filter_map(of).min().unwrap_or(now)
            }
        };
        FlowFigure {
            latency_ns: latency.map(|(ns, _)| ns),
            source: latency.map(|(_, source)| source),
            age: latency.map(|_| Duration::from_nanos(now.saturating_sub(measured()))),
            coverage: sla.coverage(),
            state: if sla.limits.is_monitored() {
                sla.core.shown()
            } else {
                SlaState::NotMonitored
            },
        }
    }

    fn ns(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.origin) {
            Some(later) => ORIGIN_NS.saturating_add(later.as_nanos().min(u128::from(u64::MAX)) as u64),
            None => {
                let earlier = self.origin.duration_since(at).as_nanos();
                ORIGIN_NS.saturating_sub(earlier.min(u128::from(u64::MAX)) as u64)
            }
        }
    }

    fn instant(&self, ns: u64) -> Instant {
        // The inner clock never shows less than the start for something that is due, and a deadline beyond what an
        // `Instant` holds never comes; the start is then as good as any time to look again.
        self.origin
            .checked_add(Duration::from_nanos(ns.saturating_sub(ORIGIN_NS)))
            .unwrap_or(self.origin)
    }
}

fn link_figure(link: &Link, now: u64) -> LinkFigure {
    let figure = link.figure();
    LinkFigure {
        latency_ns: figure.map(|(figure, _)| figure.ns),
        source: figure.map(|(_, source)| source),
        age: figure.map(|(figure, _)| Duration::from_nanos(now.saturating_sub(figure.at))),
        samples: link.samples,
        flows: link.flows.len() as u32,
    }
}

/// Whether the core of a flow runs: it is monitored, and the time that it has after a restart is over.
fn runs(sla: &Sla, flow: &Flow) -> bool {
    sla.limits.is_monitored() && !matches!(flow.own, Own::Grace { .. })
}

/// The first figure after a restart, or limits that are gone: what is seen from now on counts.
fn end_grace(sla: &mut Sla, flow: &mut Flow, now: u64) {
    if let Own::Grace { .. } = flow.own {
        (flow.own, sla.own) = (Own::Nothing, false);
        sla.core.restart_window(now);
    }
}

/// Whether another sum changes nothing: the flow has nothing of its own, and is not monitored or healthy as before.
fn is_settled(sla: &Sla, threshold: Threshold) -> bool {
    if sla.own {
        return false;
    }
    if !sla.limits.is_monitored() {
        return true;
    }
    let grade = |(ns, _)| sla.limits.grade(ns, threshold, sla.core.last_stable());
    sla.sum().is_some_and(|sum| sla.core.is_settled_at(grade(sum)))
}

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

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use skerry_bus::api::PathStrategy;
use skerry_bus::service::ActionKind;
use skerry_bus::{FlowId, LatencySource, LinkId};

use crate::flows::Flows;
use crate::limits::{Grade, Limits, Threshold};
use crate::links::{Figure, LINK_LATENCY_MAX_NS, Links};
use crate::reason::{self, Basis};
use crate::sla::{Core, NEVER, Rules, SlaRecord, SlaState, Step};
use crate::timers::{Owner, Timers};

/// Flows that are watched. Twice the largest network this is built for; at 256 bytes each, half a gigabyte. A
/// flow beyond it is refused by [`Output::Refused`] and stays unwatched.
pub const FLOWS_MAX: usize = 2_000_000;

/// Links that are known. A flow over more is refused, a measurement of more is ignored and counted.
pub const LINKS_MAX: usize = 200_000;

/// Links on one path. Longer paths than this do not exist outside of mistakes; such a flow is refused.
pub const PATH_LINKS_MAX: usize = 1_000;

/// What holds for all flows.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How far beyond a limit a stable grade changes.
    pub threshold: Threshold,
    /// How long a grade must hold.
    pub window: Duration,
    /// Age at which a link's figure is not valid any more.
    pub link_expiry: Duration,
    /// Age at which the figure of a flow's own probe is not valid any more.
    pub probe_expiry: Duration,
}

impl Default for Config {
    /// 5 %, 30 s, 10 s and 10 s.
    fn default() -> Self {
        Config {
            threshold: Threshold::DEFAULT,
            window: Duration::from_secs(30),
            link_expiry: Duration::from_secs(10),
            probe_expiry: Duration::from_secs(10),
        }
    }
}

/// What the fleet is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A link was measured, from either end.
    LinkLatency {
        /// The link.
        link: LinkId,
        /// Round trip (a one-way figure comes doubled), nanoseconds.
        latency_ns: u64,
        /// Round trip or one way.
        source: LatencySource,
        /// Measurements behind the figure.
        samples: u32,
        /// When it was measured. Its age counts from then, not from now.
        measured: Instant,
    },
    /// A flow's own probe measured it.
    FlowLatency {
        /// The flow.
        flow: FlowId,
        /// Round trip, nanoseconds.
        latency_ns: u64,
        /// When it was measured.
        measured: Instant,
    },
    /// A flow as it is now: new, or changed, or on another path.
    FlowSet {
        /// The flow.
        flow: FlowId,
        /// Its limits.
        limits: Limits,
        /// Its strategy.
        strategy: PathStrategy,
        /// The links along its path; none for a flow on one switch.
        path: Vec<LinkId>,
        /// What was kept of its SLA state before a restart; looked at only if the flow is new here.
        restored: Option<SlaRecord>,
    },
    /// A flow is gone.
    FlowRemoved {
        /// The flow.
        flow: FlowId,
    },
    /// A link is down or gone: its figures are not valid any more, whatever their age.
    LinkRemoved {
        /// The link.
        link: LinkId,
    },
}

/// What the fleet says.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A flow's SLA state changed; its record should be stored.
    SlaChanged {
        /// The flow.
        flow: FlowId,
        /// Before.
        from: SlaState,
        /// Now.
        to: SlaState,
        /// Latency that decided, nanoseconds; none: no valid figure.
        latency_ns: Option<u64>,
        /// Links of its path with a valid figure, of all.
        coverage: (u32, u32),
        /// Why, with figures.
        reason: String,
        /// When.
        at: Instant,
    },
    /// Something is asked for a flow. When both concern the same change, this follows the change.
    Request {
        /// The flow.
        flow: FlowId,
        /// What is asked.
        action: ActionKind,
        /// Why, with figures.
        reason: String,
        /// When.
        at: Instant,
    },
    /// A flow is not watched, because a limit of this machine is reached. A flow that was watched before stays as it was.
    Refused {
        /// The flow.
        flow: FlowId,
        /// Which limit.
        reason: String,
    },
}

/// Measurements that were not used, by cause, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Older than its expiry, than the figure there is, or than the flow's path.
    pub stale: u64,
    /// Larger than a minute.
    pub too_large: u64,
    /// Of a flow that is not watched.
    pub unknown_flow: u64,
    /// Of a new link when [`LINKS_MAX`] were known.
    pub too_many_links: u64,
    /// A flow probe's figure for a link.
    pub wrong_source: u64,
}

/// Latency of a flow now, for views and time series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowFigure {
    /// Round trip, nanoseconds; none: not known.
    pub latency_ns: Option<u64>,
    /// Where it comes from: the own probe, or the worse of its links' sources.
    pub source: Option<LatencySource>,
    /// Age of the oldest measurement in it.
    pub age: Option<Duration>,
    /// Links of the path with a valid figure, of all.
    pub coverage: (u32, u32),
    /// SLA state.
    pub state: SlaState,
}

/// Latency of a link now, for views, time series and path computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFigure {
    /// Round trip, nanoseconds; none: not known.
    pub latency_ns: Option<u64>,
    /// Where it comes from.
    pub source: Option<LatencySource>,
    /// Its age.
    pub age: Option<Duration>,
    /// Measurements since the link is known here.
    pub samples: u64,
    /// Flows that pass it.
    pub flows: u32,
}

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
        let flow = self.flows.get(self.flows.find(flow)?)?;
        Some(self.flow_figure(flow, self.ns(now)))
    }

    /// A link's latency at `now`; none: it is not known here.
    pub fn latency_of_link(&self, link: LinkId, now: Instant) -> Option<LinkFigure> {
        let link = self.links.get(self.links.find(link)?)?;
        Some(link_figure(link, self.ns(now)))
    }

    /// All flows with their latency, in a fixed order.
    pub fn flow_figures(&self, now: Instant) -> impl Iterator<Item = (FlowId, FlowFigure)> {
        let now = self.ns(now);
        self.flows
            .iter()
            .map(move |flow| (flow.id(), self.flow_figure(flow, now)))
    }

    /// All links with their latency, in a fixed order.
    pub fn link_figures(&self, now: Instant) -> impl Iterator<Item = (LinkId, LinkFigure)> {
        let now = self.ns(now);
        self.links.iter().map(move |link| (link.id, link_figure(link, now)))
    }

    /// What to keep of a flow's SLA state, so that it survives a restart; none: it is not watched.
    pub fn record_of(&self, flow: &FlowId, now: Instant) -> Option<SlaRecord> {
        let flow = self.flows.get(self.flows.find(flow)?)?;
        flow.limits.is_monitored().then(|| flow.core.record(self.ns(now)))
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
        let Some(flow) = self.flows.get_mut(index) else { return };
        let stale = figure.at.saturating_add(self.probe_expiry) <= now
            || figure.at < flow.path_since
            || flow.probe.is_some_and(|known| known.at > figure.at);
        if stale {
            self.ignored.stale += 1;
            return;
        }
        flow.probe = Some(figure);
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
        let path: Box<[u32]> = path.iter().map(|&link| self.links.intern(link)).collect();
        let Some(flow) = self.flows.get_mut(index) else { return };
        let was_monitored = flow.limits.is_monitored();
        let shown = flow.core.shown();
        flow.limits = limits;
        flow.latency_based = strategy.is_latency_based();
        if known.is_none() {
            if let Some(record) = restored.filter(|_| limits.is_monitored()) {
                flow.core = Core::restore(&record, now);
                flow.grace = now.saturating_add(self.link_expiry);
            }
        } else if !limits.is_monitored() {
            flow.core = Core::new();
        }
        if known.is_none() || flow.path != path {
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

    fn path_set(&mut self, index: u32, path: Box<[u32]>, now: u64) {
        // The new links first, so that a link on both paths is not forgotten in between.
        for &link in &path {
            if let Some(link) = self.links.get_mut(link) {
                link.flows.push(index);
            }
        }
        let Some(flow) = self.flows.get_mut(index) else { return };
        flow.sum = crate::flows::Sum::default();
        for &link in &path {
            flow.sum.add(self.links.get(link).and_then(|link| link.added));
        }
        flow.probe = None;
        flow.path_since = now;
        flow.core.restart_window(now);
        let old = std::mem::replace(&mut flow.path, path);
        self.leave(index, &old);
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
            self.leave(index, &flow.path);
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
                if let Some(flow) = self.flows.get_mut(flow) {
                    flow.sum.subtract(old);
                    flow.sum.add(value);
                }
            }
            for &flow in &passing {
                self.judge(flow, now);
            }
            if let Some(link) = self.links.get_mut(index) {
                link.flows = passing;
            }
        }
        self.forget_idle(index);
    }

    fn flow_due(&mut self, index: u32, at: u64) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        flow.armed = NEVER;
        if flow.limits.is_monitored() && flow.grace == NEVER {
            // Before a figure expires at the same moment: what held until now held for the whole window.
            let rules = Rules::new(self.config.window, flow.latency_based);
            while let Some(step) = self.flows.get_mut(index).and_then(|flow| flow.core.due(at, rules)) {
                self.say(index, step, at);
            }
        }
        let Some(flow) = self.flows.get_mut(index) else { return };
        if flow
            .probe
            .is_some_and(|probe| probe.at.saturating_add(self.probe_expiry) <= at)
        {
            flow.probe = None;
        }
        if flow.grace <= at {
            flow.grace = NEVER;
        }
        self.judge(index, at);
    }

    /// Tells a flow's core the grade of its latency, says what follows, and arms its deadline.
    fn judge(&mut self, index: u32, now: u64) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let rules = Rules::new(self.config.window, flow.latency_based);
        let threshold = self.config.threshold;
        if flow.limits.is_monitored() {
            let latency = flow.latency();
            if flow.grace != NEVER && latency.is_some() {
                flow.grace = NEVER;
                flow.core.restart_window(now);
            }
            if flow.grace == NEVER {
                let seen: Option<Grade> =
                    latency.map(|(ns, _)| flow.limits.grade(ns, threshold, flow.core.last_stable()));
                if let Some(step) = flow.core.observe(seen, now, rules) {
                    self.say(index, step, now);
                }
                // A window of no length has passed already, and a repetition may have waited for this.
                while let Some(step) = self.flows.get_mut(index).and_then(|flow| flow.core.due(now, rules)) {
                    self.say(index, step, now);
                }
            }
        }
        let Some(flow) = self.flows.get_mut(index) else { return };
        let probe = flow
            .probe
            .map_or(NEVER, |probe| probe.at.saturating_add(self.probe_expiry));
        let core = match flow.core.deadline(rules) {
            Some((at, _)) if flow.limits.is_monitored() && flow.grace == NEVER => at,
            Some(_) | None => NEVER,
        };
        let deadline = probe.min(core).min(flow.grace);
        self.timers.arm(Owner::Flow(index), &mut flow.armed, deadline);
    }

    fn say(&mut self, index: u32, step: Step, at: u64) {
        let at = self.instant(at);
        let Some(flow) = self.flows.get(index) else { return };
        let id = flow.id();
        let latency = flow.latency();
        let (valid, total) = flow.coverage();
        let basis = Basis {
            source: latency.map(|(_, source)| source),
            valid,
            total,
        };
        let latency_ns = latency.map(|(ns, _)| ns);
        let reason = reason::of(&step, latency_ns, flow.limits, self.config.window, Some(basis));
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

    fn flow_figure(&self, flow: &crate::flows::Flow, now: u64) -> FlowFigure {
        let latency = flow.latency();
        let measured = || match flow.probe {
            Some(probe) => probe.at,
            None => {
                let of = |&link: &u32| Some(self.links.get(link)?.figure()?.0.at);
                flow.path.iter().filter_map(of).min().unwrap_or(now)
            }
        };
        FlowFigure {
            latency_ns: latency.map(|(ns, _)| ns),
            source: latency.map(|(_, source)| source),
            age: latency.map(|_| Duration::from_nanos(now.saturating_sub(measured()))),
            coverage: flow.coverage(),
            state: if flow.limits.is_monitored() {
                flow.core.shown()
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

fn link_figure(link: &crate::links::Link, now: u64) -> LinkFigure {
    let figure = link.figure();
    LinkFigure {
        latency_ns: figure.map(|(figure, _)| figure.ns),
        source: figure.map(|(_, source)| source),
        age: figure.map(|(figure, _)| Duration::from_nanos(now.saturating_sub(figure.at))),
        samples: link.samples,
        flows: link.flows.len() as u32,
    }
}

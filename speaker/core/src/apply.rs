//! What is being sent to one switch: the steps of a plan in order, and what became of each.
//!
//! ```text
//! steps   |<---- confirmed ---->|<- written, under way ->|<---- not written ---->|
//!              by barriers            in windows              stays so after an error
//! ```
//!
//! A stage goes out in windows, each with a barrier behind it. Some windows are under way at a time, so that the switch never
//! waits for us to hear of a barrier. A stage begins only when the one before is confirmed. Where the switch takes bundles,
//! the steps for rules and groups go as one, in the plan's order; meters never do, because no switch takes them there. A
//! bundle that the switch does not do leaves its steps as not written.
//!
//! It knows nothing of roles, deadlines of commands or what waits behind it: that is the lane's.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use ofproto::{Body, BundleControl, ErrorMsg};
use skerry_bus::{Cause, Fate, ObjectResult, ObjectResults};

use crate::bundle::{self, BUNDLE_MAX, Bundle};
use crate::convert;
use crate::defect::{self, Defect};
use crate::plan::{Plan, Step};
use crate::role::switch_error;
use crate::wire::Wire;

/// Messages in front of one barrier.
pub const WINDOW: usize = 256;
/// Windows written and not yet confirmed. With [`WINDOW`] it bounds what is lost with a connection and what an error can
/// belong to, and keeps a switch's receive buffer from filling up.
pub const WINDOWS_MAX: usize = 2;

/// Messages and the barrier behind them, under way.
#[derive(Debug)]
struct Window {
    /// Index of its first step; the others follow.
    first: usize,
    len: usize,
    /// Transaction id of its first message; the others follow.
    first_xid: u32,
    barrier: u32,
    until: Instant,
}

/// How it ended.
#[derive(Debug, PartialEq)]
pub(crate) struct End {
    /// Why not everything is done; none: all is confirmed.
    pub(crate) cause: Option<Cause>,
    /// Whether nothing was changed, for certain.
    pub(crate) unchanged: bool,
    /// Messages that were written, barriers not counted.
    pub(crate) messages: u32,
    /// What became of each object.
    pub(crate) objects: ObjectResults,
}

/// A plan on its way.
#[derive(Debug)]
pub(crate) struct Apply {
    steps: Vec<Step>,
    /// For each stage, the index behind its last step.
    borders: Vec<usize>,
    /// The steps that go in bundles, if any do.
    bundled: Range<usize>,
    confirmed: usize,
    written: usize,
    windows: VecDeque<Window>,
    bundle: Option<Bundle>,
    /// Number of the next bundle.
    bundle_id: u32,
    /// Why the switch did not take a bundle, to be told once.
    disliked: Option<String>,
    /// Something was written that may have changed the switch.
    touched: bool,
    /// The switch answered a barrier.
    heard: bool,
    messages: u32,
    /// The first thing that went wrong: nothing more is written.
    trouble: Option<Cause>,
    /// Steps that went wrong, and why.
    failed: BTreeMap<usize, Cause>,
    barrier_max: Duration,
}

impl Apply {
    pub(crate) fn new(plan: Plan, barrier_max: Duration) -> Self {
        let bundled = plan.bundled();
        let mut steps = Vec::with_capacity(plan.len());
        let mut borders = Vec::with_capacity(plan.stages.len());
        for stage in plan.stages {
            steps.extend(stage.steps.into_iter().map(|(step, _)| step));
            borders.push(steps.len());
        }
        Apply {
            steps,
            borders,
            bundled,
            confirmed: 0,
            written: 0,
            windows: VecDeque::new(),
            bundle: None,
            bundle_id: 0,
            disliked: None,
            touched: false,
            heard: false,
            messages: 0,
            trouble: None,
            failed: BTreeMap::new(),
            barrier_max,
        }
    }

    /// How many messages could go in bundles.
    pub(crate) fn bundled(&self) -> usize {
        self.bundled.len()
    }

    /// Say before the first [`Apply::advance`] whether bundles are used; if so, the number of the first.
    pub(crate) fn use_bundles(&mut self, first: Option<u32>) {
        match first {
            Some(id) => self.bundle_id = id,
            None => self.bundled = 0..0,
        }
    }

    /// Whether anything was written.
    pub(crate) fn has_begun(&self) -> bool {
        self.heard || self.bundle.is_some() || !self.windows.is_empty()
    }

    /// When the switch is late.
    pub(crate) fn until(&self) -> Option<Instant> {
        match &self.bundle {
            Some(bundle) => Some(bundle.until),
            None => self.windows.front().map(|window| window.until),
        }
    }

    /// Number of the bundle after the last one used.
    pub(crate) fn next_bundle(&self) -> u32 {
        self.bundle_id
    }

    /// Why the switch did not take a bundle; what was in it goes in stages. Told once.
    pub(crate) fn take_disliked(&mut self) -> Option<String> {
        self.disliked.take()
    }

    /// Write what may be written now. It may be asked at any time.
    pub(crate) fn advance(&mut self, now: Instant, wire: &mut Wire) {
        while self.trouble.is_none() && self.bundle.is_none() && self.windows.len() < WINDOWS_MAX {
            let begin = self.borders.iter().copied().rfind(|border| *border <= self.written);
            let end = self.borders.iter().copied().find(|border| *border > self.written);
            let Some(end) = end else {
                // Also when there is nothing to do: only the switch's own word makes a command `applied`.
                if !self.has_begun() {
                    self.window(now, self.written, wire);
                }
                return;
            };
            if self.bundled.contains(&self.written) {
                if self.confirmed == self.written {
                    self.start_bundle(now, wire);
                }
                return;
            }
            if self.confirmed < begin.unwrap_or(0) {
                return;
            }
            self.window(now, end.min(self.written + WINDOW), wire);
        }
    }

    fn start_bundle(&mut self, now: Instant, wire: &mut Wire) {
        let end = self.bundled.end.min(self.written + BUNDLE_MAX);
        let steps = &self.steps[self.written..end];
        let bundle = Bundle::start(self.bundle_id, steps, now + self.barrier_max, wire);
        self.bundle_id = self.bundle_id.wrapping_add(1);
        self.count(bundle.messages());
        self.written = end;
        self.bundle = Some(bundle);
    }

    fn count(&mut self, messages: usize) {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.messages = self.messages.saturating_add(messages);
    }

    fn window(&mut self, now: Instant, end: usize, wire: &mut Wire) {
        let first = self.written;
        let first_xid = wire.reserve(end - first);
        for step in &self.steps[first..end] {
            if let Err(error) = wire.send(convert::message(step)) {
                let detail = format!("{}: {error}", step.object());
                let cause = Cause::Malformed { detail };
                self.failed.insert(self.written, cause.clone());
                self.trouble = Some(cause);
                break;
            }
            self.written += 1;
        }
        let len = self.written - first;
        self.count(len);
        self.touched |= len > 0;
        let barrier = wire.send_short(Body::BarrierRequest);
        self.windows.push_back(Window {
            first,
            len,
            first_xid,
            barrier,
            until: now + self.barrier_max,
        });
    }

    /// A barrier reply came. Gives whether it was ours.
    pub(crate) fn barrier(&mut self, now: Instant, xid: u32, wire: &mut Wire) -> bool {
        if let Some(bundle) = &mut self.bundle {
            return match bundle.barrier(xid, now + self.barrier_max, wire) {
                None => false,
                Some(None) => true,
                Some(Some(end)) => {
                    self.bundle_ended(end);
                    true
                }
            };
        }
        // What stands before a barrier is done when it is answered, earlier barriers included.
        let Some(at) = self.windows.iter().position(|window| window.barrier == xid) else {
            return false;
        };
        for window in self.windows.drain(..=at) {
            self.confirmed = window.first + window.len;
        }
        self.heard = true;
        true
    }

    fn bundle_ended(&mut self, end: bundle::End) {
        self.bundle = None;
        self.heard = true;
        match end {
            bundle::End::Done => {
                self.touched = true;
                self.confirmed = self.written;
            }
            bundle::End::Undone { refused, cause } => {
                self.written = self.confirmed;
                let first = self.confirmed;
                self.failed
                    .extend(refused.into_iter().map(|(n, cause)| (first + n, cause)));
                self.trouble.get_or_insert(cause);
            }
            bundle::End::Disliked(why) => {
                self.written = self.confirmed;
                self.bundled = 0..0;
                self.disliked = Some(why);
            }
            bundle::End::Unknown => {
                self.touched = true;
                self.trouble.get_or_insert(Cause::NoBarrier);
            }
        }
    }

    /// An answer about a bundle came. Gives whether it was one of ours.
    pub(crate) fn bundle_reply(&mut self, xid: u32, reply: &BundleControl) -> bool {
        self.bundle.as_mut().is_some_and(|bundle| bundle.reply(xid, reply))
    }

    /// An error came. Gives whether it was about one of ours.
    pub(crate) fn error(&mut self, xid: u32, error: &ErrorMsg) -> bool {
        if let Some(bundle) = &mut self.bundle {
            return bundle.error(xid, error, &self.steps[self.confirmed..self.written]);
        }
        for at in 0..self.windows.len() {
            let window = &self.windows[at];
            let nth = xid.wrapping_sub(window.first_xid) as usize;
            let cause = if nth < window.len {
                let step = window.first + nth;
                let cause = switch_error(error, &self.steps[step].object().to_string());
                self.failed.insert(step, cause.clone());
                cause
            } else if xid == window.barrier {
                // No reply to it will come.
                self.windows.truncate(at);
                self.heard = true;
                switch_error(error, "barrier")
            } else {
                continue;
            };
            // The first error says why; later ones usually follow from it.
            self.trouble.get_or_insert(cause);
            return true;
        }
        false
    }

    /// Whether it is over; [`Apply::end`] is to follow.
    pub(crate) fn is_over(&self) -> bool {
        if defect::is(Defect::BarrierNotAwaited) && self.bundle.is_none() && self.written == self.steps.len() {
            return self.has_begun();
        }
        self.bundle.is_none()
            && self.windows.is_empty()
            && (self.trouble.is_some() || (self.heard && self.confirmed == self.steps.len()))
    }

    /// What became of it. `stopped`: why it is ended before it is over.
    pub(crate) fn end(mut self, stopped: Option<Cause>) -> End {
        if let Some(bundle) = &self.bundle {
            match bundle.may_be_done() {
                true => self.touched = true,
                // A bundle that is not committed goes with its connection, or is forgotten by the switch.
                false => self.written = self.confirmed,
            }
        }
        let objects = self.results();
        End {
            objects,
            // What the switch said is the better reason.
            cause: self.trouble.or(stopped),
            unchanged: !self.touched,
            messages: self.messages,
        }
    }

    /// What became of each step so far.
    fn results(&self) -> ObjectResults {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let failed_until = |end: usize| self.failed.range(..end).count();
        let confirmed = self.confirmed - failed_until(self.confirmed);
        let unconfirmed = self.written
            - self.confirmed
            - self
                .failed
                .range(self.confirmed..self.written.max(self.confirmed))
                .count();
        let result = |at: usize, fate| {
            let step = &self.steps[at];
            ObjectResult {
                object: step.object(),
                change: step.change(),
                fate,
            }
        };
        let failed = self.failed.iter().map(|(at, cause)| {
            let cause = without_object(cause.clone());
            result(*at, Fate::Failed { cause })
        });
        let others = (self.confirmed..self.steps.len()).filter(|at| !self.failed.contains_key(at));
        let others = others.map(|at| match at < self.written {
            true => result(at, Fate::Unconfirmed),
            false => result(at, Fate::NotTried),
        });
        ObjectResults {
            applied: count(confirmed),
            failed: count(self.failed.len()),
            unconfirmed: count(unconfirmed),
            not_tried: count(self.steps.len() - confirmed - unconfirmed - self.failed.len()),
            not_applied: failed.chain(others).take(ObjectResults::LISTED_MAX).collect(),
        }
    }
}

/// The cause as it stands beside its object, which it need not name again.
fn without_object(mut cause: Cause) -> Cause {
    if let Cause::SwitchError { object, .. } = &mut cause {
        object.clear();
    }
    cause
}

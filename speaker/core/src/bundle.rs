//! Bundles: changes that a switch does together or not at all (the ONF's extension of OpenFlow 1.3, EXT-230).
//!
//! ```text
//! Filling: open, add .., close, barrier --no error--> Committing: commit, barrier --committed--> done
//!    |                                                    |                       `--neither said--> not certain
//!    `--an error--> Discarding: discard, barrier ---------+--an error--> undone
//! ```
//!
//! It is committed only when the switch has taken every message of it: one that commits what is left after an error would do
//! a part. Each phase ends with a barrier reply, so that a switch that answers nothing to a bundle is found out.
//!
//! [`Probe`] finds out whether a switch takes bundles: it opens one and discards it.

use std::collections::BTreeMap;
use std::time::Instant;

use ofproto::{
    BadRequestCode, Body, BundleAdd, BundleControl, BundleCtrlType, BundleFailedCode, BundleFlags, ErrorMsg, ErrorType,
    Message,
};
use skerry_bus::Cause;

use crate::convert;
use crate::plan::Step;
use crate::role::switch_error;
use crate::wire::Wire;

/// Messages in one bundle. A switch holds them all in memory, and holds up everything else while it does them.
pub const BUNDLE_MAX: usize = 1_000;

/// When bundles are used, for a switch that takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BundleUse {
    /// A plan of at most [`BUNDLE_MAX`] messages for rules and groups is one bundle; a larger one goes in stages.
    #[default]
    Auto,
    /// Everything goes in stages.
    Never,
    /// A larger plan is several bundles.
    Always,
}

fn flags() -> BundleFlags {
    BundleFlags::ATOMIC | BundleFlags::ORDERED
}

fn control(id: u32, kind: BundleCtrlType) -> Body {
    Body::BundleControl(BundleControl::new(id, kind, flags()))
}

/// Whether an error says that the switch does not take bundles, or not this one, whatever is in it.
fn is_dislike(error: &ErrorMsg) -> bool {
    if let Some(code) = error.bundle_failed() {
        return code != BundleFailedCode::MSG_FAILED;
    }
    let unknown = [
        BadRequestCode::BAD_EXPERIMENTER.0,
        BadRequestCode::BAD_EXP_TYPE.0,
        BadRequestCode::BAD_TYPE.0,
    ];
    error.kind == ErrorType::BAD_REQUEST && unknown.contains(&error.code)
}

fn is_slave(error: &ErrorMsg) -> bool {
    error.kind == ErrorType::BAD_REQUEST && error.code == BadRequestCode::IS_SLAVE.0
}

/// The question whether a switch takes bundles.
#[derive(Debug)]
pub(crate) struct Probe {
    open: u32,
    discard: u32,
    barrier: u32,
    opened: bool,
    discarded: bool,
    error: Option<ErrorMsg>,
    pub(crate) until: Instant,
}

/// What a probe found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It takes them.
    Takes,
    /// It does not, and why.
    Refuses(String),
    /// We may not write at the moment: it can be asked again.
    NotAllowed,
}

impl Probe {
    pub(crate) fn start(id: u32, until: Instant, wire: &mut Wire) -> Self {
        Probe {
            open: wire.send_short(control(id, BundleCtrlType::OPEN_REQUEST)),
            discard: wire.send_short(control(id, BundleCtrlType::DISCARD_REQUEST)),
            barrier: wire.send_short(Body::BarrierRequest),
            opened: false,
            discarded: false,
            error: None,
            until,
        }
    }

    /// An answer about a bundle came. Gives whether it is this one.
    pub(crate) fn reply(&mut self, xid: u32, reply: &BundleControl) -> bool {
        self.opened |= xid == self.open && reply.kind == BundleCtrlType::OPEN_REPLY;
        self.discarded |= xid == self.discard && reply.kind == BundleCtrlType::DISCARD_REPLY;
        xid == self.open || xid == self.discard
    }

    /// An error came. Gives whether it is about this.
    pub(crate) fn error(&mut self, xid: u32, error: &ErrorMsg) -> bool {
        let ours = xid == self.open || xid == self.discard || xid == self.barrier;
        if ours {
            self.error.get_or_insert_with(|| error.clone());
        }
        ours
    }

    /// A barrier reply came. Gives what was found, if it is the one behind the question.
    pub(crate) fn barrier(&self, xid: u32) -> Option<Found> {
        (xid == self.barrier).then(|| match &self.error {
            Some(error) if is_slave(error) => Found::NotAllowed,
            Some(error) => Found::Refuses(error.to_string()),
            None if self.opened && self.discarded => Found::Takes,
            None => Found::Refuses("it does not answer to bundles".to_owned()),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Filling,
    Committing,
    Discarding,
}

/// A bundle under way.
#[derive(Debug)]
pub(crate) struct Bundle {
    id: u32,
    phase: Phase,
    /// Messages added, and the transaction id of the first; the others follow.
    added: usize,
    first_xid: u32,
    open: u32,
    close: u32,
    commit: Option<u32>,
    discard: Option<u32>,
    barrier: u32,
    opened: bool,
    closed: bool,
    committed: bool,
    /// Messages that were refused, by their place in the bundle.
    refused: BTreeMap<usize, Cause>,
    /// The switch has something against the bundle itself.
    disliked: Option<String>,
    /// What it said about the bundle as a whole.
    failed: Option<Cause>,
    pub(crate) until: Instant,
}

/// How a bundle ended.
#[derive(Debug)]
pub(crate) enum End {
    /// All of it is done.
    Done,
    /// Nothing of it was done, because of these messages, or because of the cause if there are none.
    Undone {
        refused: BTreeMap<usize, Cause>,
        cause: Cause,
    },
    /// Nothing of it was done because the switch does not like bundles: it can go otherwise.
    Disliked(String),
    /// The switch says neither that it is done nor that it is not.
    Unknown,
}

impl Bundle {
    /// Write a bundle of these steps.
    pub(crate) fn start(id: u32, steps: &[Step], until: Instant, wire: &mut Wire) -> Self {
        let open = wire.send_short(control(id, BundleCtrlType::OPEN_REQUEST));
        let mut bundle = Bundle {
            id,
            phase: Phase::Filling,
            added: 0,
            first_xid: wire.reserve(steps.len()),
            open,
            close: 0,
            commit: None,
            discard: None,
            barrier: 0,
            opened: false,
            closed: false,
            committed: false,
            refused: BTreeMap::new(),
            disliked: None,
            failed: None,
            until,
        };
        for (n, step) in steps.iter().enumerate() {
            // "The xid of the message must be the same as that of the ofp_bundle_add_msg": EXT-230.
            let inner = Message::new(wire.reserve(1), convert::message(step));
            let sent = BundleAdd::new(id, flags(), &inner).and_then(|add| wire.send(Body::BundleAdd(add)));
            if let Err(error) = sent {
                let detail = format!("{}: {error}", step.object());
                bundle.refused.insert(n, Cause::Malformed { detail });
                bundle.discard(until, wire);
                return bundle;
            }
            bundle.added += 1;
        }
        bundle.close = wire.send_short(control(id, BundleCtrlType::CLOSE_REQUEST));
        bundle.barrier = wire.send_short(Body::BarrierRequest);
        bundle
    }

    /// Messages that were written as parts of it.
    pub(crate) fn messages(&self) -> usize {
        self.added
    }

    /// Whether it may be done already.
    pub(crate) fn may_be_done(&self) -> bool {
        self.commit.is_some() && (self.committed || !self.is_undone())
    }

    fn is_undone(&self) -> bool {
        !self.refused.is_empty() || self.disliked.is_some() || self.failed.is_some()
    }

    fn discard(&mut self, until: Instant, wire: &mut Wire) {
        self.phase = Phase::Discarding;
        self.discard = Some(wire.send_short(control(self.id, BundleCtrlType::DISCARD_REQUEST)));
        self.barrier = wire.send_short(Body::BarrierRequest);
        self.until = until;
    }

    /// Whether this transaction id is one of the bundle's.
    fn has(&self, xid: u32) -> bool {
        self.nth(xid).is_some()
            || [Some(self.open), Some(self.close), self.commit, self.discard].contains(&Some(xid))
            || xid == self.barrier
    }

    fn nth(&self, xid: u32) -> Option<usize> {
        let nth = xid.wrapping_sub(self.first_xid) as usize;
        (nth < self.added).then_some(nth)
    }

    /// An answer about a bundle came. Gives whether it is this one.
    pub(crate) fn reply(&mut self, xid: u32, reply: &BundleControl) -> bool {
        self.opened |= xid == self.open && reply.kind == BundleCtrlType::OPEN_REPLY;
        self.closed |= xid == self.close && reply.kind == BundleCtrlType::CLOSE_REPLY;
        self.committed |= self.commit == Some(xid) && reply.kind == BundleCtrlType::COMMIT_REPLY;
        self.has(xid)
    }

    /// An error came. Gives whether it is about this bundle.
    pub(crate) fn error(&mut self, xid: u32, error: &ErrorMsg, steps: &[Step]) -> bool {
        if !self.has(xid) {
            return false;
        }
        let nth = self.nth(xid);
        let object = nth.and_then(|nth| steps.get(nth)).map(|step| step.object().to_string());
        let cause = switch_error(error, object.as_deref().unwrap_or("bundle"));
        match nth {
            // It is being given up already.
            _ if self.phase == Phase::Discarding => {}
            _ if is_dislike(error) => {
                self.disliked.get_or_insert_with(|| error.to_string());
            }
            Some(nth) => {
                self.refused.entry(nth).or_insert(cause);
            }
            None => {
                self.failed.get_or_insert(cause);
            }
        }
        true
    }

    /// A barrier reply came. `None`: it is not this bundle's. Otherwise the bundle has ended, or goes on.
    pub(crate) fn barrier(&mut self, xid: u32, until: Instant, wire: &mut Wire) -> Option<Option<End>> {
        if xid != self.barrier {
            return None;
        }
        Some(match self.phase {
            Phase::Filling => {
                if self.opened && self.closed && !self.is_undone() {
                    self.phase = Phase::Committing;
                    self.commit = Some(wire.send_short(control(self.id, BundleCtrlType::COMMIT_REQUEST)));
                    self.barrier = wire.send_short(Body::BarrierRequest);
                    self.until = until;
                } else {
                    if !self.is_undone() {
                        self.disliked = Some("it does not answer to bundles".to_owned());
                    }
                    self.discard(until, wire);
                }
                None
            }
            Phase::Committing => Some(match (self.committed, self.is_undone()) {
                (true, false) => End::Done,
                (false, true) => self.undone(),
                // It says nothing, or both.
                (false, false) | (true, true) => End::Unknown,
            }),
            Phase::Discarding => Some(self.undone()),
        })
    }

    fn undone(&mut self) -> End {
        if let Some(why) = self.disliked.take() {
            return End::Disliked(why);
        }
        let refused = std::mem::take(&mut self.refused);
        // The message is the better reason than the bundle it was in.
        let cause = refused.values().next().cloned().or(self.failed.take());
        End::Undone {
            refused,
            cause: cause.unwrap_or(Cause::NoBarrier),
        }
    }
}

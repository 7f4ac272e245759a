//! Whether what is done to a switch goes in bundles: asked of the switch once, as soon as it may be asked.
//!
//! ```text
//! Unknown --we are MASTER--> Asking --it took one--> Taken
//!    ^                         |                       | a bundle that it does not like
//!    `---we may not ask--------+--it did not----> Refused
//! ```

use std::time::{Duration, Instant};

use ofproto::{BundleControl, ErrorMsg};
use skerry_bus::Sending;

use crate::bundle::{BUNDLE_MAX, BundleUse, Found, Probe};
use crate::lane::Event;
use crate::role::Authority;
use crate::wire::Wire;

#[derive(Debug)]
enum State {
    /// It was not asked: only a MASTER may.
    Unknown,
    Asking(Probe),
    Taken,
    Refused,
}

/// What is known of one connection of a switch.
#[derive(Debug)]
pub(crate) struct Bundling {
    when: BundleUse,
    answer_max: Duration,
    state: State,
    /// Number of the next bundle of this connection.
    next: u32,
}

impl Bundling {
    pub(crate) fn new(when: BundleUse, answer_max: Duration) -> Self {
        Bundling {
            when,
            answer_max,
            state: State::Unknown,
            next: 1,
        }
    }

    /// Whether the switch takes bundles; none: it was not asked yet.
    pub(crate) fn is_taken(&self) -> Option<bool> {
        match self.state {
            State::Unknown | State::Asking(_) => None,
            State::Taken => Some(true),
            State::Refused => Some(false),
        }
    }

    /// Whether its answer is waited for.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.state, State::Asking(_))
    }

    /// How a plan with so many messages for bundles would go.
    pub(crate) fn sending(&self, messages: usize) -> Sending {
        let fits = match self.when {
            BundleUse::Never => false,
            BundleUse::Auto => (1..=BUNDLE_MAX).contains(&messages),
            BundleUse::Always => messages > 0,
        };
        match (&self.state, fits) {
            (State::Taken, true) => Sending::Bundles,
            (State::Taken, false) | (State::Unknown | State::Asking(_) | State::Refused, _) => Sending::Stages,
        }
    }

    /// Number of the next bundle.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Numbers below this one are used.
    pub(crate) fn used(&mut self, next: u32) {
        if next > 0 {
            self.next = next;
        }
    }

    /// Ask, if that is to be known and may be asked.
    pub(crate) fn ask(&mut self, now: Instant, authority: Authority, wire: &mut Wire) {
        let may = matches!(authority, Authority::Master(_)) && self.when != BundleUse::Never;
        if may && matches!(self.state, State::Unknown) {
            let probe = Probe::start(self.next, now + self.answer_max, wire);
            self.state = State::Asking(probe);
            self.next = self.next.wrapping_add(1);
        }
    }

    /// It was found out.
    pub(crate) fn found(&mut self, found: Found) -> Event {
        let (state, why) = match found {
            Found::Takes => (State::Taken, None),
            Found::Refuses(why) => (State::Refused, Some(why)),
            Found::NotAllowed => (State::Unknown, None),
        };
        self.state = state;
        Event::Bundles {
            taken: self.is_taken(),
            why,
        }
    }

    /// An answer about a bundle came. Gives whether it is about the question.
    pub(crate) fn reply(&mut self, xid: u32, reply: &BundleControl) -> bool {
        match &mut self.state {
            State::Asking(probe) => probe.reply(xid, reply),
            State::Unknown | State::Taken | State::Refused => false,
        }
    }

    /// An error came. Gives whether it is about the question.
    pub(crate) fn error(&mut self, xid: u32, error: &ErrorMsg) -> bool {
        match &mut self.state {
            State::Asking(probe) => probe.error(xid, error),
            State::Unknown | State::Taken | State::Refused => false,
        }
    }

    /// A barrier reply came. Gives what was found, if it is the one behind the question.
    pub(crate) fn barrier(&mut self, xid: u32) -> Option<Event> {
        let found = match &self.state {
            State::Asking(probe) => probe.barrier(xid)?,
            State::Unknown | State::Taken | State::Refused => return None,
        };
        Some(self.found(found))
    }

    /// When the answer is late.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Asking(probe) => Some(probe.until),
            State::Unknown | State::Taken | State::Refused => None,
        }
    }

    /// A deadline may have passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Event> {
        self.deadline().filter(|until| now >= *until)?;
        Some(self.found(Found::Refuses("it did not answer in time".to_owned())))
    }
}

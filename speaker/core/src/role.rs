//! The role this region holds at one switch, and the requests that change it, one at a time.
//!
//! The term is the generation id of OFPT_ROLE_REQUEST, so the switch itself refuses an older writer. This machine never asks
//! for MASTER by itself: terms come from the router, now or earlier ([`crate::autonomy`]). A switch without roles is asked
//! nothing; there the router's word alone counts, for as long as it can be heard ([`crate::lease`]).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ofproto::{BadRequestCode, Body, ControllerRole, ErrorMsg, ErrorType, RoleMsg, RoleRequestFailedCode, RoleStatus};
use skerry_bus::{Cause, Outcome, Role, Term};

use crate::connection::shown;
use crate::job::JobId;
use crate::wire::Wire;

/// Role commands that may wait for one switch. The router sends one per change of the active region; a switch this far behind
/// is helped by waiting: the next is refused as `Busy`.
pub const ROLE_COMMANDS_MAX: usize = 8;

/// What may be done with the switch now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// Writing, under this term.
    Master(Term),
    /// A role request is under way: whoever wants to write waits.
    Settling,
    /// Reading only.
    None,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A command ended.
    Ended {
        job: JobId,
        outcome: Outcome,
        cause: Option<Cause>,
        messages: u32,
    },
    /// The role is another one, as asked for.
    Changed,
    /// What the switch shows changed (its number, or the role, without our asking).
    Shown,
    /// The switch does not give the role that was claimed.
    NotGiven,
    /// MASTER is lost.
    Lost { term: Term, seen: String },
}

#[derive(Debug, Clone, Copy)]
enum Want {
    Master {
        term: Term,
        job: JobId,
    },
    Slave {
        term: Term,
        job: JobId,
    },
    /// MASTER, with a term that the router gave earlier.
    Claim {
        term: Term,
    },
    /// What does the switch show?
    Ask,
}

#[derive(Debug)]
struct Asking {
    want: Want,
    xid: u32,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Slave,
    Master(Term),
}

/// The role at one switch.
#[derive(Debug)]
pub(crate) struct RoleKeeper {
    held: Held,
    seen: Option<Term>,
    asking: Option<Asking>,
    waiting: VecDeque<Want>,
    reply_max: Duration,
    /// The switch has no roles.
    equal: bool,
}

impl RoleKeeper {
    /// SLAVE, with the number the switch showed.
    pub(crate) fn new(seen: Option<Term>, reply_max: Duration) -> Self {
        RoleKeeper {
            held: Held::Slave,
            seen,
            asking: None,
            waiting: VecDeque::new(),
            reply_max,
            equal: false,
        }
    }

    /// EQUAL, at a switch without roles.
    pub(crate) fn equal(reply_max: Duration) -> Self {
        RoleKeeper {
            equal: true,
            ..RoleKeeper::new(None, reply_max)
        }
    }

    /// Whether the switch has no roles.
    pub(crate) fn is_equal(&self) -> bool {
        self.equal
    }

    pub(crate) fn role(&self) -> Role {
        match self.held {
            Held::Slave if self.equal => Role::Equal,
            Held::Slave => Role::Slave,
            // Of a switch without roles, too: the router made this region the only one that writes.
            Held::Master(_) => Role::Master,
        }
    }

    /// The term held as MASTER.
    pub(crate) fn term(&self) -> Option<Term> {
        match self.held {
            Held::Slave => None,
            Held::Master(term) => Some(term),
        }
    }

    /// The number the switch showed last, or the term taken since.
    pub(crate) fn seen(&self) -> Option<Term> {
        self.seen
    }

    pub(crate) fn authority(&self) -> Authority {
        if self.asking.is_some() {
            return Authority::Settling;
        }
        match self.held {
            Held::Slave => Authority::None,
            Held::Master(term) => Authority::Master(term),
        }
    }

    /// Become MASTER with this term. Gives false if too many wait.
    pub(crate) fn activate(&mut self, now: Instant, term: Term, job: JobId, wire: &mut Wire) -> bool {
        self.push(now, Want::Master { term, job }, wire)
    }

    /// Become SLAVE with this term. Gives false if too many wait.
    pub(crate) fn deactivate(&mut self, now: Instant, term: Term, job: JobId, wire: &mut Wire) -> bool {
        self.push(now, Want::Slave { term, job }, wire)
    }

    /// Become MASTER with a term that the router gave earlier.
    pub(crate) fn claim(&mut self, now: Instant, term: Term, wire: &mut Wire) -> bool {
        self.push(now, Want::Claim { term }, wire)
    }

    /// Ask what the switch shows.
    pub(crate) fn look(&mut self, now: Instant, wire: &mut Wire) -> bool {
        self.push(now, Want::Ask, wire)
    }

    /// At a switch without roles: write under this term from now on, or no more because another region has it.
    pub(crate) fn settle_equal(&mut self, term: Term, active: bool, job: JobId) -> Vec<Event> {
        let ended = |outcome, cause| Event::Ended {
            job,
            outcome,
            cause,
            messages: 0,
        };
        if self.seen.is_some_and(|seen| term < seen) {
            let held = self.term();
            return vec![ended(Outcome::Rejected, Some(Cause::NoRole { held }))];
        }
        self.held = if active { Held::Master(term) } else { Held::Slave };
        self.seen = Some(term);
        vec![Event::Changed, ended(Outcome::Applied, None)]
    }

    /// At a switch without roles: the lease is over.
    pub(crate) fn lease_over(&mut self) -> Vec<Event> {
        let seen = "without Kafka for longer than the lease".to_owned();
        self.lose(seen).into_iter().collect()
    }

    fn push(&mut self, now: Instant, want: Want, wire: &mut Wire) -> bool {
        if self.waiting.len() >= ROLE_COMMANDS_MAX {
            return false;
        }
        self.waiting.push_back(want);
        self.next(now, wire);
        true
    }

    fn next(&mut self, now: Instant, wire: &mut Wire) {
        if self.asking.is_some() {
            return;
        }
        let Some(want) = self.waiting.pop_front() else {
            return;
        };
        let (role, generation_id) = match want {
            Want::Master { term, .. } | Want::Claim { term } => (ControllerRole::MASTER, term.0),
            Want::Slave { term, .. } => (ControllerRole::SLAVE, term.0),
            Want::Ask => (ControllerRole::NOCHANGE, 0),
        };
        let xid = wire.send_short(Body::RoleRequest(RoleMsg { role, generation_id }));
        let until = now + self.reply_max;
        self.asking = Some(Asking { want, xid, until });
    }

    /// A role reply came.
    pub(crate) fn reply(&mut self, now: Instant, xid: u32, reply: &RoleMsg, wire: &mut Wire) -> Vec<Event> {
        let Some(asking) = self.asking.take_if(|a| a.xid == xid) else {
            return Vec::new();
        };
        let ended = |job, outcome, cause| Event::Ended {
            job,
            outcome,
            cause,
            messages: 1,
        };
        let mut events = Vec::new();
        match asking.want {
            Want::Master { term, job } if reply.role == ControllerRole::MASTER => {
                self.held = Held::Master(term);
                self.seen = Some(term);
                events.push(Event::Changed);
                events.push(ended(job, Outcome::Applied, None));
            }
            Want::Claim { term } if reply.role == ControllerRole::MASTER => {
                self.held = Held::Master(term);
                self.seen = Some(term);
                events.push(Event::Changed);
            }
            Want::Claim { .. } => {
                events.extend(self.take_shown(reply));
                events.push(Event::NotGiven);
            }
            Want::Slave { term, job } if reply.role == ControllerRole::SLAVE => {
                self.held = Held::Slave;
                self.seen = Some(term);
                events.push(Event::Changed);
                events.push(ended(job, Outcome::Applied, None));
            }
            Want::Master { job, .. } | Want::Slave { job, .. } => {
                events.extend(self.take_shown(reply));
                let held = self.term();
                events.push(ended(job, Outcome::Failed, Some(Cause::NoRole { held })));
            }
            Want::Ask => events.extend(self.take_shown(reply)),
        }
        self.next(now, wire);
        events
    }

    /// The switch tells its view of the role.
    fn take_shown(&mut self, reply: &RoleMsg) -> Vec<Event> {
        self.seen = shown(reply.generation_id).map(Term).or(self.seen);
        match (self.held, reply.role) {
            (Held::Master(term), role) if role != ControllerRole::MASTER => {
                self.held = Held::Slave;
                vec![
                    Event::Lost {
                        term,
                        seen: format!("OFPT_ROLE_REPLY {role}"),
                    },
                    Event::Shown,
                ]
            }
            _ => vec![Event::Shown],
        }
    }

    /// An error came, with whatever transaction id. Gives what it means for the role; empty if nothing.
    pub(crate) fn error(&mut self, now: Instant, xid: u32, error: &ErrorMsg, wire: &mut Wire) -> Vec<Event> {
        let mut events = Vec::new();
        let stale = error.kind == ErrorType::ROLE_REQUEST_FAILED && error.code == RoleRequestFailedCode::STALE.0;
        let is_slave = error.kind == ErrorType::BAD_REQUEST && error.code == BadRequestCode::IS_SLAVE.0;
        let asked = self.asking.take_if(|a| a.xid == xid);
        if matches!(&asked, Some(asking) if matches!(asking.want, Want::Claim { .. })) {
            events.push(Event::NotGiven);
        }
        if let Some(Asking {
            want: Want::Master { job, .. } | Want::Slave { job, .. },
            ..
        }) = asked
        {
            events.push(Event::Ended {
                job,
                outcome: Outcome::Failed,
                cause: Some(switch_error(error, "role request")),
                messages: 1,
            });
        }
        if is_slave || stale {
            events.extend(self.lose(error.to_string()));
            // Which number is it now? The router needs it for the next term.
            if self.waiting.is_empty() && !matches!(self.asking, Some(Asking { want: Want::Ask, .. })) {
                self.waiting.push_back(Want::Ask);
            }
        }
        self.next(now, wire);
        events
    }

    /// The switch tells a change of our role by itself.
    pub(crate) fn status(&mut self, status: &RoleStatus) -> Vec<Event> {
        let mut events = Vec::new();
        if status.role != ControllerRole::MASTER {
            events.extend(self.lose(format!("role status {} because of {}", status.role, status.reason)));
        }
        if let Some(number) = shown(status.generation_id) {
            self.seen = Some(Term(number));
            events.push(Event::Shown);
        }
        events
    }

    fn lose(&mut self, seen: String) -> Option<Event> {
        let Held::Master(term) = self.held else {
            return None;
        };
        self.held = Held::Slave;
        Some(Event::Lost { term, seen })
    }

    /// When a role request is late.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.asking.as_ref().map(|a| a.until)
    }

    /// A deadline may have passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant, wire: &mut Wire) -> Vec<Event> {
        let Some(asking) = self.asking.take_if(|a| now >= a.until) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if let Want::Master { job, .. } | Want::Slave { job, .. } = asking.want {
            events.push(Event::Ended {
                job,
                outcome: Outcome::Failed,
                cause: Some(Cause::NoBarrier),
                messages: 1,
            });
        } else if let Want::Claim { .. } = asking.want {
            events.push(Event::NotGiven);
        }
        self.next(now, wire);
        events
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self) -> Vec<Event> {
        let asking = self.asking.take().map(|a| (a.want, true));
        let waiting = self.waiting.drain(..).map(|want| (want, false));
        asking
            .into_iter()
            .chain(waiting)
            .filter_map(|(want, sent)| match want {
                Want::Master { job, .. } | Want::Slave { job, .. } => Some(Event::Ended {
                    job,
                    outcome: if sent { Outcome::Failed } else { Outcome::Rejected },
                    cause: Some(if sent {
                        Cause::ConnectionLost
                    } else {
                        Cause::UnknownSwitch
                    }),
                    messages: u32::from(sent),
                }),
                Want::Claim { .. } | Want::Ask => None,
            })
            .collect()
    }
}

/// An error of a switch as the cause of a command's end.
pub(crate) fn switch_error(error: &ErrorMsg, object: &str) -> Cause {
    let kind = error.kind.name().unwrap_or("unknown type");
    let code = error.code_name().unwrap_or("unknown code");
    Cause::SwitchError {
        error_type: error.kind.0,
        error_code: error.code,
        name: format!("{kind}/{code}"),
        object: object.to_owned(),
    }
}

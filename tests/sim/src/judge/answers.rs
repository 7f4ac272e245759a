//! One terminal answer per command, by its deadline; what comes again is the same. An offset is committed when everything
//! below it is answered, not before.

use std::collections::BTreeMap;

use skerry_bus::{Decoded, Outcome, Reply, ReplyBody, decode};

use super::Verdict;
use crate::load::{Asked, What, number_of};
use crate::log::Tp;
use crate::time::{MS, Ns, SECOND};

/// How much later than its deadline an answer may be in the log: its way there, and the second that edits have.
const GRACE: Ns = 1_600 * MS;
/// How long a router may take to catch up after it, or the log, was away.
const CATCH_UP: Ns = 3 * SECOND;

/// What keeps a router from answering.
#[derive(Debug, Default, Clone, Copy)]
pub struct Health {
    /// Its process lives.
    pub runs: bool,
    /// It stands still.
    pub stopped: bool,
    /// It cannot reach the log.
    pub cut: bool,
    /// It reads late.
    pub slow: bool,
    /// Its store takes its time.
    pub store_slow: bool,
}

impl Health {
    fn is_well(self) -> bool {
        self.runs && !self.stopped && !self.cut && !self.slow && !self.store_slow
    }
}

/// What became of a command.
#[derive(Debug, Default)]
pub struct Course {
    /// It is one that is answered.
    answerable: bool,
    /// It only asks: done again, it may end in another way.
    asks: bool,
    /// When it has to be answered.
    due: Ns,
    /// When it was said last.
    said: Ns,
    /// How often routers read it.
    read: u32,
    /// All its answers.
    pub answers: Vec<Outcome>,
    /// How it ended, in short.
    first: Option<String>,
    /// Where it stands in the log, each time it was said.
    places: Vec<(Tp, i64)>,
}

/// All commands.
#[derive(Debug, Default)]
pub struct Answers {
    pub(super) courses: BTreeMap<usize, Course>,
    places: BTreeMap<(Tp, i64), usize>,
    not_delivered: u32,
    health: Health,
    well_since: Option<Ns>,
    /// Until where each partition is committed.
    committed: BTreeMap<Tp, i64>,
    /// All commands in the order in which the log has them.
    order: Vec<usize>,
}

impl Answers {
    /// A service says a command.
    pub fn asked(&mut self, now: Ns, all: &[Asked], n: usize, tp: Tp, offset: i64) {
        self.order.push(n);
        let (mut n, deadline) = (n, all[n].deadline_ms);
        let mut deadline = deadline;
        while let What::Again(earlier) = all[n].what {
            n = earlier;
            deadline = all[n].deadline_ms;
        }
        let course = self.courses.entry(n).or_default();
        course.answerable = !matches!(all[n].what, What::Garbage | What::Strange);
        course.asks = matches!(all[n].what, What::Dump | What::Plan | What::Snapshot | What::RegionWide);
        let due = (now as i64 + deadline * MS as i64).max(now as i64) as Ns;
        course.due = course.due.max(due);
        course.said = now;
        course.places.push((tp, offset));
        self.places.insert((tp, offset), n);
    }

    /// Whether the command at this place waits for its answer, and may.
    pub fn is_open(&self, tp: Tp, offset: i64) -> bool {
        let course = self.places.get(&(tp, offset)).and_then(|n| self.courses.get(n));
        course.is_some_and(|course| course.answerable && course.answers.is_empty())
    }

    /// All commands in the order in which the log has them.
    pub fn in_order(&self) -> &[usize] {
        &self.order
    }

    /// A router reads a record of the commands.
    pub fn read(&mut self, tp: Tp, offset: i64) {
        if let Some(course) = self.places.get(&(tp, offset)).and_then(|n| self.courses.get_mut(n)) {
            course.read += 1;
        }
    }

    /// An answer was given up, so it comes again.
    pub fn not_delivered(&mut self) {
        self.not_delivered += 1;
    }

    /// Something about the router changed.
    pub fn health(&mut self, now: Ns, change: impl FnOnce(&mut Health)) {
        change(&mut self.health);
        self.well_since = self.health.is_well().then_some(now);
    }

    /// When a command has to be answered at the latest; none: that cannot be asked now.
    fn latest(&self, course: &Course) -> Option<Ns> {
        Some((course.due + GRACE).max(self.well_since? + CATCH_UP))
    }

    /// An answer is in the log.
    pub fn replied(&mut self, now: Ns, payload: &[u8]) -> Verdict {
        let Decoded::Message(reply) = decode::<Reply>(payload) else {
            return Err("a reply that nobody can read".to_owned());
        };
        let id = &reply.correlation_id;
        let Some(n) = number_of(id) else {
            return Err(format!("{id} was never asked"));
        };
        let Some(course) = self.courses.get(&n) else {
            return Err(format!("{id} is answered and was not asked yet"));
        };
        let latest = self.latest(course).unwrap_or(Ns::MAX);
        let not_delivered = self.not_delivered;
        let (outcome, text) = match &reply.body {
            ReplyBody::SwitchResult { result, .. } => {
                let cause = result.cause.as_ref().map(ToString::to_string).unwrap_or_default();
                (result.outcome, format!("{:?} {cause}", result.outcome))
            }
            ReplyBody::Done { applied, not_applied } => {
                (Outcome::Applied, format!("done {applied} of {}", applied + not_applied))
            }
        };
        let course = self.courses.entry(n).or_default();
        course.answers.push(outcome);
        if course.answers.len() as u32 > course.read + not_delivered {
            return Err(format!(
                "{id} has {} answers and was read {} times: {:?}",
                course.answers.len(),
                course.read,
                course.answers
            ));
        }
        if course.answers.len() == 1 && now > latest {
            let late = (now - latest) / MS;
            return Err(format!("{id} is answered {late} ms too late: {text}"));
        }
        // What was refused is tried when it is said again; what was done has one answer for ever.
        let refused = matches!(course.answers.first(), Some(Outcome::Rejected | Outcome::Expired));
        let may_differ = course.asks || (refused && course.places.len() > 1);
        let first = course.first.get_or_insert_with(|| text.clone());
        if *first != text && !may_differ {
            return Err(format!("{id} has two answers: first {first:?}, then {text:?}"));
        }
        Ok(())
    }

    /// Everything below this is said to be answered.
    pub fn committed(&mut self, tp: Tp, offset: i64) -> Verdict {
        let from = self.committed.insert(tp, offset).unwrap_or(0);
        for at in from..offset {
            let n = self.places.get(&(tp, at));
            let course = n.and_then(|n| self.courses.get(n));
            if let (Some(n), Some(course)) = (n, course)
                && course.answerable
                && course.answers.is_empty()
            {
                return Err(format!("c{n} at offset {at} is committed and has no answer"));
            }
        }
        Ok(())
    }

    /// At the end every command has its answer.
    pub fn all_answered(&self, now: Ns) -> Verdict {
        for (n, course) in &self.courses {
            let late = self.latest(course).is_some_and(|latest| now > latest);
            if course.answerable && course.answers.is_empty() && late {
                let Course { due, read, said, .. } = course;
                return Err(format!(
                    "c{n} has no answer: said at {} ms, due at {} ms, read {read} times",
                    said / MS,
                    due / MS
                ));
            }
        }
        Ok(())
    }
}

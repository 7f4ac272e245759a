//! May this speaker take a switch by itself, with its last term, and make it whole from its own disk?
//!
//! ```text
//!        the number is ours, or none and the router was heard just now
//!  Rest ------------------------------------------------------------------> Reading --read--> Taking --MASTER--> Rest
//!    |  the number is none or 0                                                ^
//!    +---------------------------> Holding --time--> Looking --still none or 0-+
//!
//!  a failed attempt to make it whole: Again --time--> Reading
//! ```
//!
//! It asks only where this region held the switch last (design section 4). A number that is ours says that nobody took over
//! since: whoever does has a larger one. A number that is none or 0 says nothing, because the switch forgot it; then the
//! router's word counts, or a while in which nobody else came. Everything the router says of the role ends it.

use std::time::{Duration, Instant};

use skerry_bus::{Generation, Objects, Outcome, Term};

/// Longest time between two attempts to make a switch whole that refuses something.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask the switch which number it shows.
    Look,
    /// Read what shall stand from disk.
    Read,
}

#[derive(Debug)]
enum State {
    /// Nothing to do.
    Rest,
    /// The number is none or 0, and the router was not heard.
    Holding { term: Term, until: Instant },
    /// The switch is asked for its number once more.
    Looking { term: Term, until: Instant },
    /// The disk is asked.
    Reading { term: Term },
    /// MASTER is asked.
    Taking {
        term: Term,
        generation: Generation,
        objects: Box<Objects>,
    },
    /// It is not whole: once more then.
    Again { term: Term, at: Instant },
}

/// One connected switch.
#[derive(Debug)]
pub(crate) struct Autonomy {
    state: State,
    hold: Duration,
    /// Time until the next attempt, if this one fails.
    pause: Duration,
}

fn is_forgotten(number: Option<Term>) -> bool {
    number.is_none_or(|number| number == Term(0))
}

impl Autonomy {
    pub(crate) fn new(hold: Duration) -> Self {
        Autonomy {
            state: State::Rest,
            hold,
            pause: hold,
        }
    }

    /// The switch connected and showed this number. `last`: the term under which this region held it last. `heard`: the router
    /// was heard within the lease.
    pub(crate) fn begin(&mut self, now: Instant, shown: Option<Term>, last: Term, heard: bool) -> Option<Action> {
        let reading = State::Reading { term: last };
        self.state = match shown {
            Some(number) if number == last => reading,
            number if is_forgotten(number) && heard => reading,
            number if is_forgotten(number) => State::Holding {
                term: last,
                until: now + self.hold,
            },
            Some(_) | None => State::Rest,
        };
        matches!(self.state, State::Reading { .. }).then_some(Action::Read)
    }

    /// The switch showed this number when it was asked.
    pub(crate) fn shown(&mut self, number: Option<Term>) -> Option<Action> {
        match self.state {
            State::Looking { term, .. } if is_forgotten(number) => {
                self.state = State::Reading { term };
                Some(Action::Read)
            }
            // Another region was there.
            State::Looking { .. } => {
                self.state = State::Rest;
                None
            }
            State::Rest
            | State::Holding { .. }
            | State::Reading { .. }
            | State::Taking { .. }
            | State::Again { .. } => None,
        }
    }

    /// This shall stand, says the disk. Gives the term to ask MASTER with.
    pub(crate) fn read(&mut self, generation: Generation, objects: Objects) -> Option<Term> {
        let State::Reading { term } = self.state else {
            return None;
        };
        let objects = Box::new(objects);
        self.state = State::Taking {
            term,
            generation,
            objects,
        };
        Some(term)
    }

    /// MASTER is held with this term. Gives what is to be made to stand.
    pub(crate) fn taken(&mut self, held: Term) -> Option<(Term, Generation, Objects)> {
        match std::mem::replace(&mut self.state, State::Rest) {
            State::Taking {
                term,
                generation,
                objects,
            } if term == held => Some((term, generation, *objects)),
            _ => None,
        }
    }

    /// What was made to stand ended so.
    pub(crate) fn ended(&mut self, now: Instant, term: Option<Term>, outcome: Outcome) {
        self.state = match (outcome, term) {
            (Outcome::Failed | Outcome::Rejected, Some(term)) => {
                let at = now + self.pause;
                self.pause = (self.pause * 2).min(AGAIN_MAX.max(self.hold));
                State::Again { term, at }
            }
            (Outcome::Applied | Outcome::Superseded | Outcome::Expired, _) | (_, None) => State::Rest,
        };
    }

    /// The router spoke, or it cannot be done: no more by ourselves.
    pub(crate) fn rest(&mut self) {
        self.state = State::Rest;
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Rest | State::Reading { .. } | State::Taking { .. } => None,
            State::Holding { until, .. } | State::Looking { until, .. } => Some(until),
            State::Again { at, .. } => Some(at),
        }
    }

    /// A deadline may have passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        if self.deadline().is_none_or(|at| now < at) {
            return None;
        }
        let until = now + self.hold;
        match self.state {
            State::Holding { term, .. } => {
                self.state = State::Looking { term, until };
                Some(Action::Look)
            }
            // It did not answer: then it has said nothing.
            State::Looking { term, .. } => {
                self.state = State::Holding { term, until };
                None
            }
            State::Again { term, .. } => {
                self.state = State::Reading { term };
                Some(Action::Read)
            }
            State::Rest | State::Reading { .. } | State::Taking { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(5);

    fn begun(shown: Option<u64>, last: u64, heard: bool) -> (Autonomy, Option<Action>, Instant) {
        let t0 = Instant::now();
        let mut autonomy = Autonomy::new(HOLD);
        let action = autonomy.begin(t0, shown.map(Term), Term(last), heard);
        (autonomy, action, t0)
    }

    /// Which number allows what, whole.
    #[test]
    fn a_number_of_ours_is_taken_at_once_none_or_0_after_a_while_and_another_never() {
        for (shown, heard, at_once, held) in [
            (Some(7), false, true, false),
            (Some(7), true, true, false),
            (None, true, true, false),
            (Some(0), true, true, false),
            (None, false, false, true),
            (Some(0), false, false, true),
            (Some(6), true, false, false),
            (Some(8), true, false, false),
            (Some(8), false, false, false),
        ] {
            let (autonomy, action, t0) = begun(shown, 7, heard);
            let what = format!("number {shown:?}, heard {heard}");
            assert_eq!(action, at_once.then_some(Action::Read), "{what}");
            assert_eq!(autonomy.deadline(), held.then_some(t0 + HOLD), "{what}");
        }
    }

    #[test]
    fn after_the_while_the_number_is_looked_at_once_more() {
        for (number, action) in [
            (None, Some(Action::Read)),
            (Some(0), Some(Action::Read)),
            (Some(1), None),
        ] {
            let (mut autonomy, _, t0) = begun(None, 7, false);
            assert_eq!(autonomy.handle_timeout(t0 + HOLD / 2), None);
            assert_eq!(autonomy.shown(None), None, "an answer to another question");
            assert_eq!(autonomy.handle_timeout(t0 + HOLD), Some(Action::Look));
            assert_eq!(autonomy.shown(number.map(Term)), action, "{number:?}");
        }
    }

    #[test]
    fn a_switch_that_does_not_answer_is_asked_again_and_never_taken() {
        let (mut autonomy, _, t0) = begun(Some(0), 7, false);
        for n in 1..6 {
            let action = autonomy.handle_timeout(t0 + n * HOLD);
            assert_eq!(action, (n % 2 == 1).then_some(Action::Look));
        }
    }

    #[test]
    fn what_is_read_is_given_when_the_role_is_there_and_only_with_its_term() {
        let (mut autonomy, _, t0) = begun(Some(7), 7, false);
        assert_eq!(autonomy.taken(Term(7)), None, "nothing is read yet");
        let (mut other, _, _) = begun(Some(7), 7, false);
        assert_eq!(autonomy.read(Generation(3), Objects::new()), None, "it was over");
        assert_eq!(other.read(Generation(3), Objects::new()), Some(Term(7)));
        assert_eq!(other.taken(Term(8)), None, "the router gave another");
        let (mut third, _, _) = begun(Some(7), 7, false);
        third.read(Generation(3), Objects::new());
        assert_eq!(third.taken(Term(7)), Some((Term(7), Generation(3), Objects::new())));
        third.ended(t0, Some(Term(7)), Outcome::Applied);
        assert_eq!(third.deadline(), None);
    }

    #[test]
    fn what_fails_is_tried_again_less_and_less_often() {
        let (mut autonomy, _, t0) = begun(Some(7), 7, false);
        let mut now = t0;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            autonomy.ended(now, Some(Term(7)), Outcome::Failed);
            let at = autonomy.deadline().expect("again");
            pauses.push((at - now).as_secs());
            now = at;
            assert_eq!(autonomy.handle_timeout(now), Some(Action::Read));
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        autonomy.ended(now, None, Outcome::Failed);
        assert_eq!(autonomy.deadline(), None, "the role is gone");
    }
}

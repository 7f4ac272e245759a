//! How far the connections of well-behaved switches are, and when all of them were that far for the first time.

use std::time::Duration;

use serde_json::{Value, json};

use super::histogram::Histogram;

/// One stage.
#[derive(Debug, Default)]
struct Stage {
    /// Connections that are this far now.
    now: usize,
    /// When all were, from the start of the run.
    all: Option<Duration>,
    /// How long each took.
    took: Histogram,
}

impl Stage {
    /// One more. True: with it, all are this far for the first time.
    fn one(&mut self, wanted: usize, at: Duration, took: Duration) -> bool {
        self.now += 1;
        self.took.add(took);
        if self.now < wanted || self.all.is_some() {
            return false;
        }
        self.all = Some(at);
        true
    }

    fn told(&self) -> Value {
        let all = self.all.map(|all| all.as_secs_f64());
        json!({ "now": self.now, "all_s": all, "took": self.took.figures() })
    }
}

/// All stages.
#[derive(Debug)]
pub struct Milestones {
    wanted: usize,
    connected: Stage,
    handshaken: Stage,
    settled: Stage,
}

impl Milestones {
    /// So many connections are wanted.
    pub fn new(wanted: usize) -> Milestones {
        Milestones {
            wanted,
            connected: Stage::default(),
            handshaken: Stage::default(),
            settled: Stage::default(),
        }
    }

    /// A controller was reached at a moment, that long after it was tried.
    pub fn connected(&mut self, at: Duration, took: Duration) {
        self.connected.one(self.wanted, at, took);
    }

    /// It knows the features, that long after it was reached. True: now all do, for the first time.
    pub fn handshaken(&mut self, at: Duration, took: Duration) -> bool {
        self.handshaken.one(self.wanted, at, took)
    }

    /// It took a role, that long after it was reached.
    pub fn settled(&mut self, at: Duration, took: Duration) {
        self.settled.one(self.wanted, at, took);
    }

    /// A connection is gone that was so far.
    pub fn ended(&mut self, handshaken: bool, settled: bool) {
        self.connected.now -= 1;
        self.handshaken.now -= usize::from(handshaken);
        self.settled.now -= usize::from(settled);
    }

    /// Whether all were handshaken at some moment.
    pub fn were_all_handshaken(&self) -> bool {
        self.handshaken.all.is_some()
    }

    /// How many are how far.
    pub fn now(&self) -> Value {
        json!({
            "wanted": self.wanted,
            "connected": self.connected.now,
            "handshaken": self.handshaken.now,
            "settled": self.settled.now,
        })
    }

    /// All of it: `all_s` is when all were that far at once, in seconds from the start.
    pub fn told(&self) -> Value {
        json!({
            "wanted": self.wanted,
            "connected": self.connected.told(),
            "handshaken": self.handshaken.told(),
            "settled": self.settled.told(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_said_once_and_stays_when_one_goes() {
        let at = Duration::from_secs;
        let mut milestones = Milestones::new(2);
        milestones.connected(at(1), at(1));
        milestones.connected(at(2), at(1));
        assert!(!milestones.handshaken(at(3), at(2)));
        milestones.ended(true, false);
        milestones.connected(at(4), at(1));
        assert!(!milestones.handshaken(at(5), at(1)), "one of two");
        assert!(!milestones.were_all_handshaken());
        assert!(milestones.handshaken(at(6), at(1)));
        milestones.ended(true, false);
        milestones.connected(at(7), at(1));
        assert!(!milestones.handshaken(at(8), at(1)), "not for the first time");
        let told = milestones.told();
        assert_eq!(
            (&told["handshaken"]["now"], &told["handshaken"]["all_s"]),
            (&2.into(), &6.0.into())
        );
        assert_eq!(
            (&told["settled"]["now"], &told["settled"]["all_s"]),
            (&0.into(), &Value::Null)
        );
        assert!(milestones.were_all_handshaken());
    }
}

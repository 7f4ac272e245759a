//! What happened, as a number always and as lines when somebody wants to read them.
//!
//! Every event of the world goes into the number, so two runs with the same number did the same. Lines cost more than the
//! run itself: they are made when a seed is run again.

use std::collections::VecDeque;

use crate::time::{MS, Ns};

/// How lines are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Not at all.
    None,
    /// The last so many.
    Last(usize),
    /// All of them.
    All,
}

/// The log of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    keep: Lines,
    lines: VecDeque<String>,
}

impl Trace {
    /// Nothing happened yet.
    pub fn new(keep: Lines) -> Trace {
        Trace {
            hash: 0xcbf2_9ce4_8422_2325,
            events: 0,
            keep,
            lines: VecDeque::new(),
        }
    }

    /// Something happened: what kind of thing, and two numbers that tell it apart.
    pub fn event(&mut self, now: Ns, kind: u64, a: u64, b: u64) {
        self.events += 1;
        for part in [now, kind, a, b] {
            self.hash = (self.hash ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// A line for a reader.
    pub fn line(&mut self, now: Ns, text: impl FnOnce() -> String) {
        match self.keep {
            Lines::None => return,
            Lines::Last(most) if self.lines.len() >= most => drop(self.lines.pop_front()),
            Lines::Last(_) | Lines::All => {}
        }
        let text = text();
        let line = format!("{:>5}.{:06} {text}", now / (1_000 * MS), now / 1_000 % 1_000_000);
        self.lines.push_back(line);
    }

    /// What stands for the whole run.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The lines that were kept.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

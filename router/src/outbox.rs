//! Holds what the machine said until what it wrote is durable. It does no I/O: the driver carries the writes to the store.
//!
//! ```text
//! turn 1: write a, publish x      the store writes a      x waits for a
//! turn 2: publish y                                       y waits for a too: what is said keeps its order
//! turn 3: publish z, write b      b waits for a           z waits for b
//! ```
//!
//! While the store works the machine goes on: a disk that stalls delays what is said, never what is heard. Writes that
//! come meanwhile share the next transaction.

use std::collections::VecDeque;

use crate::machine::Output;
use crate::store::Write;

/// Outputs that may wait for the store. A router this far ahead of its disk takes nothing new until the store has caught
/// up: [`Outbox::full`].
pub const HELD_MAX: usize = 65_536;
/// Bytes of what waits, outputs and writes together: a few desired states of a hundred thousand rules each, which are the largest
/// things a router says. Beyond it nothing new is taken either.
pub const HELD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What an output takes besides its text.
const OUTPUT_BYTES: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Writes that were said, ever.
    said: u64,
    /// How many of them are durable.
    durable: u64,
    /// How many are durable when the store answers, while it works.
    writing: Option<u64>,
    /// Those that the store was not given yet.
    unwritten: Vec<Write>,
    /// Outputs in the order they were said, with the number of writes that have to be durable before.
    held: VecDeque<(u64, Output)>,
    /// Bytes of `held`, and of `unwritten`.
    held_bytes: usize,
    unwritten_bytes: usize,
}

impl Outbox {
    /// Take everything a turn of the machine says. What it writes is durable before any of it leaves.
    pub fn turn(&mut self, said: impl IntoIterator<Item = Output>) {
        let mut others = Vec::new();
        for output in said {
            match output {
                Output::Store(write) => {
                    self.unwritten_bytes += weight_of(&write);
                    self.unwritten.push(write);
                }
                other => {
                    self.held_bytes += weight(&other);
                    others.push(other);
                }
            }
        }
        self.said = self.writing.unwrap_or(self.durable) + self.unwritten.len() as u64;
        self.held.extend(others.into_iter().map(|output| (self.said, output)));
    }

    /// What the store is to write in one transaction now. None while it works on the last, or when there is nothing.
    pub fn take_writes(&mut self) -> Option<Vec<Write>> {
        if self.writing.is_some() || self.unwritten.is_empty() {
            return None;
        }
        self.writing = Some(self.said);
        self.unwritten_bytes = 0;
        Some(std::mem::take(&mut self.unwritten))
    }

    /// What [`Outbox::take_writes`] gave last is durable.
    pub fn written(&mut self) {
        self.durable = self.writing.take().unwrap_or(self.durable);
    }

    /// The next output that may leave.
    pub fn poll(&mut self) -> Option<Output> {
        let (_, output) = self.held.pop_front_if(|(needs, _)| *needs <= self.durable)?;
        self.held_bytes -= weight(&output);
        Some(output)
    }

    /// So much waits that nothing new is to be taken.
    pub fn full(&self) -> bool {
        self.held.len() >= HELD_MAX || self.held_bytes + self.unwritten_bytes >= HELD_BYTES_MAX
    }

    /// Outputs that wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Nothing is with the store and nothing waits for it.
    pub fn idle(&self) -> bool {
        self.said == self.durable
    }
}

/// Bytes that an output takes, about. The same output weighs the same when it comes and when it goes.
fn weight(output: &Output) -> usize {
    let text = match output {
        Output::Publish { key, payload, .. } => key.len() + payload.len(),
        Output::Store(write) => weight_of(write),
        Output::Fact { text, .. } => text.len(),
        // Questions wait for their answers, and there are at most so many of them; what else there is, is small.
        _ => 0,
    };
    OUTPUT_BYTES + text
}

fn weight_of(write: &Write) -> usize {
    OUTPUT_BYTES
        + match write {
            Write::Put { id, body, .. } => id.len() + body.len(),
            Write::Delete { id, .. } => id.len(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(id: &str) -> Output {
        Output::Store(Write::Delete {
            kind: "flow",
            id: id.into(),
        })
    }

    fn say(text: &str) -> Output {
        Output::Fact {
            warn: false,
            text: text.into(),
        }
    }

    fn said(outbox: &mut Outbox) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(output) = outbox.poll() {
            match output {
                Output::Fact { text, .. } => all.push(text),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    fn ids(writes: Option<Vec<Write>>) -> Vec<String> {
        let id = |write| match write {
            Write::Put { id, .. } | Write::Delete { id, .. } => id,
        };
        writes.unwrap_or_default().into_iter().map(id).collect()
    }

    #[test]
    fn what_needs_no_store_leaves_at_once() {
        let mut outbox = Outbox::default();
        outbox.turn([say("x")]);
        assert!(outbox.idle());
        assert_eq!(said(&mut outbox), ["x"]);
    }

    #[test]
    fn nothing_of_a_turn_leaves_before_its_writes_are_durable_whatever_their_order() {
        let mut outbox = Outbox::default();
        outbox.turn([say("x"), write("a"), say("y")]);
        assert_eq!(said(&mut outbox), [""; 0]);
        assert_eq!(ids(outbox.take_writes()), ["a"]);
        assert_eq!(said(&mut outbox), [""; 0], "the store has not answered");
        outbox.written();
        assert_eq!(said(&mut outbox), ["x", "y"]);
    }

    #[test]
    fn what_is_said_while_the_store_works_waits_in_order_and_later_writes_share_a_transaction() {
        let mut outbox = Outbox::default();
        outbox.turn([write("a"), say("1")]);
        assert_eq!(ids(outbox.take_writes()), ["a"]);
        outbox.turn([say("2")]);
        outbox.turn([write("b"), say("3")]);
        outbox.turn([write("c"), say("4")]);
        assert_eq!(outbox.take_writes(), None, "one transaction at a time");
        assert_eq!(said(&mut outbox), [""; 0]);

        outbox.written();
        assert_eq!(said(&mut outbox), ["1", "2"], "neither hangs on b or c");
        assert_eq!(ids(outbox.take_writes()), ["b", "c"]);
        outbox.written();
        assert_eq!(said(&mut outbox), ["3", "4"]);
        assert!(outbox.idle());
    }

    #[test]
    fn a_full_outbox_says_so_until_the_store_has_caught_up() {
        let mut outbox = Outbox::default();
        outbox.turn([write("a")].into_iter().chain((1..HELD_MAX).map(|_| say("x"))));
        assert!(!outbox.full());
        assert_eq!(ids(outbox.take_writes()), ["a"]);
        outbox.turn([say("last")]);
        assert!(outbox.full());
        outbox.written();
        assert_eq!(said(&mut outbox).len(), HELD_MAX);
        assert!(!outbox.full());
    }

    #[test]
    fn large_things_fill_it_before_many_small_ones_do() {
        let mut outbox = Outbox::default();
        let large = |token| Output::Publish {
            topic: skerry_bus::Topic::Replies,
            partition: 0,
            key: "demo".into(),
            payload: vec![b'x'; HELD_BYTES_MAX / 4],
            token,
        };
        outbox.turn([write("a"), large(None), large(None), large(None)]);
        assert!(!outbox.full());
        outbox.turn([large(None)]);
        assert!(outbox.full());
        assert!(outbox.take_writes().is_some());
        outbox.written();
        assert!(outbox.poll().is_some());
        assert!(!outbox.full());
        while outbox.poll().is_some() {}
        assert_eq!((outbox.held_bytes, outbox.unwritten_bytes), (0, 0));
        // What is only written counts too.
        let put = |_| {
            Output::Store(Write::Put {
                kind: "object",
                id: "x".into(),
                body: "x".repeat(HELD_BYTES_MAX / 2),
            })
        };
        outbox.turn((0..2).map(put));
        assert!(outbox.full());
    }
}

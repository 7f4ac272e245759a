//! Holds what is said to a region until it is certain that the answer is heard. It does no I/O.
//!
//! A region's events are read from their end on. Where that is, the broker says some milliseconds after the router has started; an
//! answer that was written before is never read, and whoever waits for it waits for its whole deadline. So nothing is said to a
//! region in a partition before the reader stands somewhere in that partition of its events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skerry_bus::{Region, Topic};

use crate::machine::Output;

/// Commands that may wait for one region. A region whose events cannot be read at all (no such topic) is said nothing, and what is
/// said is said again when it lives: beyond this the oldest is dropped.
pub const WAITING_MAX: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub struct Gate {
    open: BTreeMap<Region, BTreeSet<i32>>,
    waiting: BTreeMap<Region, VecDeque<(i32, Output)>>,
}

impl Gate {
    /// Gives the output back if it may leave now; else it is kept. True: another one was dropped for it.
    pub fn pass(&mut self, output: Output) -> (Option<Output>, bool) {
        let Output::Publish {
            topic: Topic::RegionCommands(region),
            partition,
            ..
        } = &output
        else {
            return (Some(output), false);
        };
        if self.is_open(region, *partition) {
            return (Some(output), false);
        }
        let (region, partition) = (region.clone(), *partition);
        let waiting = self.waiting.entry(region).or_default();
        waiting.push_back((partition, output));
        let full = waiting.len() > WAITING_MAX;
        if full {
            waiting.pop_front();
        }
        (None, full)
    }

    /// The reader stands somewhere in this partition of a region's events: what waited for that, in its order.
    pub fn stands(&mut self, region: &Region, partition: i32) -> Vec<Output> {
        if self.is_open(region, partition) {
            return Vec::new();
        }
        self.open.entry(region.clone()).or_default().insert(partition);
        let Some(waiting) = self.waiting.get_mut(region) else {
            return Vec::new();
        };
        let (now, later): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(waiting).into_iter().partition(|(p, _)| *p == partition);
        *waiting = later;
        now.into_iter().map(|(_, output)| output).collect()
    }

    fn is_open(&self, region: &Region, partition: i32) -> bool {
        self.open.get(region).is_some_and(|open| open.contains(&partition))
    }

    /// It is another log: the reader stands nowhere.
    pub fn shut(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(region: &str, partition: i32, text: &str) -> Output {
        Output::Publish {
            topic: Topic::RegionCommands(region.parse().expect("a region")),
            partition,
            key: text.into(),
            payload: Vec::new(),
            token: None,
        }
    }

    fn keys(outputs: impl IntoIterator<Item = Output>) -> Vec<String> {
        let key = |output| match output {
            Output::Publish { key, .. } => key,
            other => panic!("{other:?}"),
        };
        outputs.into_iter().map(key).collect()
    }

    #[test]
    fn what_is_said_before_the_answer_can_be_heard_waits_in_its_order() {
        let (mut gate, east) = (Gate::default(), "east".parse().expect("a region"));
        for (partition, text) in [(0, "a"), (1, "b"), (0, "c")] {
            assert_eq!(gate.pass(say("east", partition, text)), (None, false));
        }
        assert_eq!(keys(gate.stands(&east, 0)), ["a", "c"]);
        assert_eq!(keys(gate.pass(say("east", 0, "d")).0), ["d"]);
        assert_eq!(keys(gate.stands(&east, 0)), [""; 0], "each once");
        assert_eq!(gate.pass(say("west", 0, "e")), (None, false), "another region");
        assert_eq!(keys(gate.stands(&east, 1)), ["b"]);
        gate.shut();
        assert_eq!(gate.pass(say("east", 0, "f")), (None, false));
        assert_eq!(keys(gate.stands(&east, 0)), ["f"]);
    }

    #[test]
    fn everything_else_passes() {
        let mut gate = Gate::default();
        let fact = Output::Fact {
            warn: false,
            text: "x".into(),
        };
        assert_eq!(gate.pass(fact.clone()), (Some(fact), false));
    }

    #[test]
    fn of_a_region_that_is_never_heard_the_newest_are_kept() {
        let (mut gate, east) = (Gate::default(), "east".parse().expect("a region"));
        for n in 0..WAITING_MAX {
            assert_eq!(gate.pass(say("east", 0, &n.to_string())), (None, false));
        }
        assert_eq!(gate.pass(say("east", 0, "last")), (None, true));
        let kept = keys(gate.stands(&east, 0));
        assert_eq!((kept.len(), kept[0].as_str()), (WAITING_MAX, "1"));
    }
}

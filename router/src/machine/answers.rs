//! Which commands of `skerry.v1.commands` are not answered yet: the committed offset of a partition is the lowest of them.
//!
//! An offset is committed when the answer is acknowledged by Kafka, never at hand-over (design section 3). So a router that
//! dies reads again what it did not answer, and commands are absolute, so that doing one twice changes nothing. It does not know
//! what a command asks.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use skerry_bus::{CorrelationId, Reply, ReplyBody, Topic};

use crate::defect::{self, Defect};

/// Answers that wait for their acknowledgement, with their payloads. Beyond that an answer is said without being kept: were it
/// lost, its requester would ask again.
const KEPT_MAX: usize = 65_536;

/// An answer as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Where: replies, or dead letters for what was no command.
    pub topic: Topic,
    /// Its key there.
    pub key: String,
    /// The answer.
    pub payload: Vec<u8>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Offsets that are not done with.
    open: BTreeSet<i64>,
    /// Offsets whose dead letter Kafka does not have yet.
    poison: BTreeSet<i64>,
    /// The offset after the last one that was read.
    next: i64,
    /// The offset that was committed last.
    committed: i64,
}

/// What is open.
#[derive(Debug, Default)]
pub struct Answers {
    partitions: BTreeMap<i32, Partition>,
    /// Where each command was read; the same id may have been read twice.
    waiting: HashMap<CorrelationId, VecDeque<(i32, i64)>>,
    /// Commands that are answered by several, and then for the whole.
    region_wide: BTreeSet<CorrelationId>,
    /// Answers on their way, by token, with the records that they answer.
    said: BTreeMap<u64, (Vec<(i32, i64)>, Said)>,
    /// Answers that Kafka did not take.
    again: VecDeque<u64>,
    token: u64,
}

impl Answers {
    /// A record was read, with a command (its name, and whether it ends with a sum of several answers) or without one;
    /// nothing is to be answered then.
    pub fn read(&mut self, partition: i32, offset: i64, command: Option<(&CorrelationId, bool)>) {
        let of = self.partitions.entry(partition).or_default();
        of.next = of.next.max(offset + 1);
        if let Some((id, summed)) = command {
            if !defect::is(Defect::CommittedEarly) {
                of.open.insert(offset);
            }
            if summed {
                self.region_wide.insert(id.clone());
            }
            self.waiting
                .entry(id.clone())
                .or_default()
                .push_back((partition, offset));
        }
    }

    /// A record was read that is no command: it is done with when Kafka has its dead letter. Gives the token of that.
    pub fn read_poison(&mut self, partition: i32, offset: i64, letter: Said) -> u64 {
        let of = self.partitions.entry(partition).or_default();
        of.next = of.next.max(offset + 1);
        of.poison.insert(offset);
        self.token += 1;
        self.said.insert(self.token, (vec![(partition, offset)], letter));
        self.token
    }

    /// A command is answered. Gives the token under which the answer is to be published, if it is the last one of the
    /// command; none: nothing hangs on it.
    pub fn answered(&mut self, reply: &Reply, said: Said) -> Option<(u64, Vec<(i32, i64)>)> {
        let id = &reply.correlation_id;
        // A command for one switch has one answer; one for many or for regions ends with the sum, unless it was refused whole.
        let one_of_many = matches!(&reply.body, ReplyBody::SwitchResult { result, .. } if result.switch.is_some());
        if one_of_many && self.region_wide.contains(id) {
            return None;
        }
        // Whatever came again while it was under way waited for this answer too.
        let places: Vec<_> = self.waiting.remove(id)?.into();
        self.region_wide.remove(id);
        if self.said.len() >= KEPT_MAX {
            self.done(places);
            return None;
        }
        self.token += 1;
        self.said.insert(self.token, (places.clone(), said));
        Some((self.token, places))
    }

    /// Kafka has the answer.
    pub fn delivered(&mut self, token: u64) {
        let Some((places, said)) = self.said.remove(&token) else {
            return;
        };
        if said.topic != Topic::DeadLetter {
            return self.done(places);
        }
        for (partition, offset) in places {
            if let Some(of) = self.partitions.get_mut(&partition) {
                of.poison.remove(&offset);
            }
        }
    }

    /// Kafka did not take the answer: it is to be said again.
    pub fn not_delivered(&mut self, token: u64) {
        if self.said.contains_key(&token) {
            self.again.push_back(token);
        }
    }

    /// An answer that is to be said again, if there is one.
    pub fn say_again(&mut self) -> Option<(u64, Said)> {
        let token = self.again.pop_front()?;
        self.said.get(&token).map(|(_, said)| (token, said.clone()))
    }

    /// An offset that can be committed now: partition, and the next offset to read.
    pub fn commit(&mut self) -> Option<(i32, i64)> {
        for (number, partition) in &mut self.partitions {
            let first = [partition.open.first(), partition.poison.first()];
            let lowest = first.into_iter().flatten().min().copied().unwrap_or(partition.next);
            if lowest > partition.committed {
                partition.committed = lowest;
                return Some((*number, lowest));
            }
        }
        None
    }

    fn done(&mut self, places: Vec<(i32, i64)>) {
        for (partition, offset) in places {
            if let Some(of) = self.partitions.get_mut(&partition) {
                of.open.remove(&offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use skerry_bus::reply::CommandResult;
    use skerry_bus::{Outcome, SwitchId};

    use super::*;

    fn id(text: &str) -> CorrelationId {
        text.parse().expect("a correlation id")
    }

    fn reply(id: &str) -> Reply {
        let (switch, outcome) = (Some(SwitchId(1)), Outcome::Applied);
        let result = CommandResult {
            switch,
            outcome,
            cause: None,
            generation: None,
            messages: 0,
            objects: None,
        };
        Reply {
            correlation_id: id.parse().expect("a correlation id"),
            body: ReplyBody::SwitchResult {
                result,
                dump: None,
                plan: None,
            },
        }
    }

    fn said() -> Said {
        Said {
            topic: Topic::Replies,
            key: "demo".into(),
            payload: b"{}".to_vec(),
        }
    }

    #[test]
    fn the_lowest_unanswered_offset_is_committed_and_only_after_the_acknowledgement() {
        let mut answers = Answers::default();
        answers.read(0, 5, Some((&id("a"), false)));
        answers.read(0, 6, Some((&id("b"), false)));
        answers.read(0, 7, None);
        assert_eq!(answers.commit(), Some((0, 5)), "everything before the first");
        let (b, _) = answers.answered(&reply("b"), said()).expect("b was asked");
        answers.delivered(b);
        assert_eq!(answers.commit(), None, "a is not answered");
        let (a, _) = answers.answered(&reply("a"), said()).expect("a was asked");
        assert_eq!(answers.commit(), None, "its answer is on its way");
        answers.delivered(a);
        assert_eq!(answers.commit(), Some((0, 8)));
        assert_eq!(answers.commit(), None);
        assert_eq!(answers.answered(&reply("a"), said()), None, "nobody asked");
    }

    #[test]
    fn an_answer_that_was_not_taken_is_said_again_and_holds_the_offset() {
        let mut answers = Answers::default();
        answers.read(3, 0, Some((&id("a"), false)));
        let (token, _) = answers.answered(&reply("a"), said()).expect("asked");
        answers.not_delivered(token);
        assert_eq!(answers.commit(), None);
        assert_eq!(answers.say_again(), Some((token, said())));
        assert_eq!(answers.say_again(), None);
        answers.delivered(token);
        assert_eq!(answers.commit(), Some((3, 1)));
    }

    #[test]
    fn a_command_that_came_again_while_it_was_under_way_is_done_with_the_one_answer() {
        let mut answers = Answers::default();
        answers.read(0, 0, Some((&id("a"), false)));
        answers.read(0, 1, Some((&id("a"), false)));
        let (token, places) = answers.answered(&reply("a"), said()).expect("asked");
        assert_eq!(places, [(0, 0), (0, 1)]);
        assert_eq!(answers.commit(), None);
        answers.delivered(token);
        assert_eq!(answers.commit(), Some((0, 2)));

        answers.read(0, 2, Some((&id("a"), false)));
        let (token, _) = answers
            .answered(&reply("a"), said())
            .expect("asked again, behind the answer");
        answers.delivered(token);
        assert_eq!(answers.commit(), Some((0, 3)));
    }

    #[test]
    fn a_region_wide_command_is_done_with_its_sum() {
        let mut answers = Answers::default();
        answers.read(0, 0, Some((&id("a"), true)));
        assert_eq!(answers.answered(&reply("a"), said()), None, "one region of several");
        let done = Reply {
            body: ReplyBody::Done {
                applied: 2,
                not_applied: 0,
            },
            ..reply("a")
        };
        let (token, _) = answers.answered(&done, said()).expect("the whole");
        answers.delivered(token);
        assert_eq!(answers.commit(), Some((0, 1)));

        answers.read(0, 1, Some((&id("b"), true)));
        let mut refused = reply("b");
        if let ReplyBody::SwitchResult { result, .. } = &mut refused.body {
            result.switch = None;
        }
        let (token, _) = answers.answered(&refused, said()).expect("the whole was refused");
        answers.delivered(token);
        assert_eq!(answers.commit(), Some((0, 2)));
    }
}

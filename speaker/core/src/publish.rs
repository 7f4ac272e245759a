//! Everything the speaker says on Kafka: positions, heartbeats, answers that are kept until they are safe, and what happens
//! while Kafka is away.
//!
//! It does not know switches: the composed machine writes snapshots through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::topic::partition_of;
use skerry_bus::{
    CorrelationId, Epoch, Latency, LatencyBody, Region, RegionEvent, RegionEventBody, Seq, Topic, chunk, encode,
};

use crate::fact::Counter;
use crate::io::{Config, Output};

/// Answers that may wait for Kafka. Commands come through Kafka too, so more than the lanes hold can only pile up when
/// Kafka takes commands out and no answers in; the oldest answer is dropped then, and the router answers `failed` itself.
pub const ANSWERS_MAX: usize = 16_384;
/// Heartbeats on their way that are remembered: more than a message may wait to be acknowledged, in all partitions.
const BEATS_MAX: usize = 1_024;
/// How often an answer is tried. What Kafka refuses that often (such as a record it finds too large) it will not take.
const TRIES_MAX: u32 = 5;
/// Least time between two snapshots that follow lost records, so that a flapping broker is not buried in snapshots.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);

/// A record of the command topic that is owed an answer.
pub(crate) type Owed = (i32, i64);

/// What an answer consists of, in order.
pub(crate) type Parts = Vec<(Option<CorrelationId>, RegionEventBody)>;

#[derive(Debug)]
struct Answer {
    partition: i32,
    key: String,
    parts: Parts,
    owed: Vec<Owed>,
    /// Its number on disk.
    number: Option<u64>,
    open: BTreeSet<u64>,
    failed: bool,
    tries: u32,
}

/// The voice of the speaker.
#[derive(Debug)]
pub(crate) struct Publisher {
    region: Region,
    epoch: Epoch,
    name: String,
    heartbeat: Duration,
    /// Next position per partition of the events topic and of the latency topic.
    seqs: Vec<Seq>,
    latency_seqs: Vec<Seq>,
    next_token: u64,
    next_answer: u64,
    up: bool,
    coalesced: u64,
    heartbeat_at: Instant,
    /// Heartbeats on their way: the token of each, and when it was written.
    beats: VecDeque<(u64, Instant)>,
    answers: BTreeMap<u64, Answer>,
    tokens: BTreeMap<u64, u64>,
    /// Answers that are to be sent (again) as soon as Kafka is seen to work.
    unsent: BTreeSet<u64>,
    /// Numbers of answers that Kafka has, or never will: taken out by the composed machine.
    settled: Vec<u64>,
    /// Records were lost: a snapshot is due as soon as Kafka is seen to work.
    lost: bool,
    snapshot_at: Instant,
}

impl Publisher {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let partitions = usize::try_from(config.partitions).unwrap_or(0).max(1);
        Publisher {
            region: config.region.clone(),
            epoch: config.epoch,
            name: config.name.clone(),
            heartbeat: config.heartbeat,
            seqs: vec![Seq(1); partitions],
            latency_seqs: vec![Seq(1); partitions],
            next_token: 1,
            next_answer: 1,
            up: false,
            coalesced: 0,
            heartbeat_at: now,
            beats: VecDeque::new(),
            answers: BTreeMap::new(),
            tokens: BTreeMap::new(),
            unsent: BTreeSet::new(),
            settled: Vec::new(),
            lost: false,
            snapshot_at: now,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// Answers that Kafka has not taken yet.
    pub(crate) fn answers_waiting(&self) -> usize {
        self.answers.len()
    }

    pub(crate) fn partitions(&self) -> i32 {
        self.seqs.len() as i32
    }

    pub(crate) fn partition_of(&self, key: &str) -> i32 {
        partition_of(key, self.partitions())
    }

    /// Kafka can be reached or not. Gives whether that is news.
    pub(crate) fn set_up(&mut self, now: Instant, up: bool) -> bool {
        let news = self.up != up;
        self.up = up;
        if news && up {
            self.heartbeat_at = now;
        }
        news
    }

    /// Tell an event of a switch's lane, or count it: while Kafka is away only the state itself is kept, and a snapshot
    /// tells it on return.
    pub(crate) fn event(&mut self, at_ms: u64, key: &str, body: RegionEventBody, out: &mut VecDeque<Output>) {
        if !self.up {
            let counter = match body {
                RegionEventBody::SwitchRefused { .. } | RegionEventBody::LinkDigest { .. } => Counter::EventDropped,
                _ => {
                    self.coalesced += 1;
                    Counter::Coalesced
                }
            };
            out.push_back(Output::Count { counter, by: 1 });
            return;
        }
        let partition = self.partition_of(key);
        self.write(at_ms, partition, key, None, body, out);
    }

    /// Write into one partition now. Gives the tokens of its records.
    pub(crate) fn write(
        &mut self,
        at_ms: u64,
        partition: i32,
        key: &str,
        correlation_id: Option<CorrelationId>,
        body: RegionEventBody,
        out: &mut VecDeque<Output>,
    ) -> Vec<u64> {
        let Some(seq) = usize::try_from(partition).ok().and_then(|p| self.seqs.get_mut(p)) else {
            return Vec::new();
        };
        let position = *seq;
        *seq = position.next();
        let payload = encode(&RegionEvent {
            region: self.region.clone(),
            epoch: self.epoch,
            seq: position,
            at_ms,
            correlation_id,
            body,
        });
        let name = format!("{}.{}.{partition}.{position}", self.region, self.epoch);
        chunk::split(&name, payload)
            .map(|payload| {
                let token = self.next_token;
                self.next_token += 1;
                out.push_back(Output::Publish {
                    topic: Topic::RegionEvents(self.region.clone()),
                    partition,
                    key: key.to_owned(),
                    payload: payload.into_owned(),
                    token: Some(token),
                });
                token
            })
            .collect()
    }

    /// Numbers on disk of answers that need not be sent any more.
    pub(crate) fn take_settled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.settled)
    }

    /// Tell the end of a command. It is kept until Kafka has it.
    #[allow(clippy::too_many_arguments)] // where it goes, what it says and what it answers
    pub(crate) fn answer(
        &mut self,
        at_ms: u64,
        partition: i32,
        key: String,
        parts: Parts,
        owed: Vec<Owed>,
        number: Option<u64>,
        out: &mut VecDeque<Output>,
    ) -> Option<Vec<Owed>> {
        let id = self.next_answer;
        self.next_answer += 1;
        let mut dropped = None;
        if self.answers.len() >= ANSWERS_MAX
            && let Some((oldest, answer)) = self.answers.pop_first()
        {
            self.unsent.remove(&oldest);
            for token in &answer.open {
                self.tokens.remove(token);
            }
            out.push_back(Output::Count {
                counter: Counter::AnswerDropped,
                by: 1,
            });
            self.settled.extend(answer.number);
            dropped = Some(answer.owed);
        }
        self.answers.insert(
            id,
            Answer {
                partition,
                key,
                parts,
                owed,
                number,
                open: BTreeSet::new(),
                failed: false,
                tries: 0,
            },
        );
        if self.up {
            self.send(at_ms, id, out);
        } else {
            self.unsent.insert(id);
        }
        dropped
    }

    fn send(&mut self, at_ms: u64, id: u64, out: &mut VecDeque<Output>) {
        let Some(mut answer) = self.answers.remove(&id) else {
            return;
        };
        answer.tries += 1;
        answer.failed = false;
        answer.open.clear();
        for (correlation_id, body) in answer.parts.clone() {
            let tokens = self.write(at_ms, answer.partition, &answer.key, correlation_id, body, out);
            for token in tokens {
                self.tokens.insert(token, id);
                answer.open.insert(token);
            }
        }
        self.answers.insert(id, answer);
    }

    /// Send what waits. Call when Kafka is seen to work.
    ///
    /// A switch's state that was part of an answer is left out: it is as old as the answer, and the snapshot that follows every
    /// time in which something could not be said tells the newer one. Behind that it would bring back a switch that has left.
    pub(crate) fn resend(&mut self, at_ms: u64, out: &mut VecDeque<Output>) {
        for id in std::mem::take(&mut self.unsent) {
            if let Some(answer) = self.answers.get_mut(&id) {
                answer
                    .parts
                    .retain(|(_, body)| !matches!(body, RegionEventBody::SwitchChanged { .. }));
            }
            self.send(at_ms, id, out);
        }
    }

    /// A record is safe. Gives the command records whose answer is whole now.
    pub(crate) fn delivered(&mut self, token: u64) -> Vec<Owed> {
        let Some(id) = self.tokens.remove(&token) else {
            return Vec::new();
        };
        self.settle(id, token, false)
    }

    /// A record is lost. Gives the command records whose answer is given up.
    pub(crate) fn not_delivered(&mut self, token: u64, out: &mut VecDeque<Output>) -> Vec<Owed> {
        out.push_back(Output::Count {
            counter: Counter::NotDelivered,
            by: 1,
        });
        self.lost = true;
        let Some(id) = self.tokens.remove(&token) else {
            return Vec::new();
        };
        let given_up = self.settle(id, token, true);
        if !given_up.is_empty() {
            out.push_back(Output::Count {
                counter: Counter::AnswerDropped,
                by: 1,
            });
        }
        given_up
    }

    fn settle(&mut self, id: u64, token: u64, failed: bool) -> Vec<Owed> {
        let Some(answer) = self.answers.get_mut(&id) else {
            return Vec::new();
        };
        answer.open.remove(&token);
        answer.failed |= failed;
        if !answer.open.is_empty() {
            return Vec::new();
        }
        if answer.failed && answer.tries < TRIES_MAX {
            self.unsent.insert(id);
            return Vec::new();
        }
        let Some(answer) = self.answers.remove(&id) else {
            return Vec::new();
        };
        self.settled.extend(answer.number);
        answer.owed
    }

    /// Whether records were lost and it is time to tell everything again.
    pub(crate) fn take_lost(&mut self, now: Instant) -> bool {
        if !self.lost || !self.up || now < self.snapshot_at {
            return false;
        }
        self.snapshot_written(now);
        true
    }

    /// A full snapshot was just written.
    pub(crate) fn snapshot_written(&mut self, now: Instant) {
        self.lost = false;
        self.snapshot_at = now + SNAPSHOT_PAUSE;
    }

    /// A measurement: no token, never sent again.
    pub(crate) fn latency(&mut self, at_ms: u64, body: LatencyBody, out: &mut VecDeque<Output>) {
        if !self.up {
            out.push_back(Output::Count {
                counter: Counter::LatencyBusDown,
                by: 1,
            });
            return;
        }
        let key = body.key();
        let partition = self.partition_of(&key);
        let Some(seq) = usize::try_from(partition)
            .ok()
            .and_then(|p| self.latency_seqs.get_mut(p))
        else {
            return;
        };
        let position = *seq;
        *seq = position.next();
        let payload = encode(&Latency {
            region: self.region.clone(),
            epoch: self.epoch,
            seq: position,
            at_ms,
            body,
        });
        out.push_back(Output::Publish {
            topic: Topic::Latency(self.region.clone()),
            partition,
            key,
            payload,
            token: None,
        });
    }

    /// When the next heartbeat is due; none while Kafka is away.
    pub(crate) fn heartbeat_at(&self) -> Option<Instant> {
        self.up.then_some(self.heartbeat_at)
    }

    /// Write the heartbeat into every partition if it is due.
    pub(crate) fn beat(&mut self, now: Instant, at_ms: u64, switches: u32, out: &mut VecDeque<Output>) {
        if !self.up || now < self.heartbeat_at {
            return;
        }
        // From now, not from when it was due: a process that stood still does not owe the beats it missed.
        self.heartbeat_at = now + self.heartbeat;
        let coalesced = self.coalesced;
        let key = self.region.to_string();
        for partition in 0..self.partitions() {
            let speaker = self.name.clone();
            let body = RegionEventBody::Heartbeat {
                switches,
                coalesced,
                speaker,
            };
            let tokens = self.write(at_ms, partition, &key, None, body, out);
            self.beats.extend(tokens.into_iter().map(|token| (token, now)));
        }
        while self.beats.len() > BEATS_MAX {
            self.beats.pop_front();
        }
    }

    /// When a heartbeat was written that Kafka has now; none: the record is no heartbeat.
    pub(crate) fn beat_delivered(&mut self, token: u64) -> Option<Instant> {
        let at = self.beats.iter().position(|(beat, _)| *beat == token)?;
        self.beats.remove(at).map(|(_, written)| written)
    }
}

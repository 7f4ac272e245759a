//! Records on their way: from a sender to the log, word of it back, from the log to its readers, commits, and what becomes of all
//! that while somebody cannot reach the log.

use std::sync::Arc;

use bytes::Bytes;
use skerry_bus::Topic;
use skerry_bus::topic::partition_of;

use crate::client::{Client, ClientId, Message, Queue, Reading, Who};
use crate::event::Event;
use crate::judge::contains;
use crate::log::{Group, Record, Tp};
use crate::time::{MS, Ns, US, broker_ms};
use crate::world::World;

/// Records handed over at one time.
const BATCH_MAX: usize = 64;
/// How often it is looked which records are to be given up, while the log cannot be reached.
const EXPIRE: Ns = 500 * MS;

impl World {
    /// One way between a process and the log.
    fn way(&mut self) -> Ns {
        // Mostly under a millisecond, now and then much more: partitions overtake each other.
        let long = self.random.percent(3);
        self.random.between(100, if long { 15_000 } else { 900 }) * US
    }

    /// Whether a client's process and the log hear each other.
    pub(crate) fn reaches(&self, client: ClientId) -> bool {
        self.away == 0 && self.cut(self.clients[client.0].who) == 0
    }

    /// A process that starts has a new client.
    pub(crate) fn new_client(&mut self, who: Who, group: Group, topics: &[Topic]) -> ClientId {
        let id = ClientId(self.clients.len());
        let mut client = Client::new(who, group);
        for topic in topics {
            for tp in self.log.of_topic(topic) {
                self.readers[tp.0].push((id, client.reads.len()));
                client.reads.push(Reading {
                    tp,
                    next: None,
                    caught_up: false,
                    fetching: false,
                    last_fetch: 0,
                });
            }
        }
        self.clients.push(client);
        let begin = self.now + self.random.between(3, 60) * MS;
        self.agenda.put(begin, Event::Begin { client: id });
        let health = self.now + self.random.between(3, 60) * MS;
        self.agenda.put(health, Event::Health { client: id });
        if !self.reaches(id) {
            self.agenda.put(self.now + EXPIRE, Event::Expire { client: id });
        }
        id
    }

    /// The process is gone. Of what it had sent, some from the beginning arrives: soon, or late.
    pub(crate) fn end_client(&mut self, id: ClientId, late: bool) {
        let reachable = self.reaches(id);
        for readers in &mut self.readers {
            readers.retain(|(client, _)| *client != id);
        }
        let now = self.now;
        let tps: Vec<Tp> = self.clients[id.0].queues.keys().copied().collect();
        let delay = if late { self.random.between(20, 1_500) * MS } else { 0 };
        let client = &mut self.clients[id.0];
        client.alive = false;
        client.commits.clear();
        client.held_until = now + delay;
        for tp in tps {
            let random = &mut self.random;
            let Some(queue) = self.clients[id.0].queues.get_mut(&tp) else {
                continue;
            };
            let stays = match reachable {
                true if late => queue.waiting.len() as u64,
                true => random.below(queue.waiting.len() as u64 + 1),
                false => 0,
            };
            queue.waiting.truncate(stays as usize);
            queue.stored.clear();
            if late {
                for _ in 0..stays {
                    self.agenda.put(now + delay, Event::Arrive { client: id, tp });
                }
            }
        }
    }

    /// Send a record. False: it was not taken.
    pub(crate) fn send(
        &mut self,
        id: ClientId,
        topic: &Topic,
        partition: i32,
        key: String,
        payload: Vec<u8>,
        token: Option<u64>,
    ) -> bool {
        if self.clients[id.0].up != Some(true) {
            return false;
        }
        let Some(tp) = self.log.tp(topic, partition) else {
            self.fail("topics", format!("{topic} partition {partition} does not exist"));
            return false;
        };
        let reaches = self.reaches(id);
        let way = self.way();
        let now = self.now;
        let queue = self.clients[id.0].queues.entry(tp).or_default();
        queue.waiting.push_back(Message {
            key: key.into(),
            payload: Bytes::from(payload),
            token,
            since: now,
        });
        if reaches {
            let at = queue.last_arrival.max(now + way);
            queue.last_arrival = at;
            self.agenda.put(at, Event::Arrive { client: id, tp });
        }
        true
    }

    /// A record reaches the log.
    pub(crate) fn arrive(&mut self, id: ClientId, tp: Tp) {
        if !self.reaches(id) || self.now < self.clients[id.0].held_until {
            return;
        }
        let Some(queue) = self.clients[id.0].queues.get_mut(&tp) else {
            return;
        };
        let Some(message) = queue.waiting.pop_front() else {
            return;
        };
        let ms = broker_ms(self.now);
        let alive = self.clients[id.0].alive;
        let twice = self.random.percent(self.scenario.duplicates_percent);
        if self.is_lost(tp, &message.payload) {
            let now = self.now;
            self.trace.line(now, || {
                format!("log loses {}", String::from_utf8_lossy(&message.payload))
            });
        } else {
            self.append(tp, message.key.clone(), message.payload.clone(), Some(id), false);
        }
        if twice {
            self.append(tp, message.key, message.payload, Some(id), true);
        }
        if alive {
            let way = self.way();
            let now = self.now;
            if let Some(queue) = self.clients[id.0].queues.get_mut(&tp) {
                queue.stored.push_back((message.token, ms, message.since));
                let at = queue.last_ack.max(now + way);
                queue.last_ack = at;
                self.agenda.put(at, Event::Ack { client: id, tp });
            }
        }
    }

    /// Whether the log loses a record that it says it has: news of a switch, never the answer to a command.
    fn is_lost(&mut self, tp: Tp, payload: &[u8]) -> bool {
        const NEWS: [&[u8]; 4] = [
            b"\"switch_connected\"",
            b"\"switch_disconnected\"",
            b"\"port_changed\"",
            b"\"lost_role\"",
        ];
        self.scenario.lost_percent > 0
            && matches!(self.log.topic(tp), Topic::RegionEvents(_))
            && NEWS.iter().any(|news| contains(payload, news))
            && self.random.percent(self.scenario.lost_percent)
    }

    /// One more record in the log: its readers are on their way to it.
    pub(crate) fn append(&mut self, tp: Tp, key: Arc<str>, payload: Bytes, by: Option<ClientId>, again: bool) {
        let ms = broker_ms(self.now);
        let offset = self.log.append(
            tp,
            Record {
                key,
                payload: payload.clone(),
                ms,
            },
        );
        self.trace.event(self.now, 40, tp.0 as u64, payload.len() as u64);
        let now = self.now;
        let log = &self.log;
        self.trace.line(now, || {
            let (topic, partition) = (log.topic(tp), log.partition(tp));
            let text = String::from_utf8_lossy(&payload);
            format!("log {topic} {partition} @{offset}: {text}")
        });
        let by = by.map(|by| self.clients[by.0].who);
        let topic = self.log.topic(tp).clone();
        self.judge.appended(&topic, tp, offset, &payload, by, again);
        for at in 0..self.readers[tp.0].len() {
            let (id, read) = self.readers[tp.0][at];
            self.fetch_soon(id, read);
        }
    }

    /// A service's command reaches the log.
    pub(crate) fn service_says(&mut self, n: usize, key: &str, payload: Vec<u8>) {
        let partition = partition_of(key, self.scenario.partitions as i32);
        if let Some(tp) = self.log.tp(&Topic::Commands, partition) {
            let offset = self.log.end(tp);
            self.judge.asked(&self.asked, n, tp, offset);
            self.append(tp, key.into(), payload.into(), None, false);
        }
    }

    /// Records are, or may be, there for a reader.
    fn fetch_soon(&mut self, id: ClientId, read: usize) {
        if !self.reaches(id) {
            return;
        }
        let slow = self.slow(self.clients[id.0].who);
        let way = self.way() + slow;
        let now = self.now;
        let reading = &mut self.clients[id.0].reads[read];
        if reading.fetching || reading.next.is_none() {
            return;
        }
        reading.fetching = true;
        let at = reading.last_fetch.max(now + way);
        reading.last_fetch = at;
        self.agenda.put(at, Event::Fetch { client: id, read });
    }

    /// It is found out where reading begins.
    pub(crate) fn begin(&mut self, id: ClientId) {
        if !self.clients[id.0].alive {
            return;
        }
        if !self.reaches(id) {
            let again = self.now + 50 * MS;
            return self.agenda.put(again, Event::Begin { client: id });
        }
        for read in 0..self.clients[id.0].reads.len() {
            let Client { reads, group, .. } = &self.clients[id.0];
            let tp = reads[read].tp;
            let next = match self.log.topic(tp) {
                Topic::Commands | Topic::RegionCommands(_) => self.log.committed(*group, tp),
                _ => self.log.end(tp),
            };
            self.clients[id.0].reads[read].next = Some(next);
            self.fetch_soon(id, read);
        }
    }

    /// Records reach their reader.
    pub(crate) fn fetch(&mut self, id: ClientId, read: usize) {
        if !self.clients[id.0].alive {
            return;
        }
        self.clients[id.0].reads[read].fetching = false;
        if !self.reaches(id) {
            return;
        }
        let who = self.clients[id.0].who;
        let Reading { tp, next, .. } = self.clients[id.0].reads[read];
        let Some(mut next) = next else { return };
        for _ in 0..BATCH_MAX {
            let Some(record) = self.log.record(tp, next).cloned() else {
                break;
            };
            self.clients[id.0].reads[read].next = Some(next + 1);
            match who {
                Who::Speaker(n) => self.speaker_reads(n, tp, next, record),
                Who::Router(n) => self.router_reads(n, tp, next, record, read),
            }
            next += 1;
            // What it did with the record may have ended it.
            if !self.clients[id.0].alive {
                return;
            }
        }
        if next < self.log.end(tp) {
            self.fetch_soon(id, read);
        } else if !std::mem::replace(&mut self.clients[id.0].reads[read].caught_up, true)
            && let Who::Router(n) = who
        {
            self.router_caught_up(n, tp);
        }
    }

    /// Word of a stored record reaches its sender.
    pub(crate) fn ack(&mut self, id: ClientId, tp: Tp) {
        if !self.clients[id.0].alive || !self.reaches(id) {
            return;
        }
        let queue = self.clients[id.0].queues.get_mut(&tp);
        if let Some((token, ms, _)) = queue.and_then(|queue| queue.stored.pop_front()) {
            self.delivered(id, token, ms);
        }
    }

    fn delivered(&mut self, id: ClientId, token: Option<u64>, ms: u64) {
        match self.clients[id.0].who {
            Who::Speaker(n) => {
                if let Some(token) = token {
                    self.speaker_delivered(n, token, ms);
                }
            }
            Who::Router(n) => self.router_delivered(n, token, ms),
        }
    }

    /// A record was given up, or not taken.
    pub(crate) fn not_delivered(&mut self, id: ClientId, token: u64) {
        if !self.clients[id.0].alive {
            return;
        }
        match self.clients[id.0].who {
            Who::Speaker(n) => self.speaker_not_delivered(n, token),
            Who::Router(n) => self.router_not_delivered(n, token),
        }
    }

    /// Records that waited too long are given up, whether they are stored or not.
    pub(crate) fn expire(&mut self, id: ClientId) {
        if !self.clients[id.0].alive || self.reaches(id) {
            return;
        }
        let before = self.now.saturating_sub(self.scenario.message_timeout);
        let mut tokens = Vec::new();
        for queue in self.clients[id.0].queues.values_mut() {
            while let Some((token, ..)) = queue.stored.pop_front_if(|(_, _, since)| *since < before) {
                tokens.extend(token);
            }
            while let Some(message) = queue.waiting.pop_front_if(|message| message.since < before) {
                tokens.extend(message.token);
            }
        }
        for token in tokens {
            self.not_delivered(id, token);
        }
        self.agenda.put(self.now + EXPIRE, Event::Expire { client: id });
    }

    /// Whoever could reach the log cannot any more.
    pub(crate) fn lost_log(&mut self, id: ClientId) {
        let broke = self.now + self.random.below(300 * MS);
        self.agenda.put(broke, Event::Broke { client: id });
        let health = self.now + self.random.between(1_000, 2_000) * MS;
        self.agenda.put(health, Event::Health { client: id });
        self.agenda.put(self.now + EXPIRE, Event::Expire { client: id });
    }

    /// Whoever could not reach the log can again: what waits goes on its way.
    pub(crate) fn found_log(&mut self, id: ClientId) {
        let health = self.now + self.random.between(5, 350) * MS;
        self.agenda.put(health, Event::Health { client: id });
        let broke = self.now + self.random.below(5 * MS);
        self.agenda.put(broke, Event::Broke { client: id });
        let tps: Vec<Tp> = self.clients[id.0].queues.keys().copied().collect();
        for tp in tps {
            let way = self.way() + self.random.below(250 * MS);
            let now = self.now;
            let Some(queue) = self.clients[id.0].queues.get_mut(&tp) else {
                continue;
            };
            let Queue { waiting, stored, .. } = &*queue;
            let (waiting, stored) = (waiting.len(), stored.len());
            let at = queue.last_arrival.max(now + way);
            queue.last_arrival = at;
            queue.last_ack = queue.last_ack.max(at);
            for _ in 0..waiting {
                self.agenda.put(at, Event::Arrive { client: id, tp });
            }
            for _ in 0..stored {
                self.agenda.put(at, Event::Ack { client: id, tp });
            }
        }
        for read in 0..self.clients[id.0].reads.len() {
            self.fetch_soon(id, read);
        }
        self.commit_soon(id);
    }

    /// A reader learns that its connection broke: it does not know any more where it stands.
    pub(crate) fn broke(&mut self, id: ClientId) {
        if !self.clients[id.0].alive {
            return;
        }
        let who = self.clients[id.0].who;
        for read in 0..self.clients[id.0].reads.len() {
            let reading = &mut self.clients[id.0].reads[read];
            if std::mem::replace(&mut reading.caught_up, false) {
                let tp = reading.tp;
                if let Who::Router(n) = who {
                    self.router_behind(n, tp);
                }
            }
            self.fetch_soon(id, read);
        }
    }

    /// It is looked whether the log answers, and the process is told what is new.
    pub(crate) fn health(&mut self, id: ClientId) {
        if !self.clients[id.0].alive {
            return;
        }
        let up = self.reaches(id);
        if self.clients[id.0].up.replace(up) == Some(up) {
            return;
        }
        let now = self.now;
        let who = self.clients[id.0].who;
        self.trace.line(now, || {
            format!("{who:?} {} the log", if up { "reaches" } else { "misses" })
        });
        match who {
            Who::Speaker(n) => self.speaker_bus(n, up),
            Who::Router(n) => self.router_bus(n, up),
        }
    }

    /// A process says what it is done with.
    pub(crate) fn done_with(&mut self, id: ClientId, tp: Tp, offset: i64) {
        self.clients[id.0].commits.insert(tp, offset);
        self.commit_soon(id);
    }

    fn commit_soon(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0];
        if client.commits.is_empty() || std::mem::replace(&mut client.committing, true) {
            return;
        }
        let at = self.now + self.random.between(2, 110) * MS;
        self.agenda.put(at, Event::Commit { client: id });
    }

    /// Commits reach the log.
    pub(crate) fn commit(&mut self, id: ClientId) {
        self.clients[id.0].committing = false;
        if !self.clients[id.0].alive || !self.reaches(id) {
            return;
        }
        let group = self.clients[id.0].group;
        for (tp, offset) in std::mem::take(&mut self.clients[id.0].commits) {
            self.log.commit(group, tp, offset);
            self.judge.committed(group, tp, offset);
        }
    }
}

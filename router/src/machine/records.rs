//! Records as they are read: which machine each is for, and what becomes of one that is none.

use std::time::{Duration, Instant};

use skerry_bus::reply::CommandResult;
use skerry_bus::service::DeadLetter;
use skerry_bus::topic::partition_of;
use skerry_bus::{
    Cause, Command, CommandHead, Decoded, EventHead, Latency, LatencyBody, LinkId, Outcome, RegionEvent, Reply,
    ReplyBody, SwitchId, Topic, decode, encode,
};
use skerry_monitor as monitor;
use skerry_router_core::routing::Lasts;
use skerry_router_core::{presence, routing};

use super::Router;
use super::answers::Said;

/// Longest payload that is copied into a dead letter, in characters.
const DEAD_LETTER_PAYLOAD_MAX: usize = 4_096;
/// Longest key that is copied, in characters: those of the contract are much shorter.
const KEY_MAX: usize = 256;

/// A record as it was read.
#[derive(Clone, Copy)]
pub(super) struct Read<'r> {
    pub topic: &'r Topic,
    pub partition: i32,
    pub offset: i64,
    pub record_ms: u64,
    pub caught_up: bool,
    pub key: &'r [u8],
    pub payload: &'r [u8],
}

impl Router {
    pub(super) fn record(&mut self, now: Instant, read: Read) {
        match read.topic {
            Topic::RegionEvents(region) => match decode::<RegionEvent>(read.payload) {
                Decoded::Message(event) if event.region != *region => {
                    let cause = format!("region: {} speaks on the topic of region {region}", event.region);
                    self.dead_letter(read, cause);
                }
                Decoded::Message(event) => match self.misplaced(read, event.body.switch()) {
                    None => {
                        let input = presence::Input::Event {
                            partition: read.partition,
                            record_ms: read.record_ms,
                            caught_up: read.caught_up,
                            event: Box::new(event),
                        };
                        self.presence.handle_input(now, input);
                    }
                    Some(cause) => {
                        self.dead_letter(read, cause);
                        let (region, epoch, seq) = (event.region, event.epoch, event.seq);
                        self.unread_event(now, read, EventHead { region, epoch, seq }, true);
                    }
                },
                Decoded::UnknownKind(kind) => {
                    self.unknown_kind(&kind);
                    self.event_head(now, read, false);
                }
                Decoded::Malformed(cause) => {
                    self.dead_letter(read, cause);
                    self.event_head(now, read, true);
                }
            },
            Topic::Latency(region) => match decode::<Latency>(read.payload) {
                Decoded::Message(latency) if latency.region != *region => {
                    let cause = format!("region: {} speaks on the topic of region {region}", latency.region);
                    self.dead_letter(read, cause);
                }
                Decoded::Message(latency) => self.latency(now, latency, read.record_ms),
                Decoded::UnknownKind(kind) => self.unknown_kind(&kind),
                Decoded::Malformed(cause) => self.dead_letter(read, cause),
            },
            Topic::Commands => match decode::<Command>(read.payload) {
                Decoded::Message(command) => match self.misplaced(read, command.body.switch()) {
                    None => {
                        let (id, switch) = (&command.correlation_id, command.body.switch());
                        self.answers
                            .read(read.partition, read.offset, Some((id, switch.is_none())));
                        if let Some((requester, reply)) = self.edits.of_record(read.partition, read.offset) {
                            self.answer(requester, &reply, Lasts::No);
                        } else {
                            self.routing
                                .handle_input(now, routing::Input::Command(Box::new(command)));
                        }
                    }
                    Some(cause) => {
                        self.dead_letter(read, cause.clone());
                        self.refuse_command(read, cause);
                    }
                },
                Decoded::UnknownKind(kind) => {
                    self.unknown_kind(&kind);
                    self.refuse_command(read, format!("kind: {kind:?} is not known to this version"));
                }
                Decoded::Malformed(cause) => {
                    self.dead_letter(read, cause.clone());
                    self.refuse_command(read, cause);
                }
            },
            Topic::StateRegions => self.region_record(now, read),
            other => {
                let cause = format!("{other} is not read by a router");
                self.dead_letter(read, cause);
            }
        }
    }

    /// What is wrong with where a record stands: everything about a switch has its id as the key, and the partition follows
    /// from that, so that its messages keep their order and its owner reads them.
    fn misplaced(&self, read: Read, switch: Option<SwitchId>) -> Option<String> {
        let needed = switch?.to_string();
        let partition = partition_of(&needed, self.config.partitions);
        if read.key != needed.as_bytes() {
            let key: String = String::from_utf8_lossy(read.key).chars().take(64).collect();
            Some(format!("key: it is {key:?}, and the message is about switch {needed}"))
        } else if read.partition != partition {
            let of = self.config.partitions;
            Some(format!(
                "partition: switch {needed} belongs to partition {partition} of {of}: has the writer another number of them?"
            ))
        } else {
            None
        }
    }

    /// A message of a region that says nothing to this version still has its position: behind it nothing is missing.
    fn event_head(&mut self, now: Instant, read: Read, lost: bool) {
        if let (Topic::RegionEvents(region), Decoded::Message(head)) = (read.topic, decode::<EventHead>(read.payload))
            && head.region == *region
        {
            self.unread_event(now, read, head, lost);
        }
    }

    fn unread_event(&mut self, now: Instant, read: Read, head: EventHead, lost: bool) {
        let input = presence::Input::Unread {
            partition: read.partition,
            record_ms: read.record_ms,
            caught_up: read.caught_up,
            head,
            lost,
        };
        self.presence.handle_input(now, input);
    }

    /// Refuse a command that cannot be read or stands in the wrong place, if it can be seen who waits for the answer.
    fn refuse_command(&mut self, read: Read, detail: String) {
        let Decoded::Message(head) = decode::<CommandHead>(read.payload) else {
            return self.answers.read(read.partition, read.offset, None);
        };
        let id = &head.correlation_id;
        self.answers.read(read.partition, read.offset, Some((id, false)));
        let result = CommandResult {
            switch: head.switch,
            outcome: Outcome::Rejected,
            cause: Some(Cause::Malformed { detail }),
            generation: None,
            messages: 0,
            objects: None,
        };
        let body = ReplyBody::SwitchResult {
            result,
            dump: None,
            plan: None,
        };
        let reply = Reply {
            correlation_id: head.correlation_id,
            body,
        };
        self.answer(head.requester, &reply, Lasts::No);
    }

    fn unknown_kind(&mut self, kind: &str) {
        self.count("records_unknown_kind_total", "kind", kind.chars().take(64).collect());
    }

    pub(super) fn dead_letter(&mut self, read: Read, cause: String) {
        let Read {
            topic,
            partition,
            offset,
            key,
            payload,
            ..
        } = read;
        self.count("records_malformed_total", "topic", topic.to_string());
        self.fact(
            true,
            format!("{topic} partition {partition} offset {offset} is not a message: {cause}"),
        );
        let letter = DeadLetter {
            topic: topic.to_string(),
            partition,
            offset,
            cause,
            payload: String::from_utf8_lossy(payload)
                .chars()
                .take(DEAD_LETTER_PAYLOAD_MAX)
                .collect(),
        };
        let key = String::from_utf8_lossy(key).chars().take(KEY_MAX).collect();
        let payload = encode(&letter);
        if *topic != Topic::Commands {
            return self.publish(Topic::DeadLetter, key, payload);
        }
        // The record is done with when Kafka has its dead letter, as others are when it has their answer.
        let topic = Topic::DeadLetter;
        let letter = Said { topic, key, payload };
        let token = self.answers.read_poison(partition, offset, letter.clone());
        self.say_answer(letter, Some(token));
    }

    pub(super) fn latency(&mut self, now: Instant, latency: Latency, record_ms: u64) {
        // A measurement that waited is not replayed: its age counts from when the broker had it.
        let age = self.clock.map_or(0, |clock| clock.at(now).saturating_sub(record_ms));
        let measured = now.checked_sub(Duration::from_millis(age)).unwrap_or(now);
        match latency.body {
            LatencyBody::LinkLatency {
                from,
                to,
                latency_ns,
                source,
                samples,
            } => {
                let link = LinkId::new(from, to);
                let input = monitor::fleet::Input::LinkLatency {
                    link,
                    latency_ns,
                    source,
                    samples,
                    measured,
                };
                self.fleet.handle_input(now, input);
            }
            LatencyBody::FlowLatency { flow, latency_ns } => {
                self.fleet.handle_input(
                    now,
                    monitor::fleet::Input::FlowLatency {
                        flow,
                        latency_ns,
                        measured,
                    },
                );
            }
        }
    }
}

//! Records as they are read: which machine each is for, and what becomes of one that is none.

use std::time::{Duration, Instant};

use skerry_bus::service::DeadLetter;
use skerry_bus::{Command, Decoded, Latency, LatencyBody, LinkId, RegionEvent, Topic, decode, encode};
use skerry_monitor as monitor;
use skerry_router_core::{presence, routing};

use super::Router;

/// Longest payload that is copied into a dead letter, in characters.
const DEAD_LETTER_PAYLOAD_MAX: usize = 4_096;

impl Router {
    #[expect(clippy::too_many_arguments, reason = "a record has that many parts")]
    pub(super) fn record(
        &mut self,
        now: Instant,
        topic: Topic,
        partition: i32,
        offset: i64,
        record_ms: u64,
        caught_up: bool,
        payload: &[u8],
    ) {
        match &topic {
            Topic::RegionEvents(region) => {
                let Some(event) = self.decoded::<RegionEvent>(&topic, partition, offset, payload) else {
                    return;
                };
                if event.region != *region {
                    let cause = format!("region {} speaks on the topic of region {region}", event.region);
                    self.dead_letter(&topic, partition, offset, cause, payload);
                    return;
                }
                let event = Box::new(event);
                let input = presence::Input::Event {
                    partition,
                    record_ms,
                    caught_up,
                    event,
                };
                self.presence.handle_input(now, input);
            }
            Topic::Latency(region) => {
                let Some(latency) = self.decoded::<Latency>(&topic, partition, offset, payload) else {
                    return;
                };
                if latency.region == *region {
                    self.latency(now, latency, record_ms);
                }
            }
            Topic::Commands => {
                let command = self.decoded::<Command>(&topic, partition, offset, payload);
                self.answers.read(partition, offset, command.as_ref());
                if let Some(command) = command {
                    self.routing
                        .handle_input(now, routing::Input::Command(Box::new(command)));
                }
            }
            other => {
                let cause = format!("{other} is not read by a router");
                self.dead_letter(&topic, partition, offset, cause, payload);
            }
        }
    }

    pub(super) fn decoded<T: serde::de::DeserializeOwned>(
        &mut self,
        topic: &Topic,
        partition: i32,
        offset: i64,
        payload: &[u8],
    ) -> Option<T> {
        match decode::<T>(payload) {
            Decoded::Message(message) => Some(message),
            Decoded::UnknownKind(kind) => {
                self.count("records_unknown_kind_total", "kind", kind.chars().take(64).collect());
                None
            }
            Decoded::Malformed(cause) => {
                self.dead_letter(topic, partition, offset, cause, payload);
                None
            }
        }
    }

    pub(super) fn dead_letter(&mut self, topic: &Topic, partition: i32, offset: i64, cause: String, payload: &[u8]) {
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
        self.publish(Topic::DeadLetter, topic.to_string(), encode(&letter));
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

//! Kafka as any service sees it: commands out, replies and measurements in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::{
    Command, CommandBody, CorrelationId, Decoded, Latency, LatencyBody, LinkId, Region, Reply, ReplyBody, SwitchId,
    Topic, decode, encode,
};
use skerry_io::kafka::{Begin, Consumer, ConsumerEvent, Producer, Reading};

use crate::daemons::{Daemons, PARTITIONS};
use crate::wait;

/// Who the demo is among requesters.
const REQUESTER: &str = "demo";
/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Measurements kept per link.
const MEASUREMENTS_MAX: usize = 1_000;

#[derive(Default)]
struct Heard {
    replies: BTreeMap<CorrelationId, (Instant, ReplyBody)>,
    latencies: BTreeMap<LinkId, Vec<(u64, u32)>>,
}

/// A client in the namespace.
pub struct Bus {
    producer: Producer,
    heard: Arc<Mutex<Heard>>,
    number: u64,
}

impl Bus {
    /// Connects, reading replies and the measurements of these regions.
    ///
    /// # Errors
    /// Kafka is not reached.
    pub fn start(daemons: &Daemons, regions: &[&str]) -> Result<Bus> {
        let settings = daemons.kafka()?;
        let mut topics = vec![(Topic::Replies, Begin::Latest)];
        for region in regions {
            topics.push((Topic::Latency(region.parse::<Region>()?), Begin::Latest));
        }
        let reading = Reading {
            client_id: "skerry-demo".into(),
            group: "skerry-demo".into(),
            topics,
        };
        // Threads of the client library stay in the namespace of the thread that made them.
        let (producer, mut consumer, mut fates) = daemons.within(|| -> Result<_> {
            let (producer, fates) = Producer::start(&settings, "skerry-demo", vec![Topic::Commands])?;
            Ok((producer, Consumer::start(&settings, reading)?, fates))
        })??;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let ears = heard.clone();
        std::thread::Builder::new()
            .name("demo-consumer".into())
            .spawn(move || {
                while let Some(event) = consumer.blocking_recv() {
                    if let ConsumerEvent::Record(record) = event {
                        let now = Instant::now();
                        hear(
                            &mut ears.lock().unwrap_or_else(PoisonError::into_inner),
                            now,
                            &record.topic,
                            &record.payload,
                        );
                    }
                }
            })?;
        std::thread::Builder::new()
            .name("demo-producer".into())
            .spawn(move || while fates.blocking_recv().is_some() {})?;
        Ok(Bus {
            producer,
            heard,
            number: 0,
        })
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ask for objects on a switch. Gives the name under which the answer comes.
    ///
    /// # Errors
    /// Kafka does not take it.
    pub fn apply(&mut self, switch: SwitchId, put: Objects, remove: ObjectKeys) -> Result<CorrelationId> {
        self.number += 1;
        let name = format!("demo-{}-{}", std::process::id(), self.number);
        let correlation_id: CorrelationId = name.parse()?;
        let command = Command {
            correlation_id: correlation_id.clone(),
            requester: REQUESTER.into(),
            deadline_ms: skerry_io::wall_clock_ms() + DEADLINE.as_millis() as u64,
            owner_epoch: None,
            region: None,
            epoch: None,
            body: CommandBody::Apply { switch, put, remove },
        };
        let key = switch.to_string();
        let partition = skerry_bus::topic::partition_of(&key, PARTITIONS);
        let payload = encode(&command);
        wait::until("Kafka to take a command", wait::DEADLINE, || {
            self.producer
                .send(&Topic::Commands, partition, &key, payload.clone(), None)
                .map_err(|error| error.to_string())
        })?;
        Ok(correlation_id)
    }

    /// The answer to a command, with the moment it was read.
    pub fn answer(&self, id: &CorrelationId) -> Option<(Instant, ReplyBody)> {
        self.heard().replies.get(id).cloned()
    }

    /// Waits for the answer to a command.
    ///
    /// # Errors
    /// None came.
    pub fn answered(&self, id: &CorrelationId) -> Result<(Instant, ReplyBody)> {
        wait::until(
            &format!("the answer to command {id}"),
            DEADLINE + wait::DEADLINE,
            || self.answer(id).ok_or_else(|| "nothing".to_owned()),
        )
    }

    /// Round trips measured of a link: nanoseconds (the median of a message's samples), and samples.
    pub fn latencies(&self, link: LinkId) -> Vec<(u64, u32)> {
        self.heard().latencies.get(&link).cloned().unwrap_or_default()
    }

    /// Forget measurements.
    pub fn forget_latencies(&self) {
        self.heard().latencies.clear();
    }
}

fn hear(heard: &mut Heard, now: Instant, topic: &Topic, payload: &[u8]) {
    if *topic == Topic::Replies {
        if let Decoded::Message(Reply { correlation_id, body }) = decode(payload) {
            heard.replies.entry(correlation_id).or_insert((now, body));
        }
    } else if let Decoded::Message(Latency {
        body:
            LatencyBody::LinkLatency {
                from,
                to,
                latency_ns,
                samples,
                ..
            },
        ..
    }) = decode(payload)
    {
        let of = heard.latencies.entry(LinkId::new(from, to)).or_default();
        if of.len() < MEASUREMENTS_MAX {
            of.push((latency_ns, samples));
        }
    }
}

/// The median round trip in milliseconds, each message weighed by its samples.
///
/// # Errors
/// There are no measurements.
pub fn median_ms(measured: &[(u64, u32)]) -> Result<(f64, u32)> {
    let mut sorted = measured.to_vec();
    sorted.sort_unstable();
    let samples: u32 = sorted.iter().map(|(_, samples)| samples).sum();
    let mut seen = 0;
    for (latency, weight) in sorted {
        seen += weight;
        if seen * 2 >= samples {
            return Ok((latency as f64 / 1e6, samples));
        }
    }
    None.context("no measurements")
}

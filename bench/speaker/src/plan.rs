//! Where the time of an apply goes: rules through the code alone, part by part, without a network and without a switch's work.
//!
//! The parts follow each other as they do in an apply: the command is written down and split as a router does, put together
//! and read as a speaker does, planned, put on the disk, and sent. The machine is the speaker's; the switch holds nothing and
//! takes rules without looking at them, and of the conversation with it only the machine's part is timed.

use crate::apply::rules;
use crate::bare::Bare;
use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use ofproto::{Framer, Message, MessageType};
use skerry_bench::figure::median;
use skerry_bus::chunk::{Assembler, split};
use skerry_bus::objects::ObjectKeys;
use skerry_bus::{
    BrokerClock, Command, CommandBody, CommandResult, Decoded, DesiredChange, Epoch, Generation, Objects, Outcome,
    Region, RegionEvent, RegionEventBody, SwitchId, Term, Topic, decode, encode, topic,
};
use skerry_speaker::store::Store;
use skerry_speaker_core::store::Write as Keep;
use skerry_speaker_core::{Config, ConnId, Input, Output, Speaker};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

/// Broker time at the start; any would do.
const BROKER_MS: u64 = 1_790_000_000_000;
const SWITCH: SwitchId = SwitchId(1);
const CONN: ConnId = ConnId(1);
const TERM: Term = Term(1);

/// The parts, in their order; the last is an apply of its own.
const PARTS: [&str; 9] = [
    "the command written down",
    "split for Kafka",
    "put together again",
    "read, for comparison with the next",
    "read and taken by the machine",
    "planned, once the switch has told what it holds",
    "put on disk",
    "sent, barriers heard, results told",
    "a step of one rule, until it is put on disk",
];

/// What is measured.
#[derive(Debug)]
pub struct Load<'a> {
    /// Rules of one apply.
    pub rules: u32,
    /// How often.
    pub runs: usize,
    /// Folder for what is put on disk; none: nothing is.
    pub state: Option<&'a Path>,
}

/// Measures, and gives a table in milliseconds.
///
/// # Errors
/// The rules did not arrive.
pub fn run(load: &Load<'_>) -> Result<String> {
    let mut world = World::new(load)?;
    let wanted = rules(load.rules);
    let mut all = vec![Vec::new(); PARTS.len()];
    // Once for nothing: whatever is only done the first time.
    for round in 0..=load.runs {
        let parts = world.round(&wanted)?;
        if round > 0 {
            for (all, part) in all.iter_mut().zip(parts) {
                all.push(part.as_secs_f64() * 1e3);
            }
        }
    }
    let mut text = String::new();
    writeln!(text, "{:<50}{:>9}{:>9}{:>9}", "ms", "median", "min", "max")?;
    for (name, mut took) in PARTS.iter().zip(all) {
        took.sort_by(f64::total_cmp);
        let (middle, least, most) = (median(&took), took.first(), took.last());
        let [middle, least, most] = [middle, least.copied(), most.copied()].map(Option::unwrap_or_default);
        writeln!(text, "{name:<50}{middle:>9.2}{least:>9.2}{most:>9.2}")?;
    }
    Ok(text)
}

/// What the machine wants of others.
#[derive(Default)]
struct Wants {
    written: Vec<Bytes>,
    stores: Vec<(u64, Vec<Keep>)>,
    result: Option<CommandResult>,
}

struct World {
    machine: Speaker,
    now: Instant,
    bare: Bare,
    framer: Framer,
    disk: Option<(Store, Receiver<Input>)>,
    /// The record read last.
    offset: i64,
    generation: Generation,
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let since = Instant::now();
    let done = work();
    (since.elapsed(), done)
}

impl World {
    fn new(load: &Load<'_>) -> Result<World> {
        let now = Instant::now();
        let region: Region = "bench".parse()?;
        let (disk, restored) = match load.state {
            None => (None, Input::Restored { entries: Vec::new() }),
            Some(folder) => {
                let (store, told, found) = Store::start(folder, &region, BROKER_MS)?;
                (Some((store, told)), found.restored)
            }
        };
        let mut world = World {
            machine: Speaker::new(Config::new(region, Epoch(BROKER_MS), [7; 32]), now),
            now,
            bare: Bare::new(SWITCH.0, 4),
            framer: Framer::new(),
            disk,
            offset: 0,
            generation: Generation(0),
        };
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let local = SocketAddr::from(([127, 0, 0, 1], 6_653));
        world.settle(restored)?;
        world.settle(Input::Clock(BrokerClock::new(now, BROKER_MS)))?;
        world.settle(Input::BusUp)?;
        world.settle(Input::Accepted {
            conn: CONN,
            peer,
            local,
            tls: false,
        })?;
        let bytes = Bare::hello();
        world.settle(Input::Received { conn: CONN, bytes })?;
        let activate = world.command(CommandBody::Activate {
            switch: SWITCH,
            term: TERM,
        })?;
        let activate = world.record(encode(&activate));
        is_applied(world.settle(activate)?.1)?;
        Ok(world)
    }

    /// One apply in its parts, a step from it, and empty again.
    fn round(&mut self, wanted: &Objects) -> Result<[Duration; PARTS.len()]> {
        let objects = wanted.clone();
        let command = self.desired(DesiredChange::Snapshot { objects })?;
        let (written_down, payload) = timed(|| encode(&command));
        let (split_up, parts) = timed(|| split("bench", payload.as_slice()).collect::<Vec<_>>());
        let (together, joined) = timed(|| {
            let mut assembler = Assembler::new();
            parts.iter().find_map(|part| assembler.push(0, 0, part))
        });
        drop(parts);
        ensure!(joined.as_ref() == Some(&payload), "chunks were lost");
        let (read, decoded) = timed(|| decode::<Command>(&payload));
        ensure!(decoded == Decoded::Message(command), "another command was read");
        drop(decoded);

        let record = self.record(payload);
        let (taken, asked) = self.timed_input(record)?;
        let answers = self.answers(&asked.written)?;
        let (planned, wants) = self.timed_input(answers)?;
        ensure!(wants.written.is_empty(), "rules were sent before they were on disk");
        let (kept, stored) = self.keep(wants.stores)?;
        let (sent, result) = self.settle(stored)?;
        ensure!(is_applied(result)? == wanted.len(), "not every rule was sent");

        let rule = wanted.rules.values().next().context("a rule")?;
        let (mut put, mut remove) = (Objects::new(), ObjectKeys::default());
        let mut other = rule.clone();
        other.key.priority += 1;
        put.put_rule(other);
        remove.rules.push(rule.key.clone());
        let base = self.generation;
        let step = self.desired(DesiredChange::Delta { base, put, remove })?;
        let record = self.record(encode(&step));
        let (stepped, wants) = self.timed_input(record)?;
        let (_, stored) = self.keep(wants.stores)?;
        ensure!(is_applied(self.settle(stored)?.1)? == 2, "a step of two changes");

        let none = self.desired(DesiredChange::Snapshot {
            objects: Objects::new(),
        })?;
        let none = self.record(encode(&none));
        is_applied(self.settle(none)?.1)?;
        Ok([
            written_down,
            split_up,
            together,
            read,
            taken,
            planned,
            kept,
            sent,
            stepped,
        ])
    }

    fn command(&mut self, body: CommandBody) -> Result<Command> {
        Ok(Command {
            correlation_id: format!("plan-{}", self.offset).parse()?,
            requester: "bench".to_owned(),
            deadline_ms: BROKER_MS + 60_000,
            owner_epoch: None,
            region: None,
            epoch: None,
            body,
        })
    }

    fn desired(&mut self, change: DesiredChange) -> Result<Command> {
        self.generation = self.generation.next();
        let generation = self.generation;
        self.command(CommandBody::Desired {
            switch: SWITCH,
            term: TERM,
            generation,
            change,
        })
    }

    fn record(&mut self, payload: Vec<u8>) -> Input {
        self.offset += 1;
        Input::Command {
            partition: topic::partition_of(&SWITCH.to_string(), topic::PARTITIONS),
            offset: self.offset,
            payload,
            broker_ms: 0,
        }
    }

    /// Tells the machine something; how long it took, and what it wants then.
    fn timed_input(&mut self, input: Input) -> Result<(Duration, Wants)> {
        let mut wants = Wants::default();
        let mut published = Vec::new();
        let (took, ()) = timed(|| {
            self.machine.handle_input(self.now, input);
            while let Some(output) = self.machine.poll_output() {
                match output {
                    Output::Write { bytes, .. } => wants.written.push(bytes),
                    Output::Store { token, writes } => wants.stores.push((token, writes)),
                    Output::Publish {
                        topic, payload, token, ..
                    } => published.push((topic, payload, token)),
                    // The rest goes to logs and metrics.
                    _ => {}
                }
            }
        });
        for (topic, payload, token) in published {
            if let Topic::RegionEvents(_) = topic
                && let Decoded::Message(RegionEvent {
                    body: RegionEventBody::CommandResult { result },
                    ..
                }) = decode(&payload)
            {
                wants.result = Some(result);
            }
            if let Some(token) = token {
                let broker_ms = BROKER_MS;
                self.machine
                    .handle_input(self.now, Input::Delivered { token, broker_ms });
            }
        }
        Ok((took, wants))
    }

    /// What the switch answers.
    fn answers(&mut self, written: &[Bytes]) -> Result<Input> {
        let mut out = BytesMut::new();
        for bytes in written {
            self.framer.push(bytes);
        }
        while let Some(frame) = self.framer.next_frame()? {
            // The type stands behind the version.
            if frame.get(1) != Some(&MessageType::FLOW_MOD.0) {
                self.bare.answer(Message::decode(&frame)?, &mut out)?;
            }
        }
        let bytes = out.freeze();
        Ok(Input::Received { conn: CONN, bytes })
    }

    /// Puts something on disk; what is to be told of it.
    fn keep(&mut self, stores: Vec<(u64, Vec<Keep>)>) -> Result<(Duration, Input)> {
        let token = stores.last().context("something to put on disk")?.0;
        let Some((store, told)) = &mut self.disk else {
            return Ok((Duration::ZERO, Input::Stored { token }));
        };
        let since = Instant::now();
        for (token, writes) in stores {
            store.store(token, writes);
        }
        loop {
            match told.blocking_recv().context("the disk's thread ended")? {
                Input::Stored { token: stored } if stored == token => break,
                Input::StoreFailed { cause, .. } => anyhow::bail!("not on disk: {cause}"),
                _ => {}
            }
        }
        Ok((since.elapsed(), Input::Stored { token }))
    }

    /// Tells the machine something and serves it until it wants nothing more; how long it took itself, and the result it told.
    fn settle(&mut self, input: Input) -> Result<(Duration, Option<CommandResult>)> {
        let (mut took, mut result) = (Duration::ZERO, None);
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let (time, wants) = self.timed_input(input)?;
            took += time;
            result = wants.result.or(result);
            if !wants.stores.is_empty() {
                inputs.push(self.keep(wants.stores)?.1);
            }
            if !wants.written.is_empty() {
                inputs.push(self.answers(&wants.written)?);
            }
        }
        Ok((took, result))
    }
}

/// Messages that were written for it.
fn is_applied(result: Option<CommandResult>) -> Result<usize> {
    let result = result.context("no result")?;
    ensure!(result.outcome == Outcome::Applied, "it ended {result:?}");
    Ok(usize::try_from(result.messages)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_sent_and_every_part_is_told() {
        let load = Load {
            rules: 600,
            runs: 1,
            state: None,
        };
        let text = run(&load).expect("rules that are sent");
        assert_eq!(text.lines().count(), 1 + PARTS.len(), "{text}");
    }
}

//! How many discovery packet-ins one core takes: decoded, signature checked, and fed to the speaker's machine, which does
//! with them what it does in a network.
//!
//! The machine has a thousand switches in a ring, each with four ports. Time is a variable: it sends its discovery packets
//! when they are due, and what comes of them (the packet at the far switch, and turned at the near one) is handed to it a
//! link's delay later. Only handing over is timed, with draining what the machine wants done.

use crate::bare::Bare;
use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use ofproto::{
    Action, Body, Framer, Match, Message, NO_BUFFER, Oxm, PacketIn, PacketInReason, PacketOut, PortNo, TableId,
};
use serde_json::{Value, json};
use skerry_bus::{
    BrokerClock, Command, CommandBody, CorrelationId, Epoch, Region, RegionEvent, RegionEventBody, SwitchId, Term,
    Topic, decode, encode, topic,
};
use skerry_speaker_core::packet::{UDP_OUT, UDP_TURNED};
use skerry_speaker_core::{Config, ConnId, Counter, Input, Output, Speaker};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Broker time at the start; any would do.
const BROKER_MS: u64 = 1_790_000_000_000;
/// One-way delay of every link.
const LINK: Duration = Duration::from_millis(5);
/// What is due within so long of virtual time is handed over together, so that asking the clock costs nothing.
const SLICE: Duration = Duration::from_millis(1);
/// Where the UDP destination stands in a frame.
const UDP_DST: std::ops::Range<usize> = 36..38;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Switches, each joined to the next.
    pub switches: u64,
    /// Ports of each; an even number.
    pub ports: u32,
    /// How often to measure, and for how long each time.
    pub runs: usize,
    /// Time on the clock for each, counting only what is measured.
    pub time: Duration,
}

struct World {
    load: Load,
    start: Instant,
    now: Instant,
    machine: Speaker,
    switches: Vec<(Bare, Framer)>,
    /// By arrival: the switch and its packet-in.
    under_way: BinaryHeap<Reverse<(Instant, u64, u64, Bytes)>>,
    order: u64,
    counts: BTreeMap<Counter, u64>,
    latencies: u64,
    active: u64,
}

/// Runs it: packet-ins taken in a second, one figure for each run.
///
/// # Errors
/// The machine did not take a packet for what it is.
pub fn run(load: Load) -> Result<Value> {
    let mut world = World::new(load)?;
    // Until every link is seen and every control channel measured.
    world.pass(Duration::from_secs(3), None)?;
    let mut rates = Vec::new();
    for _ in 0..load.runs {
        let (mut took, mut packets) = (Duration::ZERO, 0);
        while took < load.time {
            let mut clock = Some((Duration::ZERO, 0));
            world.pass(Duration::from_secs(1), clock.as_mut())?;
            let (time, count) = clock.unwrap_or_default();
            took += time;
            packets += count;
        }
        rates.push(packets as f64 / took.as_secs_f64());
    }
    // What is refused is cheap, and would be a fine figure.
    for (counter, count) in &world.counts {
        let dropped = counter.name() == "speaker_packets_dropped";
        ensure!(
            !dropped || *count == 0,
            "{count} packets were dropped: {}",
            counter.reason()
        );
    }
    ensure!(world.latencies > 0, "no round trip was reported");
    Ok(json!({ "per_second": rates }))
}

impl World {
    fn new(load: Load) -> Result<World> {
        let start = Instant::now();
        let region: Region = "bench".parse()?;
        let config = Config::new(region, Epoch(1), [7; 32]);
        let mut world = World {
            load,
            start,
            now: start,
            machine: Speaker::new(config, start),
            switches: Vec::new(),
            under_way: BinaryHeap::new(),
            order: 0,
            counts: BTreeMap::new(),
            latencies: 0,
            active: 0,
        };
        world.input(Input::Clock(BrokerClock::new(start, BROKER_MS)))?;
        world.input(Input::BusUp)?;
        let mut offsets = BTreeMap::new();
        for index in 0..load.switches {
            let id = index + 1;
            world.switches.push((Bare::new(id, load.ports), Framer::new()));
            world.input(Input::Accepted {
                conn: ConnId(id),
                peer: SocketAddr::from(([127, 0, 0, 1], 40_000)),
                local: SocketAddr::from(([127, 0, 0, 1], 6_653)),
                tls: false,
            })?;
            world.bytes(id, Bare::hello())?;
            let switch = SwitchId(id);
            let partition = topic::partition_of(&switch.to_string(), topic::PARTITIONS);
            let offset = offsets.entry(partition).or_insert(0);
            let correlation_id: CorrelationId = format!("activate-{id}").parse()?;
            let command = Command {
                correlation_id,
                requester: "bench".to_owned(),
                deadline_ms: BROKER_MS + 10_000,
                owner_epoch: None,
                region: None,
                epoch: None,
                body: CommandBody::Activate { switch, term: Term(1) },
            };
            let payload = encode(&command);
            let offset = std::mem::replace(offset, *offset + 1);
            world.input(Input::Command {
                partition,
                offset,
                payload,
                broker_ms: 0,
            })?;
        }
        ensure!(
            world.active == load.switches,
            "{} of {} switches are active",
            world.active,
            load.switches
        );
        Ok(world)
    }

    fn input(&mut self, input: Input) -> Result<()> {
        self.machine.handle_input(self.now, input);
        self.drain()
    }

    fn bytes(&mut self, switch: u64, bytes: Bytes) -> Result<()> {
        self.input(Input::Received {
            conn: ConnId(switch),
            bytes,
        })
    }

    /// Does what the machine wants. What it writes is read by switches, which may answer at once.
    fn drain(&mut self) -> Result<()> {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Write { conn, bytes } => self.written(conn.0, &bytes)?,
                Output::Publish {
                    topic, payload, token, ..
                } => {
                    self.published(&topic, &payload);
                    if let Some(token) = token {
                        let broker_ms = BROKER_MS + u64::try_from((self.now - self.start).as_millis())?;
                        self.machine
                            .handle_input(self.now, Input::Delivered { token, broker_ms });
                    }
                }
                Output::Count { counter, by } => *self.counts.entry(counter).or_default() += by,
                Output::Close { conn, reason } => anyhow::bail!("switch {}: {reason}", conn.0),
                // The rest goes to disks and logs.
                _ => {}
            }
        }
        Ok(())
    }

    fn published(&mut self, topic: &Topic, payload: &[u8]) {
        match topic {
            Topic::Latency(_) => self.latencies += 1,
            Topic::RegionEvents(_) if self.active < self.load.switches => {
                if let skerry_bus::Decoded::Message(RegionEvent {
                    body: RegionEventBody::CommandResult { result },
                    ..
                }) = decode(payload)
                {
                    self.active += u64::from(result.outcome == skerry_bus::Outcome::Applied);
                }
            }
            _ => {}
        }
    }

    fn written(&mut self, switch: u64, bytes: &[u8]) -> Result<()> {
        let index = usize::try_from(switch - 1)?;
        let (_, framer) = self.switches.get_mut(index).context("a switch of this world")?;
        framer.push(bytes);
        let mut out = BytesMut::new();
        while let Some((bare, framer)) = self.switches.get_mut(index) {
            let Some(frame) = framer.next_frame()? else { break };
            match Message::decode(&frame)? {
                Message {
                    body: Body::PacketOut(packet),
                    ..
                } => self.packet_out(switch, &packet)?,
                message => bare.answer(message, &mut out)?,
            }
        }
        if !out.is_empty() {
            self.machine.handle_input(
                self.now,
                Input::Received {
                    conn: ConnId(switch),
                    bytes: out.freeze(),
                },
            );
        }
        Ok(())
    }

    /// Lays what comes of a packet on its way: straight back, or to the far switch and turned at it.
    fn packet_out(&mut self, switch: u64, packet: &PacketOut) -> Result<()> {
        for action in &packet.actions {
            match action {
                Action::Output {
                    port: PortNo::CONTROLLER,
                    ..
                } => {
                    self.arrives(Duration::ZERO, switch, PortNo::CONTROLLER, packet.data.clone())?;
                }
                Action::Output { port, .. } => {
                    let (far, far_port) = self.peer(switch, port.0);
                    self.arrives(LINK, far, PortNo(far_port), packet.data.clone())?;
                    let mut turned = BytesMut::from(&packet.data[..]);
                    let udp = turned.get_mut(UDP_DST).context("a whole packet")?;
                    ensure!(*udp == UDP_OUT.to_be_bytes(), "not a discovery packet");
                    udp.copy_from_slice(&UDP_TURNED.to_be_bytes());
                    self.arrives(2 * LINK, switch, *port, turned.freeze())?;
                }
                other => anyhow::bail!("a packet-out with {other:?}"),
            }
        }
        Ok(())
    }

    /// The lower half of a switch's ports leads to the next switch, the upper half back to the one before.
    fn peer(&self, switch: u64, port: u32) -> (u64, u32) {
        let (count, half) = (self.load.switches, self.load.ports / 2);
        if port <= half {
            (switch % count + 1, port + half)
        } else {
            ((switch + count - 2) % count + 1, port - half)
        }
    }

    fn arrives(&mut self, after: Duration, switch: u64, port: PortNo, data: Bytes) -> Result<()> {
        let message = Message::new(
            0,
            Body::PacketIn(PacketIn {
                buffer_id: NO_BUFFER,
                total_len: u16::try_from(data.len())?,
                reason: PacketInReason::ACTION,
                table_id: TableId(0),
                cookie: 0,
                matching: Match::new().with(Oxm::in_port(port)),
                data,
            }),
        );
        self.order += 1;
        let bytes = message.to_bytes()?;
        self.under_way
            .push(Reverse((self.now + after, self.order, switch, bytes)));
        Ok(())
    }

    /// Lets virtual time pass. The clock, if there is one, runs while packet-ins are handed over.
    fn pass(&mut self, time: Duration, mut clock: Option<&mut (Duration, u64)>) -> Result<()> {
        let end = self.now + time;
        while self.now < end {
            self.now += SLICE;
            // A deadline that is met is followed by the next one; each is told its own time.
            while let Some((due, _)) = self.machine.poll_timeout().filter(|(due, _)| *due <= self.now) {
                let end = self.now;
                self.now = due.max(end - SLICE);
                self.machine.handle_timeout(self.now);
                self.drain()?;
                self.now = end;
            }
            let mut batch = Vec::new();
            while let Some(Reverse((at, _, switch, bytes))) = self.under_way.pop() {
                if at > self.now {
                    self.under_way.push(Reverse((at, 0, switch, bytes)));
                    break;
                }
                batch.push((switch, bytes));
            }
            let count = batch.len() as u64;
            let since = Instant::now();
            for (switch, bytes) in batch {
                self.bytes(switch, bytes)?;
            }
            if let Some((time, packets)) = clock.as_deref_mut() {
                *time += since.elapsed();
                *packets += count;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_of_a_small_ring_is_taken_and_its_round_trip_reported() {
        let load = Load {
            switches: 6,
            ports: 4,
            runs: 2,
            time: Duration::from_micros(1),
        };
        let told = run(load).expect("a ring");
        assert_eq!(told["per_second"].as_array().map(Vec::len), Some(2));
    }
}

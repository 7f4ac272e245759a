//! `skerry-link-latency`: how far the reported round trips are from what the delay line recorded for those very packets.
//!
//! The demo's world without its scenario. Every reported figure is compared with the packets it is the median of; beside it
//! stands where the rest of the time went, by a capture of the control channel and the delay line's log, all on one machine's
//! clock. Figures are printed and written to `target/bench/link-latency.json`; it judges nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use ofproto::Body;
use serde_json::{Map, Value, json};
use skerry_bus::{Decoded, Latency, LatencyBody, PortRef, Region, Topic, decode};
use skerry_io::kafka::{Begin, Consumer, ConsumerEvent, KafkaSettings, Reading};
use skerry_tests::delay::{Crossing, DelayLine, discovery};
use skerry_tests::demo::World;
use skerry_tests::{interrupt, lab::Lab, sys, tool, wait, wire};

/// How exact the measured round trips of links are.
#[derive(Debug, Parser)]
struct Args {
    /// How long to measure.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// What the names of everything it makes begin with.
const PREFIX: &str = "skerry-demo";
/// Start of the sender (switch, then port) in a discovery packet's payload, in hex digits.
const SENDER_HEX: std::ops::Range<usize> = 16..40;

/// One reported figure, with the moment it was read.
struct Figure {
    from: PortRef,
    latency_ns: u64,
    samples: u32,
    read_ns: u64,
}

/// The two crossings of one packet.
#[derive(Default)]
struct Packet {
    there: Option<Crossing>,
    back: Option<Crossing>,
    /// Seen leaving the speaker and coming back to it, on the monotonic clock.
    out_ns: Option<u64>,
    in_ns: Option<u64>,
}

impl Packet {
    fn recorded_ns(&self) -> Option<u64> {
        let took = |c: &Crossing| c.written_ns - c.received_ns;
        Some(took(self.there.as_ref()?) + took(self.back.as_ref()?))
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    interrupt::install()?;
    Lab::clean_leftovers(PREFIX)?;
    let mut world = World::build()?;
    let log = world.lab.folder().join("crossings.jsonl");
    world.ring.log_to(&log)?;
    let mut consumer = consumer(&world)?;
    wait::until("four links up", 2 * wait::DEADLINE, || {
        let links = world.links().map_err(|e| format!("{e:#}"))?;
        let up = links
            .iter()
            .filter(|l| l.state == skerry_bus::service::LinkStatus::Up)
            .count();
        if up == 4 { Ok(()) } else { Err(format!("{up} up")) }
    })?;
    // The window of the control channel's round trip holds what was measured while everything started.
    interrupt::wait(Duration::from_secs(10));
    let begun_ns = sys::monotonic_ns();
    interrupt::wait(Duration::from_secs(args.seconds));
    let mut figures = Vec::new();
    while let Some(event) = consumer.try_recv() {
        figures.extend(figure(event).filter(|f| f.read_ns > begun_ns));
    }
    let mut packets = BTreeMap::new();
    for crossing in DelayLine::read_log(&log)? {
        let packet: &mut Packet = packets.entry(crossing.payload.clone()).or_default();
        let side = if crossing.udp_port == discovery::PORTS[0] {
            &mut packet.there
        } else {
            &mut packet.back
        };
        *side = Some(crossing);
    }
    let controls = captured(&mut world, &mut packets)?;
    report(&world, begun_ns, &figures, &packets, &controls)
}

fn consumer(world: &World) -> Result<Consumer> {
    let settings = KafkaSettings {
        bootstrap: format!("file:{}", world.lab.folder().join("broker").display()),
        partitions: 4,
        fetch_wait_max_ms: 5,
        ..KafkaSettings::default()
    };
    let mut topics = Vec::new();
    for region in ["east", "west"] {
        topics.push((Topic::Latency(region.parse::<Region>()?), Begin::Latest));
    }
    let reading = Reading {
        client_id: "skerry-bench".into(),
        group: "skerry-bench".into(),
        topics,
    };
    world.lab.within("control", || Consumer::start(&settings, reading))?
}

fn figure(event: ConsumerEvent) -> Option<Figure> {
    let ConsumerEvent::Record(record) = event else {
        return None;
    };
    // By the broker's time, which on one machine is the wall clock: reading them later makes no difference.
    let read_ns = (record.timestamp_ms * 1_000_000).checked_sub(wall_minus_monotonic_ns())?;
    match decode(&record.payload) {
        Decoded::Message(Latency {
            body:
                LatencyBody::LinkLatency {
                    from,
                    latency_ns,
                    samples,
                    ..
                },
            ..
        }) => Some(Figure {
            from,
            latency_ns,
            samples,
            read_ns,
        }),
        _ => None,
    }
}

fn wall_minus_monotonic_ns() -> u64 {
    wire::now().as_nanos() as u64 - sys::monotonic_ns()
}

/// Adds when each packet passed the control channel; gives the control channel's own round trips by switch.
fn captured(world: &mut World, packets: &mut BTreeMap<String, Packet>) -> Result<BTreeMap<u64, Vec<u64>>> {
    let offset_ns = wall_minus_monotonic_ns();
    let mut left: BTreeMap<String, u64> = BTreeMap::new();
    let mut controls: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let seen = world.wire.read()?;
    for frame in seen.frames() {
        let at_ns = frame.at.as_nanos() as u64 - offset_ns;
        let data = match frame.message().map(|m| m.body) {
            Ok(Body::PacketOut(out)) => out.data,
            Ok(Body::PacketIn(packet)) => packet.data,
            _ => continue,
        };
        let Some((udp_port, payload)) = discovery::find(&data) else {
            continue;
        };
        let key: String = payload.iter().map(|b| format!("{b:02x}")).collect();
        match (packets.get_mut(&key), frame.from_switch) {
            (Some(packet), false) => packet.out_ns = Some(at_ns),
            (Some(packet), true) if udp_port == discovery::PORTS[1] => packet.in_ns = Some(at_ns),
            (Some(_), true) => {}
            (None, false) => drop(left.insert(key, at_ns)),
            (None, true) => {
                if let (Some(out_ns), Some(dpid)) = (left.get(&key), seen.connection(frame).dpid) {
                    controls.entry(dpid).or_default().push(at_ns - out_ns);
                }
            }
        }
    }
    Ok(controls)
}

fn quantile(values: &mut [i64], part: f64) -> Option<f64> {
    values.sort_unstable();
    let at = ((values.len().checked_sub(1)?) as f64 * part).round() as usize;
    values.get(at).map(|ns| *ns as f64 / 1e3)
}

/// Median and 99th of a hundred, in microseconds.
fn spread(mut values: Vec<i64>) -> Value {
    json!({ "n": values.len(), "median_us": quantile(&mut values, 0.5), "p99_us": quantile(&mut values, 0.99) })
}

fn report(
    world: &World,
    begun_ns: u64,
    figures: &[Figure],
    packets: &BTreeMap<String, Packet>,
    controls: &BTreeMap<u64, Vec<u64>>,
) -> Result<()> {
    let mut by_sender: BTreeMap<&str, Vec<&Packet>> = BTreeMap::new();
    for (payload, packet) in packets {
        if let Some(sender) = payload.get(SENDER_HEX)
            && packet.recorded_ns().is_some()
        {
            by_sender.entry(sender).or_default().push(packet);
        }
    }
    let mut errors = Vec::new();
    for figure in figures {
        let sender = format!("{:016x}{:08x}", figure.from.switch.0, figure.from.port.0);
        let mut back: Vec<(u64, i64)> = by_sender
            .get(sender.as_str())
            .into_iter()
            .flatten()
            .filter_map(|p| Some((p.back.as_ref()?.written_ns, p.recorded_ns()? as i64)))
            .filter(|(written_ns, _)| *written_ns < figure.read_ns)
            .collect();
        back.sort_unstable();
        let mut recorded: Vec<i64> = back
            .iter()
            .rev()
            .take(figure.samples as usize)
            .map(|(_, ns)| *ns)
            .collect();
        if let Some(recorded_us) = quantile(&mut recorded, 0.5) {
            errors.push(figure.latency_ns as i64 - (recorded_us * 1e3) as i64);
        }
    }
    let mut parts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for packet in packets.values() {
        let Packet {
            there: Some(there),
            back: Some(back),
            out_ns: Some(out_ns),
            in_ns: Some(in_ns),
        } = packet
        else {
            continue;
        };
        if there.received_ns < begun_ns {
            continue;
        }
        let set = |c: &Crossing| {
            let delays = world.delays.get(c.pair.as_str()).copied().unwrap_or_default();
            delays[usize::from(!c.a_to_b)].as_nanos() as i64
        };
        for crossing in [there, back] {
            let over = (crossing.written_ns - crossing.received_ns) as i64 - set(crossing);
            parts.entry("delay line over what is set").or_default().push(over);
        }
        parts
            .entry("speaker to delay line")
            .or_default()
            .push(there.received_ns as i64 - *out_ns as i64);
        parts
            .entry("turned by the far switch")
            .or_default()
            .push(back.received_ns as i64 - there.written_ns as i64);
        parts
            .entry("delay line to speaker")
            .or_default()
            .push(*in_ns as i64 - back.written_ns as i64);
    }
    parts.insert(
        "control channel",
        controls.values().flatten().map(|ns| *ns as i64).collect(),
    );
    let mut all = Map::new();
    all.insert("reported less recorded".into(), spread(errors));
    for (part, values) in parts {
        all.insert(part.into(), spread(values));
    }
    for (what, value) in &all {
        println!(
            "{what:32} n {:5}  median {:8} us  p99 {:8} us",
            value["n"], value["median_us"], value["p99_us"]
        );
    }
    let own = tool::path("skerry-link-latency")?;
    let folder = own.ancestors().nth(2).unwrap_or(Path::new("target")).join("bench");
    fs::create_dir_all(&folder)?;
    let file = folder.join("link-latency.json");
    fs::write(&file, serde_json::to_string_pretty(&Value::Object(all))? + "\n")
        .with_context(|| file.display().to_string())
}

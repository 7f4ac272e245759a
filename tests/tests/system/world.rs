//! A world of real daemons and a line of real switches without interfaces: broker, one speaker, a router, and bridges
//! on the dummy datapath whose ports are joined by sockets. It needs neither root nor namespaces.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skerry_bus::Topic;
use skerry_bus::api::{FlowView, LinkView, SwitchView};
use skerry_bus::service::LinkStatus;
use skerry_io::kafka::{Begin, Consumer, ConsumerEvent, Producer, Reading, Record};
use skerry_tests::daemons::{ANY_PORT, Daemon, Daemons};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::process::Process;
use skerry_tests::rest::{Answer, Rest};
use skerry_tests::wait::{self, DEADLINE};

use crate::PREFIX;

/// The only region.
pub const REGION: &str = "east";
/// Port of each bridge towards the next.
pub const PORT_NEXT: u32 = 1;
/// Port of each bridge towards the one before.
pub const PORT_PREVIOUS: u32 = 2;
/// Ports of each bridge where customers are.
pub const EDGES: [u32; 3] = [10, 11, 12];
/// Discovery as often as allowed: a link is up soon.
const OFTEN: &str = "[intervals]\ndiscovery_ms = 300\n";

pub struct World {
    pub rest: Rest,
    pub router: Daemon,
    pub speaker: Daemon,
    pub broker: Process,
    pub ovs: Ovs,
    pub daemons: Daemons,
    bridges: u64,
}

impl World {
    /// Daemons, and bridges `s1` to `s<bridges>` in a line, all of it settled.
    pub fn new(bridges: u64) -> Result<World> {
        World::with_speaker(bridges, "")
    }

    /// The same, with more in the speaker's configuration.
    pub fn with_speaker(bridges: u64, more: &str) -> Result<World> {
        let world = World::unconnected(bridges, more)?;
        let controllers = Controllers::new([format!("tcp:{}", world.speaker.address)]);
        for bridge in world.bridges() {
            world.ovs.set_controllers(&bridge, &controllers)?;
        }
        world.settled()?;
        Ok(world)
    }

    /// The same, but the bridges have no controllers.
    fn unconnected(bridges: u64, more: &str) -> Result<World> {
        let lab = Lab::new(PREFIX)?;
        let daemons = Daemons::new(&lab, None)?;
        let broker = daemons.broker()?;
        let speaker = daemons.speaker(REGION, ANY_PORT, &format!("{OFTEN}{more}"))?;
        let router = daemons.router(&[REGION], ANY_PORT, "")?;
        let rest = daemons.rest(&router);
        let ovs = Ovs::start_dummy(&lab)?;
        for number in 1..=bridges {
            add_bridge(&ovs, number, bridges)?;
        }
        Ok(World {
            rest,
            router,
            speaker,
            broker,
            ovs,
            daemons,
            bridges,
        })
    }

    fn bridges(&self) -> impl Iterator<Item = String> {
        (1..=self.bridges).map(|number| format!("s{number}"))
    }

    /// Waits until all bridges are active and have what they need, and all links are up.
    pub fn settled(&self) -> Result<()> {
        settled(
            &self.rest,
            self.bridges as usize,
            self.bridges.saturating_sub(1) as usize,
        )
    }

    /// Rules, groups and meters of all bridges.
    pub fn dump(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for bridge in self.bridges() {
            let ovs = &self.ovs;
            let objects = [
                ovs.dump_flows(&bridge)?,
                ovs.dump_groups(&bridge)?,
                ovs.dump_meters(&bridge)?,
            ];
            all.extend(
                objects
                    .into_iter()
                    .flatten()
                    .map(|object| format!("{bridge}: {object}")),
            );
        }
        Ok(all)
    }

    /// Nothing of it ended, and nothing panicked.
    pub fn unharmed(&self) -> Result<()> {
        for process in [&self.broker, &self.speaker.process, &self.router.process] {
            unharmed(process)?;
        }
        Ok(())
    }

    /// A refused connection whose reason contains this.
    pub fn refused(&self, reason: &str) -> Result<Value> {
        wait::until(&format!("a refusal because of {reason:?}"), DEADLINE, || {
            let refused: Vec<Value> = self.rest.get("/v2/switches/refused").map_err(|e| format!("{e:#}"))?;
            let found = refused
                .iter()
                .find(|r| r["reason"].as_str().is_some_and(|r| r.contains(reason)));
            found.cloned().ok_or_else(|| format!("{refused:?}"))
        })
    }
}

/// A bridge of a line, with its ports.
pub fn add_bridge(ovs: &Ovs, number: u64, of: u64) -> Result<()> {
    let bridge = format!("s{number}");
    ovs.add_bridge(&bridge, number, &Controllers::new::<String>([]))?;
    for port in EDGES {
        ovs.add_dummy_port(&bridge, &format!("{bridge}-edge{port}"), port, None)?;
    }
    let cable = |first: u64| ovs.folder().join(format!("cable-{first}"));
    if number < of {
        ovs.add_dummy_port(&bridge, &format!("{bridge}-next"), PORT_NEXT, Some(&cable(number)))?;
    }
    if number > 1 {
        let port = format!("{bridge}-previous");
        ovs.add_dummy_port(&bridge, &port, PORT_PREVIOUS, None)?;
        let stream = format!("options:stream=unix:{}", cable(number - 1).display());
        ovs.vsctl(&["set", "interface", &port, &stream])?;
    }
    Ok(())
}

/// Waits until so many switches are active and have what they need, and so many links are up.
pub fn settled(rest: &Rest, switches: usize, links: usize) -> Result<()> {
    wait::until(&format!("{switches} switches and {links} links"), DEADLINE, || {
        // First the links: with a new one, switches need something more.
        let seen: Vec<LinkView> = rest.get("/v2/links").map_err(|e| format!("{e:#}"))?;
        let views: Vec<SwitchView> = rest.get("/v2/switches").map_err(|e| format!("{e:#}"))?;
        let good = |s: &&SwitchView| {
            s.state == "connected"
                && !s.ports.is_empty()
                && s.active_region.is_some()
                && s.generation_wanted > 0
                && s.generation_applied == s.generation_wanted
        };
        let active = views.iter().filter(good).count();
        let up = seen.iter().filter(|l| l.state == LinkStatus::Up).count();
        if active == switches && up == links {
            return Ok(());
        }
        let views: Vec<String> = views
            .iter()
            .map(|s| {
                format!(
                    "{} {} in {:?} at {} of {} {}",
                    s.switch_id, s.state, s.active_region, s.generation_applied, s.generation_wanted, s.apply_error
                )
            })
            .collect();
        let seen: Vec<String> = seen
            .iter()
            .map(|l| format!("{} {:?} {}", l.link_id, l.state, l.reason))
            .collect();
        Err(format!("{views:?} {seen:?}"))
    })
}

/// What must stay of a switch that nothing happened to.
pub fn session(rest: &Rest, switch: u64) -> Result<(Value, Value)> {
    let view: Value = rest.get(&format!("/v2/switches/{}", switch_id(switch)))?;
    let told: Vec<Value> = rest.get("/v2/events/kept?since=0")?;
    // Whoever else claims its id and is refused is no news of this one.
    let about = |e: &&Value| e["event"]["switch"] == switch_id(switch) && e["event"]["kind"] != "switch_refused";
    let told = told.iter().filter(about).map(|e| e["event"]["kind"].clone()).collect();
    Ok((json!([view["state"], view["active_region"], view["term"]]), told))
}

/// A program runs, and nothing in it panicked.
pub fn unharmed(process: &Process) -> Result<()> {
    ensure!(process.is_running(), "{process:?} ended:\n{}", process.last_words());
    let log = process.log().context("it has a log")?;
    let text = std::fs::read_to_string(log)?;
    ensure!(!text.contains("panicked"), "{process:?} panicked:\n{text}");
    Ok(())
}

/// An endpoint in a body.
pub fn endpoint(switch: u64, port: u32, vlan: u16) -> Value {
    json!({ "switch_id": switch_id(switch), "port_number": port, "vlan_id": vlan })
}

/// The id of a switch as text.
pub fn switch_id(number: u64) -> String {
    skerry_bus::SwitchId(number).to_string()
}

/// An answer is a problem document of this status and kind; gives fields and causes, and the detail.
pub fn problem(answer: &Answer, status: u16, kind: &str) -> Result<(Vec<(String, String)>, String)> {
    let body = &answer.body;
    ensure!(answer.status == status, "{status} was expected: {answer:?}");
    ensure!(answer.content_type == "application/problem+json", "{answer:?}");
    ensure!(
        body["type"] == format!("urn:skerry:problem:{kind}"),
        "{kind} was expected: {answer:?}"
    );
    ensure!(body["status"] == status && body["title"].is_string(), "{answer:?}");
    let detail = body["detail"].as_str().unwrap_or_default().to_owned();
    ensure!(!detail.is_empty(), "no cause: {answer:?}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let fields = errors
        .iter()
        .map(|e| (text(&e["pointer"]), text(&e["detail"])))
        .collect();
    Ok((fields, detail))
}

/// The flow as the router shows it.
pub fn flow(rest: &Rest, id: &str) -> Result<FlowView> {
    rest.get(&format!("/v2/flows/{id}"))
}

/// Kafka as a stranger has it: any bytes into any partition, and every record that is there.
pub struct Stranger {
    producer: Producer,
    read: std::sync::Arc<Mutex<Vec<Record>>>,
    _fates: JoinHandle<()>,
}

impl Stranger {
    /// Writes to `written`, reads all of `read` from its beginning on.
    pub fn start(daemons: &Daemons, written: Vec<Topic>, read: Vec<Topic>) -> Result<Stranger> {
        let settings = daemons.kafka()?;
        let topics = read.into_iter().map(|topic| (topic, Begin::Earliest)).collect();
        let reading = Reading {
            client_id: "stranger".into(),
            group: "stranger".into(),
            topics,
        };
        let (producer, mut fates) = Producer::start(&settings, "stranger", written)?;
        let mut consumer = Consumer::start(&settings, reading)?;
        let all = std::sync::Arc::new(Mutex::new(Vec::new()));
        let ours = all.clone();
        std::thread::spawn(move || {
            while let Some(event) = consumer.blocking_recv() {
                if let ConsumerEvent::Record(record) = event {
                    ours.lock().unwrap_or_else(PoisonError::into_inner).push(record);
                }
            }
        });
        let fates = std::thread::spawn(move || while fates.blocking_recv().is_some() {});
        Ok(Stranger {
            producer,
            read: all,
            _fates: fates,
        })
    }

    /// Writes these bytes.
    pub fn write(&self, topic: &Topic, partition: i32, key: &str, payload: &[u8]) -> Result<()> {
        wait::until("Kafka to take a record", DEADLINE, || {
            let sent = self.producer.send(topic, partition, key, payload.to_vec(), None);
            sent.map_err(|e| e.to_string())
        })
    }

    /// All records of a topic that were read so far, as JSON.
    pub fn all(&self, topic: &Topic) -> Vec<Value> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let of_topic = read.iter().filter(|record| record.topic == *topic);
        of_topic
            .filter_map(|record| serde_json::from_slice(&record.payload).ok())
            .collect()
    }

    /// Waits for a record of a topic, read as JSON, from which `pick` takes something.
    pub fn wait<T>(&self, what: &str, topic: &Topic, pick: impl Fn(&Record, &Value) -> Option<T>) -> Result<T> {
        wait::until(what, DEADLINE, || {
            let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            let of_topic = || read.iter().filter(|record| record.topic == *topic);
            let json = |record: &Record| serde_json::from_slice::<Value>(&record.payload).unwrap_or(Value::Null);
            let found = of_topic().find_map(|record| pick(record, &json(record)));
            let last = || {
                let kept = of_topic()
                    .map(json)
                    .filter(|j| j["kind"] != "heartbeat")
                    .map(|j| j.to_string());
                let kept: Vec<String> = kept.collect();
                kept[kept.len().saturating_sub(10)..].join("\n")
            };
            found.ok_or_else(last)
        })
    }
}

//! The whole router in virtual time, with regions that answer as speakers do, over records and nothing else.

mod bad_input;
mod drains;
mod start_order;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skerry_bus::api::{FlowView, OperationState, OperationView};
use skerry_bus::event::direction_digest;
use skerry_bus::objects::Objects;
use skerry_bus::reply::CommandResult;
use skerry_bus::service::FlowStatus;
use skerry_bus::switch::SwitchDescription;
use skerry_bus::{
    BrokerClock, Command, CommandBody, CorrelationId, Decoded, DesiredChange, Epoch, Generation, Latency, LatencyBody,
    LatencySource, Mode, Outcome, PortNo, PortRef, PortState, Region, RegionEvent, RegionEventBody, Role, Seq,
    SwitchId, SwitchState, Term, Topic, VirtualEvent, VirtualEventBody, decode, encode,
};
use skerry_monitor::{Threshold, fleet};
use skerry_router_core::presence::RegionConfig;
use skerry_router_core::{presence, sync};

use super::api::{ApiRequest, ApiResponse, FeaturesPatch};
use super::*;
use crate::store::{Stored, Write};

mod kept;

const PARTITIONS: i32 = 4;
const START_MS: u64 = 1_700_000_000_000;
const TICK: Duration = Duration::from_millis(10);
const SWITCHES: u64 = 4;
/// A customer's port on every switch.
const CUSTOMER: u32 = 10;

/// A switch as its regions see it; what stands on it is what the MASTER wrote last.
#[derive(Default)]
struct Switch {
    term: Option<Term>,
    master: Option<Region>,
    objects: Objects,
    generation: Generation,
    /// Every object set it ever had, in order.
    history: Vec<Objects>,
}

/// A region's speaker, reduced to what the router sees of it.
struct Speaker {
    region: Region,
    epoch: Epoch,
    seq: BTreeMap<i32, u64>,
    alive: bool,
    /// Refuses every `desired` that brings a rule of a flow, as a switch with a full table does.
    full: bool,
}

struct Bench {
    router: Router,
    now: Instant,
    start: Instant,
    switches: BTreeMap<SwitchId, Switch>,
    speakers: Vec<Speaker>,
    /// Round trip of each link of the ring.
    latencies: BTreeMap<LinkId, u64>,
    events: Vec<VirtualEvent>,
    store: BTreeMap<(String, String), String>,
    last_heartbeat: Instant,
    last_latency: Instant,
    token: u64,
    offset: i64,
    /// Key of the next record, instead of the right one.
    key: Option<Vec<u8>>,
    /// Records of other topics than the commands of regions, and what was counted and told, since somebody looked.
    said: Vec<(Topic, Value)>,
    counted: BTreeMap<(String, String), u32>,
    facts: Vec<String>,
    committed: BTreeMap<i32, i64>,
    /// Region snapshots that were asked for.
    asked: Vec<(Region, CorrelationId)>,
    /// There is no router, or no Kafka: nothing is read, and nobody hears what is said.
    deaf: bool,
    /// A switch whose entry in snapshots cannot be read.
    garbled: Option<SwitchId>,
}

use skerry_bus::LinkId;

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn partition_of(switch: SwitchId) -> i32 {
    skerry_bus::topic::partition_of(&switch.to_string(), PARTITIONS)
}

/// The key that a writer gives a message: the switch it is about.
fn key_of(payload: &[u8]) -> Vec<u8> {
    let switch = match (decode::<RegionEvent>(payload), decode::<Command>(payload)) {
        (Decoded::Message(event), _) => event.body.switch(),
        (_, Decoded::Message(command)) => command.body.switch(),
        _ => None,
    };
    switch.map_or_else(Vec::new, |s| s.to_string().into_bytes())
}

fn config() -> Config {
    let regions = ["east", "west"]
        .map(region)
        .into_iter()
        .zip(0..)
        .map(|(region, preference)| RegionConfig { region, preference });
    Config {
        presence: presence::Config::new(regions.collect(), PARTITIONS),
        partitions: PARTITIONS,
        owner_epoch: 1,
        sync: sync::Config::default(),
        fleet: fleet::Config {
            window: Duration::from_secs(5),
            threshold: Threshold::from_fraction(0.05).expect("a fraction"),
            ..fleet::Config::default()
        },
        flows: FlowsConfig {
            stage: Duration::from_secs(30),
            drain_min: Duration::from_secs(2),
        },
        version: "test",
    }
}

/// The ring's link from a switch to the next.
fn link(from: u64) -> (PortRef, PortRef) {
    let to = from % SWITCHES + 1;
    let port = |switch, port| PortRef {
        switch: SwitchId(switch),
        port: PortNo(port),
    };
    (port(from, 1), port(to, 2))
}

impl Bench {
    /// Everything runs, and everybody knows everybody.
    fn new() -> Self {
        let mut bench = Bench::bare();
        let now = bench.now;
        bench.router.handle_input(now, Input::Bus { up: true });
        bench
            .router
            .handle_input(now, Input::Clock(BrokerClock::new(now, START_MS)));
        bench.everything_is_caught_up();
        for at in 0..2 {
            bench.connect(at);
        }
        bench.run(Duration::from_secs(3));
        bench
    }

    /// A router that has heard nothing, not even of Kafka.
    fn bare() -> Self {
        let now = Instant::now();
        let router = Router::new(config(), Vec::new(), now).expect("nothing is stored");
        let speaker = |name: &str| Speaker {
            region: region(name),
            epoch: Epoch(1),
            seq: BTreeMap::new(),
            alive: true,
            full: false,
        };
        Bench {
            router,
            now,
            start: now,
            switches: (1..=SWITCHES).map(|s| (SwitchId(s), Switch::default())).collect(),
            speakers: vec![speaker("east"), speaker("west")],
            latencies: (1..=SWITCHES)
                .map(|s| (LinkId::new(link(s).0, link(s).1), s * 1_000_000))
                .collect(),
            events: Vec::new(),
            store: BTreeMap::new(),
            last_heartbeat: now,
            last_latency: now,
            token: 0,
            offset: 0,
            key: None,
            said: Vec::new(),
            counted: BTreeMap::new(),
            facts: Vec::new(),
            committed: BTreeMap::new(),
            asked: Vec::new(),
            deaf: false,
            garbled: None,
        }
    }

    fn everything_is_caught_up(&mut self) {
        for name in ["east", "west"] {
            for partition in 0..PARTITIONS {
                let topic = Topic::RegionEvents(region(name));
                self.router.handle_input(self.now, Input::CaughtUp { topic, partition });
            }
        }
    }

    fn ms(&self) -> u64 {
        START_MS + (self.now - self.start).as_millis() as u64
    }

    fn state(&self, at: usize, switch: SwitchId) -> SwitchState {
        let speaker = &self.speakers[at];
        let sight = &self.switches[&switch];
        let master = sight.master.as_ref() == Some(&speaker.region);
        SwitchState {
            switch,
            connection: 1,
            address: format!("10.0.0.{}:4000", switch.0),
            speaker_address: "10.0.1.1:6653".into(),
            mode: Mode::ReadWrite,
            role: if master { Role::Master } else { Role::Slave },
            term_seen: sight.term,
            uptime_ms: 1_000,
            generation: None,
            description: SwitchDescription::default(),
            ports: [1, 2, CUSTOMER, CUSTOMER + 1]
                .map(|port| PortState {
                    port: PortNo(port),
                    name: String::new(),
                    up: true,
                    speed_kbps: 0,
                })
                .to_vec(),
            control_rtt_ns: None,
            features: Default::default(),
        }
    }

    fn tell(&mut self, at: usize, correlation_id: Option<CorrelationId>, body: RegionEventBody) {
        let partitions = match body.switch() {
            Some(switch) => partition_of(switch)..partition_of(switch) + 1,
            None => 0..PARTITIONS,
        };
        for partition in partitions {
            self.tell_in(at, partition, correlation_id.clone(), body.clone());
        }
    }

    fn tell_in(&mut self, at: usize, partition: i32, correlation_id: Option<CorrelationId>, body: RegionEventBody) {
        let event = RegionEvent {
            region: self.speakers[at].region.clone(),
            epoch: self.speakers[at].epoch,
            seq: self.next_seq(at, partition),
            at_ms: START_MS,
            correlation_id,
            body,
        };
        let topic = Topic::RegionEvents(self.speakers[at].region.clone());
        self.read(topic, partition, encode(&event));
    }

    fn next_seq(&mut self, at: usize, partition: i32) -> Seq {
        let seq = self.speakers[at].seq.entry(partition).or_default();
        *seq += 1;
        Seq(*seq)
    }

    fn read(&mut self, topic: Topic, partition: i32, payload: Vec<u8>) {
        self.offset += 1;
        let (offset, record_ms, caught_up) = (self.offset, self.ms(), true);
        let key = self.key.take().unwrap_or_else(|| key_of(&payload));
        if self.deaf {
            return;
        }
        let input = Input::Record {
            topic,
            partition,
            offset,
            record_ms,
            caught_up,
            key,
            payload,
        };
        self.router.handle_input(self.now, input);
    }

    fn snapshot(&mut self, at: usize, snapshot: CorrelationId) {
        for partition in 0..PARTITIONS {
            let name = || snapshot.clone();
            self.tell_in(at, partition, None, RegionEventBody::SnapshotBegin { snapshot: name() });
            let all = self.switches.keys().copied();
            let here: Vec<SwitchId> = all.filter(|s| partition_of(*s) == partition).collect();
            for switch in &here {
                if self.garbled == Some(*switch) {
                    let (region, epoch) = (self.speakers[at].region.clone(), self.speakers[at].epoch);
                    let seq = self.next_seq(at, partition);
                    let entry = json!({
                        "region": region, "epoch": epoch, "seq": seq, "at_ms": 1,
                        "kind": "snapshot_switch", "snapshot": snapshot, "state": "?",
                    });
                    self.read(Topic::RegionEvents(region), partition, entry.to_string().into_bytes());
                    continue;
                }
                let state = self.state(at, *switch);
                let entry = RegionEventBody::SnapshotSwitch {
                    snapshot: name(),
                    state,
                };
                self.tell_in(at, partition, None, entry);
            }
            let switches = here.len() as u32;
            let end = RegionEventBody::SnapshotEnd {
                snapshot: name(),
                switches,
            };
            self.tell_in(at, partition, None, end);
        }
    }

    fn connect(&mut self, at: usize) {
        self.snapshot(at, "start".parse().expect("a name"));
        self.see_links(at);
    }

    /// The active region of a switch tells what it sees there.
    fn see_links(&mut self, at: usize) {
        for number in 1..=SWITCHES {
            let (a, b) = link(number);
            for (from, to) in [(a, b), (b, a)] {
                let sight = self.switches.get(&to.switch);
                if sight.and_then(|s| s.master.as_ref()) == Some(&self.speakers[at].region) {
                    self.tell(
                        at,
                        None,
                        RegionEventBody::LinkSeen {
                            from,
                            to,
                            interval_ms: 300,
                        },
                    );
                }
            }
        }
    }

    fn digests(&mut self, at: usize) {
        for switch in self.switches.keys().copied().collect::<Vec<_>>() {
            if self.switches[&switch].master.as_ref() != Some(&self.speakers[at].region) {
                continue;
            }
            let mut digest = 0_u64;
            let mut links = 0;
            for number in 1..=SWITCHES {
                let (a, b) = link(number);
                for (from, to) in [(a, b), (b, a)] {
                    if to.switch == switch {
                        links += 1;
                        digest = digest.wrapping_add(direction_digest(from, to));
                    }
                }
            }
            self.tell(at, None, RegionEventBody::LinkDigest { switch, links, digest });
        }
    }

    /// What speakers do with a command.
    fn command(&mut self, at: usize, command: Command) {
        let name = self.speakers[at].region.clone();
        let id = command.correlation_id.clone();
        let result = |switch, outcome, cause, generation| RegionEventBody::CommandResult {
            result: CommandResult {
                switch: Some(switch),
                outcome,
                cause,
                generation,
                messages: 1,
                objects: None,
            },
        };
        match command.body {
            CommandBody::Activate { switch, term } => {
                let sight = self.switches.get_mut(&switch).expect("a switch of the bench");
                assert!(
                    sight.term.is_none_or(|t| t <= term),
                    "{switch} was asked to take {term} after {:?}",
                    sight.term
                );
                let before = sight.master.replace(name.clone());
                sight.term = Some(term);
                let state = self.state(at, switch);
                self.tell(at, Some(id), RegionEventBody::SwitchChanged { state });
                if before.as_ref() != Some(&name) {
                    self.see_links(at);
                }
            }
            CommandBody::Deactivate { switch, .. } | CommandBody::SwitchSnapshot { switch } => {
                let state = self.state(at, switch);
                self.tell(at, Some(id.clone()), RegionEventBody::SwitchChanged { state });
                self.tell(at, Some(id), result(switch, Outcome::Applied, None, None));
            }
            CommandBody::RegionSnapshot { snapshot } => {
                // It is written to every partition, and done once.
                if self.asked.last() != Some(&(name.clone(), snapshot.clone())) {
                    self.asked.push((name, snapshot.clone()));
                    self.snapshot(at, snapshot);
                }
            }
            CommandBody::Desired {
                switch,
                term,
                generation,
                change,
            } => {
                let brought = match &change {
                    DesiredChange::Snapshot { objects } => objects,
                    DesiredChange::Delta { put, .. } => put,
                };
                let too_many = brought
                    .rules
                    .values()
                    .find(|r| r.cookie.0 >> 63 == 0)
                    .map(|r| r.key.to_string());
                if let (true, Some(object)) = (self.speakers[at].full, too_many) {
                    let name = "OFPET_FLOW_MOD_FAILED/OFPFMFC_TABLE_FULL".to_owned();
                    let cause = skerry_bus::Cause::SwitchError {
                        error_type: 5,
                        error_code: 1,
                        name,
                        object,
                    };
                    self.tell(at, Some(id), result(switch, Outcome::Failed, Some(cause), None));
                    return;
                }
                let sight = self.switches.get_mut(&switch).expect("a switch of the bench");
                assert_eq!(
                    (sight.term, sight.master.as_ref()),
                    (Some(term), Some(&name)),
                    "{switch}: a write without role"
                );
                match change {
                    DesiredChange::Snapshot { objects } => sight.objects = objects,
                    DesiredChange::Delta { base, put, remove } => {
                        assert_eq!(base, sight.generation, "{switch}: a delta from another base");
                        sight.objects.remove(&remove);
                        sight.objects.extend(put);
                    }
                }
                sight.generation = generation;
                sight.history.push(sight.objects.clone());
                self.tell(at, Some(id), result(switch, Outcome::Applied, None, Some(generation)));
            }
            other => panic!("a speaker is not asked {other:?} here"),
        }
    }

    /// Carry out what the router wants, until it is quiet. Gives answers by token.
    fn drain(&mut self) -> BTreeMap<u64, ApiResponse> {
        let mut answers = BTreeMap::new();
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Publish {
                    topic: Topic::RegionCommands(name),
                    payload,
                    ..
                } => {
                    let Decoded::Message(command) = decode::<Command>(&payload) else {
                        panic!("not a command")
                    };
                    let at = self
                        .speakers
                        .iter()
                        .position(|s| s.region == name)
                        .expect("a known region");
                    if self.speakers[at].alive && !self.deaf {
                        self.command(at, command);
                    }
                }
                Output::Store(Write::Put { kind, id, body }) => {
                    self.store.insert((kind.to_owned(), id), body);
                }
                Output::Store(Write::Delete { kind, id }) => {
                    self.store.remove(&(kind.to_owned(), id));
                }
                Output::Event(event) => self.events.push(*event),
                Output::Answer { token, response } => {
                    answers.insert(token, *response);
                }
                Output::Publish {
                    topic, payload, token, ..
                } => {
                    self.said
                        .push((topic, serde_json::from_slice(&payload).unwrap_or(Value::Null)));
                    if let Some(token) = token {
                        self.router.handle_input(self.now, Input::Delivered { token });
                    }
                }
                Output::Commit { partition, offset } => {
                    self.committed.insert(partition, offset);
                }
                Output::Count {
                    name,
                    label: (_, value),
                } => {
                    *self.counted.entry((name.to_owned(), value)).or_default() += 1;
                }
                Output::Fact { text, .. } => self.facts.push(text),
                Output::LookForRegions => {}
            }
        }
        answers
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        while self.now < end {
            self.now += TICK;
            if self.now - self.last_heartbeat >= Duration::from_millis(250) {
                self.last_heartbeat = self.now;
                for at in 0..self.speakers.len() {
                    if self.speakers[at].alive {
                        self.tell(
                            at,
                            None,
                            RegionEventBody::Heartbeat {
                                switches: 4,
                                coalesced: 0,
                                speaker: String::new(),
                            },
                        );
                        self.digests(at);
                    }
                }
            }
            if self.now - self.last_latency >= Duration::from_millis(500) {
                self.last_latency = self.now;
                for (link, latency_ns) in self.latencies.clone() {
                    let body = LatencyBody::LinkLatency {
                        from: link.a(),
                        to: link.b(),
                        latency_ns,
                        source: LatencySource::RoundTrip,
                        samples: 1,
                    };
                    let at_ms = self.ms();
                    let latency = Latency {
                        region: region("east"),
                        epoch: Epoch(1),
                        seq: Seq(1),
                        at_ms,
                        body,
                    };
                    self.read(Topic::Latency(region("east")), 0, encode(&latency));
                }
            }
            if self.router.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                self.router.handle_timeout(self.now);
            }
            self.drain();
        }
    }

    fn ask(&mut self, request: ApiRequest) -> ApiResponse {
        self.token += 1;
        let token = self.token;
        self.router.handle_input(self.now, Input::Ask { token, request });
        self.drain().remove(&token).expect("every question is answered at once")
    }

    fn put_flow(&mut self, id: &str, body: Value) -> ApiResponse {
        let request = serde_json::from_value(body).expect("a flow");
        self.ask(ApiRequest::PutFlow {
            flow: id.parse().expect("a name"),
            request,
            dry_run: false,
        })
    }

    fn flow(&mut self, id: &str) -> FlowView {
        let answer = self.ask(ApiRequest::Flow(id.parse().expect("a name")));
        serde_json::from_value(answer.body.clone()).unwrap_or_else(|e| panic!("{e}: {answer:?}"))
    }

    /// Wait for an operation's end.
    fn ended(&mut self, answer: &ApiResponse) -> OperationView {
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.body["operation_id"].as_u64().expect("a number");
        for _ in 0..1_000 {
            let view: OperationView =
                serde_json::from_value(self.ask(ApiRequest::Operation(id)).body).expect("an operation");
            if view.state.is_terminal() {
                return view;
            }
            self.run(Duration::from_millis(100));
        }
        panic!("operation {id} did not end");
    }

    fn stored(&self) -> Vec<Stored> {
        self.store
            .iter()
            .map(|((kind, id), body)| Stored {
                kind: kind.clone(),
                id: id.clone(),
                revision: 1,
                body: body.clone(),
            })
            .collect()
    }

    fn restart(&mut self) {
        let stored = self.stored();
        let config = Config {
            owner_epoch: 2,
            ..config()
        };
        self.router = Router::new(config, stored, self.now).expect("what was stored can be read");
        self.router.handle_input(self.now, Input::Bus { up: true });
        self.router
            .handle_input(self.now, Input::Clock(BrokerClock::new(self.now, self.ms())));
        self.everything_is_caught_up();
    }

    fn told(&self, wanted: impl Fn(&VirtualEventBody) -> bool) -> usize {
        self.events.iter().filter(|e| wanted(&e.event)).count()
    }
}

fn body() -> Value {
    let end = |switch: u64, vlan: u16| json!({"switch_id": SwitchId(switch), "port_number": CUSTOMER, "vlan_id": vlan});
    json!({
        "source": end(1, 100), "destination": end(3, 200), "maximum_bandwidth": 1000, "max_latency": 8,
        "path_computation_strategy": "latency",
    })
}

#[test]
fn switches_become_active_in_the_preferred_region_and_links_come_up() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.told(|e| matches!(e, VirtualEventBody::SwitchConnected { region, .. } if region.as_str() == "east")),
        4
    );
    assert_eq!(bench.told(|e| matches!(e, VirtualEventBody::LinkChanged { .. })), 4);
    let status = bench.ask(ApiRequest::Status).body;
    assert_eq!(
        (
            &status["switches_connected"],
            &status["links_up"],
            &status["regions_live"]
        ),
        (&json!(4), &json!(4), &json!(2))
    );
    for (id, switch) in &bench.switches {
        assert!(
            switch.objects.groups.contains_key(&1),
            "{id} has no round-trip group: {:?}",
            switch.objects.groups
        );
    }
}

#[test]
fn a_flow_is_made_on_its_switches_and_goes_without_a_trace() {
    let mut bench = Bench::new();
    let before: Vec<Objects> = bench.switches.values().map(|s| s.objects.clone()).collect();
    let answer = bench.put_flow("f1", body());
    assert_eq!(bench.ended(&answer).state, OperationState::Done);
    let flow = bench.flow("f1");
    assert_eq!(flow.status, FlowStatus::Up);
    // 1 -> 2 -> 3 is 1 + 2 ms, the other way is 4 + 3 ms.
    assert_eq!(flow.path.iter().map(|h| h.switch_id.0).collect::<Vec<_>>(), [1, 2, 3]);
    bench.run(Duration::from_secs(6));
    let flow = bench.flow("f1");
    assert_eq!(
        (flow.sla_state.as_str(), flow.latency_ms, flow.latency_coverage),
        ("healthy", Some(3.0), (2, 2))
    );

    let again = bench.put_flow("f1", body());
    assert_eq!(
        bench.ended(&again).state,
        OperationState::Done,
        "putting the same again is done at once"
    );
    let answer = bench.ask(ApiRequest::DeleteFlow {
        flow: "f1".parse().expect("a name"),
        dry_run: false,
    });
    assert_eq!(bench.ended(&answer).state, OperationState::Done);
    let after: Vec<Objects> = bench.switches.values().map(|s| s.objects.clone()).collect();
    assert_eq!(after, before);
    assert!(
        !bench
            .store
            .keys()
            .any(|(kind, _)| kind == "flow" || kind == "operation"),
        "{:?}",
        bench.store.keys()
    );
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let mut bench = Bench::new();
    let request = serde_json::from_value(body()).expect("a flow");
    let flow: skerry_bus::FlowId = "f1".parse().expect("a name");
    let answer = bench.ask(ApiRequest::PutFlow {
        flow: flow.clone(),
        request,
        dry_run: true,
    });
    assert_eq!(answer.status, 200);
    assert!(
        answer.body["stages"].as_array().is_some_and(|s| !s.is_empty()),
        "{answer:?}"
    );
    assert_eq!(bench.ask(ApiRequest::Flow(flow)).status, 404);
    // Its numbers were given back: the real one gets the same.
    let stages = answer.body["stages"].clone();
    let answer = bench.put_flow("f1", body());
    bench.ended(&answer);
    let text = serde_json::to_string(&stages).expect("JSON");
    let cookie = bench.switches[&SwitchId(2)]
        .objects
        .rules
        .values()
        .map(|r| r.cookie)
        .find(|c| c.0 >> 63 == 0);
    let cookie = cookie.expect("rules of the flow");
    assert!(text.contains(&cookie.to_string()), "{cookie} is not in the dry run");
}

#[test]
fn a_lost_region_is_one_event_per_switch_and_the_other_one_gets_everything() {
    let mut bench = Bench::new();
    let answer = bench.put_flow("f1", body());
    bench.ended(&answer);
    let stood: Vec<Objects> = bench.switches.values().map(|s| s.objects.clone()).collect();
    bench.speakers[0].alive = false;
    // The switches forget nothing, but whoever comes new has to be told all.
    bench.run(Duration::from_secs(3));
    assert_eq!(
        bench.told(
            |e| matches!(e, VirtualEventBody::SwitchConnectedElsewhere { region, .. } if region.as_str() == "west")
        ),
        4
    );
    assert_eq!(
        bench.told(|e| matches!(e, VirtualEventBody::SwitchDisconnected { .. })),
        0
    );
    assert!(bench.switches.values().all(|s| s.master == Some(region("west"))));
    let stands: Vec<Objects> = bench.switches.values().map(|s| s.objects.clone()).collect();
    assert_eq!(stands, stood);
    assert_eq!(
        bench.told(|e| matches!(e, VirtualEventBody::LinkChanged { .. })),
        4,
        "no link blinked"
    );
}

#[test]
fn a_switch_that_left_says_why() {
    let mut bench = Bench::new();
    let (switch, connection) = (SwitchId(2), 1);
    let reason = "ofp_port at offset 16: 3 bytes left over".to_owned();
    let body = RegionEventBody::SwitchDisconnected {
        switch,
        connection,
        reason: reason.clone(),
    };
    bench.tell(1, None, body);
    bench.run(Duration::from_millis(100));
    let view = bench.ask(ApiRequest::Switch(switch)).body;
    assert_eq!(view["last_left"], format!("region west: {reason}"));
}

#[test]
fn a_link_that_fails_moves_the_flow_and_nothing_is_removed_before_the_drain() {
    let mut bench = Bench::new();
    let answer = bench.put_flow("f1", body());
    bench.ended(&answer);
    let transit = |bench: &Bench| bench.switches[&SwitchId(2)].objects.rules.len();
    let with_flow = transit(&bench);
    let (from, _) = link(1);
    let down = PortState {
        port: from.port,
        name: String::new(),
        up: false,
        speed_kbps: 0,
    };
    bench.tell(
        0,
        None,
        RegionEventBody::PortChanged {
            switch: from.switch,
            port: down,
            removed: false,
        },
    );
    bench.run(Duration::from_millis(1_500));
    let flow = bench.flow("f1");
    assert_eq!(
        transit(&bench),
        with_flow,
        "the old path still stands: packets are under way"
    );
    assert!(
        flow.operation.is_some_and(|o| o.state == OperationState::Draining),
        "it shows that it drains"
    );
    bench.run(Duration::from_secs(20));
    let flow = bench.flow("f1");
    assert_eq!(flow.path.iter().map(|h| h.switch_id.0).collect::<Vec<_>>(), [1, 4, 3]);
    assert_eq!(flow.status, FlowStatus::Up);
    assert!(transit(&bench) < with_flow, "the old path is gone");
}

#[test]
fn a_flow_that_is_too_slow_is_rerouted_after_the_window_and_only_once() {
    let mut bench = Bench::new();
    let answer = bench.put_flow("f1", body());
    bench.ended(&answer);
    bench.run(Duration::from_secs(7));
    let slow = LinkId::new(link(2).0, link(2).1);
    bench.latencies.insert(slow, 30_000_000);
    bench.run(Duration::from_millis(4_500));
    assert_eq!(bench.flow("f1").path[1].switch_id.0, 2, "not before the window is over");
    bench.run(Duration::from_millis(1_500));
    assert_eq!(
        bench.told(|e| matches!(e, VirtualEventBody::SlaChanged { to, .. } if to == "tier_1_failed")),
        1
    );
    bench.run(Duration::from_secs(30));
    let flow = bench.flow("f1");
    assert_eq!(flow.path.iter().map(|h| h.switch_id.0).collect::<Vec<_>>(), [1, 4, 3]);
    assert_eq!((flow.status, flow.sla_state.as_str()), (FlowStatus::Up, "healthy"));
    let reroutes =
        bench.told(|e| matches!(e, VirtualEventBody::FlowChanged { reason, .. } if reason.contains("reroute")));
    assert_eq!(reroutes, 1);
}

#[test]
fn a_flow_whose_rules_a_switch_refuses_is_undone_with_the_cause() {
    let mut bench = Bench::new();
    let before: Vec<Objects> = bench.switches.values().map(|s| s.objects.clone()).collect();
    bench.speakers[0].full = true;
    let answer = bench.put_flow("f1", body());
    let ended = bench.ended(&answer);
    assert_eq!(ended.state, OperationState::Failed, "{ended:?}");
    assert!(ended.error.contains("TABLE_FULL"), "{}", ended.error);
    bench.run(Duration::from_secs(30));
    assert_eq!(bench.ask(ApiRequest::Flow("f1".parse().expect("a name"))).status, 404);
    let after: Vec<Objects> = bench.switches.values().map(|s| s.objects.clone()).collect();
    assert_eq!(after, before);
}

#[test]
fn a_restarted_router_goes_on_where_it_stopped() {
    let mut bench = Bench::new();
    let answer = bench.put_flow("f1", body());
    bench.ended(&answer);
    let request = serde_json::from_value(json!({
        "mirror_point_id": "m", "mirror_point_direction": "forward", "mirror_point_switch_id": SwitchId(3),
        "sink_endpoint": {"switch_id": SwitchId(3), "port_number": CUSTOMER + 1, "vlan_id": 7},
    }));
    let flow: skerry_bus::FlowId = "f1".parse().expect("a name");
    let answer = bench.ask(ApiRequest::PutMirror {
        flow: flow.clone(),
        request: request.expect("a mirror point"),
        dry_run: false,
    });
    assert_eq!(bench.ended(&answer).state, OperationState::Done);
    let stood: Vec<Objects> = bench.switches.values().map(|s| s.objects.clone()).collect();
    // A deletion is under way when the router dies, in its drain.
    let answer = bench.ask(ApiRequest::DeleteFlow {
        flow: flow.clone(),
        dry_run: false,
    });
    assert_eq!(answer.status, 202);
    bench.run(Duration::from_millis(500));
    bench.restart();
    bench.run(Duration::from_secs(20));
    assert_eq!(bench.ask(ApiRequest::Flow(flow)).status, 404, "the deletion went on");
    assert!(
        bench
            .switches
            .values()
            .all(|s| s.objects.rules.values().all(|r| r.cookie.0 >> 63 == 1)),
        "only service rules"
    );
    assert_ne!(
        bench.switches.values().map(|s| s.objects.clone()).collect::<Vec<_>>(),
        stood
    );
    // And nothing was sent twice with another meaning: terms and bases were checked by the bench.
    assert!(bench.switches.values().all(|s| s.generation > Generation(0)));
}

#[test]
fn right_after_a_restart_no_endpoint_is_judged_before_its_switch_was_told() {
    let mut bench = Bench::new();
    let answer = bench.put_flow("f1", body());
    bench.ended(&answer);
    let mut second = body();
    second["source"]["vlan_id"] = json!(101);
    second["destination"]["vlan_id"] = json!(201);
    bench.restart();
    let answer = bench.put_flow("f2", second.clone());
    assert_eq!(answer.status, 409, "{answer:?}");
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("since the router started"), "{detail}");
    bench.run(Duration::from_secs(2));
    let answer = bench.put_flow("f2", second);
    assert_eq!(bench.ended(&answer).state, OperationState::Done);
}

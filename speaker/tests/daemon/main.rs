//! The speaker as a process: a broker in this process, a scripted switch over loopback, and what appears on Kafka.

#[path = "../support/ca.rs"]
mod ca;
mod metrics_page;
mod support;
mod watchdog;

use std::time::Instant;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use skerry_bus::topic::{PARTITIONS_TRIAL, partition_of};
use skerry_bus::{
    Action, Command, CommandBody, Cookie, Decoded, DesiredChange, Generation, Match, Mode, Objects, OutPort, Outcome,
    PortNo, RegionEvent, RegionEventBody, Role, Rule, RuleKey, SwitchId, Term, Topic,
};
use skerry_io::kafka::{Begin, Consumer, ConsumerEvent, KafkaSettings, Producer, ProducerEvent, Reading};
use support::{Daemon, KEY, PATIENCE, Switch, etc, http, malformed, metrics};

type Broker = MockCluster<'static, DefaultProducerContext>;

const DPID: u64 = 0x0102_0304;

/// Everything that must be set, with free ports.
fn environment(bootstrap: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("REGION", "east"),
        ("NETWORK_KEY", KEY),
        ("STATE_DIR", ""),
        ("LISTEN", "[{ address = \"127.0.0.1:0\", plaintext = true }]"),
        ("METRICS__LISTEN", "127.0.0.1:0"),
        ("KAFKA__BOOTSTRAP", bootstrap),
        ("KAFKA__PARTITIONS", "4"),
        ("KAFKA__FETCH_WAIT_MAX_MS", "5"),
    ]
}

fn kafka(broker: &Broker) -> KafkaSettings {
    KafkaSettings {
        bootstrap: broker.bootstrap_servers(),
        partitions: PARTITIONS_TRIAL,
        fetch_wait_max_ms: 5,
        ..KafkaSettings::default()
    }
}

fn east() -> Topic {
    Topic::RegionEvents("east".parse().expect("a region"))
}

/// A rule of ours.
fn rule() -> Rule {
    Rule {
        key: RuleKey {
            table: 4,
            priority: 24_576,
            matches: Match::default(),
        },
        cookie: Cookie(0x4000_0000_0000_01f4),
        meter: None,
        apply: vec![Action::Output(OutPort::Port(PortNo(2)))],
        write_metadata: None,
        goto: None,
        reset_counts: false,
    }
}

/// What a region tells.
struct Told(Consumer);

impl Told {
    fn new(broker: &Broker) -> Told {
        let reading = Reading {
            client_id: "test".into(),
            group: "test".into(),
            topics: vec![(east(), Begin::Earliest)],
        };
        Told(Consumer::start(&kafka(broker), reading).expect("starts"))
    }

    /// The first event from now on for which `pick` gives something.
    fn wait<T>(&mut self, mut pick: impl FnMut(&RegionEvent, i32) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < until {
            let Some(ConsumerEvent::Record(record)) = self.0.blocking_recv() else {
                continue;
            };
            match skerry_bus::decode::<RegionEvent>(&record.payload) {
                Decoded::Message(event) => {
                    if let Some(found) = pick(&event, record.partition) {
                        return found;
                    }
                    if !matches!(event.body, RegionEventBody::Heartbeat { .. }) {
                        seen.push(format!("{event:?}"));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("it was not told; told was:\n{}", seen.join("\n"));
    }
}

/// A router's part: commands to the region.
struct Router {
    producer: Producer,
    sent: u32,
}

impl Router {
    fn new(broker: &Broker) -> Router {
        let topic = Topic::RegionCommands("east".parse().expect("a region"));
        let (producer, mut events) = Producer::start(&kafka(broker), "router", vec![topic]).expect("starts");
        while events.blocking_recv().expect("it lives") != ProducerEvent::Up {}
        Router { producer, sent: 0 }
    }

    fn command(&mut self, body: CommandBody) -> String {
        self.sent += 1;
        let correlation_id = format!("test-{}", self.sent);
        let key = SwitchId(DPID).to_string();
        let command = Command {
            correlation_id: correlation_id.parse().expect("an id"),
            requester: "test".into(),
            deadline_ms: skerry_io::wall_clock_ms() + PATIENCE.as_millis() as u64,
            owner_epoch: Some(1),
            region: Some("east".parse().expect("a region")),
            epoch: None,
            body,
        };
        let topic = Topic::RegionCommands("east".parse().expect("a region"));
        let partition = partition_of(&key, PARTITIONS_TRIAL);
        self.producer
            .send(&topic, partition, &key, skerry_bus::encode(&command), None)
            .expect("taken");
        correlation_id
    }
}

fn outcome(told: &mut Told, id: &str) -> Outcome {
    told.wait(|event, _| match &event.body {
        RegionEventBody::CommandResult { result } if event.correlation_id.as_ref()?.as_str() == id => {
            Some(result.outcome)
        }
        _ => None,
    })
}

#[test]
fn a_switch_that_connects_appears_on_kafka_is_activated_gets_rules_and_leaves() {
    let broker = Broker::new(1).expect("a broker in this process");
    let mut told = Told::new(&broker);
    let started = skerry_io::wall_clock_ms();
    let bootstrap = broker.bootstrap_servers();
    let mut daemon = Daemon::start(&[], &environment(&bootstrap));
    let pages = daemon.address("metrics on /metrics, health on /healthz and /readyz");
    let address = daemon.address("listening for switches");
    daemon.line("plain TCP: whoever reaches this address can pose as any switch");

    // Heartbeats come into every partition, of an epoch that grows with each start.
    let mut beating = std::collections::BTreeSet::new();
    told.wait(|event, partition| {
        assert!(event.epoch.0 >= started);
        if matches!(event.body, RegionEventBody::Heartbeat { .. }) {
            beating.insert(partition);
        }
        (beating.len() == 4).then_some(())
    });
    assert!(http(pages, "/readyz").starts_with("HTTP/1.1 200"));

    let mut switch = Switch::connect(address, DPID);
    let from = switch.local();
    let scripted = std::thread::spawn(move || {
        let whole = switch.serve_until(|_| false);
        (whole, switch.wanted)
    });
    let (state, partition) = told.wait(|event, partition| match &event.body {
        RegionEventBody::SwitchConnected { state } => Some((state.clone(), partition)),
        _ => None,
    });
    assert_eq!(
        (state.switch, state.mode, state.role),
        (SwitchId(DPID), Mode::ReadWrite, Role::Slave)
    );
    assert_eq!(partition, partition_of(&SwitchId(DPID).to_string(), PARTITIONS_TRIAL));
    assert_eq!(
        (state.address, state.speaker_address),
        (from.to_string(), address.to_string())
    );
    assert_eq!(state.ports.iter().map(|p| p.port.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(state.description.manufacturer, "Skerry's tests");

    let mut router = Router::new(&broker);
    let id = router.command(CommandBody::Activate {
        switch: SwitchId(DPID),
        term: Term(1),
    });
    assert_eq!(outcome(&mut told, &id), Outcome::Applied);
    let id = router.command(CommandBody::Desired {
        switch: SwitchId(DPID),
        term: Term(1),
        generation: Generation(1),
        change: DesiredChange::Snapshot {
            objects: Objects {
                rules: [(rule().key, rule())].into(),
                ..Objects::default()
            },
        },
    });
    assert_eq!(outcome(&mut told, &id), Outcome::Applied);

    let counted = metrics(pages);
    assert_eq!(counted["skerry_speaker_connections_total{region=\"east\"}"], 1.0);
    assert_eq!(counted["skerry_speaker_connections_open{region=\"east\"}"], 1.0);
    assert_eq!(counted["skerry_speaker_kafka_up{region=\"east\"}"], 1.0);
    assert_eq!(
        counted["skerry_speaker_commands_total{region=\"east\",reason=\"applied\"}"],
        2.0
    );
    assert_eq!(
        counted["skerry_speaker_refused_total{region=\"east\",reason=\"malformed\"}"],
        0.0
    );

    assert!(daemon.end().success());
    told.wait(|event, _| match &event.body {
        RegionEventBody::SwitchDisconnected { switch, .. } => (*switch == SwitchId(DPID)).then_some(()),
        _ => None,
    });
    let (whole, wanted) = scripted.join().expect("the script holds");
    assert!(!whole, "the speaker closed the connection");
    let added: Vec<_> = wanted
        .iter()
        .filter_map(|body| match body {
            ofproto::Body::FlowMod(change) => Some((change.command, change.table_id.0, change.priority, change.cookie)),
            _ => None,
        })
        .collect();
    assert_eq!(added, [(ofproto::FlowModCommand::ADD, 4, 24_576, rule().cookie.0)]);
}

#[test]
fn a_malformed_frame_ends_its_connection_and_no_other() {
    let broker = Broker::new(1).expect("a broker in this process");
    let mut told = Told::new(&broker);
    let bootstrap = broker.bootstrap_servers();
    let mut daemon = Daemon::start(&[], &environment(&bootstrap));
    let address = daemon.address("listening for switches");
    let mut good = Switch::connect(address, DPID);
    let good = std::thread::spawn(move || good.serve_until(|body| matches!(body, ofproto::Body::FlowMod(_))));

    // A refusal says nothing about state, so it is not kept for a Kafka that is not there yet.
    told.wait(|event, _| matches!(event.body, RegionEventBody::SwitchConnected { .. }).then_some(()));

    let mut bad = Switch::connect(address, DPID + 1);
    bad.send_bytes(&malformed());
    assert!(!bad.serve_until(|_| false), "it is closed");
    let reason = told.wait(|event, _| match &event.body {
        RegionEventBody::SwitchRefused { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.contains("malformed"), "{reason}");

    // The other one lives: the speaker still says so, and tells of it when it ends.
    assert!(daemon.end().success());
    told.wait(|event, _| match &event.body {
        RegionEventBody::SwitchDisconnected { switch, .. } if *switch == SwitchId(DPID) => Some(()),
        _ => None,
    });
    assert!(!good.join().expect("the script holds"));
}

#[test]
fn the_installed_configuration_starts_a_speaker_which_serves_switches_without_kafka_and_finds_it_later() {
    let key = std::env::temp_dir().join(format!("skerry-speaker-test-daemon-key-{}", std::process::id()));
    std::fs::write(&key, KEY).expect("a temporary file");
    let bootstrap = std::env::temp_dir().join(format!("skerry-speaker-test-daemon-address-{}", std::process::id()));
    let from_file = format!("file:{}", bootstrap.display());
    let etc = etc();
    let arguments = ["--config", etc.to_str().expect("a plain path")];
    // What is this machine's own: where the key is, free ports, and the trial broker's ways.
    let environment = [
        ("NETWORK_KEY_FILE", key.to_str().expect("a plain path")),
        ("LISTEN", "[{ address = \"127.0.0.1:0\", plaintext = true }]"),
        ("METRICS__LISTEN", "127.0.0.1:0"),
        ("KAFKA__BOOTSTRAP", from_file.as_str()),
        ("KAFKA__PARTITIONS", "4"),
        ("KAFKA__FETCH_WAIT_MAX_MS", "5"),
    ];
    let mut daemon = Daemon::start(&arguments, &environment);
    let pages = daemon.address("metrics on /metrics, health on /healthz and /readyz");
    let address = daemon.address("listening for switches");
    let mut switch = Switch::connect(address, DPID);
    let scripted = std::thread::spawn(move || switch.serve_until(|_| false));
    daemon.line("switch announced");
    assert!(http(pages, "/readyz").starts_with("HTTP/1.1 503"));
    assert!(http(pages, "/healthz").starts_with("HTTP/1.1 200"));

    let broker = Broker::new(1).expect("a broker in this process");
    std::fs::write(&bootstrap, broker.bootstrap_servers()).expect("a temporary file");
    let mut told = Told::new(&broker);
    told.wait(|event, _| match &event.body {
        RegionEventBody::SnapshotSwitch { state, .. } | RegionEventBody::SwitchConnected { state } => {
            (state.switch == SwitchId(DPID)).then_some(())
        }
        _ => None,
    });

    // Kafka goes, a switch comes meanwhile, and a broker that knows nothing comes at another address: it is told of both.
    drop(told);
    drop(broker);
    daemon.line("kafka does not answer: the latest state is kept");
    let mut second = Switch::connect(address, DPID + 1);
    let second = std::thread::spawn(move || second.serve_until(|_| false));
    daemon.line("switch announced");
    let broker = Broker::new(1).expect("a broker in this process");
    std::fs::write(&bootstrap, broker.bootstrap_servers()).expect("a temporary file");
    let mut told = Told::new(&broker);
    let mut back = std::collections::BTreeSet::new();
    told.wait(|event, _| {
        if let RegionEventBody::SnapshotSwitch { state, .. } = &event.body {
            back.insert(state.switch);
        }
        (back.len() == 2).then_some(())
    });
    assert_eq!(back, [SwitchId(DPID), SwitchId(DPID + 1)].into());

    assert!(daemon.end().success());
    assert!(!scripted.join().expect("the script holds"));
    assert!(!second.join().expect("the script holds"));
    for file in [key, bootstrap] {
        std::fs::remove_file(file).expect("it is ours");
    }
}

#[test]
fn a_topic_with_another_number_of_partitions_ends_the_speaker_with_the_reason() {
    let broker = Broker::new(1).expect("a broker in this process");
    broker.create_topic("skerry.v1.events.east", 7, 1).expect("a topic");
    let bootstrap = broker.bootstrap_servers();
    let daemon = Daemon::start(&[], &environment(&bootstrap));
    let (status, last) = daemon.ended();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        last,
        "skerry-speaker: topic skerry.v1.events.east has 7 partitions and kafka.partitions is 4: keys would land elsewhere"
    );
}

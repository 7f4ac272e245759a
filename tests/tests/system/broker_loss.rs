//! Three brokers of Apache Kafka, of which one is lost, and all are: what a service asked and Kafka took is answered, once or
//! with the same words again, and stands on the switch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skerry_bus::topic::partition_of;
use skerry_bus::{
    Action, Command, CommandBody, Cookie, Match, Objects, OutPort, PortNo, Rule, RuleKey, SwitchId, Topic, encode,
};
use skerry_io::kafka::{Producer, ProducerEvent, ProducerEvents};
use skerry_tests::daemons::{ANY_PORT, Daemon, Daemons, PARTITIONS};
use skerry_tests::kafka::{Cluster, Options};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::rest::Rest;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Kafka, Ovs as OpenVSwitch};
use crate::world::{Stranger, add_bridge, settled, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "broker_loss::commands_under_way_when_their_leader_is_killed_are_answered_and_done",
        &[OpenVSwitch, Kafka],
        leader_killed,
    ),
    Test(
        "broker_loss::what_was_taken_before_all_brokers_went_is_answered_when_they_are_back",
        &[OpenVSwitch, Kafka],
        all_away,
    ),
];

const REGION: &str = "east";
const SWITCH: SwitchId = SwitchId(1);
/// Commands that are taken before something is lost, and after.
const EACH: u64 = 40;
/// Milliseconds a command may take: longer than any of this.
const DEADLINE_MS: u64 = 120_000;

struct World {
    service: Service,
    stranger: Stranger,
    rest: Rest,
    speaker: Daemon,
    router: Daemon,
    ovs: Ovs,
    daemons: Daemons,
    _lab: Lab,
}

/// A service that asks for one rule after the other and knows which of its commands Kafka took.
struct Service {
    producer: Producer,
    fates: ProducerEvents,
    sent: u64,
    taken: BTreeSet<u64>,
}

impl Service {
    fn command(number: u64) -> Vec<u8> {
        let mut put = Objects::new();
        put.put_rule(Rule {
            key: RuleKey {
                table: 9,
                priority: u16::try_from(number).expect("there are few"),
                matches: Match {
                    in_port: Some(PortNo(10)),
                    ..Match::default()
                },
            },
            cookie: Cookie(0x4000_0000_0000_0000 + number),
            meter: None,
            apply: vec![Action::Output(OutPort::Port(PortNo(11)))],
            write_metadata: None,
            goto: None,
            reset_counts: false,
        });
        encode(&Command {
            correlation_id: format!("loss-{number}").parse().expect("a correlation id"),
            requester: "service".to_owned(),
            deadline_ms: skerry_io::wall_clock_ms() + DEADLINE_MS,
            owner_epoch: None,
            epoch: None,
            region: None,
            body: CommandBody::Apply {
                switch: SWITCH,
                put,
                remove: Default::default(),
            },
        })
    }

    /// Asks, if Kafka can be asked, and takes note of what it took.
    fn ask(&mut self) {
        let (key, number) = (SWITCH.to_string(), self.sent + 1);
        let partition = partition_of(&key, PARTITIONS);
        let sent = self.producer.send(
            &Topic::Commands,
            partition,
            &key,
            Service::command(number),
            Some(number),
        );
        if sent.is_ok() {
            self.sent = number;
        }
        self.note();
    }

    fn note(&mut self) {
        while let Some(event) = self.fates.try_recv() {
            if let ProducerEvent::Delivered { token, .. } = event {
                self.taken.insert(token);
            }
        }
    }

    /// Asks on until Kafka took so many more.
    fn until_taken(&mut self, more: u64) -> Result<()> {
        let wanted = self.taken.len() as u64 + more;
        wait::until(&format!("{wanted} commands to be taken"), DEADLINE, || {
            // A few at a time, so that some are on their way whenever something is lost.
            if self.producer.in_flight() < 8 {
                self.ask();
            }
            self.note();
            let taken = self.taken.len() as u64;
            if taken >= wanted {
                Ok(())
            } else {
                Err(format!("{taken} of {}", self.sent))
            }
        })
    }
}

impl World {
    fn new() -> Result<World> {
        let lab = Lab::new(PREFIX)?;
        let more = "auto.create.topics.enable=false\n";
        let mut options = Options::three();
        options.more.push_str(more);
        let cluster = Cluster::new(&lab, None, options)?;
        cluster.start()?;
        let settings = cluster.settings(PARTITIONS);
        let daemons = Daemons::on(&lab, cluster, settings.clone())?;
        let speaker = daemons.speaker(REGION, ANY_PORT, "")?;
        let router = daemons.router(&[REGION], ANY_PORT, "")?;
        let rest = daemons.rest(&router);
        let ovs = Ovs::start_dummy(&lab)?;
        add_bridge(&ovs, 1, 1)?;
        ovs.set_controllers("s1", &Controllers::new([format!("tcp:{}", speaker.address)]))?;
        settled(&rest, 1, 0)?;
        let stranger = Stranger::start(&daemons, vec![], vec![Topic::Replies])?;
        let (producer, mut fates) = Producer::start(&settings, "service", vec![Topic::Commands])?;
        while fates.blocking_recv().context("the producer ended")? != ProducerEvent::Up {}
        Ok(World {
            service: Service {
                producer,
                fates,
                sent: 0,
                taken: BTreeSet::new(),
            },
            stranger,
            rest,
            speaker,
            router,
            ovs,
            daemons,
            _lab: lab,
        })
    }

    /// Every command that Kafka took is answered; a repeated answer is the same one; and what was asked stands.
    fn all_answered(&mut self) -> Result<()> {
        let taken: BTreeSet<String> = self
            .service
            .taken
            .iter()
            .map(|number| format!("loss-{number}"))
            .collect();
        let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        wait::until("every command that was taken to be answered", DEADLINE * 2, || {
            answers.clear();
            for reply in self.stranger.all(&Topic::Replies) {
                let id = reply["correlation_id"].as_str().unwrap_or_default().to_owned();
                answers.entry(id).or_default().insert(reply.to_string());
            }
            let missing: Vec<&String> = taken.iter().filter(|id| !answers.contains_key(*id)).collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(format!("without an answer: {missing:?}"))
            }
        })?;
        for (id, told) in &answers {
            ensure!(told.len() == 1, "{id} was answered in two ways: {told:#?}");
            let told = told.first().map(String::as_str).unwrap_or_default();
            let reply: Value = serde_json::from_str(told)?;
            ensure!(reply["outcome"] == json!("applied"), "{id}: {reply}");
        }
        settled(&self.rest, 1, 0)?;
        let rules = self.ovs.dump_flows("s1")?;
        for number in &self.service.taken {
            let priority = format!("priority={number},");
            ensure!(
                rules
                    .iter()
                    .any(|rule| rule.contains("table=9") && rule.contains(&priority)),
                "rule {number} is not there: {rules:#?}"
            );
        }
        unharmed(&self.speaker.process)?;
        unharmed(&self.router.process)
    }
}

fn leader_killed() -> Result<()> {
    let mut world = World::new()?;
    let cluster = world.daemons.cluster()?;
    let partition = partition_of(&SWITCH.to_string(), PARTITIONS);
    // First the one that takes what the service asks, then the one that takes what the router asks the speaker.
    for topic in [Topic::Commands, Topic::RegionCommands(REGION.parse()?)] {
        world.service.until_taken(EACH)?;
        let leader = cluster.leader(&topic.to_string(), partition)?;
        world.service.ask();
        cluster.kill_node(leader)?;
        let killed = Instant::now();
        world.service.until_taken(EACH)?;
        println!(
            "the leader of {topic} was killed: {EACH} commands were taken {:?} later",
            killed.elapsed()
        );
        cluster.start_node(leader)?;
    }
    world.all_answered()?;
    world.daemons.skerry_topics("check", &["--region", REGION]).map(drop)
}

fn all_away() -> Result<()> {
    let mut world = World::new()?;
    let cluster = world.daemons.cluster()?;
    world.service.until_taken(EACH)?;
    world.service.ask();
    cluster.kill()?;
    wait::until("the router to say that it does not reach Kafka", DEADLINE, || {
        let status: Value = world.rest.get("/v2/status").map_err(|e| format!("{e:#}"))?;
        if status["kafka"] == false {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })?;
    cluster.start()?;
    world.service.until_taken(EACH)?;
    world.all_answered()
}

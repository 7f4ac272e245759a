//! A speaker that is killed in the middle of a large apply: its successor makes the switch whole from disk, without Kafka and
//! without a router, and nobody's packets notice.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ofproto::{
    Body, FlowStatsRequest, Framer, Hello, Instruction, Message, MeterBand, MeterId, MeterRequest, MultipartReplyBody,
    MultipartRequest, MultipartRequestBody, Reassembly, ReassemblyLimits, VERSION_1_3,
};
use skerry_bus::topic::partition_of;
use skerry_bus::{
    Action, Bucket, Command, CommandBody, Cookie, DesiredChange, Generation, Group, GroupKind, Match, Meter, MeterUnit,
    Objects, OutPort, PortNo, Rule, RuleKey, SwitchId, Term, Topic, chunk, encode,
};
use skerry_io::kafka::{Producer, ProducerEvent};
use skerry_tests::daemons::{Daemon, Daemons, PARTITIONS, said};
use skerry_tests::host::Host;
use skerry_tests::lab::{End, Lab};
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::packet::{Kind, Stream};
use skerry_tests::process::Process;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Ovs as OpenVSwitch, Root, Tap};
use crate::world::unharmed;
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "autonomy::a_speaker_killed_in_an_apply_leaves_a_switch_that_its_successor_makes_whole_alone",
        &[Root, OpenVSwitch, Tap],
        killed,
    ),
    Test(
        "autonomy::a_rebooted_switch_is_whole_again_without_kafka_and_without_a_router",
        &[Root, OpenVSwitch, Tap],
        rebooted,
    ),
];

pub const REGION: &str = "east";
const LISTEN: &str = "127.0.0.1:6653";
pub const BRIDGE: &str = "br0";
const DPID: u64 = 0x51;
/// Rules, groups and meters of one apply.
const RULES: u64 = 5_000;
const GROUPS: u32 = 50;
const METERS: u32 = 50;
/// Kills in `make test`, and in a long run; in equal shares for each of [`MODES`].
const KILLS: u64 = 10;
const KILLS_LONG: u64 = 100;
/// Least share of kills that fall where the switch shows some of the rules, but not all.
const INSIDE_MIN_PERCENT: u64 = 60;
/// The only term: nobody takes over here.
const TERM: Term = Term(1);
const STREAM: u32 = 1;
/// Packets a second over the rule that does not change.
const RATE: u32 = 500;
const QUIET: Duration = Duration::from_secs(2);
/// The bits of a cookie that say to which apply a rule belongs.
const APPLY_MASK: u64 = 0x4000_ffff_0000_0000;
/// The rule that does not change.
const STEADY: Cookie = Cookie(0x4000_0000_0000_0001);

fn seed() -> u64 {
    let set = std::env::var("PROPTEST_RNG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    set.unwrap_or(20_261_120)
}

fn kills() -> u64 {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => KILLS_LONG,
        None => KILLS,
    }
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// One rule of an apply, as the contract has it and as the switch is to show it.
fn rule(apply: u64, n: u64) -> (Rule, String) {
    // Half of them replace those of the apply before, half stand beside them until those are deleted.
    let priority = if n.is_multiple_of(2) {
        100
    } else {
        101 + (apply % 2) as u16
    };
    let in_port = 100 + n as u32;
    let cookie = Cookie(1 << 62 | apply << 32 | n);
    let meter = n.is_multiple_of(3).then_some((n % u64::from(METERS)) as u32 + 1);
    let group = (n % u64::from(GROUPS)) as u32 + 1;
    let action = match n % 5 {
        0 => Action::Group(group),
        _ => Action::Output(OutPort::Port(PortNo(2))),
    };
    let mut instructions = Vec::new();
    instructions.extend(meter.map(|id| Instruction::Meter(MeterId(id))));
    instructions.push(Instruction::ApplyActions(vec![match n % 5 {
        0 => ofproto::Action::Group(ofproto::GroupId(group)),
        _ => ofproto::Action::output(ofproto::PortNo(2)),
    }]));
    let shown = format!("rule 1 {priority} port {in_port} cookie {cookie} {instructions:?}");
    let rule = Rule {
        key: RuleKey {
            table: 1,
            priority,
            matches: Match {
                in_port: Some(PortNo(in_port)),
                ..Match::default()
            },
        },
        cookie,
        meter,
        apply: vec![action],
        write_metadata: None,
        goto: None,
        reset_counts: false,
    };
    (rule, shown)
}

/// What shall stand after an apply, and what the switch shows then.
fn desired(apply: u64) -> (Objects, BTreeSet<String>) {
    let mut objects = Objects::new();
    let mut shown = BTreeSet::new();
    let steady = Rule {
        key: RuleKey {
            table: 0,
            priority: 30_000,
            matches: Match {
                in_port: Some(PortNo(1)),
                ..Match::default()
            },
        },
        cookie: STEADY,
        meter: None,
        apply: vec![Action::Output(OutPort::Port(PortNo(2)))],
        write_metadata: None,
        goto: None,
        reset_counts: false,
    };
    let action = Instruction::ApplyActions(vec![ofproto::Action::output(ofproto::PortNo(2))]);
    shown.insert(format!("rule 0 30000 port 1 cookie {STEADY} {:?}", [action]));
    objects.put_rule(steady);
    for n in 0..RULES {
        let (rule, line) = rule(apply, n);
        objects.put_rule(rule);
        shown.insert(line);
    }
    for id in 1..=GROUPS {
        let ports: Vec<u32> = (2..=2 + (apply % 2) as u32).collect();
        let bucket = |port: &u32| Bucket {
            actions: vec![Action::Output(OutPort::Port(PortNo(*port)))],
        };
        objects.put_group(Group {
            id,
            kind: GroupKind::All,
            buckets: ports.iter().map(bucket).collect(),
        });
        shown.insert(format!("group {id} {ports:?}"));
    }
    for id in 1..=METERS {
        let rate = 1_000 + apply as u32;
        objects.put_meter(Meter {
            id,
            unit: MeterUnit::Kbps,
            rate,
            burst: 100,
        });
        shown.insert(format!("meter {id} {rate}"));
    }
    // Put there by hand, see `World::new`.
    shown.insert("rule 9 7 port 77 cookie 0x0000000000000007 []".to_owned());
    shown.insert("group 5000 [2]".to_owned());
    shown.insert("meter 3000 77".to_owned());
    (objects, shown)
}

/// A connection of our own to the switch, beside the speaker's: the switch's own word.
struct Look {
    stream: UnixStream,
    framer: Framer,
    xid: u32,
}

impl Look {
    fn open(ovs: &Ovs) -> Result<Look> {
        let socket = ovs.folder().join(format!("{BRIDGE}.mgmt"));
        let stream = UnixStream::connect(&socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let mut look = Look {
            stream,
            framer: Framer::new(),
            xid: 0,
        };
        look.send(Body::Hello(Hello::with_versions(&[VERSION_1_3])))?;
        Ok(look)
    }

    fn send(&mut self, body: Body) -> Result<u32> {
        self.xid += 1;
        self.stream.write_all(&Message::new(self.xid, body).to_bytes()?)?;
        Ok(self.xid)
    }

    fn ask(&mut self, body: MultipartRequestBody) -> Result<MultipartReplyBody> {
        let limits = ReassemblyLimits {
            replies_max: 1,
            parts_max: 10_000,
            bytes_max: 64 << 20,
        };
        let mut parts = Reassembly::new(limits);
        let xid = self.send(Body::MultipartRequest(MultipartRequest::new(body)))?;
        let mut buffer = [0; 65_536];
        loop {
            while let Some(frame) = self.framer.next_frame()? {
                let message = Message::decode(&frame)?;
                match message.body {
                    Body::EchoRequest(data) => {
                        let answer = Message::new(message.xid, Body::EchoReply(data));
                        self.stream.write_all(&answer.to_bytes()?)?;
                    }
                    Body::MultipartReply(reply) if message.xid == xid => {
                        if let Some(whole) = parts.accept(xid, reply, frame.len())? {
                            return Ok(whole);
                        }
                    }
                    Body::Error(error) => bail!("the switch says {error}"),
                    _ => {}
                }
            }
            let read = self.stream.read(&mut buffer)?;
            ensure!(read > 0, "the switch closed");
            self.framer.push(&buffer[..read]);
        }
    }

    /// How many rules of an apply the switch shows.
    fn count(&mut self, apply: u64) -> Result<u64> {
        let request = FlowStatsRequest {
            cookie: 1 << 62 | apply << 32,
            cookie_mask: APPLY_MASK,
            ..FlowStatsRequest::all()
        };
        match self.ask(MultipartRequestBody::Aggregate(request))? {
            MultipartReplyBody::Aggregate(sum) => Ok(sum.flow_count.into()),
            other => bail!("{other:?}"),
        }
    }

    /// All that it shows, a line for each object.
    fn all(&mut self) -> Result<BTreeSet<String>> {
        let mut lines = BTreeSet::new();
        let mut objects = 0;
        let port_of = |actions: &[ofproto::Action]| match actions {
            [ofproto::Action::Output { port, .. }] => port.0,
            _ => u32::MAX,
        };
        match self.ask(MultipartRequestBody::Flow(FlowStatsRequest::all()))? {
            MultipartReplyBody::Flow(flows) => {
                objects += flows.len();
                lines.extend(flows.iter().map(|flow| {
                    let port = flow.matching.in_port().map_or(0, |port| port.0);
                    let (table, cookie) = (flow.table_id.0, Cookie(flow.cookie));
                    format!(
                        "rule {table} {} port {port} cookie {cookie} {:?}",
                        flow.priority, flow.instructions
                    )
                }));
            }
            other => bail!("{other:?}"),
        }
        match self.ask(MultipartRequestBody::GroupDesc)? {
            MultipartReplyBody::GroupDesc(groups) => {
                objects += groups.len();
                lines.extend(groups.iter().map(|group| {
                    let ports: Vec<u32> = group.buckets.iter().map(|bucket| port_of(&bucket.actions)).collect();
                    format!("group {} {ports:?}", group.group_id.0)
                }));
            }
            other => bail!("{other:?}"),
        }
        let all = MeterRequest { meter_id: MeterId::ALL };
        match self.ask(MultipartRequestBody::MeterConfig(all))? {
            MultipartReplyBody::MeterConfig(meters) => {
                objects += meters.len();
                lines.extend(meters.iter().map(|meter| match meter.bands.as_slice() {
                    [MeterBand::Drop { rate, .. }] => format!("meter {} {rate}", meter.meter_id.0),
                    bands => format!("meter {} {bands:?}", meter.meter_id.0),
                }));
            }
            other => bail!("{other:?}"),
        }
        ensure!(objects == lines.len(), "the switch shows something twice");
        Ok(lines)
    }
}

/// One real switch with two hosts, a steady stream over it, and a speaker.
pub struct World {
    left: Host,
    right: Host,
    pub ovs: Ovs,
    pub daemons: Daemons,
    more: String,
    generation: u64,
    _lab: Lab,
}

/// A broker, a speaker that uses it, and the pen of a router that is not there.
pub struct Connected {
    pub broker: Process,
    pub speaker: Daemon,
    pub producer: Producer,
}

impl World {
    pub fn new(more: &str) -> Result<World> {
        let lab = Lab::new(PREFIX)?;
        for netns in ["net", "left", "right"] {
            lab.add_netns(netns)?;
        }
        lab.veth(End::new("left", "eth0"), End::new("net", "to-left"))?;
        lab.veth(End::new("right", "eth0"), End::new("net", "to-right"))?;
        let ovs = Ovs::start(&lab, "net")?;
        ovs.prefer_realtime();
        ovs.add_bridge(BRIDGE, DPID, &Controllers::new([format!("tcp:{LISTEN}")]))?;
        ovs.add_port(BRIDGE, "to-left", 1)?;
        ovs.add_port(BRIDGE, "to-right", 2)?;
        let left = Host::start(&lab, "left", "eth0", "198.18.0.1", "198.18.0.2")?;
        let right = Host::start(&lab, "right", "eth0", "198.18.0.2", "198.18.0.1")?;
        let daemons = Daemons::new(&lab, Some("net"))?;
        let world = World {
            left,
            right,
            ovs,
            daemons,
            more: more.to_owned(),
            generation: 0,
            _lab: lab,
        };
        world.put_foreign()?;
        Ok(world)
    }

    /// What is not ours, by hand.
    fn put_foreign(&self) -> Result<()> {
        self.ovs
            .ofctl(&["add-group", BRIDGE, "group_id=5000,type=all,bucket=output:2"])?;
        self.ovs.ofctl(&[
            "add-meter",
            BRIDGE,
            "meter=3000,kbps,burst,band=type=drop,rate=77,burst_size=7",
        ])?;
        let rule = "cookie=0x7,table=9,priority=7,in_port=77,actions=drop";
        self.ovs.ofctl(&["add-flow", BRIDGE, rule]).map(drop)
    }

    pub fn start_speaker(&self) -> Result<Daemon> {
        self.daemons.speaker(REGION, LISTEN, &self.more)
    }

    fn commands() -> Topic {
        Topic::RegionCommands(REGION.parse().expect("the name of a region"))
    }

    fn start_producer(&self) -> Result<Producer> {
        let settings = self.daemons.kafka()?;
        let (producer, mut events) = self
            .daemons
            .within(|| Producer::start(&settings, "router", vec![World::commands()]))??;
        while let Some(event) = events.blocking_recv() {
            if event == ProducerEvent::Up {
                // What becomes of records shows on the switch.
                std::thread::spawn(move || while events.blocking_recv().is_some() {});
                return Ok(producer);
            }
        }
        bail!("the producer ended")
    }

    fn command(&self, connected: &Connected, name: &str, body: CommandBody) -> Result<()> {
        let partition = partition_of(&SwitchId(DPID).to_string(), PARTITIONS);
        let payload = encode(&Command {
            correlation_id: name.parse()?,
            requester: "test".to_owned(),
            deadline_ms: skerry_io::wall_clock_ms() + 120_000,
            owner_epoch: None,
            region: None,
            epoch: None,
            body,
        });
        for part in chunk::split(name, payload) {
            wait::until("Kafka to take a record", DEADLINE, || {
                let key = SwitchId(DPID).to_string();
                let sent = connected
                    .producer
                    .send(&World::commands(), partition, &key, part.to_vec(), None);
                sent.map_err(|e| e.to_string())
            })?;
        }
        Ok(())
    }

    /// Ask for the next desired state; gives its number.
    pub fn apply(&mut self, connected: &Connected) -> Result<u64> {
        self.generation += 1;
        let apply = self.generation;
        let (objects, _) = desired(apply);
        let body = CommandBody::Desired {
            switch: SwitchId(DPID),
            term: TERM,
            generation: Generation(apply),
            change: DesiredChange::Snapshot { objects },
        };
        self.command(connected, &format!("apply-{apply}"), body)?;
        Ok(apply)
    }

    /// The first state, with a broker and a router that gave the term; and the stream over it.
    pub fn settle(&mut self) -> Result<Connected> {
        let broker = self.daemons.broker()?;
        let speaker = self.start_speaker()?;
        let producer = self.start_producer()?;
        let connected = Connected {
            broker,
            speaker,
            producer,
        };
        said(&connected.speaker.process, "switch announced")?;
        let switch = SwitchId(DPID);
        self.command(&connected, "activate", CommandBody::Activate { switch, term: TERM })?;
        said(&connected.speaker.process, "role taken")?;
        let apply = self.apply(&connected)?;
        self.whole(&[apply], &connected.speaker)?;
        self.left.send_stream(Stream::new(STREAM, &[], RATE))?;
        Ok(connected)
    }

    /// Waits until the switch shows one of these states, and nothing else; gives which.
    pub fn whole(&self, any: &[u64], speaker: &Daemon) -> Result<u64> {
        let wanted: Vec<(u64, BTreeSet<String>)> = any.iter().map(|apply| (*apply, desired(*apply).1)).collect();
        wait::until(&format!("the switch to be as one of {any:?}"), DEADLINE, || {
            let shown = Look::open(&self.ovs)
                .and_then(|mut look| look.all())
                .map_err(|e| format!("{e:#}"))?;
            if let Some((apply, _)) = wanted.iter().find(|(_, wanted)| *wanted == shown) {
                return Ok(*apply);
            }
            let Some((_, wanted)) = wanted.last() else {
                return Err("nothing is wanted".to_owned());
            };
            let (missing, extra) = (wanted.difference(&shown), shown.difference(wanted));
            Err(format!(
                "{} missing, such as {:?}; {} too much, such as {:?}; {}",
                missing.clone().count(),
                missing.take(2).collect::<Vec<_>>(),
                extra.clone().count(),
                extra.take(2).collect::<Vec<_>>(),
                speaker.process.last_words()
            ))
        })
    }
}

/// What a share of the kills found.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    inside: u64,
    counts: Vec<u64>,
}

fn killed() -> Result<()> {
    let seed = seed();
    let kills = kills();
    println!("autonomy: {kills} kills, seed {seed}");
    let mut dice = Dice(seed);
    for (share, more) in MODES {
        let tally = kill_in_a_row(&mut dice, kills / MODES.len() as u64, more)
            .with_context(|| format!("{share}, seed {seed}"))?;
        println!(
            "autonomy: {share}: {} of {} kills where the switch showed some of the rules: {:?}",
            tally.inside, tally.kills, tally.counts
        );
        ensure!(
            tally.inside * 100 >= tally.kills * INSIDE_MIN_PERCENT,
            "{share}, seed {seed}: too few kills in the middle: {tally:?}"
        );
    }
    Ok(())
}

fn kill_in_a_row(dice: &mut Dice, kills: u64, more: &str) -> Result<Tally> {
    let mut world = World::new(more)?;
    let mut connected = world.settle()?;
    let mut tally = Tally::default();
    let mut stands = 1;
    for kill in 1..=kills {
        let what = format!("kill {kill} of {kills}");
        // Anywhere from the record in Kafka to nearly all rules on the switch.
        let target = dice.below(RULES - 200);
        let mut look = Look::open(&world.ovs)?;
        let apply = world.apply(&connected)?;
        let end = Instant::now() + DEADLINE;
        while target > 0 && look.count(apply)? < target {
            ensure!(
                Instant::now() < end,
                "{what}: {} of {target} rules of apply {apply}; {}",
                look.count(apply)?,
                connected.speaker.process.last_words()
            );
        }
        connected.speaker.process.kill()?;
        connected.broker.kill()?;
        let count = look.count(apply)?;
        tally.kills += 1;
        tally.inside += u64::from((1..RULES).contains(&count));
        tally.counts.push(count);

        let alone = world.start_speaker()?;
        // Killed before it had read the command, it knows of the one before only.
        let any: &[u64] = if count > 0 { &[apply] } else { &[apply, stands] };
        said(&alone.process, "switch made whole from disk").with_context(|| what.clone())?;
        stands = world
            .whole(any, &alone)
            .with_context(|| format!("{what} at {count} rules"))?;
        unharmed(&alone.process)?;
        connected.producer.close(Duration::ZERO);
        let broker = world.daemons.broker()?;
        connected = Connected {
            broker,
            speaker: alone,
            producer: world.start_producer()?,
        };
        said(&connected.speaker.process, "kafka answers")?;
    }
    let sent = world.left.stop(STREAM)?;
    let arrived = world.right.settled(STREAM, Kind::Data, &[], sent, QUIET)?;
    let missing = arrived.numbers.missing_in(0..sent);
    ensure!(
        missing.is_empty() && arrived.duplicates == 0 && arrived.wrong_payload == 0,
        "of {sent} packets {missing:?} are missing: {arrived:?}"
    );
    connected.producer.close(Duration::ZERO);
    Ok(tally)
}

fn rebooted() -> Result<()> {
    let mut world = World::new("[limits]\nautonomy_hold_ms = 500\n")?;
    let connected = world.settle()?;
    connected.broker.kill()?;
    said(&connected.speaker.process, "kafka does not answer")?;
    world.left.stop(STREAM)?;
    for _ in 0..2 {
        world.ovs.kill_vswitchd()?;
        world.ovs.restart_vswitchd()?;
        // What was put there by hand is gone with the switch's memory.
        world.put_foreign()?;
        world.whole(&[1], &connected.speaker)?;
    }
    unharmed(&connected.speaker.process)?;
    connected.producer.close(Duration::ZERO);
    Ok(())
}

/// How an apply is sent, and what the speaker's configuration says for it.
const MODES: [(&str, &str); 2] = [
    ("in stages", "[apply]\nbundles = \"never\"\n"),
    ("in bundles", "[apply]\nbundles = \"always\"\n"),
];

//! Simulated switches: that they answer as Open vSwitch does, and that a world of them stands without root.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ofproto::*;
use serde_json::json;
use skerry_bus::service::LinkStatus;
use skerry_tests::demo::World;
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::packet::{Kind, Tag};
use skerry_tests::ring::LINKS;
use skerry_tests::tool::Tool;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "sim::a_simulated_switch_answers_as_open_vswitch_does",
        &[OpenVSwitch],
        a_simulated_switch_answers_as_open_vswitch_does,
    ),
    Test(
        "sim::a_world_of_simulated_switches_carries_a_flow",
        &[],
        a_world_of_simulated_switches_carries_a_flow,
    ),
];

/// A controller's side of a connection.
struct Controller {
    socket: TcpStream,
    framer: Framer,
    xid: u32,
    /// Roles it was told unasked.
    told: Vec<String>,
}

impl Controller {
    /// The connection of switch 1 among those that come.
    fn accept(listener: &TcpListener) -> Result<Controller> {
        loop {
            let (socket, _) = listener.accept()?;
            socket.set_read_timeout(Some(DEADLINE))?;
            let mut controller = Controller {
                socket,
                framer: Framer::new(),
                xid: 0,
                told: Vec::new(),
            };
            controller.say(Body::Hello(Hello::with_versions(&[4])))?;
            let answers = controller.ask(Body::FeaturesRequest)?;
            if matches!(&answers[..], [Body::FeaturesReply(features)] if features.datapath_id == 1) {
                return Ok(controller);
            }
        }
    }

    fn say(&mut self, body: Body) -> Result<u32> {
        self.xid += 1;
        self.socket.write_all(&Message::new(self.xid, body).to_bytes()?)?;
        Ok(self.xid)
    }

    fn next(&mut self) -> Result<Message> {
        let mut buffer = [0; 16_384];
        loop {
            if let Some(frame) = self.framer.next_frame()? {
                return Message::decode(&frame).map_err(|error| anyhow::anyhow!("{error}"));
            }
            let count = self.socket.read(&mut buffer).context("reading from the switch")?;
            ensure!(count > 0, "the switch hung up");
            self.framer.push(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Says something and a barrier: what is answered to it.
    fn ask(&mut self, body: Body) -> Result<Vec<Body>> {
        let xid = self.say(body)?;
        let barrier = self.say(Body::BarrierRequest)?;
        let mut answers = Vec::new();
        loop {
            let message = self.next()?;
            if message.xid == barrier && message.body == Body::BarrierReply {
                return Ok(answers);
            }
            if message.xid == xid && !matches!(message.body, Body::Hello(_)) {
                answers.push(message.body);
            } else if let Body::Experimenter(message) = &message.body
                && let Some(status) = RoleStatus::from_experimenter(message)
            {
                let status = status.map_err(|error| anyhow::anyhow!("{error}"))?;
                self.told.push(format!("{status:?}"));
            } else if let Body::EchoRequest(data) = message.body {
                let reply = Message::new(message.xid, Body::EchoReply(data)).to_bytes()?;
                self.socket.write_all(&reply)?;
            }
        }
    }

    /// How the switch took it: nothing, an error's name, or a role.
    fn taken(&mut self, body: Body) -> Result<String> {
        match &self.ask(body)?[..] {
            [] => Ok(String::new()),
            [Body::Error(error)] => Ok(error.to_string()),
            [Body::RoleReply(reply)] => Ok(format!("{} {:#x}", reply.role, reply.generation_id)),
            other => bail!("{other:?}"),
        }
    }

    /// Rules, groups and meters, without counters and ages.
    fn dump(&mut self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        let asked = [
            MultipartRequestBody::Flow(FlowStatsRequest::all()),
            MultipartRequestBody::GroupDesc,
            MultipartRequestBody::MeterConfig(MeterRequest { meter_id: MeterId::ALL }),
        ];
        for body in asked {
            for answer in self.ask(Body::MultipartRequest(MultipartRequest::new(body)))? {
                let Body::MultipartReply(reply) = answer else {
                    bail!("{answer:?}")
                };
                match reply.body {
                    MultipartReplyBody::Flow(rules) => all.extend(rules.iter().map(rule_text)),
                    MultipartReplyBody::GroupDesc(groups) => {
                        all.extend(groups.iter().map(|group| format!("{group:?}")))
                    }
                    MultipartReplyBody::MeterConfig(meters) => {
                        all.extend(meters.iter().map(|meter| format!("{meter:?}")))
                    }
                    other => bail!("{other:?}"),
                }
            }
        }
        Ok(all)
    }
}

fn rule_text(rule: &FlowStats) -> String {
    let fields: BTreeSet<String> = rule.matching.iter().map(|field| format!("{field:?}")).collect();
    // The order in which instructions are told is each switch's own; they are done in the specification's.
    let instructions: BTreeSet<String> = rule.instructions.iter().map(|i| format!("{i:?}")).collect();
    format!(
        "{} {} {:#x} {fields:?} {instructions:?}",
        rule.table_id, rule.priority, rule.cookie
    )
}

fn rule(command: FlowModCommand, priority: u16, port: u32, actions: Vec<Action>) -> FlowMod {
    FlowMod {
        priority,
        cookie: 0x10 + u64::from(port),
        matching: Match::new().with(Oxm::in_port(PortNo(port))),
        instructions: vec![Instruction::ApplyActions(actions)],
        ..FlowMod::new(command, TableId(0))
    }
}

fn add(priority: u16, port: u32, actions: Vec<Action>) -> Body {
    Body::FlowMod(rule(FlowModCommand::ADD, priority, port, actions))
}

fn changed(change: impl FnOnce(&mut FlowMod)) -> Body {
    let mut rule = rule(FlowModCommand::ADD, 5, 1, vec![Action::output(PortNo(2))]);
    change(&mut rule);
    Body::FlowMod(rule)
}

fn group(command: GroupModCommand, kind: GroupType, id: u32, buckets: &[&[Action]]) -> Body {
    let buckets = buckets.iter().map(|actions| Bucket::new(actions.to_vec())).collect();
    Body::GroupMod(GroupMod {
        command,
        kind,
        group_id: GroupId(id),
        buckets,
    })
}

fn meter(command: MeterModCommand, id: u32) -> Body {
    let flags = MeterFlags::PKTPS | MeterFlags::BURST | MeterFlags::STATS;
    let bands = match command {
        MeterModCommand::DELETE => Vec::new(),
        _ => vec![MeterBand::Drop {
            rate: 100 + id,
            burst_size: 10,
        }],
    };
    Body::MeterMod(MeterMod {
        command,
        flags,
        meter_id: MeterId(id),
        bands,
    })
}

/// What both switches are asked, in this order.
fn questions() -> Vec<Body> {
    use FlowModCommand as F;
    use GroupModCommand as G;
    use MeterModCommand as M;
    let out = |port| vec![Action::output(PortNo(port))];
    let to_group = |id| vec![Action::Group(GroupId(id))];
    let all = GroupType::ALL;
    let udp = || {
        Match::new()
            .with(Oxm::eth_dst(MacAddr([0, 0x26, 0xe1, 0xff, 0xff, 0xff])))
            .with(Oxm::eth_type(0x0800))
            .with(Oxm::ip_proto(17))
            .with(Oxm::udp_dst(61_231))
    };
    let metadata = Match::new().with(Oxm::metadata_masked(0x2000_0648, 0xe000_fff8));
    let turn = [Action::SetField(Oxm::udp_dst(61_232)), Action::output(PortNo::IN_PORT)];
    let tags = vec![
        Action::PopVlan,
        Action::PushVlan(0x8100),
        Action::SetField(Oxm::vlan_vid(7)),
        Action::output(PortNo(2)),
    ];
    let metered = |id| {
        changed(|r| {
            r.priority = 9;
            r.instructions.insert(0, Instruction::Meter(MeterId(id)));
        })
    };
    vec![
        // Rules as the pipeline has them.
        add(5, 1, out(2)),
        add(5, 1, out(3)),
        add(6, 1, vec![]),
        changed(|r| {
            r.matching = udp();
            r.instructions = vec![Instruction::ApplyActions(vec![Action::to_controller()])];
        }),
        changed(|r| {
            r.table_id = TableId(1);
            r.matching = Match::new().with(Oxm::in_port(PortNo(1))).with(Oxm::vlan_vid(100));
            r.instructions = vec![
                Instruction::ApplyActions(tags),
                Instruction::WriteMetadata {
                    metadata: 0x2000_0648,
                    mask: 0xe000_fff8,
                },
                Instruction::GotoTable(TableId(2)),
            ];
        }),
        changed(|r| {
            r.table_id = TableId(2);
            r.matching = metadata;
        }),
        changed(|r| r.flags = FlowModFlags::RESET_COUNTS),
        // Groups and meters, and what names them.
        add(8, 2, to_group(1)),
        group(G::ADD, all, 1, &[&[Action::to_controller()], &turn]),
        group(G::ADD, all, 1, &[]),
        group(G::MODIFY, all, 99, &[]),
        group(G::ADD, GroupType::INDIRECT, 2, &[&[Action::output(PortNo(1))]]),
        group(G::ADD, GroupType::INDIRECT, 3, &[]),
        group(
            G::ADD,
            all,
            4,
            &[&[Action::Group(GroupId(2))], &[Action::output(PortNo(3))]],
        ),
        group(
            G::MODIFY,
            all,
            4,
            &[&[Action::output(PortNo(3))], &[Action::Group(GroupId(2))]],
        ),
        add(8, 2, to_group(1)),
        add(8, 3, to_group(4)),
        metered(7),
        meter(M::ADD, 7),
        meter(M::ADD, 7),
        meter(M::MODIFY, 8),
        meter(M::ADD, 8),
        metered(7),
        // Changes and deletions.
        Body::FlowMod(rule(F::MODIFY_STRICT, 5, 1, out(2))),
        Body::FlowMod(rule(F::MODIFY_STRICT, 1234, 1, out(2))),
        Body::FlowMod(FlowMod {
            cookie: 0x99,
            cookie_mask: u64::MAX,
            ..rule(F::DELETE_STRICT, 5, 1, vec![])
        }),
        Body::FlowMod(FlowMod {
            cookie: 0x11,
            cookie_mask: u64::MAX,
            ..rule(F::DELETE_STRICT, 6, 1, vec![])
        }),
        group(G::DELETE, all, 1, &[]),
        group(G::DELETE, all, 77, &[]),
        meter(M::DELETE, 7),
        meter(M::DELETE, 77),
        // What cannot be.
        changed(|r| r.table_id = TableId(255)),
        changed(|r| r.instructions = vec![Instruction::GotoTable(TableId(0))]),
        changed(|r| r.matching = Match::new().with(Oxm::udp_dst(1))),
        changed(|r| r.command = FlowModCommand(9)),
        changed(|r| r.buffer_id = 4),
        add(5, 1, vec![Action::PushVlan(0x1234)]),
        add(5, 1, vec![Action::Group(GroupId(1_000))]),
        Body::FlowMod(FlowMod {
            out_port: PortNo(3),
            ..FlowMod::new(F::DELETE, TableId::ALL)
        }),
    ]
}

/// What is asked of one of two controllers: `true` for the first.
fn roles() -> Vec<(bool, Body)> {
    let ask = |role, generation_id| Body::RoleRequest(RoleMsg { role, generation_id });
    let (same, equal, master, slave) = (
        ControllerRole::NOCHANGE,
        ControllerRole::EQUAL,
        ControllerRole::MASTER,
        ControllerRole::SLAVE,
    );
    let packet = || {
        Body::PacketOut(PacketOut::new(
            vec![Action::output(PortNo(1))],
            bytes::Bytes::from_static(&[0; 60]),
        ))
    };
    vec![
        (true, ask(same, 0)),
        (true, ask(slave, 0)),
        (true, ask(same, 0)),
        (false, ask(slave, 0)),
        (true, ask(master, 1)),
        (false, add(5, 1, vec![])),
        (false, group(GroupModCommand::ADD, GroupType::ALL, 50, &[])),
        (false, meter(MeterModCommand::ADD, 50)),
        (false, packet()),
        (false, ask(master, 0)),
        (false, ask(master, 2)),
        (true, ask(same, 0)),
        (true, add(5, 1, vec![])),
        (true, ask(master, 1)),
        (true, ask(slave, 1)),
        (true, ask(slave, 2)),
        (true, ask(equal, 0)),
        (true, add(5, 1, vec![])),
        (true, ask(ControllerRole(9), 5)),
        (true, ask(master, 2)),
        (false, ask(same, 0)),
        (false, ask(master, u64::MAX / 2)),
        (true, ask(master, u64::MAX)),
        (true, ask(master, 1)),
        (true, ask(equal, 0)),
    ]
}

fn a_simulated_switch_answers_as_open_vswitch_does() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let addresses = [listeners[0].local_addr()?, listeners[1].local_addr()?];
    let ovs = Ovs::start_dummy(&lab)?;
    ovs.add_bridge("s1", 1, &Controllers::new::<String>([]))?;
    for port in 1..=3 {
        ovs.add_dummy_port("s1", &format!("p{port}"), port, None)?;
    }
    ovs.set_controllers(
        "s1",
        &Controllers::new(addresses.map(|address| format!("tcp:{address}"))),
    )?;
    let mut real = [Controller::accept(&listeners[0])?, Controller::accept(&listeners[1])?];
    let mut args = vec!["sim".to_owned(), "--ring".to_owned(), "2".to_owned()];
    for address in addresses {
        args.extend(["--controller".to_owned(), address.to_string()]);
    }
    let (_sim, _ready) = Tool::start(&lab, None, "skerry", "switches", &args)?;
    let mut simulated = [Controller::accept(&listeners[0])?, Controller::accept(&listeners[1])?];

    let mut wrong = Vec::new();
    let first = questions().into_iter().map(|body| (true, body));
    for (at, (first, question)) in first.chain(roles()).enumerate() {
        let which = usize::from(!first);
        let was = real[which]
            .taken(question.clone())
            .with_context(|| format!("Open vSwitch: {question:?}"))?;
        let is = simulated[which]
            .taken(question.clone())
            .with_context(|| format!("{question:?}"))?;
        if was != is {
            wrong.push(format!(
                "{at}: {question:?}\n   Open vSwitch: {was:?}, simulated: {is:?}"
            ));
        }
        let (was, is) = (real[0].dump()?, simulated[0].dump()?);
        if was != is {
            let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
            wrong.push(format!(
                "after {at}: {question:?}\n   only Open vSwitch has {:#?}\n   only the simulated one {:#?}",
                only(&was, &is),
                only(&is, &was)
            ));
            break;
        }
    }
    for (was, is) in real.iter().zip(&simulated) {
        if was.told != is.told || is.told.is_empty() {
            wrong.push(format!("told unasked: {:?} and {:?}", was.told, is.told));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The one known difference. OpenFlow 1.3.5 gives CHAINED_GROUP a meaning, "group not deleted because another group is
    // forwarding to it"; Open vSwitch deletes it and what forwards to it forwards to nothing.
    let delete = group(GroupModCommand::DELETE, GroupType::ALL, 2, &[]);
    let [was, is] = [real[0].taken(delete.clone())?, simulated[0].taken(delete)?];
    ensure!(
        (was.as_str(), is.as_str()) == ("", "OFPET_GROUP_MOD_FAILED OFPGMFC_CHAINED_GROUP"),
        "{was:?} {is:?}"
    );
    Ok(())
}

fn a_world_of_simulated_switches_carries_a_flow() -> Result<()> {
    let world = World::build_simulated()?;
    wait::until("all links up", DEADLINE, || {
        let links = world.links().map_err(|e| format!("{e:#}"))?;
        let up = links.iter().filter(|link| link.state == LinkStatus::Up).count();
        if up == LINKS.len() {
            Ok(())
        } else {
            Err(format!("{up} of {}", links.len()))
        }
    })?;
    let end = |switch: u64, vlan: u16| json!({ "switch_id": skerry_bus::SwitchId(switch), "port_number": 10, "vlan_id": vlan });
    let body = json!({ "source": end(1, 100), "destination": end(3, 200) });
    world.rest.done("PUT", "/v2/flows/f", Some(&body))?;
    world.ring.b.echo(true)?;
    let ping = world.ring.a.ping(1, &[Tag::c(100)], 20, 200)?;
    ensure!((ping.sent, ping.lost) == (20, 0), "{ping:?}");
    let there = world.ring.b.received(1, Kind::Ask, &[Tag::c(200)])?;
    ensure!(there.numbers.len() == 20 && there.wrong_payload == 0, "{there:?}");
    // The delays are those that were drawn: the round trip is that of one way or the other round the ring.
    let delay = |links: [&str; 2]| links.iter().flat_map(|link| world.delays[link]).sum::<Duration>();
    let ways = [delay(["s1-s2", "s2-s3"]), delay(["s4-s1", "s3-s4"])];
    let took = Duration::from_nanos(ping.answers.min_ns);
    let near = |way: &Duration| took.abs_diff(*way) < Duration::from_millis(1);
    ensure!(ways.iter().any(near), "{took:?} is none of {ways:?}");
    world.rest.done("DELETE", "/v2/flows/f", None)?;
    Ok(())
}

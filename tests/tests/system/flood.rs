//! A switch that sends packets without end: what it costs the speaker and the other switches, which are real.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use ofproto::*;
use serde_json::{Value, json};
use skerry_bus::Topic;
use skerry_bus::api::SwitchView;
use skerry_tests::daemons::log_lines;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::Test;
use crate::world::{REGION, Stranger, World, endpoint, switch_id};

pub const TESTS: &[Test] = &[Test(
    "flood::a_switch_that_floods_is_shed_and_still_heard_and_others_lose_nothing",
    &[OpenVSwitch],
    flood,
)];

/// The switch that floods.
const FLOODER: u64 = 0xf1;
/// Packets of a flood: some seconds of 100,000 each, as fast as they are taken.
const PACKETS: usize = 600_000;
/// Packets in one write.
const AT_ONCE: usize = 64;
/// What a speaker may grow by while it is flooded.
const GROWTH_MAX: u64 = 50 << 20;

fn port(number: u32, state: PortState) -> Port {
    Port {
        port_no: PortNo(number),
        hw_addr: MacAddr([2, 0, 0, 0, 0xf1, number as u8]),
        name: FixedText::new(&format!("p{number}")),
        config: PortConfig::NONE,
        state,
        curr: PortFeatures::NONE,
        advertised: PortFeatures::NONE,
        supported: PortFeatures::NONE,
        peer: PortFeatures::NONE,
        curr_speed: 10_000_000,
        max_speed: 10_000_000,
    }
}

/// A packet of a customer's that a rule sends to the controller.
fn packet_in(in_port: u32, data: Vec<u8>) -> Result<Bytes> {
    let packet = PacketIn {
        buffer_id: NO_BUFFER,
        total_len: data.len() as u16,
        reason: PacketInReason::ACTION,
        table_id: TableId(0),
        cookie: 1,
        matching: Match::new().with(Oxm::in_port(PortNo(in_port))),
        data: Bytes::from(data),
    };
    Ok(Message::new(0, Body::PacketIn(packet)).to_bytes()?)
}

/// What looks like a discovery packet and is signed by nobody.
fn forged() -> Vec<u8> {
    let mut packet = vec![0; 160];
    packet[12..14].copy_from_slice(&[0x08, 0x00]);
    packet[14] = 0x45;
    packet[16..18].copy_from_slice(&146u16.to_be_bytes());
    packet[23] = 17;
    packet[36..38].copy_from_slice(&61_231u16.to_be_bytes());
    packet[38..40].copy_from_slice(&126u16.to_be_bytes());
    packet[42..46].copy_from_slice(b"SKRY");
    packet
}

/// The writing end, for one writer at a time: whole frames.
#[derive(Clone)]
struct Out(Arc<Mutex<TcpStream>>);

impl Out {
    fn write(&self, frames: &[u8]) -> Result<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(stream.write_all(frames)?)
    }
}

/// A switch that answers what it is asked, keeps nothing, and writes what it is given in between.
struct Flooder {
    out: Out,
    echoed: Receiver<u32>,
    _reader: JoinHandle<()>,
}

impl Flooder {
    fn connect(speaker: SocketAddr) -> Result<Flooder> {
        let stream = TcpStream::connect(speaker)?;
        let (replies, echoed) = channel();
        let out = Out(Arc::new(Mutex::new(stream.try_clone()?)));
        let mut switch = Answering {
            stream,
            out: out.clone(),
            role: RoleMsg {
                role: ControllerRole::EQUAL,
                generation_id: u64::MAX,
            },
            replies,
        };
        switch.say(Message::new(0, Body::Hello(Hello::with_versions(&[4]))))?;
        let reader = std::thread::spawn(move || {
            if let Err(error) = switch.serve() {
                eprintln!("the flooding switch ended: {error:#}");
            }
        });
        Ok(Flooder {
            out,
            echoed,
            _reader: reader,
        })
    }
}

struct Answering {
    stream: TcpStream,
    out: Out,
    role: RoleMsg,
    replies: Sender<u32>,
}

impl Answering {
    fn say(&mut self, message: Message) -> Result<()> {
        self.out.write(&message.to_bytes()?)
    }

    fn serve(&mut self) -> Result<()> {
        let mut framer = Framer::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => framer.push(&buffer[..n]),
            }
            while let Some(frame) = framer.next_frame()? {
                self.answer(Message::decode(&frame)?)?;
            }
        }
    }

    fn answer(&mut self, message: Message) -> Result<()> {
        let body = match message.body {
            Body::EchoRequest(data) => Body::EchoReply(data),
            Body::EchoReply(_) => return Ok(self.replies.send(message.xid)?),
            Body::FeaturesRequest => Body::FeaturesReply(FeaturesReply {
                datapath_id: FLOODER,
                n_buffers: 0,
                n_tables: 254,
                auxiliary_id: 0,
                capabilities: Capabilities::FLOW_STATS,
                reserved: 0,
            }),
            Body::RoleRequest(asked) => {
                if asked.role != ControllerRole::NOCHANGE {
                    self.role = asked;
                }
                Body::RoleReply(self.role.clone())
            }
            Body::BarrierRequest => Body::BarrierReply,
            // As a switch that does not know the bundles of the ONF.
            Body::Experimenter(_) => Body::Error(ErrorMsg {
                kind: ErrorType::BAD_REQUEST,
                code: BadRequestCode::BAD_EXPERIMENTER.0,
                data: Bytes::new(),
            }),
            Body::MultipartRequest(asked) => {
                let reply = match asked.body {
                    MultipartRequestBody::Desc => MultipartReplyBody::Desc(Box::new(Desc {
                        mfr_desc: FixedText::new("Skerry's tests"),
                        hw_desc: FixedText::new("flooder"),
                        sw_desc: FixedText::new("1"),
                        serial_num: FixedText::new("none"),
                        dp_desc: FixedText::new("floods"),
                    })),
                    MultipartRequestBody::PortDesc => {
                        MultipartReplyBody::PortDesc(vec![port(1, PortState::LIVE), port(2, PortState::LIVE)])
                    }
                    MultipartRequestBody::Flow(_) => MultipartReplyBody::Flow(Vec::new()),
                    MultipartRequestBody::GroupDesc => MultipartReplyBody::GroupDesc(Vec::new()),
                    MultipartRequestBody::MeterConfig(_) => MultipartReplyBody::MeterConfig(Vec::new()),
                    _ => return Ok(()),
                };
                Body::MultipartReply(MultipartReply::new(reply))
            }
            _ => return Ok(()),
        };
        self.say(Message::new(message.xid, body))
    }
}

fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("no VmRSS")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// Counters that say what became of packets.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Packets {
    offered: f64,
    delivered: f64,
    malformed: f64,
    shed: f64,
    shed_discovery: f64,
    not_discovery: f64,
    forged: f64,
    believed: f64,
}

fn packets(world: &World) -> Result<Packets> {
    let metric = |name: &str, label: &str| {
        let name = format!("skerry_speaker_{name}_total");
        world.daemons.metric(&world.speaker, &name, label)
    };
    Ok(Packets {
        offered: metric("packet_ins_offered", "")?,
        delivered: metric("packet_ins_delivered", "")?,
        malformed: metric("packet_ins_malformed", "")?,
        shed: metric("packet_ins_shed", "")?,
        shed_discovery: metric("packet_ins_shed", "\"discovery_")?,
        not_discovery: metric("packets_dropped", "\"not_discovery\"")?,
        forged: metric("packets_dropped", "\"signature\"")?,
        believed: metric("probes_received", "")?,
    })
}

/// A switch of the router's view.
fn view(world: &World, switch: u64) -> Result<SwitchView, String> {
    let path = format!("/v2/switches/{}", switch_id(switch));
    world.rest.get(&path).map_err(|e| format!("{e:#}"))
}

/// A flow between the two real switches is made, or made otherwise, and stands.
fn command_others(world: &World, round: usize) -> Result<()> {
    let vlan = 100 + (round % 1_000) as u16;
    let body = json!({ "source": endpoint(1, 10, vlan), "destination": endpoint(2, 10, vlan) });
    world.rest.done("PUT", "/v2/flows/beside-the-flood", Some(&body))?;
    Ok(())
}

fn flood() -> Result<()> {
    let world = World::new(2)?;
    let events = Topic::RegionEvents(REGION.parse()?);
    let stranger = Stranger::start(&world.daemons, Vec::new(), vec![events.clone()])?;
    let flooder = Flooder::connect(world.speaker.address)?;
    wait::until("the flooding switch to be active", DEADLINE, || {
        let seen = view(&world, FLOODER)?;
        if seen.active_region.is_some() && seen.generation_applied == seen.generation_wanted {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })?;
    command_others(&world, 0)?;
    let before = packets(&world)?;
    let rss_before = resident(world.speaker.process.pid())?;

    // Packets of customers by port 1, forged discovery packets by port 2, eight to one.
    let (customer, forged) = (packet_in(1, vec![0x11; 100])?, packet_in(2, forged())?);
    let mut burst = BytesMut::new();
    for n in 0..AT_ONCE {
        burst.extend_from_slice(if n % 8 == 7 { &forged } else { &customer });
    }
    let mut rss_max = rss_before;
    let writes = PACKETS / AT_ONCE;
    let half = writes / 2;
    for write in 0..writes {
        flooder.out.write(&burst)?;
        if write == half {
            // In the middle of it: a port goes down, and an echo request.
            let status = Body::PortStatus(PortStatus {
                reason: PortReason::MODIFY,
                desc: port(2, PortState::LINK_DOWN),
            });
            let echo = Body::EchoRequest(Bytes::from_static(b"still there"));
            let both = [
                Message::new(0, status).to_bytes()?,
                Message::new(4_711, echo).to_bytes()?,
            ];
            flooder.out.write(&both.concat())?;
        }
        if write % (writes / 10) == 0 {
            command_others(&world, 1 + write)?;
            rss_max = rss_max.max(resident(world.speaker.process.pid())?);
        }
    }
    let sent = (writes * AT_ONCE) as f64;

    // The flooding switch was heard above its own noise.
    let echoed = flooder
        .echoed
        .recv_timeout(DEADLINE)
        .context("no reply to its echo request")?;
    ensure!(echoed == 4_711, "{echoed}");
    stranger.wait(
        "the port of the flooding switch to be told as down",
        &events,
        |_, event| {
            let port = &event["port"];
            (event["kind"] == "port_changed" && event["switch"] == switch_id(FLOODER)).then(|| port.clone())
        },
    )?;

    // All of it is counted, once.
    let after = wait::until("every packet to be counted", DEADLINE, || {
        let now = packets(&world).map_err(|e| format!("{e:#}"))?;
        let balance = now.offered == now.delivered + now.shed + now.malformed;
        let ours = now.shed + now.not_discovery + now.forged - before.shed - before.not_discovery - before.forged;
        if balance && ours == sent {
            Ok(now)
        } else {
            Err(format!("{sent} sent, {ours} seen: {now:?}"))
        }
    })?;
    ensure!(after.malformed == before.malformed, "{after:?}");
    ensure!(after.shed - before.shed > sent * 0.9, "{after:?}\nwas\n{before:?}");
    ensure!(after.shed_discovery > before.shed_discovery, "{after:?}");

    // Nobody else lost anything: discovery goes on, no link was silent, commands were done.
    wait::until("discovery to go on", DEADLINE, || {
        let now = packets(&world).map_err(|e| format!("{e:#}"))?;
        if now.believed > after.believed + 20.0 {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })?;
    let bad = ["link direction silent", "switch left", "role lost"];
    let lines = log_lines(&world.speaker.process);
    let lost: Vec<&Value> = lines
        .iter()
        .filter(|l| bad.iter().any(|bad| l["message"] == *bad))
        .collect();
    ensure!(lost.is_empty(), "{lost:?}");
    command_others(&world, 0)?;
    let growth = rss_max.saturating_sub(rss_before);
    println!(
        "{sent} packets: {} shed, {} looked at; resident {} KiB before, {} KiB at most",
        after.shed - before.shed,
        after.delivered - before.delivered,
        rss_before / 1024,
        rss_max / 1024
    );
    ensure!(growth <= GROWTH_MAX, "the speaker grew by {growth} bytes");
    let longest = world
        .daemons
        .metric(&world.speaker, "skerry_speaker_lane_commands_max", "")?;
    ensure!(longest <= 64.0, "{longest} commands in a lane");
    world.unharmed()
}

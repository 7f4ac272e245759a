//! Switches that do what they must not: each is told, and nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Result, ensure};
use ofproto::{Body, Framer, Message};
use serde_json::{Value, json};
use skerry_bus::Topic;
use skerry_bus::api::SwitchView;
use skerry_tests::daemons::log_lines;
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::world::{REGION, Stranger, World, session, switch_id};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "bad_switch::a_malformed_frame_ends_its_connection_and_no_other",
        &[OpenVSwitch],
        malformed,
    ),
    Test(
        "bad_switch::a_second_switch_of_the_same_id_is_refused_and_told",
        &[OpenVSwitch],
        same_id,
    ),
    Test(
        "bad_switch::a_switch_with_openflow_1_0_only_is_refused_with_the_proper_error",
        &[OpenVSwitch],
        too_old,
    ),
];

/// HELLO of version 1.3 without elements.
const HELLO: [u8; 8] = [4, 0, 0, 8, 0, 0, 0, 1];
/// PORT_STATUS that ends after its reason: 80 bytes are in one.
const CUT_PORT_STATUS: [u8; 16] = [4, 12, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// All frames until the speaker closes the connection.
fn rest_of(stream: &mut TcpStream) -> Result<Vec<Message>> {
    let mut framer = Framer::new();
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => return Err(error.into()),
        _ => framer.push(&bytes),
    }
    let mut messages = Vec::new();
    while let Some(frame) = framer.next_frame()? {
        messages.push(Message::decode(&frame)?);
    }
    Ok(messages)
}

/// Between a switch and its speaker; puts frames into what the switch says.
struct Between {
    address: SocketAddr,
    frames: Sender<Vec<u8>>,
}

impl Between {
    fn start(speaker: SocketAddr) -> Result<Between> {
        /// How often it looks for a frame to put in while the switch is silent.
        const LOOK: Duration = Duration::from_millis(20);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (frames, put_in) = channel::<Vec<u8>>();
        std::thread::spawn(move || {
            for switch in listener.incoming().map_while(Result::ok) {
                let Ok(up) = TcpStream::connect(speaker) else { continue };
                let down = (up.try_clone(), switch.try_clone());
                let (Ok(mut from), Ok(mut to)) = down else { return };
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
                // Whole frames only, so that one more fits between two of them.
                let (mut switch, mut up) = (switch, up);
                let mut framer = Framer::new();
                let mut buffer = [0; 4096];
                let _ = switch.set_read_timeout(Some(LOOK));
                loop {
                    match switch.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(n) => framer.push(&buffer[..n]),
                        Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                        }
                        Err(_) => break,
                    }
                    let mut out = Vec::new();
                    while let Ok(Some(frame)) = framer.next_frame() {
                        out.extend_from_slice(&frame);
                    }
                    out.extend(put_in.try_iter().flatten());
                    if up.write_all(&out).is_err() {
                        break;
                    }
                }
                let _ = up.shutdown(std::net::Shutdown::Both);
            }
        });
        Ok(Between { address, frames })
    }
}

fn malformed() -> Result<()> {
    let world = World::new(2)?;
    let reads = vec![Topic::RegionEvents(REGION.parse()?)];
    let stranger = Stranger::start(&world.daemons, vec![Topic::Commands], reads)?;
    let untouched = session(&world.rest, 1)?;
    let rules = world.dump()?;

    // Before it is known who it is: bytes that are no frame, a hello that lies about its elements, a request in between.
    let cases: [(&[u8], &str); 3] = [
        (&[4, 0, 0, 3, 0, 0, 0, 9], "ofp_header"),
        (&[4, 0, 0, 12, 0, 0, 0, 1, 0, 1, 0, 3], "ofp_hello_elem"),
        (&[4, 5, 0, 8, 0, 0, 0, 1], "ofp_header"),
    ];
    for (bytes, structure) in cases {
        let mut stream = connect(world.speaker.address)?;
        let from = stream.local_addr()?.to_string();
        stream.write_all(bytes)?;
        rest_of(&mut stream)?;
        let refused = wait::until(&format!("{bytes:02x?} to be refused"), DEADLINE, || {
            let refused: Vec<Value> = world.rest.get("/v2/switches/refused").map_err(|e| format!("{e:#}"))?;
            let ours = refused.iter().find(|r| r["address"] == from.as_str());
            ours.cloned().ok_or_else(|| format!("{refused:?}"))
        })?;
        let reason = refused["reason"].as_str().unwrap_or_default();
        let named = reason.contains("malformed") && reason.contains(structure) && reason.contains("offset ");
        ensure!(named, "{structure} and its offset are expected: {refused}");
        ensure!(
            refused["region"] == REGION && refused.get("switch_id").is_none(),
            "{refused}"
        );
    }

    // From a switch that is served: a frame between two of a real one's.
    let between = Between::start(world.speaker.address)?;
    let controllers = Controllers::new([format!("tcp:{}", between.address)]);
    world.ovs.set_controllers("s2", &controllers)?;
    // By its new way, the third time that a switch is announced here.
    wait::until("the switch to come by its new way", DEADLINE, || {
        let lines = log_lines(&world.speaker.process);
        let announced = lines
            .iter()
            .filter(|line| line["message"] == "switch announced")
            .count();
        if announced == 3 {
            Ok(())
        } else {
            Err(world.speaker.process.last_words())
        }
    })?;
    world.settled()?;
    between.frames.send(CUT_PORT_STATUS.to_vec())?;
    let events = Topic::RegionEvents(REGION.parse()?);
    let reason = stranger.wait("the switch's end with its reason", &events, |_, event| {
        let reason = event["reason"].as_str().filter(|reason| reason.contains("malformed"))?;
        (event["kind"] == "switch_disconnected" && event["switch"] == switch_id(2)).then(|| reason.to_owned())
    })?;
    ensure!(reason.contains("ofp_port at offset 16"), "{reason}");

    // It comes back, and nothing is to be done again; the other one never noticed.
    world.settled()?;
    ensure!(world.dump()? == rules, "{:#?}\nwere\n{rules:#?}", world.dump()?);
    ensure!(
        session(&world.rest, 1)? == untouched,
        "{:?}\nwas\n{untouched:?}",
        session(&world.rest, 1)?
    );
    let counted = world
        .daemons
        .metric(&world.speaker, "skerry_speaker_refused_total", "malformed")?;
    ensure!(counted == 4.0, "{counted} malformed frames were counted");
    world.unharmed()
}

fn same_id() -> Result<()> {
    let world = World::new(1)?;
    let untouched = session(&world.rest, 1)?;
    let living: SwitchView = world.rest.get(&format!("/v2/switches/{}", switch_id(1)))?;

    // Another Open vSwitch with a bridge of the same id, and one rule of its own.
    let lab = Lab::new(PREFIX)?;
    let second = Ovs::start_dummy(&lab)?;
    second.add_bridge("twin", 1, &Controllers::new::<String>([]))?;
    second.set_controllers("twin", &Controllers::new([format!("tcp:{}", world.speaker.address)]))?;

    let refused = world.refused("the switch id is taken by a living connection from")?;
    // Not before: Open vSwitch forgets its rules when it gets its first controller.
    second.ofctl(&["add-flow", "twin", "cookie=0x77,in_port=4,actions=drop"])?;
    let before = second.dump_flows("twin")?;
    ensure!(before.len() == 1, "{before:?}");
    ensure!(
        refused["switch_id"] == switch_id(1) && refused["region"] == REGION,
        "{refused}"
    );
    let address = living.availability.first().map(|a| a.ip.clone()).unwrap_or_default();
    let reason = refused["reason"].as_str().unwrap_or_default();
    ensure!(
        !address.is_empty() && reason.contains(&address),
        "{address} is the first one's: {refused}"
    );
    // It tries again and again, and is refused again and again.
    wait::until("the second refusal", DEADLINE, || {
        let refused: Vec<Value> = world.rest.get("/v2/switches/refused").map_err(|e| format!("{e:#}"))?;
        let times = refused.first().and_then(|r| r["times"].as_u64()).unwrap_or(0);
        if times >= 2 {
            Ok(())
        } else {
            Err(format!("{refused:?}"))
        }
    })?;
    ensure!(
        session(&world.rest, 1)? == untouched,
        "{:?}\nwas\n{untouched:?}",
        session(&world.rest, 1)?
    );
    ensure!(second.dump_flows("twin")? == before, "{:?}", second.dump_flows("twin")?);
    // The first still obeys.
    let body =
        json!({ "source": crate::world::endpoint(1, 10, 100), "destination": crate::world::endpoint(1, 11, 200) });
    world.rest.done("PUT", "/v2/flows/on-the-first", Some(&body))?;
    ensure!(second.dump_flows("twin")? == before, "{:?}", second.dump_flows("twin")?);
    world.unharmed()
}

fn too_old() -> Result<()> {
    let world = World::new(1)?;
    let untouched = session(&world.rest, 1)?;
    // On the wire: the error comes in the version that the switch can read.
    let mut stream = connect(world.speaker.address)?;
    let hello = [1, HELLO[1], HELLO[2], HELLO[3], 0, 0, 0, 5];
    stream.write_all(&hello)?;
    let messages = rest_of(&mut stream)?;
    let error = messages.iter().find_map(|message| match &message.body {
        Body::Error(error) => Some((message.version, message.xid, error.clone())),
        _ => None,
    });
    match &error {
        Some((1, 5, error)) => {
            let text = String::from_utf8_lossy(&error.data);
            let proper = error.kind == ofproto::ErrorType::HELLO_FAILED
                && error.code == ofproto::HelloFailedCode::INCOMPATIBLE.0
                && text.contains("1.3");
            ensure!(proper, "{error:?}");
        }
        other => anyhow::bail!("HELLO_FAILED of version 1 was expected, not {other:?} in {messages:?}"),
    }

    // A real one.
    world.ovs.add_bridge("old", 0x0a, &Controllers::new::<String>([]))?;
    world.ovs.vsctl(&["set", "bridge", "old", "protocols=OpenFlow10"])?;
    let controllers = Controllers::new([format!("tcp:{}", world.speaker.address)]);
    world.ovs.set_controllers("old", &controllers)?;
    let refused = wait::until("both to be listed as refused", DEADLINE, || {
        let refused: Vec<Value> = world.rest.get("/v2/switches/refused").map_err(|e| format!("{e:#}"))?;
        let times: u64 = refused.iter().filter_map(|r| r["times"].as_u64()).sum();
        if times >= 2 {
            Ok(refused)
        } else {
            Err(format!("{refused:?}"))
        }
    })?;
    for refused in refused {
        let reason = refused["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("no OpenFlow version in common"), "{refused}");
        ensure!(
            reason.contains("0x1") || reason.contains("0x01") || reason.contains("0x2"),
            "{refused}"
        );
    }
    let switches: Vec<SwitchView> = world.rest.get("/v2/switches")?;
    ensure!(switches.len() == 1, "{switches:?}");
    ensure!(
        session(&world.rest, 1)? == untouched,
        "{:?}\nwas\n{untouched:?}",
        session(&world.rest, 1)?
    );
    world.unharmed()
}

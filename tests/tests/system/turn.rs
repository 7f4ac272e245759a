//! Discovery packets on real switches with the rules that speaker and router put there: each is turned at most once, wherever
//! it is let loose, and one that nobody signed, or signed long ago, makes no link.
//!
//! Copies are counted where they are: on every link by the delay line's log, at the speaker by a capture.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ofproto::{Action, Body};
use skerry_bus::api::{LinkView, SwitchView};
use skerry_bus::service::LinkStatus;
use skerry_tests::daemons::{Daemon, Daemons};
use skerry_tests::delay::{Crossing, DelayLine, Pair, discovery};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::Controllers;
use skerry_tests::rest::Rest;
use skerry_tests::ring::{
    self, CONTROL_ADDRESS, CONTROL_INTERFACE, LINKS, Options, PORT_HOST, PORT_NEXT, PORT_PREVIOUS, Ring, SWITCHES,
};
use skerry_tests::wait::{self, DEADLINE};
use skerry_tests::wire::{self, Wire};

use crate::Need::{Capture, Ovs, Root, Tap};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "turn::a_packet_let_loose_is_turned_once_and_never_circulates",
        &[Root, Ovs, Tap, Capture],
        a_packet_let_loose_is_turned_once_and_never_circulates,
    ),
    Test(
        "turn::every_packet_of_a_speaker_is_turned_once_and_none_on_a_cable_from_a_switch_to_itself",
        &[Root, Ovs, Tap, Capture],
        every_packet_of_a_speaker_is_turned_once,
    ),
    Test(
        "turn::a_forged_an_old_and_a_repeated_packet_make_no_link",
        &[Root, Ovs, Tap, Capture],
        a_forged_an_old_and_a_repeated_packet_make_no_link,
    ),
];

/// UDP destinations of a packet on its way out, and of one that was turned.
const OUT: u16 = discovery::PORTS[0];
const TURNED: u16 = discovery::PORTS[1];
/// Region and port of the only speaker.
const REGION: &str = "east";
const SPEAKER_PORT: u16 = 6653;
/// The switch with a cable to itself, and the cable's ports.
const LOOPED: u64 = 2;
const LOOP_PORTS: [u32; 2] = [20, 21];
/// Later packets that go there and back before the earlier ones are counted: what circulates would have crossed a link many
/// times by then.
const LATER: usize = 20;
/// Age of a packet that is too old for certain (`FRESH_MAX_MS` of the speaker, and more).
const OLD: Duration = Duration::from_secs(3);

/// Over which link, from its first end to its second or back, with which UDP port.
type Crossed = (String, bool, u16);

struct World {
    rest: Rest,
    speaker: Daemon,
    daemons: Daemons,
    wire: Wire,
    ring: Ring,
    looped: DelayLine,
    logs: [PathBuf; 2],
    _lab: Lab,
}

impl World {
    /// The ring with a cable more, daemons, and all rules on the switches. The links carry nothing before [`World::join`].
    fn new(discovery_ms: u32) -> Result<World> {
        let lab = Lab::new(PREFIX)?;
        let options = Options {
            delays: [1, 2, 3, 4].map(|ms| [Duration::from_millis(ms); 2]),
            sink_at: 3,
            controllers: Controllers::new::<String>([]),
        };
        let ring = Ring::build(&lab, &options)?;
        let ends = ["loop-a", "loop-b"];
        let pair = Pair::new("loop", ends[0], ends[1], Duration::from_millis(1));
        let looped = DelayLine::start(&lab, "switches", &[pair])?;
        for (interface, port) in ends.into_iter().zip(LOOP_PORTS) {
            ring.ovs.add_port(&ring::bridge(LOOPED), interface, port)?;
        }
        let logs = ["ring", "loop"].map(|name| lab.folder().join(format!("{name}.jsonl")));
        ring.delay.log_to(&logs[0])?;
        looped.log_to(&logs[1])?;
        for link in LINKS {
            ring.delay.cut(link)?;
        }
        looped.cut("loop")?;
        let wire = Wire::start(&lab, "control", CONTROL_INTERFACE, &[SPEAKER_PORT])?;
        let daemons = Daemons::new(&lab, Some("control"))?;
        daemons.broker()?;
        let listen = format!("{CONTROL_ADDRESS}:{SPEAKER_PORT}");
        let speaker = daemons.speaker(
            REGION,
            &listen,
            &format!("[intervals]\ndiscovery_ms = {discovery_ms}\n"),
        )?;
        let router = daemons.router(&[REGION], "127.0.0.1:0", "")?;
        let rest = daemons.rest(&router);
        ring.set_controllers(&Controllers::new([format!("tcp:{listen}")]))?;
        wait::until("the rules on all switches", DEADLINE, || {
            let switches: Vec<SwitchView> = rest.get("/v2/switches").map_err(|e| format!("{e:#}"))?;
            let ready = |s: &&SwitchView| s.generation_wanted > 0 && s.generation_applied == s.generation_wanted;
            match switches.iter().filter(ready).count() as u64 {
                SWITCHES => Ok(()),
                ready => Err(format!("{ready}")),
            }
        })?;
        Ok(World {
            rest,
            speaker,
            daemons,
            wire,
            ring,
            looped,
            logs,
            _lab: lab,
        })
    }

    /// From now on the cables carry frames.
    fn join(&self) -> Result<()> {
        LINKS.iter().try_for_each(|link| self.ring.delay.join(link))?;
        self.looped.join("loop")
    }

    fn links(&self) -> Result<Vec<LinkView>> {
        self.rest.get("/v2/links")
    }

    /// Waits until the ring's links are up; there are no others.
    fn wait_links(&self) -> Result<()> {
        let links = wait::until("four links up", DEADLINE, || {
            let links = self.links().map_err(|e| format!("{e:#}"))?;
            match links.iter().filter(|l| l.state == LinkStatus::Up).count() {
                4 => Ok(links),
                up => Err(format!("{up} up")),
            }
        })?;
        only_the_ring(&links)
    }

    /// A switch handles a frame as the controller says.
    fn packet_out(&self, switch: u64, in_port: &str, frame: &[u8], actions: &str) -> Result<()> {
        let packet = hex(frame);
        let out = format!("in_port={in_port},packet={packet},actions={actions}");
        self.ring
            .ovs
            .ofctl(&["packet-out", &ring::bridge(switch), &out])
            .map(drop)
    }

    /// How often each packet crossed what, by payload.
    fn crossings(&self) -> Result<BTreeMap<String, Vec<Crossed>>> {
        let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for log in &self.logs {
            for Crossing {
                pair,
                a_to_b,
                udp_port,
                payload,
                ..
            } in DelayLine::read_log(log)?
            {
                all.entry(payload).or_default().push((pair, a_to_b, udp_port));
            }
        }
        Ok(all)
    }

    /// Packets that came to the speaker, by payload: the switch, the UDP port.
    fn packet_ins(&mut self) -> Result<BTreeMap<String, Vec<(u64, u16)>>> {
        let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let seen = self.wire.read()?;
        for frame in seen.frames().iter().filter(|f| f.from_switch) {
            if let Body::PacketIn(packet) = frame.message()?.body
                && let Some((udp_port, payload)) = discovery::find(&packet.data)
            {
                let dpid = seen.connection(frame).dpid.context("a switch without an id")?;
                all.entry(hex(payload)).or_default().push((dpid, udp_port));
            }
        }
        Ok(all)
    }

    /// Later packets go once there and back, one after the other.
    fn outlast(&self) -> Result<()> {
        for number in 0..LATER {
            let name = format!("later {number}");
            self.packet_out(1, "controller", &frame(1, OUT, &name), &format!("output:{PORT_NEXT}"))?;
            let key = hex(name.as_bytes());
            wait::until("a later packet to be back", DEADLINE, || match self.crossings() {
                Ok(crossings) if crossings.get(&key).is_some_and(|c| c.len() == 2) => Ok(()),
                seen => Err(format!("{:?}", seen.map(|mut all| all.remove(&key)))),
            })?;
        }
        Ok(())
    }

    fn dropped(&self, why: &str) -> Result<f64> {
        self.daemons.metric(
            &self.speaker,
            "skerry_speaker_packets_dropped_total",
            &format!("\"{why}\""),
        )
    }
}

fn only_the_ring(links: &[LinkView]) -> Result<()> {
    let of_ring = |l: &&LinkView| {
        [l.a, l.b]
            .iter()
            .all(|end| [PORT_NEXT, PORT_PREVIOUS].contains(&end.port.0))
    };
    ensure!(
        links.len() == 4 && links.iter().filter(of_ring).count() == 4,
        "{links:?}"
    );
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A discovery packet as far as switches are concerned, from the switch with this id.
fn frame(source: u8, udp_port: u16, payload: &str) -> Vec<u8> {
    let length = payload.len() as u16;
    let mut frame = vec![0x00, 0x26, 0xe1, 0xff, 0xff, 0xff];
    frame.extend([0, 0, 0, 0, 0, source, 0x08, 0x00, 0x45, 0]);
    frame.extend((28 + length).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0xf0, 0]);
    frame.extend(udp_port.to_be_bytes());
    frame.extend((8 + length).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload.as_bytes());
    frame
}

/// A link's name and whether its first switch is this one, for a port of the ring.
fn cable(switch: u64, port: u32) -> (String, bool) {
    let first = if port == PORT_NEXT {
        switch
    } else {
        (switch + 2) % SWITCHES + 1
    };
    (format!("s{first}-s{}", first % SWITCHES + 1), port == PORT_NEXT)
}

/// The switch at the other end of a port of the ring.
fn neighbour(switch: u64, port: u32) -> u64 {
    if port == PORT_NEXT {
        switch % SWITCHES + 1
    } else {
        (switch + 2) % SWITCHES + 1
    }
}

/// Nobody knows a link yet: the speaker probes once a minute, and its first packets found the links cut.
fn a_packet_let_loose_is_turned_once_and_never_circulates() -> Result<()> {
    /// No switch has this id: none takes the packet for its own.
    const STRANGER: u8 = 0x77;
    let mut world = World::new(60_000)?;
    world.join()?;
    ensure!(world.links()?.is_empty(), "{:?}", world.links()?);
    let mut loose = Vec::new();
    for switch in 1..=SWITCHES {
        for port in [PORT_NEXT, PORT_PREVIOUS] {
            let far = neighbour(switch, port);
            // Its own, a stranger's, the far switch's, and one that calls itself turned.
            for (kind, source, udp_port) in [
                ("own", switch as u8, OUT),
                ("stranger", STRANGER, OUT),
                ("far", far as u8, OUT),
                ("turned own", switch as u8, TURNED),
                ("turned far", far as u8, TURNED),
            ] {
                let name = format!("{kind} packet of s{switch} by port {port}");
                world.packet_out(
                    switch,
                    "controller",
                    &frame(source, udp_port, &name),
                    &format!("output:{port}"),
                )?;
                loose.push((kind, name, switch, port, udp_port));
            }
        }
    }
    for (kind, source) in [("own", LOOPED as u8), ("stranger", STRANGER)] {
        for port in LOOP_PORTS {
            let name = format!("{kind} packet by port {port} of the cable to itself");
            world.packet_out(
                LOOPED,
                "controller",
                &frame(source, OUT, &name),
                &format!("output:{port}"),
            )?;
            loose.push((kind, name, LOOPED, port, OUT));
        }
    }
    world.outlast()?;

    let crossings = world.crossings()?;
    let packet_ins = world.packet_ins()?;
    for (kind, name, switch, port, udp_port) in &loose {
        let is_loop = LOOP_PORTS.contains(port);
        let (link, there) = if is_loop {
            ("loop".into(), *port == LOOP_PORTS[0])
        } else {
            cable(*switch, *port)
        };
        let far = if is_loop { LOOPED } else { neighbour(*switch, *port) };
        let mut crossed = vec![(link.clone(), there, *udp_port)];
        let mut told = Vec::new();
        // Turned where it is not the switch's own and not turned yet.
        if *kind == "stranger" || *kind == "own" && !is_loop {
            crossed.push((link, !there, TURNED));
            told.push((far, OUT));
        }
        // Told by the switch whose own it is, when it comes turned.
        if *kind == "own" && !is_loop {
            told.push((*switch, TURNED));
        } else if *kind == "turned far" {
            told.push((far, TURNED));
        }
        let key = hex(name.as_bytes());
        let seen = crossings.get(&key).cloned().unwrap_or_default();
        ensure!(seen == crossed, "{name} crossed {seen:?}, not {crossed:?}");
        let seen = packet_ins.get(&key).cloned().unwrap_or_default();
        ensure!(seen == told, "{name} came to the speaker from {seen:?}, not {told:?}");
    }
    ensure!(
        world.links()?.is_empty(),
        "unsigned packets made links: {:?}",
        world.links()?
    );
    Ok(())
}

fn every_packet_of_a_speaker_is_turned_once() -> Result<()> {
    /// Packets each direction of each link has at least.
    const ROUNDS: usize = 5;
    let mut world = World::new(300)?;
    world.join()?;
    world.wait_links()?;
    let directions = || -> Result<BTreeMap<(String, bool), usize>> {
        let mut count = BTreeMap::new();
        for crossed in world.crossings()?.into_values().filter(|crossed| crossed.len() == 2) {
            *count.entry((crossed[0].0.clone(), crossed[0].1)).or_default() += 1;
        }
        Ok(count)
    };
    wait::until("five turned packets of each direction", DEADLINE, || {
        match directions() {
            Ok(count) if count.len() == 8 && count.values().all(|n| *n >= ROUNDS) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })?;
    world.outlast()?;

    let packet_ins = world.packet_ins()?;
    let mut unturned = 0;
    for (payload, crossed) in world.crossings()? {
        let told = packet_ins.get(&payload).cloned().unwrap_or_default();
        let shown = || format!("{payload}: {crossed:?}, told {told:?}");
        let (link, there, udp_port) = &crossed[0];
        ensure!(*udp_port == OUT, "{}", shown());
        if link == "loop" {
            ensure!(
                crossed.len() == 1 && told.is_empty(),
                "turned or told by its own switch: {}",
                shown()
            );
            unturned += 1;
        } else if let [_, back] = &crossed[..] {
            ensure!(*back == (link.clone(), !there, TURNED), "{}", shown());
            ensure!(told.len() <= 2, "{}", shown());
        } else {
            // The last ones may still be under way.
            ensure!(crossed.len() == 1 && told.len() <= 1, "{}", shown());
        }
    }
    ensure!(unturned > 0, "nothing crossed the cable from a switch to itself");
    only_the_ring(&world.links()?)
}

fn a_forged_an_old_and_a_repeated_packet_make_no_link() -> Result<()> {
    /// The packet comes by a port where nothing is.
    const AT: u64 = 3;
    let mut world = World::new(300)?;
    world.join()?;
    world.wait_links()?;
    let port = PORT_HOST.to_string();
    let genuine = |world: &mut World| {
        world.wire.wait_for("a packet of the speaker by port 1 of s1", |seen| {
            let mut sent = seen
                .frames()
                .iter()
                .rev()
                .filter(|f| !f.from_switch)
                .filter_map(|frame| {
                    let Body::PacketOut(out) = frame.message().ok()?.body else {
                        return None;
                    };
                    let by_next = out
                        .actions
                        .iter()
                        .any(|a| matches!(a, Action::Output { port, .. } if port.0 == PORT_NEXT));
                    let ours = seen.connection(frame).dpid == Some(1) && by_next;
                    (ours && discovery::find(&out.data).is_some()).then(|| (frame.at, out.data.to_vec()))
                });
            sent.next().ok_or_else(|| "none".to_owned())
        })
    };

    // One bit of the signature, and one of what is signed.
    let before = world.dropped("signature")?;
    let (sent, good) = genuine(&mut world)?;
    for at in [good.len() - 1, good.len() - 60] {
        let mut forged = good.clone();
        forged[at] ^= 1;
        world.packet_out(AT, &port, &forged, "table")?;
    }
    wait::until("two forged packets counted", DEADLINE, || {
        match world.dropped("signature") {
            Ok(now) if now >= before + 2.0 => Ok(()),
            seen => Err(format!("{seen:?}, before {before}")),
        }
    })?;

    // The very packet, where it belongs, again while it is fresh.
    let before = world.dropped("replayed")?;
    let (_, fresh) = genuine(&mut world)?;
    let previous = PORT_PREVIOUS.to_string();
    world.packet_out(2, &previous, &fresh, "table")?;
    world.packet_out(2, &previous, &fresh, "table")?;
    wait::until("a repeated packet counted", DEADLINE, || {
        match world.dropped("replayed") {
            Ok(now) if now > before => Ok(()),
            seen => Err(format!("{seen:?}, before {before}")),
        }
    })?;

    // A genuine one at another port, when it is old.
    wait::until("the packet to be old", DEADLINE, || {
        match wire::now().saturating_sub(sent) {
            age if age > OLD => Ok(()),
            age => Err(format!("{age:?}")),
        }
    })?;
    let before = world.dropped("stale")?;
    world.packet_out(AT, &port, &good, "table")?;
    wait::until("an old packet counted", DEADLINE, || match world.dropped("stale") {
        Ok(now) if now > before => Ok(()),
        seen => Err(format!("{seen:?}, before {before}")),
    })?;
    // Told to the router before the links are read: it hears of everything in order.
    world.outlast()?;
    only_the_ring(&world.links()?)
}

//! Room for connections: an address has its share, all have an end, and who is there stays.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skerry_tests::daemons::{ANY_PORT, Daemons};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::sys::connect_from;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::world::{REGION, add_bridge, settled, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "admission::one_address_has_its_share_and_whoever_is_there_stays",
        &[OpenVSwitch],
        shares,
    ),
    Test(
        "admission::duplicates_among_many_move_no_living_switch",
        &[],
        duplicates,
    ),
];

/// Whether the speaker closed it, or keeps it.
fn is_closed(stream: &TcpStream) -> bool {
    let mut stream = stream;
    let mut words = [0; 256];
    let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
    loop {
        match stream.read(&mut words) {
            Ok(0) => return true,
            // Its HELLO.
            Ok(_) => {}
            Err(error) => {
                let waits = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
                return !waits.contains(&error.kind());
            }
        }
    }
}

fn shares() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let broker = daemons.broker()?;
    let limits = "[limits]\nconnections = 6\nconnections_per_source = 3\nhandshake_ms = 3000\n";
    let speaker = daemons.speaker(REGION, ANY_PORT, limits)?;
    let router = daemons.router(&[REGION], ANY_PORT, "")?;
    let rest = daemons.rest(&router);
    let ovs = Ovs::start_dummy(&lab)?;
    let target = Controllers::new([format!("tcp:{}", speaker.address)]);
    add_bridge(&ovs, 1, 1)?;
    ovs.set_controllers("s1", &target)?;
    settled(&rest, 1, 0)?;

    let address: SocketAddr = speaker.address;
    let from = |source: &str| -> Result<TcpStream> { Ok(connect_from(source.parse()?, address)?) };
    let refused = |reason: &str| {
        wait::until(&format!("a refusal because of {reason:?}"), DEADLINE, || {
            let refused: Vec<Value> = rest.get("/v2/switches/refused").map_err(|e| format!("{e:#}"))?;
            let found = refused
                .iter()
                .find(|r| r["reason"].as_str().is_some_and(|r| r.contains(reason)));
            found.cloned().ok_or_else(|| format!("{refused:?}"))
        })
    };
    let counted = |reason: &str| daemons.metric(&speaker, "skerry_speaker_refused_total", reason);

    // Three silent ones of one address are its share; a fourth is sent away at once, with the reason.
    let held: Vec<TcpStream> = (0..3).map(|_| from("127.0.0.2")).collect::<Result<_>>()?;
    let fourth = from("127.0.0.2")?;
    let told = refused("3 connections from 127.0.0.2 are open, which is the limit for one address")?;
    ensure!(
        told["address"].as_str().is_some_and(|a| a.starts_with("127.0.0.2:")),
        "{told}"
    );
    wait::until("the fourth to be closed", DEADLINE, || {
        is_closed(&fourth).then_some(()).ok_or_else(|| "open".to_owned())
    })?;
    ensure!(counted("\"source_full\"")? == 1.0, "one was over its share");

    // Six in all: the switch, the three, two more of others, and then nobody.
    let others: Vec<TcpStream> = (0..2).map(|_| from("127.0.0.3")).collect::<Result<_>>()?;
    let beyond = from("127.0.0.4")?;
    refused("6 connections are open, which is the limit")?;
    wait::until("the one too many to be closed", DEADLINE, || {
        is_closed(&beyond).then_some(()).ok_or_else(|| "open".to_owned())
    })?;
    ensure!(counted("\"connections_full\"")? >= 1.0, "one was too many");

    // The deadline of the handshake ends those that say nothing, and a switch has their room.
    wait::until("those that say nothing to be closed", DEADLINE, || {
        let open = held.iter().chain(&others).filter(|stream| !is_closed(stream)).count();
        if open == 0 {
            Ok(())
        } else {
            Err(format!("{open} are open"))
        }
    })?;
    ensure!(
        counted("\"handshake\"")? == 5.0,
        "{} were late",
        counted("\"handshake\"")?
    );
    ovs.add_bridge("s2", 2, &target)?;
    wait::until("a second switch", DEADLINE, || {
        let views: Vec<Value> = rest.get("/v2/switches").map_err(|e| format!("{e:#}"))?;
        let connected = views.iter().filter(|view| view["state"] == "connected").count();
        if connected == 2 {
            Ok(())
        } else {
            Err(format!("{views:?}"))
        }
    })?;
    for process in [&broker, &speaker.process, &router.process] {
        unharmed(process)?;
    }
    Ok(())
}

fn duplicates() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let broker = daemons.broker()?;
    let speaker = daemons.speaker(REGION, ANY_PORT, "")?;
    let mut load = daemons.command("skerry")?;
    load.args([
        "load",
        "--switches",
        "200",
        "--links",
        "none",
        "--echo-every",
        "1s",
        "--for",
        "8s",
    ])
    .args(["--controller", &speaker.address.to_string()])
    .args(["--misbehave", "duplicate:20"]);
    // It ends with its standard input, too.
    let mut load = load.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = load.stdin.take();
    let output = load.wait_with_output()?;
    drop(input);
    ensure!(output.status.success(), "{output:?}");
    let report: Value = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| line.get("report").cloned())
        .context("no report")?;
    ensure!(
        report["disconnects"].as_object().is_some_and(serde_json::Map::is_empty),
        "well-behaved switches lost their connections: {report}"
    );
    let refused = daemons.metric(&speaker, "skerry_speaker_refused_total", "\"duplicate\"")?;
    ensure!(refused >= 20.0, "{refused} duplicates were refused: {report}");
    for process in [&broker, &speaker.process] {
        unharmed(process)?;
    }
    Ok(())
}

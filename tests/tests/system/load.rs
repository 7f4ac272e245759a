//! `skerry load`: three hundred switches on a real speaker, with some among them that misbehave; and somebody else's
//! controller, which proves that it loads any.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skerry_tests::daemons::{ANY_PORT, Daemons};
use skerry_tests::lab::Lab;
use skerry_tests::tool::Tool;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Root, TestController};
use crate::world::{REGION, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "load::three_hundred_switches_stay_while_others_misbehave",
        &[],
        three_hundred_switches_stay_while_others_misbehave,
    ),
    Test(
        "load::a_controller_of_somebody_else_answers_packet_ins",
        &[Root, TestController],
        a_controller_of_somebody_else_answers_packet_ins,
    ),
];

/// Switches that behave.
const SWITCHES: usize = 300;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn number(value: &Value, path: &str) -> Result<u64> {
    let found = value.pointer(path).and_then(Value::as_u64);
    found.with_context(|| format!("{path} in {value:#}"))
}

/// The figures so far.
fn status(load: &Tool) -> Result<Value> {
    Ok(load.ask(r#"{"do":"status"}"#)?["result"].take())
}

fn three_hundred_switches_stay_while_others_misbehave() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let broker = daemons.broker()?;
    // A late handshake is refused soon.
    let speaker = daemons.speaker(REGION, ANY_PORT, "[limits]\nhandshake_ms = 2000\n")?;
    let router = daemons.router(&[REGION], ANY_PORT, "")?;
    let rest = daemons.rest(&router);
    let args = format!(
        "load --controller {} --switches {SWITCHES} --ports 2 --links ring --echo-every 1s --misbehave half-open:2 \
         --misbehave silent:2 --misbehave garbage:2 --misbehave duplicate:2",
        speaker.address
    );
    let (load, ready) = Tool::start(&lab, None, "skerry", "load", &words(&args))?;
    ensure!(ready["switches"] == SWITCHES, "{ready}");
    // All are announced on Kafka, or the router would not know them, and each link is found by its discovery packets.
    settled_but_for_garbage(&rest)?;
    for (kind, reason) in [
        ("half-open", "waiting for"),
        ("silent", "waiting for"),
        ("garbage", "malformed"),
        ("duplicate", "the switch id is taken by a living connection from"),
    ] {
        wait::until(&format!("{kind} to be hung up on"), DEADLINE, || {
            let status = status(&load).map_err(|error| format!("{error:#}"))?;
            let ended = number(&status, &format!("/misbehaving/{kind}/lasted/count"));
            if ended.is_ok_and(|ended| ended >= 2) {
                Ok(())
            } else {
                Err(format!("{:#}", status["misbehaving"]))
            }
        })?;
        wait::until(&format!("{kind} to be told"), DEADLINE, || {
            let refused: Vec<Value> = rest.get("/v2/switches/refused").map_err(|error| format!("{error:#}"))?;
            let told = refused
                .iter()
                .any(|r| r["reason"].as_str().is_some_and(|r| r.contains(reason)));
            // One that was announced is no refusal: its end says why.
            let ended = skerry_tests::daemons::log_lines(&speaker.process);
            let ended = ended
                .iter()
                .any(|line| line["reason"].as_str().is_some_and(|r| r.contains(reason)));
            if told || ended {
                Ok(())
            } else {
                Err(format!("{refused:?}"))
            }
        })?;
    }
    let status = status(&load)?;
    ensure!(status["disconnects"] == json!({}), "{:#}", status["disconnects"]);
    ensure!(
        number(&status, "/connections/settled/now")? == SWITCHES as u64,
        "{status:#}"
    );
    ensure!(
        number(&status, "/echo/count")? > 0 && number(&status, "/echo/lost")? == 0,
        "{status:#}"
    );
    ensure!(number(&status, "/links/packets_dropped")? == 0, "{status:#}");
    for process in [&broker, &speaker.process, &router.process] {
        unharmed(process)?;
    }
    Ok(())
}

/// As many as behave are served and their links are up. Those with garbage come and go beside them.
fn settled_but_for_garbage(rest: &skerry_tests::rest::Rest) -> Result<()> {
    use skerry_bus::api::{LinkView, SwitchView};
    use skerry_bus::service::LinkStatus;
    // Three hundred switches are given their rules on a busy machine.
    wait::until("all to be served and linked", DEADLINE * 3, || {
        let links: Vec<LinkView> = rest.get("/v2/links").map_err(|error| format!("{error:#}"))?;
        let switches: Vec<SwitchView> = rest.get("/v2/switches").map_err(|error| format!("{error:#}"))?;
        let good = |view: &&SwitchView| {
            view.switch_id.0 <= SWITCHES as u64
                && view.state == "connected"
                && view.generation_wanted > 0
                && view.generation_applied == view.generation_wanted
        };
        let served = switches.iter().filter(good).count();
        let up = links.iter().filter(|link| link.state == LinkStatus::Up).count();
        // A link of a ring is one between each switch and the next.
        if served == SWITCHES && up == SWITCHES {
            return Ok(());
        }
        Err(format!(
            "{served} switches are served, {up} of {} links are up",
            links.len()
        ))
    })
}

fn a_controller_of_somebody_else_answers_packet_ins() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    lab.add_netns("control")?;
    let mut controller = Command::new("ovs-testcontroller");
    controller
        .env("OVS_RUNDIR", lab.folder())
        .env("OVS_LOGDIR", lab.folder());
    controller.arg("ptcp:6653:127.0.0.1");
    let controller = lab.spawn(Some("control"), "testcontroller", controller)?;
    let args = words("load --controller 127.0.0.1 --switches 8 --packet-in-flight 4 --packets known --hosts 20");
    let (load, _ready) = Tool::start(&lab, "control", "skerry", "load", &args)?;
    // A host that was seen gets a rule, and the packet goes out as well.
    wait::until("packet-ins to be answered", DEADLINE, || {
        let status = status(&load).map_err(|error| format!("{error:#}"))?;
        let told = &status["packet_ins"];
        let enough = ["/answers/count", "/packet_outs", "/flow_mods"].iter().all(|path| {
            let count = told.pointer(path).and_then(Value::as_u64);
            count.is_some_and(|count| count >= 2_000)
        });
        if enough { Ok(()) } else { Err(format!("{told:#}")) }
    })?;
    load.ask(r#"{"do":"packet_in"}"#)?;
    let status = status(&load)?;
    let (sent, answered) = (
        number(&status, "/packet_ins/sent")?,
        number(&status, "/packet_ins/answers/count")?,
    );
    let (unanswered, lost) = (
        number(&status, "/packet_ins/unanswered")?,
        number(&status, "/packet_ins/lost")?,
    );
    ensure!(
        sent == answered + unanswered + lost && lost <= 8 * 4,
        "{:#}",
        status["packet_ins"]
    );
    // Its rules match all that a packet has. Each of 8 switches holds one for each of 20 hosts but the first of all, and one
    // for what no rule matches; none was refused.
    ensure!(status["errors_sent"] == json!({}), "{:#}", status["errors_sent"]);
    let rules = number(&status, "/rules_held")?;
    ensure!((8 * 20..=8 * 21).contains(&rules), "{rules} rules");
    ensure!(status["disconnects"] == json!({}), "{:#}", status["disconnects"]);
    unharmed(&controller)
}

//! Several regions that reach the same switches: one is drained, one has two speakers, and the order in which all of it
//! starts.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skerry_bus::api::{ConnectionsView, RegionView, SwitchView};
use skerry_bus::topic::partition_of;
use skerry_bus::{SwitchId, Topic};
use skerry_tests::daemons::{ANY_PORT, Daemon, Daemons, PARTITIONS, log_lines};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::process::Process;
use skerry_tests::rest::Rest;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::world::{Stranger, add_bridge, settled, switch_id, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "regions::a_drained_region_hands_over_while_commands_go_on_and_stays_empty",
        &[OpenVSwitch],
        drained,
    ),
    Test(
        "regions::the_order_of_starts_does_not_matter_without_the_network_sync",
        &[OpenVSwitch],
        start_order,
    ),
    Test(
        "regions::two_speakers_of_one_region_are_told_and_the_one_that_stays_is_followed",
        &[OpenVSwitch],
        twins,
    ),
];

const BRIDGES: u64 = 3;
const OFTEN: &str = "[intervals]\ndiscovery_ms = 300\n";
const REGIONS: [&str; 2] = ["east", "west"];

struct Two {
    rest: Rest,
    router: Daemon,
    speakers: [Daemon; 2],
    broker: Process,
    ovs: Ovs,
    daemons: Daemons,
}

impl Two {
    /// Two regions that both reach a line of bridges.
    fn new() -> Result<Two> {
        let lab = Lab::new(PREFIX)?;
        let daemons = Daemons::new(&lab, None)?;
        let broker = daemons.broker()?;
        let [east, west] = REGIONS.map(|name| daemons.speaker(name, ANY_PORT, OFTEN));
        let speakers = [east?, west?];
        let router = daemons.router(&REGIONS, ANY_PORT, "")?;
        let rest = daemons.rest(&router);
        let ovs = Ovs::start_dummy(&lab)?;
        for number in 1..=BRIDGES {
            add_bridge(&ovs, number, BRIDGES)?;
        }
        let two = Two {
            rest,
            router,
            speakers,
            broker,
            ovs,
            daemons,
        };
        two.connect()?;
        two.all_reached(&two.rest)?;
        Ok(two)
    }

    fn connect(&self) -> Result<()> {
        let targets = self.speakers.each_ref().map(|s| format!("tcp:{}", s.address));
        for number in 1..=BRIDGES {
            self.ovs
                .set_controllers(&format!("s{number}"), &Controllers::new(targets.clone()))?;
        }
        Ok(())
    }

    /// Waits until both regions reach every bridge, and all of it is settled.
    fn all_reached(&self, rest: &Rest) -> Result<()> {
        settled(rest, BRIDGES as usize, BRIDGES as usize - 1)?;
        wait::until("both regions to reach every switch", DEADLINE, || {
            let views: Vec<SwitchView> = rest.get("/v2/switches").map_err(|e| format!("{e:#}"))?;
            match views.iter().all(|s| s.availability.len() == 2) {
                true => Ok(()),
                false => Err(format!("{views:?}")),
            }
        })
    }

    fn active_in(&self, name: &str) -> Result<usize> {
        let views: Vec<SwitchView> = self.rest.get("/v2/switches")?;
        let active = views
            .iter()
            .filter(|s| s.active_region.as_ref().is_some_and(|r| r.as_str() == name));
        Ok(active.count())
    }

    fn skerry(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.daemons.command("skerry")?;
        command
            .args(["--router", &format!("http://{}", self.router.address)])
            .args(args);
        Ok(command.output()?)
    }

    fn region(&self, name: &str) -> Result<RegionView> {
        self.rest.get(&format!("/v2/regions/{name}"))
    }

    fn unharmed(&self) -> Result<()> {
        unharmed(&self.broker)?;
        unharmed(&self.router.process)
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn drained() -> Result<()> {
    let mut two = Two::new()?;
    ensure!(two.active_in("east")? == BRIDGES as usize, "east is preferred");
    let stranger = Stranger::start(&two.daemons, vec![Topic::Commands], vec![Topic::Replies])?;
    let key = SwitchId(1).to_string();
    let apply = |n: u32| -> Result<()> {
        let meter = json!({ "id": 2_000, "unit": "kbps", "rate": 1_000 + n, "burst": 1_000 });
        let command = json!({
            "correlation_id": format!("c-{n}"), "requester": "test",
            "deadline_ms": skerry_io::wall_clock_ms() + 25_000,
            "kind": "apply", "switch": key, "put": { "meters": [meter] },
        });
        let partition = partition_of(&key, PARTITIONS);
        stranger.write(&Topic::Commands, partition, &key, command.to_string().as_bytes())
    };
    for n in 0..20 {
        apply(n)?;
    }
    let drain = two.skerry(&["region", "drain", "east", "--wait"])?;
    ensure!(drain.status.success(), "{}", said(&drain));
    for n in 20..40 {
        apply(n)?;
    }
    let far = two.region("east")?.drain.context("it is drained")?;
    ensure!(
        (far.state.as_str(), far.left, far.moved) == ("drained", 0, BRIDGES),
        "{far:?}"
    );
    ensure!(two.active_in("west")? == BRIDGES as usize, "{far:?}");
    for n in 0..40 {
        let id = format!("c-{n}");
        let reply = stranger.wait(&format!("the answer to {id}"), &Topic::Replies, |_, reply| {
            (reply["correlation_id"] == id.as_str()).then(|| reply.clone())
        })?;
        ensure!(reply["outcome"] == "applied", "{reply}");
    }
    ensure!(
        two.ovs.dump_meters("s1")?.join(" ").contains("rate=1039"),
        "{:?}",
        two.ovs.dump_meters("s1")?
    );
    // The switch itself says who is MASTER, and so does everybody who looks.
    let view: ConnectionsView = two.rest.get(&format!("/v2/switches/{}/connections", switch_id(1)))?;
    let seen: Vec<_> = view
        .connections
        .iter()
        .map(|c| (c.region.as_str(), c.active, c.drained))
        .collect();
    ensure!(seen == [("west", true, false), ("east", false, true)], "{view:?}");
    ensure!(
        view.connections
            .iter()
            .all(|c| c.connected_at_ms > 0 && !c.switch_address.is_empty()),
        "{view:?}"
    );
    let table = two.skerry(&["switch", "connections", "0x1"])?;
    ensure!(
        table.status.success() && said(&table).contains("drained"),
        "{}",
        said(&table)
    );

    // Nobody else is left: refused with the list, and nothing is done.
    let refused = two.skerry(&["region", "drain", "west"])?;
    ensure!(refused.status.code() == Some(1), "{}", said(&refused));
    for number in 1..=BRIDGES {
        ensure!(said(&refused).contains(&switch_id(number)), "{}", said(&refused));
    }
    ensure!(two.region("west")?.drain.is_none(), "nothing was begun");

    // A killed router remembers, and goes on with it when the other region is killed.
    two.router.process.kill()?;
    two.router = two.daemons.router(&REGIONS, ANY_PORT, "")?;
    two.rest = two.daemons.rest(&two.router);
    settled(&two.rest, BRIDGES as usize, BRIDGES as usize - 1)?;
    ensure!(two.active_in("west")? == BRIDGES as usize, "where they were");
    ensure!(two.region("east")?.drain.is_some(), "and still drained");
    two.speakers[1].process.kill()?;
    wait::until("west to be lost", DEADLINE, || {
        let view = two.region("west").map_err(|e| format!("{e:#}"))?;
        if view.state == "lost" {
            Ok(())
        } else {
            Err(format!("{view:?}"))
        }
    })?;
    ensure!(two.active_in("east")? == 0, "a drained region is given nothing");
    let back = two.skerry(&["region", "undrain", "east"])?;
    ensure!(back.status.success(), "{}", said(&back));
    wait::until("east to have all switches", DEADLINE, || match two.active_in("east") {
        Ok(3) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    settled(&two.rest, BRIDGES as usize, BRIDGES as usize - 1)?;
    two.unharmed()
}

fn start_order() -> Result<()> {
    let mut two = Two::new()?;
    let (status, _) = two
        .rest
        .write("PATCH", "/v2/features", Some(&json!({ "network_sync": false })))?;
    ensure!(status == 200, "{status}");
    // The router last.
    two.router.process.kill()?;
    for speaker in &two.speakers {
        speaker.process.kill()?;
    }
    two.speakers = [
        two.daemons.speaker("east", ANY_PORT, OFTEN)?,
        two.daemons.speaker("west", ANY_PORT, OFTEN)?,
    ];
    two.connect()?;
    for number in 1..=BRIDGES {
        two.ovs.wait_connected(&format!("s{number}"), 2)?;
    }
    two.router = two.daemons.router(&REGIONS, ANY_PORT, "")?;
    two.rest = two.daemons.rest(&two.router);
    two.all_reached(&two.rest)?;
    // The speakers last, and their switches before them.
    for speaker in &two.speakers {
        speaker.process.kill()?;
    }
    let addresses = two.speakers.each_ref().map(|s| s.address.to_string());
    for (at, name) in REGIONS.iter().enumerate() {
        two.speakers[at] = two.daemons.speaker(name, &addresses[at], OFTEN)?;
    }
    two.all_reached(&two.rest)?;
    let features: Value = two.rest.get("/v2/features")?;
    ensure!(features["network_sync"] == false, "{features}");
    two.unharmed()
}

fn twins() -> Result<()> {
    let two = Two::new()?;
    let mut command = two.daemons.command("skerry-speaker")?;
    let config = two.daemons.speaker_config("east", ANY_PORT, OFTEN)?;
    command.arg("--config").arg(config);
    // It has a disk of its own, as on another host.
    command.env("SKERRY_SPEAKER__STATE_DIR", two.daemons.state_dir("east-twin"));
    std::fs::create_dir_all(two.daemons.state_dir("east-twin"))?;
    let twin = two.daemons.listening_speaker("speaker-east-twin", command)?;
    // The newer one is followed: the switches, which it does not have, go to the other region, once.
    wait::until("the router to tell of two speakers", DEADLINE, || {
        let lines = log_lines(&two.router.process);
        let told = lines
            .iter()
            .filter_map(|line| line["message"].as_str())
            .find(|m| m.contains("two speakers"));
        let names = [two.speakers[0].address.to_string(), twin.address.to_string()];
        match told {
            Some(told) if names.iter().all(|name| told.contains(name)) => Ok(()),
            _ => Err(two.router.process.last_words()),
        }
    })?;
    let view = two.region("east")?;
    ensure!(
        view.twin
            .as_ref()
            .is_some_and(|t| t.contains(&two.speakers[0].address.to_string())),
        "{view:?}"
    );
    settled(&two.rest, BRIDGES as usize, BRIDGES as usize - 1)?;
    ensure!(two.active_in("west")? == BRIDGES as usize, "{view:?}");
    let counted = two
        .daemons
        .metric(&two.router, "skerry_router_twin_speakers_total", "east")?;
    ensure!(counted >= 1.0, "{counted}");
    // It is stopped: the one that is left is followed again.
    twin.process.kill()?;
    two.all_reached(&two.rest)?;
    two.unharmed()
}

//! Records on Kafka that nobody can act on: counted, told with their place, and the next one is done.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use skerry_bus::topic::partition_of;
use skerry_bus::{SwitchId, Topic};
use skerry_tests::daemons::{ANY_PORT, PARTITIONS};
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::Test;
use crate::world::{REGION, Stranger, World, endpoint, switch_id};

pub const TESTS: &[Test] = &[
    Test(
        "bad_record::unknown_and_malformed_records_are_counted_and_the_lane_goes_on",
        &[OpenVSwitch],
        unknown_and_malformed,
    ),
    Test(
        "bad_record::a_speaker_of_a_region_that_is_not_configured_is_told_and_ignored",
        &[OpenVSwitch],
        unconfigured_region,
    ),
];

/// A command that any service may send.
fn dump_command(id: &str) -> Value {
    json!({
        "correlation_id": id, "requester": "stranger", "deadline_ms": skerry_io::wall_clock_ms() + 20_000,
        "kind": "dump", "switch": switch_id(1),
    })
}

fn unknown_and_malformed() -> Result<()> {
    let world = World::new(1)?;
    let commands = Topic::Commands;
    let to_region = Topic::RegionCommands(REGION.parse()?);
    let events = Topic::RegionEvents(REGION.parse()?);
    let written = vec![commands.clone(), to_region.clone(), events.clone()];
    let stranger = Stranger::start(&world.daemons, written, vec![Topic::DeadLetter, Topic::Replies])?;
    let rules = world.dump()?;
    // The partition of the only switch: what comes behind must not wait for what is wrong.
    let key = SwitchId(1).to_string();
    let partition = partition_of(&key, PARTITIONS);

    let mut unknown = dump_command("unknown-1");
    unknown["kind"] = json!("reticulate");
    let mut unknown_event = json!({ "region": REGION, "epoch": 1, "seq": 1, "at_ms": 1, "kind": "sang" });
    unknown_event["switch"] = json!(switch_id(1));
    let mut no_switch = dump_command("broken-1");
    no_switch["switch"] = json!("one");
    let no_switch = no_switch.to_string();
    let malformed: [(&[u8], &str); 4] = [
        (b"not json", "expected"),
        (b"", "EOF"),
        (b"\xff\xfe\x00", "expected value"),
        (no_switch.as_bytes(), "\"one\""),
    ];
    for topic in [&commands, &to_region, &events] {
        let unknown = if *topic == events { &unknown_event } else { &unknown };
        stranger.write(topic, partition, &key, unknown.to_string().as_bytes())?;
        for (payload, _) in malformed {
            stranger.write(topic, partition, &key, payload)?;
        }
    }
    // Somebody else's region on this region's topic.
    let foreign = json!({ "region": "north", "epoch": 1, "seq": 1, "at_ms": 1, "kind": "heartbeat", "switches": 0 });
    stranger.write(&events, partition, &key, foreign.to_string().as_bytes())?;
    // A command that is well and has another switch's key: its order among the switch's commands would be anything.
    let misplaced = dump_command("misplaced-1").to_string();
    stranger.write(&commands, partition, &SwitchId(2).to_string(), misplaced.as_bytes())?;
    // Behind all of them, one that can be done.
    stranger.write(
        &commands,
        partition,
        &key,
        dump_command("good-1").to_string().as_bytes(),
    )?;
    let reply = stranger.wait("the answer to the command behind", &Topic::Replies, |_, reply| {
        (reply["correlation_id"] == "good-1").then(|| reply.clone())
    })?;
    ensure!(
        reply.to_string().contains("applied") || reply["kind"] == "switch_dump",
        "{reply}"
    );

    // Whoever can be seen to wait for an answer gets one, with the cause.
    for (id, cause) in [
        ("unknown-1", "reticulate"),
        ("broken-1", "one"),
        ("misplaced-1", "key: it is \"00:00:00:00:00:00:00:02\""),
    ] {
        let reply = stranger.wait(&format!("the refusal of {id}"), &Topic::Replies, |_, reply| {
            (reply["correlation_id"] == id).then(|| reply.clone())
        })?;
        let detail = reply["cause"]["detail"].as_str().unwrap_or_default();
        ensure!(reply["outcome"] == "rejected" && detail.contains(cause), "{reply}");
    }

    for topic in [&commands, &to_region, &events] {
        for (payload, cause) in malformed {
            let whole = payload.starts_with(b"{");
            let cause = if whole && *topic == events {
                "missing field `region`"
            } else {
                cause
            };
            let what = format!("the dead letter of {:?} on {topic}", String::from_utf8_lossy(payload));
            let place = stranger.wait(&what, &Topic::DeadLetter, |_, letter| {
                let ours = letter["topic"] == topic.to_string()
                    && letter["payload"] == String::from_utf8_lossy(payload).as_ref()
                    && letter["cause"].as_str().is_some_and(|c| c.contains(cause));
                ours.then(|| (letter["partition"].clone(), letter["offset"].as_i64()))
            })?;
            ensure!(place.0 == partition && place.1.is_some(), "{what}: {place:?}");
        }
    }
    stranger.wait(
        "the dead letter of the foreign region",
        &Topic::DeadLetter,
        |_, letter| {
            let cause = letter["cause"].as_str()?;
            (cause.contains("north") && letter["topic"] == events.to_string()).then_some(())
        },
    )?;
    let count = |daemon, name: &str, label: &str| world.daemons.metric(daemon, name, label);
    let (router, speaker) = (&world.router, &world.speaker);
    let counted = [
        count(router, "skerry_router_records_unknown_kind_total", "reticulate")?,
        count(router, "skerry_router_records_unknown_kind_total", "sang")?,
        count(router, "skerry_router_records_malformed_total", "skerry.v1.commands")?,
        count(router, "skerry_router_records_malformed_total", "skerry.v1.events.east")?,
        count(speaker, "skerry_speaker_commands_skipped_total", "unknown_kind")?,
        count(speaker, "skerry_speaker_commands_skipped_total", "malformed")?,
    ];
    ensure!(counted == [1.0, 1.0, 5.0, 5.0, 1.0, 4.0], "{counted:?}");

    // Nothing of it did anything, and work goes on.
    ensure!(world.dump()? == rules, "{:#?}\nwas\n{rules:#?}", world.dump()?);
    world.settled()?;
    let body = json!({ "source": endpoint(1, 10, 100), "destination": endpoint(1, 11, 200) });
    world.rest.done("PUT", "/v2/flows/after", Some(&body))?;
    world.unharmed()
}

fn unconfigured_region() -> Result<()> {
    let world = World::new(1)?;
    let known: Value = world.rest.get("/v2/switches")?;
    let north = world.daemons.speaker("north", ANY_PORT, "")?;
    // A bridge that only this speaker has.
    world.ovs.add_bridge(
        "far",
        0x77,
        &skerry_tests::ovs::Controllers::new([format!("tcp:{}", north.address)]),
    )?;
    skerry_tests::daemons::said(&north.process, "switch announced")?;
    wait::until("the router to say that it ignores region north", DEADLINE, || {
        let words = skerry_tests::daemons::log_lines(&world.router.process);
        let told = words.iter().any(|line| {
            let said = line["message"].as_str().unwrap_or_default();
            said.contains("north") && said.contains("not in the configuration")
        });
        if told {
            Ok(())
        } else {
            Err(world.router.process.last_words())
        }
    })?;
    let ignored = world
        .daemons
        .metric(&world.router, "skerry_router_events_ignored_total", "UnknownRegion")?;
    ensure!(ignored >= 1.0, "{ignored} were counted");
    let regions: Vec<Value> = world.rest.get("/v2/regions")?;
    ensure!(regions.len() == 1, "{regions:?}");
    let now: Value = world.rest.get("/v2/switches")?;
    ensure!(
        now.as_array().map(Vec::len) == known.as_array().map(Vec::len),
        "{now}\nwas\n{known}"
    );
    ensure!(
        world.ovs.dump_flows("far")?.is_empty(),
        "{:?}",
        world.ovs.dump_flows("far")?
    );
    world.unharmed()
}

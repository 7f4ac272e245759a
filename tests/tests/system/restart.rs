//! What dies and comes back: the router, a speaker, Kafka. A customer's packets go on all the time, no rule of his flow
//! is touched, and afterwards work goes on as before.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use skerry_bus::api::{FlowView, OperationState, OperationView, SwitchView};
use skerry_bus::service::FlowStatus;
use skerry_tests::daemons::{ANY_PORT, Daemon, Daemons};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::Controllers;
use skerry_tests::packet::{Kind, Stream, Tag};
use skerry_tests::process::Process;
use skerry_tests::rest::Rest;
use skerry_tests::ring::{CONTROL_ADDRESS, CONTROL_INTERFACE, Options, PORT_HOST, PORT_SINK, Ring, SWITCHES};
use skerry_tests::wait::{self, DEADLINE};
use skerry_tests::wire::{Moment, Wire, kind, now};

use crate::Need::{Capture, Ovs, Root, Tap};
use crate::world::{World, endpoint, flow, settled, switch_id, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "restart::a_killed_router_goes_on_where_it_stopped",
        &[Root, Ovs, Tap, Capture],
        router,
    ),
    Test(
        "restart::a_killed_speaker_comes_back_to_its_switches",
        &[Root, Ovs, Tap, Capture],
        speaker,
    ),
    Test(
        "restart::kafka_goes_and_comes_back_elsewhere_and_empty",
        &[Root, Ovs, Tap, Capture],
        kafka,
    ),
    Test(
        "restart::a_flow_that_is_asked_for_while_kafka_is_away_stands_when_it_is_back",
        &[Ovs],
        asked_while_away,
    ),
    Test(
        "restart::an_operation_that_a_killed_router_left_ends_and_leaves_nothing_half_done",
        &[Ovs],
        left_behind,
    ),
];

const REGION: &str = "east";
const SPEAKER_PORT: u16 = 6653;
const FLOW: &str = "acme";
const STREAM: u32 = 1;
/// Packets a second of the customer.
const RATE: u32 = 500;
/// Packets of the customer after all is well again.
const AFTER: u64 = 200;
/// Nothing more arrives after this.
const QUIET: Duration = Duration::from_secs(2);
const VLANS: [u16; 2] = [100, 200];
const MORE: &str = "[intervals]\ndiscovery_ms = 300\n";

/// A ring with a flow that stands and is used.
struct Used {
    ring: Ring,
    wire: Wire,
    rest: Rest,
    router: Daemon,
    speaker: Daemon,
    broker: Process,
    daemons: Daemons,
    /// As all was before anything happened.
    rules: Vec<String>,
    flow: FlowView,
    switches: Vec<SwitchView>,
    since: Moment,
    lab: Lab,
}

impl Used {
    fn new() -> Result<Used> {
        let lab = Lab::new(PREFIX)?;
        let options = Options {
            delays: [1, 2, 3, 4].map(|ms| [Duration::from_millis(ms); 2]),
            sink_at: 3,
            controllers: Controllers::new([format!("tcp:{CONTROL_ADDRESS}:{SPEAKER_PORT}")]),
        };
        let ring = Ring::build(&lab, &options)?;
        let wire = Wire::start(&lab, "control", CONTROL_INTERFACE, &[SPEAKER_PORT])?;
        let daemons = Daemons::new(&lab, Some("control"))?;
        let broker = daemons.broker()?;
        let speaker = daemons.speaker(REGION, &format!("{CONTROL_ADDRESS}:{SPEAKER_PORT}"), MORE)?;
        let router = daemons.router(&[REGION], ANY_PORT, "")?;
        let rest = daemons.rest(&router);
        settled(&rest, SWITCHES as usize, SWITCHES as usize)?;
        let body = json!({
            "source": endpoint(1, PORT_HOST, VLANS[0]), "destination": endpoint(3, PORT_HOST, VLANS[1]),
            "maximum_bandwidth": 100_000, "max_latency": 500, "path_computation_strategy": "latency",
        });
        rest.done("PUT", &format!("/v2/flows/{FLOW}"), Some(&body))?;
        let flow = flow(&rest, FLOW)?;
        ensure!(flow.status == FlowStatus::Up, "{flow:?}");
        let switches = rest.get("/v2/switches")?;
        let rules = ring.dump()?;
        ring.a.send_stream(Stream::new(STREAM, &[Tag::c(VLANS[0])], RATE))?;
        let since = now();
        Ok(Used {
            ring,
            wire,
            rest,
            router,
            speaker,
            broker,
            daemons,
            rules,
            flow,
            switches,
            since,
            lab,
        })
    }

    fn switches(&self) -> Result<Vec<SwitchView>> {
        self.rest.get("/v2/switches")
    }

    /// The flow is as it was, on the same rules, and no packet of it was lost.
    fn goes_on(&mut self) -> Result<()> {
        settled(&self.rest, SWITCHES as usize, SWITCHES as usize)?;
        let (was, rest) = (&self.flow, &self.rest);
        wait::until("the flow to be up as before", DEADLINE, || {
            let now = flow(rest, FLOW).map_err(|e| format!("{e:#}"))?;
            let same = now.status == FlowStatus::Up
                && now.operation.is_none()
                && (&now.path, &now.request, now.revision) == (&was.path, &was.request, was.revision);
            if same {
                Ok(())
            } else {
                Err(format!("{now:?}\nwas\n{was:?}"))
            }
        })?;
        let rules = self.ring.dump()?;
        ensure!(rules == self.rules, "{rules:#?}\nwere\n{:#?}", self.rules);
        let changes = [kind::FLOW_MOD, kind::GROUP_MOD, kind::METER_MOD];
        let written: Vec<_> = self
            .wire
            .read()?
            .between(self.since, None, None)
            .filter(|frame| !frame.from_switch && changes.contains(&frame.kind()))
            .map(|frame| frame.message())
            .collect();
        ensure!(written.is_empty(), "the switches were written to: {written:#?}");

        // Work goes on: what was kept of the flow is enough to change it, while it is used.
        let mirror = json!({
            "mirror_point_id": "tap", "mirror_point_direction": "forward", "mirror_point_switch_id": switch_id(3),
            "sink_endpoint": endpoint(3, PORT_SINK, 500),
        });
        let path = format!("/v2/flows/{FLOW}/mirror");
        self.rest.done("PUT", &path, Some(&mirror))?;
        let from = self.ring.a.mark(STREAM)?.begun;
        wait::until("packets behind the mirror", DEADLINE, || {
            match self.ring.a.mark(STREAM).map(|mark| mark.next) {
                Ok(next) if next >= from + AFTER => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })?;
        let sent = self.ring.a.stop(STREAM)?;
        let far = self
            .ring
            .b
            .settled(STREAM, Kind::Data, &[Tag::c(VLANS[1])], sent, QUIET)?;
        let missing = far.numbers.missing_in(0..sent);
        ensure!(
            far.numbers.count_in(0..sent) == sent,
            "of {sent} packets are missing: {missing:?}"
        );
        let tapped = self
            .ring
            .sink
            .settled(STREAM, Kind::Data, &[Tag::c(500)], sent, QUIET)?;
        let missing = tapped.numbers.missing_in(from..sent);
        ensure!(
            tapped.numbers.count_in(from..sent) == sent - from,
            "of the packets since {from} are missing at the sink: {missing:?}"
        );
        self.rest.done("DELETE", &format!("/v2/flows/{FLOW}"), None)?;
        for process in [&self.broker, &self.speaker.process, &self.router.process] {
            unharmed(process)?;
        }
        self.lab.teardown()
    }
}

fn router() -> Result<()> {
    let mut used = Used::new()?;
    used.router.process.kill()?;
    used.router = used.daemons.router(&[REGION], ANY_PORT, "")?;
    used.rest = used.daemons.rest(&used.router);
    let from_store = flow(&used.rest, FLOW)?;
    ensure!(from_store.path == used.flow.path, "{from_store:?}");
    settled(&used.rest, SWITCHES as usize, SWITCHES as usize)?;
    for (now, was) in used.switches()?.iter().zip(&used.switches) {
        // The region was active and is: there is no reason for a new term.
        ensure!(
            (now.switch_id, now.term) == (was.switch_id, was.term),
            "{now:?}\nwas\n{was:?}"
        );
        ensure!(now.active_region == was.active_region, "{now:?}\nwas\n{was:?}");
        ensure!(
            now.generation_applied >= was.generation_applied,
            "{now:?}\nwas\n{was:?}"
        );
    }
    used.goes_on()
}

fn speaker() -> Result<()> {
    let mut used = Used::new()?;
    used.speaker.process.kill()?;
    wait::until("the region to be lost", DEADLINE, || {
        let switches = used.switches().map_err(|e| format!("{e:#}"))?;
        let lost = switches
            .iter()
            .all(|s| s.state == "region_lost" && s.active_region.is_none());
        if lost { Ok(()) } else { Err(format!("{switches:?}")) }
    })?;
    used.speaker = used
        .daemons
        .speaker(REGION, &format!("{CONTROL_ADDRESS}:{SPEAKER_PORT}"), MORE)?;
    settled(&used.rest, SWITCHES as usize, SWITCHES as usize)?;
    for (now, was) in used.switches()?.iter().zip(&used.switches) {
        ensure!(
            now.switch_id == was.switch_id && now.term > was.term,
            "{now:?}\nwas\n{was:?}"
        );
    }
    used.goes_on()
}

/// Waits until the router says that it reaches Kafka, or that it does not.
fn reached(rest: &Rest, wanted: bool) -> Result<()> {
    wait::until(&format!("kafka: {wanted}"), DEADLINE, || {
        let status: Value = rest.get("/v2/status").map_err(|e| format!("{e:#}"))?;
        if status["kafka"] == wanted {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
}

fn kafka() -> Result<()> {
    let mut used = Used::new()?;
    used.broker.kill()?;
    reached(&used.rest, false)?;
    // What does not need Kafka is answered, and nobody is judged by a silence that nobody can break.
    let switches = used.switches()?;
    ensure!(
        switches
            .iter()
            .all(|s| s.state == "connected" && s.active_region.is_some()),
        "{switches:?}"
    );
    ensure!(
        flow(&used.rest, FLOW)?.status == FlowStatus::Up,
        "{:?}",
        flow(&used.rest, FLOW)?
    );

    used.broker = used.daemons.broker()?;
    reached(&used.rest, true)?;
    used.goes_on()
}

/// A flow over the whole line, and the operation that creates it.
fn ask_for_a_flow(world: &World) -> Result<OperationView> {
    let body = json!({ "source": endpoint(1, 10, 100), "destination": endpoint(3, 10, 200) });
    let (status, answer) = world.rest.write("PUT", &format!("/v2/flows/{FLOW}"), Some(&body))?;
    ensure!(status == 202, "{status} {answer}");
    Ok(serde_json::from_value(answer)?)
}

/// The flow is deleted and the switches have again what they had.
fn deleted(world: &World, empty: &[String]) -> Result<()> {
    world.rest.done("DELETE", &format!("/v2/flows/{FLOW}"), None)?;
    ensure!(world.dump()? == empty, "{:#?}\nwas\n{empty:#?}", world.dump()?);
    world.unharmed()
}

fn asked_while_away() -> Result<()> {
    let mut world = World::new(3)?;
    let empty = world.dump()?;
    world.broker.kill()?;
    reached(&world.rest, false)?;
    let started = ask_for_a_flow(&world)?;
    ensure!(!started.state.is_terminal(), "{started:?}");
    world.broker = world.daemons.broker()?;
    let ended = world.rest.operation(started.operation_id)?;
    ensure!(ended.state == OperationState::Done, "{ended:?}");
    ensure!(
        flow(&world.rest, FLOW)?.status == FlowStatus::Up,
        "{:?}",
        flow(&world.rest, FLOW)?
    );
    ensure!(world.dump()? != empty, "the flow is nowhere");
    deleted(&world, &empty)
}

fn left_behind() -> Result<()> {
    let mut world = World::new(3)?;
    let empty = world.dump()?;
    // A speaker that does nothing now: the operation cannot end before the router does.
    world.speaker.process.signal(libc::SIGSTOP)?;
    let started = ask_for_a_flow(&world)?;
    world.router.process.kill()?;
    world.router = world.daemons.router(&[crate::world::REGION], ANY_PORT, "")?;
    world.rest = world.daemons.rest(&world.router);
    world.speaker.process.signal(libc::SIGCONT)?;
    let ended = world.rest.operation(started.operation_id)?;
    world.settled()?;
    match ended.state {
        OperationState::Done => {
            ensure!(
                flow(&world.rest, FLOW)?.status == FlowStatus::Up,
                "{:?}",
                flow(&world.rest, FLOW)?
            );
        }
        _ => {
            ensure!(!ended.error.is_empty(), "it failed without a cause: {ended:?}");
            ensure!(
                world.dump()? == empty,
                "half done: {:#?}\nwas\n{empty:#?}",
                world.dump()?
            );
            let again = ask_for_a_flow(&world)?;
            let again = world.rest.operation(again.operation_id)?;
            ensure!(again.state == OperationState::Done, "{again:?}");
        }
    }
    deleted(&world, &empty)
}

//! A thousand switches: how soon they are announced, and what they cost when nothing happens.

use crate::effort::{Effort, pass};
use crate::histogram::Histogram;
use crate::usage;
use crate::world::{Setup, World};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skerry_bus::{DesiredChange, PortNo, SwitchId};
use skerry_network::service::service_objects;
use skerry_tests::daemons::Daemon;
use skerry_tests::helper::Helper;
use std::time::{Duration, Instant};

/// Ports of each switch, all of them links.
pub const PORTS: u32 = 4;
/// How long anything here may take; a thousand switches take a few seconds.
const STEP_MAX: Duration = Duration::from_secs(120);

/// What runs of this gave; one value each.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Seconds until all were announced.
    pub connect_s: Vec<f64>,
    /// Memory for each switch.
    pub switch_kib: Vec<f64>,
    /// Processor time, in percent of one core.
    pub cpu_percent: Vec<f64>,
    /// Round trips of echo requests, 99th percentile, milliseconds.
    pub echo_p99_ms: Vec<f64>,
    /// Discovery packets, planned against written, 99th percentile, milliseconds.
    pub jitter_p99_ms: Vec<f64>,
}

/// Configuration of a speaker whose switches are asked each second.
const EACH_SECOND: &str = "[intervals]\necho_ms = 1000\ndiscovery_ms = 1000\n";

/// How switches are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Each to the next.
    Ring,
    /// Two by two.
    Pairs,
}

/// The speaker's own measurement of its discovery schedule.
const JITTER: &str = "skerry_speaker_discovery_jitter_seconds";

/// Simulated switches with links between them.
pub struct Load {
    helper: Helper,
    /// What speaks TLS for them, if that is wanted.
    door: Option<Helper>,
    first_id: u64,
    switches: usize,
}

impl Load {
    /// Starts them; they connect at once.
    ///
    /// # Errors
    /// The program is not built.
    pub fn start(
        world: &World,
        setup: &Setup,
        speaker: &Daemon,
        switches: usize,
        links: Links,
        core: Option<usize>,
    ) -> Result<Load> {
        let (address, door) = world.door(setup, speaker, core)?;
        let links = match links {
            Links::Ring => "ring",
            Links::Pairs => "pairs",
        };
        let mut args: Vec<String> = ["load", "--reconnect", "never", "--links", links]
            .map(str::to_owned)
            .into();
        args.extend(["--controller".to_owned(), address.to_string()]);
        args.extend(["--switches".to_owned(), switches.to_string()]);
        args.extend(["--ports".to_owned(), PORTS.to_string()]);
        let command = world.program("skerry", core, &args)?;
        let helper = Helper::start(&world.lab, "load", command)?;
        Ok(Load {
            helper,
            door,
            first_id: 1,
            switches,
        })
    }

    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = SwitchId> + use<> {
        (self.first_id..self.first_id + self.switches as u64).map(SwitchId)
    }

    /// Makes the region active for all of them under this term.
    ///
    /// # Errors
    /// It is not for one.
    pub fn activate(&self, world: &World, term: u64) -> Result<()> {
        let mut names = Vec::new();
        for switch in self.ids() {
            names.push(world.router.activate(switch, term)?);
        }
        world.router.applied(&names, STEP_MAX).context("activate").map(drop)
    }

    /// Makes the region active for all of them under this term, with what a switch holds without any flow, and waits
    /// until they hold it.
    ///
    /// # Errors
    /// One does not.
    pub fn take(&self, world: &World, term: u64, generation: u64) -> Result<()> {
        self.activate(world, term)?;
        let mut names = Vec::new();
        for switch in self.ids() {
            let objects = service_objects(switch, (1..=PORTS).map(PortNo));
            let change = DesiredChange::Snapshot { objects };
            names.push(world.router.desire(switch, term, generation, change)?.0);
        }
        world.router.applied(&names, STEP_MAX).context("desired")?;
        Ok(())
    }

    /// Asks the program something.
    ///
    /// # Errors
    /// It refused or ended.
    pub fn ask(&mut self, question: &Value) -> Result<Value> {
        self.helper.ask(question)
    }

    /// Ends them.
    ///
    /// # Errors
    /// The program does not end.
    pub fn end(self) -> Result<()> {
        self.helper.end()?;
        self.door.map_or(Ok(()), Helper::end)
    }
}

/// One time from nothing to announced: the load, and the seconds it took from its start.
fn connect(world: &World, setup: &Setup, speaker: &Daemon, switches: usize) -> Result<(Load, f64)> {
    let since = Instant::now();
    let load = Load::start(world, setup, speaker, switches, Links::Ring, None)?;
    let last = world.router.wait_announced(switches, STEP_MAX)?;
    Ok((load, last.saturating_duration_since(since).as_secs_f64()))
}

/// Only the seconds until all are announced, so often, with a new speaker each time.
///
/// # Errors
/// Something did not start, or not all were announced.
pub fn connect_only(world: &World, effort: &Effort, setup: &Setup) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..effort.runs {
        let speaker = world.speaker(setup)?;
        let (load, took) = connect(world, setup, &speaker, effort.switches)?;
        seconds.push(took);
        load.end()?;
        world.end(&speaker)?;
    }
    Ok(seconds)
}

/// One run with a new speaker.
///
/// # Errors
/// Something did not start, or a switch was lost.
pub fn run(world: &World, effort: &Effort, setup: &Setup, crowd: &mut Crowd) -> Result<()> {
    let setup = setup.with(EACH_SECOND);
    let speaker = world.speaker(&setup)?;
    let pid = speaker.process.pid();
    let empty = usage::resident_kib(pid)?;
    let (mut load, took) = connect(world, &setup, &speaker, effort.switches)?;
    crowd.connect_s.push(took);
    load.take(world, 1, 1)?;
    load.ask(&json!({ "do": "echo", "every_ms": 1_000 }))?;
    pass(effort.idle.saturating_sub(effort.watched))?;
    load.ask(&json!({ "do": "reset" }))?;
    let jitter = |world: &World| Ok::<_, anyhow::Error>(Histogram::read(&world.daemons.metrics(&speaker)?, JITTER));
    let earlier = jitter(world)?;
    let (before, since) = (usage::cpu_seconds(pid)?, Instant::now());
    pass(effort.watched)?;
    let took = usage::cpu_seconds(pid)? - before;
    crowd.cpu_percent.push(100.0 * took / since.elapsed().as_secs_f64());
    let jitter = jitter(world)?.since(&earlier);
    crowd
        .jitter_p99_ms
        .extend(jitter.percentile(0.99, effort.p99_least).map(|seconds| seconds * 1e3));
    let status = load.ask(&json!({ "do": "status" }))?;
    let full = usage::resident_kib(pid)?;
    crowd.switch_kib.push((full - empty) / effort.switches as f64);
    let still = status.pointer("/connections/settled/now").and_then(Value::as_u64);
    ensure!(still == Some(effort.switches as u64), "switches were lost: {status}");
    let echoes = status.pointer("/echo/count").and_then(Value::as_u64).unwrap_or(0);
    let p99 = status.pointer("/echo/p99_us").and_then(Value::as_f64);
    if let Some(p99) = p99.filter(|_| echoes >= effort.p99_least as u64) {
        crowd.echo_p99_ms.push(p99 / 1e3);
    }
    load.end()?;
    world.end(&speaker)
}

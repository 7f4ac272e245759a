//! Two regions, a router, Kafka and simulated switches that connect to both regions: what a fault befalls.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use skerry_bus::SwitchId;
use skerry_bus::api::SwitchView;

use super::service::{Service, Verdict};
use crate::daemons::{ANY_PORT, Daemon, Daemons, PARTITIONS};
use crate::helper::Helper;
use crate::kafka::Cluster;
use crate::lab::Lab;
use crate::rest::Rest;
use crate::{interrupt, wait};

/// The regions, the preferred one first.
pub const REGIONS: [&str; 2] = ["east", "west"];
/// How long a command has.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long anything here may take to settle: a thousand switches beside a compiler take a while.
pub const SETTLE: Duration = Duration::from_secs(120);

/// How large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Switches.
    pub switches: u64,
    /// Of those, that get commands.
    pub probed: usize,
    /// How often a fault is repeated where one time says little.
    pub times: usize,
    /// How long Kafka is away, and other long faults last.
    pub long: Duration,
}

impl Size {
    /// What `make faults` runs.
    pub const WHOLE: Size = Size {
        switches: 1_000,
        probed: 100,
        times: 10,
        long: Duration::from_secs(120),
    };

    /// Only whether it works.
    pub const SMOKE: Size = Size {
        switches: 40,
        probed: 10,
        times: 1,
        long: Duration::from_secs(5),
    };
}

/// See the module.
pub struct World {
    /// How daemons are started.
    pub daemons: Daemons,
    /// By region.
    pub speakers: BTreeMap<&'static str, Daemon>,
    /// The router.
    pub router: Daemon,
    /// Its REST interface.
    pub rest: Rest,
    /// The switches.
    pub switches: Helper,
    /// Who sends commands.
    pub service: Service,
    /// How large it is.
    pub size: Size,
    /// Where commands go.
    pub probed: Vec<SwitchId>,
    setup: Setup,
}

/// How a world differs from the usual one.
#[derive(Default)]
pub struct Setup {
    /// More in a speaker's configuration, by region.
    pub speakers: BTreeMap<&'static str, String>,
    /// More in the environment of a speaker, by region.
    pub environment: BTreeMap<&'static str, Vec<(String, String)>>,
    /// More in the router's configuration.
    pub router: String,
    /// A cluster of its own, in a lab of its own, instead of one node.
    pub cluster: Option<(Lab, Cluster)>,
}

impl World {
    /// Everything started and settled: each switch active in the preferred region, with what it needs.
    ///
    /// # Errors
    /// Something does not start or settle.
    pub fn new(size: Size) -> Result<World> {
        World::with(size, Setup::default())
    }

    /// The same, but for this.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn with(size: Size, mut setup: Setup) -> Result<World> {
        let (lab, daemons) = match setup.cluster.take() {
            Some((lab, cluster)) => {
                cluster.start()?;
                let settings = cluster.settings(PARTITIONS);
                let daemons = Daemons::on(&lab, cluster, settings)?;
                (lab, daemons)
            }
            None => {
                let lab = Lab::new(super::PREFIX)?;
                let daemons = Daemons::new(&lab, None)?;
                daemons.broker()?;
                (lab, daemons)
            }
        };
        let mut speakers = BTreeMap::new();
        for region in REGIONS {
            speakers.insert(region, speaker(&daemons, &setup, region, ANY_PORT)?);
        }
        let router = daemons.router(&REGIONS, ANY_PORT, &setup.router)?;
        let rest = daemons.rest(&router);
        let mut command = daemons.command("skerry")?;
        command.args(["load", "--links", "ring", "--switches", &size.switches.to_string()]);
        for region in REGIONS {
            command.args(["--controller", &speakers[region].address.to_string()]);
        }
        // Whoever is there first is active, and stays so.
        speakers[REGIONS[1]].process.signal(libc::SIGSTOP)?;
        let switches = Helper::start(&lab, "load", command)?;
        let service = Service::start(&daemons.kafka()?, DEADLINE)?;
        // Spread over all partitions and the whole ring.
        let step = (size.switches / size.probed as u64).max(1);
        let probed = (0..size.probed as u64).map(|n| SwitchId(1 + n * step)).collect();
        let world = World {
            daemons,
            speakers,
            router,
            rest,
            switches,
            service,
            size,
            probed,
            setup,
        };
        world.until_active(REGIONS[0])?;
        world.speaker(REGIONS[1]).process.signal(libc::SIGCONT)?;
        world.both_reach()?;
        world.service.all_apply(&world.probed)?;
        Ok(world)
    }

    /// A region's speaker.
    pub fn speaker(&self, region: &str) -> &Daemon {
        &self.speakers[region]
    }

    /// Starts a region's speaker again, on the port it had.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_speaker(&mut self, region: &'static str) -> Result<()> {
        let at = self.speakers[region].address.to_string();
        let again = speaker(&self.daemons, &self.setup, region, &at)?;
        self.speakers.insert(region, again);
        Ok(())
    }

    /// Starts the router again.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_router(&mut self) -> Result<()> {
        self.router = self.daemons.router(&REGIONS, ANY_PORT, &self.setup.router)?;
        self.rest = self.daemons.rest(&self.router);
        Ok(())
    }

    /// Where switches are active: how many in each region; none: `""`.
    ///
    /// # Errors
    /// The router does not answer.
    pub fn active(&self) -> Result<BTreeMap<String, usize>> {
        let mut by_region = BTreeMap::new();
        for switch in self.rest.get::<Vec<SwitchView>>("/v2/switches")? {
            let region = switch.active_region.map(|r| r.to_string()).unwrap_or_default();
            *by_region.entry(region).or_default() += 1;
        }
        Ok(by_region)
    }

    /// Waits until all switches are active in a region, and reached by both.
    ///
    /// # Errors
    /// They are not.
    pub fn settled_in(&self, region: &str) -> Result<()> {
        self.until_active(region)?;
        self.both_reach()
    }

    /// Waits until all switches are active in a region.
    ///
    /// # Errors
    /// They are not.
    pub fn until_active(&self, region: &str) -> Result<()> {
        wait::until(&format!("all switches to be active in {region}"), SETTLE, || {
            let active = self.active().map_err(|error| format!("{error:#}"))?;
            match active.get(region) {
                Some(all) if *all as u64 == self.size.switches && active.len() == 1 => Ok(()),
                _ => Err(format!("{active:?}")),
            }
        })
    }

    /// Waits until both regions reach every switch.
    ///
    /// # Errors
    /// They do not.
    pub fn both_reach(&self) -> Result<()> {
        wait::until("both regions to reach every switch", SETTLE, || {
            let views: Vec<SwitchView> = self.rest.get("/v2/switches").map_err(|error| format!("{error:#}"))?;
            let both = views.iter().filter(|s| s.availability.len() == REGIONS.len());
            match both.count() as u64 {
                all if all == self.size.switches => Ok(()),
                some => Err(format!("{some} of {}", self.size.switches)),
            }
        })
    }

    /// What the switches count since they were asked to count anew.
    ///
    /// # Errors
    /// They do not answer.
    pub fn status(&mut self) -> Result<Value> {
        self.switches.ask(&json!({ "do": "status" }))
    }

    /// Writes of a region after another one was told that it is MASTER: tried, and accepted.
    ///
    /// # Errors
    /// The switches do not answer.
    pub fn late_writes(&mut self) -> Result<(u64, u64)> {
        let status = self.status()?;
        let count = |what: &str| status.pointer(&format!("/late_writes/{what}")).and_then(Value::as_u64);
        count("tried")
            .zip(count("accepted"))
            .context("no late_writes in the status")
    }

    /// What has to hold at the end of each fault, whatever it was: every command had one answer, no switch took a late write, switches
    /// take commands, nobody ended who was not ended.
    ///
    /// # Errors
    /// What does not hold.
    pub fn ends_well(&mut self) -> Result<Ending> {
        self.service.all_apply(&self.probed.clone())?;
        let verdict = self.service.verdict()?;
        verdict.check()?;
        let (tried, accepted) = self.late_writes()?;
        ensure!(accepted == 0, "{accepted} of {tried} late writes were accepted");
        for process in self
            .speakers
            .values()
            .chain([&self.router])
            .map(|daemon| &daemon.process)
        {
            if !process.is_running() {
                bail!("{} ended:\n{}", process.label(), process.last_words());
            }
        }
        Ok(Ending {
            verdict,
            tried,
            accepted,
        })
    }
}

fn speaker(daemons: &Daemons, setup: &Setup, region: &'static str, listen: &str) -> Result<Daemon> {
    let more = setup.speakers.get(region).map_or("", String::as_str);
    let config = daemons.speaker_config(region, listen, more)?;
    let mut command = daemons.command("skerry-speaker")?;
    command.arg("--config").arg(config);
    command.envs(setup.environment.get(region).into_iter().flatten().cloned());
    daemons.listening_speaker(&format!("speaker-{region}"), command)
}

/// What a fault left.
#[derive(Clone, Debug)]
pub struct Ending {
    /// What became of the commands.
    pub verdict: Verdict,
    /// Late writes tried.
    pub tried: u64,
    /// And accepted.
    pub accepted: u64,
}

/// Waits; for something that has no end that one could wait for.
///
/// # Errors
/// The program was asked to end.
pub fn pass(time: Duration) -> Result<()> {
    ensure!(!interrupt::wait(time), "interrupted");
    Ok(())
}

/// Seconds since then.
pub fn since(then: Instant) -> f64 {
    then.elapsed().as_secs_f64()
}

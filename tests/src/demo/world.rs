//! The demo's world: the ring of switches with its hosts, and a broker, two speakers and a router, each as its own program:
//! in the namespace `control` with real switches, on free ports of loopback with simulated ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use skerry_bus::SwitchId;
use skerry_bus::api::{FlowView, LinkView, SwitchView};

use super::bus::Bus;
use super::network::Network;
use super::say;
use crate::daemons::{ANY_PORT, Daemon, Daemons};
use crate::lab::Lab;
use crate::ovs::Controllers;
use crate::process::Process;
use crate::rest::Rest;
use crate::ring::{CONTROL_ADDRESS, CONTROL_INTERFACE, LINKS, Options, Ring, SWITCHES};
use crate::wait;
use crate::wire::Wire;

/// What the names of everything the demo makes begin with.
pub const PREFIX: &str = "skerry-demo";
/// The regions, the preferred one first, with the port of the speaker.
pub const REGIONS: [(&str, u16); 2] = [("east", 6653), ("west", 6654)];
/// Where the router listens, inside the namespace.
pub const ROUTER: &str = "127.0.0.1:8080";
/// How long a grade must hold here before it counts.
pub const WINDOW: Duration = Duration::from_secs(5);
/// Interval of discovery packets here: thirty round trips of each link in a few seconds.
const DISCOVERY_MS: u32 = 300;

/// A speaker, and how to start it again.
pub struct Speaker {
    /// Its process.
    pub process: Process,
    /// Port it listens on.
    pub port: u16,
    /// Where it listens.
    listen: SocketAddr,
}

/// All of it.
pub struct World {
    /// Switches, links, hosts.
    pub ring: Network,
    /// OpenFlow on the wire, since before the switches connected.
    pub wire: Wire,
    /// The router's REST interface.
    pub rest: Rest,
    /// Kafka, as a service sees it.
    pub bus: Bus,
    /// Speakers by region.
    pub speakers: BTreeMap<&'static str, Speaker>,
    /// One-way delays that are set, there and back, by link name.
    pub delays: BTreeMap<&'static str, [Duration; 2]>,
    /// Dumps of all switches before the first flow.
    pub before: Vec<String>,
    /// Number of the last virtual event before a region was stopped.
    pub events_before_failover: u64,
    /// Where the router listens.
    pub router: SocketAddr,
    /// Those beside the speakers.
    others: Vec<Process>,
    /// How they are started.
    daemons: Daemons,
    /// What all of it is in. Last, so that it is taken down after what is in it.
    pub lab: Lab,
}

impl World {
    /// Builds it. Everything it made goes when it is dropped.
    ///
    /// # Errors
    /// A part did not start; the error has its last words.
    pub fn build() -> Result<World> {
        let lab = Lab::new(PREFIX)?;
        let delays = draw_delays();
        let targets = REGIONS.map(|(_, port)| format!("tcp:{CONTROL_ADDRESS}:{port}"));
        let options = Options {
            delays: LINKS.map(|link| delays[link]),
            sink_at: 3,
            controllers: Controllers::new::<String>([]),
        };
        let ring = Network::real(Ring::build(&lab, &options)?);
        let wire = Wire::start(&lab, "control", CONTROL_INTERFACE, &REGIONS.map(|(_, port)| port))?;
        let listen = REGIONS.map(|(region, port)| (region, format!("{CONTROL_ADDRESS}:{port}")));
        let services = Services::start(&lab, Some("control"), &listen, ROUTER)?;
        // The preferred region first: whoever reaches a switch first becomes active for it and stays so, and the scenario
        // looks at one active region at a time.
        ring.set_controllers(&Controllers::new([targets[0].clone()]))?;
        wait::until("the preferred region to be active", wait::DEADLINE, || {
            let switches: Vec<SwitchView> = services.rest.get("/v2/switches").map_err(|e| format!("{e:#}"))?;
            let active = switches.iter().filter(|s| s.active_region.is_some()).count();
            if active == LINKS.len() {
                Ok(())
            } else {
                Err(format!("{active} switches"))
            }
        })?;
        ring.set_controllers(&Controllers::new(targets))?;
        Ok(World::of(lab, delays, ring, wire, services))
    }

    /// The same with simulated switches: no namespaces, so no root.
    ///
    /// # Errors
    /// As [`World::build`].
    pub fn build_simulated() -> Result<World> {
        let lab = Lab::new(PREFIX)?;
        let delays = draw_delays();
        let listen = REGIONS.map(|(region, _)| (region, ANY_PORT.to_owned()));
        let services = Services::start(&lab, None, &listen, ANY_PORT)?;
        let controllers = REGIONS.map(|(region, _)| services.speakers[region].listen);
        let (ring, wire) = Network::simulated(&lab, &controllers, |link| delays[link])?;
        Ok(World::of(lab, delays, ring, wire, services))
    }

    fn of(
        lab: Lab,
        delays: BTreeMap<&'static str, [Duration; 2]>,
        ring: Network,
        wire: Wire,
        services: Services,
    ) -> World {
        let Services {
            daemons,
            broker,
            speakers,
            router,
            rest,
            bus,
        } = services;
        World {
            ring,
            wire,
            rest,
            bus,
            speakers,
            delays,
            before: Vec::new(),
            events_before_failover: 0,
            router: router.address,
            others: vec![broker, router.process],
            daemons,
            lab,
        }
    }

    /// Start a region's speaker again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn restart(&mut self, region: &'static str) -> Result<()> {
        if let Some(speaker) = self.speakers.get_mut(region) {
            *speaker = start_speaker(&self.daemons, region, &speaker.listen.to_string())?;
        }
        Ok(())
    }

    /// The switches as the router shows them.
    ///
    /// # Errors
    /// The router does not answer.
    pub fn switches(&self) -> Result<Vec<SwitchView>> {
        self.rest.get("/v2/switches")
    }

    /// The links as the router shows them.
    ///
    /// # Errors
    /// The router does not answer.
    pub fn links(&self) -> Result<Vec<LinkView>> {
        self.rest.get("/v2/links")
    }

    /// A flow as the router shows it.
    ///
    /// # Errors
    /// The router does not answer, or there is no such flow.
    pub fn flow(&self, id: &str) -> Result<FlowView> {
        self.rest.get(&format!("/v2/flows/{id}"))
    }

    /// Waits until all switches are active in one region, and gives it.
    ///
    /// # Errors
    /// They are not in time.
    pub fn active_region(&self, not: Option<&str>) -> Result<&'static str> {
        wait::until("all switches to be active in one region", wait::DEADLINE, || {
            let switches = self.switches().map_err(|e| format!("{e:#}"))?;
            let active: Vec<_> = switches
                .iter()
                .map(|s| s.active_region.as_ref().map(|r| r.to_string()))
                .collect();
            let found = REGIONS.iter().map(|(region, _)| *region).find(|region| {
                Some(*region) != not
                    && active.len() == SWITCHES as usize
                    && active.iter().all(|a| a.as_deref() == Some(region))
            });
            found.ok_or_else(|| format!("{active:?}"))
        })
    }

    /// What the daemons said last, for a step that failed.
    pub fn last_words(&self) {
        let all = self.others.iter().chain(self.speakers.values().map(|s| &s.process));
        for process in all {
            say(&format!(
                "--- last words of {}:\n{}",
                process.label(),
                process.last_words()
            ));
        }
    }
}

/// The id of a switch of the ring.
pub fn switch_id(number: u64) -> SwitchId {
    SwitchId(number)
}

/// The name of the ring's link between two switches.
pub fn link_name(a: SwitchId, b: SwitchId) -> Option<&'static str> {
    LINKS.into_iter().find(|name| {
        let ends = [format!("s{}-s{}", a.0, b.0), format!("s{}-s{}", b.0, a.0)];
        ends.iter().any(|end| end == name)
    })
}

/// Broker, speakers, router, and clients of them.
struct Services {
    daemons: Daemons,
    broker: Process,
    speakers: BTreeMap<&'static str, Speaker>,
    router: Daemon,
    rest: Rest,
    bus: Bus,
}

impl Services {
    /// Starts them in a namespace, or where this program is; speakers and router listen where they are told.
    fn start(lab: &Lab, netns: Option<&str>, listen: &[(&'static str, String)], router: &str) -> Result<Services> {
        let daemons = Daemons::new(lab, netns)?;
        let broker = daemons.broker()?;
        let mut speakers = BTreeMap::new();
        for (region, listen) in listen {
            speakers.insert(*region, start_speaker(&daemons, region, listen)?);
        }
        let regions = REGIONS.map(|(region, _)| region);
        let more = format!("[sla]\nwindow_ms = {}\n", WINDOW.as_millis());
        let router = daemons.router(&regions, router, &more)?;
        let rest = daemons.rest(&router);
        let bus = Bus::start(&daemons, &regions)?;
        Ok(Services {
            daemons,
            broker,
            speakers,
            router,
            rest,
            bus,
        })
    }
}

fn start_speaker(daemons: &Daemons, region: &str, listen: &str) -> Result<Speaker> {
    let more = format!("[intervals]\ndiscovery_ms = {DISCOVERY_MS}\n");
    let Daemon { process, address, .. } = daemons.speaker(region, listen, &more)?;
    Ok(Speaker {
        process,
        port: address.port(),
        listen: address,
    })
}

/// Four different round trips between 2 and 20 ms, drawn anew in each run, each cut unevenly into there and back.
fn draw_delays() -> BTreeMap<&'static str, [Duration; 2]> {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |d| d.as_nanos() as u64);
    say(&format!("delays are drawn with seed {seed}"));
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        // xorshift64: no more is needed to draw twelve numbers.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    // One from each quarter of the range, so that they differ by more than what is measured can be off.
    let mut quarters: Vec<u64> = (0..4).map(|q| 4_000 + q * 4_000 + draw(3_000)).collect();
    for at in (1..quarters.len()).rev() {
        quarters.swap(at, draw(at as u64 + 1) as usize);
    }
    let mut delays = BTreeMap::new();
    for (link, round_trip) in LINKS.into_iter().zip(quarters) {
        let there = round_trip * (30 + draw(40)) / 100;
        delays.insert(link, [there, round_trip - there].map(Duration::from_micros));
    }
    delays
}

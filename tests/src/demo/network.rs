//! What the scenario runs on: the laboratory's ring of Open vSwitch bridges, or `skerry sim`'s ring of simulated switches.
//!
//! Both have the same shape (`ring` draws it) and the same hosts, so the steps do not ask which one it is.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use skerry_bus::SwitchId;
use skerry_bus::objects::{Group, GroupKind};

use crate::delay::DelayLine;
use crate::host::Host;
use crate::lab::Lab;
use crate::ovs::{Controllers, Ovs};
use crate::ring::{LINKS, Ring, SWITCHES, bridge};
use crate::tool::Tool;
use crate::wire::Wire;

/// The round-trip group is no flow's.
const ROUND_TRIP_GROUP: u32 = 1;

/// Switches, links and hosts.
pub struct Network {
    /// The host at switch 1.
    pub a: Host,
    /// The host at switch 3.
    pub b: Host,
    /// The sink device at switch 3.
    pub sink: Host,
    switches: Switches,
}

enum Switches {
    Real { ovs: Ovs, delay: DelayLine },
    Simulated(Arc<Tool>),
}

/// A group as a switch shows it.
pub struct ShownGroup {
    /// Number of the switch.
    pub switch: u64,
    /// Its id.
    pub id: u32,
    /// `all`, `indirect` and so on.
    pub kind: String,
    /// How many buckets it has.
    pub buckets: usize,
}

impl Network {
    /// The laboratory's ring.
    pub fn real(ring: Ring) -> Network {
        let Ring {
            ovs,
            delay,
            a,
            b,
            sink,
            lab: _,
        } = ring;
        Network {
            a,
            b,
            sink,
            switches: Switches::Real { ovs, delay },
        }
    }

    /// A ring of simulated switches that connect to `controllers`, with these one-way delays (there and back) by link;
    /// and what is said between them.
    ///
    /// # Errors
    /// The simulator does not start.
    pub fn simulated(
        lab: &Lab,
        controllers: &[SocketAddr],
        delays: impl Fn(&str) -> [Duration; 2],
    ) -> Result<(Network, Wire)> {
        let capture = lab.folder().join("openflow.pcap");
        let mut args = vec!["sim".to_owned(), "--ring".to_owned(), SWITCHES.to_string()];
        args.extend(["--capture".to_owned(), capture.display().to_string()]);
        for controller in controllers {
            args.extend(["--controller".to_owned(), controller.to_string()]);
        }
        let (sim, _ready) = Tool::start(lab, None, "skerry", "switches", &args)?;
        let ports: Vec<u16> = controllers.iter().map(SocketAddr::port).collect();
        let wire = Wire::written_by(sim.process().clone(), capture, &ports)?;
        let sim = Arc::new(sim);
        let host = |name| Host::simulated(&sim, name);
        let network = Network {
            a: host("a"),
            b: host("b"),
            sink: host("sink"),
            switches: Switches::Simulated(sim.clone()),
        };
        LINKS
            .into_iter()
            .try_for_each(|link| network.set_delay(link, delays(link)))?;
        Ok((network, wire))
    }

    /// Tells real switches their controllers; simulated ones know them from the start.
    ///
    /// # Errors
    /// The switches' database does not answer.
    pub fn set_controllers(&self, controllers: &Controllers) -> Result<()> {
        match &self.switches {
            Switches::Real { ovs, .. } => {
                (1..=SWITCHES).try_for_each(|switch| ovs.set_controllers(&bridge(switch), controllers))
            }
            Switches::Simulated(_) => Ok(()),
        }
    }

    /// Sets the one-way delays of a link, there and back.
    ///
    /// # Errors
    /// No such link, or what makes the delay ended.
    pub fn set_delay(&self, link: &str, [there, back]: [Duration; 2]) -> Result<()> {
        match &self.switches {
            Switches::Real { delay, .. } => delay.set(link, there, back),
            Switches::Simulated(sim) => {
                let [there_us, back_us] = [there, back].map(|delay| delay.as_micros() as u64);
                let question = json!({ "do": "delay", "link": link, "there_us": there_us, "back_us": back_us });
                sim.ask(&question.to_string()).map(drop)
            }
        }
    }

    /// Writes when each discovery packet passed which link to a file.
    ///
    /// # Errors
    /// Simulated links have no such log, or the file cannot be written.
    pub fn log_to(&self, file: &Path) -> Result<()> {
        match &self.switches {
            Switches::Real { delay, .. } => delay.log_to(file),
            Switches::Simulated(_) => bail!("simulated links have no log of packets"),
        }
    }

    /// Everything on all switches, one line each, without counters.
    ///
    /// # Errors
    /// A switch does not answer.
    pub fn dump(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for switch in 1..=SWITCHES {
            let name = bridge(switch);
            let objects = match &self.switches {
                Switches::Real { ovs, .. } => {
                    [ovs.dump_flows(&name)?, ovs.dump_groups(&name)?, ovs.dump_meters(&name)?].concat()
                }
                Switches::Simulated(sim) => {
                    let dump = simulated_dump(sim, switch)?;
                    let lists = ["rules", "groups", "meters"].into_iter();
                    let lists = lists.flat_map(|list| dump[list].as_array().cloned().unwrap_or_default());
                    lists.map(|object| object.to_string()).collect()
                }
            };
            all.extend(objects.into_iter().map(|object| format!("{name}: {object}")));
        }
        Ok(all)
    }

    /// Groups of flows as the switches show them.
    ///
    /// # Errors
    /// A switch does not answer, or in another form than it should.
    pub fn groups(&self) -> Result<Vec<ShownGroup>> {
        let mut all = Vec::new();
        for switch in 1..=SWITCHES {
            match &self.switches {
                Switches::Real { ovs, .. } => {
                    for line in ovs.dump_groups(&bridge(switch))? {
                        all.push(read_group(switch, &line)?);
                    }
                }
                Switches::Simulated(sim) => {
                    let groups: Vec<Group> = serde_json::from_value(simulated_dump(sim, switch)?["groups"].take())?;
                    all.extend(groups.into_iter().map(|group| ShownGroup {
                        switch,
                        id: group.id,
                        kind: match group.kind {
                            GroupKind::All => "all".to_owned(),
                            GroupKind::Indirect => "indirect".to_owned(),
                        },
                        buckets: group.buckets.len(),
                    }));
                }
            }
        }
        all.retain(|group| group.id != ROUND_TRIP_GROUP);
        Ok(all)
    }
}

fn simulated_dump(sim: &Tool, switch: u64) -> Result<Value> {
    let dump = sim.ask(&json!({ "do": "dump", "switch": switch }).to_string())?;
    ensure!(
        dump["switch"] == json!(SwitchId(switch)),
        "dump of switch {switch}: {dump}"
    );
    Ok(dump)
}

/// A line of `ovs-ofctl dump-groups`.
fn read_group(switch: u64, line: &str) -> Result<ShownGroup> {
    let field = |name: &str| {
        line.split(',')
            .find_map(|part| part.trim().strip_prefix(name))
            .map(str::to_owned)
    };
    Ok(ShownGroup {
        switch,
        id: field("group_id=").with_context(|| line.to_owned())?.parse()?,
        kind: field("type=").with_context(|| line.to_owned())?,
        buckets: line.matches("bucket=").count(),
    })
}

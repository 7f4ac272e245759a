//! The demo's world: four switches in a ring, two hosts, one sink device.
//!
//! ```text
//!          host a                         host b   sink
//!            |10                            |10     |11
//!            s1 1 ---- 2 s2 1 ---- 2 s3 ----+-------+     (s3's port 1 goes on to s4)
//!             2                      1
//!             +------ 1 s4 2 --------+
//! ```
//!
//! Namespaces: `switches` (the Open vSwitch with all four bridges, and the delay line),
//! `host-a`, `host-b`, `sink`, and `control`, empty but for the end of a cable, for broker,
//! speakers and router. The bridges reach speakers at [`CONTROL_ADDRESS`]. What runs in
//! `control` is not this module's business.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::delay::{DelayLine, Pair};
use crate::host::Host;
use crate::lab::{End, Lab};
use crate::ovs::{Controllers, Ovs};

/// Number of switches; their ids are 1 to this, their bridges `s1` to `s4`.
pub const SWITCHES: u64 = 4;
/// Port towards the next switch (from s4: s1).
pub const PORT_NEXT: u32 = 1;
/// Port towards the switch before (from s1: s4).
pub const PORT_PREVIOUS: u32 = 2;
/// Port of a host, at s1 (a) and s3 (b).
pub const PORT_HOST: u32 = 10;
/// Port of the sink device.
pub const PORT_SINK: u32 = 11;

/// The address in `control` that speakers listen on.
pub const CONTROL_ADDRESS: &str = "10.77.0.1";
/// The address that the bridges come from.
pub const SWITCHES_ADDRESS: &str = "10.77.0.2";
/// The interface in `control` that OpenFlow passes, to capture on.
pub const CONTROL_INTERFACE: &str = "switches";

/// The links, in order: link `n` goes from port 1 of its first switch to port 2 of its second.
pub const LINKS: [&str; SWITCHES as usize] = ["s1-s2", "s2-s3", "s3-s4", "s4-s1"];

/// What can differ between two rings.
#[derive(Clone, Debug)]
pub struct Options {
    /// For each of [`LINKS`]: delay from its first switch to its second, and back.
    pub delays: [[Duration; 2]; SWITCHES as usize],
    /// Number of the switch with the sink device, 1 to 4.
    pub sink_at: u64,
    /// Controllers of every bridge.
    pub controllers: Controllers,
}

/// A ring that stands. It is taken down with its lab.
pub struct Ring {
    /// All four bridges.
    pub ovs: Ovs,
    /// All four links.
    pub delay: DelayLine,
    /// Host a, at port [`PORT_HOST`] of s1.
    pub a: Host,
    /// Host b, at port [`PORT_HOST`] of s3.
    pub b: Host,
    /// The sink device, at port [`PORT_SINK`]; it sends to host b.
    pub sink: Host,
    /// What all of it is in.
    pub lab: Lab,
}

impl Ring {
    /// Builds one in a lab. The bridges have no rules, and try to reach their controllers.
    ///
    /// # Errors
    /// Not root, Open vSwitch not installed, or a part did not start.
    pub fn build(lab: &Lab, options: &Options) -> Result<Ring> {
        ensure!(
            (1..=SWITCHES).contains(&options.sink_at),
            "sink at switch {}",
            options.sink_at
        );
        let sink_bridge = bridge(options.sink_at);
        for netns in ["switches", "control", "host-a", "host-b", "sink"] {
            lab.add_netns(netns)?;
        }
        let control = format!("{CONTROL_ADDRESS}/24");
        let switches = format!("{SWITCHES_ADDRESS}/24");
        lab.veth(
            End::new("control", CONTROL_INTERFACE).with_address(&control),
            End::new("switches", "control").with_address(&switches),
        )?;
        let hosts = [
            ("host-a", "s1", PORT_HOST, "198.18.0.1", "198.18.0.2"),
            ("host-b", "s3", PORT_HOST, "198.18.0.2", "198.18.0.1"),
            ("sink", &sink_bridge, PORT_SINK, "198.18.0.3", "198.18.0.2"),
        ];
        for (netns, ..) in hosts {
            lab.veth(End::new(netns, "eth0"), End::new("switches", netns))?;
        }
        let pairs: Vec<Pair> = LINKS
            .iter()
            .zip(&options.delays)
            .map(|(link, delays)| pair(link, *delays))
            .collect();
        let delay = DelayLine::start(lab, "switches", &pairs)?;
        let ovs = Ovs::start(lab, "switches")?;
        // Where it is not allowed, packets are only less punctual.
        ovs.prefer_realtime();
        for switch in 1..=SWITCHES {
            // Controllers come last: a switch shall not be seen with half of its ports.
            ovs.add_bridge(&bridge(switch), switch, &Controllers::new::<String>([]))?;
        }
        for (number, pair) in (1..).zip(&pairs) {
            ovs.add_port(&bridge(number), &pair.a, PORT_NEXT)?;
            ovs.add_port(&bridge(number % SWITCHES + 1), &pair.b, PORT_PREVIOUS)?;
        }
        for (netns, bridge, port, ..) in hosts {
            ovs.add_port(bridge, netns, port)?;
        }
        let [a, b, sink] = hosts.map(|(netns, _, _, from, to)| Host::start(lab, netns, "eth0", from, to));
        let ring = Ring {
            ovs,
            delay,
            a: a?,
            b: b?,
            sink: sink?,
            lab: lab.clone(),
        };
        ring.set_controllers(&options.controllers)?;
        Ok(ring)
    }

    /// Gives all bridges these controllers.
    ///
    /// # Errors
    /// The switch's database does not answer.
    pub fn set_controllers(&self, controllers: &Controllers) -> Result<()> {
        (1..=SWITCHES).try_for_each(|switch| self.ovs.set_controllers(&bridge(switch), controllers))
    }

    /// Waits until every bridge is connected to `count` controllers.
    ///
    /// # Errors
    /// One is not within the deadline; the error names it.
    pub fn wait_connected(&self, count: usize) -> Result<()> {
        (1..=SWITCHES).try_for_each(|switch| self.ovs.wait_connected(&bridge(switch), count))
    }

    /// All rules, groups and meters of all switches, each with its switch in front: what
    /// a scenario compares before and after.
    ///
    /// # Errors
    /// A switch does not answer.
    pub fn dump(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for bridge in (1..=SWITCHES).map(bridge) {
            for objects in [
                self.ovs.dump_flows(&bridge)?,
                self.ovs.dump_groups(&bridge)?,
                self.ovs.dump_meters(&bridge)?,
            ] {
                all.extend(objects.into_iter().map(|object| format!("{bridge}: {object}")));
            }
        }
        Ok(all)
    }
}

/// Name of the bridge of a switch.
pub fn bridge(switch: u64) -> String {
    format!("s{switch}")
}

/// The pair of devices of a link; `s1-s2` has `s1-to-s2` at s1 and `s2-to-s1` at s2.
fn pair(link: &str, [there, back]: [Duration; 2]) -> Pair {
    let (first, second) = link.split_once('-').unwrap_or((link, link));
    let pair = Pair::new(
        link,
        &format!("{first}-to-{second}"),
        &format!("{second}-to-{first}"),
        there,
    );
    Pair {
        b_to_a_us: back.as_micros() as u64,
        ..pair
    }
}

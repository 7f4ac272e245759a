//! The smallest world with everything: two hosts, two bridges, one link with a delay.

use std::time::Duration;

use anyhow::Result;
use skerry_tests::delay::{DelayLine, Pair};
use skerry_tests::host::Host;
use skerry_tests::lab::{End, Lab};
use skerry_tests::ovs::{Controllers, Ovs};

/// Port of a bridge with its host.
pub const HOST_PORT: u32 = 10;
/// Port of a bridge with the link to the other.
pub const LINK_PORT: u32 = 1;
/// Name of the link.
pub const LINK: &str = "s1-s2";

pub struct Bench {
    pub ovs: Ovs,
    pub delay: DelayLine,
    pub a: Host,
    pub b: Host,
    pub lab: Lab,
}

impl Bench {
    /// Host a at bridge s1, host b at bridge s2; without rules nothing is forwarded.
    pub fn new(one_way: Duration) -> Result<Bench> {
        let lab = Lab::new(crate::PREFIX)?;
        for netns in ["switches", "a", "b"] {
            lab.add_netns(netns)?;
        }
        lab.veth(End::new("a", "eth0"), End::new("switches", "to-a"))?;
        lab.veth(End::new("b", "eth0"), End::new("switches", "to-b"))?;
        let delay = DelayLine::start(&lab, "switches", &[Pair::new(LINK, "link-1", "link-2", one_way)])?;
        let ovs = Ovs::start(&lab, "switches")?;
        ovs.prefer_realtime();
        for (bridge, dpid, host, link) in [("s1", 1, "to-a", "link-1"), ("s2", 2, "to-b", "link-2")] {
            ovs.add_bridge(bridge, dpid, &Controllers::new::<String>([]))?;
            ovs.add_port(bridge, host, HOST_PORT)?;
            ovs.add_port(bridge, link, LINK_PORT)?;
        }
        let a = Host::start(&lab, "a", "eth0", "198.18.0.1", "198.18.0.2")?;
        let b = Host::start(&lab, "b", "eth0", "198.18.0.2", "198.18.0.1")?;
        Ok(Bench { ovs, delay, a, b, lab })
    }

    /// Joins host and link on both bridges, both ways.
    pub fn connect(&self) -> Result<()> {
        for bridge in ["s1", "s2"] {
            for (from, to) in [(HOST_PORT, LINK_PORT), (LINK_PORT, HOST_PORT)] {
                self.ovs
                    .ofctl(&["add-flow", bridge, &format!("in_port={from},actions=output:{to}")])?;
            }
        }
        Ok(())
    }
}

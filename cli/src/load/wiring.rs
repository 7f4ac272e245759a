//! Which port is joined to which.
//!
//! ```text
//! ring    the first half of a switch's ports leads to the next switch, the second half back to the one before
//! chain   the same, but the last switch is not joined to the first
//! pairs   switches 1 and 2, 3 and 4 and so on, all ports of the one to the same ports of the other
//! none    nothing is joined: what goes out of a port is gone
//! ```

use clap::ValueEnum;
use skerry_bus::PortNo;

/// The shape of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Each switch to the next, the last to the first.
    Ring,
    /// Each switch to the next.
    Chain,
    /// Two by two.
    Pairs,
    /// No links.
    None,
}

/// All links: switches by their index, ports from 1.
#[derive(Debug, Clone, Copy)]
pub struct Wiring {
    shape: Shape,
    switches: usize,
    ports: u32,
}

impl Wiring {
    /// Switches that all have as many ports.
    pub fn new(shape: Shape, switches: usize, ports: u32) -> Wiring {
        Wiring { shape, switches, ports }
    }

    /// What is at the other end of a port's cable.
    pub fn peer(&self, switch: usize, port: PortNo) -> Option<(usize, PortNo)> {
        let half = self.ports / 2;
        if switch >= self.switches || !(1..=self.ports).contains(&port.0) {
            return None;
        }
        match self.shape {
            Shape::None => None,
            Shape::Pairs => {
                let other = switch ^ 1;
                (other < self.switches).then_some((other, port))
            }
            Shape::Ring | Shape::Chain if self.switches < 2 => None,
            Shape::Ring | Shape::Chain => {
                let closed = self.shape == Shape::Ring;
                if (1..=half).contains(&port.0) {
                    let next = switch + 1;
                    let wraps = next == self.switches;
                    (closed || !wraps).then_some((next % self.switches, PortNo(port.0 + half)))
                } else if (half + 1..=2 * half).contains(&port.0) {
                    let before = switch.checked_sub(1).or(closed.then_some(self.switches - 1));
                    before.map(|before| (before, PortNo(port.0 - half)))
                } else {
                    None
                }
            }
        }
    }

    /// How many ends of links there are.
    pub fn ends(&self) -> usize {
        let ports = |switch| (1..=self.ports).filter(move |port| self.peer(switch, PortNo(*port)).is_some());
        (0..self.switches).map(|switch| ports(switch).count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cable_has_two_ends_that_know_each_other() {
        for shape in [Shape::Ring, Shape::Chain, Shape::Pairs, Shape::None] {
            for switches in [1, 2, 3, 8, 9] {
                for ports in [1, 2, 4, 5] {
                    let wiring = Wiring::new(shape, switches, ports);
                    let mut ends = 0;
                    for switch in 0..switches + 1 {
                        for port in 0..ports + 2 {
                            let here = (switch, PortNo(port));
                            let Some(there) = wiring.peer(switch, PortNo(port)) else {
                                continue;
                            };
                            ends += 1;
                            assert_ne!(here, there);
                            assert_eq!(
                                wiring.peer(there.0, there.1),
                                Some(here),
                                "{shape:?} {switches} {ports}"
                            );
                        }
                    }
                    assert_eq!(wiring.ends(), ends);
                    let (n, half) = (switches, ports as usize / 2);
                    let links = match shape {
                        Shape::None => 0,
                        Shape::Pairs => n / 2 * ports as usize,
                        _ if n < 2 => 0,
                        Shape::Ring => n * half,
                        Shape::Chain => (n - 1) * half,
                    };
                    assert_eq!(ends, 2 * links, "{shape:?} {switches} {ports}");
                }
            }
        }
    }
}

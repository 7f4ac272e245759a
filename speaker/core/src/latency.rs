//! Round trips: of the control channels, and of links by packets that the far switch turned around.
//!
//! A link's figure is the packet's whole way less the control channel's own round trip, by one clock. It is given verified,
//! fresh packets and times; what it publishes is lossy on purpose.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::{PortNo, PortRef, SwitchId};

use crate::links::Nonces;
use crate::timers::Timers;

/// Round trips of a control channel that are kept: a short window, so that the figure follows a change of route.
const CONTROL_SAMPLES: usize = 9;
/// Samples of a link between two publications. At one packet a second there is one; more only wait for the far end to be known.
const LINK_SAMPLES: usize = 32;
/// At most one message per link in this time.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);
/// No network has a longer round trip; what is above is a mistake.
const ABSURD: Duration = Duration::from_secs(10);

/// Why a sample is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    Negative,
    Absurd,
    NoControl,
    Replayed,
}

/// A figure to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) port: PortRef,
    pub(crate) latency: Duration,
    pub(crate) samples: u32,
}

#[derive(Debug, Default)]
struct Control {
    samples: VecDeque<Duration>,
    /// Of the samples: every packet of every link of the switch asks for it.
    median: Option<Duration>,
    last_nonce: u64,
}

#[derive(Debug, Default)]
struct Link {
    samples: VecDeque<Duration>,
    published: Option<Instant>,
    nonces: Nonces,
}

/// All round trips of this speaker's switches.
#[derive(Debug)]
pub(crate) struct Latencies {
    controls: BTreeMap<SwitchId, Control>,
    links: BTreeMap<PortRef, Link>,
    timers: Timers<PortRef>,
}

/// Puts them in order.
fn median(samples: &mut [Duration]) -> Option<Duration> {
    samples.sort_unstable();
    let sorted = samples;
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        let lower = sorted.get(middle.wrapping_sub(1)).copied().unwrap_or(upper);
        (lower + upper) / 2
    } else {
        upper
    })
}

fn keep(samples: &mut VecDeque<Duration>, sample: Duration, max: usize) {
    if samples.len() == max {
        samples.pop_front();
    }
    samples.push_back(sample);
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Latencies {
            controls: BTreeMap::new(),
            links: BTreeMap::new(),
            timers: Timers::new(),
        }
    }

    /// A packet came straight back from a switch.
    pub(crate) fn control(&mut self, switch: SwitchId, nonce: u64, round_trip: Duration) -> Result<(), Dropped> {
        if round_trip > ABSURD {
            return Err(Dropped::Absurd);
        }
        let control = self.controls.entry(switch).or_default();
        // The control channel keeps order, so an older one is a repeat.
        if nonce <= control.last_nonce {
            return Err(Dropped::Replayed);
        }
        control.last_nonce = nonce;
        keep(&mut control.samples, round_trip, CONTROL_SAMPLES);
        let mut samples: Vec<Duration> = control.samples.iter().copied().collect();
        control.median = median(&mut samples);
        Ok(())
    }

    /// The control channel's round trip: the median of a short window.
    pub(crate) fn control_of(&self, switch: SwitchId) -> Option<Duration> {
        self.controls.get(&switch).and_then(|c| c.median)
    }

    /// A packet sent out of `port` came back to it, turned around, after `way` in all.
    pub(crate) fn turned(
        &mut self,
        now: Instant,
        port: PortRef,
        sender: (&skerry_bus::Region, skerry_bus::Epoch, u64),
        way: Duration,
    ) -> Result<(), Dropped> {
        let link = self.links.entry(port).or_default();
        let (region, epoch, nonce) = sender;
        if !link.nonces.take(region, epoch, nonce) {
            return Err(Dropped::Replayed);
        }
        if way > ABSURD {
            return Err(Dropped::Absurd);
        }
        let control = self.controls.get(&port.switch).and_then(|c| c.median);
        let control = control.ok_or(Dropped::NoControl)?;
        let latency = way.checked_sub(control).ok_or(Dropped::Negative)?;
        keep(&mut link.samples, latency, LINK_SAMPLES);
        if !self.timers.has(&port) {
            let at = link.published.map_or(now, |last| (last + PUBLISH_PAUSE).max(now));
            self.timers.set(port, Some(at));
        }
        Ok(())
    }

    /// When the next figure is to be published.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A port whose figure is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<PortRef> {
        self.timers.pop_due(now)
    }

    /// Take the figure of a port. Its samples are used up.
    pub(crate) fn take(&mut self, now: Instant, port: PortRef) -> Option<Figure> {
        let link = self.links.get_mut(&port)?;
        let latency = median(link.samples.make_contiguous())?;
        let samples = link.samples.len() as u32;
        link.samples.clear();
        link.published = Some(now);
        Some(Figure { port, latency, samples })
    }

    /// Wait for another round: the far end is not known yet. The samples stay.
    pub(crate) fn postpone(&mut self, now: Instant, port: PortRef) {
        self.timers.set(port, Some(now + PUBLISH_PAUSE));
    }

    /// The switch left, or this region is not active for it.
    pub(crate) fn forget_switch(&mut self, switch: SwitchId) {
        self.controls.remove(&switch);
        let from = PortRef {
            switch,
            port: PortNo(0),
        };
        let ports: Vec<PortRef> = self
            .links
            .range(from..)
            .map(|(port, _)| *port)
            .take_while(|port| port.switch == switch)
            .collect();
        for port in ports {
            self.forget_port(port);
        }
    }

    /// The port is gone or down.
    pub(crate) fn forget_port(&mut self, port: PortRef) {
        self.links.remove(&port);
        self.timers.set(port, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skerry_bus::{Epoch, Region};

    const MS: Duration = Duration::from_millis(1);
    const S1: SwitchId = SwitchId(1);
    const P: PortRef = PortRef {
        switch: S1,
        port: PortNo(2),
    };

    fn east() -> Region {
        "east".parse().expect("a region")
    }

    #[test]
    fn the_control_channel_is_taken_off_and_the_median_published() {
        let t0 = Instant::now();
        let mut l = Latencies::new();
        assert_eq!(l.turned(t0, P, (&east(), Epoch(1), 1), 9 * MS), Err(Dropped::NoControl));
        for (n, ms) in [2, 1, 30].into_iter().enumerate() {
            assert_eq!(l.control(S1, n as u64 + 1, ms * MS), Ok(()));
        }
        assert_eq!(l.control(S1, 3, MS), Err(Dropped::Replayed));
        assert_eq!(l.control_of(S1), Some(2 * MS));
        for (n, ms) in [(2, 12), (3, 52), (4, 13)] {
            assert_eq!(l.turned(t0, P, (&east(), Epoch(1), n), ms * MS), Ok(()));
        }
        assert_eq!(l.turned(t0, P, (&east(), Epoch(1), 4), 12 * MS), Err(Dropped::Replayed));
        assert_eq!(l.turned(t0, P, (&east(), Epoch(1), 5), MS), Err(Dropped::Negative));
        assert_eq!(
            l.turned(t0, P, (&east(), Epoch(1), 6), 10_001 * MS),
            Err(Dropped::Absurd)
        );
        assert_eq!((l.next(), l.pop_due(t0)), (Some(t0), Some(P)));
        let figure = l.take(t0, P).expect("a figure");
        assert_eq!((figure.latency, figure.samples), (11 * MS, 3));
        assert_eq!(l.next(), None);
    }

    #[test]
    fn a_link_is_published_at_most_once_a_second() {
        let t0 = Instant::now();
        let mut l = Latencies::new();
        assert_eq!(l.control(S1, 1, MS), Ok(()));
        assert_eq!(l.turned(t0, P, (&east(), Epoch(1), 1), 2 * MS), Ok(()));
        assert!(l.pop_due(t0).is_some() && l.take(t0, P).is_some());
        let t1 = t0 + 300 * MS;
        assert_eq!(l.turned(t1, P, (&east(), Epoch(1), 2), 2 * MS), Ok(()));
        assert_eq!(l.pop_due(t1), None);
        assert_eq!(l.next(), Some(t0 + PUBLISH_PAUSE));
        l.forget_switch(S1);
        assert_eq!((l.next(), l.control_of(S1)), (None, None));
    }
}

//! When a discovery packet leaves by which port: at once for a new port, then each interval, spread evenly over the ports.
//!
//! It builds no packet and knows no role: it is told which ports are to be probed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skerry_bus::{PortNo, PortRef, SwitchId};

use crate::timers::Timers;

/// A second schedule begins by this part of its interval later. Phases are an interval cut in halves again and again, which a
/// third never meets: the packets of both find a switch alike, none just woken by another.
pub(crate) const APART: u32 = 3;

/// The schedule of all ports that are probed.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval: Duration,
    start: Instant,
    timers: Timers<PortRef>,
    phases: BTreeMap<PortRef, Duration>,
    next_phase: u32,
}

impl Schedule {
    pub(crate) fn new(interval: Duration, start: Instant) -> Self {
        Schedule {
            interval: interval.max(Duration::from_millis(1)),
            start,
            timers: Timers::new(),
            phases: BTreeMap::new(),
            next_phase: 0,
        }
    }

    /// Probe this port from now on; the first time at once. False: it is probed already.
    pub(crate) fn add(&mut self, now: Instant, port: PortRef) -> bool {
        if self.phases.contains_key(&port) {
            return false;
        }
        // Counting with reversed bits fills the interval evenly, however many ports come.
        let part = f64::from(self.next_phase.reverse_bits()) / f64::from(u32::MAX);
        self.next_phase = self.next_phase.wrapping_add(1);
        self.phases.insert(port, self.interval.mul_f64(part.min(1.0)));
        self.timers.set(port, Some(now));
        true
    }

    /// Do not probe this port any more.
    pub(crate) fn remove(&mut self, port: PortRef) {
        self.phases.remove(&port);
        self.timers.set(port, None);
    }

    /// Do not probe any port of this switch any more.
    pub(crate) fn remove_switch(&mut self, switch: SwitchId) {
        let from = PortRef {
            switch,
            port: PortNo(0),
        };
        let ports: Vec<PortRef> = self
            .phases
            .range(from..)
            .map(|(port, _)| *port)
            .take_while(|port| port.switch == switch)
            .collect();
        for port in ports {
            self.remove(port);
        }
    }

    /// When the next packet is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A port whose packet is due now, and since when; the next one of it is scheduled.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(PortRef, Instant)> {
        let due = self.timers.next()?;
        let port = self.timers.pop_due(now)?;
        let phase = self.phases.get(&port).copied().unwrap_or_default();
        // The first time of this port's phase that is at least half an interval away. What was missed is not made up for.
        let earliest = now.saturating_duration_since(self.start) + self.interval / 2;
        let interval = self.interval.as_nanos().max(1);
        let rounds = earliest.saturating_sub(phase).as_nanos().div_ceil(interval);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        let at = self.start + phase + self.interval.saturating_mul(rounds);
        self.timers.set(port, Some(at.max(now + self.interval / 2)));
        Some((port, due))
    }

    /// Ports that are probed.
    pub(crate) fn len(&self) -> usize {
        self.phases.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(n: u32) -> PortRef {
        PortRef {
            switch: SwitchId(u64::from(n / 10)),
            port: PortNo(n),
        }
    }

    #[test]
    fn a_new_port_is_probed_at_once_and_then_once_per_interval() {
        let t0 = Instant::now();
        let second = Duration::from_secs(1);
        let mut s = Schedule::new(second, t0);
        for n in 0..100 {
            s.add(t0 + Duration::from_millis(3_210), port(n));
        }
        let mut sent: BTreeMap<PortRef, Vec<Duration>> = BTreeMap::new();
        let mut per_tenth = [0; 10];
        while let Some(at) = s.next() {
            if at >= t0 + Duration::from_millis(13_210) {
                break;
            }
            let (port, _) = s.pop_due(at).expect("due");
            let since = at - t0;
            sent.entry(port).or_default().push(since);
            if since >= Duration::from_secs(6) && since < Duration::from_secs(7) {
                per_tenth[(since.subsec_millis() / 100) as usize] += 1;
            }
        }
        for times in sent.values() {
            assert_eq!(times[0], Duration::from_millis(3_210));
            assert!((10..=11).contains(&times.len()), "{} packets in 10 s", times.len());
            for pair in times.windows(2).skip(1) {
                assert_eq!(pair[1] - pair[0], second);
            }
            assert!(times[1] - times[0] <= second * 3 / 2 && times[1] - times[0] >= second / 2);
        }
        assert_eq!(per_tenth.iter().sum::<i32>(), 100);
        assert!(per_tenth.iter().all(|n| (8..=12).contains(n)), "{per_tenth:?}");
    }

    #[test]
    fn packets_of_a_second_schedule_leave_apart_from_all_others() {
        let t0 = Instant::now();
        let second = Duration::from_secs(1);
        for interval in [second, Duration::from_millis(300)] {
            let mut schedules = [Schedule::new(interval, t0), Schedule::new(second, t0 + second / APART)];
            for n in 0..4 {
                schedules[0].add(t0, port(10 * n + 1));
                schedules[0].add(t0, port(10 * n + 2));
                schedules[1].add(t0, port(10 * n));
            }
            let mut last: Option<(Instant, usize)> = None;
            let end = t0 + 60 * second;
            while let Some((at, which)) = (0..2).filter_map(|n| Some((schedules[n].next()?, n))).min()
                && at < end
            {
                schedules[which].pop_due(at).expect("due");
                // At first all of them leave at once.
                if let Some((before, other)) = last
                    && before > t0 + 3 * second
                    && which + other > 0
                {
                    assert!(at - before > Duration::from_millis(3), "{:?}", at - before);
                }
                last = Some((at, which));
            }
        }
    }

    #[test]
    fn a_speaker_that_stood_still_does_not_send_what_it_missed() {
        let t0 = Instant::now();
        let mut s = Schedule::new(Duration::from_secs(1), t0);
        s.add(t0, port(1));
        assert!(s.pop_due(t0).is_some());
        let late = t0 + Duration::from_secs(60);
        assert!(s.pop_due(late).is_some());
        assert!(s.pop_due(late).is_none());
    }

    #[test]
    fn a_switch_that_left_is_not_probed() {
        let t0 = Instant::now();
        let mut s = Schedule::new(Duration::from_secs(1), t0);
        s.add(t0, port(11));
        s.add(t0, port(12));
        s.add(t0, port(21));
        s.remove_switch(SwitchId(1));
        assert_eq!(s.len(), 1);
        assert_eq!(s.pop_due(t0), Some((port(21), t0)));
    }
}

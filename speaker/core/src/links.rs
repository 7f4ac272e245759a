//! Directions of links as the receiving side sees them: fresh, replayed, known, silent.
//!
//! It is given probes whose signature was verified. It reports silence; whether a link is down the router decides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skerry_bus::event::direction_digest;
use skerry_bus::{Epoch, PortRef, Region, SwitchId};

use crate::packet::Probe;
use crate::timers::Timers;

/// Directions that are remembered. A speaker of 1,000 switches with 48 ports each stays below it; more are dropped with a count.
pub const DIRECTIONS_MAX: usize = 65_536;
/// Directions that end in one port. More than one means a shared medium or a move; more than this many is nonsense.
pub const DIRECTIONS_PER_PORT_MAX: usize = 8;
/// A probe older than this, by the broker's clock, may be a replay: clocks are known better than that, and no link is longer.
pub const FRESH_MAX_MS: u64 = 2_000;
/// Expected packets that must be missing before a direction is silent.
pub const MISSED: u32 = 3;
/// A silent direction is told again at intervals for this long and then forgotten.
const SILENT_KEPT: Duration = Duration::from_secs(600);
/// Nonces remembered per direction and region. Probes of a link are not reordered by more than this.
const NONCES: usize = 16;
/// Speakers whose nonces are remembered per direction: the sending switch's active region changes seldom.
const SENDERS_MAX: usize = 4;

/// What a verified probe means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The direction is new, or was silent.
    News,
    /// It is known.
    Known,
    /// Too old, or from the future.
    Stale,
    /// Seen before.
    Replayed,
    /// No room for another direction.
    Full,
}

/// A direction: packets of `from` arrive at `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Way {
    pub(crate) to: PortRef,
    pub(crate) from: PortRef,
}

/// A direction fell silent, or still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) way: Way,
    pub(crate) silent: Duration,
    pub(crate) missed: u32,
}

/// The latest nonces of each sender: a small window, because a link does not reorder much.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    senders: Vec<Sender>,
}

/// One process of a speaker, and what came of it. It stands where it is looked at: this is done for every packet.
#[derive(Debug)]
struct Sender {
    region: Region,
    epoch: Epoch,
    /// The first `len` of them, growing.
    seen: [u64; NONCES],
    len: usize,
}

impl Nonces {
    /// Whether this one is new; it is remembered then.
    pub(crate) fn take(&mut self, region: &Region, epoch: Epoch, nonce: u64) -> bool {
        let at = match self.senders.iter().position(|s| s.region == *region) {
            Some(at) => at,
            None => {
                if self.senders.len() == SENDERS_MAX {
                    self.senders.remove(0);
                }
                self.senders.push(Sender {
                    region: region.clone(),
                    epoch,
                    seen: [0; NONCES],
                    len: 0,
                });
                self.senders.len() - 1
            }
        };
        self.senders[at].take(epoch, nonce)
    }
}

impl Sender {
    fn take(&mut self, epoch: Epoch, nonce: u64) -> bool {
        if epoch < self.epoch {
            return false;
        }
        if epoch > self.epoch {
            self.epoch = epoch;
            self.len = 0;
        }
        let Err(place) = self.seen[..self.len].binary_search(&nonce) else {
            return false;
        };
        if self.len < NONCES {
            self.seen.copy_within(place..self.len, place + 1);
            self.seen[place] = nonce;
            self.len += 1;
            return true;
        }
        // The smallest makes room; what is smaller than all of them may have been there.
        let Some(last) = place.checked_sub(1) else {
            return false;
        };
        self.seen.copy_within(1..place, 0);
        self.seen[last] = nonce;
        true
    }
}

/// Whether a packet sent at `sent_ms` is fresh at `now_ms`, both by the broker's clock.
pub(crate) fn is_fresh(now_ms: u64, sent_ms: u64) -> bool {
    now_ms.abs_diff(sent_ms) <= FRESH_MAX_MS
}

#[derive(Debug)]
struct Direction {
    last: Instant,
    /// Whether it was told as silent, and how often so far.
    told_silent: u32,
    nonces: Nonces,
}

/// All directions that end in switches of this speaker.
#[derive(Debug)]
pub(crate) struct Links {
    interval: Duration,
    ways: BTreeMap<Way, Direction>,
    timers: Timers<Way>,
}

impl Links {
    pub(crate) fn new(interval: Duration) -> Self {
        Links {
            interval,
            ways: BTreeMap::new(),
            timers: Timers::new(),
        }
    }

    /// A probe with a good signature arrived at `to`.
    pub(crate) fn heard(&mut self, now: Instant, now_ms: u64, to: PortRef, probe: &Probe) -> Heard {
        if !is_fresh(now_ms, probe.sent_ms) {
            return Heard::Stale;
        }
        let way = Way { to, from: probe.from };
        let Some(direction) = self.ways.get_mut(&way) else {
            return self.begin(now, way, probe);
        };
        if !direction.nonces.take(&probe.region, probe.epoch, probe.nonce) {
            return Heard::Replayed;
        }
        direction.last = now;
        if direction.told_silent == 0 {
            // Its timer stays where it is, which is too early: moving it for every packet costs more than looking once
            // more when it is due.
            return Heard::Known;
        }
        direction.told_silent = 0;
        self.timers.set(way, Some(now + silence(self.interval, 1)));
        Heard::News
    }

    /// The first packet of a direction.
    fn begin(&mut self, now: Instant, way: Way, probe: &Probe) -> Heard {
        let at_port = self.of_port(way.to).count();
        if self.ways.len() >= DIRECTIONS_MAX || at_port >= DIRECTIONS_PER_PORT_MAX {
            return Heard::Full;
        }
        let mut nonces = Nonces::default();
        nonces.take(&probe.region, probe.epoch, probe.nonce);
        let direction = Direction {
            last: now,
            told_silent: 0,
            nonces,
        };
        self.ways.insert(way, direction);
        self.timers.set(way, Some(now + silence(self.interval, 1)));
        Heard::News
    }

    /// When to look for a direction that is silent: none is before.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A direction that is silent at `now` and was not told so for this round.
    pub(crate) fn pop_silent(&mut self, now: Instant) -> Option<Silent> {
        while let Some(way) = self.timers.pop_due(now) {
            let Some(direction) = self.ways.get_mut(&way) else {
                continue;
            };
            let silent = now.saturating_duration_since(direction.last);
            if silent > SILENT_KEPT {
                self.ways.remove(&way);
                continue;
            }
            let due = direction.last + silence(self.interval, direction.told_silent + 1);
            if now < due {
                self.timers.set(way, Some(due));
                continue;
            }
            direction.told_silent += 1;
            let due = direction.last + silence(self.interval, direction.told_silent + 1);
            self.timers.set(way, Some(due.max(now + self.interval)));
            return Some(Silent {
                way,
                silent,
                missed: missed(self.interval, silent),
            });
        }
        None
    }

    /// Forget what ends in this port: it is gone or down, and what comes next is news.
    pub(crate) fn forget_port(&mut self, to: PortRef) {
        let gone: Vec<Way> = self.of_port(to).map(|(way, _)| *way).collect();
        self.forget(gone);
    }

    /// Forget what ends in this switch: it left, or this region is not active for it.
    pub(crate) fn forget_switch(&mut self, switch: SwitchId) {
        let gone: Vec<Way> = self.of_switch(switch).map(|(way, _)| *way).collect();
        self.forget(gone);
    }

    fn forget(&mut self, ways: Vec<Way>) {
        for way in ways {
            self.ways.remove(&way);
            self.timers.set(way, None);
        }
    }

    fn of_port(&self, to: PortRef) -> impl Iterator<Item = (&Way, &Direction)> {
        let least = PortRef {
            switch: SwitchId(0),
            port: skerry_bus::PortNo(0),
        };
        self.ways
            .range(Way { to, from: least }..)
            .take_while(move |(way, _)| way.to == to)
    }

    fn of_switch(&self, switch: SwitchId) -> impl Iterator<Item = (&Way, &Direction)> {
        let least = |switch| PortRef {
            switch,
            port: skerry_bus::PortNo(0),
        };
        self.ways
            .range(
                Way {
                    to: least(switch),
                    from: least(SwitchId(0)),
                }..,
            )
            .take_while(move |(way, _)| way.to.switch == switch)
    }

    /// The live sender at this port, if there is exactly one.
    pub(crate) fn peer(&self, to: PortRef) -> Option<PortRef> {
        let mut alive = self.of_port(to).filter(|(_, d)| d.told_silent == 0);
        match (alive.next(), alive.next()) {
            (Some((way, _)), None) => Some(way.from),
            _ => None,
        }
    }

    /// What ends in this switch: alive ones, and silent ones with how long.
    pub(crate) fn at_switch(&self, now: Instant, switch: SwitchId) -> (Vec<Way>, Vec<Silent>) {
        let mut alive = Vec::new();
        let mut silent = Vec::new();
        for (way, direction) in self.of_switch(switch) {
            if direction.told_silent == 0 {
                alive.push(*way);
            } else {
                let since = now.saturating_duration_since(direction.last);
                silent.push(Silent {
                    way: *way,
                    silent: since,
                    missed: missed(self.interval, since),
                });
            }
        }
        (alive, silent)
    }

    /// Number and digest of the live directions that end in this switch.
    pub(crate) fn digest(&self, switch: SwitchId) -> (u32, u64) {
        self.of_switch(switch)
            .filter(|(_, d)| d.told_silent == 0)
            .fold((0, 0), |(n, sum), (way, _)| {
                (n + 1, sum.wrapping_add(direction_digest(way.from, way.to)))
            })
    }

    /// How many directions are known.
    pub(crate) fn len(&self) -> usize {
        self.ways.len()
    }
}

/// After this long without a packet, `rounds` times the number that counts are missing. A quarter of an interval is allowed
/// for packets that are late.
fn silence(interval: Duration, rounds: u32) -> Duration {
    interval.saturating_mul(MISSED).saturating_mul(rounds) + interval / 4
}

fn missed(interval: Duration, silent: Duration) -> u32 {
    let interval = interval.as_nanos().max(1);
    u32::try_from(silent.as_nanos() / interval).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Kind;
    use skerry_bus::PortNo;

    const SECOND: Duration = Duration::from_secs(1);

    fn port(switch: u64, port: u32) -> PortRef {
        PortRef {
            switch: SwitchId(switch),
            port: PortNo(port),
        }
    }

    fn probe(nonce: u64, sent_ms: u64) -> Probe {
        Probe {
            kind: Kind::Link,
            from: port(1, 2),
            sent_ns: 0,
            sent_ms,
            nonce,
            epoch: Epoch(1),
            region: "east".parse().expect("a region"),
        }
    }

    #[test]
    fn the_first_is_news_the_next_is_not_and_a_repeat_is_refused() {
        let t0 = Instant::now();
        let mut links = Links::new(SECOND);
        assert_eq!(links.heard(t0, 10_000, port(2, 1), &probe(1, 10_000)), Heard::News);
        assert_eq!(links.heard(t0, 10_001, port(2, 1), &probe(1, 10_000)), Heard::Replayed);
        assert_eq!(links.heard(t0, 10_001, port(2, 1), &probe(2, 10_001)), Heard::Known);
        assert_eq!(links.heard(t0, 12_002, port(2, 1), &probe(3, 10_001)), Heard::Stale);
        assert_eq!(links.heard(t0, 10_001, port(2, 1), &probe(4, 12_002)), Heard::Stale);
        assert_eq!(links.peer(port(2, 1)), Some(port(1, 2)));
        assert_eq!(links.digest(SwitchId(2)).0, 1);
        assert_eq!(links.digest(SwitchId(1)), (0, 0));
    }

    #[test]
    fn three_missed_packets_are_a_silence_that_is_told_again_until_it_ends() {
        let t0 = Instant::now();
        let mut links = Links::new(SECOND);
        links.heard(t0, 10_000, port(2, 1), &probe(1, 10_000));
        assert_eq!(links.next(), Some(t0 + Duration::from_millis(3_250)));
        assert_eq!(links.pop_silent(t0 + Duration::from_millis(3_249)), None);
        let told = links.pop_silent(t0 + Duration::from_millis(3_250)).expect("silent");
        assert_eq!((told.missed, told.way.from), (3, port(1, 2)));
        assert_eq!(links.pop_silent(t0 + Duration::from_millis(3_251)), None);
        assert_eq!(links.peer(port(2, 1)), None);
        assert_eq!(
            links.pop_silent(t0 + Duration::from_millis(6_250)).map(|s| s.missed),
            Some(6)
        );
        let back = t0 + 7 * SECOND;
        assert_eq!(links.heard(back, 17_000, port(2, 1), &probe(2, 17_000)), Heard::News);
        assert_eq!(links.next(), Some(back + Duration::from_millis(3_250)));
    }

    #[test]
    fn a_direction_that_is_heard_is_not_silent_when_its_first_timer_ends() {
        let t0 = Instant::now();
        let mut links = Links::new(SECOND);
        links.heard(t0, 10_000, port(2, 1), &probe(1, 10_000));
        let last = t0 + 2 * SECOND;
        assert_eq!(links.heard(last, 12_000, port(2, 1), &probe(2, 12_000)), Heard::Known);
        assert_eq!(links.pop_silent(t0 + Duration::from_millis(3_250)), None);
        let due = last + Duration::from_millis(3_250);
        assert_eq!(links.next(), Some(due));
        assert_eq!(links.pop_silent(due - Duration::from_millis(1)), None);
        assert_eq!(links.pop_silent(due).map(|s| s.silent), Some(due - last));
    }

    #[test]
    fn a_port_that_left_is_forgotten_without_a_silence() {
        let t0 = Instant::now();
        let mut links = Links::new(SECOND);
        links.heard(t0, 0, port(2, 1), &probe(1, 0));
        links.forget_port(port(2, 1));
        assert_eq!((links.next(), links.len()), (None, 0));
        assert_eq!(links.heard(t0, 0, port(2, 1), &probe(1, 0)), Heard::News);
        links.forget_switch(SwitchId(2));
        assert_eq!(links.len(), 0);
    }

    #[test]
    fn nonces_of_an_older_epoch_or_below_the_window_are_refused() {
        let east: Region = "east".parse().expect("a region");
        let west: Region = "west".parse().expect("a region");
        let mut nonces = Nonces::default();
        for n in 10..40 {
            assert!(nonces.take(&east, Epoch(2), n));
        }
        assert!(!nonces.take(&east, Epoch(2), 11), "below the window");
        assert!(!nonces.take(&east, Epoch(1), 99), "older epoch");
        assert!(nonces.take(&west, Epoch(1), 11), "another region counts for itself");
        assert!(nonces.take(&east, Epoch(3), 1), "a new epoch begins again");
    }
}

//! Orders to the disk that have no answer yet, and whether the disk follows.
//!
//! A disk may hang: what is asked of it neither succeeds nor fails. Whoever waits for it has a deadline, and what is ordered
//! behind it takes memory, so both have an end here. It says that the disk is behind; what is done then, [`crate::keep`]
//! decides.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// A disk that answers nothing for so long, though it is asked, hangs. Half of what a router gives a command
/// (`deadline` of its tables, 10 s), so that the commands that waited for it can be applied still. Cheap cards and disks that
/// spin up stand still for two or three seconds. It is the time without any answer and not the age of an order: after a
/// restart the states of a thousand switches are read one after the other, and the last of them waits for a disk that works.
pub const HANG_MAX: Duration = Duration::from_secs(5);
/// Bytes a second that the slowest disk handles (a worn memory card). An order has this time in addition: the state of a
/// large switch is one order of tens of megabytes.
const SLOWEST_BYTES_PER_S: u64 = 4 * 1024 * 1024;
/// Orders without an answer. For each of 4,096 connections, the most by default, a state that is read, one that is written
/// and the answers of two commands; more wait only for a disk that does not follow.
pub const ORDERS_MAX: usize = 16_384;
/// What is put on disk again after it was away goes on while less than this waits: half of what goes to disk in one flush.
const ROOM_BYTES: u64 = 4 * 1024 * 1024;
/// What an order, and each name in it, takes besides its values.
pub(crate) const ORDER_BYTES: u64 = 64;
/// Who looks so much later than the time to look stood still himself (stopped, or without a processor), and knows nothing
/// of the disk.
const ASLEEP: Duration = Duration::from_secs(1);

/// How the disk is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// It answered nothing for this time, while so many orders waited.
    Hung(Duration, usize),
    /// So many orders have no answer.
    Orders(usize),
    /// Orders of so many bytes have no answer.
    Bytes(u64),
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Behind::Hung(time, orders) => write!(f, "it hangs: no answer for {time:.1?}, {orders} orders wait"),
            Behind::Orders(orders) => write!(f, "it does not follow: {orders} orders wait, {ORDERS_MAX} may"),
            Behind::Bytes(bytes) => write!(f, "it does not follow: {bytes} bytes wait, limits.state_bytes may"),
        }
    }
}

/// Orders to one store, from its opening until it is given up.
#[derive(Debug)]
pub(crate) struct Orders {
    bytes_max: u64,
    /// Token, which grows, and bytes.
    open: BTreeMap<u64, u64>,
    bytes: u64,
    /// When the last answer came; if nothing waited then, when the first order was given.
    moved: Instant,
}

impl Orders {
    /// `bytes_max`: bytes that may have no answer. As many as all states may have together: each switch may be told anew at
    /// the same time.
    pub(crate) fn new(bytes_max: u64, now: Instant) -> Self {
        Orders {
            bytes_max,
            open: BTreeMap::new(),
            bytes: 0,
            moved: now,
        }
    }

    /// Orders that wait.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether what nobody waits for may be ordered now.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < ROOM_BYTES
    }

    /// Something was ordered.
    pub(crate) fn given(&mut self, now: Instant, token: u64, bytes: u64) {
        if self.open.is_empty() {
            self.moved = now;
        }
        self.bytes += bytes;
        self.open.insert(token, bytes);
    }

    /// Something was answered. Gives whether it waited for that.
    pub(crate) fn answered(&mut self, now: Instant, token: u64) -> bool {
        let Some(bytes) = self.open.remove(&token) else {
            return false;
        };
        self.bytes -= bytes;
        self.moved = now;
        true
    }

    /// Whether this order waits.
    pub(crate) fn is_open(&self, token: u64) -> bool {
        self.open.contains_key(&token)
    }

    fn too_many(&self) -> Option<Behind> {
        if self.open.len() > ORDERS_MAX {
            return Some(Behind::Orders(self.open.len()));
        }
        // One order alone is a state that was found to fit.
        (self.bytes > self.bytes_max && self.open.len() > 1).then_some(Behind::Bytes(self.bytes))
    }

    /// When it hangs, if no answer comes.
    fn hangs_at(&self) -> Option<Instant> {
        let (_, bytes) = self.open.first_key_value()?;
        Some(self.moved + HANG_MAX + Duration::from_millis(bytes * 1_000 / SLOWEST_BYTES_PER_S))
    }

    /// When [`Orders::check`] has something to say.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.too_many().map(|_| self.moved).or_else(|| self.hangs_at())
    }

    /// Whether the disk is behind.
    pub(crate) fn check(&mut self, now: Instant) -> Option<Behind> {
        if let Some(behind) = self.too_many() {
            return Some(behind);
        }
        let at = self.hangs_at().filter(|at| now >= *at)?;
        if now >= at + ASLEEP {
            self.moved = now;
            return None;
        }
        Some(Behind::Hung(now.saturating_duration_since(self.moved), self.open.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BYTES: u64 = 1_000_000;

    #[test]
    fn a_disk_hangs_when_nothing_is_answered_and_not_when_the_last_one_waits_long() {
        let t0 = Instant::now();
        let mut orders = Orders::new(BYTES, t0);
        assert_eq!(orders.deadline(), None);
        let t1 = t0 + 60 * SECOND;
        for token in 1..=20 {
            orders.given(t1, token, 0);
        }
        // Each takes four seconds.
        let mut now = t1;
        for token in 1..20 {
            now += 4 * SECOND;
            assert_eq!(orders.check(now), None, "order {token}");
            assert!(orders.answered(now, token));
        }
        assert_eq!(orders.deadline(), Some(now + HANG_MAX));
        assert_eq!(orders.check(now + HANG_MAX - Duration::from_nanos(1)), None);
        assert_eq!(orders.check(now + HANG_MAX), Some(Behind::Hung(HANG_MAX, 1)));
        assert!(orders.answered(now + HANG_MAX, 20));
        assert!(!orders.answered(now + HANG_MAX, 20), "it waits for it no longer");
        assert_eq!((orders.deadline(), orders.len(), orders.bytes), (None, 0, 0));
    }

    #[test]
    fn a_large_order_has_the_time_that_a_slow_disk_takes_for_it() {
        let t0 = Instant::now();
        let mut orders = Orders::new(1 << 30, t0);
        orders.given(t0, 1, 40 * 1024 * 1024);
        orders.given(t0, 2, 400 * 1024 * 1024);
        // Not that of what waits behind it.
        assert_eq!(orders.deadline(), Some(t0 + HANG_MAX + 10 * SECOND));
    }

    #[test]
    fn who_stood_still_himself_gives_the_disk_its_time_once_more() {
        let t0 = Instant::now();
        let mut orders = Orders::new(BYTES, t0);
        orders.given(t0, 1, 0);
        let woken = t0 + 60 * SECOND;
        assert_eq!(orders.check(woken), None);
        assert_eq!(orders.deadline(), Some(woken + HANG_MAX));
        assert_eq!(orders.check(woken + HANG_MAX), Some(Behind::Hung(HANG_MAX, 1)));
    }

    #[test]
    fn too_many_orders_and_too_many_bytes_are_seen_at_once_and_at_the_limit_nothing_is() {
        let t0 = Instant::now();
        let mut orders = Orders::new(BYTES, t0);
        let max = ORDERS_MAX as u64;
        for token in 1..=max {
            orders.given(t0, token, 1);
            assert_eq!(orders.check(t0), None);
        }
        orders.given(t0, max + 1, 1);
        assert_eq!(orders.deadline(), Some(t0));
        assert_eq!(orders.check(t0), Some(Behind::Orders(ORDERS_MAX + 1)));
        let mut orders = Orders::new(BYTES, t0);
        orders.given(t0, 1, 2 * BYTES);
        assert_eq!(orders.check(t0), None, "a state that fits just so");
        orders.answered(t0, 1);
        orders.given(t0, 2, BYTES - 1);
        orders.given(t0, 3, 1);
        assert_eq!(orders.check(t0), None);
        orders.given(t0, 4, 1);
        assert_eq!(orders.deadline(), Some(t0));
        assert_eq!(orders.check(t0), Some(Behind::Bytes(BYTES + 1)));
    }
}

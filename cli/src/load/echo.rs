//! Questions of one connection that wait for their answers: echo requests by their xid, packet-ins by a number in the packet.
//!
//! ```text
//! number   0x4000_0000 | round (18 bits) << 12 | slot (12 bits)
//! ```
//!
//! The switch itself asks with xid 0, so what is ours is seen in the number. An answer that comes twice, or to a question
//! of another round, is not ours.

use std::time::{Duration, Instant};

/// Requests of one connection that may be unanswered at a time; as many as slots can be named.
pub const IN_FLIGHT_MAX: usize = 1 << SLOT_BITS;

const SLOT_BITS: u32 = 12;
const OURS: u32 = 0x4000_0000;
const ROUNDS: u32 = OURS >> SLOT_BITS;

/// The window of one connection.
#[derive(Debug, Default)]
pub struct Window {
    /// When the request in a slot was sent; none: it is answered.
    sent: Vec<Option<Instant>>,
    /// The round of each slot.
    rounds: Vec<u32>,
    /// Where to look for a free slot next.
    next: usize,
    outstanding: usize,
}

impl Window {
    /// So many requests at a time; what was outstanding is forgotten.
    pub fn resize(&mut self, slots: usize) {
        let slots = slots.min(IN_FLIGHT_MAX);
        self.sent.clear();
        self.sent.resize(slots, None);
        self.rounds.resize(slots, 0);
        self.outstanding = 0;
        self.next = 0;
    }

    /// Nothing that was asked will be answered: the connection is gone. How many that were.
    pub fn forget(&mut self) -> usize {
        self.sent.fill(None);
        std::mem::take(&mut self.outstanding)
    }

    /// How many are unanswered.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Gives up what was asked at least that long ago; how many that were.
    pub fn expire(&mut self, now: Instant, age: Duration) -> usize {
        if self.outstanding == 0 {
            return 0;
        }
        let old = |sent: &Option<Instant>| sent.is_some_and(|sent| now.saturating_duration_since(sent) >= age);
        let mut gone = 0;
        for sent in self.sent.iter_mut().filter(|sent| old(sent)) {
            *sent = None;
            gone += 1;
        }
        self.outstanding -= gone;
        gone
    }

    /// The xid to ask with, if one more may be asked.
    pub fn ask(&mut self, now: Instant) -> Option<u32> {
        if self.outstanding >= self.sent.len() {
            return None;
        }
        // There is a free one, and after an answer it is the next one or near.
        while self.sent.get(self.next)?.is_some() {
            self.next = (self.next + 1) % self.sent.len();
        }
        let slot = self.next;
        *self.sent.get_mut(slot)? = Some(now);
        self.outstanding += 1;
        let round = self.rounds.get_mut(slot)?;
        *round = (*round + 1) % ROUNDS;
        Some(OURS | *round << SLOT_BITS | u32::try_from(slot).ok()?)
    }

    /// An answer came: how long it took, if the question was ours.
    pub fn answered(&mut self, now: Instant, xid: u32) -> Option<Duration> {
        if xid & !(OURS - 1) != OURS {
            return None;
        }
        let slot = usize::try_from(xid & ((1 << SLOT_BITS) - 1)).ok()?;
        let round = (xid & (OURS - 1)) >> SLOT_BITS;
        if *self.rounds.get(slot)? != round {
            return None;
        }
        let sent = self.sent.get_mut(slot)?.take()?;
        self.outstanding -= 1;
        self.next = slot;
        Some(now.saturating_duration_since(sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_asked_as_there_is_room_and_each_answer_counts_once() {
        let start = Instant::now();
        let later = start + Duration::from_millis(3);
        let mut window = Window::default();
        assert_eq!(window.ask(start), None);
        window.resize(3);
        let asked: Vec<u32> = std::iter::from_fn(|| window.ask(start)).collect();
        assert_eq!((asked.len(), window.outstanding()), (3, 3));
        // In any order.
        let took = Some(Duration::from_millis(3));
        assert_eq!(window.answered(later, asked[1]), took);
        assert_eq!(window.answered(later, asked[1]), None, "twice");
        let again = window.ask(later).expect("there is room");
        assert!(
            !asked.contains(&again),
            "a late answer to another question is none to this"
        );
        assert_eq!(window.answered(later, asked[1]), None, "another round");
        for other in [0, 7, 0x8000_0000 | again, 0xffff_ffff, again + 64] {
            assert_eq!(window.answered(later, other), None, "{other:#x}");
        }
        assert_eq!(window.answered(later, again), Some(Duration::ZERO));
        assert_eq!((window.outstanding(), window.forget(), window.outstanding()), (2, 2, 0));
        assert_eq!(window.answered(later, asked[0]), None, "forgotten");
    }

    #[test]
    fn what_is_old_is_given_up_and_makes_room() {
        let start = Instant::now();
        let (age, later) = (Duration::from_secs(1), start + Duration::from_millis(600));
        let mut window = Window::default();
        window.resize(2);
        let old = window.ask(start).expect("room");
        let young = window.ask(later).expect("room");
        assert_eq!(window.expire(start + age, age), 1);
        assert_eq!(window.answered(later, old), None, "given up");
        assert!(window.ask(later).is_some() && window.ask(later).is_none());
        assert!(window.answered(later, young).is_some());
    }

    #[test]
    fn rounds_begin_again() {
        let now = Instant::now();
        let mut window = Window::default();
        window.resize(1);
        let mut last = 0;
        for _ in 0..ROUNDS + 3 {
            let xid = window.ask(now).expect("free");
            assert!(xid != last && xid >> 30 == 1);
            assert!(window.answered(now, xid).is_some());
            last = xid;
        }
    }
}

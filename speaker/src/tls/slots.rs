//! How many TLS handshakes are under way: some in all, and a part of them from one address.
//!
//! A connection takes its place when its first byte came, so those that say nothing take none; those without a place
//! wait unread, and the machine's deadline for the whole handshake ends those that wait too long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One address has at most this part of all places: others always find one while fewer addresses than this are slow.
const PART_OF_ONE: usize = 4;

/// The places.
#[derive(Debug)]
pub struct Slots {
    all: Arc<Semaphore>,
    of_one_max: usize,
    /// By address, while one of its connections has a place or waits for one.
    of_one: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    // Dropped in this order: the address is forgotten when nothing of it is left.
    _all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
    _share: Share,
}

/// An address that has a place or waits for one.
#[derive(Debug)]
struct Share {
    source: IpAddr,
    slots: Arc<Slots>,
    places: Arc<Semaphore>,
}

impl Slots {
    /// So many places.
    pub fn new(places: usize) -> Slots {
        Slots {
            all: Arc::new(Semaphore::new(places)),
            of_one_max: places.div_ceil(PART_OF_ONE),
            of_one: Mutex::default(),
        }
    }

    /// Wait for a place.
    pub async fn take(self: &Arc<Self>, source: IpAddr) -> Slot {
        let places = self
            .of_one()
            .entry(source)
            .or_insert_with(|| Arc::new(Semaphore::new(self.of_one_max)))
            .clone();
        let slots = self.clone();
        let share = Share { source, slots, places };
        let take = |places: &Arc<Semaphore>| places.clone().acquire_owned();
        // First the own share, so that whoever waits for it keeps no place of others.
        let of_one = take(&share.places).await.expect("these are never closed");
        let all = take(&self.all).await.expect("these are never closed");
        Slot {
            _all: all,
            _of_one: of_one,
            _share: share,
        }
    }

    fn of_one(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Semaphore>>> {
        self.of_one.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut of_one = self.slots.of_one();
        // Ours and the map's: nobody else of this address has a place or waits for one.
        if Arc::strong_count(&self.places) <= 2 {
            of_one.remove(&self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A place that is there at once.
    fn now(slots: &Arc<Slots>, source: &str) -> Option<Slot> {
        let waiting = pin!(slots.take(source.parse().expect("an address")));
        let mut waiting = waiting;
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(slot) => Some(slot),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_address_leaves_places_for_others_and_all_have_an_end() {
        let slots = Arc::new(Slots::new(8));
        let mut taken: Vec<Slot> = (0..2).map(|_| now(&slots, "10.0.0.1").expect("its share")).collect();
        assert!(now(&slots, "10.0.0.1").is_none(), "more than its share");
        for host in 2..=4 {
            let source = format!("10.0.0.{host}");
            taken.extend((0..2).map(|_| now(&slots, &source).expect("its share")));
        }
        assert!(now(&slots, "10.0.0.5").is_none(), "all are taken");
        taken.remove(0);
        taken.push(now(&slots, "10.0.0.5").expect("one was given back"));
        drop(taken);
        assert!(now(&slots, "10.0.0.1").is_some());
    }

    #[test]
    fn an_address_is_forgotten_with_its_last_place() {
        let slots = Arc::new(Slots::new(4));
        let first = now(&slots, "10.0.0.1").expect("free");
        assert!(now(&slots, "10.0.0.1").is_none());
        assert_eq!(slots.of_one().len(), 1);
        let others: Vec<Slot> = (2..=4)
            .map(|n| now(&slots, &format!("10.0.0.{n}")).expect("free"))
            .collect();
        assert!(now(&slots, "10.0.0.9").is_none(), "no place, and it gave up waiting");
        assert_eq!(slots.of_one().len(), 4);
        drop((first, others));
        assert_eq!(slots.of_one().len(), 0);
    }
}

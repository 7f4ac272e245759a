//! Virtual events, numbered, and the last of them kept for readers that come back.

use std::collections::VecDeque;

use skerry_bus::{Availability, VirtualEvent, VirtualEventBody};

/// Events kept for readers that resume. At ten events a second this is over an hour; who was away longer reads the
/// current state and goes on from there.
pub const EVENTS_KEPT_MAX: usize = 65_536;

/// The log.
#[derive(Debug, Default)]
pub struct EventLog {
    kept: VecDeque<VirtualEvent>,
    last: u64,
}

impl EventLog {
    /// Number the event and keep it.
    pub fn push(&mut self, event: VirtualEventBody, availability_data: Availability, at_ms: u64) -> VirtualEvent {
        self.last += 1;
        let event = VirtualEvent {
            event,
            availability_data,
            at_ms,
            number: self.last,
        };
        if self.kept.len() == EVENTS_KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        event
    }

    /// Events after `number` that are still kept, oldest first.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &VirtualEvent> {
        let skip = self.kept.partition_point(|e| e.number <= number);
        self.kept.range(skip..)
    }
}

#[cfg(test)]
mod tests {
    use skerry_bus::SwitchId;

    use super::*;

    #[test]
    fn a_reader_that_comes_back_gets_what_it_missed() {
        let mut log = EventLog::default();
        for n in 1..=5 {
            let event = VirtualEventBody::SwitchAvailability { switch: SwitchId(n) };
            assert_eq!(log.push(event, Availability::default(), 0).number, n);
        }
        assert_eq!(log.since(3).map(|e| e.number).collect::<Vec<_>>(), vec![4, 5]);
        assert_eq!(log.since(0).count(), 5);
        assert_eq!(log.since(9).count(), 0);
    }
}

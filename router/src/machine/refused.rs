//! Connections that were refused: an operator who does not see a switch looks here.

use std::collections::VecDeque;

use skerry_bus::api::RefusedView;

/// Refusals kept, by host and reason; the oldest goes first. More would only repeat what is wrong.
pub const REFUSED_MAX: usize = 256;

/// What was refused.
#[derive(Debug, Default)]
pub struct Refused {
    refused: VecDeque<RefusedView>,
}

impl Refused {
    /// A connection was refused.
    pub fn push(&mut self, refusal: RefusedView) {
        // The port of an address changes with every attempt: the same host with the same reason is the same refusal.
        let host = |address: &str| {
            address
                .rsplit_once(':')
                .map_or(address.to_owned(), |(h, _)| h.to_owned())
        };
        let same = |r: &RefusedView| {
            r.region == refusal.region
                && r.switch_id == refusal.switch_id
                && r.reason == refusal.reason
                && host(&r.address) == host(&refusal.address)
        };
        let times = match self.refused.iter().position(same) {
            Some(at) => self.refused.remove(at).map_or(0, |r| r.times),
            None => 0,
        };
        if self.refused.len() == REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(RefusedView {
            times: times + 1,
            ..refusal
        });
    }

    /// Refusals, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &RefusedView> {
        self.refused.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_host_with_the_same_reason_is_counted_and_the_newest_comes_first() {
        let refusal = |address: &str, reason: &str| RefusedView {
            switch_id: None,
            region: "east".parse().expect("a region"),
            address: address.into(),
            reason: reason.into(),
            at_ms: 1,
            times: 0,
        };
        let mut refused = Refused::default();
        refused.push(refusal("10.0.0.1:1000", "OpenFlow 1.0 only"));
        refused.push(refusal("10.0.0.2:1000", "OpenFlow 1.0 only"));
        refused.push(refusal("10.0.0.1:1001", "OpenFlow 1.0 only"));
        let seen: Vec<_> = refused.newest_first().map(|r| (r.address.as_str(), r.times)).collect();
        assert_eq!(seen, [("10.0.0.1:1001", 2), ("10.0.0.2:1000", 1)]);
        for n in 0..2 * REFUSED_MAX {
            refused.push(refusal(&format!("10.1.{}.{}:1", n / 256, n % 256), "x"));
        }
        assert_eq!(refused.newest_first().count(), REFUSED_MAX);
    }
}

//! One region's reach of one switch, as last told.

use std::time::{Duration, Instant};

use skerry_bus::presence::RecordedRegion;
use skerry_bus::{Epoch, Mode, PortState, Region, RegionPresence, Role, SwitchState, Term};

/// The same connection's beginning, reckoned twice, differs by less: by delays on the way and by what is known of clocks.
const SINCE_SLACK_MS: u64 = 2_000;

/// A region that reaches a switch.
#[derive(Debug, Clone)]
pub struct Reach {
    /// What it may do.
    pub mode: Mode,
    /// The role it said it holds.
    pub role: Role,
    /// Address the switch connects from.
    pub ip: String,
    /// The same with its port.
    pub address: String,
    /// Address and port of the speaker it connected to.
    pub speaker_address: String,
    /// Since when it is connected, milliseconds by the broker's clock; 0: not known.
    pub since_ms: u64,
    /// Epoch of its speaker.
    pub epoch: Epoch,
    /// Partition it was told in; none: remembered from before our start.
    pub partition: Option<i32>,
    /// The switch as this region sees it, whole; none: remembered from before our start.
    pub state: Option<Box<SwitchState>>,
    /// Uptime when it was told.
    uptime_ms: u64,
    told: Instant,
    /// Since when we know this connection.
    pub(super) since: Instant,
    /// Times in a row it was told to become active and did not, or lost the role soon.
    pub(super) failures: u32,
    /// Passed over until then, while there is another.
    pub(super) aside: Option<Instant>,
}

impl Reach {
    /// `now_ms` is the broker's clock; 0: not known.
    pub(super) fn reported(now: Instant, now_ms: u64, epoch: Epoch, partition: i32, state: SwitchState) -> Self {
        Reach {
            address: state.address.clone(),
            speaker_address: state.speaker_address.clone(),
            since_ms: now_ms.saturating_sub(state.uptime_ms),
            mode: state.mode,
            role: state.role,
            ip: without_port(&state.address).to_owned(),
            epoch,
            partition: Some(partition),
            uptime_ms: state.uptime_ms,
            state: Some(Box::new(state)),
            told: now,
            since: now,
            failures: 0,
            aside: None,
        }
    }

    pub(super) fn restored(now: Instant, recorded: &RecordedRegion) -> Self {
        let presence = &recorded.presence;
        Reach {
            address: recorded.address.clone(),
            speaker_address: recorded.speaker_address.clone(),
            since_ms: recorded.since_ms,
            mode: presence.mode,
            role: presence.role,
            ip: presence.ip.clone(),
            epoch: recorded.epoch,
            partition: None,
            state: None,
            uptime_ms: presence.uptime,
            told: now,
            since: now,
            failures: 0,
            aside: None,
        }
    }

    /// Told again, of the same connection: what is counted from its beginning stays, although clocks are read at other moments.
    pub(super) fn goes_on(&mut self, before: &Reach) {
        self.since = before.since;
        self.failures = before.failures;
        self.aside = before.aside;
        if before.since_ms.abs_diff(self.since_ms) <= SINCE_SLACK_MS {
            self.since_ms = before.since_ms;
        }
    }

    /// How long the switch has been connected to the region.
    pub fn uptime(&self, now: Instant) -> Duration {
        Duration::from_millis(self.uptime_ms) + now.saturating_duration_since(self.told)
    }

    /// The number its switch showed, if it was told.
    pub(super) fn term_seen(&self) -> Option<Term> {
        self.state.as_ref().and_then(|s| s.term_seen)
    }

    /// Number of the connection within the epoch.
    pub(super) fn connection(&self) -> Option<u64> {
        self.state.as_ref().map(|s| s.connection)
    }

    pub(super) fn is_aside(&self, now: Instant) -> bool {
        self.aside.is_some_and(|until| now < until)
    }

    /// Take a port's news into the state as this region sees it.
    pub(super) fn port(&mut self, port: &PortState, removed: bool) {
        let Some(state) = &mut self.state else { return };
        state.ports.retain(|p| p.port != port.port);
        if !removed {
            state.ports.push(port.clone());
            state.ports.sort_by_key(|p| p.port);
        }
    }

    /// As others see it.
    pub(super) fn presence(&self, now: Instant, region: &Region, active: bool) -> RegionPresence {
        RegionPresence {
            region: region.clone(),
            ip: self.ip.clone(),
            mode: self.mode,
            // To the nearest millisecond: deadlines are a nanosecond late on purpose.
            uptime: (self.uptime(now) + Duration::from_micros(500)).as_millis() as u64,
            role: self.role,
            active,
        }
    }
}

/// `10.0.0.1:41234` and `[::1]:41234` without the port; anything else as it is.
fn without_port(address: &str) -> &str {
    match address.parse::<std::net::SocketAddr>() {
        Ok(_) => address
            .rsplit_once(':')
            .map_or(address, |(ip, _)| ip.trim_start_matches('[').trim_end_matches(']')),
        Err(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_port() {
        for (given, shown) in [
            ("10.0.0.1:41234", "10.0.0.1"),
            ("[fe80::1]:6653", "fe80::1"),
            ("10.0.0.1", "10.0.0.1"),
            ("fe80::1", "fe80::1"),
            ("", ""),
        ] {
            assert_eq!(without_port(given), shown);
        }
    }
}

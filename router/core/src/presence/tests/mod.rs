//! Presence in virtual time.

mod drains;
mod random;
mod stories;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use skerry_bus::{Mode, PortNo, PortState, Role, Seq, SwitchState};

use super::*;

/// The broker's clock at the beginning of every test.
const T0_MS: u64 = 1_000_000;
const S1: SwitchId = SwitchId(1);

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// A presence machine with regions `east`, `west` (in this order of preference) and `north`.
struct Rig {
    t0: Instant,
    ms: u64,
    machine: PresenceMachine,
    epoch: BTreeMap<String, u64>,
    seq: BTreeMap<String, u64>,
    /// Regions whose heartbeats come by themselves.
    beating: BTreeSet<String>,
    got: Vec<(u64, Output)>,
}

impl Rig {
    fn new(failback: Failback) -> Self {
        let regions = ["east", "west", "north"]
            .iter()
            .zip([1, 2, 2])
            .map(|(name, preference)| RegionConfig {
                region: region(name),
                preference,
            })
            .collect();
        let t0 = Instant::now();
        let mut config = Config::new(regions, 1);
        config.failback = failback;
        let mut machine = PresenceMachine::new(config, t0);
        machine.handle_input(t0, Input::Clock(BrokerClock::new(t0, T0_MS)));
        let epochs = ["east", "west", "north"].map(|n| (n.to_owned(), 1));
        Rig {
            t0,
            ms: 0,
            machine,
            epoch: epochs.into(),
            seq: BTreeMap::new(),
            beating: BTreeSet::new(),
            got: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        self.t0 + Duration::from_millis(self.ms)
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.got.push((self.ms, output));
        }
    }

    /// A message of the region, read at once.
    fn say(&mut self, name: &str, body: RegionEventBody) {
        let seq = self.seq.entry(name.to_owned()).or_insert(0);
        *seq += 1;
        let event = RegionEvent {
            region: region(name),
            epoch: Epoch(self.epoch[name]),
            seq: Seq(*seq),
            at_ms: 0,
            correlation_id: None,
            body,
        };
        let input = Input::Event {
            partition: 0,
            record_ms: T0_MS + self.ms,
            caught_up: true,
            event: Box::new(event),
        };
        self.machine.handle_input(self.now(), input);
        self.drain();
    }

    fn beat(&mut self, name: &str) {
        self.say(
            name,
            RegionEventBody::Heartbeat {
                switches: 0,
                coalesced: 0,
                speaker: String::new(),
            },
        );
    }

    /// The region tells exactly these switches.
    fn snapshot(&mut self, name: &str, states: Vec<SwitchState>) {
        let snapshot: CorrelationId = "s".parse().expect("a correlation id");
        let switches = states.len() as u32;
        self.say(
            name,
            RegionEventBody::SnapshotBegin {
                snapshot: snapshot.clone(),
            },
        );
        for state in states {
            self.say(
                name,
                RegionEventBody::SnapshotSwitch {
                    snapshot: snapshot.clone(),
                    state,
                },
            );
        }
        self.say(name, RegionEventBody::SnapshotEnd { snapshot, switches });
    }

    /// The region starts, with no switch, and its heartbeats come by themselves.
    fn start(&mut self, name: &str) {
        self.beating.insert(name.to_owned());
        self.snapshot(name, vec![]);
    }

    fn connect(&mut self, name: &str, state: SwitchState) {
        self.say(name, RegionEventBody::SwitchConnected { state });
    }

    fn change(&mut self, name: &str, state: SwitchState) {
        self.say(name, RegionEventBody::SwitchChanged { state });
    }

    fn disconnect(&mut self, name: &str, connection: u64) {
        self.say(
            name,
            RegionEventBody::SwitchDisconnected {
                switch: S1,
                connection,
                reason: "closed".to_owned(),
            },
        );
    }

    fn lost_role(&mut self, name: &str, term: u64) {
        self.say(
            name,
            RegionEventBody::LostRole {
                switch: S1,
                term: Term(term),
                seen: "IS_SLAVE".to_owned(),
            },
        );
    }

    /// The region confirms the term.
    fn confirm(&mut self, name: &str, connection: u64, term: u64) {
        self.change(name, master(state(connection), term));
    }

    fn restore(&mut self, record: PresenceRecord) {
        self.machine.handle_input(self.now(), Input::Restored(Box::new(record)));
        self.drain();
    }

    fn drain_region(&mut self, name: &str, drained: bool) {
        let region = region(name);
        self.machine.handle_input(self.now(), Input::Drain { region, drained });
        self.drain();
    }

    /// Let time pass, timers at their own times, heartbeats every 250 ms.
    fn run(&mut self, ms: u64) {
        while self.ms < ms {
            let beat = self.ms / 250 * 250 + 250;
            let timer = self.machine.poll_timeout().map(|(at, _)| {
                // Whole milliseconds, never early.
                at.saturating_duration_since(self.t0).as_nanos().div_ceil(1_000_000) as u64
            });
            let next = timer.unwrap_or(u64::MAX).min(beat).min(ms);
            self.ms = next.max(self.ms);
            if timer.is_some_and(|t| t <= next) {
                self.machine.handle_timeout(self.now());
                self.drain();
            }
            if next == beat {
                for name in self.beating.clone() {
                    self.beat(&name);
                }
            }
        }
    }

    /// What came out since the last call, in short; records, passed messages and regions' own events left out.
    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.got)
            .iter()
            .filter_map(|(_, o)| short(o))
            .collect()
    }

    fn standing(&self) -> String {
        match self.machine.switch(S1) {
            None => "unknown".to_owned(),
            Some(switch) => {
                let of = |region: &Region, how: &str| format!("{how} {region}/{}", switch.term());
                match switch.standing() {
                    switch::Standing::Vacant { .. } => switch.status().to_owned(),
                    switch::Standing::Claiming { region, .. } => of(region, "claiming"),
                    switch::Standing::Held { region, .. } => of(region, "held"),
                    switch::Standing::Pausing { region, .. } => of(region, "pausing"),
                }
            }
        }
    }
}

fn short(output: &Output) -> Option<String> {
    use VirtualEventBody as V;
    Some(match output {
        Output::Activate { region, term, .. } => format!("activate {region}/{term}"),
        Output::Deactivate { region, term, .. } => format!("deactivate {region}/{term}"),
        Output::ActiveChanged {
            region: Some(region),
            term,
            ..
        } => format!("active {region}/{term}"),
        Output::ActiveChanged { region: None, term, .. } => format!("active none/{term}"),
        Output::AskSwitchSnapshot { region, .. } => format!("ask {region}"),
        Output::Forget(_) => "forget".to_owned(),
        Output::Virtual(event, _) => match event {
            V::SwitchConnected { region, term, .. } => format!("CONNECTED {region}/{term}"),
            V::SwitchConnectedElsewhere { region, term, .. } => format!("ELSEWHERE {region}/{term}"),
            V::SwitchAvailability { .. } => "AVAILABILITY".to_owned(),
            V::SwitchDisconnected { region_lost: true, .. } => "DISCONNECTED region lost".to_owned(),
            V::SwitchDisconnected { region_lost: false, .. } => "DISCONNECTED".to_owned(),
            V::SwitchRoleLost { region, .. } => format!("ROLE LOST {region}"),
            V::PortChanged {
                port, removed: true, ..
            } => format!("PORT {} gone", port.port),
            V::PortChanged { port, .. } => format!("PORT {} {}", port.port, if port.up { "up" } else { "down" }),
            V::RegionChanged { .. } => return None,
            other => format!("{other:?}"),
        },
        Output::Ignored { reason, .. } => format!("ignored {reason:?}"),
        Output::AskRegionSnapshot { .. }
        | Output::Record(_)
        | Output::RegionChanged { .. }
        | Output::NewEpoch { .. }
        | Output::Passed(_)
        | Output::UnknownRegion(_)
        | Output::Twin { .. }
        | Output::Drained { .. } => return None,
    })
}

/// Switch 1 as a region tells it: RW, SLAVE, generation id not seen.
fn state(connection: u64) -> SwitchState {
    SwitchState {
        switch: S1,
        connection,
        address: "10.0.0.1:40000".to_owned(),
        speaker_address: "10.0.0.9:6653".to_owned(),
        mode: Mode::ReadWrite,
        role: Role::Slave,
        term_seen: None,
        uptime_ms: 0,
        generation: None,
        description: Default::default(),
        ports: vec![port(1, true)],
        control_rtt_ns: None,
        features: Default::default(),
    }
}

fn port(number: u32, up: bool) -> PortState {
    PortState {
        port: PortNo(number),
        name: format!("p{number}"),
        up,
        speed_kbps: 0,
    }
}

fn master(state: SwitchState, term: u64) -> SwitchState {
    SwitchState {
        role: Role::Master,
        term_seen: Some(Term(term)),
        ..state
    }
}

fn slave(state: SwitchState, term: u64) -> SwitchState {
    SwitchState {
        role: Role::Slave,
        term_seen: Some(Term(term)),
        ..state
    }
}

fn read_only(state: SwitchState) -> SwitchState {
    SwitchState {
        mode: Mode::ReadOnly,
        ..state
    }
}

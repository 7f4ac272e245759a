//! Recorded messages of regions in, events of switches out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use skerry_bus::recording::{Recording, Replay, ReplayError, Wrong};
use skerry_bus::{
    BrokerClock, CorrelationId, Epoch, Mode, Region, RegionEvent, RegionEventBody, RegionPresence, Role, Seq, SwitchId,
    SwitchState, Term, VirtualEventBody,
};

use crate::presence::{Config, Failback, Input, Output, PresenceMachine, RegionConfig};

/// Longest durations that are read, milliseconds: a day.
const DURATION_MAX_MS: u64 = 86_400_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at_ms: u64,
    config: Option<ConfigLine>,
    region: Option<Region>,
    epoch: Option<u64>,
    seq: Option<u64>,
    record_ms: Option<u64>,
    caught_up: Option<bool>,
    heartbeat: Option<bool>,
    connected: Option<SwitchId>,
    disconnected: Option<SwitchId>,
    snapshot: Option<Vec<SwitchId>>,
    role_of: Option<SwitchId>,
    lost_role: Option<SwitchId>,
    mode: Option<Mode>,
    role: Option<Role>,
    term: Option<u64>,
    uptime_ms: Option<u64>,
    connection: Option<u64>,
    ip: Option<String>,
    confirms: Option<bool>,
    end: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigLine {
    regions: Vec<RegionEntry>,
    failback: Option<FailbackName>,
    hold_down_ms: Option<u64>,
    silence_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FailbackName {
    Sticky,
    Preferred,
}

/// `"east"` or `{"region": "east", "preference": 1}`.
#[derive(Debug)]
struct RegionEntry {
    region: Region,
    preference: Option<u32>,
}

impl<'de> Deserialize<'de> for RegionEntry {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            region: Region,
            preference: Option<u32>,
        }
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = RegionEntry;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a region, or {\"region\", \"preference\"}")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RegionEntry, E> {
                Ok(RegionEntry {
                    region: text.parse().map_err(E::custom)?,
                    preference: None,
                })
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<RegionEntry, M::Error> {
                let whole = Whole::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RegionEntry {
                    region: whole.region,
                    preference: whole.preference,
                })
            }
        }
        d.deserialize_any(Entry)
    }
}

#[derive(Debug, Serialize)]
struct OutLine {
    at_ms: u64,
    switch: SwitchId,
    event: &'static str,
    active_region: Option<Region>,
    term: Term,
    availability: Vec<RegionPresence>,
}

/// A region as its lines tell it.
#[derive(Debug, Default)]
struct Speaker {
    epoch: u64,
    /// The number its last line had.
    said: Option<u64>,
    /// The number the machine was given: gapless, unless the lines have a gap.
    given: u64,
    /// Record time of its last line, and whether the reader was caught up with it.
    record_ms: u64,
    behind: bool,
    connections: u64,
    switches: BTreeMap<SwitchId, Connection>,
}

#[derive(Debug)]
struct Connection {
    state: SwitchState,
    /// When its uptime was what its state says.
    at_ms: u64,
    /// Whether a told role is taken at once.
    confirms: bool,
}

/// A replay under way.
#[derive(Debug)]
pub struct PresenceReplay {
    recording: Recording,
    machine: Option<PresenceMachine>,
    speakers: BTreeMap<Region, Speaker>,
    /// Who is active, in the order of what comes out.
    active: BTreeMap<SwitchId, (Option<Region>, Term)>,
    said: Vec<String>,
}

impl Replay for PresenceReplay {
    fn line(&mut self, text: &str) -> Result<Vec<String>, ReplayError> {
        let Some(line) = self.recording.read(text, |line: &Line| line.at_ms)? else {
            return Ok(Vec::new());
        };
        let result = self.take(line);
        let said = std::mem::take(&mut self.said);
        match result {
            Ok(()) => Ok(said),
            Err((field, cause)) => Err(self.recording.error(field, cause)),
        }
    }
}

impl PresenceReplay {
    /// A replay whose time 0 is `origin`; any instant does.
    pub fn new(origin: Instant) -> Self {
        PresenceReplay {
            recording: Recording::new(origin),
            machine: None,
            speakers: BTreeMap::new(),
            active: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn take(&mut self, mut line: Line) -> Result<(), Wrong> {
        if self.machine.is_none() {
            let Some(config) = line.config.take() else {
                return Err(("config", "the first line has it".to_owned()));
            };
            if let Some(field) = line.unused() {
                return Err((field, "the first line has only at_ms and config".to_owned()));
            }
            let now = self.recording.now();
            let mut machine = PresenceMachine::new(config.check()?, now);
            machine.handle_input(now, Input::Clock(BrokerClock::new(now, line.at_ms)));
            self.machine = Some(machine);
            return Ok(());
        }
        if line.config.is_some() {
            return Err(("config", "only the first line has it".to_owned()));
        }
        match line.end.take() {
            Some(true) => {
                if let Some(field) = line.unused() {
                    return Err((field, "a line with end has only at_ms beside it".to_owned()));
                }
                self.advance();
                return Ok(());
            }
            Some(false) => return Err(("end", "true is expected".to_owned())),
            None => {}
        }
        let Some(region) = line.region.take() else {
            return Err((
                "region",
                "every line but the first and the end names a region".to_owned(),
            ));
        };
        let message = line.message()?;
        if let Some(field) = line.unused() {
            return Err((field, format!("is not used by a line with {}", message.name())));
        }
        self.advance();
        self.message(region, &line, message);
        Ok(())
    }

    /// A region says something.
    fn message(&mut self, region: Region, line: &Line, message: Message) {
        let now_ms = line.at_ms;
        let speaker = self.speakers.entry(region.clone()).or_insert_with(|| Speaker {
            epoch: 1,
            ..Speaker::default()
        });
        let epoch = line.epoch.unwrap_or(speaker.epoch);
        if epoch > speaker.epoch {
            *speaker = Speaker {
                epoch,
                connections: speaker.connections,
                ..Speaker::default()
            };
        }
        let stale = epoch < speaker.epoch;
        // Lines without a number take the next one; a number left out is a gap for the machine too.
        let repeated = line.seq.is_some_and(|seq| speaker.said.is_some_and(|said| seq <= said));
        if let Some(seq) = line.seq.filter(|_| !stale && !repeated) {
            if speaker.said.is_some_and(|said| seq > said + 1) {
                speaker.given += 1;
            }
            speaker.said = Some(seq);
        }
        let counts = !stale && !repeated;
        let record_ms = line.record_ms.unwrap_or(now_ms);
        if counts {
            speaker.record_ms = record_ms;
            speaker.behind = line.caught_up == Some(false);
        }
        let caught_up = line.caught_up.unwrap_or(true);
        let bodies = speaker.bodies(line, message, counts);
        for body in bodies {
            let speaker = self.speakers.get_mut(&region);
            let Some(speaker) = speaker else { return };
            if counts {
                speaker.given += 1;
            }
            let seq = speaker.given;
            self.give(region.clone(), epoch, seq, record_ms, caught_up, body);
        }
    }

    fn give(&mut self, region: Region, epoch: u64, seq: u64, record_ms: u64, caught_up: bool, body: RegionEventBody) {
        let now = self.recording.now();
        let Some(machine) = &mut self.machine else { return };
        let event = RegionEvent {
            region,
            epoch: Epoch(epoch),
            seq: Seq(seq),
            at_ms: record_ms,
            correlation_id: None,
            body,
        };
        machine.handle_input(
            now,
            Input::Event {
                partition: 0,
                record_ms,
                caught_up,
                event: Box::new(event),
            },
        );
        self.drain(now);
    }

    /// Fires timers up to the line's time, each at its own.
    fn advance(&mut self) {
        let now = self.recording.now();
        while let Some(machine) = &mut self.machine
            && let Some((at, _)) = machine.poll_timeout().filter(|(at, _)| *at <= now)
        {
            machine.handle_timeout(at);
            self.drain(at);
        }
    }

    /// Print events; answer what regions would answer.
    fn drain(&mut self, now: Instant) {
        while let Some(machine) = &mut self.machine
            && let Some(output) = machine.poll_output()
        {
            match output {
                Output::Virtual(event, list) => {
                    let Some((switch, name)) = event_name(&event) else {
                        continue;
                    };
                    let (active_region, term) = self.active.get(&switch).cloned().unwrap_or_default();
                    let line = OutLine {
                        at_ms: self.recording.ms(now),
                        switch,
                        event: name,
                        active_region,
                        term,
                        availability: list.availability,
                    };
                    self.said
                        .push(serde_json::to_string(&line).expect("names, numbers and lists of them are always JSON"));
                }
                Output::Activate { region, switch, term } => self.role_told(now, region, switch, Role::Master, term),
                Output::Deactivate { region, switch, term } => self.role_told(now, region, switch, Role::Slave, term),
                Output::ActiveChanged { switch, region, term } => {
                    self.active.insert(switch, (region, term));
                }
                Output::AskSwitchSnapshot { .. }
                | Output::AskRegionSnapshot { .. }
                | Output::Record(_)
                | Output::Forget(_)
                | Output::RegionChanged { .. }
                | Output::NewEpoch { .. }
                | Output::Passed(_)
                | Output::Ignored { .. }
                | Output::UnknownRegion(_)
                | Output::Twin { .. }
                | Output::Drained { .. } => {}
            }
        }
    }

    /// The region does at once what it is told, and says so; that is no evidence of life.
    fn role_told(&mut self, now: Instant, region: Region, switch: SwitchId, role: Role, term: Term) {
        let now_ms = self.recording.ms(now);
        let Some(speaker) = self.speakers.get_mut(&region) else {
            return;
        };
        let Some(connection) = speaker.switches.get_mut(&switch).filter(|c| c.confirms) else {
            return;
        };
        connection.state.role = role;
        connection.state.term_seen = Some(term);
        speaker.given += 1;
        let event = RegionEvent {
            region: region.clone(),
            epoch: Epoch(speaker.epoch),
            seq: Seq(speaker.given),
            at_ms: now_ms,
            correlation_id: None,
            body: RegionEventBody::SwitchChanged {
                state: connection.at(now_ms),
            },
        };
        let input = Input::Event {
            partition: 0,
            record_ms: speaker.record_ms,
            caught_up: !speaker.behind,
            event: Box::new(event),
        };
        if let Some(machine) = &mut self.machine {
            machine.handle_input(now, input);
        }
    }
}

/// What a line says.
#[derive(Debug)]
enum Message {
    Heartbeat,
    Connected(SwitchId),
    Disconnected(SwitchId),
    Snapshot(Vec<SwitchId>),
    Role(SwitchId),
    LostRole(SwitchId),
}

impl Message {
    fn name(&self) -> &'static str {
        match self {
            Message::Heartbeat => "heartbeat",
            Message::Connected(_) => "connected",
            Message::Disconnected(_) => "disconnected",
            Message::Snapshot(_) => "snapshot",
            Message::Role(_) => "role_of",
            Message::LostRole(_) => "lost_role",
        }
    }
}

impl Line {
    /// The one thing it says.
    fn message(&mut self) -> Result<Message, Wrong> {
        let beats = match self.heartbeat.take() {
            Some(true) => Some(Message::Heartbeat),
            Some(false) => return Err(("heartbeat", "true is expected".to_owned())),
            None => None,
        };
        let mut said: Vec<Message> = beats
            .into_iter()
            .chain(self.connected.take().map(Message::Connected))
            .chain(self.disconnected.take().map(Message::Disconnected))
            .chain(self.snapshot.take().map(Message::Snapshot))
            .chain(self.role_of.take().map(Message::Role))
            .chain(self.lost_role.take().map(Message::LostRole))
            .collect();
        match (said.pop(), said.pop()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(other)) => Err((other.name(), "a line says one thing".to_owned())),
            (None, _) => Err((
                ".",
                "one of heartbeat, connected, disconnected, snapshot, role_of, lost_role or end is expected".to_owned(),
            )),
        }
    }

    /// A key that was given and means nothing here, once what is used was taken out.
    fn unused(&self) -> Option<&'static str> {
        [
            ("region", self.region.is_some()),
            ("heartbeat", self.heartbeat.is_some()),
            ("connected", self.connected.is_some()),
            ("disconnected", self.disconnected.is_some()),
            ("snapshot", self.snapshot.is_some()),
            ("role_of", self.role_of.is_some()),
            ("lost_role", self.lost_role.is_some()),
            ("end", self.end.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

impl Speaker {
    /// What the machine is told for a line, and what is remembered of it.
    fn bodies(&mut self, line: &Line, message: Message, counts: bool) -> Vec<RegionEventBody> {
        match message {
            Message::Heartbeat => vec![RegionEventBody::Heartbeat {
                switches: self.switches.len() as u32,
                coalesced: 0,
                speaker: String::new(),
            }],
            Message::Connected(switch) => {
                let connection = self.connection(line, switch);
                let body = RegionEventBody::SwitchConnected {
                    state: connection.state.clone(),
                };
                if counts {
                    self.switches.insert(switch, connection);
                }
                vec![body]
            }
            Message::Disconnected(switch) => {
                let known = self.switches.get(&switch).map(|c| c.state.connection);
                if counts {
                    self.switches.remove(&switch);
                }
                vec![RegionEventBody::SwitchDisconnected {
                    switch,
                    connection: line.connection.or(known).unwrap_or(self.connections),
                    reason: "replay".to_owned(),
                }]
            }
            Message::Snapshot(named) => {
                self.switches.retain(|switch, _| named.contains(switch));
                for switch in &named {
                    if !self.switches.contains_key(switch) {
                        let connection = self.connection(line, *switch);
                        self.switches.insert(*switch, connection);
                    }
                }
                let snapshot = snapshot_name();
                let entries = self.switches.values().map(|c| RegionEventBody::SnapshotSwitch {
                    snapshot: snapshot.clone(),
                    state: c.at(line.at_ms),
                });
                let mut bodies = vec![RegionEventBody::SnapshotBegin {
                    snapshot: snapshot.clone(),
                }];
                bodies.extend(entries);
                bodies.push(RegionEventBody::SnapshotEnd {
                    switches: self.switches.len() as u32,
                    snapshot,
                });
                bodies
            }
            Message::Role(switch) => match self.switches.get_mut(&switch) {
                Some(connection) => {
                    connection.state.role = line.role.unwrap_or(Role::Slave);
                    connection.state.term_seen = line.term.map(Term).or(connection.state.term_seen);
                    vec![RegionEventBody::SwitchChanged {
                        state: connection.at(line.at_ms),
                    }]
                }
                None => Vec::new(),
            },
            Message::LostRole(switch) => {
                let held = self.switches.get_mut(&switch).map(|connection| {
                    connection.state.role = Role::Slave;
                    connection.state.term_seen.unwrap_or_default()
                });
                vec![RegionEventBody::LostRole {
                    switch,
                    term: line.term.map(Term).or(held).unwrap_or_default(),
                    seen: "replay".to_owned(),
                }]
            }
        }
    }

    fn connection(&mut self, line: &Line, switch: SwitchId) -> Connection {
        self.connections = line.connection.unwrap_or(self.connections + 1).max(self.connections);
        Connection {
            at_ms: line.at_ms,
            confirms: line.confirms.unwrap_or(true),
            state: SwitchState {
                switch,
                connection: line.connection.unwrap_or(self.connections),
                address: line.ip.clone().unwrap_or_default(),
                speaker_address: String::new(),
                mode: line.mode.unwrap_or(Mode::ReadWrite),
                role: line.role.unwrap_or(Role::Slave),
                term_seen: line.term.map(Term),
                uptime_ms: line.uptime_ms.unwrap_or(0),
                generation: None,
                description: Default::default(),
                ports: Vec::new(),
                control_rtt_ns: None,
                features: Default::default(),
            },
        }
    }
}

impl Connection {
    fn at(&self, now_ms: u64) -> SwitchState {
        let mut state = self.state.clone();
        state.uptime_ms += now_ms.saturating_sub(self.at_ms);
        state
    }
}

impl ConfigLine {
    fn check(self) -> Result<Config, Wrong> {
        let duration = |field, ms: u64| match ms {
            1..=DURATION_MAX_MS => Ok(Duration::from_millis(ms)),
            _ => Err((field, format!("1 to {DURATION_MAX_MS} is expected"))),
        };
        let mut regions: Vec<RegionConfig> = Vec::new();
        for (n, entry) in self.regions.into_iter().enumerate() {
            if regions.iter().any(|r| r.region == entry.region) {
                return Err(("config.regions", format!("{} is named twice", entry.region)));
            }
            regions.push(RegionConfig {
                region: entry.region,
                preference: entry.preference.unwrap_or(n as u32 + 1),
            });
        }
        let mut config = Config::new(regions, 1);
        config.failback = match (self.failback, self.hold_down_ms) {
            (None | Some(FailbackName::Sticky), None) => Failback::Sticky,
            (None | Some(FailbackName::Sticky), Some(_)) => {
                return Err(("config.hold_down_ms", "is only for failback preferred".to_owned()));
            }
            (Some(FailbackName::Preferred), ms) => Failback::Preferred {
                hold_down: duration("config.hold_down_ms", ms.unwrap_or(60_000))?,
            },
        };
        config.liveness.silence = duration("config.silence_ms", self.silence_ms.unwrap_or(1_000))?;
        Ok(config)
    }
}

fn snapshot_name() -> CorrelationId {
    "replay".parse().expect("six letters are a correlation id")
}

/// The switch an event is about, and its name; regions' own events are about none.
fn event_name(event: &VirtualEventBody) -> Option<(SwitchId, &'static str)> {
    use VirtualEventBody as V;
    match event {
        V::SwitchConnected { switch, .. } => Some((*switch, "switch_connected")),
        V::SwitchConnectedElsewhere { switch, .. } => Some((*switch, "switch_connected_elsewhere")),
        V::SwitchAvailability { switch } => Some((*switch, "switch_availability")),
        V::SwitchDisconnected {
            switch,
            region_lost: false,
        } => Some((*switch, "switch_disconnected")),
        V::SwitchDisconnected {
            switch,
            region_lost: true,
        } => Some((*switch, "switch_disconnected_region_lost")),
        V::SwitchRoleLost { switch, .. } => Some((*switch, "switch_role_lost")),
        V::PortChanged { .. }
        | V::LinkChanged { .. }
        | V::FlowChanged { .. }
        | V::SlaChanged { .. }
        | V::RegionChanged { .. }
        | V::SwitchRefused { .. } => None,
    }
}

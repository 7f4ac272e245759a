//! Recorded evidence of links in, changes of links out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use skerry_bus::recording::{Recording, Replay, ReplayError, Wrong};
use skerry_bus::service::LinkStatus;
use skerry_bus::{Epoch, LinkId, PortRef, PortState, Region, RegionEvent, RegionEventBody, Seq, SwitchId, Term};

use crate::links::{Config, Input, Links, Output};

/// Longest interval that is read, milliseconds: an hour.
const INTERVAL_MAX_MS: u64 = 3_600_000;
/// How long before time 0 that region held every switch already: no silence is longer.
const BEFORE: Duration = Duration::from_secs(1_000_000_000);
/// The region that holds every switch if the lines name none. It always lives.
const EVERYWHERE: &str = "everywhere";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at_ms: u64,
    config: Option<ConfigLine>,
    seen: Option<Direction>,
    silent: Option<Silence>,
    port_down: Option<PortRef>,
    port_up: Option<PortRef>,
    active: Option<Active>,
    heartbeat: Option<Region>,
    lost: Option<Region>,
    restarted: Option<Region>,
    end: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigLine {
    interval_ms: Option<u64>,
    missed: Option<u32>,
    moved_hold_ms: Option<u64>,
    regions: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Direction {
    from: PortRef,
    to: PortRef,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Silence {
    from: PortRef,
    to: PortRef,
    missed: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Active {
    switch: SwitchId,
    region: Option<Region>,
}

#[derive(Debug, Serialize)]
struct OutLine {
    at_ms: u64,
    link: LinkId,
    from: Option<LinkStatus>,
    to: LinkStatus,
}

/// A replay under way.
#[derive(Debug)]
pub struct LinksReplay {
    recording: Recording,
    machine: Option<Links>,
    interval_ms: u64,
    missed: u32,
    /// Whether the lines say which region holds which switch.
    regions: bool,
    /// Who holds which switch.
    held: BTreeMap<SwitchId, Region>,
    said: Vec<String>,
}

impl Replay for LinksReplay {
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

impl LinksReplay {
    /// A replay whose time 0 is `origin`; any instant does.
    pub fn new(origin: Instant) -> Self {
        LinksReplay {
            recording: Recording::new(origin + BEFORE),
            machine: None,
            interval_ms: 1_000,
            missed: 3,
            regions: false,
            held: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn take(&mut self, line: Line) -> Result<(), Wrong> {
        let mut given = line.given();
        let (first, second) = (given.next(), given.next());
        let Some(what) = first else {
            return Err((
                ".",
                "one of seen, silent, port_down, port_up, active, heartbeat, lost, restarted or end is expected"
                    .to_owned(),
            ));
        };
        if let Some(other) = second {
            return Err((other, format!("a line says one thing, and this one has {what}")));
        }
        drop(given);
        if let Some(config) = line.config {
            if self.machine.is_some() {
                return Err(("config", "only the first line has it".to_owned()));
            }
            return self.configure(config);
        }
        if self.machine.is_none() {
            self.configure(ConfigLine::default())?;
        }
        if !self.regions && matches!(what, "active" | "heartbeat" | "lost" | "restarted") {
            return Err((
                what,
                "is only read when the configuration has \"regions\": true".to_owned(),
            ));
        }
        if line.end == Some(false) {
            return Err(("end", "true is expected".to_owned()));
        }
        self.advance();
        self.evidence(line);
        self.drain(self.recording.now());
        Ok(())
    }

    fn configure(&mut self, config: ConfigLine) -> Result<(), Wrong> {
        let mut machine = Config::default();
        if let Some(ms) = config.interval_ms {
            if !(1..=INTERVAL_MAX_MS).contains(&ms) {
                return Err(("config.interval_ms", format!("1 to {INTERVAL_MAX_MS} is expected")));
            }
            self.interval_ms = ms;
        }
        if let Some(missed) = config.missed {
            if missed == 0 {
                return Err(("config.missed", "at least 1 is expected".to_owned()));
            }
            self.missed = missed;
        }
        let hold = config.moved_hold_ms.unwrap_or(0);
        if hold > INTERVAL_MAX_MS {
            return Err(("config.moved_hold_ms", format!("at most {INTERVAL_MAX_MS} is expected")));
        }
        machine.missed = self.missed;
        machine.moved_hold = Duration::from_millis(hold);
        self.regions = config.regions;
        if !self.regions {
            // The one region there is always lives.
            machine.heard = Duration::MAX;
        }
        let mut machine = Links::new(machine, self.recording.now());
        if !self.regions {
            let region = everywhere();
            machine.handle_input(self.recording.origin() - BEFORE, Input::Region { region, live: true });
        }
        self.machine = Some(machine);
        Ok(())
    }

    fn evidence(&mut self, line: Line) {
        if let Some(Direction { from, to }) = line.seen {
            let interval_ms = self.interval_ms;
            self.place(&[from.switch, to.switch]);
            self.say(to.switch, RegionEventBody::LinkSeen { from, to, interval_ms });
        }
        if let Some(Silence { from, to, missed }) = line.silent {
            let missed = missed.unwrap_or(self.missed);
            self.place(&[from.switch, to.switch]);
            let body = RegionEventBody::LinkSilent {
                from,
                to,
                silent_ms: self.interval_ms.saturating_mul(u64::from(missed)),
                missed,
            };
            self.say(to.switch, body);
        }
        for (end, up) in line
            .port_down
            .map(|p| (p, false))
            .into_iter()
            .chain(line.port_up.map(|p| (p, true)))
        {
            self.place(&[end.switch]);
            let port = PortState {
                port: end.port,
                name: String::new(),
                up,
                speed_kbps: 0,
            };
            let body = RegionEventBody::PortChanged {
                switch: end.switch,
                port,
                removed: false,
            };
            self.say(end.switch, body);
        }
        if let Some(Active { switch, region }) = line.active {
            match &region {
                Some(region) => self.held.insert(switch, region.clone()),
                None => self.held.remove(&switch),
            };
            self.give(Input::Active {
                switch,
                region,
                term: Term(1),
            });
        }
        if let Some(region) = line.heartbeat {
            self.event(
                region,
                RegionEventBody::Heartbeat {
                    switches: 0,
                    coalesced: 0,
                    speaker: String::new(),
                },
            );
        }
        if let Some(region) = line.lost {
            self.give(Input::Region { region, live: false });
        }
        if let Some(region) = line.restarted {
            self.give(Input::NewEpoch { region });
        }
    }

    /// Without regions every switch that is named is held by the one there is, and was for ever.
    fn place(&mut self, switches: &[SwitchId]) {
        if self.regions {
            return;
        }
        let long_ago = self.recording.origin() - BEFORE;
        for switch in switches {
            if !self.held.contains_key(switch) {
                let region = everywhere();
                self.held.insert(*switch, region.clone());
                if let Some(machine) = &mut self.machine {
                    let active = Input::Active {
                        switch: *switch,
                        region: Some(region),
                        term: Term(1),
                    };
                    machine.handle_input(long_ago, active);
                }
            }
        }
    }

    /// The region that holds the switch tells this; if nobody does, nobody does.
    fn say(&mut self, switch: SwitchId, body: RegionEventBody) {
        if let Some(region) = self.held.get(&switch).cloned() {
            self.event(region, body);
        }
    }

    fn event(&mut self, region: Region, body: RegionEventBody) {
        self.give(Input::Event(Box::new(RegionEvent {
            region,
            epoch: Epoch(1),
            seq: Seq(1),
            at_ms: self.recording.ms(self.recording.now()),
            correlation_id: None,
            body,
        })));
    }

    fn give(&mut self, input: Input) {
        let now = self.recording.now();
        if let Some(machine) = &mut self.machine {
            machine.handle_input(now, input);
        }
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

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.machine.as_mut().and_then(Links::poll_output) {
            match output {
                Output::Changed { link, from, to, .. } => {
                    let line = OutLine {
                        at_ms: self.recording.ms(now),
                        link,
                        from,
                        to,
                    };
                    self.said
                        .push(serde_json::to_string(&line).expect("names and numbers are always JSON"));
                }
                Output::Forgotten(_) | Output::AskSwitchSnapshot { .. } => {}
            }
        }
    }
}

impl Line {
    /// The keys it has besides its time.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            ("config", self.config.is_some()),
            ("seen", self.seen.is_some()),
            ("silent", self.silent.is_some()),
            ("port_down", self.port_down.is_some()),
            ("port_up", self.port_up.is_some()),
            ("active", self.active.is_some()),
            ("heartbeat", self.heartbeat.is_some()),
            ("lost", self.lost.is_some()),
            ("restarted", self.restarted.is_some()),
            ("end", self.end.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
    }
}

fn everywhere() -> Region {
    EVERYWHERE.parse().expect("ten letters are a region")
}

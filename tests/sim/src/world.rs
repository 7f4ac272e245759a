//! The world: everything there is, and the loop that lets the next thing happen.
//!
//! ```text
//!   services --commands--> [log] <--> router <--> [store]
//!                            ^
//!                            +--> speakers <--> [disks]
//!                                   ^
//!                                   +--> switches --cables--> switches
//! ```
//!
//! What each part does stands in a file of its own, as an `impl World`: [`crate::bus`] carries records, [`crate::speakers`]
//! and [`crate::routers`] are the drivers of the two cores, [`crate::fabric`] carries bytes and packets, [`crate::harm`] lets
//! faults happen. [`crate::judge`] watches all of it and touches nothing.

use std::collections::BTreeMap;

use crate::client::{Client, ClientId, Who};
use crate::event::{Agenda, Event};
use crate::fabric::{Conn, SwitchHost};
use crate::fault::{self, Fault};
use crate::judge::{Failure, Judge};
use crate::load::{self, Asked};
use crate::log::Log;
use crate::random::Random;
use crate::routers::RouterHost;
use crate::scenario::Scenario;
use crate::speakers::SpeakerHost;
use crate::time::{Clock, MS, Ns};
use crate::trace::{Lines, Trace};

/// Events at one and the same time. More are a machine that asks to be woken for ever.
const SPINS_MAX: u32 = 20_000;

/// What a run was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that happened.
    pub events: u64,
    /// Faults that happened.
    pub faults: u64,
    /// Times a region became MASTER of a switch that another had.
    pub takeovers: u64,
    /// Commands of services.
    pub commands: u64,
    /// Writes of deposed regions that were tried.
    pub stale_writes: u64,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Stands for everything that happened.
    pub hash: u64,
    /// What there was of it.
    pub tally: Tally,
    /// What was not as it must be.
    pub failure: Option<Failure>,
    /// The lines that were asked for.
    pub lines: Vec<String>,
}

/// Everything.
pub struct World {
    pub(crate) clock: Clock,
    pub(crate) now: Ns,
    pub(crate) scenario: Scenario,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) agenda: Agenda,
    pub(crate) log: Log,
    pub(crate) clients: Vec<Client>,
    /// Who reads each partition: client, and the place among what it reads.
    pub(crate) readers: Vec<Vec<(ClientId, usize)>>,
    /// Faults that keep everybody from the log.
    pub(crate) away: u32,
    pub(crate) speakers: Vec<SpeakerHost>,
    pub(crate) routers: Vec<RouterHost>,
    pub(crate) switches: Vec<SwitchHost>,
    pub(crate) conns: Vec<Conn>,
    /// Where a port's cable leads: cable, the other switch, the other port.
    pub(crate) wiring: BTreeMap<(usize, u32), (usize, usize, u32)>,
    /// Faults that keep a cable from carrying.
    pub(crate) cable_faults: Vec<u32>,
    /// When something began or ceased to keep a process from its work.
    pub(crate) troubled: BTreeMap<Who, Ns>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) judge: Judge,
    pub(crate) tally: Tally,
}

/// Run a seed to its end, or to the first thing that is not as it must be.
pub fn run(seed: u64, lines: Lines) -> Outcome {
    run_scenario(Scenario::new(seed), lines)
}

/// The same for a world that was changed.
pub fn run_scenario(scenario: Scenario, lines: Lines) -> Outcome {
    let mut world = World::new(scenario, lines);
    world.run();
    world.tally.events = world.trace.events();
    Outcome {
        seed: world.scenario.seed,
        hash: world.trace.hash(),
        tally: world.tally,
        failure: world.judge.failure.take(),
        lines: world.trace.lines().map(str::to_owned).collect(),
    }
}

impl World {
    /// Nothing has started yet.
    fn new(scenario: Scenario, lines: Lines) -> World {
        let log = Log::new(&scenario.regions, scenario.partitions);
        let mut wiring = BTreeMap::new();
        for (n, cable) in scenario.cables.iter().enumerate() {
            let ((a, p), (b, q)) = (cable.a, cable.b);
            wiring.insert((a, p.0), (n, b, q.0));
            wiring.insert((b, q.0), (n, a, p.0));
        }
        let asked = load::plan(&scenario);
        let faults = fault::schedule(&scenario);
        let mut world = World {
            clock: Clock::new(),
            now: 0,
            random: Random::new(scenario.seed, 4),
            trace: Trace::new(lines),
            agenda: Agenda::default(),
            readers: vec![Vec::new(); log.len()],
            clients: Vec::new(),
            away: 0,
            speakers: (0..scenario.regions.len()).map(|_| SpeakerHost::new()).collect(),
            routers: vec![RouterHost::new()],
            switches: scenario.switches.iter().map(SwitchHost::new).collect(),
            conns: Vec::new(),
            wiring,
            cable_faults: vec![0; scenario.cables.len()],
            troubled: BTreeMap::new(),
            judge: Judge::new(&scenario),
            tally: Tally {
                commands: asked.len() as u64,
                faults: faults.len() as u64,
                ..Tally::default()
            },
            asked,
            faults,
            log,
            scenario,
        };
        world.plan();
        world
    }

    /// What is certain to happen.
    fn plan(&mut self) {
        for speaker in 0..self.speakers.len() {
            let at = self.random.below(300 * MS);
            self.agenda.put(at, Event::Start(Who::Speaker(speaker)));
        }
        for router in 0..self.routers.len() {
            let at = self.random.below(300 * MS);
            self.agenda.put(at, Event::Start(Who::Router(router)));
        }
        for switch in 0..self.switches.len() {
            self.dial_all(switch);
        }
        for (n, asked) in self.asked.iter().enumerate() {
            self.agenda.put(asked.at, Event::Command(n));
        }
        for (n, fault) in self.faults.iter().enumerate() {
            self.agenda.put(fault.at, Event::Fault(n));
            self.agenda.put(fault.until.max(fault.at + 1), Event::Heal(n));
        }
        self.agenda.put(self.scenario.end(), Event::Look);
    }

    fn run(&mut self) {
        let end = self.scenario.end();
        let (mut spins, mut last) = (0, 0);
        while self.judge.failure.is_none() {
            let event_at = self.agenda.next_at().unwrap_or(Ns::MAX);
            let (due, what) = self.next_due();
            let at = event_at.min(due).max(self.now);
            if at > end {
                break;
            }
            self.now = at;
            spins = if at == last { spins + 1 } else { 0 };
            last = at;
            if spins > SPINS_MAX {
                let what = format!("something wants to be woken at once for ever: {what:?}");
                self.fail("spinning", what);
                break;
            }
            self.judge.at(self.trace.events(), at);
            if event_at <= due {
                if let Some((_, event)) = self.agenda.take() {
                    self.happen(event);
                }
            } else {
                self.wake(what);
            }
        }
    }

    /// What wants to be woken first.
    fn next_due(&self) -> (Ns, Due) {
        let mut first = (Ns::MAX, Due::Nothing);
        let mut look = |due: Ns, what: Due| {
            if due < first.0 {
                first = (due, what);
            }
        };
        for (n, speaker) in self.speakers.iter().enumerate() {
            look(speaker.due, Due::Speaker(n));
        }
        for (n, router) in self.routers.iter().enumerate() {
            look(router.due, Due::Router(n));
        }
        for (n, switch) in self.switches.iter().enumerate() {
            look(switch.due, Due::Switch(n));
        }
        first
    }

    fn wake(&mut self, what: Due) {
        match what {
            Due::Nothing => {}
            Due::Speaker(n) => {
                self.trace.event(self.now, 1, n as u64, 0);
                self.wake_speaker(n);
            }
            Due::Router(n) => {
                self.trace.event(self.now, 2, n as u64, 0);
                self.wake_router(n);
            }
            Due::Switch(n) => {
                self.trace.event(self.now, 3, n as u64, 0);
                self.wake_switch(n);
            }
        }
    }

    /// Whose event it is, if it is one that a stopped process does not see before it is continued.
    fn receiver(&self, event: &Event) -> Option<Who> {
        match event {
            Event::Accepted { conn } | Event::ToSpeaker { conn, .. } | Event::ClosedToSpeaker { conn } => {
                Some(Who::Speaker(self.conns[*conn].speaker))
            }
            Event::Ack { client, .. }
            | Event::NotSent { client, .. }
            | Event::Expire { client }
            | Event::Begin { client }
            | Event::Fetch { client, .. }
            | Event::Broke { client }
            | Event::Health { client }
            | Event::Commit { client }
            | Event::Disk { client }
            | Event::Stored { client }
            | Event::Regions { client, .. } => {
                let client = &self.clients[client.0];
                client.alive.then_some(client.who)
            }
            _ => None,
        }
    }

    pub(crate) fn happen(&mut self, event: Event) {
        if let Some(who) = self.receiver(&event)
            && self.is_stopped(who)
        {
            self.deferred(who).push(event);
            return;
        }
        let (kind, a, b) = signature(&event);
        self.trace.event(self.now, kind, a, b);
        match event {
            Event::Start(who) => self.start(who),
            Event::Dial { switch, home, boot } => self.dial(switch, home, boot),
            Event::Accepted { conn } => self.accepted(conn),
            Event::ToSpeaker { conn, bytes } => self.speaker_receives(conn, bytes),
            Event::ClosedToSpeaker { conn } => self.closed_to_speaker(conn),
            Event::ToSwitch { conn, bytes } => self.switch_receives(conn, &bytes),
            Event::ClosedToSwitch { conn } => self.closed_to_switch(conn),
            Event::Packet {
                switch,
                port,
                packet,
                cable,
            } => self.packet(switch, port, *packet, cable),
            Event::Arrive { client, tp } => self.arrive(client, tp),
            Event::Ack { client, tp } => self.ack(client, tp),
            Event::NotSent { client, token } => self.not_delivered(client, token),
            Event::Expire { client } => self.expire(client),
            Event::Begin { client } => self.begin(client),
            Event::Fetch { client, read } => self.fetch(client, read),
            Event::Broke { client } => self.broke(client),
            Event::Health { client } => self.health(client),
            Event::Commit { client } => self.commit(client),
            Event::Disk { client } => self.disk_done(client),
            Event::Stored { client } => self.stored(client),
            Event::Regions { client, found } => self.regions_found(client, found),
            Event::Command(n) => self.command(n),
            Event::Fault(n) => self.fault(n),
            Event::Heal(n) => self.heal(n),
            Event::StaleWrite { conn } => self.stale_write(conn),
            Event::Look => self.look(),
        }
    }

    /// A service says its next command. While the log is away it waits, as any producer would.
    fn command(&mut self, n: usize) {
        if self.away > 0 {
            let again = self.now + self.random.between(20, 200) * MS;
            return self.agenda.put(again, Event::Command(n));
        }
        let payload = load::record(&self.asked, n, &self.scenario, self.now);
        let switch = self.scenario.switches.get(load::meant(&self.asked, n).switch);
        let key = switch.map_or(skerry_bus::SwitchId(0xdead), |plan| plan.id).to_string();
        let twice = self.random.percent(self.scenario.duplicates_percent);
        let now = self.now;
        self.trace.line(now, || format!("service says {}", self.asked[n]));
        for _ in 0..=u8::from(twice) {
            self.service_says(n, &key, payload.clone());
        }
    }

    /// Something is not as it must be.
    pub(crate) fn fail(&mut self, invariant: &'static str, what: String) {
        self.judge.fail(invariant, what);
    }
}

/// Who wants to be woken.
#[derive(Debug, Clone, Copy)]
enum Due {
    Nothing,
    Speaker(usize),
    Router(usize),
    Switch(usize),
}

/// What tells an event apart from others, for the number of the run.
fn signature(event: &Event) -> (u64, u64, u64) {
    let who = |who: &Who| match who {
        Who::Speaker(n) => *n as u64,
        Who::Router(n) => 1_000 + *n as u64,
    };
    match event {
        Event::Start(of) => (10, who(of), 0),
        Event::Dial { switch, home, .. } => (11, *switch as u64, *home as u64),
        Event::Accepted { conn } => (12, *conn as u64, 0),
        Event::ToSpeaker { conn, bytes } => (13, *conn as u64, bytes.len() as u64),
        Event::ClosedToSpeaker { conn } => (14, *conn as u64, 0),
        Event::ToSwitch { conn, bytes } => (15, *conn as u64, bytes.len() as u64),
        Event::ClosedToSwitch { conn } => (16, *conn as u64, 0),
        Event::Packet { switch, port, .. } => (17, *switch as u64, u64::from(port.0)),
        Event::Arrive { client, tp } => (18, client.0 as u64, tp.0 as u64),
        Event::Ack { client, tp } => (19, client.0 as u64, tp.0 as u64),
        Event::NotSent { client, token } => (20, client.0 as u64, *token),
        Event::Expire { client } => (21, client.0 as u64, 0),
        Event::Begin { client } => (22, client.0 as u64, 0),
        Event::Fetch { client, read } => (23, client.0 as u64, *read as u64),
        Event::Broke { client } => (24, client.0 as u64, 0),
        Event::Health { client } => (25, client.0 as u64, 0),
        Event::Commit { client } => (26, client.0 as u64, 0),
        Event::Disk { client } => (27, client.0 as u64, 0),
        Event::Stored { client } => (28, client.0 as u64, 0),
        Event::Regions { client, found } => (29, client.0 as u64, found.len() as u64),
        Event::Command(n) => (30, *n as u64, 0),
        Event::Fault(n) => (31, *n as u64, 0),
        Event::Heal(n) => (32, *n as u64, 0),
        Event::StaleWrite { conn } => (33, *conn as u64, 0),
        Event::Look => (34, 0, 0),
    }
}

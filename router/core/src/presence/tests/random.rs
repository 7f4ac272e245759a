//! Random orders of events over three regions and three switches; what must hold after each step.

use super::*;

/// Numbers that are the same in every run of a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const REGIONS: [&str; 3] = ["east", "west", "north"];

/// A switch as it really is: its connections, and its generation id.
#[derive(Default, Clone)]
struct Real {
    term: Option<u64>,
    /// Connection number and role, by region.
    connections: BTreeMap<&'static str, (u64, Role)>,
}

/// Speakers and switches around the machine, with honest regions on a bad line.
struct Simulation {
    rig: Rig,
    real: BTreeMap<SwitchId, Real>,
    next_connection: u64,
    /// Activations and the like that have not reached the speaker.
    orders: Vec<Output>,
    /// Switches of which a region may only read.
    read_only: BTreeSet<(SwitchId, &'static str)>,
    terms: BTreeMap<SwitchId, Term>,
    told: BTreeMap<SwitchId, Option<Region>>,
}

impl Simulation {
    fn new(random: &mut Random) -> Self {
        let mut rig = Rig::new(match random.one_in(2) {
            true => Failback::Sticky,
            false => Failback::Preferred {
                hold_down: Duration::from_millis(700),
            },
        });
        for name in REGIONS {
            rig.start(name);
        }
        let switches = [1, 2, 3].map(SwitchId);
        let read_only = switches
            .into_iter()
            .flat_map(|s| REGIONS.map(|r| (s, r)))
            .filter(|_| random.one_in(4))
            .collect();
        Simulation {
            rig,
            real: switches.map(|s| (s, Real::default())).into(),
            next_connection: 0,
            orders: Vec::new(),
            read_only,
            terms: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    fn state(&self, switch: SwitchId, name: &'static str) -> SwitchState {
        let real = &self.real[&switch];
        let (connection, role) = real.connections[name];
        SwitchState {
            switch,
            role,
            term_seen: real.term.map(Term),
            mode: match self.read_only.contains(&(switch, name)) {
                true => Mode::ReadOnly,
                false => Mode::ReadWrite,
            },
            ..state(connection)
        }
    }

    /// One thing happens somewhere.
    fn step(&mut self, random: &mut Random) -> String {
        let switch = SwitchId(1 + random.below(3));
        let name = REGIONS[random.below(3) as usize];
        let alive = self.rig.beating.contains(name);
        let connected = self.real[&switch].connections.contains_key(name);
        let lossy = random.one_in(5);
        match random.below(9) {
            0 | 1 if !connected && alive => {
                self.next_connection += 1;
                let connection = (self.next_connection, Role::Slave);
                let real = self.real.entry(switch).or_default();
                real.connections.insert(name, connection);
                let state = self.state(switch, name);
                match lossy {
                    true => self.skip(name),
                    false => self.rig.connect(name, state),
                }
                format!("{switch} connects to {name}, lost: {lossy}")
            }
            2 if connected => {
                let real = self.real.entry(switch).or_default();
                let connection = real.connections.remove(name).map_or(0, |c| c.0);
                if alive {
                    let body = RegionEventBody::SwitchDisconnected {
                        switch,
                        connection,
                        reason: String::new(),
                    };
                    match lossy {
                        true => self.skip(name),
                        false => self.rig.say(name, body),
                    }
                } else {
                    // What a stopped speaker will say when it goes on is lost too.
                    self.skip(name);
                }
                format!("{switch} leaves {name}, lost: {lossy}")
            }
            3 => {
                // A region stops or goes on; half of the time as another process.
                if alive {
                    self.rig.beating.remove(name);
                } else {
                    self.rig.beating.insert(name.to_owned());
                    if random.one_in(2) {
                        *self.rig.epoch.get_mut(name).expect("a region") += 1;
                        self.rig.seq.insert(name.to_owned(), 0);
                        for real in self.real.values_mut() {
                            real.connections.remove(name);
                        }
                    }
                    self.rig.beat(name);
                }
                format!("{name} lives: {}", !alive)
            }
            4 => {
                // The switch restarts and forgets its number.
                let real = self.real.entry(switch).or_default();
                let names: Vec<_> = real.connections.keys().copied().collect();
                *real = Real::default();
                for name in names {
                    self.skip(name);
                }
                format!("{switch} restarts")
            }
            5 | 6 => {
                self.obey_one(random);
                "an order arrives".to_owned()
            }
            _ => {
                let ms = self.rig.ms + random.below(400);
                self.rig.run(ms);
                "time".to_owned()
            }
        }
    }

    /// A message of the region is lost: its number is missing.
    fn skip(&mut self, name: &str) {
        *self.rig.seq.entry(name.to_owned()).or_insert(0) += 1;
    }

    fn obey_one(&mut self, random: &mut Random) {
        if !self.orders.is_empty() {
            let order = self.orders.remove(random.below(self.orders.len() as u64) as usize);
            self.obey(order);
        }
    }

    /// A speaker and its switch do what is asked, as OpenFlow 1.3.5 section 6.3.6 says.
    fn obey(&mut self, order: Output) {
        match order {
            Output::Activate { region, switch, term } => {
                let Some(name) = self.alive(&region) else { return };
                let real = self.real.entry(switch).or_default();
                if !real.connections.contains_key(name) || real.term.is_some_and(|t| t > term.0) {
                    return;
                }
                real.term = Some(term.0);
                let mut lost = Vec::new();
                for (other, connection) in &mut real.connections {
                    if *other == name {
                        connection.1 = Role::Master;
                    } else if connection.1 == Role::Master {
                        connection.1 = Role::Slave;
                        lost.push(*other);
                    }
                }
                let state = self.state(switch, name);
                self.rig.change(name, state);
                for other in lost {
                    let body = RegionEventBody::LostRole {
                        switch,
                        term: Term(term.0.saturating_sub(1)),
                        seen: String::new(),
                    };
                    if self.rig.beating.contains(other) {
                        self.rig.say(other, body);
                    }
                }
            }
            Output::AskRegionSnapshot { region } => {
                let Some(name) = self.alive(&region) else { return };
                let states = self
                    .real
                    .iter()
                    .filter(|(_, real)| real.connections.contains_key(name))
                    .map(|(id, _)| self.state(*id, name))
                    .collect();
                self.rig.snapshot(name, states);
            }
            Output::AskSwitchSnapshot { region, switch } => {
                let Some(name) = self.alive(&region) else { return };
                if self.real[&switch].connections.contains_key(name) {
                    let state = self.state(switch, name);
                    self.rig.change(name, state);
                }
            }
            _ => {}
        }
    }

    fn alive(&self, region: &Region) -> Option<&'static str> {
        REGIONS
            .into_iter()
            .find(|n| *n == region.as_str() && self.rig.beating.contains(*n))
    }

    /// What must hold after each step; takes the orders out.
    fn check(&mut self, what: &str) {
        for (_, output) in std::mem::take(&mut self.rig.got) {
            match &output {
                Output::Activate { .. } | Output::AskRegionSnapshot { .. } | Output::AskSwitchSnapshot { .. } => {
                    self.orders.push(output.clone());
                }
                Output::ActiveChanged {
                    switch,
                    region: Some(region),
                    term,
                } => {
                    let before = self.terms.insert(*switch, *term).unwrap_or_default();
                    assert!(*term > before, "{what}: {region} got term {term} after {before}");
                }
                Output::Virtual(event, list) => self.check_event(what, event, list),
                _ => {}
            }
        }
        for (id, switch) in self.rig.machine.switches() {
            let list = switch.availability(self.rig.now()).availability;
            assert!(list.iter().filter(|p| p.active).count() <= 1, "{what}: {id}");
            if let Some(active) = switch.active() {
                let reach = switch.reaches().get(active);
                assert!(
                    reach.is_some_and(|r| r.mode == Mode::ReadWrite),
                    "{what}: {id} at {active}"
                );
                assert!(self.rig.machine.liveness().is_live(active), "{what}: {id} at {active}");
            }
        }
    }

    /// Each event is a change of what everybody thinks.
    fn check_event(&mut self, what: &str, event: &VirtualEventBody, list: &Availability) {
        use VirtualEventBody as V;
        match event {
            V::SwitchConnected { switch, region, .. } => {
                let entry = list.availability.iter().find(|p| p.region == *region);
                assert_eq!(entry.map(|p| (p.active, p.role)), Some((true, Role::Master)), "{what}");
                self.told.insert(*switch, Some(region.clone()));
            }
            V::SwitchConnectedElsewhere { switch, region, .. } => {
                let before = self.told.insert(*switch, Some(region.clone())).flatten();
                assert!(before.is_some_and(|b| b != *region), "{what}: {event:?}");
            }
            V::SwitchDisconnected { switch, .. } => {
                let before = self.told.insert(*switch, None).flatten();
                assert!(before.is_some(), "{what}: {event:?}");
            }
            _ => {}
        }
    }

    /// All is well for a while: whatever can be reached is held.
    fn calm(&mut self) {
        for name in REGIONS {
            if self.rig.beating.insert(name.to_owned()) {
                self.rig.beat(name);
            }
        }
        let end = self.rig.ms + 60_000;
        while self.rig.ms < end {
            self.check("calm");
            for order in std::mem::take(&mut self.orders) {
                self.obey(order);
            }
            self.check("calm");
            let next = self.rig.ms + 50;
            self.rig.run(next);
        }
        for (id, real) in &self.real {
            let reachable = real
                .connections
                .keys()
                .any(|name| !self.read_only.contains(&(*id, *name)));
            let switch = self.rig.machine.switch(*id);
            let active = switch.and_then(Switch::active);
            assert_eq!(active.is_some(), reachable, "{id} is reached by {:?}", real.connections);
            assert_eq!(active, self.told.get(id).cloned().flatten().as_ref(), "{id} as told");
            if let (Some(switch), Some(active)) = (switch, active) {
                assert!(switch.is_confirmed(), "{id}");
                assert_eq!(real.connections[active.as_str()].1, Role::Master, "{id}");
                assert_eq!(real.term, Some(switch.term().0), "{id}");
            }
        }
    }
}

#[test]
fn whatever_happens_at_most_one_region_is_active_and_calm_brings_every_switch_back() {
    for run in 0..200u64 {
        let seed = 0x5eed_0000 + run;
        println!("seed {seed:#x}");
        let mut random = Random(seed);
        let mut simulation = Simulation::new(&mut random);
        for _ in 0..4 {
            for _ in 0..60 {
                let what = simulation.step(&mut random);
                simulation.check(&what);
            }
            simulation.calm();
        }
    }
}

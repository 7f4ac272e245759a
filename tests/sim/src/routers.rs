//! Routers: the driver of the real machine, as `router/src/driver.rs` is, with the real outbox between them and the world in
//! place of Kafka and the database.

use std::collections::{BTreeMap, BTreeSet};

use skerry_bus::{Region, Topic};
use skerry_monitor::fleet;
use skerry_router::machine::api::{ApiRequest, ApiResponse};
use skerry_router::machine::clock::ClockKeeper;
use skerry_router::machine::{Config, FlowsConfig, Input, Output, Router};
use skerry_router::outbox::{HELD_MAX, Outbox};
use skerry_router::store::Write;
use skerry_router_core::presence::{self, RegionConfig};
use skerry_router_core::sync;
use std::time::Duration;

use crate::client::{ClientId, Who};
use crate::event::Event;
use crate::log::{Group, Record, Tp};
use crate::scenario::Failback;
use crate::store::Store;
use crate::time::{MS, Ns, US};
use crate::world::World;

/// Marks tokens that are the driver's: on these records nothing hangs.
const OWN_TOKEN: u64 = 1 << 63;
/// Marks a question of the judge, whose answer nobody else waits for.
const JUDGE_TOKEN: u64 = 1 << 62;

/// A router's process.
pub struct Process {
    machine: Router,
    outbox: Outbox,
    pub(crate) client: ClientId,
    caught_up: BTreeSet<Tp>,
    keeper: ClockKeeper,
    token: u64,
    /// What the store works on.
    writing: Option<Vec<Write>>,
    /// The last answer to a question.
    answer: Option<Box<ApiResponse>>,
}

/// The host of a router.
#[derive(Default)]
pub struct RouterHost {
    /// The process; none: it does not run.
    pub process: Option<Process>,
    /// When it wants to be woken.
    pub due: Ns,
    /// What survives it.
    pub store: Store,
    /// How much slower the store is.
    pub store_slow: Ns,
    /// Faults that keep it down.
    pub down: u32,
    /// Faults that keep it stopped.
    pub stopped: u32,
    /// Since when.
    pub stopped_at: Ns,
    /// What it will see when it is continued.
    pub deferred: Vec<Event>,
    /// Faults that keep it from the log.
    pub cut: u32,
    /// How much later it reads.
    pub slow: Ns,
}

impl RouterHost {
    /// A host on which nothing runs yet.
    pub fn new() -> RouterHost {
        RouterHost {
            due: Ns::MAX,
            ..RouterHost::default()
        }
    }
}

impl World {
    fn router_config(&self, owner_epoch: u64) -> Config {
        let scenario = &self.scenario;
        let regions = scenario.regions.iter().enumerate();
        let regions = regions
            .map(|(n, region)| RegionConfig {
                region: region.clone(),
                preference: n as u32,
            })
            .collect();
        let partitions = scenario.partitions as i32;
        let mut presence = presence::Config::new(regions, partitions);
        presence.owner_epoch = owner_epoch;
        if let Failback::Preferred(hold_down) = scenario.failback {
            let hold_down = Duration::from_nanos(hold_down);
            presence.failback = presence::Failback::Preferred { hold_down };
        }
        Config {
            presence,
            partitions,
            owner_epoch,
            sync: sync::Config {
                interval: Duration::from_nanos(scenario.sync),
                on: scenario.sync_on,
            },
            fleet: fleet::Config::default(),
            flows: FlowsConfig {
                stage: Duration::from_secs(30),
                drain_min: Duration::from_secs(2),
            },
            version: "sim",
        }
    }

    /// A router's process starts.
    pub(crate) fn start_router(&mut self, n: usize) {
        let stored = self.routers[n].store.load();
        let owner_epoch = self.routers[n].store.take();
        let now = self.clock.at(self.now);
        let machine = match Router::new(self.router_config(owner_epoch), stored, now) {
            Ok(machine) => machine,
            Err(error) => return self.fail("store", format!("a router cannot start: {error}")),
        };
        let mut topics = vec![Topic::Commands];
        for region in &self.scenario.regions {
            topics.push(Topic::RegionEvents(region.clone()));
            topics.push(Topic::Latency(region.clone()));
        }
        let client = self.new_client(Who::Router(n), Group::Routers, &topics);
        let at = self.now;
        self.trace
            .line(at, || format!("router {n} starts with owner epoch {owner_epoch}"));
        self.routers[n].process = Some(Process {
            machine,
            outbox: Outbox::default(),
            client,
            caught_up: BTreeSet::new(),
            keeper: ClockKeeper::default(),
            token: 0,
            writing: None,
            answer: None,
        });
        self.judge.router_started();
        self.flush_router(n);
    }

    /// A router's process is gone, at this very moment. What the store was given is done whole or not at all.
    pub(crate) fn end_router(&mut self, n: usize, late: bool) {
        let Some(process) = self.routers[n].process.take() else {
            return;
        };
        self.end_client(process.client, late);
        if let Some(writes) = process.writing
            && self.random.percent(50)
        {
            self.routers[n].store.write(writes);
        }
        let host = &mut self.routers[n];
        host.due = Ns::MAX;
        host.deferred.clear();
        self.judge.router_ended();
    }

    /// Something happens to a router.
    pub(crate) fn tell_router(&mut self, n: usize, input: Input) {
        let now = self.clock.at(self.now);
        if let Some(process) = &mut self.routers[n].process {
            process.machine.handle_input(now, input);
            self.flush_router(n);
        }
    }

    pub(crate) fn wake_router(&mut self, n: usize) {
        let now = self.clock.at(self.now);
        if let Some(process) = &mut self.routers[n].process {
            process.machine.handle_timeout(now);
            self.flush_router(n);
        }
    }

    /// Give the store what is to be written, and let leave what hangs on nothing more.
    fn flush_router(&mut self, n: usize) {
        // What leaves may make the machine say more, as in the driver's turns.
        loop {
            let Some(process) = &mut self.routers[n].process else {
                return;
            };
            let Process { machine, outbox, .. } = process;
            outbox.turn(std::iter::from_fn(|| machine.poll_output()));
            if let Some(writes) = outbox.take_writes() {
                let client = process.client;
                process.writing = Some(writes);
                let took = self.random.between(200, 4_000) * US + self.routers[n].store_slow;
                self.agenda.put(self.now + took, Event::Stored { client });
            }
            let Some(process) = &mut self.routers[n].process else {
                return;
            };
            if process.outbox.held() > HELD_MAX {
                let held = process.outbox.held();
                self.fail("queues", format!("{held} outputs of a router wait for its store"));
                return;
            }
            let Some(output) = process.outbox.poll() else { break };
            self.leave(n, output);
        }
        let host = &mut self.routers[n];
        let due = host.process.as_ref().and_then(|process| process.machine.poll_timeout());
        host.due = match due {
            Some((at, _)) if host.stopped == 0 => self.clock.ns(at),
            _ => Ns::MAX,
        };
    }

    fn leave(&mut self, n: usize, output: Output) {
        let Some(process) = &mut self.routers[n].process else {
            return;
        };
        let client = process.client;
        match output {
            Output::Store(_) => unreachable!("the outbox keeps it"),
            Output::Publish {
                topic,
                partition,
                key,
                payload,
                token,
            } => {
                process.token += 1;
                let sent_as = token.unwrap_or(process.token | OWN_TOKEN);
                let sent = self.send(client, &topic, partition, key, payload, Some(sent_as));
                if let (false, Some(token)) = (sent, token)
                    && let Some(process) = &mut self.routers[n].process
                {
                    let now = self.clock.at(self.now);
                    process.machine.handle_input(now, Input::NotDelivered { token });
                }
            }
            Output::Commit { partition, offset } => {
                if let Some(tp) = self.log.tp(&Topic::Commands, partition) {
                    self.done_with(client, tp, offset);
                }
            }
            Output::LookForRegions => {
                let all = 0..self.log.len();
                let mut found: BTreeMap<Region, i64> = BTreeMap::new();
                for tp in all.map(Tp) {
                    if let Topic::RegionEvents(region) = self.log.topic(tp) {
                        *found.entry(region.clone()).or_default() += self.log.end(tp);
                    }
                }
                let found = if self.reaches(client) {
                    found.into_iter().collect()
                } else {
                    Vec::new()
                };
                let at = self.now + self.random.between(1, 20) * MS;
                self.agenda.put(at, Event::Regions { client, found });
            }
            Output::Answer { token, response } => {
                if token == JUDGE_TOKEN {
                    process.answer = Some(response);
                }
            }
            // The live feed is made of what is published too.
            Output::Event(_) => {}
            Output::Count {
                name,
                label: (_, value),
            } => self.judge.router_counts(name, &value),
            Output::Fact { text, .. } => {
                let now = self.now;
                self.trace.line(now, || format!("router {n}: {text}"));
            }
        }
    }

    /// The store has done what it was given.
    pub(crate) fn stored(&mut self, client: ClientId) {
        let Who::Router(n) = self.clients[client.0].who else {
            return;
        };
        let host = &mut self.routers[n];
        let Some(process) = host.process.as_mut().filter(|process| process.client == client) else {
            return;
        };
        if let Some(writes) = process.writing.take() {
            host.store.write(writes);
            process.outbox.written();
            self.flush_router(n);
        }
    }

    pub(crate) fn regions_found(&mut self, client: ClientId, found: Vec<(Region, i64)>) {
        let Who::Router(n) = self.clients[client.0].who else {
            return;
        };
        if self.clients[client.0].alive {
            self.tell_router(n, Input::Regions(found.into_iter().collect()));
        }
    }

    /// Ask a router as its REST interface does. None: it does not run.
    pub(crate) fn ask_router(&mut self, n: usize, request: ApiRequest) -> Option<ApiResponse> {
        let now = self.clock.at(self.now);
        let process = self.routers[n].process.as_mut()?;
        let token = JUDGE_TOKEN;
        process.machine.handle_input(now, Input::Ask { token, request });
        self.flush_router(n);
        let process = self.routers[n].process.as_mut()?;
        // Something before it may wait for the store: the question is only one of reading, so what it says now counts.
        process.answer.take().map(|answer| *answer)
    }

    // ---- the log ------------------------------------------------------------------------------------------------

    pub(crate) fn router_reads(&mut self, n: usize, tp: Tp, offset: i64, record: Record, read: usize) {
        let Some(process) = &mut self.routers[n].process else {
            return;
        };
        let caught_up = self.clients[process.client.0].reads[read].caught_up && process.caught_up.contains(&tp);
        if caught_up {
            self.router_clock(n, record.ms);
        }
        let topic = self.log.topic(tp).clone();
        if topic == Topic::Commands {
            self.judge.router_read(tp, offset);
        }
        let partition = self.log.partition(tp);
        self.tell_router(
            n,
            Input::Record {
                topic,
                partition,
                offset,
                record_ms: record.ms,
                caught_up,
                key: record.key.as_bytes().to_vec(),
                payload: record.payload.to_vec(),
            },
        );
    }

    fn router_clock(&mut self, n: usize, broker_ms: u64) {
        let now = self.clock.at(self.now);
        let Some(process) = &mut self.routers[n].process else {
            return;
        };
        if let Some(clock) = process.keeper.seen(now, broker_ms) {
            self.tell_router(n, Input::Clock(clock));
        }
    }

    pub(crate) fn router_caught_up(&mut self, n: usize, tp: Tp) {
        let (topic, partition) = (self.log.topic(tp).clone(), self.log.partition(tp));
        if let Some(process) = &mut self.routers[n].process {
            process.caught_up.insert(tp);
            self.tell_router(n, Input::CaughtUp { topic, partition });
        }
    }

    pub(crate) fn router_behind(&mut self, n: usize, tp: Tp) {
        let (topic, partition) = (self.log.topic(tp).clone(), self.log.partition(tp));
        if let Some(process) = &mut self.routers[n].process {
            process.caught_up.remove(&tp);
            self.tell_router(n, Input::Behind { topic, partition });
        }
    }

    pub(crate) fn router_delivered(&mut self, n: usize, token: Option<u64>, broker_ms: u64) {
        self.router_clock(n, broker_ms);
        if let Some(token) = token.filter(|token| token & OWN_TOKEN == 0) {
            self.tell_router(n, Input::Delivered { token });
        }
    }

    pub(crate) fn router_not_delivered(&mut self, n: usize, token: u64) {
        if token & OWN_TOKEN == 0 {
            self.judge.answer_not_delivered();
            self.tell_router(n, Input::NotDelivered { token });
        }
    }

    pub(crate) fn router_bus(&mut self, n: usize, up: bool) {
        self.tell_router(n, Input::Bus { up });
    }
}

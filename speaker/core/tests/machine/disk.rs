//! A disk in virtual time, and what the speaker does with it: nothing is sent before it stands there, it costs what was read,
//! and a disk that fails stops nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use skerry_bus::*;
use skerry_speaker_core::store::{Key, Write};
use skerry_speaker_core::{Counter, Fact, Gauge, Input};

use super::world::*;

/// What a disk that hangs did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    Store(u64),
    Load(u64),
    Open,
}

/// What a disk that comes back says of orders that are void by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    Nothing,
    Done,
    Failed,
}

/// A disk: what stands on it, and what is on its way.
#[derive(Debug, Default)]
pub struct Disk {
    pub entries: BTreeMap<Key, Bytes>,
    /// How long everything takes.
    pub slow: Duration,
    /// Nothing can be written.
    pub broken: bool,
    /// What was asked for in one request each, as written bytes.
    pub written: Vec<usize>,
    given_up: bool,
    /// It answers nothing; what would have been answered stands in `stuck`.
    pub hung: bool,
    stuck: Vec<Stuck>,
    /// An empty store was asked for, and that is not answered.
    pub opening: bool,
    storing: BTreeMap<u64, Vec<Write>>,
    loading: BTreeMap<u64, Vec<Key>>,
}

impl Disk {
    pub fn store(&mut self, token: u64, writes: Vec<Write>) -> Duration {
        let bytes = writes.iter().map(|write| match write {
            Write::Put { value, .. } => value.len(),
            Write::Delete { .. } => 0,
        });
        self.written.push(bytes.sum());
        self.storing.insert(token, writes);
        self.slow
    }

    pub fn stored(&mut self, token: u64) -> Input {
        let writes = self.storing.remove(&token).expect("it was asked for");
        if self.broken || self.given_up {
            self.given_up = true;
            self.entries.clear();
            let cause = "no space left".to_owned();
            return Input::StoreFailed { token, cause };
        }
        for write in writes {
            match write {
                Write::Put { key, value } => self.entries.insert(key, value),
                Write::Delete { key } => self.entries.remove(&key),
            };
        }
        Input::Stored { token }
    }

    pub fn load(&mut self, token: u64, keys: Vec<Key>) -> Duration {
        self.loading.insert(token, keys);
        self.slow
    }

    pub fn loaded(&mut self, token: u64) -> Input {
        let keys = self.loading.remove(&token).expect("it was asked for");
        let values: Option<Vec<Bytes>> = keys.iter().map(|key| self.entries.get(key).cloned()).collect();
        match values {
            Some(values) => Input::Loaded { token, values },
            None => Input::LoadFailed {
                token,
                cause: format!("not all of {keys:?} is there"),
            },
        }
    }

    /// Something is due to be answered. Gives whether it is.
    pub fn is_answered(&mut self, what: Stuck) -> bool {
        if self.hung {
            self.stuck.push(what);
        }
        !self.hung
    }

    pub fn open_again(&mut self) -> Input {
        self.opening = false;
        if self.broken {
            let cause = "no space left".to_owned();
            return Input::StoreFailed { token: 0, cause };
        }
        self.given_up = false;
        self.entries.clear();
        let entries = Vec::new();
        Input::Restored { entries }
    }

    /// What a process is told that starts after another was killed: what was on its way did not arrive.
    pub fn killed(&mut self) -> Input {
        self.hung = false;
        self.opening = false;
        self.stuck.clear();
        self.storing.clear();
        self.loading.clear();
        self.restored()
    }

    /// What a process that starts on it is told.
    pub fn restored(&self) -> Input {
        let at_start = |key: &Key| key.to_bytes().as_slice() < Key::RESTORED_BELOW;
        let entries = self.entries.iter().filter(|(key, _)| at_start(key));
        Input::Restored {
            entries: entries.map(|(key, value)| (*key, value.clone())).collect(),
        }
    }
}

impl World {
    /// Give a speaker an empty disk that is as fast as this.
    pub fn give_disk(&mut self, speaker: usize, slow: Duration) {
        let disk = Disk {
            slow,
            ..Disk::default()
        };
        let restored = disk.restored();
        self.speakers[speaker].disk = Some(disk);
        self.input(speaker, restored);
    }

    pub fn disk(&mut self, speaker: usize) -> &mut Disk {
        self.speakers[speaker].disk.as_mut().expect("it has a disk")
    }

    /// A disk that hung works again: it does what waits, in order, and says of what is void what this wants.
    fn wake(&mut self, speaker: usize, late: Late) {
        let disk = self.disk(speaker);
        disk.hung = false;
        let stuck = std::mem::take(&mut disk.stuck);
        let void = stuck.iter().position(|what| *what == Stuck::Open).unwrap_or(0);
        for (n, what) in stuck.into_iter().enumerate() {
            let cause = "it was given up".to_owned();
            let disk = self.disk(speaker);
            let input = match (what, late) {
                (Stuck::Open, _) => disk.open_again(),
                (_, Late::Nothing) if n < void => continue,
                (Stuck::Store(token), Late::Failed) if n < void => Input::StoreFailed { token, cause },
                (Stuck::Load(token), Late::Failed) if n < void => Input::LoadFailed { token, cause },
                (Stuck::Store(token), _) => disk.stored(token),
                (Stuck::Load(token), _) => disk.loaded(token),
            };
            self.input(speaker, input);
        }
    }

    fn facts(&self, wanted: fn(&Fact) -> bool) -> usize {
        self.speakers[0].facts.iter().filter(|fact| wanted(fact)).count()
    }

    /// The causes for which the disk was given up.
    fn given_up(&self) -> Vec<&str> {
        let causes = self.speakers[0].facts.iter().filter_map(|fact| match fact {
            Fact::StoreGivenUp { cause } => Some(cause.as_str()),
            _ => None,
        });
        causes.collect()
    }

    /// The parts of a switch's record on disk.
    pub fn parts(&self, speaker: usize, switch: u64) -> Vec<Command> {
        let disk = self.speakers[speaker].disk.as_ref().expect("it has a disk");
        let range = Key::Part(SwitchId(switch), 0)..=Key::Part(SwitchId(switch), u32::MAX);
        let commands = disk.entries.range(range).map(|(_, value)| match decode(value) {
            Decoded::Message(command) => command,
            other => panic!("{other:?}"),
        });
        commands.collect()
    }

    fn generations(&self, speaker: usize, switch: u64) -> Vec<u64> {
        let of = |command: Command| match command.body {
            CommandBody::Desired { generation, .. } => generation.0,
            other => panic!("{other:?}"),
        };
        self.parts(speaker, switch).into_iter().map(of).collect()
    }

    fn has_head(&mut self, speaker: usize, switch: u64) -> bool {
        self.disk(speaker).entries.contains_key(&Key::Head(SwitchId(switch)))
    }
}

fn delta(base: u64, put: Objects) -> DesiredChange {
    DesiredChange::Delta {
        base: Generation(base),
        put,
        remove: Default::default(),
    }
}

fn one(number: u64) -> Objects {
    let mut objects = Objects::new();
    objects.put_rule(rule(0, 100, number));
    objects
}

/// As [`active`], with a disk.
fn active_with_disk(slow: Duration) -> World {
    let mut world = active();
    world.give_disk(0, slow);
    world
}

#[test]
fn nothing_is_sent_before_it_is_on_disk() {
    let mut world = active_with_disk(300 * MS);
    for (generation, change) in [(1, snapshot(rules(3))), (2, delta(1, one(7)))] {
        let before = world.model(1).writes.len();
        let name = format!("g{generation}");
        world.desired(0, &name, 1, 1, generation, change);
        world.run(290 * MS);
        assert_eq!(
            world.model(1).writes.len(),
            before,
            "generation {generation} was sent early"
        );
        assert!(world.result(0, &name).is_none());
        world.run(50 * MS);
        assert_eq!(world.ended(0, &name), (Outcome::Applied, None));
        assert_eq!(world.generations(0, 1).last(), Some(&generation));
    }
    assert_eq!(world.model(1).flows.len(), 4);
}

#[test]
fn a_command_costs_its_own_bytes_on_disk_and_a_long_journal_becomes_a_snapshot() {
    let mut world = active_with_disk(MS);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(200)));
    world.run(20 * MS);
    let large = world.disk(0).written[0];
    let command = encode(&world.parts(0, 1)[0]).len();
    assert!(large < command + 100, "{large} bytes for a command of {command}");
    let mut longest = 0;
    for generation in 2..=1_200 {
        world.desired(
            0,
            &format!("g{generation}"),
            1,
            1,
            generation,
            delta(generation - 1, one(generation % 50)),
        );
        world.run(10 * MS);
        longest = longest.max(world.generations(0, 1).len());
    }
    assert_eq!(world.ended(0, "g1200"), (Outcome::Applied, None));
    let written = &world.disk(0).written;
    assert!(written[1..50].iter().all(|bytes| *bytes < 700), "{:?}", &written[1..50]);
    // Deltas of some 400 bytes behind a snapshot of some 50,000: a new snapshot every few hundred.
    let snapshots = written.iter().filter(|bytes| **bytes > 10_000).count();
    assert!(
        (2..20).contains(&snapshots),
        "{snapshots} snapshots, {longest} parts at most"
    );
    assert!((50..1_000).contains(&longest), "{longest}");
    let total: usize = written.iter().sum();
    assert!(total < 3 * 1_200 * 500, "{total} bytes");
}

#[test]
fn what_was_refused_without_being_sent_is_not_what_a_restart_finds() {
    let mut world = active_with_disk(MS);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(20 * MS);
    // Refused by the planner: it never came to the disk.
    let mut wrong = one(3);
    wrong.put_rule(Rule {
        meter: Some(9),
        ..rule(0, 1, 5)
    });
    world.desired(0, "g2", 1, 1, 2, delta(1, wrong));
    world.run(20 * MS);
    assert!(
        matches!(world.ended(0, "g2").0, Outcome::Rejected),
        "{:?}",
        world.ended(0, "g2")
    );
    assert_eq!(world.generations(0, 1), [1]);
    // Expired while the disk was written: it stood there for a moment.
    world.disk(0).slow = 2 * SECOND;
    let body = CommandBody::Desired {
        switch: SwitchId(1),
        term: Term(1),
        generation: Generation(3),
        change: delta(1, one(4)),
    };
    world.command(0, "g3", SECOND, body);
    world.run(10 * SECOND);
    assert_eq!(world.ended(0, "g3"), (Outcome::Expired, Some(Cause::Deadline)));
    assert_eq!(world.generations(0, 1), [1]);
    assert_eq!(world.model(1).flows.len(), 2);
}

#[test]
fn one_that_expires_in_the_queue_leaves_what_is_being_done_on_disk() {
    let mut world = active_with_disk(MS);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(20 * MS);
    world.disk(0).slow = 2 * SECOND;
    world.desired(0, "g2", 1, 1, 2, delta(1, one(4)));
    let body = CommandBody::Desired {
        switch: SwitchId(1),
        term: Term(1),
        generation: Generation(3),
        change: delta(2, one(5)),
    };
    world.command(0, "g3", SECOND, body);
    world.run(10 * SECOND);
    assert_eq!(world.ended(0, "g3"), (Outcome::Expired, Some(Cause::Deadline)));
    assert_eq!(world.ended(0, "g2"), (Outcome::Applied, None));
    assert_eq!(world.generations(0, 1).last(), Some(&2));
}

#[test]
fn a_disk_that_fails_stops_nothing_and_is_filled_again_when_it_works() {
    let mut world = active_with_disk(MS);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(20 * MS);
    world.disk(0).broken = true;
    for generation in 2..=4 {
        world.desired(
            0,
            &format!("g{generation}"),
            1,
            1,
            generation,
            delta(generation - 1, one(generation)),
        );
        world.run(20 * MS);
        assert_eq!(world.ended(0, &format!("g{generation}")), (Outcome::Applied, None));
    }
    assert_eq!(
        world.counted(0, Counter::StoreFailed),
        1,
        "what is given up is not tried for every command"
    );
    assert_eq!(world.disk(0).entries.len(), 0);
    assert_eq!(world.given_up(), ["no space left"]);
    assert_eq!(world.counted(0, Counter::GivenUpFailed), 1);
    world.run(15 * SECOND);
    assert_eq!(
        world.counted(0, Counter::StoreFailed),
        2,
        "it is tried again now and then"
    );
    assert_eq!(world.given_up().len(), 1, "and told once");
    world.disk(0).broken = false;
    world.run(15 * SECOND);
    assert_eq!(world.facts(|f| matches!(f, Fact::StoreBack)), 1);
    assert_eq!(
        world.generations(0, 1),
        [4],
        "what stands on the switch is on disk again"
    );
    world.desired(0, "g5", 1, 1, 5, delta(4, one(5)));
    world.run(20 * MS);
    assert_eq!(world.generations(0, 1), [4, 5]);
}

#[test]
fn a_switch_that_leaves_while_the_disk_is_waited_for_holds_nothing_up() {
    let mut world = active_with_disk(SECOND);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(100 * MS);
    let conn = *world.conns.keys().next().expect("a connection");
    world.input(
        0,
        Input::Closed {
            conn: skerry_speaker_core::ConnId(conn),
            reason: "reset".into(),
        },
    );
    world.model(1).disconnect(conn);
    assert_eq!(world.ended(0, "g1").0, Outcome::Rejected);
    world.connect(1, 0);
    world.run(100 * MS);
    world.activate(0, 1, 2);
    world.run(100 * MS);
    world.desired(0, "g2", 1, 2, 2, snapshot(rules(1)));
    world.run(850 * MS);
    // The end of the first write is not the end of the second.
    assert_eq!(world.model(1).flows.len(), 0);
    world.run(SECOND);
    assert_eq!(world.ended(0, "g2"), (Outcome::Applied, None));
}

#[test]
fn what_does_not_fit_is_not_kept_and_those_longest_gone_make_room() {
    let mut world = World::with(&["east"], |config| config.kept_bytes_max = 100_000);
    world.give_disk(0, MS);
    for switch in 1..=4 {
        world.add_switch(switch, 2);
        let conn = world.connect(switch, 0);
        world.run(50 * MS);
        world.activate(0, switch, 1);
        world.run(50 * MS);
        // Some 40,000 bytes each.
        world.desired(0, &format!("s{switch}"), switch, 1, 1, snapshot(rules(340)));
        world.run(50 * MS);
        assert_eq!(world.ended(0, &format!("s{switch}")), (Outcome::Applied, None));
        if switch == 2 {
            let reason = "reset".to_owned();
            let conn = skerry_speaker_core::ConnId(conn);
            world.input(0, Input::Closed { conn, reason });
        }
    }
    let sizes = &world.disk(0).written;
    assert!(sizes.iter().max() < Some(&50_000), "{sizes:?}");
    let kept: Vec<u64> = (1..=4).filter(|switch| world.has_head(0, *switch)).collect();
    assert_eq!(
        kept,
        [1, 3],
        "{:?}; 2 is not connected, 4 does not fit",
        world.disk(0).written
    );
    assert_eq!(world.counted(0, Counter::KeptForgotten), 1);
    assert_eq!(world.counted(0, Counter::KeptFull), 1);
    // What was kept of a switch whose state grew too large is an older state, and goes.
    let mut grown = rules(340);
    grown.extend({
        let mut more = Objects::new();
        (1_000..1_500).for_each(|n| more.put_rule(rule(0, 100, n)));
        more
    });
    world.desired(0, "grown", 3, 1, 2, snapshot(grown));
    world.run(50 * MS);
    assert_eq!(world.ended(0, "grown"), (Outcome::Applied, None));
    assert!(!world.has_head(0, 3) && world.parts(0, 3).is_empty());
}

/// Answers to a command, of all processes.
fn answers(world: &World, name: &str) -> Vec<Outcome> {
    let name = id(name);
    let of = |event: &RegionEvent| match &event.body {
        RegionEventBody::CommandResult { result } if event.correlation_id.as_ref() == Some(&name) => {
            Some(result.outcome)
        }
        _ => None,
    };
    world.speakers[0].events.iter().filter_map(of).collect()
}

#[test]
fn an_answer_that_kafka_never_took_is_told_by_the_next_process_and_the_command_is_not_done_again() {
    let mut world = active_with_disk(MS);
    world.speakers[0].bus = false;
    world.input(0, Input::BusDown);
    world.desired(0, "away", 1, 1, 1, snapshot(rules(3)));
    world.run(100 * MS);
    assert_eq!(world.model(1).flows.len(), 3);
    world.restart(0);
    world.connect(1, 0);
    world.run(SECOND);
    let written = world.model(1).writes.len();
    assert_eq!(answers(&world, "away"), []);
    world.speakers[0].bus = true;
    world.input(0, Input::BusUp);
    world.run(100 * MS);
    assert_eq!(answers(&world, "away"), [Outcome::Applied]);
    // Its offset was never committed, so Kafka gives it again.
    world.desired(0, "away", 1, 1, 1, snapshot(rules(3)));
    world.run(100 * MS);
    assert_eq!(answers(&world, "away"), [Outcome::Applied, Outcome::Applied]);
    assert_eq!(world.counted(0, Counter::CommandRepeated), 1);
    assert_eq!(world.model(1).writes.len(), written, "it was not done again");
    // What Kafka has is not told once more, but for the few that the disk does not know of.
    for n in 0..100 {
        world.command(
            0,
            &format!("again-{n}"),
            SECOND,
            CommandBody::Activate {
                switch: SwitchId(1),
                term: Term(1),
            },
        );
        world.run(10 * MS);
    }
    world.restart(0);
    world.speakers[0].bus = true;
    world.input(0, Input::BusUp);
    world.run(100 * MS);
    assert_eq!(answers(&world, "again-0").len(), 1);
    let twice = (0..100)
        .filter(|n| answers(&world, &format!("again-{n}")).len() > 1)
        .count();
    assert!(twice <= 64, "{twice} answers were told twice");
}

#[test]
fn answers_on_disk_are_bounded_and_the_oldest_go_first() {
    let mut world = active_with_disk(Duration::ZERO);
    let body = || CommandBody::Activate {
        switch: SwitchId(1),
        term: Term(1),
    };
    for n in 0..4_200 {
        world.command(0, &format!("c{n}"), 60 * SECOND, body());
        world.run(3 * MS);
    }
    let kept = |world: &World| {
        let keys = world.speakers[0].disk.as_ref().unwrap().entries.keys();
        keys.filter(|key| matches!(key, Key::Answer(_))).count()
    };
    assert_eq!(kept(&world), 4_096);
    world.restart(0);
    assert_eq!(kept(&world), 4_096);
    world.speakers[0].bus = true;
    world.input(0, Input::BusUp);
    world.run(100 * MS);
    for (name, repeated) in [("c4199", 1), ("c104", 2), ("c3", 2)] {
        world.command(0, name, 60 * SECOND, body());
        world.run(10 * MS);
        assert_eq!(world.counted(0, Counter::CommandRepeated), repeated, "{name}");
    }
}

#[test]
fn a_switch_that_is_gone_for_a_week_is_forgotten() {
    let mut world = active_with_disk(MS);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(20 * MS);
    let restored = world.disk(0).restored();
    // Another process, which the switch never comes to.
    let mut world = World::new(&["east"]);
    world.give_disk(0, MS);
    let Input::Restored { entries } = &restored else {
        panic!("{restored:?}")
    };
    world.disk(0).entries = entries.iter().cloned().collect();
    world.input(0, restored);
    let day = 24 * 3600 * SECOND;
    world.speakers[0].bus = false;
    world.input(0, Input::BusDown);
    world.run(6 * day);
    assert!(world.has_head(0, 1));
    world.run(2 * day);
    assert!(!world.has_head(0, 1));
    assert_eq!(world.counted(0, Counter::KeptForgotten), 1);
}

#[test]
fn a_head_that_cannot_be_read_is_forgotten_with_a_word() {
    let mut world = World::new(&["east"]);
    world.give_disk(0, MS);
    world
        .disk(0)
        .entries
        .insert(Key::Head(SwitchId(9)), Bytes::from_static(b"?"));
    let restored = world.disk(0).restored();
    world.input(0, restored);
    world.run(20 * MS);
    assert!(!world.has_head(0, 9));
    assert_eq!(world.counted(0, Counter::KeptDamaged), 1);
}

#[test]
fn a_disk_that_hangs_is_given_up_in_time_and_switches_are_served_without_it() {
    let mut world = active_with_disk(MS);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(20 * MS);
    world.disk(0).hung = true;
    world.desired(0, "g2", 1, 1, 2, delta(1, one(7)));
    world.run(4_900 * MS);
    assert!(world.result(0, "g2").is_none(), "it is waited for");
    assert_eq!(world.given_up().len(), 0);
    world.run(200 * MS);
    assert_eq!(world.ended(0, "g2"), (Outcome::Applied, None), "before its deadline");
    let causes = world.given_up();
    assert!(
        causes.len() == 1 && causes[0].starts_with("it hangs: no answer for 5.0s, "),
        "{causes:?}"
    );
    assert_eq!(world.counted(0, Counter::GivenUpHung), 1);
    assert_eq!(world.speakers[0].gauges.get(&Gauge::StoreOrders), Some(&1));
    // From here on nobody waits for it, and what is asked of it does not grow.
    for generation in 3..=200 {
        let name = format!("g{generation}");
        world.desired(0, &name, 1, 1, generation, delta(generation - 1, one(generation % 50)));
        world.run(20 * MS);
        assert_eq!(world.ended(0, &name), (Outcome::Applied, None));
    }
    assert_eq!(world.disk(0).stuck.last(), Some(&Stuck::Open));
    let stuck = world.disk(0).stuck.len();
    world.run(3600 * SECOND);
    assert_eq!(world.disk(0).stuck.len(), stuck, "it is asked once");
    assert_eq!(world.given_up().len(), 1, "and told once");
}

#[test]
fn a_disk_that_comes_back_holds_what_stands_now_and_what_it_says_of_before_means_nothing() {
    for late in [Late::Nothing, Late::Done, Late::Failed] {
        let mut world = active_with_disk(MS);
        world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
        world.run(20 * MS);
        world.disk(0).hung = true;
        world.desired(0, "g2", 1, 1, 2, delta(1, one(7)));
        world.run(6 * SECOND);
        world.desired(0, "g3", 1, 1, 3, delta(2, one(8)));
        world.run(SECOND);
        let failed = world.counted(0, Counter::StoreFailed);
        assert!(failed > 0, "what was on the way is counted");
        world.wake(0, late);
        world.run(SECOND);
        assert_eq!(world.generations(0, 1), [3], "{late:?}");
        assert_eq!(world.facts(|f| matches!(f, Fact::StoreBack)), 1, "{late:?}");
        assert_eq!(world.given_up().len(), 1, "{late:?}");
        assert_eq!(world.counted(0, Counter::StoreFailed), failed, "{late:?}");
        // It is waited for again.
        world.disk(0).slow = 300 * MS;
        world.desired(0, "g4", 1, 1, 4, delta(3, one(9)));
        world.run(250 * MS);
        assert!(world.result(0, "g4").is_none(), "{late:?}");
        world.run(100 * MS);
        assert_eq!(world.ended(0, "g4"), (Outcome::Applied, None), "{late:?}");
        assert_eq!(world.generations(0, 1), [3, 4], "{late:?}");
    }
}

#[test]
fn a_late_answer_neither_confirms_nor_gives_up_what_was_ordered_since() {
    let mut world = active_with_disk(MS);
    world.disk(0).hung = true;
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(6 * SECOND);
    let tokens: Vec<u64> = world
        .disk(0)
        .stuck
        .iter()
        .filter_map(|what| match what {
            Stuck::Store(token) => Some(*token),
            Stuck::Load(_) | Stuck::Open => None,
        })
        .collect();
    world.wake(0, Late::Nothing);
    world.run(SECOND);
    world.disk(0).hung = true;
    world.desired(0, "g2", 1, 1, 2, delta(1, one(7)));
    world.run(100 * MS);
    assert!(!tokens.is_empty());
    for token in tokens {
        world.input(0, Input::Stored { token });
        let cause = "of long ago".to_owned();
        world.input(0, Input::StoreFailed { token, cause });
    }
    world.run(SECOND);
    assert!(world.result(0, "g2").is_none(), "its own answer did not come");
    assert_eq!(world.given_up().len(), 1);
    world.wake(0, Late::Done);
    world.run(SECOND);
    assert_eq!(world.ended(0, "g2"), (Outcome::Applied, None));
    assert_eq!(world.generations(0, 1), [1, 2]);
}

#[test]
fn a_disk_that_comes_back_and_cannot_be_opened_is_tried_again_and_its_new_cause_told() {
    let mut world = active_with_disk(MS);
    world.disk(0).hung = true;
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(6 * SECOND);
    world.disk(0).broken = true;
    world.wake(0, Late::Nothing);
    world.run(25 * SECOND);
    let causes = world.given_up();
    assert!(causes.len() == 2 && causes[1] == "no space left", "{causes:?}");
    world.disk(0).broken = false;
    world.run(11 * SECOND);
    assert_eq!(world.generations(0, 1), [1]);
    assert_eq!(world.facts(|f| matches!(f, Fact::StoreBack)), 1);
}

#[test]
fn a_disk_that_does_not_follow_is_given_up_when_too_many_orders_wait() {
    let mut world = active_with_disk(Duration::from_secs(4));
    // Answers of commands are put on disk without anybody waiting for it.
    let body = || CommandBody::Activate {
        switch: SwitchId(1),
        term: Term(1),
    };
    let mut n = 0;
    while world.given_up().is_empty() {
        world.command(0, &format!("c{n}"), 60 * SECOND, body());
        n += 1;
        if n % 64 == 0 {
            world.run(10 * MS);
        }
        assert!(n < 40_000, "it grows without an end");
    }
    let max = skerry_speaker_core::orders::ORDERS_MAX;
    assert!((max..max + 100).contains(&n), "{n} commands");
    let causes = world.given_up();
    assert!(causes[0].contains(&format!("{max} may")), "{causes:?}");
    assert_eq!(world.counted(0, Counter::GivenUpOrders), 1);
    assert!(world.counted(0, Counter::StoreFailed) > max as u64);
}

#[test]
fn a_disk_that_does_not_follow_is_given_up_when_too_many_bytes_wait() {
    let mut world = active_with(|config| config.kept_bytes_max = 200_000);
    world.give_disk(0, 4 * SECOND);
    // Some 40,000 bytes each, written and then read. A switch that leaves is waited for no longer, but what was ordered for
    // it is on its way.
    let mut generation = 0;
    while world.given_up().is_empty() {
        generation += 1;
        assert!(generation < 7, "it grows without an end");
        world.desired(
            0,
            &format!("g{generation}"),
            1,
            generation,
            generation,
            snapshot(rules(340)),
        );
        world.run(100 * MS);
        let conn = *world.conns.keys().last().expect("a connection");
        let reason = "reset".to_owned();
        world.input(
            0,
            Input::Closed {
                conn: skerry_speaker_core::ConnId(conn),
                reason,
            },
        );
        world.model(1).disconnect(conn);
        world.connect(1, 0);
        world.run(100 * MS);
        world.activate(0, 1, generation + 1);
        world.run(100 * MS);
    }
    let causes = world.given_up();
    assert!(causes.len() == 1 && causes[0].contains("bytes wait"), "{causes:?}");
    assert!(generation > 2, "{generation}");
    assert_eq!(world.counted(0, Counter::GivenUpBytes), 1);
}

#[test]
fn a_switch_whose_state_is_being_read_when_the_disk_hangs_waits_for_a_router() {
    for late in [Late::Nothing, Late::Done, Late::Failed] {
        hangs_while_it_is_read(late);
    }
}

fn hangs_while_it_is_read(late: Late) {
    let mut world = active_with_disk(MS);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(20 * MS);
    world.restart(0);
    world.disk(0).hung = true;
    world.connect(1, 0);
    world.run(SECOND);
    assert!(matches!(world.disk(0).stuck[..], [Stuck::Load(_)]), "it is read");
    world.run(6 * SECOND);
    assert_eq!(world.counted(0, Counter::GivenUpHung), 1);
    world.wake(0, late);
    world.run(SECOND);
    assert_eq!(world.counted(0, Counter::TakenAlone), 0);
    assert_eq!(world.counted(0, Counter::KeptDamaged), 0, "it was not damaged");
    // The router is served as ever.
    world.speakers[0].bus = true;
    world.input(0, Input::BusUp);
    world.run(100 * MS);
    world.activate(0, 1, 2);
    world.run(100 * MS);
    world.desired(0, "g2", 1, 2, 2, snapshot(rules(3)));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "g2"), (Outcome::Applied, None));
    assert_eq!(world.generations(0, 1), [2]);
}

#[test]
fn a_speaker_that_stood_still_itself_gives_the_disk_its_time_once_more() {
    let mut world = active_with_disk(MS);
    world.disk(0).hung = true;
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(SECOND);
    world.speakers[0].stopped = true;
    world.run(8 * SECOND);
    world.speakers[0].stopped = false;
    world.run(SECOND);
    assert_eq!(world.given_up().len(), 0);
    world.wake(0, Late::Done);
    world.run(100 * MS);
    assert_eq!(world.generations(0, 1), [1]);
}

#[test]
fn what_stands_on_many_switches_is_put_on_disk_again_without_more_than_it_follows() {
    let mut world = World::new(&["east"]);
    world.give_disk(0, MS);
    let switches = 100;
    for switch in 1..=switches {
        world.add_switch(switch, 2);
        world.connect(switch, 0);
        world.run(20 * MS);
        world.activate(0, switch, 1);
        world.run(20 * MS);
        // Some 120,000 bytes each: more than may be on the way at a time without being waited for.
        world.desired(0, &format!("s{switch}"), switch, 1, 1, snapshot(rules(1_000)));
    }
    world.run(SECOND);
    world.disk(0).hung = true;
    world.desired(0, "g2", 1, 1, 2, delta(1, one(7)));
    world.run(6 * SECOND);
    assert_eq!(world.given_up().len(), 1);
    world.disk(0).written.clear();
    world.disk(0).slow = SECOND;
    world.wake(0, Late::Nothing);
    world.run(500 * MS);
    let on_the_way: usize = world.disk(0).written.iter().sum();
    assert!((4_000_000..5_000_000).contains(&on_the_way), "{on_the_way} bytes");
    world.run(30 * SECOND);
    let kept = (1..=switches).filter(|switch| world.has_head(0, *switch)).count();
    assert_eq!(kept as u64, switches);
}

#[test]
fn a_disk_that_hangs_when_the_process_starts_is_taken_up_when_it_comes_back() {
    let mut world = active();
    let disk = Disk {
        hung: true,
        ..Disk::default()
    };
    world.speakers[0].disk = Some(disk);
    let cause = "it hangs".to_owned();
    let token = skerry_speaker_core::store::OPEN_TOKEN;
    world.input(0, Input::StoreFailed { token, cause });
    assert_eq!(world.given_up(), ["it hangs"]);
    world.desired(0, "g1", 1, 1, 1, snapshot(rules(2)));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "g1"), (Outcome::Applied, None), "nobody waits for it");
    world.run(20 * SECOND);
    assert_eq!(world.disk(0).stuck, [Stuck::Open]);
    world.wake(0, Late::Nothing);
    world.run(SECOND);
    assert_eq!(world.facts(|f| matches!(f, Fact::StoreBack)), 1);
    assert_eq!(world.generations(0, 1), [1]);
}

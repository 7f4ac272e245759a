use std::collections::BTreeSet;

use skerry_bus::reply::Outcome;
use skerry_bus::{CommandBody, DesiredChange, Epoch, Meter, MeterUnit, Seq};

use super::*;

const S1: SwitchId = SwitchId(1);

struct Rig {
    t0: Instant,
    ms: u64,
    tables: Tables,
    /// The last command that was sent.
    last: Option<Command>,
}

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// Meters with these numbers and rates.
fn meters(of: &[(u32, u32)]) -> Objects {
    let mut objects = Objects::new();
    for (id, rate) in of {
        objects.put_meter(Meter {
            id: *id,
            unit: MeterUnit::Kbps,
            rate: *rate,
            burst: 1,
        });
    }
    objects
}

impl Rig {
    fn new() -> Self {
        let t0 = Instant::now();
        let mut tables = Tables::new(Config::new(3), t0);
        tables.handle_input(t0, Input::Clock(BrokerClock::new(t0, 1_000_000)));
        Rig {
            t0,
            ms: 0,
            tables,
            last: None,
        }
    }
    fn now(&self) -> Instant {
        self.t0 + Duration::from_millis(self.ms)
    }
    fn give(&mut self, input: Input) {
        self.tables.handle_input(self.now(), input);
    }
    fn own(&mut self, owner: &str, objects: Objects) {
        self.give(Input::SetOwner {
            switch: S1,
            owner: owner.to_owned(),
            objects,
        });
    }
    fn edit(&mut self, id: &str, put: Objects, remove: Objects, deadline_ms: u64) {
        self.give(Input::Edit {
            correlation_id: id.parse().expect("an id"),
            switch: S1,
            put,
            remove: remove.keys(),
            deadline: self.now() + Duration::from_millis(deadline_ms),
            begun: false,
        });
    }
    fn active(&mut self, name: Option<&str>, term: u64) {
        self.give(Input::Active {
            switch: S1,
            region: name.map(region),
            term: Term(term),
        });
    }
    /// East answers the last command.
    fn answer(&mut self, outcome: Outcome, cause: Option<Cause>) {
        let Some(command) = self.last.clone() else { return };
        let result = CommandResult {
            switch: Some(S1),
            outcome,
            cause,
            generation: None,
            messages: 1,
            objects: None,
        };
        self.give(Input::Event(Box::new(RegionEvent {
            region: command.region.expect("the router names it"),
            epoch: Epoch(1),
            seq: Seq(1),
            at_ms: 0,
            correlation_id: Some(command.correlation_id),
            body: RegionEventBody::CommandResult { result },
        })));
    }
    fn applied(&mut self) {
        self.answer(Outcome::Applied, None);
    }
    fn run(&mut self, ms: u64) {
        let end = self.t0 + Duration::from_millis(ms);
        while let Some((at, _)) = self.tables.poll_timeout().filter(|(at, _)| *at <= end) {
            self.tables.handle_timeout(at);
        }
        self.ms = ms;
    }
    fn told(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(output) = self.tables.poll_output() {
            all.push(match output {
                Output::Send { region, command } => {
                    let text = match &command.body {
                        CommandBody::Desired {
                            term,
                            generation,
                            change: DesiredChange::Snapshot { objects },
                            ..
                        } => format!("{region}/{term}: {generation} whole {:?}", ids(objects)),
                        CommandBody::Desired {
                            term,
                            generation,
                            change: DesiredChange::Delta { base, put, remove },
                            ..
                        } => format!(
                            "{region}/{term}: {generation} from {base} put {:?} remove {:?}",
                            ids(put),
                            remove.meters
                        ),
                        other => format!("{other:?}"),
                    };
                    self.last = Some(*command);
                    text
                }
                Output::OwnerSet { owner, generation, .. } => format!("{owner} in {generation}"),
                Output::OwnerRefused { reason, .. } => format!("refused: {reason}"),
                Output::Generation { .. } | Output::Kept { .. } | Output::Begun { .. } | Output::Over { .. } => {
                    continue;
                }
                Output::Applied { generation, .. } => format!("applied {generation}"),
                Output::ApplyFailed {
                    generation,
                    certain,
                    withdrawn,
                    ..
                } => format!("failed {generation} certain {certain} withdrawn {withdrawn:?}"),
                Output::Edited { correlation_id, result } => {
                    let cause = result.cause.map(|c| format!(" {c}")).unwrap_or_default();
                    format!("{correlation_id} {:?}{cause}", result.outcome)
                }
            });
        }
        all
    }
    fn state(&self) -> &'static str {
        self.tables.tables.get(&S1).map_or("unknown", Table::state)
    }
}

fn ids(objects: &Objects) -> Vec<u32> {
    objects.meters.keys().copied().collect()
}

const NOTHING: [&str; 0] = [];

fn foreign(object: &str) -> Option<Cause> {
    Some(Cause::Foreign {
        object: object.to_owned(),
    })
}

/// Every state with every input: what comes out, and the state it leaves.
#[test]
fn every_pair_of_state_and_input() {
    type Step = (&'static str, fn(&mut Rig));
    let states: [Step; 5] = [
        ("nothing wanted", |r| r.active(Some("east"), 1)),
        ("no region", |r| r.own("a", meters(&[(1, 1)]))),
        ("settled", |r| {
            r.own("a", meters(&[(1, 1)]));
            r.active(Some("east"), 1);
            r.told();
            r.applied();
        }),
        ("sent", |r| {
            r.own("a", meters(&[(1, 1)]));
            r.active(Some("east"), 1);
            r.told();
            r.applied();
            r.own("a", meters(&[(1, 1), (2, 1)]));
        }),
        ("pausing", |r| {
            r.own("a", meters(&[(1, 1)]));
            r.active(Some("east"), 1);
            r.told();
            r.answer(Outcome::Failed, Some(Cause::ConnectionLost));
        }),
    ];
    let inputs: [Step; 15] = [
        ("a change", |r| r.own("b", meters(&[(3, 1)]))),
        ("no change", |r| r.own("b", meters(&[]))),
        ("a conflict", |r| r.own("b", meters(&[(1, 9)]))),
        ("an edit", |r| r.edit("e", meters(&[(4, 1)]), meters(&[]), 60_000)),
        ("the same region", |r| r.active(Some("east"), 1)),
        ("a new term", |r| r.active(Some("east"), 2)),
        ("no region", |r| r.active(None, 1)),
        ("applied", |r| r.applied()),
        ("rejected: base", |r| {
            r.answer(Outcome::Rejected, Some(Cause::Base { held: None }))
        }),
        ("rejected: no role", |r| {
            r.answer(Outcome::Rejected, Some(Cause::NoRole { held: None }))
        }),
        ("rejected: foreign", |r| r.answer(Outcome::Rejected, foreign("meter 2"))),
        ("failed", |r| r.answer(Outcome::Failed, Some(Cause::NoBarrier))),
        ("superseded", |r| {
            let generation = Generation(70);
            r.answer(Outcome::Superseded, Some(Cause::Newer { generation }));
        }),
        ("expired", |r| r.answer(Outcome::Expired, Some(Cause::Deadline))),
        ("time", |r| {
            let at = r.tables.poll_timeout().map_or(r.now(), |(at, _)| at);
            r.run(at.duration_since(r.t0).as_millis() as u64);
        }),
    ];
    let mut got = String::new();
    for (state, reach) in states {
        got += &format!("# {state}\n");
        for (input, give) in &inputs {
            let mut rig = Rig::new();
            reach(&mut rig);
            rig.told();
            give(&mut rig);
            let told = rig.told().join(", ");
            got += &format!("{input} -> {} | {told}\n", rig.state());
        }
    }
    let expected = include_str!("table.txt");
    if got != expected {
        let differs: Vec<String> = got
            .lines()
            .zip(expected.lines().chain(std::iter::repeat("")))
            .filter(|(g, e)| g != e)
            .map(|(g, e)| format!("got      {g}\nexpected {e}"))
            .collect();
        panic!("{}\n\nall of it:\n{got}", differs.join("\n"));
    }
}

#[test]
fn one_message_is_under_way_and_later_changes_coalesce_into_the_next() {
    let mut rig = Rig::new();
    rig.own("a", meters(&[(1, 1)]));
    rig.active(Some("east"), 4);
    assert_eq!(rig.told(), ["a in 1", "east/4: 1 whole [1]"]);
    rig.own("b", meters(&[(2, 1)]));
    rig.own("c", meters(&[(3, 1)]));
    rig.own("b", meters(&[]));
    assert_eq!(rig.told(), ["b in 2", "c in 3", "b in 4"]);
    rig.applied();
    assert_eq!(rig.told(), ["applied 1", "east/4: 4 from 1 put [3] remove [2]"]);
    rig.applied();
    assert_eq!(rig.told(), ["applied 4"]);
    assert_eq!(rig.tables.generations(S1), (Generation(4), Some(Generation(4))));
    let command = rig.last.clone().expect("sent");
    assert_eq!((command.owner_epoch, command.deadline_ms), (Some(3), 1_010_000));
}

#[test]
fn a_shared_object_stays_until_its_last_owner_goes() {
    let mut rig = Rig::new();
    rig.active(Some("east"), 1);
    rig.own("a", meters(&[(1, 1)]));
    rig.told();
    rig.applied();
    rig.own("b", meters(&[(1, 1)]));
    assert_eq!(rig.told(), ["applied 1", "b in 1", "applied 1"], "nothing to send");
    rig.own("a", meters(&[]));
    assert_eq!(rig.told(), ["a in 1", "applied 1"]);
    rig.own("b", meters(&[(1, 1), (2, 2)]));
    rig.told();
    rig.applied();
    rig.own("b", meters(&[]));
    assert_eq!(
        rig.told(),
        ["applied 2", "b in 3", "east/1: 3 from 2 put [] remove [1, 2]"]
    );
}

#[test]
fn different_objects_of_one_key_are_refused_naming_both_owners() {
    let mut rig = Rig::new();
    rig.own("flow:a", meters(&[(1, 1)]));
    rig.own("flow:b", meters(&[(1, 2)]));
    assert_eq!(
        rig.told(),
        [
            "flow:a in 1",
            "refused: meter 1 of flow:b is not the one that flow:a has"
        ]
    );
    // The owner itself may change it, while nobody shares it.
    rig.own("flow:a", meters(&[(1, 2)]));
    rig.own("flow:b", meters(&[(1, 2)]));
    rig.own("flow:a", meters(&[(1, 3)]));
    assert_eq!(
        rig.told(),
        [
            "flow:a in 2",
            "flow:b in 2",
            "refused: meter 1 of flow:a is not the one that flow:b has"
        ]
    );
}

#[test]
fn a_new_active_region_gets_everything_with_its_term_and_old_answers_are_nobodys() {
    let mut rig = Rig::new();
    rig.own("a", meters(&[(1, 1), (2, 1)]));
    rig.active(Some("east"), 1);
    rig.told();
    let old = rig.last.clone();
    rig.active(Some("west"), 2);
    assert_eq!(rig.told(), ["west/2: 1 whole [1, 2]"]);
    let new = std::mem::replace(&mut rig.last, old);
    rig.applied();
    assert_eq!(rig.told(), NOTHING);
    rig.last = new;
    rig.applied();
    assert_eq!(rig.told(), ["applied 1"]);
}

#[test]
fn one_bad_object_does_not_block_the_others() {
    let mut rig = Rig::new();
    rig.active(Some("east"), 1);
    rig.own("good", meters(&[(1, 1)]));
    rig.told();
    rig.own("bad", meters(&[(2, 1), (12, 1)]));
    rig.own("other", meters(&[(3, 1)]));
    rig.applied();
    rig.told();
    rig.answer(Outcome::Rejected, foreign("meter 12"));
    assert_eq!(
        rig.told(),
        ["failed 3 certain true withdrawn [\"bad\"]", "east/1: 4 whole [1, 3]"]
    );
    assert!(rig.tables.owned_by(S1, "bad").is_empty());
    // What a switch refused after part of it was done is as well taken back, but not certain.
    rig.applied();
    rig.own("good", meters(&[(1, 7)]));
    rig.told();
    let cause = Cause::SwitchError {
        error_type: 12,
        error_code: 1,
        name: "OFPET_METER_MOD_FAILED/OFPMMFC_METER_EXISTS".to_owned(),
        object: "meter 1".to_owned(),
    };
    rig.answer(Outcome::Failed, Some(cause.clone()));
    assert_eq!(
        rig.told(),
        ["failed 5 certain false withdrawn [\"good\"]", "east/1: 6 whole [1, 3]"]
    );
    assert_eq!(rig.tables.owned_by(S1, "good"), meters(&[(1, 1)]));
    // An object that stood before is nobody's change: it is tried again, ever more slowly.
    rig.answer(Outcome::Failed, Some(cause));
    assert_eq!(rig.told(), ["failed 6 certain false withdrawn []"]);
    rig.run(60_000);
    let sent = rig.told().iter().filter(|t| t.starts_with("east/1")).count();
    assert!((3..=6).contains(&sent), "{sent}");
}

#[test]
fn an_error_that_names_no_object_takes_back_all_that_was_sent() {
    let mut rig = Rig::new();
    rig.active(Some("east"), 1);
    rig.own("a", meters(&[(1, 1)]));
    rig.told();
    rig.own("late", meters(&[(2, 1)]));
    rig.answer(Outcome::Failed, foreign(""));
    assert_eq!(
        rig.told(),
        [
            "late in 2",
            "failed 1 certain false withdrawn [\"a\"]",
            "east/1: 3 whole [2]"
        ]
    );
}

#[test]
fn an_edit_of_a_service_has_one_answer() {
    let mut rig = Rig::new();
    rig.active(Some("east"), 1);
    rig.own("flow:a", meters(&[(9, 1)]));
    rig.told();
    rig.applied();
    rig.told();
    rig.edit("e1", meters(&[(1, 1)]), meters(&[]), 5_000);
    assert_eq!(rig.told(), ["east/1: 2 from 1 put [1] remove []"]);
    rig.edit("e2", meters(&[(2, 1)]), meters(&[]), 5_000);
    rig.applied();
    assert_eq!(
        rig.told(),
        ["applied 2", "e1 Applied", "east/1: 3 from 2 put [2] remove []"]
    );
    // The second is foreign: only it goes.
    rig.answer(Outcome::Rejected, foreign("meter 2"));
    assert_eq!(
        rig.told(),
        [
            "e2 Rejected collides with meter 2, which is not ours",
            "failed 3 certain true withdrawn [\"commands\"]",
            "east/1: 4 whole [1, 9]"
        ]
    );
    rig.applied();
    rig.told();
    // What stands already is applied at once; what is somebody's may not be taken away.
    rig.edit("e3", meters(&[(1, 1)]), meters(&[]), 5_000);
    rig.edit("e4", meters(&[]), meters(&[(9, 1)]), 5_000);
    rig.edit("e5", meters(&[(9, 2)]), meters(&[]), 5_000);
    assert_eq!(
        rig.told(),
        [
            "applied 4",
            "e3 Applied",
            "e4 Rejected malformed: remove: meter 9 belongs to flow:a",
            "e5 Rejected malformed: put: meter 9 is not the one that flow:a has",
        ]
    );
    rig.edit("e6", meters(&[]), meters(&[(1, 1)]), 5_000);
    assert_eq!(rig.told(), ["east/1: 5 from 4 put [] remove [1]"]);
    // The region is silent: what was sent stays wanted and the answer says so.
    rig.run(5_000);
    assert_eq!(rig.told(), ["e6 Failed the switch did not confirm in time"]);
    // What was never sent is taken back.
    rig.active(None, 1);
    rig.edit("e7", meters(&[(7, 1)]), meters(&[]), 1_000);
    rig.run(6_000);
    assert_eq!(rig.told(), ["e7 Expired the deadline passed"]);
    assert_eq!(ids(&rig.tables.wanted(S1)), [9]);
}

#[test]
fn an_edit_that_expires_takes_later_ones_of_the_same_object_not_with_it() {
    let mut rig = Rig::new();
    rig.active(Some("east"), 1);
    rig.edit("a", meters(&[(1, 1)]), Objects::new(), 60_000);
    rig.edit("b", meters(&[(2, 1)]), Objects::new(), 1_000);
    rig.edit("c", meters(&[(2, 2)]), Objects::new(), 60_000);
    rig.told();
    rig.run(1_000);
    assert_eq!(rig.told(), ["b Expired the deadline passed"], "c has time");
    rig.applied();
    rig.told();
    rig.applied();
    assert!(rig.told().contains(&"c Applied".to_owned()));
    assert_eq!(rig.tables.wanted(S1), meters(&[(1, 1), (2, 2)]));
}

#[test]
fn an_edit_that_was_taken_back_leaves_what_a_later_one_wants_as_well() {
    let mut rig = Rig::new();
    rig.active(Some("east"), 1);
    rig.edit("a", meters(&[(1, 1)]), Objects::new(), 60_000);
    rig.edit("b", meters(&[(2, 1)]), Objects::new(), 1_000);
    rig.edit("c", meters(&[(2, 1)]), Objects::new(), 2_000);
    rig.run(1_000);
    assert_eq!(rig.tables.wanted(S1), meters(&[(1, 1), (2, 1)]));
    rig.run(2_000);
    assert_eq!(rig.tables.wanted(S1), meters(&[(1, 1)]), "nobody wants it any more");
}

#[test]
fn an_edit_that_was_begun_before_a_restart_is_not_done_again_and_can_be_taken_back() {
    let mut rig = Rig::new();
    rig.tables = Tables::new(Config::new(4), rig.t0);
    rig.own(COMMANDS, meters(&[(1, 2), (7, 1)]));
    rig.give(Input::Begun {
        correlation_id: "a".parse().expect("an id"),
        switch: S1,
        put: meters(&[(1, 1)]),
        remove: ObjectKeys::default(),
    });
    rig.active(Some("east"), 1);
    rig.give(Input::Clock(BrokerClock::new(rig.t0, 1_000_000)));
    rig.told();
    // Its record is read again, behind what came after it.
    rig.edit("a", meters(&[(1, 2)]), meters(&[(7, 1)]), 5_000);
    assert_eq!(rig.tables.wanted(S1), meters(&[(1, 2), (7, 1)]));
    rig.answer(Outcome::Rejected, foreign("meter 1"));
    assert!(rig.told().iter().any(|told| told.starts_with("a Rejected")));
    assert_eq!(rig.tables.wanted(S1), meters(&[(1, 1), (7, 1)]));
}

#[test]
fn an_edit_that_was_begun_before_a_restart_is_never_said_to_have_sent_nothing() {
    let mut rig = Rig::new();
    rig.give(Input::Begun {
        correlation_id: "a".parse().expect("an id"),
        switch: S1,
        put: Objects::new(),
        remove: meters(&[(1, 1)]).keys(),
    });
    rig.edit("a", meters(&[(1, 1)]), Objects::new(), 0);
    rig.run(1);
    assert_eq!(rig.told(), ["a Failed the switch did not confirm in time"]);
}

#[test]
fn edits_of_a_switch_that_does_not_answer_are_limited() {
    let mut rig = Rig::new();
    for n in 0..2_000 {
        rig.edit(&format!("e{n}"), meters(&[(n, 1)]), meters(&[]), 5_000);
    }
    assert_eq!(
        rig.told().iter().filter(|t| t.contains("too many")).count(),
        2_000 - 1_024
    );
}

#[test]
fn what_was_sent_while_the_bus_was_away_is_sent_again_when_it_is_back() {
    let mut rig = Rig::new();
    rig.active(Some("east"), 1);
    rig.own("a", meters(&[(1, 1)]));
    rig.told();
    rig.applied();
    rig.told();
    // Nothing waits: nothing is sent.
    rig.give(Input::BusBack);
    assert_eq!(rig.told(), NOTHING);
    rig.own("b", meters(&[(2, 1)]));
    assert_eq!(rig.state(), "sent");
    rig.told();
    let lost = rig.last.clone();
    rig.run(500);
    rig.give(Input::BusBack);
    assert_eq!(rig.told(), ["east/1: 2 whole [1, 2]"]);
    // An answer to the first, should it have arrived after all, is nobody's.
    let second = std::mem::replace(&mut rig.last, lost);
    rig.applied();
    assert_eq!((rig.told(), rig.state()), (Vec::new(), "sent"));
    rig.last = second;
    rig.applied();
    assert_eq!(rig.told(), ["applied 2"]);
}

#[test]
fn a_generation_is_larger_than_any_before_the_restart() {
    let mut rig = Rig::new();
    rig.give(Input::Restored {
        switch: S1,
        generation: Generation(57),
    });
    rig.own("a", meters(&[(1, 1)]));
    rig.active(Some("east"), 1);
    assert_eq!(rig.told(), ["a in 58", "east/1: 58 whole [1]"]);
    let mut rig = Rig::new();
    rig.own("a", meters(&[(1, 1)]));
    rig.give(Input::Restored {
        switch: S1,
        generation: Generation(57),
    });
    rig.active(Some("east"), 1);
    assert_eq!(rig.told(), ["a in 1", "east/1: 58 whole [1]"]);
}

#[test]
fn nothing_is_sent_before_the_brokers_clock_is_known() {
    let t0 = Instant::now();
    let mut rig = Rig::new();
    rig.tables = Tables::new(Config::new(1), t0);
    rig.own("a", meters(&[(1, 1)]));
    rig.active(Some("east"), 1);
    assert_eq!(rig.told(), ["a in 1"]);
    rig.give(Input::Clock(BrokerClock::new(t0, 5)));
    assert_eq!(rig.told(), ["east/1: 1 whole [1]"]);
}

#[test]
fn what_stood_before_a_restart_is_not_taken_back() {
    let t0 = Instant::now();
    let mut rig = Rig::new();
    rig.tables = Tables::new(Config::new(1), t0);
    rig.own("old", meters(&[(1, 1)]));
    rig.active(Some("east"), 1);
    rig.give(Input::Clock(BrokerClock::new(t0, 5)));
    rig.told();
    rig.answer(Outcome::Failed, foreign("meter 1"));
    assert_eq!(rig.told(), ["failed 1 certain false withdrawn []"]);
    rig.own("new", meters(&[(2, 1)]));
    rig.run(1_000);
    rig.told();
    rig.answer(Outcome::Failed, foreign(""));
    assert_eq!(
        rig.told(),
        ["failed 2 certain false withdrawn [\"new\"]", "east/1: 3 whole [1]"]
    );
}

/// Random owners, regions and answers around a speaker that does what it is told: in the end it holds what is wanted.
#[test]
fn whatever_happens_the_switch_ends_with_what_is_wanted() {
    for run in 0..300u64 {
        let seed = 0x7ab1_e000 + run;
        println!("seed {seed:#x}");
        let mut random = seed;
        let mut below = move |n: u64| {
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            random.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
        };
        let mut rig = Rig::new();
        let mut holds: BTreeMap<Region, (Generation, Objects)> = BTreeMap::new();
        let mut switch = Objects::new();
        let (mut edits, mut answered) = (0, BTreeSet::new());
        let mut largest = Generation(0);
        let mut term = 0;
        for step in 0..200 {
            let calm = step >= 160;
            match below(if calm { 2 } else { 8 }) {
                0 | 1 => {
                    // The speaker answers what it was sent, if it was not answered yet.
                    if let Some(command) = rig.last.take() {
                        let CommandBody::Desired { generation, change, .. } = command.body.clone() else {
                            panic!("{command:?}");
                        };
                        assert!(generation >= largest, "seed {seed:#x}");
                        largest = generation;
                        let name = command.region.clone().expect("named");
                        let next = match change {
                            DesiredChange::Snapshot { objects } => Ok(objects),
                            DesiredChange::Delta { base, put, remove } => match holds.get(&name) {
                                Some((held, objects)) if *held == base => {
                                    let mut objects = objects.clone();
                                    objects.remove(&remove);
                                    objects.extend(put);
                                    Ok(objects)
                                }
                                other => Err(Cause::Base {
                                    held: other.map(|o| o.0),
                                }),
                            },
                        };
                        rig.last = Some(command);
                        match next {
                            // Meter 13 is somebody else's.
                            Ok(objects) if objects.meters.contains_key(&13) => {
                                rig.answer(Outcome::Rejected, foreign("meter 13"));
                            }
                            Ok(_) if !calm && below(5) == 0 => {
                                holds.remove(&name);
                                rig.answer(Outcome::Failed, Some(Cause::ConnectionLost));
                            }
                            Ok(objects) => {
                                switch = objects.clone();
                                holds.insert(name, (generation, objects));
                                rig.applied();
                            }
                            Err(cause) => rig.answer(Outcome::Rejected, Some(cause)),
                        }
                        rig.last = None;
                    }
                }
                2 | 3 => {
                    let owner = ["a", "b", "c"][below(3) as usize];
                    let count = below(4);
                    let of: Vec<(u32, u32)> = (0..count).map(|_| (10 + below(6) as u32, below(2) as u32)).collect();
                    rig.own(owner, meters(&of));
                }
                4 => {
                    edits += 1;
                    let put = meters(&[(10 + below(6) as u32, below(2) as u32)]);
                    let remove = meters(&[(10 + below(6) as u32, 0)]);
                    rig.edit(&format!("e{edits}"), put, remove, 100 + below(3_000));
                }
                5 => {
                    term += 1;
                    let name = ["east", "west"][below(2) as usize];
                    rig.active(Some(name).filter(|_| below(4) > 0), term);
                    holds.clear();
                }
                _ => {
                    let ms = rig.ms + below(2_000);
                    rig.run(ms);
                }
            }
            if calm {
                if step == 160 {
                    rig.active(Some("east"), term + 1);
                }
                let ms = rig.ms + 20_000;
                rig.run(ms);
            }
            for line in rig.told() {
                if let Some(id) = line.strip_prefix('e').and_then(|l| l.split_once(' ')).map(|l| l.0)
                    && id.bytes().all(|b| b.is_ascii_digit())
                {
                    assert!(answered.insert(id.to_owned()), "seed {seed:#x}: two answers to e{id}");
                }
            }
        }
        assert_eq!(answered.len(), edits, "seed {seed:#x}");
        if rig.tables.tables.contains_key(&S1) {
            assert_eq!(switch, rig.tables.wanted(S1), "seed {seed:#x}");
            assert_eq!(rig.state(), "settled", "seed {seed:#x}");
        }
    }
}

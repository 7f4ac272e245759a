use super::*;

const S1: SwitchId = SwitchId(1);

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

struct Rig {
    now: Instant,
    machine: Drain,
    empty: Vec<(String, u64)>,
}

impl Rig {
    fn new() -> Self {
        let now = Instant::now();
        let machine = Drain::new(Config::default(), now);
        let empty = Vec::new();
        Rig { now, machine, empty }
    }

    fn drain(&mut self, name: &str, drained: bool) -> Vec<SwitchId> {
        let region = region(name);
        self.machine.handle_input(self.now, Input::Region { region, drained });
        self.moved()
    }

    fn sight(&mut self, switch: SwitchId, active: Option<&str>, confirmed: bool, movable: bool) -> Vec<SwitchId> {
        let sight = Sight {
            active: active.map(region),
            confirmed,
            movable,
        };
        self.machine.handle_input(self.now, Input::Switch { switch, sight });
        self.moved()
    }

    fn time(&mut self, ms: u64) -> Vec<SwitchId> {
        self.now += Duration::from_millis(ms);
        self.machine.handle_timeout(self.now);
        self.moved()
    }

    fn moved(&mut self) -> Vec<SwitchId> {
        let all: Vec<Output> = std::iter::from_fn(|| self.machine.poll_output()).collect();
        let mut moved = Vec::new();
        for output in all {
            match output {
                Output::Move { switch, .. } => moved.push(switch),
                Output::Empty { region, moved } => self.empty.push((region.to_string(), moved)),
            }
        }
        moved
    }

    fn state(&self) -> &'static str {
        match self.machine.switches.get(&S1).map(|ours| ours.state) {
            None => "not ours",
            Some(State::Waiting) => "waiting",
            Some(State::Staying) => "staying",
            Some(State::Moving) => "moving",
            Some(State::Hanging) => "hanging",
        }
    }
}

/// East is drained, and all places are taken by others, so that who waits goes on waiting.
fn reach(state: &str) -> Rig {
    let mut rig = Rig::new();
    rig.drain("east", true);
    match state {
        "not ours" => {}
        "waiting" => {
            for n in 0..16 {
                rig.sight(SwitchId(100 + n), Some("east"), true, true);
            }
            rig.sight(S1, Some("east"), true, true);
        }
        "staying" => drop(rig.sight(S1, Some("east"), true, false)),
        "moving" => drop(rig.sight(S1, Some("east"), true, true)),
        "hanging" => {
            rig.sight(S1, Some("east"), true, true);
            rig.sight(S1, Some("west"), false, true);
            rig.time(2_000);
        }
        other => panic!("no such state: {other}"),
    }
    assert_eq!(rig.state(), state);
    rig
}

#[test]
fn every_pair_of_state_and_input() {
    type Give = fn(&mut Rig) -> Vec<SwitchId>;
    let inputs: [(&str, Give); 9] = [
        ("there, movable", |r| r.sight(S1, Some("east"), true, true)),
        ("there, not movable", |r| r.sight(S1, Some("east"), true, false)),
        ("elsewhere, claiming", |r| r.sight(S1, Some("west"), false, true)),
        ("elsewhere, held", |r| r.sight(S1, Some("west"), true, true)),
        ("nowhere", |r| r.sight(S1, None, false, false)),
        ("drained again", |r| r.drain("east", true)),
        ("another is drained", |r| r.drain("north", true)),
        ("drained no more", |r| r.drain("east", false)),
        ("time", |r| r.time(2_000)),
    ];
    // For each state, in the order of the inputs; an asterisk: it is to move now.
    let expected = [
        (
            "not ours",
            [
                "moving *", "staying", "not ours", "not ours", "not ours", "not ours", "not ours", "not ours",
                "not ours",
            ],
        ),
        // With time the others are where they were, and all of them wait: by id this one is first.
        (
            "waiting",
            [
                "waiting", "staying", "not ours", "not ours", "not ours", "waiting", "waiting", "not ours", "moving *",
            ],
        ),
        (
            "staying",
            [
                "moving *", "staying", "not ours", "not ours", "not ours", "staying", "staying", "not ours", "staying",
            ],
        ),
        (
            "moving",
            [
                "moving", "staying", "moving", "not ours", "not ours", "moving", "moving", "not ours", "moving *",
            ],
        ),
        (
            "hanging",
            [
                "moving *", "staying", "hanging", "not ours", "not ours", "hanging", "hanging", "not ours", "hanging",
            ],
        ),
    ];
    for (state, results) in expected {
        for ((input, give), result) in inputs.iter().zip(results) {
            let mut rig = reach(state);
            let moved = give(&mut rig).contains(&S1);
            let got = format!("{}{}", rig.state(), if moved { " *" } else { "" });
            assert_eq!(got, result, "{state} + {input}");
            let moving = rig.machine.switches.values().filter(|o| o.state == State::Moving);
            assert_eq!(moving.count(), rig.machine.moving, "{state} + {input}");
        }
    }
}

#[test]
fn no_more_than_the_limit_move_at_a_time_and_a_confirmed_move_makes_room() {
    let mut rig = Rig::new();
    rig.drain("east", true);
    let mut moving: Vec<SwitchId> = (1..=1_000)
        .flat_map(|n| rig.sight(SwitchId(n), Some("east"), true, true))
        .collect();
    assert_eq!(moving, (1..=16).map(SwitchId).collect::<Vec<_>>());
    let mut done = 0;
    while let Some(switch) = moving.pop() {
        assert_eq!(rig.sight(switch, Some("west"), false, true), []);
        moving.extend(rig.sight(switch, Some("west"), true, true));
        done += 1;
        let progress = rig.machine.progress(&region("east")).expect("drained");
        assert_eq!((progress.moving as usize, progress.moved), (moving.len(), done));
        assert_eq!(u64::from(progress.waiting), 1_000 - done - moving.len() as u64);
    }
    assert_eq!(done, 1_000);
    assert_eq!(rig.empty, [("east".to_owned(), 1_000)], "told once");
    assert!(rig.machine.switches.is_empty() && rig.machine.due.is_empty());
}

#[test]
fn a_move_that_hangs_does_not_hold_up_the_others_and_counts_when_it_is_confirmed_after_all() {
    let mut rig = Rig::new();
    rig.drain("east", true);
    for n in 1..=20 {
        rig.sight(SwitchId(n), Some("east"), true, true);
    }
    for n in 1..=16 {
        rig.sight(SwitchId(n), Some("west"), false, true);
    }
    assert_eq!(rig.time(1_999), []);
    assert_eq!(rig.time(1), [17, 18, 19, 20].map(SwitchId));
    let progress = rig.machine.progress(&region("east")).expect("drained");
    assert_eq!((progress.waiting, progress.moving, progress.hanging.len()), (0, 4, 16));
    rig.sight(S1, Some("west"), true, true);
    assert_eq!(rig.machine.progress(&region("east")).map(|p| p.moved), Some(1));
}

#[test]
fn two_regions_are_drained_each_with_its_own_progress() {
    let mut rig = Rig::new();
    rig.drain("east", true);
    rig.drain("west", true);
    rig.sight(S1, Some("east"), true, true);
    rig.sight(SwitchId(2), Some("west"), true, false);
    rig.drain("east", false);
    assert_eq!(rig.machine.progress(&region("east")), None);
    assert_eq!(
        rig.machine.progress(&region("west")).map(|p| p.staying),
        Some(vec![SwitchId(2)])
    );
    assert!(!rig.machine.is_idle());
    rig.drain("west", false);
    assert!(rig.machine.is_idle() && rig.machine.switches.is_empty());
}

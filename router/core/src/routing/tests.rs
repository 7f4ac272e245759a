use skerry_bus::{CommandBody, Epoch, Generation, Sending, Seq, SwitchDump, SwitchPlan, Wanted};

use super::*;

const S1: SwitchId = SwitchId(1);
const T0_MS: u64 = 1_000_000;

struct Rig {
    t0: Instant,
    routing: Routing,
}

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

impl Rig {
    /// East and west live, north does not; switch 1 is active in east.
    fn new() -> Self {
        let t0 = Instant::now();
        let regions = ["east", "west", "north"].map(region).to_vec();
        let mut rig = Rig {
            t0,
            routing: Routing::new(Config::new(regions, 7), t0),
        };
        rig.give(Input::Clock(BrokerClock::new(t0, T0_MS)));
        for name in ["east", "west"] {
            rig.region(name, true);
        }
        rig.active(Some("east"));
        rig.reached(&[("east", Mode::ReadWrite)]);
        rig
    }
    fn reached(&mut self, regions: &[(&str, Mode)]) {
        let regions = regions.iter().map(|(name, mode)| (region(name), *mode));
        self.give(Input::Reached {
            switch: S1,
            regions: Some(regions.collect()),
            reason: String::new(),
        });
    }
    fn give(&mut self, input: Input) {
        self.routing.handle_input(self.t0, input);
    }
    fn region(&mut self, name: &str, live: bool) {
        self.give(Input::Region {
            region: region(name),
            live,
        });
    }
    fn active(&mut self, name: Option<&str>) {
        self.give(Input::Active {
            switch: S1,
            region: name.map(region),
            term: Term(1),
        });
    }
    /// A command with a deadline in this many milliseconds.
    fn ask(&mut self, id: &str, body: CommandBody, deadline: u64) {
        self.give(Input::Command(Box::new(Command {
            correlation_id: id.parse().expect("an id"),
            requester: "me".to_owned(),
            deadline_ms: T0_MS + deadline,
            owner_epoch: None,
            region: None,
            epoch: None,
            body,
        })));
    }
    fn event(&mut self, id: &str, name: &str, body: RegionEventBody) {
        self.give(Input::Event(Box::new(RegionEvent {
            region: region(name),
            epoch: Epoch(1),
            seq: Seq(1),
            at_ms: 0,
            correlation_id: Some(id.parse().expect("an id")),
            body,
        })));
    }
    fn result(&mut self, id: &str, name: &str, outcome: Outcome) {
        let result = CommandResult {
            switch: Some(S1),
            outcome,
            cause: None,
            generation: None,
            messages: 0,
            objects: None,
        };
        self.event(id, name, RegionEventBody::CommandResult { result });
    }
    fn dumped(&mut self, id: &str, name: &str) {
        let body = RegionEventBody::SwitchDump {
            switch: S1,
            dump: SwitchDump::default(),
        };
        self.event(id, name, body);
    }
    fn planned(&mut self, id: &str, name: &str) {
        let plan = SwitchPlan {
            stages: Vec::new(),
            sending: Sending::Stages,
            steps: 0,
            generation: None,
            foreign: Vec::new(),
        };
        self.event(id, name, RegionEventBody::SwitchPlan { switch: S1, plan });
    }
    fn timeout(&mut self, ms: u64) {
        self.routing.handle_timeout(self.t0 + Duration::from_millis(ms));
    }
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.routing.poll_output())
            // What is stored of parts is not said.
            .filter(|output| !matches!(output, Output::PartEnded { .. }))
            .map(|output| match output {
                Output::Send { region, command } => {
                    assert_eq!((command.owner_epoch, &command.region), (Some(7), &Some(region.clone())));
                    format!("send {region} {}", command.correlation_id)
                }
                Output::Edit { correlation_id, .. } => format!("edit {correlation_id}"),
                Output::Dropped { correlation_id } => format!("dropped {correlation_id}"),
                Output::PartEnded { reply, .. } => format!("part {}", reply.correlation_id),
                Output::Reply { requester, reply, .. } => {
                    assert_eq!(requester, "me");
                    match reply.body {
                        ReplyBody::SwitchResult { result, dump, plan } => format!(
                            "{} {:?}{}{}{}",
                            reply.correlation_id,
                            result.outcome,
                            result.cause.map(|c| format!(" {c}")).unwrap_or_default(),
                            dump.map(|_| " dump").unwrap_or_default(),
                            plan.map(|_| " plan").unwrap_or_default(),
                        ),
                        ReplyBody::Done { applied, not_applied } => {
                            format!("{} done {applied}/{not_applied}", reply.correlation_id)
                        }
                    }
                }
            })
            .collect()
    }
}

fn dump() -> CommandBody {
    CommandBody::Dump { switch: S1 }
}

fn plan() -> CommandBody {
    CommandBody::Plan {
        switch: S1,
        wanted: None,
    }
}

fn snapshot() -> CommandBody {
    CommandBody::SwitchSnapshot { switch: S1 }
}

fn apply() -> CommandBody {
    CommandBody::Apply {
        switch: S1,
        put: Objects::new(),
        remove: ObjectKeys::default(),
    }
}

fn everything() -> CommandBody {
    CommandBody::RegionSnapshot {
        snapshot: "s".parse().expect("an id"),
    }
}

const NOTHING: [&str; 0] = [];

/// Every kind of pending command with every input.
#[test]
fn every_pair_of_state_and_input() {
    type Give = (&'static str, fn(&mut Rig));
    type Kind = (&'static str, fn() -> CommandBody);
    let kinds: [Kind; 6] = [
        ("edit", apply),
        ("dump", dump),
        ("plan", plan),
        ("snapshot", snapshot),
        ("region-wide", everything),
        ("many", || CommandBody::Many { parts: vec![apply()] }),
    ];
    let inputs: [Give; 15] = [
        ("the same again", |r| r.ask("c", dump(), 5_000)),
        ("result applied", |r| r.result("c", "east", Outcome::Applied)),
        ("result failed", |r| r.result("c", "east", Outcome::Failed)),
        ("result of a region not asked", |r| {
            r.result("c", "north", Outcome::Failed)
        }),
        ("the dump", |r| r.dumped("c", "east")),
        ("the plan", |r| r.planned("c", "east")),
        ("a dump of another region", |r| r.dumped("c", "west")),
        ("the edit ended", |r| {
            let ReplyBody::SwitchResult { result, .. } = applied(S1) else {
                return;
            };
            r.give(Input::Edited {
                correlation_id: "c".parse().expect("an id"),
                result,
            });
        }),
        ("the region is lost", |r| r.region("east", false)),
        ("the region leaves the switch", |r| r.reached(&[])),
        ("the region does not have it", |r| {
            r.result("c", "east", Outcome::Rejected)
        }),
        ("a part ended", |r| {
            let ReplyBody::SwitchResult { result, .. } = applied(S1) else {
                return;
            };
            r.give(Input::Edited {
                correlation_id: "c/0".parse().expect("an id"),
                result,
            });
        }),
        // The one that was asked still reaches it, and answers.
        ("another region is active", |r| r.active(Some("west"))),
        ("no region is active", |r| r.active(None)),
        ("the deadline", |r| r.timeout(6_000)),
    ];
    let lost = "c Failed the region was lost while the command was under way";
    let late = "c Failed the deadline passed";
    let expected: [[&str; 15]; 6] = [
        [
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "c Applied",
            "",
            "",
            "",
            "dropped c/0",
            "",
            "",
            late,
        ],
        [
            "",
            "",
            "c Failed",
            "",
            "c Applied dump",
            "",
            "",
            "dropped c",
            lost,
            lost,
            "c Rejected",
            "dropped c/0",
            "",
            "",
            late,
        ],
        [
            "",
            "",
            "c Failed",
            "",
            "",
            "c Applied plan",
            "",
            "dropped c",
            lost,
            lost,
            "c Rejected",
            "dropped c/0",
            "",
            "",
            late,
        ],
        [
            "",
            "c Applied",
            "c Failed",
            "",
            "",
            "",
            "",
            "dropped c",
            lost,
            lost,
            "c Rejected",
            "dropped c/0",
            "",
            "",
            late,
        ],
        [
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "dropped c",
            "",
            "",
            "",
            "dropped c/0",
            "",
            "",
            "c done 0/3",
        ],
        [
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "dropped c",
            "",
            "",
            "",
            "c Applied, c done 1/0",
            "",
            "",
            "c Failed the deadline passed, c done 0/1",
        ],
    ];
    for (k, (kind, body)) in kinds.iter().enumerate() {
        for (n, (input, give)) in inputs.iter().enumerate() {
            let mut rig = Rig::new();
            rig.ask("c", body(), 5_000);
            rig.told();
            give(&mut rig);
            assert_eq!(rig.told().join(", "), expected[k][n], "{kind} + {input}");
        }
    }
}

#[test]
fn a_dump_is_asked_of_who_only_reads_then_of_who_is_not_active_then_of_who_is() {
    use Mode::{ReadOnly, ReadWrite};
    let mut rig = Rig::new();
    rig.region("north", true);
    let both = [("east", ReadWrite), ("west", ReadWrite)];
    let all = [("east", ReadWrite), ("west", ReadWrite), ("north", ReadOnly)];
    rig.reached(&all);
    rig.ask("a", dump(), 5_000);
    // Whatever writes or plans goes to the active region.
    rig.ask("b", plan(), 5_000);
    rig.ask("c", snapshot(), 5_000);
    assert_eq!(rig.told(), ["send north a", "send east b", "send east c"]);
    // It is lost, and the next one does not have the switch: the others are asked, each once.
    rig.region("north", false);
    assert_eq!(rig.told(), ["send west a"]);
    rig.result("a", "west", Outcome::Rejected);
    assert_eq!(rig.told(), ["send east a"]);
    rig.result("a", "west", Outcome::Failed);
    assert_eq!(rig.told(), NOTHING, "who is asked no more");
    rig.result("a", "east", Outcome::Rejected);
    assert_eq!(rig.told(), ["a Rejected"]);
    // A region that does not live, or does not reach it, is not asked.
    rig.ask("d", dump(), 5_000);
    rig.reached(&both);
    rig.region("north", true);
    rig.ask("e", dump(), 5_000);
    rig.region("west", false);
    assert_eq!(rig.told(), ["send west d", "send west e", "send east d", "send east e"]);
    rig.dumped("d", "east");
    rig.dumped("e", "west");
    assert_eq!(rig.told(), ["d Applied dump"]);
}

#[test]
fn a_switch_that_only_readers_reach_can_be_read_and_nothing_else() {
    let mut rig = Rig::new();
    rig.region("north", true);
    rig.active(None);
    rig.give(Input::Reached {
        switch: S1,
        regions: Some([(region("north"), Mode::ReadOnly)].into()),
        reason: "region north may only read".to_owned(),
    });
    rig.ask("a", dump(), 5_000);
    rig.ask("b", apply(), 5_000);
    assert_eq!(
        rig.told(),
        [
            "send north a",
            "b Rejected no region may be asked: region north may only read"
        ]
    );
}

#[test]
fn a_command_for_many_switches_is_taken_apart_and_its_answers_are_joined() {
    let mut rig = Rig::new();
    let unknown = CommandBody::Dump { switch: SwitchId(9) };
    let parts = vec![apply(), unknown, dump()];
    let many = || CommandBody::Many { parts: parts.clone() };
    rig.ask("m", many(), 5_000);
    let refused = "m Rejected the switch is not connected to any region that could be asked";
    assert_eq!(rig.told(), ["edit m/0", refused, "send east m/2"]);
    rig.ask("m", many(), 5_000);
    rig.dumped("m/2", "east");
    assert_eq!(
        rig.told(),
        ["m Applied dump"],
        "while it is under way it is not begun again"
    );
    let ReplyBody::SwitchResult { result, .. } = applied(S1) else {
        panic!("a switch's answer");
    };
    rig.give(Input::Edited {
        correlation_id: "m/0".parse().expect("an id"),
        result,
    });
    assert_eq!(rig.told(), ["m Applied", "m done 2/1"]);
    // Again: what was done is answered again, what was read is read again.
    rig.ask("m", many(), 5_000);
    assert_eq!(rig.told(), ["m Applied", refused, "send east m/2"]);
    rig.timeout(5_000);
    assert_eq!(rig.told(), ["m Failed the deadline passed", "m done 1/2"]);
    assert_eq!((rig.routing.pending(), rig.routing.due.is_empty()), (0, true));
}

#[test]
fn a_command_for_many_switches_has_limits_and_is_refused_whole() {
    let mut rig = Rig::new();
    let of = |parts| CommandBody::Many { parts };
    rig.ask("none", of(vec![]), 5_000);
    rig.ask("late", of(vec![dump(), dump()]), 0);
    rig.ask("all", of(vec![dump(), everything()]), 5_000);
    rig.ask("nested", of(vec![of(vec![dump()])]), 5_000);
    rig.ask("large", of(vec![dump(); PARTS_MAX + 1]), 5_000);
    rig.ask(&"n".repeat(123), of(vec![dump()]), 5_000);
    let told = rig.told();
    assert_eq!(told[..2], ["none done 0/0", "late done 0/2"]);
    for (told, cause) in told[2..]
        .iter()
        .zip(["one switch", "one switch", "1001 are more", "at most 122"])
    {
        assert!(told.contains("Rejected malformed") && told.contains(cause), "{told}");
    }
    assert_eq!(told.len(), 6);
    let big = || of(vec![dump(); PARTS_MAX]);
    for n in 0..11 {
        rig.ask(&format!("b{n}"), big(), 5_000);
    }
    assert!(rig.told().last().is_some_and(|t| t.contains("too many")));
    assert!(rig.routing.pending() <= PENDING_MAX);
}

#[test]
fn what_cannot_be_routed_is_answered_at_once() {
    let mut rig = Rig::new();
    rig.ask("late", dump(), 0);
    rig.ask(
        "role",
        CommandBody::Activate {
            switch: S1,
            term: Term(9),
        },
        5_000,
    );
    let wanted = Some(Wanted {
        generation: Generation(1),
        objects: Objects::new(),
    });
    rig.ask("wanted", CommandBody::Plan { switch: S1, wanted }, 5_000);
    rig.active(None);
    rig.reached(&[]);
    for (id, body) in [("a", apply()), ("b", dump()), ("c", snapshot())] {
        rig.ask(id, body, 5_000);
    }
    let unknown = "Rejected the switch is not connected to any region that could be asked";
    assert_eq!(
        rig.told(),
        [
            "late Expired the deadline passed".to_owned(),
            "role Rejected malformed: kind: only the router sends activate".to_owned(),
            "wanted Rejected malformed: wanted: only the router says what a switch shall hold".to_owned(),
            format!("a {unknown}"),
            format!("b {unknown}"),
            format!("c {unknown}"),
        ]
    );
    for name in ["east", "west"] {
        rig.region(name, false);
    }
    rig.ask("all", everything(), 5_000);
    assert_eq!(rig.told(), ["all done 0/3"]);
    assert_eq!(rig.routing.poll_timeout(), None);
}

#[test]
fn a_region_wide_request_joins_the_answers_of_all_regions() {
    let mut rig = Rig::new();
    rig.ask("all", everything(), 5_000);
    assert_eq!(rig.told(), ["send east all", "send west all"]);
    rig.result("all", "east", Outcome::Applied);
    rig.result("all", "east", Outcome::Applied);
    assert_eq!(rig.told(), NOTHING);
    rig.result("all", "west", Outcome::Failed);
    assert_eq!(rig.told(), ["all done 1/2"]);
    // A region that is lost meanwhile has not answered.
    rig.ask("again", everything(), 5_000);
    rig.result("again", "east", Outcome::Applied);
    rig.region("west", false);
    assert_eq!(rig.told()[2..], ["again done 1/2"]);
}

#[test]
fn what_was_begun_before_a_restart_is_under_way_whatever_its_deadline_says() {
    let mut rig = Rig::new();
    rig.active(None);
    rig.give(Input::Begun("a".parse().expect("an id")));
    rig.ask("a", apply(), 0);
    rig.ask("b", apply(), 0);
    assert_eq!(rig.told(), ["edit a", "b Expired the deadline passed"]);
}

#[test]
fn questions_are_asked_again_when_the_bus_is_back() {
    let mut rig = Rig::new();
    rig.ask("d", dump(), 5_000);
    rig.ask("a", apply(), 5_000);
    let asked = rig.told();
    rig.give(Input::BusBack);
    assert_eq!(rig.told(), asked[..1], "the edit is sent again by its table");
}

#[test]
fn a_command_that_comes_again_is_answered_again_and_not_done_again() {
    let mut rig = Rig::new();
    rig.ask("c", snapshot(), 5_000);
    rig.ask("c", snapshot(), 5_000);
    rig.result("c", "east", Outcome::Applied);
    rig.ask("c", snapshot(), 5_000);
    assert_eq!(rig.told(), ["send east c", "c Applied", "c Applied"]);
    // What was read is read again: answers that large are not kept.
    rig.ask("d", dump(), 5_000);
    rig.dumped("d", "east");
    rig.result("d", "east", Outcome::Applied);
    rig.ask("d", dump(), 5_000);
    assert_eq!(rig.told(), ["send east d", "d Applied dump", "send east d"]);
}

#[test]
fn an_answer_after_the_deadline_is_dropped() {
    let mut rig = Rig::new();
    rig.ask("c", dump(), 5_000);
    rig.timeout(5_000);
    rig.result("c", "east", Outcome::Applied);
    assert_eq!(rig.told()[1..], ["c Failed the deadline passed", "dropped c"]);
}

#[test]
fn both_tables_are_bounded() {
    let mut rig = Rig::new();
    for n in 0..PENDING_MAX + 5 {
        rig.ask(&format!("c{n}"), dump(), 5_000);
    }
    assert_eq!(rig.told().iter().filter(|t| t.contains("too many")).count(), 5);
    rig.timeout(5_000);
    assert_eq!(rig.told().len(), PENDING_MAX);
    assert_eq!((rig.routing.pending(), rig.routing.answered.len()), (0, ANSWERED_MAX));
    assert!(rig.routing.due.is_empty());
}

#[test]
fn no_command_waits_for_ever() {
    let mut rig = Rig::new();
    rig.ask("c", dump(), 1_000_000_000);
    let (at, _) = rig.routing.poll_timeout().expect("it waits");
    assert_eq!(at, rig.t0 + Duration::from_secs(600));
}

#[test]
fn commands_that_come_before_the_clock_wait_for_it_in_their_order() {
    let mut rig = Rig::new();
    rig.routing = Routing::new(Config::new(vec![region("east")], 7), rig.t0);
    for n in 0..PENDING_MAX {
        rig.ask(&format!("c{n}"), dump(), 5_000);
    }
    rig.ask("late", dump(), 0);
    assert_eq!(rig.told(), ["late Rejected too many commands wait for this switch"]);
    rig.region("east", true);
    rig.active(Some("east"));
    rig.reached(&[("east", Mode::ReadWrite)]);
    rig.give(Input::Clock(BrokerClock::new(rig.t0, T0_MS)));
    let told = rig.told();
    assert_eq!(told.len(), PENDING_MAX);
    let asked = |n: usize| told[n].contains(&format!("c{n}")) && told[n].contains("east");
    assert!(asked(0) && asked(1) && asked(PENDING_MAX - 1), "{:?}", &told[..3]);
    rig.give(Input::Clock(BrokerClock::new(rig.t0, T0_MS)));
    assert_eq!(rig.told(), [""; 0], "each once");
}

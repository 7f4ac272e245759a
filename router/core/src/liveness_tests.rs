use super::*;

/// The broker's clock at the beginning of every test.
const T0_MS: u64 = 1_000_000;

struct Rig {
    t0: Instant,
    machine: Liveness,
}

impl Rig {
    fn new() -> Self {
        let t0 = Instant::now();
        let mut machine = Liveness::new(Config::new(vec![east()]), t0);
        machine.handle_input(t0, Input::Clock(BrokerClock::new(t0, T0_MS)));
        Rig { t0, machine }
    }
    fn at(&self, ms: u64) -> Instant {
        self.t0 + Duration::from_millis(ms)
    }
    /// A message written at `said` is read at `now`, both in milliseconds since the beginning.
    fn read(&mut self, now: u64, said: u64, partition: i32, epoch: u64, seq: u64, caught_up: bool) -> Vec<Output> {
        self.read_what(now, said, partition, epoch, seq, caught_up, What::Other)
    }
    #[expect(clippy::too_many_arguments, reason = "a message has that many parts")]
    fn read_what(
        &mut self,
        now: u64,
        said: u64,
        partition: i32,
        epoch: u64,
        seq: u64,
        caught_up: bool,
        what: What,
    ) -> Vec<Output> {
        self.machine.handle_input(
            self.at(now),
            Input::Read(Read {
                region: east(),
                partition,
                epoch: Epoch(epoch),
                seq: Seq(seq),
                record_ms: T0_MS + said,
                caught_up,
                what,
            }),
        );
        self.outputs()
    }
    fn heartbeat(&mut self, ms: u64, seq: u64) -> Vec<Output> {
        self.read(ms, ms, 0, 1, seq, true)
    }
    fn timeout(&mut self, ms: u64) -> Vec<Output> {
        self.machine.handle_timeout(self.at(ms));
        self.outputs()
    }
    /// Serve timers at their own times until `ms`.
    fn run(&mut self, ms: u64) -> Vec<(u64, Output)> {
        let mut all = Vec::new();
        while let Some((at, _)) = self.machine.poll_timeout().filter(|(at, _)| *at <= self.at(ms)) {
            self.machine.handle_timeout(at);
            let ms = at.duration_since(self.t0).as_millis() as u64;
            all.extend(self.outputs().into_iter().map(|o| (ms, o)));
        }
        all
    }
    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }
    fn done(&mut self, ms: u64) {
        let input = Input::SnapshotDone {
            region: east(),
            partition: 0,
        };
        self.machine.handle_input(self.at(ms), input);
    }
}

fn east() -> Region {
    "east".parse().expect("a region")
}

/// Every state, with every kind of input: what comes out and which state it leaves.
#[test]
fn every_pair_of_state_and_input() {
    use Ignored as I;
    use Output as O;
    type Reach = (&'static str, fn(&mut Rig));
    let states: [Reach; 3] = [
        ("never seen", |_| {}),
        ("live", |r| {
            r.heartbeat(100, 10);
            r.done(100);
        }),
        ("lost", |r| {
            r.heartbeat(100, 10);
            r.done(100);
            assert_eq!(r.run(1_200), [(1_100, O::Lost(east()))]);
        }),
    ];
    let gap = || O::Gap(east(), 0);
    let (live, ask, acc) = (|| O::Live(east()), || O::Ask(east()), || O::Accepted);
    let new = |e| O::NewEpoch(east(), Epoch(e));
    type Case = (&'static str, fn(&mut Rig) -> Vec<Output>);
    fn told(rig: &mut Rig, input: Input) -> Vec<Output> {
        rig.machine.handle_input(rig.at(1_050), input);
        rig.outputs()
    }
    let inputs: [Case; 15] = [
        ("cannot be read", |r| {
            r.read_what(1_050, 1_050, 0, 1, 11, true, What::Lost)
        }),
        ("the bus goes", |r| told(r, Input::Bus { up: false })),
        ("the bus comes", |r| told(r, Input::Bus { up: true })),
        ("the end is reached", |r| {
            let region = east();
            told(r, Input::CaughtUp { region, partition: 0 })
        }),
        ("the end is not known", |r| {
            let region = east();
            told(r, Input::Behind { region, partition: 0 })
        }),
        ("a snapshot is whole", |r| {
            let region = east();
            told(r, Input::SnapshotDone { region, partition: 0 })
        }),
        ("fresh next", |r| r.read(1_050, 1_050, 0, 1, 11, true)),
        ("fresh after a gap", |r| r.read(1_050, 1_050, 0, 1, 15, true)),
        ("fresh of a new epoch", |r| r.read(1_050, 1_050, 0, 2, 1, true)),
        ("old next", |r| r.read(2_050, 150, 0, 1, 11, false)),
        ("old of a new epoch", |r| r.read(2_050, 150, 0, 2, 1, false)),
        ("a stale epoch", |r| r.read(1_050, 1_050, 0, 0, 11, true)),
        ("read before", |r| r.read(1_050, 1_050, 0, 1, 10, true)),
        ("silence", |r| r.timeout(1_110)),
        ("the first time is over", |r| r.timeout(5_000)),
    ];
    use Status::{Live, Lost, NeverSeen};
    let first = |v: Vec<Output>| {
        // What was never seen begins with a new epoch in an unknown partition.
        [vec![new(1), gap(), live(), ask()], v].concat()
    };
    let expected: BTreeMap<(&str, &str), (Vec<Output>, Status)> = BTreeMap::from([
        (("never seen", "fresh next"), (first(vec![acc()]), Live)),
        (("never seen", "fresh after a gap"), (first(vec![acc()]), Live)),
        (
            ("never seen", "fresh of a new epoch"),
            (vec![new(2), gap(), live(), ask(), acc()], Live),
        ),
        (
            ("never seen", "old next"),
            (vec![new(1), gap(), O::Ignored(I::Old)], NeverSeen),
        ),
        (
            ("never seen", "old of a new epoch"),
            (vec![new(2), gap(), O::Ignored(I::Old)], NeverSeen),
        ),
        // Nothing is known, so no epoch is stale and no seq was read before.
        (
            ("never seen", "a stale epoch"),
            (vec![new(0), gap(), live(), ask(), acc()], Live),
        ),
        (("never seen", "read before"), (first(vec![acc()]), Live)),
        (("never seen", "silence"), (vec![], NeverSeen)),
        (
            ("never seen", "the first time is over"),
            (vec![O::Absent(east())], NeverSeen),
        ),
        (("live", "fresh next"), (vec![acc()], Live)),
        (("live", "fresh after a gap"), (vec![gap(), ask(), acc()], Live)),
        (
            ("live", "fresh of a new epoch"),
            (vec![new(2), gap(), ask(), acc()], Live),
        ),
        // Its silence was not judged yet, and what is read says that it is not over.
        (("live", "old next"), (vec![acc()], Live)),
        (
            ("live", "old of a new epoch"),
            (vec![new(2), gap(), ask(), acc()], Live),
        ),
        (("live", "a stale epoch"), (vec![O::Ignored(I::StaleEpoch)], Live)),
        (("live", "read before"), (vec![O::Ignored(I::Duplicate)], Live)),
        (("live", "silence"), (vec![O::Lost(east())], Lost)),
        // Served much too late: this process was held up, and judges after it had time to read.
        (("live", "the first time is over"), (vec![], Live)),
        (("lost", "fresh next"), (vec![live(), ask(), acc()], Live)),
        (("lost", "fresh after a gap"), (vec![gap(), live(), ask(), acc()], Live)),
        (
            ("lost", "fresh of a new epoch"),
            (vec![new(2), gap(), live(), ask(), acc()], Live),
        ),
        (("lost", "old next"), (vec![O::Ignored(I::Old)], Lost)),
        (
            ("lost", "old of a new epoch"),
            (vec![new(2), gap(), O::Ignored(I::Old)], Lost),
        ),
        (("lost", "a stale epoch"), (vec![O::Ignored(I::StaleEpoch)], Lost)),
        (("lost", "read before"), (vec![O::Ignored(I::Duplicate)], Lost)),
        (("lost", "silence"), (vec![], Lost)),
        (("lost", "the first time is over"), (vec![], Lost)),
    ]);
    let mut expected = expected;
    // These are no messages: what they change is when silence is judged.
    for input in [
        "the bus goes",
        "the bus comes",
        "the end is reached",
        "the end is not known",
        "a snapshot is whole",
    ] {
        for (state, status) in [("never seen", NeverSeen), ("live", Live), ("lost", Lost)] {
            expected.insert((state, input), (vec![], status));
        }
    }
    expected.insert(("never seen", "cannot be read"), (first(vec![acc()]), Live));
    expected.insert(("live", "cannot be read"), (vec![gap(), ask(), acc()], Live));
    expected.insert(("lost", "cannot be read"), (vec![gap(), live(), ask(), acc()], Live));
    assert_eq!(expected.len(), states.len() * inputs.len());
    for (state, reach) in &states {
        for (input, give) in &inputs {
            let mut rig = Rig::new();
            reach(&mut rig);
            let got = give(&mut rig);
            let status = rig.machine.status(&east()).expect("configured");
            assert_eq!((got, status), expected[&(*state, *input)], "{state} + {input}");
        }
    }
}

#[test]
fn heartbeats_keep_a_region_alive_and_its_silence_ends_it_to_the_millisecond() {
    let mut rig = Rig::new();
    for n in 1..=20 {
        rig.heartbeat(n * 1_000, n);
        rig.done(n * 1_000);
        assert_eq!(rig.run(n * 1_000), []);
    }
    assert_eq!(rig.run(60_000), [(21_000, Output::Lost(east()))]);
}

#[test]
fn a_backlog_never_kills_a_healthy_region() {
    let mut rig = Rig::new();
    rig.heartbeat(0, 1);
    rig.done(0);
    // Held up for ten seconds; then what was written meanwhile is read, old and slowly.
    assert_eq!(rig.timeout(10_000), []);
    for n in 0..40 {
        let now = 10_000 + n * 20;
        assert_eq!(rig.run(now), []);
        assert_eq!(rig.read(now, 250 * (n + 1), 0, 1, n + 2, false), [Output::Accepted]);
    }
    // Caught up, and the region still speaks.
    assert_eq!(rig.read(10_800, 10_750, 0, 1, 42, true), [Output::Accepted]);
    assert_eq!(rig.run(11_700), []);
    assert_eq!(rig.machine.status(&east()), Some(Status::Live));
    assert_eq!(rig.run(12_000), [(11_750, Output::Lost(east()))]);
}

#[test]
fn a_partition_that_is_behind_and_silent_is_judged_after_all() {
    let mut rig = Rig::new();
    rig.read(0, 0, 0, 1, 1, false);
    rig.done(0);
    assert_eq!(rig.run(60_000), [(5_000, Output::Lost(east()))]);
    let mut rig = Rig::new();
    rig.read(0, 0, 0, 1, 1, false);
    rig.done(0);
    let end = Input::CaughtUp {
        region: east(),
        partition: 0,
    };
    rig.machine.handle_input(rig.at(100), end);
    assert_eq!(rig.run(60_000), [(1_000, Output::Lost(east()))]);
}

#[test]
fn the_absence_of_the_bus_kills_nobody() {
    let mut rig = Rig::new();
    rig.heartbeat(0, 1);
    rig.done(0);
    rig.machine.handle_input(rig.at(500), Input::Bus { up: false });
    assert_eq!(rig.machine.poll_timeout(), None);
    assert_eq!(rig.timeout(60_000), []);
    rig.machine.handle_input(rig.at(60_000), Input::Bus { up: true });
    assert_eq!(rig.run(60_100), []);
    assert_eq!(rig.read(60_100, 60_090, 0, 1, 2, true), [Output::Accepted]);
    assert_eq!(rig.run(62_000), [(61_090, Output::Lost(east()))]);
}

#[test]
fn who_cannot_hear_kills_nobody_before_he_knows_that_the_bus_is_away() {
    let mut rig = Rig::new();
    rig.heartbeat(0, 1);
    rig.done(0);
    let behind = Input::Behind {
        region: east(),
        partition: 0,
    };
    rig.machine.handle_input(rig.at(200), behind.clone());
    assert_eq!(rig.run(1_500), []);
    rig.machine.handle_input(rig.at(1_500), Input::Bus { up: false });
    assert_eq!(rig.run(60_000), []);
    // What was broken was only a connection: it is judged as ever.
    let mut rig = Rig::new();
    rig.heartbeat(0, 1);
    rig.done(0);
    rig.machine.handle_input(rig.at(200), behind);
    let end = Input::CaughtUp {
        region: east(),
        partition: 0,
    };
    rig.machine.handle_input(rig.at(300), end);
    assert_eq!(rig.run(60_000), [(1_000, Output::Lost(east()))]);
}

#[test]
fn a_bus_that_comes_back_empty_kills_nobody_who_is_still_looking_for_it() {
    let mut rig = Rig::new();
    rig.heartbeat(0, 1);
    rig.done(0);
    rig.machine.handle_input(rig.at(500), Input::Bus { up: false });
    rig.machine.handle_input(rig.at(60_000), Input::Bus { up: true });
    let end = || Input::CaughtUp {
        region: east(),
        partition: 0,
    };
    rig.machine.handle_input(rig.at(60_010), end());
    assert_eq!(rig.run(63_000), []);
    assert_eq!(rig.read(63_000, 63_000, 0, 1, 2, true), [Output::Accepted]);
    assert_eq!(rig.run(70_000), [(64_000, Output::Lost(east()))]);
    // Who died meanwhile is judged after all.
    let mut rig = Rig::new();
    rig.heartbeat(0, 1);
    rig.done(0);
    rig.machine.handle_input(rig.at(500), Input::Bus { up: false });
    rig.machine.handle_input(rig.at(60_000), Input::Bus { up: true });
    rig.machine.handle_input(rig.at(60_010), end());
    assert_eq!(rig.run(70_000), [(65_000, Output::Lost(east()))]);
}

#[test]
fn a_snapshot_is_asked_for_until_one_was_completed() {
    let mut rig = Rig::new();
    assert!(rig.heartbeat(0, 1).contains(&Output::Ask(east())));
    for n in 1..=3 {
        assert_eq!(rig.heartbeat(n * 600, n + 1), [Output::Accepted]);
    }
    assert_eq!(rig.run(1_900), [(1_000, Output::Ask(east()))]);
    rig.done(1_950);
    rig.heartbeat(2_000, 5);
    assert_eq!(rig.run(2_900), []);
}

#[test]
fn a_speaker_that_begins_with_a_snapshot_is_asked_only_if_it_does_not_end() {
    let mut rig = Rig::new();
    rig.machine.handle_input(
        rig.t0,
        Input::Read(Read {
            region: east(),
            partition: 0,
            epoch: Epoch(1),
            seq: Seq(1),
            record_ms: T0_MS,
            caught_up: true,
            what: What::SnapshotBegin,
        }),
    );
    assert!(!rig.outputs().contains(&Output::Ask(east())));
    rig.heartbeat(500, 2);
    assert_eq!(rig.run(1_100), [(1_000, Output::Ask(east()))]);
}

#[test]
fn every_partition_needs_its_own_end() {
    let mut rig = Rig::new();
    rig.read(0, 0, 0, 1, 1, true);
    rig.read(0, 0, 1, 1, 1, true);
    rig.done(10);
    rig.read(900, 900, 0, 1, 2, true);
    assert_eq!(rig.run(1_100), [(1_000, Output::Ask(east()))]);
}

#[test]
fn an_unconfigured_region_is_reported_once_in_a_while() {
    let mut rig = Rig::new();
    let said = |rig: &mut Rig, ms: u64, name: &str| {
        rig.machine.handle_input(
            rig.at(ms),
            Input::Read(Read {
                region: name.parse().expect("a region"),
                partition: 0,
                epoch: Epoch(1),
                seq: Seq(1),
                record_ms: T0_MS + ms,
                caught_up: true,
                what: What::Other,
            }),
        );
        rig.outputs().iter().filter(|o| matches!(o, Output::Unknown(_))).count()
    };
    assert_eq!(said(&mut rig, 0, "north"), 1);
    assert_eq!(said(&mut rig, 59_999, "north"), 0);
    assert_eq!(said(&mut rig, 60_000, "north"), 1);
    for n in 0..1_000 {
        said(&mut rig, 60_000 + n, &format!("r{n}"));
    }
    assert!(rig.machine.unknown.len() <= UNKNOWN_MAX);
}

#[test]
fn nobody_is_absent_before_there_was_any_sign_of_the_bus() {
    let t0 = Instant::now();
    let mut machine = Liveness::new(Config::new(vec![east()]), t0);
    machine.handle_input(t0, Input::Bus { up: false });
    assert_eq!(machine.poll_timeout(), None);
    machine.handle_timeout(t0 + Duration::from_secs(60));
    assert_eq!(machine.poll_output(), None);
    let t1 = t0 + Duration::from_secs(60);
    machine.handle_input(t1, Input::Bus { up: true });
    assert_eq!(machine.poll_timeout().map(|t| t.0), Some(t1 + Duration::from_secs(5)));
    machine.handle_timeout(t1 + Duration::from_secs(5));
    assert_eq!(machine.poll_output(), Some(Output::Absent(east())));
}

#[test]
fn a_second_speaker_of_an_older_epoch_is_told_and_never_heard_while_the_other_lives() {
    let mut rig = Rig::new();
    let stale = || Output::Ignored(Ignored::StaleEpoch);
    rig.read(0, 0, 0, 5, 1, true);
    rig.done(0);
    // What the process before had on its way when the new one began says nothing.
    assert_eq!(rig.read(1_900, 1_900, 0, 4, 100, true), [stale()]);
    assert_eq!(rig.machine.twin(&east(), rig.at(1_900)), None);
    let mut told = 0;
    for n in 2..130 {
        let ms = n * 1_000;
        rig.read(ms, ms, 0, 5, n, true);
        rig.done(ms);
        let got = rig.read(ms + 500, ms + 500, 0, 4, 100 + n, true);
        told += usize::from(got.contains(&Output::Twin(east(), Epoch(4))));
        assert_eq!(got.last(), Some(&stale()));
        assert_eq!(rig.run(ms + 999), []);
    }
    assert_eq!(told, 3, "once a minute");
    assert_eq!(rig.machine.epoch(&east()), Some(Epoch(5)));
    assert_eq!(rig.machine.twin(&east(), rig.at(130_000)), Some(Epoch(4)));
    assert_eq!(rig.machine.twin(&east(), rig.at(140_000)), None, "it was stopped");
}

#[test]
fn a_second_speaker_is_followed_when_the_other_one_is_gone_for_long() {
    let mut rig = Rig::new();
    rig.read(0, 0, 0, 5, 1, true);
    rig.done(0);
    let mut followed = None;
    for n in 0..60 {
        let ms = 250 + n * 250;
        rig.run(ms);
        if rig.read(ms, ms, 0, 4, n + 1, true).contains(&Output::Accepted) {
            followed = Some(ms);
            break;
        }
    }
    assert_eq!(followed, Some(10_000));
    assert_eq!(
        (rig.machine.epoch(&east()), rig.machine.is_live(&east())),
        (Some(Epoch(4)), true)
    );
    assert_eq!(rig.machine.twin(&east(), rig.at(10_000)), None);
    // The other one returns: it is the newer one, and counts again.
    let got = rig.read(10_100, 10_100, 0, 5, 2, true);
    assert!(
        got.contains(&Output::NewEpoch(east(), Epoch(5))) && got.contains(&Output::Accepted),
        "{got:?}"
    );
    // What is read late is not followed, however long the other one is gone.
    let mut rig = Rig::new();
    rig.read(0, 0, 0, 5, 1, true);
    rig.run(60_000);
    assert_eq!(
        rig.read(60_000, 20_000, 0, 4, 1, false).last(),
        Some(&Output::Ignored(Ignored::StaleEpoch))
    );
}

#[test]
fn a_message_that_cannot_be_read_is_evidence_and_asks_for_everything_and_an_unknown_kind_is_only_evidence() {
    let mut rig = Rig::new();
    rig.heartbeat(0, 1);
    rig.done(0);
    let read = |rig: &mut Rig, ms: u64, seq: u64, what: What| {
        let read = Read {
            region: east(),
            partition: 0,
            epoch: Epoch(1),
            seq: Seq(seq),
            record_ms: T0_MS + ms,
            caught_up: true,
            what,
        };
        rig.machine.handle_input(rig.at(ms), Input::Read(read));
        rig.outputs()
    };
    assert_eq!(read(&mut rig, 500, 2, What::Other), [Output::Accepted]);
    let gap = Output::Gap(east(), 0);
    assert_eq!(
        read(&mut rig, 900, 3, What::Lost),
        [gap, Output::Ask(east()), Output::Accepted]
    );
    assert_eq!(
        rig.heartbeat(1_000, 4),
        [Output::Accepted],
        "nothing is missing behind it"
    );
}

#[test]
fn a_snapshot_that_never_completes_is_asked_for_less_and_less_often() {
    let mut rig = Rig::new();
    let mut asked = Vec::new();
    for n in 0..400 {
        let ms = n * 250;
        asked.extend(rig.run(ms));
        if rig.heartbeat(ms, n + 1).contains(&Output::Ask(east())) {
            asked.push((ms, Output::Ask(east())));
        }
    }
    let at: Vec<u64> = asked.iter().map(|(at, _)| at / 1_000).collect();
    assert_eq!(at, [0, 1, 3, 7, 15, 31, 47, 63, 79, 95]);
}

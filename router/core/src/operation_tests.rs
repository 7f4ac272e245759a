//! Tests of operations: every pair of state and input of the table at the head of `operation.rs`, and that one always ends.

use super::*;

const S1: SwitchId = SwitchId(1);
const S2: SwitchId = SwitchId(2);
const DRAIN: Duration = Duration::from_secs(2);

fn stage(name: &str, switches: &[SwitchId], drain: Option<Duration>) -> Stage {
    let objects = switches.iter().map(|s| (*s, Objects::new())).collect();
    Stage {
        name: name.into(),
        objects,
        drain,
    }
}

/// Two switches prepared, one switched with a drain, two cleaned; back from `switch` in two stages.
fn plan() -> StagePlan {
    StagePlan {
        stages: vec![
            stage("prepare", &[S1, S2], None),
            stage("switch", &[S1], Some(DRAIN)),
            stage("clean", &[S1, S2], None),
        ],
        rollback: vec![
            vec![stage("clean", &[S1, S2], None)],
            vec![stage("switch", &[S1], Some(DRAIN)), stage("clean", &[S1, S2], None)],
            vec![stage("prepare", &[S2], None)],
        ],
        committed_from: 2,
    }
}

struct Bench {
    operation: Operation,
    now: Instant,
    generation: u64,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Bench {
            operation: Operation::new(Config::default(), plan(), now),
            now,
            generation: 0,
        }
    }

    /// What it says: names of stages begun, switches set, and the end.
    fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(output) = self.operation.poll_output() {
            said.push(match output {
                Output::SetOwner { switch, .. } => format!("set {}", switch.0),
                Output::Progress(p) => format!("{:?} {} {}", p.state, p.step, p.stage),
                Output::Done(Ok(())) => "done".into(),
                Output::Done(Err(cause)) => format!("failed: {cause}"),
            });
        }
        said
    }

    fn set_and_applied(&mut self, switch: SwitchId) {
        self.generation += 1;
        let generation = Generation(self.generation);
        self.operation
            .handle_input(self.now, Input::OwnerSet { switch, generation });
        self.operation
            .handle_input(self.now, Input::Applied { switch, generation });
    }

    fn taken_back(&mut self, switch: SwitchId) {
        let generation = Generation(self.generation);
        let (cause, withdrawn) = (Cause::NoBarrier, true);
        let input = Input::ApplyFailed {
            switch,
            generation,
            cause,
            objects: None,
            withdrawn,
        };
        self.operation.handle_input(self.now, input);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.operation.handle_timeout(self.now);
    }
}

#[test]
fn stages_follow_each_other_and_the_drain_stands_between() {
    let mut bench = Bench::new();
    assert_eq!(bench.said(), ["Running prepare 0", "set 1", "set 2"]);
    bench.set_and_applied(S2);
    assert_eq!(bench.said(), Vec::<String>::new(), "one switch is missing");
    bench.set_and_applied(S1);
    assert_eq!(bench.said(), ["Running switch 1", "set 1"]);
    bench.set_and_applied(S1);
    assert_eq!(bench.said(), ["Draining switch 1"]);
    bench.pass(DRAIN - Duration::from_millis(1));
    assert_eq!(bench.said(), Vec::<String>::new(), "packets are under way");
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.said(), ["Running clean 2", "set 1", "set 2"]);
    bench.set_and_applied(S1);
    bench.set_and_applied(S2);
    assert_eq!(bench.said(), ["done"]);
    assert_eq!(bench.operation.poll_timeout(), None);
}

#[test]
fn an_older_generation_or_one_before_ours_is_known_does_not_count() {
    let mut bench = Bench::new();
    bench.said();
    let input = Input::Applied {
        switch: S1,
        generation: Generation(99),
    };
    bench.operation.handle_input(bench.now, input);
    let input = Input::OwnerSet {
        switch: S1,
        generation: Generation(7),
    };
    bench.operation.handle_input(bench.now, input);
    let input = Input::Applied {
        switch: S1,
        generation: Generation(6),
    };
    bench.operation.handle_input(bench.now, input);
    bench.set_and_applied(S2);
    assert_eq!(bench.said(), Vec::<String>::new());
    let input = Input::Applied {
        switch: S1,
        generation: Generation(8),
    };
    bench.operation.handle_input(bench.now, input);
    assert_eq!(bench.said(), ["Running switch 1", "set 1"], "a newer one has ours");
}

#[test]
fn a_failure_that_is_tried_again_changes_nothing() {
    let mut bench = Bench::new();
    bench.said();
    let (generation, cause) = (Generation(1), Cause::ConnectionLost);
    let input = Input::ApplyFailed {
        switch: S1,
        generation,
        cause,
        objects: None,
        withdrawn: false,
    };
    bench.operation.handle_input(bench.now, input);
    assert_eq!(bench.said(), Vec::<String>::new());
}

#[test]
fn what_does_not_succeed_before_the_point_of_no_return_is_undone_in_its_own_stages() {
    let refused = |bench: &mut Bench| {
        let input = Input::OwnerRefused {
            switch: S1,
            reason: "taken".into(),
        };
        bench.operation.handle_input(bench.now, input);
    };
    type Case<'a> = (&'a str, &'a dyn Fn(&mut Bench));
    let causes: [Case; 4] = [
        ("taken", &refused),
        ("did not confirm in time", &|b| b.taken_back(S1)),
        ("not applied in time by switch 00:00:00:00:00:00:00:01", &|b| {
            b.pass(Duration::from_secs(30))
        }),
        ("cancelled: no longer wanted", &|b| {
            let reason = "no longer wanted".to_owned();
            b.operation.handle_input(b.now, Input::Cancel { reason });
        }),
    ];
    for (cause, happens) in causes {
        let mut bench = Bench::new();
        bench.set_and_applied(S1);
        bench.set_and_applied(S2);
        bench.said();
        happens(&mut bench);
        assert_eq!(bench.said(), ["RollingBack switch 1", "set 1"], "{cause}");
        bench.set_and_applied(S1);
        assert_eq!(bench.said(), ["RollingBack switch 1"], "its drain");
        bench.pass(DRAIN);
        assert_eq!(bench.said(), ["RollingBack clean 1", "set 1", "set 2"]);
        // The way back goes on whatever happens, and cannot be cancelled.
        let reason = "twice".to_owned();
        bench.operation.handle_input(bench.now, Input::Cancel { reason });
        bench.taken_back(S1);
        let said = bench.said();
        let [end] = said.as_slice() else { panic!("{said:?}") };
        assert!(end.starts_with("failed") && end.contains(cause), "{end}");
    }
}

#[test]
fn after_the_point_of_no_return_it_goes_on() {
    for late in [true, false] {
        let mut bench = Bench::new();
        for switch in [S1, S2, S1] {
            bench.set_and_applied(switch);
        }
        bench.pass(DRAIN);
        bench.said();
        let reason = "too late".to_owned();
        bench.operation.handle_input(bench.now, Input::Cancel { reason });
        bench.set_and_applied(S1);
        if late {
            bench.pass(Duration::from_secs(30))
        } else {
            bench.taken_back(S2)
        }
        assert_eq!(bench.said(), ["done"], "late: {late}");
    }
}

#[test]
fn a_drain_can_be_cancelled_and_ignores_the_rest() {
    let mut bench = Bench::new();
    for switch in [S1, S2, S1] {
        bench.set_and_applied(switch);
    }
    bench.said();
    bench.taken_back(S1);
    bench.set_and_applied(S1);
    assert_eq!(bench.said(), Vec::<String>::new());
    let reason = "x".to_owned();
    bench.operation.handle_input(bench.now, Input::Cancel { reason });
    assert_eq!(bench.said(), ["RollingBack switch 1", "set 1"]);
}

#[test]
fn after_its_end_nothing_comes() {
    let empty = StagePlan {
        stages: Vec::new(),
        rollback: Vec::new(),
        committed_from: 0,
    };
    let now = Instant::now();
    let mut operation = Operation::new(Config::default(), empty, now);
    assert_eq!(operation.poll_output(), Some(Output::Done(Ok(()))));
    for input in [
        Input::OwnerSet {
            switch: S1,
            generation: Generation(1),
        },
        Input::Applied {
            switch: S1,
            generation: Generation(1),
        },
        Input::OwnerRefused {
            switch: S1,
            reason: String::new(),
        },
        Input::Cancel { reason: String::new() },
    ] {
        operation.handle_input(now, input);
    }
    operation.handle_timeout(now + Duration::from_secs(3600));
    assert_eq!(operation.poll_output(), None);
}

#[test]
fn a_restored_operation_does_its_stage_again_and_ends() {
    for (state, stage, back, begins) in [
        (OperationState::Running, 1, 0, "Running switch 1"),
        (OperationState::Draining, 1, 0, "Running switch 1"),
        (OperationState::RollingBack, 1, 1, "RollingBack clean 1"),
    ] {
        let now = Instant::now();
        let progress = Progress {
            state,
            stage,
            back,
            step: String::new(),
            error: "why".into(),
        };
        let operation = Operation::restore(Config::default(), plan(), &progress, now);
        let mut bench = Bench {
            operation,
            now,
            generation: 0,
        };
        assert_eq!(bench.said().first().map(String::as_str), Some(begins));
        // With nobody answering it ends by its deadlines alone.
        let mut ended = false;
        for _ in 0..10 {
            bench.pass(Duration::from_secs(30));
            ended |= bench
                .said()
                .iter()
                .any(|s| s.starts_with("done") || s.starts_with("failed"));
        }
        assert!(ended, "{state:?}");
    }
}

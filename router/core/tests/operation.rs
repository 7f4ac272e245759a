//! The whole table of an operation's states and inputs; and whatever its switches do, it ends in the time that its plan
//! allows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skerry_bus::objects::Objects;
use skerry_bus::{Cause, Generation, SwitchId};
use skerry_router_core::operation::{Config, Input, Operation, Output, Progress, Stage, StagePlan};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
    }
    fn stages(&mut self) -> Vec<Stage> {
        (0..self.below(4))
            .map(|n| Stage {
                name: format!("stage {n}"),
                objects: (0..self.below(4)).map(|s| (SwitchId(s), Objects::new())).collect(),
                drain: (self.below(2) == 0).then(|| Duration::from_millis(self.below(3_000))),
            })
            .collect()
    }
    fn plan(&mut self) -> StagePlan {
        let stages = self.stages();
        StagePlan {
            rollback: stages.iter().map(|_| self.stages()).collect(),
            committed_from: self.below(stages.len() as u64 + 1) as usize,
            stages,
        }
    }
}

#[test]
fn an_operation_always_ends_once_and_also_after_restarts() {
    for run in 0..2_000u64 {
        let seed = 0x0be8_a710 + run;
        println!("seed {seed:#x}");
        let mut random = Random(seed);
        let plan = random.plan();
        let t0 = Instant::now();
        let config = Config::default();
        let drains = |stages: &[Stage]| stages.iter().filter_map(|s| s.drain).sum::<Duration>();
        let back = plan.rollback.iter().map(|b| (b.len(), drains(b)));
        let (most, longest) = back.fold((0, Duration::ZERO), |(n, d), (bn, bd)| (n.max(bn), d.max(bd)));
        let limit =
            config.stage * plan.stages.len() as u32 + drains(&plan.stages) + config.rollback * most as u32 + longest;
        let restarts = random.below(3) as u32;

        let mut now = t0;
        let mut operation = Operation::new(config.clone(), plan.clone(), now);
        let mut generations: BTreeMap<SwitchId, u64> = BTreeMap::new();
        let mut stored: Option<Progress> = None;
        let mut restarted = 0;
        let mut results = Vec::new();
        loop {
            while let Some(output) = operation.poll_output() {
                match output {
                    Output::SetOwner { switch, .. } => {
                        let generation = generations.entry(switch).or_default();
                        *generation += 1;
                        let input = match random.below(10) {
                            0 => Input::OwnerRefused {
                                switch,
                                reason: "taken".to_owned(),
                            },
                            _ => Input::OwnerSet {
                                switch,
                                generation: Generation(*generation),
                            },
                        };
                        operation.handle_input(now, input);
                    }
                    Output::Progress(progress) => stored = Some(progress),
                    Output::Done(result) => results.push(result),
                }
            }
            if !results.is_empty() {
                break;
            }
            let switch = SwitchId(random.below(4));
            let generation = Generation(generations.get(&switch).copied().unwrap_or(0));
            match random.below(12) {
                0..=3 => operation.handle_input(now, Input::Applied { switch, generation }),
                4 => operation.handle_input(
                    now,
                    Input::ApplyFailed {
                        switch,
                        generation,
                        cause: Cause::NoBarrier,
                        objects: None,
                        withdrawn: random.below(2) == 0,
                    },
                ),
                5 if random.below(4) == 0 => operation.handle_input(
                    now,
                    Input::Cancel {
                        reason: "no longer wanted".to_owned(),
                    },
                ),
                6 if restarted < restarts => {
                    if let Some(progress) = &stored {
                        restarted += 1;
                        operation = Operation::restore(config.clone(), plan.clone(), progress, now);
                    }
                }
                7 | 8 => now += Duration::from_millis(random.below(2_000)),
                _ => {
                    // It always says when it wants to be woken, while it has not ended.
                    let (at, _) = operation.poll_timeout().expect("it has not ended");
                    now = now.max(at);
                    operation.handle_timeout(now);
                }
            }
            assert!(
                now - t0 <= limit * (restarts + 1) + Duration::from_secs(60),
                "seed {seed:#x}: still runs"
            );
        }
        // Nothing comes after the end.
        operation.handle_timeout(now + Duration::from_secs(3_600));
        assert_eq!(operation.poll_output(), None, "seed {seed:#x}");
        assert_eq!(operation.poll_timeout(), None, "seed {seed:#x}");
        assert_eq!(results.len(), 1, "seed {seed:#x}");
    }
}

/// A switch with these two stages to go, the second after the point of no return; two stages back.
fn two_stages() -> StagePlan {
    let stage = |name: &str, drain: Option<u64>| Stage {
        name: name.to_owned(),
        objects: BTreeMap::from([(SwitchId(1), Objects::new())]),
        drain: drain.map(Duration::from_secs),
    };
    StagePlan {
        stages: vec![stage("prepare", Some(2)), stage("clean", Some(2))],
        rollback: vec![vec![stage("back 1", Some(2)), stage("back 2", None)], Vec::new()],
        committed_from: 1,
    }
}

struct Bench {
    now: Instant,
    operation: Operation,
    generation: u64,
    said: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let mut bench = Bench {
            now,
            operation: Operation::new(Config::default(), two_stages(), now),
            generation: 0,
            said: Vec::new(),
        };
        bench.drain();
        bench
    }
    fn give(&mut self, input: Input) {
        self.operation.handle_input(self.now, input);
        self.drain();
    }
    /// Tables take over what is set, each time with the next generation.
    fn drain(&mut self) {
        while let Some(output) = self.operation.poll_output() {
            match output {
                Output::SetOwner { switch, .. } => {
                    self.generation += 1;
                    let generation = Generation(self.generation);
                    self.operation
                        .handle_input(self.now, Input::OwnerSet { switch, generation });
                }
                Output::Progress(progress) => self.said.push(format!("{:?} {}", progress.state, progress.step)),
                Output::Done(result) => self.said.push(match result {
                    Ok(()) => "done".to_owned(),
                    Err(_) => "failed".to_owned(),
                }),
            }
        }
    }
    fn applied(&mut self) {
        self.give(Input::Applied {
            switch: SwitchId(1),
            generation: Generation(self.generation),
        });
    }
    fn time(&mut self) {
        if let Some((at, _)) = self.operation.poll_timeout() {
            self.now = at;
            self.operation.handle_timeout(at);
            self.drain();
        }
    }
    fn fail(&mut self, withdrawn: bool) {
        self.give(Input::ApplyFailed {
            switch: SwitchId(1),
            generation: Generation(self.generation),
            cause: Cause::NoBarrier,
            objects: None,
            withdrawn,
        });
    }
}

#[test]
fn every_pair_of_state_and_input() {
    type Step = (&'static str, fn(&mut Bench));
    let states: [Step; 7] = [
        ("applying", |_| {}),
        ("draining", Bench::applied),
        ("applying, no return", |b| {
            b.applied();
            b.time();
        }),
        ("draining, no return", |b| {
            b.applied();
            b.time();
            b.applied();
        }),
        ("applying back", |b| b.fail(true)),
        ("draining back", |b| {
            b.fail(true);
            b.applied();
        }),
        ("ended", |b| {
            for _ in 0..2 {
                b.applied();
                b.time();
            }
        }),
    ];
    let inputs: [Step; 8] = [
        ("applied", Bench::applied),
        ("applied, older", |b| {
            b.give(Input::Applied {
                switch: SwitchId(1),
                generation: Generation(b.generation - 1),
            });
        }),
        ("applied elsewhere", |b| {
            b.give(Input::Applied {
                switch: SwitchId(2),
                generation: Generation(b.generation),
            });
        }),
        ("refused", |b| {
            b.give(Input::OwnerRefused {
                switch: SwitchId(1),
                reason: "taken".to_owned(),
            });
        }),
        ("taken back", |b| b.fail(true)),
        ("failed, is tried again", |b| b.fail(false)),
        ("cancelled", |b| {
            b.give(Input::Cancel {
                reason: "no longer wanted".to_owned(),
            });
        }),
        ("time", Bench::time),
    ];
    let back = "RollingBack back 1";
    let second = "RollingBack back 2";
    let clean = "Running clean";
    // What a drain on the way back is called, and what comes after it.
    let expected: [[&str; 8]; 7] = [
        ["Draining prepare", "", "", back, back, "", back, back],
        ["", "", "", "", "", "", back, clean],
        [
            "Draining clean",
            "",
            "",
            "Draining clean",
            "Draining clean",
            "",
            "",
            "Draining clean",
        ],
        ["", "", "", "", "", "", "", "done"],
        [back, "", "", back, back, "", "", back],
        ["", "", "", "", "", "", "", second],
        ["", "", "", "", "", "", "", ""],
    ];
    for (n, (state, reach)) in states.iter().enumerate() {
        for (m, (input, give)) in inputs.iter().enumerate() {
            let mut bench = Bench::new();
            reach(&mut bench);
            bench.said.clear();
            give(&mut bench);
            assert_eq!(bench.said.join(", "), expected[n][m], "{state} + {input}");
        }
    }
}

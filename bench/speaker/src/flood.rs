//! One switch floods, the others work: how long their commands take, what is lost of their discovery packets, and what
//! memory it costs.
//!
//! In the other half the generator sends the same flood to a sink on its own core, so that what it takes of the machine is in
//! both. The speaker has a core for itself.

use crate::crowd::{Links, Load};
use crate::echo::Peer;
use crate::effort::{Clock, Effort, interleaved, pass};
use crate::floor::Manner;
use crate::series::{Triples, Turn, percentile};
use crate::usage;
use crate::world::{Setup, World};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use skerry_bus::objects::{Action, Match, ObjectKeys, Objects, OutPort, Rule, RuleKey};
use skerry_bus::{CommandBody, Cookie, CorrelationId, DesiredChange, Generation, PortNo, SwitchId, Term};
use skerry_tests::daemons::Daemon;
use std::time::{Duration, Instant};

/// Packet-ins in a second.
const RATE: u64 = 100_000;
/// Switches beside the one that floods.
const OTHERS: usize = 100;
/// Commands to them in a second, in turn.
const COMMANDS: f64 = 400.0;
/// The flood stands this long before it counts.
const BEFORE: Duration = Duration::from_millis(200);
/// Time between two looks at the speaker's memory.
const LOOK: Duration = Duration::from_millis(100);
/// How long anything here may take.
const STEP_MAX: Duration = Duration::from_secs(60);
/// How long what is under way may be on its way, once nobody sends any more.
const UNDER_WAY_MAX: Duration = Duration::from_secs(2);

/// What the speaker counts of discovery packets that reached it: believed; under way while a role changed; and before their
/// control channel was measured anew. What came too late to be believed is lost.
const TAKEN: [(&str, &str); 4] = [
    ("skerry_speaker_probes_received_total", ""),
    ("skerry_speaker_packets_dropped_total", "\"misplaced\""),
    ("skerry_speaker_latency_dropped_total", "\"no_control_round_trip\""),
    ("skerry_speaker_latency_dropped_total", "\"negative\""),
];

/// What was measured.
#[derive(Debug)]
pub struct Flooded {
    /// Median of the others' commands, milliseconds.
    pub p50_ms: Triples,
    /// 99th percentile of the others' commands, milliseconds.
    pub p99_ms: Triples,
    /// Memory that the speaker took more while it was flooded, MiB; one value for each flood.
    pub rss_mib: Vec<f64>,
    /// Discovery packets of others that switches sent and the speaker did not get; one value for each flood.
    pub lost: Vec<f64>,
    /// Packet-ins of the flood that the speaker was sent, in a second; one value for each flood.
    pub taken_s: Vec<f64>,
}

struct Flood<'w> {
    world: &'w World,
    effort: &'w Effort,
    speaker: Daemon,
    load: Load,
    sink: Peer,
    term: u64,
    /// Of each of the others, the generation it holds.
    generations: Vec<u64>,
}

/// One half's values.
struct Half {
    p50_ms: f64,
    p99_ms: f64,
    rss_mib: f64,
    lost: f64,
    flooded_s: f64,
}

/// Measures it.
///
/// # Errors
/// Something did not start, or a command was not applied.
pub fn run(world: &World, effort: &Effort, setup: &Setup, clock: &Clock) -> Result<Flooded> {
    let speaker = world.speaker(&setup.on(world.cores.measured))?;
    let links = Links::Pairs;
    // The last one, which floods, has no partner: what is lost at it is its own.
    let load = Load::start(world, setup, &speaker, OTHERS + 1, links, Some(world.cores.load))?;
    let sink = Peer::start(world, Manner::Sink, world.cores.load)?;
    world.router.wait_announced(OTHERS + 1, STEP_MAX)?;
    let mut flood = Flood {
        world,
        effort,
        speaker,
        load,
        sink,
        term: 0,
        generations: vec![0; OTHERS],
    };
    let (mut rss_mib, mut lost, mut taken_s) = (Vec::new(), Vec::new(), Vec::new());
    let triples = interleaved(2, effort, clock, |turn| {
        let half = flood.half(turn == Turn::With)?;
        if turn == Turn::With {
            rss_mib.push(half.rss_mib);
            lost.push(half.lost);
            taken_s.push(half.flooded_s);
        }
        Ok(vec![half.p50_ms, half.p99_ms])
    })?;
    let Flood {
        speaker, load, sink, ..
    } = flood;
    sink.end()?;
    load.end()?;
    world.end(&speaker)?;
    let [p50_ms, p99_ms] = <[Triples; 2]>::try_from(triples).ok().context("two values")?;
    Ok(Flooded {
        p50_ms,
        p99_ms,
        rss_mib,
        lost,
        taken_s,
    })
}

impl Flood<'_> {
    fn half(&mut self, into_the_speaker: bool) -> Result<Half> {
        let pid = self.speaker.process.pid();
        let flooder = self.load.ids().last().context("one switch at least")?.0;
        // Nobody sends anything now: what is counted from here on can be held against each other.
        let before = self.counts()?;
        self.term += 1;
        // Whoever was not active has to be told anew what shall stand, under a number above all before.
        let generation = self.generations.iter().max().copied().unwrap_or(0) + 1;
        self.load.take(self.world, self.term, generation)?;
        self.generations.fill(generation);
        let empty = usage::resident_kib(pid)?;
        let mut most = empty;
        let mut order = json!({ "do": "flood", "switch": flooder, "rate": RATE });
        if !into_the_speaker {
            order["to"] = json!(self.sink.address.to_string());
        }
        self.load.ask(&order)?;
        pass(BEFORE)?;
        let since = Instant::now();
        let mut commands: Vec<(CorrelationId, Instant)> = Vec::new();
        let mut looked = since;
        while since.elapsed() < self.effort.flood {
            let due = since + Duration::from_secs_f64(commands.len() as f64 / COMMANDS);
            pass(due.saturating_duration_since(Instant::now()))?;
            let command = self.command(commands.len())?;
            commands.push(command);
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                most = most.max(usage::resident_kib(pid)?);
            }
        }
        let names: Vec<CorrelationId> = commands.iter().map(|(name, _)| name.clone()).collect();
        let answered = self.world.router.applied(&names, STEP_MAX)?;
        most = most.max(usage::resident_kib(pid)?);
        let took = since.elapsed() + BEFORE;
        order["rate"] = json!(0);
        self.load.ask(&order)?;
        self.give_back()?;
        let mut after = self.counts()?;
        let end = Instant::now() + UNDER_WAY_MAX;
        while after.lost(&before) > 0.0 && Instant::now() < end {
            pass(LOOK)?;
            after = self.counts()?;
        }
        let mut millis: Vec<f64> = commands
            .iter()
            .zip(answered)
            .map(|((_, said), heard)| heard.saturating_duration_since(*said).as_secs_f64() * 1e3)
            .collect();
        let percentile = |millis: &mut Vec<f64>, part| percentile(millis, part, self.effort.p99_least);
        Ok(Half {
            p50_ms: percentile(&mut millis, 0.5).context("too few commands for a percentile")?,
            p99_ms: percentile(&mut millis, 0.99).context("too few commands for a percentile")?,
            rss_mib: (most - empty) / 1024.0,
            lost: after.lost(&before),
            flooded_s: (after.flood - before.flood) / took.as_secs_f64(),
        })
    }

    /// Another rule for the next of the others.
    fn command(&mut self, number: usize) -> Result<(CorrelationId, Instant)> {
        let index = number % OTHERS;
        let switch = SwitchId(1 + index as u64);
        let held = self.generations.get_mut(index).context("one of the others")?;
        let base = Generation(*held);
        *held += 1;
        let mut put = Objects::new();
        put.put_rule(rule(*held));
        let body = CommandBody::Desired {
            switch,
            term: Term(self.term),
            generation: Generation(*held),
            change: DesiredChange::Delta {
                base,
                put,
                remove: ObjectKeys::default(),
            },
        };
        self.world.router.command(switch, body)
    }

    /// Makes the region inactive for all: no discovery packets any more, and no rules.
    fn give_back(&mut self) -> Result<()> {
        self.term += 1;
        let mut names = Vec::new();
        for switch in self.load.ids() {
            let term = Term(self.term);
            names.push(
                self.world
                    .router
                    .command(switch, CommandBody::Deactivate { switch, term })?
                    .0,
            );
        }
        self.world
            .router
            .applied(&names, STEP_MAX)
            .context("deactivate")
            .map(drop)
    }

    fn counts(&mut self) -> Result<Counts> {
        let status = self.load.ask(&json!({ "do": "status" }))?;
        let number = |at: &str| status.pointer(at).and_then(Value::as_f64).unwrap_or(0.0);
        let flood = number("/floods/sent");
        let mut taken = 0.0;
        for (name, label) in TAKEN {
            taken += self.world.daemons.metric(&self.speaker, name, label)?;
        }
        Ok(Counts {
            sent: number("/sent/by_type/OFPT_PACKET_IN") - flood,
            taken,
            flood,
        })
    }
}

struct Counts {
    /// Packet-ins of switches that are none of the flood.
    sent: f64,
    /// Discovery packets that reached the speaker.
    taken: f64,
    /// Packet-ins of the flood to the speaker.
    flood: f64,
}

impl Counts {
    fn lost(&self, before: &Counts) -> f64 {
        (self.sent - before.sent) - (self.taken - before.taken)
    }
}

/// Always the same rule, each time with another port: it is replaced, and nothing grows.
fn rule(generation: u64) -> Rule {
    Rule {
        key: RuleKey {
            table: 0,
            priority: 2_000,
            matches: Match {
                in_port: Some(PortNo(1)),
                vlan: Some(7),
                ..Match::default()
            },
        },
        cookie: Cookie(1 << 62 | 7),
        meter: None,
        apply: vec![Action::Output(OutPort::Port(PortNo(2 + (generation % 2) as u32)))],
        write_metadata: None,
        goto: None,
        reset_counts: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_and_not_taken_is_lost() {
        let counts = |sent, taken| Counts {
            sent,
            taken,
            flood: 0.0,
        };
        assert_eq!(counts(15.0, 12.0).lost(&counts(5.0, 5.0)), 3.0);
    }
}

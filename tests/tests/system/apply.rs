//! Changes on a real switch, by bundles and by stages: what is refused, what is foreign, and what would be done.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skerry_bus::topic::partition_of;
use skerry_bus::*;
use skerry_tests::daemons::PARTITIONS;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::Test;
use crate::world::{Stranger, World, switch_id};

pub const TESTS: &[Test] = &[
    Test(
        "apply::a_refused_rule_in_a_bundle_leaves_the_switch_as_it_was",
        &[OpenVSwitch],
        refused_in_a_bundle,
    ),
    Test(
        "apply::a_refused_rule_in_a_stage_is_named_with_what_was_done",
        &[OpenVSwitch],
        refused_in_a_stage,
    ),
    Test(
        "apply::thousands_of_objects_stand_the_same_in_every_mode",
        &[OpenVSwitch],
        thousands,
    ),
    Test(
        "apply::a_plan_shows_what_a_hand_changed_and_leaves_it",
        &[OpenVSwitch],
        plan_by_hand,
    ),
];

const S1: SwitchId = SwitchId(1);
const BRIDGE: &str = "s1";

/// A world of one switch whose speaker uses bundles so.
fn world(bundles: &str) -> Result<(World, Stranger)> {
    let world = World::with_speaker(1, &format!("[apply]\nbundles = \"{bundles}\"\n"))?;
    let stranger = Stranger::start(&world.daemons, vec![Topic::Commands], vec![Topic::Replies])?;
    Ok((world, stranger))
}

fn rule(priority: u16, number: u16) -> Rule {
    Rule {
        key: RuleKey {
            table: 2,
            priority,
            matches: Match {
                in_port: Some(PortNo(10)),
                vlan: Some(number),
                ..Match::default()
            },
        },
        cookie: Cookie(1 << 62 | u64::from(number)),
        meter: None,
        apply: vec![Action::Output(OutPort::Port(PortNo(11)))],
        write_metadata: None,
        goto: None,
        reset_counts: false,
    }
}

/// Five rules, of which Open vSwitch refuses the middle one: it sets a tag where none is.
fn with_a_bad_one() -> Objects {
    let mut objects = Objects::new();
    for number in 1..=5 {
        objects.put_rule(rule(100 + number, number));
    }
    let mut bad = rule(103, 3);
    bad.key.matches.vlan = None;
    bad.apply.insert(0, Action::SetVlan(7));
    objects.remove(&objects_of(&[rule(103, 3)]));
    objects.put_rule(bad);
    objects
}

fn objects_of(rules: &[Rule]) -> objects::ObjectKeys {
    objects::ObjectKeys {
        rules: rules.iter().map(|rule| rule.key.clone()).collect(),
        ..objects::ObjectKeys::default()
    }
}

/// Put these objects on the switch, and wait for the answer.
fn apply(stranger: &Stranger, name: &str, put: Objects) -> Result<CommandResult> {
    let command = Command {
        correlation_id: name.parse()?,
        requester: "test".to_owned(),
        deadline_ms: skerry_io::wall_clock_ms() + 25_000,
        owner_epoch: None,
        region: None,
        epoch: None,
        body: CommandBody::Apply {
            switch: S1,
            put,
            remove: objects::ObjectKeys::default(),
        },
    };
    let partition = partition_of(&S1.to_string(), PARTITIONS);
    for chunk in chunk::split(name, encode(&command)) {
        stranger.write(&Topic::Commands, partition, &S1.to_string(), &chunk)?;
    }
    let reply = stranger.wait(&format!("the answer to {name}"), &Topic::Replies, |_, reply| {
        (reply["correlation_id"] == name).then(|| reply.clone())
    })?;
    match serde_json::from_value::<Reply>(reply)?.body {
        ReplyBody::SwitchResult { result, .. } => Ok(result),
        ReplyBody::Done { .. } => anyhow::bail!("{name} is for one switch"),
    }
}

/// Things of somebody else on the switch.
fn put_foreign(world: &World) -> Result<()> {
    let ovs = &world.ovs;
    ovs.ofctl(&[
        "add-flow",
        BRIDGE,
        "table=2,priority=55,cookie=0x5,in_port=10,actions=drop",
    ])?;
    ovs.ofctl(&["add-group", BRIDGE, "group_id=5000,type=select,bucket=output:10"])?;
    ovs.ofctl(&["add-meter", BRIDGE, "meter=3000,kbps,band=type=drop,rate=1000"])?;
    Ok(())
}

fn foreign_is_there(world: &World) -> Result<()> {
    let dump = world.dump()?;
    for text in ["cookie=0x5", "group_id=5000", "meter=3000"] {
        ensure!(dump.iter().any(|line| line.contains(text)), "{text} is gone: {dump:#?}");
    }
    Ok(())
}

fn refused_in_a_bundle() -> Result<()> {
    let (world, stranger) = world("auto")?;
    put_foreign(&world)?;
    let view: Value = world.rest.get(&format!("/v2/switches/{}", switch_id(1)))?;
    ensure!(view["features"]["bundles"] == true, "{view:#}");
    let before = world.dump()?;
    let result = apply(&stranger, "bad", with_a_bad_one())?;
    ensure!(result.outcome == Outcome::Failed, "{result:?}");
    let objects = result.objects.clone().context("no objects")?;
    ensure!(
        (objects.applied, objects.failed, objects.not_tried) == (0, 1, 4),
        "{objects:?}"
    );
    let first = &objects.not_applied[0];
    ensure!(
        first.object
            == ObjectName::Rule(
                with_a_bad_one()
                    .rules
                    .keys()
                    .find(|k| k.priority == 103)
                    .context("there")?
                    .clone()
            ),
        "{first:?}"
    );
    ensure!(
        matches!(&first.fate, Fate::Failed { cause: Cause::SwitchError { name, .. } } if name.contains("BAD_ACTION")),
        "{first:?}"
    );
    ensure!(
        objects.not_applied[1..].iter().all(|o| o.fate == Fate::NotTried),
        "{objects:?}"
    );
    ensure!(world.dump()? == before, "{:#?}\nwas\n{before:#?}", world.dump()?);
    // Without the bad one it goes.
    let mut good = with_a_bad_one();
    good.rules.retain(|key, _| key.priority != 103);
    let result = apply(&stranger, "good", good)?;
    ensure!(result.outcome == Outcome::Applied, "{result:?}");
    ensure!(world.dump()?.len() == before.len() + 4, "{:#?}", world.dump()?);
    foreign_is_there(&world)?;
    world.unharmed()
}

fn refused_in_a_stage() -> Result<()> {
    let (world, stranger) = world("never")?;
    put_foreign(&world)?;
    let before = world.dump()?;
    let result = apply(&stranger, "bad", with_a_bad_one())?;
    ensure!(result.outcome == Outcome::Failed, "{result:?}");
    let objects = result.objects.clone().context("no objects")?;
    ensure!(
        (objects.applied, objects.failed, objects.not_tried) == (4, 1, 0),
        "{objects:?}"
    );
    ensure!(objects.not_applied.len() == 1, "{objects:?}");
    ensure!(
        objects.not_applied[0].to_string().contains("priority 103"),
        "{objects:?}"
    );
    // What was wanted is taken back, and the switch with it.
    wait::until("the switch to be as it was", DEADLINE, || {
        let now = world.dump().map_err(|e| format!("{e:#}"))?;
        if now == before {
            Ok(())
        } else {
            Err(format!("{now:#?}"))
        }
    })?;
    foreign_is_there(&world)?;
    world.unharmed()
}

/// 5,000 rules, 50 groups and 50 meters.
fn many() -> Objects {
    let mut objects = Objects::new();
    for id in 100..150 {
        objects.put_meter(Meter {
            id,
            unit: MeterUnit::Kbps,
            rate: 1_000 + id,
            burst: 2_000,
        });
        // Half of them hand packets on to another.
        let mut actions = vec![Action::Output(OutPort::Port(PortNo(11)))];
        if id % 2 == 1 {
            actions = vec![Action::Group(id - 1)];
        }
        objects.put_group(Group {
            id,
            kind: GroupKind::All,
            buckets: vec![Bucket { actions }],
        });
    }
    for number in 0..5_000u32 {
        let mut rule = rule(200 + (number / 4_000) as u16, (number % 4_000 + 1) as u16);
        rule.meter = Some(100 + number % 50);
        rule.apply = vec![Action::Group(100 + number % 50)];
        objects.put_rule(rule);
    }
    objects
}

fn thousands() -> Result<()> {
    let mut dumps: Vec<Vec<String>> = Vec::new();
    for mode in ["auto", "never", "always"] {
        let (world, stranger) = world(mode)?;
        put_foreign(&world)?;
        let result = apply(&stranger, "many", many())?;
        ensure!(result.outcome == Outcome::Applied, "{mode}: {result:?}");
        let plan: Value = world.rest.get(&format!("/v2/switches/{}/plan", switch_id(1)))?;
        ensure!(plan["steps"] == 0, "{mode}: {plan:#}");
        foreign_is_there(&world)?;
        let dump = world.dump()?;
        let ours = |cookie: &str| dump.iter().filter(|line| line.contains(cookie)).count();
        ensure!(
            ours("cookie=0x400000000000") >= 5_000,
            "{mode}: {}",
            ours("cookie=0x4000")
        );
        world.unharmed()?;
        dumps.push(dump);
    }
    ensure!(
        dumps[0] == dumps[1] && dumps[1] == dumps[2],
        "the modes leave different switches"
    );
    Ok(())
}

fn plan_by_hand() -> Result<()> {
    let (world, _stranger) = world("auto")?;
    let cli = |json: bool| -> Result<String> {
        let mut command = world.daemons.command("skerry")?;
        command.args(["--router", &format!("http://{}", world.router.address)]);
        if json {
            command.args(["--output", "json"]);
        }
        let output = command.args(["switch", "plan", &switch_id(1)]).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let before = cli(false)?;
    ensure!(before.starts_with("nothing to do\n"), "{before}");
    // Somebody takes one of our rules away, and puts one of his own.
    put_foreign(&world)?;
    let table_0 = "cookie=0x8000000000000000/0x8000000000000000,table=0";
    world.ovs.ofctl(&["del-flows", BRIDGE, table_0])?;
    let changed = world.dump()?;
    let after = cli(false)?;
    ensure!(
        after.contains("stage 1: rules\n  add rule of table 0") && after.contains(": it is missing\n"),
        "{after}"
    );
    ensure!(
        after.contains("sent as bundles") && after.contains("foreign objects that are left alone: 3"),
        "{after}"
    );
    let json: SwitchPlan = serde_json::from_str(&cli(true)?)?;
    ensure!(
        json.steps > 0 && json.stages.iter().all(|s| s.name == "rules"),
        "{json:?}"
    );
    ensure!(world.dump()? == changed, "the plan changed something");
    let strange = world
        .rest
        .ask("GET", &format!("/v2/switches/{}/plan", switch_id(77)), None)?;
    ensure!(strange.status == 404, "{strange:?}");
    world.unharmed()
}

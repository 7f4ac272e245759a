//! What becomes of a plan on its way: by stages and by bundles, with every fault on the way.

use skerry_bus::*;

use super::world::*;

pub fn mixed() -> Objects {
    let mut objects = rules(2);
    objects.put_meter(Meter {
        id: 40,
        unit: MeterUnit::Kbps,
        rate: 1_000,
        burst: 1_050,
    });
    for (id, to) in [(1, 2), (2, 0)] {
        let action = if to == 0 {
            Action::Output(OutPort::Port(PortNo(1)))
        } else {
            Action::Group(to)
        };
        objects.put_group(Group {
            id,
            kind: GroupKind::All,
            buckets: vec![Bucket { actions: vec![action] }],
        });
    }
    let mut metered = rule(1, 7, 9);
    metered.meter = Some(40);
    metered.apply = vec![Action::SetVlan(100), Action::Group(1)];
    metered.goto = Some(3);
    objects.put_rule(metered);
    objects
}

/// What became of each object that did not end well.
fn not_applied(world: &World, name: &str) -> Vec<String> {
    let objects = world.result(0, name).unwrap().objects.clone().unwrap_or_default();
    objects.not_applied.iter().map(ToString::to_string).collect()
}

fn counts(world: &World, name: &str) -> String {
    let objects = world.result(0, name).unwrap().objects.clone();
    objects.map(|o| o.to_string()).unwrap_or_default()
}

#[test]
fn a_result_says_what_became_of_each_object() {
    let mut world = active();
    world.model(1).quirks.refuse_priority = Some(7);
    world.desired(0, "refused", 1, 1, 1, snapshot(mixed()));
    world.run(100 * MS);
    // The first stages are confirmed, and of the third one rule was refused and the others were taken.
    assert_eq!(counts(&world, "refused"), "5 applied, 1 failed, 0 not tried");
    assert_eq!(
        not_applied(&world, "refused"),
        ["add rule of table 1, priority 7, in_port=10: the switch answered \
          OFPET_FLOW_MOD_FAILED/OFPFMFC_TABLE_FULL (type 5, code 1)"]
    );
    // What comes after the windows under way is not tried.
    let mut objects = rules(900);
    objects.put_rule(rule(0, 7, 5_000));
    world.model(1).quirks = Default::default();
    world.desired(0, "none", 1, 1, 2, snapshot(Objects::new()));
    world.run(100 * MS);
    world.model(1).quirks.refuse_priority = Some(100);
    world.desired(0, "many", 1, 1, 3, snapshot(objects));
    world.run(100 * MS);
    assert_eq!(counts(&world, "many"), "0 applied, 512 failed, 389 not tried");
    let listed = not_applied(&world, "many");
    assert_eq!(listed.len(), ObjectResults::LISTED_MAX);
    assert!(
        listed[0].starts_with("add rule of table 0, priority 100, in_port=900: the switch"),
        "{listed:?}"
    );
}

#[test]
fn what_the_switch_did_not_confirm_is_said_so() {
    let mut world = active();
    world.desired(0, "one", 1, 1, 1, snapshot(rules(1)));
    world.run(100 * MS);
    assert_eq!(counts(&world, "one"), "1 applied, 0 failed, 0 not tried");
    world.model(1).quirks.no_barrier = true;
    world.desired(0, "two", 1, 1, 2, snapshot(mixed()));
    world.run(40 * SECOND);
    assert_eq!(world.ended(0, "two"), (Outcome::Failed, Some(Cause::NoBarrier)));
    assert_eq!(
        counts(&world, "two"),
        "0 applied, 0 failed, 1 not confirmed, 4 not tried"
    );
    assert_eq!(
        not_applied(&world, "two"),
        [
            "add meter 40: not confirmed",
            "add group 2: not tried",
            "add group 1: not tried",
            "add rule of table 1, priority 7, in_port=10: not tried",
            "add rule of table 0, priority 100, in_port=2: not tried",
        ]
    );
}

fn plan(world: &mut World, name: &str, wanted: Option<Objects>) -> Option<SwitchPlan> {
    let wanted = wanted.map(|objects| Wanted {
        generation: Generation(9),
        objects,
    });
    let switch = SwitchId(1);
    let from = world.mark(0);
    world.command(0, name, SECOND, CommandBody::Plan { switch, wanted });
    world.run(100 * MS);
    let told = world.told(0, from, |body| match body {
        RegionEventBody::SwitchPlan { plan, .. } => Some(plan.clone()),
        _ => None,
    });
    assert!(told.len() <= 1);
    told.into_iter().next()
}

#[test]
fn a_plan_is_told_and_nothing_is_written() {
    let mut world = active();
    let told = plan(&mut world, "before", Some(mixed())).unwrap();
    assert_eq!((told.steps, told.generation), (6, Some(Generation(9))));
    assert_eq!(
        told.to_string(),
        "stage 1: meters\n  add meter 40: it is missing\n\
         stage 2: groups\n  add group 2: it is missing\n\
         stage 3: groups\n  add group 1: it is missing\n\
         stage 4: rules\n  add rule of table 1, priority 7, in_port=10: it is missing\n  \
         add rule of table 0, priority 100, in_port=2: it is missing\n  \
         add rule of table 0, priority 100, in_port=1: it is missing\n"
    );
    assert_eq!(world.ended(0, "before"), (Outcome::Applied, None));
    assert!(world.model(1).writes.is_empty());
    world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
    world.run(100 * MS);
    let told = plan(&mut world, "after", Some(mixed())).unwrap();
    assert_eq!((told.steps, told.to_string().as_str()), (0, "nothing to do\n"));
    // A long one is cut, and says so.
    let told = plan(&mut world, "long", Some(rules(3_000))).unwrap();
    assert_eq!(told.steps, 3_002);
    assert!(told.to_string().contains("  and 1998 more\n"), "{told}");
    // What cannot be planned is refused as if it were asked for.
    let mut foreign = world.model(1).flows[0].clone();
    foreign.cookie = 5;
    foreign.priority = 50;
    world.model(1).flows.push(foreign);
    let mut wanted = Objects::new();
    wanted.put_rule(rule(1, 50, 9));
    assert_eq!(plan(&mut world, "foreign", Some(wanted)), None);
    assert!(matches!(
        world.ended(0, "foreign"),
        (Outcome::Rejected, Some(Cause::Foreign { .. }))
    ));
    assert_eq!(plan(&mut world, "nothing", None), None);
    assert!(
        matches!(world.ended(0, "nothing"), (Outcome::Rejected, Some(Cause::Malformed { detail })) if detail.starts_with("wanted"))
    );
}

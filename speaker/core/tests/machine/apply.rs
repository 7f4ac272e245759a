//! What becomes of a plan on its way: by stages and by bundles, with every fault on the way.

use skerry_bus::*;
use skerry_speaker_core::{BundleUse, ConnId, Input};

use super::model::{BundleQuirk, Quirks};
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
    let mut world = with(BundleUse::Never);
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

fn with(bundles: BundleUse) -> World {
    active_with(|config| config.bundles = bundles)
}

fn features(world: &World) -> Option<bool> {
    let states = world.told(0, 0, |body| match body {
        RegionEventBody::SwitchConnected { state } | RegionEventBody::SwitchChanged { state } => {
            Some(state.features.bundles)
        }
        _ => None,
    });
    states.last().copied().flatten()
}

/// What the switch holds, in an order that says nothing.
fn held(
    world: &mut World,
) -> (
    Vec<ofproto::FlowStats>,
    Vec<ofproto::GroupDesc>,
    Vec<ofproto::MeterConfig>,
) {
    let model = world.model(1);
    let mut flows = model.flows.clone();
    flows.sort_by_key(|flow| (flow.table_id.0, flow.priority, format!("{:?}", flow.matching)));
    (
        flows,
        model.groups.values().cloned().collect(),
        model.meters.values().cloned().collect(),
    )
}

#[test]
fn a_small_plan_is_one_bundle_and_a_large_one_goes_in_stages() {
    let mut world = with(BundleUse::Auto);
    assert_eq!(features(&world), Some(true));
    world.desired(0, "small", 1, 1, 1, snapshot(mixed()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "small"), (Outcome::Applied, None));
    assert_eq!(world.result(0, "small").unwrap().messages, 6);
    assert_eq!(counts(&world, "small"), "6 applied, 0 failed, 0 not tried");
    assert_eq!(world.model(1).committed, 1);
    assert_eq!(
        plan(&mut world, "plan", Some(rules(1_000))).unwrap().sending,
        Sending::Stages
    );
    assert_eq!(
        plan(&mut world, "less", Some(rules(900))).unwrap().sending,
        Sending::Bundles
    );
    world.desired(0, "large", 1, 1, 2, snapshot(rules(1_200)));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "large"), (Outcome::Applied, None));
    assert_eq!(world.model(1).committed, 1);

    let mut world = with(BundleUse::Always);
    world.desired(0, "large", 1, 1, 1, snapshot(rules(2_500)));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "large"), (Outcome::Applied, None));
    assert_eq!((world.model(1).committed, world.model(1).flows.len()), (3, 2_500));

    let mut world = with(BundleUse::Never);
    world.desired(0, "small", 1, 1, 1, snapshot(mixed()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "small"), (Outcome::Applied, None));
    assert_eq!((world.model(1).committed, features(&world)), (0, None));
}

#[test]
fn a_bundle_that_is_refused_changes_nothing_and_the_base_stands() {
    for quirk in [BundleQuirk::RefuseAdd(2), BundleQuirk::Good, BundleQuirk::RefuseCommit] {
        let mut world = with(BundleUse::Auto);
        world.desired(0, "one", 1, 1, 1, snapshot(rules(2)));
        world.run(100 * MS);
        let before = held(&mut world);
        let mut put = Objects::new();
        for n in 10..15 {
            put.put_rule(rule(0, n, u64::from(n)));
        }
        let change = |base| DesiredChange::Delta {
            base: Generation(base),
            put: put.clone(),
            remove: Default::default(),
        };
        world.model(1).quirks.bundles = quirk;
        world.model(1).quirks.refuse_priority = (quirk == BundleQuirk::Good).then_some(12);
        world.desired(0, "bad", 1, 1, 2, change(1));
        world.run(100 * MS);
        let (outcome, cause) = world.ended(0, "bad");
        assert_eq!(outcome, Outcome::Failed, "{quirk:?}: {cause:?}");
        let failed = usize::from(quirk != BundleQuirk::RefuseCommit);
        assert_eq!(
            counts(&world, "bad"),
            format!("0 applied, {failed} failed, {} not tried", 5 - failed)
        );
        if failed > 0 {
            // Later tables and higher priorities first: 14, 13, 12.
            assert!(
                matches!(&cause, Some(Cause::SwitchError { object, .. }) if object.contains("priority 12")),
                "{cause:?}"
            );
            assert!(not_applied(&world, "bad")[0].starts_with("add rule of table 0, priority 12"));
        }
        assert_eq!(held(&mut world), before, "{quirk:?}");
        // A step from the same base is taken: what stood stands.
        world.model(1).quirks = Default::default();
        world.desired(0, "good", 1, 1, 3, change(1));
        world.run(100 * MS);
        assert_eq!(world.ended(0, "good"), (Outcome::Applied, None), "{quirk:?}");
        assert_eq!(world.model(1).flows.len(), 7);
    }
}

#[test]
fn meters_before_a_refused_bundle_make_it_failed() {
    let mut world = with(BundleUse::Auto);
    world.model(1).quirks.refuse_priority = Some(7);
    world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "one").0, Outcome::Failed, "the meter stands already");
    assert_eq!(counts(&world, "one"), "1 applied, 1 failed, 4 not tried");
    assert!(world.model(1).flows.is_empty() && world.model(1).groups.is_empty());
}

#[test]
fn a_switch_that_dislikes_bundles_gets_stages_for_the_rest_of_its_connection() {
    // Found out by asking.
    for quirk in [BundleQuirk::Unknown, BundleQuirk::Full, BundleQuirk::Silent] {
        let mut world = World::new(&["east"]);
        world.add_switch(1, 2);
        world.model(1).quirks.bundles = quirk;
        world.connect(1, 0);
        world.run(50 * MS);
        world.activate(0, 1, 1);
        world.run(50 * MS);
        assert_eq!(features(&world), Some(false), "{quirk:?}");
        world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
        world.run(100 * MS);
        assert_eq!(world.ended(0, "one"), (Outcome::Applied, None), "{quirk:?}");
        assert_eq!(world.model(1).committed, 0);
    }
    // Found out by the first bundle, whose steps then go in stages.
    for quirk in [
        BundleQuirk::Unknown,
        BundleQuirk::Full,
        BundleQuirk::Silent,
        BundleQuirk::NoMessages,
        BundleQuirk::TimedOut,
    ] {
        let mut world = with(BundleUse::Auto);
        world.model(1).quirks.bundles = quirk;
        world.desired(0, "one", 1, 1, 1, snapshot(mixed()));
        world.run(100 * MS);
        assert_eq!(world.ended(0, "one"), (Outcome::Applied, None), "{quirk:?}");
        assert_eq!(counts(&world, "one"), "6 applied, 0 failed, 0 not tried");
        assert_eq!(
            (world.model(1).committed, features(&world)),
            (0, Some(false)),
            "{quirk:?}"
        );
        // A new connection is asked anew.
        world.model(1).quirks = Default::default();
        let closed = Input::Closed {
            conn: ConnId(1),
            reason: "reset".into(),
        };
        world.input(0, closed);
        world.model(1).disconnect(1);
        world.connect(1, 0);
        world.run(50 * MS);
        world.activate(0, 1, 2);
        world.run(50 * MS);
        assert_eq!(features(&world), Some(true), "{quirk:?}");
    }
}

#[test]
fn a_connection_that_is_lost_before_a_bundle_is_done_leaves_everything_as_it_was() {
    // Before and after the commit was sent: only then it is not certain.
    for (wait, outcome, counted) in [
        (3 * MS, Outcome::Failed, "0 applied, 0 failed, 2 not tried"),
        (
            5 * MS,
            Outcome::Failed,
            "0 applied, 0 failed, 2 not confirmed, 0 not tried",
        ),
    ] {
        let mut world = with(BundleUse::Auto);
        // The dump takes two milliseconds there and back, and so does each phase.
        world.desired(0, "one", 1, 1, 1, snapshot(rules(2)));
        world.run(wait);
        let closed = Input::Closed {
            conn: ConnId(1),
            reason: "reset".into(),
        };
        world.input(0, closed);
        world.model(1).disconnect(1);
        assert_eq!(world.ended(0, "one"), (outcome, Some(Cause::ConnectionLost)));
        assert_eq!(counts(&world, "one"), counted);
        assert!(world.model(1).flows.is_empty() || outcome == Outcome::Failed);
    }
    let mut world = with(BundleUse::Auto);
    world.model(1).quirks.bundles = BundleQuirk::DoneSilently;
    world.desired(0, "one", 1, 1, 1, snapshot(rules(2)));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "one"), (Outcome::Failed, Some(Cause::NoBarrier)));
    assert_eq!(
        counts(&world, "one"),
        "0 applied, 0 failed, 2 not confirmed, 0 not tried"
    );
}

/// A small generator (xorshift), so that a seed gives the same run everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Objects that name only each other: groups name groups of larger numbers.
    fn objects(&mut self) -> Objects {
        let mut objects = Objects::new();
        for id in 1..=5 {
            if self.next(2) == 0 {
                objects.put_meter(Meter {
                    id,
                    unit: MeterUnit::Kbps,
                    rate: 1 + self.next(3) as u32,
                    burst: 1,
                });
            }
        }
        for id in (1..=6).rev() {
            if self.next(2) == 0 {
                continue;
            }
            let named: Vec<u32> = objects.groups.keys().copied().filter(|_| self.next(3) == 0).collect();
            let mut buckets: Vec<Bucket> = named
                .into_iter()
                .map(|id| Bucket {
                    actions: vec![Action::Group(id)],
                })
                .collect();
            buckets.push(Bucket {
                actions: vec![Action::Output(OutPort::Port(PortNo(1 + self.next(3) as u32)))],
            });
            objects.put_group(Group {
                id,
                kind: GroupKind::All,
                buckets,
            });
        }
        for n in 0..self.next(20) {
            let mut rule = rule(self.next(3) as u8, 10 + self.next(2) as u16, n % 7);
            rule.cookie = Cookie(1 << 62 | self.next(3));
            let meters: Vec<u32> = objects.meters.keys().copied().collect();
            let groups: Vec<u32> = objects.groups.keys().copied().collect();
            if !meters.is_empty() && self.next(2) == 0 {
                rule.meter = Some(meters[self.next(meters.len() as u64) as usize]);
            }
            if !groups.is_empty() && self.next(2) == 0 {
                rule.apply
                    .push(Action::Group(groups[self.next(groups.len() as u64) as usize]));
            }
            objects.put_rule(rule);
        }
        objects
    }
}

/// From anything to anything, whatever the switch refuses on the way: in the end it is as wanted, what is foreign is
/// untouched, and the model (which refuses it) never saw a rule that names an absent group.
#[test]
fn whatever_stood_and_whatever_fails_the_switch_becomes_what_is_wanted() {
    for seed in 1..=300u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mode = [BundleUse::Auto, BundleUse::Never, BundleUse::Always][seed as usize % 3];
        let mut world = with(mode);
        let foreign_group = ofproto::GroupDesc {
            kind: ofproto::GroupType::SELECT,
            group_id: ofproto::GroupId(5_000),
            buckets: vec![],
        };
        let foreign_meter = ofproto::MeterConfig {
            flags: ofproto::MeterFlags::KBPS,
            meter_id: ofproto::MeterId(3_000),
            bands: vec![],
        };
        world.model(1).groups.insert(5_000, foreign_group);
        world.model(1).meters.insert(3_000, foreign_meter);
        world.desired(0, "foreign", 1, 1, 1, snapshot(rules(1)));
        world.run(50 * MS);
        let mut foreign = world.model(1).flows[0].clone();
        (foreign.cookie, foreign.priority) = (5, 5);
        world.model(1).flows.push(foreign.clone());
        for generation in 2..6 {
            let wanted = random.objects();
            let quirks = &mut world.model(1).quirks;
            quirks.bundles = match random.next(8) {
                0 => BundleQuirk::RefuseAdd(random.next(6) as usize),
                1 => BundleQuirk::RefuseCommit,
                2 => BundleQuirk::TimedOut,
                3 => BundleQuirk::DoneSilently,
                4 => BundleQuirk::NoMessages,
                _ => BundleQuirk::Good,
            };
            quirks.refuse_priority = (random.next(3) == 0).then_some(10);
            let faults = *quirks;
            let errors = world.model(1).errors.len();
            let name = format!("try-{generation}");
            world.desired(0, &name, 1, 1, generation * 2, snapshot(wanted.clone()));
            world.run(50 * MS);
            let (outcome, cause) = world.ended(0, &name);
            world.model(1).quirks = Quirks::default();
            let new: Vec<_> = world.model(1).errors[errors..].to_vec();
            assert!(
                outcome == Outcome::Applied || faults != Quirks::default(),
                "seed {seed}: {cause:?} without a fault: {new:?}"
            );
            let absent = new
                .iter()
                .find(|e| e.kind == ofproto::ErrorType::BAD_ACTION && e.code == 9);
            assert_eq!(absent, None, "seed {seed}: a rule named an absent group");
            let name = format!("mend-{generation}");
            world.desired(0, &name, 1, 1, generation * 2 + 1, snapshot(wanted.clone()));
            world.run(50 * MS);
            assert_eq!(world.ended(0, &name), (Outcome::Applied, None), "seed {seed}");
            let left = plan(&mut world, &format!("left-{generation}"), Some(wanted)).unwrap();
            assert_eq!(left.steps, 0, "seed {seed}: {left}");
            assert_eq!(left.foreign.len(), 3, "seed {seed}: {left:?}");
            assert!(world.model(1).flows.contains(&foreign), "seed {seed}");
        }
    }
}

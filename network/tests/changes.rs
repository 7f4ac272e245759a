//! Plans, message by message: whatever the order among switches, a living flow's packets arrive exactly once at every
//! moment of every change, also of a change that fails half-way and is undone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skerry_bus::api::{Direction, JoinDelivery, JoinRequest, MirrorRequest};
use skerry_bus::ids::{Endpoint, FlowId, LinkId, PortNo, PortRef, SwitchId};
use skerry_bus::objects::{Action, GroupKind, Objects};
use skerry_network::exit::joined;
use skerry_network::stages::{Stage, StageName, drain};
use skerry_network::{
    Flow, Packet, PerSwitch, Placed, Plan, Pools, Route, Surroundings, plan, validate_flow, validate_join,
    validate_mirror,
};

mod common;
use common::*;

const SEED: u64 = 0x5eed_0002;
const LIVES: u64 = 40;
const CHANGES_IN_A_LIFE: usize = 25;

/// One message to a switch.
#[derive(Debug, Clone)]
enum Step {
    Put(Objects),
    Remove(skerry_bus::objects::ObjectKeys),
}

/// The messages that bring one switch from what it has to what it shall have, in the order of design section 5.
fn messages(rng: &mut Rng, have: &Objects, want: &Objects) -> Vec<Step> {
    let one = |put: &dyn Fn(&mut Objects)| {
        let mut objects = Objects::new();
        put(&mut objects);
        Step::Put(objects)
    };
    let mut steps = Vec::new();
    for (id, meter) in &want.meters {
        if have.meters.get(id) != Some(meter) {
            steps.push(one(&|o| o.put_meter(*meter)));
        }
    }
    // Groups that others name come first; only INDIRECT ones are named, and they name none.
    for kind in [GroupKind::Indirect, GroupKind::All] {
        for (id, group) in want.groups.iter().filter(|(_, g)| g.kind == kind) {
            if have.groups.get(id) != Some(group) {
                steps.push(one(&|o| o.put_group(group.clone())));
            }
        }
    }
    let mut rules = Vec::new();
    for (key, rule) in &want.rules {
        if have.rules.get(key) != Some(rule) {
            rules.push(one(&|o| o.put_rule(rule.clone())));
        }
    }
    shuffle(rng, &mut rules);
    steps.extend(rules);
    let mut rules = Vec::new();
    for key in have.rules.keys().filter(|k| !want.rules.contains_key(k)) {
        let mut keys = skerry_bus::objects::ObjectKeys::default();
        keys.rules.push(key.clone());
        rules.push(Step::Remove(keys));
    }
    shuffle(rng, &mut rules);
    steps.extend(rules);
    for kind in [GroupKind::All, GroupKind::Indirect] {
        for (id, _) in have.groups.iter().filter(|(_, g)| g.kind == kind) {
            if !want.groups.contains_key(id) {
                let mut keys = skerry_bus::objects::ObjectKeys::default();
                keys.groups.push(*id);
                steps.push(Step::Remove(keys));
            }
        }
    }
    for id in have.meters.keys().filter(|id| !want.meters.contains_key(id)) {
        let mut keys = skerry_bus::objects::ObjectKeys::default();
        keys.meters.push(*id);
        steps.push(Step::Remove(keys));
    }
    steps
}

fn shuffle<T>(rng: &mut Rng, list: &mut [T]) {
    for i in (1..list.len()).rev() {
        list.swap(i, rng.below(i as u64 + 1) as usize);
    }
}

/// Applies a stage message by message, switches interleaved at random; `snapshots` gets the state after each. With
/// `stop_early` it ends somewhere before the end.
fn apply(rng: &mut Rng, state: &mut PerSwitch, stage: &Stage, stop_early: bool, snapshots: &mut Vec<PerSwitch>) {
    let mut lanes: Vec<(SwitchId, Vec<Step>)> = Vec::new();
    for (switch, want) in &stage.objects {
        let have = state.get(switch).cloned().unwrap_or_default();
        let mut steps = messages(rng, &have, want);
        steps.reverse();
        lanes.push((*switch, steps));
    }
    let total: usize = lanes.iter().map(|(_, steps)| steps.len()).sum();
    let end = if stop_early {
        rng.below(total as u64 + 1) as usize
    } else {
        total
    };
    for _ in 0..end {
        lanes.retain(|(_, steps)| !steps.is_empty());
        let lane = rng.below(lanes.len() as u64) as usize;
        let (switch, steps) = &mut lanes[lane];
        let objects = state.entry(*switch).or_default();
        match steps.pop().expect("lanes that are empty were taken out") {
            Step::Put(put) => objects.extend(put),
            Step::Remove(keys) => objects.remove(&keys),
        }
        snapshots.push(state.clone());
    }
}

/// Where an endpoint's packets may arrive: as before or as after the change.
fn destinations(flows: [&Flow; 2], from: Endpoint) -> Option<[Endpoint; 2]> {
    let to = |flow: &Flow| flow.legs().into_iter().find(|l| l.from == from).map(|l| l.to);
    Some([to(flows[0])?, to(flows[1])?])
}

fn join_targets(flow: &Flow, join: &skerry_network::JoinPoint) -> BTreeSet<Endpoint> {
    let leg = flow.leg_from(join.switch).expect("an end");
    match join.delivery {
        JoinDelivery::Network => BTreeSet::from([leg.to]),
        JoinDelivery::Local => BTreeSet::from([leg.from]),
        JoinDelivery::Both => BTreeSet::from([leg.to, leg.from]),
    }
}

/// What must hold at every moment between two states of a flow.
fn check(flows: [&Flow; 2], delivered: impl Fn(Endpoint, &[u16]) -> Vec<(PortRef, Packet)>, context: &str) {
    let [before, after] = flows;
    for leg in before.legs() {
        let Some(to) = destinations(flows, leg.from) else {
            continue;
        };
        let got = delivered(leg.from, &with_tags(&[], leg.from));
        let (main, copies): (Vec<_>, Vec<_>) = got
            .iter()
            .cloned()
            .partition(|d| to.iter().any(|t| *d == arrival(*t, &[], b"numbered")));
        assert_eq!(
            main.len(),
            1,
            "{context}: a packet from {} arrived as {got:?}",
            leg.from
        );
        // Copies: those of points that stay arrive exactly once, others at most once.
        let same_leg = after.leg(leg.direction) == leg;
        for flow in flows {
            for (id, mirror) in &flow.mirrors {
                let times = copies
                    .iter()
                    .filter(|d| **d == arrival(mirror.sink, &[], b"numbered"))
                    .count();
                assert!(times <= 1, "{context}: {times} copies at {}", mirror.sink);
                let stays = before.mirrors.get(id) == Some(mirror) && after.mirrors.get(id) == Some(mirror);
                if same_leg && stays && mirror.direction == leg.direction {
                    assert_eq!(times, 1, "{context}: mirror point {id}");
                }
            }
        }
        let sinks: Vec<_> = flows
            .iter()
            .flat_map(|f| f.mirrors.values())
            .map(|m| arrival(m.sink, &[], b"numbered"))
            .collect();
        assert!(
            copies.iter().all(|c| sinks.contains(c)),
            "{context}: strangers in {copies:?}"
        );
    }
    let sinks = flows.iter().flat_map(|f| &f.joins);
    for (point, join) in sinks {
        // What joins by a point that comes or goes may be lost, but goes nowhere else.
        let targets = flows.map(|f| joined(f, point, &join.sink).map(|j| join_targets(f, j)));
        // Without its own rule a frame may be that of a less specific endpoint on the port.
        let others = flows.iter().flat_map(|f| {
            let joins = f.joins.values().map(|j| j.sink).filter(|s| *s != join.sink);
            [f.source, f.destination].into_iter().chain(joins)
        });
        let neighbour = endpoint(1, 1, 0, 0);
        let shared = others.chain([neighbour]).any(|e| e.port_ref() == join.sink.port_ref());
        if shared && targets.contains(&None) {
            continue;
        }
        let sizes = targets.each_ref().map(|t| t.as_ref().map_or(0, BTreeSet::len));
        let possible: Vec<_> = targets
            .iter()
            .flatten()
            .flatten()
            .map(|t| arrival(*t, &[], b"numbered"))
            .collect();
        let mut got = delivered(join.sink, &with_tags(&[], join.sink));
        // Mirror points at the far end copy what joined here like everything else; those here do not.
        let far: BTreeSet<_> = flows
            .iter()
            .flat_map(|f| f.mirrors.values())
            .filter(|m| m.switch != join.switch)
            .map(|m| arrival(m.sink, &[], b"numbered"))
            .collect();
        for copy in &far {
            assert!(
                got.iter().filter(|d| *d == copy).count() <= 1,
                "{context}: join point {point}: {got:?}"
            );
        }
        got.retain(|d| !far.contains(d));
        let fits = (sizes[0].min(sizes[1])..=sizes[0].max(sizes[1])).contains(&got.len());
        assert!(
            fits && got.iter().all(|d| possible.contains(d)),
            "{context}: join point {point}: {got:?} of {targets:?}"
        );
    }
}

/// Everything else in the network: the services and a neighbour that shares ports with the flow under test.
struct Rest {
    held: PerSwitch,
    neighbour: Placed,
}

impl Rest {
    fn new(pools: &mut Pools) -> Rest {
        let neighbour = flow("neighbour", endpoint(1, 1, 0, 0), endpoint(3, 1, 150, 250));
        let neighbour = Placed::new(neighbour, routes(1, 3)[0].clone(), pools).expect("numbers");
        let held = union([&services(), &neighbour.objects().expect("rules")]);
        Rest { held, neighbour }
    }

    /// The invariants at one moment.
    fn check(&self, state: &PerSwitch, flows: Option<[&Flow; 2]>, context: &str) {
        for (switch, held) in state {
            assert_refers_to_what_is_there(held, &format!("{context}: {switch}"));
        }
        let all = union([&self.held, state]);
        for leg in self.neighbour.flow.legs() {
            let got = send(&all, leg.from, &with_tags(&[7], leg.from), b"neighbour");
            assert_eq!(got, [arrival(leg.to, &[7], b"neighbour")], "{context}: the neighbour");
        }
        if let Some(flows) = flows {
            check(flows, |at, tags| send(&all, at, tags, b"numbered"), context);
        }
    }

    /// Packets that are under way while the network changes: each switch they come to may be a later one.
    fn check_under_way(&self, rng: &mut Rng, moments: &[PerSwitch], flows: [&Flow; 2], context: &str) {
        let all: Vec<PerSwitch> = moments.iter().map(|m| union([&self.held, m])).collect();
        for _ in 0..8 {
            let mut visits = vec![rng.below(all.len() as u64) as usize];
            for i in 1..6 {
                let earliest = visits[i - 1];
                visits.push(earliest + rng.below((all.len() - earliest) as u64) as usize);
            }
            let send = |at: Endpoint, tags: &[u16]| {
                let at_visit = |n: usize, s: SwitchId| all[visits[n.min(5)]].get(&s);
                send_through(at_visit, at, tags, b"numbered").delivered
            };
            check(
                flows,
                send,
                &format!("{context}, under way at moments {visits:?} of {}", all.len()),
            );
        }
    }
}

/// Runs a plan, whole or up to a failure and back, and checks every moment.
fn run(rng: &mut Rng, rest: &Rest, before: Option<&Placed>, after: Option<&Placed>, context: &str) {
    let objects = |p: Option<&Placed>| p.map(|p| p.objects().expect("rules")).unwrap_or_default();
    let (from, to) = (objects(before), objects(after));
    let made = plan(before, after, Duration::from_secs(2)).expect("a plan");
    let flows = before.zip(after).map(|(b, a)| [&b.flow, &a.flow]);
    let follow = |rng: &mut Rng, state: &mut PerSwitch, stages: &[Stage], start: Vec<PerSwitch>, what: &str| {
        // Moments since the last drain: only those can a packet meet on its way.
        let mut moments = start;
        for stage in stages {
            let mut now = Vec::new();
            apply(rng, state, stage, false, &mut now);
            for (i, moment) in now.iter().enumerate() {
                rest.check(moment, flows, &format!("{context}, {what} {} message {i}", stage.name));
            }
            for (switch, wanted) in &stage.objects {
                let empty = Objects::new();
                assert_eq!(
                    state.get(switch).unwrap_or(&empty),
                    wanted,
                    "{context}, {what} {}",
                    stage.name
                );
            }
            moments.extend(now);
            if stage.drain.is_some() {
                if let Some(flows) = flows {
                    rest.check_under_way(rng, &moments, flows, &format!("{context}, {what} {}", stage.name));
                }
                moments = vec![state.clone()];
            }
        }
        if let Some(flows) = flows {
            rest.check_under_way(rng, &moments, flows, &format!("{context}, {what} end"));
        }
    };
    let nothing = |o: &PerSwitch| o.values().all(Objects::is_empty);
    let same = |a: &PerSwitch, b: &PerSwitch| {
        let switches: BTreeSet<_> = a.keys().chain(b.keys()).collect();
        let empty = Objects::new();
        switches
            .into_iter()
            .all(|s| a.get(s).unwrap_or(&empty) == b.get(s).unwrap_or(&empty))
    };
    // Every stage fails once, somewhere in the middle.
    assert_eq!(made.rollback.len(), made.stages.len());
    for failed in 0..made.stages.len() {
        let mut state = from.clone();
        for (i, stage) in made.stages[..=failed].iter().enumerate() {
            apply(rng, &mut state, stage, i == failed, &mut Vec::new());
        }
        let start = vec![state.clone()];
        let what = format!("back from {}:", made.stages[failed].name);
        follow(rng, &mut state, &made.rollback[failed], start, &what);
        assert!(same(&state, &from), "{context}: not all of {what} was undone");
    }
    let mut state = from.clone();
    follow(rng, &mut state, &made.stages, vec![from.clone()], "stage");
    assert!(same(&state, &to), "{context}: the plan does not end where it should");
    assert!(after.is_some() || nothing(&state), "{context}: something is left");
    assert_shape(&made, context);
}

/// Names in order; a drain before anything goes that packets may still use.
fn assert_shape(plan: &Plan, context: &str) {
    assert!(plan.stages.windows(2).all(|w| w[0].name < w[1].name), "{context}");
    for (i, stage) in plan.stages.iter().enumerate() {
        let next_cleans = plan.stages.get(i + 1).is_some_and(|s| s.name == StageName::Clean);
        assert_eq!(stage.drain.is_some(), next_cleans, "{context}: {}", stage.name);
    }
}

fn known_switches() -> BTreeMap<SwitchId, BTreeSet<PortNo>> {
    let ports: BTreeSet<PortNo> = [1, 2, 5, 10, 11].map(PortNo).into();
    (1..=SWITCHES).map(|s| (SwitchId(s), ports.clone())).collect()
}

fn link_ports() -> BTreeMap<PortRef, LinkId> {
    ring().into_iter().flat_map(|l| [(l.a(), l), (l.b(), l)]).collect()
}

fn random_endpoint(rng: &mut Rng, switch: u64) -> Endpoint {
    let vlan = *rng.pick(&[0, 100, 150]);
    let inner = if vlan == 0 { 0 } else { *rng.pick(&[0, 0, 100, 300]) };
    endpoint(switch, *rng.pick(&[1, 2, 5]), vlan, inner)
}

/// What a client might ask next; validation decides whether it may.
fn random_change(rng: &mut Rng, flow: &Flow, around: &Surroundings) -> Option<Flow> {
    let mut next = flow.clone();
    let end = *rng.pick(&[flow.source.switch, flow.destination.switch]);
    match rng.below(10) {
        0 => {
            let mut wish = flow.to_request();
            match rng.below(5) {
                0 => wish.maximum_bandwidth = *rng.pick(&[0, 500, 1_000]),
                1 => wish.source = random_endpoint(rng, flow.source.switch.0).into(),
                2 => wish.destination = random_endpoint(rng, flow.destination.switch.0).into(),
                3 => std::mem::swap(&mut wish.source, &mut wish.destination),
                _ => {
                    let switch = 1 + rng.below(SWITCHES);
                    wish.destination = random_endpoint(rng, switch).into();
                }
            }
            if !validate_flow(&flow.id, &wish, around).is_empty() {
                return None;
            }
            next = flow.updated(&wish);
        }
        1..=3 => {
            let wish = MirrorRequest {
                mirror_point_id: rng.pick(&["m1", "m2", "m3"]).parse().expect("a name"),
                mirror_point_direction: *rng.pick(&[Direction::Forward, Direction::Reverse]),
                mirror_point_switch_id: end,
                sink_endpoint: random_endpoint(rng, end.0).into(),
            };
            if !validate_mirror(flow, &wish, around).is_empty() {
                return None;
            }
            next.mirrors.insert(wish.mirror_point_id.clone(), (&wish).into());
        }
        4..=6 => {
            let wish = JoinRequest {
                join_point_id: rng.pick(&["j1", "j2"]).parse().expect("a name"),
                join_point_switch_id: end,
                sink_endpoint: random_endpoint(rng, end.0).into(),
                delivery: *rng.pick(&DELIVERIES),
            };
            if !validate_join(flow, &wish, around).is_empty() {
                return None;
            }
            next.joins.insert(wish.join_point_id.clone(), (&wish).into());
        }
        7 => drop(next.mirrors.pop_first()?),
        8 => drop(next.joins.pop_first()?),
        // The route changes, nothing else.
        _ => {}
    }
    Some(next)
}

fn random_route(rng: &mut Rng, flow: &Flow, old: &Route) -> Route {
    let (from, to) = (flow.source.switch, flow.destination.switch);
    if flow.is_one_switch() {
        return Route::default();
    }
    if old.connects(from, to) && !old.passages.is_empty() && rng.below(3) != 0 {
        return old.clone();
    }
    rng.pick(&routes(from.0, to.0)).clone()
}

#[test]
fn whatever_changes_in_a_flows_life_its_packets_arrive_once_at_every_moment() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for life in 0..LIVES {
        let seed = SEED + life;
        let mut rng = Rng::new(seed);
        let mut pools = Pools::new();
        let rest = Rest::new(&mut pools);
        let empty_pools = pools.clone();
        let (switches, link_ports) = (known_switches(), link_ports());
        let mut flows: BTreeMap<FlowId, Flow> = BTreeMap::new();
        flows.insert(rest.neighbour.flow.id.clone(), rest.neighbour.flow.clone());
        let mut placed: Option<Placed> = None;
        let mut done = 0;
        while done < CHANGES_IN_A_LIFE {
            let around = Surroundings {
                switches: &switches,
                link_ports: &link_ports,
                flows: &flows,
            };
            let (source, destination) = (1 + rng.below(SWITCHES), 1 + rng.below(SWITCHES));
            let next = match &placed {
                None => {
                    let (a, b) = (
                        random_endpoint(&mut rng, source),
                        random_endpoint(&mut rng, destination),
                    );
                    let first = flow("f1", a, b);
                    let wrong = validate_flow(&first.id, &first.to_request(), &around);
                    wrong.is_empty().then_some(first)
                }
                Some(p) => random_change(&mut rng, &p.flow, &around),
            };
            let Some(next) = next else { continue };
            done += 1;
            let old_route = placed.as_ref().map(|p| p.route.clone()).unwrap_or_default();
            let route = random_route(&mut rng, &next, &old_route);
            let to = match &placed {
                None => Placed::new(next.clone(), route, &mut pools),
                Some(p) => p.changed(next.clone(), route, &mut pools),
            }
            .expect("numbers");
            run(
                &mut rng,
                &rest,
                placed.as_ref(),
                Some(&to),
                &format!("seed {seed:#x}, change {done}"),
            );
            if let Some(old) = &placed {
                pools.release(&old.ids, Some(&to.ids));
                let what = [
                    (old.route != to.route, "route"),
                    (old.flow.mirrors != to.flow.mirrors, "mirror"),
                    (old.flow.joins != to.flow.joins, "join"),
                    (old.flow.source != to.flow.source, "source"),
                    (old.flow.destination != to.flow.destination, "destination"),
                ];
                for (_, name) in what.iter().filter(|w| w.0) {
                    *kinds.entry((*name).to_owned()).or_default() += 1;
                }
            }
            flows.insert(next.id.clone(), next);
            placed = Some(to);
        }
        let last = placed.expect("it was created");
        run(
            &mut rng,
            &rest,
            Some(&last),
            None,
            &format!("seed {seed:#x}, its deletion"),
        );
        pools.release(&last.ids, None);
        assert_eq!(pools, empty_pools, "seed {seed:#x}: numbers were lost");
    }
    // Random, but none of them rare.
    assert!(kinds.len() == 5 && kinds.values().all(|n| *n >= 5), "{kinds:?}");
}

/// Every group of type ALL that is removed by a plan.
fn removed_groups(plan: &Plan, from: &PerSwitch) -> Vec<(SwitchId, u32)> {
    let mut state = from.clone();
    let mut removed = Vec::new();
    for stage in &plan.stages {
        for (switch, objects) in &stage.objects {
            let all = |o: &Objects| {
                o.groups
                    .values()
                    .filter(|g| g.kind == GroupKind::All)
                    .map(|g| g.id)
                    .collect()
            };
            let had: BTreeSet<u32> = state.get(switch).map(all).unwrap_or_default();
            let has: BTreeSet<u32> = all(objects);
            removed.extend(had.difference(&has).map(|id| (*switch, *id)));
            state.insert(*switch, objects.clone());
        }
    }
    removed
}

#[test]
fn groups_stay_until_the_flow_goes_and_a_reroute_is_one_modify_of_each() {
    let mut pools = Pools::new();
    let (a, b) = (endpoint(1, 1, 100, 0), endpoint(3, 1, 200, 300));
    let routes = routes(1, 3);
    let mut placed = Placed::new(flow("f1", a, b), routes[0].clone(), &mut pools).expect("numbers");
    let sink = endpoint(3, 5, 500, 0);
    let mirror = skerry_network::MirrorPoint {
        direction: Direction::Forward,
        switch: sink.switch,
        sink,
    };
    let reverse = skerry_network::MirrorPoint {
        direction: Direction::Reverse,
        ..mirror
    };
    let join = skerry_network::JoinPoint {
        switch: sink.switch,
        sink,
        delivery: JoinDelivery::Network,
    };
    let change = |placed: &Placed, edit: &dyn Fn(&mut Flow), route: &Route, pools: &mut Pools| {
        let mut flow = placed.flow.clone();
        edit(&mut flow);
        let next = placed.changed(flow, route.clone(), pools).expect("numbers");
        let made = plan(Some(placed), Some(&next), drain(None)).expect("a plan");
        assert_eq!(removed_groups(&made, &placed.objects().expect("rules")), []);
        pools.release(&placed.ids, Some(&next.ids));
        (next, made)
    };
    let name = |text: &str| text.parse().expect("a name");
    let (next, made) = change(
        &placed,
        &|f| {
            f.mirrors.insert(name("m"), mirror);
        },
        &routes[0],
        &mut pools,
    );
    let names: Vec<_> = made.stages.iter().map(|s| s.name).collect();
    assert_eq!(names, [StageName::Prepare, StageName::Switch]);
    placed = next;
    // A second mirror point of the same exit changes a bucket list and nothing else.
    let other = skerry_network::MirrorPoint {
        sink: endpoint(3, 5, 501, 0),
        ..mirror
    };
    let (next, made) = change(
        &placed,
        &|f| {
            f.mirrors.insert(name("m2"), other);
        },
        &routes[0],
        &mut pools,
    );
    assert_eq!(made.stages.len(), 1);
    let (was, is) = (placed.objects().expect("rules"), &made.stages[0].objects[&sink.switch]);
    assert_eq!(was[&sink.switch].rules, is.rules);
    placed = next;
    for (edit, removes) in [
        (
            Box::new(|f: &mut Flow| {
                f.mirrors.remove(&"m2".parse().expect("a name"));
            }) as Box<dyn Fn(&mut Flow)>,
            false,
        ),
        (
            Box::new(move |f: &mut Flow| {
                f.mirrors.insert("r".parse().expect("a name"), reverse);
            }),
            false,
        ),
        (
            Box::new(move |f: &mut Flow| {
                f.joins.insert("j".parse().expect("a name"), join);
            }),
            false,
        ),
    ] {
        assert!(!removes);
        placed = change(&placed, &*edit, &routes[0], &mut pools).0;
    }
    let groups = placed.objects().expect("rules")[&sink.switch].groups.clone();
    assert_eq!(groups.len(), 3, "forward exit, reverse exit and join");
    // The reroute: ids of groups and meters stay, the path's own are new.
    let (next, made) = change(&placed, &|_| {}, &routes[1], &mut pools);
    let names: Vec<_> = made.stages.iter().map(|s| (s.name, s.drain.is_some())).collect();
    assert_eq!(
        names,
        [
            (StageName::Prepare, false),
            (StageName::Switch, true),
            (StageName::Clean, false)
        ]
    );
    assert_eq!(made.committed_from, 2);
    assert_eq!(
        (&next.ids.groups, &next.ids.meters),
        (&placed.ids.groups, &placed.ids.meters)
    );
    assert_ne!(next.ids.transit_vlan, placed.ids.transit_vlan);
    assert_ne!(next.ids.effective_id, placed.ids.effective_id);
    placed = next;
    // All points go, the groups stay with one bucket each, and a new join takes the old one's group.
    let (next, _) = change(
        &placed,
        &|f| {
            f.mirrors.clear();
            f.joins.clear();
        },
        &routes[1],
        &mut pools,
    );
    placed = next;
    let held = placed.objects().expect("rules")[&sink.switch].groups.clone();
    assert_eq!(held.keys().collect::<Vec<_>>(), groups.keys().collect::<Vec<_>>());
    assert!(held.values().all(|g| g.buckets.len() == 1), "{held:?}");
    let elsewhere = skerry_network::JoinPoint {
        sink: endpoint(3, 2, 0, 0),
        ..join
    };
    let (next, _) = change(
        &placed,
        &|f| {
            f.joins.insert(name("j9"), elsewhere);
        },
        &routes[1],
        &mut pools,
    );
    assert_eq!(next.ids.groups.len(), 3);
    // An end that moves away takes the groups there with it; those of the other end stay.
    let mut moved = next.flow.clone();
    moved.joins.clear();
    moved.destination = endpoint(2, 1, 0, 0);
    let moved = next
        .changed(moved, common::routes(1, 2)[0].clone(), &mut pools.clone())
        .expect("numbers");
    assert!(moved.ids.groups.is_empty(), "{:?}", moved.ids.groups);
    assert!(plan(Some(&next), Some(&moved), drain(None)).is_ok());
    let made = plan(Some(&next), None, drain(None)).expect("a plan");
    let names: Vec<_> = made.stages.iter().map(|s| (s.name, s.drain.is_some())).collect();
    assert_eq!(names, [(StageName::Close, true), (StageName::Clean, false)]);
    assert_eq!(made.committed_from, 0);
    assert_eq!(removed_groups(&made, &next.objects().expect("rules")).len(), 3);
}

#[test]
fn a_drain_is_two_seconds_or_twice_the_old_round_trip_and_a_second() {
    assert_eq!(drain(None), Duration::from_secs(2));
    assert_eq!(drain(Some(400_000_000)), Duration::from_secs(2));
    assert_eq!(drain(Some(800_000_000)), Duration::from_millis(2_600));
    assert_eq!(
        drain(Some(u64::MAX)),
        Duration::from_nanos(u64::MAX) * 2 + Duration::from_secs(1)
    );
}

#[test]
fn a_plan_is_stored_and_read_back() {
    let mut pools = Pools::new();
    let placed = Placed::new(
        flow("f1", endpoint(1, 1, 5, 6), endpoint(2, 1, 0, 0)),
        routes(1, 2)[0].clone(),
        &mut pools,
    )
    .expect("numbers");
    let made = plan(None, Some(&placed), drain(None)).expect("a plan");
    let text = serde_json::to_string(&made).expect("JSON");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("a plan"), made);
    let text = serde_json::to_string(&placed).expect("JSON");
    assert_eq!(serde_json::from_str::<Placed>(&text).expect("a placed flow"), placed);
    // The ingress rule is the last to come but for the entrance.
    let last = &made.stages.last().expect("a stage").name;
    assert_eq!(*last, StageName::Open);
    let rules = made
        .stages
        .iter()
        .flat_map(|s| s.objects.values())
        .flat_map(|o| o.rules.values());
    assert!(
        rules
            .clone()
            .all(|r| r.apply.iter().all(|a| !matches!(a, Action::Group(_))))
    );
}

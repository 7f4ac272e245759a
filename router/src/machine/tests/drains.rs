//! Draining of regions, as operators ask for it, and what reaches a switch.

use super::*;
use skerry_bus::api::{ConnectionsView, DrainPlan, DrainView, RegionView};

const S1: SwitchId = SwitchId(1);

impl Bench {
    fn drain_east(&mut self, force: bool, dry_run: bool) -> ApiResponse {
        let region = region("east");
        self.ask(ApiRequest::Drain { region, force, dry_run })
    }

    fn undrain_east(&mut self) -> ApiResponse {
        let region = region("east");
        self.ask(ApiRequest::Undrain { region, dry_run: false })
    }

    fn view(&mut self, name: &str) -> RegionView {
        let body = self.ask(ApiRequest::Region(region(name))).body;
        serde_json::from_value(body).expect("a region")
    }

    fn how_far(&mut self) -> DrainView {
        self.view("east").drain.expect("it is drained")
    }

    pub(super) fn active_in(&self, name: &str) -> usize {
        let switches = self.router.presence.switches().values();
        switches.filter(|s| s.active() == Some(&region(name))).count()
    }
}

#[test]
fn a_drained_region_is_empty_and_stays_so_until_it_is_in_use_again() {
    let mut bench = Bench::new();
    let flow = bench.put_flow("f", body());
    assert_eq!(bench.ended(&flow).state, OperationState::Done);
    assert_eq!((bench.active_in("east"), bench.active_in("west")), (4, 0));
    let plan: DrainPlan = serde_json::from_value(bench.drain_east(false, true).body).expect("a plan");
    assert!(plan.moves.iter().all(|m| m.to == Some(region("west"))) && plan.moves.len() == 4);
    assert_eq!(bench.active_in("east"), 4, "nothing was done");

    bench.events.clear();
    let answer = bench.drain_east(false, false);
    assert_eq!(
        (answer.status, &answer.body["drain"]["state"]),
        (200, &json!("draining")),
        "{answer:?}"
    );
    bench.run(Duration::from_millis(100));
    assert_eq!((bench.active_in("east"), bench.active_in("west")), (0, 4));
    let far = bench.how_far();
    assert_eq!((far.state.as_str(), far.left, far.moved), ("drained", 0, 4));
    assert!(
        bench.facts.iter().any(|f| f.contains("nothing is left to move")),
        "{:?}",
        bench.facts
    );
    // Everybody was told once per switch, and nobody that a switch or a link was gone.
    let elsewhere = |e: &VirtualEventBody| matches!(e, VirtualEventBody::SwitchConnectedElsewhere { .. });
    assert_eq!(bench.told(elsewhere), 4);
    let gone = |e: &VirtualEventBody| {
        matches!(
            e,
            VirtualEventBody::SwitchDisconnected { .. } | VirtualEventBody::LinkChanged { .. }
        )
    };
    bench.run(Duration::from_secs(10));
    assert_eq!(bench.told(gone), 0, "{:?}", bench.events);
    // What shall stand stands, written by the other region now.
    let answer = bench.ask(ApiRequest::Reroute {
        flow: "f".parse().expect("a name"),
        dry_run: true,
    });
    assert_ne!(answer.status, 503, "{answer:?}");
    assert!(bench.switches.values().all(|s| s.master == Some(region("west"))));

    // Also after a restart, and when a switch comes anew.
    bench.restart();
    bench.run(Duration::from_secs(2));
    assert_eq!((bench.active_in("east"), bench.active_in("west")), (0, 4));
    assert_eq!(bench.how_far().state, "drained");
    bench.speakers[1].alive = false;
    bench.run(Duration::from_secs(3));
    assert_eq!((bench.active_in("east"), bench.active_in("west")), (0, 0));
    let left = bench.undrain_east();
    assert_eq!(left.body["drain"], Value::Null, "{left:?}");
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.active_in("east"), 4);
}

#[test]
fn a_region_that_alone_reaches_switches_is_drained_by_force_only() {
    let mut bench = Bench::new();
    bench.speakers[1].alive = false;
    bench.run(Duration::from_secs(3));
    let answer = bench.drain_east(false, false);
    assert_eq!(
        (answer.status, &answer.body["type"]),
        (409, &json!("urn:skerry:problem:no-other-region"))
    );
    let errors = answer.body["errors"].as_array().expect("a list");
    assert_eq!(errors.len(), 4);
    assert_eq!(errors[0]["pointer"], "/switches/00:00:00:00:00:00:00:01");
    assert!(
        errors[0]["detail"]
            .as_str()
            .is_some_and(|d| d.contains("connected nowhere else")),
        "{errors:?}"
    );
    assert!(bench.view("east").drain.is_none(), "nothing was begun");
    let plan: DrainPlan = serde_json::from_value(bench.drain_east(false, true).body).expect("a plan");
    assert!(plan.moves.iter().all(|m| m.to.is_none()));

    assert_eq!(bench.drain_east(true, false).status, 200);
    bench.run(Duration::from_secs(1));
    let far = bench.how_far();
    assert_eq!((far.state.as_str(), far.left, far.staying.len()), ("drained", 0, 4));
    assert_eq!(bench.active_in("east"), 4, "they stay as long as they do not leave");
    // The other one returns: then there is somewhere to go.
    bench.speakers[1].alive = true;
    bench.connect(1);
    bench.run(Duration::from_secs(1));
    assert_eq!((bench.active_in("east"), bench.active_in("west")), (0, 4));
    assert_eq!(bench.how_far().moved, 4);
}

#[test]
fn a_drain_that_cannot_be_asked_is_refused_with_the_cause() {
    let mut bench = Bench::new();
    let unknown = ApiRequest::Drain {
        region: region("mars"),
        force: false,
        dry_run: false,
    };
    assert_eq!(bench.ask(unknown).status, 404);
    assert_eq!(bench.ask(ApiRequest::Region(region("mars"))).status, 404);
    let unknown = ApiRequest::Undrain {
        region: region("mars"),
        dry_run: false,
    };
    assert_eq!(bench.ask(unknown).status, 404);
    assert_eq!(bench.undrain_east().status, 200, "it is in use");
    let mut early = Bench::bare();
    assert_eq!(early.drain_east(false, false).status, 503);
}

#[test]
fn what_another_router_decided_counts_if_it_is_newer() {
    let mut bench = Bench::new();
    bench.drain_east(false, false);
    bench.run(Duration::from_secs(1));
    let said: Vec<Value> = bench
        .said
        .iter()
        .filter(|(t, _)| *t == Topic::StateRegions)
        .map(|(_, r)| r.clone())
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    // Our own record is read back, and so is an older one: nothing happens.
    bench.read(Topic::StateRegions, 0, said[0].to_string().into_bytes());
    let mut other = said[0].clone();
    other["drained"] = json!(false);
    other["changed_ms"] = json!(START_MS - 1);
    bench.read(Topic::StateRegions, 0, other.to_string().into_bytes());
    bench.run(Duration::from_millis(100));
    assert!(bench.view("east").drain.is_some());
    other["changed_ms"] = json!(START_MS + 60_000);
    bench.read(Topic::StateRegions, 0, other.to_string().into_bytes());
    assert!(bench.view("east").drain.is_none());
    bench.restart();
    assert!(bench.view("east").drain.is_none(), "and is stored");
    // A clock that stands behind the last decision does not make the next one older.
    bench.drain_east(false, false);
    assert_eq!(bench.router.drains[&region("east")].changed_ms, START_MS + 60_001);
    // What makes no sense is told.
    bench.said.clear();
    let stranger = json!({ "region": "mars", "drained": true, "changed_ms": 1 });
    for bad in [stranger.to_string(), "{}".to_owned(), "x".to_owned()] {
        bench.read(Topic::StateRegions, 0, bad.into_bytes());
    }
    bench.drain();
    let letters = bench.said.iter().filter(|(t, _)| *t == Topic::DeadLetter);
    assert_eq!(letters.count(), 3);
}

#[test]
fn commands_go_on_while_their_switch_moves() {
    let mut bench = Bench::new();
    let command = |n: u32| {
        json!({
            "correlation_id": format!("c-{n}"), "requester": "service", "deadline_ms": START_MS + 600_000,
            "kind": "apply", "switch": S1,
            "put": { "meters": [{ "id": 2_000, "unit": "kbps", "rate": 1_000 + n, "burst": 1_000 }] },
        })
    };
    bench.said.clear();
    for n in 0..40 {
        let at = partition_of(S1);
        bench.read(Topic::Commands, at, command(n).to_string().into_bytes());
        if n == 20 {
            bench.drain_east(false, false);
        }
        bench.run(Duration::from_millis(10));
    }
    bench.run(Duration::from_secs(1));
    let replies: Vec<&Value> = bench
        .said
        .iter()
        .filter(|(t, _)| *t == Topic::Replies)
        .map(|(_, r)| r)
        .collect();
    assert_eq!(replies.len(), 40);
    assert!(replies.iter().all(|r| r["outcome"] == "applied"), "{replies:?}");
    assert_eq!(bench.switches[&S1].master, Some(region("west")));
}

#[test]
fn who_reaches_a_switch_is_told_with_all_there_is_to_know_and_survives_a_restart() {
    let mut bench = Bench::new();
    let view = |bench: &mut Bench| -> ConnectionsView {
        serde_json::from_value(bench.ask(ApiRequest::Connections(S1)).body).expect("connections")
    };
    let now = view(&mut bench);
    let one = &now.connections[0];
    assert_eq!(
        (now.active_region, now.term, now.connections.len()),
        (Some(region("east")), Term(1), 2)
    );
    assert_eq!(
        (
            one.region.as_str(),
            one.mode,
            one.role,
            one.active,
            one.term,
            one.live,
            one.drained
        ),
        ("east", Mode::ReadWrite, Role::Master, true, Some(Term(1)), true, false)
    );
    assert_eq!(
        (one.switch_address.as_str(), one.speaker_address.as_str()),
        ("10.0.0.1:4000", "10.0.1.1:6653")
    );
    // It said that it was connected for a second when the bench began.
    assert_eq!(one.connected_at_ms, START_MS - 1_000);
    assert!((4_000..5_000).contains(&one.uptime_ms), "{}", one.uptime_ms);
    let two = &now.connections[1];
    assert_eq!(
        (two.region.as_str(), two.role, two.active),
        ("west", Role::Slave, false)
    );

    // A restarted router answers the same before it has heard anybody.
    let stored = bench.stored();
    let config = Config {
        owner_epoch: 2,
        ..config()
    };
    bench.router = Router::new(config, stored, bench.now).expect("what was stored can be read");
    let then = view(&mut bench);
    let known = |v: &ConnectionsView| -> Vec<_> {
        let all = v.connections.iter();
        all.map(|c| {
            (
                c.region.clone(),
                c.mode,
                c.role,
                c.active,
                c.switch_address.clone(),
                c.connected_at_ms,
            )
        })
        .collect()
    };
    assert_eq!(known(&then), known(&view(&mut bench)));
    assert_eq!(then.connections[0].connected_at_ms, START_MS - 1_000);
    assert_eq!((then.connections[0].live, then.connections[0].term), (false, None));
    assert_eq!(bench.ask(ApiRequest::Connections(SwitchId(99))).status, 404);
}

//! The whole table: every state of a switch with every input. `UPDATE_GOLDEN=1` writes it anew; the difference is then read.

use skerry_bus::RegionPresence;
use skerry_bus::presence::RecordedRegion;

use super::*;

/// All states. East is active where anybody is, but for `handing over`, where west is about to be; `+west` says that west
/// reaches the switch too.
const STATES: [&str; 17] = [
    "unknown",
    "vacant, RO only",
    "vacant, after leaving",
    "vacant, only a drained region",
    "vacant, region lost",
    "claiming",
    "claiming +west",
    "held",
    "held +west",
    "held, drained, nobody else",
    "handing over +west",
    "held, without roles",
    "held, without roles +west",
    "pausing",
    "pausing +west",
    "restored",
    "restored +west",
];

fn reach(name: &str) -> Rig {
    let mut rig = Rig::new(Failback::Sticky);
    let restored = name.starts_with("restored");
    if restored {
        let mut record = record(1, 1, "east");
        if name.ends_with("+west") {
            record.regions.push(recorded("west", Role::Slave));
        }
        rig.restore(record);
    }
    for name in ["east", "west", "north"] {
        match restored {
            // A snapshot would say that it does not reach the switch.
            true => rig.beat(name),
            false => rig.start(name),
        }
        rig.beating.insert(name.to_owned());
    }
    rig.run(100);
    if name.ends_with("+west") && !restored {
        rig.connect("west", read_only(state(7)));
    }
    match name.trim_end_matches(" +west") {
        "unknown" | "restored" => {}
        "vacant, RO only" => rig.connect("north", read_only(state(1))),
        "vacant, after leaving" => {
            rig.connect("east", state(1));
            rig.disconnect("east", 1);
        }
        "vacant, only a drained region" => {
            rig.drain_region("east", true);
            rig.connect("east", state(1));
        }
        "vacant, region lost" => {
            rig.connect("east", state(1));
            rig.confirm("east", 1, 1);
            rig.epoch.insert("east".to_owned(), 2);
            rig.beat("east");
        }
        "claiming" => rig.connect("east", state(1)),
        "held, without roles" => {
            rig.connect("east", equal(state(1)));
            rig.confirm("east", 1, 1);
        }
        "held" | "held, drained, nobody else" | "handing over" | "pausing" => {
            rig.connect("east", state(1));
            rig.confirm("east", 1, 1);
            if name.starts_with("pausing") {
                rig.lost_role("east", 1);
                rig.lost_role("east", 2);
            }
        }
        other => panic!("no such state: {other}"),
    }
    if name.ends_with("+west") && !restored {
        // It may be made active from now on.
        let west = state(7);
        rig.connect(
            "west",
            if name.contains("without roles") {
                equal(west)
            } else {
                west
            },
        );
    }
    if name.contains("held, drained") || name.starts_with("handing over") {
        rig.drain_region("east", true);
    }
    rig.got.clear();
    rig
}

type Give = fn(&mut Rig);

/// All inputs. Terms are relative to the switch's own, which differs between states.
const INPUTS: [(&str, Give); 36] = [
    ("east tells MASTER with ours", |r| {
        let term = term(r);
        r.confirm("east", 1, term);
    }),
    ("east tells MASTER with less", |r| {
        let term = term(r);
        r.confirm("east", 1, term.saturating_sub(1));
    }),
    ("east tells MASTER with more", |r| {
        let term = term(r);
        r.confirm("east", 1, term + 5);
    }),
    ("east tells SLAVE, nothing seen", |r| r.change("east", state(1))),
    ("east tells SLAVE with ours", |r| {
        let term = term(r);
        r.change("east", slave(state(1), term));
    }),
    ("east tells SLAVE with more", |r| {
        let term = term(r);
        r.change("east", slave(state(1), term + 5));
    }),
    ("east tells EQUAL", |r| r.change("east", equal(state(1)))),
    ("east tells a new connection", |r| r.connect("east", state(2))),
    ("east tells an old connection", |r| r.connect("east", state(0))),
    ("east tells another address and uptime", |r| {
        let term = term(r);
        let told = SwitchState {
            address: "10.0.0.2:40001".to_owned(),
            uptime_ms: 99_000,
            ..state(1)
        };
        r.change("east", master(told, term));
    }),
    ("east lost this role", |r| {
        let term = term(r);
        r.lost_role("east", term);
    }),
    ("east lost an older role", |r| {
        let term = term(r);
        r.lost_role("east", term.saturating_sub(1));
    }),
    ("east becomes RO", |r| r.change("east", read_only(state(1)))),
    ("east leaves", |r| r.disconnect("east", 1)),
    ("east left before", |r| r.disconnect("east", 0)),
    ("east is lost", |r| {
        r.beating.remove("east");
        r.run(1_300);
    }),
    ("east restarts", |r| {
        *r.epoch.get_mut("east").expect("its epoch") += 1;
        r.beat("east");
    }),
    ("east's former process speaks", |r| {
        *r.epoch.get_mut("east").expect("its epoch") -= 1;
        r.connect("east", state(5));
    }),
    ("east forgets it", |r| r.snapshot("east", vec![])),
    ("east is drained", |r| r.drain_region("east", true)),
    ("east is in use again", |r| r.drain_region("east", false)),
    ("west appears", |r| r.connect("west", state(8))),
    ("RO appears", |r| r.connect("north", read_only(state(9)))),
    ("west leaves", |r| r.disconnect("west", 7)),
    ("west becomes RO", |r| r.change("west", read_only(state(7)))),
    ("west is lost", |r| {
        r.beating.remove("west");
        r.run(1_300);
    }),
    ("west restarts", |r| {
        r.epoch.insert("west".to_owned(), 2);
        r.beat("west");
    }),
    ("west is drained", |r| r.drain_region("west", true)),
    ("west tells SLAVE with more", |r| {
        let term = term(r);
        r.change("west", slave(state(7), term + 5));
    }),
    ("west tells MASTER with at most ours", |r| {
        let term = term(r);
        r.change("west", master(state(7), term));
    }),
    ("west tells MASTER with more", |r| {
        let term = term(r);
        r.change("west", master(state(7), term + 5));
    }),
    ("west lost this role", |r| {
        let term = term(r);
        r.lost_role("west", term);
    }),
    ("a port changes", |r| {
        let port = port(1, false);
        r.say(
            "east",
            RegionEventBody::PortChanged {
                switch: S1,
                port,
                removed: false,
            },
        );
    }),
    ("a record of this owner with more", |r| {
        let term = term(r);
        r.restore(record(1, term + 5, "west"));
    }),
    ("a record of an older owner", |r| r.restore(record(0, 50, "west"))),
    ("time", |r| {
        let at = r.machine.due.first().map_or(r.now(), |(at, _)| at);
        r.run(at.saturating_duration_since(r.t0).as_millis() as u64);
    }),
];

fn equal(state: SwitchState) -> SwitchState {
    SwitchState {
        role: Role::Equal,
        ..state
    }
}

fn recorded(name: &str, role: Role) -> RecordedRegion {
    let presence = RegionPresence {
        region: region(name),
        ip: "10.0.0.1".to_owned(),
        mode: Mode::ReadWrite,
        uptime: 5_000,
        role,
        active: role == Role::Master,
    };
    let epoch = Epoch(1);
    RecordedRegion {
        presence,
        epoch,
        address: "10.0.0.1:40000".to_owned(),
        speaker_address: "10.0.0.9:6653".to_owned(),
        since_ms: T0_MS - 5_000,
    }
}

fn record(owner_epoch: u64, term: u64, active: &str) -> PresenceRecord {
    PresenceRecord {
        switch: S1,
        owner_epoch,
        term: Term(term),
        active_region: Some(region(active)),
        regions: vec![recorded(active, Role::Master)],
    }
}

fn term(rig: &Rig) -> u64 {
    rig.machine.switch(S1).map_or(0, |s| s.term().0)
}

#[test]
fn every_pair_of_state_and_input() {
    let mut got = String::new();
    for name in STATES {
        got += &format!("# {name}: {}\n", reach(name).standing());
        for (input, give) in INPUTS {
            if input == "time" && matches!(name, "unknown" | "vacant, after leaving" | "vacant, region lost") {
                // Forgetting takes a day; it has a test of its own.
                continue;
            }
            let mut rig = reach(name);
            give(&mut rig);
            let told = rig.told().join(", ");
            got += &format!("{input} -> {} | {told}\n", rig.standing());
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/presence/tests/table.txt");
        std::fs::write(file, &got).expect("the table is written");
        return;
    }
    let expected = include_str!("table.txt");
    if got != expected {
        let differs: Vec<String> = got
            .lines()
            .zip(expected.lines().chain(std::iter::repeat("")))
            .filter(|(g, e)| g != e)
            .map(|(g, e)| format!("got      {g}\nexpected {e}"))
            .collect();
        panic!("{}\n\nall of it:\n{got}", differs.join("\n"));
    }
}

//! The whole table: every state of a switch with every input.

use super::*;

/// All states. `east` is the active region's name wherever there is one; `+west` says that west reaches it too.
const STATES: [&str; 9] = [
    "unknown",
    "vacant, RO only",
    "vacant, after leaving",
    "claiming",
    "claiming +west",
    "held",
    "held +west",
    "pausing",
    "pausing +west",
];

fn reach(name: &str) -> Rig {
    let mut rig = Rig::new(Failback::Sticky);
    for name in ["east", "west", "north"] {
        rig.start(name);
    }
    rig.run(100);
    if name.ends_with("+west") {
        rig.connect("west", read_only(state(7)));
    }
    match name.trim_end_matches(" +west") {
        "unknown" => {}
        "vacant, RO only" => rig.connect("north", read_only(state(1))),
        "vacant, after leaving" => {
            rig.connect("east", state(1));
            rig.disconnect("east", 1);
        }
        "claiming" => rig.connect("east", state(1)),
        "held" | "pausing" => {
            rig.connect("east", state(1));
            rig.confirm("east", 1, 1);
            if name.starts_with("pausing") {
                rig.lost_role("east", 1);
                rig.lost_role("east", 2);
            }
        }
        other => panic!("no such state: {other}"),
    }
    if name.ends_with("+west") {
        // It may be made active from now on.
        rig.connect("west", state(7));
    }
    rig.got.clear();
    rig
}

type Give = fn(&mut Rig);

/// All inputs. Terms are relative to the switch's own, which differs between states.
const INPUTS: [(&str, Give); 20] = [
    ("active confirms", |r| {
        let term = term(r);
        r.confirm("east", 1, term);
    }),
    ("active tells MASTER with more", |r| {
        let term = term(r);
        r.confirm("east", 1, term + 5);
    }),
    ("active tells SLAVE, nothing seen", |r| r.change("east", state(1))),
    ("active tells SLAVE with more", |r| {
        let term = term(r);
        r.change("east", slave(state(1), term + 5));
    }),
    ("active tells a new connection", |r| r.connect("east", state(2))),
    ("active tells an old connection", |r| r.connect("east", state(0))),
    ("active lost this role", |r| {
        let term = term(r);
        r.lost_role("east", term);
    }),
    ("active lost an older role", |r| {
        let term = term(r);
        r.lost_role("east", term.saturating_sub(1));
    }),
    ("active becomes RO", |r| r.change("east", read_only(state(1)))),
    ("active leaves", |r| r.disconnect("east", 1)),
    ("active left before", |r| r.disconnect("east", 0)),
    ("active is lost", |r| {
        r.beating.remove("east");
        r.run(1_300);
    }),
    ("active restarts", |r| {
        r.epoch.insert("east".to_owned(), 2);
        r.beat("east");
    }),
    ("active forgets it", |r| r.snapshot("east", vec![])),
    ("west appears", |r| r.connect("west", state(8))),
    ("RO appears", |r| r.connect("north", read_only(state(9)))),
    ("west leaves", |r| r.disconnect("west", 7)),
    ("west tells MASTER with at most ours", |r| {
        let term = term(r);
        r.change("west", master(state(7), term));
    }),
    ("west tells MASTER with more", |r| {
        let term = term(r);
        r.change("west", master(state(7), term + 5));
    }),
    ("time", |r| {
        let at = r.machine.due.first().map_or(r.now(), |(at, _)| at);
        r.run(at.saturating_duration_since(r.t0).as_millis() as u64);
    }),
];

fn term(rig: &Rig) -> u64 {
    rig.machine.switch(S1).map_or(0, |s| s.term().0)
}

#[test]
fn every_pair_of_state_and_input() {
    let mut got = String::new();
    for name in STATES {
        got += &format!("# {name}: {}\n", reach(name).standing());
        for (input, give) in INPUTS {
            if input == "time" && matches!(name, "unknown" | "vacant, after leaving") {
                // Forgetting takes a day; it has a test of its own.
                continue;
            }
            let mut rig = reach(name);
            give(&mut rig);
            let told = rig.told().join(", ");
            got += &format!("{input} -> {} | {told}\n", rig.standing());
        }
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

use skerry_bus::{Epoch, PortState, Seq};

use super::*;

const INTERVAL: Duration = Duration::from_secs(1);
const SWITCHES: [SwitchId; 3] = [SwitchId(1), SwitchId(2), SwitchId(3)];

struct Rig {
    t0: Instant,
    ms: u64,
    links: Links,
    beating: BTreeSet<&'static str>,
}

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn end(switch: u64, port: u32) -> PortRef {
    PortRef {
        switch: SwitchId(switch),
        port: PortNo(port),
    }
}

impl Rig {
    /// Switches 1 and 2 are active in east, switch 3 in west; both regions beat, and have for a while.
    fn new() -> Self {
        let t0 = Instant::now();
        let mut rig = Rig {
            t0,
            ms: 0,
            links: Links::new(Config::default(), t0),
            beating: BTreeSet::from(["east", "west"]),
        };
        for switch in SWITCHES {
            rig.active(switch, Some(if switch.0 == 3 { "west" } else { "east" }));
        }
        rig.run(60_000);
        rig
    }
    fn now(&self) -> Instant {
        self.t0 + Duration::from_millis(self.ms)
    }
    fn give(&mut self, input: Input) {
        self.links.handle_input(self.now(), input);
    }
    fn active(&mut self, switch: SwitchId, name: Option<&str>) {
        self.give(Input::Active {
            switch,
            region: name.map(region),
            term: Term(1),
        });
    }
    fn say(&mut self, name: &str, body: RegionEventBody) {
        self.give(Input::Event(Box::new(RegionEvent {
            region: region(name),
            epoch: Epoch(1),
            seq: Seq(1),
            at_ms: 0,
            correlation_id: None,
            body,
        })));
    }
    fn beat(&mut self, name: &str) {
        self.say(
            name,
            RegionEventBody::Heartbeat {
                switches: 0,
                coalesced: 0,
                speaker: String::new(),
            },
        );
    }
    fn owner(&self, switch: SwitchId) -> String {
        self.links.pulses.active_of(switch).expect("held").to_string()
    }
    /// Told by whoever holds the receiving switch.
    fn seen(&mut self, from: PortRef, to: PortRef) {
        let body = RegionEventBody::LinkSeen {
            from,
            to,
            interval_ms: INTERVAL.as_millis() as u64,
        };
        self.say(&self.owner(to.switch), body);
    }
    fn both(&mut self, a: PortRef, b: PortRef) {
        self.seen(a, b);
        self.seen(b, a);
    }
    fn silent(&mut self, from: PortRef, to: PortRef, silent_ms: u64) {
        let body = RegionEventBody::LinkSilent {
            from,
            to,
            silent_ms,
            missed: (silent_ms / 1_000) as u32,
        };
        self.say(&self.owner(to.switch), body);
    }
    fn port(&mut self, end: PortRef, up: bool) {
        let body = RegionEventBody::PortChanged {
            switch: end.switch,
            port: PortState {
                port: end.port,
                name: String::new(),
                up,
                speed_kbps: 0,
            },
            removed: false,
        };
        self.say(&self.owner(end.switch), body);
    }
    fn run(&mut self, ms: u64) {
        while self.ms < ms {
            let beat = self.ms / 250 * 250 + 250;
            let timer = self
                .links
                .poll_timeout()
                .map(|(at, _)| at.saturating_duration_since(self.t0).as_millis() as u64);
            self.ms = timer.unwrap_or(u64::MAX).max(self.ms).min(beat).min(ms);
            self.links.handle_timeout(self.now());
            if self.ms == beat {
                for name in self.beating.clone() {
                    self.beat(name);
                }
            }
        }
    }
    /// What came out since the last call.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.links.poll_output())
            .map(|o| match o {
                Output::Changed { link, to, .. } => {
                    let name = |e: PortRef| format!("{}/{}", e.switch.0, e.port);
                    format!("{}-{} {to:?}", name(link.a()), name(link.b()))
                }
                Output::Forgotten(_) => "forgotten".to_owned(),
                Output::AskSwitchSnapshot { region, switch } => format!("ask {region} {}", switch.0),
            })
            .collect()
    }
    fn up() -> Self {
        let mut rig = Rig::new();
        rig.both(end(1, 1), end(2, 1));
        assert_eq!(rig.told(), ["1/1-2/1 Up"]);
        rig
    }
    fn status(&self) -> Option<LinkStatus> {
        self.links.link(LinkId::new(end(1, 1), end(2, 1))).map(|l| l.status)
    }
}

const NOTHING: [&str; 0] = [];

/// Every state of a link with every input.
#[test]
fn every_pair_of_state_and_input() {
    use LinkStatus::{Down, Moved, Up};
    type Step = (&'static str, fn(&mut Rig));
    let states: [Step; 5] = [
        ("none", |_| {}),
        ("half", |r| r.seen(end(1, 1), end(2, 1))),
        ("up", |r| r.both(end(1, 1), end(2, 1))),
        ("down", |r| {
            r.both(end(1, 1), end(2, 1));
            r.silent(end(1, 1), end(2, 1), 3_000);
        }),
        ("moved", |r| {
            r.both(end(1, 1), end(2, 1));
            r.both(end(1, 1), end(3, 9));
            r.run(70_000);
        }),
    ];
    let inputs: [Step; 9] = [
        ("seen one way", |r| r.seen(end(1, 1), end(2, 1))),
        ("seen both ways", |r| r.both(end(1, 1), end(2, 1))),
        ("silent", |r| r.silent(end(1, 1), end(2, 1), 3_000)),
        ("silent, too few missed", |r| r.silent(end(1, 1), end(2, 1), 2_000)),
        ("port down", |r| r.port(end(2, 1), false)),
        ("port up", |r| r.port(end(2, 1), true)),
        ("an end seen elsewhere", |r| r.seen(end(3, 1), end(1, 1))),
        ("the receiving region changes", |r| r.active(SwitchId(2), Some("west"))),
        ("the sending region is lost", |r| {
            r.beating.remove("east");
            r.give(Input::Region {
                region: region("east"),
                live: false,
            });
            r.active(SwitchId(1), None);
            r.active(SwitchId(2), Some("west"));
        }),
    ];
    let expected: BTreeMap<&str, [Option<LinkStatus>; 9]> = BTreeMap::from([
        ("none", [None, Some(Up), None, None, None, None, None, None, None]),
        ("half", [None, Some(Up), None, None, None, None, None, None, None]),
        (
            "up",
            [
                Some(Up),
                Some(Up),
                Some(Down),
                Some(Up),
                Some(Down),
                Some(Up),
                Some(Moved),
                Some(Up),
                Some(Up),
            ],
        ),
        (
            // The silent direction is seen: the other was never gone.
            "down",
            [
                Some(Up),
                Some(Up),
                Some(Down),
                Some(Down),
                Some(Down),
                Some(Down),
                Some(Moved),
                Some(Down),
                Some(Down),
            ],
        ),
        (
            "moved",
            [
                Some(Moved),
                Some(Up),
                Some(Moved),
                Some(Moved),
                Some(Moved),
                Some(Moved),
                Some(Moved),
                Some(Moved),
                Some(Moved),
            ],
        ),
    ]);
    for (state, reach) in states {
        for (n, (input, give)) in inputs.iter().enumerate() {
            let mut rig = Rig::new();
            reach(&mut rig);
            give(&mut rig);
            assert_eq!(rig.status(), expected[state][n], "{state} + {input}");
        }
    }
}

#[test]
fn one_direction_is_no_link() {
    let mut rig = Rig::new();
    rig.seen(end(1, 1), end(2, 1));
    rig.run(120_000);
    assert_eq!(rig.told(), NOTHING);
    rig.seen(end(1, 7), end(1, 7));
    assert_eq!(rig.links.links.len(), 1, "a port that hears itself is none either");
}

#[test]
fn a_link_between_two_regions_is_like_any_other() {
    let mut rig = Rig::new();
    rig.both(end(2, 2), end(3, 2));
    assert_eq!(rig.told(), ["2/2-3/2 Up"]);
    rig.silent(end(2, 2), end(3, 2), 3_000);
    assert_eq!(rig.told(), ["2/2-3/2 Down"]);
    rig.seen(end(2, 2), end(3, 2));
    assert_eq!(rig.told(), ["2/2-3/2 Up"]);
}

#[test]
fn a_port_event_ends_a_link_and_both_directions_must_be_seen_again() {
    let mut rig = Rig::up();
    rig.port(end(1, 1), false);
    assert_eq!(rig.told(), ["1/1-2/1 Down"]);
    rig.port(end(1, 1), true);
    assert_eq!(rig.told(), NOTHING);
    // The near end has news; the far end saw no silence, so it is asked.
    rig.seen(end(2, 1), end(1, 1));
    assert_eq!(rig.told(), ["ask east 2"]);
    rig.seen(end(1, 1), end(2, 1));
    assert_eq!(rig.told(), ["1/1-2/1 Up"]);
}

#[test]
fn a_port_missing_from_the_switchs_state_is_down() {
    let mut rig = Rig::up();
    let mut state: SwitchState = serde_json::from_str(
        r#"{"switch":"0x1","connection":1,"address":"a","speaker_address":"b","mode":"RW","role":"master","uptime_ms":1,
            "ports":[{"port":1,"up":true}]}"#,
    )
    .expect("a state");
    rig.say("east", RegionEventBody::SwitchChanged { state: state.clone() });
    assert_eq!(rig.told(), NOTHING);
    state.ports.clear();
    rig.say("west", RegionEventBody::SwitchChanged { state: state.clone() });
    assert_eq!(rig.told(), NOTHING, "west does not hold it");
    rig.say("east", RegionEventBody::SwitchChanged { state });
    assert_eq!(rig.told(), ["1/1-2/1 Down"]);
}

#[test]
fn a_lost_region_never_fails_its_links() {
    let mut rig = Rig::new();
    rig.both(end(2, 2), end(3, 2));
    rig.told();
    // East falls silent; west receives nothing from its switch any more and says so again and again.
    rig.beating.remove("east");
    for n in 1..=4 {
        rig.run(60_000 + n * 3_000);
        rig.silent(end(2, 2), end(3, 2), n * 3_000);
    }
    assert_eq!(rig.told(), NOTHING, "east was not heard");
    rig.give(Input::Region {
        region: region("east"),
        live: false,
    });
    rig.active(SwitchId(2), None);
    rig.run(300_000);
    rig.silent(end(2, 2), end(3, 2), 240_000);
    assert_eq!(rig.told(), NOTHING, "nobody holds the sending switch");
    // West takes over: the count begins again, and ends.
    rig.active(SwitchId(2), Some("west"));
    rig.run(303_000);
    rig.silent(end(2, 2), end(3, 2), 243_000);
    assert_eq!(rig.told(), NOTHING);
    rig.run(306_000);
    rig.silent(end(2, 2), end(3, 2), 246_000);
    assert_eq!(rig.told(), ["2/2-3/2 Down"]);
}

#[test]
fn a_hole_in_the_heartbeats_starts_the_count_again() {
    let mut rig = Rig::new();
    rig.both(end(2, 2), end(3, 2));
    rig.told();
    rig.beating.remove("east");
    rig.run(60_700);
    rig.beating.insert("east");
    rig.run(63_000);
    rig.silent(end(2, 2), end(3, 2), 3_000);
    assert_eq!(rig.told(), NOTHING);
    rig.run(66_000);
    rig.silent(end(2, 2), end(3, 2), 6_000);
    assert_eq!(rig.told(), ["2/2-3/2 Down"]);
}

#[test]
fn a_new_receiving_region_has_to_see_what_the_other_saw() {
    // It tells the same digest.
    let mut rig = Rig::up();
    rig.active(SwitchId(2), Some("west"));
    rig.run(61_000);
    let body = RegionEventBody::LinkDigest {
        switch: SwitchId(2),
        links: 1,
        digest: direction_digest(end(1, 1), end(2, 1)),
    };
    rig.say("west", body);
    rig.run(600_000);
    assert_eq!(rig.told(), NOTHING);
    // It tells the direction.
    let mut rig = Rig::up();
    rig.active(SwitchId(2), Some("west"));
    rig.seen(end(1, 1), end(2, 1));
    rig.run(600_000);
    assert_eq!(rig.told(), NOTHING);
    // It tells nothing.
    let mut rig = Rig::up();
    rig.active(SwitchId(2), Some("west"));
    rig.run(67_900);
    assert_eq!(rig.told(), NOTHING);
    rig.run(68_100);
    assert_eq!(rig.told(), ["1/1-2/1 Down"]);
    // It is lost itself: nothing is judged.
    let mut rig = Rig::up();
    rig.active(SwitchId(2), Some("west"));
    rig.beating.remove("west");
    rig.run(600_000);
    assert_eq!(rig.told(), NOTHING);
    // A new epoch of the same region is the same.
    let mut rig = Rig::up();
    rig.give(Input::NewEpoch { region: region("east") });
    rig.run(68_100);
    assert_eq!(rig.told(), ["1/1-2/1 Down"]);
}

#[test]
fn a_digest_that_differs_asks_once_in_a_while() {
    let mut rig = Rig::up();
    for n in 0..10 {
        rig.run(60_000 + n * 300);
        let body = RegionEventBody::LinkDigest {
            switch: SwitchId(2),
            links: 2,
            digest: 77,
        };
        rig.say("east", body);
    }
    assert_eq!(rig.told(), ["ask east 2", "ask east 2"]);
}

#[test]
fn an_end_that_is_seen_elsewhere_moved_the_link() {
    let mut rig = Rig::up();
    rig.run(61_000);
    rig.seen(end(1, 1), end(2, 5));
    assert_eq!(rig.told(), ["1/1-2/1 Moved"]);
    rig.seen(end(2, 5), end(1, 1));
    assert_eq!(rig.told(), ["1/1-2/5 Up"]);
    // What the old place has not forgotten yet does not count.
    rig.run(62_000);
    rig.seen(end(1, 1), end(2, 1));
    assert_eq!(rig.told(), NOTHING);
    // Back where it was.
    rig.run(70_000);
    rig.both(end(1, 1), end(2, 1));
    assert_eq!(rig.told(), ["1/1-2/5 Moved", "ask east 1", "1/1-2/1 Up"]);
}

#[test]
fn only_the_region_that_holds_the_receiving_switch_is_heard() {
    let mut rig = Rig::up();
    let body = RegionEventBody::LinkSilent {
        from: end(1, 1),
        to: end(2, 1),
        silent_ms: 30_000,
        missed: 30,
    };
    rig.say("west", body);
    assert_eq!(rig.told(), NOTHING);
}

#[test]
fn a_link_that_is_down_for_a_day_is_forgotten() {
    let mut rig = Rig::up();
    rig.port(end(1, 1), false);
    rig.told();
    rig.beating.clear();
    let day = 24 * 3_600 * 1_000;
    rig.run(60_000 + day - 1);
    assert_eq!(rig.told(), NOTHING);
    rig.run(60_000 + day);
    assert_eq!(rig.told(), ["forgotten"]);
    assert!(rig.links.by_port.is_empty() && rig.links.due.is_empty() && rig.links.ports_down.is_empty());
}

#[test]
fn a_restored_link_is_up_until_its_regions_do_not_see_it() {
    let mut rig = Rig::new();
    let link = LinkId::new(end(1, 1), end(2, 1));
    rig.give(Input::Restored {
        link,
        status: LinkStatus::Up,
    });
    assert_eq!(rig.status(), Some(LinkStatus::Up));
    rig.seen(end(1, 1), end(2, 1));
    rig.run(67_900);
    assert_eq!(rig.told(), NOTHING);
    rig.run(68_100);
    assert_eq!(rig.told(), ["1/1-2/1 Down"]);
}

#[test]
fn more_links_than_there_may_be_are_ignored() {
    let mut rig = Rig::new();
    for n in 0..LINKS_MAX as u32 + 10 {
        rig.seen(end(2, n + 10), end(1, n + 10));
    }
    assert_eq!(rig.links.links.len(), LINKS_MAX);
    assert_eq!(rig.links.refused(), 10);
}

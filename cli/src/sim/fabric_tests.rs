//! Cables and hosts in virtual time; a controller that only writes rules.

use super::*;
use crate::sim::topology::Topology;
use ofproto::{Action, Body, FlowMod, FlowModCommand, Hello, Instruction, Match, Message, Oxm, TableId};
use skerry_bus::PortNo;

const MS: Duration = Duration::from_millis(1);

struct World {
    start: Instant,
    fabric: Fabric,
}

impl World {
    /// A ring of four with 1, 2, 3 and 4 ms; traffic from host a goes by s2 to host b and back.
    fn new() -> World {
        let start = Instant::now();
        let topology = Topology::ring(4, &[MS, 2 * MS, 3 * MS, 4 * MS]).expect("a ring");
        let mut world = World {
            start,
            fabric: Fabric::new(&topology, 0, start),
        };
        for (switch, there, back) in [(1, [10, 1], [1, 10]), (2, [2, 1], [1, 2]), (3, [2, 10], [10, 2])] {
            let conn = ConnId(switch);
            world.fabric.handle_input(start, Input::Connected(line(switch), conn));
            world.say(conn, Body::Hello(Hello::with_versions(&[4])));
            for [from, to] in [there, back] {
                world.say(conn, Body::FlowMod(forward(from, to)));
            }
        }
        while world.fabric.poll_output().is_some() {}
        world
    }

    fn say(&mut self, conn: ConnId, body: Body) {
        let bytes = Message::new(1, body).to_bytes().expect("fits");
        self.fabric.handle_input(self.start, Input::Received(conn, bytes));
    }

    fn ask(&mut self, at: Duration, request: &str) -> Value {
        let request = serde_json::from_str(request).expect("a request");
        self.fabric.handle_input(self.start + at, Input::Asked(request));
        let answers = std::iter::from_fn(|| self.fabric.poll_output());
        let answers: Vec<Value> = answers
            .filter_map(|output| match output {
                Output::Answer(answer) => Some(answer),
                _ => None,
            })
            .collect();
        answers.into_iter().next().expect("an answer")
    }
}

fn line(switch: u64) -> Line {
    Line {
        switch: SwitchId(switch),
        controller: 0,
    }
}

fn forward(from: u32, to: u32) -> FlowMod {
    FlowMod {
        matching: Match::new().with(Oxm::in_port(ofproto::PortNo(from))),
        instructions: vec![Instruction::ApplyActions(vec![Action::output(ofproto::PortNo(to))])],
        ..FlowMod::new(FlowModCommand::ADD, TableId(0))
    }
}

fn first<'a>(arrived: &'a Value, key: &str) -> &'a Value {
    &arrived["arrived"][0][key]
}

#[test]
fn packets_take_the_time_of_their_cables_however_late_the_machine_is_woken() {
    let mut world = World::new();
    let sent = world.ask(
        Duration::ZERO,
        r#"{"do":"send","host":"a","stream":1,"tags":["88a8:5","100/3"],"rate":100,"count":20}"#,
    );
    assert_eq!(sent["next"], 0);
    // Woken once, after everything.
    let arrived = world.ask(500 * MS, r#"{"do":"received","host":"b","stream":1}"#);
    assert_eq!(first(&arrived, "tags"), &json!(["88a8:5", "8100:100/3"]));
    assert_eq!(first(&arrived, "numbers"), &json!([[0, 20]]));
    // 1 ms and 2 ms of links, and twice the shortest cable of a host.
    for figure in ["min_ns", "median_ns", "max_ns"] {
        assert_eq!(first(&arrived, figure), 3_020_000, "{figure}");
    }
    let mark = world.ask(500 * MS, r#"{"do":"mark","host":"a","stream":1}"#);
    assert_eq!((&mark["next"], &mark["ended"]), (&json!(20), &json!(true)));
}

#[test]
fn a_host_that_echoes_answers_with_the_tags_it_got() {
    let mut world = World::new();
    world.ask(Duration::ZERO, r#"{"do":"echo","host":"b","on":true}"#);
    world.ask(
        Duration::ZERO,
        r#"{"do":"send","host":"a","stream":1,"tags":["7"],"rate":1000,"count":10,"ask":true,"length":200}"#,
    );
    let back = world.ask(100 * MS, r#"{"do":"received","host":"a","stream":1}"#);
    assert_eq!(
        (first(&back, "kind"), first(&back, "received")),
        (&json!("answer"), &json!(10))
    );
    assert_eq!(first(&back, "median_ns"), 6_040_000);
    assert_eq!(first(&back, "wrong_payload"), 0);
    let totals = world.ask(100 * MS, r#"{"do":"totals","host":"b"}"#);
    assert_eq!((&totals["ours"], &totals["echoed"]), (&json!(10), &json!(10)));
}

#[test]
fn packets_of_a_cable_never_overtake_each_other() {
    let mut world = World::new();
    world.ask(
        Duration::ZERO,
        r#"{"do":"delay","link":"s1-s2","there_us":50000,"back_us":50000}"#,
    );
    world.ask(
        Duration::ZERO,
        r#"{"do":"send","host":"a","stream":1,"rate":1000,"count":100}"#,
    );
    world.ask(20 * MS, r#"{"do":"delay","link":"s1-s2","there_us":100,"back_us":100}"#);
    let arrived = world.ask(300 * MS, r#"{"do":"received","host":"b","stream":1}"#);
    assert_eq!(
        (first(&arrived, "received"), first(&arrived, "reordered")),
        (&json!(100), &json!(0))
    );
    assert!(first(&arrived, "min_ns").as_u64() < Some(5_000_000));
}

#[test]
fn a_cut_link_tells_its_ports_and_a_silent_one_does_not() {
    let mut world = World::new();
    let ask = |request: &str| serde_json::from_str::<Request>(request).expect("a request");
    let mut told = |request: &str| {
        world.fabric.handle_input(world.start, Input::Asked(ask(request)));
        let outputs = std::iter::from_fn(|| world.fabric.poll_output());
        outputs.filter(|output| matches!(output, Output::Write(..))).count()
    };
    assert_eq!(told(r#"{"do":"cut","link":"s1-s2"}"#), 2, "both ends have a controller");
    assert_eq!(told(r#"{"do":"cut","link":"s1-s2"}"#), 0, "no news");
    assert_eq!(told(r#"{"do":"join","link":"s1-s2"}"#), 2);
    assert_eq!(told(r#"{"do":"cut","link":"s1-s2","silent":true}"#), 0);
    world.ask(
        Duration::ZERO,
        r#"{"do":"send","host":"a","stream":1,"rate":1000,"count":10}"#,
    );
    let arrived = world.ask(100 * MS, r#"{"do":"received","host":"b","stream":1}"#);
    assert_eq!(arrived["arrived"], json!([]));
}

#[test]
fn what_cannot_be_is_answered_with_the_reason() {
    let mut world = World::new();
    for request in [
        r#"{"do":"send","host":"c","stream":1,"rate":1}"#,
        r#"{"do":"send","host":"a","stream":1,"rate":0}"#,
        r#"{"do":"send","host":"a","stream":1,"rate":1,"tags":["x"]}"#,
        r#"{"do":"send","host":"a","stream":1,"rate":1,"tags":["1","1","1","1","1"]}"#,
        r#"{"do":"send","host":"a","stream":1,"rate":1,"length":18446744073709551615}"#,
        r#"{"do":"mark","host":"a","stream":9}"#,
        r#"{"do":"delay","link":"s1-s2","there_us":1,"back_us":100}"#,
        r#"{"do":"delay","link":"","there_us":100,"back_us":100}"#,
        r#"{"do":"cut","link":"s1-s9"}"#,
        r#"{"do":"dump","switch":9}"#,
    ] {
        assert!(world.ask(Duration::ZERO, request)["error"].is_string(), "{request}");
    }
    assert!(serde_json::from_str::<Request>(r#"{"do":"cut","link":"s1-s2","quiet":1}"#).is_err());
    assert!(serde_json::from_str::<Request>(r#"{"do":"fly"}"#).is_err());
}

#[test]
fn a_loop_of_rules_ends_nothing_and_a_storm_is_bounded() {
    let mut world = World::new();
    // Every switch sends everything on to the next one: packets go round for ever.
    let conn = ConnId(4);
    world.fabric.handle_input(world.start, Input::Connected(line(4), conn));
    world.say(conn, Body::Hello(Hello::with_versions(&[4])));
    for (conn, from) in [(3, 2), (4, 2), (1, 2), (1, 10), (2, 2)] {
        world.say(ConnId(conn), Body::FlowMod(forward(from, 1)));
    }
    world.ask(
        Duration::ZERO,
        r#"{"do":"send","host":"a","stream":1,"rate":100,"count":5}"#,
    );
    world.ask(100 * MS, r#"{"do":"status"}"#);
    let status = world.ask(3_000 * MS, r#"{"do":"status"}"#);
    assert_eq!(
        (&status["packets_under_way"], &status["packets_dropped"]),
        (&json!(5), &json!(0))
    );
    let port = PortRef {
        switch: SwitchId(1),
        port: PortNo(1),
    };
    for _ in 0..UNDER_WAY_MAX + 10 {
        world
            .fabric
            .enter(Place::Port(port), world.start + 3_000 * MS, Packet::tagged(&[], &[]));
    }
    let status = world.ask(3_000 * MS, r#"{"do":"status"}"#);
    assert_eq!(
        (&status["packets_under_way"], &status["packets_dropped"]),
        (&json!(UNDER_WAY_MAX), &json!(15))
    );
}

#[test]
fn a_switch_tries_its_controllers_again_when_they_are_gone() {
    let start = Instant::now();
    let topology = Topology::ring(2, &[MS]).expect("a ring");
    let mut fabric = Fabric::new(&topology, 2, start);
    let dialed = |fabric: &mut Fabric| {
        let outputs = std::iter::from_fn(|| fabric.poll_output());
        outputs.filter(|output| matches!(output, Output::Dial(_))).count()
    };
    fabric.handle_timeout(start);
    assert_eq!(dialed(&mut fabric), 4, "each switch each controller");
    fabric.handle_input(start, Input::Connected(line(1), ConnId(1)));
    fabric.handle_input(start, Input::Unreachable(line(2)));
    let (again, why) = fabric.poll_timeout().expect("it tries again");
    assert_eq!(why, "controller tried");
    fabric.handle_timeout(again);
    assert_eq!(dialed(&mut fabric), 1);
    // The switch hangs up on what is no hello, and tries again too.
    let nonsense = Bytes::from_static(&[0; 8]);
    fabric.handle_input(again, Input::Received(ConnId(1), nonsense));
    let closed = std::iter::from_fn(|| fabric.poll_output()).any(|output| matches!(output, Output::Close(..)));
    let (due, _) = fabric.poll_timeout().expect("it tries again");
    fabric.handle_timeout(due);
    assert_eq!((closed, dialed(&mut fabric)), (true, 1));
}

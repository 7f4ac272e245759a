//! The whole run in virtual time, against a controller of a few lines.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ofproto::*;
use serde_json::Value;

use super::{Input, Output, World};
use crate::load::manner::Manner;
use crate::load::packets::Kind;
use crate::load::plan::{Echo, PacketIns, Plan};
use crate::load::request::Request;
use crate::load::wiring::Shape;
use crate::sim::switch::ConnId;

fn plan(switches: usize) -> Plan {
    Plan {
        controllers: vec![SocketAddr::from(([192, 0, 2, 1], 6653))],
        sources: vec![],
        switches,
        first_id: 1,
        ports: 4,
        shape: Shape::None,
        link_delay: Duration::from_millis(5),
        connect_rate: None,
        reconnect: Some(Duration::from_millis(500)),
        echo: Echo::None,
        echo_bytes: 0,
        packet_ins: PacketIns::None,
        packets: Kind::Known,
        packet_bytes: 64,
        hosts: 10,
        floods: vec![],
        flap: None,
        misbehave: vec![],
        end: None,
        watch: false,
    }
}

/// A controller that is reached at once, and what it does with a message.
struct Run {
    now: Instant,
    world: World,
    frames: VecDeque<(ConnId, Message)>,
    says: Vec<Value>,
    /// What switches wrote that cannot be read.
    unreadable: Vec<ConnId>,
    closed: Vec<ConnId>,
    may_read: Vec<(ConnId, usize)>,
    framers: std::collections::BTreeMap<ConnId, Framer>,
    over: Option<bool>,
}

/// Whether a message is answered as a controller does that asks for features and learns nothing.
const ECHOES: fn(&Message) -> Option<Body> = |message| match &message.body {
    Body::Hello(_) => Some(Body::FeaturesRequest),
    Body::EchoRequest(data) => Some(Body::EchoReply(data.clone())),
    _ => None,
};

impl Run {
    fn new(plan: Plan) -> Run {
        let now = Instant::now();
        Run {
            now,
            world: World::new(plan, now),
            frames: VecDeque::new(),
            says: Vec::new(),
            unreadable: Vec::new(),
            closed: Vec::new(),
            may_read: Vec::new(),
            framers: Default::default(),
            over: None,
        }
    }

    fn say(&mut self, conn: ConnId, xid: u32, body: Body) {
        let bytes = Message::new(xid, body).to_bytes().expect("fits");
        self.world.handle_input(self.now, Input::Received(conn, &bytes));
    }

    /// Does what the world wants, at this moment.
    fn drain(&mut self) {
        while let Some(output) = self.world.poll_output() {
            match output {
                Output::Dial(dial) => {
                    self.framers.insert(dial.conn, Framer::new());
                    self.world.handle_input(self.now, Input::Connected(dial.conn));
                }
                Output::Write(conn) => {
                    let bytes = Bytes::copy_from_slice(self.world.unwritten(conn).expect("it is there"));
                    self.world.wrote(conn, bytes.len());
                    self.read(conn, &bytes);
                }
                Output::Close(conn, last) => {
                    self.read(conn, &last);
                    self.closed.push(conn);
                }
                Output::Read(conn, bytes) => self.may_read.push((conn, bytes)),
                Output::Say(line) => self.says.push(line),
                Output::Quit(well) => self.over = Some(well),
            }
        }
    }

    fn read(&mut self, conn: ConnId, bytes: &[u8]) {
        let framer = self.framers.get_mut(&conn).expect("it was dialed");
        framer.push(bytes);
        while let Ok(frame) = framer.next_frame() {
            let Some(frame) = frame else { return };
            match Message::decode(&frame) {
                Ok(message) => self.frames.push_back((conn, message)),
                Err(_) => self.unreadable.push(conn),
            }
        }
        self.unreadable.push(conn);
    }

    /// Goes on for a time; every message is answered at once with what `answer` says.
    fn go(&mut self, time: Duration, answer: impl Fn(&Message) -> Option<Body>) {
        let end = self.now + time;
        loop {
            self.drain();
            while let Some((conn, message)) = self.frames.pop_front() {
                if let Body::Hello(_) = message.body {
                    self.say(conn, 0, Body::Hello(Hello::with_versions(&[VERSION_1_3])));
                }
                if let Some(body) = answer(&message) {
                    self.say(conn, message.xid, body);
                }
                self.drain();
            }
            match self.world.poll_timeout().filter(|(due, _)| *due <= end) {
                Some((due, _)) => {
                    self.now = self.now.max(due);
                    self.world.handle_timeout(self.now);
                }
                None => break,
            }
        }
        self.now = end;
    }

    fn status(&mut self) -> Value {
        self.ask(Request::Status)["result"].take()
    }

    fn ask(&mut self, request: Request) -> Value {
        self.world.handle_input(self.now, Input::Asked(request));
        self.drain();
        self.says.pop().expect("an answer")
    }
}

fn second() -> Duration {
    Duration::from_secs(1)
}

#[test]
fn paced_echoes_keep_their_pace_also_over_a_new_connection() {
    let mut run = Run::new(Plan {
        echo: Echo::Every(Duration::from_millis(100)),
        // It is back before the next echo of the connection before was due.
        reconnect: Some(Duration::from_millis(10)),
        ..plan(7)
    });
    run.go(second() * 10, ECHOES);
    let sent = run.status()["sent"]["by_type"]["OFPT_ECHO_REQUEST"]
        .as_u64()
        .expect("a count");
    assert!((693..=707).contains(&sent), "{sent} in 10 s of 7 switches");
    run.ask(Request::Close { switch: 3 });
    run.ask(Request::Reset);
    run.go(second() * 10, ECHOES);
    let status = run.status();
    let sent = status["sent"]["by_type"]["OFPT_ECHO_REQUEST"]
        .as_u64()
        .expect("a count");
    assert!((686..=707).contains(&sent), "{sent} in 10 s with a moment away");
    assert_eq!(status["echo"]["count"], sent);
    assert_eq!(status["connections"]["handshaken"]["now"], 7);
}

#[test]
fn echoes_that_nobody_answers_are_held_back_and_then_lost() {
    let mut run = Run::new(Plan {
        echo: Echo::Every(Duration::from_millis(10)),
        ..plan(1)
    });
    let deaf = |message: &Message| ECHOES(message).filter(|body| matches!(body, Body::FeaturesRequest));
    run.go(second() * 4, deaf);
    let status = run.status();
    assert_eq!(status["sent"]["by_type"]["OFPT_ECHO_REQUEST"], 64);
    let held = status["echo"]["held_back"].as_u64().expect("a count");
    assert!((330..=340).contains(&held), "{held}");
    run.ask(Request::Echo {
        in_flight: 0,
        every_ms: 0,
    });
    assert_eq!(run.status()["echo"]["lost"], 64);
}

#[test]
fn a_flood_keeps_its_rate_and_ends_by_its_count() {
    let mut run = Run::new(plan(3));
    run.go(second(), ECHOES);
    let flood = |rate, count| Request::Flood {
        switch: 2,
        rate,
        count,
        to: None,
    };
    run.ask(flood(50_000.0, None));
    run.go(second(), ECHOES);
    let sent = run.status()["floods"]["sent"].as_u64().expect("a count");
    assert!((49_900..=50_000).contains(&sent), "{sent}");
    run.ask(flood(0.0, None));
    run.go(second(), ECHOES);
    assert_eq!(run.status()["floods"]["sent"], sent, "it was ended");
    assert!(run.ask(flood(0.0, None))["error"].is_string());
    run.ask(flood(1_000.0, Some(700)));
    run.go(second(), ECHOES);
    assert_eq!(run.status()["floods"]["sent"], sent + 700);
    assert_eq!(run.status()["sent"]["by_type"]["OFPT_PACKET_IN"], sent + 700);
    let elsewhere = Request::Flood {
        switch: 2,
        rate: 100.0,
        count: None,
        to: Some(SocketAddr::from(([192, 0, 2, 9], 9))),
    };
    run.ask(elsewhere);
    run.go(second(), |_| None);
    let status = run.status();
    assert_eq!(
        (&status["floods"]["elsewhere"], &status["floods"]["sent"]),
        (&100.into(), &(sent + 700).into())
    );
    assert_eq!(run.unreadable, []);
}

/// What a learning controller answers to a packet-in.
fn learns(message: &Message) -> Option<Body> {
    let Body::PacketIn(packet) = &message.body else {
        return ECHOES(message);
    };
    let out = PacketOut::new(vec![Action::output(PortNo(2))], packet.data.clone());
    Some(Body::PacketOut(out))
}

#[test]
fn packet_ins_in_flight_are_followed_by_others_as_they_are_answered() {
    let mut run = Run::new(Plan {
        packet_ins: PacketIns::InFlight(3),
        ..plan(2)
    });
    // Nothing is answered: three of each switch, again after a second.
    run.go(Duration::from_millis(900), ECHOES);
    let status = run.status();
    assert_eq!(
        (&status["packet_ins"]["sent"], &status["packet_ins"]["unanswered"]),
        (&6.into(), &0.into())
    );
    run.go(Duration::from_millis(600), ECHOES);
    let status = run.status();
    assert_eq!(
        (&status["packet_ins"]["sent"], &status["packet_ins"]["unanswered"]),
        (&12.into(), &6.into())
    );
    run.ask(Request::Reset);
    run.ask(Request::PacketIn {
        rate: 0.0,
        in_flight: 0,
    });
    assert_eq!(run.status()["packet_ins"]["lost"], 6);
}

#[test]
fn packet_ins_at_a_rate_are_known_by_their_packet_or_their_address() {
    for by_rule in [false, true] {
        let mut run = Run::new(Plan {
            packet_ins: PacketIns::Rate(200.0),
            ..plan(4)
        });
        let answer = move |message: &Message| match &message.body {
            Body::PacketIn(packet) if by_rule => {
                let from = MacAddr(packet.data[6..12].try_into().expect("an address"));
                Some(Body::FlowMod(FlowMod {
                    matching: Match::new().with(Oxm::eth_src(from)),
                    ..FlowMod::new(FlowModCommand::ADD, TableId(0))
                }))
            }
            _ => learns(message),
        };
        run.go(second() * 2, answer);
        let told = run.status()["packet_ins"].take();
        let sent = told["sent"].as_u64().expect("a count");
        assert!((398..=400).contains(&sent), "{told}");
        assert_eq!(told["answers"]["count"], sent, "{told}");
        let of = if by_rule { "flow_mods" } else { "packet_outs" };
        assert_eq!(told[of], sent, "{told}");
    }
}

#[test]
fn cables_flap_in_turn_and_are_all_in_when_it_ends() {
    let mut run = Run::new(Plan {
        shape: Shape::Ring,
        flap: Some(50.0),
        ..plan(4)
    });
    run.go(second(), ECHOES);
    run.ask(Request::Flap { rate: 0.0 });
    let status = run.status();
    let flaps = status["flaps"].as_u64().expect("a count");
    assert!((49..=51).contains(&flaps) && flaps.is_multiple_of(2), "{flaps}");
    // Two ends each; those before the handshake were told nobody.
    let told = status["sent"]["by_type"]["OFPT_PORT_STATUS"].as_u64().expect("a count");
    assert!(told == 2 * flaps, "{told} of {flaps}");
}

/// Conns of the misbehaving switch behind one good one.
fn with(manner: Manner, time: Duration) -> Run {
    let mut run = Run::new(Plan {
        misbehave: vec![(manner, 1)],
        reconnect: None,
        ..plan(1)
    });
    run.go(time, ECHOES);
    run
}

/// Whether the switch that misbehaves answers a barrier on its newest connection.
fn answers(run: &mut Run) -> bool {
    let conn = *run.framers.keys().rfind(|conn| conn.0 & 0xff == 1).expect("it came");
    run.say(conn, 77, Body::BarrierRequest);
    run.drain();
    std::mem::take(&mut run.frames)
        .iter()
        .any(|(to, message)| *to == conn && message.body == Body::BarrierReply)
}

#[test]
fn each_manner_does_what_it_says() {
    let long = second() * 20;
    for manner in [Manner::HalfOpen, Manner::Silent, Manner::Trickle] {
        let mut run = with(manner, long);
        let habit = run.status()["misbehaving"][manner.name()].take();
        assert_eq!(
            (&habit["connected"], &habit["handshaken"]),
            (&1.into(), &0.into()),
            "{manner:?}"
        );
        assert_eq!(run.closed, [], "{manner:?} does not hang up");
        assert!(!answers(&mut run), "{manner:?}");
        let hellos = run.status()["sent"]["by_type"]["OFPT_HELLO"].as_u64();
        assert_eq!(hellos, Some(if manner == Manner::Silent { 2 } else { 1 }), "{manner:?}");
        assert_eq!(run.status()["connections"]["handshaken"]["now"], 1);
    }
    let mut run = with(Manner::Mute, second() / 2);
    assert!(answers(&mut run), "not yet");
    run.go(long, ECHOES);
    assert!(!answers(&mut run) && run.closed.is_empty());
    let mut run = with(Manner::Slow, second() * 4);
    assert!(answers(&mut run));
    assert!(
        run.may_read.len() >= 3
            && run
                .may_read
                .iter()
                .all(|(conn, bytes)| conn.0 & 0xff == 1 && *bytes == 64)
    );
    for manner in [Manner::Garbage, Manner::Malformed] {
        let run = with(manner, second() / 2);
        assert_eq!(run.unreadable, [], "{manner:?}: not yet");
        let run = with(manner, second() * 4);
        assert!(
            !run.unreadable.is_empty() && run.unreadable.iter().all(|conn| conn.0 & 0xff == 1),
            "{manner:?}"
        );
    }
    let mut run = with(Manner::Flood, second() * 3);
    let sent = run.status()["floods"]["sent"].as_u64().expect("a count");
    assert!((19_900..=20_000).contains(&sent), "{sent} in two seconds");
}

#[test]
fn a_switch_that_churns_comes_and_goes_and_a_duplicate_comes_later() {
    let mut run = Run::new(Plan {
        misbehave: vec![(Manner::Churn, 1), (Manner::Duplicate, 1)],
        ..plan(1)
    });
    run.go(second() * 5, ECHOES);
    let status = run.status();
    let churn = &status["misbehaving"]["churn"];
    let (came, went) = (churn["handshaken"].as_u64(), churn["lasted"]["count"].as_u64());
    assert!(came >= Some(9) && went >= Some(9), "{churn}");
    assert_eq!(churn["disconnects"]["it hangs up"].as_u64(), went);
    assert_eq!(status["misbehaving"]["duplicate"]["connected"], 1);
    let dump = run.ask(Request::Dump { switch: 1 });
    assert_eq!(dump["result"]["rules"], serde_json::json!([]));
    assert_eq!(
        status["connections"]["handshaken"]["now"], 1,
        "only those that behave are counted here"
    );
    run.world.handle_input(run.now, Input::End);
    run.drain();
    assert_eq!(run.over, Some(true));
}

#[test]
fn a_write_after_another_became_master_is_counted_with_what_the_switch_said() {
    let mut plan = plan(1);
    plan.controllers.push(SocketAddr::from(([192, 0, 2, 2], 6653)));
    let mut run = Run::new(plan);
    run.go(second(), ECHOES);
    let conns: Vec<ConnId> = run.framers.keys().copied().collect();
    let [first, second_one] = conns[..] else {
        panic!("{conns:?}")
    };
    let role = |role, generation_id| Body::RoleRequest(RoleMsg { role, generation_id });
    let late = |run: &mut Run| {
        run.go(second(), ECHOES);
        let status = run.status();
        (
            status["late_writes"]["tried"].clone(),
            status["late_writes"]["accepted"].clone(),
        )
    };
    let write = || Body::FlowMod(FlowMod::new(FlowModCommand::ADD, TableId(0)));
    run.say(first, 1, role(ControllerRole::MASTER, 1));
    run.say(first, 2, write());
    assert_eq!(late(&mut run), (0.into(), 0.into()), "it is the MASTER");
    // The other takes over; the first goes on as if nothing had been.
    run.say(second_one, 3, role(ControllerRole::MASTER, 2));
    run.say(first, 4, write());
    run.say(first, 5, Body::BarrierRequest);
    run.say(second_one, 6, write());
    assert_eq!(late(&mut run), (1.into(), 0.into()), "refused");
    // A role that may write beside a MASTER: the switch takes it, and that is seen.
    run.say(first, 7, role(ControllerRole::EQUAL, 0));
    run.say(first, 8, write());
    assert_eq!(late(&mut run), (2.into(), 1.into()));
    run.say(first, 9, role(ControllerRole::MASTER, 3));
    run.say(first, 10, write());
    run.say(second_one, 11, write());
    assert_eq!(late(&mut run), (3.into(), 1.into()));
}

//! `skerry load` as a program, against a controller that does what the test says.

mod scripted_controller;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ofproto::*;
use scripted_controller::{Controller, Event, Manner};
use serde_json::Value;

struct Load {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Load {
    fn start(controller: &Controller, arguments: &str) -> Load {
        Load::with(
            &[
                &["--controller", &controller.address.to_string()],
                &words(arguments)[..],
            ]
            .concat(),
        )
    }

    fn with(arguments: &[&str]) -> Load {
        let mut child = Command::new(env!("CARGO_BIN_EXE_skerry"))
            .arg("load")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command was built");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Load { child, input, output }
    }

    /// The next line that has this key.
    fn line(&mut self, key: &str) -> Value {
        loop {
            let mut line = String::new();
            let count = self.output.read_line(&mut line).expect("text");
            assert!(count > 0, "it ended without a line with {key:?}");
            let line: Value = serde_json::from_str(&line).expect("a line of JSON");
            if line.get(key).is_some() {
                return line;
            }
        }
    }

    fn ask(&mut self, question: &str) -> Value {
        let input = self.input.as_mut().expect("it was not closed");
        writeln!(input, "{question}").expect("it reads");
        self.line("answer")
    }

    /// Ends it: the report, and the exit code.
    fn quit(mut self) -> (Value, Option<i32>) {
        self.ask(r#"{"do":"quit"}"#);
        let report = self.line("report")["report"].take();
        (report, self.child.wait().expect("it ends").code())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Of a test that failed; it ends with its standard input.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn number(report: &Value, path: &str) -> u64 {
    let found = report.pointer(path).unwrap_or_else(|| panic!("{path} in {report:#}"));
    found.as_u64().unwrap_or_else(|| panic!("{path} is {found}"))
}

#[test]
fn two_hundred_switches_get_through_their_handshake_and_the_report_adds_up() {
    let controller = Controller::start(Manner::Good);
    let mut load = Load::start(&controller, "--switches 200 --first-id 1000 --ports 3 --links none");
    let ready = load.line("ready");
    assert_eq!(
        (&ready["switches"], &ready["connections"]["wanted"]),
        (&200.into(), &200.into())
    );
    controller.wait_for_switches(200);
    let asked = MultipartRequest::new(MultipartRequestBody::PortDesc);
    controller.say(1_199, 9, Body::MultipartRequest(asked));
    let Body::MultipartReply(reply) = controller.answer(1_199, 9) else {
        panic!("ports")
    };
    assert!(matches!(reply.body, MultipartReplyBody::PortDesc(ports) if ports.len() == 3));
    let (report, code) = load.quit();
    assert_eq!(code, Some(0));
    for stage in ["connected", "handshaken"] {
        let at = |key: &str| number(&report, &format!("/connections/{stage}/{key}"));
        assert_eq!((at("now"), at("took/count")), (200, 200), "{report:#}");
        assert!(report["connections"][stage]["all_s"].is_f64(), "{report:#}");
    }
    assert_eq!(
        number(&report, "/connections/settled/now"),
        0,
        "nobody asked for a role"
    );
    let sent = |kind: &str| number(&report, &format!("/sent/by_type/{kind}"));
    assert_eq!(
        (
            sent("OFPT_HELLO"),
            sent("OFPT_FEATURES_REPLY"),
            sent("OFPT_MULTIPART_REPLY")
        ),
        (200, 200, 1)
    );
    assert_eq!(number(&report, "/sent/messages"), 401);
    assert_eq!(number(&report, "/received/messages"), 401);
    // A hello of ours has a bitmap, 16 bytes; a features reply has 32 and three ports 208.
    assert_eq!(number(&report, "/sent/bytes"), 200 * (16 + 32) + 16 + 3 * 64);
}

#[test]
fn echoes_in_flight_are_answered_as_often_as_asked_but_for_the_last_ones() {
    let controller = Controller::start(Manner::Good);
    let mut load = Load::start(&controller, "--switches 5 --echo 16 --echo-bytes 120");
    load.line("ready");
    let mut status = load.ask(r#"{"do":"status"}"#);
    for _ in 0..1_000 {
        if number(&status, "/result/echo/count") >= 2_000 {
            break;
        }
        status = load.ask(r#"{"do":"status"}"#);
    }
    let stopped = load.ask(r#"{"do":"echo"}"#);
    assert!(stopped.get("error").is_none(), "{stopped}");
    let (report, _) = load.quit();
    let (sent, answered) = (
        number(&report, "/sent/by_type/OFPT_ECHO_REQUEST"),
        number(&report, "/echo/count"),
    );
    let lost = number(&report, "/echo/lost");
    assert!(answered >= 2_000 && sent == answered + lost, "{report:#}");
    assert!(lost <= 5 * 16, "{report:#}");
    let figure = |name: &str| report["echo"][name].as_f64().expect("a figure");
    assert!(figure("min_us") <= figure("p50_us") && figure("p50_us") <= figure("p99_us"));
    assert!(
        figure("p99_us") <= figure("max_us") && figure("min_us") > 0.0,
        "{report:#}"
    );
}

#[test]
fn a_discovery_packet_comes_out_at_the_other_end_of_its_link_if_a_rule_says_so() {
    let controller = Controller::start(Manner::Good);
    let mut load = Load::start(&controller, "--switches 3 --ports 4 --links ring --link-ms 2.5");
    load.line("ready");
    controller.wait_for_switches(3);
    let all_to_us = FlowMod {
        instructions: vec![Instruction::ApplyActions(vec![Action::to_controller()])],
        ..FlowMod::new(FlowModCommand::ADD, TableId(0))
    };
    let packet =
        |n: u8| bytes::Bytes::from([&[1, 0x80, 0xc2, 0, 0, 0xe, 2, 0, 0, 0, 0, 1, 0x88, 0xcc][..], &[n; 46]].concat());
    // Switch 2's port 1 leads to port 3 of switch 3, where no rule stands yet.
    let out = |n| Body::PacketOut(PacketOut::new(vec![Action::output(PortNo(1))], packet(n)));
    controller.say(2, 10, out(1));
    controller.say(2, 11, Body::BarrierRequest);
    assert_eq!(controller.answer(2, 11), Body::BarrierReply);
    while number(&load.ask(r#"{"do":"status"}"#), "/result/links/packets_carried") == 0 {}
    controller.say(3, 12, Body::FlowMod(all_to_us));
    controller.say(3, 13, Body::BarrierRequest);
    assert_eq!(controller.answer(3, 13), Body::BarrierReply);
    controller.say(2, 14, out(2));
    let came = controller.wait("the packet", |event| match event {
        Event::Said(
            3,
            Message {
                body: Body::PacketIn(came),
                ..
            },
        ) => Some(came.clone()),
        _ => None,
    });
    assert_eq!((came.matching.in_port(), came.data), (Some(PortNo(3)), packet(2)));
    // Its cable is taken out: both ends say so, and nothing gets through.
    let answer = load.ask(r#"{"do":"port","switch":3,"port":3,"up":false}"#);
    assert!(answer.get("error").is_none(), "{answer}");
    let mut down = Vec::new();
    controller.wait("two ports to go down", |event| {
        if let Event::Said(
            id,
            Message {
                body: Body::PortStatus(status),
                ..
            },
        ) = event
        {
            assert!(!status.desc.is_up());
            down.push((*id, status.desc.port_no.0));
        }
        (down.len() == 2).then_some(())
    });
    down.sort();
    assert_eq!(down, [(2, 1), (3, 3)]);
    let (report, code) = load.quit();
    assert_eq!(code, Some(0));
    assert_eq!(number(&report, "/links/packets_carried"), 2);
    assert_eq!(number(&report, "/rules_held"), 1);
    assert_eq!(
        number(&report, "/commands/count"),
        1,
        "one change was followed by a barrier"
    );
}

#[test]
fn switches_whose_controller_goes_come_back_unless_that_is_not_wanted() {
    for (reconnect, comes_back) in [("50", true), ("never", false)] {
        let controller = Controller::start(Manner::Good);
        let mut load = Load::start(&controller, &format!("--switches 2 --reconnect {reconnect}"));
        load.line("ready");
        controller.wait_for_switches(2);
        controller.hang_up(1);
        controller.wait("its end", |event| matches!(event, Event::Gone(1, None)).then_some(()));
        if comes_back {
            controller.wait("its return", |event| matches!(event, Event::Came(1)).then_some(()));
        }
        let mut status = load.ask(r#"{"do":"status"}"#);
        for _ in 0..1_000 {
            if status["result"]["disconnects"] != serde_json::json!({}) {
                break;
            }
            status = load.ask(r#"{"do":"status"}"#);
        }
        let (report, code) = load.quit();
        assert_eq!(code, Some(0));
        assert_eq!(
            report["disconnects"],
            serde_json::json!({ "closed by the controller": 1 })
        );
        let tries = number(&report, "/connections/connected/took/count");
        assert_eq!(tries, if comes_back { 3 } else { 2 }, "{report:#}");
    }
}

#[test]
fn a_controller_that_never_asks_for_features_is_a_failure_and_bad_options_are_usage() {
    let controller = Controller::start(Manner::Mute);
    let mut load = Load::start(&controller, "--switches 2 --for 200ms");
    let report = load.line("report")["report"].take();
    assert_eq!(number(&report, "/connections/handshaken/now"), 0);
    assert_eq!(load.child.wait().expect("it ends").code(), Some(1));
    for wrong in [
        "",
        "--controller 127.0.0.1:1 --switches 0",
        "--controller 127.0.0.1:1 --ports 0",
        "--controller 127.0.0.1:1 --link-ms -1",
        "--controller 127.0.0.1:1 --connect-rate some",
        "--controller 127.0.0.1:1 --for 3",
        "--controller 127.0.0.1:1 --echo 1 --echo-every 1s",
        "--controller here:now",
        "--controller 127.0.0.1:1 --links star",
    ] {
        let mut load = Load::with(&words(wrong));
        assert_eq!(load.child.wait().expect("it ends").code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_flood_of_so_many_comes_whole_and_one_that_goes_elsewhere_does_not_come() {
    let controller = Controller::start(Manner::Good);
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut load = Load::start(&controller, "--switches 3 --packet-bytes 128");
    load.line("ready");
    let to = elsewhere.local_addr().expect("it has one");
    let other = format!(r#"{{"do":"flood","switch":1,"rate":20000,"count":500,"to":"{to}"}}"#);
    for question in [r#"{"do":"flood","switch":2,"rate":20000,"count":3000}"#, &other] {
        assert!(load.ask(question).get("error").is_none(), "{question}");
    }
    let mut came = 0;
    controller.wait("the flood", |event| {
        if let Event::Said(
            from,
            Message {
                body: Body::PacketIn(packet),
                ..
            },
        ) = event
        {
            assert_eq!((*from, packet.data.len()), (2, 128));
            came += 1;
        }
        (came == 3_000).then_some(())
    });
    // The other one is the same bytes, and no more than them.
    let (mut stream, _) = elsewhere.accept().expect("it comes");
    stream
        .set_read_timeout(Some(scripted_controller::DEADLINE))
        .expect("a socket");
    let mut bytes = vec![0; 500 * (42 + 128)];
    std::io::Read::read_exact(&mut stream, &mut bytes).expect("all of it");
    let (report, _) = load.quit();
    let flood = |key: &str| number(&report, &format!("/floods/{key}"));
    assert_eq!((flood("sent"), flood("elsewhere")), (3_000, 500));
    assert_eq!(number(&report, "/sent/by_type/OFPT_PACKET_IN"), 3_000);
    assert!(bytes.chunks(170).all(|frame| frame.starts_with(&[4, 10, 0, 170])));
}

#[test]
fn who_misbehaves_is_counted_apart_and_the_others_stay() {
    let controller = Controller::start(Manner::Good);
    let mut load = Load::start(
        &controller,
        "--switches 4 --reconnect never --misbehave half-open:1 --misbehave garbage:2 --misbehave malformed:1 --misbehave mute:1",
    );
    load.line("ready");
    // Three of them say what cannot be read, each by its own connection; this controller hangs up on those.
    let mut unreadable = std::collections::BTreeSet::new();
    controller.wait("three to be hung up on", |event| {
        if let Event::Gone(id, Some(_)) = event {
            unreadable.insert(*id);
        }
        (unreadable.len() == 3).then_some(())
    });
    // Ids follow those of the switches that behave; the first of the others never says its own.
    assert_eq!(unreadable.into_iter().collect::<Vec<_>>(), [6, 7, 8]);
    controller.say(9, 50, Body::BarrierRequest);
    controller.say(1, 51, Body::BarrierRequest);
    assert_eq!(controller.answer(1, 51), Body::BarrierReply);
    let mut status = load.ask(r#"{"do":"status"}"#);
    for _ in 0..1_000 {
        if number(&status, "/result/misbehaving/garbage/lasted/count") == 2 {
            break;
        }
        status = load.ask(r#"{"do":"status"}"#);
    }
    let (report, code) = load.quit();
    assert_eq!(code, Some(0));
    let of = |kind: &str, key: &str| number(&report, &format!("/misbehaving/{kind}/{key}"));
    assert_eq!((of("half-open", "connected"), of("half-open", "handshaken")), (1, 0));
    assert_eq!((of("garbage", "handshaken"), of("malformed", "handshaken")), (2, 1));
    assert_eq!(of("garbage", "lasted/count"), 2);
    assert_eq!((of("mute", "handshaken"), of("mute", "lasted/count")), (1, 0));
    assert_eq!(report["disconnects"], serde_json::json!({}));
    assert_eq!(number(&report, "/connections/handshaken/now"), 4);
}

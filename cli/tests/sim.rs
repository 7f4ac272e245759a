//! `skerry sim` as a program: a controller that listens, a conversation on standard input and output, an end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use ofproto::{
    Action, Body, FlowMod, FlowModCommand, Framer, Hello, Instruction, Match, Message, Oxm, PortNo, TableId,
};
use serde_json::Value;

/// Far longer than anything takes here.
const DEADLINE: Duration = Duration::from_secs(20);

struct Sim {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sim {
    fn start(arguments: &[&str]) -> Sim {
        let mut child = Command::new(env!("CARGO_BIN_EXE_skerry"))
            .arg("sim")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command was built");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Sim { child, input, output }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        serde_json::from_str(&line).expect("a line of JSON")
    }

    fn ask(&mut self, question: &str) -> Value {
        writeln!(self.input, "{question}").expect("it reads");
        self.line()
    }
}

/// A controller's side of one connection.
struct Controller {
    socket: TcpStream,
    framer: Framer,
    xid: u32,
}

impl Controller {
    fn accept(listener: &TcpListener) -> Controller {
        let (socket, _) = listener.accept().expect("a switch connects");
        socket.set_read_timeout(Some(DEADLINE)).expect("a time-out can be set");
        let mut controller = Controller {
            socket,
            framer: Framer::new(),
            xid: 0,
        };
        controller.say(Body::Hello(Hello::with_versions(&[4])));
        controller
    }

    fn say(&mut self, body: Body) -> u32 {
        self.xid += 1;
        let bytes = Message::new(self.xid, body).to_bytes().expect("fits");
        self.socket.write_all(&bytes).expect("it reads");
        self.xid
    }

    /// The answer to what is asked; what else comes is passed over.
    fn ask(&mut self, body: Body) -> Body {
        let xid = self.say(body);
        let mut buffer = [0; 4096];
        loop {
            while let Some(frame) = self.framer.next_frame().expect("whole frames") {
                let message = Message::decode(&frame).expect("what it says can be read");
                if message.xid == xid && !matches!(message.body, Body::Hello(_)) {
                    return message.body;
                }
            }
            let count = self.socket.read(&mut buffer).expect("an answer in time");
            assert!(count > 0, "the switch hung up");
            self.framer.push(&buffer[..count]);
        }
    }
}

fn forward(from: u32, to: u32) -> Body {
    Body::FlowMod(FlowMod {
        matching: Match::new().with(Oxm::in_port(PortNo(from))),
        instructions: vec![Instruction::ApplyActions(vec![Action::output(PortNo(to))])],
        ..FlowMod::new(FlowModCommand::ADD, TableId(0))
    })
}

#[test]
fn a_controller_writes_rules_and_packets_follow_them() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one").to_string();
    let capture = std::env::temp_dir().join(format!("skerry-sim-{}.pcap", std::process::id()));
    let capture_text = capture.display().to_string();
    let arguments = [
        "--ring",
        "2",
        "--controller",
        &address,
        "--delay-ms",
        "2",
        "--capture",
        &capture_text,
    ];
    let mut sim = Sim::start(&arguments);
    let ready = sim.line();
    assert_eq!((&ready["ready"], &ready["simulated"]), (&true.into(), &true.into()));
    // Host a is at port 10 of switch 1, host b at that of switch 2.
    for _ in 0..2 {
        let mut controller = Controller::accept(&listener);
        let Body::FeaturesReply(features) = controller.ask(Body::FeaturesRequest) else {
            panic!("features")
        };
        let (there, back) = if features.datapath_id == 1 {
            ((10, 1), (1, 10))
        } else {
            ((2, 10), (10, 2))
        };
        controller.say(forward(there.0, there.1));
        controller.say(forward(back.0, back.1));
        assert_eq!(controller.ask(Body::BarrierRequest), Body::BarrierReply);
        // The connection ends here; its rules stay.
    }
    assert_eq!(
        sim.ask(r#"{"do":"send","host":"a","stream":7,"tags":["5"],"rate":1000,"count":50}"#)["next"],
        0
    );
    let mut arrived = Value::Null;
    for _ in 0..10_000 {
        arrived = sim.ask(r#"{"do":"received","host":"b","stream":7}"#)["arrived"]
            .get(0)
            .cloned()
            .unwrap_or_default();
        if arrived["received"] == 50 {
            break;
        }
    }
    assert_eq!(arrived["numbers"].to_string(), "[[0,50]]");
    assert_eq!(arrived["tags"].to_string(), r#"["8100:5"]"#);
    assert_eq!(arrived["median_ns"], 2_020_000);
    assert!(sim.ask("nonsense")["error"].is_string());
    assert_eq!(
        sim.ask(r#"{"do":"dump","switch":2}"#)["rules"].as_array().map(Vec::len),
        Some(2)
    );
    sim.ask(r#"{"do":"quit"}"#);
    assert_eq!(sim.child.wait().expect("it ends").code(), Some(0));

    // The capture is one that this very command reads, and has both hellos of both switches.
    let frames = Command::new(env!("CARGO_BIN_EXE_skerry"))
        .args(["ofp", "decode"])
        .stdin(std::fs::File::open(&capture).expect("it was written"))
        .output()
        .expect("it runs");
    std::fs::remove_file(&capture).expect("it was there");
    let text = String::from_utf8(frames.stdout).expect("text");
    assert_eq!(frames.status.code(), Some(0), "{text}");
    let count = |kind: &str| text.lines().filter(|line| line.contains(kind)).count();
    assert!(count("OFPT_HELLO") >= 4, "{text}");
    assert_eq!((count("OFPT_FLOW_MOD"), count("OFPT_BARRIER_REPLY")), (4, 2), "{text}");
}

#[test]
fn it_ends_when_its_input_closes_and_says_what_is_wrong_with_its_options() {
    let Sim { mut child, input, .. } = Sim::start(&["--controller", "127.0.0.1:1"]);
    drop(input);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    for wrong in [
        &["--controller", "127.0.0.1:1", "--ring", "1"][..],
        &["--controller", "127.0.0.1:1", "--delay-ms", "1,2"],
        &["--controller", "127.0.0.1:1", "--delay-ms=-1"],
        &["--controller", "here"],
        &[],
    ] {
        let Sim { mut child, .. } = Sim::start(wrong);
        assert_eq!(child.wait().expect("it ends").code(), Some(2), "{wrong:?}");
    }
}

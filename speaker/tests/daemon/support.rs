//! What the tests of the process share: the daemon, a scripted switch, and a reader of what is published.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ofproto::{
    Body, Capabilities, ControllerRole, Desc, FeaturesReply, FixedText, Framer, Hello, MacAddr, Message,
    MultipartReply, MultipartReplyBody, MultipartRequestBody, Port, PortConfig, PortFeatures, PortNo, PortState,
    RoleMsg,
};

/// A test that waits longer has found a fault; the machine is shared with others.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A key of the tests.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The commented configuration that is installed.
pub fn etc() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/speaker.toml")
}

/// The program with these arguments and, of `SKERRY_SPEAKER__...`, only this environment.
pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skerry-speaker"));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null());
    for (name, value) in environment {
        command.env(format!("SKERRY_SPEAKER__{name}"), value);
    }
    command
}

/// A log that is read only when somebody asks for a line.
pub struct Log(std::io::Lines<BufReader<std::process::ChildStderr>>);

impl Log {
    /// Of this process.
    pub fn new(pipe: std::process::ChildStderr) -> Log {
        Log(BufReader::new(pipe).lines())
    }

    /// The next line.
    pub fn next(&mut self) -> Option<String> {
        self.0.next()?.ok()
    }

    /// The address in the first line from now on with this message.
    pub fn address(&mut self, message: &str) -> SocketAddr {
        while let Some(line) = self.next() {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&line)
                && value["message"] == message
            {
                let address = value["address"].as_str().and_then(|a| a.parse().ok());
                return address.unwrap_or_else(|| panic!("no address in {line}"));
            }
        }
        panic!("the process ended without a line {message:?}");
    }
}

/// A running speaker. Dropping it kills it.
pub struct Daemon {
    process: Child,
    lines: mpsc::Receiver<String>,
    heard: Vec<String>,
}

impl Daemon {
    /// Start it; its log is read as JSON lines.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let mut process = command(arguments, environment)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        let log = process.stderr.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Daemon {
            process,
            lines,
            heard: Vec::new(),
        }
    }

    /// The first line of the log, from now on, with this message.
    pub fn line(&mut self, message: &str) -> serde_json::Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line {message:?} in the log:\n{}", self.heard.join("\n"));
            };
            self.heard.push(line.clone());
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&line)
                && value["message"] == message
            {
                return value;
            }
        }
    }

    /// The address in the first such line.
    pub fn address(&mut self, message: &str) -> SocketAddr {
        let line = self.line(message);
        line["address"]
            .as_str()
            .and_then(|a| a.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line}"))
    }

    /// Ask it to end, and wait until it has.
    pub fn end(mut self) -> ExitStatus {
        let killed = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        assert!(killed.expect("kill is there").success());
        self.process.wait().expect("it is ours")
    }

    /// Wait until it ends by itself; gives its status and the last line.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.process.wait().expect("it is ours");
        let last = self.lines.iter().last().unwrap_or_default();
        (status, last)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A switch that says what it is told to say.
pub struct Switch {
    stream: TcpStream,
    framer: Framer,
    dpid: u64,
    role: ControllerRole,
    generation: u64,
    /// Messages that wanted something other than an answer, in order.
    pub wanted: Vec<Body>,
}

fn port(number: u32) -> Port {
    Port {
        port_no: PortNo(number),
        hw_addr: MacAddr([2, 0, 0, 0, 0, number as u8]),
        name: FixedText::new(&format!("p{number}")),
        config: PortConfig::NONE,
        state: PortState::LIVE,
        curr: PortFeatures::NONE,
        advertised: PortFeatures::NONE,
        supported: PortFeatures::NONE,
        peer: PortFeatures::NONE,
        curr_speed: 10_000_000,
        max_speed: 10_000_000,
    }
}

impl Switch {
    /// Connect.
    pub fn connect(address: SocketAddr, dpid: u64) -> Switch {
        let stream = TcpStream::connect(address).expect("the speaker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut switch = Switch {
            stream,
            framer: Framer::new(),
            dpid,
            role: ControllerRole::EQUAL,
            generation: u64::MAX,
            wanted: Vec::new(),
        };
        switch.send(0, Body::Hello(Hello::with_versions(&[4])));
        switch
    }

    /// Raw bytes to the speaker.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the speaker reads");
    }

    /// Where it comes from.
    pub fn local(&self) -> SocketAddr {
        self.stream.local_addr().expect("it is connected")
    }

    fn send(&mut self, xid: u32, body: Body) {
        let mut wire = BytesMut::new();
        Message::new(xid, body).encode(&mut wire).expect("our own message");
        self.send_bytes(&wire);
    }

    /// Answer what is asked until `enough` is seen among the messages; `false`: the speaker closed the connection.
    pub fn serve_until(&mut self, mut enough: impl FnMut(&Body) -> bool) -> bool {
        let mut buffer = [0; 4096];
        loop {
            while let Some(frame) = self.framer.next_frame().expect("the speaker writes whole frames") {
                let message = Message::decode(&frame).expect("the speaker writes what can be read");
                let found = enough(&message.body);
                self.answer(message);
                if found {
                    return true;
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => self.framer.push(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("the speaker says nothing: {error}"),
            }
        }
    }

    fn answer(&mut self, message: Message) {
        let body = match message.body {
            Body::Hello(_) | Body::EchoReply(_) | Body::SetAsync(_) => return,
            Body::EchoRequest(data) => Body::EchoReply(data),
            Body::FeaturesRequest => Body::FeaturesReply(FeaturesReply {
                datapath_id: self.dpid,
                n_buffers: 0,
                n_tables: 254,
                auxiliary_id: 0,
                capabilities: Capabilities::FLOW_STATS,
                reserved: 0,
            }),
            Body::RoleRequest(asked) => {
                if asked.role != ControllerRole::NOCHANGE {
                    self.role = asked.role;
                    self.generation = asked.generation_id;
                }
                Body::RoleReply(RoleMsg {
                    role: self.role,
                    generation_id: self.generation,
                })
            }
            Body::BarrierRequest => Body::BarrierReply,
            Body::MultipartRequest(asked) => {
                let reply = match asked.body {
                    MultipartRequestBody::Desc => MultipartReplyBody::Desc(Box::new(Desc {
                        mfr_desc: FixedText::new("Skerry's tests"),
                        hw_desc: FixedText::new("script"),
                        sw_desc: FixedText::new("1"),
                        serial_num: FixedText::new("none"),
                        dp_desc: FixedText::new("scripted"),
                    })),
                    MultipartRequestBody::PortDesc => MultipartReplyBody::PortDesc(vec![port(1), port(2)]),
                    MultipartRequestBody::Flow(_) => MultipartReplyBody::Flow(Vec::new()),
                    MultipartRequestBody::GroupDesc => MultipartReplyBody::GroupDesc(Vec::new()),
                    MultipartRequestBody::MeterConfig(_) => MultipartReplyBody::MeterConfig(Vec::new()),
                    other => panic!("the script has no answer to {other:?}"),
                };
                Body::MultipartReply(MultipartReply::new(reply))
            }
            other => {
                self.wanted.push(other);
                return;
            }
        };
        self.send(message.xid, body);
    }
}

/// A page over HTTP, headers and all.
pub fn http(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

/// Metrics by their whole name with labels.
pub fn metrics(address: SocketAddr) -> BTreeMap<String, f64> {
    http(address, "/metrics")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

/// Bytes that no OpenFlow switch sends: a length shorter than a header.
pub fn malformed() -> Bytes {
    Bytes::from_static(&[4, 0, 0, 3, 0, 0, 0, 9])
}

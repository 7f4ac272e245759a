//! The trial broker as a process of its own, with real clients: order per key, a broker that dies and comes back at
//! another address, and an end that leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use skerry_bus::Topic;
use skerry_bus::topic::{PARTITIONS_TRIAL, partition_of};
use skerry_io::kafka::{
    Begin, Consumer, ConsumerEvent, KafkaSettings, Producer, ProducerEvent, ProducerEvents, Reading, SendError,
};

/// A test that waits longer has found a fault; the machine is shared with others.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker process. Dropping it closes its standard input, which ends it.
struct Broker {
    process: Child,
    stdin: Option<ChildStdin>,
    address: String,
}

impl Broker {
    fn start(address_file: &Path) -> Broker {
        let mut process = Command::new(env!("CARGO_BIN_EXE_skerry"))
            .args(["broker", "--until-stdin-closes", "--address-file"])
            .arg(address_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command was built with this test");
        let stdin = process.stdin.take();
        let mut address = String::new();
        BufReader::new(process.stdout.take().expect("a pipe"))
            .read_line(&mut address)
            .expect("it prints its address");
        Broker {
            process,
            stdin,
            address: address.trim().to_owned(),
        }
    }

    fn kill(mut self) {
        self.process.kill().expect("it is ours");
        self.process.wait().expect("it is ours");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("skerry-test-broker-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Folder(folder)
    }
    fn address(&self) -> PathBuf {
        self.0.join("address")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(bootstrap: String) -> KafkaSettings {
    KafkaSettings {
        bootstrap,
        partitions: PARTITIONS_TRIAL,
        fetch_wait_max_ms: 5,
        ..KafkaSettings::default()
    }
}

fn wait(events: &mut ProducerEvents, mut wanted: impl FnMut(&ProducerEvent) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let event = events.blocking_recv().expect("the producer lives");
        assert!(Instant::now() < until, "waited too long, last {event:?}");
        if wanted(&event) {
            return;
        }
    }
}

/// Records of the expected number, by key, in the order in which they came.
fn read(consumer: &mut Consumer, records: usize) -> BTreeMap<String, Vec<String>> {
    let until = Instant::now() + PATIENCE;
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut got = 0;
    while got < records {
        assert!(Instant::now() < until, "{got} of {records} came");
        if let ConsumerEvent::Record(record) = consumer.blocking_recv().expect("the consumer reads on") {
            got += 1;
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("we wrote text");
            by_key.entry(text(record.key)).or_default().push(text(record.payload));
        }
    }
    by_key
}

#[test]
fn two_producers_and_two_consumers_see_each_key_in_order_and_find_a_broker_that_comes_back() {
    let folder = Folder::new("order");
    let broker = Broker::start(&folder.address());
    let settings = settings(format!("file:{}", folder.address().display()));
    let reading = |name: &str| Reading {
        client_id: name.to_owned(),
        group: name.to_owned(),
        topics: vec![(Topic::Events, Begin::Earliest)],
    };
    let mut producers: Vec<_> = ["p0", "p1"]
        .iter()
        .map(|name| Producer::start(&settings, name, vec![Topic::Events]).expect("starts"))
        .collect();
    let mut consumers: Vec<_> = ["c0", "c1"]
        .iter()
        .map(|name| Consumer::start(&settings, reading(name)).expect("starts"))
        .collect();

    let round = |producers: &mut [(Producer, ProducerEvents)], consumers: &mut [Consumer], round: &str| {
        for (n, (producer, events)) in producers.iter_mut().enumerate() {
            // A producer that has not noticed yet that its broker is gone takes messages and gives them up later.
            let mut first = true;
            for m in 0..300 {
                let key = format!("p{n}-key{}", m % 5);
                let partition = partition_of(&key, PARTITIONS_TRIAL);
                loop {
                    let sent = producer.send(
                        &Topic::Events,
                        partition,
                        &key,
                        format!("{round} {m}").into_bytes(),
                        Some(m),
                    );
                    match sent {
                        Ok(()) => break,
                        Err(SendError::Away) if first => wait(events, |e| *e == ProducerEvent::Up),
                        Err(error) => panic!("{error}"),
                    }
                }
                first = false;
            }
        }
        for (_, events) in producers.iter_mut() {
            let mut left: BTreeSet<u64> = (0..300).collect();
            wait(events, |event| {
                match event {
                    ProducerEvent::Delivered { token, .. } => assert!(left.remove(token), "{token} came twice"),
                    ProducerEvent::NotDelivered { .. } => panic!("{event:?}"),
                    _ => {}
                }
                left.is_empty()
            });
        }
        for consumer in consumers {
            let got = read(consumer, 600);
            assert_eq!(got.len(), 10);
            for (key, payloads) in got {
                let first: u64 = key.rsplit("key").next().and_then(|k| k.parse().ok()).expect("our key");
                let sent: Vec<String> = (first..300).step_by(5).map(|m| format!("{round} {m}")).collect();
                assert_eq!(payloads, sent, "order of {key}");
            }
        }
    };
    round(&mut producers, &mut consumers, "first");

    let first_address = broker.address.clone();
    broker.kill();
    for (_, events) in &mut producers {
        wait(events, |e| matches!(e, ProducerEvent::Down { .. }));
    }
    let broker = Broker::start(&folder.address());
    assert_ne!(broker.address, first_address);
    round(&mut producers, &mut consumers, "second");
}

#[test]
fn the_address_is_in_the_file_while_it_runs_and_the_file_goes_with_it() {
    let folder = Folder::new("file");
    for by_signal in [false, true] {
        let mut broker = Broker::start(&folder.address());
        let written = std::fs::read_to_string(folder.address()).expect("it is there before the address is printed");
        assert_eq!(written.trim(), broker.address);
        assert!(broker.address.starts_with("127.0.0.1:"), "{}", broker.address);
        if by_signal {
            let killed = Command::new("kill")
                .args(["-TERM", &broker.process.id().to_string()])
                .status();
            assert!(killed.expect("kill is there").success());
        } else {
            drop(broker.stdin.take());
        }
        assert!(broker.process.wait().expect("it is ours").success());
        assert_eq!(
            std::fs::read_dir(&folder.0).expect("our folder").count(),
            0,
            "nothing is left"
        );
    }
}

#[test]
fn an_address_file_that_cannot_be_written_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_skerry"))
        .args(["broker", "--address-file", "no/such/folder/address"])
        .stdin(Stdio::null())
        .output()
        .expect("the command was built with this test");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("the address cannot be written to no/such/folder/address"),
        "{said}"
    );
}

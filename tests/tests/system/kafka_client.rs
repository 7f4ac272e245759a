//! Our Kafka client with Apache Kafka itself: how soon it is back when a broker was away, what it compresses, and TLS with
//! passwords.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use skerry_bus::Topic;
use skerry_io::kafka::{
    Begin, Consumer, ConsumerEvent, KafkaSettings, Producer, ProducerEvent, ProducerEvents, Reading,
};
use skerry_tests::daemons::{ANY_PORT, Daemons, PARTITIONS};
use skerry_tests::kafka::{Cluster, Options, Secure, free_address, has_lz4_batch};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Kafka, Ovs as OpenVSwitch};
use crate::world::{add_bridge, settled, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "kafka_client::a_broker_that_was_away_is_tried_often_and_used_at_once",
        &[Kafka],
        away,
    ),
    Test(
        "kafka_client::what_is_sent_lies_compressed_with_lz4_and_is_read_as_it_was",
        &[Kafka],
        compressed,
    ),
    Test(
        "kafka_client::daemons_and_command_talk_through_tls_with_a_password",
        &[OpenVSwitch, Kafka],
        secured,
    ),
];

/// Connections that a client tries while a broker is away: what one connection of ours needs for about 2 s and 5 s. With
/// the library's own settings the second takes a minute and more, and the test fails.
const TRIED: [usize; 2] = [10, 24];
/// Connections that a client may need when the broker is back. It has one for data, one for its group, and asks for metadata.
const NEEDED_MAX: usize = 6;
const REGION: &str = "east";

/// A door to a listener that can be closed: then who comes is counted and sent away.
struct Door {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    to: Mutex<Option<SocketAddr>>,
    closed: AtomicBool,
    refused: AtomicUsize,
    passed: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Door {
    fn new() -> Result<Door> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let ours = shared.clone();
        // It ends with the program: a listener waits for ever.
        std::thread::spawn(move || {
            for outside in listener.incoming().flatten() {
                ours.comes(&outside);
            }
        });
        Ok(Door { address, shared })
    }

    fn lead(&self, to: SocketAddr) {
        *self.shared.to.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
    }

    /// Closes it: connections end, new ones are sent away, until so many were.
    fn closed_until(&self, tried: usize) -> Result<()> {
        let before = self.shared.refused.load(SeqCst);
        self.shared.closed.store(true, SeqCst);
        for stream in self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        wait::until(&format!("{tried} connections to be tried"), DEADLINE, || {
            let seen = self.shared.refused.load(SeqCst) - before;
            if seen >= tried {
                Ok(())
            } else {
                Err(format!("{seen} were"))
            }
        })
    }

    fn reopen(&self) {
        self.shared.passed.store(0, SeqCst);
        self.shared.closed.store(false, SeqCst);
    }

    fn passed(&self) -> usize {
        self.shared.passed.load(SeqCst)
    }
}

impl Shared {
    fn comes(&self, outside: &TcpStream) {
        let to = *self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = self.closed.load(SeqCst);
        let Some(Ok(inside)) = to.filter(|_| !closed).map(TcpStream::connect) else {
            self.refused.fetch_add(1, SeqCst);
            return;
        };
        self.passed.fetch_add(1, SeqCst);
        for (from, to) in [(outside, &inside), (&inside, outside)] {
            let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
                return;
            };
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.extend(from.try_clone());
            drop(open);
            std::thread::spawn(move || {
                // An error of copying is the end of the connection, no more.
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }
}

fn topics(cluster: &Cluster, lab: &Lab) -> Result<Daemons> {
    let daemons = Daemons::new(lab, None)?;
    let mut command = daemons.command("skerry")?;
    command.args([
        "topics",
        "apply",
        "--bootstrap",
        &cluster.bootstrap(),
        "--region",
        REGION,
    ]);
    command.args(["--partitions", &PARTITIONS.to_string()]);
    lab.run_command(None, command)?;
    Ok(daemons)
}

fn producer(settings: &KafkaSettings) -> Result<(Producer, ProducerEvents)> {
    let (producer, mut fates) = Producer::start(settings, "writer", vec![Topic::Events])?;
    while fates.blocking_recv().context("the producer ended")? != ProducerEvent::Up {}
    Ok((producer, fates))
}

/// Sends until it is taken, and waits until it is stored.
fn store(producer: &Producer, fates: &mut ProducerEvents, payload: &str) -> Result<()> {
    let sent = wait::until("Kafka to take a record", DEADLINE, || {
        let sent = producer.send(&Topic::Events, 0, "key", payload.as_bytes().to_vec(), Some(7));
        sent.map_err(|e| e.to_string())
    });
    sent?;
    wait::until("a record to be stored", DEADLINE, || match fates.try_recv() {
        Some(ProducerEvent::Delivered { .. }) => Ok(Ok(())),
        Some(ProducerEvent::NotDelivered { cause, .. }) => Ok(Err(cause)),
        seen => Err(format!("{seen:?}")),
    })?
    .or_else(|cause| bail!("a record was given up: {cause}"))
}

fn consumer(settings: &KafkaSettings) -> Result<Consumer> {
    let reading = Reading {
        client_id: "reader".into(),
        group: "reader".into(),
        topics: vec![(Topic::Events, Begin::Committed)],
    };
    Consumer::start(settings, reading)
}

fn read(consumer: &mut Consumer) -> Result<String> {
    wait::until("a record", DEADLINE, || match consumer.try_recv() {
        Some(ConsumerEvent::Record(record)) => Ok(String::from_utf8_lossy(&record.payload).into_owned()),
        seen => Err(format!("{seen:?}")),
    })
}

fn away() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let door = Door::new()?;
    let options = Options {
        door: Some(door.address),
        ..Options::one()
    };
    let cluster = Cluster::new(&lab, None, options)?;
    door.lead(cluster.second());
    cluster.start()?;
    topics(&cluster, &lab)?;
    let direct = cluster.settings(PARTITIONS);
    let through = KafkaSettings {
        bootstrap: door.address.to_string(),
        ..direct.clone()
    };

    let (writer, mut fates) = producer(&through)?;
    for tried in TRIED {
        store(&writer, &mut fates, "before")?;
        door.closed_until(tried)?;
        door.reopen();
        store(&writer, &mut fates, "after")?;
        let needed = door.passed();
        println!("producer: {tried} connections tried while the broker was away, {needed} needed when it was back");
        ensure!(needed <= NEEDED_MAX, "{needed} connections until a record was stored");
    }
    drop(writer);

    let (writer, mut fates) = producer(&direct)?;
    let mut reader = consumer(&through)?;
    for tried in TRIED {
        let (before, meanwhile) = (format!("before {tried}"), format!("meanwhile {tried}"));
        store(&writer, &mut fates, &before)?;
        while read(&mut reader)? != before {}
        reader.committer().commit(&Topic::Events, 0, 1);
        door.closed_until(tried)?;
        store(&writer, &mut fates, &meanwhile)?;
        door.reopen();
        ensure!(read(&mut reader)? == meanwhile);
        let needed = door.passed();
        println!("consumer: {tried} connections tried while the broker was away, {needed} needed when it was back");
        ensure!(needed <= NEEDED_MAX, "{needed} connections until a record was read");
    }
    drop(reader);
    lab.teardown()
}

fn compressed() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let cluster = Cluster::new(&lab, None, Options::one())?;
    cluster.start()?;
    topics(&cluster, &lab)?;
    let settings = cluster.settings(PARTITIONS);
    let (writer, mut fates) = producer(&settings)?;
    let segment = cluster
        .data(0)
        .join(format!("{}-0/00000000000000000000.log", Topic::Events));
    // So short that compressing it would make it longer.
    store(&writer, &mut fates, "{}")?;
    ensure!(!has_lz4_batch(&segment)?, "two bytes were compressed");
    // As a large desired state is: in parts, and each like the others.
    let text: String = (0..40_000).map(|n| format!("{{\"rule\":{n},\"table\":0}},")).collect();
    store(&writer, &mut fates, &text)?;
    ensure!(has_lz4_batch(&segment)?, "{} bytes were not compressed", text.len());
    let lies = std::fs::metadata(&segment)?.len();
    ensure!(lies < text.len() as u64 / 2, "{lies} bytes lie there of {}", text.len());
    let mut reader = consumer(&settings)?;
    ensure!(read(&mut reader)? == "{}");
    ensure!(read(&mut reader)? == text, "it was read as something else");
    drop(reader);
    lab.teardown()
}

fn secured() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let plain = Daemons::new(&lab, None)?;
    let address = free_address(1)?;
    let folder = lab.folder().join("ca");
    let ca = |folder: &std::path::Path| -> Result<()> {
        let mut command = plain.command("skerry")?;
        let address = address.to_string();
        command
            .arg("lab-ca")
            .arg(folder)
            .args(["--server", &address, "--switch", "1"]);
        lab.run_command(None, command).map(drop)
    };
    ca(&folder)?;
    let other = lab.folder().join("other-ca");
    ca(&other)?;
    let file = |name: &str| folder.join(name).display().to_string();
    let text = |name: &str| std::fs::read_to_string(file(name));
    let keystore = plain.write("broker.pem", &(text("speaker-key.pem")? + &text("speaker-cert.pem")?))?;
    let options = Options {
        address: Some(address),
        secure: Some(Secure {
            keystore,
            ca: file("ca-cert.pem").into(),
            user: "skerry".into(),
            password: "as-secret-as-it-gets".into(),
        }),
        more: "auto.create.topics.enable=false\n".into(),
        ..Options::one()
    };
    let cluster = Cluster::new(&lab, None, options)?;
    cluster.start()?;
    // As an editor leaves it, with the end of its line.
    let password = plain.write("password", "as-secret-as-it-gets\n")?.display().to_string();
    let wrong = plain.write("wrong", "as-secret\n")?.display().to_string();
    let bootstrap = cluster.second().to_string();
    let client: BTreeMap<&str, String> = BTreeMap::from([
        ("security.protocol", "sasl_ssl".to_owned()),
        ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
        ("sasl.username", "skerry".to_owned()),
        ("ssl.ca.location", file("ca-cert.pem")),
        ("ssl.certificate.location", file("switch-0x1-cert.pem")),
        ("ssl.key.location", file("switch-0x1-key.pem")),
    ]);
    let run = |what: &str, password: &str, change: &[(&str, &str)]| -> Result<(bool, String)> {
        let mut client = client.clone();
        client.extend(change.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut command = plain.command("skerry")?;
        command.args(["topics", what, "--bootstrap", &bootstrap, "--region", REGION]);
        command.args([
            "--partitions",
            &PARTITIONS.to_string(),
            "--sasl-password-file",
            password,
        ]);
        for (name, value) in client.iter().filter(|(_, value)| !value.is_empty()) {
            command.arg("--client").arg(format!("{name}={value}"));
        }
        let output = command.output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let (made, said) = run("apply", &password, &[])?;
    ensure!(made, "{said}");
    let (right, said) = run("check", &password, &[("sasl.mechanism", "PLAIN")])?;
    ensure!(right, "{said}");
    let other_ca = other.join("ca-cert.pem").display().to_string();
    let other_key = other.join("switch-0x1-key.pem").display().to_string();
    for (password, change, cause) in [
        (&wrong, [("sasl.mechanism", "PLAIN")], "uthentication failed"),
        (&wrong, [("sasl.mechanism", "SCRAM-SHA-512")], "uthentication failed"),
        (
            &password,
            [("ssl.ca.location", other_ca.as_str())],
            "certificate verify failed",
        ),
        (&password, [("ssl.certificate.location", "")], "kafka.client"),
        (&password, [("ssl.key.location", other_key.as_str())], "kafka.client"),
        (
            &password,
            [("ssl.ca.location", "/no/such.pem")],
            "kafka.client.\"ssl.ca.location\": /no/such.pem cannot be read",
        ),
        (&password, [("sasl.username", "")], "must be set with it"),
    ] {
        let (done, said) = run("check", password, &change)?;
        ensure!(
            !done && said.contains(cause),
            "{change:?}: {cause:?} was expected: {said}"
        );
    }

    let settings = KafkaSettings {
        bootstrap: bootstrap.clone(),
        sasl_password_file: password,
        client: client
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..cluster.settings(PARTITIONS)
    };
    let daemons = Daemons::on(&lab, cluster, settings)?;
    let speaker = daemons.speaker(REGION, ANY_PORT, "")?;
    let router = daemons.router(&[REGION], ANY_PORT, "")?;
    let ovs = Ovs::start_dummy(&lab)?;
    add_bridge(&ovs, 1, 1)?;
    ovs.set_controllers("s1", &Controllers::new([format!("tcp:{}", speaker.address)]))?;
    settled(&daemons.rest(&router), 1, 0)?;
    unharmed(&speaker.process)?;
    unharmed(&router.process)?;
    lab.teardown()
}

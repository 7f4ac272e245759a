//! The broker that a run talks through: Apache Kafka, as a deployment has it, or the trial broker.

use anyhow::{Context, Result, bail};
use skerry_io::kafka::KafkaSettings;
use skerry_tests::daemons::Daemons;
use skerry_tests::lab::Lab;
use skerry_tests::process::Process;
use skerry_tests::wait;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Memory of Kafka, all of it from the start. What a run writes fits into it many times.
const HEAP: &str = "384m";
/// How long Kafka may take to start, on a machine that does something else as well.
const START_MAX: Duration = Duration::from_secs(90);
/// Kafka cannot be given port 0. A free one that somebody takes meanwhile is tried again, so often.
const TRIES: usize = 3;

/// Which broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Kafka from the archives in this folder.
    Kafka(PathBuf),
    /// `skerry broker`.
    Trial,
}

/// A running broker. It ends with its lab.
pub struct Broker {
    /// How it is reached.
    pub settings: KafkaSettings,
    /// Its process.
    pub process: Process,
}

impl Broker {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(lab: &Lab, daemons: &Daemons, kind: &Kind) -> Result<Broker> {
        match kind {
            Kind::Trial => Ok(Broker {
                process: daemons.broker()?,
                settings: daemons.kafka(),
            }),
            Kind::Kafka(archives) => {
                let mut tries = (1..=TRIES).map(|number| kafka(lab, archives, number));
                let first = tries.next().context("one try at least")?;
                tries.fold(first, |so_far, again| so_far.or(again))
            }
        }
    }
}

fn java(archives: &Path, class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args([&format!("-Xms{HEAP}"), &format!("-Xmx{HEAP}"), "-XX:+UseSerialGC"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=info")
        .args(["-cp", &format!("{}/*", archives.display()), class]);
    command
}

/// A free port, as far as one can tell.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// One node that is broker and controller, alone, in the lab's folder: like everything of a lab it is gone with it.
fn kafka(lab: &Lab, archives: &Path, number: usize) -> Result<Broker> {
    let folder = lab.folder().join(format!("kafka-{number}"));
    fs::create_dir(&folder)?;
    let (port, controller) = (free_port()?, free_port()?);
    let properties = folder.join("server.properties");
    fs::write(&properties, server_properties(&folder.join("data"), port, controller))?;
    let mut format = java(archives, "kafka.tools.StorageTool");
    // Any cluster id will do: 16 bytes in base64.
    format
        .args(["format", "-t", "c2tlcnJ5LWJlbmNoLTAwMQ", "-c"])
        .arg(&properties);
    lab.run_command(None, format).context("formatting Kafka's storage")?;
    let mut command = java(archives, "kafka.Kafka");
    command.arg(&properties);
    let process = lab.spawn(None, &format!("kafka-{number}"), command)?;
    wait::until("Kafka to serve", START_MAX, || {
        if !process.is_running() {
            return Ok(Err(process.last_words()));
        }
        let log = process
            .log()
            .map(fs::read_to_string)
            .and_then(Result::ok)
            .unwrap_or_default();
        if log.contains("Kafka Server started") {
            Ok(Ok(()))
        } else {
            Err(process.last_words())
        }
    })?
    .or_else(|words| bail!("Kafka ended:\n{words}"))?;
    let settings = KafkaSettings {
        bootstrap: format!("127.0.0.1:{port}"),
        ..KafkaSettings::default()
    };
    Ok(Broker { settings, process })
}

/// What a deployment sets (design section 3), and what one node alone needs.
fn server_properties(data: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         num.partitions={}\n\
         log.message.timestamp.type=LogAppendTime\n\
         min.insync.replicas=1\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        data.display(),
        skerry_bus::topic::PARTITIONS
    )
}

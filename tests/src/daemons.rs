//! Broker, speakers and routers as programs: started with a configuration of their own on free ports of loopback, or in
//! a namespace of a lab, and known by what they log.
//!
//! It says how they are started, never what they are asked: that is `rest`, and Kafka itself. They end with the lab.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use skerry_io::kafka::KafkaSettings;

use crate::kafka::{Cluster, Options};
use crate::lab::Lab;
use crate::process::Process;
use crate::rest::Rest;
use crate::tool;
use crate::wait::{self, DEADLINE};

/// Partitions of every topic: the trial broker has no other number.
pub const PARTITIONS: i32 = 4;
/// A free port of loopback.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// What the daemons of a deployment talk through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrokerKind {
    /// `skerry broker`.
    #[default]
    Trial,
    /// One node of Apache Kafka.
    Kafka,
}

thread_local! {
    /// What deployments made in this thread talk through.
    static BROKER: Cell<BrokerKind> = const { Cell::new(BrokerKind::Trial) };
}

/// Does something, a test for instance, whose deployments talk through this broker. So the same test runs on both, and need
/// not know.
pub fn with_broker<T>(kind: BrokerKind, work: impl FnOnce() -> T) -> T {
    let before = BROKER.replace(kind);
    let done = work();
    BROKER.set(before);
    done
}

/// How the daemons of one deployment are started.
pub struct Daemons {
    lab: Lab,
    netns: Option<String>,
    kind: BrokerKind,
    /// Made when it is first needed: many deployments have no broker.
    cluster: OnceLock<Cluster>,
    /// How it is reached, if not plainly.
    settings: Option<KafkaSettings>,
    /// Regions whose topics were made there.
    made: Mutex<BTreeSet<String>>,
    /// Starts so far: each has a log of its own, so that nobody takes an earlier one's words for its own.
    starts: AtomicU32,
    /// Where routers keep their state.
    store: String,
}

/// A speaker or a router that listens.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Its process.
    pub process: Process,
    /// Where it listens, for switches or for REST.
    pub address: SocketAddr,
    /// Where its metrics are.
    pub metrics: SocketAddr,
}

impl Daemons {
    /// None yet, but a network key. They will be in `netns` (none: the namespace of this process).
    ///
    /// # Errors
    /// The lab's folder cannot be written.
    pub fn new(lab: &Lab, netns: Option<&str>) -> Result<Daemons> {
        let daemons = Daemons {
            lab: lab.clone(),
            netns: netns.map(str::to_owned),
            kind: BROKER.get(),
            cluster: OnceLock::new(),
            settings: None,
            made: Mutex::default(),
            starts: AtomicU32::new(0),
            store: format!("path = \"{}\"", lab.folder().join("router.db").display()),
        };
        daemons.write("network-key", &network_key()?)?;
        Ok(daemons)
    }

    /// The same, but routers keep their state in this PostgreSQL database.
    pub fn with_store(self, url: &str) -> Daemons {
        let store = format!("kind = \"postgres\"\nurl = \"{url}\"");
        Daemons { store, ..self }
    }

    /// The same on a cluster of one's own, reached by these settings.
    ///
    /// # Errors
    /// The lab's folder cannot be written.
    pub fn on(lab: &Lab, cluster: Cluster, settings: KafkaSettings) -> Result<Daemons> {
        let mut daemons = Daemons::new(lab, None)?;
        daemons.kind = BrokerKind::Kafka;
        daemons.cluster = OnceLock::from(cluster);
        daemons.settings = Some(settings);
        Ok(daemons)
    }

    /// The file with the broker's address.
    pub fn address_file(&self) -> PathBuf {
        self.lab.folder().join("broker")
    }

    /// The file with the network key.
    pub fn key_file(&self) -> PathBuf {
        self.lab.folder().join("network-key")
    }

    /// The folder of what a region's speaker keeps on disk.
    pub fn state_dir(&self, region: &str) -> PathBuf {
        self.lab.folder().join(format!("state-{region}"))
    }

    /// How clients reach the broker.
    ///
    /// # Errors
    /// It is to be Apache Kafka, which is not here.
    pub fn kafka(&self) -> Result<KafkaSettings> {
        Ok(match self.kind {
            BrokerKind::Kafka => match &self.settings {
                Some(settings) => settings.clone(),
                None => self.cluster()?.settings(PARTITIONS),
            },
            BrokerKind::Trial => KafkaSettings {
                bootstrap: format!("file:{}", self.address_file().display()),
                partitions: PARTITIONS,
                // The trial broker does not wake a waiting fetch, so it is not to wait long.
                fetch_wait_max_ms: 5,
                ..KafkaSettings::default()
            },
        })
    }

    /// Apache Kafka, whether it runs or not.
    ///
    /// # Errors
    /// It is not here.
    pub fn cluster(&self) -> Result<&Cluster> {
        if self.cluster.get().is_none() {
            // Topics are made as in a deployment, not by using them.
            let more = "auto.create.topics.enable=false\n".to_owned();
            let options = Options { more, ..Options::one() };
            let made = Cluster::new(&self.lab, self.netns.as_deref(), options)?;
            // Another thread that was faster made one that is as good: neither runs yet.
            let _ = self.cluster.set(made);
        }
        self.cluster.get().context("made above")
    }

    /// Does something where the daemons are: what it opens, and the threads of what it starts, belong there.
    ///
    /// # Errors
    /// The namespace is gone.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        match &self.netns {
            Some(netns) => self.lab.within(netns, work),
            None => Ok(work()),
        }
    }

    /// Writes a file of the lab's folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.lab.folder().join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// One of our programs, without settings from the environment of this one.
    ///
    /// # Errors
    /// It is not built.
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(tool::path(program)?);
        for (name, _) in std::env::vars_os() {
            let ours = ["SKERRY_", "RUST_LOG", "NOTIFY_SOCKET"];
            if name
                .to_str()
                .is_some_and(|name| ours.iter().any(|ours| name.starts_with(ours)))
            {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    /// Starts a program, with a log of its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, label: &str, command: Command) -> Result<Process> {
        let label = match self.starts.fetch_add(1, Ordering::Relaxed) {
            0 => label.to_owned(),
            start => format!("{label}.{start}"),
        };
        self.lab.spawn(self.netns.as_deref(), &label, command)
    }

    /// Starts a broker and waits until it serves. A second one is the trial broker anew, elsewhere and empty, but Apache Kafka
    /// as it was.
    ///
    /// # Errors
    /// It does not start.
    pub fn broker(&self) -> Result<Process> {
        match self.kind {
            BrokerKind::Trial => self.trial_broker(),
            BrokerKind::Kafka => self.cluster()?.start_node(0),
        }
    }

    fn trial_broker(&self) -> Result<Process> {
        let address_file = self.address_file();
        let before = fs::read_to_string(&address_file).ok();
        let mut command = self.command("skerry")?;
        command.arg("broker").arg("--address-file").arg(&address_file);
        let broker = self.spawn("broker", command)?;
        wait::until("the broker's address", DEADLINE, || {
            match fs::read_to_string(&address_file) {
                // One that was killed left its own.
                Ok(address) if before.as_ref() != Some(&address) => Ok(()),
                seen => Err(format!("{seen:?}\n{}", broker.last_words())),
            }
        })?;
        Ok(broker)
    }

    /// Runs `skerry topics`, on the plain listener, with further arguments.
    ///
    /// # Errors
    /// It failed, with what it said.
    pub fn skerry_topics(&self, what: &str, args: &[&str]) -> Result<String> {
        let mut command = self.command("skerry")?;
        command.args(["topics", what, "--bootstrap", &self.cluster()?.bootstrap()]);
        command.args(["--partitions", &PARTITIONS.to_string()]).args(args);
        self.lab.run_command(self.netns.as_deref(), command)
    }

    /// Makes the topics of these regions where nobody makes them by using them: on Apache Kafka.
    fn topics(&self, regions: &[&str]) -> Result<()> {
        if self.kind == BrokerKind::Trial {
            return Ok(());
        }
        let cluster = self.cluster()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<&str> = regions
            .iter()
            .copied()
            .filter(|region| !made.contains(*region))
            .collect();
        if new.is_empty() || !cluster.serves() {
            return Ok(());
        }
        let args = new.iter().flat_map(|region| ["--region", region]);
        self.skerry_topics("apply", &args.collect::<Vec<&str>>())?;
        made.extend(new.into_iter().map(str::to_owned));
        Ok(())
    }

    /// Writes a speaker's configuration: its own section `more` is put behind the first lines.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn speaker_config(&self, region: &str, listen: &str, more: &str) -> Result<PathBuf> {
        self.topics(&[region])?;
        let state = self.state_dir(region);
        fs::create_dir_all(&state).with_context(|| state.display().to_string())?;
        let text = format!(
            "region = \"{region}\"\nnetwork_key_file = \"{}\"\nstate_dir = \"{}\"\n\n[[listen]]\naddress = \"{listen}\"\nplaintext = true\n\n\
             [metrics]\nlisten = \"{ANY_PORT}\"\n\n{}\n{more}",
            self.key_file().display(),
            state.display(),
            self.kafka_section()?
        );
        self.write(&format!("speaker-{region}.toml"), &text)
    }

    /// Starts a region's speaker, listening for switches at `listen`, and waits until it does.
    ///
    /// # Errors
    /// It does not start.
    pub fn speaker(&self, region: &str, listen: &str, more: &str) -> Result<Daemon> {
        let config = self.speaker_config(region, listen, more)?;
        let mut command = self.command("skerry-speaker")?;
        command.arg("--config").arg(config);
        self.listening_speaker(&format!("speaker-{region}"), command)
    }

    /// Starts a speaker by this command and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn listening_speaker(&self, label: &str, command: Command) -> Result<Daemon> {
        let process = self.spawn(label, command)?;
        let metrics = said_address(&process, "metrics on /metrics, health on /healthz and /readyz")?;
        let address = said_address(&process, "listening for switches")?;
        Ok(Daemon {
            process,
            address,
            metrics,
        })
    }

    /// Writes a router's configuration, with `more` behind it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn router_config(&self, regions: &[&str], listen: &str, more: &str) -> Result<PathBuf> {
        self.topics(regions)?;
        let text = format!(
            "regions = {regions:?}\n\n[northbound]\nlisten = \"{listen}\"\n\n[store]\n{}\n\n\
             [metrics]\nlisten = \"{ANY_PORT}\"\n\n{}\n{more}",
            self.store,
            self.kafka_section()?
        );
        self.write("router.toml", &text)
    }

    /// Starts a router on the lab's one store, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn router(&self, regions: &[&str], listen: &str, more: &str) -> Result<Daemon> {
        let config = self.router_config(regions, listen, more)?;
        let mut command = self.command("skerry-router")?;
        command.arg("--config").arg(config);
        self.answering_router(command)
    }

    /// Starts a router by this command and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn answering_router(&self, command: Command) -> Result<Daemon> {
        let process = self.spawn("router", command)?;
        let metrics = said_address(&process, "metrics and health")?;
        let address = said_address(&process, "northbound listens")?;
        let router = Daemon {
            process,
            address,
            metrics,
        };
        let rest = self.rest(&router);
        wait::until("the router to answer", DEADLINE, || {
            rest.get::<Value>("/v2/status")
                .map_err(|e| format!("{e:#}\n{}", router.process.last_words()))
        })?;
        Ok(router)
    }

    /// A client of a router.
    pub fn rest(&self, router: &Daemon) -> Rest {
        Rest::new(&self.lab, self.netns.as_deref(), router.address)
    }

    /// A metric of a daemon, by its name and one label value that it has (empty: any). Not there: zero.
    ///
    /// # Errors
    /// Its metrics are not reachable.
    pub fn metric(&self, daemon: &Daemon, name: &str, label: &str) -> Result<f64> {
        let text = self.metrics(daemon)?;
        let fits = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && (label.is_empty() || rest.contains(label)))
        };
        let values = text
            .lines()
            .filter(fits)
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// All metrics of a daemon, as its page shows them.
    ///
    /// # Errors
    /// They are not reachable.
    pub fn metrics(&self, daemon: &Daemon) -> Result<String> {
        let url = format!("http://{}/metrics", daemon.metrics);
        Ok(self.within(|| ureq::get(&url).call().and_then(|mut r| r.body_mut().read_to_string()))??)
    }

    fn kafka_section(&self) -> Result<String> {
        let kafka = self.kafka()?;
        let mut section = format!(
            "[kafka]\nbootstrap = \"{}\"\npartitions = {}\nfetch_wait_max_ms = {}\nsasl_password_file = \"{}\"\n\n[kafka.client]\n",
            kafka.bootstrap, kafka.partitions, kafka.fetch_wait_max_ms, kafka.sasl_password_file
        );
        for (name, value) in &kafka.client {
            section.push_str(&format!("\"{name}\" = \"{value}\"\n"));
        }
        Ok(section)
    }
}

/// Lines of a program's log that are JSON objects, as daemons write them when nobody watches.
pub fn log_lines(process: &Process) -> Vec<Value> {
    let read = |path: &Path| fs::read(path).ok();
    let text = process.log().and_then(read).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Waits for a line with this message, or with a message that contains it.
///
/// # Errors
/// It is not written in time, or the program ends before.
pub fn said(process: &Process, message: &str) -> Result<Value> {
    wait::until(&format!("{:?} to say {message:?}", process.label()), DEADLINE, || {
        let runs = process.is_running();
        let found = log_lines(process)
            .into_iter()
            .find(|line| line["message"].as_str().is_some_and(|said| said.contains(message)));
        match found {
            Some(line) => Ok(Ok(line)),
            // It ended: nothing more will come.
            None if !runs => Ok(Err(process.last_words())),
            None => Err(process.last_words()),
        }
    })?
    .map_err(|words| anyhow::anyhow!("{process:?} ended without saying {message:?}:\n{words}"))
}

fn said_address(process: &Process, message: &str) -> Result<SocketAddr> {
    let line = said(process, message)?;
    match line["address"].as_str().and_then(|address| address.parse().ok()) {
        Some(address) => Ok(address),
        None => bail!("no address in {line}"),
    }
}

/// 32 bytes in hex.
fn network_key() -> Result<String> {
    let mut key = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

//! Apache Kafka as a deployment has it (KRaft, no ZooKeeper): one node, or several that replicate, on an address of loopback
//! that nobody else has, and with ports that are the same again after a restart.
//!
//! It starts, kills and starts again, and says who leads a partition. What is written there is not its business.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use skerry_io::kafka::KafkaSettings;

use crate::lab::Lab;
use crate::process::Process;
use crate::wait;

/// How long a node may take to serve. Two seconds of a processor are needed, and this machine may do something else.
const START_MAX: Duration = Duration::from_secs(90);
/// Ports begin here: below those that the kernel gives to whoever connects.
const PORTS: u16 = 19_092;
/// Addresses of loopback that are tried before it is given up.
const TRIES: u32 = 16;
/// Any cluster id will do: 16 bytes in base64. It is the same in all nodes.
const CLUSTER_ID: &str = "c2tlcnJ5LXRlc3RzLTAwMQ";

/// The folder with Kafka's archives, which `scripts/fetch-kafka` fills.
pub fn archives() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    // Programs and tests are one or two folders below `target`.
    let found = own.ancestors().map(|folder| folder.join("kafka/lib"));
    found.take(4).find(|lib| lib.join(".fetched").is_file())
}

/// Why Kafka cannot be started here, if so.
pub fn lacking() -> Option<&'static str> {
    let java = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("java").is_file()));
    if !java {
        return Some("no program java (package default-jre-headless)");
    }
    archives().is_none().then_some("no Apache Kafka (make kafka)")
}

/// How a cluster differs from the usual one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes, each broker and controller.
    pub nodes: usize,
    /// Memory of each, all of it from the start; what a run writes fits into it many times.
    pub heap: &'static str,
    /// Whether it runs for so short a time that compiling well would only take longer.
    pub brief: bool,
    /// Its address; none: one that is free.
    pub address: Option<Ipv4Addr>,
    /// A second listener, with TLS and passwords.
    pub secure: Option<Secure>,
    /// A second listener that tells clients to come to this address instead, where somebody passes them on to it.
    pub door: Option<SocketAddr>,
    /// Further lines of `server.properties`.
    pub more: String,
}

/// A listener that wants TLS and a user with a password, by PLAIN or by SCRAM-SHA-512.
#[derive(Clone, Debug)]
pub struct Secure {
    /// A file with the node's key and certificate, both PEM.
    pub keystore: PathBuf,
    /// The certificate of the CA, PEM.
    pub ca: PathBuf,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl Options {
    /// One node, for a test.
    pub fn one() -> Options {
        Options {
            nodes: 1,
            heap: "128m",
            brief: true,
            address: None,
            secure: None,
            door: None,
            more: String::new(),
        }
    }

    /// Three nodes, for a test in which one is lost. A node that died is noticed after 2 s instead of Kafka's 9.
    pub fn three() -> Options {
        Options {
            nodes: 3,
            more: "broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=500\n".to_owned(),
            ..Options::one()
        }
    }
}

/// A cluster: its nodes end with the lab.
pub struct Cluster {
    lab: Lab,
    netns: Option<String>,
    options: Options,
    address: Ipv4Addr,
    archives: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    folder: PathBuf,
    process: Mutex<Option<Process>>,
    /// Starts so far: each has a log of its own.
    starts: AtomicU32,
}

impl Node {
    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Gives it its address and its folders. Nothing runs yet.
    ///
    /// # Errors
    /// Kafka is not here, or no address of loopback is free.
    pub fn new(lab: &Lab, netns: Option<&str>, options: Options) -> Result<Cluster> {
        if let Some(lacking) = lacking() {
            bail!("{lacking}");
        }
        let address = match (options.address, netns) {
            (Some(address), _) => Ok(address),
            (None, Some(netns)) => lab.within(netns, || free_address(options.nodes))?,
            (None, None) => free_address(options.nodes),
        };
        let cluster = Cluster {
            lab: lab.clone(),
            netns: netns.map(str::to_owned),
            address: address?,
            archives: archives().context("no Apache Kafka (make kafka)")?,
            nodes: (0..options.nodes)
                .map(|number| Node {
                    folder: lab.folder().join(format!("kafka-{number}")),
                    process: Mutex::new(None),
                    starts: AtomicU32::new(0),
                })
                .collect(),
            options,
        };
        for number in 0..cluster.nodes.len() {
            cluster.prepare(number)?;
            if let Some(secure) = &cluster.options.secure {
                cluster.prepare_user(number, secure)?;
            }
        }
        Ok(cluster)
    }

    /// Its address, for clients.
    pub fn bootstrap(&self) -> String {
        let hosts = (0..self.nodes.len()).map(|number| format!("{}:{}", self.address, broker_port(number)));
        hosts.collect::<Vec<String>>().join(",")
    }

    /// The address of its second listener, with TLS or behind a door.
    pub fn second(&self) -> SocketAddr {
        (self.address, second_port(0)).into()
    }

    /// How clients reach it.
    pub fn settings(&self, partitions: i32) -> KafkaSettings {
        KafkaSettings {
            bootstrap: self.bootstrap(),
            partitions,
            ..KafkaSettings::default()
        }
    }

    /// Starts all nodes that do not run and waits until they serve.
    ///
    /// # Errors
    /// One does not start.
    pub fn start(&self) -> Result<()> {
        let numbers: Vec<usize> = (0..self.nodes.len()).filter(|number| !self.runs(*number)).collect();
        // All at once: one alone does not serve, because most of them decide.
        let started: Vec<Process> = numbers
            .iter()
            .map(|number| self.spawn(*number))
            .collect::<Result<_>>()?;
        started.iter().try_for_each(serves)
    }

    /// Starts one node and waits until it serves.
    ///
    /// # Errors
    /// It runs already, or does not start.
    pub fn start_node(&self, number: usize) -> Result<Process> {
        ensure!(!self.runs(number), "node {number} of Kafka runs");
        let process = self.spawn(number)?;
        serves(&process)?;
        Ok(process)
    }

    /// Whether a node runs.
    pub fn runs(&self, number: usize) -> bool {
        self.nodes[number].process().as_ref().is_some_and(Process::is_running)
    }

    /// Whether so many nodes run that topics can be made.
    pub fn serves(&self) -> bool {
        (0..self.nodes.len()).all(|number| self.runs(number))
    }

    /// The process of a node, as it was started last.
    ///
    /// # Errors
    /// It was never started.
    pub fn process(&self, number: usize) -> Result<Process> {
        let process = self.nodes[number].process().clone();
        process.with_context(|| format!("node {number} of Kafka was never started"))
    }

    /// Ends a node at once, by SIGKILL.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill_node(&self, number: usize) -> Result<()> {
        self.process(number)?.kill().map(drop)
    }

    /// Ends all nodes at once.
    ///
    /// # Errors
    /// One does not end.
    pub fn kill(&self) -> Result<()> {
        (0..self.nodes.len()).try_for_each(|number| self.kill_node(number))
    }

    /// The folder in which a node keeps what was written.
    pub fn data(&self, number: usize) -> PathBuf {
        self.nodes[number].folder.join("data")
    }

    /// The node that leads a partition, once there is one.
    ///
    /// # Errors
    /// Nobody says so in time.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<usize> {
        let ask = || {
            let client: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", self.bootstrap())
                .create()?;
            wait::until(&format!("a leader of {topic} {partition}"), wait::DEADLINE, || {
                let metadata = client
                    .fetch_metadata(Some(topic), Duration::from_secs(2))
                    .map_err(|e| e.to_string())?;
                let of = metadata.topics().iter().flat_map(|topic| topic.partitions());
                let leader = of.filter(|p| p.id() == partition).map(|p| p.leader()).next();
                match leader {
                    Some(id) if id >= 1 => Ok(id as usize - 1),
                    seen => Err(format!("{seen:?}")),
                }
            })
        };
        match &self.netns {
            Some(netns) => self.lab.within(netns, ask)?,
            None => ask(),
        }
    }

    /// A node's folder, formatted as `kafka-storage.sh format` leaves it: its file of properties is all that a node asks for,
    /// and starting a virtual machine for that takes as long as the node itself.
    fn prepare(&self, number: usize) -> Result<()> {
        let folder = &self.nodes[number].folder;
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        // Any number that is not reserved, another one for each node.
        let directory = format!("c2tlcnJ5LWRpci1{}AAAAAA", char::from(b'A' + number as u8));
        fs::write(
            data.join("meta.properties"),
            format!(
                "version=1\ncluster.id={CLUSTER_ID}\nnode.id={}\ndirectory.id={directory}\n",
                number + 1
            ),
        )?;
        fs::write(folder.join("server.properties"), self.properties(number))?;
        Ok(())
    }

    /// The same by Kafka's own tool, which also writes down a user's password for SCRAM.
    fn prepare_user(&self, number: usize, secure: &Secure) -> Result<()> {
        let folder = &self.nodes[number].folder;
        fs::remove_file(folder.join("data/meta.properties"))?;
        let mut format = self.java(number);
        let user = format!("SCRAM-SHA-512=[name={},password={}]", secure.user, secure.password);
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        format
            .arg(folder.join("server.properties"))
            .args(["--add-scram", &user]);
        self.lab.run_command(None, format).map(drop)
    }

    /// The second listener, as it is behind a door.
    fn door_properties(&self, number: usize, door: SocketAddr) -> String {
        format!(
            "listeners=PLAINTEXT://{address}:{port},CONTROLLER://{address}:{controller},DOOR://{address}:{own}\n\
             advertised.listeners=PLAINTEXT://{address}:{port},DOOR://{door}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:PLAINTEXT\n",
            address = self.address,
            port = broker_port(number),
            controller = controller_port(number),
            own = second_port(number),
        )
    }

    /// The second listener, as it is with TLS.
    fn secure_properties(&self, number: usize, secure: &Secure) -> String {
        format!(
            "listeners=PLAINTEXT://{address}:{port},CONTROLLER://{address}:{controller},SASL_SSL://{address}:{own}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n\
             ssl.keystore.type=PEM\n\
             ssl.keystore.location={keystore}\n\
             ssl.truststore.type=PEM\n\
             ssl.truststore.location={ca}\n\
             ssl.client.auth=required\n\
             listener.name.sasl_ssl.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}=\"{password}\";\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n",
            address = self.address,
            port = broker_port(number),
            controller = controller_port(number),
            own = second_port(number),
            keystore = secure.keystore.display(),
            ca = secure.ca.display(),
            user = secure.user,
            password = secure.password,
        )
    }

    /// What a deployment sets (design section 3), and what makes a node small and quick to start.
    fn properties(&self, number: usize) -> String {
        let replicas = self.nodes.len();
        let voters = (0..replicas).map(|n| format!("{}@{}:{}", n + 1, self.address, controller_port(n)));
        format!(
            "process.roles=broker,controller\n\
             node.id={node}\n\
             listeners=PLAINTEXT://{address}:{port},CONTROLLER://{address}:{controller}\n\
             controller.quorum.voters={voters}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={data}\n\
             default.replication.factor={replicas}\n\
             min.insync.replicas={insync}\n\
             log.message.timestamp.type=LogAppendTime\n\
             offsets.topic.replication.factor={replicas}\n\
             offsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr={insync}\n\
             transaction.state.log.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n\
             num.network.threads=2\n\
             num.io.threads=4\n\
             background.threads=2\n\
             log.cleaner.dedupe.buffer.size=4194304\n\
             {secure}{door}{more}",
            node = number + 1,
            address = self.address,
            port = broker_port(number),
            controller = controller_port(number),
            voters = voters.collect::<Vec<String>>().join(","),
            data = self.data(number).display(),
            insync = replicas.div_ceil(2),
            secure = self
                .options
                .secure
                .as_ref()
                .map(|secure| self.secure_properties(number, secure))
                .unwrap_or_default(),
            door = self
                .options
                .door
                .map(|door| self.door_properties(number, door))
                .unwrap_or_default(),
            more = self.options.more,
        )
    }

    fn java(&self, number: usize) -> Command {
        let mut command = Command::new("java");
        let heap = self.options.heap;
        command
            .args([&format!("-Xms{heap}"), &format!("-Xmx{heap}")])
            // No file outside of the lab: not what `jps` reads, and no library that is unpacked to be loaded.
            .args(["-XX:+UseSerialGC", "-XX:-UsePerfData"])
            .arg(format!("-Djava.io.tmpdir={}", self.nodes[number].folder.display()))
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=info");
        if self.options.brief {
            command.arg("-XX:TieredStopAtLevel=1");
        }
        command.args(["-cp", &format!("{}/*", self.archives.display())]);
        command
    }

    fn spawn(&self, number: usize) -> Result<Process> {
        let node = &self.nodes[number];
        let mut command = self.java(number);
        command.arg("kafka.Kafka").arg(node.folder.join("server.properties"));
        let start = node.starts.fetch_add(1, Ordering::Relaxed);
        let label = format!("kafka-{number}.{start}");
        let process = self.lab.spawn(self.netns.as_deref(), &label, command)?;
        *node.process() = Some(process.clone());
        Ok(process)
    }
}

fn broker_port(number: usize) -> u16 {
    PORTS + 3 * number as u16
}

fn second_port(number: usize) -> u16 {
    broker_port(number) + 2
}

fn controller_port(number: usize) -> u16 {
    broker_port(number) + 1
}

/// Waits until a node says that it serves.
fn serves(process: &Process) -> Result<()> {
    wait::until(&format!("{process:?} to serve"), START_MAX, || {
        let runs = process.is_running();
        let log = process.log().map(fs::read_to_string).and_then(Result::ok);
        match log {
            Some(log) if log.contains("Kafka Server started") => Ok(Ok(())),
            // It ended: nothing more will come.
            _ if !runs => Ok(Err(process.last_words())),
            _ => Err(process.last_words()),
        }
    })?
    .or_else(|words| bail!("{process:?} ended:\n{words}"))
}

/// An address of loopback at which nobody listens on our ports. Each cluster of this process, and most likely each of other
/// processes, looks at another one first, so that ports need not be told apart.
///
/// # Errors
/// There is none.
pub fn free_address(nodes: usize) -> Result<Ipv4Addr> {
    static CLUSTERS: AtomicU32 = AtomicU32::new(0);
    for _ in 0..TRIES {
        let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        // Process ids are mostly neighbours: what follows each other is spread, so that neighbours do not meet.
        let mixed = std::process::id()
            .wrapping_mul(64)
            .wrapping_add(cluster)
            .wrapping_mul(0x9e37_79b1);
        let [_, b, c, d] = mixed.to_be_bytes();
        // 127.0.0.0/16 is what everybody uses.
        let address = Ipv4Addr::new(127, b | 0x40, c, d.clamp(1, 254));
        let ports = (0..nodes).flat_map(|number| [broker_port(number), controller_port(number), second_port(number)]);
        let taken: Result<Vec<TcpListener>, _> = ports.map(|port| TcpListener::bind((address, port))).collect();
        if taken.is_ok() {
            return Ok(address);
        }
    }
    bail!("no address of loopback has its ports from {PORTS} on free")
}

/// Whether a segment of a partition's log has a batch that was compressed with lz4: what the first byte of attributes says
/// in each batch, after offset, length, epoch, magic and checksum.
///
/// # Errors
/// The segment cannot be read.
pub fn has_lz4_batch(segment: &Path) -> Result<bool> {
    const LENGTH: usize = 8;
    const ATTRIBUTES: usize = 8 + 4 + 4 + 1 + 4;
    const LZ4: u8 = 3;
    let bytes = fs::read(segment).with_context(|| segment.display().to_string())?;
    let mut rest = &bytes[..];
    while let (Some(length), Some(attributes)) = (rest.get(LENGTH..LENGTH + 4), rest.get(ATTRIBUTES..ATTRIBUTES + 2)) {
        if attributes[1] & 7 == LZ4 {
            return Ok(true);
        }
        let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        rest = rest.get(LENGTH + 4 + length..).unwrap_or_default();
    }
    Ok(false)
}

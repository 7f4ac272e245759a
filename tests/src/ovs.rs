//! A private Open vSwitch in a namespace; the system's own service is never touched.
//!
//! Both daemons are children of this process, with their sockets, database and logs in
//! the lab's folder. The datapath is the one in user space (`netdev`), or the dummy one,
//! which forwards between sockets and needs neither root nor interfaces.

mod dump;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::lab::Lab;
use crate::process::Process;
use crate::sys;
use crate::wait::{self, DEADLINE};

/// Where Debian keeps the schema of the switch's database.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Room in each of the switch's packet sockets: thousands of frames instead of hundreds.
const PACKET_BUFFER: i32 = 8 << 20;

/// Priority under SCHED_FIFO: below the delay line's, which does less at a time.
const PRIORITY: i32 = 10;

/// A private Open vSwitch. Dropping it leaves it to the lab to end.
pub struct Ovs {
    lab: Lab,
    netns: Option<String>,
    folder: PathBuf,
    dummy: bool,
    daemons: Mutex<Daemons>,
}

struct Daemons {
    database: Process,
    switch: Process,
}

/// The controllers of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controllers {
    /// Like `tcp:10.0.0.1:6653`.
    pub targets: Vec<String>,
    /// Longest pause between two tries to connect; Open vSwitch itself says 8 s.
    pub max_backoff_ms: u32,
    /// Silence after which the bridge asks for an echo, and as much again before it gives up.
    pub inactivity_probe_ms: u32,
}

impl Controllers {
    /// Controllers that are tried every second and probed every five.
    pub fn new<S: Into<String>>(targets: impl IntoIterator<Item = S>) -> Controllers {
        let targets = targets.into_iter().map(Into::into).collect();
        // A second is the least that Open vSwitch allows.
        Controllers {
            targets,
            max_backoff_ms: 1_000,
            inactivity_probe_ms: 5_000,
        }
    }
}

/// What a bridge says of one of its controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerState {
    /// As it was set.
    pub target: String,
    /// Whether the OpenFlow connection stands.
    pub connected: bool,
    /// `master`, `slave` or `other` (equal); empty when not connected.
    pub role: String,
}

impl Ovs {
    /// Starts one with the user space datapath in a namespace.
    ///
    /// # Errors
    /// Open vSwitch is not installed, or did not start.
    pub fn start(lab: &Lab, netns: &str) -> Result<Ovs> {
        Ovs::start_either(lab, Some(netns), false)
    }

    /// Starts one with the dummy datapath in the namespace of this process: no root, no
    /// interfaces. Ports are sockets, see [`Ovs::add_dummy_port`].
    ///
    /// # Errors
    /// As [`Ovs::start`].
    pub fn start_dummy(lab: &Lab) -> Result<Ovs> {
        Ovs::start_either(lab, None, true)
    }

    fn start_either(lab: &Lab, netns: Option<&str>, dummy: bool) -> Result<Ovs> {
        let folder = lab.folder().join(format!("ovs-{}", netns.unwrap_or("dummy")));
        std::fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        let database_file = folder.join("conf.db");
        let mut create = Command::new("ovsdb-tool");
        create.arg("create").arg(&database_file).arg(SCHEMA);
        lab.run_command(None, create)?;
        let mut command = daemon("ovsdb-server", &folder);
        command
            .arg(&database_file)
            .arg(format!("--remote=punix:{}", folder.join("db.sock").display()));
        let database = lab.spawn(netns, &label("ovsdb-server", netns), command)?;
        let answers = || vsctl(lab, &folder, &["--no-wait", "init"]);
        wait::until_ok("start of ovsdb-server", DEADLINE, || {
            still_runs(&database).and_then(|()| answers())
        })?;
        // Without it a second tag cannot be matched after the first is popped.
        vsctl(
            lab,
            &folder,
            &["--no-wait", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2"],
        )?;
        let switch = start_switch(lab, netns, &folder, dummy)?;
        let daemons = Mutex::new(Daemons { database, switch });
        let ovs = Ovs {
            lab: lab.clone(),
            netns: netns.map(str::to_owned),
            folder,
            dummy,
            daemons,
        };
        ovs.wait_for_switch()?;
        Ok(ovs)
    }

    fn wait_for_switch(&self) -> Result<()> {
        wait::until_ok("start of ovs-vswitchd", DEADLINE, || {
            still_runs(&self.switch())?;
            self.appctl(&["version"])?;
            for bridge in self.vsctl(&["list-br"])?.lines() {
                self.ofctl(&["show", bridge])?;
            }
            Ok(())
        })
    }

    /// Folder of its sockets and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The switch daemon.
    pub fn switch(&self) -> Process {
        self.daemons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .switch
            .clone()
    }

    /// The database daemon.
    pub fn database(&self) -> Process {
        self.daemons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .database
            .clone()
    }

    /// Runs `ovs-vsctl` on this instance.
    ///
    /// # Errors
    /// It failed, or the switch did not follow in time.
    pub fn vsctl(&self, args: &[&str]) -> Result<String> {
        vsctl(&self.lab, &self.folder, args)
    }

    /// Runs `ovs-ofctl` with OpenFlow 1.3 on this instance; bridges go by their name.
    ///
    /// # Errors
    /// It failed.
    pub fn ofctl(&self, args: &[&str]) -> Result<String> {
        let mut command = with_environment(Command::new("ovs-ofctl"), &self.folder);
        command.args(["-O", "OpenFlow13", "--no-names"]).args(args);
        self.lab.run_command(None, command)
    }

    /// Runs `ovs-appctl` on the switch daemon.
    ///
    /// # Errors
    /// It failed.
    pub fn appctl(&self, args: &[&str]) -> Result<String> {
        let mut command = with_environment(Command::new("ovs-appctl"), &self.folder);
        command
            .arg("--target")
            .arg(self.folder.join("ovs-vswitchd.ctl"))
            .args(args);
        self.lab.run_command(None, command)
    }

    /// Adds a bridge that speaks OpenFlow 1.3 and forwards nothing by itself.
    ///
    /// # Errors
    /// The name is taken, or the switch did not follow in time.
    pub fn add_bridge(&self, bridge: &str, dpid: u64, controllers: &Controllers) -> Result<()> {
        let datapath = if self.dummy {
            "datapath_type=dummy"
        } else {
            "datapath_type=netdev"
        };
        let dpid = format!("other-config:datapath-id={dpid:016x}");
        let mut args = vec!["add-br", bridge, "--", "set", "bridge", bridge, datapath, &dpid];
        args.extend([
            "protocols=OpenFlow13",
            "fail_mode=secure",
            "other-config:disable-in-band=true",
        ]);
        self.vsctl(&args)?;
        if controllers.targets.is_empty() {
            Ok(())
        } else {
            self.set_controllers(bridge, controllers)
        }
    }

    /// Adds an interface of the namespace to a bridge, under an OpenFlow port number.
    ///
    /// # Errors
    /// No such interface, or the switch gave it another number.
    pub fn add_port(&self, bridge: &str, interface: &str, ofport: u32) -> Result<()> {
        self.add_any_port(bridge, interface, ofport, &[])?;
        // Its sockets are new.
        sys::widen_packet_sockets(self.switch().pid(), PACKET_BUFFER).context("sockets of the switch")?;
        Ok(())
    }

    /// Adds a dummy port. `socket` (a path to make, or none) carries its frames, each behind
    /// its length in two bytes, both ways.
    ///
    /// # Errors
    /// The name is taken.
    pub fn add_dummy_port(&self, bridge: &str, port: &str, ofport: u32, socket: Option<&Path>) -> Result<()> {
        let stream = socket.map(|socket| format!("options:pstream=punix:{}", socket.display()));
        let mut settings = vec!["type=dummy"];
        settings.extend(stream.as_deref());
        self.add_any_port(bridge, port, ofport, &settings)
    }

    fn add_any_port(&self, bridge: &str, port: &str, ofport: u32, settings: &[&str]) -> Result<()> {
        let request = format!("ofport_request={ofport}");
        let mut args = vec!["add-port", bridge, port, "--", "set", "interface", port, &request];
        args.extend(settings);
        self.vsctl(&args)?;
        let given = self.vsctl(&["get", "interface", port, "ofport", "error"])?;
        let mut lines = given.lines();
        let (number, error) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        ensure!(
            number == ofport.to_string(),
            "port {port} of {bridge}: asked for {ofport}, got {number}, error {error}"
        );
        Ok(())
    }

    /// Takes a port out of a bridge.
    ///
    /// # Errors
    /// No such port.
    pub fn remove_port(&self, bridge: &str, interface: &str) -> Result<()> {
        self.vsctl(&["del-port", bridge, interface]).map(drop)
    }

    /// Replaces the controllers of a bridge; connections to the old ones end.
    ///
    /// # Errors
    /// No such bridge.
    pub fn set_controllers(&self, bridge: &str, controllers: &Controllers) -> Result<()> {
        let Controllers {
            targets,
            max_backoff_ms,
            inactivity_probe_ms,
        } = controllers;
        let mut args: Vec<String> = vec!["--no-wait".into()];
        let mut ids = Vec::new();
        for (number, target) in targets.iter().enumerate() {
            let id = format!("@c{number}");
            args.extend(["--".into(), format!("--id={id}"), "create".into(), "controller".into()]);
            args.extend([format!("target=\"{target}\""), "connection_mode=out-of-band".into()]);
            args.extend([
                format!("max_backoff={max_backoff_ms}"),
                format!("inactivity_probe={inactivity_probe_ms}"),
            ]);
            ids.push(id);
        }
        let list = if ids.is_empty() {
            "controller=[]".into()
        } else {
            format!("controller={}", ids.join(","))
        };
        args.extend(["--".into(), "set".into(), "bridge".into(), bridge.into(), list]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        // Not waiting for the switch: it may be stopped just now, and connects when it can.
        self.vsctl(&args).map(drop)
    }

    /// What a bridge says of its controllers, in no order.
    ///
    /// # Errors
    /// No such bridge.
    pub fn controllers(&self, bridge: &str) -> Result<Vec<ControllerState>> {
        let ids = self.vsctl(&["get", "bridge", bridge, "controller"])?;
        let ids = ids
            .trim()
            .trim_matches(['[', ']'])
            .split(", ")
            .filter(|id| !id.is_empty());
        ids.map(|id| {
            let text = self.vsctl(&["--if-exists", "get", "controller", id, "target", "is_connected", "role"])?;
            let mut lines = text.lines().map(|line| line.trim_matches('"'));
            let mut next = || lines.next().unwrap_or_default().to_owned();
            let (target, connected, role) = (next(), next(), next());
            Ok(ControllerState {
                target,
                connected: connected == "true",
                role: role.trim_matches(['[', ']']).to_owned(),
            })
        })
        .collect()
    }

    /// Waits until a bridge is connected to `count` controllers.
    ///
    /// # Errors
    /// It is not within [`DEADLINE`].
    pub fn wait_connected(&self, bridge: &str, count: usize) -> Result<()> {
        wait::until(
            &format!("{bridge} connected to {count} controllers"),
            DEADLINE,
            || match self.controllers(bridge) {
                Ok(states) if states.iter().filter(|state| state.connected).count() == count => Ok(()),
                seen => Err(format!("{seen:?}")),
            },
        )
    }

    /// The rules of a bridge, sorted, without counters and times.
    ///
    /// # Errors
    /// No such bridge.
    pub fn dump_flows(&self, bridge: &str) -> Result<Vec<String>> {
        Ok(dump::flows(&self.ofctl(&["dump-flows", bridge])?))
    }

    /// The groups of a bridge, sorted.
    ///
    /// # Errors
    /// No such bridge.
    pub fn dump_groups(&self, bridge: &str) -> Result<Vec<String>> {
        Ok(dump::groups(&self.ofctl(&["dump-groups", bridge])?))
    }

    /// The meters of a bridge, sorted, each with its bands in one line.
    ///
    /// # Errors
    /// No such bridge.
    pub fn dump_meters(&self, bridge: &str) -> Result<Vec<String>> {
        Ok(dump::meters(&self.ofctl(&["dump-meters", bridge])?))
    }

    /// Kills the switch daemon as a crash would: connections break, rules are forgotten.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill_vswitchd(&self) -> Result<()> {
        self.switch().kill().map(drop)
    }

    /// Starts the switch daemon again after [`Ovs::kill_vswitchd`], with its bridges and
    /// ports but without rules, and waits for it.
    ///
    /// # Errors
    /// It runs still, or does not start.
    pub fn restart_vswitchd(&self) -> Result<()> {
        ensure!(!self.switch().is_running(), "ovs-vswitchd runs still");
        let switch = start_switch(&self.lab, self.netns.as_deref(), &self.folder, self.dummy)?;
        self.daemons.lock().unwrap_or_else(PoisonError::into_inner).switch = switch;
        self.wait_for_switch()?;
        if !self.dummy {
            sys::widen_packet_sockets(self.switch().pid(), PACKET_BUFFER).context("sockets of the switch")?;
        }
        Ok(())
    }

    /// Puts the switch daemon's threads under SCHED_FIFO, so that other work on the
    /// machine does not delay its packets. False: not allowed here.
    pub fn prefer_realtime(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.switch().pid())) else {
            return false;
        };
        let ids = threads
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|thread| !sys::realtime(*thread, PRIORITY)).count() == 0
    }

    /// Stops both daemons and waits for their end; for tests that need it before the lab ends.
    ///
    /// # Errors
    /// One does not end.
    pub fn stop(&self) -> Result<()> {
        /// Time for it to remove its devices.
        const GRACE: Duration = Duration::from_secs(5);
        self.switch().end(GRACE)?;
        self.database().end(GRACE).map(drop)
    }
}

fn label(daemon: &str, netns: Option<&str>) -> String {
    format!("{daemon}-{}", netns.unwrap_or("dummy"))
}

fn still_runs(daemon: &Process) -> Result<()> {
    if !daemon.is_running() {
        bail!("{daemon:?} ended: {}", daemon.last_words());
    }
    Ok(())
}

/// All folders that Open vSwitch's programs would otherwise take from the system.
fn with_environment(mut command: Command, folder: &Path) -> Command {
    for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
        command.env(variable, folder);
    }
    command
}

/// A daemon in the foreground: it stays our child and dies with us.
fn daemon(name: &str, folder: &Path) -> Command {
    let mut command = with_environment(Command::new(name), folder);
    let file = |ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
    command
        .arg(format!("--pidfile={}", file("pid")))
        .arg(format!("--log-file={}", file("log")));
    command
        .arg(format!("--unixctl={}", file("ctl")))
        .args(["--no-chdir", "-vconsole:off", "-vsyslog:off"]);
    command
}

fn start_switch(lab: &Lab, netns: Option<&str>, folder: &Path, dummy: bool) -> Result<Process> {
    let mut command = daemon("ovs-vswitchd", folder);
    if dummy {
        command.arg("--enable-dummy");
    }
    command.arg(format!("unix:{}", folder.join("db.sock").display()));
    lab.spawn(netns, &label("ovs-vswitchd", netns), command)
}

fn vsctl(lab: &Lab, folder: &Path, args: &[&str]) -> Result<String> {
    let mut command = with_environment(Command::new("ovs-vsctl"), folder);
    command.arg(format!("--db=unix:{}", folder.join("db.sock").display()));
    // It waits for the switch to follow; a little less than we wait for it.
    command.arg("--timeout=25").args(args);
    lab.run_command(None, command)
}

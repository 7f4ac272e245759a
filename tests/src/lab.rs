//! A named set of namespaces, children and files that leaves nothing behind.
//!
//! A lab belongs to one process. Its name carries that process' id and start time, so
//! that a later run can tell what a killed one left from what a living one uses, with
//! no moment in which a thing exists but its owner is not written down yet. What runs
//! in a lab is not its business.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::janitor::Janitor;
use crate::process::{self, Process};
use crate::sys;
use crate::wait::DEADLINE;

/// Bytes that a frame may have on every link of a lab: 1,500 of payload and room for
/// more tags than a customer and the network push together.
pub const LINK_MTU: u32 = 1_600;

/// How long children may take to end by SIGTERM, all of them together.
const GRACE: Duration = Duration::from_secs(5);

/// Folder in a lab's folder with what its children write.
const LOGS: &str = "log";

/// Where `ip netns` keeps its names.
const NETNS_FOLDER: &str = "/run/netns";

/// A handle of a lab; clones mean the same lab, which is taken down with the last one.
#[derive(Clone)]
pub struct Lab(Arc<Inner>);

struct Inner {
    name: String,
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    namespaces: Vec<String>,
    children: Vec<Process>,
    janitor: Option<Janitor>,
    taken_down: bool,
}

/// One end of a cable: the namespace, the interface to make there and its address if any
/// (`10.0.0.1/24`).
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Short name of the namespace, as given to [`Lab::add_netns`].
    pub netns: &'a str,
    /// Name of the interface, at most 15 bytes.
    pub interface: &'a str,
    /// Address with prefix length.
    pub address: Option<&'a str>,
}

impl<'a> End<'a> {
    /// An end without an address.
    pub fn new(netns: &'a str, interface: &'a str) -> End<'a> {
        End {
            netns,
            interface,
            address: None,
        }
    }

    /// The same with an address.
    pub fn with_address(self, address: &'a str) -> End<'a> {
        End {
            address: Some(address),
            ..self
        }
    }
}

/// Where folders of labs are: `TMPDIR` if it is set, else in memory where that can be had. What lies there is gone with the lab anyway,
/// and on a disk that is busy with somebody's build a database of the lab waits for seconds with each change.
pub fn base_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match std::env::var_os("TMPDIR") {
        None if memory.is_dir() && sys::is_root() => memory.to_owned(),
        _ => std::env::temp_dir(),
    }
}

impl Lab {
    /// Makes a lab named `<prefix>-<pid>-<start time>-<number>` with an empty folder.
    ///
    /// # Errors
    /// The prefix has other characters than `a-z` and `-`, or the folder cannot be made.
    pub fn new(prefix: &str) -> Result<Lab> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let good = |c: char| c.is_ascii_lowercase() || c == '-';
        ensure!(
            !prefix.is_empty() && prefix.chars().all(good),
            "lab prefix {prefix:?}: only a-z and '-'"
        );
        let pid = std::process::id();
        let started = start_time(pid).context("own start time")?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{pid}-{started}-{number}");
        let folder = base_folder().join(&name);
        std::fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        std::fs::create_dir(folder.join(LOGS))?;
        let janitor = Janitor::start(&name, &folder.join(LOGS).join("janitor.log"))?;
        let state = Mutex::new(State {
            janitor,
            ..State::default()
        });
        Ok(Lab(Arc::new(Inner { name, folder, state })))
    }

    /// Its name, unique on this machine.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its private folder, removed with it.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }

    /// The name that `ip netns` knows a namespace of this lab by.
    pub fn netns_name(&self, netns: &str) -> String {
        format!("{}-{netns}", self.0.name)
    }

    /// Makes a namespace, with its loopback up and without IPv6 (whose own packets on every
    /// interface would disturb those that are counted).
    ///
    /// # Errors
    /// Not root, or the name is taken.
    pub fn add_netns(&self, netns: &str) -> Result<()> {
        let name = self.netns_name(netns);
        {
            let mut state = self.state();
            ensure!(!state.taken_down, "lab {} is taken down", self.name());
            ensure!(
                !state.namespaces.iter().any(|have| have == netns),
                "namespace {netns} exists"
            );
            // First the list: should the next line be interrupted, it is removed all the same.
            state.namespaces.push(netns.to_owned());
        }
        self.run_here(&["ip", "netns", "add", &name])?;
        self.run(netns, &["ip", "link", "set", "lo", "up"])?;
        // A kernel without IPv6 has no such file, and nothing to turn off.
        let off =
            "for f in all default; do f=/proc/sys/net/ipv6/conf/$f/disable_ipv6; [ ! -e $f ] || echo 1 > $f; done";
        self.run(netns, &["sh", "-c", off])?;
        Ok(())
    }

    /// Lays a cable between two namespaces of this lab, up at both ends, without
    /// offloads: Open vSwitch in user space does not finish checksums or tags.
    ///
    /// # Errors
    /// A namespace does not exist or an interface does.
    pub fn veth(&self, a: End<'_>, b: End<'_>) -> Result<()> {
        let (a_ns, b_ns) = (self.netns_name(a.netns), self.netns_name(b.netns));
        let mtu = LINK_MTU.to_string();
        self.run_here(&[
            "ip",
            "link",
            "add",
            a.interface,
            "mtu",
            &mtu,
            "netns",
            &a_ns,
            "type",
            "veth",
            "peer",
            "name",
            b.interface,
            "mtu",
            &mtu,
            "netns",
            &b_ns,
        ])?;
        for end in [a, b] {
            self.run(
                end.netns,
                &[
                    "ethtool",
                    "-K",
                    end.interface,
                    "tx",
                    "off",
                    "txvlan",
                    "off",
                    "rxvlan",
                    "off",
                ],
            )?;
            if let Some(address) = end.address {
                self.run(end.netns, &["ip", "addr", "add", address, "dev", end.interface])?;
            }
        }
        for end in [a, b] {
            self.run(end.netns, &["ip", "link", "set", end.interface, "up"])?;
        }
        Ok(())
    }

    /// Runs a short program in a namespace and gives its standard output.
    ///
    /// # Errors
    /// It failed (with what it said) or did not end within [`DEADLINE`].
    pub fn run(&self, netns: &str, args: &[&str]) -> Result<String> {
        let (program, rest) = args.split_first().context("an empty command")?;
        let mut command = Command::new(program);
        command.args(rest);
        self.run_command(Some(netns), command)
    }

    /// [`Lab::run`] outside of all namespaces.
    fn run_here(&self, args: &[&str]) -> Result<String> {
        run_plain(args)
    }

    /// [`Lab::run`] for a command with an environment or folder of its own; no namespace
    /// means the one of this process.
    ///
    /// # Errors
    /// As [`Lab::run`].
    pub fn run_command(&self, netns: Option<&str>, command: Command) -> Result<String> {
        let file = netns.map(|netns| self.open_netns(netns)).transpose()?;
        run_checked(command, file)
    }

    /// Starts a program in a namespace (none: the one of this process). Its output goes to
    /// `log/<label>.log` in the lab's folder. It dies with this process and with the lab.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(&self, netns: Option<&str>, label: &str, command: Command) -> Result<Process> {
        self.start(netns, label, command, false)
    }

    /// [`Lab::spawn`] with pipes to its standard input and output.
    ///
    /// # Errors
    /// As [`Lab::spawn`].
    pub fn spawn_piped(&self, netns: Option<&str>, label: &str, command: Command) -> Result<Process> {
        self.start(netns, label, command, true)
    }

    fn start(&self, netns: Option<&str>, label: &str, command: Command, piped: bool) -> Result<Process> {
        let file = netns.map(|netns| self.open_netns(netns)).transpose()?;
        let log = self.folder().join(LOGS).join(format!("{label}.log"));
        // The list is locked while starting: a teardown in another thread sees the child.
        let mut state = self.state();
        ensure!(!state.taken_down, "lab {} is taken down", self.name());
        let child = Process::start(label, file, command, &log, piped)?;
        state.children.retain(Process::is_running);
        state.children.push(child.clone());
        Ok(child)
    }

    /// Runs `work` on a thread inside a namespace: sockets that it opens belong there.
    ///
    /// # Errors
    /// The namespace does not exist, or this process may not enter it.
    pub fn within<T: Send>(&self, netns: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = self.open_netns(netns)?;
        let enter = move || crate::sys::enter_netns(&file).map(|()| work());
        let result = std::thread::scope(|scope| scope.spawn(enter).join());
        match result {
            Ok(result) => result.with_context(|| format!("entering namespace {netns}")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// The open file of a namespace, to start something in.
    ///
    /// # Errors
    /// There is no such namespace.
    pub fn open_netns(&self, netns: &str) -> Result<File> {
        let path = Path::new(NETNS_FOLDER).join(self.netns_name(netns));
        File::open(&path).with_context(|| format!("namespace {netns} of lab {}", self.name()))
    }

    /// Ends all children, removes all namespaces and files. Doing it again does nothing.
    ///
    /// # Errors
    /// Something could not be removed; the rest was removed all the same.
    pub fn teardown(&self) -> Result<()> {
        self.0.teardown()
    }

    /// Removes what killed runs left of labs with this prefix, never of a living one,
    /// and gives their names.
    ///
    /// # Errors
    /// Something could not be removed.
    pub fn clean_leftovers(prefix: &str) -> Result<Vec<String>> {
        let mut labs = Vec::new();
        for folder in [Path::new(NETNS_FOLDER), &base_folder()] {
            // The first does not exist on a machine that never had a namespace.
            let Ok(entries) = std::fs::read_dir(folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let Some(owner) = entry.file_name().to_str().and_then(|name| Owner::parse(prefix, name)) else {
                    continue;
                };
                if !owner.lives() && !labs.contains(&owner.lab) {
                    labs.push(owner.lab);
                }
            }
        }
        labs.iter().try_for_each(|lab| Lab::clean(lab))?;
        Ok(labs)
    }

    /// Removes what is left of one lab, if its owner is gone.
    pub(crate) fn clean(lab: &str) -> Result<()> {
        ensure!(
            !Owner::of(lab).is_some_and(|owner| owner.lives()),
            "the owner of {lab} lives"
        );
        let namespaces = list_namespaces(&format!("{lab}-"));
        remove(&namespaces, &base_folder().join(lab))
    }

    /// Process id of the owner of a lab, read from its name.
    pub(crate) fn owner(lab: &str) -> Option<u32> {
        Owner::of(lab).map(|owner| owner.pid)
    }

    /// Process id of what cleans up after this program, if it is there.
    pub fn janitor(&self) -> Option<u32> {
        self.state().janitor.as_ref().map(Janitor::pid)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn teardown(&self) -> Result<()> {
        let State {
            namespaces,
            children,
            janitor,
            ..
        } = std::mem::replace(
            &mut *self.state(),
            State {
                taken_down: true,
                ..State::default()
            },
        );
        // All are told before any is waited for. Youngest first: those that use before those used.
        for child in children.iter().rev() {
            let _ = child.signal(libc::SIGTERM);
            let _ = child.signal(libc::SIGCONT);
        }
        let end = Instant::now() + GRACE;
        let mut failed = Ok(());
        for child in children.iter().rev() {
            let left = end.saturating_duration_since(Instant::now());
            let ended = child.wait(left).and_then(|status| match status {
                Some(_) => Ok(()),
                None => child.kill().map(drop),
            });
            failed = failed.and(ended);
        }
        let names: Vec<String> = namespaces
            .iter()
            .map(|netns| format!("{}-{netns}", self.name))
            .collect();
        failed = failed.and(remove(&names, &self.folder));
        failed.and(janitor.map_or(Ok(()), Janitor::dismiss))
    }
}

/// Names the folder where the logs of labs go whose test failed; unset: they go with the lab.
const FAILED_LOGS: &str = "SKERRY_FAILED_LOGS";

impl Inner {
    /// Keeps what the programs of this lab wrote, in a folder named for the lab.
    fn keep_logs(&self, kept: &Path) -> std::io::Result<()> {
        let kept = kept.join(&self.name);
        std::fs::create_dir_all(&kept)?;
        let state = self.state();
        for (log, name) in state
            .children
            .iter()
            .filter_map(|child| Some((child.log()?, child.log()?.file_name()?)))
        {
            std::fs::copy(log, kept.join(name))?;
        }
        Ok(())
    }
}

impl Drop for Inner {
    /// A lab that was not taken down belongs to a test that failed: what its programs wrote tells why.
    fn drop(&mut self) {
        if !self.state().taken_down
            && let Some(kept) = std::env::var_os(FAILED_LOGS)
            && let Err(error) = self.keep_logs(Path::new(&kept))
        {
            eprintln!("lab {}: logs are not kept: {error}", self.name);
        }
        if let Err(error) = self.teardown() {
            eprintln!("lab {}: {error:#}", self.name);
        }
    }
}

/// Who a namespace or folder belongs to, read from its name.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    lab: String,
    pid: u32,
    started: u64,
}

impl Owner {
    /// Reads `<prefix>-<pid>-<start time>-<number>`, with `-<namespace>` behind it or not.
    fn parse(prefix: &str, name: &str) -> Option<Owner> {
        let rest = name.strip_prefix(prefix)?.strip_prefix('-')?;
        let mut parts = rest.splitn(4, '-');
        let (pid, started, number) = (parts.next()?, parts.next()?, parts.next()?);
        number.parse::<u32>().ok()?;
        Some(Owner {
            lab: format!("{prefix}-{pid}-{started}-{number}"),
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    /// Reads the full name of a lab.
    fn of(lab: &str) -> Option<Owner> {
        // From the right: number, start time, process id; the rest is the prefix.
        let prefix = lab.rsplitn(4, '-').nth(3)?;
        Owner::parse(prefix, lab).filter(|owner| owner.lab == lab)
    }

    fn lives(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }
}

/// When a living process started, in ticks since boot: with its id it is unique.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything; what follows it is fixed (proc_pid_stat(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // A zombie holds nothing any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // Field 22 of the line; the state was field 3.
    fields.nth(18)?.parse().ok()
}

fn list_namespaces(prefix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(NETNS_FOLDER) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn remove(namespaces: &[String], folder: &Path) -> Result<()> {
    let mut failed = Ok(());
    for name in namespaces {
        if Path::new(NETNS_FOLDER).join(name).exists() {
            failed = failed.and(remove_namespace(name));
        }
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            failed.and(Err(error).with_context(|| format!("removing {}", folder.display())))
        }
        _ => failed,
    }
}

fn remove_namespace(name: &str) -> Result<()> {
    // What our children started themselves is not in our list, but it is in our namespace.
    // An error means that another run removed the namespace in between; that shows below.
    let pids = run_plain(&["ip", "netns", "pids", name]).unwrap_or_default();
    for pid in pids.lines() {
        if let Ok(pid) = pid.trim().parse::<u32>()
            && pid != std::process::id()
        {
            // An error means that it ended in between.
            let _ = crate::sys::kill(pid, libc::SIGKILL);
        }
    }
    match run_plain(&["ip", "netns", "delete", name]) {
        // Another run cleaned at the same time.
        Err(_) if !Path::new(NETNS_FOLDER).join(name).exists() => Ok(()),
        result => result.map(drop),
    }
}

fn run_plain(args: &[&str]) -> Result<String> {
    let (program, rest) = args.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command.args(rest);
    run_checked(command, None)
}

fn run_checked(mut command: Command, netns: Option<File>) -> Result<String> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null());
    let outcome = process::run(command, netns, DEADLINE)?;
    if !outcome.status.success() {
        bail!("{shown}: {}: {}", outcome.status, outcome.stderr.trim());
    }
    Ok(outcome.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_a_name_with_and_without_a_namespace() {
        let owner = Owner {
            lab: "skerry-demo-12-345-0".into(),
            pid: 12,
            started: 345,
        };
        assert_eq!(
            Owner::parse("skerry-demo", "skerry-demo-12-345-0-host-a").as_ref(),
            Some(&owner)
        );
        assert_eq!(Owner::parse("skerry-demo", "skerry-demo-12-345-0"), Some(owner));
        assert_eq!(Lab::owner("skerry-demo-12-345-0"), Some(12));
        assert_eq!(Lab::owner("skerry-demo-12-345-0-host"), None);
    }

    #[test]
    fn what_programs_wrote_is_kept_of_a_lab_that_was_not_taken_down() {
        let lab = Lab::new("skerry-test-logs").expect("a lab");
        let (kept, name) = (lab.folder().join("kept"), lab.0.name.clone());
        let mut words = Command::new("echo");
        words.arg("so it was");
        let program = lab.spawn(None, "words", words).expect("a program");
        let ended = program.wait(crate::wait::DEADLINE).expect("it can be waited for");
        assert!(ended.is_some(), "it did not end");
        lab.0.keep_logs(&kept).expect("they are kept");
        let logs: Vec<_> = std::fs::read_dir(kept.join(name))
            .expect("a folder")
            .flatten()
            .collect();
        let texts: Vec<_> = logs.iter().map(|log| std::fs::read_to_string(log.path())).collect();
        assert!(
            matches!(&texts[..], [Ok(text)] if text.contains("so it was")),
            "{texts:?}"
        );
        lab.teardown().expect("it goes");
    }

    #[test]
    fn names_of_other_prefixes_are_nobodys() {
        for name in [
            "skerry-demo",
            "skerry-demo-x-1-2",
            "skerry-demo-second-1-2-3",
            "my-skerry-demo-1-2-3",
            "skerry-demo-1-2",
        ] {
            assert_eq!(Owner::parse("skerry-demo", name), None, "{name}");
        }
    }

    #[test]
    fn this_process_lives_and_an_older_one_of_the_same_id_does_not() {
        let pid = std::process::id();
        let started = start_time(pid).expect("own start time");
        let owner = |started| Owner {
            lab: String::new(),
            pid,
            started,
        };
        assert!(owner(started).lives());
        assert!(!owner(started - 1).lives());
    }
}

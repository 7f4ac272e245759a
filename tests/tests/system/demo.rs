//! The demo as a program: how it ends, and that nothing of what it made is left then, however it was ended.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use skerry_tests::demo::PREFIX as DEMO;
use skerry_tests::wait::{self, DEADLINE};
use skerry_tests::{sys, tool};

use crate::Need::{Capture, Ovs, Root, Tap};
use crate::{Need, Test};

const NEEDS: &[Need] = &[Root, Ovs, Tap, Capture];

pub const TESTS: &[Test] = &[
    Test(
        "demo::asked_to_end_it_leaves_nothing_behind",
        NEEDS,
        asked_to_end_it_leaves_nothing_behind,
    ),
    Test(
        "demo::without_its_terminal_it_cleans_up_all_the_same",
        NEEDS,
        without_its_terminal_it_cleans_up_all_the_same,
    ),
    Test(
        "demo::what_a_killed_one_left_the_next_removes",
        NEEDS,
        what_a_killed_one_left_the_next_removes,
    ),
    Test(
        "demo::a_step_that_is_not_as_it_should_be_is_named",
        NEEDS,
        a_step_that_is_not_as_it_should_be_is_named,
    ),
    Test("demo::two_stand_side_by_side", NEEDS, two_stand_side_by_side),
    Test(
        "demo::what_the_machine_lacks_is_named",
        &[Root],
        what_the_machine_lacks_is_named,
    ),
];

/// How the demo says that its world stands and the first step begins.
const STANDS: &str = "== start";

/// A demo under way. All files it may make are in a folder of its own.
struct Demo {
    program: Child,
    /// What it says; none: nobody listens any more.
    terminal: Option<(BufReader<ChildStdout>, ChildStderr)>,
    folder: Folder,
    interfaces: BTreeSet<String>,
}

/// A folder that goes with the test. Its name is short: sockets below it have names of at most 108 bytes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("sd{}-{number}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is what the test found wrong.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn command(folder: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(tool::path("skerry-demo")?);
    command
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::null());
    Ok(command)
}

impl Demo {
    /// Starts one and waits until its world stands.
    fn start() -> Result<Demo> {
        let folder = Folder::new()?;
        let interfaces = names("/sys/class/net");
        let mut command = command(&folder.0, &["--check", "--summary", "summary.json"])?;
        // A group of its own, as a terminal would give it.
        let mut program = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the demo")?;
        let mut output = BufReader::new(program.stdout.take().context("no output")?);
        let mut errors = program.stderr.take().context("no output for errors")?;
        let mut said = String::new();
        while !said.lines().any(|line| line.starts_with(STANDS)) {
            if output.read_line(&mut said)? == 0 {
                errors.read_to_string(&mut said)?;
                bail!("it ended before its world stood:\n{said}");
            }
        }
        let terminal = Some((output, errors));
        let demo = Demo {
            program,
            terminal,
            folder,
            interfaces,
        };
        ensure!(
            demo.namespaces().len() == 5 && !demo.processes()?.is_empty(),
            "{:?}",
            demo.namespaces()
        );
        Ok(demo)
    }

    fn pid(&self) -> u32 {
        self.program.id()
    }

    fn namespaces(&self) -> BTreeSet<String> {
        let prefix = format!("{DEMO}-{}-", self.pid());
        names("/run/netns")
            .into_iter()
            .filter(|name| name.starts_with(&prefix))
            .collect()
    }

    /// Processes whose output goes to its folder, as that of all its children does: id and log.
    fn processes(&self) -> Result<Vec<(u32, String)>> {
        let mut found = Vec::new();
        for pid in names("/proc").iter().filter_map(|name| name.parse::<u32>().ok()) {
            let output = fs::read_link(format!("/proc/{pid}/fd/2")).unwrap_or_default();
            if output.starts_with(&self.folder.0) {
                let log = output.file_name().unwrap_or_default().to_string_lossy().into_owned();
                found.push((pid, log));
            }
        }
        Ok(found)
    }

    /// The child whose log's name begins like this.
    fn child(&self, log: &str) -> Result<u32> {
        let processes = self.processes()?;
        let child = processes
            .iter()
            .find(|(_, of)| of.starts_with(log))
            .map(|(pid, _)| *pid);
        child.with_context(|| format!("no {log} among {processes:?}"))
    }

    /// As Ctrl-C in a terminal does: to the whole group.
    fn to_group(&self, signal: &str) -> Result<()> {
        let group = format!("-{}", self.pid());
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), "--", &group])
            .status()?;
        ensure!(sent.success(), "kill {group}: {sent}");
        Ok(())
    }

    /// Waits for its end.
    fn ended(&mut self) -> Result<ExitStatus> {
        let pid = self.pid();
        wait::until(&format!("the end of demo {pid}"), DEADLINE, || {
            match self.program.try_wait() {
                Ok(Some(status)) => Ok(status),
                seen => Err(format!("{seen:?}")),
            }
        })
    }

    /// What is left of it but the summary.
    fn left(&self) -> Result<()> {
        let mut files = names(&self.folder.0.display().to_string());
        files.remove("summary.json");
        let (namespaces, processes) = (self.namespaces(), self.processes()?);
        let all_gone = files.is_empty() && namespaces.is_empty() && processes.is_empty();
        ensure!(all_gone, "left: {namespaces:?} {processes:?} {files:?}");
        let interfaces = names("/sys/class/net");
        ensure!(
            interfaces == self.interfaces,
            "{interfaces:?}, before: {:?}",
            self.interfaces
        );
        Ok(())
    }

    fn summary(&self) -> Result<Value> {
        let path = self.folder.0.join("summary.json");
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_slice(&text)?)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Only where the test failed before its end; the janitor removes the rest.
        if matches!(self.program.try_wait(), Ok(None)) {
            let _ = self.program.kill();
            let _ = self.program.wait();
        }
    }
}

/// It ended by itself because it was asked to, cleaned up before, and says so.
fn interrupted(mut demo: Demo) -> Result<()> {
    let status = demo.ended()?;
    ensure!(status.code() == Some(130), "{status}");
    // Nothing to wait for: it was all done before its end.
    demo.left()?;
    let summary = demo.summary()?;
    ensure!(summary["ok"] == json!(false), "{summary}");
    // How far it came in the meantime is the machine's business.
    let [Value::String(failed)] = summary["failed"].as_array().map_or(&[][..], Vec::as_slice) else {
        bail!("not one step failed: {summary}");
    };
    ensure!(failed.ends_with(": interrupted"), "{summary}");
    Ok(())
}

fn asked_to_end_it_leaves_nothing_behind() -> Result<()> {
    let impatient = Demo::start()?;
    impatient.to_group("INT")?;
    impatient.to_group("INT")?;
    interrupted(impatient)?;
    let asked = Demo::start()?;
    sys::kill(asked.pid(), libc::SIGTERM)?;
    interrupted(asked)
}

fn without_its_terminal_it_cleans_up_all_the_same() -> Result<()> {
    let mut demo = Demo::start()?;
    // Whatever it says from now on fails.
    drop(demo.terminal.take());
    demo.to_group("HUP")?;
    interrupted(demo)
}

fn what_a_killed_one_left_the_next_removes() -> Result<()> {
    let mut demo = Demo::start()?;
    // Who would clean up after it goes first.
    sys::kill(demo.child("janitor")?, libc::SIGKILL)?;
    sys::kill(demo.pid(), libc::SIGKILL)?;
    let status = demo.ended()?;
    ensure!(status.signal() == Some(libc::SIGKILL), "{status}");
    ensure!(demo.namespaces().len() == 5, "{:?}", demo.namespaces());
    let cleaned = command(&demo.folder.0, &["--clean"])?.output()?;
    let said = String::from_utf8_lossy(&cleaned.stdout).into_owned();
    ensure!(
        cleaned.status.success() && said.contains(&format!("removed {DEMO}-{}-", demo.pid())),
        "{cleaned:?}"
    );
    wait::until("nothing left", DEADLINE, || {
        demo.left().map_err(|error| error.to_string())
    })?;
    let again = command(&demo.folder.0, &["--clean"])?.output()?;
    ensure!(again.status.success(), "{again:?}");
    // Whole or not at all: a killed one wrote none.
    ensure!(demo.summary().is_err(), "{:?}", demo.summary());
    Ok(())
}

fn a_step_that_is_not_as_it_should_be_is_named() -> Result<()> {
    let mut demo = Demo::start()?;
    sys::kill(demo.child("router")?, libc::SIGKILL)?;
    // It waits for what will not come.
    let status = wait::until("the end of the demo", 3 * DEADLINE, || match demo.program.try_wait() {
        Ok(Some(status)) => Ok(status),
        seen => Err(format!("{seen:?}")),
    })?;
    ensure!(status.code() == Some(1), "{status}");
    demo.left()?;
    let summary = demo.summary()?;
    ensure!(summary["ok"] == json!(false), "{summary}");
    let named = summary["failed"][0]
        .as_str()
        .is_some_and(|text| text.starts_with("start: "));
    ensure!(named, "{summary}");
    let mut said = String::new();
    demo.terminal
        .take()
        .context("a terminal")?
        .0
        .read_to_string(&mut said)?;
    ensure!(
        said.contains("FAILED start: ") && said.contains("last words of"),
        "{said}"
    );
    Ok(())
}

fn two_stand_side_by_side() -> Result<()> {
    let (first, second) = (Demo::start()?, Demo::start()?);
    ensure!(first.namespaces().is_disjoint(&second.namespaces()));
    let (namespaces, processes) = (second.namespaces(), second.processes()?.len());
    first.to_group("INT")?;
    interrupted(first)?;
    ensure!(
        second.namespaces() == namespaces && second.processes()?.len() == processes,
        "the other one was hurt"
    );
    second.to_group("INT")?;
    interrupted(second)
}

fn what_the_machine_lacks_is_named() -> Result<()> {
    let folder = Folder::new()?;
    let demo = tool::path("skerry-demo")?;
    // A machine without Open vSwitch: the folder of its daemons is empty, for this program only.
    let hide = "mount -t tmpfs none /usr/sbin && exec \"$0\" --check --summary summary.json";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", hide])
        .arg(&demo)
        .current_dir(&folder.0)
        .env("TMPDIR", &folder.0);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2), "{output:?}");
    ensure!(
        said.contains("lacks") && said.contains("ovs-vswitchd (package openvswitch-switch)"),
        "{said}"
    );
    let files = names(&folder.0.display().to_string());
    ensure!(files.is_empty(), "{files:?}");
    // Wrong usage is told apart by its words.
    let wrong = Command::new(&demo).arg("--chek").current_dir(&folder.0).output()?;
    ensure!(
        wrong.status.code() == Some(2) && String::from_utf8_lossy(&wrong.stderr).contains("--chek"),
        "{wrong:?}"
    );
    Ok(())
}

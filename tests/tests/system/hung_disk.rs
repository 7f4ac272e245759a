//! A speaker whose disk hangs: switches are served without it, what stands on them is on it again when it comes back, and the
//! process ends when it is asked to although the disk still hangs.
//!
//! The disk hangs for the speaker only: strace holds the one thread that writes in its fsync, until it is ended itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skerry_tests::daemons::{Daemon, said};
use skerry_tests::process::Process;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Ovs, Root, Strace, Tap};
use crate::Test;
use crate::autonomy::{BRIDGE, Connected, REGION, World};
use crate::world::unharmed;

pub const TESTS: &[Test] = &[Test(
    "hung_disk::a_speaker_whose_disk_hangs_serves_its_switches_and_ends_when_it_is_asked_to",
    &[Root, Ovs, Tap, Strace],
    hung,
)];

/// Longer than any test: it hangs until it is let go.
const HANGS: &str = "fdatasync,fsync:delay_enter=3600000000";

/// A disk that hangs for one process, from its next flush until [`Hang::end`].
struct Hang {
    strace: Process,
    log: PathBuf,
}

impl Hang {
    fn begin(world: &World, speaker: &Daemon, name: &str) -> Result<Hang> {
        let threads = PathBuf::from(format!("/proc/{}/task", speaker.process.pid()));
        let is_it = |folder: &PathBuf| fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim() == "store");
        let mut folders = fs::read_dir(&threads)?.filter_map(|entry| Some(entry.ok()?.path()));
        let thread = folders.find(is_it).context("a thread of the disk")?;
        let id = thread.file_name().context("a thread has an id")?;
        let log = world.daemons.write(name, "")?;
        let mut command = Command::new("strace");
        command.args(["-e", "trace=fdatasync,fsync", "-e", &format!("inject={HANGS}"), "-o"]);
        command.arg(&log).arg("-p").arg(id);
        let strace = world.daemons.spawn(name, command)?;
        wait::until("strace to hold the thread of the disk", DEADLINE, || {
            let status = fs::read_to_string(thread.join("status")).map_err(|e| e.to_string())?;
            let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
            match tracer.map(str::trim) {
                Some(pid) if pid == strace.pid().to_string() => Ok(()),
                other => Err(format!("{other:?}; {}", strace.last_words())),
            }
        })?;
        Ok(Hang { strace, log })
    }

    /// Waits until something is to reach the disk.
    fn holds(&self) -> Result<()> {
        wait::until("a flush that hangs", DEADLINE, || {
            let text = fs::read_to_string(&self.log).map_err(|e| e.to_string())?;
            text.contains("sync(").then_some(()).ok_or(text)
        })
    }

    fn end(self) -> Result<()> {
        self.strace.end(DEADLINE).map(drop)
    }
}

/// Waits until a metric of the speaker is this.
fn shows(world: &World, speaker: &Daemon, name: &str, label: &str, value: f64) -> Result<()> {
    wait::until(&format!("{name} {label} to be {value}"), DEADLINE, || {
        match world
            .daemons
            .metric(speaker, name, label)
            .map_err(|e| format!("{e:#}"))?
        {
            shown if shown == value => Ok(()),
            shown => Err(shown.to_string()),
        }
    })
}

fn hung() -> Result<()> {
    let mut world = World::new("")?;
    let connected = world.settle()?;
    let file = world.daemons.state_dir(REGION).join("speaker.redb");
    shows(&world, &connected.speaker, "skerry_speaker_store_up", "", 1.0)?;

    let hang = Hang::begin(&world, &connected.speaker, "hang-1")?;
    let waited = world.apply(&connected)?;
    hang.holds()?;
    let line = said(&connected.speaker.process, "the disk is given up")?;
    let cause = line["cause"].as_str().unwrap_or_default();
    ensure!(cause.starts_with("it hangs: no answer for "), "{line}");
    world.whole(&[waited], &connected.speaker)?;
    shows(&world, &connected.speaker, "skerry_speaker_store_up", "", 0.0)?;
    let given_up = "skerry_speaker_store_given_up_total";
    shows(&world, &connected.speaker, given_up, "reason=\"hung\"", 1.0)?;
    wait::until("the older state to be removed", DEADLINE, || {
        if file.exists() { Err("it is there") } else { Ok(()) }.map_err(str::to_owned)
    })?;
    let without = world.apply(&connected)?;
    world.whole(&[without], &connected.speaker)?;

    hang.end()?;
    said(&connected.speaker.process, "the disk is written again")?;
    shows(&world, &connected.speaker, "skerry_speaker_store_up", "", 1.0)?;
    // Nothing of this is sent before it is on disk.
    let stands = world.apply(&connected)?;
    world.whole(&[stands], &connected.speaker)?;
    unharmed(&connected.speaker.process)?;
    connected.speaker.process.kill()?;
    world.ovs.ofctl(&["del-flows", BRIDGE, "table=1"])?;
    let speaker = world.start_speaker()?;
    said(&speaker.process, "switch made whole from disk")?;
    world.whole(&[stands], &speaker)?;

    // Asked to end while it hangs.
    said(&speaker.process, "kafka answers")?;
    let connected = Connected { speaker, ..connected };
    let hang = Hang::begin(&world, &connected.speaker, "hang-2")?;
    world.apply(&connected)?;
    hang.holds()?;
    let process = &connected.speaker.process;
    process.signal(libc::SIGTERM)?;
    let status = PathBuf::from(format!("/proc/{}/status", process.pid()));
    wait::until("the process to have ended", DEADLINE, || {
        let text = fs::read_to_string(&status).map_err(|e| e.to_string())?;
        let state = text.lines().find(|line| line.starts_with("State:")).unwrap_or_default();
        state
            .contains('Z')
            .then_some(())
            .ok_or(format!("{state}; {}", process.last_words()))
    })?;
    // It has ended with its thread in that flush. strace hears of nothing while it holds a thread, so it has to let go of the
    // dead one before the status can be read.
    hang.end()?;
    let status = process.wait(DEADLINE)?.context("a process that ended has a status")?;
    ensure!(status.success(), "{status}: {}", process.last_words());
    said(process, "the disk hangs: what is not written is left")?;
    connected.producer.close(Duration::ZERO);
    Ok(())
}

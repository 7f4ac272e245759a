//! A child process that cannot outlive this one, and is ended by its own id only.
//!
//! It is a handle: clones mean the same process. It knows nothing of namespaces
//! beyond the file it is started in; `lab` keeps the list and ends what is left.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::sys;

/// A running (or ended) child. The process is killed when this program dies.
#[derive(Clone)]
pub struct Process(Arc<Inner>);

struct Inner {
    label: String,
    pid: u32,
    /// Readable once the process has ended; not subject to reuse of the pid.
    ended: OwnedFd,
    child: Mutex<Child>,
    log: Option<PathBuf>,
}

impl Process {
    /// Starts a program in `netns` (none: the namespace of this process). What it writes to
    /// standard error, and to standard output unless that is `piped`, goes to `log`.
    pub(crate) fn start(
        label: &str,
        netns: Option<File>,
        mut command: Command,
        log: &Path,
        piped: bool,
    ) -> Result<Process> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{}", log.display()))?;
        command.stderr(output.try_clone()?);
        if piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(output);
        }
        let child = spawn(command, netns).with_context(|| format!("starting {label}"))?;
        let ended = sys::pidfd(child.id())?;
        Ok(Process(Arc::new(Inner {
            label: label.to_owned(),
            pid: child.id(),
            ended,
            child: Mutex::new(child),
            log: Some(log.to_owned()),
        })))
    }

    /// The name it was given.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// The file with what it wrote.
    pub fn log(&self) -> Option<&Path> {
        self.0.log.as_deref()
    }

    /// The last lines of that file, for an error message.
    pub fn last_words(&self) -> String {
        /// Enough to see the cause, short enough for one message.
        const LINES: usize = 12;
        let text = self.log().and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.0.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other end of its standard input, once, if it was started with pipes.
    pub fn take_stdin(&self) -> Option<ChildStdin> {
        self.child().stdin.take()
    }

    /// The other end of its standard output, once, if it was started with pipes.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        self.child().stdout.take()
    }

    /// Whether it still runs (a stopped process runs).
    pub fn is_running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// Sends it a signal, `libc::SIGSTOP` for instance.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: i32) -> Result<()> {
        // Under the lock nobody reaps it, so the id cannot belong to somebody else yet.
        let mut child = self.child();
        if let Some(status) = child.try_wait()? {
            bail!("{} (pid {}) has ended: {status}", self.0.label, self.0.pid);
        }
        Ok(sys::kill(self.0.pid, signal)?)
    }

    /// Waits for its end. `None`: it still runs after `limit`.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub fn wait(&self, limit: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child().try_wait()? {
                return Ok(Some(status));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            sys::wait_readable(self.0.ended.as_raw_fd(), Some(left))?;
        }
    }

    /// Ends it: SIGTERM (and SIGCONT, in case it is stopped), and SIGKILL after `grace`.
    ///
    /// # Errors
    /// It does not even end by SIGKILL.
    pub fn end(&self, grace: Duration) -> Result<ExitStatus> {
        // An error means that it has ended already, which is what we want.
        let _ = self.signal(libc::SIGTERM);
        let _ = self.signal(libc::SIGCONT);
        match self.wait(grace)? {
            Some(status) => Ok(status),
            None => self.kill(),
        }
    }

    /// Ends it at once, by SIGKILL, with whatever it started: a program that is killed cannot end its own children.
    ///
    /// # Errors
    /// It does not end (it hangs in the kernel).
    pub fn kill(&self) -> Result<ExitStatus> {
        {
            // Under the lock nobody reaps it, so the group is still the one it leads.
            let mut child = self.child();
            if child.try_wait()?.is_none() {
                let _ = sys::kill_group(self.0.pid, libc::SIGKILL);
            }
        }
        match self.wait(crate::wait::DEADLINE)? {
            Some(status) => Ok(status),
            None => bail!("{} (pid {}) does not end by SIGKILL", self.0.label, self.0.pid),
        }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.0.label, self.0.pid)
    }
}

struct Order {
    command: Command,
    netns: Option<File>,
    answer: Sender<io::Result<Child>>,
}

/// Forks `command` from one thread that lives as long as this process: "die with your
/// parent" means the parent's thread, and the caller's may be a short one.
/// The child gets its own process group, so that Ctrl-C in a terminal reaches only us.
pub(crate) fn spawn(command: Command, netns: Option<File>) -> io::Result<Child> {
    static NURSERY: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for mut order in inbox {
                sys::arm_child(&mut order.command, order.netns);
                let child = order.command.process_group(0).spawn();
                // Nobody waits for the answer any more: then the child has no owner.
                if let Err(unsent) = order.answer.send(child)
                    && let Ok(mut child) = unsent.0
                {
                    let _ = child.kill().and_then(|()| child.wait());
                }
            }
        });
        Mutex::new(orders)
    });
    let (answer, outcome) = channel();
    let gone = || io::Error::other("the thread that starts children is gone");
    let orders = nursery.lock().unwrap_or_else(PoisonError::into_inner).clone();
    orders.send(Order { command, netns, answer }).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}

/// What a finished program gave.
pub(crate) struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a short program to its end, or kills it at the deadline.
pub(crate) fn run(mut command: Command, netns: Option<File>, deadline: Duration) -> Result<Outcome> {
    let name = format!("{command:?}");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(command, netns).with_context(|| format!("starting {name}"))?;
    let ended = sys::pidfd(child.id())?;
    // Both are read beside the wait: a program that fills a pipe must not hang.
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let end = Instant::now() + deadline;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = child.kill();
            child.wait()?;
            bail!("{name} did not end within {deadline:?}");
        }
        sys::wait_readable(ended.as_raw_fd(), Some(left))?;
    };
    let text = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Outcome {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

fn collect(mut from: impl io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is still worth showing.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

//! Cleans up after a lab whose program was killed.
//!
//! A small process of its own, `skerry-janitor`, that outlives the program on purpose, the
//! only one that does. It waits for the end of the program; when the lab was taken down
//! before, there is nothing to do. When it is killed too, the next run cleans up
//! (`Lab::clean_leftovers`), so a lab works without it, as in a build without programs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::wait::{self, DEADLINE};
use crate::{sys, tool};

/// Name of the program.
const PROGRAM: &str = "skerry-janitor";

/// A waiting janitor, as its lab sees it.
pub(crate) struct Janitor {
    child: Child,
    /// The kernel closes it when this program dies.
    pipe: Option<ChildStdin>,
}

impl Janitor {
    /// Starts one for a lab; none if the program is not built.
    pub(crate) fn start(lab: &str, log: &Path) -> Result<Option<Janitor>> {
        let Ok(program) = tool::path(PROGRAM) else {
            return Ok(None);
        };
        let mut command = Command::new(program);
        command
            .arg(lab)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(log)?);
        // In its own group, so that Ctrl-C in a terminal does not reach it.
        let mut child = command.process_group(0).spawn().context(PROGRAM)?;
        let pipe = child.stdin.take();
        Ok(Some(Janitor { child, pipe }))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it home.
    pub(crate) fn dismiss(mut self) -> Result<()> {
        if let Some(mut pipe) = self.pipe.take() {
            // An error means that it is gone already.
            let _ = pipe.write_all(b"\n");
        }
        self.child.wait()?;
        Ok(())
    }
}

/// The program: waits for a word on standard input, or for the end of the lab's owner.
///
/// # Errors
/// Something could not be removed.
pub fn serve(lab: &str) -> Result<()> {
    let owner = Lab::owner(lab).with_context(|| format!("not a lab's name: {lab:?}"))?;
    // Taken while the owner certainly lives: it waits for our start.
    let owner = sys::pidfd(owner);
    if let Ok(1..) = std::io::stdin().read(&mut [0]) {
        return Ok(());
    }
    // The pipe is closed a moment before the process has ended.
    if let Ok(owner) = owner {
        sys::wait_readable(owner.as_raw_fd(), Some(DEADLINE))?;
    }
    // Children die with their parent, but not in the same instant: files may still come.
    wait::until_ok("cleaning up", DEADLINE, || Lab::clean(lab))
}

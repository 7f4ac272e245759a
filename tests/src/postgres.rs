//! A PostgreSQL of a lab's own: it listens on a socket in the lab's folder only, and is gone with the lab.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lab::Lab;
use crate::process::Process;
use crate::{sys, wait};

/// How long it may take to start or to end, on a machine that does something else as well.
const DEADLINE: Duration = Duration::from_secs(60);
/// Where Debian keeps the programs, one folder for each major version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The folder of the newest version's programs, if one is installed.
pub fn programs() -> Option<PathBuf> {
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir(VERSIONS).ok()?.flatten().map(|entry| entry.path());
    let newest = versions
        .filter(|path| path.join("bin/initdb").is_file())
        .max_by_key(|path| number(path))?;
    Some(newest.join("bin"))
}

/// A running server.
pub struct Postgres<'a> {
    lab: &'a Lab,
    programs: PathBuf,
    folder: PathBuf,
    /// Its process.
    pub process: Process,
}

impl<'a> Postgres<'a> {
    /// Starts one with nothing in it, and waits until it serves.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(lab: &'a Lab) -> Result<Postgres<'a>> {
        let programs = programs().with_context(|| format!("no PostgreSQL in {VERSIONS} (package postgresql)"))?;
        let folder = lab.folder().join("postgres");
        std::fs::create_dir(&folder)?;
        if let Some((user, group)) = other_user()? {
            chown(&folder, Some(user), Some(group))?;
            // It has to get there, too.
            std::fs::set_permissions(lab.folder(), std::fs::Permissions::from_mode(0o711))?;
        }
        let mut make = command(&programs, "initdb")?;
        make.args([
            "--auth=trust",
            "--username=skerry",
            "--encoding=UTF8",
            "--no-sync",
            "--pgdata",
        ]);
        lab.run_command(None, {
            make.arg(folder.join("data"));
            make
        })
        .context("initdb")?;
        let process = serve(lab, &programs, &folder)?;
        Ok(Postgres {
            lab,
            programs,
            folder,
            process,
        })
    }

    /// Makes a database and gives its URL.
    ///
    /// # Errors
    /// There is one of this name.
    pub fn database(&self, name: &str) -> Result<String> {
        self.sql(&format!("CREATE DATABASE \"{name}\""))?;
        // A folder as host is a socket; it must not look like the host of a URL.
        let socket = self.folder.display().to_string().replace('/', "%2F");
        Ok(format!("postgres://skerry@{socket}/{name}"))
    }

    /// Ends it as an operator does, and starts it again on the same data.
    ///
    /// # Errors
    /// It does not end or start.
    pub fn restart(&mut self, between: impl FnOnce() -> Result<()>) -> Result<()> {
        // "Fast": connections are ended, transactions rolled back.
        self.process.signal(libc::SIGINT)?;
        wait::until("PostgreSQL to end", DEADLINE, || match self.process.is_running() {
            true => Err(self.process.last_words()),
            false => Ok(()),
        })?;
        between()?;
        self.process = serve(self.lab, &self.programs, &self.folder)?;
        Ok(())
    }

    /// Does one statement.
    ///
    /// # Errors
    /// What the server says.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let mut ask = command(&self.programs, "psql")?;
        ask.args([
            "-X", "-q", "-At", "-U", "skerry", "-d", "postgres", "-c", statement, "-h",
        ]);
        self.lab.run_command(None, {
            ask.arg(&self.folder);
            ask
        })
    }
}

fn serve(lab: &Lab, programs: &Path, folder: &Path) -> Result<Process> {
    let mut serve = command(programs, "postgres")?;
    serve.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    // No address; and what it keeps need not survive a crash of the machine.
    for setting in ["listen_addresses=", "fsync=off", "max_connections=50"] {
        serve.args(["-c", setting]);
    }
    let process = lab.spawn(None, "postgres", serve)?;
    let mut ready = || {
        if !process.is_running() {
            return Ok(Err(process.last_words()));
        }
        let mut ask = command(programs, "pg_isready").map_err(|e| e.to_string())?;
        ask.arg("-q").arg("-h").arg(folder);
        match lab.run_command(None, ask) {
            Ok(_) => Ok(Ok(())),
            Err(_) => Err(process.last_words()),
        }
    };
    wait::until("PostgreSQL to serve", DEADLINE, &mut ready)?.or_else(|words| bail!("PostgreSQL ended:\n{words}"))?;
    Ok(process)
}

/// Its programs refuse to be run by root.
fn command(programs: &Path, name: &str) -> Result<Command> {
    let mut command = Command::new(programs.join(name));
    command.current_dir("/");
    if let Some((user, group)) = other_user()? {
        command.uid(user).gid(group);
    }
    Ok(command)
}

/// User and group to run as, if this is root: those that the package made.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !sys::is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let fields: Option<Vec<&str>> = users
        .lines()
        .map(|l| l.split(':').collect())
        .find(|f: &Vec<_>| f[0] == "postgres");
    match fields.as_deref() {
        Some([_, _, user, group, ..]) => Ok(Some((user.parse()?, group.parse()?))),
        _ => bail!("there is no user postgres (package postgresql)"),
    }
}

//! `skerry broker`: the trial broker, for one machine.
//!
//! It is librdkafka's mock cluster in this process: clients reach it through the same library as a real cluster, so
//! there is one code path. What it does not do it says at start, because whoever mistakes it for Kafka loses data.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::Context as _;
use rdkafka::mocking::MockCluster;
use skerry_bus::topic::PARTITIONS_TRIAL;

/// What is said at start, on standard error.
const LIMITS: &str = "\
trial broker: for trying Skerry out on one machine, not for keeping anything.
  - it keeps nothing on disk: what was written is gone when it ends
  - it keeps at most 5 MB or 100,000 batches a partition, then the oldest go
  - a topic is made by its first use, with 4 partitions: set kafka.partitions = 4 in speaker and router
  - it does not wake a waiting reader: set kafka.fetch_wait_max_ms = 5
  - no administration calls, no compaction, no transactions, no users, no replicas
  - it listens on loopback only, at a free port";

/// Options of `skerry broker`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BrokerArgs {
    /// Write the address to this file, whole or not at all, and remove it at the end. Speaker, router and command
    /// read it with `bootstrap = "file:PATH"`, again whenever nobody answers.
    #[arg(long, value_name = "PATH")]
    pub address_file: Option<PathBuf>,
    /// End also when standard input is closed, so that a program that starts it need not remember to end it.
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Run until SIGTERM, SIGINT, or the end of standard input if that is asked for. The address goes to standard output,
/// alone on its line.
///
/// # Errors
/// No port could be had, or the address file cannot be written.
pub fn run(args: &BrokerArgs) -> anyhow::Result<()> {
    // Signals are heard from before the address is known, so that nobody can end it in a way that leaves the file.
    let ends = ends(args.until_stdin_closes)?;
    let broker = MockCluster::new(1).context("the trial broker cannot start")?;
    let address = broker.bootstrap_servers();
    debug_assert_eq!(PARTITIONS_TRIAL, 4, "what is said above");
    eprintln!("{LIMITS}");
    let file = args
        .address_file
        .as_deref()
        .map(|path| AddressFile::write(path, &address))
        .transpose()?;
    println!("{address}");
    // Whoever reads it may be gone, which is no reason to end.
    let _ = std::io::stdout().flush();
    let reason = ends.recv().unwrap_or("nobody is left to end it");
    drop(file);
    eprintln!("trial broker ends: {reason}");
    Ok(())
}

/// What tells the end.
fn ends(stdin: bool) -> anyhow::Result<mpsc::Receiver<&'static str>> {
    let (sender, ends) = mpsc::channel();
    skerry_io::shutdown::Shutdown::tell(sender.clone())?;
    if stdin {
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut nothing = [0; 256];
            while matches!(std::io::stdin().read(&mut nothing), Ok(n) if n > 0) {}
            let _ = sender.send("standard input was closed");
        })?;
    }
    Ok(ends)
}

/// The file with the address; removed when it is dropped, if it still is ours.
#[derive(Debug)]
struct AddressFile {
    path: PathBuf,
    address: String,
}

impl AddressFile {
    /// Written under another name and renamed, so that a reader sees all of it or none.
    fn write(path: &Path, address: &str) -> anyhow::Result<Self> {
        let mut name = path.file_name().context("--address-file needs a file name")?.to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = path.with_file_name(name);
        let written = std::fs::write(&new, format!("{address}\n")).and_then(|()| std::fs::rename(&new, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written.with_context(|| format!("the address cannot be written to {}", path.display()))?;
        Ok(AddressFile {
            path: path.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // A broker started later may have written its own there.
        let ours = std::fs::read_to_string(&self.path).is_ok_and(|text| text.trim() == self.address);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            eprintln!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_file_goes_with_its_broker_but_not_with_another() {
        let path = std::env::temp_dir().join(format!("skerry-address-{}", std::process::id()));
        let file = AddressFile::write(&path, "127.0.0.1:1").expect("a temporary file");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "127.0.0.1:1\n");
        let later = AddressFile::write(&path, "127.0.0.1:2").expect("a temporary file");
        drop(file);
        assert!(path.exists(), "it is the later one's");
        drop(later);
        assert!(!path.exists());
        assert!(AddressFile::write(Path::new("no/such/folder/file"), "a:1").is_err());
    }
}

//! OpenFlow as it was on the wire: what the switches and their controllers really said.
//!
//! A capture (tcpdump's or that of `skerry sim`, so that the file can be looked at with other
//! tools too) of TCP connections, put together per direction and cut into frames.
//! It judges nothing; it finds frames and the answers to them. Times are those of the
//! capture, on the machine's wall clock.

mod bundle;
mod conversations;
mod frame;
mod tcp;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use pcap_file::PcapError;
use pcap_file::pcap::PcapParser;

use crate::lab::Lab;
use crate::process::Process;
use crate::wait::{self, DEADLINE};

pub use conversations::{Connection, Conversations};
pub use frame::{Answer, Frame, GroupCommand, GroupMod, IS_SLAVE, STALE, kind};

/// Bytes of a packet that are captured. A lab's cables have no offloads, so none is longer.
const PACKET_BYTES: &str = "2048";

/// KiB for packets that tcpdump has not read yet: some 30,000.
const BUFFER_KIB: &str = "65536";

/// A point in time of a capture: since 1970, on the machine's wall clock.
pub type Moment = Duration;

/// Now, to compare with the times of frames.
pub fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A running capture and all that was read from it so far.
pub struct Wire {
    /// Writes the file.
    writer: Process,
    file: PathBuf,
    reader: File,
    unread: Vec<u8>,
    parser: Option<PcapParser>,
    conversations: Conversations,
}

impl Wire {
    /// Captures the TCP connections to `controller_ports` on an interface; what is sent
    /// after this returns is seen.
    ///
    /// # Errors
    /// tcpdump is not installed or does not start.
    pub fn start(lab: &Lab, netns: &str, interface: &str, controller_ports: &[u16]) -> Result<Wire> {
        ensure!(!controller_ports.is_empty(), "a capture without ports");
        let file = lab.folder().join(format!("openflow-{netns}-{interface}.pcap"));
        let ports: Vec<String> = controller_ports.iter().map(|port| format!("tcp port {port}")).collect();
        let mut command = Command::new("tcpdump");
        // In immediate mode the kernel's buffer is cut into slots for the longest packet that is captured whole: with
        // the usual 256 KiB, 256 packets fill it, which a machine that is busy for a moment does not read in time.
        command.args(["-i", interface, "-n", "-s", PACKET_BYTES, "-U", "--immediate-mode"]);
        command.args(["-B", BUFFER_KIB, "-Z", "root", "-w"]);
        command.arg(&file).arg(ports.join(" or "));
        let tcpdump = lab.spawn(Some(netns), &format!("tcpdump-{netns}-{interface}"), command)?;
        wait::until("start of tcpdump", DEADLINE, || match tcpdump.last_words() {
            words if words.contains("listening on") && file.exists() => Ok(()),
            words => Err(words),
        })?;
        Wire::written_by(tcpdump, file, controller_ports)
    }

    /// Reads the capture that a program writes to `file`.
    ///
    /// # Errors
    /// There is no such file.
    pub fn written_by(writer: Process, file: PathBuf, controller_ports: &[u16]) -> Result<Wire> {
        let reader = File::open(&file)?;
        let conversations = Conversations::of(controller_ports);
        Ok(Wire {
            writer,
            file,
            reader,
            unread: Vec::new(),
            parser: None,
            conversations,
        })
    }

    /// The pcap file, in the lab's folder.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads what was captured since the last time.
    ///
    /// # Errors
    /// What writes the file ended, the file is not what it should be, or packets are missing in it.
    pub fn update(&mut self) -> Result<()> {
        // Asked before reading: what it wrote last is then read all the same.
        let ended = !self.writer.is_running();
        self.advance()?;
        ensure!(!ended, "{:?} ended: {}", self.writer, self.writer.last_words());
        // What is judged by the capture would be judged wrong, whatever it is.
        let gap = self
            .conversations
            .connections()
            .iter()
            .find(|one| one.unreadable.as_deref() == Some(tcp::BYTES_MISSING));
        ensure!(gap.is_none(), "the capture is not whole: {gap:?}");
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.reader.read_to_end(&mut self.unread)?;
        let mut rest = &self.unread[..];
        if self.parser.is_none() {
            match PcapParser::new(rest) {
                Ok((after, parser)) => (rest, self.parser) = (after, Some(parser)),
                Err(PcapError::IncompleteBuffer) => return Ok(()),
                Err(error) => bail!("{}: {error}", self.file.display()),
            }
        }
        while let Some(parser) = &self.parser {
            match parser.next_packet(rest) {
                Ok((after, packet)) => {
                    rest = after;
                    ensure!(
                        packet.data.len() == packet.orig_len as usize,
                        "a packet of {} bytes was cut to {}",
                        packet.orig_len,
                        packet.data.len()
                    );
                    self.conversations.packet(packet.timestamp, &packet.data)?;
                }
                Err(PcapError::IncompleteBuffer) => break,
                Err(error) => bail!("{}: {error}", self.file.display()),
            }
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    /// Reads on until `probe` finds what it looks for; it answers with what it saw instead.
    ///
    /// # Errors
    /// Not found within [`DEADLINE`], or reading failed.
    pub fn wait_for<T>(&mut self, what: &str, mut probe: impl FnMut(&Conversations) -> Result<T, String>) -> Result<T> {
        wait::until(what, DEADLINE, || {
            self.update().map_err(|error| format!("{error:#}"))?;
            probe(&self.conversations).map_err(|seen| match self.conversations.waiting() {
                0 => seen,
                waiting => format!("{seen} ({waiting} captured segments wait for one before them)"),
            })
        })
    }

    /// What was read so far, after reading what is there.
    ///
    /// # Errors
    /// As [`Wire::update`].
    pub fn read(&mut self) -> Result<&Conversations> {
        self.update()?;
        Ok(&self.conversations)
    }

    /// Ends tcpdump and reads the rest.
    ///
    /// # Errors
    /// The file is not what it should be, or the kernel dropped packets.
    pub fn stop(&mut self) -> Result<&Conversations> {
        self.writer.end(DEADLINE)?;
        let words = self.writer.last_words();
        self.advance()?;
        ensure!(words.contains("\n0 packets dropped by kernel"), "tcpdump: {words}");
        Ok(&self.conversations)
    }
}

//! What was said between switches and controllers, written as a capture that other tools read: `skerry ofp decode`,
//! Wireshark, `tcpdump -r`.
//!
//! The file is a pcap of Ethernet frames with TCP as it would have been on a wire; addresses and ports are the real ones,
//! sequence numbers begin at 0.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::switch::ConnId;

/// Bytes of a capture. A run of hours fits; then it ends, and says so.
const BYTES_MAX: u64 = 1 << 30;
/// Bytes of one segment, below what an IPv4 packet can hold.
const SEGMENT_MAX: usize = 60_000;

const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const ACK: u8 = 0x10;

/// Both ends of a connection and how many bytes each has said.
#[derive(Debug)]
struct Ends {
    switch: SocketAddr,
    controller: SocketAddr,
    said: [u32; 2],
}

/// A growing file.
#[derive(Debug)]
pub struct Capture {
    file: BufWriter<File>,
    written: u64,
    connections: BTreeMap<ConnId, Ends>,
}

impl Capture {
    /// Begins a file; one that is there is replaced.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Capture> {
        let mut file = BufWriter::new(File::create(path)?);
        // pcap 2.4, microseconds, Ethernet, this machine's order of bytes told by the magic number.
        file.write_all(&0xa1b2_c3d4u32.to_ne_bytes())?;
        file.write_all(&2u16.to_ne_bytes())?;
        file.write_all(&4u16.to_ne_bytes())?;
        for word in [0, 0, 0x0004_0000, 1u32] {
            file.write_all(&word.to_ne_bytes())?;
        }
        file.flush()?;
        Ok(Capture {
            file,
            written: 0,
            connections: BTreeMap::new(),
        })
    }

    /// A connection is made.
    ///
    /// # Errors
    /// The file cannot be written or is full.
    pub fn opened(&mut self, conn: ConnId, switch: SocketAddr, controller: SocketAddr) -> io::Result<()> {
        let ends = Ends {
            switch,
            controller,
            said: [0; 2],
        };
        self.connections.insert(conn, ends);
        for from_switch in [true, false] {
            self.segment(conn, from_switch, SYN, &[])?;
        }
        Ok(())
    }

    /// One side says something.
    ///
    /// # Errors
    /// As [`Capture::opened`].
    pub fn said(&mut self, conn: ConnId, from_switch: bool, bytes: &[u8]) -> io::Result<()> {
        bytes
            .chunks(SEGMENT_MAX)
            .try_for_each(|part| self.segment(conn, from_switch, ACK, part))
    }

    /// A connection ends.
    ///
    /// # Errors
    /// As [`Capture::opened`].
    pub fn closed(&mut self, conn: ConnId) -> io::Result<()> {
        self.segment(conn, true, FIN | ACK, &[])?;
        self.connections.remove(&conn);
        Ok(())
    }

    /// Hands what was written to whoever reads the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn segment(&mut self, conn: ConnId, from_switch: bool, flags: u8, payload: &[u8]) -> io::Result<()> {
        let Some(ends) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        let (from, to) = match from_switch {
            true => (ends.switch, ends.controller),
            false => (ends.controller, ends.switch),
        };
        let [mine, theirs] = match from_switch {
            true => ends.said,
            false => [ends.said[1], ends.said[0]],
        };
        let advance = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let said = &mut ends.said[usize::from(!from_switch)];
        *said = said.wrapping_add(advance);
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        ip_header(&mut frame, from.ip(), to.ip(), 20 + payload.len());
        frame.extend(from.port().to_be_bytes());
        frame.extend(to.port().to_be_bytes());
        frame.extend(mine.to_be_bytes());
        frame.extend(theirs.to_be_bytes());
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);
        self.written += frame.len() as u64 + 16;
        if self.written > BYTES_MAX {
            return Err(io::Error::other(format!(
                "the capture has {BYTES_MAX} bytes and ends here"
            )));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = frame.len() as u32;
        for word in [now.as_secs() as u32, now.subsec_micros(), length, length] {
            self.file.write_all(&word.to_ne_bytes())?;
        }
        self.file.write_all(&frame)
    }
}

/// EtherType and IP header. Checksums are left out: readers take 0 for one that the network card would have made.
fn ip_header(frame: &mut Vec<u8>, from: IpAddr, to: IpAddr, length: usize) {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + length as u16).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        (from, to) => {
            let six = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((length as u16).to_be_bytes());
            frame.extend([6, 64]);
            frame.extend(six(from).octets());
            frame.extend(six(to).octets());
        }
    }
}

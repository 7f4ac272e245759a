//! Frames out of a capture file: pcap and pcapng.

use std::io::Read;

use bytes::Bytes;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

use super::codec::Malformed;
use super::packet;
use super::tcp::{Found, Streams};
use crate::failure::Failure;

/// Formats of capture files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The classic one, either byte order, microseconds or nanoseconds.
    Pcap,
    /// The newer one.
    PcapNg,
}

impl Kind {
    /// The format that a file of these first bytes has; none: it is no capture.
    pub fn of(magic: &[u8]) -> Option<Self> {
        match *magic {
            [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x4d, 0x3c, 0xb2, 0xa1] => Some(Kind::Pcap),
            [0x0a, 0x0d, 0x0d, 0x0a] => Some(Kind::PcapNg),
            _ => None,
        }
    }
}

/// Reads a capture and tells `print` each frame as it becomes whole.
pub fn frames(
    kind: Kind,
    input: impl Read,
    print: &mut impl FnMut(Result<Bytes, Malformed>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = Reader::default();
    let ended = match kind {
        Kind::Pcap => pcap(input, &mut reader, print)?,
        Kind::PcapNg => pcapng(input, &mut reader, print)?,
    };
    reader.streams.finish(&mut reader.found);
    reader.print(print)?;
    if reader.unknown_links > 0 {
        eprintln!(
            "skerry: {} packets of other link types were passed over",
            reader.unknown_links
        );
    }
    match ended {
        Ok(()) => Ok(()),
        Err(e) => Err(Failure::Failed(format!("the capture cannot be read any further: {e}"))),
    }
}

#[derive(Debug, Default)]
struct Reader {
    streams: Streams,
    found: Vec<Found>,
    unknown_links: u64,
}

impl Reader {
    fn packet(&mut self, link: DataLink, data: &[u8]) {
        let link = u32::from(link);
        if let Some(segment) = packet::segment(link, data) {
            self.streams.take(&segment, &mut self.found);
        } else if !packet::is_known(link) {
            self.unknown_links += 1;
        }
    }

    fn print(&mut self, print: &mut impl FnMut(Found) -> Result<(), Failure>) -> Result<(), Failure> {
        self.found.drain(..).try_for_each(print)
    }
}

type Ended = Result<Result<(), PcapError>, Failure>;

fn pcap(input: impl Read, reader: &mut Reader, print: &mut impl FnMut(Found) -> Result<(), Failure>) -> Ended {
    let mut file = match PcapReader::new(input) {
        Ok(file) => file,
        Err(e) => return Ok(Err(e)),
    };
    let link = file.header().datalink;
    // Raw packets: their times are of no use here, so they need not be right.
    while let Some(packet) = file.next_raw_packet() {
        match packet {
            Ok(packet) => reader.packet(link, &packet.data),
            Err(e) => return Ok(Err(e)),
        }
        reader.print(print)?;
    }
    Ok(Ok(()))
}

fn pcapng(input: impl Read, reader: &mut Reader, print: &mut impl FnMut(Found) -> Result<(), Failure>) -> Ended {
    let mut file = match PcapNgReader::new(input) {
        Ok(file) => file,
        Err(e) => return Ok(Err(e)),
    };
    let mut links: Vec<DataLink> = Vec::new();
    while let Some(block) = file.next_block() {
        let block = match block {
            Ok(block) => block,
            Err(e) => return Ok(Err(e)),
        };
        let link = |id: u32| links.get(id as usize).copied();
        match block {
            // Interfaces are numbered anew in each section.
            Block::SectionHeader(_) => links.clear(),
            Block::InterfaceDescription(interface) => links.push(interface.linktype),
            Block::EnhancedPacket(packet) => {
                if let Some(link) = link(packet.interface_id) {
                    reader.packet(link, &packet.data);
                }
            }
            Block::SimplePacket(packet) => {
                if let Some(link) = link(0) {
                    reader.packet(link, &packet.data);
                }
            }
            Block::Packet(packet) => {
                if let Some(link) = link(packet.interface_id.into()) {
                    reader.packet(link, &packet.data);
                }
            }
            Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::Unknown(_) => {}
        }
        reader.print(print)?;
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed unless the runner of the tests gives another; printed with each failure.
    const SEED: u64 = 0x00c0_ffee;

    /// Blocks of a small capture of either format, with one TCP segment on port 6653.
    fn capture(kind: Kind) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend([
            0x08, 0x00, 0x45, 0, 0, 48, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ]);
        packet.extend([
            0x19, 0xfd, 0x9c, 0x40, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0,
        ]);
        packet.extend([4, 20, 0, 8, 0, 0, 0, 1]);
        let length = packet.len() as u8;
        match kind {
            Kind::Pcap => {
                let mut file = vec![
                    0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0,
                ];
                file.extend([1, 0, 0, 0, 0, 0, 0, 0, length, 0, 0, 0, length, 0, 0, 0]);
                file.extend(packet);
                file
            }
            Kind::PcapNg => {
                let mut file = vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0];
                file.extend([0xff; 8]);
                file.extend([28, 0, 0, 0]);
                // An interface with an option (the resolution of its times).
                file.extend([1, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0, 0]);
                file.extend([9, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0]);
                packet.resize(packet.len().next_multiple_of(4), 0);
                let whole = packet.len() as u8 + 32;
                file.extend([
                    6, 0, 0, 0, whole, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, length, 0, 0, 0, length, 0, 0, 0,
                ]);
                file.extend(packet);
                file.extend([whole, 0, 0, 0]);
                file
            }
        }
    }

    fn read(kind: Kind, file: &[u8]) -> (usize, bool) {
        let mut good = 0;
        let end = frames(kind, file, &mut |found| {
            good += usize::from(found.is_ok());
            Ok(())
        });
        (good, end.is_ok())
    }

    #[test]
    fn a_capture_with_random_bytes_in_it_ends_without_a_panic() {
        for kind in [Kind::Pcap, Kind::PcapNg] {
            let file = capture(kind);
            assert_eq!(read(kind, &file), (1, true));
            let given = std::env::var("PROPTEST_RNG_SEED")
                .ok()
                .and_then(|text| text.parse().ok());
            let seed: u64 = given.unwrap_or(SEED);
            println!("seed {seed}");
            // Nothing comes of zero.
            let mut state = seed | 1;
            let mut random = |below: usize| {
                // xorshift64, which needs no crate.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % below as u64) as usize
            };
            for _ in 0..3_000 {
                let mut file = file.clone();
                for _ in 0..=random(4) {
                    let at = random(file.len());
                    file[at] = [0, 0xff, 0x80, random(256) as u8][random(4)];
                }
                file.truncate(file.len() - random(3) * random(file.len()) / 3);
                read(kind, &file);
            }
        }
    }
}

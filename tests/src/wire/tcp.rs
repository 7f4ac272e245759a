//! TCP segments of a capture, put back in order. One direction of one connection at a time.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Segments that may wait for a missing one. On a cable between two namespaces nothing is
/// lost; more waiting means that the capture itself has a hole.
const WAITING_MAX: usize = 1_024;

/// One segment.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Number of the first byte.
    pub number: u32,
    /// It opens its direction.
    pub syn: bool,
    /// It ends its direction.
    pub fin: bool,
    /// It ends both.
    pub rst: bool,
    /// The bytes.
    pub payload: &'a [u8],
}

/// Reads an Ethernet frame with TCP over IPv4 or IPv6 and no tags.
pub fn parse(frame: &[u8]) -> Option<Segment<'_>> {
    let ip = frame.get(14..)?;
    let (from, to, tcp) = match (frame[12], frame[13]) {
        (0x08, 0x00) => {
            let header = usize::from(*ip.first()? & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes(array(ip, 2)?));
            let fragment = u16::from_be_bytes(array(ip, 6)?) & 0x3fff;
            if *ip.get(9)? != 6 || fragment != 0 {
                return None;
            }
            let (from, to) = (Ipv4Addr::from(array::<4>(ip, 12)?), Ipv4Addr::from(array::<4>(ip, 16)?));
            // Behind the packet the frame may be padded. A length of 0: segmented by the kernel later.
            let end = if total == 0 { ip.len() } else { total.min(ip.len()) };
            (IpAddr::V4(from), IpAddr::V4(to), ip.get(header..end)?)
        }
        (0x86, 0xdd) => {
            if *ip.get(6)? != 6 {
                return None;
            }
            let (from, to) = (
                Ipv6Addr::from(array::<16>(ip, 8)?),
                Ipv6Addr::from(array::<16>(ip, 24)?),
            );
            let length = usize::from(u16::from_be_bytes(array(ip, 4)?));
            let end = if length == 0 {
                ip.len()
            } else {
                (40 + length).min(ip.len())
            };
            (IpAddr::V6(from), IpAddr::V6(to), ip.get(40..end)?)
        }
        _ => return None,
    };
    let flags = *tcp.get(13)?;
    let payload = tcp.get(usize::from(*tcp.get(12)? >> 4) * 4..)?;
    Some(Segment {
        from: SocketAddr::new(from, u16::from_be_bytes(array(tcp, 0)?)),
        to: SocketAddr::new(to, u16::from_be_bytes(array(tcp, 2)?)),
        number: u32::from_be_bytes(array(tcp, 4)?),
        syn: flags & 0x02 != 0,
        fin: flags & 0x01 != 0,
        rst: flags & 0x04 != 0,
        payload,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Why a direction cannot be read any further when the capture lost packets.
pub const BYTES_MISSING: &str = "bytes are missing in the capture";

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Direction {
    /// Number of the SYN.
    first: Option<u32>,
    /// Number of the next byte to give.
    next: u32,
    waiting: Vec<(u32, Vec<u8>)>,
    ready: VecDeque<Vec<u8>>,
}

impl Direction {
    /// Whether this SYN is the one it began with.
    pub fn starts_at(&self, segment: &Segment<'_>) -> bool {
        self.first == Some(segment.number)
    }

    /// Takes a segment; its bytes come out of [`Direction::next`] once all before them did.
    ///
    /// # Errors
    /// Bytes are missing that do not come any more, or the beginning was not seen.
    pub fn take(&mut self, segment: &Segment<'_>) -> Result<(), &'static str> {
        if segment.syn {
            if self.first.is_none() {
                self.first = Some(segment.number);
                // The SYN counts as a byte.
                self.next = segment.number.wrapping_add(1);
            }
            return Ok(());
        }
        if self.first.is_none() {
            return Err("the beginning of a direction was not captured");
        }
        if segment.payload.is_empty() {
            return Ok(());
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(BYTES_MISSING);
        }
        self.waiting.push((segment.number, segment.payload.to_vec()));
        // Each turn gives at least one of them, so this ends.
        while let Some(at) = self.waiting.iter().position(|(number, _)| self.skip(*number).is_some()) {
            let (number, bytes) = self.waiting.swap_remove(at);
            let skip = self.skip(number).unwrap_or_default();
            if let Some(new) = bytes.get(skip..).filter(|new| !new.is_empty()) {
                self.next = self.next.wrapping_add(new.len() as u32);
                self.ready.push_back(new.to_vec());
            }
        }
        Ok(())
    }

    /// Segments that wait for bytes before them.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many bytes of a segment with this number were given before; none if it lies ahead.
    fn skip(&self, number: u32) -> Option<usize> {
        // Numbers wrap: within half their range a difference tells before from after.
        let behind = self.next.wrapping_sub(number);
        (behind < 1 << 31).then_some(behind as usize)
    }

    /// The next bytes, in order.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packets of a connection from 10.0.0.2:40000 to 10.0.0.1:6653.
    pub struct Talk {
        numbers: [u32; 2],
        pub packets: Vec<Vec<u8>>,
    }

    impl Talk {
        pub fn open() -> Talk {
            // The controller's numbers wrap soon.
            Talk::open_at(1_000)
        }

        pub fn open_at(number: u32) -> Talk {
            let mut talk = Talk {
                numbers: [number, u32::MAX - 3],
                packets: Vec::new(),
            };
            for side in 0..2 {
                let packet = packet(side == 0, talk.numbers[side], 0x02, &[]);
                talk.numbers[side] = talk.numbers[side].wrapping_add(1);
                talk.packets.push(packet);
            }
            talk
        }

        pub fn switch_says(&mut self, bytes: &[u8]) {
            self.says(0, bytes);
        }

        pub fn controller_says(&mut self, bytes: &[u8]) {
            self.says(1, bytes);
        }

        fn says(&mut self, side: usize, bytes: &[u8]) {
            self.packets.push(packet(side == 0, self.numbers[side], 0x10, bytes));
            self.numbers[side] = self.numbers[side].wrapping_add(bytes.len() as u32);
        }
    }

    fn packet(from_switch: bool, number: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend([8, 0, 0x45, 0]);
        packet.extend((40 + payload.len() as u16).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        let ends = [([10, 0, 0, 2], 40_000_u16), ([10, 0, 0, 1], 6_653)];
        let (from, to) = if from_switch {
            (ends[0], ends[1])
        } else {
            (ends[1], ends[0])
        };
        packet.extend(from.0);
        packet.extend(to.0);
        packet.extend(from.1.to_be_bytes());
        packet.extend(to.1.to_be_bytes());
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        packet.extend(payload);
        // Ethernet pads short frames.
        packet.resize(packet.len().max(60), 0);
        packet
    }

    fn all(direction: &mut Direction) -> Vec<u8> {
        std::iter::from_fn(|| direction.next()).flatten().collect()
    }

    proptest! {
        /// Cut anyhow, shuffled anyhow, some pieces twice and overlapping: the same bytes come out.
        #[test]
        fn bytes_come_out_in_order(
            length in 1usize..200,
            first in any::<u32>(),
            pieces in proptest::collection::vec((0usize..200, 1usize..60), 0..40),
        ) {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut direction = Direction::default();
            direction.take(&parse(&packet(true, first, 0x02, &[])).expect("a SYN")).expect("a SYN");
            let mut say = |from: usize, to: usize| {
                let packet = packet(true, first.wrapping_add(1 + from as u32), 0x10, &bytes[from..to]);
                direction.take(&parse(&packet).expect("a segment")).expect("few segments");
            };
            for (from, size) in pieces {
                let from = from.min(length - 1);
                say(from, (from + size).min(length));
            }
            // What was not said yet comes at the end, in pieces of 50.
            for from in (0..length).step_by(50) {
                say(from, (from + 50).min(length));
            }
            prop_assert_eq!(all(&mut direction), bytes);
        }

        #[test]
        fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..90), cut in 0usize..60) {
            parse(&bytes);
            parse(&packet(true, 0, 0, b"hello")[..cut]);
        }
    }

    #[test]
    fn a_hole_is_told_after_a_while_and_not_filled() {
        let mut direction = Direction::default();
        direction
            .take(&parse(&packet(true, 0, 0x02, &[])).expect("a SYN"))
            .expect("a SYN");
        for number in 0..WAITING_MAX as u32 {
            let packet = packet(true, 100 + number, 0x10, &[1]);
            assert_eq!(direction.take(&parse(&packet).expect("a segment")), Ok(()));
        }
        let packet = packet(true, 50, 0x10, &[1]);
        assert!(direction.take(&parse(&packet).expect("a segment")).is_err());
        assert!(all(&mut direction).is_empty());
    }
}

//! The packets that switches make up: OFPT_PACKET_IN messages, written once and then copied with what differs.
//!
//! ```text
//! packet-in   header 8 | buffer, length, reason, table, cookie 16 | match with in_port 16 | pad 2 | packet
//! packet      Ethernet 14 | IPv4 and UDP, or ARP 28 | "skryload" 8 | number 4 | filling
//! ```
//!
//! The mark and the number are how an answer is known: a packet-out has the packet in it, a flow-mod the addresses.

use bytes::{Bytes, BytesMut};
use clap::ValueEnum;
use ofproto::{Body, Match, Message, NO_BUFFER, Oxm, PacketIn, PacketInReason, PortNo, TableId};
use skerry_network::layout::{DISCOVERY_MAC, DISCOVERY_UDP};

/// What the packets look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// UDP from one of the hosts to an address that no host has: a learning controller floods.
    Unknown,
    /// UDP from each host to the one before it, at another port: a learning controller writes a rule.
    Known,
    /// ARP requests.
    Arp,
    /// What looks like somebody's discovery packets and is none: LLDP and Skerry's, with nonsense in them.
    Noise,
}

/// Bytes of a packet at the least, so that the mark is in it, and at the most, so that it is one of Ethernet.
pub const BYTES: std::ops::RangeInclusive<usize> = 60..=1_514;
/// Hosts behind one switch at the most: the last addresses are those that no host has.
pub const HOSTS_MAX: u32 = 0xff00;

const MARK: [u8; 8] = *b"skryload";
/// Where the mark is in a packet.
const MARK_AT: usize = 42;
const NUMBER_AT: usize = MARK_AT + MARK.len();
/// Where things are in a packet-in.
const REASON_AT: usize = 14;
const PORT_AT: usize = 32;
const DATA_AT: usize = 42;
/// First two octets of all addresses of hosts: locally administered.
const PREFIX: [u8; 2] = [0x06, 0x4c];
/// The switch in the address that no host has.
const NOBODY: u16 = u16::MAX;

fn address(switch: u16, host: u16) -> [u8; 6] {
    let ([a, b], [c, d]) = (switch.to_be_bytes(), host.to_be_bytes());
    [PREFIX[0], PREFIX[1], a, b, c, d]
}

/// The host of a switch that has an address.
pub fn host_of(switch: usize, mac: &[u8]) -> Option<u32> {
    match mac {
        [a, b, c, d, e, f] if [*a, *b] == PREFIX && usize::from(u16::from_be_bytes([*c, *d])) == switch => {
            Some(u32::from(u16::from_be_bytes([*e, *f])))
        }
        _ => None,
    }
}

/// The number of a packet that was made here; none if it was not.
pub fn number_of(packet: &[u8]) -> Option<u32> {
    let marked = packet.get(MARK_AT..NUMBER_AT)? == MARK;
    let number = packet.get(NUMBER_AT..)?.first_chunk::<4>()?;
    marked.then(|| u32::from_be_bytes(*number))
}

/// All packet-ins of a run.
#[derive(Debug, Clone)]
pub struct Template {
    kind: Kind,
    hosts: u32,
    ports: u32,
    /// One for each form; noise has two.
    forms: Vec<Vec<u8>>,
}

/// What differs from one packet-in to the next.
#[derive(Debug, Clone, Copy)]
pub struct Differs {
    /// Index of the switch.
    pub switch: usize,
    /// How many the switch has sent before, which decides the host.
    pub turn: u32,
    /// What an answer is known by.
    pub number: u32,
    /// Why it comes.
    pub reason: PacketInReason,
}

impl Template {
    /// Packets of so many bytes from so many hosts behind each switch of so many ports.
    pub fn new(kind: Kind, bytes: usize, hosts: u32, ports: u32) -> Template {
        let forms = match kind {
            Kind::Unknown | Kind::Known => vec![udp(bytes, 9, [0; 6])],
            Kind::Arp => vec![arp(bytes)],
            Kind::Noise => vec![lldp(bytes), udp(bytes, DISCOVERY_UDP, DISCOVERY_MAC.0)],
        };
        Template {
            kind,
            hosts: hosts.clamp(1, HOSTS_MAX),
            ports,
            forms: forms.into_iter().map(packet_in).collect(),
        }
    }

    /// Hosts behind each switch.
    pub fn hosts(&self) -> u32 {
        self.hosts
    }

    /// The host that sends a switch's packet of this turn.
    pub fn host(&self, turn: u32) -> u32 {
        turn % self.hosts
    }

    /// Writes one behind what is there. Gives its length.
    pub fn write(&self, out: &mut BytesMut, differs: Differs) -> usize {
        let Some(form) = self.forms.get(differs.turn as usize % self.forms.len()) else {
            return 0;
        };
        let start = out.len();
        out.extend_from_slice(form);
        let frame = out.get_mut(start..).unwrap_or_default();
        let host = self.host(differs.turn);
        // Neighbours are at different ports.
        let port = 1 + host % self.ports;
        let switch = u16::try_from(differs.switch).unwrap_or(NOBODY - 1);
        put(frame, REASON_AT, &[differs.reason.0]);
        put(frame, PORT_AT, &port.to_be_bytes());
        put(frame, DATA_AT + 6, &address(switch, host as u16));
        put(frame, DATA_AT + NUMBER_AT, &differs.number.to_be_bytes());
        match self.kind {
            Kind::Unknown => put(frame, DATA_AT, &address(NOBODY, host as u16)),
            Kind::Known => {
                let before = host.checked_sub(1).unwrap_or(self.hosts - 1);
                put(frame, DATA_AT, &address(switch, before as u16));
            }
            Kind::Arp => put(frame, DATA_AT + 22, &address(switch, host as u16)),
            Kind::Noise => {}
        }
        form.len()
    }
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn packet_in(data: Vec<u8>) -> Vec<u8> {
    let body = PacketIn {
        buffer_id: NO_BUFFER,
        total_len: u16::try_from(data.len()).unwrap_or(u16::MAX),
        reason: PacketInReason::ACTION,
        table_id: TableId(0),
        cookie: u64::MAX,
        matching: Match::new().with(Oxm::in_port(PortNo(1))),
        data: Bytes::from(data),
    };
    let message = Message::new(0, Body::PacketIn(body));
    message
        .to_bytes()
        .expect("a packet of Ethernet fits a message")
        .to_vec()
}

/// The packet up to its mark, and filling behind it.
fn finish(mut packet: Vec<u8>, bytes: usize) -> Vec<u8> {
    packet.resize(MARK_AT, 0);
    packet.extend(MARK);
    packet.resize(bytes.clamp(*BYTES.start(), *BYTES.end()), 0);
    packet
}

fn udp(bytes: usize, port: u16, eth_dst: [u8; 6]) -> Vec<u8> {
    let length = bytes.clamp(*BYTES.start(), *BYTES.end());
    let mut packet = [&eth_dst[..], &[0; 6], &[8, 0]].concat();
    let ip_length = (length - 14) as u16;
    let mut ip = [
        &[0x45, 0][..],
        &ip_length.to_be_bytes(),
        &[0, 0, 0x40, 0, 64, 17, 0, 0],
        &[10, 0, 0, 1],
        &[10, 0, 0, 2],
    ]
    .concat();
    let words = ip
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    put(&mut ip, 10, &(!(folded as u16)).to_be_bytes());
    packet.extend(ip);
    packet.extend(port.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend((ip_length - 20).to_be_bytes());
    // No checksum, which IPv4 allows: what differs would change it.
    packet.extend([0, 0]);
    finish(packet, bytes)
}

fn arp(bytes: usize) -> Vec<u8> {
    let mut packet = [&[0xff; 6][..], &[0; 6], &[8, 6]].concat();
    // Ethernet, IPv4, request; sender 10.0.0.1, who has 10.0.0.2?
    packet.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    packet.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    packet.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    finish(packet, bytes)
}

fn lldp(bytes: usize) -> Vec<u8> {
    let mut packet = [&[1, 0x80, 0xc2, 0, 0, 0xe][..], &[0; 6], &[0x88, 0xcc]].concat();
    // A chassis id longer than the packet.
    packet.extend([0x03, 0xff, 0x07, 0x5a]);
    finish(packet, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: Kind, differs: Differs) -> PacketIn {
        let template = Template::new(kind, 64, 10, 4);
        let mut out = BytesMut::from(&b"before"[..]);
        let length = template.write(&mut out, differs);
        assert_eq!(out.len(), 6 + length);
        let message = Message::decode(&out.split_off(6).freeze()).expect("a whole message");
        match message.body {
            Body::PacketIn(packet) => packet,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_is_a_packet_in_with_its_own_port_number_host_and_reason() {
        for kind in [Kind::Unknown, Kind::Known, Kind::Arp, Kind::Noise] {
            for turn in [0, 1, 13] {
                let differs = Differs {
                    switch: 300,
                    turn,
                    number: 0x4000_1234 + turn,
                    reason: PacketInReason::NO_MATCH,
                };
                let packet = made(kind, differs);
                assert_eq!(packet.reason, PacketInReason::NO_MATCH);
                let host = turn % 10;
                assert_eq!(packet.matching.in_port(), Some(PortNo(1 + host % 4)));
                assert_eq!((packet.data.len(), packet.total_len), (64, 64));
                assert_eq!(number_of(&packet.data), Some(differs.number), "{kind:?}");
                assert_eq!(host_of(300, &packet.data[6..12]), Some(host), "{kind:?}");
                assert_eq!(host_of(301, &packet.data[6..12]), None);
                let to = host_of(300, &packet.data[..6]);
                assert_eq!(to, (kind == Kind::Known).then_some((host + 9) % 10), "{kind:?} {turn}");
            }
        }
        assert_eq!(number_of(&[0; 60]), None);
        assert_eq!(number_of(b"short"), None);
    }

    #[test]
    fn the_ip_header_adds_up() {
        let packet = udp(100, 9, [0; 6]);
        let sum: u32 = packet[14..34]
            .chunks(2)
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert_eq!(packet.len(), 100);
    }
}

//! The ports of a switch: whether they carry, what passed them, and how they are described.

use std::collections::BTreeMap;

use ofproto::{
    FixedText, MacAddr, Port, PortConfig, PortFeatures, PortMod, PortModFailedCode, PortNo as OfPort, PortState,
    PortStats,
};
use skerry_bus::{PortNo, SwitchId};

use super::Refusal;

/// Speed that ports say they have, in kilobits per second: 10 Gbit/s.
const SPEED_KBPS: u32 = 10_000_000;

/// One port.
#[derive(Debug, Default)]
struct Entry {
    /// Whether its cable carries.
    carrier: bool,
    /// Whether a controller took it out of use.
    disabled: bool,
    rx: (u64, u64),
    tx: (u64, u64),
    rx_dropped: u64,
    tx_dropped: u64,
}

impl Entry {
    fn is_up(&self) -> bool {
        self.carrier && !self.disabled
    }
}

/// All ports of a switch.
#[derive(Debug)]
pub struct Ports {
    switch: SwitchId,
    of: BTreeMap<PortNo, Entry>,
}

impl Ports {
    /// Ports that all carry.
    pub fn new(switch: SwitchId, numbers: impl IntoIterator<Item = PortNo>) -> Ports {
        let entry = |number| {
            let entry = Entry {
                carrier: true,
                ..Entry::default()
            };
            (number, entry)
        };
        Ports {
            switch,
            of: numbers.into_iter().map(entry).collect(),
        }
    }

    /// All ports, and whether each is up.
    pub fn up(&self) -> impl Iterator<Item = (PortNo, bool)> {
        self.of.iter().map(|(port, entry)| (*port, entry.is_up()))
    }

    /// A packet comes in. False: the port takes none.
    pub fn received(&mut self, port: PortNo, bytes: usize) -> bool {
        let Some(entry) = self.of.get_mut(&port) else {
            return false;
        };
        if entry.is_up() {
            entry.rx.0 += 1;
            entry.rx.1 += bytes as u64;
        } else {
            entry.rx_dropped += 1;
        }
        entry.is_up()
    }

    /// A packet is to go out. False: the port takes none.
    pub fn sent(&mut self, port: PortNo, bytes: usize) -> bool {
        let Some(entry) = self.of.get_mut(&port) else {
            return false;
        };
        if entry.is_up() {
            entry.tx.0 += 1;
            entry.tx.1 += bytes as u64;
        } else {
            entry.tx_dropped += 1;
        }
        entry.is_up()
    }

    /// A cable begins or ends to carry. Gives the port as it is now, if that is new.
    pub fn carrier(&mut self, port: PortNo, up: bool) -> Option<Port> {
        let entry = self.of.get_mut(&port)?;
        let changed = std::mem::replace(&mut entry.carrier, up) != up;
        changed.then(|| self.describe(port)).flatten()
    }

    /// OFPT_PORT_MOD. Gives the port as it is now, if that is new.
    ///
    /// # Errors
    /// No such port, another port's address, or a setting that the simulator does not have.
    pub fn port_mod(&mut self, change: &PortMod) -> Result<Option<Port>, Refusal> {
        let port = PortNo(change.port_no.0);
        let address = self.address(port);
        let Some(entry) = self.of.get_mut(&port) else {
            return Err(Refusal::port(PortModFailedCode::BAD_PORT));
        };
        if change.hw_addr != address {
            return Err(Refusal::port(PortModFailedCode::BAD_HW_ADDR));
        }
        if change.mask.0 & !PortConfig::PORT_DOWN.0 != 0 {
            return Err(Refusal::port(PortModFailedCode::BAD_CONFIG));
        }
        if change.mask.is_empty() {
            return Ok(None);
        }
        let disabled = change.config.contains(PortConfig::PORT_DOWN);
        let changed = std::mem::replace(&mut entry.disabled, disabled) != disabled;
        Ok(changed.then(|| self.describe(port)).flatten())
    }

    /// Address of a port: of the private range, the switch and the port in it.
    fn address(&self, port: PortNo) -> MacAddr {
        let [.., a, b] = self.switch.0.to_be_bytes();
        let [_, c, d, e] = port.0.to_be_bytes();
        MacAddr([2, a, b, c, d, e])
    }

    fn describe(&self, port: PortNo) -> Option<Port> {
        let entry = self.of.get(&port)?;
        Some(Port {
            port_no: OfPort(port.0),
            hw_addr: self.address(port),
            name: FixedText::new(&format!("s{}-p{}", self.switch.0, port.0)),
            config: if entry.disabled {
                PortConfig::PORT_DOWN
            } else {
                PortConfig::NONE
            },
            state: if entry.carrier {
                PortState::LIVE
            } else {
                PortState::LINK_DOWN
            },
            curr: PortFeatures::GB10_FD,
            advertised: PortFeatures::NONE,
            supported: PortFeatures::NONE,
            peer: PortFeatures::NONE,
            curr_speed: SPEED_KBPS,
            max_speed: SPEED_KBPS,
        })
    }

    /// All ports, described.
    pub fn descriptions(&self) -> Vec<Port> {
        self.of.keys().filter_map(|port| self.describe(*port)).collect()
    }

    /// Counters of one port, or of all for OFPP_ANY.
    pub fn stats(&self, wanted: OfPort) -> Vec<PortStats> {
        let wanted = |port: &PortNo| wanted == OfPort::ANY || wanted.0 == port.0;
        let of = self.of.iter().filter(|(port, _)| wanted(port));
        of.map(|(port, entry)| PortStats {
            port_no: OfPort(port.0),
            rx_packets: entry.rx.0,
            tx_packets: entry.tx.0,
            rx_bytes: entry.rx.1,
            tx_bytes: entry.tx.1,
            rx_dropped: entry.rx_dropped,
            tx_dropped: entry.tx_dropped,
            rx_errors: 0,
            tx_errors: 0,
            rx_frame_err: 0,
            rx_over_err: 0,
            rx_crc_err: 0,
            collisions: 0,
            duration_sec: 0,
            duration_nsec: 0,
        })
        .collect()
    }
}

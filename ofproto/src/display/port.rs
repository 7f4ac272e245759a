//! Ports and their queues.

use super::line::{Count, Duration, Kept, Name, PARTS_MAX, entries, list};
use super::word::{Command, Flags, Upper, dashed, upper_flags};
use crate::port::{Port, PortFeatures, PortMod, PortStats, PortStatsRequest, PortStatus};
use crate::queue::{PacketQueue, QueueGetConfigReply, QueueGetConfigRequest, QueueProp, QueueStats, QueueStatsRequest};
use core::fmt::{self, Display, Formatter};

fn features(flags: PortFeatures) -> Flags<PortFeatures> {
    Flags {
        flags,
        between: " ",
        none: "0",
        style: dashed,
    }
}

/// Kilobits of a megabit.
const KBIT_OF_MBIT: u32 = 1_000;

/// A speed in kbit/s.
struct Speed(u32);

impl Display for Speed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            kbit if kbit % KBIT_OF_MBIT == 0 => write!(f, "{} Mbps", kbit / KBIT_OF_MBIT),
            kbit => write!(f, "{kbit} kbps"),
        }
    }
}

/// `2(eth2): addr:0a:00:00:00:00:02 config: 0 state: LIVE .. speed: 10000 Mbps now, 10000 Mbps max`.
impl Display for Port {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            port_no,
            hw_addr,
            name,
            config,
            state,
            curr,
            advertised,
            supported,
            peer,
            curr_speed,
            max_speed,
        } = self;
        write!(
            f,
            "{}({}): addr:{hw_addr} config: {} state: {}",
            Upper(*port_no),
            Name(name.as_bytes()),
            upper_flags(*config, "0"),
            upper_flags(*state, "0")
        )?;
        let all = [
            ("current", curr),
            ("advertised", advertised),
            ("supported", supported),
            ("peer", peer),
        ];
        for (what, flags) in all.into_iter().filter(|(_, flags)| !flags.is_empty()) {
            write!(f, " {what}: {}", features(*flags))?;
        }
        write!(f, " speed: {} now, {} max", Speed(*curr_speed), Speed(*max_speed))
    }
}

impl Display for PortStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { reason, desc } = self;
        write!(f, "{}: {desc}", Command(*reason))
    }
}

impl Display for PortMod {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            port_no,
            hw_addr,
            config,
            mask,
            advertise,
        } = self;
        write!(
            f,
            "port: {}: addr:{hw_addr} config: {} mask: {} advertise: ",
            Upper(*port_no),
            upper_flags(*config, "0"),
            upper_flags(*mask, "0")
        )?;
        match advertise.is_empty() {
            true => f.write_str("UNCHANGED"),
            false => features(*advertise).fmt(f),
        }
    }
}

impl Display for PortStatsRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { port_no } = self;
        write!(f, "port_no={}", Upper(*port_no))
    }
}

impl Display for PortStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            port_no,
            rx_packets,
            tx_packets,
            rx_bytes,
            tx_bytes,
            rx_dropped,
            tx_dropped,
            rx_errors,
            tx_errors,
            rx_frame_err,
            rx_over_err,
            rx_crc_err,
            collisions,
            duration_sec,
            duration_nsec,
        } = self;
        write!(f, "port {}:", Upper(*port_no))?;
        let rx = [
            ("rx pkts", rx_packets),
            (" bytes", rx_bytes),
            (" drop", rx_dropped),
            (" errs", rx_errors),
            (" frame", rx_frame_err),
            (" over", rx_over_err),
            (" crc", rx_crc_err),
        ];
        let tx = [
            ("tx pkts", tx_packets),
            (" bytes", tx_bytes),
            (" drop", tx_dropped),
            (" errs", tx_errors),
            (" coll", collisions),
        ];
        for counters in [rx.as_slice(), tx.as_slice()] {
            f.write_str(" ")?;
            list(f, counters, PARTS_MAX, ",", |f, (what, count)| {
                write!(f, "{what}={}", Count(**count))
            })?;
        }
        let duration = Duration {
            sec: *duration_sec,
            nsec: *duration_nsec,
        };
        write!(f, " duration={duration}")
    }
}

impl Display for QueueGetConfigRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { port } = self;
        write!(f, "port={}", Upper(*port))
    }
}

impl Display for QueueGetConfigReply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { port, queues } = self;
        write!(f, "port={}", Upper(*port))?;
        if !queues.is_empty() {
            f.write_str(" ")?;
        }
        entries(f, queues)
    }
}

/// `port 1 queue 2: min_rate:10.0%`.
impl Display for PacketQueue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            queue_id,
            port,
            properties,
        } = self;
        write!(f, "port {} queue {}:", Upper(*port), Upper(*queue_id))?;
        if !properties.is_empty() {
            f.write_str(" ")?;
        }
        list(f, properties, PARTS_MAX, " ", |f, property| property.fmt(f))
    }
}

/// The largest rate, in tenths of a percent; more says that none is set.
const RATE_MAX: u16 = 1_000;

/// A rate in tenths of a percent.
struct Rate(u16);

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            rate @ ..=RATE_MAX => write!(f, "{}.{}%", rate / 10, rate % 10),
            _ => f.write_str("(disabled)"),
        }
    }
}

impl Display for QueueProp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinRate(rate) => write!(f, "min_rate:{}", Rate(*rate)),
            Self::MaxRate(rate) => write!(f, "max_rate:{}", Rate(*rate)),
            Self::Experimenter { experimenter, data } => {
                write!(f, "experimenter({:#x},{})", experimenter.0, Kept(data))
            }
            Self::Unknown { kind, body } => write!(f, "unknown(type={},{})", kind.0, Kept(body)),
        }
    }
}

impl Display for QueueStatsRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { port_no, queue_id } = self;
        write!(f, "port={} queue={}", Upper(*port_no), Upper(*queue_id))
    }
}

impl Display for QueueStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            port_no,
            queue_id,
            tx_bytes,
            tx_packets,
            tx_errors,
            duration_sec,
            duration_nsec,
        } = self;
        let duration = Duration {
            sec: *duration_sec,
            nsec: *duration_nsec,
        };
        write!(
            f,
            "port {} queue {}: bytes={}, pkts={}, errors={}, duration={duration}",
            Upper(*port_no),
            Upper(*queue_id),
            Count(*tx_bytes),
            Count(*tx_packets),
            Count(*tx_errors)
        )
    }
}

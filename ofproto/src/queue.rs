//! Queues of ports (sections 7.2.2, 7.3.5.8 and 7.3.6).

use crate::error::{DecodeError, EncodeCause, EncodeError};
use crate::kind_table;
use crate::number::{ExperimenterId, PortNo, QueueId};
use crate::wire::{Reader, Wire, Writer};
use bytes::Bytes;

kind_table! {
    /// What a property of a queue says (section 7.2.2, `enum ofp_queue_properties`).
    QueuePropType(u16), "OFPQT_" {
        MIN_RATE = 1: "ofp_queue_prop_min_rate" Exactly 16,
        MAX_RATE = 2: "ofp_queue_prop_max_rate" Exactly 16,
        EXPERIMENTER = 0xffff: "ofp_queue_prop_experimenter" AtLeast 16,
    }
    /// The properties of OpenFlow 1.3 (section 7.2.2).
    QUEUE_PROP_TABLE
}

/// A property of a queue (section 7.2.2). Rates are tenths of a percent; above 1000: not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueProp {
    /// The least it gets.
    MinRate(u16),
    /// The most it gets.
    MaxRate(u16),
    /// Defined elsewhere; its bytes are kept.
    Experimenter {
        /// By whom.
        experimenter: ExperimenterId,
        /// The rest, of any length.
        data: Bytes,
    },
    /// Not in the specification; its bytes are kept.
    Unknown {
        /// Its number.
        kind: QueuePropType,
        /// What follows the header, of any length.
        body: Bytes,
    },
}

/// `OFPQ_MIN_RATE_UNCFG` and `OFPQ_MAX_RATE_UNCFG`: the rate is not set (section 7.2.2).
pub const RATE_NOT_SET: u16 = 0xffff;

/// Bytes of the header.
const HEADER: usize = 8;

const STRUCTURE: &str = "ofp_queue_prop_header";

impl QueueProp {
    /// What the property says.
    pub fn kind(&self) -> QueuePropType {
        match self {
            Self::MinRate(_) => QueuePropType::MIN_RATE,
            Self::MaxRate(_) => QueuePropType::MAX_RATE,
            Self::Experimenter { .. } => QueuePropType::EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

impl Wire for QueueProp {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.offset();
        let mut r = r.element(STRUCTURE, 2, HEADER, 1)?;
        let said = r.left();
        let kind = QueuePropType::read(&mut r)?;
        r.skip(6)?;
        kind_table::enter(&mut r, QUEUE_PROP_TABLE, &kind, (start, said))?;
        Ok(match kind {
            QueuePropType::MIN_RATE => Self::MinRate(r.u16()?),
            QueuePropType::MAX_RATE => Self::MaxRate(r.u16()?),
            QueuePropType::EXPERIMENTER => {
                let experimenter = ExperimenterId::read(&mut r)?;
                r.skip(4)?;
                Self::Experimenter {
                    experimenter,
                    data: r.remaining()?,
                }
            }
            _ => Self::Unknown {
                kind,
                body: r.remaining()?,
            },
        })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        self.kind().write(w)?;
        let length = w.length_since(start);
        w.pad(4);
        match self {
            Self::MinRate(rate) | Self::MaxRate(rate) => {
                w.u16(*rate);
                w.pad(6);
            }
            Self::Experimenter { experimenter, data } => {
                experimenter.write(w)?;
                w.pad(4);
                w.slice(data);
            }
            Self::Unknown { kind, body } => {
                if kind.name().is_some() {
                    let cause = EncodeCause::KnownKind(u32::from(kind.0));
                    return Err(EncodeError {
                        structure: STRUCTURE,
                        cause,
                    });
                }
                w.slice(body);
            }
        }
        w.set_length(STRUCTURE, length)
    }
}

wire_element! {
    /// A queue (section 7.2.2, `struct ofp_packet_queue`).
    PacketQueue, "ofp_packet_queue" {
        /// Its number.
        queue_id: QueueId,
        /// Its port.
        port: PortNo,
        [length at 8 least 16 multiple 1 pad 6]
        /// More about it.
        properties: Vec<QueueProp>,
    }
}

wire_struct! {
    /// OFPT_QUEUE_GET_CONFIG_REQUEST (section 7.3.6, `struct ofp_queue_get_config_request`).
    QueueGetConfigRequest, "ofp_queue_get_config_request" {
        /// Which port; `PortNo::ANY` for all.
        port: PortNo [pad 4],
    }
}

wire_struct! {
    /// OFPT_QUEUE_GET_CONFIG_REPLY (section 7.3.6, `struct ofp_queue_get_config_reply`).
    QueueGetConfigReply, "ofp_queue_get_config_reply" {
        /// Which port.
        port: PortNo [pad 4],
        /// Its queues.
        queues: Vec<PacketQueue>,
    }
}

wire_struct! {
    /// Asks for the counters of queues (section 7.3.5.8, `struct ofp_queue_stats_request`).
    QueueStatsRequest, "ofp_queue_stats_request" {
        /// Which port; `PortNo::ANY` for all.
        port_no: PortNo,
        /// Which queue; `QueueId::ALL` for all.
        queue_id: QueueId,
    }
}

wire_struct! {
    /// The counters of a queue (section 7.3.5.8, `struct ofp_queue_stats`).
    QueueStats, "ofp_queue_stats" {
        /// Its port.
        port_no: PortNo,
        /// Its number.
        queue_id: QueueId,
        /// Bytes sent.
        tx_bytes: u64,
        /// Packets sent.
        tx_packets: u64,
        /// Packets dropped.
        tx_errors: u64,
        /// How long it has lived, in whole seconds.
        duration_sec: u32,
        /// And the nanoseconds beyond them.
        duration_nsec: u32,
    }
}

//! Meters (sections 7.3.4.4 and 7.3.5.12 to 7.3.5.14).

use crate::error::{DecodeError, EncodeCause, EncodeError};
use crate::kind_table;
use crate::number::{ExperimenterId, MeterId};
use crate::wire::{Reader, Wire, Writer};
use bytes::Bytes;

code_point! {
    /// What to do with a meter (section 7.3.4.4, `enum ofp_meter_mod_command`).
    MeterModCommand(u16), "OFPMC_" {
        ADD = 0,
        MODIFY = 1,
        DELETE = 2,
    }
}

flag_word! {
    /// How a meter counts (section 7.3.4.4, `enum ofp_meter_flags`).
    MeterFlags(u16), "OFPMF_" {
        KBPS = 0,
        PKTPS = 1,
        BURST = 2,
        STATS = 3,
    }
}

kind_table! {
    /// What a band does (section 7.3.4.4, `enum ofp_meter_band_type`).
    MeterBandType(u16), "OFPMBT_" {
        DROP = 1: "ofp_meter_band_drop" Exactly 16,
        DSCP_REMARK = 2: "ofp_meter_band_dscp_remark" Exactly 16,
        EXPERIMENTER = 0xffff: "ofp_meter_band_experimenter" AtLeast 16,
    }
    /// The bands of OpenFlow 1.3 (section 7.3.4.4).
    METER_BAND_TABLE
}

/// What is done with packets above a rate (section 7.3.4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MeterBand {
    /// Drop them (`struct ofp_meter_band_drop`).
    Drop {
        /// The rate, in kbit/s or packets/s.
        rate: u32,
        /// The burst, in kbit or packets.
        burst_size: u32,
    },
    /// Raise their drop precedence (`struct ofp_meter_band_dscp_remark`).
    DscpRemark {
        /// The rate, in kbit/s or packets/s.
        rate: u32,
        /// The burst, in kbit or packets.
        burst_size: u32,
        /// By how many levels.
        prec_level: u8,
    },
    /// Defined elsewhere; its bytes are kept.
    Experimenter {
        /// The rate, in kbit/s or packets/s.
        rate: u32,
        /// The burst, in kbit or packets.
        burst_size: u32,
        /// By whom.
        experimenter: ExperimenterId,
        /// What follows the experimenter's id, a multiple of 8 bytes.
        body: Bytes,
    },
    /// Not in the specification; its bytes are kept.
    Unknown {
        /// Its number.
        kind: MeterBandType,
        /// The rate, in kbit/s or packets/s.
        rate: u32,
        /// The burst, in kbit or packets.
        burst_size: u32,
        /// What follows the burst, 4 bytes more than a multiple of 8.
        body: Bytes,
    },
}

/// Bytes of the smallest band.
const LEAST: usize = 16;

const STRUCTURE: &str = "ofp_meter_band_header";

impl MeterBand {
    /// What the band does.
    pub fn kind(&self) -> MeterBandType {
        match self {
            Self::Drop { .. } => MeterBandType::DROP,
            Self::DscpRemark { .. } => MeterBandType::DSCP_REMARK,
            Self::Experimenter { .. } => MeterBandType::EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// From which rate on.
    pub fn rate(&self) -> u32 {
        match self {
            Self::Drop { rate, .. }
            | Self::DscpRemark { rate, .. }
            | Self::Experimenter { rate, .. }
            | Self::Unknown { rate, .. } => *rate,
        }
    }

    /// With which burst.
    pub fn burst_size(&self) -> u32 {
        match self {
            Self::Drop { burst_size, .. }
            | Self::DscpRemark { burst_size, .. }
            | Self::Experimenter { burst_size, .. }
            | Self::Unknown { burst_size, .. } => *burst_size,
        }
    }
}

impl Wire for MeterBand {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.offset();
        let mut r = r.element(STRUCTURE, 2, LEAST, 8)?;
        let said = r.left();
        let kind = MeterBandType::read(&mut r)?;
        r.skip(2)?;
        kind_table::enter(&mut r, METER_BAND_TABLE, &kind, (start, said))?;
        let (rate, burst_size) = (r.u32()?, r.u32()?);
        Ok(match kind {
            MeterBandType::DROP => Self::Drop { rate, burst_size },
            MeterBandType::DSCP_REMARK => Self::DscpRemark {
                rate,
                burst_size,
                prec_level: r.u8()?,
            },
            MeterBandType::EXPERIMENTER => {
                let experimenter = ExperimenterId::read(&mut r)?;
                Self::Experimenter {
                    rate,
                    burst_size,
                    experimenter,
                    body: r.remaining()?,
                }
            }
            _ => Self::Unknown {
                kind,
                rate,
                burst_size,
                body: r.remaining()?,
            },
        })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        self.kind().write(w)?;
        let length = w.length_since(start);
        w.u32(self.rate());
        w.u32(self.burst_size());
        let wrong = |body: &Bytes| EncodeError {
            structure: STRUCTURE,
            cause: EncodeCause::BodyLength(body.len()),
        };
        match self {
            Self::Drop { .. } => w.pad(4),
            Self::DscpRemark { prec_level, .. } => {
                w.u8(*prec_level);
                w.pad(3);
            }
            Self::Experimenter { experimenter, body, .. } => {
                if body.len() % 8 != 0 {
                    return Err(wrong(body));
                }
                experimenter.write(w)?;
                w.slice(body);
            }
            Self::Unknown { kind, body, .. } => {
                if kind.name().is_some() {
                    let cause = EncodeCause::KnownKind(u32::from(kind.0));
                    return Err(EncodeError {
                        structure: STRUCTURE,
                        cause,
                    });
                }
                if body.len() % 8 != 4 {
                    return Err(wrong(body));
                }
                w.slice(body);
            }
        }
        w.set_length(STRUCTURE, length)
    }
}

wire_struct! {
    /// OFPT_METER_MOD (section 7.3.4.4, `struct ofp_meter_mod`).
    MeterMod, "ofp_meter_mod" {
        /// What to do.
        command: MeterModCommand,
        /// How it counts.
        flags: MeterFlags,
        /// Which meter.
        meter_id: MeterId,
        /// Its bands.
        bands: Vec<MeterBand>,
    }
}

wire_struct! {
    /// Asks for counters or settings of a meter (sections 7.3.5.12 and 7.3.5.13,
    /// `struct ofp_meter_multipart_request`).
    MeterRequest, "ofp_meter_multipart_request" {
        /// Which meter; `MeterId::ALL` for all.
        meter_id: MeterId [pad 4],
    }
}

wire_struct! {
    /// The counters of a band (section 7.3.5.12, `struct ofp_meter_band_stats`).
    MeterBandStats, "ofp_meter_band_stats" {
        /// Packets it handled.
        packet_band_count: u64,
        /// Bytes of them.
        byte_band_count: u64,
    }
}

wire_element! {
    /// The counters of a meter (section 7.3.5.12, `struct ofp_meter_stats`).
    MeterStats, "ofp_meter_stats" {
        /// Which meter.
        meter_id: MeterId,
        [length at 4 least 40 multiple 8 pad 6]
        /// Rules that use it.
        flow_count: u32,
        /// Packets it measured.
        packet_in_count: u64,
        /// Bytes of them.
        byte_in_count: u64,
        /// How long it has lived, in whole seconds.
        duration_sec: u32,
        /// And the nanoseconds beyond them.
        duration_nsec: u32,
        /// Its bands' counters.
        band_stats: Vec<MeterBandStats>,
    }
}

wire_element! {
    /// A meter as it is (section 7.3.5.13, `struct ofp_meter_config`).
    MeterConfig, "ofp_meter_config" {
        [length at 0 least 8 multiple 8]
        /// How it counts.
        flags: MeterFlags,
        /// Which meter.
        meter_id: MeterId,
        /// Its bands.
        bands: Vec<MeterBand>,
    }
}

flag_word! {
    /// Types of bands: bits numbered by `enum ofp_meter_band_type` (section 7.3.5.14).
    MeterBandTypes(u32), "OFPMBT_" {
        DROP = 1,
        DSCP_REMARK = 2,
    }
}

flag_word! {
    /// What meters can do: the bits of `enum ofp_meter_flags` in a longer word (section 7.3.5.14).
    MeterCapabilities(u32), "OFPMF_" {
        KBPS = 0,
        PKTPS = 1,
        BURST = 2,
        STATS = 3,
    }
}

wire_struct! {
    /// What meters the switch can have (section 7.3.5.14, `struct ofp_meter_features`).
    MeterFeatures, "ofp_meter_features" {
        /// How many.
        max_meter: u32,
        /// With which bands.
        band_types: MeterBandTypes,
        /// What they can do.
        capabilities: MeterCapabilities,
        /// How many bands each.
        max_bands: u8,
        /// How many colours.
        max_color: u8 [pad 2],
    }
}

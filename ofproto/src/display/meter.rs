//! Meters: modification, configuration, counters, features.

use super::line::{Count, Duration, Kept, PARTS_MAX, list};
use super::word::{Command, Lower, lower_flags};
use crate::meter::{
    MeterBand, MeterBandStats, MeterConfig, MeterFeatures, MeterFlags, MeterMod, MeterRequest, MeterStats,
};
use crate::number::MeterId;
use core::fmt::{self, Display, Formatter};

/// `type=drop rate=1000 burst_size=100`, without a burst of 0.
impl Display for MeterBand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { kind, .. } => write!(f, "type={}", kind.0)?,
            known => write!(f, "type={}", Lower(known.kind()))?,
        }
        write!(f, " rate={}", self.rate())?;
        if self.burst_size() != 0 {
            write!(f, " burst_size={}", self.burst_size())?;
        }
        match self {
            Self::Drop { rate: _, burst_size: _ } => Ok(()),
            Self::DscpRemark {
                rate: _,
                burst_size: _,
                prec_level,
            } => write!(f, " prec_level={prec_level}"),
            Self::Experimenter {
                rate: _,
                burst_size: _,
                experimenter,
                body,
            } => write!(f, " experimenter={:#x} body={}", experimenter.0, Kept(body)),
            Self::Unknown {
                kind: _,
                rate: _,
                burst_size: _,
                body,
            } => write!(f, " body={}", Kept(body)),
        }
    }
}

/// `meter=7 kbps burst bands=type=drop rate=1000`, as `ovs-ofctl add-meter` takes it.
fn meter(f: &mut Formatter<'_>, id: MeterId, flags: MeterFlags, bands: &[MeterBand]) -> fmt::Result {
    write!(f, "meter={} ", Lower(id))?;
    if !flags.is_empty() {
        write!(f, "{} ", lower_flags(flags, ""))?;
    }
    f.write_str("bands=")?;
    list(f, bands, PARTS_MAX, " ", |f, band| band.fmt(f))
}

impl Display for MeterMod {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            flags,
            meter_id,
            bands,
        } = self;
        write!(f, "{} ", Command(*command))?;
        meter(f, *meter_id, *flags, bands)
    }
}

impl Display for MeterConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { flags, meter_id, bands } = self;
        meter(f, *meter_id, *flags, bands)
    }
}

impl Display for MeterRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { meter_id } = self;
        write!(f, "meter={}", Lower(*meter_id))
    }
}

impl Display for MeterBandStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            packet_band_count,
            byte_band_count,
        } = self;
        write!(
            f,
            "packet_count:{} byte_count:{}",
            Count(*packet_band_count),
            Count(*byte_band_count)
        )
    }
}

impl Display for MeterStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            meter_id,
            flow_count,
            packet_in_count,
            byte_in_count,
            duration_sec,
            duration_nsec,
            band_stats,
        } = self;
        let duration = Duration {
            sec: *duration_sec,
            nsec: *duration_nsec,
        };
        let (packets, bytes) = (Count(*packet_in_count), Count(*byte_in_count));
        write!(f, "meter:{} flow_count:{flow_count} ", Lower(*meter_id))?;
        write!(
            f,
            "packet_in_count:{packets} byte_in_count:{bytes} duration:{duration} bands:"
        )?;
        if !band_stats.is_empty() {
            f.write_str(" ")?;
        }
        list(f, band_stats.iter().enumerate(), PARTS_MAX, " ", |f, (at, band)| {
            write!(f, "{at}: {band}")
        })
    }
}

impl Display for MeterFeatures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            max_meter,
            band_types,
            capabilities,
            max_bands,
            max_color,
        } = self;
        write!(
            f,
            "max_meter:{max_meter} max_bands:{max_bands} max_color:{max_color} band_types: {} capabilities: {}",
            lower_flags(*band_types, "0"),
            lower_flags(*capabilities, "0")
        )
    }
}

//! Bodies of multipart requests and replies.

use super::{Draw, Gen};
use ofproto::*;

impl Gen for MultipartRequestBody {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(if d.valid { 13 } else { 16 }) {
            0 => Self::Desc,
            1 => Self::Flow(Gen::generate(d)),
            2 => Self::Aggregate(Gen::generate(d)),
            3 => Self::Table,
            4 => Self::PortStats(Gen::generate(d)),
            5 => Self::Queue(Gen::generate(d)),
            6 => Self::Group(Gen::generate(d)),
            7 => Self::GroupDesc,
            8 => Self::GroupFeatures,
            9 => Self::Meter(Gen::generate(d)),
            10 => Self::MeterConfig(Gen::generate(d)),
            11 => Self::MeterFeatures,
            12 => Self::PortDesc,
            13 => Self::TableFeatures(Gen::generate(d)),
            14 => Self::Experimenter(Gen::generate(d)),
            _ => Self::Unknown {
                kind: MultipartType(14 + d.below(1000) as u16),
                body: Gen::generate(d),
            },
        }
    }
}

impl Gen for MultipartReplyBody {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(if d.valid { 13 } else { 16 }) {
            0 => Self::Desc(Gen::generate(d)),
            1 => Self::Flow(Gen::generate(d)),
            2 => Self::Aggregate(Gen::generate(d)),
            3 => Self::Table(Gen::generate(d)),
            4 => Self::PortStats(Gen::generate(d)),
            5 => Self::Queue(Gen::generate(d)),
            6 => Self::Group(Gen::generate(d)),
            7 => Self::GroupDesc(Gen::generate(d)),
            8 => Self::GroupFeatures(Gen::generate(d)),
            9 => Self::Meter(Gen::generate(d)),
            10 => Self::MeterConfig(Gen::generate(d)),
            11 => Self::MeterFeatures(Gen::generate(d)),
            12 => Self::PortDesc(Gen::generate(d)),
            13 => Self::TableFeatures(Gen::generate(d)),
            14 => Self::Experimenter(Gen::generate(d)),
            _ => Self::Unknown {
                kind: MultipartType(14 + d.below(1000) as u16),
                body: Gen::generate(d),
            },
        }
    }
}

//! What stands in lists of kinds: bands, and properties of queues, tables and bundles.

use super::{Draw, Gen};
use ofproto::*;

impl Gen for MeterBand {
    fn generate(d: &mut Draw<'_>) -> Self {
        let (rate, burst_size) = (Gen::generate(d), Gen::generate(d));
        match d.below(if d.valid { 2 } else { 4 }) {
            0 => Self::Drop { rate, burst_size },
            1 => Self::DscpRemark {
                rate,
                burst_size,
                prec_level: Gen::generate(d),
            },
            2 => {
                let words = d.below(3);
                Self::Experimenter {
                    rate,
                    burst_size,
                    experimenter: Gen::generate(d),
                    body: d.bytes(words * 8),
                }
            }
            _ => {
                let (words, kind) = (d.below(3), MeterBandType(3 + d.below(1000) as u16));
                Self::Unknown {
                    kind,
                    rate,
                    burst_size,
                    body: d.bytes(words * 8 + 4),
                }
            }
        }
    }
}

impl Gen for QueueProp {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(if d.valid { 2 } else { 4 }) {
            0 => Self::MinRate(Gen::generate(d)),
            1 => Self::MaxRate(Gen::generate(d)),
            2 => Self::Experimenter {
                experimenter: Gen::generate(d),
                data: d.some_bytes(21),
            },
            _ => Self::Unknown {
                kind: QueuePropType(3 + d.below(1000) as u16),
                body: d.some_bytes(21),
            },
        }
    }
}

impl Gen for BundleProp {
    fn generate(d: &mut Draw<'_>) -> Self {
        let (experimenter, exp_type, data) = (Gen::generate(d), Gen::generate(d), d.some_bytes(21));
        match d.one_in(2) {
            true => Self::Experimenter {
                experimenter,
                exp_type,
                data,
            },
            false => Self::Unknown {
                kind: BundlePropType(d.below(1000) as u16),
                body: data,
            },
        }
    }
}

impl Gen for TableFeatureProp {
    fn generate(d: &mut Draw<'_>) -> Self {
        use TableFeatureBody as B;
        use TableFeaturePropType as T;
        let data = Gen::generate(d);
        let (kinds, body): (&[T], B) = match d.below(6) {
            0 => (
                &[T::INSTRUCTIONS, T::INSTRUCTIONS_MISS],
                B::Instructions(Gen::generate(d)),
            ),
            1 => (&[T::NEXT_TABLES, T::NEXT_TABLES_MISS], B::NextTables(d.list(20))),
            2 => (
                &[T::WRITE_ACTIONS, T::WRITE_ACTIONS_MISS, T::APPLY_ACTIONS],
                B::Actions(Gen::generate(d)),
            ),
            3 => (
                &[T::MATCH, T::WILDCARDS, T::WRITE_SETFIELD, T::APPLY_SETFIELD_MISS],
                B::Oxms(d.list(9)),
            ),
            4 => {
                let (experimenter, exp_type) = (Gen::generate(d), Gen::generate(d));
                (
                    &[T::EXPERIMENTER, T::EXPERIMENTER_MISS],
                    B::Experimenter {
                        experimenter,
                        exp_type,
                        data,
                    },
                )
            }
            _ => (&[T(9), T(11), T(999)], B::Unknown(data)),
        };
        Self {
            kind: d.pick(kinds),
            body,
        }
    }
}

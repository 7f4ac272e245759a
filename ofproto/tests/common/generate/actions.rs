//! Actions and instructions, extensions and unknown ones included.

use super::{Draw, Gen};
use bytes::Bytes;
use ofproto::*;

impl Gen for Action {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(21) {
            0 => Self::Output {
                port: d.pick(&[PortNo(1), PortNo(7), PortNo::IN_PORT]),
                max_len: 0,
            },
            1 => Self::PushVlan(d.pick(&[0x8100, 0x88a8])),
            2 => Self::PopVlan,
            3 => Self::SetQueue(Gen::generate(d)),
            4 => Self::Group(Gen::generate(d)),
            5 => Self::SetNwTtl(Gen::generate(d)),
            6 => Self::DecNwTtl,
            7 => Self::SetField(Gen::generate(d)),
            8 => Self::Output {
                port: PortNo::CONTROLLER,
                max_len: d.pick(&[0, 128, 0xffff]),
            },
            9 => Self::Output {
                port: Gen::generate(d),
                max_len: Gen::generate(d),
            },
            10 => Self::CopyTtlOut,
            11 => Self::CopyTtlIn,
            12 => Self::SetMplsTtl(Gen::generate(d)),
            13 => Self::DecMplsTtl,
            14 => d.pick(&[
                Self::PushMpls(0x8847),
                Self::PopMpls(0x0800),
                Self::PushPbb(0x88e7),
                Self::PopPbb,
            ]),
            15 => {
                let words = d.below(4);
                let (experimenter, body) = (Gen::generate(d), d.bytes(words * 8));
                Self::Experimenter {
                    experimenter,
                    // What a subtype that is known says would not be kept as bytes.
                    body: match body.get(..2) {
                        Some([0, 6 | 7] | [0x0c, 0x80]) => Bytes::new(),
                        _ => body,
                    },
                }
            }
            18 => Self::CopyField(Gen::generate(d)),
            19 => Self::RegMove(Gen::generate(d)),
            20 => Self::RegLoad(Gen::generate(d)),
            16 => {
                let words = d.below(4);
                Self::Unknown {
                    kind: ActionType(100 + d.below(1000) as u16),
                    body: d.bytes(words * 8 + 4),
                }
            }
            _ => Self::SetField(Gen::generate(d)),
        }
    }
}

impl Gen for FieldLoad {
    fn generate(d: &mut Draw<'_>) -> Self {
        let (ofs, n_bits) = (d.below(1024) as u16, 1 + d.below(64) as u16);
        let field = d.pick(OXM_TABLE).field;
        Self {
            bits: OfsNBits::new(ofs, n_bits).expect("bits that there is room for"),
            dst: OxmId {
                field: d.pick(&[field, OxmField::of_class(OxmClass::NXM_1, 7)]),
                masked: d.one_in(8),
                length: d.u8(),
            },
            value: Gen::generate(d),
        }
    }
}

impl Gen for Instruction {
    fn generate(d: &mut Draw<'_>) -> Self {
        match d.below(8) {
            0 => Self::GotoTable(Gen::generate(d)),
            1 => Self::WriteMetadata {
                metadata: Gen::generate(d),
                mask: Gen::generate(d),
            },
            2 => Self::WriteActions(d.list(4)),
            3 => Self::ApplyActions(d.list(4)),
            4 => Self::ClearActions,
            5 => Self::Meter(Gen::generate(d)),
            6 => {
                let words = d.below(4);
                Self::Experimenter {
                    experimenter: Gen::generate(d),
                    body: d.bytes(words * 8),
                }
            }
            _ => {
                let words = d.below(4);
                Self::Unknown {
                    kind: InstructionType(100 + d.below(1000) as u16),
                    body: d.bytes(words * 8 + 4),
                }
            }
        }
    }
}

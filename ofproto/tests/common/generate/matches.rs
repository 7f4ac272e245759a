//! Fields and matches.

use super::super::valid::{plain_oxm, valid_match};
use super::{Draw, Gen};
use ofproto::*;

impl Gen for Oxm {
    fn generate(d: &mut Draw<'_>) -> Self {
        if d.valid {
            return plain_oxm(
                d,
                &[
                    OxmField::VLAN_VID,
                    OxmField::ETH_SRC,
                    OxmField::ETH_DST,
                    OxmField::TUNNEL_ID,
                ],
            );
        }
        let field = match d.below(11) {
            8 => d.pick(NXM_0_TABLE).field,
            9 => d.pick(NXM_1_TABLE).field,
            10 => {
                d.pick(&[PACKET_REGS_TABLE, ONF_OXM_TABLE, NX_OXM_TABLE, NSH_OXM_TABLE].concat())
                    .field
            }
            0 => OxmField::of_experimenter(Gen::generate(d), d.u8()),
            1 => OxmField::of_class(OxmClass(d.pick(&[0, 1, 0x8001, 0x7fff])), d.u8()),
            2 => OxmField::basic(40 + d.u8() % 88),
            _ => d.pick(OXM_TABLE).field,
        };
        let width = field.width().unwrap_or_else(|| d.below(20));
        let value = d.bytes(width);
        let mask = d.one_in(3).then(|| d.bytes(width));
        Oxm::new(field, &value, mask.as_deref()).expect("the width fits")
    }
}

impl Gen for Match {
    fn generate(d: &mut Draw<'_>) -> Self {
        if !d.valid {
            return d.list::<Oxm>(6).into_iter().collect();
        }
        valid_match(d)
    }
}

impl Gen for OxmId {
    fn generate(d: &mut Draw<'_>) -> Self {
        let oxm = Oxm::generate(d);
        Self {
            field: oxm.field(),
            masked: oxm.is_masked(),
            length: d.u8(),
        }
    }
}

//! A match as numbers: which bits of which fields a packet must have. What one match covers of another, and whether two
//! can meet in one packet, is then arithmetic (OpenFlow 1.3.5 section 6.4).

use ofproto::{BadMatchCode, Match, OXM_TABLE, Oxm, OxmPrerequisite, VLAN_PRESENT};

use super::Refusal;

/// Some bits of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Term {
    /// Number of the field in its class.
    field: u8,
    value: u128,
    mask: u128,
}

/// A match in one form, whatever order it was written in.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Terms(Vec<Term>);

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

impl Terms {
    /// Reads a match.
    ///
    /// # Errors
    /// What OpenFlow 1.3 does not have or does not allow: fields of others, masks where there are none, values out of range, a
    /// field twice or without what it needs.
    pub fn read(matching: &Match) -> Result<Terms, Refusal> {
        use BadMatchCode as Bad;
        let mut terms: Vec<Term> = Vec::new();
        for oxm in matching {
            let field = oxm.field();
            let row = OXM_TABLE.iter().find(|row| row.field == field);
            let row = row.ok_or(Refusal::matching(Bad::BAD_FIELD))?;
            let all = u128::MAX >> (128 - u32::from(row.bits.max(1)));
            if oxm.is_masked() && !row.maskable {
                return Err(Refusal::matching(Bad::BAD_MASK));
            }
            let value = number(oxm.value());
            let mask = oxm.mask().map_or(all, number) & all;
            if value & !all != 0 {
                return Err(Refusal::matching(Bad::BAD_VALUE));
            }
            if value & !mask != 0 {
                return Err(Refusal::matching(Bad::BAD_WILDCARDS));
            }
            let field = field.number();
            if terms.iter().any(|term| term.field == field) {
                return Err(Refusal::matching(Bad::DUP_FIELD));
            }
            terms.push(Term { field, value, mask });
        }
        let met = matching.iter().all(|oxm| met(&oxm, matching));
        if !met {
            return Err(Refusal::matching(Bad::BAD_PREREQ));
        }
        // A mask of nothing looks at nothing.
        terms.retain(|term| term.mask != 0);
        terms.sort();
        Ok(Terms(terms))
    }

    fn of(&self, field: u8) -> Option<&Term> {
        self.0.iter().find(|term| term.field == field)
    }

    /// Whether every packet of `narrow` is one of this.
    pub fn covers(&self, narrow: &Terms) -> bool {
        self.0.iter().all(|wide| {
            let narrow = narrow.of(wide.field);
            narrow.is_some_and(|n| wide.mask & !n.mask == 0 && (wide.value ^ n.value) & wide.mask == 0)
        })
    }

    /// Whether there can be a packet of both.
    pub fn overlaps(&self, other: &Terms) -> bool {
        self.0.iter().all(|one| {
            let other = other.of(one.field);
            other.is_none_or(|other| (one.value ^ other.value) & one.mask & other.mask == 0)
        })
    }
}

/// Whether a field's prerequisites are in the match (section 7.2.3.6).
fn met(oxm: &Oxm, matching: &Match) -> bool {
    let value = |field| {
        let found = matching.iter().find(|other| other.field() == field);
        found
            .filter(|other| !other.is_masked())
            .map(|other| number(other.value()))
    };
    use ofproto::OxmField as F;
    let Some(row) = oxm.field().row() else { return false };
    match row.needs {
        OxmPrerequisite::None => true,
        OxmPrerequisite::InPort => matching.iter().any(|other| other.field() == F::IN_PORT),
        OxmPrerequisite::Vlan => {
            let vlan = matching.iter().find(|other| other.field() == F::VLAN_VID);
            vlan.is_some_and(|vlan| number(vlan.value()) & u128::from(VLAN_PRESENT) != 0)
        }
        OxmPrerequisite::EthType(any) => any.iter().any(|kind| value(F::ETH_TYPE) == Some(u128::from(*kind))),
        OxmPrerequisite::IpProto(kind) => value(F::IP_PROTO) == Some(u128::from(kind)),
        OxmPrerequisite::Icmpv6Type(any) => any.iter().any(|kind| value(F::ICMPV6_TYPE) == Some(u128::from(*kind))),
        // Of fields that are not OpenFlow's.
        OxmPrerequisite::Tracked => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofproto::{MacAddr, OxmField, PortNo};

    fn terms(matching: Match) -> Terms {
        Terms::read(&matching).expect("a match")
    }

    fn ip(value: u32, mask: Option<u32>) -> Oxm {
        let mask = mask.map(u32::to_be_bytes);
        let mask = mask.as_ref().map(|mask| &mask[..]);
        Oxm::new(OxmField::IPV4_DST, &value.to_be_bytes(), mask).expect("four bytes")
    }

    #[test]
    fn the_order_of_fields_says_nothing_and_an_empty_mask_neither() {
        let one = Match::new().with(Oxm::in_port(PortNo(1))).with(Oxm::vlan_vid(5));
        let other = Match::new().with(Oxm::vlan_vid(5)).with(Oxm::in_port(PortNo(1)));
        assert_eq!(terms(one), terms(other.with(Oxm::metadata_masked(0, 0))));
    }

    #[test]
    fn wider_matches_cover_and_others_only_meet() {
        let v4 = || Match::new().with(Oxm::eth_type(0x0800));
        let all = terms(Match::new());
        let net = terms(v4().with(ip(0x0a00_0000, Some(0xff00_0000))));
        let host = terms(v4().with(ip(0x0a00_0001, None)));
        let elsewhere = terms(v4().with(ip(0x0b00_0001, None)));
        let port = terms(Match::new().with(Oxm::in_port(PortNo(1))));
        assert!(all.covers(&net) && net.covers(&host) && host.covers(&host));
        assert!(!host.covers(&net) && !net.covers(&elsewhere) && !net.covers(&all));
        assert!(net.overlaps(&host) && host.overlaps(&net) && port.overlaps(&host));
        assert!(!host.overlaps(&elsewhere) && !elsewhere.overlaps(&net));
        assert!(!port.covers(&host) && !host.covers(&port));
    }

    #[test]
    fn what_openflow_does_not_allow_is_refused_with_its_code() {
        use BadMatchCode as Bad;
        let twice = Match::new().with(Oxm::in_port(PortNo(1))).with(Oxm::in_port(PortNo(1)));
        let masked_type = Oxm::new(OxmField::ETH_TYPE, &[8, 0], Some(&[0xff, 0])).expect("two bytes");
        let six_bits = Oxm::new(OxmField::IP_DSCP, &[0x40], None).expect("a byte");
        let v4 = || Match::new().with(Oxm::eth_type(0x0800));
        let cases = [
            (twice, Bad::DUP_FIELD),
            (Match::new().with(masked_type), Bad::BAD_MASK),
            (v4().with(six_bits), Bad::BAD_VALUE),
            (v4().with(ip(1, Some(2))), Bad::BAD_WILDCARDS),
            (Match::new().with(ip(1, None)), Bad::BAD_PREREQ),
            (v4().with(Oxm::udp_dst(1)), Bad::BAD_PREREQ),
            (
                Match::new().with(Oxm::vlan_none()).with(Oxm::vlan_pcp(1)),
                Bad::BAD_PREREQ,
            ),
        ];
        for (matching, code) in cases {
            assert_eq!(Terms::read(&matching), Err(Refusal::matching(code)), "{matching:?}");
        }
        assert!(Terms::read(&Match::new().with(Oxm::vlan_any()).with(Oxm::vlan_pcp(1))).is_ok());
        assert!(Terms::read(&Match::new().with(Oxm::eth_dst(MacAddr([1; 6])))).is_ok());
    }
}

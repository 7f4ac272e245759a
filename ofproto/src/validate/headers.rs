//! What a match promises of a packet: which headers it has. The prerequisites of fields
//! (section 7.2.3.6) and of actions are judged against it.

use super::{Refusal, RefusalCause, refuse_if};
use crate::action::{Action, ActionType};
use crate::error_msg::{BadActionCode, BadMatchCode};
use crate::number::ExperimenterId;
use crate::ofp_match::Match;
use crate::oxm::{Oxm, OxmClass, OxmField, VLAN_PRESENT};
use crate::oxm_table::OxmPrerequisite;

/// What a match is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// To choose packets.
    Matched,
    /// To tell what is known of one packet: fields need no others, and one that is not known
    /// tells nothing.
    Told,
}

/// The headers of a packet as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers {
    /// Nothing is known: whatever is needed may be there.
    any: bool,
    in_port: bool,
    /// VLAN tags in front.
    tags: u16,
    eth_type: Option<u16>,
    ip_proto: Option<u8>,
    icmpv6_type: Option<u8>,
    /// The connection is tracked.
    tracked: bool,
}

/// The bit of NXM_NX_CT_STATE that says that the connection is tracked.
const TRACKED: u64 = 0x20;

const IP: &[u16] = &[0x0800, 0x86dd];
const MPLS: &[u16] = &[0x8847, 0x8848];
const IP_OR_MPLS: &[u16] = &[0x0800, 0x86dd, 0x8847, 0x8848];
const PBB: &[u16] = &[0x88e7];

impl Headers {
    /// Of a packet that no match speaks of.
    pub(super) fn unknown() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    /// Of the packets that a match matches.
    pub(super) fn promised_by(matching: &Match) -> Result<Self, Refusal> {
        Self::read(matching, Reading::Matched)
    }

    /// Of one packet of which a match tells.
    pub(super) fn told_by(matching: &Match) -> Result<Self, Refusal> {
        Self::read(matching, Reading::Told)
    }

    fn read(matching: &Match, reading: Reading) -> Result<Self, Refusal> {
        let mut headers = Self::default();
        let mut seen = Seen::default();
        for oxm in matching.iter() {
            let field = oxm.field();
            match oxm.validate() {
                Err(refusal) if reading == Reading::Told && refusal.cause == RefusalCause::UnknownField(field) => {
                    continue;
                }
                other => other?,
            }
            let unmet = field.row().is_some_and(|row| !headers.have(row.needs));
            let missing = unmet && reading == Reading::Matched;
            refuse_if(
                missing,
                "ofp_match",
                BadMatchCode::BAD_PREREQ,
                RefusalCause::MissingPrerequisite(field),
            )?;
            refuse_if(
                seen.before(field),
                "ofp_match",
                BadMatchCode::DUP_FIELD,
                RefusalCause::DuplicateField(field),
            )?;
            headers.learn(&oxm);
        }
        Ok(headers)
    }

    /// Whether a prerequisite is met.
    pub(super) fn have(&self, needs: OxmPrerequisite) -> bool {
        self.any
            || match needs {
                OxmPrerequisite::None => true,
                OxmPrerequisite::InPort => self.in_port,
                OxmPrerequisite::Vlan => self.tags > 0,
                OxmPrerequisite::EthType(types) => self.eth_type.is_some_and(|kind| types.contains(&kind)),
                OxmPrerequisite::IpProto(proto) => self.ip_proto == Some(proto),
                OxmPrerequisite::Tracked => self.tracked,
                OxmPrerequisite::Icmpv6Type(types) => self.icmpv6_type.is_some_and(|kind| types.contains(&kind)),
            }
    }

    /// What one field more says.
    fn learn(&mut self, oxm: &Oxm) {
        let value = oxm.value_u64();
        match oxm.field() {
            OxmField::IN_PORT => self.in_port = true,
            OxmField::NXM_NX_CT_STATE => self.tracked = value.is_some_and(|state| state & TRACKED != 0),
            OxmField::NXM_OF_VLAN_TCI if value.is_some_and(|tci| tci & u64::from(VLAN_PRESENT) != 0) => {
                self.tags = self.tags.max(1);
            }
            OxmField::VLAN_VID if value.is_some_and(|value| value & u64::from(VLAN_PRESENT) != 0) => {
                self.tags = self.tags.max(1);
            }
            OxmField::ETH_TYPE | OxmField::NXM_OF_ETH_TYPE => {
                self.over(value.and_then(|value| u16::try_from(value).ok()))
            }
            OxmField::IP_PROTO | OxmField::NXM_OF_IP_PROTO => {
                self.ip_proto = value.and_then(|value| u8::try_from(value).ok())
            }
            OxmField::ICMPV6_TYPE | OxmField::NXM_NX_ICMPV6_TYPE => {
                self.icmpv6_type = value.and_then(|value| u8::try_from(value).ok())
            }
            _ => {}
        }
    }

    /// Another Ethernet type: what was known of the header behind it is gone.
    fn over(&mut self, eth_type: Option<u16>) {
        self.eth_type = eth_type;
        self.ip_proto = None;
        self.icmpv6_type = None;
    }

    /// Whether an action finds the header it works on; the headers are then as it leaves them.
    pub(super) fn after(&mut self, action: &Action) -> Result<(), Refusal> {
        let needs = match action {
            Action::CopyTtlOut | Action::CopyTtlIn => OxmPrerequisite::EthType(IP_OR_MPLS),
            Action::SetMplsTtl(_) | Action::DecMplsTtl | Action::PopMpls(_) => OxmPrerequisite::EthType(MPLS),
            Action::SetNwTtl(_) | Action::DecNwTtl => OxmPrerequisite::EthType(IP),
            Action::PopVlan => OxmPrerequisite::Vlan,
            Action::PopPbb => OxmPrerequisite::EthType(PBB),
            Action::SetField(oxm) => return self.after_set(oxm),
            Action::CopyField(copy) => return self.hold("ofp_action_copy_field", &copy.fields()),
            Action::RegMove(copy) => return self.hold("nx_action_reg_move", &copy.fields()),
            Action::RegLoad(load) => return self.hold("nx_action_reg_load", &[load.dst]),
            _ => OxmPrerequisite::None,
        };
        let code = BadActionCode::MATCH_INCONSISTENT;
        let kind = action.kind();
        refuse_if(
            !self.have(needs),
            structure(kind),
            code,
            RefusalCause::HeaderNotMatched(kind),
        )?;
        match action {
            Action::PushVlan(_) => self.tags = self.tags.saturating_add(1),
            Action::PopVlan => self.tags = self.tags.saturating_sub(1),
            Action::PushMpls(eth_type) | Action::PopMpls(eth_type) | Action::PushPbb(eth_type) => {
                self.over(Some(*eth_type));
            }
            // The frame inside may be anything.
            Action::PopPbb => *self = Self::unknown(),
            _ => {}
        }
        Ok(())
    }

    fn after_set(&mut self, oxm: &Oxm) -> Result<(), Refusal> {
        let field = oxm.field();
        // A tag is matched to be there or not; it is set only where there is one.
        let needs = match field {
            OxmField::VLAN_VID => OxmPrerequisite::Vlan,
            other => other.row().map_or(OxmPrerequisite::None, |row| row.needs),
        };
        refuse_if(
            !self.have(needs),
            structure(ActionType::SET_FIELD),
            BadActionCode::MATCH_INCONSISTENT,
            RefusalCause::FieldNotMatched(field),
        )?;
        self.learn(oxm);
        Ok(())
    }
}

/// The structure of an action that a header can be missing for.
pub(super) fn structure(kind: ActionType) -> &'static str {
    match kind {
        ActionType::SET_MPLS_TTL => "ofp_action_mpls_ttl",
        ActionType::POP_MPLS => "ofp_action_pop_mpls",
        ActionType::SET_NW_TTL => "ofp_action_nw_ttl",
        ActionType::SET_FIELD => "ofp_action_set_field",
        _ => "ofp_action_header",
    }
}

/// Which fields were there, by class and experimenter.
#[derive(Default)]
struct Seen {
    basic: u128,
    nxm_0: u128,
    nxm_1: u128,
    packet_regs: u128,
    onf: u128,
    nicira: u128,
    nsh: u128,
}

impl Seen {
    /// Whether the field was there before. It is from now on.
    fn before(&mut self, field: OxmField) -> bool {
        let word = match field.class() {
            OxmClass::OPENFLOW_BASIC => &mut self.basic,
            OxmClass::NXM_0 => &mut self.nxm_0,
            OxmClass::NXM_1 => &mut self.nxm_1,
            OxmClass::PACKET_REGS => &mut self.packet_regs,
            _ => match field.experimenter() {
                Some(ExperimenterId::ONF) => &mut self.onf,
                Some(ExperimenterId::NICIRA) => &mut self.nicira,
                Some(ExperimenterId::NSH) => &mut self.nsh,
                // Not known, so not taken even once.
                _ => return false,
            },
        };
        // Numbers have seven bits, so the shift is always one.
        let bit = 1_u128.checked_shl(u32::from(field.number())).unwrap_or(0);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

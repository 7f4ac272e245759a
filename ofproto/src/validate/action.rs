//! Actions (section 7.2.5): one by itself, a list that is done in order, and a set.

use super::headers::{Headers, structure};
use super::{OnfCode, Refusal, RefusalCause, refuse, refuse_if};
use crate::action::Action;
use crate::error_msg::BadActionCode;
use crate::number::{ExperimenterId, PortNo, QueueId};
use crate::oxm::{Oxm, OxmField, VLAN_PRESENT};

/// Where an action stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In an entry of a table or group.
    Entry,
    /// In a packet from the controller, which alone can be put through the tables.
    PacketOut,
}

impl Action {
    /// Whether a switch would take it in some rule: known, to a place that can be, with
    /// arguments that fit. Whether a rule's match promises the header it works on is for
    /// [`FlowMod::validate`](crate::FlowMod::validate) to say.
    ///
    /// # Errors
    /// What is refused, with a code of OFPET_BAD_ACTION.
    pub fn validate(&self) -> Result<(), Refusal> {
        self.judge(Place::Entry)
    }

    fn judge(&self, place: Place) -> Result<(), Refusal> {
        match self {
            Self::Output { port, .. } => {
                let fine = port.gives_packets() || (*port == PortNo::TABLE && place == Place::PacketOut);
                refuse_if(
                    !fine,
                    "ofp_action_output",
                    BadActionCode::BAD_OUT_PORT,
                    RefusalCause::Port(*port),
                )
            }
            Self::PushVlan(kind) => push(*kind, &[0x8100, 0x88a8]),
            Self::PushMpls(kind) => push(*kind, &[0x8847, 0x8848]),
            Self::PushPbb(kind) => push(*kind, &[0x88e7]),
            Self::SetQueue(queue) => refuse_if(
                *queue == QueueId::ALL,
                "ofp_action_set_queue",
                BadActionCode::BAD_QUEUE,
                RefusalCause::Queue(*queue),
            ),
            Self::Group(group) => refuse_if(
                !group.can_exist(),
                "ofp_action_group",
                BadActionCode::BAD_OUT_GROUP,
                RefusalCause::Group(*group),
            ),
            Self::SetField(oxm) => settable(oxm),
            Self::Experimenter { experimenter, body } => stranger(*experimenter, body),
            Self::Unknown { kind, .. } => refuse(
                structure(*kind),
                BadActionCode::BAD_TYPE,
                RefusalCause::UnknownType(u32::from(kind.0)),
            ),
            Self::CopyField(copy) | Self::RegMove(copy) => copy.validate(),
            Self::RegLoad(load) => load.validate(),
            Self::CopyTtlOut
            | Self::CopyTtlIn
            | Self::SetMplsTtl(_)
            | Self::DecMplsTtl
            | Self::PopVlan
            | Self::PopMpls(_)
            | Self::SetNwTtl(_)
            | Self::DecNwTtl
            | Self::PopPbb => Ok(()),
        }
    }
}

/// An action of an experimenter that this crate does not read: of Nicira and the ONF it
/// knows some, which the first two bytes tell apart.
fn stranger(experimenter: ExperimenterId, body: &[u8]) -> Result<(), Refusal> {
    const STRUCTURE: &str = "ofp_action_experimenter_header";
    let known = matches!(experimenter, ExperimenterId::NICIRA | ExperimenterId::ONF);
    match body.first_chunk::<2>() {
        Some(subtype) if known => refuse(
            STRUCTURE,
            BadActionCode::BAD_EXP_TYPE,
            RefusalCause::UnknownExperimenterType {
                experimenter,
                exp_type: u32::from(u16::from_be_bytes(*subtype)),
            },
        ),
        _ => refuse(
            STRUCTURE,
            BadActionCode::BAD_EXPERIMENTER,
            RefusalCause::UnknownExperimenter(experimenter),
        ),
    }
}

/// A list that is done in order on packets with these headers, which are then as it
/// leaves them.
pub(super) fn list(actions: &[Action], place: Place, headers: &mut Headers) -> Result<(), Refusal> {
    actions.iter().try_for_each(|action| {
        action.judge(place)?;
        headers.after(action)
    })
}

/// A set that is done behind the last table: other tables' rules have put headers in front
/// until then or taken them off, so that this rule's match promises nothing.
pub(super) fn set(actions: &[Action]) -> Result<(), Refusal> {
    actions.iter().try_for_each(|action| action.judge(Place::Entry))
}

/// The Ethernet type of a header that is put in front.
fn push(kind: u16, of_such: &[u16]) -> Result<(), Refusal> {
    refuse_if(
        !of_such.contains(&kind),
        "ofp_action_push",
        BadActionCode::BAD_ARGUMENT,
        RefusalCause::EtherType(kind),
    )
}

/// A field that is set (section 7.2.5, Set-Field): one of a header, whole, with a value that
/// fits.
fn settable(oxm: &Oxm) -> Result<(), Refusal> {
    const STRUCTURE: &str = "ofp_action_set_field";
    let field = oxm.field();
    if field.row().is_none() {
        let (code, cause) = (BadActionCode::BAD_SET_TYPE, RefusalCause::UnknownField(field));
        return refuse(STRUCTURE, code, cause);
    }
    let of_no_header = matches!(field, OxmField::IN_PORT | OxmField::IN_PHY_PORT | OxmField::METADATA);
    refuse_if(
        of_no_header,
        STRUCTURE,
        BadActionCode::BAD_SET_TYPE,
        RefusalCause::NotSettable(field),
    )?;
    refuse_if(
        oxm.is_masked(),
        STRUCTURE,
        OnfCode::BAD_SET_MASK,
        RefusalCause::MaskedSet(field),
    )?;
    refuse_if(
        !oxm.fits(),
        STRUCTURE,
        BadActionCode::BAD_SET_ARGUMENT,
        RefusalCause::TooManyBits(field),
    )?;
    let present = |value: u64| value & u64::from(VLAN_PRESENT) != 0;
    refuse_if(
        field == OxmField::VLAN_VID && !oxm.value_u64().is_some_and(present),
        STRUCTURE,
        BadActionCode::BAD_SET_ARGUMENT,
        RefusalCause::FieldValue(field),
    )
}

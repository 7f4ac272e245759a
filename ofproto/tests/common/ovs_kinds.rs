//! The kinds of disagreement with Open vSwitch that `ovs-differs.md` explains, each with the
//! test of whether a frame is of that kind.

use super::judgement::{Case, Ours};
use super::parts::{actions, fields, instructions, matched, ports};
use ofproto::*;

/// A kind of disagreement.
pub struct Kind {
    /// As in `ovs-differs.md`, behind `###`.
    pub name: &'static str,
    /// Whether a frame on which we disagree is of it.
    pub is: fn(&Case) -> bool,
}

macro_rules! kinds {
    ($($name:literal => $is:expr;)*) => {
        /// Every kind.
        pub const KINDS: &[Kind] = &[$(Kind { name: $name, is: $is },)*];
    };
}

kinds! {
    // Both refuse it and give another reason.
    "a length that lies, named by another structure" => |case| {
        case.malformed().is_some() && case.answer_is(is_length) && case.theirs_is(is_length)
    };
    "a value before a length that lies" => |case| {
        case.malformed().is_some_and(|cause| !width(cause)) && case.theirs_is(|error| !is_length(error))
    };
    "a field of another width" => |case| {
        case.malformed().is_some_and(width) && case.theirs_is(|error| {
            ["BMC_BAD_FIELD", "BMC_BAD_WILDCARDS", "BMC_BAD_VALUE", "BMC_BAD_PREREQ", "BMC_DUP_FIELD", "BMC_BAD_MASK"]
                .iter().any(|code| error.ends_with(code)) || error.contains("BAC_BAD_")
        })
    };
    "more than one thing wrong" => |case| {
        case.refusal().is_some() && case.theirs.is_some() && case.strange
    };
    "an unknown band of another length" => |case| {
        case.answer_is(|code| code == "OFPMMFC_BAD_BAND") && case.theirs_is(|error| error == "OFPBRC_BAD_LEN")
    };

    // We refuse the structure, Open vSwitch does not look so far.
    "elements of a hello" => |case| {
        matches!(case.frame[1], 0) && case.malformed().is_some() && case.theirs.is_none()
    };
    "bytes behind a match" => |case| {
        let trailing = |cause: &DecodeCause| matches!(cause, DecodeCause::Trailing { .. });
        matches!(case.frame[1], 0x0b | 0x12) && case.malformed().is_some_and(trailing) && case.theirs.is_none()
    };
    "bands of a meter that is deleted" => |case| {
        case.starts(0x1d, 2) && case.malformed().is_some() && case.theirs.is_none()
    };
    "the version of another protocol" => |case| {
        matches!(case.malformed(), Some(DecodeCause::Version(_)))
    };
    "a match of the old type" => |case| {
        matches!(case.malformed(), Some(DecodeCause::MatchType(_))) && case.theirs_is(is_length)
    };
    "the counters of a group" => |case| {
        case.starts(0x13, 6) && case.malformed().is_some() && case.theirs.is_none()
    };
    "properties of a bundle" => |case| {
        matches!(&case.ours, Ours::Malformed(error) if error.structure.starts_with("ofp_bundle")) && case.theirs.is_none()
    };
    "what a packet-in tells" => |case| match case.body() {
        None => case.frame[1] == 0x0a && case.malformed().is_some_and(width) && case.theirs.is_none(),
        Some(Body::PacketIn(packet)) => packet.matching.validate().is_err_and(|refusal| {
            matches!(
                refusal.cause,
                RefusalCause::UnknownField(_) | RefusalCause::MissingPrerequisite(_)
            )
        }),
        Some(_) => false,
    };

    // We refuse a value, Open vSwitch takes it or prints it without a word.
    "a hello without a common version" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::NoCommonVersion)) && case.theirs.is_none()
    };
    "reasons that nobody defined" => |case| {
        matches!(case.body(), Some(Body::SetAsync(_))) && case.unknown_flags()
    };
    "what is done with a bundle" => |case| {
        matches!(case.body(), Some(Body::BundleControl(_) | Body::BundleAdd(_)))
            && case.refusal().is_some_and(|refusal| refusal.structure.starts_with("ofp_bundle"))
            && case.theirs.is_none()
    };
    "the configuration of a table" => |case| matches!(case.body(), Some(Body::TableMod(_))) && case.unknown_flags();
    "fragments dropped and put together" => |case| {
        matches!(case.body(), Some(Body::SetConfig(_))) && case.theirs.is_none()
    };
    "the flags of a request" => |case| {
        matches!(case.body(), Some(Body::MultipartRequest(_))) && case.unknown_flags()
    };
    "the configuration of a port" => |case| matches!(case.body(), Some(Body::PortMod(_))) && case.unknown_flags();
    "the flags of a meter" => |case| matches!(case.body(), Some(Body::MeterMod(_))) && case.unknown_flags();
    "numbers above the largest" => |case| {
        let number = |cause| match cause {
            RefusalCause::Port(port) => !port.is_standard(),
            RefusalCause::Group(group) => group > GroupId::MAX,
            RefusalCause::Meter(meter) => !meter.is_standard(),
            RefusalCause::Queue(queue) => queue == QueueId::ALL,
            RefusalCause::Table(table) => table == TableId::ALL,
            RefusalCause::FieldValue(field) => matches!(field, OxmField::IN_PORT | OxmField::IN_PHY_PORT),
            _ => false,
        };
        case.cause(number) && case.theirs.is_none()
    };
    "a mask on a field that is set" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::MaskedSet(_))) && case.theirs.is_some()
    };
    "the number of a group that is watched" => |case| {
        case.answer_is(|code| code == "OFPGMFC_BAD_WATCH")
            && case.theirs_is(|error| error == "OFPGMFC_WATCH_UNSUPPORTED" || error == "OFPGMFC_INVALID_GROUP")
    };
    "metadata that is set" => |case| {
        let metadata = |cause| matches!(cause, RefusalCause::NotSettable(OxmField::METADATA));
        case.cause(metadata)
    };
    "a group that hands packets to itself" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::Loop(_)))
    };
    "the commands of another version" => |case| {
        matches!(case.body(), Some(Body::GroupMod(_)))
            && case.cause(|cause| matches!(cause, RefusalCause::UnknownCommand(3 | 5 | 0x8000)))
    };
    "the actions of another version" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::UnknownType(1..=10 | 13 | 14)))
            && case.answer_is(|code| code == "OFPBAC_BAD_TYPE")
    };
    "a packet-out without a packet" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::NoPacket)) && case.theirs.is_none()
    };
    "a longer role status" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::BodyLength(_))) && case.theirs.is_none()
    };
    "messages of the ONF" => |case| {
        let onf = |cause| matches!(cause, RefusalCause::UnknownExperimenterType { experimenter: ExperimenterId::ONF, .. });
        case.cause(onf) && matches!(case.body(), Some(Body::Experimenter(_)))
    };
    "actions of Nicira" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::UnknownExperimenterType { .. }))
            && case.answer_is(|code| code == "OFPBAC_BAD_VENDOR_TYPE")
    };
    "bits of a field of Nicira's" => |case| {
        let bits = |cause| matches!(cause, RefusalCause::TooManyBits(field) if field.class() != OxmClass::OPENFLOW_BASIC);
        let other = |field: &OxmField| field.class() != OxmClass::OPENFLOW_BASIC;
        case.cause(bits) && case.theirs.is_none()
            || case.theirs_is(|error| ["OFPBMC_BAD_VALUE", "OFPBMC_BAD_FIELD", "OFPBAC_BAD_SET_LEN"].contains(&error))
                && case.body().is_some_and(|body| fields(body).iter().any(other))
    };
    "an unknown field that is set" => |case| {
        case.cause(|cause| matches!(cause, RefusalCause::UnknownField(_)))
            && case.answer_is(|code| code == "OFPBAC_BAD_SET_TYPE")
            && case.theirs_is(|error| error.starts_with("OFPBAC_BAD_SET") || error.starts_with("OFPBMC"))
    };
    "what a table can do" => |case| {
        match case.body() {
            Some(Body::MultipartRequest(request)) => matches!(request.body, MultipartRequestBody::TableFeatures(_)),
            Some(Body::MultipartReply(reply)) => matches!(reply.body, MultipartReplyBody::TableFeatures(_)),
            _ => false,
        }
    };

    // Open vSwitch refuses what we take, or refuses it before what we refuse.
    "ports of 16 bits" => |case| {
        let wide = |port: &PortNo| port.0 >= 0xff00 && port.name().is_none();
        case.body().is_some_and(|body| ports(body).iter().any(wide)) && case.answer() != case.theirs
            || case.unequal.is_some() && case.body().is_some_and(|body| ports(body).iter().any(wide))
    };
    "ARP operations of 8 bits" => |case| {
        let wide = |oxm: &Oxm| oxm.field() == OxmField::ARP_OP && oxm.value_u64() > Some(0xff);
        case.body().is_some_and(|body| matched(body).iter().any(wide))
            && case.theirs_is(|error| error == "OFPBMC_BAD_VALUE")
    };
    "the data of an error" => |case| {
        matches!(case.body(), Some(Body::Error(_))) && case.theirs_is(|error| error == "OFPBRC_BAD_LEN")
    };
    "queues whose properties fill no 8 bytes" => |case| {
        matches!(case.body(), Some(Body::QueueGetConfigReply(_)))
            && case.theirs_is(|error| error == "OFPBRC_BAD_LEN")
    };
    "actions that it lacks" => |case| {
        let lacks = |action: &Action| {
            matches!(
                action,
                Action::CopyTtlOut | Action::CopyTtlIn | Action::PushPbb(_) | Action::PopPbb
            )
        };
        case.body().is_some_and(|body| actions(body).iter().any(lacks))
            && case.theirs_is(|error| error == "OFPBAC_BAD_TYPE")
    };
    "fields that it lacks" => |case| {
        let lacks = |field: &OxmField| {
            matches!(*field, OxmField::IN_PHY_PORT | OxmField::PBB_ISID | OxmField::IPV6_EXTHDR)
        };
        case.body().is_some_and(|body| fields(body).iter().any(lacks)) && case.theirs.is_some()
    };
    "fields that it masks" => |case| case.cause(|cause| matches!(cause, RefusalCause::NotMaskable(_)));
    "fields of another version" => |case| {
        let later = |cause| {
            matches!(cause, RefusalCause::UnknownField(field)
                if field.class() == OxmClass::OPENFLOW_BASIC && (40..=44).contains(&field.number()))
        };
        case.cause(later)
    };
    "neighbour discovery with a code" => |case| {
        let code = |oxm: &Oxm| oxm.field() == OxmField::ICMPV6_CODE && oxm.value_u64() != Some(0);
        case.theirs_is(|error| error == "OFPBMC_BAD_PREREQ")
            && case.body().is_some_and(|body| matched(body).iter().any(code))
    };
    "fields that it lacks, told of a packet" => |case| {
        let lacks = |cause| matches!(cause, RefusalCause::TooManyBits(OxmField::IPV6_EXTHDR | OxmField::PBB_ISID));
        case.cause(lacks) && case.theirs.is_none()
    };
    "fields that it does not set" => |case| {
        let set = |action: &Action| match action {
            Action::SetField(oxm) => {
                NOT_SET.contains(&oxm.field()) || oxm.field().class() != OxmClass::OPENFLOW_BASIC
            }
            _ => false,
        };
        case.theirs_is(|error| error == "OFPBAC_BAD_SET_ARGUMENT")
            && case.body().is_some_and(|body| actions(body).iter().any(set))
    };
    "headers that an action set works on" => |case| {
        let set = |instruction: &Instruction| matches!(instruction, Instruction::WriteActions(_));
        case.theirs_is(|error| error == "OFPBAC_MATCH_INCONSISTENT")
            && case.body().is_some_and(|body| instructions(body).iter().any(set))
    };
    "three tags" => |case| case.theirs_is(|error| error == "OFPBAC_BAD_TAG");
    "padding that is not zero" => |case| {
        case.theirs_is(|error| error == "OFPBAC_BAD_SET_ARGUMENT" || error.ends_with("MUST_BE_ZERO"))
            && matches!(&case.ours, Ours::Taken(message) if message.to_bytes().is_ok_and(|bytes| bytes != case.frame))
    };
    "a watch in other groups" => |case| {
        matches!(case.ours, Ours::Taken(_)) && case.theirs_is(|error| error == "OFPGMFC_WATCH_UNSUPPORTED")
    };
    "why a port changed" => |case| case.theirs_is(|error| error == "NXBRC_BAD_REASON");
    "one field of two classes" => |case| {
        let other = |field: &OxmField| field.class() != OxmClass::OPENFLOW_BASIC;
        case.body().is_some_and(|body| fields(body).iter().any(other))
            && case.theirs_is(|error| error == "OFPBMC_DUP_FIELD")
    };

    // Both take it and print other values.
    "reasons of another version" => |case| {
        case.unequal.is_some()
            && match case.body() {
                Some(Body::FlowRemoved(rule)) => rule.reason.name().is_none(),
                Some(Body::PacketIn(packet)) => packet.reason.name().is_none(),
                _ => false,
            }
    };
    "errors of another version" => |case| {
        case.unequal.is_some() && case.frame[0] != 4 && matches!(case.body(), Some(Body::Error(_)))
    };
    "fields of Nicira's under other names" => |case| {
        let other = |field: &OxmField| field.class() != OxmClass::OPENFLOW_BASIC;
        case.unequal.is_some() && case.body().is_some_and(|body| fields(body).iter().any(other))
    };
}

impl Case {
    fn malformed(&self) -> Option<&DecodeCause> {
        match &self.ours {
            Ours::Malformed(error) => Some(&error.cause),
            _ => None,
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.ours {
            Ours::Refused(_, refusal) => Some(refusal),
            _ => None,
        }
    }

    fn body(&self) -> Option<&Body> {
        match &self.ours {
            Ours::Malformed(_) => None,
            Ours::Refused(message, _) | Ours::Taken(message) => Some(&message.body),
        }
    }

    /// Whether its type and the number behind its header are these.
    fn starts(&self, kind: u8, number: u16) -> bool {
        self.frame[1] == kind && self.frame.get(8..10) == Some(&number.to_be_bytes()[..])
    }

    /// Whether we refuse it for such a cause.
    fn cause(&self, test: impl Fn(RefusalCause) -> bool) -> bool {
        self.refusal().is_some_and(|refusal| test(refusal.cause))
    }

    /// Whether we refuse flags in which Open vSwitch sees nothing wrong.
    fn unknown_flags(&self) -> bool {
        self.cause(|cause| matches!(cause, RefusalCause::UnknownFlags(_))) && self.theirs.is_none()
    }

    fn answer_is(&self, test: fn(&str) -> bool) -> bool {
        self.answer().as_deref().is_some_and(test)
    }

    fn theirs_is(&self, test: fn(&str) -> bool) -> bool {
        self.theirs.as_deref().is_some_and(test)
    }
}

/// Fields of the basic class that Open vSwitch reads only, and those of which it has fewer bits.
const NOT_SET: [OxmField; 3] = [OxmField::ETH_TYPE, OxmField::IP_PROTO, OxmField::ARP_OP];

/// Whether an error speaks of a length.
fn is_length(error: &str) -> bool {
    ["BAD_LEN", "BAD_SET_LEN", "BAD_BUCKET"]
        .iter()
        .any(|code| error.ends_with(code))
}

/// Whether a field has another width than the specification gives it.
fn width(cause: &DecodeCause) -> bool {
    matches!(cause, DecodeCause::OxmLength { .. } | DecodeCause::OxmMask { .. })
}

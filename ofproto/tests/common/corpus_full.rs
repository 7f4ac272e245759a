//! Frames with as many elements as 65,535 bytes can have, of each element that can be
//! repeated, each as small as it can be: the most work and the most memory for a frame.

use super::generate::{Draw, Gen};
use bytes::Bytes;
use ofproto::*;

/// A value of zeros.
fn plain<T: Gen>() -> T {
    T::generate(&mut Draw::new(&[], false))
}

/// `n` times the same.
fn times<T: Clone>(n: usize, value: T) -> Vec<T> {
    vec![value; n]
}

fn rule(instructions: Vec<Instruction>) -> Body {
    Body::FlowMod(FlowMod {
        matching: Match::new(),
        instructions,
        ..plain()
    })
}

fn reply(body: MultipartReplyBody) -> Body {
    Body::MultipartReply(MultipartReply::new(body))
}

/// The table features with `n` elements in one property.
fn property(kind: TableFeaturePropType, body: TableFeatureBody) -> Body {
    reply(MultipartReplyBody::TableFeatures(vec![TableFeatures {
        properties: vec![TableFeatureProp { kind, body }],
        ..plain()
    }]))
}

fn some_fields(n: usize, field: OxmField) -> Body {
    let oxm = Oxm::new(field, &[], None).expect("an unknown field can be empty");
    Body::FlowMod(FlowMod {
        matching: Match::from_iter(times(n, oxm)),
        instructions: Vec::new(),
        ..plain()
    })
}

/// An element that can be repeated: its name, the bytes that the smallest takes, and the
/// body with so many.
type Repeated = (&'static str, usize, fn(usize) -> Body);

const REPEATED: &[Repeated] = &[
    ("bytes of an echo", 1, |n| Body::EchoRequest(times(n, 0).into())),
    ("bytes of an error", 1, |n| {
        Body::Error(ErrorMsg {
            data: times(n, 0).into(),
            ..plain()
        })
    }),
    ("bytes of an experimenter", 1, |n| {
        Body::Experimenter(Experimenter {
            data: times(n, 0).into(),
            ..plain()
        })
    }),
    ("bytes of an unknown message", 1, |n| Body::Unknown {
        kind: MessageType(200),
        body: times(n, 0).into(),
    }),
    ("words of a bitmap", 4, |n| {
        let elements = vec![HelloElement::VersionBitmap(times(n, 0))];
        Body::Hello(Hello { elements })
    }),
    ("elements of a hello", 8, |n| {
        let empty = HelloElement::Unknown {
            kind: HelloElementType(9),
            body: Bytes::new(),
        };
        Body::Hello(Hello {
            elements: times(n, empty),
        })
    }),
    ("fields of a match", 4, |n| {
        some_fields(n, OxmField::of_class(OxmClass::NXM_1, 99))
    }),
    ("fields of an experimenter", 8, |n| {
        some_fields(n, OxmField::of_experimenter(ExperimenterId(1), 1))
    }),
    ("instructions", 8, |n| rule(times(n, Instruction::ClearActions))),
    ("unknown instructions", 8, |n| {
        let unknown = Instruction::Unknown {
            kind: InstructionType(99),
            body: Bytes::from_static(&[0; 4]),
        };
        rule(times(n, unknown))
    }),
    ("instructions with actions", 16, |n| {
        rule(times(n, Instruction::ApplyActions(vec![Action::PopVlan])))
    }),
    ("actions of a rule", 8, |n| {
        rule(vec![Instruction::WriteActions(times(n, Action::PopVlan))])
    }),
    ("actions of a packet", 8, |n| {
        Body::PacketOut(PacketOut {
            actions: times(n, Action::DecNwTtl),
            ..plain()
        })
    }),
    ("unknown actions", 8, |n| {
        let unknown = Action::Unknown {
            kind: ActionType(99),
            body: Bytes::from_static(&[0; 4]),
        };
        Body::PacketOut(PacketOut {
            actions: times(n, unknown),
            ..plain()
        })
    }),
    ("fields that are set", 16, |n| {
        Body::PacketOut(PacketOut {
            actions: times(n, Action::SetField(Oxm::vlan_vid(1))),
            ..plain()
        })
    }),
    ("bytes of a packet", 1, |n| {
        Body::PacketIn(PacketIn {
            matching: Match::new(),
            data: times(n, 0).into(),
            ..plain()
        })
    }),
    ("buckets", 16, |n| {
        Body::GroupMod(GroupMod {
            buckets: times(n, Bucket::new(Vec::new())),
            ..plain()
        })
    }),
    ("buckets with actions", 24, |n| {
        Body::GroupMod(GroupMod {
            buckets: times(n, Bucket::new(vec![Action::PopVlan])),
            ..plain()
        })
    }),
    ("meter bands", 16, |n| {
        let band = MeterBand::Drop { rate: 1, burst_size: 1 };
        Body::MeterMod(MeterMod {
            bands: times(n, band),
            ..plain()
        })
    }),
    ("unknown meter bands", 16, |n| {
        let band = MeterBand::Unknown {
            kind: MeterBandType(99),
            rate: 1,
            burst_size: 1,
            body: Bytes::from_static(&[0; 4]),
        };
        Body::MeterMod(MeterMod {
            bands: times(n, band),
            ..plain()
        })
    }),
    ("queues of a port", 16, |n| {
        let queue = PacketQueue {
            properties: Vec::new(),
            ..plain()
        };
        Body::QueueGetConfigReply(QueueGetConfigReply {
            queues: times(n, queue),
            ..plain()
        })
    }),
    ("properties of a queue", 8, |n| {
        let unknown = QueueProp::Unknown {
            kind: QueuePropType(99),
            body: Bytes::new(),
        };
        let queue = PacketQueue {
            properties: times(n, unknown),
            ..plain()
        };
        Body::QueueGetConfigReply(QueueGetConfigReply {
            queues: vec![queue],
            ..plain()
        })
    }),
    ("rules", 56, |n| {
        let rule = FlowStats {
            matching: Match::new(),
            instructions: Vec::new(),
            ..plain()
        };
        reply(MultipartReplyBody::Flow(times(n, rule)))
    }),
    ("rules with an action", 72, |n| {
        let rule = FlowStats {
            matching: Match::new(),
            instructions: vec![Instruction::ApplyActions(vec![Action::PopVlan])],
            ..plain()
        };
        reply(MultipartReplyBody::Flow(times(n, rule)))
    }),
    ("tables", 24, |n| reply(MultipartReplyBody::Table(times(n, plain())))),
    ("counters of ports", 112, |n| {
        reply(MultipartReplyBody::PortStats(times(n, plain())))
    }),
    ("counters of queues", 40, |n| {
        reply(MultipartReplyBody::Queue(times(n, plain())))
    }),
    ("counters of groups", 40, |n| {
        let group = GroupStats {
            bucket_stats: Vec::new(),
            ..plain()
        };
        reply(MultipartReplyBody::Group(times(n, group)))
    }),
    ("counters of buckets", 16, |n| {
        let group = GroupStats {
            bucket_stats: times(n, plain()),
            ..plain()
        };
        reply(MultipartReplyBody::Group(vec![group]))
    }),
    ("groups", 8, |n| {
        let group = GroupDesc {
            buckets: Vec::new(),
            ..plain()
        };
        reply(MultipartReplyBody::GroupDesc(times(n, group)))
    }),
    ("counters of meters", 40, |n| {
        let meter = MeterStats {
            band_stats: Vec::new(),
            ..plain()
        };
        reply(MultipartReplyBody::Meter(times(n, meter)))
    }),
    ("meters", 8, |n| {
        let meter = MeterConfig {
            bands: Vec::new(),
            ..plain()
        };
        reply(MultipartReplyBody::MeterConfig(times(n, meter)))
    }),
    ("ports", 64, |n| reply(MultipartReplyBody::PortDesc(times(n, plain())))),
    ("features of tables", 64, |n| {
        let table = TableFeatures {
            properties: Vec::new(),
            ..plain()
        };
        reply(MultipartReplyBody::TableFeatures(times(n, table)))
    }),
    ("properties of a table", 8, |n| {
        let unknown = TableFeatureProp {
            kind: TableFeaturePropType(99),
            body: TableFeatureBody::Unknown(Bytes::new()),
        };
        let table = TableFeatures {
            properties: times(n, unknown),
            ..plain()
        };
        reply(MultipartReplyBody::TableFeatures(vec![table]))
    }),
    ("ids of instructions", 4, |n| {
        let id = InstructionId {
            kind: InstructionType::METER,
            body: Bytes::new(),
        };
        property(
            TableFeaturePropType::INSTRUCTIONS,
            TableFeatureBody::Instructions(times(n, id)),
        )
    }),
    ("ids of actions", 4, |n| {
        let id = ActionId {
            kind: ActionType::GROUP,
            body: Bytes::new(),
        };
        property(
            TableFeaturePropType::APPLY_ACTIONS,
            TableFeatureBody::Actions(times(n, id)),
        )
    }),
    ("ids of fields", 4, |n| {
        let id = OxmId {
            field: OxmField::IN_PORT,
            masked: false,
            length: 4,
        };
        property(TableFeaturePropType::MATCH, TableFeatureBody::Oxms(times(n, id)))
    }),
    ("ids of tables", 1, |n| {
        property(
            TableFeaturePropType::NEXT_TABLES,
            TableFeatureBody::NextTables(times(n, TableId(1))),
        )
    }),
    ("properties of a bundle", 8, |n| {
        let unknown = BundleProp::Unknown {
            kind: BundlePropType(9),
            body: Bytes::new(),
        };
        Body::BundleControl(BundleControl {
            properties: times(n, unknown),
            ..plain()
        })
    }),
];

/// A message in a bundle's, in a bundle's, and so on, at most so many times or as often as
/// there is room, and how often that is.
pub fn nested(most: usize) -> (Bytes, usize) {
    let mut frame = Message::new(7, Body::BarrierRequest).to_bytes().expect("a barrier");
    for depth in 0..most {
        let add = Body::BundleAdd(BundleAdd {
            bundle_id: 1,
            flags: BundleFlags::ATOMIC,
            message: frame.clone(),
            properties: Vec::new(),
        });
        match Message::new(7, add).to_bytes() {
            Ok(larger) => frame = larger,
            Err(_) => return (frame, depth),
        }
    }
    (frame, most)
}

/// One frame for each element that can be repeated, with as many as fit, and one with half
/// as many.
pub fn full() -> Vec<(String, Bytes)> {
    let mut frames = Vec::new();
    for (name, least, body) in REPEATED {
        let fits = |n: &usize| Message::new(1, body(*n)).to_bytes().ok();
        let most = (0..=usize::from(u16::MAX) / least)
            .rev()
            .find_map(|n| fits(&n).map(|frame| (n, frame)));
        let (most, frame) = most.unwrap_or_else(|| panic!("no {name} fit"));
        let room = usize::from(u16::MAX) - frame.len();
        assert!(room < 8 + *least, "{name}: {room} bytes are free");
        frames.push((format!("{most} {name}"), frame));
        let half = fits(&(most / 2)).expect("half as many fit too");
        frames.push((format!("{} {name}", most / 2), half));
    }
    frames
}

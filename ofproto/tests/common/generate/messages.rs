//! Whole messages, and what only some of them have: what is added to a bundle, errors, and
//! what a hello says.

use super::super::valid::make_valid;
use super::{Draw, Gen};
use ofproto::*;

/// Bodies of a message, without those of unknown type.
pub const KINDS: usize = 32;

/// Those that are types of OpenFlow 1.3.
const KINDS_1_3: usize = 30;

const BUNDLE_CONTROL: usize = 30;
const BUNDLE_ADD: usize = 31;

/// A body of the type with this number, and behind those of OpenFlow 1.3 those of bundles.
pub fn body(kind: usize, d: &mut Draw<'_>) -> Body {
    match kind {
        0 => Body::Hello(Gen::generate(d)),
        1 => Body::Error(Gen::generate(d)),
        2 => Body::EchoRequest(Gen::generate(d)),
        3 => Body::EchoReply(Gen::generate(d)),
        4 => Body::Experimenter(Gen::generate(d)),
        5 => Body::FeaturesRequest,
        6 => Body::FeaturesReply(Gen::generate(d)),
        7 => Body::GetConfigRequest,
        8 => Body::GetConfigReply(Gen::generate(d)),
        9 => Body::SetConfig(Gen::generate(d)),
        10 => Body::PacketIn(Gen::generate(d)),
        11 => Body::FlowRemoved(Gen::generate(d)),
        12 => Body::PortStatus(Gen::generate(d)),
        13 => Body::PacketOut(Gen::generate(d)),
        14 => Body::FlowMod(Gen::generate(d)),
        15 => Body::GroupMod(Gen::generate(d)),
        16 => Body::PortMod(Gen::generate(d)),
        17 => Body::TableMod(Gen::generate(d)),
        18 => Body::MultipartRequest(Gen::generate(d)),
        19 => Body::MultipartReply(Gen::generate(d)),
        20 => Body::BarrierRequest,
        21 => Body::BarrierReply,
        22 => Body::QueueGetConfigRequest(Gen::generate(d)),
        23 => Body::QueueGetConfigReply(Gen::generate(d)),
        24 => Body::RoleRequest(Gen::generate(d)),
        25 => Body::RoleReply(Gen::generate(d)),
        26 => Body::GetAsyncRequest,
        27 => Body::GetAsyncReply(Gen::generate(d)),
        28 => Body::SetAsync(Gen::generate(d)),
        29 => Body::MeterMod(Gen::generate(d)),
        BUNDLE_CONTROL => Body::BundleControl(Gen::generate(d)),
        BUNDLE_ADD => Body::BundleAdd(Gen::generate(d)),
        _ => Body::Unknown {
            kind: MessageType(30 + d.u8() % 200),
            body: Gen::generate(d),
        },
    }
}

impl Gen for Message {
    fn generate(d: &mut Draw<'_>) -> Self {
        let xid = Gen::generate(d);
        // Half of the valid ones are of the kinds with a match, actions or counts.
        let telling = d.valid && d.one_in(2);
        let kind = match (telling, d.valid) {
            (true, _) => d.pick(&[10, 11, 13, 14, 14, 15, 19, 19, 29]),
            (false, true) => d.below(KINDS_1_3),
            (false, false) => d.below(KINDS + 1),
        };
        let mut message = Message::new(xid, body(kind, d));
        if d.valid {
            make_valid(&mut message.body, d);
        }
        if kind < 2 && !d.valid && d.one_in(2) {
            message.version = d.u8();
        }
        if matches!(kind, BUNDLE_CONTROL | BUNDLE_ADD) && d.one_in(2) {
            message.version = VERSION_1_4;
        }
        if let (0..=3, Body::Hello(hello)) = (message.version, &mut message.body) {
            let old = d.some_bytes(20);
            hello.elements = if old.is_empty() {
                Vec::new()
            } else {
                vec![HelloElement::Opaque(old)]
            };
        }
        message
    }
}

impl Gen for HelloElement {
    fn generate(d: &mut Draw<'_>) -> Self {
        if d.valid || d.one_in(2) {
            return Self::VersionBitmap(d.list(3));
        }
        Self::Unknown {
            kind: HelloElementType(2 + d.below(1000) as u16),
            body: d.some_bytes(21),
        }
    }
}

/// How many bundles may stand in each other in what is drawn.
const NESTED_MAX: usize = 3;

impl Gen for BundleAdd {
    fn generate(d: &mut Draw<'_>) -> Self {
        let mut message = Message::new(Gen::generate(d), Body::BarrierRequest);
        for _ in 0..=d.below(NESTED_MAX) {
            let kind = d.below(KINDS);
            message.body = match kind {
                BUNDLE_ADD => Body::BundleAdd(Self {
                    bundle_id: Gen::generate(d),
                    flags: Gen::generate(d),
                    message: message.to_bytes().expect("what is drawn can be written"),
                    properties: d.list(2),
                }),
                kind => body(kind, d),
            };
        }
        let mut bytes = message.to_bytes().expect("what is drawn can be written").to_vec();
        // Nothing but the length of what is added is judged.
        if !d.valid && d.one_in(4) {
            let at = d.below(bytes.len());
            if !(2..4).contains(&at) {
                bytes[at] = d.u8();
            }
        }
        Self {
            bundle_id: Gen::generate(d),
            flags: Gen::generate(d),
            message: bytes.into(),
            properties: if d.one_in(2) { d.list(3) } else { Vec::new() },
        }
    }
}

impl Gen for ErrorMsg {
    fn generate(d: &mut Draw<'_>) -> Self {
        let kind = ErrorType::generate(d);
        let (code, extra) = (d.below(16) as u16, d.below(40));
        Self {
            kind,
            code,
            data: d.bytes(4 + extra),
        }
    }
}

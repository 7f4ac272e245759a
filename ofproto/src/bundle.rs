//! Bundles: changes that a switch takes together or not at all. OpenFlow 1.3 has them as
//! messages of the ONF as an experimenter (EXT-230), OpenFlow 1.4 as messages of its own;
//! their bodies are alike, so each is one value here and the message's version decides.

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::header::{HEADER_LEN, Header};
use crate::message::Message;
use crate::number::ExperimenterId;
use crate::wire::{Reader, Wire, Writer, padding_of};
use bytes::Bytes;

code_point! {
    /// What is to be done with a bundle, or was done (`enum ofp_bundle_ctrl_type`).
    BundleCtrlType(u16), "OFPBCT_" {
        OPEN_REQUEST = 0,
        OPEN_REPLY = 1,
        CLOSE_REQUEST = 2,
        CLOSE_REPLY = 3,
        COMMIT_REQUEST = 4,
        COMMIT_REPLY = 5,
        DISCARD_REQUEST = 6,
        DISCARD_REPLY = 7,
    }
}

flag_word! {
    /// How a bundle is done (`enum ofp_bundle_flags`).
    BundleFlags(u16), "OFPBF_" {
        ATOMIC = 0,
        ORDERED = 1,
    }
}

code_point! {
    /// What a property of a bundle says (`enum ofp_bundle_prop_type`).
    BundlePropType(u16), "OFPBPT_" {
        EXPERIMENTER = 0xffff,
    }
}

wire_struct! {
    /// Opens, closes, commits or discards a bundle, or says that it was done
    /// (`struct ofp_bundle_ctrl_msg`; OFPT_BUNDLE_CONTROL of OpenFlow 1.4).
    BundleControl, "ofp_bundle_ctrl_msg" {
        /// Which bundle, a number that the controller gives it.
        bundle_id: u32,
        /// What is to be done, or was done.
        kind: BundleCtrlType,
        /// How it is done; the same in all messages about a bundle.
        flags: BundleFlags,
        /// More about it.
        properties: Vec<BundleProp>,
    }
}

impl BundleControl {
    /// The number of the message among the ONF's.
    pub const EXP_TYPE: u32 = 2300;

    /// A message without properties.
    pub fn new(bundle_id: u32, kind: BundleCtrlType, flags: BundleFlags) -> Self {
        Self {
            bundle_id,
            kind,
            flags,
            properties: Vec::new(),
        }
    }
}

/// Adds a message to a bundle (`struct ofp_bundle_add_msg`; OFPT_BUNDLE_ADD_MESSAGE of
/// OpenFlow 1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleAdd {
    /// Which bundle.
    pub bundle_id: u32,
    /// How it is done; the same in all messages about a bundle.
    pub flags: BundleFlags,
    /// The whole message that is added, header included. Nothing but the length in its
    /// header is judged: what it says is read by [`BundleAdd::decode_message`], and what
    /// may be in a bundle is the switch's to say.
    pub message: Bytes,
    /// More about it.
    pub properties: Vec<BundleProp>,
}

const ADD: &str = "ofp_bundle_add_msg";

impl BundleAdd {
    /// The number of the message among the ONF's.
    pub const EXP_TYPE: u32 = 2301;

    /// Adds `message`, whose transaction id must be that of the message this goes in.
    ///
    /// # Errors
    /// The message has no form on the wire.
    pub fn new(bundle_id: u32, flags: BundleFlags, message: &Message) -> Result<Self, EncodeError> {
        Ok(Self {
            bundle_id,
            flags,
            message: message.to_bytes()?,
            properties: Vec::new(),
        })
    }

    /// Reads the message that is added. Payloads are slices of it. One that is itself an
    /// addition to a bundle keeps its own message as bytes, so this goes one level deep.
    ///
    /// # Errors
    /// As [`Message::decode`]; the offset counts from the start of the message.
    pub fn decode_message(&self) -> Result<Message, DecodeError> {
        Message::decode(&self.message)
    }
}

impl Wire for BundleAdd {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outer = r.enter(ADD);
        let bundle_id = r.u32()?;
        r.skip(2)?;
        let flags = BundleFlags::read(r)?;
        let message = r.element(ADD, 2, HEADER_LEN, 1)?.remaining()?;
        let mut properties = Vec::new();
        if !r.is_empty() {
            // Only in front of a property the message is filled up to a multiple of 8.
            let (at, left) = (r.offset(), r.left());
            r.skip(padding_of(message.len()))?;
            if r.is_empty() {
                return Err(r.error_at(at, DecodeCause::Trailing { left }));
            }
            properties = r.list()?;
        }
        r.leave(outer);
        Ok(Self {
            bundle_id,
            flags,
            message,
            properties,
        })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let said = Header::peek(&self.message).map(|header| usize::from(header.length));
        if said != Some(self.message.len()) {
            return Err(EncodeError {
                structure: ADD,
                cause: EncodeCause::BodyLength(self.message.len()),
            });
        }
        w.u32(self.bundle_id);
        w.pad(2);
        self.flags.write(w)?;
        w.slice(&self.message);
        if !self.properties.is_empty() {
            w.pad(padding_of(self.message.len()));
            w.list(&self.properties)?;
        }
        Ok(())
    }
}

/// A property of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleProp {
    /// Defined elsewhere; its bytes are kept (`struct ofp_bundle_prop_experimenter`).
    Experimenter {
        /// By whom.
        experimenter: ExperimenterId,
        /// Which of the experimenter's.
        exp_type: u32,
        /// The rest, of any length.
        data: Bytes,
    },
    /// Not in the specification; its bytes are kept, without padding.
    Unknown {
        /// Its number.
        kind: BundlePropType,
        /// What follows the length, of any length.
        body: Bytes,
    },
}

/// Bytes of a property's type and length.
const PROP_HEADER: usize = 4;

const PROP: &str = "ofp_bundle_prop_header";

impl BundleProp {
    /// What the property says.
    pub fn kind(&self) -> BundlePropType {
        match self {
            Self::Experimenter { .. } => BundlePropType::EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

impl Wire for BundleProp {
    fn read(outer: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut r = outer.element(PROP, 2, PROP_HEADER, 1)?;
        let said = r.left();
        let kind = BundlePropType::read(&mut r)?;
        r.skip(2)?;
        let prop = if kind == BundlePropType::EXPERIMENTER {
            r.enter("ofp_bundle_prop_experimenter");
            Self::Experimenter {
                experimenter: ExperimenterId::read(&mut r)?,
                exp_type: r.u32()?,
                data: r.remaining()?,
            }
        } else {
            let body = r.remaining()?;
            Self::Unknown { kind, body }
        };
        outer.skip(padding_of(said))?;
        Ok(prop)
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        self.kind().write(w)?;
        let length = w.length_since(start);
        match self {
            Self::Experimenter {
                experimenter,
                exp_type,
                data,
            } => {
                experimenter.write(w)?;
                w.u32(*exp_type);
                w.slice(data);
            }
            Self::Unknown { kind, body } => {
                if kind.name().is_some() {
                    let cause = EncodeCause::KnownKind(u32::from(kind.0));
                    return Err(EncodeError { structure: PROP, cause });
                }
                w.slice(body);
            }
        }
        w.set_length(PROP, length)?;
        w.pad_to_8(start);
        Ok(())
    }
}

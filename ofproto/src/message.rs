//! A whole message: header and body.

use crate::bundle::{BundleAdd, BundleControl};
use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::error_msg::ErrorMsg;
use crate::experimenter::Experimenter;
use crate::flow::{FlowMod, FlowRemoved};
use crate::group::GroupMod;
use crate::header::{HEADER_LEN, Header, MessageType, VERSION_1_3, VERSION_1_4};
use crate::hello::Hello;
#[cfg(feature = "json")]
use crate::json::{Fields, Json, JsonError, JsonFields};
use crate::meter::MeterMod;
use crate::multipart::{MultipartReply, MultipartRequest};
use crate::number::ExperimenterId;
use crate::packet::{PacketIn, PacketOut};
use crate::port::{PortMod, PortStatus};
use crate::queue::{QueueGetConfigReply, QueueGetConfigRequest};
use crate::role::{AsyncConfig, RoleMsg};
use crate::switch::{FeaturesReply, SwitchConfig};
use crate::table::TableMod;
use crate::wire::{Reader, Wire, Writer, write_to};
use bytes::{Bytes, BytesMut};
#[cfg(feature = "json")]
use serde_json::{Map, Value};

/// One message (section 7.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Protocol version: 4, except that hello and error exist in every version, because
    /// they are what two sides use before they agree on one, and that the messages of
    /// bundles may be those of OpenFlow 1.4 (5).
    pub version: u8,
    /// Transaction id: a reply has that of its request.
    pub xid: u32,
    /// What it says.
    pub body: Body,
}

/// Declares the bodies of messages: one row for each type of the specification.
macro_rules! bodies {
    ($($(#[$doc:meta])* $kind:ident $variant:ident $(($ty:ty))?,)*) => {
        /// What a message says.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Body {
            /// The versions the sender speaks.
            Hello(Hello),
            /// Defined elsewhere.
            Experimenter(Experimenter),
            /// Do this with a bundle, or it was done.
            BundleControl(BundleControl),
            /// Add a message to a bundle.
            BundleAdd(BundleAdd),
            $($(#[$doc])* $variant $(($ty))?,)*
            /// Not in the specification; its bytes are kept.
            Unknown {
                /// Its number.
                kind: MessageType,
                /// What follows the header.
                body: Bytes,
            },
        }

        impl Body {
            /// What the message is. Those of bundles are what they are in OpenFlow 1.4; in
            /// 1.3 they go in OFPT_EXPERIMENTER, as [`Message::kind`] says.
            pub fn kind(&self) -> MessageType {
                match self {
                    Self::Hello(_) => MessageType::HELLO,
                    Self::Experimenter(_) => MessageType::EXPERIMENTER,
                    Self::BundleControl(_) => MessageType::BUNDLE_CONTROL,
                    Self::BundleAdd(_) => MessageType::BUNDLE_ADD_MESSAGE,
                    $(bodies!(@pattern $variant $($ty)?) => MessageType::$kind,)*
                    Self::Unknown { kind, .. } => *kind,
                }
            }

            /// Reads the body of a message, which is all that is left.
            ///
            /// The message is made where the body was read: see [`Wire::read_and`].
            #[inline]
            fn read(header: Header, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
                match header.kind {
                    MessageType::HELLO => {
                        let hello = Hello::read(header.version, r)?;
                        r.finish()?;
                        Ok(Message::of(header, Self::Hello(hello)))
                    }
                    MessageType::EXPERIMENTER => Self::read_extension(header, r),
                    MessageType::BUNDLE_CONTROL | MessageType::BUNDLE_ADD_MESSAGE if header.version == VERSION_1_4 => {
                        Self::read_extension(header, r)
                    }
                    $(MessageType::$kind => bodies!(@read header r $variant $($ty)?),)*
                    kind => {
                        let body = r.remaining()?;
                        Ok(Message::of(header, Self::Unknown { kind, body }))
                    }
                }
            }

            #[inline]
            fn write(&self, version: u8, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    Self::Hello(hello) => hello.write(version, w),
                    Self::Experimenter(message) => {
                        if known_experimenter(message.experimenter, message.exp_type) {
                            let cause = EncodeCause::KnownKind(message.exp_type);
                            return Err(EncodeError { structure: EXPERIMENTER, cause });
                        }
                        message.write(w)
                    }
                    Self::BundleControl(control) => {
                        write_onf(version, BundleControl::EXP_TYPE, w)?;
                        control.write(w)
                    }
                    Self::BundleAdd(add) => {
                        write_onf(version, BundleAdd::EXP_TYPE, w)?;
                        add.write(w)
                    }
                    $(bodies!(@bind body $variant $($ty)?) => bodies!(@write w body $($ty)?),)*
                    Self::Unknown { kind, body } => {
                        if kind.is_read_in(version) {
                            let cause = EncodeCause::KnownKind(u32::from(kind.0));
                            return Err(EncodeError { structure: STRUCTURE, cause });
                        }
                        w.slice(body);
                        Ok(())
                    }
                }
            }

            #[cfg(feature = "json")]
            pub(crate) fn put_json(&self, version: u8, map: &mut Map<String, Value>) {
                match self {
                    Self::Hello(hello) => hello.put(map),
                    Self::Experimenter(message) => message.put(map),
                    Self::BundleControl(control) => {
                        put_onf(version, BundleControl::EXP_TYPE, map);
                        control.put(map);
                    }
                    Self::BundleAdd(add) => {
                        put_onf(version, BundleAdd::EXP_TYPE, map);
                        add.put(map);
                    }
                    $(bodies!(@bind body $variant $($ty)?) => bodies!(@put map body $($ty)?),)*
                    Self::Unknown { body, .. } => body.put(map),
                }
            }

            #[cfg(feature = "json")]
            pub(crate) fn take_json(
                version: u8,
                kind: MessageType,
                fields: &mut Fields<'_>,
            ) -> Result<Self, JsonError> {
                Ok(match kind {
                    MessageType::HELLO => Self::Hello(JsonFields::take(fields)?),
                    MessageType::EXPERIMENTER => return Self::take_experimenter(fields),
                    MessageType::BUNDLE_CONTROL if version == VERSION_1_4 => {
                        Self::BundleControl(JsonFields::take(fields)?)
                    }
                    MessageType::BUNDLE_ADD_MESSAGE if version == VERSION_1_4 => {
                        Self::BundleAdd(JsonFields::take(fields)?)
                    }
                    $(MessageType::$kind => bodies!(@take fields $variant $($ty)?),)*
                    kind => Self::Unknown { kind, body: JsonFields::take(fields)? },
                })
            }
        }
    };
    (@pattern $variant:ident $ty:ty) => { Self::$variant(_) };
    (@pattern $variant:ident) => { Self::$variant };
    (@bind $body:ident $variant:ident $ty:ty) => { Self::$variant($body) };
    (@bind $body:ident $variant:ident) => { Self::$variant };
    (@read $header:ident $r:ident $variant:ident $ty:ty) => {
        <$ty as Wire>::read_and($r, |r| r.finish(), |body| Message::of($header, Self::$variant(body)))
    };
    (@read $header:ident $r:ident $variant:ident) => {{
        $r.finish()?;
        Ok(Message::of($header, Self::$variant))
    }};
    (@write $w:ident $body:ident $ty:ty) => { Wire::write($body, $w) };
    (@write $w:ident $body:ident) => { Ok(()) };
    (@put $map:ident $body:ident $ty:ty) => { JsonFields::put($body, $map) };
    (@put $map:ident $body:ident) => { () };
    (@take $fields:ident $variant:ident $ty:ty) => { Self::$variant(<$ty as JsonFields>::take($fields)?) };
    (@take $fields:ident $variant:ident) => { Self::$variant };
}

bodies! {
    /// A request could not be done.
    ERROR Error(ErrorMsg),
    /// Are you there?
    ECHO_REQUEST EchoRequest(Bytes),
    /// I am, with the bytes of the question.
    ECHO_REPLY EchoReply(Bytes),
    /// Who are you?
    FEATURES_REQUEST FeaturesRequest,
    /// Who the switch is.
    FEATURES_REPLY FeaturesReply(FeaturesReply),
    /// How are you configured?
    GET_CONFIG_REQUEST GetConfigRequest,
    /// How the switch is configured.
    GET_CONFIG_REPLY GetConfigReply(SwitchConfig),
    /// Be configured like this.
    SET_CONFIG SetConfig(SwitchConfig),
    /// A packet for the controller.
    PACKET_IN PacketIn(PacketIn),
    /// A rule ended.
    FLOW_REMOVED FlowRemoved(FlowRemoved),
    /// A port changed.
    PORT_STATUS PortStatus(PortStatus),
    /// A packet from the controller.
    PACKET_OUT PacketOut(PacketOut),
    /// Change rules.
    FLOW_MOD FlowMod(FlowMod),
    /// Change a group.
    GROUP_MOD GroupMod(GroupMod),
    /// Change a port.
    PORT_MOD PortMod(PortMod),
    /// Change a table.
    TABLE_MOD TableMod(TableMod),
    /// Tell me a lot.
    MULTIPART_REQUEST MultipartRequest(MultipartRequest),
    /// A part of a lot.
    MULTIPART_REPLY MultipartReply(MultipartReply),
    /// Tell me when all before this is done.
    BARRIER_REQUEST BarrierRequest,
    /// It is done.
    BARRIER_REPLY BarrierReply,
    /// What queues has a port?
    QUEUE_GET_CONFIG_REQUEST QueueGetConfigRequest(QueueGetConfigRequest),
    /// The queues of a port.
    QUEUE_GET_CONFIG_REPLY QueueGetConfigReply(QueueGetConfigReply),
    /// I want this role.
    ROLE_REQUEST RoleRequest(RoleMsg),
    /// You have this role.
    ROLE_REPLY RoleReply(RoleMsg),
    /// What do you tell me unasked?
    GET_ASYNC_REQUEST GetAsyncRequest,
    /// What the switch tells unasked.
    GET_ASYNC_REPLY GetAsyncReply(AsyncConfig),
    /// Tell me this unasked.
    SET_ASYNC SetAsync(AsyncConfig),
    /// Change a meter.
    METER_MOD MeterMod(MeterMod),
}

const STRUCTURE: &str = "ofp_header";

const EXPERIMENTER: &str = "ofp_experimenter_header";

/// Whether this message of an experimenter is one with a body of its own.
fn known_experimenter(experimenter: ExperimenterId, exp_type: u32) -> bool {
    experimenter == ExperimenterId::ONF && matches!(exp_type, BundleControl::EXP_TYPE | BundleAdd::EXP_TYPE)
}

/// In OpenFlow 1.3, the header of an experimenter's message in front of one of the ONF's.
fn write_onf(version: u8, exp_type: u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    if version == VERSION_1_3 {
        ExperimenterId::ONF.write(w)?;
        w.u32(exp_type);
    }
    Ok(())
}

/// The same as JSON.
#[cfg(feature = "json")]
fn put_onf(version: u8, exp_type: u32, map: &mut Map<String, Value>) {
    if version == VERSION_1_3 {
        map.insert("experimenter".into(), ExperimenterId::ONF.to_json());
        map.insert("exp_type".into(), exp_type.to_json());
    }
}

impl Body {
    /// Reads what is defined elsewhere: the message of an experimenter, or of OpenFlow 1.4.
    #[cold]
    fn read_extension(header: Header, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
        let body = match header.kind {
            MessageType::BUNDLE_CONTROL => Self::BundleControl(BundleControl::read(r)?),
            MessageType::BUNDLE_ADD_MESSAGE => Self::BundleAdd(BundleAdd::read(r)?),
            _ => Self::read_experimenter(r)?,
        };
        r.finish()?;
        Ok(Message::of(header, body))
    }

    fn read_experimenter(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outer = r.enter(EXPERIMENTER);
        let (experimenter, exp_type) = (ExperimenterId::read(r)?, r.u32()?);
        let body = match exp_type {
            BundleControl::EXP_TYPE if experimenter == ExperimenterId::ONF => {
                Self::BundleControl(BundleControl::read(r)?)
            }
            BundleAdd::EXP_TYPE if experimenter == ExperimenterId::ONF => Self::BundleAdd(BundleAdd::read(r)?),
            _ => Self::Experimenter(Experimenter {
                experimenter,
                exp_type,
                data: r.remaining()?,
            }),
        };
        r.leave(outer);
        Ok(body)
    }

    #[cfg(feature = "json")]
    fn take_experimenter(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let (experimenter, exp_type) = (fields.take("experimenter")?, fields.take("exp_type")?);
        Ok(match exp_type {
            BundleControl::EXP_TYPE if experimenter == ExperimenterId::ONF => {
                Self::BundleControl(JsonFields::take(fields)?)
            }
            BundleAdd::EXP_TYPE if experimenter == ExperimenterId::ONF => Self::BundleAdd(JsonFields::take(fields)?),
            _ => Self::Experimenter(Experimenter {
                experimenter,
                exp_type,
                data: fields.take("data")?,
            }),
        })
    }
}

/// Room for a message whose payload has `payload` bytes: most take less. What takes
/// more is measured and written again.
const fn room(payload: usize) -> usize {
    payload.saturating_add(256)
}

/// Bytes of a bucket with three actions.
const BUCKET_ROOM: usize = 64;

impl Body {
    /// How long the message probably is at most.
    #[inline]
    fn room(&self) -> usize {
        match self {
            Self::EchoRequest(data) | Self::EchoReply(data) | Self::Unknown { body: data, .. } => room(data.len()),
            Self::PacketIn(packet) => room(packet.data.len()),
            Self::PacketOut(packet) => room(packet.data.len()),
            Self::Experimenter(message) => room(message.data.len()),
            Self::BundleAdd(add) => room(add.message.len()),
            Self::Error(error) => room(error.data.len()),
            Self::GroupMod(change) => change
                .buckets
                .len()
                .saturating_mul(BUCKET_ROOM)
                .saturating_add(BUCKET_ROOM),
            Self::MultipartReply(reply) => room(reply.body.room()),
            _ => room(0),
        }
    }
}

impl Message {
    /// A message of version 1.3.
    pub fn new(xid: u32, body: Body) -> Self {
        Self {
            version: VERSION_1_3,
            xid,
            body,
        }
    }

    #[inline(always)]
    fn of(header: Header, body: Body) -> Self {
        Self {
            version: header.version,
            xid: header.xid,
            body,
        }
    }

    /// What the message is.
    #[inline]
    pub fn kind(&self) -> MessageType {
        match &self.body {
            Body::BundleControl(_) | Body::BundleAdd(_) if self.version == VERSION_1_3 => MessageType::EXPERIMENTER,
            body => body.kind(),
        }
    }

    /// Reads exactly one whole frame. Payloads are slices of it.
    ///
    /// # Errors
    /// Every byte too few or too many, every length that lies, and every version but
    /// 1.3 (for hello and error: none; for the messages of bundles: also 1.4), with the
    /// structure and the place.
    #[inline]
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(frame, STRUCTURE);
        let Some(header) = Header::peek(frame) else {
            return Err(r.error(DecodeCause::Missing {
                needed: HEADER_LEN,
                left: frame.len(),
            }));
        };
        let said = usize::from(header.length);
        if said < HEADER_LEN {
            return Err(r.error(DecodeCause::TooShort {
                said,
                least: HEADER_LEN,
            }));
        }
        if said > frame.len() {
            return Err(r.error(DecodeCause::PastEnd {
                said,
                left: frame.len(),
            }));
        }
        if said < frame.len() {
            let left = frame.len().saturating_sub(said);
            return Err(r.error_at(said, DecodeCause::Trailing { left }));
        }
        if header.version != VERSION_1_3 && !header.kind.is_read_in(header.version) {
            return Err(r.error(DecodeCause::Version(header.version)));
        }
        r.skip(HEADER_LEN)?;
        Body::read(header, &mut r)
    }

    /// Writes the message behind what `out` already holds.
    ///
    /// # Errors
    /// The value has no form on the wire. `out` is then as it was before.
    #[inline]
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        write_to(out, self.body.room(), |w| self.write(w))
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let kind = self.kind();
        if self.version != VERSION_1_3 && !kind.is_read_in(self.version) {
            return Err(EncodeError {
                structure: STRUCTURE,
                cause: EncodeCause::Version(self.version),
            });
        }
        w.array([self.version, kind.0]);
        let length = w.length_since(0);
        w.u32(self.xid);
        self.body.write(self.version, w)?;
        w.set_length(STRUCTURE, length)
    }

    /// The message in bytes of its own.
    ///
    /// # Errors
    /// As [`Message::encode`].
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut out = BytesMut::new();
        self.encode(&mut out)?;
        Ok(out.freeze())
    }
}

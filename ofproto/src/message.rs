//! A whole message: header and body.

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::error_msg::ErrorMsg;
use crate::experimenter::Experimenter;
use crate::flow::{FlowMod, FlowRemoved};
use crate::group::GroupMod;
use crate::header::{HEADER_LEN, Header, MessageType, VERSION_1_3};
use crate::hello::Hello;
#[cfg(feature = "json")]
use crate::json::{Fields, JsonError, JsonFields};
use crate::meter::MeterMod;
use crate::multipart::{MultipartReply, MultipartRequest};
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
    /// Protocol version: 4, except that hello and error exist in every version,
    /// because they are what two sides use before they agree on one.
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
            /// What the message is.
            pub fn kind(&self) -> MessageType {
                match self {
                    Self::Hello(_) => MessageType::HELLO,
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
                    $(bodies!(@bind body $variant $($ty)?) => bodies!(@write w body $($ty)?),)*
                    Self::Unknown { kind, body } => {
                        if kind.name().is_some() {
                            let cause = EncodeCause::KnownKind(u32::from(kind.0));
                            return Err(EncodeError { structure: STRUCTURE, cause });
                        }
                        w.slice(body);
                        Ok(())
                    }
                }
            }

            #[cfg(feature = "json")]
            pub(crate) fn put_json(&self, map: &mut Map<String, Value>) {
                match self {
                    Self::Hello(hello) => hello.put(map),
                    $(bodies!(@bind body $variant $($ty)?) => bodies!(@put map body $($ty)?),)*
                    Self::Unknown { body, .. } => body.put(map),
                }
            }

            #[cfg(feature = "json")]
            pub(crate) fn take_json(kind: MessageType, fields: &mut Fields<'_>) -> Result<Self, JsonError> {
                Ok(match kind {
                    MessageType::HELLO => Self::Hello(JsonFields::take(fields)?),
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
    /// Defined elsewhere.
    EXPERIMENTER Experimenter(Experimenter),
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

/// Whether a message of this kind may have another version than 1.3.
fn any_version(kind: MessageType) -> bool {
    matches!(kind, MessageType::HELLO | MessageType::ERROR)
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
    pub fn kind(&self) -> MessageType {
        self.body.kind()
    }

    /// Reads exactly one whole frame. Payloads are slices of it.
    ///
    /// # Errors
    /// Every byte too few or too many, every length that lies, and every version but
    /// 1.3 (for hello and error: none), with the structure and the place.
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
        if header.version != VERSION_1_3 && !any_version(header.kind) {
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
        if self.version != VERSION_1_3 && !any_version(kind) {
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

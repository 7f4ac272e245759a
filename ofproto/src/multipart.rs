//! Multipart requests and replies (section 7.3.5).

pub use crate::multipart_table::MultipartType;

use crate::error::{DecodeError, EncodeCause, EncodeError};
use crate::flow::{AggregateStats, FlowStats, FlowStatsRequest};
use crate::group::{GroupDesc, GroupFeatures, GroupStats, GroupStatsRequest};
#[cfg(feature = "json")]
use crate::json::{Fields, Json, JsonError};
use crate::meter::{MeterConfig, MeterFeatures, MeterRequest, MeterStats};
use crate::number::ExperimenterId;
use crate::port::{Port, PortStats, PortStatsRequest};
use crate::queue::{QueueStats, QueueStatsRequest};
use crate::table::TableStats;
use crate::table_features::TableFeatures;
use crate::text::FixedText;
use crate::wire::{Reader, Wire, Writer};
use bytes::Bytes;
#[cfg(feature = "json")]
use serde_json::Value;

flag_word! {
    /// `enum ofp_multipart_request_flags` (section 7.3.5).
    MultipartRequestFlags(u16), "OFPMPF_REQ_" {
        MORE = 0,
    }
}

flag_word! {
    /// `enum ofp_multipart_reply_flags` (section 7.3.5).
    MultipartReplyFlags(u16), "OFPMPF_REPLY_" {
        MORE = 0,
    }
}

/// `DESC_STR_LEN` (section 7.3.5.1).
pub const DESC_LEN: usize = 256;

/// `SERIAL_NUM_LEN` (section 7.3.5.1).
pub const SERIAL_LEN: usize = 32;

wire_struct! {
    /// What the switch is (section 7.3.5.1, `struct ofp_desc`).
    Desc, "ofp_desc" {
        /// Who made it.
        mfr_desc: FixedText<DESC_LEN>,
        /// Its hardware.
        hw_desc: FixedText<DESC_LEN>,
        /// Its software.
        sw_desc: FixedText<DESC_LEN>,
        /// Its serial number.
        serial_num: FixedText<SERIAL_LEN>,
        /// What its operator calls it.
        dp_desc: FixedText<DESC_LEN>,
    }
}

/// A body of 1,056 bytes would make every message that big.
impl Wire for Box<Desc> {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Desc::read(r).map(Box::new)
    }
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        Desc::write(self, w)
    }
}

wire_struct! {
    /// A request or reply that is defined elsewhere (section 7.3.5.15, `struct ofp_experimenter_multipart_header`).
    ExperimenterMultipart, "ofp_experimenter_multipart_header" {
        /// By whom.
        experimenter: ExperimenterId,
        /// Which of the experimenter's.
        exp_type: u32,
        /// The rest, kept.
        data: Bytes,
    }
}

/// Declares the bodies of requests or of replies: one row for each type.
macro_rules! multipart_bodies {
    ($(#[$doc:meta])* $name:ident, $structure:literal {
        $($(#[$row_doc:meta])* $kind:ident $variant:ident $(($ty:ty))?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$row_doc])* $variant $(($ty))?,)*
            /// Not in the specification; its bytes are kept.
            Unknown {
                /// Its number.
                kind: MultipartType,
                /// The whole body.
                body: Bytes,
            },
        }

        impl $name {
            /// What is asked or answered.
            pub fn kind(&self) -> MultipartType {
                match self {
                    $(multipart_bodies!(@pattern $variant $($ty)?) => MultipartType::$kind,)*
                    Self::Unknown { kind, .. } => *kind,
                }
            }

            #[inline]
            pub(crate) fn read(kind: MultipartType, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(match kind {
                    $(MultipartType::$kind => multipart_bodies!(@read r $variant $($ty)?),)*
                    _ => Self::Unknown { kind, body: r.remaining()? },
                })
            }

            #[inline]
            pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    $(multipart_bodies!(@bind body $variant $($ty)?) => multipart_bodies!(@write w body $($ty)?),)*
                    Self::Unknown { kind, body } => {
                        if kind.name().is_some() {
                            let cause = EncodeCause::KnownKind(u32::from(kind.0));
                            return Err(EncodeError { structure: $structure, cause });
                        }
                        w.slice(body);
                        Ok(())
                    }
                }
            }

            /// What stands under `body`; nothing for a request without one.
            #[cfg(feature = "json")]
            pub(crate) fn to_json(&self) -> Option<Value> {
                match self {
                    $(multipart_bodies!(@bind body $variant $($ty)?) => multipart_bodies!(@json body $($ty)?),)*
                    Self::Unknown { body, .. } => Some(body.to_json()),
                }
            }

            #[cfg(feature = "json")]
            pub(crate) fn from_json(kind: MultipartType, fields: &mut Fields<'_>) -> Result<Self, JsonError> {
                Ok(match kind {
                    $(MultipartType::$kind => multipart_bodies!(@take fields $variant $($ty)?),)*
                    kind => Self::Unknown { kind, body: fields.take("body")? },
                })
            }
        }
    };
    (@pattern $variant:ident $ty:ty) => { Self::$variant(_) };
    (@pattern $variant:ident) => { Self::$variant };
    (@bind $body:ident $variant:ident $ty:ty) => { Self::$variant($body) };
    (@bind $body:ident $variant:ident) => { Self::$variant };
    (@read $r:ident $variant:ident $ty:ty) => { Self::$variant(<$ty as Wire>::read($r)?) };
    (@read $r:ident $variant:ident) => { Self::$variant };
    (@write $w:ident $body:ident $ty:ty) => { Wire::write($body, $w) };
    (@write $w:ident $body:ident) => { Ok(()) };
    (@json $body:ident $ty:ty) => { Some(Json::to_json($body)) };
    (@json $body:ident) => { None };
    (@take $fields:ident $variant:ident $ty:ty) => { Self::$variant($fields.take("body")?) };
    (@take $fields:ident $variant:ident) => { Self::$variant };
}

multipart_bodies! {
    /// What a multipart request asks (section 7.3.5).
    MultipartRequestBody, "ofp_multipart_request" {
        /// What the switch is.
        DESC Desc,
        /// Rules.
        FLOW Flow(FlowStatsRequest),
        /// The sum of rules.
        AGGREGATE Aggregate(FlowStatsRequest),
        /// Counters of tables.
        TABLE Table,
        /// Counters of ports.
        PORT_STATS PortStats(PortStatsRequest),
        /// Counters of queues.
        QUEUE Queue(QueueStatsRequest),
        /// Counters of groups.
        GROUP Group(GroupStatsRequest),
        /// Groups.
        GROUP_DESC GroupDesc,
        /// What groups it can have.
        GROUP_FEATURES GroupFeatures,
        /// Counters of meters.
        METER Meter(MeterRequest),
        /// Meters.
        METER_CONFIG MeterConfig(MeterRequest),
        /// What meters it can have.
        METER_FEATURES MeterFeatures,
        /// What its tables can do; not empty: what they shall do.
        TABLE_FEATURES TableFeatures(Vec<TableFeatures>),
        /// Ports.
        PORT_DESC PortDesc,
        /// Defined elsewhere.
        EXPERIMENTER Experimenter(ExperimenterMultipart),
    }
}

multipart_bodies! {
    /// What a multipart reply says (section 7.3.5).
    MultipartReplyBody, "ofp_multipart_reply" {
        /// What the switch is.
        DESC Desc(Box<Desc>),
        /// Rules.
        FLOW Flow(Vec<FlowStats>),
        /// The sum of rules.
        AGGREGATE Aggregate(AggregateStats),
        /// Counters of tables.
        TABLE Table(Vec<TableStats>),
        /// Counters of ports.
        PORT_STATS PortStats(Vec<PortStats>),
        /// Counters of queues.
        QUEUE Queue(Vec<QueueStats>),
        /// Counters of groups.
        GROUP Group(Vec<GroupStats>),
        /// Groups.
        GROUP_DESC GroupDesc(Vec<GroupDesc>),
        /// What groups it can have.
        GROUP_FEATURES GroupFeatures(GroupFeatures),
        /// Counters of meters.
        METER Meter(Vec<MeterStats>),
        /// Meters.
        METER_CONFIG MeterConfig(Vec<MeterConfig>),
        /// What meters it can have.
        METER_FEATURES MeterFeatures(MeterFeatures),
        /// What its tables can do.
        TABLE_FEATURES TableFeatures(Vec<TableFeatures>),
        /// Ports.
        PORT_DESC PortDesc(Vec<Port>),
        /// Defined elsewhere.
        EXPERIMENTER Experimenter(ExperimenterMultipart),
    }
}

/// OFPT_MULTIPART_REQUEST (section 7.3.5, `struct ofp_multipart_request`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartRequest {
    /// Whether more of this request follows.
    pub flags: MultipartRequestFlags,
    /// What is asked.
    pub body: MultipartRequestBody,
}

impl MultipartRequest {
    /// A request in one part.
    pub fn new(body: MultipartRequestBody) -> Self {
        Self {
            flags: MultipartRequestFlags::NONE,
            body,
        }
    }

    /// Whether more of this request follows.
    pub fn more(&self) -> bool {
        self.flags.contains(MultipartRequestFlags::MORE)
    }
}

impl MultipartReplyBody {
    /// How long the long ones probably are at most.
    pub(crate) fn room(&self) -> usize {
        let (count, each) = match self {
            Self::Desc(_) => (1, Desc::LEAST),
            Self::Flow(rules) => (rules.len(), FLOW_ROOM),
            Self::PortDesc(ports) => (ports.len(), Port::LEAST),
            Self::PortStats(ports) => (ports.len(), PortStats::LEAST),
            _ => (0, 0),
        };
        count.saturating_mul(each)
    }
}

/// Bytes of a rule with six fields and six actions.
const FLOW_ROOM: usize = 192;

/// OFPT_MULTIPART_REPLY (section 7.3.5, `struct ofp_multipart_reply`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartReply {
    /// Whether more of this reply follows.
    pub flags: MultipartReplyFlags,
    /// What is answered.
    pub body: MultipartReplyBody,
}

impl MultipartReply {
    /// A reply in one part.
    pub fn new(body: MultipartReplyBody) -> Self {
        Self {
            flags: MultipartReplyFlags::NONE,
            body,
        }
    }

    /// Whether more of this reply follows.
    pub fn more(&self) -> bool {
        self.flags.contains(MultipartReplyFlags::MORE)
    }
}

macro_rules! multipart_message {
    ($name:ident $flags:ident $body:ident $structure:literal) => {
        impl Wire for $name {
            #[inline]
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let outer = r.enter($structure);
                let kind = MultipartType::read(r)?;
                let flags = $flags::read(r)?;
                r.skip(4)?;
                let body = $body::read(kind, r)?;
                r.leave(outer);
                Ok(Self { flags, body })
            }
            #[inline]
            fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                self.body.kind().write(w)?;
                self.flags.write(w)?;
                w.pad(4);
                self.body.write(w)
            }
        }
    };
}

multipart_message!(MultipartRequest MultipartRequestFlags MultipartRequestBody "ofp_multipart_request");
multipart_message!(MultipartReply MultipartReplyFlags MultipartReplyBody "ofp_multipart_reply");

//! Numbers, names, flags, addresses, texts and bytes.

use super::{Fields, Json, JsonCause, JsonError, JsonFields};
use crate::text::{FixedText, MacAddr};
use crate::{
    ActionType, ActionTypes, BundleCtrlType, BundleFlags, BundlePropType, Capabilities, ConfigFlags, ControllerRole,
    ErrorType, ExperimenterId, FlowModCommand, FlowModFlags, FlowRemovedReason, FlowRemovedReasons, GroupCapabilities,
    GroupId, GroupModCommand, GroupType, GroupTypes, HelloElementType, InstructionType, MatchType, MessageType,
    MeterBandType, MeterBandTypes, MeterCapabilities, MeterFlags, MeterId, MeterModCommand, MultipartReplyFlags,
    MultipartRequestFlags, MultipartType, NiciraActionType, OxmClass, PacketInReason, PacketInReasons, PortConfig,
    PortFeatures, PortNo, PortReason, PortReasons, PortState, QueueId, QueuePropType, RoleReason, TableFeaturePropType,
    TableId,
};
use bytes::Bytes;
use core::fmt::Write;
use serde_json::{Map, Value};

macro_rules! small_numbers {
    ($($int:ident),*) => {$(
        impl Json for $int {
            fn to_json(&self) -> Value {
                Value::from(*self)
            }

            fn from_json(value: &Value) -> Result<Self, JsonError> {
                let number = value.as_u64().ok_or(JsonError::expected("a number, not negative"))?;
                Self::try_from(number).map_err(|_| JsonError::new(JsonCause::TooLarge(u64::from(Self::MAX))))
            }
        }
    )*};
}
small_numbers!(u8, u16, u32);

impl Json for u64 {
    fn to_json(&self) -> Value {
        Value::from(format!("{self:#018x}"))
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let wrong = || JsonError::expected("a string of 0x and at most 16 hexadecimal digits");
        if let Some(number) = value.as_u64() {
            return Ok(number);
        }
        let digits = value
            .as_str()
            .and_then(|text| text.strip_prefix("0x"))
            .ok_or_else(wrong)?;
        if digits.starts_with('+') {
            return Err(wrong());
        }
        u64::from_str_radix(digits, 16).map_err(|_| wrong())
    }
}

macro_rules! named_numbers {
    ($($name:ident),* $(,)?) => {$(
        impl Json for $name {
            fn to_json(&self) -> Value {
                match self.name() {
                    Some(name) => Value::from(name),
                    None => self.0.to_json(),
                }
            }

            fn from_json(value: &Value) -> Result<Self, JsonError> {
                match value.as_str() {
                    Some(text) => Self::from_name(text)
                        .ok_or(JsonError::expected(concat!("a number or one of the names of ", stringify!($name)))),
                    None => Json::from_json(value).map(Self),
                }
            }
        }
    )*};
}
named_numbers!(
    ActionType,
    BundleCtrlType,
    BundlePropType,
    ControllerRole,
    ErrorType,
    FlowModCommand,
    FlowRemovedReason,
    GroupId,
    GroupModCommand,
    GroupType,
    HelloElementType,
    InstructionType,
    MatchType,
    MessageType,
    MeterBandType,
    MeterId,
    MeterModCommand,
    MultipartType,
    NiciraActionType,
    OxmClass,
    PacketInReason,
    PortNo,
    PortReason,
    QueueId,
    QueuePropType,
    RoleReason,
    TableFeaturePropType,
    TableId,
);

/// Their names are not in openflow.h.
impl Json for ExperimenterId {
    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        Json::from_json(value).map(Self)
    }
}

macro_rules! flags {
    ($($name:ident),* $(,)?) => {$(
        impl Json for $name {
            fn to_json(&self) -> Value {
                let set = Self::NAMES.iter().filter(|(bit, _)| self.contains(*bit));
                let mut list: Vec<Value> = set.map(|(_, name)| Value::from(*name)).collect();
                let unknown = self.unknown();
                if unknown != 0 {
                    list.push(unknown.to_json());
                }
                Value::Array(list)
            }

            fn from_json(value: &Value) -> Result<Self, JsonError> {
                let wrong = || JsonError::expected(concat!("a list of numbers and names of ", stringify!($name)));
                let one = |value: &Value| match value.as_str() {
                    Some(text) => Self::NAMES.iter().find(|(_, name)| *name == text).map(|(bit, _)| *bit).ok_or_else(wrong),
                    None => Json::from_json(value).map(Self),
                };
                match value.as_array() {
                    Some(list) => list.iter().try_fold(Self::NONE, |all, value| Ok(all | one(value)?)),
                    None if value.is_number() => one(value),
                    None => Err(wrong()),
                }
            }
        }
    )*};
}
flags!(
    ActionTypes,
    BundleFlags,
    Capabilities,
    ConfigFlags,
    FlowModFlags,
    FlowRemovedReasons,
    GroupCapabilities,
    GroupTypes,
    MeterBandTypes,
    MeterCapabilities,
    MeterFlags,
    MultipartReplyFlags,
    MultipartRequestFlags,
    PacketInReasons,
    PortConfig,
    PortFeatures,
    PortReasons,
    PortState,
);

impl Json for MacAddr {
    fn to_json(&self) -> Value {
        Value::from(self.to_string())
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let text = value.as_str().unwrap_or_default();
        text.parse()
            .map_err(|_| JsonError::expected("an Ethernet address, as 0a:00:00:00:00:01"))
    }
}

/// Bytes as two digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of such a text.
pub(crate) fn unhex(value: &Value) -> Result<Vec<u8>, JsonError> {
    let wrong = || JsonError::expected("a string of pairs of hexadecimal digits");
    let text = value.as_str().ok_or_else(wrong)?.as_bytes();
    let (pairs, []) = text.as_chunks::<2>() else {
        return Err(wrong());
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect::<Option<_>>().ok_or_else(wrong)
}

impl Json for Bytes {
    fn to_json(&self) -> Value {
        Value::from(hex(self))
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        unhex(value).map(Self::from)
    }
}

/// A body that is nothing but bytes.
impl JsonFields for Bytes {
    fn put(&self, map: &mut Map<String, Value>) {
        map.insert("data".into(), self.to_json());
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        fields.take("data")
    }
}

impl<const N: usize> Json for FixedText<N> {
    fn to_json(&self) -> Value {
        match self.exact() {
            Some(text) => Value::from(text),
            None => Value::from_iter([("hex", hex(&self.0))]),
        }
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let Some(text) = value.as_str() else {
            let mut fields = Fields::of(value)?;
            let bytes = fields.take_with("hex", unhex)?;
            fields.finish()?;
            return bytes
                .try_into()
                .map(Self)
                .map_err(|_| JsonError::new(JsonCause::Length(N)));
        };
        if text.len() > N || text.contains('\0') {
            return Err(JsonError::expected("a text that fits its field and has no zero in it"));
        }
        Ok(Self::new(text))
    }
}

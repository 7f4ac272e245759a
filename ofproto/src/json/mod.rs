//! Messages as JSON, for people and scripts; no I/O.
//!
//! [`to_json`] prints what a message says and [`from_json`] reads it back:
//! `from_json(to_json(m)) == m` for every message. The form:
//!
//! * A message is `{"version": 4, "type": "OFPT_FLOW_MOD", "xid": 1, ..}` with the fields
//!   of its structure beside these three. Names are those of openflow.h without the
//!   structure's prefix; structures nest as there; lists are in wire order. Lengths and
//!   padding are left out, because they follow.
//! * Four structures have a `type` of their own beside the message's. It is called
//!   `error_type` (OFPT_ERROR), `group_type` (OFPT_GROUP_MOD), `bundle_ctrl_type` and
//!   `multipart_type`. What a
//!   multipart message carries stands under `body`: an object, a list, or nothing at all
//!   when the request has no body.
//! * Integers are numbers; those of 64 bits are strings, `"0x%016x"`, because many readers
//!   of JSON keep only 53 bits.
//! * Enumerations are the names of openflow.h, and numbers where there is no name. Ports,
//!   groups, meters, tables and queues are numbers except for the reserved ones
//!   (`"OFPP_CONTROLLER"`, `"OFPG_ALL"`, `"OFPM_ALL"`, `"OFPTT_ALL"`, `"OFPQ_ALL"`).
//!   Experimenters, `buffer_id` and `max_len` are always numbers.
//! * A word of flags is a list of the names of the bits that are set, and one number behind
//!   them with the bits that have no name: `["OFPFF_SEND_FLOW_REM", 128]`.
//! * Addresses are text (`"0a:00:00:00:00:01"`, `"10.0.0.1"`, `"2001:db8::1"`). Names of
//!   ports and the like are text too; one that is not UTF-8, or has something behind its
//!   end, is `{"hex": ".."}`.
//! * A match is `{"type": "OFPMT_OXM", "oxm_fields": [..]}` and a field of it
//!   `{"field": "OFPXMT_OFB_ETH_TYPE", "value": .., "mask": ..}`, the mask only where there is
//!   one. Nicira's fields and the like have their names too: `{"field": "NXM_NX_REG0", "value": 5}`;
//!   those of 128 bits are strings, `"0x%032x"`. A field that is not known says its class, and its
//!   experimenter: `{"class": "OFPXMC_NXM_1", "field": 126, "value": "00000005"}`.
//! * An action of the ONF or of Nicira whose parts are known has them beside its experimenter:
//!   `{"type": "OFPAT_EXPERIMENTER", "experimenter": 8992, "subtype": "NXAST_REG_LOAD", "ofs": 0,
//!   "n_bits": 8, "dst": {"field": "NXM_NX_REG2", "hasmask": false, "length": 4}, "value": ..}`.
//! * A message that is added to a bundle is an object like any other message, under `message`; one
//!   that cannot be read, or is an addition itself, is hexadecimal there.
//! * What a table can do is said by type: `{"type": "OFPTFPT_APPLY_ACTIONS", "action_ids":
//!   [{"type": "OFPAT_OUTPUT"}, ..]}`, and a field of it `{"field": .., "hasmask": true, "length": 8}`.
//! * All other bytes (`data`, and what is kept of unknown structures) are hexadecimal.
//!
//! [`from_json`] wants every key and no others (but for `"bytes"` beside the message's own,
//! which it ignores). It takes a number wherever a name could stand.

/// Writes some keys.
macro_rules! put {
    ($map:ident, $($key:literal: $value:expr),* $(,)?) => {
        { $($map.insert($key.into(), Json::to_json($value));)* }
    };
}

macro_rules! json_as_object {
    ($($name:ident),*) => {$(
        impl Json for $name {
            fn to_json(&self) -> Value {
                object(self)
            }

            fn from_json(value: &Value) -> Result<Self, JsonError> {
                from_object(value)
            }
        }
    )*};
}
mod bundle;
mod number;
mod parts;
mod table_features;

use crate::error::EncodeError;
use crate::message::{Body, Message};
use core::fmt;
use serde_json::{Map, Value};

pub(crate) use number::{hex, unhex};

/// What a message says.
pub fn to_json(message: &Message) -> Value {
    let mut map = Map::new();
    map.insert("version".into(), message.version.to_json());
    // An unknown type is a number, also where another version has a name for it.
    let kind = match &message.body {
        Body::Unknown { kind, .. } => kind.0.to_json(),
        _ => message.kind().to_json(),
    };
    map.insert("type".into(), kind);
    map.insert("xid".into(), message.xid.to_json());
    message.body.put_json(message.version, &mut map);
    Value::Object(map)
}

/// The message that an object describes.
///
/// # Errors
/// What is missing, too much, or not what it should be, with the way to it.
pub fn from_json(value: &Value) -> Result<Message, JsonError> {
    let mut fields = Fields::of(value)?;
    fields.ignore("bytes");
    let version = fields.take("version")?;
    let kind = fields.take("type")?;
    let xid = fields.take("xid")?;
    let body = Body::take_json(version, kind, &mut fields)?;
    fields.finish()?;
    Ok(Message { version, xid, body })
}

/// A value that describes no message: where it is, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The way from the whole to the value, such as `instructions[0].actions[1].port`;
    /// empty for the whole.
    pub path: String,
    /// What is wrong.
    pub cause: JsonCause,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonCause {
    /// The key is not there.
    Missing,
    /// The key is there and means nothing.
    Unknown,
    /// Something else should stand here.
    Expected(&'static str),
    /// The number is larger than this.
    TooLarge(u64),
    /// A list of another length.
    Length(usize),
    /// The value of a match field does not fit it.
    Oxm(EncodeError),
    /// The message within another has no form on the wire.
    Message(EncodeError),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        match &self.cause {
            JsonCause::Missing => f.write_str("is missing"),
            JsonCause::Unknown => f.write_str("is not a key here"),
            JsonCause::Expected(what) => write!(f, "must be {what}"),
            JsonCause::TooLarge(max) => write!(f, "must be at most {max}"),
            JsonCause::Length(length) => write!(f, "must be a list of {length}"),
            JsonCause::Oxm(error) | JsonCause::Message(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JsonError {}

impl JsonError {
    pub(crate) fn new(cause: JsonCause) -> Self {
        Self {
            path: String::new(),
            cause,
        }
    }

    pub(crate) fn expected(what: &'static str) -> Self {
        Self::new(JsonCause::Expected(what))
    }

    /// The same error seen from one level further out.
    fn under(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

/// Something that one JSON value stands for.
pub(crate) trait Json: Sized {
    fn to_json(&self) -> Value;
    fn from_json(value: &Value) -> Result<Self, JsonError>;
}

/// Something that some keys of an object stand for.
pub(crate) trait JsonFields: Sized {
    fn put(&self, map: &mut Map<String, Value>);
    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError>;
}

/// An object with nothing else in it.
pub(crate) fn object<T: JsonFields>(value: &T) -> Value {
    let mut map = Map::new();
    value.put(&mut map);
    Value::Object(map)
}

/// Reads an object with nothing else in it.
pub(crate) fn from_object<T: JsonFields>(value: &Value) -> Result<T, JsonError> {
    let mut fields = Fields::of(value)?;
    let read = T::take(&mut fields)?;
    fields.finish()?;
    Ok(read)
}

/// The keys of an object, and which of them were read.
pub(crate) struct Fields<'v> {
    map: &'v Map<String, Value>,
    read: Vec<&'static str>,
}

impl<'v> Fields<'v> {
    pub(crate) fn of(value: &'v Value) -> Result<Self, JsonError> {
        let map = value.as_object().ok_or(JsonError::expected("an object"))?;
        Ok(Self { map, read: Vec::new() })
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Lets the key be there.
    pub(crate) fn ignore(&mut self, key: &'static str) {
        self.read.push(key);
    }

    /// The value of a key that must be there.
    pub(crate) fn value(&mut self, key: &'static str) -> Result<&'v Value, JsonError> {
        self.read.push(key);
        self.map
            .get(key)
            .ok_or_else(|| JsonError::new(JsonCause::Missing).under(key))
    }

    /// Reads the value of a key that must be there.
    pub(crate) fn take<T: Json>(&mut self, key: &'static str) -> Result<T, JsonError> {
        let value = self.value(key)?;
        T::from_json(value).map_err(|error| error.under(key))
    }

    /// Reads the value of a key with a reader of its own.
    pub(crate) fn take_with<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        let value = self.value(key)?;
        read(value).map_err(|error| error.under(key))
    }

    /// No key may be left.
    pub(crate) fn finish(self) -> Result<(), JsonError> {
        match self.map.keys().find(|key| !self.read.contains(&key.as_str())) {
            Some(key) => Err(JsonError::new(JsonCause::Unknown).under(key)),
            None => Ok(()),
        }
    }
}

/// The key of a field: our name for it, except where Rust or the message's own `type`
/// is in the way.
pub(crate) fn key(structure: &str, field: &'static str) -> &'static str {
    match (structure, field) {
        ("ofp_group_mod", "kind") => "group_type",
        ("ofp_bundle_ctrl_msg", "kind") => "bundle_ctrl_type",
        (_, "kind") => "type",
        (_, "matching") => "match",
        _ => field,
    }
}

impl<T: Json> Json for Vec<T> {
    fn to_json(&self) -> Value {
        self.iter().map(Json::to_json).collect()
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let list = value.as_array().ok_or(JsonError::expected("a list"))?;
        let read = |(at, value)| T::from_json(value).map_err(|error| error.under(&format!("[{at}]")));
        list.iter().enumerate().map(read).collect()
    }
}

impl<T: Json + Copy, const N: usize> Json for [T; N] {
    fn to_json(&self) -> Value {
        self.iter().map(Json::to_json).collect()
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let list = Vec::from_json(value)?;
        list.try_into().map_err(|_| JsonError::new(JsonCause::Length(N)))
    }
}

impl<T: Json> Json for Box<T> {
    fn to_json(&self) -> Value {
        T::to_json(self)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        T::from_json(value).map(Box::new)
    }
}

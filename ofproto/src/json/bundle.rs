//! Bundles, and the messages in them.

use super::{Fields, Json, JsonCause, JsonError, JsonFields, from_json, from_object, object, to_json};
use crate::bundle::{BundleAdd, BundleProp, BundlePropType};
use crate::message::Body;
use bytes::Bytes;
use serde_json::{Map, Value};

json_as_object!(BundleProp);

impl JsonFields for BundleProp {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "type": &self.kind());
        match self {
            Self::Experimenter {
                experimenter,
                exp_type,
                data,
            } => put!(map, "experimenter": experimenter, "exp_type": exp_type, "data": data),
            Self::Unknown { body, .. } => put!(map, "data": body),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(match fields.take("type")? {
            BundlePropType::EXPERIMENTER => Self::Experimenter {
                experimenter: fields.take("experimenter")?,
                exp_type: fields.take("exp_type")?,
                data: fields.take("data")?,
            },
            kind => Self::Unknown {
                kind,
                body: fields.take("data")?,
            },
        })
    }
}

impl JsonFields for BundleAdd {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "bundle_id": &self.bundle_id, "flags": &self.flags);
        map.insert("message".into(), self.message_to_json());
        put!(map, "properties": &self.properties);
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            bundle_id: fields.take("bundle_id")?,
            flags: fields.take("flags")?,
            message: fields.take_with("message", message_from_json)?,
            properties: fields.take("properties")?,
        })
    }
}

impl BundleAdd {
    /// An object, unless that would say less than the bytes or go deeper than one level.
    fn message_to_json(&self) -> Value {
        let read = self.decode_message().ok();
        let flat = read.filter(|message| !matches!(message.body, Body::BundleAdd(_)));
        match flat {
            Some(message) if message.to_bytes().as_ref() == Ok(&self.message) => to_json(&message),
            _ => self.message.to_json(),
        }
    }
}

fn message_from_json(value: &Value) -> Result<Bytes, JsonError> {
    if !value.is_object() {
        return Bytes::from_json(value);
    }
    // The same limit as above: nobody's nesting makes us go deeper.
    if value.get("message").is_some_and(Value::is_object) {
        return Err(JsonError::expected(
            "hexadecimal, because it is an addition to a bundle itself",
        ));
    }
    let message = from_json(value)?;
    message
        .to_bytes()
        .map_err(|error| JsonError::new(JsonCause::Message(error)))
}

//! The properties of tables.

use super::{Fields, Json, JsonCause, JsonError, JsonFields, from_object, hex, object};
use crate::number::ExperimenterId;
use crate::oxm::{OxmClass, OxmField};
use crate::table_features::{ActionId, InstructionId, OxmId, Shape, TableFeatureBody, TableFeatureProp};
use bytes::Bytes;
use serde_json::{Map, Value};

json_as_object!(TableFeatureProp, InstructionId, ActionId, OxmId);

impl JsonFields for TableFeatureProp {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "type": &self.kind);
        match &self.body {
            TableFeatureBody::Instructions(ids) => put!(map, "instruction_ids": ids),
            TableFeatureBody::NextTables(ids) => put!(map, "next_table_ids": ids),
            TableFeatureBody::Actions(ids) => put!(map, "action_ids": ids),
            TableFeatureBody::Oxms(ids) => put!(map, "oxm_ids": ids),
            TableFeatureBody::Experimenter {
                experimenter,
                exp_type,
                data,
            } => {
                put!(map, "experimenter": experimenter, "exp_type": exp_type, "experimenter_data": data);
            }
            TableFeatureBody::Unknown(body) => put!(map, "data": body),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let kind: crate::TableFeaturePropType = fields.take("type")?;
        let body = match kind.shape() {
            Shape::Instructions => TableFeatureBody::Instructions(fields.take("instruction_ids")?),
            Shape::NextTables => TableFeatureBody::NextTables(fields.take("next_table_ids")?),
            Shape::Actions => TableFeatureBody::Actions(fields.take("action_ids")?),
            Shape::Oxms => TableFeatureBody::Oxms(fields.take("oxm_ids")?),
            Shape::Experimenter => TableFeatureBody::Experimenter {
                experimenter: fields.take("experimenter")?,
                exp_type: fields.take("exp_type")?,
                data: fields.take("experimenter_data")?,
            },
            Shape::Unknown => TableFeatureBody::Unknown(fields.take("data")?),
        };
        Ok(Self { kind, body })
    }
}

/// The type that says that an experimenter's id follows, of instructions and actions alike.
const EXPERIMENTER: u16 = 0xffff;

/// What follows the header of an instruction or action: usually nothing.
fn put_body(kind: u16, body: &Bytes, map: &mut Map<String, Value>) {
    let behind = match body.split_first_chunk::<4>() {
        Some((id, behind)) if kind == EXPERIMENTER => {
            put!(map, "experimenter": &ExperimenterId(u32::from_be_bytes(*id)));
            behind
        }
        _ => body,
    };
    if !behind.is_empty() {
        map.insert("data".into(), Value::from(hex(behind)));
    }
}

fn take_body(fields: &mut Fields<'_>) -> Result<Bytes, JsonError> {
    let mut body = Vec::new();
    if fields.has("experimenter") {
        body.extend_from_slice(&fields.take::<u32>("experimenter")?.to_be_bytes());
    }
    if fields.has("data") {
        body.extend_from_slice(&fields.take::<Bytes>("data")?);
    }
    Ok(body.into())
}

macro_rules! type_ids {
    ($($name:ident),*) => {$(
        impl JsonFields for $name {
            fn put(&self, map: &mut Map<String, Value>) {
                put!(map, "type": &self.kind);
                put_body(self.kind.0, &self.body, map);
            }

            fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
                Ok(Self { kind: fields.take("type")?, body: take_body(fields)? })
            }
        }
    )*};
}
type_ids!(InstructionId, ActionId);

impl JsonFields for OxmId {
    fn put(&self, map: &mut Map<String, Value>) {
        match self.field.name() {
            Some(name) => {
                map.insert("field".into(), Value::from(name));
            }
            None => {
                put!(map, "class": &self.field.class(), "field": &self.field.number());
                if let Some(experimenter) = self.field.experimenter() {
                    put!(map, "experimenter": &experimenter);
                }
            }
        }
        map.insert("hasmask".into(), Value::from(self.masked));
        put!(map, "length": &self.length);
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let field = take_field(fields)?;
        let masked = fields.take_with("hasmask", |value| {
            value.as_bool().ok_or(JsonError::expected("true or false"))
        })?;
        Ok(Self {
            field,
            masked,
            length: fields.take("length")?,
        })
    }
}

/// Which field an object speaks of: a name, or a number with its class and, where there
/// is one, its experimenter.
pub(super) fn take_field(fields: &mut Fields<'_>) -> Result<OxmField, JsonError> {
    let field = fields.take_with("field", |value| match value.as_str() {
        Some(name) => OxmField::from_name(name)
            .map(Ok)
            .ok_or(JsonError::expected("a number or the name of a field")),
        None => match u8::from_json(value)? {
            number @ 0..=0x7f => Ok(Err(number)),
            _ => Err(JsonError::new(JsonCause::TooLarge(0x7f))),
        },
    })?;
    match field {
        Ok(known) => Ok(known),
        Err(number) => match fields.take("class")? {
            OxmClass::EXPERIMENTER => Ok(OxmField::of_experimenter(fields.take("experimenter")?, number)),
            class => Ok(OxmField::of_class(class, number)),
        },
    }
}

//! The structures whose keys depend on their type.

use super::table_features::take_field;
use super::{Fields, Json, JsonCause, JsonError, JsonFields, from_object, hex, object, unhex};
use crate::action::{Action, ActionType};
use crate::error_msg::{ErrorMsg, ErrorType};
use crate::hello::{Hello, HelloElement, HelloElementType};
use crate::instruction::{Instruction, InstructionType};
use crate::meter::{MeterBand, MeterBandType};
use crate::multipart::{MultipartReply, MultipartReplyBody, MultipartRequest, MultipartRequestBody};
use crate::number::{ExperimenterId, PortNo};
use crate::ofp_match::{Match, MatchType};
use crate::oxm::Oxm;
use crate::oxm_table::OxmKind;
use crate::packet::PacketOut;
use crate::queue::{QueueProp, QueuePropType};
use crate::subfield::{FieldCopy, FieldLoad, NiciraActionType, ONF_COPY_FIELD, OfsNBits};
use crate::text::MacAddr;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::net::{Ipv4Addr, Ipv6Addr};

json_as_object!(Match, Oxm, Action, Instruction, MeterBand, HelloElement, QueueProp);

impl JsonFields for Match {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "type": &MatchType::OXM);
        map.insert("oxm_fields".into(), self.iter().map(|oxm| oxm.to_json()).collect());
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let kind: MatchType = fields.take("type")?;
        if kind != MatchType::OXM {
            return Err(JsonError::expected("a match of type OFPMT_OXM"));
        }
        fields
            .take::<Vec<Oxm>>("oxm_fields")
            .map(|oxms| oxms.into_iter().collect())
    }
}

/// A value or mask of a field whose kind is known. A mask of a port is a number.
fn oxm_value(kind: OxmKind, bytes: &[u8], mask: bool) -> Value {
    let number = bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let text = match kind {
        OxmKind::Bytes => None,
        OxmKind::Huge => Some(format!("0x{}", hex(bytes))),
        OxmKind::Wide => return number.to_json(),
        OxmKind::Port if !mask => {
            return u32::try_from(number).map_or(Value::from(number), |port| PortNo(port).to_json());
        }
        OxmKind::Number | OxmKind::Port => return Value::from(number),
        OxmKind::Mac => bytes.first_chunk::<6>().map(|octets| MacAddr(*octets).to_string()),
        OxmKind::Ipv4 => bytes
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).to_string()),
        OxmKind::Ipv6 => bytes
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).to_string()),
    };
    // A field of a fixed width always has it, so that there is a text.
    Value::from(text.unwrap_or_else(|| hex(bytes)))
}

/// The bytes of such a value, `width` of them.
fn oxm_bytes(kind: OxmKind, width: usize, value: &Value) -> Result<Vec<u8>, JsonError> {
    let text = value.as_str().unwrap_or_default();
    let number = match kind {
        OxmKind::Bytes => return unhex(value),
        OxmKind::Huge => {
            let digits = text.strip_prefix("0x").map(Value::from);
            return digits
                .and_then(|digits| unhex(&digits).ok())
                .filter(|bytes| bytes.len() == width)
                .ok_or(JsonError::expected("a string of 0x and 32 hexadecimal digits"));
        }
        OxmKind::Mac => return MacAddr::from_json(value).map(|mac| mac.0.to_vec()),
        OxmKind::Ipv4 => {
            let address = text
                .parse::<Ipv4Addr>()
                .map_err(|_| JsonError::expected("an IPv4 address"))?;
            return Ok(address.octets().to_vec());
        }
        OxmKind::Ipv6 => {
            let address = text
                .parse::<Ipv6Addr>()
                .map_err(|_| JsonError::expected("an IPv6 address"))?;
            return Ok(address.octets().to_vec());
        }
        OxmKind::Wide => u64::from_json(value)?,
        OxmKind::Port => u64::from(PortNo::from_json(value)?.0),
        OxmKind::Number => u64::from(u32::from_json(value)?),
    };
    let bytes = number.to_be_bytes();
    let (high, low) = bytes
        .split_at_checked(bytes.len().saturating_sub(width))
        .unwrap_or((&[], &bytes));
    if high.iter().any(|byte| *byte != 0) {
        let max = u64::MAX
            .checked_shr(u32::try_from(high.len()).unwrap_or(0).saturating_mul(8))
            .unwrap_or(0);
        return Err(JsonError::new(JsonCause::TooLarge(max)));
    }
    Ok(low.to_vec())
}

impl JsonFields for Oxm {
    fn put(&self, map: &mut Map<String, Value>) {
        let field = self.field();
        if let Some(row) = field.row() {
            map.insert("field".into(), Value::from(row.name));
            map.insert("value".into(), oxm_value(row.kind, self.value(), false));
            if let Some(mask) = self.mask() {
                map.insert("mask".into(), oxm_value(row.kind, mask, true));
            }
            return;
        }
        put!(map, "class": &field.class(), "field": &field.number());
        if let Some(experimenter) = field.experimenter() {
            put!(map, "experimenter": &experimenter);
        }
        map.insert("value".into(), Value::from(hex(self.value())));
        if let Some(mask) = self.mask() {
            map.insert("mask".into(), Value::from(hex(mask)));
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let field = take_field(fields)?;
        let read = |value: &Value| match field.row() {
            Some(row) => oxm_bytes(row.kind, usize::from(row.width), value),
            None => unhex(value),
        };
        let value = fields.take_with("value", read)?;
        let mask = if fields.has("mask") {
            Some(fields.take_with("mask", read)?)
        } else {
            None
        };
        Self::new(field, &value, mask.as_deref()).map_err(|error| JsonError::new(JsonCause::Oxm(error)))
    }
}

impl JsonFields for Action {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "type": &self.kind());
        match self {
            Self::Output { port, max_len } => put!(map, "port": port, "max_len": max_len),
            Self::CopyTtlOut | Self::CopyTtlIn | Self::DecMplsTtl | Self::PopVlan | Self::DecNwTtl | Self::PopPbb => {}
            Self::SetMplsTtl(ttl) => put!(map, "mpls_ttl": ttl),
            Self::SetNwTtl(ttl) => put!(map, "nw_ttl": ttl),
            Self::PushVlan(ethertype)
            | Self::PushMpls(ethertype)
            | Self::PopMpls(ethertype)
            | Self::PushPbb(ethertype) => put!(map, "ethertype": ethertype),
            Self::SetQueue(queue) => put!(map, "queue_id": queue),
            Self::Group(group) => put!(map, "group_id": group),
            Self::SetField(oxm) => put!(map, "field": oxm),
            Self::CopyField(copy) => {
                put!(map, "experimenter": &ExperimenterId::ONF, "exp_type": &ONF_COPY_FIELD, "n_bits": &copy.n_bits);
                put!(map, "src_offset": &copy.src_offset, "dst_offset": &copy.dst_offset);
                put!(map, "src": &copy.src, "dst": &copy.dst);
            }
            Self::RegMove(copy) => {
                put!(map, "experimenter": &ExperimenterId::NICIRA, "subtype": &NiciraActionType::REG_MOVE);
                put!(map, "n_bits": &copy.n_bits, "src_ofs": &copy.src_offset, "dst_ofs": &copy.dst_offset);
                put!(map, "src": &copy.src, "dst": &copy.dst);
            }
            Self::RegLoad(load) => {
                put!(map, "experimenter": &ExperimenterId::NICIRA, "subtype": &NiciraActionType::REG_LOAD);
                put!(map, "ofs": &load.bits.ofs(), "n_bits": &load.bits.n_bits(), "dst": &load.dst, "value": &load.value);
            }
            Self::Experimenter { experimenter, body } => put!(map, "experimenter": experimenter, "data": body),
            Self::Unknown { body, .. } => put!(map, "data": body),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(match fields.take("type")? {
            ActionType::OUTPUT => Self::Output {
                port: fields.take("port")?,
                max_len: fields.take("max_len")?,
            },
            ActionType::COPY_TTL_OUT => Self::CopyTtlOut,
            ActionType::COPY_TTL_IN => Self::CopyTtlIn,
            ActionType::SET_MPLS_TTL => Self::SetMplsTtl(fields.take("mpls_ttl")?),
            ActionType::DEC_MPLS_TTL => Self::DecMplsTtl,
            ActionType::PUSH_VLAN => Self::PushVlan(fields.take("ethertype")?),
            ActionType::POP_VLAN => Self::PopVlan,
            ActionType::PUSH_MPLS => Self::PushMpls(fields.take("ethertype")?),
            ActionType::POP_MPLS => Self::PopMpls(fields.take("ethertype")?),
            ActionType::SET_QUEUE => Self::SetQueue(fields.take("queue_id")?),
            ActionType::GROUP => Self::Group(fields.take("group_id")?),
            ActionType::SET_NW_TTL => Self::SetNwTtl(fields.take("nw_ttl")?),
            ActionType::DEC_NW_TTL => Self::DecNwTtl,
            ActionType::SET_FIELD => Self::SetField(fields.take("field")?),
            ActionType::PUSH_PBB => Self::PushPbb(fields.take("ethertype")?),
            ActionType::POP_PBB => Self::PopPbb,
            ActionType::EXPERIMENTER => return take_experimenter_action(fields),
            kind => Self::Unknown {
                kind,
                body: fields.take("data")?,
            },
        })
    }
}

/// An action of an experimenter: one whose parts are known says which of them it is.
fn take_experimenter_action(fields: &mut Fields<'_>) -> Result<Action, JsonError> {
    let experimenter = fields.take("experimenter")?;
    if experimenter == ExperimenterId::ONF && fields.has("exp_type") {
        fields.take_with("exp_type", |value| match u16::from_json(value)? {
            ONF_COPY_FIELD => Ok(()),
            _ => Err(JsonError::expected("3200, copy-field, or no exp_type and data")),
        })?;
        return take_field_copy(fields, "src_offset", "dst_offset").map(Action::CopyField);
    }
    if experimenter != ExperimenterId::NICIRA || !fields.has("subtype") {
        let body = fields.take("data")?;
        return Ok(Action::Experimenter { experimenter, body });
    }
    let load = fields.take_with("subtype", |value| match NiciraActionType::from_json(value)? {
        NiciraActionType::REG_MOVE => Ok(false),
        NiciraActionType::REG_LOAD => Ok(true),
        _ => Err(JsonError::expected(
            "one of the names of NiciraActionType, or no subtype and data",
        )),
    })?;
    if !load {
        return take_field_copy(fields, "src_ofs", "dst_ofs").map(Action::RegMove);
    }
    let ofs = fields.take("ofs")?;
    let bits = fields.take_with("n_bits", |value| {
        OfsNBits::new(ofs, u16::from_json(value)?)
            .ok_or(JsonError::expected("1 to 64, from a bit that is at most 1023 on"))
    })?;
    let (dst, value) = (fields.take("dst")?, fields.take("value")?);
    Ok(Action::RegLoad(FieldLoad { bits, dst, value }))
}

fn take_field_copy(fields: &mut Fields<'_>, src: &'static str, dst: &'static str) -> Result<FieldCopy, JsonError> {
    Ok(FieldCopy {
        n_bits: fields.take("n_bits")?,
        src_offset: fields.take(src)?,
        dst_offset: fields.take(dst)?,
        src: fields.take("src")?,
        dst: fields.take("dst")?,
    })
}

impl JsonFields for Instruction {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "type": &self.kind());
        match self {
            Self::GotoTable(table) => put!(map, "table_id": table),
            Self::WriteMetadata { metadata, mask } => put!(map, "metadata": metadata, "metadata_mask": mask),
            Self::WriteActions(actions) | Self::ApplyActions(actions) => put!(map, "actions": actions),
            Self::ClearActions => {}
            Self::Meter(meter) => put!(map, "meter_id": meter),
            Self::Experimenter { experimenter, body } => put!(map, "experimenter": experimenter, "data": body),
            Self::Unknown { body, .. } => put!(map, "data": body),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(match fields.take("type")? {
            InstructionType::GOTO_TABLE => Self::GotoTable(fields.take("table_id")?),
            InstructionType::WRITE_METADATA => Self::WriteMetadata {
                metadata: fields.take("metadata")?,
                mask: fields.take("metadata_mask")?,
            },
            InstructionType::WRITE_ACTIONS => Self::WriteActions(fields.take("actions")?),
            InstructionType::APPLY_ACTIONS => Self::ApplyActions(fields.take("actions")?),
            InstructionType::CLEAR_ACTIONS => Self::ClearActions,
            InstructionType::METER => Self::Meter(fields.take("meter_id")?),
            InstructionType::EXPERIMENTER => Self::Experimenter {
                experimenter: fields.take("experimenter")?,
                body: fields.take("data")?,
            },
            kind => Self::Unknown {
                kind,
                body: fields.take("data")?,
            },
        })
    }
}

impl JsonFields for MeterBand {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "type": &self.kind(), "rate": &self.rate(), "burst_size": &self.burst_size());
        match self {
            Self::Drop { .. } => {}
            Self::DscpRemark { prec_level, .. } => put!(map, "prec_level": prec_level),
            Self::Experimenter { experimenter, body, .. } => put!(map, "experimenter": experimenter, "data": body),
            Self::Unknown { body, .. } => put!(map, "data": body),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let (kind, rate, burst_size) = (fields.take("type")?, fields.take("rate")?, fields.take("burst_size")?);
        Ok(match kind {
            MeterBandType::DROP => Self::Drop { rate, burst_size },
            MeterBandType::DSCP_REMARK => Self::DscpRemark {
                rate,
                burst_size,
                prec_level: fields.take("prec_level")?,
            },
            MeterBandType::EXPERIMENTER => {
                let (experimenter, body) = (fields.take("experimenter")?, fields.take("data")?);
                Self::Experimenter {
                    rate,
                    burst_size,
                    experimenter,
                    body,
                }
            }
            kind => Self::Unknown {
                kind,
                rate,
                burst_size,
                body: fields.take("data")?,
            },
        })
    }
}

impl JsonFields for HelloElement {
    fn put(&self, map: &mut Map<String, Value>) {
        match self {
            Self::VersionBitmap(bitmaps) => put!(map, "type": &HelloElementType::VERSIONBITMAP, "bitmaps": bitmaps),
            Self::Unknown { kind, body } => put!(map, "type": kind, "data": body),
            Self::Opaque(body) => put!(map, "data": body),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        if !fields.has("type") {
            return fields.take("data").map(Self::Opaque);
        }
        Ok(match fields.take("type")? {
            HelloElementType::VERSIONBITMAP => Self::VersionBitmap(fields.take("bitmaps")?),
            kind => Self::Unknown {
                kind,
                body: fields.take("data")?,
            },
        })
    }
}

impl JsonFields for Hello {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "elements": &self.elements);
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            elements: fields.take("elements")?,
        })
    }
}

impl JsonFields for QueueProp {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "property": &self.kind());
        match self {
            Self::MinRate(rate) | Self::MaxRate(rate) => put!(map, "rate": rate),
            Self::Experimenter { experimenter, data } => put!(map, "experimenter": experimenter, "data": data),
            Self::Unknown { body, .. } => put!(map, "data": body),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(match fields.take("property")? {
            QueuePropType::MIN_RATE => Self::MinRate(fields.take("rate")?),
            QueuePropType::MAX_RATE => Self::MaxRate(fields.take("rate")?),
            QueuePropType::EXPERIMENTER => Self::Experimenter {
                experimenter: fields.take("experimenter")?,
                data: fields.take("data")?,
            },
            kind => Self::Unknown {
                kind,
                body: fields.take("data")?,
            },
        })
    }
}

impl JsonFields for PacketOut {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "buffer_id": &self.buffer_id, "in_port": &self.in_port);
        put!(map, "actions": &self.actions, "data": &self.data);
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            buffer_id: fields.take("buffer_id")?,
            in_port: fields.take("in_port")?,
            actions: fields.take("actions")?,
            data: fields.take("data")?,
        })
    }
}

impl JsonFields for ErrorMsg {
    fn put(&self, map: &mut Map<String, Value>) {
        put!(map, "error_type": &self.kind);
        let behind = self.experimenter().and_then(|id| Some((id, self.data.get(4..)?)));
        if let Some((experimenter, data)) = behind {
            put!(map, "exp_type": &self.code, "experimenter": &experimenter);
            map.insert("data".into(), Value::from(hex(data)));
            return;
        }
        let code = self.code_name().map_or_else(|| self.code.to_json(), Value::from);
        map.insert("code".into(), code);
        put!(map, "data": &self.data);
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let kind: ErrorType = fields.take("error_type")?;
        if kind == ErrorType::EXPERIMENTER && fields.has("experimenter") {
            let (code, id) = (fields.take("exp_type")?, fields.take::<u32>("experimenter")?);
            let behind: Bytes = fields.take("data")?;
            let data = [&id.to_be_bytes()[..], &behind].concat().into();
            return Ok(Self { kind, code, data });
        }
        let code = fields.take_with("code", |value| match value.as_str() {
            Some(name) => kind
                .code_from_name(name)
                .ok_or(JsonError::expected("a number or a code of its error_type")),
            None => u16::from_json(value),
        })?;
        Ok(Self {
            kind,
            code,
            data: fields.take("data")?,
        })
    }
}

macro_rules! multipart {
    ($($name:ident $body:ident),*) => {$(
        impl JsonFields for $name {
            fn put(&self, map: &mut Map<String, Value>) {
                put!(map, "multipart_type": &self.body.kind(), "flags": &self.flags);
                if let Some(body) = self.body.to_json() {
                    map.insert("body".into(), body);
                }
            }

            fn take(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
                let kind = fields.take("multipart_type")?;
                let flags = fields.take("flags")?;
                let body = $body::from_json(kind, fields)?;
                Ok(Self { flags, body })
            }
        }
    )*};
}
multipart!(MultipartRequest MultipartRequestBody, MultipartReply MultipartReplyBody);

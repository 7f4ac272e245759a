//! Multipart requests and replies.

use super::line::{Kept, entries};
use crate::multipart::{
    MultipartReply, MultipartReplyBody, MultipartReplyFlags, MultipartRequest, MultipartRequestBody,
    MultipartRequestFlags, MultipartType,
};
use core::fmt::{self, Display, Formatter};

/// `OFPMP_FLOW request`.
pub(crate) fn title(f: &mut Formatter<'_>, kind: MultipartType, side: &str) -> fmt::Result {
    match kind.name() {
        Some(name) => write!(f, "{name} {side}"),
        None => write!(f, "multipart {side} of unknown type {}", kind.0),
    }
}

/// ` flags=[more]` where a flag is set.
fn flags(f: &mut Formatter<'_>, more: bool, other: u16) -> fmt::Result {
    match (more, other) {
        (false, 0) => Ok(()),
        (true, 0) => f.write_str(" flags=[more]"),
        (true, other) => write!(f, " flags=[more {other:#x}]"),
        (false, other) => write!(f, " flags=[{other:#x}]"),
    }
}

/// What follows the title of a request, with a space before it.
pub(crate) fn request(f: &mut Formatter<'_>, request: &MultipartRequest) -> fmt::Result {
    let MultipartRequest { flags: bits, body } = request;
    flags(f, bits.contains(MultipartRequestFlags::MORE), bits.unknown())?;
    match body {
        MultipartRequestBody::Desc
        | MultipartRequestBody::Table
        | MultipartRequestBody::GroupDesc
        | MultipartRequestBody::GroupFeatures
        | MultipartRequestBody::MeterFeatures
        | MultipartRequestBody::PortDesc => Ok(()),
        MultipartRequestBody::TableFeatures(tables) if tables.is_empty() => Ok(()),
        some => write!(f, " {some}"),
    }
}

/// What follows the title of a reply, with a space before it.
pub(crate) fn reply(f: &mut Formatter<'_>, reply: &MultipartReply) -> fmt::Result {
    let MultipartReply { flags: bits, body } = reply;
    flags(f, bits.contains(MultipartReplyFlags::MORE), bits.unknown())?;
    write!(f, " {body}")
}

impl Display for MultipartRequestBody {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desc | Self::Table | Self::GroupDesc | Self::GroupFeatures | Self::MeterFeatures | Self::PortDesc => {
                Ok(())
            }
            Self::Flow(request) | Self::Aggregate(request) => request.fmt(f),
            Self::PortStats(request) => request.fmt(f),
            Self::Queue(request) => request.fmt(f),
            Self::Group(request) => request.fmt(f),
            Self::Meter(request) | Self::MeterConfig(request) => request.fmt(f),
            Self::TableFeatures(tables) => entries(f, tables),
            Self::Experimenter(request) => request.fmt(f),
            Self::Unknown { kind: _, body } => Kept(body).fmt(f),
        }
    }
}

/// How many, and the first of them.
fn counted<T: Display>(f: &mut Formatter<'_>, noun: &str, all: &[T]) -> fmt::Result {
    match all {
        [] => write!(f, "0 {noun}s"),
        [one] => one.fmt(f),
        more => {
            write!(f, "{} {noun}s: ", more.len())?;
            entries(f, more)
        }
    }
}

impl Display for MultipartReplyBody {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desc(desc) => desc.fmt(f),
            Self::Flow(all) => counted(f, "flow", all),
            Self::Aggregate(sum) => sum.fmt(f),
            Self::Table(all) => counted(f, "table", all),
            Self::PortStats(all) => counted(f, "port", all),
            Self::Queue(all) => counted(f, "queue", all),
            Self::Group(all) => counted(f, "group", all),
            Self::GroupDesc(all) => counted(f, "group", all),
            Self::GroupFeatures(features) => features.fmt(f),
            Self::Meter(all) => counted(f, "meter", all),
            Self::MeterConfig(all) => counted(f, "meter", all),
            Self::MeterFeatures(features) => features.fmt(f),
            Self::TableFeatures(all) => counted(f, "table", all),
            Self::PortDesc(all) => counted(f, "port", all),
            Self::Experimenter(reply) => reply.fmt(f),
            Self::Unknown { kind: _, body } => Kept(body).fmt(f),
        }
    }
}

impl Display for MultipartRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        title(f, self.body.kind(), "request")?;
        f.write_str(":")?;
        request(f, self)
    }
}

impl Display for MultipartReply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        title(f, self.body.kind(), "reply")?;
        f.write_str(":")?;
        reply(f, self)
    }
}

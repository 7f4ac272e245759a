//! Messages as text, one line each, for logs and for people who know `ovs-ofctl`; no I/O.
//!
//! ```text
//! OFPT_FLOW_MOD (OF1.3) (xid=0x2a): ADD table=1 priority=100,in_port=1,dl_vlan=7 cookie=0x1 actions=output:2
//! ```
//!
//! Words, order and number formats are those of `ovs-ofctl -O OpenFlow13 ofp-print`, with these
//! differences: what it breaks into lines stands in one; types and error codes have the names
//! of OpenFlow 1.3 (`OFPMP_FLOW reply`, `master`) where it prints those of another version; and
//! a rule is printed as `ovs-ofctl add-flow` takes it (`table=1`, where it prints `table:1`).
//! A match and its actions can so be pasted into a command.
//!
//! Whatever a peer sent, there is no control character in a line, lists end after a number of
//! elements with how many more there are, and a line ends after [`LINE_MAX`](crate::LINE_MAX)
//! bytes. This is for reading: what has to be read back is JSON (module `json`).
//!
//! Everything is matched in full, fields of structures and variants too: what is added to a
//! type does not compile until it has a text.

mod action;
mod bundle;
mod flow;
mod group;
mod line;
mod meter;
mod multipart;
mod oxm;
mod packet;
mod port;
mod switch;
mod table_features;
mod word;

pub use line::LINE_MAX;
pub(crate) use word::{Flagged, Named};

use crate::message::{Body, Message};
use core::fmt::{self, Display, Formatter, Write};
use line::{Cut, Kept};

/// What a message is: `OFPT_FLOW_MOD`, `OFPMP_FLOW reply`.
struct Title<'b>(&'b Body);

impl Display for Title<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Body::MultipartRequest(request) => multipart::title(f, request.body.kind(), "request"),
            Body::MultipartReply(reply) => multipart::title(f, reply.body.kind(), "reply"),
            Body::Unknown { kind, body: _ } => write!(f, "message of unknown type {}", kind.0),
            known => known.kind().fmt(f),
        }
    }
}

/// What a message says, with a space before it; nothing for those that say nothing.
struct Rest<'b>(&'b Body);

impl Display for Rest<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Body::FeaturesRequest
            | Body::GetConfigRequest
            | Body::BarrierRequest
            | Body::BarrierReply
            | Body::GetAsyncRequest => return Ok(()),
            Body::MultipartRequest(request) => return multipart::request(f, request),
            Body::MultipartReply(reply) => return multipart::reply(f, reply),
            _ => f.write_str(" ")?,
        }
        match self.0 {
            Body::FeaturesRequest
            | Body::GetConfigRequest
            | Body::BarrierRequest
            | Body::BarrierReply
            | Body::GetAsyncRequest
            | Body::MultipartRequest(_)
            | Body::MultipartReply(_) => Ok(()),
            Body::Hello(hello) => hello.fmt(f),
            Body::Error(error) => switch::error(f, error),
            Body::EchoRequest(data) | Body::EchoReply(data) => switch::echo(f, data),
            Body::Experimenter(message) => message.fmt(f),
            Body::BundleControl(control) => control.fmt(f),
            Body::BundleAdd(add) => add.fmt(f),
            Body::FeaturesReply(features) => features.fmt(f),
            Body::GetConfigReply(config) | Body::SetConfig(config) => config.fmt(f),
            Body::PacketIn(packet) => packet.fmt(f),
            Body::FlowRemoved(removed) => removed.fmt(f),
            Body::PortStatus(status) => status.fmt(f),
            Body::PacketOut(packet) => packet.fmt(f),
            Body::FlowMod(rule) => rule.fmt(f),
            Body::GroupMod(group) => group.fmt(f),
            Body::PortMod(port) => port.fmt(f),
            Body::TableMod(table) => table.fmt(f),
            Body::QueueGetConfigRequest(request) => request.fmt(f),
            Body::QueueGetConfigReply(reply) => reply.fmt(f),
            Body::RoleRequest(role) | Body::RoleReply(role) => role.fmt(f),
            Body::GetAsyncReply(config) | Body::SetAsync(config) => config.fmt(f),
            Body::MeterMod(meter) => meter.fmt(f),
            Body::Unknown { kind: _, body } => Kept(body).fmt(f),
        }
    }
}

/// `OFPT_FLOW_MOD: ADD table=1 ..`: a message without what its header says.
impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut line = Cut::new(f);
        write!(line, "{}:{}", Title(self), Rest(self))?;
        line.finish()
    }
}

/// `OF1.3`, and the number of a version without a name.
struct Version(u8);

impl Display for Version {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            version @ 1..=6 => write!(f, "OF1.{}", version.saturating_sub(1)),
            version => write!(f, "OF {version:#04x}"),
        }
    }
}

/// One line: type, version, transaction id, and what the message says.
impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { version, xid, body } = self;
        let mut line = Cut::new(f);
        write!(
            line,
            "{} ({}) (xid={xid:#x}):{}",
            Title(body),
            Version(*version),
            Rest(body)
        )?;
        line.finish()
    }
}

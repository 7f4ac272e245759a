//! A whole message: what its body says, and whether it is one that is known.

use super::{Refusal, RefusalCause, refuse};
use crate::error_msg::BadRequestCode;
use crate::message::{Body, Message};

impl Message {
    /// Whether a switch that knows all of OpenFlow 1.3.5 and of what this crate defines
    /// beyond it would take the message. [`Message::decode`] has judged its structure.
    ///
    /// # Errors
    /// What is refused first, in the order a switch reads the message, with the type and
    /// code of the OFPT_ERROR it would answer (section 7.4.4).
    pub fn validate(&self) -> Result<(), Refusal> {
        match &self.body {
            Body::Hello(hello) => hello.validate(self.version),
            Body::Experimenter(message) => message.validate(),
            Body::SetConfig(config) => config.validate(),
            Body::PacketIn(packet) => packet.validate(),
            Body::FlowRemoved(rule) => rule.validate(),
            Body::PacketOut(packet) => packet.validate(),
            Body::FlowMod(rule) => rule.validate(),
            Body::GroupMod(group) => group.validate(),
            Body::PortMod(port) => port.validate(),
            Body::TableMod(table) => table.validate(),
            Body::MultipartRequest(request) => request.validate(),
            Body::MultipartReply(reply) => reply.validate(),
            Body::QueueGetConfigRequest(request) => request.validate(),
            Body::RoleRequest(role) | Body::RoleReply(role) => role.validate(),
            Body::SetAsync(config) => config.validate(),
            Body::MeterMod(meter) => meter.validate(),
            Body::Unknown { kind, .. } => refuse(
                "ofp_header",
                BadRequestCode::BAD_TYPE,
                RefusalCause::UnknownType(u32::from(kind.0)),
            ),
            Body::BundleControl(control) => control.validate(self.version),
            Body::BundleAdd(add) => add.validate(self.version, self.xid),
            // Without values, or with what only a switch says of itself.
            Body::Error(_)
            | Body::EchoRequest(_)
            | Body::EchoReply(_)
            | Body::FeaturesRequest
            | Body::FeaturesReply(_)
            | Body::GetConfigRequest
            | Body::GetConfigReply(_)
            | Body::PortStatus(_)
            | Body::BarrierRequest
            | Body::BarrierReply
            | Body::QueueGetConfigReply(_)
            | Body::GetAsyncRequest
            | Body::GetAsyncReply(_) => Ok(()),
        }
    }
}

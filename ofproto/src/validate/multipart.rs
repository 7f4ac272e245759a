//! Multipart requests and replies (section 7.3.5).

use super::{Refusal, RefusalCause, refuse, refuse_if};
use crate::error_msg::BadRequestCode;
use crate::flow::FlowStats;
use crate::group::GroupDesc;
use crate::meter::MeterConfig;
use crate::multipart::{MultipartReply, MultipartReplyBody, MultipartRequest, MultipartRequestBody, MultipartType};
use crate::table_features::TableFeatures;

impl MultipartRequest {
    /// Whether a switch would take it (section 7.3.5): a type that it can know, flags with a
    /// meaning, and a body that asks for what can be.
    ///
    /// # Errors
    /// What is refused first, with OFPBRC_BAD_MULTIPART or the code of the body.
    pub fn validate(&self) -> Result<(), Refusal> {
        use MultipartRequestBody as B;
        const STRUCTURE: &str = "ofp_multipart_request";
        match &self.body {
            B::Desc | B::Table | B::GroupDesc | B::GroupFeatures | B::MeterFeatures | B::PortDesc => Ok(()),
            B::Flow(request) | B::Aggregate(request) => request.validate(),
            B::PortStats(request) => request.validate(),
            B::Queue(request) => request.validate(),
            B::Group(request) => request.validate(),
            B::Meter(request) | B::MeterConfig(request) => request.validate(),
            B::TableFeatures(tables) => tables.iter().try_for_each(TableFeatures::validate),
            B::Experimenter(request) => request.validate(),
            B::Unknown { kind, .. } => unknown(STRUCTURE, *kind),
        }?;
        let flags = self.flags.unknown();
        refuse_if(
            flags != 0,
            STRUCTURE,
            BadRequestCode::BAD_MULTIPART,
            RefusalCause::UnknownFlags(u32::from(flags)),
        )
    }
}

impl MultipartReply {
    /// Whether what it tells can be: of rules, groups, meters and tables the parts that a
    /// controller could have sent (section 7.3.5).
    ///
    /// # Errors
    /// What is wrong first, with OFPBRC_BAD_MULTIPART or the code of the part.
    pub fn validate(&self) -> Result<(), Refusal> {
        use MultipartReplyBody as B;
        match &self.body {
            B::Flow(rules) => rules.iter().try_for_each(FlowStats::validate),
            B::GroupDesc(groups) => groups.iter().try_for_each(GroupDesc::validate),
            B::MeterConfig(meters) => meters.iter().try_for_each(MeterConfig::validate),
            B::TableFeatures(tables) => tables.iter().try_for_each(TableFeatures::validate),
            B::Experimenter(reply) => reply.validate(),
            B::Unknown { kind, .. } => unknown("ofp_multipart_reply", *kind),
            B::Desc(_)
            | B::Aggregate(_)
            | B::Table(_)
            | B::PortStats(_)
            | B::Queue(_)
            | B::Group(_)
            | B::GroupFeatures(_)
            | B::Meter(_)
            | B::MeterFeatures(_)
            | B::PortDesc(_) => Ok(()),
        }
    }
}

fn unknown(structure: &'static str, kind: MultipartType) -> Result<(), Refusal> {
    refuse(
        structure,
        BadRequestCode::BAD_MULTIPART,
        RefusalCause::UnknownType(u32::from(kind.0)),
    )
}

//! What the northbound interface asks of the machine, and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use skerry_bus::api::{FieldError, FlowRequest, JoinRequest, MirrorRequest, OperationView, Problem};
use skerry_bus::{FlowId, PointId, Region, SwitchId};

/// A question or a wish.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiRequest {
    /// `GET /v2/status`
    Status,
    /// `GET /v2/regions`
    Regions,
    /// `GET /v2/regions/{region}`
    Region(Region),
    /// `PUT /v2/regions/{region}/drain`
    Drain {
        /// The region.
        region: Region,
        /// Also if switches have no other region.
        force: bool,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `DELETE /v2/regions/{region}/drain`
    Undrain {
        /// The region.
        region: Region,
        /// Do nothing.
        dry_run: bool,
    },
    /// `GET /v2/links`
    Links,
    /// `GET /v2/switches`
    Switches,
    /// `GET /v2/switches/refused`
    Refused,
    /// `GET /v2/switches/{switch_id}`
    Switch(SwitchId),
    /// `GET /v2/switches/{switch_id}/connections`
    Connections(SwitchId),
    /// `GET /v2/switches/{switch_id}/plan`: answered when the switch was read.
    Plan(SwitchId),
    /// `GET /v2/flows`
    Flows,
    /// `GET /v2/flows/{flow_id}`
    Flow(FlowId),
    /// `PUT /v2/flows/{flow_id}`
    PutFlow {
        /// The flow.
        flow: FlowId,
        /// What is asked of it.
        request: FlowRequest,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `DELETE /v2/flows/{flow_id}`
    DeleteFlow {
        /// The flow.
        flow: FlowId,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `POST /v2/flows/{flow_id}/reroute`
    Reroute {
        /// The flow.
        flow: FlowId,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `GET /v2/flows/{flow_id}/mirror`
    Mirrors(FlowId),
    /// `PUT /v2/flows/{flow_id}/mirror`
    PutMirror {
        /// The flow.
        flow: FlowId,
        /// The mirror point.
        request: MirrorRequest,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `DELETE /v2/flows/{flow_id}/mirror/{mirror_point_id}`
    DeleteMirror {
        /// The flow.
        flow: FlowId,
        /// The mirror point.
        point: PointId,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `GET /v2/flows/{flow_id}/join`
    Joins(FlowId),
    /// `PUT /v2/flows/{flow_id}/join`
    PutJoin {
        /// The flow.
        flow: FlowId,
        /// The join point.
        request: JoinRequest,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `DELETE /v2/flows/{flow_id}/join/{join_point_id}`
    DeleteJoin {
        /// The flow.
        flow: FlowId,
        /// The join point.
        point: PointId,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `GET /v2/operations`
    Operations,
    /// `GET /v2/operations/{operation_id}`
    Operation(u64),
    /// `GET /v2/features`
    Features,
    /// `PATCH /v2/features`
    PatchFeatures(FeaturesPatch),
    /// Virtual events after this number, as far as they are kept.
    EventsSince(u64),
}

/// Body of `PATCH /v2/features`: what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeaturesPatch {
    /// See [`skerry_bus::api::Features`].
    pub network_sync: Option<bool>,
    /// See [`skerry_bus::api::Features`].
    pub sla_reactions: Option<bool>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// Where to look next.
    pub location: Option<String>,
    /// The body: what was asked for, or a problem document.
    pub body: Value,
}

impl ApiResponse {
    /// 200 with what was asked for.
    pub fn ok<T: Serialize>(value: &T) -> Self {
        Self::json(200, value)
    }

    /// 202: an operation runs.
    pub fn accepted(operation: &OperationView) -> Self {
        ApiResponse {
            location: Some(format!("/v2/operations/{}", operation.operation_id)),
            ..Self::json(202, operation)
        }
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::problem(404, "not-found", what, Vec::new())
    }

    /// 409: cannot be done now.
    pub fn conflict(detail: &str) -> Self {
        Self::problem(409, "conflict", detail, Vec::new())
    }

    /// 422: well formed, and wrong: each field with its cause.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors
            .iter()
            .map(|e| format!("{}: {}", e.pointer, e.detail))
            .collect::<Vec<_>>()
            .join("; ");
        Self::problem(422, "invalid", &detail, errors)
    }

    /// 503: it could not be found out; asking again may help.
    pub fn unavailable(detail: &str) -> Self {
        Self::problem(503, "unavailable", detail, Vec::new())
    }

    /// Any problem.
    pub fn problem(status: u16, kind: &str, detail: &str, errors: Vec<FieldError>) -> Self {
        Self::json(
            status,
            &Problem {
                kind: format!("urn:skerry:problem:{kind}"),
                title: kind.replace('-', " "),
                status,
                detail: detail.to_owned(),
                errors,
            },
        )
    }

    fn json<T: Serialize>(status: u16, value: &T) -> Self {
        let body = serde_json::to_value(value).expect("views have string keys and finite numbers only");
        ApiResponse {
            status,
            location: None,
            body,
        }
    }
}

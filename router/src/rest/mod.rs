//! The northbound REST interface: HTTP in, questions to the machine, answers out.
//!
//! It decides nothing about the network. It parses, limits and says errors as RFC 9457 problems; what is asked and
//! what it means is [`crate::machine::api`].

mod events;
mod limits;
pub mod problem;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use skerry_bus::VirtualEvent;
use skerry_bus::api::{FlowRequest, JoinRequest, MirrorRequest};
use tokio::sync::{broadcast, mpsc, oneshot};

pub use limits::{LimitedListener, WriteRate};

use crate::machine::api::{ApiRequest, ApiResponse, FeaturesPatch};
use problem::{not_found, problem, unreadable};

/// Largest request body, bytes. A flow with its points is under 4 KiB; nothing asked over REST is large.
pub const BODY_MAX: usize = 256 * 1024;
/// Questions that may wait for the machine. Beyond that the answer is 503 at once: the router is far behind.
pub const QUESTIONS_MAX: usize = 1_024;

/// A question on its way to the machine.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub request: ApiRequest,
    /// Where the answer goes; dropped when the client is gone.
    pub answer: oneshot::Sender<ApiResponse>,
}

/// What handlers share.
#[derive(Debug, Clone)]
pub struct Northbound {
    questions: mpsc::Sender<Question>,
    events: broadcast::Sender<Arc<VirtualEvent>>,
    writes: Arc<WriteRate>,
}

impl Northbound {
    /// Questions go into `questions`; events come out of `events`.
    pub fn new(questions: mpsc::Sender<Question>, events: broadcast::Sender<Arc<VirtualEvent>>) -> Self {
        Northbound {
            questions,
            events,
            writes: Arc::new(WriteRate::default()),
        }
    }

    async fn ask(&self, request: ApiRequest) -> Response {
        match self.ask_raw(request).await {
            Ok(answer) => respond(answer),
            Err(response) => *response,
        }
    }

    async fn ask_raw(&self, request: ApiRequest) -> Result<ApiResponse, Box<Response>> {
        let (answer, answered) = oneshot::channel();
        let busy = |detail: &str| {
            let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            Box::new(response)
        };
        if self.questions.try_send(Question { request, answer }).is_err() {
            return Err(busy("too many questions wait for the router"));
        }
        answered.await.map_err(|_| busy("the router is stopping"))
    }
}

/// Every route.
pub fn routes(northbound: Northbound) -> Router {
    Router::new()
        .route(
            "/v2/status",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Status).await),
        )
        .route(
            "/v2/regions",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Regions).await),
        )
        .route("/v2/regions/{region}", get(region))
        .route("/v2/regions/{region}/drain", put(drain).delete(undrain))
        .route(
            "/v2/links",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Links).await),
        )
        .route(
            "/v2/switches",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Switches).await),
        )
        .route(
            "/v2/switches/refused",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Refused).await),
        )
        .route("/v2/switches/{switch_id}", get(switch))
        .route("/v2/switches/{switch_id}/connections", get(connections))
        .route("/v2/switches/{switch_id}/plan", get(plan))
        .route(
            "/v2/flows",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Flows).await),
        )
        .route("/v2/flows/{flow_id}", get(flow).put(put_flow).delete(delete_flow))
        .route("/v2/flows/{flow_id}/reroute", axum::routing::post(reroute))
        .route("/v2/flows/{flow_id}/mirror", get(mirrors).put(put_mirror))
        .route(
            "/v2/flows/{flow_id}/mirror/{mirror_point_id}",
            axum::routing::delete(delete_mirror),
        )
        .route("/v2/flows/{flow_id}/join", get(joins).put(put_join))
        .route(
            "/v2/flows/{flow_id}/join/{join_point_id}",
            axum::routing::delete(delete_join),
        )
        .route(
            "/v2/operations",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Operations).await),
        )
        .route("/v2/operations/{operation_id}", get(operation))
        .route(
            "/v2/features",
            get(async |State(n): State<Northbound>| n.ask(ApiRequest::Features).await).patch(patch),
        )
        .route("/v2/events", get(events::stream))
        .route("/v2/events/kept", get(events::kept))
        .route(
            "/v2/flows/",
            put(async || not_found("a flow id is missing after /v2/flows/")),
        )
        .fallback(async |request: Request| not_found(&format!("there is no {}", request.uri().path())))
        .method_not_allowed_fallback(async |request: Request| {
            let detail = format!("{} does not take {}", request.uri().path(), request.method());
            problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", &detail)
        })
        .layer(middleware::from_fn_with_state(northbound.clone(), limit_writes))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(northbound)
}

fn respond(answer: ApiResponse) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_client_error() || status.is_server_error() {
        "application/problem+json"
    } else {
        "application/json"
    };
    let body = serde_json::to_vec(&answer.body).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if let Some(value) = answer.location.and_then(|l| l.parse().ok()) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

async fn limit_writes(State(northbound): State<Northbound>, request: Request, next: Next) -> Response {
    if !request.method().is_safe() && !northbound.writes.take(std::time::Instant::now()) {
        let mut response = problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-writes",
            &format!("more than {} writes a second were asked", limits::WRITES_PER_S),
        );
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        return response;
    }
    next.run(request).await
}

/// Parse an id of the path, or say which one is wrong.
fn id<T: std::str::FromStr<Err = skerry_bus::IdError>>(text: &str) -> Result<T, Box<Response>> {
    text.parse()
        .map_err(|e: skerry_bus::IdError| Box::new(problem(StatusCode::BAD_REQUEST, "bad-id", &e.to_string())))
}

/// Parse a body, or say which field is wrong.
fn body<T: DeserializeOwned>(
    bytes: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<T, Box<Response>> {
    let bytes = bytes.map_err(|rejection| {
        let status = rejection.status();
        let detail = if status == StatusCode::PAYLOAD_TOO_LARGE {
            format!("the body is larger than {BODY_MAX} bytes")
        } else {
            rejection.body_text()
        };
        Box::new(problem(status, "unreadable-body", &detail))
    })?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| Box::new(unreadable(&e)))?;
    json.end()
        .map_err(|e| Box::new(problem(StatusCode::BAD_REQUEST, "unreadable-body", &e.to_string())))?;
    Ok(value)
}

type Body = Result<Bytes, axum::extract::rejection::BytesRejection>;

/// `?dry_run=true`: say what would be done, and do nothing.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WriteQuery {
    #[serde(default)]
    dry_run: bool,
}

type WriteOptions = Result<Query<WriteQuery>, axum::extract::rejection::QueryRejection>;

fn dry_run(query: WriteOptions) -> Result<bool, Box<Response>> {
    match query {
        Ok(Query(q)) => Ok(q.dry_run),
        Err(e) => Err(Box::new(problem(StatusCode::BAD_REQUEST, "bad-query", &e.body_text()))),
    }
}

macro_rules! ask {
    ($northbound:ident, $request:expr) => {{
        let built: Result<ApiRequest, Box<Response>> = (|| Ok($request))();
        match built {
            Ok(request) => $northbound.ask(request).await,
            Err(response) => *response,
        }
    }};
}

/// Also `?force=true`: although some switches have no other region.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DrainQuery {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    force: bool,
}

type DrainOptions = Result<Query<DrainQuery>, axum::extract::rejection::QueryRejection>;

fn drain_query(query: DrainOptions) -> Result<DrainQuery, Box<Response>> {
    match query {
        Ok(Query(q)) => Ok(q),
        Err(e) => Err(Box::new(problem(StatusCode::BAD_REQUEST, "bad-query", &e.body_text()))),
    }
}

async fn region(State(n): State<Northbound>, Path(region): Path<String>) -> Response {
    ask!(n, ApiRequest::Region(id(&region)?))
}

async fn drain(State(n): State<Northbound>, Path(region): Path<String>, q: DrainOptions) -> Response {
    ask!(n, {
        let DrainQuery { dry_run, force } = drain_query(q)?;
        let region = id(&region)?;
        ApiRequest::Drain { region, force, dry_run }
    })
}

async fn undrain(State(n): State<Northbound>, Path(region): Path<String>, q: WriteOptions) -> Response {
    ask!(
        n,
        ApiRequest::Undrain {
            region: id(&region)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn switch(State(n): State<Northbound>, Path(switch_id): Path<String>) -> Response {
    ask!(n, ApiRequest::Switch(id(&switch_id)?))
}

async fn connections(State(n): State<Northbound>, Path(switch_id): Path<String>) -> Response {
    ask!(n, ApiRequest::Connections(id(&switch_id)?))
}

async fn plan(State(n): State<Northbound>, Path(switch_id): Path<String>) -> Response {
    ask!(n, ApiRequest::Plan(id(&switch_id)?))
}

async fn flow(State(n): State<Northbound>, Path(flow_id): Path<String>) -> Response {
    ask!(n, ApiRequest::Flow(id(&flow_id)?))
}

async fn put_flow(State(n): State<Northbound>, Path(flow_id): Path<String>, q: WriteOptions, b: Body) -> Response {
    ask!(
        n,
        ApiRequest::PutFlow {
            flow: id(&flow_id)?,
            request: body::<FlowRequest>(b)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn delete_flow(State(n): State<Northbound>, Path(flow_id): Path<String>, q: WriteOptions) -> Response {
    ask!(
        n,
        ApiRequest::DeleteFlow {
            flow: id(&flow_id)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn reroute(State(n): State<Northbound>, Path(flow_id): Path<String>, q: WriteOptions) -> Response {
    ask!(
        n,
        ApiRequest::Reroute {
            flow: id(&flow_id)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn mirrors(State(n): State<Northbound>, Path(flow_id): Path<String>) -> Response {
    ask!(n, ApiRequest::Mirrors(id(&flow_id)?))
}

async fn put_mirror(State(n): State<Northbound>, Path(flow_id): Path<String>, q: WriteOptions, b: Body) -> Response {
    ask!(
        n,
        ApiRequest::PutMirror {
            flow: id(&flow_id)?,
            request: body::<MirrorRequest>(b)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn delete_mirror(
    State(n): State<Northbound>,
    Path((flow_id, point)): Path<(String, String)>,
    q: WriteOptions,
) -> Response {
    ask!(
        n,
        ApiRequest::DeleteMirror {
            flow: id(&flow_id)?,
            point: id(&point)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn joins(State(n): State<Northbound>, Path(flow_id): Path<String>) -> Response {
    ask!(n, ApiRequest::Joins(id(&flow_id)?))
}

async fn put_join(State(n): State<Northbound>, Path(flow_id): Path<String>, q: WriteOptions, b: Body) -> Response {
    ask!(
        n,
        ApiRequest::PutJoin {
            flow: id(&flow_id)?,
            request: body::<JoinRequest>(b)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn delete_join(
    State(n): State<Northbound>,
    Path((flow_id, point)): Path<(String, String)>,
    q: WriteOptions,
) -> Response {
    ask!(
        n,
        ApiRequest::DeleteJoin {
            flow: id(&flow_id)?,
            point: id(&point)?,
            dry_run: dry_run(q)?
        }
    )
}

async fn operation(State(n): State<Northbound>, Path(operation_id): Path<String>) -> Response {
    match operation_id.parse() {
        Ok(number) => n.ask(ApiRequest::Operation(number)).await,
        Err(_) => problem(
            StatusCode::BAD_REQUEST,
            "bad-id",
            &format!("{operation_id:?} is not an operation's number"),
        ),
    }
}

async fn patch(State(n): State<Northbound>, b: Body) -> Response {
    ask!(n, ApiRequest::PatchFeatures(body::<FeaturesPatch>(b)?))
}

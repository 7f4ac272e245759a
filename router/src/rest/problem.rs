//! Errors as RFC 9457 problem documents.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use skerry_bus::api::{FieldError, Problem};

/// A problem document.
pub fn document(status: u16, kind: &str, detail: &str, errors: Vec<FieldError>) -> Problem {
    Problem {
        kind: format!("urn:skerry:problem:{kind}"),
        title: kind.replace('-', " "),
        status,
        detail: detail.to_owned(),
        errors,
    }
}

/// A problem as an answer.
pub fn problem(status: StatusCode, kind: &str, detail: &str) -> Response {
    answer(status, &document(status.as_u16(), kind, detail, Vec::new()))
}

/// Something that is not there.
pub fn not_found(detail: &str) -> Response {
    problem(StatusCode::NOT_FOUND, "not-found", detail)
}

/// A body that does not parse: names the field.
pub fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Response {
    let path = error.path().to_string();
    let pointer = if path == "." {
        String::new()
    } else {
        format!("/{}", path.replace(['.', '['], "/").replace(']', ""))
    };
    let detail = error.inner().to_string();
    let errors = vec![FieldError {
        pointer,
        detail: detail.clone(),
    }];
    let kind = "unreadable-body";
    answer(
        StatusCode::BAD_REQUEST,
        &document(StatusCode::BAD_REQUEST.as_u16(), kind, &detail, errors),
    )
}

fn answer(status: StatusCode, document: &Problem) -> Response {
    let body = serde_json::to_vec(document).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

//! The outermost layer: the request's id, and the ends of error bodies.

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use rand::RngExt as _;

use super::path::OriginalPath;
use crate::http::error::ApiError;

const HEADER: &str = "x-request-id";

/// Gives the request an id, and completes the body of an error with it and the path.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).and_then(|id| id.to_str().ok()).filter(|id| is_fit(id));
    let id = id.map_or_else(new_request_id, str::to_owned);
    let path = match request.extensions().get::<OriginalPath>() {
        Some(original) => original.0.clone(),
        None => request.uri().path().to_owned(),
    };
    let method = request.method().clone();
    let started = std::time::Instant::now();
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let mut body = error.body();
        body["path"] = path.as_str().into();
        body["requestId"] = id.as_str().into();
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        let mut complete = axum::Json(body).into_response();
        *complete.status_mut() = parts.status;
        parts.headers.extend(std::mem::take(complete.headers_mut()));
        *complete.headers_mut() = parts.headers;
        response = complete;
    }
    // The path only: a query may hold a token.
    tracing::debug!(%method, path, status = response.status().as_u16(), elapsed = ?started.elapsed(), id, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// Whether a client's id may be repeated in headers, bodies and logs.
fn is_fit(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

/// Lower-case base 36.
fn new_request_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rng = rand::rng();
    (0..20).map(|_| char::from(DIGITS[rng.random_range(0..DIGITS.len())])).collect()
}

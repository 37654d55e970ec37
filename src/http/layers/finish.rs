//! The outermost layer: the request's id and dialect, and the writing of bodies.

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use rand::RngExt as _;

use super::path::{OriginalPath, TrailingSlash};
use crate::app::App;
use crate::dialect::{Rendered, Spoken};
use crate::http::error::ApiError;
use crate::http::session::Shown;

const HEADER: &str = "x-request-id";

/// Finds out the request's dialect, and writes the answer's body in it. An error's body also
/// gets the request's id and path.
pub async fn finish(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).and_then(|id| id.to_str().ok()).filter(|id| is_fit(id));
    let id = id.map_or_else(new_request_id, str::to_owned);
    let path = match request.extensions().get::<OriginalPath>() {
        Some(original) => original.0.clone(),
        None => request.uri().path().to_owned(),
    };
    let method = request.method().clone();
    let started = std::time::Instant::now();
    let shown = Shown::of(&app, request.headers());
    let trailing_slash = request.extensions().get::<TrailingSlash>().is_some();
    let spoken = Spoken::new(request.headers(), shown.dialect(), trailing_slash);
    request.extensions_mut().insert(shown);
    request.extensions_mut().insert(spoken.clone());
    let mut response = next.run(request).await;
    let dialect = spoken.dialect();
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let mut body = error.body(dialect);
        body.path = Some(path.clone());
        body.request_id = Some(id.clone());
        *response.status_mut() = error.status(dialect);
        *response.body_mut() = serde_json::to_vec(&body).unwrap_or_default().into();
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if let Some(rendered) = response.extensions_mut().remove::<Rendered>() {
        rendered.write(&mut response, dialect);
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

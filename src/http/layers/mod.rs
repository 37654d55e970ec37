//! What surrounds every handler.

pub mod cors;
pub mod finish;
pub mod headers;
pub mod limits;
pub mod path;

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::ApiError;

/// Longest time any handler takes: the mobile client gives up after 30 s.
pub const DEADLINE: Duration = Duration::from_secs(25);

/// Ends a request that takes too long.
pub async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable().into_response(),
    }
}

/// A handler that panicked is an ordinary 500; the panic itself was logged where it happened.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::internal(&"a handler panicked").into_response()
}

//! Which web pages may use the API: the configured ones and our own.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::http::error::ApiError;

/// Whether a request with these headers comes from a page that may use the API, or from no
/// page at all. WebSockets ask this too: browsers do not ask before opening one.
#[must_use]
pub fn is_allowed(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    own || app.config().web.allowed_origins.iter().any(|allowed| allowed == origin)
}

/// Answers preflights, refuses foreign pages, lets browsers read the answers to ours.
pub async fn cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else { return next.run(request).await };
    // A WebSocket's refusal has a form of its own.
    let upgrade = request.headers().contains_key("sec-websocket-key");
    if !upgrade && !is_allowed(&app, request.headers()) {
        return ApiError::forbidden("This origin is not allowed").into_response();
    }
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if preflight {
        let methods = HeaderValue::from_static("GET,POST,PUT,DELETE,PATCH,OPTIONS");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = HeaderValue::from_static("Content-Type,Authorization,X-Requested-With,X-Request-ID");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    } else {
        let exposed = HeaderValue::from_static("X-Request-ID,Retry-After,RateLimit-Remaining");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

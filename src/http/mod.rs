//! The HTTP API: routes, and what surrounds them.
//!
//! A request passes, from outside in: its id and the finishing of error bodies, security
//! headers, CORS, the time limit, the rate limit, then its handler. A handler parses
//! ([`input`]), authorises ([`session`]), sends one message or query, and answers with a view
//! ([`crate::dialect`]), which the outermost layer writes.

pub mod client;
pub mod error;
pub mod input;
pub mod layers;
pub mod pages;
pub mod routes;
pub mod session;
pub mod validate;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;

/// Everything that is served. Paths reach it without a trailing slash: [`layers::path`].
pub fn router(app: App) -> Router {
    let (routes, _) = routes::all().split_for_parts();
    routes
        .merge(routes::docs::pages(&app))
        .merge(crate::ws::router())
        .fallback(routes::not_found)
        .method_not_allowed_fallback(routes::not_found)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app.clone(), layers::limits::limit))
        .layer(from_fn(layers::deadline))
        .layer(from_fn(layers::path::refuse_odd))
        .layer(from_fn_with_state(app.clone(), layers::cors::cors))
        .layer(from_fn(layers::headers::security))
        .layer(from_fn_with_state(app.clone(), layers::finish::finish))
        .with_state(app)
}

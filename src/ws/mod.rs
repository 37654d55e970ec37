//! WebSockets: terminals in two dialects, and logs.
//!
//! A socket's life: [`upgrade`] answers the handshake, [`access`] finds out who it is, [`terminal`]
//! opens the session and serves it. One loop ([`serve`]) serves both dialects; a dialect
//! ([`binary`], [`json`]) only says how events look on the wire and what arrives means. [`logs`]
//! is the socket that follows an install log, [`events`] the one of all that happens to
//! somebody's environments, [`admin`] the one of the dashboard; [`sockets`] counts them all, for the shutdown.

mod access;
mod admin;
mod binary;
mod dialect;
mod events;
mod json;
mod logs;
mod serve;
mod sockets;
mod terminal;
mod upgrade;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

pub use sockets::Sockets;

use crate::app::App;

/// The routes of all sockets.
pub fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/ws/terminal/{environment}", get(open_terminal))
        .route("/api/v1/ws/terminal/{environment}/{*rest}", get(open_terminal))
        .route("/api/v1/ws/logs/{environment}", get(open_logs))
        .route("/api/v1/ws/logs/{environment}/{*rest}", get(open_logs))
        .route("/api/v1/ws/events", get(open_events))
        .route("/api/v1/ws/admin", get(open_admin))
        // The reference server completes every upgrade below this path and closes then.
        .route("/api/v1/ws/{*rest}", get(refuse))
        .route("/api/v1/ws", get(refuse))
}

/// What of a path counts: what comes behind the environment is ignored, as in the reference.
#[derive(Deserialize)]
struct Of {
    environment: String,
}

async fn open_terminal(State(app): State<App>, Path(of): Path<Of>, request: Request) -> Response {
    terminal::open(app, of.environment, request).await
}

async fn open_logs(State(app): State<App>, Path(of): Path<Of>, request: Request) -> Response {
    logs::open(app, of.environment, request)
}

async fn open_events(State(app): State<App>, request: Request) -> Response {
    events::open(app, request)
}

async fn open_admin(State(app): State<App>, request: Request) -> Response {
    admin::open(app, request).await
}

async fn refuse(State(app): State<App>, request: Request) -> Response {
    match upgrade::Handshake::of(&app, request) {
        Ok(handshake) => handshake.refuse_by_closing(&app, "Environment not found"),
        Err(error) => error.into_response(),
    }
}

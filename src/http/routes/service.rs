//! What the server says about itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use devpocket_actors::persistence::connect;
use devpocket_actors::supervision::watchdog;
use serde_json::{Value, json};

use crate::app::App;
use crate::http::render::timestamp;

const NAME: &str = "DevPocket API";
/// The version of the API, which clients look at; not the one of this build.
const API_VERSION: &str = "1.0.0";

pub(super) async fn root(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "message": "Welcome to the DevPocket API",
        "version": API_VERSION,
        "environment": app.config().mode.as_str(),
        "documentation": if app.config().web.api_docs { json!("/api-docs") } else { Value::Null },
        "health": "/health",
        "timestamp": timestamp(Utc::now()),
    }))
}

pub(super) async fn health(State(app): State<App>) -> Json<Value> {
    let now = Utc::now();
    let millis = now.timestamp_subsec_millis();
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double for a long time")]
    let seconds = now.timestamp() as f64 + f64::from(millis) / 1_000.0;
    Json(json!({
        "status": "healthy",
        "service": NAME,
        "version": API_VERSION,
        "build": env!("CARGO_PKG_VERSION"),
        "environment": app.config().mode.as_str(),
        "timestamp": seconds,
    }))
}

/// Not alive when an actor's handler does not return: whoever runs the server restarts it.
pub(super) async fn live(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let stuck = app.system().registry().stuck(watchdog::LIMIT);
    if stuck.is_empty() {
        return (StatusCode::OK, Json(json!({ "status": "alive" })));
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "stuck", "stuck": stuck.len() })))
}

/// Not ready without the database, and from the beginning of the end: whoever spreads clients
/// over servers sends no more here.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    if app.sockets().are_closing() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "draining" })));
    }
    let database = connect::is_ready(app.system().persistence().pool()).await;
    let checks = json!({ "database": if database { "healthy" } else { "unhealthy" } });
    if database {
        (StatusCode::OK, Json(json!({ "status": "ready", "checks": checks })))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready", "checks": checks })))
    }
}

pub(super) async fn info(State(app): State<App>) -> Json<Value> {
    let config = app.config();
    let plans = &config.limits.plans;
    Json(json!({
        "name": NAME,
        "version": API_VERSION,
        "environment": config.mode.as_str(),
        "features": {
            "authentication": true,
            "google_oauth": config.google_client_id.is_some(),
            "websockets": true,
            "rate_limiting": config.limits.rate_limits,
            "metrics": true,
        },
        "limits": {
            "free_environments": plans.free.environments,
            "starter_environments": plans.starter.environments,
            "pro_environments": plans.pro.environments,
            "enterprise_environments": plans.enterprise.environments,
        },
        "timestamp": timestamp(Utc::now()),
    }))
}

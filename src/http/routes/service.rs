//! What the server says about itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, VARY};
use axum::response::{IntoResponse as _, Response};
use chrono::Utc;
use devpocket_actors::persistence::connect;
use devpocket_actors::supervision::watchdog;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{Features, Health, Info, Live, PlanLimits, Ready, Root, Timestamp};
use crate::http::pages;

const NAME: &str = "DevPocket API";
/// The version of the API, which clients look at; not the one of this build.
const API_VERSION: &str = "1.0.0";

/// At the top.
pub(super) fn top_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(root))
        .routes(routes!(health))
        .routes(routes!(live))
        .routes(routes!(ready))
}

/// Below `/api/v1`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(info)).route("/health", axum::routing::get(health))
}

/// The front door: the web page for browsers, which ask for HTML.
#[utoipa::path(get, path = "/", tag = "service", responses((status = 200, body = Root)))]
async fn root(State(app): State<App>, headers: HeaderMap) -> Response {
    if pages::wanted(&headers) {
        return pages::index(&headers);
    }
    let answer = Reply::ok(Root {
        message: "Welcome to the DevPocket API",
        version: API_VERSION,
        environment: app.config().mode.as_str(),
        documentation: app.config().web.api_docs.then_some("/api/v1/docs"),
        health: "/health",
        timestamp: Timestamp::now(),
    });
    ([(VARY, "Accept")], answer).into_response()
}

/// How the server is. Also at `/api/v1/health`.
#[utoipa::path(get, path = "/health", tag = "service", responses((status = 200, body = Health)))]
async fn health(State(app): State<App>) -> Reply {
    let now = Utc::now();
    let millis = now.timestamp_subsec_millis();
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double for a long time")]
    let timestamp = now.timestamp() as f64 + f64::from(millis) / 1_000.0;
    Reply::ok(Health {
        status: "healthy",
        service: NAME,
        version: API_VERSION,
        build: env!("CARGO_PKG_VERSION"),
        environment: app.config().mode.as_str(),
        timestamp,
    })
}

/// Whether it should be restarted: an actor's handler does not return.
#[utoipa::path(
    get, path = "/health/live", tag = "service",
    responses((status = 200, body = Live), (status = 503, body = Live)),
)]
async fn live(State(app): State<App>) -> Reply {
    let stuck = app.system().registry().stuck(watchdog::LIMIT).len();
    if stuck == 0 {
        return Reply::ok(Live { status: "alive", stuck: None });
    }
    Reply::new(StatusCode::SERVICE_UNAVAILABLE, Live { status: "stuck", stuck: Some(stuck) })
}

/// Whether it should be sent clients: not without the database, and not from the beginning of
/// the end.
#[utoipa::path(
    get, path = "/health/ready", tag = "service",
    responses((status = 200, body = Ready), (status = 503, body = Ready)),
)]
async fn ready(State(app): State<App>) -> Reply {
    if app.sockets().are_closing() {
        let draining = Ready { status: "draining", checks: None };
        return Reply::new(StatusCode::SERVICE_UNAVAILABLE, draining);
    }
    let database = connect::is_ready(app.system().persistence().pool()).await;
    let status = if database { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::new(status, Ready::new(database))
}

/// What the server can do.
#[utoipa::path(get, path = "/info", tag = "service", responses((status = 200, body = Info)))]
async fn info(State(app): State<App>) -> Reply {
    let config = app.config();
    let plans = &config.limits.plans;
    Reply::ok(Info {
        name: NAME,
        version: API_VERSION,
        environment: config.mode.as_str(),
        features: Features {
            authentication: true,
            google_oauth: app.auth().takes_google(),
            websockets: true,
            rate_limiting: config.limits.rate_limits,
            metrics: true,
        },
        limits: PlanLimits {
            free_environments: plans.free.environments,
            starter_environments: plans.starter.environments,
            pro_environments: plans.pro.environments,
            enterprise_environments: plans.enterprise.environments,
        },
        timestamp: Timestamp::now(),
    })
}

//! The whole server in figures.

use axum::extract::State;
use devpocket_actors::supervision::ActorPath;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::Observer;
use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{Charts, Event, History, Overview};
use crate::http::error::ApiResult;
use crate::http::routes::answers::{Forbidden, Signed};
use crate::http::routes::query::Params;
use crate::http::session::Admin;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(overview)).routes(routes!(charts)).routes(routes!(history))
}

/// The process, the supervision tree, sessions, Postgres, mail and clusters in figures.
#[utoipa::path(
    get, path = "/overview", tag = "admin", operation_id = "overview", security(("bearer" = [])),
    responses((status = 200, body = Overview), Signed, Forbidden),
)]
async fn overview(State(app): State<App>, Admin(_): Admin) -> ApiResult {
    Ok(Reply::ok(app.observer().look(Observer::FRESH).await.overview.clone()))
}

/// The last hour, a point each ten seconds. Kept in memory: it begins with the process.
#[utoipa::path(
    get, path = "/charts", tag = "admin", operation_id = "charts", security(("bearer" = [])),
    responses((status = 200, body = Charts), Signed, Forbidden),
)]
async fn charts(State(app): State<App>, Admin(_): Admin) -> ApiResult {
    let hour = app.observer().hour();
    Ok(Reply::ok(Charts { every_secs: hour.every.as_secs(), points: hour.points }))
}

/// The journal of supervision: who failed, and what was decided about it.
///
/// Kept in memory: the newest 2,000 events since the process started.
#[utoipa::path(
    get, path = "/history", tag = "admin", operation_id = "history", security(("bearer" = [])),
    params(
        ("actor" = Option<String>, Query, description = "Only of this actor (`kind` or `kind:id`)"),
        ("after" = Option<u64>, Query, description = "Only those with a greater `seq`"),
        ("limit" = Option<u32>, Query, description = "The newest ones: 1 to 2,000, 100 if not said"),
    ),
    responses((status = 200, body = History), Signed, Forbidden),
)]
async fn history(State(app): State<App>, Admin(_): Admin, params: Params) -> ApiResult {
    let actor: Option<ActorPath> = params.parsed("actor")?;
    let after = params.parsed("after")?.unwrap_or(0);
    let limit = params.number("limit", 100, 1, 2_000)? as usize;
    let events = app.system().registry().journal().read(after, actor.as_ref(), limit);
    Ok(Reply::ok(History { events: events.iter().map(Event::from).collect() }))
}

//! Everybody's environments.

use std::collections::HashSet;

use axum::extract::{Path, State};
use devpocket_actors::environment::Change;
use devpocket_actors::persistence::EnvironmentStatus;
use devpocket_actors::persistence::everybody::{self, Among, Common};
use devpocket_actors::supervision::Kind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::noted::noted;
use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{AdminEnvironment, AdminEnvironments, ChangedEnvironment, Pagination};
use crate::http::error::ApiResult;
use crate::http::routes::acting::Acting;
use crate::http::routes::answers::{Conflict, Forbidden, NotFound, Signed};
use crate::http::routes::query::Params;
use crate::http::session::Admin;

/// Below `/admin/environments`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(restart))
}

/// What lists of everybody's things may be narrowed by.
pub(super) fn common(params: &Params) -> Common {
    let text = |name| params.text(name).map(str::to_owned);
    Common { search: text("search"), user: text("user"), cluster: text("cluster") }
}

/// The environments whose actors run.
fn awake(app: &App) -> HashSet<String> {
    let actors = app.system().registry().snapshot().into_iter();
    let environments = actors.filter(|actor| actor.path.kind() == Kind::Environment);
    environments.filter_map(|actor| actor.path.id().map(str::to_owned)).collect()
}

/// A page of everybody's environments, the newest first.
#[utoipa::path(
    get, path = "/", tag = "admin", operation_id = "environments", security(("bearer" = [])),
    params(
        ("search" = Option<String>, Query, description = "A part of its name or id, or of its owner's user name"),
        ("user" = Option<String>, Query, description = "Only of this account (id or user name)"),
        ("cluster" = Option<String>, Query, description = "Only on this cluster (id or name)"),
        ("status" = Option<String>, Query, description = "Only with this status; the one way to see terminated ones"),
        ("awake" = Option<bool>, Query, description = "Only those whose actor runs, or does not"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
        ("page" = Option<u32>, Query, description = "Which page, from 1; wins over offset"),
    ),
    responses((status = 200, body = AdminEnvironments), Signed, Forbidden),
)]
async fn list(State(app): State<App>, Admin(_): Admin, params: Params) -> ApiResult {
    let (status, are, page) = (params.parsed("status")?, params.parsed("awake")?, params.page(20, 100)?);
    let awake = awake(&app);
    let among = Among { are, ids: if are.is_some() { awake.iter().cloned().collect() } else { Vec::new() } };
    let pool = app.system().persistence().pool();
    let (rows, total) = everybody::environments(pool, &common(&params), status, &among, page).await?;
    let view = |row: everybody::SomebodysEnvironment| {
        let awake = awake.contains(&row.id);
        AdminEnvironment::new(row, awake)
    };
    Ok(Reply::ok(AdminEnvironments {
        environments: rows.into_iter().map(view).collect(),
        pagination: Pagination::new(total, page),
    }))
}

/// Makes a change as the owner would, and says what is shown now.
async fn change(app: &App, acting: &Acting, id: &str, change: Change) -> ApiResult {
    let (act, verb) = match change {
        Change::Start => ("environment.start", "started"),
        Change::Stop => ("environment.stop", "stopped"),
        Change::Restart => ("environment.restart", "restarted"),
        Change::Delete | Change::StopAndDelete => ("environment.delete", "deleted"),
    };
    let line = noted(acting, act, ("environment", Some(id)), None);
    let status = app.system().administer_environment(id, change, line).await?;
    let status = match status {
        EnvironmentStatus::Running => "RUNNING",
        _ if change == Change::Start => "STARTING",
        status => status.as_str(),
    };
    Ok(Reply::ok(ChangedEnvironment { message: format!("Environment {verb} successfully"), status }))
}

/// Starts an environment as its owner would.
#[utoipa::path(
    post, path = "/{id}/start", tag = "admin", operation_id = "environment_start", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = ChangedEnvironment), Signed, Forbidden, NotFound, Conflict),
)]
async fn start(State(app): State<App>, acting: Acting, Path(id): Path<String>) -> ApiResult {
    change(&app, &acting, &id, Change::Start).await
}

/// Stops an environment as its owner would. Its volume is kept.
#[utoipa::path(
    post, path = "/{id}/stop", tag = "admin", operation_id = "environment_stop", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = ChangedEnvironment), Signed, Forbidden, NotFound, Conflict),
)]
async fn stop(State(app): State<App>, acting: Acting, Path(id): Path<String>) -> ApiResult {
    change(&app, &acting, &id, Change::Stop).await
}

/// Stops an environment and starts it again, as its owner would.
#[utoipa::path(
    post, path = "/{id}/restart", tag = "admin", operation_id = "environment_restart", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = ChangedEnvironment), Signed, Forbidden, NotFound, Conflict),
)]
async fn restart(State(app): State<App>, acting: Acting, Path(id): Path<String>) -> ApiResult {
    change(&app, &acting, &id, Change::Restart).await
}

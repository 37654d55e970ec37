//! Everybody's live terminal sessions, and who is attached to them.

use axum::extract::{Path, State};
use devpocket_actors::persistence::everybody::{self, Among};
use devpocket_actors::supervision::{ActorPath, Kind};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::environments::common;
use super::noted::noted;
use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{AdminClient, AdminClients, AdminSession, AdminSessions, Message, Pagination};
use crate::http::error::{ApiError, ApiResult};
use crate::http::routes::acting::Acting;
use crate::http::routes::answers::{Conflict, Forbidden, NotFound, Signed};
use crate::http::routes::query::Params;
use crate::http::session::Admin;

/// Below `/admin/sessions`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(end))
        .routes(routes!(clients))
        .routes(routes!(detach))
}

/// The sessions of which a client is slow.
fn slow(app: &App) -> Vec<String> {
    let actors = app.system().registry().snapshot().into_iter();
    let slow = actors.filter(|actor| actor.gauges.is_some_and(|gauges| gauges.is_slow));
    slow.filter_map(|actor| actor.path.id().map(str::to_owned)).collect()
}

/// A page of everybody's live terminal sessions, the newest first.
#[utoipa::path(
    get, path = "/", tag = "admin", operation_id = "sessions", security(("bearer" = [])),
    params(
        ("search" = Option<String>, Query,
            description = "A part of its name or id, of its environment's name, or of its owner's user name"),
        ("user" = Option<String>, Query, description = "Only of this account (id or user name)"),
        ("environment" = Option<String>, Query, description = "Only of this environment (id or name)"),
        ("cluster" = Option<String>, Query, description = "Only on this cluster (id or name)"),
        ("slow" = Option<bool>, Query, description = "Only those of which a client is slow, or none is"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
        ("page" = Option<u32>, Query, description = "Which page, from 1; wins over offset"),
    ),
    responses((status = 200, body = AdminSessions), Signed, Forbidden),
)]
async fn list(State(app): State<App>, Admin(_): Admin, params: Params) -> ApiResult {
    let (are, page) = (params.parsed("slow")?, params.page(20, 100)?);
    let among = Among { are, ids: if are.is_some() { slow(&app) } else { Vec::new() } };
    let pool = app.system().persistence().pool();
    let environment = params.text("environment");
    let (rows, total) = everybody::sessions(pool, &common(&params), environment, &among, page).await?;
    let view = |row: everybody::SomebodysSession| {
        let actor = app.system().registry().inspect(&ActorPath::of(Kind::Terminal, &row.id));
        AdminSession::new(row, actor.map(|actor| (actor.state, actor.gauges)))
    };
    Ok(Reply::ok(AdminSessions {
        sessions: rows.into_iter().map(view).collect(),
        pagination: Pagination::new(total, page),
    }))
}

/// Ends a terminal session as its owner would: its shell and all it started.
#[utoipa::path(
    delete, path = "/{id}", tag = "admin", operation_id = "session_end", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Message), Signed, Forbidden, NotFound, Conflict),
)]
async fn end(State(app): State<App>, acting: Acting, Path(id): Path<String>) -> ApiResult {
    let line = noted(&acting, "session.end", ("session", Some(&id)), None);
    app.system().administer_session(&id, line).await?;
    Ok(Reply::ok(Message::new("Terminal session ended")))
}

/// The clients that are attached to a live terminal session, the oldest first.
#[utoipa::path(
    get, path = "/{id}/clients", tag = "admin", operation_id = "session_clients", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = AdminClients), Signed, Forbidden, NotFound),
)]
async fn clients(State(app): State<App>, Admin(_): Admin, Path(id): Path<String>) -> ApiResult {
    let clients = app.system().clients(&id).await?;
    Ok(Reply::ok(AdminClients { clients: clients.into_iter().map(AdminClient::from).collect() }))
}

/// Closes the connection of one client of a terminal session, with the code 4410 (`detached`).
///
/// The session goes on, and so do its other clients. Whoever was detached may connect again.
#[utoipa::path(
    delete, path = "/{id}/clients/{number}", tag = "admin", operation_id = "client_detach",
    security(("bearer" = [])), params(("id" = String, Path), ("number" = u64, Path)),
    responses((status = 200, body = Message), Signed, Forbidden, NotFound),
)]
async fn detach(
    State(app): State<App>,
    acting: Acting,
    Path((id, number)): Path<(String, String)>,
) -> ApiResult {
    let missing = || ApiError::not_found("Client");
    let number: u64 = number.parse().map_err(|_| missing())?;
    let line = noted(&acting, "client.detach", ("session", Some(&id)), Some(json!({ "client": number })));
    if app.system().detach(&id, number, line).await? {
        Ok(Reply::ok(Message::new("Client detached")))
    } else {
        Err(missing())
    }
}

//! The supervision tree.

use std::time::Duration;

use axum::extract::{Path, State};
use devpocket_actors::observation::{Fold, Only, Tree};
use devpocket_actors::persistence::Late;
use devpocket_actors::supervision::{ActorPath, Kind, RestartRefused};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::noted::noted;
use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{Actor, ActorDetail, ActorList, Event, Message, Pagination};
use crate::http::error::{ApiError, ApiResult};
use crate::http::routes::acting::Acting;
use crate::http::routes::answers::{Conflict, Forbidden, NotFound, Signed};
use crate::http::routes::query::Params;
use crate::http::session::Admin;

/// The most events that are shown with an actor.
const EVENTS: usize = 100;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(restart))
}

fn named(name: &str) -> Result<ActorPath, ApiError> {
    name.parse().map_err(|_| ApiError::not_found("Actor"))
}

/// A page of all actors, in the order of the tree: each before those below it.
#[utoipa::path(
    get, path = "/", tag = "admin", operation_id = "actors", security(("bearer" = [])),
    params(
        ("search" = Option<String>, Query, description = "A part of a name, a label, a state or a failure"),
        ("kind" = Option<String>, Query, description = "Only of this kind, e.g. `terminal`"),
        ("only" = Option<String>, Query,
            description = "`failing`: those that do not work; `waiting`: with messages that wait; \
                           `slow`: sessions with a slow client"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
        ("page" = Option<u32>, Query, description = "Which page, from 1; wins over offset"),
    ),
    responses((status = 200, body = ActorList), Signed, Forbidden),
)]
async fn list(State(app): State<App>, Admin(_): Admin, params: Params) -> ApiResult {
    let kind = params.text("kind").map(|word| {
        let known = Kind::ALL.into_iter().find(|kind| kind.name() == word);
        known.ok_or_else(|| ApiError::bad_request("Invalid kind"))
    });
    let (kind, page) = (kind.transpose()?, params.page(20, 100)?);
    let only: Option<Only> = params.parsed("only")?;
    // Who has just done something wants to see it.
    let look = app.observer().look(Duration::ZERO).await;
    let mut open = Fold {
        search: params.text("search").unwrap_or_default().to_lowercase(),
        only: only.unwrap_or_default(),
        ..Fold::default()
    };
    if open.search.is_empty() && open.only == Only::All {
        open.open = look.tree.actors().map(|actor| actor.path.clone()).collect();
    }
    let all = look.tree.rows(&open, 0, usize::MAX).rows;
    let meant: Vec<_> =
        all.into_iter().filter(|row| kind.is_none_or(|kind| row.actor.path.kind() == kind)).collect();
    let (offset, limit) = (page.offset as usize, page.limit as usize);
    Ok(Reply::ok(ActorList {
        actors: meant.iter().skip(offset).take(limit).map(|row| Actor::from(*row)).collect(),
        pagination: Pagination::new(i64::try_from(meant.len()).unwrap_or(i64::MAX), page),
    }))
}

/// An actor, those above it, and what happened to it since the server started.
#[utoipa::path(
    get, path = "/{name}", tag = "admin", operation_id = "actor", security(("bearer" = [])),
    params(("name" = String, Path, description = "`kind` or `kind:id`")),
    responses((status = 200, body = ActorDetail), Signed, Forbidden, NotFound),
)]
async fn get(State(app): State<App>, Admin(_): Admin, Path(name): Path<String>) -> ApiResult {
    let path = named(&name)?;
    let registry = app.system().registry();
    let tree = Tree::of(registry.snapshot());
    let row = tree.find(&path).ok_or_else(|| ApiError::not_found("Actor"))?;
    Ok(Reply::ok(ActorDetail {
        actor: row.into(),
        path: tree.line(&path).iter().map(ToString::to_string).collect(),
        history: registry.journal().read(0, Some(&path), EVENTS).iter().map(Event::from).collect(),
    }))
}

/// Has an actor started again by its supervisor, at once.
///
/// Nobody who uses a terminal notices. One that was given up is tried again. The root can't be
/// restarted alone: drain the server.
#[utoipa::path(
    post, path = "/{name}/restart", tag = "admin", operation_id = "actor_restart", security(("bearer" = [])),
    params(("name" = String, Path, description = "`kind` or `kind:id`")),
    responses((status = 200, body = Message), Signed, Forbidden, NotFound, Conflict),
)]
async fn restart(State(app): State<App>, acting: Acting, Path(name): Path<String>) -> ApiResult {
    let path = named(&name)?;
    let restarted = app.system().registry().restart(&path, acting.name());
    restarted.map_err(|refused| match refused {
        RestartRefused::Unknown(_) => ApiError::not_found("Actor"),
        RestartRefused::Root | RestartRefused::NotNow(_) => ApiError::conflict(refused.to_string()),
    })?;
    // Noted late: it must also work while the database is what is wrong.
    let line = noted(&acting, "actor.restart", ("actor", Some(&name)), None);
    app.system().persistence().late(Late::Audit(line));
    Ok(Reply::ok(Message::new("The actor is started again")))
}
